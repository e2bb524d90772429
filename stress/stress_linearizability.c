/* SPDX-License-Identifier: MIT */
/*
 * stress_linearizability [--histories N] [--seconds S] [--threads N] [--calls-per-thread N]
 *                        [--seed X] [--calls LIST] [--expect-violation] [--self-test]
 *
 * Is there, for whatever threads do to the tree at the same time, an order of their calls, one
 * after the other, that explains every answer? Threads call the library at random on a few names,
 * in short bursts. Each call is recorded with its answer and the moments of its invocation and
 * return. After a burst the whole tree is looked at, as one more call, and a checker looks for the
 * order: it must keep calls in sequence that did not overlap, and a sequential model of the tree
 * must give each call its answer.
 *
 * What a PASS says, for the histories of this run: renames (plain, replacing, exchanging, of
 * directories, across directories), removals, of trees too, mkdir, imports and creating opens each
 * took effect at one instant between invocation and return, for all that looked; no file was lost,
 * doubled, or taken for another (each has a size of its own); MFS_EBUSY came exactly while a handle
 * held a file in question, and every other error only when it applied.
 *
 * What it does not say:
 *   - An open of a file that is there waits for its lock here, as a short timeout would give errors
 *     that depend on time. So MFS_NO_WAIT and MFS_ETIMEDOUT do not occur.
 *   - An open for writing of a file that is there is two steps: the lock, then the file's new size.
 *   - Where several errors apply at once, any of them is accepted.
 *   - Data, quota, times, iterators, copies and MFS_O_SHARED writers are not looked at.
 *   - The counter of moments orders memory between threads: what only a lack of order between the
 *     calls of different threads would show, the race detector has to find.
 *
 * Handles. A thread has at most one, and closes it before it opens another, so that no two threads
 * wait for each other. The close is a call of its own.
 *
 * The same program, built with MFS_TEST_HOOKS and the library's internals, also gives up the
 * processor and spins inside the library, at the points meant for that, now and then. On few
 * processors that is what makes calls meet.
 */
#include "lincheck_burst.h"

#include <getopt.h>
#include <signal.h>
#include <unistd.h>

/* Calls of all threads. With closes and second steps there are up to three times as many. */
#define CALLS_OF_ALL_MAX 64
/* States that a search looks at before it gives up. */
#define STATES_MAX 3000000
/* Elements of a tree that the next burst may begin with. */
#define STATE_REUSE_MAX    100
#define ENOUGH_HISTORIES   10000
#define CODE_COUNT         10
#define PATH_OF_STATE_SIZE 512
#define BALLAST_MAX        24
/* The main thread's calls are in an idle workspace. */
#define IDLE_STUCK_S 60

struct tally {
	uint64_t calls;
	uint64_t codes[CODE_COUNT]; /* codes[0]: success; others as in outcome_codes */
};

struct stress {
	uint64_t histories; /* how many to check */
	uint64_t seconds;   /* 0: no limit */
	uint32_t chosen;    /* a bit for each kind of call */
	bool expect_violation;
	bool only_self_test;

	struct lincheck_burst burst;
	uint64_t random;
	struct lincheck_search *search;
	struct lincheck_state before;
	struct lincheck_state after;
	struct lincheck_call history[LINCHECK_CALLS_MAX];
	unsigned history_count;
	uint8_t free_files[LINCHECK_FILE_MAX];
	struct tally tallies[LINCHECK_KIND_COUNT];
	uint64_t decided;
	uint64_t undecided;
	uint64_t calls;
	uint64_t overlaps;
	uint64_t states;
	uint64_t check_ns;
	uint64_t check_max_ns;
	bool violated;
};

/* What calls answer. */
static const int outcome_codes[CODE_COUNT] = {
	0,         MFS_ENOENT, MFS_EEXIST, MFS_EISDIR, MFS_ENOTDIR, MFS_ENOTEMPTY,
	MFS_EBUSY, MFS_EINVAL, 1, /* true */
	INT32_MAX,                /* any other */
};

/*
 * Bursts
 */

static void on_alarm(int number)
{
	static const char message[] = "FAIL stress_linearizability: stuck in an idle workspace\n";

	(void)number;
	if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
		_exit(2);
	abort();
}

static uint32_t roll(struct stress *stress, uint32_t limit)
{
	return stress_below(&stress->random, limit);
}

static void draw_plan(struct stress *stress)
{
	/* Usual weights; the opens together about as much as the rest. */
	static const uint8_t usual[LINCHECK_CHOSEN_COUNT] = {
		[LINCHECK_OPEN_XB] = 4,   [LINCHECK_OPEN_WB] = 3,   [LINCHECK_OPEN_RB] = 2,
		[LINCHECK_SHARED_XB] = 4, [LINCHECK_SHARED_RB] = 1, [LINCHECK_REMOVE] = 4,
		[LINCHECK_RENAME] = 6,    [LINCHECK_REPLACE] = 4,   [LINCHECK_EXCHANGE] = 4,
		[LINCHECK_MOVE] = 2,      [LINCHECK_MKDIR] = 4,     [LINCHECK_RMTREE] = 2,
		[LINCHECK_IMPORT] = 3,    [LINCHECK_EXISTS] = 2,    [LINCHECK_STAT] = 8,
		[LINCHECK_LISTDIR] = 4,   [LINCHECK_COPY] = 2,      [LINCHECK_COPY_TREE] = 2,
	};
	struct lincheck_plan *plan = &stress->burst.plan;

	*plan = (struct lincheck_plan){0};
	plan->names = 2 + roll(stress, 2);
	plan->depth = 1 + roll(stress, LINCHECK_DEPTH);
	plan->pool_count = 2 + roll(stress, LINCHECK_POOL_MAX - 1);
	for (unsigned i = 0; i < plan->pool_count; i++)
		plan->pool[i] = lincheck_draw_path(plan, &stress->random);
	plan->pause_one_in = roll(stress, 2) ? 0 : 1 + roll(stress, 8);
	plan->disturb_one_in = roll(stress, 8) ? 1 + roll(stress, 12) : 0;
	while (plan->weight_sum == 0) {
		for (unsigned kind = 0; kind < LINCHECK_CHOSEN_COUNT; kind++) {
			bool chosen = stress->chosen & (UINT32_C(1) << kind);
			plan->weights[kind] = chosen ? usual[kind] * roll(stress, 4) : 0;
			plan->weight_sum += plan->weights[kind];
		}
	}
}

/* Look at the whole tree. Nobody works. */
static void read_tree(struct stress *stress, struct lincheck_state *state)
{
	/* For each directory that is open, the next name. */
	static uint8_t next[PATH_OF_STATE_SIZE / 2];
	char path[PATH_OF_STATE_SIZE] = "";
	unsigned depth = 1;
	unsigned seen = 0;
	mfs_info info;
	mfs_usage usage;
	char **names;

	state->elements[0] = LINCHECK_DIRECTORY;
	state->length = 1;
	next[0] = 0;
	while (depth > 0) {
		unsigned name = next[depth - 1]++;
		size_t end = 2 * ((size_t)depth - 1);
		path[end] = '\0';
		if (name == 0) {
			unsigned ballast = depth == 1 ? stress->burst.ballast : 0;
			int64_t count = mfs_listdir(stress->burst.fs, depth == 1 ? "/" : path, &names);
			if (count < 0)
				stress_fail("listdir of %s at rest: %s", path, mfs_last_error());
			else if (lincheck_name_set(names, ballast) & LINCHECK_FOREIGN_NAME)
				stress_fail("listdir of %s at rest: a name too many or too few", path);
			seen += count < 0 ? 0 : (unsigned)count - ballast;
			mfs_names_free(names);
		}
		if (name == LINCHECK_NAMES) {
			depth--;
			continue;
		}
		if (state->length == LINCHECK_STATE_MAX || end + 3 >= sizeof(path))
			stress_die("the tree is too large");
		path[end] = '/';
		path[end + 1] = (char)('a' + name);
		path[end + 2] = '\0';
		int code = mfs_stat(stress->burst.fs, path, &info);
		if (code && code != MFS_ENOENT)
			stress_fail("stat of %s at rest: %s", path, mfs_last_error());
		lincheck_element element = code ? LINCHECK_ABSENT : lincheck_element_of(&info);
		state->elements[state->length++] = element;
		seen -= element != LINCHECK_ABSENT;
		if (element == LINCHECK_DIRECTORY)
			next[depth++] = 0;
	}
	if (seen != 0)
		stress_fail("at rest listdir and stat do not find the same names");
	unsigned files = stress->burst.ballast;
	unsigned directories = 0;
	for (uint32_t i = 1; i < state->length; i++) {
		directories += state->elements[i] == LINCHECK_DIRECTORY;
		files += state->elements[i] != LINCHECK_DIRECTORY && state->elements[i] != LINCHECK_ABSENT;
	}
	if (mfs_stats(stress->burst.fs, &usage) || usage.files != files ||
		usage.directories != directories || usage.open_handles != 0)
		stress_fail("at rest: %llu files (%u found), %llu directories (%u found), %llu handles",
					(unsigned long long)usage.files, files, (unsigned long long)usage.directories,
					directories, (unsigned long long)usage.open_handles);
}

/* Numbers that no file of the tree has, dealt out to the workers. Returns how many. */
static unsigned find_free_files(struct stress *stress, const struct lincheck_state *state)
{
	bool used[LINCHECK_FILE_MAX + 1] = {false};
	unsigned count = 0;

	for (uint32_t i = 0; i < state->length; i++)
		used[state->elements[i] & LINCHECK_FILE_MAX] = true;
	for (unsigned number = 1; number <= LINCHECK_FILE_MAX; number++) {
		if (!used[number])
			stress->free_files[count++] = (uint8_t)number;
	}
	return count;
}

/*
 * A table of names grows with them, and only in a large one do two names of a directory lie in
 * different places. So the root gets more names, sometimes.
 */
static void add_ballast(struct stress *stress)
{
	char path[] = {'/', LINCHECK_BALLAST_LETTER, 'a', '\0'};
	mfs_file *handle;

	stress->burst.ballast = roll(stress, 2) ? roll(stress, BALLAST_MAX + 1) : 0;
	for (unsigned i = 0; i < stress->burst.ballast; i++, path[2]++) {
		if (mfs_open(stress->burst.fs, path, "xb", &handle) != 0 || mfs_close(handle) != 0)
			stress_fail("open in an idle workspace: %s", mfs_last_error());
	}
}

/* A new workspace with a few files and directories. */
static void begin_workspace(struct stress *stress)
{
	mfs_options options = {.struct_size = sizeof(options), .max_quota = 64 * MIB};
	char path[LINCHECK_PATH_SIZE];
	mfs_file *handle;
	int64_t size = 1;

	if (stress->burst.fs && mfs_free(stress->burst.fs) != 0)
		stress_fail("mfs_free: %s", mfs_last_error());
	if (mfs_new(&options, &stress->burst.fs) != 0)
		stress_die("mfs_new: %s", mfs_last_error());
	add_ballast(stress);
	for (unsigned i = 0; i < stress->burst.plan.pool_count; i++) {
		unsigned dice = roll(stress, 4);
		lincheck_path_text(&stress->burst.plan.pool[i], path);
		if (dice == 0) {
			int code = mfs_mkdir(stress->burst.fs, path, 0);
			if (code && code != MFS_EEXIST && code != MFS_ENOTDIR)
				stress_fail("mkdir in an idle workspace: %s", mfs_last_error());
		} else if (dice < 3) {
			mfs_open_options open_options = {.preallocate = size++};
			int code = mfs_open_ex(stress->burst.fs, path, "xb", &open_options, &handle);
			if (!code)
				code = mfs_close(handle);
			if (code && code != MFS_EEXIST && code != MFS_ENOENT && code != MFS_ENOTDIR)
				stress_fail("open in an idle workspace: %s", mfs_last_error());
		}
	}
	read_tree(stress, &stress->before);
}

static void count_answer(struct stress *stress, const struct lincheck_call *call)
{
	struct tally *tally = &stress->tallies[call->kind];
	unsigned i = 0;

	while (i < CODE_COUNT - 1 && outcome_codes[i] != call->code)
		i++;
	tally->codes[i]++;
	tally->calls++;
}

/* How many pairs of calls of the history overlap. */
static uint64_t count_overlaps(const struct stress *stress)
{
	uint64_t overlaps = 0;

	for (unsigned i = 0; i < stress->history_count; i++) {
		const struct lincheck_call *a = &stress->history[i];
		for (unsigned j = 0; j < i; j++) {
			const struct lincheck_call *b = &stress->history[j];
			overlaps +=
				a->thread != b->thread && a->invoked < b->returned && b->invoked < a->returned;
		}
	}
	return overlaps;
}

static void gather_history(struct stress *stress)
{
	unsigned count = 0;

	for (unsigned i = 0; i < stress->burst.threads; i++) {
		const struct lincheck_worker *w = &stress->burst.workers[i];
		if (count + w->call_count >= LINCHECK_CALLS_MAX)
			stress_die("a history has too many calls");
		memcpy(stress->history + count, w->calls, w->call_count * sizeof(w->calls[0]));
		count += w->call_count;
	}
	stress->history_count = count;
	stress->calls += count;
	stress->overlaps += count_overlaps(stress);
	for (unsigned i = 0; i < count; i++)
		count_answer(stress, &stress->history[i]);
	(void)alarm(IDLE_STUCK_S);
	read_tree(stress, &stress->after);
	(void)alarm(0);
	uint32_t invoked = lincheck_moment(&stress->burst);
	stress->history[stress->history_count++] = (struct lincheck_call){
		.kind = LINCHECK_TREE,
		.tree = &stress->after,
		.invoked = invoked,
		.returned = lincheck_moment(&stress->burst),
	};
}

static void report_violation(struct stress *stress)
{
	unsigned count =
		lincheck_minimise(stress->search, &stress->before, stress->history, stress->history_count);

	printf("no order explains burst %llu of seed %llu: %u of its %u calls suffice\n",
		   (unsigned long long)stress->burst.number, (unsigned long long)stress->burst.seed, count,
		   stress->history_count);
	lincheck_print(stress->search, &stress->before, stress->history, count);
}

static void check_history(struct stress *stress)
{
	struct lincheck_found found;
	uint64_t start = stress_now();
	enum lincheck_verdict verdict = lincheck_search(stress->search, &stress->before,
													stress->history, stress->history_count, &found);
	uint64_t ns = stress_now() - start;

	stress->check_ns += ns;
	stress->states += found.states;
	if (ns > stress->check_max_ns)
		stress->check_max_ns = ns;
	if (verdict == LINCHECK_UNDECIDED) {
		stress->undecided++;
		return;
	}
	stress->decided++;
	if (verdict == LINCHECK_VIOLATION) {
		stress->violated = true;
		report_violation(stress);
	}
}

static void make_history(struct stress *stress)
{
	draw_plan(stress);
	/* Trees that other bursts have left are more varied than new ones. */
	(void)alarm(IDLE_STUCK_S);
	if (!stress->burst.fs || roll(stress, 4) == 0 || stress->after.length > STATE_REUSE_MAX)
		begin_workspace(stress);
	else
		memcpy(&stress->before, &stress->after, sizeof(stress->before));
	(void)alarm(0);
	unsigned files = find_free_files(stress, &stress->before) / stress->burst.threads;
	for (unsigned i = 0; i < stress->burst.threads; i++) {
		struct lincheck_worker *w = &stress->burst.workers[i];
		w->random =
			stress_mix(stress->burst.seed ^ stress_mix(stress->burst.number + 1)) + stress_mix(i);
		w->files = stress->free_files + i * files;
		w->file_count = files;
		w->call_count = 0;
	}
	lincheck_run(&stress->burst);
	gather_history(stress);
	check_history(stress);
}

/*
 * The program
 */

static void print_table(const struct stress *stress)
{
	printf("%-9s %9s  answers\n", "call", "calls");
	for (unsigned kind = 0; kind <= LINCHECK_CLOSE; kind++) {
		const struct tally *tally = &stress->tallies[kind];
		if (tally->calls == 0)
			continue;
		printf("%-9s %9llu ", lincheck_kind_word((enum lincheck_kind)kind),
			   (unsigned long long)tally->calls);
		for (unsigned i = 0; i < CODE_COUNT; i++) {
			const char *name = i == 0                  ? "0"
							   : outcome_codes[i] == 1 ? "true"
							   : i == CODE_COUNT - 1   ? "other"
													   : mfs_error_name(outcome_codes[i]) + 5;
			if (tally->codes[i])
				printf(" %s %llu", name, (unsigned long long)tally->codes[i]);
		}
		printf("\n");
	}
}

/* A run that never met an answer has shown nothing about it. */
static void check_coverage(const struct stress *stress)
{
	static const struct {
		enum lincheck_kind kind;
		int code;
	} wanted[] = {
		{LINCHECK_OPEN_XB, MFS_EEXIST},    {LINCHECK_OPEN_WB, MFS_EISDIR},
		{LINCHECK_OPEN_RB, MFS_ENOENT},    {LINCHECK_REMOVE, MFS_ENOTEMPTY},
		{LINCHECK_REMOVE, MFS_EBUSY},      {LINCHECK_RENAME, MFS_EEXIST},
		{LINCHECK_RENAME, MFS_EBUSY},      {LINCHECK_RENAME, MFS_EINVAL},
		{LINCHECK_REPLACE, MFS_EISDIR},    {LINCHECK_REPLACE, MFS_ENOTDIR},
		{LINCHECK_REPLACE, MFS_ENOTEMPTY}, {LINCHECK_EXCHANGE, MFS_ENOENT},
		{LINCHECK_EXCHANGE, MFS_EINVAL},   {LINCHECK_EXCHANGE, MFS_EBUSY},
		{LINCHECK_MOVE, MFS_EEXIST},       {LINCHECK_MKDIR, MFS_EEXIST},
		{LINCHECK_MKDIR, MFS_ENOTDIR},     {LINCHECK_RMTREE, MFS_EBUSY},
		{LINCHECK_IMPORT, MFS_EBUSY},      {LINCHECK_IMPORT, MFS_EISDIR},
		{LINCHECK_IMPORT, MFS_ENOTDIR},    {LINCHECK_LISTDIR, MFS_ENOTDIR},
		{LINCHECK_COPY, MFS_EEXIST},       {LINCHECK_COPY, MFS_EISDIR},
		{LINCHECK_COPY_TREE, MFS_EINVAL},  {LINCHECK_COPY_TREE, MFS_ENOTDIR},
	};
	const uint32_t all = (UINT32_C(1) << LINCHECK_CHOSEN_COUNT) - 1;

	if (stress->decided < ENOUGH_HISTORIES || stress->chosen != all || stress->burst.threads < 2)
		return;
	for (unsigned kind = 0; kind <= LINCHECK_CLOSE; kind++) {
		if (stress->tallies[kind].codes[0] == 0)
			stress_fail("%s never succeeded", lincheck_kind_word((enum lincheck_kind)kind));
	}
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		unsigned code = 0;
		while (outcome_codes[code] != wanted[i].code)
			code++;
		if (stress->tallies[wanted[i].kind].codes[code] == 0)
			stress_fail("%s never answered %s", lincheck_kind_word(wanted[i].kind),
						mfs_error_name(wanted[i].code));
	}
}

static uint32_t parse_calls(const char *list)
{
	uint32_t chosen = 0;

	while (*list != '\0') {
		size_t length = strcspn(list, ",");
		unsigned kind = 0;
		while (kind < LINCHECK_CHOSEN_COUNT &&
			   (strlen(lincheck_kind_word((enum lincheck_kind)kind)) != length ||
				strncmp(lincheck_kind_word((enum lincheck_kind)kind), list, length) != 0))
			kind++;
		if (kind == LINCHECK_CHOSEN_COUNT)
			stress_die("not a kind of call: %.*s", (int)length, list);
		chosen |= UINT32_C(1) << kind;
		list += length;
		list += *list == ',';
	}
	if (!chosen)
		stress_die("no kind of call is chosen");
	return chosen;
}

static void print_usage(void)
{
	printf("usage: stress_linearizability [--histories N] [--seconds S] [--threads N]\n"
		   "       [--calls-per-thread N] [--seed X] [--calls LIST] [--expect-violation]\n"
		   "       [--self-test]\nkinds of calls for LIST, with commas between them:\n ");
	for (unsigned kind = 0; kind < LINCHECK_CHOSEN_COUNT; kind++)
		printf(" %s", lincheck_kind_word((enum lincheck_kind)kind));
	printf("\n");
}

static void parse_options(struct stress *stress, int count, char **arguments)
{
	static const struct option known[] = {
		{"histories", required_argument, NULL, 'h'},
		{"seconds", required_argument, NULL, 's'},
		{"threads", required_argument, NULL, 't'},
		{"calls-per-thread", required_argument, NULL, 'c'},
		{"seed", required_argument, NULL, 'x'},
		{"calls", required_argument, NULL, 'k'},
		{"expect-violation", no_argument, NULL, 'v'},
		{"self-test", no_argument, NULL, 'S'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 'h':
			stress->histories = stress_number(optarg, 1, UINT64_C(1) << 40, true);
			break;
		case 's':
			stress->seconds = stress_number(optarg, 1, 1000000, false);
			break;
		case 't':
			stress->burst.threads = (unsigned)stress_number(optarg, 1, LINCHECK_THREADS_MAX, false);
			break;
		case 'c':
			stress->burst.calls_per_thread =
				(unsigned)stress_number(optarg, 1, CALLS_OF_ALL_MAX, false);
			break;
		case 'x':
			stress->burst.seed = stress_number(optarg, 0, UINT64_MAX, false);
			break;
		case 'k':
			stress->chosen = parse_calls(optarg);
			break;
		case 'v':
			stress->expect_violation = true;
			break;
		case 'S':
			stress->only_self_test = true;
			break;
		default:
			print_usage();
			stress_die("unknown option");
		}
	}
	if (optind != count)
		stress_die("unexpected argument: %s", arguments[optind]);
	/* A bug that is planted is looked for until it is found, for a minute. */
	if (!stress->histories)
		stress->histories = stress->expect_violation ? UINT64_MAX : ENOUGH_HISTORIES;
	if (!stress->seconds && stress->expect_violation)
		stress->seconds = 60;
	if (stress->burst.threads * stress->burst.calls_per_thread > CALLS_OF_ALL_MAX)
		stress_die("at most %d calls in a burst", CALLS_OF_ALL_MAX);
}

static void run_histories(struct stress *stress)
{
	uint64_t start = stress_now();
	uint64_t end = stress->seconds ? start + stress->seconds * NS_PER_S : UINT64_MAX;
	mfs *keeper; /* the last workspace to go waits for readers */

	if (mfs_new(NULL, &keeper) != 0)
		stress_die("mfs_new: %s", mfs_last_error());
	stress->search = lincheck_search_new(STATES_MAX);
	lincheck_start(&stress->burst);
	while (stress->decided < stress->histories && stress_now() < end && !stress->violated &&
		   !stress_failed())
		make_history(stress);
	lincheck_stop(&stress->burst);
	lincheck_search_free(stress->search);
	(void)alarm(IDLE_STUCK_S);
	if ((stress->burst.fs && mfs_free(stress->burst.fs) != 0) || mfs_free(keeper) != 0)
		stress_fail("mfs_free: %s", mfs_last_error());
	(void)alarm(0);
	printf("%llu histories checked, %llu calls, %.1f overlapping pairs in each, in %.1f s\n",
		   (unsigned long long)stress->decided, (unsigned long long)stress->calls,
		   (double)stress->overlaps / (double)(stress->decided + stress->undecided),
		   (double)(stress_now() - start) / (double)NS_PER_S);
	printf("check: %.1f us on average, %.1f us at worst, %.1f states on average; %llu histories "
		   "left undecided\n",
		   (double)stress->check_ns / 1000 / (double)(stress->decided + stress->undecided),
		   (double)stress->check_max_ns / 1000,
		   (double)stress->states / (double)(stress->decided + stress->undecided),
		   (unsigned long long)stress->undecided);
}

int main(int count, char **arguments)
{
	static struct stress stress = {
		.burst = {.threads = 4, .calls_per_thread = 8},
		.chosen = (UINT32_C(1) << LINCHECK_CHOSEN_COUNT) - 1,
	};

	struct sigaction action = {.sa_handler = on_alarm};
	if (sigaction(SIGALRM, &action, NULL) != 0 || setvbuf(stdout, NULL, _IOLBF, 0) != 0)
		stress_die("cannot begin");
	stress.burst.seed = (uint64_t)time(NULL);
	parse_options(&stress, count, arguments);
	lincheck_self_test();
	if (stress.only_self_test || stress_failed())
		return stress_verdict("stress_linearizability --self-test");
	printf("%u threads, %u calls each, seed %llu\n", stress.burst.threads,
		   stress.burst.calls_per_thread, (unsigned long long)stress.burst.seed);
	stress.random = stress_mix(stress.burst.seed);
	run_histories(&stress);
	print_table(&stress);
	if (stress.expect_violation) {
		if (!stress.violated)
			stress_fail("no violation was found, where one was expected");
	} else if (stress.violated) {
		stress_fail("a history that no order explains");
	} else {
		check_coverage(&stress);
	}
	return stress_verdict("stress_linearizability");
}
