/* SPDX-License-Identifier: MIT */
#include "tree/directory.h"

#include "base/alloc.h"
#include "base/test_hook.h"

#include <dmemfs/dmemfs.h>

#include <string.h>

/* A table grows when there are this many names for each slot. */
#define NAMES_PER_SLOT 6
/* Lookups look this often while they meet changes of more than one slot. */
#define FIND_TRIES 64

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

enum mfs__find_result mfs__directory_find(struct mfs__directory *directory,
										  const struct mfs__name *name, struct mfs__dentry **dentry)
{
	for (unsigned tries = 0; tries < FIND_TRIES; tries++) {
		/* pairs with end_change */
		uint32_t seq = atomic_load_explicit(&directory->seq, memory_order_acquire);
		if (mfs__unlikely(seq & 1)) {
			mfs__cpu_relax();
			continue;
		}
		struct mfs__table *table = mfs__rcu_read(&directory->table);
		struct mfs__bucket *bucket =
			table ? mfs__rcu_read(&table->slots[name->hash & table->mask]) : NULL;
		struct mfs__dentry *found = find_in_bucket(bucket, name);
		mfs__yield("find: bucket read");
		/* Who saw a bucket of a half-done change sees its odd number here. */
		if (mfs__unlikely(seq != atomic_load_explicit(&directory->seq, memory_order_relaxed)))
			continue;
		*dentry = found;
		return found ? MFS__FIND_PRESENT : MFS__FIND_ABSENT;
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
	if (mfs__likely(!mfs__directory_is_dead(directory)))
		return true;
	pthread_mutex_unlock(&directory->mutex);
	return false;
}

void mfs__directory_unlock(struct mfs__directory *directory)
{
	pthread_mutex_unlock(&directory->mutex);
}

/* Directories never move, so an ancestor is always the less deep one. */
static bool comes_first(struct mfs__directory *a, struct mfs__directory *b)
{
	if (a->depth != b->depth)
		return a->depth < b->depth;
	return (uintptr_t)a < (uintptr_t)b;
}

bool mfs__directory_lock_pair(struct mfs__directory *a, struct mfs__directory *b)
{
	if (a == b)
		return mfs__directory_lock(a);
	struct mfs__directory *first = comes_first(a, b) ? a : b;
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

static struct mfs__table *table_new(uint32_t mask)
{
	struct mfs__table *table = mfs__alloc(table_size(mask));

	if (table)
		table->mask = mask;
	return table;
}

void mfs__directory_make_room(struct mfs__directory *directory)
{
	struct mfs__table *old = mfs__rcu_read_locked(&directory->table);

	if (!old) {
		struct mfs__table *table = first_table(directory);
		table->mask = 0;
		mfs__rcu_init(&table->slots[0], NULL);
		mfs__rcu_publish(&directory->table, table);
		return;
	}
	uint64_t count = atomic_load_explicit(&directory->count, memory_order_relaxed);
	if (mfs__likely(count < (uint64_t)NAMES_PER_SLOT * ((uint64_t)old->mask + 1)) ||
		old->mask == UINT32_MAX >> 1)
		return;
	struct mfs__table *table = table_new(2 * old->mask + 1);
	if (!table)
		return; /* a full table still works */
	for (uint32_t i = 0; i <= old->mask; i++) {
		struct mfs__bucket *bucket = mfs__rcu_read_locked(&old->slots[i]);
		if (bucket)
			bucket->owners++; /* each slot that pointed here becomes two */
		mfs__rcu_init(&table->slots[i], bucket);
		mfs__rcu_init(&table->slots[i + old->mask + 1], bucket);
	}
	mfs__rcu_publish(&directory->table, table);
	mfs__yield("grow: table published");
	if (old != first_table(directory))
		mfs__retire(&old->retired, table_size(old->mask));
}

bool mfs__directory_same_slot(struct mfs__directory *directory, uint32_t hash1, uint32_t hash2)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);

	return ((hash1 ^ hash2) & table->mask) == 0;
}

int mfs__directory_prepare(struct mfs__directory *directory, struct mfs__dentry *out1,
						   struct mfs__dentry *out2, struct mfs__dentry *in,
						   struct mfs__slot_change *change)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);
	const struct mfs__dentry *any = in ? in : out1 ? out1 : out2;
	uint32_t slot = any->hash & table->mask;
	struct mfs__bucket *old = mfs__rcu_read_locked(&table->slots[slot]);
	uint32_t old_count = old ? old->count : 0;
	struct mfs__dentry **old_dentries = old ? dentries_of(old) : NULL;
	uint32_t count = in ? 1 : 0;

	/* The old bucket may hold entries of other slots, and be shared with them: D4. */
	for (uint32_t i = 0; i < old_count; i++)
		if ((old->hashes[i] & table->mask) == slot && old_dentries[i] != out1 &&
			old_dentries[i] != out2)
			count++;

	*change = (struct mfs__slot_change){.directory = directory, .slot = slot};
	if (count > 0) {
		struct mfs__bucket *bucket = mfs__alloc(bucket_size(count));
		if (!bucket) {
			change->directory = NULL;
			return MFS_ENOMEM;
		}
		bucket->count = count;
		bucket->owners = 1;
		struct mfs__dentry **dentries = dentries_of(bucket);
		uint32_t n = 0;
		for (uint32_t i = 0; i < old_count; i++) {
			if ((old->hashes[i] & table->mask) != slot || old_dentries[i] == out1 ||
				old_dentries[i] == out2)
				continue;
			bucket->hashes[n] = old->hashes[i];
			dentries[n++] = old_dentries[i];
		}
		if (in) {
			bucket->hashes[n] = in->hash;
			dentries[n] = in;
		}
		change->bucket = bucket;
	}
	const struct mfs__dentry *outs[] = {out1, out2};
	for (unsigned i = 0; i < 2; i++) {
		if (outs[i]) {
			change->count--;
			change->name_bytes -= outs[i]->length + 1;
		}
	}
	if (in) {
		change->count++;
		change->name_bytes += in->length + 1;
	}
	return 0;
}

void mfs__directory_abandon(struct mfs__slot_change *change)
{
	if (change->bucket)
		mfs__free(change->bucket, bucket_size(change->bucket->count));
	*change = (struct mfs__slot_change){0};
}

static void begin_change(struct mfs__directory *directory, bool several_slots)
{
	uint64_t version = atomic_load_explicit(&directory->version, memory_order_relaxed);
	uint32_t seq = atomic_load_explicit(&directory->seq, memory_order_relaxed);

	/* Relaxed: the publications that follow carry these numbers with them. */
	atomic_store_explicit(&directory->version, version + 1, memory_order_relaxed);
	if (several_slots)
		atomic_store_explicit(&directory->seq, seq + 1, memory_order_relaxed);
}

static void end_change(struct mfs__directory *directory, bool several_slots)
{
	uint64_t version = atomic_load_explicit(&directory->version, memory_order_relaxed);
	uint32_t seq = atomic_load_explicit(&directory->seq, memory_order_relaxed);

	mfs__node_modify(&directory->node, 0, 0);
	if (several_slots)
		/* pairs with the first load in mfs__directory_find */
		atomic_store_explicit(&directory->seq, seq + 1, memory_order_release);
	/* pairs with the first load of a listing */
	atomic_store_explicit(&directory->version, version + 1, memory_order_release);
}

static void retire_bucket(struct mfs__bucket *bucket)
{
	if (bucket && --bucket->owners == 0)
		mfs__retire(&bucket->retired, bucket_size(bucket->count));
}

static void publish(struct mfs__slot_change *change)
{
	struct mfs__directory *directory = change->directory;
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);
	struct mfs__bucket *old = mfs__rcu_read_locked(&table->slots[change->slot]);
	uint64_t count = atomic_load_explicit(&directory->count, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&directory->name_bytes, memory_order_relaxed);

	mfs__rcu_publish(&table->slots[change->slot], change->bucket);
	atomic_store_explicit(&directory->count, count + (uint64_t)change->count, memory_order_relaxed);
	atomic_store_explicit(&directory->name_bytes, bytes + (uint64_t)change->name_bytes,
						  memory_order_relaxed);
	retire_bucket(old);
}

void mfs__directory_commit(struct mfs__slot_change *change)
{
	begin_change(change->directory, false);
	publish(change);
	mfs__yield("commit: published");
	end_change(change->directory, false);
}

void mfs__directory_commit_pair(struct mfs__slot_change *in, struct mfs__slot_change *out)
{
	bool two = in->directory != out->directory;

	begin_change(in->directory, true);
	if (two)
		begin_change(out->directory, true);
	publish(in);
	mfs__yield("commit: one of two published");
	publish(out);
	if (two)
		end_change(out->directory, true);
	end_change(in->directory, true);
}

void mfs__directory_each(struct mfs__directory *directory,
						 bool (*visit)(void *user, struct mfs__dentry *dentry), void *user)
{
	struct mfs__table *table = mfs__rcu_read(&directory->table);

	if (!table)
		return;
	for (uint32_t slot = 0; slot <= table->mask; slot++) {
		struct mfs__bucket *bucket = mfs__rcu_read(&table->slots[slot]);
		if (!bucket)
			continue;
		struct mfs__dentry **dentries = dentries_of(bucket);
		for (uint32_t i = 0; i < bucket->count; i++)
			if ((bucket->hashes[i] & table->mask) == slot && !visit(user, dentries[i]))
				return;
	}
}

void mfs__directory_retire_table(struct mfs__directory *directory)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);

	if (!table)
		return;
	for (uint32_t slot = 0; slot <= table->mask; slot++)
		retire_bucket(mfs__rcu_read_locked(&table->slots[slot]));
	if (table != first_table(directory))
		mfs__retire(&table->retired, table_size(table->mask));
}

void mfs__directory_free_table(struct mfs__directory *directory)
{
	struct mfs__table *table = mfs__rcu_read_locked(&directory->table);

	if (!table)
		return;
	for (uint32_t slot = 0; slot <= table->mask; slot++) {
		struct mfs__bucket *bucket = mfs__rcu_read_locked(&table->slots[slot]);
		if (bucket && --bucket->owners == 0)
			mfs__free(bucket, bucket_size(bucket->count));
	}
	if (table != first_table(directory))
		mfs__free(table, table_size(table->mask));
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
