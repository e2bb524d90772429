/* SPDX-License-Identifier: MIT */
/* What is to be called, and with which arguments. */
#ifndef DMEMFS_ASYNC_CALL_H
#define DMEMFS_ASYNC_CALL_H

#include <dmemfs/async.h>

#include <stdbool.h>

/** Which threads carry a call out. */
enum mfs__async_place {
	MFS__ASYNC_WORKER, /* it waits for no other user */
	MFS__ASYNC_WAITER, /* it may wait for long */
	MFS__ASYNC_ASK,    /* what mfs_may_wait() says of its objects, which are handles */
};

struct mfs__async_call;

/** A kind of call. */
struct mfs__async_kind {
	enum mfs__async_place place;
	/* Gives something back, so that it is carried out also when a shutdown cancels. */
	bool closes;
	/* A success with less than `length` may leave a message, of what came after. */
	bool may_fall_short;
	/* Leaves its reason in errno with MFS_EHOST. Others leave there whatever they tried last. */
	bool sets_errno;
	/* Makes the call. */
	int64_t (*run)(struct mfs__async_call *call, mfs_async_output *output);
	/* When it is accepted, may be NULL: chooses `place` and sets `timeout`. */
	void (*prepare)(struct mfs__async_call *call);
};

#define MFS__ASYNC_NEVER INT64_MAX

/** A call and its arguments; each kind uses what it needs. */
struct mfs__async_call {
	const struct mfs__async_kind *kind;
	void *user;
	enum mfs__async_place place;
	bool elsewhere;   /* set by run() in a worker: it would have to wait; nothing has happened */
	int64_t timeout;  /* milliseconds as in dmemfs.h */
	int64_t deadline; /* of a timeout > 0, on the clock of mfs__async_now(); else never */
	mfs *fs;
	void *object;   /* a file, walk, import or export: calls on it take turns; may be NULL */
	void *object_2; /* likewise, may be the same one */
	/* One block with what the following point to. */
	void *copies;
	void *copied; /* options, or a vector */
	const char *path;
	const char *path_2;
	const char *mode;
	/* The caller's memory. */
	void *buffer;
	const void *constant;
	mfs_async_function *function;
	mfs_release *release;
	void *argument; /* of function or release */
	uint64_t size;
	int64_t length;
	int64_t offset;
	int64_t offset_2;
	unsigned flags;
	int number; /* a descriptor, a count of a vector, or whence */
};

/** What is to be copied for a call. */
struct mfs__async_inputs {
	const char *path;
	const char *path_2;
	const char *mode;
	/* Bytes, with their size; or options, with the size that this version knows. */
	const void *bytes;
	const void *options;
	size_t size;
};

/**
 * Copy options into memory of `known` bytes, so that a call takes them for what they are. Returns
 * false if they have fields that this version does not know.
 */
bool mfs__async_copy_options(void *to, const void *options, size_t known);

/** Accept a call. `inputs` may be NULL. Returns the operation's number or why it is not accepted,
 * noted. */
int64_t mfs__async_submit(mfs_async *context, struct mfs__async_call *call,
						  const struct mfs__async_inputs *inputs);

/** Milliseconds that are left of a call's timeout, for a call that is made now: 0 also when a
 * timeout > 0 is over. */
int64_t mfs__async_left(const struct mfs__async_call *call);

#endif
