/* SPDX-License-Identifier: MIT */
/* The text of a file, step by step: stretches of characters, line ends, and damage. */
#include "step.h"
#include "scan.h"
#include "utf8.h"

/* The most bytes of UTF-8 of one unit. */
#define UNIT_UTF8_MAX ((size_t)16)

static bool is_stop(const struct mfs_text *text, uint32_t character)
{
	return character == text->stop || character == text->other_stop;
}

static bool has_stop(const struct mfs_text *text, const struct mfs__text_unit *unit)
{
	for (unsigned i = 0; i < unit->count; i++)
		if (is_stop(text, unit->characters[i]))
			return true;
	return false;
}

/* Bytes of the file that are UTF-8 as they are. Returns false if there are none. */
static bool find_original(const struct mfs_text *text, const struct mfs__text_walk *walk,
						  const struct mfs__text_span *span, struct mfs__text_step *step)
{
	size_t length = span->length < walk->room ? span->length : walk->room;

	if (text->codec.kind == MFS__TEXT_UTF8)
		length = mfs__text_utf8_span(span->bytes, length, text->stop, text->other_stop);
	else
		length = mfs__text_ascii_span(span->bytes, length, text->stop, text->other_stop);
	if (walk->limit < length)
		length = mfs__text_utf8_cut(span->bytes, length, walk->limit);
	if (length == 0)
		return false;
	step->kind = MFS__TEXT_STRETCH;
	step->bytes = span->bytes;
	step->length = length;
	step->is_original = span->stays;
	step->after = walk->at + (int64_t)length;
	return true;
}

/*
 * After a '\r', which took `length` bytes: does a '\n' follow? Then its bytes are added, with those
 * before it that are no character and may be left out.
 */
static int take_line_feed(struct mfs_text *text, const struct mfs__text_walk *walk, size_t *length,
						  bool *found)
{
	struct mfs__text_walk ahead = *walk;
	struct mfs__text_unit unit = {.count = 0};
	size_t need = text->codec.ascii ? 1 : MFS__TEXT_UNIT_MAX;
	size_t skipped = 0;
	bool shifted = false;

	*found = false;
	do {
		struct mfs__text_span span;
		ahead.at = walk->at + (int64_t)(*length + skipped);
		int code = mfs__text_source(text, &ahead, need, &span);
		if (code)
			return code;
		if (span.length == 0)
			break;
		enum mfs__text_taken taken = mfs__text_take(&text->codec, span.bytes, span.length, &unit);
		if (taken == MFS__TEXT_TAKEN) {
			skipped += unit.length;
			shifted = true;
		} else if (taken == MFS__TEXT_CUT && need == 1) {
			need = MFS__TEXT_UNIT_MAX;
			unit.count = 0;
		} else if (text->errors == MFS_TEXT_IGNORE) {
			skipped += taken == MFS__TEXT_CUT ? span.length : unit.length;
			unit.count = 0;
		} else {
			break;
		}
	} while (unit.count == 0);
	*found = unit.count == 1 && unit.characters[0] == '\n';
	unit.length = skipped;
	if (*found)
		*length += skipped;
	else if (shifted)
		mfs__text_give_back(&text->codec, &unit);
	return 0;
}

/* A line end that was taken from `length` bytes. */
static int found_newline(struct mfs_text *text, const struct mfs__text_walk *walk,
						 uint32_t character, size_t length, struct mfs__text_step *step)
{
	bool universal = text->newline == MFS_TEXT_NEWLINE_UNIVERSAL;
	bool keeps = text->newline == MFS_TEXT_NEWLINE_KEEP && walk->room > 1 && walk->limit > 1;
	bool pair = false;

	if (character == '\r' && (universal || keeps)) {
		int code = take_line_feed(text, walk, &length, &pair);
		if (code)
			return code;
	}
	step->kind = MFS__TEXT_NEWLINE;
	step->bytes = (const uint8_t *)(character == '\n' || universal ? "\n" : pair ? "\r\n" : "\r");
	step->length = keeps && pair ? 2 : 1;
	step->is_original = false;
	step->after = walk->at + (int64_t)length;

	/* Where the file has just these bytes, they go on with the line before them. */
	struct mfs__text_span span;
	if (text->codec.ascii && length == step->length) {
		int code = mfs__text_source(text, walk, length, &span);
		if (code)
			return code;
		if (span.stays && memcmp(span.bytes, step->bytes, length) == 0) {
			step->bytes = span.bytes;
			step->is_original = true;
		}
	}
	return 0;
}

/* Characters that are gathered for a step. */
struct gathered {
	size_t consumed; /* bytes of the file */
	size_t length;   /* bytes in text->decoded */
	size_t count;    /* of characters */
};

/*
 * Take the first `count` characters of a unit only, and give back the rest with all of its bytes.
 * So characters that iconv gives together, as it held the first ones back, can be told apart.
 */
static void gather_part(struct mfs_text *text, const struct mfs__text_unit *unit, unsigned count,
						struct gathered *gathered)
{
	struct mfs__text_unit rest = {
		.length = unit->length, .is_rest = true, .count = unit->count - count};

	for (unsigned i = 0; i < count; i++)
		gathered->length +=
			mfs__text_utf8_put(unit->characters[i], text->decoded + gathered->length);
	for (unsigned i = 0; i < rest.count; i++)
		rest.characters[i] = unit->characters[count + i];
	gathered->count += count;
	mfs__text_give_back(&text->codec, &rest);
}

/*
 * Add a unit that is no line end. Returns false if there is no room for all of it: it was given
 * back, but for what there is room for if it is the first one.
 */
static bool gather(struct mfs_text *text, const struct mfs__text_walk *walk,
				   const struct mfs__text_unit *unit, struct gathered *gathered)
{
	size_t length = gathered->length;
	unsigned fitting = 0;

	while (fitting < unit->count && gathered->count + fitting < walk->limit) {
		size_t put = mfs__text_utf8_put(unit->characters[fitting], text->decoded + length);
		if (put > walk->room - length)
			break;
		length += put;
		fitting++;
	}
	if (fitting == unit->count) {
		gathered->consumed += unit->length;
		gathered->length = length;
		gathered->count += fitting;
		return true;
	}
	if (gathered->count == 0 && fitting > 0 && gathered->consumed == 0)
		gather_part(text, unit, fitting, gathered);
	else
		mfs__text_give_back(&text->codec, unit);
	return false;
}

/* Several bytes of ASCII are found faster where they are. */
static bool is_ascii_stretch(const uint8_t *bytes, size_t size)
{
	uint64_t word;

	if (size < sizeof word)
		return false;
	memcpy(&word, bytes, sizeof word);
	return !(word & UINT64_C(0x8080808080808080));
}

/* Take units from the bytes of a span, the first of which is there, as long as they go together. */
static void gather_units(struct mfs_text *text, const struct mfs__text_walk *walk,
						 const struct mfs__text_span *span, const struct mfs__text_unit *first,
						 struct gathered *gathered)
{
	struct mfs__text_unit unit = *first;

	while (gather(text, walk, &unit, gathered)) {
		/* One that was given back may end behind the span. */
		if (gathered->consumed >= span->length)
			break;
		const uint8_t *next = span->bytes + gathered->consumed;
		size_t left = span->length - gathered->consumed;
		if ((text->codec.ascii && is_ascii_stretch(next, left)) ||
			gathered->length > sizeof text->decoded - UNIT_UTF8_MAX ||
			mfs__text_take(&text->codec, next, left, &unit) != MFS__TEXT_TAKEN)
			break;
		if (has_stop(text, &unit)) {
			mfs__text_give_back(&text->codec, &unit);
			break;
		}
	}
}

/* A unit that begins with a line end. */
static int found_newline_in(struct mfs_text *text, const struct mfs__text_walk *walk,
							const struct mfs__text_unit *unit, struct mfs__text_step *step)
{
	struct gathered gathered = {0, 0, 0};

	if (unit->count == 1)
		return found_newline(text, walk, unit->characters[0], unit->length, step);
	gather_part(text, unit, 1, &gathered);
	return found_newline(text, walk, unit->characters[0], 0, step);
}

/* Take a unit at least, or find out why there is none. */
static int step_by_units(struct mfs_text *text, const struct mfs__text_walk *walk,
						 struct mfs__text_span *span, struct mfs__text_step *step)
{
	struct mfs__text_unit unit;
	struct gathered gathered = {0, 0, 0};
	enum mfs__text_taken taken = mfs__text_take(&text->codec, span->bytes, span->length, &unit);

	if (taken == MFS__TEXT_CUT) {
		int code = mfs__text_source(text, walk, MFS__TEXT_UNIT_MAX, span);
		if (code)
			return code;
		taken = mfs__text_take(&text->codec, span->bytes, span->length, &unit);
	}
	if (taken != MFS__TEXT_TAKEN) {
		step->kind = MFS__TEXT_DAMAGED;
		step->cut_short = taken == MFS__TEXT_CUT;
		step->bytes = span->bytes;
		step->length = step->cut_short ? span->length : unit.length;
		step->after = walk->at + (int64_t)step->length;
		return 0;
	}
	if (has_stop(text, &unit)) {
		if (is_stop(text, unit.characters[0]))
			return found_newline_in(text, walk, &unit, step);
		/* The characters before it go first, one at a time. */
		struct mfs__text_walk one = *walk;
		one.limit = 1;
		(void)gather(text, &one, &unit, &gathered);
	} else {
		gather_units(text, walk, span, &unit, &gathered);
	}
	step->kind = gathered.length || gathered.consumed ? MFS__TEXT_STRETCH : MFS__TEXT_FULL;
	step->bytes = text->decoded;
	step->length = gathered.length;
	step->after = walk->at + (int64_t)gathered.consumed;
	return 0;
}

/* The file has no more bytes, but perhaps there are characters that were held back. */
static int step_at_end(struct mfs_text *text, const struct mfs__text_walk *walk,
					   struct mfs__text_step *step)
{
	struct mfs__text_unit unit;
	struct gathered gathered = {0, 0, 0};

	mfs__text_take_rest(&text->codec, &unit);
	step->kind = MFS__TEXT_END;
	step->bytes = text->decoded;
	step->after = walk->at;
	if (unit.count == 0)
		return 0;
	(void)gather(text, walk, &unit, &gathered);
	step->kind = gathered.length ? MFS__TEXT_STRETCH : MFS__TEXT_FULL;
	step->length = gathered.length;
	return 0;
}

int mfs__text_next_step(struct mfs_text *text, const struct mfs__text_walk *walk,
						struct mfs__text_step *step)
{
	struct mfs__text_span span;
	int code = mfs__text_source(text, walk, 1, &span);

	step->length = 0;
	step->is_original = false;
	step->cut_short = false;
	if (code)
		return code;
	if (span.length == 0)
		return step_at_end(text, walk, step);
	if (text->codec.ascii && find_original(text, walk, &span, step))
		return 0;
	return step_by_units(text, walk, &span, step);
}
