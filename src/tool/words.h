/* SPDX-License-Identifier: MIT */
/*
 * A worker's table of words: how often each occurs, and in how many files.
 *
 * A word is a run of ASCII letters, digits or underscores, lower-cased.
 *
 * A file that was cut into parts is special: its parts may come to several workers, who must not
 * each count it. So a word only notes that it occurs in the cut file, of which a table has at most
 * one; who merges the tables counts the numbers of the cut files.
 */
#ifndef DMEMFS_TOOL_WORDS_H
#define DMEMFS_TOOL_WORDS_H

#include "bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** No file has this number. */
#define NO_FILE UINT32_MAX

/** Bytes behind a text that words_add() may read, whatever they are. */
#define WORDS_SLACK 8

/** Lower-case of the bytes that make words, 0 for all others. */
extern const unsigned char word_bytes[256];

struct word {
	uint64_t hash;
	uint64_t offset; /* of its bytes in `text` */
	uint64_t total;
	uint32_t length;
	uint32_t files;     /* not cut, in which it occurs */
	uint32_t last_file; /* the last of them that was counted, or NO_FILE */
	bool in_cut_file;
};

/** All zeros but `cut_file`: see words_init(). */
struct words {
	struct bytes text;
	struct word *list;
	uint32_t count;
	uint32_t list_room;
	uint64_t *slots;     /* upper half of the hash, and 1 + the number in the list; 0: free */
	uint32_t slot_count; /* a power of 2, at most half of them used; or 0 */
	uint32_t cut_file;   /* whose parts were added, or NO_FILE */
};

void words_init(struct words *words);
void words_free(struct words *words);

/** Forget the words, keep the memory. */
void words_clear(struct words *words);

/** Memory that the words take. */
size_t words_memory(const struct words *words);

enum words_result {
	WORDS_OK,
	WORDS_NO_MEMORY, /* also: more than 2^31 different words */
	WORDS_TOO_LONG,  /* a word of 4 GiB */
};

/**
 * Add the words of a text, which has WORDS_SLACK bytes of room behind it and is changed to lower
 * case. It is the file with number `file`, or a part of it if `is_part`; then `cut_file` is that
 * file or none yet. *total counts the words.
 */
enum words_result words_add(struct words *words, unsigned char *text, size_t length, uint32_t file,
							bool is_part, uint64_t *total);

/** A word's bytes. */
static inline const unsigned char *words_text(const struct words *words, const struct word *word)
{
	return words->text.data + word->offset;
}

#endif
