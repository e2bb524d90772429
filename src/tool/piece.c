/* SPDX-License-Identifier: MIT */
#include "piece.h"

#include <stdlib.h>
#include <string.h>

/* The longest number: 64 bits, seven to a byte. */
#define NUMBER_SIZE 10
/* The numbers of an entry. */
#define NUMBERS_SIZE ((size_t)4 * NUMBER_SIZE)

uint64_t word_prefix(const unsigned char *word, size_t length)
{
	uint64_t prefix = 0;

	for (size_t i = 0; i < 8; i++)
		prefix = prefix << 8 | (i < length ? word[i] : 0);
	return prefix;
}

unsigned digit_count(uint64_t number)
{
	unsigned count = 1;

	for (; number >= 10; number /= 10)
		count++;
	return count;
}

/*
 * Writing
 */

/* What is sorted: words by their first bytes, mostly without a look at the words themselves. */
struct sorted_word {
	uint64_t prefix;
	const unsigned char *text;
	const struct word *word;
};

static int compare_sorted(const void *left, const void *right)
{
	const struct sorted_word *a = left;
	const struct sorted_word *b = right;
	uint32_t shorter = a->word->length < b->word->length ? a->word->length : b->word->length;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	/* Of two words with one prefix, both have eight bytes or they are one word. */
	int order = shorter > 8 ? memcmp(a->text + 8, b->text + 8, shorter - 8) : 0;
	if (order)
		return order;
	return (a->word->length > b->word->length) - (a->word->length < b->word->length);
}

static uint32_t partition_of(const struct word *word)
{
	return (uint32_t)(word->hash >> (64 - PARTITION_BITS));
}

static unsigned char *put_number(unsigned char *to, uint64_t number)
{
	for (; number >= 0x80; number >>= 7)
		*to++ = (unsigned char)(number | 0x80);
	*to++ = (unsigned char)number;
	return to;
}

static uint32_t shared_bytes(const struct sorted_word *a, const struct sorted_word *b)
{
	uint32_t shorter = a->word->length < b->word->length ? a->word->length : b->word->length;
	uint32_t shared = 0;

	while (shared < shorter && a->text[shared] == b->text[shared])
		shared++;
	return shared;
}

/* Append the entry for `entry`, which follows on `before` or, where that is NULL, on nothing. */
static bool put_entry(struct bytes *piece, const struct sorted_word *entry,
					  const struct sorted_word *before)
{
	const struct word *word = entry->word;
	uint32_t shared = before ? shared_bytes(before, entry) : 0;

	if (!bytes_reserve(piece, NUMBERS_SIZE + word->length))
		return false;
	unsigned char *to = piece->data + piece->length;
	to = put_number(to, shared);
	to = put_number(to, word->length - shared);
	to = put_number(to, word->total);
	to = put_number(to, 2 * (uint64_t)word->files + word->in_cut_file);
	memcpy(to, entry->text + shared, word->length - shared);
	piece->length = (size_t)(to - piece->data) + word->length - shared;
	return true;
}

static bool put_section(struct bytes *piece, const struct sorted_word *sorted, uint32_t count,
						uint32_t partition, uint32_t cut_file)
{
	struct section_header header = {.partition = partition, .cut_file = cut_file};
	size_t start = piece->length;

	if (!bytes_append(piece, &header, sizeof header))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct word *word = sorted[i].word;
		if (!put_entry(piece, &sorted[i], i ? &sorted[i - 1] : NULL))
			return false;
		/* Two tabs and the end of the line. */
		header.text += word->length + digit_count(word->total) +
					   digit_count((uint64_t)word->files + word->in_cut_file) + 3;
	}
	header.length = piece->length - start - sizeof header;
	memcpy(piece->data + start, &header, sizeof header);
	return true;
}

bool piece_encode(const struct words *words, uint32_t first, struct bytes *piece)
{
	uint32_t starts[PARTITION_COUNT + 1] = {0};
	uint32_t filled[PARTITION_COUNT];
	struct sorted_word *sorted = malloc((words->count + (size_t)1) * sizeof *sorted);
	bool done = true;

	if (!sorted)
		return false;
	for (uint32_t i = 0; i < words->count; i++)
		starts[partition_of(&words->list[i]) + 1]++;
	for (uint32_t p = 0; p < PARTITION_COUNT; p++)
		starts[p + 1] += starts[p];
	memcpy(filled, starts, sizeof filled);
	for (uint32_t i = 0; i < words->count; i++) {
		const struct word *word = &words->list[i];
		const unsigned char *text = words_text(words, word);
		sorted[filled[partition_of(word)]++] =
			(struct sorted_word){word_prefix(text, word->length), text, word};
	}
	for (uint32_t i = 0; done && i < PARTITION_COUNT; i++) {
		uint32_t p = (first + i) % PARTITION_COUNT;
		uint32_t count = starts[p + 1] - starts[p];
		if (!count)
			continue;
		qsort(sorted + starts[p], count, sizeof *sorted, compare_sorted);
		done = put_section(piece, sorted + starts[p], count, p, words->cut_file);
	}
	free(sorted);
	return done;
}

/*
 * Reading
 */

static bool fail_damaged(struct run *run)
{
	return run_fail(run, EXIT_FAILED, "stage %s: a file in the workspace is damaged", run->stage);
}

bool piece_find_sections(struct run *run, mfs_file *file, uint64_t size, struct bytes *places)
{
	struct section_place place = {.offset = 0};

	for (; place.offset < size; place.offset += section_size(&place.header)) {
		if (!run_read(run, file, &place.header, sizeof place.header, place.offset))
			return false;
		if (place.header.length > size - place.offset - sizeof place.header ||
			place.header.partition >= PARTITION_COUNT)
			return fail_damaged(run);
		if (!bytes_append(places, &place, sizeof place))
			return run_fail_memory(run);
	}
	return true;
}

bool section_reader_open(struct section_reader *reader, struct run *run, mfs_file *file,
						 const struct section_place *place, size_t buffer_size)
{
	*reader = (struct section_reader){
		.run = run,
		.file = file,
		.next = place->offset + sizeof place->header,
		.end = place->offset + section_size(&place->header),
		.cut_file = place->header.cut_file,
	};
	return bytes_reserve(&reader->buffer, buffer_size) ? true : run_fail_memory(run);
}

void section_reader_close(struct section_reader *reader)
{
	bytes_free(&reader->buffer);
	bytes_free(&reader->word);
}

static size_t buffered(const struct section_reader *reader)
{
	return reader->buffer.length - reader->at;
}

/* Fill the buffer. Returns false when that failed and ended the run. */
static bool fill(struct section_reader *reader)
{
	struct bytes *buffer = &reader->buffer;
	size_t kept = buffered(reader);
	size_t wanted = buffer->room - kept;

	if (wanted > reader->end - reader->next)
		wanted = (size_t)(reader->end - reader->next);
	memmove(buffer->data, buffer->data + reader->at, kept);
	reader->at = 0;
	buffer->length = kept;
	if (!run_read(reader->run, reader->file, buffer->data + kept, wanted, reader->next))
		return false;
	buffer->length += wanted;
	reader->next += wanted;
	return true;
}

/* Take a number from the buffer. Returns false if it is not all there. */
static bool take_number(struct section_reader *reader, uint64_t *number)
{
	const unsigned char *from = reader->buffer.data + reader->at;
	size_t left = buffered(reader);

	*number = 0;
	for (unsigned i = 0; i < NUMBER_SIZE && i < left; i++) {
		*number |= (uint64_t)(from[i] & 0x7f) << (7 * i);
		if (!(from[i] & 0x80)) {
			reader->at += i + 1;
			return true;
		}
	}
	return false;
}

/* Take bytes to the end of the word, which has room for them. */
static bool take_bytes(struct section_reader *reader, uint64_t length)
{
	while (length) {
		if (!buffered(reader) && !fill(reader))
			return false;
		size_t part = buffered(reader);
		if (!part)
			return fail_damaged(reader->run);
		if (part > length)
			part = (size_t)length;
		if (!bytes_append(&reader->word, reader->buffer.data + reader->at, part))
			return run_fail_memory(reader->run);
		reader->at += part;
		length -= part;
	}
	return true;
}

enum section_result section_reader_next(struct section_reader *reader)
{
	uint64_t shared;
	uint64_t rest;
	uint64_t files;

	if (buffered(reader) < NUMBERS_SIZE && reader->next < reader->end && !fill(reader))
		return SECTION_FAILED;
	if (!buffered(reader))
		return SECTION_END;
	if (!take_number(reader, &shared) || !take_number(reader, &rest) ||
		!take_number(reader, &reader->total) || !take_number(reader, &files) ||
		shared > reader->word.length) {
		(void)fail_damaged(reader->run);
		return SECTION_FAILED;
	}
	reader->files = files >> 1;
	reader->in_cut_file = files & 1;
	reader->word.length = (size_t)shared;
	if (!take_bytes(reader, rest))
		return SECTION_FAILED;
	reader->prefix = word_prefix(reader->word.data, reader->word.length);
	return SECTION_ENTRY;
}
