/* SPDX-License-Identifier: MIT */
/*
 * Do all calls that go through trees get along with trees of 10,000 levels on a small stack?
 *
 * Each call runs in a thread whose stack would not hold a frame for each level. A thread makes no
 * assertions; it returns the line where something was wrong, or 0.
 */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

/* A frame takes 16 bytes at the least, so that 10,000 of them do not fit into the smaller one. */
#define STACK_SIZE (HAS_SANITIZER ? 256 * KIB : 64 * KIB)

enum { LEVELS = 10000, MARK_EVERY = 500, MARKS = LEVELS / MARK_EVERY };

/*
 * Small stacks
 */

struct task {
	int (*run)(struct task *task);
	mfs *fs;
	const char *path;
	const char *other;
	int line;
};

static void *run_task(void *argument)
{
	struct task *task = argument;

	task->line = task->run(task);
	return NULL;
}

/* Runs a function in a thread with a small stack; fails when it gives a line. */
static void run_small(int (*run)(struct task *), mfs *fs, const char *path, const char *other)
{
	struct task task = {.run = run, .fs = fs, .path = path, .other = other};
	pthread_attr_t attributes;
	pthread_t thread;

	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attributes, run_task, &task), 0);
	assert_int_equal(pthread_attr_destroy(&attributes), 0);
	join_thread(thread);
	if (task.line != 0) {
		print_error("failed in line %d; the last error there is lost with its thread\n", task.line);
		fail();
	}
}

/* In a task: says what is wrong, and ends it. */
#define CHECK(condition)                                                                           \
	do {                                                                                           \
		if (!(condition)) {                                                                        \
			print_error("not so: %s (%s)\n", #condition, mfs_last_error());                        \
			return __LINE__;                                                                       \
		}                                                                                          \
	} while (0)

/*
 * Deep trees
 */

/* "/top/d/d/d...", with `levels` directories in all, to be freed. */
static char *deep_path(const char *top, size_t levels)
{
	size_t length = strlen(top);
	char *path = allocate(length + 2 * levels + 16);

	memcpy(path, top, length);
	for (size_t i = 1; i < levels; i++) {
		path[length++] = '/';
		path[length++] = 'd';
	}
	path[length] = '\0';
	return path;
}

/* A file "x" with the number of its level in each MARK_EVERY-th directory, the lowest one too. */
static void make_deep(mfs *fs, const char *top)
{
	char *path = deep_path(top, LEVELS);

	make_dir(fs, path);
	for (size_t level = MARK_EVERY; level <= LEVELS; level += MARK_EVERY) {
		char *file = deep_path(top, level);
		char text[32];

		memcpy(file + strlen(file), "/x", 3);
		(void)snprintf(text, sizeof(text), "level %zu", level);
		make_text(fs, file, text);
		free(file);
	}
	free(path);
}

static bool is_mark(const void *data, size_t size, size_t level)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "level %zu", level);

	return size == (size_t)length && memcmp(data, text, size) == 0;
}

static void assert_counts(mfs *fs, uint64_t files, uint64_t directories)
{
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, files);
	assert_int_equal(usage.directories, directories);
}

static int look_at_marks(struct task *task)
{
	for (size_t level = MARK_EVERY; level <= LEVELS; level += MARK_EVERY) {
		char *path = deep_path(task->path, level);
		mfs_file *file = NULL;
		char bytes[32];
		int64_t size = 0;

		memcpy(path + strlen(path), "/x", 3);
		CHECK(mfs_open(task->fs, path, "rb", &file) == 0);
		size = mfs_read(file, bytes, sizeof(bytes));
		CHECK(mfs_close(file) == 0);
		CHECK(size > 0 && is_mark(bytes, (size_t)size, level));
		free(path);
	}
	return 0;
}

/*
 * The calls
 */

static int make_and_free(struct task *task)
{
	char *path = deep_path("/a", LEVELS);
	char *beside = deep_path("/a", LEVELS / 2);
	mfs *fs = NULL;
	mfs_usage usage;

	(void)task;
	memcpy(beside + strlen(beside), "/e/e", 5);
	CHECK(mfs_new(NULL, &fs) == 0);
	CHECK(mfs_mkdir(fs, path, 0) == 0);
	CHECK(mfs_mkdir(fs, beside, 0) == 0);
	CHECK(mfs_is_dir(fs, path));
	CHECK(mfs_stats(fs, &usage) == 0 && usage.directories == LEVELS + 2);
	CHECK(mfs_free(fs) == 0);
	free(path);
	free(beside);
	return 0;
}

static void a_deep_tree_is_made_and_freed(void **state)
{
	(void)state;
	run_small(make_and_free, NULL, NULL, NULL);
}

static int walk_through(struct task *task)
{
	mfs_walk *walk = NULL;
	mfs_walk_level level;
	size_t levels = 0;
	size_t files = 0;
	int code = 0;

	CHECK(mfs_walk_open(task->fs, task->path, &walk) == 0);
	while ((code = mfs_walk_next(walk, &level)) == 1) {
		levels++;
		CHECK(strlen(level.path) == 2 * levels);
		CHECK(level.directory_count == (levels < LEVELS ? 1 : 0));
		CHECK(level.directory_count == 0 || strcmp(level.directories[0], "d") == 0);
		CHECK(level.file_count == (levels % MARK_EVERY == 0 ? 1 : 0));
		files += level.file_count;
	}
	CHECK(code == 0);
	CHECK(levels == LEVELS && files == MARKS);
	CHECK(mfs_walk_close(walk) == 0);

	/* A walk that ends at the bottom, one that turns back half-way, and one that is given up. */
	CHECK(mfs_walk_open(task->fs, "/", &walk) == 0);
	for (levels = 0; (code = mfs_walk_next(walk, &level)) == 1; levels++)
		if (levels == LEVELS / 2)
			CHECK(mfs_walk_skip(walk) == 0);
	CHECK(code == 0 && levels == LEVELS / 2 + 1);
	CHECK(mfs_walk_close(walk) == 0);
	CHECK(mfs_walk_open(task->fs, "/", &walk) == 0);
	for (levels = 0; levels < LEVELS / 2; levels++)
		CHECK(mfs_walk_next(walk, &level) == 1);
	CHECK(mfs_walk_close(walk) == 0);
	return 0;
}

static void a_walk_goes_to_the_bottom(void **state)
{
	mfs *fs = *state;

	make_deep(fs, "/a");
	run_small(walk_through, fs, "/a", NULL);
}

static int match_all(struct task *task)
{
	char **paths = NULL;
	int64_t count = mfs_glob(task->fs, task->path, &paths);

	CHECK(count == MARKS);
	for (int64_t i = 0; i < count; i++) {
		/* Sorted: the shortest comes last, since "d" < "x". */
		size_t level = MARK_EVERY * (size_t)(count - i);

		CHECK(strlen(paths[i]) == 2 * level + 2);
		CHECK(strcmp(paths[i] + 2 * level, "/x") == 0);
	}
	CHECK(paths[count] == NULL);
	mfs_names_free(paths);
	return 0;
}

static int match_everything(struct task *task)
{
	enum { HIGH = LEVELS - 2 * MARK_EVERY };
	char **paths = NULL;
	char *pattern = deep_path("/?", LEVELS);
	char *below = deep_path("/a", HIGH);
	size_t length = strlen(pattern);

	memcpy(below + strlen(below), "/**", 4);
	CHECK(mfs_glob(task->fs, below, &paths) == LEVELS - HIGH + 3);
	mfs_names_free(paths);
	free(below);
	/* A component for each level. */
	for (size_t i = 3; i < length; i += 2)
		pattern[i] = '*';
	CHECK(mfs_glob(task->fs, pattern, &paths) == 1);
	CHECK(strlen(paths[0]) == length);
	mfs_names_free(paths);
	memcpy(pattern + length, "/x", 3);
	CHECK(mfs_glob(task->fs, pattern, &paths) == 1);
	mfs_names_free(paths);
	free(pattern);
	return 0;
}

static void a_pattern_finds_what_is_at_the_bottom(void **state)
{
	mfs *fs = *state;

	make_deep(fs, "/a");
	run_small(match_all, fs, "/**/x", NULL);
	run_small(match_all, fs, "/a/**/x", NULL);
	run_small(match_all, fs, "/**/**/[x]", NULL);
	run_small(match_everything, fs, NULL, NULL);
}

static int copy_whole(struct task *task)
{
	CHECK(mfs_copy_tree(task->fs, task->path, task->other) == 0);
	return 0;
}

static int rename_whole(struct task *task)
{
	CHECK(mfs_rename(task->fs, task->path, task->other, 0) == 0);
	return 0;
}

static int exchange_whole(struct task *task)
{
	CHECK(mfs_rename(task->fs, task->path, task->other, MFS_RENAME_EXCHANGE) == 0);
	return 0;
}

static int remove_whole(struct task *task)
{
	CHECK(mfs_rmtree(task->fs, task->path) == 0);
	return 0;
}

static void a_copy_reaches_the_bottom(void **state)
{
	mfs *fs = *state;
	uint64_t used = 0;

	make_deep(fs, "/a");
	used = used_bytes(fs);
	run_small(copy_whole, fs, "/a", "/b");
	assert_counts(fs, 2 * MARKS, 2 * LEVELS);
	assert_int_equal(used_bytes(fs), 2 * used);
	run_small(look_at_marks, fs, "/b", NULL);
	run_small(remove_whole, fs, "/a", NULL);
	run_small(look_at_marks, fs, "/b", NULL);
	assert_int_equal(used_bytes(fs), used);
	assert_counts(fs, MARKS, LEVELS);
}

/* Each of these fails at the very bottom, and must find its way back up. */
static int fail_at_the_bottom(struct task *task)
{
	char *bottom = deep_path(task->path, LEVELS);
	size_t length = strlen(bottom);
	mfs_file *file = NULL;
	int code = 0;

	memcpy(bottom + length, "/x", 3);
	CHECK(mfs_open(task->fs, bottom, "r+b", &file) == 0);
	CHECK(mfs_rmtree(task->fs, task->path) == MFS_EBUSY);
	CHECK(mfs_rename(task->fs, task->path, task->other, 0) == MFS_EBUSY);
	/* For this one there are too few nodes, too. */
	code = mfs_copy_tree(task->fs, task->path, task->other);
	CHECK(code == MFS_EBUSY || code == MFS_ENODES);
	CHECK(mfs_close(file) == 0);
	CHECK(!mfs_exists(task->fs, task->other));
	/* Into itself, at the bottom. */
	memcpy(bottom + length, "/y", 3);
	CHECK(mfs_rename(task->fs, task->path, bottom, 0) == MFS_EINVAL);
	CHECK(mfs_move(task->fs, task->path, bottom, 0) == MFS_EINVAL);
	CHECK(mfs_copy_tree(task->fs, task->path, bottom) == MFS_EINVAL);
	bottom[length] = '\0';
	CHECK(mfs_rename(task->fs, task->path, bottom, MFS_RENAME_EXCHANGE) == MFS_EINVAL);
	free(bottom);
	return 0;
}

static void a_refusal_comes_back_from_the_bottom(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;

	(void)state;
	options.default_lock_timeout = MFS_NO_WAIT;
	options.max_nodes = LEVELS + MARKS;
	fs = new_workspace(&options);
	make_deep(fs, "/a");
	run_small(fail_at_the_bottom, fs, "/a", "/b");
	assert_code(mfs_copy_tree(fs, "/a", "/b"), MFS_ENODES);
	assert_counts(fs, MARKS, LEVELS);
	run_small(look_at_marks, fs, "/a", NULL);
	run_small(remove_whole, fs, "/a", NULL);
	assert_counts(fs, 0, 0);
	assert_int_equal(used_bytes(fs), 0);
	free_workspace(fs);
}

static void the_top_is_renamed(void **state)
{
	mfs *fs = *state;
	char *bottom = deep_path("/e", LEVELS);

	make_deep(fs, "/a");
	run_small(rename_whole, fs, "/a", "/b");
	run_small(look_at_marks, fs, "/b", NULL);
	/* Under the bottom of another one, and out again, by an exchange. */
	make_dir(fs, bottom);
	memcpy(bottom + strlen(bottom), "/b", 3);
	run_small(rename_whole, fs, "/b", bottom);
	run_small(look_at_marks, fs, bottom, NULL);
	assert_false(mfs_exists(fs, "/b"));
	make_text(fs, "/b", "in its place");
	run_small(exchange_whole, fs, "/b", bottom);
	run_small(look_at_marks, fs, "/b", NULL);
	assert_text(fs, bottom, "in its place");
	assert_counts(fs, MARKS + 1, 2 * LEVELS);
	run_small(remove_whole, fs, "/b", NULL);
	run_small(remove_whole, fs, "/e", NULL);
	assert_counts(fs, 0, 0);
	free(bottom);
}

static int export_in_steps(struct task *task)
{
	mfs_export *iterator = NULL;
	mfs_export_item item;
	size_t level = 0;
	size_t count = 0;
	int code = 0;

	CHECK(mfs_export_open(task->fs, task->path, 0, &iterator) == 0);
	while ((code = mfs_export_next(iterator, &item)) == 1) {
		level = (strlen(item.path) - 2) / 2;
		count++;
		CHECK(level == MARK_EVERY * count);
		CHECK(is_mark(item.data, item.size, level));
	}
	CHECK(code == 0 && count == MARKS);
	CHECK(mfs_export_close(iterator) == 0);
	/* Given up half-way. */
	CHECK(mfs_export_open(task->fs, task->path, MFS_ONLY_DIRTY, &iterator) == 0);
	CHECK(mfs_export_next(iterator, &item) == 1);
	CHECK(mfs_export_close(iterator) == 0);
	return 0;
}

static void an_export_in_steps_reaches_the_bottom(void **state)
{
	mfs *fs = *state;

	make_deep(fs, "/a");
	run_small(export_in_steps, fs, "/a", NULL);
}

static int import_deep(struct task *task)
{
	char *file = deep_path(task->path, LEVELS);
	char *directory = deep_path(task->other, LEVELS);
	mfs_import_item items[2] = {{.path = file, .data = "content", .size = 7},
								{.path = directory, .flags = MFS_IMPORT_DIRECTORY}};

	memcpy(file + strlen(file), "/x", 3);
	CHECK(mfs_import_tree(task->fs, items, 2) == 0);
	CHECK(mfs_get_size(task->fs, file) == 7);
	CHECK(mfs_is_dir(task->fs, directory));
	/* All of it is taken back when the second cannot be. */
	items[0].path = "/new/d/d/d/x";
	items[1].path = file;
	CHECK(mfs_import_tree(task->fs, items, 2) == MFS_ENOTDIR);
	CHECK(!mfs_exists(task->fs, "/new"));
	free(file);
	free(directory);
	return 0;
}

static void an_import_makes_deep_parents(void **state)
{
	mfs *fs = *state;

	run_small(import_deep, fs, "/a", "/b");
	assert_counts(fs, 1, 2 * LEVELS);
	run_small(remove_whole, fs, "/a", NULL);
	run_small(remove_whole, fs, "/b", NULL);
	assert_counts(fs, 0, 0);
}

/* Beyond what any path can name: one tree of 17,000 levels below another one. */
static int go_beyond_paths(struct task *task)
{
	enum { MANY = 17000 };
	char *bottom = deep_path("/a", MANY);
	char *other = deep_path("/b", MANY);
	mfs_walk *walk = NULL;
	mfs_walk_level level;
	mfs_usage usage;
	size_t levels = 0;
	int code = 0;

	CHECK(mfs_mkdir(task->fs, bottom, 0) == 0);
	CHECK(mfs_mkdir(task->fs, other, 0) == 0);
	memcpy(bottom + strlen(bottom), "/b", 3);
	code = mfs_rename(task->fs, "/b", bottom, 0);
	/* Whichever it is: there is one tree, or there are two, and all of it can be got rid of. */
	CHECK(code == 0 || code == MFS_ENAMETOOLONG);
	CHECK(mfs_walk_open(task->fs, "/", &walk) == 0);
	while ((code = mfs_walk_next(walk, &level)) == 1)
		levels++;
	CHECK(code == 0 && levels == 2 * MANY + 1);
	CHECK(mfs_walk_close(walk) == 0);
	CHECK(mfs_rename(task->fs, "/a", "/c", 0) == 0);
	CHECK(mfs_rmtree(task->fs, "/c") == 0);
	if (mfs_exists(task->fs, "/b"))
		CHECK(mfs_rmtree(task->fs, "/b") == 0);
	CHECK(mfs_stats(task->fs, &usage) == 0 && usage.directories == 0);
	free(bottom);
	free(other);
	return 0;
}

static void a_tree_beyond_every_path_can_be_removed(void **state)
{
	run_small(go_beyond_paths, *state, NULL, NULL);
}

/*
 * The host
 */

static char host_base[PATH_MAX];

static int host_setup(void **state)
{
	const char *directory = getenv("TMPDIR");

	/* Memory, where there is some: 10,000 directories are slow on a disk. */
	if (access("/dev/shm", W_OK) == 0)
		directory = "/dev/shm";
	else if (directory == NULL)
		directory = "/tmp";
	(void)snprintf(host_base, sizeof(host_base), "%s/dmemfs-deep-XXXXXX", directory);
	if (mkdtemp(host_base) == NULL) {
		host_base[0] = '\0';
		return -1;
	}
	return workspace_setup(state);
}

/* Removes one name of a directory that holds files and, at most, one directory. Returns its name.
 */
static bool clear_level(int fd, char *inner, size_t size)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	bool found = false;
	const struct dirent *entry;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0) != 0) {
			(void)snprintf(inner, size, "%s", entry->d_name);
			found = true;
		}
	}
	(void)closedir(dir);
	return found;
}

/* A chain of directories, however deep: down to the bottom, then up, removing. */
static int remove_chain(const char *path)
{
	char inner[MFS_NAME_MAX + 1];
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t depth = 0;

	if (fd < 0)
		return -1;
	while (clear_level(fd, inner, sizeof(inner))) {
		int next = openat(fd, inner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		(void)close(fd);
		if (next < 0)
			return -1;
		fd = next;
		depth++;
	}
	for (; depth > 0; depth--) {
		int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		(void)close(fd);
		if (parent < 0)
			return -1;
		fd = parent;
		/* It is empty now, so that its name is the one that is left here. */
		(void)clear_level(fd, inner, sizeof(inner));
		if (unlinkat(fd, inner, AT_REMOVEDIR) != 0) {
			(void)close(fd);
			return -1;
		}
	}
	(void)close(fd);
	return rmdir(path);
}

static int host_teardown(void **state)
{
	int code = workspace_teardown(state);

	if (host_base[0] != '\0' && remove_chain(host_base) != 0)
		code = -1;
	return code;
}

/* Everything is on the host as it should be, level by level. */
static int look_at_host(struct task *task)
{
	int fd = open(task->other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	for (size_t level = 1;; level++) {
		int next = -1;

		if (level % MARK_EVERY == 0) {
			char bytes[32];
			int file = openat(fd, "x", O_RDONLY | O_CLOEXEC);
			ssize_t size = 0;

			CHECK(file >= 0);
			size = read(file, bytes, sizeof(bytes));
			CHECK(close(file) == 0);
			CHECK(size > 0 && is_mark(bytes, (size_t)size, level));
		} else {
			CHECK(faccessat(fd, "x", F_OK, 0) != 0 && errno == ENOENT);
		}
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(close(fd) == 0);
		CHECK((next >= 0) == (level < LEVELS));
		if (next < 0)
			return 0;
		fd = next;
	}
}

static int export_whole(struct task *task)
{
	mfs_transfer_options options = {.struct_size = sizeof(options)};

	/* No other thread, whose stack would be a large one. */
	options.threads = 1;
	CHECK(mfs_export_to_dir(task->fs, task->path, task->other, &options) == 0);
	return 0;
}

/* With as many threads as it likes. */
static int export_in_parallel(struct task *task)
{
	CHECK(mfs_export_to_dir(task->fs, task->path, task->other, NULL) == 0);
	return 0;
}

static int import_whole(struct task *task)
{
	mfs_transfer_options options = {.struct_size = sizeof(options)};

	options.threads = 1;
	CHECK(mfs_import_from_dir(task->fs, task->other, task->path, &options) == 0);
	return 0;
}

static void the_host_gets_and_gives_deep_trees(void **state)
{
	mfs *fs = *state;
	char target[PATH_MAX + 8];

	make_deep(fs, "/a");
	(void)snprintf(target, sizeof(target), "%s/out", host_base);
	run_small(export_whole, fs, "/a", target);
	run_small(look_at_host, fs, NULL, target);
	/* Onto what is there. */
	run_small(export_in_parallel, fs, "/a", target);
	run_small(look_at_host, fs, NULL, target);
	run_small(import_whole, fs, "/b", target);
	run_small(look_at_marks, fs, "/b", NULL);
	assert_counts(fs, 2 * MARKS, 2 * LEVELS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deep_tree_is_made_and_freed),
		WORKSPACE_TEST(a_walk_goes_to_the_bottom),
		WORKSPACE_TEST(a_pattern_finds_what_is_at_the_bottom),
		WORKSPACE_TEST(a_copy_reaches_the_bottom),
		cmocka_unit_test(a_refusal_comes_back_from_the_bottom),
		WORKSPACE_TEST(the_top_is_renamed),
		WORKSPACE_TEST(an_export_in_steps_reaches_the_bottom),
		WORKSPACE_TEST(an_import_makes_deep_parents),
		WORKSPACE_TEST(a_tree_beyond_every_path_can_be_removed),
		cmocka_unit_test_setup_teardown(the_host_gets_and_gives_deep_trees, host_setup,
										host_teardown),
	};

	return cmocka_run_group_tests_name("deep trees", tests, NULL, NULL);
}
