/* SPDX-License-Identifier: MIT */
#include "entry_path.h"

#include <dmemfs/dmemfs.h>

#include <stdbool.h>
#include <string.h>

static int refuse(struct mfs__archive_refusal *refusal, int code, const char *reason)
{
	refusal->code = code;
	refusal->reason = reason;
	return code;
}

/* Does a path begin with a drive's letter, as "C:/file" and "C:file" do? */
static bool names_drive(const char *path)
{
	unsigned char letter = (unsigned char)path[0] | 0x20;

	return letter >= 'a' && letter <= 'z' && path[1] == ':';
}

int mfs__archive_entry_path(char *out, size_t room, const char *path,
							struct mfs__archive_refusal *refusal)
{
	size_t used = 0;

	if (!path || path[0] == '\0')
		return refuse(refusal, MFS_EINVAL, "its path is empty, or cannot be read");
	if (path[0] == '/')
		return refuse(refusal, MFS_EINVAL, "its path is absolute");
	if (names_drive(path))
		return refuse(refusal, MFS_EINVAL, "its path names a drive");
	if (strchr(path, '\\'))
		return refuse(refusal, MFS_EINVAL, "its path has a '\\'");
	for (const char *at = path; *at != '\0';) {
		size_t length = strcspn(at, "/");
		if (length == 2 && at[0] == '.' && at[1] == '.')
			return refuse(refusal, MFS_EINVAL, "its path has a \"..\"");
		if (length > MFS_NAME_MAX)
			return refuse(refusal, MFS_ENAMETOOLONG, "a name in its path is too long");
		if (length > 1 || (length == 1 && at[0] != '.')) {
			if (room - used < length + 2)
				return refuse(refusal, MFS_ENAMETOOLONG, "its path is too long");
			out[used] = '/';
			memcpy(out + used + 1, at, length);
			used += 1 + length;
		}
		at += length;
		at += *at == '/';
	}
	out[used] = '\0';
	return 0;
}
