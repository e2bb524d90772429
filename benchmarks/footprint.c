/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_footprint: the resident memory of a process with a workspace in it, beside the bytes that
 * are stored and the quota that is charged for them; and what comes back, and when. README.md says
 * how to read the figures.
 *
 * Each case runs in a process of its own, which executes this program anew.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORIES   100u
#define PATH_SIZE     64u
#define PIECE         (UINT32_C(64) << 10)
#define CHURN_PIECE   (UINT32_C(4) << 10)
#define CHURN_LARGEST (UINT32_C(64) << 10)
#define CHURN_PARTS   4u
#define QUOTA         (UINT64_C(64) << 30)
#define HUGE_FILE     (UINT64_C(1) << 30)
#define SMALL_FILE    100u
/* Bytes by which the contents of files are shifted against each other. */
#define SHIFTS       4096u
#define MOST_SAMPLES 16u
#define NS_PER_S     INT64_C(1000000000)
#define MIB          (1024.0 * 1024.0)

/* jemalloc's, where the program has it. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size)
	__attribute__((weak));

struct options {
	const char *json;
	unsigned files;
	unsigned many;
	unsigned operations;
	unsigned live_mib;
	/* Names of cases, or NULL for all. */
	char *cases;
	/* In a process that runs one case: which, and where its outcome goes. */
	const char *child;
	int result_fd;
};

/* The process at one moment, and what the workspaces hold then. */
struct sample {
	char moment[24];
	uint64_t rss;
	uint64_t pss;
	uint64_t statm;
	uint64_t files;
	uint64_t stored;
	uint64_t charged;
};

/* What a case found. The first sample is from before the workspace was made. */
struct outcome {
	unsigned count;
	struct sample samples[MOST_SAMPLES];
	/* How long mfs_free() took for the full workspaces; 0: not measured. */
	double free_s[2];
};

struct experiment {
	const struct options *options;
	const struct measured_case *info;
	struct outcome *outcome;
	/* Workspaces and what was written to them and not removed. */
	mfs *fs[2];
	uint64_t files;
	uint64_t stored;
};

struct measured_case {
	const char *name;
	void (*run)(struct experiment *experiment);
	uint64_t size;
	/* Files that go to one workspace before the other has its turn; 0: there is one workspace. */
	uint32_t run_length;
	const char *what;
};

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("dmemfs_footprint: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

/*
 * The process
 */

/* Read a file of /proc without taking memory. */
static void read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	ssize_t got = read(fd, text, size - 1);
	if (got <= 0)
		die("%s cannot be read", path);
	text[got] = '\0';
	close(fd);
}

/* The bytes that follow a key such as "\nRss:" in kB. */
static uint64_t kilobytes_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	char *end;

	if (!at)
		die("/proc/self/smaps_rollup has no %s", key + 1);
	unsigned long long value = strtoull(at + strlen(key), &end, 10);
	if (strncmp(end, " kB", 3) != 0)
		die("/proc/self/smaps_rollup is not as expected");
	return (uint64_t)value * 1024;
}

static void take_sample(struct experiment *experiment, const char *moment)
{
	struct outcome *outcome = experiment->outcome;
	char text[4096];
	char *end;

	if (outcome->count == MOST_SAMPLES)
		die("too many samples");
	struct sample *sample = &outcome->samples[outcome->count++];
	snprintf(sample->moment, sizeof(sample->moment), "%s", moment);
	read_text("/proc/self/smaps_rollup", text, sizeof(text));
	sample->rss = kilobytes_of(text, "\nRss:");
	sample->pss = kilobytes_of(text, "\nPss:");
	read_text("/proc/self/statm", text, sizeof(text));
	(void)strtoull(text, &end, 10);
	sample->statm = strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);

	sample->files = experiment->files;
	sample->stored = experiment->stored;
	sample->charged = 0;
	uint64_t found = 0;
	for (unsigned i = 0; i < 2; i++) {
		mfs_usage usage;
		if (!experiment->fs[i])
			continue;
		int rc = mfs_stats(experiment->fs[i], &usage);
		if (rc < 0)
			die("mfs_stats: %s", mfs_strerror(rc));
		sample->charged += usage.used_bytes;
		found += usage.files;
	}
	if (found != sample->files || sample->charged < sample->stored)
		die("%s: the workspace does not hold what was written", moment);
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static void sleep_until(int64_t when)
{
	struct timespec time = {.tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S};
	int rc;

	do {
		rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	} while (rc == EINTR);
	if (rc != 0)
		die("clock_nanosleep: %s", strerror(rc));
}

/* While the process does nothing. */
static void sample_later(struct experiment *experiment, int64_t since)
{
	sleep_until(since + NS_PER_S / 10);
	take_sample(experiment, "0.1 s later");
	sleep_until(since + NS_PER_S);
	take_sample(experiment, "1 s later");
	sleep_until(since + 3 * NS_PER_S);
	take_sample(experiment, "3 s later");
}

/* Let the allocator give back all that it keeps: what remains is in use, or beside what is. */
static void purge(void)
{
	if (!mallctl) {
		(void)malloc_trim(0);
		return;
	}
	/* jemalloc's MALLCTL_ARENAS_ALL. */
	int rc = mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	if (rc == 0)
		rc = mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	if (rc != 0)
		die("mallctl: %s", strerror(rc));
}

static void describe_allocator(char *value, size_t size)
{
	const char *version;
	size_t length = sizeof(version);

	if (mallctl && mallctl("version", &version, &length, NULL, 0) == 0)
		snprintf(value, size, "jemalloc %s", version);
	else
		snprintf(value, size, "glibc %s", gnu_get_libc_version());
}

/*
 * Files
 */

/* What all files hold parts of; touched before anything is measured, like the other buffer. */
static unsigned char pattern[PIECE + SHIFTS];
static unsigned char read_back[PIECE];

static void make_pattern(void)
{
	uint64_t state = 20160622;

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (unsigned char)bench_random(&state);
	memset(read_back, 1, sizeof(read_back));
}

/* What a file holds from `offset` on, up to the next multiple of PIECE. */
static const unsigned char *content_of(uint32_t number, uint64_t offset)
{
	uint64_t shift = number * UINT64_C(31) + offset / PIECE * 7;

	return pattern + shift % SHIFTS + offset % PIECE;
}

static void make_path(char *path, uint32_t number)
{
	snprintf(path, PATH_SIZE, "/dir-%02u/file-%06u.dat", number % DIRECTORIES, number);
}

static mfs *make_workspace(void)
{
	mfs_options options = {.struct_size = sizeof(options), .max_quota = QUOTA};
	char path[PATH_SIZE];
	mfs *fs;
	int rc = mfs_new(&options, &fs);

	if (rc < 0)
		die("mfs_new: %s", mfs_strerror(rc));
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "/dir-%02u", i);
		rc = mfs_mkdir(fs, path, 0);
		if (rc < 0)
			die("mkdir of %s: %s", path, mfs_strerror(rc));
	}
	return fs;
}

/* Make a file by writes of at most `piece` bytes, a divisor of PIECE. */
static void write_file(struct experiment *experiment, mfs *fs, uint32_t number, uint64_t size,
					   uint32_t piece)
{
	char path[PATH_SIZE];
	mfs_file *file;

	make_path(path, number);
	int rc = mfs_open(fs, path, "xb", &file);
	if (rc < 0)
		die("open of %s: %s", path, mfs_strerror(rc));
	for (uint64_t offset = 0; offset < size; offset += piece) {
		uint64_t length = size - offset < piece ? size - offset : piece;
		int64_t got = mfs_write(file, content_of(number, offset), length);
		if (got != (int64_t)length)
			die("write of %s: %s", path, mfs_strerror((int)got));
	}
	rc = mfs_close(file);
	if (rc < 0)
		die("close of %s: %s", path, mfs_strerror(rc));
	experiment->files++;
	experiment->stored += size;
}

/* The file holds what was written, and no more. */
static void check_file(mfs *fs, uint32_t number, uint64_t size)
{
	char path[PATH_SIZE];
	mfs_file *file;

	make_path(path, number);
	int rc = mfs_open(fs, path, "rb", &file);
	if (rc < 0)
		die("open of %s: %s", path, mfs_strerror(rc));
	for (uint64_t offset = 0; offset <= size; offset += PIECE) {
		uint64_t length = size - offset < PIECE ? size - offset : PIECE;
		int64_t got = mfs_read(file, read_back, PIECE);
		if (got != (int64_t)length)
			die("read of %s: %lld bytes instead of %llu", path, (long long)got,
				(unsigned long long)length);
		if (memcmp(read_back, content_of(number, offset), length) != 0)
			die("%s: wrong bytes", path);
	}
	rc = mfs_close(file);
	if (rc < 0)
		die("close of %s: %s", path, mfs_strerror(rc));
}

static void check_files(mfs *fs, uint32_t count, uint64_t size)
{
	for (uint32_t number = 0; number < count; number++)
		check_file(fs, number, size);
}

static void remove_file(struct experiment *experiment, mfs *fs, uint32_t number, uint64_t size)
{
	char path[PATH_SIZE];

	make_path(path, number);
	int rc = mfs_remove(fs, path);
	if (rc < 0)
		die("remove of %s: %s", path, mfs_strerror(rc));
	experiment->files--;
	experiment->stored -= size;
}

/* What was removed is freed by another thread: let it. */
static void settle(mfs *fs)
{
	/* At most half a second: the library may keep a small rest until there is more. */
	for (int i = 0; i < 500; i++) {
		mfs_usage usage;
		int rc = mfs_stats(fs, &usage);
		if (rc < 0)
			die("mfs_stats: %s", mfs_strerror(rc));
		if (usage.retired_bytes == 0)
			return;
		sleep_until(now() + NS_PER_S / 1000);
	}
}

/* Free a workspace with `files` files of `size` bytes. Returns when the call ended. */
static int64_t free_workspace(struct experiment *experiment, unsigned which, uint64_t files,
							  uint64_t size)
{
	int64_t start = now();
	int rc = mfs_free(experiment->fs[which]);
	int64_t end = now();

	if (rc < 0)
		die("mfs_free: %s", mfs_strerror(rc));
	experiment->fs[which] = NULL;
	experiment->files -= files;
	experiment->stored -= files * size;
	experiment->outcome->free_s[which] = (double)(end - start) / (double)NS_PER_S;
	return end;
}

/* The first use of things that stay: handles, tables, the allocator's own, this program's code. */
static void warm_up(void)
{
	struct outcome outcome = {0};
	struct experiment trial = {.outcome = &outcome};

	make_pattern();
	trial.fs[0] = make_workspace();
	for (uint32_t number = 0; number < DIRECTORIES; number++) {
		uint64_t size = number * UINT64_C(50021);
		write_file(&trial, trial.fs[0], number, size, PIECE);
		check_file(trial.fs[0], number, size);
		remove_file(&trial, trial.fs[0], number, size);
	}
	settle(trial.fs[0]);
	take_sample(&trial, "warm-up");
	(void)free_workspace(&trial, 0, 0, 0);
	purge();
}

/*
 * The cases
 */

/* Files of one size: what do they take? */
static void run_store(struct experiment *experiment)
{
	uint64_t size = experiment->info->size;
	uint32_t count = size == HUGE_FILE ? 1 : experiment->options->files;

	take_sample(experiment, "before");
	experiment->fs[0] = make_workspace();
	mfs *fs = experiment->fs[0];
	for (uint32_t number = 0; number < count; number++)
		write_file(experiment, fs, number, size, PIECE);
	settle(fs);
	int64_t end = now();
	take_sample(experiment, "written");
	sleep_until(end + 3 * NS_PER_S);
	take_sample(experiment, "3 s later");
	check_files(fs, count, size);
	(void)free_workspace(experiment, 0, count, size);
}

/* Many small files, all freed with their workspace. */
static void run_free(struct experiment *experiment)
{
	uint64_t size = experiment->info->size;
	uint32_t count = experiment->options->many;

	take_sample(experiment, "before");
	experiment->fs[0] = make_workspace();
	for (uint32_t number = 0; number < count; number++)
		write_file(experiment, experiment->fs[0], number, size, PIECE);
	check_files(experiment->fs[0], count, size);
	take_sample(experiment, "peak");
	int64_t end = free_workspace(experiment, 0, count, size);
	take_sample(experiment, "freed");
	sample_later(experiment, end);
	purge();
	take_sample(experiment, "purged");
}

/* The files of two workspaces lie among each other, and one of the two is freed. */
static void run_free_one(struct experiment *experiment)
{
	uint64_t size = experiment->info->size;
	uint32_t count = experiment->options->many;
	uint32_t run = experiment->info->run_length;

	take_sample(experiment, "before");
	experiment->fs[0] = make_workspace();
	experiment->fs[1] = make_workspace();
	for (uint32_t from = 0; from < count; from += run) {
		uint32_t to = count - from < run ? count : from + run;
		for (unsigned which = 0; which < 2; which++) {
			for (uint32_t number = from; number < to; number++)
				write_file(experiment, experiment->fs[which], number, size, PIECE);
		}
	}
	check_files(experiment->fs[0], count, size);
	take_sample(experiment, "peak");
	int64_t end = free_workspace(experiment, 0, count, size);
	take_sample(experiment, "one freed");
	sample_later(experiment, end);
	purge();
	take_sample(experiment, "purged");
	check_files(experiment->fs[1], count, size);
	end = free_workspace(experiment, 1, count, size);
	take_sample(experiment, "both freed");
	sample_later(experiment, end);
	purge();
	take_sample(experiment, "purged");
}

struct live_file {
	uint32_t number;
	uint32_t size;
};

/* The files that exist while files come and go. */
struct churn {
	struct live_file *live;
	uint32_t count;
	uint32_t room;
	uint32_t next;
	uint64_t random;
};

static void churn_write(struct experiment *experiment, struct churn *churn)
{
	struct live_file file = {
		.number = churn->next++,
		.size = 1 + (uint32_t)(bench_random(&churn->random) % CHURN_LARGEST),
	};

	if (churn->count == churn->room)
		die("more files than expected");
	write_file(experiment, experiment->fs[0], file.number, file.size, CHURN_PIECE);
	churn->live[churn->count++] = file;
}

static void churn_remove(struct experiment *experiment, struct churn *churn)
{
	if (churn->count == 0)
		die("no file to remove");
	uint32_t place = (uint32_t)(bench_random(&churn->random) % churn->count);
	struct live_file file = churn->live[place];

	check_file(experiment->fs[0], file.number, file.size);
	remove_file(experiment, experiment->fs[0], file.number, file.size);
	churn->live[place] = churn->live[--churn->count];
}

/* Files of random sizes come and go, while their bytes stay the same but for one file. */
static void run_churn(struct experiment *experiment)
{
	uint64_t wanted = (uint64_t)experiment->options->live_mib << 20;
	struct churn churn = {.random = 20160622};

	/* Twice as many as there are at the mean size, and some; touched before the first sample. */
	churn.room = (uint32_t)(wanted / (CHURN_LARGEST / 4)) + 1000;
	churn.live = malloc(churn.room * sizeof(*churn.live));
	if (!churn.live)
		die("out of memory");
	memset(churn.live, 1, churn.room * sizeof(*churn.live));
	take_sample(experiment, "before");
	experiment->fs[0] = make_workspace();
	while (experiment->stored < wanted)
		churn_write(experiment, &churn);
	settle(experiment->fs[0]);
	take_sample(experiment, "filled");
	for (unsigned part = 1; part <= CHURN_PARTS; part++) {
		char moment[24];
		for (unsigned i = 0; i < experiment->options->operations / CHURN_PARTS; i++) {
			if (experiment->stored < wanted)
				churn_write(experiment, &churn);
			else
				churn_remove(experiment, &churn);
		}
		settle(experiment->fs[0]);
		snprintf(moment, sizeof(moment), "churned %u/%u", part, CHURN_PARTS);
		take_sample(experiment, moment);
	}
	sleep_until(now() + 3 * NS_PER_S);
	take_sample(experiment, "3 s later");
	purge();
	take_sample(experiment, "purged");
	while (churn.count > 0)
		churn_remove(experiment, &churn);
	settle(experiment->fs[0]);
	int64_t end = now();
	take_sample(experiment, "emptied");
	sample_later(experiment, end);
	purge();
	take_sample(experiment, "purged");
	(void)free_workspace(experiment, 0, 0, 0);
	experiment->outcome->free_s[0] = 0;
	free(churn.live);
}

static const struct measured_case cases[] = {
	{"store_100", run_store, SMALL_FILE, 0, "files of 100 bytes"},
	{"store_4k", run_store, 4096, 0, "files of 4 KiB"},
	{"store_5000", run_store, 5000, 0, "files of 5,000 bytes"},
	{"store_1g", run_store, HUGE_FILE, 0, "one file of 1 GiB"},
	{"free", run_free, SMALL_FILE, 0, "a workspace of many files of 100 bytes is freed"},
	{"free_one", run_free_one, SMALL_FILE, 1,
	 "two filled in turns, a file each; one is freed, then the other"},
	{"free_runs", run_free_one, SMALL_FILE, 1000, "the same, in turns of 1,000 files"},
	{"churn", run_churn, 0, 0, "files of 1 byte to 64 KiB come and go"},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static bool is_chosen(const struct options *options, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = options->cases; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return !options->cases;
}

/*
 * Processes
 */

static const struct measured_case *find_case(const char *name)
{
	for (size_t i = 0; i < CASES; i++) {
		if (strcmp(cases[i].name, name) == 0)
			return &cases[i];
	}
	return NULL;
}

/* In the new process. */
static void run_child(const struct options *options)
{
	static struct outcome outcome;
	struct experiment experiment = {.options = options, .outcome = &outcome};

	experiment.info = find_case(options->child);
	if (!experiment.info)
		die("no such case: %s", options->child);
	warm_up();
	experiment.info->run(&experiment);
	/* Smaller than a pipe: it goes at once. */
	if (write(options->result_fd, &outcome, sizeof(outcome)) != (ssize_t)sizeof(outcome))
		die("cannot hand over the outcome: %s", strerror(errno));
}

static _Noreturn void execute_child(const struct options *options, const char *name, int fd)
{
	char texts[5][16];
	const char *arguments[] = {
		"dmemfs_footprint", "--child", name,           "--result-fd", texts[0], "--files", texts[1],
		"--many",           texts[2],  "--operations", texts[3],      "--live", texts[4],  NULL,
	};

	snprintf(texts[0], sizeof(texts[0]), "%d", fd);
	snprintf(texts[1], sizeof(texts[1]), "%u", options->files);
	snprintf(texts[2], sizeof(texts[2]), "%u", options->many);
	snprintf(texts[3], sizeof(texts[3]), "%u", options->operations);
	snprintf(texts[4], sizeof(texts[4]), "%u", options->live_mib);
	/* The strings stay as they are: execv() copies them. */
	execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
	die("cannot execute this program again: %s", strerror(errno));
}

static void run_case(const struct options *options, const char *name, struct outcome *outcome)
{
	int ends[2];
	int status;

	if (pipe(ends) < 0)
		die("pipe: %s", strerror(errno));
	fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child == 0) {
		close(ends[0]);
		execute_child(options, name, ends[1]);
	}
	close(ends[1]);
	size_t got = 0;
	for (;;) {
		ssize_t length = read(ends[0], (char *)outcome + got, sizeof(*outcome) - got);
		if (length <= 0)
			break;
		got += (size_t)length;
	}
	close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		die("waitpid: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || got != sizeof(*outcome))
		die("%s failed", name);
}

/*
 * What comes out
 */

/* What has come to the process since the first sample; less than nothing is possible. */
static double growth_of(const struct outcome *outcome, const struct sample *sample)
{
	return (double)sample->rss - (double)outcome->samples[0].rss;
}

static double most_growth(const struct outcome *outcome)
{
	double most = 0;

	for (unsigned i = 0; i < outcome->count; i++) {
		double growth = growth_of(outcome, &outcome->samples[i]);
		if (growth > most)
			most = growth;
	}
	return most;
}

static void print_head(void)
{
	printf("%-10s %-12s %8s %8s %8s %8s %8s %8s %8s %6s %9s %8s\n", "case", "moment", "files",
		   "stored", "charged", "rss", "pss", "statm", "growth", "left %", "over/file", "/charged");
}

static void print_outcome(const struct measured_case *info, const struct outcome *outcome)
{
	double most = most_growth(outcome);

	for (unsigned i = 0; i < outcome->count; i++) {
		const struct sample *sample = &outcome->samples[i];
		double growth = growth_of(outcome, sample);
		printf("%-10s %-12s %8llu %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f", info->name, sample->moment,
			   (unsigned long long)sample->files, (double)sample->stored / MIB,
			   (double)sample->charged / MIB, (double)sample->rss / MIB, (double)sample->pss / MIB,
			   (double)sample->statm / MIB, growth / MIB);
		if (i == 0)
			printf(" %6s", "-");
		else
			printf(" %6.1f", most > 0 ? growth / most * 100 : 0);
		if (sample->files == 0)
			printf(" %9s %8s\n", "-", "-");
		else
			printf(" %9.1f %8.3f\n", (growth - (double)sample->stored) / (double)sample->files,
				   growth / (double)sample->charged);
	}
	for (unsigned i = 0; i < 2 && info->run != run_store; i++) {
		if (outcome->free_s[i] > 0)
			printf("%-10s mfs_free of workspace %u took %.3f s\n", info->name, i + 1,
				   outcome->free_s[i]);
	}
	fflush(stdout);
}

static void print_foot(void)
{
	printf("stored, charged, rss, pss, statm, growth: MiB; growth: rss less that of the first row\n"
		   "left %%: growth over the case's largest\n"
		   "over/file: bytes of growth less bytes stored, for each file\n"
		   "/charged: growth over what the quota is charged\n");
}

static void put_machine(FILE *file)
{
	struct utsname system;
	char allocator[128];
	char date[64];
	time_t seconds = time(NULL);
	struct tm utc;

	describe_allocator(allocator, sizeof(allocator));
	if (uname(&system) < 0)
		die("uname: %s", strerror(errno));
	if (!gmtime_r(&seconds, &utc) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		die("the date does not fit");
	fprintf(file,
			"  \"machine\": {\n    \"kernel\": \"%s %s %s\",\n    \"date\": \"%s\",\n"
			"    \"version\": \"%s\",\n    \"allocator\": \"%s\"\n  },\n",
			system.sysname, system.release, system.machine, date, mfs_version(), allocator);
}

static void put_outcome(FILE *file, const struct measured_case *info, const struct outcome *outcome)
{
	fprintf(file, "    {\"case\": \"%s\", \"free_s\": [%.6f, %.6f], \"samples\": [", info->name,
			outcome->free_s[0], outcome->free_s[1]);
	for (unsigned i = 0; i < outcome->count; i++) {
		const struct sample *sample = &outcome->samples[i];
		fprintf(file,
				"%s\n      {\"moment\": \"%s\", \"files\": %llu, \"stored\": %llu, "
				"\"charged\": %llu, \"rss\": %llu, \"pss\": %llu, \"statm\": %llu}",
				i ? "," : "", sample->moment, (unsigned long long)sample->files,
				(unsigned long long)sample->stored, (unsigned long long)sample->charged,
				(unsigned long long)sample->rss, (unsigned long long)sample->pss,
				(unsigned long long)sample->statm);
	}
	fputs("]}", file);
}

static void write_json(const struct options *options, const struct outcome *outcomes)
{
	FILE *file = fopen(options->json, "we");
	const char *between = "\n";

	if (!file)
		die("cannot write %s: %s", options->json, strerror(errno));
	fputs("{\n", file);
	put_machine(file);
	fprintf(file, "  \"operations\": %u,\n  \"results\": [", options->operations);
	for (size_t i = 0; i < CASES; i++) {
		if (outcomes[i].count == 0)
			continue;
		fputs(between, file);
		put_outcome(file, &cases[i], &outcomes[i]);
		between = ",\n";
	}
	fputs("\n  ]\n}\n", file);
	int failed = ferror(file);
	if (fclose(file) != 0 || failed)
		die("cannot write %s", options->json);
}

/*
 * Options
 */

static void print_usage(FILE *file)
{
	fputs("usage: dmemfs_footprint [--json FILE] [--cases a,b,...] [--files 100000]\n"
		  "                        [--many 1000000] [--operations 400000] [--live 256]\n"
		  "\n"
		  "  --json FILE       where all samples go\n"
		  "  --cases a,b,...   only these (default: all)\n"
		  "  --files N         files of each store_ case but store_1g\n"
		  "  --many N          files of each workspace that is freed\n"
		  "  --operations N    creations and removals of churn\n"
		  "  --live N          MiB that the files of churn hold\n"
		  "\n"
		  "cases:\n",
		  file);
	for (size_t i = 0; i < CASES; i++)
		fprintf(file, "  %-16s  %s\n", cases[i].name, cases[i].what);
}

static _Noreturn void usage_error(const char *message, const char *value)
{
	fprintf(stderr, "dmemfs_footprint: %s: %s\n", message, value);
	print_usage(stderr);
	exit(2);
}

static unsigned parse_number(const char *text, unsigned highest)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value == 0 || value > highest)
		usage_error("not a number in range", text);
	return (unsigned)value;
}

static void check_cases(const char *list)
{
	char copy[256];
	char *rest = NULL;

	if (strlen(list) >= sizeof(copy))
		usage_error("too long", list);
	snprintf(copy, sizeof(copy), "%s", list);
	for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		if (!find_case(item))
			usage_error("no such case", item);
	}
}

static void parse_options(struct options *options, int count, char **arguments)
{
	static const struct option known[] = {
		{"json", required_argument, NULL, 'j'},
		{"cases", required_argument, NULL, 'c'},
		{"files", required_argument, NULL, 'f'},
		{"many", required_argument, NULL, 'm'},
		{"operations", required_argument, NULL, 'o'},
		{"live", required_argument, NULL, 'l'},
		{"child", required_argument, NULL, 'C'},
		{"result-fd", required_argument, NULL, 'R'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 'j':
			options->json = optarg;
			break;
		case 'c':
			check_cases(optarg);
			options->cases = optarg;
			break;
		case 'f':
			options->files = parse_number(optarg, 1000000);
			break;
		case 'm':
			options->many = parse_number(optarg, 10000000);
			break;
		case 'o':
			options->operations = parse_number(optarg, 1000000000);
			break;
		case 'l':
			options->live_mib = parse_number(optarg, 16384);
			break;
		case 'C':
			options->child = optarg;
			break;
		case 'R':
			options->result_fd = (int)parse_number(optarg, 1000000);
			break;
		case 'h':
			print_usage(stdout);
			exit(0);
		default:
			print_usage(stderr);
			exit(2);
		}
	}
	if (optind != count)
		usage_error("unexpected argument", arguments[optind]);
}

int main(int count, char **arguments)
{
	struct options options = {
		.files = 100000,
		.many = 1000000,
		.operations = 400000,
		.live_mib = 256,
	};
	static struct outcome outcomes[CASES];
	char allocator[128];

	parse_options(&options, count, arguments);
	if (options.child) {
		run_child(&options);
		return 0;
	}
	if (options.json) {
		/* Before the work whose results would have no place to go. */
		FILE *file = fopen(options.json, "ae");
		if (!file || fclose(file) != 0)
			die("cannot write %s: %s", options.json, strerror(errno));
	}
	describe_allocator(allocator, sizeof(allocator));
	printf("allocator: %s\n\n", allocator);
	print_head();
	for (size_t i = 0; i < CASES; i++) {
		if (!is_chosen(&options, cases[i].name))
			continue;
		run_case(&options, cases[i].name, &outcomes[i]);
		print_outcome(&cases[i], &outcomes[i]);
	}
	print_foot();
	if (options.json)
		write_json(&options, outcomes);
	return 0;
}
