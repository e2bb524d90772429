/* SPDX-License-Identifier: MIT */
#include "team.h"

#include "interrupt.h"

#include <stdlib.h>
#include <string.h>

struct team_member {
	pthread_t thread;
	struct team *team;
	unsigned number;
};

/* A member's work is done, or was never begun. */
static void leave(struct team *team)
{
	room_leave(&team->run->room);
	/* The count is all that is told; what members have written is read after they are joined. */
	if (atomic_fetch_sub_explicit(&team->working, 1, memory_order_relaxed) == 1)
		interrupt_wake();
}

static void *member_main(void *argument)
{
	struct team_member *member = argument;
	struct team *team = member->team;

	team->work(team->run, member->number);
	leave(team);
	return NULL;
}

bool team_start(struct team *team, struct run *run, unsigned count, team_work *work)
{
	*team = (struct team){.run = run, .work = work};
	team->members = calloc(count, sizeof *team->members);
	if (!team->members)
		return run_fail_memory(run);
	room_begin(&run->room, count);
	atomic_store_explicit(&team->working, count, memory_order_relaxed);
	for (unsigned i = 0; i < count; i++) {
		struct team_member *member = &team->members[i];
		*member = (struct team_member){.team = team, .number = i};
		int error = pthread_create(&member->thread, NULL, member_main, member);
		if (error) {
			(void)run_fail(run, EXIT_FAILED, "cannot start thread %u of %u: %s", i + 1, count,
						   strerror(error));
			for (; i < count; i++)
				leave(team);
			return false;
		}
		team->count++;
	}
	return true;
}

bool team_is_working(struct team *team)
{
	return atomic_load_explicit(&team->working, memory_order_relaxed) > 0;
}

void team_join(struct team *team)
{
	for (unsigned i = 0; i < team->count; i++)
		(void)pthread_join(team->members[i].thread, NULL);
	free(team->members);
	team->members = NULL;
}
