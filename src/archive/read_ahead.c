/* SPDX-License-Identifier: MIT */
#include "read_ahead.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT_SIZE ((size_t)256 << 10)
/* Bytes unpacked by the caller before a thread is worth its start. */
#define START_AFTER ((uint64_t)1 << 20)
/* The most that may be behind the entries for the end to be looked for. */
#define PADDING_MAX ((uint64_t)16 << 20)
/* The thread calls decompressors, which want some stack. */
#define STACK_SIZE ((size_t)512 << 10)

/*
 * The thread
 */

/* Wait for a slot that is not full. Returns its number, or -1: stop. */
static int await_slot(struct mfs__archive_read_ahead *ahead)
{
	int slot = -1;

	(void)pthread_mutex_lock(&ahead->mutex);
	while (!ahead->stopping && ahead->full == MFS__ARCHIVE_SLOTS)
		(void)pthread_cond_wait(&ahead->changed, &ahead->mutex);
	if (!ahead->stopping)
		slot = (int)((ahead->first + ahead->full) % MFS__ARCHIVE_SLOTS);
	(void)pthread_mutex_unlock(&ahead->mutex);
	return slot;
}

/* A slot has been filled, or is empty: the end. */
static void give_slot(struct mfs__archive_read_ahead *ahead, int slot, size_t size, bool has_ended)
{
	(void)pthread_mutex_lock(&ahead->mutex);
	ahead->sizes[slot] = size;
	ahead->full += size > 0;
	ahead->has_ended = has_ended;
	(void)pthread_cond_signal(&ahead->changed);
	(void)pthread_mutex_unlock(&ahead->mutex);
}

static void *run(void *argument)
{
	struct mfs__archive_read_ahead *ahead = argument;
	const unsigned char *block = NULL;
	size_t left = 0; /* of the block */
	bool has_ended = false;

	while (!has_ended) {
		int slot = await_slot(ahead);
		size_t size = 0;
		if (slot < 0)
			break;
		while (size < SLOT_SIZE) {
			if (left == 0) {
				const void *next;
				int64_t got = mfs__archive_unpack_next(&ahead->unpack, &next);
				if (got <= 0) {
					has_ended = true;
					break;
				}
				block = next;
				left = (size_t)got;
			}
			size_t part = left < SLOT_SIZE - size ? left : SLOT_SIZE - size;
			memcpy(ahead->buffers + (size_t)slot * SLOT_SIZE + size, block, part);
			block += part;
			left -= part;
			size += part;
		}
		give_slot(ahead, slot, size, has_ended);
	}
	return NULL;
}

/* Without memory or threads the caller goes on by itself. */
static void start(struct mfs__archive_read_ahead *ahead)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;

	ahead->may_start = false;
	ahead->buffers = malloc(MFS__ARCHIVE_SLOTS * SLOT_SIZE);
	if (!ahead->buffers || pthread_attr_init(&attributes) != 0)
		return;
	ahead->process = getpid();
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	ahead->has_thread = pthread_create(&ahead->thread, &attributes, run, ahead) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
}

/*
 * The caller
 */

int mfs__archive_read_ahead_open(struct mfs__archive_read_ahead *ahead,
								 struct mfs_archive_input *input, bool all)
{
	memset(ahead, 0, sizeof *ahead);
	(void)pthread_mutex_init(&ahead->mutex, NULL);
	(void)pthread_cond_init(&ahead->changed, NULL);
	int code = mfs__archive_unpack_open(&ahead->unpack, input, all);
	if (code)
		return mfs__archive_fault(&ahead->fault, code, "%s", ahead->unpack.fault.reason);
	ahead->may_start = ahead->unpack.is_packed && mfs__archive_input_is_at_hand(input);
	return 0;
}

void mfs__archive_read_ahead_close(struct mfs__archive_read_ahead *ahead)
{
	if (ahead->has_thread) {
		/* A forked child has no such thread, and nobody who unlocks what it may have locked. */
		if (ahead->process != getpid())
			return;
		(void)pthread_mutex_lock(&ahead->mutex);
		ahead->stopping = true;
		(void)pthread_cond_signal(&ahead->changed);
		(void)pthread_mutex_unlock(&ahead->mutex);
		(void)pthread_join(ahead->thread, NULL);
	}
	mfs__archive_unpack_close(&ahead->unpack);
	free(ahead->buffers);
	(void)pthread_cond_destroy(&ahead->changed);
	(void)pthread_mutex_destroy(&ahead->mutex);
}

/* The slot that comes next, in the place of the one that the caller had. */
static int64_t next_slot(struct mfs__archive_read_ahead *ahead, const void **block)
{
	int64_t size = 0;

	if (ahead->process != getpid())
		return mfs__archive_fault(&ahead->fault, MFS_ECANCELED,
								  "an expansion does not go on in a forked child");
	(void)pthread_mutex_lock(&ahead->mutex);
	if (ahead->holds_slot) {
		ahead->first = (ahead->first + 1) % MFS__ARCHIVE_SLOTS;
		ahead->full--;
		ahead->holds_slot = false;
		(void)pthread_cond_signal(&ahead->changed);
	}
	while (ahead->full == 0 && !ahead->has_ended)
		(void)pthread_cond_wait(&ahead->changed, &ahead->mutex);
	if (ahead->full > 0) {
		*block = ahead->buffers + (size_t)ahead->first * SLOT_SIZE;
		size = (int64_t)ahead->sizes[ahead->first];
		ahead->holds_slot = true;
	}
	(void)pthread_mutex_unlock(&ahead->mutex);
	return size;
}

int64_t mfs__archive_read_ahead_next(struct mfs__archive_read_ahead *ahead, const void **block)
{
	if (ahead->fault.code)
		return ahead->fault.code;
	if (ahead->may_start && ahead->unpacked >= START_AFTER)
		start(ahead);
	int64_t size = ahead->has_thread ? next_slot(ahead, block)
									 : mfs__archive_unpack_next(&ahead->unpack, block);
	if (size > 0) {
		ahead->unpacked += (uint64_t)size;
		return size;
	}
	/* A thread that has ended leaves its fault behind. */
	if (ahead->unpack.fault.code && !ahead->fault.code)
		return mfs__archive_fault(&ahead->fault, ahead->unpack.fault.code, "%s",
								  ahead->unpack.fault.reason);
	return size;
}

int mfs__archive_read_ahead_finish(struct mfs__archive_read_ahead *ahead)
{
	const void *block;
	uint64_t padding = 0;

	while (ahead->unpack.is_packed && padding < PADDING_MAX) {
		int64_t size = mfs__archive_read_ahead_next(ahead, &block);
		if (size <= 0)
			return (int)size;
		padding += (uint64_t)size;
	}
	return 0;
}
