/* SPDX-License-Identifier: MIT */
#include "fs/trail.h"

#include "base/alloc.h"
#include "fs/growing.h"

#include <string.h>

/* See to it that the path can take so many bytes more, a NUL, and the root's '/'. */
static int make_path_room(struct mfs__trail *trail, size_t more)
{
	char *path = mfs__grow(trail->path, &trail->path_room, trail->path_length + more + 2, 1);

	if (!path)
		return MFS_ENOMEM;
	trail->path = path;
	return 0;
}

static void append(struct mfs__trail *trail, const char *name, size_t length)
{
	trail->path[trail->path_length++] = '/';
	memcpy(trail->path + trail->path_length, name, length);
	trail->path_length += length;
}

const char *mfs__trail_path(struct mfs__trail *trail)
{
	if (!trail->path_length)
		trail->path[0] = '/';
	trail->path[trail->path_length ? trail->path_length : 1] = '\0';
	return trail->path;
}

int mfs__trail_begin(struct mfs__trail *trail, const struct mfs__path *path)
{
	struct mfs__path_cursor cursor = mfs__path_start(path);
	struct mfs__name name;

	*trail = (struct mfs__trail){0};
	/* A path that begins with a name gets a '/' more. */
	if (make_path_room(trail, path->length + 1))
		return MFS_ENOMEM;
	while (mfs__path_next(&cursor, &name) == MFS__PATH_NAME)
		append(trail, name.text, name.length);
	return 0;
}

/*
 * The directories on the trail. They leave in the reverse of the order in which they came, so a
 * place that is given up is one that no search for another directory had to pass.
 */

static size_t place_of(const struct mfs__trail *trail, const struct mfs__directory *directory)
{
	uint64_t hash = ((uintptr_t)directory >> 4) * UINT64_C(0x9e3779b97f4a7c15);
	size_t place = (size_t)(hash >> 32) & (trail->member_room - 1);

	while (trail->members[place] && trail->members[place] != directory)
		place = (place + 1) & (trail->member_room - 1);
	return place;
}

bool mfs__trail_has(const struct mfs__trail *trail, const struct mfs__directory *directory)
{
	return trail->depth && trail->members[place_of(trail, directory)] != NULL;
}

/* See to it that one more directory leaves half of the places free. */
static int make_member_room(struct mfs__trail *trail)
{
	size_t room = trail->member_room ? 2 * trail->member_room : 32;

	if (2 * (trail->depth + 1) <= trail->member_room)
		return 0;
	struct mfs__directory **members = mfs__alloc_zeroed(room * sizeof(struct mfs__directory *));
	if (!members)
		return MFS_ENOMEM;
	mfs__free(trail->members, trail->member_room * sizeof(struct mfs__directory *));
	trail->members = members;
	trail->member_room = room;
	for (size_t i = 0; i < trail->depth; i++)
		members[place_of(trail, trail->steps[i].directory)] = trail->steps[i].directory;
	return 0;
}

int mfs__trail_push(struct mfs__trail *trail, const struct mfs__trail_step *step, const char *name,
					size_t length)
{
	struct mfs__trail_step *steps =
		mfs__grow(trail->steps, &trail->room, trail->depth + 1, sizeof *steps);

	if (!steps)
		return MFS_ENOMEM;
	trail->steps = steps;
	if (make_member_room(trail) || make_path_room(trail, length + 1))
		return MFS_ENOMEM;
	if (trail->depth)
		append(trail, name, length);
	trail->members[place_of(trail, step->directory)] = step->directory;
	steps[trail->depth] = *step;
	steps[trail->depth++].path_length = trail->path_length;
	return 0;
}

void mfs__trail_drop(struct mfs__trail_step *step)
{
	mfs__listing_free(&step->listing);
	mfs__free(step->extra, step->extra_size);
	mfs__directory_unpin(step->directory);
}

void mfs__trail_pop(struct mfs__trail *trail)
{
	struct mfs__trail_step *step = &trail->steps[--trail->depth];

	trail->members[place_of(trail, step->directory)] = NULL;
	if (trail->depth)
		trail->path_length = trail->steps[trail->depth - 1].path_length;
	mfs__trail_drop(step);
}

void mfs__trail_end(struct mfs__trail *trail)
{
	while (trail->depth)
		mfs__trail_pop(trail);
	mfs__free(trail->steps, trail->room * sizeof *trail->steps);
	mfs__free(trail->members, trail->member_room * sizeof(struct mfs__directory *));
	mfs__free(trail->path, trail->path_room);
}
