/* SPDX-License-Identifier: MIT */
/*
 * Allocations of a component that fail when a test says so. The test is linked with FAILING, see
 * mfs_add_component_test(): the component's own calls of malloc, calloc, realloc, reallocarray,
 * strdup and strndup come here, those of all other libraries do not. So do the test's own: it
 * switches the failures off before it allocates.
 */
#ifndef DMEMFS_TESTS_FAILING_MALLOC_H
#define DMEMFS_TESTS_FAILING_MALLOC_H

#include <stdbool.h>

/** From now on, by any thread, `successes` allocations succeed and all that follow fail; -1: none
 * fails. */
void failing_malloc_after(long successes);

/** Has an allocation failed since the last failing_malloc_after()? */
bool failing_malloc_met(void);

#endif
