/* SPDX-License-Identifier: MIT */
/*
 * Does a call on text that runs out of memory, at whichever allocation, leave file, position and
 * handle as they were, so that the same call succeeds afterwards?
 */
#include "text_support.h"

#include "failing_malloc.h"

static const char *const encodings[] = {"UTF-8", "UTF-16", "SHIFT_JIS", "ISO-2022-JP"};

static void opening_without_memory_leaves_nothing(void **state)
{
	make_text(*state, "/t", "text\n");
	for (size_t i = 0; i < COUNT_OF(encodings); i++) {
		mfs_text_options options = text_options(encodings[i], 0, 0);
		mfs_text *text = NULL;
		long failed = 0;

		for (;; failed++) {
			failing_malloc_after(failed);
			int code = mfs_text_open_path(*state, "/t", "r+b", &options, &text);
			bool met = failing_malloc_met();

			failing_malloc_after(-1);
			if (!met) {
				assert_code(code, 0);
				break;
			}
			assert_code(code, MFS_ENOMEM);
			assert_null(text);
			assert_code(try_open(*state, "/t", "r+b"), 0);
		}
		assert_in_range(failed, 1, 10);
		close_text(text);
	}
}

/* A line that is long, changed, and, before that, a short one. */
static void make_lines(mfs *fs, const mfs_text_options *options, char *line, size_t length)
{
	mfs_text *text = open_text(fs, "/t", "wb", options);

	memset(line, 'x', length);
	memcpy(line + length / 2, "\xE6\x97\xA5", 3);
	memcpy(line + length - 2, "\r\n", 2);
	assert_code(mfs_text_write(text, "short\n", 6), 6);
	assert_code(mfs_text_write(text, line, length), length - 2);
	close_text(text);
	line[length - 2] = '\n';
}

static void reading_without_memory_changes_nothing(void **state)
{
	enum { LENGTH = 20000 };
	char *want = allocate(LENGTH);

	for (size_t i = 0; i < COUNT_OF(encodings) * COUNT_OF(ways); i++) {
		mfs_text_options options = text_options(encodings[i / COUNT_OF(ways)], 0, 0);

		make_lines(*state, &options, want, LENGTH);
		struct opened opened = open_text_by(*state, "/t", &ways[i % COUNT_OF(ways)], &options);
		char buffer[1000];
		const char *line = NULL;
		long failed = 0;

		assert_line(opened.text, "short\n");
		int64_t before = mfs_text_tell(opened.text);

		for (;; failed++) {
			failing_malloc_after(failed);
			int64_t length = mfs_text_readline(opened.text, &line);
			bool met = failing_malloc_met();

			failing_malloc_after(-1);
			if (!met) {
				assert_int_equal(length, LENGTH - 1);
				assert_memory_equal(line, want, LENGTH - 1);
				break;
			}
			assert_code(length, MFS_ENOMEM);
			assert_int_equal(mfs_text_tell(opened.text), before);
		}
		assert_no_line(opened.text);
		assert_int_equal(mfs_text_seek(opened.text, before, SEEK_SET), before);
		/* Reading characters takes a block at most. */
		for (failed = 0;; failed++) {
			failing_malloc_after(failed);
			int64_t length = mfs_text_read(opened.text, buffer, sizeof(buffer), 0, NULL);
			bool met = failing_malloc_met();

			failing_malloc_after(-1);
			if (!met) {
				assert_int_equal(length, sizeof(buffer));
				assert_memory_equal(buffer, want, sizeof(buffer));
				break;
			}
			assert_code(length, MFS_ENOMEM);
			assert_int_equal(mfs_text_tell(opened.text), before);
		}
		close_text_by(opened);
	}
	free(want);
}

static void a_first_block_that_cannot_be_had_changes_nothing(void **state)
{
	char buffer[100];
	const char *line = NULL;

	make_text(*state, "/t", "one\ntwo\n");
	struct opened opened = open_text_by(*state, "/t", &ways[1], NULL);

	failing_malloc_after(0);
	assert_refused(*state, mfs_text_readline(opened.text, &line), MFS_ENOMEM);
	assert_refused(*state, mfs_text_read(opened.text, buffer, sizeof(buffer), 0, NULL), MFS_ENOMEM);
	failing_malloc_after(-1);
	assert_int_equal(mfs_text_tell(opened.text), 0);
	assert_line(opened.text, "one\n");
	close_text_by(opened);
}

static void writing_without_memory_changes_nothing(void **state)
{
	enum { LENGTH = 5000 };
	char *string = allocate(LENGTH);

	memset(string, 'x', LENGTH);
	memcpy(string + LENGTH - 4, "\xE6\x97\xA5\n", 4);
	for (size_t i = 0; i < COUNT_OF(encodings); i++) {
		mfs_text_options options = text_options(encodings[i], 0, MFS_TEXT_NEWLINE_CRLF);
		mfs_text *text = open_text(*state, "/t", "wb", &options);
		long failed = 0;

		for (;; failed++) {
			failing_malloc_after(failed);
			int64_t written = mfs_text_write(text, string, LENGTH);
			bool met = failing_malloc_met();

			failing_malloc_after(-1);
			if (!met) {
				assert_int_equal(written, LENGTH - 2);
				break;
			}
			assert_code(written, MFS_ENOMEM);
			assert_int_equal(mfs_text_tell(text), 0);
			assert_code(mfs_get_size(*state, "/t"), 0);
		}
		assert_true(failed > 0);
		close_text(text);
		text = open_text(*state, "/t", "rb", &options);
		string[LENGTH - 1] = '\r';
		const char *line = NULL;

		assert_code(mfs_text_readline(text, &line), LENGTH + 1);
		assert_memory_equal(line, string, LENGTH);
		string[LENGTH - 1] = '\n';
		close_text(text);
	}
	free(string);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(opening_without_memory_leaves_nothing),
		WORKSPACE_TEST(reading_without_memory_changes_nothing),
		WORKSPACE_TEST(a_first_block_that_cannot_be_had_changes_nothing),
		WORKSPACE_TEST(writing_without_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
