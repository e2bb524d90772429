/* SPDX-License-Identifier: MIT */
/* Trees under construction. How they are merged is in fs/merge.c. */
#include "fs/staging.h"

#include "base/clock.h"
#include "base/error.h"

#include <inttypes.h>

/* All stagings that last as long as a call: what a forked child has to abandon. The mutex is taken
 * inside the gate only, so the child finds it free. */
static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mfs__staging *list; /* under list_mutex */

int mfs__staging_begin(struct mfs__staging *staging, mfs *fs, bool keeps_in_child)
{
	struct mfs__name no_name = {"", 0, 0};

	*staging = (struct mfs__staging){.fs = fs, .is_listed = !keeps_in_child};
	staging->top = mfs__directory_new(fs->arena, &no_name, NULL, mfs__timestamp());
	if (!staging->top)
		return MFS_ENOMEM;
	if (keeps_in_child)
		return 0;
	pthread_mutex_lock(&list_mutex);
	staging->next = list;
	staging->link = &list;
	if (list)
		list->link = &staging->next;
	list = staging;
	pthread_mutex_unlock(&list_mutex);
	return 0;
}

void mfs__staging_end(struct mfs__staging *staging)
{
	if (staging->is_listed) {
		pthread_mutex_lock(&list_mutex);
		*staging->link = staging->next;
		if (staging->next)
			staging->next->link = staging->link;
		pthread_mutex_unlock(&list_mutex);
	}
	staging->top = NULL;
}

/*
 * By path
 */

int mfs__staging_find(struct mfs__staging *staging, struct mfs__path *path,
					  struct mfs__staged_place *place)
{
	struct mfs__name name;

	*place = (struct mfs__staged_place){.parent = staging->top};
	/* The staged tree must not get what a ".." takes back. */
	int code = mfs__path_settle(path);
	if (code)
		return code;
	place->rest = mfs__path_start(path);
	while (!place->count && mfs__path_next(&place->rest, &name) == MFS__PATH_NAME) {
		if (place->found && !place->found->is_dir)
			return MFS_ENOTDIR;
		if (place->found)
			place->parent = mfs__directory_of(place->found->node);
		place->leaf = name;
		place->found = mfs__directory_find_locked(place->parent, &name);
		if (!place->found) {
			place->missing = name;
			place->count = 1;
		}
	}
	struct mfs__path_cursor rest = place->rest;
	while (mfs__path_next(&rest, &name) == MFS__PATH_NAME) {
		place->bytes += mfs__first_charge(true, place->leaf.length);
		place->leaf = name;
		place->count++;
	}
	return 0;
}

int mfs__staging_admit(struct mfs__staging *staging, uint64_t nodes, uint64_t bytes)
{
	mfs *fs = staging->fs;
	uint64_t staged = atomic_load_explicit(&staging->files, memory_order_relaxed) +
					  atomic_load_explicit(&staging->directories, memory_order_relaxed);
	uint64_t staged_bytes = atomic_load_explicit(&staging->bytes, memory_order_relaxed);

	if (fs->has_node_limit && staged + nodes > fs->nodes.limit)
		return mfs__fail_numbers(MFS_ENODES,
								 "%" PRIu64 " more refused: the import has %" PRIu64
								 " files and directories, and at most %" PRIu64 " may exist",
								 nodes, staged, fs->nodes.limit);
	if (fs->charge_metadata && staged_bytes + bytes > fs->quota.limit)
		return mfs__fail_numbers(MFS_EQUOTA,
								 "%" PRIu64 " more refused: the import has %" PRIu64
								 " bytes of metadata, and the quota is %" PRIu64,
								 nodes, staged_bytes, fs->quota.limit);
	return 0;
}

int mfs__staging_admit_at(struct mfs__staging *staging, const struct mfs__staged_place *place,
						  bool is_dir)
{
	return mfs__staging_admit(staging, place->count,
							  place->bytes + mfs__first_charge(is_dir, place->leaf.length));
}

/* Free directories one in the other, from the last one up to those below `end`, and nothing that
 * the last one may name. */
static void free_chain(struct mfs__directory *last, struct mfs__directory *end)
{
	while (last != end) {
		struct mfs__directory *parent = last->parent;
		mfs__directory_free_table(last);
		mfs__directory_free(last);
		last = parent;
	}
}

int mfs__staging_attach(struct mfs__staging *staging, const struct mfs__staged_place *place,
						struct mfs__node *node)
{
	struct mfs__arena *arena = staging->fs->arena;
	struct mfs__directory *last = place->parent;
	struct mfs__dentry *first = NULL; /* of what the parent gets */
	struct mfs__name name = place->missing;
	struct mfs__path_cursor rest = place->rest;
	struct mfs__name next;
	uint64_t bytes = mfs__node_charge(mfs__first_dentry(node));

	while (mfs__path_next(&rest, &next) == MFS__PATH_NAME) {
		struct mfs__directory *directory = mfs__directory_new(arena, &name, last, mfs__timestamp());
		if (!directory)
			goto no_memory;
		struct mfs__dentry *dentry = mfs__first_dentry(&directory->node);
		if (first && mfs__directory_add(arena, last, dentry)) {
			mfs__directory_free(directory);
			goto no_memory;
		}
		if (!first)
			first = dentry;
		bytes += mfs__node_charge(dentry);
		last = directory;
		name = next;
	}
	if (first && mfs__directory_add(arena, last, mfs__first_dentry(node)))
		goto no_memory;
	if (node->is_dir)
		mfs__directory_of(node)->parent = last;
	if (mfs__directory_add(arena, place->parent, first ? first : mfs__first_dentry(node)))
		goto no_memory;
	atomic_fetch_add_explicit(node->is_dir ? &staging->directories : &staging->files, 1,
							  memory_order_relaxed);
	atomic_fetch_add_explicit(&staging->directories, place->count - 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&staging->bytes, bytes, memory_order_relaxed);
	return 0;

no_memory:
	free_chain(last, place->parent);
	return MFS_ENOMEM;
}

int mfs__staging_make_path(struct mfs__staging *staging, struct mfs__path *path)
{
	struct mfs__staged_place place;

	int code = mfs__staging_find(staging, path, &place);
	if (code || !place.leaf.text)
		return code;
	if (place.found)
		return place.found->is_dir ? 0 : MFS_ENOTDIR;
	code = mfs__staging_admit_at(staging, &place, true);
	if (code)
		return code;
	struct mfs__directory *directory =
		mfs__directory_new(staging->fs->arena, &place.leaf, NULL, mfs__timestamp());
	if (!directory)
		return MFS_ENOMEM;
	code = mfs__staging_attach(staging, &place, &directory->node);
	if (code)
		mfs__directory_free(directory);
	return code;
}

/*
 * By directory and name
 */

/* Count a node in, with its first name. */
static void count_in(struct mfs__staging *staging, _Atomic uint64_t *nodes, struct mfs__node *node)
{
	atomic_fetch_add_explicit(nodes, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&staging->bytes, mfs__node_charge(mfs__first_dentry(node)),
							  memory_order_relaxed);
}

int mfs__staging_mkdir(struct mfs__staging *staging, struct mfs__directory *parent,
					   const struct mfs__name *name, struct mfs__directory **out)
{
	struct mfs__dentry *dentry = mfs__directory_find_locked(parent, name);

	if (dentry) {
		*out = dentry->node->is_dir ? mfs__directory_of(dentry->node) : NULL;
		return *out ? 0 : MFS_ENOTDIR;
	}
	*out = NULL;
	int code = mfs__staging_admit(staging, 1, mfs__first_charge(true, name->length));
	if (code)
		return code;
	*out = mfs__directory_new(staging->fs->arena, name, parent, mfs__timestamp());
	if (!*out)
		return MFS_ENOMEM;
	if (mfs__directory_add(staging->fs->arena, parent, mfs__first_dentry(&(*out)->node))) {
		mfs__directory_free(*out);
		*out = NULL;
		return MFS_ENOMEM;
	}
	count_in(staging, &staging->directories, &(*out)->node);
	return 0;
}

int mfs__staging_file(struct mfs__staging *staging, struct mfs__directory *parent,
					  const struct mfs__name *name, struct mfs__file **out)
{
	struct mfs__dentry *dentry = mfs__directory_find_locked(parent, name);

	if (dentry)
		return dentry->node->is_dir ? MFS_EISDIR : MFS_EEXIST;
	int code = mfs__staging_admit(staging, 1, mfs__first_charge(false, name->length));
	if (code)
		return code;
	*out = mfs__file_new(staging->fs->arena, name, staging->fs->default_storage, mfs__timestamp());
	if (!*out)
		return MFS_ENOMEM;
	if (mfs__directory_add(staging->fs->arena, parent, mfs__first_dentry(&(*out)->node))) {
		mfs__file_free(*out);
		*out = NULL;
		return MFS_ENOMEM;
	}
	count_in(staging, &staging->files, &(*out)->node);
	return 0;
}

/* A list that grows takes memory ahead as long as the quota has room: others might be refused
 * because of that, so it is told not to. */
int mfs__staging_make_room(struct mfs__staging *staging, struct mfs__file *file, uint64_t size)
{
	struct mfs__spender by;

	mfs__spender_init(&by, staging->fs);
	struct mfs__chunk_account account = mfs__account(&by);
	account.exact = true;
	int code = mfs__chunks_grow(&file->chunks, &account, 0, size);
	if (!code)
		mfs__node_modify(&file->node, size, 0);
	return code;
}

void mfs__staging_abandon(struct mfs__staging *staging)
{
	struct mfs__directory *top = staging->top;

	if (!top)
		return;
	mfs__staging_end(staging);
	mfs__tree_free(staging->fs, top);
}

void mfs__staging_fork_child(void)
{
	while (list)
		mfs__staging_abandon(list);
}
