/* SPDX-License-Identifier: MIT */
/* A file's bytes in one block of memory. */
#include "base/alloc.h"
#include "base/compiler.h"
#include "base/error.h"
#include "host/held_file.h"

/** What lies before the bytes, for mfs_buffer_free(). */
struct block {
	size_t size; /* with this header */
	_Alignas(16) unsigned char bytes[];
};

/* Read the file that is open. Returns its size or a code. */
static int64_t read_file(struct mfs__held_file *held, uint64_t max_size, struct block **out)
{
	uint64_t size = (uint64_t)held->info.size;

	if (max_size && size > max_size)
		return MFS_EFBIG;
	if (size > SIZE_MAX - sizeof(struct block) - 1)
		return MFS_ENOMEM;
	size_t block_size = sizeof(struct block) + (size_t)size + !size;
	struct block *block = mfs__alloc(block_size);
	if (!block)
		return MFS_ENOMEM;
	block->size = block_size;
	*out = block;
	return mfs_pread(held->file, block->bytes, (size_t)size, 0);
}

int64_t mfs_export_buffer(mfs *fs, const char *path, uint64_t max_size, void **buffer)
{
	struct mfs__held_file held;
	struct block *block = NULL;

	if (buffer)
		*buffer = NULL;
	if (!fs || !path || !buffer)
		return mfs__fail_path(MFS_EINVAL, "export_buffer", path);
	mfs__held_begin(&held);
	int64_t result = mfs__held_open(&held, fs, path, 0);
	if (!result) {
		result = read_file(&held, max_size, &block);
		mfs__held_close(&held);
	}
	mfs__held_end(&held);
	if (result < 0) {
		if (block)
			mfs__free(block, block->size);
		return mfs__fail_path((int)result, "export_buffer", path);
	}
	*buffer = block->bytes;
	return result;
}

void mfs_buffer_free(void *buffer)
{
	if (buffer) {
		struct block *block = mfs__container_of(buffer, struct block, bytes);
		mfs__free(block, block->size);
	}
}
