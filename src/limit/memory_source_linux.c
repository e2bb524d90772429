/* SPDX-License-Identifier: MIT */
/*
 * Linux: /proc/meminfo, and the limits of the process's control groups, of either version or both.
 *
 * Nothing is allocated: memory is what there may be none of. All that is larger than a line of
 * numbers is in `scratch`.
 */
#include "limit/memory_source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Longer lines are passed over. Of those that count, the longest is one of mountinfo: two paths. */
#define LINE_ROOM 8192

/* What comes later in a file is not read. Only mountinfo can be as long, on a host of containers;
 * the groups' mounts are among its first. */
#define FILE_ROOM ((size_t)1 << 20)

/* From here on a limit is none. Version 1 writes the largest multiple of a page below 2^63. */
#define NO_LIMIT (UINT64_C(1) << 62)

/* What a version of control groups calls its files and their lines. */
struct version {
	int source;
	const char *limits[2]; /* each by itself */
	const char *use;
	const char *file_pages[2]; /* lines of memory.stat that must be there */
	const char *busy_pages[2]; /* may be missing, like slab */
	const char *slab;
	const char *usual_tops[2]; /* where the hierarchy is if mountinfo does not say */
};

/* soft_limit_in_bytes of version 1 is no limit: it says who gives memory back first. */
static const struct version version_1 = {
	.source = MFS_MEMORY_CGROUP_V1,
	.limits = {"/memory.limit_in_bytes"},
	.use = "/memory.usage_in_bytes",
	.file_pages = {"total_inactive_file", "total_active_file"},
	.busy_pages = {"total_dirty", "total_writeback"},
	.usual_tops = {"/sys/fs/cgroup/memory"},
};

/* Past memory.high a group is slowed down until it is as good as stopped. */
static const struct version version_2 = {
	.source = MFS_MEMORY_CGROUP_V2,
	.limits = {"/memory.max", "/memory.high"},
	.use = "/memory.current",
	.file_pages = {"inactive_file", "active_file"},
	.busy_pages = {"file_dirty", "file_writeback"},
	.slab = "slab_reclaimable",
	.usual_tops = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"},
};

/* A path, with a NUL. */
struct path {
	size_t length;
	char bytes[PATH_MAX];
};

/* How well a mount shows the process's group. */
enum fit {
	FIT_NONE,    /* no mount was found */
	FIT_OUTSIDE, /* the group is not below what the mount shows, or nobody can tell where */
	FIT_BELOW,
};

/* The hierarchy of one version. */
struct hierarchy {
	bool has_group;
	enum fit fit;
	size_t hidden;     /* how much of `group` is above what the mount shows */
	struct path group; /* as /proc/self/cgroup has it */
	struct path top;   /* where it is mounted */
};

/* Bytes within a line. */
struct span {
	char *at;
	size_t length;
};

/* The lines of a file, one after the other. */
struct lines {
	int fd;
	size_t begin; /* of what was read and is not used yet */
	size_t end;
	size_t left;    /* that may still be read */
	bool is_over;   /* nothing more can be read */
	bool is_broken; /* an error ended it */
	char bytes[LINE_ROOM];
};

/* Guarded by the rule that one sample is taken at a time. Holds nothing from one to the next. */
static struct {
	bool starved; /* a descriptor or memory was missing */
	struct lines lines;
	struct path path; /* the file or folder that is being looked at */
	struct hierarchy hierarchies[2];
} scratch;

/* Atomic; set while no sample is under way. */
static _Atomic(const char *) root_folder;

void mfs__memory_source_root(const char *folder)
{
	/* pairs with the acquire load in path_start() */
	atomic_store_explicit(&root_folder, folder, memory_order_release);
}

/* Returns false, with nothing changed, if it gets too long. */
static bool path_append(struct path *path, const char *text, size_t length)
{
	if (length >= sizeof path->bytes - path->length)
		return false;
	memcpy(path->bytes + path->length, text, length);
	path->length += length;
	path->bytes[path->length] = '\0';
	return true;
}

static void path_cut(struct path *path, size_t length)
{
	path->length = length;
	path->bytes[length] = '\0';
}

/* Below the root folder. Returns false if it gets too long. */
static bool path_start(struct path *path, const char *text)
{
	/* pairs with the release store in mfs__memory_source_root() */
	const char *root = atomic_load_explicit(&root_folder, memory_order_acquire);

	path_cut(path, 0);
	return (!root || path_append(path, root, strlen(root))) &&
		   path_append(path, text, strlen(text));
}

/*
 * Files
 */

/* Keep an error of open() or read() in mind that may be gone the next time. */
static void note_error(void)
{
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		scratch.starved = true;
}

/* Returns a descriptor or -1. */
static int open_file(const struct path *path)
{
	int fd = -1;

	do
		fd = open(path->bytes, O_RDONLY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		note_error();
	return fd;
}

/* Returns what read() does. */
static ssize_t read_file(int fd, char *bytes, size_t size)
{
	ssize_t got = 0;

	do
		got = read(fd, bytes, size);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		note_error();
	return got;
}

/* Returns false if the file cannot be opened. */
static bool lines_open(struct lines *lines, const struct path *path)
{
	lines->fd = open_file(path);
	lines->begin = 0;
	lines->end = 0;
	lines->left = FILE_ROOM;
	lines->is_over = false;
	lines->is_broken = false;
	return lines->fd >= 0;
}

/* Returns true if the file could be read as far as it was. */
static bool lines_close(struct lines *lines)
{
	(void)close(lines->fd);
	return !lines->is_broken;
}

/* Move what is there to the front, and read more behind it. */
static void lines_fill(struct lines *lines)
{
	size_t size = lines->end - lines->begin;
	size_t room = sizeof lines->bytes - size;
	ssize_t got = 0;

	memmove(lines->bytes, lines->bytes + lines->begin, size);
	room = room < lines->left ? room : lines->left;
	got = read_file(lines->fd, lines->bytes + size, room);
	lines->begin = 0;
	lines->end = size + (got > 0 ? (size_t)got : 0);
	lines->left -= lines->end - size;
	lines->is_broken = got < 0;
	lines->is_over = got <= 0;
}

/* The next line, which may be changed, without its end. Returns false after the last one. */
static bool lines_next(struct lines *lines, struct span *line)
{
	bool is_too_long = false;

	for (;;) {
		char *start = lines->bytes + lines->begin;
		size_t size = lines->end - lines->begin;
		char *newline = memchr(start, '\n', size);
		bool is_whole = newline || (lines->is_over && size && lines->left && !lines->is_broken);

		if (is_whole) {
			*line = (struct span){start, newline ? (size_t)(newline - start) : size};
			lines->begin += newline ? line->length + 1 : size;
			if (!is_too_long)
				return true;
			is_too_long = false;
			continue;
		}
		if (lines->is_over)
			return false;
		if (size == sizeof lines->bytes) {
			is_too_long = true;
			lines->begin = lines->end;
		}
		lines_fill(lines);
	}
}

/*
 * Words
 */

static bool is_text(struct span span, const char *text)
{
	return span.length == strlen(text) && memcmp(span.at, text, span.length) == 0;
}

/* Digits and nothing else. Returns false, with nothing changed, for all else. */
static bool parse_number(struct span digits, uint64_t *number)
{
	uint64_t value = 0;

	for (size_t i = 0; i < digits.length; i++) {
		char digit = digits.at[i];
		if (digit < '0' || digit > '9' || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(digit - '0'), &value))
			return false;
	}
	if (digits.length)
		*number = value;
	return digits.length > 0;
}

/* Take the bytes up to the next separator from the front, maybe none; `at` of what is left is NULL
 * after the last one. Returns false if it was. */
static bool take_field(struct span *rest, char separator, struct span *field)
{
	if (!rest->at)
		return false;
	char *stop = memchr(rest->at, separator, rest->length);
	*field = *rest;
	if (stop) {
		field->length = (size_t)(stop - rest->at);
		*rest = (struct span){stop + 1, rest->length - field->length - 1};
	} else {
		*rest = (struct span){0};
	}
	return true;
}

/* Is the word in a list with commas? */
static bool is_listed(struct span list, const char *word)
{
	struct span item;

	while (take_field(&list, ',', &item)) {
		if (is_text(item, word))
			return true;
	}
	return false;
}

/* The least that was found. */
struct least {
	bool is_known;
	uint64_t available;
	int source;
};

/* Of two that say the same, the later one counts. */
static void consider(struct least *least, uint64_t available, int source)
{
	if (!least->is_known || available <= least->available)
		*least = (struct least){true, available, source};
}

/*
 * The system
 */

enum { MEM_AVAILABLE, MEM_FREE, BUFFERS, CACHED, SHMEM, MEMINFO_LINES };

static const char *const meminfo_names[MEMINFO_LINES] = {"MemAvailable", "MemFree", "Buffers",
														 "Cached", "Shmem"};

struct meminfo {
	bool seen[MEMINFO_LINES];
	bool known[MEMINFO_LINES];
	uint64_t bytes[MEMINFO_LINES];
};

static bool parse_kilobytes(struct span text, uint64_t *bytes)
{
	static const char unit[] = " kB";
	const size_t unit_length = sizeof unit - 1;

	while (text.length && *text.at == ' ')
		text = (struct span){text.at + 1, text.length - 1};
	if (text.length < unit_length ||
		memcmp(text.at + text.length - unit_length, unit, unit_length) != 0)
		return false;
	text.length -= unit_length;
	return parse_number(text, bytes) && !__builtin_mul_overflow(*bytes, 1024, bytes);
}

static void parse_meminfo_line(struct meminfo *info, struct span line)
{
	struct span name;

	if (!take_field(&line, ':', &name) || !line.at)
		return;
	for (int i = 0; i < MEMINFO_LINES; i++) {
		if (!info->seen[i] && is_text(name, meminfo_names[i])) {
			info->seen[i] = true;
			info->known[i] = parse_kilobytes(line, &info->bytes[i]);
		}
	}
}

/* Kernels before 3.14 do not say what is available. Files of tmpfs are among the cached ones, but
 * stay. Returns false if it is unknown. */
static bool guess_available(const struct meminfo *info, uint64_t *available)
{
	uint64_t cached = info->bytes[CACHED];
	uint64_t stays = info->known[SHMEM] ? info->bytes[SHMEM] : 0;

	cached = cached > stays ? cached - stays : 0;
	return info->known[MEM_FREE] && info->known[BUFFERS] && info->known[CACHED] &&
		   !__builtin_add_overflow(info->bytes[MEM_FREE], info->bytes[BUFFERS], available) &&
		   !__builtin_add_overflow(*available, cached, available);
}

static void ask_system(struct least *least)
{
	struct lines *lines = &scratch.lines;
	struct meminfo info = {0};
	struct span line;
	uint64_t available = 0;

	if (!path_start(&scratch.path, "/proc/meminfo") || !lines_open(lines, &scratch.path))
		return;
	while (!info.seen[MEM_AVAILABLE] && lines_next(lines, &line))
		parse_meminfo_line(&info, line);
	if (!lines_close(lines))
		return;
	if (info.known[MEM_AVAILABLE])
		consider(least, info.bytes[MEM_AVAILABLE], MFS_MEMORY_SYSTEM);
	else if (!info.seen[MEM_AVAILABLE] && guess_available(&info, &available))
		consider(least, available, MFS_MEMORY_SYSTEM);
}

/*
 * One group
 */

/* The bytes of a file of one line, without its end: none if they are unknown. */
static struct span read_word(struct path *folder, const char *name, char *word, size_t room)
{
	size_t folder_length = folder->length;
	int fd = path_append(folder, name, strlen(name)) ? open_file(folder) : -1;
	size_t length = 0;
	ssize_t got = 0;

	path_cut(folder, folder_length);
	if (fd < 0)
		return (struct span){0};
	do {
		got = read_file(fd, word + length, room - length);
		if (got > 0)
			length += (size_t)got;
	} while (got > 0 && length < room);
	(void)close(fd);
	/* What fills the room may have been cut. */
	if (got < 0 || length == room)
		return (struct span){0};
	if (length && word[length - 1] == '\n')
		length--;
	return (struct span){word, length};
}

struct stat_line {
	const char *name;
	bool must_be;
	bool seen;
	uint64_t bytes;
};

/* Returns false if a line is missing that must be there, or one says no number. */
static bool read_stat(struct path *folder, struct stat_line *wanted, size_t count)
{
	static const char name[] = "/memory.stat";
	struct lines *lines = &scratch.lines;
	size_t folder_length = folder->length;
	bool good = path_append(folder, name, sizeof name - 1) && lines_open(lines, folder);
	struct span line;
	struct span key;

	path_cut(folder, folder_length);
	if (!good)
		return false;
	while (lines_next(lines, &line)) {
		if (!take_field(&line, ' ', &key))
			continue;
		for (size_t i = 0; i < count; i++) {
			struct stat_line *want = &wanted[i];
			if (want->seen || !want->name || !is_text(key, want->name))
				continue;
			want->seen = true;
			good = parse_number(line, &want->bytes) && good;
		}
	}
	if (!lines_close(lines))
		return false;
	for (size_t i = 0; i < count; i++)
		good = good && (wanted[i].seen || !wanted[i].must_be);
	return good;
}

/*
 * What a group gets back without I/O when it needs memory. Returns false if it is unknown.
 *
 * That is what MemAvailable counts for the system: pages of files, those in use as well as those
 * that are not, and the kernel's caches. Pages of tmpfs and shared memory are on other lists.
 * Unlike there, dirty pages and those on their way to the disk do not count: they are free when the
 * disk has them, and a group may meet its limit before that.
 */
static bool read_reclaimable(struct path *folder, const struct version *version, uint64_t *bytes)
{
	struct stat_line lines[] = {
		{.name = version->file_pages[0], .must_be = true},
		{.name = version->file_pages[1], .must_be = true},
		{.name = version->busy_pages[0]},
		{.name = version->busy_pages[1]},
		{.name = version->slab},
	};
	uint64_t file = 0;
	uint64_t busy = 0;

	if (!read_stat(folder, lines, COUNT_OF(lines)) ||
		__builtin_add_overflow(lines[0].bytes, lines[1].bytes, &file) ||
		__builtin_add_overflow(lines[2].bytes, lines[3].bytes, &busy))
		return false;
	file = file > busy ? file - busy : 0;
	return !__builtin_add_overflow(file, lines[4].bytes, bytes);
}

static void ask_group(struct path *folder, const struct version *version, struct least *least)
{
	char word[32];
	uint64_t limit = NO_LIMIT;
	uint64_t use = 0;
	uint64_t reclaimable = 0;

	for (size_t i = 0; i < COUNT_OF(version->limits) && version->limits[i]; i++) {
		uint64_t other = NO_LIMIT;
		/* "max" is no number either. */
		(void)parse_number(read_word(folder, version->limits[i], word, sizeof word), &other);
		limit = other < limit ? other : limit;
	}
	if (limit == NO_LIMIT)
		return;
	if (!parse_number(read_word(folder, version->use, word, sizeof word), &use))
		return;
	/* The kernel sums up memory.stat over all processors: not where it cannot matter. */
	if (limit > use && least->is_known && limit - use > least->available)
		return;
	/* Without it nothing is known: groups fill their limit with pages of files as a rule. */
	if (!read_reclaimable(folder, version, &reclaimable))
		return;
	use = use > reclaimable ? use - reclaimable : 0;
	consider(least, limit > use ? limit - use : 0, version->source);
}

/*
 * Hierarchies of groups
 */

/* Does one of the names in the path say "up"? */
static bool climbs(const char *path)
{
	for (const char *name = path; name; name = strchr(name, '/')) {
		while (*name == '/')
			name++;
		if (name[0] == '.' && name[1] == '.' && (name[2] == '/' || !name[2]))
			return true;
	}
	return false;
}

/* A line of /proc/self/cgroup: a number, controllers, and the group, which may have colons. Returns
 * true: there may be more. */
static bool parse_group_line(struct span line)
{
	struct span number;
	struct span controllers;
	struct hierarchy *hierarchy = NULL;

	if (!take_field(&line, ':', &number) || !take_field(&line, ':', &controllers) || !line.length ||
		*line.at != '/' || memchr(line.at, '\0', line.length))
		return true;
	if (is_listed(controllers, "memory"))
		hierarchy = &scratch.hierarchies[0];
	else if (!controllers.length && is_text(number, "0"))
		hierarchy = &scratch.hierarchies[1];
	if (!hierarchy)
		return true;
	path_cut(&hierarchy->group, 0);
	hierarchy->has_group = path_append(&hierarchy->group, line.at, line.length);
	return true;
}

/* Put the bytes back that mountinfo writes in octal: blanks and the like. */
static void unescape(struct span *text)
{
	size_t length = 0;

	for (size_t from = 0; from < text->length; from++) {
		const char *code = text->at + from;
		char byte = *code;
		if (byte == '\\' && text->length - from > 3 && code[1] >= '0' && code[1] <= '3' &&
			code[2] >= '0' && code[2] <= '7' && code[3] >= '0' && code[3] <= '7') {
			byte = (char)((code[1] - '0') << 6 | (code[2] - '0') << 3 | (code[3] - '0'));
			from += 3;
		}
		text->at[length++] = byte;
	}
	text->length = length;
}

/* How the mount of a folder shows the group; *hidden is set for FIT_BELOW. */
static enum fit fit_of(const struct path *group, struct span root, size_t *hidden)
{
	if (root.length == 1)
		root.length = 0;
	if (root.length > group->length || memcmp(group->bytes, root.at, root.length) != 0)
		return FIT_OUTSIDE;
	const char *rest = group->bytes + root.length;
	if ((*rest && *rest != '/') || climbs(rest))
		return FIT_OUTSIDE;
	*hidden = root.length;
	return FIT_BELOW;
}

/*
 * Keep the mount if it is better than the one before: if it shows the group, and more of the groups
 * above. A later one at the same place hides the one before.
 */
static void offer_mount(struct hierarchy *hierarchy, struct span root, struct span top)
{
	struct path *old = &hierarchy->top;
	size_t hidden = 0;
	enum fit fit = fit_of(&hierarchy->group, root, &hidden);

	if (hierarchy->fit != FIT_NONE && !is_text(top, old->bytes) &&
		(fit < hierarchy->fit || (fit == hierarchy->fit && hidden >= hierarchy->hidden)))
		return;
	path_cut(old, 0);
	hierarchy->fit = path_append(old, top.at, top.length) ? fit : FIT_NONE;
	hierarchy->hidden = hidden;
}

/*
 * A line of mountinfo: two numbers, a device, the folder that is mounted, where it is, options, any
 * number of tags, "-", a type, a source, the file system's options. Paths that start at the top of
 * a namespace do so here and in /proc/self/cgroup.
 */
static void parse_mount(struct span line)
{
	struct span fields[6];
	struct span field;
	struct hierarchy *hierarchy = NULL;

	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		if (!take_field(&line, ' ', &fields[i]))
			return;
	}
	do {
		if (!take_field(&line, ' ', &field))
			return;
	} while (!is_text(field, "-"));
	if (!take_field(&line, ' ', &field))
		return;
	if (is_text(field, "cgroup2"))
		hierarchy = &scratch.hierarchies[1];
	else if (is_text(field, "cgroup") && take_field(&line, ' ', &field) &&
			 take_field(&line, ' ', &field) && is_listed(field, "memory"))
		hierarchy = &scratch.hierarchies[0];
	if (!hierarchy || !hierarchy->has_group)
		return;
	unescape(&fields[3]);
	unescape(&fields[4]);
	if (fields[3].length && *fields[3].at == '/' && fields[4].length && *fields[4].at == '/' &&
		!memchr(fields[4].at, '\0', fields[4].length))
		offer_mount(hierarchy, fields[3], fields[4]);
}

/* Is there nothing better to find for the hierarchy? */
static bool is_settled(const struct hierarchy *hierarchy)
{
	return !hierarchy->has_group || (hierarchy->fit == FIT_BELOW && !hierarchy->hidden);
}

/* Returns false when the lines that follow do not matter: on hosts of containers they are many. */
static bool parse_mount_line(struct span line)
{
	parse_mount(line);
	return !is_settled(&scratch.hierarchies[0]) || !is_settled(&scratch.hierarchies[1]);
}

/* What cannot be read is as good as empty. `parse` returns false when it has seen enough. */
static void parse_lines(const char *name, bool (*parse)(struct span line))
{
	struct lines *lines = &scratch.lines;
	struct span line;

	if (!path_start(&scratch.path, name) || !lines_open(lines, &scratch.path))
		return;
	while (lines_next(lines, &line) && parse(line))
		continue;
	(void)lines_close(lines);
}

/*
 * Ask the group and all above it, up to the top: each has a limit of its own. A group that is not
 * there has been removed, or is not shown, but those above it hold.
 */
static void ask_groups_up(const char *top, const char *group, const struct version *version,
						  struct least *least)
{
	struct path *folder = &scratch.path;

	if (!path_start(folder, top))
		return;
	size_t top_length = folder->length;
	if (!path_append(folder, group, strlen(group)))
		return;
	for (;;) {
		while (folder->length > top_length && folder->bytes[folder->length - 1] == '/')
			path_cut(folder, folder->length - 1);
		ask_group(folder, version, least);
		if (folder->length == top_length)
			return;
		while (folder->length > top_length && folder->bytes[folder->length - 1] != '/')
			path_cut(folder, folder->length - 1);
	}
}

static void ask_hierarchy(const struct hierarchy *hierarchy, const struct version *version,
						  struct least *least)
{
	const char *group = hierarchy->group.bytes;

	if (!hierarchy->has_group)
		return;
	/* Of a group outside of what is shown, only the top can be asked: in a container that is the
	 * container's. */
	if (hierarchy->fit != FIT_NONE) {
		group = hierarchy->fit == FIT_BELOW ? group + hierarchy->hidden : "";
		ask_groups_up(hierarchy->top.bytes, group, version, least);
		return;
	}
	if (climbs(group))
		group = "";
	for (size_t i = 0; i < COUNT_OF(version->usual_tops) && version->usual_tops[i]; i++)
		ask_groups_up(version->usual_tops[i], group, version, least);
}

bool mfs__memory_sample(struct mfs__memory_sample *sample)
{
	int saved_errno = errno;
	struct hierarchy *hierarchies = scratch.hierarchies;
	struct least least = {.source = MFS_MEMORY_UNKNOWN};

	scratch.starved = false;
	for (size_t i = 0; i < COUNT_OF(scratch.hierarchies); i++) {
		hierarchies[i].has_group = false;
		hierarchies[i].fit = FIT_NONE;
	}
	ask_system(&least);
	parse_lines("/proc/self/cgroup", parse_group_line);
	if (hierarchies[0].has_group || hierarchies[1].has_group)
		parse_lines("/proc/self/mountinfo", parse_mount_line);
	ask_hierarchy(&hierarchies[0], &version_1, &least);
	ask_hierarchy(&hierarchies[1], &version_2, &least);
	errno = saved_errno;
	if (scratch.starved)
		return false;
	*sample = (struct mfs__memory_sample){.available = least.available, .source = least.source};
	return true;
}

/*
 * Pressure
 */

/*
 * Of the system and not of the group, which might be told apart from what strangers do: only who
 * owns a group may write to its memory.pressure, and a wakeup too many costs a sample.
 */
int mfs__memory_pressure_open(void)
{
	/* Threads wait for so many microseconds in so many. Without privileges the second must be a
	 * multiple of two seconds. The kernel wants the NUL. */
	static const char soon[] = "some 150000 1000000";
	static const char later[] = "some 200000 2000000";
	int saved_errno = errno;
	struct path path;
	int fd = -1;

	if (path_start(&path, "/proc/pressure/memory"))
		fd = open(path.bytes, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && write(fd, soon, sizeof soon) != sizeof soon &&
		write(fd, later, sizeof later) != sizeof later) {
		(void)close(fd);
		fd = -1;
	}
	errno = saved_errno;
	return fd;
}
