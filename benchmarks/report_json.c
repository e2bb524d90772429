/* SPDX-License-Identifier: MIT */
/*
 * The JSON file. "results" has a row for each case, number of threads and backend; "comparisons"
 * has the backends of a case side by side.
 */
#include "dmemfs/dmemfs.h"

#include "report.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* jemalloc's, where the program has it. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size)
	__attribute__((weak));

static void put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(file, "\\%c", *text);
		else if (*text == '<')
			fputs("\\u003c", file);
		else if ((unsigned char)*text >= 0x20)
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

static void put_machine(FILE *file, const char *rocksdb_version)
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
	if (rocksdb_version)
		put_field(file, "rocksdb", rocksdb_version);
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

/*
 * The results
 */

static enum bench_case_id id_of(const struct report_row *row)
{
	return row->sides[SIDE_DMEMFS].id;
}

/* What the cases are, each once. */
static void put_cases(FILE *file, const struct report *report)
{
	const char *comma = "";

	fputs("  \"cases\": [", file);
	for (size_t i = 0; i < report->count; i++) {
		const struct bench_case *info = &bench_cases[id_of(&report->rows[i])];
		if (i > 0 && id_of(&report->rows[i - 1]) == id_of(&report->rows[i]))
			continue;
		fprintf(file, "%s\n    {\"case\": \"%s\", \"bytes_per_op\": %llu, \"what\": ", comma,
				info->name, (unsigned long long)info->bytes);
		put_string(file, info->what);
		fputc('}', file);
		comma = ",";
	}
	fputs("\n  ],\n", file);
}

static void put_list(FILE *file, const char *name, int digits, const double *values, unsigned count)
{
	fprintf(file, ", \"%s\": [", name);
	for (unsigned i = 0; i < count; i++)
		fprintf(file, "%s%.*f", i ? ", " : "", digits, values[i]);
	fputc(']', file);
}

static void put_result(FILE *file, const struct bench_result *result)
{
	fprintf(file,
			"    {\"case\": \"%s\", \"backend\": \"%s\", \"threads\": %u, \"ns_per_op\": %.3f, "
			"\"ops_per_s\": %.3f, \"bytes_per_s\": %.0f, \"spread_percent\": %.1f",
			bench_cases[result->id].name, result->backend->name, result->threads, report_ns(result),
			report_ops_per_s(result), report_bytes_per_s(result), report_spread(result));
	if (report_has_background(result)) {
		fprintf(file, ", \"background_ops_per_s\": %.1f", report_background(result));
		put_list(file, "background_runs", 1, result->background_ops_per_s, result->count);
	}
	put_list(file, "runs", 3, result->runs, result->count);
	fputc('}', file);
}

static void put_results(FILE *file, const struct report *report)
{
	const char *comma = "";

	fputs("  \"results\": [", file);
	for (size_t i = 0; i < report->count; i++) {
		for (unsigned side = 0; side < SIDES; side++) {
			const struct bench_result *result = &report->rows[i].sides[side];
			if (!result->backend)
				continue;
			fprintf(file, "%s\n", comma);
			put_result(file, result);
			comma = ",";
		}
	}
	fputs("\n  ]\n", file);
}

static void put_comparison(FILE *file, const struct report_row *row)
{
	const char *comma = "";

	fprintf(file, "    {\"case\": \"%s\", \"threads\": %u, \"ns_per_op\": {",
			bench_cases[id_of(row)].name, row->sides[SIDE_DMEMFS].threads);
	for (unsigned side = 0; side < SIDES; side++) {
		const struct bench_result *result = &row->sides[side];
		if (!result->backend)
			continue;
		fprintf(file, "%s\"%s\": %.3f", comma, result->backend->name, report_ns(result));
		comma = ", ";
	}
	comma = "";
	fputs("}, \"over_dmemfs\": {", file);
	for (unsigned side = SIDE_DMEMFS + 1; side < SIDES; side++) {
		const struct bench_result *result = &row->sides[side];
		if (!result->backend)
			continue;
		fprintf(file, "%s\"%s\": %.4f", comma, result->backend->name,
				report_ratio(row, (enum report_side)side));
		comma = ", ";
	}
	fputs("}}", file);
}

void report_put_json(FILE *file, const struct report *report)
{
	fputs("{\n", file);
	put_machine(file, report->rocksdb_version);
	if (report->host)
		put_host(file, report->host);
	put_cases(file, report);
	fputs("  \"comparisons\": [\n", file);
	for (size_t i = 0; i < report->count; i++) {
		put_comparison(file, &report->rows[i]);
		fputs(i + 1 < report->count ? ",\n" : "\n", file);
	}
	fputs("  ],\n", file);
	put_results(file, report);
	fputs("}\n", file);
}

void report_write_json(const char *path, const struct report *report)
{
	FILE *file = report_open(path);

	report_put_json(file, report);
	report_close(file, path);
}
