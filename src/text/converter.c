/* SPDX-License-Identifier: MIT */
/*
 * Encodings that iconv knows, read unit by unit.
 *
 * iconv converts blocks, and does not say which bytes became which characters. A position in the
 * file has to be exact, so it is fed with as little as it takes. What each byte is by itself is
 * asked for once, when the encoding is opened. From that follows of which of two sorts it is:
 *
 *   - Each unit stands for itself. The first byte is looked up in a table, pairs of bytes in a
 *     cache; what is not there is converted from the initial state, and ends in it.
 *   - There are shift states, or characters are held back until the next one is known. Then the
 *     descriptor stays where the reader is, and is fed unit by unit.
 */
#include "codec.h"
#include "utf8.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>

/* The longest unit that stands for itself; that of GB18030 has 4 bytes. */
#define OWN_UNIT_MAX 8u
/* Entries of the cache of pairs, a power of two. */
#define PAIRS UINT32_C(4096)

/* In the place of a character, in the table of first bytes: */
#define LEADS   UINT32_C(0xFFFFFFFF) /* others must follow */
#define NOTHING UINT32_C(0xFFFFFFFE) /* no unit begins so */

struct mfs__text_converter {
	/* To UTF-32 of the machine, and from UTF-8; none: the value that iconv_open() fails with. */
	iconv_t in;
	iconv_t out;
	/* The second sort; of these, one that holds characters back. */
	bool stateful;
	bool holds;
	/* Has something at the start of a text, such as a mark. */
	bool begins;
	/* Bytes of the smallest unit. */
	size_t width;
	/* A unit that was given back, to be taken again. */
	bool has_given_back;
	struct mfs__text_unit given_back;
	uint32_t first[256];
	/* Pairs, by the lower bits of the two bytes; an entry has the others above the character. */
	uint32_t pairs[PAIRS];
};

#define CHARACTER_BITS 21u

static iconv_t no_descriptor(void)
{
	return (iconv_t)-1; /* NOLINT(performance-no-int-to-ptr): so iconv_open() says it */
}

static const char *utf32_of_the_machine(void)
{
	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? "UTF-32BE" : "UTF-32LE";
}

/* What became of some bytes. */
struct outcome {
	int error;       /* 0, EILSEQ, EINVAL (more bytes are needed) or E2BIG */
	size_t consumed; /* bytes */
	unsigned count;  /* of characters */
	uint32_t characters[4];
};

/* Up to `most` characters, 4 at most. */
static void convert(iconv_t in, const uint8_t *bytes, size_t size, unsigned most,
					struct outcome *outcome)
{
	/* iconv only reads what it takes by a pointer to char. */
	char *from = (char *)(uintptr_t)bytes;
	size_t left = size;
	char *to = (char *)outcome->characters;
	size_t room = most * sizeof(uint32_t);

	size_t result = iconv(in, bytes ? &from : NULL, bytes ? &left : NULL, &to, &room);
	outcome->error = result == (size_t)-1 ? errno : 0;
	outcome->consumed = size - left;
	outcome->count = (unsigned)((most * sizeof(uint32_t) - room) / sizeof(uint32_t));
}

static void to_initial_state(iconv_t descriptor)
{
	(void)iconv(descriptor, NULL, NULL, NULL, NULL);
}

/* Characters that are held back, in an outcome; back to the initial state. */
static void flush(iconv_t in, struct outcome *outcome)
{
	convert(in, NULL, 0, 4, outcome);
	to_initial_state(in);
}

/* Find out what a byte is by itself. */
static void probe_byte(struct mfs__text_converter *converter, uint8_t byte)
{
	struct outcome outcome = {.error = 0};
	struct outcome rest = {.error = 0};

	to_initial_state(converter->in);
	convert(converter->in, &byte, 1, 4, &outcome);
	flush(converter->in, &rest);
	if (outcome.error) {
		converter->first[byte] = outcome.error == EINVAL ? LEADS : NOTHING;
	} else if (outcome.count == 1 && rest.count == 0) {
		converter->first[byte] = outcome.characters[0];
	} else {
		converter->first[byte] = NOTHING;
		converter->stateful = true;
		converter->holds |= rest.count > 0;
	}
}

/* Are the bytes consumed without a character, as a mark is? */
static bool vanish(const struct mfs__text_converter *converter, const uint8_t *bytes, size_t size)
{
	struct outcome outcome = {.error = 0};
	struct outcome rest = {.error = 0};

	to_initial_state(converter->in);
	convert(converter->in, bytes, size, 4, &outcome);
	flush(converter->in, &rest);
	return !outcome.error && outcome.count == 0;
}

/* Do the bytes make one character? */
static bool is_unit(const struct mfs__text_converter *converter, const uint8_t *bytes, size_t size)
{
	struct outcome outcome = {.error = 0};

	to_initial_state(converter->in);
	convert(converter->in, bytes, size, 4, &outcome);
	to_initial_state(converter->in);
	return !outcome.error && outcome.consumed == size;
}

/* Find out of which sort the encoding is. */
static void probe(struct mfs__text_codec *codec)
{
	struct mfs__text_converter *converter = codec->converter;
	static const uint8_t letter_first[] = {'A', 0};
	static const uint8_t letter_last[] = {0, 'A'};
	static const uint8_t marks[][2] = {{0xFE, 0xFF}, {0xFF, 0xFE}};
	bool ascii = true;
	bool leads = false;

	for (unsigned byte = 0; byte < 256; byte++)
		probe_byte(converter, (uint8_t)byte);
	for (unsigned byte = 0; byte < 0x80; byte++) {
		ascii &= converter->first[byte] == byte;
		leads |= converter->first[byte] == LEADS;
	}
	converter->width = 1;
	if (converter->first['A'] == LEADS && converter->first[0] == LEADS) {
		bool two = is_unit(converter, letter_first, 2) || is_unit(converter, letter_last, 2);
		converter->width = two ? 2 : 4;
		for (size_t i = 0; i < 2; i++)
			converter->stateful |= vanish(converter, marks[i], 2);
	} else {
		/* An ASCII byte that others must follow begins an escape sequence. */
		converter->stateful |= leads;
	}
	codec->ascii = ascii && !converter->stateful;
	to_initial_state(converter->in);
}

/* Bytes that "a" becomes, from where the descriptor is. */
static size_t length_of_a(iconv_t out)
{
	char letter[] = "a";
	char *from = letter;
	size_t left = 1;
	char bytes[32];
	char *to = bytes;
	size_t room = sizeof bytes;

	(void)iconv(out, &from, &left, &to, &room);
	return sizeof bytes - room;
}

static int fail_open(const char *name)
{
	switch (errno) {
	case ENOMEM:
		return mfs_set_last_error(MFS_ENOMEM, "encoding %.100s", name);
	case EMFILE:
	case ENFILE:
		return mfs_set_last_error(MFS_EMFILE, "encoding %.100s: iconv cannot open a file", name);
	default:
		return mfs_set_last_error(MFS_EINVAL, "encoding %.100s is not known", name);
	}
}

int mfs__text_converter_open(struct mfs__text_codec *codec, const char *name, bool reads,
							 bool writes)
{
	/* To iconv, "" is what the environment says, also before a "/", with which it separates. */
	if (!name[0] || strstr(name, "//") || name[strlen(name) - 1] == '/')
		return mfs_set_last_error(MFS_EINVAL, "encoding \"%.100s\" is not the name of one", name);

	struct mfs__text_converter *converter = calloc(1, sizeof *converter);
	if (!converter)
		return mfs_set_last_error(MFS_ENOMEM, "encoding %.100s", name);
	/* Above the character an entry has less than 16, so that nothing finds one that was not set. */
	memset(converter->pairs, 0xFF, sizeof converter->pairs);
	converter->in = no_descriptor();
	converter->out = no_descriptor();
	codec->converter = converter;

	/* One that is for neither is opened all the same, to know the name. */
	if (reads || !writes) {
		converter->in = iconv_open(utf32_of_the_machine(), name);
		if (converter->in == no_descriptor())
			return fail_open(name);
		probe(codec);
	}
	if (writes) {
		converter->out = iconv_open(name, "UTF-8");
		if (converter->out == no_descriptor())
			return fail_open(name);
		size_t at_start = length_of_a(converter->out);
		converter->begins = at_start > length_of_a(converter->out);
		codec->begins = converter->begins;
	}
	return 0;
}

void mfs__text_converter_close(struct mfs__text_converter *converter)
{
	if (converter->in != no_descriptor())
		(void)iconv_close(converter->in);
	if (converter->out != no_descriptor())
		(void)iconv_close(converter->out);
	free(converter);
}

/*
 * Reading
 */

static enum mfs__text_taken damage(struct mfs__text_unit *unit, size_t length)
{
	unit->length = length;
	unit->count = 0;
	return MFS__TEXT_DAMAGE;
}

static void add_characters(struct mfs__text_unit *unit, const struct outcome *outcome)
{
	unit->length += outcome->consumed;
	for (unsigned i = 0; i < outcome->count && unit->count < 4; i++)
		unit->characters[unit->count++] = outcome->characters[i];
}

/* A unit of several bytes that stands for itself. */
static enum mfs__text_taken convert_own(const struct mfs__text_converter *converter,
										const uint8_t *bytes, size_t size,
										struct mfs__text_unit *unit)
{
	for (size_t length = 2; length <= OWN_UNIT_MAX; length++) {
		struct outcome outcome = {.error = 0};
		struct outcome rest = {.error = 0};
		if (length > size)
			return MFS__TEXT_CUT;
		to_initial_state(converter->in);
		convert(converter->in, bytes, length, 4, &outcome);
		if (outcome.error == EINVAL)
			continue;
		if (outcome.error)
			break;
		flush(converter->in, &rest);
		unit->length = 0;
		unit->count = 0;
		add_characters(unit, &outcome);
		rest.consumed = 0;
		add_characters(unit, &rest);
		return MFS__TEXT_TAKEN;
	}
	return damage(unit, converter->width < size ? converter->width : size);
}

static enum mfs__text_taken take_own(struct mfs__text_converter *converter, const uint8_t *bytes,
									 size_t size, struct mfs__text_unit *unit)
{
	uint32_t first = converter->first[bytes[0]];

	if (first <= MFS__TEXT_LAST) {
		unit->length = 1;
		unit->count = 1;
		unit->characters[0] = first;
		return MFS__TEXT_TAKEN;
	}
	if (first == NOTHING)
		return damage(unit, 1);
	if (size < 2)
		return MFS__TEXT_CUT;
	uint32_t pair = (uint32_t)bytes[0] << 8 | bytes[1];
	uint32_t *entry = &converter->pairs[pair % PAIRS];
	if (*entry >> CHARACTER_BITS == pair / PAIRS) {
		unit->length = 2;
		unit->count = 1;
		unit->characters[0] = *entry & ((UINT32_C(1) << CHARACTER_BITS) - 1);
		return MFS__TEXT_TAKEN;
	}
	enum mfs__text_taken result = convert_own(converter, bytes, size, unit);
	if (result == MFS__TEXT_TAKEN && unit->length == 2 && unit->count == 1)
		*entry = pair / PAIRS << CHARACTER_BITS | unit->characters[0];
	return result;
}

/* Feed the descriptor with the fewest bytes that it does something with. */
static void feed(const struct mfs__text_converter *converter, const uint8_t *bytes, size_t size,
				 struct outcome *outcome)
{
	size_t most = size < MFS__TEXT_UNIT_MAX ? size : MFS__TEXT_UNIT_MAX;

	for (size_t length = 1; length <= most; length++) {
		/* A character at a time: what looked like an escape sequence may turn out to be several. */
		convert(converter->in, bytes, length, 1, outcome);
		if (outcome->error == E2BIG && !outcome->consumed && !outcome->count)
			convert(converter->in, bytes, length, 4, outcome);
		if (outcome->error != EINVAL || outcome->consumed || outcome->count)
			return;
	}
	/* No unit of any encoding is as long. */
	if (size >= MFS__TEXT_UNIT_MAX)
		outcome->error = EILSEQ;
}

/* A unit that was given back. At the end of the file one that has bytes is no longer there. */
static bool take_again(struct mfs__text_converter *converter, bool at_end,
					   struct mfs__text_unit *unit)
{
	if (!converter->has_given_back)
		return false;
	converter->has_given_back = false;
	*unit = converter->given_back;
	return !at_end || unit->length == 0;
}

static enum mfs__text_taken take_stateful(struct mfs__text_converter *converter,
										  const uint8_t *bytes, size_t size,
										  struct mfs__text_unit *unit)
{
	unit->length = 0;
	unit->count = 0;
	while (unit->count == 0 && unit->length < size) {
		struct outcome outcome = {.error = EILSEQ};
		feed(converter, bytes + unit->length, size - unit->length, &outcome);
		if (outcome.consumed || outcome.count) {
			add_characters(unit, &outcome);
			continue;
		}
		/* Bytes that changed the state are told first. */
		if (unit->length)
			break;
		if (outcome.error == EINVAL)
			return MFS__TEXT_CUT;
		/* So are characters that were held back. */
		if (converter->holds) {
			struct outcome rest = {.error = 0};
			flush(converter->in, &rest);
			rest.consumed = 0;
			add_characters(unit, &rest);
			if (unit->count)
				break;
		}
		return damage(unit, converter->width < size ? converter->width : size);
	}
	return MFS__TEXT_TAKEN;
}

enum mfs__text_taken mfs__text_convert_unit(struct mfs__text_converter *converter,
											const uint8_t *bytes, size_t size,
											struct mfs__text_unit *unit)
{
	if (take_again(converter, false, unit))
		return MFS__TEXT_TAKEN;
	return converter->stateful ? take_stateful(converter, bytes, size, unit)
							   : take_own(converter, bytes, size, unit);
}

void mfs__text_converter_give_back(struct mfs__text_converter *converter,
								   const struct mfs__text_unit *unit)
{
	/* Of the first sort, a whole unit is found again where it is. */
	if (!converter->stateful && !unit->is_rest)
		return;
	converter->has_given_back = true;
	converter->given_back = *unit;
}

void mfs__text_converter_rest(struct mfs__text_converter *converter, struct mfs__text_unit *unit)
{
	struct outcome rest = {.error = 0};

	if (take_again(converter, true, unit))
		return;
	unit->length = 0;
	unit->count = 0;
	if (!converter->holds)
		return;
	flush(converter->in, &rest);
	rest.consumed = 0;
	add_characters(unit, &rest);
}

void mfs__text_converter_reset(struct mfs__text_converter *converter)
{
	converter->has_given_back = false;
	if (converter->in != no_descriptor())
		to_initial_state(converter->in);
}

/*
 * Writing
 */

void mfs__text_converter_begin(struct mfs__text_converter *converter, bool continues)
{
	to_initial_state(converter->out);
	if (continues && converter->begins)
		(void)length_of_a(converter->out);
}

/* Is it a tag character, U+E0000 to U+E007F? Where there is none, some iconvs leave it out. */
static bool is_tag(const uint8_t *character, size_t length)
{
	return length == 4 && character[0] == 0xF3 && character[1] == 0xA0 && character[2] <= 0x81;
}

int mfs__text_converter_put(struct mfs__text_converter *converter, const uint8_t **from,
							size_t *size, bool singly, struct mfs__text_buffer *to)
{
	size_t length = singly ? (size_t)mfs__text_utf8_next(*from, *size) : *size;
	size_t before = to->length;
	char *in = (char *)(uintptr_t)*from;
	size_t left = length;
	size_t need = 2 * left + 16;
	size_t result = 0;
	int error = 0;

	do {
		int code = mfs__text_buffer_grow(to, need);
		if (code)
			return code;
		char *out = (char *)(to->bytes + to->length);
		size_t room = to->room - to->length;
		result = iconv(converter->out, &in, &left, &out, &room);
		error = errno;
		to->length = to->room - room;
		need = 2 * room + 64;
	} while (result == (size_t)-1 && error == E2BIG);

	bool doubtful = result != 0 && result != (size_t)-1;
	bool left_out = singly && to->length == before && is_tag(*from, length);
	if (singly && (doubtful || left_out || result == (size_t)-1)) {
		to->length = before;
		return 1;
	}
	*from += length - left;
	*size -= length - left;
	if (doubtful)
		return 2;
	return result == (size_t)-1 ? 1 : 0;
}

int mfs__text_converter_end(struct mfs__text_converter *converter, struct mfs__text_buffer *to)
{
	int code = mfs__text_buffer_grow(to, 64);

	if (code)
		return code;
	char *out = (char *)(to->bytes + to->length);
	size_t room = to->room - to->length;
	(void)iconv(converter->out, NULL, NULL, &out, &room);
	to->length = to->room - room;
	return 0;
}
