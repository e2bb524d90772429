/* SPDX-License-Identifier: MIT */
/*
 * What the stress programs share: numbers from the command line, reproducible random numbers,
 * failures, data that tells on its own whether it is whole, and the process's resident memory.
 *
 * Include it first: it asks the C library for everything that the programs need.
 */
#ifndef DMEMFS_STRESS_COMMON_H
#define DMEMFS_STRESS_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KIB ((uint64_t)1024)
#define MIB ((uint64_t)1024 * 1024)

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* Which sanitizer this is built for: gcc has macros, clang a function for the preprocessor. */
#ifdef __has_feature
#define STRESS__FEATURE(name) __has_feature(name)
#else
#define STRESS__FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || STRESS__FEATURE(thread_sanitizer)
#define STRESS_TSAN 1
#else
#define STRESS_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__) || STRESS__FEATURE(address_sanitizer)
#define STRESS_ASAN 1
#else
#define STRESS_ASAN 0
#endif

/*
 * Failures: said at once, counted, and the reason to stop.
 */

/** True once anything has failed. */
bool stress_failed(void);

/** Note a failure. Prints the first ones only: one is often followed by hundreds. */
void stress_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** For what has nothing to do with the library: no memory, no threads. */
_Noreturn void stress_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Say PASS or FAIL. Returns the exit code. */
int stress_verdict(const char *program);

/*
 * Command line, clock, random numbers
 */

/** A number, with K, M or G behind it where `units`. Dies on anything else. */
uint64_t stress_number(const char *text, uint64_t lowest, uint64_t highest, bool units);

/** Nanoseconds on the monotonic clock. */
static inline uint64_t stress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/** Mix a number's bits. */
static inline uint64_t stress_mix(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

/** The next random number of a sequence. */
static inline uint64_t stress_random(uint64_t *state)
{
	return stress_mix((*state)++);
}

/** A random number below `limit`. */
static inline uint32_t stress_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((stress_random(state) >> 32) * limit >> 32);
}

/*
 * Records: data that tells on its own whether it is whole. Every word of a record follows from its
 * stamp, and no two records have the same stamp, so that a missing, foreign or old byte is noticed.
 */

#define RECORD_MAGIC UINT64_C(0x6D66733A7265630A)

struct record {
	uint64_t magic;
	/** The thread in the upper 16 bits, its count of records below. */
	uint64_t stamp;
	/** Bytes of the whole record, a multiple of 8. */
	uint64_t length;
	/** Where it belongs, for files of fixed places. */
	uint64_t place;
};

#define RECORD_MIN ((uint32_t)sizeof(struct record))

static inline uint64_t record_word(uint64_t stamp, uint64_t index)
{
	return stress_mix(stamp ^ (index << 32));
}

static inline uint64_t record_stamp(unsigned thread, uint64_t count)
{
	return ((uint64_t)thread << 48) | count;
}

static inline unsigned record_thread(uint64_t stamp)
{
	return (unsigned)(stamp >> 48);
}

/** Write a record of `length` bytes, a multiple of 8 from RECORD_MIN on. */
static inline void record_fill(unsigned char *at, uint64_t stamp, uint64_t length, uint64_t place)
{
	struct record head = {RECORD_MAGIC, stamp, length, place};

	memcpy(at, &head, sizeof(head));
	for (uint64_t i = sizeof(head); i < length; i += sizeof(uint64_t)) {
		uint64_t word = record_word(stamp, i);
		memcpy(at + i, &word, sizeof(word));
	}
}

/** Returns the length of the whole record at `at`, or 0 if there is none within `size` bytes. */
static inline uint64_t record_check(const unsigned char *at, uint64_t size, struct record *head)
{
	if (size < sizeof(*head))
		return 0;
	memcpy(head, at, sizeof(*head));
	if (head->magic != RECORD_MAGIC || head->length < sizeof(*head) || head->length > size ||
		head->length % sizeof(uint64_t) != 0)
		return 0;
	for (uint64_t i = sizeof(*head); i < head->length; i += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, at + i, sizeof(word));
		if (word != record_word(head->stamp, i))
			return 0;
	}
	return head->length;
}

/** Returns how many records `size` bytes hold, or -1 - offset of the first byte that is not of one.
 */
static inline int64_t record_check_all(const unsigned char *at, uint64_t size)
{
	int64_t count = 0;

	for (uint64_t done = 0; done < size;) {
		struct record head;
		uint64_t length = record_check(at + done, size - done, &head);
		if (length == 0)
			return -1 - (int64_t)done;
		done += length;
		count++;
	}
	return count;
}

/*
 * Memory
 */

/** Memory straight from the system, so that it goes back there whole. Cleared and touched. */
void *stress_map(size_t size);
void stress_unmap(void *memory, size_t size);

/** Let the allocator give free memory back to the system. */
void stress_purge(void);

/** A number of /proc/self/status, such as "VmRSS:"; sizes are in KiB. */
uint64_t stress_status(const char *key);

#endif
