/* SPDX-License-Identifier: MIT */
/* Stage 0: find the files of the input. */
#include "stages.h"

#include <stdlib.h>

static bool go_on(void *context)
{
	return !run_is_stopping(context);
}

void scan_work(struct run *run, unsigned worker)
{
	char *failed;

	(void)worker;
	switch (host_tree_scan(&run->tree, run->input, go_on, run, &failed)) {
	case HOST_TREE_UNREADABLE:
		(void)run_fail_host(run, failed);
		free(failed);
		break;
	case HOST_TREE_NO_MEMORY:
		(void)run_fail_memory(run);
		break;
	case HOST_TREE_STOPPED:
	case HOST_TREE_DONE:
		break;
	}
}
