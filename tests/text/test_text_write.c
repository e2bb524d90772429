/* SPDX-License-Identifier: MIT */
/*
 * Is what was written in the file at once, at the position, in the encoding and with the line ends
 * that were asked for; and is it all of it or nothing?
 */
#include "text_support.h"

static void assert_written(mfs_text *text, const char *string, int64_t characters)
{
	assert_code(mfs_text_write(text, string, strlen(string)), characters);
}

static void characters_are_counted_and_bytes_are_there_at_once(void **state)
{
	mfs_file *file = open_shared(*state, "/t", "ab");
	mfs_file *reader = open_shared(*state, "/t", "rb");
	mfs_text *text = NULL;

	assert_code(mfs_text_open(file, NULL, &text), 0);
	assert_written(text, "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\n", 5);
	assert_handle_holds(reader, "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\n", 11);
	assert_int_equal(mfs_text_tell(text), 11);
	assert_written(text, "", 0);
	assert_code(mfs_text_write(text, NULL, 0), 0);
	assert_written(text, "b", 1);
	assert_handle_holds(reader, "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\nb", 12);
	assert_code(mfs_text_close(text), 0);
	close_file(file);
	close_file(reader);
}

static void characters_are_counted_at_every_length(void **state)
{
	mfs_text *text = open_text(*state, "/t", "wb", NULL);
	char string[3 * 50 + 50];

	for (size_t ascii = 0; ascii < 50; ascii++) {
		for (size_t count = 0; count < 50; count++) {
			memset(string, 'x', ascii);
			for (size_t i = 0; i < count; i++) {
				memcpy(string + ascii + 3 * i, "\xE4\xB8\xAD", 3);
			}
			assert_code(mfs_text_write(text, string, ascii + 3 * count), ascii + count);
		}
	}
	close_text(text);
}

static void line_ends_are_written_as_the_option_says(void **state)
{
	static const struct {
		int newline;
		const char *text;
	} cases[] = {
		{MFS_TEXT_NEWLINE_UNIVERSAL, "a\n\nb\r\xC3\xA9\n"},
		{MFS_TEXT_NEWLINE_KEEP, "a\n\nb\r\xC3\xA9\n"},
		{MFS_TEXT_NEWLINE_LF, "a\n\nb\r\xC3\xA9\n"},
		{MFS_TEXT_NEWLINE_CR, "a\r\rb\r\xC3\xA9\r"},
		{MFS_TEXT_NEWLINE_CRLF, "a\r\n\r\nb\r\xC3\xA9\r\n"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(NULL, MFS_TEXT_STRICT, cases[i].newline);
		mfs_text *text = open_text(*state, "/t", "wb", &options);

		assert_written(text, "a\n\nb\r\xC3\xA9\n", 7);
		close_text(text);
		assert_text(*state, "/t", cases[i].text);
	}
}

static void what_is_not_utf8_is_treated_as_the_option_says(void **state)
{
	static const char string[] = "one\xE4\xB8 two\xFFthree\n\xF0\x9F";
	static const struct {
		int errors;
		int newline;
		const char *text;
	} cases[] = {
		{MFS_TEXT_REPLACE, MFS_TEXT_NEWLINE_LF,
		 "one\xEF\xBF\xBD two\xEF\xBF\xBDthree\n\xEF\xBF\xBD"},
		{MFS_TEXT_REPLACE, MFS_TEXT_NEWLINE_CRLF,
		 "one\xEF\xBF\xBD two\xEF\xBF\xBDthree\r\n\xEF\xBF\xBD"},
		{MFS_TEXT_IGNORE, MFS_TEXT_NEWLINE_LF, "one twothree\n"},
		{MFS_TEXT_IGNORE, MFS_TEXT_NEWLINE_CR, "one twothree\r"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(NULL, cases[i].errors, cases[i].newline);
		mfs_text *text = open_text(*state, "/t", "wb", &options);

		assert_written(text, string, 16);
		close_text(text);
		assert_text(*state, "/t", cases[i].text);
	}
	mfs_text *text = open_text(*state, "/t", "wb", NULL);

	assert_written(text, "before\n", 7);
	assert_refused(*state, mfs_text_write(text, string, strlen(string)), MFS_EILSEQ);
	assert_non_null(strstr(mfs_last_error(), "byte 3"));
	assert_int_equal(mfs_text_tell(text), 7);
	assert_written(text, "after\n", 6);
	close_text(text);
	assert_text(*state, "/t", "before\nafter\n");
}

static void a_refused_write_leaves_nothing(void **state)
{
	static const int newlines[] = {MFS_TEXT_NEWLINE_LF, MFS_TEXT_NEWLINE_CRLF};
	char *string = allocate(64 * KIB);

	(void)state;
	memset(string, 'x', 64 * KIB);
	string[100] = '\n';
	for (size_t i = 0; i < COUNT_OF(newlines); i++) {
		mfs *fs = new_plain_workspace(16 * KIB);
		mfs_text_options options = text_options(NULL, MFS_TEXT_STRICT, newlines[i]);

		make_text(fs, "/t", "one\ntwo\n");
		mfs_text *text = open_text(fs, "/t", "r+b", &options);
		uint64_t used = used_bytes(fs);

		assert_int_equal(mfs_text_seek(text, 4, SEEK_SET), 4);
		assert_refused(fs, mfs_text_write(text, string, 64 * KIB), MFS_EQUOTA);
		assert_int_equal(used_bytes(fs), used);
		assert_int_equal(mfs_text_tell(text), 4);
		assert_int_equal(mfs_tell(mfs_text_file(text)), 0);
		assert_written(text, "six", 3);
		assert_int_equal(mfs_text_tell(text), 7);
		close_text(text);
		assert_text(fs, "/t", "one\nsix\n");
		free_workspace(fs);
	}
	free(string);
}

static void reading_and_writing_share_the_position(void **state)
{
	make_text(*state, "/t", "one\ntwo\nsix\n");
	mfs_text *text = open_text(*state, "/t", "r+b", NULL);

	assert_line(text, "one\n");
	assert_written(text, "TWO", 3);
	assert_int_equal(mfs_text_tell(text), 7);
	assert_line(text, "\n");
	assert_line(text, "six\n");
	assert_written(text, "ten\n", 4);
	assert_no_line(text);
	assert_int_equal(mfs_text_seek(text, 0, SEEK_SET), 0);
	assert_written(text, "ONE\n", 4);
	assert_line(text, "TWO\n");
	assert_int_equal(mfs_text_seek(text, 0, SEEK_END), 16);
	assert_written(text, "end", 3);
	assert_int_equal(mfs_text_seek(text, 0, SEEK_CUR), 19);
	close_text(text);
	assert_text(*state, "/t", "ONE\nTWO\nsix\nten\nend");
}

static void appending_goes_to_the_end(void **state)
{
	make_text(*state, "/t", "one\ntwo\n");
	mfs_text *text = open_text(*state, "/t", "a+b", NULL);

	assert_int_equal(mfs_text_tell(text), 0);
	assert_line(text, "one\n");
	assert_written(text, "six\n", 4);
	assert_int_equal(mfs_text_tell(text), 12);
	assert_no_line(text);
	assert_int_equal(mfs_text_seek(text, 4, SEEK_SET), 4);
	assert_line(text, "two\n");
	assert_line(text, "six\n");
	close_text(text);
	assert_text(*state, "/t", "one\ntwo\nsix\n");
}

static void the_file_can_be_cut_below_the_handle(void **state)
{
	mfs_text *text = open_text(*state, "/t", "w+b", NULL);

	assert_written(text, "one\ntwo\n", 8);
	assert_code(mfs_truncate(mfs_text_file(text), 4), 0);
	assert_int_equal(mfs_text_tell(text), 4);
	assert_written(text, "six\n", 4);
	assert_int_equal(mfs_text_seek(text, 0, SEEK_SET), 0);
	assert_line(text, "one\n");
	assert_line(text, "six\n");
	assert_no_line(text);
	close_text(text);
}

static void two_handles_over_one_file_write_in_turn(void **state)
{
	mfs_file *file = open_file(*state, "/t", "w+b");
	mfs_text_options options = text_options("UTF-16LE", MFS_TEXT_STRICT, MFS_TEXT_NEWLINE_LF);
	mfs_text *plain = NULL;
	mfs_text *wide = NULL;

	assert_code(mfs_text_open(file, NULL, &plain), 0);
	assert_code(mfs_text_open(file, &options, &wide), 0);
	assert_written(plain, "ab", 2);
	assert_written(wide, "cd", 2);
	assert_written(plain, "ef", 2);
	assert_handle_holds(file, "abc\0d\0ef", 8);
	assert_code(mfs_text_close(plain), 0);
	assert_code(mfs_text_close(wide), 0);
	close_file(file);
}

enum { WRITERS = 3, WRITES = 500 };

struct writer {
	mfs_text *text;
	char letter;
	int failures;
};

static void *writer_run(void *argument)
{
	struct writer *writer = argument;
	char line[41];

	memset(line, writer->letter, sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < WRITES; i++) {
		writer->failures += mfs_text_write(writer->text, line, sizeof(line)) != sizeof(line);
	}
	return NULL;
}

/* Each thread its text handle; the file's handle is one for all, or, appending, each its own. */
static void lines_of_many_threads_stay_whole(void **state)
{
	for (int own = 0; own < 2; own++) {
		struct writer writers[WRITERS];
		mfs_file *files[WRITERS] = {NULL};
		pthread_t threads[WRITERS];
		unsigned counts[WRITERS] = {0};

		make_text(*state, "/t", "");
		for (int i = 0; i < WRITERS; i++) {
			files[i] = own != 0 || i == 0 ? open_shared(*state, "/t", "ab") : files[0];
			writers[i] = (struct writer){.letter = (char)('a' + i)};
			assert_code(mfs_text_open(files[i], NULL, &writers[i].text), 0);
		}
		for (int i = 0; i < WRITERS; i++) {
			threads[i] = start_thread(writer_run, &writers[i]);
		}
		for (int i = 0; i < WRITERS; i++) {
			join_thread(threads[i]);
		}
		for (int i = 0; i < WRITERS; i++) {
			assert_int_equal(writers[i].failures, 0);
			assert_code(mfs_text_close(writers[i].text), 0);
			if (own != 0 || i == 0) {
				close_file(files[i]);
			}
		}
		mfs_text *text = open_text(*state, "/t", "rb", NULL);
		const char *line = NULL;

		for (int i = 0; i < WRITERS * WRITES; i++) {
			assert_code(mfs_text_readline(text, &line), 41);
			assert_in_range(line[0], 'a', 'a' + WRITERS - 1);
			for (size_t at = 1; at < 40; at++) {
				assert_int_equal(line[at], line[0]);
			}
			counts[line[0] - 'a']++;
		}
		assert_no_line(text);
		close_text(text);
		for (int i = 0; i < WRITERS; i++) {
			assert_int_equal(counts[i], WRITES);
		}
	}
}

static void wrong_calls_are_refused(void **state)
{
	make_text(*state, "/t", "text\n");
	mfs_text *text = open_text(*state, "/t", "rb", NULL);

	assert_refused(*state, mfs_text_write(text, "x", 1), MFS_EBADF);
	assert_refused(*state, mfs_text_write(text, "", 0), MFS_EBADF);
	assert_refused(*state, mfs_text_write(text, NULL, 1), MFS_EINVAL);
	assert_refused(*state, mfs_text_write(NULL, "x", 1), MFS_EINVAL);
	close_text(text);
	assert_text(*state, "/t", "text\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(characters_are_counted_and_bytes_are_there_at_once),
		WORKSPACE_TEST(characters_are_counted_at_every_length),
		WORKSPACE_TEST(line_ends_are_written_as_the_option_says),
		WORKSPACE_TEST(what_is_not_utf8_is_treated_as_the_option_says),
		cmocka_unit_test(a_refused_write_leaves_nothing),
		WORKSPACE_TEST(reading_and_writing_share_the_position),
		WORKSPACE_TEST(appending_goes_to_the_end),
		WORKSPACE_TEST(the_file_can_be_cut_below_the_handle),
		WORKSPACE_TEST(two_handles_over_one_file_write_in_turn),
		WORKSPACE_TEST(lines_of_many_threads_stay_whole),
		WORKSPACE_TEST(wrong_calls_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
