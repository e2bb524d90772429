/* SPDX-License-Identifier: MIT */
#include "room.h"

/* Milliseconds between two looks whether there is a dead end, or the run ends early. */
#define LOOK_INTERVAL 20

bool room_init(struct room *room)
{
	*room = (struct room){0};
	return pthread_mutex_init(&room->lock, NULL) == 0;
}

void room_destroy(struct room *room)
{
	(void)pthread_mutex_destroy(&room->lock);
}

void room_begin(struct room *room, unsigned workers)
{
	(void)pthread_mutex_lock(&room->lock);
	room->workers = workers;
	room->waiting = 0;
	(void)pthread_mutex_unlock(&room->lock);
}

void room_leave(struct room *room)
{
	(void)pthread_mutex_lock(&room->lock);
	room->workers--;
	(void)pthread_mutex_unlock(&room->lock);
}

uint64_t room_seen(struct room *room)
{
	(void)pthread_mutex_lock(&room->lock);
	uint64_t seen = room->given_back;
	(void)pthread_mutex_unlock(&room->lock);
	return seen;
}

void room_gave_back(struct room *room)
{
	(void)pthread_mutex_lock(&room->lock);
	room->given_back++;
	room->waiting = 0;
	(void)pthread_mutex_unlock(&room->lock);
}

enum room_answer room_wait(struct room *room, mfs *fs, uint64_t bytes, uint64_t seen,
						   bool may_go_alone)
{
	enum room_answer answer = ROOM_TRY_AGAIN;

	(void)pthread_mutex_lock(&room->lock);
	if (room->given_back == seen)
		room->waiting++;
	while (room->given_back == seen) {
		if (room->closed) {
			answer = ROOM_CLOSED;
			break;
		}
		if (!room->dead_end && room->waiting == room->workers && may_go_alone) {
			room->waiting--;
			answer = ROOM_ALONE;
			break;
		}
		if (room->dead_end || room->waiting == room->workers) {
			room->dead_end = true;
			answer = ROOM_DEAD_END;
			break;
		}
		(void)pthread_mutex_unlock(&room->lock);
		bool enough = mfs_wait_for_space(fs, bytes, LOOK_INTERVAL) == 0;
		(void)pthread_mutex_lock(&room->lock);
		if (enough && room->given_back == seen) {
			room->waiting--;
			break;
		}
	}
	(void)pthread_mutex_unlock(&room->lock);
	return answer;
}

void room_close(struct room *room)
{
	(void)pthread_mutex_lock(&room->lock);
	room->closed = true;
	(void)pthread_mutex_unlock(&room->lock);
}
