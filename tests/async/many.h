/* SPDX-License-Identifier: MIT */
/*
 * Many small operations from one loop: each writes to a place of its own or reads what was written
 * there, and is counted when it completes. DMEMFS_ASYNC_OPERATIONS says how many: 100,000 by
 * default.
 */
#ifndef DMEMFS_TESTS_ASYNC_MANY_H
#define DMEMFS_TESTS_ASYNC_MANY_H

#include "async_support.h"

enum { MANY_WORKERS = 4, MANY_FILES = 16, MANY_CAPACITY = 256 };

struct many {
	mfs *fs;
	mfs_async *context;
	mfs_file *files[MANY_FILES];
	size_t count; /* of operations */
	size_t begun; /* they are numbered from 0 */
	size_t completed;
	unsigned char *seen; /* how often each has completed */
	uint32_t *written;   /* what each even one writes */
	uint32_t *read;      /* and each odd one behind it reads */
};

static inline size_t many_count(void)
{
	const char *given = getenv("DMEMFS_ASYNC_OPERATIONS");
	size_t count = given != NULL ? strtoul(given, NULL, 10) : 100000;

	/* Whole pairs. */
	return count / 2 * 2;
}

static inline struct many *many_new(mfs *fs)
{
	struct many *many = allocate(sizeof(*many));

	many->fs = fs;
	many->context = new_context(MANY_WORKERS, 4, MANY_CAPACITY);
	many->count = many_count();
	many->seen = allocate(many->count);
	many->written = allocate(many->count * sizeof(*many->written));
	many->read = allocate(many->count * sizeof(*many->read));
	for (size_t i = 0; i < MANY_FILES; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/%zu", i);
		many->files[i] = open_file(fs, path, "w+b");
	}
	return many;
}

/** Begins operations until there is no capacity. */
static inline void many_begin(struct many *many)
{
	while (many->begun < many->count) {
		size_t i = many->begun;
		mfs_file *file = many->files[i / 2 % MANY_FILES];
		int64_t offset = (int64_t)(i / 2 / MANY_FILES * sizeof(uint32_t));
		int64_t number;

		if (i % 2 == 0) {
			many->written[i] = (uint32_t)i * 2654435761u;
			number = mfs_async_pwrite(many->context, file, &many->written[i], sizeof(uint32_t),
									  offset, user_of(i));
		} else {
			number = mfs_async_pread(many->context, file, &many->read[i], sizeof(uint32_t), offset,
									 user_of(i));
		}
		if (number == MFS_EAGAIN) {
			return;
		}
		accepted(number);
		many->begun++;
	}
}

/** Collects what has completed, up to `batch` at a time. Returns how many. */
static inline size_t many_collect(struct many *many, size_t batch)
{
	mfs_async_completion done[32];
	size_t before = many->completed;
	int64_t count;

	assert_true(batch <= COUNT_OF(done));
	while ((count = mfs_async_collect(many->context, done, batch)) > 0) {
		for (int64_t i = 0; i < count; i++) {
			assert_code(done[i].result, sizeof(uint32_t));
			assert_true(number_of(&done[i]) < many->begun);
			many->seen[number_of(&done[i])]++;
		}
		many->completed += (size_t)count;
	}
	assert_code(count, 0);
	return many->completed - before;
}

/** Each has completed once, and read what was written. */
static inline void many_check_and_free(struct many *many)
{
	assert_int_equal(many->completed, many->count);
	for (size_t i = 0; i < many->count; i++) {
		assert_int_equal(many->seen[i], 1);
		if (i % 2 == 1) {
			assert_int_equal(many->read[i], many->written[i - 1]);
		}
	}
	for (size_t i = 0; i < MANY_FILES; i++) {
		close_file(many->files[i]);
	}
	free_context(many->context);
	free(many->seen);
	free(many->written);
	free(many->read);
	free(many);
}

#endif
