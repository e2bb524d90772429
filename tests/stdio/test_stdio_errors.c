/* SPDX-License-Identifier: MIT */
/*
 * Does a stream report what the workspace refuses, at the call that meets it, and is it of use
 * afterwards?
 */
#include "support.h"

#include <errno.h>

#include "dmemfs/stdio.h"

#define BLOCK 4096 /* what a stream's buffer holds */

static FILE *open_stream(mfs *fs, const char *path, const char *mode)
{
	FILE *f = mfs_fopen(fs, path, mode);

	assert_non_null(f);
	return f;
}

static void a_full_quota_is_reported_by_fwrite(void **state)
{
	mfs *fs = new_plain_workspace(4 * BLOCK);
	char *data = allocate(8 * BLOCK);
	FILE *f = open_stream(fs, "/f", "w");
	size_t written = 0;

	(void)state;
	assert_int_equal(fwrite(data, 1, BLOCK, f), BLOCK);
	support__mark_last_error(fs);
	errno = 0;
	written = fwrite(data, 1, 8 * BLOCK, f);
	assert_true(written < 8 * BLOCK);
	assert_int_equal(errno, EDQUOT);
	assert_true(ferror(f));
	support__check_message("fwrite", __FILE__, __LINE__);
	/* What fwrite() counted is there, and nothing of what it did not. */
	assert_code(mfs_get_size(fs, "/f"), BLOCK + written);
	clearerr(f);
	assert_int_equal(fwrite(data, 1, 100, f), 100);
	assert_int_equal(fflush(f), 0);
	assert_code(mfs_get_size(fs, "/f"), BLOCK + written + 100);
	assert_int_equal(fclose(f), 0);
	free(data);
	free_workspace(fs);
}

static void a_full_quota_is_reported_by_fflush(void **state)
{
	mfs *fs = new_plain_workspace(BLOCK);
	FILE *f = open_stream(fs, "/f", "w");

	(void)state;
	make_file(fs, "/all", "", 0);
	assert_int_equal(fputs("kept", f) >= 0, 1);
	assert_int_equal(fflush(f), 0);
	for (int i = 0; i < BLOCK - 1; i++) {
		assert_int_equal(fputc('x', f), 'x');
	}
	assert_false(ferror(f));
	errno = 0;
	assert_int_equal(fflush(f), EOF);
	assert_int_equal(errno, EDQUOT);
	assert_true(ferror(f));
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "kept");
	free_workspace(fs);
}

static void a_full_quota_is_reported_by_fclose_which_closes_all_the_same(void **state)
{
	mfs *fs = new_plain_workspace(100);
	FILE *f = open_stream(fs, "/f", "w");

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(fputc('x', f), 'x');
	}
	errno = 0;
	assert_int_equal(fclose(f), EOF);
	assert_int_equal(errno, EDQUOT);
	assert_code(usage_of(fs).open_handles, 0);
	assert_text(fs, "/f", "");
	free_workspace(fs);
}

static void an_unbuffered_stream_reports_at_once(void **state)
{
	mfs *fs = new_plain_workspace(3);
	FILE *f = open_stream(fs, "/f", "w");

	(void)state;
	assert_int_equal(setvbuf(f, NULL, _IONBF, 0), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fputc('0' + i, f), '0' + i);
	}
	errno = 0;
	assert_int_equal(fputc('3', f), EOF);
	assert_int_equal(errno, EDQUOT);
	assert_true(ferror(f));
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "012");
	free_workspace(fs);
}

static void what_others_free_can_be_written_after_clearerr(void **state)
{
	mfs *fs = new_plain_workspace(4 * BLOCK);
	char *data = allocate(4 * BLOCK);
	FILE *f = open_stream(fs, "/f", "w");

	(void)state;
	make_file(fs, "/other", data, 4 * BLOCK);
	assert_int_equal(fputc('x', f), 'x');
	assert_int_equal(fflush(f), EOF);
	assert_code(mfs_remove(fs, "/other"), 0);
	clearerr(f);
	assert_int_equal(fputc('y', f), 'y');
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "y");
	free(data);
	free_workspace(fs);
}

static void a_stream_waits_for_space_as_its_handle_does(void **state)
{
	mfs *fs = new_plain_workspace(BLOCK);
	mfs_open_options options = {.struct_size = sizeof(options), .space_timeout = 1};
	mfs_file *file = NULL;
	FILE *f = NULL;
	char *data = allocate(BLOCK);

	(void)state;
	assert_code(mfs_open_ex(fs, "/f", "wb", &options, &file), 0);
	assert_int_equal(mfs_may_wait(file), 1);
	f = mfs_fdopen(file, "w");
	assert_non_null(f);
	make_file(fs, "/other", data, BLOCK);
	assert_int_equal(fputc('x', f), 'x');
	errno = 0;
	assert_int_equal(fclose(f), EOF);
	assert_int_equal(errno, EDQUOT);
	free(data);
	free_workspace(fs);
}

/* Not much is available. */
static int one_mebibyte_available(void *user, uint64_t *available)
{
	(void)user;
	*available = MIB;
	return 0;
}

static void the_memory_guard_is_enomem(void **state)
{
	mfs_memory_options memory = {.struct_size = sizeof(memory)};
	mfs_options options = {.struct_size = sizeof(options), .memory_guard_keep = 1};
	char *data = allocate(4 * MIB);
	mfs *fs = NULL;
	FILE *f = NULL;

	(void)state;
	memory.available = one_mebibyte_available;
	assert_code(mfs_configure_memory(&memory), 0);
	options.memory_guard = MFS_GUARD_PER_WRITE;
	options.memory_guard_action = MFS_GUARD_FAIL;
	fs = new_workspace(&options);
	f = open_stream(fs, "/f", "w");
	support__mark_last_error(fs);
	errno = 0;
	assert_int_equal(fwrite(data, 1, 4 * MIB, f), 0);
	assert_int_equal(errno, ENOMEM);
	support__check_message("fwrite", __FILE__, __LINE__);
	assert_int_equal(fclose(f), 0);
	free(data);
	free_workspace(fs);
	assert_code(mfs_configure_memory(NULL), 0);
}

static void a_sequential_file_takes_writes_at_its_end_only(void **state)
{
	mfs_options options = {.struct_size = sizeof(options),
						   .default_storage = MFS_STORAGE_SEQUENTIAL};
	mfs *fs = new_workspace(&options);
	FILE *f = open_stream(fs, "/f", "w");

	(void)state;
	assert_true(fputs("text", f) >= 0);
	assert_int_equal(fseek(f, 1, SEEK_SET), 0);
	assert_int_equal(fputc('x', f), 'x');
	errno = 0;
	assert_int_equal(fflush(f), EOF);
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(fclose(f), 0);
	assert_text(fs, "/f", "text");
	free_workspace(fs);
}

static void a_file_that_is_held_is_an_error_until_it_is_free(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .default_lock_timeout = MFS_NO_WAIT};
	mfs *fs = new_workspace(&options);
	mfs_file *held = NULL;
	FILE *reader = NULL;
	FILE *writer = NULL;

	(void)state;
	make_text(fs, "/f", "text");
	reader = open_stream(fs, "/f", "r");
	writer = open_stream(fs, "/f", "a");
	held = open_file(fs, "/f", "r+b");
	errno = 0;
	assert_int_equal(fgetc(reader), EOF);
	assert_int_equal(errno, EBUSY);
	assert_true(ferror(reader));
	assert_false(feof(reader));
	assert_int_equal(fputc('x', writer), 'x');
	errno = 0;
	assert_int_equal(fflush(writer), EOF);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(fputc('y', writer), 'y');
	close_file(held);

	clearerr(reader);
	assert_int_equal(fgetc(reader), 't');
	assert_int_equal(fclose(writer), 0);
	assert_int_equal(fclose(reader), 0);
	assert_text(fs, "/f", "texty");
	free_workspace(fs);
}

static void calls_that_cannot_be_are_ebadf(void **state)
{
	mfs *fs = *state;
	FILE *f = open_stream(fs, "/f", "w");

	errno = 0;
	assert_int_equal(fgetc(f), EOF);
	assert_int_equal(errno, EBADF);
	assert_true(ferror(f));
	assert_int_equal(fclose(f), 0);
	f = open_stream(fs, "/f", "r");
	errno = 0;
	assert_int_equal(fputc('x', f), EOF);
	assert_int_equal(errno, EBADF);
	assert_true(ferror(f));
	assert_int_equal(fclose(f), 0);
}

static void a_handle_that_is_closed_under_its_stream_is_ebadf(void **state)
{
	mfs *fs = *state;
	mfs_file *file = open_file(fs, "/f", "w+b");
	FILE *f = mfs_fdopen(file, "w+");

	assert_non_null(f);
	assert_true(fputs("lost", f) >= 0);
	close_file(file);
	errno = 0;
	assert_int_equal(fflush(f), EOF);
	assert_int_equal(errno, EBADF);
	errno = 0;
	assert_int_equal(fseek(f, 0, SEEK_SET), -1);
	assert_int_equal(errno, EBADF);
	errno = 0;
	assert_int_equal(fseek(f, 1, SEEK_END), -1);
	assert_int_equal(errno, EBADF);
	errno = 0;
	assert_int_equal(fgetc(f), EOF);
	assert_int_equal(errno, EBADF);
	errno = 0;
	assert_int_equal(fclose(f), EOF);
	assert_int_equal(errno, EBADF);
}

static void the_workspace_stays_until_its_streams_are_closed(void **state)
{
	mfs *fs = new_workspace(NULL);
	FILE *first = open_stream(fs, "/f", "w");
	FILE *second = open_stream(fs, "/f", "r");

	(void)state;
	assert_code(usage_of(fs).open_handles, 2);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_true(fputs("text", first) >= 0);
	assert_int_equal(fclose(first), 0);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_int_equal(fgetc(second), 't');
	assert_int_equal(fclose(second), 0);
	assert_code(usage_of(fs).open_handles, 0);
	free_workspace(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_quota_is_reported_by_fwrite),
		cmocka_unit_test(a_full_quota_is_reported_by_fflush),
		cmocka_unit_test(a_full_quota_is_reported_by_fclose_which_closes_all_the_same),
		cmocka_unit_test(an_unbuffered_stream_reports_at_once),
		cmocka_unit_test(what_others_free_can_be_written_after_clearerr),
		cmocka_unit_test(a_stream_waits_for_space_as_its_handle_does),
		cmocka_unit_test(the_memory_guard_is_enomem),
		cmocka_unit_test(a_sequential_file_takes_writes_at_its_end_only),
		cmocka_unit_test(a_file_that_is_held_is_an_error_until_it_is_free),
		WORKSPACE_TEST(calls_that_cannot_be_are_ebadf),
		WORKSPACE_TEST(a_handle_that_is_closed_under_its_stream_is_ebadf),
		cmocka_unit_test(the_workspace_stays_until_its_streams_are_closed),
	};

	return cmocka_run_group_tests_name("stdio errors", tests, NULL, NULL);
}
