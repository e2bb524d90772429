/* SPDX-License-Identifier: MIT */
/* The command `dmemfs etl`: its arguments, the stages one after the other, the table at the end. */
#include "etl.h"

#include "interrupt.h"
#include "progress.h"
#include "run.h"
#include "size.h"
#include "stages.h"
#include "team.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_THREADS 1024
#define DEFAULT_OUT  "index"

static const char help[] =
	"usage: dmemfs etl [--threads N] [--quota SIZE] [--out DIR] INPUT\n"
	"\n"
	"Build an inverted index of the text files in INPUT, a directory or a file, in a\n"
	"workspace in memory. A word is a run of ASCII letters, digits or underscores,\n"
	"lower-cased. For each word the index has a line: the word, how often it occurs,\n"
	"and in how many files, with tabs between them.\n"
	"\n"
	"  -t, --threads N   worker threads, 1 to 1024; default: the online processors\n"
	"  -q, --quota SIZE  bytes that the workspace may hold; K, M or G behind a number\n"
	"                    multiply it by 1024, 1024^2 or 1024^3; default: 2.5 times the\n"
	"                    input and 256 bytes for each file, but at least 64M\n"
	"  -o, --out DIR     where the index goes; must not exist or be an empty directory;\n"
	"                    default: ./" DEFAULT_OUT "\n"
	"  -h, --help        this text\n"
	"\n"
	"DIR gets the files index-000 to index-031, each sorted bytewise; a word is in one\n"
	"of them. It gets all of them at once at the end, and nothing if anything fails.\n"
	"Below INPUT, symbolic links are not followed; what is neither file nor directory\n"
	"is counted and skipped.\n"
	"\n"
	"Exit codes: 0 done, 1 failure, 2 wrong usage, 3 the quota is too small.\n";

struct stage {
	const char *name;
	void (*prepare)(struct run *run, uint64_t *bytes);
	void (*work)(struct run *run, unsigned worker);
	void (*finish)(struct run *run);
	bool by_one; /* worker */
};

static const struct stage stages[] = {
	{"scan", NULL, scan_work, NULL, true},
	{"ingest", ingest_prepare, ingest_work, NULL, false},
	{"map", map_prepare, map_work, NULL, false},
	{"shuffle", shuffle_prepare, shuffle_work, NULL, false},
	{"reduce", reduce_prepare, reduce_work, NULL, false},
	{"export", export_prepare, export_work, export_finish, true},
};

#define STAGE_COUNT (sizeof stages / sizeof stages[0])

/*
 * Running
 */

/* A signal ends the run early. */
static void heed_signals(struct run *run)
{
	if (interrupt_signal() && !run_is_stopping(run))
		run_stop(run);
}

/* Returns the seconds that the stage took. */
static double run_stage(struct run *run, const struct stage *stage)
{
	struct progress progress;
	struct team team;
	uint64_t bytes = 0;

	run->stage = stage->name;
	atomic_store_explicit(&run->next_item, 0, memory_order_relaxed);
	atomic_store_explicit(&run->done_bytes, 0, memory_order_relaxed);
	double start = progress_clock();
	if (stage->prepare)
		stage->prepare(run, &bytes);
	progress_begin(&progress, run, stage->name, bytes);
	progress.start = start;
	if (!run_is_stopping(run)) {
		(void)team_start(&team, run, stage->by_one ? 1 : run->threads, stage->work);
		while (team_is_working(&team)) {
			interrupt_wait(progress.on_terminal ? PROGRESS_INTERVAL : -1);
			heed_signals(run);
			progress_draw(&progress);
		}
		team_join(&team);
	}
	heed_signals(run);
	if (stage->finish && !run_is_stopping(run))
		stage->finish(run);
	return progress_end(&progress, !run_is_stopping(run));
}

static void print_table(struct run *run, const double *seconds)
{
	mfs_usage usage = {0};
	double sum = 0;

	(void)mfs_stats(run->fs, &usage);
	(void)printf("files           %14" PRIu32 "\n", run->tree.file_count);
	(void)printf("skipped         %14" PRIu64 "\n", run->tree.skipped);
	(void)printf("bytes           %14" PRIu64 "\n", run_get(&run->input_bytes));
	(void)printf("words           %14" PRIu64 "\n", run_get(&run->words));
	(void)printf("distinct words  %14" PRIu64 "\n", run_get(&run->distinct_words));
	for (size_t i = 0; i < STAGE_COUNT; i++) {
		(void)printf("%-7s seconds %14.3f\n", stages[i].name, seconds[i]);
		sum += seconds[i];
	}
	(void)printf("all seconds     %14.3f\n", sum);
	(void)printf("threads         %14u\n", run->threads);
	(void)printf("quota           %14" PRIu64 "\n", usage.quota_bytes);
	(void)printf("peak quota      %14" PRIu64 "  %.1f%% of the quota\n", usage.peak_bytes,
				 100 * (double)usage.peak_bytes / (double)usage.quota_bytes);
	(void)printf("index           %s\n", run->output.target);
}

/* Returns the exit code. */
static enum exit_code run_stages(struct run *run)
{
	double seconds[STAGE_COUNT] = {0};

	for (size_t i = 0; i < STAGE_COUNT && !run_is_stopping(run); i++)
		seconds[i] = run_stage(run, &stages[i]);
	if (run->exit_code != EXIT_OK) {
		(void)fprintf(stderr, "dmemfs: %s\n", run->failure ? run->failure : "out of memory");
		return run->exit_code;
	}
	if (run_is_stopping(run))
		return EXIT_FAILED;
	print_table(run, seconds);
	if (fflush(stdout) == EOF) {
		(void)fprintf(stderr, "dmemfs: standard output: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/*
 * Arguments
 */

static enum exit_code usage_error(const char *message, const char *argument)
{
	(void)fprintf(stderr, "dmemfs: etl: %s%s\nTry 'dmemfs etl --help'.\n", message, argument);
	return EXIT_USAGE;
}

static unsigned default_threads(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online < 1)
		return 1;
	return online < MOST_THREADS ? (unsigned)online : MOST_THREADS;
}

static bool parse_threads(const char *text, unsigned *threads)
{
	uint64_t number = 0;

	if (!*text || text[strspn(text, "0123456789")] || !size_parse(text, &number) || number < 1 ||
		number > MOST_THREADS)
		return false;
	*threads = (unsigned)number;
	return true;
}

/* What the arguments say. */
struct arguments {
	unsigned threads;
	uint64_t quota;
	const char *out;
	const char *input;
	bool help;
};

static enum exit_code parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"threads", required_argument, NULL, 't'},
		{"quota", required_argument, NULL, 'q'},
		{"out", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};

	*arguments = (struct arguments){.threads = default_threads(), .out = DEFAULT_OUT};
	/* Start again: getopt has looked at the arguments before the command. */
	optind = 0;
	opterr = 0;
	for (;;) {
		int index = optind ? optind : 1;
		int option = getopt_long(argc, argv, ":t:q:o:h", options, NULL);
		switch (option) {
		case -1:
			if (optind == argc)
				return usage_error("INPUT is missing", "");
			if (optind + 1 < argc)
				return usage_error("more than one INPUT: ", argv[optind + 1]);
			arguments->input = argv[optind];
			return EXIT_OK;
		case 't':
			if (!parse_threads(optarg, &arguments->threads))
				return usage_error("not a number of threads from 1 to 1024: ", optarg);
			break;
		case 'q':
			if (!size_parse(optarg, &arguments->quota) || !arguments->quota)
				return usage_error("not a size such as 64M: ", optarg);
			break;
		case 'o':
			arguments->out = optarg;
			break;
		case 'h':
			arguments->help = true;
			return EXIT_OK;
		case ':':
			return usage_error("a value is missing after ", argv[optind - 1]);
		default:
			return usage_error("unknown option: ", argv[index]);
		}
	}
}

static enum exit_code check_output(struct run *run, const char *path)
{
	switch (output_check(&run->output, path)) {
	case OUTPUT_OK:
		return EXIT_OK;
	case OUTPUT_IN_USE:
		(void)fprintf(stderr,
					  "dmemfs: %s: exists, and is not an empty directory that can be replaced\n",
					  path);
		return EXIT_USAGE;
	case OUTPUT_FAILED:
		break;
	}
	(void)fprintf(stderr, "dmemfs: %s: %s\n", path, strerror(errno));
	return EXIT_FAILED;
}

enum exit_code etl_main(int argc, char **argv)
{
	struct arguments arguments;
	struct run run;

	enum exit_code code = parse_arguments(argc, argv, &arguments);
	if (code != EXIT_OK)
		return code;
	if (arguments.help) {
		(void)fputs(help, stdout);
		return fflush(stdout) == EOF ? EXIT_FAILED : EXIT_OK;
	}
	if (!interrupt_catch() || !run_init(&run)) {
		(void)fprintf(stderr, "dmemfs: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	run.input = arguments.input;
	run.threads = arguments.threads;
	run.quota = arguments.quota;
	code = check_output(&run, arguments.out);
	if (code == EXIT_OK)
		code = run_stages(&run);
	output_free(&run.output);
	if (mfs_free(run.fs) != 0) {
		(void)fprintf(stderr, "dmemfs: %s\n", mfs_last_error());
		code = EXIT_FAILED;
	}
	bool interrupted = run.exit_code == EXIT_OK && run_is_stopping(&run);
	run_destroy(&run);
	if (interrupted)
		interrupt_die();
	return code;
}
