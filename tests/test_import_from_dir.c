/* SPDX-License-Identifier: MIT */
/*
 * Does import_from_dir bring a directory of the host into the workspace as it is, all or nothing,
 * and what does it leave out or refuse?
 */
#include "host_files.h"

#include "await.h"
#include "base/alloc.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sys/socket.h>
#include <sys/un.h>

static int import_with(struct host_fixture *f, const char *path, unsigned threads)
{
	mfs_transfer_options options = with_threads(threads);

	return mfs_import_from_dir(f->fs, f->top, path, &options);
}

/** The workspace holds nothing, and is sound. */
static void assert_untouched(mfs *fs)
{
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, 0);
	assert_int_equal(usage.directories, 0);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.chunks, 0);
	assert_int_equal(usage.open_handles, 0);
	assert_true(mfs__validate(fs));
}

/*
 * What is imported
 */

static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 100000, MIB, 3 * MIB + 17};

static void files_have_their_bytes(void **state)
{
	struct host_fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		char name[32];
		unsigned char *bytes = pattern(sizes[i], i + 1);

		(void)snprintf(name, sizeof(name), "%zu", i);
		host_file(f, name, bytes, sizes[i]);
		free(bytes);
	}
	for (unsigned threads = 0; threads <= 4; threads++) {
		assert_code(import_with(f, "/in", threads), 0);
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			char path[32];
			unsigned char *bytes = pattern(sizes[i], i + 1);

			(void)snprintf(path, sizeof(path), "/in/%zu", i);
			assert_file_holds(f->fs, path, bytes, sizes[i]);
			assert_int_equal(info_of(f->fs, path).generation, 0);
			free(bytes);
		}
		assert_int_equal(usage_of(f->fs).files, COUNT_OF(sizes));
		assert_true(mfs__validate(f->fs));
	}
}

static void files_are_charged_exactly(void **state)
{
	struct host_fixture *f = *state;
	uint64_t charge = 0;
	char name[32];

	for (size_t i = 0; i < 200; i++) {
		unsigned char *bytes = pattern(i * 97, i + 1);

		(void)snprintf(name, sizeof(name), "%zu", i);
		host_file(f, name, bytes, i * 97);
		charge += i * 97;
		free(bytes);
	}
	mfs *fs = new_plain_workspace(charge);
	mfs_transfer_options options = with_threads(8);
	assert_code(mfs_import_from_dir(fs, f->top, "/", &options), 0);
	assert_int_equal(used_bytes(fs), charge);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
	fs = new_plain_workspace(charge - 1);
	assert_refused(fs, mfs_import_from_dir(fs, f->top, "/", &options), MFS_EQUOTA);
	assert_said("import_from_dir of /");
	assert_said("bytes free");
	assert_untouched(fs);
	free_workspace(fs);
}

static void names_are_bytes(void **state)
{
	struct host_fixture *f = *state;
	char longest[MFS_NAME_MAX + 1] = {0};
	char path[MFS_NAME_MAX + 2];

	memset(longest, 'n', MFS_NAME_MAX);
	host_text(f, "new\nline", "1");
	host_text(f, "not \377\376 UTF-8", "2");
	host_text(f, longest, "3");
	host_text(f, " ", "4");
	host_text(f, "...", "5");
	host_text(f, ".hidden", "6");
	host_dir(f, "..d");
	assert_code(import_with(f, "/", 2), 0);
	assert_text(f->fs, "/new\nline", "1");
	assert_text(f->fs, "/not \377\376 UTF-8", "2");
	(void)snprintf(path, sizeof(path), "/%s", longest);
	assert_text(f->fs, path, "3");
	assert_text(f->fs, "/ ", "4");
	assert_text(f->fs, "/...", "5");
	assert_text(f->fs, "/.hidden", "6");
	assert_true(mfs_is_dir(f->fs, "/..d"));
	assert_int_equal(usage_of(f->fs).files, 6);
}

static void links_and_devices_are_skipped(void **state)
{
	struct host_fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char target[128];

	host_text(f, "file", "text");
	host_dir(f, "directory");
	(void)snprintf(target, sizeof(target), "%s/file", f->top);
	assert_int_equal(link(target, at(f, "directory/hard")), 0);
	assert_int_equal(symlink("file", at(f, "to_file")), 0);
	assert_int_equal(symlink("..", at(f, "directory/to_directory")), 0);
	assert_int_equal(symlink("nowhere", at(f, "dangling")), 0);
	assert_int_equal(symlink("file", at(f, "back\\slash")), 0);
	assert_int_equal(mkfifo(at(f, "directory/fifo"), 0666), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/socket", f->top);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(close(fd), 0);

	(void)snprintf(target, sizeof(target), "%s.link", f->top);
	assert_int_equal(symlink(f->top, target), 0);
	assert_code(mfs_import_from_dir(f->fs, target, "/", NULL), 0);
	assert_int_equal(unlink(target), 0);
	assert_text(f->fs, "/file", "text");
	assert_text(f->fs, "/directory/hard", "text");
	assert_int_equal(usage_of(f->fs).files, 2);
	assert_int_equal(usage_of(f->fs).directories, 1);
}

static bool keep_progress(void *user, const mfs_progress *progress)
{
	mfs_progress *last = user;

	*last = *progress;
	last->path = progress->path[0] ? "named" : "";
	return true;
}

static void the_last_progress_counts_all(void **state)
{
	struct host_fixture *f = *state;
	mfs_progress last = {0};
	mfs_transfer_options options = with_threads(3);

	host_dir(f, "a");
	host_dir(f, "a/b");
	host_text(f, "a/b/f", "12345");
	host_text(f, "a/g", "678");
	assert_int_equal(symlink("a", at(f, "l")), 0);
	assert_int_equal(mkfifo(at(f, "a/p"), 0666), 0);
	options.on_progress = keep_progress;
	options.user = &last;
	assert_code(mfs_import_from_dir(f->fs, f->top, "/", &options), 0);
	assert_int_equal(last.files_done, 2);
	assert_int_equal(last.files_found, 2);
	assert_int_equal(last.bytes_done, 8);
	assert_int_equal(last.bytes_found, 8);
	assert_int_equal(last.directories_done, 3);
	assert_int_equal(last.skipped, 2);
	assert_string_equal(last.path, "named");
}

static void it_merges_with_what_is_there(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "d");
	host_dir(f, "d/new");
	host_text(f, "d/same", "of the host");
	host_text(f, "d/new/f", "new");
	make_dir(f->fs, "/x/y/d");
	make_text(f->fs, "/x/y/d/same", "of the workspace");
	make_text(f->fs, "/x/y/d/other", "stays");
	assert_code(import_with(f, "x//./z/../y", 2), 0);
	assert_text(f->fs, "/x/y/d/same", "of the host");
	assert_text(f->fs, "/x/y/d/other", "stays");
	assert_text(f->fs, "/x/y/d/new/f", "new");
	assert_code(import_with(f, "/made/on/the/way", 2), 0);
	assert_text(f->fs, "/made/on/the/way/d/new/f", "new");
	assert_code(import_with(f, "", 2), 0);
	assert_text(f->fs, "/d/same", "of the host");
	assert_true(mfs__validate(f->fs));
}

static void an_empty_directory_is_one(void **state)
{
	struct host_fixture *f = *state;

	assert_code(import_with(f, "/a/b", 2), 0);
	assert_true(mfs_is_dir(f->fs, "/a/b"));
	assert_int_equal(usage_of(f->fs).directories, 2);
}

enum { WIDE = 3000 };

static void wide_directories_are_read_by_all(void **state)
{
	struct host_fixture *f = *state;
	char name[32];

	host_dir(f, "w");
	for (int i = 0; i < WIDE; i++) {
		(void)snprintf(name, sizeof(name), "w/%d", i);
		host_text(f, name, name);
	}
	assert_code(import_with(f, "/", 4), 0);
	assert_int_equal(usage_of(f->fs).files, WIDE);
	for (int i = 0; i < WIDE; i++) {
		(void)snprintf(name, sizeof(name), "w/%d", i);
		assert_text(f->fs, name, name);
	}
	assert_true(mfs__validate(f->fs));
}

/*
 * Deep trees and few descriptors
 */

/** Makes d/d/d/... below the fixture's directory, each with a directory and a file beside it. */
static void make_deep_host_tree(struct host_fixture *f, int levels)
{
	int fd = open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < levels; i++) {
		assert_true(fd >= 0);
		assert_int_equal(mkdirat(fd, "d", 0777), 0);
		assert_int_equal(mkdirat(fd, "e", 0777), 0);
		int file = openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		assert_true(file >= 0);
		assert_int_equal(write(file, &i, sizeof(i)), sizeof(i));
		assert_int_equal(close(file), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(close(fd), 0);
		fd = next;
	}
	assert_int_equal(close(fd), 0);
}

static void assert_deep_tree(mfs *fs, int levels)
{
	char *path = allocate((size_t)levels * 2 + 8);
	size_t length = 0;
	mfs_usage usage = usage_of(fs);

	assert_int_equal(usage.files, levels);
	assert_int_equal(usage.directories, 2 * levels);
	for (int i = 0; i < levels; i++) {
		if (i % 97 == 0 || i == levels - 1) {
			(void)strcpy(path + length, "/f");
			assert_file_holds(fs, path, &i, sizeof(i));
			(void)strcpy(path + length, "/e");
			assert_true(mfs_is_dir(fs, path));
		}
		(void)strcpy(path + length, "/d");
		length += 2;
	}
	assert_true(mfs_is_dir(fs, path));
	free(path);
}

static void deep_trees_need_no_stack(void **state)
{
	struct host_fixture *f = *state;

	make_deep_host_tree(f, 10000);
	assert_code(import_with(f, "/", 2), 0);
	assert_deep_tree(f->fs, 10000);
}

static void few_descriptors_are_enough(void **state)
{
	struct host_fixture *f = *state;

	make_deep_host_tree(f, 300);
	unsigned before = count_descriptors();
	struct rlimit old = limit_descriptors(32);
	int code = import_with(f, "/", 16);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_code(code, 0);
	assert_deep_tree(f->fs, 300);
	assert_int_equal(count_descriptors(), before);
}

static void no_descriptor_is_an_error_of_the_host(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "d");
	struct rlimit old = limit_descriptors((rlim_t)dup(0));
	int code = import_with(f, "/", 2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_code(code, MFS_EHOST);
	assert_said(strerror(EMFILE));
	assert_untouched(f->fs);
}

/*
 * Refusals
 */

static void bad_arguments_are_refused(void **state)
{
	struct host_fixture *f = *state;
	mfs *fs = f->fs;
	mfs_transfer_options options = with_threads(65);
	char long_name[MFS_NAME_MAX + 3] = "/";

	host_text(f, "f", "x");
	memset(long_name + 1, 'n', MFS_NAME_MAX + 1);
	assert_refused(fs, mfs_import_from_dir(NULL, f->top, "/", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_from_dir(fs, NULL, "/", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_from_dir(fs, f->top, NULL, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_from_dir(fs, f->top, "/..", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_import_from_dir(fs, f->top, long_name, NULL), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_import_from_dir(fs, f->top, "/", &options), MFS_EINVAL);
	assert_said("threads of mfs_transfer_options");
	options.threads = 0;
	options.flags = MFS_ONLY_DIRTY;
	assert_refused(fs, mfs_import_from_dir(fs, f->top, "/", &options), MFS_EINVAL);
	assert_said("flags of mfs_transfer_options");
	options.flags = 0;
	options.struct_size = 3;
	assert_refused(fs, mfs_import_from_dir(fs, f->top, "/", &options), MFS_EINVAL);
	assert_said("struct_size of mfs_transfer_options");
	assert_refused(fs, mfs_import_from_dir(fs, "", "/", NULL), MFS_EHOST);
	assert_refused(fs, mfs_import_from_dir(fs, at(f, "none"), "/", NULL), MFS_EHOST);
	assert_said(at(f, "none"));
	assert_said(strerror(ENOENT));
	assert_refused(fs, mfs_import_from_dir(fs, at(f, "f"), "/", NULL), MFS_EHOST);
	assert_said(strerror(ENOTDIR));
	assert_untouched(fs);
}

static void a_backslash_in_a_name_is_refused(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "d");
	host_text(f, "d/a\\b", "x");
	host_text(f, "good", "x");
	assert_refused(f->fs, import_with(f, "/", 2), MFS_EINVAL);
	assert_said("d/a\\b");
	assert_untouched(f->fs);
	assert_int_equal(unlink(at(f, "d/a\\b")), 0);
	host_dir(f, "d/c\\d");
	assert_refused(f->fs, import_with(f, "/", 2), MFS_EINVAL);
	assert_said("d/c\\d");
	assert_untouched(f->fs);
}

static void paths_too_long_for_the_workspace_are_refused(void **state)
{
	struct host_fixture *f = *state;
	char name[MFS_NAME_MAX + 1] = {0};
	int fd = open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	memset(name, 'n', MFS_NAME_MAX);
	/* 256 bytes with the separator, 256 times: one byte too long. */
	for (int i = 0; i < 256; i++) {
		assert_int_equal(mkdirat(fd, name, 0777), 0);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		assert_int_equal(close(fd), 0);
		fd = next;
		if (i == 254) {
			assert_code(import_with(f, "/", 2), 0);
			assert_int_equal(usage_of(f->fs).directories, 255);
			assert_code(import_with(f,
									"/123/123456789/123456789/123456789/123456789/123456789/"
									"123456789/123456789/123456789/123456789/123456789/"
									"123456789/123456789/123456789/123456789/123456789/"
									"123456789/123456789/123456789/123456789/123456789/"
									"123456789/123456789/123456789/123456789/123456789/",
									2),
						0);
		}
	}
	assert_int_equal(close(fd), 0);
	assert_refused(f->fs, import_with(f, "/", 2), MFS_ENAMETOOLONG);
	assert_true(mfs__validate(f->fs));
}

/** An import is refused with this code and names this path; the tree stays as it is. */
static void assert_commit_refused(struct host_fixture *f, int code, const char *path)
{
	mfs_usage before = usage_of(f->fs);

	assert_refused(f->fs, import_with(f, "/in", 2), code);
	assert_said(path);
	mfs_usage after = usage_of(f->fs);
	assert_int_equal(after.used_bytes, before.used_bytes);
	assert_int_equal(after.files, before.files);
	assert_int_equal(after.directories, before.directories);
	assert_true(mfs__validate(f->fs));
	assert_false(mfs_exists(f->fs, "/in/first"));
}

static void what_the_workspace_refuses_changes_nothing(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "d");
	host_text(f, "d/f", "new");
	host_text(f, "first", "x");
	make_dir(f->fs, "/in/d/f");
	assert_commit_refused(f, MFS_EISDIR, "/in/d/f");
	assert_code(mfs_remove(f->fs, "/in/d/f"), 0);
	assert_code(mfs_remove(f->fs, "/in/d"), 0);
	make_text(f->fs, "/in/d", "a file");
	assert_commit_refused(f, MFS_ENOTDIR, "/in/d");
	assert_code(mfs_remove(f->fs, "/in/d"), 0);
	make_dir(f->fs, "/in/d");
	make_text(f->fs, "/in/d/f", "old");
	mfs_file *held = open_file(f->fs, "/in/d/f", "rb");
	assert_commit_refused(f, MFS_EBUSY, "/in/d/f");
	close_file(held);
	assert_text(f->fs, "/in/d/f", "old");
	assert_code(import_with(f, "/in", 2), 0);
	assert_text(f->fs, "/in/d/f", "new");
}

static void a_node_limit_changes_nothing(void **state)
{
	struct host_fixture *f = *state;
	mfs_options options = {.struct_size = sizeof(options), .max_nodes = 4};
	mfs *fs = new_workspace(&options);

	host_dir(f, "d");
	host_text(f, "d/1", "x");
	host_text(f, "d/2", "x");
	host_text(f, "3", "x");
	assert_refused(fs, mfs_import_from_dir(fs, f->top, "/one/more", NULL), MFS_ENODES);
	assert_untouched(fs);
	assert_code(mfs_import_from_dir(fs, f->top, "/", NULL), 0);
	free_workspace(fs);
}

/*
 * Files that change while they are read
 */

static struct host_fixture *changed;
static off_t changed_to;

static void change_size(const char *point)
{
	if (strcmp(point, "import: piece read") == 0 && changed_to >= 0) {
		if (truncate(at(changed, "f"), changed_to) != 0) {
			abort();
		}
		changed_to = -1;
	}
}

static void set_hook(mfs__yield_function *hook)
{
	atomic_store(&mfs__yield_hook, hook);
}

static void a_file_that_shrinks_is_cut(void **state)
{
	struct host_fixture *f = *state;
	const size_t size = 5 * MIB;
	const off_t lengths[] = {3 * MIB + 5, MIB + 1, 17, 0, 7 * MIB};
	unsigned char *bytes = pattern(size, 5);

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		host_file(f, "f", bytes, size);
		changed = f;
		changed_to = lengths[i];
		set_hook(change_size);
		int code = import_with(f, "/", 2);
		set_hook(NULL);
		assert_code(code, 0);
		assert_int_equal(changed_to, -1);
		/* The first piece was read before. What is appended later is left out. */
		size_t rest = (size_t)lengths[i] > MIB ? (size_t)lengths[i] : MIB;
		assert_file_holds(f->fs, "/f", bytes, rest < size ? rest : size);
		assert_true(mfs__validate(f->fs));
	}
	free(bytes);
}

/*
 * Cancelling
 */

struct canceler {
	_Atomic unsigned calls;
	unsigned cancel_at;
};

static bool cancel(void *user, const mfs_progress *progress)
{
	struct canceler *canceler = user;

	(void)progress;
	return atomic_fetch_add(&canceler->calls, 1) + 1 < canceler->cancel_at;
}

static void to_cancel_at_the_end_imports_nothing(void **state)
{
	struct host_fixture *f = *state;
	struct canceler canceler = {.cancel_at = 1};
	mfs_transfer_options options = with_threads(2);

	host_text(f, "f", "x");
	options.on_progress = cancel;
	options.user = &canceler;
	assert_refused(f->fs, mfs_import_from_dir(f->fs, f->top, "/in", &options), MFS_ECANCELED);
	assert_int_equal(canceler.calls, 1);
	assert_untouched(f->fs);
}

static struct canceler *held_for;
static unsigned held_until;
static pid_t caller;

/** Holds all threads but the calling one until so many calls of the callback have come. */
static void hold_workers(const char *point)
{
	if (strcmp(point, "import: piece read") == 0 && gettid() != caller) {
		AWAIT(atomic_load(&held_for->calls) >= held_until);
	}
}

static void to_cancel_in_the_middle_imports_nothing(void **state)
{
	struct host_fixture *f = *state;
	unsigned char *bytes = pattern(3 * MIB, 1);

	for (int i = 0; i < 20; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%d", i);
		host_dir(f, name);
		(void)snprintf(name, sizeof(name), "d%d/f", i);
		host_file(f, name, bytes, 3 * MIB);
	}
	free(bytes);
	for (unsigned cancel_at = 1; cancel_at <= 3; cancel_at++) {
		struct canceler canceler = {.cancel_at = cancel_at};
		mfs_transfer_options options = with_threads(3);

		options.on_progress = cancel;
		options.user = &canceler;
		held_for = &canceler;
		held_until = cancel_at;
		caller = gettid();
		set_hook(hold_workers);
		int code = mfs_import_from_dir(f->fs, f->top, "/in", &options);
		set_hook(NULL);
		assert_code(code, MFS_ECANCELED);
		assert_int_equal(canceler.calls, cancel_at);
		assert_untouched(f->fs);
	}
}

/*
 * Forks
 */

struct forker {
	mfs *fs;
	pid_t process;
	pid_t child;
	unsigned calls;
};

static bool fork_once(void *user, const mfs_progress *progress)
{
	struct forker *forker = user;

	(void)progress;
	if (forker->calls++ == 0) {
		forker->child = fork();
	}
	if (held_for != NULL) {
		atomic_fetch_add(&held_for->calls, 1);
	}
	return true;
}

static void a_fork_in_the_callback_ends_the_import_in_the_child(void **state)
{
	struct host_fixture *f = *state;
	unsigned char *bytes = pattern(3 * MIB, 1);
	struct canceler canceler = {0};
	struct forker forker = {.fs = f->fs, .process = getpid()};
	mfs_transfer_options options = with_threads(3);
	int status = -1;

	for (int i = 0; i < 4; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%d", i);
		host_dir(f, name);
		(void)snprintf(name, sizeof(name), "d%d/f", i);
		host_file(f, name, bytes, 3 * MIB);
	}
	make_text(f->fs, "/before", "x");
	options.on_progress = fork_once;
	options.user = &forker;
	held_for = &canceler;
	held_until = 1;
	caller = gettid();
	set_hook(hold_workers);
	int code = mfs_import_from_dir(f->fs, f->top, "/in", &options);
	if (getpid() != forker.process) {
		bool sound = code == MFS_ECANCELED && !mfs_exists(f->fs, "/in") &&
					 mfs_exists(f->fs, "/before") && mfs__validate(f->fs) && mfs_free(f->fs) == 0;
		_exit(sound ? 0 : 1);
	}
	set_hook(NULL);
	held_for = NULL;
	assert_code(code, 0);
	assert_true(forker.child > 0);
	assert_int_equal(waitpid(forker.child, &status, 0), forker.child);
	assert_int_equal(status, 0);
	assert_file_holds(f->fs, "/in/d3/f", bytes, 3 * MIB);
	free(bytes);
}

/*
 * Side by side
 */

struct import_thread {
	struct host_fixture *f;
	const char *path;
	int code;
};

static void *import_many_times(void *argument)
{
	struct import_thread *import = argument;

	for (int i = 0; i < 10 && import->code == 0; i++) {
		import->code = import_with(import->f, import->path, 2);
	}
	return NULL;
}

struct visitor {
	mfs *fs;
	_Atomic bool stop;
	unsigned faults;
};

/** Uses the workspace, and looks for parts of an import. */
static void *visit(void *argument)
{
	struct visitor *visitor = argument;
	mfs_file *file = NULL;

	while (!atomic_load(&visitor->stop)) {
		char **names = NULL;
		int64_t count = mfs_listdir(visitor->fs, "/one/d", &names);

		visitor->faults += count >= 0 ? count != 50 : count != MFS_ENOENT;
		mfs_names_free(names);
		visitor->faults += mfs_mkdir(visitor->fs, "/mine/d", MFS_EXIST_OK) != 0;
		visitor->faults += mfs_open(visitor->fs, "/mine/d/f", "wb", &file) != 0;
		visitor->faults += mfs_write(file, "x", 1) != 1;
		visitor->faults += mfs_close(file) != 0;
		visitor->faults += mfs_remove(visitor->fs, "/mine/d/f") != 0;
	}
	return NULL;
}

static void imports_and_others_do_not_hinder_each_other(void **state)
{
	struct host_fixture *f = *state;
	struct import_thread imports[] = {{f, "/one", 0}, {f, "/two", 0}, {f, "/one", 0}};
	struct visitor visitor = {.fs = f->fs};
	pthread_t threads[COUNT_OF(imports)];
	char name[32];

	host_dir(f, "d");
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "d/%d", i);
		host_text(f, name, name);
	}
	pthread_t visiting = start_thread(visit, &visitor);
	for (size_t i = 0; i < COUNT_OF(imports); i++) {
		threads[i] = start_thread(import_many_times, &imports[i]);
	}
	for (size_t i = 0; i < COUNT_OF(imports); i++) {
		join_thread(threads[i]);
		assert_code(imports[i].code, 0);
	}
	atomic_store(&visitor.stop, true);
	join_thread(visiting);
	assert_int_equal(visitor.faults, 0);
	assert_int_equal(usage_of(f->fs).files, 100);
	assert_text(f->fs, "/two/d/49", "d/49");
	assert_true(mfs__validate(f->fs));
}

/*
 * Failing allocations
 */

static void no_memory_changes_nothing(void **state)
{
	struct host_fixture *f = *state;
	unsigned char *bytes = pattern(100000, 1);
	bool failed = true;

	host_dir(f, "d");
	host_dir(f, "d/e");
	host_file(f, "d/e/large", bytes, 100000);
	host_text(f, "d/small", "x");
	make_text(f->fs, "/before", "x");
	/* What stays once it is there. */
	assert_code(import_with(f, "/warm/up", 1), 0);
	assert_code(mfs_remove(f->fs, "/warm/up/d/e/large"), 0);
	assert_code(mfs_remove(f->fs, "/warm/up/d/e"), 0);
	assert_code(mfs_remove(f->fs, "/warm/up/d/small"), 0);
	assert_code(mfs_remove(f->fs, "/warm/up/d"), 0);
	for (long n = 1; failed; n++) {
		assert_true(n < 500);
		mfs_usage before = usage_of(f->fs);
		mfs__alloc_fail_after(n);
		int code = import_with(f, "/a/b", 1);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		assert_either(code, failed ? MFS_ENOMEM : 0, 0);
		assert_true(mfs__validate(f->fs));
		if (code != 0) {
			assert_false(mfs_exists(f->fs, "/a"));
			assert_int_equal(usage_of(f->fs).used_bytes, before.used_bytes);
			assert_int_equal(usage_of(f->fs).directories, before.directories);
			continue;
		}
		assert_file_holds(f->fs, "/a/b/d/e/large", bytes, 100000);
		assert_code(mfs_remove(f->fs, "/a/b/d/e/large"), 0);
		assert_code(mfs_remove(f->fs, "/a/b/d/e"), 0);
		assert_code(mfs_remove(f->fs, "/a/b/d/small"), 0);
		assert_code(mfs_remove(f->fs, "/a/b/d"), 0);
		assert_code(mfs_remove(f->fs, "/a/b"), 0);
		assert_code(mfs_remove(f->fs, "/a"), 0);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(files_have_their_bytes),
		HOST_TEST(files_are_charged_exactly),
		HOST_TEST(names_are_bytes),
		HOST_TEST(links_and_devices_are_skipped),
		HOST_TEST(the_last_progress_counts_all),
		HOST_TEST(it_merges_with_what_is_there),
		HOST_TEST(an_empty_directory_is_one),
		HOST_TEST(wide_directories_are_read_by_all),
		HOST_TEST(deep_trees_need_no_stack),
		HOST_TEST(few_descriptors_are_enough),
		HOST_TEST(no_descriptor_is_an_error_of_the_host),
		HOST_TEST(bad_arguments_are_refused),
		HOST_TEST(a_backslash_in_a_name_is_refused),
		HOST_TEST(paths_too_long_for_the_workspace_are_refused),
		HOST_TEST(what_the_workspace_refuses_changes_nothing),
		HOST_TEST(a_node_limit_changes_nothing),
		HOST_TEST(a_file_that_shrinks_is_cut),
		HOST_TEST(to_cancel_at_the_end_imports_nothing),
		HOST_TEST(to_cancel_in_the_middle_imports_nothing),
		HOST_TEST(a_fork_in_the_callback_ends_the_import_in_the_child),
		HOST_TEST(imports_and_others_do_not_hinder_each_other),
		HOST_TEST(no_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
