/* SPDX-License-Identifier: MIT */
/*
 * rmtree: the tree is claimed, its name taken out of its parent, and then, when no new thread can
 * find it, its nodes are unlinked and retired one after the other. Threads that are still inside
 * read it as it was.
 */
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/namespace.h"
#include "tree/region.h"

/* Let the reclaimer keep up: so many nodes are retired between two looks at what waits for it. */
#define NODES_BETWEEN_LOOKS 1024

/* A tree that is being buried. */
struct burial {
	mfs *fs;
	struct mfs__region region;
	uint64_t bytes; /* of metadata, for the nodes whose names have been seen to */
	unsigned nodes; /* since the last look */
};

static bool bury_file(void *user, struct mfs__dentry *dentry)
{
	struct burial *burial = user;
	bool data_stays;

	burial->bytes += mfs__node_charge(dentry);
	/* A directory is buried when its turn comes, but its name goes with the table that it is in. */
	if (dentry->node->is_dir) {
		mfs__dentry_retire(dentry);
		return true;
	}
	(void)mfs__node_unlink(dentry->node, &data_stays); /* claimed: there is no holder */
	mfs__bury_node(burial->fs, dentry, data_stays);
	burial->nodes++;
	return true;
}

/* Unlink and retire all of a region that has no name any more. No lock is held. */
static void bury_region(struct burial *burial)
{
	mfs *fs = burial->fs;
	struct mfs__region *region = &burial->region;
	struct mfs__counters *counters = &fs->counters[mfs__stripe()];
	struct mfs__directory *next;
	bool ignored;

	for (struct mfs__directory *directory = region->first; directory; directory = next) {
		next = mfs__region_next(directory);
		/* First: who has it pinned, and sees it alive in a section, may follow its names there. */
		(void)mfs__node_unlink(&directory->node, &ignored);
		mfs__directory_each(directory, bury_file, burial);
		mfs__unpin(&directory->node);
		if (++burial->nodes >= NODES_BETWEEN_LOOKS) {
			/* Inside the gate, but with nothing locked: the reclaimer needs neither. */
			mfs__reclaim_throttle();
			burial->nodes = 0;
		}
	}
	mfs__count(&counters->files, -(int64_t)region->files);
	mfs__count(&counters->directories, -(int64_t)region->directories);
	mfs__nodes_release(fs, region->files + region->directories, burial->bytes);
}

/* With the directory's tree claimed: take its name out. Its parent and itself are pinned. */
static int detach(struct burial *burial, const struct mfs__lookup *found)
{
	mfs *fs = burial->fs;
	struct mfs__edit edit = {0};
	struct mfs__change change;

	if (!mfs__tree_lock(&fs->tree, found->parent, found->moves))
		return MFS__AGAIN;
	edit.out = mfs__directory_find_locked(found->parent, &found->leaf);
	int code = edit.out && edit.out->node == found->node ? 0 : MFS__AGAIN;
	if (!code)
		code = mfs__directory_prepare(fs->arena, found->parent, &edit, 1, &change);
	if (!code) {
		mfs__directory_commit(&change, 1);
		burial->bytes = mfs__node_charge(edit.out);
		mfs__dentry_retire(edit.out);
	}
	mfs__directory_unlock(found->parent);
	return code;
}

/* Claim and detach a directory. Its parent and itself are pinned. */
static int take_tree(struct burial *burial, const struct mfs__lookup *found)
{
	int code = mfs__region_claim(&burial->region, mfs__directory_of(found->node), true);

	if (code)
		return code == MFS_ENOENT ? MFS__AGAIN : code;
	mfs__yield("rmtree: claimed");
	code = detach(burial, found);
	if (code)
		mfs__region_release(&burial->region, false);
	return code;
}

/* Returns 0 with the region to be buried, or with nothing in it when a file was removed. */
static int try_rmtree(struct burial *burial, struct mfs__path *path, struct mfs__tries *tries)
{
	mfs *fs = burial->fs;
	struct mfs__entry entry;

	int code = mfs__entry_find(fs, path, tries, &entry);
	if (code)
		return code;
	if (!entry.directory) {
		mfs__entry_unpin(&entry);
		mfs__tries_end(tries);
		/* Meanwhile it may have become a directory. */
		code = mfs__remove(fs, path, 0);
		return code == MFS_ENOTEMPTY ? MFS__AGAIN : code;
	}
	mfs__tries_exclusive(tries);
	/* What is busy elsewhere by now must not count. */
	if (mfs__tree_has_moved(&fs->tree, entry.found.moves))
		code = MFS__AGAIN;
	else
		code = take_tree(burial, &entry.found);
	mfs__entry_unpin(&entry);
	return code;
}

int mfs_rmtree(mfs *fs, const char *path)
{
	struct mfs__path walked;
	struct burial burial = {.fs = fs};

	if (!fs || !path)
		return mfs__fail_path(MFS_EINVAL, "rmtree", path);
	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "rmtree", path);
	unsigned gate = mfs__gate_enter();
	struct mfs__tries tries = {.tree = &fs->tree};
	while ((code = try_rmtree(&burial, &walked, &tries)) == MFS__AGAIN)
		mfs__tries_again(&tries);
	mfs__tries_end(&tries);
	if (!code)
		bury_region(&burial);
	mfs__gate_leave(gate);
	mfs__path_end(&walked);
	mfs__call_end();
	return code ? mfs__fail_path(code, "rmtree", path) : 0;
}
