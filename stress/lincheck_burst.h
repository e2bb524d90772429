/* SPDX-License-Identifier: MIT */
/*
 * A burst of the linearizability check: threads that call the library at random, all at once, and
 * record what they do.
 */
#ifndef DMEMFS_STRESS_LINCHECK_BURST_H
#define DMEMFS_STRESS_LINCHECK_BURST_H

#include "lincheck.h"

#include <pthread.h>

#define LINCHECK_POOL_MAX 12

/** What the threads do. Constant while they run. */
struct lincheck_plan {
	unsigned names;          /* how many of a, b, c */
	unsigned depth;          /* of paths, at most */
	unsigned pool_count;     /* paths that most calls use */
	unsigned pause_one_in;   /* calls before which a thread waits a moment; 0: none */
	unsigned disturb_one_in; /* likewise inside the library, where there are hooks */
	struct lincheck_path pool[LINCHECK_POOL_MAX];
	uint32_t weights[LINCHECK_CHOSEN_COUNT]; /* of the kinds of calls */
	uint32_t weight_sum;
};

struct lincheck_burst;

/** A thread. Between bursts the main thread's. */
struct lincheck_worker {
	struct lincheck_burst *burst;
	pthread_t thread;
	unsigned index;
	uint64_t random;
	mfs_file *handle; /* NULL: none is open */
	enum lincheck_kind opened_by;
	struct lincheck_path opened_path;
	/* Numbers for new files. */
	const uint8_t *files;
	unsigned file_count;
	/* Recorded. */
	struct lincheck_call calls[LINCHECK_CALLS_MAX];
	unsigned call_count;
};

struct lincheck_burst {
	/* Constant while the threads run. */
	uint64_t seed; /* for reports */
	unsigned threads;
	unsigned calls_per_thread;
	mfs *fs;
	unsigned ballast; /* files in the root that are left alone */
	struct lincheck_plan plan;
	struct lincheck_worker *workers;
	/* Atomic, any thread: the next moment; how many threads are ready. */
	_Atomic uint32_t moment;
	_Atomic unsigned ready;
	pthread_mutex_t lock;
	pthread_cond_t begin;
	pthread_cond_t end;
	uint64_t number;  /* under lock: of the burst; a change starts the threads */
	unsigned running; /* under lock */
	bool stop;        /* under lock */
};

/*
 * lincheck_calls.c
 */

/** A moment after all that were given before. They are even, so that there is room between them. */
uint32_t lincheck_moment(struct lincheck_burst *burst);

/** A path as the plan allows it. */
struct lincheck_path lincheck_draw_path(const struct lincheck_plan *plan, uint64_t *random);

/** What mfs_stat() says, as an element. */
lincheck_element lincheck_element_of(const mfs_info *info);

/** The first letter of the names of files that are left alone. */
#define LINCHECK_BALLAST_LETTER 'z'

/**
 * The names of a listing as a set. A name that comes twice is as foreign as an unknown one, and so
 * is the lack of one of the files that are left alone.
 */
lincheck_element lincheck_name_set(char *const *names, unsigned ballast);

/** Make a call drawn at random, or two: a handle is closed before another is opened. */
void lincheck_make_call(struct lincheck_worker *w);

/** Close the thread's handle, if it has one. */
void lincheck_close(struct lincheck_worker *w);

/*
 * lincheck_burst.c
 */

/** Start and end the threads. */
void lincheck_start(struct lincheck_burst *burst);
void lincheck_stop(struct lincheck_burst *burst);

/** Let the threads make their calls. Does not return if they are stuck inside the library. */
void lincheck_run(struct lincheck_burst *burst);

#endif
