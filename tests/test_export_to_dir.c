/* SPDX-License-Identifier: MIT */
/*
 * Does export_to_dir write a directory of the workspace to the host as it is, never outside of the
 * directory it was given, and what does it leave behind when it fails?
 */
#include "host_files.h"

#include "await.h"
#include "base/alloc.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <signal.h>

static int export_with(struct host_fixture *f, const char *path, unsigned threads)
{
	mfs_transfer_options options = with_threads(threads);
	char target[128];

	(void)snprintf(target, sizeof(target), "%s/out", f->top);
	return mfs_export_to_dir(f->fs, path, target, &options);
}

/** How many names a directory of the host has, and how many of them are temporary ones. */
static unsigned count_names(struct host_fixture *f, const char *name, unsigned *temporary)
{
	DIR *stream = opendir(at(f, name));
	const struct dirent *entry = NULL;
	unsigned count = 0;

	assert_non_null(stream);
	while ((entry = readdir(stream)) != NULL) {
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
		if (temporary != NULL && strstr(entry->d_name, "dmemfs") != NULL) {
			++*temporary;
		}
	}
	assert_int_equal(closedir(stream), 0);
	return count;
}

/** The directory has so many names, none of them a temporary one. */
static void assert_names(struct host_fixture *f, const char *name, unsigned count)
{
	unsigned temporary = 0;

	assert_int_equal(count_names(f, name, &temporary), count);
	assert_int_equal(temporary, 0);
}

/*
 * What is exported
 */

static const size_t sizes[] = {0, 1, 4095, 4097, 256 * KIB, 256 * KIB + 1, 3 * MIB + 17, 9 * MIB};

static void files_have_their_bytes(void **state)
{
	struct host_fixture *f = *state;
	char name[32];

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned char *bytes = pattern(sizes[i], i + 1);

		(void)snprintf(name, sizeof(name), "/in/%zu", i);
		if (i == 0) {
			make_dir(f->fs, "/in");
		}
		make_file(f->fs, name, bytes, sizes[i]);
		free(bytes);
	}
	for (unsigned threads = 0; threads <= 4; threads++) {
		assert_code(export_with(f, "/in", threads), 0);
		assert_names(f, "out", COUNT_OF(sizes));
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			unsigned char *bytes = pattern(sizes[i], i + 1);

			(void)snprintf(name, sizeof(name), "out/%zu", i);
			assert_host_holds(f, name, bytes, sizes[i]);
			free(bytes);
		}
	}
	assert_int_equal(usage_of(f->fs).open_handles, 0);
}

static void a_tree_comes_out_as_it_is(void **state)
{
	struct host_fixture *f = *state;
	char longest[MFS_NAME_MAX + 2] = "/";
	char name[MFS_NAME_MAX + 8];

	memset(longest + 1, 'n', MFS_NAME_MAX);
	make_dir(f->fs, "/a/b/c");
	make_dir(f->fs, "/empty/in/empty");
	make_text(f->fs, "/a/b/c/f", "deep");
	make_text(f->fs, "/a/new\nline", "1");
	make_text(f->fs, "/a/not \377\376 UTF-8", "2");
	make_text(f->fs, longest, "3");
	make_text(f->fs, "/...", "4");
	assert_code(export_with(f, "/", 2), 0);
	assert_host_text(f, "out/a/b/c/f", "deep");
	assert_host_text(f, "out/a/new\nline", "1");
	assert_host_text(f, "out/a/not \377\376 UTF-8", "2");
	(void)snprintf(name, sizeof(name), "out%s", longest);
	assert_host_text(f, name, "3");
	assert_host_text(f, "out/...", "4");
	assert_names(f, "out/empty/in/empty", 0);
	assert_names(f, "out", 4);
	/* From below the root. */
	assert_code(export_with(f, "x/..//a/b", 2), 0);
	assert_host_text(f, "out/c/f", "deep");
	assert_names(f, "out", 5);
}

static void host_files_are_as_they_should_be(void **state)
{
	struct host_fixture *f = *state;
	struct stat info;

	make_text(f->fs, "/f", "x");
	make_dir(f->fs, "/d");
	mode_t mask = umask(027);
	int code = export_with(f, "/", 2);
	(void)umask(mask);
	assert_code(code, 0);
	assert_int_equal(stat(at(f, "out/f"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0640);
	assert_int_equal(stat(at(f, "out/d"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0750);
	assert_int_equal(stat(at(f, "out"), &info), 0);
	assert_int_equal(info.st_mode & 07777, 0750);
}

static void what_is_on_the_host_is_replaced_or_left_alone(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "out");
	host_dir(f, "out/d");
	host_text(f, "out/d/same", "old, and longer than the new one");
	host_text(f, "out/d/other", "stays");
	make_dir(f->fs, "/d");
	make_text(f->fs, "/d/same", "new");
	assert_code(export_with(f, "/", 2), 0);
	assert_host_text(f, "out/d/same", "new");
	assert_host_text(f, "out/d/other", "stays");
	assert_names(f, "out/d", 2);
}

static void only_dirty_files_are_exported(void **state)
{
	struct host_fixture *f = *state;
	mfs_transfer_options options = with_threads(2);

	host_dir(f, "in");
	host_dir(f, "in/clean");
	host_dir(f, "in/dirty");
	host_text(f, "in/clean/f", "clean");
	host_text(f, "in/dirty/f", "clean");
	host_text(f, "in/dirty/g", "clean");
	assert_code(mfs_import_from_dir(f->fs, at(f, "in"), "/", NULL), 0);
	options.flags = MFS_ONLY_DIRTY;
	assert_code(mfs_export_to_dir(f->fs, "/", at(f, "out"), &options), 0);
	assert_names(f, "out", 0);
	make_text(f->fs, "/dirty/g", "written");
	make_text(f->fs, "/new", "new");
	assert_code(mfs_export_to_dir(f->fs, "/", at(f, "out"), &options), 0);
	assert_names(f, "out", 2);
	assert_names(f, "out/dirty", 1);
	assert_host_text(f, "out/dirty/g", "written");
	assert_host_text(f, "out/new", "new");
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

	make_dir(f->fs, "/a/b");
	make_text(f->fs, "/a/b/f", "12345");
	make_text(f->fs, "/a/g", "678");
	options.on_progress = keep_progress;
	options.user = &last;
	assert_code(mfs_export_to_dir(f->fs, "/", at(f, "out"), &options), 0);
	assert_int_equal(last.files_done, 2);
	assert_int_equal(last.files_found, 2);
	assert_int_equal(last.bytes_done, 8);
	assert_int_equal(last.bytes_found, 8);
	assert_int_equal(last.directories_done, 3);
	assert_int_equal(last.skipped, 0);
	assert_string_equal(last.path, "named");
}

enum { WIDE = 3000 };

static void wide_directories_are_written_by_all(void **state)
{
	struct host_fixture *f = *state;
	char name[32];

	make_dir(f->fs, "/w");
	for (int i = 0; i < WIDE; i++) {
		(void)snprintf(name, sizeof(name), "/w/%d", i);
		make_text(f->fs, name, name);
	}
	assert_code(export_with(f, "/w", 4), 0);
	assert_names(f, "out", WIDE);
	for (int i = 0; i < WIDE; i += 7) {
		char text[32];

		(void)snprintf(name, sizeof(name), "out/%d", i);
		(void)snprintf(text, sizeof(text), "/w/%d", i);
		assert_host_text(f, name, text);
	}
}

/*
 * Deep trees and few descriptors
 */

static void make_deep_tree(mfs *fs, int levels)
{
	char *path = allocate((size_t)levels * 2 + 8);

	for (int i = 0; i < levels; i++) {
		(void)strcpy(path + 2 * (size_t)i, "/d");
	}
	make_dir(fs, path);
	/* Beside the way, so that the walk comes back to each level. */
	for (int i = 0; i < levels; i += 10) {
		(void)strcpy(path + 2 * (size_t)i, "/e");
		make_dir(fs, path);
		(void)strcpy(path + 2 * (size_t)i, "/f");
		make_text(fs, path, "file");
		path[2 * i + 1] = 'd';
		path[2 * i + 2] = '/';
	}
	free(path);
}

/** How many levels below out there are, checking what is beside the way. */
static void assert_deep_host_tree(struct host_fixture *f, int levels)
{
	int fd = open(at(f, "out"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < levels; i++) {
		struct stat info;

		assert_true(fd >= 0);
		if (i % 10 == 0) {
			assert_int_equal(fstatat(fd, "f", &info, AT_SYMLINK_NOFOLLOW), 0);
			assert_int_equal(info.st_size, 4);
			assert_int_equal(fstatat(fd, "e", &info, AT_SYMLINK_NOFOLLOW), 0);
			assert_true(S_ISDIR(info.st_mode));
		}
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		assert_int_equal(close(fd), 0);
		fd = next;
	}
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

static void deep_trees_need_no_stack(void **state)
{
	struct host_fixture *f = *state;

	make_deep_tree(f->fs, 10000);
	assert_code(export_with(f, "/", 2), 0);
	assert_deep_host_tree(f, 10000);
}

static void few_descriptors_are_enough(void **state)
{
	struct host_fixture *f = *state;

	make_deep_tree(f->fs, 300);
	unsigned before = count_descriptors();
	struct rlimit old = limit_descriptors(32);
	int code = export_with(f, "/", 16);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_code(code, 0);
	assert_deep_host_tree(f, 300);
	assert_int_equal(count_descriptors(), before);
}

/*
 * Links and other things on the host
 */

static void nothing_is_written_outside(void **state)
{
	struct host_fixture *f = *state;
	char target[128];

	host_dir(f, "outside");
	host_text(f, "outside/file", "precious");
	host_dir(f, "out");
	assert_int_equal(symlink("../outside", at(f, "out/d")), 0);
	make_dir(f->fs, "/d");
	make_text(f->fs, "/d/file", "overwritten");
	/* A link where a directory should be, to one, to nothing, and to itself. */
	assert_refused(f->fs, export_with(f, "/", 2), MFS_EHOST);
	assert_said("out/d: ");
	assert_said(strerror(ENOTDIR));
	assert_int_equal(unlink(at(f, "out/d")), 0);
	assert_int_equal(symlink("../outside/none", at(f, "out/d")), 0);
	assert_refused(f->fs, export_with(f, "/", 2), MFS_EHOST);
	assert_int_equal(unlink(at(f, "out/d")), 0);
	assert_int_equal(symlink("d", at(f, "out/d")), 0);
	assert_refused(f->fs, export_with(f, "/", 2), MFS_EHOST);
	assert_int_equal(unlink(at(f, "out/d")), 0);
	(void)snprintf(target, sizeof(target), "%s/outside", f->top);
	assert_int_equal(symlink(target, at(f, "out/d")), 0);
	assert_refused(f->fs, export_with(f, "/", 2), MFS_EHOST);
	assert_host_text(f, "outside/file", "precious");
	assert_names(f, "outside", 1);
	assert_names(f, "out", 1);
}

static void links_in_the_way_of_files_are_replaced(void **state)
{
	struct host_fixture *f = *state;
	char outside[128];
	struct stat info;

	(void)snprintf(outside, sizeof(outside), "%s/outside", f->top);
	host_text(f, "outside", "precious");
	host_dir(f, "out");
	assert_int_equal(symlink("../outside", at(f, "out/relative")), 0);
	assert_int_equal(symlink(outside, at(f, "out/absolute")), 0);
	assert_int_equal(symlink("../nowhere", at(f, "out/dangling")), 0);
	assert_int_equal(symlink(f->top, at(f, "out/to_directory")), 0);
	assert_int_equal(link(outside, at(f, "out/hard")), 0);
	assert_int_equal(mkfifo(at(f, "out/fifo"), 0666), 0);
	const char *names[] = {"/relative",     "/absolute", "/dangling",
						   "/to_directory", "/hard",     "/fifo"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		make_text(f->fs, names[i], "new");
	}
	assert_code(export_with(f, "/", 2), 0);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "out%s", names[i]);
		assert_host_text(f, name, "new");
	}
	assert_host_text(f, "outside", "precious");
	assert_int_equal(stat(outside, &info), 0);
	assert_int_equal(info.st_nlink, 1);
	assert_false(host_exists(f, "nowhere"));
	assert_names(f, "out", COUNT_OF(names));
}

static struct host_fixture *intruded;

static void put_link_at_next_name(const char *point)
{
	if (strcmp(point, "export: piece written") == 0)
		(void)symlink("../outside", at(intruded, "out/b"));
}

static void a_link_that_comes_to_a_new_directory_is_replaced(void **state)
{
	struct host_fixture *f = *state;
	struct stat info;

	host_text(f, "outside", "precious");
	make_text(f->fs, "/a", "first");
	make_text(f->fs, "/b", "second");
	intruded = f;
	atomic_store(&mfs__yield_hook, put_link_at_next_name);
	int code = export_with(f, "/", 1);
	atomic_store(&mfs__yield_hook, NULL);
	assert_code(code, 0);
	assert_host_text(f, "outside", "precious");
	assert_int_equal(lstat(at(f, "out/b"), &info), 0);
	assert_true(S_ISREG(info.st_mode));
	assert_host_text(f, "out/b", "second");
	assert_names(f, "out", 2);
}

static void the_target_itself_may_be_a_link(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "real");
	assert_int_equal(symlink("real", at(f, "out")), 0);
	make_text(f->fs, "/f", "x");
	assert_code(export_with(f, "/", 2), 0);
	assert_host_text(f, "real/f", "x");
}

static _Atomic bool swapping;

/** Puts a link in the place of a directory and back, again and again. */
static void *swap(void *argument)
{
	struct host_fixture *f = argument;
	char directory[128];
	char kept[128];
	long rounds = 0;

	(void)snprintf(directory, sizeof(directory), "%s/out/d", f->top);
	(void)snprintf(kept, sizeof(kept), "%s/kept", f->top);
	while (atomic_load(&swapping)) {
		rounds += rename(directory, kept) == 0 && symlink("../outside", directory) == 0;
		(void)unlink(directory);
		(void)rename(kept, directory);
	}
	return (void *)rounds;
}

static void a_directory_that_becomes_a_link_leads_nowhere(void **state)
{
	struct host_fixture *f = *state;
	void *rounds = NULL;

	host_dir(f, "outside");
	host_text(f, "outside/f0", "precious");
	host_dir(f, "out");
	host_dir(f, "out/d");
	make_dir(f->fs, "/d");
	for (int i = 0; i < 50; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "/d/f%d", i);
		make_text(f->fs, name, "new");
	}
	atomic_store(&swapping, true);
	pthread_t thread = start_thread(swap, f);
	for (int i = 0; i < 100; i++) {
		int code = export_with(f, "/", 2);

		assert_either(code, 0, MFS_EHOST);
	}
	atomic_store(&swapping, false);
	assert_int_equal(pthread_join(thread, &rounds), 0);
	assert_true((long)rounds > 0);
	assert_host_text(f, "outside/f0", "precious");
	assert_names(f, "outside", 1);
}

/*
 * Refusals
 */

static void bad_arguments_are_refused(void **state)
{
	struct host_fixture *f = *state;
	mfs *fs = f->fs;
	mfs_transfer_options options = with_threads(65);

	make_text(fs, "/f", "x");
	assert_refused(fs, mfs_export_to_dir(NULL, "/", f->top, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_export_to_dir(fs, NULL, f->top, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_export_to_dir(fs, "/", NULL, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_export_to_dir(fs, "/", f->top, &options), MFS_EINVAL);
	assert_said("threads of mfs_transfer_options");
	options.threads = 0;
	options.flags = 2;
	assert_refused(fs, mfs_export_to_dir(fs, "/", f->top, &options), MFS_EINVAL);
	assert_said("flags of mfs_transfer_options");
	assert_refused(fs, export_with(f, "/..", 2), MFS_EINVAL);
	assert_refused(fs, export_with(f, "/none", 2), MFS_ENOENT);
	assert_said("export_to_dir of /none");
	assert_refused(fs, export_with(f, "/f", 2), MFS_ENOTDIR);
	assert_names(f, "", 0);
	assert_refused(fs, mfs_export_to_dir(fs, "/", at(f, "none/out"), NULL), MFS_EHOST);
	assert_said(strerror(ENOENT));
	assert_said(at(f, "none/out"));
	host_text(f, "out", "a file");
	assert_refused(fs, export_with(f, "/", 2), MFS_EHOST);
	assert_said(strerror(ENOTDIR));
	assert_host_text(f, "out", "a file");
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void a_directory_in_the_way_of_a_file_is_named(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "out");
	host_dir(f, "out/d");
	host_dir(f, "out/d/f");
	make_dir(f->fs, "/d");
	make_text(f->fs, "/d/f", "x");
	assert_refused(f->fs, export_with(f, "/", 2), MFS_EHOST);
	assert_said("out/d/f: ");
	assert_said(strerror(EISDIR));
	assert_names(f, "out/d", 1);
	assert_names(f, "out/d/f", 0);
}

static void a_file_in_the_way_of_a_directory_is_named(void **state)
{
	struct host_fixture *f = *state;

	host_dir(f, "out");
	host_text(f, "out/d", "file");
	make_dir(f->fs, "/d/e");
	assert_refused(f->fs, export_with(f, "/", 2), MFS_EHOST);
	assert_said("out/d: ");
	assert_host_text(f, "out/d", "file");
}

static void a_write_that_fails_leaves_the_old_file(void **state)
{
	struct host_fixture *f = *state;
	const size_t file_sizes[] = {200 * KIB, 3 * MIB};
	struct rlimit old;

	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (size_t i = 0; i < COUNT_OF(file_sizes); i++) {
		unsigned char *bytes = pattern(file_sizes[i], 1);
		const struct rlimit limit = {100 * KIB, old.rlim_max};

		make_file(f->fs, "/f", bytes, file_sizes[i]);
		free(bytes);
		if (i == 0) {
			host_dir(f, "out");
		}
		host_text(f, "out/f", "old");
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		int code = export_with(f, "/", 2);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_code(code, MFS_EHOST);
		assert_said("out/f: ");
		assert_said(strerror(EFBIG));
		assert_host_text(f, "out/f", "old");
		assert_names(f, "out", 1);
	}
	assert_int_equal(usage_of(f->fs).open_handles, 0);
}

static void a_file_that_stays_locked_is_named(void **state)
{
	struct host_fixture *f = *state;
	const int64_t timeouts[] = {MFS_NO_WAIT, 1, 150};

	for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
		mfs_options options = {.struct_size = sizeof(options)};

		options.default_lock_timeout = timeouts[i];
		mfs *fs = new_workspace(&options);
		make_text(fs, "/g", "x");
		mfs_file *writer = open_file(fs, "/f", "wb");
		assert_refused(fs, mfs_export_to_dir(fs, "/", at(f, "out"), NULL),
					   timeouts[i] == MFS_NO_WAIT ? MFS_EBUSY : MFS_ETIMEDOUT);
		assert_said("/f: ");
		close_file(writer);
		assert_code(mfs_export_to_dir(fs, "/", at(f, "out"), NULL), 0);
		assert_names(f, "out", 2);
		free_workspace(fs);
	}
}

/*
 * Cancelling
 */

struct canceler {
	_Atomic unsigned calls;
	unsigned cancel_at;
	mfs_file *writer; /* closed at the first call */
};

static bool cancel(void *user, const mfs_progress *progress)
{
	struct canceler *canceler = user;

	(void)progress;
	if (canceler->writer != NULL) {
		(void)mfs_close(canceler->writer);
		canceler->writer = NULL;
	}
	return atomic_fetch_add(&canceler->calls, 1) + 1 < canceler->cancel_at;
}

static int export_canceled(struct host_fixture *f, struct canceler *canceler, unsigned threads)
{
	mfs_transfer_options options = with_threads(threads);
	char target[128];

	(void)snprintf(target, sizeof(target), "%s/out", f->top);
	options.on_progress = cancel;
	options.user = canceler;
	return mfs_export_to_dir(f->fs, "/", target, &options);
}

static void to_cancel_at_the_end_is_told(void **state)
{
	struct host_fixture *f = *state;
	struct canceler canceler = {.cancel_at = 1};

	make_text(f->fs, "/f", "x");
	assert_refused(f->fs, export_canceled(f, &canceler, 2), MFS_ECANCELED);
	assert_int_equal(canceler.calls, 1);
	assert_names(f, "out", 1);
}

static struct canceler *held_for;
static unsigned held_until;
static pid_t caller;
static int64_t report_due;

/**
 * Holds all threads but the calling one until so many calls of the callback have come; and the
 * calling one, in the middle of its first file, until it has to report.
 */
static void hold_workers(const char *point)
{
	if (strcmp(point, "export: piece written") != 0) {
		return;
	}
	if (gettid() != caller) {
		AWAIT(atomic_load(&held_for->calls) >= held_until);
	} else {
		AWAIT(mfs__now() > report_due);
	}
}

static void set_hold(struct canceler *canceler, unsigned until)
{
	held_for = canceler;
	held_until = until;
	caller = gettid();
	report_due = mfs__now() + 200 * MFS__NS_PER_MS;
	atomic_store(&mfs__yield_hook, hold_workers);
}

static void to_cancel_in_the_middle_leaves_no_temporary(void **state)
{
	struct host_fixture *f = *state;
	unsigned char *bytes = pattern(3 * MIB, 1);

	for (int i = 0; i < 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "/f%d", i);
		make_file(f->fs, name, bytes, 3 * MIB);
	}
	free(bytes);
	/* To a directory that is there, and to one that is made. */
	for (unsigned turn = 0; turn < 6; turn++) {
		unsigned cancel_at = 1 + turn / 2;
		struct canceler canceler = {.cancel_at = cancel_at};
		unsigned temporary = 0;

		if (turn % 2) {
			host_dir(f, "out");
		}
		set_hold(&canceler, cancel_at);
		int code = export_canceled(f, &canceler, 3);
		atomic_store(&mfs__yield_hook, NULL);
		assert_code(code, MFS_ECANCELED);
		assert_int_equal(canceler.calls, cancel_at);
		assert_true(count_names(f, "out", &temporary) < 40);
		assert_int_equal(temporary, 0);
		for (int i = 0; i < 40; i++) {
			char name[16];
			struct stat info;

			(void)snprintf(name, sizeof(name), "out/f%d", i);
			if (stat(at(f, name), &info) == 0) {
				assert_int_equal(info.st_size, 3 * MIB);
			}
		}
		assert_int_equal(usage_of(f->fs).open_handles, 0);
		assert_int_equal(remove_host_tree(at(f, "out")), 0);
	}
}

static void a_wait_for_a_lock_can_be_canceled(void **state)
{
	struct host_fixture *f = *state;
	struct canceler canceler = {.cancel_at = 2};

	for (unsigned threads = 1; threads <= 2; threads++) {
		atomic_store(&canceler.calls, 0);
		mfs_file *writer = open_file(f->fs, "/f", "wb");
		assert_refused(f->fs, export_canceled(f, &canceler, threads), MFS_ECANCELED);
		assert_int_equal(canceler.calls, 2);
		close_file(writer);
	}
	assert_names(f, "out", 0);
}

static void the_callback_may_end_what_is_waited_for(void **state)
{
	struct host_fixture *f = *state;
	struct canceler canceler = {.cancel_at = 100};

	canceler.writer = open_file(f->fs, "/f", "wb");
	assert_code(mfs_write(canceler.writer, "text", 4), 4);
	assert_code(export_canceled(f, &canceler, 1), 0);
	assert_null(canceler.writer);
	assert_host_text(f, "out/f", "text");
}

/*
 * Forks
 */

struct forker {
	struct host_fixture *f;
	pid_t process;
	pid_t child;
	unsigned calls;
	bool by_thread;
};

/**
 * What is wrong in the child, 0: nothing. The files that the export had open are closed, and so is
 * its walk.
 */
static int fault_of_child(mfs *fs)
{
	mfs_usage usage;

	if (mfs_stats(fs, &usage) != 0 || usage.open_handles != 0) {
		return 2;
	}
	for (int i = 0; i < 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "/f%d", i);
		if (try_open(fs, name, "r+b") != 0) {
			return 3;
		}
	}
	if (!mfs__validate(fs)) {
		return 4;
	}
	return mfs_free(fs) != 0 ? 5 : 0;
}

static void *fork_in_thread(void *argument)
{
	struct forker *forker = argument;

	forker->child = fork();
	if (forker->child == 0) {
		_exit(fault_of_child(forker->f->fs));
	}
	return NULL;
}

static bool fork_once(void *user, const mfs_progress *progress)
{
	struct forker *forker = user;

	(void)progress;
	if (forker->calls++ == 0) {
		if (forker->by_thread) {
			join_thread(start_thread(fork_in_thread, forker));
		} else {
			forker->child = fork();
		}
	}
	atomic_fetch_add(&held_for->calls, 1);
	return true;
}

static void fork_while_exporting(struct host_fixture *f, bool by_thread)
{
	unsigned char *bytes = pattern(3 * MIB, 1);
	struct canceler canceler = {0};
	struct forker forker = {.f = f, .process = getpid(), .by_thread = by_thread};
	mfs_transfer_options options = with_threads(3);
	char target[128];
	int status = -1;

	for (int i = 0; i < 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "/f%d", i);
		make_file(f->fs, name, bytes, 3 * MIB);
	}
	(void)snprintf(target, sizeof(target), "%s/out", f->top);
	options.on_progress = fork_once;
	options.user = &forker;
	set_hold(&canceler, 1);
	int code = mfs_export_to_dir(f->fs, "/", target, &options);
	if (getpid() != forker.process) {
		_exit(code != MFS_ECANCELED ? 1 : fault_of_child(f->fs));
	}
	atomic_store(&mfs__yield_hook, NULL);
	assert_code(code, 0);
	assert_true(forker.child > 0);
	assert_int_equal(waitpid(forker.child, &status, 0), forker.child);
	assert_int_equal(status, 0);
	assert_names(f, "out", 40);
	for (int i = 0; i < 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "out/f%d", i);
		assert_host_holds(f, name, bytes, 3 * MIB);
	}
	free(bytes);
}

static void a_fork_in_the_callback_ends_the_export_in_the_child(void **state)
{
	fork_while_exporting(*state, false);
}

static void a_fork_in_another_thread_leaves_nothing_open_in_the_child(void **state)
{
	fork_while_exporting(*state, true);
}

/*
 * Side by side
 */

struct changer {
	mfs *fs;
	_Atomic bool stop;
	unsigned faults;
};

/** Writes, removes, moves and makes while others export. */
static void *change(void *argument)
{
	struct changer *changer = argument;
	char whole[5000];

	for (unsigned i = 0; !atomic_load(&changer->stop); i++) {
		char name[32];
		mfs_file *file = NULL;

		(void)snprintf(name, sizeof(name), "/d/%u", i % 40);
		memset(whole, 'a' + (int)(i % 26), sizeof(whole));
		if (mfs_open(changer->fs, name, "wb", &file) != 0 || mfs_write(file, whole, 2500) != 2500 ||
			mfs_write(file, whole + 2500, 2500) != 2500 || mfs_close(file) != 0) {
			changer->faults++;
		}
		if (i % 3 == 0) {
			int code = mfs_remove(changer->fs, name);

			changer->faults += code != 0 && code != MFS_EBUSY;
		}
	}
	return NULL;
}

static void each_file_is_as_of_one_instant(void **state)
{
	struct host_fixture *f = *state;
	struct changer changer = {.fs = f->fs};

	make_dir(f->fs, "/d");
	pthread_t thread = start_thread(change, &changer);
	for (int i = 0; i < 30; i++) {
		assert_code(export_with(f, "/", 2), 0);
	}
	atomic_store(&changer.stop, true);
	join_thread(thread);
	assert_int_equal(changer.faults, 0);
	for (int i = 0; i < 40; i++) {
		char name[32];
		char bytes[5001];

		(void)snprintf(name, sizeof(name), "out/d/%d", i);
		int fd = open(at(f, name), O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			continue;
		}
		ssize_t size = read(fd, bytes, sizeof(bytes));
		assert_true(size == 0 || size == 5000);
		for (ssize_t k = 0; k < size; k++) {
			assert_int_equal(bytes[k], bytes[0]);
		}
		assert_int_equal(close(fd), 0);
	}
	unsigned temporary = 0;
	(void)count_names(f, "out/d", &temporary);
	assert_int_equal(temporary, 0);
}

/*
 * Failing allocations
 */

static void no_memory_leaves_no_temporary(void **state)
{
	struct host_fixture *f = *state;
	bool failed = true;

	make_dir(f->fs, "/d/e");
	make_text(f->fs, "/d/f", "x");
	make_text(f->fs, "/d/e/g", "x");
	assert_code(export_with(f, "/", 1), 0);
	for (long n = 1; failed; n++) {
		assert_true(n < 500);
		long before = mfs__alloc_live();
		mfs__alloc_fail_after(n);
		int code = export_with(f, "/", 1);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		assert_either(code, failed ? MFS_ENOMEM : 0, 0);
		/* Less, when something from before is freed only now. */
		assert_true(mfs__alloc_live() <= before);
		assert_int_equal(usage_of(f->fs).open_handles, 0);
		assert_names(f, "out", 1);
		assert_names(f, "out/d", 2);
		assert_names(f, "out/d/e", 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(files_have_their_bytes),
		HOST_TEST(a_tree_comes_out_as_it_is),
		HOST_TEST(host_files_are_as_they_should_be),
		HOST_TEST(what_is_on_the_host_is_replaced_or_left_alone),
		HOST_TEST(only_dirty_files_are_exported),
		HOST_TEST(the_last_progress_counts_all),
		HOST_TEST(wide_directories_are_written_by_all),
		HOST_TEST(deep_trees_need_no_stack),
		HOST_TEST(few_descriptors_are_enough),
		HOST_TEST(nothing_is_written_outside),
		HOST_TEST(links_in_the_way_of_files_are_replaced),
		HOST_TEST(a_link_that_comes_to_a_new_directory_is_replaced),
		HOST_TEST(the_target_itself_may_be_a_link),
		HOST_TEST(a_directory_that_becomes_a_link_leads_nowhere),
		HOST_TEST(bad_arguments_are_refused),
		HOST_TEST(a_directory_in_the_way_of_a_file_is_named),
		HOST_TEST(a_file_in_the_way_of_a_directory_is_named),
		HOST_TEST(a_write_that_fails_leaves_the_old_file),
		HOST_TEST(a_file_that_stays_locked_is_named),
		HOST_TEST(to_cancel_at_the_end_is_told),
		HOST_TEST(to_cancel_in_the_middle_leaves_no_temporary),
		HOST_TEST(a_wait_for_a_lock_can_be_canceled),
		HOST_TEST(the_callback_may_end_what_is_waited_for),
		HOST_TEST(a_fork_in_the_callback_ends_the_export_in_the_child),
		HOST_TEST(a_fork_in_another_thread_leaves_nothing_open_in_the_child),
		HOST_TEST(each_file_is_as_of_one_instant),
		HOST_TEST(no_memory_leaves_no_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
