/* SPDX-License-Identifier: MIT */
/*
 * Does a workspace answer like the kernel's filesystem in memory, call by call?
 *
 * Random calls go to a workspace and, as system calls, to a directory of a tmpfs. After each, the
 * answers are compared, and the state of all that the call named: kind, size, bytes, listing. From
 * time to time the whole trees are.
 *
 * Where a call has several reasons to be refused, no side promises which one it tells. Before each
 * call the reasons that hold are collected from the tmpfs; a refusal of the workspace must tell one
 * of them, or the one that the system tells. Where the two differ by design, the place says why.
 *
 * usage: test_differential [seed [calls]]
 */
#include "support.h"

#include "fs/filesystem.h"
#include "tree_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum {
	SKIPPED = 77,         /* exit code */
	CALLS = 100000,       /* by default */
	COMPARE_EVERY = 1000, /* calls between two comparisons of the whole trees */
	MAX_NODES = 150,      /* so that the limit is met, too */
	MAX_DEPTH = 4,        /* of the paths that are made up; what exists may be deeper */
	PATH_ROOM = 512,      /* for a path, far more than the trees are deep */
	LOG_LINES = 30,       /* calls that a mismatch prints */
	LOG_ROOM = 400,
	HANDLES = 5,        /* that stay open for some calls: the first one takes the file's lock */
	MOST_BYTES = 6000,  /* of one write */
	MOST_OFFSET = 8000, /* where one begins */
	MOST_ITEMS = 4,     /* of an import */
};

static uint64_t seed = UINT64_C(20240229);
static unsigned long calls_to_make = CALLS;

/* A name for the same thing on both sides. */
struct path {
	char canonical[PATH_ROOM];        /* "/a/b", "/" */
	char spelled[4 * PATH_ROOM + 32]; /* for the workspace, which folds more than the system does */
};

/* A file that is open on both sides. */
struct handle {
	mfs_file *file; /* NULL: none */
	int fd;
	bool reads;
	bool writes;
	bool shared;
	char path[PATH_ROOM]; /* as it was opened; of one that is not shared, until it is closed */
};

struct world {
	mfs *fs;
	int base; /* the directory of the tmpfs */
	char host[64];
	struct rng rng;
	struct handle handles[HANDLES];
	unsigned long step;
	char log[LOG_LINES][LOG_ROOM];
};

static struct world world;

/*
 * What is said when the two differ
 */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void mismatch(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Keep what the call is, for the case that it fails. */
static void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(world.log[world.step % LOG_LINES], LOG_ROOM, format, arguments);
	va_end(arguments);
}

static void mismatch(const char *format, ...)
{
	char message[1024];
	unsigned long first = world.step >= LOG_LINES ? world.step - LOG_LINES + 1 : 0;
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	print_error("seed %" PRIu64 ", the last calls:\n", seed);
	for (unsigned long step = first; step <= world.step; step++)
		print_error("%6lu  %s\n", step, world.log[step % LOG_LINES]);
	print_error("%s\n", message);
	fail();
}

static const char *name_of(int64_t code)
{
	return code < 0 ? mfs_error_name((int)code) : "success";
}

/*
 * Reasons to be refused
 */

struct causes {
	int64_t codes[24];
	size_t count;
	bool blocked;   /* a handle that has a file's lock is in the way: MFS_EBUSY, never success */
	bool no_nodes;  /* too few are left: MFS_ENODES, never success */
	bool may_block; /* MFS_EBUSY or not, which is not told */
	bool may_lack_nodes;
};

static void may_fail(struct causes *causes, int64_t code)
{
	assert_true(causes->count < COUNT_OF(causes->codes));
	if (code < 0)
		causes->codes[causes->count++] = code;
}

static bool has_cause(const struct causes *causes, int64_t code)
{
	for (size_t i = 0; i < causes->count; i++)
		if (causes->codes[i] == code)
			return true;
	return false;
}

/*
 * True when the workspace refused for a reason that only it has, so that the system is not asked.
 * There are two: handles that have a file's lock, which the system does not know, and the limit of
 * nodes, where the system would go on until the memory is used up.
 */
static bool is_own_refusal(const struct causes *causes, int64_t code)
{
	return (code == MFS_EBUSY && (causes->blocked || causes->may_block)) ||
		   (code == MFS_ENODES && (causes->no_nodes || causes->may_lack_nodes));
}

/* The two answers: the workspace's code or count, the system's count or -errno. */
static void judge(const struct causes *causes, int64_t code, int64_t host)
{
	if (code >= 0 && (causes->blocked || causes->no_nodes))
		mismatch("the workspace did what it had to refuse: %s", causes->blocked ? "busy" : "full");
	if (code == host || (code < 0 && host < 0 && has_cause(causes, code)))
		return;
	mismatch("the workspace answers %" PRId64 " (%s: %s), the system %" PRId64 " (%s)", code,
			 name_of(code), code < 0 ? mfs_last_error() : "", host,
			 host < 0 ? strerror((int)-host) : "success");
}

static int64_t host_result(int64_t result)
{
	return result < 0 ? -(int64_t)errno : result;
}

/*
 * Paths
 */

/* For system calls, from the base. */
static const char *host_path(const char *canonical)
{
	return canonical[1] == '\0' ? "." : canonical + 1;
}

static bool is_root(const char *canonical)
{
	return canonical[1] == '\0';
}

static bool same_path(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Does `path` name something below the directory `top`? */
static bool is_below(const char *path, const char *top)
{
	size_t length = is_root(top) ? 0 : strlen(top);

	return strncmp(path, top, length) == 0 && path[length] == '/' && path[length + 1] != '\0';
}

static void parent_of(const char *canonical, char parent[PATH_ROOM])
{
	const char *end = strrchr(canonical, '/');
	size_t length = (size_t)(end - canonical);

	memcpy(parent, canonical, length);
	parent[length] = '\0';
	if (length == 0)
		memcpy(parent, "/", 2);
}

static size_t chance(size_t bound)
{
	return rng_below(&world.rng, bound);
}

/* Names that begin alike, and few of them, so that calls meet. */
static const char *any_name(void)
{
	static const char *const names[] = {"a", "a", "b", "b", "c", "ab", "abc"};

	return names[chance(COUNT_OF(names))];
}

/* The same path with what the workspace drops, folds or reads as '/'. */
static void spell(struct path *path)
{
	const char *from = path->canonical;
	char *to = path->spelled;

	if (chance(4) != 0) {
		memcpy(to, from, strlen(from) + 1);
		return;
	}
	/* No leading separator: from the root all the same. */
	if (chance(4) == 0)
		from++;
	for (; *from != '\0'; from++) {
		static const char *const separators[] = {"//", "/./", "\\", "/nope/../", "/"};

		if (*from == '/')
			to = stpcpy(to, separators[chance(COUNT_OF(separators))]);
		else
			*to++ = *from;
	}
	if (chance(3) == 0)
		to = stpcpy(to, "/");
	*to = '\0';
}

/* Go down what exists as chance has it; to a directory, if nothing else will do. */
static void descend(char canonical[PATH_ROOM], bool to_directory)
{
	size_t length = 0;

	memcpy(canonical, "/", 2);
	while (length < PATH_ROOM / 2 && chance(length > 0 || to_directory ? 3 : 20) != 0) {
		size_t before = length;
		char **names = NULL;
		int64_t count = mfs_listdir(world.fs, canonical, &names);

		if (count > 0)
			length += (size_t)snprintf(canonical + length, PATH_ROOM - length, "/%s",
									   names[chance((size_t)count)]);
		mfs_names_free(names);
		if (count <= 0)
			return;
		if (to_directory && !mfs_is_dir(world.fs, canonical)) {
			canonical[before > 0 ? before : 1] = '\0';
			return;
		}
	}
}

static void append_name(char canonical[PATH_ROOM])
{
	size_t length = is_root(canonical) ? 0 : strlen(canonical);

	(void)snprintf(canonical + length, PATH_ROOM - length, "/%s", any_name());
}

/* What a call would like its path to be. It gets that often, and anything else now and then. */
enum wish { EXISTING, EXISTING_FILE, NEW };

static void any_path(struct path *path, enum wish wish)
{
	size_t length = 0;

	if (chance(4) == 0) {
		for (size_t depth = 1 + chance(MAX_DEPTH); depth > 0; depth--)
			length +=
				(size_t)snprintf(path->canonical + length, PATH_ROOM - length, "/%s", any_name());
	} else if (wish == NEW ? chance(8) == 0 : chance(8) != 0) {
		for (int tries = 0; tries < 4; tries++) {
			descend(path->canonical, false);
			if (wish != EXISTING_FILE || mfs_is_file(world.fs, path->canonical))
				break;
		}
	} else {
		descend(path->canonical, true);
		length = strlen(path->canonical);
		/* With some tries for a name that is free. */
		for (int tries = 0; tries < 3; tries++) {
			path->canonical[length] = '\0';
			append_name(path->canonical);
			if (!mfs_exists(world.fs, path->canonical))
				break;
		}
	}
	spell(path);
}

/*
 * Looking at the tmpfs
 */

/* Returns 0 and the figures, or -errno. */
static int64_t host_stat(const char *canonical, struct stat *out)
{
	return host_result(fstatat(world.base, host_path(canonical), out, AT_SYMLINK_NOFOLLOW));
}

static bool host_is_dir(const char *canonical)
{
	struct stat stat;

	return host_stat(canonical, &stat) == 0 && S_ISDIR(stat.st_mode);
}

static bool host_is_file(const char *canonical)
{
	struct stat stat;

	return host_stat(canonical, &stat) == 0 && S_ISREG(stat.st_mode);
}

static bool host_exists(const char *canonical)
{
	struct stat stat;

	return host_stat(canonical, &stat) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted. Returns how many, or -errno. */
static int64_t host_list(const char *canonical, struct paths *names)
{
	int fd = openat(world.base, host_path(canonical), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = NULL;
	const struct dirent *entry = NULL;

	if (fd < 0)
		return host_result(fd);
	dir = fdopendir(fd);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char *name = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		name = strdup(entry->d_name);
		assert_non_null(name);
		paths_push(names, name);
	}
	assert_int_equal(closedir(dir), 0);
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(*names->items), by_name);
	return (int64_t)names->count;
}

/*
 * All that is below a directory, each directory before what is in it, in the order of the names.
 * The directory itself is not among it.
 */
static void host_tree(const char *top, struct paths *tree)
{
	struct paths left = {.items = NULL};
	char *first = strdup(top);

	assert_non_null(first);
	paths_push(&left, first);
	while (left.count > 0) {
		char *path = paths_pop(&left);
		struct paths names = {.items = NULL};

		if (host_list(path, &names) >= 0)
			while (names.count > 0) {
				char *name = paths_pop(&names);

				paths_push(&left, joined(is_root(path) ? "" : path, name));
				free(name);
			}
		paths_free(&names);
		if (same_path(path, top))
			free(path);
		else
			paths_push(tree, path);
	}
	paths_free(&left);
}

/* A file's bytes. Returns the size, or -errno. */
static int64_t host_read(const char *canonical, unsigned char **out)
{
	int fd = openat(world.base, host_path(canonical), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat stat;
	ssize_t size = 0;

	*out = NULL;
	if (fd < 0)
		return host_result(fd);
	assert_int_equal(fstat(fd, &stat), 0);
	if (S_ISDIR(stat.st_mode)) {
		assert_int_equal(close(fd), 0);
		return -EISDIR;
	}
	*out = allocate((size_t)stat.st_size + 1);
	size = read(fd, *out, (size_t)stat.st_size + 1);
	assert_int_equal(size, stat.st_size);
	assert_int_equal(close(fd), 0);
	return size;
}

/* Makes a file. Returns 0 or -errno. */
static int64_t host_write(const char *canonical, const void *bytes, size_t size)
{
	int fd = openat(world.base, host_path(canonical),
					O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return host_result(fd);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(close(fd), 0);
	return 0;
}

static void host_remove(const char *canonical)
{
	int flags = host_is_dir(canonical) ? AT_REMOVEDIR : 0;

	assert_int_equal(unlinkat(world.base, host_path(canonical), flags), 0);
}

/* Removes all that is below. */
static void host_clear(const char *top)
{
	struct paths tree = {.items = NULL};

	host_tree(top, &tree);
	while (tree.count > 0) {
		char *path = paths_pop(&tree);

		host_remove(path);
		free(path);
	}
	paths_free(&tree);
}

/*
 * Makes the directories that lead to a path, and with `whole` its last one: mkdir -p. Those that it
 * made come into `made`, to be taken back. Returns 0 or -errno.
 */
static int64_t host_make_parents(const char *canonical, bool whole, struct paths *made)
{
	char path[PATH_ROOM];

	(void)snprintf(path, sizeof(path), "%s", canonical);
	for (size_t i = 1; path[0] != '\0' && !is_root(canonical); i++) {
		char end = path[i];

		if (end == '\0' && !whole)
			return 0;
		if (end != '/' && end != '\0')
			continue;
		path[i] = '\0';
		if (mkdirat(world.base, host_path(path), 0700) == 0)
			paths_push(made, strdup(path));
		else if (errno != EEXIST)
			return -(int64_t)errno;
		else if (!host_is_dir(path))
			return -ENOTDIR;
		if (end == '\0')
			return 0;
		path[i] = end;
	}
	return 0;
}

static void host_take_back(struct paths *made)
{
	while (made->count > 0) {
		char *path = paths_pop(made);

		host_remove(path);
		free(path);
	}
}

/* How many directories mkdir -p would make. */
static size_t missing_parents(const char *canonical, bool whole)
{
	char path[PATH_ROOM];
	size_t missing = 0;

	(void)snprintf(path, sizeof(path), "%s", canonical);
	if (is_root(path))
		return 0;
	if (!whole)
		parent_of(canonical, path);
	while (!is_root(path) && !host_exists(path)) {
		char parent[PATH_ROOM];

		missing++;
		parent_of(path, parent);
		memcpy(path, parent, sizeof(path));
	}
	return missing;
}

/*
 * What holds before a call
 */

static void lookup_may_fail(struct causes *causes, const char *canonical)
{
	struct stat stat;

	may_fail(causes, host_stat(canonical, &stat));
}

/* The parent is missing or a file. The root has none, and nothing can be in its place. */
static void parent_may_fail(struct causes *causes, const char *canonical)
{
	char parent[PATH_ROOM];
	struct stat stat;
	int64_t code = 0;

	parent_of(canonical, parent);
	code = host_stat(parent, &stat);
	if (code == 0 && !S_ISDIR(stat.st_mode))
		code = -ENOTDIR;
	may_fail(causes, code);
}

static void nodes_may_lack(struct causes *causes, size_t needed)
{
	mfs_usage usage = usage_of(world.fs);

	causes->no_nodes = usage.files + usage.directories + needed > MAX_NODES;
}

/* The handle that has a file's lock, or NULL. */
static const struct handle *holder(void)
{
	return world.handles[0].file != NULL ? &world.handles[0] : NULL;
}

static bool is_held(const char *canonical)
{
	return holder() != NULL && same_path(holder()->path, canonical);
}

static bool is_held_at_or_below(const char *canonical)
{
	return holder() != NULL &&
		   (same_path(holder()->path, canonical) || is_below(holder()->path, canonical));
}

/* The held file may not even be read. */
static bool is_held_for_writing(void)
{
	return holder() != NULL && holder()->writes;
}

/*
 * Comparing
 */

static void compare_bytes(const char *canonical)
{
	unsigned char *bytes = NULL;
	int64_t size = host_read(canonical, &bytes);
	unsigned char *got = allocate((size_t)size + 1);
	mfs_file *file = NULL;
	int code = open_with(world.fs, canonical, "rb", 0, MFS_NO_WAIT, &file);

	if (code == MFS_EBUSY && is_held(canonical) && is_held_for_writing()) {
		/* Compared when the handle is closed. */
	} else if (code != 0) {
		mismatch("%s cannot be opened to be compared: %s", canonical, name_of(code));
	} else {
		int64_t count = mfs_pread(file, got, (size_t)size + 1, 0);

		if (count != size || (bytes && memcmp(got, bytes, (size_t)size) != 0))
			mismatch("%s does not hold what it should: %" PRId64 " bytes, should be %" PRId64,
					 canonical, count, size);
		close_file(file);
	}
	free(bytes);
	free(got);
}

static void compare_listing(const char *canonical)
{
	struct paths names = {.items = NULL};
	char **got = NULL;
	int64_t count = host_list(canonical, &names);
	int64_t code = mfs_listdir(world.fs, canonical, &got);

	if (code != count)
		mismatch("listing %s: %" PRId64 ", should be %" PRId64, canonical, code, count);
	for (int64_t i = 0; i < count; i++)
		if (strcmp(got[i], names.items[i]) != 0)
			mismatch("listing %s: \"%s\", should be \"%s\"", canonical, got[i], names.items[i]);
	mfs_names_free(got);
	paths_free(&names);
}

/* Kind, size, and bytes or names. */
static void compare_path(const char *canonical)
{
	struct stat stat;
	mfs_info info;
	int64_t host = host_stat(canonical, &stat);
	int code = mfs_stat(world.fs, canonical, &info);

	if (code != host)
		mismatch("stat of %s gives %s, should be %s", canonical, name_of(code), name_of(host));
	if (code != 0)
		return;
	if (info.is_dir != S_ISDIR(stat.st_mode))
		mismatch("%s is a %s", canonical, info.is_dir ? "directory" : "file");
	if (info.is_dir) {
		compare_listing(canonical);
		return;
	}
	if (info.size != stat.st_size)
		mismatch("%s has %" PRId64 " bytes, should be %" PRId64, canonical, info.size,
				 (int64_t)stat.st_size);
	compare_bytes(canonical);
}

static void compare_path_and_parent(const char *canonical)
{
	char parent[PATH_ROOM];

	compare_path(canonical);
	parent_of(canonical, parent);
	compare_path(parent);
}

/* The walk meets exactly the directories of the tmpfs, in order, with their names by kinds. */
static void compare_walk(const struct paths *tree)
{
	mfs_walk *walk = NULL;
	mfs_walk_level level;
	size_t at = 0;
	int code = 0;
	const char *want = "/";

	assert_code(mfs_walk_open(world.fs, "/", &walk), 0);
	while ((code = mfs_walk_next(walk, &level)) == 1) {
		struct paths names = {.items = NULL};
		size_t directories = 0;
		size_t files = 0;

		if (want == NULL) {
			mismatch("the walk is at %s, should be at its end", level.path);
			break;
		}
		if (!same_path(level.path, want))
			mismatch("the walk is at %s, should be at %s", level.path, want);
		(void)host_list(want, &names);
		for (size_t i = 0; i < names.count; i++) {
			char *child = joined(is_root(want) ? "" : want, names.items[i]);
			bool is_dir = host_is_dir(child);
			size_t index = is_dir ? directories++ : files++;
			size_t count = is_dir ? level.directory_count : level.file_count;
			const char *const *got = is_dir ? level.directories : level.files;

			if (index >= count || strcmp(got[index], names.items[i]) != 0)
				mismatch("the walk lacks %s", child);
			free(child);
		}
		if (directories != level.directory_count || files != level.file_count)
			mismatch("the walk finds too much in %s", want);
		paths_free(&names);
		while (at < tree->count && !host_is_dir(tree->items[at]))
			at++;
		want = at < tree->count ? tree->items[at++] : NULL;
	}
	assert_code(code, 0);
	if (want != NULL)
		mismatch("the walk ends before %s", want);
	assert_code(mfs_walk_close(walk), 0);
}

static void close_handle(struct handle *handle)
{
	if (handle->file == NULL)
		return;
	assert_code(mfs_close(handle->file), 0);
	assert_int_equal(close(handle->fd), 0);
	handle->file = NULL;
}

/* Nothing is open; everything is compared, and the library checks itself. */
static void compare_trees(void)
{
	struct paths tree = {.items = NULL};
	mfs_usage usage;
	size_t directories = 0;

	for (int i = 0; i < HANDLES; i++)
		close_handle(&world.handles[i]);
	host_tree("/", &tree);
	compare_path("/");
	for (size_t i = 0; i < tree.count; i++) {
		compare_path(tree.items[i]);
		directories += host_is_dir(tree.items[i]);
	}
	compare_walk(&tree);
	usage = usage_of(world.fs);
	if (usage.directories != directories || usage.files != tree.count - directories)
		mismatch("%" PRIu64 " files and %" PRIu64 " directories are counted, there are %zu and %zu",
				 usage.files, usage.directories, tree.count - directories, directories);
	if (!mfs__validate(world.fs))
		mismatch("the workspace is not sound");
	paths_free(&tree);
}

/*
 * The calls. Each returns what the workspace answered.
 */

static int64_t play_mkdir(void)
{
	struct path path;
	struct causes causes = {.count = 0};
	struct paths made = {.items = NULL};
	unsigned flags = chance(2) == 0 ? MFS_EXIST_OK : 0;
	bool existed = false;
	int64_t host = 0;
	int code = 0;

	any_path(&path, NEW);
	note("mkdir %s%s", path.spelled, flags ? " EXIST_OK" : "");
	existed = host_exists(path.canonical);
	nodes_may_lack(&causes, missing_parents(path.canonical, true));
	/* No room is needed where a file is in the way. */
	if (causes.no_nodes) {
		struct stat stat;

		if (host_stat(path.canonical, &stat) == -ENOTDIR) {
			causes.no_nodes = false;
			causes.may_lack_nodes = true;
			may_fail(&causes, MFS_ENOTDIR);
		}
	}
	code = mfs_mkdir(world.fs, path.spelled, flags);
	if (is_own_refusal(&causes, code))
		goto out;
	if (!existed)
		host = host_make_parents(path.canonical, true, &made);
	else if (!flags || !host_is_dir(path.canonical))
		host = -EEXIST;
	judge(&causes, code, host);
out:
	paths_free(&made);
	compare_path_and_parent(path.canonical);
	return code;
}

struct mode {
	const char *name;
	int flags;
	bool reads;
	bool writes;
};

static const struct mode modes[] = {
	{"rb", O_RDONLY, true, false},
	{"r+b", O_RDWR, true, true},
	{"wb", O_WRONLY | O_CREAT | O_TRUNC, false, true},
	{"ab", O_WRONLY | O_CREAT | O_APPEND, false, true},
	{"xb", O_WRONLY | O_CREAT | O_EXCL, false, true},
	{"w+b", O_RDWR | O_CREAT | O_TRUNC, true, true},
	{"a+b", O_RDWR | O_CREAT | O_APPEND, true, true},
	{"x+b", O_RDWR | O_CREAT | O_EXCL, true, true},
};

/* Opens on both sides, into a handle that is closed. */
static int64_t open_both(struct handle *handle, const struct path *path, const struct mode *mode,
						 bool shared)
{
	struct causes causes = {.count = 0};
	struct stat stat;
	int64_t found = host_stat(path->canonical, &stat);
	int64_t host = 0;
	int code = 0;

	if (found == 0 && S_ISDIR(stat.st_mode))
		may_fail(&causes, MFS_EISDIR);
	/* A shared handle takes the lock for each call, of which emptying the file is one. */
	if (is_held(path->canonical) && !(mode->flags & O_EXCL) &&
		(shared ? (mode->flags & O_TRUNC) != 0 : mode->writes || is_held_for_writing()))
		causes.blocked = true;
	if (found == -ENOENT && (mode->flags & O_CREAT)) {
		char parent[PATH_ROOM];

		parent_of(path->canonical, parent);
		if (host_is_dir(parent))
			nodes_may_lack(&causes, 1);
	}
	code = open_with(world.fs, path->spelled, mode->name, shared ? MFS_O_SHARED : 0, MFS_NO_WAIT,
					 &handle->file);
	if (code != 0)
		handle->file = NULL;
	if (is_own_refusal(&causes, code))
		return code;
	handle->fd =
		openat(world.base, host_path(path->canonical), mode->flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	host = handle->fd < 0 ? host_result(handle->fd) : 0;
	/* The system opens directories for reading; the workspace has other calls for them. */
	if (handle->fd >= 0 && found == 0 && S_ISDIR(stat.st_mode)) {
		assert_int_equal(close(handle->fd), 0);
		host = -EISDIR;
	}
	judge(&causes, code, host);
	handle->reads = mode->reads;
	handle->writes = mode->writes;
	handle->shared = shared;
	(void)snprintf(handle->path, sizeof(handle->path), "%s", path->canonical);
	return code;
}

static void any_bytes(unsigned char *bytes, size_t *size)
{
	*size = 1 + chance(chance(10) == 0 ? MOST_BYTES : 40);
	rng_fill(&world.rng, bytes, *size);
}

static int64_t any_offset(void)
{
	return (int64_t)chance(chance(8) == 0 ? MOST_OFFSET : 60);
}

/* Is the file of this shared handle held by the other one, so that its calls cannot have it? */
static bool is_kept_from(const struct handle *handle, bool writes)
{
	struct stat own;
	struct stat held;

	if (holder() == NULL || holder() == handle || !handle->shared)
		return false;
	assert_int_equal(fstat(handle->fd, &own), 0);
	assert_int_equal(fstat(holder()->fd, &held), 0);
	return own.st_ino == held.st_ino && (writes || holder()->writes);
}

static int64_t read_both(struct handle *handle, bool at_offset)
{
	static unsigned char got[MOST_BYTES];
	static unsigned char want[MOST_BYTES];
	struct causes causes = {.blocked = handle->reads && is_kept_from(handle, false)};
	size_t size = 1 + chance(chance(4) == 0 ? MOST_BYTES : 40);
	int64_t offset = any_offset();
	int64_t host = 0;
	int64_t code = 0;

	note("%s of %zu bytes from %s at %" PRId64, at_offset ? "pread" : "read", size, handle->path,
		 at_offset ? offset : -1);
	code =
		at_offset ? mfs_pread(handle->file, got, size, offset) : mfs_read(handle->file, got, size);
	if (is_own_refusal(&causes, code))
		return code;
	host = host_result(at_offset ? pread(handle->fd, want, size, offset)
								 : read(handle->fd, want, size));
	judge(&causes, code, host);
	if (code > 0 && memcmp(got, want, (size_t)code) != 0)
		mismatch("the bytes are not the same");
	return code;
}

static int64_t write_both(struct handle *handle, bool at_offset)
{
	static unsigned char bytes[MOST_BYTES];
	struct causes causes = {.blocked = handle->writes && is_kept_from(handle, true)};
	size_t size = 0;
	int64_t offset = any_offset();
	int64_t host = 0;
	int64_t code = 0;

	any_bytes(bytes, &size);
	note("%s of %zu bytes to %s at %" PRId64, at_offset ? "pwrite" : "write", size, handle->path,
		 at_offset ? offset : -1);
	code = at_offset ? mfs_pwrite(handle->file, bytes, size, offset)
					 : mfs_write(handle->file, bytes, size);
	if (is_own_refusal(&causes, code))
		return code;
	/* The system, too, appends with pwrite() where the file was opened to append. */
	host = host_result(at_offset ? pwrite(handle->fd, bytes, size, offset)
								 : write(handle->fd, bytes, size));
	judge(&causes, code, host);
	return code;
}

static int64_t seek_both(struct handle *handle)
{
	/* Where the end is, only the file's lock can tell. */
	static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
	int whence = whences[chance(COUNT_OF(whences))];
	struct causes causes = {.may_block = whence == SEEK_END && is_kept_from(handle, false)};
	int64_t offset = any_offset();
	int64_t host = 0;
	int64_t code = 0;

	if (whence == SEEK_END || (whence == SEEK_CUR && chance(2) == 0))
		offset = -offset;
	note("seek in %s to %" PRId64 ", whence %d", handle->path, offset, whence);
	code = mfs_seek(handle->file, offset, whence);
	if (is_own_refusal(&causes, code))
		return code;
	host = host_result(lseek(handle->fd, offset, whence));
	judge(&causes, code, host);
	return code;
}

static int64_t truncate_both(struct handle *handle)
{
	struct causes causes = {.blocked = handle->writes && is_kept_from(handle, true)};
	struct stat before;
	int64_t size = any_offset();
	int64_t host = 0;
	int64_t code = 0;

	assert_int_equal(fstat(handle->fd, &before), 0);
	note("truncate of %s to %" PRId64, handle->path, size);
	code = mfs_truncate(handle->file, size);
	if (is_own_refusal(&causes, code))
		return code;
	host = host_result(ftruncate(handle->fd, size));
	/* The system has EINVAL for a descriptor that is not for writing, here it is as for write. */
	if (host == -EINVAL && !handle->writes)
		host = -EBADF;
	judge(&causes, code, host);
	/* Here a cursor beyond a shorter file's end moves to it; the system leaves it where it was. */
	if (code == 0 && size < before.st_size && lseek(handle->fd, 0, SEEK_CUR) > size)
		assert_int_equal(lseek(handle->fd, size, SEEK_SET), size);
	return code;
}

static int64_t use_handle(struct handle *handle)
{
	int64_t code = 0;
	int64_t cursor = 0;

	switch (chance(8)) {
	case 0:
	case 1:
		code = read_both(handle, false);
		break;
	case 2:
		code = read_both(handle, true);
		break;
	case 3:
	case 4:
		code = write_both(handle, false);
		break;
	case 5:
		code = write_both(handle, true);
		break;
	case 6:
		code = seek_both(handle);
		break;
	default:
		code = truncate_both(handle);
		break;
	}
	cursor = lseek(handle->fd, 0, SEEK_CUR);
	if (mfs_tell(handle->file) != cursor)
		mismatch("the cursor is at %" PRId64 ", should be at %" PRId64, mfs_tell(handle->file),
				 cursor);
	return code;
}

/* Open, use, close. */
static int64_t play_file(void)
{
	struct path path;
	const struct mode *mode = &modes[chance(COUNT_OF(modes))];
	bool shared = chance(2) == 0;
	struct handle handle = {.file = NULL};
	int64_t code = 0;

	any_path(&path, mode->flags & O_CREAT ? NEW : EXISTING_FILE);
	note("open %s \"%s\"%s", path.spelled, mode->name, shared ? " SHARED" : "");
	code = open_both(&handle, &path, mode, shared);
	if (code == 0) {
		for (size_t uses = chance(4); uses > 0; uses--) {
			world.step++;
			(void)use_handle(&handle);
		}
		close_handle(&handle);
	}
	compare_path_and_parent(path.canonical);
	return code;
}

/* A handle that stays open while other calls are made: a new one, or one that is there. */
static int64_t play_handle(void)
{
	size_t index = chance(HANDLES);
	struct handle *handle = &world.handles[index];
	struct path path;
	const struct mode *mode = &modes[chance(COUNT_OF(modes))];
	int64_t code = 0;

	if (handle->file == NULL) {
		any_path(&path, mode->flags & O_EXCL ? NEW : EXISTING_FILE);
		note("open %s \"%s\"%s to keep it open", path.spelled, mode->name,
			 index > 0 ? " SHARED" : "");
		code = open_both(handle, &path, mode, index > 0);
	} else if (chance(index == 0 ? 3 : 6) == 0) {
		note("close %s", handle->path);
		(void)snprintf(path.canonical, sizeof(path.canonical), "%s", handle->path);
		close_handle(handle);
	} else {
		code = use_handle(handle);
		(void)snprintf(path.canonical, sizeof(path.canonical), "%s", handle->path);
	}
	compare_path_and_parent(path.canonical);
	return code;
}

static int64_t play_remove(void)
{
	struct path path;
	struct causes causes = {.count = 0};
	int64_t host = 0;
	int code = 0;

	any_path(&path, EXISTING);
	note("remove %s", path.spelled);
	causes.blocked = is_held(path.canonical);
	code = mfs_remove(world.fs, path.spelled);
	if (!is_own_refusal(&causes, code)) {
		/* One call here, unlink() and rmdir() there; ".", the root, is EINVAL there, too. */
		int flags = host_is_dir(path.canonical) ? AT_REMOVEDIR : 0;

		host = host_result(unlinkat(world.base, host_path(path.canonical), flags));
		judge(&causes, code, host);
	}
	compare_path_and_parent(path.canonical);
	return code;
}

static int64_t play_rmtree(void)
{
	struct path path;
	struct causes causes = {.count = 0};
	struct stat stat;
	int64_t host = 0;
	int code = 0;

	any_path(&path, EXISTING);
	note("rmtree %s", path.spelled);
	if (is_root(path.canonical))
		may_fail(&causes, MFS_EINVAL);
	else
		causes.blocked = is_held_at_or_below(path.canonical);
	host = is_root(path.canonical) ? -EINVAL : host_stat(path.canonical, &stat);
	code = mfs_rmtree(world.fs, path.spelled);
	if (!is_own_refusal(&causes, code)) {
		judge(&causes, code, host);
		if (code == 0) {
			host_clear(path.canonical);
			host_remove(path.canonical);
		}
	}
	compare_path_and_parent(path.canonical);
	return code;
}

/*
 * What may be wrong with a rename. The workspace looks at `from` first, whole; the system at both
 * parents first. Neither promises an order.
 */
static void rename_may_fail(struct causes *causes, const char *from, const char *to, unsigned flags,
							bool makes_parents)
{
	bool from_is_dir = host_is_dir(from);
	bool to_is_dir = host_is_dir(to);
	bool exchange = (flags & MFS_RENAME_EXCHANGE) != 0;

	lookup_may_fail(causes, from);
	if (is_root(from) || is_root(to))
		may_fail(causes, MFS_EINVAL);
	if (!makes_parents || host_is_file(to))
		parent_may_fail(causes, to);
	if (exchange)
		lookup_may_fail(causes, to);
	if (flags == 0 && host_exists(to))
		may_fail(causes, MFS_EEXIST);
	if ((from_is_dir && is_below(to, from)) || (exchange && to_is_dir && is_below(from, to)))
		may_fail(causes, MFS_EINVAL);
	if (flags == MFS_RENAME_REPLACE && from_is_dir && host_is_file(to))
		may_fail(causes, MFS_ENOTDIR);
	if (flags == MFS_RENAME_REPLACE && host_is_file(from) && to_is_dir)
		may_fail(causes, MFS_EISDIR);
	/* The same thing under both names: nothing is done that could be in a handle's way. */
	if (same_path(from, to) && flags != 0) {
		causes->may_block = is_held_at_or_below(from);
		return;
	}
	causes->blocked = is_held_at_or_below(from) || (exchange && is_held_at_or_below(to)) ||
					  (flags == MFS_RENAME_REPLACE && is_held(to));
}

static int64_t host_rename(const char *from, const char *to, unsigned flags)
{
	unsigned system_flags = flags == 0                     ? RENAME_NOREPLACE
							: flags == MFS_RENAME_EXCHANGE ? RENAME_EXCHANGE
														   : 0;

	/* The system has EBUSY for ".", whatever the other name. */
	if (is_root(from) || is_root(to))
		return -EINVAL;
	return host_result(
		renameat2(world.base, host_path(from), world.base, host_path(to), system_flags));
}

/* Now and then both names are the same, or one lies below the other. */
static void any_two_paths(struct path *from, enum wish from_wish, struct path *to,
						  enum wish to_wish)
{
	any_path(from, from_wish);
	any_path(to, to_wish);
	if (chance(12) == 0) {
		memcpy(to->canonical, from->canonical, PATH_ROOM);
		spell(to);
	} else if (chance(10) == 0) {
		memcpy(to->canonical, from->canonical, PATH_ROOM);
		if (strlen(to->canonical) < PATH_ROOM / 2)
			append_name(to->canonical);
		spell(to);
	}
}

static int64_t play_rename(void)
{
	static const unsigned all_flags[] = {0, MFS_RENAME_REPLACE, MFS_RENAME_EXCHANGE};
	struct path from;
	struct path to;
	struct causes causes = {.count = 0};
	unsigned flags = all_flags[chance(COUNT_OF(all_flags))];
	int code = 0;

	any_two_paths(&from, EXISTING, &to, flags == 0 ? NEW : EXISTING);
	note("rename %s %s flags %u", from.spelled, to.spelled, flags);
	rename_may_fail(&causes, from.canonical, to.canonical, flags, false);
	code = mfs_rename(world.fs, from.spelled, to.spelled, flags);
	if (!is_own_refusal(&causes, code))
		judge(&causes, code, host_rename(from.canonical, to.canonical, flags));
	compare_path_and_parent(from.canonical);
	compare_path_and_parent(to.canonical);
	return code;
}

static int64_t play_move(void)
{
	struct path from;
	struct path to;
	struct causes causes = {.count = 0};
	struct paths made = {.items = NULL};
	struct stat stat;
	unsigned flags = chance(2) == 0 ? MFS_RENAME_REPLACE : 0;
	int64_t host = 0;
	int code = 0;

	any_two_paths(&from, EXISTING, &to, flags == 0 ? NEW : EXISTING);
	note("move %s %s flags %u", from.spelled, to.spelled, flags);
	rename_may_fail(&causes, from.canonical, to.canonical, flags, true);
	/* mkdir -p and rename, as far as it goes; taken back if it does not. */
	host = host_stat(from.canonical, &stat);
	if (host == 0 && (is_root(from.canonical) || is_root(to.canonical)))
		host = -EINVAL;
	if (host == 0)
		host = host_make_parents(to.canonical, false, &made);
	host_take_back(&made);
	may_fail(&causes, host);
	/* Too few nodes keep it from success only if nothing else does. */
	nodes_may_lack(&causes, missing_parents(to.canonical, false));
	if (causes.count > 0 && causes.no_nodes) {
		causes.no_nodes = false;
		causes.may_lack_nodes = true;
	}
	code = mfs_move(world.fs, from.spelled, to.spelled, flags);
	if (!is_own_refusal(&causes, code)) {
		if (host == 0)
			host = host_make_parents(to.canonical, false, &made);
		if (host == 0)
			host = host_rename(from.canonical, to.canonical, flags);
		if (host != 0)
			host_take_back(&made);
		judge(&causes, code, host);
	}
	paths_free(&made);
	compare_path_and_parent(from.canonical);
	compare_path_and_parent(to.canonical);
	return code;
}

static int64_t play_copy(void)
{
	struct path from;
	struct path to;
	struct causes causes = {.count = 0};
	unsigned char *bytes = NULL;
	int64_t host = 0;
	int code = 0;

	any_two_paths(&from, EXISTING_FILE, &to, NEW);
	note("copy %s %s", from.spelled, to.spelled);
	host = host_read(from.canonical, &bytes);
	may_fail(&causes, host < 0 ? host : 0);
	parent_may_fail(&causes, to.canonical);
	if (host_exists(to.canonical))
		may_fail(&causes, MFS_EEXIST);
	if (is_root(from.canonical) || is_root(to.canonical))
		may_fail(&causes, MFS_EINVAL);
	causes.blocked = is_held(from.canonical) && is_held_for_writing();
	if (causes.count == 0)
		nodes_may_lack(&causes, 1);
	else
		causes.may_lack_nodes = true;
	code = mfs_copy(world.fs, from.spelled, to.spelled);
	if (!is_own_refusal(&causes, code)) {
		if (host >= 0)
			host = host_write(to.canonical, bytes, (size_t)host);
		judge(&causes, code, host);
	}
	free(bytes);
	compare_path_and_parent(from.canonical);
	compare_path_and_parent(to.canonical);
	return code;
}

/* The tree below `from`, as it was listed, once more below `to`. */
static int64_t host_copy_tree(const char *from, const char *to, const struct paths *tree)
{
	int64_t host = host_result(mkdirat(world.base, host_path(to), 0700));

	for (size_t i = 0; host == 0 && i < tree->count; i++) {
		char *copy = joined(to, tree->items[i] + strlen(from) + 1);
		unsigned char *bytes = NULL;

		if (host_is_dir(tree->items[i])) {
			host = host_result(mkdirat(world.base, host_path(copy), 0700));
		} else {
			int64_t size = host_read(tree->items[i], &bytes);

			assert_true(size >= 0);
			host = host_write(copy, bytes, (size_t)size);
		}
		free(bytes);
		free(copy);
	}
	return host;
}

static int64_t play_copy_tree(void)
{
	struct path from;
	struct path to;
	struct causes causes = {.count = 0};
	struct paths tree = {.items = NULL};
	int64_t host = 0;
	int code = 0;

	any_two_paths(&from, EXISTING, &to, NEW);
	note("copy_tree %s %s", from.spelled, to.spelled);
	lookup_may_fail(&causes, from.canonical);
	if (host_is_file(from.canonical))
		may_fail(&causes, MFS_ENOTDIR);
	parent_may_fail(&causes, to.canonical);
	if (host_exists(to.canonical))
		may_fail(&causes, MFS_EEXIST);
	/* No system call copies trees: cp -r refuses these, too. */
	if (is_root(from.canonical) || is_root(to.canonical) ||
		(host_is_dir(from.canonical) &&
		 (is_below(to.canonical, from.canonical) || same_path(to.canonical, from.canonical))))
		may_fail(&causes, MFS_EINVAL);
	host_tree(from.canonical, &tree);
	causes.blocked = is_held_at_or_below(from.canonical) && is_held_for_writing();
	if (causes.count == 0)
		nodes_may_lack(&causes, tree.count + 1);
	else
		causes.may_lack_nodes = true;
	if (causes.count > 0)
		host = causes.codes[0];
	code = mfs_copy_tree(world.fs, from.spelled, to.spelled);
	if (!is_own_refusal(&causes, code)) {
		if (host == 0 && code == 0)
			host = host_copy_tree(from.canonical, to.canonical, &tree);
		judge(&causes, code, host);
	}
	if (code == 0)
		for (size_t i = 0; i < tree.count; i++) {
			char *copy = joined(to.canonical, tree.items[i] + strlen(from.canonical) + 1);

			compare_path(copy);
			free(copy);
		}
	paths_free(&tree);
	compare_path_and_parent(from.canonical);
	compare_path_and_parent(to.canonical);
	return code;
}

/* An item of an import, with its bytes. */
struct import_item {
	struct path path;
	unsigned char bytes[64];
	size_t size;
	bool is_dir;
};

/* Is there a file at one of the paths above this one? */
static bool is_below_a_file(const char *path)
{
	char above[PATH_ROOM];

	for (memcpy(above, path, sizeof(above)); !is_root(above);) {
		char parent[PATH_ROOM];

		parent_of(above, parent);
		memcpy(above, parent, sizeof(above));
		if (host_is_file(above))
			return true;
	}
	return false;
}

/* What one item may be refused for by what is there. */
static void item_may_clash(struct causes *causes, const struct import_item *item)
{
	const char *path = item->path.canonical;

	if (!item->is_dir) {
		if (!is_root(path) && host_is_dir(path))
			may_fail(causes, MFS_EISDIR);
		if (is_held(path))
			causes->blocked = true;
	} else if (host_is_file(path)) {
		may_fail(causes, MFS_ENOTDIR);
	}
	if (is_below_a_file(path))
		may_fail(causes, MFS_ENOTDIR);
}

/* What one item may be refused for by itself and by the others. */
static void item_may_fail(struct causes *causes, const struct import_item *items, size_t count,
						  size_t index)
{
	const struct import_item *item = &items[index];
	const char *path = item->path.canonical;

	if (!item->is_dir && is_root(path)) {
		may_fail(causes, MFS_EINVAL);
		may_fail(causes, MFS_EISDIR);
	}
	for (size_t i = 0; i < count; i++) {
		const struct import_item *other = &items[i];

		if (i == index || other->is_dir)
			continue;
		if (same_path(path, other->path.canonical)) {
			may_fail(causes, MFS_EEXIST);
			if (item->is_dir) {
				/* A file and a directory by one name: which one is wrong is not told. */
				may_fail(causes, MFS_ENOTDIR);
				may_fail(causes, MFS_EISDIR);
			}
		} else if (is_below(path, other->path.canonical)) {
			may_fail(causes, MFS_ENOTDIR);
			may_fail(causes, MFS_EISDIR);
		}
	}
}

/* What does not exist yet of the items and their parents, each once. */
static size_t count_new_nodes(const struct import_item *items, size_t count, size_t *replaced)
{
	struct paths seen = {.items = NULL};
	size_t total = 0;

	*replaced = 0;
	for (size_t i = 0; i < count; i++) {
		char path[PATH_ROOM];

		memcpy(path, items[i].path.canonical, sizeof(path));
		*replaced += !items[i].is_dir && host_is_file(path);
		while (!is_root(path) && !host_exists(path)) {
			char parent[PATH_ROOM];
			bool known = false;

			for (size_t k = 0; k < seen.count; k++)
				known = known || same_path(seen.items[k], path);
			if (!known)
				paths_push(&seen, strdup(path));
			parent_of(path, parent);
			memcpy(path, parent, sizeof(path));
		}
	}
	total = seen.count;
	paths_free(&seen);
	return total;
}

/* What handles have open stays theirs, so that the file is a new one. */
static void host_import(const struct import_item *item)
{
	const char *path = item->path.canonical;
	struct paths made = {.items = NULL};

	assert_int_equal(host_make_parents(path, item->is_dir, &made), 0);
	paths_free(&made);
	if (item->is_dir)
		return;
	if (host_exists(path))
		host_remove(path);
	assert_int_equal(host_write(path, item->bytes, item->size), 0);
}

/* An item, often in or below the one that came before. */
static void draw_item(struct import_item *item, const struct import_item *before)
{
	any_path(&item->path, chance(3) == 0 ? EXISTING : NEW);
	if (before != NULL && chance(3) == 0) {
		memcpy(item->path.canonical, before->path.canonical, PATH_ROOM);
		if (chance(4) != 0 && strlen(item->path.canonical) < PATH_ROOM / 2)
			append_name(item->path.canonical);
		spell(&item->path);
	}
	item->is_dir = chance(3) == 0;
	item->size = item->is_dir ? 0 : chance(sizeof(item->bytes) + 1);
	rng_fill(&world.rng, item->bytes, item->size);
}

/* Draws items, and tells them. Returns how many. */
static size_t draw_items(struct import_item items[MOST_ITEMS], const char *call)
{
	size_t count = 1 + chance(MOST_ITEMS);
	size_t length = 0;
	char text[LOG_ROOM] = "";

	for (size_t i = 0; i < count; i++) {
		struct import_item *item = &items[i];

		draw_item(item, i > 0 ? &items[i - 1] : NULL);
		if (length < sizeof(text))
			length += (size_t)snprintf(text + length, sizeof(text) - length, " %s%s",
									   item->path.spelled, item->is_dir ? "(directory)" : "");
	}
	note("%s%s", call, text);
	return count;
}

/* Adds causes to those that are known, each code once. */
static void add_causes(struct causes *causes, const struct causes *more)
{
	causes->blocked = causes->blocked || more->blocked;
	for (size_t i = 0; i < more->count; i++)
		if (!has_cause(causes, more->codes[i]))
			may_fail(causes, more->codes[i]);
}

/* What the items may be refused for together, those that clash with what is there among them. */
static void items_may_fail(struct causes *causes, const struct import_item *items, size_t count,
						   bool clash)
{
	for (size_t i = 0; i < count; i++) {
		struct causes one = {.count = 0};

		item_may_fail(&one, items, count, i);
		if (clash)
			item_may_clash(&one, &items[i]);
		add_causes(causes, &one);
	}
}

/* Files that are replaced may count until the new ones are in place. */
static void import_may_lack_nodes(struct causes *causes, size_t needed, size_t replaced)
{
	nodes_may_lack(causes, needed + replaced);
	if (causes->no_nodes) {
		causes->may_lack_nodes = true;
		nodes_may_lack(causes, needed);
		causes->no_nodes = causes->no_nodes && causes->count == 0;
	}
}

static int64_t play_import(void)
{
	static struct import_item items[MOST_ITEMS];
	mfs_import_item wanted[MOST_ITEMS];
	struct causes causes = {.count = 0};
	size_t count = draw_items(items, "import");
	size_t needed = 0;
	size_t replaced = 0;
	int code = 0;

	memset(wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < count; i++) {
		wanted[i].path = items[i].path.spelled;
		wanted[i].data = items[i].size > 0 ? items[i].bytes : NULL;
		wanted[i].size = items[i].size;
		wanted[i].flags = items[i].is_dir ? MFS_IMPORT_DIRECTORY : 0;
	}
	items_may_fail(&causes, items, count, true);
	needed = count_new_nodes(items, count, &replaced);
	import_may_lack_nodes(&causes, needed, replaced);
	code = mfs_import_tree(world.fs, wanted, count);
	if (!is_own_refusal(&causes, code)) {
		/* All or nothing: no system call does that, so what it does is made up of several. */
		judge(&causes, code, causes.count > 0 ? causes.codes[0] : 0);
		for (size_t i = 0; code == 0 && i < count; i++)
			host_import(&items[i]);
	}
	for (size_t i = 0; i < count; i++)
		compare_path_and_parent(items[i].path.canonical);
	return code;
}

/* Stages an item, a file in two writes. */
static int64_t stage_item(mfs_import *import, const struct import_item *item)
{
	mfs_file *file = NULL;
	size_t half = item->size / 2;
	int64_t code = 0;

	if (item->is_dir)
		return mfs_import_mkdir(import, item->path.spelled);
	code = mfs_import_open(import, item->path.spelled, chance(2) ? "xb" : "x+b", NULL, &file);
	if (code != 0)
		return code;
	if (mfs_write(file, item->bytes, half) != (int64_t)half ||
		mfs_write(file, item->bytes + half, item->size - half) != (int64_t)(item->size - half))
		mismatch("a staged file cannot be written: %s", mfs_last_error());
	assert_code(mfs_close(file), 0);
	return 0;
}

/* Stages the items and commits them, or gives up. Until the commit nothing is to be seen. */
static int64_t import_in_steps(const struct import_item *items, size_t count, unsigned flags)
{
	mfs_import *import = NULL;
	int64_t code = 0;

	assert_code(mfs_import_begin(world.fs, &import), 0);
	for (size_t i = 0; i < count && code == 0; i++)
		code = stage_item(import, &items[i]);
	for (size_t i = 0; i < count; i++)
		compare_path_and_parent(items[i].path.canonical);
	if (code == 0)
		code = mfs_import_commit(import, flags);
	if (code < 0)
		assert_code(mfs_import_abort(import), 0);
	return code;
}

/* Has an item no place, as a file or directory of another kind, or a file, is there? */
static bool has_no_place(const struct import_item *item)
{
	const char *path = item->path.canonical;

	return is_below_a_file(path) || (item->is_dir ? host_is_file(path) : host_exists(path));
}

/* What a flag of the commit makes of what is there. Returns how many items are left. */
static size_t heed_flags(struct import_item *items, size_t count, unsigned flags,
						 struct causes *causes)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (flags == MFS_IMPORT_NEW && !items[i].is_dir && host_is_file(items[i].path.canonical)) {
			/* That it is there is known before it is asked who holds it. */
			may_fail(causes, MFS_EEXIST);
			causes->blocked = false;
		}
		if (flags != MFS_IMPORT_KEEP || !has_no_place(&items[i]))
			items[kept++] = items[i];
	}
	return kept;
}

static int64_t play_import_in_steps(void)
{
	static const unsigned all_flags[] = {0, MFS_IMPORT_NEW, MFS_IMPORT_KEEP};
	static const char *const told[] = {"import in steps", "import in steps, NEW",
									   "import in steps, KEEP"};
	static struct import_item items[MOST_ITEMS];
	static struct import_item left[MOST_ITEMS];
	struct causes causes = {.count = 0};
	size_t choice = chance(COUNT_OF(all_flags));
	unsigned flags = all_flags[choice];
	size_t count = draw_items(items, told[choice]);
	size_t left_count = 0;
	size_t replaced = 0;
	int64_t files = 0;
	int64_t code = 0;

	items_may_fail(&causes, items, count, flags != MFS_IMPORT_KEEP);
	memcpy(left, items, sizeof(left));
	left_count = heed_flags(left, count, flags, &causes);
	for (size_t i = 0; i < left_count; i++)
		files += !left[i].is_dir;
	size_t needed = count_new_nodes(left, left_count, &replaced);
	import_may_lack_nodes(&causes, needed, replaced);
	code = import_in_steps(items, count, flags);
	if (!is_own_refusal(&causes, code)) {
		judge(&causes, code, causes.count > 0 ? causes.codes[0] : files);
		for (size_t i = 0; code >= 0 && i < left_count; i++)
			host_import(&left[i]);
	}
	for (size_t i = 0; i < count; i++)
		compare_path_and_parent(items[i].path.canonical);
	return code;
}

static int64_t play_listdir(void)
{
	struct path path;
	struct causes causes = {.count = 0};
	struct paths names = {.items = NULL};
	char **got = NULL;
	int64_t code = 0;
	int64_t host = 0;

	any_path(&path, EXISTING);
	note("listdir %s", path.spelled);
	code = mfs_listdir(world.fs, path.spelled, &got);
	host = host_list(path.canonical, &names);
	judge(&causes, code, host);
	for (int64_t i = 0; i < code; i++)
		if (strcmp(got[i], names.items[i]) != 0)
			mismatch("\"%s\" is listed, should be \"%s\"", got[i], names.items[i]);
	if (code >= 0) {
		if (got[code] != NULL)
			mismatch("the list goes on behind its end");
		mfs_names_free(got);
	}
	paths_free(&names);
	return code;
}

static int64_t play_stat(void)
{
	struct path path;
	struct causes causes = {.count = 0};
	struct stat stat;
	mfs_info info;
	int64_t host = 0;
	int64_t size = 0;
	int code = 0;

	any_path(&path, EXISTING);
	note("stat %s", path.spelled);
	code = mfs_stat(world.fs, path.spelled, &info);
	host = host_stat(path.canonical, &stat);
	judge(&causes, code, host);
	/* The system gives directories a size, the workspace does not. */
	if (code == 0 &&
		(info.is_dir != S_ISDIR(stat.st_mode) || info.size != (info.is_dir ? 0 : stat.st_size)))
		mismatch("it is another kind of node, or of another size");
	size = mfs_get_size(world.fs, path.spelled);
	if (host == 0)
		host = S_ISDIR(stat.st_mode) ? -EISDIR : stat.st_size;
	judge(&causes, size, host);
	return code;
}

static int64_t play_exists(void)
{
	struct path path;
	bool exists = false;

	any_path(&path, EXISTING);
	note("exists %s", path.spelled);
	exists = mfs_exists(world.fs, path.spelled);
	if (exists != host_exists(path.canonical))
		mismatch("it is %s", exists ? "there" : "not there");
	if (mfs_is_dir(world.fs, path.spelled) != host_is_dir(path.canonical))
		mismatch("it is a directory on one side only");
	if (mfs_is_file(world.fs, path.spelled) != host_is_file(path.canonical))
		mismatch("it is a file on one side only");
	return exists ? 0 : MFS_ENOENT;
}

/* Does a path match, component by component? The columns of a table, no recursion. */
static bool path_matches(const char *path, char *const *components, size_t count)
{
	enum { MOST = 16 };
	/* Do the first components match what was read of the path so far? */
	bool before[MOST] = {true};
	const char *at = path;

	for (size_t i = 1; i <= count; i++)
		before[i] = before[i - 1] && strcmp(components[i - 1], "**") == 0 && i < count;
	while (*at == '/') {
		bool after[MOST] = {false};
		char name[MFS_NAME_MAX + 1];
		size_t length = strcspn(at + 1, "/");

		memcpy(name, at + 1, length);
		name[length] = '\0';
		at += length + 1;
		for (size_t i = 1; i <= count; i++) {
			const char *component = components[i - 1];

			if (strcmp(component, "**") != 0) {
				after[i] = before[i - 1] && fnmatch(component, name, 0) == 0;
				continue;
			}
			/* At the end it takes one name at least; elsewhere any number of directories. */
			after[i] = before[i - 1] || before[i] || (after[i - 1] && i < count);
		}
		memcpy(before, after, sizeof(before));
	}
	return before[count];
}

/* All paths that match, in the order of their bytes. */
static void host_glob_deep(char *const *components, size_t count, struct paths *found)
{
	struct paths tree = {.items = NULL};

	host_tree("/", &tree);
	while (tree.count > 0) {
		char *path = paths_pop(&tree);

		if (path_matches(path, components, count))
			paths_push(found, path);
		else
			free(path);
	}
	paths_free(&tree);
	if (found->count > 0)
		qsort(found->items, found->count, sizeof(*found->items), by_name);
}

/* The same by glob(3), which has no "**". */
static void host_glob(const char *pattern, struct paths *found)
{
	char whole[PATH_ROOM];
	size_t skipped = strlen(world.host);
	glob_t result;
	int code = 0;

	(void)snprintf(whole, sizeof(whole), "%s%s", world.host, pattern);
	code = glob(whole, 0, NULL, &result);
	assert_true(code == 0 || code == GLOB_NOMATCH);
	for (size_t i = 0; code == 0 && i < result.gl_pathc; i++)
		paths_push(found, strdup(result.gl_pathv[i] + skipped));
	globfree(&result);
}

/* Patterns that mean the same on both sides: plain names and ranges, no dots, no backslashes. */
static int64_t play_glob(void)
{
	static const char *const plain[] = {"*",  "?",  "[ab]",  "[!a]", "a*",
										"*b", "a?", "[a-c]", "*b*",  "[!b-z]*",
										"a",  "b",  "abc",   "**",   "**"};
	struct paths found = {.items = NULL};
	char *components[MAX_DEPTH + 1];
	size_t count = 1 + chance(MAX_DEPTH);
	char pattern[PATH_ROOM] = "";
	size_t length = 0;
	bool deep = false;
	char **got = NULL;
	int64_t code = 0;

	for (size_t i = 0; i < count; i++) {
		const char *component = plain[chance(COUNT_OF(plain))];

		components[i] = strdup(component);
		assert_non_null(components[i]);
		deep = deep || strcmp(component, "**") == 0;
		length += (size_t)snprintf(pattern + length, sizeof(pattern) - length, "/%s", component);
	}
	note("glob %s", pattern);
	code = mfs_glob(world.fs, pattern, &got);
	if (deep)
		host_glob_deep(components, count, &found);
	else
		host_glob(pattern, &found);
	if (code != (int64_t)found.count)
		mismatch("%" PRId64 " paths match, should be %zu", code, found.count);
	for (size_t i = 0; i < found.count && (int64_t)i < code; i++)
		if (!same_path(got[i], found.items[i]))
			mismatch("%s matches, should be %s", got[i], found.items[i]);
	if (got[code] != NULL)
		mismatch("the paths go on behind their end");
	mfs_names_free(got);
	paths_free(&found);
	for (size_t i = 0; i < count; i++)
		free(components[i]);
	return code;
}

/*
 * The whole
 */

/* A weight of 0 leaves a call out. */
static struct {
	const char *name;
	int64_t (*play)(void);
	unsigned weight;
	unsigned long done;
	unsigned long refused;
} calls[] = {
	{"mkdir", play_mkdir, 12, 0, 0},
	{"open", play_file, 20, 0, 0},
	{"handle", play_handle, 14, 0, 0},
	{"remove", play_remove, 8, 0, 0},
	{"rmtree", play_rmtree, 4, 0, 0},
	{"rename", play_rename, 14, 0, 0},
	{"move", play_move, 6, 0, 0},
	{"copy", play_copy, 5, 0, 0},
	{"copy_tree", play_copy_tree, 4, 0, 0},
	{"import_tree", play_import, 5, 0, 0},
	{"listdir", play_listdir, 3, 0, 0},
	{"stat", play_stat, 3, 0, 0},
	{"exists", play_exists, 2, 0, 0},
	{"glob", play_glob, 2, 0, 0},
	{"import in steps", play_import_in_steps, 5, 0, 0},
};

static void the_workspace_answers_like_a_tmpfs(void **state)
{
	unsigned total = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++)
		total += calls[i].weight;
	for (unsigned long made = 1; made <= calls_to_make; made++) {
		size_t pick = chance(total);
		size_t index = 0;
		int64_t code = 0;

		while (pick >= calls[index].weight)
			pick -= calls[index++].weight;
		code = calls[index].play();
		if (code < 0)
			calls[index].refused++;
		else
			calls[index].done++;
		if (made % COMPARE_EVERY == 0)
			compare_trees();
		world.step++;
	}
	compare_trees();
	/* A call that always fails, or never, would compare little. A pattern cannot be wrong. */
	for (size_t i = 0; i < COUNT_OF(calls) && calls_to_make >= CALLS; i++) {
		if (calls[i].weight == 0)
			continue;
		if (calls[i].done < calls_to_make / 1000 ||
			(calls[i].refused < calls_to_make / 1000 && calls[i].play != play_glob))
			mismatch("of the calls of %s, %lu succeeded and %lu were refused", calls[i].name,
					 calls[i].done, calls[i].refused);
	}
}

/* All that was charged comes back. */
static void nothing_stays_charged(void **state)
{
	char **names = NULL;
	int64_t count = mfs_listdir(world.fs, "/", &names);
	mfs_usage usage;

	(void)state;
	assert_true(count >= 0);
	for (int64_t i = 0; i < count; i++)
		assert_code(mfs_rmtree(world.fs, names[i]), 0);
	mfs_names_free(names);
	usage = usage_of(world.fs);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.chunks, 0);
	assert_int_equal(usage.files + usage.directories, 0);
	assert_int_equal(usage.open_handles, 0);
	assert_true(mfs__validate(world.fs));
}

static int begin(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.max_nodes = MAX_NODES;
	/* There is one thread: to wait for a lock would be to wait for itself. */
	options.default_lock_timeout = MFS_NO_WAIT;
	world.rng.state = seed;
	(void)snprintf(world.host, sizeof(world.host), "/dev/shm/dmemfs-differential-XXXXXX");
	if (mkdtemp(world.host) == NULL)
		return -1;
	world.base = open(world.host, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return world.base < 0 ? -1 : mfs_new(&options, &world.fs);
}

static int end(void **state)
{
	int code = 0;

	(void)state;
	/* After a failure some may be open still. */
	for (int i = 0; i < HANDLES; i++)
		close_handle(&world.handles[i]);
	host_clear("/");
	code = close(world.base) != 0 || rmdir(world.host) != 0;
	/* A handle that a failed comparison left open would be an error on top of it. */
	return mfs_free(world.fs) != 0 || code ? -1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_workspace_answers_like_a_tmpfs),
		cmocka_unit_test(nothing_stays_charged),
	};
	struct statfs kind;

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		calls_to_make = strtoul(argv[2], NULL, 0);
	if (seed == 0) {
		(void)fprintf(stderr, "usage: test_differential [seed [calls]]; a seed is not 0\n");
		return 2;
	}
	if (statfs("/dev/shm", &kind) != 0 || kind.f_type != TMPFS_MAGIC) {
		(void)fprintf(stderr, "skipped: /dev/shm is not a tmpfs\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests_name("differential", tests, begin, end);
}
