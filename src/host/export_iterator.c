/* SPDX-License-Identifier: MIT */
/* An export in steps: the files below a directory, or one file, one by one. */
#include "base/alloc.h"
#include "base/compiler.h"
#include "base/error.h"
#include "fs/filesystem.h"
#include "host/held_file.h"
#include "host/text.h"

struct mfs_export {
	mfs *fs;
	bool only_dirty;
	mfs_walk *walk; /* NULL: a single file */
	mfs_walk_level level;
	size_t next_file; /* of the level */
	bool single_is_done;
	struct mfs__text path; /* of the file, and for a single one from the start */
	unsigned char *data;   /* of the file that came last; NULL: none yet */
	size_t room;
};

/* The path of a single file as items give it, without "." and "..". */
static int set_single(mfs_export *export, const char *text)
{
	struct mfs__path path;
	struct mfs__name name;

	int code = mfs__path_begin(&path, text);
	if (code)
		return code;
	code = mfs__path_settle(&path);
	struct mfs__path_cursor cursor = mfs__path_start(&path);
	while (!code && mfs__path_next(&cursor, &name) == MFS__PATH_NAME)
		if (!mfs__text_append(&export->path, "/", 1) ||
			!mfs__text_append(&export->path, name.text, name.length))
			code = MFS_ENOMEM;
	mfs__path_end(&path);
	return code;
}

/* Begin with what the path names. */
static int begin(mfs_export *export, const char *path)
{
	mfs_info info;
	int code = mfs_stat(export->fs, path, &info);

	if (code)
		return code;
	if (info.is_dir)
		return mfs_walk_open(export->fs, path, &export->walk);
	code = set_single(export, path);
	/* As the walk does: it is open for mfs_free(). */
	if (!code)
		mfs__count(&export->fs->counters[mfs__stripe()].handles, 1);
	return code;
}

static void free_export(mfs_export *export)
{
	if (export->data)
		mfs__free(export->data, export->room);
	mfs__text_free(&export->path);
	mfs__free(export, sizeof *export);
}

int mfs_export_open(mfs *fs, const char *path, unsigned flags, mfs_export **out)
{
	if (out)
		*out = NULL;
	if (!fs || !path || !out)
		return mfs__fail_path(MFS_EINVAL, "export_open", path);
	if (flags & ~(unsigned)MFS_ONLY_DIRTY)
		return mfs__fail(MFS_EINVAL, "mfs_export_open: flags");
	mfs_export *export = mfs__alloc_zeroed(sizeof *export);
	if (!export)
		return mfs__fail_path(MFS_ENOMEM, "export_open", path);
	export->fs = fs;
	export->only_dirty = (flags & MFS_ONLY_DIRTY) != 0;
	int code = begin(export, path);
	if (code) {
		free_export(export);
		return mfs__fail_path(code, "export_open", path);
	}
	*out = export;
	return 0;
}

/* Set the path of the next file. Returns 1, 0 at the end, or a code. */
static int find_next(mfs_export *export)
{
	if (!export->walk)
		return !export->single_is_done;
	while (export->next_file == export->level.file_count) {
		/* If it fails, what it has left of the level is of no use. */
		export->level.file_count = 0;
		export->next_file = 0;
		int code = mfs_walk_next(export->walk, &export->level);
		if (code <= 0) {
			export->level.file_count = 0;
			return code;
		}
	}
	const char *directory = export->level.path;
	const char *name = export->level.files[export->next_file];
	export->path.length = 0;
	return mfs__text_append(&export->path, directory, strlen(directory)) &&
				   mfs__text_append_name(&export->path, name, strlen(name))
			   ? 1
			   : MFS_ENOMEM;
}

static void advance(mfs_export *export)
{
	if (export->walk)
		export->next_file++;
	else
		export->single_is_done = true;
}

/* Read the file that is open. Returns 0 or MFS_ENOMEM. */
static int read_file(mfs_export *export, struct mfs__held_file *held)
{
	size_t size = (size_t)held->info.size;

	if (!export->data || size > export->room) {
		if (export->data)
			mfs__free(export->data, export->room);
		export->room = size ? size : 1;
		export->data = mfs__alloc(export->room);
		if (!export->data)
			return MFS_ENOMEM;
	}
	int64_t result = mfs_pread(held->file, export->data, size, 0);
	return result < 0 ? (int)result : 0;
}

/* Export the file at the path, unless it is clean and should not be: 1, or 0, or a code. */
static int export_file(mfs_export *export, struct mfs__held_file *held, mfs_export_item *item)
{
	/* A clean file needs no lock to be seen as such. */
	if (export->only_dirty) {
		mfs_info info;
		int code = mfs_stat(export->fs, export->path.bytes, &info);
		if (code || info.generation == 0)
			return code;
	}
	int code = mfs__held_open(held, export->fs, export->path.bytes, 0);
	if (code)
		return code;
	bool wanted = !export->only_dirty || held->info.generation > 0;
	if (wanted)
		code = read_file(export, held);
	mfs__held_close(held);
	if (code || !wanted)
		return code;
	*item = (mfs_export_item){
		.path = export->path.bytes,
		.data = export->data,
		.size = (size_t)held->info.size,
		.generation = held->info.generation,
		.modified_at = held->info.modified_at,
	};
	return 1;
}

int mfs_export_next(mfs_export *export, mfs_export_item *item)
{
	struct mfs__held_file held;
	int code;

	if (!export || !item)
		return mfs__fail(MFS_EINVAL, "mfs_export_next: NULL");
	mfs__held_begin(&held);
	while ((code = find_next(export)) == 1) {
		code = export_file(export, &held, item);
		if (code != MFS_ENOMEM)
			advance(export);
		if (code && !mfs__held_is_gone(code))
			break;
	}
	mfs__held_end(&held);
	if (code < 0)
		return mfs__fail_path(code, "export_next",
							  export->path.bytes ? export->path.bytes : export->level.path);
	return code;
}

int mfs_export_close(mfs_export *export)
{
	if (!export)
		return 0;
	if (export->walk)
		(void)mfs_walk_close(export->walk);
	else
		mfs__count(&export->fs->counters[mfs__stripe()].handles, -1);
	free_export(export);
	return 0;
}
