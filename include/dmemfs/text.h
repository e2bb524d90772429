/* SPDX-License-Identifier: MIT */
/*
 * Text in files of a workspace: lines and characters, in any encoding. An optional component: link
 * dmemfs::text (pkg-config dmemfs-text).
 *
 * Conventions are those of dmemfs.h: results, struct_size, mfs_last_error(). All strings of this
 * interface are UTF-8, whatever the file's encoding, and are not NUL-terminated where a length
 * comes with them: a text may hold NUL.
 *
 *     mfs_text *text;
 *     const char *line;
 *     int64_t length;
 *
 *     if (mfs_text_open_path(fs, "/words", "rb", NULL, &text) == 0) {
 *         while ((length = mfs_text_readline(text, &line)) > 0)
 *             use(line, (size_t)length);
 *         mfs_text_close(text);
 *     }
 *
 * Nothing is buffered
 *
 *   A text handle lies over an open mfs_file and keeps nothing back. What was written is in the
 *   file when the call returns. A read takes the bytes of what it returns and none behind them, so
 *   that mfs_text_tell() is exact after each call.
 *
 *   A handle that may only read and keeps its file's lock (mode "rb", no MFS_O_SHARED) prevents
 *   changes while it is open. There a line of UTF-8 is a pointer into the file's own memory; it is
 *   copied only where it lies in two pieces of memory, or had to be changed. Each call on any other
 *   handle reads the file anew, into memory of the text handle's own: several text handles, and
 *   threads, may read and write one file, and see what others have written up to the call. A line
 *   is what one mfs_pread() gives, never put together from several; mfs_text_read() takes 64 KiB at
 *   a time.
 *
 * The position
 *
 *   There is one, for reading and writing, in bytes of the file. It begins as the cursor of the
 *   mfs_file. Reading moves it and leaves the cursor alone. After a read, a write first moves the
 *   cursor to the position; then it goes where mfs_write() goes (mode "ab": to the end). From then
 *   on the position is the cursor again, until something is read or sought. So text handles over
 *   one mfs_file that only write put their text down one behind the other, each call whole.
 *
 * Thread safety: a text handle is used by one thread at a time, any thread. Different text handles
 * may be used at the same time, also over the same mfs_file. That must stay open until the text
 * handle is closed.
 */
#ifndef DMEMFS_TEXT_H
#define DMEMFS_TEXT_H

#include "dmemfs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A text handle. Opaque. */
typedef struct mfs_text mfs_text;

/** The most bytes of UTF-8 that a character has. */
#define MFS_TEXT_CHARACTER_MAX 4

/**
 * What happens with bytes that are no character of the file's encoding, when reading, and with
 * characters that the encoding does not have, when writing; see mfs_text_options.errors.
 *
 * In UTF-8 a character is what Unicode calls well-formed: no surrogates, nothing above U+10FFFF, no
 * forms that are longer than need be. One U+FFFD stands for each longest beginning of a character
 * that does not go on as one, otherwise for each byte; in other encodings for each unit of theirs.
 * A beginning of a character at the end of the file is damaged, too.
 */
enum {
	MFS_TEXT_STRICT = 0,  /**< the call fails: MFS_EILSEQ, and mfs_last_error() says where */
	MFS_TEXT_REPLACE = 1, /**< read as U+FFFD; written as U+FFFD if the encoding has it, or '?' */
	MFS_TEXT_IGNORE = 2,  /**< left out */
};

/**
 * What ends a line, and how '\n' is written; see mfs_text_options.newline. A line's end is part of
 * the line. The last line of a file may have none.
 *
 * |           | a line ends with     | is read as   | '\n' is written as |
 * |-----------|----------------------|--------------|--------------------|
 * | UNIVERSAL | "\n", "\r\n" or "\r" | "\n"         | "\n"               |
 * | KEEP      | "\n", "\r\n" or "\r" | what it is   | "\n"               |
 * | LF        | "\n"                 | what it is   | "\n"               |
 * | CR        | "\r"                 | what it is   | "\r"               |
 * | CRLF      | "\r\n"               | what it is   | "\r\n"             |
 */
enum {
	MFS_TEXT_NEWLINE_UNIVERSAL = 0,
	MFS_TEXT_NEWLINE_KEEP = 1,
	MFS_TEXT_NEWLINE_LF = 2,
	MFS_TEXT_NEWLINE_CR = 3,
	MFS_TEXT_NEWLINE_CRLF = 4,
};

/** Options of a text handle. A zeroed field means its default; struct_size as in mfs_options. */
typedef struct mfs_text_options {
	size_t struct_size;
	/**
	 * The file's encoding. Default "UTF-8". That and "UTF-8-SIG", "UTF-16", "UTF-16LE", "UTF-16BE",
	 * "UTF-32", "UTF-32LE" and "UTF-32BE" are the component's own; letter case, '-' and '_' do not
	 * matter. All others go by the names that iconv_open() knows, without its "//" suffixes. What
	 * is not UTF-8 is converted a character at a time, 20 to 200 MB in a second.
	 *
	 * "UTF-8-SIG", "UTF-16" and "UTF-32" have a byte order mark. It is skipped at the start of the
	 * file, where it may be missing, and written in front of what is written to an empty file. So
	 * position 0 stands for the place behind a mark that is there. It tells the byte order; without
	 * one, that is the machine's. A handle that cannot read does not see the mark of a file that
	 * others began, and writes in the machine's byte order. All other encodings, "UTF-8" and
	 * "UTF-16LE" among them, know no mark: U+FEFF is a character there.
	 */
	const char *encoding;
	/** MFS_TEXT_STRICT (default), MFS_TEXT_REPLACE or MFS_TEXT_IGNORE. */
	int errors;
	/** MFS_TEXT_NEWLINE_...; default MFS_TEXT_NEWLINE_UNIVERSAL. */
	int newline;
	/**
	 * The longest line that mfs_text_readline() returns, its end included: bytes of UTF-8. Longer
	 * ones are MFS_EFBIG. Default: no limit. A line that has to be copied takes memory of its own,
	 * so a limit is wise where files come from strangers.
	 */
	uint64_t max_line;
} mfs_text_options;

/**
 * Make a text handle over an open file, of any mode. `options` may be NULL. The file stays the
 * caller's, to be closed after the text handle.
 *
 * Some hundred nanoseconds for the component's own encodings. Others take what iconv_open() does,
 * which loads a library the first time, and some ten microseconds.
 *
 * Errors: MFS_EBADF (the file is closed), MFS_EINVAL (an unknown encoding, a field out of range),
 * MFS_EMFILE (iconv cannot load what it needs), MFS_ENOMEM.
 * Returns 0 and the handle in *out, to be closed with mfs_text_close().
 */
MFS_API int mfs_text_open(mfs_file *file, const mfs_text_options *options, mfs_text **out);

/**
 * Open a file and make a text handle over it that owns it. `mode` as for mfs_open(). If the text
 * handle cannot be made, a file that was not there is not made, and none is emptied.
 *
 * Errors: those of mfs_open() and mfs_text_open(). Returns 0 and the handle in *out.
 */
MFS_API int mfs_text_open_path(mfs *fs, const char *path, const char *mode,
							   const mfs_text_options *options, mfs_text **out);

/**
 * Close a text handle; NULL is allowed. Closes the file of one that mfs_text_open_path() made, and
 * no other.
 *
 * Errors: those of mfs_close(); the text handle is gone all the same. Returns 0.
 */
MFS_API int mfs_text_close(mfs_text *text);

/** Returns the file below, for calls on it such as mfs_truncate(); NULL for NULL. */
MFS_API mfs_file *mfs_text_file(mfs_text *text);

/**
 * Read the line that begins at the position, with its end, and move behind it.
 *
 * Allocates nothing, unless the line is the longest so far of those that are copied.
 *
 * Valid until: the next call on the text handle.
 * Errors: MFS_EILSEQ (MFS_TEXT_STRICT; mfs_text_read() still reads what comes before the damage),
 * MFS_EFBIG (max_line), MFS_ENOMEM, MFS_EINVAL, and those of mfs_pread(). The position stays.
 * Returns the bytes at *line: at least 1, or 0 at the end of the file.
 */
MFS_API int64_t mfs_text_readline(mfs_text *text, const char **line);

/**
 * Read up to `size` bytes of UTF-8, and up to `limit` characters, 0: any number, and move behind
 * them. Never splits a character: so `size` is at least MFS_TEXT_CHARACTER_MAX.
 *
 * Reads as much as there is room for. Less only at the end of the file, or where a failure comes
 * next: a second call then tells it. `characters` may be NULL.
 *
 * Errors: MFS_EILSEQ (MFS_TEXT_STRICT), MFS_ENOMEM, MFS_EINVAL, and those of mfs_pread(). The
 * position stays.
 * Returns the bytes at `buffer`, and how many characters (code points) they are in *characters: 0
 * at the end of the file.
 */
MFS_API int64_t mfs_text_read(mfs_text *text, char *buffer, size_t size, size_t limit,
							  size_t *characters);

/**
 * Write `size` bytes of UTF-8 at the position and move behind them: all of them or none, in one
 * mfs_write(). Encodings with shift states begin and end each call in the initial one.
 *
 * `string` is copied unless it goes to the file as it is. What is not UTF-8 in it is treated as
 * `errors` says, and counts as the U+FFFD that would stand for it.
 *
 * Errors: MFS_EILSEQ (MFS_TEXT_STRICT: not UTF-8, or not in the encoding), MFS_ENOMEM, MFS_EINVAL,
 * and those of mfs_write().
 * Returns the characters (code points) of `string`, those that were replaced or left out included.
 */
MFS_API int64_t mfs_text_write(mfs_text *text, const char *string, size_t size);

/**
 * Returns the position, in bytes of the file: the start of the character that is read next. 0 at
 * the start of the file, also if a byte order mark comes first.
 *
 * Errors: MFS_EBADF, MFS_EINVAL.
 */
MFS_API int64_t mfs_text_tell(mfs_text *text);

/**
 * Move the position: to an offset that mfs_text_tell() gave, or 0 (SEEK_SET), to where it is
 * (SEEK_CUR, offset 0), or to the end of the file (SEEK_END, offset 0; moves the file's cursor).
 *
 * Any offset is taken. In the middle of a character reading goes on with what then looks like one,
 * or like damage. Encodings with shift states begin anew in the initial one, where lines begin that
 * others have written.
 *
 * Errors: MFS_EBADF, MFS_EINVAL. Returns the new position.
 */
MFS_API int64_t mfs_text_seek(mfs_text *text, int64_t offset, int whence);

#ifdef __cplusplus
}
#endif

#endif
