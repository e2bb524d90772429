/* SPDX-License-Identifier: MIT */
/* The bytes that a text handle reads: where they are, or a copy of this instant. */
#include "handle.h"

/* The most that is read before it is known to be needed. */
#define BLOCK_MAX ((size_t)64 << 10)
/* Growth of a block that turned out to be too small. */
#define BLOCK_GROWTH 4u

void mfs__text_source_forget(struct mfs_text *text)
{
	text->block.length = 0;
	text->block.at = MFS__TEXT_NOWHERE;
	text->block.last = false;
}

void mfs__text_source_free(struct mfs_text *text)
{
	free(text->block.bytes);
	free(text->spare.bytes);
}

int mfs__text_find_mark(struct mfs_text *text, size_t *length)
{
	uint8_t bytes[4];
	int64_t result = mfs_pread(text->file, bytes, sizeof bytes, 0);

	if (result < 0)
		return (int)result;
	*length = mfs__text_mark_learn(&text->codec, bytes, (size_t)result);
	return 0;
}

/* The file's own memory. */
static int view(struct mfs_text *text, int64_t at, size_t need, struct mfs__text_span *span)
{
	size_t left = 0;

	if (at >= text->run_at && at - text->run_at < (int64_t)text->run_length)
		left = text->run_length - (size_t)(at - text->run_at);
	if (left == 0) {
		const void *bytes;
		int64_t length = mfs_view(text->file, at, &bytes);
		if (length < 0)
			return (int)length;
		text->run = bytes;
		text->run_at = at;
		text->run_length = left = (size_t)length;
		text->checked = 0;
	}
	if (left >= need || left == 0) {
		span->bytes = left ? text->run + (at - text->run_at) : NULL;
		span->length = left;
		span->stays = true;
		return 0;
	}
	/* What is asked for lies in two runs, or the file ends. */
	int64_t length = mfs_pread(text->file, text->joint, sizeof text->joint, at);
	if (length < 0)
		return (int)length;
	span->bytes = text->joint;
	span->length = (size_t)length;
	span->stays = false;
	return 0;
}

/* Read a block. Returns 0, or a code, noted. */
static int fill(struct mfs_text *text, struct mfs__text_block *block, int64_t at, size_t size)
{
	if (size > block->room) {
		uint8_t *bytes = malloc(size);
		if (!bytes)
			return mfs_set_last_error(MFS_ENOMEM, "%zu bytes to read text into", size);
		free(block->bytes);
		block->bytes = bytes;
		block->room = size;
	}
	int64_t result = mfs_pread(text->file, block->bytes, size, at);
	if (result < 0)
		return (int)result;
	block->length = (size_t)result;
	block->at = at;
	block->last = block->length < size;
	return 0;
}

/* How much to read for what comes next, at least. */
static size_t block_size(const struct mfs_text *text, const struct mfs__text_walk *walk)
{
	bool goes_on = text->block.at == walk->start && walk->at > walk->start;

	if (walk->takes_line)
		return goes_on ? text->block.length : text->likely_line;
	/* Each byte of UTF-8 takes one of the file at least, for most encodings at most two. */
	size_t size = walk->room < BLOCK_MAX / 2 ? 2 * walk->room : BLOCK_MAX;
	if (walk->limit < size / MFS_TEXT_CHARACTER_MAX)
		size = walk->limit * MFS_TEXT_CHARACTER_MAX;
	return size + MFS__TEXT_NEED_MAX;
}

/* How many bytes of a block are there from an offset on; a unit that is skipped may end behind. */
static size_t left_in(const struct mfs__text_block *block, int64_t at)
{
	if (block->at == MFS__TEXT_NOWHERE || at - block->at >= (int64_t)block->length)
		return 0;
	return block->length - (size_t)(at - block->at);
}

/* Does a block begin with what an earlier one had from there, up to an offset? */
static bool agree(const struct mfs__text_block *block, const struct mfs__text_block *before,
				  int64_t to)
{
	size_t common = left_in(before, block->at);
	size_t kept = (size_t)(to - block->at);

	common = common < kept ? common : kept;
	return block->length >= common &&
		   (!common || memcmp(block->bytes, before->bytes + (block->at - before->at), common) == 0);
}

/* A copy of the bytes. */
static int copy(struct mfs_text *text, const struct mfs__text_walk *walk, size_t need,
				struct mfs__text_span *span)
{
	struct mfs__text_block *block = &text->block;
	size_t left = left_in(block, walk->at);

	if (left < need && !block->last) {
		size_t kept = (size_t)(walk->at - walk->start);
		size_t size = block_size(text, walk);
		if (size > SIZE_MAX / BLOCK_GROWTH - kept)
			return mfs_set_last_error(MFS_ENOMEM, "%zu bytes of a line", size);
		/* A line that did not end in the block may be much longer. */
		if (walk->takes_line && kept)
			size *= BLOCK_GROWTH;
		size = size > kept + need ? size : kept + need;
		int code = fill(text, &text->spare, walk->start, size);
		if (code)
			return code;
		struct mfs__text_block before = *block;
		*block = text->spare;
		text->spare = before;
		if (!agree(block, &before, walk->at))
			return MFS__TEXT_CHANGED;
		left = left_in(block, walk->at);
	}
	span->bytes = left ? block->bytes + (walk->at - block->at) : NULL;
	span->length = left;
	span->stays = true;
	return 0;
}

int mfs__text_source(struct mfs_text *text, const struct mfs__text_walk *walk, size_t need,
					 struct mfs__text_span *span)
{
	return text->views ? view(text, walk->at, need, span) : copy(text, walk, need, span);
}
