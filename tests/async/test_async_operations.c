/* SPDX-License-Identifier: MIT */
/* Does each operation give what the call of its name gives, its failures and their messages too? */
#include "async_support.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Each test's context is a global, so that the checks below read well. */
static mfs_async *context;

static int setup(void **state)
{
	context = new_context(2, 4, 64);
	return workspace_setup(state);
}

static int teardown(void **state)
{
	free_context(context);
	return workspace_teardown(state);
}

/* The operation fails as the call does, which comes first and changes nothing. */
#define assert_fails_as(operation, call)                                                           \
	do {                                                                                           \
		char noted_[MFS_ASYNC_MESSAGE_SIZE];                                                       \
		int64_t want_ = (call);                                                                    \
		assert_true(want_ < 0);                                                                    \
		(void)snprintf(noted_, sizeof(noted_), "%s", mfs_last_error());                            \
		mfs_async_completion got_ = completion_of(context, operation);                             \
		assert_code(got_.result, want_);                                                           \
		assert_string_equal(got_.message, noted_);                                                 \
	} while (0)

#define assert_gives(operation, want) assert_code(success_of(context, operation).result, want)

static void handle_calls_give_what_the_calls_give(void **state)
{
	mfs *fs = *state;
	char bytes[16] = "";
	char more[16] = "";
	struct iovec out[2] = {{(void *)"cd", 2}, {(void *)"ef", 2}};
	struct iovec in[2] = {{bytes, 1}, {more, 3}};
	mfs_file *file = open_by(context, fs, "/f", "w+b");

	assert_gives(mfs_async_write(context, file, "ab", 2, NULL), 2);
	assert_gives(mfs_async_writev(context, file, out, 2, NULL), 4);
	assert_gives(mfs_async_pwrite(context, file, "B", 1, 1, NULL), 1);
	assert_gives(mfs_async_seek(context, file, 0, SEEK_SET, NULL), 0);
	assert_gives(mfs_async_read(context, file, bytes, 3, NULL), 3);
	assert_memory_equal(bytes, "aBc", 3);
	assert_gives(mfs_async_readv(context, file, in, 2, NULL), 3);
	assert_memory_equal(bytes, "d", 1);
	assert_memory_equal(more, "ef", 2);
	assert_gives(mfs_async_pread(context, file, bytes, 16, 4, NULL), 2);
	assert_memory_equal(bytes, "ef", 2);
	assert_gives(mfs_async_truncate(context, file, 1, NULL), 0);
	assert_gives(mfs_async_close(context, file, NULL), 0);
	assert_text(fs, "/f", "a");
}

static void handle_calls_fail_as_the_calls_fail(void **state)
{
	mfs *fs = *state;
	char byte = 0;
	struct iovec vector = {&byte, 1};
	mfs_file *closed = open_file(fs, "/f", "wb");
	mfs_file *reader;

	close_file(closed);
	reader = open_file(fs, "/f", "rb");
	assert_fails_as(mfs_async_read(context, closed, &byte, 1, NULL), mfs_read(closed, &byte, 1));
	assert_fails_as(mfs_async_read(context, reader, NULL, 1, NULL), mfs_read(reader, NULL, 1));
	assert_fails_as(mfs_async_pread(context, NULL, &byte, 1, 0, NULL),
					mfs_pread(NULL, &byte, 1, 0));
	assert_fails_as(mfs_async_pread(context, reader, &byte, 1, -1, NULL),
					mfs_pread(reader, &byte, 1, -1));
	assert_fails_as(mfs_async_readv(context, reader, &vector, 1025, NULL),
					mfs_readv(reader, &vector, 1025));
	assert_fails_as(mfs_async_readv(context, reader, &vector, -1, NULL),
					mfs_readv(reader, &vector, -1));
	assert_fails_as(mfs_async_readv(context, reader, NULL, 1, NULL), mfs_readv(reader, NULL, 1));
	assert_fails_as(mfs_async_write(context, reader, "x", 1, NULL), mfs_write(reader, "x", 1));
	assert_fails_as(mfs_async_pwrite(context, reader, "x", 1, 0, NULL),
					mfs_pwrite(reader, "x", 1, 0));
	assert_fails_as(mfs_async_writev(context, reader, &vector, 1, NULL),
					mfs_writev(reader, &vector, 1));
	assert_fails_as(mfs_async_seek(context, reader, -1, SEEK_SET, NULL),
					mfs_seek(reader, -1, SEEK_SET));
	assert_fails_as(mfs_async_truncate(context, reader, 0, NULL), mfs_truncate(reader, 0));
	assert_fails_as(mfs_async_reserve(context, reader, 1, NULL),
					mfs_reserve(reader, 1, &(void *){NULL}));
	assert_fails_as(mfs_async_commit(context, reader, 1, NULL), mfs_commit(reader, 1));
	assert_fails_as(mfs_async_write_adopt(context, reader, &byte, 1, NULL, NULL, NULL),
					mfs_write_adopt(reader, &byte, 1, NULL, NULL));
	assert_fails_as(mfs_async_copy_range(context, reader, 0, closed, 0, 1, NULL),
					mfs_copy_range(reader, 0, closed, 0, 1));
	assert_fails_as(mfs_async_copy_range(context, reader, 0, NULL, 0, 1, NULL),
					mfs_copy_range(reader, 0, NULL, 0, 1));
	assert_fails_as(mfs_async_close(context, closed, NULL), mfs_close(closed));
	close_file(reader);
}

static void count_release(void *user, void *buffer, size_t length)
{
	(void)buffer;
	*(size_t *)user += length;
}

static void bytes_pass_without_copying(void **state)
{
	mfs *fs = *state;
	static char handed_over[] = "handed over";
	size_t released = 0;
	mfs_file *file = open_by(context, fs, "/f", "w+b");
	mfs_file *copy = open_by(context, fs, "/copy", "w+b");
	mfs_async_completion reserved;

	assert_gives(
		mfs_async_write_adopt(context, file, handed_over, 11, count_release, &released, NULL), 11);
	assert_gives(mfs_async_copy_range(context, file, 0, copy, 0, 6, NULL), 6);
	reserved = success_of(context, mfs_async_reserve(context, copy, 3, NULL));
	assert_int_equal(reserved.result, 3);
	memcpy(reserved.output.buffer, "HAN", 3);
	assert_gives(mfs_async_commit(context, copy, 3, NULL), 0);
	/* Within one file: its turn is taken once. */
	assert_gives(mfs_async_copy_range(context, copy, 0, copy, 6, 6, NULL), 6);
	assert_gives(mfs_async_close(context, copy, NULL), 0);
	assert_gives(mfs_async_close(context, file, NULL), 0);
	assert_text(fs, "/f", "handed over");
	assert_text(fs, "/copy", "HANdedHANded");
	assert_gives(mfs_async_remove(context, fs, "/f", NULL), 0);
	assert_gives(mfs_async_remove(context, fs, "/copy", NULL), 0);
	assert_int_equal(released, 11);
}

static void descriptors_take_and_give_bytes(void **state)
{
	mfs *fs = *state;
	char bytes[8] = "";
	int ends[2];
	mfs_async_completion refused;
	mfs_file *file = open_by(context, fs, "/f", "w+b");

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "piped", 5), 5);
	assert_gives(mfs_async_write_from_fd(context, file, 0, 5, ends[0], NULL), 5);
	assert_gives(mfs_async_read_to_fd(context, file, 1, 3, ends[1], NULL), 3);
	assert_int_equal(read(ends[0], bytes, sizeof(bytes)), 3);
	assert_memory_equal(bytes, "ipe", 3);
	assert_fails_as(mfs_async_read_to_fd(context, file, 0, 1, -1, NULL),
					mfs_read_to_fd(file, 0, 1, -1));
	assert_fails_as(mfs_async_write_from_fd(context, file, 0, 1, -1, NULL),
					mfs_write_from_fd(file, 0, 1, -1));
	/* No reader: this thread would get a signal. */
	assert_int_equal(close(ends[0]), 0);
	refused = completion_of(context, mfs_async_read_to_fd(context, file, 0, 5, ends[1], NULL));
	assert_code(refused.result, MFS_EHOST);
	assert_int_equal(refused.host_errno, EPIPE);
	assert_int_equal(close(ends[1]), 0);
	close_file(file);
}

static void opens_give_what_opens_give(void **state)
{
	mfs *fs = *state;
	mfs_open_options options = {.struct_size = sizeof(options), .preallocate = 100};
	mfs_file *file = NULL;

	file = success_of(context, mfs_async_open(context, fs, "/f", "wb", &options, NULL)).output.file;
	assert_int_equal(mfs_get_size(fs, "/f"), 100);
	close_file(file);
	options = (mfs_open_options){.flags = MFS_O_SHARED};
	file = success_of(context, mfs_async_open(context, fs, "/f", "wb", &options, NULL)).output.file;
	assert_int_equal(mfs_get_size(fs, "/f"), 0);
	close_file(file);

	assert_fails_as(mfs_async_open(context, fs, "/none", "rb", NULL, NULL),
					mfs_open(fs, "/none", "rb", &file));
	assert_fails_as(mfs_async_open(context, fs, "/f", "xb", NULL, NULL),
					mfs_open(fs, "/f", "xb", &file));
	assert_fails_as(mfs_async_open(context, fs, "/f", "bad", NULL, NULL),
					mfs_open(fs, "/f", "bad", &file));
	assert_fails_as(mfs_async_open(context, fs, "/f", NULL, NULL, NULL),
					mfs_open(fs, "/f", NULL, &file));
	assert_fails_as(mfs_async_open(context, fs, NULL, "rb", NULL, NULL),
					mfs_open(fs, NULL, "rb", &file));
	assert_fails_as(mfs_async_open(context, NULL, "/f", "rb", NULL, NULL),
					mfs_open(NULL, "/f", "rb", &file));
	options = (mfs_open_options){.lock_timeout = -7};
	assert_fails_as(mfs_async_open(context, fs, "/f", "rb", &options, NULL),
					mfs_open_ex(fs, "/f", "rb", &options, &file));
	options = (mfs_open_options){.struct_size = sizeof(size_t)};
	assert_fails_as(mfs_async_open(context, fs, "/f", "rb", &options, NULL),
					mfs_open_ex(fs, "/f", "rb", &options, &file));
}

static void an_open_that_does_not_wait_is_refused_as_the_call_is(void **state)
{
	mfs *fs = *state;
	mfs_open_options options = {.lock_timeout = MFS_NO_WAIT};
	mfs_file *writer = open_file(fs, "/f", "wb");
	mfs_file *file = NULL;

	assert_fails_as(mfs_async_open(context, fs, "/f", "rb", &options, NULL),
					mfs_open_ex(fs, "/f", "rb", &options, &file));
	close_file(writer);
}

static char *long_path(size_t length)
{
	char *path = allocate(length + 1);

	memset(path, 'x', length);
	path[0] = '/';
	return path;
}

static void paths_that_are_too_long_are_refused(void **state)
{
	mfs *fs = *state;
	char *path = long_path(MFS_PATH_MAX + 5000);

	assert_fails_as(mfs_async_mkdir(context, fs, path, 0, NULL), mfs_mkdir(fs, path, 0));
	assert_fails_as(mfs_async_rename(context, fs, "/", path, 0, NULL),
					mfs_rename(fs, "/", path, 0));
	free(path);
}

static void paths_may_change_once_an_operation_is_accepted(void **state)
{
	mfs *fs = *state;
	char path[] = "/kept";
	int64_t number = accepted(mfs_async_mkdir(context, fs, path, 0, NULL));

	memset(path, 'X', sizeof(path) - 1);
	assert_code(result_of(context, number), 0);
	assert_true(mfs_is_dir(fs, "/kept"));
}

static void trees_are_changed_as_the_calls_change_them(void **state)
{
	mfs *fs = *state;

	assert_gives(mfs_async_mkdir(context, fs, "/a/b", 0, NULL), 0);
	make_text(fs, "/a/b/f", "text");
	assert_gives(mfs_async_copy(context, fs, "/a/b/f", "/a/g", NULL), 0);
	assert_gives(mfs_async_copy_tree(context, fs, "/a", "/c", NULL), 0);
	assert_gives(mfs_async_rename(context, fs, "/c/g", "/c/h", 0, NULL), 0);
	assert_gives(mfs_async_move(context, fs, "/c/h", "/d/e/h", 0, NULL), 0);
	assert_gives(mfs_async_remove(context, fs, "/a/g", NULL), 0);
	assert_gives(mfs_async_rmtree(context, fs, "/a", NULL), 0);
	assert_false(mfs_exists(fs, "/a"));
	assert_false(mfs_exists(fs, "/c/g"));
	assert_text(fs, "/c/b/f", "text");
	assert_text(fs, "/d/e/h", "text");

	assert_fails_as(mfs_async_mkdir(context, fs, "/c", 0, NULL), mfs_mkdir(fs, "/c", 0));
	assert_fails_as(mfs_async_remove(context, fs, "/c", NULL), mfs_remove(fs, "/c"));
	assert_fails_as(mfs_async_rename(context, fs, "/a", "/b", 0, NULL),
					mfs_rename(fs, "/a", "/b", 0));
	assert_fails_as(mfs_async_move(context, fs, "/c", "/d", 0, NULL), mfs_move(fs, "/c", "/d", 0));
	assert_fails_as(mfs_async_rmtree(context, fs, "/", NULL), mfs_rmtree(fs, "/"));
	assert_fails_as(mfs_async_copy(context, fs, "/c", "/x", NULL), mfs_copy(fs, "/c", "/x"));
	assert_fails_as(mfs_async_copy_tree(context, fs, "/c", "/d", NULL),
					mfs_copy_tree(fs, "/c", "/d"));
}

static void trees_are_read_as_the_calls_read_them(void **state)
{
	mfs *fs = *state;
	mfs_async_completion done;
	mfs_entry entry;

	make_dir(fs, "/d/e");
	make_text(fs, "/d/f", "text");
	done = success_of(context, mfs_async_listdir(context, fs, "/d", NULL));
	assert_int_equal(done.result, 2);
	assert_string_equal(done.output.names[1], "f");
	mfs_names_free(done.output.names);
	done = success_of(context, mfs_async_glob(context, fs, "/d/?", NULL));
	assert_int_equal(done.result, 2);
	assert_string_equal(done.output.names[0], "/d/e");
	mfs_names_free(done.output.names);
	done = success_of(context, mfs_async_opendir(context, fs, "/d", NULL));
	assert_code(mfs_readdir(done.output.dir, &entry), 1);
	assert_string_equal(entry.name, "e");
	assert_code(mfs_closedir(done.output.dir), 0);

	mfs_walk *walk = success_of(context, mfs_async_walk_open(context, fs, "/", NULL)).output.walk;
	done = success_of(context, mfs_async_walk_next(context, walk, NULL));
	assert_int_equal(done.result, 1);
	assert_string_equal(done.output.level.path, "/");
	done = success_of(context, mfs_async_walk_next(context, walk, NULL));
	assert_string_equal(done.output.level.path, "/d");
	assert_string_equal(done.output.level.files[0], "f");
	assert_gives(mfs_async_walk_next(context, walk, NULL), 1);
	assert_gives(mfs_async_walk_next(context, walk, NULL), 0);
	assert_code(mfs_walk_close(walk), 0);

	assert_fails_as(mfs_async_listdir(context, fs, "/d/f", NULL),
					mfs_listdir(fs, "/d/f", &(char **){NULL}));
	assert_fails_as(mfs_async_glob(context, fs, NULL, NULL), mfs_glob(fs, NULL, &(char **){NULL}));
	assert_fails_as(mfs_async_opendir(context, fs, "/x", NULL),
					mfs_opendir(fs, "/x", &(mfs_dir *){NULL}));
	assert_fails_as(mfs_async_walk_open(context, fs, "/x", NULL),
					mfs_walk_open(fs, "/x", &(mfs_walk *){NULL}));
	assert_fails_as(mfs_async_walk_next(context, NULL, NULL),
					mfs_walk_next(NULL, &(mfs_walk_level){0}));
}

static void imports_bring_what_the_calls_bring(void **state)
{
	mfs *fs = *state;
	mfs_import_item items[] = {{.path = "/i/a", .data = "a", .size = 1},
							   {.path = "/i/b", .data = "bb", .size = 2}};
	mfs_open_options options = {.preallocate = 2};
	mfs_file *file = NULL;
	mfs_import *import = NULL;

	assert_gives(mfs_async_import_tree(context, fs, items, 2, NULL), 0);
	assert_text(fs, "/i/b", "bb");
	items[1].path = "/i/a";
	assert_fails_as(mfs_async_import_tree(context, fs, items, 2, NULL),
					mfs_import_tree(fs, items, 2));

	import = success_of(context, mfs_async_import_begin(context, fs, NULL)).output.import;
	assert_gives(mfs_async_import_mkdir(context, import, "/j", NULL), 0);
	file = success_of(context, mfs_async_import_open(context, import, "/j/f", "wb", &options, NULL))
			   .output.file;
	assert_gives(mfs_async_write(context, file, "f", 1, NULL), 1);
	assert_fails_as(mfs_async_import_commit(context, import, 0, NULL),
					mfs_import_commit(import, 0));
	assert_fails_as(mfs_async_import_mkdir(context, import, "/j/f", NULL),
					mfs_import_mkdir(import, "/j/f"));
	assert_fails_as(mfs_async_import_open(context, import, "/j/g", "rb", NULL, NULL),
					mfs_import_open(import, "/j/g", "rb", NULL, &(mfs_file *){NULL}));
	assert_gives(mfs_async_close(context, file, NULL), 0);
	assert_gives(mfs_async_import_commit(context, import, MFS_IMPORT_NEW, NULL), 1);
	assert_int_equal(mfs_get_size(fs, "/j/f"), 2);

	import = success_of(context, mfs_async_import_begin(context, fs, NULL)).output.import;
	assert_gives(mfs_async_import_mkdir(context, import, "/k", NULL), 0);
	assert_gives(mfs_async_import_abort(context, import, NULL), 0);
	assert_false(mfs_exists(fs, "/k"));
	assert_fails_as(mfs_async_import_begin(context, NULL, NULL),
					mfs_import_begin(NULL, &(mfs_import *){NULL}));
}

static bool count_progress(void *user, const mfs_progress *progress)
{
	(void)progress;
	++*(int *)user;
	return true;
}

static void transfers_reach_the_host_and_come_back(void **state)
{
	mfs *fs = *state;
	char base[] = "/tmp/dmemfs-async-XXXXXX";
	char host[64];
	char path[96];
	int calls = 0;
	mfs_transfer_options options = {.on_progress = count_progress, .user = &calls};

	assert_non_null(mkdtemp(base));
	(void)snprintf(host, sizeof(host), "%s/out", base);
	make_dir(fs, "/d");
	make_text(fs, "/d/f", "text");
	assert_gives(mfs_async_export_to_dir(context, fs, "/d", host, &options, NULL), 0);
	assert_gives(mfs_async_import_from_dir(context, fs, host, "/back", NULL, NULL), 0);
	assert_text(fs, "/back/f", "text");
	assert_true(calls > 0);
	assert_fails_as(mfs_async_import_from_dir(context, fs, "/none/such", "/x", NULL, NULL),
					mfs_import_from_dir(fs, "/none/such", "/x", NULL));
	assert_fails_as(mfs_async_export_to_dir(context, fs, "/none", host, NULL, NULL),
					mfs_export_to_dir(fs, "/none", host, NULL));
	(void)snprintf(path, sizeof(path), "%s/f", host);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(host), 0);
	assert_int_equal(rmdir(base), 0);
}

static void exports_give_what_the_calls_give(void **state)
{
	mfs *fs = *state;
	struct stat status;
	mfs_async_completion done;
	mfs_export *iterator = NULL;

	make_text(fs, "/f", "text");
	done = success_of(context, mfs_async_export_buffer(context, fs, "/f", 0, NULL));
	assert_int_equal(done.result, 4);
	assert_memory_equal(done.output.buffer, "text", 4);
	mfs_buffer_free(done.output.buffer);
	done = success_of(context, mfs_async_export_fd(context, fs, "/f", NULL));
	assert_int_equal(fstat((int)done.result, &status), 0);
	assert_int_equal(status.st_size, 4);
	assert_int_equal(close((int)done.result), 0);
	iterator = success_of(context, mfs_async_export_open(context, fs, "/", 0, NULL))
				   .output.export_iterator;
	done = success_of(context, mfs_async_export_next(context, iterator, NULL));
	assert_int_equal(done.result, 1);
	assert_string_equal(done.output.item.path, "/f");
	assert_memory_equal(done.output.item.data, "text", 4);
	assert_gives(mfs_async_export_next(context, iterator, NULL), 0);
	assert_code(mfs_export_close(iterator), 0);

	assert_fails_as(mfs_async_export_buffer(context, fs, "/f", 3, NULL),
					mfs_export_buffer(fs, "/f", 3, &(void *){NULL}));
	assert_fails_as(mfs_async_export_fd(context, fs, "/", NULL), mfs_export_fd(fs, "/"));
	assert_fails_as(mfs_async_export_open(context, fs, "/x", 0, NULL),
					mfs_export_open(fs, "/x", 0, &(mfs_export *){NULL}));
	assert_fails_as(mfs_async_export_next(context, NULL, NULL),
					mfs_export_next(NULL, &(mfs_export_item){0}));
}

static void workspaces_are_made_filled_and_freed(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .max_quota = 1000};
	mfs *fs = NULL;
	mfs_reservation *reservation = NULL;

	(void)state;
	fs = success_of(context, mfs_async_workspace_new(context, &options, NULL)).output.fs;
	assert_int_equal(usage_of(fs).quota_bytes, 1000);
	reservation =
		success_of(context, mfs_async_reservation_new(context, fs, 900, NULL)).output.reservation;
	assert_code(mfs_reservation_left(reservation), 900);
	assert_gives(mfs_async_wait_for_space(context, fs, 100, MFS_WAIT_FOREVER, NULL), 0);
	assert_fails_as(mfs_async_wait_for_space(context, fs, 500, MFS_NO_WAIT, NULL),
					mfs_wait_for_space(fs, 500, MFS_NO_WAIT));
	assert_fails_as(mfs_async_wait_for_space(context, fs, 500, 1, NULL),
					mfs_wait_for_space(fs, 500, 1));
	assert_fails_as(mfs_async_wait_for_space(context, fs, 500, 0, NULL),
					mfs_wait_for_space(fs, 500, 0));
	assert_fails_as(mfs_async_reservation_new(context, fs, 0, NULL),
					mfs_reservation_new(fs, 0, &(mfs_reservation *){NULL}));
	assert_fails_as(mfs_async_workspace_free(context, fs, NULL), mfs_free(fs));
	assert_code(mfs_reservation_free(reservation), 0);
	assert_gives(mfs_async_workspace_free(context, fs, NULL), 0);

	options.default_storage = 99;
	assert_fails_as(mfs_async_workspace_new(context, &options, NULL), mfs_new(&options, &fs));
}

static int64_t give_number(void *argument)
{
	return *(int64_t *)argument;
}

static int64_t note_a_failure(void *argument)
{
	errno = EXDEV;
	return mfs_set_last_error(MFS_EHOST, "noted: %s", (const char *)argument);
}

static void functions_of_ones_own_give_what_they_return(void **state)
{
	int64_t number = INT64_MAX;
	mfs_async_completion done;

	(void)state;
	assert_gives(mfs_async_call(context, give_number, &number, 0, NULL), INT64_MAX);
	assert_gives(mfs_async_call(context, give_number, &number, MFS_ASYNC_MAY_WAIT, NULL),
				 INT64_MAX);
	done = completion_of(context, mfs_async_call(context, note_a_failure, "so", 0, NULL));
	assert_code(done.result, MFS_EHOST);
	assert_string_equal(done.message, "noted: so");
	assert_int_equal(done.host_errno, EXDEV);
	/* Without a note of its own, the last one's is not taken for it. */
	number = MFS_ENODES;
	done = completion_of(context, mfs_async_call(context, give_number, &number, 0, NULL));
	assert_code(done.result, MFS_ENODES);
	assert_string_equal(done.message, mfs_strerror(MFS_ENODES));
	number = INT64_MIN;
	done = completion_of(context, mfs_async_call(context, give_number, &number, 0, NULL));
	assert_true(done.result == INT64_MIN);
	assert_string_equal(done.message, "unknown error");
	assert_code(result_of(context, mfs_async_call(context, NULL, NULL, 0, NULL)), MFS_EINVAL);
	assert_code(result_of(context, mfs_async_call(context, give_number, NULL, 8, NULL)),
				MFS_EINVAL);
}

static void a_failure_leaves_nothing_in_the_next_completion(void **state)
{
	mfs *fs = *state;
	mfs_async_completion done;

	/* The slot used last is the next one to be used. */
	done = success_of(context, mfs_async_open(context, fs, "/f", "wb", NULL, NULL));
	assert_non_null(done.output.file);
	close_file(done.output.file);
	done = completion_of(context, mfs_async_open(context, fs, "/none", "rb", NULL, NULL));
	assert_code(done.result, MFS_ENOENT);
	assert_null(done.output.file);
	assert_string_not_equal(done.message, "");
	assert_gives(mfs_async_mkdir(context, fs, "/d", 0, NULL), 0);
}

static void users_and_numbers_come_back(void **state)
{
	mfs *fs = *state;
	int64_t first = accepted(mfs_async_mkdir(context, fs, "/d", 0, &first));
	mfs_async_completion done = completion_of(context, first);
	int64_t second = accepted(mfs_async_mkdir(context, fs, "/e", 0, NULL));

	assert_ptr_equal(done.user, &first);
	assert_true(first != second);
	done = completion_of(context, second);
	assert_null(done.user);
}

static void wrong_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	struct {
		mfs_open_options known;
		int64_t unknown;
	} newer = {.known.struct_size = sizeof(newer), .unknown = 1};
	mfs_async_completion done;
	mfs_async_options options = {0};
	mfs_async *made = NULL;

	assert_refused(fs, mfs_async_open(context, fs, "/f", "wb", &newer.known, NULL), MFS_EINVAL);
	newer.unknown = 0;
	close_file(success_of(context, mfs_async_open(context, fs, "/f", "wb", &newer.known, NULL))
				   .output.file);
	assert_refused(fs, mfs_async_remove(NULL, fs, "/f", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_async_collect(context, &done, 0), MFS_EINVAL);
	assert_refused(fs, mfs_async_collect(context, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_async_collect(NULL, &done, 1), MFS_EINVAL);
	assert_refused(fs, mfs_async_wait(context, &done, 1, -3), MFS_EINVAL);
	assert_refused(fs, mfs_async_wait(context, &done, 0, 0), MFS_EINVAL);
	assert_refused(fs, mfs_async_fd(NULL), MFS_EINVAL);
	assert_refused(fs, mfs_async_pending(NULL), MFS_EINVAL);
	assert_refused(fs, mfs_async_shutdown(context, 0), MFS_EINVAL);
	assert_refused(fs, mfs_async_shutdown(NULL, MFS_ASYNC_DRAIN), MFS_EINVAL);
	assert_refused(fs, mfs_async_cancel(NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_async_new(NULL, NULL), MFS_EINVAL);
	options.workers = 257;
	assert_refused(fs, mfs_async_new(&options, &made), MFS_EINVAL);
	options = (mfs_async_options){.max_waiting = 4097};
	assert_refused(fs, mfs_async_new(&options, &made), MFS_EINVAL);
	options = (mfs_async_options){.capacity = (1u << 20) + 1};
	assert_refused(fs, mfs_async_new(&options, &made), MFS_EINVAL);
	options = (mfs_async_options){.reserved = 1};
	assert_refused(fs, mfs_async_new(&options, &made), MFS_EINVAL);
	options = (mfs_async_options){.stack_size = 1};
	assert_refused(fs, mfs_async_new(&options, &made), MFS_EINVAL);
	options = (mfs_async_options){.struct_size = 8};
	assert_refused(fs, mfs_async_new(&options, &made), MFS_EINVAL);
	assert_null(made);
	assert_code(mfs_async_free(NULL), 0);
}

#define CONTEXT_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTEXT_TEST(handle_calls_give_what_the_calls_give),
		CONTEXT_TEST(handle_calls_fail_as_the_calls_fail),
		CONTEXT_TEST(bytes_pass_without_copying),
		CONTEXT_TEST(descriptors_take_and_give_bytes),
		CONTEXT_TEST(opens_give_what_opens_give),
		CONTEXT_TEST(an_open_that_does_not_wait_is_refused_as_the_call_is),
		CONTEXT_TEST(paths_that_are_too_long_are_refused),
		CONTEXT_TEST(paths_may_change_once_an_operation_is_accepted),
		CONTEXT_TEST(trees_are_changed_as_the_calls_change_them),
		CONTEXT_TEST(trees_are_read_as_the_calls_read_them),
		CONTEXT_TEST(imports_bring_what_the_calls_bring),
		CONTEXT_TEST(transfers_reach_the_host_and_come_back),
		CONTEXT_TEST(exports_give_what_the_calls_give),
		CONTEXT_TEST(workspaces_are_made_filled_and_freed),
		CONTEXT_TEST(functions_of_ones_own_give_what_they_return),
		CONTEXT_TEST(a_failure_leaves_nothing_in_the_next_completion),
		CONTEXT_TEST(users_and_numbers_come_back),
		CONTEXT_TEST(wrong_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
