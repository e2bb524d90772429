/* SPDX-License-Identifier: MIT */
/* An import in steps. How its files are opened is in fs/open.c. */
#include "fs/import.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/fork.h"

#include <inttypes.h>

int mfs_import_begin(mfs *fs, mfs_import **out)
{
	if (out)
		*out = NULL;
	if (!fs || !out)
		return mfs__fail(MFS_EINVAL, "mfs_import_begin: NULL");
	struct mfs_import *import = mfs__alloc(sizeof *import);
	if (!import)
		return mfs__fail(MFS_ENOMEM, "mfs_import_begin");
	atomic_init(&import->handles, 0);
	unsigned gate = mfs__gate_enter();
	int code = mfs__staging_begin(&import->staging, fs, true);
	if (!code) {
		mfs__count(&fs->counters[mfs__stripe()].handles, 1);
		*out = import;
	}
	mfs__gate_leave(gate);
	if (!code)
		return 0;
	mfs__free(import, sizeof *import);
	return mfs__fail(code, "mfs_import_begin");
}

int mfs_import_mkdir(mfs_import *import, const char *path)
{
	struct mfs__path walked;

	if (!import || !path)
		return mfs__fail(MFS_EINVAL, "mfs_import_mkdir: NULL");
	int code = mfs__path_begin(&walked, path);
	if (!code) {
		unsigned gate = mfs__gate_enter();
		code = mfs__staging_make_path(&import->staging, &walked);
		mfs__gate_leave(gate);
		mfs__path_end(&walked);
	}
	if (code && !mfs__is_limit_error(code))
		(void)mfs__fail_path(code, "mkdir in an import", path);
	return code;
}

/* Refuse to end an import while handles of it are open. */
static int check_handles(struct mfs_import *import)
{
	/* pairs with mfs_close */
	uint64_t handles = atomic_load_explicit(&import->handles, memory_order_acquire);

	if (!handles)
		return 0;
	return mfs__fail_numbers(MFS_EBUSY, "end of an import refused: %" PRIu64 " handles are open",
							 handles, 0, 0);
}

/* The staged tree has gone, one way or the other. Inside the gate: a child finds all of the import,
 * or nothing. */
static void end(struct mfs_import *import)
{
	mfs__count(&import->staging.fs->counters[mfs__stripe()].handles, -1);
	mfs__free(import, sizeof *import);
}

int64_t mfs_import_commit(mfs_import *import, unsigned flags)
{
	uint64_t files = 0;

	if (!import)
		return mfs__fail(MFS_EINVAL, "mfs_import_commit: NULL");
	if (flags != 0 && flags != MFS_IMPORT_NEW && flags != MFS_IMPORT_KEEP)
		return mfs__fail(MFS_EINVAL, "mfs_import_commit: flags");
	int code = check_handles(import);
	if (code)
		return code;
	unsigned gate = mfs__gate_enter();
	code = mfs__staging_commit(&import->staging, "import", flags, &files);
	if (!code)
		end(import);
	mfs__gate_leave(gate);
	mfs__call_end();
	return code ? code : (int64_t)files;
}

int mfs_import_abort(mfs_import *import)
{
	if (!import)
		return 0;
	int code = check_handles(import);
	if (code)
		return code;
	unsigned gate = mfs__gate_enter();
	mfs__staging_abandon(&import->staging);
	end(import);
	mfs__gate_leave(gate);
	mfs__call_end();
	return 0;
}
