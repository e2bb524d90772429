/* SPDX-License-Identifier: MIT */
/*
 * Does a job get what was set aside for it, to the byte and nobody else, and does what it does not
 * use go back?
 *
 * Chunks are charged nothing besides their memory here, so that a closed file of so many bytes
 * takes exactly so much. What is set aside is, at every moment, what is left of the reservations.
 */
#include "support.h"

#include "await.h"
#include "base/alloc.h"
#include "base/fork.h"
#include "fs/filesystem.h"
#include "step_aside.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { QUOTA = 1000, JOB = 600, OTHERS = QUOTA - JOB };

static unsigned char bytes[QUOTA + 1];

/* A workspace and a reservation in it. */
struct job {
	mfs *fs;
	mfs_reservation *reservation;
};

static struct job new_job(uint64_t size)
{
	struct job job = {.fs = new_plain_workspace(QUOTA)};

	assert_code(mfs_reservation_new(job.fs, size, &job.reservation), 0);
	assert_non_null(job.reservation);
	return job;
}

/* This is left, and what is set aside and what files hold add up. */
static void assert_left(const struct job *job, int64_t left, uint64_t used)
{
	mfs_usage usage = usage_of(job->fs);

	assert_code(mfs_reservation_left(job->reservation), left);
	assert_int_equal(usage.reserved_bytes, left);
	assert_int_equal(usage.used_bytes, used);
	assert_int_equal(usage.reserved_bytes + usage.live_bytes, usage.used_bytes);
	assert_int_equal(usage.used_bytes + usage.free_bytes, QUOTA);
}

static void end_reservation(struct job *job)
{
	assert_code(mfs_reservation_free(job->reservation), 0);
	job->reservation = NULL;
	assert_int_equal(usage_of(job->fs).reserved_bytes, 0);
	assert_true(mfs__validate(job->fs));
}

static void end_job(struct job *job)
{
	end_reservation(job);
	free_workspace(job->fs);
}

/* For any thread. */
static int open_drawing(mfs *fs, const char *path, const char *mode, unsigned flags,
						mfs_reservation *reservation, mfs_file **out)
{
	mfs_open_options options = {.struct_size = sizeof(options)};

	options.flags = flags;
	options.reservation = reservation;
	return mfs_open_ex(fs, path, mode, &options, out);
}

static mfs_file *open_of(const struct job *job, const char *path, const char *mode)
{
	mfs_file *file = NULL;

	assert_code(open_drawing(job->fs, path, mode, 0, job->reservation, &file), 0);
	return file;
}

/* A file that the job writes and closes. */
static void make_drawn(const struct job *job, const char *path, size_t size)
{
	mfs_file *file = open_of(job, path, "wb");

	assert_code(mfs_write(file, bytes, size), size);
	close_file(file);
}

static void make_other(mfs *fs, const char *path, size_t size)
{
	make_file(fs, path, bytes, size);
}

/* What a write of so many bytes by somebody else gives. */
static int64_t try_other(mfs *fs, size_t size)
{
	mfs_file *file = open_file(fs, "/other", "wb");
	int64_t result = mfs_write(file, bytes, size);

	close_file(file);
	assert_code(mfs_remove(fs, "/other"), 0);
	return result;
}

/*
 * Drawing and giving back
 */

static void handles_draw_on_the_reservation_first(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	assert_left(&job, JOB, JOB);
	make_drawn(&job, "/a", 100);
	assert_left(&job, JOB - 100, JOB);
	make_drawn(&job, "/b", JOB - 100);
	assert_left(&job, 0, JOB);
	/* Then on the quota. */
	make_drawn(&job, "/c", 50);
	assert_left(&job, 0, JOB + 50);
	/* Others never do. */
	make_other(job.fs, "/d", 60);
	assert_left(&job, 0, JOB + 110);
	end_reservation(&job);
	assert_int_equal(used_bytes(job.fs), JOB + 110);
	free_workspace(job.fs);
}

static void others_cannot_take_what_is_set_aside(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	assert_code(try_other(job.fs, OTHERS + 1), MFS_EQUOTA);
	make_other(job.fs, "/others", OTHERS);
	assert_left(&job, JOB, QUOTA);
	assert_code(try_other(job.fs, 1), MFS_EQUOTA);
	assert_code(mfs_wait_for_space(job.fs, 1, MFS_NO_WAIT), MFS_EBUSY);
	assert_code(mfs_copy(job.fs, "/others", "/copy"), MFS_EQUOTA);

	mfs_file *file = open_of(&job, "/job", "wb");
	for (int i = 0; i < JOB / 100; i++)
		assert_code(mfs_write(file, bytes, 100), 100);
	assert_left(&job, 0, QUOTA);
	assert_refused(job.fs, mfs_write(file, bytes, 1), MFS_EQUOTA);
	assert_left(&job, 0, QUOTA);
	close_file(file);
	assert_file_holds(job.fs, "/others", bytes, OTHERS);
	assert_code(mfs_get_size(job.fs, "/job"), JOB);
	end_job(&job);
}

static void a_write_may_draw_on_both(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	make_other(job.fs, "/others", 100);
	mfs_file *file = open_of(&job, "/job", "wb");
	assert_refused(job.fs, mfs_write(file, bytes, QUOTA - 100 + 1), MFS_EQUOTA);
	/* What it had drawn until it was refused is back. */
	assert_left(&job, JOB, JOB + 100);
	assert_code(mfs_write(file, bytes, QUOTA - 100), QUOTA - 100);
	assert_left(&job, 0, QUOTA);
	close_file(file);
	end_job(&job);
}

static void what_handles_give_back_is_the_job_s_again(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	make_drawn(&job, "/a", 500);
	mfs_file *file = open_of(&job, "/a", "r+b");
	assert_code(mfs_truncate(file, 200), 0);
	assert_left(&job, JOB - 200, JOB);
	assert_code(mfs_truncate(file, 0), 0);
	assert_left(&job, JOB, JOB);
	/* Room that was not used. */
	void *data;
	assert_code(mfs_reserve(file, 300, &data), 300);
	assert_true(mfs_reservation_left(job.reservation) <= JOB - 300);
	close_file(file);
	assert_left(&job, JOB, JOB);
	/* To open for writing anew. */
	make_drawn(&job, "/a", 400);
	close_file(open_of(&job, "/a", "wb"));
	assert_left(&job, JOB, JOB);
	end_job(&job);
}

static void no_more_goes_back_than_was_drawn(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	/* Nothing was. */
	make_other(job.fs, "/other", 300);
	close_file(open_of(&job, "/other", "wb"));
	assert_left(&job, JOB, JOB);
	/* A part was, the rest came from the quota. */
	make_drawn(&job, "/a", JOB + 100);
	assert_left(&job, 0, JOB + 100);
	mfs_file *file = open_of(&job, "/a", "r+b");
	assert_code(mfs_truncate(file, 50), 0);
	assert_left(&job, JOB, JOB + 50);
	close_file(file);
	end_reservation(&job);
	assert_int_equal(used_bytes(job.fs), 50);
	free_workspace(job.fs);
}

static void what_others_give_back_is_everybody_s(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	make_drawn(&job, "/a", 200);
	make_drawn(&job, "/b", 200);
	assert_code(mfs_remove(job.fs, "/a"), 0);
	assert_left(&job, JOB - 400, JOB - 200);
	close_file(open_file(job.fs, "/b", "wb"));
	assert_left(&job, JOB - 400, JOB - 400);
	assert_code(try_other(job.fs, QUOTA - (JOB - 400)), QUOTA - (JOB - 400));
	end_job(&job);
}

static void handles_share_a_reservation(void **state)
{
	struct job job = new_job(JOB);
	mfs_file *one = open_of(&job, "/one", "wb");
	mfs_file *two = open_of(&job, "/two", "wb");

	(void)state;
	make_other(job.fs, "/others", OTHERS);
	assert_code(mfs_write(one, bytes, 400), 400);
	assert_code(mfs_write(two, bytes, JOB - 400 + 1), MFS_EQUOTA);
	/* What the one has taken ahead is not there for the other. */
	close_file(one);
	assert_left(&job, JOB - 400, QUOTA);
	assert_code(mfs_write(two, bytes, JOB - 400), JOB - 400);
	assert_left(&job, 0, QUOTA);
	assert_code(mfs_truncate(two, 50), 0);
	one = open_of(&job, "/one", "ab");
	assert_code(mfs_write(one, bytes, JOB - 400 - 50), JOB - 400 - 50);
	assert_left(&job, 0, QUOTA);
	assert_code(mfs_write(two, bytes, 1), MFS_EQUOTA);
	close_file(one);
	close_file(two);
	end_job(&job);
}

static void reservations_are_apart(void **state)
{
	struct job job = new_job(JOB);
	mfs_reservation *second;

	(void)state;
	assert_refused(job.fs, mfs_reservation_new(job.fs, OTHERS + 1, &second), MFS_EQUOTA);
	assert_null(second);
	assert_code(mfs_reservation_new(job.fs, OTHERS, &second), 0);
	assert_int_equal(usage_of(job.fs).reserved_bytes, QUOTA);
	make_drawn(&job, "/a", 500);
	assert_code(mfs_reservation_left(job.reservation), JOB - 500);
	assert_code(mfs_reservation_left(second), OTHERS);
	mfs_file *file = open_of(&job, "/b", "wb");
	assert_code(mfs_write(file, bytes, JOB - 500 + 1), MFS_EQUOTA);
	close_file(file);
	assert_int_equal(usage_of(job.fs).reserved_bytes, QUOTA - 500);
	assert_int_equal(usage_of(job.fs).live_bytes, 500);
	assert_code(mfs_reservation_free(second), 0);
	assert_left(&job, JOB - 500, JOB);
	end_job(&job);
}

static void overhead_is_drawn_too(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.max_quota = QUOTA;
	options.chunk_overhead = 64;
	struct job job = {.fs = new_workspace(&options)};
	assert_code(mfs_reservation_new(job.fs, 500 + 64, &job.reservation), 0);
	make_other(job.fs, "/others", QUOTA - 564 - 64);
	assert_left(&job, 564, QUOTA);
	make_drawn(&job, "/job", 500);
	assert_left(&job, 0, QUOTA);
	end_job(&job);
}

/*
 * Every call that takes space
 */

static mfs *elsewhere;
static mfs_file *source;
static int input = -1;

static int make_sources(void **state)
{
	struct rng rng = {1};

	(void)state;
	rng_fill(&rng, bytes, sizeof bytes);
	elsewhere = new_workspace(NULL);
	make_file(elsewhere, "/source", bytes, JOB);
	source = open_shared(elsewhere, "/source", "rb");
	input = memfd_create("input", MFD_CLOEXEC);
	assert_true(input >= 0);
	assert_int_equal(write(input, bytes, JOB), JOB);
	return 0;
}

static int drop_sources(void **state)
{
	(void)state;
	return close(input) || mfs_close(source) || mfs_free(elsewhere);
}

static int64_t do_write(mfs_file *file)
{
	return mfs_write(file, bytes, JOB);
}

static int64_t do_pwrite(mfs_file *file)
{
	return mfs_pwrite(file, bytes, JOB, 0);
}

static int64_t do_writev(mfs_file *file)
{
	struct iovec parts[] = {{bytes, 1}, {bytes + 1, JOB - 1}};

	return mfs_writev(file, parts, 2);
}

static int64_t do_truncate(mfs_file *file)
{
	return mfs_truncate(file, JOB) ? -1 : do_write(file);
}

static int64_t do_reserve(mfs_file *file)
{
	void *data;
	int64_t size = mfs_reserve(file, JOB, &data);

	if (size != JOB)
		return size;
	memcpy(data, bytes, JOB);
	return mfs_commit(file, JOB) ? -1 : JOB;
}

static int64_t do_adopt(mfs_file *file)
{
	return mfs_write_adopt(file, bytes, JOB, NULL, NULL);
}

static int64_t do_copy_range(mfs_file *file)
{
	return mfs_copy_range(source, 0, file, 0, INT64_MAX);
}

static int64_t do_write_from_fd(mfs_file *file)
{
	return lseek(input, 0, SEEK_SET) ? -1 : mfs_write_from_fd(file, 0, JOB, input);
}

static const struct {
	const char *name;
	int64_t (*run)(mfs_file *file);
} calls[] = {
	{"write", do_write},           {"pwrite", do_pwrite},
	{"writev", do_writev},         {"truncate", do_truncate},
	{"reserve", do_reserve},       {"write_adopt", do_adopt},
	{"copy_range", do_copy_range}, {"write_from_fd", do_write_from_fd},
};

static void every_call_on_a_handle_draws(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		for (unsigned flags = 0; flags <= MFS_O_SHARED; flags += MFS_O_SHARED) {
			mfs_file *file;

			if (flags && calls[i].run == do_reserve)
				continue;
			struct job job = new_job(JOB);
			make_other(job.fs, "/others", OTHERS);
			assert_code(open_drawing(job.fs, "/job", "wb", flags, job.reservation, &file), 0);
			int64_t result = calls[i].run(file);
			if (result != JOB)
				print_error("%s with a reservation:\n", calls[i].name);
			assert_code(result, JOB);
			assert_left(&job, 0, QUOTA);
			close_file(file);
			assert_file_holds(job.fs, "/job", bytes, JOB);
			assert_left(&job, 0, QUOTA);
			end_job(&job);
		}
	}
}

static void an_open_draws_for_the_room_it_makes(void **state)
{
	struct job job = new_job(JOB);
	mfs_open_options options = {.struct_size = sizeof(options)};
	mfs_file *file;

	(void)state;
	make_other(job.fs, "/others", OTHERS);
	options.reservation = job.reservation;
	options.preallocate = JOB + 1;
	assert_refused(job.fs, mfs_open_ex(job.fs, "/job", "xb", &options, &file), MFS_EQUOTA);
	assert_left(&job, JOB, QUOTA);
	/* A handle that is not there keeps nothing. */
	assert_false(mfs_exists(job.fs, "/job"));
	options.preallocate = JOB;
	assert_code(mfs_open_ex(job.fs, "/job", "xb", &options, &file), 0);
	assert_left(&job, 0, QUOTA);
	close_file(file);
	/* The next one empties it. */
	assert_code(mfs_open_ex(job.fs, "/job", "wb", &options, &file), 0);
	assert_left(&job, 0, QUOTA);
	close_file(file);
	end_job(&job);
}

static void names_are_not_drawn(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.max_quota = 64 * KIB;
	options.chunk_overhead = -1;
	options.charge_metadata = 1;
	mfs *fs = new_workspace(&options);
	uint64_t before = used_bytes(fs);
	struct job job = {.fs = fs};
	assert_code(mfs_reservation_new(fs, JOB, &job.reservation), 0);
	mfs_file *file = open_of(&job, "/job", "xb");
	mfs_usage usage = usage_of(fs);
	assert_int_equal(usage.reserved_bytes, JOB);
	assert_true(usage.live_bytes > before);
	assert_int_equal(usage.reserved_bytes + usage.live_bytes, usage.used_bytes);
	assert_code(mfs_write(file, bytes, JOB), JOB);
	close_file(file);
	assert_int_equal(usage_of(fs).reserved_bytes, 0);
	assert_int_equal(used_bytes(fs), usage.used_bytes);
	/* What is set aside is no room for names. */
	assert_code(mfs_remove(fs, "/job"), 0);
	mfs_reservation *all;
	assert_code(mfs_reservation_new(fs, usage_of(fs).free_bytes, &all), 0);
	assert_code(open_drawing(fs, "/job", "xb", 0, all, &file), MFS_EQUOTA);
	assert_code(mfs_mkdir(fs, "/d", 0), MFS_EQUOTA);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	assert_code(mfs_reservation_free(all), 0);
	end_job(&job);
}

/*
 * Begin and end
 */

static void wrong_arguments_are_refused(void **state)
{
	mfs *fs = new_plain_workspace(QUOTA);
	mfs_reservation *reservation = (mfs_reservation *)fs;

	(void)state;
	assert_refused(fs, mfs_reservation_new(NULL, 1, &reservation), MFS_EINVAL);
	assert_null(reservation);
	assert_refused(fs, mfs_reservation_new(fs, 1, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_reservation_new(fs, 0, &reservation), MFS_EINVAL);
	assert_refused(fs, mfs_reservation_new(fs, (uint64_t)INT64_MAX + 1, &reservation), MFS_EINVAL);
	assert_refused(fs, mfs_reservation_new(fs, INT64_MAX, &reservation), MFS_EQUOTA);
	assert_refused(fs, mfs_reservation_new(fs, QUOTA + 1, &reservation), MFS_EQUOTA);
	assert_null(reservation);
	assert_refused(fs, mfs_reservation_left(NULL), MFS_EINVAL);
	assert_code(mfs_reservation_free(NULL), 0);
	assert_int_equal(used_bytes(fs), 0);
	/* All there is. */
	assert_code(mfs_reservation_new(fs, QUOTA, &reservation), 0);
	assert_int_equal(used_bytes(fs), QUOTA);
	assert_code(mfs_reservation_free(reservation), 0);
	assert_int_equal(used_bytes(fs), 0);
	free_workspace(fs);
}

static void a_reservation_of_another_workspace_is_refused(void **state)
{
	struct job job = new_job(JOB);
	mfs *other = new_plain_workspace(QUOTA);
	mfs_file *file;

	(void)state;
	assert_refused(other, open_drawing(other, "/a", "wb", 0, job.reservation, &file), MFS_EINVAL);
	assert_null(file);
	assert_false(mfs_exists(other, "/a"));
	free_workspace(other);
	end_job(&job);
}

static void a_reservation_ends_after_its_handles(void **state)
{
	struct job job = new_job(JOB);
	mfs_file *writer = open_of(&job, "/a", "wb");
	mfs_file *reader;

	(void)state;
	assert_code(open_drawing(job.fs, "/b", "wb", MFS_O_SHARED, job.reservation, &reader), 0);
	assert_refused(job.fs, mfs_reservation_free(job.reservation), MFS_EBUSY);
	close_file(writer);
	assert_refused(job.fs, mfs_reservation_free(job.reservation), MFS_EBUSY);
	/* Also under a file whose name is gone. */
	assert_code(mfs_remove(job.fs, "/b"), 0);
	assert_refused(job.fs, mfs_reservation_free(job.reservation), MFS_EBUSY);
	assert_left(&job, JOB, JOB);
	close_file(reader);
	/* An open that fails opens none. */
	assert_code(open_drawing(job.fs, "/missing", "r+b", 0, job.reservation, &writer), MFS_ENOENT);
	end_job(&job);
}

static void a_workspace_ends_after_its_reservations(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	assert_refused(job.fs, mfs_free(job.fs), MFS_EBUSY);
	assert_left(&job, JOB, JOB);
	make_drawn(&job, "/a", 100);
	assert_refused(job.fs, mfs_free(job.fs), MFS_EBUSY);
	end_job(&job);
}

/*
 * Threads
 */

struct writer {
	struct opener opener; /* for its thread, and to see it asleep */
	mfs_file *file;
	size_t size;
	int64_t result;
};

static void *write_in_thread(void *argument)
{
	struct writer *writer = argument;

	atomic_store(&writer->opener.tid, gettid());
	writer->result = mfs_write(writer->file, bytes, writer->size);
	atomic_store(&writer->opener.returned, true);
	return NULL;
}

static void writer_start(struct writer *writer)
{
	atomic_init(&writer->opener.tid, 0);
	atomic_init(&writer->opener.returned, false);
	writer->opener.thread = start_thread(write_in_thread, writer);
}

static int64_t writer_join(struct writer *writer)
{
	join_thread(writer->opener.thread);
	return writer->result;
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
	AWAIT(atomic_load_explicit(&may_go_on, memory_order_relaxed) ||
		  atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed));
}

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

static int remove_hook_after(void **state)
{
	return step_aside_teardown(state);
}

static void draws_that_meet_both_get_what_fits(void **state)
{
	struct job job = new_job(100);

	(void)state;
	make_other(job.fs, "/others", QUOTA - 200);
	struct writer one = {.file = open_of(&job, "/one", "wb"), .size = 150};
	struct writer two = {.file = open_of(&job, "/two", "wb"), .size = 50};
	hold_at("reservation: about to draw");
	writer_start(&one);
	await_held();
	/* Both have seen that 100 are left. */
	writer_start(&two);
	assert_code(writer_join(&two), 50);
	let_go_on();
	assert_code(writer_join(&one), 150);
	assert_left(&job, 0, QUOTA);
	close_file(one.file);
	close_file(two.file);
	end_job(&job);
}

/* Somebody who draws too little does not have what others are then refused for. */
static void what_a_refused_write_had_drawn_is_waited_for(void **state)
{
	struct job job = new_job(100);

	(void)state;
	make_other(job.fs, "/others", QUOTA - 200);
	struct writer much = {.file = open_of(&job, "/much", "wb"), .size = 201};
	struct writer fits = {.file = open_of(&job, "/fits", "wb"), .size = 150};
	hold_at("reservation: about to give");
	writer_start(&much);
	await_held();
	assert_code(mfs_reservation_left(job.reservation), 0);
	writer_start(&fits);
	opener_await_asleep(&fits.opener);
	assert_false(atomic_load(&fits.opener.returned));
	let_go_on();
	assert_code(writer_join(&much), MFS_EQUOTA);
	assert_code(writer_join(&fits), 150);
	assert_left(&job, 0, QUOTA - 50);
	close_file(much.file);
	close_file(fits.file);
	end_job(&job);
}

/* What a refused write gives back when others have filled the reservation is the quota's. */
static void what_comes_back_twice_is_counted_once(void **state)
{
	struct job job = new_job(150);

	(void)state;
	/* 50 drawn; of another file 100 are the quota's. */
	make_drawn(&job, "/drawn", 50);
	make_other(job.fs, "/undrawn", 100);
	mfs_file *file = open_of(&job, "/undrawn", "r+b");
	make_other(job.fs, "/others", QUOTA - 150 - 100);
	struct writer much = {.file = open_of(&job, "/much", "wb"), .size = 201};
	assert_left(&job, 100, QUOTA);
	hold_at("reservation: about to give");
	writer_start(&much);
	await_held();
	assert_left(&job, 0, QUOTA);
	assert_code(mfs_truncate(file, 0), 0);
	assert_left(&job, 100, QUOTA);
	let_go_on();
	assert_code(writer_join(&much), MFS_EQUOTA);
	/* All that it may have is left, and the rest is free. */
	assert_left(&job, 150, QUOTA - 50);
	close_file(file);
	close_file(much.file);
	end_job(&job);
}

enum { WORKERS = 8, TURNS = 300 };

struct worker {
	const struct job *job;
	unsigned number;
	int64_t failure;
	uint64_t refused;
	pthread_t thread;
};

/* Write, cut and empty a file of its own, again and again. Never more than 150 bytes. */
static void *work(void *argument)
{
	struct worker *worker = argument;
	char path[16];
	mfs_file *file;

	(void)snprintf(path, sizeof path, "/%u", worker->number);
	for (int i = 0; i < TURNS && !worker->failure; i++) {
		size_t size = 50 + (size_t)(i + (int)worker->number * 7) % 100;

		worker->failure =
			open_drawing(worker->job->fs, path, "wb", 0, worker->job->reservation, &file);
		if (worker->failure)
			break;
		int64_t result = mfs_write(file, bytes, size);
		if (result == MFS_EQUOTA)
			worker->refused++;
		else if (result != (int64_t)size || mfs_truncate(file, 20) || mfs_truncate(file, 0))
			worker->failure = result < 0 ? result : -1;
		if (mfs_close(file))
			worker->failure = -1;
	}
	return NULL;
}

/* Returns how many writes were refused. */
static uint64_t let_threads_work(const struct job *job)
{
	struct worker workers[WORKERS];
	uint64_t refused = 0;

	step_aside_setup(NULL);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.job = job, .number = i};
		workers[i].thread = start_thread(work, &workers[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		join_thread(workers[i].thread);
		refused += workers[i].refused;
	}
	step_aside_teardown(NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_code(workers[i].failure, 0);
	return refused;
}

static void threads_share_a_reservation_and_nothing_is_lost(void **state)
{
	(void)state;
	/* The reservation is too small for all of them, and with the quota it is not. */
	struct job job = new_job(WORKERS * 60);
	assert_true(WORKERS * 150 > QUOTA);
	make_other(job.fs, "/others", 100);
	(void)let_threads_work(&job);
	/* All that was drawn is back, and all that was the quota's is free. */
	assert_left(&job, WORKERS * 60, 100 + WORKERS * 60);
	end_reservation(&job);
	assert_int_equal(used_bytes(job.fs), 100);
	free_workspace(job.fs);
}

static void threads_are_not_refused_what_fits(void **state)
{
	mfs *fs = new_plain_workspace(WORKERS * 150);
	struct job job = {.fs = fs};

	(void)state;
	assert_code(mfs_reservation_new(fs, WORKERS * 60, &job.reservation), 0);
	assert_int_equal(let_threads_work(&job), 0);
	assert_code(mfs_reservation_left(job.reservation), WORKERS * 60);
	assert_int_equal(used_bytes(fs), WORKERS * 60);
	end_job(&job);
}

/*
 * Fork
 */

/* The job goes on in the child. Returns 0, or a line. */
static int check_in_child(struct job *job, mfs_file *file)
{
	mfs_usage usage;
	int64_t left = mfs_reservation_left(job->reservation);

	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_relaxed);
	if (mfs_stats(job->fs, &usage) || left < 0 || usage.reserved_bytes != (uint64_t)left ||
		usage.live_bytes != JOB - (uint64_t)left)
		return __LINE__ % 256;
	if (mfs_reservation_free(job->reservation) != MFS_EBUSY)
		return __LINE__ % 256;
	/* The file is as before the fork, or as after the write that was under way. */
	if (mfs_truncate(file, 0) || mfs_reservation_left(job->reservation) != JOB)
		return __LINE__ % 256;
	if (mfs_pwrite(file, bytes, JOB, 0) != JOB || mfs_reservation_left(job->reservation))
		return __LINE__ % 256;
	if (mfs_close(file) || mfs_reservation_free(job->reservation) || !mfs__validate(job->fs))
		return __LINE__ % 256;
	return mfs_free(job->fs) ? __LINE__ % 256 : 0;
}

static void check_fork(struct job *job, mfs_file *file)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(check_in_child(job, file));
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		print_error("child: wait status %#x\n", (unsigned)status);
	assert_int_equal(status, 0);
}

static void a_child_has_its_own_reservations(void **state)
{
	struct job job = new_job(JOB);
	mfs_file *file = open_of(&job, "/job", "wb");

	(void)state;
	assert_code(mfs_write(file, bytes, 100), 100);
	int64_t left = mfs_reservation_left(job.reservation);
	check_fork(&job, file);
	assert_left(&job, left, JOB);
	close_file(file);
	assert_left(&job, JOB - 100, JOB);
	end_job(&job);
}

static void a_child_finds_a_draw_done_or_not_begun(void **state)
{
	struct job job = new_job(JOB);
	struct writer writer = {.file = open_of(&job, "/job", "wb"), .size = JOB};

	(void)state;
	hold_at("reservation: about to draw");
	writer_start(&writer);
	await_held();
	check_fork(&job, writer.file);
	assert_code(writer_join(&writer), JOB);
	close_file(writer.file);
	assert_left(&job, 0, JOB);
	end_job(&job);
}

/* Atomic: the thread is to end. */
static atomic_bool enough;

/* Count again and again. */
static void *count_in_thread(void *fs)
{
	mfs_usage usage;

	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		(void)mfs_stats(fs, &usage);
	return NULL;
}

static void a_fork_may_come_while_reservations_are_counted(void **state)
{
	struct job job = new_job(JOB);

	(void)state;
	atomic_store_explicit(&enough, false, memory_order_relaxed);
	pthread_t thread = start_thread(count_in_thread, job.fs);
	for (int i = 0; i < 100; i++) {
		mfs_file *file = open_of(&job, "/job", "wb");
		check_fork(&job, file);
		close_file(file);
	}
	atomic_store_explicit(&enough, true, memory_order_relaxed);
	join_thread(thread);
	end_job(&job);
}

/*
 * Without memory
 */

/* More than any call here allocates. */
enum { MOST_ALLOCATIONS = 50 };

static void a_reservation_that_finds_no_memory_takes_nothing(void **state)
{
	mfs *fs = new_plain_workspace(QUOTA);
	long live = mfs__alloc_live();
	unsigned failures = 0;
	bool failed = true;

	(void)state;
	for (unsigned n = 1; failed; n++) {
		mfs_reservation *reservation;

		assert_true(n < MOST_ALLOCATIONS);
		mfs__alloc_fail_after(n);
		int code = mfs_reservation_new(fs, JOB, &reservation);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		if (code) {
			assert_code(code, MFS_ENOMEM);
			assert_null(reservation);
			assert_int_equal(used_bytes(fs), 0);
			assert_int_equal(usage_of(fs).reserved_bytes, 0);
			failures++;
		} else {
			assert_code(mfs_reservation_free(reservation), 0);
		}
		assert_int_equal(mfs__alloc_live(), live);
		assert_true(mfs__validate(fs));
	}
	assert_int_equal(failures, 1);
	/* Nor does one that is refused for want of space leave any behind. */
	mfs_reservation *reservation;
	assert_code(mfs_reservation_new(fs, QUOTA + 1, &reservation), MFS_EQUOTA);
	assert_int_equal(mfs__alloc_live(), live);
	free_workspace(fs);
}

static void a_write_that_finds_no_memory_gives_back_what_it_drew(void **state)
{
	unsigned failures = 0;
	bool failed = true;

	(void)state;
	for (unsigned n = 1; failed; n++) {
		mfs *fs = new_plain_workspace(1 * MIB);
		struct job job = {.fs = fs};

		assert_true(n < MOST_ALLOCATIONS);
		/* Some of what it needs. */
		assert_code(mfs_reservation_new(fs, 10 * KIB, &job.reservation), 0);
		mfs_file *file = open_of(&job, "/job", "wb");
		mfs__alloc_fail_after(n);
		int code = mfs_truncate(file, 40 * KIB);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		if (code) {
			assert_code(code, MFS_ENOMEM);
			assert_code(mfs_reservation_left(job.reservation), 10 * KIB);
			assert_int_equal(used_bytes(fs), 10 * KIB);
			failures++;
		} else {
			assert_code(mfs_reservation_left(job.reservation), 0);
		}
		close_file(file);
		end_job(&job);
	}
	assert_true(failures > 0);
}

#define HOOKED_TEST(function) cmocka_unit_test_teardown(function, remove_hook_after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_draw_on_the_reservation_first),
		cmocka_unit_test(others_cannot_take_what_is_set_aside),
		cmocka_unit_test(a_write_may_draw_on_both),
		cmocka_unit_test(what_handles_give_back_is_the_job_s_again),
		cmocka_unit_test(no_more_goes_back_than_was_drawn),
		cmocka_unit_test(what_others_give_back_is_everybody_s),
		cmocka_unit_test(handles_share_a_reservation),
		cmocka_unit_test(reservations_are_apart),
		cmocka_unit_test(overhead_is_drawn_too),
		cmocka_unit_test(every_call_on_a_handle_draws),
		cmocka_unit_test(an_open_draws_for_the_room_it_makes),
		cmocka_unit_test(names_are_not_drawn),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(a_reservation_of_another_workspace_is_refused),
		cmocka_unit_test(a_reservation_ends_after_its_handles),
		cmocka_unit_test(a_workspace_ends_after_its_reservations),
		HOOKED_TEST(draws_that_meet_both_get_what_fits),
		HOOKED_TEST(what_a_refused_write_had_drawn_is_waited_for),
		HOOKED_TEST(what_comes_back_twice_is_counted_once),
		HOOKED_TEST(threads_share_a_reservation_and_nothing_is_lost),
		HOOKED_TEST(threads_are_not_refused_what_fits),
		cmocka_unit_test(a_child_has_its_own_reservations),
		HOOKED_TEST(a_child_finds_a_draw_done_or_not_begun),
		cmocka_unit_test(a_fork_may_come_while_reservations_are_counted),
		cmocka_unit_test(a_reservation_that_finds_no_memory_takes_nothing),
		cmocka_unit_test(a_write_that_finds_no_memory_gives_back_what_it_drew),
	};

	return cmocka_run_group_tests(tests, make_sources, drop_sources);
}
