/* SPDX-License-Identifier: MIT */
/*
 * Walks. Between two calls a walk holds pins and copies of names, and no lock.
 *
 * The step that fails for want of memory has changed nothing but steps that were over, so it can be
 * tried again.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/reclaim.h"
#include "fs/trail.h"

#include <string.h>

struct mfs_walk {
	mfs *fs;
	struct mfs__trail trail;
	struct mfs__directory *top; /* pinned, until it is on the trail: then NULL */
	bool begun;                 /* a level was given, or the top was found removed */
	bool on_level;              /* the level that came last is the trail's last step */
};

/* Find the top and begin its trail. */
static int begin(struct mfs_walk *walk, const char *text)
{
	struct mfs__path path;

	int code = mfs__path_begin(&path, text);
	if (code)
		return code;
	code = mfs__directory_at(walk->fs, &path, &walk->top);
	if (!code) {
		/* Without ".." by now: to walk it, it had to be folded. */
		code = mfs__trail_begin(&walk->trail, &path);
		if (code)
			mfs__directory_unpin(walk->top);
	}
	mfs__path_end(&path);
	return code;
}

int mfs_walk_open(mfs *fs, const char *path, mfs_walk **out)
{
	if (out)
		*out = NULL;
	if (!fs || !path || !out)
		return mfs__fail_path(MFS_EINVAL, "walk_open", path);
	struct mfs_walk *walk = mfs__alloc(sizeof *walk);
	if (!walk)
		return mfs__fail_path(MFS_ENOMEM, "walk_open", path);
	*walk = (struct mfs_walk){.fs = fs};
	int code = begin(walk, path);
	if (code) {
		mfs__free(walk, sizeof *walk);
		return mfs__fail_path(code, "walk_open", path);
	}
	mfs__count(&fs->counters[mfs__stripe()].handles, 1);
	*out = walk;
	return 0;
}

/*
 * Go into a pinned directory. Returns 0 with the pin taken over, MFS_ENOMEM, or MFS__AGAIN if it
 * has been removed or is on the trail already.
 */
static int enter(struct mfs__trail *trail, struct mfs__directory *directory, const char *name)
{
	struct mfs__trail_step step = {.directory = directory};

	if (mfs__trail_has(trail, directory))
		return MFS__AGAIN;
	int code = mfs__listing_read(directory, MFS__LIST_SPLIT, &step.listing);
	if (code)
		return code;
	step.next = step.listing.names;
	step.end = step.next + step.listing.count;
	code = mfs__listing_sort(&step.listing);
	if (!code)
		code = mfs__trail_push(trail, &step, name, name ? strlen(name) : 0);
	if (code)
		mfs__listing_free(&step.listing);
	return code;
}

static int enter_top(struct mfs_walk *walk)
{
	int code = enter(&walk->trail, walk->top, NULL);

	if (code < 0)
		return code;
	if (code == MFS__AGAIN)
		mfs__directory_unpin(walk->top);
	walk->top = NULL;
	walk->begun = true;
	return code;
}

/* Go into a directory of the last step. Returns as enter(). */
static int enter_child(struct mfs__trail *trail, const char *text)
{
	struct mfs__path_cursor cursor = {text, text + strlen(text)};
	struct mfs__directory *directory;
	struct mfs__name name;

	(void)mfs__path_next(&cursor, &name);
	int code = mfs__directory_child(mfs__trail_last(trail)->directory, &name, &directory);
	if (code || !directory)
		return MFS__AGAIN; /* removed, or a file's name by now */
	code = enter(trail, directory, text);
	if (code)
		mfs__directory_unpin(directory);
	return code;
}

/* Go to the next directory. Returns 1, 0 at the end, or MFS_ENOMEM. */
static int advance(struct mfs_walk *walk)
{
	if (walk->top) {
		int code = enter_top(walk);
		if (code <= 0)
			return code ? code : 1;
	}
	for (;;) {
		struct mfs__trail_step *last = mfs__trail_last(&walk->trail);
		if (!last)
			return 0;
		if (last->next == last->end) {
			walk->on_level = false;
			mfs__trail_pop(&walk->trail);
			continue;
		}
		size_t parent = walk->trail.depth - 1;
		int code = enter_child(&walk->trail, *last->next);
		if (code < 0)
			return code;
		walk->trail.steps[parent].next++;
		if (!code)
			return 1;
	}
}

int mfs_walk_next(mfs_walk *walk, mfs_walk_level *level)
{
	if (!walk || !level)
		return mfs__fail(MFS_EINVAL, "mfs_walk_next: NULL");
	int code = advance(walk);
	if (code < 0)
		return mfs__fail_path(code, "walk below", mfs__trail_path(&walk->trail));
	if (code == 0)
		return 0;
	walk->on_level = true;
	const struct mfs__listing *listing = &mfs__trail_last(&walk->trail)->listing;
	*level = (mfs_walk_level){
		.path = mfs__trail_path(&walk->trail),
		.directories = (const char *const *)listing->names,
		.directory_count = listing->count,
		.files = (const char *const *)listing->files,
		.file_count = listing->file_count,
	};
	return 1;
}

int mfs_walk_skip(mfs_walk *walk)
{
	if (!walk || !walk->begun)
		return mfs__fail(MFS_EINVAL, walk ? "mfs_walk_skip before the first mfs_walk_next"
										  : "mfs_walk_skip: NULL");
	if (walk->on_level) {
		struct mfs__trail_step *last = mfs__trail_last(&walk->trail);
		last->next = last->end;
	}
	return 0;
}

int mfs_walk_close(mfs_walk *walk)
{
	if (!walk)
		return 0;
	/* First: in the child of a fork the walk is either whole or not open any more. */
	mfs__count(&walk->fs->counters[mfs__stripe()].handles, -1);
	if (walk->top)
		mfs__directory_unpin(walk->top);
	mfs__trail_end(&walk->trail);
	mfs__free(walk, sizeof *walk);
	mfs__reclaim_throttle();
	return 0;
}
