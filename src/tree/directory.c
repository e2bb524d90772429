/* SPDX-License-Identifier: MIT */
#include "tree/directory.h"

#include "base/alloc.h"
#include "base/test_hook.h"

#include <dmemfs/dmemfs.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* A table grows when there are this many names for each slot. */
#define NAMES_PER_SLOT 6
/* Of a table, whose size has to fit into 32 bits. With more names, buckets grow. */
#define MASK_MAX ((UINT32_C(1) << 28) - 1)
/* Lookups look this often while they meet changes of more than one slot. */
#define FIND_TRIES 64
/* How many slots ahead a visit of all dentries fetches buckets into the cache, and what these lead
 * to. */
#define AHEAD          8
#define DENTRIES_AHEAD 4

/* Immutable once published, but for `owners`. The hashes are followed by the dentries. */
struct mfs__bucket {
	struct mfs__retired retired;
	uint32_t count;
	uint32_t owners; /* slots that point here; under the directory's mutex, readers never look */
	uint32_t hashes[];
};

struct mfs__table {
	struct mfs__retired retired;
	uint32_t mask;                        /* slots - 1; constant */
	MFS__RCU(struct mfs__bucket) slots[]; /* published, replaced under the directory's mutex */
};

static size_t hashes_room(uint32_t count)
{
	return ((size_t)count + 1) & ~(size_t)1; /* so that the dentries are aligned */
}

static size_t bucket_size(uint32_t count)
{
	return sizeof(struct mfs__bucket) + hashes_room(count) * sizeof(uint32_t) +
		   count * sizeof(struct mfs__dentry *);
}

/* The table inside the directory; it goes with the directory. */
static struct mfs__table *first_table(struct mfs__directory *directory)
{
	_Static_assert(sizeof(struct mfs__table) + sizeof(MFS__RCU(struct mfs__bucket)) <=
					   MFS__FIRST_TABLE_SIZE,
				   "a table of one slot fits");
	return (struct mfs__table *)(void *)directory->first_table;
}

static struct mfs__dentry **dentries_of(struct mfs__bucket *bucket)
{
	return (struct mfs__dentry **)(void *)(bucket->hashes + hashes_room(bucket->count));
}

static size_t table_size(uint32_t mask)
{
	return sizeof(struct mfs__table) + ((size_t)mask + 1) * sizeof(_Atomic(struct mfs__bucket *));
}

/* memcmp() for names, without a call for short ones: two loads that may overlap. */
static inline bool same_name(const char *a, const char *b, uint32_t length)
{
	if (length >= 8 || length == 0)
		return memcmp(a, b, length) == 0;
	if (length >= 4) {
		uint32_t words[4];
		memcpy(&words[0], a, 4);
		memcpy(&words[1], b, 4);
		memcpy(&words[2], a + length - 4, 4);
		memcpy(&words[3], b + length - 4, 4);
		return words[0] == words[1] && words[2] == words[3];
	}
	return a[0] == b[0] && a[length / 2] == b[length / 2] && a[length - 1] == b[length - 1];
}

static inline struct mfs__dentry *find_in_bucket(struct mfs__bucket *bucket,
												 const struct mfs__name *name)
{
	if (!bucket)
		return NULL;
	/* A large directory is cold: fetch at once what would else be waited for line by line. */
	__builtin_prefetch((const char *)bucket + MFS__CACHE_LINE);
	uint32_t count = bucket->count;
	struct mfs__dentry **dentries = dentries_of(bucket);
	for (uint32_t i = 0; i < count; i++) {
		if (bucket->hashes[i] != name->hash)
			continue;
		struct mfs__dentry *dentry = dentries[i];
		__builtin_prefetch((const char *)dentry - MFS__CACHE_LINE);
		__builtin_prefetch((const char *)dentry - 2 * (ptrdiff_t)MFS__CACHE_LINE);
		if (dentry->length == name->length && same_name(dentry->name, name->text, name->length))
			return dentry;
	}
	return NULL;
}

/*
 * What a lookup has found while changes of several slots came in between. It is right all the same
 * if no such change is about to take this name away, or to give it: that marks the node before its
 * first store, and takes the mark back after its last one. A name that the change brings with a new
 * node is marked by nothing, and may be seen as soon as it is there: who has seen it finds nothing
 * of the time before, because all that goes, moves or is missing still makes lookups try again.
 */
static bool stands(struct mfs__dentry *found)
{
	bool claimed;

	return found && mfs__node_has_name(found->node, found->renames, &claimed) && !claimed;
}

enum mfs__find_result mfs__directory_find(struct mfs__directory *directory,
										  const struct mfs__name *name, struct mfs__dentry **dentry)
{
	for (unsigned tries = 0; tries < FIND_TRIES; tries++) {
		/* pairs with end_change */
		uint32_t seq = atomic_load_explicit(&directory->seq, memory_order_acquire);
		struct mfs__table *table = mfs__rcu_read(&directory->table);
		struct mfs__bucket *bucket =
			table ? mfs__rcu_read(&table->slots[name->hash & table->mask]) : NULL;
		struct mfs__dentry *found = find_in_bucket(bucket, name);
		mfs__yield("find: bucket read");
		/* Who saw a bucket of a half-done change sees its odd number here. */
		if (mfs__likely(!(seq & 1) &&
						seq == atomic_load_explicit(&directory->seq, memory_order_relaxed))) {
			*dentry = found;
			return found ? MFS__FIND_PRESENT : MFS__FIND_ABSENT;
		}
		if (stands(found)) {
			*dentry = found;
			return MFS__FIND_PRESENT;
		}
		mfs__cpu_relax();
	}
	return MFS__FIND_CONTENDED;
}

struct mfs__dentry *mfs__directory_find_locked(struct mfs__directory *directory,
											   const struct mfs__name *name)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);

	if (!table)
		return NULL;
	return find_in_bucket(mfs__rcu_read_locked(&table->slots[name->hash & table->mask]), name);
}

bool mfs__directory_lock(struct mfs__directory *directory)
{
	pthread_mutex_lock(&directory->mutex);
	uint64_t hold = atomic_load_explicit(&directory->node.hold, memory_order_relaxed);
	if (mfs__likely(!(hold & (MFS__HOLD_UNLINKED | MFS__HOLD_CLAIMED))))
		return true;
	pthread_mutex_unlock(&directory->mutex);
	return false;
}

void mfs__directory_lock_unseen(struct mfs__directory *directory)
{
	/* Always free. Only to try, lest those who watch the order of locks object. */
	(void)pthread_mutex_trylock(&directory->mutex);
}

bool mfs__directory_lock_to_read(struct mfs__directory *directory)
{
	while (!mfs__directory_lock(directory)) {
		if (mfs__directory_is_dead(directory))
			return false;
		sched_yield();
	}
	return true;
}

void mfs__directory_unlock(struct mfs__directory *directory)
{
	pthread_mutex_unlock(&directory->mutex);
}

bool mfs__directory_lock_pair(struct mfs__directory *a, struct mfs__directory *b)
{
	if (a == b)
		return mfs__directory_lock(a);
	struct mfs__directory *first = (uintptr_t)a < (uintptr_t)b ? a : b;
	struct mfs__directory *second = first == a ? b : a;
	if (!mfs__directory_lock(first))
		return false;
	if (!mfs__directory_lock(second)) {
		mfs__directory_unlock(first);
		return false;
	}
	return true;
}

void mfs__directory_unlock_pair(struct mfs__directory *a, struct mfs__directory *b)
{
	mfs__directory_unlock(a);
	if (a != b)
		mfs__directory_unlock(b);
}

void mfs__directory_claim_locked(struct mfs__directory *directory)
{
	uint64_t hold = atomic_load_explicit(&directory->node.hold, memory_order_relaxed);

	atomic_store_explicit(&directory->node.hold, hold | MFS__HOLD_CLAIMED, memory_order_relaxed);
}

bool mfs__directory_claim(struct mfs__directory *directory)
{
	if (!mfs__directory_lock(directory))
		return false;
	mfs__directory_claim_locked(directory);
	mfs__directory_unlock(directory);
	return true;
}

void mfs__directory_unclaim(struct mfs__directory *directory)
{
	/* The mutex is what shows the next writer all that was done under the claim. */
	pthread_mutex_lock(&directory->mutex);
	uint64_t hold = atomic_load_explicit(&directory->node.hold, memory_order_relaxed);
	atomic_store_explicit(&directory->node.hold, hold & ~MFS__HOLD_CLAIMED, memory_order_relaxed);
	pthread_mutex_unlock(&directory->mutex);
}

static struct mfs__table *table_new(struct mfs__arena *arena, uint32_t mask)
{
	struct mfs__retired *block = mfs__retirable_new(arena, table_size(mask));

	if (!block)
		return NULL;
	struct mfs__table *table = mfs__container_of(block, struct mfs__table, retired);
	table->mask = mask;
	return table;
}

/* The mask of a table for so many names; `mask` at least. */
static uint32_t mask_for(uint32_t mask, uint64_t count)
{
	while (count > (uint64_t)NAMES_PER_SLOT * ((uint64_t)mask + 1) && mask < MASK_MAX)
		mask = 2 * mask + 1;
	return mask;
}

static void table_gone(struct mfs__directory *directory, struct mfs__table *table, bool private)
{
	if (table == first_table(directory))
		return;
	if (private)
		mfs__retirable_free(&table->retired);
	else
		mfs__retire(&table->retired);
}

/* See to it that there is a table, and that it has room for more names if there is memory. */
static void make_room(struct mfs__arena *arena, struct mfs__directory *directory, uint64_t more,
					  bool private)
{
	struct mfs__table *old = mfs__rcu_read_locked(&directory->table);

	if (!old) {
		old = first_table(directory);
		old->mask = 0;
		mfs__rcu_init(&old->slots[0], NULL);
		mfs__rcu_publish(&directory->table, old);
	}
	uint64_t count = atomic_load_explicit(&directory->count, memory_order_relaxed) + more;
	uint32_t mask = mask_for(old->mask, count);
	if (mfs__likely(mask == old->mask))
		return;
	struct mfs__table *table = table_new(arena, mask);
	if (!table)
		return; /* a full table still works */
	for (uint32_t i = 0; i <= mask; i++)
		mfs__rcu_init(&table->slots[i], mfs__rcu_read_locked(&old->slots[i & old->mask]));
	for (uint32_t i = 0; i <= old->mask; i++) {
		struct mfs__bucket *bucket = mfs__rcu_read_locked(&old->slots[i]);
		if (bucket) /* each slot that pointed here becomes several */
			bucket->owners += mask / (old->mask + 1);
	}
	mfs__rcu_publish(&directory->table, table);
	mfs__yield("grow: table published");
	table_gone(directory, old, private);
}

static void bucket_free(struct mfs__bucket *bucket)
{
	if (bucket)
		mfs__retirable_free(&bucket->retired);
}

static bool is_among(const struct mfs__dentry *dentry, const struct mfs__edit *edits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (edits[i].out == dentry)
			return true;
	return false;
}

/*
 * Make the next bucket of a slot, from the edits of that slot. Returns false without memory; *out
 * may be NULL for an empty slot.
 */
static bool make_bucket(struct mfs__arena *arena, struct mfs__table *table, uint32_t slot,
						const struct mfs__edit *edits, size_t count, struct mfs__bucket **out)
{
	struct mfs__bucket *old = mfs__rcu_read_locked(&table->slots[slot]);
	uint32_t old_count = old ? old->count : 0;
	struct mfs__dentry **old_dentries = old ? dentries_of(old) : NULL;
	uint32_t names = 0;

	/* The old bucket may hold entries of other slots, and be shared with them: D4. */
	for (uint32_t i = 0; i < old_count; i++)
		names += (old->hashes[i] & table->mask) == slot && !is_among(old_dentries[i], edits, count);
	for (size_t i = 0; i < count; i++)
		names += edits[i].in != NULL;
	*out = NULL;
	if (names == 0)
		return true;
	struct mfs__retired *block = mfs__retirable_new(arena, bucket_size(names));
	if (!block)
		return false;
	struct mfs__bucket *bucket = mfs__container_of(block, struct mfs__bucket, retired);
	bucket->count = names;
	bucket->owners = 1;
	struct mfs__dentry **dentries = dentries_of(bucket);
	uint32_t n = 0;
	for (uint32_t i = 0; i < old_count; i++) {
		if ((old->hashes[i] & table->mask) != slot || is_among(old_dentries[i], edits, count))
			continue;
		bucket->hashes[n] = old->hashes[i];
		dentries[n++] = old_dentries[i];
	}
	for (size_t i = 0; i < count; i++) {
		if (edits[i].in) {
			bucket->hashes[n] = edits[i].in->hash;
			dentries[n++] = edits[i].in;
		}
	}
	*out = bucket;
	return true;
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t left = ((const struct mfs__edit *)a)->slot;
	uint32_t right = ((const struct mfs__edit *)b)->slot;

	return (left > right) - (left < right);
}

static struct mfs__slot_change *slots_of(struct mfs__change *change)
{
	return change->many ? change->many : change->few;
}

/* Prepare slot by slot; the edits are sorted. */
static bool prepare_slots(struct mfs__arena *arena, struct mfs__table *table,
						  const struct mfs__edit *edits, size_t count, struct mfs__change *change)
{
	size_t end;

	for (size_t begin = 0; begin < count; begin = end) {
		for (end = begin + 1; end < count && edits[end].slot == edits[begin].slot;)
			end++;
		struct mfs__slot_change *slot = &slots_of(change)[change->slots];
		slot->slot = edits[begin].slot;
		if (!make_bucket(arena, table, slot->slot, edits + begin, end - begin, &slot->bucket))
			return false;
		change->slots++;
	}
	return true;
}

static int prepare(struct mfs__arena *arena, struct mfs__directory *directory,
				   struct mfs__edit *edits, size_t count, struct mfs__change *change, bool private)
{
	bool comes = false;

	*change = (struct mfs__change){.directory = directory};
	for (size_t i = 0; i < count; i++) {
		if (edits[i].out) {
			change->count--;
			change->name_bytes -= edits[i].out->length + 1;
		} else {
			change->count++;
			change->name_bytes += edits[i].in->length + 1;
			comes = true;
		}
	}
	if (comes)
		make_room(arena, directory, change->count > 0 ? (uint64_t)change->count : 0, private);
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);
	for (size_t i = 0; i < count; i++) {
		const struct mfs__dentry *dentry = edits[i].out ? edits[i].out : edits[i].in;
		edits[i].slot = dentry->hash & table->mask;
	}
	if (count > 1)
		qsort(edits, count, sizeof *edits, compare_slots);
	if (count > MFS__FEW_SLOTS) {
		change->room = (uint32_t)(count <= table->mask ? count : (size_t)table->mask + 1);
		change->many = mfs__alloc(change->room * sizeof *change->many);
	}
	if ((count > MFS__FEW_SLOTS && !change->many) ||
		!prepare_slots(arena, table, edits, count, change)) {
		mfs__directory_abandon(change);
		return MFS_ENOMEM;
	}
	return 0;
}

int mfs__directory_prepare(struct mfs__arena *arena, struct mfs__directory *directory,
						   struct mfs__edit *edits, size_t count, struct mfs__change *change)
{
	return prepare(arena, directory, edits, count, change, false);
}

static void change_free(struct mfs__change *change)
{
	if (change->many)
		mfs__free(change->many, change->room * sizeof *change->many);
	*change = (struct mfs__change){0};
}

void mfs__directory_abandon(struct mfs__change *change)
{
	for (uint32_t i = 0; i < change->slots; i++)
		bucket_free(slots_of(change)[i].bucket);
	change_free(change);
}

static void begin_change(struct mfs__directory *directory, bool several_slots)
{
	uint64_t version = atomic_load_explicit(&directory->version, memory_order_relaxed);
	uint32_t seq = atomic_load_explicit(&directory->seq, memory_order_relaxed);

	/* Relaxed: the publications that follow carry these numbers with them. */
	atomic_store_explicit(&directory->version, version + 1, memory_order_relaxed);
#ifdef MFS_PLANT_TORN_RENAME
	several_slots = false; /* A planted bug: lookups are not told. */
#endif
	if (several_slots)
		atomic_store_explicit(&directory->seq, seq + 1, memory_order_relaxed);
}

static void end_change(struct mfs__directory *directory)
{
	uint64_t version = atomic_load_explicit(&directory->version, memory_order_relaxed);
	uint32_t seq = atomic_load_explicit(&directory->seq, memory_order_relaxed);

	mfs__node_modify(&directory->node, 0, 0);
	/* pairs with the first load in mfs__directory_find */
	atomic_store_explicit(&directory->seq, seq + (seq & 1), memory_order_release);
	/* pairs with the first load of a listing */
	atomic_store_explicit(&directory->version, version + 1, memory_order_release);
}

static void bucket_gone(struct mfs__bucket *bucket, bool private)
{
	if (!bucket || --bucket->owners)
		return;
	if (private)
		bucket_free(bucket);
	else
		mfs__retire(&bucket->retired);
}

/* *begun: a slot of the same commit has been published already. */
static void publish(struct mfs__change *change, bool private, bool *begun)
{
	struct mfs__directory *directory = change->directory;
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);
	uint64_t count = atomic_load_explicit(&directory->count, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&directory->name_bytes, memory_order_relaxed);

	for (uint32_t i = 0; i < change->slots; i++) {
		struct mfs__slot_change *slot = &slots_of(change)[i];
		struct mfs__bucket *old = mfs__rcu_read_locked(&table->slots[slot->slot]);
		if (*begun)
			mfs__yield("commit: half published");
		*begun = true;
		mfs__rcu_publish(&table->slots[slot->slot], slot->bucket);
		bucket_gone(old, private);
	}
	atomic_store_explicit(&directory->count, count + (uint64_t)change->count, memory_order_relaxed);
	atomic_store_explicit(&directory->name_bytes, bytes + (uint64_t)change->name_bytes,
						  memory_order_relaxed);
}

void mfs__directory_commit(struct mfs__change *changes, size_t count)
{
	uint64_t slots = 0;
	bool begun = false;

	for (size_t i = 0; i < count; i++)
		slots += changes[i].slots;
	for (size_t i = 0; i < count; i++)
		if (changes[i].slots)
			begin_change(changes[i].directory, slots > 1);
	for (size_t i = 0; i < count; i++)
		if (changes[i].slots)
			publish(&changes[i], false, &begun);
	mfs__yield("commit: published");
	for (size_t i = 0; i < count; i++)
		if (changes[i].slots)
			end_change(changes[i].directory);
	for (size_t i = 0; i < count; i++)
		change_free(&changes[i]);
}

int mfs__directory_add(struct mfs__arena *arena, struct mfs__directory *directory,
					   struct mfs__dentry *dentry)
{
	struct mfs__edit edit = {.in = dentry};
	struct mfs__change change;
	bool begun = false;

	if (prepare(arena, directory, &edit, 1, &change, true))
		return MFS_ENOMEM;
	publish(&change, true, &begun);
	change_free(&change);
	return 0;
}

/* The pointer is only a hint here. */
static inline void fetch_bucket(struct mfs__table *table, uint32_t slot)
{
	const char *bucket = (const char *)mfs__rcu_read_locked(&table->slots[slot]);

	if (bucket) {
		__builtin_prefetch(bucket);
		__builtin_prefetch(bucket + MFS__CACHE_LINE);
	}
}

/* The names of a bucket, and the nodes, which most names follow. */
static inline void fetch_dentries(struct mfs__table *table, uint32_t slot)
{
	struct mfs__bucket *bucket = mfs__rcu_read(&table->slots[slot]);

	if (!bucket)
		return;
	struct mfs__dentry **dentries = dentries_of(bucket);
	for (uint32_t i = 0; i < bucket->count; i++) {
		const char *dentry = (const char *)dentries[i];
		__builtin_prefetch(dentry);
		__builtin_prefetch(dentry - MFS__CACHE_LINE);
		__builtin_prefetch(dentry - 2 * (ptrdiff_t)MFS__CACHE_LINE);
	}
}

void mfs__image_each(struct mfs__table *image,
					 bool (*visit)(void *user, struct mfs__dentry *dentry), void *user)
{
	/* Buckets are all over the memory: wait for several of them at a time. */
	for (uint32_t slot = 0; slot < AHEAD && slot <= image->mask; slot++)
		fetch_bucket(image, slot);
	for (uint32_t slot = 0; slot <= image->mask; slot++) {
		struct mfs__bucket *bucket = mfs__rcu_read(&image->slots[slot]);
		if (image->mask - slot >= AHEAD)
			fetch_bucket(image, slot + AHEAD);
		if (image->mask - slot >= DENTRIES_AHEAD)
			fetch_dentries(image, slot + DENTRIES_AHEAD);
		if (!bucket)
			continue;
		struct mfs__dentry **dentries = dentries_of(bucket);
		for (uint32_t i = 0; i < bucket->count; i++)
			if ((bucket->hashes[i] & image->mask) == slot && !visit(user, dentries[i]))
				return;
	}
}

void mfs__directory_each(struct mfs__directory *directory,
						 bool (*visit)(void *user, struct mfs__dentry *dentry), void *user)
{
	struct mfs__table *table = mfs__rcu_read(&directory->table);

	if (table)
		mfs__image_each(table, visit, user);
}

size_t mfs__directory_image_size(struct mfs__directory *directory)
{
	mfs__rcu_lock();
	struct mfs__table *table = mfs__rcu_read(&directory->table);
	size_t size = table_size(table ? table->mask : 0);
	mfs__rcu_unlock();
	return size;
}

bool mfs__directory_image(struct mfs__directory *directory, struct mfs__table *image, size_t size)
{
	struct mfs__table *table = mfs__rcu_read(&directory->table);
	uint32_t mask = table ? table->mask : 0;

	if (table_size(mask) > size)
		return false;
	image->mask = mask;
	for (uint32_t slot = 0; slot <= mask; slot++) {
		struct mfs__bucket *bucket = table ? mfs__rcu_read(&table->slots[slot]) : NULL;
		atomic_store_explicit(&image->slots[slot], bucket, memory_order_relaxed);
	}
	return true;
}

void mfs__directory_retire_table(struct mfs__directory *directory)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);

	if (!table)
		return;
	for (uint32_t slot = 0; slot <= table->mask; slot++)
		bucket_gone(mfs__rcu_read_locked(&table->slots[slot]), false);
	table_gone(directory, table, false);
}

void mfs__directory_free_table(struct mfs__directory *directory)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);

	if (!table)
		return;
	for (uint32_t slot = 0; slot <= table->mask; slot++)
		bucket_gone(mfs__rcu_read_locked(&table->slots[slot]), true);
	table_gone(directory, table, true);
}

bool mfs__directory_validate(struct mfs__directory *directory)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);
	uint64_t count = 0;
	uint64_t name_bytes = 0;

	if (atomic_load_explicit(&directory->seq, memory_order_relaxed) & 1 ||
		atomic_load_explicit(&directory->version, memory_order_relaxed) & 1)
		return false;
	for (uint32_t slot = 0; table && slot <= table->mask; slot++) {
		struct mfs__bucket *bucket = mfs__rcu_read_locked(&table->slots[slot]);
		if (!bucket)
			continue;
		uint32_t owners = 0;
		for (uint32_t other = 0; other <= table->mask; other++)
			owners += mfs__rcu_read_locked(&table->slots[other]) == bucket;
		if (owners != bucket->owners)
			return false;
		struct mfs__dentry **dentries = dentries_of(bucket);
		for (uint32_t i = 0; i < bucket->count; i++) {
			if ((bucket->hashes[i] & table->mask) != slot)
				continue;
			if (dentries[i]->hash != bucket->hashes[i])
				return false;
			count++;
			name_bytes += dentries[i]->length + 1u;
		}
	}
	return count == atomic_load_explicit(&directory->count, memory_order_relaxed) &&
		   name_bytes == atomic_load_explicit(&directory->name_bytes, memory_order_relaxed);
}
