/* SPDX-License-Identifier: MIT */
#include "shell_traversal.h"

#include <string.h>

/* A directory that was entered. */
struct shell_frame {
	mfs_dir *dir;
	mfs_entry next; /* the entry that comes next, if there is one */
	bool has_next;
	size_t length; /* of its path */
};

static size_t frame_count(const struct shell_traversal *traversal)
{
	return traversal->frames.length / sizeof(struct shell_frame);
}

static struct shell_frame *top_frame(struct shell_traversal *traversal)
{
	return (struct shell_frame *)(void *)traversal->frames.data + frame_count(traversal) - 1;
}

static void pop_frame(struct shell_traversal *traversal)
{
	(void)mfs_closedir(top_frame(traversal)->dir);
	traversal->frames.length -= sizeof(struct shell_frame);
}

static int no_memory(void)
{
	return mfs_set_last_error(MFS_ENOMEM, "%s", mfs_strerror(MFS_ENOMEM));
}

/* Enter the directory of the path. */
static int push_frame(struct shell_traversal *traversal)
{
	struct shell_frame frame = {.length = traversal->path.length};

	int code = mfs_opendir(traversal->fs, (const char *)traversal->path.data, &frame.dir);
	if (code)
		return code;
	frame.has_next = mfs_readdir(frame.dir, &frame.next) > 0;
	if (bytes_append(&traversal->frames, &frame, sizeof frame))
		return 0;
	(void)mfs_closedir(frame.dir);
	return no_memory();
}

/* Keep `length` bytes of the path, and append a name. Returns false without memory. */
static bool set_path(struct shell_traversal *traversal, size_t length, const char *name)
{
	struct bytes *path = &traversal->path;

	path->length = length;
	if (*name && length > 1 && !bytes_append(path, "/", 1))
		return false;
	if (!bytes_append(path, name, strlen(name) + 1))
		return false;
	path->length--;
	return true;
}

int shell_traversal_begin(struct shell_traversal *traversal, mfs *fs, const char *path)
{
	*traversal = (struct shell_traversal){.fs = fs};
	int code = set_path(traversal, 0, path) ? push_frame(traversal) : no_memory();
	if (code)
		shell_traversal_end(traversal);
	return code;
}

/*
 * Go on to the next entry of the frame on top. Returns false if it is a directory that was removed,
 * or became a file, since its name was read.
 */
static bool take_entry(struct shell_traversal *traversal, enum shell_step *step)
{
	struct shell_frame *frame = top_frame(traversal);
	mfs_entry entry = frame->next;

	frame->has_next = mfs_readdir(frame->dir, &frame->next) > 0;
	traversal->name = entry.name;
	traversal->info = entry.info;
	traversal->is_last = !frame->has_next;
	traversal->depth = frame_count(traversal);
	int code = set_path(traversal, frame->length, entry.name) ? 0 : no_memory();
	*step = SHELL_STEP_FILE;
	if (code == 0 && entry.info.is_dir) {
		code = push_frame(traversal);
		*step = SHELL_STEP_ENTER;
	}
	if (code)
		*step = SHELL_STEP_FAILED;
	return code != MFS_ENOENT && code != MFS_ENOTDIR;
}

enum shell_step shell_traversal_next(struct shell_traversal *traversal)
{
	if (traversal->leaving)
		pop_frame(traversal);
	traversal->leaving = false;
	while (frame_count(traversal)) {
		const struct shell_frame *frame = top_frame(traversal);
		enum shell_step step;
		if (!frame->has_next) {
			traversal->leaving = true;
			traversal->depth = frame_count(traversal) - 1;
			traversal->path.length = frame->length;
			traversal->path.data[frame->length] = '\0';
			return SHELL_STEP_LEAVE;
		}
		if (take_entry(traversal, &step))
			return step;
	}
	return SHELL_STEP_END;
}

void shell_traversal_skip(struct shell_traversal *traversal)
{
	pop_frame(traversal);
}

void shell_traversal_end(struct shell_traversal *traversal)
{
	while (frame_count(traversal))
		pop_frame(traversal);
	bytes_free(&traversal->frames);
	bytes_free(&traversal->path);
}
