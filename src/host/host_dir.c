/* SPDX-License-Identifier: MIT */
#include "host/host_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a thread has open besides directories: a file, and one directory more for a moment. */
#define DESCRIPTORS_BESIDES 2

void mfs__host_dir_begin(struct mfs__host_dir *dir, int top, bool make, uint32_t limit)
{
	*dir = (struct mfs__host_dir){
		.top = top,
		.flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | (make ? O_PATH : O_RDONLY),
		.make = make,
		.limit = limit,
	};
}

/* The descriptor of the deepest level that is open, or of the top. */
static int deepest_fd(const struct mfs__host_dir *dir)
{
	return dir->open ? dir->levels[dir->open - 1].fd : dir->top;
}

static uint32_t deepest_level(const struct mfs__host_dir *dir)
{
	return dir->open ? dir->levels[dir->open - 1].level : 0;
}

static void close_level(struct mfs__host_dir *dir, uint32_t index)
{
	(void)close(dir->levels[index].fd);
	dir->open--;
	memmove(&dir->levels[index], &dir->levels[index + 1],
			(dir->open - index) * sizeof dir->levels[0]);
}

void mfs__host_dir_end(struct mfs__host_dir *dir)
{
	while (dir->open)
		close_level(dir, dir->open - 1);
	mfs__text_free(&dir->path);
}

bool mfs__host_dir_spare(struct mfs__host_dir *dir)
{
	if (dir->open < 2)
		return false;
	close_level(dir, 0);
	return true;
}

/* Close what need not be kept at this depth, and make room for one more. */
static void thin_out(struct mfs__host_dir *dir)
{
	for (uint32_t i = 0; i < dir->open;) {
		uint32_t level = dir->levels[i].level;
		if (dir->depth - level > UINT32_C(2) << __builtin_ctz(level))
			close_level(dir, i);
		else
			i++;
	}
	if (dir->open == dir->limit)
		(void)mfs__host_dir_spare(dir);
}

/* Forget the last name of the path. */
static void climb(struct mfs__host_dir *dir)
{
	const char *slash = memrchr(dir->path.bytes, '/', dir->path.length);

	mfs__text_cut(&dir->path, slash ? (size_t)(slash - dir->path.bytes) : 0);
	dir->depth--;
}

/* How many bytes are the same in both, at their start. */
static size_t common_bytes(const char *a, const char *b, size_t length)
{
	const size_t block = 64;
	size_t same = 0;

	while (length - same >= block && memcmp(a + same, b + same, block) == 0)
		same += block;
	while (same < length && a[same] == b[same])
		same++;
	return same;
}

/* Go up to the deepest directory on the way to `path` that is open. */
static void climb_to_way(struct mfs__host_dir *dir, const char *path, size_t length)
{
	size_t least = dir->path.length < length ? dir->path.length : length;
	size_t same = least ? common_bytes(dir->path.bytes, path, least) : 0;

	while (dir->path.length > same ||
		   (dir->path.length && dir->path.length < length && path[dir->path.length] != '/'))
		climb(dir);
	while (deepest_level(dir) > dir->depth)
		close_level(dir, dir->open - 1);
	while (dir->depth > deepest_level(dir))
		climb(dir);
}

/* Open, or make and open, a directory. Returns a descriptor or -1 with errno. */
static int open_at(const struct mfs__host_dir *dir, int parent, const char *name, bool is_last)
{
	/* The last one is most likely missing, those above it are not. */
	if (dir->make && is_last && mkdirat(parent, name, 0777) && errno != EEXIST)
		return -1;
	int fd = openat(parent, name, dir->flags);
	if (fd >= 0 || errno != ENOENT || !dir->make || is_last)
		return fd;
	if (mkdirat(parent, name, 0777) && errno != EEXIST)
		return -1;
	return openat(parent, name, dir->flags);
}

/* Go one level down. Returns 0 or -errno. */
static int step(struct mfs__host_dir *dir, const char *name, size_t length, bool is_last)
{
	char terminated[NAME_MAX + 1];

	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	if (!mfs__text_reserve(&dir->path, dir->path.length + 1 + length))
		return -ENOMEM;
	memcpy(terminated, name, length);
	terminated[length] = '\0';
	int fd;
	do {
		fd = open_at(dir, deepest_fd(dir), terminated, is_last);
	} while (fd < 0 && (errno == EINTR ||
						((errno == EMFILE || errno == ENFILE) && mfs__host_dir_spare(dir))));
	if (fd < 0)
		return -errno;
	thin_out(dir);
	dir->depth++;
	dir->levels[dir->open++] = (struct mfs__host_level){dir->depth, fd};
	(void)mfs__text_append_name(&dir->path, name, length); /* for which there is room */
	return 0;
}

int mfs__host_dir_go(struct mfs__host_dir *dir, const char *path, size_t length, size_t *failed)
{
	climb_to_way(dir, path, length);
	for (size_t at = dir->path.length; at < length;) {
		const char *name = path + at + (at > 0);
		const char *slash = memchr(name, '/', (size_t)(path + length - name));
		const char *end = slash ? slash : path + length;
		int code = step(dir, name, (size_t)(end - name), !slash);
		if (code) {
			if (failed)
				*failed = (size_t)(end - path);
			return code;
		}
		at = (size_t)(end - path);
	}
	return deepest_fd(dir);
}

unsigned mfs__host_dir_share(int top, unsigned wanted, uint32_t *limit)
{
	const rlim_t least = MFS__HOST_DIRS_LEAST + DESCRIPTORS_BESIDES;
	struct rlimit files;

	*limit = MFS__HOST_DIRS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur == RLIM_INFINITY)
		return wanted;
	/* The lowest free number was given to the top: about so many are free. */
	rlim_t half = files.rlim_cur > (rlim_t)top ? (files.rlim_cur - (rlim_t)top) / 2 : 0;
	unsigned threads = half / least < wanted ? (unsigned)(half / least) : wanted;
	if (threads == 0)
		threads = 1;
	rlim_t each = half / threads;
	if (each < least)
		each = least;
	if (each - DESCRIPTORS_BESIDES < MFS__HOST_DIRS_MAX)
		*limit = (uint32_t)(each - DESCRIPTORS_BESIDES);
	return threads;
}

bool mfs__host_is_other(int error)
{
	/* ENXIO: a socket, or a device without a driver. */
	return error == ELOOP || error == ENOTDIR || error == ENXIO;
}
