/* SPDX-License-Identifier: MIT */
/*
 * Is a handle that was closed, or never was one, always recognised, whoever uses its slot now; and
 * does every slot come back to where it was taken?
 */
#include "support.h"

#include "await.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"

/* The part of a handle that says which slot it is. */
#define SLOT_BITS 24

static uint64_t slot_of(const mfs_file *file)
{
	return (uint64_t)(uintptr_t)file & ((UINT64_C(1) << SLOT_BITS) - 1);
}

static mfs_file *handle_of(uint64_t number)
{
	return (
		mfs_file *)(uintptr_t)number; /* NOLINT(performance-no-int-to-ptr): a number, by design */
}

/* Every call on this handle says that it is not open. */
static void assert_not_open(mfs_file *file)
{
	char buffer[8] = "";
	struct iovec vector = {buffer, sizeof(buffer)};

	assert_code(mfs_read(file, buffer, sizeof(buffer)), MFS_EBADF);
	assert_code(mfs_pread(file, buffer, sizeof(buffer), 0), MFS_EBADF);
	assert_code(mfs_readv(file, &vector, 1), MFS_EBADF);
	assert_code(mfs_write(file, buffer, sizeof(buffer)), MFS_EBADF);
	assert_code(mfs_pwrite(file, buffer, sizeof(buffer), 0), MFS_EBADF);
	assert_code(mfs_writev(file, &vector, 1), MFS_EBADF);
	assert_code(mfs_seek(file, 0, SEEK_SET), MFS_EBADF);
	assert_code(mfs_tell(file), MFS_EBADF);
	assert_code(mfs_truncate(file, 0), MFS_EBADF);
	assert_code(mfs_flush(file), MFS_EBADF);
	assert_code(mfs_readable(file), MFS_EBADF);
	assert_code(mfs_writable(file), MFS_EBADF);
	assert_code(mfs_seekable(file), MFS_EBADF);
	if (file)
		assert_code(mfs_close(file), MFS_EBADF);
	else
		assert_code(mfs_close(file), 0);
}

static void closed_handle_is_recognised_when_its_slot_is_reused(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/old", "old");
	make_text(fs, "/new", "new");
	mfs_file *closed = open_file(fs, "/old", "r+b");
	close_file(closed);
	assert_not_open(closed);
	mfs_file *open = open_file(fs, "/new", "r+b");
	/* The worst case is what is tested: the same slot. */
	assert_int_equal(slot_of(open), slot_of(closed));
	assert_ptr_not_equal(open, closed);
	assert_not_open(closed);
	/* And the one who has the slot now notices nothing. */
	assert_handle_holds(open, "new", 3);
	assert_code(mfs_tell(open), 0);
	close_file(open);
	assert_not_open(open);
	assert_not_open(closed);
	assert_text(fs, "/new", "new");
	assert_text(fs, "/old", "old");
}

static void uses_of_a_slot_never_look_alike(void **state)
{
	mfs *fs = *state;
	mfs_file *handles[1000];

	make_text(fs, "/file", "text");
	for (size_t i = 0; i < COUNT_OF(handles); i++) {
		handles[i] = open_file(fs, "/file", "rb");
		assert_int_equal(slot_of(handles[i]), slot_of(handles[0]));
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(handles[i], handles[j]);
		close_file(handles[i]);
	}
	mfs_file *open = open_file(fs, "/file", "rb");
	for (size_t i = 0; i < COUNT_OF(handles); i++)
		assert_code(mfs_tell(handles[i]), MFS_EBADF);
	assert_code(mfs_tell(open), 0);
	close_file(open);
}

static void numbers_that_are_no_handles_are_refused(void **state)
{
	static const uint64_t numbers[] = {
		0,
		1,
		2,
		63,
		64,
		65,
		0xffffff,
		0xfffffe,
		0x1000000,
		0x1000001,
		0xffffffff,
		UINT64_C(0x100000000),
		UINT64_C(0x7fffffffffffffff),
		UINT64_C(0x8000000000000000),
		UINT64_C(0xffffffffff000000),
		UINT64_C(0xfffffffffffffffe),
		UINT64_MAX,
	};
	mfs *fs = *state;

	make_text(fs, "/file", "text");
	mfs_file *open = open_file(fs, "/file", "r+b");
	uint64_t id = (uint64_t)(uintptr_t)open;
	const uint64_t neighbours[] = {
		id + (UINT64_C(1) << SLOT_BITS),
		id - (UINT64_C(1) << SLOT_BITS),
		id + 1,
		id + 63,
		id ^ (UINT64_C(1) << 63),
		slot_of(open),
		~id,
	};
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		if (numbers[i] != id)
			assert_not_open(handle_of(numbers[i]));
	for (size_t i = 0; i < COUNT_OF(neighbours); i++)
		assert_not_open(handle_of(neighbours[i]));
	assert_null(mfs__handle_lock(NULL, true));
	assert_handle_holds(open, "text", 4);
	close_file(open);
}

static void slot_that_is_refused_stays_unlocked(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/file", "text");
	mfs_file *file = open_file(fs, "/file", "rb");
	struct mfs__handle *handle = mfs__handle_lock(file, true);
	assert_non_null(handle);
	assert_int_equal(atomic_load(&handle->lock.state), MFS__RWLOCK_WRITER);
	mfs__handle_unlock(handle, true);
	close_file(file);
	for (int exclusive = 0; exclusive < 2; exclusive++) {
		assert_null(mfs__handle_lock(file, exclusive == 1));
		assert_int_equal(atomic_load(&handle->lock.state), 0);
	}
}

#define LENT 200 /* more than a segment of slots has */

/* A thread that opens handles when it is told to, for another thread to close. */
struct lender {
	mfs *fs;
	atomic_int turn; /* counts up: odd, the lender's; even, the closer's */
	int code;
	mfs_file *files[LENT];
	pthread_t thread;
};

static void *lend(void *argument)
{
	struct lender *lender = argument;

	for (int turn = 1; turn <= 5; turn += 2) {
		while (atomic_load(&lender->turn) != turn)
			(void)sched_yield();
		for (size_t i = 0; i < LENT && !lender->code; i++)
			lender->code = open_with(lender->fs, "/file", "rb", MFS_O_SHARED, 0, &lender->files[i]);
		atomic_store(&lender->turn, turn + 1);
	}
	return NULL;
}

static int compare_slots(const void *a, const void *b)
{
	const uint64_t *one = a;
	const uint64_t *other = b;

	return (*one > *other) - (*one < *other);
}

static void collect_slots(mfs_file *const *files, size_t count, uint64_t *slots)
{
	for (size_t i = 0; i < count; i++)
		slots[i] = slot_of(files[i]);
	qsort(slots, count, sizeof(*slots), compare_slots);
	for (size_t i = 1; i < count; i++)
		assert_true(slots[i] != slots[i - 1]);
}

static void handles_closed_by_another_thread_go_back_to_their_stripe(void **state)
{
	mfs *fs = *state;
	struct lender *lender = allocate(sizeof(*lender));
	mfs_file *own[LENT];
	uint64_t first[LENT];
	uint64_t again[LENT];
	uint64_t own_slots[LENT];

	make_text(fs, "/file", "text");
	lender->fs = fs;
	lender->thread = start_thread(lend, lender);
	for (int turn = 1; turn <= 5; turn += 2) {
		atomic_store(&lender->turn, turn);
		AWAIT(atomic_load(&lender->turn) == turn + 1);
		assert_code(lender->code, 0);
		collect_slots(lender->files, LENT, turn == 1 ? first : again);
		for (size_t i = 0; i < LENT; i++) {
			assert_code(mfs_tell(lender->files[i]), 0);
			close_file(lender->files[i]);
			assert_code(mfs_tell(lender->files[i]), MFS_EBADF);
		}
		/* What was closed here is not used here, nor does it get lost. */
		for (size_t i = 0; i < LENT; i++)
			own[i] = open_shared(fs, "/file", "rb");
		collect_slots(own, LENT, own_slots);
		for (size_t i = 0; i < LENT; i++) {
			assert_null(bsearch(&own_slots[i], first, LENT, sizeof(*first), compare_slots));
			close_file(own[i]);
		}
		if (turn > 1)
			assert_memory_equal(again, first, sizeof(first));
	}
	join_thread(lender->thread);
	free(lender);
}

static void file_has_ten_thousand_handles_at_once(void **state)
{
	const size_t total = 10000;
	mfs_file **files = allocate(total * sizeof(mfs_file *));
	uint64_t *slots = allocate(total * sizeof(*slots));
	uint64_t *again = allocate(total * sizeof(*again));
	mfs *fs = new_workspace(NULL);

	(void)state;
	make_text(fs, "/file", "text");
	uint64_t used = used_bytes(fs);
	for (size_t i = 0; i < total; i++)
		files[i] = open_shared(fs, "/file", i % 2 ? "r+b" : "rb");
	collect_slots(files, total, slots);
	assert_int_equal(usage_of(fs).open_handles, total);
	for (size_t i = 0; i < total; i += 97)
		assert_handle_holds(files[i], "text", 4);
	assert_code(mfs_free(fs), MFS_EBUSY);
	assert_true(mfs__validate(fs));

	/* Removed, it lives for them. */
	assert_code(mfs_remove(fs, "/file"), 0);
	assert_int_equal(used_bytes(fs), used);
	for (size_t i = 0; i < total; i++) {
		if (i % 1000 == 0) {
			assert_int_equal(usage_of(fs).open_handles, total - i);
			assert_code(mfs_free(fs), MFS_EBUSY);
			assert_handle_holds(files[total - 1 - i % 2], "text", 4);
		}
		/* In an order of its own: 7919 is prime to 10000. */
		size_t at = i + 1 < total ? i * 7919 % (total - 1) : total - 1;
		close_file(files[at]);
	}
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).open_handles, 0);

	/* As many again take no other slots. */
	make_text(fs, "/file", "again");
	for (size_t i = 0; i < total; i++)
		files[i] = open_shared(fs, "/file", "rb");
	collect_slots(files, total, again);
	assert_int_equal(memcmp(slots, again, total * sizeof(*slots)), 0);
	for (size_t i = 0; i < total; i++)
		close_file(files[i]);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
	free(again);
	free(slots);
	free(files);
}

static void workspace_is_busy_until_its_own_handles_are_closed(void **state)
{
	mfs *fs = new_workspace(NULL);
	mfs *other = *state;

	make_text(fs, "/file", "text");
	make_text(other, "/file", "other");
	mfs_file *file = open_file(fs, "/file", "rb");
	mfs_file *others = open_file(other, "/file", "rb");
	assert_code(mfs_free(fs), MFS_EBUSY);
	/* It stays as it is. */
	assert_handle_holds(file, "text", 4);
	make_text(fs, "/more", "more");
	assert_code(mfs_free(fs), MFS_EBUSY);
	close_file(file);
	free_workspace(fs);
	assert_not_open(file);
	assert_handle_holds(others, "other", 5);
	close_file(others);
}

#define CLOSERS      4
#define CLOSE_ROUNDS 300

struct closers {
	pthread_barrier_t barrier;
	mfs_file *file; /* between barriers */
};

struct closer {
	struct closers *all;
	unsigned closed;
	unsigned refused;
	unsigned other; /* answers */
	pthread_t thread;
};

static void *close_all(void *argument)
{
	struct closer *closer = argument;

	for (int round = 0; round < CLOSE_ROUNDS; round++) {
		(void)pthread_barrier_wait(&closer->all->barrier);
		int64_t position = mfs_tell(closer->all->file);
		if (position != 0 && position != MFS_EBADF)
			closer->other++;
		int code = mfs_close(closer->all->file);
		if (code == 0)
			closer->closed++;
		else if (code == MFS_EBADF)
			closer->refused++;
		else
			closer->other++;
		(void)pthread_barrier_wait(&closer->all->barrier);
	}
	return NULL;
}

static void of_many_that_close_one_handle_one_succeeds(void **state)
{
	mfs *fs = *state;
	struct closers all;
	struct closer closers[CLOSERS];
	unsigned closed = 0;
	unsigned refused = 0;

	make_text(fs, "/file", "text");
	assert_int_equal(pthread_barrier_init(&all.barrier, NULL, CLOSERS + 1), 0);
	for (unsigned i = 0; i < CLOSERS; i++) {
		closers[i] = (struct closer){.all = &all};
		closers[i].thread = start_thread(close_all, &closers[i]);
	}
	for (int round = 0; round < CLOSE_ROUNDS; round++) {
		int code = mfs_open(fs, "/file", "r+b", &all.file);
		(void)pthread_barrier_wait(&all.barrier);
		(void)pthread_barrier_wait(&all.barrier);
		assert_code(code, 0);
		assert_int_equal(usage_of(fs).open_handles, 0);
	}
	for (unsigned i = 0; i < CLOSERS; i++) {
		join_thread(closers[i].thread);
		assert_int_equal(closers[i].other, 0);
		closed += closers[i].closed;
		refused += closers[i].refused;
	}
	assert_int_equal(closed, CLOSE_ROUNDS);
	assert_int_equal(refused, CLOSE_ROUNDS * (CLOSERS - 1));
	assert_int_equal(pthread_barrier_destroy(&all.barrier), 0);
	assert_code(try_open(fs, "/file", "wb"), 0);
}

/* A thread that reads by one handle until that is closed. */
struct user {
	mfs_file *file;
	atomic_uint reads;
	int64_t last;
	unsigned wrong;
	pthread_t thread;
};

static void *read_until_closed(void *argument)
{
	struct user *user = argument;
	char buffer[8];

	while ((user->last = mfs_pread(user->file, buffer, sizeof(buffer), 0)) >= 0) {
		user->wrong += user->last != 4 || memcmp(buffer, "text", 4) != 0;
		atomic_fetch_add(&user->reads, 1);
	}
	return NULL;
}

static void closing_waits_for_calls_and_ends_them(void **state)
{
	mfs *fs = *state;

	make_text(fs, "/file", "text");
	for (int round = 0; round < 50; round++) {
		struct user users[2];
		mfs_file *file = open_file(fs, "/file", "rb");

		for (unsigned i = 0; i < 2; i++) {
			users[i] = (struct user){.file = file};
			users[i].thread = start_thread(read_until_closed, &users[i]);
		}
		AWAIT(atomic_load(&users[0].reads) > 0 && atomic_load(&users[1].reads) > 0);
		close_file(file);
		/* The slot has another use at once. */
		mfs_file *next = open_file(fs, "/file", "rb");
		assert_int_equal(slot_of(next), slot_of(file));
		for (unsigned i = 0; i < 2; i++) {
			join_thread(users[i].thread);
			assert_code(users[i].last, MFS_EBADF);
			assert_int_equal(users[i].wrong, 0);
		}
		close_file(next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(closed_handle_is_recognised_when_its_slot_is_reused),
		WORKSPACE_TEST(uses_of_a_slot_never_look_alike),
		WORKSPACE_TEST(numbers_that_are_no_handles_are_refused),
		WORKSPACE_TEST(slot_that_is_refused_stays_unlocked),
		WORKSPACE_TEST(handles_closed_by_another_thread_go_back_to_their_stripe),
		cmocka_unit_test(file_has_ten_thousand_handles_at_once),
		WORKSPACE_TEST(workspace_is_busy_until_its_own_handles_are_closed),
		WORKSPACE_TEST(of_many_that_close_one_handle_one_succeeds),
		WORKSPACE_TEST(closing_waits_for_calls_and_ends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
