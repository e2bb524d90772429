/* SPDX-License-Identifier: MIT */
/*
 * The functions that the C library calls where it would call read(), write(), lseek() and close().
 *
 * There are two ways to give it such functions: fopencookie() of glibc and musl, and funopen() of
 * the BSDs and macOS. What they ask for is the same, but for the types.
 */
#include "stream.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) ||   \
	defined(__DragonFly__)
#define HAS_FUNOPEN 1
#else
#define HAS_FUNOPEN 0
#endif

/*
 * As for files of a host with blocks of 4 KiB, so that the C library writes and flushes at the same
 * places. A call on a handle costs some ten nanoseconds, and so larger buffers gain nothing; but
 * they cost those who seek, as glibc fills the buffer after each seek.
 */
#define BUFFER_SIZE ((size_t)4 << 10)

int mfs__stdio_errno(int code)
{
	switch (code) {
	case MFS_EMEMGUARD:
		return ENOMEM;
	case MFS_EHOST:
	case MFS_EFORMAT:
		return EIO;
	default:
		return -code;
	}
}

/* Returns the bytes read, 0 at the end, or -1 with errno. */
static int64_t read_some(struct mfs__stdio_stream *stream, char *buffer, size_t size)
{
	int64_t length = mfs_read(stream->file, buffer, size);

	if (length >= 0)
		return length;
	errno = mfs__stdio_errno((int)length);
	return -1;
}

/* Returns `size`, or -1 with errno. */
static int64_t write_all(struct mfs__stdio_stream *stream, const char *buffer, size_t size)
{
	int64_t length = 0;

	if (stream->seeks_end)
		length = mfs_seek(stream->file, 0, SEEK_END);
	if (length >= 0)
		length = mfs_write(stream->file, buffer, size);
	if (length >= 0)
		return length;
	errno = mfs__stdio_errno((int)length);
	return -1;
}

/* Seek behind the end, for which a handle has no call of its own. */
static int64_t seek_past_end(mfs_file *file, int64_t offset)
{
	int64_t before = mfs_tell(file);
	if (before < 0)
		return before;
	int64_t position = mfs_seek(file, 0, SEEK_END);
	if (position < 0)
		return position;
	position = mfs_seek(file, offset, SEEK_CUR);
	if (position < 0)
		(void)mfs_seek(file, before, SEEK_SET);
	return position;
}

/* Returns the new position, or -1 with errno. */
static int64_t seek_to(struct mfs__stdio_stream *stream, int64_t offset, int whence)
{
	int64_t position = whence == SEEK_END && offset > 0 ? seek_past_end(stream->file, offset)
														: mfs_seek(stream->file, offset, whence);

	if (position >= 0)
		return position;
	errno = mfs__stdio_errno((int)position);
	return -1;
}

/* The C library has done with the buffer. Returns 0, or -1 with errno. */
static int close_stream(void *cookie)
{
	struct mfs__stdio_stream *stream = cookie;
	/* A flush that has failed before tells why through errno. */
	int saved = errno;
	int code = mfs_close(stream->file);

	free(stream);
	errno = code ? mfs__stdio_errno(code) : saved;
	return code ? -1 : 0;
}

#if HAS_FUNOPEN

static int on_read(void *cookie, char *buffer, int size)
{
	return (int)read_some(cookie, buffer, (size_t)size);
}

static int on_write(void *cookie, const char *buffer, int size)
{
	return (int)write_all(cookie, buffer, (size_t)size);
}

static fpos_t on_seek(void *cookie, fpos_t offset, int whence)
{
	return (fpos_t)seek_to(cookie, (int64_t)offset, whence);
}

static FILE *open_stream(struct mfs__stdio_stream *stream, const struct mfs__stdio_mode *mode)
{
	return funopen(stream, mfs__stdio_reads(mode) ? on_read : NULL,
				   mfs__stdio_writes(mode) ? on_write : NULL, on_seek, close_stream);
}

#else

static ssize_t on_read(void *cookie, char *buffer, size_t size)
{
	return (ssize_t)read_some(cookie, buffer, size);
}

static ssize_t on_write(void *cookie, const char *buffer, size_t size)
{
	int64_t length = write_all(cookie, buffer, size);

#ifdef __GLIBC__
	/*
	 * Having read ahead, glibc seeks back before it writes, and notes where that was; what it then
	 * writes it adds for descriptors only. The next fseek() from there would go wrong. Without a
	 * note it asks on_seek(). The stream's lock guards this field; atomic for race detectors, which
	 * do not know that lock.
	 */
	struct mfs__stdio_stream *stream = cookie;
	__atomic_store_n(&stream->opened->_offset, -1, __ATOMIC_RELAXED);
	/* A number below `size` is an error to it, but a negative one would be counted. */
	if (length < 0)
		length = 0;
#endif
	return (ssize_t)length;
}

/* The offset is an off64_t, a type that not every C library shows. */
static int on_seek(void *cookie, int64_t *offset, int whence)
{
	int64_t position = seek_to(cookie, *offset, whence);

	if (position < 0)
		return -1;
	*offset = position;
	return 0;
}

static FILE *open_stream(struct mfs__stdio_stream *stream, const struct mfs__stdio_mode *mode)
{
	const cookie_io_functions_t functions = {
		.read = on_read,
		.write = on_write,
		.seek = on_seek,
		.close = close_stream,
	};
	const char letters[] = {mode->access, mode->update ? '+' : '\0', '\0'};

	return fopencookie(stream, letters, functions);
}

#endif

FILE *mfs__stdio_stream_new(const struct mfs__stdio_mode *mode, struct mfs__stdio_stream **out)
{
	struct mfs__stdio_stream *stream = malloc(sizeof *stream + BUFFER_SIZE);
	if (!stream)
		goto fail;
	stream->file = NULL;
	stream->seeks_end = false;
	FILE *opened = open_stream(stream, mode);
	if (!opened) {
		free(stream);
		goto fail;
	}
	stream->opened = opened;
	/* Cannot fail for a stream that has done nothing yet. */
	(void)setvbuf(opened, stream->buffer, _IOFBF, BUFFER_SIZE);
	*out = stream;
	return opened;

fail:
	(void)mfs_set_last_error(MFS_ENOMEM, "open of a stream: %s", mfs_strerror(MFS_ENOMEM));
	return NULL;
}
