/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mfs__archive_fault(struct mfs__archive_fault *fault, int code, const char *format, ...)
{
	va_list arguments;

	if (fault->code)
		return fault->code;
	fault->code = code;
	va_start(arguments, format);
	(void)vsnprintf(fault->reason, sizeof fault->reason, format, arguments);
	va_end(arguments);
	return code;
}

int mfs__archive_fault_host(struct mfs__archive_fault *fault, int error)
{
	char buffer[80];

	if (error == ENOMEM)
		return mfs__archive_fault(fault, MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
	return mfs__archive_fault(fault, MFS_EHOST, "%s: %s", mfs_strerror(MFS_EHOST),
							  strerror_r(error, buffer, sizeof buffer));
}
