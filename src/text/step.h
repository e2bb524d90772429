/* SPDX-License-Identifier: MIT */
/* The text of a file, step by step: stretches of characters, line ends, and damage. */
#ifndef DMEMFS_TEXT_STEP_H
#define DMEMFS_TEXT_STEP_H

#include "handle.h"

enum mfs__text_step_kind {
	MFS__TEXT_STRETCH, /* characters without a line end */
	MFS__TEXT_NEWLINE, /* what ends a line, or, with MFS_TEXT_NEWLINE_CRLF, may */
	MFS__TEXT_DAMAGED, /* bytes that are no character; of the file, not of UTF-8 */
	MFS__TEXT_FULL,    /* there is no room for the next character */
	MFS__TEXT_END,     /* of the file */
};

struct mfs__text_step {
	enum mfs__text_step_kind kind;
	/* UTF-8, valid until the next step. */
	const uint8_t *bytes;
	size_t length;
	/* They are the file's own bytes, from walk->at on, and stay as mfs__text_span.stays says. */
	bool is_original;
	/* MFS__TEXT_DAMAGED: the file ends within a character. */
	bool cut_short;
	/* The offset behind them. */
	int64_t after;
};

/*
 * Find the next step. Does not move: the caller sets walk->at to step->after when it takes it, and
 * has to take a step of an encoding with shift states. Returns 0, MFS__TEXT_CHANGED, or a code,
 * noted.
 */
int mfs__text_next_step(struct mfs_text *text, const struct mfs__text_walk *walk,
						struct mfs__text_step *step);

#endif
