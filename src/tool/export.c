/* SPDX-License-Identifier: MIT */
/* Stage 5: copy the index to the host. One worker, which brings a team of the library's along. */
#include "stages.h"

/* The library's threads, at most. */
#define MOST_THREADS 64

void export_prepare(struct run *run, uint64_t *bytes)
{
	*bytes = run_get(&run->index_bytes);
	if (!output_begin(&run->output))
		(void)run_fail_host(run, run->output.parent);
}

static bool on_progress(void *user, const mfs_progress *progress)
{
	struct run *run = user;

	atomic_store_explicit(&run->done_bytes, progress->bytes_done, memory_order_relaxed);
	return !run_is_stopping(run);
}

void export_work(struct run *run, unsigned worker)
{
	const mfs_transfer_options options = {
		.struct_size = sizeof options,
		.threads = run->threads < MOST_THREADS ? run->threads : MOST_THREADS,
		.on_progress = on_progress,
		.user = run,
	};

	(void)worker;
	int code = mfs_export_to_dir(run->fs, "/out", run->output.temporary, &options);
	if (code && code != MFS_ECANCELED)
		(void)run_fail_workspace(run, code);
}

void export_finish(struct run *run)
{
	if (!output_publish(&run->output))
		(void)run_fail_host(run, run->output.target);
}
