/* SPDX-License-Identifier: MIT */
/*
 * Does a workspace's memory go back when it ends, whatever others keep and whatever of its own is
 * still retired; and does all work as well where there are no arenas?
 *
 * Arenas are jemalloc's. Sanitizer builds do without, so that there only what holds in both cases
 * is tested.
 */
#include "support.h"

#include "await.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/compiler.h"
#include "base/huge_block.h"
#include "base/page_pool.h"
#include "base/rcu.h"
#include "base/reclaim.h"
#include "fs/filesystem.h"

#include <sys/wait.h>

/* Files that make a workspace large enough for an arena: of 1000 bytes each. */
#define FILES 2000

static long live_before;
static mfs *other; /* a workspace that is there all along */

static int setup(void **state)
{
	(void)state;
	live_before = mfs__alloc_live();
	return mfs_configure_memory(NULL) || mfs_new(NULL, &other);
}

static int teardown(void **state)
{
	(void)state;
	mfs__alloc_fail_after(0);
	if (mfs_free(other) || mfs_configure_memory(NULL))
		return -1;
	/* The last workspace is gone, and with it all arenas. */
	return mfs__alloc_live() == live_before && mfs__arena_count() == 0 ? 0 : -1;
}

static bool has_arenas(void)
{
	struct mfs__arena arena;

	return mfs__arena_init(&arena) != NULL;
}

static void path_of(char path[32], unsigned i)
{
	(void)snprintf(path, 32, "/d%u/file%u", i % 7, i);
}

/* For any thread. Returns 0 or a code. */
static int write_file(mfs *fs, const char *path, const void *data, size_t size)
{
	mfs_file *file;

	int code = mfs_open(fs, path, "wb", &file);
	if (code)
		return code;
	int64_t written = mfs_write(file, data, size);
	code = mfs_close(file);
	return written < 0 ? (int)written : code;
}

/* Make FILES files of 1000 bytes; `seed` makes their contents differ. Returns 0 or a code. */
static int fill(mfs *fs, unsigned seed)
{
	unsigned char data[1000];
	char path[32];
	int code = 0;

	for (unsigned i = 0; i < 7 && !code; i++) {
		(void)snprintf(path, sizeof path, "/d%u", i);
		code = mfs_mkdir(fs, path, 0);
	}
	for (unsigned i = 0; i < FILES && !code; i++) {
		memset(data, (int)((i + seed) & 0xff), sizeof data);
		path_of(path, i);
		code = write_file(fs, path, data, sizeof data);
	}
	return code;
}

static void assert_filled(mfs *fs, unsigned seed)
{
	unsigned char data[1000];
	char path[32];

	for (unsigned i = 0; i < FILES; i += 13) {
		memset(data, (int)((i + seed) & 0xff), sizeof data);
		path_of(path, i);
		assert_file_holds(fs, path, data, sizeof data);
	}
	assert_true(mfs__validate(fs));
}

static void without_an_arena_the_processs_memory_serves(void **state)
{
	(void)state;
	unsigned char *block = mfs__arena_alloc(NULL, 100);
	assert_non_null(block);
	memset(block, 7, 100);
	block = mfs__arena_realloc(NULL, block, 100, 100000);
	assert_non_null(block);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(block[i], 7);
	mfs__arena_free(NULL, block, 100000);
	mfs__arena_free(NULL, NULL, 0);
	mfs__arena_drop(NULL, true);
	uint32_t slot = 1;
	block = mfs__arena_alloc_numbered(NULL, 100, &slot);
	assert_non_null(block);
	assert_int_equal(slot, 0);
	mfs__arena_free_numbered(slot, block, 100);
}

static void small_workspaces_make_no_arena(void **state)
{
	mfs *many[50];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		many[i] = new_workspace(NULL);
		make_text(many[i], "/a", "some text");
		make_text(many[i], "/b", "more text");
	}
	assert_int_equal(mfs__arena_count(), 0);
	for (size_t i = 0; i < COUNT_OF(many); i++)
		free_workspace(many[i]);
}

static void large_workspace_has_one_that_is_used_again(void **state)
{
	(void)state;
	if (!has_arenas())
		skip();
	for (unsigned i = 0; i < 20; i++) {
		mfs *fs = new_workspace(NULL);
		assert_code(fill(fs, i), 0);
		assert_int_equal(mfs__arena_count(), 1);
		assert_filled(fs, i);
		free_workspace(fs);
		assert_int_equal(mfs__arena_count(), 1);
	}
	mfs *one = new_workspace(NULL);
	mfs *two = new_workspace(NULL);
	assert_code(fill(one, 1), 0);
	assert_code(fill(two, 2), 0);
	assert_int_equal(mfs__arena_count(), 2);
	free_workspace(one);
	assert_filled(two, 2);
	free_workspace(two);
	assert_int_equal(mfs__arena_count(), 2);
}

static void thousands_of_workspaces_in_turn_leave_nothing(void **state)
{
	unsigned char data[4000];

	(void)state;
	memset(data, 1, sizeof data);
	for (unsigned i = 0; i < 5000; i++) {
		mfs *fs = new_workspace(NULL);
		/* Enough for an arena in a few large files: every tenth workspace. */
		for (unsigned k = 0; k < (i % 10 ? 3 : 320); k++) {
			char path[32];
			(void)snprintf(path, sizeof path, "/%u", k);
			assert_code(write_file(fs, path, data, sizeof data - k), 0);
		}
		free_workspace(fs);
	}
	assert_true(mfs__arena_count() <= 1);
	/* But for what is retired, which goes soon. */
	AWAIT(mfs__reclaim_pending() == 0);
}

/* Blocks of before and after the workspace gets its arena, freed in any order. */
static void blocks_survive_the_change_to_an_arena(void **state)
{
	enum { BLOCKS = 4000 };
	static unsigned char *blocks[BLOCKS];
	static size_t sizes[BLOCKS];
	struct mfs__arena place;
	struct rng rng = {42};
	long live = mfs__alloc_live();

	(void)state;
	struct mfs__arena *arena = mfs__arena_init(&place);
	for (size_t i = 0; i < BLOCKS; i++) {
		sizes[i] = 1 + rng_below(&rng, i % 100 ? 1000 : 100000);
		blocks[i] = mfs__arena_alloc(arena, sizes[i]);
		assert_non_null(blocks[i]);
		memset(blocks[i], (int)(i & 0xff), sizes[i]);
	}
	assert_int_equal(mfs__alloc_live(), live + BLOCKS);
	for (size_t round = 0; round < 3 * BLOCKS; round++) {
		size_t i = rng_below(&rng, BLOCKS);
		size_t size = 1 + rng_below(&rng, 3000);
		blocks[i] = mfs__arena_realloc(arena, blocks[i], sizes[i], size);
		assert_non_null(blocks[i]);
		size_t kept = size < sizes[i] ? size : sizes[i];
		for (size_t k = 0; k < kept; k++)
			assert_int_equal(blocks[i][k], i & 0xff);
		memset(blocks[i], (int)(i & 0xff), size);
		sizes[i] = size;
	}
	for (size_t i = 0; i < BLOCKS; i++)
		mfs__arena_free(arena, blocks[i], sizes[i]);
	assert_int_equal(mfs__alloc_live(), live);
	mfs__arena_drop(arena, true);
}

static void every_allocation_can_fail(void **state)
{
	struct mfs__arena place;
	void *large[20];

	(void)state;
	struct mfs__arena *arena = mfs__arena_init(&place);
	/* Past the point at which there is an arena. */
	for (size_t i = 0; i < COUNT_OF(large); i++)
		large[i] = mfs__arena_alloc(arena, 100000);
	long live = mfs__alloc_live();
	mfs__alloc_fail_after(1);
	assert_null(mfs__arena_alloc(arena, 100));
	assert_true(mfs__alloc_failed());
	unsigned char *block = mfs__arena_alloc(arena, 100);
	assert_non_null(block);
	block[99] = 5;
	mfs__alloc_fail_after(1);
	assert_null(mfs__arena_realloc(arena, block, 100, 1000));
	assert_int_equal(block[99], 5);
	mfs__alloc_fail_after(1);
	assert_null(mfs__retirable_new(arena, 100));
	/* Larger than its size can be noted. */
	assert_null(mfs__retirable_new(arena, (size_t)UINT32_MAX + 1));
	mfs__arena_free(arena, block, 100);
	for (size_t i = 0; i < COUNT_OF(large); i++)
		mfs__arena_free(arena, large[i], 100000);
	assert_int_equal(mfs__alloc_live(), live - (long)COUNT_OF(large));
	mfs__arena_drop(arena, false);
}

static void creating_fails_cleanly_in_an_arena(void **state)
{
	char data[300];
	bool failed = true;

	(void)state;
	memset(data, 3, sizeof data);
	mfs *fs = new_workspace(NULL);
	assert_code(fill(fs, 5), 0);
	for (long n = 1; failed; n++) {
		mfs__alloc_fail_after(n);
		int code = write_file(fs, "/d1/new", data, sizeof data);
		failed = mfs__alloc_failed();
		mfs__alloc_fail_after(0);
		if (!failed || code == 0)
			assert_code(code, 0);
		else
			assert_code(code, MFS_ENOMEM);
		(void)mfs_remove(fs, "/d1/new");
		assert_true(mfs__validate(fs));
	}
	free_workspace(fs);
}

struct reader {
	atomic_bool inside;
	atomic_bool leave;
};

static void *read_for_long(void *argument)
{
	struct reader *reader = argument;

	mfs__rcu_lock();
	atomic_store(&reader->inside, true);
	while (!atomic_load(&reader->leave))
		(void)sched_yield();
	mfs__rcu_unlock();
	return NULL;
}

/* While a section is open, nothing that is retired can be freed. The workspace ends all the same,
 * and its arena may serve the next one by the time that its last blocks are freed. */
static void what_is_retired_outlives_its_workspace(void **state)
{
	struct reader reader = {false, false};
	char path[32];

	(void)state;
	mfs *fs = new_workspace(NULL);
	assert_code(fill(fs, 1), 0);
	pthread_t thread = start_thread(read_for_long, &reader);
	AWAIT(atomic_load(&reader.inside));
	for (unsigned i = 0; i < FILES; i += 3) {
		path_of(path, i);
		assert_code(mfs_remove(fs, path), 0);
	}
	assert_true(mfs__reclaim_pending() > 0);
	free_workspace(fs);
	assert_true(mfs__reclaim_pending() > 0);
	fs = new_workspace(NULL);
	assert_code(fill(fs, 2), 0);
	atomic_store(&reader.leave, true);
	join_thread(thread);
	AWAIT(mfs__reclaim_pending() == 0);
	assert_filled(fs, 2);
	free_workspace(fs);
	AWAIT(mfs__reclaim_pending() == 0);
}

#define THREADS 6
#define ROUNDS  4000

struct worker {
	struct mfs__arena *arena;
	_Atomic(unsigned char *) *shared;
	struct rng rng;
	unsigned damaged; /* valid once joined */
	pthread_t thread;
};

#define SHARED 64

/* Blocks begin with their size, and all their bytes but the first eight are its lowest byte. */
static void *trade_blocks(void *argument)
{
	struct worker *worker = argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t size = 16 + rng_below(&worker->rng, i % 50 ? 600 : 40000);
		unsigned char *block = mfs__arena_alloc(worker->arena, size);
		if (!block)
			abort();
		memcpy(block, &size, sizeof size);
		memset(block + sizeof size, (int)(size & 0xff), size - sizeof size);
		unsigned char *old = atomic_exchange_explicit(
			&worker->shared[rng_below(&worker->rng, SHARED)], block, memory_order_acq_rel);
		if (!old)
			continue;
		memcpy(&size, old, sizeof size);
		for (uint64_t k = sizeof size; k < size; k++)
			worker->damaged += old[k] != (size & 0xff);
		mfs__arena_free(worker->arena, old, size);
	}
	return NULL;
}

static void many_threads_share_an_arena(void **state)
{
	static _Atomic(unsigned char *) shared[SHARED];
	struct worker workers[THREADS];
	struct mfs__arena place;
	long live = mfs__alloc_live();

	(void)state;
	struct mfs__arena *arena = mfs__arena_init(&place);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.arena = arena, .shared = shared, .rng = {70 + i}};
		workers[i].thread = start_thread(trade_blocks, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		join_thread(workers[i].thread);
		assert_int_equal(workers[i].damaged, 0);
	}
	for (unsigned i = 0; i < SHARED; i++) {
		unsigned char *block = atomic_exchange(&shared[i], NULL);
		uint64_t size;
		if (!block)
			continue;
		memcpy(&size, block, sizeof size);
		mfs__arena_free(arena, block, size);
	}
	assert_int_equal(mfs__alloc_live(), live);
	mfs__arena_drop(arena, false);
}

struct owner {
	unsigned seed;
	int code; /* valid once joined */
	pthread_t thread;
};

static void *own_workspaces(void *argument)
{
	struct owner *owner = argument;

	for (unsigned i = 0; i < 5 && !owner->code; i++) {
		mfs *fs;
		owner->code = mfs_new(NULL, &fs);
		if (owner->code)
			break;
		owner->code = fill(fs, owner->seed + i);
		char path[32];
		for (unsigned k = 0; k < FILES && !owner->code; k += 2) {
			path_of(path, k);
			owner->code = mfs_remove(fs, path);
		}
		if (!owner->code && !mfs__validate(fs))
			owner->code = MFS_EINVAL;
		int code = mfs_free(fs);
		if (!owner->code)
			owner->code = code;
	}
	return NULL;
}

static void workspaces_of_many_threads_come_and_go(void **state)
{
	struct owner owners[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		owners[i] = (struct owner){.seed = 10 * i};
		owners[i].thread = start_thread(own_workspaces, &owners[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		join_thread(owners[i].thread);
		assert_code(owners[i].code, 0);
	}
	assert_true(mfs__arena_count() <= THREADS);
}

/* Memory of this process that is resident. */
static size_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long all;
	unsigned long pages;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &all, &pages), 2);
	(void)fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Two workspaces are filled by turns; what one of them had is gone with it. */
static void freed_workspace_gives_its_memory_back_at_once(void **state)
{
	enum { MANY = 50000 };
	mfs *pair[2];
	char data[600];
	char path[32];

	(void)state;
	if (!has_arenas())
		skip();
	memset(data, 1, sizeof data);
	for (unsigned i = 0; i < 2; i++)
		pair[i] = new_workspace(NULL);
	size_t before = resident();
	for (unsigned i = 0; i < 2 * MANY; i++) {
		(void)snprintf(path, sizeof path, "/%u", i);
		assert_code(write_file(pair[i % 2], path, data, sizeof data), 0);
	}
	size_t filled = resident();
	assert_true(filled - before >= 2 * MANY * sizeof data);
	/* What is still retired, of tables that grew, goes when the reclaimer comes to it. */
	AWAIT(mfs__reclaim_pending() == 0);
	free_workspace(pair[0]);
	/* Half of it was its own, and its files' data were more than half of that. */
	assert_true(filled - resident() >= MANY * sizeof data);
	(void)snprintf(path, sizeof path, "/%u", (unsigned)MANY + 1);
	assert_file_holds(pair[1], path, data, sizeof data);
	free_workspace(pair[1]);
	assert_true(resident() < before + 8 * MIB);
}

static int grow_and_free(mfs *fs)
{
	mfs *another;

	if (!mfs__validate(fs) || write_file(fs, "/new", "text", 4) || mfs_rmtree(fs, "/d0"))
		return 1;
	if (mfs_new(NULL, &another) || fill(another, 9) || mfs_free(another))
		return 2;
	if (mfs_free(fs) || mfs_free(other))
		return 3;
	return mfs__arena_count() ? 4 : 0;
}

static void child_of_fork_has_the_arenas(void **state)
{
	int status = 0;

	(void)state;
	mfs *fs = new_workspace(NULL);
	assert_code(fill(fs, 4), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(grow_and_free(fs));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_filled(fs, 4);
	free_workspace(fs);
}

/*
 * Options
 */

static void never_means_no_arenas(void **state)
{
	mfs_memory_options options = {.struct_size = sizeof options, .arenas = MFS_ARENAS_NEVER};

	(void)state;
	assert_code(mfs_configure_memory(&options), 0);
	assert_false(has_arenas());
	mfs *fs = new_workspace(NULL);
	assert_code(fill(fs, 3), 0);
	assert_filled(fs, 3);
	assert_int_equal(mfs__arena_count(), 0);
	free_workspace(fs);
}

static void workspaces_keep_working_when_the_options_change(void **state)
{
	mfs_memory_options options = {
		.idle_time = MFS_IDLE_NONE, .huge_pages = MFS_HUGE_PAGES_NEVER, .arenas = MFS_ARENAS_NEVER};

	(void)state;
	mfs *old = new_workspace(NULL);
	assert_code(fill(old, 1), 0);
	assert_code(mfs_configure_memory(&options), 0);
	mfs *new = new_workspace(NULL);
	assert_code(fill(new, 2), 0);
	assert_code(mfs_rmtree(old, "/d3"), 0);
	assert_true(mfs__validate(old));
	assert_code(mfs_configure_memory(NULL), 0);
	assert_filled(new, 2);
	make_text(old, "/after", "text");
	assert_text(old, "/after", "text");
	free_workspace(old);
	free_workspace(new);
}

static void bad_options_are_refused_and_change_nothing(void **state)
{
	const mfs_memory_options bad[] = {
		{.struct_size = sizeof(size_t)},
		{.struct_size = SIZE_MAX},
		{.idle_time = -2},
		{.huge_pages = -1},
		{.huge_pages = 2},
		{.arenas = -1},
		{.arenas = 2},
	};
	mfs_memory_options none = {.arenas = MFS_ARENAS_NEVER};

	(void)state;
	assert_code(mfs_configure_memory(&none), 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_refused(other, mfs_configure_memory(&bad[i]), MFS_EINVAL);
		assert_false(has_arenas());
	}
	/* As long as can be. */
	none.idle_time = INT64_MAX;
	none.idle_bytes = UINT64_MAX;
	assert_code(mfs_configure_memory(&none), 0);
}

/* Write a file of so many mebibytes, remove it, and say what is idle then. */
static uint64_t idle_after_removing(mfs *fs, size_t mebibytes)
{
	mfs_file *file = open_file(fs, "/large", "wb");
	char *data = allocate(MIB);

	memset(data, 1, MIB);
	for (size_t i = 0; i < mebibytes; i++)
		assert_code(mfs_write(file, data, MIB), MIB);
	free(data);
	close_file(file);
	assert_code(mfs_remove(fs, "/large"), 0);
	return usage_of(fs).idle_bytes;
}

static void freed_blocks_are_kept_as_the_options_say(void **state)
{
	mfs_memory_options options = {.idle_time = 1000000};

	(void)state;
	if (MFS__SANITIZED)
		skip(); /* sanitizers are to see what is freed */
	/* For so long that it is still there. */
	assert_code(mfs_configure_memory(&options), 0);
	assert_true(idle_after_removing(other, 40) >= 36 * MIB);
	/* What is too much goes at once. */
	options.idle_bytes = 10 * MIB;
	assert_code(mfs_configure_memory(&options), 0);
	assert_int_equal(mfs__huge_idle_bytes(), 10 * MIB);
	(void)idle_after_removing(other, 40);
	assert_int_equal(mfs__huge_idle_bytes(), 10 * MIB);
	/* And nothing is kept, neither of before nor of what comes. */
	options = (mfs_memory_options){.idle_time = MFS_IDLE_NONE};
	assert_code(mfs_configure_memory(&options), 0);
	assert_int_equal(mfs__huge_idle_bytes(), 0);
	(void)idle_after_removing(other, 40);
	assert_int_equal(mfs__huge_idle_bytes(), 0);
	AWAIT(usage_of(other).idle_bytes == 0);
}

static void idle_memory_goes_back_in_time(void **state)
{
	mfs_memory_options options = {.idle_time = 1};
	char page[4096];
	char path[32];

	(void)state;
	assert_code(mfs_configure_memory(&options), 0);
	memset(page, 1, sizeof page);
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(path, sizeof path, "/page%u", i);
		assert_code(write_file(other, path, page, sizeof page), 0);
	}
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(path, sizeof path, "/page%u", i);
		assert_code(mfs_remove(other, path), 0);
	}
	(void)idle_after_removing(other, 10);
	AWAIT(usage_of(other).idle_bytes == 0);
	/* The caches and free pages of arenas, too: nothing is left to be looked after. */
	mfs *fs = new_workspace(NULL);
	assert_code(fill(fs, 1), 0);
	AWAIT(!mfs__arena_has_idle());
	assert_filled(fs, 1);
	free_workspace(fs);
}

#define ARENA_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARENA_TEST(without_an_arena_the_processs_memory_serves),
		ARENA_TEST(small_workspaces_make_no_arena),
		ARENA_TEST(large_workspace_has_one_that_is_used_again),
		ARENA_TEST(thousands_of_workspaces_in_turn_leave_nothing),
		ARENA_TEST(blocks_survive_the_change_to_an_arena),
		ARENA_TEST(every_allocation_can_fail),
		ARENA_TEST(creating_fails_cleanly_in_an_arena),
		ARENA_TEST(what_is_retired_outlives_its_workspace),
		ARENA_TEST(many_threads_share_an_arena),
		ARENA_TEST(workspaces_of_many_threads_come_and_go),
		ARENA_TEST(freed_workspace_gives_its_memory_back_at_once),
		ARENA_TEST(child_of_fork_has_the_arenas),
		ARENA_TEST(never_means_no_arenas),
		ARENA_TEST(workspaces_keep_working_when_the_options_change),
		ARENA_TEST(bad_options_are_refused_and_change_nothing),
		ARENA_TEST(freed_blocks_are_kept_as_the_options_say),
		ARENA_TEST(idle_memory_goes_back_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
