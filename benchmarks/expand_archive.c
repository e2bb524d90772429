/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_expand: how long it takes to expand an archive into a workspace, at once and file by file,
 * beside tar, unzip and bsdtar that unpack it into a directory of tmpfs.
 *
 * All sides read the same file of the host, which has been read before. The others are processes of
 * their own, whose start is inside the clock; they are told to leave owners, modes and times alone,
 * as a workspace has none. What was unpacked is removed, and the workspace freed, outside of it. No
 * other workspace is alive, so that all memory is fresh for each run, as it is for tmpfs; but for
 * the side "again", which is the atomic one in a process that has just done the same and freed it.
 */
#include "dmemfs/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE       4096u
#define MOST_ARCHIVES   32u
#define MOST_ROUNDS     99u
#define MOST_ARGUMENTS  16
#define DEFAULT_REPEAT  5u
#define DOCUMENTATION   "/usr/share/doc"
#define PACKAGES        "/var/cache/apt/archives"
#define QUOTA           (UINT64_C(64) << 30)
#define READ_SIZE       ((size_t)1 << 20)
#define NS_PER_S        1e9
#define US_PER_S        1e6
#define MS_PER_S        1e3
#define MIB             (1024.0 * 1024.0)
#define NO_SUCH_PROGRAM 127

enum side { ATOMIC, STREAMING, AGAIN, TAR, BSDTAR, UNZIP, SIDES };

static const char *const side_names[SIDES] = {"atomic", "streaming", "again",
											  "tar",    "bsdtar",    "unzip"};

/* What the processes do, with the archive and the directory in the place of the NULLs. */
struct command {
	const char *arguments[MOST_ARGUMENTS];
	int archive_at;
	int directory_at;
};

static const struct command commands[SIDES] = {
	[TAR] = {{"tar", "-x", "-m", "--no-same-owner", "--no-same-permissions", "-f", "", "-C", ""},
			 6,
			 8},
	[BSDTAR] = {{"bsdtar", "-x", "-m", "--no-same-owner", "--no-same-permissions", "-f", "", "-C",
				 ""},
				6,
				8},
	[UNZIP] = {{"unzip", "-q", "-DD", "", "-d", ""}, 3, 5},
};

/* Seconds. */
struct times {
	double wall;
	double cpu; /* of the process and its children, user and system */
};

struct archive {
	const char *path;
	bool is_zip;
	uint64_t size;
	int64_t files;
	uint64_t bytes; /* of the files */
	uint64_t left_out;
	struct times runs[SIDES][MOST_ROUNDS];
};

struct options {
	unsigned repeat;
	size_t count;
	struct archive archives[MOST_ARCHIVES];
};

/* The directory of this process on tmpfs, "" before it is made. */
static char top[64];

/* A signal has come: its number. */
static volatile sig_atomic_t interrupted;

/*
 * Ending
 */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *format, ...)
{
	va_list arguments;

	(void)fflush(stdout);
	(void)fputs("dmemfs_expand: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	if (top[0] != '\0')
		remove_tree(top);
	exit(1);
}

static void note_signal(int number)
{
	interrupted = number;
}

static void check_interrupted(void)
{
	if (interrupted != 0)
		die("ended by signal %d", (int)interrupted);
}

/*
 * Processes
 */

/* Start a program with its standard output in a file, or NULL. Returns its number, 0: none there.
 */
static pid_t start(char *const *arguments, const char *directory, const char *output)
{
	posix_spawn_file_actions_t actions;
	pid_t child = 0;

	if (posix_spawn_file_actions_init(&actions) != 0)
		die("out of memory");
	if (directory)
		(void)posix_spawn_file_actions_addchdir_np(&actions, directory);
	if (output) {
		(void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output,
											   O_WRONLY | O_CREAT | O_TRUNC, 0600);
	}
	int error = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (error != 0 && error != ENOENT)
		die("cannot start %s: %s", arguments[0], strerror(error));
	return error == 0 ? child : 0;
}

/* Wait for its end, and tell what it took. Returns false if there is no such program. */
static bool finish(pid_t child, struct rusage *usage)
{
	int status = 0;

	if (child == 0)
		return false;
	while (wait4(child, &status, 0, usage) < 0) {
		if (errno != EINTR)
			die("wait4: %s", strerror(errno));
	}
	check_interrupted();
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SUCH_PROGRAM)
		return false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("a program failed that this one has started");
	return true;
}

/* Run a program for its effect. Returns false if there is none. */
static bool run(char *const *arguments, const char *directory, const char *output)
{
	struct rusage usage;

	return finish(start(arguments, directory, output), &usage);
}

static bool is_there(const char *program)
{
	char *arguments[] = {"sh", "-c", NULL, NULL};
	char command[64];
	struct rusage usage;
	int status = 0;

	(void)snprintf(command, sizeof command, "command -v %s >/dev/null", program);
	arguments[2] = command;
	pid_t child = start(arguments, NULL, NULL);
	return child != 0 && wait4(child, &status, 0, &usage) == child && WIFEXITED(status) &&
		   WEXITSTATUS(status) == 0;
}

/*
 * Measuring
 */

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / NS_PER_S;
}

static double seconds_of(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / US_PER_S;
}

static double cpu_of(const struct rusage *usage)
{
	return seconds_of(&usage->ru_utime) + seconds_of(&usage->ru_stime);
}

static double own_cpu(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return cpu_of(&usage);
}

static struct times expand(struct archive *archive, bool streaming)
{
	mfs_options options = {.struct_size = sizeof options, .max_quota = QUOTA};
	mfs_archive_progress result = {.files = 0};
	mfs_archive_options how = {.struct_size = sizeof how};
	mfs_archive_source source = mfs_archive_from_host(archive->path);
	mfs *fs;

	how.on_unsafe = MFS_ARCHIVE_SKIP_UNSAFE;
	/* Streamed, a name that comes twice is one that the workspace has. */
	how.on_conflict = streaming ? MFS_ARCHIVE_SKIP : MFS_ARCHIVE_ERROR;
	how.result = &result;
	if (mfs_new(&options, &fs) != 0)
		die("%s", mfs_last_error());
	double cpu = own_cpu();
	double begin = now();
	int64_t files = streaming ? mfs_expand_archive_streaming(fs, "/", &source, &how)
							  : mfs_expand_archive(fs, "/", &source, &how);
	struct times times = {.wall = now() - begin};
	times.cpu = own_cpu() - cpu;
	if (files < 0)
		die("%s: %s", archive->path, mfs_last_error());
	if (mfs_free(fs) != 0)
		die("%s", mfs_last_error());
	if (archive->files >= 0 && files != archive->files)
		die("%s: not the same files each time", archive->path);
	archive->files = files;
	archive->bytes = result.bytes;
	archive->left_out = result.unsafe;
	return times;
}

/* With memory at hand that a workspace before has used. */
static struct times expand_again(struct archive *archive)
{
	mfs *keeper;

	/* While there is a workspace, freed memory is kept for the next file. */
	if (mfs_new(NULL, &keeper) != 0)
		die("%s", mfs_last_error());
	(void)expand(archive, false);
	struct times times = expand(archive, false);
	if (mfs_free(keeper) != 0)
		die("%s", mfs_last_error());
	return times;
}

/* By a program, into a directory of tmpfs. */
static struct times unpack(const struct archive *archive, enum side side)
{
	const struct command *command = &commands[side];
	char *arguments[MOST_ARGUMENTS + 1] = {NULL};
	char directory[sizeof top + 16];
	struct rusage usage;

	(void)snprintf(directory, sizeof directory, "%s/unpacked", top);
	if (mkdir(directory, 0700) != 0)
		die("%s: %s", directory, strerror(errno));
	for (int i = 0; i < MOST_ARGUMENTS && command->arguments[i]; i++)
		arguments[i] = (char *)(uintptr_t)command->arguments[i];
	arguments[command->archive_at] = (char *)(uintptr_t)archive->path;
	arguments[command->directory_at] = directory;
	double begin = now();
	if (!finish(start(arguments, NULL, NULL), &usage))
		die("%s is not installed", side_names[side]);
	struct times times = {.wall = now() - begin, .cpu = cpu_of(&usage)};
	remove_tree(directory);
	return times;
}

static bool takes_part(const struct archive *archive, enum side side)
{
	static int there[SIDES] = {[ATOMIC] = 1, [STREAMING] = 1, [AGAIN] = 1};

	if ((side == TAR && archive->is_zip) || (side == UNZIP && !archive->is_zip))
		return false;
	if (there[side] == 0)
		there[side] = is_there(side_names[side]) ? 1 : -1;
	return there[side] == 1;
}

/* Read it, so that it lies in memory from now on, and see what it is. */
static void look_at(struct archive *archive)
{
	unsigned char *buffer = malloc(READ_SIZE);
	int fd = open(archive->path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (!buffer)
		die("out of memory");
	if (fd < 0)
		die("%s: %s", archive->path, strerror(errno));
	while ((got = read(fd, buffer, READ_SIZE)) > 0) {
		if (archive->size == 0)
			archive->is_zip = got > 4 && memcmp(buffer, "PK\3\4", 4) == 0;
		archive->size += (uint64_t)got;
	}
	if (got < 0)
		die("%s: %s", archive->path, strerror(errno));
	(void)close(fd);
	free(buffer);
	archive->files = -1;
}

static struct times measure_side(struct archive *archive, enum side side)
{
	if (side == AGAIN)
		return expand_again(archive);
	return side < AGAIN ? expand(archive, side == STREAMING) : unpack(archive, side);
}

/*
 * Rounds of all archives and sides. Each round begins with another side: what one has freed, the
 * next one gets from the system, and not all free memory costs the same.
 */
static void measure(struct options *options)
{
	/* The first round is a warm-up. */
	for (unsigned round = 0; round <= options->repeat; round++) {
		for (size_t i = 0; i < options->count; i++) {
			struct archive *archive = &options->archives[i];
			for (unsigned turn = 0; turn < SIDES; turn++) {
				enum side side = (round + turn) % SIDES;
				if (!takes_part(archive, side))
					continue;
				struct times times = measure_side(archive, side);
				if (round > 0)
					archive->runs[side][round - 1] = times;
				check_interrupted();
			}
		}
	}
}

/*
 * Results
 */

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one;
	double b = *(const double *)other;

	return (a > b) - (a < b);
}

/* Of sorted values. */
static double median(const double *values, unsigned count)
{
	return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct summary {
	double median;
	double least;
	double cpu; /* median */
};

static struct summary sum_up(const struct archive *archive, enum side side, unsigned count)
{
	double wall[MOST_ROUNDS] = {0};
	double cpu[MOST_ROUNDS] = {0};

	for (unsigned i = 0; i < count; i++) {
		wall[i] = archive->runs[side][i].wall;
		cpu[i] = archive->runs[side][i].cpu;
	}
	qsort(wall, count, sizeof *wall, compare);
	qsort(cpu, count, sizeof *cpu, compare);
	return (struct summary){median(wall, count), wall[0], median(cpu, count)};
}

static void print_commands(void)
{
	puts(
		"Milliseconds of wall time, the median of the rounds and the least, and of user + system\n"
		"time, the median. The start of a process is in the times of tar, bsdtar and unzip.\n"
		"\"again\": atomic, in memory that an expansion before has left. Speed-up: how many times\n"
		"as long as the atomic expansion a side takes, by the medians. The commands:");
	for (enum side side = TAR; side < SIDES; side++) {
		(void)fputs("   ", stdout);
		for (int i = 0; i < MOST_ARGUMENTS && commands[side].arguments[i]; i++) {
			const char *argument = commands[side].arguments[i];
			if (i == commands[side].archive_at)
				argument = "ARCHIVE";
			else if (i == commands[side].directory_at)
				argument = "DIRECTORY";
			printf(" %s", argument);
		}
		putchar('\n');
	}
}

static void print_results(const struct options *options)
{
	print_commands();
	for (size_t i = 0; i < options->count; i++) {
		const struct archive *archive = &options->archives[i];
		double atomic = sum_up(archive, ATOMIC, options->repeat).median;
		printf("\n%s: %.1f MiB, %lld files of %.1f MiB, %llu entries left out\n", archive->path,
			   (double)archive->size / MIB, (long long)archive->files, (double)archive->bytes / MIB,
			   (unsigned long long)archive->left_out);
		printf("  %-10s %10s %10s %12s %10s\n", "", "wall", "least", "user + sys", "speed-up");
		for (enum side side = ATOMIC; side < SIDES; side++) {
			if (!takes_part(archive, side))
				continue;
			struct summary sum = sum_up(archive, side, options->repeat);
			printf("  %-10s %10.1f %10.1f %12.1f %9.2fx\n", side_names[side], sum.median * MS_PER_S,
				   sum.least * MS_PER_S, sum.cpu * MS_PER_S, sum.median / atomic);
		}
	}
}

/*
 * Archives of what this machine has
 */

static void add_archive(struct options *options, const char *path)
{
	if (options->count == MOST_ARCHIVES)
		die("more than %u archives", MOST_ARCHIVES);
	options->archives[options->count].path = path;
	options->count++;
}

/* Add a path below the directory on tmpfs, if `made`. */
static void add_made(struct options *options, const char *path, bool made)
{
	char *copy = made ? strdup(path) : NULL;

	if (made && !copy)
		die("out of memory");
	if (made)
		add_archive(options, copy);
	else
		printf("%s is left out: a program is missing that would make it\n", path);
}

/* The bytes of the largest package are in the file that nftw() has found. */
static char largest_package[PATH_SIZE];
static off_t largest_size;

static int find_package(const char *path, const struct stat *info, int type, struct FTW *place)
{
	size_t length = strlen(path);

	(void)place;
	if (type == FTW_F && info->st_size > largest_size && length > 4 && length < PATH_SIZE &&
		strcmp(path + length - 4, ".deb") == 0) {
		largest_size = info->st_size;
		memcpy(largest_package, path, length + 1);
	}
	return 0;
}

static void make_archives(struct options *options)
{
	char path[PATH_SIZE];
	char *tar[] = {"tar", "-c", "-f", path, "-C", DOCUMENTATION, ".", NULL};
	char *tar_gzip[] = {"tar", "-c", "-z", "-f", path, "-C", DOCUMENTATION, ".", NULL};
	char *zip[] = {"zip", "-q", "-r", "-y", path, ".", NULL};
	char *package[] = {"dpkg-deb", "--fsys-tarfile", largest_package, NULL};

	(void)snprintf(path, sizeof path, "%s/doc.tar.gz", top);
	add_made(options, path, run(tar_gzip, NULL, NULL));
	(void)snprintf(path, sizeof path, "%s/doc.tar", top);
	add_made(options, path, run(tar, NULL, NULL));
	(void)snprintf(path, sizeof path, "%s/doc.zip", top);
	add_made(options, path, run(zip, DOCUMENTATION, NULL));
	(void)nftw(PACKAGES, find_package, 16, FTW_PHYS);
	if (largest_size > 0) {
		printf("package.tar is what %s holds\n", largest_package);
		(void)snprintf(path, sizeof path, "%s/package.tar", top);
		add_made(options, path, run(package, NULL, path));
	}
}

/*
 * The program
 */

static void print_usage(void)
{
	(void)fputs("usage: dmemfs_expand [--repeat 5] [ARCHIVE...]\n"
				"\n"
				"  --repeat N   rounds, after one that does not count (1 to 99)\n"
				"  ARCHIVE      tar, compressed or not, or zip; default: tar.gz, tar and zip of\n"
				"               " DOCUMENTATION ", and the tar of the largest Debian package in\n"
				"               " PACKAGES "\n",
				stdout);
}

static void read_options(int count, char **arguments, struct options *options)
{
	static const struct option known[] = {
		{"repeat", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	options->repeat = DEFAULT_REPEAT;
	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		char *end = NULL;
		unsigned long repeat = letter == 'r' ? strtoul(optarg, &end, 10) : 0;
		switch (letter) {
		case 'r':
			if (*end != '\0' || repeat < 1 || repeat > MOST_ROUNDS)
				die("--repeat takes a number from 1 to %u", MOST_ROUNDS);
			options->repeat = (unsigned)repeat;
			break;
		case 'h':
			print_usage();
			exit(0);
		default:
			exit(2);
		}
	}
	for (int i = optind; i < count; i++)
		add_archive(options, arguments[i]);
}

int main(int count, char **arguments)
{
	static struct options options;
	struct sigaction act = {.sa_handler = note_signal};

	read_options(count, arguments, &options);
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	(void)snprintf(top, sizeof top, "/dev/shm/dmemfs-expand.XXXXXX");
	if (!mkdtemp(top)) {
		top[0] = '\0';
		die("cannot make a directory in /dev/shm: %s", strerror(errno));
	}
	if (options.count == 0)
		make_archives(&options);
	for (size_t i = 0; i < options.count; i++)
		look_at(&options.archives[i]);
	measure(&options);
	print_results(&options);
	remove_tree(top);
	return 0;
}
