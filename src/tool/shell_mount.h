/* SPDX-License-Identifier: MIT */
/* The shell's workspace at a mount point, where the tool was built with the component for it. */
#ifndef DMEMFS_TOOL_SHELL_MOUNT_H
#define DMEMFS_TOOL_SHELL_MOUNT_H

#include "shell_state.h"

/** The shell ends: give the mount point back, also if it is in use, which is told then. */
void shell_mount_end(struct shell *shell);

#endif
