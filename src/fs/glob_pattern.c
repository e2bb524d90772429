/* SPDX-License-Identifier: MIT */
/*
 * A component becomes a list of tokens. Matching goes through tokens and name side by side; where
 * they part, the last star takes one byte more. An earlier star need not take more than it has: it
 * was given the least that lets the tokens behind it match, and what the least can do, the last
 * star makes up for. So a match takes at most as many steps as the two lengths multiplied.
 */
#include "fs/glob_pattern.h"

#include "base/alloc.h"
#include "base/compiler.h"

#include <dmemfs/dmemfs.h>

#include <string.h>

/* Bytes that are not part of a code point are counted from here. */
#define LONE_BYTE UINT32_C(0x110000)

enum token_kind {
	TOKEN_TEXT, /* bytes that stand for themselves */
	TOKEN_ONE,  /* "?" */
	TOKEN_SET,  /* "[...]" */
	TOKEN_STAR,
};

struct mfs__glob_token {
	enum token_kind kind;
	bool negated;     /* SET */
	uint32_t length;  /* TEXT: bytes; SET: ranges */
	const char *text; /* TEXT */
	size_t first;     /* SET: index of the first range */
};

struct mfs__glob_range {
	uint32_t from;
	uint32_t to;
};

/*
 * Characters
 */

/* The bytes of the character that begins a text of `length` > 0 bytes, and which one it is. */
static size_t character(const char *text, size_t length, uint32_t *code)
{
	const unsigned char *bytes = (const unsigned char *)text;
	unsigned char first = bytes[0];

	*code = first;
	if (mfs__likely(first < 0x80))
		return 1;
	*code = LONE_BYTE + first;
	if (first < 0xc2 || first > 0xf4)
		return 1;
	size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (size > length)
		return 1;
	uint32_t value = first & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (bytes[i] & 0x3f);
	}
	/* Not in the shortest form, half of a pair, or past the last code point. */
	if ((size == 3 && (value < 0x800 || (value >= 0xd800 && value <= 0xdfff))) ||
		(size == 4 && (value < 0x10000 || value >= LONE_BYTE)))
		return 1;
	*code = value;
	return size;
}

/* Does a character begin at `at`? Not in the middle of a code point. */
static bool is_boundary(const char *text, size_t length, size_t at)
{
	uint32_t code;

	if (mfs__likely((text[at] & 0xc0) != 0x80))
		return true;
	for (size_t back = 1; back <= 3 && back <= at; back++) {
		if ((text[at - back] & 0xc0) != 0x80)
			return character(text + at - back, length - (at - back), &code) <= back;
	}
	return true;
}

/*
 * Compiling
 */

/* A pattern on its way. */
struct compiler {
	struct mfs__glob_pattern *pattern;
	size_t token_count;
	size_t range_count;
	/* Of the component that is looked at. */
	size_t first_token;
	bool no_set; /* there is no ']' any more */
};

static struct mfs__glob_token *add_token(struct compiler *compiler, enum token_kind kind)
{
	struct mfs__glob_token *token = &compiler->pattern->tokens[compiler->token_count++];

	*token = (struct mfs__glob_token){.kind = kind};
	return token;
}

/* The component's last token, if it is of this kind; else a new one. */
static struct mfs__glob_token *extend_token(struct compiler *compiler, enum token_kind kind)
{
	if (compiler->token_count > compiler->first_token) {
		struct mfs__glob_token *last = &compiler->pattern->tokens[compiler->token_count - 1];
		if (last->kind == kind)
			return last;
	}
	return add_token(compiler, kind);
}

/* The ']' that ends the set whose '[' is at `at`, or NULL. */
static const char *end_of_set(const char *at, const char *end)
{
	at++;
	if (at < end && *at == '!')
		at++;
	if (end - at < 2)
		return NULL;
	/* One that comes first stands for itself. */
	return memchr(at + 1, ']', (size_t)(end - at) - 1);
}

/* A set, of what is between '[' and ']'. */
static void add_set(struct compiler *compiler, const char *at, const char *end)
{
	struct mfs__glob_token *token = add_token(compiler, TOKEN_SET);

	token->first = compiler->range_count;
	if (*at == '!') {
		token->negated = true;
		at++;
	}
	while (at < end) {
		struct mfs__glob_range *range = &compiler->pattern->ranges[compiler->range_count++];
		at += character(at, (size_t)(end - at), &range->from);
		range->to = range->from;
		if (end - at >= 2 && *at == '-') {
			at++;
			at += character(at, (size_t)(end - at), &range->to);
		}
	}
	token->length = (uint32_t)(compiler->range_count - token->first);
}

/* Add the token, or the byte of one, that begins at `at`. Returns what is behind it. */
static const char *add_next(struct compiler *compiler, const char *at, const char *end)
{
	if (*at == '*') {
		(void)extend_token(compiler, TOKEN_STAR);
		return at + 1;
	}
	if (*at == '?') {
		(void)add_token(compiler, TOKEN_ONE);
		return at + 1;
	}
	if (*at == '[' && !compiler->no_set) {
		const char *set_end = end_of_set(at, end);
		if (set_end) {
			add_set(compiler, at + 1, set_end);
			return set_end + 1;
		}
		compiler->no_set = true;
	}
	struct mfs__glob_token *text = extend_token(compiler, TOKEN_TEXT);
	if (!text->length)
		text->text = at;
	text->length++;
	return at + 1;
}

static int add_component(struct compiler *compiler, const struct mfs__name *text)
{
	struct mfs__glob_pattern *pattern = compiler->pattern;
	struct mfs__glob_component *component = &pattern->components[pattern->count++];
	const char *end = text->text + text->length;

	compiler->first_token = compiler->token_count;
	compiler->no_set = false;
	for (const char *at = text->text; at < end;)
		at = add_next(compiler, at, end);
	*component = (struct mfs__glob_component){
		.kind = MFS__GLOB_TOKENS,
		.text = *text,
		.first_token = compiler->first_token,
		.token_count = compiler->token_count - compiler->first_token,
	};
	if (component->token_count > 1)
		return 0;
	enum token_kind kind = pattern->tokens[component->first_token].kind;
	if (kind == TOKEN_STAR)
		component->kind = text->length == 2 ? MFS__GLOB_DEEP : MFS__GLOB_ANY;
	else if (kind == TOKEN_TEXT)
		component->kind = MFS__GLOB_LITERAL;
	return component->kind == MFS__GLOB_LITERAL && text->length > MFS_NAME_MAX ? MFS_ENAMETOOLONG
																			   : 0;
}

static int compile(struct compiler *compiler, const struct mfs__path *path)
{
	struct mfs__glob_pattern *pattern = compiler->pattern;
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__name text;
	int code = 0;

	while (!code) {
		switch (mfs__path_next(&cursor, &text)) {
		case MFS__PATH_END:
			return 0;
		case MFS__PATH_UP:
			if (!pattern->count)
				return MFS_EINVAL;
			pattern->count--;
			compiler->token_count = pattern->components[pattern->count].first_token;
			break;
		case MFS__PATH_NAME:
		case MFS__PATH_TOO_LONG: /* not if it has a star */
			code = add_component(compiler, &text);
			break;
		}
	}
	return code;
}

/* After "**", a second one adds nothing. */
static void drop_repeated(struct mfs__glob_pattern *pattern)
{
	size_t count = 0;

	for (size_t i = 0; i < pattern->count; i++) {
		if (count && pattern->components[i].kind == MFS__GLOB_DEEP &&
			pattern->components[count - 1].kind == MFS__GLOB_DEEP)
			continue;
		pattern->components[count++] = pattern->components[i];
	}
	pattern->count = count;
}

int mfs__glob_compile(const char *text, struct mfs__glob_pattern *out)
{
	struct mfs__path path;

	int code = mfs__path_begin(&path, text);
	if (code)
		return code;
	/* Each takes a byte of the pattern at least, but for a component, which takes two. */
	size_t components = (path.length / 2 + 1) * sizeof *out->components;
	size_t tokens = (path.length + 1) * sizeof *out->tokens;
	size_t ranges = (path.length + 1) * sizeof *out->ranges;
	char *block = mfs__alloc(components + tokens + ranges);
	if (!block)
		return MFS_ENOMEM;
	*out = (struct mfs__glob_pattern){
		.components = (struct mfs__glob_component *)(void *)block,
		.tokens = (struct mfs__glob_token *)(void *)(block + components),
		.ranges = (struct mfs__glob_range *)(void *)(block + components + tokens),
		.block = block,
		.block_size = components + tokens + ranges,
	};
	struct compiler compiler = {.pattern = out};
	code = compile(&compiler, &path);
	if (code)
		mfs__glob_free(out);
	else
		drop_repeated(out);
	return code;
}

void mfs__glob_free(struct mfs__glob_pattern *pattern)
{
	mfs__free(pattern->block, pattern->block_size);
}

/*
 * Matching
 */

static bool is_in_set(const struct mfs__glob_range *ranges, const struct mfs__glob_token *set,
					  uint32_t code)
{
	for (uint32_t i = 0; i < set->length; i++)
		if (code >= ranges[set->first + i].from && code <= ranges[set->first + i].to)
			return !set->negated;
	return set->negated;
}

/* The bytes that a token takes at a place of a name, or 0 if it does not match there. */
static size_t token_takes(const struct mfs__glob_range *ranges, const struct mfs__glob_token *token,
						  const char *name, size_t length, size_t at)
{
	uint32_t code;

	if (token->kind == TOKEN_TEXT)
		return token->length <= length - at && !memcmp(name + at, token->text, token->length)
				   ? token->length
				   : 0;
	if (at == length || !is_boundary(name, length, at))
		return 0;
	size_t size = character(name + at, length - at, &code);
	return token->kind == TOKEN_ONE || is_in_set(ranges, token, code) ? size : 0;
}

static bool match_tokens(const struct mfs__glob_pattern *pattern,
						 const struct mfs__glob_component *component, const char *name,
						 size_t length)
{
	const struct mfs__glob_token *token = pattern->tokens + component->first_token;
	const struct mfs__glob_token *end = token + component->token_count;
	const struct mfs__glob_token *after_star = NULL; /* the last one so far */
	size_t taken = 0;                                /* what is behind that star's bytes */
	size_t at = 0;

	for (;;) {
		if (token == end && at == length)
			return true;
		if (token < end && token->kind == TOKEN_STAR) {
			after_star = token + 1;
			taken = at;
			if (after_star == end)
				return true;
		} else {
			size_t takes = token < end ? token_takes(pattern->ranges, token, name, length, at) : 0;
			if (takes) {
				at += takes;
				token++;
				continue;
			}
			if (!after_star || taken == length)
				return false;
			taken++;
		}
		if (after_star->kind == TOKEN_TEXT) {
			const char *found = memchr(name + taken, *after_star->text, length - taken);
			if (!found)
				return false;
			taken = (size_t)(found - name);
		}
		token = after_star;
		at = taken;
	}
}

bool mfs__glob_matches(const struct mfs__glob_pattern *pattern,
					   const struct mfs__glob_component *component, const char *name, size_t length)
{
	switch (component->kind) {
	case MFS__GLOB_LITERAL:
		return component->text.length == length && !memcmp(component->text.text, name, length);
	case MFS__GLOB_TOKENS:
		return match_tokens(pattern, component, name, length);
	case MFS__GLOB_ANY:
	case MFS__GLOB_DEEP:
		break;
	}
	return true;
}
