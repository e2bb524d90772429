/* SPDX-License-Identifier: MIT */
#include "failing_malloc.h"

#include <stdatomic.h>
#include <stddef.h>

/* Atomic, any thread: allocations that still succeed, -1 for all. */
static _Atomic long left = -1;
/* Atomic, any thread: one has failed. */
static _Atomic bool met;

/* The linker gives the wrapped functions these names. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_reallocarray(void *block, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

void failing_malloc_after(long successes)
{
	atomic_store(&met, false);
	atomic_store(&left, successes);
}

bool failing_malloc_met(void)
{
	return atomic_load(&met);
}

static bool fails(void)
{
	long now = atomic_load(&left);

	while (now > 0 && !atomic_compare_exchange_weak(&left, &now, now - 1)) {
	}
	if (now == 0) {
		atomic_store(&met, true);
	}
	return now == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	return fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_reallocarray(void *block, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(block, count, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
	return fails() ? NULL : __real_strndup(text, length);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
