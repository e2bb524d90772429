/* SPDX-License-Identifier: MIT */
/*
 * The page: page.html, which draws what it finds in its own data, with the JSON put in.
 */
#include "report.h"

/* Stands once in page.html. */
#define PLACE_OF_DATA "@DATA@"

/* Made of page.html when the program is built. */
extern const char bench_page[];

void report_write_html(const char *path, const struct report *report)
{
	FILE *file = report_open(path);
	const char *place = strstr(bench_page, PLACE_OF_DATA);

	if (!place)
		bench_die("the page has no place for the data");
	size_t before = (size_t)(place - bench_page);
	if (fwrite(bench_page, 1, before, file) != before)
		bench_die("cannot write %s", path);
	report_put_json(file, report);
	fputs(place + strlen(PLACE_OF_DATA), file);
	report_close(file, path);
}
