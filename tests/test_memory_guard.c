/* SPDX-License-Identifier: MIT */
/*
 * Does the memory guard let exactly as much be taken as the last sample allows, by all workspaces
 * together, and does what it refuses leave no trace?
 *
 * The source is a function of the test's, and samples are taken when the test says so.
 */
#include "guarded.h"

#include "base/alloc.h"
#include "base/reclaim.h"
#include "step_aside.h"
#include "tree_text.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LONG_NAME "a-name-that-is-a-good-deal-longer-than-the-one-that-was-there-before"

enum { PIECE = 64 * 1024 };

static long live_before;

static int setup(void **state)
{
	(void)state;
	live_before = mfs__alloc_live();
	use_source(true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	use_source(false);
	return mfs__alloc_live() == live_before ? 0 : -1;
}

/* Warnings, and what they say. */
struct warnings {
	unsigned count;
	pthread_t thread;
	char last[200];
	void (*more)(struct warnings *warnings); /* or NULL */
	mfs *fs;
	unsigned failures;
};

static void note_warning(void *user, const char *message)
{
	struct warnings *warnings = user;

	warnings->count++;
	warnings->thread = pthread_self();
	(void)snprintf(warnings->last, sizeof(warnings->last), "%s", message);
	if (warnings->more)
		warnings->more(warnings);
}

static mfs *new_warned(struct warnings *warnings)
{
	mfs_options options = guarded_options(MFS_GUARD_WARN);

	options.on_warning = note_warning;
	options.user = warnings;
	warnings->fs = new_workspace(&options);
	return warnings->fs;
}

/*
 * The calls that take memory
 */

/* "/f" has 100,000 bytes, "/d/a" a few. */
static void make_tree(mfs *fs)
{
	say(PLENTY);
	make_file(fs, "/f", zeros, 100000);
	make_dir(fs, "/d/e");
	make_text(fs, "/d/a", "some text");
	make_text(fs, "/d/e/b", "more text");
}

static int64_t close_after(mfs_file *file, int64_t result)
{
	int code = mfs_close(file);

	return result < 0 ? result : code;
}

static int64_t run_write(mfs *fs)
{
	mfs_file *file = open_file(fs, "/f", "ab");

	return close_after(file, mfs_write(file, zeros, PIECE));
}

static int64_t run_pwrite(mfs *fs)
{
	mfs_file *file = open_file(fs, "/f", "r+b");

	return close_after(file, mfs_pwrite(file, zeros, PIECE, 300000));
}

static int64_t run_writev(mfs *fs)
{
	struct iovec vector[] = {{zeros, 1000}, {zeros, PIECE}};
	mfs_file *file = open_file(fs, "/f", "ab");

	return close_after(file, mfs_writev(file, vector, 2));
}

static int64_t run_write_shared(mfs *fs)
{
	mfs_file *file = open_shared(fs, "/f", "ab");

	return close_after(file, mfs_write(file, zeros, PIECE));
}

static int64_t run_truncate(mfs *fs)
{
	mfs_file *file = open_file(fs, "/f", "r+b");

	return close_after(file, mfs_truncate(file, 400000));
}

static int64_t run_reserve(mfs *fs)
{
	mfs_file *file = open_file(fs, "/f", "ab");
	void *data;

	return close_after(file, mfs_reserve(file, PIECE, &data));
}

static int64_t run_adopt(mfs *fs)
{
	mfs_file *file = open_file(fs, "/d/a", "ab");

	return close_after(file, mfs_write_adopt(file, zeros, PIECE, NULL, NULL));
}

static int64_t run_copy_range(mfs *fs)
{
	mfs_file *from = open_file(fs, "/f", "rb");
	mfs_file *to = open_file(fs, "/d/a", "ab");
	int64_t result = mfs_copy_range(from, 0, to, 0, PIECE);

	return close_after(from, close_after(to, result));
}

static int64_t run_write_from_fd(mfs *fs)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, zeros, PIECE), PIECE);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	mfs_file *file = open_file(fs, "/f", "ab");
	int64_t result = mfs_write_from_fd(file, 0, PIECE, fd);
	/* What is refused is not read. */
	assert_int_equal(lseek(fd, 0, SEEK_CUR), result < 0 ? 0 : PIECE);
	(void)close(fd);
	return close_after(file, result);
}

static int64_t run_preallocate(mfs *fs)
{
	mfs_open_options options = {.struct_size = sizeof(options), .preallocate = PIECE};
	mfs_file *file;
	int code = mfs_open_ex(fs, "/d/a", "r+b", &options, &file);

	return code ? code : mfs_close(file);
}

static int64_t run_reservation(mfs *fs)
{
	mfs_reservation *reservation;
	int code = mfs_reservation_new(fs, PIECE, &reservation);

	return code ? code : mfs_reservation_free(reservation);
}

static int64_t run_create(mfs *fs)
{
	return try_open(fs, "/d/new", "xb");
}

static int64_t run_mkdir(mfs *fs)
{
	return mfs_mkdir(fs, "/d/one/two", 0);
}

static int64_t run_copy(mfs *fs)
{
	return mfs_copy(fs, "/f", "/d/copy");
}

static int64_t run_copy_tree(mfs *fs)
{
	return mfs_copy_tree(fs, "/d", "/copy");
}

static int64_t run_rename(mfs *fs)
{
	return mfs_rename(fs, "/d/a", "/d/" LONG_NAME, 0);
}

static int64_t run_move(mfs *fs)
{
	return mfs_move(fs, "/d/e", "/new/parents/" LONG_NAME, 0);
}

static int64_t run_import(mfs *fs)
{
	const mfs_import_item items[] = {
		{.path = "/d/e/b", .data = zeros, .size = 1000},
		{.path = "/new/file", .data = zeros, .size = 1000},
	};

	return mfs_import_tree(fs, items, COUNT_OF(items));
}

static const struct call {
	const char *name;
	int64_t (*run)(mfs *fs);
} calls[] = {
	{"write", run_write},
	{"pwrite", run_pwrite},
	{"writev", run_writev},
	{"write, shared", run_write_shared},
	{"truncate", run_truncate},
	{"reserve", run_reserve},
	{"write_adopt", run_adopt},
	{"copy_range", run_copy_range},
	{"write_from_fd", run_write_from_fd},
	{"open, preallocating", run_preallocate},
	{"reservation_new", run_reservation},
	{"create", run_create},
	{"mkdir", run_mkdir},
	{"copy", run_copy},
	{"copy_tree", run_copy_tree},
	{"rename", run_rename},
	{"move", run_move},
	{"import_tree", run_import},
};

static void check_refusal(mfs *fs, const struct call *call)
{
	struct snapshot before = take_snapshot(fs);
	uint64_t generation = info_of(fs, "/f").generation;

	AWAIT(mfs__reclaim_pending() == 0);
	long live = mfs__alloc_live();

	say(0);
	assert_refused(fs, call->run(fs), MFS_EMEMGUARD);
	assert_non_null(strstr(mfs_last_error(), "memory guard"));
	/* But for what was made, and never seen, and goes after a grace period. */
	AWAIT(mfs__alloc_live() == live);
	assert_unchanged(fs, &before);
	assert_int_equal(info_of(fs, "/f").generation, generation);
	assert_int_equal(usage_of(fs).metadata_bytes, before.usage.metadata_bytes);
	assert_int_equal(usage_of(fs).guard_refusals, before.usage.guard_refusals + 1);
	assert_true(mfs__validate(fs));
	drop_snapshot(&before);
	say(PLENTY);
	assert_true(call->run(fs) >= 0);
	assert_true(mfs__validate(fs));
}

static void calls_that_are_refused_change_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		mfs *fs = new_guarded(MFS_GUARD_FAIL);
		print_message("             %s\n", calls[i].name);
		make_tree(fs);
		check_refusal(fs, &calls[i]);
		free_workspace(fs);
	}
	assert_false(mfs_is_quota_error(MFS_EMEMGUARD));
}

static void metadata_that_is_charged_is_refused_as_well(void **state)
{
	static int64_t (*const runs[])(mfs *) = {run_create, run_mkdir, run_rename, run_move};
	mfs_options options = guarded_options(MFS_GUARD_FAIL);

	(void)state;
	options.charge_metadata = 1;
	for (size_t i = 0; i < COUNT_OF(runs); i++) {
		struct call call = {"", runs[i]};
		mfs *fs = new_workspace(&options);
		make_tree(fs);
		check_refusal(fs, &call);
		free_workspace(fs);
	}
}

static void refused_write_does_not_even_try_to_allocate(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	make_tree(fs);
	mfs_file *file = open_file(fs, "/f", "ab");
	say(0);
	mfs__alloc_fail_after(1);
	assert_code(mfs_write(file, zeros, 4 * MIB), MFS_EMEMGUARD);
	assert_code(mfs_truncate(file, 8 * MIB), MFS_EMEMGUARD);
	assert_false(mfs__alloc_failed());
	mfs__alloc_fail_after(0);
	close_file(file);
	free_workspace(fs);
}

static void what_takes_no_memory_goes_on(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);
	char buffer[16];

	(void)state;
	make_tree(fs);
	mfs_file *file = open_file(fs, "/f", "r+b");
	say(0);
	assert_code(mfs_pwrite(file, zeros, PIECE, 1000), PIECE);
	assert_code(mfs_pread(file, buffer, sizeof(buffer), 0), sizeof(buffer));
	assert_code(mfs_truncate(file, 50000), 0);
	close_file(file);
	assert_code(mfs_remove(fs, "/d/a"), 0);
	assert_code(mfs_rmtree(fs, "/d"), 0);
	assert_int_equal(usage_of(fs).guard_refusals, 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * How much
 */

static void last_byte_that_is_allowed_is_granted(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	make_text(fs, "/a", "");
	mfs_file *file = open_file(fs, "/a", "ab");
	for (unsigned round = 0; round < 3; round++) {
		uint64_t allowed = usable(8 * MIB) - 1;
		say(8 * MIB);
		assert_code(mfs_write(file, zeros, allowed + 1), MFS_EMEMGUARD);
		assert_code(mfs_write(file, zeros, allowed), allowed);
		/* Room for it that was taken before is none that the guard has to grant. */
		uint64_t size = (uint64_t)info_of(fs, "/a").size;
		assert_int_equal(used_bytes(fs), size);
		assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
		assert_int_equal(info_of(fs, "/a").size, size);
	}
	close_file(file);
	free_workspace(fs);
}

static void quota_still_has_its_say(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *file = open_empty(fs);
	say(128 * MIB);
	assert_code(mfs_truncate(file, 64 * MIB + 1), MFS_EQUOTA);
	say(16 * MIB);
	/* More than either has. */
	assert_code(mfs_truncate(file, 64 * MIB + 1), MFS_EQUOTA);
	assert_code(mfs_truncate(file, 64 * MIB), MFS_EMEMGUARD);
	close_file(file);
	free_workspace(fs);
}

static void what_is_released_may_be_taken_again(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	make_text(fs, "/a", "");
	say(8 * MIB);
	mfs_file *file = open_file(fs, "/a", "r+b");
	for (unsigned round = 0; round < 10; round++) {
		assert_code(mfs_pwrite(file, zeros, 7 * MIB, 0), 7 * MIB);
		assert_code(mfs_pwrite(file, zeros, 8 * MIB, 0), MFS_EMEMGUARD);
		assert_code(mfs_truncate(file, 0), 0);
		assert_int_equal(used_bytes(fs), 0);
	}
	close_file(file);
	free_workspace(fs);
}

static void approvals_that_nobody_uses_end_with_the_next_sample(void **state)
{
	mfs *one = new_guarded(MFS_GUARD_FAIL);
	mfs *two = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *first = open_empty(one);
	mfs_file *second = open_empty(two);
	say(4 * MIB);
	/* Takes some more than it needs. */
	assert_code(mfs_write(first, zeros, 4096), 4096);
	assert_code(mfs_write(second, zeros, usable(4 * MIB) - 1 - 4096), MFS_EMEMGUARD);
	say(4 * MIB);
	assert_allows(second, usable(4 * MIB) - 1);
	close_file(first);
	close_file(second);
	free_workspace(one);
	free_workspace(two);
}

static void workspace_that_ends_gives_its_approvals_back(void **state)
{
	mfs *one = new_guarded(MFS_GUARD_FAIL);
	mfs *two = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *first = open_empty(one);
	mfs_file *second = open_empty(two);
	say(4 * MIB);
	assert_code(mfs_write(first, zeros, 4096), 4096);
	close_file(first);
	free_workspace(one);
	assert_allows(second, usable(4 * MIB) - 1 - 4096);
	close_file(second);
	free_workspace(two);
}

static void each_workspace_leaves_alone_what_it_keeps(void **state)
{
	mfs_options options = guarded_options(MFS_GUARD_FAIL);

	(void)state;
	options.memory_guard_keep = 8 * MIB;
	mfs *modest = new_workspace(&options);
	mfs *other = new_guarded(MFS_GUARD_FAIL);
	mfs_file *first = open_empty(modest);
	mfs_file *second = open_empty(other);
	say(16 * MIB);
	assert_allows(first, usable(16 * MIB) - 8 * MIB);
	assert_allows(second, 8 * MIB - 1);
	close_file(first);
	close_file(second);
	free_workspace(modest);
	free_workspace(other);
}

static void default_keeps_sixteen_mebibytes(void **state)
{
	mfs_options options = guarded_options(MFS_GUARD_FAIL);

	(void)state;
	options.memory_guard_keep = 0;
	mfs *fs = new_workspace(&options);
	mfs_file *file = open_empty(fs);
	say(16 * MIB);
	assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
	say(32 * MIB);
	assert_allows(file, usable(32 * MIB) - 16 * MIB);
	close_file(file);
	free_workspace(fs);
}

static void names_and_directories_count(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);
	uint64_t allowed = usable(MIB) - 1;
	uint64_t before = usage_of(fs).metadata_bytes;
	char path[32];
	int code = 0;
	unsigned made = 0;

	(void)state;
	say(MIB);
	for (; !code; made += !code) {
		(void)snprintf(path, sizeof(path), "/%u/%u", made % 10, made);
		code = mfs_mkdir(fs, path, 0);
	}
	assert_code(code, MFS_EMEMGUARD);
	uint64_t taken = usage_of(fs).metadata_bytes - before;
	assert_in_range(taken, allowed - 16 * KIB, allowed);
	assert_true(made > 1000);
	/* The quota is not what it is charged to. */
	assert_int_equal(used_bytes(fs), 0);
	assert_code(mfs_remove(fs, "/5/5"), 0);
	assert_code(mfs_mkdir(fs, "/5/5", 0), 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void workspaces_without_guard_are_never_refused(void **state)
{
	mfs *guarded = new_guarded(MFS_GUARD_FAIL);
	mfs *plain = new_plain_workspace(64 * MIB);

	(void)state;
	mfs_file *file = open_empty(guarded);
	say(0);
	make_file(plain, "/a", zeros, 16 * MIB);
	assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
	/* And they take nothing of what others may have: the next sample sees it. */
	say(8 * MIB);
	make_file(plain, "/b", zeros, 16 * MIB);
	assert_allows(file, usable(8 * MIB) - 1);
	assert_int_equal(usage_of(plain).guard_refusals, 0);
	close_file(file);
	free_workspace(plain);
	free_workspace(guarded);
}

/*
 * Many threads
 */

struct filler {
	mfs *fs;
	mfs_file *file;
	struct rng rng;
	int64_t code; /* valid once joined */
	pthread_t thread;
};

static void *fill(void *argument)
{
	struct filler *filler = argument;

	do
		filler->code = mfs_write(filler->file, zeros, 1 + rng_below(&filler->rng, PIECE));
	while (filler->code > 0);
	return NULL;
}

static void threads_of_all_workspaces_share_what_is_allowed(void **state)
{
	mfs *workspaces[3];
	struct filler fillers[8];
	uint64_t used = 0;
	uint64_t allowed = usable(48 * MIB) - 1;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(workspaces); i++)
		workspaces[i] = new_guarded(MFS_GUARD_FAIL);
	for (size_t i = 0; i < COUNT_OF(fillers); i++) {
		char path[16];
		fillers[i] = (struct filler){.fs = workspaces[i % COUNT_OF(workspaces)], .rng = {i + 1}};
		(void)snprintf(path, sizeof(path), "/%zu", i);
		fillers[i].file = open_file(fillers[i].fs, path, "wb");
	}
	assert_int_equal(step_aside_setup(NULL), 0);
	say(48 * MIB);
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		fillers[i].thread = start_thread(fill, &fillers[i]);
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		join_thread(fillers[i].thread);
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		assert_code(fillers[i].code, MFS_EMEMGUARD);
	for (size_t i = 0; i < COUNT_OF(workspaces); i++)
		used += used_bytes(workspaces[i]);
	/* Each workspace is refused what its last call wanted, and not more. */
	assert_in_range(used, allowed - COUNT_OF(workspaces) * PIECE, allowed);
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		close_file(fillers[i].file);
	for (size_t i = 0; i < COUNT_OF(workspaces); i++) {
		assert_true(mfs__validate(workspaces[i]));
		free_workspace(workspaces[i]);
	}
}

/* A thread that is held at a point, once. */
static struct {
	const char *point;
	atomic_bool is_there;
	atomic_bool go_on;
} held;

static _Thread_local bool is_to_be_held;

static void hold_once(const char *point)
{
	if (!is_to_be_held || strcmp(point, held.point) != 0)
		return;
	is_to_be_held = false;
	atomic_store(&held.is_there, true);
	while (!atomic_load(&held.go_on))
		(void)sched_yield();
}

static void hold_at(const char *point)
{
	held.point = point;
	atomic_store(&held.is_there, false);
	atomic_store(&held.go_on, false);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_once, memory_order_release);
}

/* A thread that writes once. */
struct writer {
	mfs_file *file;
	size_t size;
	int64_t offset; /* or -1: at the cursor */
	int64_t code;   /* valid once joined */
	pthread_t thread;
};

static void *write_once(void *argument)
{
	struct writer *writer = argument;

	is_to_be_held = true;
	writer->code = writer->offset < 0
					   ? mfs_write(writer->file, zeros, writer->size)
					   : mfs_pwrite(writer->file, zeros, writer->size, writer->offset);
	is_to_be_held = false;
	return NULL;
}

static void two_cannot_take_the_same_bytes(void **state)
{
	mfs *one = new_guarded(MFS_GUARD_FAIL);
	mfs *two = new_guarded(MFS_GUARD_FAIL);
	struct writer writer = {.size = 3 * MIB, .offset = -1};

	(void)state;
	writer.file = open_empty(one);
	mfs_file *second = open_empty(two);
	say(4 * MIB);
	hold_at("guard: allowance seen");
	writer.thread = start_thread(write_once, &writer);
	AWAIT(atomic_load(&held.is_there));
	assert_code(mfs_write(second, zeros, 3 * MIB), 3 * MIB);
	atomic_store(&held.go_on, true);
	join_thread(writer.thread);
	assert_code(writer.code, MFS_EMEMGUARD);
	close_file(writer.file);
	close_file(second);
	free_workspace(one);
	free_workspace(two);
}

/*
 * What is reserved and no memory yet
 */

static void reservations_count_until_they_are_drawn(void **state)
{
	mfs *one = new_guarded(MFS_GUARD_FAIL);
	mfs *two = new_guarded(MFS_GUARD_FAIL);
	mfs_open_options options = {.struct_size = sizeof(options)};
	mfs_file *drawing;

	(void)state;
	make_text(one, "/a", "");
	mfs_file *file = open_empty(two);
	say(16 * MIB);
	assert_code(mfs_reservation_new(one, 8 * MIB, &options.reservation), 0);
	assert_code(mfs_write(file, zeros, 8 * MIB), MFS_EMEMGUARD);
	/* The source sees nothing of them. */
	say(16 * MIB);
	assert_allows(file, usable(8 * MIB) - 1);
	assert_code(mfs_open_ex(one, "/a", "wb", &options, &drawing), 0);
	/* What is set aside needs nobody's leave. */
	assert_code(mfs_write(drawing, zeros, 6 * MIB), 6 * MIB);
	say(8 * MIB);
	assert_allows(file, usable(6 * MIB) - 1);
	close_file(drawing);
	assert_code(mfs_reservation_free(options.reservation), 0);
	say(8 * MIB);
	assert_allows(file, usable(8 * MIB) - 1);
	close_file(file);
	free_workspace(one);
	free_workspace(two);
}

/* The write gets chunks of its own in the place of shared ones: there is a point before it copies
 * the bytes. */
static void large_write_that_is_under_way_counts(void **state)
{
	mfs *one = new_guarded(MFS_GUARD_FAIL);
	mfs *two = new_guarded(MFS_GUARD_FAIL);
	struct writer writer = {.size = 8 * MIB, .offset = 0};

	(void)state;
	make_file(one, "/a", zeros, 4 * MIB);
	assert_code(mfs_copy(one, "/a", "/b"), 0);
	writer.file = open_file(one, "/b", "r+b");
	mfs_file *file = open_empty(two);
	hold_at("share: about to drop");
	writer.thread = start_thread(write_once, &writer);
	AWAIT(atomic_load(&held.is_there));
	say(16 * MIB);
	assert_allows(file, usable(8 * MIB) - 1);
	atomic_store(&held.go_on, true);
	join_thread(writer.thread);
	assert_code(writer.code, 8 * MIB);
	say(8 * MIB);
	assert_allows(file, usable(8 * MIB) - 1);
	close_file(writer.file);
	close_file(file);
	free_workspace(one);
	free_workspace(two);
}

/* More is pending than there is available. */
static void nothing_is_allowed_where_too_much_is_pending(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);
	mfs_reservation *reservation;

	(void)state;
	mfs_file *file = open_empty(fs);
	assert_code(mfs_reservation_new(fs, 32 * MIB, &reservation), 0);
	say(16 * MIB);
	assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
	assert_code(mfs_reservation_free(reservation), 0);
	close_file(file);
	free_workspace(fs);
}

static void waiting_write_is_told_that_the_guard_refuses(void **state)
{
	mfs_options options = guarded_options(MFS_GUARD_FAIL);
	mfs_reservation *reservations[2];
	struct writer writer = {.size = 2 * MIB, .offset = -1};

	(void)state;
	options.max_quota = 4 * MIB;
	options.space_timeout = MFS_WAIT_FOREVER;
	mfs *fs = new_workspace(&options);
	writer.file = open_empty(fs);
	for (size_t i = 0; i < 2; i++)
		assert_code(mfs_reservation_new(fs, 3 * MIB / 2, &reservations[i]), 0);
	say(0);
	writer.thread = start_thread(write_once, &writer);
	AWAIT(usage_of(fs).waiters == 1);
	/* Now there is enough quota, of which the guard would have to grant half a mebibyte. */
	assert_code(mfs_reservation_free(reservations[0]), 0);
	join_thread(writer.thread);
	assert_code(writer.code, MFS_EMEMGUARD);
	assert_code(mfs_reservation_free(reservations[1]), 0);
	close_file(writer.file);
	assert_int_equal(used_bytes(fs), 0);
	free_workspace(fs);
}

/*
 * While a sample is taken
 */

static int write_and_answer(void *user, uint64_t *available)
{
	mfs_file *file = user;

	if (file)
		assert_code(mfs_write(file, zeros, 3 * MIB), 3 * MIB);
	*available = 8 * MIB;
	return 0;
}

static void what_is_taken_while_the_source_is_asked_counts(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *file = open_empty(fs);
	say(4 * MIB);
	/* The source is asked with no lock held that a write takes. */
	ask_hook(write_and_answer, file);
	mfs__guard_sample();
	ask_hook(ask_source, NULL);
	/* What the write was granted beyond its need is lost until the next sample. */
	uint64_t left = usable(8 * MIB) - 1 - 3 * MIB;
	assert_code(mfs_write(file, zeros, left + 1), MFS_EMEMGUARD);
	assert_code(mfs_write(file, zeros, left - PIECE), left - PIECE);
	close_file(file);
	free_workspace(fs);
}

static int remove_and_answer(void *user, uint64_t *available)
{
	mfs *fs = user;

	if (mfs_exists(fs, "/old"))
		assert_code(mfs_remove(fs, "/old"), 0);
	*available = 8 * MIB;
	return 0;
}

/* What is released meanwhile is part of the answer, and is not there a second time. */
static void what_is_released_while_the_source_is_asked_counts_once(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	make_file(fs, "/old", zeros, 4 * MIB);
	mfs_file *file = open_empty(fs);
	ask_hook(remove_and_answer, fs);
	mfs__guard_sample();
	assert_false(mfs_exists(fs, "/old"));
	ask_hook(ask_source, NULL);
	assert_allows(file, usable(8 * MIB) - 1);
	close_file(file);
	free_workspace(fs);
}

/* A source that is another program's answer. */
static int fork_and_answer(void *user, uint64_t *available)
{
	int status = -1;
	pid_t child = fork();

	(void)user;
	if (child == 0)
		_exit(0);
	*available = 8 * MIB;
	return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

static void source_may_fork(void **state)
{
	mfs *plain = new_workspace(NULL);

	(void)state;
	ask_hook(fork_and_answer, NULL);
	/* The first one: this thread asks. */
	mfs *fs = new_guarded(MFS_GUARD_FAIL);
	assert_int_equal(usage_of(fs).guard_available, 8 * MIB);
	mfs__guard_sample();
	assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_HOOK);
	free_workspace(fs);
	ask_hook(ask_source, NULL);
	free_workspace(plain);
}

/* Members that are no workspaces. */
struct member {
	struct mfs__guard_member guard;
	struct mfs__guard_member *buyer; /* takes while this one is looked at, or NULL */
	uint64_t bought;
};

static uint64_t revoke_nothing(struct mfs__guard_member *guard)
{
	struct member *member = mfs__container_of(guard, struct member, guard);

	if (member->buyer)
		member->bought += mfs__guard_take(member->buyer, MIB, MIB);
	return 0;
}

static uint64_t nothing_pending(struct mfs__guard_member *guard)
{
	(void)guard;
	return 0;
}

static void be_silent(struct mfs__guard_member *guard, const char *message)
{
	(void)guard;
	(void)message;
}

static struct member new_member(void)
{
	return (struct member){.guard = {.fails = true,
									 .interval_ns = AN_HOUR * MFS__NS_PER_MS,
									 .keep = 1,
									 .revoke = revoke_nothing,
									 .pending = nothing_pending,
									 .warn = be_silent}};
}

/* A workspace that was looked at takes more, while others are looked at. */
static void what_is_taken_while_approvals_are_revoked_counts(void **state)
{
	static struct member first;
	static struct member second;

	(void)state;
	first = new_member();
	second = new_member();
	mfs__guard_join(&first.guard);
	mfs__guard_join(&second.guard);
	/* Whichever is looked at last. */
	first.buyer = &second.guard;
	second.buyer = &first.guard;
	say(8 * MIB);
	first.buyer = NULL;
	second.buyer = NULL;
	uint64_t left = mfs__guard_take(&first.guard, 1, 1);
	/* All there is, a part at a time. */
	for (uint64_t got = left; got; left += got)
		got = mfs__guard_take(&first.guard, 1, PLENTY);
	mfs__guard_leave(&first.guard);
	mfs__guard_leave(&second.guard);
	assert_true(first.bought >= MIB && second.bought >= MIB);
	assert_int_equal(left, usable(8 * MIB) - 1 - first.bought - second.bought);
}

/*
 * Sources
 */

static void unknown_source_allows_all(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *file = open_empty(fs);
	for (unsigned round = 0; round < 3; round++) {
		say(0);
		assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
		assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_HOOK);
		atomic_store(&source.is_unknown, true);
		mfs__guard_sample();
		assert_code(mfs_write(file, zeros, 16 * MIB), 16 * MIB);
		assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_UNKNOWN);
		assert_int_equal(usage_of(fs).guard_available, 0);
		assert_true(usage_of(fs).guard_sample_age >= 0);
		assert_code(mfs_truncate(file, 0), 0);
		say(MIB);
		assert_allows(file, usable(MIB) - 1);
	}
	close_file(file);
	free_workspace(fs);
}

static void any_number_of_bytes_is_a_number(void **state)
{
	static const uint64_t numbers[] = {UINT64_MAX, (uint64_t)INT64_MAX + 1, INT64_MAX, PLENTY};
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *file = open_empty(fs);
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		say(numbers[i]);
		assert_int_equal(usage_of(fs).guard_available, numbers[i]);
		assert_code(mfs_write(file, zeros, 8 * MIB), 8 * MIB);
		say(1);
		assert_code(mfs_write(file, zeros, 1), MFS_EMEMGUARD);
	}
	close_file(file);
	free_workspace(fs);
}

static void platform_is_asked_without_a_hook(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	say(77);
	assert_int_equal(usage_of(fs).guard_available, 77);
	ask_hook(NULL, NULL);
	mfs__memory_source_root(NULL);
	/* Holds from the next sample on. */
	assert_int_equal(usage_of(fs).guard_available, 77);
	mfs__guard_sample();
	assert_int_not_equal(usage_of(fs).guard_source, MFS_MEMORY_HOOK);
	assert_int_not_equal(usage_of(fs).guard_source, MFS_MEMORY_UNKNOWN);
	assert_int_not_equal(usage_of(fs).guard_available, 77);
	free_workspace(fs);
}

/*
 * Warnings
 */

static void calls_that_are_warned_of_go_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		struct warnings warnings = {0};
		mfs *fs = new_warned(&warnings);
		print_message("             %s\n", calls[i].name);
		make_tree(fs);
		assert_int_equal(warnings.count, 0);
		say(0);
		assert_true(calls[i].run(fs) >= 0);
		assert_int_equal(warnings.count, 1);
		assert_non_null(strstr(warnings.last, "memory guard"));
		assert_true(pthread_equal(warnings.thread, pthread_self()));
		assert_true(usage_of(fs).guard_refusals >= 1);
		assert_true(mfs__validate(fs));
		free_workspace(fs);
	}
}

static void what_was_taken_too_much_is_not_there_for_others(void **state)
{
	struct warnings warnings = {0};
	mfs *careless = new_warned(&warnings);
	mfs *careful = new_guarded(MFS_GUARD_FAIL);

	(void)state;
	mfs_file *file = open_empty(careless);
	mfs_file *refused = open_empty(careful);
	say(4 * MIB);
	assert_code(mfs_write(file, zeros, 8 * MIB), 8 * MIB);
	assert_int_equal(warnings.count, 1);
	assert_code(mfs_write(refused, zeros, 1), MFS_EMEMGUARD);
	say(4 * MIB);
	assert_allows(refused, usable(4 * MIB) - 1);
	close_file(file);
	close_file(refused);
	free_workspace(careless);
	free_workspace(careful);
}

static void warnings_come_once_in_an_interval(void **state)
{
	struct warnings rare = {0};
	struct warnings frequent = {0};
	mfs_options options = guarded_options(MFS_GUARD_WARN);

	(void)state;
	mfs *fs = new_warned(&rare);
	options.on_warning = note_warning;
	options.user = &frequent;
	options.memory_guard_interval = 1;
	int64_t since = mfs__now();
	mfs *impatient = new_workspace(&options);
	say(0);
	for (unsigned i = 0; i < 100; i++)
		assert_code(try_open(fs, "/a", "wb") || mfs_remove(fs, "/a"), 0);
	for (unsigned i = 0; frequent.count < 4; i++) {
		char path[16];
		(void)snprintf(path, sizeof(path), "/%u", i);
		assert_code(mfs_mkdir(impatient, path, 0), 0);
	}
	assert_true(mfs__now() - since >= 3 * MFS__NS_PER_MS);
	assert_int_equal(rare.count, 1);
	free_workspace(impatient);
	free_workspace(fs);
}

static mfs_file *warned_file;
static mfs_file *other_handle;

static int use_the_workspace(mfs *fs)
{
	mfs_options options = guarded_options(MFS_GUARD_WARN);
	mfs_reservation *reservation;
	mfs_usage usage;
	mfs *another;
	char byte;

	/* The call has done its work. */
	if (mfs_get_size(fs, "/empty") != PIECE || mfs_pread(other_handle, &byte, 1, PIECE - 1) != 1)
		return __LINE__;
	if (mfs_write(other_handle, "x", 1) != 1 || mfs_write(warned_file, "y", 1) != 1)
		return __LINE__;
	if (mfs_stats(fs, &usage) || usage.guard_refusals == 0 || mfs_mkdir(fs, "/in/a/warning", 0) ||
		mfs_rmtree(fs, "/in"))
		return __LINE__;
	if (mfs_reservation_new(fs, 1000, &reservation) || mfs_reservation_free(reservation))
		return __LINE__;
	if (mfs_new(&options, &another) || mfs_free(another))
		return __LINE__;
	mfs__guard_sample();
	pid_t child = fork();
	int status = -1;
	if (child == 0)
		_exit(mfs_mkdir(fs, "/child", 0) ? 1 : 0);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return __LINE__;
	return 0;
}

static void use_all(struct warnings *warnings)
{
	int line = use_the_workspace(warnings->fs);

	if (line) {
		print_error("in the warning: line %d, %s\n", line, mfs_last_error());
		warnings->failures++;
	}
}

static void warning_may_call_the_library(void **state)
{
	struct warnings warnings = {.more = use_all};
	mfs *fs = new_warned(&warnings);

	(void)state;
	make_text(fs, "/empty", "");
	warned_file = open_shared(fs, "/empty", "r+b");
	other_handle = open_shared(fs, "/empty", "r+b");
	assert_code(mfs_seek(other_handle, PIECE, SEEK_SET), PIECE);
	say(0);
	assert_code(mfs_write(warned_file, zeros, PIECE), PIECE);
	assert_int_equal(warnings.count, 1);
	assert_int_equal(warnings.failures, 0);
	assert_code(mfs_get_size(fs, "/empty"), PIECE + 1);
	close_file(warned_file);
	close_file(other_handle);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/* Who serves a waiter takes in its name, and warns at the end of its own call. */
static void whoever_serves_a_waiter_warns(void **state)
{
	struct warnings warnings = {0};
	mfs_options options = guarded_options(MFS_GUARD_WARN);
	mfs_reservation *reservations[2];
	struct writer writer = {.size = 2 * MIB, .offset = -1};

	(void)state;
	options.max_quota = 4 * MIB;
	options.space_timeout = MFS_WAIT_FOREVER;
	options.on_warning = note_warning;
	options.user = &warnings;
	mfs *fs = new_workspace(&options);
	writer.file = open_empty(fs);
	for (size_t i = 0; i < 2; i++)
		assert_code(mfs_reservation_new(fs, 3 * MIB / 2, &reservations[i]), 0);
	say(0);
	writer.thread = start_thread(write_once, &writer);
	AWAIT(usage_of(fs).waiters == 1);
	assert_code(mfs_reservation_free(reservations[0]), 0);
	/* Nothing is left to be said that would outlive the workspace. */
	assert_null(mfs__guard_noticed);
	join_thread(writer.thread);
	assert_code(writer.code, 2 * MIB);
	assert_int_equal(warnings.count, 1);
	assert_code(mfs_reservation_free(reservations[1]), 0);
	close_file(writer.file);
	free_workspace(fs);
}

static int warn_by_default(void)
{
	mfs *one = new_guarded(MFS_GUARD_WARN);
	mfs *two = new_guarded(MFS_GUARD_WARN);

	say(0);
	for (unsigned i = 0; i < 10; i++) {
		char path[16];
		(void)snprintf(path, sizeof(path), "/%u", i);
		if (mfs_mkdir(one, path, 0) || mfs_mkdir(two, path, 0))
			return 1;
	}
	return mfs_free(one) || mfs_free(two);
}

static void default_is_one_line_on_standard_error(void **state)
{
	char text[1000] = "";
	size_t length = 0;
	ssize_t got;
	int ends[2];
	int status = -1;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		_exit(warn_by_default());
	}
	(void)close(ends[1]);
	while ((got = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	(void)close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_memory_equal(text, "dmemfs: memory guard", 20);
	assert_int_equal(strcspn(text, "\n"), length - 1);
}

/*
 * MFS_GUARD_INIT
 */

static mfs_options init_options(int action, struct warnings *warnings)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.max_quota = 64 * MIB;
	options.memory_guard = MFS_GUARD_INIT;
	options.memory_guard_action = action;
	options.on_warning = note_warning;
	options.user = warnings;
	return options;
}

static void creation_asks_for_the_whole_quota(void **state)
{
	struct warnings warnings = {0};
	mfs_options options = init_options(MFS_GUARD_FAIL, &warnings);
	mfs *fs = (mfs *)&options;

	(void)state;
	say(64 * MIB - 1);
	assert_code(mfs_new(&options, &fs), MFS_EMEMGUARD);
	assert_null(fs);
	assert_non_null(strstr(mfs_last_error(), "67108864"));
	assert_non_null(strstr(mfs_last_error(), "67108863"));
	assert_int_equal(mfs__alloc_live(), live_before);
	/* It asks by itself. */
	atomic_store(&source.available, 64 * MIB);
	uint64_t asked = atomic_load(&source.asked);
	assert_code(mfs_new(&options, &fs), 0);
	assert_int_equal(atomic_load(&source.asked), asked + 1);
	assert_int_equal(usage_of(fs).guard_refusals, 0);
	/* And not again. */
	say(0);
	make_file(fs, "/a", zeros, 16 * MIB);
	assert_int_equal(usage_of(fs).guard_refusals, 0);
	free_workspace(fs);
	atomic_store(&source.is_unknown, true);
	assert_code(mfs_new(&options, &fs), 0);
	free_workspace(fs);
	assert_int_equal(warnings.count, 0);
}

static void creation_warns(void **state)
{
	struct warnings warnings = {0};
	mfs_options options = init_options(MFS_GUARD_WARN, &warnings);

	(void)state;
	say(64 * MIB - 1);
	mfs *fs = new_workspace(&options);
	assert_int_equal(warnings.count, 1);
	assert_non_null(strstr(warnings.last, "67108864"));
	assert_non_null(strstr(warnings.last, "67108863"));
	assert_int_equal(usage_of(fs).guard_refusals, 1);
	make_file(fs, "/a", zeros, 16 * MIB);
	assert_int_equal(warnings.count, 1);
	free_workspace(fs);
}

/*
 * Figures
 */

/* The first test: no sample was taken in this process. */
static void nothing_is_known_before_the_first_sample(void **state)
{
	mfs *fs = new_workspace(NULL);
	mfs_usage usage = usage_of(fs);

	(void)state;
	assert_int_equal(usage.guard_available, 0);
	assert_int_equal(usage.guard_sample_age, -1);
	assert_int_equal(usage.guard_refusals, 0);
	assert_int_equal(usage.guard_source, MFS_MEMORY_UNKNOWN);
	make_file(fs, "/a", zeros, 4 * MIB);
	assert_int_equal(usage_of(fs).guard_sample_age, -1);
	free_workspace(fs);
}

static void figures_are_those_of_the_last_sample(void **state)
{
	mfs *fs = new_guarded(MFS_GUARD_FAIL);
	mfs *other = new_guarded(MFS_GUARD_FAIL);
	mfs_usage usage;

	(void)state;
	AWAIT(usage_of(fs).guard_sample_age >= 2);
	int64_t before = mfs__now();
	say(12345);
	usage = usage_of(fs);
	assert_in_range(usage.guard_sample_age, 0, (mfs__now() - before) / MFS__NS_PER_MS);
	assert_int_equal(usage.guard_available, 12345);
	assert_int_equal(usage.guard_source, MFS_MEMORY_HOOK);
	say(0);
	for (unsigned i = 0; i < 5; i++)
		assert_code(mfs_mkdir(fs, "/new", 0), MFS_EMEMGUARD);
	assert_int_equal(usage_of(fs).guard_refusals, 5);
	assert_int_equal(usage_of(other).guard_refusals, 0);
	free_workspace(fs);
	free_workspace(other);
}

/*
 * The thread
 */

static void thread_runs_while_there_are_guarded_workspaces(void **state)
{
	struct warnings warnings = {0};
	mfs_options init = init_options(MFS_GUARD_WARN, &warnings);
	mfs *plain = new_workspace(NULL);
	mfs *asking = new_workspace(&init);

	(void)state;
	/* A thread that was joined may still be listed for an instant. */
	AWAIT(count_guards() == 0);
	make_text(plain, "/a", "text");
	make_text(asking, "/a", "text");
	assert_int_equal(count_guards(), 0);
	for (unsigned round = 0; round < 10; round++) {
		mfs *one = new_guarded(MFS_GUARD_FAIL);
		assert_int_equal(count_guards(), 1);
		mfs *two = new_guarded(MFS_GUARD_WARN);
		assert_int_equal(count_guards(), 1);
		free_workspace(one);
		assert_int_equal(count_guards(), 1);
		free_workspace(two);
		AWAIT(count_guards() == 0);
	}
	free_workspace(plain);
	free_workspace(asking);
}

/* Neither what was sampled for a creation counts, nor what is left of former workspaces. */
static void first_workspace_asks_afresh(void **state)
{
	struct warnings warnings = {0};
	mfs_options init = init_options(MFS_GUARD_WARN, &warnings);
	mfs *plain = new_workspace(&init);

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		uint64_t asked = atomic_load(&source.asked);
		atomic_store(&source.available, round % 2 ? PLENTY : MIB);
		mfs *one = new_guarded(MFS_GUARD_FAIL);
		assert_int_equal(atomic_load(&source.asked), asked + 1);
		mfs *two = new_guarded(MFS_GUARD_FAIL);
		assert_int_equal(atomic_load(&source.asked), asked + 1);
		assert_int_equal(usage_of(one).guard_available, round % 2 ? PLENTY : MIB);
		free_workspace(one);
		free_workspace(two);
	}
	free_workspace(plain);
}

static void thread_samples_as_often_as_anybody_wants(void **state)
{
	mfs_options options = guarded_options(MFS_GUARD_FAIL);
	mfs *patient = new_guarded(MFS_GUARD_FAIL);
	mfs_file *file = open_empty(patient);

	(void)state;
	say(0);
	options.memory_guard_interval = 1;
	mfs *impatient = new_workspace(&options);
	uint64_t asked = atomic_load(&source.asked);
	AWAIT(atomic_load(&source.asked) >= asked + 5);
	atomic_store(&source.available, PLENTY);
	AWAIT(mfs_write(file, zeros, MIB) == (int64_t)MIB);
	free_workspace(impatient);
	close_file(file);
	free_workspace(patient);
}

static void thread_takes_no_signals(void **state)
{
	mfs_options options = guarded_options(MFS_GUARD_FAIL);
	unsigned long long blocked = 0;
	char line[256];
	char path[64];
	long tid = 0;

	(void)state;
	options.memory_guard_interval = 1;
	mfs *fs = new_workspace(&options);
	/* A thread that has not run yet blocks all signals anyway. */
	uint64_t asked = atomic_load(&source.asked);
	AWAIT(atomic_load(&source.asked) > asked);
	assert_int_equal(count_threads("mfs-guard", &tid), 1);
	(void)snprintf(path, sizeof(path), "/proc/self/task/%ld/status", tid);
	FILE *status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		if (strncmp(line, "SigBlk:", 7) == 0)
			blocked = strtoull(line + 7, NULL, 16);
	(void)fclose(status);
	static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE};
	for (size_t i = 0; i < COUNT_OF(signals); i++)
		assert_true(blocked & (1ull << (signals[i] - 1)));
	free_workspace(fs);
}

/*
 * Options
 */

static void options_have_their_range(void **state)
{
	const mfs_options good = guarded_options(MFS_GUARD_FAIL);
	mfs_memory_options memory = {.struct_size = sizeof(memory)};
	mfs_options bad[5];
	mfs *fs;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		bad[i] = good;
	bad[0].memory_guard = -1;
	bad[1].memory_guard = MFS_GUARD_PER_WRITE + 1;
	bad[2].memory_guard_action = -1;
	bad[3].memory_guard_action = MFS_GUARD_FAIL + 1;
	bad[4].memory_guard_interval = -1;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_code(mfs_new(&bad[i], &fs), MFS_EINVAL);
		assert_non_null(strstr(mfs_last_error(), "memory_guard"));
	}
	/* What is long or much is nothing bad. */
	bad[0] = good;
	bad[0].memory_guard_interval = INT64_MAX;
	bad[0].memory_guard_keep = UINT64_MAX;
	fs = new_workspace(&bad[0]);
	say(PLENTY);
	assert_code(mfs_mkdir(fs, "/d", 0), MFS_EMEMGUARD);
	free_workspace(fs);
	memory.retired_bytes = (uint64_t)INT64_MAX + 1;
	assert_code(mfs_configure_memory(&memory), MFS_EINVAL);
	assert_non_null(strstr(mfs_last_error(), "retired_bytes"));
}

#define GUARD_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_before_the_first_sample),
		GUARD_TEST(calls_that_are_refused_change_nothing),
		GUARD_TEST(metadata_that_is_charged_is_refused_as_well),
		GUARD_TEST(refused_write_does_not_even_try_to_allocate),
		GUARD_TEST(what_takes_no_memory_goes_on),
		GUARD_TEST(last_byte_that_is_allowed_is_granted),
		GUARD_TEST(quota_still_has_its_say),
		GUARD_TEST(what_is_released_may_be_taken_again),
		GUARD_TEST(approvals_that_nobody_uses_end_with_the_next_sample),
		GUARD_TEST(workspace_that_ends_gives_its_approvals_back),
		GUARD_TEST(each_workspace_leaves_alone_what_it_keeps),
		GUARD_TEST(default_keeps_sixteen_mebibytes),
		GUARD_TEST(names_and_directories_count),
		GUARD_TEST(workspaces_without_guard_are_never_refused),
		GUARD_TEST(threads_of_all_workspaces_share_what_is_allowed),
		GUARD_TEST(two_cannot_take_the_same_bytes),
		GUARD_TEST(reservations_count_until_they_are_drawn),
		GUARD_TEST(large_write_that_is_under_way_counts),
		GUARD_TEST(nothing_is_allowed_where_too_much_is_pending),
		GUARD_TEST(waiting_write_is_told_that_the_guard_refuses),
		GUARD_TEST(what_is_taken_while_the_source_is_asked_counts),
		GUARD_TEST(what_is_released_while_the_source_is_asked_counts_once),
		GUARD_TEST(source_may_fork),
		GUARD_TEST(what_is_taken_while_approvals_are_revoked_counts),
		GUARD_TEST(unknown_source_allows_all),
		GUARD_TEST(any_number_of_bytes_is_a_number),
		GUARD_TEST(platform_is_asked_without_a_hook),
		GUARD_TEST(calls_that_are_warned_of_go_on),
		GUARD_TEST(what_was_taken_too_much_is_not_there_for_others),
		GUARD_TEST(warnings_come_once_in_an_interval),
		GUARD_TEST(warning_may_call_the_library),
		GUARD_TEST(whoever_serves_a_waiter_warns),
		GUARD_TEST(default_is_one_line_on_standard_error),
		GUARD_TEST(creation_asks_for_the_whole_quota),
		GUARD_TEST(creation_warns),
		GUARD_TEST(figures_are_those_of_the_last_sample),
		GUARD_TEST(thread_runs_while_there_are_guarded_workspaces),
		GUARD_TEST(first_workspace_asks_afresh),
		GUARD_TEST(thread_samples_as_often_as_anybody_wants),
		GUARD_TEST(thread_takes_no_signals),
		GUARD_TEST(options_have_their_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
