/* SPDX-License-Identifier: MIT */
/*
 * Between open files and descriptors of the host, with no lock held while these block.
 *
 * Out: a snapshot holds the file's chunks, and they are written from where they are.
 *
 * In: piece by piece. A piece is memory that is no file's yet, with quota that is set aside for it.
 * It is read into, and then becomes a chunk of the file, or is copied where the file has other
 * bytes around it. Pieces end where chunks end: but for the first and the last ones of a call, each
 * is a chunk.
 */
#include "host/descriptor.h"

#include "base/compiler.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/test_hook.h"
#include "file/chunk_memory.h"
#include "fs/access.h"
#include "fs/file_data.h"
#include "fs/fork_guard.h"
#include "fs/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* Parts of one writev(). */
#define PARTS 32
/* The longest piece that begins within a chunk, and is therefore copied: it stays in a cache. */
#define COPIED_MAX ((uint64_t)256 << 10)

static int fail_descriptor(int error, const char *call, int fd)
{
	char name[32];

	(void)snprintf(name, sizeof name, "descriptor %d", fd);
	int code = mfs__fail_host(error, call, name);
	/* For the caller, whatever came after the failure. */
	errno = error;
	return code;
}

uint64_t mfs__snapshot_write(const struct mfs__snapshot *snapshot, uint64_t offset, uint64_t length,
							 int fd, int *error)
{
	uint64_t written = 0;

	*error = 0;
	while (written < length) {
		struct iovec parts[PARTS];
		int count = 0;
		for (uint64_t at = written; count < PARTS && at < length; at += parts[count++].iov_len)
			/* writev() only reads from it. */
			parts[count].iov_base = (void *)(uintptr_t)mfs__snapshot_at(
				snapshot, offset + at, length - at, &parts[count].iov_len);
		mfs__yield("descriptor: about to write");
		ssize_t put = writev(fd, parts, count);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			*error = put < 0 ? errno : EIO;
			break;
		}
		written += (uint64_t)put;
	}
	return written;
}

int64_t mfs_read_to_fd(mfs_file *file, int64_t offset, int64_t size, int fd)
{
	struct mfs__held_snapshot held;
	int error;

	if (offset < 0 || size < 0)
		return mfs__fail(MFS_EINVAL, "mfs_read_to_fd: negative offset or size");
	int64_t length = mfs__snapshot_hold(&held, file, (uint64_t)offset, (uint64_t)size);
	if (length < 0)
		return length;
	uint64_t written =
		mfs__snapshot_write(&held.snapshot, (uint64_t)offset, (uint64_t)length, fd, &error);
	mfs__snapshot_release(&held);
	if (error && !written)
		return fail_descriptor(error, "mfs_read_to_fd", fd);
	return (int64_t)written;
}

/* A call that reads into a file. */
struct intake {
	struct mfs__fork_guard guard; /* a child lets go of what it inherits */
	/* The piece. Change under the lock of the handle, or inside the gate: a fork finds them whole.
	 */
	struct mfs *fs;
	struct mfs__chunk chunk; /* without bytes: there is no piece */
	uint64_t prepaid;        /* reserved for the file to grow by it */
	struct mfs__spender by;
	/* The thread's own. */
	bool tight;       /* the piece is as long as the quota had room for */
	bool ended;       /* there is no more input, or `error` */
	int error;        /* errno */
	size_t filled;    /* bytes of the piece that are there */
	uint64_t offset;  /* where the piece goes, but in append mode */
	uint64_t left;    /* bytes that are wanted, with those of the piece */
	uint64_t arrived; /* bytes that the file has got */
};

/* Let go of the piece. */
static void drop(struct intake *in)
{
	if (!in->chunk.bytes)
		return;
	mfs__bytes_free(in->fs->arena, in->chunk.bytes, in->chunk.capacity);
	in->chunk.bytes = NULL;
	if (in->prepaid)
		mfs__payer_release(&in->by.payer, in->prepaid);
	in->prepaid = 0;
}

static void drop_in_child(struct mfs__fork_guard *guard)
{
	drop(mfs__container_of(guard, struct intake, guard));
}

/*
 * Reserve what the file grows by for the bytes from `at` to *to, which lie in one chunk; where the
 * quota has no room for all of them, for as many as it has: *to is where these end. Returns 0, or
 * why there is room for none.
 */
static int reserve(struct intake *in, struct mfs__handle *handle, uint64_t at, uint64_t *to)
{
	struct mfs__chunk_list *list = &handle->file->chunks;
	struct mfs__payer *payer = &in->by.payer;
	uint64_t overhead = handle->fs->chunk_overhead;
	uint64_t capacity = mfs__chunks_capacity(list);
	/* To here, at least, there must be room; from here on each byte costs a byte. */
	uint64_t least = capacity > at ? capacity : at + 1;
	uint64_t base = mfs__chunks_price(list, overhead, least);

	in->tight = false;
	for (;;) {
		in->prepaid = mfs__chunks_price(list, overhead, *to);
		int code = in->prepaid ? mfs__payer_reserve(payer, in->prepaid) : 0;
		if (!code)
			return 0;
		/* Of what is missing now, and what is free now. */
		uint64_t room =
			in->prepaid - payer->missing + payer->quota->limit - mfs__quota_used(payer->quota);
		if (code == MFS_EMEMGUARD || room < base) {
			/* One byte would be welcome. */
			if (code == MFS_EQUOTA)
				payer->missing -= in->prepaid - base;
			in->prepaid = 0;
			return code;
		}
		if (room - base < *to - least) {
			*to = least + (room - base);
			in->tight = true;
		}
	}
}

/* Get a piece to read into. With the file's lock. Returns 0 or a failure, noted. */
static int begin_piece(struct intake *in, struct mfs__handle *handle)
{
	uint64_t at = mfs__handle_target(handle, in->offset);

	if (at >= MFS__FILE_SIZE_MAX)
		return mfs__fail(MFS_EFBIG, "mfs_write_from_fd");
	int code = mfs__file_admit(handle->fs, handle->file, at);
	if (code)
		return code;
	uint32_t index = mfs__chunk_index(at);
	uint64_t room = mfs__chunk_start(index) + mfs__chunk_length(index) - at;
	if (room > COPIED_MAX && at != mfs__chunk_start(index))
		room = COPIED_MAX;
	if (room > in->left)
		room = in->left;
	uint64_t end = at + room;
	code = reserve(in, handle, at, &end);
	if (code) {
		struct mfs__chunk_account account = mfs__account(&in->by);
		return mfs__fail_charge(
			&account, code,
			"room to read %" PRIu64 " bytes refused: %" PRIu64 " of %" PRIu64 " bytes free", room);
	}
	uint32_t capacity = (uint32_t)(end - at);
	unsigned char *bytes = mfs__bytes_alloc(handle->fs->arena, capacity);
	if (!bytes) {
		mfs__payer_release(&in->by.payer, in->prepaid);
		in->prepaid = 0;
		return mfs__fail(MFS_ENOMEM, "mfs_write_from_fd");
	}
	in->fs = handle->fs;
	in->chunk = (struct mfs__chunk){bytes, capacity, 0};
	return 0;
}

static const unsigned char *piece_at(void *user, uint64_t at, uint64_t length, size_t *part)
{
	const struct intake *in = user;

	*part = (size_t)length;
	return in->chunk.bytes + at;
}

/*
 * Can the piece be the file's chunk at this place? Others may have changed the file since the piece
 * was begun.
 */
static bool is_chunk(const struct intake *in, struct mfs__file *file, uint64_t at)
{
	uint32_t index = mfs__chunk_index(at);
	uint32_t length = mfs__chunk_length(index);

	if (mfs__chunk_start(index) != at || in->chunk.capacity > length)
		return false;
	if (in->filled == length)
		return true;
	/* The last one. What is not filled is room to append, unless others may need it. */
	return mfs__file_ends_with(file, index, at + in->filled) &&
		   (in->filled == in->chunk.capacity || !in->tight);
}

/* Make what is filled of the piece part of the file. With the file's lock, exclusively. Returns 0
 * or a failure, noted. */
static int land(struct intake *in, struct mfs__handle *handle)
{
	uint64_t at = mfs__handle_target(handle, in->offset);
	struct mfs__splice splice = {.chunks = &in->chunk, .prepaid = in->prepaid};

	if (is_chunk(in, handle->file, at)) {
		splice.first = mfs__chunk_index(at);
		splice.end = splice.first + 1;
	}
	int code = mfs__file_splice(&in->by, handle->file, at, in->filled, &splice, piece_at, in);
	if (code == MFS_EQUOTA && splice.end && in->filled < in->chunk.capacity) {
		/* The file has become shorter, and the room behind the bytes is too much. */
		splice.end = splice.first;
		code = mfs__file_splice(&in->by, handle->file, at, in->filled, &splice, piece_at, in);
	}
	if (code)
		return code;
	in->prepaid = 0;
	if (splice.end == splice.first)
		mfs__bytes_free(in->fs->arena, in->chunk.bytes, in->chunk.capacity);
	in->chunk.bytes = NULL;
	in->offset += in->filled;
	in->left -= in->filled;
	in->arrived += in->filled;
	in->filled = 0;
	return 0;
}

/* Bring the piece that is filled, if there is one, and begin another one if more is to come. */
static int exchange(struct intake *in, mfs_file *file)
{
	struct mfs__access access;
	int code;

	do {
		code = mfs__access_begin(&access, file, true, MFS__MODE_WRITE, MFS__ACCESS_CHANGE);
		if (code)
			break;
		access.handle->reserved = 0;
		mfs__spender_of_handle(&in->by, access.handle);
		if (in->filled)
			code = land(in, access.handle);
		if (!code && in->left && !in->ended)
			code = begin_piece(in, access.handle);
		mfs__access_end_change(&access);
	} while (mfs__spender_again(&in->by, code));
	/* Each piece may wait for as long as the handle says. */
	in->by.has_deadline = false;
	return code;
}

/* Read until the piece is full, the input ends, or the descriptor refuses. */
static void fill(struct intake *in, int fd)
{
	while (in->filled < in->chunk.capacity && !in->ended) {
		mfs__yield("descriptor: about to read");
		ssize_t got = read(fd, in->chunk.bytes + in->filled, in->chunk.capacity - in->filled);
		if (got > 0) {
			in->filled += (size_t)got;
		} else if (got == 0) {
			in->ended = true;
		} else if (errno != EINTR) {
			in->ended = true;
			in->error = errno;
		}
	}
	mfs__yield("descriptor: piece read");
}

int64_t mfs_write_from_fd(mfs_file *file, int64_t offset, int64_t size, int fd)
{
	struct intake in = {.guard = {.child = drop_in_child}};
	int code;

	if (offset < 0 || size < 0)
		return mfs__fail(MFS_EINVAL, "mfs_write_from_fd: negative offset or size");
	in.offset = (uint64_t)offset;
	in.left = (uint64_t)size;
	mfs__fork_guard_enter(&in.guard);
	do {
		code = exchange(&in, file);
		if (!code && in.chunk.bytes)
			fill(&in, fd);
	} while (!code && in.filled);
	if (in.chunk.bytes) {
		unsigned gate = mfs__gate_enter();
		drop(&in);
		mfs__gate_leave(gate);
	}
	mfs__spender_end(&in.by);
	mfs__fork_guard_leave(&in.guard);
	mfs__guard_notice();
	if (!code && in.error)
		code = fail_descriptor(in.error, "mfs_write_from_fd", fd);
	return in.arrived ? (int64_t)in.arrived : code;
}
