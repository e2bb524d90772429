/* SPDX-License-Identifier: MIT */
/* What the tests of dmemfs-async share: contexts, one operation at a time, and waiting for states.
 */
#ifndef DMEMFS_TESTS_ASYNC_SUPPORT_H
#define DMEMFS_TESTS_ASYNC_SUPPORT_H

#include "support.h"

#include "dmemfs/async.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/** Milliseconds after which what has not come is a hang. */
#define HANG_MS INT64_C(60000)

/** Gives the processor away until the condition holds; ends the program where it never does. */
#define AWAIT(condition)                                                                           \
	do {                                                                                           \
		int64_t await_limit_ = clock_ns(CLOCK_MONOTONIC) + HANG_MS * 1000000;                      \
		while (!(condition)) {                                                                     \
			if (clock_ns(CLOCK_MONOTONIC) > await_limit_) {                                        \
				(void)fprintf(stderr, "%s:%d: never came: %s\n", __FILE__, __LINE__, #condition);  \
				abort();                                                                           \
			}                                                                                      \
			sched_yield();                                                                         \
		}                                                                                          \
	} while (0)

static inline mfs_async *new_context(unsigned workers, unsigned max_waiting, unsigned capacity)
{
	mfs_async_options options = {.struct_size = sizeof(options)};
	mfs_async *context = NULL;

	options.workers = workers;
	options.max_waiting = max_waiting;
	options.capacity = capacity;
	assert_code(mfs_async_new(&options, &context), 0);
	assert_non_null(context);
	return context;
}

/** Frees a context of which all is collected. */
static inline void free_context(mfs_async *context)
{
	assert_code(mfs_async_pending(context), 0);
	assert_code(mfs_async_free(context), 0);
}

/** The operation was accepted. */
static inline int64_t accepted(int64_t number)
{
	if (number <= 0) {
		print_error("not accepted: %s: %s\n", mfs_error_name((int)number), mfs_last_error());
		fail();
	}
	return number;
}

/** The next completion. */
static inline mfs_async_completion next_completion(mfs_async *context)
{
	mfs_async_completion completion;

	assert_code(mfs_async_wait(context, &completion, 1, HANG_MS), 1);
	return completion;
}

/** The completion of an operation that was just begun, the next one to come. */
static inline mfs_async_completion completion_of(mfs_async *context, int64_t number)
{
	mfs_async_completion completion;

	accepted(number);
	completion = next_completion(context);
	assert_true(completion.operation == number);
	return completion;
}

/** The operation succeeds, and is the next one to complete. */
static inline mfs_async_completion success_of(mfs_async *context, int64_t number)
{
	mfs_async_completion completion = completion_of(context, number);

	if (completion.result < 0) {
		print_error("the operation failed: %s\n", completion.message);
		fail();
	}
	assert_string_equal(completion.message, "");
	assert_int_equal(completion.host_errno, 0);
	return completion;
}

/** What an operation that is the next one to complete gives. */
static inline int64_t result_of(mfs_async *context, int64_t number)
{
	return completion_of(context, number).result;
}

/** Makes a directory and waits until that has completed, without collecting it. */
static inline int64_t complete_mkdir(mfs_async *context, mfs *fs, const char *path)
{
	int64_t number = accepted(mfs_async_mkdir(context, fs, path, 0, NULL));

	/* It has begun, so that it cannot be canceled any more. */
	AWAIT(mfs_exists(fs, path));
	AWAIT(mfs_async_cancel(context, number) == MFS_ENOENT);
	return number;
}

static inline mfs_file *open_by(mfs_async *context, mfs *fs, const char *path, const char *mode)
{
	mfs_file *file =
		success_of(context, mfs_async_open(context, fs, path, mode, NULL, NULL)).output.file;

	assert_non_null(file);
	return file;
}

/** A pointer that stands for a number. */
static inline void *user_of(size_t number)
{
	return (void *)(uintptr_t)number; /* NOLINT(performance-no-int-to-ptr): it is not followed */
}

static inline size_t number_of(const mfs_async_completion *completion)
{
	return (size_t)(uintptr_t)completion->user;
}

/** A door that functions of mfs_async_call() wait at: it keeps the threads of a context busy. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	size_t inside; /* functions that have come; guarded by the mutex, as is the rest */
	bool is_open;
};

static inline void gate_init(struct gate *gate)
{
	assert_int_equal(pthread_mutex_init(&gate->mutex, NULL), 0);
	assert_int_equal(pthread_cond_init(&gate->changed, NULL), 0);
	gate->inside = 0;
	gate->is_open = false;
}

static inline void gate_destroy(struct gate *gate)
{
	assert_int_equal(pthread_cond_destroy(&gate->changed), 0);
	assert_int_equal(pthread_mutex_destroy(&gate->mutex), 0);
}

/** For mfs_async_call(): waits until the gate is opened. Returns 0. */
static inline int64_t gate_pass(void *argument)
{
	struct gate *gate = argument;

	(void)pthread_mutex_lock(&gate->mutex);
	gate->inside++;
	(void)pthread_cond_broadcast(&gate->changed);
	while (!gate->is_open) {
		(void)pthread_cond_wait(&gate->changed, &gate->mutex);
	}
	(void)pthread_mutex_unlock(&gate->mutex);
	return 0;
}

/** Waits until so many functions have come to the gate. */
static inline void gate_await(struct gate *gate, size_t inside)
{
	(void)pthread_mutex_lock(&gate->mutex);
	while (gate->inside < inside) {
		(void)pthread_cond_wait(&gate->changed, &gate->mutex);
	}
	(void)pthread_mutex_unlock(&gate->mutex);
}

/** How many functions have come. */
static inline size_t gate_inside(struct gate *gate)
{
	size_t inside;

	(void)pthread_mutex_lock(&gate->mutex);
	inside = gate->inside;
	(void)pthread_mutex_unlock(&gate->mutex);
	return inside;
}

static inline void gate_open(struct gate *gate)
{
	(void)pthread_mutex_lock(&gate->mutex);
	gate->is_open = true;
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->mutex);
}

/** Begins a function at the gate and waits until it is there: a thread of the context is busy. */
static inline int64_t occupy(mfs_async *context, struct gate *gate, unsigned flags)
{
	size_t before = gate_inside(gate);
	int64_t number = accepted(mfs_async_call(context, gate_pass, gate, flags, NULL));

	gate_await(gate, before + 1);
	return number;
}

/** Begins a read of a handle's file from an empty pipe: its turn lasts until the pipe is written.
 */
static inline int64_t occupy_handle(mfs_async *context, mfs_file *file, int empty_pipe)
{
	return accepted(mfs_async_write_from_fd(context, file, 0, 1, empty_pipe, NULL));
}

#endif
