/* SPDX-License-Identifier: MIT */
/* Trees under construction. How they are merged is in fs/merge.c. */
#include "fs/staging.h"

#include "base/clock.h"

/* All stagings of the process: what a forked child has to abandon. The mutex is taken inside the
 * gate only, so the child finds it free. */
static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mfs__staging *list; /* under list_mutex */

int mfs__staging_begin(struct mfs__staging *staging, mfs *fs)
{
	struct mfs__name no_name = {"", 0, 0};

	*staging = (struct mfs__staging){.fs = fs};
	staging->top = mfs__directory_new(fs->arena, &no_name, NULL, mfs__timestamp());
	if (!staging->top)
		return MFS_ENOMEM;
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
	pthread_mutex_lock(&list_mutex);
	*staging->link = staging->next;
	if (staging->next)
		staging->next->link = staging->link;
	pthread_mutex_unlock(&list_mutex);
	staging->top = NULL;
}

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
