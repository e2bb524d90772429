/* SPDX-License-Identifier: MIT */
/*
 * Is an import in steps built out of sight, through handles like any other, and charged exactly,
 * and does it leave nothing behind when it is given up?
 *
 * What its commit does to a workspace that has something is in test_import_commit.c.
 */
#include "staged.h"

#include "await.h"
#include "base/alloc.h"
#include "base/compiler.h"
#include "base/reclaim.h"
#include "base/test_hook.h"

/*
 * Before and after the commit
 */

/* The names in a directory and below it, as a walk finds them. */
static size_t names_below(mfs *fs, const char *path)
{
	mfs_walk *walk;
	mfs_walk_level level;
	size_t names = 0;

	assert_code(mfs_walk_open(fs, path, &walk), 0);
	while (mfs_walk_next(walk, &level) == 1)
		names += level.directory_count + level.file_count;
	assert_code(mfs_walk_close(walk), 0);
	return names;
}

static void assert_none_is_there(mfs *fs, const char *const *paths, size_t count)
{
	mfs_file *file;
	mfs_info info;

	for (size_t i = 0; i < count; i++) {
		assert_false(mfs_exists(fs, paths[i]));
		assert_code(mfs_stat(fs, paths[i], &info), MFS_ENOENT);
		assert_code(mfs_open(fs, paths[i], "rb", &file), MFS_ENOENT);
		assert_code(mfs_remove(fs, paths[i]), MFS_ENOENT);
		assert_code(matches(fs, paths[i]), 0);
	}
}

static void nothing_is_seen_before_the_commit_and_everything_after_it(void **state)
{
	static const char *const staged[] = {"/top", "/d/f", "/d/n", "/d/n/g", "/d/n/e"};
	mfs *fs = *state;

	make_live(fs, "/d/old=stays");
	mfs_usage before = usage_of(fs);
	mfs_import *import = begin_with(fs, "/top=1 /d/f=22 /d/n/g=333 /d/n/e/");
	mfs_file *open = open_staged(import, "/d/open", "w+b");
	assert_code(mfs_write(open, "4444", 4), 4);
	assert_none_is_there(fs, staged, COUNT_OF(staged));
	assert_holds(fs, "/d/old=stays");
	assert_int_equal(names_below(fs, "/"), 2);
	assert_code(matches(fs, "/**"), 2);
	assert_int_equal(usage_of(fs).files, before.files);
	assert_int_equal(usage_of(fs).directories, before.directories);
	assert_int_equal(usage_of(fs).metadata_bytes, before.metadata_bytes);
	/* The import and its handle. */
	assert_int_equal(usage_of(fs).open_handles, 2);
	close_file(open);
	assert_none_is_there(fs, staged, COUNT_OF(staged));
	assert_code(mfs_import_commit(import, 0), 4);
	assert_holds(fs, "/d/old=stays /top=1 /d/f=22 /d/n/g=333 /d/n/e/ /d/open=4444");
	assert_int_equal(names_below(fs, "/"), 8);
	assert_code(matches(fs, "/**"), 8);
	assert_int_equal(usage_of(fs).files, 5);
	assert_int_equal(usage_of(fs).directories, 3);
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void an_import_sees_nothing_of_the_workspace(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/f=live /k=live");
	mfs_import *import = begin(fs);
	mfs_file *file;
	assert_refused(fs, mfs_import_open(import, "/d/f", "rb", NULL, &file), MFS_ENOENT);
	assert_refused(fs, mfs_import_open(import, "/k", "r+b", NULL, &file), MFS_ENOENT);
	/* Nor does it ask what the workspace has before the commit. */
	assert_code(mfs_import_mkdir(import, "/k"), 0);
	assert_code(try_staged(import, "/d/f/g", "xb"), 0);
	mfs_import *other = begin(fs);
	assert_refused(fs, mfs_import_open(other, "/d/f/g", "rb", NULL, &file), MFS_ENOENT);
	assert_code(mfs_import_abort(other), 0);
	assert_refused(fs, mfs_import_commit(import, 0), MFS_ENOTDIR);
	assert_code(mfs_import_abort(import), 0);
	assert_holds(fs, "/d/f=live /k=live");
}

static void files_are_replaced_and_directories_stay(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/a=old-and-longer /d/stays=1 /d/e/stays=2 /f/stays=3");
	mfs_import *import = begin_with(fs, "/d/a=new /d/e/b=newer /d/e/ /f/g/");
	assert_code(mfs_import_mkdir(import, "/"), 0);
	assert_code(mfs_import_commit(import, 0), 2);
	assert_holds(fs, "/d/a=new /d/stays=1 /d/e/stays=2 /d/e/b=newer /f/stays=3 /f/g/");
}

static void a_staged_file_is_opened_in_every_mode(void **state)
{
	mfs *fs = *state;
	mfs_import *import = begin(fs);
	char bytes[8] = "";
	mfs_file *file;

	assert_refused(fs, try_staged(import, "/f", "rb"), MFS_ENOENT);
	assert_refused(fs, try_staged(import, "/f", "r+b"), MFS_ENOENT);
	file = open_staged(import, "/f", "x+b");
	assert_code(mfs_write(file, "content", 7), 7);
	close_file(file);
	assert_refused(fs, try_staged(import, "/f", "xb"), MFS_EEXIST);
	assert_refused(fs, try_staged(import, "/f", "x+b"), MFS_EEXIST);
	assert_staged_text(import, "/f", "content");
	file = open_staged(import, "/f", "a+b");
	assert_code(mfs_read(file, bytes, 7), 7);
	assert_memory_equal(bytes, "content", 7);
	assert_code(mfs_pwrite(file, "s", 1, 0), 1);
	close_file(file);
	assert_staged_text(import, "/f", "contents");
	file = open_staged(import, "/f", "r+b");
	assert_code(mfs_write(file, "k", 1), 1);
	close_file(file);
	assert_staged_text(import, "/f", "kontents");
	file = open_staged(import, "/f", "ab");
	assert_code(mfs_write(file, "!", 1), 1);
	close_file(file);
	assert_staged_text(import, "/f", "kontents!");
	file = open_staged(import, "/f", "w+b");
	assert_code(mfs_read(file, bytes, 1), 0);
	assert_code(mfs_write(file, "new", 3), 3);
	assert_handle_holds(file, "new", 3);
	close_file(file);
	/* "ab" and "wb" make it, too. */
	assert_code(try_staged(import, "/a", "ab"), 0);
	assert_code(try_staged(import, "/w", "wb"), 0);
	assert_code(mfs_import_commit(import, 0), 3);
	assert_holds(fs, "/f=new /a= /w=");
}

/*
 * What the files are like
 */

static void files_come_in_clean_however_they_were_written(void **state)
{
	mfs *fs = *state;
	mfs_import *import = begin(fs);
	mfs_open_options ahead = {.struct_size = sizeof(ahead), .preallocate = 5000};
	mfs_file *file = open_staged(import, "/many", "wb");
	mfs_export *steps;
	mfs_export_item item;

	for (int i = 0; i < 10; i++)
		assert_code(mfs_write(file, "piece", 5), 5);
	close_file(file);
	file = open_staged(import, "/many", "r+b");
	assert_code(mfs_pwrite(file, "PIECE", 5, 5), 5);
	assert_code(mfs_truncate(file, 12), 0);
	close_file(file);
	close_file(open_staged(import, "/empty", "xb"));
	assert_code(mfs_import_open(import, "/ahead", "wb", &ahead, &file), 0);
	close_file(file);
	assert_code(mfs_import_open(import, "/ahead", "r+b", &ahead, &file), 0);
	close_file(file);
	close_file(open_staged(import, "/many", "rb"));
	assert_code(mfs_import_commit(import, 0), 3);
	assert_text(fs, "/many", "piecePIECEpi");
	assert_code(mfs_get_size(fs, "/ahead"), 5000);
	assert_clean(fs, "/many");
	assert_clean(fs, "/empty");
	assert_clean(fs, "/ahead");
	assert_code(mfs_export_open(fs, "/", MFS_ONLY_DIRTY, &steps), 0);
	assert_code(mfs_export_next(steps, &item), 0);
	assert_code(mfs_export_close(steps), 0);
	/* To open is not to write. From now on changes count. */
	close_file(open_file(fs, "/many", "r+b"));
	assert_clean(fs, "/many");
	file = open_file(fs, "/many", "ab");
	assert_code(mfs_write(file, "e", 1), 1);
	close_file(file);
	assert_int_equal(info_of(fs, "/many").generation, 1);
	assert_code(mfs_export_open(fs, "/", MFS_ONLY_DIRTY, &steps), 0);
	assert_code(mfs_export_next(steps, &item), 1);
	assert_string_equal(item.path, "/many");
	assert_code(mfs_export_next(steps, &item), 0);
	assert_code(mfs_export_close(steps), 0);
}

static void a_file_that_is_replaced_is_clean_again(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/f=dirty /d/g=dirty");
	mfs_import *import = begin_with(fs, "/d/f=clean");
	assert_code(mfs_import_commit(import, 0), 1);
	assert_clean(fs, "/d/f");
	assert_int_equal(info_of(fs, "/d/g").generation, 1);
}

static void files_have_the_times_of_their_writes_and_directories_that_of_the_commit(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/ /untouched/f=text");
	mfs_info untouched = info_of(fs, "/untouched");
	await_clock_tick();
	mfs_import *import = begin_with(fs, "/d/f=text /d/n/g=text");
	await_clock_tick();
	int64_t written = clock_ns(CLOCK_REALTIME_COARSE);
	await_clock_tick();
	assert_code(mfs_import_mkdir(import, "/untouched"), 0);
	assert_code(mfs_import_commit(import, 0), 2);
	mfs_info file = info_of(fs, "/d/f");
	assert_true(file.created_at > untouched.modified_at && file.created_at <= file.modified_at);
	assert_true(file.modified_at < written);
	assert_true(info_of(fs, "/d").modified_at > written);
	assert_int_equal(info_of(fs, "/untouched").modified_at, untouched.modified_at);
	assert_true(info_of(fs, "/d/n").is_dir);
	assert_int_equal(info_of(fs, "/d/n").size, 0);
	assert_int_equal(info_of(fs, "/d/n").generation, 0);
}

/*
 * What is charged
 */

static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 12000, 65537, MIB + 1, 5 * MIB + 3};

static void path_of_size(char path[PATH_ROOM], size_t index)
{
	(void)snprintf(path, PATH_ROOM, "/d%zu/e/f%zu", index % 3, index);
}

static mfs *new_charging(int charge_metadata)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.charge_metadata = charge_metadata;
	return new_workspace(&options);
}

/* One tree made in three ways: charged the same, and while it is staged the same but for names. */
static void a_tree_is_charged_the_same_however_it_is_made(void **state)
{
	unsigned char *bytes = random_bytes(5 * MIB + 3, 1);
	char paths[COUNT_OF(sizes)][PATH_ROOM];
	mfs_import_item items[COUNT_OF(sizes)];

	(void)state;
	for (int charged = 0; charged <= 1; charged++) {
		mfs *at_once = new_charging(charged);
		mfs *by_open = new_charging(charged);
		mfs *in_steps = new_charging(charged);
		mfs_import *import = begin(in_steps);
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			path_of_size(paths[i], i);
			items[i] = (mfs_import_item){.path = paths[i], .data = bytes, .size = sizes[i]};
			make_parent(by_open, paths[i]);
			make_file(by_open, paths[i], bytes, sizes[i]);
			stage(import, paths[i], bytes, sizes[i]);
			/* Charged as it comes. */
			assert_int_equal(used_bytes(in_steps) +
								 (charged ? usage_of(by_open).metadata_bytes : 0),
							 used_bytes(by_open));
		}
		assert_code(mfs_import_tree(at_once, items, COUNT_OF(items)), 0);
		assert_code(mfs_import_commit(import, 0), COUNT_OF(sizes));
		assert_same_usage(in_steps, at_once);
		assert_same_usage(in_steps, by_open);
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			assert_file_holds(in_steps, paths[i], bytes, sizes[i]);
		assert_true(mfs__validate(in_steps));
		free_workspace(at_once);
		free_workspace(by_open);
		free_workspace(in_steps);
	}
	free(bytes);
}

static void append_in_pieces(mfs_file *file, const unsigned char *bytes, size_t size, size_t piece)
{
	for (size_t at = 0; at < size; at += piece) {
		size_t part = size - at < piece ? size - at : piece;
		assert_code(mfs_write(file, bytes + at, part), part);
	}
}

static void what_was_taken_ahead_goes_back_with_the_handle(void **state)
{
	enum { SIZE = 3000000 };
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);
	unsigned char *bytes = random_bytes(SIZE, 2);
	mfs_import *import = begin(fs);
	mfs_file *staged = open_staged(import, "/f", "wb");
	mfs_file *live = open_file(other, "/f", "wb");

	append_in_pieces(staged, bytes, SIZE, 1000);
	append_in_pieces(live, bytes, SIZE, 1000);
	assert_true(used_bytes(fs) >= SIZE);
	close_file(staged);
	close_file(live);
	assert_int_equal(used_bytes(fs), used_bytes(other));
	assert_int_equal(usage_of(fs).chunks, usage_of(other).chunks);
	/* Shorter again, through another handle. */
	staged = open_staged(import, "/f", "r+b");
	assert_code(mfs_truncate(staged, 100), 0);
	close_file(staged);
	live = open_file(other, "/f", "r+b");
	assert_code(mfs_truncate(live, 100), 0);
	close_file(live);
	assert_int_equal(used_bytes(fs), used_bytes(other));
	assert_code(mfs_import_commit(import, 0), 1);
	assert_same_usage(fs, other);
	free_workspace(other);
	free(bytes);
}

static void a_staged_file_that_finds_no_quota_stays_as_it_was(void **state)
{
	static const unsigned char bytes[1000] = {1};
	mfs *fs = new_plain_workspace(1000);
	mfs_import *import = begin(fs);
	mfs_open_options ahead = {.struct_size = sizeof(ahead), .preallocate = 1001};

	(void)state;
	stage(import, "/f", bytes, 600);
	mfs_file *file = open_staged(import, "/f", "ab");
	assert_refused(fs, mfs_write(file, bytes, 401), MFS_EQUOTA);
	assert_code(mfs_write(file, bytes, 400), 400);
	close_file(file);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	assert_refused(fs, mfs_import_open(import, "/f", "wb", &ahead, &file), MFS_EQUOTA);
	assert_refused(fs, mfs_import_open(import, "/n/o/g", "wb", &ahead, &file), MFS_EQUOTA);
	/* It neither lost its bytes nor kept its lock. */
	file = open_staged(import, "/f", "r+b");
	assert_code(mfs_seek(file, 0, SEEK_END), 1000);
	close_file(file);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_code(mfs_get_size(fs, "/f"), 1000);
	assert_int_equal(usage_of(fs).directories, 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/* What is replaced stays charged until the new file is in place. */
static void a_replacement_needs_room_for_both(void **state)
{
	static const unsigned char bytes[1000] = {1};
	mfs *fs = new_plain_workspace(1000);

	(void)state;
	make_file(fs, "/f", bytes, 600);
	mfs_import *import = begin(fs);
	stage(import, "/f", bytes, 400);
	assert_int_equal(used_bytes(fs), 1000);
	mfs_file *file = open_staged(import, "/f", "ab");
	assert_refused(fs, mfs_write(file, bytes, 1), MFS_EQUOTA);
	close_file(file);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_int_equal(used_bytes(fs), 400);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Giving up
 */

static void an_empty_import_changes_nothing(void **state)
{
	static const unsigned all_flags[] = {0, MFS_IMPORT_NEW, MFS_IMPORT_KEEP};
	mfs *fs = *state;

	make_live(fs, "/d/f=text");
	struct snapshot before = take_snapshot(fs);
	mfs_info root = info_of(fs, "/");
	await_clock_tick();
	for (size_t i = 0; i < COUNT_OF(all_flags); i++)
		assert_code(mfs_import_commit(begin(fs), all_flags[i]), 0);
	assert_code(mfs_import_abort(begin(fs)), 0);
	assert_unchanged(fs, &before);
	assert_int_equal(info_of(fs, "/").modified_at, root.modified_at);
	drop_snapshot(&before);
}

static void what_is_given_up_leaves_nothing(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(3 * MIB, 3);
	long blocks = 0;

	/* The first round makes what stays: handles, and the pool of pages. */
	for (int round = 0; round < 3; round++) {
		uint64_t retired = mfs__reclaim_pending();
		mfs_import *import = begin(fs);
		stage_much(import, bytes, 3 * MIB);
		assert_true(used_bytes(fs) > 3 * MIB);
		assert_code(mfs_import_abort(import), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_int_equal(usage_of(fs).chunks, 0);
		assert_int_equal(usage_of(fs).open_handles, 0);
		assert_int_equal(mfs__reclaim_pending(), retired);
		assert_true(mfs__validate(fs));
		if (round == 1)
			blocks = mfs__alloc_live();
		if (round == 2)
			assert_int_equal(mfs__alloc_live(), blocks);
	}
	free(bytes);
}

static atomic_int releases;

static void note_release(void *user, void *buffer, size_t length)
{
	(void)user;
	(void)buffer;
	atomic_fetch_add_explicit(&releases, length == 100 ? 1 : 1000, memory_order_relaxed);
}

static int released(void)
{
	return atomic_load_explicit(&releases, memory_order_relaxed);
}

static void stage_adopted(mfs_import *import, const char *path)
{
	static unsigned char buffer[100];
	mfs_file *file = open_staged(import, path, "wb");

	assert_code(mfs_write_adopt(file, buffer, 100, note_release, NULL), 100);
	close_file(file);
}

static void buffers_go_back_once_with_what_is_given_up_or_dropped(void **state)
{
	mfs *fs = *state;

	atomic_store_explicit(&releases, 0, memory_order_relaxed);
	mfs_import *import = begin(fs);
	stage_adopted(import, "/d/f");
	assert_int_equal(released(), 0);
	assert_code(mfs_import_abort(import), 0);
	assert_int_equal(released(), 1);
	make_live(fs, "/d/f=live /e=live");
	import = begin(fs);
	stage_adopted(import, "/d/f");
	stage_adopted(import, "/d/g");
	stage_adopted(import, "/e/below/f");
	assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 1);
	assert_int_equal(released(), 3);
	assert_code(mfs_remove(fs, "/d/g"), 0);
	assert_int_equal(released(), 4);
	/* And with what is replaced. */
	import = begin(fs);
	stage_adopted(import, "/d/f");
	assert_code(mfs_import_commit(import, 0), 1);
	import = begin_with(fs, "/d/f=new");
	assert_int_equal(released(), 4);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_int_equal(released(), 5);
	assert_holds(fs, "/d/f=new /e=live");
}

struct waiter {
	mfs *fs;
	uint64_t bytes;
	int code;
	pthread_t thread;
};

static void *wait_for_space(void *argument)
{
	struct waiter *waiter = argument;

	waiter->code = mfs_wait_for_space(waiter->fs, waiter->bytes, MFS_WAIT_FOREVER);
	return NULL;
}

static void start_waiting(struct waiter *waiter)
{
	waiter->thread = start_thread(wait_for_space, waiter);
	AWAIT(usage_of(waiter->fs).waiters == 1);
}

static void who_waits_for_space_gets_what_is_given_up_or_dropped(void **state)
{
	static const unsigned char bytes[600] = {1};
	mfs *fs = new_plain_workspace(1000);
	struct waiter waiter = {.fs = fs, .bytes = 900};

	(void)state;
	make_file(fs, "/f", bytes, 100);
	for (int drops = 0; drops <= 1; drops++) {
		mfs_import *import = begin(fs);
		stage(import, "/f/below/g", bytes, 300);
		stage(import, "/f/h", bytes, 300);
		start_waiting(&waiter);
		if (drops)
			assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 0);
		else
			assert_code(mfs_import_abort(import), 0);
		join_thread(waiter.thread);
		assert_code(waiter.code, 0);
		assert_int_equal(used_bytes(fs), 100);
	}
	free_workspace(fs);
}

/*
 * Opening
 */

static void a_failed_open_leaves_no_parents(void **state)
{
	static const char long_name[] = {[0 ... MFS_NAME_MAX] = 'n', '\0'};
	mfs *fs = *state;
	mfs_open_options too_much = {.struct_size = sizeof(too_much)};
	char path[MFS_NAME_MAX + 64];
	mfs_file *file = NULL;
	mfs_import *import = begin(fs);

	make_live(fs, "/live=text");
	struct snapshot before = take_snapshot(fs);
	assert_refused(fs, mfs_import_open(import, "/n/o/f", "rb", NULL, &file), MFS_ENOENT);
	assert_refused(fs, mfs_import_open(import, "/n/o/f", "r+b", NULL, &file), MFS_ENOENT);
	too_much.preallocate = (int64_t)usage_of(fs).quota_bytes + 1;
	assert_refused(fs, mfs_import_open(import, "/n/o/f", "wb", &too_much, &file), MFS_EQUOTA);
	too_much.preallocate = INT64_MAX;
	assert_refused(fs, mfs_import_open(import, "/n/o/f", "xb", &too_much, &file), MFS_EFBIG);
	assert_refused(fs, mfs_import_open(import, "/n/o/../../../f", "wb", NULL, &file), MFS_EINVAL);
	assert_refused(fs, mfs_import_mkdir(import, "/n/.././.."), MFS_EINVAL);
	(void)snprintf(path, sizeof(path), "/n/o/%s", long_name);
	assert_refused(fs, mfs_import_open(import, path, "wb", NULL, &file), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_import_mkdir(import, path), MFS_ENAMETOOLONG);
	(void)snprintf(path, sizeof(path), "/n/%s/f", long_name);
	assert_refused(fs, mfs_import_open(import, path, "wb", NULL, &file), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_import_mkdir(import, path), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_import_open(import, "/", "wb", NULL, &file), MFS_EISDIR);
	assert_refused(fs, mfs_import_open(import, "", "rb", NULL, &file), MFS_EISDIR);
	assert_refused(fs, mfs_import_open(import, "/n/..", "ab", NULL, &file), MFS_EISDIR);
	assert_null(file);
	assert_unchanged(fs, &before);
	/* What is left is an import of nothing. */
	mfs_usage usage = usage_of(fs);
	assert_int_equal(usage.open_handles, 1);
	assert_code(mfs_import_commit(import, MFS_IMPORT_NEW), 0);
	assert_holds(fs, "/live=text");
	drop_snapshot(&before);
}

static void a_file_is_no_directory(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	mfs_import *import = begin_with(fs, "/d/f=text /d/e/");

	assert_refused(fs, mfs_import_mkdir(import, "/d/f"), MFS_ENOTDIR);
	assert_refused(fs, mfs_import_mkdir(import, "/d/f/g"), MFS_ENOTDIR);
	assert_refused(fs, mfs_import_mkdir(import, "/d/f/g/h"), MFS_ENOTDIR);
	assert_refused(fs, mfs_import_open(import, "/d/f/g", "wb", NULL, &file), MFS_ENOTDIR);
	assert_refused(fs, mfs_import_open(import, "/d/f/g/h", "rb", NULL, &file), MFS_ENOTDIR);
	assert_refused(fs, mfs_import_open(import, "/d/e", "wb", NULL, &file), MFS_EISDIR);
	assert_refused(fs, mfs_import_open(import, "/d", "rb", NULL, &file), MFS_EISDIR);
	/* Not even one that is open. */
	file = open_staged(import, "/d/g", "wb");
	assert_refused(fs, mfs_import_mkdir(import, "/d/g/h"), MFS_ENOTDIR);
	close_file(file);
	assert_code(mfs_import_commit(import, 0), 2);
	assert_holds(fs, "/d/f=text /d/e/ /d/g=");
}

static void paths_are_spelled_as_elsewhere(void **state)
{
	mfs *fs = *state;
	mfs_import *import = begin(fs);

	stage_text(import, "no-separator", "1");
	stage_text(import, "\\d\\backslash", "2");
	stage_text(import, "//d/./e///f", "3");
	/* What ".." takes back is not made. */
	stage_text(import, "/gone/../d/gone/too/../../up", "4");
	assert_code(mfs_import_mkdir(import, "/nor/this/../.."), 0);
	assert_code(mfs_import_mkdir(import, "d/./g/gone/../"), 0);
	assert_code(mfs_import_mkdir(import, ""), 0);
	assert_code(mfs_import_mkdir(import, "/"), 0);
	assert_staged_text(import, "/d/e/../up", "4");
	/* A name of the greatest length. */
	char path[MFS_NAME_MAX + 2] = "/";
	memset(path + 1, 'n', MFS_NAME_MAX);
	path[MFS_NAME_MAX + 1] = '\0';
	assert_code(try_staged(import, path, "xb"), 0);
	assert_code(mfs_import_commit(import, 0), 5);
	assert_true(mfs_is_file(fs, path));
	assert_code(mfs_remove(fs, path), 0);
	assert_holds(fs, "/no-separator=1 /d/backslash=2 /d/e/f=3 /d/up=4 /d/g/");
}

static void room_is_made_as_elsewhere(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);
	mfs_open_options ahead = {.struct_size = sizeof(ahead), .preallocate = 50000};
	unsigned char *zeros = allocate(60000);
	mfs_import *import = begin(fs);
	mfs_file *file;
	mfs_file *live;

	for (int round = 0; round < 2; round++) {
		assert_code(mfs_import_open(import, "/f", "a+b", &ahead, &file), 0);
		assert_code(mfs_open_ex(other, "/f", "a+b", &ahead, &live), 0);
		assert_handle_holds(file, zeros, (size_t)ahead.preallocate);
		assert_int_equal(used_bytes(fs), used_bytes(other));
		close_file(file);
		close_file(live);
		assert_int_equal(used_bytes(fs), used_bytes(other));
		ahead.preallocate = 60000;
	}
	/* Emptied, and shorter than before. */
	ahead.preallocate = 5;
	assert_code(mfs_import_open(import, "/f", "wb", &ahead, &file), 0);
	assert_code(mfs_open_ex(other, "/f", "wb", &ahead, &live), 0);
	close_file(file);
	close_file(live);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_file_holds(fs, "/f", zeros, 5);
	assert_same_usage(fs, other);
	free_workspace(other);
	free(zeros);
}

struct patient {
	mfs_import *import;
	mfs_open_options options;
	mfs_file *file;
	int code;
};

static void *open_patiently(void *argument)
{
	struct patient *patient = argument;

	patient->code =
		mfs_import_open(patient->import, "/n/o/f", "wb", &patient->options, &patient->file);
	return NULL;
}

static void an_open_may_wait_for_quota(void **state)
{
	static const unsigned char bytes[600] = {1};
	mfs *fs = new_plain_workspace(1000);
	struct patient patient = {.import = begin(fs)};

	(void)state;
	make_file(fs, "/live", bytes, 600);
	patient.options.struct_size = sizeof(patient.options);
	patient.options.preallocate = 700;
	patient.options.space_timeout = MFS_WAIT_FOREVER;
	pthread_t thread = start_thread(open_patiently, &patient);
	AWAIT(usage_of(fs).waiters == 1);
	assert_code(mfs_remove(fs, "/live"), 0);
	join_thread(thread);
	assert_code(patient.code, 0);
	assert_code(mfs_may_wait(patient.file), 1);
	close_file(patient.file);
	assert_int_equal(used_bytes(fs), 700);
	assert_code(mfs_import_commit(patient.import, 0), 1);
	assert_code(mfs_get_size(fs, "/n/o/f"), 700);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Handles, and the end of an import
 */

static void an_import_ends_after_its_handles(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "ab", "wb", "w+b"};
	mfs *fs = *state;
	mfs_import *import = begin_with(fs, "/d/f=text");

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_file *file = open_staged(import, "/d/f", modes[i]);
		assert_refused(fs, mfs_import_commit(import, 0), MFS_EBUSY);
		assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_KEEP), MFS_EBUSY);
		assert_refused(fs, mfs_import_abort(import), MFS_EBUSY);
		/* The handle is as good as before. */
		if (mfs_writable(file) == 1)
			assert_code(mfs_write(file, "more", 4), 4);
		else
			assert_handle_holds(file, "text", 4);
		close_file(file);
		assert_refused(fs, mfs_close(file), MFS_EBADF);
	}
	/* Handles of the workspace, and of another import, are none of its own. */
	mfs_import *other = begin_with(fs, "/d/f=other");
	mfs_file *of_other = open_staged(other, "/d/f", "rb");
	make_live(fs, "/live=text");
	mfs_file *live = open_file(fs, "/live", "rb");
	assert_code(mfs_import_commit(import, 0), 1);
	assert_handle_holds(of_other, "other", 5);
	close_file(of_other);
	assert_code(mfs_import_commit(other, 0), 1);
	close_file(live);
	assert_holds(fs, "/d/f=other /live=text");
}

static void a_workspace_ends_after_its_imports(void **state)
{
	mfs *fs = new_workspace(NULL);
	mfs_import *empty = begin(fs);

	(void)state;
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	mfs_import *import = begin_with(fs, "/f=text");
	assert_code(mfs_import_abort(empty), 0);
	assert_refused(fs, mfs_free(fs), MFS_EBUSY);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_int_equal(usage_of(fs).open_handles, 0);
	free_workspace(fs);
	assert_code(mfs_import_abort(NULL), 0);
}

static void an_import_outlives_other_workspaces(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);
	mfs_import *import = begin_with(fs, "/d/f=text");
	mfs_import *of_other = begin_with(other, "/d/f=other");

	assert_code(mfs_import_abort(of_other), 0);
	free_workspace(other);
	mfs_file *file = open_staged(import, "/d/g", "wb");
	for (int i = 0; i < 20; i++) {
		other = new_workspace(NULL);
		of_other = begin_with(other, "/d/f=other");
		assert_code(mfs_import_commit(of_other, 0), 1);
		free_workspace(other);
		assert_code(mfs_write(file, "x", 1), 1);
	}
	close_file(file);
	assert_code(mfs_import_commit(import, MFS_IMPORT_NEW), 2);
	assert_holds(fs, "/d/f=text /d/g=xxxxxxxxxxxxxxxxxxxx");
}

static void *close_in_thread(void *file)
{
	return (void *)(intptr_t)mfs_close(file);
}

struct steps {
	mfs *fs;
	mfs_import *import;
	mfs_file *file;
	int64_t result;
};

static void *begin_in_thread(void *argument)
{
	struct steps *steps = argument;

	steps->import = begin_with(steps->fs, "/d/f=text");
	must(!mfs_import_open(steps->import, "/d/g", "w+b", NULL, &steps->file));
	return NULL;
}

static void *commit_in_thread(void *argument)
{
	struct steps *steps = argument;

	steps->result = mfs_import_commit(steps->import, 0);
	return NULL;
}

static void each_step_may_be_of_another_thread(void **state)
{
	mfs *fs = *state;
	struct steps steps = {.fs = fs};

	join_thread(start_thread(begin_in_thread, &steps));
	assert_code(mfs_write(steps.file, "another", 7), 7);
	assert_staged_text(steps.import, "/d/f", "text");
	assert_refused(fs, mfs_import_commit(steps.import, 0), MFS_EBUSY);
	pthread_t thread = start_thread(close_in_thread, steps.file);
	void *code;
	assert_int_equal(pthread_join(thread, &code), 0);
	assert_null(code);
	assert_int_equal(usage_of(fs).open_handles, 1);
	join_thread(start_thread(commit_in_thread, &steps));
	assert_code(steps.result, 2);
	assert_holds(fs, "/d/f=text /d/g=another");
	assert_clean(fs, "/d/g");
}

/* Whoever sees that the handles are closed has what was written through them. */
static void a_commit_may_be_made_as_soon_as_the_last_handle_is_closed(void **state)
{
	enum { ROUNDS = 200 };
	mfs *fs = *state;

	for (int i = 0; i < ROUNDS; i++) {
		mfs_import *import = begin(fs);
		mfs_file *file = open_staged(import, "/f", "wb");
		assert_code(mfs_write(file, "text", 4), 4);
		pthread_t thread = start_thread(close_in_thread, file);
		int64_t files;
		while ((files = mfs_import_commit(import, 0)) == MFS_EBUSY)
			sched_yield();
		assert_code(files, 1);
		assert_clean(fs, "/f");
		assert_text(fs, "/f", "text");
		join_thread(thread);
	}
}

/* Handles of one file are in each other's way as elsewhere, but nobody waits. */
static void two_handles_of_a_file_are_refused_at_once(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "ab", "wb", "w+b", "a+b"};
	mfs *fs = *state;
	mfs_open_options patient = {.struct_size = sizeof(patient), .lock_timeout = MFS_WAIT_FOREVER};
	mfs_import *import = begin_with(fs, "/d/f=text /d/g=text");

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_file *file = open_staged(import, "/d/f", "r+b");
		mfs_file *second = NULL;
		assert_refused(fs, mfs_import_open(import, "/d/f", modes[i], NULL, &second), MFS_EBUSY);
		assert_refused(fs, mfs_import_open(import, "/d/f", modes[i], &patient, &second), MFS_EBUSY);
		assert_null(second);
		assert_handle_holds(file, "text", 4);
		close_file(file);
	}
	mfs_file *readers[] = {open_staged(import, "/d/f", "rb"), open_staged(import, "/d/f", "rb")};
	assert_refused(fs, try_staged(import, "/d/f", "ab"), MFS_EBUSY);
	assert_handle_holds(readers[0], "text", 4);
	close_file(readers[0]);
	assert_refused(fs, try_staged(import, "/d/f", "wb"), MFS_EBUSY);
	assert_handle_holds(readers[1], "text", 4);
	close_file(readers[1]);
	/* One file's handle is not in another one's way. */
	mfs_file *file = open_staged(import, "/d/f", "ab");
	assert_code(try_staged(import, "/d/g", "ab"), 0);
	close_file(file);
	assert_code(mfs_import_commit(import, 0), 2);
	assert_holds(fs, "/d/f=text /d/g=text");
}

/*
 * Bytes without copying, and of other files
 */

static void views_and_reservations_work_on_staged_files(void **state)
{
	mfs *fs = *state;
	mfs_import *import = begin(fs);
	mfs_file *file = open_staged(import, "/d/f", "w+b");
	const void *data = NULL;
	void *room = NULL;
	int64_t at = 0;
	struct iovec runs[4];

	assert_code(mfs_reserve(file, 4, &room), 4);
	memcpy(room, "text", 4);
	assert_code(mfs_commit(file, 4), 0);
	assert_code(mfs_view(file, 0, &data), 4);
	assert_memory_equal(data, "text", 4);
	/* One that is not committed is dropped with the handle. */
	assert_true(mfs_reserve(file, 100000, &room) > 0);
	close_file(file);
	file = open_staged(import, "/d/f", "rb");
	assert_code(mfs_view_runs(file, &at, INT64_MAX, runs, 4), 1);
	assert_int_equal(runs[0].iov_len, 4);
	assert_memory_equal(runs[0].iov_base, "text", 4);
	close_file(file);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_holds(fs, "/d/f=text");
	assert_clean(fs, "/d/f");
}

/* Whole chunks are shared, both ways, and each file is charged in full and changes alone. */
static void ranges_are_copied_between_staged_and_live_files(void **state)
{
	enum { SIZE = 5 * 1024 * 1024 };
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(SIZE, 5);

	make_file(fs, "/live", bytes, SIZE);
	uint64_t each = used_bytes(fs);
	for (int commits = 0; commits <= 1; commits++) {
		mfs_import *import = begin(fs);
		mfs_file *from = open_file(fs, "/live", "rb");
		mfs_file *to = open_staged(import, "/d/f", "w+b");
		const void *one = NULL;
		const void *other = NULL;
		assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), SIZE);
		assert_true(mfs_view(from, 0, &one) > 0);
		assert_true(mfs_view(to, 0, &other) > 0);
		assert_ptr_equal(one, other);
		close_file(from);
		/* And back. */
		from = to;
		to = open_file(fs, "/back", "w+b");
		assert_code(mfs_copy_range(from, 0, to, 0, INT64_MAX), SIZE);
		assert_true(mfs_view(to, 0, &other) > 0);
		assert_ptr_equal(one, other);
		close_file(to);
		assert_int_equal(used_bytes(fs), 3 * each);
		assert_code(mfs_pwrite(from, "changed", 7, 0), 7);
		close_file(from);
		if (commits)
			assert_code(mfs_import_commit(import, 0), 1);
		else
			assert_code(mfs_import_abort(import), 0);
		assert_int_equal(used_bytes(fs), (commits ? 3 : 2) * each);
		assert_true(mfs__validate(fs));
		assert_file_holds(fs, "/live", bytes, SIZE);
		assert_file_holds(fs, "/back", bytes, SIZE);
		assert_code(mfs_remove(fs, "/back"), 0);
	}
	assert_clean(fs, "/d/f");
	assert_code(mfs_remove(fs, "/live"), 0);
	memcpy(bytes, "changed", 7);
	assert_file_holds(fs, "/d/f", bytes, SIZE);
	free(bytes);
}

static void a_handle_of_the_import_draws_on_a_reservation(void **state)
{
	static const unsigned char bytes[1000] = {1};
	mfs *fs = new_plain_workspace(1000);
	mfs_open_options options = {.struct_size = sizeof(options)};
	mfs_file *file;

	(void)state;
	assert_code(mfs_reservation_new(fs, 600, &options.reservation), 0);
	make_file(fs, "/others", bytes, 400);
	mfs_import *import = begin(fs);
	assert_code(mfs_import_open(import, "/d/f", "wb", &options, &file), 0);
	assert_refused(fs, mfs_reservation_free(options.reservation), MFS_EBUSY);
	assert_code(mfs_write(file, bytes, 500), 500);
	assert_code(mfs_reservation_left(options.reservation), 100);
	assert_refused(fs, mfs_write(file, bytes, 101), MFS_EQUOTA);
	assert_code(mfs_truncate(file, 300), 0);
	assert_code(mfs_reservation_left(options.reservation), 300);
	close_file(file);
	assert_code(mfs_reservation_left(options.reservation), 300);
	/* What an import gives up is everybody's. */
	assert_code(mfs_import_abort(import), 0);
	assert_code(mfs_reservation_left(options.reservation), 300);
	assert_int_equal(used_bytes(fs), 700);
	import = begin(fs);
	options.preallocate = 300;
	assert_code(mfs_import_open(import, "/d/f", "xb", &options, &file), 0);
	assert_code(mfs_reservation_left(options.reservation), 0);
	close_file(file);
	assert_code(mfs_reservation_free(options.reservation), 0);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_int_equal(used_bytes(fs), 700);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void an_open_that_finds_no_memory_gives_back_what_it_drew(void **state)
{
	mfs *fs = *state;
	mfs_open_options options = {.struct_size = sizeof(options), .preallocate = 1000};
	mfs_import *import = begin(fs);
	mfs_file *file = NULL;
	int failures = 0;

	assert_code(mfs_reservation_new(fs, 100000, &options.reservation), 0);
	uint64_t used = used_bytes(fs);
	for (long n = 1; !file; n++) {
		mfs__alloc_fail_after(n);
		int code = mfs_import_open(import, "/n/o/f", "wb", &options, &file);
		mfs__alloc_fail_after(0);
		if (code == 0)
			break;
		failures++;
		assert_code(code, MFS_ENOMEM);
		assert_code(mfs_reservation_left(options.reservation), 100000);
		assert_int_equal(used_bytes(fs), used);
	}
	assert_true(failures > 4);
	assert_int_equal(used_bytes(fs), used);
	close_file(file);
	assert_code(mfs_reservation_free(options.reservation), 0);
	assert_code(mfs_import_abort(import), 0);
	assert_int_equal(used_bytes(fs), 0);
}

/*
 * Calls on a handle that last longer than the handle and its import
 */

static atomic_bool at_descriptor;

static void note_descriptor(const char *point)
{
	if (!strcmp(point, "descriptor: about to read") || !strcmp(point, "descriptor: about to write"))
		atomic_store_explicit(&at_descriptor, true, memory_order_relaxed);
}

struct transfer {
	mfs_file *file;
	int fd;
	int64_t size;
	int64_t result;
	pthread_t thread;
};

static void *read_from_fd(void *argument)
{
	struct transfer *transfer = argument;

	transfer->result = mfs_write_from_fd(transfer->file, 4, INT64_MAX, transfer->fd);
	return NULL;
}

static void *write_to_fd(void *argument)
{
	struct transfer *transfer = argument;

	transfer->result = mfs_read_to_fd(transfer->file, 0, INT64_MAX, transfer->fd);
	must(!close(transfer->fd));
	return NULL;
}

static void start_transfer(struct transfer *transfer, void *(*run)(void *))
{
	atomic_store_explicit(&at_descriptor, false, memory_order_relaxed);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, note_descriptor, memory_order_release);
	transfer->thread = start_thread(run, transfer);
	AWAIT(atomic_load_explicit(&at_descriptor, memory_order_relaxed));
}

static void end_transfer(struct transfer *transfer)
{
	join_thread(transfer->thread);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
}

static void end_import(mfs_import *import, bool commits)
{
	if (commits)
		assert_code(mfs_import_commit(import, 0), 1);
	else
		assert_code(mfs_import_abort(import), 0);
}

static void what_is_read_for_a_file_that_has_gone_is_lost(void **state)
{
	mfs *fs = *state;

	for (int commits = 0; commits <= 1; commits++) {
		mfs_import *import = begin_with(fs, "/d/f=text");
		struct transfer transfer = {.file = open_staged(import, "/d/f", "r+b")};
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		transfer.fd = ends[0];
		start_transfer(&transfer, read_from_fd);
		close_file(transfer.file);
		end_import(import, commits);
		assert_int_equal(write(ends[1], "lost", 4), 4);
		assert_int_equal(close(ends[1]), 0);
		end_transfer(&transfer);
		assert_int_equal(close(ends[0]), 0);
		assert_code(transfer.result, MFS_EBADF);
		assert_true(mfs__validate(fs));
		if (!commits)
			assert_int_equal(used_bytes(fs), 0);
	}
	assert_holds(fs, "/d/f=text");
	assert_clean(fs, "/d/f");
}

static void what_is_written_of_a_file_that_has_gone_is_whole(void **state)
{
	enum { SIZE = 1024 * 1024 };
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(SIZE, 6);
	unsigned char *got = allocate(SIZE + 1);

	for (int commits = 0; commits <= 1; commits++) {
		mfs_import *import = begin(fs);
		int ends[2];
		stage(import, "/d/f", bytes, SIZE);
		struct transfer transfer = {.file = open_staged(import, "/d/f", "rb")};
		assert_int_equal(pipe(ends), 0);
		transfer.fd = ends[1];
		start_transfer(&transfer, write_to_fd);
		close_file(transfer.file);
		end_import(import, commits);
		if (commits)
			assert_code(mfs_remove(fs, "/d/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
		size_t length = 0;
		ssize_t part;
		while ((part = read(ends[0], got + length, SIZE + 1 - length)) > 0)
			length += (size_t)part;
		end_transfer(&transfer);
		assert_int_equal(close(ends[0]), 0);
		assert_code(transfer.result, SIZE);
		assert_int_equal(length, SIZE);
		assert_int_equal(memcmp(got, bytes, SIZE), 0);
	}
	free(bytes);
	free(got);
}

static void *write_patiently(void *argument)
{
	struct transfer *transfer = argument;
	static const unsigned char bytes[700] = {1};

	transfer->result = mfs_write(transfer->file, bytes, sizeof(bytes));
	return NULL;
}

static void a_write_that_waits_for_its_own_import_to_go_finds_it_gone(void **state)
{
	static const unsigned char bytes[600] = {1};
	mfs *fs = new_plain_workspace(1000);
	mfs_open_options options = {.struct_size = sizeof(options)};
	mfs_import *import = begin(fs);
	struct transfer transfer = {.size = 700};

	(void)state;
	stage(import, "/d/f", bytes, 600);
	options.space_timeout = MFS_WAIT_FOREVER;
	assert_code(mfs_import_open(import, "/d/g", "wb", &options, &transfer.file), 0);
	transfer.thread = start_thread(write_patiently, &transfer);
	AWAIT(usage_of(fs).waiters == 1);
	close_file(transfer.file);
	assert_code(mfs_import_abort(import), 0);
	join_thread(transfer.thread);
	assert_code(transfer.result, MFS_EBADF);
	assert_int_equal(used_bytes(fs), 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Deep trees, on a small stack
 */

enum { LEVELS = 10000 };

#define STACK_SIZE (MFS__SANITIZED ? 256 * KIB : 64 * KIB)

static void *go_deep(void *argument)
{
	mfs *fs = argument;
	char *path = malloc(2 * LEVELS + 16);

	must(path);
	for (size_t i = 0; i < LEVELS; i++)
		memcpy(path + 2 * i, "/d", 3);
	/* Given up, refused and dropped, and come in. */
	for (int round = 0; round < 3; round++) {
		mfs_import *import = begin(fs);
		must(!mfs_import_mkdir(import, path));
		memcpy(path + 2 * LEVELS, "/e/f", 5);
		stage_text(import, path, "deep");
		path[2 * LEVELS] = '\0';
		if (round == 0) {
			must(!mfs_import_abort(import));
		} else if (round == 1) {
			make_live(fs, "/d=live");
			must(mfs_import_commit(import, 0) == MFS_ENOTDIR);
			must(mfs_import_commit(import, MFS_IMPORT_KEEP) == 0);
			must(mfs_get_size(fs, "/d") == 4);
			must(!mfs_remove(fs, "/d"));
		} else {
			must(mfs_import_commit(import, MFS_IMPORT_NEW) == 1);
		}
	}
	/* A file at the bottom is in the way. */
	mfs_import *import = begin(fs);
	memcpy(path + 2 * LEVELS, "/e/f", 5);
	stage_text(import, path, "new");
	must(mfs_import_commit(import, MFS_IMPORT_NEW) == MFS_EEXIST);
	must(strstr(mfs_last_error(), "d/d/e/f"));
	must(mfs_import_commit(import, 0) == 1);
	must(mfs_get_size(fs, path) == 3);
	must(!mfs_rmtree(fs, "/d"));
	free(path);
	return NULL;
}

static void ten_thousand_levels_need_no_deep_stack(void **state)
{
	mfs *fs = *state;
	pthread_attr_t attributes;
	pthread_t thread;

	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attributes, go_deep, fs), 0);
	assert_int_equal(pthread_attr_destroy(&attributes), 0);
	join_thread(thread);
	assert_holds(fs, "");
	assert_int_equal(used_bytes(fs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IMPORT_TEST(nothing_is_seen_before_the_commit_and_everything_after_it),
		IMPORT_TEST(an_import_sees_nothing_of_the_workspace),
		IMPORT_TEST(files_are_replaced_and_directories_stay),
		IMPORT_TEST(a_staged_file_is_opened_in_every_mode),
		IMPORT_TEST(files_come_in_clean_however_they_were_written),
		IMPORT_TEST(a_file_that_is_replaced_is_clean_again),
		IMPORT_TEST(files_have_the_times_of_their_writes_and_directories_that_of_the_commit),
		cmocka_unit_test(a_tree_is_charged_the_same_however_it_is_made),
		IMPORT_TEST(what_was_taken_ahead_goes_back_with_the_handle),
		cmocka_unit_test(a_staged_file_that_finds_no_quota_stays_as_it_was),
		cmocka_unit_test(a_replacement_needs_room_for_both),
		IMPORT_TEST(an_empty_import_changes_nothing),
		IMPORT_TEST(what_is_given_up_leaves_nothing),
		IMPORT_TEST(buffers_go_back_once_with_what_is_given_up_or_dropped),
		cmocka_unit_test(who_waits_for_space_gets_what_is_given_up_or_dropped),
		IMPORT_TEST(a_failed_open_leaves_no_parents),
		IMPORT_TEST(a_file_is_no_directory),
		IMPORT_TEST(paths_are_spelled_as_elsewhere),
		IMPORT_TEST(room_is_made_as_elsewhere),
		cmocka_unit_test(an_open_may_wait_for_quota),
		IMPORT_TEST(an_import_ends_after_its_handles),
		cmocka_unit_test(a_workspace_ends_after_its_imports),
		IMPORT_TEST(an_import_outlives_other_workspaces),
		IMPORT_TEST(each_step_may_be_of_another_thread),
		IMPORT_TEST(a_commit_may_be_made_as_soon_as_the_last_handle_is_closed),
		IMPORT_TEST(two_handles_of_a_file_are_refused_at_once),
		IMPORT_TEST(views_and_reservations_work_on_staged_files),
		IMPORT_TEST(ranges_are_copied_between_staged_and_live_files),
		cmocka_unit_test(a_handle_of_the_import_draws_on_a_reservation),
		IMPORT_TEST(an_open_that_finds_no_memory_gives_back_what_it_drew),
		IMPORT_TEST(what_is_read_for_a_file_that_has_gone_is_lost),
		IMPORT_TEST(what_is_written_of_a_file_that_has_gone_is_whole),
		cmocka_unit_test(a_write_that_waits_for_its_own_import_to_go_finds_it_gone),
		IMPORT_TEST(ten_thousand_levels_need_no_deep_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
