/* SPDX-License-Identifier: MIT */
/*
 * A removed directory's table may lead to nodes that were freed: a tree is removed as a whole, and
 * a pin keeps one directory only. So whoever reads a pinned directory first looks, inside the same
 * read-side section, whether it has been removed. If it has not, the nodes below it are retired
 * after this section began, if at all, and stay until it ends.
 */
#include "fs/listing.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "fs/name_sort.h"

#include <sched.h>
#include <string.h>

/* A listing looks this often while the directory changes, then it takes the mutex. As often it
 * looks up a path while directories move, then it takes the mutex of claims. */
#define LIST_TRIES 8
/* Names that are fetched into the cache ahead. */
#define AHEAD 16u
/* An image of a table of some sixty slots needs no memory of its own. */
#define FEW_BYTES 576
/* Of a try: the names were not those of one instant. Beside 0 and MFS__AGAIN. */
#define CHANGED 2

/*
 * Directories by path and by name
 */

/* Find and pin the directory of a path; *moves is the tree's count at that instant. */
static int find_directory(mfs *fs, struct mfs__path *path, enum mfs__lookup_mode mode,
						  struct mfs__directory **out, uint64_t *moves)
{
	for (;;) {
		struct mfs__lookup found;
		mfs__rcu_lock();
		int code = mfs__lookup(&fs->tree, path, &found, mode);
		if (!code && !found.node)
			code = MFS_ENOENT;
		else if (!code && !found.node->is_dir)
			code = MFS_ENOTDIR;
		bool pinned = !code && mfs__node_acquire(found.node, MFS__REFS_PIN);
		mfs__rcu_unlock();
		if (pinned) {
			*out = mfs__directory_of(found.node);
			*moves = found.moves;
		}
		if (code || pinned)
			return code;
		sched_yield(); /* the directory's name is about to go */
	}
}

int mfs__directory_at(mfs *fs, struct mfs__path *path, struct mfs__directory **out)
{
	uint64_t moves;

	return find_directory(fs, path, MFS__LOOKUP_UNGATED, out, &moves);
}

/*
 * What a name stands for. Inside a read-side section or under the mutex. Returns 0, MFS_ENOENT, or
 * MFS__AGAIN if the name is about to go, or to be another directory's.
 */
static int enter(struct mfs__dentry *dentry, struct mfs__directory **out)
{
	if (!dentry)
		return MFS_ENOENT;
	if (!dentry->is_dir)
		return 0;
	if (!mfs__node_acquire(dentry->node, MFS__REFS_PIN))
		return MFS__AGAIN;
	*out = mfs__directory_of(dentry->node);
	return 0;
}

static int find_child_locked(struct mfs__directory *parent, const struct mfs__name *name,
							 struct mfs__directory **out)
{
	unsigned gate = mfs__gate_enter();
	int code = MFS_ENOENT;

	if (mfs__directory_lock_to_read(parent)) {
		code = enter(mfs__directory_find_locked(parent, name), out);
		mfs__directory_unlock(parent);
	}
	mfs__gate_leave(gate);
	return code;
}

int mfs__directory_child(struct mfs__directory *parent, const struct mfs__name *name,
						 struct mfs__directory **out)
{
	*out = NULL;
	for (;;) {
		struct mfs__dentry *dentry = NULL;
		enum mfs__find_result result = MFS__FIND_ABSENT;
		mfs__rcu_lock();
		if (!mfs__directory_is_dead(parent))
			result = mfs__directory_find(parent, name, &dentry);
		int code = result == MFS__FIND_CONTENDED ? 0 : enter(dentry, out);
		mfs__rcu_unlock();
		if (result == MFS__FIND_CONTENDED)
			code = find_child_locked(parent, name, out);
		if (code != MFS__AGAIN)
			return code;
		sched_yield();
	}
}

void mfs__directory_unpin(struct mfs__directory *directory)
{
	unsigned gate = mfs__gate_enter();

	mfs__node_release(&directory->node, MFS__REFS_PIN);
	mfs__gate_leave(gate);
}

/*
 * Reading names
 */

/* A listing on its way: pointers to names from the front, with MFS__LIST_SPLIT to those of files
 * from the back; behind them the text. */
struct filling {
	enum mfs__listing_kind kind;
	struct mfs__names_block *block;
	size_t room;       /* for how many names */
	size_t count;      /* of names at the front so far */
	size_t file_count; /* of names at the back so far */
	char *next;        /* where the next name goes */
	char *end;
	bool overflow;
	/* Dentries on their way into the cache. */
	struct mfs__dentry *ahead[AHEAD];
	unsigned visited;
	/* The directory as of one instant. */
	struct mfs__table *image;
	size_t image_size;
	_Alignas(max_align_t) unsigned char few[FEW_BYTES];
};

static void free_image(struct filling *filling)
{
	if (filling->image_size > FEW_BYTES)
		mfs__free(filling->image, filling->image_size);
	filling->image_size = 0;
}

static int make_image_room(struct filling *filling, struct mfs__directory *directory)
{
	size_t size = mfs__directory_image_size(directory);

	if (size <= filling->image_size)
		return 0;
	free_image(filling);
	filling->image = (struct mfs__table *)(void *)filling->few;
	if (size > FEW_BYTES)
		filling->image = mfs__alloc(size);
	if (!filling->image)
		return MFS_ENOMEM;
	filling->image_size = size > FEW_BYTES ? size : FEW_BYTES;
	return 0;
}

/* Most bytes that a name takes besides its own and its NUL. */
static size_t extra_bytes(enum mfs__listing_kind kind)
{
	return kind == MFS__LIST_INFO ? sizeof(mfs_info) + _Alignof(mfs_info) - 1 : 0;
}

/* See to it that `count` names of `bytes` fit, and begin anew. */
static int make_listing_room(struct filling *filling, uint64_t count, uint64_t bytes)
{
	size_t pointers = (size_t)(count + 1) * sizeof(char *);
	size_t size = sizeof(struct mfs__names_block) + pointers + (size_t)bytes +
				  (size_t)count * extra_bytes(filling->kind) + MFS__NAME_PAD;

	if (!filling->block || filling->block->size < size) {
		if (filling->block)
			mfs__free(filling->block, filling->block->size);
		filling->block = mfs__alloc(size);
		if (!filling->block)
			return MFS_ENOMEM;
		filling->block->size = size;
	}
	filling->room = (size_t)count;
	filling->count = 0;
	filling->file_count = 0;
	filling->next = (char *)filling->block->names + pointers;
	filling->end = (char *)filling->block + filling->block->size - MFS__NAME_PAD;
	filling->overflow = false;
	filling->visited = 0;
	return 0;
}

/* Room for a name's text, behind room for what is known of it. Returns NULL if there is none. */
static char *place_name(struct filling *filling, size_t size)
{
	size_t left = (size_t)(filling->end - filling->next);
	size_t before = 0;

	if (filling->kind == MFS__LIST_INFO) {
		size_t unaligned = (uintptr_t)filling->next % _Alignof(mfs_info);
		before = (unaligned ? _Alignof(mfs_info) - unaligned : 0) + sizeof(mfs_info);
	}
	if (filling->count + filling->file_count == filling->room || before + size > left)
		return NULL;
	char *text = filling->next + before;
	filling->next = text + size;
	return text;
}

static bool add_name(struct filling *filling, struct mfs__dentry *dentry)
{
	size_t size = dentry->length + (size_t)1;
	char *text = place_name(filling, size);

	if (!text) {
		filling->overflow = true;
		return false;
	}
	memcpy(text, dentry->name, size);
	if (filling->kind == MFS__LIST_SPLIT && !dentry->is_dir)
		filling->block->names[filling->room - ++filling->file_count] = text;
	else
		filling->block->names[filling->count++] = text;
	if (filling->kind == MFS__LIST_INFO)
		((mfs_info *)(void *)text)[-1] = mfs__info_of(dentry->node);
	return true;
}

/* The names of a large directory are all over the memory: wait for many of them at a time. */
static bool visit(void *user, struct mfs__dentry *dentry)
{
	struct filling *filling = user;
	unsigned place = filling->visited % AHEAD;
	bool full = filling->visited >= AHEAD;
	struct mfs__dentry *oldest = filling->ahead[place];

	__builtin_prefetch(dentry);
	__builtin_prefetch((const char *)dentry + MFS__CACHE_LINE - 1);
	if (filling->kind == MFS__LIST_INFO) /* the node, unless it was renamed */
		__builtin_prefetch((const char *)dentry - sizeof(struct mfs__node));
	filling->ahead[place] = dentry;
	filling->visited++;
	return !full || add_name(filling, oldest);
}

/* Read the names of the image. Inside the section in which it was made. */
static void read_all(struct filling *filling)
{
	mfs__image_each(filling->image, visit, filling);
	unsigned last = filling->visited;
	for (unsigned i = last > AHEAD ? last - AHEAD : 0; i != last && !filling->overflow; i++)
		(void)add_name(filling, filling->ahead[i % AHEAD]);
}

/*
 * Read all names, with no lock: take an image of the table, see that it is one of one instant, and
 * read what it leads to at leisure. Returns 0, CHANGED, or MFS__AGAIN if the directory was removed.
 */
static int try_read(struct mfs__directory *directory, struct filling *filling)
{
	mfs__rcu_lock();
	/* pairs with the end of a change in tree/directory.c */
	uint64_t version = atomic_load_explicit(&directory->version, memory_order_acquire);
	bool dead = mfs__directory_is_dead(directory);
	bool whole = !dead && !(version & 1) &&
				 mfs__directory_image(directory, filling->image, filling->image_size);
	if (whole) {
		mfs__yield("listdir: image taken");
		/* Who read a bucket of a later change sees that change's number here. */
		whole = version == atomic_load_explicit(&directory->version, memory_order_relaxed);
	}
	if (whole) {
		read_all(filling);
		whole = !filling->overflow;
	}
	mfs__rcu_unlock();
	if (dead)
		return MFS__AGAIN;
	return whole ? 0 : CHANGED;
}

/* The same under the mutex, for a directory that changes all the time. Inside the gate. */
static int read_locked(struct mfs__directory *directory, struct filling *filling)
{
	if (!mfs__directory_lock_to_read(directory))
		return MFS__AGAIN;
	int code = make_image_room(filling, directory);
	if (!code)
		code = make_listing_room(
			filling, atomic_load_explicit(&directory->count, memory_order_relaxed),
			atomic_load_explicit(&directory->name_bytes, memory_order_relaxed));
	mfs__rcu_lock();
	if (!code)
		(void)mfs__directory_image(directory, filling->image, filling->image_size);
	/* The section keeps what the image leads to. */
	mfs__directory_unlock(directory);
	if (!code)
		read_all(filling);
	mfs__rcu_unlock();
	return code;
}

static int read_directory(struct mfs__directory *directory, struct filling *filling, bool gated)
{
	for (unsigned tries = 0; tries < LIST_TRIES; tries++) {
		uint64_t count = atomic_load_explicit(&directory->count, memory_order_relaxed);
		uint64_t bytes = atomic_load_explicit(&directory->name_bytes, memory_order_relaxed);
		/* Some more, for names that come in between. */
		int code = make_listing_room(filling, count + count / 16 + 4, bytes + bytes / 16 + 64);
		if (!code)
			code = make_image_room(filling, directory);
		if (!code)
			code = try_read(directory, filling);
		if (code != CHANGED)
			return code;
	}
	unsigned gate = gated ? 0 : mfs__gate_enter();
	int code = read_locked(directory, filling);
	if (!gated)
		mfs__gate_leave(gate);
	return code;
}

static int read_listing(struct mfs__directory *directory, enum mfs__listing_kind kind, bool gated,
						struct mfs__listing *out)
{
	struct filling filling;

	/* Not all of it: the room for an image is large. */
	filling.kind = kind;
	filling.block = NULL;
	filling.image = NULL;
	filling.image_size = 0;
	int code = read_directory(directory, &filling, gated);

	free_image(&filling);
	*out = (struct mfs__listing){0};
	if (code) {
		if (filling.block)
			mfs__free(filling.block, filling.block->size);
		return code;
	}
	memset(filling.next, 0, MFS__NAME_PAD);
	*out = (struct mfs__listing){
		.block = filling.block,
		.names = filling.block->names,
		.count = filling.count,
		.files = filling.block->names + (filling.room - filling.file_count),
		.file_count = filling.file_count,
	};
	return 0;
}

int mfs__listing_read(struct mfs__directory *directory, enum mfs__listing_kind kind,
					  struct mfs__listing *out)
{
	return read_listing(directory, kind, false, out);
}

int mfs__listing_sort(struct mfs__listing *listing)
{
	int code = mfs__names_sort(listing->names, listing->count);

	return code ? code : mfs__names_sort(listing->files, listing->file_count);
}

void mfs__listing_free(struct mfs__listing *listing)
{
	if (listing->block)
		mfs__free(listing->block, listing->block->size);
	*listing = (struct mfs__listing){0};
}

/*
 * Read the directory of a path. What was read is what the path led to if no directory was moved
 * between the lookup and the reading: as it was not removed either, the path still led there.
 * Returns MFS__AGAIN if that is not so.
 */
static int try_list(mfs *fs, struct mfs__path *path, enum mfs__listing_kind kind,
					struct mfs__listing *out)
{
	struct mfs__directory *directory;
	uint64_t moves;

	int code = find_directory(fs, path, MFS__LOOKUP_UNGATED, &directory, &moves);
	if (code)
		return code;
	mfs__yield("listdir: directory found");
	code = read_listing(directory, kind, false, out);
	mfs__directory_unpin(directory);
	if (!code && mfs__tree_has_moved(&fs->tree, moves)) {
		mfs__listing_free(out);
		return MFS__AGAIN;
	}
	return code;
}

/* The same while no directory can move. Returns MFS__AGAIN if the directory was removed. */
static int list_settled(mfs *fs, struct mfs__path *path, enum mfs__listing_kind kind,
						struct mfs__listing *out)
{
	struct mfs__directory *directory;
	uint64_t moves;

	unsigned gate = mfs__gate_enter();
	pthread_mutex_lock(&fs->tree.claims);
	int code = find_directory(fs, path, MFS__LOOKUP_EXCLUSIVE, &directory, &moves);
	if (!code) {
		code = read_listing(directory, kind, true, out);
		mfs__node_release(&directory->node, MFS__REFS_PIN);
	}
	pthread_mutex_unlock(&fs->tree.claims);
	mfs__gate_leave(gate);
	return code;
}

static int list_path(mfs *fs, struct mfs__path *path, enum mfs__listing_kind kind,
					 struct mfs__listing *out)
{
	int code = MFS__AGAIN;

	for (unsigned tries = 0; code == MFS__AGAIN && tries < LIST_TRIES; tries++)
		code = try_list(fs, path, kind, out);
	while (code == MFS__AGAIN)
		code = list_settled(fs, path, kind, out);
	return code;
}

int mfs__listing_of(mfs *fs, struct mfs__node *start, const char *text, enum mfs__listing_kind kind,
					struct mfs__listing *out)
{
	struct mfs__path path;

	int code = mfs__path_begin(&path, text);
	if (code)
		return code;
	path.start = start;
	code = list_path(fs, &path, kind, out);
	mfs__path_end(&path);
	if (code)
		return code;
	code = mfs__listing_sort(out);
	if (code)
		mfs__listing_free(out);
	return code;
}

/*
 * The public calls
 */

int64_t mfs_listdir(mfs *fs, const char *path, char ***names)
{
	struct mfs__listing listing;

	if (names)
		*names = NULL;
	if (!fs || !path || !names)
		return mfs__fail_path(MFS_EINVAL, "listdir", path);
	int code = mfs__listing_of(fs, NULL, path, MFS__LIST_NAMES, &listing);
	if (code)
		return mfs__fail_path(code, "listdir", path);
	listing.names[listing.count] = NULL;
	*names = listing.names;
	return (int64_t)listing.count;
}

void mfs_names_free(char **names)
{
	if (names) {
		struct mfs__names_block *block = mfs__container_of(names, struct mfs__names_block, names);
		mfs__free(block, block->size);
	}
}
