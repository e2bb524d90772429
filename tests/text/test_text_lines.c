/* SPDX-License-Identifier: MIT */
/*
 * Does each line come as what is between two line ends, whatever counts as one, however long it is
 * and wherever it lies in memory; and as of one instant, with the position right behind it?
 */
#include "text_support.h"

/* The places where the first chunks of a file end. */
static const size_t borders[] = {4096, 8192, 16384};

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void lines_end_where_the_option_says(void **state)
{
	static const char text[] = "one\ntwo\r\nthree\rfour\n\r\n\r\rfive\n\nsix\r";
	static const struct {
		int newline;
		const char *lines[12];
	} cases[] = {
		{MFS_TEXT_NEWLINE_UNIVERSAL,
		 {"one\n", "two\n", "three\n", "four\n", "\n", "\n", "\n", "five\n", "\n", "six\n", NULL}},
		{MFS_TEXT_NEWLINE_KEEP,
		 {"one\n", "two\r\n", "three\r", "four\n", "\r\n", "\r", "\r", "five\n", "\n", "six\r",
		  NULL}},
		{MFS_TEXT_NEWLINE_LF,
		 {"one\n", "two\r\n", "three\rfour\n", "\r\n", "\r\rfive\n", "\n", "six\r", NULL}},
		{MFS_TEXT_NEWLINE_CR,
		 {"one\ntwo\r", "\nthree\r", "four\n\r", "\n\r", "\r", "five\n\nsix\r", NULL}},
		{MFS_TEXT_NEWLINE_CRLF, {"one\ntwo\r\n", "three\rfour\n\r\n", "\r\rfive\n\nsix\r", NULL}},
	};

	make_text(*state, "/t", text);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(NULL, MFS_TEXT_STRICT, cases[i].newline);

		assert_lines(*state, "/t", &options, cases[i].lines);
	}
}

static void a_file_may_be_empty_or_end_without_a_line_end(void **state)
{
	make_text(*state, "/empty", "");
	assert_lines(*state, "/empty", NULL, (const char *const[]){NULL});
	make_text(*state, "/none", "no end");
	assert_lines(*state, "/none", NULL, LINES("no end"));
	make_text(*state, "/only", "\n");
	assert_lines(*state, "/only", NULL, LINES("\n"));
	make_text(*state, "/last", "a\n\nb");
	assert_lines(*state, "/last", NULL, LINES("a\n", "\n", "b"));
}

static void lines_may_hold_nul(void **state)
{
	make_file(*state, "/t", "a\0b\n\0\n\0", 7);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);

		assert_line_is(opened.text, "a\0b\n", 4);
		assert_line_is(opened.text, "\0\n", 2);
		assert_line_is(opened.text, "\0", 1);
		assert_no_line(opened.text);
		close_text_by(opened);
	}
}

/* 20,000 bytes: 'x', and the text at one place. Then the lines are what is made of it. */
static void check_at(mfs *fs, size_t place, const char *text, int newline, const char *first_end,
					 const char *second_begin)
{
	enum { SIZE = 20000 };
	char *all = allocate(SIZE + 8);
	char *want = allocate(SIZE + 8);
	mfs_text_options options = text_options(NULL, MFS_TEXT_STRICT, newline);

	memset(all, 'x', SIZE);
	memcpy(all + place, text, strlen(text));
	make_file(fs, "/t", all, SIZE);
	memset(want, 'x', SIZE);
	memcpy(want + place, first_end, strlen(first_end));
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(fs, "/t", &ways[way], &options);

		if (second_begin == NULL) {
			assert_line_is(opened.text, want, SIZE);
		} else {
			size_t length = place + strlen(first_end);
			const char *line = NULL;

			assert_line_is(opened.text, want, length);
			assert_int_equal(mfs_text_tell(opened.text),
							 place + strlen(text) - strlen(second_begin));
			length = SIZE - (place + strlen(text)) + strlen(second_begin);
			assert_code(mfs_text_readline(opened.text, &line), length);
			assert_memory_equal(line, second_begin, strlen(second_begin));
		}
		assert_no_line(opened.text);
		close_text_by(opened);
	}
	free(all);
	free(want);
}

static void characters_and_line_ends_may_lie_across_chunks(void **state)
{
	for (size_t i = 0; i < COUNT_OF(borders); i++) {
		for (size_t place = borders[i] - 6; place <= borders[i] + 1; place++) {
			check_at(*state, place, "\xC3\xA9", MFS_TEXT_NEWLINE_UNIVERSAL, "\xC3\xA9", NULL);
			check_at(*state, place, "\xE4\xB8\xAD", MFS_TEXT_NEWLINE_LF, "\xE4\xB8\xAD", NULL);
			check_at(*state, place, "\xF0\x9F\x98\x80", MFS_TEXT_NEWLINE_CRLF, "\xF0\x9F\x98\x80",
					 NULL);
			check_at(*state, place, "\r\n\xC3\xA9", MFS_TEXT_NEWLINE_UNIVERSAL, "\n", "\xC3\xA9");
			check_at(*state, place, "\r\xC3\xA9", MFS_TEXT_NEWLINE_UNIVERSAL, "\n", "\xC3\xA9");
			check_at(*state, place, "\r\n", MFS_TEXT_NEWLINE_KEEP, "\r\n", "");
			check_at(*state, place, "\rab", MFS_TEXT_NEWLINE_KEEP, "\r", "ab");
			check_at(*state, place, "\n\xE4\xB8\xAD", MFS_TEXT_NEWLINE_LF, "\n", "\xE4\xB8\xAD");
			check_at(*state, place, "\r\na", MFS_TEXT_NEWLINE_CRLF, "\r\n", "a");
			check_at(*state, place, "\na\r", MFS_TEXT_NEWLINE_CRLF, "\na\r", NULL);
		}
	}
}

static void files_may_end_at_or_near_the_end_of_a_chunk(void **state)
{
	for (size_t i = 0; i < COUNT_OF(borders); i++) {
		for (size_t size = borders[i] - 2; size <= borders[i] + 2; size++) {
			char *all = allocate(size);

			memset(all, 'x', size);
			all[size - 1] = '\r';
			make_file(*state, "/t", all, size);
			all[size - 1] = '\n';
			for (size_t way = 0; way < COUNT_OF(ways); way++) {
				struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);

				assert_line_is(opened.text, all, size);
				assert_int_equal(mfs_text_tell(opened.text), size);
				assert_no_line(opened.text);
				close_text_by(opened);
			}
			free(all);
		}
	}
}

static void long_lines_are_whole(void **state)
{
	size_t size = 5 * MIB;
	char *all = allocate(size);

	/* The short one comes again behind the long one, with buffers that have grown. */
	memset(all, 'l', size);
	memcpy(all, "short\n", 6);
	memcpy(all + size - 7, "\nshort\n", 7);
	make_file(*state, "/t", all, size);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);

		assert_line(opened.text, "short\n");
		assert_line_is(opened.text, all + 6, size - 12);
		assert_line(opened.text, "short\n");
		assert_no_line(opened.text);
		close_text_by(opened);
	}
	free(all);
}

static void a_line_in_one_piece_is_the_files_own_memory(void **state)
{
	const void *data = NULL;
	const char *line = NULL;

	make_text(*state, "/t", "one\ntw\xC3\xB6\n");
	struct opened opened = open_text_by(*state, "/t", &ways[0], NULL);

	assert_true(mfs_view(opened.file, 0, &data) > 0);
	assert_code(mfs_text_readline(opened.text, &line), 4);
	assert_ptr_equal(line, data);
	assert_code(mfs_text_readline(opened.text, &line), 5);
	assert_ptr_equal(line, (const char *)data + 4);
	close_text_by(opened);
}

static void lines_longer_than_the_limit_are_refused_and_can_be_read_otherwise(void **state)
{
	static const int newlines[] = {MFS_TEXT_NEWLINE_UNIVERSAL, MFS_TEXT_NEWLINE_LF};
	const char *line = NULL;
	char part[16];

	make_text(*state, "/t", "1234\n12345\r\n1234\n");
	for (size_t i = 0; i < COUNT_OF(newlines) * COUNT_OF(ways); i++) {
		mfs_text_options options = text_options(NULL, MFS_TEXT_STRICT, newlines[i % 2]);

		options.max_line = 5;
		struct opened opened = open_text_by(*state, "/t", &ways[i / 2], &options);

		assert_line(opened.text, "1234\n");
		assert_refused(*state, mfs_text_readline(opened.text, &line), MFS_EFBIG);
		assert_refused(*state, mfs_text_readline(opened.text, &line), MFS_EFBIG);
		assert_int_equal(mfs_text_tell(opened.text), 5);
		assert_code(mfs_text_read(opened.text, part, sizeof(part), 5, NULL), 5);
		assert_memory_equal(part, "12345", 5);
		assert_code(mfs_text_readline(opened.text, &line), i % 2 == 0 ? 1 : 2);
		assert_line(opened.text, "1234\n");
		close_text_by(opened);
	}
}

static void the_position_is_behind_each_line_and_can_be_sought(void **state)
{
	static const char text[] = "one\r\ntw\xC3\xB6\r\rthree\xE4\xB8\xAD\n\nlast";
	static const int64_t starts[] = {0, 5, 10, 11, 20, 21, 25};
	static const char *const lines[] = {"one\n", "tw\xC3\xB6\n", "\n", "three\xE4\xB8\xAD\n",
										"\n",    "last"};

	make_text(*state, "/t", text);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);

		for (size_t i = 0; i < COUNT_OF(lines); i++) {
			assert_int_equal(mfs_text_tell(opened.text), starts[i]);
			assert_line(opened.text, lines[i]);
			assert_int_equal(mfs_text_tell(opened.text), starts[i + 1]);
		}
		for (size_t i = COUNT_OF(lines); i-- > 0;) {
			assert_int_equal(mfs_text_seek(opened.text, starts[i], SEEK_SET), starts[i]);
			assert_line(opened.text, lines[i]);
		}
		/* In the middle of a character, the rest of it is damage. */
		const char *line = NULL;

		assert_int_equal(mfs_text_seek(opened.text, 0, SEEK_SET), 0);
		for (size_t i = 0; i < COUNT_OF(lines) - 1; i++) {
			assert_line(opened.text, lines[i]);
		}
		assert_int_equal(mfs_text_seek(opened.text, 17, SEEK_SET), 17);
		assert_refused(*state, mfs_text_readline(opened.text, &line), MFS_EILSEQ);
		close_text_by(opened);
	}
}

static void what_others_append_is_read_next(void **state)
{
	mfs_file *writer = open_shared(*state, "/t", "ab");
	struct opened opened = open_text_by(*state, "/t", &ways[1], NULL);

	assert_no_line(opened.text);
	assert_code(mfs_write(writer, "one\ntw", 6), 6);
	assert_line(opened.text, "one\n");
	assert_line(opened.text, "tw");
	assert_no_line(opened.text);
	assert_code(mfs_write(writer, "o\n", 2), 2);
	assert_line(opened.text, "o\n");
	assert_no_line(opened.text);
	close_text_by(opened);
	close_file(writer);
}

static void what_others_overwrite_is_read_as_it_is_now(void **state)
{
	make_text(*state, "/t", "one\ntwo\nsix\n");
	mfs_file *writer = open_shared(*state, "/t", "r+b");
	struct opened opened = open_text_by(*state, "/t", &ways[1], NULL);

	assert_line(opened.text, "one\n");
	assert_code(mfs_pwrite(writer, "TWO", 3, 4), 3);
	assert_line(opened.text, "TWO\n");
	assert_code(mfs_truncate(writer, 8), 0);
	assert_no_line(opened.text);
	close_text_by(opened);
	close_file(writer);
}

/*
 * Longer than what is read at first, so that the reader has to look twice; and in one chunk, of
 * which a handle never sees half an overwrite.
 */
enum { LONG_LINE = 3000 };

struct rewriter {
	mfs *fs;
	unsigned char first; /* letter; the second one comes behind it */
	_Atomic bool stop;
	int code;
};

/* Rewrites the line as a whole, with one letter and then another one. */
static void *rewrite_run(void *argument)
{
	struct rewriter *rewriter = argument;
	char line[LONG_LINE];
	mfs_file *file = NULL;

	rewriter->code = open_with(rewriter->fs, "/t", "r+b", MFS_O_SHARED, 0, &file);
	for (unsigned i = 0; rewriter->code == 0 && !atomic_load(&rewriter->stop); i++) {
		memset(line, rewriter->first + (int)(i % 2), sizeof(line) - 1);
		line[sizeof(line) - 1] = '\n';
		int64_t written = mfs_pwrite(file, line, sizeof(line), 0);

		rewriter->code = written == sizeof(line) ? 0 : 1;
	}
	return file != NULL && mfs_close(file) != 0 ? argument : NULL;
}

/*
 * The line is longer than the first look at it; `unit` bytes of it are a letter. A line of UTF-8
 * stays where it was read to, one of another encoding is put together while it is read.
 */
static void check_instant(mfs *fs, const char *encoding, unsigned char letter, size_t unit)
{
	mfs_text_options options = text_options(encoding, 0, 0);
	struct rewriter rewriter = {.fs = fs, .first = letter};
	char first[LONG_LINE];

	memset(first, letter, sizeof(first) - 1);
	first[sizeof(first) - 1] = '\n';
	make_file(fs, "/t", first, sizeof(first));
	atomic_init(&rewriter.stop, false);
	struct opened opened = open_text_by(fs, "/t", &ways[1], &options);
	pthread_t thread = start_thread(rewrite_run, &rewriter);

	for (int i = 0; i < 1000; i++) {
		const char *line = NULL;

		/* A short line before, so that the first look is a short one. */
		assert_int_equal(mfs_text_seek(opened.text, LONG_LINE - 1, SEEK_SET), LONG_LINE - 1);
		assert_line(opened.text, "\n");
		assert_int_equal(mfs_text_seek(opened.text, 0, SEEK_SET), 0);
		assert_code(mfs_text_readline(opened.text, &line), (LONG_LINE - 1) * unit + 1);
		for (size_t at = 0; at < LONG_LINE - 1; at++) {
			if (memcmp(line + at * unit, line, unit) != 0) {
				print_error("letter %zu is not the first one\n", at);
				fail();
			}
		}
	}
	atomic_store(&rewriter.stop, true);
	join_thread(thread);
	assert_int_equal(rewriter.code, 0);
	close_text_by(opened);
}

static void a_line_is_as_of_one_instant(void **state)
{
	check_instant(*state, "UTF-8", 'a', 1);
	check_instant(*state, "ISO-8859-1", 0xE1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(lines_end_where_the_option_says),
		WORKSPACE_TEST(a_file_may_be_empty_or_end_without_a_line_end),
		WORKSPACE_TEST(lines_may_hold_nul),
		WORKSPACE_TEST(characters_and_line_ends_may_lie_across_chunks),
		WORKSPACE_TEST(files_may_end_at_or_near_the_end_of_a_chunk),
		WORKSPACE_TEST(long_lines_are_whole),
		WORKSPACE_TEST(a_line_in_one_piece_is_the_files_own_memory),
		WORKSPACE_TEST(lines_longer_than_the_limit_are_refused_and_can_be_read_otherwise),
		WORKSPACE_TEST(the_position_is_behind_each_line_and_can_be_sought),
		WORKSPACE_TEST(what_others_append_is_read_next),
		WORKSPACE_TEST(what_others_overwrite_is_read_as_it_is_now),
		WORKSPACE_TEST(a_line_is_as_of_one_instant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
