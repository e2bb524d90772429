/* SPDX-License-Identifier: MIT */
/* What the process chooses for the library's memory. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/reclaim.h"
#include "fs/filesystem.h"

#define DEFAULT_IDLE_BYTES    (UINT64_C(512) << 20)
#define DEFAULT_IDLE_TIME     INT64_C(1000)
#define DEFAULT_RETIRED_BYTES (UINT64_C(16) << 20)
/* Some 30 years, whose nanoseconds can be reckoned with. */
#define IDLE_TIME_MAX INT64_C(1000000000000)

static const char *fault_of(const mfs_memory_options *options)
{
	if (options->idle_time < MFS_IDLE_NONE)
		return "idle_time of mfs_memory_options";
	if (options->huge_pages < MFS_HUGE_PAGES_AUTO || options->huge_pages > MFS_HUGE_PAGES_NEVER)
		return "huge_pages of mfs_memory_options";
	if (options->retired_bytes > INT64_MAX)
		return "retired_bytes of mfs_memory_options";
	if (options->arenas < MFS_ARENAS_AUTO || options->arenas > MFS_ARENAS_NEVER)
		return "arenas of mfs_memory_options";
	return NULL;
}

/* Either none of both, or both as they were given. */
static void set_idle(const mfs_memory_options *options)
{
	uint64_t bytes = options->idle_bytes ? options->idle_bytes : DEFAULT_IDLE_BYTES;
	int64_t time = options->idle_time ? options->idle_time : DEFAULT_IDLE_TIME;

	if (time == MFS_IDLE_NONE) {
		bytes = 0;
		time = 0;
	}
	if (time > IDLE_TIME_MAX)
		time = IDLE_TIME_MAX;
	atomic_store_explicit(&mfs__memory.idle_bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&mfs__memory.idle_ns, time * MFS__NS_PER_MS, memory_order_relaxed);
}

int mfs_configure_memory(const mfs_memory_options *options)
{
	mfs_memory_options o;

	if (!mfs__options_copy(&o, sizeof o, sizeof o, options))
		return mfs__fail(MFS_EINVAL, "struct_size of mfs_memory_options");
	const char *fault = fault_of(&o);
	if (fault)
		return mfs__fail(MFS_EINVAL, fault);
	set_idle(&o);
	atomic_store_explicit(&mfs__memory.huge_pages, o.huge_pages == MFS_HUGE_PAGES_AUTO,
						  memory_order_relaxed);
	atomic_store_explicit(&mfs__memory.arenas, o.arenas == MFS_ARENAS_AUTO, memory_order_relaxed);
	atomic_store_explicit(&mfs__memory.retired_bytes,
						  o.retired_bytes ? o.retired_bytes : DEFAULT_RETIRED_BYTES,
						  memory_order_relaxed);
	mfs__guard_set_hook(o.available, o.user);
	mfs__arena_configure();
	mfs__reclaim_trim();
	return 0;
}
