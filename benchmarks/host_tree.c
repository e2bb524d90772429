/* SPDX-License-Identifier: MIT */
/*
 * Trees of the host by system calls. Everything is relative to a descriptor of the directory that
 * is being worked on, kinds come from the directory's records and not from stat(), and the names
 * of a directory stay in the records that the kernel wrote. They are sorted by their first bytes,
 * held as a number beside the pointer, which takes half the time of qsort() with strcmp().
 */
#include "host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Room for records to begin with: about 2,000 names of usual length in one call. */
#define RECORDS_ROOM 65536u
/* The shortest record. */
#define RECORD_LEAST 24u
/* What one call reads of a file. */
#define COPY_PIECE (256u << 10)
/* A file that is not whole yet. One is enough: a directory is filled by one thread. */
#define PART_NAME ".mfsb-part"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A record of getdents64(); the kernel's structure, which no header of the C library names. */
struct record {
	uint64_t inode;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* A name, and its first eight bytes as a number that sorts as they do. */
struct name {
	uint64_t key;
	const char *text;
};

/* A directory that has been read. All zeros: no memory yet. */
struct level {
	int fd;
	unsigned char *records;
	size_t records_room;
	/* In `records`. The keys are there if the names have been sorted. */
	struct name *directories;
	size_t directory_count;
	struct name *files;
	size_t file_count;
	/* For sorting. */
	struct name *spare;
	size_t names_room;
	/* Which of the directories comes next. */
	size_t next;
	/* For bench_host_sum(). */
	uint64_t path_hash;
};

/* The directories from a tree's top down to where a visit is. All zeros: not begun. */
struct visit {
	struct level *levels;
	size_t depth;
	size_t room;
	bool sorted;
};

static _Noreturn void failed(const char *what, const char *name)
{
	bench_die("host: %s of %s: %s", what, name, strerror(errno));
}

static void *resize(void *memory, size_t count, size_t size)
{
	void *grown = reallocarray(memory, count, size);

	if (!grown)
		bench_die("out of memory");
	return grown;
}

/*
 * Sorting
 */

/* Runs of so many are sorted by insertion before they are merged. */
#define SORTED_RUN 8u

static uint64_t name_key(const char *text)
{
	uint64_t key = 0;

	for (unsigned i = 0; i < sizeof(key); i++) {
		key = key << 8 | (unsigned char)*text;
		text += *text != '\0';
	}
	return key;
}

static inline bool is_before(const struct name *left, const struct name *right)
{
	return left->key != right->key ? left->key < right->key : strcmp(left->text, right->text) < 0;
}

static void sort_run(struct name *names, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct name name = names[i];
		size_t to = i;
		for (; to > 0 && is_before(&name, &names[to - 1]); to--)
			names[to] = names[to - 1];
		names[to] = name;
	}
}

/* Merge two runs, the first one `middle` long. */
static void merge(const struct name *from, size_t middle, size_t count, struct name *to)
{
	size_t left = 0;
	size_t right = middle;

	while (left < middle && right < count)
		*to++ = is_before(&from[right], &from[left]) ? from[right++] : from[left++];
	memcpy(to, from + left, (middle - left) * sizeof(*to));
	memcpy(to + (middle - left), from + right, (count - right) * sizeof(*to));
}

static size_t lesser(size_t left, size_t right)
{
	return left < right ? left : right;
}

static void sort_names(struct name *names, size_t count, struct name *spare)
{
	struct name *from = names;
	struct name *to = spare;

	for (size_t i = 0; i < count; i++)
		names[i].key = name_key(names[i].text);
	for (size_t at = 0; at < count; at += SORTED_RUN)
		sort_run(names + at, lesser(SORTED_RUN, count - at));
	for (size_t run = SORTED_RUN; run < count; run *= 2) {
		for (size_t at = 0; at < count; at += 2 * run)
			merge(from + at, lesser(run, count - at), lesser(2 * run, count - at), to + at);
		struct name *swap = from;
		from = to;
		to = swap;
	}
	if (from != names)
		memcpy(names, from, count * sizeof(*names));
}

/*
 * Directories
 */

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Some filesystems do not tell the kind in the record. */
static uint8_t kind(int fd, const struct record *record)
{
	struct stat info;

	if (record->type != DT_UNKNOWN)
		return record->type;
	if (fstatat(fd, record->name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		failed("stat", record->name);
	return S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_LNK;
}

/* Read all records of the directory that level->fd is open on. Returns how many bytes they are. */
static size_t read_records(struct level *level, const char *name)
{
	size_t used = 0;

	for (;;) {
		if (level->records_room - used < RECORDS_ROOM / 2) {
			level->records_room = level->records_room ? 2 * level->records_room : RECORDS_ROOM;
			level->records = resize(level->records, level->records_room, 1);
		}
		long got =
			syscall(SYS_getdents64, level->fd, level->records + used, level->records_room - used);
		if (got < 0)
			failed("getdents64", name);
		if (got == 0)
			return used;
		used += (size_t)got;
	}
}

/* Read the names in the directory that level->fd is open on. */
static void read_level(struct level *level, bool sorted, const char *name)
{
	size_t used = read_records(level, name);

	if (used / RECORD_LEAST > level->names_room) {
		level->names_room = used / RECORD_LEAST;
		level->directories =
			resize(level->directories, level->names_room, sizeof(*level->directories));
		level->files = resize(level->files, level->names_room, sizeof(*level->files));
		level->spare = resize(level->spare, level->names_room, sizeof(*level->spare));
	}
	level->directory_count = 0;
	level->file_count = 0;
	level->next = 0;
	for (size_t at = 0; at < used;) {
		const struct record *record = (const struct record *)(const void *)(level->records + at);
		uint8_t type = kind(level->fd, record);
		if (type == DT_REG)
			level->files[level->file_count++].text = record->name;
		else if (type == DT_DIR && !is_dots(record->name))
			level->directories[level->directory_count++].text = record->name;
		at += record->length;
	}
	if (sorted) {
		sort_names(level->directories, level->directory_count, level->spare);
		sort_names(level->files, level->file_count, level->spare);
	}
}

static void free_level(struct level *level)
{
	free(level->records);
	free(level->directories);
	free(level->files);
	free(level->spare);
}

uint64_t bench_host_list(const char *path)
{
	struct level level = {0};
	uint64_t count = 0;

	level.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (level.fd < 0)
		failed("open", path);
	read_level(&level, true, path);
	close(level.fd);
	for (size_t i = 0; i < level.directory_count; i++)
		count += level.directories[i].text[0] != '\0';
	for (size_t i = 0; i < level.file_count; i++)
		count += level.files[i].text[0] != '\0';
	free_level(&level);
	return count;
}

/*
 * Visits
 */

/* Go into a directory and read it. */
static struct level *visit_push(struct visit *visit, int parent, const char *name, int flags)
{
	if (visit->depth == visit->room) {
		size_t room = visit->room ? 2 * visit->room : 16;
		visit->levels = resize(visit->levels, room, sizeof(*visit->levels));
		memset(visit->levels + visit->room, 0, (room - visit->room) * sizeof(*visit->levels));
		visit->room = room;
	}
	struct level *level = &visit->levels[visit->depth++];
	level->fd = openat(parent, name, flags);
	if (level->fd < 0)
		failed("open", name);
	read_level(level, visit->sorted, name);
	return level;
}

/* The top may be a link. */
static struct level *visit_begin(struct visit *visit, const char *path)
{
	return visit_push(visit, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The directory where the visit is, NULL at the end. */
static struct level *visit_top(struct visit *visit)
{
	return visit->depth > 0 ? &visit->levels[visit->depth - 1] : NULL;
}

/* Go into the next directory of the one where the visit is. Returns NULL if there is none. */
static struct level *visit_down(struct visit *visit)
{
	struct level *level = visit_top(visit);

	if (level->next == level->directory_count)
		return NULL;
	return visit_push(visit, level->fd, level->directories[level->next++].text, OPEN_DIRECTORY);
}

static void visit_up(struct visit *visit)
{
	close(visit->levels[--visit->depth].fd);
}

static void visit_end(struct visit *visit)
{
	for (size_t i = 0; i < visit->room; i++)
		free_level(&visit->levels[i]);
	free(visit->levels);
}

/* All names are looked at, as by someone who uses them. */
static void count_level(const struct level *level, struct bench_sum *sum)
{
	for (size_t i = 0; i < level->directory_count; i++)
		sum->directories += level->directories[i].text[0] != '\0';
	for (size_t i = 0; i < level->file_count; i++)
		sum->files += level->files[i].text[0] != '\0';
}

struct bench_sum bench_host_walk(const char *path)
{
	struct visit visit = {.sorted = true};
	struct bench_sum sum = {0};

	count_level(visit_begin(&visit, path), &sum);
	while (visit_top(&visit)) {
		const struct level *level = visit_down(&visit);
		if (level)
			count_level(level, &sum);
		else
			visit_up(&visit);
	}
	visit_end(&visit);
	return sum;
}

static void remove_files(const struct level *level)
{
	for (size_t i = 0; i < level->file_count; i++) {
		if (unlinkat(level->fd, level->files[i].text, 0) < 0)
			failed("unlink", level->files[i].text);
	}
}

void bench_host_remove(const char *path)
{
	struct visit visit = {0};

	remove_files(visit_begin(&visit, path));
	for (;;) {
		const struct level *level = visit_down(&visit);
		if (level) {
			remove_files(level);
			continue;
		}
		visit_up(&visit);
		level = visit_top(&visit);
		if (!level)
			break;
		const char *name = level->directories[level->next - 1].text;
		if (unlinkat(level->fd, name, AT_REMOVEDIR) < 0)
			failed("rmdir", name);
	}
	visit_end(&visit);
	if (rmdir(path) < 0)
		failed("rmdir", path);
}

/*
 * Copies
 */

/* A directory that has been made and is to be filled. */
struct task {
	struct task *next;
	/* From the top. */
	char path[];
};

struct copier {
	int from;
	int to;
	/* As in bench_host_copy(). */
	bool whole;
	pthread_mutex_t lock;
	/* When a task comes, or the last one is done. */
	pthread_cond_t changed;
	/* Under the lock: directories that nobody has taken, and those that are not finished. */
	struct task *tasks;
	uint64_t unfinished;
};

static void copy_file(int from, int to, const char *name, bool whole, unsigned char *buffer)
{
	const char *first_name = whole ? PART_NAME : name;
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		failed("open", name);
	int out = openat(to, first_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (out < 0)
		failed("creation", name);
	ssize_t got;
	do {
		got = read(in, buffer, COPY_PIECE);
		if (got < 0)
			failed("read", name);
		if (got > 0 && write(out, buffer, (size_t)got) != got)
			failed("write", name);
		/* A regular file gives less than was asked for only at its end. */
	} while (got == (ssize_t)COPY_PIECE);
	close(in);
	if (close(out) < 0)
		failed("close", name);
	if (whole && renameat(to, PART_NAME, to, name) < 0)
		failed("rename", name);
}

/* Add the directory `name` of `parent`, which is NULL for the top. */
static void add_task(struct copier *copier, const struct task *parent, const char *name)
{
	size_t before = parent ? strlen(parent->path) : 0;
	size_t length = strlen(name);
	struct task *task = malloc(sizeof(*task) + before + length + 2);

	if (!task)
		bench_die("out of memory");
	if (before > 0) {
		memcpy(task->path, parent->path, before);
		task->path[before++] = '/';
	}
	memcpy(task->path + before, name, length + 1);
	pthread_mutex_lock(&copier->lock);
	task->next = copier->tasks;
	copier->tasks = task;
	copier->unfinished++;
	pthread_cond_signal(&copier->changed);
	pthread_mutex_unlock(&copier->lock);
}

/* Take a directory, or wait until there is one. Returns NULL when all are finished. */
static struct task *take_task(struct copier *copier)
{
	pthread_mutex_lock(&copier->lock);
	while (!copier->tasks && copier->unfinished > 0)
		pthread_cond_wait(&copier->changed, &copier->lock);
	struct task *task = copier->tasks;
	if (task)
		copier->tasks = task->next;
	pthread_mutex_unlock(&copier->lock);
	return task;
}

static void finish_task(struct copier *copier, struct task *task)
{
	free(task);
	pthread_mutex_lock(&copier->lock);
	if (--copier->unfinished == 0)
		pthread_cond_broadcast(&copier->changed);
	pthread_mutex_unlock(&copier->lock);
}

/* Make the directories first, so that other threads can begin with them, then copy the files. */
static void copy_directory(struct copier *copier, const struct task *task, struct level *level,
						   unsigned char *buffer)
{
	const char *path = task->path[0] != '\0' ? task->path : ".";

	level->fd = openat(copier->from, path, OPEN_DIRECTORY);
	if (level->fd < 0)
		failed("open", path);
	int to = openat(copier->to, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		failed("open", path);
	read_level(level, false, path);
	for (size_t i = 0; i < level->directory_count; i++) {
		if (mkdirat(to, level->directories[i].text, 0777) < 0)
			failed("mkdir", level->directories[i].text);
		add_task(copier, task, level->directories[i].text);
	}
	for (size_t i = 0; i < level->file_count; i++)
		copy_file(level->fd, to, level->files[i].text, copier->whole, buffer);
	close(level->fd);
	close(to);
}

static void *copy_tasks(void *argument)
{
	struct copier *copier = argument;
	struct level level = {0};
	unsigned char *buffer = malloc(COPY_PIECE);
	struct task *task;

	if (!buffer)
		bench_die("out of memory");
	while ((task = take_task(copier))) {
		copy_directory(copier, task, &level, buffer);
		finish_task(copier, task);
	}
	free_level(&level);
	free(buffer);
	return NULL;
}

void bench_host_copy(const char *from, const char *to, unsigned threads, bool whole)
{
	struct copier copier = {
		.whole = whole,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	pthread_t helpers[BENCH_MAX_THREADS];

	if (mkdir(to, 0777) < 0 && !(whole && errno == EEXIST))
		failed("mkdir", to);
	copier.from = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copier.from < 0)
		failed("open", from);
	copier.to = open(to, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (copier.to < 0)
		failed("open", to);
	add_task(&copier, NULL, "");
	for (unsigned i = 1; i < threads; i++) {
		int rc = pthread_create(&helpers[i], NULL, copy_tasks, &copier);
		if (rc != 0)
			bench_die("cannot start a thread: %s", strerror(rc));
	}
	copy_tasks(&copier);
	for (unsigned i = 1; i < threads; i++) {
		int rc = pthread_join(helpers[i], NULL);
		if (rc != 0)
			bench_die("cannot join a thread: %s", strerror(rc));
	}
	close(copier.from);
	close(copier.to);
}

/*
 * Sums
 */

static void sum_file(int fd, const char *name, uint64_t path_hash, unsigned char *buffer,
					 struct bench_sum *sum)
{
	uint64_t hash = path_hash;
	int in = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (in < 0)
		failed("open", name);
	for (;;) {
		ssize_t got = read(in, buffer, BENCH_PIECE);
		if (got < 0)
			failed("read", name);
		if (got == 0)
			break;
		hash = bench_hash(hash, buffer, (size_t)got);
		sum->bytes += (uint64_t)got;
	}
	close(in);
	sum->hash += hash;
	sum->files++;
}

static void sum_level(const struct level *level, unsigned char *buffer, struct bench_sum *sum)
{
	for (size_t i = 0; i < level->directory_count; i++) {
		const char *name = level->directories[i].text;
		sum->hash += bench_hash_path(level->path_hash, name, strlen(name));
		sum->directories++;
	}
	for (size_t i = 0; i < level->file_count; i++) {
		const char *name = level->files[i].text;
		uint64_t path_hash = bench_hash_path(level->path_hash, name, strlen(name));
		sum_file(level->fd, name, path_hash, buffer, sum);
	}
}

void bench_host_sum(const char *path, struct bench_sum *sum)
{
	struct visit visit = {0};
	unsigned char *buffer = malloc(BENCH_PIECE);

	if (!buffer)
		bench_die("out of memory");
	*sum = (struct bench_sum){0};
	struct level *level = visit_begin(&visit, path);
	level->path_hash = 0;
	sum_level(level, buffer, sum);
	while ((level = visit_top(&visit))) {
		uint64_t parent_hash = level->path_hash;
		level = visit_down(&visit);
		if (level) {
			const struct level *parent = level - 1;
			const char *name = parent->directories[parent->next - 1].text;
			level->path_hash = bench_hash_path(parent_hash, name, strlen(name));
			sum_level(level, buffer, sum);
		} else {
			visit_up(&visit);
		}
	}
	visit_end(&visit);
	free(buffer);
}
