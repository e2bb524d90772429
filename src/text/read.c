/* SPDX-License-Identifier: MIT */
/* Lines and characters of a text. */
#include "scan.h"
#include "step.h"
#include "utf8.h"

#include <stdio.h>

/* Bytes that are checked at once. */
#define CHECK_WINDOW ((size_t)4096)

static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};

/* Before a call that reads: where it begins. */
static int begin(struct mfs_text *text, struct mfs__text_walk *walk)
{
	if (!text->reads)
		return mfs_set_last_error(MFS_EBADF, "text handle is not open for reading");
	walk->at = text->at;
	if (text->at_cursor) {
		walk->at = mfs_tell(text->file);
		if (walk->at < 0)
			return (int)walk->at;
	}
	if (!text->views)
		mfs__text_source_forget(text);
	if (text->decoded_to != walk->at)
		mfs__text_reset(&text->codec);
	if (text->codec.marked && (walk->at == 0 || !text->codec.order_known)) {
		size_t mark;
		int code = mfs__text_find_mark(text, &mark);
		if (code)
			return code;
		if (walk->at == 0)
			walk->at = (int64_t)mark;
	}
	text->decoded_to = MFS__TEXT_NOWHERE;
	return 0;
}

/* After a call that has read something. */
static void move(struct mfs_text *text, int64_t to)
{
	text->at_cursor = false;
	text->at = to;
	text->decoded_to = to;
}

static int fail_damaged(const struct mfs_text *text, const struct mfs__text_walk *walk,
						const struct mfs__text_step *step)
{
	char bytes[8 * 5 + 1];
	size_t length = 0;

	bytes[0] = '\0';
	for (size_t i = 0; i < step->length && i < 8; i++) {
		int written = snprintf(bytes + length, sizeof bytes - length, " 0x%02X", step->bytes[i]);
		length += written > 0 ? (size_t)written : 0;
	}
	return mfs_set_last_error(MFS_EILSEQ, "text at offset %lld: bytes%s are no character of %s%s",
							  (long long)walk->at, bytes, text->codec.name,
							  step->cut_short ? ", the file ends within one" : "");
}

/* Put in the step what stands for its damage. Returns 0, or MFS_EILSEQ, noted. */
static int mend(const struct mfs_text *text, const struct mfs__text_walk *walk,
				struct mfs__text_step *step)
{
	if (text->errors == MFS_TEXT_STRICT)
		return fail_damaged(text, walk, step);
	step->kind = MFS__TEXT_STRETCH;
	step->is_original = false;
	step->bytes = replacement;
	step->length = text->errors == MFS_TEXT_REPLACE ? sizeof replacement : 0;
	return 0;
}

/*
 * Lines
 */

/* A line so far: bytes of the file from an offset on, or a copy in text->line. */
struct line {
	bool is_copied;
	size_t length;
	int64_t original_at;
	/* With views: where they are. In a block they are wherever that is. */
	const uint8_t *original;
};

static const uint8_t *bytes_of(const struct mfs_text *text, const struct line *line)
{
	if (line->is_copied)
		return text->line.bytes;
	return text->views ? line->original : text->block.bytes + (line->original_at - text->block.at);
}

static int add_to_line(struct mfs_text *text, const struct mfs__text_walk *walk,
					   const struct mfs__text_step *step, struct line *line)
{
	if (!line->is_copied && step->is_original) {
		if (line->length == 0) {
			line->original = step->bytes;
			line->original_at = walk->at;
		}
		if (bytes_of(text, line) + line->length == step->bytes) {
			line->length += step->length;
			return 0;
		}
	}
	if (!line->is_copied) {
		text->line.length = 0;
		if (line->length) {
			int code = mfs__text_buffer_put(&text->line, bytes_of(text, line), line->length);
			if (code)
				return code;
		}
		line->is_copied = true;
	}
	int code = mfs__text_buffer_put(&text->line, step->bytes, step->length);
	line->length = text->line.length;
	return code;
}

static bool is_over(const struct mfs_text *text, const struct mfs__text_step *step,
					const struct line *line)
{
	if (step->kind != MFS__TEXT_NEWLINE)
		return false;
	if (text->newline != MFS_TEXT_NEWLINE_CRLF)
		return true;
	return line->length >= 2 && bytes_of(text, line)[line->length - 2] == '\r';
}

/* Gather a line, step by step. Returns 0, MFS__TEXT_CHANGED, or a code, noted. */
static int gather_line(struct mfs_text *text, struct mfs__text_walk *walk, struct line *line)
{
	struct mfs__text_step step;

	do {
		int code = mfs__text_next_step(text, walk, &step);
		if (code)
			return code;
		if (step.kind == MFS__TEXT_END)
			break;
		if (step.kind == MFS__TEXT_DAMAGED) {
			code = mend(text, walk, &step);
			if (code)
				return code;
		}
		if (step.length) {
			code = add_to_line(text, walk, &step, line);
			if (code)
				return code;
		}
		if (line->length > text->max_line)
			return mfs_set_last_error(MFS_EFBIG, "the line is longer than %zu bytes",
									  text->max_line);
		walk->at = step.after;
	} while (!is_over(text, &step, line));
	return 0;
}

/* What a block for the next line should have room for. */
static size_t likely_line(int64_t length)
{
	if (length < MFS__TEXT_LINE_MIN / 2)
		return MFS__TEXT_LINE_MIN;
	return length < MFS__TEXT_LINE_MAX / 2 ? (size_t)length * 2 : MFS__TEXT_LINE_MAX;
}

static int64_t read_line(struct mfs_text *text, const uint8_t **bytes)
{
	struct mfs__text_walk walk = {.takes_line = true};
	struct line line;

	int code = begin(text, &walk);
	if (code)
		return code;
	walk.start = walk.at;
	walk.room = SIZE_MAX;
	walk.limit = SIZE_MAX;
	do {
		line = (struct line){.is_copied = false};
		walk.at = walk.start;
		code = gather_line(text, &walk, &line);
		if (code)
			mfs__text_reset(&text->codec);
	} while (code == MFS__TEXT_CHANGED);
	if (code)
		return code;
	text->likely_line = likely_line(walk.at - walk.start);
	if (walk.at != walk.start || line.length)
		move(text, walk.at);
	*bytes = line.length ? bytes_of(text, &line) : NULL;
	return (int64_t)line.length;
}

/*
 * A line of good UTF-8 that has `length` bytes before what ends it, and `left` with that and all
 * that follows. Returns 0 if it takes more to tell what the line is.
 */
static inline int64_t plain_line(mfs_text *text, const uint8_t *from, size_t length, size_t left,
								 const uint8_t **bytes)
{
	if (from[length] == text->final_stop) {
		length++;
		if (length > text->max_line)
			return 0;
		text->at += (int64_t)length;
		*bytes = from;
		return (int64_t)length;
	}
	/* "\r\n", which becomes "\n" in a copy. */
	if (text->newline != MFS_TEXT_NEWLINE_UNIVERSAL || left - length < 2 || from[length] != '\r' ||
		from[length + 1] != '\n' || length >= text->line.room || length >= text->max_line)
		return 0;
	memcpy(text->line.bytes, from, length);
	text->line.bytes[length] = '\n';
	text->at += (int64_t)length + 2;
	*bytes = text->line.bytes;
	return (int64_t)length + 1;
}

/* Check more of the run, a window at a time, which stays in the processor's cache. */
static bool check_more(struct mfs_text *text)
{
	size_t left = text->run_length - text->checked;
	size_t window = left < CHECK_WINDOW ? left : CHECK_WINDOW;
	size_t good = mfs__text_utf8_check(text->run + text->checked, window);

	text->checked += good;
	return good > 0;
}

/*
 * A line that lies in the run that was looked at last. Returns 0 if it does not. Bytes are checked,
 * and line ends found, one after the other: to do both at once is slower, as the processor then
 * guesses wrong more often what comes next.
 */
static inline int64_t plain_line_in_run(mfs_text *text, const uint8_t **bytes)
{
	/* As an unsigned number, an offset before the run is larger than any length. */
	uint64_t skipped = (uint64_t)text->at - (uint64_t)text->run_at;
	size_t length = 0;

	if (skipped >= text->run_length)
		return 0;
	const uint8_t *from = text->run + skipped;
	if (text->checked < skipped)
		text->checked = (size_t)skipped;
	size_t known = text->checked - (size_t)skipped;
	while ((length +=
			mfs__text_find(from + length, known - length, text->stop, text->other_stop)) == known) {
		if (!check_more(text))
			return 0;
		known = text->checked - (size_t)skipped;
	}
	return plain_line(text, from, length, text->run_length - (size_t)skipped, bytes);
}

/* A line that lies in a copy of its likely size. Returns 0 if it does not, or a code, noted. */
static int64_t plain_line_in_block(mfs_text *text, const uint8_t **bytes)
{
	struct mfs__text_walk walk = {.start = text->at, .at = text->at, .takes_line = true};
	struct mfs__text_span span;

	mfs__text_source_forget(text);
	int code = mfs__text_source(text, &walk, 1, &span);
	if (code || span.length == 0)
		return code;
	size_t length = mfs__text_find(span.bytes, span.length, text->stop, text->other_stop);
	if (length == span.length || mfs__text_utf8_check(span.bytes, length) != length)
		return 0;
	int64_t result = plain_line(text, span.bytes, length, span.length, bytes);
	if (result)
		text->likely_line = likely_line(text->at - walk.at);
	return result;
}

int64_t mfs_text_readline(mfs_text *text, const char **line)
{
	const uint8_t *bytes = NULL;

	if (!text || !line)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_readline: NULL");
	int64_t length = 0;
	if (text->is_plain && !text->at_cursor)
		length = text->views ? plain_line_in_run(text, &bytes) : plain_line_in_block(text, &bytes);
	if (length == 0)
		length = read_line(text, &bytes);
	*line = (const char *)bytes;
	return length;
}

/*
 * Characters
 */

/* Fill the buffer, step by step. Returns 0, or a code, noted, that ended it. */
static int fill(struct mfs_text *text, struct mfs__text_walk *walk, uint8_t *buffer,
				size_t *characters)
{
	struct mfs__text_step step;
	size_t length = 0;

	while (walk->room && walk->limit) {
		walk->start = walk->at;
		int code = mfs__text_next_step(text, walk, &step);
		if (code < 0)
			return code;
		if (code == MFS__TEXT_CHANGED) {
			mfs__text_reset(&text->codec);
			continue;
		}
		if (step.kind == MFS__TEXT_END || step.kind == MFS__TEXT_FULL)
			break;
		if (step.kind == MFS__TEXT_DAMAGED) {
			/* What has been read comes first, and the failure with the next call. */
			if (text->errors == MFS_TEXT_STRICT && *characters)
				break;
			code = mend(text, walk, &step);
			if (code)
				return code;
			if (step.length > walk->room)
				break;
		}
		if (step.length) {
			size_t count = mfs__text_utf8_count(step.bytes, step.length);
			memcpy(buffer + length, step.bytes, step.length);
			length += step.length;
			*characters += count;
			walk->room -= step.length;
			walk->limit -= count;
		}
		walk->at = step.after;
	}
	return 0;
}

int64_t mfs_text_read(mfs_text *text, char *buffer, size_t size, size_t limit, size_t *characters)
{
	struct mfs__text_walk walk = {.takes_line = false};
	size_t count = 0;

	if (!text || !buffer)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_read: NULL");
	if (size < MFS_TEXT_CHARACTER_MAX)
		return mfs_set_last_error(MFS_EINVAL, "mfs_text_read: room for %zu bytes only", size);
	size = size < INT64_MAX ? size : INT64_MAX;
	int code = begin(text, &walk);
	if (code)
		return code;
	int64_t from = walk.at;
	walk.room = size;
	walk.limit = limit ? limit : SIZE_MAX;
	code = fill(text, &walk, (uint8_t *)buffer, &count);
	if (code)
		mfs__text_reset(&text->codec);
	if (code && count == 0)
		return code;
	if (walk.at != from || count)
		move(text, walk.at);
	if (code)
		text->decoded_to = MFS__TEXT_NOWHERE;
	if (characters)
		*characters = count;
	return (int64_t)(size - walk.room);
}
