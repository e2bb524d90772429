/* SPDX-License-Identifier: MIT */
/*
 * Entries by libarchive.
 *
 * Names are bytes here, but libarchive takes them through the thread's locale. In the locale "C"
 * nothing can be converted that is not ASCII, and then tar's names stay as they are: so that is the
 * locale for tar. Other formats give no name at all where they cannot convert it, and get a locale
 * of UTF-8.
 */
#include "format.h"

#include "input.h"
#include "read_ahead.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* Where a tar that is not compressed says so. */
#define TAR_MAGIC_AT 257
#define TAR_MAGIC    "ustar"
/* What a zip begins with that has only the end of its directory. */
#define EMPTY_ZIP_MAGIC      "PK\5\6"
#define EMPTY_ZIP_MAGIC_SIZE ((size_t)4)
/* Bytes that are zeros in a tar without entries, if it has as many. */
#define ZEROS ((size_t)64 << 10)
/* The most that a tar has before an entry's bytes: its names, and the map of a sparse file. Of that
 * libarchive makes a list with twelve times the bytes, which no quota limits. */
#define HEADER_MAX ((uint64_t)4 << 20)

struct reader {
	struct mfs_archive_input *input;
	struct archive *archive;
	struct archive_entry *entry; /* the archive's */
	locale_t locale;             /* for names; 0: the thread's */
	bool is_direct;              /* the entries' bytes are the input's, not `unpacked` */
	bool has_entries;            /* one has been met */
	bool begins_with_zeros;      /* all the bytes that were looked at */
	size_t looked_at;
	bool in_header;       /* libarchive reads what is before an entry's bytes */
	uint64_t header_size; /* bytes that it read for that */
	/* Of the entry at work: */
	bool says_size;
	bool is_sparse;
	int64_t size;
	int64_t given; /* bytes */
	struct mfs__archive_read_ahead unpacked;
};

/* Note why. Returns the code. */
static int fail(struct reader *reader)
{
	const struct mfs__archive_fault *fault =
		reader->is_direct ? &reader->input->fault : &reader->unpacked.fault;
	const char *reason = archive_error_string(reader->archive);

	if (fault->code)
		return mfs_set_last_error(fault->code, "%s", fault->reason);
	if (archive_errno(reader->archive) == ENOMEM)
		return mfs_set_last_error(MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
	return mfs_set_last_error(MFS_EFORMAT, "%s", reason ? reason : mfs_strerror(MFS_EFORMAT));
}

/*
 * What libarchive calls
 */

/* Are the first bytes zeros? Others have some at once. */
static void look_at(struct reader *reader, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size && reader->looked_at < ZEROS && reader->begins_with_zeros; i++) {
		reader->begins_with_zeros = bytes[i] == 0;
		reader->looked_at++;
	}
}

static int64_t next_block(struct reader *reader, const void **block)
{
	int64_t size = reader->is_direct ? mfs__archive_input_next(reader->input, block)
									 : mfs__archive_read_ahead_next(&reader->unpacked, block);

	if (size > 0)
		look_at(reader, *block, (size_t)size);
	return size;
}

static bool is_of_tar(const struct reader *reader)
{
	return (archive_format(reader->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

/* Is the header at work longer than any that is honest, with `size` bytes more? */
static bool is_endless(struct reader *reader, int64_t size)
{
	struct mfs__archive_fault *fault =
		reader->is_direct ? &reader->input->fault : &reader->unpacked.fault;

	if (!reader->in_header || size <= 0 || !is_of_tar(reader))
		return false;
	reader->header_size += (uint64_t)size;
	if (reader->header_size <= HEADER_MAX)
		return false;
	(void)mfs__archive_fault(fault, MFS_EFORMAT, "a header is too large");
	return true;
}

static la_ssize_t read_bytes(struct archive *archive, void *user, const void **block)
{
	int64_t size = next_block(user, block);

	if (size >= 0 && !is_endless(user, size))
		return (la_ssize_t)size;
	archive_set_error(archive, EIO, "no more bytes");
	return ARCHIVE_FATAL;
}

static la_int64_t skip_bytes(struct archive *archive, void *user, la_int64_t size)
{
	struct reader *reader = user;

	(void)archive;
	return mfs__archive_input_skip(reader->input, size);
}

static la_int64_t seek_bytes(struct archive *archive, void *user, la_int64_t offset, int whence)
{
	struct reader *reader = user;
	int64_t from = 0;

	if (whence == SEEK_CUR)
		from = reader->input->at;
	else if (whence == SEEK_END)
		from = reader->input->size;
	if (offset > INT64_MAX - from || offset < -from) {
		archive_set_error(archive, EINVAL, "a place outside of the archive");
		return ARCHIVE_FATAL;
	}
	return mfs__archive_input_seek(reader->input, from + offset);
}

/*
 * Opening
 */

/*
 * A zip is read by its directory if it can be. libarchive would read one without it that is cut
 * short, and not know its links.
 */
static int support_formats(struct archive *archive, bool all, bool by_directory)
{
	int (*const usual[])(struct archive *) = {
		archive_read_support_format_tar,
		by_directory ? archive_read_support_format_zip_seekable : archive_read_support_format_zip,
	};
	/*
	 * Left out are "raw" and "empty", which take what is no archive, and mtree, which has names of
	 * files without their bytes.
	 */
	static int (*const others[])(struct archive *) = {
		archive_read_support_format_ar,   archive_read_support_format_cpio,
		archive_read_support_format_lha,  archive_read_support_format_xar,
		archive_read_support_format_warc, archive_read_support_format_7zip,
		archive_read_support_format_cab,  archive_read_support_format_rar,
		archive_read_support_format_rar5, archive_read_support_format_iso9660,
	};

	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (usual[i](archive) != ARCHIVE_OK)
			return MFS_ENOMEM;
	/* A warning says that libarchive was built without what the format takes. */
	for (size_t i = 0; all && i < sizeof others / sizeof others[0]; i++)
		if (others[i](archive) < ARCHIVE_WARN)
			return MFS_ENOMEM;
	return 0;
}

/* Is it a zip without entries, whose directory libarchive does not find? To be asked as below. */
static bool begins_as_empty_zip(struct mfs_archive_input *input)
{
	const void *head;

	return mfs__archive_input_head(input, EMPTY_ZIP_MAGIC_SIZE, &head) ==
			   (int64_t)EMPTY_ZIP_MAGIC_SIZE &&
		   memcmp(head, EMPTY_ZIP_MAGIC, EMPTY_ZIP_MAGIC_SIZE) == 0;
}

/* Is it a tar that is not compressed? To be asked before anything is read. */
static bool begins_as_tar(struct mfs_archive_input *input)
{
	const void *head;
	size_t end = TAR_MAGIC_AT + sizeof TAR_MAGIC - 1;

	return mfs__archive_input_head(input, end, &head) == (int64_t)end &&
		   memcmp((const char *)head + TAR_MAGIC_AT, TAR_MAGIC, sizeof TAR_MAGIC - 1) == 0;
}

/*
 * Let libarchive have its conversion from UTF-8 to UTF-8 in the form that it uses to write names,
 * which leaves them as they are. It finds it again when it reads, in the place of the one that
 * composes characters.
 */
static void keep_characters(struct archive *archive)
{
	struct archive_entry *entry = archive_entry_new2(archive);

	if (entry) {
		archive_entry_set_pathname(entry, "name");
		(void)archive_entry_pathname_utf8(entry);
		archive_entry_free(entry);
	}
}

/*
 * Which locale lets names be what they are? The format was chosen when the archive was opened, but
 * all that can be asked about it is what it could say about encryption: zip, 7-Zip and RAR could
 * say something. Of the others, what is compressed as a whole is tar or cpio.
 */
static int set_locale(struct reader *reader, bool is_tar)
{
	bool is_converted =
		archive_read_format_capabilities(reader->archive) != ARCHIVE_READ_FORMAT_CAPS_NONE ||
		!is_tar;

	reader->locale = newlocale(LC_CTYPE_MASK, is_converted ? "C.UTF-8" : "C", (locale_t)0);
	if (!reader->locale)
		/* A system without UTF-8 has names in the thread's locale. */
		return errno == ENOMEM ? mfs_set_last_error(MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM)) : 0;
	if (is_converted) {
		locale_t before = uselocale(reader->locale);
		keep_characters(reader->archive);
		(void)uselocale(before);
	}
	return 0;
}

static int open_archive(struct reader *reader, bool all)
{
	struct mfs_archive_input *input = reader->input;
	bool is_tar = !all || begins_as_tar(input);
	bool is_empty_zip = begins_as_empty_zip(input);

	if (mfs__archive_read_ahead_open(&reader->unpacked, input, all) != 0)
		return mfs_set_last_error(reader->unpacked.fault.code, "%s", reader->unpacked.fault.reason);
	reader->is_direct = !reader->unpacked.unpack.is_packed && input->can_seek;
	is_tar |= reader->unpacked.unpack.is_packed;

	reader->archive = archive_read_new();
	if (!reader->archive ||
		support_formats(reader->archive, all, reader->is_direct && !is_empty_zip) != 0)
		return mfs_set_last_error(MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
	(void)archive_read_set_read_callback(reader->archive, read_bytes);
	if (reader->is_direct) {
		(void)archive_read_set_skip_callback(reader->archive, skip_bytes);
		(void)archive_read_set_seek_callback(reader->archive, seek_bytes);
	}
	(void)archive_read_set_callback_data(reader->archive, reader);
	if (archive_read_open1(reader->archive) != ARCHIVE_OK)
		return fail(reader);
	return set_locale(reader, is_tar);
}

static void reader_close(void *archive)
{
	struct reader *reader = archive;

	(void)archive_read_free(reader->archive);
	mfs__archive_read_ahead_close(&reader->unpacked);
	if (reader->locale)
		freelocale(reader->locale);
	free(reader);
}

static int reader_open(void *user, mfs_archive_input *input, void **archive)
{
	struct reader *reader = calloc(1, sizeof *reader);

	if (!reader)
		return mfs_set_last_error(MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
	reader->input = input;
	reader->begins_with_zeros = true;
	int code = open_archive(reader, user != NULL);
	if (code) {
		reader_close(reader);
		return code;
	}
	*archive = reader;
	return 0;
}

/*
 * Entries
 */

/*
 * Is a warning about an entry none about its name and bytes? Names that could not be converted are
 * there as they are, or not at all, which is noticed. What access control lists say is not wanted.
 */
static bool is_harmless(const char *warning)
{
	static const char *const subjects[] = {"converted", "ACL", "acl"};

	for (size_t i = 0; warning && i < sizeof subjects / sizeof subjects[0]; i++)
		if (strstr(warning, subjects[i]))
			return true;
	return !warning;
}

static int kind_of(const struct reader *reader, const char *path)
{
	struct archive_entry *entry = reader->entry;

	/* What is encrypted is no file that could be had. */
	if (archive_entry_hardlink(entry) || archive_entry_is_encrypted(entry))
		return MFS_ARCHIVE_ENTRY_OTHER;
	switch (archive_entry_filetype(entry)) {
	case AE_IFDIR:
		return MFS_ARCHIVE_ENTRY_DIRECTORY;
	case 0:
		/* libarchive does not say that it is a hard link where only a pax header has its target. */
		if (is_of_tar(reader))
			return MFS_ARCHIVE_ENTRY_OTHER;
		/* fall through */
	case AE_IFREG: {
		/* Old archivers have no other sign of a directory. */
		size_t length = path ? strlen(path) : 0;
		return length > 0 && path[length - 1] == '/' ? MFS_ARCHIVE_ENTRY_DIRECTORY
													 : MFS_ARCHIVE_ENTRY_FILE;
	}
	default:
		return MFS_ARCHIVE_ENTRY_OTHER;
	}
}

/*
 * What begins with 512 zeros is a tar without entries to libarchive, and images of disks begin so,
 * too.
 */
static bool is_no_tar(struct reader *reader)
{
	const void *block;

	if (reader->has_entries || !is_of_tar(reader))
		return false;
	while (reader->begins_with_zeros && reader->looked_at < ZEROS)
		if (next_block(reader, &block) <= 0)
			break;
	return !reader->begins_with_zeros;
}

/* The entries have ended; what is behind them has checksums. */
static int finish(struct reader *reader)
{
	if (is_no_tar(reader))
		return mfs_set_last_error(MFS_EFORMAT, "%s", mfs_strerror(MFS_EFORMAT));
	if (reader->is_direct)
		return reader->input->fault.code ? fail(reader) : 0;
	return mfs__archive_read_ahead_finish(&reader->unpacked) ? fail(reader) : 0;
}

static int reader_next(void *archive, mfs_archive_entry *entry)
{
	struct reader *reader = archive;
	/* What is left of the last entry is no part of the next one's header. */
	if (reader->has_entries && archive_read_data_skip(reader->archive) != ARCHIVE_OK)
		return fail(reader);
	locale_t before = reader->locale ? uselocale(reader->locale) : (locale_t)0;
	reader->header_size = 0;
	reader->in_header = true;
	int result = archive_read_next_header(reader->archive, &reader->entry);
	reader->in_header = false;
	bool is_good = result == ARCHIVE_OK ||
				   (result == ARCHIVE_WARN && is_harmless(archive_error_string(reader->archive)));

	if (is_good) {
		reader->has_entries = true;
		reader->given = 0;
		reader->says_size = archive_entry_size_is_set(reader->entry) != 0;
		reader->size = archive_entry_size(reader->entry);
		reader->is_sparse = archive_entry_sparse_count(reader->entry) > 0;
		entry->path = archive_entry_pathname(reader->entry);
		entry->kind = kind_of(reader, entry->path);
		entry->size = reader->says_size ? reader->size : -1;
	}
	if (before)
		(void)uselocale(before);
	if (is_good)
		return 1;
	return result == ARCHIVE_EOF ? finish(reader) : fail(reader);
}

/* The end of an entry's bytes has come. A hole at the end of a sparse file is zeros, too. */
static int64_t read_end(struct reader *reader, unsigned char *buffer, size_t size)
{
	int64_t missing = reader->says_size ? reader->size - reader->given : 0;

	if (missing <= 0)
		return 0;
	if (!reader->is_sparse)
		return mfs_set_last_error(MFS_EFORMAT, "has fewer bytes than it says");
	size_t part = (uint64_t)missing < size ? (size_t)missing : size;
	memset(buffer, 0, part);
	reader->given += (int64_t)part;
	return (int64_t)part;
}

static int64_t reader_read(void *archive, void *buffer, size_t size)
{
	struct reader *reader = archive;
	la_ssize_t got = archive_read_data(reader->archive, buffer, size);

	if (got < 0)
		return fail(reader);
	reader->given += got;
	if (got > 0 || size == 0)
		return got;
	return read_end(reader, buffer, size);
}

const mfs_archive_adapter mfs__archive_usual_formats = {
	.struct_size = sizeof(mfs_archive_adapter),
	.name = "libarchive",
	.open = reader_open,
	.next = reader_next,
	.read = reader_read,
	.close = reader_close,
};

static char wants_all;

const mfs_archive_adapter mfs__archive_all_formats = {
	.struct_size = sizeof(mfs_archive_adapter),
	.name = "libarchive",
	.open = reader_open,
	.next = reader_next,
	.read = reader_read,
	.close = reader_close,
	.user = &wants_all,
};
