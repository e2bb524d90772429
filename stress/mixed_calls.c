/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: the library's calls, each with its clock, its count, and the errors that are
 * expected of it.
 */
#include "mixed.h"

#include <limits.h>

static const char *const kind_names[CALL_KIND_COUNT] = {
#define CALL_KIND_NAME(name) #name,
	CALL_KINDS(CALL_KIND_NAME)
#undef CALL_KIND_NAME
};

const char *call_name(int kind)
{
	return kind < 0 ? "nothing" : kind_names[kind];
}

static unsigned error_bit(int64_t code)
{
	switch (code) {
#define ERROR_BIT_CASE(name, value, message)                                                       \
	case name:                                                                                     \
		return ERROR_BIT_##name;
		MFS_ERROR_MAP(ERROR_BIT_CASE)
#undef ERROR_BIT_CASE
	default:
		return ERROR_COUNT;
	}
}

/* Before a call. Evaluated before the call by the macro below. */
static void begin(struct worker *w, enum call_kind kind, const char *where)
{
	if (where != w->where)
		snprintf(w->where, sizeof(w->where), "%s", where);
	atomic_store_explicit(&w->doing, (int)kind, memory_order_relaxed);
	w->started = stress_now();
}

/* After a call. Returns its result. */
static int64_t end(struct worker *w, enum call_kind kind, int64_t result, unsigned allowed)
{
	uint64_t taken = stress_now() - w->started;
	struct tally *tally = &w->tallies[kind];

	atomic_store_explicit(&w->doing, -1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->progress, 1, memory_order_relaxed);
	tally->calls++;
	if (taken > tally->max_ns)
		tally->max_ns = taken;
	if (result >= 0)
		return result;
	unsigned bit = error_bit(result);
	if (bit < ERROR_COUNT)
		tally->errors[bit]++;
	if (bit == ERROR_COUNT || !(allowed & (1u << bit))) {
		stress_fail("thread %u: %s of %s: unexpected %s (%s)", w->index, call_name((int)kind),
					w->where, mfs_error_name((int)result), mfs_last_error());
	} else if (result != MFS_EBADF && mfs_last_error()[0] == '\0') {
		stress_fail("thread %u: %s of %s: no last error", w->index, call_name((int)kind), w->where);
	}
	return result;
}

/* A comma first, so that the clock starts before the call's arguments are used. */
#define CALL(w, kind, where, allowed, expression)                                                  \
	(begin((w), CALL_##kind, (where)), end((w), CALL_##kind, (int64_t)(expression), (allowed)))

int call_open(struct worker *w, const char *path, const char *mode, int64_t timeout, unsigned flags,
			  int64_t preallocate, unsigned allowed, mfs_file **out)
{
	mfs_open_options options = {
		.struct_size = sizeof(options),
		.preallocate = preallocate,
		.lock_timeout = timeout,
		.flags = flags,
	};
	*out = NULL;
	int rc = (int)CALL(w, open, path, allowed, mfs_open_ex(w->fs, path, mode, &options, out));
	if (rc == 0 && !*out)
		stress_fail("thread %u: open of %s: no handle", w->index, path);
	/* Half a millisecond less, for the rounding of a clock. */
	if (rc == MFS_ETIMEDOUT && timeout > 0 &&
		stress_now() - w->started + NS_PER_MS / 2 < (uint64_t)timeout * NS_PER_MS)
		stress_fail("thread %u: open of %s: timed out too early", w->index, path);
	return rc;
}

void call_close(struct worker *w, mfs_file *file)
{
	CALL(w, close, w->where, 0, mfs_close(file));
	w->stale = file;
}

int64_t call_read(struct worker *w, mfs_file *file, void *buffer, size_t size)
{
	return CALL(w, read, w->where, 0, mfs_read(file, buffer, size));
}

int64_t call_pread(struct worker *w, mfs_file *file, void *buffer, size_t size, int64_t offset,
				   unsigned allowed)
{
	return CALL(w, pread, w->where, allowed, mfs_pread(file, buffer, size, offset));
}

int64_t call_readv(struct worker *w, mfs_file *file, const struct iovec *vector, int count)
{
	return CALL(w, readv, w->where, 0, mfs_readv(file, vector, count));
}

/* All or nothing: any other count is as bad as an unexpected error. */
static int64_t check_count(struct worker *w, int64_t result, size_t size)
{
	if (result >= 0 && result != (int64_t)size) {
		stress_fail("thread %u: write to %s: %lld of %zu bytes", w->index, w->where,
					(long long)result, size);
	}
	return result;
}

int64_t call_write(struct worker *w, mfs_file *file, const void *buffer, size_t size,
				   unsigned allowed)
{
	return check_count(w, CALL(w, write, w->where, allowed, mfs_write(file, buffer, size)), size);
}

int64_t call_pwrite(struct worker *w, mfs_file *file, const void *buffer, size_t size,
					int64_t offset, unsigned allowed)
{
	return check_count(
		w, CALL(w, pwrite, w->where, allowed, mfs_pwrite(file, buffer, size, offset)), size);
}

int64_t call_writev(struct worker *w, mfs_file *file, const struct iovec *vector, int count,
					unsigned allowed)
{
	size_t size = 0;

	for (int i = 0; i < count; i++)
		size += vector[i].iov_len;
	return check_count(w, CALL(w, writev, w->where, allowed, mfs_writev(file, vector, count)),
					   size);
}

int64_t call_seek(struct worker *w, mfs_file *file, int64_t offset, int whence)
{
	return CALL(w, seek, w->where, 0, mfs_seek(file, offset, whence));
}

int call_truncate(struct worker *w, mfs_file *file, int64_t size, unsigned allowed)
{
	return (int)CALL(w, truncate, w->where, allowed, mfs_truncate(file, size));
}

int call_mkdir(struct worker *w, const char *path, unsigned flags, unsigned allowed)
{
	return (int)CALL(w, mkdir, path, allowed, mfs_mkdir(w->fs, path, flags));
}

int call_remove(struct worker *w, const char *path, unsigned allowed)
{
	return (int)CALL(w, remove, path, allowed, mfs_remove(w->fs, path));
}

int call_rename(struct worker *w, const char *from, const char *to, unsigned flags,
				unsigned allowed)
{
	if (flags & MFS_RENAME_EXCHANGE)
		return (int)CALL(w, exchange, from, allowed, mfs_rename(w->fs, from, to, flags));
	return (int)CALL(w, rename, from, allowed, mfs_rename(w->fs, from, to, flags));
}

/* A list of `count` strings that ascend, and NULL. Returns the count, or what can be trusted. */
static int64_t check_names(struct worker *w, const char *what, char *const *names, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		if (!names[i]) {
			stress_fail("thread %u: %s of %s: %lld names instead of %lld", w->index, what, w->where,
						(long long)i, (long long)count);
			return i;
		}
		if (i > 0 && strcmp(names[i - 1], names[i]) >= 0) {
			stress_fail("thread %u: %s of %s: %s before %s", w->index, what, w->where, names[i - 1],
						names[i]);
		}
	}
	if (count >= 0 && names[count])
		stress_fail("thread %u: %s of %s: no NULL at the end", w->index, what, w->where);
	return count;
}

int64_t call_listdir(struct worker *w, const char *path, unsigned allowed, char ***names)
{
	*names = NULL;
	int64_t count = CALL(w, listdir, path, allowed, mfs_listdir(w->fs, path, names));

	return check_names(w, "listing", *names, count);
}

int call_stat(struct worker *w, const char *path, unsigned allowed, mfs_info *out)
{
	int rc = (int)CALL(w, stat, path, allowed, mfs_stat(w->fs, path, out));

	if (rc == 0 && (out->size < 0 || out->modified_at < out->created_at || out->created_at <= 0 ||
					(out->is_dir && (out->size != 0 || out->generation != 0)))) {
		stress_fail("thread %u: stat of %s: size %lld, made %lld, changed %lld, generation %llu",
					w->index, path, (long long)out->size, (long long)out->created_at,
					(long long)out->modified_at, (unsigned long long)out->generation);
	}
	return rc;
}

bool call_exists(struct worker *w, const char *path)
{
	return CALL(w, exists, path, 0, mfs_exists(w->fs, path)) != 0;
}

bool call_is_dir(struct worker *w, const char *path)
{
	return CALL(w, exists, path, 0, mfs_is_dir(w->fs, path)) != 0;
}

bool call_is_file(struct worker *w, const char *path)
{
	return CALL(w, exists, path, 0, mfs_is_file(w->fs, path)) != 0;
}

void call_stats(struct worker *w)
{
	mfs_usage usage;

	CALL(w, stats, "the workspace", 0, mfs_stats(w->fs, &usage));
	if (usage.quota_bytes != w->stress->quota || usage.max_nodes != w->stress->nodes ||
		usage.used_bytes > usage.quota_bytes || usage.peak_bytes > usage.quota_bytes ||
		usage.free_bytes > usage.quota_bytes) {
		stress_fail("thread %u: used %llu, peak %llu, free %llu of %llu bytes", w->index,
					(unsigned long long)usage.used_bytes, (unsigned long long)usage.peak_bytes,
					(unsigned long long)usage.free_bytes, (unsigned long long)usage.quota_bytes);
	}
}

int call_move(struct worker *w, const char *from, const char *to, unsigned flags, unsigned allowed)
{
	return (int)CALL(w, move, from, allowed, mfs_move(w->fs, from, to, flags));
}

int call_rmtree(struct worker *w, const char *path, unsigned allowed)
{
	return (int)CALL(w, rmtree, path, allowed, mfs_rmtree(w->fs, path));
}

int call_copy(struct worker *w, const char *from, const char *to, unsigned allowed)
{
	return (int)CALL(w, copy, from, allowed, mfs_copy(w->fs, from, to));
}

int call_copy_tree(struct worker *w, const char *from, const char *to, unsigned allowed)
{
	return (int)CALL(w, copy_tree, from, allowed, mfs_copy_tree(w->fs, from, to));
}

int call_import(struct worker *w, const mfs_import_item *items, size_t count, unsigned allowed)
{
	return (int)CALL(w, import, items[0].path, allowed, mfs_import_tree(w->fs, items, count));
}

int64_t call_buffer(struct worker *w, const char *path, uint64_t max_size, unsigned allowed,
					void **buffer)
{
	*buffer = NULL;
	int64_t size = CALL(w, buffer, path, allowed, mfs_export_buffer(w->fs, path, max_size, buffer));

	if (size >= 0 && !*buffer) {
		stress_fail("thread %u: export of %s: no buffer", w->index, path);
		return 0;
	}
	return size;
}

int call_export_open(struct worker *w, const char *path, unsigned flags, unsigned allowed,
					 mfs_export **out)
{
	*out = NULL;
	return (int)CALL(w, export, path, allowed, mfs_export_open(w->fs, path, flags, out));
}

int call_export_next(struct worker *w, mfs_export *iterator, unsigned allowed,
					 mfs_export_item *item)
{
	return (int)CALL(w, export, w->where, allowed, mfs_export_next(iterator, item));
}

int call_walk_open(struct worker *w, const char *path, unsigned allowed, mfs_walk **out)
{
	*out = NULL;
	return (int)CALL(w, walk, path, allowed, mfs_walk_open(w->fs, path, out));
}

static void check_order(struct worker *w, const mfs_walk_level *level, const char *const *names,
						size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (strcmp(names[i - 1], names[i]) >= 0) {
			stress_fail("thread %u: walk at %s: %s before %s", w->index, level->path, names[i - 1],
						names[i]);
		}
	}
}

int call_walk_next(struct worker *w, mfs_walk *walk, mfs_walk_level *level)
{
	int rc = (int)CALL(w, walk, w->where, 0, mfs_walk_next(walk, level));

	if (rc == 1) {
		check_order(w, level, level->directories, level->directory_count);
		check_order(w, level, level->files, level->file_count);
	}
	return rc;
}

int64_t call_glob(struct worker *w, const char *pattern, char ***paths)
{
	*paths = NULL;
	int64_t count = CALL(w, glob, pattern, 0, mfs_glob(w->fs, pattern, paths));

	return check_names(w, "glob", *paths, count);
}

int call_opendir(struct worker *w, const char *path, unsigned allowed, mfs_dir **out)
{
	*out = NULL;
	return (int)CALL(w, opendir, path, allowed, mfs_opendir(w->fs, path, out));
}

void must_be(struct worker *w, const char *what, int64_t result, int64_t want)
{
	if (result != want) {
		stress_fail("thread %u: %s of %s: %s (%lld) instead of %s (%lld): %s", w->index, what,
					w->where, mfs_error_name((int)result), (long long)result,
					mfs_error_name((int)want), (long long)want, mfs_last_error());
	}
}

void must_fail(struct worker *w, const char *what, int64_t result)
{
	if (result >= 0)
		stress_fail("thread %u: %s of %s: success", w->index, what, w->where);
}

/*
 * Pieces
 */

/* Cut `size` bytes into up to four buffers. Returns how many. */
static int cut(struct worker *w, unsigned char *data, size_t size, struct iovec vector[4])
{
	int count = 0;

	while (size > 0 && count < 4) {
		size_t length = count == 3 ? size : 1 + below(w, (uint32_t)size);
		vector[count++] = (struct iovec){data, length};
		data += length;
		size -= length;
	}
	return count;
}

int write_pieces(struct worker *w, mfs_file *file, const unsigned char *data, size_t size)
{
	struct iovec vector[4];

	while (size > 0) {
		size_t length = chance(w, 50) ? size : 1 + below(w, (uint32_t)size);
		int64_t rc;
		if (chance(w, 30)) {
			int count = cut(w, (unsigned char *)(uintptr_t)data, length, vector);
			rc = call_writev(w, file, vector, count, ALLOW(MFS_EQUOTA));
		} else {
			rc = call_write(w, file, data, length, ALLOW(MFS_EQUOTA));
		}
		if (rc < 0)
			return (int)rc;
		data += length;
		size -= length;
	}
	return 0;
}

void read_pieces(struct worker *w, mfs_file *file, unsigned char *data, size_t size)
{
	struct iovec vector[4];

	while (size > 0) {
		size_t length = chance(w, 50) ? size : 1 + below(w, (uint32_t)size);
		int64_t rc;
		if (chance(w, 30))
			rc = call_readv(w, file, vector, cut(w, data, length, vector));
		else
			rc = call_read(w, file, data, length);
		if (rc != (int64_t)length) {
			stress_fail("thread %u: read of %s: %lld of %zu bytes", w->index, w->where,
						(long long)rc, length);
			return;
		}
		data += length;
		size -= length;
	}
}

/*
 * Handles that change hands
 */

void close_or_give(struct worker *w, mfs_file *file, _Atomic unsigned *lent)
{
	if (chance(w, 5)) {
		struct worker *other = &w->stress->workers[below(w, w->stress->threads)];
		bool given = false;

		pthread_mutex_lock(&other->mailbox_lock);
		if (other->gifts < MAILBOX_SIZE) {
			if (lent)
				atomic_fetch_add_explicit(lent, 1, memory_order_relaxed);
			other->mailbox[other->gifts++] = (struct gift){file, lent};
			given = true;
		}
		pthread_mutex_unlock(&other->mailbox_lock);
		if (given)
			return;
	}
	call_close(w, file);
}

void empty_mailbox(struct worker *w, struct worker *owner)
{
	for (;;) {
		struct gift gift = {0};

		pthread_mutex_lock(&owner->mailbox_lock);
		if (owner->gifts > 0)
			gift = owner->mailbox[--owner->gifts];
		pthread_mutex_unlock(&owner->mailbox_lock);
		if (!gift.file)
			return;
		snprintf(w->where, sizeof(w->where), "a handle of another thread");
		if (mfs_tell(gift.file) < 0)
			stress_fail("thread %u: a handle that was given is not open", w->index);
		call_close(w, gift.file);
		/* release: whoever sees it counted out finds the file's lock free */
		if (gift.lent)
			atomic_fetch_sub_explicit(gift.lent, 1, memory_order_release);
	}
}

void try_stale_handle(struct worker *w)
{
	char byte;

	if (!w->stale)
		return;
	snprintf(w->where, sizeof(w->where), "a handle that is closed");
	if (CALL(w, read, w->where, ALLOW(MFS_EBADF), mfs_read(w->stale, &byte, 1)) != MFS_EBADF ||
		CALL(w, pwrite, w->where, ALLOW(MFS_EBADF), mfs_pwrite(w->stale, "", 1, 0)) != MFS_EBADF ||
		CALL(w, close, w->where, ALLOW(MFS_EBADF), mfs_close(w->stale)) != MFS_EBADF)
		stress_fail("thread %u: a closed handle is accepted", w->index);
}
