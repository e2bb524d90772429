/* SPDX-License-Identifier: MIT */
/*
 * How words lie in files of the workspace. A piece, which a worker writes from its table, and a
 * partition, to which workers append what belongs to it from many pieces, are both a sequence of
 * sections.
 *
 *   section   header, entries
 *   entry     shared, rest, total, 2 * files + in_cut_file: numbers; `rest` bytes
 *
 * The words of a section are sorted bytewise, each once, and belong to one partition. An entry
 * leaves out the `shared` bytes at its word's start that are those of the word before. A number is
 * written seven bits to a byte, the lowest first, with the top bit in all but its last byte.
 */
#ifndef DMEMFS_TOOL_PIECE_H
#define DMEMFS_TOOL_PIECE_H

#include "bytes.h"
#include "run.h"
#include "words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct section_header {
	uint64_t length; /* of the entries, in bytes */
	uint64_t text;   /* bytes that they take as lines of the index, at most */
	uint32_t partition;
	uint32_t cut_file; /* to which the entries' in_cut_file refers, or NO_FILE */
};

/** Where a section lies in its file. */
struct section_place {
	struct section_header header;
	uint64_t offset; /* of the header */
};

/**
 * Write the sections of a table, one for each partition that has words, starting with partition
 * `first`. Takes about as much memory as the table. Returns false without.
 */
bool piece_encode(const struct words *words, uint32_t first, struct bytes *piece);

/**
 * Find the sections of a file of `size` bytes: struct section_place each, appended to `places`.
 * Returns false when that failed and ended the run.
 */
bool piece_find_sections(struct run *run, mfs_file *file, uint64_t size, struct bytes *places);

/** Bytes that a section takes with its header. */
static inline uint64_t section_size(const struct section_header *header)
{
	return sizeof *header + header->length;
}

/** Reads the entries of a section, one at a time. */
struct section_reader {
	struct run *run;
	mfs_file *file;
	uint64_t next; /* offset of what is not in the buffer yet */
	uint64_t end;
	uint32_t cut_file;
	struct bytes buffer;
	size_t at; /* what of the buffer has been taken */
	/* The present entry. */
	struct bytes word;
	uint64_t prefix; /* of the word, see word_prefix() */
	uint64_t total;
	uint64_t files;
	bool in_cut_file;
};

/**
 * Start to read, with a buffer of `buffer_size` bytes. Returns false when that failed and ended the
 * run. Whatever comes back, section_reader_close() frees the reader.
 */
bool section_reader_open(struct section_reader *reader, struct run *run, mfs_file *file,
						 const struct section_place *place, size_t buffer_size);
void section_reader_close(struct section_reader *reader);

enum section_result {
	SECTION_ENTRY,
	SECTION_END,
	SECTION_FAILED, /* and ended the run */
};

/** Go to the next entry. */
enum section_result section_reader_next(struct section_reader *reader);

/**
 * The first eight bytes of a word as a number, shorter words filled up with zeros, so that numbers
 * compare as words do.
 */
uint64_t word_prefix(const unsigned char *word, size_t length);

/** How many decimal digits a number has. */
unsigned digit_count(uint64_t number);

#endif
