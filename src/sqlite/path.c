/* SPDX-License-Identifier: MIT */
#include "path.h"

#include <dmemfs/dmemfs.h>

#include <string.h>

static int refuse(int code, const char *path)
{
	return mfs_set_last_error(code, "%.200s: %s", path, mfs_strerror(code));
}

int mfs__sqlite_normal_path(const char *path, char *out, size_t size)
{
	size_t used = 0;

	for (const char *at = path; *at;) {
		size_t length = strcspn(at, "/\\");
		if (length == 2 && at[0] == '.' && at[1] == '.') {
			if (!used)
				return refuse(MFS_EINVAL, path);
			while (out[--used] != '/')
				;
		} else if (length && !(length == 1 && at[0] == '.')) {
			if (used + 1 + length >= size)
				return refuse(MFS_ENAMETOOLONG, path);
			out[used++] = '/';
			memcpy(out + used, at, length);
			used += length;
		}
		at += length;
		at += strspn(at, "/\\");
	}
	if (!used) {
		if (size < 2)
			return refuse(MFS_ENAMETOOLONG, path);
		out[used++] = '/';
	}
	out[used] = '\0';
	return 0;
}
