/* SPDX-License-Identifier: MIT */
/*
 * SQLite's interface. The component links SQLite, and SQLITE_CORE is defined for it. The loadable
 * extension is made of the same files without that: what they call are then entries of the table
 * that SQLite passes when it loads the extension, so that it works in whatever SQLite it is loaded
 * by.
 */
#ifndef MFS_SQLITE_SQLITE_API_H
#define MFS_SQLITE_SQLITE_API_H

#include <sqlite3ext.h>

#ifndef MFS_SQLITE_EXTENSION_MAIN
SQLITE_EXTENSION_INIT3
#endif

#endif
