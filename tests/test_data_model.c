/* SPDX-License-Identifier: MIT */
/*
 * Do files behave like plain arrays, whatever calls that copy, share, adopt and hand out their
 * memory come one after another?
 *
 * Random calls on a few files and handles of two workspaces, and the same on arrays. Contents,
 * sizes and generations must agree, refusals must change nothing, and in the end no byte is
 * charged, no buffer is kept and no block is left. The calls are the same in each run.
 */
#include "support.h"

#include "base/alloc.h"
#include "file/chunk_share.h"
#include "fs/file_data.h"
#include "fs/filesystem.h"
#include "fs/handle_table.h"

enum { NAMES = 6, NAMES_OF_FIRST = 4, HANDLES = 7, STEPS = 50000 };

#define LARGEST (5 * MIB)
#define USUAL   (160 * KIB)

/* A file as it should be. It stays without a name while shared handles have it. */
struct object {
	mfs *fs;
	int name; /* or -1 */
	unsigned handles;
	size_t size;
	uint64_t generation;
	unsigned char bytes[LARGEST];
};

/* A handle that is open, if `object` is not NULL. */
struct opened {
	mfs_file *file;
	struct object *object;
	bool reads;
	bool writes;
	bool appends;
	bool shared;
	size_t cursor;
	/* What mfs_reserve() has handed out, if `reserved` is not NULL. */
	unsigned char *reserved;
	size_t reserved_at;
	size_t reserved_length;
};

struct model {
	struct rng rng;
	uint64_t seed;
	mfs *fs[2];
	struct object *names[NAMES];
	struct opened handles[HANDLES];
	bool quota;    /* refusals for want of quota are to be expected */
	bool failures; /* and of memory */
	long step;
	const char *doing;
	unsigned nameless; /* objects without a name */
	unsigned char *scratch;
	unsigned long done;
	unsigned long refused;
};

static void give_up(const struct model *m, const char *what, const char *file, int line)
{
	print_error("seed %llu, step %ld, %s: %s; last error: %s\n", (unsigned long long)m->seed,
				m->step, m->doing, what, mfs_last_error());
	_fail(file, line);
}

#define CHECK(condition)                                                                           \
	do {                                                                                           \
		if (!(condition))                                                                          \
			give_up(m, #condition, __FILE__, __LINE__);                                            \
	} while (0)

/*
 * Buffers that are handed over
 */

struct buffer {
	unsigned char *bytes;
	size_t length;
	uint64_t hash;
	/* Those that the library has. */
	struct buffer *next;
	struct buffer **link;
};

static struct buffer *kept_buffers;

static uint64_t hash_of(const unsigned char *bytes, size_t length)
{
	uint64_t hash = length;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}

static struct buffer *new_buffer(const unsigned char *bytes, size_t length)
{
	struct buffer *buffer = allocate(sizeof(*buffer));

	buffer->bytes = malloc(length);
	assert_non_null(buffer->bytes);
	memcpy(buffer->bytes, bytes, length);
	buffer->length = length;
	buffer->hash = hash_of(bytes, length);
	buffer->next = kept_buffers;
	buffer->link = &kept_buffers;
	if (buffer->next)
		buffer->next->link = &buffer->next;
	kept_buffers = buffer;
	return buffer;
}

/* What is read from it later is not what was written. */
static void free_buffer(struct buffer *buffer)
{
	*buffer->link = buffer->next;
	if (buffer->next)
		buffer->next->link = buffer->link;
	memset(buffer->bytes, 0xdd, buffer->length);
	free(buffer->bytes);
	free(buffer);
}

static void release_buffer(void *user, void *bytes, size_t length)
{
	struct buffer *buffer = user;

	assert_ptr_equal(bytes, buffer->bytes);
	assert_int_equal(length, buffer->length);
	assert_int_equal(hash_of(bytes, length), buffer->hash);
	free_buffer(buffer);
}

static void assert_buffers_unchanged(void)
{
	for (const struct buffer *buffer = kept_buffers; buffer; buffer = buffer->next)
		assert_int_equal(hash_of(buffer->bytes, buffer->length), buffer->hash);
}

/*
 * Random choices
 */

static bool chance(struct model *m, unsigned percent)
{
	return rng_below(&m->rng, 100) < percent;
}

/* Where chunks end, and next to it. */
static size_t border(struct model *m, size_t limit)
{
	size_t at = chance(m, 90) ? (4 * KIB) << rng_below(&m->rng, 10)
							  : (2 * MIB) * (1 + rng_below(&m->rng, 3));
	size_t shift = rng_below(&m->rng, 6);

	if (shift == 1)
		at += 1 + rng_below(&m->rng, 300);
	else if (shift == 2)
		at -= 1 + rng_below(&m->rng, 300);
	else if (shift == 3)
		at -= 1;
	return at < limit ? at : rng_below(&m->rng, limit);
}

static size_t some_limit(struct model *m)
{
	return chance(m, 92) ? USUAL : LARGEST;
}

static size_t some_offset(struct model *m, const struct object *object)
{
	unsigned kind = (unsigned)rng_below(&m->rng, 10);

	if (kind < 1)
		return 0;
	if (kind < 3)
		return object->size;
	if (kind < 5 && object->size)
		return rng_below(&m->rng, object->size);
	if (kind < 8)
		return border(m, some_limit(m));
	return rng_below(&m->rng, some_limit(m));
}

static size_t some_length(struct model *m)
{
	unsigned kind = (unsigned)rng_below(&m->rng, 10);

	if (kind < 2)
		return 1 + rng_below(&m->rng, 200);
	if (kind < 6)
		return 1 + rng_below(&m->rng, 20 * KIB);
	if (kind < 9)
		return border(m, some_limit(m));
	return 1 + rng_below(&m->rng, some_limit(m));
}

/* The same, of what a file may have from `at` on. */
static size_t some_length_at(struct model *m, size_t at)
{
	size_t length = some_length(m);

	return length < LARGEST - at ? length : LARGEST - at;
}

/*
 * What to expect
 */

/* Does a handle that keeps the file's lock stand in the way of a call that wants it? */
static bool is_locked(struct model *m, const struct object *object, bool exclusive)
{
	for (int i = 0; i < HANDLES; i++) {
		const struct opened *handle = &m->handles[i];
		if (handle->object == object && !handle->shared && (exclusive || handle->writes))
			return true;
	}
	return false;
}

static int access_code(struct model *m, const struct opened *handle, bool writes)
{
	if (writes ? !handle->writes : !handle->reads)
		return MFS_EBADF;
	return handle->shared && is_locked(m, handle->object, writes) ? MFS_EBUSY : 0;
}

/* The library's own list: there is no other way to the bytes of a file that others have locked. */
static struct mfs__chunk_list *chunks_of(const struct opened *handle)
{
	struct mfs__handle *found = mfs__handle_lock(handle->file, false);

	assert_non_null(found);
	struct mfs__chunk_list *chunks = &found->file->chunks;
	mfs__handle_unlock(found, false);
	return chunks;
}

/* Must a write up to `end` be refused? */
static bool lacks_quota(const struct opened *handle, size_t end)
{
	mfs_usage usage = usage_of(handle->object->fs);

	return mfs__chunks_price(chunks_of(handle), usage.chunk_overhead, end) > usage.free_bytes;
}

static void arm(struct model *m)
{
	mfs__alloc_fail_after(m->failures && chance(m, 60) ? 1 + (long)rng_below(&m->rng, 8) : 0);
}

/*
 * The call has given `got` where without limits it gives `want`. Returns whether it has done what
 * it does. A refusal for want of quota is right when `end` is not to be had.
 */
static bool check_result(struct model *m, int64_t got, int64_t want, bool lacks)
{
	bool failed = mfs__alloc_failed();

	mfs__alloc_fail_after(0);
	m->done++;
	if (got == MFS_ENOMEM && failed) {
		m->refused++;
		return false;
	}
	if (m->quota && want >= 0 && lacks) {
		CHECK(got == MFS_EQUOTA);
		m->refused++;
		return false;
	}
	if (got != want)
		print_error("got %lld, expected %lld\n", (long long)got, (long long)want);
	CHECK(got == want);
	return want >= 0;
}

/*
 * Comparing
 */

static struct opened *handle_of(struct model *m, const struct object *object)
{
	for (int i = 0; i < HANDLES; i++)
		if (m->handles[i].object == object)
			return &m->handles[i];
	return NULL;
}

static const char *path_of(int name)
{
	static const char *const paths[NAMES] = {"/a", "/b", "/c", "/d", "/e", "/f"};

	return paths[name];
}

static void read_all(struct model *m, struct object *object)
{
	struct opened *handle = handle_of(m, object);

	if (handle) {
		mfs__chunks_read(chunks_of(handle), 0, m->scratch, object->size);
		return;
	}
	mfs_file *file = open_file(object->fs, path_of(object->name), "rb");
	CHECK(mfs_pread(file, m->scratch, LARGEST + 1, 0) == (int64_t)object->size);
	close_file(file);
}

static void compare(struct model *m, struct object *object)
{
	mfs_info info;

	if (object->name >= 0) {
		CHECK(mfs_stat(object->fs, path_of(object->name), &info) == 0);
		CHECK(info.size == (int64_t)object->size);
		CHECK(info.generation == object->generation);
	}
	read_all(m, object);
	if (memcmp(m->scratch, object->bytes, object->size) != 0) {
		size_t at = 0;
		while (m->scratch[at] == object->bytes[at])
			at++;
		print_error("of %zu bytes the first wrong one is %zu: %u, not %u\n", object->size, at,
					m->scratch[at], object->bytes[at]);
		give_up(m, "the content is wrong", __FILE__, __LINE__);
	}
}

static void compare_all(struct model *m)
{
	for (int i = 0; i < NAMES; i++)
		if (m->names[i])
			compare(m, m->names[i]);
	for (int i = 0; i < HANDLES; i++)
		if (m->handles[i].object)
			compare(m, m->handles[i].object);
	assert_buffers_unchanged();
	/* Files without a name are charged, and not in the tree. */
	if (!m->nameless)
		for (int i = 0; i < 2; i++)
			CHECK(mfs__validate(m->fs[i]));
}

/* After a call on it. Large ones now and then only. */
static void compare_one(struct model *m, struct object *object)
{
	if (object->size < USUAL || chance(m, 5))
		compare(m, object);
}

/*
 * Objects and handles
 */

static struct object *new_object(struct model *m, int name)
{
	struct object *object = malloc(sizeof(*object));

	assert_non_null(object);
	object->fs = m->fs[name >= NAMES_OF_FIRST];
	object->name = name;
	object->handles = 0;
	object->size = 0;
	object->generation = 0;
	m->names[name] = object;
	return object;
}

static void drop_object(struct model *m, struct object *object)
{
	if (object->name < 0 && object->handles == 0) {
		m->nameless--;
		free(object);
	}
}

static void unname(struct model *m, struct object *object)
{
	m->names[object->name] = NULL;
	object->name = -1;
	m->nameless++;
	drop_object(m, object);
}

/* The array after `length` bytes have come to `at`. Where they come from is the caller's affair. */
static unsigned char *put(struct object *object, size_t at, size_t length)
{
	if (at > object->size)
		memset(object->bytes + object->size, 0, at - object->size);
	if (at + length > object->size)
		object->size = at + length;
	object->generation++;
	return object->bytes + at;
}

/* After a call that may have dropped it or not. */
static void ask_for_reservation(struct opened *handle)
{
	struct mfs__handle *found = mfs__handle_lock(handle->file, false);

	assert_non_null(found);
	if (!found->reserved)
		handle->reserved = NULL;
	mfs__handle_unlock(found, false);
}

/*
 * Calls that write
 */

static void do_write(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;
	unsigned kind = (unsigned)rng_below(&m->rng, 3);
	size_t offset = some_offset(m, object);
	size_t at = handle->appends ? object->size : kind == 0 ? offset : handle->cursor;
	size_t length = some_length_at(m, at);
	size_t half = rng_below(&m->rng, length + 1);
	int want = access_code(m, handle, true);
	int64_t got;

	rng_fill(&m->rng, m->scratch, length);
	struct iovec vector[2] = {{m->scratch, half}, {m->scratch + half, length - half}};
	bool lacks = m->quota && length && lacks_quota(handle, at + length);
	arm(m);
	m->doing = kind == 0 ? "pwrite" : kind == 1 ? "write" : "writev";
	if (kind == 0)
		got = mfs_pwrite(handle->file, m->scratch, length, (int64_t)offset);
	else if (kind == 1)
		got = mfs_write(handle->file, m->scratch, length);
	else
		got = mfs_writev(handle->file, vector, 2);
	if (check_result(m, got, want ? want : (int64_t)length, lacks)) {
		if (length)
			memcpy(put(object, at, length), m->scratch, length);
		if (kind)
			handle->cursor = at + length;
		handle->reserved = NULL;
	} else {
		ask_for_reservation(handle);
	}
	compare_one(m, object);
}

static void do_truncate(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;
	size_t size = chance(m, 30) ? 0 : some_offset(m, object);
	int want = access_code(m, handle, true);
	bool lacks = m->quota && size > object->size && lacks_quota(handle, size);

	m->doing = "truncate";
	arm(m);
	if (check_result(m, mfs_truncate(handle->file, (int64_t)size), want, lacks)) {
		if (size > object->size) {
			memset(object->bytes + object->size, 0, size - object->size);
		} else if (handle->cursor > size && size < object->size) {
			handle->cursor = size;
		}
		object->generation += size != object->size;
		object->size = size;
		handle->reserved = NULL;
	} else {
		ask_for_reservation(handle);
	}
	compare_one(m, object);
}

static void do_adopt(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;
	size_t at = handle->appends ? object->size : handle->cursor;
	size_t length = some_length_at(m, at);
	int want = access_code(m, handle, true);

	if (!length)
		return;
	rng_fill(&m->rng, m->scratch, length);
	bool lacks = m->quota && lacks_quota(handle, at + length);
	struct buffer *buffer = new_buffer(m->scratch, length);
	m->doing = "write_adopt";
	arm(m);
	int64_t got = mfs_write_adopt(handle->file, buffer->bytes, length, release_buffer, buffer);
	if (check_result(m, got, want ? want : (int64_t)length, lacks)) {
		memcpy(put(object, at, length), m->scratch, length);
		handle->cursor = at + length;
		handle->reserved = NULL;
	} else {
		free_buffer(buffer);
		ask_for_reservation(handle);
	}
	compare_one(m, object);
}

/* The bytes of the reservation; what the file has already changes at once. */
static void fill_reservation(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;
	size_t at = handle->reserved_at;

	rng_fill(&m->rng, handle->reserved, handle->reserved_length);
	if (at < object->size) {
		size_t part = object->size - at;
		if (part > handle->reserved_length)
			part = handle->reserved_length;
		memcpy(object->bytes + at, handle->reserved, part);
	}
}

static void do_reserve(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;
	size_t at = handle->appends ? object->size : handle->cursor;
	size_t size = some_length_at(m, at);
	uint32_t index = mfs__chunk_index(at);
	size_t left = mfs__chunk_start(index) + mfs__chunk_length(index) - at;
	size_t length = size < left ? size : left;
	int want = !handle->writes ? MFS_EBADF : handle->shared ? MFS_ENOTSUP : 0;
	void *data;

	if (!size)
		return;
	bool lacks = m->quota && lacks_quota(handle, at + length);
	m->doing = "reserve";
	arm(m);
	int64_t got = mfs_reserve(handle->file, size, &data);
	if (!check_result(m, got, want ? want : (int64_t)length, lacks)) {
		CHECK(data == NULL);
		ask_for_reservation(handle);
		compare_one(m, object);
		return;
	}
	handle->reserved = data;
	handle->reserved_at = at;
	handle->reserved_length = length;
	if (at < object->size)
		CHECK(memcmp(data, object->bytes + at,
					 length < object->size - at ? length : object->size - at) == 0);
	if (chance(m, 50))
		fill_reservation(m, handle);
	compare_one(m, object);
}

static void do_fill(struct model *m, struct opened *handle)
{
	m->doing = "fill";
	if (handle->reserved)
		fill_reservation(m, handle);
	compare_one(m, handle->object);
}

static void do_commit(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;

	m->doing = "commit";
	if (!handle->reserved) {
		CHECK(mfs_commit(handle->file, rng_below(&m->rng, 2)) == (!handle->writes  ? MFS_EBADF
																  : handle->shared ? MFS_ENOTSUP
																				   : MFS_EINVAL));
		return;
	}
	if (chance(m, 10)) {
		CHECK(mfs_commit(handle->file, handle->reserved_length + 1) == MFS_EINVAL);
		return;
	}
	size_t size =
		chance(m, 50) ? handle->reserved_length : rng_below(&m->rng, handle->reserved_length + 1);
	fill_reservation(m, handle);
	memcpy(m->scratch, handle->reserved, size);
	CHECK(mfs_commit(handle->file, size) == 0);
	if (size) {
		memcpy(put(object, handle->reserved_at, size), m->scratch, size);
		handle->cursor = handle->reserved_at + size;
	}
	handle->reserved = NULL;
	compare_one(m, object);
}

static void do_copy_range(struct model *m, struct opened *from)
{
	struct opened *to = &m->handles[rng_below(&m->rng, HANDLES)];

	for (int i = 0; i < HANDLES && (!to->object || access_code(m, to, true)); i++)
		to = &m->handles[rng_below(&m->rng, HANDLES)];
	if (!to->object)
		return;
	struct object *object = to->object;
	size_t offset = some_offset(m, from->object);
	/* Often what can be shared. */
	if (chance(m, 40))
		offset = mfs__chunk_start(mfs__chunk_index(offset));
	size_t to_offset = chance(m, 50) ? offset : some_offset(m, object);
	size_t at = to->appends ? object->size : to_offset;
	size_t size = chance(m, 20) ? (size_t)INT64_MAX : some_length(m);
	size_t length = offset < from->object->size ? from->object->size - offset : 0;

	if (length > size)
		length = size;
	if (length > LARGEST - at)
		return;
	int want = access_code(m, from, false);
	if (!want)
		want = access_code(m, to, true);
	bool lacks = m->quota && length && lacks_quota(to, at + length);
	m->doing = "copy_range";
	arm(m);
	int64_t got =
		mfs_copy_range(from->file, (int64_t)offset, to->file, (int64_t)to_offset, (int64_t)size);
	if (check_result(m, got, want ? want : (int64_t)length, lacks)) {
		if (length) {
			memcpy(m->scratch, from->object->bytes + offset, length);
			memcpy(put(object, at, length), m->scratch, length);
		}
		to->reserved = NULL;
	} else {
		ask_for_reservation(to);
	}
	ask_for_reservation(from);
	compare_one(m, object);
	compare_one(m, from->object);
}

/*
 * Calls that look
 */

static void do_read(struct model *m, struct opened *handle)
{
	const struct object *object = handle->object;
	bool moves = chance(m, 50);
	size_t at = moves ? handle->cursor : some_offset(m, object);
	size_t length = some_length(m);
	size_t there = at < object->size ? object->size - at : 0;
	int64_t want = access_code(m, handle, false);

	if (there > length)
		there = length;
	if (!want)
		want = (int64_t)there;
	m->doing = "read";
	int64_t got = moves ? mfs_read(handle->file, m->scratch, length)
						: mfs_pread(handle->file, m->scratch, length, (int64_t)at);
	CHECK(got == want);
	if (got > 0)
		CHECK(memcmp(m->scratch, object->bytes + at, (size_t)got) == 0);
	if (got > 0 && moves)
		handle->cursor += (size_t)got;
}

/* The bytes before `stop` from `at` on that lie in one chunk. */
static size_t run_length(size_t at, size_t stop)
{
	uint32_t index = mfs__chunk_index(at);
	size_t end = mfs__chunk_start(index) + mfs__chunk_length(index);

	return (end < stop ? end : stop) - at;
}

static void do_view(struct model *m, struct opened *handle)
{
	const struct object *object = handle->object;
	size_t at = some_offset(m, object);
	const void *data = m;
	int64_t want = !handle->reads ? MFS_EBADF : handle->shared ? MFS_ENOTSUP : 0;

	m->doing = "view";
	if (!want && at < object->size)
		want = (int64_t)run_length(at, object->size);
	CHECK(mfs_view(handle->file, (int64_t)at, &data) == want);
	CHECK((data != NULL) == (want > 0));
	if (data)
		CHECK(memcmp(data, object->bytes + at, (size_t)want) == 0);
}

static void do_view_runs(struct model *m, struct opened *handle)
{
	const struct object *object = handle->object;
	struct iovec runs[5];
	size_t begin = some_offset(m, object);
	int64_t at = (int64_t)begin;
	size_t end = chance(m, 30) ? (size_t)INT64_MAX : begin + some_length(m);
	size_t stop = end < object->size ? end : object->size;
	int count = 1 + (int)rng_below(&m->rng, COUNT_OF(runs));
	int want = !handle->reads ? MFS_EBADF : handle->shared ? MFS_ENOTSUP : 0;

	m->doing = "view_runs";
	if (want) {
		CHECK(mfs_view_runs(handle->file, &at, (int64_t)end, runs, count) == want);
		CHECK(at == (int64_t)begin);
		return;
	}
	for (int n = count; n == count;) {
		n = mfs_view_runs(handle->file, &at, (int64_t)end, runs, count);
		CHECK(n >= 0 && n <= count);
		for (int i = 0; i < n; i++) {
			CHECK(begin < stop);
			CHECK(runs[i].iov_len == run_length(begin, stop));
			CHECK(memcmp(runs[i].iov_base, object->bytes + begin, runs[i].iov_len) == 0);
			begin += runs[i].iov_len;
		}
		CHECK(at == (int64_t)begin);
	}
	CHECK(begin >= stop);
}

static void do_seek(struct model *m, struct opened *handle)
{
	size_t at = some_offset(m, handle->object);

	m->doing = "seek";
	CHECK(mfs_seek(handle->file, (int64_t)at, SEEK_SET) == (int64_t)at);
	handle->cursor = at;
	handle->reserved = NULL;
}

/*
 * Calls on names
 */

static void do_open(struct model *m, struct opened *handle)
{
	static const char *const modes[] = {"rb", "r+b", "r+b", "r+b", "ab", "wb"};
	const char *mode = modes[rng_below(&m->rng, COUNT_OF(modes))];
	int name = (int)rng_below(&m->rng, NAMES);
	struct object *object = m->names[name];
	bool shared = chance(m, 40);
	bool creates = mode[0] == 'w' || mode[0] == 'a';
	bool writes = mode[0] != 'r' || mode[1] == '+';
	mfs *fs = m->fs[name >= NAMES_OF_FIRST];
	mfs_info info;
	int want = 0;

	m->doing = "open";
	if (!object && !creates)
		want = MFS_ENOENT;
	else if (object && (!shared || mode[0] == 'w') && is_locked(m, object, writes))
		want = MFS_EBUSY;
	arm(m);
	int got =
		open_with(fs, path_of(name), mode, shared ? MFS_O_SHARED : 0, MFS_NO_WAIT, &handle->file);
	if (!check_result(m, got, want, false))
		return;
	if (!object)
		object = new_object(m, name);
	if (mode[0] == 'w')
		object->size = 0;
	CHECK(mfs_stat(fs, path_of(name), &info) == 0);
	CHECK(info.size == (int64_t)object->size);
	object->generation = info.generation;
	object->handles++;
	handle->object = object;
	handle->reads = !creates;
	handle->writes = writes;
	handle->appends = mode[0] == 'a';
	handle->shared = shared;
	handle->cursor = 0;
	handle->reserved = NULL;
}

static void do_close(struct model *m, struct opened *handle)
{
	struct object *object = handle->object;

	m->doing = "close";
	arm(m);
	CHECK(mfs_close(handle->file) == 0);
	mfs__alloc_fail_after(0);
	handle->object = NULL;
	object->handles--;
	if (object->name >= 0)
		compare_one(m, object);
	else
		drop_object(m, object);
}

/* Does a handle that is not shared hold the file? */
static bool is_held(struct model *m, const struct object *object)
{
	return is_locked(m, object, true);
}

static void do_remove(struct model *m)
{
	int name = (int)rng_below(&m->rng, NAMES);
	struct object *object = m->names[name];

	m->doing = "remove";
	arm(m);
	int got = mfs_remove(m->fs[name >= NAMES_OF_FIRST], path_of(name));
	int want = !object ? MFS_ENOENT : is_held(m, object) ? MFS_EBUSY : 0;
	if (check_result(m, got, want, false) && object)
		unname(m, object);
}

static void do_copy(struct model *m)
{
	int from = (int)rng_below(&m->rng, NAMES_OF_FIRST);
	int to = (int)rng_below(&m->rng, NAMES_OF_FIRST);
	struct object *object = m->names[from];

	if (!object || m->names[to])
		return;
	m->doing = "copy";
	mfs_usage usage = usage_of(m->fs[0]);
	size_t chunks = object->size ? mfs__chunk_index(object->size - 1) + 1 : 0;
	bool lacks = m->quota && object->size + chunks * usage.chunk_overhead > usage.free_bytes;
	arm(m);
	int got = mfs_copy(m->fs[0], path_of(from), path_of(to));
	int want = is_locked(m, object, false) ? MFS_EBUSY : 0;
	if (!check_result(m, got, want, lacks))
		return;
	struct object *copy = new_object(m, to);
	copy->size = object->size;
	copy->generation = 1;
	memcpy(copy->bytes, object->bytes, object->size);
	compare_one(m, copy);
	compare_one(m, object);
}

static void do_rename(struct model *m)
{
	int from = (int)rng_below(&m->rng, NAMES_OF_FIRST);
	int to = (int)rng_below(&m->rng, NAMES_OF_FIRST);
	struct object *moved = m->names[from];
	struct object *replaced = m->names[to];

	if (!moved || from == to)
		return;
	m->doing = "rename";
	arm(m);
	int got = mfs_rename(m->fs[0], path_of(from), path_of(to), MFS_RENAME_REPLACE);
	bool held = is_held(m, moved) || (replaced && is_held(m, replaced));
	if (!check_result(m, got, held ? MFS_EBUSY : 0, false))
		return;
	if (replaced)
		unname(m, replaced);
	m->names[from] = NULL;
	m->names[to] = moved;
	moved->name = to;
}

/*
 * The steps
 */

/* What may be called on a handle, and how often. */
static const struct {
	void (*call)(struct model *m, struct opened *handle);
	unsigned weight;
	char access; /* to read or to write; or neither */
} calls[] = {
	{do_write, 5, 'w'},      {do_truncate, 2, 'w'}, {do_adopt, 5, 'w'},     {do_reserve, 5, 'w'},
	{do_commit, 4, 'w'},     {do_fill, 2, 'w'},     {do_seek, 5, ' '},      {do_read, 2, 'r'},
	{do_copy_range, 8, 'r'}, {do_view, 2, 'r'},     {do_view_runs, 2, 'r'}, {do_close, 2, ' '},
};

static void call_on(struct model *m, struct opened *handle)
{
	size_t sum = 0;
	size_t i = 0;

	for (i = 0; i < COUNT_OF(calls); i++)
		sum += calls[i].weight;
	/* What is handed out is held while others look at it. */
	if (handle->reserved && handle->reads && chance(m, 40)) {
		do_copy_range(m, handle);
		do_fill(m, handle);
		return;
	}
	size_t number = rng_below(&m->rng, sum);
	for (i = 0; number >= calls[i].weight; i++)
		number -= calls[i].weight;
	/* Refusals are quick, and seldom of interest. */
	if (calls[i].access == ' ' || !access_code(m, handle, calls[i].access == 'w') || chance(m, 15))
		calls[i].call(m, handle);
}

static void take_step(struct model *m)
{
	unsigned kind = (unsigned)rng_below(&m->rng, 100);
	struct opened *handle = &m->handles[rng_below(&m->rng, HANDLES)];

	if (kind < 4)
		do_remove(m);
	else if (kind < 8)
		do_copy(m);
	else if (kind < 10)
		do_rename(m);
	else if (handle->object)
		call_on(m, handle);
	else
		do_open(m, handle);
}

static void finish(struct model *m)
{
	m->failures = false;
	for (int i = 0; i < HANDLES; i++)
		if (m->handles[i].object)
			do_close(m, &m->handles[i]);
	compare_all(m);
	for (int i = 0; i < NAMES; i++) {
		if (!m->names[i])
			continue;
		CHECK(mfs_remove(m->names[i]->fs, path_of(i)) == 0);
		unname(m, m->names[i]);
	}
	assert_null(kept_buffers);
	for (int i = 0; i < 2; i++) {
		mfs_usage usage = usage_of(m->fs[i]);
		CHECK(usage.used_bytes == 0);
		CHECK(usage.chunks == 0);
		CHECK(mfs__validate(m->fs[i]));
		free_workspace(m->fs[i]);
	}
}

static void run(uint64_t seed, long steps, uint64_t quota, bool failures)
{
	struct model *m = allocate(sizeof(*m));
	long blocks = mfs__alloc_live();
	uint32_t shares = mfs__shares_used();
	mfs_options options = {.struct_size = sizeof(options)};

	options.default_lock_timeout = MFS_NO_WAIT;
	m->rng.state = m->seed = seed;
	m->quota = quota != 0;
	m->failures = failures;
	m->scratch = allocate(LARGEST + 1);
	options.max_quota = quota ? quota : 64 * LARGEST;
	for (int i = 0; i < 2; i++)
		m->fs[i] = new_workspace(&options);
	for (m->step = 0; m->step < steps; m->step++) {
		take_step(m);
		if (m->step % 100 == 0)
			compare_all(m);
	}
	finish(m);
	assert_true(m->done > (unsigned long)steps / 3);
	assert_true((m->refused > (unsigned long)steps / 100) || !(m->quota || failures));
	free(m->scratch);
	free(m);
	assert_int_equal(mfs__alloc_live(), blocks);
	assert_int_equal(mfs__shares_used(), shares);
}

static void files_are_what_was_written_to_them(void **state)
{
	(void)state;
	run(1, STEPS, 0, false);
}

static void the_quota_refuses_what_does_not_fit_and_nothing_else(void **state)
{
	(void)state;
	run(2, STEPS / 2, 300 * KIB, false);
}

static void calls_without_memory_change_nothing(void **state)
{
	(void)state;
	run(3, STEPS / 2, 0, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_what_was_written_to_them),
		cmocka_unit_test(the_quota_refuses_what_does_not_fit_and_nothing_else),
		cmocka_unit_test(calls_without_memory_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
