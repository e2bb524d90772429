/* SPDX-License-Identifier: MIT */
/* A text handle, and the bytes of its file. */
#ifndef DMEMFS_TEXT_HANDLE_H
#define DMEMFS_TEXT_HANDLE_H

#include "codec.h"

#include <dmemfs/text.h>

/* The most bytes that are ever asked for at once; two units. */
#define MFS__TEXT_NEED_MAX ((size_t)2 * MFS__TEXT_UNIT_MAX)

/* Bounds of mfs_text.likely_line. */
#define MFS__TEXT_LINE_MIN 256
#define MFS__TEXT_LINE_MAX 65536

/* No offset. */
#define MFS__TEXT_NOWHERE INT64_C(-1)

/* Bytes of the file that were read as of one instant. */
struct mfs__text_block {
	uint8_t *bytes;
	size_t room;
	size_t length;
	int64_t at; /* offset of the first */
	bool last;  /* the file ended behind them */
};

/* One thread uses it at a time, so nothing in it is shared. */
struct mfs_text {
	mfs_file *file;
	bool owns_file;
	bool reads;
	bool writes;
	int errors;
	int newline;
	/* What ends a line, or may: '\n' and '\r', or one of them twice. `final_stop` surely does. */
	uint8_t stop;
	uint8_t other_stop;
	uint8_t final_stop;
	size_t max_line;
	struct mfs__text_codec codec;

	/*
	 * The position: the cursor of the file, or `at`. The decoder of an encoding with shift states
	 * stands at `decoded_to`.
	 */
	bool at_cursor;
	int64_t at;
	int64_t decoded_to;

	/*
	 * The file cannot change while it is open, so that its own memory may be looked at: `run`, its
	 * bytes from `run_at`. Otherwise bytes are copied to a block for each call. `spare` is where
	 * the next block goes while this one is still needed.
	 */
	bool views;
	/* Reads UTF-8 without a mark, with lines that end in one byte, but for "\r\n". */
	bool is_plain;
	const uint8_t *run;
	int64_t run_at;
	size_t run_length;
	/* As many of them are known to be whole characters of UTF-8. */
	size_t checked;
	struct mfs__text_block block;
	struct mfs__text_block spare;
	/* How many bytes of a file that is copied the next line is likely to need. */
	size_t likely_line;
	/* Bytes from the ends of two runs. */
	uint8_t joint[MFS__TEXT_NEED_MAX];

	/* Bytes of the mark that was found, or written, at the start of the file. */
	size_t mark_length;
	/* Characters of encodings other than UTF-8, in UTF-8. */
	uint8_t decoded[256];
	/* A line that is not in one piece in the file. */
	struct mfs__text_buffer line;
	/* What is written, where it is not the string itself. */
	struct mfs__text_buffer written;
};

/* One call's way through the file. */
struct mfs__text_walk {
	/* All from here on has to be of one instant: the line, or what one step takes. */
	int64_t start;
	bool takes_line;
	/* What comes next. */
	int64_t at;
	/* Bytes of UTF-8 and characters that still are welcome. */
	size_t room;
	size_t limit;
};

struct mfs__text_span {
	const uint8_t *bytes;
	size_t length;
	/* They stay where they are until the call is over, or until the block is replaced. */
	bool stays;
};

/* What mfs__text_source() returns: the file has changed since walk->start was read. */
#define MFS__TEXT_CHANGED 1

/*
 * The bytes from walk->at on, at least `need` of them (up to MFS__TEXT_NEED_MAX) unless the file
 * ends before. Returns 0, MFS__TEXT_CHANGED, or a code, noted.
 */
int mfs__text_source(struct mfs_text *text, const struct mfs__text_walk *walk, size_t need,
					 struct mfs__text_span *span);

/* Forget what was read. */
void mfs__text_source_forget(struct mfs_text *text);

void mfs__text_source_free(struct mfs_text *text);

/*
 * The mark of the file, of a handle that may read: its length in *length. Learns the order of
 * bytes. Returns 0, or a code, noted.
 */
int mfs__text_find_mark(struct mfs_text *text, size_t *length);

#endif
