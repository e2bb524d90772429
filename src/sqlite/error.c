/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <dmemfs/dmemfs.h>

/* Of this thread: the last code that SQLite was told of. */
static _Thread_local int last_code;

int mfs__sqlite_errno(int code)
{
	switch (code) {
	case MFS_EMEMGUARD:
		return ENOMEM;
	case MFS_EHOST:
	case MFS_EFORMAT:
		return EIO;
	default:
		return -code;
	}
}

int mfs__sqlite_last_errno(void)
{
	return mfs__sqlite_errno(last_code);
}

int mfs__sqlite_result(int code, int no_memory, int otherwise)
{
	last_code = code;
	switch (code) {
	case MFS_EQUOTA:
	case MFS_EMEMGUARD:
	case MFS_ENODES:
		return SQLITE_FULL;
	case MFS_ENOMEM:
		return no_memory;
	default:
		return otherwise;
	}
}

int mfs__sqlite_code(int result)
{
	switch (result & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return MFS_EBUSY;
	case SQLITE_NOMEM:
		return MFS_ENOMEM;
	case SQLITE_FULL:
		return MFS_EQUOTA;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return MFS_EFORMAT;
	case SQLITE_INTERRUPT:
		return MFS_ECANCELED;
	default:
		return result == SQLITE_IOERR_NOMEM ? MFS_ENOMEM : MFS_EHOST;
	}
}
