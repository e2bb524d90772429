/* SPDX-License-Identifier: MIT */
#ifndef DMEMFS_TOOL_MOUNT_H
#define DMEMFS_TOOL_MOUNT_H

#include "exit_code.h"

/** The command `dmemfs mount`, whose name is the first argument. */
enum exit_code mount_main(int argc, char **argv);

#endif
