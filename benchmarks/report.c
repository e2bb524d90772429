/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Figures
 */

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

double bench_median(const double *values, unsigned count)
{
	double sorted[BENCH_MAX_REPEAT];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double report_ns(const struct bench_result *result)
{
	return bench_median(result->runs, result->count);
}

double report_spread(const struct bench_result *result)
{
	double lowest = result->runs[0];
	double highest = result->runs[0];

	for (unsigned i = 1; i < result->count; i++) {
		if (result->runs[i] < lowest)
			lowest = result->runs[i];
		if (result->runs[i] > highest)
			highest = result->runs[i];
	}
	return (highest - lowest) / report_ns(result) * 100;
}

static const struct bench_steps *steps_of(const struct bench_result *result)
{
	return &result->backend->steps[result->id];
}

double report_ops_per_s(const struct bench_result *result)
{
	/* Where one call starts the threads, they share its operation. */
	unsigned workers = steps_of(result)->alone ? 1 : result->threads;

	return workers / report_ns(result) * 1e9;
}

double report_bytes_per_s(const struct bench_result *result)
{
	return (double)bench_cases[result->id].bytes * report_ops_per_s(result);
}

double report_ratio(const struct report_row *row, enum report_side side)
{
	double ratios[BENCH_MAX_REPEAT] = {0};
	const struct bench_result *dmemfs = &row->sides[SIDE_DMEMFS];

	for (unsigned i = 0; i < dmemfs->count; i++)
		ratios[i] = row->sides[side].runs[i] / dmemfs->runs[i];
	return bench_median(ratios, dmemfs->count);
}

bool report_has_background(const struct bench_result *result)
{
	return steps_of(result)->background;
}

double report_background(const struct bench_result *result)
{
	return bench_median(result->background_ops_per_s, result->count);
}

/*
 * The table
 */

void report_table_head(void)
{
	printf("%-28s %7s %11s %6s %11s %7s %11s %7s %11s %11s  %9s  %s\n", "case", "threads",
		   "dmemfs ns", "peer", "peer ns", "ratio", "rocksdb ns", "ratio", "memcpy ns",
		   "dmemfs GB/s", "spread %", "background/s");
}

/* Print a number, or "-" where there is none. */
static void print_cell(int width, int digits, bool there, double value)
{
	if (there)
		printf(" %*.*f", width, digits, value);
	else
		printf(" %*s", width, "-");
}

void report_table_row(const struct report_row *row)
{
	const struct bench_result *dmemfs = &row->sides[SIDE_DMEMFS];
	const struct bench_result *peer = &row->sides[SIDE_PEER];
	const struct bench_result *rocksdb = &row->sides[SIDE_ROCKSDB];
	const struct bench_result *copy = &row->sides[SIDE_MEMCPY];
	const struct bench_case *info = &bench_cases[dmemfs->id];

	printf("%-28s %7u %11.1f %6s %11.1f %7.2f", info->name, dmemfs->threads, report_ns(dmemfs),
		   peer->backend->name, report_ns(peer), report_ratio(row, SIDE_PEER));
	print_cell(11, 1, rocksdb->backend, rocksdb->backend ? report_ns(rocksdb) : 0);
	print_cell(7, 2, rocksdb->backend, rocksdb->backend ? report_ratio(row, SIDE_ROCKSDB) : 0);
	print_cell(11, 1, copy->backend, copy->backend ? report_ns(copy) : 0);
	print_cell(11, 2, info->bytes != 0, report_bytes_per_s(dmemfs) / 1e9);
	printf("  %4.0f/%-4.0f", report_spread(dmemfs), report_spread(peer));
	if (report_has_background(dmemfs))
		printf("  %.0f/%.0f\n", report_background(dmemfs), report_background(peer));
	else
		puts("  -");
	fflush(stdout);
}

void report_table_foot(const struct report *report)
{
	printf("ns: wall time over the operations of one thread, median of the runs\n"
		   "ratio: peer over dmemfs, and rocksdb over dmemfs: median of the pairs of runs; more is "
		   "better for dmemfs\n"
		   "GB/s: 10^9 bytes of all threads together\n"
		   "spread: slowest less fastest run over the median, dmemfs/peer\n"
		   "background: operations a second of a thread beside the measured ones, dmemfs/peer\n");
	if (report->host) {
		const struct bench_host *host = report->host;
		printf("import_dir, export_dir: %s, %llu files, %llu directories, %.1f MB\n", host->tree,
			   (unsigned long long)host->sum.files, (unsigned long long)host->sum.directories,
			   (double)host->sum.bytes / 1e6);
	}
}

/*
 * Files
 */

FILE *report_open(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		bench_die("cannot write %s: %s", path, strerror(errno));
	return file;
}

void report_close(FILE *file, const char *path)
{
	int failed = ferror(file);

	if (fclose(file) != 0 || failed)
		bench_die("cannot write %s", path);
}
