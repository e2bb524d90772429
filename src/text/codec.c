/* SPDX-License-Identifier: MIT */
/* Encodings by name, and reading those that are the component's own. */
#include "codec.h"
#include "utf8.h"

#include <stdio.h>

#define SURROGATES      UINT32_C(0xD800)
#define LOW_SURROGATES  UINT32_C(0xDC00)
#define SURROGATES_END  UINT32_C(0xE000)
#define SUPPLEMENTARY   UINT32_C(0x10000)
#define LONGEST_OWN     8u
#define BYTE_ORDER_MARK UINT32_C(0xFEFF)

static const bool machine_is_big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

static const struct own {
	const char *name;
	enum mfs__text_kind kind;
	bool marked;
	bool big_endian;
} own_encodings[] = {
	{"UTF8", MFS__TEXT_UTF8, false, false},     {"UTF8SIG", MFS__TEXT_UTF8, true, false},
	{"UTF16", MFS__TEXT_UTF16, true, false},    {"UTF16LE", MFS__TEXT_UTF16, false, false},
	{"UTF16BE", MFS__TEXT_UTF16, false, true},  {"UTF32", MFS__TEXT_UTF32, true, false},
	{"UTF32LE", MFS__TEXT_UTF32, false, false}, {"UTF32BE", MFS__TEXT_UTF32, false, true},
};

/* The name in capitals, without '-' and '_'; "" if it is longer than any of ours. */
static void plain_name(const char *name, char plain[LONGEST_OWN + 1])
{
	size_t length = 0;

	for (; *name; name++) {
		if (*name == '-' || *name == '_')
			continue;
		if (length == LONGEST_OWN) {
			length = 0;
			break;
		}
		bool small = *name >= 'a' && *name <= 'z';
		plain[length++] = (char)(small ? *name - 'a' + 'A' : *name);
	}
	plain[length] = '\0';
}

int mfs__text_codec_open(struct mfs__text_codec *codec, const char *name, bool reads, bool writes)
{
	char plain[LONGEST_OWN + 1];

	memset(codec, 0, sizeof *codec);
	(void)snprintf(codec->name, sizeof codec->name, "%s", name);
	plain_name(name, plain);
	for (size_t i = 0; i < sizeof own_encodings / sizeof *own_encodings; i++) {
		const struct own *own = &own_encodings[i];
		if (strcmp(plain, own->name) != 0)
			continue;
		codec->kind = own->kind;
		codec->marked = own->marked;
		codec->ascii = own->kind == MFS__TEXT_UTF8;
		codec->big_endian = own->marked ? machine_is_big_endian : own->big_endian;
		codec->order_known = !own->marked;
		return 0;
	}
	codec->kind = MFS__TEXT_FOREIGN;
	codec->order_known = true;
	return mfs__text_converter_open(codec, name, reads, writes);
}

void mfs__text_codec_close(struct mfs__text_codec *codec)
{
	if (codec->converter)
		mfs__text_converter_close(codec->converter);
	codec->converter = NULL;
}

static uint32_t get_16(const struct mfs__text_codec *codec, const uint8_t *bytes)
{
	return codec->big_endian ? (uint32_t)(bytes[0] << 8 | bytes[1])
							 : (uint32_t)(bytes[1] << 8 | bytes[0]);
}

static uint32_t get_32(const struct mfs__text_codec *codec, const uint8_t *bytes)
{
	uint32_t first = get_16(codec, bytes);
	uint32_t second = get_16(codec, bytes + 2);

	return codec->big_endian ? first << 16 | second : second << 16 | first;
}

size_t mfs__text_mark_learn(struct mfs__text_codec *codec, const uint8_t *bytes, size_t size)
{
	uint8_t mark[4];

	codec->order_known = true;
	codec->big_endian = machine_is_big_endian;
	size_t length = mfs__text_mark_put(codec, mark);
	if (size >= length && memcmp(bytes, mark, length) == 0)
		return length;
	codec->big_endian = !machine_is_big_endian;
	length = mfs__text_mark_put(codec, mark);
	if (size >= length && memcmp(bytes, mark, length) == 0)
		return length;
	codec->big_endian = machine_is_big_endian;
	return 0;
}

size_t mfs__text_mark_put(const struct mfs__text_codec *codec, uint8_t to[4])
{
	size_t width = codec->kind == MFS__TEXT_UTF16 ? 2 : 4;

	if (codec->kind == MFS__TEXT_UTF8)
		return mfs__text_utf8_put(BYTE_ORDER_MARK, to);
	for (size_t i = 0; i < width; i++)
		to[i] = (uint8_t)(BYTE_ORDER_MARK >> 8 * (codec->big_endian ? width - 1 - i : i));
	return width;
}

static enum mfs__text_taken damage(struct mfs__text_unit *unit, size_t length)
{
	unit->length = length;
	unit->count = 0;
	return MFS__TEXT_DAMAGE;
}

static enum mfs__text_taken taken(struct mfs__text_unit *unit, size_t length, uint32_t character)
{
	unit->length = length;
	unit->count = 1;
	unit->characters[0] = character;
	return MFS__TEXT_TAKEN;
}

static enum mfs__text_taken take_utf8(const uint8_t *bytes, size_t size,
									  struct mfs__text_unit *unit)
{
	int length = mfs__text_utf8_next(bytes, size);

	if (length == 0)
		return MFS__TEXT_CUT;
	if (length < 0)
		return damage(unit, (size_t)-length);
	return taken(unit, (size_t)length, mfs__text_utf8_get(bytes, (size_t)length));
}

static enum mfs__text_taken take_utf16(const struct mfs__text_codec *codec, const uint8_t *bytes,
									   size_t size, struct mfs__text_unit *unit)
{
	if (size < 2)
		return MFS__TEXT_CUT;
	uint32_t first = get_16(codec, bytes);
	if (first < SURROGATES || first >= SURROGATES_END)
		return taken(unit, 2, first);
	if (first >= LOW_SURROGATES)
		return damage(unit, 2);
	if (size < 4)
		return MFS__TEXT_CUT;
	uint32_t second = get_16(codec, bytes + 2);
	if (second < LOW_SURROGATES || second >= SURROGATES_END)
		return damage(unit, 2);
	return taken(unit, 4, SUPPLEMENTARY + ((first - SURROGATES) << 10 | (second - LOW_SURROGATES)));
}

static enum mfs__text_taken take_utf32(const struct mfs__text_codec *codec, const uint8_t *bytes,
									   size_t size, struct mfs__text_unit *unit)
{
	if (size < 4)
		return MFS__TEXT_CUT;
	uint32_t character = get_32(codec, bytes);
	if (character > MFS__TEXT_LAST || (character >= SURROGATES && character < SURROGATES_END))
		return damage(unit, 4);
	return taken(unit, 4, character);
}

enum mfs__text_taken mfs__text_take(struct mfs__text_codec *codec, const uint8_t *bytes,
									size_t size, struct mfs__text_unit *unit)
{
	unit->is_rest = false;
	switch (codec->kind) {
	case MFS__TEXT_UTF8:
		return take_utf8(bytes, size, unit);
	case MFS__TEXT_UTF16:
		return take_utf16(codec, bytes, size, unit);
	case MFS__TEXT_UTF32:
		return take_utf32(codec, bytes, size, unit);
	default:
		return mfs__text_convert_unit(codec->converter, bytes, size, unit);
	}
}

void mfs__text_give_back(struct mfs__text_codec *codec, const struct mfs__text_unit *unit)
{
	if (codec->converter)
		mfs__text_converter_give_back(codec->converter, unit);
}

void mfs__text_take_rest(struct mfs__text_codec *codec, struct mfs__text_unit *unit)
{
	unit->length = 0;
	unit->is_rest = false;
	unit->count = 0;
	if (codec->converter)
		mfs__text_converter_rest(codec->converter, unit);
}

void mfs__text_reset(struct mfs__text_codec *codec)
{
	if (codec->converter)
		mfs__text_converter_reset(codec->converter);
}
