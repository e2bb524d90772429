/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: directories that all threads use at once. What exists at a moment nobody knows, but
 * every byte must be part of a whole record, every name one that somebody gives, and some names
 * must always be there.
 */
#include "mixed.h"

/* Every step waits this long at most for a lock, so that nobody stands in anybody's way for long.
 */
static int64_t random_timeout(struct worker *w)
{
	static const int64_t timeouts[] = {MFS_NO_WAIT, 1, 2, 5, 20};

	return timeouts[below(w, COUNT_OF(timeouts))];
}

/*
 * Paths
 */

/* A file of a shared directory, or of one of the directories in it, which may be missing. */
static unsigned file_path(struct worker *w, char path[PATH_SIZE])
{
	unsigned dir = below(w, SHARED_DIRS);

	if (chance(w, 75)) {
		snprintf(path, PATH_SIZE, "/s%u/f%u", dir, below(w, w->stress->files));
		return 0;
	}
	snprintf(path, PATH_SIZE, "/s%u/d%u/f%u", dir, below(w, SHARED_SUBS), below(w, SUB_FILES));
	/* The errors that a missing parent adds. */
	return ALLOW(MFS_ENOENT);
}

static void sub_path(struct worker *w, bool deeper, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/s%u/d%u%s", below(w, SHARED_DIRS), below(w, SHARED_SUBS),
			 deeper ? "/e" : "");
}

bool is_number_below(const char *text, unsigned limit)
{
	char *end;

	if (*text < '0' || *text > '9' || (*text == '0' && text[1] != '\0'))
		return false;
	return strtoul(text, &end, 10) < limit && *end == '\0';
}

bool shared_name_is_known(const struct stress *stress, const char *directory, const char *name)
{
	if (strncmp(directory, "/trees", 6) == 0)
		return forest_name_is_known(stress, directory, name);
	if (strcmp(directory, "/r") == 0) {
		return strcmp(name, "t") == 0 ||
			   (name[0] == 't' && is_number_below(name + 1, stress->threads)) ||
			   (name[0] == 'k' && is_number_below(name + 1, FILLERS)) ||
			   ((name[0] == 'x' || name[0] == 'y') && is_number_below(name + 1, TOKENS));
	}
	if (strchr(directory + 1, '/')) {
		return strcmp(name, "e") == 0 || (name[0] == 'f' && is_number_below(name + 1, SUB_FILES));
	}
	switch (name[0]) {
	case 'f':
		return is_number_below(name + 1, stress->files);
	case 'd':
		return is_number_below(name + 1, SHARED_SUBS);
	case 'l':
		return is_number_below(name + 1, LOGS);
	case 'b':
		return is_number_below(name + 1, BLOCK_FILES);
	default:
		return false;
	}
}

/*
 * Data
 */

static uint64_t random_length(struct worker *w)
{
	uint32_t most = chance(w, 80) ? 1500 : 20000;

	return RECORD_MIN + (uint64_t)below(w, most / 8) * 8;
}

static void check_records(struct worker *w, const unsigned char *data, int64_t size)
{
	int64_t count = record_check_all(data, (uint64_t)size);

	if (count < 0) {
		stress_fail("thread %u: %s: no whole record at offset %lld of %lld", w->index, w->where,
					(long long)(-1 - count), (long long)size);
	}
}

/* Records of one thread stand in the order in which it appended them. */
static void check_log(struct worker *w, const unsigned char *data, int64_t size)
{
	uint64_t last[MAX_THREADS] = {0};

	check_records(w, data, size);
	for (int64_t done = 0; done < size && !stress_failed();) {
		struct record head;
		memcpy(&head, data + done, sizeof(head));
		unsigned thread = record_thread(head.stamp);
		if (thread >= MAX_THREADS || head.stamp <= last[thread]) {
			stress_fail("thread %u: %s: record of thread %u out of order", w->index, w->where,
						thread);
			return;
		}
		last[thread] = head.stamp;
		done += (int64_t)head.length;
	}
}

/* A block is empty, or was written by one call, for this place. */
static void check_block(struct worker *w, const unsigned char *data, uint64_t place)
{
	struct record head;
	bool empty = true;

	for (size_t i = 0; i < BLOCK_SIZE && empty; i++)
		empty = data[i] == 0;
	if (!empty && (record_check(data, BLOCK_SIZE, &head) != BLOCK_SIZE || head.place != place)) {
		stress_fail("thread %u: %s: block %llu is torn or foreign", w->index, w->where,
					(unsigned long long)place);
	}
}

/* Read a file from its start to its end, which cannot move. Returns its size. */
static int64_t read_all(struct worker *w, mfs_file *file)
{
	int64_t size = call_seek(w, file, 0, SEEK_END);

	if (size < 0 || size > (int64_t)w->stress->buffer_size) {
		stress_fail("thread %u: %s: size %lld", w->index, w->where, (long long)size);
		return 0;
	}
	call_seek(w, file, 0, SEEK_SET);
	read_pieces(w, file, w->other, (size_t)size);
	if (call_read(w, file, w->other + size, 8) != 0)
		stress_fail("thread %u: %s: something behind the end", w->index, w->where);
	return size;
}

/*
 * Files under a lock from open to close
 */

static void write_records(struct worker *w)
{
	char path[PATH_SIZE];
	unsigned allowed = file_path(w, path) | ALLOW(MFS_ENODES);
	int64_t timeout = random_timeout(w);
	const char *mode = chance(w, 20) ? "xb" : "wb";
	size_t size = 0;
	mfs_file *file;

	if (mode[0] == 'x')
		allowed |= ALLOW(MFS_EEXIST);
	if (call_open(w, path, mode, timeout, 0, 0, allowed | lock_errors(timeout), &file) < 0)
		return;
	for (unsigned i = below(w, 4); i > 0; i--) {
		uint64_t length = random_length(w);
		record_fill(w->buffer + size, next_stamp(w), length, 0);
		size += length;
	}
	/* A part of a record may be in the file by now, but nobody sees it before the close. */
	if (write_pieces(w, file, w->buffer, size) < 0)
		call_truncate(w, file, 0, 0);
	close_or_give(w, file, NULL);
}

static void append_record(struct worker *w)
{
	char path[PATH_SIZE];
	unsigned allowed = file_path(w, path) | ALLOW(MFS_ENODES);
	int64_t timeout = random_timeout(w);
	mfs_file *file;

	if (call_open(w, path, "ab", timeout, 0, 0, allowed | lock_errors(timeout), &file) < 0)
		return;
	for (unsigned i = 1 + below(w, 3); i > 0; i--) {
		uint64_t length = random_length(w);
		if (call_seek(w, file, 0, SEEK_END) + (int64_t)length > (int64_t)FILE_MAX)
			call_truncate(w, file, 0, 0);
		record_fill(w->buffer, next_stamp(w), length, 0);
		call_write(w, file, w->buffer, length, ALLOW(MFS_EQUOTA));
	}
	close_or_give(w, file, NULL);
}

static void read_records(struct worker *w)
{
	char path[PATH_SIZE];
	unsigned allowed = file_path(w, path) | ALLOW(MFS_ENOENT);
	int64_t timeout = random_timeout(w);
	mfs_info info;
	mfs_file *file;

	if (call_open(w, path, "rb", timeout, 0, 0, allowed | lock_errors(timeout), &file) < 0)
		return;
	int64_t size = read_all(w, file);
	check_records(w, w->other, size);
	/* Nobody can remove, rename or change the file while this handle is open. */
	if (call_stat(w, path, 0, &info) == 0 && info.size != size) {
		stress_fail("thread %u: stat of %s: size %lld, %lld read", w->index, path,
					(long long)info.size, (long long)size);
	}
	if (chance(w, 5)) {
		/* Gets in past writers that wait, or this thread would have locked itself out. */
		mfs_file *again;
		if (call_open(w, path, "rb", MFS_WAIT_FOREVER, 0, 0, 0, &again) == 0)
			call_close(w, again);
	}
	close_or_give(w, file, NULL);
}

/* Put another record in the place of one, or cut the file between two. */
static void update_records(struct worker *w)
{
	char path[PATH_SIZE];
	unsigned allowed = file_path(w, path) | ALLOW(MFS_ENOENT);
	int64_t timeout = random_timeout(w);
	struct record head = {0};
	mfs_file *file;

	if (call_open(w, path, "r+b", timeout, 0, 0, allowed | lock_errors(timeout), &file) < 0)
		return;
	int64_t size = read_all(w, file);
	int64_t count = record_check_all(w->other, (uint64_t)size);
	check_records(w, w->other, size);
	if (count > 0) {
		int64_t offset = 0;
		memcpy(&head, w->other, sizeof(head));
		for (uint32_t skip = below(w, (uint32_t)count); skip > 0; skip--) {
			offset += (int64_t)head.length;
			memcpy(&head, w->other + offset, sizeof(head));
		}
		uint64_t stamp = next_stamp(w);
		record_fill(w->buffer, stamp, head.length, 0);
		switch (below(w, 4)) {
		case 0:
			call_truncate(w, file, offset, 0);
			break;
		case 1:
			/* Longer, with zeros, and back. */
			if (call_truncate(w, file, size + 5000, ALLOW(MFS_EQUOTA)) == 0) {
				memset(w->other, 1, 5000);
				if (call_pread(w, file, w->other, 5000, size, 0) != 5000 || w->other[0] != 0 ||
					memcmp(w->other, w->other + 1, 4999) != 0)
					stress_fail("thread %u: %s: no zeros", w->index, path);
				call_truncate(w, file, size, 0);
			}
			break;
		case 2:
			/* In place: takes no memory, so that no quota can refuse it. */
			call_pwrite(w, file, w->buffer, head.length, offset, 0);
			break;
		default:
			call_seek(w, file, offset, SEEK_SET);
			if (write_pieces(w, file, w->buffer, head.length) < 0)
				stress_fail("thread %u: %s: no quota to overwrite", w->index, path);
			break;
		}
	}
	close_or_give(w, file, NULL);
}

/*
 * Files under a lock for each call
 */

static void read_records_shared(struct worker *w)
{
	char path[PATH_SIZE];
	unsigned allowed = file_path(w, path) | ALLOW(MFS_ENOENT);
	int64_t timeout = random_timeout(w);
	mfs_file *file;

	if (call_open(w, path, "rb", timeout, MFS_O_SHARED, 0, allowed, &file) < 0)
		return;
	/* All of it in one call, as the file may change between two. */
	for (unsigned i = 1 + below(w, 2); i > 0; i--) {
		int64_t size =
			call_pread(w, file, w->other, w->stress->buffer_size, 0, lock_errors(timeout));
		if (size >= 0)
			check_records(w, w->other, size);
	}
	close_or_give(w, file, NULL);
}

static void log_path(struct worker *w, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/s%u/l%u", below(w, SHARED_DIRS), below(w, LOGS));
}

static void append_to_log(struct worker *w)
{
	char path[PATH_SIZE];
	int64_t timeout = random_timeout(w);
	unsigned locks = lock_errors(timeout);
	mfs_info info;
	mfs_file *file;

	log_path(w, path);
	if (call_stat(w, path, ALLOW(MFS_ENOENT), &info) == 0 && info.size > (int64_t)LOG_MAX) {
		/* Somebody may have begun a new one meanwhile, which is no harm. */
		call_remove(w, path, ALLOW(MFS_ENOENT) | ALLOW(MFS_EBUSY));
		return;
	}
	/* Opening takes no lock. */
	if (call_open(w, path, "ab", timeout, MFS_O_SHARED, 0, ALLOW(MFS_ENODES), &file) < 0)
		return;
	for (unsigned i = 1 + below(w, LOG_APPENDS); i > 0; i--) {
		uint64_t length = RECORD_MIN + (uint64_t)below(w, LOG_RECORD_MAX - RECORD_MIN) / 8 * 8;
		record_fill(w->buffer, next_stamp(w), length, 0);
		if (chance(w, 50)) {
			call_write(w, file, w->buffer, length, locks | ALLOW(MFS_EQUOTA));
		} else {
			size_t first = 1 + below(w, (uint32_t)length - 1);
			struct iovec vector[2] = {
				{w->buffer, first},
				{w->buffer + first, length - first},
			};
			call_writev(w, file, vector, 2, locks | ALLOW(MFS_EQUOTA));
		}
	}
	close_or_give(w, file, NULL);
}

static void read_log(struct worker *w)
{
	char path[PATH_SIZE];
	int64_t timeout = random_timeout(w);
	bool shared = chance(w, 60);
	unsigned locks = lock_errors(timeout);
	mfs_file *file;

	log_path(w, path);
	if (call_open(w, path, "rb", timeout, shared ? MFS_O_SHARED : 0, 0,
				  ALLOW(MFS_ENOENT) | (shared ? 0 : locks), &file) < 0)
		return;
	int64_t size = call_pread(w, file, w->other, w->stress->buffer_size, 0, shared ? locks : 0);
	if (size >= 0)
		check_log(w, w->other, size);
	close_or_give(w, file, NULL);
}

static void block_path(struct worker *w, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/s%u/b%u", below(w, SHARED_DIRS), below(w, BLOCK_FILES));
}

static void use_blocks(struct worker *w)
{
	char path[PATH_SIZE];
	int64_t timeout = random_timeout(w);
	unsigned locks = lock_errors(timeout);
	mfs_file *file;

	block_path(w, path);
	int rc = call_open(w, path, "r+b", timeout, MFS_O_SHARED, 0, ALLOW(MFS_ENOENT), &file);
	if (rc == MFS_ENOENT) {
		/* Made with room for all blocks; who finds it before that finds it shorter. */
		if (call_open(w, path, "xb", timeout, MFS_O_SHARED, (int64_t)BLOCKS * BLOCK_SIZE,
					  locks | ALLOW(MFS_EEXIST) | ALLOW(MFS_ENODES) | ALLOW(MFS_EQUOTA),
					  &file) == 0)
			close_or_give(w, file, NULL);
		return;
	}
	if (rc < 0)
		return;
	for (unsigned i = 1 + below(w, 8); i > 0; i--) {
		unsigned place = below(w, BLOCKS);
		int64_t offset = (int64_t)place * BLOCK_SIZE;
		if (chance(w, 40)) {
			record_fill(w->buffer, next_stamp(w), BLOCK_SIZE, place);
			call_pwrite(w, file, w->buffer, BLOCK_SIZE, offset, locks | ALLOW(MFS_EQUOTA));
		} else if (chance(w, 5)) {
			call_truncate(w, file, offset, locks | ALLOW(MFS_EQUOTA));
		} else {
			int64_t got = call_pread(w, file, w->other, BLOCK_SIZE, offset, locks);
			if (got == BLOCK_SIZE)
				check_block(w, w->other, place);
			else if (got > 0)
				stress_fail("thread %u: %s: %lld bytes of a block", w->index, path, (long long)got);
		}
	}
	close_or_give(w, file, NULL);
}

/*
 * Names
 */

static void rename_files(struct worker *w)
{
	char from[PATH_SIZE];
	char to[PATH_SIZE];
	unsigned flags = chance(w, 60) ? MFS_RENAME_REPLACE : 0;
	unsigned allowed = file_path(w, from) | file_path(w, to) | ALLOW(MFS_ENOENT) | ALLOW(MFS_EBUSY);

	/* A file renamed to itself: MFS_EEXIST without the flag as well. */
	if (flags == 0)
		allowed |= ALLOW(MFS_EEXIST);
	call_rename(w, from, to, flags, allowed);
}

static void remove_something(struct worker *w)
{
	char path[PATH_SIZE];
	uint32_t dice = below(w, 100);

	if (dice < 90)
		file_path(w, path);
	else if (dice < 95)
		log_path(w, path);
	else
		block_path(w, path);
	call_remove(w, path, ALLOW(MFS_ENOENT) | ALLOW(MFS_EBUSY));
}

static void make_or_remove_dir(struct worker *w)
{
	char path[PATH_SIZE];

	sub_path(w, chance(w, 30), path);
	if (chance(w, 50)) {
		bool exist_ok = chance(w, 30);
		call_mkdir(w, path, exist_ok ? MFS_EXIST_OK : 0,
				   ALLOW(MFS_ENODES) | (exist_ok ? 0 : ALLOW(MFS_EEXIST)));
	} else {
		call_remove(w, path, ALLOW(MFS_ENOENT) | ALLOW(MFS_ENOTEMPTY));
	}
}

static void list_something(struct worker *w)
{
	char path[PATH_SIZE];
	unsigned allowed = 0;
	char **names;

	if (chance(w, 70)) {
		snprintf(path, sizeof(path), "/s%u", below(w, SHARED_DIRS));
	} else {
		sub_path(w, false, path);
		allowed = ALLOW(MFS_ENOENT);
	}
	int64_t count = call_listdir(w, path, allowed, &names);
	for (int64_t i = 0; i < count; i++) {
		if (!shared_name_is_known(w->stress, path, names[i]))
			stress_fail("thread %u: listing of %s: \"%s\"", w->index, path, names[i]);
	}
	mfs_names_free(names);
}

static void look_at_something(struct worker *w)
{
	char path[PATH_SIZE];
	mfs_info info;

	if (chance(w, 80)) {
		file_path(w, path);
		if (call_stat(w, path, ALLOW(MFS_ENOENT), &info) == 0 &&
			(info.is_dir || info.size > (int64_t)w->stress->buffer_size))
			stress_fail("thread %u: stat of %s: size %lld", w->index, path, (long long)info.size);
		if (call_is_dir(w, path))
			stress_fail("thread %u: %s: is_dir", w->index, path);
		call_is_file(w, path);
	} else {
		sub_path(w, false, path);
		if (call_stat(w, path, ALLOW(MFS_ENOENT), &info) == 0 && !info.is_dir)
			stress_fail("thread %u: stat of %s: not a directory", w->index, path);
		if (call_is_file(w, path))
			stress_fail("thread %u: %s: is_file", w->index, path);
	}
	snprintf(path, sizeof(path), "/s%u", below(w, SHARED_DIRS));
	if (!call_exists(w, path) || !call_is_dir(w, path))
		stress_fail("thread %u: %s is gone", w->index, path);
}

/*
 * /r: renames that somebody always watches
 */

/* x<n> becomes y<n> or the reverse: exactly one of them is there at any time. */
static void turn_token(struct worker *w)
{
	char x[PATH_SIZE];
	char y[PATH_SIZE];
	unsigned token = below(w, TOKENS);
	bool back = chance(w, 50);

	snprintf(x, sizeof(x), "/r/x%u", token);
	snprintf(y, sizeof(y), "/r/y%u", token);
	call_rename(w, back ? y : x, back ? x : y, 0,
				ALLOW(MFS_ENOENT) | ALLOW(MFS_EEXIST) | ALLOW(MFS_EBUSY));
}

/* Write a file aside and put it in the place of "t". */
static void publish(struct worker *w)
{
	char path[PATH_SIZE];
	uint64_t length = random_length(w);
	mfs_file *file;

	snprintf(path, sizeof(path), "/r/t%u", w->index);
	if (call_open(w, path, "xb", MFS_NO_WAIT, 0, 0, ALLOW(MFS_ENODES), &file) < 0)
		return;
	record_fill(w->buffer, next_stamp(w), length, 0);
	int rc = write_pieces(w, file, w->buffer, length);
	call_close(w, file);
	if (rc == 0)
		rc = call_rename(w, path, "/r/t", MFS_RENAME_REPLACE, ALLOW(MFS_EBUSY));
	if (rc < 0)
		call_remove(w, path, 0);
}

static void watch(struct worker *w)
{
	char **names;
	mfs_info info;
	mfs_file *file;
	bool has_target = false;
	unsigned fillers = 0;
	unsigned tokens[TOKENS] = {0};

	if (call_stat(w, "/r/t", 0, &info) == 0 && (info.is_dir || info.size < (int64_t)RECORD_MIN))
		stress_fail("thread %u: stat of /r/t: size %lld", w->index, (long long)info.size);
	if (!call_exists(w, "/r/t") || !call_is_file(w, "/r/t"))
		stress_fail("thread %u: /r/t is gone", w->index);
	int64_t count = call_listdir(w, "/r", 0, &names);
	for (int64_t i = 0; i < count; i++) {
		if (!shared_name_is_known(w->stress, "/r", names[i]))
			stress_fail("thread %u: listing of /r: \"%s\"", w->index, names[i]);
		has_target |= strcmp(names[i], "t") == 0;
		fillers += names[i][0] == 'k';
		if (names[i][0] == 'x' || names[i][0] == 'y')
			tokens[(unsigned)(names[i][1] - '0') % TOKENS]++;
	}
	mfs_names_free(names);
	for (unsigned token = 0; token < TOKENS; token++) {
		if (!has_target || fillers != FILLERS || tokens[token] != 1) {
			stress_fail("thread %u: listing of /r: %s, %u of k, %u of x%u and y%u", w->index,
						has_target ? "t" : "no t", fillers, tokens[token], token, token);
		}
	}
	if (call_open(w, "/r/t", "rb", 20, 0, 0, ALLOW(MFS_ETIMEDOUT), &file) < 0)
		return;
	int64_t size = read_all(w, file);
	if (record_check_all(w->other, (uint64_t)size) != 1)
		stress_fail("thread %u: /r/t does not hold one record", w->index);
	call_close(w, file);
}

/* Mistakes whose answer is always the same. */
static void make_mistake(struct worker *w)
{
	static const unsigned wrong = ALLOW(MFS_EINVAL) | ALLOW(MFS_EISDIR) | ALLOW(MFS_ENOTDIR) |
								  ALLOW(MFS_EEXIST) | ALLOW(MFS_ENOTEMPTY) | ALLOW(MFS_ENOENT);
	mfs_file *file;
	char **names;
	int64_t got;
	int64_t want;

	switch (below(w, 8)) {
	case 0:
		got = call_remove(w, "/r", wrong);
		want = MFS_ENOTEMPTY;
		break;
	case 1:
		got = call_open(w, "/s0", "wb", MFS_NO_WAIT, 0, 0, wrong, &file);
		want = MFS_EISDIR;
		break;
	case 2:
		got = call_open(w, "/r/t/x", "wb", MFS_NO_WAIT, 0, 0, wrong, &file);
		want = MFS_ENOTDIR;
		break;
	case 3:
		got = call_mkdir(w, "/r/t", MFS_EXIST_OK, wrong);
		want = MFS_EEXIST;
		break;
	case 4:
		got = call_rename(w, "/s0", "/s0/x", 0, wrong);
		want = MFS_EINVAL;
		break;
	case 5:
		got = call_listdir(w, "/r/t", wrong, &names);
		want = MFS_ENOTDIR;
		break;
	case 6:
		got = call_remove(w, "/s0/../..", wrong);
		want = MFS_EINVAL;
		break;
	default:
		got = call_open(w, "/nowhere/f", "wb", MFS_NO_WAIT, 0, 0, wrong, &file);
		want = MFS_ENOENT;
		break;
	}
	if (got != want) {
		stress_fail("thread %u: a mistake with %s: %s instead of %s", w->index, w->where,
					mfs_error_name((int)got), mfs_error_name((int)want));
	}
}

/*
 * Steps, set-up, checks
 */

void shared_step(struct worker *w)
{
	uint32_t dice = below(w, 100);

	if (dice < 16)
		write_records(w);
	else if (dice < 24)
		append_record(w);
	else if (dice < 36)
		read_records(w);
	else if (dice < 42)
		update_records(w);
	else if (dice < 47)
		read_records_shared(w);
	else if (dice < 53)
		append_to_log(w);
	else if (dice < 56)
		read_log(w);
	else if (dice < 62)
		use_blocks(w);
	else if (dice < 69)
		rename_files(w);
	else if (dice < 77)
		remove_something(w);
	else if (dice < 82)
		make_or_remove_dir(w);
	else if (dice < 87)
		list_something(w);
	else if (dice < 91)
		look_at_something(w);
	else if (dice < 94)
		turn_token(w);
	else if (dice < 96)
		publish(w);
	else if (dice < 98)
		watch(w);
	else
		make_mistake(w);
}

static void make_file(struct worker *w, const char *path)
{
	mfs_file *file;

	if (call_open(w, path, "xb", MFS_NO_WAIT, 0, 0, 0, &file) < 0)
		return;
	record_fill(w->buffer, next_stamp(w), RECORD_MIN, 0);
	call_write(w, file, w->buffer, RECORD_MIN, 0);
	call_close(w, file);
}

void shared_set_up(struct worker *w)
{
	char path[PATH_SIZE];

	for (unsigned i = 0; i < SHARED_DIRS; i++) {
		snprintf(path, sizeof(path), "/s%u", i);
		call_mkdir(w, path, 0, 0);
	}
	call_mkdir(w, "/r", 0, 0);
	make_file(w, "/r/t");
	for (unsigned i = 0; i < FILLERS; i++) {
		snprintf(path, sizeof(path), "/r/k%u", i);
		make_file(w, path);
	}
	for (unsigned i = 0; i < TOKENS; i++) {
		snprintf(path, sizeof(path), "/r/x%u", i);
		make_file(w, path);
	}
}

void shared_check_file(struct worker *w, const char *path, const char *name)
{
	mfs_file *file;

	if (call_open(w, path, "rb", MFS_NO_WAIT, 0, 0, 0, &file) < 0)
		return;
	int64_t size = read_all(w, file);
	if (name[0] == 'l') {
		check_log(w, w->other, size);
	} else if (name[0] == 'b') {
		if (size % BLOCK_SIZE != 0)
			stress_fail("%s: %lld bytes are no whole blocks", path, (long long)size);
		for (int64_t at = 0; at + BLOCK_SIZE <= size; at += BLOCK_SIZE)
			check_block(w, w->other + at, (uint64_t)at / BLOCK_SIZE);
	} else if (strncmp(path, "/trees/s/z/", 11) != 0) {
		check_records(w, w->other, size);
	}
	call_close(w, file);
}
