/* SPDX-License-Identifier: MIT */
#include "limit/guard.h"

#include "base/compiler.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/huge_block.h"
#include "base/page_pool.h"
#include "base/reclaim.h"
#include "base/test_hook.h"
#include "base/thread.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The allowance where nothing is known: more than there ever is, and far from its type's end. */
#define UNLIMITED (INT64_MAX / 2)
/* The part of what is available that is kept for what data needs besides. */
#define BESIDES_PART 16
/* A quota gets no more than this part of what is left ahead of its need. */
#define AHEAD_PART 16
/* Idle memory is given back before a sample when less than so many times as much may be taken. */
#define IDLE_PART 4
/* Poll's timeout has 31 bits. */
#define POLL_MS_MAX INT64_C(1000000000)

/* Atomic, any thread: bytes that may be taken until the next sample. Less than 0 where members that
 * only warn took more. */
static _Alignas(2 * MFS__CACHE_LINE) _Atomic int64_t allowance = UNLIMITED;

/* Atomic: the thread runs. Changed with `starting`. */
static _Alignas(2 * MFS__CACHE_LINE) atomic_bool running;
/* Atomic: the thread shall end. Set with `starting`. */
static atomic_bool stopping;
/* Atomic: changes when the thread has to look what to do; it sleeps on it, where it cannot poll. */
static _Atomic uint32_t calls;
static pthread_t thread; /* with `starting`, while running */

static pthread_mutex_t members_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mfs__guard_member *members; /* under members_mutex */
/* Under members_mutex: bytes that members which left gave back since a sample was begun. */
static int64_t given_back;
/* Under members_mutex: who is asked in the place of the platform. */
static int (*hook)(void *user, uint64_t *available);
static void *hook_user;

/* Held while the platform is asked, descriptors come or go, and a report is written: so that a fork
 * finds all that whole. Not while the hook is asked, which may take its time. */
static pthread_mutex_t platform_mutex = PTHREAD_MUTEX_INITIALIZER;
/* Changed under platform_mutex, by who starts or ends the thread or by that, which reads them. */
static int call_fd = -1; /* an eventfd */
static int pressure_fd = -1;

/*
 * Locks that a fork does not wait for, and that are free in its child: 1 while held. Who has one
 * may wait for the hook.
 */
static _Atomic uint32_t sampling; /* a sample is taken */
static _Atomic uint32_t starting; /* the thread is started or ended */

/* Atomic: there is a sample since there are members. */
static atomic_bool sampled;
/* Atomic, changed under platform_mutex: odd while the three below change. */
static _Atomic uint32_t report_seq;
static _Atomic uint64_t report_available;
static _Atomic int report_source;
static _Atomic int64_t report_at;

_Thread_local struct mfs__guard_member *mfs__guard_noticed;

static void lock_word(_Atomic uint32_t *word)
{
	/* pairs with unlock_word */
	while (atomic_exchange_explicit(word, 1, memory_order_acquire))
		(void)mfs__futex_wait(word, 1, MFS__NEVER);
}

static void unlock_word(_Atomic uint32_t *word)
{
	/* pairs with lock_word */
	atomic_store_explicit(word, 0, memory_order_release);
	mfs__futex_wake(word, 1);
}

static void publish(const struct mfs__memory_sample *sample)
{
	pthread_mutex_lock(&platform_mutex);
	uint32_t seq = atomic_load_explicit(&report_seq, memory_order_relaxed);
	atomic_store_explicit(&report_seq, seq + 1, memory_order_relaxed);
	/* pairs with mfs__guard_report: who reads one of these reads the odd number below */
	atomic_store_explicit(&report_available, sample->available, memory_order_release);
	/* pairs with mfs__guard_report */
	atomic_store_explicit(&report_source, sample->source, memory_order_release);
	/* pairs with mfs__guard_report */
	atomic_store_explicit(&report_at, mfs__now(), memory_order_release);
	/* pairs with mfs__guard_report */
	atomic_store_explicit(&report_seq, seq + 2, memory_order_release);
	pthread_mutex_unlock(&platform_mutex);
}

void mfs__guard_report(struct mfs__guard_report *report)
{
	uint32_t seq;

	do {
		/* pairs with publish */
		seq = atomic_load_explicit(&report_seq, memory_order_acquire);
		/* pairs with publish */
		report->sample.available = atomic_load_explicit(&report_available, memory_order_acquire);
		/* pairs with publish */
		report->sample.source = atomic_load_explicit(&report_source, memory_order_acquire);
		/* pairs with publish */
		report->at = atomic_load_explicit(&report_at, memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load_explicit(&report_seq, memory_order_relaxed));
}

static bool ask(struct mfs__memory_sample *sample)
{
	pthread_mutex_lock(&members_mutex);
	int (*available)(void *, uint64_t *) = hook;
	void *user = hook_user;
	pthread_mutex_unlock(&members_mutex);
	if (available) {
		*sample = (struct mfs__memory_sample){.source = MFS_MEMORY_HOOK};
		if (available(user, &sample->available))
			*sample = (struct mfs__memory_sample){.source = MFS_MEMORY_UNKNOWN};
		return true;
	}
	pthread_mutex_lock(&platform_mutex);
	bool asked = mfs__memory_sample(sample);
	pthread_mutex_unlock(&platform_mutex);
	return asked;
}

/* Revoke what members have and do not use. Returns how much. */
static int64_t revoke_all(void)
{
	int64_t sum = 0;

	pthread_mutex_lock(&members_mutex);
	for (struct mfs__guard_member *member = members; member; member = member->next)
		sum += (int64_t)member->revoke(member);
	pthread_mutex_unlock(&members_mutex);
	return sum;
}

static uint64_t all_pending(void)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&members_mutex);
	for (struct mfs__guard_member *member = members; member; member = member->next)
		sum += member->pending(member);
	pthread_mutex_unlock(&members_mutex);
	return sum;
}

/* What the sample lets be taken. */
static int64_t allowed_by(const struct mfs__memory_sample *sample, uint64_t pending)
{
	if (sample->source == MFS_MEMORY_UNKNOWN)
		return UNLIMITED;
	uint64_t usable = sample->available > pending ? sample->available - pending : 0;
	usable -= usable / BESIDES_PART;
	return usable < (uint64_t)UNLIMITED ? (int64_t)usable : UNLIMITED;
}

/* Freed memory that is kept is none that is available: not where it would be a good part of that.
 */
static void give_back_idle(void)
{
	uint64_t idle = mfs__huge_idle_bytes() + mfs__page_idle_bytes();
	int64_t left = atomic_load_explicit(&allowance, memory_order_relaxed);

	if (idle && (left < 0 || (uint64_t)left < IDLE_PART * idle))
		mfs__reclaim_give_back();
}

void mfs__guard_sample(void)
{
	struct mfs__memory_sample sample;

	lock_word(&sampling);
	give_back_idle();
	/* M1. What is taken from here on counts against the new sample. */
	pthread_mutex_lock(&members_mutex);
	int64_t before = atomic_load_explicit(&allowance, memory_order_relaxed);
	given_back = 0;
	pthread_mutex_unlock(&members_mutex);
	int64_t revoked = revoke_all();
	atomic_fetch_add_explicit(&allowance, revoked, memory_order_relaxed);
	uint64_t pending = all_pending();
	mfs__yield("guard: about to ask");
	if (ask(&sample)) {
		/* What was released since is in what the source says, and must not be reserved again
		 * without being taken: so it is revoked, and added to nothing. */
		(void)revoke_all();
		pthread_mutex_lock(&members_mutex);
		int64_t more = allowed_by(&sample, pending) - before - revoked - given_back;
		atomic_fetch_add_explicit(&allowance, more, memory_order_relaxed);
		pthread_mutex_unlock(&members_mutex);
		publish(&sample);
		atomic_store_explicit(&sampled, true, memory_order_relaxed);
	}
	unlock_word(&sampling);
}

/* The shortest interval that a member wants. */
static int64_t interval(void)
{
	int64_t shortest = MFS__NS_PER_S;

	pthread_mutex_lock(&members_mutex);
	for (struct mfs__guard_member *member = members; member; member = member->next)
		if (member == members || member->interval_ns < shortest)
			shortest = member->interval_ns;
	pthread_mutex_unlock(&members_mutex);
	return shortest;
}

/* Sleep until the deadline or a call. Returns true when there is pressure before. */
static bool doze(uint32_t seen, int64_t deadline)
{
	struct pollfd fds[2] = {{call_fd, POLLIN, 0}, {pressure_fd, POLLPRI, 0}};
	eventfd_t count;

	if (pressure_fd < 0) {
		(void)mfs__futex_wait(&calls, seen, deadline);
		return false;
	}
	int64_t left = (deadline - mfs__now()) / MFS__NS_PER_MS + 1;
	if (poll(fds, 2, (int)(left < POLL_MS_MAX ? left : POLL_MS_MAX)) <= 0)
		return false;
	if (fds[0].revents)
		(void)eventfd_read(call_fd, &count);
	if (fds[1].revents & (POLLERR | POLLNVAL)) {
		/* What was watched is gone. */
		pthread_mutex_lock(&platform_mutex);
		(void)close(pressure_fd);
		pressure_fd = -1;
		pthread_mutex_unlock(&platform_mutex);
		return false;
	}
	return (fds[1].revents & POLLPRI) != 0;
}

/* Rest until the next sample is due, or the thread shall end. */
static void rest(int64_t sampled_at)
{
	bool pressure = false;

	while (!pressure) {
		/* pairs with call_thread */
		uint32_t seen = atomic_load_explicit(&calls, memory_order_acquire);
		int64_t due = sampled_at + interval();
		/* pairs with stop_thread */
		if (atomic_load_explicit(&stopping, memory_order_acquire) || mfs__now() >= due)
			return;
		pressure = doze(seen, due);
	}
}

static void *sampler(void *unused)
{
	struct mfs__guard_report report;

	(void)unused;
	/* The first sample was taken by who started this thread. */
	mfs__guard_report(&report);
	rest(report.at);
	/* pairs with stop_thread */
	while (!atomic_load_explicit(&stopping, memory_order_acquire)) {
		int64_t now = mfs__now();
		mfs__guard_sample();
		rest(now);
	}
	return NULL;
}

/* Let the thread look what has changed. With `starting`, while it runs. */
static void call_thread(void)
{
	/* pairs with rest */
	atomic_fetch_add_explicit(&calls, 1, memory_order_release);
	mfs__futex_wake(&calls, 1);
	if (call_fd >= 0)
		(void)eventfd_write(call_fd, 1);
}

static void close_descriptors(void)
{
	if (pressure_fd >= 0)
		(void)close(pressure_fd);
	if (call_fd >= 0)
		(void)close(call_fd);
	pressure_fd = -1;
	call_fd = -1;
}

static void open_descriptors(void)
{
	pthread_mutex_lock(&platform_mutex);
	pressure_fd = mfs__memory_pressure_open();
	if (pressure_fd >= 0)
		call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (call_fd < 0)
		close_descriptors();
	pthread_mutex_unlock(&platform_mutex);
}

/* With `starting`. Without a thread, mfs__guard_take() takes care that it is tried again. */
static void start_thread(void)
{
	atomic_store_explicit(&stopping, false, memory_order_relaxed);
	open_descriptors();
	bool started = mfs__thread_start(&thread, "mfs-guard", sampler);
	atomic_store_explicit(&running, started, memory_order_relaxed);
}

/* With `starting`. */
static void stop_thread(void)
{
	/* pairs with rest and sampler */
	atomic_store_explicit(&stopping, true, memory_order_release);
	call_thread();
	(void)pthread_join(thread, NULL);
	atomic_store_explicit(&running, false, memory_order_relaxed);
}

static bool has_members(void)
{
	pthread_mutex_lock(&members_mutex);
	bool any = members != NULL;
	pthread_mutex_unlock(&members_mutex);
	return any;
}

/* Let the thread run if there are members, with what they want, and only then. */
static void mind_thread(void)
{
	lock_word(&starting);
	bool runs = atomic_load_explicit(&running, memory_order_relaxed);
	if (has_members()) {
		if (runs)
			call_thread();
		else
			start_thread();
	} else if (runs) {
		stop_thread();
	}
	if (!atomic_load_explicit(&running, memory_order_relaxed)) {
		pthread_mutex_lock(&platform_mutex);
		close_descriptors();
		pthread_mutex_unlock(&platform_mutex);
	}
	unlock_word(&starting);
}

void mfs__guard_join(struct mfs__guard_member *member)
{
	pthread_mutex_lock(&members_mutex);
	bool first = !members;
	/* What was sampled before there were members is old. */
	if (first)
		atomic_store_explicit(&sampled, false, memory_order_relaxed);
	else
		members->link = &member->next;
	member->next = members;
	member->link = &members;
	members = member;
	pthread_mutex_unlock(&members_mutex);
	if (first || !atomic_load_explicit(&sampled, memory_order_relaxed))
		mfs__guard_sample();
	mind_thread();
}

void mfs__guard_leave(struct mfs__guard_member *member)
{
	pthread_mutex_lock(&members_mutex);
	/* What it has not used goes back: what it used is memory, or free again. */
	int64_t revoked = (int64_t)member->revoke(member);
	atomic_fetch_add_explicit(&allowance, revoked, memory_order_relaxed);
	given_back += revoked;
	*member->link = member->next;
	if (member->next)
		member->next->link = member->link;
	bool last = !members;
	pthread_mutex_unlock(&members_mutex);
	if (last)
		mind_thread();
	if (mfs__guard_noticed == member)
		mfs__guard_noticed = NULL;
}

uint64_t mfs__guard_take(struct mfs__guard_member *member, uint64_t need, uint64_t want)
{
	int64_t left = atomic_load_explicit(&allowance, memory_order_relaxed);
	bool lacks;
	uint64_t got;

	if (mfs__unlikely(!atomic_load_explicit(&running, memory_order_relaxed)))
		mfs__guard_noticed = member;
	do {
		mfs__yield("guard: allowance seen");
		uint64_t usable = left > 0 ? (uint64_t)left : 0;
		usable = usable > member->keep ? usable - member->keep : 0;
		lacks = usable < need;
		if (lacks && member->fails)
			return 0;
		/* What is not needed at once may be missing elsewhere. */
		uint64_t more = lacks ? 0 : (usable - need) / AHEAD_PART;
		got = more < want - need ? need + more : want;
	} while (!atomic_compare_exchange_weak_explicit(&allowance, &left, left - (int64_t)got,
													memory_order_relaxed, memory_order_relaxed));
	if (mfs__unlikely(lacks)) {
		atomic_store_explicit(&member->wanted, need, memory_order_relaxed);
		atomic_fetch_add_explicit(&member->refusals, 1, memory_order_relaxed);
		mfs__guard_noticed = member;
	}
	return got;
}

int mfs__guard_fail(struct mfs__guard_member *member, uint64_t bytes)
{
	struct mfs__guard_report report;

	atomic_fetch_add_explicit(&member->refusals, 1, memory_order_relaxed);
	mfs__guard_report(&report);
	return mfs__fail_numbers(MFS_EMEMGUARD,
							 "%" PRIu64 " more bytes refused by the memory guard: %" PRIu64
							 " were available at the last sample, less what was taken since",
							 bytes, report.sample.available, 0);
}

/* Warn, unless somebody did lately. */
static void warn(struct mfs__guard_member *member, uint64_t wanted)
{
	char message[160];
	int64_t now = mfs__now();
	int64_t warned_at = atomic_load_explicit(&member->warned_at, memory_order_relaxed);
	struct mfs__guard_report report;

	if (warned_at && now - warned_at < member->interval_ns)
		return;
	if (!atomic_compare_exchange_strong_explicit(&member->warned_at, &warned_at, now,
												 memory_order_relaxed, memory_order_relaxed))
		return;
	mfs__guard_report(&report);
	(void)snprintf(message, sizeof message,
				   "memory guard: %" PRIu64 " bytes more were taken than are available: %" PRIu64
				   " were at the last sample",
				   wanted, report.sample.available);
	member->warn(member, message);
}

void mfs__guard_speak(void)
{
	struct mfs__guard_member *member = mfs__guard_noticed;
	struct mfs__guard_report report;

	mfs__guard_noticed = NULL;
	if (mfs__unlikely(!atomic_load_explicit(&running, memory_order_relaxed))) {
		mfs__guard_report(&report);
		if (mfs__now() - report.at >= member->interval_ns)
			mfs__guard_sample();
		mind_thread();
	}
	uint64_t wanted = atomic_exchange_explicit(&member->wanted, 0, memory_order_relaxed);
	if (wanted)
		warn(member, wanted);
}

void mfs__guard_set_hook(int (*available)(void *user, uint64_t *available), void *user)
{
	pthread_mutex_lock(&members_mutex);
	hook = available;
	hook_user = user;
	pthread_mutex_unlock(&members_mutex);
}

void mfs__guard_fork_prepare(void)
{
	pthread_mutex_lock(&members_mutex);
	pthread_mutex_lock(&platform_mutex);
}

void mfs__guard_fork_parent(void)
{
	pthread_mutex_unlock(&platform_mutex);
	pthread_mutex_unlock(&members_mutex);
}

void mfs__guard_fork_child(void)
{
	/* What threads had that are not there. */
	atomic_store_explicit(&running, false, memory_order_relaxed);
	atomic_store_explicit(&sampling, 0, memory_order_relaxed);
	atomic_store_explicit(&starting, 0, memory_order_relaxed);
	close_descriptors();
	mfs__guard_fork_parent();
}
