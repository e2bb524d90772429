/* SPDX-License-Identifier: MIT */
/* Opening streams, on files and on open handles. */
#include "mode.h"
#include "stream.h"

#include <dmemfs/stdio.h>

#include <stdlib.h>

/* The mode of the handle under a stream. */
static const char *handle_mode(const struct mfs__stdio_mode *mode)
{
	if (mode->access == 'r')
		return mode->update ? "r+b" : "rb";
	if (mode->access == 'a')
		return mode->update ? "a+b" : "ab";
	if (mode->exclusive)
		return mode->update ? "x+b" : "xb";
	return mode->update ? "w+b" : "wb";
}

/*
 * Open a file that must not exist, for appending. Until the second handle is there the first one
 * holds the file, so that its name cannot come to mean another.
 */
static int open_new_for_append(mfs *fs, const char *path, const char *mode,
							   const mfs_open_options *options, mfs_file **out)
{
	mfs_file *made = NULL;

	int code = mfs_open(fs, path, "xb", &made);
	if (code)
		return code;
	code = mfs_open_ex(fs, path, mode, options, out);
	(void)mfs_close(made);
	if (code)
		(void)mfs_remove(fs, path);
	return code;
}

static int open_handle(mfs *fs, const char *path, const struct mfs__stdio_mode *mode,
					   mfs_file **out)
{
	const mfs_open_options options = {.struct_size = sizeof options, .flags = MFS_O_SHARED};
	const char *handle = handle_mode(mode);

	if (mode->exclusive && mode->access == 'a')
		return open_new_for_append(fs, path, handle, &options, out);
	return mfs_open_ex(fs, path, handle, &options, out);
}

/* Position a new stream. Returns 0, or a code. */
static int go_to_start(const struct mfs__stdio_mode *mode, mfs_file *file)
{
	/* What only appends is at the end from the beginning. */
	if (mode->access != 'a' || mode->update)
		return 0;
	int64_t position = mfs_seek(file, 0, SEEK_END);
	return position < 0 ? (int)position : 0;
}

/* Returns NULL, for `return refuse(...)`. */
static FILE *refuse(int code)
{
	errno = mfs__stdio_errno(code);
	return NULL;
}

/* A stream that could not become whole goes; errno says why. Returns NULL. */
static FILE *abandon(FILE *opened, int code)
{
	(void)fclose(opened);
	return refuse(code);
}

FILE *mfs_fopen(mfs *fs, const char *path, const char *mode)
{
	struct mfs__stdio_mode parsed;
	struct mfs__stdio_stream *stream;

	if (!fs || !path || !mode)
		return refuse(mfs_set_last_error(MFS_EINVAL, "mfs_fopen: NULL"));
	if (!mfs__stdio_parse_mode(mode, &parsed) || (parsed.exclusive && parsed.access == 'r'))
		return refuse(
			mfs_set_last_error(MFS_EINVAL, "mfs_fopen of %s: the mode is \"%s\"", path, mode));
	FILE *opened = mfs__stdio_stream_new(&parsed, &stream);
	if (!opened)
		return refuse(MFS_ENOMEM);
	int code = open_handle(fs, path, &parsed, &stream->file);
	if (code)
		return abandon(opened, code);
	/* Cannot fail: the handle is new, and nobody else knows it. */
	(void)go_to_start(&parsed, stream->file);
	return opened;
}

/* Whether a handle can do what a mode says. Returns 0 or a code, noted. */
static int check_handle(mfs_file *file, const struct mfs__stdio_mode *mode)
{
	int reads = mfs_readable(file);
	int writes = mfs_writable(file);

	if (reads < 0 || writes < 0)
		return mfs_set_last_error(MFS_EBADF, "mfs_fdopen: %s", mfs_strerror(MFS_EBADF));
	if ((mfs__stdio_reads(mode) && !reads) || (mfs__stdio_writes(mode) && !writes))
		return mfs_set_last_error(MFS_EINVAL, "mfs_fdopen: the handle is not open for %s",
								  mfs__stdio_reads(mode) && !reads ? "reading" : "writing");
	return 0;
}

FILE *mfs_fdopen(mfs_file *file, const char *mode)
{
	struct mfs__stdio_mode parsed;
	struct mfs__stdio_stream *stream;

	if (!mode)
		return refuse(mfs_set_last_error(MFS_EINVAL, "mfs_fdopen: NULL"));
	if (!mfs__stdio_parse_mode(mode, &parsed))
		return refuse(mfs_set_last_error(MFS_EINVAL, "mfs_fdopen: the mode is \"%s\"", mode));
	int code = check_handle(file, &parsed);
	if (code)
		return refuse(code);
	FILE *opened = mfs__stdio_stream_new(&parsed, &stream);
	if (!opened)
		return refuse(MFS_ENOMEM);
	code = go_to_start(&parsed, file);
	if (code)
		return abandon(opened, code);
	stream->file = file;
	stream->seeks_end = parsed.access == 'a';
	return opened;
}
