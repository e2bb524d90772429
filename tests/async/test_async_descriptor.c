/* SPDX-License-Identifier: MIT */
/* Is the descriptor readable exactly while there are completions to collect? */
#include "async_support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static bool is_readable(int fd)
{
	struct pollfd watched = {.fd = fd, .events = POLLIN};
	struct timeval none = {0, 0};
	fd_set set;
	int by_poll = poll(&watched, 1, 0);

	FD_ZERO(&set);
	FD_SET(fd, &set);
	assert_int_equal(select(fd + 1, &set, NULL, NULL, &none), by_poll);
	return by_poll == 1;
}

static void it_is_readable_while_there_are_completions(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	int fd = mfs_async_fd(context);

	assert_true(fd >= 0);
	assert_int_equal(mfs_async_fd(context), fd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_false(is_readable(fd));
	(void)complete_mkdir(context, fs, "/a");
	assert_true(is_readable(fd));
	(void)complete_mkdir(context, fs, "/b");
	assert_true(is_readable(fd));
	assert_code(next_completion(context).result, 0);
	assert_true(is_readable(fd));
	assert_code(next_completion(context).result, 0);
	assert_false(is_readable(fd));
	(void)complete_mkdir(context, fs, "/c");
	assert_true(is_readable(fd));
	assert_code(next_completion(context).result, 0);
	assert_false(is_readable(fd));
	free_context(context);
}

static void one_that_comes_late_tells_of_what_there_is(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);

	(void)complete_mkdir(context, fs, "/a");
	assert_true(is_readable(mfs_async_fd(context)));
	assert_code(next_completion(context).result, 0);
	assert_false(is_readable(mfs_async_fd(context)));
	free_context(context);
}

static void a_canceled_operation_makes_it_readable(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	int fd = mfs_async_fd(context);
	struct gate gate;

	gate_init(&gate);
	(void)occupy(context, &gate, 0);
	assert_code(mfs_async_cancel(context, accepted(mfs_async_mkdir(context, fs, "/a", 0, NULL))),
				0);
	assert_true(is_readable(fd));
	assert_code(next_completion(context).result, MFS_ECANCELED);
	assert_false(is_readable(fd));
	gate_open(&gate);
	assert_code(next_completion(context).result, 0);
	gate_destroy(&gate);
	free_context(context);
}

static void each_filling_of_an_empty_queue_is_an_edge(void **state)
{
	mfs *fs = *state;
	mfs_async *context = new_context(1, 1, 8);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int loop = epoll_create1(EPOLL_CLOEXEC);

	assert_true(loop >= 0);
	assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, mfs_async_fd(context), &event), 0);
	for (int i = 0; i < 3; i++) {
		char path[8];

		(void)snprintf(path, sizeof(path), "/%d", i);
		(void)complete_mkdir(context, fs, path);
		assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
		assert_int_equal(epoll_wait(loop, &event, 1, 0), 0);
		assert_code(next_completion(context).result, 0);
		assert_int_equal(epoll_wait(loop, &event, 1, 0), 0);
	}
	assert_int_equal(close(loop), 0);
	free_context(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(it_is_readable_while_there_are_completions),
		WORKSPACE_TEST(one_that_comes_late_tells_of_what_there_is),
		WORKSPACE_TEST(a_canceled_operation_makes_it_readable),
		WORKSPACE_TEST(each_filling_of_an_empty_queue_is_an_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
