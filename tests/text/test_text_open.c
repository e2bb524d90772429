/* SPDX-License-Identifier: MIT */
/* Is a text handle made for every file and option that it should be, and for no other? */
#include "text_support.h"

static void the_defaults_are_utf8_strict_and_universal(void **state)
{
	mfs_text_options zeroed = {0};
	const char *line = NULL;

	make_text(*state, "/t", "a\xC3\xA9\r\nb\xFF");
	for (int i = 0; i < 2; i++) {
		mfs_text *text = open_text(*state, "/t", "rb", i == 0 ? NULL : &zeroed);

		assert_line(text, "a\xC3\xA9\n");
		assert_refused(*state, mfs_text_readline(text, &line), MFS_EILSEQ);
		close_text(text);
	}
}

static void options_out_of_range_are_refused(void **state)
{
	mfs_text_options options[] = {
		{.struct_size = 1}, {.struct_size = 5000},
		{.errors = -1},     {.errors = MFS_TEXT_IGNORE + 1},
		{.newline = -1},    {.newline = MFS_TEXT_NEWLINE_CRLF + 1},
	};
	mfs_file *file = open_file(*state, "/t", "wb");

	for (size_t i = 0; i < COUNT_OF(options); i++) {
		mfs_text *text = (mfs_text *)&options;

		assert_refused(*state, mfs_text_open(file, &options[i], &text), MFS_EINVAL);
		assert_null(text);
	}
	assert_refused(*state, mfs_text_open(file, NULL, NULL), MFS_EINVAL);
	close_file(file);
}

static void options_of_a_later_version_are_taken_if_they_are_zero(void **state)
{
	struct {
		mfs_text_options options;
		uint64_t later;
	} options = {.options.struct_size = sizeof(options)};
	mfs_file *file = open_file(*state, "/t", "wb");
	mfs_text *text = NULL;

	assert_code(mfs_text_open(file, &options.options, &text), 0);
	assert_code(mfs_text_close(text), 0);
	options.later = 1;
	assert_refused(*state, mfs_text_open(file, &options.options, &text), MFS_EINVAL);
	close_file(file);
}

static void unknown_encodings_are_refused(void **state)
{
	static const char *const names[] = {
		"",
		"no such encoding",
		"UTF-9",
		"UTF-8//IGNORE",
		"ASCII//TRANSLIT",
		"//",
		"/",
		"a name that is longer than any encoding could possibly have, were it ever so long",
	};
	mfs_file *file = open_file(*state, "/t", "w+b");

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		mfs_text_options options = text_options(names[i], 0, 0);
		mfs_text *text = NULL;

		assert_refused(*state, mfs_text_open(file, &options, &text), MFS_EINVAL);
		assert_null(text);
	}
	close_file(file);
}

static void encodings_are_known_by_many_names(void **state)
{
	static const char *const names[] = {"utf8",      "UTF_8",  "utf-16-le",   "Utf32BE",
										"utf-8-sig", "latin1", "iso-8859-15", "sjis"};
	mfs_file *file = open_file(*state, "/t", "w+b");

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		mfs_text_options options = text_options(names[i], 0, 0);
		mfs_text *text = NULL;

		assert_code(mfs_text_open(file, &options, &text), 0);
		assert_code(mfs_text_close(text), 0);
	}
	close_file(file);
}

static void a_file_that_is_closed_is_refused(void **state)
{
	mfs_file *file = open_file(*state, "/t", "wb");
	mfs_text *text = NULL;

	close_file(file);
	assert_refused(*state, mfs_text_open(file, NULL, &text), MFS_EBADF);
	assert_refused(*state, mfs_text_open(NULL, NULL, &text), MFS_EBADF);
	assert_null(text);
}

static void a_path_is_opened_and_closed_with_the_text(void **state)
{
	mfs_text *text = open_text(*state, "/t", "xb", NULL);

	assert_code(mfs_text_write(text, "text\n", 5), 5);
	assert_code(try_open(*state, "/t", "rb"), MFS_EBUSY);
	close_text(text);
	assert_code(try_open(*state, "/t", "wb"), 0);
	assert_code(mfs_text_close(NULL), 0);
}

static void a_text_over_a_file_leaves_it_open(void **state)
{
	mfs_file *file = open_file(*state, "/t", "w+b");
	mfs_text *text = NULL;

	assert_code(mfs_text_open(file, NULL, &text), 0);
	assert_code(mfs_text_close(text), 0);
	assert_code(mfs_write(file, "x", 1), 1);
	close_file(file);
}

static void a_path_that_cannot_be_opened_is_refused(void **state)
{
	mfs_text *text = NULL;

	make_text(*state, "/t", "text\n");
	assert_refused(*state, mfs_text_open_path(*state, "/none", "rb", NULL, &text), MFS_ENOENT);
	assert_refused(*state, mfs_text_open_path(*state, "/", "rb", NULL, &text), MFS_EISDIR);
	assert_refused(*state, mfs_text_open_path(*state, "/t", "xb", NULL, &text), MFS_EEXIST);
	assert_refused(*state, mfs_text_open_path(*state, "/t", "r", NULL, &text), MFS_EINVAL);
	assert_refused(*state, mfs_text_open_path(*state, "/t", "", NULL, &text), MFS_EINVAL);
	assert_refused(*state, mfs_text_open_path(*state, "/t", NULL, NULL, &text), MFS_EINVAL);
	assert_refused(*state, mfs_text_open_path(*state, NULL, "rb", NULL, &text), MFS_EINVAL);
	assert_refused(*state, mfs_text_open_path(NULL, "/t", "rb", NULL, &text), MFS_EINVAL);
	assert_refused(*state, mfs_text_open_path(*state, "/t", "rb", NULL, NULL), MFS_EINVAL);
	assert_null(text);
}

static void no_file_is_made_or_emptied_for_a_text_that_cannot_be(void **state)
{
	mfs_text_options options = text_options("no such encoding", 0, 0);
	mfs_text *text = NULL;

	make_text(*state, "/t", "text\n");
	assert_refused(*state, mfs_text_open_path(*state, "/t", "wb", &options, &text), MFS_EINVAL);
	assert_text(*state, "/t", "text\n");
	assert_refused(*state, mfs_text_open_path(*state, "/new", "wb", &options, &text), MFS_EINVAL);
	assert_false(mfs_exists(*state, "/new"));
}

static void calls_after_the_file_was_closed_are_refused(void **state)
{
	const char *line = NULL;

	make_text(*state, "/t", "text\n");
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(*state, "/t", &ways[way], NULL);

		close_file(opened.file);
		assert_refused(*state, mfs_text_readline(opened.text, &line), MFS_EBADF);
		assert_refused(*state, mfs_text_tell(opened.text), MFS_EBADF);
		assert_refused(*state, mfs_text_write(opened.text, "x", 1), MFS_EBADF);
		assert_refused(*state, mfs_text_seek(opened.text, 0, SEEK_END), MFS_EBADF);
		assert_code(mfs_text_close(opened.text), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(the_defaults_are_utf8_strict_and_universal),
		WORKSPACE_TEST(options_out_of_range_are_refused),
		WORKSPACE_TEST(options_of_a_later_version_are_taken_if_they_are_zero),
		WORKSPACE_TEST(unknown_encodings_are_refused),
		WORKSPACE_TEST(encodings_are_known_by_many_names),
		WORKSPACE_TEST(a_file_that_is_closed_is_refused),
		WORKSPACE_TEST(a_path_is_opened_and_closed_with_the_text),
		WORKSPACE_TEST(a_text_over_a_file_leaves_it_open),
		WORKSPACE_TEST(a_path_that_cannot_be_opened_is_refused),
		WORKSPACE_TEST(no_file_is_made_or_emptied_for_a_text_that_cannot_be),
		WORKSPACE_TEST(calls_after_the_file_was_closed_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
