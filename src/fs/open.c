/* SPDX-License-Identifier: MIT */
/* Opening and closing files. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/file_data.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"

#include <sched.h>
#include <string.h>

/* What the mode string says. */
struct mode {
	const char *name;
	unsigned access; /* MFS__MODE_... */
	bool create;
	bool exclusive; /* the file must not exist */
	bool truncate;
};

static const struct mode modes[] = {
	{"rb", MFS__MODE_READ, false, false, false},
	{"wb", MFS__MODE_WRITE, true, false, true},
	{"ab", MFS__MODE_WRITE | MFS__MODE_APPEND, true, false, false},
	{"r+b", MFS__MODE_READ | MFS__MODE_WRITE, false, false, false},
	{"xb", MFS__MODE_WRITE, true, true, false},
};

/* An open on its way. */
struct opening {
	mfs *fs;
	const struct mode *mode;
	bool shared;
	uint64_t preallocate;
	int64_t timeout;  /* of the public interface */
	int64_t deadline; /* set when the file's lock is first waited for */
	bool has_deadline;
	unsigned gate;
	uint32_t renames;           /* of the file that was found, when it got the name */
	struct mfs__handle *handle; /* taken, not open yet */
};

static const struct mode *parse_mode(const char *name)
{
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	return NULL;
}

static bool wants_write_lock(const struct opening *o)
{
	return (o->mode->access & MFS__MODE_WRITE) != 0;
}

/* What the handle adds to the file's counts. */
static uint64_t counts_of(bool shared)
{
	return MFS__REFS_PIN + (shared ? MFS__REFS_SHARED : MFS__REFS_HOLDER);
}

static void fill_handle(struct opening *o, struct mfs__file *file)
{
	struct mfs__handle *handle = o->handle;

	handle->fs = o->fs;
	handle->file = file;
	handle->lock_timeout = o->timeout;
	handle->mode = o->mode->access | (o->shared ? MFS__MODE_SHARED : 0);
	handle->position = 0;
}

/*
 * Make the file that the path's last component stands for, locked for the handle before anybody can
 * find it. The caller has pinned the parent.
 */
static int create(struct opening *o, struct mfs__directory *parent, const struct mfs__name *leaf,
				  struct mfs__file **out)
{
	mfs *fs = o->fs;
	struct mfs__slot_change change = {0};
	int code = 0;

	struct mfs__file *file = mfs__file_new(leaf, fs->default_storage, mfs__timestamp());
	if (!file)
		return MFS_ENOMEM;
	atomic_init(&file->node.refs, counts_of(o->shared));
	if (!o->shared)
		(void)mfs__rwlock_try_write(&file->lock);
	if (o->preallocate) {
		code = mfs__file_extend(fs, file, o->preallocate);
		if (code)
			goto free_file;
	}
	mfs__yield("create: about to lock");
	if (!mfs__directory_lock(parent)) {
		code = MFS__AGAIN;
		goto free_file;
	}
	if (mfs__directory_find_locked(parent, leaf)) {
		code = MFS__AGAIN;
		goto unlock;
	}
	mfs__directory_make_room(parent);
	code = mfs__directory_prepare(parent, NULL, NULL, mfs__first_dentry(&file->node), &change);
	if (code)
		goto unlock;
	/* Last, so that nothing is reserved for a file that is not made after all. */
	code = mfs__nodes_reserve(fs, 1);
	if (code) {
		mfs__directory_abandon(&change);
		goto unlock;
	}
	mfs__directory_commit(&change);
	mfs__directory_unlock(parent);
	mfs__count(&fs->counters[mfs__stripe()].files, 1);
	*out = file;
	return 0;

unlock:
	mfs__directory_unlock(parent);
free_file:
	mfs__file_drop_data(fs, file);
	mfs__file_free(file);
	return code;
}

/*
 * Wait for a file's lock, outside the gate. The caller has pinned the file. Returns 0 with the
 * lock, MFS_EBUSY, or MFS_ETIMEDOUT.
 */
static int wait_for_lock(struct opening *o, struct mfs__file *file)
{
	struct mfs__rwlock_waiter waiter;

	if (o->timeout == MFS_NO_WAIT)
		return MFS_EBUSY;
	if (!o->has_deadline) {
		o->deadline = mfs__deadline(o->timeout);
		o->has_deadline = true;
	}
	mfs__gate_leave(o->gate);
	bool locked = mfs__rwlock_wait(&file->lock, wants_write_lock(o), o->deadline, &waiter);
	o->gate = mfs__gate_enter();
	if (!locked)
		return MFS_ETIMEDOUT;
	/* Inside the gate a fork cannot come between this and what makes the lock the handle's. */
	mfs__rwlock_wait_done(&waiter);
	return 0;
}

/*
 * The file's lock is taken: count in as a holder. Unless the file was removed, or got another name
 * after it was looked up: from now on neither can happen.
 */
static bool count_in(struct opening *o, struct mfs__node *node, uint64_t counts)
{
	if (!mfs__node_acquire(node, counts, true))
		return false;
	if (mfs__likely(atomic_load_explicit(&node->renames, memory_order_relaxed) == o->renames))
		return true;
	mfs__node_release(node, counts);
	return false;
}

/*
 * Become a holder of a file that exists: take its lock, count in, be sure that it still is what the
 * path names. Called inside a read-side section, returns outside of it.
 */
static int hold(struct opening *o, struct mfs__file *file)
{
	struct mfs__node *node = &file->node;
	bool exclusive = wants_write_lock(o);

	mfs__yield("open: found");
	if (mfs__rwlock_try(&file->lock, exclusive)) {
		bool held = count_in(o, node, counts_of(false));
		if (!held)
			mfs__rwlock_unlock(&file->lock, exclusive);
		mfs__rcu_unlock();
		return held ? 0 : MFS__AGAIN;
	}
	bool pinned = mfs__node_acquire(node, MFS__REFS_PIN, false);
	mfs__rcu_unlock();
	if (!pinned)
		return MFS__AGAIN;
	mfs__yield("open: about to wait");
	int code = wait_for_lock(o, file);
	if (!code && !count_in(o, node, MFS__REFS_HOLDER)) {
		mfs__rwlock_unlock(&file->lock, exclusive);
		code = MFS__AGAIN;
	}
	if (code)
		mfs__node_release(node, MFS__REFS_PIN);
	return code;
}

/*
 * Give back what nobody uses at the end of a written file, if nobody is at it: otherwise who closes
 * it next does.
 */
static void trim_if_idle(mfs *fs, struct mfs__file *file)
{
	if (!atomic_load_explicit(&file->node.has_slack, memory_order_relaxed) ||
		!mfs__rwlock_try_write(&file->lock))
		return;
	mfs__file_trim(fs, file);
	mfs__rwlock_unlock_write(&file->lock);
}

/* Undo what open has done: lock and counts, and what a writer has left unused. */
static void let_go(struct mfs *fs, struct mfs__file *file, bool shared, bool exclusive)
{
	struct mfs__node *node = &file->node;

	if (!shared)
		mfs__rwlock_unlock(&file->lock, exclusive);
	trim_if_idle(fs, file);
	if (!shared) {
		mfs__node_release(node, counts_of(false));
		return;
	}
	/* pairs with mfs__node_acquire and mfs__node_release: the data is freed after all use of it */
	uint64_t refs = atomic_fetch_sub_explicit(&node->refs, MFS__REFS_SHARED, memory_order_acq_rel) -
					MFS__REFS_SHARED;
	if ((refs & MFS__REFS_UNLINKED) && !(refs & MFS__REFS_SHARERS))
		mfs__file_drop_data(fs, file);
	mfs__node_release(node, MFS__REFS_PIN);
}

/* Empty the file and extend it, as mode and options say. The file's lock is held. */
static int prepare_data(struct opening *o, struct mfs__file *file)
{
	if (o->mode->truncate)
		return mfs__file_replace_by_zeros(o->fs, file, o->preallocate);
	if (o->preallocate > mfs__node_size(&file->node))
		return mfs__file_extend(o->fs, file, o->preallocate);
	return 0;
}

/* Open a pinned file for a shared handle, which has to be emptied or extended first. */
static int change_shared(struct opening *o, struct mfs__file *file)
{
	int code = mfs__rwlock_try_write(&file->lock) ? 0 : wait_for_lock(o, file);

	if (!code) {
		if (!mfs__node_acquire(&file->node, MFS__REFS_SHARED, false))
			code = MFS__AGAIN;
		else
			code = prepare_data(o, file);
		mfs__rwlock_unlock_write(&file->lock);
		if (code && code != MFS__AGAIN) {
			let_go(o->fs, file, true, false);
			return code;
		}
	}
	if (code)
		mfs__node_release(&file->node, MFS__REFS_PIN);
	return code;
}

/*
 * Open a file that exists. Called inside a read-side section, returns outside of it.
 */
static int open_existing(struct opening *o, struct mfs__file *file)
{
	bool exclusive = wants_write_lock(o);

	if (mfs__node_is_crowded(&file->node)) {
		mfs__rcu_unlock();
		return MFS_EMFILE;
	}
	if (!o->shared) {
		int code = hold(o, file);
		if (code)
			return code;
		code = prepare_data(o, file);
		if (code)
			let_go(o->fs, file, false, exclusive);
		return code;
	}
	bool changes_data = o->mode->truncate || o->preallocate;
	bool counted =
		mfs__node_acquire(&file->node, changes_data ? MFS__REFS_PIN : counts_of(true), false);
	mfs__rcu_unlock();
	if (!counted)
		return MFS__AGAIN;
	return changes_data ? change_shared(o, file) : 0;
}

/* One look at the path, and what follows from it. */
static int try_open(struct opening *o, struct mfs__path *path)
{
	struct mfs__lookup found;
	struct mfs__file *file;

	mfs__rcu_lock();
	int code = mfs__lookup(o->fs->root, path, &found, true);
	if (code)
		goto unlock;
	if (found.node && (o->mode->exclusive || found.node->is_dir)) {
		code = o->mode->exclusive ? MFS_EEXIST : MFS_EISDIR;
		goto unlock;
	}
	if (found.node) {
		file = mfs__file_of(found.node);
		o->renames = found.renames;
		code = open_existing(o, file);
	} else if (o->mode->create) {
		bool pinned = mfs__node_acquire(&found.parent->node, MFS__REFS_PIN, false);
		mfs__rcu_unlock();
		if (!pinned)
			return MFS__AGAIN; /* the parent is about to go */
		code = create(o, found.parent, &found.leaf, &file);
		mfs__node_release(&found.parent->node, MFS__REFS_PIN);
	} else {
		code = MFS_ENOENT;
		goto unlock;
	}
	if (!code)
		fill_handle(o, file);
	return code;

unlock:
	mfs__rcu_unlock();
	return code;
}

static int check_options(const mfs_open_options *options, const struct mode *mode)
{
	if (options->flags & ~(unsigned)MFS_O_SHARED)
		return mfs__fail(MFS_EINVAL, "flags of mfs_open_options");
	if (options->reserved)
		return mfs__fail(MFS_EINVAL, "reserved of mfs_open_options");
	if (!mfs__timeout_is_valid(options->lock_timeout))
		return mfs__fail(MFS_EINVAL, "lock_timeout of mfs_open_options");
	if (options->preallocate < 0 || (options->preallocate && !(mode->access & MFS__MODE_WRITE)))
		return mfs__fail(MFS_EINVAL, "preallocate of mfs_open_options");
	return 0;
}

int mfs_open_ex(mfs *fs, const char *path, const char *mode, const mfs_open_options *options,
				mfs_file **out)
{
	mfs_open_options given;
	struct mfs__path walked;

	if (out)
		*out = NULL;
	if (!fs || !path || !mode || !out)
		return mfs__fail(MFS_EINVAL, "mfs_open: NULL");
	struct opening o = {.fs = fs, .mode = parse_mode(mode)};
	if (!o.mode)
		return mfs__fail(MFS_EINVAL, "mfs_open: mode is none of rb, wb, ab, r+b, xb");
	o.timeout = fs->default_lock_timeout;
	if (options) {
		if (!mfs__options_copy(&given, sizeof given, sizeof given, options))
			return mfs__fail(MFS_EINVAL, "struct_size of mfs_open_options");
		int fault = check_options(&given, o.mode);
		if (fault)
			return fault;
		o.shared = (given.flags & MFS_O_SHARED) != 0;
		o.preallocate = (uint64_t)given.preallocate;
		if (given.lock_timeout)
			o.timeout = given.lock_timeout;
	}

	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, "open", path);
	o.gate = mfs__gate_enter();
	code = mfs__handle_take(&o.handle);
	if (!code) {
		while ((code = try_open(&o, &walked)) == MFS__AGAIN)
			sched_yield(); /* a rename or a remove of the file is at work */
		if (!code) {
			mfs__count(&fs->counters[mfs__stripe()].handles, 1);
			*out = mfs__handle_open(o.handle);
		} else {
			mfs__handle_give(o.handle);
		}
	}
	mfs__gate_leave(o.gate);
	mfs__path_end(&walked);
	mfs__reclaim_throttle();
	/* A limit's refusal has been noted with its numbers. */
	if (code && !mfs_is_quota_error(code))
		(void)mfs__fail_path(code, "open", path);
	return code;
}

int mfs_open(mfs *fs, const char *path, const char *mode, mfs_file **out)
{
	return mfs_open_ex(fs, path, mode, NULL, out);
}

int mfs_close(mfs_file *file)
{
	if (!file)
		return 0;
	unsigned gate = mfs__gate_enter();
	struct mfs__handle *handle = mfs__handle_lock(file, true);
	if (!handle) {
		mfs__gate_leave(gate);
		return MFS_EBADF;
	}
	mfs *fs = handle->fs;
	struct mfs__file *data = handle->file;
	bool shared = (handle->mode & MFS__MODE_SHARED) != 0;
	bool exclusive = (handle->mode & MFS__MODE_WRITE) != 0;
	atomic_store_explicit(&handle->id, 0, memory_order_relaxed);
	mfs__handle_unlock(handle, true);
	mfs__handle_give(handle);

	if (!shared && exclusive)
		mfs__file_trim(fs, data);
	let_go(fs, data, shared, exclusive);
	mfs__count(&fs->counters[mfs__stripe()].handles, -1);
	mfs__gate_leave(gate);
	mfs__reclaim_throttle();
	return 0;
}
