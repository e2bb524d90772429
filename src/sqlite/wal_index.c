/* SPDX-License-Identifier: MIT */
#include "wal_index.h"

#include <stdlib.h>

/* A lock that one connection holds. */
#define EXCLUSIVE UINT32_MAX
/* A lock that will be held by one connection, if that gets the others that it wants. */
#define CLAIMED (UINT32_MAX - 1)

void mfs__sqlite_wal_index_init(struct mfs__sqlite_wal_index *index)
{
	(void)pthread_mutex_init(&index->mutex, NULL);
	index->users = 0;
	index->count = 0;
	index->capacity = 0;
	index->region_size = 0;
	index->regions = NULL;
	atomic_init(&index->barrier, 0);
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++)
		atomic_init(&index->locks[i], 0);
}

static void free_regions(struct mfs__sqlite_wal_index *index)
{
	for (int i = 0; i < index->count; i++)
		free(index->regions[i]);
	free(index->regions);
	index->regions = NULL;
	index->count = 0;
	index->capacity = 0;
}

void mfs__sqlite_wal_index_destroy(struct mfs__sqlite_wal_index *index)
{
	free_regions(index);
	(void)pthread_mutex_destroy(&index->mutex);
}

/* Have `count` regions. With the mutex. What was made before memory ran out stays. */
static int extend_to(struct mfs__sqlite_wal_index *index, int count)
{
	if (count > index->capacity) {
		int capacity = count > 2 * index->capacity ? count : 2 * index->capacity;
		void **regions = realloc(index->regions, (size_t)capacity * sizeof *regions);
		if (!regions)
			return SQLITE_IOERR_NOMEM;
		index->regions = regions;
		index->capacity = capacity;
	}
	while (index->count < count) {
		void *region = calloc(1, (size_t)index->region_size);
		if (!region)
			return SQLITE_IOERR_NOMEM;
		index->regions[index->count++] = region;
	}
	return SQLITE_OK;
}

int mfs__sqlite_wal_index_map(struct mfs__sqlite_wal_index *index,
							  struct mfs__sqlite_wal_share *share, int region, int size,
							  bool extend, void volatile **out)
{
	int result = SQLITE_OK;

	*out = NULL;
	(void)pthread_mutex_lock(&index->mutex);
	if (!share->is_mapped) {
		share->is_mapped = true;
		index->users++;
	}
	if (!index->count)
		index->region_size = size;
	if (size != index->region_size)
		result = SQLITE_IOERR_SHMSIZE;
	else if (extend && region >= index->count)
		result = extend_to(index, region + 1);
	if (!result && region < index->count)
		*out = index->regions[region];
	(void)pthread_mutex_unlock(&index->mutex);
	return result;
}

/* Take a lock if it is free: it becomes `value`. With the mutex it is never found claimed. */
static bool take_free(struct mfs__sqlite_wal_index *index, int lock, uint32_t value)
{
	_Atomic uint32_t *word = &index->locks[lock];
	uint32_t found = 0;

	/* pairs with give_back, and claim_all */
	while (!atomic_compare_exchange_strong_explicit(word, &found, value, memory_order_acquire,
													memory_order_relaxed)) {
		if (found != CLAIMED)
			return false;
		(void)pthread_mutex_lock(&index->mutex);
		(void)pthread_mutex_unlock(&index->mutex);
		found = 0;
	}
	return true;
}

static bool take_shared(struct mfs__sqlite_wal_index *index, int lock)
{
	_Atomic uint32_t *word = &index->locks[lock];
	uint32_t found = atomic_load_explicit(word, memory_order_relaxed);

	for (;;) {
		if (found == EXCLUSIVE)
			return false;
		if (found == CLAIMED) {
			(void)pthread_mutex_lock(&index->mutex);
			(void)pthread_mutex_unlock(&index->mutex);
			found = atomic_load_explicit(word, memory_order_relaxed);
			continue;
		}
		/* pairs with give_back, and claim_all */
		if (atomic_compare_exchange_weak_explicit(word, &found, found + 1, memory_order_acquire,
												  memory_order_relaxed))
			return true;
	}
}

/* Take several locks exclusively, or none. */
static bool claim_all(struct mfs__sqlite_wal_index *index, int first, int count)
{
	int claimed = 0;

	(void)pthread_mutex_lock(&index->mutex);
	while (claimed < count && take_free(index, first + claimed, CLAIMED))
		claimed++;
	uint32_t value = claimed == count ? EXCLUSIVE : 0;
	/* pairs with take_free and take_shared */
	for (int i = 0; i < claimed; i++)
		atomic_store_explicit(&index->locks[first + i], value, memory_order_release);
	(void)pthread_mutex_unlock(&index->mutex);
	return claimed == count;
}

/* Give back what the share holds of the locks `mask`. */
static void give_back(struct mfs__sqlite_wal_index *index, struct mfs__sqlite_wal_share *share,
					  unsigned mask)
{
	for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
		unsigned bit = 1u << i;
		/* pairs with take_free and take_shared */
		if (share->exclusive & mask & bit)
			atomic_store_explicit(&index->locks[i], 0, memory_order_release);
		/* pairs with take_free and take_shared */
		if (share->shared & mask & bit)
			(void)atomic_fetch_sub_explicit(&index->locks[i], 1, memory_order_release);
	}
	share->exclusive &= (uint8_t)~mask;
	share->shared &= (uint8_t)~mask;
}

int mfs__sqlite_wal_index_lock(struct mfs__sqlite_wal_index *index,
							   struct mfs__sqlite_wal_share *share, int first, int count, int flags)
{
	unsigned mask = ((1u << count) - 1) << first;
	bool taken = false;

	if (!share->is_mapped)
		return SQLITE_IOERR_SHMLOCK;
	if (flags & SQLITE_SHM_UNLOCK) {
		give_back(index, share, mask);
		return SQLITE_OK;
	}
	if (flags & SQLITE_SHM_SHARED) {
		/* Of shared locks SQLite asks for one at a time. */
		if (share->shared & mask)
			return SQLITE_OK;
		taken = take_shared(index, first);
		if (taken)
			share->shared |= (uint8_t)mask;
	} else {
		if ((share->exclusive & mask) == mask)
			return SQLITE_OK;
		taken = count == 1 ? take_free(index, first, EXCLUSIVE) : claim_all(index, first, count);
		if (taken)
			share->exclusive |= (uint8_t)mask;
	}
	return taken ? SQLITE_OK : SQLITE_BUSY;
}

void mfs__sqlite_wal_index_unmap(struct mfs__sqlite_wal_index *index,
								 struct mfs__sqlite_wal_share *share)
{
	if (!share->is_mapped)
		return;
	give_back(index, share, (1u << SQLITE_SHM_NLOCK) - 1);
	share->is_mapped = false;
	(void)pthread_mutex_lock(&index->mutex);
	if (--index->users == 0)
		free_regions(index);
	(void)pthread_mutex_unlock(&index->mutex);
}
