/* SPDX-License-Identifier: MIT */
/*
 * Is a copy a file, or a tree, of its own, although it shares its chunks?
 *
 * Whatever is written to either side must leave the other as it was, the charge must be the one of
 * two separate files, and a copy must be of one instant whatever others do meanwhile.
 */
#include "support.h"

static const size_t sizes[] = {0, 1, 4095, 4096, 4097, MIB, 5 * MIB + 3};
/* Where chunks begin, and places beside them. */
static const size_t places[] = {0, 1, 4095, 4096, 8191, 8192, 65536, 2 * MIB, 4 * MIB};

/** Bytes that a file should hold, with room for some more. */
struct content {
	unsigned char *bytes;
	size_t size;
	size_t room;
};

static struct content new_content(size_t size, uint64_t seed)
{
	struct rng rng = {seed};
	struct content content = {NULL, size, size + 20000};

	content.bytes = allocate(content.room);
	rng_fill(&rng, content.bytes, size);
	return content;
}

static struct content same_content(const struct content *content)
{
	struct content same = *content;

	same.bytes = allocate(content->room);
	memcpy(same.bytes, content->bytes, content->size);
	return same;
}

/** In pieces, as it is done often. */
static void assert_content(mfs *fs, const char *path, const struct content *content)
{
	static unsigned char piece[256 * KIB];
	mfs_file *file = open_file(fs, path, "rb");
	size_t at = 0;

	do {
		size_t left = content->size - at;
		size_t size = left < sizeof(piece) ? left : sizeof(piece);

		assert_code(mfs_read(file, piece, sizeof(piece)), size);
		assert_int_equal(memcmp(piece, content->bytes + at, size), 0);
		at += size;
	} while (at < content->size);
	assert_code(mfs_read(file, piece, 1), 0);
	close_file(file);
	assert_code(mfs_get_size(fs, path), content->size);
}

static void make_content(mfs *fs, const char *path, const struct content *content)
{
	make_file(fs, path, content->bytes, content->size);
}

/*
 * Changes, done to a file and to what it should hold
 */

/** With bytes that differ from call to call. */
static void overwrite(mfs_file *file, struct content *content, size_t offset, size_t size)
{
	static int mark;
	size_t end = offset + size;

	assert_true(end <= content->room);
	if (offset > content->size) {
		memset(content->bytes + content->size, 0, offset - content->size);
	}
	mark++;
	memset(content->bytes + offset, mark, size);
	assert_code(mfs_pwrite(file, content->bytes + offset, size, (int64_t)offset), size);
	content->size = end > content->size ? end : content->size;
}

static void set_size(mfs_file *file, struct content *content, size_t size)
{
	assert_true(size <= content->room);
	assert_code(mfs_truncate(file, (int64_t)size), 0);
	if (size > content->size) {
		memset(content->bytes + content->size, 0, size - content->size);
	}
	content->size = size;
}

static void change_by_overwriting(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "r+b");

	overwrite(file, content, place, 2);
	close_file(file);
}

/** From the byte before a chunk to the byte behind its first one. */
static void change_across_places(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "r+b");

	overwrite(file, content, place > 0 ? place - 1 : 0, 3);
	close_file(file);
}

/** What is cut off must be zeros when the file grows again, not what the other file has there. */
static void change_by_cutting(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "r+b");
	size_t size = content->size;

	set_size(file, content, place);
	assert_handle_holds(file, content->bytes, content->size);
	set_size(file, content, size);
	close_file(file);
}

static void change_by_shortening(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "r+b");

	set_size(file, content, place);
	close_file(file);
}

static void change_by_appending(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "ab");

	(void)place;
	overwrite(file, content, content->size, 1);
	overwrite(file, content, content->size, 9000);
	close_file(file);
}

static void change_by_lengthening(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "r+b");

	(void)place;
	set_size(file, content, content->size + 5000);
	close_file(file);
}

static void change_behind_a_gap(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "r+b");

	(void)place;
	overwrite(file, content, content->size + 4500, 100);
	close_file(file);
}

static void change_by_emptying(mfs *fs, const char *path, struct content *content, size_t place)
{
	mfs_file *file = open_file(fs, path, "wb");

	(void)place;
	content->size = 0;
	overwrite(file, content, 0, 10);
	close_file(file);
}

typedef void change_function(mfs *fs, const char *path, struct content *content, size_t place);

/** Memory for what the two sides of a pair should hold, which is used again and again. */
struct pair {
	struct content changed;
	struct content unchanged;
};

static void reset_content(struct content *content, const struct content *to)
{
	memcpy(content->bytes, to->bytes, to->size);
	content->size = to->size;
}

/** Changes one side of a fresh pair, then the other one, and looks at both each time. */
static void check_change(mfs *fs, const struct content *content, struct pair *pair,
						 change_function *change, size_t place)
{
	for (int side = 0; side < 2; side++) {
		const char *first = side == 0 ? "/from" : "/to";
		const char *second = side == 0 ? "/to" : "/from";

		reset_content(&pair->changed, content);
		reset_content(&pair->unchanged, content);
		make_content(fs, "/from", content);
		assert_code(mfs_copy(fs, "/from", "/to"), 0);
		change(fs, first, &pair->changed, place);
		assert_content(fs, first, &pair->changed);
		assert_content(fs, second, &pair->unchanged);
		/* Now no chunk that was written to is shared any more. */
		change(fs, second, &pair->unchanged, place);
		assert_content(fs, second, &pair->unchanged);
		assert_content(fs, first, &pair->changed);
		assert_code(mfs_remove(fs, first), 0);
		assert_content(fs, second, &pair->unchanged);
		assert_code(mfs_remove(fs, second), 0);
		assert_int_equal(used_bytes(fs), 0);
		assert_int_equal(usage_of(fs).chunks, 0);
	}
}

static void a_copy_has_the_contents(void **state)
{
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct content content = new_content(sizes[i], i + 1);

		make_content(fs, "/from", &content);
		assert_code(mfs_copy(fs, "/from", "/to"), 0);
		assert_content(fs, "/to", &content);
		assert_content(fs, "/from", &content);
		assert_int_equal(usage_of(fs).files, 2);
		assert_code(mfs_remove(fs, "/from"), 0);
		assert_content(fs, "/to", &content);
		assert_code(mfs_remove(fs, "/to"), 0);
		free(content.bytes);
	}
}

static void writing_to_one_leaves_the_other(void **state)
{
	static change_function *const at_places[] = {change_across_places, change_by_cutting,
												 change_by_overwriting, change_by_shortening};
	static change_function *const at_the_end[] = {change_by_appending, change_by_lengthening,
												  change_behind_a_gap, change_by_emptying};
	mfs *fs = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct content content = new_content(sizes[i], i + 1);
		struct pair pair = {same_content(&content), same_content(&content)};

		for (size_t j = 0; j < COUNT_OF(at_the_end); j++) {
			check_change(fs, &content, &pair, at_the_end[j], 0);
		}
		for (size_t j = 0; j < COUNT_OF(places); j++) {
			/* The first chunks of a large file are like those of a small one. */
			bool is_large = sizes[i] >= MIB;

			if (places[j] > sizes[i] || (is_large && places[j] > 0 && places[j] < 65536)) {
				continue;
			}
			for (size_t k = 0; k < (is_large ? 2 : COUNT_OF(at_places)); k++) {
				check_change(fs, &content, &pair, at_places[k], places[j]);
			}
		}
		free(pair.changed.bytes);
		free(pair.unchanged.bytes);
		free(content.bytes);
	}
}

static void many_small_changes_leave_the_other(void **state)
{
	enum { SIZE = 100000, STEPS = 400 };
	mfs *fs = *state;
	struct rng rng = {7};
	struct content contents[3];
	const char *const paths[] = {"/0", "/1", "/2"};

	contents[0] = new_content(SIZE, 3);
	make_content(fs, paths[0], &contents[0]);
	for (size_t i = 1; i < COUNT_OF(paths); i++) {
		assert_code(mfs_copy(fs, paths[i - 1], paths[i]), 0);
		contents[i] = same_content(&contents[0]);
	}
	for (int step = 0; step < STEPS; step++) {
		size_t one = rng_below(&rng, COUNT_OF(paths));
		mfs_file *file = open_file(fs, paths[one], "r+b");
		size_t what = rng_below(&rng, 10);

		if (what == 0) {
			set_size(file, &contents[one], rng_below(&rng, SIZE + 1));
		} else {
			overwrite(file, &contents[one], rng_below(&rng, SIZE), 1 + rng_below(&rng, 5000));
		}
		close_file(file);
		if (what == 1) {
			/* Share anew. */
			size_t other = (one + 1) % COUNT_OF(paths);

			assert_code(mfs_remove(fs, paths[other]), 0);
			assert_code(mfs_copy(fs, paths[one], paths[other]), 0);
			free(contents[other].bytes);
			contents[other] = same_content(&contents[one]);
		}
		for (size_t i = 0; i < COUNT_OF(paths); i++) {
			assert_content(fs, paths[i], &contents[i]);
		}
	}
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		assert_code(mfs_remove(fs, paths[i]), 0);
		free(contents[i].bytes);
	}
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
}

static void handles_that_are_open_see_their_own_file(void **state)
{
	mfs *fs = *state;
	struct content from = new_content(10000, 4);
	struct content to = same_content(&from);
	mfs_file *reader = NULL;
	mfs_file *shared = NULL;
	mfs_file *writer = NULL;

	make_content(fs, "/from", &from);
	/* Who reads is in nobody's way, nor is a shared handle. */
	reader = open_file(fs, "/from", "rb");
	shared = open_shared(fs, "/from", "r+b");
	assert_code(mfs_copy(fs, "/from", "/to"), 0);
	writer = open_file(fs, "/to", "r+b");
	overwrite(writer, &to, 4000, 200);
	assert_handle_holds(reader, from.bytes, from.size);
	assert_handle_holds(writer, to.bytes, to.size);
	close_file(reader);
	overwrite(shared, &from, 5000, 10);
	set_size(shared, &from, 7000);
	assert_handle_holds(shared, from.bytes, from.size);
	assert_handle_holds(writer, to.bytes, to.size);
	/* The file lives on without its name. */
	assert_code(mfs_remove(fs, "/from"), 0);
	overwrite(writer, &to, 8000, 10);
	assert_handle_holds(shared, from.bytes, from.size);
	close_file(shared);
	assert_handle_holds(writer, to.bytes, to.size);
	close_file(writer);
	free(from.bytes);
	free(to.bytes);
}

/*
 * Charge
 */

/** What a copy of a file of this size is charged, alone and beside its original. */
static uint64_t check_charge(const mfs_options *options, const struct content *content)
{
	mfs *fs = new_workspace(options);
	uint64_t original = 0;
	uint64_t copy = 0;

	make_content(fs, "/from", content);
	original = used_bytes(fs);
	assert_code(mfs_copy(fs, "/from", "/to"), 0);
	copy = used_bytes(fs) - original;
	assert_in_range(copy, content->size, original);
	/* The copy goes first. */
	assert_code(mfs_remove(fs, "/to"), 0);
	assert_int_equal(used_bytes(fs), original);
	/* The original goes first. */
	assert_code(mfs_copy(fs, "/from", "/to"), 0);
	assert_int_equal(used_bytes(fs), original + copy);
	assert_code(mfs_remove(fs, "/from"), 0);
	assert_int_equal(used_bytes(fs), copy);
	/* A copy of a copy. */
	assert_code(mfs_copy(fs, "/to", "/from"), 0);
	assert_int_equal(used_bytes(fs), 2 * copy);
	/* Also when they share some chunks only. */
	if (content->size > 0) {
		mfs_file *file = open_file(fs, "/from", "r+b");

		assert_code(mfs_pwrite(file, "x", 1, (int64_t)content->size / 2), 1);
		close_file(file);
		assert_int_equal(used_bytes(fs), 2 * copy);
	}
	assert_code(mfs_remove(fs, "/to"), 0);
	assert_int_equal(used_bytes(fs), copy);
	assert_code(mfs_remove(fs, "/from"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	free_workspace(fs);
	return original + copy;
}

static void a_copy_is_charged_in_full(void **state)
{
	static const int64_t overheads[] = {-1, 0, 1000};
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct content content = new_content(sizes[i], i + 1);

		for (size_t j = 0; j < COUNT_OF(overheads); j++) {
			options.chunk_overhead = overheads[j];
			(void)check_charge(&options, &content);
		}
		free(content.bytes);
	}
}

static void a_full_workspace_has_room_for_writes_to_copies(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	for (size_t i = 1; i < COUNT_OF(sizes); i++) {
		struct content content = new_content(sizes[i], i + 1);
		mfs *fs = NULL;

		options.max_quota = 0;
		options.max_quota = check_charge(&options, &content);
		fs = new_workspace(&options);
		make_content(fs, "/from", &content);
		assert_code(mfs_copy(fs, "/from", "/to"), 0);
		assert_int_equal(usage_of(fs).free_bytes, 0);
		for (int side = 0; side < 2; side++) {
			struct content changed = new_content(sizes[i], i + 100 + (size_t)side);
			mfs_file *file = open_file(fs, side == 0 ? "/from" : "/to", "r+b");

			assert_code(mfs_pwrite(file, changed.bytes, changed.size, 0), changed.size);
			assert_handle_holds(file, changed.bytes, changed.size);
			close_file(file);
			if (side == 0) {
				assert_content(fs, "/to", &content);
			}
			free(changed.bytes);
		}
		assert_int_equal(usage_of(fs).free_bytes, 0);
		free_workspace(fs);
		free(content.bytes);
	}
}

static void a_copy_of_a_file_that_has_room_ahead(void **state)
{
	static const size_t lengths[] = {100, 4000, 5000, 70000, 3 * MIB};
	mfs *fs = new_plain_workspace(64 * MIB);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct content from = new_content(lengths[i], i + 1);
		struct content to = same_content(&from);
		mfs_file *shared = open_shared(fs, "/from", "wb");
		mfs_file *writer = NULL;
		uint64_t original = 0;

		/* In steps: memory is taken ahead of the next one. */
		for (size_t at = 0; at < from.size; at += from.size / 100) {
			size_t left = from.size - at;

			left = left < from.size / 100 ? left : from.size / 100;
			assert_code(mfs_write(shared, from.bytes + at, left), left);
		}
		original = used_bytes(fs);
		assert_code(mfs_copy(fs, "/from", "/to"), 0);
		assert_in_range(used_bytes(fs) - original, from.size, original);
		overwrite(shared, &from, from.size, 100);
		writer = open_file(fs, "/to", "r+b");
		overwrite(writer, &to, to.size, 50);
		overwrite(writer, &to, to.size - 60, 1);
		close_file(shared);
		close_file(writer);
		assert_content(fs, "/from", &from);
		assert_content(fs, "/to", &to);
		assert_code(mfs_remove(fs, "/from"), 0);
		assert_content(fs, "/to", &to);
		assert_code(mfs_remove(fs, "/to"), 0);
		assert_int_equal(used_bytes(fs), 0);
		free(from.bytes);
		free(to.bytes);
	}
	free_workspace(fs);
}

/** All figures that a refused call must leave. */
static void assert_same_usage(const mfs_usage *before, const mfs_usage *after)
{
	assert_int_equal(after->used_bytes, before->used_bytes);
	assert_int_equal(after->files, before->files);
	assert_int_equal(after->directories, before->directories);
	assert_int_equal(after->chunks, before->chunks);
	assert_int_equal(after->open_handles, before->open_handles);
}

static void a_copy_that_does_not_fit_changes_nothing(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	for (size_t i = 1; i < COUNT_OF(sizes); i++) {
		struct content content = new_content(sizes[i], i + 1);
		mfs *fs = NULL;
		mfs_usage before;
		mfs_usage after;
		int64_t time = 0;

		options.max_quota = 0;
		options.max_quota = check_charge(&options, &content) - 1;
		fs = new_workspace(&options);
		make_dir(fs, "/d");
		make_content(fs, "/d/from", &content);
		before = usage_of(fs);
		time = info_of(fs, "/d").modified_at;
		await_clock_tick();
		assert_refused(fs, mfs_copy(fs, "/d/from", "/d/to"), MFS_EQUOTA);
		assert_refused(fs, mfs_copy_tree(fs, "/d", "/e"), MFS_EQUOTA);
		after = usage_of(fs);
		assert_same_usage(&before, &after);
		assert_false(mfs_exists(fs, "/d/to"));
		assert_false(mfs_exists(fs, "/e"));
		assert_int_equal(info_of(fs, "/d").modified_at, time);
		assert_content(fs, "/d/from", &content);
		assert_code(try_open(fs, "/d/from", "r+b"), 0);
		free_workspace(fs);
		free(content.bytes);
	}
}

static void a_tree_that_fits_in_part_is_not_copied(void **state)
{
	mfs *fs = new_plain_workspace(10000);
	struct content content = new_content(1000, 5);
	mfs_usage before;
	mfs_usage after;

	(void)state;
	make_dir(fs, "/d/e/f");
	make_content(fs, "/d/1", &content);
	make_content(fs, "/d/e/2", &content);
	make_content(fs, "/d/e/f/3", &content);
	make_content(fs, "/d/e/f/4", &content);
	make_content(fs, "/other", &content);
	assert_code(mfs_copy_tree(fs, "/d", "/fits"), 0);
	assert_int_equal(used_bytes(fs), 9000);
	before = usage_of(fs);
	assert_refused(fs, mfs_copy_tree(fs, "/d/e", "/too much"), MFS_EQUOTA);
	after = usage_of(fs);
	assert_same_usage(&before, &after);
	assert_false(mfs_exists(fs, "/too much"));
	assert_code(mfs_remove(fs, "/fits/1"), 0);
	assert_int_equal(used_bytes(fs), 8000);
	assert_code(mfs_remove(fs, "/fits/e/2"), 0);
	assert_code(mfs_copy_tree(fs, "/d/e", "/now"), 0);
	assert_int_equal(usage_of(fs).free_bytes, 0);
	free(content.bytes);
	free_workspace(fs);
}

static void copies_count_as_nodes(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	mfs *fs = NULL;
	mfs_usage before;
	mfs_usage after;

	(void)state;
	options.max_nodes = 7;
	fs = new_workspace(&options);
	make_dir(fs, "/d/e");
	make_text(fs, "/d/f", "text");
	make_text(fs, "/d/e/g", "text");
	before = usage_of(fs);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/c"), MFS_ENODES);
	after = usage_of(fs);
	assert_same_usage(&before, &after);
	assert_false(mfs_exists(fs, "/c"));
	assert_code(mfs_copy_tree(fs, "/d/e", "/c"), 0);
	assert_code(mfs_copy(fs, "/d/f", "/h"), 0);
	before = usage_of(fs);
	assert_refused(fs, mfs_copy(fs, "/d/f", "/i"), MFS_ENODES);
	assert_refused(fs, mfs_copy_tree(fs, "/d/e", "/i"), MFS_ENODES);
	after = usage_of(fs);
	assert_same_usage(&before, &after);
	assert_false(mfs_exists(fs, "/i"));
	assert_int_equal(after.files + after.directories, 7);
	assert_code(mfs_remove(fs, "/h"), 0);
	assert_code(mfs_copy(fs, "/d/f", "/i"), 0);
	free_workspace(fs);
}

/*
 * Chains
 */

static void copies_of_copies_go_in_any_order(void **state)
{
	enum { COPIES = 8, ORDERS = 12 };
	mfs *fs = *state;
	struct rng rng = {11};

	for (int order = 0; order < ORDERS; order++) {
		struct content contents[COPIES];
		char paths[COPIES][16];
		size_t left[COPIES];

		contents[0] = new_content(30000, 6);
		for (size_t i = 0; i < COPIES; i++) {
			left[i] = i;
			(void)snprintf(paths[i], sizeof(paths[i]), "/copy%zu", i);
			if (i == 0) {
				make_content(fs, paths[i], &contents[0]);
			} else {
				contents[i] = same_content(&contents[i - 1]);
				assert_code(mfs_copy(fs, paths[i - 1], paths[i]), 0);
			}
			/* Each second one writes to a chunk before it is copied. */
			if (i % 2 == 1) {
				mfs_file *file = open_file(fs, paths[i], "r+b");

				overwrite(file, &contents[i], i * 3500, 100);
				close_file(file);
			}
		}
		for (size_t count = COPIES; count > 0; count--) {
			/* In order, in reverse, and then in any order. */
			size_t pick = order == 0 ? 0 : order == 1 ? count - 1 : rng_below(&rng, count);
			size_t gone = left[pick];

			for (size_t i = 0; i < count; i++) {
				assert_content(fs, paths[left[i]], &contents[left[i]]);
			}
			assert_code(mfs_remove(fs, paths[gone]), 0);
			free(contents[gone].bytes);
			for (size_t i = pick; i + 1 < count; i++) {
				left[i] = left[i + 1];
			}
		}
		assert_int_equal(used_bytes(fs), 0);
		assert_int_equal(usage_of(fs).chunks, 0);
	}
}

/*
 * What else a copy has
 */

static void a_copy_is_a_new_file(void **state)
{
	mfs *fs = *state;
	mfs_info from;
	mfs_info to;

	make_text(fs, "/from", "one");
	for (int i = 0; i < 4; i++) {
		mfs_file *file = open_file(fs, "/from", "ab");

		assert_code(mfs_write(file, "x", 1), 1);
		close_file(file);
	}
	from = info_of(fs, "/from");
	assert_true(from.generation >= 5);
	assert_code(mfs_copy(fs, "/from", "/to"), 0);
	to = info_of(fs, "/to");
	assert_false(to.is_dir);
	assert_int_equal(to.size, 7);
	assert_int_equal(to.generation, 1);
	assert_int_equal(info_of(fs, "/from").generation, from.generation);
	assert_int_equal(info_of(fs, "/from").modified_at, from.modified_at);
	make_text(fs, "/to", "two");
	assert_true(info_of(fs, "/to").generation > 1);
	assert_int_equal(info_of(fs, "/from").generation, from.generation);
	close_file(open_file(fs, "/empty", "xb"));
	assert_code(mfs_copy(fs, "/empty", "/to empty"), 0);
	assert_int_equal(info_of(fs, "/to empty").generation, 1);
	assert_int_equal(info_of(fs, "/to empty").size, 0);
}

static void make_some_tree(mfs *fs)
{
	make_dir(fs, "/d/empty");
	make_dir(fs, "/d/e/f");
	make_text(fs, "/d/text", "at the top");
	make_text(fs, "/d/e/text", "in the middle");
	make_text(fs, "/d/e/f/text", "at the bottom");
	close_file(open_file(fs, "/d/e/f/nothing", "xb"));
}

static void assert_some_tree(mfs *fs, const char *top)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/empty", top);
	assert_true(mfs_is_dir(fs, path));
	(void)snprintf(path, sizeof(path), "%s/text", top);
	assert_text(fs, path, "at the top");
	(void)snprintf(path, sizeof(path), "%s/e/text", top);
	assert_text(fs, path, "in the middle");
	(void)snprintf(path, sizeof(path), "%s/e/f/text", top);
	assert_text(fs, path, "at the bottom");
	(void)snprintf(path, sizeof(path), "%s/e/f/nothing", top);
	assert_text(fs, path, "");
}

static void assert_name_count(mfs *fs, const char *path, int64_t count)
{
	char **names = NULL;

	assert_code(mfs_listdir(fs, path, &names), count);
	mfs_names_free(names);
}

static void a_tree_is_copied_with_all_below(void **state)
{
	static const char *const files[] = {"/c/text", "/c/e/text", "/c/e/f/text", "/c/e/f/nothing"};
	mfs *fs = *state;
	mfs_usage before;
	mfs_usage after;

	make_some_tree(fs);
	before = usage_of(fs);
	assert_code(mfs_copy_tree(fs, "/d", "/c"), 0);
	after = usage_of(fs);
	assert_int_equal(after.files, 2 * before.files);
	assert_int_equal(after.directories, 2 * before.directories);
	assert_int_equal(after.used_bytes, 2 * before.used_bytes);
	assert_some_tree(fs, "/c");
	assert_some_tree(fs, "/d");
	assert_name_count(fs, "/c", 3);
	assert_name_count(fs, "/c/e", 2);
	assert_name_count(fs, "/c/e/f", 2);
	assert_name_count(fs, "/c/empty", 0);
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		assert_int_equal(info_of(fs, files[i]).generation, 0);
	}
	/* Neither changes with the other. */
	make_text(fs, "/c/text", "changed");
	make_text(fs, "/c/e/new", "new");
	assert_int_not_equal(info_of(fs, "/c/text").generation, 0);
	assert_code(mfs_remove(fs, "/c/e/f/nothing"), 0);
	assert_some_tree(fs, "/d");
	assert_false(mfs_exists(fs, "/d/e/new"));
	assert_code(mfs_remove(fs, "/d/e/f/text"), 0);
	make_dir(fs, "/d/empty/no more");
	assert_text(fs, "/c/e/f/text", "at the bottom");
	assert_name_count(fs, "/c/empty", 0);
}

static void a_tree_is_copied_to_anywhere_outside(void **state)
{
	mfs *fs = *state;

	make_some_tree(fs);
	make_dir(fs, "/far/away");
	assert_code(mfs_copy_tree(fs, "/d", "/far/away/d"), 0);
	assert_some_tree(fs, "/far/away/d");
	/* The beginning of its name, but not itself. */
	assert_code(mfs_copy_tree(fs, "/d", "/dd"), 0);
	assert_some_tree(fs, "/dd");
	/* From below a directory to beside it. */
	assert_code(mfs_copy_tree(fs, "/far/away/d", "/far/d"), 0);
	assert_some_tree(fs, "/far/d");
	assert_code(mfs_copy_tree(fs, "/d/./e/../e/", "e copy"), 0);
	assert_text(fs, "/e copy/f/text", "at the bottom");
	assert_code(mfs_copy_tree(fs, "/d/empty", "/d/empty too"), 0);
	assert_name_count(fs, "/d/empty too", 0);
	/* A copy in the directory that is copied next. */
	assert_code(mfs_copy_tree(fs, "/d/e", "/d/g"), 0);
	assert_code(mfs_copy_tree(fs, "/d", "/all"), 0);
	assert_some_tree(fs, "/all");
	assert_text(fs, "/all/g/f/text", "at the bottom");
}

static void a_wide_tree_is_copied(void **state)
{
	enum { COUNT = 3000 };
	mfs *fs = *state;
	char path[64];

	make_dir(fs, "/d");
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(path, sizeof(path), "/d/%d", i);
		make_file(fs, path, &i, sizeof(i));
	}
	assert_code(mfs_copy_tree(fs, "/d", "/c"), 0);
	assert_name_count(fs, "/c", COUNT);
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(path, sizeof(path), "/c/%d", i);
		assert_file_holds(fs, path, &i, sizeof(i));
	}
}

static void a_deep_tree_is_copied(void **state)
{
	enum { DEPTH = 10000 };
	mfs *fs = *state;
	char *path = allocate(2 * DEPTH + 16);

	(void)snprintf(path, 3, "/d");
	for (int i = 1; i < DEPTH; i++) {
		(void)memcpy(path + (size_t)2 * (size_t)i, "/d", 3);
	}
	make_dir(fs, path);
	(void)strcat(path, "/text");
	make_text(fs, path, "at the bottom");
	assert_code(mfs_copy_tree(fs, "/d", "/c"), 0);
	path[1] = 'c';
	assert_text(fs, path, "at the bottom");
	assert_int_equal(usage_of(fs).directories, 2 * DEPTH);
	free(path);
}

/*
 * Errors
 */

static void copy_refuses_what_it_cannot_do(void **state)
{
	char long_name[MFS_NAME_MAX + 3];
	mfs *fs = *state;
	mfs_usage before;
	mfs_usage after;

	memset(long_name, 'n', sizeof(long_name));
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	make_dir(fs, "/d");
	make_text(fs, "/f", "text");
	make_text(fs, "/g", "other");
	before = usage_of(fs);
	assert_refused(fs, mfs_copy(fs, "/missing", "/to"), MFS_ENOENT);
	assert_refused(fs, mfs_copy(fs, "/missing/f", "/to"), MFS_ENOENT);
	assert_refused(fs, mfs_copy(fs, "/f", "/missing/to"), MFS_ENOENT);
	assert_refused(fs, mfs_copy(fs, "/f/below", "/to"), MFS_ENOTDIR);
	assert_refused(fs, mfs_copy(fs, "/f", "/g/to"), MFS_ENOTDIR);
	assert_refused(fs, mfs_copy(fs, "/f", "/g"), MFS_EEXIST);
	assert_refused(fs, mfs_copy(fs, "/f", "/d"), MFS_EEXIST);
	assert_refused(fs, mfs_copy(fs, "/f", "/f"), MFS_EEXIST);
	assert_refused(fs, mfs_copy(fs, "/f", "/d/../f"), MFS_EEXIST);
	assert_refused_either(fs, mfs_copy(fs, "/f", "/"), MFS_EEXIST, MFS_EINVAL);
	assert_refused(fs, mfs_copy(fs, "/d", "/to"), MFS_EISDIR);
	assert_refused_either(fs, mfs_copy(fs, "/", "/to"), MFS_EISDIR, MFS_EINVAL);
	assert_refused(fs, mfs_copy(fs, "/..", "/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy(fs, "/f", "/../to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy(fs, "/f", long_name), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_copy(fs, long_name, "/to"), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_copy(fs, NULL, "/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy(fs, "/f", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_copy(NULL, "/f", "/to"), MFS_EINVAL);
	after = usage_of(fs);
	assert_same_usage(&before, &after);
	assert_false(mfs_exists(fs, "/to"));
	assert_text(fs, "/f", "text");
	assert_text(fs, "/g", "other");
}

static void copy_tree_refuses_what_it_cannot_do(void **state)
{
	char long_name[MFS_NAME_MAX + 3];
	mfs *fs = *state;
	mfs_usage before;
	mfs_usage after;

	memset(long_name, 'n', sizeof(long_name));
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	make_some_tree(fs);
	make_text(fs, "/f", "text");
	make_dir(fs, "/exists");
	before = usage_of(fs);
	assert_refused(fs, mfs_copy_tree(fs, "/missing", "/to"), MFS_ENOENT);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/missing/to"), MFS_ENOENT);
	assert_refused(fs, mfs_copy_tree(fs, "/f", "/to"), MFS_ENOTDIR);
	assert_refused(fs, mfs_copy_tree(fs, "/f/below", "/to"), MFS_ENOTDIR);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/f/to"), MFS_ENOTDIR);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/f"), MFS_EEXIST);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/exists"), MFS_EEXIST);
	assert_refused_either(fs, mfs_copy_tree(fs, "/d", "/d"), MFS_EEXIST, MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/d/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/d/e/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/d", "/exists/../d/e/f/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/", "/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "", "/d/to"), MFS_EINVAL);
	assert_refused_either(fs, mfs_copy_tree(fs, "/d", "/"), MFS_EEXIST, MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/..", "/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/d", long_name), MFS_ENAMETOOLONG);
	assert_refused(fs, mfs_copy_tree(fs, NULL, "/to"), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(fs, "/d", NULL), MFS_EINVAL);
	assert_refused(fs, mfs_copy_tree(NULL, "/d", "/to"), MFS_EINVAL);
	after = usage_of(fs);
	assert_same_usage(&before, &after);
	assert_false(mfs_exists(fs, "/to"));
	assert_some_tree(fs, "/d");
	assert_name_count(fs, "/d", 3);
	assert_name_count(fs, "/", 3);
}

/*
 * Waiting for writers
 */

static mfs *new_workspace_that_waits(int64_t timeout)
{
	mfs_options options = {.struct_size = sizeof(options)};

	options.default_lock_timeout = timeout;
	return new_workspace(&options);
}

static void a_writer_that_stays_is_not_waited_for_for_ever(void **state)
{
	static const int64_t timeouts[] = {50, MFS_NO_WAIT};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
		int code = timeouts[i] == MFS_NO_WAIT ? MFS_EBUSY : MFS_ETIMEDOUT;
		mfs *fs = new_workspace_that_waits(timeouts[i]);
		mfs_file *writer = NULL;
		mfs_usage before;
		mfs_usage after;
		int64_t start = 0;

		make_some_tree(fs);
		writer = open_file(fs, "/d/e/text", "r+b");
		before = usage_of(fs);
		start = clock_ns(CLOCK_MONOTONIC);
		assert_refused(fs, mfs_copy(fs, "/d/e/text", "/to"), code);
		if (code == MFS_ETIMEDOUT) {
			assert_in_range(clock_ns(CLOCK_MONOTONIC) - start, 50000000, INT64_C(15000000000));
		}
		start = clock_ns(CLOCK_MONOTONIC);
		assert_refused(fs, mfs_copy_tree(fs, "/d", "/to"), code);
		if (code == MFS_ETIMEDOUT) {
			assert_in_range(clock_ns(CLOCK_MONOTONIC) - start, 50000000, INT64_C(15000000000));
		}
		after = usage_of(fs);
		assert_same_usage(&before, &after);
		assert_false(mfs_exists(fs, "/to"));
		/* What is not held is copied, and nothing was left locked. */
		assert_code(mfs_copy(fs, "/d/text", "/to"), 0);
		assert_code(mfs_copy_tree(fs, "/d/e/f", "/to tree"), 0);
		assert_code(try_open(fs, "/d/text", "r+b"), 0);
		assert_code(try_open(fs, "/d/e/f/text", "r+b"), 0);
		close_file(writer);
		assert_code(try_open(fs, "/d/e/text", "r+b"), 0);
		assert_code(mfs_copy_tree(fs, "/d", "/now"), 0);
		assert_some_tree(fs, "/now");
		free_workspace(fs);
	}
}

static void readers_are_not_waited_for(void **state)
{
	mfs *fs = new_workspace_that_waits(MFS_NO_WAIT);
	mfs_file *reader = NULL;
	mfs_file *shared = NULL;

	(void)state;
	make_some_tree(fs);
	reader = open_file(fs, "/d/e/text", "rb");
	shared = open_shared(fs, "/d/text", "r+b");
	assert_code(mfs_copy(fs, "/d/e/text", "/reader"), 0);
	assert_code(mfs_copy(fs, "/d/text", "/shared"), 0);
	assert_code(mfs_copy_tree(fs, "/d", "/tree"), 0);
	close_file(reader);
	close_file(shared);
	assert_text(fs, "/reader", "in the middle");
	assert_text(fs, "/shared", "at the top");
	assert_some_tree(fs, "/tree");
	free_workspace(fs);
}

/** A thread that copies; the opener is what support.h can watch. */
struct copier {
	struct opener opener;
	const char *to;
	bool is_tree;
};

static void *copier_run(void *argument)
{
	struct copier *copier = argument;
	struct opener *opener = &copier->opener;

	atomic_store(&opener->tid, gettid());
	opener->code = copier->is_tree ? mfs_copy_tree(opener->fs, opener->path, copier->to)
								   : mfs_copy(opener->fs, opener->path, copier->to);
	atomic_store(&opener->returned, true);
	return NULL;
}

static void copier_start_waiting(struct copier *copier)
{
	atomic_init(&copier->opener.tid, 0);
	atomic_init(&copier->opener.returned, false);
	copier->opener.code = 1;
	copier->opener.thread = start_thread(copier_run, copier);
	opener_await_asleep(&copier->opener);
	assert_false(atomic_load(&copier->opener.returned));
}

static void copy_goes_on_when_the_writer_is_done(void **state)
{
	mfs *fs = *state;
	struct copier copier = {.to = "/to"};
	mfs_file *writer = NULL;

	make_text(fs, "/from", "old text");
	writer = open_file(fs, "/from", "r+b");
	copier.opener.fs = fs;
	copier.opener.path = "/from";
	copier_start_waiting(&copier);
	assert_false(mfs_exists(fs, "/to"));
	assert_code(mfs_pwrite(writer, "new", 3, 0), 3);
	close_file(writer);
	assert_code(opener_join(&copier.opener), 0);
	assert_text(fs, "/to", "new text");
	assert_code(try_open(fs, "/from", "r+b"), 0);
	assert_code(try_open(fs, "/to", "r+b"), 0);
}

static void copy_fails_when_the_name_is_taken_meanwhile(void **state)
{
	mfs *fs = *state;
	struct copier copier = {.to = "/to"};
	mfs_file *writer = NULL;
	uint64_t used = 0;

	make_text(fs, "/from", "text");
	writer = open_file(fs, "/from", "r+b");
	copier.opener.fs = fs;
	copier.opener.path = "/from";
	copier_start_waiting(&copier);
	make_text(fs, "/to", "first");
	used = used_bytes(fs);
	close_file(writer);
	assert_code(opener_join(&copier.opener), MFS_EEXIST);
	assert_text(fs, "/to", "first");
	assert_int_equal(used_bytes(fs), used);
	assert_int_equal(usage_of(fs).files, 2);
	assert_code(try_open(fs, "/from", "r+b"), 0);
}

static void copy_tree_holds_up_nobody_while_it_waits(void **state)
{
	mfs *fs = *state;
	struct copier copier = {.to = "/c", .is_tree = true};
	mfs_file *writer = NULL;

	make_some_tree(fs);
	writer = open_file(fs, "/d/e/text", "r+b");
	copier.opener.fs = fs;
	copier.opener.path = "/d";
	copier_start_waiting(&copier);
	assert_false(mfs_exists(fs, "/c"));
	/* Beside the file, above it, below, and elsewhere. */
	make_text(fs, "/d/new", "new");
	make_dir(fs, "/d/e/new");
	make_text(fs, "/d/e/f/new", "new");
	assert_code(mfs_remove(fs, "/d/empty"), 0);
	assert_code(mfs_rename(fs, "/d/text", "/d/renamed", 0), 0);
	assert_code(mfs_rename(fs, "/d/e/f/text", "/moved away", 0), 0);
	assert_code(try_open(fs, "/d/renamed", "r+b"), 0);
	make_text(fs, "/d/e/f/nothing", "something");
	assert_code(mfs_copy(fs, "/d/renamed", "/d/copied"), 0);
	assert_false(atomic_load(&copier.opener.returned));
	assert_code(mfs_truncate(writer, 2), 0);
	close_file(writer);
	assert_code(opener_join(&copier.opener), 0);
	/* What was done before the last writer was done is in it. */
	assert_text(fs, "/c/e/text", "in");
	assert_text(fs, "/c/new", "new");
	assert_true(mfs_is_dir(fs, "/c/e/new"));
	assert_text(fs, "/c/e/f/new", "new");
	assert_text(fs, "/c/e/f/nothing", "something");
	assert_text(fs, "/c/renamed", "at the top");
	assert_text(fs, "/c/copied", "at the top");
	assert_false(mfs_exists(fs, "/c/text"));
	assert_false(mfs_exists(fs, "/c/empty"));
	assert_false(mfs_exists(fs, "/c/e/f/text"));
	assert_name_count(fs, "/c", 4);
	assert_name_count(fs, "/c/e", 3);
	assert_name_count(fs, "/c/e/f", 2);
	assert_code(mfs_remove(fs, "/c/e/new"), 0);
	assert_code(try_open(fs, "/d/e/text", "r+b"), 0);
}

static void copy_tree_waits_for_one_writer_after_the_other(void **state)
{
	mfs *fs = *state;
	struct copier copier = {.to = "/c", .is_tree = true};
	mfs_file *first = NULL;
	mfs_file *second = NULL;

	make_some_tree(fs);
	first = open_file(fs, "/d/e/text", "r+b");
	second = open_file(fs, "/d/text", "r+b");
	copier.opener.fs = fs;
	copier.opener.path = "/d";
	copier_start_waiting(&copier);
	/* What nobody holds goes all the same. */
	assert_code(mfs_remove(fs, "/d/e/f/text"), 0);
	close_file(first);
	opener_await_asleep(&copier.opener);
	assert_false(atomic_load(&copier.opener.returned));
	close_file(second);
	assert_code(opener_join(&copier.opener), 0);
	assert_text(fs, "/c/text", "at the top");
	assert_text(fs, "/c/e/text", "in the middle");
	assert_name_count(fs, "/c/e/f", 1);
}

/*
 * Many threads
 */

enum {
	COPIERS = 4,
	COPY_ROUNDS = 100,
	WORDS = 9000, /* of eight bytes: several chunks */
};

struct worker {
	mfs *fs;
	int number;
	bool base_changes;
	atomic_bool *stop;
	int faults;
	pthread_t thread;
};

/** Reads a file whole. Returns false if it is not of this size. For any thread. */
static bool read_whole(mfs *fs, const char *path, void *bytes, size_t size)
{
	mfs_file *file = NULL;
	bool good = false;

	if (mfs_open(fs, path, "rb", &file) != 0) {
		return false;
	}
	good = mfs_read(file, bytes, size) == (int64_t)size && mfs_read(file, bytes, 1) == 0;
	return mfs_close(file) == 0 && good;
}

/** Writes a part of a file, and the same part of the bytes that it should hold. */
static bool write_part(mfs *fs, const char *path, uint64_t *words, size_t from, size_t count,
					   uint64_t word)
{
	mfs_file *file = NULL;
	size_t size = count * sizeof(*words);
	bool good = false;

	for (size_t i = from; i < from + count; i++) {
		words[i] = word;
	}
	if (mfs_open(fs, path, "r+b", &file) != 0) {
		return false;
	}
	good = mfs_pwrite(file, &words[from], size, (int64_t)(from * sizeof(*words))) == (int64_t)size;
	return mfs_close(file) == 0 && good;
}

static bool is_uniform(const uint64_t *words)
{
	for (size_t i = 1; i < WORDS; i++) {
		if (words[i] != words[0]) {
			return false;
		}
	}
	return true;
}

/** One copy of "/base", changed, copied again and removed. Returns what was wrong. */
static int copy_round(const struct worker *worker, struct rng *rng, uint64_t *words,
					  uint64_t *others)
{
	size_t size = WORDS * sizeof(*words);
	char copy[32];
	char second[32];
	int faults = 0;

	(void)snprintf(copy, sizeof(copy), "/copy%d", worker->number);
	(void)snprintf(second, sizeof(second), "/second%d", worker->number);
	faults += mfs_copy(worker->fs, "/base", copy) != 0;
	/* All of one writing, whichever it was. */
	faults += !read_whole(worker->fs, copy, words, size) || !is_uniform(words);
	faults += !worker->base_changes && words[0] != 0;
	for (int i = 0; i < 3; i++) {
		size_t from = rng_below(rng, WORDS - 700);

		faults += !write_part(worker->fs, copy, words, from, 1 + rng_below(rng, 700),
							  (uint64_t)worker->number << 32 | rng_next(rng) >> 40);
		if (i == 1) {
			faults += mfs_copy(worker->fs, copy, second) != 0;
			memcpy(others, words, size);
		}
	}
	for (int i = 0; i < 2; i++) {
		uint64_t *seen = malloc(size);

		faults += seen == NULL || !read_whole(worker->fs, i == 0 ? copy : second, seen, size) ||
				  memcmp(seen, i == 0 ? words : others, size) != 0;
		free(seen);
		faults += mfs_remove(worker->fs, i == 0 ? copy : second) != 0;
	}
	return faults;
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = {(uint64_t)worker->number + 1};
	uint64_t *words = calloc(WORDS, sizeof(*words));
	uint64_t *others = calloc(WORDS, sizeof(*others));

	worker->faults = words == NULL || others == NULL;
	for (int round = 0; round < COPY_ROUNDS && worker->faults == 0; round++) {
		worker->faults += copy_round(worker, &rng, words, others);
	}
	free(words);
	free(others);
	return NULL;
}

/** Writes "/base" again and again, always all of it. */
static void *run_base_writer(void *argument)
{
	struct worker *worker = argument;
	uint64_t *words = calloc(WORDS, sizeof(*words));
	uint64_t word = 0;

	worker->faults = words == NULL;
	while (!atomic_load(worker->stop) && worker->faults == 0) {
		word++;
		worker->faults += !write_part(worker->fs, "/base", words, 0, WORDS, word);
		sched_yield();
	}
	free(words);
	return NULL;
}

static void many_threads_copy_and_write(mfs *fs, bool base_changes)
{
	struct worker workers[COPIERS];
	atomic_bool stop = false;
	struct worker writer = {.fs = fs, .stop = &stop};
	uint64_t *words = allocate(WORDS * sizeof(*words));
	uint64_t used = 0;

	make_file(fs, "/base", words, WORDS * sizeof(*words));
	used = used_bytes(fs);
	for (int i = 0; i < COPIERS; i++) {
		workers[i] = (struct worker){.fs = fs, .number = i + 1, .base_changes = base_changes};
		workers[i].thread = start_thread(run_worker, &workers[i]);
	}
	if (base_changes) {
		writer.thread = start_thread(run_base_writer, &writer);
	}
	for (int i = 0; i < COPIERS; i++) {
		join_thread(workers[i].thread);
	}
	atomic_store(&stop, true);
	if (base_changes) {
		join_thread(writer.thread);
	}
	for (int i = 0; i < COPIERS; i++) {
		assert_int_equal(workers[i].faults, 0);
	}
	assert_int_equal(writer.faults, 0);
	assert_int_equal(used_bytes(fs), used);
	assert_int_equal(usage_of(fs).files, 1);
	if (!base_changes) {
		assert_file_holds(fs, "/base", words, WORDS * sizeof(*words));
	}
	assert_code(mfs_remove(fs, "/base"), 0);
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	free(words);
}

static void threads_that_share_chunks_do_not_disturb_each_other(void **state)
{
	many_threads_copy_and_write(*state, false);
}

static void copies_of_a_file_that_changes_are_of_one_instant(void **state)
{
	many_threads_copy_and_write(*state, true);
}

struct rival {
	mfs *fs;
	const char *from;
	const char *to;
	bool is_tree;
	pthread_barrier_t *start;
	int code;
	pthread_t thread;
};

static void *run_rival(void *argument)
{
	struct rival *rival = argument;

	pthread_barrier_wait(rival->start);
	rival->code = rival->is_tree ? mfs_copy_tree(rival->fs, rival->from, rival->to)
								 : mfs_copy(rival->fs, rival->from, rival->to);
	return NULL;
}

static void one_of_many_copies_to_a_name_succeeds(void **state)
{
	enum { RIVALS = 4, ROUNDS = 50 };
	mfs *fs = *state;
	pthread_barrier_t start;

	make_some_tree(fs);
	make_dir(fs, "/all");
	assert_int_equal(pthread_barrier_init(&start, NULL, RIVALS), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct rival rivals[RIVALS];
		char name[32];
		int winner = -1;

		(void)snprintf(name, sizeof(name), "/all/%d", round);
		for (int i = 0; i < RIVALS; i++) {
			rivals[i] = (struct rival){.fs = fs,
									   .from = i % 2 == 0 ? "/d" : "/d/text",
									   .to = name,
									   .is_tree = i % 2 == 0,
									   .start = &start};
			rivals[i].thread = start_thread(run_rival, &rivals[i]);
		}
		for (int i = 0; i < RIVALS; i++) {
			join_thread(rivals[i].thread);
		}
		for (int i = 0; i < RIVALS; i++) {
			assert_either(rivals[i].code, 0, MFS_EEXIST);
			if (rivals[i].code == 0) {
				assert_int_equal(winner, -1);
				winner = i;
			}
		}
		assert_int_not_equal(winner, -1);
		if (rivals[winner].is_tree) {
			assert_some_tree(fs, name);
		} else {
			assert_text(fs, name, "at the top");
		}
	}
	assert_int_equal(pthread_barrier_destroy(&start), 0);
	assert_name_count(fs, "/all", ROUNDS);
}

struct mover {
	mfs *fs;
	atomic_bool stop;
	_Atomic uint64_t rounds;
	int faults; /* valid once joined */
	pthread_t thread;
};

/* A tree whose copy takes its time, and what changes at its top and at its bottom. */
#define TOP    "/s"
#define BOTTOM "/s/m/m/m/m"

static void make_tree_to_copy_at_length(mfs *fs)
{
	uint64_t zero = 0;
	char path[64] = TOP;

	make_dir(fs, BOTTOM);
	for (size_t depth = 0; depth < 4; depth++) {
		size_t length = strlen(path);

		for (int i = 0; i < 40; i++) {
			(void)snprintf(path + length, sizeof(path) - length, "/%d", i);
			make_text(fs, path, "text");
		}
		(void)snprintf(path + length, sizeof(path) - length, "/m");
	}
	make_file(fs, TOP "/word", &zero, sizeof(zero));
	make_file(fs, BOTTOM "/word", &zero, sizeof(zero));
	make_text(fs, TOP "/token", "token");
}

/** Moves a file from the top to the bottom and back. */
static void *run_mover(void *argument)
{
	struct mover *mover = argument;

	while (!atomic_load(&mover->stop) && mover->faults == 0) {
		mover->faults += mfs_rename(mover->fs, TOP "/token", BOTTOM "/token", 0) != 0;
		mover->faults += mfs_rename(mover->fs, BOTTOM "/token", TOP "/token", 0) != 0;
		atomic_fetch_add(&mover->rounds, 1);
		sched_yield();
	}
	return NULL;
}

/** Writes a number to the file at the top, and then to the one at the bottom. */
static void *run_writer(void *argument)
{
	struct mover *writer = argument;

	while (!atomic_load(&writer->stop) && writer->faults == 0) {
		uint64_t round = atomic_load(&writer->rounds) + 1;
		uint64_t word = 0;

		writer->faults += !write_part(writer->fs, TOP "/word", &word, 0, 1, round);
		writer->faults += !write_part(writer->fs, BOTTOM "/word", &word, 0, 1, round);
		atomic_store(&writer->rounds, round);
		sched_yield();
	}
	return NULL;
}

/** One copy of what they work on. Returns what was wrong. For any thread. */
static int check_copy_of_one_instant(mfs *fs, uint64_t *last)
{
	uint64_t top = 0;
	uint64_t bottom = 0;
	int faults = 0;

	faults += mfs_copy_tree(fs, TOP, "/c") != 0;
	faults += !read_whole(fs, "/c/word", &top, sizeof(top));
	faults += !read_whole(fs, "/c/m/m/m/m/word", &bottom, sizeof(bottom));
	faults += top < bottom || top > bottom + 1;
	faults += bottom < *last;
	*last = bottom;
	faults += mfs_is_file(fs, "/c/token") == mfs_is_file(fs, "/c/m/m/m/m/token");
	faults += mfs_rmtree(fs, "/c") != 0;
	return faults;
}

/** Copies the tree while a thread changes it. */
static void copy_while(mfs *fs, void *(*run)(void *argument))
{
	enum { ROUNDS = 300, COPIES_MAX = 30000 };
	struct mover mover = {.fs = fs};
	uint64_t last = 0;
	int faults = 0;

	make_tree_to_copy_at_length(fs);
	mover.thread = start_thread(run, &mover);
	/* No assertion until the thread has ended. */
	for (int round = 0; faults == 0 && round < COPIES_MAX; round++) {
		if (round >= ROUNDS && atomic_load(&mover.rounds) >= ROUNDS) {
			break;
		}
		faults += check_copy_of_one_instant(fs, &last);
		sched_yield();
	}
	atomic_store(&mover.stop, true);
	join_thread(mover.thread);
	assert_int_equal(faults, 0);
	assert_int_equal(mover.faults, 0);
	assert_int_equal(usage_of(fs).files, 4 * 40 + 3);
}

static void a_copied_tree_has_the_names_of_one_instant(void **state)
{
	copy_while(*state, run_mover);
}

static void a_copied_tree_has_the_data_of_one_instant(void **state)
{
	copy_while(*state, run_writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_copy_has_the_contents),
		WORKSPACE_TEST(writing_to_one_leaves_the_other),
		WORKSPACE_TEST(many_small_changes_leave_the_other),
		WORKSPACE_TEST(handles_that_are_open_see_their_own_file),
		cmocka_unit_test(a_copy_is_charged_in_full),
		cmocka_unit_test(a_full_workspace_has_room_for_writes_to_copies),
		cmocka_unit_test(a_copy_of_a_file_that_has_room_ahead),
		cmocka_unit_test(a_copy_that_does_not_fit_changes_nothing),
		cmocka_unit_test(a_tree_that_fits_in_part_is_not_copied),
		cmocka_unit_test(copies_count_as_nodes),
		WORKSPACE_TEST(copies_of_copies_go_in_any_order),
		WORKSPACE_TEST(a_copy_is_a_new_file),
		WORKSPACE_TEST(a_tree_is_copied_with_all_below),
		WORKSPACE_TEST(a_tree_is_copied_to_anywhere_outside),
		WORKSPACE_TEST(a_wide_tree_is_copied),
		WORKSPACE_TEST(a_deep_tree_is_copied),
		WORKSPACE_TEST(copy_refuses_what_it_cannot_do),
		WORKSPACE_TEST(copy_tree_refuses_what_it_cannot_do),
		cmocka_unit_test(a_writer_that_stays_is_not_waited_for_for_ever),
		cmocka_unit_test(readers_are_not_waited_for),
		WORKSPACE_TEST(copy_goes_on_when_the_writer_is_done),
		WORKSPACE_TEST(copy_fails_when_the_name_is_taken_meanwhile),
		WORKSPACE_TEST(copy_tree_holds_up_nobody_while_it_waits),
		WORKSPACE_TEST(copy_tree_waits_for_one_writer_after_the_other),
		WORKSPACE_TEST(threads_that_share_chunks_do_not_disturb_each_other),
		WORKSPACE_TEST(copies_of_a_file_that_changes_are_of_one_instant),
		WORKSPACE_TEST(one_of_many_copies_to_a_name_succeeds),
		WORKSPACE_TEST(a_copied_tree_has_the_names_of_one_instant),
		WORKSPACE_TEST(a_copied_tree_has_the_data_of_one_instant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
