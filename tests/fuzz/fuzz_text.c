/* SPDX-License-Identifier: MIT */
/*
 * Reads whatever bytes the fuzzer comes up with as text, and ends the process where a promise is
 * not kept: that lines and characters, by every way to the bytes, are the same text, well-formed,
 * and whole; that the position after each can be sought; that what is UTF-8 to one is UTF-8 to
 * iconv; and that what was read can be written and read again.
 *
 * The first bytes of an input choose, see below; the rest is the file.
 */
#include "dmemfs/text.h"

#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of an input that choose. */
enum {
	ZERO,     /* no matter */
	ENCODING, /* of the list below */
	MODES,    /* what is done with damage, and what ends a line */
	STEPS,    /* seed of the lengths that are written and read */
	CHOICES,
};

static const char *const encodings[] = {
	"UTF-8",   "UTF-8-SIG", "UTF-16LE", "UTF-16",      "UTF-32",      "ISO-2022-JP", "SHIFT_JIS",
	"GB18030", "UTF-7",     "CP1258",   "ISO-8859-15", "ISO-2022-KR", "BIG5-HKSCS",  "EUC-JISX0213",
};
#define ENCODINGS (sizeof encodings / sizeof *encodings)

/* The three ways to the bytes. */
static const struct way {
	const char *mode;
	unsigned flags;
} ways[] = {{"rb", 0}, {"rb", MFS_O_SHARED}, {"r+b", 0}};
#define WAYS (sizeof ways / sizeof *ways)

/* The text that was read, and what ended it. */
struct gathered {
	char *text;
	size_t length;
	size_t room;
	int64_t code; /* 0, or MFS_EILSEQ */
};

static void check(bool holds, const char *promise)
{
	if (!holds) {
		(void)fprintf(stderr, "not kept: %s (last error: %s)\n", promise, mfs_last_error());
		abort();
	}
}

static void gather(struct gathered *gathered, const char *text, size_t length)
{
	if (length > gathered->room - gathered->length) {
		gathered->room = 2 * gathered->room + length;
		char *grown = realloc(gathered->text, gathered->room);

		check(grown != NULL, "there is memory");
		gathered->text = grown;
	}
	if (length > 0) {
		memcpy(gathered->text + gathered->length, text, length);
		gathered->length += length;
	}
}

static unsigned step(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/* Is it UTF-8? To iconv, which knows nothing of surrogates that it would let through. */
static bool is_utf8(const char *text, size_t length)
{
	iconv_t converter = iconv_open("UTF-32LE", "UTF-8");
	char *from = (char *)(uintptr_t)text;
	bool valid = true;

	check(converter != (iconv_t)-1, "iconv knows UTF-8");
	while (length > 0 && valid) {
		char units[1024];
		char *to = units;
		size_t room = sizeof(units);
		size_t before = length;

		(void)iconv(converter, &from, &length, &to, &room);
		valid = length == 0 || (length < before && room < 8);
	}
	(void)iconv_close(converter);
	return valid;
}

static void put_file(mfs *fs, const uint8_t *data, size_t size, unsigned seed)
{
	mfs_file *file = NULL;

	check(mfs_open(fs, "/t", "wb", &file) == 0, "a file is made");
	/* In pieces, so that chunks end within characters. */
	for (size_t at = 0; at < size;) {
		size_t part = 1 + step(&seed) % 999;

		part = part < size - at ? part : size - at;
		check(mfs_write(file, data + at, part) == (int64_t)part, "the file is written");
		at += part;
	}
	check(mfs_close(file) == 0, "the file is closed");
}

static mfs_text *open_text(mfs *fs, const struct way *way, const mfs_text_options *options,
						   mfs_file **file)
{
	mfs_open_options open = {.struct_size = sizeof(open), .flags = way->flags};
	mfs_text *text = NULL;

	check(mfs_open_ex(fs, "/t", way->mode, &open, file) == 0, "the file is opened");
	check(mfs_text_open(*file, options, &text) == 0, "the encoding is known");
	return text;
}

static void close_text(mfs_text *text, mfs_file *file)
{
	check(mfs_text_close(text) == 0 && mfs_close(file) == 0, "text and file are closed");
}

/* Is a line's end where it should be, and nowhere before? */
static void check_line(const char *line, size_t length, int newline, bool is_last)
{
	char stop = newline == MFS_TEXT_NEWLINE_CR ? '\r' : '\n';
	bool any = newline == MFS_TEXT_NEWLINE_KEEP;
	bool ends = line[length - 1] == stop || (any && line[length - 1] == '\r');

	if (newline == MFS_TEXT_NEWLINE_CRLF) {
		ends = ends && length > 1 && line[length - 2] == '\r';
	}
	check(ends || is_last, "only the last line has no end");
	for (size_t i = 0; i + 1 < length; i++) {
		bool stops = line[i] == stop || (any && line[i] == '\r');

		if (newline == MFS_TEXT_NEWLINE_CRLF) {
			stops = stops && i > 0 && line[i - 1] == '\r';
		}
		if (stops && !(any && i + 2 == length && line[i] == '\r' && line[i + 1] == '\n')) {
			check(false, "a line ends where it ends");
		}
	}
}

/* The text by lines; some of them twice. */
static struct gathered read_lines(mfs *fs, const struct way *way, const mfs_text_options *options,
								  bool seeks, unsigned seed)
{
	struct gathered gathered = {NULL, 0, 0, 0};
	mfs_file *file = NULL;
	mfs_text *text = open_text(fs, way, options, &file);
	const char *line = NULL;
	char *last = NULL;
	size_t last_length = 0;

	for (;;) {
		int64_t before = mfs_text_tell(text);

		gathered.code = mfs_text_readline(text, &line);
		if (seeks && step(&seed) % 4 == 0) {
			check(mfs_text_seek(text, before, SEEK_SET) == before, "a position can be sought");
			int64_t again = mfs_text_readline(text, &line);

			check(again == gathered.code, "a line is as long as before");
		}
		if (gathered.code <= 0) {
			break;
		}
		if (last_length > 0) {
			check_line(last, last_length, options->newline, false);
		}
		free(last);
		last_length = (size_t)gathered.code;
		last = malloc(last_length);
		check(last != NULL, "there is memory");
		memcpy(last, line, last_length);
		gather(&gathered, line, last_length);
	}
	if (last_length > 0) {
		check_line(last, last_length, options->newline, true);
	}
	free(last);
	close_text(text, file);
	check(gathered.code == 0 || (gathered.code == MFS_EILSEQ && options->errors == MFS_TEXT_STRICT),
		  "nothing but damage ends a text");
	return gathered;
}

/* The text by pieces of random size. */
static struct gathered read_characters(mfs *fs, const struct way *way,
									   const mfs_text_options *options, unsigned seed)
{
	struct gathered gathered = {NULL, 0, 0, 0};
	mfs_file *file = NULL;
	mfs_text *text = open_text(fs, way, options, &file);
	char piece[2048];

	for (;;) {
		size_t size = 4 + step(&seed) % (step(&seed) % 2 ? 12 : sizeof(piece) - 4);
		size_t limit = step(&seed) % 8;
		size_t characters = 0;

		gathered.code = mfs_text_read(text, piece, size, limit, &characters);
		if (gathered.code <= 0) {
			break;
		}
		check((size_t)gathered.code <= size, "no more is read than there is room for");
		check(limit == 0 || characters <= limit, "no more characters are read than wanted");
		check(is_utf8(piece, (size_t)gathered.code), "no character is split");
		gather(&gathered, piece, (size_t)gathered.code);
	}
	close_text(text, file);
	return gathered;
}

/* What was read goes into another file, and comes out of it again. */
static void write_and_read(mfs *fs, const struct gathered *gathered,
						   const mfs_text_options *options)
{
	mfs_text_options strict = *options;
	mfs_text *text = NULL;
	size_t room = gathered->length + 4;
	char *again = malloc(room);

	strict.errors = MFS_TEXT_STRICT;
	strict.newline = MFS_TEXT_NEWLINE_LF;
	check(again != NULL, "there is memory");
	check(mfs_text_open_path(fs, "/copy", "w+b", &strict, &text) == 0, "a copy is made");
	int64_t written = mfs_text_write(text, gathered->text, gathered->length);

	/* Not all that iconv reads it also writes. */
	check(written >= 0 || written == MFS_EILSEQ, "nothing but its encoding refuses a text");
	/* With characters that belong together it may come back in another form. */
	bool exact = strncmp(options->encoding, "UTF", 3) == 0 && options->encoding[3] == '-' &&
				 strcmp(options->encoding, "UTF-7") != 0;

	if (written >= 0 && exact) {
		size_t characters = 0;

		check(mfs_text_seek(text, 0, SEEK_SET) == 0, "the start can be sought");
		check(mfs_text_read(text, again, room, 0, &characters) == (int64_t)gathered->length &&
				  memcmp(again, gathered->text, gathered->length) == 0,
			  "what was written is read again");
		check((int64_t)characters == written, "as many characters are read as were written");
	}
	check(mfs_text_close(text) == 0, "the copy is closed");
	free(again);
}

/* Encodings in which a line begins in the state in which a reader does. */
static bool can_seek(const char *encoding)
{
	return strncmp(encoding, "ISO-2022", 8) != 0 && strcmp(encoding, "UTF-7") != 0 &&
		   strcmp(encoding, "CP1258") != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static mfs *fs;
	struct gathered first = {NULL, 0, 0, 0};

	if (size < CHOICES) {
		return 0;
	}
	if (fs == NULL) {
		check(mfs_new(NULL, &fs) == 0, "a workspace is made");
	}
	mfs_text_options options = {.struct_size = sizeof(options)};

	options.encoding = encodings[data[ENCODING] % ENCODINGS];
	options.errors = data[MODES] % 3;
	options.newline = data[MODES] / 3 % 5;
	unsigned seed = data[STEPS];

	put_file(fs, data + CHOICES, size - CHOICES, seed);
	for (size_t way = 0; way < WAYS; way++) {
		struct gathered lines =
			read_lines(fs, &ways[way], &options, can_seek(options.encoding), seed);
		struct gathered characters = read_characters(fs, &ways[way], &options, seed + 7);

		check(lines.code == characters.code, "lines and characters end alike");
		/* Of the line with the damage, what is before that is read by characters only. */
		check(lines.length <= characters.length &&
				  (lines.length == characters.length || lines.code != 0) &&
				  (lines.length == 0 || memcmp(lines.text, characters.text, lines.length) == 0),
			  "lines and characters are the same text");
		check(is_utf8(characters.text, characters.length), "the text is UTF-8");
		if (way == 0) {
			first = characters;
		} else {
			check(characters.length == first.length && characters.code == first.code &&
					  (first.length == 0 || memcmp(characters.text, first.text, first.length) == 0),
				  "all ways lead to the same text");
			free(characters.text);
		}
		free(lines.text);
	}
	if (strcmp(options.encoding, "UTF-8") == 0 && options.errors == MFS_TEXT_STRICT) {
		check((first.code == 0) == is_utf8((const char *)data + CHOICES, size - CHOICES),
			  "what is UTF-8 is UTF-8");
	}
	if (first.length > 0) {
		write_and_read(fs, &first, &options);
	}
	free(first.text);
	return 0;
}
