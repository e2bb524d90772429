/* SPDX-License-Identifier: MIT */
/*
 * Writing a directory of the workspace to the host as an archive.
 *
 * A walk (mfs_walk_next()) gives the order of the entries. Each file is opened for reading, so the
 * size in its entry's header holds until all of it is written, and its runs go to the archive as
 * they lie in the workspace's memory.
 */
#include "options.h"
#include "reporter.h"
#include "writer.h"

#include <dmemfs/archive.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL "create_archive"

/* Bytes of a file that are written between two looks at the clock. */
#define DATA_PIECE ((size_t)256 << 10)
/* Runs of a file that are asked for at a time. */
#define RUNS 16
/* What mfs_last_error() gives at most, with its NUL. */
#define NOTE_SIZE      512
#define LEVEL_MAX      9
#define LEVEL_MAX_ZSTD 22
/* A directory's path, a '/', a name and a NUL: what is longer than a path may be is still told. */
#define PATH_ROOM (MFS_PATH_MAX + 1 + MFS_NAME_MAX + 1)
/* What add_file() gives when the file is not there any more. */
#define GONE 1

struct creator {
	mfs *fs;
	const char *path; /* as the caller gave it */
	mfs_archive_create_options options;
	mfs_archive_progress progress;
	struct mfs__archive_reporter reporter;
	bool has_base;      /* the walk has come to its first level */
	size_t base_length; /* of that directory's path, 0 for the root */
	/* A failure that was got over has changed the thread's last error, which was `note`. */
	bool has_noted;
	char note[NOTE_SIZE];
	const char *name; /* of the entry at work */
	/* The path in the workspace of the file at work, or its name alone. */
	char file_path[PATH_ROOM];
	char dotted_name[PATH_ROOM + 2]; /* see set_name() */
	struct mfs__archive_writer writer;
};

/*
 * Failures: each ends the creation.
 */

static int fail(const char *path, int code)
{
	return mfs_set_last_error(code, CALL " of %.200s: %s", path, mfs_strerror(code));
}

/* The code of a refusal tells that something is not there any more, which is no failure. */
static bool is_gone(struct creator *creator, int code)
{
	if (code != MFS_ENOENT && code != MFS_ENOTDIR && code != MFS_EISDIR)
		return false;
	creator->has_noted = true;
	return true;
}

/*
 * Progress
 */

/* `name` is the entry's, NULL at the end. */
static int report(struct creator *creator, const char *name)
{
	creator->progress.path = name;
	return mfs__archive_report(&creator->reporter, &creator->progress)
			   ? 0
			   : fail(creator->path, MFS_ECANCELED);
}

static int report_now_and_then(struct creator *creator)
{
	return mfs__archive_report_is_due(&creator->reporter) ? report(creator, creator->name) : 0;
}

/*
 * Entries
 */

/*
 * Let `name`, which has to stay, be the entry's. One that looks as if it began with a drive gets a
 * "./" before it, so that no reader takes it for one.
 */
static void set_name(struct creator *creator, const char *name)
{
	creator->name = name;
	if (name[0] != '\0' && name[1] == ':') {
		memcpy(creator->dotted_name, "./", 2);
		memcpy(creator->dotted_name + 2, name, strlen(name) + 1);
		creator->name = creator->dotted_name;
	}
}

/* Begin the entry that has its name. */
static int begin_entry(struct creator *creator, const mfs_info *info)
{
	creator->progress.entries++;
	int code = report(creator, creator->name);
	return code ? code : mfs__archive_writer_header(&creator->writer, creator->name, info);
}

/* One run of a file. */
static int write_run(struct creator *creator, const struct iovec *run)
{
	const unsigned char *at = run->iov_base;
	size_t left = run->iov_len;
	int code = 0;

	while (left > 0 && !code) {
		size_t part = left < DATA_PIECE ? left : DATA_PIECE;
		code = mfs__archive_writer_data(&creator->writer, at, part);
		if (code)
			return code;
		at += part;
		left -= part;
		creator->progress.bytes += part;
		code = report_now_and_then(creator);
	}
	return code;
}

/* A file that `file` holds open for reading. */
static int write_file(struct creator *creator, mfs_file *file, const mfs_info *info)
{
	struct iovec runs[RUNS];
	int64_t at = 0;
	int code = begin_entry(creator, info);

	while (!code) {
		int count = mfs_view_runs(file, &at, info->size, runs, RUNS);
		if (count <= 0) {
			code = count;
			break;
		}
		for (int i = 0; i < count && !code; i++)
			code = write_run(creator, &runs[i]);
	}
	if (!code)
		code = mfs__archive_writer_end_entry(&creator->writer);
	if (!code)
		creator->progress.files++;
	return code;
}

/* The file at `path`, as the entry that is called `name`. Returns 0, GONE, or a code. */
static int add_file(struct creator *creator, const char *path)
{
	bool only_dirty = (creator->options.flags & MFS_ONLY_DIRTY) != 0;
	mfs_file *file;
	mfs_info info;
	int code = 0;

	if (only_dirty) {
		/* Nobody waits for a file that is left out. */
		code = mfs_stat(creator->fs, path, &info);
		if (!code && info.is_dir)
			return GONE;
		if (!code && info.generation == 0)
			return 0;
	}
	if (!code)
		code = mfs_open(creator->fs, path, "rb", &file);
	if (code)
		return is_gone(creator, code) ? GONE : code;
	/* While the handle is there, this is the file that the path names, and it does not change. */
	code = mfs_stat(creator->fs, path, &info);
	if (!code && (!only_dirty || info.generation > 0))
		code = write_file(creator, file, &info);
	(void)mfs_close(file);
	return code;
}

/* The directory itself, at `path`. */
static int add_directory(struct creator *creator, const char *path)
{
	mfs_info info;
	int code = mfs_stat(creator->fs, path, &info);

	if (code)
		return is_gone(creator, code) ? 0 : code;
	if (!info.is_dir)
		return 0;
	set_name(creator, path + creator->base_length + 1);
	code = begin_entry(creator, &info);
	if (!code)
		code = mfs__archive_writer_end_entry(&creator->writer);
	if (!code)
		creator->progress.directories++;
	return code;
}

/* A directory that the walk has come to, and its files. */
static int add_level(struct creator *creator, const mfs_walk_level *level)
{
	size_t length = strlen(level->path);
	int code = 0;

	if (length == 1)
		length = 0; /* the root's, which is only a '/' */
	if (!creator->has_base) {
		creator->has_base = true;
		creator->base_length = length;
	} else if (!(creator->options.flags & MFS_ONLY_DIRTY)) {
		code = add_directory(creator, level->path);
	}
	if (length > MFS_PATH_MAX)
		return fail(creator->path, MFS_ENAMETOOLONG);
	memcpy(creator->file_path, level->path, length);
	creator->file_path[length] = '/';
	for (size_t i = 0; i < level->file_count && code >= 0; i++) {
		memcpy(creator->file_path + length + 1, level->files[i], strlen(level->files[i]) + 1);
		set_name(creator, creator->file_path + creator->base_length + 1);
		code = add_file(creator, creator->file_path);
	}
	return code < 0 ? code : 0;
}

static int add_tree(struct creator *creator)
{
	mfs_walk_level level;
	mfs_walk *walk;
	int code = mfs_walk_open(creator->fs, creator->path, &walk);

	if (code)
		return code;
	while ((code = mfs_walk_next(walk, &level)) == 1) {
		code = add_level(creator, &level);
		if (code)
			break;
	}
	(void)mfs_walk_close(walk);
	return code;
}

/* Let the entry have the name of the file that a path names: its last component that counts. */
static void set_last_name(struct creator *creator, const char *path)
{
	const char *end = path + strlen(path);
	size_t dropped = 0; /* components that a ".." behind them takes back */

	for (;;) {
		while (end > path && (end[-1] == '/' || end[-1] == '\\'))
			end--;
		const char *start = end;
		while (start > path && start[-1] != '/' && start[-1] != '\\')
			start--;
		size_t length = (size_t)(end - start);
		bool is_up = length == 2 && memcmp(start, "..", 2) == 0;
		bool is_same = length == 1 && start[0] == '.';
		if (length == 0 || (!is_up && !is_same && dropped == 0)) {
			/* What is too long to be a name names no file, which is found out later. */
			length = length < MFS_NAME_MAX ? length : MFS_NAME_MAX;
			memcpy(creator->file_path, start, length);
			creator->file_path[length] = '\0';
			set_name(creator, creator->file_path);
			return;
		}
		if (is_up)
			dropped++;
		else if (!is_same)
			dropped--;
		end = start;
	}
}

static int add_all(struct creator *creator)
{
	/* What the path names may change between two calls. */
	for (;;) {
		if (!mfs_is_file(creator->fs, creator->path)) {
			int code = add_tree(creator);
			if (code != MFS_ENOTDIR || !mfs_is_file(creator->fs, creator->path))
				return code;
			creator->has_noted = true;
		} else {
			set_last_name(creator, creator->path);
			int code = add_file(creator, creator->path);
			if (code != GONE)
				return code;
		}
	}
}

/*
 * The call
 */

static int create(struct creator *creator, int fd)
{
	const mfs_archive_create_options *options = &creator->options;
	int code = mfs__archive_writer_begin(&creator->writer, creator->path, fd, options->format,
										 options->level);

	if (!code)
		code = add_all(creator);
	if (!code)
		code = report(creator, NULL);
	if (!code)
		code = mfs__archive_writer_end(&creator->writer);
	mfs__archive_writer_free(&creator->writer);
	return code;
}

static const char *fault_of(const mfs_archive_create_options *options)
{
	bool is_zstd = options->format == MFS_ARCHIVE_TAR_ZSTD;

	if (options->format < MFS_ARCHIVE_TAR_ZSTD || options->format > MFS_ARCHIVE_TAR)
		return "format";
	if (options->level < 0 || options->level > (is_zstd ? LEVEL_MAX_ZSTD : LEVEL_MAX))
		return "level";
	if (options->flags & ~(unsigned)MFS_ONLY_DIRTY)
		return "flags";
	if (options->reserved)
		return "reserved";
	return NULL;
}

int64_t mfs_create_archive(mfs *fs, const char *path, int fd,
						   const mfs_archive_create_options *options)
{
	mfs_archive_create_options given;

	if (!fs || !path)
		return mfs_set_last_error(MFS_EINVAL, CALL ": %s is NULL", fs ? "path" : "fs");
	if (!mfs__archive_options_copy(&given, sizeof given, options))
		return mfs_set_last_error(MFS_EINVAL, CALL ": struct_size of mfs_archive_create_options");
	if (given.result)
		*given.result = (mfs_archive_progress){0};
	const char *fault = fault_of(&given);
	if (fault)
		return mfs_set_last_error(MFS_EINVAL, CALL ": %s of mfs_archive_create_options", fault);

	struct creator *creator = malloc(sizeof *creator);
	if (!creator)
		return fail(path, MFS_ENOMEM);
	/* Without the buffers, which are large. */
	memset(creator, 0, offsetof(struct creator, file_path));
	creator->fs = fs;
	creator->path = path;
	creator->options = given;
	creator->reporter.on_progress = given.on_progress;
	creator->reporter.user = given.user;
	(void)snprintf(creator->note, sizeof creator->note, "%s", mfs_last_error());

	int code = create(creator, fd);
	int64_t result = code ? code : (int64_t)creator->progress.files;
	if (!code && creator->has_noted) {
		/* What was got over is no failure: the last one was another. */
		(void)mfs_set_last_error(MFS_ENOENT, "%s", creator->note);
	}
	creator->progress.path = NULL;
	if (given.result)
		*given.result = creator->progress;
	int host_error = creator->writer.host_error;
	free(creator);
	if (code == MFS_EHOST)
		errno = host_error;
	return result;
}
