/* SPDX-License-Identifier: MIT */
/* import_tree: build all files aside, then merge them in at one instant. */
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "fs/staging.h"

/* Stage a file that is not there yet. */
static int stage_file(struct mfs__staging *staging, const struct mfs__staged_place *place,
					  const mfs_import_item *item)
{
	mfs *fs = staging->fs;

	int code = mfs__staging_admit_at(staging, place, false);
	if (code)
		return code;
	struct mfs__file *file =
		mfs__file_new(fs->arena, &place->leaf, fs->default_storage, mfs__timestamp());
	if (!file)
		return MFS_ENOMEM;
	code = mfs__staging_make_room(staging, file, item->size);
	if (!code && item->size)
		mfs__chunks_write(&file->chunks, 0, item->data, item->size);
	if (!code)
		code = mfs__staging_attach(staging, place, &file->node);
	if (code) {
		mfs__file_drop_data(fs, file);
		mfs__file_free(file);
	}
	return code;
}

static int stage_item(struct mfs__staging *staging, const mfs_import_item *item,
					  struct mfs__path *path)
{
	struct mfs__staged_place place;

	if (item->flags & MFS_IMPORT_DIRECTORY)
		return mfs__staging_make_path(staging, path);
	int code = mfs__staging_find(staging, path, &place);
	if (code)
		return code;
	if (!place.leaf.text)
		return MFS_EINVAL; /* the root */
	if (place.found)
		return place.found->is_dir ? MFS_EISDIR : MFS_EEXIST;
	return stage_file(staging, &place, item);
}

static bool is_valid(const mfs_import_item *item)
{
	bool is_dir = (item->flags & MFS_IMPORT_DIRECTORY) != 0;

	return item->path && (item->data || item->size == 0) && !(is_dir && item->size) &&
		   !(item->flags & ~(unsigned)MFS_IMPORT_DIRECTORY) && !item->reserved;
}

/* Stage all items. A failure is noted with its item's path. */
static int stage_items(struct mfs__staging *staging, const mfs_import_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct mfs__path path;
		int code = mfs__path_begin(&path, items[i].path);
		if (!code) {
			code = stage_item(staging, &items[i], &path);
			mfs__path_end(&path);
		}
		if (code && !mfs__is_limit_error(code))
			(void)mfs__fail_path(code, "import", items[i].path);
		if (code)
			return code;
	}
	return 0;
}

int mfs_import_tree(mfs *fs, const mfs_import_item *items, size_t count)
{
	struct mfs__staging staging;

	if (!fs || (!items && count))
		return mfs__fail(MFS_EINVAL, "mfs_import_tree: NULL");
	for (size_t i = 0; i < count; i++)
		if (!is_valid(&items[i]))
			return mfs__fail_path(MFS_EINVAL, "import", items[i].path);
	unsigned gate = mfs__gate_enter();
	int code = mfs__staging_begin(&staging, fs, false);
	if (code) {
		(void)mfs__fail(code, "import");
	} else {
		code = stage_items(&staging, items, count);
		if (!code)
			code = mfs__staging_commit(&staging, "import", 0, NULL);
		if (code)
			mfs__staging_abandon(&staging);
	}
	mfs__gate_leave(gate);
	mfs__call_end();
	return code;
}
