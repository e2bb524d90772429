/* SPDX-License-Identifier: MIT */
/* A file's bytes in memory of the host's that nobody can change: a sealed memfd. */
#include "base/error.h"
#include "fs/snapshot.h"
#include "host/descriptor.h"
#include "host/held_file.h"
#include "tree/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALL "export_fd"

#ifdef F_ADD_SEALS

/* The longest name that a memfd may have. */
#define NAME_LENGTH 249

/* The file's name, or as much of it as fits; for people who look at a process. */
static int name_of(const char *text, char name[NAME_LENGTH + 1])
{
	struct mfs__path path;
	struct mfs__name last = {.length = 0};

	int code = mfs__path_begin(&path, text);
	if (code)
		return code;
	code = mfs__path_settle(&path);
	struct mfs__path_cursor cursor = mfs__path_start(&path);
	while (!code && mfs__path_next(&cursor, &last) == MFS__PATH_NAME)
		continue;
	size_t length = last.length < NAME_LENGTH ? last.length : NAME_LENGTH;
	if (!code && length)
		memcpy(name, last.text, length);
	name[length] = '\0';
	mfs__path_end(&path);
	return code;
}

/* Hold what a file holds now, without keeping its lock. Returns the size, or a code, noted. */
static int64_t hold_file(struct mfs__held_snapshot *snapshot, mfs *fs, const char *path)
{
	struct mfs__held_file held;

	mfs__held_begin(&held);
	int64_t result = mfs__held_open(&held, fs, path, 0);
	if (!result) {
		result = mfs__snapshot_hold(snapshot, held.file, 0, INT64_MAX);
		mfs__held_close(&held);
	}
	mfs__held_end(&held);
	return result;
}

/* Returns 0 or an errno. */
static int fill(int fd, const struct mfs__snapshot *snapshot, uint64_t size)
{
	int error;

	/* The size comes first: for the host to choose its pages by. */
	if (ftruncate(fd, (off_t)size))
		return errno;
	(void)mfs__snapshot_write(snapshot, 0, size, fd, &error);
	if (error)
		return error;
	if (lseek(fd, 0, SEEK_SET) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return errno;
	return 0;
}

int mfs_export_fd(mfs *fs, const char *path)
{
	struct mfs__held_snapshot snapshot;
	char name[NAME_LENGTH + 1];

	if (!fs || !path)
		return mfs__fail_path(MFS_EINVAL, CALL, path);
	int code = name_of(path, name);
	if (code)
		return mfs__fail_path(code, CALL, path);
	int64_t size = hold_file(&snapshot, fs, path);
	if (size < 0)
		return mfs__fail_path((int)size, CALL, path);
	int error = 0;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		error = errno;
	else
		error = fill(fd, &snapshot.snapshot, (uint64_t)size);
	mfs__snapshot_release(&snapshot);
	if (!error)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	code = mfs__fail_host(error, CALL, path);
	errno = error;
	return code;
}

#else

int mfs_export_fd(mfs *fs, const char *path)
{
	if (!fs || !path)
		return mfs__fail_path(MFS_EINVAL, CALL, path);
	return mfs__fail_path(MFS_ENOTSUP, CALL, path);
}

#endif
