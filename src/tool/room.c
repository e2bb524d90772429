/* SPDX-License-Identifier: MIT */
#include "room.h"

bool room_init(struct room *room)
{
	*room = (struct room){0};
	if (pthread_mutex_init(&room->lock, NULL))
		return false;
	if (pthread_cond_init(&room->changed, NULL)) {
		(void)pthread_mutex_destroy(&room->lock);
		return false;
	}
	return true;
}

void room_destroy(struct room *room)
{
	(void)pthread_cond_destroy(&room->changed);
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
	/* Those who are left may all be waiting now, which they must notice. */
	if (room->waiting == room->workers)
		(void)pthread_cond_broadcast(&room->changed);
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
	if (room->waiting) {
		room->waiting = 0;
		(void)pthread_cond_broadcast(&room->changed);
	}
	(void)pthread_mutex_unlock(&room->lock);
}

enum room_answer room_wait(struct room *room, uint64_t seen, bool may_go_alone)
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
		if (room->dead_end) {
			answer = ROOM_DEAD_END;
			break;
		}
		if (room->waiting == room->workers) {
			if (may_go_alone) {
				room->waiting--;
				answer = ROOM_ALONE;
				break;
			}
			room->dead_end = true;
			(void)pthread_cond_broadcast(&room->changed);
			continue;
		}
		(void)pthread_cond_wait(&room->changed, &room->lock);
	}
	(void)pthread_mutex_unlock(&room->lock);
	return answer;
}

void room_close(struct room *room)
{
	(void)pthread_mutex_lock(&room->lock);
	room->closed = true;
	(void)pthread_cond_broadcast(&room->changed);
	(void)pthread_mutex_unlock(&room->lock);
}
