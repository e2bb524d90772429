/* SPDX-License-Identifier: MIT */
/* Does an expansion or a creation that runs out of memory, at whichever allocation, leave nothing?
 */
#include "expanding.h"
#include "failing_malloc.h"

#include <fcntl.h>
#include <sys/mman.h>

/** What is done with failing allocations. */
struct attempt {
	expand_function *expand;
	const mfs_archive_source *source;
	const mfs_archive_options *options;
};

/* Takes the first bytes, so that these are asked for. */
static bool never(void *user, const void *head, size_t size)
{
	(void)user;
	(void)head;
	(void)size;
	return false;
}

static int no_open(void *user, mfs_archive_input *input, void **archive)
{
	(void)user;
	(void)input;
	(void)archive;
	return MFS_EINVAL;
}

static int no_next(void *archive, mfs_archive_entry *entry)
{
	(void)archive;
	(void)entry;
	return MFS_EINVAL;
}

static int64_t no_read(void *archive, void *buffer, size_t size)
{
	(void)archive;
	(void)buffer;
	(void)size;
	return MFS_EINVAL;
}

static void no_close(void *archive)
{
	(void)archive;
}

static const mfs_archive_adapter unwilling = {.name = "unwilling",
											  .probe = never,
											  .open = no_open,
											  .next = no_next,
											  .read = no_read,
											  .close = no_close};

/** The n-th allocation fails, for n = 0, 1 and so on until none does; returns how many there were.
 */
static long expand_without_memory(mfs *fs, const struct attempt *attempt)
{
	mfs_usage before = usage_of(fs);

	for (long successes = 0;; successes++) {
		support__mark_last_error(fs);
		failing_malloc_after(successes);
		int64_t result = attempt->expand(fs, "/to", attempt->source, attempt->options);
		bool met = failing_malloc_met();

		failing_malloc_after(-1);
		if (!met) {
			assert_code(result, 2);
			assert_small_tar(fs, "/to");
			assert_code(mfs_rmtree(fs, "/to"), 0);
			return successes;
		}
		support__check_message("an expansion", __FILE__, __LINE__);
		assert_code(result, MFS_ENOMEM);
		assert_int_equal(usage_of(fs).files, before.files);
		assert_int_equal(usage_of(fs).used_bytes, before.used_bytes);
		assert_int_equal(usage_of(fs).open_handles, 0);
		if (attempt->expand == mfs_expand_archive) {
			assert_false(mfs_exists(fs, "/to"));
		} else if (mfs_exists(fs, "/to")) {
			/* The directory has come, as it had been read. */
			assert_code(mfs_rmtree(fs, "/to"), 0);
		}
	}
}

static void an_expansion_without_memory_leaves_nothing(void **state)
{
	mfs *fs = *state;
	struct bytes tar = small_tar();

	/* Long enough for the first bytes to lie in several pieces of a file. */
	bytes_extend(&tar, 100 * KIB);
	struct bytes packed = bytes_compress(&tar, "gzip");
	int fd = memfd_create("archive", MFD_CLOEXEC);
	char host_path[64];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, packed.data, packed.size), packed.size);
	snprintf(host_path, sizeof(host_path), "/proc/self/fd/%d", fd);
	mfs_file *file = open_file(fs, "/archive", "wb");

	/* Byte by byte at first, so that its chunks are small. */
	for (size_t at = 0; at < tar.size; at += 1000) {
		size_t part = tar.size - at < 1000 ? tar.size - at : 1000;

		assert_code(mfs_write(file, tar.data + at, part), part);
	}
	close_file(file);

	const mfs_archive_adapter *adapters[] = {&unwilling};
	mfs_archive_options options = {
		.struct_size = sizeof(options), .adapters = adapters, .adapter_count = 1};
	mfs_archive_source sources[] = {
		mfs_archive_from_memory(tar.data, tar.size),
		mfs_archive_from_memory(packed.data, packed.size),
		mfs_archive_from_host(host_path),
		mfs_archive_from_file(fs, "/archive"),
	};
	/* The expansion, the reader of entries; then also zlib's buffer; the host's; the first bytes.
	 */
	const long least[] = {2, 3, 4, 3};

	for (size_t i = 0; i < COUNT_OF(sources); i++) {
		struct attempt attempt = {mfs_expand_archive, &sources[i], &options};

		assert_true(expand_without_memory(fs, &attempt) >= least[i]);
		attempt.expand = mfs_expand_archive_streaming;
		assert_true(expand_without_memory(fs, &attempt) >= least[i]);
	}
	assert_int_equal(close(fd), 0);
	bytes_free(&packed);
	bytes_free(&tar);
}

/* The buffers of the thread that unpacks are not needed. */
static void a_large_archive_comes_without_memory_for_a_thread(void **state)
{
	mfs *fs = *state;
	struct bytes tar = large_tar(4 * MIB);
	struct bytes packed = bytes_compress(&tar, "gzip");
	mfs_archive_source source = mfs_archive_from_memory(packed.data, packed.size);
	unsigned failures = 0;

	for (long successes = 0;; successes++) {
		failing_malloc_after(successes);
		int64_t result = mfs_expand_archive(fs, "/to", &source, NULL);
		bool met = failing_malloc_met();

		failing_malloc_after(-1);
		if (result == MFS_ENOMEM) {
			assert_true(met);
			assert_nothing(fs);
			failures++;
			continue;
		}
		assert_code(result, 1);
		assert_file_holds(fs, "/to/large", tar.data + TAR_HEADER_SIZE, 4 * MIB);
		assert_code(mfs_rmtree(fs, "/to"), 0);
		if (!met) {
			/* One that failed was no failure. */
			assert_int_equal(successes, failures + 1);
			break;
		}
	}
	bytes_free(&packed);
	bytes_free(&tar);
}

static void a_creation_without_memory_says_so(void **state)
{
	mfs *fs = *state;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	long successes = 0;

	assert_true(fd >= 0);
	make_dir(fs, "/dir");
	make_text(fs, "/dir/file", "text");
	for (bool met = true; met; successes++) {
		support__mark_last_error(fs);
		failing_malloc_after(successes);
		int64_t result = mfs_create_archive(fs, "/", fd, NULL);

		met = failing_malloc_met();
		failing_malloc_after(-1);
		if (met) {
			support__check_message("a creation", __FILE__, __LINE__);
		}
		assert_code(result, met ? MFS_ENOMEM : 1);
		assert_int_equal(usage_of(fs).open_handles, 0);
	}
	assert_true(successes > 1);
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(an_expansion_without_memory_leaves_nothing),
		WORKSPACE_TEST(a_large_archive_comes_without_memory_for_a_thread),
		WORKSPACE_TEST(a_creation_without_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
