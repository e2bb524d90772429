/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room in the workspace.
 *
 * A worker whose write the quota refuses waits with mfs_wait_for_space() until another worker has
 * given enough back, and tries again. When all workers of a stage wait and nothing was given back
 * since each of them was refused, nobody ever will: a dead end. The workspace cannot know that, so
 * it is found here, and workers do not wait in their calls (mfs_options.space_timeout). Who waits
 * looks at it now and then.
 *
 * A worker notes room_seen() before it tries, and room_wait() returns at once if something was
 * given back since then.
 */
#ifndef DMEMFS_TOOL_ROOM_H
#define DMEMFS_TOOL_ROOM_H

#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct room {
	pthread_mutex_t lock;
	/* Under `lock`. */
	uint64_t given_back; /* how often something was */
	unsigned workers;    /* at work in this stage, waiting ones included */
	unsigned waiting;    /* that were refused since something was last given back */
	bool dead_end;
	bool closed; /* the run ends early */
};

enum room_answer {
	ROOM_TRY_AGAIN,
	ROOM_ALONE,    /* all others wait: go on with less than was asked for */
	ROOM_DEAD_END, /* nobody can go on */
	ROOM_CLOSED,   /* the run ends early */
};

/** Returns false if there are no resources for it. */
bool room_init(struct room *room);
void room_destroy(struct room *room);

/** A stage begins, with so many workers. Each must call room_leave() when its work is done. */
void room_begin(struct room *room, unsigned workers);
void room_leave(struct room *room);

/** How often something was given back until now; for room_wait(). */
uint64_t room_seen(struct room *room);

/** Something was given back: this is no dead end yet. */
void room_gave_back(struct room *room);

/**
 * Wait until `bytes` are free, or something has been given back since `seen`.
 *
 * `may_go_alone`: the caller can go on with less than was refused. Where all others wait, it gets
 * ROOM_ALONE instead of a dead end.
 */
enum room_answer room_wait(struct room *room, mfs *fs, uint64_t bytes, uint64_t seen,
						   bool may_go_alone);

/** The run ends early: nobody waits for much longer. */
void room_close(struct room *room);

#endif
