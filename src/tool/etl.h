/* SPDX-License-Identifier: MIT */
#ifndef DMEMFS_TOOL_ETL_H
#define DMEMFS_TOOL_ETL_H

#include "exit_code.h"

/** The command `dmemfs etl`, whose name is the first argument. */
enum exit_code etl_main(int argc, char **argv);

#endif
