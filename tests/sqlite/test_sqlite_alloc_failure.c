/* SPDX-License-Identifier: MIT */
/*
 * Does a call that runs out of memory say so, and leave everything as it was?
 */
#include "support.h"

#include "database.h"
#include "vfs_file.h"

#include "failing_malloc.h"

static void a_registration_without_memory_leaves_no_name(void **state)
{
	mfs *fs = *state;
	long successes = 0;
	int code = MFS_ENOMEM;

	for (; code != 0; successes++) {
		support__mark_last_error(fs);
		failing_malloc_after(successes);
		code = mfs_sqlite_register(fs, TEST_VFS, true);
		failing_malloc_after(-1);
		if (code != 0) {
			assert_code(code, MFS_ENOMEM);
			support__check_message("register", __FILE__, __LINE__);
			assert_null(sqlite3_vfs_find(TEST_VFS));
			assert_code(usage_of(fs).open_handles, 0);
		}
	}
	assert_true(successes > 1);
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
	assert_code(usage_of(fs).open_handles, 0);
}

static void an_open_without_memory_makes_nothing(void **state)
{
	mfs *fs = *state;

	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	for (int exists = 0; exists <= 1; exists++) {
		long successes = 0;
		int result = SQLITE_NOMEM;
		struct vfs_file f = {0};

		for (; result != SQLITE_OK; successes++) {
			/* Memory of the test is among what fails: it is made before. */
			sqlite3_vfs *vfs = test_vfs();
			int flags = 0;

			f.file = allocate((size_t)vfs->szOsFile);
			f.name = sqlite3_create_filename("/db", "", "", 0, NULL);
			failing_malloc_after(successes);
			result = vfs->xOpen(vfs, f.name, f.file, MAIN_DB, &flags);
			failing_malloc_after(-1);
			if (result != SQLITE_OK) {
				assert_sqlite(NULL, result, SQLITE_NOMEM);
				assert_null(f.file->pMethods);
				assert_int_equal(mfs_exists(fs, "/db"), exists);
				assert_code(usage_of(fs).open_handles, 1);
				assert_code(mfs_sqlite_register(fs, TEST_VFS, false), MFS_EEXIST);
				free(f.file);
				sqlite3_free_filename(f.name);
			}
		}
		assert_true(successes > 1);
		close_vfs_file(&f);
		assert_true(mfs_exists(fs, "/db"));
	}
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

static void a_region_without_memory_is_had_later(void **state)
{
	mfs *fs = *state;

	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	struct vfs_file one = open_vfs_file("/db", MAIN_DB);
	struct vfs_file other = open_vfs_file("/db", MAIN_DB);

	for (int region = 0; region < 40; region += 13) {
		long successes = 0;
		int result = SQLITE_IOERR_NOMEM;
		void volatile *bytes = NULL;

		for (; result != SQLITE_OK; successes++) {
			failing_malloc_after(successes);
			result = shm_map(&one, region, 1, &bytes);
			failing_malloc_after(-1);
			if (result != SQLITE_OK) {
				assert_sqlite(NULL, result, SQLITE_IOERR_NOMEM);
				assert_null((void *)(uintptr_t)bytes);
				/* Others are not disturbed. */
				assert_sqlite(NULL, shm_map(&other, region, 0, &bytes), SQLITE_OK);
				assert_null((void *)(uintptr_t)bytes);
			}
		}
		assert_true(successes > 1);
		assert_non_null((void *)(uintptr_t)bytes);
		assert_zeros((const unsigned char *)(uintptr_t)bytes, 32 * KIB);
		assert_sqlite(NULL, shm_lock(&other, 0, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE),
					  SQLITE_OK);
		assert_sqlite(NULL, shm_lock(&other, 0, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE),
					  SQLITE_OK);
	}
	close_vfs_file(&one);
	close_vfs_file(&other);
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

/* All that SQLite does, with the component failing at any point. */
static int use_database(sqlite3 **db)
{
	int result = sqlite3_open_v2("/db", db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, TEST_VFS);

	if (result == SQLITE_OK) {
		result = try_sql(*db, "PRAGMA journal_mode=wal");
	}
	if (result == SQLITE_OK) {
		result = try_sql(*db, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1)");
	}
	return result;
}

static void a_connection_without_memory_fails_and_the_next_one_does_not(void **state)
{
	mfs *fs = *state;
	long successes = 0;
	int result = SQLITE_NOMEM;
	sqlite3 *db = NULL;

	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	for (; result != SQLITE_OK; successes++) {
		failing_malloc_after(successes);
		result = use_database(&db);
		failing_malloc_after(-1);
		if (result != SQLITE_OK) {
			assert_int_equal(result & 0xff, result == SQLITE_NOMEM ? SQLITE_NOMEM : SQLITE_IOERR);
			close_database(db);
		}
	}
	assert_true(successes > 3);
	assert_int_equal(number_of(db, "SELECT count(*) FROM t"), 1);
	assert_integrity(db);
	close_database(db);
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

static void a_snapshot_needs_no_memory_of_the_component(void **state)
{
	mfs *fs = *state;
	sqlite3 *db = NULL;

	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	db = open_database("/db");
	run_sql(db, "PRAGMA journal_mode=wal; CREATE TABLE t(a)");
	failing_malloc_after(0);
	int code = mfs_sqlite_snapshot(db, "/copy");

	failing_malloc_after(-1);
	assert_code(code, 0);
	assert_false(failing_malloc_met());
	close_database(db);
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_registration_without_memory_leaves_no_name),
		WORKSPACE_TEST(an_open_without_memory_makes_nothing),
		WORKSPACE_TEST(a_region_without_memory_is_had_later),
		WORKSPACE_TEST(a_connection_without_memory_fails_and_the_next_one_does_not),
		WORKSPACE_TEST(a_snapshot_needs_no_memory_of_the_component),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
