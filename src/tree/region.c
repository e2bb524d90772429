/* SPDX-License-Identifier: MIT */
#include "tree/region.h"

#include "base/test_hook.h"

#include <dmemfs/dmemfs.h>

/* One directory of a region, and where in it a file refused. */
struct visit {
	struct mfs__region *region;
	struct mfs__dentry *refused;
	bool moved;
};

static void append(struct mfs__region *region, struct mfs__directory *directory)
{
	directory->retired.next = NULL;
	if (region->last)
		region->last->retired.next = &directory->retired;
	else
		region->first = directory;
	region->last = directory;
}

static bool claim_child(void *user, struct mfs__dentry *dentry)
{
	struct visit *visit = user;
	struct mfs__node *node = dentry->node;

	if (node->is_dir) {
		append(visit->region, mfs__directory_of(node));
	} else {
		if (visit->region->with_files && !mfs__node_claim(node)) {
			visit->refused = dentry;
			return false;
		}
		visit->region->files++;
	}
	return true;
}

static bool release_child(void *user, struct mfs__dentry *dentry)
{
	struct visit *visit = user;

	if (dentry == visit->refused)
		return false;
	if (!dentry->node->is_dir) {
		if (visit->moved)
			mfs__node_moved(dentry->node);
		else
			mfs__node_unclaim(dentry->node);
	}
	return true;
}

/* Release the directories up to `last`, in which a file may have refused. */
static void release(struct visit *visit, struct mfs__directory *last)
{
	struct mfs__directory *directory = visit->region->first;
	struct mfs__directory *next;

	for (; directory; directory = next) {
		struct visit inner = *visit;
		if (directory != last)
			inner.refused = NULL;
		if (visit->region->with_files)
			mfs__directory_each(directory, release_child, &inner);
		/* Once it is released, another may claim it, and use the link. */
		next = directory == last ? NULL : mfs__region_next(directory);
		mfs__directory_unclaim(directory);
	}
	*visit->region = (struct mfs__region){0};
}

int mfs__region_claim(struct mfs__region *region, struct mfs__directory *top, bool with_files)
{
	struct visit visit = {.region = region};

	*region = (struct mfs__region){.with_files = with_files};
	if (!mfs__directory_claim(top))
		return MFS_ENOENT;
	append(region, top);
	for (struct mfs__directory *directory = top; directory;
		 directory = mfs__region_next(directory)) {
		/* Below the top nothing can have gone: what it is in is claimed. */
		if (directory != top)
			(void)mfs__directory_claim(directory);
		region->directories++;
		mfs__yield("region: directory claimed");
		mfs__directory_each(directory, claim_child, &visit);
		if (visit.refused) {
			release(&visit, directory);
			return MFS_EBUSY;
		}
	}
	return 0;
}

void mfs__region_release(struct mfs__region *region, bool moved)
{
	struct visit visit = {.region = region, .moved = moved};

	release(&visit, region->last);
}
