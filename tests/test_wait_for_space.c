/* SPDX-License-Identifier: MIT */
/*
 * Do those who wait for space sleep until there is enough, get what they wait for in the order of
 * arrival, and leave nothing behind when they give up?
 *
 * Chunks are charged nothing besides their memory here, so that a closed file of so many bytes
 * takes exactly so much of the quota. The quota is small: no thread has bytes of it in hand.
 */
#include "support.h"

#include "await.h"
#include "fs/filesystem.h"
#include "step_aside.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { QUOTA = 1000, WANTED = 400 };

/* Long enough for somebody else to look again, short for a test. */
enum { SHORT_MS = 30 };

static mfs *new_small(void)
{
	return new_plain_workspace(QUOTA);
}

static void make_sized(mfs *fs, const char *path, size_t size)
{
	void *zeros = allocate(size);

	make_file(fs, path, zeros, size);
	free(zeros);
}

/* A workspace that "/large" and "/small" fill. */
enum { LARGE = 700, SMALL = QUOTA - LARGE };

static mfs *new_full(void)
{
	mfs *fs = new_small();

	make_sized(fs, "/large", LARGE);
	make_sized(fs, "/small", SMALL);
	assert_int_equal(used_bytes(fs), QUOTA);
	return fs;
}

static void remove_file(mfs *fs, const char *path)
{
	assert_code(mfs_remove(fs, path), 0);
}

static void free_sound(mfs *fs)
{
	assert_int_equal(usage_of(fs).waiters, 0);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Calls in threads of their own
 */

struct call {
	int64_t (*run)(struct call *call);
	mfs *fs;
	uint64_t bytes;
	int64_t timeout;
	const char *path;
	mfs_file *file;
	int64_t result; /* once joined */
	pthread_t thread;
	/* Atomic: `result` is there. */
	atomic_bool returned;
};

static void *call_in_thread(void *argument)
{
	struct call *call = argument;

	call->result = call->run(call);
	atomic_store_explicit(&call->returned, true, memory_order_relaxed);
	return NULL;
}

static void call_start(struct call *call)
{
	atomic_init(&call->returned, false);
	call->thread = start_thread(call_in_thread, call);
}

static bool has_returned(struct call *call)
{
	return atomic_load_explicit(&call->returned, memory_order_relaxed);
}

static int64_t call_join(struct call *call)
{
	join_thread(call->thread);
	return call->result;
}

/* So many wait. Who waits is in the line, and asleep or about to be. */
static void await_waiters(mfs *fs, uint64_t count)
{
	AWAIT(usage_of(fs).waiters == count);
}

/* Start it and let it get in line behind `before` others. */
static void call_start_waiting(struct call *call, uint64_t before)
{
	call_start(call);
	await_waiters(call->fs, before + 1);
	assert_false(has_returned(call));
}

static int64_t run_wait(struct call *call)
{
	return mfs_wait_for_space(call->fs, call->bytes, call->timeout);
}

static struct call waiting_for(mfs *fs, uint64_t bytes)
{
	return (struct call){.run = run_wait, .fs = fs, .bytes = bytes, .timeout = MFS_WAIT_FOREVER};
}

static int open_waiting(mfs *fs, const char *path, const char *mode, unsigned flags,
						int64_t space_timeout, mfs_file **out)
{
	mfs_open_options options = {.struct_size = sizeof(options)};

	options.flags = flags;
	options.space_timeout = space_timeout;
	return mfs_open_ex(fs, path, mode, &options, out);
}

/* Write a file of so many bytes. */
static int64_t run_write_file(struct call *call)
{
	unsigned char bytes[QUOTA] = {0};
	mfs_file *file;
	int64_t result = open_waiting(call->fs, call->path, "wb", 0, call->timeout, &file);

	if (result == 0) {
		result = mfs_write(file, bytes, call->bytes);
		(void)mfs_close(file);
	}
	return result;
}

static struct call writing(mfs *fs, const char *path, uint64_t bytes)
{
	return (struct call){
		.run = run_write_file, .fs = fs, .path = path, .bytes = bytes, .timeout = MFS_WAIT_FOREVER};
}

/* Holding one thread at a point of the library. */
static const char *held_at;
/* Atomic, any thread. */
static atomic_bool is_held;
static atomic_bool may_go_on;

static void hold_first(const char *point)
{
	if (strcmp(point, held_at) != 0 ||
		atomic_exchange_explicit(&is_held, true, memory_order_relaxed))
		return;
	AWAIT(atomic_load_explicit(&may_go_on, memory_order_relaxed));
}

/* From now on the first thread that comes to the point stays there. */
static void hold_at(const char *point)
{
	held_at = point;
	atomic_store_explicit(&is_held, false, memory_order_relaxed);
	atomic_store_explicit(&may_go_on, false, memory_order_relaxed);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_first, memory_order_release);
}

static void await_held(void)
{
	AWAIT(atomic_load_explicit(&is_held, memory_order_relaxed));
}

static void let_go_on(void)
{
	atomic_store_explicit(&may_go_on, true, memory_order_relaxed);
}

static void remove_hook(void)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
}

static int remove_hook_after(void **state)
{
	(void)state;
	remove_hook();
	return 0;
}

/*
 * Waiting, and no more
 */

static void what_is_free_is_not_waited_for(void **state)
{
	static const int64_t timeouts[] = {0, 1, MFS_NO_WAIT, MFS_WAIT_FOREVER};
	mfs *fs = new_small();

	(void)state;
	make_sized(fs, "/large", LARGE);
	for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
		assert_code(mfs_wait_for_space(fs, 0, timeouts[i]), 0);
		assert_code(mfs_wait_for_space(fs, 1, timeouts[i]), 0);
		assert_code(mfs_wait_for_space(fs, SMALL, timeouts[i]), 0);
	}
	/* Nothing was taken. */
	assert_int_equal(used_bytes(fs), LARGE);
	remove_file(fs, "/large");
	assert_code(mfs_wait_for_space(fs, QUOTA, MFS_NO_WAIT), 0);
	free_sound(fs);
}

static void more_than_the_quota_is_not_waited_for(void **state)
{
	mfs *fs = new_small();

	(void)state;
	assert_refused(fs, mfs_wait_for_space(fs, QUOTA + 1, MFS_WAIT_FOREVER), MFS_EQUOTA);
	assert_refused(fs, mfs_wait_for_space(fs, UINT64_MAX, MFS_NO_WAIT), MFS_EQUOTA);
	free_sound(fs);
}

static void wrong_arguments_are_refused(void **state)
{
	mfs *fs = new_small();

	(void)state;
	assert_refused(fs, mfs_wait_for_space(NULL, 1, 0), MFS_EINVAL);
	assert_refused(fs, mfs_wait_for_space(fs, 1, -3), MFS_EINVAL);
	assert_refused(fs, mfs_wait_for_space(fs, 1, INT64_MIN), MFS_EINVAL);
	free_sound(fs);
}

static void a_wait_ends_with_its_time(void **state)
{
	mfs *fs = new_full();

	(void)state;
	assert_refused(fs, mfs_wait_for_space(fs, 1, MFS_NO_WAIT), MFS_EBUSY);
	assert_refused(fs, mfs_wait_for_space(fs, 1, 0), MFS_ETIMEDOUT);
	int64_t before = clock_ns(CLOCK_MONOTONIC);
	assert_refused(fs, mfs_wait_for_space(fs, QUOTA, SHORT_MS), MFS_ETIMEDOUT);
	assert_true(clock_ns(CLOCK_MONOTONIC) - before >= SHORT_MS * MFS__NS_PER_MS);
	assert_int_equal(used_bytes(fs), QUOTA);
	free_sound(fs);
}

/*
 * What wakes
 */

/* Things that give space back; each has its preparation, and what it frees at least. */
struct giver {
	const char *name;
	void (*prepare)(mfs *fs);
	void (*give)(mfs *fs);
};

static mfs_file *giving; /* a handle, or NULL */
static mfs_reservation *set_aside;

static void prepare_file(mfs *fs)
{
	make_sized(fs, "/giving", WANTED);
}

static void prepare_tree(mfs *fs)
{
	make_dir(fs, "/tree/below");
	make_sized(fs, "/tree/below/a", WANTED / 2);
	make_sized(fs, "/tree/b", WANTED / 2);
}

static void prepare_replacement(mfs *fs)
{
	make_sized(fs, "/giving", WANTED);
	make_sized(fs, "/empty", 0);
}

static void prepare_handle(mfs *fs)
{
	make_sized(fs, "/giving", WANTED);
	giving = open_file(fs, "/giving", "r+b");
}

static void prepare_removed(mfs *fs)
{
	make_sized(fs, "/giving", WANTED);
	giving = open_shared(fs, "/giving", "rb");
	remove_file(fs, "/giving");
}

/* Reserved in place, and never committed. */
static void prepare_room(mfs *fs)
{
	void *data;

	giving = open_file(fs, "/giving", "wb");
	assert_code(mfs_reserve(giving, WANTED, &data), WANTED);
}

static void prepare_reservation(mfs *fs)
{
	assert_code(mfs_reservation_new(fs, WANTED, &set_aside), 0);
}

static void give_by_remove(mfs *fs)
{
	remove_file(fs, "/giving");
}

static void give_by_rmtree(mfs *fs)
{
	assert_code(mfs_rmtree(fs, "/tree"), 0);
}

static void give_by_rename(mfs *fs)
{
	assert_code(mfs_rename(fs, "/empty", "/giving", MFS_RENAME_REPLACE), 0);
}

static void give_by_open(mfs *fs)
{
	close_file(open_file(fs, "/giving", "wb"));
}

static void give_by_truncate(mfs *fs)
{
	(void)fs;
	assert_code(mfs_truncate(giving, 0), 0);
}

static void give_by_close(mfs *fs)
{
	(void)fs;
	close_file(giving);
	giving = NULL;
}

static void give_by_reservation(mfs *fs)
{
	(void)fs;
	assert_code(mfs_reservation_free(set_aside), 0);
}

static const struct giver givers[] = {
	{"remove", prepare_file, give_by_remove},
	{"rmtree", prepare_tree, give_by_rmtree},
	{"rename that replaces", prepare_replacement, give_by_rename},
	{"open that empties", prepare_file, give_by_open},
	{"truncate", prepare_handle, give_by_truncate},
	{"close of a removed file", prepare_removed, give_by_close},
	{"close with room that is not used", prepare_room, give_by_close},
	{"end of a reservation", prepare_reservation, give_by_reservation},
};

static void whatever_gives_space_back_wakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(givers); i++) {
		const struct giver *giver = &givers[i];
		mfs *fs = new_small();

		giver->prepare(fs);
		/* What the handle has taken ahead is in the way, too. */
		make_sized(fs, "/filler", QUOTA - used_bytes(fs));
		assert_int_equal(used_bytes(fs), QUOTA);
		struct call call = waiting_for(fs, WANTED);
		call_start_waiting(&call, 0);
		giver->give(fs);
		if (usage_of(fs).waiters != 0)
			print_error("not woken by: %s\n", giver->name);
		assert_int_equal(usage_of(fs).waiters, 0);
		assert_code(call_join(&call), 0);
		if (giving)
			close_file(giving);
		giving = NULL;
		free_sound(fs);
	}
}

static void less_than_is_wanted_does_not_wake(void **state)
{
	mfs *fs = new_full();
	struct call call = waiting_for(fs, SMALL + 1);

	(void)state;
	call_start_waiting(&call, 0);
	remove_file(fs, "/small");
	assert_int_equal(usage_of(fs).waiters, 1);
	assert_false(has_returned(&call));
	/* What was given back adds up. */
	remove_file(fs, "/large");
	assert_code(call_join(&call), 0);
	free_sound(fs);
}

static void space_in_another_workspace_does_not_wake(void **state)
{
	mfs *fs = new_full();
	mfs *other = new_full();
	struct call call = waiting_for(fs, SMALL);

	(void)state;
	call_start_waiting(&call, 0);
	remove_file(other, "/large");
	remove_file(other, "/small");
	assert_int_equal(usage_of(fs).waiters, 1);
	assert_int_equal(usage_of(other).waiters, 0);
	assert_false(has_returned(&call));
	remove_file(fs, "/small");
	assert_code(call_join(&call), 0);
	free_sound(other);
	free_sound(fs);
}

/* Space that comes when a call has been refused, and before it is in line, wakes nobody. */
static void who_gets_in_line_looks_first(void **state)
{
	mfs *fs = new_full();
	struct mfs__space_waiter waiter;

	(void)state;
	remove_file(fs, "/small");
	assert_true(mfs__space_begin(&fs->quota, &waiter, SMALL, false));
	assert_int_equal(waiter.code, 0);
	assert_int_equal(used_bytes(fs), LARGE);
	assert_true(mfs__space_begin(&fs->quota, &waiter, SMALL, true));
	assert_int_equal(waiter.code, 0);
	assert_int_equal(used_bytes(fs), QUOTA);
	mfs__quota_release(&fs->quota, SMALL);
	free_sound(fs);
}

static int64_t run_remove_large(struct call *call)
{
	return mfs_remove(call->fs, "/large");
}

/* In line, and its look still to come. */
static void release_before_the_look_in_line_is_seen(mfs *fs, struct call *call)
{
	struct call release = {.run = run_remove_large, .fs = fs};

	hold_at("space: in line");
	call_start(call);
	await_held();
	call_start(&release);
	/* The bytes are there. Whoever gave them cannot tell the waiter yet. */
	AWAIT(atomic_load_explicit(&fs->quota.room, memory_order_relaxed) >= LARGE);
	let_go_on();
	assert_code(call_join(&release), 0);
}

static void no_wake_up_is_lost_between_line_and_look(void **state)
{
	mfs *fs = new_full();

	(void)state;
	struct call wait = waiting_for(fs, LARGE);
	release_before_the_look_in_line_is_seen(fs, &wait);
	assert_code(call_join(&wait), 0);
	remove_hook();

	make_sized(fs, "/large", LARGE);
	struct call write = writing(fs, "/written", LARGE);
	release_before_the_look_in_line_is_seen(fs, &write);
	assert_code(call_join(&write), LARGE);
	free_sound(fs);
}

static void no_wake_up_is_lost_between_look_and_sleep(void **state)
{
	mfs *fs = new_full();
	struct call write = writing(fs, "/written", LARGE);

	(void)state;
	hold_at("space: about to sleep");
	call_start(&write);
	await_held();
	remove_file(fs, "/large");
	/* It has the space, though it does not know yet. */
	assert_int_equal(usage_of(fs).waiters, 0);
	assert_int_equal(used_bytes(fs), QUOTA);
	let_go_on();
	assert_code(call_join(&write), LARGE);
	free_sound(fs);
}

/*
 * Who is woken
 */

static void who_wants_less_is_not_held_up_by_who_wants_more(void **state)
{
	mfs *fs = new_full();
	struct call more = waiting_for(fs, LARGE);
	struct call less = waiting_for(fs, SMALL);

	(void)state;
	call_start_waiting(&more, 0);
	call_start_waiting(&less, 1);
	remove_file(fs, "/small");
	assert_code(call_join(&less), 0);
	assert_int_equal(usage_of(fs).waiters, 1);
	assert_false(has_returned(&more));
	remove_file(fs, "/large");
	assert_code(call_join(&more), 0);
	free_sound(fs);
}

enum { CROWD = 5 };

static const char *const crowd_paths[CROWD] = {"/0", "/1", "/2", "/3", "/4"};

/* Five of 100 bytes fill a part of the workspace that is full. */
static mfs *new_crowded(void)
{
	mfs *fs = new_small();

	for (int i = 0; i < CROWD; i++)
		make_sized(fs, crowd_paths[i], 100);
	make_sized(fs, "/filler", QUOTA - CROWD * 100);
	return fs;
}

static void writes_are_granted_space_in_the_order_of_arrival(void **state)
{
	static const char *const paths[CROWD] = {"/a", "/b", "/c", "/d", "/e"};
	mfs *fs = new_crowded();
	struct call calls[CROWD];

	(void)state;
	for (uint64_t i = 0; i < CROWD; i++) {
		calls[i] = writing(fs, paths[i], 100);
		call_start_waiting(&calls[i], i);
	}
	for (uint64_t i = 0; i < CROWD; i++) {
		remove_file(fs, crowd_paths[i]);
		assert_code(call_join(&calls[i]), 100);
		assert_int_equal(usage_of(fs).waiters, CROWD - 1 - i);
	}
	assert_int_equal(used_bytes(fs), QUOTA);
	free_sound(fs);
}

static void a_release_wakes_as_many_writes_as_it_is_enough_for(void **state)
{
	static const char *const paths[CROWD] = {"/a", "/b", "/c", "/d", "/e"};
	mfs *fs = new_small();
	struct call calls[CROWD];

	(void)state;
	make_sized(fs, "/two", 200);
	make_sized(fs, "/three", 300);
	make_sized(fs, "/filler", QUOTA - 500);
	for (uint64_t i = 0; i < CROWD; i++) {
		calls[i] = writing(fs, paths[i], 100);
		call_start_waiting(&calls[i], i);
	}
	remove_file(fs, "/two");
	assert_int_equal(usage_of(fs).waiters, 3);
	assert_code(call_join(&calls[0]), 100);
	assert_code(call_join(&calls[1]), 100);
	for (int i = 2; i < CROWD; i++)
		assert_false(has_returned(&calls[i]));
	assert_int_equal(usage_of(fs).waiters, 3);
	remove_file(fs, "/three");
	for (int i = 2; i < CROWD; i++)
		assert_code(call_join(&calls[i]), 100);
	free_sound(fs);
}

static void a_release_wakes_as_many_waits_as_it_is_enough_for(void **state)
{
	mfs *fs = new_small();
	struct call calls[CROWD];

	(void)state;
	make_sized(fs, "/two", 200);
	make_sized(fs, "/filler", QUOTA - 200);
	/* The first two get on together. For none of the others would it be enough in any case. */
	for (uint64_t i = 0; i < CROWD; i++) {
		calls[i] = waiting_for(fs, i < 2 ? 100 : 201);
		call_start_waiting(&calls[i], i);
	}
	remove_file(fs, "/two");
	assert_int_equal(usage_of(fs).waiters, 3);
	assert_code(call_join(&calls[0]), 0);
	assert_code(call_join(&calls[1]), 0);
	assert_int_equal(usage_of(fs).waiters, 3);
	for (int i = 2; i < CROWD; i++)
		assert_false(has_returned(&calls[i]));
	remove_file(fs, "/filler");
	for (int i = 2; i < CROWD; i++)
		assert_code(call_join(&calls[i]), 0);
	free_sound(fs);
}

/* Within this time after the others were told, who was passed over does not look. */
#define TOO_SOON (5 * MFS__NS_PER_MS)
#define TRIES    100

static void what_others_were_told_of_is_left_to_them_for_a_while(void **state)
{
	bool in_time = false;

	(void)state;
	for (int i = 0; i < TRIES && !in_time; i++) {
		mfs *fs = new_full();
		struct call told = waiting_for(fs, SMALL);
		struct call passed_over = waiting_for(fs, 1);

		call_start_waiting(&told, 0);
		call_start_waiting(&passed_over, 1);
		int64_t before = mfs__now();
		remove_file(fs, "/small");
		uint64_t waiters = usage_of(fs).waiters;
		in_time = mfs__now() - before < TOO_SOON;
		if (in_time)
			assert_int_equal(waiters, 1);
		assert_code(call_join(&told), 0);
		assert_code(call_join(&passed_over), 0);
		free_sound(fs);
	}
	if (!in_time)
		print_message("not tried: this machine is too slow to look in time\n");
}

static void who_was_passed_over_is_told_when_others_take_nothing(void **state)
{
	mfs *fs = new_full();
	struct call calls[CROWD];

	(void)state;
	/* Enough for one at a time. The last one wants to write. */
	for (uint64_t i = 0; i < CROWD; i++) {
		calls[i] = i < CROWD - 1 ? waiting_for(fs, SMALL) : writing(fs, "/written", SMALL);
		call_start_waiting(&calls[i], i);
	}
	remove_file(fs, "/small");
	for (int i = 0; i < CROWD - 1; i++)
		assert_code(call_join(&calls[i]), 0);
	assert_code(call_join(&calls[CROWD - 1]), SMALL);
	free_sound(fs);
}

/* One is told of the space, and this thread takes it. The other one waits on. */
static void check_passed_over(mfs *fs, struct call *passed_over, int64_t result)
{
	struct call told = waiting_for(fs, SMALL);
	struct call taker = writing(fs, "/taken", SMALL);

	taker.timeout = MFS_NO_WAIT;
	call_start_waiting(&told, 0);
	call_start_waiting(passed_over, 1);
	remove_file(fs, "/small");
	int64_t taken = run_write_file(&taker);
	assert_code(call_join(&told), 0);
	/* The other one may have been first, if this thread was slow. Otherwise it looks, within the
	 * time that this call takes, and finds nothing. */
	if (taken == SMALL) {
		assert_code(mfs_wait_for_space(fs, SMALL, SHORT_MS), MFS_ETIMEDOUT);
		remove_file(fs, "/taken");
	} else {
		assert_code(taken, MFS_EQUOTA);
	}
	assert_code(call_join(passed_over), result);
}

static void who_was_passed_over_waits_on_when_the_space_was_taken(void **state)
{
	(void)state;
	mfs *fs = new_full();
	struct call wait = waiting_for(fs, SMALL);
	check_passed_over(fs, &wait, 0);
	free_sound(fs);

	fs = new_full();
	struct call write = writing(fs, "/written", SMALL);
	check_passed_over(fs, &write, SMALL);
	free_sound(fs);
}

/*
 * Calls that take what they wait for
 */

static unsigned char wanted[WANTED];
static mfs *elsewhere;   /* another workspace */
static mfs_file *source; /* a file there with the bytes of `wanted` */
static int input = -1;   /* a descriptor with them */
/* Atomic: how often the adopted buffer was given back. */
static atomic_int given_back;

static int make_sources(void **state)
{
	struct rng rng = {1};

	(void)state;
	rng_fill(&rng, wanted, sizeof wanted);
	elsewhere = new_workspace(NULL);
	make_file(elsewhere, "/source", wanted, WANTED);
	source = open_shared(elsewhere, "/source", "rb");
	input = memfd_create("input", MFD_CLOEXEC);
	assert_true(input >= 0);
	assert_int_equal(write(input, wanted, WANTED), WANTED);
	return 0;
}

static int drop_sources(void **state)
{
	(void)state;
	return close(input) || mfs_close(source) || mfs_free(elsewhere);
}

static int64_t run_write(struct call *call)
{
	return mfs_write(call->file, wanted, WANTED);
}

static int64_t run_pwrite(struct call *call)
{
	return mfs_pwrite(call->file, wanted, WANTED, 0);
}

static int64_t run_writev(struct call *call)
{
	struct iovec parts[] = {{wanted, 1}, {wanted + 1, WANTED - 1}};

	return mfs_writev(call->file, parts, 2);
}

static int64_t run_truncate(struct call *call)
{
	return mfs_truncate(call->file, WANTED);
}

static int64_t run_reserve(struct call *call)
{
	void *data;
	int64_t result = mfs_reserve(call->file, WANTED, &data);

	if (result < 0)
		return result;
	memcpy(data, wanted, WANTED);
	return mfs_commit(call->file, WANTED);
}

static void count_given_back(void *user, void *buffer, size_t length)
{
	(void)user;
	(void)buffer;
	(void)length;
	atomic_fetch_add_explicit(&given_back, 1, memory_order_relaxed);
}

static int64_t run_adopt(struct call *call)
{
	return mfs_write_adopt(call->file, wanted, WANTED, count_given_back, NULL);
}

static int64_t run_copy_range(struct call *call)
{
	return mfs_copy_range(source, 0, call->file, 0, WANTED);
}

static int64_t run_write_from_fd(struct call *call)
{
	return mfs_write_from_fd(call->file, 0, WANTED, input);
}

/* Calls on the handle of "/target", an empty file, that make it `wanted`. */
static const struct taker {
	const char *name;
	int64_t (*run)(struct call *call);
	int64_t result;
	bool makes_zeros;
} takers[] = {
	{"write", run_write, WANTED, false},
	{"pwrite", run_pwrite, WANTED, false},
	{"writev", run_writev, WANTED, false},
	{"truncate", run_truncate, 0, true},
	{"reserve", run_reserve, 0, false},
	{"write_adopt", run_adopt, WANTED, false},
	{"copy_range", run_copy_range, WANTED, false},
	{"write_from_fd", run_write_from_fd, WANTED, false},
};

/* The call, on a new file of a workspace that is then full. */
static struct call new_target(mfs *fs, const struct taker *taker, int64_t space_timeout)
{
	struct call call = {.run = taker->run, .fs = fs};

	assert_code(open_waiting(fs, "/target", "wb", 0, space_timeout, &call.file), 0);
	make_sized(fs, "/large", LARGE);
	make_sized(fs, "/small", SMALL);
	assert_int_equal(lseek(input, 0, SEEK_SET), 0);
	atomic_store_explicit(&given_back, 0, memory_order_relaxed);
	return call;
}

static void calls_that_need_space_wait_for_it(void **state)
{
	static const unsigned char zeros[WANTED];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(takers); i++) {
		mfs *fs = new_small();
		struct call call = new_target(fs, &takers[i], MFS_WAIT_FOREVER);

		call_start_waiting(&call, 0);
		/* Not enough. But what comes from a descriptor comes in pieces: it takes that, and waits
		 * again. */
		remove_file(fs, "/small");
		await_waiters(fs, 1);
		assert_false(has_returned(&call));
		remove_file(fs, "/large");
		int64_t result = call_join(&call);
		close_file(call.file);
		if (result != takers[i].result)
			print_error("%s after it waited:\n", takers[i].name);
		assert_code(result, takers[i].result);
		/* A file to which more was appended later may keep an eighth as room. */
		assert_in_range(used_bytes(fs), WANTED, WANTED + WANTED / 8);
		assert_file_holds(fs, "/target", takers[i].makes_zeros ? zeros : wanted, WANTED);
		free_sound(fs);
		assert_int_equal(atomic_load_explicit(&given_back, memory_order_relaxed),
						 takers[i].run == run_adopt);
	}
}

/* It was refused, and nothing has changed. */
static void check_refused(const struct taker *taker, struct call *call)
{
	mfs *fs = call->fs;

	support__mark_last_error(fs);
	int64_t result = taker->run(call);
	if (result != MFS_EQUOTA)
		print_error("%s without space:\n", taker->name);
	assert_code(result, MFS_EQUOTA);
	support__check_message(taker->name, __FILE__, __LINE__);
	assert_int_equal(used_bytes(fs), QUOTA);
	assert_code(mfs_get_size(fs, "/target"), 0);
	assert_code(mfs_tell(call->file), 0);
	assert_int_equal(lseek(input, 0, SEEK_CUR), 0);
	assert_int_equal(atomic_load_explicit(&given_back, memory_order_relaxed), 0);
	close_file(call->file);
	free_sound(fs);
}

static void calls_that_wait_in_vain_change_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(takers); i++) {
		mfs *fs = new_small();
		struct call call = new_target(fs, &takers[i], SHORT_MS);
		int64_t before = clock_ns(CLOCK_MONOTONIC);
		check_refused(&takers[i], &call);
		assert_true(clock_ns(CLOCK_MONOTONIC) - before >= SHORT_MS * MFS__NS_PER_MS);

		fs = new_small();
		call = new_target(fs, &takers[i], MFS_NO_WAIT);
		check_refused(&takers[i], &call);
	}
}

static void a_wait_on_a_handle_that_is_closed_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(takers); i++) {
		mfs *fs = new_small();
		struct call call = new_target(fs, &takers[i], MFS_WAIT_FOREVER);

		call_start_waiting(&call, 0);
		close_file(call.file);
		remove_file(fs, "/large");
		int64_t result = call_join(&call);
		if (result != MFS_EBADF)
			print_error("%s on a handle closed meanwhile:\n", takers[i].name);
		assert_code(result, MFS_EBADF);
		assert_int_equal(used_bytes(fs), SMALL);
		assert_code(mfs_get_size(fs, "/target"), 0);
		assert_int_equal(atomic_load_explicit(&given_back, memory_order_relaxed), 0);
		free_sound(fs);
	}
}

/* Open a file with `bytes` bytes of room. */
static int64_t run_open(struct call *call)
{
	mfs_open_options options = {.struct_size = sizeof(options)};

	options.space_timeout = call->timeout;
	options.preallocate = (int64_t)call->bytes;
	return mfs_open_ex(call->fs, "/target", "wb", &options, &call->file);
}

static void an_open_waits_for_the_space_of_its_file(void **state)
{
	static const unsigned char zeros[WANTED];

	(void)state;
	for (int exists = 0; exists < 2; exists++) {
		mfs *fs = new_small();
		if (exists)
			make_sized(fs, "/target", 0);
		make_sized(fs, "/large", LARGE);
		make_sized(fs, "/small", SMALL);
		struct call call = {.run = run_open, .fs = fs, .bytes = WANTED, .timeout = SHORT_MS};
		assert_refused(fs, run_open(&call), MFS_EQUOTA);
		assert_int_equal(mfs_exists(fs, "/target"), exists);
		assert_int_equal(used_bytes(fs), QUOTA);

		call.timeout = MFS_WAIT_FOREVER;
		call_start_waiting(&call, 0);
		remove_file(fs, "/large");
		assert_code(call_join(&call), 0);
		close_file(call.file);
		assert_file_holds(fs, "/target", zeros, WANTED);
		assert_int_equal(used_bytes(fs), SMALL + WANTED);
		free_sound(fs);
	}
}

static void the_timeout_of_the_workspace_is_that_of_its_handles(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *other;

	(void)state;
	options.max_quota = QUOTA;
	options.chunk_overhead = -1;
	options.space_timeout = SHORT_MS;
	mfs *fs = new_workspace(&options);
	make_sized(fs, "/filler", QUOTA);
	mfs_file *file = open_file(fs, "/target", "wb");
	int64_t before = clock_ns(CLOCK_MONOTONIC);
	assert_refused(fs, mfs_write(file, wanted, WANTED), MFS_EQUOTA);
	assert_true(clock_ns(CLOCK_MONOTONIC) - before >= SHORT_MS * MFS__NS_PER_MS);
	close_file(file);
	/* More than there can ever be: at once, whatever the timeout. */
	assert_code(open_waiting(fs, "/target", "wb", 0, MFS_WAIT_FOREVER, &file), 0);
	assert_refused(fs, mfs_truncate(file, QUOTA + 1), MFS_EQUOTA);
	close_file(file);
	options.space_timeout = -3;
	assert_refused(fs, mfs_new(&options, &other), MFS_EINVAL);
	assert_refused(fs, open_waiting(fs, "/target", "wb", 0, -3, &file), MFS_EINVAL);
	free_sound(fs);
}

/* Metadata is space, too. */
static void an_open_without_space_for_its_name_ends_in_time(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.max_quota = 16 * KIB;
	options.chunk_overhead = -1;
	options.charge_metadata = 1;
	mfs *fs = new_workspace(&options);
	make_sized(fs, "/filler", 0);
	mfs_file *filler = open_file(fs, "/filler", "wb");
	assert_code(mfs_truncate(filler, (int64_t)usage_of(fs).free_bytes), 0);
	close_file(filler);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	struct call call = {.run = run_open, .fs = fs, .timeout = SHORT_MS};
	assert_refused(fs, run_open(&call), MFS_EQUOTA);
	call.bytes = WANTED;
	assert_refused(fs, run_open(&call), MFS_EQUOTA);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	assert_false(mfs_exists(fs, "/target"));
	free_sound(fs);
}

static void what_a_write_was_granted_is_not_taken_by_others(void **state)
{
	mfs *fs = new_full();
	struct call write = writing(fs, "/written", LARGE);
	struct call newcomer = writing(fs, "/newcomer", 1);

	(void)state;
	hold_at("space: awake");
	call_start_waiting(&write, 0);
	remove_file(fs, "/large");
	await_held();
	/* It has not written yet, and the space is its own. */
	assert_int_equal(used_bytes(fs), QUOTA);
	newcomer.timeout = MFS_NO_WAIT;
	assert_code(run_write_file(&newcomer), MFS_EQUOTA);
	assert_code(mfs_wait_for_space(fs, 1, MFS_NO_WAIT), MFS_EBUSY);
	let_go_on();
	assert_code(call_join(&write), LARGE);
	assert_int_equal(used_bytes(fs), QUOTA);
	free_sound(fs);
}

static int64_t run_write_at_start(struct call *call)
{
	return mfs_pwrite(call->file, wanted, WANTED, 0);
}

/* A write to a file of `size` bytes that waits for what is missing, and is held when it has got
 * it. */
static struct call write_and_hold(mfs *fs, size_t size, mfs_file **other)
{
	struct call call = {.run = run_write_at_start, .fs = fs};

	make_sized(fs, "/target", size);
	assert_code(open_waiting(fs, "/target", "r+b", MFS_O_SHARED, MFS_WAIT_FOREVER, &call.file), 0);
	*other = open_shared(fs, "/target", "r+b");
	make_sized(fs, "/missing", WANTED - size);
	make_sized(fs, "/filler", QUOTA - WANTED);
	assert_int_equal(used_bytes(fs), QUOTA);
	hold_at("space: awake");
	return call;
}

static void a_write_waits_again_if_its_file_was_cut_meanwhile(void **state)
{
	mfs *fs = new_small();
	mfs_file *other;
	struct call call = write_and_hold(fs, 300, &other);

	(void)state;
	call_start_waiting(&call, 0);
	remove_file(fs, "/missing");
	await_held();
	assert_code(mfs_truncate(other, 0), 0);
	make_sized(fs, "/in the way", 300);
	assert_int_equal(used_bytes(fs), QUOTA);
	let_go_on();
	/* For what is missing now, and it keeps what it has. */
	await_waiters(fs, 1);
	assert_int_equal(used_bytes(fs), QUOTA);
	remove_file(fs, "/in the way");
	assert_code(call_join(&call), WANTED);
	close_file(other);
	close_file(call.file);
	assert_file_holds(fs, "/target", wanted, WANTED);
	assert_int_equal(used_bytes(fs), QUOTA);
	free_sound(fs);
}

static void what_a_write_was_granted_and_does_not_need_goes_back(void **state)
{
	mfs *fs = new_small();
	mfs_file *other;
	struct call call = write_and_hold(fs, 100, &other);

	(void)state;
	call_start_waiting(&call, 0);
	remove_file(fs, "/missing");
	await_held();
	remove_file(fs, "/filler");
	assert_code(mfs_truncate(other, WANTED), 0);
	let_go_on();
	assert_code(call_join(&call), WANTED);
	close_file(other);
	close_file(call.file);
	assert_file_holds(fs, "/target", wanted, WANTED);
	assert_int_equal(used_bytes(fs), WANTED);
	free_sound(fs);
}

/*
 * Fork
 */

/* Of the workspace and the handle in the child. Returns 0, or a line. */
static int check_in_child(mfs *fs, mfs_file *file)
{
	mfs_usage usage;
	mfs_file *made;

	remove_hook();
	if (mfs_stats(fs, &usage) || usage.waiters)
		return __LINE__ % 256;
	if (usage.used_bytes != SMALL || !mfs__validate(fs))
		return __LINE__ % 256;
	if (mfs_wait_for_space(fs, QUOTA - SMALL, MFS_NO_WAIT))
		return __LINE__ % 256;
	if (mfs_open(fs, "/child", "xb", &made) || mfs_write(made, wanted, WANTED) != WANTED ||
		mfs_close(made))
		return __LINE__ % 256;
	if (mfs_close(file) || !mfs__validate(fs))
		return __LINE__ % 256;
	return mfs_free(fs) ? __LINE__ % 256 : 0;
}

static void check_fork(mfs *fs, mfs_file *file)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(check_in_child(fs, file));
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		print_error("child: wait status %#x\n", (unsigned)status);
	assert_int_equal(status, 0);
}

static int64_t run_reservation(struct call *call)
{
	mfs_reservation *reservation;
	int64_t result = mfs_reservation_new(call->fs, call->bytes, &reservation);

	return result ? result : mfs_reservation_free(reservation);
}

/* Nobody waits in a child, and what was granted to threads that are not there is free. */
static void a_child_has_no_waiters(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.max_quota = QUOTA;
	options.chunk_overhead = -1;
	options.space_timeout = MFS_WAIT_FOREVER;
	mfs *fs = new_workspace(&options);
	make_sized(fs, "/small", SMALL);
	mfs_file *file = open_file(fs, "/target", "wb");
	make_sized(fs, "/large", LARGE);
	struct call granted = {.run = run_write, .fs = fs, .file = file};
	/* For these it will not be enough in the child. */
	struct call wait = waiting_for(fs, QUOTA);
	struct call reservation = {.run = run_reservation, .fs = fs, .bytes = QUOTA};
	hold_at("space: awake");
	call_start_waiting(&granted, 0);
	call_start_waiting(&wait, 1);
	call_start_waiting(&reservation, 2);
	remove_file(fs, "/large");
	await_held();
	assert_int_equal(usage_of(fs).waiters, 2);
	assert_int_equal(used_bytes(fs), SMALL + WANTED);
	check_fork(fs, file);

	/* Here, all goes on. */
	assert_int_equal(usage_of(fs).waiters, 2);
	let_go_on();
	assert_code(call_join(&granted), WANTED);
	close_file(file);
	assert_file_holds(fs, "/target", wanted, WANTED);
	remove_file(fs, "/target");
	remove_file(fs, "/small");
	assert_code(call_join(&wait), 0);
	assert_code(call_join(&reservation), 0);
	assert_int_equal(used_bytes(fs), 0);
	free_sound(fs);
}

/*
 * Beside threads that have bytes in hand
 */

enum { WORKERS = 4 };

struct worker {
	mfs *fs;
	const char *path;
	size_t size;
	int times; /* or, if 0, until `enough` */
	int64_t timeout;
	int64_t failure;
	pthread_t thread;
};

/* Atomic, any thread. */
static atomic_bool enough;

/* Write a file and remove it, again and again. */
static void *work(void *argument)
{
	struct worker *worker = argument;

	for (int i = 0;
		 worker->times ? i < worker->times : !atomic_load_explicit(&enough, memory_order_relaxed);
		 i++) {
		struct call call = writing(worker->fs, worker->path, worker->size);
		call.timeout = worker->timeout;
		int64_t result = run_write_file(&call);
		if (result == (int64_t)worker->size)
			result = mfs_remove(worker->fs, worker->path);
		if (result) {
			worker->failure = result;
			break;
		}
	}
	return NULL;
}

static const char *const worker_paths[WORKERS] = {"/w0", "/w1", "/w2", "/w3"};

static void bytes_that_threads_have_in_hand_are_found(void **state)
{
	mfs *fs = new_plain_workspace(64 * MIB);
	struct worker workers[WORKERS];

	(void)state;
	make_sized(fs, "/large", 32 * MIB);
	atomic_store_explicit(&enough, false, memory_order_relaxed);
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){
			.fs = fs, .path = worker_paths[i], .size = 100, .timeout = MFS_WAIT_FOREVER};
		workers[i].thread = start_thread(work, &workers[i]);
	}
	for (int round = 0; round < 20; round++) {
		AWAIT(atomic_load_explicit(&fs->quota.open, memory_order_relaxed));
		/* All that the workers do not need themselves. */
		struct call wait = waiting_for(fs, 64 * MIB - WORKERS * 4 * KIB);
		call_start_waiting(&wait, 0);
		remove_file(fs, "/large");
		assert_code(call_join(&wait), 0);
		make_sized(fs, "/large", 32 * MIB);
	}
	atomic_store_explicit(&enough, true, memory_order_relaxed);
	for (int i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		assert_code(workers[i].failure, 0);
	}
	/* While somebody waits, nobody has any in hand. */
	struct call wait = waiting_for(fs, 64 * MIB);
	call_start_waiting(&wait, 0);
	AWAIT(used_bytes(fs) == 32 * MIB);
	assert_null(atomic_load_explicit(&fs->quota.open, memory_order_relaxed));
	remove_file(fs, "/large");
	assert_code(call_join(&wait), 0);
	free_sound(fs);
}

static void threads_that_fill_and_empty_a_workspace_all_get_on(void **state)
{
	mfs *fs = new_small();
	struct worker workers[WORKERS];

	(void)state;
	step_aside_setup(NULL);
	for (int i = 0; i < WORKERS; i++) {
		/* Never more than two at a time. */
		workers[i] = (struct worker){.fs = fs,
									 .path = worker_paths[i],
									 .size = 350 + 50 * (size_t)i,
									 .times = 300,
									 .timeout = MFS_WAIT_FOREVER};
		workers[i].thread = start_thread(work, &workers[i]);
	}
	for (int i = 0; i < 300; i++)
		assert_code(mfs_wait_for_space(fs, QUOTA / 2, MFS_WAIT_FOREVER), 0);
	for (int i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		assert_code(workers[i].failure, 0);
	}
	step_aside_teardown(NULL);
	assert_int_equal(used_bytes(fs), 0);
	free_sound(fs);
}

#define HOOKED_TEST(function) cmocka_unit_test_teardown(function, remove_hook_after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_free_is_not_waited_for),
		cmocka_unit_test(more_than_the_quota_is_not_waited_for),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(a_wait_ends_with_its_time),
		cmocka_unit_test(whatever_gives_space_back_wakes),
		cmocka_unit_test(less_than_is_wanted_does_not_wake),
		cmocka_unit_test(space_in_another_workspace_does_not_wake),
		cmocka_unit_test(who_gets_in_line_looks_first),
		HOOKED_TEST(no_wake_up_is_lost_between_line_and_look),
		HOOKED_TEST(no_wake_up_is_lost_between_look_and_sleep),
		cmocka_unit_test(who_wants_less_is_not_held_up_by_who_wants_more),
		cmocka_unit_test(writes_are_granted_space_in_the_order_of_arrival),
		cmocka_unit_test(a_release_wakes_as_many_writes_as_it_is_enough_for),
		cmocka_unit_test(a_release_wakes_as_many_waits_as_it_is_enough_for),
		cmocka_unit_test(what_others_were_told_of_is_left_to_them_for_a_while),
		cmocka_unit_test(who_was_passed_over_is_told_when_others_take_nothing),
		cmocka_unit_test(who_was_passed_over_waits_on_when_the_space_was_taken),
		cmocka_unit_test(calls_that_need_space_wait_for_it),
		cmocka_unit_test(calls_that_wait_in_vain_change_nothing),
		cmocka_unit_test(a_wait_on_a_handle_that_is_closed_leaves_nothing),
		cmocka_unit_test(an_open_waits_for_the_space_of_its_file),
		cmocka_unit_test(the_timeout_of_the_workspace_is_that_of_its_handles),
		cmocka_unit_test(an_open_without_space_for_its_name_ends_in_time),
		HOOKED_TEST(what_a_write_was_granted_is_not_taken_by_others),
		HOOKED_TEST(a_write_waits_again_if_its_file_was_cut_meanwhile),
		HOOKED_TEST(what_a_write_was_granted_and_does_not_need_goes_back),
		HOOKED_TEST(a_child_has_no_waiters),
		cmocka_unit_test(bytes_that_threads_have_in_hand_are_found),
		cmocka_unit_test(threads_that_fill_and_empty_a_workspace_all_get_on),
	};

	return cmocka_run_group_tests(tests, make_sources, drop_sources);
}
