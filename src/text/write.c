/* SPDX-License-Identifier: MIT */
/* Writing text: in the file's encoding, all or nothing. */
#include "handle.h"
#include "scan.h"
#include "utf8.h"

#include <stdio.h>

static const char *newline_written(const struct mfs_text *text)
{
	switch (text->newline) {
	case MFS_TEXT_NEWLINE_CR:
		return "\r";
	case MFS_TEXT_NEWLINE_CRLF:
		return "\r\n";
	default:
		return "\n";
	}
}

/* Is the file empty? Returns 1, 0, or a code, noted. */
static int is_empty(const struct mfs_text *text)
{
	char byte;

	if (text->reads) {
		int64_t result = mfs_pread(text->file, &byte, 1, 0);
		return result < 0 ? (int)result : result == 0;
	}
	int64_t cursor = mfs_tell(text->file);
	int64_t size = cursor < 0 ? cursor : mfs_seek(text->file, 0, SEEK_END);
	if (size >= 0)
		cursor = mfs_seek(text->file, cursor, SEEK_SET);
	return size < 0 ? (int)size : cursor < 0 ? (int)cursor : size == 0;
}

/* Where a write begins, and what goes before it. */
struct start {
	int64_t at; /* MFS__TEXT_NOWHERE: at the cursor, wherever it is */
	bool is_first;
};

/* An encoding with a mark, or something like it, begins the file with it, once. */
static int find_start(struct mfs_text *text, struct start *start)
{
	start->at = text->at_cursor ? MFS__TEXT_NOWHERE : text->at;
	start->is_first = false;
	if (!text->codec.marked && !text->codec.begins)
		return 0;
	int empty = is_empty(text);
	if (empty < 0)
		return empty;
	start->is_first = empty;
	if (empty || !text->codec.marked)
		return 0;

	int64_t at = text->at_cursor ? mfs_tell(text->file) : text->at;
	if (at < 0)
		return (int)at;
	if (text->reads && (at == 0 || !text->codec.order_known)) {
		int code = mfs__text_find_mark(text, &text->mark_length);
		if (code)
			return code;
	}
	if (at == 0 && text->mark_length)
		start->at = (int64_t)text->mark_length;
	return 0;
}

/* Write at the place, which the cursor goes to and stays at if that fails. */
static int64_t write_at(struct mfs_text *text, const struct start *start, const void *bytes,
						size_t size)
{
	int64_t before = 0;

	if (start->at != MFS__TEXT_NOWHERE) {
		before = mfs_tell(text->file);
		int64_t result = before < 0 ? before : mfs_seek(text->file, start->at, SEEK_SET);
		if (result < 0)
			return result;
	}
	int64_t result = mfs_write(text->file, bytes, size);
	if (result < 0 && start->at != MFS__TEXT_NOWHERE)
		(void)mfs_seek(text->file, before, SEEK_SET);
	return result;
}

/* What goes to the file: the string as it is, or text->written. Counts its characters. */
static int convert(struct mfs_text *text, const uint8_t *string, size_t size, bool is_first,
				   size_t *characters, bool *as_is)
{
	struct mfs__text_encoding_job job = {
		.codec = &text->codec,
		.string = string,
		.size = size,
		.errors = text->errors,
		.newline = newline_written(text),
		.continues = !is_first,
		.to = &text->written,
	};
	bool marks = is_first && text->codec.marked;

	*as_is = false;
	if (text->codec.kind == MFS__TEXT_UTF8 && !marks) {
		bool translates = strcmp(job.newline, "\n") != 0;
		*as_is = (!translates || !memchr(string, '\n', size)) &&
				 mfs__text_utf8_check(string, size) == size;
	}
	if (*as_is) {
		*characters = mfs__text_utf8_count(string, size);
		return 0;
	}
	text->written.length = 0;
	if (marks) {
		uint8_t mark[4];
		size_t length = mfs__text_mark_put(&text->codec, mark);
		int code = mfs__text_buffer_put(&text->written, mark, length);
		if (code)
			return code;
	}
	int code = mfs__text_encode(&job);
	*characters = job.characters;
	return code;
}

int64_t mfs_text_write(mfs_text *text, const char *string, size_t size)
{
	struct start start;
	size_t characters;
	bool as_is;

	if (!text || (!string && size))
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_write: NULL");
	if (size > INT64_MAX)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_write: %zu bytes", size);
	/* The file says what is wrong with it, also if there is nothing to write. */
	if (!text->writes || size == 0)
		return mfs_write(text->file, "", 0);
	int code = find_start(text, &start);
	if (!code)
		code = convert(text, (const uint8_t *)string, size, start.is_first, &characters, &as_is);
	if (code)
		return code;
	int64_t result = as_is ? write_at(text, &start, string, size)
						   : write_at(text, &start, text->written.bytes, text->written.length);
	if (result < 0)
		return result;
	if (start.is_first && text->codec.marked) {
		uint8_t mark[4];
		text->codec.order_known = true;
		text->mark_length = mfs__text_mark_put(&text->codec, mark);
	}
	text->at_cursor = true;
	return (int64_t)characters;
}
