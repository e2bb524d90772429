/* SPDX-License-Identifier: MIT */
/* The directory iterator: a listing with what is known of each name, and a place in it. */
#include "base/alloc.h"
#include "base/error.h"
#include "fs/listing.h"
#include "fs/node.h"

struct mfs_dir {
	mfs *fs;
	struct mfs__listing listing;
	size_t next;
};

static int open_directory(mfs *fs, struct mfs__node *start, const char *path, mfs_dir **out)
{
	struct mfs_dir *dir = mfs__alloc(sizeof *dir);
	if (!dir)
		return mfs__fail_path(MFS_ENOMEM, "opendir", path);
	*dir = (struct mfs_dir){.fs = fs};
	int code = mfs__listing_of(fs, start, path, MFS__LIST_INFO, &dir->listing);
	if (code) {
		mfs__free(dir, sizeof *dir);
		return mfs__fail_path(code, "opendir", path);
	}
	mfs__count(&fs->counters[mfs__stripe()].handles, 1);
	*out = dir;
	return 0;
}

int mfs_opendir(mfs *fs, const char *path, mfs_dir **out)
{
	if (out)
		*out = NULL;
	if (!fs || !path || !out)
		return mfs__fail_path(MFS_EINVAL, "opendir", path);
	return open_directory(fs, NULL, path, out);
}

int mfs_opendir_at(mfs_node *base, const char *path, mfs_dir **out)
{
	if (out)
		*out = NULL;
	if (!base || !path || !out)
		return mfs__fail_path(MFS_EINVAL, "opendir", path);
	return open_directory(base->fs, base->node, path, out);
}

int mfs_readdir(mfs_dir *dir, mfs_entry *entry)
{
	if (!dir || !entry)
		return mfs__fail(MFS_EINVAL, "mfs_readdir: NULL");
	if (dir->next == dir->listing.count)
		return 0;
	const char *name = dir->listing.names[dir->next++];
	*entry = (mfs_entry){.name = name, .info = *mfs__listing_info(name)};
	return 1;
}

int mfs_closedir(mfs_dir *dir)
{
	if (!dir)
		return 0;
	/* First: in the child of a fork the iterator is either whole or not open any more. */
	mfs__count(&dir->fs->counters[mfs__stripe()].handles, -1);
	mfs__listing_free(&dir->listing);
	mfs__free(dir, sizeof *dir);
	return 0;
}
