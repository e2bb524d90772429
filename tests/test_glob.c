/* SPDX-License-Identifier: MIT */
/*
 * Does glob find the paths that match a pattern, all of them and no others, sorted, each once, and
 * in little time whatever the pattern?
 */
#include "support.h"

#include "base/alloc.h"
#include "fs/filesystem.h"
#include "fs/glob_pattern.h"

/* More than a glob here allocates. */
enum { MOST_ALLOCATIONS = 300 };

/* The results, each with a space before it. */
static void assert_glob(mfs *fs, const char *pattern, const char *expected)
{
	char got[4096] = "";
	size_t used = 0;
	char **paths = NULL;
	int64_t count = mfs_glob(fs, pattern, &paths);

	assert_true(count >= 0);
	assert_non_null(paths);
	for (int64_t i = 0; i < count; i++)
		used += (size_t)snprintf(got + used, sizeof got - used, " %s", paths[i]);
	assert_null(paths[count]);
	mfs_names_free(paths);
	if (strcmp(got, expected) != 0)
		print_error("the pattern is %s\n", pattern);
	assert_string_equal(got, expected);
}

static bool matches(const char *pattern, const char *name)
{
	struct mfs__glob_pattern compiled;

	assert_code(mfs__glob_compile(pattern, &compiled), 0);
	assert_int_equal(compiled.count, 1);
	bool result = mfs__glob_matches(&compiled, &compiled.components[0], name, strlen(name));
	mfs__glob_free(&compiled);
	return result;
}

/*
 * Names
 */

static void a_component_matches_names(void **state)
{
	static const struct {
		const char *pattern;
		const char *names; /* those that match, then '|', then those that do not */
	} cases[] = {
		{"abc", "abc|ab abcd ABC abd"},
		{"*", "a .hidden *|"},
		{"***", "a .hidden|"},
		{"a*", "a ab a*|ba .a"},
		{"*a", "a ba|ab"},
		{"*a*", "a ba ab bab|b"},
		{"a*b*c", "abc aXbYc abbcc abcbc|ab ac abcb"},
		{"?", "a . \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xff|ab \xc3\xa4\xc3\xa4 \xff\xff"},
		{"??", "ab \xc3\xa4\x62 \xff\xff \xc3\xff|a \xc3\xa4 abc"},
		{"*?", "a ab \xc3\xa4|"},
		{"*??", "ab \xc3\xa4\x61|a \xc3\xa4 \xe2\x82\xac"},
		{"[abc]", "a b c|d ab [abc]"},
		{"[a-c]x", "ax bx cx|dx -x"},
		{"[!a-c]", "d - !|a b c"},
		{"[]a]", "] a|b []a]"},
		{"[!]a]", "b !|] a"},
		{"[a-]", "a -|b"},
		{"[-a]", "a -|b"},
		{"[a-c-e]", "a b c - e|d"},
		{"[c-a]", "|a b c - "},
		{"[!-]", "a !|-"},
		{"[^a]", "^ a|b"},
		{"[*]", "*|a"},
		{"[?]x[[]", "?x[|axb"},
		{"[", "[|a"},
		{"[a", "[a|a"},
		{"[]", "[]|]"},
		{"[!]", "[!]|! a"},
		{"[!]]", "a|]"},
		{"a[", "a[|a"},
		{"[[]", "[|]"},
		{"[[a]b]", "[b] ab]|a b"},
		{"{a,b}", "{a,b}|a b"},
		{"[\xc3\xa4\xc3\xb6]", "\xc3\xa4 \xc3\xb6|\xc3\xbc a"},
		{"[\xc3\xa0-\xc3\xbf]", "\xc3\xa4 \xc3\xbf|a \xc4\x80 \xe4"},
		{"*[!\xc3\xa4]", "a \xc3\xa4\x61|\xc3\xa4 a\xc3\xa4"},
		{"[!a]", "\xc3\xa4 \xff|a \xc3\xa4\x61"},
		{"[\x80-\xff]", "\xff \xe4|\xc3\xa4 a"},
		/* No code points: an overlong form, half of a pair, beyond the last one, cut short. */
		{"??", "\xc0\xaf \xe2\x82|"},
		{"???", "\xed\xa0\x80 \xe0\x80\xaf|"},
		{"????", "\xf4\x90\x80\x80 \xf0\x80\x80\xaf|"},
		{"*\xa4", "\xc3\xa4 \xa4|a"},
		{"\xc3?", "\xc3\x61|\xc3\xa4"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char names[128];
		bool expected = true;
		(void)snprintf(names, sizeof names, "%s", cases[i].names);
		for (char *name = names; name;) {
			size_t length = strcspn(name, " |");
			char end = name[length];
			name[length] = '\0';
			if (length && matches(cases[i].pattern, name) != expected) {
				print_error("%s against %s\n", cases[i].pattern, name);
				fail();
			}
			expected = expected && end != '|';
			name = end ? name + length + 1 : NULL;
		}
	}
}

/*
 * Paths
 */

static void make_tree(mfs *fs)
{
	make_dir(fs, "/a/b/c");
	make_dir(fs, "/a.d");
	make_text(fs, "/a/x", "content");
	make_text(fs, "/a/b/x", "content");
	make_text(fs, "/a/b/c/x", "content");
	make_text(fs, "/a/b/y", "content");
	make_text(fs, "/a.d/x", "content");
	make_text(fs, "/x", "content");
	make_text(fs, "/.h", "content");
}

static void a_pattern_matches_paths(void **state)
{
	static const struct {
		const char *pattern;
		const char *paths;
	} cases[] = {
		{"/", " /"},
		{"", " /"},
		{"//./", " /"},
		{"/a/..", " /"},
		{"/x", " /x"},
		{"x", " /x"},
		{"/a/b/c/x", " /a/b/c/x"},
		{"/a/b/c", " /a/b/c"},
		{"/a/b/c/", " /a/b/c"},
		{"/nope/x", ""},
		{"/x/x", ""},
		{"/x/**", ""},
		{"/*", " /.h /a /a.d /x"},
		{"/*/", " /.h /a /a.d /x"},
		{"/*/*", " /a.d/x /a/b /a/x"},
		{"/*/x", " /a.d/x /a/x"},
		{"/*/b/*", " /a/b/c /a/b/x /a/b/y"},
		{"/?/b", " /a/b"},
		{"/**", " /.h /a /a.d /a.d/x /a/b /a/b/c /a/b/c/x /a/b/x /a/b/y /a/x /x"},
		{"**/*", " /.h /a /a.d /a.d/x /a/b /a/b/c /a/b/c/x /a/b/x /a/b/y /a/x /x"},
		{"/**/**", " /.h /a /a.d /a.d/x /a/b /a/b/c /a/b/c/x /a/b/x /a/b/y /a/x /x"},
		{"/a/**", " /a/b /a/b/c /a/b/c/x /a/b/x /a/b/y /a/x"},
		{"/a/**/", " /a/b /a/b/c /a/b/c/x /a/b/x /a/b/y /a/x"},
		{"/**/x", " /a.d/x /a/b/c/x /a/b/x /a/x /x"},
		{"/**/**/**/x", " /a.d/x /a/b/c/x /a/b/x /a/x /x"},
		{"/a/**/x", " /a/b/c/x /a/b/x /a/x"},
		{"/**/b/**/x", " /a/b/c/x /a/b/x"},
		{"/**/*/**/x", " /a.d/x /a/b/c/x /a/b/x /a/x"},
		{"/**/*/*/**", " /a/b/c /a/b/c/x /a/b/x /a/b/y"},
		{"/**/b/*", " /a/b/c /a/b/x /a/b/y"},
		{"/**/[xy]", " /a.d/x /a/b/c/x /a/b/x /a/b/y /a/x /x"},
		{"/a**", " /a /a.d"},
		{"/**a", " /a"},
		{"/a\\*\\.\\x", " /a/b/x"},
		{"/*/../x", " /x"},
		{"/**/../*", " /.h /a /a.d /x"},
		{"/a/[b/c]/x", ""},
	};
	mfs *fs = *state;

	make_tree(fs);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_glob(fs, cases[i].pattern, cases[i].paths);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void nothing_is_found_in_an_empty_workspace(void **state)
{
	assert_glob(*state, "/*", "");
	assert_glob(*state, "/**", "");
	assert_glob(*state, "/**/x/**", "");
	assert_glob(*state, "/", " /");
}

static void wrong_patterns_are_refused(void **state)
{
	enum { LONG = 70000 };
	mfs *fs = *state;
	char **paths = NULL;
	char *text = allocate(LONG + 1);

	make_tree(fs);
	assert_refused(fs, mfs_glob(fs, "/..", &paths), MFS_EINVAL);
	assert_refused(fs, mfs_glob(fs, "/**/../../x", &paths), MFS_EINVAL);
	assert_refused(fs, mfs_glob(fs, NULL, &paths), MFS_EINVAL);
	assert_refused(fs, mfs_glob(NULL, "/", &paths), MFS_EINVAL);
	assert_refused(fs, mfs_glob(fs, "/", NULL), MFS_EINVAL);
	/* What stands for one name must be able to be one. */
	memset(text, 'x', LONG);
	text[MFS_NAME_MAX + 1] = '\0';
	assert_refused(fs, mfs_glob(fs, text, &paths), MFS_ENAMETOOLONG);
	text[MFS_NAME_MAX] = '\0';
	assert_glob(fs, text, "");
	text[MFS_NAME_MAX] = '*';
	text[MFS_NAME_MAX + 1] = 'x';
	text[MFS_PATH_MAX] = '\0';
	assert_glob(fs, text, "");
	text[MFS_PATH_MAX] = 'x';
	assert_refused(fs, mfs_glob(fs, text, &paths), MFS_ENAMETOOLONG);
	assert_null(paths);
	free(text);
}

static void a_pattern_of_any_length_is_matched(void **state)
{
	mfs *fs = *state;
	char *text = allocate(MFS_PATH_MAX + 1);
	size_t at = 0;

	make_tree(fs);
	while (at + 5 < MFS_PATH_MAX) {
		memcpy(text + at, "/**/*", 5);
		at += 5;
	}
	assert_glob(fs, text, "");
	memset(text, '*', MFS_PATH_MAX);
	assert_glob(fs, text, " /.h /a /a.d /x");
	memset(text, '[', MFS_PATH_MAX);
	text[MFS_PATH_MAX - 1] = ']';
	assert_glob(fs, text, "");
	for (at = 0; at + 2 < MFS_PATH_MAX; at += 2)
		memcpy(text + at, "/*", 2);
	text[at] = '\0';
	assert_glob(fs, text, "");
	free(text);
}

static void a_deep_tree_is_searched(void **state)
{
	enum { DEPTH = 10000 };
	mfs *fs = *state;
	char *path = allocate(2 * DEPTH + 8);
	char **paths;

	for (size_t i = 0; i < DEPTH; i++)
		memcpy(path + 2 * i, "/d", 3);
	make_dir(fs, path);
	memcpy(path + 2 * (size_t)DEPTH, "/x", 3);
	make_text(fs, path, "content");
	assert_code(mfs_glob(fs, "/**/*/**/[d]/**/x", &paths), 1);
	assert_string_equal(paths[0], path);
	mfs_names_free(paths);
	assert_code(mfs_glob(fs, path, &paths), 1);
	mfs_names_free(paths);
	free(path);
}

/*
 * Against a matcher that is obviously right, and slow. It only knows characters, so its patterns
 * have no bytes that might be the half of one, but in sets.
 */

struct text {
	uint32_t characters[64];
	size_t count;
};

/* Characters, one after the other; a byte that is not part of one counts from 0x110000. The random
 * names and patterns have no code points but ASCII and those of two bytes. */
static struct text decode(const char *bytes, size_t length)
{
	struct text text = {.count = 0};

	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		unsigned char next = (unsigned char)(i + 1 < length ? bytes[i + 1] : 0);
		uint32_t character = byte < 0x80 ? byte : 0x110000u + byte;
		if (byte >= 0xc2 && byte < 0xe0 && (next & 0xc0) == 0x80) {
			character = (byte & 0x1fu) << 6 | (next & 0x3fu);
			i++;
		}
		text.characters[text.count++] = character;
	}
	return text;
}

/* The index of the set's ']', or 0. */
static size_t slow_set_end(const struct text *pattern, size_t at)
{
	at++;
	if (at < pattern->count && pattern->characters[at] == '!')
		at++;
	for (at++; at < pattern->count; at++)
		if (pattern->characters[at] == ']')
			return at;
	return 0;
}

static bool slow_set(const struct text *pattern, size_t at, size_t end, uint32_t character)
{
	bool negated = pattern->characters[at + 1] == '!';
	bool found = false;

	for (at += negated ? 2 : 1; at < end; at++) {
		uint32_t from = pattern->characters[at];
		uint32_t to = from;
		if (at + 2 < end && pattern->characters[at + 1] == '-') {
			to = pattern->characters[at + 2];
			at += 2;
		}
		found |= character >= from && character <= to;
	}
	return found != negated;
}

static bool slow_name(const struct text *pattern, size_t p, const struct text *name, size_t n)
{
	if (p == pattern->count)
		return n == name->count;
	uint32_t token = pattern->characters[p];
	if (token == '*') {
		for (size_t i = n; i <= name->count; i++)
			if (slow_name(pattern, p + 1, name, i))
				return true;
		return false;
	}
	if (n == name->count)
		return false;
	if (token == '?')
		return slow_name(pattern, p + 1, name, n + 1);
	size_t end = token == '[' ? slow_set_end(pattern, p) : 0;
	if (end)
		return slow_set(pattern, p, end, name->characters[n]) &&
			   slow_name(pattern, end + 1, name, n + 1);
	return token == name->characters[n] && slow_name(pattern, p + 1, name, n + 1);
}

/* Both begin with '/' or are at their end. */
static bool slow_path(const char *pattern, const char *path)
{
	if (!*pattern)
		return !*path;
	size_t length = strcspn(pattern + 1, "/");
	const char *rest = pattern + 1 + length;
	if (length == 2 && memcmp(pattern + 1, "**", 2) == 0) {
		if (!*rest)
			return *path != '\0';
		/* A "**" behind this one wants nothing more than this one gives. */
		for (const char *at = path;; at = at + 1 + strcspn(at + 1, "/")) {
			if (slow_path(rest, at))
				return true;
			if (!*at)
				return false;
		}
	}
	if (!*path)
		return false;
	size_t name_length = strcspn(path + 1, "/");
	struct text component = decode(pattern + 1, length);
	struct text name = decode(path + 1, name_length);
	return slow_name(&component, 0, &name, 0) && slow_path(rest, path + 1 + name_length);
}

static size_t random_text(struct rng *rng, const char *const *pieces, size_t count, size_t most,
						  char *out)
{
	size_t length = 0;

	out[0] = '\0';
	for (size_t n = 1 + rng_below(rng, most); n > 0; n--)
		length += (size_t)sprintf(out + length, "%s", pieces[rng_below(rng, count)]);
	return length;
}

static int compare_paths(const void *one, const void *other)
{
	return strcmp(one, other);
}

enum { PATHS = 400, PATH_SIZE = 64 };

/* Make files and directories at random; all paths, sorted. */
static size_t make_random_tree(mfs *fs, struct rng *rng, char (*paths)[PATH_SIZE])
{
	static const char *const pieces[] = {"a", "b", "a", "ab", "\xc3\xa4", "\xc3", "\xa4", "-", "!"};
	size_t count = 0;

	for (int tries = 0; tries < 200 && count < PATHS - 1; tries++) {
		const char *above = count && rng_below(rng, 4) ? paths[rng_below(rng, count)] : "";
		char path[PATH_SIZE + 8];
		size_t used = (size_t)sprintf(path, "%s/", above);
		random_text(rng, pieces, COUNT_OF(pieces), 3, path + used);
		if (used + 7 > PATH_SIZE || mfs_exists(fs, path) || mfs_is_file(fs, above))
			continue;
		if (rng_below(rng, 2))
			make_dir(fs, path);
		else
			make_text(fs, path, "");
		memcpy(paths[count++], path, strlen(path) + 1);
	}
	qsort(paths, count, PATH_SIZE, compare_paths);
	return count;
}

static void random_pattern(struct rng *rng, char *out)
{
	static const char *const pieces[] = {"a",  "b",  "*",        "?",      "[",  "]",         "!",
										 "-",  "[a", "[!",       "a]",     "-b", "]",         "*",
										 "ab", "*",  "\xc3\xa4", "[\xa4]", "?",  "[\xc3\xa4-"};
	size_t length = 0;

	for (size_t n = 1 + rng_below(rng, 5); n > 0; n--) {
		out[length++] = '/';
		if (rng_below(rng, 3) == 0)
			length += (size_t)sprintf(out + length, "**");
		else if (rng_below(rng, 4) == 0)
			length += (size_t)sprintf(out + length, "*");
		else
			length += random_text(rng, pieces, COUNT_OF(pieces), 5, out + length);
	}
}

static void random_patterns_match_as_a_slow_matcher_says(void **state)
{
	static char paths[PATHS][PATH_SIZE];
	struct rng rng = {2024};
	size_t results = 0;

	(void)state;
	for (int tree = 0; tree < 60; tree++) {
		mfs *fs = new_workspace(NULL);
		size_t count = make_random_tree(fs, &rng, paths);
		for (int round = 0; round < 150; round++) {
			char pattern[256];
			char **got;
			size_t expected = 0;
			random_pattern(&rng, pattern);
			int64_t found = mfs_glob(fs, pattern, &got);
			assert_true(found >= 0);
			for (size_t i = 0; i < count; i++) {
				if (!slow_path(pattern, paths[i]))
					continue;
				if (expected >= (size_t)found || strcmp(got[expected], paths[i]) != 0) {
					print_error("%s does not find %s\n", pattern, paths[i]);
					fail();
				}
				expected++;
			}
			if (expected != (size_t)found)
				print_error("%s finds too much\n", pattern);
			assert_int_equal(expected, found);
			assert_null(got[found]);
			mfs_names_free(got);
			results += expected;
		}
		free_workspace(fs);
	}
	/* The test is one of matches, too. */
	assert_true(results > 10000);
}

/*
 * Time
 */

static void no_pattern_takes_long(void **state)
{
	static const char *const patterns[] = {
		"/**/**/**/**/x",      "/**/a/**/a/**/a/**/x", "/**/a*a*a*a*a*a*a*a*a*b",
		"/**/?*?*?*?*?*?*?*x", "/**/*/**/*/**/*/**/x",
	};
	mfs *fs = *state;
	char path[400];
	char **paths;

	/* Names that an exponential matcher would never be through with. */
	for (int i = 0; i < 1000; i++) {
		int used = snprintf(path, sizeof path, "/a/a/a/a/%d/", i % 10);
		memset(path + used, 'a', 200);
		(void)snprintf(path + used + 200, sizeof path - (size_t)used - 200, "%d", i);
		make_dir(fs, path);
	}
	for (size_t i = 0; i < COUNT_OF(patterns); i++) {
		assert_code(mfs_glob(fs, patterns[i], &paths), 0);
		mfs_names_free(paths);
	}
}

/*
 * Want of memory, and threads
 */

static void a_glob_that_runs_out_of_memory_changes_nothing(void **state)
{
	mfs *fs = *state;
	char path[64];
	bool failed = true;
	long n;

	make_tree(fs);
	for (int i = 0; i < 60; i++) {
		(void)snprintf(path, sizeof path, "/a/b/c/d%d", i);
		make_dir(fs, path);
	}
	for (n = 1; failed; n++) {
		long live = mfs__alloc_live();
		char **paths = NULL;
		assert_true(n < MOST_ALLOCATIONS);
		mfs__alloc_fail_after(n);
		int64_t count = mfs_glob(fs, "/a/**/[bcdx]*", &paths);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		assert_code(count, failed ? MFS_ENOMEM : 65);
		assert_true((paths == NULL) == failed);
		mfs_names_free(paths);
		/* Fewer are fine: what making the tree has retired is freed at some time. */
		assert_true(mfs__alloc_live() <= live);
	}
	assert_true(n > 10);
	assert_true(mfs__validate(fs));
}

enum { ROUNDS = 500, CHANGES = 3000 };

struct changer {
	mfs *fs;
	atomic_bool stop;
	atomic_int changes; /* so far */
	int failures;
};

/* At any time there is "x1" or "x2" in "/d/e", and the directory "y1" or "y2". */
static void *rename_pair(void *argument)
{
	struct changer *changer = argument;
	const char *files[] = {"/d/e/x1", "/d/e/x2"};
	const char *directories[] = {"/d/e/y1", "/d/e/y2"};

	for (unsigned i = 0; !atomic_load(&changer->stop); i++) {
		changer->failures += mfs_rename(changer->fs, files[i % 2], files[1 - i % 2], 0) != 0;
		changer->failures +=
			mfs_rename(changer->fs, directories[i % 2], directories[1 - i % 2], 0) != 0;
		atomic_fetch_add(&changer->changes, 1);
	}
	return NULL;
}

static void each_directory_is_of_one_instant(void **state)
{
	mfs *fs = *state;
	struct changer changer = {.fs = fs};
	char path[32];
	int wrong = 0;

	/* More names than have room near each other: reading them takes longer than a rename. */
	make_dir(fs, "/d/e/y1");
	make_text(fs, "/d/e/x1", "content");
	for (int i = 0; i < 500; i++) {
		(void)snprintf(path, sizeof path, "/d/e/%d", i);
		make_text(fs, path, "");
	}
	pthread_t thread = start_thread(rename_pair, &changer);
	for (int round = 0; round < ROUNDS || atomic_load(&changer.changes) < CHANGES; round++) {
		char **paths;
		wrong += mfs_glob(fs, "/**/x?", &paths) != 1;
		mfs_names_free(paths);
		wrong += mfs_glob(fs, "/d/*/y?", &paths) != 1;
		mfs_names_free(paths);
	}
	atomic_store(&changer.stop, true);
	join_thread(thread);
	assert_int_equal(wrong, 0);
	assert_int_equal(changer.failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_component_matches_names),
		WORKSPACE_TEST(a_pattern_matches_paths),
		WORKSPACE_TEST(nothing_is_found_in_an_empty_workspace),
		WORKSPACE_TEST(wrong_patterns_are_refused),
		WORKSPACE_TEST(a_pattern_of_any_length_is_matched),
		WORKSPACE_TEST(a_deep_tree_is_searched),
		cmocka_unit_test(random_patterns_match_as_a_slow_matcher_says),
		WORKSPACE_TEST(no_pattern_takes_long),
		WORKSPACE_TEST(a_glob_that_runs_out_of_memory_changes_nothing),
		WORKSPACE_TEST(each_directory_is_of_one_instant),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
