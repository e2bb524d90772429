/* SPDX-License-Identifier: MIT */
/*
 * Does every page have one user at a time, and does idle memory go back?
 *
 * The pool stands on malloc in sanitizer builds, where only the first two tests say anything.
 */
#include "support.h"

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/huge_block.h"
#include "base/page_pool.h"

enum { PAGES = 3000, THREADS = 4, ROUNDS = 20000, HELD = 100 };

static void fill(void *page, uint64_t value)
{
	uint64_t *words = page;

	for (size_t i = 0; i < MFS__PAGE_SIZE / sizeof *words; i++)
		words[i] = value + i;
}

static bool is_filled(const void *page, uint64_t value)
{
	const uint64_t *words = page;

	for (size_t i = 0; i < MFS__PAGE_SIZE / sizeof *words; i++)
		if (words[i] != value + i)
			return false;
	return true;
}

static void give_all_back(void)
{
	mfs__page_trim(true);
	mfs__huge_trim(true);
	assert_false(mfs__huge_has_idle());
	assert_false(mfs__page_has_idle());
}

static void pages_do_not_overlap(void **state)
{
	static void *pages[PAGES];
	long live = mfs__alloc_live();

	(void)state;
	for (size_t i = 0; i < PAGES; i++) {
		pages[i] = mfs__page_alloc();
		assert_non_null(pages[i]);
		fill(pages[i], i << 32);
	}
	assert_int_equal(mfs__alloc_live(), live + PAGES);
	for (size_t i = 0; i < PAGES; i++)
		assert_true(is_filled(pages[i], i << 32));
	for (size_t i = 0; i < PAGES; i++)
		mfs__page_free(pages[i]);
	assert_int_equal(mfs__alloc_live(), live);
	give_all_back();
}

/* Takes and gives back pages at random, each with what is written in it. */
static void *take_and_give(void *argument)
{
	uint64_t seed = (uint64_t)(uintptr_t)argument;
	void *pages[HELD] = {NULL};
	uint64_t values[HELD] = {0};

	for (unsigned i = 0; i < ROUNDS; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		size_t at = (seed >> 33) % HELD;
		if (pages[at]) {
			if (!is_filled(pages[at], values[at]))
				return (void *)1;
			mfs__page_free(pages[at]);
			pages[at] = NULL;
		} else {
			pages[at] = mfs__page_alloc();
			values[at] = seed;
			if (!pages[at])
				return (void *)2;
			fill(pages[at], seed);
		}
	}
	for (size_t at = 0; at < HELD; at++)
		if (pages[at])
			mfs__page_free(pages[at]);
	return NULL;
}

static void each_page_has_one_user_at_a_time(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *fault;
		assert_int_equal(pthread_join(threads[i], &fault), 0);
		assert_ptr_equal(fault, NULL);
	}
	give_all_back();
}

static void giving_idle_pages_back_leaves_those_in_use(void **state)
{
	static void *pages[PAGES];

	(void)state;
	for (size_t i = 0; i < PAGES; i++) {
		pages[i] = mfs__page_alloc();
		assert_non_null(pages[i]);
		fill(pages[i], i);
	}
	for (size_t i = 0; i < PAGES; i++)
		if (i % 100)
			mfs__page_free(pages[i]);
	mfs__page_trim(true);
	assert_false(mfs__page_has_idle());
	for (size_t i = 0; i < PAGES; i += 100)
		assert_true(is_filled(pages[i], i));
	/* What went back can be had again. */
	for (size_t i = 0; i < PAGES; i++) {
		if (i % 100) {
			pages[i] = mfs__page_alloc();
			assert_non_null(pages[i]);
			fill(pages[i], i);
		}
	}
	for (size_t i = 0; i < PAGES; i++) {
		assert_true(is_filled(pages[i], i));
		mfs__page_free(pages[i]);
	}
	give_all_back();
}

static void spans_without_users_become_huge_blocks_again(void **state)
{
	void *pages[700];

	(void)state;
	if (MFS__SANITIZED) {
		print_message("left out: pages come from malloc in sanitizer builds\n");
		skip();
	}
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		pages[i] = mfs__page_alloc();
		assert_non_null(pages[i]);
	}
	for (size_t i = 0; i < COUNT_OF(pages); i++)
		mfs__page_free(pages[i]);
	mfs__page_trim(true);
	assert_true(mfs__huge_has_idle());
	/* And are used again before the system is asked. */
	void *block = mfs__huge_alloc();
	assert_non_null(block);
	mfs__huge_free(block);
	give_all_back();
}

static void a_span_of_a_used_block_may_give_its_free_pages_back(void **state)
{
	(void)state;
	if (MFS__SANITIZED) {
		print_message("left out: pages come from malloc in sanitizer builds\n");
		skip();
	}
	void *block = mfs__huge_alloc();
	assert_non_null(block);
	memset(block, 0xff, MFS__HUGE_SIZE);
	mfs__huge_free(block);
	assert_false(mfs__page_has_idle());
	void *page = mfs__page_alloc();
	assert_non_null(page);
	/* One page in use, and the rest of 2 MiB that the block's last user has touched. */
	assert_true(mfs__page_has_idle());
	mfs__page_free(page);
	give_all_back();
}

static void without_memory_there_is_no_page(void **state)
{
	(void)state;
	mfs__alloc_fail_after(1);
	assert_null(mfs__page_alloc());
	assert_true(mfs__alloc_failed());
	mfs__alloc_fail_after(1);
	assert_null(mfs__huge_alloc());
	mfs__alloc_fail_after(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_do_not_overlap),
		cmocka_unit_test(each_page_has_one_user_at_a_time),
		cmocka_unit_test(giving_idle_pages_back_leaves_those_in_use),
		cmocka_unit_test(spans_without_users_become_huge_blocks_again),
		cmocka_unit_test(a_span_of_a_used_block_may_give_its_free_pages_back),
		cmocka_unit_test(without_memory_there_is_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
