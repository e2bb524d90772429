/* SPDX-License-Identifier: MIT */
/*
 * Does a listing hold each name of a directory once, in order, as of one instant?
 */
#include "support.h"

static int by_bytes(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/** The directory holds these names, which may be in any order and are sorted by this. */
static void assert_names(mfs *fs, const char *path, char **expected, size_t count)
{
	char **names = NULL;

	assert_code(mfs_listdir(fs, path, &names), count);
	assert_non_null(names);
	qsort(expected, count, sizeof(*expected), by_bytes);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(names[i], expected[i]);
	}
	assert_null(names[count]);
	mfs_names_free(names);
}

static void an_empty_directory_has_no_names(void **state)
{
	mfs *fs = *state;
	char **names = NULL;

	assert_code(mfs_listdir(fs, "/", &names), 0);
	assert_non_null(names);
	assert_null(names[0]);
	mfs_names_free(names);
	make_dir(fs, "/d");
	make_text(fs, "/d/f", "content");
	assert_code(mfs_remove(fs, "/d/f"), 0);
	assert_code(mfs_listdir(fs, "/d", &names), 0);
	assert_null(names[0]);
	mfs_names_free(names);
}

static void names_come_sorted_by_bytes(void **state)
{
	char *expected[] = {"b",    "B",    "a", "A",  "aa", "a ", "ab",  "\xc3\xa4",
						"\xff", "\x01", "0", "10", "9",  "~",  "a.b", "a-b"};
	mfs *fs = *state;
	char path[16];

	for (size_t i = 0; i < COUNT_OF(expected); i++) {
		snprintf(path, sizeof(path), "/%s", expected[i]);
		if (i % 2 == 0) {
			make_text(fs, path, "content");
		} else {
			make_dir(fs, path);
		}
	}
	assert_names(fs, "/", expected, COUNT_OF(expected));
	assert_names(fs, "", expected, COUNT_OF(expected));
}

static void only_the_directory_itself_is_listed(void **state)
{
	char *root[] = {"d", "f"};
	char *below[] = {"e", "g"};
	mfs *fs = *state;

	make_dir(fs, "/d/e/deeper");
	make_text(fs, "/d/g", "content");
	make_text(fs, "/f", "content");
	assert_names(fs, "/", root, 2);
	assert_names(fs, "/d", below, 2);
	assert_names(fs, "d//", below, 2);
}

static void what_is_no_directory_is_not_listed(void **state)
{
	mfs *fs = *state;
	char **names = NULL;

	make_text(fs, "/f", "content");
	assert_refused(fs, mfs_listdir(fs, "/f", &names), MFS_ENOTDIR);
	assert_refused(fs, mfs_listdir(fs, "/f/x", &names), MFS_ENOTDIR);
	assert_refused(fs, mfs_listdir(fs, "/nope", &names), MFS_ENOENT);
	assert_refused(fs, mfs_listdir(fs, "/nope/x", &names), MFS_ENOENT);
	assert_refused(fs, mfs_listdir(fs, "/..", &names), MFS_EINVAL);
	mfs_names_free(NULL);
}

static void ten_thousand_names_are_listed_before_and_after_removing(void **state)
{
	enum { COUNT = 10000 };
	mfs *fs = *state;
	char **expected = allocate(COUNT * sizeof(*expected));
	char *texts = allocate(COUNT * 24);
	struct rng rng = {3};
	size_t left = 0;
	char path[32];

	make_dir(fs, "/d");
	for (size_t i = 0; i < COUNT; i++) {
		/* The random part makes order of making and order of bytes differ. */
		expected[i] = texts + i * 24;
		snprintf(expected[i], 24, "%04x-%zu", (unsigned)rng_below(&rng, 65536), i);
		snprintf(path, sizeof(path), "/d/%s", expected[i]);
		if (i % 4 == 0) {
			make_dir(fs, path);
		} else {
			close_file(open_file(fs, path, "xb"));
		}
	}
	assert_names(fs, "/d", expected, COUNT);

	/* assert_names() has sorted them: take away two of three, in an order of its own. */
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(path, sizeof(path), "/d/%s", expected[i]);
		if (i % 3 == 0) {
			expected[left++] = expected[i];
		} else {
			assert_code(mfs_remove(fs, path), 0);
		}
	}
	assert_names(fs, "/d", expected, left);
	for (size_t i = 0; i < left; i++) {
		snprintf(path, sizeof(path), "/d/%s", expected[i]);
		assert_code(mfs_remove(fs, path), 0);
	}
	assert_names(fs, "/d", expected, 0);
	assert_code(mfs_remove(fs, "/d"), 0);
	free(expected);
	free(texts);
}

static void a_listing_stays_as_it_is(void **state)
{
	mfs *fs = *state;
	char **names = NULL;

	make_dir(fs, "/d");
	make_text(fs, "/d/one", "content");
	make_text(fs, "/d/two", "content");
	assert_code(mfs_listdir(fs, "/d", &names), 2);
	assert_code(mfs_remove(fs, "/d/one"), 0);
	assert_code(mfs_rename(fs, "/d/two", "/d/three", 0), 0);
	assert_string_equal(names[0], "one");
	assert_string_equal(names[1], "two");
	assert_null(names[2]);
	mfs_names_free(names);
}

static void names_of_any_kind_are_sorted(void **state)
{
	enum { COUNT = 4000 };
	mfs *fs = *state;
	char **expected = allocate(COUNT * sizeof(*expected));
	struct rng rng = {5};
	size_t count = 0;
	char path[300];

	make_dir(fs, "/d");
	while (count < COUNT) {
		/* Of few bytes, so that many begin alike, the long ones far; 0xff and 0x01 among them. */
		static const char bytes[] = {'a', 'a', 'a', 'b', '.', '\xff', '\x01'};
		size_t kind = rng_below(&rng, 3);
		size_t same = kind == 0 ? 0 : kind == 1 ? 20 : 240;
		size_t length = same + 1 + rng_below(&rng, 15);

		memset(path, 'p', sizeof(path));
		memcpy(path, "/d/", 3);
		for (size_t i = same; i < length; i++) {
			path[3 + i] = bytes[rng_below(&rng, sizeof(bytes))];
		}
		path[3 + length] = '\0';
		if (strcmp(path + 3, ".") == 0 || strcmp(path + 3, "..") == 0 || mfs_exists(fs, path)) {
			continue;
		}
		make_dir(fs, path);
		expected[count++] = strdup(path + 3);
	}
	assert_names(fs, "/d", expected, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		free(expected[i]);
	}
	free(expected);
}

struct grower {
	mfs *fs;
	int failures;
};

/** Names appear in the order of their numbers and go in the same order. */
static void *grow_and_shrink(void *argument)
{
	enum { ROUNDS = 8, NAMES = 1000 };
	struct grower *grower = argument;
	char path[32];

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < NAMES; i++) {
			snprintf(path, sizeof(path), "/d/%06d", i);
			grower->failures += mfs_mkdir(grower->fs, path, 0) != 0;
		}
		for (int i = 0; i < NAMES; i++) {
			snprintf(path, sizeof(path), "/d/%06d", i);
			grower->failures += mfs_remove(grower->fs, path) != 0;
		}
	}
	grower->failures += mfs_mkdir(grower->fs, "/d/end", 0) != 0;
	return NULL;
}

static void a_listing_is_of_one_instant(void **state)
{
	mfs *fs = *state;
	struct grower grower = {.fs = fs};
	bool ended = false;
	int holes = 0;
	pthread_t thread;

	make_dir(fs, "/d");
	thread = start_thread(grow_and_shrink, &grower);
	while (!ended) {
		char **names = NULL;
		int64_t count = mfs_listdir(fs, "/d", &names);

		if (count < 0) {
			holes++;
			break;
		}
		ended = mfs_is_dir(fs, "/d/end");
		if (count == 1 && strcmp(names[0], "end") == 0) {
			mfs_names_free(names);
			continue;
		}
		/* At each instant the names are a run of numbers without a hole. */
		for (int64_t i = 1; i < count; i++) {
			holes += strtol(names[i], NULL, 10) != strtol(names[i - 1], NULL, 10) + 1;
		}
		mfs_names_free(names);
	}
	join_thread(thread);
	assert_int_equal(holes, 0);
	assert_int_equal(grower.failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(an_empty_directory_has_no_names),
		WORKSPACE_TEST(names_come_sorted_by_bytes),
		WORKSPACE_TEST(only_the_directory_itself_is_listed),
		WORKSPACE_TEST(what_is_no_directory_is_not_listed),
		WORKSPACE_TEST(ten_thousand_names_are_listed_before_and_after_removing),
		WORKSPACE_TEST(names_of_any_kind_are_sorted),
		WORKSPACE_TEST(a_listing_stays_as_it_is),
		WORKSPACE_TEST(a_listing_is_of_one_instant),
	};

	return cmocka_run_group_tests_name("listing", tests, NULL, NULL);
}
