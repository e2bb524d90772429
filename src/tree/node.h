/* SPDX-License-Identifier: MIT */
/*
 * The nodes of the tree, and how all hangs together.
 *
 *   mfs -- quota, node limit, options, counters                               (fs/filesystem.h)
 *    +-- root directory
 *
 *   directory -- mutex of its writers, seq, version, table
 *                                                      |
 *                                        table: 2^k slots --> bucket (immutable)
 *                                                             hashes[n], dentries[n]
 *                                                                           |
 *                                                             dentry (immutable): name --> node
 *   file -- fair rwlock, chunk list --> chunks
 *
 * Glossary
 *
 *   node       What a file and a directory have in common: reference counts, times, size. It is the
 *              last member of struct mfs__file and struct mfs__directory, so that it lies next to
 *              the dentry that follows: a stat touches both and nothing else.
 *   dentry     A name in a directory and the node it stands for. The first dentry of a node is in
 *              the same block of memory, behind it. A rename makes a new one in a block of its own
 *              (a loose dentry); the first one then stays unused until the node goes.
 *   bucket     An immutable array of dentries whose hashes fall into the same slot. Changed by
 *              publishing a changed copy.
 *   table      The slots of a directory. Replaced by one twice as large; the slots then share the
 *              old buckets until these are next copied.
 *   holder     A handle that has the file's lock from open to close.
 *   pin        A claim on a node's memory, nothing more.
 *   retire     To free after a grace period (base/reclaim.h).
 *
 *   block of a file:       [ struct mfs__file ... node ][ dentry, name ]
 *   block of a directory:  [ struct mfs__directory ... node ][ dentry, name ]
 *   block of a loose dentry:        [ struct mfs__retired ][ dentry, name ]
 */
#ifndef MFS_TREE_NODE_H
#define MFS_TREE_NODE_H

#include "base/fair_rwlock.h"
#include "base/rcu.h"
#include "base/reclaim.h"
#include "file/parallel.h"
#include "tree/path.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The word that decides whether a name may change or go: `hold`. Each decision is one
 * compare-and-swap.
 *
 *   HOLDER   handles that keep the file's lock. While there is one, the file can't be unlinked,
 *            renamed, or moved with a directory above it.
 *   MOVES    how often the file came to another path. Who wants to become a holder of what it has
 *            looked up notices by it that the file was moved in between.
 *   RENAMES  how often it got another name of its own. Equal to its dentry's number: the file
 *            still has that name.
 *   UNLINKED no name leads to the node any more. Final.
 *   CLAIMED  of a file: a call is about to give it another path, or to take its name away; to
 *            become a holder, wait until that is over. Of a directory: it is frozen, nobody but
 *            the claimer changes what is in it. Set under the directory's mutex, by whoever holds
 *            the tree's mutex of claims; the directory's mutex is then given back.
 *
 * MOVES and RENAMES wrap. That is safe: both are compared inside the read-side section in which the
 * file was looked up, and each change of them retires a dentry. Long before 2^20 of these could
 * wait for one section, who makes them is held back (base/reclaim.h).
 *
 * A directory has neither holders nor numbers; its word changes under its mutex only.
 */
#define MFS__HOLD_HOLDER   (UINT64_C(1) << 0)
#define MFS__HOLD_MOVE     (UINT64_C(1) << 18)
#define MFS__HOLD_RENAME   (UINT64_C(1) << 38)
#define MFS__HOLD_UNLINKED (UINT64_C(1) << 62)
#define MFS__HOLD_CLAIMED  (UINT64_C(1) << 63)
#define MFS__HOLD_HOLDERS  (MFS__HOLD_MOVE - MFS__HOLD_HOLDER)
#define MFS__HOLD_MOVES    (MFS__HOLD_RENAME - MFS__HOLD_MOVE)
#define MFS__HOLD_RENAMES  (MFS__HOLD_UNLINKED - MFS__HOLD_RENAME)

/*
 * The word that decides how long data and memory stay: `refs`.
 *
 *   SHARED   MFS_O_SHARED handles. They do not prevent unlinking; the data stays for them.
 *   PIN      claims on the memory: one for each shared handle, and for each call that works on the
 *            node outside a read-side section. (A holder needs none: its node stays in the tree.)
 *   UNLINKED as above, set right after it.
 *
 * UNLINKED and no SHARED: the data is freed, by whoever brings that about.
 * UNLINKED and no PIN: the node is retired, by whoever brings that about.
 */
#define MFS__REFS_SHARED   (UINT64_C(1) << 0)
#define MFS__REFS_PIN      (UINT64_C(1) << 28)
#define MFS__REFS_UNLINKED (UINT64_C(1) << 63)
#define MFS__REFS_SHARERS  (MFS__REFS_PIN - MFS__REFS_SHARED)
#define MFS__REFS_PINS     (MFS__REFS_UNLINKED - MFS__REFS_PIN)

struct mfs__dentry {
	/* Constant after creation. */
	struct mfs__node *node;
	uint32_t hash;
	uint32_t renames; /* of the node, when it got this name */
	uint8_t length;
	bool is_dir; /* as the node's, which would be one line of the cache more to read */
	char name[]; /* terminated */
};

struct mfs__node {
	/* Atomic, any thread: see above. */
	_Atomic uint64_t hold;
	_Atomic uint64_t refs;
	/* Constant after publication. */
	int64_t created_at;
	bool is_dir;
	/* MFS_STORAGE_...; under the file's exclusive lock. */
	uint8_t storage;
	/* Atomic: may capacity be unused? Set by writers, looked at when a handle is closed. */
	atomic_bool has_slack;
	/* Atomic: odd while the three below change. Changed under the file's exclusive lock, or the
	 * directory's mutex; read by anyone. */
	_Atomic uint32_t attributes_seq;
	_Atomic int64_t modified_at;
	_Atomic uint64_t size;
	_Atomic uint64_t generation;
};

struct mfs__file {
	struct mfs__retired retired;
	/* Shared: the data is read. Exclusive: data, size and chunk list change. */
	struct mfs__rwlock lock;
	struct mfs__chunk_list chunks; /* under lock */
	/* Atomic: what parallel calls need, or NULL. Changes with the lock held exclusively; read with
	 * the lock, or inside a read-side section. */
	_Atomic(struct mfs__parallel *) parallel;
	struct mfs__node node; /* last: the dentry follows */
};

struct mfs__table;

/** Room for a table of one slot. */
#define MFS__FIRST_TABLE_SIZE 32

struct mfs__directory {
	struct mfs__retired retired;
	/* Excludes writers: of the table, the counts, seq, version. */
	pthread_mutex_t mutex;
	/* Under the tree's mutex of claims once published. NULL: the root. */
	struct mfs__directory *parent;
	/* Atomic, changed under mutex: odd while a change of more than one slot is half done. Lookups
	 * compare it before and after. */
	_Atomic uint32_t seq;
	/* Atomic, changed under mutex: odd while any change is half done. Listings compare it. */
	_Atomic uint64_t version;
	/* Published, replaced under mutex. NULL: no names yet. */
	MFS__RCU(struct mfs__table) table;
	/* The first table, of one slot: a walk through small directories then has one line less to wait
	 * for in each. Private to tree/directory.c. */
	_Alignas(8) unsigned char first_table[MFS__FIRST_TABLE_SIZE];
	/* Atomic, changed under mutex: names, and their bytes with a NUL for each. */
	_Atomic uint64_t count;
	_Atomic uint64_t name_bytes;
	struct mfs__node node; /* last: the dentry follows */
};

static inline struct mfs__file *mfs__file_of(struct mfs__node *node)
{
	return mfs__container_of(node, struct mfs__file, node);
}

static inline struct mfs__directory *mfs__directory_of(struct mfs__node *node)
{
	return mfs__container_of(node, struct mfs__directory, node);
}

/** The dentry that shares the node's block. */
static inline struct mfs__dentry *mfs__first_dentry(struct mfs__node *node)
{
	return (struct mfs__dentry *)(node + 1);
}

/** A file without data, with its first dentry, referenced by nobody. Returns NULL without memory.
 */
struct mfs__file *mfs__file_new(struct mfs__arena *arena, const struct mfs__name *name,
								uint8_t storage, int64_t now);

/** An empty directory with its first dentry, referenced by nobody. Returns NULL without memory. */
struct mfs__directory *mfs__directory_new(struct mfs__arena *arena, const struct mfs__name *name,
										  struct mfs__directory *parent, int64_t now);

/** Free a node that was never published, or that no thread can reach; its data is gone already. */
void mfs__file_free(struct mfs__file *file);
void mfs__directory_free(struct mfs__directory *directory);

/** A dentry in a block of its own. Returns NULL without memory. */
struct mfs__dentry *mfs__dentry_new(struct mfs__arena *arena, const struct mfs__name *name,
									struct mfs__node *node, uint32_t renames);

/** Free a dentry that was never published. */
void mfs__dentry_free(struct mfs__dentry *dentry);

/** Retire a dentry that was taken out of its directory, unless it goes with its node. */
void mfs__dentry_retire(struct mfs__dentry *dentry);

/** Add to a node's `refs` unless it is unlinked. The caller is inside a read-side section or has a
 * pin. Returns false, and adds nothing, if it is. */
bool mfs__node_acquire(struct mfs__node *node, uint64_t counts);

/**
 * Become a holder of a file that was looked up, if it still is what the path led to: it has neither
 * got another name since (`renames` is its dentry's) nor was it moved with a directory above it
 * (*moves, the tree's count, is still `moves_seen`), nor is it unlinked or claimed. Inside the
 * read-side section of the lookup. Returns false, having changed nothing for any instant, if not.
 */
bool mfs__node_hold(struct mfs__node *node, uint32_t renames, const _Atomic uint64_t *moves,
					uint64_t moves_seen);

/** Has the node been removed? The caller is inside a read-side section or has a pin. */
static inline bool mfs__node_is_unlinked(struct mfs__node *node)
{
	return (atomic_load_explicit(&node->hold, memory_order_relaxed) & MFS__HOLD_UNLINKED) != 0;
}

/** Choose how inode numbers are made of addresses, once, before the first is asked for. */
void mfs__inode_numbers_init(void);

/** The number of mfs_info.inode. */
uint64_t mfs__node_inode(const struct mfs__node *node);

/** How often a file has got another name so far. */
static inline uint32_t mfs__node_renames(struct mfs__node *node)
{
	uint64_t hold = atomic_load_explicit(&node->hold, memory_order_relaxed);

	return (uint32_t)((hold & MFS__HOLD_RENAMES) / MFS__HOLD_RENAME);
}

/** Has a file still the name that it had with so many renames, and will it keep that for now? */
bool mfs__node_has_name(struct mfs__node *node, uint32_t renames, bool *claimed);

/** Stop being a holder. Wait-free; without a pin the node may be gone right after. */
void mfs__node_let_go(struct mfs__node *node);

/** Has the file as many holders as fit? */
bool mfs__node_is_crowded(struct mfs__node *node);

/**
 * Mark a node unlinked and pin it, unless it has a holder. The caller has the mutex of its
 * directory, or has claimed that, and takes the name out of it before giving that back. *shared
 * tells whether the data must stay for MFS_O_SHARED handles; if not, it is the caller's to free.
 * Returns false if there is a holder.
 */
bool mfs__node_unlink(struct mfs__node *node, bool *shared);

/** Claim a file, unless it has a holder. The caller has the mutex of its directory, or has claimed
 * that. Returns false if there is a holder. */
bool mfs__node_claim(struct mfs__node *node);

/** End a claim: the file stays as it was, or came to another path, or got another name. */
void mfs__node_unclaim(struct mfs__node *node);
void mfs__node_moved(struct mfs__node *node);
void mfs__node_renamed(struct mfs__node *node);

/**
 * Bytes of metadata that a node in the tree is charged under its present name: its block, that of
 * the name if it has one, and its share of the directory's table.
 *
 * A function of what does not change as long as the node has that name: what is given back is what
 * was charged, and nothing has to be counted to know it. So it leaves out what no name by itself
 * accounts for: a table stays large when names go, and after it has grown its slots share the old
 * buckets for a while.
 */
uint64_t mfs__node_charge(const struct mfs__dentry *dentry);

/** The same for a node that is still to be made, under its first name of so many bytes. */
uint64_t mfs__first_charge(bool is_dir, size_t length);

/** Add a pin, of a node that has one or that cannot go. */
static inline void mfs__node_pin(struct mfs__node *node)
{
	atomic_fetch_add_explicit(&node->refs, MFS__REFS_PIN, memory_order_relaxed);
}

/**
 * Take counts of `refs` back, a pin among them: the last pin of an unlinked node retires it. Its
 * data is gone by then.
 */
void mfs__node_release(struct mfs__node *node, uint64_t counts);

/** Size, times and generation as of one instant. */
struct mfs__attributes {
	uint64_t size;
	uint64_t generation;
	int64_t modified_at;
};

/**
 * Read them, with no lock, inside a read-side section; retries while a change of a few stores is
 * under way.
 */
struct mfs__attributes mfs__node_attributes(struct mfs__node *node);

/**
 * Give up what a file has for parallel calls, taking over what these have noted. The lock is held
 * exclusively, and no handle of such calls is open.
 */
void mfs__node_end_parallel(struct mfs__file *file);

/** Change size and time, and add to the generation. Under the file's lock, or the mutex. */
void mfs__node_modify(struct mfs__node *node, uint64_t size, unsigned generations);

/** Set the time of the last change. Under the file's exclusive lock, or the mutex. */
void mfs__node_set_modified(struct mfs__node *node, int64_t modified_at);

static inline uint64_t mfs__node_size(const struct mfs__node *node)
{
	return atomic_load_explicit(&node->size, memory_order_relaxed);
}

#endif
