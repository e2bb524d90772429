/* SPDX-License-Identifier: MIT */
/*
 * Encodings: bytes of a file to characters, unit by unit, and back. A unit is the bytes that belong
 * together: those of one character, for a few encodings of two.
 */
#ifndef DMEMFS_TEXT_CODEC_H
#define DMEMFS_TEXT_CODEC_H

#include "buffer.h"

#include <stdbool.h>

/* The most bytes that are looked at to find out what a unit is. */
#define MFS__TEXT_UNIT_MAX 16u

enum mfs__text_kind {
	MFS__TEXT_UTF8,
	MFS__TEXT_UTF16,
	MFS__TEXT_UTF32,
	MFS__TEXT_FOREIGN, /* iconv's */
};

/* How an encoding of iconv's has to be read, see converter.c. */
struct mfs__text_converter;

struct mfs__text_unit {
	size_t length;  /* bytes of the file */
	bool is_rest;   /* some of its characters were taken already, and are missing in it */
	unsigned count; /* of characters: 0 for bytes that only change the state */
	uint32_t characters[4];
};

/* What mfs__text_take() finds. */
enum mfs__text_taken {
	MFS__TEXT_TAKEN,
	MFS__TEXT_CUT,    /* all the bytes are the beginning of a unit */
	MFS__TEXT_DAMAGE, /* unit->length bytes are none */
};

struct mfs__text_codec {
	enum mfs__text_kind kind;
	/* For messages: as it was asked for, shortened. */
	char name[32];
	/* Wherever a unit begins, a byte below 0x80 is that ASCII character. */
	bool ascii;
	/* The file begins with a byte order mark. */
	bool marked;
	/* The file begins with something that iconv writes; known to those who write. */
	bool begins;
	/* UTF-16, UTF-32: the order of bytes; with a mark, as far as it is known. */
	bool big_endian;
	bool order_known;
	/* MFS__TEXT_FOREIGN; either half is there if it was asked for. */
	struct mfs__text_converter *converter;
};

/*
 * Find an encoding by its name, to read or to write it or both. Returns 0, or MFS_EINVAL,
 * MFS_EMFILE or MFS_ENOMEM, noted.
 */
int mfs__text_codec_open(struct mfs__text_codec *codec, const char *name, bool reads, bool writes);

void mfs__text_codec_close(struct mfs__text_codec *codec);

/*
 * The mark with which the file begins, of whose first bytes there are up to 4: its length, or 0.
 * Learns the order of bytes from it.
 */
size_t mfs__text_mark_learn(struct mfs__text_codec *codec, const uint8_t *bytes, size_t size);

/* Put the mark down. Returns its length. */
size_t mfs__text_mark_put(const struct mfs__text_codec *codec, uint8_t to[4]);

/*
 * Reading. `size` is at least 1. A unit that was taken from an encoding with shift states is gone
 * from it: it is given back with mfs__text_give_back() where it was not used.
 */
enum mfs__text_taken mfs__text_take(struct mfs__text_codec *codec, const uint8_t *bytes,
									size_t size, struct mfs__text_unit *unit);
void mfs__text_give_back(struct mfs__text_codec *codec, const struct mfs__text_unit *unit);

/* At the end of the file: characters that were held back, in a unit without bytes, or none. */
void mfs__text_take_rest(struct mfs__text_codec *codec, struct mfs__text_unit *unit);

/* Go on reading elsewhere, in the initial state. */
void mfs__text_reset(struct mfs__text_codec *codec);

/* Writing: UTF-8 from a program to bytes of the file. */
struct mfs__text_encoding_job {
	struct mfs__text_codec *codec;
	const uint8_t *string;
	size_t size;
	int errors;                  /* MFS_TEXT_STRICT, ... */
	const char *newline;         /* how '\n' is written */
	bool continues;              /* what is written goes behind other text */
	size_t characters;           /* out: of the string */
	struct mfs__text_buffer *to; /* out: appended */
};

/* Returns 0, or MFS_EILSEQ or MFS_ENOMEM, noted. */
int mfs__text_encode(struct mfs__text_encoding_job *job);

/*
 * The halves of an encoding of iconv's. Of the name, a "//" is refused.
 */

int mfs__text_converter_open(struct mfs__text_codec *codec, const char *name, bool reads,
							 bool writes);
void mfs__text_converter_close(struct mfs__text_converter *converter);
enum mfs__text_taken mfs__text_convert_unit(struct mfs__text_converter *converter,
											const uint8_t *bytes, size_t size,
											struct mfs__text_unit *unit);
void mfs__text_converter_give_back(struct mfs__text_converter *converter,
								   const struct mfs__text_unit *unit);
void mfs__text_converter_rest(struct mfs__text_converter *converter, struct mfs__text_unit *unit);
void mfs__text_converter_reset(struct mfs__text_converter *converter);

/* Begin to write; `continues`: what the encoding has at the start of a file is there already. */
void mfs__text_converter_begin(struct mfs__text_converter *converter, bool continues);

/*
 * Convert well-formed UTF-8 up to the first character that the encoding does not have, and move
 * *from and *size behind it. `singly`: one character, checked closely. Returns 0, 1 for such a
 * character, 2 if only a close look can tell, or MFS_ENOMEM, noted.
 */
int mfs__text_converter_put(struct mfs__text_converter *converter, const uint8_t **from,
							size_t *size, bool singly, struct mfs__text_buffer *to);

/* Back to the initial state. Returns 0 or MFS_ENOMEM, noted. */
int mfs__text_converter_end(struct mfs__text_converter *converter, struct mfs__text_buffer *to);

#endif
