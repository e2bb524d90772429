/* SPDX-License-Identifier: MIT */
/*
 * Does an import come into the workspace whole, or not at all, for its caller and for everybody
 * else?
 */
#include "support.h"

#define FILE_ITEM(path_, text_)                                                                    \
	{                                                                                              \
		.path = (path_), .data = (text_), .size = sizeof(text_) - 1                                \
	}
#define DIRECTORY_ITEM(path_)                                                                      \
	{                                                                                              \
		.path = (path_), .flags = MFS_IMPORT_DIRECTORY                                             \
	}

static mfs_import_item file_item(const char *path, const char *text)
{
	return (mfs_import_item){.path = path, .data = text, .size = strlen(text)};
}

static mfs_import_item directory_item(const char *path)
{
	return (mfs_import_item){.path = path, .flags = MFS_IMPORT_DIRECTORY};
}

static void assert_name_count(mfs *fs, const char *path, int64_t count)
{
	char **names = NULL;

	assert_code(mfs_listdir(fs, path, &names), count);
	mfs_names_free(names);
}

/*
 * All that can be seen of a workspace, to compare before and after
 */

struct picture {
	char *text;
	size_t size;
};

/** Adds a line for a node, and the bytes of a file. */
static void describe_node(mfs *fs, FILE *out, const char *path, const mfs_info *info)
{
	(void)fprintf(out, "%s %s %lld %llu %lld\n", path, info->is_dir ? "directory" : "file",
				  (long long)info->size, (unsigned long long)info->generation,
				  (long long)info->modified_at);
	if (!info->is_dir) {
		char *bytes = allocate((size_t)info->size + 1);
		mfs_file *file = NULL;
		int64_t size = 0;

		assert_code(open_with(fs, path, "rb", MFS_O_SHARED, MFS_NO_WAIT, &file), 0);
		size = mfs_read(file, bytes, (size_t)info->size + 1);
		close_file(file);
		/* A file that is held for writing keeps its bytes to itself. */
		if (size != MFS_EBUSY) {
			assert_code(size, info->size);
			assert_int_equal(fwrite(bytes, 1, (size_t)size, out), (size_t)size);
			(void)fputc('\n', out);
		}
		free(bytes);
	}
}

/** Directory after directory: those that are still to be looked at are kept in a list. */
static struct picture picture_of(mfs *fs)
{
	enum { DIRECTORIES = 100 };
	struct picture picture = {NULL, 0};
	char *left[DIRECTORIES] = {strdup("")};
	size_t count = 1;
	mfs_usage usage = usage_of(fs);
	FILE *out = open_memstream(&picture.text, &picture.size);

	assert_non_null(out);
	(void)fprintf(out, "%llu bytes %llu files %llu directories %llu chunks\n",
				  (unsigned long long)usage.used_bytes, (unsigned long long)usage.files,
				  (unsigned long long)usage.directories, (unsigned long long)usage.chunks);
	for (size_t i = 0; i < count; i++) {
		char **names = NULL;

		assert_true(mfs_listdir(fs, left[i], &names) >= 0);
		for (size_t j = 0; names[j] != NULL; j++) {
			char path[512];
			mfs_info info;

			(void)snprintf(path, sizeof(path), "%s/%s", left[i], names[j]);
			info = info_of(fs, path);
			describe_node(fs, out, path, &info);
			if (info.is_dir) {
				assert_true(count < DIRECTORIES);
				left[count++] = strdup(path);
			}
		}
		mfs_names_free(names);
		free(left[i]);
	}
	assert_int_equal(fclose(out), 0);
	return picture;
}

/** The workspace still looks like this. Frees the picture. */
static void assert_unchanged(mfs *fs, struct picture *before)
{
	struct picture after = picture_of(fs);

	if (after.size != before->size || memcmp(after.text, before->text, after.size) != 0) {
		print_error("before:\n%s\nafter:\n%s\n", before->text, after.text);
		fail();
	}
	free(after.text);
	free(before->text);
	before->text = NULL;
}

/** No lock was left behind: each file can be written, and each directory takes a name. */
static void assert_unlocked(mfs *fs, const char *const *files, const char *const *directories)
{
	for (; *files != NULL; files++) {
		assert_code(try_open(fs, *files, "r+b"), 0);
	}
	for (; *directories != NULL; directories++) {
		char path[512];

		(void)snprintf(path, sizeof(path), "%s/probe", *directories);
		close_file(open_file(fs, path, "xb"));
		assert_code(mfs_remove(fs, path), 0);
	}
}

/*
 * What is imported
 */

static void files_and_their_parents_are_made(void **state)
{
	static const mfs_import_item items[] = {
		FILE_ITEM("/a", "at the top"),         FILE_ITEM("/d/b", "in d"),
		FILE_ITEM("/d/e/f/g/h", "far below"),  DIRECTORY_ITEM("/empty"),
		DIRECTORY_ITEM("/d/e/empty/too"),      FILE_ITEM("i", "without a separator"),
		FILE_ITEM("\\d\\e\\j", "backslashes"), FILE_ITEM("/d/../k/./l//m/", "all spellings"),
	};
	mfs *fs = *state;
	mfs_usage usage;

	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	assert_text(fs, "/a", "at the top");
	assert_text(fs, "/d/b", "in d");
	assert_text(fs, "/d/e/f/g/h", "far below");
	assert_text(fs, "/i", "without a separator");
	assert_text(fs, "/d/e/j", "backslashes");
	assert_text(fs, "/k/l/m", "all spellings");
	assert_true(mfs_is_dir(fs, "/empty"));
	assert_true(mfs_is_dir(fs, "/d/e/empty/too"));
	assert_name_count(fs, "/", 5);
	assert_name_count(fs, "/d", 2);
	assert_name_count(fs, "/d/e", 3);
	assert_name_count(fs, "/empty", 0);
	assert_name_count(fs, "/d/e/empty/too", 0);
	usage = usage_of(fs);
	assert_int_equal(usage.files, 6);
	assert_int_equal(usage.directories, 9);
	assert_int_equal(usage.open_handles, 0);
}

static void contents_of_all_sizes_are_imported(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, 65537, MIB, 5 * MIB + 3};
	mfs *fs = *state;
	mfs_import_item items[COUNT_OF(sizes)];
	char paths[COUNT_OF(sizes)][32];
	unsigned char *bytes = allocate(5 * MIB + 3);
	unsigned char *copy = allocate(5 * MIB + 3);
	struct rng rng = {3};

	rng_fill(&rng, bytes, 5 * MIB + 3);
	memcpy(copy, bytes, 5 * MIB + 3);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/d%zu/f%zu", i % 3, i);
		items[i] = (mfs_import_item){.path = paths[i], .data = copy, .size = sizes[i]};
	}
	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	/* The workspace has bytes of its own. */
	memset(copy, 0, 5 * MIB + 3);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		assert_file_holds(fs, paths[i], bytes, sizes[i]);
		assert_code(mfs_remove(fs, paths[i]), 0);
	}
	assert_int_equal(used_bytes(fs), 0);
	assert_int_equal(usage_of(fs).chunks, 0);
	free(bytes);
	free(copy);
}

static void an_empty_file_needs_no_data(void **state)
{
	mfs *fs = *state;
	mfs_import_item items[] = {file_item("/a", ""), file_item("/b", "text")};

	items[0].data = NULL;
	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	assert_text(fs, "/a", "");
	assert_text(fs, "/b", "text");
	/* It replaces one with data, too. */
	items[1].data = NULL;
	items[1].size = 0;
	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	assert_text(fs, "/b", "");
	assert_int_equal(used_bytes(fs), 0);
	items[1].size = 1;
	assert_refused(fs, mfs_import_tree(fs, items, COUNT_OF(items)), MFS_EINVAL);
}

static void no_items_are_no_change(void **state)
{
	mfs *fs = *state;
	mfs_import_item item = file_item("/a", "text");
	struct picture before = picture_of(fs);

	assert_code(mfs_import_tree(fs, &item, 0), 0);
	assert_either(mfs_import_tree(fs, NULL, 0), 0, MFS_EINVAL);
	assert_refused(fs, mfs_import_tree(fs, NULL, 1), MFS_EINVAL);
	assert_refused(fs, mfs_import_tree(NULL, &item, 1), MFS_EINVAL);
	assert_unchanged(fs, &before);
}

static void files_are_replaced_and_directories_stay(void **state)
{
	mfs *fs = *state;
	mfs_import_item items[] = {
		file_item("/d/a", "new"), file_item("/d/e/b", "newer"), directory_item("/d/e"),
		directory_item("/f/g"),   directory_item("/"),
	};

	make_dir(fs, "/d/e");
	make_dir(fs, "/f");
	make_text(fs, "/d/a", "old and longer");
	make_text(fs, "/d/stays", "stays");
	make_text(fs, "/d/e/stays", "stays, too");
	make_text(fs, "/f/stays", "also");
	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
	assert_text(fs, "/d/a", "new");
	assert_text(fs, "/d/e/b", "newer");
	assert_text(fs, "/d/stays", "stays");
	assert_text(fs, "/d/e/stays", "stays, too");
	assert_text(fs, "/f/stays", "also");
	assert_name_count(fs, "/", 2);
	assert_name_count(fs, "/d", 3);
	assert_name_count(fs, "/d/e", 2);
	assert_name_count(fs, "/f", 2);
	assert_name_count(fs, "/f/g", 0);
	assert_int_equal(usage_of(fs).files, 5);
	assert_int_equal(usage_of(fs).directories, 4);
}

static void imported_files_are_clean_until_written(void **state)
{
	static const mfs_import_item items[] = {FILE_ITEM("/d/a", "text"), FILE_ITEM("/d/b", "")};
	mfs *fs = *state;
	uint64_t generation = 0;
	mfs_file *file = NULL;

	make_dir(fs, "/d");
	make_text(fs, "/d/a", "dirty");
	assert_int_not_equal(info_of(fs, "/d/a").generation, 0);
	for (int i = 0; i < 2; i++) {
		assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
		assert_int_equal(info_of(fs, "/d/a").generation, 0);
		assert_int_equal(info_of(fs, "/d/b").generation, 0);
		/* To open is not to write. */
		close_file(open_file(fs, "/d/a", "r+b"));
		assert_int_equal(info_of(fs, "/d/a").generation, 0);
		file = open_file(fs, "/d/a", "ab");
		assert_code(mfs_write(file, "x", 1), 1);
		close_file(file);
		generation = info_of(fs, "/d/a").generation;
		assert_true(generation > 0);
		assert_int_equal(info_of(fs, "/d/b").generation, 0);
		file = open_file(fs, "/d/b", "r+b");
		assert_code(mfs_truncate(file, 10), 0);
		close_file(file);
		assert_true(info_of(fs, "/d/b").generation > 0);
	}
}

static void ten_thousand_items_are_imported_at_once(void **state)
{
	enum { COUNT = 10000, DIRECTORIES = 100 };
	mfs *fs = *state;
	mfs_import_item *items = allocate(COUNT * sizeof(*items));
	char(*paths)[32] = allocate(COUNT * sizeof(*paths));
	uint64_t *words = allocate(COUNT * sizeof(*words));
	struct rng rng = {21};

	for (size_t i = 0; i < COUNT; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/all/%zu/%zu", i % DIRECTORIES, i);
		items[i] = (mfs_import_item){.path = paths[i], .data = &words[i], .size = sizeof(words[i])};
	}
	for (uint64_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT; i++) {
			words[i] = round * COUNT + i;
		}
		/* In any order. */
		for (size_t i = COUNT - 1; i > 0; i--) {
			size_t other = rng_below(&rng, i + 1);
			mfs_import_item item = items[i];

			items[i] = items[other];
			items[other] = item;
		}
		assert_code(mfs_import_tree(fs, items, COUNT), 0);
		assert_int_equal(usage_of(fs).files, COUNT);
		assert_int_equal(usage_of(fs).directories, DIRECTORIES + 1);
		for (size_t i = 0; i < COUNT; i++) {
			assert_file_holds(fs, paths[i], &words[i], sizeof(words[i]));
			assert_int_equal(info_of(fs, paths[i]).generation, 0);
		}
	}
	assert_name_count(fs, "/all", DIRECTORIES);
	assert_name_count(fs, "/all/17", COUNT / DIRECTORIES);
	free(items);
	free(paths);
	free(words);
}

static void a_path_of_many_names_is_imported(void **state)
{
	enum { DEPTH = 5000 };
	mfs *fs = *state;
	char *path = allocate(2 * DEPTH + 16);
	mfs_import_item item = file_item(path, "at the bottom");

	for (size_t i = 0; i < DEPTH; i++) {
		(void)memcpy(path + 2 * i, "/d", 3);
	}
	assert_code(mfs_import_tree(fs, &item, 1), 0);
	assert_text(fs, path, "at the bottom");
	assert_int_equal(usage_of(fs).directories, DEPTH - 1);
	free(path);
}

/*
 * What is refused
 */

/** Codes that a culprit may get, where more than one says what is wrong. 0: no other. */
struct culprit {
	mfs_import_item item;
	int code;
	int other_code;
	const char *named; /* what mfs_last_error() must tell, or NULL */
};

enum { INNOCENT = 6 };

/** An import of files that are new, that replace others, and that have new parents. */
static void get_innocent_items(mfs_import_item *items)
{
	items[0] = file_item("/d/old", "replaced");
	items[1] = file_item("/new", "new");
	items[2] = file_item("/d/e/new", "new");
	items[3] = directory_item("/d/new/new");
	items[4] = file_item("/new too/new/new", "new");
	items[5] = file_item("/d/new/new/new", "new");
}

static void make_tree_to_import_into(mfs *fs)
{
	make_dir(fs, "/d/e");
	make_dir(fs, "/directory/below");
	make_text(fs, "/d/old", "old");
	make_text(fs, "/d/e/old", "old");
	make_text(fs, "/file", "a file");
	make_text(fs, "/directory/file", "another file");
}

static void assert_import_tree_is_unlocked(mfs *fs)
{
	static const char *const files[] = {"/d/old", "/d/e/old", "/file", "/directory/file", NULL};
	static const char *const directories[] = {"",  "/d", "/d/e", "/directory", "/directory/below",
											  NULL};

	assert_unlocked(fs, files, directories);
}

/** Puts a culprit at each place among innocent items. */
static void check_culprit(mfs *fs, const struct culprit *culprit)
{
	for (size_t place = 0; place <= INNOCENT; place++) {
		mfs_import_item items[INNOCENT + 1];
		struct picture before = picture_of(fs);

		get_innocent_items(items);
		memmove(&items[place + 1], &items[place], (INNOCENT - place) * sizeof(items[0]));
		items[place] = culprit->item;
		assert_refused_either(fs, mfs_import_tree(fs, items, COUNT_OF(items)), culprit->code,
							  culprit->other_code != 0 ? culprit->other_code : culprit->code);
		if (culprit->named != NULL && strstr(mfs_last_error(), culprit->named) == NULL) {
			print_error("\"%s\" does not name \"%s\"\n", mfs_last_error(), culprit->named);
			fail();
		}
		assert_unchanged(fs, &before);
	}
	assert_import_tree_is_unlocked(fs);
}

/** In the end all is as if nothing had been tried: the innocent items can be imported. */
static void assert_innocent_items_go_in(mfs *fs)
{
	mfs_import_item items[INNOCENT];

	get_innocent_items(items);
	assert_code(mfs_import_tree(fs, items, INNOCENT), 0);
	assert_text(fs, "/d/old", "replaced");
	assert_text(fs, "/new too/new/new", "new");
	assert_text(fs, "/d/new/new/new", "new");
}

static void one_bad_item_refuses_all(void **state)
{
	static char long_name[] =
		"/culprit/................................................................"
		"................................................................"
		"................................................................"
		"................................................................";
	static char long_path[MFS_PATH_MAX + 2];
	mfs *fs = *state;
	const struct culprit culprits[] = {
		/* A directory is there. */
		{file_item("/directory", "x"), MFS_EISDIR, 0, "/directory"},
		{file_item("/directory/below/", "x"), MFS_EISDIR, 0, "/directory/below"},
		/* And other items are below it. */
		{file_item("/d", "x"), MFS_EISDIR, MFS_ENOTDIR, "/d"},
		{{.path = "/d/e", .data = NULL, .size = 0}, MFS_EISDIR, MFS_ENOTDIR, "/d/e"},
		/* A file is there. */
		{file_item("/file/culprit", "x"), MFS_ENOTDIR, 0, "/file"},
		{file_item("/directory/file/culprit/below", "x"), MFS_ENOTDIR, 0, "/directory/file"},
		{directory_item("/file"), MFS_ENOTDIR, 0, "/file"},
		{directory_item("/file/culprit"), MFS_ENOTDIR, 0, "/file"},
		{directory_item("/d/e/old"), MFS_ENOTDIR, 0, "/d/e/old"},
		/* Bad paths. */
		{file_item("/../culprit", "x"), MFS_EINVAL, 0, "culprit"},
		{file_item("culprit/../../x", "x"), MFS_EINVAL, 0, "culprit"},
		{directory_item("/.."), MFS_EINVAL, 0, ".."},
		{file_item("/", "x"), MFS_EINVAL, MFS_EISDIR, NULL},
		{file_item("", ""), MFS_EINVAL, MFS_EISDIR, NULL},
		{file_item("/d/..", "x"), MFS_EINVAL, MFS_EISDIR, NULL},
		{{.path = NULL, .data = "x", .size = 1}, MFS_EINVAL, 0, NULL},
		{{.path = NULL, .flags = MFS_IMPORT_DIRECTORY}, MFS_EINVAL, 0, NULL},
		{file_item(long_name, "x"), MFS_ENAMETOOLONG, 0, "/culprit"},
		{directory_item(long_name), MFS_ENAMETOOLONG, 0, "/culprit"},
		{file_item(long_path, "x"), MFS_ENAMETOOLONG, 0, "/culprit"},
		/* Bad items. */
		{{.path = "/culprit", .data = NULL, .size = 1}, MFS_EINVAL, 0, "/culprit"},
		{{.path = "/culprit", .data = "x", .size = 1, .flags = 2}, MFS_EINVAL, 0, "/culprit"},
		{{.path = "/culprit", .flags = 1u << 31 | MFS_IMPORT_DIRECTORY}, MFS_EINVAL, 0, "/culprit"},
		/* Too large, which is found out before a byte is read. */
		{{.path = "/culprit", .data = "x", .size = (size_t)1 << 40}, MFS_EQUOTA, 0, NULL},
		{{.path = "/culprit", .data = "x", .size = SIZE_MAX}, MFS_EFBIG, MFS_EQUOTA, NULL},
	};

	memset(long_path, 'x', sizeof(long_path) - 1);
	for (size_t i = 0; i < sizeof(long_path) - 1; i += 100) {
		long_path[i] = '/';
	}
	memcpy(long_path, "/culprit", 8);
	make_tree_to_import_into(fs);
	for (size_t i = 0; i < COUNT_OF(culprits); i++) {
		check_culprit(fs, &culprits[i]);
	}
	assert_innocent_items_go_in(fs);
}

static void a_path_twice_refuses_all(void **state)
{
	static const char *const spellings[] = {
		"/d/new/culprit",
		"d/new/culprit",
		"//d//new//culprit",
		"/d/new/culprit/",
		"/d/new/culprit/.",
		"/./d/./new/./culprit",
		"/d/e/../new/culprit",
		"\\d\\new\\culprit",
		"/d/new/culprit/missing/..",
		"/missing/../d/new/culprit",
	};
	mfs *fs = *state;

	make_tree_to_import_into(fs);
	for (size_t i = 0; i < COUNT_OF(spellings); i++) {
		for (size_t place = 0; place <= INNOCENT; place++) {
			mfs_import_item items[INNOCENT + 2];
			struct picture before = picture_of(fs);

			get_innocent_items(items);
			/* One at the end, the other one at each place. */
			items[INNOCENT] = file_item("/d/new/culprit", "first");
			memmove(&items[place + 1], &items[place], (INNOCENT + 1 - place) * sizeof(items[0]));
			items[place] = file_item(spellings[i], "second");
			assert_refused(fs, mfs_import_tree(fs, items, COUNT_OF(items)), MFS_EEXIST);
			assert_non_null(strstr(mfs_last_error(), "culprit"));
			assert_unchanged(fs, &before);
		}
	}
	assert_import_tree_is_unlocked(fs);
	/* Of files that exist already, and at the top. */
	for (int i = 0; i < 2; i++) {
		mfs_import_item items[] = {file_item("/file", "x"), file_item("/d/old", "x"),
								   file_item(i == 0 ? "file" : "/d/../file/.", "x")};
		struct picture before = picture_of(fs);

		assert_refused(fs, mfs_import_tree(fs, items, COUNT_OF(items)), MFS_EEXIST);
		assert_unchanged(fs, &before);
	}
	assert_innocent_items_go_in(fs);
}

/** What an item as a file below another item that is a file, or a directory at its place, gives. */
static void items_that_contradict_each_other_refuse_all(void **state)
{
	static const char *const names[] = {"/new file", "/d/new file", "/d/old", "/file"};
	mfs *fs = *state;

	make_tree_to_import_into(fs);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char below[64];
		char far_below[64];
		mfs_import_item contradictions[3];

		(void)snprintf(below, sizeof(below), "%s/below", names[i]);
		(void)snprintf(far_below, sizeof(far_below), "/d/..%s/below/it/is/a file/", names[i]);
		contradictions[0] = file_item(below, "x");
		contradictions[1] = file_item(far_below, "x");
		contradictions[2] = directory_item(below);
		for (size_t j = 0; j < COUNT_OF(contradictions); j++) {
			mfs_import_item items[INNOCENT + 2];
			struct picture before = picture_of(fs);

			/* The file first: a parent is a file. */
			get_innocent_items(items);
			items[0] = file_item(names[i], "x");
			items[INNOCENT] = contradictions[j];
			assert_refused(fs, mfs_import_tree(fs, items, INNOCENT + 1), MFS_ENOTDIR);
			/* The file last: a directory is there, or an existing file where one should be. */
			get_innocent_items(items);
			items[0] = contradictions[j];
			items[INNOCENT] = file_item(names[i], "x");
			assert_refused_either(fs, mfs_import_tree(fs, items, INNOCENT + 1), MFS_EISDIR,
								  MFS_ENOTDIR);
			assert_unchanged(fs, &before);
		}
	}
	/* The same path as a file and as a directory. */
	for (int i = 0; i < 2; i++) {
		mfs_import_item items[2];
		struct picture before = picture_of(fs);

		items[i] = file_item("/both", "x");
		items[1 - i] = directory_item("/both");
		assert_int_equal(mfs_import_tree(fs, items, 2) < 0, 1);
		assert_unchanged(fs, &before);
	}
	assert_import_tree_is_unlocked(fs);
	assert_innocent_items_go_in(fs);
}

static void the_largest_file_is_a_limit_of_its_own(void **state)
{
	mfs_options options = {.struct_size = sizeof(options)};
	const struct culprit culprit = {
		{.path = "/culprit", .data = "x", .size = (size_t)1 << 62}, MFS_EFBIG, 0, NULL};
	mfs *fs = NULL;

	(void)state;
	options.max_quota = INT64_MAX;
	fs = new_workspace(&options);
	make_tree_to_import_into(fs);
	check_culprit(fs, &culprit);
	assert_innocent_items_go_in(fs);
	free_workspace(fs);
}

/*
 * Limits
 */

static void old_and_new_files_need_room_together(void **state)
{
	enum { OLD = 3000, NEW = 2000, BESIDE = 500 };
	static const char bytes[OLD];
	const mfs_import_item items[] = {{.path = "/a", .data = bytes, .size = NEW / 2},
									 {.path = "/d/b", .data = bytes, .size = NEW / 2}};

	(void)state;
	for (uint64_t room = 0; room < 2; room++) {
		mfs *fs = new_plain_workspace(OLD + BESIDE + NEW - 1 + room);

		make_dir(fs, "/d");
		make_file(fs, "/a", bytes, OLD);
		make_file(fs, "/d/c", bytes, BESIDE);
		if (room == 0) {
			struct picture before = picture_of(fs);

			assert_refused(fs, mfs_import_tree(fs, items, COUNT_OF(items)), MFS_EQUOTA);
			assert_true(mfs_is_quota_error(MFS_EQUOTA));
			assert_unchanged(fs, &before);
			assert_code(mfs_remove(fs, "/d/c"), 0);
			assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
			assert_int_equal(used_bytes(fs), NEW);
		} else {
			assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
			assert_int_equal(used_bytes(fs), NEW + BESIDE);
			assert_int_equal(usage_of(fs).peak_bytes, OLD + BESIDE + NEW);
		}
		assert_int_equal(mfs_get_size(fs, "/a"), NEW / 2);
		assert_code(mfs_remove(fs, "/a"), 0);
		assert_code(mfs_remove(fs, "/d/b"), 0);
		free_workspace(fs);
	}
}

static void chunks_of_imported_files_are_charged_the_overhead(void **state)
{
	static const size_t sizes[] = {0, 1, 4096, 4097, 100000};
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	options.chunk_overhead = 1000;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		mfs *written = new_workspace(&options);
		mfs *imported = new_workspace(&options);
		unsigned char *bytes = allocate(sizes[i]);
		mfs_import_item item = {.path = "/f", .data = bytes, .size = sizes[i]};

		make_file(written, "/f", bytes, sizes[i]);
		assert_code(mfs_import_tree(imported, &item, 1), 0);
		assert_int_equal(usage_of(imported).chunks, usage_of(written).chunks);
		assert_int_equal(used_bytes(imported), used_bytes(written));
		free(bytes);
		free_workspace(written);
		free_workspace(imported);
	}
}

static void nodes_are_counted_net(void **state)
{
	/* Four files and three directories, of which a file and a directory exist. */
	static const mfs_import_item items[] = {
		FILE_ITEM("/d/old", "replaced"), FILE_ITEM("/d/new", "new"), FILE_ITEM("/e/f/new", "new"),
		FILE_ITEM("/e/new", "new"),      DIRECTORY_ITEM("/d"),       DIRECTORY_ITEM("/e"),
	};
	/* "/d", "/d/old", "/other" and what comes to them. */
	enum { BEFORE = 3, ADDED = 5 };
	mfs_options options = {.struct_size = sizeof(options)};

	(void)state;
	for (uint64_t room = 0; room < 2; room++) {
		mfs *fs = NULL;

		options.max_nodes = BEFORE + ADDED - 1 + room;
		fs = new_workspace(&options);
		make_dir(fs, "/d");
		make_text(fs, "/d/old", "old");
		make_text(fs, "/other", "other");
		if (room == 0) {
			struct picture before = picture_of(fs);

			assert_refused(fs, mfs_import_tree(fs, items, COUNT_OF(items)), MFS_ENODES);
			assert_unchanged(fs, &before);
			assert_code(mfs_remove(fs, "/other"), 0);
		}
		assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
		assert_int_equal(usage_of(fs).files + usage_of(fs).directories, options.max_nodes);
		/* A full workspace takes what replaces, but nothing more. */
		assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
		assert_refused(fs, mfs_mkdir(fs, "/one more", 0), MFS_ENODES);
		assert_code(mfs_remove(fs, "/d/new"), 0);
		make_dir(fs, "/one more");
		assert_refused(fs, mfs_import_tree(fs, items, COUNT_OF(items)), MFS_ENODES);
		assert_false(mfs_exists(fs, "/d/new"));
		free_workspace(fs);
	}
}

/*
 * Open handles
 */

static void a_file_that_is_held_refuses_all(void **state)
{
	static const char *const modes[] = {"rb", "r+b", "ab"};
	mfs *fs = *state;

	make_tree_to_import_into(fs);
	make_text(fs, "/directory/culprit", "held");
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		const struct culprit culprit = {file_item("/directory/culprit", "x"), MFS_EBUSY, 0,
										"/directory/culprit"};
		mfs_file *holder = open_file(fs, "/directory/culprit", modes[i]);

		check_culprit(fs, &culprit);
		close_file(holder);
	}
	assert_innocent_items_go_in(fs);
	/* Files that are not replaced may be held. */
	{
		mfs_import_item items[] = {file_item("/directory/new", "x"), file_item("/d/old", "x")};
		mfs_file *holder = open_file(fs, "/directory/culprit", "r+b");
		mfs_file *other = open_file(fs, "/d/e/old", "rb");

		assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
		close_file(holder);
		close_file(other);
		assert_text(fs, "/directory/culprit", "held");
	}
}

static void shared_handles_keep_the_old_file(void **state)
{
	mfs *fs = new_plain_workspace(MIB);
	mfs_import_item item = file_item("/d/f", "new");
	mfs_file *reader = NULL;
	mfs_file *writer = NULL;

	(void)state;
	make_dir(fs, "/d");
	make_text(fs, "/d/f", "old text");
	reader = open_shared(fs, "/d/f", "rb");
	writer = open_shared(fs, "/d/f", "r+b");
	assert_code(mfs_import_tree(fs, &item, 1), 0);
	assert_handle_holds(reader, "old text", 8);
	assert_text(fs, "/d/f", "new");
	/* The old file lives on, charged. */
	assert_int_equal(used_bytes(fs), 8 + 3);
	assert_int_equal(usage_of(fs).files, 1);
	assert_code(mfs_pwrite(writer, "OLD", 3, 0), 3);
	assert_handle_holds(reader, "OLD text", 8);
	assert_text(fs, "/d/f", "new");
	assert_int_equal(info_of(fs, "/d/f").generation, 0);
	/* And once more, with handles on both. */
	close_file(writer);
	writer = open_shared(fs, "/d/f", "r+b");
	item = file_item("/d/f", "newest");
	assert_code(mfs_import_tree(fs, &item, 1), 0);
	assert_handle_holds(reader, "OLD text", 8);
	assert_handle_holds(writer, "new", 3);
	close_file(writer);
	assert_int_equal(used_bytes(fs), 8 + 6);
	close_file(reader);
	assert_int_equal(used_bytes(fs), 6);
	assert_text(fs, "/d/f", "newest");
	free_workspace(fs);
}

static void who_waits_for_a_file_finds_the_new_one(void **state)
{
	mfs *fs = *state;
	mfs_import_item item = file_item("/f", "new text");
	mfs_file *writer = NULL;
	struct opener opener = {.fs = fs, .path = "/f", .mode = "rb", .lock_timeout = 20000};

	make_text(fs, "/f", "old text");
	writer = open_file(fs, "/f", "r+b");
	opener_start_waiting(&opener);
	assert_refused(fs, mfs_import_tree(fs, &item, 1), MFS_EBUSY);
	assert_code(mfs_pwrite(writer, "OLD", 3, 0), 3);
	close_file(writer);
	assert_code(opener_join(&opener), 0);
	assert_handle_holds(opener.file, "OLD text", 8);
	assert_refused(fs, mfs_import_tree(fs, &item, 1), MFS_EBUSY);
	close_file(opener.file);
	assert_code(mfs_import_tree(fs, &item, 1), 0);
	assert_text(fs, "/f", "new text");
}

/*
 * Readers
 */

enum {
	READERS = 2,
	ROUNDS = 250, /* imports, at least */
	PASSES = 100, /* of each reader, at least */
	ROUNDS_MAX = 20000,
	FILLERS = 40, /* files that are replaced in each directory, so that it takes its time */
};

/* What readers look at. */
static const char *const round_paths[] = {"/x/1", "/x/2", "/x/3", "/x/4", "/x/5", "/x/6",
										  "/x/7", "/x/8", "/y/1", "/z/1", "/v/1", "/w/w/1"};
static const char *const round_directories[] = {"/v", "/w/w", "/x", "/y", "/z"};

enum {
	ROUND_PATHS = COUNT_OF(round_paths),
	ROUND_ITEMS = ROUND_PATHS + COUNT_OF(round_directories) * FILLERS,
};

struct reader {
	mfs *fs;
	struct rng rng;
	atomic_bool *stop;
	_Atomic uint64_t passes;
	/* Valid once joined. */
	const char *fault;
	uint64_t seen;
	uint64_t found;
	pthread_t thread;
};

/** The round that a file tells: by its size, with no lock, or by what it holds. 0: neither. */
static uint64_t read_round(struct reader *reader, const char *path)
{
	uint64_t words[64] = {0};
	mfs_file *file = NULL;
	int64_t size = 0;
	uint64_t round = 0;

	if (rng_below(&reader->rng, 2) == 0) {
		size = mfs_get_size(reader->fs, path);
		return size > 0 ? (uint64_t)size / sizeof(words[0]) : 0;
	}
	/* Shared: it must not keep the importer from replacing the file. */
	if (open_with(reader->fs, path, "rb", MFS_O_SHARED, 0, &file) != 0) {
		return 0;
	}
	size = mfs_read(file, words, sizeof(words));
	round = size > 0 ? words[0] : 0;
	for (size_t i = 1; i < COUNT_OF(words) && (int64_t)((i + 1) * sizeof(words[0])) <= size; i++) {
		if (words[i] != round) {
			round = 0;
		}
	}
	return mfs_close(file) == 0 ? round : 0;
}

/** What was seen in one file no other file may be behind, in whichever order they are read. */
static void *run_reader(void *argument)
{
	struct reader *reader = argument;

	while (!atomic_load(reader->stop) && reader->fault == NULL) {
		for (int i = 0; i < ROUND_PATHS && reader->fault == NULL; i++) {
			const char *path = round_paths[rng_below(&reader->rng, ROUND_PATHS)];

			reader->found = read_round(reader, path);
			if (reader->found == 0 || reader->found < reader->seen) {
				reader->fault = path;
			} else {
				reader->seen = reader->found;
			}
		}
		atomic_fetch_add(&reader->passes, 1);
	}
	return NULL;
}

static void readers_start(struct reader *readers, mfs *fs, atomic_bool *stop,
						  void *(*run)(void *argument))
{
	for (size_t i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.fs = fs, .rng = {i + 1}, .stop = stop};
		atomic_init(&readers[i].passes, 0);
		readers[i].thread = start_thread(run, &readers[i]);
	}
}

static void readers_join(struct reader *readers, atomic_bool *stop)
{
	atomic_store(stop, true);
	for (size_t i = 0; i < READERS; i++) {
		join_thread(readers[i].thread);
	}
	for (size_t i = 0; i < READERS; i++) {
		if (readers[i].fault != NULL) {
			print_error("%s shows %llu after %llu\n", readers[i].fault,
						(unsigned long long)readers[i].found, (unsigned long long)readers[i].seen);
			fail();
		}
	}
}

static bool readers_need_more(struct reader *readers)
{
	for (size_t i = 0; i < READERS; i++) {
		if (atomic_load(&readers[i].passes) < PASSES) {
			return true;
		}
	}
	return false;
}

/** Adds files that nobody looks at to the items. */
static void add_fillers(mfs_import_item *items, char (*paths)[64], const char *const *directories,
						size_t count)
{
	for (size_t i = 0; i < count * FILLERS; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/filler%zu", directories[i / FILLERS],
					   i % FILLERS);
		items[i] = file_item(paths[i], "");
	}
}

/** Imports a round: files of so many words with its number, in an order of their own. */
static int import_round(mfs *fs, uint64_t round)
{
	static uint64_t words[ROUNDS_MAX + 1];
	static mfs_import_item items[ROUND_ITEMS];
	static char paths[ROUND_ITEMS][64];

	for (uint64_t i = 0; i < round; i++) {
		words[i] = round;
	}
	for (size_t i = 0; i < ROUND_PATHS; i++) {
		items[i] = (mfs_import_item){.path = round_paths[(i * 5 + round) % ROUND_PATHS],
									 .data = words,
									 .size = (size_t)round * sizeof(words[0])};
	}
	add_fillers(&items[ROUND_PATHS], paths, round_directories, COUNT_OF(round_directories));
	return mfs_import_tree(fs, items, ROUND_ITEMS);
}

static void readers_never_see_a_part_of_replaced_files(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct reader readers[READERS];
	uint64_t round = 1;
	int code = 0;

	assert_code(import_round(fs, round), 0);
	readers_start(readers, fs, &stop, run_reader);
	while (code == 0 && round < ROUNDS_MAX && (round < ROUNDS || readers_need_more(readers))) {
		round++;
		code = import_round(fs, round);
		sched_yield();
	}
	readers_join(readers, &stop);
	assert_code(code, 0);
	for (size_t i = 0; i < ROUND_PATHS; i++) {
		assert_code(mfs_get_size(fs, round_paths[i]), round * sizeof(uint64_t));
	}
}

/** The new names of a round. Those of directories are in `new_is_directory`. */
static const char *const new_names[] = {"/here/%llu",      "/there/%llu",       "/there/%llu/a/b",
										"/here/also/%llu", "/here/also/%llu/c", "/1/2/%llu",
										"/3/%llu",         "/4/5/6/%llu"};
static const bool new_is_directory[] = {false, true, false, true, false, false, false, true};
static const char *const new_directories[] = {"/here", "/there", "/here/also",
											  "/1/2",  "/3",     "/4/5/6"};

/** When one of a round's names is there, all are. */
static void check_names_of_round(struct reader *reader)
{
	size_t first = rng_below(&reader->rng, COUNT_OF(new_names));

	for (size_t i = 0; i < COUNT_OF(new_names); i++) {
		const char *name = new_names[(first + i) % COUNT_OF(new_names)];
		char path[64];

		(void)snprintf(path, sizeof(path), name, (unsigned long long)reader->seen);
		if (!mfs_exists(reader->fs, path)) {
			reader->fault = name;
			return;
		}
	}
}

static void *run_name_reader(void *argument)
{
	struct reader *reader = argument;

	while (!atomic_load(reader->stop) && reader->fault == NULL) {
		char path[64];

		(void)snprintf(path, sizeof(path), new_names[rng_below(&reader->rng, COUNT_OF(new_names))],
					   (unsigned long long)reader->seen + 1);
		if (mfs_exists(reader->fs, path)) {
			reader->seen++;
			check_names_of_round(reader);
		}
		atomic_fetch_add(&reader->passes, 1);
	}
	return NULL;
}

static int import_new_names(mfs *fs, uint64_t round)
{
	enum { NAMES = COUNT_OF(new_names), ITEMS = NAMES + COUNT_OF(new_directories) * FILLERS };
	static mfs_import_item items[ITEMS];
	static char paths[ITEMS][64];

	for (size_t i = 0; i < NAMES; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), new_names[i], (unsigned long long)round);
		items[i] = new_is_directory[i] ? directory_item(paths[i]) : file_item(paths[i], "new");
	}
	add_fillers(&items[NAMES], &paths[NAMES], new_directories, COUNT_OF(new_directories));
	return mfs_import_tree(fs, items, ITEMS);
}

static void readers_never_see_a_part_of_new_trees(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct reader readers[READERS];
	uint64_t round = 0;
	int code = 0;

	readers_start(readers, fs, &stop, run_name_reader);
	while (code == 0 && round < ROUNDS_MAX && (round < ROUNDS || readers_need_more(readers))) {
		round++;
		code = import_new_names(fs, round);
		sched_yield();
	}
	readers_join(readers, &stop);
	assert_code(code, 0);
	assert_name_count(fs, "/there", (int64_t)round + FILLERS);
	assert_name_count(fs, "/here", (int64_t)round + FILLERS + 1);
}

/** Imports of its own, and imports of what others import, too. */
static void *run_importer(void *argument)
{
	struct reader *importer = argument;

	for (uint64_t round = 1; round <= ROUNDS && importer->fault == NULL; round++) {
		uint64_t word = importer->rng.state << 32 | round;
		char own[64];
		mfs_import_item items[] = {
			{.path = "/common/1", .data = &word, .size = sizeof(word)},
			{.path = own, .data = &word, .size = sizeof(word)},
			{.path = "/common/below/2", .data = &word, .size = sizeof(word)},
		};

		(void)snprintf(own, sizeof(own), "/own%llu/%llu/f", (unsigned long long)importer->rng.state,
					   (unsigned long long)round % 7);
		if (mfs_import_tree(importer->fs, items, COUNT_OF(items)) != 0) {
			importer->fault = "an import failed and";
			importer->seen = round;
		}
	}
	return NULL;
}

static void importers_come_one_after_the_other(void **state)
{
	mfs *fs = *state;
	atomic_bool stop = false;
	struct reader importers[READERS];
	uint64_t words[2] = {0, 1};
	mfs_file *file = NULL;

	readers_start(importers, fs, &stop, run_importer);
	readers_join(importers, &stop);
	file = open_file(fs, "/common/1", "rb");
	assert_code(mfs_read(file, &words[0], sizeof(words[0])), sizeof(words[0]));
	close_file(file);
	file = open_file(fs, "/common/below/2", "rb");
	assert_code(mfs_read(file, &words[1], sizeof(words[1])), sizeof(words[1]));
	close_file(file);
	/* Both of the same import, the last one of somebody. */
	assert_true(words[0] == words[1]);
	assert_int_equal((uint32_t)words[0], ROUNDS);
	assert_int_equal(usage_of(fs).files, 2 + READERS * 7);
	assert_int_equal(usage_of(fs).directories, 2 + READERS * 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(files_and_their_parents_are_made),
		WORKSPACE_TEST(contents_of_all_sizes_are_imported),
		WORKSPACE_TEST(an_empty_file_needs_no_data),
		WORKSPACE_TEST(no_items_are_no_change),
		WORKSPACE_TEST(files_are_replaced_and_directories_stay),
		WORKSPACE_TEST(imported_files_are_clean_until_written),
		WORKSPACE_TEST(ten_thousand_items_are_imported_at_once),
		WORKSPACE_TEST(a_path_of_many_names_is_imported),
		WORKSPACE_TEST(one_bad_item_refuses_all),
		WORKSPACE_TEST(a_path_twice_refuses_all),
		WORKSPACE_TEST(items_that_contradict_each_other_refuse_all),
		cmocka_unit_test(the_largest_file_is_a_limit_of_its_own),
		cmocka_unit_test(old_and_new_files_need_room_together),
		cmocka_unit_test(chunks_of_imported_files_are_charged_the_overhead),
		cmocka_unit_test(nodes_are_counted_net),
		WORKSPACE_TEST(a_file_that_is_held_refuses_all),
		cmocka_unit_test(shared_handles_keep_the_old_file),
		WORKSPACE_TEST(who_waits_for_a_file_finds_the_new_one),
		WORKSPACE_TEST(readers_never_see_a_part_of_replaced_files),
		WORKSPACE_TEST(readers_never_see_a_part_of_new_trees),
		WORKSPACE_TEST(importers_come_one_after_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
