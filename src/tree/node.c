/* SPDX-License-Identifier: MIT */
#include "tree/node.h"

#include "base/clock.h"
#include "base/test_hook.h"
#include "tree/directory.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

/*
 * What a name takes in its directory's table: its hash, a pointer, and a share of a slot and of the
 * bucket that the slot points at, which has a header, two counts in it. A table has a slot for
 * every three to six names once it has more than six: four is the mean over all sizes.
 */
#define NAMES_PER_SLOT 4
#define SLOT_BYTES     (sizeof(void *) + sizeof(struct mfs__retired) + 2 * sizeof(uint32_t))
#define ENTRY_BYTES    (sizeof(uint32_t) + sizeof(void *) + SLOT_BYTES / NAMES_PER_SLOT)

static size_t dentry_size(size_t length)
{
	return offsetof(struct mfs__dentry, name) + length + 1;
}

static void dentry_init(struct mfs__dentry *dentry, const struct mfs__name *name,
						struct mfs__node *node, uint32_t renames)
{
	dentry->node = node;
	dentry->renames = renames;
	dentry->hash = name->hash;
	dentry->is_dir = node->is_dir;
	dentry->length = (uint8_t)name->length;
	memcpy(dentry->name, name->text, name->length);
	dentry->name[name->length] = '\0';
}

static void node_init(struct mfs__node *node, bool is_dir, uint8_t storage, int64_t now)
{
	node->created_at = now;
	node->is_dir = is_dir;
	node->storage = storage;
	atomic_init(&node->modified_at, now);
}

/* The block of a node and its first dentry, with all before the node cleared. */
static void *node_new(struct mfs__arena *arena, size_t size, const struct mfs__name *name)
{
	struct mfs__retired *block = mfs__retirable_new(arena, size + dentry_size(name->length));

	if (block)
		memset(block + 1, 0, size - sizeof *block);
	return block;
}

struct mfs__file *mfs__file_new(struct mfs__arena *arena, const struct mfs__name *name,
								uint8_t storage, int64_t now)
{
	struct mfs__file *file = node_new(arena, sizeof *file, name);

	if (!file)
		return NULL;
	node_init(&file->node, false, storage, now);
	dentry_init(mfs__first_dentry(&file->node), name, &file->node, 0);
	return file;
}

/*
 * Held for some hundreds of nanoseconds at a time: where there is a mutex that looks for a while
 * before it sleeps, that one.
 */
static bool init_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	if (pthread_mutexattr_init(&attributes))
		return false;
#ifdef __GLIBC__
	(void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	bool done = pthread_mutex_init(mutex, &attributes) == 0;
	(void)pthread_mutexattr_destroy(&attributes);
	return done;
}

struct mfs__directory *mfs__directory_new(struct mfs__arena *arena, const struct mfs__name *name,
										  struct mfs__directory *parent, int64_t now)
{
	struct mfs__directory *directory = node_new(arena, sizeof *directory, name);

	if (!directory)
		return NULL;
	if (!init_mutex(&directory->mutex)) {
		mfs__retirable_free(&directory->retired);
		return NULL;
	}
	directory->parent = parent;
	node_init(&directory->node, true, 0, now);
	dentry_init(mfs__first_dentry(&directory->node), name, &directory->node, 0);
	return directory;
}

void mfs__file_free(struct mfs__file *file)
{
	mfs__retirable_free(&file->retired);
}

void mfs__directory_free(struct mfs__directory *directory)
{
	(void)pthread_mutex_destroy(&directory->mutex);
	mfs__retirable_free(&directory->retired);
}

struct mfs__dentry *mfs__dentry_new(struct mfs__arena *arena, const struct mfs__name *name,
									struct mfs__node *node, uint32_t renames)
{
	struct mfs__retired *block =
		mfs__retirable_new(arena, sizeof *block + dentry_size(name->length));

	if (!block)
		return NULL;
	struct mfs__dentry *dentry = (struct mfs__dentry *)(block + 1);
	dentry_init(dentry, name, node, renames);
	return dentry;
}

void mfs__dentry_free(struct mfs__dentry *dentry)
{
	if (dentry)
		mfs__retirable_free((struct mfs__retired *)(void *)dentry - 1);
}

void mfs__dentry_retire(struct mfs__dentry *dentry)
{
	if (dentry != mfs__first_dentry(dentry->node))
		mfs__retire((struct mfs__retired *)(void *)dentry - 1);
}

uint64_t mfs__node_charge(const struct mfs__dentry *dentry)
{
	struct mfs__node *node = dentry->node;
	const struct mfs__retired *block =
		node->is_dir ? &mfs__directory_of(node)->retired : &mfs__file_of(node)->retired;
	uint64_t charge = block->size + ENTRY_BYTES;

	if (dentry != mfs__first_dentry(node))
		charge += ((const struct mfs__retired *)(const void *)dentry - 1)->size;
	return charge;
}

uint64_t mfs__first_charge(bool is_dir, size_t length)
{
	size_t block = is_dir ? sizeof(struct mfs__directory) : sizeof(struct mfs__file);

	return block + dentry_size(length) + ENTRY_BYTES;
}

/* Odd, so that the product is another one for each address. Set before the first workspace is made,
 * and constant from then on. */
static uint64_t inode_factor = 1;

void mfs__inode_numbers_init(void)
{
	uint64_t random;

	/* Whoever sees the numbers, through a mount say, need not learn addresses. */
	if (getentropy(&random, sizeof random) == 0)
		inode_factor = random | 1;
}

uint64_t mfs__node_inode(const struct mfs__node *node)
{
	return (uint64_t)(uintptr_t)node * inode_factor;
}

bool mfs__node_acquire(struct mfs__node *node, uint64_t counts)
{
	uint64_t refs = atomic_load_explicit(&node->refs, memory_order_relaxed);

	do {
		if (refs & MFS__REFS_UNLINKED)
			return false;
		/* pairs with mfs__node_release */
	} while (!atomic_compare_exchange_weak_explicit(&node->refs, &refs, refs + counts,
													memory_order_acquire, memory_order_relaxed));
	return true;
}

bool mfs__node_hold(struct mfs__node *node, uint32_t renames, const _Atomic uint64_t *moves,
					uint64_t moves_seen)
{
	/* pairs with end_claim: who sees a file after a move sees the tree's count after it, below */
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_acquire);
	uint64_t name = ((uint64_t)renames * MFS__HOLD_RENAME) & MFS__HOLD_RENAMES;

	do {
		if (hold & (MFS__HOLD_UNLINKED | MFS__HOLD_CLAIMED) || (hold & MFS__HOLD_RENAMES) != name ||
			(hold & MFS__HOLD_HOLDERS) == MFS__HOLD_HOLDERS)
			return false;
		/* After the word was read: a move that begins now changes the word. */
		if (atomic_load_explicit(moves, memory_order_relaxed) != moves_seen)
			return false;
		mfs__yield("hold: about to count in");
		/* pairs with end_claim (as above), and with mfs__node_let_go */
	} while (!atomic_compare_exchange_weak_explicit(&node->hold, &hold, hold + MFS__HOLD_HOLDER,
													memory_order_acquire, memory_order_acquire));
	return true;
}

bool mfs__node_has_name(struct mfs__node *node, uint32_t renames, bool *claimed)
{
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_relaxed);
	uint64_t name = ((uint64_t)renames * MFS__HOLD_RENAME) & MFS__HOLD_RENAMES;

	*claimed = (hold & MFS__HOLD_CLAIMED) != 0;
	return !(hold & MFS__HOLD_UNLINKED) && (node->is_dir || (hold & MFS__HOLD_RENAMES) == name);
}

void mfs__node_let_go(struct mfs__node *node)
{
	/* pairs with mfs__node_unlink and mfs__node_claim: what the holder did is over */
	atomic_fetch_sub_explicit(&node->hold, MFS__HOLD_HOLDER, memory_order_release);
}

bool mfs__node_is_crowded(struct mfs__node *node)
{
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_relaxed);

	return (hold & MFS__HOLD_HOLDERS) == MFS__HOLD_HOLDERS;
}

/* Set a flag, unless there is a holder. */
static bool set_unless_held(struct mfs__node *node, uint64_t flag)
{
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_relaxed);

	do {
		if (hold & MFS__HOLD_HOLDERS)
			return false;
		/* pairs with mfs__node_let_go: what former holders did with the data is over */
	} while (!atomic_compare_exchange_weak_explicit(&node->hold, &hold, hold | flag,
													memory_order_acquire, memory_order_relaxed));
	return true;
}

bool mfs__node_unlink(struct mfs__node *node, bool *shared)
{
	if (!set_unless_held(node, MFS__HOLD_UNLINKED))
		return false;
	mfs__yield("unlink: marked for holders");
	/* pairs with mfs__node_release: what former sharers did with the data is over */
	uint64_t refs = atomic_fetch_add_explicit(&node->refs, MFS__REFS_UNLINKED + MFS__REFS_PIN,
											  memory_order_acq_rel);
	*shared = (refs & MFS__REFS_SHARERS) != 0;
	return true;
}

bool mfs__node_claim(struct mfs__node *node)
{
	return set_unless_held(node, MFS__HOLD_CLAIMED);
}

/* Nobody else changes a claimed file's word. */
static void end_claim(struct mfs__node *node, uint64_t moves, uint64_t renames)
{
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_relaxed);
	uint64_t next = ((hold + moves) & MFS__HOLD_MOVES) | ((hold + renames) & MFS__HOLD_RENAMES);

	/* pairs with mfs__node_hold: who becomes a holder now knows of the move */
	atomic_store_explicit(&node->hold, next, memory_order_release);
}

void mfs__node_unclaim(struct mfs__node *node)
{
	end_claim(node, 0, 0);
}

void mfs__node_moved(struct mfs__node *node)
{
	end_claim(node, MFS__HOLD_MOVE, 0);
}

void mfs__node_renamed(struct mfs__node *node)
{
	end_claim(node, MFS__HOLD_MOVE, MFS__HOLD_RENAME);
}

static void retire_node(struct mfs__node *node)
{
	if (node->is_dir) {
		struct mfs__directory *directory = mfs__directory_of(node);
		mfs__directory_retire_table(directory);
		(void)pthread_mutex_destroy(&directory->mutex);
		mfs__retire(&directory->retired);
	} else {
		mfs__retire(&mfs__file_of(node)->retired);
	}
}

void mfs__node_release(struct mfs__node *node, uint64_t counts)
{
	/* pairs with mfs__node_acquire, with mfs__node_unlink, and with itself: the last release comes
	 * after all that others did with the node */
	uint64_t refs = atomic_fetch_sub_explicit(&node->refs, counts, memory_order_acq_rel) - counts;

	if (mfs__unlikely((refs & MFS__REFS_UNLINKED) && !(refs & MFS__REFS_PINS)))
		retire_node(node);
}

struct mfs__attributes mfs__node_attributes(struct mfs__node *node)
{
	for (unsigned tries = 0;; tries++) {
		/* pairs with the end of mfs__node_modify */
		uint32_t seq = atomic_load_explicit(&node->attributes_seq, memory_order_acquire);
		/* pairs with mfs__node_modify: who sees one of these sees the odd number before it */
		struct mfs__attributes attributes = {
			.size = atomic_load_explicit(&node->size, memory_order_acquire),
			.generation = atomic_load_explicit(&node->generation, memory_order_acquire),
			/* pairs with the same */
			.modified_at = atomic_load_explicit(&node->modified_at, memory_order_acquire),
		};
		struct mfs__parallel *parallel = NULL;
		if (!node->is_dir) {
			struct mfs__file *file = mfs__file_of(node);
			/* pairs with mfs__node_end_parallel and mfs__file_begin_parallel */
			parallel = atomic_load_explicit(&file->parallel, memory_order_acquire);
		}
		if (mfs__unlikely(parallel != NULL))
			mfs__parallel_add(parallel, &attributes.generation, &attributes.modified_at);
		if (mfs__likely(!(seq & 1) &&
						seq == atomic_load_explicit(&node->attributes_seq, memory_order_relaxed)))
			return attributes;
		/* The writer is between its first and its last store, or was stopped there. */
		if (tries % 64 == 63)
			sched_yield();
		else
			mfs__cpu_relax();
	}
}

/* The odd number, with which a change begins. */
static uint32_t begin_change(struct mfs__node *node)
{
	uint32_t seq = atomic_load_explicit(&node->attributes_seq, memory_order_relaxed);

	atomic_store_explicit(&node->attributes_seq, seq + 1, memory_order_relaxed);
	return seq;
}

static void end_change(struct mfs__node *node, uint32_t seq)
{
	mfs__yield("attributes: half changed");
	/* pairs with the first load in mfs__node_attributes */
	atomic_store_explicit(&node->attributes_seq, seq + 2, memory_order_release);
}

void mfs__node_modify(struct mfs__node *node, uint64_t size, unsigned generations)
{
	uint64_t generation = atomic_load_explicit(&node->generation, memory_order_relaxed);
	uint32_t seq = begin_change(node);

	/* pairs with mfs__node_attributes: the odd number comes before each of these three */
	atomic_store_explicit(&node->size, size, memory_order_release);
	atomic_store_explicit(&node->generation, generation + generations, memory_order_release);
	atomic_store_explicit(&node->modified_at, mfs__timestamp(), memory_order_release);
	end_change(node, seq);
}

void mfs__node_set_modified(struct mfs__node *node, int64_t modified_at)
{
	struct mfs__parallel *parallel = NULL;

	if (!node->is_dir)
		parallel = atomic_load_explicit(&mfs__file_of(node)->parallel, memory_order_relaxed);
	uint32_t seq = begin_change(node);
	if (parallel)
		mfs__parallel_forget_times(parallel);
	/* pairs with mfs__node_attributes: the odd number comes before this */
	atomic_store_explicit(&node->modified_at, modified_at, memory_order_release);
	end_change(node, seq);
}

void mfs__node_end_parallel(struct mfs__file *file)
{
	struct mfs__node *node = &file->node;
	struct mfs__parallel *parallel = atomic_load_explicit(&file->parallel, memory_order_relaxed);
	uint64_t generation = atomic_load_explicit(&node->generation, memory_order_relaxed);
	int64_t modified_at = atomic_load_explicit(&node->modified_at, memory_order_relaxed);

	mfs__parallel_add(parallel, &generation, &modified_at);
	uint32_t seq = begin_change(node);
	/* pairs with mfs__node_attributes: the odd number comes before each of these three */
	atomic_store_explicit(&node->generation, generation, memory_order_release);
	atomic_store_explicit(&node->modified_at, modified_at, memory_order_release);
	atomic_store_explicit(&file->parallel, NULL, memory_order_release);
	end_change(node, seq);
	mfs__parallel_retire(parallel);
}
