/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: trees of a thread's own, below two directories that all threads share. Nobody else
 * changes a thread's trees, so that every result is known beforehand, up to the limits of the
 * workspace, however the others move theirs past them.
 *
 * A file holds up to TREE_RECORDS records, and the model knows each of them by its stamp. So a copy
 * is a copy of the model's few words; a byte that a write to the other side has changed is seen.
 */
#include "mixed.h"

#define MOVE_PATH_SIZE (PATH_SIZE / 2)

/*
 * Names
 */

static unsigned parent_of(unsigned tree)
{
	return tree / OWN_NAMES;
}

static void tree_path(const struct worker *w, unsigned tree, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/trees/%u/t%u_%u", parent_of(tree), w->index, tree % OWN_NAMES);
}

/* A name beside the trees that nothing ever has, unless for the length of a step. */
static void other_path(const struct worker *w, unsigned parent, const char *behind,
					   char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/trees/%u/m%u%s", parent, w->index, behind);
}

static bool is_below_sub(unsigned number)
{
	return number >= TREE_FILES / 2;
}

void tree_file_path(const char *tree, unsigned number, char path[PATH_SIZE])
{
	int length =
		snprintf(path, PATH_SIZE, "%s%s/f%u", tree, is_below_sub(number) ? "/d" : "", number);

	if (length >= PATH_SIZE)
		stress_die("a path is too long: %s", path);
}

static void file_path(const struct worker *w, unsigned tree, unsigned number, char path[PATH_SIZE])
{
	char directory[PATH_SIZE];

	tree_path(w, tree, directory);
	tree_file_path(directory, number, path);
}

static void sub_path(const struct worker *w, unsigned tree, char path[PATH_SIZE])
{
	tree_path(w, tree, path);
	size_t length = strlen(path);
	snprintf(path + length, PATH_SIZE - length, "/d");
}

/*
 * The model
 */

/* The directory that a file would be in. */
static bool has_parent(const struct own_tree *tree, unsigned number)
{
	return tree->exists && (tree->sub || !is_below_sub(number));
}

static bool sub_is_empty(const struct own_tree *tree)
{
	for (unsigned i = TREE_FILES / 2; i < TREE_FILES; i++) {
		if (tree->files[i].exists)
			return false;
	}
	return true;
}

static bool tree_is_empty(const struct own_tree *tree)
{
	for (unsigned i = 0; i < TREE_FILES / 2; i++) {
		if (tree->files[i].exists)
			return false;
	}
	return !tree->sub;
}

static size_t file_size(const struct tree_file *file)
{
	size_t size = 0;

	for (unsigned i = 0; i < file->records; i++)
		size += file->pieces[i].length;
	return size;
}

/* What the file must hold. Returns how much. */
static size_t file_bytes(const struct tree_file *file, unsigned char *at)
{
	size_t size = 0;

	for (unsigned i = 0; i < file->records; i++) {
		const struct piece *piece = &file->pieces[i];
		record_fill(at + size, piece->stamp, piece->length, piece->place);
		size += piece->length;
	}
	return size;
}

static struct piece new_piece(struct worker *w, uint64_t stamp, unsigned number)
{
	uint32_t most = chance(w, 85) ? 500 : 5000;

	return (struct piece){stamp, RECORD_MIN + (uint64_t)below(w, most / 8) * 8, number};
}

static unsigned any_tree(struct worker *w)
{
	return below(w, OWN_TREES);
}

/* A tree that exists, or OWN_TREES. */
static unsigned any_existing(struct worker *w)
{
	unsigned start = any_tree(w);

	for (unsigned i = 0; i < OWN_TREES; i++) {
		unsigned tree = (start + i) % OWN_TREES;
		if (w->trees[tree].exists)
			return tree;
	}
	return OWN_TREES;
}

/* A tree to work with: in most cases one that exists. */
static unsigned likely_tree(struct worker *w)
{
	unsigned tree = chance(w, 80) ? any_existing(w) : OWN_TREES;

	return tree < OWN_TREES ? tree : any_tree(w);
}

/* A tree to make: in most cases one that does not exist. */
static unsigned unlikely_tree(struct worker *w)
{
	unsigned tree = any_tree(w);

	for (unsigned tries = below(w, OWN_TREES); tries > 0 && w->trees[tree].exists; tries--)
		tree = (tree + 1) % OWN_TREES;
	return tree;
}

/* A file of a tree that exists, or TREE_FILES. */
static unsigned any_file(struct worker *w, unsigned tree)
{
	unsigned start = below(w, TREE_FILES);

	for (unsigned i = 0; i < TREE_FILES; i++) {
		unsigned number = (start + i) % TREE_FILES;
		if (w->trees[tree].files[number].exists)
			return number;
	}
	return TREE_FILES;
}

/* A file to make: in most cases one that does not exist. */
static unsigned unlikely_file(struct worker *w, unsigned tree)
{
	unsigned number = below(w, TREE_FILES);

	for (unsigned i = below(w, TREE_FILES); i > 0 && w->trees[tree].files[number].exists; i--)
		number = (number + 1) % TREE_FILES;
	return number;
}

/*
 * Checks
 */

static void check_bytes(struct worker *w, const char *path, const struct tree_file *file,
						const void *data, size_t size)
{
	size_t want = file_bytes(file, w->other);

	if (size != want) {
		stress_fail("thread %u: %s: %zu bytes instead of %zu", w->index, path, size, want);
	} else if (memcmp(data, w->other, size) != 0) {
		struct record head = {0};
		if (size >= sizeof(head))
			memcpy(&head, data, sizeof(head));
		stress_fail("thread %u: %s: wrong bytes in %zu; the first record has stamp %llx, place "
					"%llu instead of %llx, %llu",
					w->index, path, size, (unsigned long long)head.stamp,
					(unsigned long long)head.place, (unsigned long long)file->pieces[0].stamp,
					(unsigned long long)file->pieces[0].place);
	}
}

/* Learn a file's generation, which must have become more. */
static void note_generation(struct worker *w, struct tree_file *file, const char *path)
{
	mfs_info info;

	if (call_stat(w, path, 0, &info) < 0)
		return;
	if (info.generation <= file->generation) {
		stress_fail("thread %u: %s: generation %llu after a change, before %llu", w->index, path,
					(unsigned long long)info.generation, (unsigned long long)file->generation);
	}
	file->generation = info.generation;
}

static void check_file(struct worker *w, const char *path, const struct tree_file *file)
{
	mfs_info info;
	void *bytes;

	if (!file->exists) {
		must_be(w, "stat", call_stat(w, path, ALLOW(MFS_ENOENT), &info), MFS_ENOENT);
		must_be(w, "export", call_buffer(w, path, 0, ALLOW(MFS_ENOENT), &bytes), MFS_ENOENT);
		return;
	}
	if (call_stat(w, path, 0, &info) == 0 &&
		(info.is_dir || info.size != (int64_t)file_size(file) ||
		 info.generation != file->generation)) {
		stress_fail("thread %u: stat of %s: size %lld, generation %llu instead of %zu, %llu",
					w->index, path, (long long)info.size, (unsigned long long)info.generation,
					file_size(file), (unsigned long long)file->generation);
	}
	int64_t size = call_buffer(w, path, 0, 0, &bytes);
	if (size >= 0)
		check_bytes(w, path, file, bytes, (size_t)size);
	mfs_buffer_free(bytes);
	if (file_size(file) > 1) {
		size = call_buffer(w, path, file_size(file) - 1, ALLOW(MFS_EFBIG), &bytes);
		must_be(w, "export of too much", size, MFS_EFBIG);
	}
}

/* The files from `first` to `end` are the model's, and so is whether there is a d. */
static void check_level(struct worker *w, const mfs_walk_level *level, const struct own_tree *tree,
						bool sub, unsigned first, unsigned end)
{
	size_t files = 0;
	bool good = level->directory_count == sub && (!sub || strcmp(level->directories[0], "d") == 0);

	for (unsigned i = first; i < end; i++) {
		char name[16];
		if (!tree->files[i].exists)
			continue;
		snprintf(name, sizeof(name), "f%u", i);
		good = good && files < level->file_count && strcmp(level->files[files], name) == 0;
		files++;
	}
	if (!good || files != level->file_count) {
		stress_fail("thread %u: walk at %s: %zu files instead of %zu, %zu directories instead of "
					"%d, or wrong names",
					w->index, level->path, level->file_count, files, level->directory_count, sub);
	}
}

static void check_by_walk(struct worker *w, const char *path, const struct own_tree *tree)
{
	char sub[PATH_SIZE];
	mfs_walk_level level;
	mfs_walk *walk;

	if (!tree->exists) {
		must_be(w, "walk", call_walk_open(w, path, ALLOW(MFS_ENOENT), &walk), MFS_ENOENT);
		return;
	}
	if (call_walk_open(w, path, 0, &walk) < 0)
		return;
	if (call_walk_next(w, walk, &level) != 1 || strcmp(level.path, path) != 0)
		stress_fail("thread %u: walk does not begin at %s", w->index, path);
	else
		check_level(w, &level, tree, tree->sub, 0, TREE_FILES / 2);
	bool skip = chance(w, 10);
	if (skip)
		must_be(w, "walk_skip", mfs_walk_skip(walk), 0);
	if (tree->sub && !skip) {
		snprintf(sub, sizeof(sub), "%.*s/d", MOVE_PATH_SIZE, path);
		if (call_walk_next(w, walk, &level) != 1 || strcmp(level.path, sub) != 0)
			stress_fail("thread %u: walk does not come to %s", w->index, sub);
		else
			check_level(w, &level, tree, false, TREE_FILES / 2, TREE_FILES);
	}
	must_be(w, "end of the walk", call_walk_next(w, walk, &level), 0);
	mfs_walk_close(walk);
}

static void check_by_export(struct worker *w, const char *path, const struct own_tree *tree)
{
	unsigned flags = chance(w, 30) ? MFS_ONLY_DIRTY : 0;
	char want[PATH_SIZE];
	mfs_export_item item;
	mfs_export *iterator;

	if (!tree->exists) {
		must_be(w, "export", call_export_open(w, path, flags, ALLOW(MFS_ENOENT), &iterator),
				MFS_ENOENT);
		return;
	}
	if (call_export_open(w, path, flags, 0, &iterator) < 0)
		return;
	for (unsigned number = 0; number < TREE_FILES; number++) {
		const struct tree_file *file = &tree->files[number];
		if (!file->exists || (flags && file->generation == 0))
			continue;
		tree_file_path(path, number, want);
		if (call_export_next(w, iterator, 0, &item) != 1 || strcmp(item.path, want) != 0) {
			stress_fail("thread %u: export does not come to %s", w->index, want);
			break;
		}
		check_bytes(w, want, file, item.data, item.size);
		if (item.generation != file->generation)
			stress_fail("thread %u: export of %s: generation %llu instead of %llu", w->index, want,
						(unsigned long long)item.generation, (unsigned long long)file->generation);
	}
	if (!stress_failed())
		must_be(w, "end of the export", call_export_next(w, iterator, 0, &item), 0);
	mfs_export_close(iterator);
}

/* Whatever others do beside them, a thread's own trees are all found. */
static void check_by_glob(struct worker *w)
{
	unsigned number = below(w, TREE_FILES + 1);
	char pattern[PATH_SIZE];
	char tree_pattern[PATH_SIZE];
	char **paths;
	int64_t found = 0;

	snprintf(tree_pattern, sizeof(tree_pattern), "/trees/[01]/t%u_?", w->index);
	if (number < TREE_FILES)
		tree_file_path(tree_pattern, number, pattern);
	else
		snprintf(pattern, sizeof(pattern), "/*%s", tree_pattern + strlen("/trees"));
	int64_t count = call_glob(w, pattern, &paths);
	for (unsigned i = 0; i < OWN_TREES; i++) {
		if (!w->trees[i].exists || (number < TREE_FILES && !w->trees[i].files[number].exists))
			continue;
		if (number < TREE_FILES)
			file_path(w, i, number, tree_pattern);
		else
			tree_path(w, i, tree_pattern);
		if (found >= count || strcmp(paths[found], tree_pattern) != 0)
			stress_fail("thread %u: glob of %s does not find %s", w->index, pattern, tree_pattern);
		found++;
	}
	must_be(w, "glob", count, found);
	mfs_names_free(paths);
}

static void check_tree(struct worker *w, unsigned tree)
{
	char path[PATH_SIZE];

	tree_path(w, tree, path);
	check_by_walk(w, path, &w->trees[tree]);
	check_by_export(w, path, &w->trees[tree]);
}

void tree_check_record(struct worker *w, const void *data, int64_t size, unsigned number,
					   struct record *head)
{
	*head = (struct record){0};
	if (record_check(data, (uint64_t)size, head) != (uint64_t)size || size == 0 ||
		head->place != number) {
		stress_fail("thread %u: %s: %lld bytes are not one record for place %u", w->index, w->where,
					(long long)size, number);
	}
}

/*
 * Import and copies
 */

/* Several files at once, into a tree that may be there, with files that may be there. */
static void import_files(struct worker *w, unsigned tree_number)
{
	struct own_tree *tree = &w->trees[tree_number];
	struct own_tree next = *tree;
	mfs_import_item items[TREE_FILES + 2] = {0};
	char paths[TREE_FILES + 2][PATH_SIZE];
	uint64_t stamp = next_stamp(w);
	size_t count = 0;
	size_t used = 0;
	unsigned first = below(w, TREE_FILES);
	bool twice = chance(w, 3);

	for (unsigned i = 0; i < TREE_FILES; i++) {
		unsigned file_number = (first + i) % TREE_FILES;
		struct tree_file *file = &next.files[file_number];
		if (count > 0 && chance(w, 20))
			continue;
		*file = (struct tree_file){.exists = true, .records = below(w, TREE_RECORDS + 1)};
		for (unsigned k = 0; k < file->records; k++)
			file->pieces[k] = new_piece(w, stamp, file_number);
		size_t size = file_bytes(file, w->buffer + used);
		file_path(w, tree_number, file_number, paths[count]);
		items[count] = (mfs_import_item){paths[count], size ? w->buffer + used : NULL, size, 0, 0};
		used += size;
		count++;
		next.exists = true;
		next.sub = next.sub || is_below_sub(file_number);
	}
	if (chance(w, 20)) {
		sub_path(w, tree_number, paths[count]);
		items[count] = (mfs_import_item){.path = paths[count], .flags = MFS_IMPORT_DIRECTORY};
		count++;
		next.sub = true;
	}
	unsigned allowed = ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES);
	if (twice) {
		items[count] = items[0];
		must_fail(w, "import of a path twice",
				  call_import(w, items, count + 1, allowed | ALLOW(MFS_EEXIST)));
	} else if (call_import(w, items, count, allowed) == 0) {
		*tree = next;
	}
	if (chance(w, 30))
		check_tree(w, tree_number);
}

static void write_to_file(struct worker *w, unsigned tree, unsigned number);

static void copy_whole(struct worker *w, unsigned from, unsigned to)
{
	struct own_tree *source = &w->trees[from];
	struct own_tree *target = &w->trees[to];
	char from_path[PATH_SIZE];
	char to_path[PATH_SIZE];

	tree_path(w, from, from_path);
	tree_path(w, to, to_path);
	unsigned allowed = ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES);
	if (!source->exists || target->exists) {
		allowed |= (source->exists ? 0 : ALLOW(MFS_ENOENT)) |
				   (target->exists ? ALLOW(MFS_EEXIST) : 0) | (from == to ? ALLOW(MFS_EINVAL) : 0);
		must_fail(w, "copy_tree", call_copy_tree(w, from_path, to_path, allowed));
		return;
	}
	if (call_copy_tree(w, from_path, to_path, allowed) < 0)
		return;
	*target = *source;
	for (unsigned i = 0; i < TREE_FILES; i++)
		target->files[i].generation = 0;
	/* Write to one of the two; both are looked at. */
	unsigned written = any_file(w, to);
	if (written < TREE_FILES)
		write_to_file(w, chance(w, 50) ? from : to, written);
	check_tree(w, from);
	check_tree(w, to);
}

static void copy_file(struct worker *w, unsigned from, unsigned to)
{
	unsigned from_file = any_file(w, from) % TREE_FILES;
	unsigned to_file = unlikely_file(w, to);
	struct tree_file *source = &w->trees[from].files[from_file];
	struct tree_file *target = &w->trees[to].files[to_file];
	char from_path[PATH_SIZE];
	char to_path[PATH_SIZE];

	file_path(w, from, from_file, from_path);
	file_path(w, to, to_file, to_path);
	unsigned allowed = ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES);
	bool parent = has_parent(&w->trees[to], to_file);
	if (!source->exists || !parent || target->exists) {
		allowed |= (source->exists && parent ? 0 : ALLOW(MFS_ENOENT)) |
				   (target->exists ? ALLOW(MFS_EEXIST) : 0);
		must_fail(w, "copy", call_copy(w, from_path, to_path, allowed));
		return;
	}
	if (call_copy(w, from_path, to_path, allowed) < 0)
		return;
	*target = *source;
	target->generation = 1;
	if (chance(w, 50)) {
		bool other = chance(w, 50);
		write_to_file(w, other ? from : to, other ? from_file : to_file);
	}
	check_file(w, from_path, source);
	check_file(w, to_path, target);
}

/*
 * A copy of what all threads share, which nobody changes once it is this thread's. All of it is as
 * it was at one instant, so that it must be of one import.
 */
static void fetch(struct worker *w, unsigned number)
{
	struct own_tree *tree = &w->trees[number];
	struct record first = {0};
	char from[PATH_SIZE];
	char to[PATH_SIZE];
	unsigned allowed =
		ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES) | ALLOW(MFS_ENOENT) | ALLOW(MFS_ETIMEDOUT);

	if (tree->exists)
		allowed |= ALLOW(MFS_EEXIST);
	forest_place(w, from);
	tree_path(w, number, to);
	if (call_copy_tree(w, from, to, allowed) < 0)
		return;
	if (tree->exists)
		stress_fail("thread %u: copy of %s over %s", w->index, from, to);
	*tree = (struct own_tree){.exists = true, .sub = true};
	for (unsigned i = 0; i < TREE_FILES; i++) {
		struct record head;
		void *bytes;
		file_path(w, number, i, to);
		int64_t size = call_buffer(w, to, 0, 0, &bytes);
		if (size < 0)
			return;
		tree_check_record(w, bytes, size, i, &head);
		mfs_buffer_free(bytes);
		if (i == 0)
			first = head;
		if (head.stamp != first.stamp || head.length != first.length) {
			stress_fail("thread %u: copy of %s: stamp %llx of f0, %llx of f%u", w->index, from,
						(unsigned long long)first.stamp, (unsigned long long)head.stamp, i);
		}
		tree->files[i] = (struct tree_file){
			.exists = true, .records = 1, .pieces = {{head.stamp, head.length, head.place}}};
	}
}

/*
 * Changes of files
 */

static void write_to_file(struct worker *w, unsigned tree, unsigned number)
{
	struct tree_file *file = &w->trees[tree].files[number];
	uint32_t dice = below(w, 100);
	uint64_t offset = 0;
	char path[PATH_SIZE];
	mfs_file *handle;

	file_path(w, tree, number, path);
	if (!file->exists) {
		must_be(w, "open", call_open(w, path, "r+b", 1, 0, 0, ALLOW(MFS_ENOENT), &handle),
				MFS_ENOENT);
		return;
	}
	if (call_open(w, path, "r+b", 1, 0, 0, 0, &handle) < 0)
		return;
	bool changed = true;
	if (file->records == 0 || (dice < 20 && file->records < TREE_RECORDS)) {
		struct piece piece = new_piece(w, next_stamp(w), number);
		record_fill(w->buffer, piece.stamp, piece.length, piece.place);
		changed = call_pwrite(w, handle, w->buffer, piece.length, (int64_t)file_size(file),
							  ALLOW(MFS_EQUOTA)) >= 0;
		if (changed)
			file->pieces[file->records++] = piece;
	} else if (dice < 35) {
		/* The rest may be shared with another file, which keeps all of it. */
		file->records--;
		changed = call_truncate(w, handle, (int64_t)file_size(file), 0) == 0;
	} else {
		/* In place, though it may be shared: charged in full, so that no quota can refuse it. */
		unsigned index = below(w, file->records);
		struct piece *piece = &file->pieces[index];
		for (unsigned i = 0; i < index; i++)
			offset += file->pieces[i].length;
		piece->stamp = next_stamp(w);
		record_fill(w->buffer, piece->stamp, piece->length, piece->place);
		call_pwrite(w, handle, w->buffer, piece->length, (int64_t)offset, 0);
	}
	call_close(w, handle);
	if (changed)
		note_generation(w, file, path);
	check_file(w, path, file);
}

static void remove_file(struct worker *w, unsigned tree, unsigned number)
{
	struct tree_file *file = &w->trees[tree].files[number];
	int want = file->exists ? 0 : MFS_ENOENT;
	char path[PATH_SIZE];

	file_path(w, tree, number, path);
	/* For a file both calls do the same. */
	if (chance(w, 50))
		must_be(w, "remove", call_remove(w, path, ALLOW(MFS_ENOENT)), want);
	else
		must_be(w, "rmtree", call_rmtree(w, path, ALLOW(MFS_ENOENT)), want);
	file->exists = false;
}

static void exchange_files(struct worker *w, unsigned one, unsigned two)
{
	unsigned one_file = below(w, TREE_FILES);
	unsigned two_file = below(w, TREE_FILES);
	struct tree_file *first = &w->trees[one].files[one_file];
	struct tree_file *second = &w->trees[two].files[two_file];
	struct tree_file swap = *first;
	char one_path[PATH_SIZE];
	char two_path[PATH_SIZE];

	file_path(w, one, one_file, one_path);
	file_path(w, two, two_file, two_path);
	int want = first->exists && second->exists ? 0 : MFS_ENOENT;
	must_be(w, "exchange",
			call_rename(w, one_path, two_path, MFS_RENAME_EXCHANGE, ALLOW(MFS_ENOENT)), want);
	if (want == 0) {
		*first = *second;
		*second = swap;
	}
	check_file(w, one_path, first);
}

/*
 * Changes of trees
 */

/* Rename or move, the same but for missing parents, which there are none of here. */
static int rename_or_move(struct worker *w, const char *from, const char *to, unsigned flags,
						  unsigned allowed)
{
	return chance(w, 50) ? call_rename(w, from, to, flags, allowed)
						 : call_move(w, from, to, flags, allowed);
}

static void rename_tree(struct worker *w, unsigned from, unsigned to)
{
	struct own_tree *source = &w->trees[from];
	struct own_tree *target = &w->trees[to];
	unsigned flags = chance(w, 30) ? MFS_RENAME_REPLACE : 0;
	char from_path[PATH_SIZE];
	char to_path[PATH_SIZE];

	tree_path(w, from, from_path);
	tree_path(w, to, to_path);
	unsigned full = flags ? ALLOW(MFS_ENOTEMPTY) : ALLOW(MFS_EEXIST);
	if (!source->exists) {
		must_fail(w, "rename",
				  rename_or_move(w, from_path, to_path, flags,
								 ALLOW(MFS_ENOENT) | (target->exists ? full : 0)));
		return;
	}
	if (from == to) {
		must_be(w, "rename to itself", rename_or_move(w, from_path, to_path, flags, full),
				flags ? 0 : MFS_EEXIST);
		return;
	}
	if (target->exists && (!flags || !tree_is_empty(target))) {
		must_fail(w, "rename", rename_or_move(w, from_path, to_path, flags, full));
		return;
	}
	if (rename_or_move(w, from_path, to_path, flags, 0) < 0)
		return;
	*target = *source;
	*source = (struct own_tree){0};
	if (chance(w, 50)) {
		check_tree(w, from);
		check_tree(w, to);
	}
}

static void exchange_trees(struct worker *w, unsigned one, unsigned two)
{
	struct own_tree swap = w->trees[one];
	char one_path[PATH_SIZE];
	char two_path[PATH_SIZE];

	tree_path(w, one, one_path);
	tree_path(w, two, two_path);
	int want = w->trees[one].exists && w->trees[two].exists ? 0 : MFS_ENOENT;
	must_be(w, "exchange",
			call_rename(w, one_path, two_path, MFS_RENAME_EXCHANGE, ALLOW(MFS_ENOENT)), want);
	if (want == 0) {
		w->trees[one] = w->trees[two];
		w->trees[two] = swap;
	}
	if (chance(w, 50)) {
		check_tree(w, one);
		check_tree(w, two);
	}
}

/* To where parents are missing, and back. */
static void move_there_and_back(struct worker *w, unsigned number)
{
	unsigned parent = below(w, OWN_PARENTS);
	struct own_tree *tree = &w->trees[number];
	char from[PATH_SIZE];
	char top[PATH_SIZE];
	char to[PATH_SIZE];

	tree_path(w, number, from);
	other_path(w, parent, "", top);
	other_path(w, parent, "/q/x", to);
	if (!tree->exists) {
		must_fail(w, "move", call_move(w, from, to, 0, ALLOW(MFS_ENOENT) | ALLOW(MFS_ENODES)));
	} else if (call_move(w, from, to, 0, ALLOW(MFS_ENODES)) == 0) {
		check_by_walk(w, from, &(struct own_tree){0});
		check_by_export(w, to, tree);
		must_be(w, "rename back", call_rename(w, to, from, 0, 0), 0);
		must_be(w, "rmtree of the parents", call_rmtree(w, top, 0), 0);
	}
	if (call_exists(w, top))
		stress_fail("thread %u: a parent was made or left: %s", w->index, top);
	check_tree(w, number);
}

/* The directory d of a tree becomes that of another one, or of the same. */
static void rename_sub(struct worker *w, unsigned from, unsigned to)
{
	struct own_tree *source = &w->trees[from];
	struct own_tree *target = &w->trees[to];
	unsigned flags = chance(w, 50) ? MFS_RENAME_REPLACE : 0;
	bool full = target->exists && target->sub && (!flags || !sub_is_empty(target));
	char from_path[PATH_SIZE];
	char to_path[PATH_SIZE];
	unsigned allowed = 0;

	if (from == to)
		return;
	sub_path(w, from, from_path);
	sub_path(w, to, to_path);
	if (!source->exists || !source->sub || !target->exists)
		allowed |= ALLOW(MFS_ENOENT);
	if (full)
		allowed |= flags ? ALLOW(MFS_ENOTEMPTY) : ALLOW(MFS_EEXIST);
	int rc = call_rename(w, from_path, to_path, flags, allowed);
	if (allowed != 0) {
		must_fail(w, "rename", rc);
		return;
	}
	if (rc < 0)
		return;
	source->sub = false;
	target->sub = true;
	for (unsigned i = TREE_FILES / 2; i < TREE_FILES; i++) {
		target->files[i] = source->files[i];
		source->files[i].exists = false;
	}
	check_tree(w, to);
}

static void remove_tree(struct worker *w, unsigned number)
{
	struct own_tree *tree = &w->trees[number];
	char path[PATH_SIZE];

	if (chance(w, 30)) {
		sub_path(w, number, path);
		must_be(w, "rmtree", call_rmtree(w, path, ALLOW(MFS_ENOENT)),
				tree->exists && tree->sub ? 0 : MFS_ENOENT);
		tree->sub = false;
		for (unsigned i = TREE_FILES / 2; i < TREE_FILES; i++)
			tree->files[i].exists = false;
		return;
	}
	tree_path(w, number, path);
	must_be(w, "rmtree", call_rmtree(w, path, ALLOW(MFS_ENOENT)), tree->exists ? 0 : MFS_ENOENT);
	*tree = (struct own_tree){0};
	if (chance(w, 30))
		check_tree(w, number);
}

/*
 * Open handles
 */

/* While a handle below it is open, a directory stays what it is and where it is. */
static void try_held(struct worker *w)
{
	static const unsigned busy = ALLOW(MFS_EBUSY);
	unsigned tree = any_existing(w);
	unsigned number = tree < OWN_TREES ? any_file(w, tree) : TREE_FILES;
	bool exclusive = chance(w, 50);
	char path[PATH_SIZE];
	char directory[PATH_SIZE];
	char parent[PATH_SIZE];
	char other[PATH_SIZE];
	mfs_file *handle;
	void *bytes;

	if (number == TREE_FILES)
		return;
	file_path(w, tree, number, path);
	tree_path(w, tree, directory);
	snprintf(parent, sizeof(parent), "/trees/%u", parent_of(tree));
	other_path(w, parent_of(tree), "", other);
	if (call_open(w, path, exclusive ? "r+b" : "rb", 1, 0, 0, 0, &handle) < 0)
		return;
	must_be(w, "rename", rename_or_move(w, directory, other, 0, busy), MFS_EBUSY);
	must_be(w, "rename", call_rename(w, path, other, 0, busy), MFS_EBUSY);
	must_be(w, "rmtree", call_rmtree(w, directory, busy), MFS_EBUSY);
	must_be(w, "rmtree", call_rmtree(w, path, busy), MFS_EBUSY);
	if (chance(w, 5)) {
		must_be(w, "rename of a parent", call_rename(w, parent, "/trees/none", 0, busy), MFS_EBUSY);
		must_be(w, "rmtree of all", call_rmtree(w, "/trees", busy), MFS_EBUSY);
	}
	for (unsigned i = 0; i < OWN_TREES; i++) {
		if (i == tree || !w->trees[i].exists)
			continue;
		tree_path(w, i, other);
		must_be(w, "exchange", call_rename(w, other, directory, MFS_RENAME_EXCHANGE, busy),
				MFS_EBUSY);
		break;
	}
	mfs_import_item item = {.path = path};
	must_be(w, "import", call_import(w, &item, 1, busy), MFS_EBUSY);
	if (!exclusive)
		check_file(w, path, &w->trees[tree].files[number]);
	else if (chance(w, 10))
		must_be(w, "export", call_buffer(w, path, 0, ALLOW(MFS_ETIMEDOUT), &bytes), MFS_ETIMEDOUT);
	call_close(w, handle);
	check_tree(w, tree);
}

/* A handle that locks for each call is in nobody's way; what is removed under it lives on. */
static void remove_under_handle(struct worker *w)
{
	unsigned tree = any_existing(w);
	unsigned number = tree < OWN_TREES ? any_file(w, tree) : TREE_FILES;
	char path[PATH_SIZE];
	char directory[PATH_SIZE];
	mfs_file *handle;

	if (number == TREE_FILES)
		return;
	struct tree_file file = w->trees[tree].files[number];
	file_path(w, tree, number, path);
	tree_path(w, tree, directory);
	if (call_open(w, path, "r+b", 1, MFS_O_SHARED, 0, 0, &handle) < 0)
		return;
	must_be(w, "rmtree", call_rmtree(w, directory, 0), 0);
	w->trees[tree] = (struct own_tree){0};
	check_tree(w, tree);
	int64_t size = call_pread(w, handle, w->buffer, w->stress->buffer_size, 0, 0);
	if (size >= 0)
		check_bytes(w, path, &file, w->buffer, (size_t)size);
	call_close(w, handle);
}

/*
 * Mistakes, steps, checks
 */

static void make_mistake(struct worker *w)
{
	static const unsigned wrong = ALLOW(MFS_EINVAL) | ALLOW(MFS_ENOTDIR) | ALLOW(MFS_EISDIR) |
								  ALLOW(MFS_ENOENT) | ALLOW(MFS_EEXIST);
	unsigned tree = any_existing(w);
	unsigned number = tree < OWN_TREES ? any_file(w, tree) : TREE_FILES;
	char directory[PATH_SIZE];
	char below_it[PATH_SIZE];
	char path[PATH_SIZE];
	mfs_export *iterator;
	mfs_walk *walk;
	mfs_dir *dir;
	void *bytes;

	if (number == TREE_FILES)
		return;
	tree_path(w, tree, directory);
	file_path(w, tree, number, path);
	snprintf(below_it, sizeof(below_it), "%.*s/x", MOVE_PATH_SIZE, directory);
	must_be(w, "rename into itself", rename_or_move(w, directory, below_it, 0, wrong), MFS_EINVAL);
	must_be(w, "copy into itself", call_copy_tree(w, directory, below_it, wrong), MFS_EINVAL);
	must_be(w, "copy of a directory", call_copy(w, directory, "/trees/none", wrong), MFS_EISDIR);
	must_be(w, "copy_tree of a file", call_copy_tree(w, path, "/trees/none", wrong), MFS_ENOTDIR);
	must_be(w, "walk of a file", call_walk_open(w, path, wrong, &walk), MFS_ENOTDIR);
	must_be(w, "opendir of a file", call_opendir(w, path, wrong, &dir), MFS_ENOTDIR);
	must_be(w, "export of a directory", call_buffer(w, directory, 0, wrong, &bytes), MFS_EISDIR);
	must_be(w, "export of nothing", call_export_open(w, "/trees/none", 0, wrong, &iterator),
			MFS_ENOENT);
	must_be(w, "rmtree of the root", call_rmtree(w, "/", wrong), MFS_EINVAL);
	mfs_import_item item = {.path = directory};
	must_be(w, "import over a directory", call_import(w, &item, 1, wrong), MFS_EISDIR);
	item = (mfs_import_item){.path = path, .flags = MFS_IMPORT_DIRECTORY};
	must_be(w, "import over a file", call_import(w, &item, 1, wrong), MFS_ENOTDIR);
}

void trees_step(struct worker *w)
{
	uint32_t dice = below(w, 100);
	unsigned tree = likely_tree(w);

	if (dice < 20)
		import_files(w, any_tree(w));
	else if (dice < 30)
		copy_whole(w, tree, unlikely_tree(w));
	else if (dice < 36)
		copy_file(w, tree, likely_tree(w));
	else if (dice < 42)
		fetch(w, unlikely_tree(w));
	else if (dice < 53)
		rename_tree(w, tree, unlikely_tree(w));
	else if (dice < 58)
		exchange_trees(w, tree, likely_tree(w));
	else if (dice < 61)
		move_there_and_back(w, tree);
	else if (dice < 66)
		rename_sub(w, tree, likely_tree(w));
	else if (dice < 69)
		exchange_files(w, tree, likely_tree(w));
	else if (dice < 76)
		write_to_file(w, tree, below(w, TREE_FILES));
	else if (dice < 81)
		remove_file(w, tree, below(w, TREE_FILES));
	else if (dice < 91)
		remove_tree(w, tree);
	else if (dice < 93)
		try_held(w);
	else if (dice < 95)
		remove_under_handle(w);
	else if (dice < 96)
		make_mistake(w);
	else if (dice < 98)
		check_by_glob(w);
	else
		check_tree(w, tree);
}

uint64_t trees_check(struct worker *w)
{
	char path[PATH_SIZE];
	uint64_t bytes = 0;

	check_by_glob(w);
	for (unsigned tree = 0; tree < OWN_TREES; tree++) {
		check_tree(w, tree);
		for (unsigned number = 0; number < TREE_FILES; number++) {
			const struct tree_file *file = &w->trees[tree].files[number];
			file_path(w, tree, number, path);
			check_file(w, path, file);
			if (file->exists)
				bytes += file_size(file);
		}
	}
	return bytes;
}

void trees_reset(struct worker *w)
{
	memset(w->trees, 0, sizeof(w->trees));
}
