/* SPDX-License-Identifier: MIT */
/* Codes, their names and messages, and the last failure of each thread. */
#include "base/error.h"

#include <dmemfs/dmemfs.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A path is kept up to this many bytes: its two ends, when it is longer. */
#define KEPT_PATH 200
#define KEPT_END  ((KEPT_PATH - 3) / 2)

enum failure_kind { FAILURE_NONE, FAILURE_PLAIN, FAILURE_PATH, FAILURE_NUMBERS, FAILURE_TEXT };

struct failure {
	enum failure_kind kind;
	int code;
	const char *what; /* constant string: prefix, name of the call, or format */
	uint64_t numbers[3];
	char path[KEPT_PATH + 1];
	char text[MFS__FAILURE_SIZE]; /* what mfs_last_error() returns */
};

/* Each thread's own. */
static _Thread_local struct failure last;

const char *mfs_strerror(int code)
{
	if (code >= 0)
		return "success";
	switch (code) {
#define ERROR_CASE(name, value, message)                                                           \
	case name:                                                                                     \
		return message;
		MFS_ERROR_MAP(ERROR_CASE)
#undef ERROR_CASE
	default:
		return "unknown error";
	}
}

const char *mfs_error_name(int code)
{
	if (code >= 0)
		return "0";
	switch (code) {
#define ERROR_CASE(name, value, message)                                                           \
	case name:                                                                                     \
		return #name;
		MFS_ERROR_MAP(ERROR_CASE)
#undef ERROR_CASE
	default:
		return "unknown";
	}
}

bool mfs_is_quota_error(int code)
{
	return code == MFS_EQUOTA || code == MFS_ENODES;
}

bool mfs__is_limit_error(int code)
{
	return mfs_is_quota_error(code) || code == MFS_EMEMGUARD;
}

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

const char *mfs_version(void)
{
	return STRINGIFY(MFS_VERSION_MAJOR) "." STRINGIFY(MFS_VERSION_MINOR) "." STRINGIFY(
		MFS_VERSION_PATCH);
}

int mfs__fail(int code, const char *what)
{
	last.kind = FAILURE_PLAIN;
	last.code = code;
	last.what = what;
	return code;
}

/* Keep a path, or its two ends. */
static void keep_path(const char *path)
{
	if (!path) {
		memcpy(last.path, "NULL", 5);
		return;
	}
	size_t length = strnlen(path, MFS_PATH_MAX + 1);
	if (length <= KEPT_PATH) {
		memcpy(last.path, path, length);
		last.path[length] = '\0';
	} else {
		memcpy(last.path, path, KEPT_END);
		memcpy(last.path + KEPT_END, "...", 3);
		memcpy(last.path + KEPT_END + 3, path + length - KEPT_END, KEPT_END);
		last.path[KEPT_END + 3 + KEPT_END] = '\0';
	}
}

int mfs__fail_path(int code, const char *call, const char *path)
{
	last.kind = FAILURE_PATH;
	last.code = code;
	last.what = call;
	keep_path(path);
	return code;
}

int mfs__fail_because(int code, const char *call, const char *path, const char *reason)
{
	char text[MFS__FAILURE_SIZE];

	keep_path(path);
	(void)snprintf(text, sizeof text, "%s of %s: %s", call, last.path, reason);
	return mfs__fail_text(code, text);
}

int mfs__fail_host(int error, const char *call, const char *path)
{
	char reason[128];
	char buffer[80];

	if (error == ENOMEM)
		return mfs__fail_path(MFS_ENOMEM, call, path);
	(void)snprintf(reason, sizeof reason, "%s: %s", mfs_strerror(MFS_EHOST),
				   strerror_r(error, buffer, sizeof buffer));
	return mfs__fail_because(MFS_EHOST, call, path, reason);
}

int mfs__fail_text(int code, const char *text)
{
	last.kind = FAILURE_TEXT;
	last.code = code;
	(void)snprintf(last.text, sizeof last.text, "%s", text);
	return code;
}

int mfs_set_last_error(int code, const char *format, ...)
{
	char text[MFS__FAILURE_SIZE] = "";
	va_list arguments;

	if (code >= 0)
		return code;
	va_start(arguments, format);
	if (format)
		(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return mfs__fail_text(code, text);
}

int mfs__fail_numbers(int code, const char *format, uint64_t a, uint64_t b, uint64_t c)
{
	last.kind = FAILURE_NUMBERS;
	last.code = code;
	last.what = format;
	last.numbers[0] = a;
	last.numbers[1] = b;
	last.numbers[2] = c;
	return code;
}

const char *mfs_last_error(void)
{
	const char *message = mfs_strerror(last.code);

	switch (last.kind) {
	case FAILURE_NONE:
		return "";
	case FAILURE_PLAIN:
		if (!last.what)
			return message;
		(void)snprintf(last.text, sizeof last.text, "%s: %s", last.what, message);
		break;
	case FAILURE_PATH:
		(void)snprintf(last.text, sizeof last.text, "%s of %s: %s", last.what, last.path, message);
		break;
	case FAILURE_NUMBERS:
		/* The format is one of this library's own constants; the compiler cannot see which. */
		(void)snprintf(last.text, sizeof last.text, last.what, last.numbers[0], last.numbers[1],
					   last.numbers[2]);
		break;
	case FAILURE_TEXT:
		break;
	}
	return last.text;
}
