/* SPDX-License-Identifier: MIT */
/*
 * Patterns of mfs_glob(), compiled.
 *
 * A pattern is split where a path is, at '/' and '\', so there is no character that takes the
 * meaning from the next one: "[*]" stands for a star. "." and ".." are folded as in a path. "**"
 * after "**" is dropped.
 *
 * Characters are code points of UTF-8. A byte that is not part of one is a character of its own,
 * which comes after all code points. '*' matches bytes.
 */
#ifndef MFS_FS_GLOB_PATTERN_H
#define MFS_FS_GLOB_PATTERN_H

#include "tree/path.h"

/** What a component of a pattern is. */
enum mfs__glob_kind {
	MFS__GLOB_LITERAL, /* stands for one name */
	MFS__GLOB_ANY,     /* "*" */
	MFS__GLOB_DEEP,    /* "**" */
	MFS__GLOB_TOKENS,  /* anything else */
};

struct mfs__glob_component {
	enum mfs__glob_kind kind;
	struct mfs__name text; /* in the pattern's; with its hash */
	size_t first_token;
	size_t token_count;
};

struct mfs__glob_token;
struct mfs__glob_range;

/** A compiled pattern. Valid as long as the text it was made of. */
struct mfs__glob_pattern {
	struct mfs__glob_component *components;
	size_t count;
	struct mfs__glob_token *tokens;
	struct mfs__glob_range *ranges;
	void *block;
	size_t block_size;
};

/**
 * Compile a pattern.
 *
 * Errors: MFS_EINVAL (".." above the root), MFS_ENAMETOOLONG (more than MFS_PATH_MAX bytes, or a
 * component that stands for a single name of more than MFS_NAME_MAX), MFS_ENOMEM.
 * Returns 0 and the pattern in *out, to be freed. Of components, there are at most 32768.
 */
int mfs__glob_compile(const char *text, struct mfs__glob_pattern *out);

void mfs__glob_free(struct mfs__glob_pattern *pattern);

/** Does a component match a name? In time proportional to the length of both. DEEP matches all. */
bool mfs__glob_matches(const struct mfs__glob_pattern *pattern,
					   const struct mfs__glob_component *component, const char *name,
					   size_t length);

#endif
