/* SPDX-License-Identifier: MIT */
#include "contents.h"

#ifdef TOOL_HAS_ARCHIVE
#include <dmemfs/archive.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a transfer tells, and whom it asks. */
struct transfer {
	bool (*go_on)(void);
	uint64_t left_out;
};

/* Notes what the host refused, for mfs_last_error(). Keeps errno. */
static int host_error(const char *what, const char *host)
{
	int saved = errno;

	(void)mfs_set_last_error(MFS_EHOST, "%s %s: %s", what, host, strerror(saved));
	errno = saved;
	return MFS_EHOST;
}

static bool is_directory(const char *host)
{
	struct stat status;

	return stat(host, &status) == 0 && S_ISDIR(status.st_mode);
}

/*
 * Directories
 */

static bool on_transfer(void *user, const mfs_progress *progress)
{
	struct transfer *transfer = user;

	transfer->left_out = progress->skipped;
	return !transfer->go_on || transfer->go_on();
}

static mfs_transfer_options directory_options(struct transfer *transfer)
{
	return (mfs_transfer_options){
		.struct_size = sizeof(mfs_transfer_options),
		.on_progress = on_transfer,
		.user = transfer,
	};
}

/*
 * Archives
 */

/* What the ends of names say of archives. */
static const struct archive_name {
	const char *end;
	int format; /* MFS_ARCHIVE_... */
} archive_names[] = {
#ifdef TOOL_HAS_ARCHIVE
	{".tar", MFS_ARCHIVE_TAR},       {".tar.gz", MFS_ARCHIVE_TAR_GZIP},
	{".tgz", MFS_ARCHIVE_TAR_GZIP},  {".tar.zst", MFS_ARCHIVE_TAR_ZSTD},
	{".tzst", MFS_ARCHIVE_TAR_ZSTD}, {".zip", MFS_ARCHIVE_ZIP},
#else
	{".tar", 0}, {".tar.gz", 0}, {".tgz", 0}, {".tar.zst", 0}, {".tzst", 0}, {".zip", 0},
#endif
};

/* The kind of archive that a name is for, or NULL: a directory. */
static const struct archive_name *find_archive_name(const char *host)
{
	size_t length = strlen(host);

	if (is_directory(host))
		return NULL;
	for (size_t i = 0; i < sizeof archive_names / sizeof archive_names[0]; i++) {
		size_t end = strlen(archive_names[i].end);
		if (length > end && strcmp(host + length - end, archive_names[i].end) == 0)
			return &archive_names[i];
	}
	return NULL;
}

#ifdef TOOL_HAS_ARCHIVE

static bool on_archive(void *user, const mfs_archive_progress *progress)
{
	struct transfer *transfer = user;

	transfer->left_out = progress->unsafe;
	return !transfer->go_on || transfer->go_on();
}

static int load_archive(mfs *fs, const char *path, const char *host, struct transfer *transfer)
{
	mfs_archive_source source = mfs_archive_from_host(host);
	mfs_archive_options options = {
		.struct_size = sizeof options,
		.on_conflict = MFS_ARCHIVE_OVERWRITE,
		.on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE,
		.on_progress = on_archive,
		.user = transfer,
	};
	int64_t files = mfs_expand_archive(fs, path, &source, &options);

	return files < 0 ? (int)files : 0;
}

/* Writes the archive to a descriptor, and sees that it is on the disk. */
static int write_archive(mfs *fs, const char *path, const char *host, int fd,
						 struct transfer *transfer, int format)
{
	mfs_archive_create_options options = {
		.struct_size = sizeof options,
		.format = format,
		.on_progress = on_archive,
		.user = transfer,
	};
	int64_t files = mfs_create_archive(fs, path, fd, &options);

	if (files < 0)
		return (int)files;
	/* A descriptor that cannot be made to reach a disk, such as a pipe's, gives EINVAL. */
	if (fsync(fd) < 0 && errno != EINVAL)
		return host_error("cannot write", host);
	return 0;
}

/*
 * Finds out which file an archive replaces, behind links, or is to be, and the name that it has
 * until it is complete. Returns 0 or MFS_EHOST.
 */
static int choose_names(const char *host, char target[PATH_MAX], char part[PATH_MAX])
{
	struct stat status;

	if (!realpath(host, target)) {
		if (errno != ENOENT)
			return host_error("cannot write", host);
		(void)snprintf(target, PATH_MAX, "%s", host);
	} else if (stat(target, &status) == 0 && !S_ISREG(status.st_mode)) {
		/* A device, say. */
		errno = EINVAL;
		return host_error("cannot replace", host);
	}
	if (snprintf(part, PATH_MAX, "%s.%ld.part", target, (long)getpid()) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return host_error("cannot write", host);
	}
	return 0;
}

static int save_archive(mfs *fs, const char *path, const char *host, struct transfer *transfer,
						int format)
{
	char target[PATH_MAX];
	char part[PATH_MAX];
	int code = choose_names(host, target, part);

	if (code != 0)
		return code;
	int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return host_error("cannot create", part);
	code = write_archive(fs, path, part, fd, transfer, format);
	if (close(fd) < 0 && code == 0)
		code = host_error("cannot write", part);
	if (code == 0 && rename(part, target) < 0)
		code = host_error("cannot create", target);
	if (code != 0)
		(void)unlink(part);
	return code;
}

#else

static int no_archives(const char *host)
{
	return mfs_set_last_error(MFS_ENOTSUP, "%s: this dmemfs was built without archives", host);
}

static int load_archive(mfs *fs, const char *path, const char *host, struct transfer *transfer)
{
	(void)fs;
	(void)path;
	(void)transfer;
	return no_archives(host);
}

static int save_archive(mfs *fs, const char *path, const char *host, struct transfer *transfer,
						int format)
{
	(void)format;
	return load_archive(fs, path, host, transfer);
}

#endif

/*
 * Either
 */

int contents_load(mfs *fs, const char *path, const char *host, bool (*go_on)(void),
				  uint64_t *left_out)
{
	struct transfer transfer = {.go_on = go_on};
	struct stat status;
	int code;

	if (stat(host, &status) < 0)
		return host_error("cannot read", host);
	if (S_ISDIR(status.st_mode)) {
		mfs_transfer_options options = directory_options(&transfer);
		code = mfs_import_from_dir(fs, host, path, &options);
	} else {
		code = load_archive(fs, path, host, &transfer);
	}
	if (code == 0 && left_out)
		*left_out = transfer.left_out;
	return code;
}

int contents_save(mfs *fs, const char *path, const char *host, bool (*go_on)(void))
{
	struct transfer transfer = {.go_on = go_on};
	const struct archive_name *name = find_archive_name(host);

	if (name)
		return save_archive(fs, path, host, &transfer, name->format);
	mfs_transfer_options options = directory_options(&transfer);
	return mfs_export_to_dir(fs, path, host, &options);
}

int contents_can_save(const char *host)
{
	char folder[PATH_MAX];
	const char *slash;
	size_t length = strlen(host);

#ifndef TOOL_HAS_ARCHIVE
	if (find_archive_name(host))
		return no_archives(host);
#endif
	if (is_directory(host))
		return access(host, W_OK | X_OK) < 0 ? host_error("cannot write to", host) : 0;
	if (!find_archive_name(host) && access(host, F_OK) == 0) {
		errno = ENOTDIR;
		return host_error("cannot write to", host);
	}
	while (length > 1 && host[length - 1] == '/')
		length--;
	slash = memrchr(host, '/', length);
	if (!slash) {
		(void)snprintf(folder, sizeof folder, ".");
	} else if (snprintf(folder, sizeof folder, "%.*s", (int)(slash - host + 1), host) >=
			   (int)sizeof folder) {
		errno = ENAMETOOLONG;
		return host_error("cannot write to", host);
	}
	return access(folder, W_OK | X_OK) < 0 ? host_error("cannot write to", folder) : 0;
}
