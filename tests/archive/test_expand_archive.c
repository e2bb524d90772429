/* SPDX-License-Identifier: MIT */
/*
 * Does an archive come into the workspace as it is and at one instant, from any source, and is
 * nothing left of one that cannot?
 */
#include "expanding.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

static int64_t expand(mfs *fs, const char *to, const struct bytes *bytes,
					  const mfs_archive_options *options)
{
	return expand_bytes(mfs_expand_archive, fs, to, bytes, options);
}

/*
 * What comes, and where
 */

static void it_comes_into_a_directory_that_is_made(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	mfs_archive_progress result;
	mfs_archive_options options = {.struct_size = sizeof(options), .result = &result};

	assert_code(expand(fs, "/new/place", &tar, &options), 2);
	assert_small_tar(fs, "/new/place");
	assert_true(mfs_is_dir(fs, "/new/place/dir"));
	assert_int_equal(usage_of(fs).files, 2);
	assert_int_equal(usage_of(fs).directories, 3);
	assert_int_equal(info_of(fs, "/new/place/b").generation, 0);
	assert_int_equal(result.entries, 3);
	assert_int_equal(result.files, 2);
	assert_int_equal(result.directories, 1);
	assert_int_equal(result.bytes, 5);
	assert_int_equal(result.unsafe, 0);
	assert_int_equal(result.conflicts, 0);
	assert_null(result.path);
	bytes_free(&tar);
}

static void it_comes_into_the_root_and_into_what_exists(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	make_dir(fs, "/dir");
	make_text(fs, "/dir/other", "stays");
	assert_code(expand(fs, "/", &tar, NULL), 2);
	assert_small_tar(fs, "");
	assert_text(fs, "/dir/other", "stays");
	assert_code(expand(fs, "relative/./to", &tar, NULL), 2);
	assert_small_tar(fs, "/relative/to");
	bytes_free(&tar);
	mfs *other = new_workspace(NULL);

	tar = small_tar();
	assert_code(expand(other, "", &tar, NULL), 2);
	assert_small_tar(other, "");
	free_workspace(other);
	bytes_free(&tar);
}

static void an_empty_archive_makes_the_directory(void **state)
{
	mfs *fs = *state;
	struct bytes tar = {0};

	tar_end(&tar);
	assert_code(expand(fs, "/empty", &tar, NULL), 0);
	assert_true(mfs_is_dir(fs, "/empty"));
	bytes_free(&tar);
}

static void a_large_file_comes_whole(void **state)
{
	mfs *fs = *state;
	size_t size = 9 * MIB + 77;
	struct bytes tar = large_tar(size);

	assert_code(expand(fs, "/", &tar, NULL), 1);
	assert_file_holds(fs, "/large", tar.data + TAR_HEADER_SIZE, size);
	bytes_free(&tar);
}

/*
 * Sources
 */

static int host_file(const struct bytes *bytes, size_t before)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes->data, bytes->size, (off_t)before), bytes->size);
	assert_int_equal(lseek(fd, (off_t)before, SEEK_SET), before);
	return fd;
}

static void it_comes_from_a_file_of_the_host(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(MIB + 1);
	int fd = host_file(&tar, 0);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	mfs_archive_source source = mfs_archive_from_host(path);

	assert_code(mfs_expand_archive(fs, "/", &source, NULL), 1);
	assert_file_holds(fs, "/large", tar.data + TAR_HEADER_SIZE, MIB + 1);
	assert_int_equal(close(fd), 0);
	bytes_free(&tar);
}

static void it_comes_from_where_a_descriptor_is(void **state)
{
	mfs *fs = *state;
	struct zip zip = {0};

	/* A zip is read from its end, by offsets from its start. */
	zip_file(&zip, "in zip", "text");
	zip_end(&zip);
	int fd = host_file(&zip.bytes, 4321);
	mfs_archive_source source = mfs_archive_from_fd(fd);

	assert_code(mfs_expand_archive(fs, "/", &source, NULL), 1);
	assert_text(fs, "/in zip", "text");
	assert_int_equal(close(fd), 0);
	bytes_free(&zip.bytes);
}

static void it_comes_from_a_pipe(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(MIB + 1);
	struct bytes packed = bytes_compress(&tar, "gzip");

	assert_code(expand_pipe(mfs_expand_archive, fs, "/plain", &tar, NULL), 1);
	assert_code(expand_pipe(mfs_expand_archive, fs, "/packed", &packed, NULL), 1);
	assert_file_holds(fs, "/plain/large", tar.data + TAR_HEADER_SIZE, MIB + 1);
	assert_file_holds(fs, "/packed/large", tar.data + TAR_HEADER_SIZE, MIB + 1);
	bytes_free(&packed);
	bytes_free(&tar);
}

static void it_comes_from_a_file_of_a_workspace(void **state)
{
	mfs *fs = *state;
	mfs *other = new_workspace(NULL);
	/* Of several chunks, so that headers and data lie across their ends. */
	struct bytes tar = large_tar(5 * MIB);
	struct bytes packed = bytes_compress(&tar, "zstd");

	make_file(fs, "/a.tar", tar.data, tar.size);
	make_file(other, "/a.tar.zst", packed.data, packed.size);
	mfs_archive_source source = mfs_archive_from_file(fs, "/a.tar");
	mfs_archive_source other_source = mfs_archive_from_file(other, "/a.tar.zst");

	assert_code(mfs_expand_archive(fs, "/own", &source, NULL), 1);
	assert_code(mfs_expand_archive(fs, "/other", &other_source, NULL), 1);
	assert_file_holds(fs, "/own/large", tar.data + TAR_HEADER_SIZE, 5 * MIB);
	assert_file_holds(fs, "/other/large", tar.data + TAR_HEADER_SIZE, 5 * MIB);
	free_workspace(other);
	bytes_free(&packed);
	bytes_free(&tar);
}

static void a_source_that_cannot_be_read_says_why(void **state)
{
	mfs *fs = *state;
	int fds[2];
	mfs_archive_source missing = mfs_archive_from_host("/no/such/archive");
	mfs_archive_source directory = mfs_archive_from_host("/");
	mfs_archive_source no_file = mfs_archive_from_file(fs, "/no such file");

	assert_refused(fs, mfs_expand_archive(fs, "/to", &missing, NULL), MFS_EHOST);
	assert_non_null(strstr(mfs_last_error(), "/no/such/archive"));
	assert_refused(fs, mfs_expand_archive(fs, "/to", &directory, NULL), MFS_EHOST);
	assert_refused(fs, mfs_expand_archive(fs, "/to", &no_file, NULL), MFS_ENOENT);
	assert_int_equal(pipe(fds), 0);
	/* The end that is written to. */
	mfs_archive_source unreadable = mfs_archive_from_fd(fds[1]);

	assert_refused(fs, mfs_expand_archive(fs, "/to", &unreadable, NULL), MFS_EHOST);
	close(fds[0]);
	close(fds[1]);
	assert_nothing(fs);
}

static void an_archive_in_a_file_that_is_held_is_busy(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .default_lock_timeout = MFS_NO_WAIT};
	mfs *fs = new_workspace(&options);
	mfs_file *writer = open_file(fs, "/a.tar", "wb");
	mfs_archive_source source = mfs_archive_from_file(fs, "/a.tar");

	(void)state;
	assert_refused(fs, mfs_expand_archive(fs, "/to", &source, NULL), MFS_EBUSY);
	close_file(writer);
	assert_false(mfs_exists(fs, "/to"));
	free_workspace(fs);
}

/*
 * At one instant
 */

struct witness {
	mfs *fs;
	unsigned reports;
	unsigned seen;      /* reports at which something was to be seen */
	unsigned stop_at;   /* the report to cancel at; 0: none */
	bool has_ended;     /* the last report was of the end */
	bool is_disordered; /* a count has shrunk, or a path is missing */
	mfs_archive_progress last;
	char paths[256]; /* of all reports, with a space behind each */
};

static bool witness_report(void *user, const mfs_archive_progress *progress)
{
	struct witness *witness = user;
	size_t length = strlen(witness->paths);

	witness->is_disordered |= witness->has_ended || progress->entries < witness->last.entries ||
							  progress->files < witness->last.files ||
							  progress->bytes < witness->last.bytes;
	witness->reports++;
	witness->seen += mfs_exists(witness->fs, "/to");
	witness->has_ended = progress->path == NULL;
	witness->last = *progress;
	if (progress->path != NULL) {
		snprintf(witness->paths + length, sizeof(witness->paths) - length, "%s ", progress->path);
	}
	return witness->reports != witness->stop_at;
}

static void nothing_is_seen_before_all_has_come(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	struct witness witness = {.fs = fs};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_progress = witness_report, .user = &witness};

	assert_code(expand(fs, "/to", &tar, &options), 2);
	assert_int_equal(witness.reports, 4);
	assert_int_equal(witness.seen, 0);
	assert_true(witness.has_ended);
	assert_false(witness.is_disordered);
	assert_int_equal(witness.last.files, 2);
	assert_string_equal(witness.paths, "dir/ dir/a b ");
	assert_small_tar(fs, "/to");
	bytes_free(&tar);
}

static void a_call_that_is_canceled_leaves_nothing(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	/* At each report, that of the end included. */
	for (unsigned stop_at = 1; stop_at <= 4; stop_at++) {
		struct witness witness = {.fs = fs, .stop_at = stop_at};
		mfs_archive_progress result = {0};
		mfs_archive_options options = {.struct_size = sizeof(options),
									   .on_progress = witness_report,
									   .user = &witness,
									   .result = &result};

		assert_refused(fs, expand(fs, "/to", &tar, &options), MFS_ECANCELED);
		assert_int_equal(witness.reports, stop_at);
		assert_int_equal(result.entries, stop_at < 4 ? stop_at : 3);
		assert_nothing(fs);
	}
	bytes_free(&tar);
}

static void a_call_that_is_canceled_stops_its_thread(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(12 * MIB);
	struct bytes rest = small_tar();
	struct witness witness = {.fs = fs, .stop_at = 2};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_progress = witness_report, .user = &witness};

	/* Behind the large file, in the place of the end, are others, and more than can be ahead. */
	tar.size -= 1024;
	bytes_append(&tar, rest.data, rest.size);
	struct bytes more = large_tar(8 * MIB);

	bytes_append(&tar, more.data, more.size);
	struct bytes packed = bytes_compress(&tar, "gzip");

	assert_code(expand(fs, "/to", &packed, &options), MFS_ECANCELED);
	assert_nothing(fs);
	bytes_free(&packed);
	bytes_free(&more);
	bytes_free(&rest);
	bytes_free(&tar);
}

/*
 * Conflicts
 */

static struct bytes tar_of(const char *path, const char *text)
{
	struct bytes tar = {0};

	tar_file(&tar, path, text);
	tar_file(&tar, "fresh", "fresh");
	tar_end(&tar);
	return tar;
}

static int64_t expand_onto(mfs *fs, const struct bytes *tar, int on_conflict,
						   mfs_archive_progress *result)
{
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_conflict = on_conflict, .result = result};

	return expand(fs, "/to", tar, &options);
}

static void a_file_that_is_there_is_a_conflict(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_of("old", "from the archive");
	mfs_archive_progress result;

	make_dir(fs, "/to");
	make_text(fs, "/to/old", "old");
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, &result), MFS_EEXIST);
	assert_non_null(strstr(mfs_last_error(), "/to/old"));
	assert_text(fs, "/to/old", "old");
	assert_false(mfs_exists(fs, "/to/fresh"));

	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 1);
	assert_int_equal(result.conflicts, 1);
	assert_int_equal(result.files, 1);
	assert_text(fs, "/to/old", "old");
	assert_text(fs, "/to/fresh", "fresh");

	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, &result), 2);
	assert_int_equal(result.conflicts, 0);
	assert_text(fs, "/to/old", "from the archive");
	bytes_free(&tar);
}

static void a_file_where_a_directory_is_is_a_conflict(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_of("place", "file");
	mfs_archive_progress result;

	assert_code(mfs_mkdir(fs, "/to/place", 0), 0);
	make_text(fs, "/to/place/in", "in");
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, NULL), MFS_EISDIR);
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), MFS_EISDIR);
	assert_false(mfs_exists(fs, "/to/fresh"));
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 1);
	assert_int_equal(result.conflicts, 1);
	assert_text(fs, "/to/place/in", "in");
	assert_text(fs, "/to/fresh", "fresh");
	bytes_free(&tar);
}

static void a_directory_where_a_file_is_is_a_conflict(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_of("place/below/file", "file");
	mfs_archive_progress result;

	make_dir(fs, "/to");
	make_text(fs, "/to/place", "a file");
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_ERROR, NULL), MFS_ENOTDIR);
	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), MFS_ENOTDIR);
	assert_false(mfs_exists(fs, "/to/fresh"));
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, &result), 1);
	assert_int_equal(result.conflicts, 1);
	assert_text(fs, "/to/place", "a file");
	assert_text(fs, "/to/fresh", "fresh");
	bytes_free(&tar);
}

static void a_file_is_no_place_to_expand_to(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	make_text(fs, "/file", "file");
	for (int on_conflict = MFS_ARCHIVE_ERROR; on_conflict <= MFS_ARCHIVE_OVERWRITE; on_conflict++) {
		mfs_archive_options options = {.struct_size = sizeof(options), .on_conflict = on_conflict};

		assert_refused(fs, expand(fs, "/file", &tar, &options), MFS_ENOTDIR);
		assert_refused(fs, expand(fs, "/file/below", &tar, &options), MFS_ENOTDIR);
		assert_text(fs, "/file", "file");
		assert_int_equal(usage_of(fs).files, 1);
	}
	bytes_free(&tar);
}

static void a_file_that_a_handle_holds_is_not_replaced(void **state)
{
	mfs *fs = *state;
	struct bytes tar = tar_of("old", "from the archive");

	make_dir(fs, "/to");
	make_text(fs, "/to/old", "old");
	mfs_file *reader = open_file(fs, "/to/old", "rb");

	assert_refused(fs, expand_onto(fs, &tar, MFS_ARCHIVE_OVERWRITE, NULL), MFS_EBUSY);
	assert_handle_holds(reader, "old", 3);
	assert_false(mfs_exists(fs, "/to/fresh"));
	/* What stays may be held. */
	assert_code(expand_onto(fs, &tar, MFS_ARCHIVE_SKIP, NULL), 1);
	close_file(reader);
	assert_text(fs, "/to/old", "old");
	bytes_free(&tar);
}

/*
 * Limits
 */

static void an_archive_that_does_not_fit_leaves_nothing(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	struct bytes tar = {0};
	struct bytes block = {0};

	(void)state;
	bytes_extend(&block, 100 * KIB);
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		tar_entry(&tar, name, TAR_FILE, block.data, block.size);
	}
	tar_end(&tar);
	assert_refused(fs, expand(fs, "/to", &tar, NULL), MFS_EQUOTA);
	assert_nothing(fs);
	assert_true(usage_of(fs).peak_bytes <= MIB);
	bytes_free(&block);
	bytes_free(&tar);
	free_workspace(fs);
}

/* The file's bytes are not there: only its size can have been looked at. */
static void a_file_that_cannot_fit_is_refused_unread(void **state)
{
	mfs *fs = new_plain_workspace(4 * MIB);
	struct bytes tar = {0};

	(void)state;
	tar_header(&tar, "large", TAR_FILE, NULL, UINT64_C(10) << 30);
	bytes_extend(&tar, 512);
	assert_refused(fs, expand(fs, "/to", &tar, NULL), MFS_EQUOTA);
	assert_nothing(fs);
	bytes_free(&tar);
	free_workspace(fs);
}

static void files_and_directories_count_against_max_nodes(void **state)
{
	mfs_options options = {.struct_size = sizeof(options), .max_nodes = 3};
	mfs *fs = new_workspace(&options);
	struct bytes tar = small_tar();

	(void)state;
	assert_refused(fs, expand(fs, "/to", &tar, NULL), MFS_ENODES);
	assert_nothing(fs);
	assert_code(expand(fs, "/", &tar, NULL), 2);
	bytes_free(&tar);
	free_workspace(fs);
}

struct remover {
	mfs *fs;
	int code;
};

static void *remove_when_somebody_waits(void *argument)
{
	struct remover *remover = argument;
	mfs_usage usage = {0};

	while (usage.waiters == 0 && remover->code == 0) {
		remover->code = mfs_stats(remover->fs, &usage);
	}
	if (remover->code == 0) {
		remover->code = mfs_remove(remover->fs, "/in the way");
	}
	return NULL;
}

static void it_waits_for_space_where_the_workspace_does(void **state)
{
	mfs_options options = {
		.struct_size = sizeof(options), .max_quota = 4 * MIB, .space_timeout = MFS_WAIT_FOREVER};
	mfs *fs = new_workspace(&options);
	struct bytes tar = large_tar(3 * MIB);
	void *block = allocate(2 * MIB);
	struct remover remover = {.fs = fs};

	(void)state;
	make_file(fs, "/in the way", block, 2 * MIB);
	pthread_t thread = start_thread(remove_when_somebody_waits, &remover);

	assert_code(expand(fs, "/", &tar, NULL), 1);
	join_thread(thread);
	assert_code(remover.code, 0);
	assert_file_holds(fs, "/large", tar.data + TAR_HEADER_SIZE, 3 * MIB);
	free(block);
	bytes_free(&tar);
	free_workspace(fs);
}

/*
 * What is left out
 */

static void a_success_leaves_the_last_error_alone(void **state)
{
	mfs *fs = *state;
	struct bytes tar = {0};
	mfs_archive_options options = {.struct_size = sizeof(options),
								   .on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE};

	tar_file(&tar, "a", "first");
	tar_file(&tar, "a", "second");
	tar_file(&tar, "../a", "outside");
	tar_file(&tar, "a/b", "below a file");
	tar_end(&tar);
	support__mark_last_error(fs);
	assert_code(expand(fs, "/to", &tar, &options), 1);
	assert_non_null(strstr(mfs_last_error(), "/the marker"));
	assert_text(fs, "/to/a", "first");
	bytes_free(&tar);
}

/*
 * Threads and processes
 */

struct job {
	mfs *fs;
	const struct bytes *bytes;
	char to[16];
	int64_t result;
	pthread_t thread;
};

static void *expand_job(void *argument)
{
	struct job *job = argument;
	mfs_archive_source source = mfs_archive_from_memory(job->bytes->data, job->bytes->size);

	for (int round = 0; round < 3 && job->result >= 0; round++) {
		mfs_archive_options options = {.struct_size = sizeof(options),
									   .on_conflict = MFS_ARCHIVE_OVERWRITE};

		job->result = mfs_expand_archive(job->fs, job->to, &source, &options);
	}
	return NULL;
}

static void threads_expand_side_by_side(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(3 * MIB);
	struct bytes packed = bytes_compress(&tar, "gzip");
	struct job jobs[4] = {0};

	for (unsigned i = 0; i < COUNT_OF(jobs); i++) {
		jobs[i].fs = fs;
		jobs[i].bytes = i % 2 == 0 ? &packed : &tar;
		snprintf(jobs[i].to, sizeof(jobs[i].to), "/%u", i);
		jobs[i].thread = start_thread(expand_job, &jobs[i]);
	}
	for (unsigned i = 0; i < COUNT_OF(jobs); i++) {
		char path[32];

		join_thread(jobs[i].thread);
		assert_code(jobs[i].result, 1);
		snprintf(path, sizeof(path), "/%u/large", i);
		assert_file_holds(fs, path, tar.data + TAR_HEADER_SIZE, 3 * MIB);
	}
	bytes_free(&packed);
	bytes_free(&tar);
}

struct forker {
	pid_t child;
	bool is_child;
};

/* Forks before the second entry, when a thread unpacks. */
static bool fork_once(void *user, const mfs_archive_progress *progress)
{
	struct forker *forker = user;

	if (progress->entries == 2 && forker->child == 0) {
		forker->child = fork();
		forker->is_child = forker->child == 0;
		if (forker->is_child) {
			forker->child = -1;
		}
	}
	return true;
}

static void a_forked_child_does_not_go_on(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(8 * MIB);
	struct bytes more = large_tar(8 * MIB);
	struct forker forker = {0};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .on_progress = fork_once, .user = &forker};
	int status = -1;

	memcpy(more.data, "other", 5);
	tar_set_checksum(more.data);
	tar.size -= 1024;
	bytes_append(&tar, more.data, more.size);
	struct bytes packed = bytes_compress(&tar, "gzip");
	int64_t result = expand(fs, "/to", &packed, &options);

	if (forker.is_child) {
		_exit(result == MFS_ECANCELED && !mfs_exists(fs, "/to") ? 0 : 1);
	}
	assert_code(result, 2);
	assert_int_equal(waitpid(forker.child, &status, 0), forker.child);
	assert_int_equal(status, 0);
	bytes_free(&packed);
	bytes_free(&more);
	bytes_free(&tar);
}

/*
 * Arguments
 */

static void bad_arguments_are_refused(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();
	mfs_archive_source good = mfs_archive_from_memory(tar.data, tar.size);
	mfs_archive_source bad[] = {
		mfs_archive_from_host(NULL),      mfs_archive_from_fd(-1),
		mfs_archive_from_memory(NULL, 1), mfs_archive_from_file(NULL, "/a"),
		mfs_archive_from_file(fs, NULL),  {.kind = 77},
	};
	mfs_archive_options options[] = {
		{.struct_size = 1},   {.struct_size = 1u << 20}, {.on_conflict = 3},
		{.on_conflict = -1},  {.on_unsafe = 2},          {.flags = 2},
		{.adapter_count = 1},
	};
	char *long_path = allocate(MFS_PATH_MAX + 2);

	assert_refused(fs, mfs_expand_archive(NULL, "/to", &good, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_expand_archive(fs, NULL, &good, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_expand_archive(fs, "/to", NULL, NULL), MFS_EINVAL);
	assert_refused(fs, mfs_expand_archive(fs, "/../to", &good, NULL), MFS_EINVAL);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_refused(fs, mfs_expand_archive(fs, "/to", &bad[i], NULL), MFS_EINVAL);
	}
	for (size_t i = 0; i < COUNT_OF(options); i++) {
		assert_refused(fs, mfs_expand_archive(fs, "/to", &good, &options[i]), MFS_EINVAL);
	}
	memset(long_path, 'a', MFS_PATH_MAX + 1);
	assert_refused(fs, mfs_expand_archive(fs, long_path, &good, NULL), MFS_ENAMETOOLONG);
	assert_nothing(fs);
	free(long_path);
	bytes_free(&tar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(it_comes_into_a_directory_that_is_made),
		WORKSPACE_TEST(it_comes_into_the_root_and_into_what_exists),
		WORKSPACE_TEST(an_empty_archive_makes_the_directory),
		WORKSPACE_TEST(a_large_file_comes_whole),
		WORKSPACE_TEST(it_comes_from_a_file_of_the_host),
		WORKSPACE_TEST(it_comes_from_where_a_descriptor_is),
		WORKSPACE_TEST(it_comes_from_a_pipe),
		WORKSPACE_TEST(it_comes_from_a_file_of_a_workspace),
		WORKSPACE_TEST(a_source_that_cannot_be_read_says_why),
		cmocka_unit_test(an_archive_in_a_file_that_is_held_is_busy),
		WORKSPACE_TEST(nothing_is_seen_before_all_has_come),
		WORKSPACE_TEST(a_call_that_is_canceled_leaves_nothing),
		WORKSPACE_TEST(a_call_that_is_canceled_stops_its_thread),
		WORKSPACE_TEST(a_file_that_is_there_is_a_conflict),
		WORKSPACE_TEST(a_file_where_a_directory_is_is_a_conflict),
		WORKSPACE_TEST(a_directory_where_a_file_is_is_a_conflict),
		WORKSPACE_TEST(a_file_is_no_place_to_expand_to),
		WORKSPACE_TEST(a_file_that_a_handle_holds_is_not_replaced),
		cmocka_unit_test(an_archive_that_does_not_fit_leaves_nothing),
		cmocka_unit_test(a_file_that_cannot_fit_is_refused_unread),
		cmocka_unit_test(files_and_directories_count_against_max_nodes),
		cmocka_unit_test(it_waits_for_space_where_the_workspace_does),
		WORKSPACE_TEST(a_success_leaves_the_last_error_alone),
		WORKSPACE_TEST(threads_expand_side_by_side),
		WORKSPACE_TEST(a_forked_child_does_not_go_on),
		WORKSPACE_TEST(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
