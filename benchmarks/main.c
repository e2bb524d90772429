/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_bench: the workspace against tmpfs, in one process and in turns. README.md says what each
 * case does and how to read the figures.
 */
#include "bench.h"
#include "host_tree.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What the cases hold at once on one backend: all threads together, and each thread. */
#define FIXED_BYTES  (UINT64_C(1) << 30)
#define THREAD_BYTES (UINT64_C(400) << 20)

/* The backends of a case. */
enum {
	DMEMFS,
	PEER,
	MEMCPY,
	BACKENDS,
};

struct options {
	const char *json;
	const char *dmemfs_root;
	const char *tmpfs;
	const char *host_tree;
	unsigned repeat;
	unsigned threads[16];
	unsigned thread_counts;
	bool cases[BENCH_CASE_COUNT];
};

/*
 * Ending early
 */

/* Atomic, any thread: the trees to remove. */
static _Atomic(const char *) trees_to_remove[BENCH_LEFTOVERS];
/* Atomic: somebody is ending the process. */
static _Atomic bool ending;

void bench_remove_on_exit(enum bench_leftover which, const char *root)
{
	/* pairs with clean_up() */
	atomic_store_explicit(&trees_to_remove[which], root, memory_order_release);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

int bench_remove_tree(const char *root)
{
	return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void clean_up(void)
{
	for (unsigned which = 0; which < BENCH_LEFTOVERS; which++) {
		/* pairs with bench_remove_on_exit() */
		const char *root = atomic_load_explicit(&trees_to_remove[which], memory_order_acquire);

		/* Other threads may still be adding to it, or removing from it what is found here. */
		for (int i = 0; root && i < 100 && bench_remove_tree(root) < 0 && access(root, F_OK) == 0;
			 i++)
			continue;
	}
}

void bench_die(const char *format, ...)
{
	va_list arguments;

	/* Only the first one speaks: the others fail because it is removing their files. */
	if (atomic_exchange_explicit(&ending, true, memory_order_acq_rel)) {
		for (;;)
			pause();
	}
	fflush(stdout);
	fputs("dmemfs_bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	clean_up();
	_exit(1);
}

static void *wait_for_signal(void *argument)
{
	const sigset_t *signals = argument;
	int number = 0;

	if (sigwait(signals, &number) != 0 ||
		atomic_exchange_explicit(&ending, true, memory_order_acq_rel))
		return NULL;
	clean_up();
	_exit(128 + number);
}

/* Let a thread wait for what ends the program from outside, so that nothing stays in tmpfs. */
static void catch_signals(void)
{
	static sigset_t signals;
	pthread_t thread;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	int rc = pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (rc == 0)
		rc = pthread_create(&thread, NULL, wait_for_signal, &signals);
	if (rc == 0)
		rc = pthread_detach(thread);
	if (rc != 0)
		bench_die("cannot start a thread: %s", strerror(rc));
}

/*
 * Options
 */

static void print_usage(FILE *file)
{
	fputs("usage: dmemfs_bench --json FILE [--cases a,b,...] [--threads 1,2] [--repeat 5]\n"
		  "                    [--dmemfs-root PATH] [--tmpfs DIR] [--host-tree DIR]\n"
		  "       dmemfs_bench --list\n"
		  "\n"
		  "  --json FILE         where the results go\n"
		  "  --cases a,b,...     only these (default: all)\n"
		  "  --threads 1,2       numbers of threads\n"
		  "  --repeat N          runs of each backend, in turns\n"
		  "  --dmemfs-root PATH  directory of the workspace to work in (default: /bench)\n"
		  "  --tmpfs DIR         directory on tmpfs to work below (default: /dev/shm)\n"
		  "  --host-tree DIR     what import_dir and export_dir copy (default: /usr/include)\n"
		  "  --list              name the cases\n",
		  file);
}

static _Noreturn void usage_error(const char *message, const char *value)
{
	fprintf(stderr, "dmemfs_bench: %s: %s\n", message, value);
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

static void parse_threads(struct options *options, char *list)
{
	char *rest = NULL;

	options->thread_counts = 0;
	for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		if (options->thread_counts == sizeof(options->threads) / sizeof(options->threads[0]))
			usage_error("too many numbers of threads", item);
		options->threads[options->thread_counts++] = parse_number(item, BENCH_MAX_THREADS);
	}
	if (options->thread_counts == 0)
		usage_error("no number of threads", "--threads");
}

static void parse_cases(struct options *options, char *list)
{
	char *rest = NULL;

	memset(options->cases, 0, sizeof(options->cases));
	for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		unsigned id = 0;
		while (id < BENCH_CASE_COUNT && strcmp(item, bench_cases[id].name) != 0)
			id++;
		if (id == BENCH_CASE_COUNT)
			usage_error("no such case", item);
		options->cases[id] = true;
	}
}

static void list_cases(void)
{
	for (unsigned id = 0; id < BENCH_CASE_COUNT; id++)
		printf("%-28s %s\n", bench_cases[id].name, bench_cases[id].what);
}

static void parse_options(struct options *options, int count, char **arguments)
{
	static const struct option known[] = {
		{"json", required_argument, NULL, 'j'},
		{"cases", required_argument, NULL, 'c'},
		{"threads", required_argument, NULL, 't'},
		{"repeat", required_argument, NULL, 'r'},
		{"dmemfs-root", required_argument, NULL, 'd'},
		{"tmpfs", required_argument, NULL, 's'},
		{"host-tree", required_argument, NULL, 'i'},
		{"list", no_argument, NULL, 'l'},
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
			parse_cases(options, optarg);
			break;
		case 't':
			parse_threads(options, optarg);
			break;
		case 'r':
			options->repeat = parse_number(optarg, BENCH_MAX_REPEAT);
			break;
		case 'd':
			options->dmemfs_root = optarg;
			break;
		case 's':
			options->tmpfs = optarg;
			break;
		case 'i':
			options->host_tree = optarg;
			break;
		case 'l':
			list_cases();
			exit(0);
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
	if (!options->json)
		usage_error("missing", "--json FILE");
}

/*
 * The runs
 */

/* Numbers in random order, the same ones each time. */
static uint32_t *make_order(void)
{
	uint64_t state = 20160622;
	uint32_t *order = malloc(BENCH_COLD_FILES * sizeof(*order));

	if (!order)
		bench_die("out of memory");
	for (uint32_t i = 0; i < BENCH_COLD_FILES; i++)
		order[i] = i;
	for (uint32_t i = BENCH_COLD_FILES - 1; i > 0; i--) {
		uint32_t other = (uint32_t)(bench_random(&state) % (i + 1));
		uint32_t number = order[i];
		order[i] = order[other];
		order[other] = number;
	}
	return order;
}

/* A tmpfs that is too small would fail in the middle. */
static void check_room(const struct options *options)
{
	struct statvfs info;
	uint64_t most = 0;

	for (unsigned i = 0; i < options->thread_counts; i++) {
		uint64_t needed = FIXED_BYTES + options->threads[i] * THREAD_BYTES;
		if (needed > most)
			most = needed;
	}
	if (statvfs(options->tmpfs, &info) < 0)
		bench_die("%s: %s", options->tmpfs, strerror(errno));
	uint64_t room = (uint64_t)info.f_bavail * info.f_frsize;
	if (room < most) {
		bench_die("%s has room for %llu MiB, %llu MiB are needed", options->tmpfs,
				  (unsigned long long)(room >> 20), (unsigned long long)(most >> 20));
	}
}

/* A case of the workspace alone has another peer. Returns how many backends there are. */
static unsigned choose_backends(enum bench_case_id id, const struct bench_backend **backends)
{
	bool glob = bench_glob.steps[id].measure;

	backends[DMEMFS] = glob ? &bench_glob : &bench_dmemfs;
	backends[PEER] = glob ? &bench_walk : &bench_tmpfs;
	backends[MEMCPY] = &bench_memcpy;
	return bench_memcpy.steps[id].measure ? BACKENDS : MEMCPY;
}

/* What a run of the program shares. */
struct suite {
	const struct options *options;
	const char *tmpfs_root;
	const uint32_t *order;
	const struct bench_host *host;
};

/* One case with one number of threads: all backends in turns. Returns the number of results. */
static unsigned run_case(const struct suite *suite, enum bench_case_id id, unsigned threads,
						 struct bench_result *results)
{
	const struct bench_backend *backends[BACKENDS];
	struct bench_instance instances[BACKENDS];
	unsigned repeat = suite->options->repeat;
	unsigned count = choose_backends(id, backends);

	for (unsigned i = 0; i < count; i++) {
		bool on_tmpfs = backends[i] == &bench_tmpfs;
		instances[i] = (struct bench_instance){
			.backend = backends[i],
			.id = id,
			.threads = threads,
			.root = on_tmpfs ? suite->tmpfs_root : suite->options->dmemfs_root,
			.order = suite->order,
			.host = suite->host,
		};
		results[i] = (struct bench_result){
			.id = id,
			.backend = backends[i],
			.threads = threads,
			.count = repeat,
		};
		bench_instance_open(&instances[i]);
	}
	for (unsigned run = 0; run < repeat; run++) {
		for (unsigned i = 0; i < count; i++)
			results[i].runs[run] = bench_instance_run(&instances[i]);
	}
	for (unsigned i = 0; i < count; i++)
		bench_instance_close(&instances[i]);
	bench_report_row(&results[DMEMFS], &results[PEER], count > MEMCPY ? &results[MEMCPY] : NULL);
	return count;
}

int main(int count, char **arguments)
{
	struct options options = {
		.dmemfs_root = "/bench",
		.tmpfs = "/dev/shm",
		.host_tree = "/usr/include",
		.repeat = 5,
		.threads = {1, 2},
		.thread_counts = 2,
	};
	char tmpfs_root[BENCH_PATH_SIZE / 4];
	char out[BENCH_PATH_SIZE / 4 + 8];
	struct bench_host host = {.out = out};
	size_t result_count = 0;

	for (unsigned id = 0; id < BENCH_CASE_COUNT; id++)
		options.cases[id] = true;
	parse_options(&options, count, arguments);
	if (strlen(options.dmemfs_root) >= sizeof(tmpfs_root))
		usage_error("too long", options.dmemfs_root);
	int length =
		snprintf(tmpfs_root, sizeof(tmpfs_root), "%s/mfsb%ld", options.tmpfs, (long)getpid());
	if (length < 0 || (size_t)length >= sizeof(tmpfs_root))
		usage_error("too long", options.tmpfs);
	/* Before minutes of work whose results would have no place to go. */
	FILE *file = fopen(options.json, "ae");
	if (!file || fclose(file) != 0)
		bench_die("cannot write %s: %s", options.json, strerror(errno));
	check_room(&options);
	catch_signals();

	bool host_used = options.cases[BENCH_import_dir] || options.cases[BENCH_export_dir] ||
					 options.cases[BENCH_export_dir_whole];
	host.tree = options.host_tree;
	snprintf(out, sizeof(out), "%s-out", tmpfs_root);
	if (host_used)
		bench_host_sum(host.tree, &host.sum);

	uint32_t *order = make_order();
	struct suite suite = {
		.options = &options,
		.tmpfs_root = tmpfs_root,
		.order = order,
		.host = &host,
	};
	struct bench_result *results =
		calloc((size_t)BENCH_CASE_COUNT * options.thread_counts * BACKENDS, sizeof(*results));
	if (!results)
		bench_die("out of memory");
	bench_report_head();
	for (unsigned id = 0; id < BENCH_CASE_COUNT; id++) {
		for (unsigned i = 0; options.cases[id] && i < options.thread_counts; i++) {
			result_count += run_case(&suite, (enum bench_case_id)id, options.threads[i],
									 &results[result_count]);
		}
	}
	bench_report_foot(host_used ? &host : NULL);
	bench_report_json(options.json, host_used ? &host : NULL, results, result_count);
	free(results);
	free(order);
	return 0;
}
