/* SPDX-License-Identifier: MIT */
/*
 * An archive that is being written to a descriptor, by libarchive: entry by entry, a header and
 * then its data.
 *
 * What libarchive makes comes back as it makes it: large pieces go on to the descriptor at once,
 * small ones are gathered first.
 *
 * Names are bytes, whatever the process's locale, but libarchive reads them in the thread's. So the
 * thread has a locale of UTF-8 while a header is written. Names that are no UTF-8 are marked as
 * such by pax itself; for zip, whose headers know only UTF-8 or not, the locale is then "C".
 */
#ifndef DMEMFS_ARCHIVE_WRITER_H
#define DMEMFS_ARCHIVE_WRITER_H

#include <dmemfs/archive.h>

#include <locale.h>

struct archive;
struct archive_entry;

#define MFS__ARCHIVE_WRITER_BUFFER ((size_t)64 << 10)

/** Used by one thread at a time. */
struct mfs__archive_writer {
	const char *path; /* what is written, for messages */
	int fd;
	int format; /* MFS_ARCHIVE_... */
	struct archive *archive;
	struct archive_entry *entry;
	locale_t utf8; /* both or none: a system without UTF-8 */
	locale_t ascii;
	bool is_open;     /* the archive has begun, and not ended */
	bool in_entry;    /* an entry has */
	bool is_dropping; /* nothing more goes to the descriptor */
	int host_error;   /* why the descriptor refused; 0: it did not */
	size_t pending;   /* bytes in `buffer` */
	unsigned char buffer[MFS__ARCHIVE_WRITER_BUFFER];
};

/**
 * Begin an archive. To be ended with mfs__archive_writer_free(), whatever this returns.
 *
 * This and the functions below return 0, or MFS_EHOST, MFS_ENOTSUP or MFS_ENOMEM, with the reason
 * noted as the thread's last error; then only mfs__archive_writer_free() may follow.
 */
int mfs__archive_writer_begin(struct mfs__archive_writer *writer, const char *path, int fd,
							  int format, int level);

/** Begin an entry: a directory, or a file of exactly info->size bytes. */
int mfs__archive_writer_header(struct mfs__archive_writer *writer, const char *name,
							   const mfs_info *info);

/** The entry's next bytes. */
int mfs__archive_writer_data(struct mfs__archive_writer *writer, const void *data, size_t size);

int mfs__archive_writer_end_entry(struct mfs__archive_writer *writer);

/** The end of the archive: all is with the descriptor when this returns 0. */
int mfs__archive_writer_end(struct mfs__archive_writer *writer);

/** Free what the archive took. If it has not come to its end, nothing more is written. */
void mfs__archive_writer_free(struct mfs__archive_writer *writer);

#endif
