/* SPDX-License-Identifier: MIT */
/* import_tree: build all files aside, then merge them in at one instant. */
#include "base/error.h"
#include "base/fork.h"
#include "fs/staging.h"

/*
 * Walk a settled path of an item in the staged tree, making what is missing. On success *leaf is
 * its last name, with no text for the root, and *parent the directory that it is in.
 */
static int stage_parents(struct mfs__staging *staging, struct mfs__path *path,
						 struct mfs__directory **parent, struct mfs__name *leaf)
{
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__name name;
	int code = 0;

	*parent = staging->top;
	*leaf = (struct mfs__name){0};
	while (!code && mfs__path_next(&cursor, &name) == MFS__PATH_NAME) {
		if (leaf->text)
			code = mfs__staging_mkdir(staging, *parent, leaf, parent);
		*leaf = name;
	}
	return code;
}

static int stage_item(struct mfs__staging *staging, const mfs_import_item *item,
					  struct mfs__path *path)
{
	struct mfs__directory *parent;
	struct mfs__name leaf;
	struct mfs__file *file;

	/* The staged tree must not get what a ".." takes back. */
	int code = mfs__path_settle(path);
	if (!code)
		code = stage_parents(staging, path, &parent, &leaf);
	if (code)
		return code;
	bool is_dir = (item->flags & MFS_IMPORT_DIRECTORY) != 0;
	if (!leaf.text)
		return is_dir ? 0 : MFS_EINVAL; /* the root */
	if (is_dir)
		return mfs__staging_mkdir(staging, parent, &leaf, &parent);
	code = mfs__staging_file(staging, parent, &leaf, &file);
	if (!code)
		code = mfs__staging_make_room(staging, file, item->size);
	if (!code && item->size)
		mfs__chunks_write(&file->chunks, 0, item->data, item->size);
	return code;
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
	int code = mfs__staging_begin(&staging, fs);
	if (code) {
		(void)mfs__fail(code, "import");
	} else {
		code = stage_items(&staging, items, count);
		if (!code)
			code = mfs__staging_commit(&staging, "import");
		if (code)
			mfs__staging_abandon(&staging);
	}
	mfs__gate_leave(gate);
	mfs__call_end();
	return code;
}
