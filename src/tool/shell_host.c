/* SPDX-License-Identifier: MIT */
/* Commands that copy between the workspace and the host. */
#include "contents.h"
#include "shell_commands.h"
#include "shell_interrupt.h"
#include "shell_output.h"
#include "shell_path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is copied between two looks for a signal. */
#define PIECE ((int64_t)8 << 20)

static void tell_left_out(const struct shell *shell, const char *command, uint64_t left_out)
{
	if (left_out)
		(void)shell_complain(shell, command, "left out: %" PRIu64, left_out);
}

/*
 * put
 */

/* Read from a pipe or the like, which may make the shell wait. */
static int64_t fill_from_stream(mfs_file *file, int fd)
{
	static char buffer[64 << 10];

	while (shell_wait_for_input(fd)) {
		ssize_t count = read(fd, buffer, sizeof buffer);
		if (count == 0)
			return 0;
		if (count < 0 && errno != EINTR && errno != EAGAIN)
			return mfs_set_last_error(MFS_EHOST, "reading: %s", strerror(errno));
		int64_t written = count > 0 ? mfs_write(file, buffer, (size_t)count) : 0;
		if (written < 0)
			return written;
	}
	return MFS_ECANCELED;
}

static int64_t fill_from_file(mfs_file *file, int fd)
{
	int64_t offset = 0;
	int64_t count;

	do {
		count = mfs_write_from_fd(file, offset, PIECE, fd);
		offset += count;
	} while (count > 0 && !shell_interrupted());
	return count > 0 ? MFS_ECANCELED : count;
}

/* The file comes by an import: whole, in the place of the one before, or not at all. */
static int64_t import_file(mfs *fs, const char *path, int fd, bool is_regular)
{
	mfs_import *import = NULL;
	mfs_file *file = NULL;

	int64_t code = mfs_import_begin(fs, &import);
	if (code < 0)
		return code;
	code = mfs_import_open(import, path, "wb", NULL, &file);
	if (code == 0) {
		code = is_regular ? fill_from_file(file, fd) : fill_from_stream(file, fd);
		(void)mfs_close(file);
	}
	if (code == 0)
		code = mfs_import_commit(import, 0);
	if (code < 0)
		(void)mfs_import_abort(import);
	return code;
}

static bool put_file(const struct shell *shell, const char *host, const char *path, bool is_regular)
{
	/* A pipe is not waited for here, but when it is read. */
	int fd = open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return shell_complain(shell, "put", "%s: %s", host, strerror(errno));
	int64_t code = import_file(shell->fs, path, fd, is_regular);
	(void)close(fd);
	if (code == MFS_ECANCELED)
		return shell_complain(shell, "put", "%s", mfs_strerror(MFS_ECANCELED));
	return code >= 0 || shell_complain_last(shell, "put");
}

bool shell_put(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	struct stat info;
	bool good = false;

	if (!shell_take_arguments(shell, argc, argv, "", 1, 2, &arguments))
		return false;
	const char *host = arguments.operands[0];
	if (stat(host, &info) < 0)
		return shell_complain(shell, "put", "%s: %s", host, strerror(errno));
	char *name = shell_argument_name(host);
	if (!name)
		return shell_complain(shell, "put", "out of memory");
	const char *to = arguments.count > 1 ? arguments.operands[1] : ".";
	/* Where a name is to be made that the library would take for two. */
	char *path = shell_destination(shell, "put", to, strchr(name, '\\') ? "" : name);
	if (path && strchr(name, '\\') && mfs_is_dir(shell->fs, path)) {
		(void)shell_complain(shell, "put", "%s: a name with a '\\' needs another one", host);
		free(path);
		path = NULL;
	}
	if (path && S_ISDIR(info.st_mode)) {
		uint64_t left_out = 0;
		good = contents_load(shell->fs, path, host, shell_goes_on, &left_out) == 0 ||
			   shell_complain_last(shell, "put");
		tell_left_out(shell, "put", left_out);
	} else if (path) {
		good = put_file(shell, host, path, S_ISREG(info.st_mode));
	}
	free(path);
	free(name);
	return good;
}

/*
 * get
 */

/* Where something called `name` goes, as shell_destination() does it for the workspace. */
static char *host_destination(const char *argument, const char *name)
{
	struct stat info;
	char *path = NULL;
	size_t length = strlen(argument);

	if (!*name || stat(argument, &info) < 0 || !S_ISDIR(info.st_mode))
		return strdup(argument);
	bool slash = length && argument[length - 1] == '/';
	return asprintf(&path, "%s%s%s", argument, slash ? "" : "/", name) < 0 ? NULL : path;
}

static bool get_file(const struct shell *shell, const char *path, const char *host)
{
	struct shell_output output;
	mfs_file *file = NULL;
	int64_t offset = 0;
	int64_t count;

	if (mfs_open(shell->fs, path, "rb", &file) < 0)
		return shell_complain_last(shell, "get");
	if (!shell_output_begin(&output, host)) {
		(void)shell_complain(shell, "get", "%s: %s", host, strerror(errno));
		(void)mfs_close(file);
		return false;
	}
	do {
		count = mfs_read_to_fd(file, offset, PIECE, output.fd);
		offset += count;
	} while (count > 0 && !shell_interrupted());
	bool good = count == 0;
	if (count < 0)
		(void)shell_complain_last(shell, "get");
	else if (count > 0)
		(void)shell_complain(shell, "get", "%s", mfs_strerror(MFS_ECANCELED));
	(void)mfs_close(file);
	if (!good)
		shell_output_drop(&output);
	else if (!shell_output_publish(&output))
		good = shell_complain(shell, "get", "%s: %s", host, strerror(errno));
	return good;
}

static bool on_progress(void *user, const mfs_progress *progress)
{
	(void)user;
	(void)progress;
	return !shell_interrupted();
}

static bool get_directory(const struct shell *shell, const char *path, const char *host)
{
	const mfs_transfer_options options = {
		.struct_size = sizeof options,
		.on_progress = on_progress,
	};

	return mfs_export_to_dir(shell->fs, path, host, &options) == 0 ||
		   shell_complain_last(shell, "get");
}

bool shell_get(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	mfs_info info;
	bool good = false;

	if (!shell_take_arguments(shell, argc, argv, "", 1, 2, &arguments))
		return false;
	char *path = shell_path(shell, "get", arguments.operands[0]);
	if (!path)
		return false;
	char *name = shell_argument_name(arguments.operands[0]);
	char *host = NULL;
	if (name)
		host = host_destination(arguments.count > 1 ? arguments.operands[1] : ".",
								*name ? shell_base_name(path) : "");
	if (!host)
		(void)shell_complain(shell, "get", "out of memory");
	else if (mfs_stat(shell->fs, path, &info) < 0)
		(void)shell_complain_last(shell, "get");
	else
		good = info.is_dir ? get_directory(shell, path, host) : get_file(shell, path, host);
	free(host);
	free(name);
	free(path);
	return good;
}

/*
 * load and save
 */

bool shell_load(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	uint64_t left_out = 0;

	if (!shell_take_arguments(shell, argc, argv, "", 1, 2, &arguments))
		return false;
	char *path = shell_path(shell, "load", arguments.count > 1 ? arguments.operands[1] : ".");
	if (!path)
		return false;
	int code = contents_load(shell->fs, path, arguments.operands[0], shell_goes_on, &left_out);
	free(path);
	tell_left_out(shell, "load", left_out);
	return code == 0 || shell_complain_last(shell, "load");
}

bool shell_save(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	if (!shell_take_arguments(shell, argc, argv, "", 1, 2, &arguments))
		return false;
	char *path = shell_path(shell, "save", arguments.count > 1 ? arguments.operands[1] : ".");
	if (!path)
		return false;
	int code = contents_save(shell->fs, path, arguments.operands[0], shell_goes_on);
	free(path);
	return code == 0 || shell_complain_last(shell, "save");
}
