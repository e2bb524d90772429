/* SPDX-License-Identifier: MIT */
/* Windows: free memory, and what the system may still promise to processes. */
#include "limit/memory_source.h"

#include <windows.h>

void mfs__memory_source_root(const char *folder)
{
	/* There are no files. */
	(void)folder;
}

bool mfs__memory_sample(struct mfs__memory_sample *sample)
{
	MEMORYSTATUSEX status = {.dwLength = sizeof status};

	*sample = (struct mfs__memory_sample){.source = MFS_MEMORY_UNKNOWN};
	if (!GlobalMemoryStatusEx(&status))
		return true;
	/* With little left to promise an allocation fails, however much memory is free. */
	sample->available = status.ullAvailPhys < status.ullAvailPageFile ? status.ullAvailPhys
																	  : status.ullAvailPageFile;
	sample->source = MFS_MEMORY_SYSTEM;
	return true;
}

int mfs__memory_pressure_open(void)
{
	return -1;
}
