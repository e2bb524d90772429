/* SPDX-License-Identifier: MIT */
/*
 * A staging area for a job of many threads that has more data than memory.
 *
 * Producers parse lines of text into pieces of binary records; consumers add the records up. The
 * pieces pass through a workspace whose quota is a tenth of them. One does so where the steps of a
 * pipeline run at different speeds, and neither memory nor a disk shall take the difference:
 *
 *   - A piece is written below /staging and renamed into /ready: nobody finds half a piece.
 *   - A consumer takes a piece by renaming it on: of several that try, one succeeds.
 *   - Before it begins a piece, a producer has all its quota set aside (mfs_reservation_new). It
 *     waits for that up to space_timeout: this is the back-pressure. If it asked for quota as it
 *     writes, all producers could wait with half a piece each, and nothing for consumers to take.
 *   - The result goes to a directory of the host.
 */
#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PRODUCERS = 3, THREADS = 5, PIECES = 160, RECORDS = 4096 };

#define PIECE_BYTES (RECORDS * sizeof(int))
#define QUOTA       (PIECES * PIECE_BYTES / 10)

static mfs *fs;
static _Atomic int pieces_begun; /* by producers */
static _Atomic int pieces_due;   /* to consumers */
static sem_t ready;              /* counts pieces below /ready that no consumer is after */

static void check(const char *what, bool holds)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

/* Returns the result of a call that must succeed. */
static int64_t need(int64_t result)
{
	check(mfs_last_error(), result >= 0);
	return result;
}

/* What stands for a source of data: a line for each time, with tenths of a degree. */
static void get_line(int time, char *line, size_t size)
{
	snprintf(line, size, "%d: %d", time, time % 701 - 200);
}

static void produce(int piece)
{
	mfs_open_options options = {.struct_size = sizeof options};
	mfs_file *file = NULL;
	char aside[32];
	char path[32];
	char line[32];

	/* This waits. Besides the bytes, each of the piece's chunks has its overhead. */
	need(mfs_reservation_new(fs, PIECE_BYTES + 1024, &options.reservation));
	snprintf(aside, sizeof aside, "/staging/%d.tmp", piece);
	need(mfs_open_ex(fs, aside, "xb", &options, &file));
	for (int i = 0; i < RECORDS; i++) {
		int tenths;
		get_line(piece * RECORDS + i, line, sizeof line);
		check("a line is not understood", sscanf(line, "%*d: %d", &tenths) == 1);
		need(mfs_write(file, &tenths, sizeof tenths));
	}
	need(mfs_close(file));
	/* What the piece did not need is free now, and what it holds once it is removed. */
	need(mfs_reservation_free(options.reservation));
	snprintf(path, sizeof path, "/ready/%d", piece);
	need(mfs_rename(fs, aside, path, 0));
	check("no post", sem_post(&ready) == 0);
}

static void *run_producer(void *unused)
{
	int piece;

	while ((piece = pieces_begun++) < PIECES)
		produce(piece);
	return unused;
}

/* Take a piece, whichever. Returns false when others took all that were listed. */
static bool take(char *path, size_t size)
{
	char **names = NULL;
	char from[64];
	int code = MFS_ENOENT;
	int64_t count = need(mfs_listdir(fs, "/ready", &names));

	for (int64_t i = 0; i < count && code == MFS_ENOENT; i++) {
		snprintf(from, sizeof from, "/ready/%s", names[i]);
		snprintf(path, size, "/taken/%s", names[i]);
		code = mfs_rename(fs, from, path, 0);
	}
	mfs_names_free(names);
	return code != MFS_ENOENT && need(code) == 0;
}

/* Add up the records of a piece, where they are, and give its quota back. */
static int64_t consume(const char *path)
{
	struct iovec run;
	mfs_file *file = NULL;
	int64_t offset = 0;
	int64_t sum = 0;

	need(mfs_open(fs, path, "rb", &file));
	/* Runs end where chunks do, at multiples of 4096: no record is cut in two. */
	while (need(mfs_view_runs(file, &offset, INT64_MAX, &run, 1)) > 0) {
		const int *tenths = run.iov_base;
		for (size_t i = 0; i < run.iov_len / sizeof *tenths; i++)
			sum += tenths[i];
	}
	need(mfs_close(file));
	need(mfs_remove(fs, path));
	return sum;
}

static void *run_consumer(void *sum_of_all)
{
	int64_t *sum = sum_of_all;
	char path[64];

	while (pieces_due++ < PIECES) {
		check("no wait", sem_wait(&ready) == 0);
		while (!take(path, sizeof path))
			;
		*sum += consume(path);
	}
	return NULL;
}

/* Publish the result in the workspace, and bring it to the host. */
static void put_out(int64_t sum)
{
	char host_dir[] = "/tmp/dmemfs-example-XXXXXX";
	char host_path[64];
	char text[64];
	struct stat exported;
	mfs_file *file = NULL;

	int length = snprintf(text, sizeof text, "the sum is %lld tenths of a degree", (long long)sum);
	need(mfs_open(fs, "/staging/sum.tmp", "wb", &file));
	need(mfs_write(file, text, (size_t)length));
	need(mfs_close(file));
	/* Whoever looks finds a whole result: the one before, if there was one, or this one. */
	need(mfs_rename(fs, "/staging/sum.tmp", "/result/sum", MFS_RENAME_REPLACE));

	check("no directory", mkdtemp(host_dir) != NULL);
	need(mfs_export_to_dir(fs, "/result", host_dir, NULL));
	snprintf(host_path, sizeof host_path, "%s/sum", host_dir);
	check("nothing was exported", stat(host_path, &exported) == 0 && exported.st_size == length);
	printf("exported: %s\n", text);
	check("it stays on the host", unlink(host_path) == 0 && rmdir(host_dir) == 0);
}

int main(void)
{
	mfs_options options = {
		.struct_size = sizeof options, .max_quota = QUOTA, .space_timeout = 30000};
	pthread_t threads[THREADS];
	int64_t sums[THREADS] = {0};
	int64_t sum = 0;
	mfs_usage usage = {0};

	need(mfs_new(&options, &fs));
	need(mfs_mkdir(fs, "/staging", 0));
	need(mfs_mkdir(fs, "/ready", 0));
	need(mfs_mkdir(fs, "/taken", 0));
	need(mfs_mkdir(fs, "/result", 0));
	check("no semaphore", sem_init(&ready, 0, 0) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		check("no thread", pthread_create(&threads[i], NULL, run_producer, NULL) == 0);
	/* The consumers begin late, to show that producers wait. */
	while (usage.waiters < PRODUCERS) {
		check("no sleep", usleep(1000) == 0);
		need(mfs_stats(fs, &usage));
	}
	printf("%d of %d pieces are staged, and all producers wait\n", (int)usage.files, PIECES);
	for (int i = PRODUCERS; i < THREADS; i++)
		check("no thread", pthread_create(&threads[i], NULL, run_consumer, &sums[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		check("no join", pthread_join(threads[i], NULL) == 0);
	need(mfs_stats(fs, &usage));
	check("something is left", usage.files == 0 && usage.used_bytes == 0);
	printf("all %d pieces went through, %d bytes with a quota of %d\n", PIECES,
		   (int)(PIECES * PIECE_BYTES), (int)QUOTA);

	for (int i = PRODUCERS; i < THREADS; i++)
		sum += sums[i];
	put_out(sum);
	for (int time = 0; time < PIECES * RECORDS; time++)
		sum -= time % 701 - 200;
	check("the sum is wrong", sum == 0);
	need(mfs_free(fs));
	return 0;
}
