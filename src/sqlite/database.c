/* SPDX-License-Identifier: MIT */
#include "database.h"

#include <stdlib.h>

#define BUCKETS 256

/* Databases that are open, of all workspaces. Under the mutex. */
static struct mfs__sqlite_database *table[BUCKETS];
static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct mfs__sqlite_database **bucket_of(uint64_t inode)
{
	return &table[inode * UINT64_C(0x9E3779B97F4A7C15) >> 56];
}

struct mfs__sqlite_database *mfs__sqlite_database_new(void)
{
	struct mfs__sqlite_database *database = malloc(sizeof *database);

	if (!database)
		return NULL;
	atomic_init(&database->lock.word, 0);
	mfs__sqlite_wal_index_init(&database->wal_index);
	database->inode = 0;
	database->users = 0;
	database->next = NULL;
	return database;
}

void mfs__sqlite_database_free(struct mfs__sqlite_database *database)
{
	if (!database)
		return;
	mfs__sqlite_wal_index_destroy(&database->wal_index);
	free(database);
}

struct mfs__sqlite_database *mfs__sqlite_database_join(struct mfs__sqlite_database *fresh,
													   uint64_t inode)
{
	struct mfs__sqlite_database **bucket = bucket_of(inode);

	(void)pthread_mutex_lock(&table_mutex);
	struct mfs__sqlite_database *database = *bucket;
	while (database && database->inode != inode)
		database = database->next;
	if (!database) {
		database = fresh;
		database->inode = inode;
		database->next = *bucket;
		*bucket = database;
	}
	database->users++;
	(void)pthread_mutex_unlock(&table_mutex);
	if (database != fresh)
		mfs__sqlite_database_free(fresh);
	return database;
}

void mfs__sqlite_database_leave(struct mfs__sqlite_database *database)
{
	(void)pthread_mutex_lock(&table_mutex);
	bool is_last = --database->users == 0;
	if (is_last) {
		struct mfs__sqlite_database **at = bucket_of(database->inode);
		while (*at != database)
			at = &(*at)->next;
		*at = database->next;
	}
	(void)pthread_mutex_unlock(&table_mutex);
	if (is_last)
		mfs__sqlite_database_free(database);
}
