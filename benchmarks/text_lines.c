/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_text_lines: how fast the lines of a large text come out of a workspace, beside getline()
 * on a file in /dev/shm, and memchr() on the same bytes in plain memory, which no reader of lines
 * can undercut by much.
 *
 *     dmemfs_text_lines [--size MiB] [--repeat N]
 *
 * The readers do unequal work: a text handle checks that each byte is UTF-8, and takes "\r" and
 * "\r\n" for line ends, too; getline() copies and looks at no byte twice; memchr() only looks for
 * '\n'. Each adds up the lengths of the lines and the last byte before their ends. They take turns;
 * the figures are medians.
 */
#include <dmemfs/text.h>

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB          ((size_t)1 << 20)
#define LINE_MIN     20u
#define LINE_MAX     120u
#define REPEAT_MAX   99u
#define NS_PER_S     INT64_C(1000000000)
#define PIECE        ((size_t)1 << 20)
#define READERS      4u
#define HOST_PATTERN "/dev/shm/mfs_text_XXXXXX"

/* The three texts. */
struct variant {
	const char *name;
	/* Of a hundred characters, how many are not ASCII, and the first of those. */
	unsigned foreign_percent;
	unsigned foreign_first;
	unsigned foreign_count;
};

static const struct variant variants[] = {
	{"ASCII", 0, 0, 1},
	{"5 % of 2 bytes", 5, 0xE0, 0x20},
	{"CJK", 100, 0x4E00, 0x2000},
};

struct bench {
	uint8_t *text;
	size_t size;
	mfs *fs;
	char host_path[sizeof HOST_PATTERN];
};

/* What a reader found, so that it cannot be left out, and can be compared. */
struct found {
	uint64_t lines;
	uint64_t bytes;
	uint64_t last_bytes;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "dmemfs_text_lines: %s\n", what);
	exit(1);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t put_character(uint8_t *to, unsigned character)
{
	if (character < 0x80) {
		to[0] = (uint8_t)character;
		return 1;
	}
	if (character < 0x800) {
		to[0] = (uint8_t)(0xC0 | character >> 6);
		to[1] = (uint8_t)(0x80 | (character & 0x3F));
		return 2;
	}
	to[0] = (uint8_t)(0xE0 | character >> 12);
	to[1] = (uint8_t)(0x80 | (character >> 6 & 0x3F));
	to[2] = (uint8_t)(0x80 | (character & 0x3F));
	return 3;
}

/* Lines of 20 to 120 bytes, at random. */
static void make_text(struct bench *bench, const struct variant *variant)
{
	uint64_t state = UINT64_C(88172645463325252);
	size_t at = 0;

	while (at < bench->size) {
		size_t end = at + LINE_MIN + random_next(&state) % (LINE_MAX - LINE_MIN + 1) - 1;
		if (end > bench->size - 1)
			end = bench->size - 1;
		while (at + 3 <= end) {
			bool foreign = random_next(&state) % 100 < variant->foreign_percent;
			unsigned pick = (unsigned)(random_next(&state) >> 32);
			at += put_character(bench->text + at,
								foreign ? variant->foreign_first + pick % variant->foreign_count
										: ' ' + pick % ('~' - ' '));
		}
		memset(bench->text + at, '.', end - at);
		at = end;
		bench->text[at++] = '\n';
	}
}

static void put_file(struct bench *bench)
{
	mfs_file *file;

	if (mfs_open(bench->fs, "/text", "wb", &file))
		die(mfs_last_error());
	for (size_t at = 0; at < bench->size; at += PIECE) {
		size_t size = bench->size - at < PIECE ? bench->size - at : PIECE;
		if (mfs_write(file, bench->text + at, size) < 0)
			die(mfs_last_error());
	}
	if (mfs_close(file))
		die(mfs_last_error());
}

static void put_host_file(struct bench *bench)
{
	int fd = open(bench->host_path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		die("cannot open a file in /dev/shm");
	for (size_t at = 0; at < bench->size;) {
		size_t size = bench->size - at < PIECE ? bench->size - at : PIECE;
		ssize_t written = write(fd, bench->text + at, size);
		if (written <= 0)
			die("cannot write to /dev/shm");
		at += (size_t)written;
	}
	(void)close(fd);
}

static void add_line(struct found *found, const uint8_t *line, size_t length)
{
	found->lines++;
	found->bytes += length;
	found->last_bytes += length > 1 ? line[length - 2] : 0;
}

static void read_text(struct bench *bench, unsigned flags, struct found *found)
{
	mfs_open_options options = {.struct_size = sizeof options, .flags = flags};
	mfs_file *file = NULL;
	mfs_text *text = NULL;
	const char *line;
	int64_t length;

	if (mfs_open_ex(bench->fs, "/text", "rb", &options, &file) || mfs_text_open(file, NULL, &text))
		die(mfs_last_error());
	while ((length = mfs_text_readline(text, &line)) > 0)
		add_line(found, (const uint8_t *)line, (size_t)length);
	if (length < 0 || mfs_text_close(text) || mfs_close(file))
		die(mfs_last_error());
}

static void read_host(struct bench *bench, struct found *found)
{
	FILE *stream = fopen(bench->host_path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (!stream)
		die("cannot open a file in /dev/shm");
	while ((length = getline(&line, &room, stream)) > 0)
		add_line(found, (const uint8_t *)line, (size_t)length);
	free(line);
	(void)fclose(stream);
}

static void read_memory(struct bench *bench, struct found *found)
{
	const uint8_t *at = bench->text;
	const uint8_t *end = at + bench->size;

	while (at < end) {
		const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = stop ? (size_t)(stop + 1 - at) : (size_t)(end - at);
		add_line(found, at, length);
		at += length;
	}
}

static int64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left;
	int64_t b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

static int64_t median(int64_t *times, unsigned count)
{
	qsort(times, count, sizeof *times, compare);
	return times[count / 2];
}

static void measure(struct bench *bench, const struct variant *variant, unsigned repeat)
{
	int64_t times[READERS][REPEAT_MAX];
	uint64_t lines = 0;
	double medians[READERS];

	make_text(bench, variant);
	put_file(bench);
	put_host_file(bench);
	/* The first turn warms up. */
	for (unsigned turn = 0; turn <= repeat; turn++) {
		struct found found[READERS] = {{0, 0, 0}};
		for (unsigned reader = 0; reader < READERS; reader++) {
			int64_t begin = now();
			switch (reader) {
			case 0:
				read_text(bench, 0, &found[reader]);
				break;
			case 1:
				read_host(bench, &found[reader]);
				break;
			case 2:
				read_memory(bench, &found[reader]);
				break;
			default:
				read_text(bench, MFS_O_SHARED, &found[reader]);
				break;
			}
			if (turn > 0)
				times[reader][turn - 1] = now() - begin;
			if (memcmp(&found[reader], &found[0], sizeof found[0]) != 0)
				die("the readers disagree");
		}
		lines = found[0].lines;
	}
	for (unsigned reader = 0; reader < READERS; reader++)
		medians[reader] = (double)median(times[reader], repeat) / (double)lines;
	printf("%-15s %9llu %8.1f %8.1f %8.1f %8.1f %9.2f %9.2f\n", variant->name,
		   (unsigned long long)lines, medians[0], medians[1], medians[2], medians[3],
		   medians[1] / medians[0], medians[0] / medians[2]);
	(void)fflush(stdout);
}

static unsigned long number_of(const char *argument, unsigned long most)
{
	char *end;
	unsigned long number = strtoul(argument, &end, 10);

	if (end == argument || *end || number < 1 || number > most)
		die("usage: dmemfs_text_lines [--size MiB] [--repeat N]");
	return number;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"size", required_argument, NULL, 's'},
		{"repeat", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	struct bench bench = {.size = 100 * MIB, .host_path = HOST_PATTERN};
	unsigned repeat = 9;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (option == 's')
			bench.size = number_of(optarg, 4096) * MIB;
		else if (option == 'r')
			repeat = (unsigned)number_of(optarg, REPEAT_MAX);
		else
			die("usage: dmemfs_text_lines [--size MiB] [--repeat N]");

	mfs_options options = {.struct_size = sizeof options};
	options.max_quota = 2 * bench.size + 16 * MIB;
	bench.text = malloc(bench.size);
	if (!bench.text || mfs_new(&options, &bench.fs))
		die("out of memory");
	int fd = mkstemp(bench.host_path);
	if (fd < 0)
		die("cannot make a file in /dev/shm");
	(void)close(fd);

	printf("%zu MiB of text, lines of %u to %u bytes; ns for a line, medians of %u\n\n",
		   bench.size / MIB, LINE_MIN, LINE_MAX, repeat);
	printf("%-15s %9s %8s %8s %8s %8s %9s %9s\n", "text", "lines", "dmemfs", "getline", "memchr",
		   "shared", "getline/", "dmemfs/");
	printf("%-15s %9s %8s %8s %8s %8s %9s %9s\n", "", "", "", "", "", "handle", "dmemfs", "memchr");
	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
		measure(&bench, &variants[i], repeat);

	(void)unlink(bench.host_path);
	free(bench.text);
	return mfs_free(bench.fs) ? 1 : 0;
}
