/* SPDX-License-Identifier: MIT */
/* Does a loop on epoll, by level or by edge, miss no completion and meet none twice? */
#include "many.h"

#include <sys/epoll.h>

static void run_loop(mfs *fs, uint32_t events, size_t batch)
{
	struct many *many = many_new(fs);
	struct epoll_event event = {.events = events};
	int loop = epoll_create1(EPOLL_CLOEXEC);

	assert_true(loop >= 0);
	assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, mfs_async_fd(many->context), &event), 0);
	while (many->completed < many->count) {
		many_begin(many);
		/* What is lost is a hang. */
		assert_int_equal(epoll_wait(loop, &event, 1, (int)HANG_MS), 1);
		(void)many_collect(many, batch);
	}
	/* Nothing is left to be told of. */
	assert_int_equal(epoll_wait(loop, &event, 1, 0), 0);
	assert_int_equal(close(loop), 0);
	many_check_and_free(many);
}

static void none_is_lost_by_level(void **state)
{
	run_loop(*state, EPOLLIN, 32);
}

static void none_is_lost_by_edge(void **state)
{
	run_loop(*state, EPOLLIN | EPOLLET, 32);
}

static void none_is_lost_one_at_a_time(void **state)
{
	run_loop(*state, EPOLLIN | EPOLLET, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(none_is_lost_by_level),
		WORKSPACE_TEST(none_is_lost_by_edge),
		WORKSPACE_TEST(none_is_lost_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
