/* SPDX-License-Identifier: MIT */
/*
 * Do calls that meet in the middle of each other still behave as if one came after the other?
 *
 * A thread is held at a point inside the library, and what would have to come at just that moment
 * is done there: by the same thread, where it holds no lock, or by another one.
 */
#include "support.h"

#include "base/test_hook.h"
#include "fs/filesystem.h"

/* How often a thread looks whether another one, which may be blocked, has done something. */
enum { LOOKS = 2000 };

/*
 * The point that is waited for, what is done there, and how often still. Only the thread that the
 * test is about has `is_subject` set, so that what the action calls is not held again.
 */
static const char *awaited;
static void (*action)(void);
static int actions_left;
static _Thread_local bool is_subject;

static void hook(const char *point)
{
	if (!is_subject || actions_left == 0 || strcmp(point, awaited) != 0)
		return;
	actions_left--;
	is_subject = false;
	action();
	is_subject = true;
}

static void act_at(const char *point, void (*what)(void), int times)
{
	awaited = point;
	action = what;
	actions_left = times;
	is_subject = true;
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
}

/* End of the interleaving. The action must have taken place. */
static void acted(void)
{
	is_subject = false;
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	assert_int_equal(actions_left, 0);
}

static mfs *fs;

static int set_up(void **state)
{
	(void)state;
	return mfs_new(NULL, &fs) || mfs_mkdir(fs, "/d", 0);
}

static int tear_down(void **state)
{
	(void)state;
	return !mfs__validate(fs) || mfs_free(fs);
}

static void make(const char *path, const char *text)
{
	mfs_file *file;

	if (mfs_open(fs, path, "wb", &file) ||
		mfs_write(file, text, strlen(text)) != (int64_t)strlen(text) || mfs_close(file))
		abort();
}

static void check_text(const char *path, const char *text)
{
	char got[64];
	mfs_file *file;

	assert_code(mfs_open(fs, path, "rb", &file), 0);
	assert_code(mfs_read(file, got, sizeof got), (int64_t)strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_code(mfs_close(file), 0);
}

/*
 * A lookup, and what happens after it has read the bucket
 */

/* The first bucket that is read is the root's, the second the directory's. */
static void rename_a_to_b_second_time(void)
{
	if (actions_left == 0 && mfs_rename(fs, "/d/a", "/d/b", 0))
		abort();
}

static void lookup_notices_a_rename_that_came_in_between(void **state)
{
	(void)state;
	make("/d/a", "text");
	/* Enough names that the two are in different slots, or the rename would be one store. */
	for (int i = 0; i < 100; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/%d", i);
		make(path, "");
	}
	act_at("find: bucket read", rename_a_to_b_second_time, 2);
	bool found = mfs_exists(fs, "/d/b");
	acted();
	assert_true(found);
	assert_false(mfs_exists(fs, "/d/a"));
}

static int found_meanwhile;

/* The thread has the directory's mutex: to wait for that would be to wait for ever. */
static void look_at_others(void)
{
	mfs_info info;

	for (int i = 0; i < 100; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/%d", i);
		found_meanwhile += mfs_stat(fs, path, &info) == 0;
	}
}

static void lookup_of_a_name_that_stays_does_not_wait_for_a_rename(void **state)
{
	(void)state;
	make("/d/a", "text");
	for (int i = 0; i < 100; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/%d", i);
		make(path, "");
	}
	found_meanwhile = 0;
	act_at("commit: half published", look_at_others, 1);
	int code = mfs_rename(fs, "/d/a", "/d/b", 0);
	acted();
	assert_code(code, 0);
	assert_int_equal(found_meanwhile, 100);
}

static void make_many(void)
{
	for (int i = 0; i < 500; i++) {
		char path[32];
		(void)snprintf(path, sizeof path, "/d/many%d", i);
		make(path, "");
	}
}

static void make_many_second_time(void)
{
	if (actions_left == 0)
		make_many();
}

static void lookup_with_an_outgrown_table_finds_the_name(void **state)
{
	(void)state;
	make("/d/a", "text");
	act_at("find: bucket read", make_many_second_time, 2);
	bool found = mfs_exists(fs, "/d/a");
	acted();
	assert_true(found);
	assert_true(mfs_exists(fs, "/d/many499"));
}

static void remove_a_second_time(void)
{
	if (actions_left == 0 && mfs_remove(fs, "/d/a"))
		abort();
}

static void stat_of_a_file_that_goes_meanwhile_does_not_find_it(void **state)
{
	mfs_info info;

	(void)state;
	make("/d/a", "text");
	act_at("find: bucket read", remove_a_second_time, 2);
	int code = mfs_stat(fs, "/d/a", &info);
	acted();
	/* It looks again, as who has the file open may have written to it since. */
	assert_code(code, MFS_ENOENT);
}

static mfs_file *kept;

static void rename_and_write_second_time(void)
{
	if (actions_left)
		return;
	if (mfs_rename(fs, "/d/a", "/d/b", 0) || mfs_write(kept, "longer", 6) != 6)
		abort();
}

static void stat_tells_nothing_that_was_written_under_another_name(void **state)
{
	mfs_open_options shared = {.flags = MFS_O_SHARED};
	mfs_info info;

	(void)state;
	make("/d/a", "text");
	assert_code(mfs_open_ex(fs, "/d/a", "r+b", &shared, &kept), 0);
	act_at("find: bucket read", rename_and_write_second_time, 2);
	int code = mfs_stat(fs, "/d/a", &info);
	acted();
	assert_code(code, MFS_ENOENT);
	assert_code(mfs_stat(fs, "/d/b", &info), 0);
	assert_int_equal(info.size, 6);
	assert_code(mfs_close(kept), 0);
}

/*
 * A rename, half published
 */

static struct {
	pthread_t thread;
	atomic_bool ended;
	bool new_then_old; /* both names were there, the new one first */
	bool neither;      /* neither was, the old one first */
} witness;

static void *look_twice(void *unused)
{
	(void)unused;
	bool new_first = mfs_exists(fs, "/d/b");
	bool old_second = mfs_exists(fs, "/d/a");
	bool old_first = mfs_exists(fs, "/d/a");
	bool new_second = mfs_exists(fs, "/d/b");
	witness.new_then_old = new_first && old_second;
	witness.neither = !old_first && !new_second;
	atomic_store_explicit(&witness.ended, true, memory_order_relaxed);
	return NULL;
}

static void let_witness_look(void)
{
	if (pthread_create(&witness.thread, NULL, look_twice, NULL))
		abort();
	/* A right lookup waits for the rename's end; a wrong one has time to end and be wrong. */
	for (int i = 0; i < LOOKS && !atomic_load_explicit(&witness.ended, memory_order_relaxed); i++)
		sched_yield();
}

static void half_a_rename_is_never_seen(void **state)
{
	(void)state;
	make("/d/a", "text");
	make_many();
	atomic_store_explicit(&witness.ended, false, memory_order_relaxed);
	act_at("commit: half published", let_witness_look, 1);
	int code = mfs_rename(fs, "/d/a", "/d/b", 0);
	acted();
	assert_int_equal(pthread_join(witness.thread, NULL), 0);
	assert_code(code, 0);
	assert_false(witness.new_then_old);
	assert_false(witness.neither);
}

/*
 * A file's attributes, half changed
 */

static struct {
	pthread_t thread;
	atomic_bool ended;
	mfs_info info;
} reader;

static void *stat_a(void *unused)
{
	(void)unused;
	if (mfs_stat(fs, "/d/a", &reader.info))
		abort();
	atomic_store_explicit(&reader.ended, true, memory_order_relaxed);
	return NULL;
}

static void let_reader_stat(void)
{
	if (pthread_create(&reader.thread, NULL, stat_a, NULL))
		abort();
	for (int i = 0; i < LOOKS && !atomic_load_explicit(&reader.ended, memory_order_relaxed); i++)
		sched_yield();
}

static void stat_never_mixes_two_states(void **state)
{
	mfs_file *file;

	(void)state;
	make("/d/a", "12345678");
	assert_code(mfs_open(fs, "/d/a", "ab", &file), 0);
	atomic_store_explicit(&reader.ended, false, memory_order_relaxed);
	act_at("attributes: half changed", let_reader_stat, 1);
	int64_t written = mfs_write(file, "90", 2);
	acted();
	assert_int_equal(pthread_join(reader.thread, NULL), 0);
	assert_int_equal(written, 2);
	assert_code(mfs_close(file), 0);
	/* Either all is as before the append, or all as after it. */
	mfs_info now;
	assert_code(mfs_stat(fs, "/d/a", &now), 0);
	if (reader.info.generation == now.generation)
		assert_int_equal(reader.info.size, 10);
	else
		assert_int_equal(reader.info.size, 8);
}

/*
 * A listing, and names that come meanwhile
 */

static int made;

static void make_one_more(void)
{
	char path[32];

	(void)snprintf(path, sizeof path, "/d/more%d", made++);
	make(path, "");
}

static void listing_that_is_disturbed_again_and_again_is_still_a_snapshot(void **state)
{
	char **names;

	(void)state;
	made = 0;
	make("/d/a", "");
	act_at("listdir: image taken", make_one_more, 8);
	int64_t count = mfs_listdir(fs, "/d", &names);
	acted();
	assert_code(count, 9);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[8], "more7");
	assert_null(names[9]);
	mfs_names_free(names);
}

/*
 * Creating what somebody else creates, or where the parent goes
 */

static void make_a(void)
{
	make("/d/a", "other");
}

static void exclusive_create_loses_to_one_that_came_first(void **state)
{
	mfs_file *file;

	(void)state;
	act_at("create: about to lock", make_a, 1);
	int code = mfs_open(fs, "/d/a", "xb", &file);
	acted();
	assert_code(code, MFS_EEXIST);
	check_text("/d/a", "other");
}

static void create_opens_the_file_that_came_first(void **state)
{
	mfs_file *file;

	(void)state;
	act_at("create: about to lock", make_a, 1);
	int code = mfs_open(fs, "/d/a", "ab", &file);
	acted();
	assert_code(code, 0);
	assert_code(mfs_write(file, "+mine", 5), 5);
	assert_code(mfs_close(file), 0);
	check_text("/d/a", "other+mine");
}

static void remove_d(void)
{
	if (mfs_remove(fs, "/d"))
		abort();
}

static void create_in_a_directory_that_goes_fails_and_leaves_nothing(void **state)
{
	mfs_file *file;
	mfs_usage usage;

	(void)state;
	act_at("create: about to lock", remove_d, 1);
	int code = mfs_open(fs, "/d/a", "wb", &file);
	acted();
	assert_code(code, MFS_ENOENT);
	assert_code(mfs_stats(fs, &usage), 0);
	assert_int_equal(usage.files, 0);
	assert_int_equal(usage.open_handles, 0);
}

static void make_m(void)
{
	if (mfs_mkdir(fs, "/m", 0))
		abort();
}

static void mkdir_adds_to_the_parent_that_came_first(void **state)
{
	(void)state;
	act_at("mkdir: about to lock", make_m, 1);
	int code = mfs_mkdir(fs, "/m/x/y", 0);
	acted();
	assert_code(code, 0);
	assert_true(mfs_is_dir(fs, "/m/x/y"));
}

static void mkdir_of_what_came_first_is_refused(void **state)
{
	(void)state;
	act_at("mkdir: about to lock", make_m, 1);
	int code = mfs_mkdir(fs, "/m", 0);
	acted();
	assert_code(code, MFS_EEXIST);
}

static void mkdir_remakes_a_parent_that_goes(void **state)
{
	(void)state;
	act_at("mkdir: about to lock", remove_d, 1);
	int code = mfs_mkdir(fs, "/d/x", 0);
	acted();
	assert_code(code, 0);
	assert_true(mfs_is_dir(fs, "/d/x"));
}

/*
 * Waiting for a file that goes
 */

static mfs_file *held;

static void close_and_remove(void)
{
	if (mfs_close(held) || mfs_remove(fs, "/d/a"))
		abort();
}

static void open_of_a_file_that_is_removed_before_the_wait_finds_none(void **state)
{
	mfs_file *file;

	(void)state;
	make("/d/a", "text");
	assert_code(mfs_open(fs, "/d/a", "r+b", &held), 0);
	act_at("open: about to wait", close_and_remove, 1);
	int code = mfs_open(fs, "/d/a", "rb", &file);
	acted();
	assert_code(code, MFS_ENOENT);
}

static void close_and_replace(void)
{
	if (mfs_close(held))
		abort();
	make("/d/b", "replacement");
	if (mfs_rename(fs, "/d/b", "/d/a", MFS_RENAME_REPLACE))
		abort();
}

static void open_of_a_file_that_is_replaced_before_the_wait_gets_the_new_one(void **state)
{
	char text[16];
	mfs_file *file;

	(void)state;
	make("/d/a", "text");
	assert_code(mfs_open(fs, "/d/a", "r+b", &held), 0);
	act_at("open: about to wait", close_and_replace, 1);
	int code = mfs_open(fs, "/d/a", "rb", &file);
	acted();
	assert_code(code, 0);
	assert_code(mfs_read(file, text, sizeof text), 11);
	assert_memory_equal(text, "replacement", 11);
	assert_code(mfs_close(file), 0);
}

static void rename_to_b(void)
{
	if (mfs_rename(fs, "/d/a", "/d/b", 0))
		abort();
}

static void open_does_not_hold_a_file_that_got_another_name_meanwhile(void **state)
{
	mfs_file *file;

	(void)state;
	make("/d/a", "text");
	act_at("open: found", rename_to_b, 1);
	int code = mfs_open(fs, "/d/a", "rb", &file);
	acted();
	assert_code(code, MFS_ENOENT);
	assert_true(mfs_exists(fs, "/d/b"));
}

static void close_and_rename(void)
{
	if (mfs_close(held))
		abort();
	rename_to_b();
}

static void open_does_not_hold_a_file_that_got_another_name_before_the_wait(void **state)
{
	mfs_file *file;

	(void)state;
	make("/d/a", "text");
	assert_code(mfs_open(fs, "/d/a", "rb", &held), 0);
	act_at("open: about to wait", close_and_rename, 1);
	int code = mfs_open(fs, "/d/a", "wb", &file);
	acted();
	/* There is no such file any more, and so a new one was made. */
	assert_code(code, 0);
	assert_code(mfs_close(file), 0);
	check_text("/d/a", "");
	check_text("/d/b", "text");
}

/*
 * A move to parents that it makes, published, its file still claimed
 */

static struct {
	pthread_t thread;
	atomic_bool ended;
	bool ended_too_early;
	int code;
} remover;

static void *remove_moved(void *unused)
{
	(void)unused;
	remover.code = mfs_remove(fs, "/new/dir/f");
	atomic_store_explicit(&remover.ended, true, memory_order_relaxed);
	return NULL;
}

static void let_remover_try(void)
{
	if (pthread_create(&remover.thread, NULL, remove_moved, NULL))
		abort();
	/* A right removal waits for the move's end. */
	for (int i = 0; i < LOOKS && !atomic_load_explicit(&remover.ended, memory_order_relaxed); i++)
		sched_yield();
	remover.ended_too_early = atomic_load_explicit(&remover.ended, memory_order_relaxed);
}

static void moved_file_is_not_removed_before_it_has_arrived(void **state)
{
	(void)state;
	make("/d/a", "text");
	atomic_store_explicit(&remover.ended, false, memory_order_relaxed);
	act_at("rename: published", let_remover_try, 1);
	int code = mfs_move(fs, "/d/a", "/new/dir/f", 0);
	acted();
	assert_int_equal(pthread_join(remover.thread, NULL), 0);
	assert_code(code, 0);
	assert_false(remover.ended_too_early);
	assert_code(remover.code, 0);
	assert_false(mfs_exists(fs, "/new/dir/f"));
	assert_true(mfs_is_dir(fs, "/new/dir"));
	assert_true(mfs__validate(fs));
}

/*
 * An exchange whose one end goes before a handle is opened below the other
 */

static void remove_file_and_hold_other(void)
{
	if (mfs_remove(fs, "/d/a") || mfs_open(fs, "/t/f", "rb", &held))
		abort();
}

static void handle_is_no_reason_when_the_other_end_had_gone(void **state)
{
	(void)state;
	make("/d/a", "text");
	assert_code(mfs_mkdir(fs, "/t", 0), 0);
	make("/t/f", "text");
	act_at("region: directory claimed", remove_file_and_hold_other, 1);
	int code = mfs_rename(fs, "/d/a", "/t", MFS_RENAME_EXCHANGE);
	acted();
	assert_code(code, MFS_ENOENT);
	assert_code(mfs_close(held), 0);
	assert_true(mfs__validate(fs));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lookup_notices_a_rename_that_came_in_between),
		TEST(lookup_of_a_name_that_stays_does_not_wait_for_a_rename),
		TEST(lookup_with_an_outgrown_table_finds_the_name),
		TEST(stat_of_a_file_that_goes_meanwhile_does_not_find_it),
		TEST(stat_tells_nothing_that_was_written_under_another_name),
		TEST(half_a_rename_is_never_seen),
		TEST(stat_never_mixes_two_states),
		TEST(moved_file_is_not_removed_before_it_has_arrived),
		TEST(handle_is_no_reason_when_the_other_end_had_gone),
		TEST(listing_that_is_disturbed_again_and_again_is_still_a_snapshot),
		TEST(exclusive_create_loses_to_one_that_came_first),
		TEST(create_opens_the_file_that_came_first),
		TEST(create_in_a_directory_that_goes_fails_and_leaves_nothing),
		TEST(mkdir_adds_to_the_parent_that_came_first),
		TEST(mkdir_of_what_came_first_is_refused),
		TEST(mkdir_remakes_a_parent_that_goes),
		TEST(open_of_a_file_that_is_removed_before_the_wait_finds_none),
		TEST(open_of_a_file_that_is_replaced_before_the_wait_gets_the_new_one),
		TEST(open_does_not_hold_a_file_that_got_another_name_meanwhile),
		TEST(open_does_not_hold_a_file_that_got_another_name_before_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
