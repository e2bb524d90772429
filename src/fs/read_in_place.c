/* SPDX-License-Identifier: MIT */
/* Handing out a file's bytes for the length of a call, with no lock held. */
#include "base/alloc.h"
#include "base/error.h"
#include "fs/access.h"
#include "fs/snapshot.h"

/* Runs that need no memory to list them in: of up to 14 MiB. */
#define FEW 16

/* List the runs of the bytes that are held. Returns how many. */
static int list_runs(const struct mfs__snapshot *snapshot, uint64_t offset, uint64_t length,
					 struct iovec *runs)
{
	int count = 0;
	size_t part;

	for (; length; offset += part, length -= part) {
		const unsigned char *bytes = mfs__snapshot_at(snapshot, offset, length, &part);
		runs[count++] = (struct iovec){(void *)(uintptr_t)bytes, part};
	}
	return count;
}

int64_t mfs_read_in_place(mfs_file *file, int64_t offset, int64_t size, mfs_take *take, void *user)
{
	struct mfs__held_snapshot held;
	struct iovec few[FEW];
	struct iovec *runs = few;

	if (offset < 0 || size < 0 || !take)
		return mfs__fail(MFS_EINVAL, "mfs_read_in_place: negative offset or size, or NULL");
	int64_t length = mfs__snapshot_hold(&held, file, (uint64_t)offset, (uint64_t)size);
	if (length < 0)
		return length;
	/* Each run is of a chunk of its own. */
	size_t size_of_runs = held.snapshot.count * sizeof *runs;
	if (held.snapshot.count > FEW)
		runs = mfs__alloc(size_of_runs);
	int64_t result;
	if (runs)
		result =
			take(user, runs, list_runs(&held.snapshot, (uint64_t)offset, (uint64_t)length, runs));
	else
		result = mfs__fail(MFS_ENOMEM, "mfs_read_in_place");
	mfs__snapshot_release(&held);
	if (runs != few && runs)
		mfs__free(runs, size_of_runs);
	return result;
}
