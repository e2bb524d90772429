/* SPDX-License-Identifier: MIT */
#ifndef DMEMFS_TOOL_EXIT_CODE_H
#define DMEMFS_TOOL_EXIT_CODE_H

/** What the process exits with. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_LIMIT = 3, /* the quota, or the limit of files */
};

#endif
