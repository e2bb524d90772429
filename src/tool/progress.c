/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Columns of the bar itself, at least and at most, and of the text around it. */
#define BAR_LEAST  10
#define BAR_MOST   50
#define BAR_AROUND 58

double progress_clock(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void progress_begin(struct progress *progress, struct run *run, const char *stage, uint64_t bytes)
{
	const char *terminal = getenv("TERM");

	*progress = (struct progress){
		.run = run,
		.stage = stage,
		.bytes = bytes,
		.start = progress_clock(),
		.on_terminal = isatty(STDERR_FILENO) && (!terminal || strcmp(terminal, "dumb") != 0),
	};
}

/* How much of the quota is in use, as text. */
static struct size_text quota_use(struct run *run)
{
	struct size_text result = {"-"};
	mfs_usage usage;

	if (run->fs && mfs_stats(run->fs, &usage) == 0)
		(void)snprintf(result.text, sizeof result.text, "%.0f%%",
					   100 * (double)usage.used_bytes / (double)usage.quota_bytes);
	return result;
}

static unsigned bar_columns(void)
{
	struct winsize window;
	unsigned columns = 80;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col)
		columns = window.ws_col;
	if (columns < BAR_AROUND + BAR_LEAST)
		return BAR_LEAST;
	return columns - BAR_AROUND < BAR_MOST ? columns - BAR_AROUND : BAR_MOST;
}

static struct size_text rate(uint64_t bytes, double seconds)
{
	return size_format(seconds > 0 ? (uint64_t)((double)bytes / seconds) : 0);
}

void progress_draw(const struct progress *progress)
{
	static const char full[] = "##################################################";
	static const char empty[] = "..................................................";
	uint64_t done = run_get(&progress->run->done_bytes);
	double share = progress->bytes ? (double)done / (double)progress->bytes : 0;

	if (!progress->on_terminal)
		return;
	if (share > 1)
		share = 1;
	int columns = (int)bar_columns();
	int filled = (int)(share * columns);
	/* Written whole, so that it does not flicker; the cursor goes back, the rest is cleared. */
	(void)fprintf(stderr, "\r%-8s [%.*s%.*s] %3.0f%%  %s/s  quota %s\033[K", progress->stage,
				  filled, full, columns - filled, empty, 100 * share,
				  rate(done, progress_clock() - progress->start).text,
				  quota_use(progress->run).text);
	(void)fflush(stderr);
}

double progress_end(const struct progress *progress, bool done)
{
	double seconds = progress_clock() - progress->start;
	uint64_t bytes = run_get(&progress->run->done_bytes);

	if (progress->on_terminal)
		(void)fputs("\r\033[K", stderr);
	if (done && progress->bytes)
		(void)fprintf(stderr, "%s: %s in %.2f s, %s/s, quota %s\n", progress->stage,
					  size_format(bytes).text, seconds, rate(bytes, seconds).text,
					  quota_use(progress->run).text);
	else if (done)
		(void)fprintf(stderr, "%s: %.2f s\n", progress->stage, seconds);
	(void)fflush(stderr);
	return seconds;
}
