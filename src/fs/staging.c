/* SPDX-License-Identifier: MIT */
/* Trees under construction. How they are merged is in fs/merge.c. */
#include "fs/staging.h"

#include "base/clock.h"
#include "base/error.h"

#include <inttypes.h>

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
	atomic_fetch_add_explicit(&staging->directories, 1, memory_order_relaxed);
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
	atomic_fetch_add_explicit(&staging->files, 1, memory_order_relaxed);
	return 0;
}

/*
 * A list that grows takes memory ahead as long as the quota has room, and others might be refused
 * because of that. So it is shown a quota that has room for what it needs and no more, and which
 * was reserved before.
 */
int mfs__staging_make_room(struct mfs__staging *staging, struct mfs__file *file, uint64_t size)
{
	mfs *fs = staging->fs;
	struct mfs__chunk_account account = mfs__account(fs);
	struct mfs__quota exact;

	if (size == 0)
		return 0;
	if (size > MFS__FILE_SIZE_MAX)
		return MFS_EFBIG;
	uint64_t charge = size + account.overhead * (mfs__chunk_index(size - 1) + 1);
	if (!mfs__quota_reserve(&fs->quota, charge))
		return mfs__fail_numbers(
			MFS_EQUOTA, "%" PRIu64 " bytes refused: %" PRIu64 " of %" PRIu64 " bytes free", charge,
			fs->quota.limit - mfs__quota_used(&fs->quota), fs->quota.limit);
	mfs__quota_init(&exact, charge);
	account.quota = &exact;
	int code = mfs__chunks_grow(&file->chunks, &account, 0, size);
	if (code)
		mfs__quota_release(&fs->quota, charge);
	else
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
