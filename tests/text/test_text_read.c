/* SPDX-License-Identifier: MIT */
/*
 * Does reading by characters give whole ones, as many as there is room for, and is every kind of
 * damage in UTF-8 found, at every place, and treated as was asked?
 */
#include "text_support.h"

#define FFFD "\xEF\xBF\xBD"

static const char mixed[] =
	"a\xC3\xA9"
	"b\xE4\xB8\xAD\xF0\x9F\x98\x80z\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF";

static void characters_are_never_split(void **state)
{
	make_text(*state, "/t", mixed);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		for (size_t size = 4; size < 32; size++) {
			for (size_t limit = 0; limit < 12; limit++) {
				struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);
				size_t length = 0;
				size_t characters = 0;
				char *all = read_all(opened.text, size, limit, &length, &characters);

				assert_int_equal(length, strlen(mixed));
				assert_memory_equal(all, mixed, length);
				assert_int_equal(characters, 10 - 1);
				free(all);
				close_text_by(opened);
			}
		}
	}
}

static void a_call_reads_as_much_as_there_is_room_for(void **state)
{
	enum { COUNT = 100000 };
	char *all = allocate((size_t)COUNT * 3);
	char *got = allocate((size_t)COUNT * 3);

	for (size_t i = 0; i < COUNT; i++) {
		memcpy(all + 3 * i, "\xE4\xB8\xAD", 3);
	}
	make_file(*state, "/t", all, (size_t)COUNT * 3);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);
		size_t characters = 0;

		assert_code(mfs_text_read(opened.text, got, 200000, 0, &characters), 199998);
		assert_int_equal(characters, 66666);
		assert_int_equal(mfs_text_tell(opened.text), 199998);
		assert_code(mfs_text_read(opened.text, got, (size_t)COUNT * 3, 30000, &characters), 90000);
		assert_int_equal(characters, 30000);
		assert_code(mfs_text_read(opened.text, got, (size_t)COUNT * 3, 0, NULL), 10002);
		assert_code(mfs_text_read(opened.text, got, (size_t)COUNT * 3, 0, &characters), 0);
		assert_int_equal(characters, 0);
		close_text_by(opened);
	}
	free(all);
	free(got);
}

static void line_ends_are_read_as_the_option_says(void **state)
{
	static const struct {
		int newline;
		const char *text;
	} cases[] = {
		{MFS_TEXT_NEWLINE_UNIVERSAL, "a\nb\nc\n\n\nd\n"},
		{MFS_TEXT_NEWLINE_KEEP, "a\r\nb\nc\r\r\r\nd\r"},
		{MFS_TEXT_NEWLINE_LF, "a\r\nb\nc\r\r\r\nd\r"},
		{MFS_TEXT_NEWLINE_CR, "a\r\nb\nc\r\r\r\nd\r"},
		{MFS_TEXT_NEWLINE_CRLF, "a\r\nb\nc\r\r\r\nd\r"},
	};

	make_text(*state, "/t", "a\r\nb\nc\r\r\r\nd\r");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		mfs_text_options options = text_options(NULL, MFS_TEXT_STRICT, cases[i].newline);

		assert_reads_as(*state, "/t", &options, cases[i].text, strlen(cases[i].text));
	}
}

/* Damage, and what comes of it when it is replaced. Each U+FFFD is a '#'. */
static const struct {
	const char *bytes;
	const char *replaced;
} damages[] = {
	{"\x80", "#"},
	{"\xBF\xBF", "##"},
	/* Longer than need be. */
	{"\xC0\x80", "##"},
	{"\xC1\xBF", "##"},
	{"\xE0\x80\x80", "###"},
	{"\xE0\x9F\xBF", "###"},
	{"\xF0\x80\x80\x80", "####"},
	{"\xF0\x8F\xBF\xBF", "####"},
	/* Surrogates. */
	{"\xED\xA0\x80", "###"},
	{"\xED\xBF\xBF", "###"},
	/* Too large, and forms of five and six bytes. */
	{"\xF4\x90\x80\x80", "####"},
	{"\xF5\x80\x80\x80", "####"},
	{"\xF8\x88\x80\x80\x80", "#####"},
	{"\xFC\x84\x80\x80\x80\x80", "######"},
	{"\xFE", "#"},
	{"\xFF\xFF", "##"},
	/* Beginnings that do not go on: one for each. */
	{"\xC3", "#"},
	{"\xE4\xB8", "#"},
	{"\xE4", "#"},
	{"\xF0\x9F\x98", "#"},
	{"\xF0\x9F", "#"},
	{"\xE4\xB8\xF0\x9F\x98\xC3", "###"},
	{"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF", "####"},
	{"\xC3\xC3\xA9\xA9", "#\xC3\xA9#"},
};

/* The text with each '#' as U+FFFD. Returns its length. */
static size_t expand(const char *text, char *to)
{
	size_t length = 0;

	for (; *text != '\0'; text++) {
		if (*text == '#') {
			memcpy(to + length, FFFD, 3);
			length += 3;
		} else {
			to[length++] = *text;
		}
	}
	return length;
}

static void check_damage(mfs *fs, size_t before, const char *damage, const char *replaced,
						 size_t after)
{
	enum { ROOM = 9000 };
	char *all = allocate(ROOM);
	char *want = allocate(ROOM);
	size_t length = before + strlen(damage) + after;

	memset(all, 'x', length);
	memcpy(all + before, damage, strlen(damage));
	make_file(fs, "/t", all, length);
	for (int errors = MFS_TEXT_STRICT; errors <= MFS_TEXT_IGNORE; errors++) {
		mfs_text_options options = text_options(NULL, errors, MFS_TEXT_NEWLINE_UNIVERSAL);
		size_t wanted = before;
		const char *line = NULL;

		memset(want, 'x', ROOM);
		if (errors == MFS_TEXT_REPLACE) {
			wanted += expand(replaced, want + wanted);
		}
		for (const char *from = replaced; errors == MFS_TEXT_IGNORE && *from != '\0'; from++) {
			if (*from != '#') {
				want[wanted++] = *from;
			}
		}
		wanted += after;
		for (size_t way = 0; way < COUNT_OF(ways); way++) {
			struct opened opened = open_text_by(fs, "/t", &ways[way], &options);

			if (errors != MFS_TEXT_STRICT) {
				size_t got = 0;
				size_t characters = 0;

				assert_line_is(opened.text, want, wanted);
				assert_int_equal(mfs_text_tell(opened.text), length);
				assert_int_equal(mfs_text_seek(opened.text, 0, SEEK_SET), 0);
				char *text = read_all(opened.text, 100, 0, &got, &characters);

				assert_int_equal(got, wanted);
				assert_memory_equal(text, want, wanted);
				free(text);
			} else {
				assert_refused(fs, mfs_text_readline(opened.text, &line), MFS_EILSEQ);
				assert_int_equal(mfs_text_tell(opened.text), 0);
			}
			close_text_by(opened);
		}
	}
	free(all);
	free(want);
}

static void every_kind_of_damage_is_found_wherever_it_is(void **state)
{
	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		/* At each place of a block of bytes that are looked at together, and at a chunk's end. */
		for (size_t before = 0; before < 70; before += before < 34 ? 1 : 7) {
			check_damage(*state, before, damages[i].bytes, damages[i].replaced, 80);
		}
		for (size_t before = 4090; before < 4098; before++) {
			check_damage(*state, before, damages[i].bytes, damages[i].replaced, 3);
		}
		/* At the end of the file. */
		check_damage(*state, 0, damages[i].bytes, damages[i].replaced, 0);
		check_damage(*state, 100, damages[i].bytes, damages[i].replaced, 0);
	}
}

static void a_stop_within_a_character_ends_both(void **state)
{
	mfs_text_options options = text_options(NULL, MFS_TEXT_REPLACE, MFS_TEXT_NEWLINE_UNIVERSAL);

	for (size_t before = 0; before < 70; before++) {
		char text[128];
		char want[128];

		memset(text, 'x', sizeof(text));
		memcpy(text + before, "\xE4\xB8\n", 3);
		memcpy(text + 120, "\n\n\n\n\n\n\n\n", 8);
		make_file(*state, "/t", text, 121);
		memset(want, 'x', sizeof(want));
		memcpy(want + before, FFFD "\n", 4);
		for (size_t way = 0; way < COUNT_OF(ways); way++) {
			struct opened opened = open_text_by(*state, "/t", &ways[way], &options);

			assert_line_is(opened.text, want, before + 4);
			assert_line_is(opened.text, text + before + 3, 118 - before);
			assert_no_line(opened.text);
			close_text_by(opened);
		}
	}
}

static void what_is_before_damage_can_be_read_and_the_message_names_it(void **state)
{
	const char *line = NULL;
	char buffer[64];

	make_text(*state, "/t", "good\nnot \xF0\x9F good\n");
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);
		size_t characters = 0;

		assert_line(opened.text, "good\n");
		assert_refused(*state, mfs_text_readline(opened.text, &line), MFS_EILSEQ);
		assert_non_null(strstr(mfs_last_error(), "offset 9"));
		assert_non_null(strstr(mfs_last_error(), "0xF0 0x9F"));
		assert_non_null(strstr(mfs_last_error(), "UTF-8"));
		assert_int_equal(mfs_text_tell(opened.text), 5);
		/* A call that succeeds leaves the last error alone. */
		support__mark_last_error(*state);
		assert_code(mfs_text_read(opened.text, buffer, sizeof(buffer), 0, &characters), 4);
		assert_int_equal(characters, 4);
		assert_non_null(strstr(mfs_last_error(), "/the marker"));
		assert_int_equal(mfs_text_tell(opened.text), 9);
		assert_refused(*state, mfs_text_read(opened.text, buffer, sizeof(buffer), 0, NULL),
					   MFS_EILSEQ);
		assert_int_equal(mfs_text_tell(opened.text), 9);
		assert_int_equal(mfs_text_seek(opened.text, 11, SEEK_SET), 11);
		assert_line(opened.text, " good\n");
		close_text_by(opened);
	}
}

static void a_pair_of_line_ends_is_one_across_damage_that_is_ignored(void **state)
{
	mfs_text_options options = text_options(NULL, MFS_TEXT_IGNORE, MFS_TEXT_NEWLINE_UNIVERSAL);

	make_text(*state, "/t",
			  "a\r\xFF\xE4\nb\r\xFF"
			  "c\xFF");
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], &options);

		assert_line(opened.text, "a\n");
		assert_line(opened.text, "b\n");
		assert_line(opened.text, "c");
		assert_no_line(opened.text);
		close_text_by(opened);
	}
}

static void reading_begins_at_the_cursor_and_leaves_it_alone(void **state)
{
	make_text(*state, "/t", "one\ntwo\nsix\n");
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		mfs_file *file = NULL;
		mfs_text *text = NULL;
		char buffer[4];

		assert_code(open_with(*state, "/t", ways[way].mode, ways[way].flags, 0, &file), 0);
		assert_code(mfs_seek(file, 4, SEEK_SET), 4);
		assert_code(mfs_text_open(file, NULL, &text), 0);
		assert_int_equal(mfs_text_tell(text), 4);
		assert_line(text, "two\n");
		assert_int_equal(mfs_text_tell(text), 8);
		assert_int_equal(mfs_tell(file), 4);
		assert_ptr_equal(mfs_text_file(text), file);
		assert_code(mfs_text_close(text), 0);
		assert_code(mfs_read(file, buffer, 4), 4);
		assert_memory_equal(buffer, "two\n", 4);
		close_file(file);
	}
}

static void two_handles_have_positions_of_their_own(void **state)
{
	make_text(*state, "/t", "one\ntwo\nsix\n");
	struct opened first = open_text_by(*state, "/t", &ways[0], NULL);
	mfs_text *second = NULL;

	assert_code(mfs_text_open(first.file, NULL, &second), 0);
	assert_line(first.text, "one\n");
	assert_line(second, "one\n");
	assert_line(first.text, "two\n");
	assert_line(first.text, "six\n");
	assert_line(second, "two\n");
	assert_code(mfs_text_close(second), 0);
	close_text_by(first);
}

static void wrong_calls_are_refused(void **state)
{
	char buffer[16];
	const char *line = NULL;

	make_text(*state, "/t", "text\n");
	struct opened opened = open_text_by(*state, "/t", &ways[0], NULL);

	assert_refused(*state, mfs_text_read(opened.text, buffer, 3, 0, NULL), MFS_EINVAL);
	assert_refused(*state, mfs_text_read(opened.text, NULL, 16, 0, NULL), MFS_EINVAL);
	assert_refused(*state, mfs_text_read(NULL, buffer, 16, 0, NULL), MFS_EINVAL);
	assert_refused(*state, mfs_text_readline(NULL, &line), MFS_EINVAL);
	assert_refused(*state, mfs_text_readline(opened.text, NULL), MFS_EINVAL);
	assert_refused(*state, mfs_text_tell(NULL), MFS_EINVAL);
	assert_refused(*state, mfs_text_seek(NULL, 0, SEEK_SET), MFS_EINVAL);
	assert_refused(*state, mfs_text_seek(opened.text, -1, SEEK_SET), MFS_EINVAL);
	assert_refused(*state, mfs_text_seek(opened.text, 1, SEEK_CUR), MFS_EINVAL);
	assert_refused(*state, mfs_text_seek(opened.text, 1, SEEK_END), MFS_EINVAL);
	assert_refused(*state, mfs_text_seek(opened.text, 0, 77), MFS_EINVAL);
	assert_null(mfs_text_file(NULL));
	assert_line(opened.text, "text\n");
	close_text_by(opened);

	mfs_text *writer = open_text(*state, "/t", "ab", NULL);

	assert_refused(*state, mfs_text_readline(writer, &line), MFS_EBADF);
	assert_refused(*state, mfs_text_read(writer, buffer, 16, 0, NULL), MFS_EBADF);
	close_text(writer);
}

static void a_lock_that_is_not_to_be_had_is_told(void **state)
{
	const char *line = NULL;
	mfs_file *file = NULL;
	mfs_text *text = NULL;

	make_text(*state, "/t", "text\n");
	assert_code(open_with(*state, "/t", "rb", MFS_O_SHARED, MFS_NO_WAIT, &file), 0);
	support__mark_last_error(*state);
	assert_code(mfs_text_open(file, NULL, &text), 0);
	assert_non_null(strstr(mfs_last_error(), "/the marker"));
	mfs_file *writer = open_file(*state, "/t", "r+b");

	assert_refused(*state, mfs_text_readline(text, &line), MFS_EBUSY);
	close_file(writer);
	assert_line(text, "text\n");
	assert_code(mfs_text_close(text), 0);
	close_file(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(characters_are_never_split),
		WORKSPACE_TEST(a_call_reads_as_much_as_there_is_room_for),
		WORKSPACE_TEST(line_ends_are_read_as_the_option_says),
		WORKSPACE_TEST(every_kind_of_damage_is_found_wherever_it_is),
		WORKSPACE_TEST(a_stop_within_a_character_ends_both),
		WORKSPACE_TEST(what_is_before_damage_can_be_read_and_the_message_names_it),
		WORKSPACE_TEST(a_pair_of_line_ends_is_one_across_damage_that_is_ignored),
		WORKSPACE_TEST(reading_begins_at_the_cursor_and_leaves_it_alone),
		WORKSPACE_TEST(two_handles_have_positions_of_their_own),
		WORKSPACE_TEST(wrong_calls_are_refused),
		WORKSPACE_TEST(a_lock_that_is_not_to_be_had_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
