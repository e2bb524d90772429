/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: changes that others watch while they happen. Two looks are of two moments, and say
 * nothing of a change in between; but a count of the changes tells when there was one at most, and
 * then what the first look has found says what the second one must find.
 */
#include "mixed.h"

#define LONG_PATH_SIZE 8192
#define WATCH_ROUNDS   10

static void shuttle_path(unsigned shuttle, uint64_t parent, const char *rest, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/trees/%u/q%u%s", (unsigned)(parent & 1), shuttle, rest);
}

/*
 * Take a shuttle to the other side. The file "here0" is in it only while it is in /trees/0, "here1"
 * only in /trees/1, so that some paths never exist.
 */
static void drive(struct worker *w, struct shuttle *shuttle, unsigned number)
{
	uint64_t moves = atomic_load_explicit(&shuttle->moves, memory_order_relaxed);
	char from[PATH_SIZE];
	char to[PATH_SIZE];
	char mark[PATH_SIZE];

	shuttle_path(number, moves, "", from);
	shuttle_path(number, moves + 1, "", to);
	if (shuttle->marked) {
		shuttle_path(number, moves, moves & 1 ? "/here1" : "/here0", mark);
		must_be(w, "remove", call_remove(w, mark, 0), 0);
		shuttle->marked = false;
	}
	/* release: pairs with watch_shuttle(); who finds it moved finds the number as well */
	atomic_store_explicit(&shuttle->moves, moves + 1, memory_order_release);
	must_be(w, "rename", call_rename(w, from, to, 0, 0), 0);
	shuttle_path(number, moves + 1, moves & 1 ? "/here0" : "/here1", mark);
	mfs_import_item item = {.path = mark};
	shuttle->marked = call_import(w, &item, 1, ALLOW(MFS_ENODES)) == 0;
}

/* With one move at most under way, it is not in both places and not in neither. */
static void watch_shuttle(struct worker *w, struct shuttle *shuttle, unsigned number)
{
	char from[PATH_SIZE];
	char to[PATH_SIZE];
	char never[LONG_PATH_SIZE];
	bool in_from;
	bool in_to;

	/* acquire: pairs with drive() */
	uint64_t moves = atomic_load_explicit(&shuttle->moves, memory_order_acquire);
	bool forth = chance(w, 50);
	shuttle_path(number, moves + 1, "/f0", from);
	shuttle_path(number, moves, "/f0", to);
	if (forth) {
		in_to = call_exists(w, to);
		in_from = call_exists(w, from);
	} else {
		in_from = call_exists(w, from);
		in_to = call_exists(w, to);
	}
	/* release: the looks do not come after it; it pairs with drive() as above */
	uint64_t after = atomic_fetch_add_explicit(&shuttle->moves, 0, memory_order_acq_rel);
	/* What was found where it goes to is not left where it came from, and the reverse. */
	if (moves == after && ((forth && in_to && in_from) || (!forth && !in_from && !in_to))) {
		stress_fail("thread %u: %s is in %s", w->index, to,
					forth ? "both of its places" : "neither of its places");
	}
	if (chance(w, 60))
		return;
	/* A long way from the shuttle to what is in it, so that the shuttle moves meanwhile. */
	shuttle_path(number, moves, "", never);
	size_t length = strlen(never);
	while (length + 16 < sizeof(never)) {
		memcpy(never + length, "/.", 2);
		length += 2;
	}
	snprintf(never + length, sizeof(never) - length, moves & 1 ? "/here0" : "/here1");
	if (call_exists(w, never))
		stress_fail("thread %u: %s in %s was never there", w->index, never + length, to);
}

static int64_t bundle_size(uint64_t imports)
{
	return (int64_t)(imports % 64);
}

static void import_bundle(struct worker *w, struct bundle *bundle, unsigned allowed)
{
	uint64_t imports = atomic_load_explicit(&bundle->imports, memory_order_relaxed) + 1;
	mfs_import_item items[BUNDLE_FILES];
	char paths[BUNDLE_FILES][PATH_SIZE];

	memset(w->buffer, 1, 64);
	for (unsigned i = 0; i < BUNDLE_FILES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/trees/s/z/k%u", i);
		items[i] = (mfs_import_item){paths[i], w->buffer, (size_t)bundle_size(imports), 0, 0};
	}
	/* release: pairs with watch_bundle(); who finds a new file finds the number as well */
	atomic_store_explicit(&bundle->imports, imports, memory_order_release);
	call_import(w, items, BUNDLE_FILES, allowed);
}

/* With one import at most under way, who has found one new file finds no old one any more. */
static void watch_bundle(struct worker *w, struct bundle *bundle)
{
	char paths[2][PATH_SIZE];
	int64_t sizes[2];

	for (unsigned i = 0; i < COUNT_OF(paths); i++)
		snprintf(paths[i], sizeof(paths[i]), "/trees/s/z/k%u", below(w, BUNDLE_FILES));
	/* acquire: pairs with import_bundle() */
	uint64_t imports = atomic_load_explicit(&bundle->imports, memory_order_acquire);
	for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
		mfs_info info = {0};
		call_stat(w, paths[i], 0, &info);
		sizes[i] = info.size;
	}
	/* release: the looks do not come after it; it pairs with import_bundle() as above */
	uint64_t after = atomic_fetch_add_explicit(&bundle->imports, 0, memory_order_acq_rel);
	if (imports == after && sizes[0] == bundle_size(imports) && sizes[1] != sizes[0]) {
		stress_fail("thread %u: %s: size %lld, but another file of its import had size %lld",
					w->index, paths[1], (long long)sizes[1], (long long)sizes[0]);
	}
}

/* All files of a listing are of one import. */
static void list_bundle(struct worker *w)
{
	int64_t size = -1;
	unsigned files = 0;
	mfs_entry entry;
	mfs_dir *dir;

	if (call_opendir(w, "/trees/s/z", 0, &dir) < 0)
		return;
	while (mfs_readdir(dir, &entry) == 1) {
		if (size >= 0 && entry.info.size != size) {
			stress_fail("thread %u: %s in /trees/s/z has size %lld beside %lld", w->index,
						entry.name, (long long)entry.info.size, (long long)size);
		}
		size = entry.info.size;
		files++;
	}
	mfs_closedir(dir);
	if (files != BUNDLE_FILES)
		stress_fail("thread %u: %u files in /trees/s/z", w->index, files);
}

/*
 * Calls that overlap by chance would be few. So who changes does it several times in a row, and
 * says so to the others.
 */

static void be_seen(struct worker *w, void *what)
{
	atomic_store_explicit(&w->stress->moving, what, memory_order_relaxed);
}

static void use_shuttle(struct worker *w)
{
	unsigned number = below(w, SHUTTLES);
	struct shuttle *shuttle = &w->stress->shuttles[number];

	if (pthread_mutex_trylock(&shuttle->lock) != 0)
		return;
	be_seen(w, shuttle);
	for (unsigned i = 10 + below(w, 40); i > 0 && !stress_failed(); i--)
		drive(w, shuttle, number);
	be_seen(w, NULL);
	pthread_mutex_unlock(&shuttle->lock);
}

static void use_bundle(struct worker *w)
{
	struct bundle *bundle = &w->stress->bundle;

	if (pthread_mutex_trylock(&bundle->lock) != 0)
		return;
	be_seen(w, bundle);
	/* MFS_EBUSY: an export reads one of them. */
	for (unsigned i = 5 + below(w, 20); i > 0 && !stress_failed(); i--)
		import_bundle(w, bundle, ALLOW(MFS_EQUOTA) | ALLOW(MFS_ENODES) | ALLOW(MFS_EBUSY));
	be_seen(w, NULL);
	pthread_mutex_unlock(&bundle->lock);
}

bool watched_join(struct worker *w)
{
	struct stress *stress = w->stress;
	struct bundle *bundle = &stress->bundle;
	const void *what = atomic_load_explicit(&stress->moving, memory_order_relaxed);
	_Atomic uint64_t *count = &bundle->imports;
	unsigned shuttle = 0;

	if (!what)
		return false;
	for (unsigned i = 0; i < SHUTTLES; i++) {
		if (what == &stress->shuttles[i]) {
			count = &stress->shuttles[i].moves;
			shuttle = i;
		}
	}
	for (unsigned round = 0; round < WATCH_ROUNDS; round++) {
		uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
		for (unsigned i = 0; i < 20 && !stress_failed(); i++) {
			if (what == bundle)
				watch_bundle(w, bundle);
			else
				watch_shuttle(w, &stress->shuttles[shuttle], shuttle);
		}
		/* Whoever makes the changes has no processor, or has ended. */
		if (atomic_load_explicit(count, memory_order_relaxed) == before)
			break;
	}
	return true;
}

void watched_step(struct worker *w)
{
	uint32_t dice = below(w, 10);

	if (dice < 3)
		use_shuttle(w);
	else if (dice < 6)
		use_bundle(w);
	else
		list_bundle(w);
}

void watched_set_up(struct worker *w)
{
	char path[PATH_SIZE];

	atomic_store_explicit(&w->stress->bundle.imports, 0, memory_order_relaxed);
	import_bundle(w, &w->stress->bundle, 0);
	for (unsigned i = 0; i < SHUTTLES; i++) {
		struct shuttle *shuttle = &w->stress->shuttles[i];
		atomic_store_explicit(&shuttle->moves, 0, memory_order_relaxed);
		shuttle->marked = false;
		shuttle_path(i, 0, "", path);
		forest_make_directory(w, path);
	}
}

void watched_check(struct worker *w)
{
	list_bundle(w);
	for (unsigned i = 0; i < SHUTTLES; i++) {
		const struct shuttle *shuttle = &w->stress->shuttles[i];
		uint64_t moves = atomic_load_explicit(&shuttle->moves, memory_order_relaxed);
		char here[PATH_SIZE];
		char there[PATH_SIZE];
		shuttle_path(i, moves, "/f0", here);
		shuttle_path(i, moves + 1, "", there);
		if (!call_is_file(w, here) || call_exists(w, there))
			stress_fail("a shuttle is not at %s, or is at %s", here, there);
	}
}
