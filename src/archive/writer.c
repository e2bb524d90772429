/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL "create_archive"

/* Pieces of as many bytes are not gathered. */
#define LARGE_PIECE    ((size_t)32 << 10)
#define FILE_MODE      0644
#define DIRECTORY_MODE 0755
#define NS_PER_S       INT64_C(1000000000)

static int fail_memory(const struct mfs__archive_writer *writer)
{
	return mfs_set_last_error(MFS_ENOMEM, CALL " of %.200s: %s", writer->path,
							  mfs_strerror(MFS_ENOMEM));
}

/* libarchive does not go on: for what the descriptor said, for memory, or for a reason it has. */
static int fail(const struct mfs__archive_writer *writer)
{
	char buffer[80];

	if (writer->host_error) {
		return mfs_set_last_error(MFS_EHOST, CALL " of %.200s: %s: %s", writer->path,
								  mfs_strerror(MFS_EHOST),
								  strerror_r(writer->host_error, buffer, sizeof buffer));
	}
	if (archive_errno(writer->archive) == ENOMEM)
		return fail_memory(writer);
	const char *reason = archive_error_string(writer->archive);
	return mfs_set_last_error(MFS_ENOTSUP, CALL " of %.200s: %s", writer->path,
							  reason ? reason : mfs_strerror(MFS_ENOTSUP));
}

/*
 * The descriptor
 */

/* What was gathered, and then `size` bytes more. Returns false with host_error set. */
static bool write_all(struct mfs__archive_writer *writer, const void *data, size_t size)
{
	struct iovec left[2] = {
		{.iov_base = writer->buffer, .iov_len = writer->pending},
		{.iov_base = (void *)(uintptr_t)data, .iov_len = size},
	};

	writer->pending = 0;
	while (left[0].iov_len + left[1].iov_len > 0) {
		ssize_t written = writev(writer->fd, left, 2);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			writer->host_error = written < 0 ? errno : EIO;
			return false;
		}
		size_t rest = (size_t)written;
		for (int i = 0; i < 2; i++) {
			size_t part = rest < left[i].iov_len ? rest : left[i].iov_len;
			left[i].iov_base = (unsigned char *)left[i].iov_base + part;
			left[i].iov_len -= part;
			rest -= part;
		}
	}
	return true;
}

/*
 * libarchive's callback. That the descriptor refuses is not told to libarchive, which would not
 * free all that it took: from then on its bytes are dropped, and whoever called it looks at
 * host_error.
 */
static la_ssize_t write_out(struct archive *archive, void *user, const void *data, size_t size)
{
	struct mfs__archive_writer *writer = user;

	(void)archive;
	if (writer->is_dropping || size == 0)
		return (la_ssize_t)size;
	if (size < LARGE_PIECE && size <= sizeof writer->buffer - writer->pending) {
		memcpy(writer->buffer + writer->pending, data, size);
		writer->pending += size;
	} else if (!write_all(writer, data, size)) {
		writer->is_dropping = true;
	}
	return (la_ssize_t)size;
}

/*
 * Beginning
 */

/* Returns false if libarchive does not take an option. */
static bool set_level(const struct mfs__archive_writer *writer, int level)
{
	char text[8];

	if (level == 0 || writer->format == MFS_ARCHIVE_TAR)
		return true;
	(void)snprintf(text, sizeof text, "%d", level);
	return (writer->format == MFS_ARCHIVE_ZIP
				? archive_write_set_format_option(writer->archive, NULL, "compression-level", text)
				: archive_write_set_filter_option(writer->archive, NULL, "compression-level",
												  text)) == ARCHIVE_OK;
}

/* Returns false if libarchive lacks the format; a compressor that is another program does not do.
 */
static bool set_format(const struct mfs__archive_writer *writer)
{
	struct archive *archive = writer->archive;

	if (writer->format == MFS_ARCHIVE_ZIP) {
		return archive_write_set_format_zip(archive) == ARCHIVE_OK &&
			   archive_write_zip_set_compression_deflate(archive) == ARCHIVE_OK;
	}
	if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK)
		return false;
	if (writer->format == MFS_ARCHIVE_TAR_ZSTD)
		return archive_write_add_filter_zstd(archive) == ARCHIVE_OK;
	if (writer->format == MFS_ARCHIVE_TAR_GZIP) {
		/* Without the time of day, which would make equal trees differ. */
		return archive_write_add_filter_gzip(archive) == ARCHIVE_OK &&
			   archive_write_set_filter_option(archive, "gzip", "timestamp", NULL) == ARCHIVE_OK;
	}
	return true;
}

/* Without a locale of UTF-8, names are read in the process's. Returns 0 or MFS_ENOMEM. */
static int find_locales(struct mfs__archive_writer *writer)
{
	writer->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!writer->utf8)
		return errno == ENOMEM ? fail_memory(writer) : 0;
	writer->ascii = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	return writer->ascii ? 0 : fail_memory(writer);
}

int mfs__archive_writer_begin(struct mfs__archive_writer *writer, const char *path, int fd,
							  int format, int level)
{
	/* Without the buffer, which is large. */
	memset(writer, 0, offsetof(struct mfs__archive_writer, buffer));
	writer->path = path;
	writer->fd = fd;
	writer->format = format;
	int code = find_locales(writer);
	if (code)
		return code;
	writer->archive = archive_write_new();
	writer->entry = archive_entry_new();
	if (!writer->archive || !writer->entry)
		return fail_memory(writer);
	if (!set_format(writer) || !set_level(writer, level))
		return fail(writer);
	/* Blocks of no size: write_out() gets all as it comes. */
	if (archive_write_set_bytes_per_block(writer->archive, 0) != ARCHIVE_OK ||
		archive_write_open(writer->archive, writer, NULL, write_out, NULL) != ARCHIVE_OK)
		return fail(writer);
	writer->is_open = true;
	return 0;
}

/*
 * Entries
 */

/* What libarchive gave for a call. A warning says that a name is no UTF-8. */
static int check(const struct mfs__archive_writer *writer, int result)
{
	return result < ARCHIVE_WARN || writer->host_error ? fail(writer) : 0;
}

/* The bytes of the character of UTF-8 that begins with `lead`, 0 if none does. */
static size_t length_of(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	if (lead < 0xe0)
		return 2;
	return lead < 0xf0 ? 3 : 4;
}

static bool is_utf8(const char *name)
{
	const unsigned char *at = (const unsigned char *)name;

	while (*at != '\0') {
		size_t length = length_of(*at);
		/* The second byte tells what is too small, a surrogate, or too large. */
		bool is_bad = length == 0 || (at[0] == 0xe0 && at[1] < 0xa0) ||
					  (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf0 && at[1] < 0x90) ||
					  (at[0] == 0xf4 && at[1] >= 0x90);
		for (size_t i = 1; i < length && !is_bad; i++)
			is_bad = (at[i] & 0xc0) != 0x80;
		if (is_bad)
			return false;
		at += length;
	}
	return true;
}

int mfs__archive_writer_header(struct mfs__archive_writer *writer, const char *name,
							   const mfs_info *info)
{
	struct archive_entry *entry = writer->entry;
	locale_t before = (locale_t)0;

	archive_entry_clear(entry);
	archive_entry_copy_pathname(entry, name);
	archive_entry_set_filetype(entry, info->is_dir ? AE_IFDIR : AE_IFREG);
	archive_entry_set_perm(entry, info->is_dir ? DIRECTORY_MODE : FILE_MODE);
	archive_entry_set_size(entry, info->size);
	/* Whole seconds: formats differ in what else they keep. */
	archive_entry_set_mtime(entry, (time_t)(info->modified_at / NS_PER_S), 0);
	if (writer->utf8) {
		bool is_marked = writer->format != MFS_ARCHIVE_ZIP || is_utf8(name);
		before = uselocale(is_marked ? writer->utf8 : writer->ascii);
	}
	int result = archive_write_header(writer->archive, entry);
	if (before)
		(void)uselocale(before);
	writer->in_entry = result >= ARCHIVE_WARN;
	return check(writer, result);
}

int mfs__archive_writer_data(struct mfs__archive_writer *writer, const void *data, size_t size)
{
	const unsigned char *at = data;

	while (size > 0) {
		la_ssize_t written = archive_write_data(writer->archive, at, size);
		if (written <= 0 || writer->host_error)
			return fail(writer);
		at += written;
		size -= (size_t)written;
	}
	return 0;
}

int mfs__archive_writer_end_entry(struct mfs__archive_writer *writer)
{
	writer->in_entry = false;
	return check(writer, archive_write_finish_entry(writer->archive));
}

/*
 * Ending
 */

int mfs__archive_writer_end(struct mfs__archive_writer *writer)
{
	writer->is_open = false;
	int code = check(writer, archive_write_close(writer->archive));
	if (!code && !write_all(writer, "", 0))
		code = fail(writer);
	return code;
}

void mfs__archive_writer_free(struct mfs__archive_writer *writer)
{
	if (writer->is_open) {
		/*
		 * It ends early, and what libarchive would still write is dropped. An entry of zip has to
		 * be ended, or its compressor is not freed. One of tar must not: it would be filled up to
		 * its size.
		 */
		writer->is_dropping = true;
		if (writer->in_entry && writer->format == MFS_ARCHIVE_ZIP)
			(void)archive_write_finish_entry(writer->archive);
		(void)archive_write_fail(writer->archive);
		(void)archive_write_close(writer->archive);
	}
	archive_entry_free(writer->entry);
	(void)archive_write_free(writer->archive);
	if (writer->utf8)
		freelocale(writer->utf8);
	if (writer->ascii)
		freelocale(writer->ascii);
}
