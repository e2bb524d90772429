/* SPDX-License-Identifier: MIT */
/* Does a loop of libuv that polls the descriptor miss no completion and meet none twice? */
#include "many.h"

#include <uv.h>

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct many *many = poll->data;

	assert_int_equal(status, 0);
	assert_int_equal(events, UV_READABLE);
	/* Of a level: as many as it would be after another callback. */
	assert_true(many_collect(many, 16) > 0);
	many_begin(many);
	if (many->completed == many->count) {
		assert_int_equal(uv_poll_stop(poll), 0);
		uv_close((uv_handle_t *)poll, NULL);
	}
}

static void none_is_lost(void **state)
{
	struct many *many = many_new(*state);
	uv_loop_t loop;
	uv_poll_t poll;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_poll_init(&loop, &poll, mfs_async_fd(many->context)), 0);
	poll.data = many;
	assert_int_equal(uv_poll_start(&poll, UV_READABLE, on_readable), 0);
	many_begin(many);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	many_check_and_free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
