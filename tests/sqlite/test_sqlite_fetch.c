/* SPDX-License-Identifier: MIT */
/*
 * Are pages looked at in the file's memory where nobody can change them, and nowhere else?
 */
#include "support.h"

#include "database.h"
#include "vfs_file.h"

#define PAGE 4096

static struct vfs_file open_immutable(const char *path)
{
	const char *parameters[] = {"immutable", "1"};
	struct vfs_file f;

	assert_sqlite(NULL, try_vfs_file_with(path, MAIN_DB, 1, parameters, &f), SQLITE_OK);
	return f;
}

static sqlite3_int64 set_limit(struct vfs_file *f, sqlite3_int64 limit)
{
	assert_sqlite(NULL, file_control(f, SQLITE_FCNTL_MMAP_SIZE, &limit), SQLITE_OK);
	return limit;
}

static void *fetched(struct vfs_file *f, sqlite3_int64 offset, int size)
{
	void *page = f;

	assert_sqlite(NULL, f->file->pMethods->xFetch(f->file, offset, size, &page), SQLITE_OK);
	return page;
}

static void unfetch(struct vfs_file *f, sqlite3_int64 offset, void *page)
{
	assert_sqlite(NULL, f->file->pMethods->xUnfetch(f->file, offset, page), SQLITE_OK);
}

/* Each page is full of its number. */
static void make_pages(mfs *fs, const char *path, size_t count)
{
	unsigned char *bytes = allocate(count * PAGE);

	for (size_t i = 0; i < count; i++) {
		memset(bytes + i * PAGE, (int)i, PAGE);
	}
	make_file(fs, path, bytes, count * PAGE);
	free(bytes);
}

static void pages_of_an_immutable_file_are_fetched(void **state)
{
	mfs *fs = *state;
	struct vfs_file f;
	unsigned found = 0;

	make_pages(fs, "/db", 200);
	f = open_immutable("/db");
	assert_int_equal(f.flags & SQLITE_OPEN_READONLY, SQLITE_OPEN_READONLY);
	assert_int_equal(f.flags & SQLITE_OPEN_READWRITE, 0);
	assert_int_equal(set_limit(&f, INT64_C(1) << 40), 0);
	for (int i = 0; i < 200; i++) {
		unsigned char *page = fetched(&f, (sqlite3_int64)i * PAGE, PAGE);

		if (page != NULL) {
			found++;
			assert_int_equal(page[0], i);
			assert_int_equal(page[PAGE - 1], i);
			/* It is the memory itself. */
			assert_ptr_equal(fetched(&f, (sqlite3_int64)i * PAGE, PAGE), page);
			unfetch(&f, (sqlite3_int64)i * PAGE, page);
			unfetch(&f, (sqlite3_int64)i * PAGE, page);
		}
	}
	/* All but those at the end of a chunk: of 4 KiB, 4, 8, 16 and so on, and of the file. */
	assert_int_equal(found, 200 - 9);
	/* Nothing past the end, nor what does not lie together. */
	assert_null(fetched(&f, 200 * PAGE, PAGE));
	assert_null(fetched(&f, 199 * PAGE, PAGE));
	assert_null(fetched(&f, 0, 2 * PAGE));
	unfetch(&f, 0, NULL);
	close_vfs_file(&f);
}

static void the_limit_is_asked_for_and_kept(void **state)
{
	struct vfs_file f;
	void *page;

	make_pages(*state, "/db", 100);
	f = open_immutable("/db");
	assert_null(fetched(&f, 2 * PAGE, PAGE));
	assert_int_equal(set_limit(&f, 10 * PAGE), 0);
	assert_int_equal(set_limit(&f, -1), 10 * PAGE);
	assert_int_equal(set_limit(&f, -1), 10 * PAGE);
	assert_null(fetched(&f, 10 * PAGE, PAGE));
	page = fetched(&f, 9 * PAGE, PAGE);
	assert_non_null(page);
	/* While a page is out the limit stays. */
	assert_int_equal(set_limit(&f, 0), 10 * PAGE);
	assert_int_equal(set_limit(&f, -1), 10 * PAGE);
	unfetch(&f, 9 * PAGE, page);
	assert_int_equal(set_limit(&f, 0), 10 * PAGE);
	assert_null(fetched(&f, 9 * PAGE, PAGE));
	close_vfs_file(&f);
}

static void pages_of_other_files_are_not_fetched(void **state)
{
	struct vfs_file f;

	make_pages(*state, "/db", 100);
	f = open_vfs_file("/db", SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB);
	assert_int_equal(set_limit(&f, INT64_C(1) << 40), 0);
	assert_int_equal(set_limit(&f, -1), 0);
	assert_null(fetched(&f, 0, PAGE));
	close_vfs_file(&f);
}

static void nobody_writes_to_an_immutable_file(void **state)
{
	mfs *fs = *state;
	struct vfs_file f;
	mfs_file *writer = NULL;

	make_pages(fs, "/db", 10);
	f = open_immutable("/db");
	assert_code(mfs_remove(fs, "/db"), MFS_EBUSY);
	assert_code(open_with(fs, "/db", "r+b", MFS_O_SHARED, MFS_NO_WAIT, &writer), 0);
	assert_code(mfs_pwrite(writer, "x", 1, 0), MFS_EBUSY);
	close_file(writer);
	assert_sqlite(NULL, file_write(&f, "x", 1, 0), SQLITE_IOERR_WRITE);
	close_vfs_file(&f);
}

static void an_immutable_open_beside_a_writer_is_busy(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .default_lock_timeout = MFS_NO_WAIT};
	mfs *fs = new_database_workspace(&options);
	const char *parameters[] = {"immutable", "1"};
	struct vfs_file f;
	mfs_file *writer = NULL;

	(void)state;
	make_pages(fs, "/db", 10);
	writer = open_file(fs, "/db", "r+b");
	assert_sqlite(NULL, try_vfs_file_with("/db", MAIN_DB, 1, parameters, &f), SQLITE_BUSY);
	close_file(writer);
	f = open_immutable("/db");
	close_vfs_file(&f);
	/* It makes nothing. */
	assert_sqlite(NULL, try_vfs_file_with("/none", MAIN_DB, 1, parameters, &f), SQLITE_CANTOPEN);
	assert_false(mfs_exists(fs, "/none"));
	free_database_workspace(fs);
}

static void a_query_of_an_immutable_database_gives_what_it_gave(void **state)
{
	static const int sizes[] = {512, 4096, 65536};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		sqlite3 *db = open_database("/db");
		sqlite3 *immutable = NULL;
		char pragma[64];
		sqlite3_int64 sum;

		(void)snprintf(pragma, sizeof(pragma), "PRAGMA page_size=%d", sizes[i]);
		run_sql(db, pragma);
		run_sql(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX x ON t(b)");
		run_sql(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<5000) "
					"INSERT INTO t SELECT i, printf('%0300d', i*7) FROM c");
		run_sql(db, "INSERT INTO t VALUES(0, zeroblob(5000000))");
		sum = number_of(db, "SELECT sum(a*length(b)) FROM t");
		close_database(db);
		assert_sqlite(NULL,
					  sqlite3_open_v2("file:/db?immutable=1", &immutable,
									  SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, TEST_VFS),
					  SQLITE_OK);
		assert_int_equal(number_of(immutable, "PRAGMA mmap_size=1000000000"), 1000000000);
		assert_int_equal(number_of(immutable, "SELECT sum(a*length(b)) FROM t"), sum);
		assert_int_equal(number_of(immutable, "SELECT count(*) FROM t INDEXED BY x "
											  "WHERE b>printf('%0300d',7000)"),
						 4000 + 1);
		assert_int_equal(number_of(immutable, "SELECT length(b) FROM t WHERE a=0"), 5000000);
		assert_integrity(immutable);
		assert_sqlite(immutable, try_sql(immutable, "DELETE FROM t"), SQLITE_READONLY);
		close_database(immutable);
		assert_code(mfs_remove(fs, "/db"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATABASE_TEST(pages_of_an_immutable_file_are_fetched),
		DATABASE_TEST(the_limit_is_asked_for_and_kept),
		DATABASE_TEST(pages_of_other_files_are_not_fetched),
		DATABASE_TEST(nobody_writes_to_an_immutable_file),
		cmocka_unit_test(an_immutable_open_beside_a_writer_is_busy),
		DATABASE_TEST(a_query_of_an_immutable_database_gives_what_it_gave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
