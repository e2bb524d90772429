/* SPDX-License-Identifier: MIT */
#include "base/test_hook.h"

#ifdef MFS_TEST_HOOKS
_Atomic(mfs__yield_function *) mfs__yield_hook;
#else
/* A translation unit may not be empty. */
typedef int mfs__no_test_hooks;
#endif
