/* SPDX-License-Identifier: MIT */
/* The worker threads of a stage. The main thread watches them, and is woken by the last one. */
#ifndef DMEMFS_TOOL_TEAM_H
#define DMEMFS_TOOL_TEAM_H

#include "run.h"

#include <pthread.h>
#include <stdbool.h>

typedef void team_work(struct run *run, unsigned worker);

struct team {
	struct run *run;
	team_work *work;
	struct team_member *members;
	unsigned count; /* of threads that were started */
	/* Atomic, any thread. */
	_Atomic unsigned working;
};

/**
 * Start `count` threads that do `work`. Returns false when that failed and ended the run;
 * team_join() is to be called all the same.
 */
bool team_start(struct team *team, struct run *run, unsigned count, team_work *work);

/** Is any of them still at work? */
bool team_is_working(struct team *team);

/** Wait for all of them to end. */
void team_join(struct team *team);

#endif
