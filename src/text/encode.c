/* SPDX-License-Identifier: MIT */
/* UTF-8 from a program to bytes of the file's encoding. */
#include "codec.h"
#include "scan.h"
#include "utf8.h"

#include <dmemfs/text.h>

#define SUPPLEMENTARY  UINT32_C(0x10000)
#define SURROGATES     UINT32_C(0xD800)
#define LOW_SURROGATES UINT32_C(0xDC00)

static size_t put_16(const struct mfs__text_codec *codec, uint32_t value, uint8_t *to)
{
	to[codec->big_endian ? 1 : 0] = (uint8_t)value;
	to[codec->big_endian ? 0 : 1] = (uint8_t)(value >> 8);
	return 2;
}

static size_t put_own(const struct mfs__text_codec *codec, uint32_t character, uint8_t *to)
{
	if (codec->kind == MFS__TEXT_UTF32) {
		size_t length = put_16(codec, codec->big_endian ? character >> 16 : character, to);
		return length + put_16(codec, codec->big_endian ? character : character >> 16, to + 2);
	}
	if (character < SUPPLEMENTARY)
		return put_16(codec, character, to);
	character -= SUPPLEMENTARY;
	size_t length = put_16(codec, SURROGATES + (character >> 10), to);
	return length + put_16(codec, LOW_SURROGATES + (character & 0x3FF), to + 2);
}

/* Well-formed UTF-8 to UTF-16 or UTF-32. */
static int encode_own(const struct mfs__text_encoding_job *job, const uint8_t *from, size_t size)
{
	/* A byte becomes at most one unit, of 2 or 4 bytes. */
	size_t width = job->codec->kind == MFS__TEXT_UTF16 ? 2 : 4;
	if (size > SIZE_MAX / 4)
		return mfs_set_last_error(MFS_ENOMEM, "%zu bytes of text", size);
	int code = mfs__text_buffer_grow(job->to, size * width);

	if (code)
		return code;
	uint8_t *to = job->to->bytes + job->to->length;
	for (size_t at = 0; at < size;) {
		size_t length = (size_t)mfs__text_utf8_next(from + at, size - at);
		to += put_own(job->codec, mfs__text_utf8_get(from + at, length), to);
		at += length;
	}
	job->to->length = (size_t)(to - job->to->bytes);
	return 0;
}

/* What stands for a character that the encoding does not have. */
static int replace_foreign(const struct mfs__text_encoding_job *job)
{
	static const char replacements[][4] = {"\xEF\xBF\xBD", "?"};

	for (size_t i = 0; i < 2; i++) {
		const uint8_t *from = (const uint8_t *)replacements[i];
		size_t size = strlen(replacements[i]);
		int code = mfs__text_converter_put(job->codec->converter, &from, &size, true, job->to);
		if (code <= 0)
			return code;
	}
	/* Not even '?': nothing stands for it. */
	return 0;
}

static int fail_foreign(const struct mfs__text_encoding_job *job, const uint8_t *character,
						size_t size)
{
	size_t length = (size_t)mfs__text_utf8_next(character, size);

	return mfs_set_last_error(MFS_EILSEQ,
							  "mfs_text_write: byte %zu of the string: U+%04X is not in %s",
							  (size_t)(character - job->string),
							  (unsigned)mfs__text_utf8_get(character, length), job->codec->name);
}

/* Well-formed UTF-8 to an encoding of iconv's. Returns as mfs__text_converter_put(), without 1. */
static int encode_foreign(const struct mfs__text_encoding_job *job, const uint8_t *from,
						  size_t size, bool singly)
{
	while (size) {
		int code = mfs__text_converter_put(job->codec->converter, &from, &size, singly, job->to);
		if (code < 0 || code == 2)
			return code;
		if (code == 0)
			continue;
		if (job->errors == MFS_TEXT_STRICT)
			return fail_foreign(job, from, size);
		code = job->errors == MFS_TEXT_REPLACE ? replace_foreign(job) : 0;
		if (code)
			return code;
		size_t length = (size_t)mfs__text_utf8_next(from, size);
		from += length;
		size -= length;
	}
	return 0;
}

/* Well-formed UTF-8. Returns 0, 2 where iconv has to be asked singly, or a code, noted. */
static int encode_span(const struct mfs__text_encoding_job *job, const uint8_t *from, size_t size,
					   bool singly)
{
	switch (job->codec->kind) {
	case MFS__TEXT_UTF8:
		return mfs__text_buffer_put(job->to, from, size);
	case MFS__TEXT_FOREIGN:
		return encode_foreign(job, from, size, singly);
	default:
		return encode_own(job, from, size);
	}
}

/* Bytes of the string that are not UTF-8. */
static int encode_damage(const struct mfs__text_encoding_job *job, size_t at, bool singly)
{
	static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};

	if (job->errors == MFS_TEXT_STRICT)
		return mfs_set_last_error(MFS_EILSEQ,
								  "mfs_text_write: byte %zu of the string: 0x%02X is not UTF-8", at,
								  job->string[at]);
	if (job->errors == MFS_TEXT_IGNORE)
		return 0;
	if (job->codec->kind == MFS__TEXT_FOREIGN)
		return replace_foreign(job);
	return encode_span(job, replacement, sizeof replacement, singly);
}

static int encode_all(struct mfs__text_encoding_job *job, bool singly)
{
	bool translates = strcmp(job->newline, "\n") != 0;
	size_t newline_length = strlen(job->newline);
	size_t at = 0;

	job->characters = 0;
	while (at < job->size) {
		const uint8_t *from = job->string + at;
		size_t left = job->size - at;
		size_t span = translates ? mfs__text_utf8_span(from, left, '\n', '\n')
								 : mfs__text_utf8_check(from, left);
		job->characters += mfs__text_utf8_count(from, span);
		int code = encode_span(job, from, span, singly);
		if (code)
			return code;
		at += span;
		if (at == job->size)
			break;
		job->characters++;
		if (translates && from[span] == '\n') {
			code = encode_span(job, (const uint8_t *)job->newline, newline_length, singly);
			at++;
		} else {
			int length = mfs__text_utf8_next(from + span, left - span);
			code = encode_damage(job, at, singly);
			at += length < 0 ? (size_t)-length : left - span;
		}
		if (code)
			return code;
	}
	return 0;
}

/* Does the string have U+E0000 to U+E007F? Some iconvs say nothing when they leave these out. */
static bool has_tags(const uint8_t *string, size_t size)
{
	return memmem(string, size, "\xF3\xA0\x80", 3) || memmem(string, size, "\xF3\xA0\x81", 3);
}

int mfs__text_encode(struct mfs__text_encoding_job *job)
{
	struct mfs__text_converter *converter = job->codec->converter;
	size_t before = job->to->length;

	if (!converter)
		return encode_all(job, false);
	bool singly = has_tags(job->string, job->size);
	mfs__text_converter_begin(converter, job->continues);
	int code = encode_all(job, singly);
	if (code > 0) {
		job->to->length = before;
		mfs__text_converter_begin(converter, job->continues);
		code = encode_all(job, true);
	}
	return code ? code : mfs__text_converter_end(converter, job->to);
}
