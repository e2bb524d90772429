/* SPDX-License-Identifier: MIT */
/*
 * Tests that work in a workspace, for programs that test with cmocka. An optional component: link
 * dmemfs::testing (pkg-config dmemfs-testing) and cmocka.
 *
 *     static void a_report_has_a_title(void **state)
 *     {
 *         mfs *fs = *state;
 *         ...
 *     }
 *
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = {
 *             mfs_unit_test(a_report_has_a_title),
 *             cmocka_unit_test(something_without_a_workspace),
 *         };
 *         return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 *
 * Each test gets an empty workspace of its own, with a quota of 1 MiB, and must not free it.
 *
 * A test that comes to its end may leave files and directories, but nothing that is open: with a
 * handle, an iterator, an import or a reservation left, it fails. So it does if something is still
 * charged to the quota once all that was left has been removed.
 *
 * When a test fails, its workspace is written to the host, to be looked at: to the directory
 *
 *     $MFS_TEST_EXPORT_DIR/<program>.<test>        or, where that is not set,
 *     dmemfs-failed/<program>.<test>               below the working directory,
 *
 * where each byte of a name that is no letter, digit, '.', '_' or '-' is a '_'. It is made only
 * then, and replaces what the last failure of this test left there. cmocka's print_error() says
 * where it is and what is missing in it: a file that is held for writing, say by a handle that is
 * still open, is left out, as nobody waits for it.
 *
 * The workspace of a failed test stays until the process ends, as threads of that test may still be
 * at work in it.
 *
 * What cmocka does not tell is not seen: a test that fails only because of a value left over from
 * will_return(), or memory left over from test_malloc(), counts as one that has come to its end. A
 * group's setup must leave its state NULL, as cmocka would give that to the tests instead.
 */
#ifndef DMEMFS_TESTING_H
#define DMEMFS_TESTING_H

#include "dmemfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Needs those above, and has no place for C++ itself. */
#include <cmocka.h>

/** A test, as the macros below tell cmocka of it. */
typedef struct mfs_test {
	const char *name;
	CMUnitTestFunction function;
	const mfs_options *options;
} mfs_test;

/**
 * An entry of an array of struct CMUnitTest: a test on a workspace of its own, which it finds in
 * *state. In a function, the array must not be static.
 */
#define mfs_unit_test(function) mfs__unit_test(#function, function, NULL)

/**
 * mfs_unit_test() on a workspace with these options, a `const mfs_options *` that stays valid until
 * the test has run. In C++ it must point to a static or global variable.
 */
#define mfs_unit_test_with(function, options) mfs__unit_test(#function, function, options)

/** What these macros make of cmocka's fixtures. Not to be called. */
MFS_API int mfs_test_setup(void **state);
MFS_API void mfs_test_run(void **state);
MFS_API int mfs_test_teardown(void **state);

/** Notes that the running test will be skipped, so that it does not count as failed. See skip(). */
MFS_API void mfs_test_will_skip(void);

/** cmocka's skip(), noted: a skipped test leaves nothing on the host. */
#undef skip
#define skip() (mfs_test_will_skip(), _skip(__FILE__, __LINE__))

#define mfs__unit_test(name, function, options)                                                    \
	{                                                                                              \
		name, mfs_test_run, mfs_test_setup, mfs_test_teardown,                                     \
			mfs__test_of(name, function, options)                                                  \
	}

#ifdef __cplusplus
#define mfs__test_of(name, function, options)                                                      \
	([]() -> mfs_test * {                                                                          \
		static mfs_test test = {name, function, options};                                          \
		return &test;                                                                              \
	}())
#else
#define mfs__test_of(name, function, options) (&(mfs_test){name, function, options})
#endif

#ifdef __cplusplus
}
#endif

#endif
