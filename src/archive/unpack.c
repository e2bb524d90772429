/* SPDX-License-Identifier: MIT */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that zlib is asked for at a time. */
#define BUFFER_SIZE ((size_t)256 << 10)
/* Bytes that tell that it is gzip. */
#define GZIP_MAGIC 3
/* zlib: the largest window, and headers of gzip only. */
#define GZIP_WINDOW_BITS (MAX_WBITS + 16)

static int fail_memory(struct mfs__archive_unpack *unpack)
{
	return mfs__archive_fault(&unpack->fault, MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
}

/* What the input met is why there are no bytes. */
static int fail_input(struct mfs__archive_unpack *unpack)
{
	return mfs__archive_fault(&unpack->fault, unpack->input->fault.code, "%s",
							  unpack->input->fault.reason);
}

/*
 * gzip
 */

static int open_gzip(struct mfs__archive_unpack *unpack)
{
	unpack->buffer = malloc(BUFFER_SIZE);
	if (!unpack->buffer || inflateInit2(&unpack->zlib, GZIP_WINDOW_BITS) != Z_OK)
		return fail_memory(unpack);
	unpack->has_zlib = true;
	unpack->is_packed = true;
	return 0;
}

/* Let zlib have input. Returns 1, 0 at its end, or a code. */
static int feed_gzip(struct mfs__archive_unpack *unpack)
{
	const void *block;
	int64_t size = mfs__archive_input_next(unpack->input, &block);

	if (size < 0)
		return fail_input(unpack);
	if (size == 0)
		return 0;
	unpack->zlib.next_in = (Bytef *)(uintptr_t)block;
	unpack->zlib.avail_in = (uInt)size;
	return 1;
}

static int fail_gzip(struct mfs__archive_unpack *unpack, int result)
{
	if (result == Z_MEM_ERROR)
		return fail_memory(unpack);
	return mfs__archive_fault(&unpack->fault, MFS_EFORMAT, "gzip: %s",
							  unpack->zlib.msg ? unpack->zlib.msg : "damaged");
}

/*
 * The next block. A file of gzip is one member after the other. What follows the last one and does
 * not begin as a member does is left alone, as gzip does.
 */
static int64_t next_gzip(struct mfs__archive_unpack *unpack, const void **block)
{
	z_stream *zlib = &unpack->zlib;

	zlib->next_out = unpack->buffer;
	zlib->avail_out = (uInt)BUFFER_SIZE;
	while (zlib->avail_out == BUFFER_SIZE) {
		if (zlib->avail_in == 0) {
			int fed = feed_gzip(unpack);
			if (fed < 0)
				return fed;
			if (fed == 0 && unpack->in_member)
				return mfs__archive_fault(&unpack->fault, MFS_EFORMAT, "gzip: cut short");
			if (fed == 0)
				return 0;
		}
		if (!unpack->in_member) {
			if (unpack->had_member && *zlib->next_in != 0x1f)
				return 0;
			unpack->in_member = true;
		}
		int result = inflate(zlib, Z_NO_FLUSH);
		if (result == Z_STREAM_END) {
			unpack->in_member = false;
			unpack->had_member = true;
			(void)inflateReset(zlib);
		} else if (result != Z_OK && result != Z_BUF_ERROR) {
			return fail_gzip(unpack, result);
		}
	}
	*block = unpack->buffer;
	return (int64_t)(BUFFER_SIZE - zlib->avail_out);
}

/*
 * libarchive
 */

struct filter {
	int (*support)(struct archive *archive);
	bool in_all; /* only where all are wanted */
};

/* Those that libarchive can undo by itself. gzip is for what lies in uuencode or a package. */
static const struct filter filters[] = {
	{archive_read_support_filter_bzip2, false}, {archive_read_support_filter_xz, false},
	{archive_read_support_filter_lzma, false},  {archive_read_support_filter_zstd, false},
	{archive_read_support_filter_lz4, false},   {archive_read_support_filter_compress, true},
	{archive_read_support_filter_lzip, true},   {archive_read_support_filter_lzop, true},
	{archive_read_support_filter_uu, true},     {archive_read_support_filter_rpm, true},
	{archive_read_support_filter_gzip, true},
};

#define FILTERS (sizeof filters / sizeof filters[0])

static la_ssize_t read_input(struct archive *archive, void *user, const void **block)
{
	struct mfs__archive_unpack *unpack = user;
	int64_t size = mfs__archive_input_next(unpack->input, block);

	if (size >= 0)
		return (la_ssize_t)size;
	archive_set_error(archive, EIO, "%s", unpack->input->fault.reason);
	return ARCHIVE_FATAL;
}

static int fail_filters(struct mfs__archive_unpack *unpack)
{
	if (unpack->input->fault.code)
		return fail_input(unpack);
	if (archive_errno(unpack->filters) == ENOMEM)
		return fail_memory(unpack);
	const char *reason = archive_error_string(unpack->filters);
	return mfs__archive_fault(&unpack->fault, MFS_EFORMAT, "%s",
							  reason ? reason : "damaged, or cut short");
}

/*
 * An object of libarchive with all filters that it has inside. Where it was built without a library
 * it would run a program for the format, and says so with a warning when it is too late: then
 * another object is made without that filter. Returns NULL without memory.
 */
static struct archive *new_filters(bool all)
{
	bool left_out[FILTERS] = {false};

	for (;;) {
		struct archive *archive = archive_read_new();
		bool runs_program = false;
		if (!archive || archive_read_support_format_raw(archive) != ARCHIVE_OK) {
			(void)archive_read_free(archive);
			return NULL;
		}
		for (size_t i = 0; i < FILTERS; i++) {
			if (left_out[i] || (filters[i].in_all && !all))
				continue;
			if (filters[i].support(archive) != ARCHIVE_OK) {
				left_out[i] = true;
				runs_program = true;
			}
		}
		if (!runs_program)
			return archive;
		(void)archive_read_free(archive);
	}
}

static int open_filters(struct mfs__archive_unpack *unpack, bool all)
{
	struct archive_entry *entry;

	unpack->filters = new_filters(all);
	if (!unpack->filters)
		return fail_memory(unpack);
	if (archive_read_open(unpack->filters, unpack, NULL, read_input, NULL) != ARCHIVE_OK ||
		archive_read_next_header(unpack->filters, &entry) != ARCHIVE_OK)
		return fail_filters(unpack);
	unpack->is_packed = archive_filter_count(unpack->filters) > 1;
	return 0;
}

static int64_t next_filters(struct mfs__archive_unpack *unpack, const void **block)
{
	for (;;) {
		size_t size;
		la_int64_t offset;
		int result = archive_read_data_block(unpack->filters, block, &size, &offset);
		if (result == ARCHIVE_EOF)
			return 0;
		if (result != ARCHIVE_OK)
			return fail_filters(unpack);
		if (size > 0)
			return (int64_t)size;
	}
}

/*
 * Either
 */

int mfs__archive_unpack_open(struct mfs__archive_unpack *unpack, struct mfs_archive_input *input,
							 bool all)
{
	const void *head;

	memset(unpack, 0, sizeof *unpack);
	unpack->input = input;
	int64_t size = mfs__archive_input_head(input, GZIP_MAGIC, &head);
	if (size < 0)
		return fail_input(unpack);
	if (size == GZIP_MAGIC && memcmp(head, "\x1f\x8b\x08", GZIP_MAGIC) == 0)
		return open_gzip(unpack);
	int code = open_filters(unpack, all);
	if (!code && !unpack->is_packed && input->can_seek) {
		(void)archive_read_free(unpack->filters);
		unpack->filters = NULL;
		(void)mfs__archive_input_seek(input, 0);
	}
	return code;
}

void mfs__archive_unpack_close(struct mfs__archive_unpack *unpack)
{
	if (unpack->has_zlib)
		(void)inflateEnd(&unpack->zlib);
	free(unpack->buffer);
	(void)archive_read_free(unpack->filters);
}

int64_t mfs__archive_unpack_next(struct mfs__archive_unpack *unpack, const void **block)
{
	if (unpack->fault.code)
		return unpack->fault.code;
	return unpack->has_zlib ? next_gzip(unpack, block) : next_filters(unpack, block);
}
