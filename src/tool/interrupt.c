/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

/* Atomic, any thread and signal handler. */
static _Atomic int caught;
/* Constant once signals are caught. */
static int wake_pipe[2] = {-1, -1};

void interrupt_wake(void)
{
	int saved = errno;

	/* A pipe that is full wakes as well. */
	ssize_t ignored = write(wake_pipe[1], "", 1);
	(void)ignored;
	errno = saved;
}

static void on_signal(int number)
{
	atomic_store_explicit(&caught, number, memory_order_relaxed);
	interrupt_wake();
}

bool interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction old;

	if (pipe(wake_pipe) < 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (fcntl(wake_pipe[i], F_SETFL, O_NONBLOCK) < 0 ||
			fcntl(wake_pipe[i], F_SETFD, FD_CLOEXEC) < 0)
			return false;
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof ending_signals / sizeof ending_signals[0]; i++)
		if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaction(ending_signals[i], &action, NULL);
	return true;
}

int interrupt_signal(void)
{
	return atomic_load_explicit(&caught, memory_order_relaxed);
}

int interrupt_take(void)
{
	return atomic_exchange_explicit(&caught, 0, memory_order_relaxed);
}

void interrupt_wait(int milliseconds)
{
	/* poll() leaves out what is negative. */
	interrupt_wait_for(-1, milliseconds);
}

void interrupt_wait_for(int fd, int milliseconds)
{
	struct pollfd waiting[2] = {
		{.fd = wake_pipe[0], .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};
	char drained[64];

	(void)poll(waiting, 2, milliseconds);
	while (read(wake_pipe[0], drained, sizeof drained) == (ssize_t)sizeof drained)
		continue;
}

void interrupt_die(void)
{
	int number = interrupt_signal();

	(void)signal(number, SIG_DFL);
	(void)raise(number);
	exit(128 + number);
}
