/* SPDX-License-Identifier: MIT */
/*
 * What comes out: the table on standard output, the JSON file, and the machine's description.
 */
#include "dmemfs/dmemfs.h"

#include "bench.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* jemalloc's, where the program has it. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size)
	__attribute__((weak));

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

/* Of all threads together. */
static double bytes_per_s(const struct bench_result *result)
{
	double ns = bench_median(result->runs, result->count);

	return (double)bench_cases[result->id].bytes * result->threads / ns * 1e9;
}

/* How far the runs lie apart, in percent of the median. */
static double spread(const struct bench_result *result)
{
	double lowest = result->runs[0];
	double highest = result->runs[0];

	for (unsigned i = 1; i < result->count; i++) {
		if (result->runs[i] < lowest)
			lowest = result->runs[i];
		if (result->runs[i] > highest)
			highest = result->runs[i];
	}
	return (highest - lowest) / bench_median(result->runs, result->count) * 100;
}

void bench_report_head(void)
{
	printf("%-28s %7s %11s %6s %11s %7s %11s %11s %9s\n", "case", "threads", "dmemfs ns", "peer",
		   "peer ns", "ratio", "memcpy ns", "dmemfs GB/s", "spread %");
}

void bench_report_row(const struct bench_result *dmemfs_result,
					  const struct bench_result *peer_result,
					  const struct bench_result *memcpy_result)
{
	double ratios[BENCH_MAX_REPEAT] = {0};
	const struct bench_case *info = &bench_cases[dmemfs_result->id];
	char copy[32] = "-";
	char rate[32] = "-";

	for (unsigned i = 0; i < dmemfs_result->count; i++)
		ratios[i] = peer_result->runs[i] / dmemfs_result->runs[i];
	if (memcpy_result) {
		snprintf(copy, sizeof(copy), "%.1f",
				 bench_median(memcpy_result->runs, memcpy_result->count));
	}
	if (info->bytes != 0)
		snprintf(rate, sizeof(rate), "%.2f", bytes_per_s(dmemfs_result) / 1e9);
	printf("%-28s %7u %11.1f %6s %11.1f %7.2f %11s %11s %4.0f/%-4.0f\n", info->name,
		   dmemfs_result->threads, bench_median(dmemfs_result->runs, dmemfs_result->count),
		   peer_result->backend->name, bench_median(peer_result->runs, peer_result->count),
		   bench_median(ratios, dmemfs_result->count), copy, rate, spread(dmemfs_result),
		   spread(peer_result));
	fflush(stdout);
}

void bench_report_foot(const struct bench_host *host)
{
	printf("ns: wall time over the operations of one thread, median of the runs\n"
		   "ratio: peer over dmemfs, median of the pairs of runs; more is better for dmemfs\n"
		   "GB/s: 10^9 bytes of all threads together\n"
		   "spread: slowest less fastest run over the median, dmemfs/peer\n");
	if (host) {
		printf("import_dir, export_dir: %s, %llu files, %llu directories, %.1f MB\n", host->tree,
			   (unsigned long long)host->sum.files, (unsigned long long)host->sum.directories,
			   (double)host->sum.bytes / 1e6);
	}
}

/*
 * The machine
 */

/* Copy what follows the first "key...:" of a file of /proc into `value`, or "unknown". */
static void look_up(const char *path, const char *key, char *value, size_t size)
{
	char line[512];
	FILE *file = fopen(path, "re");

	snprintf(value, size, "unknown");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		const char *at = strchr(line, ':');
		if (!at)
			continue;
		at += 1 + strspn(at + 1, " \t");
		snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
		break;
	}
	(void)fclose(file);
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
 * JSON
 */

static void put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		if ((unsigned char)*text >= 0x20)
			fputc(*text, file);
	}
	fputc('"', file);
}

static void put_field(FILE *file, const char *name, const char *text)
{
	fprintf(file, "    \"%s\": ", name);
	put_string(file, text);
	fputs(",\n", file);
}

static void put_machine(FILE *file)
{
	char text[256];
	struct utsname system;
	time_t now = time(NULL);
	struct tm utc;
	long pages = sysconf(_SC_PHYS_PAGES);

	fputs("  \"machine\": {\n", file);
	look_up("/proc/cpuinfo", "model name", text, sizeof(text));
	put_field(file, "cpu", text);
	fprintf(file, "    \"cores\": %ld,\n", sysconf(_SC_NPROCESSORS_ONLN));
	if (uname(&system) < 0)
		bench_die("uname: %s", strerror(errno));
	snprintf(text, sizeof(text), "%s %s %s", system.sysname, system.release, system.machine);
	put_field(file, "kernel", text);
	fprintf(file, "    \"memory_bytes\": %llu,\n",
			(unsigned long long)pages * (unsigned long long)sysconf(_SC_PAGESIZE));
#if defined(__clang__)
	put_field(file, "compiler", __VERSION__);
#else
	put_field(file, "compiler", "gcc " __VERSION__);
#endif
	if (!gmtime_r(&now, &utc) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		bench_die("the date does not fit");
	put_field(file, "date", text);
	put_field(file, "version", mfs_version());
	describe_allocator(text, sizeof(text));
	fputs("    \"allocator\": ", file);
	put_string(file, text);
	fputs("\n  },\n", file);
}

static void put_host(FILE *file, const struct bench_host *host)
{
	fputs("  \"host_tree\": {\n", file);
	put_field(file, "path", host->tree);
	fprintf(file, "    \"files\": %llu,\n    \"directories\": %llu,\n    \"bytes\": %llu\n  },\n",
			(unsigned long long)host->sum.files, (unsigned long long)host->sum.directories,
			(unsigned long long)host->sum.bytes);
}

static void put_result(FILE *file, const struct bench_result *result)
{
	const struct bench_case *info = &bench_cases[result->id];

	fprintf(file,
			"    {\"case\": \"%s\", \"backend\": \"%s\", \"threads\": %u, \"ns_per_op\": %.3f, "
			"\"bytes_per_s\": %.0f, \"runs\": [",
			info->name, result->backend->name, result->threads,
			bench_median(result->runs, result->count), bytes_per_s(result));
	for (unsigned i = 0; i < result->count; i++)
		fprintf(file, "%s%.3f", i ? ", " : "", result->runs[i]);
	fputs("]}", file);
}

void bench_report_json(const char *path, const struct bench_host *host,
					   const struct bench_result *results, size_t count)
{
	FILE *file = fopen(path, "we");

	if (!file)
		bench_die("cannot write %s: %s", path, strerror(errno));
	fputs("{\n", file);
	put_machine(file);
	if (host)
		put_host(file, host);
	fputs("  \"results\": [\n", file);
	for (size_t i = 0; i < count; i++) {
		put_result(file, &results[i]);
		fputs(i + 1 < count ? ",\n" : "\n", file);
	}
	fputs("  ]\n}\n", file);
	int failed = ferror(file);
	if (fclose(file) != 0 || failed)
		bench_die("cannot write %s", path);
}
