/* SPDX-License-Identifier: MIT */
/* What an mfs_node stands for. */
#ifndef MFS_FS_NODE_H
#define MFS_FS_NODE_H

#include "tree/node.h"

#include <dmemfs/dmemfs.h>

struct mfs_node {
	/* Constant. */
	struct mfs *fs;
	struct mfs__node *node; /* pinned */
};

#endif
