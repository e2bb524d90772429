/* SPDX-License-Identifier: MIT */
/*
 * What does the making of an archive do about all that happens meanwhile: its user changes his
 * mind, files change, go away or are held, and the descriptor is slow or refuses?
 */
#include "create_archive.h"

#include <poll.h>
#include <signal.h>

/*
 * Progress
 */

struct watcher {
	mfs *fs;
	struct text paths;
	mfs_archive_progress last;
	uint64_t calls;
	uint64_t stop_at; /* the call that cancels, 0: none */
	/* Done once, before the entry of this name. */
	const char *before;
	void (*change)(mfs *fs);
};

static bool watch(void *user, const mfs_archive_progress *progress)
{
	struct watcher *watcher = user;

	watcher->calls++;
	if (progress->path != NULL && watcher->before != NULL &&
		strcmp(progress->path, watcher->before) == 0) {
		watcher->change(watcher->fs);
		watcher->before = NULL;
	}
	text_add(&watcher->paths, progress->path != NULL ? progress->path : "(end)");
	text_add(&watcher->paths, "\n");
	watcher->last = *progress;
	return watcher->calls != watcher->stop_at;
}

static mfs_archive_create_options watched_by(struct watcher *watcher)
{
	mfs_archive_create_options options = in_format(MFS_ARCHIVE_TAR);

	options.on_progress = watch;
	options.user = watcher;
	return options;
}

static void progress_tells_each_entry_and_the_end(void **state)
{
	mfs *fs = *state;
	struct watcher watcher = {.fs = fs};
	mfs_archive_create_options options = watched_by(&watcher);
	mfs_archive_progress result = {.files = 99};

	make_dir(fs, "/d");
	make_text(fs, "/a", "123");
	make_text(fs, "/d/b", "45678");
	options.result = &result;
	struct bytes archive = archive_of(fs, "/", &options, 2);

	bytes_free(&archive);
	assert_string_equal(watcher.paths.bytes, "a\nd\nd/b\n(end)\n");
	assert_int_equal(watcher.last.entries, 3);
	assert_int_equal(watcher.last.files, 2);
	assert_int_equal(watcher.last.directories, 1);
	assert_int_equal(watcher.last.bytes, 8);
	assert_int_equal(watcher.last.unsafe, 0);
	assert_int_equal(watcher.last.conflicts, 0);
	assert_memory_equal(&result, &watcher.last, sizeof(result));
	free(watcher.paths.bytes);
}

static void each_report_can_cancel(void **state)
{
	mfs *fs = *state;

	make_dir(fs, "/d");
	/* Enough to be written as soon as the compressor gives it. */
	make_random(fs, "/a", 60000);
	make_text(fs, "/d/b", "45678");
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		for (uint64_t stop_at = 1; stop_at <= 4; stop_at++) {
			struct watcher watcher = {.fs = fs, .stop_at = stop_at};
			mfs_archive_create_options options = watched_by(&watcher);
			mfs_archive_progress result = {.files = 99};
			int fd = new_memfd();

			options.format = formats[i];
			options.result = &result;
			assert_refused(fs, mfs_create_archive(fs, "/", fd, &options), MFS_ECANCELED);
			assert_int_equal(watcher.calls, stop_at);
			assert_int_equal(result.files, stop_at < 2 ? 0 : stop_at < 4 ? 1 : 2);
			assert_null(result.path);
			assert_int_equal(usage_of(fs).open_handles, 0);
			free(watcher.paths.bytes);
			/* What is there has no end, and is no archive. */
			struct bytes cut = take_bytes(fd);
			mfs_archive_source source = mfs_archive_from_memory(cut.data, cut.size);

			assert_refused(fs, mfs_expand_archive(fs, "/copy", &source, NULL), MFS_EFORMAT);
			bytes_free(&cut);
		}
	}
}

struct late_reader {
	int fd;
	int64_t until; /* CLOCK_MONOTONIC: nothing is read before that */
	bool failed;
};

static void *read_late(void *argument)
{
	struct late_reader *reader = argument;
	static unsigned char part[65536];
	ssize_t got = 1;

	while (clock_ns(CLOCK_MONOTONIC) < reader->until) {
		sched_yield();
	}
	while (got > 0) {
		got = read(reader->fd, part, sizeof(part));
	}
	reader->failed = got < 0;
	return NULL;
}

/** A file that takes longer than the time between two reports. */
static void a_long_entry_is_reported_again(void **state)
{
	mfs *fs = *state;
	struct watcher watcher = {.fs = fs};
	mfs_archive_create_options options = watched_by(&watcher);
	struct late_reader reader = {.failed = false};
	int ends[2];

	make_random(fs, "/long", 2 * MIB);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	reader.fd = ends[0];
	reader.until = clock_ns(CLOCK_MONOTONIC) + 150000000;
	pthread_t thread = start_thread(read_late, &reader);
	int64_t files = mfs_create_archive(fs, "/", ends[1], &options);

	assert_int_equal(close(ends[1]), 0);
	join_thread(thread);
	assert_int_equal(close(ends[0]), 0);
	assert_code(files, 1);
	assert_false(reader.failed);
	assert_int_equal(strncmp(watcher.paths.bytes, "long\nlong\n", 10), 0);
	free(watcher.paths.bytes);
}

/*
 * Changes meanwhile, and files that are held
 */

static void remove_b(mfs *fs)
{
	assert_code(mfs_remove(fs, "/b"), 0);
}

static void make_b_a_directory(mfs *fs)
{
	assert_code(mfs_remove(fs, "/b"), 0);
	assert_code(mfs_mkdir(fs, "/b", 0), 0);
}

static void remove_d(mfs *fs)
{
	assert_code(mfs_rmtree(fs, "/d"), 0);
}

static void make_d_a_file(mfs *fs)
{
	assert_code(mfs_rmtree(fs, "/d"), 0);
	make_text(fs, "/d", "a file");
}

static void make_b_longer(mfs *fs)
{
	make_text(fs, "/b", "longer than it was");
}

static void what_goes_away_meanwhile_is_left_out(void **state)
{
	static const struct {
		void (*change)(mfs *fs);
		int64_t files;
		const char *entries;
	} cases[] = {
		{remove_b, 4, "a\nc\nd\nd/e\nd/f\n"},
		{make_b_a_directory, 4, "a\nc\nd\nd/e\nd/f\n"},
		{remove_d, 3, "a\nb\nc\n"},
		{make_d_a_file, 3, "a\nb\nc\n"},
		{make_b_longer, 5, "a\nb\nc\nd\nd/e\nd/f\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs *fs = new_workspace(NULL);
		struct watcher watcher = {.fs = fs, .before = "a", .change = cases[i].change};
		mfs_archive_create_options options = watched_by(&watcher);
		char expected[64];

		make_dir(fs, "/d");
		make_text(fs, "/a", "a");
		make_text(fs, "/b", "b");
		make_text(fs, "/c", "c");
		make_text(fs, "/d/e", "e");
		make_text(fs, "/d/f", "f");
		support__mark_last_error(fs);
		struct bytes archive = archive_of(fs, "/", &options, cases[i].files);

		/* It has succeeded, so the last failure is still an older one. */
		assert_said("/the marker");
		(void)snprintf(expected, sizeof(expected), "%s(end)\n", cases[i].entries);
		assert_string_equal(watcher.paths.bytes, expected);
		mfs *copy = expanded(&archive, cases[i].files);

		if (cases[i].change == make_b_longer) {
			assert_text(copy, "/b", "longer than it was");
		}
		free_workspace(copy);
		free_workspace(fs);
		free(watcher.paths.bytes);
	}
}

static void a_file_held_for_writing_is_refused_by_name(void **state)
{
	static const struct {
		int64_t timeout;
		int code;
	} cases[] = {{MFS_NO_WAIT, MFS_EBUSY}, {1, MFS_ETIMEDOUT}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_options options = {.struct_size = sizeof(options)};

		options.default_lock_timeout = cases[i].timeout;
		mfs *fs = new_workspace(&options);

		make_dir(fs, "/d");
		make_text(fs, "/d/free", "f");
		make_text(fs, "/d/held", "h");
		mfs_file *held = open_file(fs, "/d/held", "r+b");
		int fd = new_memfd();
		static const char *const paths[] = {"/", "/d/held"};

		for (size_t j = 0; j < COUNT_OF(paths); j++) {
			assert_refused(fs, mfs_create_archive(fs, paths[j], fd, NULL), cases[i].code);
			assert_said("/d/held");
			assert_int_equal(usage_of(fs).open_handles, 1);
		}
		close_file(held);
		/* Readers are in nobody's way. */
		held = open_file(fs, "/d/held", "rb");
		assert_code(mfs_create_archive(fs, "/", fd, NULL), 2);
		close_file(held);
		assert_int_equal(close(fd), 0);
		free_workspace(fs);
	}
}

struct rewriter {
	mfs *fs;
	unsigned number;
	_Atomic bool stop;
	_Atomic uint64_t rounds;
	int code;
};

/** Gives files other lengths and bytes, again and again: one byte fills a file. */
static void *rewrite(void *argument)
{
	struct rewriter *rewriter = argument;
	struct rng rng = {rewriter->number + 1};
	static unsigned char bytes[2][20000];

	while (!atomic_load(&rewriter->stop) && rewriter->code == 0) {
		mfs_file *file = NULL;
		char path[32];
		size_t size = rng_below(&rng, sizeof(bytes[0]));

		(void)snprintf(path, sizeof(path), "/d%zu/f%u", rng_below(&rng, 4), rewriter->number);
		memset(bytes[rewriter->number], (int)rng_below(&rng, 256), size);
		rewriter->code = mfs_open(rewriter->fs, path, "wb", &file);
		if (rewriter->code == 0) {
			int64_t written = mfs_write(file, bytes[rewriter->number], size);

			rewriter->code = written < 0 ? (int)written : mfs_close(file);
		}
		if (rewriter->code == 0 && rng_below(&rng, 4) == 0) {
			rewriter->code = mfs_remove(rewriter->fs, path);
		}
		if (rewriter->code == MFS_EBUSY) {
			rewriter->code = 0;
		}
		atomic_fetch_add(&rewriter->rounds, 1);
	}
	return NULL;
}

/** What others write meanwhile: each file is in the archive as of one instant, or not at all. */
static void files_are_whole_while_others_write(void **state)
{
	mfs *fs = *state;
	struct rewriter rewriters[2] = {{.fs = fs, .number = 0}, {.fs = fs, .number = 1}};
	pthread_t threads[COUNT_OF(rewriters)];

	for (int i = 0; i < 4; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/d%d", i);
		make_dir(fs, path);
	}
	for (size_t i = 0; i < COUNT_OF(rewriters); i++) {
		threads[i] = start_thread(rewrite, &rewriters[i]);
	}
	for (int round = 0; round < 100; round++) {
		mfs_archive_create_options options = in_format(formats[round % 4]);
		int fd = new_memfd();
		int64_t files = mfs_create_archive(fs, "/", fd, &options);

		assert_true(files >= 0);
		struct bytes archive = take_bytes(fd);
		mfs *copy = expanded(&archive, files);
		char **paths = NULL;
		int64_t count = mfs_glob(copy, "/*/*", &paths);

		assert_code(count, files);
		for (int64_t i = 0; i < count; i++) {
			mfs_file *file = open_file(copy, paths[i], "rb");
			const void *data = NULL;
			int64_t at = 0;
			unsigned char first = 0;

			for (int64_t n = 0; (n = mfs_view(file, at, &data)) > 0; at += n) {
				const unsigned char *bytes = data;

				first = at == 0 ? bytes[0] : first;
				for (int64_t k = 0; k < n; k++) {
					if (bytes[k] != first) {
						fail_msg("%s is of several instants", paths[i]);
					}
				}
			}
			close_file(file);
		}
		mfs_names_free(paths);
		free_workspace(copy);
	}
	for (size_t i = 0; i < COUNT_OF(rewriters); i++) {
		atomic_store(&rewriters[i].stop, true);
		join_thread(threads[i]);
		assert_code(rewriters[i].code, 0);
		assert_true(atomic_load(&rewriters[i].rounds) > 0);
	}
}

/*
 * Descriptors
 */

static void a_full_device_is_told_with_its_reason(void **state)
{
	mfs *fs = *state;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		print_message("there is no /dev/full\n");
		skip();
	}
	make_random(fs, "/large", 3 * MIB);
	make_text(fs, "/small", "text");
	static const char *const paths[] = {"/", "/small"};

	for (size_t i = 0; i < COUNT_OF(formats) * COUNT_OF(paths); i++) {
		mfs_archive_create_options options = in_format(formats[i / 2]);

		errno = 0;
		assert_refused(fs, mfs_create_archive(fs, paths[i % 2], fd, &options), MFS_EHOST);
		assert_int_equal(errno, ENOSPC);
		assert_said("No space left");
		assert_int_equal(usage_of(fs).open_handles, 0);
	}
	assert_int_equal(close(fd), 0);
	errno = 0;
	assert_refused(fs, mfs_create_archive(fs, "/", -1, NULL), MFS_EHOST);
	assert_int_equal(errno, EBADF);
}

static void a_full_pipe_that_does_not_block_is_told(void **state)
{
	mfs *fs = *state;
	int ends[2];
	mfs_archive_create_options options = in_format(MFS_ARCHIVE_TAR);

	make_random(fs, "/large", 3 * MIB);
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	errno = 0;
	assert_refused(fs, mfs_create_archive(fs, "/", ends[1], &options), MFS_EHOST);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(close(ends[0]), 0);
	errno = 0;
	assert_refused(fs, mfs_create_archive(fs, "/", ends[1], &options), MFS_EHOST);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(close(ends[1]), 0);
}

struct drain {
	int fd;
	pthread_t writer;
	struct bytes bytes;
	bool failed;
};

/** Reads what comes in parts of odd sizes, and interrupts the writer before each of them. */
static void *drain_with_signals(void *argument)
{
	struct drain *drain = argument;
	unsigned char part[9973];

	for (;;) {
		struct pollfd ready = {.fd = drain->fd, .events = POLLIN};

		drain->failed = drain->failed || pthread_kill(drain->writer, SIGUSR1) != 0;
		if (poll(&ready, 1, -1) != 1) {
			drain->failed = true;
			return NULL;
		}
		ssize_t got = read(drain->fd, part, sizeof(part));

		if (got <= 0) {
			drain->failed = drain->failed || got < 0;
			return NULL;
		}
		bytes_append(&drain->bytes, part, (size_t)got);
	}
}

static void ignore_signal(int number)
{
	(void)number;
}

static void short_and_interrupted_writes_are_repeated(void **state)
{
	mfs *fs = *state;
	struct sigaction act = {.sa_handler = ignore_signal}; /* without SA_RESTART */
	struct sigaction before;

	for (int i = 0; i < 50; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/f%d", i);
		make_random(fs, path, (size_t)i * 1999);
	}
	make_random(fs, "/large", 2 * MIB + 5);
	assert_int_equal(sigaction(SIGUSR1, &act, &before), 0);
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		mfs_archive_create_options options = in_format(formats[i]);
		struct drain drain = {.writer = pthread_self()};
		int ends[2];

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		drain.fd = ends[0];
		/* The thread needs no memory, which might not be there. */
		bytes_extend(&drain.bytes, 8 * MIB);
		drain.bytes.size = 0;
		pthread_t thread = start_thread(drain_with_signals, &drain);
		int64_t files = mfs_create_archive(fs, "/", ends[1], &options);

		assert_int_equal(close(ends[1]), 0);
		join_thread(thread);
		assert_int_equal(close(ends[0]), 0);
		assert_code(files, 51);
		assert_false(drain.failed);
		struct bytes whole = archive_of(fs, "/", &options, 51);

		assert_int_equal(drain.bytes.size, whole.size);
		assert_memory_equal(drain.bytes.data, whole.data, whole.size);
		bytes_free(&drain.bytes);
		bytes_free(&whole);
	}
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(progress_tells_each_entry_and_the_end),
		WORKSPACE_TEST(a_long_entry_is_reported_again),
		WORKSPACE_TEST(each_report_can_cancel),
		cmocka_unit_test(what_goes_away_meanwhile_is_left_out),
		cmocka_unit_test(a_file_held_for_writing_is_refused_by_name),
		WORKSPACE_TEST(files_are_whole_while_others_write),
		WORKSPACE_TEST(a_full_device_is_told_with_its_reason),
		WORKSPACE_TEST(a_full_pipe_that_does_not_block_is_told),
		WORKSPACE_TEST(short_and_interrupted_writes_are_repeated),
	};

	/* To write to a pipe that nobody reads is to be refused, not to die. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
