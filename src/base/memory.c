/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include "base/clock.h"

struct mfs__memory mfs__memory = {
	.idle_bytes = UINT64_C(512) << 20,
	.idle_ns = MFS__NS_PER_S,
	.retired_bytes = UINT64_C(16) << 20,
	.huge_pages = true,
	.arenas = true,
};
