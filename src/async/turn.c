/* SPDX-License-Identifier: MIT */
#include "turn.h"

#include <stdint.h>
#include <stdlib.h>

bool mfs__async_lines_init(struct mfs__async_lines *lines, size_t operations)
{
	unsigned bits = 4;

	while (((size_t)1 << bits) < operations)
		bits++;
	lines->shift = 64 - bits;
	lines->buckets = calloc((size_t)1 << bits, sizeof(struct mfs__async_turn *));
	return lines->buckets != NULL;
}

void mfs__async_lines_destroy(struct mfs__async_lines *lines)
{
	free(lines->buckets);
}

/* Where the pointer to an object's line is, or would be. */
static struct mfs__async_turn **find(struct mfs__async_lines *lines, const void *object)
{
	uint64_t hash = (uint64_t)(uintptr_t)object * UINT64_C(0x9E3779B97F4A7C15);
	struct mfs__async_turn **link = &lines->buckets[hash >> lines->shift];

	while (*link && (*link)->object != object)
		link = &(*link)->next_line;
	return link;
}

bool mfs__async_turn_take(struct mfs__async_lines *lines, struct mfs__async_turn *turn,
						  struct mfs__async_operation *operation, const void *object)
{
	struct mfs__async_turn **link = find(lines, object);
	struct mfs__async_turn *first = *link;

	*turn = (struct mfs__async_turn){.operation = operation, .object = object};
	if (!first) {
		turn->last = turn;
		*link = turn;
		return true;
	}
	turn->ahead = first->last;
	first->last->behind = turn;
	first->last = turn;
	return false;
}

struct mfs__async_turn *mfs__async_turn_leave(struct mfs__async_lines *lines,
											  struct mfs__async_turn *turn)
{
	struct mfs__async_turn **link = find(lines, turn->object);
	struct mfs__async_turn *first = *link;
	struct mfs__async_turn *behind = turn->behind;

	turn->object = NULL;
	if (first && first != turn) {
		turn->ahead->behind = behind;
		if (behind)
			behind->ahead = turn->ahead;
		else
			first->last = turn->ahead;
		return NULL;
	}
	if (!behind) {
		*link = turn->next_line;
		return NULL;
	}
	behind->ahead = NULL;
	behind->last = turn->last;
	behind->next_line = turn->next_line;
	*link = behind;
	return behind;
}
