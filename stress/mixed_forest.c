/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: trees that all threads use at once. What exists at a moment nobody knows, but a
 * tree is of one import, whoever looks at it and however: in a level of a walk, in a listing, in a
 * copy, or file by file while an open handle holds it in its place. And some directories must
 * always be there, or be in one of two places.
 */
#include "mixed.h"

#define PLACES     6
#define DEEP_FROM  4 /* from this place on, a tree is m<n>/i, whose parent may be missing */
#define TREE_SIZES 60

/* Every step waits this long at most for a lock. */
static int64_t random_timeout(struct worker *w)
{
	static const int64_t timeouts[] = {MFS_NO_WAIT, 1, 5, 20};

	return timeouts[below(w, COUNT_OF(timeouts))];
}

/*
 * Names
 */

static unsigned place_path(unsigned place, char path[PATH_SIZE])
{
	if (place < DEEP_FROM) {
		snprintf(path, PATH_SIZE, "/trees/s/i%u", place);
		return 0;
	}
	snprintf(path, PATH_SIZE, "/trees/s/m%u/i", place);
	return ALLOW(MFS_ENOENT);
}

unsigned forest_place(struct worker *w, char path[PATH_SIZE])
{
	return place_path(below(w, PLACES), path);
}

static bool is_place(const char *name)
{
	return (name[0] == 'i' && is_number_below(name + 1, DEEP_FROM)) ||
		   (name[0] == 'm' && is_number_below(name + 1, PLACES));
}

static bool is_own_tree(const struct stress *stress, const char *name)
{
	char *end;

	if (name[0] == 'm')
		return is_number_below(name + 1, stress->threads);
	return name[0] == 't' && strtoul(name + 1, &end, 10) < stress->threads && *end == '_' &&
		   is_number_below(end + 1, OWN_NAMES);
}

/* A path below `start`, or NULL. */
static const char *behind(const char *path, const char *start)
{
	size_t length = strlen(start);

	return strncmp(path, start, length) == 0 ? path + length : NULL;
}

bool forest_name_is_known(const struct stress *stress, const char *directory, const char *name)
{
	const char *rest = behind(directory, "/trees");

	if (*rest == '\0')
		return strcmp(name, "0") == 0 || strcmp(name, "1") == 0 || strcmp(name, "s") == 0;
	if (strcmp(rest, "/0") == 0 || strcmp(rest, "/1") == 0) {
		return strcmp(name, "w") == 0 || is_own_tree(stress, name) ||
			   (name[0] == 'q' && is_number_below(name + 1, SHUTTLES));
	}
	if (strcmp(rest, "/s") == 0) {
		return is_place(name) || strcmp(name, "u") == 0 || strcmp(name, "v") == 0 ||
			   strcmp(name, "a") == 0 || strcmp(name, "b") == 0 || strcmp(name, "z") == 0 ||
			   ((name[0] == 'x' || name[0] == 'y') && is_number_below(name + 1, TOKENS));
	}
	/* The levels' own rules say more about what is in a tree; see check_level(). */
	static const char *const inner[] = {"d", "i", "a", "b", "q", "x", "here0", "here1"};
	for (size_t i = 0; i < COUNT_OF(inner); i++) {
		if (strcmp(name, inner[i]) == 0)
			return true;
	}
	return (name[0] == 'f' && is_number_below(name + 1, TREE_FILES)) ||
		   (name[0] == 'k' && is_number_below(name + 1, BUNDLE_FILES));
}

/*
 * What each level must be
 */

static void wrong_level(struct worker *w, const mfs_walk_level *level, const char *what)
{
	char names[400] = "";
	size_t used = 0;

	for (size_t i = 0; i < level->directory_count + level->file_count && used < 300; i++) {
		bool file = i >= level->directory_count;
		const char *name = file ? level->files[i - level->directory_count] : level->directories[i];
		used +=
			(size_t)snprintf(names + used, sizeof(names) - used, " %.40s%s", name, file ? "" : "/");
	}
	stress_fail("thread %u: walk at %s: %s:%s", w->index, level->path, what, names);
}

static bool has(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static bool has_directory(const mfs_walk_level *level, const char *name)
{
	return has(level->directories, level->directory_count, name);
}

static bool has_file(const mfs_walk_level *level, const char *name)
{
	return has(level->files, level->file_count, name);
}

/* One directory at most, and two files. */
static void check_files(struct worker *w, const mfs_walk_level *level, const char *directory,
						const char *one, const char *two)
{
	if (level->directory_count != (directory != NULL) ||
		(directory && strcmp(level->directories[0], directory) != 0) || level->file_count != 2 ||
		strcmp(level->files[0], one) != 0 || strcmp(level->files[1], two) != 0)
		wrong_level(w, level, "a part of an import");
}

/* Exactly one of x<n> and y<n>, among directories or files. */
static void check_tokens(struct worker *w, const mfs_walk_level *level, bool files)
{
	char x[16];
	char y[16];

	for (unsigned i = 0; i < TOKENS; i++) {
		snprintf(x, sizeof(x), "x%u", i);
		snprintf(y, sizeof(y), "y%u", i);
		if (files ? has_file(level, x) == has_file(level, y)
				  : has_directory(level, x) == has_directory(level, y))
			wrong_level(w, level, "both of x and y, or none");
	}
}

static void check_known(struct worker *w, const mfs_walk_level *level)
{
	for (size_t i = 0; i < level->directory_count; i++) {
		if (!shared_name_is_known(w->stress, level->path, level->directories[i]))
			wrong_level(w, level, "a foreign directory");
	}
	for (size_t i = 0; i < level->file_count; i++) {
		if (!shared_name_is_known(w->stress, level->path, level->files[i]))
			wrong_level(w, level, "a foreign file");
	}
}

/* In /trees/s. `name` begins with the name of what is there. */
static void check_shared_level(struct worker *w, const mfs_walk_level *level, const char *name)
{
	const char *rest = strchr(name, '/');

	switch (name[0]) {
	case 'm':
		if (!rest) {
			if (level->file_count != 0 || level->directory_count > 1)
				wrong_level(w, level, "more than i");
			break;
		}
		rest = strchr(rest + 1, '/');
		/* fall through */
	case 'i':
		check_files(w, level, rest ? NULL : "d", rest ? "f2" : "f0", rest ? "f3" : "f1");
		break;
	case 'z':
		if (level->directory_count != 0 || level->file_count != BUNDLE_FILES)
			wrong_level(w, level, "not all of the bundle");
		break;
	default:
		if (level->file_count != 1 || strcmp(level->files[0], "f0") != 0 ||
			level->directory_count > (name[0] == 'a' || name[0] == 'b'))
			wrong_level(w, level, "not f0 alone");
		break;
	}
}

static void check_level(struct worker *w, const mfs_walk_level *level)
{
	const char *path = level->path;
	const char *rest;

	if (strcmp(path, "/") == 0) {
		if (level->file_count != 0 ||
			level->directory_count != w->stress->threads + SHARED_DIRS + 2 ||
			!has_directory(level, "trees"))
			wrong_level(w, level, "not what the set-up made");
		return;
	}
	if (path[1] == 'p')
		return;
	check_known(w, level);
	if (strcmp(path, "/r") == 0) {
		if (!has_file(level, "t") || level->directory_count != 0)
			wrong_level(w, level, "no t");
		check_tokens(w, level, true);
	} else if (strcmp(path, "/trees") == 0) {
		if (level->directory_count != 3 || level->file_count != 0)
			wrong_level(w, level, "not 0, 1 and s");
	} else if (strcmp(path, "/trees/s") == 0) {
		if (!has_directory(level, "u") || !has_directory(level, "v") ||
			!(has_directory(level, "a") || has_directory(level, "b")) || level->file_count != 0)
			wrong_level(w, level, "no u, no v, or neither a nor b");
		check_tokens(w, level, false);
	} else if (strcmp(path, "/trees/0") == 0 || strcmp(path, "/trees/1") == 0) {
		if (!has_directory(level, "w") || level->file_count != 0)
			wrong_level(w, level, "no w");
	} else if ((rest = behind(path, "/trees/s/"))) {
		check_shared_level(w, level, rest);
	} else if (behind(path, "/trees/0/q") || behind(path, "/trees/1/q")) {
		if (level->directory_count != 0 || level->file_count > 2 || !has_file(level, "f0"))
			wrong_level(w, level, "not a shuttle");
	}
}

/*
 * Who looks
 */

static void walk_all(struct worker *w)
{
	static const char *const tops[] = {"/trees", "/trees/s", "/trees/s", "/trees/s/i0", "/r"};
	bool all = chance(w, 10);
	const char *top = all ? "/" : tops[below(w, COUNT_OF(tops))];
	bool may_be_gone = strcmp(top, "/trees/s/i0") == 0;
	char skipped[PATH_SIZE] = "";
	mfs_walk_level level;
	mfs_walk *walk;
	unsigned levels = 0;

	if (call_walk_open(w, top, may_be_gone ? ALLOW(MFS_ENOENT) : 0, &walk) < 0)
		return;
	while (call_walk_next(w, walk, &level) == 1 && !stress_failed()) {
		size_t length = strlen(skipped);
		if (levels++ == 0 && strcmp(level.path, top) != 0)
			stress_fail("thread %u: walk of %s begins at %s", w->index, top, level.path);
		if (length > 0 && strncmp(level.path, skipped, length) == 0 && level.path[length] == '/')
			stress_fail("thread %u: walk at %s, which was skipped", w->index, level.path);
		check_level(w, &level);
		if (chance(w, 3) && strlen(level.path) > 1 && strlen(level.path) < sizeof(skipped)) {
			snprintf(skipped, sizeof(skipped), "%s", level.path);
			must_be(w, "walk_skip", mfs_walk_skip(walk), 0);
		}
	}
	if (levels == 0 && !may_be_gone)
		stress_fail("thread %u: walk of %s has no levels", w->index, top);
	mfs_walk_close(walk);
}

static void glob(struct worker *w)
{
	/* Each of them of one level, or of what does not move. -1: any number. */
	static const struct {
		const char *pattern;
		const char *ending;
		int64_t count;
	} globs[] = {
		{"/trees/s/[xy]0", "0", 1}, {"/trees/s/[u-v]", "", 2},   {"/*/[!s]/w", "/w", 2},
		{"/r/k*", "", FILLERS},     {"/r/[xy]?", "", TOKENS},    {"/trees/**/f3", "/d/f3", -1},
		{"/**/here[01]", "", -1},   {"/trees/s/**/i", "/i", -1},
	};
	unsigned which = below(w, COUNT_OF(globs));
	const char *ending = globs[which].ending;
	char **paths;
	int64_t count = call_glob(w, globs[which].pattern, &paths);

	if (globs[which].count >= 0)
		must_be(w, "glob", count, globs[which].count);
	for (int64_t i = 0; i < count; i++) {
		size_t length = strlen(paths[i]);
		if (length < strlen(ending) || strcmp(paths[i] + length - strlen(ending), ending) != 0)
			stress_fail("thread %u: glob of %s: %s", w->index, globs[which].pattern, paths[i]);
	}
	mfs_names_free(paths);
}

/* The files of one listing are of one import, so that they have one size. */
static void list_tree(struct worker *w)
{
	bool sub = chance(w, 40);
	char place[PATH_SIZE];
	char path[PATH_SIZE];
	mfs_entry entry;
	mfs_dir *dir;
	int64_t size = -1;
	unsigned number = sub ? TREE_FILES / 2 : 0;
	unsigned files = 0;
	unsigned directories = 0;

	forest_place(w, place);
	tree_file_path(place, number, path);
	*strrchr(path, '/') = '\0';
	if (call_opendir(w, path, ALLOW(MFS_ENOENT), &dir) < 0)
		return;
	while (mfs_readdir(dir, &entry) == 1) {
		char want[16];
		snprintf(want, sizeof(want), "f%u", number + files);
		if (entry.info.is_dir) {
			directories += strcmp(entry.name, "d") == 0;
			continue;
		}
		if (strcmp(entry.name, want) != 0 || (size >= 0 && entry.info.size != size) ||
			entry.info.generation != 0) {
			stress_fail("thread %u: %s in %s: size %lld beside %lld, generation %llu", w->index,
						entry.name, path, (long long)entry.info.size, (long long)size,
						(unsigned long long)entry.info.generation);
		}
		size = entry.info.size;
		files++;
	}
	mfs_closedir(dir);
	if (files != TREE_FILES / 2 || directories != !sub)
		stress_fail("thread %u: %u files in %s", w->index, files, path);
}

/* A handle on one file holds the whole tree in its place: all of it is of the same import. */
static void read_tree(struct worker *w)
{
	unsigned number = below(w, TREE_FILES);
	int64_t timeout = random_timeout(w);
	struct record first;
	char place[PATH_SIZE];
	char path[PATH_SIZE];
	mfs_file *file;

	forest_place(w, place);
	tree_file_path(place, number, path);
	if (call_open(w, path, "rb", timeout, 0, 0, ALLOW(MFS_ENOENT) | lock_errors(timeout), &file) <
		0)
		return;
	int64_t size = call_pread(w, file, w->other, w->stress->buffer_size, 0, 0);
	tree_check_record(w, w->other, size, number, &first);
	for (unsigned i = 0; i < TREE_FILES && !stress_failed(); i++) {
		struct record head;
		mfs_info info;
		void *bytes;
		tree_file_path(place, i, path);
		if (chance(w, 50)) {
			if (call_stat(w, path, 0, &info) == 0 && info.size != size)
				stress_fail("thread %u: %s: size %lld while f%u of size %lld is open", w->index,
							path, (long long)info.size, number, (long long)size);
			continue;
		}
		int64_t got = call_buffer(w, path, 0, ALLOW(MFS_ETIMEDOUT), &bytes);
		if (got < 0)
			continue;
		tree_check_record(w, bytes, got, i, &head);
		if (head.stamp != first.stamp) {
			stress_fail("thread %u: %s: stamp %llx while f%u of %llx is open", w->index, path,
						(unsigned long long)head.stamp, number, (unsigned long long)first.stamp);
		}
		mfs_buffer_free(bytes);
	}
	close_or_give(w, file, NULL);
}

static void export_trees(struct worker *w)
{
	char path[PATH_SIZE] = "/trees/s";
	unsigned allowed = 0;
	mfs_export_item item;
	mfs_export *iterator;
	int rc;

	if (chance(w, 80))
		allowed = ALLOW(MFS_ENOENT) | forest_place(w, path);
	if (call_export_open(w, path, 0, allowed, &iterator) < 0)
		return;
	while ((rc = call_export_next(w, iterator, ALLOW(MFS_EBUSY) | ALLOW(MFS_ETIMEDOUT), &item)) !=
		   0) {
		struct record head;
		if (rc < 0)
			continue;
		if (!behind(item.path, path) || item.path[strlen(path)] != '/')
			stress_fail("thread %u: export of %s: %s", w->index, path, item.path);
		if (behind(item.path, "/trees/s/z/"))
			continue;
		unsigned number = (unsigned)(item.path[strlen(item.path) - 1] - '0');
		tree_check_record(w, item.data, (int64_t)item.size, number, &head);
		if (stress_failed())
			break;
	}
	mfs_export_close(iterator);
}

static void look_up(struct worker *w)
{
	static const char *const always[] = {"/trees/s/u", "/trees/s/v/f0", "/trees/0/w",
										 "/trees/1/w/f0"};
	char path[PATH_SIZE];
	mfs_info info;

	for (unsigned i = 0; i < COUNT_OF(always); i++) {
		if (!call_exists(w, always[i]))
			stress_fail("thread %u: %s is gone", w->index, always[i]);
	}
	/* A shared tree has all its files in it at any time. Two looks are of two moments, though. */
	forest_place(w, path);
	if (call_stat(w, path, ALLOW(MFS_ENOENT), &info) == 0 && !info.is_dir)
		stress_fail("thread %u: %s is a file", w->index, path);
}

/*
 * Who changes
 */

static void import_tree(struct worker *w)
{
	uint64_t length = RECORD_MIN + (uint64_t)below(w, TREE_SIZES) * 8;
	mfs_import_item items[TREE_FILES];
	char paths[TREE_FILES][PATH_SIZE];
	char place[PATH_SIZE];
	uint64_t stamp = next_stamp(w);
	unsigned first = below(w, TREE_FILES);

	forest_place(w, place);
	for (unsigned i = 0; i < TREE_FILES; i++) {
		unsigned number = (first + i) % TREE_FILES;
		unsigned char *data = w->buffer + number * length;
		record_fill(data, stamp, length, number);
		tree_file_path(place, number, paths[number]);
		items[i] = (mfs_import_item){paths[number], data, length, 0, 0};
	}
	call_import(w, items, TREE_FILES, ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES) | ALLOW(MFS_EBUSY));
}

static void move_tree(struct worker *w)
{
	unsigned from_place = below(w, PLACES);
	unsigned to_place = below(w, PLACES);
	unsigned always = ALLOW(MFS_ENOENT) | ALLOW(MFS_EBUSY);
	uint32_t dice = below(w, 100);
	char from[PATH_SIZE];
	char to[PATH_SIZE];

	place_path(from_place, from);
	place_path(to_place, to);
	if (dice < 30)
		call_rename(w, from, to, MFS_RENAME_EXCHANGE, always);
	else if (dice < 50)
		call_rename(w, from, to, 0, always | ALLOW(MFS_EEXIST));
	else if (dice < 60 && from_place != to_place)
		/* There is no empty tree to replace. */
		call_rename(w, from, to, MFS_RENAME_REPLACE, always | ALLOW(MFS_ENOTEMPTY));
	else if (dice < 80)
		call_move(w, from, to, 0, always | ALLOW(MFS_EEXIST) | ALLOW(MFS_ENODES));
	else
		call_copy_tree(w, from, to,
					   ALLOW(MFS_ENOENT) | ALLOW(MFS_EEXIST) | ALLOW(MFS_ETIMEDOUT) |
						   ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES) |
						   (from_place == to_place ? ALLOW(MFS_EINVAL) : 0));
}

static void remove_tree(struct worker *w)
{
	unsigned place = below(w, PLACES);
	char path[PATH_SIZE];

	place_path(place, path);
	if (place >= DEEP_FROM && chance(w, 50)) {
		/* The parent: with the tree, or when it is empty. */
		*strrchr(path, '/') = '\0';
		if (chance(w, 50)) {
			call_remove(w, path, ALLOW(MFS_ENOENT) | ALLOW(MFS_ENOTEMPTY));
			return;
		}
	}
	call_rmtree(w, path, ALLOW(MFS_ENOENT) | ALLOW(MFS_EBUSY));
}

/* Directories that always exist, somewhere. */
static void turn(struct worker *w)
{
	unsigned token = below(w, TOKENS);
	bool back = chance(w, 50);
	char x[PATH_SIZE];
	char y[PATH_SIZE];

	switch (below(w, 3)) {
	case 0:
		snprintf(x, sizeof(x), "/trees/s/x%u", token);
		snprintf(y, sizeof(y), "/trees/s/y%u", token);
		call_rename(w, back ? y : x, back ? x : y, 0,
					ALLOW(MFS_ENOENT) | ALLOW(MFS_EEXIST) | ALLOW(MFS_EBUSY));
		break;
	case 1:
		call_rename(w, "/trees/s/u", "/trees/s/v", MFS_RENAME_EXCHANGE, ALLOW(MFS_EBUSY));
		break;
	default:
		call_rename(w, back ? "/trees/1/w" : "/trees/0/w", back ? "/trees/0/w" : "/trees/1/w",
					MFS_RENAME_EXCHANGE, 0);
		break;
	}
}

/* a into b, b into a, and out again: one of them is always at the top, and neither is lost. */
static void nest(struct worker *w)
{
	static const char *const moves[][2] = {
		{"/trees/s/a", "/trees/s/b/a"},
		{"/trees/s/b", "/trees/s/a/b"},
		{"/trees/s/b/a", "/trees/s/a"},
		{"/trees/s/a/b", "/trees/s/b"},
	};
	const char *const *move = moves[below(w, COUNT_OF(moves))];

	call_rename(w, move[0], move[1], 0, ALLOW(MFS_ENOENT) | ALLOW(MFS_EEXIST) | ALLOW(MFS_EBUSY));
}

/*
 * Steps, set-up, checks
 */

void forest_step(struct worker *w)
{
	uint32_t dice = below(w, 100);

	if (chance(w, 60) && watched_join(w))
		return;
	if (dice < 17)
		import_tree(w);
	else if (dice < 32)
		move_tree(w);
	else if (dice < 38)
		remove_tree(w);
	else if (dice < 45)
		turn(w);
	else if (dice < 50)
		nest(w);
	else if (dice < 60)
		watched_step(w);
	else if (dice < 66)
		walk_all(w);
	else if (dice < 72)
		glob(w);
	else if (dice < 81)
		list_tree(w);
	else if (dice < 91)
		read_tree(w);
	else if (dice < 94)
		export_trees(w);
	else
		look_up(w);
}

void forest_make_directory(struct worker *w, const char *path)
{
	char file[PATH_SIZE];
	unsigned char data[RECORD_MIN];

	tree_file_path(path, 0, file);
	record_fill(data, next_stamp(w), sizeof(data), 0);
	mfs_import_item item = {.path = file, .data = data, .size = sizeof(data)};
	call_import(w, &item, 1, 0);
}

void forest_set_up(struct worker *w)
{
	static const char *const directories[] = {"/trees/0/w", "/trees/1/w", "/trees/s/u",
											  "/trees/s/v", "/trees/s/a", "/trees/s/b"};
	char path[PATH_SIZE];

	for (unsigned i = 0; i < COUNT_OF(directories); i++)
		forest_make_directory(w, directories[i]);
	for (unsigned i = 0; i < TOKENS; i++) {
		snprintf(path, sizeof(path), "/trees/s/x%u", i);
		forest_make_directory(w, path);
	}
	watched_set_up(w);
}

static unsigned count_existing(struct worker *w, const char *const *paths, size_t count)
{
	unsigned found = 0;

	for (size_t i = 0; i < count; i++)
		found += call_is_file(w, paths[i]);
	return found;
}

void forest_check(struct worker *w)
{
	static const char *const a[] = {"/trees/s/a/f0", "/trees/s/b/a/f0"};
	static const char *const b[] = {"/trees/s/b/f0", "/trees/s/a/b/f0"};
	mfs_walk_level level;
	mfs_walk *walk;

	watched_check(w);
	if (count_existing(w, a, COUNT_OF(a)) != 1 || count_existing(w, b, COUNT_OF(b)) != 1)
		stress_fail("a or b is lost or doubled");
	if (call_walk_open(w, "/", 0, &walk) < 0)
		return;
	while (call_walk_next(w, walk, &level) == 1)
		check_level(w, &level);
	mfs_walk_close(walk);
	for (unsigned place = 0; place < PLACES; place++) {
		uint64_t stamp = 0;
		char tree[PATH_SIZE];
		place_path(place, tree);
		for (unsigned i = 0; i < TREE_FILES && call_exists(w, tree); i++) {
			struct record head;
			char path[PATH_SIZE];
			void *bytes;
			tree_file_path(tree, i, path);
			int64_t size = call_buffer(w, path, 0, 0, &bytes);
			if (size < 0)
				return;
			tree_check_record(w, bytes, size, i, &head);
			if (i == 0)
				stamp = head.stamp;
			if (head.stamp != stamp)
				stress_fail("%s is not of the same import as f0", path);
			mfs_buffer_free(bytes);
		}
	}
}
