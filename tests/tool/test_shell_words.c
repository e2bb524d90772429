/* SPDX-License-Identifier: MIT */
/*
 * Is a line taken apart as its quotes say, whatever bytes it has, and is a name that is written as
 * a word read as the same name?
 */
#include "shell_escape.h"
#include "shell_words.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words as text: each in <>, with its pattern behind a ~, and a ; for the end of a command. */
static char *dump(const struct shell_words *words)
{
	struct bytes text = {0};

	for (size_t i = 0; i < words->count; i++) {
		const struct shell_word *word = &words->words[i];
		char *piece = NULL;
		int length = word->text ? asprintf(&piece, "<%s%s%s>", word->text, word->pattern ? "~" : "",
										   word->pattern ? word->pattern : "")
								: asprintf(&piece, ";");
		assert_true(length >= 0 && bytes_append(&text, piece, (size_t)length));
		free(piece);
	}
	assert_true(bytes_append(&text, "", 1));
	return (char *)text.data;
}

static void assert_split(const char *line, const char *expected)
{
	struct shell_words words;

	assert_null(shell_split(line, strlen(line), &words));
	char *found = dump(&words);
	if (strcmp(found, expected) != 0)
		fail_msg("%s is taken for %s, not %s", line, found, expected);
	free(found);
	shell_words_free(&words);
}

static void assert_refused(const char *line, size_t length, const char *part)
{
	struct shell_words words;
	const char *complaint = shell_split(line, length, &words);

	if (!complaint)
		fail_msg("accepted: %s", line);
	assert_non_null(strstr(complaint, part));
	assert_null(words.words);
	assert_int_equal(words.count, 0);
}

static void lines_are_taken_apart(void **state)
{
	static const char *const lines[][2] = {
		{"", ""},
		{" \t\r ", ""},
		{";;; ;", ""},
		{"a", "<a>;"},
		{" a  b\tc\r", "<a><b><c>;"},
		{"a;b", "<a>;<b>;"},
		{"a;;b;", "<a>;<b>;"},
		{"a\nb # c;d\ne", "<a>;<b>;<e>;"},
		{"#a", ""},
		{"a #", "<a>;"},
		{"a#b", "<a#b>;"},
		{"\\#a '#b' ''#c", "<#a><#b><#c>;"},
		{"'' \"\" $''", "<><><>;"},
		{"''''''", "<>;"},
		{"a''b\"\"c$''d", "<abcd>;"},
		{"'a b;#\\'\"c\"", "<a b;#\\c>;"},
		{"\"a'b\\\"c\\\\d\\e\\\"\"", "<a'b\"c\\d\\e\">;"},
		{"\"\\\\\"", "<\\>;"},
		{"a\\ b\\;c\\\\d\\'e", "<a b;c\\d'e>;"},
		{"\\\n", "<\n>;"},
		{"'\n'", "<\n>;"},
		{"$'\\a\\b\\e\\f\\n\\r\\t\\v\\\\\\'\\\"'", "<\a\b\033\f\n\r\t\v\\'\">;"},
		{"$'\\x41\\x7F\\xff\\xFf'", "<A\177\377\377>;"},
		{"$ $a a$ \"$'x'\" $\"b\"", "<$><$a><a$><$'x'><$b>;"},
		{"a$'b c'd", "<ab cd>;"},
		{"`a` (b) {c,d} ~ ! % ^ = @", "<`a`><(b)><{c,d}><~><!><%><^><=><@>;"},
		{"'|&<>' \\| \"&\" $'<' \\>", "<|&<>><|><&><<><>>;"},
		{"\377\376 \200", "<\377\376><\200>;"},
		/* Wildcards. */
		{"* a*b ?", "<*~*><a*b~a*b><?~?>;"},
		{"'*' \\? \"[a]\" $'*'", "<*><?><[a]><*>;"},
		{"'*'*", "<**~[*]*>;"},
		{"**/x", "<**/x~**/x>;"},
		{"[a]* [a-z] [!a]", "<[a]*~[a]*><[a-z]~[a-z]><[!a]~[!a]>;"},
		{"[] ] [ [! []a]", "<[]><]><[><[!><[]a]~[]a]>;"},
		{"[!]a] [!]", "<[!]a]~[!]a]><[!]>;"},
		{"[a/b] *[a/b]", "<[a/b]><*[a/b]~*[[]a/b]>;"},
		{"[a'*'b] ['a b']", "<[a*b]~[a*b]><[a b]~[a b]>;"},
		{"[a'-'z] [a']'b] ['!'a]", "<[a-z]><[a]b]><[!a]>;"},
		{"'['a]* [a\\]*", "<[a]*~[[]a]*><[a]*~[[]a]*>;"},
		{"[[]* [*]x", "<[[]*~[[]*><[*]x~[*]x>;"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_split(lines[i][0], lines[i][1]);
}

static void mistakes_are_refused(void **state)
{
	static const char *const lines[][2] = {
		{"'", "quote"},
		{"a '", "quote"},
		{"\"", "quote"},
		{"\"\\\"", "quote"},
		{"$'", "quote"},
		{"$'\\", "quote"},
		{"$'\\'", "quote"},
		{"'a' 'b", "quote"},
		{"\\", "follows"},
		{"a b\\", "follows"},
		{"\"a\\", "quote"},
		{"$'\\q'", "escape"},
		{"$'\\x'", "digits"},
		{"$'\\xg'", "digits"},
		{"$'\\x4'", "digits"},
		{"$'\\x4", "quote"},
		{"$'\\x00'", "NUL"},
		{"a | b", "pipes"},
		{"a>b", "pipes"},
		{"a <", "pipes"},
		{"a&", "pipes"},
		{"a; b; 'c", "quote"},
		{"a; 'b'; c > d", "pipes"},
	};
	static const char nul[] = "a\0b";

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_refused(lines[i][0], strlen(lines[i][0]), lines[i][1]);
	assert_refused(nul, 3, "NUL");
	assert_refused("'\0'", 3, "NUL");
	assert_refused("\"\0\"", 3, "NUL");
	assert_refused("\\\0", 2, "NUL");
	assert_refused("$'\\\0'", 5, "escape");
	/* In a comment it is nothing. */
	struct shell_words words;
	assert_null(shell_split("a #\0", 4, &words));
	shell_words_free(&words);
}

static unsigned step(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/* Bytes that mean something, and others. */
static void random_text(unsigned *seed, char *text, size_t most)
{
	static const char nasty[] = "'\"\\$;#*?[]!-|&<> \t\r\n/ax04\033\a\177\200\303\274\342\256";
	size_t length = step(seed) % most;

	for (size_t i = 0; i < length; i++) {
		text[i] = nasty[step(seed) % (sizeof nasty - 1)];
		if (step(seed) % 4 == 0)
			text[i] = (char)(1 + step(seed) % 255);
	}
	text[length] = '\0';
}

static void any_line_is_words_or_a_mistake(void **state)
{
	unsigned seed = 1;
	unsigned accepted = 0;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		char line[24];
		struct shell_words words;
		struct shell_partial partial;
		random_text(&seed, line, sizeof line);
		size_t length = strlen(line);
		/* A copy without a NUL behind it, so that a read past its end is noticed. */
		char *copy = malloc(length ? length : 1);
		assert_non_null(copy);
		memcpy(copy, line, length);
		const char *complaint = shell_split(copy, length, &words);
		bool in_word = shell_split_partial(copy, length, &partial);
		for (size_t i = 0; i < words.count; i++)
			assert_true(words.words[i].text || (i > 0 && words.words[i - 1].text));
		if (complaint) {
			assert_int_equal(words.count, 0);
		} else if (words.count) {
			accepted++;
			assert_null(words.words[words.count - 1].text);
		}
		if (in_word) {
			assert_true(partial.start <= length);
			/* What is being typed is the last word, unless there is none yet. */
			if (!complaint && partial.start < length)
				assert_string_equal(partial.text, words.words[words.count - 2].text);
			if (partial.start == length)
				assert_string_equal(partial.text, "");
			assert_true(!partial.command == (partial.index == 0));
		}
		shell_partial_free(&partial);
		shell_words_free(&words);
		free(copy);
	}
	assert_true(accepted > 1000);
}

static void the_word_being_typed_is_found(void **state)
{
	static const struct {
		const char *line;
		const char *command; /* or NULL */
		size_t index;
		size_t start;
		const char *text; /* or NULL: there is none */
	} lines[] = {
		{"", NULL, 0, 0, ""},
		{"  ", NULL, 0, 2, ""},
		{"l", NULL, 0, 0, "l"},
		{"ls ", "ls", 1, 3, ""},
		{"ls a", "ls", 1, 3, "a"},
		{"ls a b", "ls", 2, 5, "b"},
		{"ls a; c", NULL, 0, 6, "c"},
		{"ls a;", NULL, 0, 5, ""},
		{"ls; cat x/y", "cat", 1, 8, "x/y"},
		{"ls 'a b", "ls", 1, 3, "a b"},
		{"ls \"a b", "ls", 1, 3, "a b"},
		{"ls $'a\\n", "ls", 1, 3, "a\n"},
		{"ls $'a\\", "ls", 1, 3, "a"},
		{"ls $'a\\x4", "ls", 1, 3, "a"},
		{"ls a\\ b", "ls", 1, 3, "a b"},
		{"ls a\\", "ls", 1, 3, "a"},
		{"ls 'a' b\\ ", "ls", 2, 7, "b "},
		{"ls # a", NULL, 0, 0, NULL},
		{"ls #", NULL, 0, 0, NULL},
		{"ls a > b", NULL, 0, 0, NULL},
		{"ls $'\\q", NULL, 0, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct shell_partial partial;
		bool found = shell_split_partial(lines[i].line, strlen(lines[i].line), &partial);
		assert_int_equal(found, lines[i].text != NULL);
		if (found) {
			assert_string_equal(partial.text, lines[i].text);
			assert_int_equal(partial.start, lines[i].start);
			assert_int_equal(partial.index, lines[i].index);
			assert_int_equal(partial.command != NULL, lines[i].command != NULL);
			if (lines[i].command)
				assert_string_equal(partial.command, lines[i].command);
		}
		shell_partial_free(&partial);
	}
}

static void assert_one_word(const char *line, const char *text)
{
	struct shell_words words;

	assert_null(shell_split(line, strlen(line), &words));
	assert_int_equal(words.count, 2);
	assert_string_equal(words.words[0].text, text);
	assert_null(words.words[0].pattern);
	shell_words_free(&words);
}

static void a_quoted_name_is_read_as_itself(void **state)
{
	unsigned seed = 2;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char name[16];
		struct bytes quoted = {0};
		random_text(&seed, name, sizeof name);
		assert_true(shell_append_quoted(&quoted, name));
		assert_int_equal(strlen((const char *)quoted.data), quoted.length);
		assert_one_word((const char *)quoted.data, name);
		bytes_free(&quoted);
	}
}

static void assert_quoted(const char *name, const char *expected)
{
	struct bytes quoted = {0};

	assert_true(shell_append_quoted(&quoted, name));
	assert_string_equal(quoted.data, expected);
	bytes_free(&quoted);
}

static void names_are_quoted_as_little_as_can_be(void **state)
{
	(void)state;
	assert_quoted("name", "name");
	assert_quoted("n\303\244me", "n\303\244me");
	assert_quoted("", "''");
	assert_quoted("a b*", "a\\ b\\*");
	assert_quoted("#a#", "\\#a#");
	assert_quoted("a'b\n", "$'a\\'b\\n'");
	assert_quoted("\377", "$'\\xff'");
}

/* What follows is shown from right to left. */
static const char right_to_left[] = {'\342', '\200', '\256', '\0'};
static const char isolated[] = {'\342', '\201', '\246', '\0'};

/* Does a terminal show every byte of it, and obey none? */
static bool is_harmless(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		if (*at < ' ' || *at == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0))
			return false;
	return !strstr(text, right_to_left);
}

static void what_is_shown_is_harmless(void **state)
{
	unsigned seed = 3;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char name[16];
		struct bytes shown = {0};
		struct bytes message = {0};
		random_text(&seed, name, sizeof name);
		assert_true(shell_append_shown(&shown, name));
		assert_true(is_harmless((const char *)shown.data));
		if (strcmp((const char *)shown.data, name) != 0)
			assert_one_word((const char *)shown.data, name);
		assert_true(shell_append_message(&message, name));
		assert_true(is_harmless((const char *)message.data));
		bytes_free(&shown);
		bytes_free(&message);
	}
}

static void assert_shown(const char *name, const char *expected)
{
	struct bytes shown = {0};

	assert_true(shell_append_shown(&shown, name));
	assert_string_equal(shown.data, expected);
	bytes_free(&shown);
}

static void what_a_terminal_would_obey_is_escaped(void **state)
{
	(void)state;
	assert_shown("a b'c", "a b'c");
	assert_shown("\303\244\342\202\254\360\237\230\200", "\303\244\342\202\254\360\237\230\200");
	assert_shown("\033]0;x\a", "$'\\x1b]0;x\\a'");
	assert_shown("a\177", "$'a\\x7f'");
	/* A control character of ISO 8859; marks of direction; separators. */
	assert_shown("\302\233m", "$'\\xc2\\x9bm'");
	assert_shown(right_to_left, "$'\\xe2\\x80\\xae'");
	assert_shown(isolated, "$'\\xe2\\x81\\xa6'");
	assert_shown("\330\234", "$'\\xd8\\x9c'");
	/* What is no UTF-8: cut short, longer than it may be, a surrogate, past the last one. */
	assert_shown("\303", "$'\\xc3'");
	assert_shown("\342\202", "$'\\xe2\\x82'");
	assert_shown("\300\257", "$'\\xc0\\xaf'");
	assert_shown("\340\200\257", "$'\\xe0\\x80\\xaf'");
	assert_shown("\355\240\200", "$'\\xed\\xa0\\x80'");
	assert_shown("\364\220\200\200", "$'\\xf4\\x90\\x80\\x80'");
	/* Only what has to be. */
	assert_shown("\303\244\n\\'", "$'\303\244\\n\\\\\\''");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_taken_apart),
		cmocka_unit_test(mistakes_are_refused),
		cmocka_unit_test(any_line_is_words_or_a_mistake),
		cmocka_unit_test(the_word_being_typed_is_found),
		cmocka_unit_test(a_quoted_name_is_read_as_itself),
		cmocka_unit_test(names_are_quoted_as_little_as_can_be),
		cmocka_unit_test(what_is_shown_is_harmless),
		cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
