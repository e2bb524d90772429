/* SPDX-License-Identifier: MIT */
#include "words.h"

/* Where the table of slots starts, and to what it goes back when it is cleared. */
#define FIRST_SLOT_COUNT 4096

#define LETTERS_LOWER                                                                              \
	'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', \
		't', 'u', 'v', 'w', 'x', 'y', 'z'

const unsigned char word_bytes[256] = {
	['0'] = '0',
	'1',
	'2',
	'3',
	'4',
	'5',
	'6',
	'7',
	'8',
	'9',
	['A'] = LETTERS_LOWER,
	['_'] = '_',
	['a'] = LETTERS_LOWER,
};

void words_init(struct words *words)
{
	*words = (struct words){.cut_file = NO_FILE};
}

void words_free(struct words *words)
{
	bytes_free(&words->text);
	free(words->list);
	free(words->slots);
	words_init(words);
}

void words_clear(struct words *words)
{
	words->text.length = 0;
	words->count = 0;
	words->cut_file = NO_FILE;
	if (words->slots)
		memset(words->slots, 0, words->slot_count * sizeof *words->slots);
}

size_t words_memory(const struct words *words)
{
	return words->text.length + words->count * sizeof *words->list +
		   words->slot_count * sizeof *words->slots;
}

static uint64_t load(const unsigned char *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof value);
	return value;
}

/*
 * The hash of a word, eight bytes at a time. The bytes behind it are cleared from the last eight,
 * whichever way round the machine has them.
 */
static uint64_t hash_word(const unsigned char *word, size_t length)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = length * factor;

	for (; length >= 8; length -= 8, word += 8) {
		hash = (hash ^ load(word)) * factor;
		hash ^= hash >> 32;
	}
	if (length) {
		unsigned char last[8] = {0};
		memcpy(last, word, length);
		hash = (hash ^ load(last)) * factor;
		hash ^= hash >> 32;
	}
	hash *= UINT64_C(0xd6e8feb86659fd93);
	return hash ^ hash >> 29;
}

static bool grow_slots(struct words *words)
{
	uint32_t count = words->slot_count ? 2 * words->slot_count : FIRST_SLOT_COUNT;
	uint64_t *slots = count ? calloc(count, sizeof *slots) : NULL;

	if (!slots)
		return false;
	for (uint32_t i = 0; i < words->count; i++) {
		uint64_t hash = words->list[i].hash;
		uint32_t at = (uint32_t)hash & (count - 1);
		while (slots[at])
			at = (at + 1) & (count - 1);
		slots[at] = (hash & ~(uint64_t)UINT32_MAX) | (i + 1);
	}
	free(words->slots);
	words->slots = slots;
	words->slot_count = count;
	return true;
}

static bool grow_list(struct words *words)
{
	uint32_t room = words->list_room ? 2 * words->list_room : FIRST_SLOT_COUNT / 2;
	struct word *list = room ? realloc(words->list, room * sizeof *list) : NULL;

	if (!list)
		return false;
	words->list = list;
	words->list_room = room;
	return true;
}

/* Find a word, or add it. Returns NULL without memory. */
static struct word *find_word(struct words *words, const unsigned char *bytes, uint32_t length)
{
	uint64_t hash = hash_word(bytes, length);

	if (words->count >= words->slot_count / 2 && !grow_slots(words))
		return NULL;
	uint32_t mask = words->slot_count - 1;
	uint32_t at = (uint32_t)hash & mask;
	for (; words->slots[at]; at = (at + 1) & mask) {
		if ((words->slots[at] ^ hash) >> 32)
			continue;
		struct word *found = &words->list[(uint32_t)words->slots[at] - 1];
		if (found->length == length && memcmp(words_text(words, found), bytes, length) == 0)
			return found;
	}
	if (words->count == words->list_room && !grow_list(words))
		return NULL;
	struct word *added = &words->list[words->count];
	*added = (struct word){
		.hash = hash, .offset = words->text.length, .length = length, .last_file = NO_FILE};
	if (!bytes_append(&words->text, bytes, length))
		return NULL;
	words->count++;
	words->slots[at] = (hash & ~(uint64_t)UINT32_MAX) | words->count;
	return added;
}

enum words_result words_add(struct words *words, unsigned char *text, size_t length, uint32_t file,
							bool is_part, uint64_t *total)
{
	unsigned char *end = text + length;

	if (is_part)
		words->cut_file = file;
	/* What follows the text ends its last word. */
	*end = '\0';
	for (;;) {
		while (text < end && !word_bytes[*text])
			text++;
		if (text == end)
			return WORDS_OK;
		unsigned char *start = text;
		for (unsigned char lower; (lower = word_bytes[*text]); text++)
			*text = lower;
		if ((size_t)(text - start) > UINT32_MAX)
			return WORDS_TOO_LONG;
		struct word *word = find_word(words, start, (uint32_t)(text - start));
		if (!word)
			return WORDS_NO_MEMORY;
		word->total++;
		if (is_part) {
			word->in_cut_file = true;
		} else if (word->last_file != file) {
			word->last_file = file;
			word->files++;
		}
		++*total;
	}
}
