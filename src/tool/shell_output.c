/* SPDX-License-Identifier: MIT */
#include "shell_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool shell_output_begin(struct shell_output *output, const char *path)
{
	struct stat info;

	*output = (struct shell_output){.fd = -1, .path = path};
	if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
		output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		return output->fd >= 0;
	}
	if (asprintf(&output->temporary, "%s.%ld.part", path, (long)getpid()) < 0) {
		output->temporary = NULL;
		errno = ENOMEM;
		return false;
	}
	output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (output->fd >= 0)
		return true;
	int saved = errno;
	free(output->temporary);
	errno = saved;
	return false;
}

bool shell_output_publish(struct shell_output *output)
{
	bool good = !output->temporary || fsync(output->fd) == 0;
	int saved = errno;

	if (close(output->fd) < 0 && good) {
		good = false;
		saved = errno;
	}
	output->fd = -1;
	if (good && output->temporary && rename(output->temporary, output->path) < 0) {
		good = false;
		saved = errno;
	}
	if (good) {
		free(output->temporary);
		output->temporary = NULL;
	} else {
		shell_output_drop(output);
	}
	errno = saved;
	return good;
}

void shell_output_drop(struct shell_output *output)
{
	if (output->fd >= 0)
		(void)close(output->fd);
	if (output->temporary)
		(void)unlink(output->temporary);
	free(output->temporary);
	output->temporary = NULL;
	output->fd = -1;
}
