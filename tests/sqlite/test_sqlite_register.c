/* SPDX-License-Identifier: MIT */
/*
 * Does SQLite know a workspace by its names exactly from its registration to its end, and is one in
 * use kept from ending?
 */
#include "support.h"

#include "database.h"
#include "vfs_file.h"

static void what_is_no_name_is_refused(void **state)
{
	mfs *fs = *state;
	char name[300];

	assert_refused(fs, mfs_sqlite_register(NULL, "x", false), MFS_EINVAL);
	assert_refused(fs, mfs_sqlite_register(fs, NULL, false), MFS_EINVAL);
	assert_refused(fs, mfs_sqlite_register(fs, "", false), MFS_EINVAL);
	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	assert_refused(fs, mfs_sqlite_register(fs, name, false), MFS_EINVAL);
	name[255] = '\0';
	assert_code(mfs_sqlite_register(fs, name, false), 0);
	assert_code(mfs_sqlite_unregister(name), 0);
	assert_refused(fs, mfs_sqlite_unregister(NULL), MFS_EINVAL);
	assert_refused(fs, mfs_sqlite_unregister("nobody"), MFS_ENOENT);
	assert_refused(fs, mfs_sqlite_unregister("unix"), MFS_EINVAL);
	assert_non_null(sqlite3_vfs_find("unix"));
}

static void a_name_is_given_once(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);

	assert_code(mfs_sqlite_register(fs, "one", false), 0);
	assert_refused(fs, mfs_sqlite_register(fs, "one", false), MFS_EEXIST);
	assert_refused(fs, mfs_sqlite_register(other, "one", true), MFS_EEXIST);
	assert_refused(fs, mfs_sqlite_register(fs, "unix", false), MFS_EEXIST);
	assert_code(mfs_sqlite_register(fs, "two", false), 0);
	assert_code(mfs_sqlite_unregister("one"), 0);
	assert_code(mfs_sqlite_register(other, "one", false), 0);
	assert_code(mfs_sqlite_unregister("one"), 0);
	assert_code(mfs_sqlite_unregister("two"), 0);
	assert_null(sqlite3_vfs_find("one"));
	free_workspace(other);
}

static void the_name_is_copied(void **state)
{
	char name[] = "volatile";

	assert_code(mfs_sqlite_register(*state, name, false), 0);
	memset(name, 'x', sizeof(name) - 1);
	assert_non_null(sqlite3_vfs_find("volatile"));
	assert_code(mfs_sqlite_unregister("volatile"), 0);
}

static void a_registered_workspace_is_not_freed(void **state)
{
	mfs *fs = new_workspace(NULL);

	(void)state;
	assert_code(mfs_sqlite_register(fs, "x", false), 0);
	assert_code(mfs_free(fs), MFS_EBUSY);
	assert_code(mfs_sqlite_unregister("x"), 0);
	free_workspace(fs);
}

static void a_vfs_with_open_files_is_not_taken_back(void **state)
{
	mfs *fs = *state;
	struct vfs_file f;
	sqlite3 *db = NULL;

	assert_code(mfs_sqlite_register(fs, TEST_VFS, false), 0);
	f = open_vfs_file(NULL, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_TEMP_DB);
	assert_refused(fs, mfs_sqlite_unregister(TEST_VFS), MFS_EBUSY);
	close_vfs_file(&f);
	/* An open that fails counts for nothing. */
	assert_sqlite(NULL, try_vfs_file("/none", SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB),
				  SQLITE_CANTOPEN);
	db = open_database("/db");
	assert_refused(fs, mfs_sqlite_unregister(TEST_VFS), MFS_EBUSY);
	run_sql(db, "CREATE TABLE t(a)");
	close_database(db);
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

static void the_default_is_used_where_none_is_named(void **state)
{
	mfs *fs = *state;
	sqlite3_vfs *host = sqlite3_vfs_find(NULL);
	sqlite3 *db = NULL;

	assert_code(mfs_sqlite_register(fs, "first", true), 0);
	assert_string_equal(sqlite3_vfs_find(NULL)->zName, "first");
	/* One on top of it has the host's clock, too. */
	assert_code(mfs_sqlite_register(fs, "second", true), 0);
	assert_sqlite(NULL, sqlite3_open("/db", &db), SQLITE_OK);
	run_sql(db, "CREATE TABLE t(a)");
	assert_true(mfs_is_file(fs, "/db"));
	close_database(db);
	assert_code(mfs_sqlite_unregister("first"), 0);
	assert_sqlite(NULL, sqlite3_open("/db", &db), SQLITE_OK);
	assert_true(number_of(db, "SELECT strftime('%Y')>2000 AND random() IS NOT NULL") == 1);
	close_database(db);
	assert_code(mfs_sqlite_unregister("second"), 0);
	assert_ptr_equal(sqlite3_vfs_find(NULL), host);
}

static void clock_random_numbers_and_libraries_are_the_hosts(void **state)
{
	sqlite3_vfs *host = sqlite3_vfs_find(NULL);
	sqlite3_vfs *vfs = NULL;
	sqlite3_int64 before = 0;
	sqlite3_int64 now = 0;
	double days = 0;
	char bytes[64] = {0};
	char text[256] = {0};

	assert_code(mfs_sqlite_register(*state, TEST_VFS, false), 0);
	vfs = test_vfs();
	assert_sqlite(NULL, host->xCurrentTimeInt64(host, &before), SQLITE_OK);
	assert_sqlite(NULL, vfs->xCurrentTimeInt64(vfs, &now), SQLITE_OK);
	assert_true(now >= before && now < before + 60000);
	assert_sqlite(NULL, vfs->xCurrentTime(vfs, &days), SQLITE_OK);
	assert_true(days > 2400000.0 && days < 3000000.0);
	assert_int_equal(vfs->xRandomness(vfs, sizeof(bytes), bytes), sizeof(bytes));
	size_t zeros = 0;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		zeros += bytes[i] == 0;
	}
	assert_true(zeros < 16);
	assert_true(vfs->xSleep(vfs, 1) >= 1);
	assert_null(vfs->xDlOpen(vfs, "/no such library.so"));
	vfs->xDlError(vfs, sizeof(text), text);
	assert_non_null(strstr(text, "no such library"));
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

static void the_last_error_is_told_with_its_text(void **state)
{
	sqlite3_vfs *vfs = NULL;
	sqlite3 *db = NULL;
	char text[256] = {0};

	assert_code(mfs_sqlite_register(*state, TEST_VFS, false), 0);
	vfs = test_vfs();
	assert_sqlite(NULL, sqlite3_open_v2("/no dir/db", &db, SQLITE_OPEN_READWRITE, TEST_VFS),
				  SQLITE_CANTOPEN);
	assert_int_equal(sqlite3_system_errno(db), ENOENT);
	assert_int_equal(vfs->xGetLastError(vfs, sizeof(text), text), ENOENT);
	assert_non_null(strstr(text, "/no dir/db"));
	close_database(db);
	assert_code(mfs_sqlite_unregister(TEST_VFS), 0);
}

#define THREADS 4
#define ROUNDS  300

struct registrar {
	mfs *fs;
	atomic_int *registered;
	atomic_int *failures;
	pthread_t thread;
};

/* All want the same name. */
static void *register_and_unregister(void *argument)
{
	struct registrar *r = argument;

	for (int round = 0; round < ROUNDS; round++) {
		int code = mfs_sqlite_register(r->fs, "wanted", round % 2 == 0);

		if (code == 0) {
			if (atomic_fetch_add(r->registered, 1) != 0) {
				atomic_fetch_add(r->failures, 1);
			}
			atomic_fetch_sub(r->registered, 1);
			code = mfs_sqlite_unregister("wanted");
			if (code != 0) {
				atomic_fetch_add(r->failures, 1);
			}
		} else if (code != MFS_EEXIST) {
			atomic_fetch_add(r->failures, 1);
		}
	}
	return NULL;
}

static void of_threads_that_want_a_name_one_gets_it(void **state)
{
	struct registrar registrars[THREADS];
	atomic_int registered = 0;
	atomic_int failures = 0;

	for (size_t i = 0; i < THREADS; i++) {
		registrars[i] = (struct registrar){*state, &registered, &failures, 0};
		registrars[i].thread = start_thread(register_and_unregister, &registrars[i]);
	}
	for (size_t i = 0; i < THREADS; i++) {
		join_thread(registrars[i].thread);
	}
	assert_int_equal(atomic_load(&failures), 0);
	assert_null(sqlite3_vfs_find("wanted"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(what_is_no_name_is_refused),
		WORKSPACE_TEST(a_name_is_given_once),
		WORKSPACE_TEST(the_name_is_copied),
		WORKSPACE_TEST(a_registered_workspace_is_not_freed),
		WORKSPACE_TEST(a_vfs_with_open_files_is_not_taken_back),
		WORKSPACE_TEST(the_default_is_used_where_none_is_named),
		WORKSPACE_TEST(clock_random_numbers_and_libraries_are_the_hosts),
		WORKSPACE_TEST(the_last_error_is_told_with_its_text),
		WORKSPACE_TEST(of_threads_that_want_a_name_one_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
