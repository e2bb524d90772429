/* SPDX-License-Identifier: MIT */
/*
 * Does the commit of an import in steps bring what its flag says, all at one instant, or nothing,
 * whatever the workspace has and whoever changes it meanwhile?
 */
#include "staged.h"

#include "await.h"
#include "base/alloc.h"
#include "base/test_hook.h"
#include "step_aside.h"

/*
 * Commits that are refused
 */

/* Why a commit is refused, and what makes it possible. */
struct refusal {
	const char *live;
	const char *staged;
	unsigned flags;
	int code;
	const char *named; /* by the message */
	const char *cure;  /* the path that has to go */
};

static const struct refusal refusals[] = {
	{"/d/f=live", "/d/f=staged", MFS_IMPORT_NEW, MFS_EEXIST, "/d/f", "/d/f"},
	{"/d/e/f=live", "/a=1 /d/e/f=staged /z=1", MFS_IMPORT_NEW, MFS_EEXIST, "/d/e/f", "/d"},
	{"/d/f/", "/d/f=staged", 0, MFS_EISDIR, "/d/f", "/d/f"},
	{"/d/f/g=live", "/d/f=staged", 0, MFS_EISDIR, "/d/f", "/d/f"},
	{"/d/f/", "/d/f=staged", MFS_IMPORT_NEW, MFS_EISDIR, "/d/f", "/d/f"},
	{"/d/f=live", "/d/f/", 0, MFS_ENOTDIR, "/d/f", "/d/f"},
	{"/d/f=live", "/d/f/", MFS_IMPORT_NEW, MFS_ENOTDIR, "/d/f", "/d/f"},
	{"/d=live", "/d/e/f=staged", 0, MFS_ENOTDIR, "/d", "/d"},
	{"/d=live /k=live", "/a=1 /k=2 /d/e/f=staged", 0, MFS_ENOTDIR, "/d", "/d"},
};

static void a_refused_commit_changes_nothing_and_can_be_made_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(refusals); i++) {
		const struct refusal *refusal = &refusals[i];
		mfs *fs = new_workspace(NULL);
		make_live(fs, refusal->live);
		mfs_import *import = begin_with(fs, refusal->staged);
		struct snapshot before = take_snapshot(fs);
		for (int again = 0; again < 2; again++) {
			assert_refused(fs, mfs_import_commit(import, refusal->flags), refusal->code);
			char named[PATH_ROOM];
			(void)snprintf(named, sizeof(named), " of %s: ", refusal->named);
			assert_non_null(strstr(mfs_last_error(), named));
			assert_unchanged(fs, &before);
			check_import(import, refusal->staged);
		}
		drop_snapshot(&before);
		/* No lock is left. */
		assert_code(mfs_rmtree(fs, refusal->cure), 0);
		make_staged(import, "/more=1");
		int64_t files = mfs_import_commit(import, refusal->flags);
		assert_true(files > 0);
		assert_int_equal(matches(fs, "/more"), 1);
		struct node node;
		for (const char *rest = refusal->staged; next_node(&rest, &node);)
			assert_true(node.is_dir ? mfs_is_dir(fs, node.path) : mfs_is_file(fs, node.path));
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
}

static void a_refused_import_can_be_given_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(refusals); i++) {
		mfs *fs = new_workspace(NULL);
		make_live(fs, refusals[i].live);
		struct snapshot before = take_snapshot(fs);
		mfs_import *import = begin_with(fs, refusals[i].staged);
		assert_refused(fs, mfs_import_commit(import, refusals[i].flags), refusals[i].code);
		assert_code(mfs_import_abort(import), 0);
		assert_unchanged(fs, &before);
		assert_true(mfs__validate(fs));
		drop_snapshot(&before);
		free_workspace(fs);
	}
}

/* A refusal may be answered by another flag. */
static void a_refused_commit_can_be_made_with_another_flag(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/f=live");
	mfs_import *import = begin_with(fs, "/d/f=staged /d/g=staged");
	assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_NEW), MFS_EEXIST);
	assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 1);
	assert_holds(fs, "/d/f=live /d/g=staged");
	import = begin_with(fs, "/d/f=staged");
	assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_NEW), MFS_EEXIST);
	assert_code(mfs_import_commit(import, 0), 1);
	assert_holds(fs, "/d/f=staged /d/g=staged");
}

static void a_held_file_is_not_replaced(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "ab"};
	mfs *fs = *state;

	make_live(fs, "/d/f=live /d/g=live");
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_import *import = begin_with(fs, "/a=staged /d/f=staged /d/g=staged");
		mfs_file *holder = open_file(fs, "/d/f", modes[i]);
		struct snapshot before = take_snapshot(fs);
		assert_refused(fs, mfs_import_commit(import, 0), MFS_EBUSY);
		assert_non_null(strstr(mfs_last_error(), "/d/f"));
		assert_unchanged(fs, &before);
		drop_snapshot(&before);
		/* The other one is not left claimed. */
		assert_code(try_open(fs, "/d/g", "r+b"), 0);
		/* It is there, whoever holds it: that is what counts for the flags. */
		assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_NEW), MFS_EEXIST);
		close_file(holder);
		assert_code(mfs_import_commit(import, 0), 3);
		assert_holds(fs, "/a=staged /d/f=staged /d/g=staged");
		assert_code(mfs_remove(fs, "/a"), 0);
	}
}

static void a_held_file_is_kept(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/f=live /d/g=live");
	mfs_file *reader = open_file(fs, "/d/f", "rb");
	mfs_file *writer = open_file(fs, "/d/g", "ab");
	mfs_import *import = begin_with(fs, "/d/f=staged /d/g/below=staged /d/h=staged");
	assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 1);
	assert_handle_holds(reader, "live", 4);
	assert_code(mfs_write(writer, "r", 1), 1);
	close_file(reader);
	close_file(writer);
	assert_holds(fs, "/d/f=live /d/g=liver /d/h=staged");
}

static void a_shared_handle_keeps_what_is_replaced_for_itself(void **state)
{
	mfs *fs = new_plain_workspace(1000);

	(void)state;
	make_text(fs, "/f", "live");
	mfs_file *shared = open_shared(fs, "/f", "r+b");
	assert_code(mfs_import_commit(begin_with(fs, "/f=staged"), 0), 1);
	assert_handle_holds(shared, "live", 4);
	assert_code(mfs_pwrite(shared, "L", 1, 0), 1);
	assert_text(fs, "/f", "staged");
	assert_int_equal(used_bytes(fs), 10);
	close_file(shared);
	assert_int_equal(used_bytes(fs), 6);
	assert_clean(fs, "/f");
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Limits
 */

static mfs *new_limited(uint64_t max_nodes)
{
	mfs_options options = {.struct_size = sizeof(options), .max_nodes = max_nodes};

	return new_workspace(&options);
}

static void an_import_may_be_as_large_as_the_workspace(void **state)
{
	mfs *fs = new_limited(5);
	mfs_import *import = begin(fs);
	mfs_file *file;

	(void)state;
	make_staged(import, "/d/e/f=1");
	/* Two more fit, and no three. */
	assert_refused(fs, mfs_import_mkdir(import, "/n/o/p"), MFS_ENODES);
	assert_refused(fs, mfs_import_open(import, "/d/o/p/q", "wb", NULL, &file), MFS_ENODES);
	assert_null(file);
	make_staged(import, "/n/g=1");
	assert_refused(fs, mfs_import_mkdir(import, "/q"), MFS_ENODES);
	assert_refused(fs, mfs_import_open(import, "/d/q", "xb", NULL, &file), MFS_ENODES);
	/* What is there takes nothing. */
	assert_code(mfs_import_mkdir(import, "/d/e"), 0);
	assert_code(try_staged(import, "/d/e/f", "r+b"), 0);
	assert_int_equal(usage_of(fs).files, 0);
	assert_code(mfs_import_commit(import, 0), 2);
	assert_holds(fs, "/d/e/f=1 /n/g=1");
	assert_refused(fs, mfs_mkdir(fs, "/q", 0), MFS_ENODES);
	/* The same again is replaced by itself. */
	assert_code(mfs_import_commit(begin_with(fs, "/d/e/f=2 /n/g=2"), 0), 2);
	assert_holds(fs, "/d/e/f=2 /n/g=2");
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void a_commit_past_the_node_limit_can_be_made_when_there_is_room(void **state)
{
	mfs *fs = new_limited(6);

	(void)state;
	make_live(fs, "/d/f=live /k=live");
	mfs_import *import = begin_with(fs, "/d/f=staged /d/e/g=staged /d/e/h=staged /i=staged");
	struct snapshot before = take_snapshot(fs);
	assert_refused(fs, mfs_import_commit(import, 0), MFS_ENODES);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
	assert_code(mfs_remove(fs, "/k"), 0);
	assert_code(mfs_import_commit(import, 0), 4);
	assert_holds(fs, "/d/f=staged /d/e/g=staged /d/e/h=staged /i=staged");
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void what_is_dropped_needs_no_nodes(void **state)
{
	static const char staged[] = "/k/1/2=s /k/1/3/ /k/4=s /d/f=s /d/g=s /h=s";

	(void)state;
	for (uint64_t room = 0; room <= 2; room++) {
		/* At least as many as are staged, or these would be refused at once. */
		mfs *fs = new_limited(12);
		make_live(fs, "/d/f=live /k=live");
		for (uint64_t i = 0; i < 12 - 3 - room; i++) {
			char path[PATH_ROOM];
			(void)snprintf(path, sizeof(path), "/filler%u", (unsigned)i);
			make_dir(fs, path);
		}
		mfs_import *import = begin_with(fs, staged);
		struct snapshot before = take_snapshot(fs);
		if (room < 2) {
			assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_KEEP), MFS_ENODES);
			assert_unchanged(fs, &before);
			check_import(import, staged);
			assert_code(mfs_import_abort(import), 0);
		} else {
			assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 2);
			assert_text(fs, "/k", "live");
			assert_text(fs, "/d/g", "s");
			assert_text(fs, "/h", "s");
			assert_refused(fs, mfs_mkdir(fs, "/more", 0), MFS_ENODES);
		}
		drop_snapshot(&before);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
}

static mfs *new_charged(uint64_t quota)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_quota = quota;
	options.chunk_overhead = -1;
	options.charge_metadata = 1;
	return new_workspace(&options);
}

static uint64_t metadata_of(const char *list)
{
	mfs *fs = new_workspace(NULL);

	make_live(fs, list);
	uint64_t bytes = usage_of(fs).metadata_bytes;
	free_workspace(fs);
	return bytes;
}

/* To the byte, by whichever call it comes, as no import is built that could never come in. */
static void no_more_metadata_is_staged_than_the_quota_has(void **state)
{
	static const char tree[] = "/d/e/a-file= /d/a-directory/";
	uint64_t quota = metadata_of(tree);
	mfs_file *file;

	(void)state;
	for (uint64_t less = 0; less <= 1; less++) {
		mfs *fs = new_charged(quota - less);
		mfs_import *import = begin_with(fs, "/d/e/a-file=");
		assert_code(mfs_import_mkdir(import, "/d/a-directory"), less ? MFS_EQUOTA : 0);
		if (!less)
			assert_code(mfs_import_commit(import, 0), 1);
		else
			assert_code(mfs_import_abort(import), 0);
		assert_int_equal(used_bytes(fs), less ? 0 : quota);
		import = begin_with(fs, "/d/a-directory/");
		assert_code(mfs_import_open(import, "/d/e/a-file", "wb", NULL, &file),
					less ? MFS_EQUOTA : 0);
		if (!less)
			close_file(file);
		assert_code(mfs_import_abort(import), 0);
		free_workspace(fs);
	}
	/* A path of many names is refused as a whole. */
	mfs *fs = new_charged(64 * KIB);
	char path[20001];
	for (size_t i = 0; i < 10000; i++)
		memcpy(path + 2 * i, "/d", 3);
	mfs_import *import = begin(fs);
	assert_refused(fs, mfs_import_mkdir(import, path), MFS_EQUOTA);
	assert_refused(fs, mfs_import_open(import, path, "wb", NULL, &file), MFS_EQUOTA);
	assert_code(mfs_import_mkdir(import, "/d"), 0);
	assert_code(mfs_import_commit(import, 0), 0);
	assert_holds(fs, "/d/");
	free_workspace(fs);
}

static void a_commit_whose_metadata_finds_no_quota_can_be_made_when_there_is_some(void **state)
{
	static const char tree[] = "/d/f=12345 /d/e/g=67890";
	uint64_t quota = metadata_of(tree) + 10 + 1000;
	static const unsigned char filler[1001] = {1};
	mfs *fs = new_charged(quota + metadata_of("/filler="));

	(void)state;
	make_file(fs, "/filler", filler, 1001);
	mfs_import *import = begin_with(fs, tree);
	struct snapshot before = take_snapshot(fs);
	assert_refused(fs, mfs_import_commit(import, 0), MFS_EQUOTA);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
	check_import(import, tree);
	make_file(fs, "/filler", filler, 1000);
	assert_code(mfs_import_commit(import, 0), 2);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	assert_code(mfs_remove(fs, "/filler"), 0);
	assert_holds(fs, tree);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * MFS_IMPORT_NEW and MFS_IMPORT_KEEP
 */

static void new_wants_no_file_and_takes_directories(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/e/f=live");
	assert_code(mfs_import_commit(begin_with(fs, "/d/e/g=new /d/h=new /d/e/"), MFS_IMPORT_NEW), 2);
	assert_holds(fs, "/d/e/f=live /d/e/g=new /d/h=new");
}

struct keeping {
	const char *live;
	const char *staged;
	int64_t files; /* that come in */
	const char *result;
};

static void keep_drops_what_has_no_place(void **state)
{
	static const struct keeping keepings[] = {
		/* Files. */
		{"/f=live", "/f=staged", 0, "/f=live"},
		{"/d/f=live", "/d/f=staged /d/g=staged", 1, "/d/f=live /d/g=staged"},
		{"/d/f=live /e/", "/d/f=s /e/f=s /n/f=s", 2, "/d/f=live /e/f=s /n/f=s"},
		/* Directories whose names files have. */
		{"/d=live", "/d/", 0, "/d=live"},
		{"/d=live", "/d/f=s /d/e/g=s /d/e/h/ /d/e/i/j=s", 0, "/d=live"},
		{"/a/d=live", "/a/d/f=s /a/e/f=s", 1, "/a/d=live /a/e/f=s"},
		/* Files whose names directories have. */
		{"/d/", "/d=staged", 0, "/d/"},
		{"/d/e/f=live", "/d/e=staged /d/g=staged", 1, "/d/e/f=live /d/g=staged"},
		/* Directories that both have. */
		{"/d/e/f=live", "/d/e/ /d/g/", 0, "/d/e/f=live /d/g/"},
		{"/d/e/f=live", "/d/e/f/g=s /d/e/h=s /i/d=s", 2, "/d/e/f=live /d/e/h=s /i/d=s"},
		/* All of it, and nothing of it. */
		{"/d/f=live /e=live", "/d/f=s /e/f=s", 0, "/d/f=live /e=live"},
		{"/d/f=live", "/e/f=s /d/g=s", 2, "/d/f=live /e/f=s /d/g=s"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(keepings); i++) {
		mfs *fs = new_workspace(NULL);
		mfs *want = new_workspace(NULL);
		make_live(want, keepings[i].result);
		make_live(fs, keepings[i].live);
		mfs_import *import = begin_with(fs, keepings[i].staged);
		assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), keepings[i].files);
		assert_holds(fs, keepings[i].result);
		assert_same_usage(fs, want);
		assert_true(mfs__validate(fs));
		/* What stayed is in nobody's way. */
		assert_code(mfs_import_commit(begin_with(fs, "/last=1"), MFS_IMPORT_NEW), 1);
		free_workspace(fs);
		free_workspace(want);
	}
}

static void what_is_kept_is_not_touched(void **state)
{
	mfs *fs = *state;

	make_live(fs, "/d/f=live /d/e/g=live /k=live");
	mfs_info file = info_of(fs, "/d/f");
	mfs_info directory = info_of(fs, "/d/e");
	struct snapshot before = take_snapshot(fs);
	await_clock_tick();
	mfs_import *import = begin_with(fs, "/d/f=s /d/e/g=s /k/d/e/f=s");
	assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 0);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
	assert_int_equal(info_of(fs, "/d/f").generation, file.generation);
	assert_int_equal(info_of(fs, "/d/f").modified_at, file.modified_at);
	assert_int_equal(info_of(fs, "/d/e").modified_at, directory.modified_at);
}

/* With all its nodes, levels and bytes. */
static void a_large_tree_is_dropped_as_a_whole(void **state)
{
	mfs *fs = *state;
	unsigned char *bytes = random_bytes(3 * MIB, 4);

	make_live(fs, "/d/much=live /much=live");
	struct snapshot before = take_snapshot(fs);
	long blocks = 0;
	for (int round = 0; round < 3; round++) {
		mfs_import *import = begin(fs);
		stage_much(import, bytes, 3 * MIB);
		assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 0);
		assert_unchanged(fs, &before);
		assert_true(mfs__validate(fs));
		if (round == 1)
			blocks = mfs__alloc_live();
		if (round == 2)
			assert_int_equal(mfs__alloc_live(), blocks);
	}
	/* Beside what comes in. */
	mfs_import *import = begin(fs);
	stage_much(import, bytes, 3 * MIB);
	stage(import, "/d/new", bytes, 5000);
	assert_code(mfs_import_commit(import, MFS_IMPORT_KEEP), 1);
	assert_file_holds(fs, "/d/new", bytes, 5000);
	assert_true(mfs__validate(fs));
	assert_code(mfs_remove(fs, "/d/new"), 0);
	assert_unchanged(fs, &before);
	drop_snapshot(&before);
	free(bytes);
}

/* A try that dropped has forgotten what when another one is made. */
static void what_a_refused_commit_would_have_dropped_comes_in_later(void **state)
{
	mfs *fs = new_limited(10);

	(void)state;
	make_live(fs, "/k=live /d/f=live /1/ /2/ /3/ /4/ /5/ /6/");
	mfs_import *import = begin_with(fs, "/k/a/b=s /k/a/c/ /k/d=s /d/f=s /g/h=s");
	assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_KEEP), MFS_ENODES);
	assert_refused(fs, mfs_import_commit(import, 0), MFS_ENOTDIR);
	assert_refused(fs, mfs_import_commit(import, MFS_IMPORT_KEEP), MFS_ENODES);
	assert_code(mfs_remove(fs, "/k"), 0);
	for (int i = 1; i <= 6; i++) {
		char path[] = "/0";
		path[1] = (char)('0' + i);
		assert_code(mfs_remove(fs, path), 0);
	}
	assert_code(mfs_import_commit(import, 0), 4);
	assert_holds(fs, "/k/a/b=s /k/a/c/ /k/d=s /d/f=s /g/h=s");
	assert_true(mfs__validate(fs));
	assert_code(mfs_rename(fs, "/k/a", "/g/a", 0), 0);
	assert_code(mfs_rmtree(fs, "/k"), 0);
	assert_holds(fs, "/g/a/b=s /g/a/c/ /d/f=s /g/h=s");
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Calls that meet a commit
 */

enum { MOST_OPS = 4, LOOKS = 2000 };

/* An import, and what another thread does while it is committed. */
struct scene {
	const char *live;
	const char *staged;
	unsigned flags;
	const char *ops[MOST_OPS + 1];
};

/* For any thread. */
static int64_t run_op(mfs *fs, const char *op)
{
	char verb[16] = "";
	char one[PATH_ROOM] = "";
	char two[PATH_ROOM] = "";
	char **names = NULL;

	must(sscanf(op, "%15s %63s %63s", verb, one, two) >= 2);
	if (!strcmp(verb, "make"))
		return try_open(fs, one, "xb");
	if (!strcmp(verb, "mkdir"))
		return mfs_mkdir(fs, one, 0);
	if (!strcmp(verb, "remove"))
		return mfs_remove(fs, one);
	if (!strcmp(verb, "rmtree"))
		return mfs_rmtree(fs, one);
	if (!strcmp(verb, "rename"))
		return mfs_rename(fs, one, two, 0);
	if (!strcmp(verb, "replace"))
		return mfs_rename(fs, one, two, MFS_RENAME_REPLACE);
	if (!strcmp(verb, "exists"))
		return mfs_exists(fs, one);
	if (!strcmp(verb, "size"))
		return mfs_get_size(fs, one);
	must(!strcmp(verb, "list"));
	int64_t count = mfs_listdir(fs, one, &names);
	mfs_names_free(names);
	return count;
}

struct other {
	mfs *fs;
	const char *const *ops;
	int64_t codes[MOST_OPS];
	_Atomic pid_t tid;
	atomic_bool ended;
	pthread_t thread;
};

static void *run_other(void *argument)
{
	struct other *other = argument;

	atomic_store_explicit(&other->tid, gettid(), memory_order_relaxed);
	for (size_t i = 0; other->ops[i]; i++)
		other->codes[i] = run_op(other->fs, other->ops[i]);
	atomic_store_explicit(&other->ended, true, memory_order_relaxed);
	return NULL;
}

static bool is_asleep(pid_t tid)
{
	char path[64];
	char line[256];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	FILE *stat = fopen(path, "re");
	if (!stat)
		return false;
	size_t length = fread(line, 1, sizeof(line) - 1, stat);
	(void)fclose(stat);
	line[length] = '\0';
	const char *state = strrchr(line, ')');
	return state && !strncmp(state, ") S", 3);
}

/* Let a thread come to its end, or to where it has to wait: asleep, or looking again and again. One
 * that is only slow is taken for one that waits, which is right all the same. */
static void let_settle(struct other *other)
{
	int asleep = 0;

	AWAIT(atomic_load_explicit(&other->tid, memory_order_relaxed));
	for (int i = 0; i < LOOKS && asleep < 5; i++) {
		if (atomic_load_explicit(&other->ended, memory_order_relaxed))
			return;
		asleep =
			is_asleep(atomic_load_explicit(&other->tid, memory_order_relaxed)) ? asleep + 1 : 0;
		sched_yield();
	}
}

/* The thread that commits meets the other one when it comes to a point for the n-th time. */
struct meeting {
	int nth;
	int passes;
	struct other other;
};

static _Thread_local struct meeting *mine;

static void meet_at_point(const char *point)
{
	struct meeting *meeting = mine;

	if (!meeting || (strncmp(point, "merge:", 6) != 0 && strncmp(point, "commit:", 7) != 0))
		return;
	if (++meeting->passes != meeting->nth)
		return;
	mine = NULL;
	must(!pthread_create(&meeting->other.thread, NULL, run_other, &meeting->other));
	let_settle(&meeting->other);
	mine = meeting;
}

struct outcome {
	int64_t files; /* what the commit gave */
	int64_t codes[MOST_OPS];
	char *tree;
	uint64_t used_bytes;
	bool met;
};

static void conclude(mfs *fs, mfs_import *import, struct outcome *outcome)
{
	if (outcome->files < 0)
		assert_code(mfs_import_abort(import), 0);
	outcome->tree = tree_text(fs);
	outcome->used_bytes = used_bytes(fs);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/* One after the other: the commit comes before the op of this number. */
static struct outcome in_order(const struct scene *scene, size_t before)
{
	struct outcome outcome = {.files = 0};
	mfs *fs = new_workspace(NULL);
	bool committed = false;

	make_live(fs, scene->live);
	mfs_import *import = begin_with(fs, scene->staged);
	for (size_t i = 0; !committed || scene->ops[i]; i++) {
		if (i == before) {
			outcome.files = mfs_import_commit(import, scene->flags);
			committed = true;
		}
		if (scene->ops[i])
			outcome.codes[i] = run_op(fs, scene->ops[i]);
		else
			break;
	}
	conclude(fs, import, &outcome);
	return outcome;
}

static struct outcome at_once(const struct scene *scene, int nth)
{
	struct outcome outcome = {.files = 0};
	mfs *fs = new_workspace(NULL);
	struct meeting meeting = {.nth = nth, .other = {.fs = fs, .ops = scene->ops}};

	make_live(fs, scene->live);
	mfs_import *import = begin_with(fs, scene->staged);
	mine = &meeting;
	outcome.files = mfs_import_commit(import, scene->flags);
	mine = NULL;
	outcome.met = meeting.passes >= nth;
	if (outcome.met) {
		join_thread(meeting.other.thread);
		memcpy(outcome.codes, meeting.other.codes, sizeof(outcome.codes));
	}
	conclude(fs, import, &outcome);
	return outcome;
}

static bool same_outcome(const struct outcome *a, const struct outcome *b)
{
	return a->files == b->files && !memcmp(a->codes, b->codes, sizeof(a->codes)) &&
		   !strcmp(a->tree, b->tree) && a->used_bytes == b->used_bytes;
}

static void print_outcome(const char *title, const struct outcome *outcome)
{
	print_error("%s: commit %lld, others", title, (long long)outcome->files);
	for (size_t i = 0; i < MOST_OPS; i++)
		print_error(" %lld", (long long)outcome->codes[i]);
	print_error(", %llu bytes, tree\n%s\n", (unsigned long long)outcome->used_bytes, outcome->tree);
}

/* Let them meet at each point of the commit: what comes of it must come of some order, too. */
static void check_scene(const struct scene *scene)
{
	struct outcome orders[MOST_OPS + 1];
	size_t count = 0;
	bool met = true;

	do
		orders[count] = in_order(scene, count);
	while (scene->ops[count++]);
	for (int nth = 1; met; nth++) {
		struct outcome outcome = at_once(scene, nth);
		bool right = !outcome.met;
		for (size_t i = 0; i < count; i++)
			right |= same_outcome(&outcome, &orders[i]);
		if (!right) {
			print_error("at pass %d, staged %s, first %s\n", nth, scene->staged, scene->ops[0]);
			print_outcome("came out", &outcome);
			for (size_t i = 0; i < count; i++)
				print_outcome("could be", &orders[i]);
		}
		met = outcome.met;
		free(outcome.tree);
		assert_true(right);
		assert_true(met || nth > 1);
	}
	for (size_t i = 0; i < count; i++)
		free(orders[i].tree);
}

static void check_scenes(const struct scene *scenes, size_t count)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, meet_at_point, memory_order_release);
	for (size_t i = 0; i < count; i++)
		check_scene(&scenes[i]);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
}

/* What a thread saw first must not be gone, or be missing, when it looks again. */
static void readers_see_all_of_a_commit_or_nothing(void **state)
{
	static const struct scene scenes[] = {
		{"/d/ /e/", "/d/f=1 /e/g=2 /n/h=3", 0, {"exists /n/h", "exists /e/g", "exists /d/f"}},
		{"/d/ /e/", "/d/f=1 /e/g=2 /n/h=3", 0, {"exists /d/f", "exists /e/g", "exists /n/h"}},
		{"/d/f=live", "/d/f=staged /e/g=2", 0, {"size /d/f", "exists /e/g", "size /d/f"}},
		{"/d/", "/d/1=1 /d/2=2 /d/3=3 /d/4/ /5=5", 0, {"list /d", "list /", "list /d"}},
		{"/d/1=live /e/", "/d/1=1 /d/2=2 /e/3=3", MFS_IMPORT_KEEP, {"list /d", "list /e"}},
		{"/d/ /e/", "/d/1=1 /d/2=2 /e/3=3", MFS_IMPORT_NEW, {"list /e", "list /d"}},
	};

	(void)state;
	check_scenes(scenes, COUNT_OF(scenes));
}

/*
 * The other thread looks at the end whether the import has come in. If it has not, then what the
 * thread did before is what the import finds: a name that it has freed must not stay without a
 * file, and one that it has taken must not be taken over.
 */
static void what_is_kept_is_decided_at_one_instant(void **state)
{
	static const struct scene scenes[] = {
		{"/d/f=live", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"remove /d/f", "exists /d/g"}},
		{"/d/f=live /e/", "/d/f=s /e/g=s", MFS_IMPORT_KEEP, {"remove /d/f", "exists /e/g"}},
		{"/d/f=live /a/", "/d/f=s /a/g=s", MFS_IMPORT_KEEP, {"remove /d/f", "exists /a/g"}},
		{"/d/f=live /e/", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"rename /d/f /e/f", "exists /d/g"}},
		{"/d/f=live /h=new", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"replace /h /d/f", "exists /d/g"}},
		{"/d/", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"make /d/f", "exists /d/g"}},
		{"/d/", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"mkdir /d/f", "exists /d/g"}},
		{"/d/", "/d/f/h=s /d/g=s", MFS_IMPORT_KEEP, {"make /d/f", "exists /d/g"}},
		{"/d/f=live", "/d/f/h=s /d/g=s", MFS_IMPORT_KEEP, {"remove /d/f", "exists /d/g"}},
		{"/d/f/", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"remove /d/f", "exists /d/g"}},
		{"/d/f/h=live", "/d/f=s /d/g=s", MFS_IMPORT_KEEP, {"rmtree /d/f", "exists /d/g"}},
		{"/d/f/h=live", "/d/f/h=s /d/g=s", MFS_IMPORT_KEEP, {"rmtree /d/f", "exists /d/g"}},
		{"/d/f=live", "/d/f=s /e/g=s", MFS_IMPORT_KEEP, {"rename /d /c", "exists /e/g"}},
		{"/d/f=live", "/d/f=s", MFS_IMPORT_KEEP, {"rmtree /d", "make /d"}},
		{"/d/e/f=live", "/d/e/f=s", MFS_IMPORT_KEEP, {"rmtree /d/e", "mkdir /d/e"}},
	};

	(void)state;
	check_scenes(scenes, COUNT_OF(scenes));
}

static void what_is_new_is_decided_at_one_instant(void **state)
{
	static const struct scene scenes[] = {
		{"/d/", "/d/f=s /d/g=s", MFS_IMPORT_NEW, {"make /d/f", "exists /d/g"}},
		{"/d/ /e/", "/d/g=s /e/f=s", MFS_IMPORT_NEW, {"make /e/f", "exists /d/g"}},
		{"/d/ /a/", "/d/g=s /a/f=s", MFS_IMPORT_NEW, {"make /a/f", "exists /d/g"}},
		{"/d/", "/d/f=s /d/g=s", MFS_IMPORT_NEW, {"mkdir /d/f", "exists /d/g"}},
		{"/d/", "/d/f/h=s /d/g=s", MFS_IMPORT_NEW, {"make /d/f", "exists /d/g"}},
		{"/d/ /h=live", "/d/f=s /d/g=s", MFS_IMPORT_NEW, {"rename /h /d/f", "exists /d/g"}},
		{"/d/f=live", "/d/f=s /d/g=s", MFS_IMPORT_NEW, {"remove /d/f", "exists /d/g"}},
		{"/d/f=live", "/d/f=s /d/g=s", MFS_IMPORT_NEW, {"rename /d /c", "exists /d/g"}},
		{"/c/f=live /d/", "/d/e/f=s", MFS_IMPORT_NEW, {"rename /c /d/e", "size /d/e/f"}},
	};

	(void)state;
	check_scenes(scenes, COUNT_OF(scenes));
}

static void what_is_replaced_is_decided_at_one_instant(void **state)
{
	static const struct scene scenes[] = {
		{"/d/f=live", "/d/f=s /d/g=s", 0, {"remove /d/f", "exists /d/g"}},
		{"/d/", "/d/f=s /d/g=s", 0, {"make /d/f", "exists /d/g"}},
		{"/d/", "/d/f=s /d/g=s", 0, {"mkdir /d/f", "exists /d/g"}},
		{"/d/f=live", "/d/f=s /e/g=s", 0, {"rename /d /c", "exists /e/g"}},
		{"/d/f=live", "/d/f=s", 0, {"rmtree /d", "make /d"}},
		/* A directory that is wanted for its own sake is there when the rest is. */
		{"/d/e/", "/d/e/ /z/g=s", 0, {"remove /d/e", "exists /z/g"}},
		{"/d/e/", "/d/e/ /z/g=s", 0, {"rename /d/e /f", "exists /z/g"}},
		{"/d/e/", "/d/e/ /z/g=s", MFS_IMPORT_KEEP, {"remove /d/e", "exists /z/g"}},
	};

	(void)state;
	check_scenes(scenes, COUNT_OF(scenes));
}

/*
 * Many threads
 */

enum { ROUNDS = 60, COMMITTERS = 2, NAMES = 3 };

struct committer {
	mfs *fs;
	unsigned number;
	unsigned flags;
	pthread_barrier_t *barrier;
	int64_t files[ROUNDS];
	pthread_t thread;
};

static void *stop_flag(void)
{
	static atomic_bool stop;

	return &stop;
}

static bool must_stop(void)
{
	return atomic_load_explicit((atomic_bool *)stop_flag(), memory_order_relaxed);
}

static void set_stop(bool stop)
{
	atomic_store_explicit((atomic_bool *)stop_flag(), stop, memory_order_relaxed);
}

/* Imports of names that all have, and of a name of its own. */
static void *commit_again_and_again(void *argument)
{
	struct committer *committer = argument;
	char path[PATH_ROOM];
	char text[TEXT_ROOM];

	for (unsigned round = 0; round < ROUNDS; round++) {
		mfs_import *import = begin(committer->fs);
		(void)snprintf(text, sizeof(text), "%u-%u", committer->number, round);
		for (unsigned i = 0; i < NAMES; i++) {
			(void)snprintf(path, sizeof(path), "/shared/%u/f", i);
			stage_text(import, path, text);
		}
		(void)snprintf(path, sizeof(path), "/shared/own/%s", text);
		stage_text(import, path, text);
		committer->files[round] = mfs_import_commit(import, 0);
		if (committer->files[round] < 0)
			must(!mfs_import_abort(import));
	}
	return NULL;
}

/* What goes on beside them, in the same directories. */
static void *change_the_tree(void *argument)
{
	mfs *fs = argument;
	mfs_file *file;

	while (!must_stop()) {
		must(!mfs_mkdir(fs, "/shared/0/mine/too", 0));
		must(!mfs_open(fs, "/shared/log", "ab", &file));
		must(mfs_write(file, "line", 4) == 4);
		must(!mfs_close(file));
		must(!mfs_rename(fs, "/shared/0/mine", "/shared/1/mine", 0));
		must(!mfs_rename(fs, "/shared/log", "/shared/own/log", 0));
		must(!mfs_rmtree(fs, "/shared/1/mine"));
		must(!mfs_remove(fs, "/shared/own/log"));
	}
	return NULL;
}

static void *look_at_the_tree(void *argument)
{
	mfs *fs = argument;
	char **names;

	while (!must_stop()) {
		mfs_info info;
		must(!mfs_stat(fs, "/shared/2/f", &info) && !info.is_dir);
		must(mfs_listdir(fs, "/shared/own", &names) >= 0);
		mfs_names_free(names);
		must(mfs_glob(fs, "/**/f", &names) == NAMES);
		mfs_names_free(names);
	}
	return NULL;
}

static void imports_come_in_beside_each_other_and_beside_writers(void **state)
{
	mfs *fs = *state;
	struct committer committers[COMMITTERS];
	char *texts[NAMES];

	assert_int_equal(step_aside_setup(NULL), 0);
	make_live(fs, "/shared/0/f=0-0 /shared/1/f=0-0 /shared/2/f=0-0 /shared/own/");
	set_stop(false);
	pthread_t changer = start_thread(change_the_tree, fs);
	pthread_t reader = start_thread(look_at_the_tree, fs);
	for (unsigned i = 0; i < COMMITTERS; i++) {
		committers[i] = (struct committer){.fs = fs, .number = i};
		committers[i].thread = start_thread(commit_again_and_again, &committers[i]);
	}
	for (unsigned i = 0; i < COMMITTERS; i++)
		join_thread(committers[i].thread);
	set_stop(true);
	join_thread(changer);
	join_thread(reader);
	assert_int_equal(step_aside_teardown(NULL), 0);
	for (unsigned i = 0; i < COMMITTERS; i++)
		for (unsigned round = 0; round < ROUNDS; round++)
			assert_code(committers[i].files[round], NAMES + 1);
	char **names;
	assert_code(mfs_listdir(fs, "/shared/own", &names), COMMITTERS * ROUNDS);
	mfs_names_free(names);
	/* The last one came in as a whole, and is the last of one of them. */
	for (unsigned i = 0; i < NAMES; i++) {
		char path[PATH_ROOM];
		(void)snprintf(path, sizeof(path), "/shared/%u/f", i);
		void *buffer;
		int64_t size = mfs_export_buffer(fs, path, 0, &buffer);
		assert_true(size > 0);
		texts[i] = allocate((size_t)size + 1);
		memcpy(texts[i], buffer, (size_t)size);
		mfs_buffer_free(buffer);
		assert_string_equal(texts[i], texts[0]);
	}
	assert_int_equal(strtol(strchr(texts[0], '-') + 1, NULL, 10), ROUNDS - 1);
	for (unsigned i = 0; i < NAMES; i++)
		free(texts[i]);
}

static void *commit_the_same(void *argument)
{
	struct committer *committer = argument;
	char path[PATH_ROOM];
	char text[TEXT_ROOM];

	(void)snprintf(text, sizeof(text), "%u", committer->number);
	for (unsigned round = 0; round < ROUNDS; round++) {
		mfs_import *import = begin(committer->fs);
		for (unsigned i = 0; i < NAMES; i++) {
			(void)snprintf(path, sizeof(path), "/%u/%u/f", round, i);
			stage_text(import, path, text);
		}
		(void)pthread_barrier_wait(committer->barrier);
		committer->files[round] = mfs_import_commit(import, committer->flags);
		if (committer->files[round] < 0)
			must(!mfs_import_abort(import));
	}
	return NULL;
}

/* Two have the same names: one of them brings all its files, the other one none. */
static void race_for_names(mfs *fs, unsigned flags, int64_t loser)
{
	struct committer committers[COMMITTERS];
	pthread_barrier_t barrier;
	char path[PATH_ROOM];

	assert_int_equal(step_aside_setup(NULL), 0);
	assert_int_equal(pthread_barrier_init(&barrier, NULL, COMMITTERS), 0);
	for (unsigned i = 0; i < COMMITTERS; i++) {
		committers[i] =
			(struct committer){.fs = fs, .number = i, .flags = flags, .barrier = &barrier};
		committers[i].thread = start_thread(commit_the_same, &committers[i]);
	}
	for (unsigned i = 0; i < COMMITTERS; i++)
		join_thread(committers[i].thread);
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	assert_int_equal(step_aside_teardown(NULL), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned winner = committers[0].files[round] == NAMES ? 0 : 1;
		assert_code(committers[winner].files[round], NAMES);
		assert_code(committers[1 - winner].files[round], loser);
		for (unsigned i = 0; i < NAMES; i++) {
			(void)snprintf(path, sizeof(path), "/%u/%u/f", round, i);
			assert_text(fs, path, winner ? "1" : "0");
		}
	}
	assert_int_equal(usage_of(fs).files, ROUNDS * NAMES);
}

static void of_two_that_want_new_names_one_gets_all(void **state)
{
	race_for_names(*state, MFS_IMPORT_NEW, MFS_EEXIST);
}

static void of_two_that_keep_what_is_there_one_brings_all(void **state)
{
	race_for_names(*state, MFS_IMPORT_KEEP, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_commit_changes_nothing_and_can_be_made_again),
		cmocka_unit_test(a_refused_import_can_be_given_up),
		IMPORT_TEST(a_refused_commit_can_be_made_with_another_flag),
		IMPORT_TEST(a_held_file_is_not_replaced),
		IMPORT_TEST(a_held_file_is_kept),
		cmocka_unit_test(a_shared_handle_keeps_what_is_replaced_for_itself),
		cmocka_unit_test(an_import_may_be_as_large_as_the_workspace),
		cmocka_unit_test(a_commit_past_the_node_limit_can_be_made_when_there_is_room),
		cmocka_unit_test(what_is_dropped_needs_no_nodes),
		cmocka_unit_test(no_more_metadata_is_staged_than_the_quota_has),
		cmocka_unit_test(a_commit_whose_metadata_finds_no_quota_can_be_made_when_there_is_some),
		IMPORT_TEST(new_wants_no_file_and_takes_directories),
		cmocka_unit_test(keep_drops_what_has_no_place),
		IMPORT_TEST(what_is_kept_is_not_touched),
		IMPORT_TEST(a_large_tree_is_dropped_as_a_whole),
		cmocka_unit_test(what_a_refused_commit_would_have_dropped_comes_in_later),
		cmocka_unit_test(readers_see_all_of_a_commit_or_nothing),
		cmocka_unit_test(what_is_kept_is_decided_at_one_instant),
		cmocka_unit_test(what_is_new_is_decided_at_one_instant),
		cmocka_unit_test(what_is_replaced_is_decided_at_one_instant),
		IMPORT_TEST(imports_come_in_beside_each_other_and_beside_writers),
		IMPORT_TEST(of_two_that_want_new_names_one_gets_all),
		IMPORT_TEST(of_two_that_keep_what_is_there_one_brings_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
