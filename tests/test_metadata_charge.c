/* SPDX-License-Identifier: MIT */
/*
 * Is each file and directory charged its metadata while it is in the tree, to the byte and against
 * the quota if that is wanted, and is the figure near what the allocator has given?
 *
 * Chunks are charged nothing besides their memory here, so that a file of so many bytes leaves room
 * for exactly so much metadata.
 */
#include "support.h"

#include "allocated.h"
#include "await.h"
#include "base/alloc.h"
#include "base/reclaim.h"
#include "fs/filesystem.h"
#include "tree_text.h"

enum { QUOTA = 256 * 1024 };

/* More than any call here allocates. */
enum { MOST_ALLOCATIONS = 200 };

#define LONG_NAME "a-name-that-is-a-good-deal-longer-than-the-one-that-was-there-before"

/*
 * The tree that the calls work on
 */

static mfs *new_charged(uint64_t quota, uint64_t max_nodes)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_quota = quota;
	options.max_nodes = max_nodes;
	options.chunk_overhead = -1;
	options.charge_metadata = 1;
	return new_workspace(&options);
}

/* "/d/loose" and "/t/moved" have got names of their own, the others have their first ones. */
static mfs *new_tree_of(uint64_t max_nodes)
{
	mfs *fs = new_charged(QUOTA, max_nodes);

	make_text(fs, "/filler", "");
	make_dir(fs, "/d/empty");
	make_text(fs, "/d/a", "some text");
	make_text(fs, "/d/b", "");
	make_text(fs, "/d/c", "");
	assert_code(mfs_rename(fs, "/d/c", "/d/loose", 0), 0);
	make_dir(fs, "/t/s/u");
	make_dir(fs, "/t/v");
	assert_code(mfs_rename(fs, "/t/v", "/t/moved", 0), 0);
	make_text(fs, "/t/s/f", "more text");
	make_text(fs, "/t/s/u/g", "");
	make_text(fs, "/t/moved/h", "");
	return fs;
}

/* Files and directories in it. */
enum { NODES = 13 };

static mfs *new_tree(void)
{
	return new_tree_of(0);
}

static uint64_t metadata_bytes(mfs *fs)
{
	return usage_of(fs).metadata_bytes;
}

/* Leaves so many bytes of the quota free. */
static void leave_free(mfs *fs, uint64_t bytes)
{
	uint64_t size = (uint64_t)info_of(fs, "/filler").size + usage_of(fs).free_bytes - bytes;
	void *zeros = allocate(size);

	make_file(fs, "/filler", zeros, size);
	free(zeros);
	assert_int_equal(usage_of(fs).free_bytes, bytes);
}

static void assert_all_unchanged(mfs *fs, const struct snapshot *before)
{
	assert_unchanged(fs, before);
	assert_int_equal(metadata_bytes(fs), before->usage.metadata_bytes);
	assert_true(mfs__validate(fs));
}

/*
 * The calls
 */

static int64_t import_files(mfs *fs, const char *const *paths, size_t count, const char *text)
{
	mfs_import_item items[4];

	assert_in_range(count, 1, COUNT_OF(items));
	for (size_t i = 0; i < count; i++)
		items[i] = (mfs_import_item){.path = paths[i], .data = text, .size = strlen(text)};
	return mfs_import_tree(fs, items, count);
}

static int64_t run_create(mfs *fs)
{
	return try_open(fs, "/t/s/new", "xb");
}

static int64_t undo_create(mfs *fs)
{
	return mfs_remove(fs, "/t/s/new");
}

static int64_t run_create_shared(mfs *fs)
{
	mfs_file *file;
	int code = open_with(fs, "/t/s/new", "wb", MFS_O_SHARED, 0, &file);

	return code ? code : mfs_close(file);
}

static int64_t run_create_preallocated(mfs *fs)
{
	mfs_open_options options = {.struct_size = sizeof(options), .preallocate = 1000};
	mfs_file *file;
	int code = mfs_open_ex(fs, "/t/s/new", "wb", &options, &file);

	return code ? code : mfs_close(file);
}

static int64_t run_mkdir(mfs *fs)
{
	return mfs_mkdir(fs, "/t/new", 0);
}

static int64_t undo_mkdir(mfs *fs)
{
	return mfs_remove(fs, "/t/new");
}

static int64_t run_mkdir_chain(mfs *fs)
{
	return mfs_mkdir(fs, "/t/new/one-in/another/" LONG_NAME, 0);
}

static int64_t undo_mkdir_chain(mfs *fs)
{
	return mfs_rmtree(fs, "/t/new");
}

static int64_t run_copy(mfs *fs)
{
	return mfs_copy(fs, "/d/a", "/t/s/" LONG_NAME);
}

static int64_t undo_copy(mfs *fs)
{
	return mfs_remove(fs, "/t/s/" LONG_NAME);
}

static int64_t run_copy_tree(mfs *fs)
{
	return mfs_copy_tree(fs, "/t", "/d/copy");
}

static int64_t undo_copy_tree(mfs *fs)
{
	return mfs_rmtree(fs, "/d/copy");
}

static int64_t run_rename(mfs *fs)
{
	return mfs_rename(fs, "/d/a", "/d/" LONG_NAME, 0);
}

static int64_t undo_rename(mfs *fs)
{
	return mfs_rename(fs, "/d/" LONG_NAME, "/d/a", 0);
}

static int64_t run_rename_again(mfs *fs)
{
	return mfs_rename(fs, "/d/loose", "/d/" LONG_NAME, 0);
}

static int64_t undo_rename_again(mfs *fs)
{
	return mfs_rename(fs, "/d/" LONG_NAME, "/d/loose", 0);
}

static int64_t run_rename_directory(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/d/" LONG_NAME, 0);
}

static int64_t undo_rename_directory(mfs *fs)
{
	return mfs_rename(fs, "/d/" LONG_NAME, "/t/s", 0);
}

static int64_t run_move(mfs *fs)
{
	return mfs_move(fs, "/d/a", "/new/parents/are/made", 0);
}

static int64_t undo_move(mfs *fs)
{
	int code = mfs_rename(fs, "/new/parents/are/made", "/d/a", 0);

	return code ? code : mfs_rmtree(fs, "/new");
}

static int64_t run_move_directory(mfs *fs)
{
	return mfs_move(fs, "/t/moved", "/d/empty/new/parents", 0);
}

static int64_t undo_move_directory(mfs *fs)
{
	int code = mfs_rename(fs, "/d/empty/new/parents", "/t/moved", 0);

	return code ? code : mfs_rmtree(fs, "/d/empty/new");
}

static int64_t run_exchange(mfs *fs)
{
	return mfs_rename(fs, "/d/a", "/t/s/u/g", MFS_RENAME_EXCHANGE);
}

static int64_t run_exchange_directories(mfs *fs)
{
	return mfs_rename(fs, "/d/empty", "/t/s/u", MFS_RENAME_EXCHANGE);
}

static int64_t run_exchange_kinds(mfs *fs)
{
	return mfs_rename(fs, "/d/b", "/t/s", MFS_RENAME_EXCHANGE);
}

static int64_t run_import(mfs *fs)
{
	static const char long_path[] = "/t/new/parents/" LONG_NAME;
	static const char *const paths[] = {"/t/new/file", long_path, "/t/new/last"};

	return import_files(fs, paths, COUNT_OF(paths), "text");
}

static int64_t undo_import(mfs *fs)
{
	return mfs_rmtree(fs, "/t/new");
}

static int64_t run_import_beside_others(mfs *fs)
{
	static const char *const paths[] = {"/t/s/u/new", "/t/s/new"};

	return import_files(fs, paths, COUNT_OF(paths), "");
}

static int64_t undo_import_beside_others(mfs *fs)
{
	int code = mfs_remove(fs, "/t/s/u/new");

	return code ? code : mfs_remove(fs, "/t/s/new");
}

/* One file comes, and one is replaced that takes more than the new one. */
static int64_t run_import_over_a_file(mfs *fs)
{
	static const char *const paths[] = {"/t/s/" LONG_NAME, "/d/loose"};

	return import_files(fs, paths, COUNT_OF(paths), "");
}

/* Import files of this text in steps; what is refused is given up. */
static int64_t import_in_steps(mfs *fs, const char *const *paths, size_t count, const char *text,
							   unsigned flags)
{
	mfs_import *import;
	int64_t code = mfs_import_begin(fs, &import);

	if (code)
		return code;
	for (size_t i = 0; i < count && code >= 0; i++) {
		mfs_file *file;
		code = mfs_import_open(import, paths[i], "wb", NULL, &file);
		if (!code) {
			code = mfs_write(file, text, strlen(text));
			assert_code(mfs_close(file), 0);
		}
	}
	if (code >= 0)
		code = mfs_import_commit(import, flags);
	if (code < 0) {
		assert_code(mfs_import_abort(import), 0);
		return code;
	}
	return 0;
}

static int64_t run_import_in_steps(mfs *fs)
{
	static const char long_path[] = "/t/new/parents/" LONG_NAME;
	static const char *const paths[] = {"/t/new/file", long_path, "/t/new/last"};

	return import_in_steps(fs, paths, COUNT_OF(paths), "text", MFS_IMPORT_NEW);
}

/* One file comes in. The others go: a file, a file on a directory, and directories on a file. */
static int64_t run_import_keeping(mfs *fs)
{
	static const char below[] = "/d/a/below/" LONG_NAME;
	static const char *const paths[] = {"/t/new/file", "/t/s/f", "/t/moved", below,
										"/d/a/below/too"};

	return import_in_steps(fs, paths, COUNT_OF(paths), "", MFS_IMPORT_KEEP);
}

/* A call that needs quota, and another one that gives all of it back. */
struct call {
	const char *name;
	int64_t (*run)(mfs *fs);
	int64_t (*undo)(mfs *fs);
	bool makes_nodes;
	/* What has its first name gets a block for the next one, and keeps it when renamed back. */
	bool leaves_loose_names;
};

static const struct call calls[] = {
	{"create", run_create, undo_create, true, false},
	{"create shared", run_create_shared, undo_create, true, false},
	{"create preallocated", run_create_preallocated, undo_create, true, false},
	{"mkdir", run_mkdir, undo_mkdir, true, false},
	{"mkdir, a chain", run_mkdir_chain, undo_mkdir_chain, true, false},
	{"copy", run_copy, undo_copy, true, false},
	{"copy_tree", run_copy_tree, undo_copy_tree, true, false},
	{"rename", run_rename, undo_rename, false, true},
	{"rename again", run_rename_again, undo_rename_again, false, false},
	{"rename a directory", run_rename_directory, undo_rename_directory, false, true},
	{"move", run_move, undo_move, true, true},
	{"move a directory", run_move_directory, undo_move_directory, true, false},
	{"exchange", run_exchange, run_exchange, false, true},
	{"exchange directories", run_exchange_directories, run_exchange_directories, false, true},
	{"exchange kinds", run_exchange_kinds, run_exchange_kinds, false, true},
	{"import", run_import, undo_import, true, false},
	{"import beside others", run_import_beside_others, undo_import_beside_others, true, false},
	{"import over a file", run_import_over_a_file, NULL, true, true},
	{"import in steps", run_import_in_steps, undo_import, true, false},
	{"import keeping", run_import_keeping, undo_import, true, false},
};

static int64_t run_remove(mfs *fs)
{
	return mfs_remove(fs, "/d/b");
}

static int64_t run_remove_loose(mfs *fs)
{
	return mfs_remove(fs, "/d/loose");
}

static int64_t run_remove_directory(mfs *fs)
{
	return mfs_remove(fs, "/d/empty");
}

static int64_t run_rmtree(mfs *fs)
{
	return mfs_rmtree(fs, "/t");
}

static int64_t run_rmtree_loose(mfs *fs)
{
	return mfs_rmtree(fs, "/t/moved");
}

static int64_t run_rmtree_of_a_file(mfs *fs)
{
	return mfs_rmtree(fs, "/d/loose");
}

static int64_t run_rename_to_a_shorter_name(mfs *fs)
{
	return mfs_rename(fs, "/d/loose", "/d/l", 0);
}

static int64_t run_rename_to_a_name_as_long(mfs *fs)
{
	return mfs_rename(fs, "/d/loose", "/t/s/esool", 0);
}

static int64_t run_replace(mfs *fs)
{
	return mfs_rename(fs, "/d/b", "/t/s/u/g", MFS_RENAME_REPLACE);
}

static int64_t run_replace_loose(mfs *fs)
{
	return mfs_rename(fs, "/d/b", "/d/loose", MFS_RENAME_REPLACE);
}

static int64_t run_replace_directory(mfs *fs)
{
	return mfs_rename(fs, "/t/s", "/d/empty", MFS_RENAME_REPLACE);
}

static int64_t run_import_replacing(mfs *fs)
{
	static const char *const paths[] = {"/d/a", "/d/loose"};

	return import_files(fs, paths, COUNT_OF(paths), "");
}

static int64_t run_import_in_steps_replacing(mfs *fs)
{
	static const char *const paths[] = {"/d/a", "/d/loose"};

	return import_in_steps(fs, paths, COUNT_OF(paths), "", 0);
}

static int64_t run_import_keeping_all(mfs *fs)
{
	static const char *const paths[] = {"/d/a", "/d/b/below/that", "/t/s"};

	return import_in_steps(fs, paths, COUNT_OF(paths), "", MFS_IMPORT_KEEP);
}

/* Calls that take nothing, or less than they free. */
static const struct call freeing_calls[] = {
	{"remove", run_remove, NULL, false, false},
	{"remove a renamed file", run_remove_loose, NULL, false, false},
	{"remove a directory", run_remove_directory, NULL, false, false},
	{"rmtree", run_rmtree, NULL, false, false},
	{"rmtree of a renamed directory", run_rmtree_loose, NULL, false, false},
	{"rmtree of a file", run_rmtree_of_a_file, NULL, false, false},
	{"rename to a shorter name", run_rename_to_a_shorter_name, NULL, false, false},
	{"rename to a name as long", run_rename_to_a_name_as_long, NULL, false, false},
	{"replace", run_replace, NULL, false, false},
	{"replace a renamed file", run_replace_loose, NULL, false, false},
	{"replace a directory", run_replace_directory, NULL, false, false},
	{"import replacing", run_import_replacing, NULL, false, false},
	{"import in steps replacing", run_import_in_steps_replacing, NULL, false, false},
	{"import keeping all", run_import_keeping_all, NULL, false, false},
};

/*
 * Not charged
 */

static void metadata_is_counted_and_not_charged_by_default(void **state)
{
	mfs *fs = new_plain_workspace(1000);

	(void)state;
	assert_int_equal(metadata_bytes(fs), 0);
	make_file(fs, "/f", (char[1000]){0}, 1000);
	uint64_t one = metadata_bytes(fs);
	assert_in_range(one, 1, 1000);
	make_dir(fs, "/d/e");
	make_text(fs, "/d/e/g", "");
	make_text(fs, "/d/" LONG_NAME, "");
	assert_code(mfs_rename(fs, "/f", "/d/e/" LONG_NAME, 0), 0);
	assert_code(mfs_copy_tree(fs, "/d/e", "/d/copy"), MFS_EQUOTA);
	assert_true(metadata_bytes(fs) > 4 * one);
	assert_int_equal(used_bytes(fs), 1000);
	assert_true(mfs__validate(fs));
	assert_code(mfs_rmtree(fs, "/d"), 0);
	assert_int_equal(metadata_bytes(fs), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Charged
 */

static void an_empty_tree_is_charged_its_metadata(void **state)
{
	mfs *fs = new_charged(QUOTA, 0);

	(void)state;
	assert_int_equal(used_bytes(fs), 0);
	make_dir(fs, "/d/e");
	make_text(fs, "/d/f", "");
	assert_true(metadata_bytes(fs) > 0);
	assert_int_equal(used_bytes(fs), metadata_bytes(fs));
	make_text(fs, "/d/f", "text");
	assert_int_equal(used_bytes(fs), metadata_bytes(fs) + 4);
	assert_int_equal(usage_of(fs).free_bytes, QUOTA - used_bytes(fs));
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void a_name_is_charged_byte_by_byte(void **state)
{
	mfs *fs = new_charged(QUOTA, 0);
	char path[MFS_NAME_MAX + 2] = "/";
	uint64_t before = 0;

	(void)state;
	for (size_t length = 1; length <= MFS_NAME_MAX; length++) {
		path[length] = 'n';
		make_text(fs, path, "");
		uint64_t charge = metadata_bytes(fs);
		assert_code(mfs_remove(fs, path), 0);
		assert_int_equal(metadata_bytes(fs), 0);
		if (length > 1)
			assert_int_equal(charge, before + 1);
		before = charge;
	}
	free_workspace(fs);
}

static void files_fit_until_the_last_byte_is_used(void **state)
{
	mfs *fs = new_charged(QUOTA, 0);
	char path[16];
	unsigned made = 0;
	int code;

	(void)state;
	make_text(fs, "/0000", "");
	uint64_t each = used_bytes(fs);
	assert_code(mfs_remove(fs, "/0000"), 0);
	do {
		(void)snprintf(path, sizeof(path), "/%04u", made);
		code = try_open(fs, path, "xb");
		made += code == 0;
	} while (code == 0);
	assert_code(code, MFS_EQUOTA);
	assert_int_equal(made, QUOTA / each);
	assert_int_equal(used_bytes(fs), made * each);
	struct snapshot before = take_snapshot(fs);
	assert_refused(fs, try_open(fs, path, "xb"), MFS_EQUOTA);
	assert_all_unchanged(fs, &before);
	drop_snapshot(&before);
	/* What goes makes room for as much. */
	assert_code(mfs_remove(fs, "/0000"), 0);
	assert_code(try_open(fs, path, "xb"), 0);
	assert_int_equal(used_bytes(fs), made * each);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/* Which call it was, if a test on one of them fails. */
static void tell_call(const struct call *call)
{
	print_message("    %s\n", call->name);
}

static uint64_t need_of(const struct call *call)
{
	mfs *fs = new_tree();
	uint64_t before = used_bytes(fs);

	assert_code(call->run(fs), 0);
	uint64_t after = used_bytes(fs);
	assert_true(mfs__validate(fs));
	assert_true(after > before);
	free_workspace(fs);
	return after - before;
}

static void a_call_needs_exactly_what_it_is_charged(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		tell_call(&calls[i]);
		uint64_t need = need_of(&calls[i]);
		mfs *fs = new_tree();
		leave_free(fs, need - 1);
		struct snapshot before = take_snapshot(fs);
		assert_refused(fs, calls[i].run(fs), MFS_EQUOTA);
		/* The numbers are told, not the path, which has none. */
		assert_non_null(strpbrk(mfs_last_error(), "0123456789"));
		assert_all_unchanged(fs, &before);
		drop_snapshot(&before);
		leave_free(fs, need);
		assert_code(calls[i].run(fs), 0);
		assert_int_equal(usage_of(fs).free_bytes, 0);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
}

static void what_frees_needs_no_quota(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(freeing_calls); i++) {
		tell_call(&freeing_calls[i]);
		mfs *fs = new_tree();
		leave_free(fs, 0);
		uint64_t before = metadata_bytes(fs);
		assert_code(freeing_calls[i].run(fs), 0);
		assert_in_range(metadata_bytes(fs), 0, before);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
}

static void the_inverse_gives_all_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		const struct call *call = &calls[i];
		if (!call->undo)
			continue;
		tell_call(call);
		mfs *fs = new_tree();
		uint64_t metadata = metadata_bytes(fs);
		uint64_t used = used_bytes(fs);
		for (int round = 0; round < 3; round++) {
			assert_code(call->run(fs), 0);
			assert_true(mfs__validate(fs));
			assert_code(call->undo(fs), 0);
			assert_true(mfs__validate(fs));
			if (round == 0 && call->leaves_loose_names) {
				assert_true(metadata_bytes(fs) > metadata);
				metadata = metadata_bytes(fs);
				used = used_bytes(fs);
			}
			assert_int_equal(metadata_bytes(fs), metadata);
			assert_int_equal(used_bytes(fs), used);
		}
		free_workspace(fs);
	}
}

static void an_import_over_files_gives_their_metadata_back(void **state)
{
	static const char *const paths[] = {"/d/a", "/d/loose"};
	mfs *fs = new_tree();

	(void)state;
	assert_code(import_files(fs, paths, COUNT_OF(paths), "text"), 0);
	/* The second one has come with its name, which needs no block of its own. */
	uint64_t metadata = metadata_bytes(fs);
	assert_code(import_files(fs, paths, COUNT_OF(paths), "other text"), 0);
	assert_int_equal(metadata_bytes(fs), metadata);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void nothing_is_left_when_the_tree_has_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls) + COUNT_OF(freeing_calls); i++) {
		const struct call *call =
			i < COUNT_OF(calls) ? &calls[i] : &freeing_calls[i - COUNT_OF(calls)];
		tell_call(call);
		mfs *fs = new_tree();
		char **names;
		assert_code(call->run(fs), 0);
		int64_t count = mfs_listdir(fs, "/", &names);
		assert_true(count > 0);
		for (int64_t n = 0; n < count; n++)
			assert_code(mfs_rmtree(fs, names[n]), 0);
		mfs_names_free(names);
		assert_int_equal(metadata_bytes(fs), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
}

static void a_removed_file_keeps_its_data_charged_and_not_its_metadata(void **state)
{
	mfs *fs = new_charged(QUOTA, 0);

	(void)state;
	make_text(fs, "/f", "text");
	mfs_file *file = open_shared(fs, "/f", "rb");
	assert_code(mfs_remove(fs, "/f"), 0);
	assert_int_equal(metadata_bytes(fs), 0);
	assert_int_equal(used_bytes(fs), 4);
	close_file(file);
	assert_int_equal(used_bytes(fs), 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void a_refusal_by_the_node_limit_charges_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		if (!calls[i].makes_nodes)
			continue;
		tell_call(&calls[i]);
		mfs *fs = new_tree_of(NODES);
		struct snapshot before = take_snapshot(fs);
		assert_refused(fs, calls[i].run(fs), MFS_ENODES);
		assert_all_unchanged(fs, &before);
		drop_snapshot(&before);
		free_workspace(fs);
	}
}

/*
 * Without memory
 */

static void fail_everywhere(const struct call *call)
{
	bool failed = true;

	for (long n = 1; failed; n++) {
		mfs *fs = new_tree();
		struct snapshot before = take_snapshot(fs);
		assert_true(n < MOST_ALLOCATIONS);
		mfs__alloc_fail_after(n);
		int64_t code = call->run(fs);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		/* What can do without the memory succeeds. */
		if (code) {
			assert_true(failed);
			assert_code(code, MFS_ENOMEM);
			assert_all_unchanged(fs, &before);
		}
		assert_true(mfs__validate(fs));
		drop_snapshot(&before);
		free_workspace(fs);
	}
}

static void a_call_without_memory_charges_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		tell_call(&calls[i]);
		fail_everywhere(&calls[i]);
	}
	for (size_t i = 0; i < COUNT_OF(freeing_calls); i++) {
		tell_call(&freeing_calls[i]);
		fail_everywhere(&freeing_calls[i]);
	}
}

/*
 * Threads
 */

enum { THREADS = 4, ROUNDS = 2000 };

struct worker {
	mfs *fs;
	unsigned number;
	int unexpected; /* a code that none of the calls should give */
	pthread_t thread;
};

static void note(struct worker *worker, int code)
{
	if (code && code != MFS_EQUOTA && code != MFS_ENOENT && code != MFS_EEXIST &&
		code != MFS_ENOTEMPTY && code != MFS_EBUSY)
		worker->unexpected = code;
}

/* Makes, renames and removes in a directory that all share, with room for some of it. */
static void *work(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = {worker->number + 1};

	for (int i = 0; i < ROUNDS; i++) {
		char path[32];
		char other[sizeof(path) + sizeof(LONG_NAME)];
		unsigned name = (unsigned)rng_below(&rng, 12);
		(void)snprintf(path, sizeof(path), "/shared/%u", name);
		(void)snprintf(other, sizeof(other), "/shared/%u%.*s", (unsigned)rng_below(&rng, 12),
					   (int)rng_below(&rng, 20), LONG_NAME);
		switch (rng_below(&rng, 6)) {
		case 0:
			note(worker, try_open(worker->fs, path, "xb"));
			break;
		case 1:
			note(worker, mfs_mkdir(worker->fs, path, 0));
			break;
		case 2:
			note(worker, mfs_rename(worker->fs, path, other, 0));
			break;
		case 3:
			note(worker, mfs_rename(worker->fs, other, path, 0));
			break;
		case 4:
			note(worker, mfs_remove(worker->fs, other));
			break;
		default:
			note(worker, mfs_rmtree(worker->fs, path));
			break;
		}
	}
	return NULL;
}

static void what_threads_do_at_once_adds_up(void **state)
{
	/* Some ten files. */
	mfs *fs = new_charged(2500, 0);
	struct worker workers[THREADS];

	(void)state;
	make_dir(fs, "/shared");
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.fs = fs, .number = i};
		workers[i].thread = start_thread(work, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		join_thread(workers[i].thread);
		assert_code(workers[i].unexpected, 0);
	}
	assert_int_equal(used_bytes(fs), metadata_bytes(fs));
	assert_true(mfs__validate(fs));
	assert_code(mfs_rmtree(fs, "/shared"), 0);
	assert_int_equal(metadata_bytes(fs), 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * The figure and the allocator's
 */

/* So many directories of so many empty files, whose names are so long. */
static void compare_with_allocator(unsigned directories, unsigned files, int length)
{
	mfs *fs = new_workspace(NULL);
	char path[MFS_NAME_MAX + 16];
	uint64_t before;
	uint64_t after;

	if (!allocated_bytes(&before)) {
		free_workspace(fs);
		skip();
	}
	for (unsigned d = 0; d < directories; d++) {
		(void)snprintf(path, sizeof(path), "/d%04u", d);
		make_dir(fs, path);
		for (unsigned f = 0; f < files; f++) {
			(void)snprintf(path, sizeof(path), "/d%04u/%0*u", d, length, f);
			close_file(open_file(fs, path, "xb"));
		}
	}
	assert_true(allocated_bytes(&after));
	double share = (double)metadata_bytes(fs) / (double)(after - before);
	print_message("    %u x %u files, names of %d: %.3f of what is allocated\n", directories, files,
				  length, share);
	assert_true(share > 0.7);
	assert_true(share < 1.3);
	free_workspace(fs);
}

/*
 * Measured: 0.82 to 0.96 with jemalloc, 0.90 to 0.96 with the C library's allocator. What is
 * missing is what these round blocks up by.
 */
static void the_figure_is_near_the_allocators_for_a_large_directory(void **state)
{
	(void)state;
	compare_with_allocator(1, 10000, 11);
}

static void the_figure_is_near_the_allocators_for_small_directories(void **state)
{
	(void)state;
	compare_with_allocator(1000, 10, 5);
}

static void the_figure_is_near_the_allocators_for_long_names(void **state)
{
	(void)state;
	compare_with_allocator(1, 10000, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_is_counted_and_not_charged_by_default),
		cmocka_unit_test(an_empty_tree_is_charged_its_metadata),
		cmocka_unit_test(a_name_is_charged_byte_by_byte),
		cmocka_unit_test(files_fit_until_the_last_byte_is_used),
		cmocka_unit_test(a_call_needs_exactly_what_it_is_charged),
		cmocka_unit_test(what_frees_needs_no_quota),
		cmocka_unit_test(the_inverse_gives_all_back),
		cmocka_unit_test(an_import_over_files_gives_their_metadata_back),
		cmocka_unit_test(nothing_is_left_when_the_tree_has_gone),
		cmocka_unit_test(a_removed_file_keeps_its_data_charged_and_not_its_metadata),
		cmocka_unit_test(a_refusal_by_the_node_limit_charges_nothing),
		cmocka_unit_test(a_call_without_memory_charges_nothing),
		cmocka_unit_test(what_threads_do_at_once_adds_up),
		cmocka_unit_test(the_figure_is_near_the_allocators_for_a_large_directory),
		cmocka_unit_test(the_figure_is_near_the_allocators_for_small_directories),
		cmocka_unit_test(the_figure_is_near_the_allocators_for_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
