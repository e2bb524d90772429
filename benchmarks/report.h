/* SPDX-License-Identifier: MIT */
/*
 * What comes out of the runs.
 *
 *   report.c       figures made from the runs, and the table on standard output
 *   report_json.c  the JSON file
 *   report_html.c  the page, which is page.html with the same JSON inside
 */
#ifndef DMEMFS_BENCHMARKS_REPORT_H
#define DMEMFS_BENCHMARKS_REPORT_H

#include "bench.h"

/** Who takes part in a case. The peer is tmpfs, or what stands in for it. */
enum report_side {
	SIDE_DMEMFS,
	SIDE_PEER,
	SIDE_ROCKSDB,
	SIDE_MEMCPY,
	SIDES,
};

/** One case with one number of threads. A side that does not take part has no backend. */
struct report_row {
	struct bench_result sides[SIDES];
};

struct report {
	/** NULL where no case used a tree of the host. */
	const struct bench_host *host;
	/** NULL where RocksDB takes part in nothing. */
	const char *rocksdb_version;
	const struct report_row *rows;
	size_t count;
};

/** Nanoseconds for each operation of a thread: the median of the runs. */
double report_ns(const struct bench_result *result);
/** How far the runs lie apart, in percent of the median. */
double report_spread(const struct bench_result *result);
/** Of all threads together. */
double report_ops_per_s(const struct bench_result *result);
double report_bytes_per_s(const struct bench_result *result);
/** The side's time over that of dmemfs: the median over the pairs of runs. */
double report_ratio(const struct report_row *row, enum report_side side);
/** A thread works beside the measured ones, and how much it gets done: the median of the runs. */
bool report_has_background(const struct bench_result *result);
double report_background(const struct bench_result *result);

/** The table's head, one row of it, and what follows it. */
void report_table_head(void);
void report_table_row(const struct report_row *row);
void report_table_foot(const struct report *report);

/** Write a file. Dies when that fails. */
void report_write_json(const char *path, const struct report *report);
void report_write_html(const char *path, const struct report *report);
/** Write the JSON, which has no '<' in it, so that it can stand inside of a page. */
void report_put_json(FILE *file, const struct report *report);
/** Open a file and close it, where all must have been written. Die when that fails. */
FILE *report_open(const char *path);
void report_close(FILE *file, const char *path);

#endif
