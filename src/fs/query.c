/* SPDX-License-Identifier: MIT */
/* Calls that only look: exists, stat, listdir. They take no lock and write nothing shared. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* A listing looks this often while the directory changes, then it takes the mutex. */
#define LIST_TRIES 8

/*
 * Find the node of a path. On success the caller is inside a read-side section, which it leaves; on
 * failure it is not, and nothing is noted.
 */
static int find_node(mfs *fs, const char *text, struct mfs__node **node)
{
	struct mfs__path path;
	struct mfs__lookup found;

	*node = NULL;
	int code = mfs__path_begin(&path, text);
	if (mfs__unlikely(code))
		return code;
	mfs__rcu_lock();
	code = mfs__lookup(fs->root, &path, &found, false);
	if (!code && !found.node)
		code = MFS_ENOENT;
	if (mfs__unlikely(code))
		mfs__rcu_unlock();
	mfs__path_end(&path);
	*node = code ? NULL : found.node;
	return code;
}

bool mfs_exists(mfs *fs, const char *path)
{
	struct mfs__node *node;

	if (!fs || !path || find_node(fs, path, &node))
		return false;
	mfs__rcu_unlock();
	return true;
}

bool mfs_is_dir(mfs *fs, const char *path)
{
	struct mfs__node *node;

	if (!fs || !path || find_node(fs, path, &node))
		return false;
	bool is_dir = node->is_dir;
	mfs__rcu_unlock();
	return is_dir;
}

bool mfs_is_file(mfs *fs, const char *path)
{
	struct mfs__node *node;

	if (!fs || !path || find_node(fs, path, &node))
		return false;
	bool is_dir = node->is_dir;
	mfs__rcu_unlock();
	return !is_dir;
}

int mfs_stat(mfs *fs, const char *path, mfs_info *out)
{
	struct mfs__node *node;

	if (!fs || !path || !out)
		return mfs__fail_path(MFS_EINVAL, "stat", path);
	int code = find_node(fs, path, &node);
	if (code)
		return mfs__fail_path(code, "stat", path);
	struct mfs__attributes attributes = mfs__node_attributes(node);
	*out = (mfs_info){
		.size = (int64_t)attributes.size,
		.created_at = node->created_at,
		.modified_at = attributes.modified_at,
		.generation = attributes.generation,
		.is_dir = node->is_dir,
	};
	mfs__rcu_unlock();
	return 0;
}

int64_t mfs_get_size(mfs *fs, const char *path)
{
	mfs_info info = {0};

	int code = mfs_stat(fs, path, &info);
	if (code)
		return code;
	return info.is_dir ? mfs__fail_path(MFS_EISDIR, "get_size", path) : info.size;
}

/*
 * listdir
 */

/*
 * The block that a listing returns, with a header before it for mfs_names_free():
 *   [ size of the block ][ pointers, NULL ][ names ]
 */
struct listing {
	size_t block_size;
	char *names[];
};

/* A listing on its way. */
struct filling {
	struct listing *listing;
	uint64_t room;  /* for how many names */
	uint64_t count; /* of names so far */
	char *next;     /* where the next name goes */
	char *end;
	bool overflow;
};

static bool add_name(void *user, struct mfs__dentry *dentry)
{
	struct filling *filling = user;
	size_t size = dentry->length + (size_t)1;

	if (filling->count == filling->room || size > (size_t)(filling->end - filling->next)) {
		filling->overflow = true;
		return false;
	}
	memcpy(filling->next, dentry->name, size);
	filling->listing->names[filling->count++] = filling->next;
	filling->next += size;
	return true;
}

/* See to it that `count` names of `bytes` fit, and begin anew. */
static int make_listing_room(struct filling *filling, uint64_t count, uint64_t bytes)
{
	size_t pointers = (size_t)(count + 1) * sizeof(char *);
	size_t size = sizeof(struct listing) + pointers + (size_t)bytes;

	if (!filling->listing || filling->listing->block_size < size || filling->room != count) {
		if (filling->listing)
			mfs__free(filling->listing, filling->listing->block_size);
		filling->listing = mfs__alloc(size);
		if (!filling->listing)
			return MFS_ENOMEM;
		filling->listing->block_size = size;
	}
	filling->room = count;
	filling->count = 0;
	filling->next = (char *)filling->listing->names + pointers;
	filling->end = (char *)filling->listing + filling->listing->block_size;
	filling->overflow = false;
	return 0;
}

/* Read all names, with no lock. Returns false if they were no snapshot. */
static bool read_names(struct mfs__directory *directory, struct filling *filling)
{
	mfs__rcu_lock();
	/* pairs with the end of a change in tree/directory.c */
	uint64_t version = atomic_load_explicit(&directory->version, memory_order_acquire);
	bool whole = !(version & 1);
	if (whole) {
		mfs__directory_each(directory, add_name, filling);
		mfs__yield("listdir: names read");
		/* Who read a bucket of a later change sees that change's number here. */
		whole = version == atomic_load_explicit(&directory->version, memory_order_relaxed) &&
				!filling->overflow;
	}
	mfs__rcu_unlock();
	return whole;
}

/* The same under the mutex, for a directory that changes all the time. */
static int read_names_locked(struct mfs__directory *directory, struct filling *filling)
{
	unsigned gate = mfs__gate_enter();

	pthread_mutex_lock(&directory->mutex);
	int code =
		make_listing_room(filling, atomic_load_explicit(&directory->count, memory_order_relaxed),
						  atomic_load_explicit(&directory->name_bytes, memory_order_relaxed));
	if (!code)
		mfs__directory_each(directory, add_name, filling);
	pthread_mutex_unlock(&directory->mutex);
	mfs__gate_leave(gate);
	return code;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* List a pinned directory. */
static int list(struct mfs__directory *directory, struct filling *filling)
{
	for (unsigned tries = 0; tries < LIST_TRIES; tries++) {
		uint64_t count = atomic_load_explicit(&directory->count, memory_order_relaxed);
		uint64_t bytes = atomic_load_explicit(&directory->name_bytes, memory_order_relaxed);
		/* Some more, for names that come in between. */
		int code = make_listing_room(filling, count + count / 16 + 4, bytes + bytes / 16 + 64);
		if (code)
			return code;
		if (read_names(directory, filling))
			return 0;
	}
	return read_names_locked(directory, filling);
}

/* Find and pin a directory. */
static int find_directory(mfs *fs, const char *path, struct mfs__node **node)
{
	int code = find_node(fs, path, node);

	if (code)
		return code;
	if (!(*node)->is_dir)
		code = MFS_ENOTDIR;
	else if (!mfs__node_acquire(*node, MFS__REFS_PIN, false))
		code = MFS__AGAIN;
	mfs__rcu_unlock();
	return code;
}

int64_t mfs_listdir(mfs *fs, const char *path, char ***names)
{
	struct filling filling = {0};
	struct mfs__node *node;

	if (names)
		*names = NULL;
	if (!fs || !path || !names)
		return mfs__fail_path(MFS_EINVAL, "listdir", path);
	int code;
	while ((code = find_directory(fs, path, &node)) == MFS__AGAIN)
		sched_yield(); /* the directory's name is about to go */
	if (!code) {
		code = list(mfs__directory_of(node), &filling);
		mfs__node_release(node, MFS__REFS_PIN);
	}
	if (code) {
		if (filling.listing)
			mfs__free(filling.listing, filling.listing->block_size);
		return mfs__fail_path(code, "listdir", path);
	}
	qsort(filling.listing->names, (size_t)filling.count, sizeof(char *), compare_names);
	filling.listing->names[filling.count] = NULL;
	*names = filling.listing->names;
	return (int64_t)filling.count;
}

void mfs_names_free(char **names)
{
	if (names) {
		struct listing *listing = mfs__container_of(names, struct listing, names);
		mfs__free(listing, listing->block_size);
	}
}
