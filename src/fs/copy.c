/* SPDX-License-Identifier: MIT */
/* copy and copy_tree: new names, the same chunks. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/file_data.h"
#include "fs/lock_wait.h"
#include "fs/namespace.h"
#include "tree/file_lock.h"
#include "tree/region.h"

/* What a copied file begins with. */
#define GENERATION_OF_COPY 1
#define GENERATION_IN_TREE 0

/* A copy on its way. */
struct copying {
	mfs *fs;
	struct mfs__path *from_path;
	struct mfs__path *to_path;
	bool is_tree;
	bool to_is_at_fault; /* for the message */
	struct mfs__tries tries;
	struct mfs__lock_wait wait;
	unsigned gate;
	struct mfs__lookup from; /* the node is pinned; the parent too for a file */
	struct mfs__lookup to;   /* the parent is pinned */
	struct mfs__region region;
	struct mfs__file *busy; /* a file of the region whose lock was not to be had, pinned */
};

/*
 * Finding
 */

/* Inside a section: find what is to be copied, and pin it. A file's data stays, too. */
static int find_from(struct copying *c)
{
	int code = mfs__lookup(&c->fs->tree, c->from_path, &c->from, mfs__tries_mode(&c->tries));

	if (code)
		return code;
	if (!c->from.node)
		return MFS_ENOENT;
	if (!c->from.parent)
		return c->is_tree ? MFS_EINVAL : MFS_EISDIR;
	if (c->from.node->is_dir != c->is_tree)
		return c->is_tree ? MFS_ENOTDIR : MFS_EISDIR;
	if (!mfs__pin(&c->from.parent->node))
		return MFS__AGAIN;
	uint64_t counts = MFS__REFS_PIN + (c->is_tree ? 0 : MFS__REFS_SHARED);
	if (!mfs__node_acquire(c->from.node, counts)) {
		mfs__unpin(&c->from.parent->node);
		return MFS__AGAIN;
	}
	return 0;
}

static void unpin_from(struct copying *c)
{
	if (c->is_tree)
		mfs__unpin(c->from.node);
	else
		mfs__file_unshare(c->fs, mfs__file_of(c->from.node));
	mfs__unpin(&c->from.parent->node);
}

static int find_to(struct copying *c)
{
	c->to_is_at_fault = true;
	int code = mfs__lookup(&c->fs->tree, c->to_path, &c->to, mfs__tries_mode(&c->tries));
	if (code)
		return code;
	if (c->to.moves != c->from.moves)
		return MFS__AGAIN;
	if (c->is_tree && c->tries.exclusive && c->to.parent &&
		mfs__tree_is_below(c->to.parent, mfs__directory_of(c->from.node)))
		return MFS_EINVAL;
	if (c->to.node)
		return MFS_EEXIST;
	return mfs__pin(&c->to.parent->node) ? 0 : MFS__AGAIN;
}

static int find_both(struct copying *c)
{
	c->to_is_at_fault = false;
	mfs__rcu_lock();
	int code = find_from(c);
	if (code) {
		mfs__rcu_unlock();
		return code;
	}
	code = find_to(c);
	mfs__rcu_unlock();
	if (code)
		unpin_from(c);
	else
		c->to_is_at_fault = false;
	return code;
}

/*
 * Putting the copy in its place
 */

/* With the parent locked; so many nodes come, which take so many bytes of metadata. */
static int insert(struct copying *c, struct mfs__node *copy, uint64_t nodes, uint64_t bytes)
{
	struct mfs__edit edit = {.in = mfs__first_dentry(copy)};
	struct mfs__change change;

	if (mfs__directory_find_locked(c->to.parent, &c->to.leaf)) {
		c->to_is_at_fault = true;
		return MFS_EEXIST;
	}
	int code = mfs__directory_prepare(c->fs->arena, c->to.parent, &edit, 1, &change);
	if (code)
		return code;
	code = mfs__nodes_reserve(c->fs, nodes, bytes);
	if (code)
		mfs__directory_abandon(&change);
	else
		mfs__directory_commit(&change, 1);
	return code;
}

/*
 * A file
 */

/* With the file's lock: share its chunks with a new file, and insert that. */
static int copy_locked(struct copying *c, struct mfs__file *file)
{
	mfs *fs = c->fs;
	struct mfs__file *copy =
		mfs__file_new(fs->arena, &c->to.leaf, fs->default_storage, mfs__timestamp());

	if (!copy)
		return MFS_ENOMEM;
	int code = mfs__file_clone(fs, file, copy, GENERATION_OF_COPY);
	if (code)
		goto free_copy;
	mfs__yield("copy: cloned");
	code = MFS__AGAIN;
	if (mfs__tree_lock_pair(&fs->tree, c->from.parent, c->to.parent, c->from.moves)) {
		struct mfs__dentry *dentry = mfs__directory_find_locked(c->from.parent, &c->from.leaf);
		/* Otherwise the file got another name: the path names something else now. */
		if (dentry && dentry->node == &file->node)
			code = insert(c, &copy->node, 1, mfs__node_charge(mfs__first_dentry(&copy->node)));
		mfs__directory_unlock_pair(c->from.parent, c->to.parent);
	}
	if (!code) {
		mfs__count(&fs->counters[mfs__stripe()].files, 1);
		return 0;
	}
	mfs__file_drop_data(fs, copy);
free_copy:
	mfs__file_free(copy);
	return code;
}

static int try_copy(struct copying *c)
{
	int code = find_both(c);

	if (code)
		return code;
	struct mfs__file *file = mfs__file_of(c->from.node);
	if (!mfs__file_try(file, false)) {
		mfs__tries_end(&c->tries); /* nothing waits with the mutex of claims */
		code = mfs__lock_wait(&c->wait, file, false, &c->gate);
	}
	if (!code) {
		code = copy_locked(c, file);
		mfs__file_unlock(file, false);
	}
	mfs__unpin(&c->to.parent->node);
	unpin_from(c);
	return code;
}

/*
 * A tree
 */

/* Files whose locks are taken, up to one that is not to be had; or given back, up to that one. */
struct locking {
	struct mfs__file *busy;
};

static bool lock_file(void *user, struct mfs__dentry *dentry)
{
	struct locking *locking = user;

	if (dentry->node->is_dir)
		return true;
	struct mfs__file *file = mfs__file_of(dentry->node);
	if (mfs__file_try(file, false))
		return true;
	locking->busy = file;
	return false;
}

static bool unlock_file(void *user, struct mfs__dentry *dentry)
{
	struct locking *locking = user;

	if (dentry->node->is_dir)
		return true;
	struct mfs__file *file = mfs__file_of(dentry->node);
	if (file == locking->busy)
		return false;
	mfs__file_unlock(file, false);
	return true;
}

static void unlock_files(struct mfs__region *region, struct mfs__directory *last,
						 struct mfs__file *busy)
{
	for (struct mfs__directory *directory = region->first; directory;
		 directory = directory == last ? NULL : mfs__region_next(directory)) {
		struct locking locking = {directory == last ? busy : NULL};
		mfs__directory_each(directory, unlock_file, &locking);
	}
}

/* Take all files' locks at once, so that the copy is of one instant. Returns false with `busy`. */
static bool lock_files(struct copying *c)
{
	struct locking locking = {NULL};

	for (struct mfs__directory *directory = c->region.first; directory;
		 directory = mfs__region_next(directory)) {
		mfs__directory_each(directory, lock_file, &locking);
		if (locking.busy) {
			mfs__node_pin(&locking.busy->node);
			c->busy = locking.busy;
			unlock_files(&c->region, directory, locking.busy);
			return false;
		}
	}
	return true;
}

/* A tree that is being cloned, one directory after the other. */
struct cloning {
	mfs *fs;
	struct mfs__directory *into; /* the copy of the directory that is visited */
	struct mfs__directory *last; /* the latest copy of a directory, whose turn comes last */
	uint64_t bytes;              /* of metadata, for what has been cloned */
	int code;
};

static struct mfs__node *clone_node(struct cloning *cloning, const struct mfs__name *name,
									struct mfs__node *node)
{
	int64_t now = mfs__timestamp();

	if (node->is_dir) {
		struct mfs__directory *copy =
			mfs__directory_new(cloning->fs->arena, name, cloning->into, now);
		cloning->code = copy ? 0 : MFS_ENOMEM;
		return copy ? &copy->node : NULL;
	}
	struct mfs__file *copy = mfs__file_new(cloning->fs->arena, name, node->storage, now);
	cloning->code = copy
						? mfs__file_clone(cloning->fs, mfs__file_of(node), copy, GENERATION_IN_TREE)
						: MFS_ENOMEM;
	if (cloning->code && copy)
		mfs__file_free(copy);
	return cloning->code ? NULL : &copy->node;
}

static bool clone_child(void *user, struct mfs__dentry *dentry)
{
	struct cloning *cloning = user;
	struct mfs__name name = {dentry->name, dentry->length, dentry->hash};

	struct mfs__node *copy = clone_node(cloning, &name, dentry->node);
	if (!copy)
		return false;
	cloning->code = mfs__directory_add(cloning->fs->arena, cloning->into, mfs__first_dentry(copy));
	if (cloning->code) {
		if (copy->is_dir) {
			mfs__directory_free(mfs__directory_of(copy));
		} else {
			mfs__file_drop_data(cloning->fs, mfs__file_of(copy));
			mfs__file_free(mfs__file_of(copy));
		}
		return false;
	}
	cloning->bytes += mfs__node_charge(mfs__first_dentry(copy));
	if (copy->is_dir) {
		/* The copies are linked in the order in which the region's directories are. */
		cloning->last->retired.next = &mfs__directory_of(copy)->retired;
		cloning->last = mfs__directory_of(copy);
		cloning->last->retired.next = NULL;
	}
	return true;
}

/* Build the copy of a region whose files are locked, where nobody sees it. */
static int clone_region(struct copying *c, struct mfs__directory **out, uint64_t *bytes)
{
	struct mfs__directory *top =
		mfs__directory_new(c->fs->arena, &c->to.leaf, c->to.parent, mfs__timestamp());
	struct cloning cloning = {.fs = c->fs, .into = top, .last = top};

	if (!top)
		return MFS_ENOMEM;
	top->retired.next = NULL;
	for (struct mfs__directory *directory = c->region.first; directory;
		 directory = mfs__region_next(directory)) {
		mfs__directory_each(directory, clone_child, &cloning);
		if (cloning.code) {
			mfs__tree_free(c->fs, top);
			return cloning.code;
		}
		cloning.into = mfs__region_next(cloning.into);
	}
	*out = top;
	*bytes = cloning.bytes + mfs__node_charge(mfs__first_dentry(&top->node));
	return 0;
}

/* With the region claimed and its files locked. */
static int copy_region(struct copying *c)
{
	mfs *fs = c->fs;
	struct mfs__directory *top = NULL;
	uint64_t bytes = 0;
	struct mfs__counters *counters = &fs->counters[mfs__stripe()];

	int code = clone_region(c, &top, &bytes);
	if (code)
		return code;
	mfs__yield("copy_tree: cloned");
	code = MFS__AGAIN;
	if (mfs__tree_lock(&fs->tree, c->to.parent, c->to.moves)) {
		code = insert(c, &top->node, c->region.files + c->region.directories, bytes);
		mfs__directory_unlock(c->to.parent);
	}
	if (code) {
		mfs__tree_free(fs, top);
		return code;
	}
	mfs__count(&counters->files, (int64_t)c->region.files);
	mfs__count(&counters->directories, (int64_t)c->region.directories);
	return 0;
}

/* Wait until a file that was busy is free once, with nothing held. */
static int wait_for_busy(struct copying *c)
{
	struct mfs__file *file = c->busy;

	mfs__tries_end(&c->tries);
	int code = mfs__lock_wait(&c->wait, file, false, &c->gate);
	if (!code)
		mfs__file_unlock(file, false);
	mfs__unpin(&file->node);
	c->busy = NULL;
	return code ? code : MFS__AGAIN;
}

static int try_copy_tree(struct copying *c)
{
	mfs__tries_exclusive(&c->tries);
	int code = find_both(c);
	if (code)
		return code;
	code = mfs__region_claim(&c->region, mfs__directory_of(c->from.node), false);
	if (code) {
		code = MFS__AGAIN; /* it has been removed */
	} else {
		if (lock_files(c)) {
			code = copy_region(c);
			unlock_files(&c->region, NULL, NULL);
		}
		mfs__region_release(&c->region, false);
	}
	mfs__unpin(&c->to.parent->node);
	unpin_from(c);
	return c->busy ? wait_for_busy(c) : code;
}

/*
 * Both
 */

static int copy_paths(mfs *fs, const char *call, const char *from, const char *to, bool is_tree)
{
	struct mfs__path walked_from;
	struct mfs__path walked_to;

	if (!fs || !from || !to)
		return mfs__fail_path(MFS_EINVAL, call, from);
	int code = mfs__path_begin(&walked_from, from);
	if (code)
		return mfs__fail_path(code, call, from);
	code = mfs__path_begin(&walked_to, to);
	if (code)
		return mfs__fail_path(code, call, to);
	struct copying c = {.fs = fs,
						.from_path = &walked_from,
						.to_path = &walked_to,
						.is_tree = is_tree,
						.tries = {.tree = &fs->tree},
						.wait = {.timeout = fs->default_lock_timeout}};
	c.gate = mfs__gate_enter();
	while ((code = is_tree ? try_copy_tree(&c) : try_copy(&c)) == MFS__AGAIN)
		mfs__tries_again(&c.tries);
	mfs__tries_end(&c.tries);
	mfs__gate_leave(c.gate);
	mfs__path_end(&walked_from);
	mfs__path_end(&walked_to);
	mfs__call_end();
	if (code && !mfs__is_limit_error(code))
		(void)mfs__fail_path(code, call, c.to_is_at_fault ? to : from);
	return code;
}

int mfs_copy(mfs *fs, const char *from, const char *to)
{
	return copy_paths(fs, "copy", from, to, false);
}

int mfs_copy_tree(mfs *fs, const char *from, const char *to)
{
	return copy_paths(fs, "copy_tree", from, to, true);
}
