/* SPDX-License-Identifier: MIT */
/*
 * A server on a bare epoll loop that keeps what its clients send in a workspace, and never blocks.
 *
 *   - A request is a name and a text. It takes an open, then a write and a close, which keep their
 *     order, and is answered when the close has completed.
 *   - One client holds a file open itself. The request for that file waits for its lock in a thread
 *     of the context, while the loop answers the others and its timer goes on.
 *
 * One does so where a single thread serves many connections, and must not stop for one of them.
 */
#include <dmemfs/async.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { TICK_NS = 2000000, TICKS = 5 };

struct request {
	char path[16];
	char text[32];
};

static mfs *fs;
static mfs_async *context;
static int sockets[2]; /* the server's end and the client's */
static _Atomic int ticks;

static void check(const char *what, bool holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

static int64_t need(int64_t result)
{
	check(mfs_last_error(), result >= 0);
	return result;
}

/* The client holds one of the files that it asks to be written, and gets that answer last. */
static void *run_client(void *unused)
{
	static const struct request requests[] = {{"/held", "late"}, {"/a", "one"}, {"/b", "two"}};
	char answer[16] = "";
	mfs_file *held = NULL;

	need(mfs_open(fs, "/held", "wb", &held));
	for (int i = 0; i < 3; i++)
		check("send", send(sockets[1], &requests[i], sizeof requests[i], 0) > 0);
	for (int i = 0; i < 3; i++) {
		if (i == 2) {
			/* A loop that stood still would not come to this. */
			while (atomic_load(&ticks) < TICKS)
				sched_yield();
			printf("the loop ticks on while /held is held\n");
			need(mfs_close(held));
		}
		check("no answer", recv(sockets[1], answer, sizeof answer, 0) > 0);
		check("answered out of order", (strcmp(answer, "/held") == 0) == (i == 2));
		printf("written: %s\n", answer);
	}
	close(sockets[1]);
	return unused;
}

/* A request has come. Returns false when there are no more. */
static bool on_request(void)
{
	struct request *request = calloc(1, sizeof *request);

	check("no memory", request != NULL);
	bool came = recv(sockets[0], request, sizeof *request, 0) > 0;
	if (came)
		need(mfs_async_open(context, fs, request->path, "wb", NULL, request));
	else
		free(request);
	return came;
}

/* An operation has completed: an open, a write, which has no request, or a close. */
static void on_completion(const mfs_async_completion *done)
{
	struct request *request = done->user;
	mfs_file *file = done->output.file;

	check(done->message, done->result >= 0);
	if (file != NULL) {
		need(mfs_async_write(context, file, request->text, strlen(request->text), NULL));
		need(mfs_async_close(context, file, request));
	} else if (request != NULL) {
		check("send", send(sockets[0], request->path, sizeof request->path, 0) > 0);
		free(request);
	}
}

static void run_loop(void)
{
	const struct itimerspec tick = {{0, TICK_NS}, {0, TICK_NS}};
	int loop = epoll_create1(0);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	const int watched[] = {timer, sockets[0], (int)need(mfs_async_fd(context))};

	check("timer", timerfd_settime(timer, 0, &tick, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = watched[i]};
		check("epoll_ctl", epoll_ctl(loop, EPOLL_CTL_ADD, watched[i], &event) == 0);
	}
	for (bool more = true; more;) {
		struct epoll_event event;
		mfs_async_completion done[8];
		uint64_t expired;

		check("epoll_wait", epoll_wait(loop, &event, 1, -1) == 1);
		if (event.data.fd == timer && read(timer, &expired, sizeof expired) > 0)
			atomic_fetch_add(&ticks, (int)expired);
		if (event.data.fd == sockets[0])
			more = on_request();
		/* None, if it was one of these two. */
		int64_t count = need(mfs_async_collect(context, done, 8));
		for (int64_t i = 0; i < count; i++)
			on_completion(&done[i]);
	}
	close(timer);
	close(loop);
}

int main(void)
{
	pthread_t client;

	need(mfs_new(NULL, &fs));
	need(mfs_async_new(NULL, &context));
	check("sockets", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
	check("no thread", pthread_create(&client, NULL, run_client, NULL) == 0);
	run_loop();
	check("no join", pthread_join(client, NULL) == 0);
	check("what was sent is not there", need(mfs_get_size(fs, "/held")) == (int64_t)strlen("late"));
	need(mfs_async_free(context));
	need(mfs_free(fs));
	return close(sockets[0]);
}
