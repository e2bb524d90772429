/* SPDX-License-Identifier: MIT */
/*
 * rename and move, of files and of directories, plain, replacing and exchanging: one algorithm.
 *
 *   1  Look both paths up, at the same state of the tree's directories; pin what is found.
 *   2  If a directory moves: take the mutex of claims and look again. Refuse a move into itself.
 *   3  Claim the directories that move, all below them, and each file there: MFS_EBUSY if a handle
 *      holds one. From now on nobody can become a holder there, nor change a name.
 *   4  Lock the two parents, look the names up again, and decide.
 *   5  Prepare the changes, claim the files that get another name: all that can fail.
 *   6  Commit: for lookups at one instant.
 *   7  Unlock, end the claims, bury what was replaced.
 */
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/namespace.h"
#include "fs/node.h"
#include "tree/region.h"

/* One of the two ends. */
struct place {
	struct mfs__lookup found;         /* the parent is pinned */
	struct mfs__directory *directory; /* what was found there, pinned, if it is a directory */
	struct mfs__node *file;           /* likewise a file, for an exchange that needs claims */
	uint32_t renames;                 /* of the file, when it was found */
	struct mfs__region region;        /* of that directory, if it moves */
	struct mfs__dentry *dentry;       /* what is there now: once the parents are locked */
	struct mfs__dentry *next;         /* what will be there, in a block of its own */
};

struct renaming {
	mfs *fs;
	struct mfs__node *from_start; /* of the paths, pinned; NULL: the root */
	struct mfs__node *to_start;
	struct mfs__path from_path;
	struct mfs__path to_path;
	unsigned flags;
	bool makes_parents;
	bool to_is_at_fault; /* for the message */
	struct mfs__tries tries;
	struct place from;
	struct place to;
	struct mfs__path_cursor rest; /* of the destination, behind the first name that is missing */
	struct mfs__chain chain;      /* parents that are missing, and were built */
	bool replaced_is_claimed;     /* a directory that is to be replaced */
	bool replaced_data_stays;
	int64_t growth; /* bytes of metadata that it all takes more than before; once prepared */
	struct mfs__change changes[3]; /* chain, parent of `from`, parent of `to` if another one */
};

static bool exchanges(const struct renaming *r)
{
	return (r->flags & MFS_RENAME_EXCHANGE) != 0;
}

static bool replaces(const struct renaming *r)
{
	return (r->flags & MFS_RENAME_REPLACE) != 0;
}

/* Does a directory get another path? */
static bool moves_directory(const struct renaming *r)
{
	return r->from.directory || (exchanges(r) && r->to.directory);
}

/*
 * Finding
 */

/* Inside a section: pin what a lookup has found. */
static int pin_place(const struct renaming *r, struct place *place)
{
	struct mfs__node *node = place->found.node;

	if (!mfs__pin(&place->found.parent->node))
		return MFS__AGAIN;
	if (!node || !(node->is_dir || (exchanges(r) && r->tries.exclusive)))
		return 0;
	if (!mfs__pin(node)) {
		mfs__unpin(&place->found.parent->node);
		return MFS__AGAIN;
	}
	if (node->is_dir) {
		place->directory = mfs__directory_of(node);
	} else {
		place->file = node;
		place->renames = place->found.dentry->renames;
	}
	return 0;
}

static void unpin_place(struct place *place)
{
	if (place->directory)
		mfs__unpin(&place->directory->node);
	if (place->file)
		mfs__unpin(place->file);
	mfs__unpin(&place->found.parent->node);
	*place = (struct place){0};
}

static int find_from(struct renaming *r)
{
	int code = mfs__lookup(&r->fs->tree, &r->from_path, &r->from.found, mfs__tries_mode(&r->tries));

	if (code)
		return code;
	if (!r->from.found.parent)
		return MFS_EINVAL; /* the root */
	return r->from.found.node ? pin_place(r, &r->from) : MFS_ENOENT;
}

static int find_to(struct renaming *r)
{
	enum mfs__lookup_mode mode = mfs__tries_mode(&r->tries);
	struct mfs__lookup *found = &r->to.found;

	r->to_is_at_fault = true;
	int code = r->makes_parents
				   ? mfs__lookup_missing(&r->fs->tree, &r->to_path, found, &r->rest, mode)
				   : mfs__lookup(&r->fs->tree, &r->to_path, found, mode);
	if (code)
		return code;
	if (!found->parent)
		return MFS_EINVAL;
	return found->moves == r->from.found.moves ? pin_place(r, &r->to) : MFS__AGAIN;
}

/*
 * With the mutex of claims: is a directory in a tree that is being removed? Only paths that start
 * at a node lead there. It may be alive itself, when those above are gone already.
 */
static bool is_being_removed(const struct mfs__directory *directory)
{
	return (atomic_load_explicit(&directory->node.hold, memory_order_relaxed) &
			MFS__HOLD_CLAIMED) != 0;
}

/* With the mutex of claims: would a directory come below itself? */
static int check_ancestors(struct renaming *r)
{
	if (is_being_removed(r->from.found.parent) || is_being_removed(r->to.found.parent))
		return MFS__AGAIN;
	if (r->from.directory && mfs__tree_is_below(r->to.found.parent, r->from.directory))
		return MFS_EINVAL;
	r->to_is_at_fault = false;
	/* It was found in a section that may have ended since. If it is alive, so are those above. */
	if (mfs__directory_is_dead(r->from.found.parent))
		return MFS__AGAIN;
	if (r->to.directory && mfs__tree_is_below(r->from.found.parent, r->to.directory))
		return exchanges(r) ? MFS_EINVAL : replaces(r) ? MFS_ENOTEMPTY : MFS_EEXIST;
	return 0;
}

/* Find and pin both places. Both paths are walked in one section, and what the first found is
 * pinned at once, as the second walk may have to leave the section. */
static int find_places(struct renaming *r)
{
	mfs__rcu_lock();
	int code = find_from(r);
	if (code) {
		r->from = (struct place){0};
		goto out;
	}
	code = find_to(r);
	if (code) {
		r->to = (struct place){0};
		unpin_place(&r->from);
		goto out;
	}
	if (r->tries.exclusive && moves_directory(r))
		code = check_ancestors(r);
	else
		r->to_is_at_fault = false;
	if (code) {
		unpin_place(&r->to);
		unpin_place(&r->from);
	}
out:
	mfs__rcu_unlock();
	return code;
}

/*
 * Claiming
 */

static void release_claims(struct renaming *r, bool moved)
{
	if (r->from.region.first)
		mfs__region_release(&r->from.region, moved);
	if (r->to.region.first)
		mfs__region_release(&r->to.region, moved);
	if (r->replaced_is_claimed)
		mfs__directory_unclaim(r->to.directory);
	r->replaced_is_claimed = false;
}

/* A claimed directory keeps its name. Did the file at the other end keep its own until now? */
static bool file_is_there(struct place *place)
{
	bool is_claimed;

	return !place->file ||
		   (mfs__node_has_name(place->file, place->renames, &is_claimed) && !is_claimed);
}

/* Claim the directories that move, and one that is to be replaced. */
static int claim_directories(struct renaming *r)
{
	int code = 0;

	if (r->from.directory)
		code = mfs__region_claim(&r->from.region, r->from.directory, true);
	if (!code && r->to.directory) {
		r->to_is_at_fault = true;
		if (exchanges(r)) {
			code = mfs__region_claim(&r->to.region, r->to.directory, true);
		} else if (replaces(r)) {
			r->replaced_is_claimed = mfs__directory_claim(r->to.directory);
			if (!r->replaced_is_claimed)
				code = MFS_ENOENT;
		}
		r->to_is_at_fault = code == MFS_EBUSY;
	}
	if (code)
		release_claims(r, false);
	/* A handle is no reason for a refusal if what was to be exchanged had gone before it came. */
	if (code == MFS_EBUSY && !file_is_there(&r->from))
		return MFS__AGAIN;
	/* A directory that was removed meanwhile: another lookup tells what is there now. */
	return code == MFS_ENOENT ? MFS__AGAIN : code;
}

/*
 * With both parents locked
 */

/* What is at a place now? Returns false if a directory came or went since the lookup. */
static bool look_again(struct place *place)
{
	place->dentry = mfs__directory_find_locked(place->found.parent, &place->found.leaf);
	struct mfs__node *node = place->dentry ? place->dentry->node : NULL;
	if (place->directory)
		return node == &place->directory->node;
	return !node || !node->is_dir;
}

/* May this rename be? */
static int check(struct renaming *r)
{
	if (!look_again(&r->from) || !look_again(&r->to))
		return MFS__AGAIN;
	if (!r->from.dentry)
		return MFS_ENOENT;
	if (r->to.dentry && r->rest.next != r->rest.end)
		return MFS__AGAIN; /* a parent that was missing has come */
	if (r->from.dentry == r->to.dentry)
		return r->flags ? 0 : MFS_EEXIST;
	r->to_is_at_fault = true;
	if (!r->to.dentry)
		return exchanges(r) ? MFS_ENOENT : 0;
	if (!r->flags)
		return MFS_EEXIST;
	if (exchanges(r))
		return 0;
	if (!r->from.directory)
		return r->to.directory ? MFS_EISDIR : 0;
	if (!r->to.directory)
		return MFS_ENOTDIR;
	return atomic_load_explicit(&r->to.directory->count, memory_order_relaxed) ? MFS_ENOTEMPTY : 0;
}

/* The parents that are missing are all of the rest but its last name. */
static int build_parents(struct renaming *r, struct mfs__name *leaf)
{
	struct mfs__path_cursor cursor = r->rest;
	struct mfs__path_cursor parents = r->rest;
	struct mfs__name name;

	*leaf = r->to.found.leaf;
	r->chain = (struct mfs__chain){0};
	if (cursor.next == cursor.end || mfs__path_next(&cursor, &name) != MFS__PATH_NAME)
		return 0;
	do {
		*leaf = name;
		parents.end = name.text;
	} while (mfs__path_next(&cursor, &name) == MFS__PATH_NAME);
	return mfs__chain_build(r->fs, r->to.found.parent, &r->to.found.leaf, parents, &r->chain);
}

/* Prepare the parents' changes; the names that will be there are made. */
static int prepare_parents(struct renaming *r)
{
	struct mfs__directory *from = r->from.found.parent;
	struct mfs__directory *to = r->to.found.parent;
	struct mfs__dentry *comes = r->chain.top ? mfs__first_dentry(&r->chain.top->node) : r->to.next;
	struct mfs__edit edits[4] = {{.out = r->from.dentry}};
	size_t count = 1;
	int code = 0;

	if (r->from.next)
		edits[count++].in = r->from.next;
	if (from != to) {
		code = mfs__directory_prepare(r->fs->arena, from, edits, count, &r->changes[1]);
		count = 0;
	}
	edits[count++] = (struct mfs__edit){.in = comes};
	if (r->to.dentry)
		edits[count++] = (struct mfs__edit){.out = r->to.dentry};
	if (!code)
		code =
			mfs__directory_prepare(r->fs->arena, to, edits, count, &r->changes[from == to ? 1 : 2]);
	return code;
}

/* How much more, or less, will be charged for what is named here? */
static int64_t find_growth(const struct renaming *r)
{
	uint64_t before = mfs__node_charge(r->from.dentry);
	uint64_t after = mfs__node_charge(r->to.next) + r->chain.bytes;

	if (r->to.dentry)
		before += mfs__node_charge(r->to.dentry);
	if (r->from.next)
		after += mfs__node_charge(r->from.next);
	return (int64_t)(after - before);
}

static int prepare(struct renaming *r)
{
	struct mfs__name leaf;

	int code = build_parents(r, &leaf);
	if (code)
		return code;
	r->to.next =
		mfs__dentry_new(r->fs->arena, &leaf, r->from.dentry->node, r->from.dentry->renames + 1);
	if (exchanges(r))
		r->from.next = mfs__dentry_new(r->fs->arena, &r->from.found.leaf, r->to.dentry->node,
									   r->to.dentry->renames + 1);
	if (!r->to.next || (exchanges(r) && !r->from.next))
		return MFS_ENOMEM;
	r->growth = find_growth(r);
	if (r->chain.top) {
		struct mfs__edit edit = {.in = r->to.next};
		code = mfs__directory_prepare(r->fs->arena, r->chain.last, &edit, 1, &r->changes[0]);
	}
	return code ? code : prepare_parents(r);
}

static void abandon(struct renaming *r)
{
	for (size_t i = 0; i < 3; i++)
		mfs__directory_abandon(&r->changes[i]);
	mfs__dentry_free(r->to.next);
	mfs__dentry_free(r->from.next);
	if (r->chain.top)
		mfs__tree_free(r->fs, r->chain.top);
	r->to.next = r->from.next = NULL;
	r->chain = (struct mfs__chain){0};
}

/*
 * Reserve what new parents and new names take. One file at the other end, if it is exchanged, is
 * claimed.
 */
static int reserve(struct renaming *r, struct mfs__node *exchanged)
{
	int code = mfs__nodes_reserve(r->fs, r->chain.count, r->growth > 0 ? (uint64_t)r->growth : 0);

	if (code && exchanged && !exchanged->is_dir)
		mfs__node_unclaim(exchanged);
	return code;
}

/*
 * The last that can fail: see to it that no handle comes in between, and that there may be new
 * parents and names. What is replaced is unlinked last of all, as that is final; it frees more than
 * its name takes anew, so that then nothing is reserved.
 */
static int claim_names(struct renaming *r)
{
	struct mfs__node *from = r->from.dentry->node;
	struct mfs__node *to = r->to.dentry ? r->to.dentry->node : NULL;
	int code = 0;

	r->to_is_at_fault = false;
	if (!from->is_dir && !mfs__node_claim(from))
		return MFS_EBUSY;
	r->to_is_at_fault = true;
	if (to && !exchanges(r))
		code = mfs__node_unlink(to, &r->replaced_data_stays) ? 0 : MFS_EBUSY;
	else if (to && !to->is_dir && !mfs__node_claim(to))
		code = MFS_EBUSY;
	else
		code = reserve(r, to);
	if (code && !from->is_dir)
		mfs__node_unclaim(from);
	return code;
}

/* A node is at its new place. */
static void arrive(struct mfs__node *node, struct mfs__dentry *old, struct mfs__directory *parent)
{
	if (node->is_dir)
		mfs__directory_of(node)->parent = parent;
	else
		mfs__node_renamed(node);
	/* Now, not later: without the mutex the node may be removed, and the old name with it. */
	mfs__dentry_retire(old);
}

static void commit(struct renaming *r)
{
	bool moves = moves_directory(r);

	if (r->chain.top) {
		/* Nobody can find the new parents yet. Once they can, the file must not be removed or
		 * claimed by others before its claim here has ended. */
		mfs__directory_lock_unseen(r->chain.last);
		mfs__directory_commit(&r->changes[0], 1);
	}
	if (moves)
		mfs__tree_begin_move(&r->fs->tree);
	mfs__directory_commit(&r->changes[1], 2);
	mfs__yield("rename: published");
	arrive(r->from.dentry->node, r->from.dentry, r->chain.top ? r->chain.last : r->to.found.parent);
	if (exchanges(r))
		arrive(r->to.dentry->node, r->to.dentry, r->from.found.parent);
	if (moves)
		mfs__tree_end_move(&r->fs->tree);
	if (r->chain.top)
		mfs__directory_unlock(r->chain.last);
}

/* Returns 0 with the change committed, or with nothing to do: `from.next` and `to.next` NULL. */
static int rename_locked(struct renaming *r)
{
	int code = check(r);

	if (code || r->from.dentry == r->to.dentry)
		return code;
	code = prepare(r);
	if (!code)
		code = claim_names(r);
	if (code) {
		abandon(r);
		return code;
	}
	commit(r);
	return 0;
}

/*
 * The whole
 */

/* Both places are found and pinned, directories that move are claimed. */
static int rename_claimed(struct renaming *r)
{
	struct mfs__directory *from = r->from.found.parent;
	struct mfs__directory *to = r->to.found.parent;

	mfs__yield("rename: about to lock");
	if (!mfs__tree_lock_pair(&r->fs->tree, from, to, r->from.found.moves)) {
		release_claims(r, false);
		return MFS__AGAIN;
	}
	int code = rename_locked(r);
	mfs__directory_unlock_pair(from, to);
	bool done = !code && r->to.next;
	uint64_t freed = done && r->growth < 0 ? (uint64_t)-r->growth : 0;
	if (done && r->chain.count)
		mfs__count(&r->fs->counters[mfs__stripe()].directories, (int64_t)r->chain.count);
	if (done && r->to.dentry && replaces(r)) {
		r->replaced_is_claimed = false; /* it has gone, and stays claimed */
		mfs__bury(r->fs, r->to.dentry, r->replaced_data_stays, freed);
	} else if (freed) {
		mfs__nodes_release(r->fs, 0, freed);
	}
	release_claims(r, done);
	return code;
}

static int try_rename(struct renaming *r)
{
	int code = find_places(r);

	if (code)
		return code;
	if (r->from.directory && r->from.directory == r->to.directory) {
		/* It is at both paths, so they are one, and nothing moves: handles below do not matter. */
		code = r->flags ? 0 : MFS_EEXIST;
		goto unpin;
	}
	if (moves_directory(r)) {
		if (r->tries.exclusive) {
			code = claim_directories(r);
		} else {
			mfs__tries_exclusive(&r->tries);
			code = MFS__AGAIN;
		}
	}
	if (!code)
		code = rename_claimed(r);
unpin:
	unpin_place(&r->to);
	unpin_place(&r->from);
	return code;
}

static int rename_paths(struct renaming *r, const char *call, const char *from, const char *to)
{
	int code = mfs__path_begin(&r->from_path, from);
	if (code)
		return mfs__fail_path(code, call, from);
	code = mfs__path_begin(&r->to_path, to);
	if (code)
		return mfs__fail_path(code, call, to);
	r->from_path.start = r->from_start;
	r->to_path.start = r->to_start;
	r->tries.tree = &r->fs->tree;
	unsigned gate = mfs__gate_enter();
	while ((code = try_rename(r)) == MFS__AGAIN)
		mfs__tries_again(&r->tries); /* another call is at work there, or the claims are wanted */
	mfs__tries_end(&r->tries);
	mfs__gate_leave(gate);
	mfs__path_end(&r->from_path);
	mfs__path_end(&r->to_path);
	mfs__call_end();
	if (code && !mfs__is_limit_error(code))
		(void)mfs__fail_path(code, call, r->to_is_at_fault ? to : from);
	return code;
}

static bool rename_flags_are_valid(unsigned flags)
{
	const unsigned both = MFS_RENAME_REPLACE | MFS_RENAME_EXCHANGE;

	return !(flags & ~both) && flags != both;
}

int mfs_rename(mfs *fs, const char *from, const char *to, unsigned flags)
{
	if (!fs || !from || !to || !rename_flags_are_valid(flags))
		return mfs__fail_path(MFS_EINVAL, "rename", from);
	struct renaming r = {.fs = fs, .flags = flags};
	return rename_paths(&r, "rename", from, to);
}

int mfs_rename_at(mfs_node *from_base, const char *from, mfs_node *to_base, const char *to,
				  unsigned flags)
{
	if (!from_base || !from || !to_base || !to || !rename_flags_are_valid(flags) ||
		from_base->fs != to_base->fs)
		return mfs__fail_path(MFS_EINVAL, "rename", from);
	struct renaming r = {
		.fs = from_base->fs,
		.from_start = from_base->node,
		.to_start = to_base->node,
		.flags = flags,
	};
	return rename_paths(&r, "rename", from, to);
}

int mfs_move(mfs *fs, const char *from, const char *to, unsigned flags)
{
	if (!fs || !from || !to || (flags & ~(unsigned)MFS_RENAME_REPLACE))
		return mfs__fail_path(MFS_EINVAL, "move", from);
	struct renaming r = {.fs = fs, .flags = flags, .makes_parents = true};
	return rename_paths(&r, "move", from, to);
}
