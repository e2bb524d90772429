/* SPDX-License-Identifier: MIT */
/*
 * The thread's last failure.
 *
 * A failing call notes a code and what the message is made of; the text is put together only when
 * mfs_last_error() asks for it, so that a failure costs no formatting. Each of these functions
 * returns the code it was given, for `return mfs__fail...(...)`. The memory is the thread's own.
 */
#ifndef MFS_BASE_ERROR_H
#define MFS_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

/** Note `code`, with `what` (a constant string, or NULL) as "what: message of code". */
int mfs__fail(int code, const char *what);

/** Note `code` for `call` (a constant string) on `path`: "call of path: message of code". */
int mfs__fail_path(int code, const char *call, const char *path);

/**
 * The same with a reason of its own, not constant, instead of the code's message. It may be what
 * mfs_last_error() returned.
 */
int mfs__fail_because(int code, const char *call, const char *path, const char *reason);

/**
 * Note that the host refuses something: MFS_EHOST with the text of `error`, an errno; MFS_ENOMEM
 * for ENOMEM. Returns the code.
 */
int mfs__fail_host(int error, const char *call, const char *path);

/** Note `code` with a message that mfs_last_error() put together in another thread. */
int mfs__fail_text(int code, const char *text);

/** Is this the refusal of a limit, whose numbers are noted: MFS_EQUOTA, MFS_ENODES, MFS_EMEMGUARD?
 */
bool mfs__is_limit_error(int code);

/** Enough for every message, with its NUL. */
#define MFS__FAILURE_SIZE 512

/**
 * Note `code` with numbers: `format` is a constant string with up to three PRIu64 conversions, in
 * the order of the numbers.
 */
int mfs__fail_numbers(int code, const char *format, uint64_t a, uint64_t b, uint64_t c);

#endif
