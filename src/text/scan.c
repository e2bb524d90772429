/* SPDX-License-Identifier: MIT */
/*
 * Looking through bytes of text in blocks: of 32 bytes on an x86-64 with AVX2, of 16 on any other
 * one, else of the 8 bytes of a word.
 *
 * Vectors check all characters of a block at once; a word tells only whether it is ASCII, and the
 * rest goes character by character. Which vectors may be used at most is a choice at compile time,
 * so that tests can try all: MFS_TEXT_VECTORS, in bytes.
 */
#include "scan.h"
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

#ifndef MFS_TEXT_VECTORS
#if defined(__x86_64__) && defined(__GNUC__)
#define MFS_TEXT_VECTORS 32
#else
#define MFS_TEXT_VECTORS 0
#endif
#endif

#if MFS_TEXT_VECTORS > 0
#include <immintrin.h>
#endif

/* Bounds of what mfs__text_utf8_span() looks through at once; a character is shorter. */
#define WINDOW_MIN ((size_t)64)
#define WINDOW_MAX ((size_t)4096)

/* mfs__text_utf8_check() character by character. */
static size_t check_one_by_one(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		int length = bytes[at] < 0x80 ? 1 : mfs__text_utf8_next(bytes + at, size - at);
		if (length <= 0)
			break;
		at += (size_t)length;
	}
	return at;
}

#if MFS_TEXT_VECTORS > 0

#define NARROW ((size_t)16)
#define WIDE   ((size_t)32)

static inline __m128i load(const uint8_t *bytes)
{
	return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

static inline __m128i all(uint8_t byte)
{
	return _mm_set1_epi8((char)byte);
}

/* 0xFF for each byte that is one of two. */
static inline __m128i either(__m128i block, __m128i one, __m128i other)
{
	return _mm_or_si128(_mm_cmpeq_epi8(block, one), _mm_cmpeq_epi8(block, other));
}

static inline unsigned mask_of(__m128i block)
{
	return (unsigned)_mm_movemask_epi8(block);
}

size_t mfs__text_find(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other)
{
	const __m128i one = all(stop);
	const __m128i two = all(other);
	size_t at = 0;

	/* Most lines end in the first or second round, so that the branch is rarely a surprise. */
	for (; size - at >= 4 * NARROW; at += 4 * NARROW) {
		uint64_t found = 0;
		for (unsigned i = 4; i-- > 0;)
			found = found << NARROW | mask_of(either(load(bytes + at + i * NARROW), one, two));
		if (found)
			return at + (size_t)__builtin_ctzll(found);
	}
	while (at < size && bytes[at] != stop && bytes[at] != other)
		at++;
	return at;
}

size_t mfs__text_ascii_span(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other)
{
	const __m128i one = all(stop);
	const __m128i two = all(other);
	size_t at = 0;

	for (; size - at >= NARROW; at += NARROW) {
		__m128i block = load(bytes + at);
		unsigned special = mask_of(_mm_or_si128(block, either(block, one, two)));
		if (special)
			return at + (size_t)__builtin_ctz(special);
	}
	while (at < size && bytes[at] < 0x80 && bytes[at] != stop && bytes[at] != other)
		at++;
	return at;
}

/*
 * Which bytes cannot be where they are: their highest bit is set. `back1` to `back3` are the bytes
 * one to three before each. Comparisons are signed: continuation bytes are the smallest numbers.
 */
static inline __m128i misplaced(__m128i block, __m128i back1, __m128i back2, __m128i back3)
{
	/* A byte continues a character if and only if a first byte before it asks for that. */
	__m128i asked = _mm_subs_epu8(back1, all(0xBF));
	asked = _mm_or_si128(asked, _mm_subs_epu8(back2, all(0xDF)));
	asked = _mm_or_si128(asked, _mm_subs_epu8(back3, all(0xEF)));
	__m128i not_asked = _mm_cmpeq_epi8(asked, _mm_setzero_si128());
	__m128i continues = _mm_cmplt_epi8(block, all(0xC0));
	__m128i wrong = _mm_cmpeq_epi8(continues, not_asked);

	/* No character begins with 0xC0, 0xC1, or 0xF5 and above. */
	wrong = _mm_or_si128(wrong, _mm_cmpeq_epi8(_mm_and_si128(block, all(0xFE)), all(0xC0)));
	wrong = _mm_or_si128(wrong, _mm_and_si128(block, _mm_cmpgt_epi8(block, all(0xF4))));

	/* Some first bytes leave the second one a smaller range: table 3-7 of the standard. */
	__m128i from_a0 = _mm_cmpgt_epi8(block, all(0x9F));
	__m128i from_90 = _mm_cmpgt_epi8(block, all(0x8F));
	wrong = _mm_or_si128(wrong, _mm_andnot_si128(from_a0, _mm_cmpeq_epi8(back1, all(0xE0))));
	wrong = _mm_or_si128(wrong, _mm_and_si128(from_a0, _mm_cmpeq_epi8(back1, all(0xED))));
	wrong = _mm_or_si128(wrong, _mm_andnot_si128(from_90, _mm_cmpeq_epi8(back1, all(0xF0))));
	return _mm_or_si128(wrong, _mm_and_si128(from_90, _mm_cmpeq_epi8(back1, all(0xF4))));
}

/* Blocks in which nothing is misplaced. Behind them, a character may lack its end. */
static size_t good_narrow_blocks(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	if (size < NARROW)
		return 0;
	__m128i block = load(bytes);
	__m128i wrong = misplaced(block, _mm_slli_si128(block, 1), _mm_slli_si128(block, 2),
							  _mm_slli_si128(block, 3));
	while (!mask_of(wrong)) {
		at += NARROW;
		if (size - at < NARROW)
			break;
		const uint8_t *next = bytes + at;
		block = load(next);
		wrong = misplaced(block, load(next - 1), load(next - 2), load(next - 3));
	}
	return at;
}

#if MFS_TEXT_VECTORS > 16

#define AVX2 __attribute__((target("avx2")))

/*
 * What may be wrong with a byte, given the one before it; a bit each. Three tables say it, by
 * halves of the two bytes: the method of Keiser and Lemire, "Validating UTF-8 in less than one
 * instruction per byte", 2020.
 */
enum {
	LACKS_CONTINUATION = 1 << 0, /* a first byte of several, and what does not continue */
	CONTINUES_NOTHING = 1 << 1,  /* ASCII, and what continues */
	TOO_LONG_OF_3 = 1 << 2,      /* 0xE0, and up to 0x9F */
	TOO_LARGE = 1 << 3,          /* 0xF4 and above, and from 0x90 */
	SURROGATE = 1 << 4,          /* 0xED, and from 0xA0 */
	TOO_LONG_OF_2 = 1 << 5,      /* 0xC0 or 0xC1 */
	/* 0xF0, and up to 0x8F; or 0xF5 and above. The two share a bit. */
	TOO_LONG_OF_4 = 1 << 6,
	SECOND_CONTINUATION = 1 << 7, /* two that continue: right as the third or fourth byte only */

	/* Whatever the lower half of the byte before is: */
	BY_UPPER_HALVES = LACKS_CONTINUATION | CONTINUES_NOTHING | SECOND_CONTINUATION,
	AFTER_C = LACKS_CONTINUATION | TOO_LONG_OF_2,
	AFTER_E = LACKS_CONTINUATION | TOO_LONG_OF_3 | SURROGATE,
	AFTER_F = LACKS_CONTINUATION | TOO_LARGE | TOO_LONG_OF_4,
	LOWER_0 = BY_UPPER_HALVES | TOO_LONG_OF_2 | TOO_LONG_OF_3 | TOO_LONG_OF_4,
	LOWER_1 = BY_UPPER_HALVES | TOO_LONG_OF_2,
	LOWER_4 = BY_UPPER_HALVES | TOO_LARGE,
	LOWER_5 = BY_UPPER_HALVES | TOO_LARGE | TOO_LONG_OF_4,
	LOWER_D = LOWER_5 | SURROGATE,
	AT_CONTINUATION = CONTINUES_NOTHING | SECOND_CONTINUATION | TOO_LONG_OF_2,
	AT_8 = AT_CONTINUATION | TOO_LONG_OF_3 | TOO_LONG_OF_4,
	AT_9 = AT_CONTINUATION | TOO_LONG_OF_3 | TOO_LARGE,
	AT_A = AT_CONTINUATION | SURROGATE | TOO_LARGE,
};

/* What may be wrong by the upper half of the byte before, by its lower half, and by the byte. */
static const uint8_t by_upper_before[16] = {
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	CONTINUES_NOTHING,
	SECOND_CONTINUATION,
	SECOND_CONTINUATION,
	SECOND_CONTINUATION,
	SECOND_CONTINUATION,
	AFTER_C,
	LACKS_CONTINUATION,
	AFTER_E,
	AFTER_F,
};
static const uint8_t by_lower_before[16] = {
	LOWER_0, LOWER_1, BY_UPPER_HALVES, BY_UPPER_HALVES, LOWER_4, LOWER_5, LOWER_5, LOWER_5,
	LOWER_5, LOWER_5, LOWER_5,         LOWER_5,         LOWER_5, LOWER_D, LOWER_5, LOWER_5,
};
static const uint8_t by_upper[16] = {
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	AT_8,
	AT_9,
	AT_A,
	AT_A,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
	LACKS_CONTINUATION,
};

static inline AVX2 __m256i load_wide(const uint8_t *bytes)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

static inline AVX2 __m256i all_wide(uint8_t byte)
{
	return _mm256_set1_epi8((char)byte);
}

/* Each byte's entry in a table, by its upper or lower half. */
static inline AVX2 __m256i look_up(const uint8_t *table, __m256i halves)
{
	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load(table)), halves);
}

static inline AVX2 __m256i upper_halves(__m256i block)
{
	return _mm256_and_si256(_mm256_srli_epi16(block, 4), all_wide(0x0F));
}

/* Which bytes cannot be where they are: they are not 0. `from` has three bytes before it. */
static inline AVX2 __m256i misplaced_wide(const uint8_t *from)
{
	__m256i block = load_wide(from);
	__m256i before = load_wide(from - 1);
	__m256i wrong = look_up(by_upper_before, upper_halves(before));
	wrong =
		_mm256_and_si256(wrong, look_up(by_lower_before, _mm256_and_si256(before, all_wide(0x0F))));
	wrong = _mm256_and_si256(wrong, look_up(by_upper, upper_halves(block)));

	/* The highest bit: the third byte of a character, or the fourth, has to be here. */
	__m256i third = _mm256_subs_epu8(load_wide(from - 2), all_wide(0xE0 - 0x80));
	__m256i fourth = _mm256_subs_epu8(load_wide(from - 3), all_wide(0xF0 - 0x80));
	__m256i asked = _mm256_and_si256(_mm256_or_si256(third, fourth), all_wide(0x80));
	return _mm256_xor_si256(wrong, asked);
}

/* Are four blocks ASCII? */
static inline AVX2 bool is_ascii_wide(const uint8_t *from)
{
	__m256i first = _mm256_or_si256(load_wide(from), load_wide(from + WIDE));
	__m256i second = _mm256_or_si256(load_wide(from + 2 * WIDE), load_wide(from + 3 * WIDE));

	return _mm256_movemask_epi8(_mm256_or_si256(first, second)) == 0;
}

/* good_narrow_blocks() of 32 bytes. */
static AVX2 size_t good_wide_blocks(const uint8_t *bytes, size_t size)
{
	uint8_t first[3 + WIDE] = {0};
	size_t at = 0;

	if (size < WIDE)
		return 0;
	memcpy(first + 3, bytes, WIDE);
	__m256i wrong = misplaced_wide(first + 3);
	while (_mm256_testz_si256(wrong, wrong)) {
		at += WIDE;
		/*
		 * ASCII behind ASCII takes no look-up. Four blocks at a time: where other characters are
		 * rare the next block may have one or not, and the processor would guess wrong too often.
		 */
		while (size - at >= 4 * WIDE && ((bytes[at - 1] < 0x80) & is_ascii_wide(bytes + at)))
			at += 4 * WIDE;
		if (size - at < WIDE)
			break;
		wrong = misplaced_wide(bytes + at);
	}
	return at;
}

#endif

/* Without a character at the end that lacks its own end, which comes behind, or is none. */
static size_t whole(const uint8_t *bytes, size_t size)
{
	for (size_t back = 1; back <= 3 && back <= size; back++)
		if (bytes[size - back] >= 0xC0) {
			size_t length = mfs__text_utf8_length(bytes[size - back]);
			return length == 0 || length > back ? size - back : size;
		}
	return size;
}

size_t mfs__text_utf8_check(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

#if MFS_TEXT_VECTORS > 16
	if (size >= WIDE && __builtin_cpu_supports("avx2"))
		at = whole(bytes, good_wide_blocks(bytes, size));
#endif
	at += whole(bytes + at, good_narrow_blocks(bytes + at, size - at));
	return at + check_one_by_one(bytes + at, size - at);
}

#else

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

size_t mfs__text_find(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other)
{
	const uint8_t *first = memchr(bytes, stop, size);
	size_t at = first ? (size_t)(first - bytes) : size;

	if (other != stop) {
		first = memchr(bytes, other, at);
		at = first ? (size_t)(first - bytes) : at;
	}
	return at;
}

/* The highest bit of each byte that is 0, and perhaps of others if there is one. */
static inline uint64_t zeros(uint64_t word)
{
	return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

static inline uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

size_t mfs__text_ascii_span(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other)
{
	size_t at = 0;

	for (; size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word = word_at(bytes + at);
		if ((word & EACH_BYTE(0x80)) | zeros(word ^ EACH_BYTE(stop)) |
			zeros(word ^ EACH_BYTE(other)))
			break;
	}
	while (at < size && bytes[at] < 0x80 && bytes[at] != stop && bytes[at] != other)
		at++;
	return at;
}

size_t mfs__text_utf8_check(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (size - at >= sizeof(uint64_t)) {
		if ((word_at(bytes + at) & EACH_BYTE(0x80)) == 0) {
			at += sizeof(uint64_t);
			continue;
		}
		/* As far as the word goes, and the character that begins in it. */
		size_t end = at + sizeof(uint64_t);
		while (at < end) {
			int length = bytes[at] < 0x80 ? 1 : mfs__text_utf8_next(bytes + at, size - at);
			if (length <= 0)
				return at;
			at += (size_t)length;
		}
	}
	return at + check_one_by_one(bytes + at, size - at);
}

#endif

size_t mfs__text_utf8_span(const uint8_t *bytes, size_t size, uint8_t stop, uint8_t other)
{
	size_t window = WINDOW_MIN;
	size_t at = 0;

	/* No farther ahead than need be: the next damage may be near, and the span be asked for anew.
	 */
	while (at < size) {
		size_t part = size - at < window ? size - at : window;
		size_t length = mfs__text_find(bytes + at, part, stop, other);
		size_t good = mfs__text_utf8_check(bytes + at, length);
		at += good;
		/* Where the window ends within a character, the next one begins with that. */
		if (length < part || good == 0)
			break;
		if (window < WINDOW_MAX)
			window *= 2;
	}
	return at;
}
