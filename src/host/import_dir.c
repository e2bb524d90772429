/* SPDX-License-Identifier: MIT */
/*
 * Reading a directory of the host into the workspace: a tree is staged, filled by a team of threads
 * (host/importer.h), and committed.
 */
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "host/importer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Stage the directories of a path from the root. Inside the gate. */
static int stage_base(struct mfs__importer *importer, struct mfs__path *path)
{
	struct mfs__name name;

	/* A ".." is seen before anything of its path is made. */
	int code = mfs__path_settle(path);
	importer->base = importer->staging.top;
	struct mfs__path_cursor cursor = mfs__path_start(path);
	while (!code && mfs__path_next(&cursor, &name) == MFS__PATH_NAME) {
		code = mfs__staging_mkdir(&importer->staging, importer->base, &name, &importer->base);
		importer->base_length += 1 + name.length;
	}
	return code;
}

/* Stage what `top` has below it, and commit. The staging has begun, and is over afterwards. */
static int import_top(struct mfs__importer *importer, struct mfs__path *path, const char *given,
					  int top)
{
	unsigned gate = mfs__gate_enter();
	int code = stage_base(importer, path);
	mfs__gate_leave(gate);
	code =
		code ? mfs__fail_path(code, MFS__IMPORT_CALL " to", given) : mfs__import_run(importer, top);
	/* In a child the staged tree is gone, and with it all that the threads were at. */
	if (importer->transfer.is_orphan)
		return code;
	mfs__yield("import: about to commit");
	gate = mfs__gate_enter();
	if (!code)
		code = mfs__staging_commit(&importer->staging, MFS__IMPORT_CALL " to", 0, NULL);
	if (code)
		mfs__staging_abandon(&importer->staging);
	mfs__gate_leave(gate);
	return code;
}

/* The directory of the host is open. */
static int import(mfs *fs, int top, const char *host_path, const char *given,
				  struct mfs__path *path, const mfs_transfer_options *options)
{
	struct mfs__importer importer = {.fs = fs};
	size_t length = strlen(host_path);

	importer.top_length = length + (length && host_path[length - 1] != '/');
	int code = mfs__transfer_begin(&importer.transfer, MFS__IMPORT_CALL, host_path, options, NULL);
	if (code)
		return code;
	for (unsigned i = 0; i < MFS__IMPORT_MUTEXES; i++)
		(void)pthread_mutex_init(&importer.filling[i], NULL);
	unsigned gate = mfs__gate_enter();
	code = mfs__staging_begin(&importer.staging, fs, false);
	mfs__gate_leave(gate);
	code = code ? mfs__fail_path(code, MFS__IMPORT_CALL, host_path)
				: import_top(&importer, path, given, top);
	if (!importer.transfer.is_orphan)
		for (unsigned i = 0; i < MFS__IMPORT_MUTEXES; i++)
			(void)pthread_mutex_destroy(&importer.filling[i]);
	mfs__transfer_end(&importer.transfer);
	return code;
}

int mfs_import_from_dir(mfs *fs, const char *host_path, const char *path,
						const mfs_transfer_options *options)
{
	mfs_transfer_options given;
	struct mfs__path walked;

	if (!fs || !host_path || !path)
		return mfs__fail_path(MFS_EINVAL, MFS__IMPORT_CALL, host_path);
	int code = mfs__transfer_options(&given, options, 0);
	if (code)
		return code;
	code = mfs__path_begin(&walked, path);
	if (code)
		return mfs__fail_path(code, MFS__IMPORT_CALL " to", path);
	int top = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0) {
		code = mfs__fail_host(errno, MFS__IMPORT_CALL, host_path);
	} else {
		code = import(fs, top, host_path, path, &walked, &given);
		(void)close(top);
	}
	mfs__path_end(&walked);
	mfs__call_end();
	return code;
}
