/* SPDX-License-Identifier: MIT */
/* Text that grows: paths on their way. */
#ifndef MFS_HOST_TEXT_H
#define MFS_HOST_TEXT_H

#include "fs/growing.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/** All zeros: empty, and without memory. */
struct mfs__text {
	char *bytes;
	size_t length; /* without the NUL at the end */
	size_t room;
};

/** Make room for `length` bytes in all, and a NUL. Returns false without memory. */
static inline bool mfs__text_reserve(struct mfs__text *text, size_t length)
{
	char *bytes = mfs__grow(text->bytes, &text->room, length + 1, 1);

	if (!bytes)
		return false;
	text->bytes = bytes;
	return true;
}

/** Keep `length` bytes of the text, which has memory. */
static inline void mfs__text_cut(struct mfs__text *text, size_t length)
{
	text->length = length;
	text->bytes[length] = '\0';
}

/** Append bytes, and a NUL behind them. Returns false, with nothing changed, without memory. */
static inline bool mfs__text_append(struct mfs__text *text, const char *bytes, size_t length)
{
	if (!mfs__text_reserve(text, text->length + length))
		return false;
	if (length)
		memcpy(text->bytes + text->length, bytes, length);
	mfs__text_cut(text, text->length + length);
	return true;
}

/** Append a name, behind a '/' unless the text is empty or ends in one. */
static inline bool mfs__text_append_name(struct mfs__text *text, const char *name, size_t length)
{
	bool slash = text->length && text->bytes[text->length - 1] != '/';

	/* All of it or nothing. */
	return mfs__text_reserve(text, text->length + 1 + length) &&
		   (!slash || mfs__text_append(text, "/", 1)) && mfs__text_append(text, name, length);
}

static inline void mfs__text_free(struct mfs__text *text)
{
	mfs__free(text->bytes, text->room);
	*text = (struct mfs__text){0};
}

#endif
