/* SPDX-License-Identifier: MIT */
/* Opening and closing files. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/file_data.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"
#include "fs/import.h"
#include "fs/lock_wait.h"
#include "fs/node.h"
#include "tree/file_lock.h"

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
	{"w+b", MFS__MODE_READ | MFS__MODE_WRITE, true, false, true},
	{"a+b", MFS__MODE_READ | MFS__MODE_WRITE | MFS__MODE_APPEND, true, false, false},
	{"x+b", MFS__MODE_READ | MFS__MODE_WRITE, true, true, false},
};

/* So often a file whose lock is held is looked up while directories move; then it is given back. */
#define COUNT_IN_TRIES 64

/* An open on its way. */
struct opening {
	mfs *fs;
	struct mfs_import *import; /* not NULL: of a file that is being imported */
	const struct mode *mode;
	bool shared;
	uint64_t preallocate;
	struct mfs__spender by;
	struct mfs__lock_wait wait;
	unsigned gate;
	struct mfs__tries tries;
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

/* What an MFS_O_SHARED handle adds to the file's counts. */
#define SHARED_COUNTS (MFS__REFS_SHARED + MFS__REFS_PIN)

static void fill_handle(struct opening *o, struct mfs__file *file)
{
	struct mfs__handle *handle = o->handle;

	handle->fs = o->fs;
	handle->file = file;
	handle->lock_timeout = o->wait.timeout;
	handle->space_timeout = o->by.timeout;
	handle->reservation = o->by.payer.reservation;
	handle->import = o->import;
	handle->mode = o->mode->access | (o->shared ? MFS__MODE_SHARED : 0);
	handle->position = 0;
	handle->reserved = 0;
}

/* What it drew on a reservation goes back there. */
static void free_new_file(struct opening *o, struct mfs__file *file)
{
	struct mfs__chunk_account account = mfs__account(&o->by);

	mfs__chunks_shrink(&file->chunks, &account, 0);
	mfs__file_free(file);
}

/* Make a file that nobody can find yet, locked for the handle. */
static int new_file(struct opening *o, const struct mfs__name *name, struct mfs__file **out)
{
	mfs *fs = o->fs;

	struct mfs__file *file = mfs__file_new(fs->arena, name, fs->default_storage, mfs__timestamp());
	if (!file)
		return MFS_ENOMEM;
	if (o->shared) {
		atomic_init(&file->node.refs, SHARED_COUNTS);
	} else {
		atomic_init(&file->node.hold, MFS__HOLD_HOLDER);
		(void)mfs__rwlock_try_write(&file->lock);
	}
	int code = o->preallocate ? mfs__file_extend(&o->by, file, o->preallocate) : 0;
	if (code) {
		free_new_file(o, file);
		return code;
	}
	*out = file;
	return 0;
}

/* Make the file that the path's last component stands for. The caller has pinned the parent. */
static int create(struct opening *o, const struct mfs__lookup *found, struct mfs__file **out)
{
	mfs *fs = o->fs;
	struct mfs__directory *parent = found->parent;
	struct mfs__change change;
	struct mfs__file *file;

	int code = new_file(o, &found->leaf, &file);
	if (code)
		return code;
	mfs__yield("create: about to lock");
	if (!mfs__tree_lock(&fs->tree, parent, found->moves)) {
		code = MFS__AGAIN;
		goto free_file;
	}
	if (mfs__directory_find_locked(parent, &found->leaf)) {
		code = MFS__AGAIN;
		goto unlock;
	}
	struct mfs__edit edit = {.in = mfs__first_dentry(&file->node)};
	code = mfs__directory_prepare(fs->arena, parent, &edit, 1, &change);
	if (code)
		goto unlock;
	/* Last, so that nothing is reserved for a file that is not made after all. Nobody waits for it.
	 */
	o->by.payer.missing = 0;
	code = mfs__nodes_reserve(fs, 1, mfs__node_charge(edit.in));
	if (code) {
		mfs__directory_abandon(&change);
		goto unlock;
	}
	mfs__directory_commit(&change, 1);
	mfs__directory_unlock(parent);
	mfs__count(&fs->counters[mfs__stripe()].files, 1);
	*out = file;
	return 0;

unlock:
	mfs__directory_unlock(parent);
free_file:
	free_new_file(o, file);
	return code;
}

/* Inside the section in which the file was found: count in, with the file's lock held. */
static bool count_in(struct opening *o, struct mfs__file *file, const struct mfs__lookup *found)
{
	/* Without a dentry it was not found by a name: whichever it has now will do. */
	uint32_t renames = found->dentry ? found->dentry->renames : mfs__node_renames(&file->node);

	return mfs__node_hold(&file->node, renames, &o->fs->tree.moves, found->moves);
}

/*
 * The file's lock was waited for, and is held: count in, if the path still leads to this file. As
 * directories elsewhere may have moved meanwhile, the path is looked up again, with the lock kept.
 */
static int count_in_late(struct opening *o, struct mfs__file *file, struct mfs__path *path)
{
	struct mfs__lookup found;
	bool held = false;

	mfs__rcu_lock();
	for (unsigned tries = 0; !held && tries < COUNT_IN_TRIES; tries++) {
		if (mfs__lookup(&o->fs->tree, path, &found, MFS__LOOKUP_GATED) || found.node != &file->node)
			break;
		held = o->shared ? mfs__node_acquire(&file->node, MFS__REFS_SHARED)
						 : count_in(o, file, &found);
	}
	mfs__rcu_unlock();
	return held ? 0 : MFS__AGAIN;
}

/*
 * Become a holder of a file that exists: take its lock, count in. Called inside the section in
 * which it was found, returns outside of it.
 */
static int hold(struct opening *o, struct mfs__path *path, const struct mfs__lookup *found)
{
	struct mfs__file *file = mfs__file_of(found->node);
	bool exclusive = wants_write_lock(o);

	mfs__yield("open: found");
	if (mfs__file_try(file, exclusive)) {
		bool held = count_in(o, file, found);
		if (!held)
			mfs__file_unlock(file, exclusive);
		mfs__rcu_unlock();
		return held ? 0 : MFS__AGAIN;
	}
	bool pinned = mfs__node_acquire(&file->node, MFS__REFS_PIN);
	mfs__rcu_unlock();
	if (!pinned)
		return MFS__AGAIN;
	mfs__tries_end(&o->tries); /* nothing waits with the mutex of claims */
	mfs__yield("open: about to wait");
	int code = mfs__lock_wait(&o->wait, file, exclusive, &o->gate);
	if (!code) {
		code = count_in_late(o, file, path);
		if (code)
			mfs__file_unlock(file, exclusive);
	}
	mfs__node_release(&file->node, MFS__REFS_PIN);
	return code;
}

/*
 * Give back what nobody uses at the end of a written file, and what only parallel calls use, if
 * nobody is at it: otherwise who closes it next does. The caller has one of the SHARED counts.
 */
static void tidy_if_idle(struct mfs__spender *by, struct mfs__file *file)
{
	struct mfs__node *node = &file->node;
	bool has_slack = atomic_load_explicit(&node->has_slack, memory_order_relaxed);
	bool parallel = atomic_load_explicit(&file->parallel, memory_order_relaxed) != NULL;

	if ((!has_slack && !parallel) || !mfs__file_try(file, true))
		return;
	mfs__file_trim(by, file);
	/* Counted with the lock: parallel calls of handles that come now find none, or a closed one. */
	uint64_t refs = atomic_load_explicit(&node->refs, memory_order_relaxed);
	if (parallel && (refs & MFS__REFS_SHARERS) == MFS__REFS_SHARED &&
		atomic_load_explicit(&file->parallel, memory_order_relaxed))
		mfs__node_end_parallel(file);
	mfs__file_unlock(file, true);
}

/*
 * Undo what open has done: lock and counts, and what a writer has left unused.
 *
 * A holder is counted out before the lock goes to the next one: that one's handle may have come and
 * gone before this thread gets on, and then nobody holds the file. The pin is for unlocking, which
 * touches the lock when it is the next owner's already.
 */
static void let_go(struct mfs__spender *by, struct mfs__file *file, bool shared, bool exclusive)
{
	struct mfs__node *node = &file->node;

	if (!shared) {
		mfs__node_pin(node);
		mfs__node_let_go(node);
		mfs__yield("close: counted out");
		mfs__file_unlock(file, exclusive);
		/* A writer has trimmed the file itself. After shared writers, a reader does it. */
		if (mfs__likely(!atomic_load_explicit(&node->has_slack, memory_order_relaxed)) ||
			!mfs__node_acquire(node, MFS__REFS_SHARED)) {
			mfs__node_release(node, MFS__REFS_PIN);
			return;
		}
	}
	tidy_if_idle(by, file);
	mfs__file_unshare(by->fs, file);
}

/* Empty the file and extend it, as mode and options say. The file's lock is held. */
static int prepare_data(struct opening *o, struct mfs__file *file)
{
	if (o->mode->truncate)
		return mfs__file_replace_by_zeros(&o->by, file, o->preallocate);
	if (o->preallocate > mfs__node_size(&file->node))
		return mfs__file_extend(&o->by, file, o->preallocate);
	return 0;
}

/* Open a pinned file for a shared handle, which has to be emptied or extended first. */
static int change_shared(struct opening *o, struct mfs__path *path, struct mfs__file *file)
{
	int code = mfs__file_try(file, true) ? 0 : mfs__lock_wait(&o->wait, file, true, &o->gate);

	if (!code) {
		/* It must not be emptied under another name. */
		code = count_in_late(o, file, path);
		if (!code)
			code = prepare_data(o, file);
		mfs__file_unlock(file, true);
		if (code && code != MFS__AGAIN) {
			let_go(&o->by, file, true, false);
			return code;
		}
	}
	if (code)
		mfs__node_release(&file->node, MFS__REFS_PIN);
	return code;
}

/*
 * Open a file that exists. Called inside the section in which it was found, returns outside of it.
 */
static int open_existing(struct opening *o, struct mfs__path *path, const struct mfs__lookup *found)
{
	struct mfs__file *file = mfs__file_of(found->node);
	bool exclusive = wants_write_lock(o);

	if (!o->shared) {
		if (mfs__node_is_crowded(&file->node)) {
			mfs__rcu_unlock();
			return MFS_EMFILE;
		}
		int code = hold(o, path, found);
		if (code)
			return code;
		code = prepare_data(o, file);
		if (code)
			let_go(&o->by, file, false, exclusive);
		return code;
	}
	bool changes_data = o->mode->truncate || o->preallocate;
	bool counted = mfs__node_acquire(&file->node, changes_data ? MFS__REFS_PIN : SHARED_COUNTS);
	mfs__rcu_unlock();
	if (!counted)
		return MFS__AGAIN;
	if (!changes_data)
		return 0;
	mfs__tries_end(&o->tries);
	return change_shared(o, path, file);
}

/* One look at the path, and what follows from it. */
static int try_open(struct opening *o, struct mfs__path *path)
{
	struct mfs__lookup found;
	struct mfs__file *file = NULL;

	mfs__rcu_lock();
	int code = mfs__lookup(&o->fs->tree, path, &found,
						   o->tries.exclusive ? MFS__LOOKUP_EXCLUSIVE : MFS__LOOKUP_GATED);
	if (code)
		goto unlock;
	if (found.node && (o->mode->exclusive || found.node->is_dir)) {
		code = o->mode->exclusive ? MFS_EEXIST : MFS_EISDIR;
		goto unlock;
	}
	if (found.node) {
		file = mfs__file_of(found.node);
		code = open_existing(o, path, &found);
	} else if (o->mode->create) {
		bool pinned = mfs__node_acquire(&found.parent->node, MFS__REFS_PIN);
		mfs__rcu_unlock();
		if (!pinned)
			return MFS__AGAIN; /* the parent is about to go */
		code = create(o, &found, &file);
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

/* Find the file in the workspace, or make it there. */
static int open_in_tree(struct opening *o, struct mfs__path *path)
{
	int code;

	o->tries = (struct mfs__tries){.tree = &o->fs->tree};
	while ((code = try_open(o, path)) == MFS__AGAIN)
		mfs__tries_again(&o->tries); /* another call is at work there */
	mfs__tries_end(&o->tries);
	return code;
}

/* Open a file that an import has. Only handles of the import are in the way. */
static int open_staged(struct opening *o, struct mfs__file *file)
{
	bool exclusive = wants_write_lock(o);

	if (mfs__node_is_crowded(&file->node))
		return MFS_EMFILE;
	if (!mfs__file_try(file, exclusive))
		return MFS_EBUSY;
	atomic_fetch_add_explicit(&file->node.hold, MFS__HOLD_HOLDER, memory_order_relaxed);
	int code = prepare_data(o, file);
	if (code)
		let_go(&o->by, file, false, exclusive);
	return code;
}

/* Find the file in an import, or make it there. */
static int open_in_import(struct opening *o, struct mfs__path *path)
{
	struct mfs__staging *staging = &o->import->staging;
	struct mfs__staged_place place;
	struct mfs__file *file = NULL;

	int code = mfs__staging_find(staging, path, &place);
	if (code)
		return code;
	if (!place.leaf.text || (place.found && place.found->is_dir))
		return MFS_EISDIR;
	if (place.found && o->mode->exclusive)
		return MFS_EEXIST;
	if (place.found) {
		file = mfs__file_of(place.found->node);
		code = open_staged(o, file);
	} else {
		code = o->mode->create ? mfs__staging_admit_at(staging, &place, false) : MFS_ENOENT;
		if (!code)
			code = new_file(o, &place.leaf, &file);
		if (!code) {
			code = mfs__staging_attach(staging, &place, &file->node);
			if (code)
				free_new_file(o, file);
		}
	}
	if (code)
		return code;
	fill_handle(o, file);
	atomic_fetch_add_explicit(&o->import->handles, 1, memory_order_relaxed);
	return 0;
}

/* The whole of an open, inside the gate. */
static int open_inside(struct opening *o, struct mfs__path *path, mfs_file **out)
{
	int code = mfs__handle_take(&o->handle);

	if (code)
		return code;
	code = o->import ? open_in_import(o, path) : open_in_tree(o, path);
	if (code) {
		mfs__handle_give(o->handle);
		return code;
	}
	struct mfs_reservation *reservation = o->by.payer.reservation;
	if (reservation)
		atomic_fetch_add_explicit(&reservation->handles, 1, memory_order_relaxed);
	mfs__count(&o->fs->counters[mfs__stripe()].handles, 1);
	*out = mfs__handle_open(o->handle);
	return 0;
}

static int check_options(mfs *fs, const mfs_open_options *options, const struct mode *mode)
{
	if (options->flags & ~(unsigned)MFS_O_SHARED)
		return mfs__fail(MFS_EINVAL, "flags of mfs_open_options");
	if (options->reserved)
		return mfs__fail(MFS_EINVAL, "reserved of mfs_open_options");
	if (!mfs__timeout_is_valid(options->lock_timeout))
		return mfs__fail(MFS_EINVAL, "lock_timeout of mfs_open_options");
	if (!mfs__timeout_is_valid(options->space_timeout))
		return mfs__fail(MFS_EINVAL, "space_timeout of mfs_open_options");
	if (options->reservation && options->reservation->fs != fs)
		return mfs__fail(MFS_EINVAL, "reservation of mfs_open_options: of another workspace");
	if (options->preallocate < 0 || (options->preallocate && !(mode->access & MFS__MODE_WRITE)))
		return mfs__fail(MFS_EINVAL, "preallocate of mfs_open_options");
	return 0;
}

/* Take over mode and options. */
static int set_up(struct opening *o, const char *mode, const mfs_open_options *options)
{
	mfs_open_options given;
	mfs *fs = o->fs;

	o->mode = parse_mode(mode);
	if (!o->mode)
		return mfs__fail(MFS_EINVAL,
						 "mfs_open: mode is none of rb, r+b, wb, w+b, ab, a+b, xb, x+b");
	o->wait.timeout = fs->default_lock_timeout;
	mfs__spender_init(&o->by, fs);
	o->by.timeout = fs->space_timeout;
	if (!options)
		return 0;
	if (!mfs__options_copy(&given, sizeof given, sizeof given, options))
		return mfs__fail(MFS_EINVAL, "struct_size of mfs_open_options");
	int fault = check_options(fs, &given, o->mode);
	if (fault)
		return fault;
	o->shared = (given.flags & MFS_O_SHARED) != 0;
	o->preallocate = (uint64_t)given.preallocate;
	if (given.lock_timeout)
		o->wait.timeout = given.lock_timeout;
	if (given.space_timeout)
		o->by.timeout = given.space_timeout;
	o->by.payer.reservation = given.reservation;
	return 0;
}

/* Open, and wait for quota where that is wanted. A failure is noted for `call`. */
static int open_path(struct opening *o, const char *call, struct mfs__node *start, const char *path,
					 mfs_file **out)
{
	struct mfs__path walked;

	int code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, call, path);
	walked.start = start;
	do {
		o->gate = mfs__gate_enter();
		code = open_inside(o, &walked, out);
		mfs__gate_leave(o->gate);
		mfs__call_end();
	} while (mfs__spender_again(&o->by, code));
	mfs__spender_end(&o->by);
	mfs__path_end(&walked);
	/* A limit's refusal has been noted with its numbers. */
	if (code && !mfs__is_limit_error(code))
		(void)mfs__fail_path(code, call, path);
	return code;
}

int mfs_open_ex(mfs *fs, const char *path, const char *mode, const mfs_open_options *options,
				mfs_file **out)
{
	if (out)
		*out = NULL;
	if (!fs || !path || !mode || !out)
		return mfs__fail(MFS_EINVAL, "mfs_open: NULL");
	struct opening o = {.fs = fs};
	int code = set_up(&o, mode, options);
	return code ? code : open_path(&o, "open", NULL, path, out);
}

int mfs_open_at(mfs_node *base, const char *path, const char *mode, const mfs_open_options *options,
				mfs_file **out)
{
	if (out)
		*out = NULL;
	if (!base || !path || !mode || !out)
		return mfs__fail(MFS_EINVAL, "mfs_open_at: NULL");
	struct opening o = {.fs = base->fs};
	int code = set_up(&o, mode, options);
	return code ? code : open_path(&o, "open", base->node, path, out);
}

int mfs_import_open(mfs_import *import, const char *path, const char *mode,
					const mfs_open_options *options, mfs_file **out)
{
	if (out)
		*out = NULL;
	if (!import || !path || !mode || !out)
		return mfs__fail(MFS_EINVAL, "mfs_import_open: NULL");
	struct opening o = {.fs = import->staging.fs, .import = import};
	int code = set_up(&o, mode, options);
	if (!code && o.shared)
		code = mfs__fail(MFS_EINVAL, "mfs_import_open: MFS_O_SHARED");
	return code ? code : open_path(&o, "open in an import", NULL, path, out);
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
	struct mfs__spender by;
	mfs__spender_init(&by, fs);
	by.payer.reservation = handle->reservation;
	struct mfs_import *import = handle->import;
	struct mfs__file *data = handle->file;
	bool shared = (handle->mode & MFS__MODE_SHARED) != 0;
	bool exclusive = (handle->mode & MFS__MODE_WRITE) != 0;
	atomic_store_explicit(&handle->id, 0, memory_order_relaxed);
	mfs__handle_unlock(handle, true);
	mfs__handle_give(handle);

	if (!shared && exclusive)
		mfs__file_trim(&by, data);
	/* What is imported is not dirty, however it was written. */
	if (import && exclusive)
		atomic_store_explicit(&data->node.generation, 0, memory_order_relaxed);
	let_go(&by, data, shared, exclusive);
	/* pairs with mfs_reservation_free: what was given back to it is there */
	if (by.payer.reservation)
		atomic_fetch_sub_explicit(&by.payer.reservation->handles, 1, memory_order_release);
	/* pairs with mfs_import_commit and mfs_import_abort: the file is as it was closed */
	if (import)
		atomic_fetch_sub_explicit(&import->handles, 1, memory_order_release);
	mfs__count(&fs->counters[mfs__stripe()].handles, -1);
	mfs__gate_leave(gate);
	mfs__call_end();
	return 0;
}
