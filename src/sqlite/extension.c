/* SPDX-License-Identifier: MIT */
/* The loadable extension: a workspace of its own, for programs that know nothing of dmemfs. */
#define MFS_SQLITE_EXTENSION_MAIN
#include "sqlite_api.h"

#include <dmemfs/sqlite.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

SQLITE_EXTENSION_INIT1

#define VFS_NAME      "dmemfs"
#define QUOTA_NAME    "DMEMFS_QUOTA"
#define DEFAULT_QUOTA (UINT64_C(256) << 20)

/* Held while the extension is being loaded. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
/* Under the mutex: the VFS is there. */
static bool is_loaded;

/* A number of bytes, with K, M, G or T behind it or not. Returns 0 for anything else. */
static uint64_t parse_quota(const char *text)
{
	static const char units[] = "KMGT";
	unsigned long long number;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return 0;
	unsigned shift = 0;
	if (*end) {
		const char *unit = strchr(units, *end);
		if (!unit || end[1])
			return 0;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	return number <= (uint64_t)INT64_MAX >> shift ? (uint64_t)number << shift : 0;
}

/* With the mutex. Returns a code of SQLite, and what went wrong in *message. */
static int load(char **message)
{
	mfs_options options = {.struct_size = sizeof options, .max_quota = DEFAULT_QUOTA};
	const char *quota = getenv(QUOTA_NAME); /* NOLINT(concurrency-mt-unsafe): read only */
	mfs *fs;

	if (is_loaded)
		return SQLITE_OK;
	if (quota) {
		options.max_quota = parse_quota(quota);
		if (!options.max_quota) {
			*message = sqlite3_mprintf(
				QUOTA_NAME " is \"%s\": it must be a number of bytes, or one with K, M, G or T "
						   "behind it",
				quota);
			return SQLITE_ERROR;
		}
	}
	int code = mfs_new(&options, &fs);
	if (!code) {
		code = mfs_sqlite_register(fs, VFS_NAME, false);
		if (code)
			(void)mfs_free(fs);
	}
	if (code) {
		*message = sqlite3_mprintf("%s", mfs_last_error());
		return code == MFS_ENOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
	}
	is_loaded = true;
	return SQLITE_OK;
}

/* The name by which SQLite finds it whatever the file's name is. */
MFS_API int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);

int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{
	(void)db;
	(void)pthread_mutex_lock(&loading);
	/* Others that were loaded before have set it to the same. */
	if (!is_loaded)
		SQLITE_EXTENSION_INIT2(api);
	int result = load(message);
	(void)pthread_mutex_unlock(&loading);
	/* The VFS has to stay when the connection that loaded it is closed. */
	return result ? result : SQLITE_OK_LOAD_PERMANENTLY;
}
