/* SPDX-License-Identifier: MIT */
/*
 * What the tests of text share: handles opened and closed in one call, and the three ways in which
 * a text handle gets at the bytes. It must give the same in all of them.
 */
#ifndef DMEMFS_TESTS_TEXT_SUPPORT_H
#define DMEMFS_TESTS_TEXT_SUPPORT_H

#include "support.h"

#include "dmemfs/text.h"

/* How a file is opened for reading. */
struct way {
	const char *mode;
	unsigned flags;
};

/* Looked at where it is; copied, as others may write; copied, as the handle itself may. */
static const struct way ways[] = {{"rb", 0}, {"rb", MFS_O_SHARED}, {"r+b", 0}};

/* Options for a literal: `encoding` may be NULL. */
static inline mfs_text_options text_options(const char *encoding, int errors, int newline)
{
	mfs_text_options options = {.struct_size = sizeof(options)};

	options.encoding = encoding;
	options.errors = errors;
	options.newline = newline;
	return options;
}

/** A text handle over a handle of its own. */
struct opened {
	mfs_file *file;
	mfs_text *text;
};

static inline struct opened open_text_by(mfs *fs, const char *path, const struct way *way,
										 const mfs_text_options *options)
{
	struct opened opened = {NULL, NULL};

	assert_code(open_with(fs, path, way->mode, way->flags, 0, &opened.file), 0);
	assert_code(mfs_text_open(opened.file, options, &opened.text), 0);
	return opened;
}

static inline void close_text_by(struct opened opened)
{
	assert_code(mfs_text_close(opened.text), 0);
	close_file(opened.file);
}

static inline mfs_text *open_text(mfs *fs, const char *path, const char *mode,
								  const mfs_text_options *options)
{
	mfs_text *text = NULL;

	assert_code(mfs_text_open_path(fs, path, mode, options, &text), 0);
	assert_non_null(text);
	return text;
}

static inline void close_text(mfs_text *text)
{
	assert_code(mfs_text_close(text), 0);
}

/** The next line is exactly this. */
static inline void assert_line_is(mfs_text *text, const char *want, size_t length)
{
	const char *line = NULL;

	assert_code(mfs_text_readline(text, &line), length);
	assert_memory_equal(line, want, length);
}

static inline void assert_line(mfs_text *text, const char *want)
{
	assert_line_is(text, want, strlen(want));
}

static inline void assert_no_line(mfs_text *text)
{
	const char *line = NULL;

	assert_code(mfs_text_readline(text, &line), 0);
}

/** The file's lines are these, up to NULL, whichever way it is read. */
static inline void assert_lines(mfs *fs, const char *path, const mfs_text_options *options,
								const char *const *want)
{
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		struct opened opened = open_text_by(fs, path, &ways[way], options);

		for (const char *const *line = want; *line != NULL; line++) {
			assert_line(opened.text, *line);
		}
		assert_no_line(opened.text);
		assert_no_line(opened.text);
		close_text_by(opened);
	}
}

/** What mfs_text_read() gives up to the end, in pieces of up to `piece` bytes. */
static inline char *read_all(mfs_text *text, size_t piece, size_t limit, size_t *length,
							 size_t *characters)
{
	size_t room = 4096;
	char *all = allocate(room);

	*length = 0;
	*characters = 0;
	for (;;) {
		size_t count = 0;

		if (room - *length < piece) {
			room = 2 * room + piece;
			char *grown = realloc(all, room);

			assert_non_null(grown);
			all = grown;
		}
		int64_t got = mfs_text_read(text, all + *length, piece, limit, &count);

		assert_true(got >= 0);
		if (limit > 0) {
			assert_true(count <= limit);
		}
		if (got == 0) {
			assert_int_equal(count, 0);
			return all;
		}
		*length += (size_t)got;
		*characters += count;
	}
}

/** The file's text is exactly this, whichever way it is read. */
static inline void assert_reads_as(mfs *fs, const char *path, const mfs_text_options *options,
								   const char *want, size_t length)
{
	static const size_t pieces[] = {4, 7, 64, 100000};

	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		for (size_t i = 0; i < COUNT_OF(pieces); i++) {
			struct opened opened = open_text_by(fs, path, &ways[way], options);
			size_t got = 0;
			size_t characters = 0;
			char *all = read_all(opened.text, pieces[i], i == 1 ? 3 : 0, &got, &characters);

			assert_int_equal(got, length);
			assert_memory_equal(all, want, length);
			free(all);
			close_text_by(opened);
		}
	}
}

#endif
