/* SPDX-License-Identifier: MIT */
#include "deadlines.h"

#include "context.h"

#include <stdlib.h>

bool mfs__async_deadlines_init(struct mfs__async_deadlines *deadlines, size_t operations)
{
	deadlines->count = 0;
	deadlines->heap = calloc(operations + 1, sizeof(struct mfs__async_operation *));
	return deadlines->heap != NULL;
}

void mfs__async_deadlines_destroy(struct mfs__async_deadlines *deadlines)
{
	free(deadlines->heap);
}

static void put(struct mfs__async_deadlines *deadlines, size_t place,
				struct mfs__async_operation *operation)
{
	deadlines->heap[place] = operation;
	operation->place = place;
}

/* Find the place of an operation, from one that is vacant, upwards and then downwards. */
static void settle(struct mfs__async_deadlines *deadlines, size_t place,
				   struct mfs__async_operation *operation)
{
	struct mfs__async_operation **heap = deadlines->heap;
	int64_t deadline = operation->call.deadline;

	for (; place > 1 && heap[place / 2]->call.deadline > deadline; place /= 2)
		put(deadlines, place, heap[place / 2]);
	for (;;) {
		size_t below = place * 2;
		if (below < deadlines->count && heap[below + 1]->call.deadline < heap[below]->call.deadline)
			below++;
		if (below > deadlines->count || heap[below]->call.deadline >= deadline)
			break;
		put(deadlines, place, heap[below]);
		place = below;
	}
	put(deadlines, place, operation);
}

void mfs__async_deadlines_add(struct mfs__async_deadlines *deadlines,
							  struct mfs__async_operation *operation)
{
	if (operation->call.deadline == MFS__ASYNC_NEVER)
		return;
	deadlines->count++;
	put(deadlines, deadlines->count, operation);
	settle(deadlines, deadlines->count, operation);
}

void mfs__async_deadlines_drop(struct mfs__async_deadlines *deadlines,
							   struct mfs__async_operation *operation)
{
	size_t place = operation->place;

	if (!place)
		return;
	operation->place = 0;
	struct mfs__async_operation *last = deadlines->heap[deadlines->count--];
	if (last != operation)
		settle(deadlines, place, last);
}

struct mfs__async_operation *
mfs__async_deadlines_first(const struct mfs__async_deadlines *deadlines)
{
	return deadlines->count ? deadlines->heap[1] : NULL;
}
