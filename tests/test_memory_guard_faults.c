/* SPDX-License-Identifier: MIT */
/*
 * What does the memory guard do when its source hangs, talks nonsense or goes away, when the
 * process forks while a sample is taken, and when workspaces come and go by the hundred?
 */
#include "guarded.h"
#include "host_files.h"

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/test_hook.h"

enum { WRITERS = 4, PIECE = 64 * 1024 };

static long live_before;

static int setup(void **state)
{
	int code = host_setup(state);

	/* The fixture's workspace stays, so that what the library keeps for all of them does. */
	live_before = mfs__alloc_live();
	use_source(true);
	return code;
}

static int teardown(void **state)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	use_source(false);
	int code = mfs__alloc_live() == live_before ? 0 : -1;
	return host_teardown(state) || code ? -1 : 0;
}

/* A workspace that is charged all that it takes. */
static mfs *new_sampled(int64_t interval)
{
	mfs_options options = guarded_options(MFS_GUARD_FAIL);

	options.memory_guard_interval = interval;
	options.charge_metadata = 1;
	return new_workspace(&options);
}

/* Fork, let the child do its part, and check that it returned 0, in a minute. */
static void check_child(int (*part)(mfs *fs), mfs *fs)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)alarm(60);
		_exit(part(fs));
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		print_error("child: wait status %#x\n", (unsigned)status);
	assert_int_equal(status, 0);
}

/* Makes a workspace ask the guard. */
static int take_something(mfs *fs)
{
	mfs_reservation *reservation;
	int code = mfs_reservation_new(fs, usage_of(fs).free_bytes, &reservation);

	return code ? code : mfs_reservation_free(reservation);
}

/* The child's thread comes when it is needed, and samples. Returns 0, or a line. */
static int guard_comes_alive(mfs *fs)
{
	const uint64_t news = 54321;
	int code;

	atomic_store(&source.available, news);
	if (count_guards() != 0)
		return __LINE__ % 256;
	code = take_something(fs);
	if (code && code != MFS_EMEMGUARD)
		return __LINE__ % 256;
	AWAIT(count_guards() == 1);
	AWAIT(usage_of(fs).guard_available == news);
	/* What was taken before that sample was released after it. */
	AWAIT(take_something(fs) == MFS_EMEMGUARD);
	atomic_store(&source.available, PLENTY);
	AWAIT(take_something(fs) == 0);
	return mfs__validate(fs) ? 0 : __LINE__ % 256;
}

/*
 * A source that does not answer
 */

static atomic_bool shall_hang;
static atomic_bool hangs;

static int hang_or_answer(void *user, uint64_t *available)
{
	while (atomic_load(&shall_hang)) {
		atomic_store(&hangs, true);
		(void)sched_yield();
	}
	atomic_store(&hangs, false);
	return ask_source(user, available);
}

static void begin_hanging(void)
{
	atomic_store(&shall_hang, true);
	AWAIT(atomic_load(&hangs));
}

struct writer {
	mfs_file *file;
	uint64_t written; /* valid once joined */
	int64_t code;
	pthread_t thread;
};

static void *write_until_refused(void *argument)
{
	struct writer *writer = argument;

	while ((writer->code = mfs_write(writer->file, zeros, PIECE)) > 0)
		writer->written += (uint64_t)writer->code;
	return NULL;
}

/* What the writers got together. */
static uint64_t write_all(struct writer writers[WRITERS])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].written = 0;
		writers[i].thread = start_thread(write_until_refused, &writers[i]);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		join_thread(writers[i].thread);
		sum += writers[i].written;
	}
	for (unsigned i = 0; i < WRITERS; i++)
		assert_code(writers[i].code, MFS_EMEMGUARD);
	return sum;
}

static int work_without_hanging(mfs *fs)
{
	atomic_store(&shall_hang, false);
	return guard_comes_alive(fs);
}

static void who_writes_does_not_wait_for_the_source(void **state)
{
	struct writer writers[WRITERS];
	const uint64_t allowed = usable(8 * MIB) - 1;

	(void)state;
	ask_hook(hang_or_answer, NULL);
	mfs *fs = new_sampled(1);
	for (unsigned i = 0; i < WRITERS; i++) {
		char path[16];
		(void)snprintf(path, sizeof(path), "/%u", i);
		writers[i].file = open_file(fs, path, "wb");
	}
	atomic_store(&source.available, 8 * MIB);
	AWAIT(usage_of(fs).guard_available == 8 * MIB);
	begin_hanging();
	/* The last allowance, and nothing else. */
	uint64_t written = write_all(writers);
	assert_in_range(written, allowed - WRITERS * PIECE, allowed);
	assert_int_equal(write_all(writers), 0);
	int64_t age = usage_of(fs).guard_sample_age;
	/* Others come and go, and the process may fork. */
	mfs *other = new_guarded(MFS_GUARD_FAIL);
	assert_code(take_something(other), MFS_EMEMGUARD);
	assert_int_equal(usage_of(other).guard_available, 8 * MIB);
	free_workspace(other);
	check_child(work_without_hanging, fs);
	assert_true(atomic_load(&hangs));
	assert_true(usage_of(fs).guard_sample_age >= age);
	atomic_store(&source.available, PLENTY);
	atomic_store(&shall_hang, false);
	AWAIT(mfs_write(writers[0].file, zeros, MIB) == (int64_t)MIB);
	for (unsigned i = 0; i < WRITERS; i++)
		close_file(writers[i].file);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void hook_may_be_replaced_while_it_hangs(void **state)
{
	(void)state;
	ask_hook(hang_or_answer, NULL);
	mfs *fs = new_sampled(1);
	begin_hanging();
	ask_hook(ask_source, NULL);
	atomic_store(&shall_hang, false);
	uint64_t asked = atomic_load(&source.asked);
	/* The answer that came late is one of them. */
	AWAIT(atomic_load(&source.asked) >= asked + 3);
	free_workspace(fs);
}

struct ending {
	mfs *fs;
	atomic_bool returned;
	int code;
};

static void *end_workspace(void *argument)
{
	struct ending *ending = argument;

	ending->code = mfs_free(ending->fs);
	atomic_store(&ending->returned, true);
	return NULL;
}

static int use_the_fixture(mfs *fs)
{
	atomic_store(&shall_hang, false);
	mfs *guarded = new_sampled(1);
	if (mfs_mkdir(guarded, "/d", 0) || mfs_free(guarded))
		return __LINE__ % 256;
	return mfs_mkdir(fs, "/d", 0) ? __LINE__ % 256 : 0;
}

/* The thread's end waits for the source, and nobody else does. */
static void last_end_waits_for_the_source(void **state)
{
	struct host_fixture *f = *state;
	struct ending ending = {.returned = false};

	ask_hook(hang_or_answer, NULL);
	ending.fs = new_sampled(1);
	begin_hanging();
	pthread_t thread = start_thread(end_workspace, &ending);
	check_child(use_the_fixture, f->fs);
	assert_code(mfs_mkdir(f->fs, "/d", 0), 0);
	assert_code(mfs_remove(f->fs, "/d"), 0);
	assert_false(atomic_load(&ending.returned));
	atomic_store(&shall_hang, false);
	join_thread(thread);
	assert_code(ending.code, 0);
	AWAIT(count_guards() == 0);
	AWAIT(mfs__alloc_live() == live_before);
}

/*
 * A source that talks nonsense
 */

static int answer_code;

static int answer_with_code(void *user, uint64_t *available)
{
	(void)user;
	*available = 12345;
	return answer_code;
}

static void hook_that_fails_knows_nothing(void **state)
{
	static const int codes[] = {-1, 1, INT_MIN, INT_MAX, MFS_ENOMEM};
	mfs *fs = new_sampled(AN_HOUR);
	mfs_file *file = open_empty(fs);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codes); i++) {
		ask_hook(ask_source, NULL);
		say(0);
		assert_code(mfs_write(file, zeros, MIB), MFS_EMEMGUARD);
		answer_code = codes[i];
		ask_hook(answer_with_code, NULL);
		mfs__guard_sample();
		assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_UNKNOWN);
		assert_int_equal(usage_of(fs).guard_available, 0);
		assert_code(mfs_write(file, zeros, MIB), MIB);
		assert_code(mfs_truncate(file, 0), 0);
	}
	close_file(file);
	free_workspace(fs);
}

static int answer_anything(void *user, uint64_t *available)
{
	static struct rng rng = {77};

	(void)user;
	*available = rng_next(&rng) >> (rng_below(&rng, 64));
	return rng_below(&rng, 4) == 0;
}

struct churner {
	mfs *fs;
	char path[16];
	atomic_bool *stop;
	unsigned strange; /* codes that nobody expects; valid once joined */
	pthread_t thread;
};

static void *churn(void *argument)
{
	struct churner *churner = argument;
	struct rng rng = {(uint64_t)(uintptr_t)argument};

	while (!atomic_load(churner->stop)) {
		mfs_file *file;
		int code = mfs_open(churner->fs, churner->path, "wb", &file);
		if (code) {
			churner->strange += code != MFS_EMEMGUARD;
			continue;
		}
		for (unsigned i = 0; i < 20; i++) {
			int64_t size = (int64_t)rng_below(&rng, 20 * PIECE);
			int64_t done = mfs_write(file, zeros, (size_t)size);
			churner->strange += done != size && done != MFS_EMEMGUARD;
		}
		churner->strange += mfs_close(file) != 0;
	}
	return NULL;
}

static void start_churning(struct churner churners[2], mfs *fs, atomic_bool *stop)
{
	atomic_store(stop, false);
	for (unsigned i = 0; i < 2; i++) {
		churners[i] = (struct churner){.fs = fs, .stop = stop};
		(void)snprintf(churners[i].path, sizeof(churners[i].path), "/churn%u", i);
		churners[i].thread = start_thread(churn, &churners[i]);
	}
}

static void stop_churning(struct churner churners[2])
{
	atomic_store(churners[0].stop, true);
	for (unsigned i = 0; i < 2; i++) {
		join_thread(churners[i].thread);
		assert_int_equal(churners[i].strange, 0);
	}
}

static void any_answer_leaves_the_books_right(void **state)
{
	struct churner churners[2];
	atomic_bool stop;

	(void)state;
	mfs *fs = new_sampled(AN_HOUR);
	mfs_file *file = open_empty(fs);
	start_churning(churners, fs, &stop);
	ask_hook(answer_anything, NULL);
	for (unsigned i = 0; i < 500; i++)
		mfs__guard_sample();
	stop_churning(churners);
	assert_true(mfs__validate(fs));
	ask_hook(ask_source, NULL);
	say(8 * MIB);
	assert_allows(file, usable(8 * MIB) - 1);
	close_file(file);
	free_workspace(fs);
}

/*
 * A system whose files come and go
 */

static void put_meminfo(struct host_fixture *f, uint64_t available)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "MemAvailable: %llu kB\n",
				   (unsigned long long)available / 1024);
	host_text(f, "proc/meminfo", text);
}

/* The fixture's directory stands for the root folder. No guarded workspace is there yet. */
static void use_files(struct host_fixture *f)
{
	ask_hook(NULL, NULL);
	mfs__memory_source_root(f->top);
	host_dir(f, "proc");
}

static void files_that_are_gone_say_nothing(void **state)
{
	struct host_fixture *f = *state;

	use_files(f);
	mfs *fs = new_sampled(AN_HOUR);
	mfs_file *file = open_empty(fs);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_UNKNOWN);
		assert_code(mfs_write(file, zeros, 16 * MIB), 16 * MIB);
		assert_code(mfs_truncate(file, 0), 0);
		put_meminfo(f, 8 * MIB);
		mfs__guard_sample();
		assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_SYSTEM);
		assert_int_equal(usage_of(fs).guard_available, 8 * MIB);
		assert_allows(file, usable(8 * MIB) - 1);
		if (round == 0)
			assert_int_equal(unlink(at(f, "proc/meminfo")), 0);
		else
			host_text(f, "proc/meminfo", round == 1 ? "MemAvailable: much kB\n" : "");
		mfs__guard_sample();
	}
	close_file(file);
	free_workspace(fs);
}

static void files_may_go_while_they_are_read(void **state)
{
	struct host_fixture *f = *state;
	struct churner churners[2];
	atomic_bool stop;

	use_files(f);
	mfs *fs = new_sampled(1);
	start_churning(churners, fs, &stop);
	for (unsigned i = 0; i < 300; i++) {
		put_meminfo(f, (i % 7) * MIB);
		assert_int_equal(unlink(at(f, "proc/meminfo")), 0);
	}
	AWAIT(usage_of(fs).guard_source == MFS_MEMORY_UNKNOWN);
	put_meminfo(f, 3 * MIB);
	AWAIT(usage_of(fs).guard_available == 3 * MIB);
	stop_churning(churners);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

static void sample_that_cannot_be_taken_leaves_the_last_one(void **state)
{
	struct host_fixture *f = *state;

	use_files(f);
	put_meminfo(f, 16 * MIB);
	mfs *fs = new_sampled(AN_HOUR);
	mfs_file *file = open_empty(fs);
	mfs__guard_sample();
	assert_code(mfs_write(file, zeros, 4 * MIB), 4 * MIB);
	put_meminfo(f, 8 * MIB);
	struct rlimit old = limit_descriptors(3);
	mfs__guard_sample();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(usage_of(fs).guard_available, 16 * MIB);
	assert_int_equal(usage_of(fs).guard_source, MFS_MEMORY_SYSTEM);
	assert_allows(file, usable(16 * MIB) - 1 - 4 * MIB);
	mfs__guard_sample();
	assert_int_equal(usage_of(fs).guard_available, 8 * MIB);
	close_file(file);
	free_workspace(fs);
}

/*
 * Fork
 */

static pthread_t main_thread;
static atomic_bool is_held;
static atomic_bool go_on;

/* Holds the guard's thread, not those that sample themselves. */
static void hold_sampler(const char *point)
{
	if (strcmp(point, "guard: about to ask") != 0 || pthread_equal(pthread_self(), main_thread))
		return;
	atomic_store(&is_held, true);
	while (!atomic_load(&go_on))
		(void)sched_yield();
}

static void hold_the_sampler(void)
{
	main_thread = pthread_self();
	atomic_store(&is_held, false);
	atomic_store(&go_on, false);
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hold_sampler, memory_order_release);
}

static int work_after_the_hold(mfs *fs)
{
	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	return guard_comes_alive(fs);
}

static void fork_may_come_while_a_sample_is_taken(void **state)
{
	(void)state;
	hold_the_sampler();
	mfs *fs = new_sampled(1);
	AWAIT(atomic_load(&is_held));
	check_child(work_after_the_hold, fs);
	atomic_store(&go_on, true);
	uint64_t asked = atomic_load(&source.asked);
	AWAIT(atomic_load(&source.asked) > asked);
	assert_code(take_something(fs), 0);
	free_workspace(fs);
}

/* The platform's source, which has files open. */
static int sample_the_platform(mfs *fs)
{
	int64_t begin = mfs__now();
	int64_t now;

	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	int code = take_something(fs);
	if (code && code != MFS_EMEMGUARD)
		return __LINE__ % 256;
	/* Until there is a sample that was taken since the fork: ages are in whole milliseconds. */
	do {
		now = mfs__now();
		(void)sched_yield();
	} while ((usage_of(fs).guard_sample_age + 1) * MFS__NS_PER_MS > now - begin);
	return usage_of(fs).guard_source == MFS_MEMORY_UNKNOWN ? __LINE__ % 256 : 0;
}

static void child_takes_its_own_samples(void **state)
{
	(void)state;
	use_source(false);
	hold_the_sampler();
	mfs *fs = new_sampled(1);
	AWAIT(atomic_load(&is_held));
	check_child(sample_the_platform, fs);
	atomic_store(&go_on, true);
	free_workspace(fs);
}

static int use_everything(mfs *fs)
{
	mfs_file *file;

	if (mfs_open(fs, "/child", "wb", &file) || mfs_write(file, zeros, PIECE) != PIECE ||
		mfs_close(file) || take_something(fs))
		return __LINE__ % 256;
	mfs *another = new_sampled(1);
	if (mfs_mkdir(another, "/d", 0) || mfs_free(another))
		return __LINE__ % 256;
	return mfs__validate(fs) ? 0 : __LINE__ % 256;
}

static void forks_may_come_at_any_time(void **state)
{
	struct churner churners[2];
	atomic_bool stop;

	(void)state;
	use_source(false);
	mfs *fs = new_sampled(1);
	start_churning(churners, fs, &stop);
	for (unsigned i = 0; i < (MFS__SANITIZED ? 20 : 200); i++)
		check_child(use_everything, fs);
	stop_churning(churners);
	assert_true(mfs__validate(fs));
	free_workspace(fs);
}

/*
 * Many
 */

enum { MAKERS = 16, MADE_AT_ONCE = 7, ROUNDS = MFS__SANITIZED ? 2 : 9 };

static void keep_silent(void *user, const char *message)
{
	(void)user;
	(void)message;
}

static int use_a_workspace(mfs *fs)
{
	mfs_file *file;
	int code = mfs_mkdir(fs, "/d", 0);

	if (!code)
		code = mfs_open(fs, "/d/f", "wb", &file);
	if (code)
		return code;
	int64_t written = mfs_write(file, zeros, 10000);
	code = mfs_close(file);
	return written < 0 ? (int)written : code;
}

/* Returns how many calls did not do what they should. */
static void *make_and_free(void *argument)
{
	mfs *made[MADE_AT_ONCE];
	mfs_options options = guarded_options(MFS_GUARD_FAIL);
	uintptr_t strange = 0;

	(void)argument;
	options.on_warning = keep_silent;
	options.memory_guard_interval = 1;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MADE_AT_ONCE; i++) {
			options.memory_guard_action = i % 2 ? MFS_GUARD_WARN : MFS_GUARD_FAIL;
			if (mfs_new(&options, &made[i])) {
				strange++;
				continue;
			}
			int code = use_a_workspace(made[i]);
			strange += code && code != MFS_EMEMGUARD;
		}
		for (unsigned i = 0; i < MADE_AT_ONCE; i++)
			strange += mfs_free(made[i]) != 0;
	}
	return (void *)strange;
}

static void thousand_workspaces_leave_nothing(void **state)
{
	pthread_t makers[MAKERS];
	void *strange;
	long tid;

	(void)state;
	/* With the platform's source, which has descriptors. */
	use_source(false);
	unsigned threads = count_threads(NULL, &tid);
	unsigned descriptors = count_descriptors();
	for (unsigned i = 0; i < MAKERS; i++)
		makers[i] = start_thread(make_and_free, NULL);
	for (unsigned i = 0; i < MAKERS; i++) {
		assert_int_equal(pthread_join(makers[i], &strange), 0);
		assert_null(strange);
	}
	AWAIT(count_threads(NULL, &tid) == threads);
	assert_int_equal(count_guards(), 0);
	assert_int_equal(count_descriptors(), descriptors);
	/* But for what goes after a grace period. */
	AWAIT(mfs__alloc_live() == live_before);
}

#define FAULT_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(who_writes_does_not_wait_for_the_source),
		FAULT_TEST(hook_may_be_replaced_while_it_hangs),
		FAULT_TEST(last_end_waits_for_the_source),
		FAULT_TEST(hook_that_fails_knows_nothing),
		FAULT_TEST(any_answer_leaves_the_books_right),
		FAULT_TEST(files_that_are_gone_say_nothing),
		FAULT_TEST(files_may_go_while_they_are_read),
		FAULT_TEST(sample_that_cannot_be_taken_leaves_the_last_one),
		FAULT_TEST(fork_may_come_while_a_sample_is_taken),
		FAULT_TEST(child_takes_its_own_samples),
		FAULT_TEST(forks_may_come_at_any_time),
		FAULT_TEST(thousand_workspaces_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
