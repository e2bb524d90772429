/* SPDX-License-Identifier: MIT */
/*
 * A test that fails, and what its workspace held then.
 *
 * The code under test works in steps, with a file after each: it sorts the words of a text, drops
 * the repeated ones, and counts what is left. It has a bug. The test sees only that the count is
 * wrong. Its workspace, which is on the host once it has failed, has the file of each step, and so
 * shows which one went wrong: the words are sorted, but "cat" is still there twice.
 *
 * One does so where tests fail that cannot be stopped at: in CI, which keeps the directory, or once
 * in a thousand runs.
 *
 * Here the failure is what is wanted: the program looks for the files, and removes them.
 */
#include <dmemfs/testing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 16

/*
 * The code under test
 */

static void write_lines(mfs *fs, const char *path, const char *const *lines, size_t count)
{
	mfs_file *file;

	assert_int_equal(mfs_open(fs, path, "wb", &file), 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(mfs_write(file, lines[i], strlen(lines[i])) >= 0);
		assert_int_equal(mfs_write(file, "\n", 1), 1);
	}
	assert_int_equal(mfs_close(file), 0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Returns how many different words the text has. */
static size_t count_words(mfs *fs, const char *text)
{
	const char *words[WORDS_MAX];
	char *copy = strdup(text);
	char *rest = NULL;
	size_t count = 0;
	size_t kept = 0;

	assert_non_null(copy);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_true(count < WORDS_MAX);
		words[count++] = word;
	}
	write_lines(fs, "/1.words", words, count);

	qsort(words, count, sizeof words[0], by_text);
	write_lines(fs, "/2.sorted", words, count);

	for (size_t i = 0; i < count; i++) {
		words[kept++] = words[i];
		/* The bug: there may be a third one. */
		if (i + 1 < count && strcmp(words[i], words[i + 1]) == 0)
			i++;
	}
	write_lines(fs, "/3.different", words, kept);
	free(copy);
	return kept;
}

/*
 * Its tests
 */

static void words_that_come_once_are_counted(void **state)
{
	assert_int_equal(count_words(*state, "the cat sat"), 3);
}

static void words_that_come_again_are_not_counted(void **state)
{
	assert_int_equal(count_words(*state, "cat the cat sat on a cat"), 5);
}

/* Runs them. Returns how many failed. */
static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		mfs_unit_test(words_that_come_once_are_counted),
		mfs_unit_test(words_that_come_again_are_not_counted),
	};

	return cmocka_run_group_tests_name("word counts", tests, NULL, NULL);
}

/*
 * A look at what they left
 */

static void check(const char *what, int holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* Whether a file of the host holds this; removes it. */
static int take_file(const char *directory, const char *name, const char *text)
{
	char path[300];
	char found[200];

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *f = fopen(path, "r");
	check(path, f != NULL);
	size_t length = fread(found, 1, sizeof found, f);
	check(path, fclose(f) == 0 && remove(path) == 0);
	return length == strlen(text) && memcmp(found, text, length) == 0;
}

int main(void)
{
	char exports[] = "/tmp/exported_on_failure.XXXXXX";
	char failed[200];

	/* In CI, a directory that is kept. */
	check("no directory", mkdtemp(exports) != NULL);
	check("no variable", setenv("MFS_TEST_EXPORT_DIR", exports, 1) == 0);
	check("one test fails", run_all() == 1);

	(void)snprintf(failed, sizeof failed, "%s/%s", exports,
				   "example_exported_on_failure.words_that_come_again_are_not_counted");
	check("the words", take_file(failed, "1.words", "cat\nthe\ncat\nsat\non\na\ncat\n"));
	check("sorted", take_file(failed, "2.sorted", "a\ncat\ncat\ncat\non\nsat\nthe\n"));
	check("and \"cat\" twice", take_file(failed, "3.different", "a\ncat\ncat\non\nsat\nthe\n"));
	check("nothing else", rmdir(failed) == 0 && rmdir(exports) == 0);
	printf("the failed test has left its files\n");
	return 0;
}
