/* SPDX-License-Identifier: MIT */
/*
 * The stages of a run, in their order. `prepare` is called by the main thread before the stage,
 * `work` by each worker, `finish`, where there is one, by the main thread after it. A failure ends
 * the run.
 */
#ifndef DMEMFS_TOOL_STAGES_H
#define DMEMFS_TOOL_STAGES_H

#include "run.h"

#include <stdint.h>

/* scan.c: find the files of the input. One worker. */
void scan_work(struct run *run, unsigned worker);

/* ingest.c: make the workspace and bring the files to /in, large ones cut between words. */
void ingest_prepare(struct run *run, uint64_t *bytes);
void ingest_work(struct run *run, unsigned worker);

/* map.c: count the words of the files in /in, and write them to pieces in /stage. */
void map_prepare(struct run *run, uint64_t *bytes);
void map_work(struct run *run, unsigned worker);

/* shuffle.c: move each section of a piece to its partition in /shuffle. */
void shuffle_prepare(struct run *run, uint64_t *bytes);
void shuffle_work(struct run *run, unsigned worker);

/* reduce.c: merge the sections of each partition into a part of the index in /out. */
void reduce_prepare(struct run *run, uint64_t *bytes);
void reduce_work(struct run *run, unsigned worker);

/* export.c: copy /out to the host. One worker, and threads of the library. */
void export_prepare(struct run *run, uint64_t *bytes);
void export_work(struct run *run, unsigned worker);
void export_finish(struct run *run);

#endif
