/* SPDX-License-Identifier: MIT */
/*
 * The memory guard: no more memory is taken between two samples than the last one has allowed.
 *
 * A sample tells how much memory is available (limit/memory_source.h). From that comes the
 * allowance of the process: one word, from which the quotas of all guarded workspaces take before
 * they let more be reserved. They take some megabytes at a time; so a call finds the guard's word
 * in that of its quota, and a check costs nothing of its own.
 *
 *   M1  What the quotas have taken and not used is revoked with each sample, before the source is
 *       asked. What is reserved from then on has to be taken from the allowance, while the source
 *       is asked from the old one, and counts against the new one. What is released meanwhile is
 *       revoked once the source has answered: it is part of the answer.
 *   M2  What was reserved before, but is no memory yet, is subtracted from what the sample says:
 *       reservations, and large writes that are under way. Small ones, and room that was taken
 *       ahead and not written to, at most a chunk for each file that is appended to, are not.
 *   M3  A sixteenth of the rest is kept for what data needs besides: page tables, names, the
 *       allocator's loss.
 *   M4  When the source says nothing, all is allowed. When it does not answer, the last sample
 *       goes on to count.
 *
 * One thread of the process samples, "mfs-guard". It runs while there is a guarded workspace. After
 * a fork, the child starts its own when it first takes something.
 *
 * Locks: members_mutex, then those of quotas and of lists of reservations. Two words keep samples
 * apart, and starts and ends of the thread; a fork does not wait for them, since who has one may
 * wait for the source.
 */
#ifndef MFS_LIMIT_GUARD_H
#define MFS_LIMIT_GUARD_H

#include "limit/memory_source.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** A guarded workspace. */
struct mfs__guard_member {
	/* Constant while it is a member. */
	bool fails;          /* refuses, and does not only warn */
	int64_t interval_ns; /* between two samples, and two warnings */
	uint64_t keep;       /* bytes of the allowance that it leaves alone */
	/** Withhold what its quotas have taken and not used. Returns how much. */
	uint64_t (*revoke)(struct mfs__guard_member *member);
	/** What is reserved and no memory yet. */
	uint64_t (*pending)(struct mfs__guard_member *member);
	/** Warn, with no lock held. */
	void (*warn)(struct mfs__guard_member *member, const char *message);
	/* Under members_mutex. */
	struct mfs__guard_member *next;
	struct mfs__guard_member **link;
	/* Atomic, any thread. */
	_Atomic uint64_t refusals; /* or causes of a warning */
	_Atomic int64_t warned_at; /* when a warning was given last, or 0 */
	_Atomic uint64_t wanted;   /* what a warning is about, or 0 */
};

/** Become a member: sees to it that there is a sample, and the thread. Not inside the gate. */
void mfs__guard_join(struct mfs__guard_member *member);

/** No longer be one. The last member's thread ends; waits for a sample that is under way. */
void mfs__guard_leave(struct mfs__guard_member *member);

/**
 * Take at least `need` bytes from the allowance, at most `want`, which is no less. Lock-free. With
 * `need` 0 it is only asked, and nothing is refused.
 *
 * Returns what was taken; 0 if that is refused. A member that only warns gets what it needs, and
 * the thread's call warns at its end.
 */
uint64_t mfs__guard_take(struct mfs__guard_member *member, uint64_t need, uint64_t want);

/** Note, and count, that bytes are refused to a member. Returns MFS_EMEMGUARD. */
int mfs__guard_fail(struct mfs__guard_member *member, uint64_t bytes);

/** The member of which this thread's call has to warn, or which misses the thread; or NULL. */
extern _Thread_local struct mfs__guard_member *mfs__guard_noticed;

/** What mfs__guard_notice() does when there is something to do. */
void mfs__guard_speak(void);

/** The end of a call that may have taken something; with no lock held. */
static inline void mfs__guard_notice(void)
{
	if (__builtin_expect(mfs__guard_noticed != NULL, 0))
		mfs__guard_speak();
}

/** The last sample. */
struct mfs__guard_report {
	struct mfs__memory_sample sample;
	int64_t at; /* mfs__now(), or 0: there was none */
};

void mfs__guard_report(struct mfs__guard_report *report);

/** Take a sample by the calling thread. Waits for one that is under way. */
void mfs__guard_sample(void);

/** Ask a function for what is available, in the place of the platform; NULL: the platform. */
void mfs__guard_set_hook(int (*available)(void *user, uint64_t *available), void *user);

/** Before a fork and after it, in parent and child. */
void mfs__guard_fork_prepare(void);
void mfs__guard_fork_parent(void);
void mfs__guard_fork_child(void);

#endif
