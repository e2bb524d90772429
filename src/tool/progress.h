/* SPDX-License-Identifier: MIT */
/*
 * What the user sees of a stage on standard error: a bar that moves while it runs, on a terminal,
 * and a line when it has ended.
 */
#ifndef DMEMFS_TOOL_PROGRESS_H
#define DMEMFS_TOOL_PROGRESS_H

#include "run.h"

#include <stdbool.h>
#include <stdint.h>

/** Milliseconds between two drawings of the bar. */
#define PROGRESS_INTERVAL 100

struct progress {
	struct run *run;
	const char *stage;
	uint64_t bytes; /* of the stage; 0: not known */
	double start;   /* seconds on the monotonic clock */
	bool on_terminal;
};

/** Seconds on the monotonic clock. */
double progress_clock(void);

void progress_begin(struct progress *progress, struct run *run, const char *stage, uint64_t bytes);

/** Draw the bar, on a terminal. */
void progress_draw(const struct progress *progress);

/** The stage has ended: replace the bar by a line if `done`. Returns the seconds it took. */
double progress_end(const struct progress *progress, bool done);

#endif
