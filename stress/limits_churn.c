/* SPDX-License-Identifier: MIT */
/*
 * Files come and go as fast as they can in a directory that a reader looks at for seconds on end:
 * he opens it, sleeps, reads all that he was promised, and closes it, again and again. Neither he
 * nor the speed may make the memory that waits to be freed grow without bound.
 */
#include "limits_parts.h"

#include <pthread.h>

#define QUOTA_BYTES (256 * MIB)
#define FILE_BYTES  4096
/* Files of each thread that are there at a time. */
#define WINDOW 2000
/* Files that are always there. */
#define KEPT      100
#define SAMPLE_MS 100
#define PATH_SIZE 64
/* What may be retired: what mfs_memory_options says, and what the stripes have not counted yet. */
#define RETIRED_MAX ((16 + 4) * MIB)

struct churn {
	mfs *fs;
	unsigned threads;
	uint64_t hold_ns;
	/* Atomic: all is to end. */
	atomic_bool stop;
	/* Atomic, any thread. */
	_Atomic uint64_t files;
	_Atomic uint64_t looks;
	_Atomic uint64_t names;
};

struct churner {
	struct churn *churn;
	unsigned index;
	pthread_t thread;
};

static bool goes_on(struct churn *churn)
{
	return !atomic_load_explicit(&churn->stop, memory_order_relaxed) && !stress_failed();
}

static void pause_ms(uint64_t ms)
{
	struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000 * NS_PER_MS)};

	(void)nanosleep(&time, NULL);
}

static void make_file(mfs *fs, const char *path)
{
	static const unsigned char page[FILE_BYTES];
	mfs_file *file;

	if (mfs_open(fs, path, "xb", &file) < 0) {
		stress_fail("mfs_open: %s", mfs_last_error());
		return;
	}
	if (mfs_write(file, page, sizeof(page)) < 0)
		stress_fail("mfs_write: %s", mfs_last_error());
	if (mfs_close(file) < 0)
		stress_fail("mfs_close: %s", mfs_last_error());
}

static void path_of(char *path, unsigned thread, uint64_t number)
{
	snprintf(path, PATH_SIZE, "/d/t%u-%llu", thread, (unsigned long long)number);
}

static void remove_file(const struct churner *churner, uint64_t number)
{
	char path[PATH_SIZE];

	path_of(path, churner->index, number);
	if (mfs_remove(churner->churn->fs, path) < 0)
		stress_fail("mfs_remove: %s", mfs_last_error());
}

static void *come_and_go(void *argument)
{
	struct churner *churner = argument;
	struct churn *churn = churner->churn;
	char path[PATH_SIZE];
	uint64_t first = 0;
	uint64_t next = 0;

	while (goes_on(churn)) {
		path_of(path, churner->index, next++);
		make_file(churn->fs, path);
		if (next - first > WINDOW)
			remove_file(churner, first++);
		atomic_fetch_add_explicit(&churn->files, 1, memory_order_relaxed);
	}
	while (first < next && !stress_failed())
		remove_file(churner, first++);
	return NULL;
}

/* Read all names of an open directory: sorted, with all that is always there. */
static void check_names(struct churn *churn, mfs_dir *dir)
{
	mfs_entry entry;
	const char *last = "";
	uint64_t names = 0;
	unsigned kept = 0;
	int code;

	while ((code = mfs_readdir(dir, &entry)) > 0) {
		if (strcmp(last, entry.name) >= 0)
			stress_fail("mfs_readdir: %s, then %s", last, entry.name);
		/* A file that is being made has nothing yet. */
		if (entry.info.is_dir || (entry.info.size != FILE_BYTES && entry.info.size != 0))
			stress_fail("mfs_readdir: %s with %lld bytes", entry.name, (long long)entry.info.size);
		last = entry.name;
		kept += entry.name[0] == 'k';
		names++;
	}
	if (code < 0)
		stress_fail("mfs_readdir: %s", mfs_last_error());
	if (kept != KEPT || names > KEPT + (uint64_t)churn->threads * (WINDOW + 1))
		stress_fail("%llu names, %u of them of %u files that are always there",
					(unsigned long long)names, kept, KEPT);
	atomic_fetch_add_explicit(&churn->names, names, memory_order_relaxed);
}

static void *read_slowly(void *argument)
{
	struct churn *churn = argument;

	while (goes_on(churn)) {
		mfs_dir *dir;
		if (mfs_opendir(churn->fs, "/d", &dir) < 0) {
			stress_fail("mfs_opendir: %s", mfs_last_error());
			break;
		}
		uint64_t until = stress_now() + churn->hold_ns;
		while (goes_on(churn) && stress_now() < until)
			pause_ms(SAMPLE_MS);
		check_names(churn, dir);
		(void)mfs_closedir(dir);
		atomic_fetch_add_explicit(&churn->looks, 1, memory_order_relaxed);
	}
	return NULL;
}

struct maxima {
	uint64_t retired;
	uint64_t used;
	uint64_t resident_kib;
};

static void note_most(uint64_t *maximum, uint64_t value)
{
	if (value > *maximum)
		*maximum = value;
}

static void sample(struct churn *churn, struct maxima *maxima)
{
	mfs_usage usage;

	if (mfs_stats(churn->fs, &usage) < 0)
		stress_fail("mfs_stats: %s", mfs_last_error());
	note_most(&maxima->retired, usage.retired_bytes);
	note_most(&maxima->used, usage.used_bytes);
	note_most(&maxima->resident_kib, stress_status("VmRSS:"));
	if (usage.retired_bytes > RETIRED_MAX)
		stress_fail("%llu bytes are retired, more than %llu",
					(unsigned long long)usage.retired_bytes, (unsigned long long)RETIRED_MAX);
}

static void check_resident(const struct maxima *maxima, uint64_t at_start_kib)
{
	uint64_t most = at_start_kib + QUOTA_BYTES / KIB * 12 / 10;

	printf("resident: %llu KiB at the start, at most %llu KiB, allowed %llu KiB\n",
		   (unsigned long long)at_start_kib, (unsigned long long)maxima->resident_kib,
		   (unsigned long long)most);
	if (STRESS_TSAN || STRESS_ASAN)
		printf("under a sanitizer resident memory is not judged\n");
	else if (maxima->resident_kib > most)
		stress_fail("resident memory has grown past the quota and a fifth");
}

static void make_kept_files(mfs *fs)
{
	char path[PATH_SIZE];

	if (mfs_mkdir(fs, "/d", 0) < 0)
		stress_fail("mfs_mkdir: %s", mfs_last_error());
	for (unsigned i = 0; i < KEPT; i++) {
		snprintf(path, sizeof(path), "/d/k%u", i);
		make_file(fs, path);
	}
}

/* Everything is removed: nothing is charged any more. */
static void check_end(mfs *fs)
{
	mfs_usage usage;

	if (mfs_rmtree(fs, "/d") < 0)
		stress_fail("mfs_rmtree: %s", mfs_last_error());
	if (mfs_stats(fs, &usage) < 0)
		stress_fail("mfs_stats: %s", mfs_last_error());
	if (usage.used_bytes != 0 || usage.files != 0 || usage.chunks != 0 || usage.open_handles != 0)
		stress_fail("at the end: %llu bytes used, %llu files, %llu chunks, %llu handles",
					(unsigned long long)usage.used_bytes, (unsigned long long)usage.files,
					(unsigned long long)usage.chunks, (unsigned long long)usage.open_handles);
	if (mfs_free(fs) < 0)
		stress_fail("mfs_free: %s", mfs_last_error());
}

void limits_churn(const struct limits_options *options)
{
	static struct churn churn;
	struct maxima maxima = {0};
	mfs_options workspace = {.struct_size = sizeof(workspace), .max_quota = QUOTA_BYTES};
	struct churner *churners = stress_map(options->threads * sizeof(*churners));
	pthread_t reader;

	if (mfs_new(&workspace, &churn.fs) < 0)
		stress_die("mfs_new: %s", mfs_last_error());
	churn.threads = options->threads;
	churn.hold_ns = options->hold_s * NS_PER_S;
	make_kept_files(churn.fs);
	uint64_t at_start_kib = stress_status("VmRSS:");
	uint64_t end = stress_now() + options->seconds * NS_PER_S;

	if (pthread_create(&reader, NULL, read_slowly, &churn) != 0)
		stress_die("cannot start a thread");
	for (unsigned i = 0; i < churn.threads; i++) {
		churners[i] = (struct churner){.churn = &churn, .index = i};
		if (pthread_create(&churners[i].thread, NULL, come_and_go, &churners[i]) != 0)
			stress_die("cannot start a thread");
	}
	while (stress_now() < end && !stress_failed()) {
		sample(&churn, &maxima);
		pause_ms(SAMPLE_MS);
	}
	atomic_store_explicit(&churn.stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < churn.threads; i++)
		(void)pthread_join(churners[i].thread, NULL);
	(void)pthread_join(reader, NULL);
	sample(&churn, &maxima);
	check_end(churn.fs);
	printf("%llu files came and went; %llu looks at the directory, %llu names\n",
		   (unsigned long long)atomic_load_explicit(&churn.files, memory_order_relaxed),
		   (unsigned long long)atomic_load_explicit(&churn.looks, memory_order_relaxed),
		   (unsigned long long)atomic_load_explicit(&churn.names, memory_order_relaxed));
	printf("retired: at most %llu KiB, allowed %llu KiB; used: at most %llu KiB\n",
		   (unsigned long long)(maxima.retired / KIB), (unsigned long long)(RETIRED_MAX / KIB),
		   (unsigned long long)(maxima.used / KIB));
	check_resident(&maxima, at_start_kib);
	stress_unmap(churners, options->threads * sizeof(*churners));
}
