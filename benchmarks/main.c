/* SPDX-License-Identifier: MIT */
/*
 * dmemfs_bench: the workspace against tmpfs, in one process and in turns. README.md says what each
 * case does and how to read the figures.
 */
#include "backend_rocksdb.h"
#include "bench.h"
#include "host_tree.h"
#include "report.h"

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
#define THREAD_BYTES (UINT64_C(600) << 20)

struct options {
	const char *json;
	const char *html;
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
	fputs("usage: dmemfs_bench --json FILE [--html FILE] [--cases a,b,...] [--threads 1,2]\n"
		  "                    [--repeat 5] [--dmemfs-root PATH] [--tmpfs DIR]\n"
		  "                    [--host-tree DIR]\n"
		  "       dmemfs_bench --list\n"
		  "\n"
		  "  --json FILE         where the results go\n"
		  "  --html FILE         a page of charts and tables with the same results\n"
		  "  --cases a,b,...     only these (default: all)\n"
		  "  --threads 1,2       numbers of threads\n"
		  "  --repeat N          runs of each backend, in turns\n"
		  "  --dmemfs-root PATH  directory of the workspace to work in (default: /bench)\n"
		  "  --tmpfs DIR         directory on tmpfs to work below (default: /dev/shm)\n"
		  "  --host-tree DIR     what import_dir and export_dir copy (default: /usr/include)\n"
		  "  --list              name the cases\n"
		  "\n"
		  "One of --json and --html is enough.\n",
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
		{"html", required_argument, NULL, 'm'},
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
		case 'm':
			options->html = optarg;
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
	if (!options->json && !options->html)
		usage_error("missing", "--json FILE or --html FILE");
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

/* Who takes part in a case; NULL: this side does not. A case of the workspace alone has another
 * peer. */
static void choose_backends(enum bench_case_id id, const struct bench_backend **backends)
{
	backends[SIDE_DMEMFS] = &bench_dmemfs;
	backends[SIDE_PEER] = &bench_tmpfs;
	if (bench_glob.steps[id].measure) {
		backends[SIDE_DMEMFS] = &bench_glob;
		backends[SIDE_PEER] = &bench_walk;
	} else if (bench_view.steps[id].measure) {
		backends[SIDE_DMEMFS] = &bench_view;
		backends[SIDE_PEER] = &bench_read;
	} else if (bench_guarded.steps[id].measure) {
		backends[SIDE_DMEMFS] = &bench_guarded;
		backends[SIDE_PEER] = &bench_unguarded;
	} else if (bench_quota.steps[id].measure) {
		backends[SIDE_DMEMFS] = &bench_quota;
		backends[SIDE_PEER] = &bench_word;
	}
	backends[SIDE_ROCKSDB] = NULL;
#ifdef BENCH_ROCKSDB
	if (bench_rocksdb_cases[id])
		backends[SIDE_ROCKSDB] = &bench_rocksdb;
#endif
	backends[SIDE_MEMCPY] = bench_memcpy.steps[id].measure ? &bench_memcpy : NULL;
}

static const char *rocksdb_version(void)
{
#ifdef BENCH_ROCKSDB
	return bench_rocksdb_version();
#else
	return NULL;
#endif
}

/* What a run of the program shares. */
struct suite {
	const struct options *options;
	const char *tmpfs_root;
	const uint32_t *order;
	const struct bench_host *host;
};

/* Make the tree of one side, if it takes part. */
static void open_side(const struct suite *suite, struct bench_instance *instance)
{
	bool on_tmpfs = instance->backend == &bench_tmpfs;

	if (!instance->backend)
		return;
	instance->root = on_tmpfs ? suite->tmpfs_root : suite->options->dmemfs_root;
	instance->order = suite->order;
	instance->host = suite->host;
	bench_instance_open(instance);
}

static void run_side(struct bench_instance *instance, unsigned run, struct bench_result *result)
{
	if (!instance->backend)
		return;
	result->runs[run] = bench_instance_run(instance);
	result->background_ops_per_s[run] = instance->background_ops_per_s;
}

/* One case with one number of threads: all sides in turns. */
static void run_case(const struct suite *suite, enum bench_case_id id, unsigned threads,
					 struct report_row *row)
{
	const struct bench_backend *backends[SIDES];
	struct bench_instance instances[SIDES];
	unsigned repeat = suite->options->repeat;

	choose_backends(id, backends);
	for (unsigned side = 0; side < SIDES; side++) {
		const struct bench_backend *backend = backends[side];
		instances[side] = (struct bench_instance){.backend = backend, .id = id, .threads = threads};
		row->sides[side] = (struct bench_result){
			.id = id,
			.backend = backend,
			.threads = threads,
			.count = repeat,
		};
		open_side(suite, &instances[side]);
	}
	for (unsigned run = 0; run < repeat; run++) {
		for (unsigned side = 0; side < SIDES; side++)
			run_side(&instances[side], run, &row->sides[side]);
	}
	for (unsigned side = 0; side < SIDES; side++) {
		if (instances[side].backend)
			bench_instance_close(&instances[side]);
	}
	report_table_row(row);
}

/* Before minutes of work whose results would have no place to go. */
static void check_writable(const char *path)
{
	if (!path)
		return;
	FILE *file = fopen(path, "ae");
	if (!file || fclose(file) != 0)
		bench_die("cannot write %s: %s", path, strerror(errno));
}

/* All cases that were asked for, with each number of threads. Returns the number of rows. */
static size_t run_suite(const struct suite *suite, struct report_row *rows)
{
	const struct options *options = suite->options;
	size_t count = 0;

	for (unsigned id = 0; id < BENCH_CASE_COUNT; id++) {
		for (unsigned i = 0; options->cases[id] && i < options->thread_counts; i++)
			run_case(suite, (enum bench_case_id)id, options->threads[i], &rows[count++]);
	}
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

	for (unsigned id = 0; id < BENCH_CASE_COUNT; id++)
		options.cases[id] = true;
	parse_options(&options, count, arguments);
	if (strlen(options.dmemfs_root) >= sizeof(tmpfs_root))
		usage_error("too long", options.dmemfs_root);
	int length =
		snprintf(tmpfs_root, sizeof(tmpfs_root), "%s/mfsb%ld", options.tmpfs, (long)getpid());
	if (length < 0 || (size_t)length >= sizeof(tmpfs_root))
		usage_error("too long", options.tmpfs);
	check_writable(options.json);
	check_writable(options.html);
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
	struct report_row *rows =
		calloc((size_t)BENCH_CASE_COUNT * options.thread_counts, sizeof(*rows));
	if (!rows)
		bench_die("out of memory");
	report_table_head();
	struct report report = {
		.host = host_used ? &host : NULL,
		.rocksdb_version = rocksdb_version(),
		.rows = rows,
		.count = run_suite(&suite, rows),
	};
	report_table_foot(&report);
	if (options.json)
		report_write_json(options.json, &report);
	if (options.html)
		report_write_html(options.html, &report);
	free(rows);
	free(order);
	return 0;
}
