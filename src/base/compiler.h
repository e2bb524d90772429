/* SPDX-License-Identifier: MIT */
/* What the compiler offers beyond C11: branch hints, cache lines, a pause, which sanitizer runs. */
#ifndef MFS_BASE_COMPILER_H
#define MFS_BASE_COMPILER_H

#include <stddef.h>

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define MFS__TSAN 1
#else
#define MFS__TSAN 0
#endif

#if MFS__TSAN || defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) ||              \
	__has_feature(memory_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define MFS__SANITIZED 1
#else
#define MFS__SANITIZED 0
#endif

/** Bytes that processors move between each other as one; twice that are fetched together. */
#define MFS__CACHE_LINE 64

#define mfs__likely(x)   __builtin_expect(!!(x), 1)
#define mfs__unlikely(x) __builtin_expect(!!(x), 0)

/** For a function that a short one ends with, which is quicker if this does not become part of it.
 */
#define mfs__noinline __attribute__((noinline))

/** The struct of `type` whose `member` is at `pointer`. */
#define mfs__container_of(pointer, type, member)                                                   \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/** Tell the processor that this is a loop that waits for another processor. */
static inline void mfs__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
