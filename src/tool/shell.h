/* SPDX-License-Identifier: MIT */
#ifndef DMEMFS_TOOL_SHELL_H
#define DMEMFS_TOOL_SHELL_H

#include "exit_code.h"

/** The command `dmemfs shell`, whose name is the first argument. */
enum exit_code shell_main(int argc, char **argv);

#endif
