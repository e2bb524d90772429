/* SPDX-License-Identifier: MIT */
/*
 * Is text the same in every encoding, whether bytes are units by themselves or depend on what came
 * before; and are byte order marks neither lost nor taken for text?
 */
#include "text_support.h"

#define FFFD "\xEF\xBF\xBD"

static const struct {
	const char *encoding;
	const char *text;
	const char *bytes;
	size_t length;
} cases[] = {
	/* One byte each. The fifth has another order of letters, and another line end. */
	{"ISO-8859-1", "caf\xC3\xA9\n\xC3\xBC\n", "caf\xE9\n\xFC\n", 7},
	{"ISO-8859-15", "10 \xE2\x82\xAC\n", "10 \xA4\n", 5},
	{"KOI8-R", "\xD0\x9C\xD0\xB8\xD1\x80\n!\n", "\xED\xC9\xD2\n!\n", 6},
	{"CP1252", "\xE2\x80\x9Cx\xE2\x80\x9D\n", "\x93x\x94\n", 4},
	{"IBM037", "line\n\xC3\xA9\n", "\x93\x89\x95\x85%Q%", 7},
	/* One byte or more. In the first, second bytes may look like ASCII. */
	{"SHIFT_JIS", "\xE6\x97\xA5\xE6\x9C\xAC\n\xE3\x82\xBD\xE8\xA1\xA8 x\n",
	 "\x93\xFA\x96{\n\x83\x5C\x95\x5C x\n", 12},
	{"EUC-JP", "\xE6\x97\xA5\xE6\x9C\xAC\nabc\xE3\x81\x82\n", "\xC6\xFC\xCB\xDC\nabc\xA4\xA2\n",
	 11},
	{"GB18030", "\xE4\xB8\xAD\xF0\x9F\x98\x80\n\xC3\xA9\n", "\xD6\xD0\x94\x39\xFC\x36\n\xA8\xA6\n",
	 10},
	{"BIG5", "\xE4\xB8\xAD\xE6\x96\x87\n", "\xA4\xA4\xA4\xE5\n", 5},
	{"EUC-KR", "\xED\x95\x9C\xEA\xB5\xAD\n", "\xC7\xD1\xB1\xB9\n", 5},
	/* With shift states. */
	{"ISO-2022-JP", "\xE6\x97\xA5\xE6\x9C\xAC\nabc\xE3\x81\x82\nx\n",
	 "\x1B$BF|K\x5C\x1B(B\nabc\x1B$B$\x22\x1B(B\nx\n", 25},
	{"UTF-7", "\xE6\x97\xA5\xE6\x9C\xAC\nabc\xE3\x81\x82\nx\n", "+ZeVnLA\nabc+MEI\nx\n", 18},
	/* Two bytes or four. */
	{"UTF-16LE", "a\xC3\xA9\n\xF0\x9F\x98\x80\n", "a\x00\xE9\x00\n\x00=\xD8\x00\xDE\n\x00", 12},
	{"UTF-16BE", "a\xC3\xA9\n\xF0\x9F\x98\x80\n", "\x00\x61\x00\xE9\x00\n\xD8=\xDE\x00\x00\n", 12},
	{"UTF-32LE", "a\xE4\xB8\xAD\n\xF0\x9F\x98\x80",
	 "a\x00\x00\x00-N\x00\x00\n\x00\x00\x00\x00\xF6\x01\x00", 16},
	{"UTF-32BE", "a\xE4\xB8\xAD\n\xF0\x9F\x98\x80",
	 "\x00\x00\x00\x61\x00\x00N-\x00\x00\x00\n\x00\x01\xF6\x00", 16},
	{"UCS-2LE", "a\xC3\xA9\n\xE4\xB8\xAD\n", "a\x00\xE9\x00\n\x00-N\n\x00", 10},
	{"UCS-4LE", "a\n", "a\x00\x00\x00\n\x00\x00\x00", 8},
};

static void text_is_read_in_every_encoding(void **state)
{
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(cases[i].encoding, 0, 0);

		make_file(*state, "/t", cases[i].bytes, cases[i].length);
		assert_reads_as(*state, "/t", &options, cases[i].text, strlen(cases[i].text));
	}
}

static void text_is_written_in_every_encoding(void **state)
{
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(cases[i].encoding, 0, 0);
		mfs_text *text = open_text(*state, "/t", "wb", &options);

		assert_true(mfs_text_write(text, cases[i].text, strlen(cases[i].text)) > 0);
		close_text(text);
		assert_file_holds(*state, "/t", cases[i].bytes, cases[i].length);
	}
}

/* Many lines, so that each kind of unit lies across the end of a chunk somewhere. */
static void long_texts_come_back_line_by_line(void **state)
{
	enum { LINES = 3000 };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(cases[i].encoding, 0, MFS_TEXT_NEWLINE_CRLF);
		char *end = strchr(cases[i].text, '\n');
		size_t length = (size_t)(end + 1 - cases[i].text);
		int64_t starts[LINES + 1];
		mfs_text *text = open_text(*state, "/t", "wb", &options);
		char line[64];

		for (size_t n = 0; n < LINES; n++) {
			starts[n] = mfs_text_tell(text);
			/* Of different lengths. */
			memset(line, 'x', n % 7);
			memcpy(line + n % 7, cases[i].text, length);
			assert_true(mfs_text_write(text, line, n % 7 + length) > 0);
		}
		starts[LINES] = mfs_text_tell(text);
		close_text(text);

		options.newline = MFS_TEXT_NEWLINE_UNIVERSAL;
		for (size_t way = 0; way < COUNT_OF(ways); way++) {
			struct opened opened = open_text_by(*state, "/t", &ways[way], &options);

			for (size_t n = 0; n < LINES; n++) {
				memset(line, 'x', n % 7);
				memcpy(line + n % 7, cases[i].text, length);
				assert_int_equal(mfs_text_tell(opened.text), starts[n]);
				assert_line_is(opened.text, line, n % 7 + length);
			}
			assert_no_line(opened.text);
			/* Any line can be found again. */
			for (size_t n = LINES; n > 17; n -= 17) {
				memset(line, 'x', n % 7);
				memcpy(line + n % 7, cases[i].text, length);
				assert_int_equal(mfs_text_seek(opened.text, starts[n - (n == LINES)], SEEK_SET),
								 starts[n - (n == LINES)]);
				if (n < LINES) {
					assert_line_is(opened.text, line, n % 7 + length);
				}
			}
			close_text_by(opened);
		}
	}
}

/* The bytes of the encoding are these, of any way and errors, or MFS_EILSEQ: NULL. */
static void check_damaged(mfs *fs, const char *encoding, const char *bytes, size_t length,
						  const char *replaced, const char *ignored)
{
	mfs_text_options options = text_options(encoding, MFS_TEXT_REPLACE, 0);

	make_file(fs, "/t", bytes, length);
	assert_reads_as(fs, "/t", &options, replaced, strlen(replaced));
	options.errors = MFS_TEXT_IGNORE;
	assert_reads_as(fs, "/t", &options, ignored, strlen(ignored));
	options.errors = MFS_TEXT_STRICT;
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(fs, "/t", &ways[way], &options);
		const char *line = NULL;

		assert_refused(fs, mfs_text_readline(opened.text, &line), MFS_EILSEQ);
		assert_non_null(strstr(mfs_last_error(), encoding));
		assert_refused(fs, mfs_text_readline(opened.text, &line), MFS_EILSEQ);
		close_text_by(opened);
	}
}

static void damage_is_found_in_every_encoding(void **state)
{
	/* A high surrogate alone, a low one alone, half a unit at the end. */
	check_damaged(*state, "UTF-16LE",
				  "a\0\x00\xD8"
				  "b\0",
				  6, "a" FFFD "b", "ab");
	check_damaged(*state, "UTF-16LE", "a\0\x00\xDC\n\0", 6, "a" FFFD "\n", "a\n");
	check_damaged(*state, "UTF-16BE", "\0a\xD8\0\xD8\0\xDC\0", 8, "a" FFFD "\xF0\x90\x80\x80",
				  "a\xF0\x90\x80\x80");
	check_damaged(*state, "UTF-16LE", "a\0\x00\xD8", 4, "a" FFFD, "a");
	check_damaged(*state, "UTF-16LE", "a\0b", 3, "a" FFFD, "a");
	/* Surrogates, and what is too large. */
	check_damaged(*state, "UTF-32LE", "\0\xD8\0\0a\0\0\0", 8, FFFD "a", "a");
	check_damaged(*state, "UTF-32BE", "\0\x11\0\0\0\0\0a", 8, FFFD "a", "a");
	check_damaged(*state, "UTF-32LE", "a\0\0\0b\0\0", 7, "a" FFFD, "a");
	/* What is no ASCII, or not given to any character. */
	check_damaged(*state, "ASCII", "a\x80z", 3, "a" FFFD "z", "az");
	check_damaged(*state, "ISO-8859-3", "a\xA5z", 3, "a" FFFD "z", "az");
	/* A first byte alone, before what cannot be a second one, and at the end. */
	check_damaged(*state, "EUC-JP", "a\xC6z\n", 4, "a" FFFD "z\n", "az\n");
	check_damaged(*state, "SHIFT_JIS", "a\x93", 2, "a" FFFD, "a");
	/* A character that is not there, in the middle of a shift. */
	check_damaged(*state, "ISO-2022-JP", "a\xFFz\n", 4, "a" FFFD "z\n", "az\n");
}

static void what_the_encoding_does_not_have_is_treated_as_the_option_says(void **state)
{
	static const char string[] = "a\xE4\xB8\xAD"
								 "b\xF3\xA0\x81\x81"
								 "c\xC3\xA9\n";
	static const struct {
		const char *encoding;
		const char *replaced;
		const char *ignored;
	} expected[] = {
		{"ISO-8859-1", "a?b?c\xE9\n", "abc\xE9\n"},
		{"ASCII", "a?b?c?\n", "abc\n"},
		{"IBM037", "\x81o\x82o\x83Q%", "\x81\x82\x83Q%"},
		{"KOI8-R", "a?b?c?\n", "abc\n"},
	};

	for (size_t i = 0; i < COUNT_OF(expected); i++) {
		for (int errors = MFS_TEXT_STRICT; errors <= MFS_TEXT_IGNORE; errors++) {
			mfs_text_options options = text_options(expected[i].encoding, errors, 0);
			mfs_text *text = open_text(*state, "/t", "wb", &options);

			if (errors == MFS_TEXT_STRICT) {
				assert_refused(*state, mfs_text_write(text, string, strlen(string)), MFS_EILSEQ);
				assert_non_null(strstr(mfs_last_error(), "U+4E2D"));
				assert_refused(*state, mfs_text_write(text, "x\xF3\xA0\x81\x81", 5), MFS_EILSEQ);
				assert_non_null(strstr(mfs_last_error(), "U+E0041"));
			} else {
				assert_code(mfs_text_write(text, string, strlen(string)), 7);
			}
			close_text(text);
			assert_text(*state, "/t",
						errors == MFS_TEXT_STRICT    ? ""
						: errors == MFS_TEXT_REPLACE ? expected[i].replaced
													 : expected[i].ignored);
		}
	}
	/* An encoding that has U+FFFD gets it. */
	mfs_text_options options = text_options("GB18030", MFS_TEXT_REPLACE, 0);
	mfs_text *text = open_text(*state, "/t", "wb", &options);

	assert_code(mfs_text_write(text, "a\xFF\n", 3), 3);
	close_text(text);
	options.errors = MFS_TEXT_STRICT;
	assert_reads_as(*state, "/t", &options, "a" FFFD "\n", 5);
}

static void marks_are_skipped_at_the_start_and_nowhere_else(void **state)
{
	static const struct {
		const char *encoding;
		const char *bytes;
		size_t length;
		const char *text;
	} marked[] = {
		{"UTF-8-SIG",
		 "\xEF\xBB\xBF"
		 "a\n",
		 5, "a\n"},
		{"UTF-8-SIG", "\xEF\xBB\xBF\xEF\xBB\xBF\n", 7, "\xEF\xBB\xBF\n"},
		{"UTF-8-SIG", "a\n", 2, "a\n"},
		{"UTF-8-SIG", "\xEF\xBB\xBF", 3, ""},
		{"UTF-8",
		 "\xEF\xBB\xBF"
		 "a\n",
		 5,
		 "\xEF\xBB\xBF"
		 "a\n"},
		{"UTF-16",
		 "\xFF\xFE"
		 "a\0\n\0",
		 6, "a\n"},
		{"UTF-16", "\xFE\xFF\0a\0\n", 6, "a\n"},
		{"UTF-16", "\xFE\xFF\xFE\xFF\0\n", 6, "\xEF\xBB\xBF\n"},
		{"UTF-16LE",
		 "\xFF\xFE"
		 "a\0",
		 4,
		 "\xEF\xBB\xBF"
		 "a"},
		{"UTF-32", "\xFF\xFE\0\0a\0\0\0", 8, "a"},
		{"UTF-32", "\0\0\xFE\xFF\0\0\0a", 8, "a"},
		{"UTF-16", "", 0, ""},
	};

	for (size_t i = 0; i < COUNT_OF(marked); i++) {
		mfs_text_options options = text_options(marked[i].encoding, 0, 0);

		make_file(*state, "/t", marked[i].bytes, marked[i].length);
		assert_reads_as(*state, "/t", &options, marked[i].text, strlen(marked[i].text));
		for (size_t way = 0; way < COUNT_OF(ways); way++) {
			struct opened opened = open_text_by(*state, "/t", &ways[way], &options);
			const char *line = NULL;

			for (int round = 0; round < 2 && marked[i].text[0] != '\0'; round++) {
				assert_int_equal(mfs_text_tell(opened.text), 0);
				assert_code(mfs_text_readline(opened.text, &line), strlen(marked[i].text));
				assert_int_equal(mfs_text_tell(opened.text), marked[i].length);
				assert_int_equal(mfs_text_seek(opened.text, 0, SEEK_SET), 0);
			}
			close_text_by(opened);
		}
	}
}

static void the_byte_order_is_known_behind_the_start(void **state)
{
	mfs_text_options options = text_options("UTF-16", 0, 0);

	make_file(*state, "/t", "\xFE\xFF\0a\0\n\0b\0\n", 10);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], &options);

		assert_int_equal(mfs_text_seek(opened.text, 6, SEEK_SET), 6);
		assert_line(opened.text, "b\n");
		close_text_by(opened);
	}
}

static void a_mark_is_written_once(void **state)
{
	static const struct {
		const char *encoding;
		const char *one;
		size_t one_length;
		const char *two;
		size_t two_length;
	} marked[] = {
		{"UTF-8-SIG",
		 "\xEF\xBB\xBF"
		 "a",
		 4,
		 "\xEF\xBB\xBF"
		 "ab",
		 5},
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		{"UTF-16",
		 "\xFF\xFE"
		 "a\0",
		 4,
		 "\xFF\xFE"
		 "a\0b\0",
		 6},
		{"UTF-32", "\xFF\xFE\0\0a\0\0\0", 8, "\xFF\xFE\0\0a\0\0\0b\0\0\0", 12},
#endif
		/* Not a mark, but likewise. */
		{"ISO-2022-KR", "\x1B$)Ca", 5, "\x1B$)Cab", 6},
	};

	for (size_t i = 0; i < COUNT_OF(marked); i++) {
		mfs_text_options options = text_options(marked[i].encoding, 0, 0);
		mfs_text *text = open_text(*state, "/t", "wb", &options);

		assert_code(mfs_text_write(text, "a", 1), 1);
		assert_int_equal(mfs_text_tell(text), marked[i].one_length);
		assert_code(mfs_text_write(text, "b", 1), 1);
		close_text(text);
		assert_file_holds(*state, "/t", marked[i].two, marked[i].two_length);

		make_file(*state, "/t", marked[i].one, marked[i].one_length);
		text = open_text(*state, "/t", "ab", &options);
		assert_code(mfs_text_write(text, "b", 1), 1);
		close_text(text);
		assert_file_holds(*state, "/t", marked[i].two, marked[i].two_length);
	}
}

static void writing_at_the_start_leaves_the_mark_and_keeps_its_order(void **state)
{
	mfs_text_options options = text_options("UTF-16", 0, 0);

	make_file(*state, "/t", "\xFE\xFF\0a\0b", 6);
	mfs_text *text = open_text(*state, "/t", "r+b", &options);

	assert_code(mfs_text_write(text, "A", 1), 1);
	assert_int_equal(mfs_text_tell(text), 4);
	assert_line(text, "b");
	assert_int_equal(mfs_text_seek(text, 0, SEEK_SET), 0);
	assert_code(mfs_text_write(text, "X", 1), 1);
	assert_int_equal(mfs_text_seek(text, 0, SEEK_SET), 0);
	assert_line(text, "Xb");
	close_text(text);
	assert_file_holds(*state, "/t", "\xFE\xFF\0X\0b", 6);

	/* One that cannot read knows the mark that it wrote. */
	options.encoding = "UTF-8-SIG";
	text = open_text(*state, "/t", "wb", &options);
	assert_code(mfs_text_write(text, "ab", 2), 2);
	assert_int_equal(mfs_text_seek(text, 0, SEEK_SET), 0);
	assert_code(mfs_text_write(text, "A", 1), 1);
	close_text(text);
	assert_text(*state, "/t",
				"\xEF\xBB\xBF"
				"Ab");
}

static void characters_that_are_held_back_are_not_lost(void **state)
{
	/* An accent behind a letter becomes one with it, so no letter is certain before the next. */
	mfs_text_options options = text_options("CP1258", 0, MFS_TEXT_NEWLINE_KEEP);

	make_file(*state, "/t", "aU\r\nO", 5);
	assert_reads_as(*state, "/t", &options, "aU\r\nO", 5);
	assert_lines(*state, "/t", &options, (const char *const[]){"aU\r\n", "O", NULL});
	options.errors = MFS_TEXT_REPLACE;
	make_file(*state, "/t",
			  "a\xD2\xFF"
			  "b\xE1",
			  5);
	mfs_text *text = open_text(*state, "/t", "rb", &options);
	char one[8];
	char all[64] = "";
	size_t length = 0;
	size_t characters = 0;

	for (int64_t got; (got = mfs_text_read(text, one, sizeof(one), 1, &characters)) > 0;) {
		assert_int_equal(characters, 1);
		memcpy(all + length, one, (size_t)got);
		length += (size_t)got;
	}
	close_text(text);
	text = open_text(*state, "/t", "rb", &options);
	assert_line(text, all);
	close_text(text);
}

static void two_characters_of_one_unit_can_be_read_apart(void **state)
{
	mfs_text_options options = text_options("BIG5-HKSCS", 0, 0);

	make_file(*state, "/t", "x\x88\x62y\n", 5);
	assert_reads_as(*state, "/t", &options, "x\xC3\x8A\xCC\x84y\n", 7);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], &options);
		char one[4];

		assert_code(mfs_text_read(opened.text, one, sizeof(one), 2, NULL), 3);
		assert_memory_equal(one, "x\xC3\x8A", 3);
		assert_code(mfs_text_read(opened.text, one, sizeof(one), 1, NULL), 2);
		assert_memory_equal(one, "\xCC\x84", 2);
		assert_int_equal(mfs_text_tell(opened.text), 3);
		assert_line(opened.text, "y\n");
		close_text_by(opened);
	}
}

static void what_follows_a_carriage_return_is_not_lost(void **state)
{
	/* To know that no '\n' follows, the next character has to be looked at, whatever it takes. */
	static const struct {
		const char *encoding;
		const char *bytes;
		const char *text;
	} returns[] = {
		{"UTF-7", "a\r+ZeVnLA-\r", "a\n\xE6\x97\xA5\xE6\x9C\xAC\n"},
		{"ISO-2022-JP", "a\r\x1B$BF|K\x5C\x1B(B\r", "a\n\xE6\x97\xA5\xE6\x9C\xAC\n"},
		{"ISO-2022-JP", "a\r\x1B$B\x1B(B\nb", "a\nb"},
		{"ISO-2022-JP", "a\r\rb\r", "a\n\nb\n"},
		{"ISO-2022-JP", "a\r\x1B$B\x1B(B", "a\n"},
	};

	for (size_t i = 0; i < COUNT_OF(returns); i++) {
		mfs_text_options options = text_options(returns[i].encoding, 0, 0);

		make_text(*state, "/t", returns[i].bytes);
		assert_reads_as(*state, "/t", &options, returns[i].text, strlen(returns[i].text));
		for (size_t way = 0; way < COUNT_OF(ways); way++) {
			struct opened opened = open_text_by(*state, "/t", &ways[way], &options);

			assert_line(opened.text, "a\n");
			if (i < 2) {
				assert_int_equal(mfs_text_tell(opened.text), 2);
				assert_line(opened.text, returns[i].text + 2);
				assert_no_line(opened.text);
			}
			close_text_by(opened);
		}
	}
}

static void a_seek_leaves_the_shift_state(void **state)
{
	mfs_text_options options = text_options("ISO-2022-JP", 0, 0);

	make_text(*state, "/t", "abcd\n\x1B$BF|K\x5C\x1B(B\n");
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], &options);
		char one[4];

		assert_line(opened.text, "abcd\n");
		assert_code(mfs_text_read(opened.text, one, sizeof(one), 1, NULL), 3);
		assert_memory_equal(one, "\xE6\x97\xA5", 3);
		/* What comes next is read on in the state, but elsewhere is not. */
		assert_code(mfs_text_read(opened.text, one, sizeof(one), 1, NULL), 3);
		assert_memory_equal(one, "\xE6\x9C\xAC", 3);
		assert_int_equal(mfs_text_seek(opened.text, 0, SEEK_SET), 0);
		assert_line(opened.text, "abcd\n");
		close_text_by(opened);
	}
}

static void shift_states_do_not_leak_from_one_write_to_the_next(void **state)
{
	mfs_text_options options = text_options("ISO-2022-JP", 0, 0);
	mfs_text *text = open_text(*state, "/t", "wb", &options);

	assert_code(mfs_text_write(text, "\xE6\x97\xA5", 3), 1);
	assert_code(mfs_text_write(text, "x", 1), 1);
	/* One that fails in the middle leaves no state behind. */
	assert_refused(*state, mfs_text_write(text, "\xE6\x97\xA5\xF0\x9F\x98\x80", 7), MFS_EILSEQ);
	assert_code(mfs_text_write(text, "y\n", 2), 2);
	close_text(text);
	assert_text(*state, "/t", "\x1B$BF|\x1B(Bxy\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(text_is_read_in_every_encoding),
		WORKSPACE_TEST(text_is_written_in_every_encoding),
		WORKSPACE_TEST(long_texts_come_back_line_by_line),
		WORKSPACE_TEST(damage_is_found_in_every_encoding),
		WORKSPACE_TEST(what_the_encoding_does_not_have_is_treated_as_the_option_says),
		WORKSPACE_TEST(marks_are_skipped_at_the_start_and_nowhere_else),
		WORKSPACE_TEST(the_byte_order_is_known_behind_the_start),
		WORKSPACE_TEST(a_mark_is_written_once),
		WORKSPACE_TEST(writing_at_the_start_leaves_the_mark_and_keeps_its_order),
		WORKSPACE_TEST(characters_that_are_held_back_are_not_lost),
		WORKSPACE_TEST(two_characters_of_one_unit_can_be_read_apart),
		WORKSPACE_TEST(what_follows_a_carriage_return_is_not_lost),
		WORKSPACE_TEST(a_seek_leaves_the_shift_state),
		WORKSPACE_TEST(shift_states_do_not_leak_from_one_write_to_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
