/* SPDX-License-Identifier: MIT */
/*
 * Archives that are made in memory, byte by byte, so that a test can write what no archiver would:
 * tar and zip entries with any name, type and size, and compression around any bytes.
 *
 * Needs libarchive for the compression. Assertions are in here: for the main thread.
 *
 *     struct bytes tar = {0};
 *
 *     tar_directory(&tar, "dir/");
 *     tar_file(&tar, "dir/file", "text");
 *     tar_end(&tar);
 *     struct bytes packed = bytes_compress(&tar, "gzip");
 */
#ifndef DMEMFS_TESTS_MAKE_ARCHIVE_H
#define DMEMFS_TESTS_MAKE_ARCHIVE_H

#include "support.h"

#include <archive.h>
#include <archive_entry.h>

/*
 * Bytes
 */

/** Bytes that grow. Begin with {0}, end with bytes_free(). */
struct bytes {
	unsigned char *data;
	size_t size;
	size_t room;
};

static inline void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}

/**
 * `size` more bytes at the end, which are zeros. Valid until more are added. Not inline: gcc 12
 * then warns of the path on which there was room for a constant size that there is not.
 */
__attribute__((noinline)) static unsigned char *bytes_extend(struct bytes *bytes, size_t size)
{
	if (bytes->data == NULL || bytes->room - bytes->size < size) {
		bytes->room = 2 * (bytes->size + size) + 1;
		bytes->data = realloc(bytes->data, bytes->room);
		assert_non_null(bytes->data);
	}
	if (size > 0) {
		memset(bytes->data + bytes->size, 0, size);
	}
	bytes->size += size;
	return bytes->data + bytes->size - size;
}

static inline void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
	if (size > 0) {
		memcpy(bytes_extend(bytes, size), data, size);
	}
}

/** The `size` lowest bytes of a number, the lowest first. */
static inline void bytes_number(struct bytes *bytes, uint64_t number, size_t size)
{
	unsigned char *at = bytes_extend(bytes, size);

	for (size_t i = 0; i < size; i++) {
		at[i] = (unsigned char)(number >> (8 * i));
	}
}

static inline la_ssize_t make_archive__append(struct archive *archive, void *user, const void *data,
											  size_t size)
{
	(void)archive;
	bytes_append(user, data, size);
	return (la_ssize_t)size;
}

/** Bytes compressed: "gzip", "bzip2", "xz", "lzma", "zstd" or "lz4". */
static inline struct bytes bytes_compress(const struct bytes *bytes, const char *filter)
{
	struct bytes packed = {0};
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	assert_non_null(archive);
	assert_non_null(entry);
	assert_int_equal(archive_write_set_format_raw(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter_by_name(archive, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_per_block(archive, 0), ARCHIVE_OK);
	assert_int_equal(archive_write_open(archive, &packed, NULL, make_archive__append, NULL),
					 ARCHIVE_OK);
	archive_entry_set_pathname(entry, "bytes");
	archive_entry_set_filetype(entry, AE_IFREG);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, bytes->data, bytes->size), bytes->size);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_entry_free(entry);
	assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
	return packed;
}

/*
 * tar
 */

/** Types of entries. */
enum {
	TAR_FILE = '0',
	TAR_HARD_LINK = '1',
	TAR_SYMLINK = '2',
	TAR_CHAR_DEVICE = '3',
	TAR_BLOCK_DEVICE = '4',
	TAR_DIRECTORY = '5',
	TAR_FIFO = '6',
	TAR_PAX = 'x',
	TAR_PAX_GLOBAL = 'g',
	TAR_GNU_LONG_NAME = 'L',
	TAR_GNU_LONG_LINK = 'K',
	TAR_GNU_SPARSE = 'S',
};

/** Offsets in a header. */
enum {
	TAR_NAME_AT = 0,
	TAR_SIZE_AT = 124,
	TAR_CHECKSUM_AT = 148,
	TAR_TYPE_AT = 156,
	TAR_LINK_AT = 157,
	TAR_MAGIC_AT = 257,
	TAR_HEADER_SIZE = 512,
};

/** Make a header valid again that was changed by hand. */
static inline void tar_set_checksum(unsigned char *header)
{
	unsigned sum = 0;

	memset(header + TAR_CHECKSUM_AT, ' ', 8);
	for (size_t i = 0; i < TAR_HEADER_SIZE; i++) {
		sum += header[i];
	}
	snprintf((char *)header + TAR_CHECKSUM_AT, 8, "%06o", sum);
}

/**
 * A header alone, that claims `size` bytes. `link` may be NULL. A path of more than 100 bytes gets
 * a GNU long name before it. Returns the header, to be changed with tar_set_checksum() after it;
 * valid until more bytes are added.
 */
static inline unsigned char *tar_header(struct bytes *tar, const char *path, char type,
										const char *link, uint64_t size)
{
	size_t length = strlen(path);

	if (length > 100) {
		unsigned char *name = tar_header(tar, "././@LongLink", TAR_GNU_LONG_NAME, NULL, length + 1);

		memcpy(name + TAR_MAGIC_AT, "ustar  ", 8);
		tar_set_checksum(name);
		memcpy(bytes_extend(tar, (length + 1 + 511) / 512 * 512), path, length);
		length = 100;
	}
	unsigned char *header = bytes_extend(tar, TAR_HEADER_SIZE);

	memcpy(header + TAR_NAME_AT, path, length);
	memcpy(header + 100, "0000644", 8);
	memcpy(header + 108, "0000000", 8);
	memcpy(header + 116, "0000000", 8);
	if (size < (UINT64_C(1) << 33)) {
		snprintf((char *)header + TAR_SIZE_AT, 12, "%011llo", (unsigned long long)size);
	} else {
		/* Base 256, as GNU tar writes it. */
		header[TAR_SIZE_AT] = 0x80;
		for (unsigned i = 0; i < 8; i++) {
			header[TAR_SIZE_AT + 11 - i] = (unsigned char)(size >> (8 * i));
		}
	}
	memcpy(header + 136, "00000000000", 12);
	header[TAR_TYPE_AT] = (unsigned char)type;
	if (link != NULL) {
		memcpy(header + TAR_LINK_AT, link, strnlen(link, 100));
	}
	memcpy(header + TAR_MAGIC_AT, "ustar", 6);
	memcpy(header + TAR_MAGIC_AT + 6, "00", 2);
	tar_set_checksum(header);
	return header;
}

/** An entry with its data. */
static inline void tar_entry(struct bytes *tar, const char *path, char type, const void *data,
							 size_t size)
{
	tar_header(tar, path, type, NULL, size);
	bytes_append(tar, data, size);
	bytes_extend(tar, (512 - size % 512) % 512);
}

static inline void tar_file(struct bytes *tar, const char *path, const char *text)
{
	tar_entry(tar, path, TAR_FILE, text, strlen(text));
}

static inline void tar_directory(struct bytes *tar, const char *path)
{
	tar_header(tar, path, TAR_DIRECTORY, NULL, 0);
}

/** TAR_SYMLINK or TAR_HARD_LINK. */
static inline void tar_link(struct bytes *tar, const char *path, char type, const char *target)
{
	tar_header(tar, path, type, target, 0);
}

/** A record of an extended header, such as "path", at the end of the others. */
static inline void tar_pax_record(struct bytes *records, const char *key, const void *value,
								  size_t size)
{
	/* It begins with its own length in decimal digits. */
	size_t rest = 1 + strlen(key) + 1 + size + 1;
	size_t length = rest + 1;
	char digits[24];

	for (;;) {
		size_t with = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", length);

		if (with == length) {
			break;
		}
		length = with;
	}
	bytes_append(records, digits, strlen(digits));
	bytes_append(records, " ", 1);
	bytes_append(records, key, strlen(key));
	bytes_append(records, "=", 1);
	bytes_append(records, value, size);
	bytes_append(records, "\n", 1);
}

/** An extended header of such records, which hold for the next entry. They are freed. */
static inline void tar_pax_records(struct bytes *tar, struct bytes *records)
{
	tar_entry(tar, "PaxHeaders/x", TAR_PAX, records->data, records->size);
	bytes_free(records);
}

/** An extended header of one record. */
static inline void tar_pax(struct bytes *tar, const char *key, const void *value, size_t size)
{
	struct bytes records = {0};

	tar_pax_record(&records, key, value, size);
	tar_pax_records(tar, &records);
}

/** The two empty blocks at the end. */
static inline void tar_end(struct bytes *tar)
{
	bytes_extend(tar, 1024);
}

/*
 * zip
 */

/** The usual checksum of zip and gzip. */
static inline uint32_t crc32_of(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++) {
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT32_C(0xedb88320) : 0);
		}
	}
	return ~crc;
}

/** A zip that is being made. Begin with {0}; after zip_end() `bytes` is the archive. */
struct zip {
	struct bytes bytes;
	struct bytes directory;
	unsigned entries;
};

/** What one of the two headers of an entry says. */
struct zip_header {
	const char *path;
	uint16_t flags;
	uint16_t method; /* 0: stored, 8: deflated */
	uint32_t crc;
	uint32_t packed_size;
	uint32_t size;
	uint32_t attributes; /* Unix: mode << 16; in the directory only */
	const void *extra;
	uint16_t extra_size;
};

/** An entry with any two headers and any bytes. */
static inline void zip_raw(struct zip *zip, const struct zip_header *local,
						   const struct zip_header *central, const void *data, size_t size)
{
	size_t offset = zip->bytes.size;
	struct bytes *to = &zip->bytes;

	for (int pass = 0; pass < 2; pass++) {
		const struct zip_header *header = pass == 0 ? local : central;

		if (pass == 1) {
			to = &zip->directory;
			bytes_append(to, "PK\1\2", 4);
			bytes_number(to, 0x0314, 2); /* made by Unix */
		} else {
			bytes_append(to, "PK\3\4", 4);
		}
		bytes_number(to, 20, 2);
		bytes_number(to, header->flags, 2);
		bytes_number(to, header->method, 2);
		bytes_number(to, 0x00210000, 4); /* 1980-01-01 */
		bytes_number(to, header->crc, 4);
		bytes_number(to, header->packed_size, 4);
		bytes_number(to, header->size, 4);
		bytes_number(to, strlen(header->path), 2);
		bytes_number(to, header->extra_size, 2);
		if (pass == 1) {
			bytes_number(to, 0, 6); /* comment, disk, internal attributes */
			bytes_number(to, header->attributes, 4);
			bytes_number(to, offset, 4);
		}
		bytes_append(to, header->path, strlen(header->path));
		bytes_append(to, header->extra, header->extra_size);
	}
	bytes_append(&zip->bytes, data, size);
	zip->entries++;
}

/** An entry with its data, stored. `mode`: as in stat, such as S_IFREG | 0644. */
static inline void zip_entry(struct zip *zip, const char *path, uint32_t mode, const void *data,
							 size_t size)
{
	struct zip_header header = {.path = path,
								.crc = crc32_of(data, size),
								.packed_size = (uint32_t)size,
								.size = (uint32_t)size,
								.attributes = mode << 16};

	zip_raw(zip, &header, &header, data, size);
}

static inline void zip_file(struct zip *zip, const char *path, const char *text)
{
	zip_entry(zip, path, 0100644, text, strlen(text));
}

/** The path should end in '/'. */
static inline void zip_directory(struct zip *zip, const char *path)
{
	zip_entry(zip, path, 0040755, "", 0);
}

/** An entry with its data, deflated. */
static inline void zip_deflated(struct zip *zip, const char *path, const void *data, size_t size)
{
	struct bytes plain = {(unsigned char *)(uintptr_t)data, size, size};
	struct bytes packed = bytes_compress(&plain, "gzip");
	/* gzip is a header of 10 bytes, deflated data, and checksum and size in 8 bytes. */
	const unsigned char *trailer = packed.data + packed.size - 8;
	struct zip_header header = {.path = path,
								.method = 8,
								.crc = (uint32_t)trailer[0] | (uint32_t)trailer[1] << 8 |
									   (uint32_t)trailer[2] << 16 | (uint32_t)trailer[3] << 24,
								.packed_size = (uint32_t)(packed.size - 18),
								.size = (uint32_t)size,
								.attributes = 0100644u << 16};

	zip_raw(zip, &header, &header, packed.data + 10, packed.size - 18);
	bytes_free(&packed);
}

/** The central directory and its end. */
static inline void zip_end(struct zip *zip)
{
	size_t at = zip->bytes.size;

	bytes_append(&zip->bytes, zip->directory.data, zip->directory.size);
	bytes_append(&zip->bytes, "PK\5\6", 4);
	bytes_number(&zip->bytes, 0, 4);
	bytes_number(&zip->bytes, zip->entries, 2);
	bytes_number(&zip->bytes, zip->entries, 2);
	bytes_number(&zip->bytes, zip->directory.size, 4);
	bytes_number(&zip->bytes, at, 4);
	bytes_number(&zip->bytes, 0, 2);
	bytes_free(&zip->directory);
}

#endif
