/* SPDX-License-Identifier: MIT */
/*
 * stream_write_fresh: stream_write into a tree that has been made anew, so that all memory comes
 * from the system within the clock. Part of loops.h.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_FRESH_H
#define DMEMFS_BENCHMARKS_LOOPS_FRESH_H

#include "loops_base.h"
#include "loops_files.h"

static void prepare_stream_fresh(struct bench_worker *w)
{
	set_own_path(w, w->index, "");
	op_mkdir(w, w->path);
	set_own_path(w, w->index, "/file");
	w->faults = bench_page_faults();
}

static void finish_stream_fresh(struct bench_worker *w)
{
	op_check_fresh(w, BENCH_STREAM_BYTES);
	finish_stream_write(w);
	set_own_path(w, w->index, "");
	op_rmtree(w, w->path);
}

#endif
