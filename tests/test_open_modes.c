/* SPDX-License-Identifier: MIT */
/*
 * What does opening do in each mode, and what does a failing open leave behind?
 */
#include "support.h"

/* The table of mfs_open(). */
struct mode {
	const char *name;
	int reads;
	int writes;
	int missing; /* the answer where no file is */
	int present; /* the answer where a file is */
};

static const struct mode modes[] = {
	{"rb", 1, 0, MFS_ENOENT, 0},  {"wb", 0, 1, 0, 0},           {"ab", 0, 1, 0, 0},
	{"r+b", 1, 1, MFS_ENOENT, 0}, {"xb", 0, 1, 0, MFS_EEXIST},  {"w+b", 1, 1, 0, 0},
	{"a+b", 1, 1, 0, 0},          {"x+b", 1, 1, 0, MFS_EEXIST},
};

static int open_ahead(mfs *fs, const char *path, const char *mode, int64_t preallocate,
					  mfs_file **out)
{
	mfs_open_options options = {.struct_size = sizeof(options)};

	options.preallocate = preallocate;
	return mfs_open_ex(fs, path, mode, &options, out);
}

static void a_missing_file_is_made_by_the_modes_that_say_so(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		if (modes[i].missing != 0) {
			assert_refused(fs, mfs_open(fs, "/f", modes[i].name, &file), modes[i].missing);
			assert_false(mfs_exists(fs, "/f"));
			assert_int_equal(usage_of(fs).files, 0);
			continue;
		}
		file = open_file(fs, "/f", modes[i].name);
		assert_true(mfs_is_file(fs, "/f"));
		assert_code(mfs_get_size(fs, "/f"), 0);
		assert_int_equal(usage_of(fs).files, 1);
		close_file(file);
		assert_code(mfs_remove(fs, "/f"), 0);
	}
}

static void a_present_file_is_opened_emptied_or_refused(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		make_text(fs, "/f", "content");
		if (modes[i].present != 0) {
			assert_refused(fs, mfs_open(fs, "/f", modes[i].name, &file), modes[i].present);
			assert_text(fs, "/f", "content");
			continue;
		}
		close_file(open_file(fs, "/f", modes[i].name));
		assert_text(fs, "/f", modes[i].name[0] == 'w' ? "" : "content");
	}
	assert_int_equal(usage_of(fs).files, 1);
}

static void each_mode_reads_and_writes_what_the_table_says(void **state)
{
	mfs *fs = *state;
	char buffer[8];

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		mfs_file *file = NULL;

		if (modes[i].present == 0) {
			make_text(fs, "/f", "content");
		} else {
			assert_code(mfs_remove(fs, "/f"), 0);
		}
		file = open_file(fs, "/f", modes[i].name);
		assert_code(mfs_readable(file), modes[i].reads);
		assert_code(mfs_writable(file), modes[i].writes);
		assert_code(mfs_seekable(file), 1);
		if (modes[i].reads) {
			bool is_new = modes[i].name[0] == 'w' || modes[i].name[0] == 'x';

			assert_code(mfs_read(file, buffer, 4), is_new ? 0 : 4);
			assert_memory_equal(buffer, "cont", is_new ? 0 : 4);
			assert_code(mfs_pread(file, buffer, 4, 3), is_new ? 0 : 4);
			assert_memory_equal(buffer, "tent", is_new ? 0 : 4);
		} else {
			struct iovec vector = {buffer, 4};

			assert_refused(fs, mfs_read(file, buffer, 4), MFS_EBADF);
			assert_refused(fs, mfs_pread(file, buffer, 4, 0), MFS_EBADF);
			assert_refused(fs, mfs_readv(file, &vector, 1), MFS_EBADF);
		}
		if (modes[i].writes) {
			assert_code(mfs_write(file, "new", 3), 3);
			assert_code(mfs_truncate(file, 2), 0);
		} else {
			struct iovec vector = {buffer, 4};
			mfs_info before = info_of(fs, "/f");
			mfs_info after;

			assert_refused(fs, mfs_write(file, "new", 3), MFS_EBADF);
			assert_refused(fs, mfs_pwrite(file, "new", 3, 0), MFS_EBADF);
			assert_refused(fs, mfs_writev(file, &vector, 1), MFS_EBADF);
			assert_refused(fs, mfs_truncate(file, 2), MFS_EBADF);
			after = info_of(fs, "/f");
			assert_int_equal(after.size, before.size);
			assert_int_equal(after.generation, before.generation);
		}
		assert_code(mfs_flush(file), 0);
		close_file(file);
	}
}

static void the_parent_must_be_a_directory_that_exists(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/file", "content");
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		assert_refused(fs, mfs_open(fs, "/nope/f", modes[i].name, &file), MFS_ENOENT);
		assert_refused(fs, mfs_open(fs, "/nope/neither/f", modes[i].name, &file), MFS_ENOENT);
		assert_refused(fs, mfs_open(fs, "/file/f", modes[i].name, &file), MFS_ENOTDIR);
		assert_refused(fs, mfs_open(fs, "/file/d/f", modes[i].name, &file), MFS_ENOTDIR);
	}
	assert_false(mfs_exists(fs, "/nope"));
	assert_text(fs, "/file", "content");
	assert_int_equal(usage_of(fs).files, 1);
	assert_int_equal(usage_of(fs).directories, 0);
}

static void a_directory_is_not_opened(void **state)
{
	static const char *const paths[] = {"/d", "/d/", "/", ""};
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_dir(fs, "/d");
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		for (size_t j = 0; j < COUNT_OF(paths); j++) {
			/* "xb" meets both causes: a directory, and something that exists. */
			int other = modes[i].present != 0 ? modes[i].present : MFS_EISDIR;

			assert_refused_either(fs, mfs_open(fs, paths[j], modes[i].name, &file), MFS_EISDIR,
								  other);
		}
	}
	assert_true(mfs_is_dir(fs, "/d"));
}

static void unknown_modes_are_invalid(void **state)
{
	static const char *const unknown[] = {
		"",    "r",   "w",     "a",    "x",
		"b",   "r+",  "w+",    "a+",   "x+",
		"rb+", "br",  "rbb",   "RB",   "rt",
		"wbx", " rb", "rb ",   "r +b", "r+bb",
		"xbb", "rbe", "r\xff", "rb\n", "r+b,ccs=UTF-8",
	};
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "content");
	for (size_t i = 0; i < COUNT_OF(unknown); i++) {
		assert_refused(fs, mfs_open(fs, "/f", unknown[i], &file), MFS_EINVAL);
		assert_refused(fs, mfs_open(fs, "/new", unknown[i], &file), MFS_EINVAL);
	}
	assert_refused(fs, mfs_open(fs, "/f", NULL, &file), MFS_EINVAL);
	assert_text(fs, "/f", "content");
	assert_false(mfs_exists(fs, "/new"));
	assert_int_equal(usage_of(fs).open_handles, 0);
}

static void the_cursor_of_r_plus_b_starts_at_0_and_overwrites(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "content");
	file = open_file(fs, "/f", "r+b");
	assert_code(mfs_tell(file), 0);
	assert_code(mfs_write(file, "CON", 3), 3);
	assert_code(mfs_tell(file), 3);
	close_file(file);
	assert_text(fs, "/f", "CONtent");
}

static void wb_keeps_the_content_when_it_does_not_get_the_lock(void **state)
{
	static const char *const holders[] = {"rb", "r+b", "ab"};
	mfs *fs = *state;
	mfs_info before;

	make_text(fs, "/f", "content");
	before = info_of(fs, "/f");
	for (size_t i = 0; i < COUNT_OF(holders); i++) {
		mfs_file *holder = open_file(fs, "/f", holders[i]);
		mfs_file *file = NULL;

		assert_refused(fs, open_with(fs, "/f", "wb", 0, MFS_NO_WAIT, &file), MFS_EBUSY);
		assert_refused(fs, open_with(fs, "/f", "wb", 0, 20, &file), MFS_ETIMEDOUT);
		assert_refused(fs, open_with(fs, "/f", "wb", MFS_O_SHARED, MFS_NO_WAIT, &file), MFS_EBUSY);
		assert_refused(fs, open_with(fs, "/f", "w+b", 0, MFS_NO_WAIT, &file), MFS_EBUSY);
		close_file(holder);
		assert_text(fs, "/f", "content");
	}
	assert_int_equal(info_of(fs, "/f").generation, before.generation);
	assert_int_equal(info_of(fs, "/f").modified_at, before.modified_at);
}

static void wb_empties_once_it_holds_the_lock(void **state)
{
	mfs *fs = *state;
	mfs_file *reader = NULL;
	struct opener writer = {.fs = fs, .path = "/f", .mode = "wb", .lock_timeout = 30000};

	make_text(fs, "/f", "content");
	reader = open_file(fs, "/f", "rb");
	opener_start_waiting(&writer);
	assert_code(mfs_get_size(fs, "/f"), 7);
	assert_handle_holds(reader, "content", 7);
	assert_false(atomic_load(&writer.returned));
	close_file(reader);
	assert_code(opener_join(&writer), 0);
	assert_code(mfs_get_size(fs, "/f"), 0);
	close_file(writer.file);
	assert_text(fs, "/f", "");
}

static void ab_writes_at_the_end_wherever_it_is_told_to(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	struct iovec vector[2] = {{"7", 1}, {"89", 2}};

	make_text(fs, "/f", "01");
	file = open_file(fs, "/f", "ab");
	assert_code(mfs_write(file, "2", 1), 1);
	assert_code(mfs_tell(file), 3);
	assert_code(mfs_seek(file, 0, SEEK_SET), 0);
	assert_code(mfs_write(file, "34", 2), 2);
	assert_code(mfs_tell(file), 5);
	assert_code(mfs_seek(file, 1, SEEK_SET), 1);
	assert_code(mfs_pwrite(file, "5", 1, 0), 1);
	assert_code(mfs_pwrite(file, "6", 1, 1000), 1);
	/* The cursor stays where it was. */
	assert_code(mfs_tell(file), 1);
	assert_code(mfs_writev(file, vector, 2), 3);
	assert_code(mfs_tell(file), 10);
	assert_code(mfs_seek(file, 100, SEEK_SET), 100);
	assert_code(mfs_write(file, "a", 1), 1);
	assert_code(mfs_tell(file), 11);
	close_file(file);
	assert_text(fs, "/f", "0123456789a");
}

static void ab_with_plus_reads_from_the_start_and_writes_at_the_end(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;
	char buffer[8] = "";

	make_text(fs, "/f", "0123");
	file = open_file(fs, "/f", "a+b");
	assert_code(mfs_tell(file), 0);
	assert_code(mfs_read(file, buffer, 2), 2);
	assert_memory_equal(buffer, "01", 2);
	assert_code(mfs_write(file, "4", 1), 1);
	assert_code(mfs_tell(file), 5);
	assert_code(mfs_read(file, buffer, 1), 0);
	assert_code(mfs_pwrite(file, "5", 1, 0), 1);
	assert_code(mfs_seek(file, 1, SEEK_SET), 1);
	assert_code(mfs_read(file, buffer, 8), 5);
	assert_memory_equal(buffer, "12345", 5);
	assert_handle_holds(file, "012345", 6);
	close_file(file);
	assert_text(fs, "/f", "012345");
}

static void wb_and_xb_with_plus_read_back_what_they_wrote(void **state)
{
	static const char *const plus[] = {"w+b", "x+b"};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(plus); i++) {
		mfs_file *file = open_file(fs, "/f", plus[i]);

		assert_handle_holds(file, "", 0);
		assert_code(mfs_write(file, "content", 7), 7);
		assert_code(mfs_pwrite(file, "C", 1, 0), 1);
		assert_handle_holds(file, "Content", 7);
		close_file(file);
		assert_text(fs, "/f", "Content");
		assert_code(mfs_remove(fs, "/f"), 0);
	}
}

static void what_writes_holds_the_lock_alone(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		bool made = modes[i].present != 0;
		mfs_file *file = NULL;

		if (!made)
			make_text(fs, "/f", "content");
		file = open_file(fs, "/f", modes[i].name);
		assert_code(try_open(fs, "/f", "rb"), modes[i].writes ? MFS_EBUSY : 0);
		assert_code(try_open(fs, "/f", "r+b"), MFS_EBUSY);
		close_file(file);
		assert_code(mfs_remove(fs, "/f"), 0);
	}
}

static void ab_writes_at_the_end_after_truncate(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "0123456789");
	file = open_file(fs, "/f", "ab");
	assert_code(mfs_truncate(file, 4), 0);
	assert_code(mfs_write(file, "abc", 3), 3);
	close_file(file);
	assert_text(fs, "/f", "0123abc");
}

/* What a handle says of itself: whether its calls may wait for other handles. */
static void a_handle_says_whether_it_may_wait(void **state)
{
	static const int64_t waits[] = {0, 1, MFS_WAIT_FOREVER, MFS_NO_WAIT};
	mfs *fs = *state;

	make_text(fs, "/f", "content");
	for (size_t m = 0; m < COUNT_OF(modes); m++) {
		if (modes[m].present != 0)
			continue;
		for (size_t lock = 0; lock < COUNT_OF(waits); lock++) {
			for (size_t space = 0; space < COUNT_OF(waits); space++) {
				for (unsigned flags = 0; flags <= MFS_O_SHARED; flags += MFS_O_SHARED) {
					mfs_open_options options = {.struct_size = sizeof(options)};
					mfs_file *file = NULL;
					/* By default the workspace waits for locks, and for no quota. */
					bool for_lock = flags == MFS_O_SHARED && waits[lock] != MFS_NO_WAIT;
					bool for_space =
						modes[m].writes && waits[space] != 0 && waits[space] != MFS_NO_WAIT;

					options.flags = flags;
					options.lock_timeout = waits[lock];
					options.space_timeout = waits[space];
					assert_code(mfs_open_ex(fs, "/f", modes[m].name, &options, &file), 0);
					assert_code(mfs_may_wait(file), for_lock || for_space);
					close_file(file);
				}
			}
		}
	}
}

static void a_handle_may_wait_as_its_workspace_says(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;
	mfs_file *file = NULL;

	(void)state;
	options.default_lock_timeout = MFS_NO_WAIT;
	options.space_timeout = 1;
	fs = new_workspace(&options);
	file = open_file(fs, "/f", "wb");
	assert_code(mfs_may_wait(file), 1);
	close_file(file);
	file = open_shared(fs, "/f", "rb");
	assert_code(mfs_may_wait(file), 0);
	close_file(file);
	file = open_shared(fs, "/f", "r+b");
	assert_code(mfs_may_wait(file), 1);
	close_file(file);
	free_workspace(fs);
}

/* What was drawn for a file that is not made after all goes back to where it came from. */
static void a_refused_open_gives_back_what_it_drew(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs_open_options opening = {.struct_size = sizeof(opening)};
	mfs *fs = NULL;
	mfs_file *file = NULL;
	uint64_t used = 0;

	(void)state;
	options.max_nodes = 1;
	fs = new_workspace(&options);
	make_text(fs, "/f", "content");
	assert_code(mfs_reservation_new(fs, 100000, &opening.reservation), 0);
	used = used_bytes(fs);
	opening.preallocate = 50000;
	for (unsigned flags = 0; flags <= MFS_O_SHARED; flags += MFS_O_SHARED) {
		opening.flags = flags;
		assert_refused(fs, mfs_open_ex(fs, "/new", "xb", &opening, &file), MFS_ENODES);
		assert_refused(fs, mfs_open_ex(fs, "/f/new", "xb", &opening, &file), MFS_ENOTDIR);
		assert_code(mfs_reservation_left(opening.reservation), 100000);
		assert_int_equal(used_bytes(fs), used);
	}
	assert_code(mfs_reservation_free(opening.reservation), 0);
	free_workspace(fs);
}

struct maker {
	mfs *fs;
	pthread_barrier_t *start;
	int round_codes[100];
	pthread_t thread;
};

static void *make_exclusively(void *argument)
{
	struct maker *maker = argument;

	for (int round = 0; round < 100; round++) {
		mfs_file *file = NULL;
		char path[16];

		snprintf(path, sizeof(path), "/f%d", round);
		pthread_barrier_wait(maker->start);
		maker->round_codes[round] = mfs_open(maker->fs, path, "xb", &file);
		if (file != NULL && maker->round_codes[round] == 0 && mfs_close(file) != 0) {
			maker->round_codes[round] = 1;
		}
	}
	return NULL;
}

static void one_of_many_threads_makes_the_file(void **state)
{
	enum { THREADS = 4 };
	mfs *fs = *state;
	struct maker makers[THREADS];
	pthread_barrier_t start;

	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		makers[i].fs = fs;
		makers[i].start = &start;
		makers[i].thread = start_thread(make_exclusively, &makers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		join_thread(makers[i].thread);
	}
	for (int round = 0; round < 100; round++) {
		int made = 0;

		for (int i = 0; i < THREADS; i++) {
			if (makers[i].round_codes[round] == 0) {
				made++;
			} else {
				assert_code(makers[i].round_codes[round], MFS_EEXIST);
			}
		}
		assert_int_equal(made, 1);
	}
	assert_int_equal(usage_of(fs).files, 100);
	pthread_barrier_destroy(&start);
}

static void preallocate_gives_zeros_in_every_mode_that_writes(void **state)
{
	mfs *fs = *state;
	unsigned char expected[1000] = {0};
	mfs_file *file = NULL;

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		if (!modes[i].writes || modes[i].missing != 0) {
			continue;
		}
		assert_code(open_ahead(fs, "/f", modes[i].name, 1000, &file), 0);
		assert_code(mfs_get_size(fs, "/f"), 1000);
		assert_in_range(used_bytes(fs), 1000, UINT64_MAX);
		close_file(file);
		assert_file_holds(fs, "/f", expected, 1000);
		assert_code(mfs_remove(fs, "/f"), 0);
		assert_int_equal(used_bytes(fs), 0);
	}
}

static void preallocate_extends_a_shorter_file_and_leaves_a_longer_one(void **state)
{
	mfs *fs = *state;
	char expected[1000] = "content";
	mfs_file *file = NULL;

	make_text(fs, "/f", "content");
	assert_code(open_ahead(fs, "/f", "r+b", 5, &file), 0);
	close_file(file);
	assert_text(fs, "/f", "content");
	assert_code(open_ahead(fs, "/f", "r+b", 1000, &file), 0);
	assert_code(mfs_tell(file), 0);
	close_file(file);
	assert_file_holds(fs, "/f", expected, 1000);
	/* "ab" goes on behind what was preallocated. */
	assert_code(open_ahead(fs, "/f", "ab", 1001, &file), 0);
	assert_code(mfs_write(file, "!", 1), 1);
	close_file(file);
	assert_code(mfs_get_size(fs, "/f"), 1002);
	/* "wb" empties first. */
	memset(expected, 0, sizeof(expected));
	assert_code(open_ahead(fs, "/f", "wb", 500, &file), 0);
	close_file(file);
	assert_file_holds(fs, "/f", expected, 500);
}

static void preallocate_needs_a_mode_that_writes_and_a_size(void **state)
{
	mfs *fs = *state;
	mfs_file *file = NULL;

	make_text(fs, "/f", "content");
	assert_refused(fs, open_ahead(fs, "/f", "rb", 100, &file), MFS_EINVAL);
	assert_refused(fs, open_ahead(fs, "/f", "rb", 1, &file), MFS_EINVAL);
	assert_refused(fs, open_ahead(fs, "/f", "r+b", -1, &file), MFS_EINVAL);
	assert_refused(fs, open_ahead(fs, "/f", "wb", INT64_MIN, &file), MFS_EINVAL);
	assert_refused(fs, open_ahead(fs, "/new", "wb", -1, &file), MFS_EINVAL);
	assert_false(mfs_exists(fs, "/new"));
	assert_text(fs, "/f", "content");
	assert_code(open_ahead(fs, "/f", "rb", 0, &file), 0);
	close_file(file);
}

static void preallocate_beyond_the_quota_changes_nothing(void **state)
{
	static const int64_t sizes[] = {100001, 1000000, INT64_C(1) << 40};
	mfs *fs = new_plain_workspace(100000);
	mfs_file *file = NULL;
	mfs_info before;
	uint64_t used = 0;

	(void)state;
	make_text(fs, "/f", "content");
	before = info_of(fs, "/f");
	used = used_bytes(fs);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (size_t j = 0; j < COUNT_OF(modes); j++) {
			if (modes[j].writes && modes[j].present == 0) {
				assert_refused(fs, open_ahead(fs, "/f", modes[j].name, sizes[i], &file),
							   MFS_EQUOTA);
			}
			if (modes[j].writes && modes[j].missing == 0) {
				assert_refused(fs, open_ahead(fs, "/new", modes[j].name, sizes[i], &file),
							   MFS_EQUOTA);
				assert_false(mfs_exists(fs, "/new"));
			}
		}
	}
	assert_int_equal(info_of(fs, "/f").size, before.size);
	assert_int_equal(info_of(fs, "/f").generation, before.generation);
	assert_int_equal(info_of(fs, "/f").modified_at, before.modified_at);
	assert_int_equal(used_bytes(fs), used);
	assert_int_equal(usage_of(fs).files, 1);
	assert_int_equal(usage_of(fs).open_handles, 0);
	/* No lock was left behind either. */
	assert_code(try_open(fs, "/f", "r+b"), 0);
	assert_text(fs, "/f", "content");
	free_workspace(fs);
}

static void writes_within_what_was_preallocated_find_room(void **state)
{
	enum { AHEAD = 60000, QUOTA = 100000 };
	mfs *fs = new_plain_workspace(QUOTA);
	unsigned char *bytes = allocate(AHEAD);
	struct rng rng = {7};
	mfs_file *file = NULL;
	mfs_file *greedy = NULL;

	(void)state;
	rng_fill(&rng, bytes, AHEAD);
	assert_code(open_ahead(fs, "/f", "wb", AHEAD, &file), 0);
	/* Another file takes all that is left. */
	greedy = open_file(fs, "/greedy", "wb");
	while (mfs_write(greedy, "x", 1) == 1) {
	}
	assert_code(mfs_write(greedy, "x", 1), MFS_EQUOTA);
	for (int64_t at = 0; at < AHEAD; at += 1000) {
		assert_code(mfs_write(file, bytes + at, 1000), 1000);
	}
	close_file(greedy);
	close_file(file);
	assert_file_holds(fs, "/f", bytes, AHEAD);
	free(bytes);
	free_workspace(fs);
}

static void options_may_be_null_or_zeroed(void **state)
{
	mfs *fs = *state;
	mfs_open_options zeroed;
	mfs_file *file = NULL;

	memset(&zeroed, 0, sizeof(zeroed));
	assert_code(mfs_open_ex(fs, "/f", "wb", NULL, &file), 0);
	assert_code(mfs_write(file, "1", 1), 1);
	close_file(file);
	assert_code(mfs_open_ex(fs, "/f", "ab", &zeroed, &file), 0);
	assert_code(mfs_write(file, "2", 1), 1);
	close_file(file);
	assert_text(fs, "/f", "12");
}

static void emptying_keeps_the_file_and_counts_as_a_change(void **state)
{
	mfs *fs = *state;
	mfs_info before;
	mfs_info after;

	make_text(fs, "/f", "content");
	before = info_of(fs, "/f");
	await_clock_tick();
	close_file(open_file(fs, "/f", "wb"));
	after = info_of(fs, "/f");
	assert_int_equal(after.created_at, before.created_at);
	assert_true(after.modified_at > before.modified_at);
	assert_true(after.generation > before.generation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_missing_file_is_made_by_the_modes_that_say_so),
		WORKSPACE_TEST(a_present_file_is_opened_emptied_or_refused),
		WORKSPACE_TEST(each_mode_reads_and_writes_what_the_table_says),
		WORKSPACE_TEST(the_parent_must_be_a_directory_that_exists),
		WORKSPACE_TEST(a_directory_is_not_opened),
		WORKSPACE_TEST(unknown_modes_are_invalid),
		WORKSPACE_TEST(the_cursor_of_r_plus_b_starts_at_0_and_overwrites),
		WORKSPACE_TEST(wb_keeps_the_content_when_it_does_not_get_the_lock),
		WORKSPACE_TEST(wb_empties_once_it_holds_the_lock),
		WORKSPACE_TEST(ab_writes_at_the_end_wherever_it_is_told_to),
		WORKSPACE_TEST(ab_with_plus_reads_from_the_start_and_writes_at_the_end),
		WORKSPACE_TEST(wb_and_xb_with_plus_read_back_what_they_wrote),
		WORKSPACE_TEST(what_writes_holds_the_lock_alone),
		WORKSPACE_TEST(ab_writes_at_the_end_after_truncate),
		WORKSPACE_TEST(a_handle_says_whether_it_may_wait),
		cmocka_unit_test(a_handle_may_wait_as_its_workspace_says),
		cmocka_unit_test(a_refused_open_gives_back_what_it_drew),
		WORKSPACE_TEST(one_of_many_threads_makes_the_file),
		WORKSPACE_TEST(preallocate_gives_zeros_in_every_mode_that_writes),
		WORKSPACE_TEST(preallocate_extends_a_shorter_file_and_leaves_a_longer_one),
		WORKSPACE_TEST(preallocate_needs_a_mode_that_writes_and_a_size),
		cmocka_unit_test(preallocate_beyond_the_quota_changes_nothing),
		cmocka_unit_test(writes_within_what_was_preallocated_find_room),
		WORKSPACE_TEST(options_may_be_null_or_zeroed),
		WORKSPACE_TEST(emptying_keeps_the_file_and_counts_as_a_change),
	};

	return cmocka_run_group_tests_name("open modes", tests, NULL, NULL);
}
