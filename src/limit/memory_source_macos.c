/* SPDX-License-Identifier: MIT */
/* macOS: what the kernel counts of the system's pages. It knows no groups with limits. */
#include "limit/memory_source.h"

#include <mach/mach.h>

void mfs__memory_source_root(const char *folder)
{
	/* There are no files. */
	(void)folder;
}

bool mfs__memory_sample(struct mfs__memory_sample *sample)
{
	vm_statistics64_data_t pages = {0};
	mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
	vm_size_t page_size = 0;
	/* The name of a port, and a claim on it. */
	host_t host = mach_host_self();
	kern_return_t code = host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&pages, &count);

	if (code == KERN_SUCCESS)
		code = host_page_size(host, &page_size);
	(void)mach_port_deallocate(mach_task_self(), host);
	if (code == KERN_RESOURCE_SHORTAGE)
		return false;
	*sample = (struct mfs__memory_sample){.source = MFS_MEMORY_UNKNOWN};
	if (code != KERN_SUCCESS)
		return true;
	/* Inactive pages are what the kernel takes next. Speculative ones are among the free ones, and
	 * purgeable ones among the active and inactive: neither counts twice. */
	sample->available = ((uint64_t)pages.free_count + pages.inactive_count) * page_size;
	sample->source = MFS_MEMORY_SYSTEM;
	return true;
}

int mfs__memory_pressure_open(void)
{
	return -1;
}
