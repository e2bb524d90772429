/* SPDX-License-Identifier: MIT */
/*
 * The memory of one workspace.
 *
 * Where the process has jemalloc, a workspace that has taken a mebibyte gets an arena of jemalloc
 * for itself. What it frees then lies together and goes back to the system, whatever others keep.
 * Until then, and elsewhere, its memory is the process's (base/alloc.h): a small workspace costs
 * nothing.
 *
 *   arena   of a workspace, as long as that lives; at most it leads to a slot
 *   slot    an arena of jemalloc; a few in the process, which stay and are used in turn
 *   cell    a cache of the slot's for the threads of one stripe, which one thread uses at a time
 *
 *   A1  A block may be freed through the slot that it came from or through a later one of its
 *       workspace, and what came from no slot may be freed through one: jemalloc finds the arena
 *       that it belongs to. But what came from a slot must go through one. The cache of a thread
 *       would hand it to anyone, and the slot's memory could never go.
 *   A2  Objects that are retired may outlive their workspace. Each knows its slot by number, and a
 *       slot stays; if it serves another workspace by then, nothing is wrong with that.
 *   A3  Every block is freed, one by one. So no arena of jemalloc goes with blocks in it: that is
 *       done when no workspace is left and nothing is retired.
 *
 * Locks: a cell is only tried. The mutex of the slots is taken with a file or directory locked, and
 * nothing but the allocator comes after it.
 */
#ifndef MFS_BASE_ARENA_H
#define MFS_BASE_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs__slot;
struct mfs__cell;

struct mfs__arena {
	/* Atomic, set once, under the mutex of the slots. NULL: no slot yet. */
	_Atomic(struct mfs__slot *) slot;
	/* Atomic, any thread: taken from the process's memory in all, while there is no slot. */
	_Atomic uint64_t bytes;
};

/**
 * Begin a workspace's memory in `place`. Returns `place`, or NULL if the process's memory is to
 * serve: every function here takes that for an arena.
 */
struct mfs__arena *mfs__arena_init(struct mfs__arena *place);

/**
 * End it, when all its blocks are freed or retired. The memory goes back to the system: at once, or
 * if nobody has used it for a while.
 */
void mfs__arena_drop(struct mfs__arena *arena, bool at_once);

/** mfs__alloc(), mfs__realloc() and mfs__free() in an arena. */
void *mfs__arena_alloc(struct mfs__arena *arena, size_t size);
void *mfs__arena_realloc(struct mfs__arena *arena, void *block, size_t old_size, size_t new_size);
void mfs__arena_free(struct mfs__arena *arena, void *block, size_t size);

/** The same for blocks that are freed without their arena: by the number of a slot. */
void *mfs__arena_alloc_numbered(struct mfs__arena *arena, size_t size, uint32_t *number);
void mfs__arena_free_numbered(uint32_t number, void *block, size_t size);

/** For freeing many of these in a row. All zeros: none yet. Not to be kept: others cannot use the
 * cell until it ends. */
struct mfs__arena_batch {
	struct mfs__slot *slot; /* of the last block, if its cell is entered */
	struct mfs__cell *cell;
};

void mfs__arena_batch_free(struct mfs__arena_batch *batch, uint32_t number, void *block,
						   size_t size);
void mfs__arena_batch_end(struct mfs__arena_batch *batch);

/**
 * Give memory that is idle for long back to the system; with `all`, whatever slots have, when no
 * block of any workspace is left. By one thread at a time.
 */
void mfs__arena_trim(bool all);

/** Have the slots follow a change of base/memory.h. */
void mfs__arena_configure(void);

/** Is there memory that mfs__arena_trim() may give back, now or later? A hint. */
bool mfs__arena_has_idle(void);

/** Arenas of jemalloc that exist. For tests. */
unsigned mfs__arena_count(void);

/** To be called before fork() and after it, in parent and child. */
void mfs__arena_fork_prepare(void);
void mfs__arena_fork_parent(void);
void mfs__arena_fork_child(void);

#endif
