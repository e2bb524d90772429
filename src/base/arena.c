/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/huge_block.h"
#include "base/jemalloc.h"
#include "base/memory.h"
#include "base/reclaim.h"
#include "base/stripe.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes that a workspace takes from the process's memory before it gets a slot. */
#define OWN_BYTES (UINT64_C(1) << 20)
/* More than jemalloc has arenas; number 0 is no slot. */
#define SLOTS_MAX 4096
/* Uses of a cell without a cache before it gets one, and before it tries again if it got none. */
#define CACHE_AFTER 32
#define CACHE_AGAIN (1 << 20)
/* Mapped bytes from which a slot asks for huge pages: less would not be used up. */
#define HUGE_AFTER (8 << 20)

/* On lines of its own: the threads of other stripes do not touch it. */
struct mfs__cell {
	/* Atomic: a thread is at it. Nobody waits for it but those who flush. */
	_Alignas(2 * MFS__CACHE_LINE) atomic_bool busy;
	uint32_t number; /* constant: the slot's, here to be at hand */
	/* Under `busy`. */
	bool touched;   /* used since it was last looked after */
	bool has_cache; /* `cache` is one of jemalloc's */
	unsigned cache;
	int uses;  /* without a cache */
	int flags; /* to use the cache by; 0: there is something to see to first */
};

struct mfs__slot {
	struct mfs__extent_hooks hooks; /* first: what they are given is the slot */
	/* Under slots_mutex, constant while a workspace has the slot. */
	bool has_arena;
	unsigned arena;    /* of jemalloc */
	int without_cache; /* flags to use it by */
	struct mfs__slot *next_free;
	/* Atomic, any thread: used since its memory was last given back. */
	atomic_bool dirty;
	/* Atomic: bytes that it has mapped. */
	_Atomic uint64_t mapped;
	/* Atomic: the arena is being destroyed, what it gives back is to be unmapped. */
	atomic_bool ending;
	struct mfs__cell cells[MFS__STRIPES];
};

static pthread_mutex_t slots_mutex = PTHREAD_MUTEX_INITIALIZER;
/* A slot is set under slots_mutex before its number is given out, and constant from then on. */
static struct mfs__slot *slots[SLOTS_MAX];
/* Atomic, changed under slots_mutex: slots that exist, and 1. */
static _Atomic uint32_t slots_end = 1;
static struct mfs__slot *free_slots; /* under slots_mutex */
/* Atomic, changed under slots_mutex: slots with an arena. */
static atomic_uint arenas;
/* Atomic, any thread: a slot is dirty. */
static atomic_bool has_idle;

static void *hook_alloc(struct mfs__extent_hooks *hooks, void *address, size_t size,
						size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	struct mfs__slot *slot = mfs__container_of(hooks, struct mfs__slot, hooks);

	(void)arena;
	if (address)
		return NULL;
	uint64_t mapped = atomic_fetch_add_explicit(&slot->mapped, size, memory_order_relaxed);
	void *extent = mfs__map_aligned(size, alignment > MFS__HUGE_SIZE ? alignment : MFS__HUGE_SIZE,
									mapped >= HUGE_AFTER);
	if (extent) {
		*zero = true;
		*commit = true;
	}
	return extent;
}

static void hook_destroy(struct mfs__extent_hooks *hooks, void *address, size_t size,
						 bool committed, unsigned arena)
{
	(void)hooks;
	(void)committed;
	(void)arena;
	(void)munmap(address, size);
}

/* Address space is kept, and its pages given back, until the arena goes. */
static bool hook_dalloc(struct mfs__extent_hooks *hooks, void *address, size_t size, bool committed,
						unsigned arena)
{
	struct mfs__slot *slot = mfs__container_of(hooks, struct mfs__slot, hooks);

	(void)committed;
	(void)arena;
	if (!atomic_load_explicit(&slot->ending, memory_order_relaxed))
		return true;
	return munmap(address, size) != 0;
}

static bool hook_purge(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t offset,
					   size_t length, unsigned arena)
{
	(void)hooks;
	(void)size;
	(void)arena;
	return madvise((char *)address + offset, length, MADV_DONTNEED) != 0;
}

static bool hook_split(struct mfs__extent_hooks *hooks, void *address, size_t size, size_t size_a,
					   size_t size_b, bool committed, unsigned arena)
{
	(void)hooks;
	(void)address;
	(void)size;
	(void)size_a;
	(void)size_b;
	(void)committed;
	(void)arena;
	return false;
}

static bool hook_merge(struct mfs__extent_hooks *hooks, void *a, size_t size_a, void *b,
					   size_t size_b, bool committed, unsigned arena)
{
	(void)hooks;
	(void)a;
	(void)size_a;
	(void)b;
	(void)size_b;
	(void)committed;
	(void)arena;
	return false;
}

static const struct mfs__extent_hooks hooks_of_slots = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.destroy = hook_destroy,
	.purge_forced = hook_purge,
	.split = hook_split,
	.merge = hook_merge,
};

/* Have jemalloc do something with the slot's arena. Under slots_mutex, or by the slot's workspace.
 */
static void tell(struct mfs__slot *slot, const char *what)
{
	char name[64];

	(void)snprintf(name, sizeof name, "arena.%u.%s", slot->arena, what);
	(void)mallctl(name, NULL, NULL, NULL, 0);
}

/* Freed pages of the arena are kept as long as other freed memory is. */
static void set_decay(struct mfs__slot *slot)
{
	char name[64];
	ssize_t ms = (ssize_t)(atomic_load_explicit(&mfs__memory.idle_ns, memory_order_relaxed) /
						   MFS__NS_PER_MS);

	(void)snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", slot->arena);
	(void)mallctl(name, NULL, NULL, &ms, sizeof ms);
	ms = 0; /* there is no lazy way, so that nothing would be gained by waiting longer */
	(void)snprintf(name, sizeof name, "arena.%u.muzzy_decay_ms", slot->arena);
	(void)mallctl(name, NULL, NULL, &ms, sizeof ms);
}

/* Under slots_mutex. Returns false if there are too many arenas, or no memory. */
static bool make_arena(struct mfs__slot *slot)
{
	void *hooks = &slot->hooks;
	size_t size = sizeof slot->arena;

	atomic_store_explicit(&slot->ending, false, memory_order_relaxed);
	atomic_store_explicit(&slot->mapped, 0, memory_order_relaxed);
	if (mallctl("arenas.create", &slot->arena, &size, &hooks, sizeof hooks))
		return false;
	slot->without_cache = (int)(MFS__IN_ARENA(slot->arena) | MFS__WITHOUT_CACHE);
	slot->has_arena = true;
	atomic_fetch_add_explicit(&arenas, 1, memory_order_relaxed);
	set_decay(slot);
	return true;
}

/* Under slots_mutex. */
static struct mfs__slot *make_slot(void)
{
	uint32_t number = atomic_load_explicit(&slots_end, memory_order_relaxed);

	if (number == SLOTS_MAX)
		return NULL;
	struct mfs__slot *slot = mfs__alloc_immortal(_Alignof(struct mfs__slot), sizeof *slot);
	if (!slot)
		return NULL;
	memset(slot, 0, sizeof *slot);
	slot->hooks = hooks_of_slots;
	for (unsigned i = 0; i < MFS__STRIPES; i++)
		slot->cells[i].number = number;
	slots[number] = slot;
	/* pairs with mfs__arena_trim */
	atomic_store_explicit(&slots_end, number + 1, memory_order_release);
	return slot;
}

/* A workspace has grown: give it a slot. Returns NULL, to try again later, if there is none. */
static __attribute__((noinline)) struct mfs__slot *slot_for(struct mfs__arena *arena)
{
	pthread_mutex_lock(&slots_mutex);
	struct mfs__slot *slot = atomic_load_explicit(&arena->slot, memory_order_relaxed);
	if (!slot) {
		slot = free_slots;
		if (slot)
			free_slots = slot->next_free;
		else
			slot = make_slot();
		if (slot && !slot->has_arena && !make_arena(slot)) {
			slot->next_free = free_slots;
			free_slots = slot;
			slot = NULL;
		}
		atomic_store_explicit(&arena->bytes, 0, memory_order_relaxed);
		/* pairs with slot_of */
		atomic_store_explicit(&arena->slot, slot, memory_order_release);
	}
	pthread_mutex_unlock(&slots_mutex);
	return slot;
}

/* The slot that an arena's next block comes from. NULL: the process's memory. */
static inline struct mfs__slot *slot_of(struct mfs__arena *arena, size_t size)
{
	if (!arena)
		return NULL;
	/* pairs with slot_for */
	struct mfs__slot *slot = atomic_load_explicit(&arena->slot, memory_order_acquire);
	if (mfs__likely(slot != NULL))
		return slot;
	uint64_t bytes = atomic_fetch_add_explicit(&arena->bytes, size, memory_order_relaxed);
	return mfs__likely(bytes + size < OWN_BYTES) ? NULL : slot_for(arena);
}

static bool enter(struct mfs__cell *cell)
{
	/* pairs with leave */
	return !atomic_exchange_explicit(&cell->busy, true, memory_order_acquire);
}

static void leave(struct mfs__cell *cell)
{
	/* pairs with enter */
	atomic_store_explicit(&cell->busy, false, memory_order_release);
}

/* Under `busy`: see to what is rarely needed. Returns the flags to use. */
static __attribute__((noinline)) int prepare_cell(struct mfs__slot *slot, struct mfs__cell *cell)
{
	if (!cell->touched) {
		cell->touched = true;
		if (!atomic_exchange_explicit(&slot->dirty, true, memory_order_relaxed) &&
			!atomic_exchange_explicit(&has_idle, true, memory_order_relaxed))
			mfs__reclaim_nudge();
	}
	if (!cell->has_cache) {
		size_t size = sizeof cell->cache;
		if (++cell->uses < CACHE_AFTER)
			return slot->without_cache;
		if (mallctl("tcache.create", &cell->cache, &size, NULL, 0)) {
			cell->uses = -CACHE_AGAIN;
			return slot->without_cache;
		}
		cell->has_cache = true;
	}
	cell->flags = (int)(MFS__IN_ARENA(slot->arena) | MFS__WITH_CACHE(cell->cache));
	return cell->flags;
}

/* Under `busy`: what is in the cache goes back to the arenas that it belongs to. */
static void drop_cache(struct mfs__cell *cell)
{
	if (cell->has_cache)
		(void)mallctl("tcache.destroy", NULL, NULL, &cell->cache, sizeof cell->cache);
	cell->has_cache = false;
	cell->flags = 0;
	cell->uses = 0;
}

static inline int flags_for(struct mfs__slot *slot, struct mfs__cell *cell)
{
	return mfs__likely(cell->flags != 0) ? cell->flags : prepare_cell(slot, cell);
}

static inline struct mfs__cell *cell_of(struct mfs__slot *slot)
{
	return &slot->cells[mfs__stripe()];
}

static inline void slot_free(struct mfs__slot *slot, void *block, size_t size)
{
	struct mfs__cell *cell = cell_of(slot);

	mfs__alloc_count(-1);
	if (mfs__likely(enter(cell))) {
		sdallocx(block, size, flags_for(slot, cell));
		leave(cell);
	} else {
		sdallocx(block, size, slot->without_cache);
	}
}

struct mfs__arena *mfs__arena_init(struct mfs__arena *place)
{
	if (!MFS__HAVE_JEMALLOC || !atomic_load_explicit(&mfs__memory.arenas, memory_order_relaxed))
		return NULL;
	atomic_init(&place->slot, NULL);
	atomic_init(&place->bytes, 0);
	return place;
}

static inline void *slot_alloc(struct mfs__slot *slot, size_t size, uint32_t *number)
{
	struct mfs__cell *cell = cell_of(slot);
	void *block;

	if (mfs__alloc_must_fail())
		return NULL;
	*number = cell->number;
	if (mfs__likely(enter(cell))) {
		block = mallocx(size, flags_for(slot, cell));
		leave(cell);
	} else {
		block = mallocx(size, slot->without_cache);
	}
	if (block)
		mfs__alloc_count(1);
	return block;
}

void *mfs__arena_alloc_numbered(struct mfs__arena *arena, size_t size, uint32_t *number)
{
	struct mfs__slot *slot = slot_of(arena, size);

	if (mfs__likely(slot != NULL))
		return slot_alloc(slot, size, number);
	*number = 0;
	return mfs__alloc(size);
}

void *mfs__arena_alloc(struct mfs__arena *arena, size_t size)
{
	uint32_t number;

	return mfs__arena_alloc_numbered(arena, size, &number);
}

void *mfs__arena_realloc(struct mfs__arena *arena, void *block, size_t old_size, size_t new_size)
{
	struct mfs__slot *slot = slot_of(arena, new_size);
	void *moved;

	if (!slot)
		return mfs__realloc(block, old_size, new_size);
	if (mfs__alloc_must_fail())
		return NULL;
	struct mfs__cell *cell = cell_of(slot);
	if (mfs__likely(enter(cell))) {
		moved = rallocx(block, new_size, flags_for(slot, cell));
		leave(cell);
	} else {
		moved = rallocx(block, new_size, slot->without_cache);
	}
	return moved;
}

void mfs__arena_free(struct mfs__arena *arena, void *block, size_t size)
{
	/* Whoever has a block of the slot knows of the slot. */
	struct mfs__slot *slot =
		arena ? atomic_load_explicit(&arena->slot, memory_order_relaxed) : NULL;

	if (slot && block)
		slot_free(slot, block, size);
	else
		mfs__free(block, size);
}

void mfs__arena_free_numbered(uint32_t number, void *block, size_t size)
{
	if (number)
		slot_free(slots[number], block, size);
	else
		mfs__free(block, size);
}

void mfs__arena_batch_free(struct mfs__arena_batch *batch, uint32_t number, void *block,
						   size_t size)
{
	struct mfs__slot *slot = number ? slots[number] : NULL;

	if (mfs__unlikely(slot != batch->slot)) {
		mfs__arena_batch_end(batch);
		struct mfs__cell *cell = slot ? cell_of(slot) : NULL;
		if (cell && enter(cell))
			*batch = (struct mfs__arena_batch){slot, cell};
	}
	if (mfs__likely(slot && slot == batch->slot)) {
		mfs__alloc_count(-1);
		sdallocx(block, size, flags_for(slot, batch->cell));
	} else {
		mfs__arena_free_numbered(number, block, size);
	}
}

void mfs__arena_batch_end(struct mfs__arena_batch *batch)
{
	if (batch->cell)
		leave(batch->cell);
	*batch = (struct mfs__arena_batch){0};
}

/* Give back what the caches hold. Other threads may be freeing what was retired. */
static void drop_caches(struct mfs__slot *slot)
{
	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		struct mfs__cell *cell = &slot->cells[i];
		while (!enter(cell))
			sched_yield();
		drop_cache(cell);
		leave(cell);
	}
}

void mfs__arena_drop(struct mfs__arena *arena, bool at_once)
{
	struct mfs__slot *slot =
		arena ? atomic_load_explicit(&arena->slot, memory_order_relaxed) : NULL;

	if (!slot)
		return;
	if (at_once || atomic_load_explicit(&mfs__memory.idle_ns, memory_order_relaxed) == 0) {
		drop_caches(slot);
		tell(slot, "purge");
	}
	pthread_mutex_lock(&slots_mutex);
	slot->next_free = free_slots;
	free_slots = slot;
	pthread_mutex_unlock(&slots_mutex);
}

/* Under slots_mutex: nothing is left in the slot. */
static void destroy_arena(struct mfs__slot *slot)
{
	drop_caches(slot);
	atomic_store_explicit(&slot->ending, true, memory_order_relaxed);
	tell(slot, "destroy");
	slot->has_arena = false;
	atomic_store_explicit(&slot->dirty, false, memory_order_relaxed);
	atomic_fetch_sub_explicit(&arenas, 1, memory_order_relaxed);
}

/*
 * A slot that was left alone since the last time gives all back, another one what is old. Returns
 * true if it has to be looked after again.
 */
static bool trim_slot(struct mfs__slot *slot)
{
	bool touched = false;

	/* Before the cells are looked at: who comes to one after that sets it again. */
	atomic_store_explicit(&slot->dirty, false, memory_order_relaxed);
	for (unsigned i = 0; i < MFS__STRIPES; i++) {
		struct mfs__cell *cell = &slot->cells[i];
		if (!enter(cell)) {
			touched = true;
			continue;
		}
		touched |= cell->touched;
		if (!cell->touched)
			drop_cache(cell);
		cell->touched = false;
		cell->flags = 0;
		leave(cell);
	}
	if (touched)
		atomic_store_explicit(&slot->dirty, true, memory_order_relaxed);
	tell(slot, touched ? "decay" : "purge");
	return touched;
}

void mfs__arena_trim(bool all)
{
	bool more = false;

	if (!all && !mfs__arena_has_idle())
		return;
	/* Before the slots are looked at, likewise. */
	atomic_store_explicit(&has_idle, false, memory_order_relaxed);
	/* pairs with make_slot */
	uint32_t end = atomic_load_explicit(&slots_end, memory_order_acquire);
	for (uint32_t number = 1; number < end; number++) {
		struct mfs__slot *slot = slots[number];
		if (all) {
			pthread_mutex_lock(&slots_mutex);
			if (slot->has_arena)
				destroy_arena(slot);
			pthread_mutex_unlock(&slots_mutex);
		} else if (atomic_load_explicit(&slot->dirty, memory_order_relaxed)) {
			more |= trim_slot(slot);
		}
	}
	if (more)
		atomic_store_explicit(&has_idle, true, memory_order_relaxed);
}

void mfs__arena_configure(void)
{
	pthread_mutex_lock(&slots_mutex);
	uint32_t end = atomic_load_explicit(&slots_end, memory_order_relaxed);
	for (uint32_t number = 1; number < end; number++)
		if (slots[number]->has_arena)
			set_decay(slots[number]);
	pthread_mutex_unlock(&slots_mutex);
}

bool mfs__arena_has_idle(void)
{
	return atomic_load_explicit(&has_idle, memory_order_relaxed);
}

unsigned mfs__arena_count(void)
{
	return atomic_load_explicit(&arenas, memory_order_relaxed);
}

void mfs__arena_fork_prepare(void)
{
	pthread_mutex_lock(&slots_mutex);
}

void mfs__arena_fork_parent(void)
{
	pthread_mutex_unlock(&slots_mutex);
}

void mfs__arena_fork_child(void)
{
	uint32_t end = atomic_load_explicit(&slots_end, memory_order_relaxed);

	/* What a thread was at that the child does not have is in no fit state. Leave it behind. */
	for (uint32_t number = 1; number < end; number++) {
		for (unsigned i = 0; i < MFS__STRIPES; i++) {
			struct mfs__cell *cell = &slots[number]->cells[i];
			if (atomic_load_explicit(&cell->busy, memory_order_relaxed)) {
				cell->has_cache = false;
				cell->flags = 0;
				cell->uses = 0;
				atomic_store_explicit(&cell->busy, false, memory_order_relaxed);
			}
		}
	}
	pthread_mutex_unlock(&slots_mutex);
}
