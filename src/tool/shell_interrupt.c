/* SPDX-License-Identifier: MIT */
#include "shell_interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Atomic: the signal handler writes them, in whichever thread it runs. */
static _Atomic int ending_signal;
static _Atomic bool line_interrupted;
/* What the handler writes to, so that no wait misses a signal that comes just before it. Constant.
 */
static int wake_pipe[2] = {-1, -1};

static void wake(void)
{
	int saved = errno;

	/* A pipe that is full wakes as well. */
	ssize_t ignored = write(wake_pipe[1], "", 1);
	(void)ignored;
	errno = saved;
}

static void on_ending(int number)
{
	if (atomic_exchange_explicit(&ending_signal, number, memory_order_relaxed)) {
		(void)signal(number, SIG_DFL);
		(void)raise(number);
	}
	wake();
}

static void on_interrupt(int number)
{
	(void)number;
	atomic_store_explicit(&line_interrupted, true, memory_order_relaxed);
	wake();
}

static void catch_one(int number, void (*handler)(int))
{
	/* Calls that wait are to end: no SA_RESTART. */
	struct sigaction action = {.sa_handler = handler};
	struct sigaction old;

	(void)sigemptyset(&action.sa_mask);
	if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		(void)sigaction(number, &action, NULL);
}

bool shell_catch_signals(bool interactive)
{
	if (pipe2(wake_pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		return false;
	catch_one(SIGHUP, on_ending);
	catch_one(SIGTERM, on_ending);
	catch_one(SIGPIPE, on_ending);
	catch_one(SIGINT, interactive ? on_interrupt : on_ending);
	return true;
}

bool shell_wait_for_input(int fd)
{
	struct pollfd waiting[] = {{.fd = fd, .events = POLLIN},
							   {.fd = wake_pipe[0], .events = POLLIN}};

	while (!shell_interrupted()) {
		char drained[64];
		int ready = poll(waiting, 2, -1);
		if (ready > 0 && waiting[1].revents)
			(void)!read(wake_pipe[0], drained, sizeof drained);
		else if (ready > 0 || (ready < 0 && errno != EINTR))
			return !shell_interrupted();
	}
	return false;
}

int shell_ending_signal(void)
{
	return atomic_load_explicit(&ending_signal, memory_order_relaxed);
}

bool shell_interrupted(void)
{
	return atomic_load_explicit(&line_interrupted, memory_order_relaxed) || shell_ending_signal();
}

bool shell_goes_on(void)
{
	return !shell_interrupted();
}

void shell_clear_interrupt(void)
{
	atomic_store_explicit(&line_interrupted, false, memory_order_relaxed);
}

void shell_die(void)
{
	int number = shell_ending_signal();

	(void)signal(number, SIG_DFL);
	(void)raise(number);
	exit(128 + number);
}
