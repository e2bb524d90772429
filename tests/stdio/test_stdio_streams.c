/* SPDX-License-Identifier: MIT */
/*
 * Do streams stand beside each other, beside other calls, other threads and a fork as those on
 * descriptors do?
 */
#include "support.h"

#include <errno.h>
#include <sys/wait.h>
#include <wchar.h>

#include "dmemfs/stdio.h"

#define THREADS 4
#define LINES   500

static FILE *open_stream(mfs *fs, const char *path, const char *mode)
{
	FILE *f = mfs_fopen(fs, path, mode);

	assert_non_null(f);
	return f;
}

/*
 * Names
 */

static void a_stream_goes_on_when_its_file_is_renamed_or_removed(void **state)
{
	mfs *fs = *state;
	FILE *f = open_stream(fs, "/f", "w+");
	uint64_t before = 0;

	assert_true(fputs("one ", f) >= 0);
	assert_code(mfs_rename(fs, "/f", "/g", 0), 0);
	assert_true(fputs("two ", f) >= 0);
	assert_int_equal(fflush(f), 0);
	assert_text(fs, "/g", "one two ");
	before = used_bytes(fs);
	assert_true(before > 0);
	assert_code(mfs_remove(fs, "/g"), 0);
	assert_true(fputs("three", f) >= 0);
	rewind(f);
	char text[32] = {0};
	assert_int_equal(fread(text, 1, sizeof(text), f), strlen("one two three"));
	assert_string_equal(text, "one two three");
	assert_true(used_bytes(fs) >= before);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(used_bytes(fs), 0);
}

static void a_new_file_of_the_name_is_another_file(void **state)
{
	mfs *fs = *state;
	FILE *old = open_stream(fs, "/f", "w");
	FILE *new = NULL;

	assert_code(mfs_remove(fs, "/f"), 0);
	new = open_stream(fs, "/f", "wx");
	assert_true(fputs("old", old) >= 0);
	assert_true(fputs("new", new) >= 0);
	assert_int_equal(fclose(new), 0);
	assert_int_equal(fclose(old), 0);
	assert_text(fs, "/f", "new");
}

static void streams_are_closed_and_opened_elsewhere_again_and_again(void **state)
{
	mfs *fs = *state;
	char path[32];

	for (int i = 0; i < 300; i++) {
		FILE *f = NULL;
		int back = -1;

		(void)snprintf(path, sizeof(path), "/f%d", i % 7);
		f = open_stream(fs, path, i % 2 == 0 ? "w" : "a");
		assert_true(fprintf(f, "%d\n", i) > 0);
		assert_int_equal(fclose(f), 0);
		f = open_stream(fs, path, "r");
		while (fscanf(f, "%d", &back) == 1) {
		}
		assert_int_equal(back, i);
		assert_int_equal(fclose(f), 0);
	}
	assert_code(usage_of(fs).open_handles, 0);
}

/*
 * What there is not
 */

static void there_is_no_descriptor(void **state)
{
	mfs *fs = *state;
	FILE *f = open_stream(fs, "/f", "w");

	errno = 0;
	assert_int_equal(fileno(f), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(fclose(f), 0);
}

#ifdef __GLIBC__
static void wide_characters_are_refused(void **state)
{
	mfs *fs = *state;
	FILE *f = NULL;

	make_text(fs, "/f", "text\n");
	f = open_stream(fs, "/f", "r+");
	assert_true(fwide(f, 1) < 0);
	assert_int_equal(fputws(L"wide", f), -1);
	assert_true(fwprintf(f, L"%d", 1) < 0);
	rewind(f);
	assert_int_equal(fgetc(f), 't');
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "text\n");
}
#endif

/*
 * Threads
 */

struct writer {
	mfs *fs;
	FILE *stream;
	int number;
	bool locks; /* writes a line in three calls, under flockfile() */
	bool failed;
	pthread_t thread;
};

static void *write_lines(void *argument)
{
	struct writer *writer = argument;

	for (int i = 0; i < LINES; i++) {
		if (!writer->locks) {
			writer->failed |= fprintf(writer->stream, "%d line %d\n", writer->number, i) < 0;
			continue;
		}
		flockfile(writer->stream);
		writer->failed |= fprintf(writer->stream, "%d ", writer->number) < 0;
		writer->failed |= fputs("line", writer->stream) < 0;
		writer->failed |= fprintf(writer->stream, " %d\n", i) < 0;
		funlockfile(writer->stream);
	}
	return NULL;
}

/* Each thread's lines are there, whole and in order. */
static void assert_lines(mfs *fs, const char *path)
{
	FILE *f = open_stream(fs, path, "r");
	int next[THREADS] = {0};
	int number = 0;
	int line = 0;

	for (int i = 0; i < THREADS * LINES; i++) {
		assert_int_equal(fscanf(f, "%d line %d\n", &number, &line), 2);
		assert_in_range(number, 0, THREADS - 1);
		assert_int_equal(line, next[number]++);
	}
	assert_int_equal(fgetc(f), EOF);
	assert_int_equal(fclose(f), 0);
}

static void write_with_threads(struct writer *writers)
{
	for (int i = 0; i < THREADS; i++) {
		writers[i].number = i;
		writers[i].thread = start_thread(write_lines, &writers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(writers[i].thread);
		assert_false(writers[i].failed);
	}
}

static void threads_that_share_a_stream_write_whole_lines(void **state)
{
	mfs *fs = *state;

	for (int locks = 0; locks < 2; locks++) {
		struct writer writers[THREADS] = {0};
		FILE *f = open_stream(fs, "/f", "w");

		for (int i = 0; i < THREADS; i++) {
			writers[i].stream = f;
			writers[i].locks = locks != 0;
		}
		write_with_threads(writers);
		assert_int_equal(fclose(f), 0);
		assert_lines(fs, "/f");
	}
}

/* What a line-buffered stream writes is one write, and that goes to the end in one step. */
static void threads_that_append_by_streams_of_their_own_write_whole_lines(void **state)
{
	mfs *fs = *state;
	struct writer writers[THREADS] = {0};

	for (int i = 0; i < THREADS; i++) {
		writers[i].stream = open_stream(fs, "/f", "a");
		assert_int_equal(setvbuf(writers[i].stream, NULL, _IOLBF, 0), 0);
	}
	write_with_threads(writers);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(fclose(writers[i].stream), 0);
	}
	assert_lines(fs, "/f");
}

/* Returns whether a line could be appended, by a stream that is opened for it. */
static bool append_line(mfs *fs)
{
	FILE *f = mfs_fopen(fs, "/f", "a");

	return f != NULL && fputs("line\n", f) >= 0 && fclose(f) == 0;
}

static bool read_first(mfs *fs)
{
	FILE *f = mfs_fopen(fs, "/f", "r");

	return f != NULL && fgetc(f) == 'l' && fclose(f) == 0;
}

static void *open_and_close(void *argument)
{
	struct writer *writer = argument;

	for (int i = 0; i < LINES && !writer->failed; i++) {
		writer->failed = i % 2 == 0 ? !append_line(writer->fs) : !read_first(writer->fs);
	}
	return NULL;
}

static void threads_open_and_close_streams_on_one_file(void **state)
{
	mfs *fs = *state;
	struct writer writers[THREADS] = {0};

	for (int i = 0; i < THREADS; i++) {
		writers[i].fs = fs;
		writers[i].thread = start_thread(open_and_close, &writers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(writers[i].thread);
		assert_false(writers[i].failed);
	}
	assert_code(mfs_get_size(fs, "/f"), THREADS * (LINES / 2) * 5);
	assert_code(usage_of(fs).open_handles, 0);
}

/*
 * New files that are appended to, while others take the name away as soon as it is there: each open
 * makes a file that no other open gets.
 */
static void *make_files(void *argument)
{
	struct writer *writer = argument;

	for (int i = 0; i < LINES; i++) {
		FILE *f = mfs_fopen(writer->fs, "/new", "a+x");

		if (f == NULL) {
			writer->failed |= errno != EEXIST;
		} else {
			writer->number++;
			writer->failed |= fputc('x', f) != 'x' || fflush(f) != 0;
			sched_yield();
			writer->failed |= fseek(f, 0, SEEK_END) != 0 || ftell(f) != 1;
			writer->failed |= fclose(f) != 0;
		}
		int code = mfs_remove(writer->fs, "/new");
		writer->failed |= code != 0 && code != MFS_ENOENT && code != MFS_EBUSY;
	}
	return NULL;
}

static void no_two_opens_make_the_same_new_file(void **state)
{
	mfs *fs = *state;
	struct writer writers[THREADS] = {0};
	int made = 0;

	for (int i = 0; i < THREADS; i++) {
		writers[i].fs = fs;
		writers[i].thread = start_thread(make_files, &writers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(writers[i].thread);
		assert_false(writers[i].failed);
		made += writers[i].number;
	}
	assert_true(made > 0);
	assert_code(usage_of(fs).open_handles, 0);
}

/*
 * Processes
 */

static void assert_child_succeeds(pid_t child)
{
	int status = 0;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In the child: its copy of the stream writes to its copy of the workspace. Returns an exit code.
 */
static int finish_in_child(mfs *fs, FILE *f)
{
	char text[32] = {0};
	FILE *back = NULL;

	if (fputs("child", f) < 0 || fclose(f) != 0) {
		return 1;
	}
	back = mfs_fopen(fs, "/f", "r");
	if (back == NULL || fread(text, 1, sizeof(text), back) != 11 || fclose(back) != 0) {
		return 2;
	}
	if (strcmp(text, "both: child") != 0) {
		return 3;
	}
	return mfs_free(fs) == 0 ? 0 : 4;
}

static void what_is_in_the_buffer_at_a_fork_is_written_once_in_each_process(void **state)
{
	mfs *fs = *state;
	FILE *f = open_stream(fs, "/f", "w");
	pid_t child = -1;

	assert_true(fputs("both: ", f) >= 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		_exit(finish_in_child(fs, f));
	}
	assert_child_succeeds(child);
	assert_true(fputs("parent", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "both: parent");
}

static void a_stream_that_is_open_at_exit_does_no_harm(void **state)
{
	mfs *fs = *state;
	pid_t child = -1;

	/* Else the child would write it, too. */
	assert_int_equal(fflush(stdout), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		FILE *f = mfs_fopen(fs, "/f", "w");

		exit(f != NULL && fputs("unwritten", f) >= 0 ? 0 : 1);
	}
	assert_child_succeeds(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_stream_goes_on_when_its_file_is_renamed_or_removed),
		WORKSPACE_TEST(a_new_file_of_the_name_is_another_file),
		WORKSPACE_TEST(streams_are_closed_and_opened_elsewhere_again_and_again),
		WORKSPACE_TEST(there_is_no_descriptor),
#ifdef __GLIBC__
		WORKSPACE_TEST(wide_characters_are_refused),
#endif
		WORKSPACE_TEST(threads_that_share_a_stream_write_whole_lines),
		WORKSPACE_TEST(threads_that_append_by_streams_of_their_own_write_whole_lines),
		WORKSPACE_TEST(threads_open_and_close_streams_on_one_file),
		WORKSPACE_TEST(no_two_opens_make_the_same_new_file),
		WORKSPACE_TEST(what_is_in_the_buffer_at_a_fork_is_written_once_in_each_process),
		WORKSPACE_TEST(a_stream_that_is_open_at_exit_does_no_harm),
	};

	return cmocka_run_group_tests_name("stdio streams", tests, NULL, NULL);
}
