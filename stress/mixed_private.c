/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: a directory of a thread's own. Nobody else changes it, so every result is known
 * beforehand, up to the limits of the workspace and to handles that were given away: the model says
 * what exists and holds a copy of all data.
 */
#include "mixed.h"

/*
 * Names
 */

/* The directory of a slot: 0 is the thread's own one, others are d0 to d2 in it. */
static unsigned slot_dir(unsigned slot)
{
	return slot / PRIVATE_FILES;
}

static bool dir_exists(const struct worker *w, unsigned dir)
{
	return dir == 0 || w->dirs[dir - 1];
}

static void dir_path(struct worker *w, unsigned dir, const char *behind, char path[PATH_SIZE])
{
	if (dir == 0)
		snprintf(path, PATH_SIZE, "/p%u%s", w->index, behind);
	else
		snprintf(path, PATH_SIZE, "/p%u/d%u%s", w->index, dir - 1, behind);
}

/* The path of a slot, spelled in one of several ways. */
static void slot_path(struct worker *w, unsigned slot, char path[PATH_SIZE])
{
	unsigned dir = slot_dir(slot);
	unsigned file = slot % PRIVATE_FILES;
	char name[16];

	snprintf(name, sizeof(name), "/f%u", file);
	if (chance(w, 80))
		dir_path(w, dir, name, path);
	else if (dir == 0)
		snprintf(path, PATH_SIZE, "p%u//./f%u", w->index, file);
	else if (chance(w, 50))
		snprintf(path, PATH_SIZE, "\\p%u\\d%u\\f%u", w->index, dir - 1, file);
	else
		snprintf(path, PATH_SIZE, "//p%u/none/../d%u/./f%u", w->index, dir - 1, file);
}

/*
 * The model
 */

static bool is_lent(struct slot *slot)
{
	/* pairs with empty_mailbox() */
	return atomic_load_explicit(&slot->lent, memory_order_acquire) != 0;
}

static void note_change(struct slot *slot, enum change change)
{
	if (change > slot->change)
		slot->change = change;
}

static void model_new(struct slot *slot)
{
	slot->exists = true;
	slot->generation = 0;
	slot->change = MAYBE_CHANGED;
	slot->size = 0;
	memset(slot->data, 0, PRIVATE_MAX);
}

static void model_resize(struct slot *slot, int64_t size)
{
	if (size < slot->size)
		memset(slot->data + size, 0, (size_t)(slot->size - size));
	note_change(slot, size == slot->size ? MAYBE_CHANGED : CHANGED);
	slot->size = size;
}

static void model_write(struct slot *slot, const unsigned char *data, size_t size, int64_t offset)
{
	/* Writing nothing beyond the end fills no gap. */
	if (size == 0)
		return;
	memcpy(slot->data + offset, data, size);
	if (offset + (int64_t)size > slot->size)
		slot->size = offset + (int64_t)size;
	note_change(slot, CHANGED);
}

static void check_generation(struct worker *w, struct slot *slot, const mfs_info *info)
{
	if (info->generation < slot->generation ||
		(slot->change == UNCHANGED && info->generation != slot->generation) ||
		(slot->change == CHANGED && info->generation == slot->generation)) {
		stress_fail("thread %u: %s: generation %llu, before %llu", w->index, w->where,
					(unsigned long long)info->generation, (unsigned long long)slot->generation);
	}
	slot->generation = info->generation;
	slot->change = UNCHANGED;
}

static void check_stat(struct worker *w, struct slot *slot, const char *path)
{
	mfs_info info;

	if (call_stat(w, path, 0, &info) < 0)
		return;
	if (info.is_dir || info.size != slot->size) {
		stress_fail("thread %u: stat of %s: size %lld instead of %lld", w->index, path,
					(long long)info.size, (long long)slot->size);
	}
	check_generation(w, slot, &info);
}

static void check_data(struct worker *w, struct slot *slot, const unsigned char *data,
					   int64_t offset, int64_t size)
{
	for (int64_t i = 0; i < size; i++) {
		if (data[i] != slot->data[offset + i]) {
			stress_fail("thread %u: %s: byte %lld of %lld is %u instead of %u", w->index, w->where,
						(long long)(offset + i), (long long)slot->size, data[i],
						slot->data[offset + i]);
			return;
		}
	}
}

static void fill_randomly(struct worker *w, unsigned char *data, size_t size)
{
	uint64_t stamp = next_stamp(w);

	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = record_word(stamp, i);
		memcpy(data + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
	}
}

/* Small sizes mostly; some that need several chunks. */
static size_t random_size(struct worker *w, size_t limit)
{
	size_t most = chance(w, 70) ? 2 * KIB : PRIVATE_MAX;

	return below(w, (uint32_t)(most < limit ? most : limit) + 1);
}

static int64_t random_timeout(struct worker *w)
{
	static const int64_t timeouts[] = {MFS_NO_WAIT, 1, 5, 20};

	return timeouts[below(w, COUNT_OF(timeouts))];
}

/*
 * Operations on files
 */

/*
 * Open a slot's file for writing. Returns the handle, or NULL after an error that is right. `mode`
 * may make the file.
 */
static mfs_file *open_to_write(struct worker *w, unsigned number, const char *path,
							   const char *mode, unsigned flags, int64_t preallocate)
{
	struct slot *slot = &w->slots[number];
	bool creates = mode[0] != 'r';
	int64_t timeout = random_timeout(w);
	unsigned allowed = preallocate > 0 ? ALLOW(MFS_EQUOTA) : 0;
	mfs_file *file;

	if (is_lent(slot))
		allowed |= lock_errors(timeout);
	if (creates && !slot->exists)
		allowed |= ALLOW(MFS_ENODES);
	int must = 0;
	if (!dir_exists(w, slot_dir(number)) || (!creates && !slot->exists))
		must = MFS_ENOENT;
	else if (mode[0] == 'x' && slot->exists)
		must = MFS_EEXIST;
	if (must != 0) {
		int rc = call_open(w, path, mode, timeout, flags, preallocate,
						   ALLOW(MFS_ENOENT) | ALLOW(MFS_EEXIST), &file);
		must_be(w, "open", rc, must);
		return NULL;
	}
	if (call_open(w, path, mode, timeout, flags, preallocate, allowed, &file) < 0)
		return NULL;
	if (!slot->exists)
		model_new(slot);
	else if (mode[0] == 'w')
		model_resize(slot, 0);
	if (preallocate > slot->size)
		model_resize(slot, preallocate);
	return file;
}

static void write_whole(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];
	size_t size = random_size(w, PRIVATE_MAX);
	int64_t preallocate = chance(w, 20) ? (int64_t)below(w, (uint32_t)size + 1) : 0;

	slot_path(w, number, path);
	mfs_file *file = open_to_write(w, number, path, chance(w, 30) ? "xb" : "wb", 0, preallocate);
	if (!file)
		return;
	fill_randomly(w, w->buffer, size);
	int rc = write_pieces(w, file, w->buffer, size);
	int64_t done = call_seek(w, file, 0, SEEK_CUR);
	if (done < 0 || done > (int64_t)size || (rc == 0 && done != (int64_t)size)) {
		stress_fail("thread %u: %s: cursor at %lld after writing %zu bytes", w->index, path,
					(long long)done, size);
	} else {
		model_write(slot, w->buffer, (size_t)done, 0);
	}
	close_or_give(w, file, &slot->lent);
	check_stat(w, slot, path);
}

static void append(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];

	slot_path(w, number, path);
	mfs_file *file = open_to_write(w, number, path, "ab", 0, 0);
	if (!file)
		return;
	for (unsigned i = 1 + below(w, 4); i > 0; i--) {
		size_t size = random_size(w, 3000);
		if (slot->size + (int64_t)size > (int64_t)PRIVATE_MAX) {
			if (call_truncate(w, file, 0, 0) == 0)
				model_resize(slot, 0);
		}
		fill_randomly(w, w->buffer, size);
		int64_t rc;
		/* Both go to the end, whatever the offset. */
		if (chance(w, 50))
			rc = call_write(w, file, w->buffer, size, ALLOW(MFS_EQUOTA));
		else
			rc = call_pwrite(w, file, w->buffer, size, below(w, 100), ALLOW(MFS_EQUOTA));
		if (rc >= 0)
			model_write(slot, w->buffer, size, slot->size);
	}
	close_or_give(w, file, &slot->lent);
	check_stat(w, slot, path);
}

/* One change or look at a place of an open file. */
static void update_place(struct worker *w, struct slot *slot, mfs_file *file, bool has_cursor)
{
	uint32_t dice = below(w, 100);
	int64_t offset = below(w, PRIVATE_MAX);
	size_t size = random_size(w, (size_t)((int64_t)PRIVATE_MAX - offset));
	unsigned growing = offset + (int64_t)size > slot->size ? ALLOW(MFS_EQUOTA) : 0;

	if (dice < 20) {
		growing = offset > slot->size ? ALLOW(MFS_EQUOTA) : 0;
		if (call_truncate(w, file, offset, growing) == 0)
			model_resize(slot, offset);
		return;
	}
	if (dice < 50) {
		int64_t rest = slot->size > offset ? slot->size - offset : 0;
		int64_t want = rest < (int64_t)size ? rest : (int64_t)size;
		int64_t got = call_pread(w, file, w->other, size, offset, 0);
		if (got != want) {
			stress_fail("thread %u: pread of %s: %lld bytes instead of %lld", w->index, w->where,
						(long long)got, (long long)want);
		} else {
			check_data(w, slot, w->other, offset, got);
		}
		return;
	}
	fill_randomly(w, w->buffer, size);
	if (dice < 75 || !has_cursor) {
		if (call_pwrite(w, file, w->buffer, size, offset, growing) >= 0)
			model_write(slot, w->buffer, size, offset);
		return;
	}
	must_be(w, "seek", call_seek(w, file, offset, SEEK_SET), offset);
	if (call_write(w, file, w->buffer, size, growing) >= 0)
		model_write(slot, w->buffer, size, offset);
}

static void update(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];

	slot_path(w, number, path);
	mfs_file *file = open_to_write(w, number, path, "r+b", 0, 0);
	if (!file)
		return;
	for (unsigned i = 1 + below(w, 5); i > 0; i--)
		update_place(w, slot, file, true);
	close_or_give(w, file, &slot->lent);
	check_stat(w, slot, path);
}

/* Two handles of one file that lock for each call, the file removed under them. */
static void update_unlinked(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];
	mfs_info info;

	if (is_lent(slot))
		return;
	slot_path(w, number, path);
	mfs_file *file = open_to_write(w, number, path, "r+b", MFS_O_SHARED, 0);
	if (!file)
		return;
	mfs_file *second = open_to_write(w, number, path, "r+b", MFS_O_SHARED, 0);
	if (!second)
		stress_fail("thread %u: second open of %s", w->index, path);
	update_place(w, slot, file, true);
	must_be(w, "remove", call_remove(w, path, 0), 0);
	must_be(w, "stat", call_stat(w, path, ALLOW(MFS_ENOENT), &info), MFS_ENOENT);
	slot->exists = false;
	for (unsigned i = 0; second && i < 4; i++)
		update_place(w, slot, chance(w, 50) ? file : second, false);
	call_close(w, file);
	if (second)
		call_close(w, second);
}

/* While a handle holds the file's lock, what needs it is refused at once. */
static void try_locked(struct worker *w, const char *path, bool exclusive)
{
	mfs_file *file;

	must_be(w, "remove", call_remove(w, path, ALLOW(MFS_EBUSY)), MFS_EBUSY);
	must_be(w, "rename", call_rename(w, path, "/r/none", 0, ALLOW(MFS_EBUSY)), MFS_EBUSY);
	must_be(w, "open",
			call_open(w, path, chance(w, 50) ? "wb" : "r+b", MFS_NO_WAIT, 0, 0, ALLOW(MFS_EBUSY),
					  &file),
			MFS_EBUSY);
	if (exclusive) {
		must_be(w, "open", call_open(w, path, "rb", 1, 0, 0, ALLOW(MFS_ETIMEDOUT), &file),
				MFS_ETIMEDOUT);
		return;
	}
	/* Nobody waits for ever here: other handles of the file are for reading too. */
	if (call_open(w, path, "rb", MFS_WAIT_FOREVER, 0, 0, 0, &file) == 0)
		call_close(w, file);
}

static void read_whole(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];
	mfs_file *file;
	int64_t timeout = random_timeout(w);
	unsigned allowed = is_lent(slot) ? lock_errors(timeout) : 0;

	slot_path(w, number, path);
	if (!slot->exists) {
		must_be(w, "open", call_open(w, path, "rb", timeout, 0, 0, ALLOW(MFS_ENOENT), &file),
				MFS_ENOENT);
		return;
	}
	if (call_open(w, path, "rb", timeout, 0, 0, allowed, &file) < 0)
		return;
	must_be(w, "seek", call_seek(w, file, 0, SEEK_END), slot->size);
	must_be(w, "seek", call_seek(w, file, 0, SEEK_SET), 0);
	read_pieces(w, file, w->other, (size_t)slot->size);
	must_be(w, "read at the end", call_read(w, file, w->other + slot->size, 1), 0);
	check_data(w, slot, w->other, 0, slot->size);
	check_stat(w, slot, path);
	if (chance(w, 10))
		try_locked(w, path, false);
	close_or_give(w, file, &slot->lent);
}

static void hold_exclusively(struct worker *w, unsigned number)
{
	char path[PATH_SIZE];

	slot_path(w, number, path);
	mfs_file *file = open_to_write(w, number, path, "r+b", 0, 0);
	if (!file)
		return;
	try_locked(w, path, true);
	call_close(w, file);
	check_stat(w, &w->slots[number], path);
}

static void rename_file(struct worker *w, unsigned from, unsigned to)
{
	struct slot *source = &w->slots[from];
	struct slot *target = &w->slots[to];
	unsigned flags = chance(w, 60) ? MFS_RENAME_REPLACE : 0;
	unsigned allowed = 0;
	char from_path[PATH_SIZE];
	char to_path[PATH_SIZE];

	slot_path(w, from, from_path);
	slot_path(w, to, to_path);
	if (!source->exists || !dir_exists(w, slot_dir(to))) {
		/* Two reasons at once: either will do. */
		allowed = ALLOW(MFS_ENOENT);
		if (target->exists && flags == 0)
			allowed |= ALLOW(MFS_EEXIST);
		if ((source->exists && is_lent(source)) || (target->exists && is_lent(target)))
			allowed |= ALLOW(MFS_EBUSY);
		if (call_rename(w, from_path, to_path, flags, allowed) == 0)
			stress_fail("thread %u: rename of %s to %s: success", w->index, from_path, to_path);
		return;
	}
	if (from == to) {
		int rc = call_rename(w, from_path, to_path, flags, ALLOW(MFS_EEXIST) | ALLOW(MFS_EBUSY));
		if (rc != MFS_EBUSY || !is_lent(source))
			must_be(w, "rename to itself", rc, flags ? 0 : MFS_EEXIST);
		return;
	}
	if (is_lent(source) || (target->exists && is_lent(target)))
		allowed |= ALLOW(MFS_EBUSY);
	if (target->exists && flags == 0)
		allowed |= ALLOW(MFS_EEXIST);
	int rc = call_rename(w, from_path, to_path, flags, allowed);
	if (rc == 0 && target->exists && flags == 0)
		stress_fail("thread %u: rename of %s over %s without the flag", w->index, from_path,
					to_path);
	if (rc != 0)
		return;
	unsigned char *data = target->data;
	target->exists = true;
	target->change = source->change;
	target->size = source->size;
	target->generation = source->generation;
	target->data = source->data;
	source->exists = false;
	source->data = data;
	check_stat(w, target, to_path);
}

static void remove_file(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];

	slot_path(w, number, path);
	if (!slot->exists) {
		must_be(w, "remove", call_remove(w, path, ALLOW(MFS_ENOENT)), MFS_ENOENT);
		return;
	}
	if (call_remove(w, path, is_lent(slot) ? ALLOW(MFS_EBUSY) : 0) == 0)
		slot->exists = false;
}

static void look_at_file(struct worker *w, unsigned number)
{
	struct slot *slot = &w->slots[number];
	char path[PATH_SIZE];
	mfs_info info;

	slot_path(w, number, path);
	if (slot->exists)
		check_stat(w, slot, path);
	else
		must_be(w, "stat", call_stat(w, path, ALLOW(MFS_ENOENT), &info), MFS_ENOENT);
	if (call_exists(w, path) != slot->exists || call_is_file(w, path) != slot->exists ||
		call_is_dir(w, path))
		stress_fail("thread %u: %s: exists, is_file or is_dir is wrong", w->index, path);
	int64_t size = mfs_get_size(w->fs, path);
	must_be(w, "size", size, slot->exists ? slot->size : MFS_ENOENT);
}

/*
 * Operations on directories
 */

static bool dir_is_empty(const struct worker *w, unsigned dir)
{
	for (unsigned i = 0; i < PRIVATE_FILES; i++) {
		if (w->slots[dir * PRIVATE_FILES + i].exists)
			return false;
	}
	return dir > 0 && !w->subs[dir - 1];
}

static void make_dir(struct worker *w, unsigned dir, bool sub)
{
	unsigned flags = chance(w, 30) ? MFS_EXIST_OK : 0;
	bool exists = w->dirs[dir - 1] && (!sub || w->subs[dir - 1]);
	char path[PATH_SIZE];

	dir_path(w, dir, sub ? "/e" : "", path);
	if (exists) {
		must_be(w, "mkdir", call_mkdir(w, path, flags, ALLOW(MFS_EEXIST)), flags ? 0 : MFS_EEXIST);
		return;
	}
	/* Both directories or none. */
	if (call_mkdir(w, path, flags, ALLOW(MFS_ENODES)) == 0) {
		w->dirs[dir - 1] = true;
		w->subs[dir - 1] = w->subs[dir - 1] || sub;
	}
	if (call_is_dir(w, path) != (w->dirs[dir - 1] && (!sub || w->subs[dir - 1])))
		stress_fail("thread %u: %s: is_dir is wrong", w->index, path);
}

static void remove_dir(struct worker *w, unsigned dir, bool sub)
{
	char path[PATH_SIZE];
	int want = 0;

	dir_path(w, dir, sub ? "/e" : "", path);
	if (!w->dirs[dir - 1] || (sub && !w->subs[dir - 1]))
		want = MFS_ENOENT;
	else if (!sub && !dir_is_empty(w, dir))
		want = MFS_ENOTEMPTY;
	int rc = call_remove(w, path, ALLOW(MFS_ENOENT) | ALLOW(MFS_ENOTEMPTY));
	must_be(w, "remove", rc, want);
	if (rc == 0 && sub)
		w->subs[dir - 1] = false;
	else if (rc == 0)
		w->dirs[dir - 1] = false;
}

static void list_dir(struct worker *w, unsigned dir)
{
	char path[PATH_SIZE];
	char want[PRIVATE_DIRS + PRIVATE_FILES][8];
	int64_t count = 0;
	char **names;

	dir_path(w, dir, "", path);
	if (!dir_exists(w, dir)) {
		must_be(w, "listing", call_listdir(w, path, ALLOW(MFS_ENOENT), &names), MFS_ENOENT);
		return;
	}
	for (unsigned i = 0; dir == 0 && i < PRIVATE_DIRS; i++) {
		if (w->dirs[i])
			snprintf(want[count++], sizeof(want[0]), "d%u", i);
	}
	if (dir > 0 && w->subs[dir - 1])
		snprintf(want[count++], sizeof(want[0]), "e");
	for (unsigned i = 0; i < PRIVATE_FILES; i++) {
		if (w->slots[dir * PRIVATE_FILES + i].exists)
			snprintf(want[count++], sizeof(want[0]), "f%u", i);
	}
	int64_t got = call_listdir(w, path, 0, &names);
	must_be(w, "listing", got, count);
	for (int64_t i = 0; i < got && i < count; i++) {
		if (strcmp(names[i], want[i]) != 0)
			stress_fail("thread %u: listing of %s: %s instead of %s", w->index, path, names[i],
						want[i]);
	}
	mfs_names_free(names);
}

/*
 * Steps and checks
 */

void private_step(struct worker *w)
{
	uint32_t dice = below(w, 100);
	unsigned slot = below(w, PRIVATE_SLOTS);
	unsigned dir = 1 + below(w, PRIVATE_DIRS);

	if (dice < 18)
		write_whole(w, slot);
	else if (dice < 28)
		append(w, slot);
	else if (dice < 40)
		update(w, slot);
	else if (dice < 45)
		update_unlinked(w, slot);
	else if (dice < 58)
		read_whole(w, slot);
	else if (dice < 60)
		hold_exclusively(w, slot);
	else if (dice < 70)
		rename_file(w, slot, below(w, PRIVATE_SLOTS));
	else if (dice < 79)
		remove_file(w, slot);
	else if (dice < 85)
		look_at_file(w, slot);
	else if (dice < 90)
		make_dir(w, dir, chance(w, 40));
	else if (dice < 95)
		remove_dir(w, dir, chance(w, 40));
	else
		list_dir(w, below(w, PRIVATE_DIRS + 1));
}

uint64_t private_check(struct worker *w)
{
	uint64_t bytes = 0;

	for (unsigned dir = 0; dir <= PRIVATE_DIRS; dir++)
		list_dir(w, dir);
	for (unsigned number = 0; number < PRIVATE_SLOTS; number++) {
		look_at_file(w, number);
		read_whole(w, number);
		if (w->slots[number].exists)
			bytes += (uint64_t)w->slots[number].size;
	}
	return bytes;
}

void private_reset(struct worker *w)
{
	for (unsigned number = 0; number < PRIVATE_SLOTS; number++)
		w->slots[number].exists = false;
	memset(w->dirs, 0, sizeof(w->dirs));
	memset(w->subs, 0, sizeof(w->subs));
}
