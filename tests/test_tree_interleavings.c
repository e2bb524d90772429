/* SPDX-License-Identifier: MIT */
/*
 * Do calls on trees that meet in the middle of each other still behave as if one came after the
 * other, and does nobody ever see the half of one?
 *
 * A thread is held at a point inside the library, and another one does there what would have to
 * come at just that moment. What comes of it, the codes, the tree and what is charged, must be what
 * comes of the same calls one after the other, in an order that the test allows. So most tests are
 * tables of meetings.
 */
#include "support.h"
#include "tree_text.h"

#include "await.h"
#include "base/compiler.h"
#include "base/fork.h"
#include "base/reclaim.h"
#include "base/test_hook.h"
#include "fs/filesystem.h"

#include <sys/wait.h>

/* How often a thread looks whether another one, which may have to wait, has done something. */
enum { LOOKS = 2000 };

static mfs *fs;
/* Open all the time, so that the reclaimer's thread goes on from one workspace to the next. */
static mfs *idle_fs;

/* For what cannot fail, where a failed assertion must not leave the library by a long jump. */
#define must(condition)                                                                            \
	do {                                                                                           \
		if (!(condition)) {                                                                        \
			(void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
			abort();                                                                               \
		}                                                                                          \
	} while (0)

/*
 * Points
 */

/* What a thread does at a point. Each thread has one plan at most, and is not held while it acts.
 */
struct plan {
	const char *point; /* NULL: any that counts */
	int nth;           /* when it comes there for the n-th time */
	bool repeats;      /* and each time after that */
	void (*action)(struct plan *plan);
	void *user;
	int passes;          /* so far */
	const char *reached; /* the point of the last action, or NULL */
};

static _Thread_local struct plan *mine;

/* Points that lie inside others that are looked at, or where a thread that looks would spin. */
static bool is_dull(const char *point)
{
	static const char *const dull[] = {"find: bucket read",   "attributes: half changed",
									   "quota: room seen",    "share: about to mark",
									   "share: is mine",      "share: is not mine",
									   "share: about to drop"};

	for (size_t i = 0; i < COUNT_OF(dull); i++)
		if (!strcmp(point, dull[i]))
			return true;
	return false;
}

static void hook(const char *point)
{
	struct plan *plan = mine;

	if (!plan || (plan->point ? strcmp(point, plan->point) != 0 : is_dull(point)))
		return;
	plan->passes++;
	if (plan->passes < plan->nth || (plan->passes > plan->nth && !plan->repeats))
		return;
	mine = NULL;
	plan->reached = point;
	plan->action(plan);
	mine = plan;
}

/*
 * Calls, as data
 */

enum kind {
	RENAME,
	REPLACE,
	EXCHANGE,
	MOVE,
	REMOVE,
	RMTREE,
	MKDIR,
	TOUCH,      /* make a file if there is none; no handle stays */
	HOLD_NEW,   /* make or empty a file, with room that is charged, and keep the handle */
	HOLD_READ,  /* keep a handle for reading */
	HOLD_WRITE, /* keep a handle for writing */
	COPY,
	COPY_TREE,
	PUT,    /* import one file, whose text is the other word */
	IMPORT, /* import several files, all in directories of their own; the text is the path */
	EXISTS,
	SIZE,
	LISTDIR,
	OPENDIR
};

static const char *const kind_names[] = {
	"rename", "replace",  "exchange",  "move",       "remove", "rmtree",    "mkdir",
	"touch",  "hold_new", "hold_read", "hold_write", "copy",   "copy_tree", "put",
	"import", "exists",   "size",      "listdir",    "opendir"};

struct op {
	enum kind kind;
	const char *path;
	const char *other;
};

enum { MAX_OPS = 4 };

/* Calls that follow each other, made from a text such as "rename /a /c; mkdir /a". */
struct script {
	struct op ops[MAX_OPS];
	size_t count;
	char text[128]; /* what the words are in */
};

static enum kind kind_of(const char *name)
{
	for (size_t i = 0; name && i < COUNT_OF(kind_names); i++)
		if (!strcmp(kind_names[i], name))
			return (enum kind)i;
	(void)fprintf(stderr, "no such call: %s\n", name ? name : "nothing");
	abort();
}

static void parse(const char *text, struct script *script)
{
	char *next_op;
	char *next_word;

	script->count = 0;
	must(strlen(text) < sizeof script->text);
	(void)snprintf(script->text, sizeof script->text, "%s", text);
	for (char *op = strtok_r(script->text, ";", &next_op); op; op = strtok_r(NULL, ";", &next_op)) {
		must(script->count < MAX_OPS);
		enum kind kind = kind_of(strtok_r(op, " ", &next_word));
		const char *path = strtok_r(NULL, " ", &next_word);
		script->ops[script->count++] = (struct op){kind, path, strtok_r(NULL, " ", &next_word)};
	}
}

/* Handles of these tests wait for a lock, copies do not: see new_tree(). */
enum { LOCK_TIMEOUT_MS = 20000 };

static int64_t hold(const char *path, const char *mode, mfs_file **kept)
{
	const mfs_open_options options = {.struct_size = sizeof options,
									  .preallocate = strcmp(mode, "wb") ? 0 : 3000,
									  .lock_timeout = LOCK_TIMEOUT_MS};

	return mfs_open_ex(fs, path, mode, &options, kept);
}

static int64_t touch(const char *path)
{
	mfs_file *file;
	int code = open_with(fs, path, "ab", MFS_O_SHARED, 0, &file);

	return code ? code : mfs_close(file);
}

static int64_t import_several(const char *text)
{
	const mfs_import_item items[] = {{"/a/f", text, strlen(text), 0, 0},
									 {"/a/s/g", text, strlen(text), 0, 0},
									 {"/b/e/i", text, strlen(text), 0, 0},
									 {"/b/j", text, strlen(text), 0, 0},
									 {"/z/i", text, strlen(text), 0, 0}};

	return mfs_import_tree(fs, items, COUNT_OF(items));
}

static int64_t put(const char *path, const char *text)
{
	const mfs_import_item item = {path, text, strlen(text), 0, 0};

	return mfs_import_tree(fs, &item, 1);
}

static int64_t positive(uint64_t hash)
{
	return (int64_t)(hash >> 1);
}

/* A number that tells one list of names from another. */
static int64_t list_names(const char *path)
{
	char **names;
	uint64_t hash = 1;
	int64_t count = mfs_listdir(fs, path, &names);

	if (count < 0)
		return count;
	for (int64_t i = 0; i < count; i++)
		hash = hash * 31 + hash_bytes((const unsigned char *)names[i], strlen(names[i]));
	mfs_names_free(names);
	return positive(hash);
}

/* The same of names and sizes. */
static int64_t read_entries(const char *path)
{
	mfs_dir *dir;
	mfs_entry entry;
	uint64_t hash = 1;
	int code = mfs_opendir(fs, path, &dir);

	if (code)
		return code;
	while (mfs_readdir(dir, &entry) == 1) {
		hash = hash * 31 + hash_bytes((const unsigned char *)entry.name, strlen(entry.name));
		hash = hash * 31 + (uint64_t)entry.info.size * 2 + entry.info.is_dir;
	}
	code = mfs_closedir(dir);
	return code ? code : positive(hash);
}

/* For any thread. Returns the call's code or result. */
static int64_t run_op(const struct op *op, mfs_file **kept)
{
	switch (op->kind) {
	case RENAME:
		return mfs_rename(fs, op->path, op->other, 0);
	case REPLACE:
		return mfs_rename(fs, op->path, op->other, MFS_RENAME_REPLACE);
	case EXCHANGE:
		return mfs_rename(fs, op->path, op->other, MFS_RENAME_EXCHANGE);
	case MOVE:
		return mfs_move(fs, op->path, op->other, 0);
	case REMOVE:
		return mfs_remove(fs, op->path);
	case RMTREE:
		return mfs_rmtree(fs, op->path);
	case MKDIR:
		return mfs_mkdir(fs, op->path, 0);
	case TOUCH:
		return touch(op->path);
	case HOLD_NEW:
		return hold(op->path, "wb", kept);
	case HOLD_READ:
		return hold(op->path, "rb", kept);
	case HOLD_WRITE:
		return hold(op->path, "r+b", kept);
	case COPY:
		return mfs_copy(fs, op->path, op->other);
	case COPY_TREE:
		return mfs_copy_tree(fs, op->path, op->other);
	case PUT:
		return put(op->path, op->other);
	case IMPORT:
		return import_several(op->path);
	case EXISTS:
		return mfs_exists(fs, op->path);
	case SIZE:
		return mfs_get_size(fs, op->path);
	case LISTDIR:
		return list_names(op->path);
	case OPENDIR:
		return read_entries(op->path);
	}
	return MFS_EINVAL;
}

/* Calls that leave no handle behind. Returns the last one's result, or the first failure. */
static int64_t run_text(const char *text)
{
	mfs_file *none = NULL;
	struct script script;
	int64_t result = 0;

	parse(text, &script);
	for (size_t i = 0; i < script.count && result >= 0; i++)
		result = run_op(&script.ops[i], &none);
	must(!none);
	return result;
}

/* To be called by the main thread: what file did a call open? Its bytes are added to the result. */
static void close_kept(mfs_file **kept, int64_t *code)
{
	unsigned char bytes[32];

	if (!*kept)
		return;
	if (mfs_readable(*kept) == 1) {
		int64_t size = mfs_pread(*kept, bytes, sizeof bytes, 0);
		assert_true(size >= 0);
		*code = positive(hash_bytes(bytes, (size_t)size));
	}
	close_file(*kept);
	*kept = NULL;
}

/*
 * The tree that all begin with
 */

static void new_tree(void)
{
	/* A copy that meets a handle gives up, so that the calls one after the other need not wait. */
	const mfs_options options = {
		.struct_size = sizeof options, .max_nodes = 1000, .default_lock_timeout = MFS_NO_WAIT};
	const mfs_import_item items[] = {
		{"/a/f", "af", 2, 0, 0},       {"/a/s/g", "asg", 3, 0, 0},
		{"/a/s/t/h", "asth", 4, 0, 0}, {"/b/f", "b's f", 5, 0, 0},
		{"/k", "key", 3, 0, 0},        {"/b/e", NULL, 0, MFS_IMPORT_DIRECTORY, 0}};

	fs = new_workspace(&options);
	assert_code(mfs_import_tree(fs, items, COUNT_OF(items)), 0);
}

/* No claim is left behind: everywhere names come and go, and every file can be had at once. */
static void check_all_is_usable(void)
{
	mfs_walk *walk;
	mfs_walk_level level;
	int code;

	assert_true(mfs__validate(fs));
	assert_code(mfs_walk_open(fs, "/", &walk), 0);
	while ((code = mfs_walk_next(walk, &level)) == 1) {
		char *name = joined(strcmp(level.path, "/") == 0 ? "" : level.path, "usable");
		assert_code(mfs_mkdir(fs, name, 0), 0);
		assert_code(mfs_remove(fs, name), 0);
		free(name);
		for (size_t i = 0; i < level.file_count; i++) {
			name = joined(strcmp(level.path, "/") == 0 ? "" : level.path, level.files[i]);
			assert_code(try_open(fs, name, "r+b"), 0);
			free(name);
		}
	}
	assert_code(code, 0);
	assert_code(mfs_walk_close(walk), 0);
}

static void free_tree(void)
{
	assert_true(mfs__validate(fs));
	free_workspace(fs);
	fs = NULL;
}

/*
 * Other threads
 */

/* A thread that makes some calls, one after the other. */
struct other {
	const struct script *script;
	int64_t codes[MAX_OPS];
	mfs_file *kept[MAX_OPS];
	_Atomic pid_t tid; /* set when it begins */
	atomic_bool ended;
	pthread_t thread;
};

static void *run_other(void *argument)
{
	struct other *other = argument;

	atomic_store_explicit(&other->tid, gettid(), memory_order_relaxed);
	for (size_t i = 0; i < other->script->count; i++)
		other->codes[i] = run_op(&other->script->ops[i], &other->kept[i]);
	atomic_store_explicit(&other->ended, true, memory_order_relaxed);
	return NULL;
}

static bool has_ended(struct other *other)
{
	return atomic_load_explicit(&other->ended, memory_order_relaxed);
}

static void start_other(struct other *other, const struct script *script)
{
	*other = (struct other){.script = script};
	must(!pthread_create(&other->thread, NULL, run_other, other));
}

static void join_other(struct other *other)
{
	must(!pthread_join(other->thread, NULL));
}

static bool is_asleep(pid_t tid)
{
	char path[64];
	char line[256];

	(void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	FILE *stat = fopen(path, "re");
	if (!stat)
		return false;
	size_t length = fread(line, 1, sizeof line - 1, stat);
	(void)fclose(stat);
	line[length] = '\0';
	const char *state = strrchr(line, ')');
	return state && !strncmp(state, ") S", 3);
}

/*
 * Let a thread come to its end, or to where it has to wait: it sleeps, or it waits by looking, and
 * has not ended after many looks. One that is only slow is taken for one that waits: what then
 * follows is easier to get right, but right all the same.
 */
static void let_settle(_Atomic pid_t *tid, atomic_bool *ended)
{
	int asleep = 0;

	AWAIT(atomic_load_explicit(tid, memory_order_relaxed));
	for (int i = 0; i < LOOKS && asleep < 5; i++) {
		if (atomic_load_explicit(ended, memory_order_relaxed))
			return;
		asleep = is_asleep(atomic_load_explicit(tid, memory_order_relaxed)) ? asleep + 1 : 0;
		sched_yield();
	}
}

/* Wait for the end of a thread that need not wait; but not for ever, should it have to. */
static void let_end(struct other *other)
{
	int asleep = 0;

	AWAIT(atomic_load_explicit(&other->tid, memory_order_relaxed));
	while (!has_ended(other) && asleep < LOOKS) {
		asleep =
			is_asleep(atomic_load_explicit(&other->tid, memory_order_relaxed)) ? asleep + 1 : 0;
		sched_yield();
	}
}

/*
 * Meetings
 */

/* What a meeting must be like. */
enum order {
	ANY_ORDER,     /* the call comes before or after any of the actions */
	ACTIONS_FIRST, /* the actions need not wait, and the call comes after them */
	ACTIONS_WAIT,  /* the actions wait for the call, and come after it */
	IN_TURN,       /* either of these two */
};

/* A call, and what another thread does when the call comes to the point for the n-th time. */
struct meeting {
	const char *call;
	const char *point; /* NULL: any */
	int nth;
	const char *actions;
};

/* What came of the calls. */
struct outcome {
	int64_t codes[1 + MAX_OPS]; /* the call's first */
	char *tree;
	mfs_usage usage;
	const char *point; /* where they met, or NULL */
	bool waited;       /* the actions had not ended when the call went on */
};

static void free_outcome(struct outcome *outcome)
{
	free(outcome->tree);
	outcome->tree = NULL;
}

/* All calls are over; `kept` are their handles. */
static void conclude(struct outcome *outcome, mfs_file *kept[1 + MAX_OPS])
{
	assert_true(mfs__validate(fs));
	for (size_t i = 0; i < 1 + MAX_OPS; i++)
		close_kept(&kept[i], &outcome->codes[i]);
	assert_true(mfs__validate(fs));
	outcome->usage = usage_of(fs);
	assert_int_equal(outcome->usage.open_handles, 0);
	outcome->tree = tree_text(fs);
}

/* The calls one after the other: `call` comes before the action of this number. */
static struct outcome in_order(const struct meeting *meeting, size_t before)
{
	struct outcome outcome = {.tree = NULL};
	mfs_file *kept[1 + MAX_OPS] = {NULL};
	struct script call;
	struct script actions;

	parse(meeting->call, &call);
	parse(meeting->actions, &actions);
	new_tree();
	for (size_t i = 0; i <= actions.count; i++) {
		if (i == before)
			outcome.codes[0] = run_op(&call.ops[0], &kept[0]);
		if (i < actions.count)
			outcome.codes[i + 1] = run_op(&actions.ops[i], &kept[i + 1]);
	}
	conclude(&outcome, kept);
	free_tree();
	return outcome;
}

static bool same_outcome(const struct outcome *a, const struct outcome *b)
{
	return !memcmp(a->codes, b->codes, sizeof a->codes) && !strcmp(a->tree, b->tree) &&
		   a->usage.used_bytes == b->usage.used_bytes && a->usage.files == b->usage.files &&
		   a->usage.directories == b->usage.directories && a->usage.chunks == b->usage.chunks;
}

/* A meeting on its way. */
struct encounter {
	struct script actions;
	struct other other;
	bool must_end; /* the actions, before the call goes on */
	bool waited;
};

static void act(struct plan *plan)
{
	struct encounter *encounter = plan->user;
	struct other *other = &encounter->other;

	start_other(other, &encounter->actions);
	if (encounter->must_end)
		let_end(other);
	else
		let_settle(&other->tid, &other->ended);
	encounter->waited = !has_ended(other);
}

/* Let call and actions meet, on a new tree that stays. */
static struct outcome meet(const struct meeting *meeting, enum order order)
{
	struct encounter encounter = {.must_end = order == ACTIONS_FIRST};
	struct plan plan = {
		.point = meeting->point, .nth = meeting->nth, .action = act, .user = &encounter};
	mfs_file *kept[1 + MAX_OPS] = {NULL};
	struct outcome outcome = {.tree = NULL};
	struct script call;

	parse(meeting->call, &call);
	parse(meeting->actions, &encounter.actions);
	new_tree();
	mine = &plan;
	outcome.codes[0] = run_op(&call.ops[0], &kept[0]);
	mine = NULL;
	outcome.point = plan.reached;
	outcome.waited = encounter.waited;
	if (plan.reached) {
		join_other(&encounter.other);
		memcpy(outcome.codes + 1, encounter.other.codes, sizeof encounter.other.codes);
		memcpy(kept + 1, encounter.other.kept, sizeof encounter.other.kept);
	}
	conclude(&outcome, kept);
	return outcome;
}

static void print_outcome(const char *title, const struct outcome *outcome)
{
	print_error("%s: codes", title);
	for (size_t i = 0; i < COUNT_OF(outcome->codes); i++)
		print_error(" %lld", (long long)outcome->codes[i]);
	print_error(", %llu bytes, tree\n%s\n", (unsigned long long)outcome->usage.used_bytes,
				outcome->tree);
}

static void print_meeting(const struct meeting *meeting, const struct outcome *outcome)
{
	print_error("%s\nmet, at pass %d of \"%s\", %s%s\n", meeting->call, meeting->nth,
				outcome->point ? outcome->point : "nothing", meeting->actions,
				outcome->waited ? ", which had to wait" : "");
	print_outcome("came out", outcome);
}

/* Returns false, having checked nothing, if the call did not come to the point. */
static bool check_if_met(const struct meeting *meeting, enum order order)
{
	struct outcome outcome = meet(meeting, order);
	bool waits = order == IN_TURN ? outcome.waited : order == ACTIONS_WAIT;

	check_all_is_usable();
	free_tree();
	if (!outcome.point) {
		free_outcome(&outcome);
		return false;
	}
	/* Behind the last action, or before the first. */
	struct script actions;
	parse(meeting->actions, &actions);
	struct outcome want = in_order(meeting, waits ? 0 : actions.count);
	bool right = outcome.waited == waits && same_outcome(&outcome, &want);
	if (!right) {
		print_meeting(meeting, &outcome);
		print_outcome("should be", &want);
	}
	free_outcome(&outcome);
	free_outcome(&want);
	assert_true(right);
	return true;
}

static void check_meeting(const struct meeting *meeting, enum order order)
{
	bool met = check_if_met(meeting, order);

	if (!met)
		print_error("%s did not come to \"%s\" %d times\n", meeting->call, meeting->point,
					meeting->nth);
	assert_true(met);
}

static void check_each(const struct meeting *meetings, size_t count, const char *const *actions,
					   size_t action_count, enum order order)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t a = 0; a < action_count; a++) {
			struct meeting meeting = meetings[i];
			meeting.actions = actions[a];
			check_meeting(&meeting, order);
		}
	}
}

/* Each of the meetings with each of the actions. */
#define check_crossed(meetings, actions, order)                                                    \
	check_each(meetings, COUNT_OF(meetings), actions, COUNT_OF(actions), order)

static void check_order(const struct meeting *meeting, const struct outcome *outcome,
						const struct outcome *orders, size_t count)
{
	bool right = false;

	for (size_t i = 0; i < count; i++)
		right |= same_outcome(outcome, &orders[i]);
	if (!right) {
		print_meeting(meeting, outcome);
		for (size_t i = 0; i < count; i++)
			print_outcome("or could be", &orders[i]);
	}
	assert_true(right);
}

/*
 * Let call and actions meet at the first pass, the second, and so on, with any order allowed: the
 * call before or after any of the actions. Returns how often they met.
 */
static int check_any_order(const char *call, const char *point, const char *actions)
{
	struct meeting meeting = {call, point, 1, actions};
	struct outcome orders[1 + MAX_OPS];
	struct script script;
	bool met = true;

	parse(actions, &script);
	for (size_t i = 0; i <= script.count; i++)
		orders[i] = in_order(&meeting, i);
	while (met) {
		struct outcome outcome = meet(&meeting, ANY_ORDER);
		met = outcome.point != NULL;
		if (met)
			check_order(&meeting, &outcome, orders, script.count + 1);
		free_outcome(&outcome);
		free_tree();
		meeting.nth += met;
	}
	for (size_t i = 0; i <= script.count; i++)
		free_outcome(&orders[i]);
	return meeting.nth - 1;
}

/*
 * Lookups, and directories that move between two of their steps
 */

/*
 * The lookup has come to /a/s. That moves, and gets a file that it never had at its old path, which
 * must not be found by the old path, neither before nor after.
 */
static void path_that_never_was_is_not_found(void **state)
{
	static const char *const calls[] = {
		"exists /a/s/n",    "size /a/s/n",          "hold_read /a/s/n",   "hold_write /a/s/n",
		"listdir /a/s/m",   "opendir /a/s/m",       "remove /a/s/n",      "remove /a/s/m",
		"rmtree /a/s/m",    "rename /a/s/n /b/n",   "rename /a/s/m /b/m", "move /a/s/n /z/n",
		"copy /a/s/n /b/n", "copy_tree /a/s/m /b/m"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		const struct meeting meeting = {calls[i], "lookup: a step done", 2,
										"rename /a/s /a/r; touch /a/r/n; mkdir /a/r/m"};
		check_meeting(&meeting, IN_TURN);
	}
}

/* Calls that make something below /a/s, or want it there. */
static const char *const calls_below[] = {
	"touch /a/s/n",         "hold_new /a/s/n",      "hold_new /a/s/g",    "hold_read /a/s/g",
	"mkdir /a/s/n",         "mkdir /a/s/n/m",       "remove /a/s/g",      "rmtree /a/s/t",
	"rename /a/s/g /b/g",   "rename /b/f /a/s/n",   "rename /b/e /a/s/n", "replace /b/f /a/s/g",
	"exchange /a/s/g /b/f", "exchange /b/e /a/s/t", "move /b/f /a/s/n/m", "copy /a/s/g /b/g",
	"copy /b/f /a/s/n",     "copy_tree /b /a/s/n",  "put /a/s/n/m new",   "exists /a/s/g",
	"size /a/s/g",          "listdir /a/s",         "opendir /a/s/t"};

/* At each step of its lookups, also when all has been found. */
static void call_that_is_overtaken_looks_again(void **state)
{
	static const char *const moves[] = {"rename /a/s /a/r",
										"rename /a /c",
										"rename /a /c; mkdir /a",
										"rename /a /c; put /a/s/g another; mkdir /a/s/t",
										"exchange /a/s /b/e",
										"rename /a/s /a/r; rename /b/e /a/s",
										"rename /a/s /r; rename /r /a/s",
										"rename /b /a/s/b"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls_below); i++) {
		for (size_t m = 0; m < COUNT_OF(moves); m++) {
			struct meeting meeting = {calls_below[i], "lookup: a step done", 1, moves[m]};
			while (check_if_met(&meeting, IN_TURN))
				meeting.nth++;
		}
	}
}

/*
 * The parent is found and pinned, its mutex not taken yet
 */

static void change_goes_where_the_path_leads_when_it_is_made(void **state)
{
	static const struct meeting found[] = {
		{"touch /a/s/n", "create: about to lock", 1, NULL},
		{"hold_new /a/s/n", "create: about to lock", 1, NULL},
		{"mkdir /a/s/n", "mkdir: about to lock", 1, NULL},
		{"mkdir /a/s/n/m", "mkdir: about to lock", 1, NULL},
		{"remove /a/s/g", "remove: about to lock", 1, NULL},
		{"remove /a/s/t", "remove: about to lock", 1, NULL},
		{"rmtree /a/s/g", "remove: about to lock", 1, NULL},
		{"rename /a/s/g /a/s/n", "rename: about to lock", 1, NULL},
		{"rename /a/s/g /b/n", "rename: about to lock", 1, NULL},
		{"rename /b/f /a/s/n", "rename: about to lock", 1, NULL},
		{"replace /b/f /a/s/g", "rename: about to lock", 1, NULL},
		{"exchange /b/f /a/s/g", "rename: about to lock", 1, NULL},
		{"move /b/f /a/s/n/m", "rename: about to lock", 1, NULL},
		{"copy /a/s/g /b/n", "copy: cloned", 1, NULL},
		{"copy /b/f /a/s/n", "copy: cloned", 1, NULL}};
	static const char *const moves[] = {"rename /a/s /a/r",
										"rename /a /c",
										"rename /a /c; put /a/s/g another",
										"rename /a /c; mkdir /a/s/t",
										"rename /a/s /a/r; touch /a/s",
										"rename /a/s /a/r; copy_tree /a/r /a/s",
										"exchange /a /b",
										"exchange /a/s /b/e",
										"replace /a/s /b/e; rename /b /a/s",
										"rename /a /c; rename /c /a",
										"rename /b /c",
										"rmtree /a/s",
										"rmtree /a; mkdir /a/s/t",
										"rmtree /a/s; put /a/s/g another",
										"remove /a/s/g; mkdir /a/s/g",
										"rename /a/s/g /a/s/n",
										"replace /a/f /a/s/g",
										"touch /a/s/n",
										"mkdir /a/s/n",
										"rmtree /b"};

	(void)state;
	check_crossed(found, moves, ACTIONS_FIRST);
}

/*
 * Opening files
 */

/*
 * The file is found, and goes away by its path before the handle counts: the handle must not come
 * to be, and what the other thread does must never be refused because of it.
 */
static void open_that_loses_disturbs_nobody(void **state)
{
	static const struct meeting opens[] = {
		{"hold_read /a/s/g", "open: found", 1, NULL},
		{"hold_read /a/s/g", "hold: about to count in", 1, NULL},
		{"hold_write /a/s/g", "open: found", 1, NULL},
		{"hold_write /a/s/g", "hold: about to count in", 1, NULL},
		{"hold_new /a/s/g", "open: found", 1, NULL},
		{"hold_new /a/s/g", "hold: about to count in", 1, NULL}};
	static const char *const losses[] = {
		"rename /a /c", "rename /a/s /b/s", "rename /a /c; put /a/s/g another",
		"exchange /a/s /b/e", "replace /a/s /b/e", "move /a/s /z/y/x", "rename /a/s/g /b/g",
		"rename /a/s/g /a/s/n; rename /b/f /a/s/g", "rename /a/s/g /a/s/n; rename /a/s/n /a/s/g",
		"replace /b/f /a/s/g", "exchange /b/f /a/s/g", "exchange /b/e /a/s/g", "put /a/s/g another",
		"remove /a/s/g", "remove /a/s/g; mkdir /a/s/g", "rmtree /a/s/g", "rmtree /a",
		"rmtree /a; put /a/s/g another",
		/* Nothing happens to the file. */
		"rename /b /c", "rename /a /c; rename /c /a", "copy_tree /b /c; rmtree /b"};

	(void)state;
	check_crossed(opens, losses, ACTIONS_FIRST);
}

static mfs_file *held;

static void close_and_run(struct plan *plan)
{
	must(!mfs_close(held));
	must(run_text(plan->user) == 0);
}

/* The lock was waited for, and much has happened when it is to be had. */
static void open_that_has_waited_looks_again(void **state)
{
	static const struct {
		const char *ops;
		const char *text; /* NULL: there is no file */
	} cases[] = {{"rename /b /c", "asg"},
				 {"rename /a /c", NULL},
				 {"rename /a /c; rename /c /a", "asg"},
				 {"rename /a /c; put /a/s/g another", "another"},
				 {"exchange /a/s /b/e", NULL},
				 {"exchange /a/s/g /b/f", "b's f"},
				 {"rename /a/s/g /a/s/n; rename /a/s/n /a/s/g", "asg"},
				 {"put /a/s/g another", "another"},
				 {"rmtree /a/s", NULL},
				 {"rmtree /a; put /a/s/g another", "another"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct plan plan = {.point = "open: about to wait",
							.nth = 1,
							.action = close_and_run,
							.user = (void *)(uintptr_t)cases[i].ops};
		mfs_file *file;
		new_tree();
		held = open_file(fs, "/a/s/g", "r+b");
		mine = &plan;
		int code = open_with(fs, "/a/s/g", "r+b", 0, LOCK_TIMEOUT_MS, &file);
		mine = NULL;
		assert_non_null(plan.reached);
		assert_code(code, cases[i].text ? 0 : MFS_ENOENT);
		if (cases[i].text) {
			assert_handle_holds(file, cases[i].text, strlen(cases[i].text));
			close_file(file);
			assert_text(fs, "/a/s/g", cases[i].text);
		}
		check_all_is_usable();
		free_tree();
	}
}

/*
 * An open that comes in before the file is claimed wins: nothing is moved, nothing stays claimed.
 * The claims of "region: directory claimed" go from the top down: /a, /a/s, /a/s/t.
 */
static void open_that_wins_stops_the_others(void **state)
{
	static const struct meeting table[] = {
		{"rename /a /c", "region: directory claimed", 1, "hold_read /a/f"},
		{"rename /a /c", "region: directory claimed", 1, "hold_read /a/s/t/h"},
		{"rename /a /c", "region: directory claimed", 2, "hold_write /a/s/g"},
		{"rename /a /c", "region: directory claimed", 3, "hold_new /a/s/t/h"},
		{"rename /a /c", "region: directory claimed", 2, "hold_new /a/s/t/n"},
		{"move /a /z/y", "region: directory claimed", 2, "hold_read /a/s/t/h"},
		{"replace /a/s /b/e", "region: directory claimed", 2, "hold_read /a/s/t/h"},
		{"exchange /b /a/s", "region: directory claimed", 2, "hold_read /a/s/t/h"},
		{"exchange /b /a/s", "region: directory claimed", 4, "hold_read /a/s/t/h"},
		{"exchange /a/f /b", "region: directory claimed", 2, "hold_read /a/f"},
		{"rmtree /a", "region: directory claimed", 1, "hold_read /a/f"},
		{"rmtree /a", "region: directory claimed", 2, "hold_write /a/s/t/h"},
		{"rmtree /a", "region: directory claimed", 2, "hold_new /a/s/t/n"},
		{"rename /a/f /c", "rename: about to lock", 1, "hold_read /a/f"},
		{"replace /a/f /b/f", "rename: about to lock", 1, "hold_read /b/f"},
		{"exchange /a/f /b/f", "rename: about to lock", 1, "hold_read /b/f"},
		{"remove /a/f", "remove: about to lock", 1, "hold_read /a/f"},
		{"put /a/s/g new", "merge: a directory matched", 3, "hold_read /a/s/g"},
		{"import new", "merge: a directory matched", 5, "hold_write /a/s/g"},
		{"import new", "merge: a directory matched", 1, "hold_write /a/f"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++)
		check_meeting(&table[i], ACTIONS_FIRST);
}

/*
 * Claims, and who has to wait for them
 */

/*
 * What comes while a tree is claimed waits, and is done afterwards: to the tree at its new place,
 * or not at all, but never to a tree that is half gone.
 */
static void changes_below_wait_for_the_claimer(void **state)
{
	static const struct meeting claimers[] = {
		{"rename /a /c", "region: directory claimed", 3, NULL},
		{"rename /a /c", "rename: about to lock", 1, NULL},
		{"rename /a/s /b/s", "region: directory claimed", 2, NULL},
		{"replace /a/s /b/e", "rename: about to lock", 1, NULL},
		{"exchange /a/s /b", "rename: about to lock", 1, NULL},
		{"exchange /b/f /a/s", "rename: about to lock", 1, NULL},
		{"move /a/s /z/y", "rename: about to lock", 1, NULL},
		{"rmtree /a", "region: directory claimed", 3, NULL},
		{"rmtree /a", "rmtree: claimed", 1, NULL},
		{"rmtree /a/s", "rmtree: claimed", 1, NULL},
		{"copy_tree /a /b/n", "region: directory claimed", 3, NULL},
		{"copy_tree /a/s /b/n", "copy_tree: cloned", 1, NULL}};
	static const char *const changes[] = {
		"touch /a/s/n",        "hold_new /a/s/n",    "mkdir /a/s/n",         "mkdir /a/s/n/m/l",
		"remove /a/s/g",       "rename /a/s/g /k2",  "rename /a/s/g /a/s/n", "rename /k /a/s/n",
		"move /k /a/s/n/m",    "exchange /k /a/s/g", "replace /k /a/s/g",    "copy /k /a/s/n",
		"copy_tree /b /a/s/n", "put /a/s/n new",     "put /a/s/g new",       "rename /a/s /r",
		"rmtree /a/s",         "import imported",    "rename /b/e /a/s/n",   "copy_tree /a/s /t"};

	(void)state;
	check_crossed(claimers, changes, ACTIONS_WAIT);
}

/* A file that is claimed will go, or come to another path: it cannot be opened until it has. */
static void opens_below_wait_for_the_claimer(void **state)
{
	static const struct meeting claimers[] = {
		{"rename /a /c", "region: directory claimed", 3, NULL},
		{"exchange /a/s /b", "rename: about to lock", 1, NULL},
		{"rmtree /a", "rmtree: claimed", 1, NULL}};
	static const char *const opens[] = {"hold_read /a/s/g", "hold_write /a/s/g", "hold_new /a/s/g"};

	(void)state;
	check_crossed(claimers, opens, ACTIONS_WAIT);
}

/* What comes to a directory before that is claimed is taken along. */
static void changes_come_before_the_claim(void **state)
{
	static const struct meeting claimers[] = {
		{"rename /a /c", "region: directory claimed", 2, NULL},
		{"exchange /a /b", "region: directory claimed", 2, NULL},
		{"move /a /z/y/x", "region: directory claimed", 2, NULL},
		{"rmtree /a", "region: directory claimed", 2, NULL},
		{"copy_tree /a /b/n", "region: directory claimed", 2, NULL}};
	static const char *const changes[] = {
		"touch /a/s/t/n",     "mkdir /a/s/t/n/m",     "remove /a/s/t/h",
		"rename /k /a/s/t/k", "rename /a/s/t/h /k2",  "rename /a/s/t/h /a/s/t/i",
		"copy /k /a/s/t/k",   "exchange /k /a/s/t/h",
	};

	(void)state;
	check_crossed(claimers, changes, ACTIONS_FIRST);
}

/* Who only looks, or works elsewhere, does not wait for a claim. */
static void claims_hold_up_nobody_else(void **state)
{
	static const struct meeting claimers[] = {
		{"rename /a /c", "region: directory claimed", 3, NULL},
		{"rmtree /a", "region: directory claimed", 3, NULL},
		{"copy_tree /a /d", "region: directory claimed", 3, NULL}};
	static const char *const others[] = {
		"exists /a/s/t/h", "exists /c/s/t/h",    "size /a/s/g",    "listdir /a/s",
		"opendir /a/s",    "listdir /",          "touch /b/e/n",   "mkdir /b/e/n/m",
		"remove /b/f",     "hold_new /b/n",      "hold_read /b/f", "rename /b/f /b/e/n",
		"copy /k /b/e/k",  "move /b/f /b/e/n/m", "mkdir /n",
	};

	(void)state;
	check_crossed(claimers, others, ACTIONS_FIRST);
}

/*
 * Readers of a change that is half published
 */

/* Enough names that a change of two of them is one of two slots. */
static void fill(const char *directory)
{
	for (int i = 0; i < 60; i++) {
		char path[64];
		(void)snprintf(path, sizeof path, "%s/fill%d", directory, i);
		assert_code(mfs_mkdir(fs, path, 0), 0);
	}
}

static void new_filled_tree(void)
{
	new_tree();
	fill("");
	fill("/a");
	fill("/b");
}

/* What a look tells of a path: ABSENT, or a size where the look tells sizes, else PRESENT. */
enum { ABSENT = -1, PRESENT = 0 };

/* The directory of a path: all before the last '/'. Returns the name. */
static const char *split(const char *path, char parent[64])
{
	const char *name = strrchr(path, '/') + 1;

	(void)snprintf(parent, 64, "%.*s", (int)(name - path > 1 ? name - path - 1 : 1), path);
	return name;
}

static int64_t look_by_exists(const char *path)
{
	return mfs_exists(fs, path) ? PRESENT : ABSENT;
}

static int64_t look_by_stat(const char *path)
{
	mfs_info info;

	return mfs_stat(fs, path, &info) ? ABSENT : info.size;
}

static int64_t look_by_listdir(const char *path)
{
	char parent[64];
	const char *name = split(path, parent);
	char **names;
	int64_t count = mfs_listdir(fs, parent, &names);
	int64_t result = ABSENT;

	for (int64_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			result = PRESENT;
	if (count >= 0)
		mfs_names_free(names);
	return result;
}

static int64_t look_by_opendir(const char *path)
{
	char parent[64];
	const char *name = split(path, parent);
	mfs_entry entry;
	mfs_dir *dir;
	int64_t result = ABSENT;

	if (mfs_opendir(fs, parent, &dir))
		return ABSENT;
	while (mfs_readdir(dir, &entry) == 1)
		if (!strcmp(entry.name, name))
			result = entry.info.size;
	must(!mfs_closedir(dir));
	return result;
}

static int64_t look_by_walk(const char *path)
{
	char parent[64];
	const char *name = split(path, parent);
	mfs_walk_level level;
	mfs_walk *walk;
	int64_t result = ABSENT;

	if (mfs_walk_open(fs, parent, &walk))
		return ABSENT;
	if (mfs_walk_next(walk, &level) == 1) {
		for (size_t i = 0; i < level.directory_count; i++)
			if (!strcmp(level.directories[i], name))
				result = PRESENT;
		for (size_t i = 0; i < level.file_count; i++)
			if (!strcmp(level.files[i], name))
				result = PRESENT;
	}
	must(!mfs_walk_close(walk));
	return result;
}

static int64_t look_by_glob(const char *path)
{
	char pattern[64];
	char **paths;
	int64_t result = ABSENT;

	(void)snprintf(pattern, sizeof pattern, "%.*s*", (int)(strrchr(path, '/') + 1 - path), path);
	int64_t count = mfs_glob(fs, pattern, &paths);
	for (int64_t i = 0; i < count; i++)
		if (!strcmp(paths[i], path))
			result = PRESENT;
	if (count >= 0)
		mfs_names_free(paths);
	return result;
}

static int64_t (*const ways_to_look[])(const char *path) = {
	look_by_exists, look_by_stat, look_by_listdir, look_by_opendir, look_by_walk, look_by_glob};

enum { WAYS = COUNT_OF(ways_to_look), MAX_PATHS = 10 };

/* A call, and paths of which it changes what is there. */
struct scene {
	const char *call;
	const char *paths[MAX_PATHS];
};

/* A thread that looks at one path after the other, and then back. */
struct witness {
	const struct scene *scene;
	int64_t (*look)(const char *path);
	int64_t before[MAX_PATHS];
	int64_t after[MAX_PATHS];
	bool is_new[2 * MAX_PATHS];
	bool is_strange; /* neither as before nor as after */
	size_t looks;
	_Atomic pid_t tid;
	atomic_bool ended;
	pthread_t thread;
};

static void look_once(struct witness *witness, size_t path)
{
	if (witness->before[path] == witness->after[path])
		return; /* this way to look sees no difference */
	int64_t seen = witness->look(witness->scene->paths[path]);
	witness->is_strange |= seen != witness->before[path] && seen != witness->after[path];
	witness->is_new[witness->looks++] = seen == witness->after[path];
}

static size_t count_paths(const struct scene *scene)
{
	size_t count = 0;

	while (count < MAX_PATHS && scene->paths[count])
		count++;
	return count;
}

static void *witness_run(void *argument)
{
	struct witness *witness = argument;
	size_t count = count_paths(witness->scene);

	atomic_store_explicit(&witness->tid, gettid(), memory_order_relaxed);
	for (size_t i = 0; i < count; i++)
		look_once(witness, i);
	for (size_t i = count; i-- > 0;)
		look_once(witness, i);
	atomic_store_explicit(&witness->ended, true, memory_order_relaxed);
	return NULL;
}

/* Does this way to look tell before from after? One that does not has nothing to wait for. */
static bool sees_a_difference(const struct witness *witness)
{
	return memcmp(witness->before, witness->after, sizeof witness->before) != 0;
}

struct audience {
	struct witness witnesses[WAYS];
	bool waited; /* all of them */
};

static void let_them_look(struct plan *plan)
{
	struct audience *audience = plan->user;

	for (size_t i = 0; i < WAYS; i++)
		must(!pthread_create(&audience->witnesses[i].thread, NULL, witness_run,
							 &audience->witnesses[i]));
	audience->waited = true;
	for (size_t i = 0; i < WAYS; i++) {
		struct witness *witness = &audience->witnesses[i];
		let_settle(&witness->tid, &witness->ended);
		if (sees_a_difference(witness))
			audience->waited &= !atomic_load_explicit(&witness->ended, memory_order_relaxed);
	}
}

/* Fill in what each way to look sees before and after the call. */
static void prepare_audience(const struct scene *scene, struct audience *audience)
{
	size_t count = count_paths(scene);

	memset(audience, 0, sizeof *audience);
	new_filled_tree();
	for (int after = 0; after < 2; after++) {
		for (size_t w = 0; w < WAYS; w++) {
			struct witness *witness = &audience->witnesses[w];
			witness->scene = scene;
			witness->look = ways_to_look[w];
			for (size_t i = 0; i < count; i++)
				(after ? witness->after : witness->before)[i] = witness->look(scene->paths[i]);
		}
		if (!after)
			assert_code(run_text(scene->call), 0);
	}
	free_tree();
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(audience->witnesses[1].before[i], audience->witnesses[1].after[i]);
}

static void check_witness(const struct witness *witness)
{
	for (size_t i = 1; i < witness->looks; i++) {
		if (witness->is_new[i - 1] && !witness->is_new[i])
			print_error("%s: look %zu sees what had gone\n", witness->scene->call, i);
		assert_false(witness->is_new[i - 1] && !witness->is_new[i]);
	}
	assert_false(witness->is_strange);
}

/* What looks at a point must be like, besides never to see the old behind the new. */
enum stage {
	BEFORE_OR_AFTER, /* nothing more */
	HALF,            /* they wait, and then see the new */
	OVER,            /* they see the new */
};

/* Let all look when the call comes to the point for the n-th time. Returns false if it does not. */
static bool look_at(const struct scene *scene, const char *point, int nth, enum stage stage)
{
	struct audience audience;
	struct plan plan = {.point = point, .nth = nth, .action = let_them_look, .user = &audience};

	prepare_audience(scene, &audience);
	new_filled_tree();
	mine = &plan;
	int64_t code = run_text(scene->call);
	mine = NULL;
	for (size_t i = 0; plan.reached && i < WAYS; i++)
		must(!pthread_join(audience.witnesses[i].thread, NULL));
	assert_code(code, 0);
	for (size_t i = 0; plan.reached && i < WAYS; i++) {
		const struct witness *witness = &audience.witnesses[i];
		check_witness(witness);
		assert_true(witness->looks == 0 || witness->is_new[0] || stage == BEFORE_OR_AFTER);
	}
	if (plan.reached && stage == HALF && !audience.waited)
		print_error("%s: somebody saw the half of it\n", scene->call);
	assert_true(!plan.reached || stage != HALF || audience.waited);
	free_tree();
	return plan.reached != NULL;
}

static void half_a_change_is_never_seen(void **state)
{
	static const struct scene scenes[] = {
		{"import text", {"/a/f", "/a/s/g", "/b/e/i", "/b/j", "/z", "/z/i"}},
		{"put /z/y/x text", {"/z", "/z/y", "/z/y/x"}},
		{"rename /a/f /b/h", {"/a/f", "/b/h"}},
		{"rename /a/f /a/h", {"/a/f", "/a/h"}},
		{"replace /a/f /b/f", {"/a/f", "/b/f"}},
		{"exchange /a/f /b/f", {"/a/f", "/b/f"}},
		{"exchange /a/f /b/e", {"/a/f", "/b/e"}},
		{"move /a/f /b/e/p/q", {"/a/f", "/b/e/p", "/b/e/p/q"}},
		{"rename /a /c",
		 {"/a", "/a/f", "/a/s", "/a/s/g", "/a/s/t/h", "/c", "/c/f", "/c/s/g", "/c/s/t/h"}},
		{"rename /a/s /b/s",
		 {"/a/s", "/a/s/g", "/a/s/t", "/a/s/t/h", "/b/s", "/b/s/g", "/b/s/t", "/b/s/t/h"}},
		{"replace /a/s /b/e", {"/a/s", "/a/s/g", "/a/s/t/h", "/b/e/g", "/b/e/t/h"}},
		{"exchange /a/s /b/e", {"/a/s/g", "/a/s/t/h", "/b/e/g", "/b/e/t/h"}},
		{"move /a/s /z/y/s",
		 {"/a/s", "/a/s/g", "/a/s/t/h", "/z", "/z/y", "/z/y/s", "/z/y/s/g", "/z/y/s/t/h"}}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(scenes); i++) {
		int halves = 0;
		while (look_at(&scenes[i], "commit: half published", halves + 1, HALF))
			halves++;
		int ends = 0;
		while (look_at(&scenes[i], "commit: published", ends + 1, BEFORE_OR_AFTER))
			ends++;
		assert_in_range(ends, 1, 2);
		/* Several slots, but for one name with all below it. */
		assert_int_equal(halves > 0, strncmp(scenes[i].call, "put", 3) != 0);
	}
}

/* What comes or goes with one name needs no seq; listings have a version of their own. */
static void tree_comes_and_goes_at_once(void **state)
{
	static const struct scene scenes[] = {
		{"copy_tree /a /c", {"/c", "/c/f", "/c/s", "/c/s/g", "/c/s/t", "/c/s/t/h"}},
		{"mkdir /c/d/e", {"/c", "/c/d", "/c/d/e"}},
		{"rmtree /a", {"/a", "/a/f", "/a/s", "/a/s/g", "/a/s/t", "/a/s/t/h"}},
		{"rmtree /a/s", {"/a/s", "/a/s/g", "/a/s/t", "/a/s/t/h"}}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(scenes); i++) {
		bool buries = !strncmp(scenes[i].call, "rmtree", 6);
		int nodes = 0;
		int ends = 0;
		while (look_at(&scenes[i], "commit: published", ends + 1, BEFORE_OR_AFTER))
			ends++;
		assert_in_range(ends, 1, 2);
		/* While the tree is buried nobody finds any of it. */
		while (buries && look_at(&scenes[i], "unlink: marked for holders", nodes + 1, OVER))
			nodes += nodes < 6 ? 1 : 20;
		assert_true(nodes >= 4 || !buries);
	}
}

/*
 * Merging
 */

/*
 * Directories are matched from the top down: /, /b, /b/e. One that is only passed through is not
 * claimed, and may go after it was matched.
 */
static void import_looks_again_when_a_directory_goes(void **state)
{
	static const struct meeting matched[] = {
		{"put /b/e/n imported", "merge: a directory matched", 1, NULL},
		{"put /b/e/n imported", "merge: a directory matched", 2, NULL}};
	static const char *const actions[] = {"remove /b/e",
										  "remove /b/e; touch /b/e",
										  "remove /b/e; mkdir /b/e/n",
										  "remove /b/e; mkdir /b/e; touch /b/e/n",
										  "remove /b/e; remove /b/f; remove /b",
										  "remove /b/e; remove /b/f; remove /b; touch /b",
										  "remove /b/e; remove /b/f; remove /b; mkdir /b/e/n",
										  "touch /b/e/n",
										  "hold_new /b/e/n",
										  "mkdir /b/e/n",
										  "rename /b/f /b/e/n",
										  "rename /k /b/e/n; rename /b/f /k",
										  "remove /b/f"};

	(void)state;
	check_crossed(matched, actions, ACTIONS_FIRST);
}

/* What the import claims, and directories that others want to move, stay until it is done. */
static void changes_wait_for_the_import(void **state)
{
	static const struct meeting matched[] = {
		{"put /b/e/n imported", "merge: a directory matched", 3, NULL}};
	static const char *const actions[] = {"touch /b/e/m",   "remove /b/e",      "rename /b /c",
										  "rmtree /b",      "exchange /a /b",   "rename /a /c",
										  "touch /b/e/n",   "rename /k /b/e/k", "copy_tree /b /c",
										  "put /b/e/n too", "copy /k /b/e/k"};

	(void)state;
	check_crossed(matched, actions, ACTIONS_WAIT);
}

static struct mfs__node *node_at(const char *text)
{
	struct mfs__lookup found = {0};
	struct mfs__path path;

	must(!mfs__path_begin(&path, text));
	mfs__rcu_lock();
	must(!mfs__lookup(&fs->tree, &path, &found, MFS__LOOKUP_EXCLUSIVE) && found.node);
	mfs__rcu_unlock();
	mfs__path_end(&path);
	return found.node;
}

static bool is_claimed(const char *path)
{
	return atomic_load_explicit(&node_at(path)->hold, memory_order_relaxed) & MFS__HOLD_CLAIMED;
}

static int times_remade;
static bool claimed_all;

/* Each time that /b has been matched: let /b/e be another directory, as long as that can be. */
static void remake_e(struct plan *plan)
{
	(void)plan;
	if (is_claimed("/b")) {
		claimed_all = true;
		return;
	}
	if (is_claimed("/b/e"))
		return;
	must(!mfs_remove(fs, "/b/e") && !mfs_mkdir(fs, "/b/e", 0));
	times_remade++;
}

static void import_that_is_disturbed_again_and_again_claims_all(void **state)
{
	struct plan plan = {
		.point = "merge: a directory matched", .nth = 2, .repeats = true, .action = remake_e};

	(void)state;
	new_tree();
	times_remade = 0;
	claimed_all = false;
	mine = &plan;
	int64_t code = put("/b/e/n", "imported");
	mine = NULL;
	assert_code(code, 0);
	assert_true(claimed_all);
	assert_in_range(times_remade, 2, 20);
	assert_text(fs, "/b/e/n", "imported");
	check_all_is_usable();
	free_tree();
}

/*
 * Copies
 */

static void copy_takes_the_file_that_the_path_names(void **state)
{
	static const struct meeting cloned[] = {{"copy /a/f /b/n", "copy: cloned", 1, NULL}};
	static const char *const actions[] = {"rename /a/f /a/n",
										  "rename /a/f /a/n; rename /b/f /a/f",
										  "replace /b/f /a/f",
										  "exchange /b/f /a/f",
										  "rename /a/f /a/n; rename /a/s /a/f",
										  "rename /a/f /a/n; rename /a/n /a/f",
										  "put /a/f another",
										  "remove /a/f",
										  "remove /a/f; touch /a/f",
										  "touch /b/n",
										  "mkdir /b/n",
										  "copy /b/f /b/n",
										  "rename /a /c",
										  "rename /b /c",
										  "rename /b /c; mkdir /b",
										  "exchange /a /b",
										  "rmtree /a",
										  "rmtree /b",
										  "rmtree /b; touch /b",
										  "hold_read /a/f",
										  "copy_tree /a /c"};

	(void)state;
	check_crossed(cloned, actions, ACTIONS_FIRST);
}

static void copy_of_a_tree_gives_all_back_when_it_cannot_be(void **state)
{
	static const struct meeting cloned[] = {{"copy_tree /a /b/e/n", "copy_tree: cloned", 1, NULL}};
	static const char *const actions[] = {"touch /b/e/n",
										  "mkdir /b/e/n",
										  "rename /b/f /b/e/n",
										  "remove /b/e",
										  "remove /b/e; touch /b/e",
										  "remove /b/e; mkdir /b/e"};

	(void)state;
	check_crossed(cloned, actions, ACTIONS_FIRST);
}

static void copy_of_a_tree_holds_up_nobody_while_it_waits(void **state)
{
	const mfs_options options = {.default_lock_timeout = LOCK_TIMEOUT_MS};
	struct script copy_script;
	struct script work_script;
	struct other copy;
	struct other work;

	(void)state;
	parse("copy_tree /a /c", &copy_script);
	parse("touch /a/s/n; rename /a/s/t /a/u; remove /a/s/g; mkdir /a/m/o", &work_script);
	fs = new_workspace(&options);
	make_dir(fs, "/a/s/t");
	make_text(fs, "/a/s/g", "asg");
	make_text(fs, "/a/s/t/h", "asth");
	make_text(fs, "/a/f", "af");
	held = open_file(fs, "/a/f", "ab");
	start_other(&copy, &copy_script);
	let_settle(&copy.tid, &copy.ended);
	assert_false(has_ended(&copy));
	start_other(&work, &work_script);
	AWAIT(has_ended(&work));
	join_other(&work);
	for (size_t i = 0; i < work_script.count; i++)
		assert_code(work.codes[i], 0);
	assert_false(has_ended(&copy));
	assert_code(mfs_write(held, "+", 1), 1);
	close_file(held);
	join_other(&copy);
	assert_code(copy.codes[0], 0);
	assert_tree(fs, "/\n/a/\n/a/f 3 af+\n/a/m/\n/a/m/o/\n/a/s/\n/a/s/n 0 \n/a/u/\n/a/u/h 4 asth\n"
					"/c/\n/c/f 3 af+\n/c/m/\n/c/m/o/\n/c/s/\n/c/s/n 0 \n/c/u/\n/c/u/h 4 asth\n");
	check_all_is_usable();
	free_tree();
}

/*
 * Walks
 */

/* A level as text: "/a[s|f]", directories and files. */
static void add_level(struct text *text, const mfs_walk_level *level)
{
	text_add(text, text->length ? " " : "");
	text_add(text, level->path);
	text_add(text, "[");
	for (size_t i = 0; i < level->directory_count; i++) {
		text_add(text, i ? "," : "");
		text_add(text, level->directories[i]);
	}
	text_add(text, "|");
	for (size_t i = 0; i < level->file_count; i++) {
		text_add(text, i ? "," : "");
		text_add(text, level->files[i]);
	}
	text_add(text, "]");
}

static void add_levels(struct text *text, mfs_walk *walk)
{
	mfs_walk_level level;
	int code;

	while ((code = mfs_walk_next(walk, &level)) == 1)
		add_level(text, &level);
	assert_code(code, 0);
}

static void run_ops(struct plan *plan)
{
	must(run_text(plan->user) == 0);
}

/* What is done in the middle of a walk, and what the walk tells. */
struct walk_case {
	const char *ops;
	const char *levels;
};

static void walk_goes_on_between_changes(void **state)
{
	static const struct walk_case cases[] = {
		/* The walk has told of /[a,b|k] and /a[s|f]. */
		{"rmtree /a/s", "/b[e|f] /b/e[|]"},
		{"rmtree /a", "/b[e|f] /b/e[|]"},
		{"rmtree /b", "/a/s[t|g] /a/s/t[|h]"},
		{"rmtree /a; rmtree /b", ""},
		{"rmtree /a; mkdir /a/s/n", "/b[e|f] /b/e[|]"},
		{"rmtree /a/s; mkdir /a/s/n", "/a/s[n|] /a/s/n[|] /b[e|f] /b/e[|]"},
		{"rmtree /a/s; touch /a/s", "/b[e|f] /b/e[|]"},
		{"rename /a /c", "/a/s[t|g] /a/s/t[|h] /b[e|f] /b/e[|]"},
		{"rename /a/s /a/z", "/b[e|f] /b/e[|]"},
		{"rename /a/s /b/s", "/b[e,s|f] /b/e[|] /b/s[t|g] /b/s/t[|h]"},
		{"rename /a/s /b/s; rmtree /b/s", "/b[e|f] /b/e[|]"},
		{"exchange /a/s /b/e", "/a/s[|] /b[e|f] /b/e[t|g] /b/e/t[|h]"},
		{"rename /b /a/s/b", "/a/s[b,t|g] /a/s/b[e|f] /a/s/b/e[|] /a/s/t[|h]"},
		{"rename /a /b/e/a",
		 "/a/s[t|g] /a/s/t[|h] /b[e|f] /b/e[a|] /b/e/a[s|f] /b/e/a/s[t|g] /b/e/a/s/t[|h]"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct text text = {.bytes = NULL};
		struct plan plan = {.user = (void *)(uintptr_t)cases[i].ops};
		mfs_walk_level level;
		mfs_walk *walk;
		new_tree();
		assert_code(mfs_walk_open(fs, "/", &walk), 0);
		assert_code(mfs_walk_next(walk, &level), 1);
		assert_string_equal(level.path, "/");
		assert_code(mfs_walk_next(walk, &level), 1);
		assert_string_equal(level.path, "/a");
		run_ops(&plan);
		add_levels(&text, walk);
		assert_code(mfs_walk_close(walk), 0);
		if (strcmp(text.bytes ? text.bytes : "", cases[i].levels) != 0)
			print_error("case %zu\n", i);
		assert_string_equal(text.bytes ? text.bytes : "", cases[i].levels);
		free(text.bytes);
		check_all_is_usable();
		free_tree();
	}
}

/* Inside the step that reads /a/s, which is the third. */
static void walk_reads_each_level_at_one_instant(void **state)
{
	static const struct walk_case cases[] = {
		{"rmtree /a/s", "/[a,b|k] /a[s|f] /a/s[t|g] /b[e|f] /b/e[|]"},
		{"rmtree /a", "/[a,b|k] /a[s|f] /a/s[t|g] /b[e|f] /b/e[|]"},
		{"rmtree /a; rmtree /b", "/[a,b|k] /a[s|f] /a/s[t|g]"},
		{"touch /a/s/n", "/[a,b|k] /a[s|f] /a/s[t|g,n] /a/s/t[|h] /b[e|f] /b/e[|]"},
		{"touch /a/s/n; rmtree /a/s", "/[a,b|k] /a[s|f] /b[e|f] /b/e[|]"},
		{"remove /a/s/g", "/[a,b|k] /a[s|f] /a/s[t|] /a/s/t[|h] /b[e|f] /b/e[|]"},
		{"rename /a /c", "/[a,b|k] /a[s|f] /a/s[t|g] /a/s/t[|h] /b[e|f] /b/e[|]"},
		{"exchange /a/s/t /b/e", "/[a,b|k] /a[s|f] /a/s[t|g] /a/s/t[|] /b[e|f] /b/e[|h]"},
		{"exchange /a/s/t /b/f", "/[a,b|k] /a[s|f] /a/s[|g,t] /b[e,f|] /b/e[|] /b/f[|h]"},
		{"rename /a/s /b/s",
		 "/[a,b|k] /a[s|f] /a/s[t|g] /a/s/t[|h] /b[e,s|f] /b/e[|] /b/s[t|g] /b/s/t[|h]"},
		/* The directory /a, in which the walk is, takes the place of /a/s/t: not once more. */
		{"rename /a/s /s; rename /s/t /t; rename /a /s/t",
		 "/[a,b|k] /a[s|f] /a/s[t|g] /b[e|f] /b/e[|]"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct text text = {.bytes = NULL};
		struct plan plan = {.point = "listdir: image taken",
							.nth = 3,
							.action = run_ops,
							.user = (void *)(uintptr_t)cases[i].ops};
		mfs_walk *walk;
		new_tree();
		assert_code(mfs_walk_open(fs, "/", &walk), 0);
		mine = &plan;
		add_levels(&text, walk);
		mine = NULL;
		assert_non_null(plan.reached);
		assert_code(mfs_walk_close(walk), 0);
		if (!text.bytes || strcmp(text.bytes, cases[i].levels) != 0)
			print_error("case %zu\n", i);
		assert_string_equal(text.bytes, cases[i].levels);
		free(text.bytes);
		check_all_is_usable();
		free_tree();
	}
}

/*
 * Two walks inside a tree that is buried, one node after the other: the one has read /a, the other
 * has found /a/s and not read it. What is buried so far is freed: a sanitizer notices who reads it.
 */
static struct {
	mfs_walk *of_a;
	mfs_walk *of_s;
	struct text levels_of_a;
	struct text levels_of_s;
} buried;

static void add_buried_levels(struct text *text, mfs_walk *walk)
{
	mfs_walk_level level;

	text_add(text, "");
	while (mfs_walk_next(walk, &level) == 1)
		add_level(text, &level);
}

static void walk_on(struct plan *plan)
{
	(void)plan;
	AWAIT(mfs__reclaim_pending() == 0);
	add_buried_levels(&buried.levels_of_a, buried.of_a);
	add_buried_levels(&buried.levels_of_s, buried.of_s);
}

/* Walk on when the n-th node has been unlinked. Returns false if there are not so many. */
static bool walk_while_buried(int nth)
{
	/* A directory is whole or missing, with what is below it. */
	static const char *const allowed_of_a[] = {"/a/s[t|g,g1,g2] /a/s/t[|h] /b[e|f] /b/e[|]",
											   "/a/s[t|g,g1,g2] /b[e|f] /b/e[|]",
											   "/b[e|f] /b/e[|]"};
	static const char *const allowed_of_s[] = {"/a/s[t|g,g1,g2] /a/s/t[|h]", "/a/s[t|g,g1,g2]", ""};
	struct plan plan = {.point = "unlink: marked for holders", .nth = nth, .action = walk_on};
	mfs_walk_level level;
	bool right_of_a = false;
	bool right_of_s = false;

	memset(&buried, 0, sizeof buried);
	new_tree();
	assert_code(run_text("put /a/s/g1 1; put /a/s/g2 2"), 0);
	assert_code(mfs_walk_open(fs, "/", &buried.of_a), 0);
	assert_code(mfs_walk_next(buried.of_a, &level), 1);
	assert_code(mfs_walk_next(buried.of_a, &level), 1);
	assert_string_equal(level.path, "/a");
	assert_code(mfs_walk_open(fs, "/a/s", &buried.of_s), 0);
	mine = &plan;
	int code = mfs_rmtree(fs, "/a");
	mine = NULL;
	assert_code(code, 0);
	for (size_t i = 0; plan.reached && i < COUNT_OF(allowed_of_a); i++) {
		right_of_a |= strcmp(buried.levels_of_a.bytes, allowed_of_a[i]) == 0;
		right_of_s |= strcmp(buried.levels_of_s.bytes, allowed_of_s[i]) == 0;
	}
	if (plan.reached && !(right_of_a && right_of_s))
		print_error("at %d: %s; %s\n", nth, buried.levels_of_a.bytes, buried.levels_of_s.bytes);
	assert_true(!plan.reached || (right_of_a && right_of_s));
	free(buried.levels_of_a.bytes);
	free(buried.levels_of_s.bytes);
	assert_code(mfs_walk_close(buried.of_a), 0);
	assert_code(mfs_walk_close(buried.of_s), 0);
	free_tree();
	return plan.reached != NULL;
}

static void walk_meets_whole_levels_or_none_of_a_tree_that_is_buried(void **state)
{
	int nodes = 0;

	(void)state;
	while (walk_while_buried(nodes + 1))
		nodes++;
	assert_int_equal(nodes, 8);
}

static void dir_iterator_outlives_its_directory(void **state)
{
	mfs_entry entry;
	mfs_dir *dir;

	(void)state;
	new_tree();
	assert_code(mfs_opendir(fs, "/a/s", &dir), 0);
	assert_code(mfs_rename(fs, "/a", "/c", 0), 0);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "g");
	assert_code(mfs_rmtree(fs, "/c"), 0);
	AWAIT(mfs__reclaim_pending() == 0);
	assert_int_equal(entry.info.size, 3);
	assert_code(mfs_readdir(dir, &entry), 1);
	assert_string_equal(entry.name, "t");
	assert_true(entry.info.is_dir);
	assert_code(mfs_readdir(dir, &entry), 0);
	assert_code(mfs_closedir(dir), 0);
	check_all_is_usable();
	free_tree();
}

static void glob_goes_on_while_directories_go(void **state)
{
	static const struct {
		int nth; /* directory that is read: /a, /a/s, /a/s/t */
		const char *ops;
		const char *paths;
	} cases[] = {{1, "rmtree /a", "/a/f /a/s"},
				 {1, "rmtree /a/s", "/a/f"},
				 {1, "rmtree /a/s; touch /a/s", "/a/f /a/s"},
				 {1, "rename /a /c", "/a/f /a/s /a/s/g /a/s/t /a/s/t/h"},
				 {1, "touch /a/n; rmtree /a/s", "/a/f /a/n"},
				 {1, "exchange /a/s /b/e", "/a/f /a/s"},
				 {2, "rmtree /a", "/a/f /a/s /a/s/g /a/s/t"},
				 {2, "rmtree /a/s/t", "/a/f /a/s /a/s/g"},
				 {2, "rename /a/s/t /b/t", "/a/f /a/s /a/s/g"},
				 {3, "rmtree /a", "/a/f /a/s /a/s/g /a/s/t /a/s/t/h"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct plan plan = {.point = "listdir: image taken",
							.nth = cases[i].nth,
							.action = run_ops,
							.user = (void *)(uintptr_t)cases[i].ops};
		struct text text = {.bytes = NULL};
		char **paths;
		new_tree();
		mine = &plan;
		int64_t count = mfs_glob(fs, "/a/**", &paths);
		mine = NULL;
		assert_non_null(plan.reached);
		assert_true(count >= 0);
		for (int64_t p = 0; p < count; p++) {
			text_add(&text, p ? " " : "");
			text_add(&text, paths[p]);
		}
		if (!text.bytes || strcmp(text.bytes, cases[i].paths) != 0)
			print_error("case %zu\n", i);
		assert_string_equal(text.bytes, cases[i].paths);
		mfs_names_free(paths);
		free(text.bytes);
		check_all_is_usable();
		free_tree();
	}
}

/*
 * Listings by path
 */

/*
 * The names have been read, and are read again because one more has come. By then the directory may
 * be elsewhere, or be gone, or another one be in its place.
 */
static void listing_is_of_the_directory_that_the_path_names(void **state)
{
	static const char *const calls[] = {"listdir /a/s", "opendir /a/s"};
	static const char *const actions[] = {"rename /a/s /a/r; touch /a/r/n",
										  "rename /a /c; touch /c/s/n; mkdir /a/s",
										  "exchange /a/s /b/e; touch /b/e/n",
										  "touch /a/s/n; rename /a/s /a/r; remove /a/r/n",
										  "touch /a/s/n; rmtree /a/s",
										  "touch /a/s/n; rmtree /a/s; mkdir /a/s/m",
										  "touch /a/s/n; rmtree /a; touch /a",
										  "rmtree /a/s",
										  "rename /a/s /a/r",
										  "touch /a/s/n; touch /a/s/m; remove /a/s/n"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		for (size_t a = 0; a < COUNT_OF(actions); a++) {
			(void)check_any_order(calls[i], "listdir: image taken", actions[a]);
			(void)check_any_order(calls[i], "listdir: directory found", actions[a]);
		}
	}
}

/*
 * Directories that move all the time
 */

static struct {
	bool has_settled; /* the lookup has the mutex of claims */
	bool is_away;     /* the directory */
	int moves;
} commuter;

static void commute(struct plan *plan)
{
	(void)plan;
	if (pthread_mutex_trylock(&fs->tree.claims)) {
		commuter.has_settled = true;
		return;
	}
	must(!pthread_mutex_unlock(&fs->tree.claims));
	must(!mfs_rename(fs, commuter.is_away ? "/c" : "/b", commuter.is_away ? "/b" : "/c", 0));
	commuter.is_away = !commuter.is_away;
	commuter.moves++;
}

static void lookup_ends_however_often_directories_move(void **state)
{
	static const struct {
		const char *op;
		int64_t want;
	} cases[] = {
		{"exists /a/s/g", 1},        {"exists /a/s/n", 0},        {"size /a/../a/s/t/h", 4},
		{"size /a/n/h", MFS_ENOENT}, {"touch /a/s/n", 0},         {"mkdir /a/s/n/m", 0},
		{"remove /a/s/g", 0},        {"rmtree /a/s", 0},          {"rename /a/f /a/s/n", 0},
		{"rename /a/s /r", 0},       {"exchange /a/f /a/s/t", 0}, {"move /a/f /a/n/m", 0},
		{"copy /a/f /a/s/n", 0},     {"copy_tree /a/s /a/n", 0}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct plan plan = {
			.point = "lookup: a step done", .nth = 1, .repeats = true, .action = commute};
		new_tree();
		memset(&commuter, 0, sizeof commuter);
		mine = &plan;
		int64_t result = run_text(cases[i].op);
		mine = NULL;
		assert_code(result, cases[i].want);
		assert_true(commuter.has_settled);
		/* 32 tries of a call at most, each with two lookups of 64 walks, of some steps. */
		assert_in_range(commuter.moves, strncmp(cases[i].op, "copy_tree", 9) ? 64 : 0, 20000);
		check_all_is_usable();
		free_tree();
	}
}

/* The file is found each time, and each time directories move before the handle counts. */
static void open_ends_however_often_directories_move(void **state)
{
	static const char *const points[] = {"open: found", "lookup: a step done"};
	static const char *const modes[] = {"rb", "wb", "r+b"};

	(void)state;
	for (size_t p = 0; p < COUNT_OF(points); p++) {
		for (size_t m = 0; m < COUNT_OF(modes); m++) {
			struct plan plan = {.point = points[p], .nth = 1, .repeats = true, .action = commute};
			new_tree();
			memset(&commuter, 0, sizeof commuter);
			mine = &plan;
			held = open_file(fs, "/a/s/g", modes[m]);
			mine = NULL;
			assert_true(commuter.has_settled);
			assert_true(commuter.moves >= 30);
			assert_code(mfs_remove(fs, "/a/s/g"), MFS_EBUSY);
			close_file(held);
			check_all_is_usable();
			free_tree();
		}
	}
}

/*
 * Memory
 */

static struct {
	atomic_bool is_half;
	atomic_bool may_go_on;
} wall;

static void wait_at_wall(struct plan *plan)
{
	(void)plan;
	atomic_store_explicit(&wall.is_half, true, memory_order_relaxed);
	AWAIT(atomic_load_explicit(&wall.may_go_on, memory_order_relaxed));
}

static void *rename_to_wall(void *argument)
{
	struct plan plan = {.point = "commit: half published", .nth = 1, .action = wait_at_wall};

	mine = &plan;
	bool renamed = mfs_rename(fs, "/b/f", "/b/e/f", 0) == 0;
	mine = NULL;
	return renamed ? argument : NULL;
}

static pthread_t wall_thread;

static void build_wall(struct plan *plan)
{
	(void)plan;
	must(!pthread_create(&wall_thread, NULL, rename_to_wall, &wall));
	AWAIT(atomic_load_explicit(&wall.is_half, memory_order_relaxed));
}

/* What the one lookup of a call has found may go while its other lookup waits. */
static struct exchanger {
	int code;
	_Atomic pid_t tid;
	atomic_bool ended;
} exchanger;

static void *exchange_with_wall(void *unused)
{
	/* Three steps of the first path and two of the second one, twice; /b is met by a wall. */
	struct plan plan = {.point = "lookup: a step done", .nth = 8, .action = build_wall};

	(void)unused;
	atomic_store_explicit(&exchanger.tid, gettid(), memory_order_relaxed);
	mine = &plan;
	exchanger.code = mfs_rename(fs, "/a/s/g", "/b/e", MFS_RENAME_EXCHANGE);
	mine = NULL;
	atomic_store_explicit(&exchanger.ended, true, memory_order_relaxed);
	return NULL;
}

static void rename_outlives_the_directories_above_its_source(void **state)
{
	pthread_t thread;
	void *renamed;

	(void)state;
	new_tree();
	assert_code(mfs_rmtree(fs, "/a/s/t"), 0);
	assert_code(mfs_remove(fs, "/a/f"), 0);
	atomic_store_explicit(&wall.is_half, false, memory_order_relaxed);
	atomic_store_explicit(&wall.may_go_on, false, memory_order_relaxed);
	memset(&exchanger, 0, sizeof exchanger);
	must(!pthread_create(&thread, NULL, exchange_with_wall, NULL));
	AWAIT(atomic_load_explicit(&wall.is_half, memory_order_relaxed));
	let_settle(&exchanger.tid, &exchanger.ended);
	int codes[] = {mfs_remove(fs, "/a/s/g"), mfs_remove(fs, "/a/s"), mfs_remove(fs, "/a")};
	/* A sanitizer notices who reads what is freed now. */
	AWAIT(mfs__reclaim_pending() == 0);
	atomic_store_explicit(&wall.may_go_on, true, memory_order_relaxed);
	must(!pthread_join(thread, NULL));
	must(!pthread_join(wall_thread, &renamed));
	for (size_t i = 0; i < COUNT_OF(codes); i++)
		assert_code(codes[i], 0);
	assert_ptr_equal(renamed, &wall);
	assert_code(exchanger.code, MFS_ENOENT);
	assert_tree(fs, "/\n/b/\n/b/e/\n/b/e/f 5 b's f\n/k 3 key\n");
	check_all_is_usable();
	free_tree();
}

/*
 * Everything with everything
 */

static const char *const all_calls[] = {
	"rename /a /c",      "rename /a/s /b/s",    "rename /a/f /b/h",   "replace /a/f /b/f",
	"replace /a/s /b/e", "exchange /a/s /b/e",  "exchange /a/f /b/e", "move /a/f /b/e/p/q",
	"move /a/s /z/y/s",  "rmtree /a",           "rmtree /a/s",        "remove /a/f",
	"remove /b/e",       "mkdir /a/s/m/n",      "mkdir /b/e/m",       "touch /a/s/n",
	"hold_new /a/s/n",   "hold_read /a/s/g",    "hold_write /a/f",    "copy /a/f /b/k",
	"copy_tree /a /b/t", "copy_tree /b /a/s/u", "import imported",    "put /a/s/t/n put",
	"exists /a/s/g",     "exists /c/s/t/h",     "size /b/f",          "listdir /a/s",
	"listdir /",         "opendir /b/e"};

static const char *const all_pairs[] = {"rename /a /c; mkdir /a",
										"rename /a /c; touch /c/s/n",
										"rename /a /c; rename /b /a",
										"rename /a /c; rename /c /a",
										"rename /a/s /a/r; touch /a/r/n",
										"rename /a/s /a/r; rename /b/e /a/s",
										"rename /b/f /b/h; rename /a/f /b/f",
										"exchange /a /b; exchange /a /b",
										"rmtree /a; mkdir /a/s",
										"rmtree /a/s; put /a/s/g another",
										"remove /a/f; mkdir /a/f",
										"remove /b/e; touch /b/e",
										"remove /b/e; mkdir /b/e/m",
										"touch /a/s/n; mkdir /b/e/p"};

/* Two handles of one file would wait for each other when their calls follow each other. */
static bool would_wait(const char *call, const char *action)
{
	return !strcmp(call, action) &&
		   (!strncmp(call, "hold_new", 8) || !strncmp(call, "hold_write", 10));
}

static void every_call_meets_every_other_everywhere(void **state)
{
	/* Sanitizers take their time: a part of all, a different one for each call. */
	const size_t part = MFS__SANITIZED ? 3 : 1;
	const size_t calls = COUNT_OF(all_calls);
	int met = 0;

	(void)state;
	for (size_t i = 0; i < calls; i++) {
		for (size_t j = i % part; j < calls + COUNT_OF(all_pairs); j += part) {
			const char *actions = j < calls ? all_calls[j] : all_pairs[j - calls];
			if (!would_wait(all_calls[i], actions))
				met += check_any_order(all_calls[i], NULL, actions);
		}
	}
	print_message("%d meetings\n", met);
	assert_true(met > 1000);
}

/*
 * Forks
 */

static const char *const all_paths[] = {
	"/a",   "/a/f",   "/a/s",       "/a/s/g", "/a/s/t",     "/a/s/t/h", "/a/s/n",
	"/b",   "/b/f",   "/b/e",       "/b/e/i", "/b/e/g",     "/b/e/t/h", "/b/j",
	"/b/s", "/b/s/g", "/b/s/t/h",   "/c",     "/c/f",       "/c/s/t/h", "/z",
	"/z/i", "/z/y/s", "/z/y/s/t/h", "/b/k",   "/b/t/s/t/h", "/k",       "/n"};

static int64_t wanted[COUNT_OF(all_paths)];

static void look_everywhere(int64_t sizes[COUNT_OF(all_paths)])
{
	for (size_t i = 0; i < COUNT_OF(all_paths); i++)
		sizes[i] = look_by_stat(all_paths[i]);
}

/* In the child, which may not use assertions. Returns 0, or a line. */
static int child_finds_all_whole(void)
{
	int64_t sizes[COUNT_OF(all_paths)];
	mfs_file *file;

	look_everywhere(sizes);
	if (!mfs__validate(fs) || memcmp(sizes, wanted, sizeof sizes) != 0)
		return __LINE__ % 256;
	/* Claims of its own. */
	if (mfs_mkdir(fs, "/child/x/y", 0) || put("/child/x/f", "text") ||
		mfs_rename(fs, "/child/x", "/child/z", 0) || mfs_rename(fs, "/b", "/child/z/b", 0) ||
		mfs_copy_tree(fs, "/child", "/child2") || mfs_rmtree(fs, "/child"))
		return __LINE__ % 256;
	if (mfs_open(fs, "/child2/z/f", "r+b", &file) ||
		mfs_rename(fs, "/child2", "/child3", 0) != MFS_EBUSY || mfs_close(file) ||
		mfs_rename(fs, "/child2", "/child3", 0))
		return __LINE__ % 256;
	if (!mfs__validate(fs) || mfs_free(fs))
		return __LINE__ % 256;
	return 0;
}

static atomic_bool is_held_for_fork;

static void hold_until_fork(struct plan *plan)
{
	(void)plan;
	atomic_store_explicit(&is_held_for_fork, true, memory_order_relaxed);
	/* Until the fork has shut the gate, and so waits for this thread. */
	AWAIT(atomic_load_explicit(&mfs__gate_shut, memory_order_relaxed));
}

struct fork_case {
	const char *op;
	const char *point;
	int nth;
	const char *waiting; /* what another thread wants meanwhile; "": nothing */
};

/* A thread that is held in the middle of a call. */
static void *run_until_fork(void *argument)
{
	const struct fork_case *fork_case = argument;
	struct plan plan = {
		.point = fork_case->point, .nth = fork_case->nth, .action = hold_until_fork};

	mine = &plan;
	bool done = run_text(fork_case->op) == 0;
	mine = NULL;
	must(plan.reached);
	return done ? argument : NULL;
}

static void check_fork(const struct fork_case *fork_case)
{
	bool waits = fork_case->waiting[0] != '\0';
	int64_t sizes[COUNT_OF(all_paths)];
	struct other waiting = {.tid = 0};
	struct script script;
	pthread_t thread;
	void *result;
	int status = 0;

	parse(fork_case->waiting, &script);
	new_filled_tree();
	assert_code(run_text(fork_case->op), 0);
	assert_code(run_text(fork_case->waiting), 0);
	look_everywhere(wanted);
	free_tree();

	new_filled_tree();
	atomic_store_explicit(&is_held_for_fork, false, memory_order_relaxed);
	must(!pthread_create(&thread, NULL, run_until_fork, (void *)(uintptr_t)fork_case));
	AWAIT(atomic_load_explicit(&is_held_for_fork, memory_order_relaxed));
	if (waits) {
		start_other(&waiting, &script);
		let_settle(&waiting.tid, &waiting.ended);
		must(!has_ended(&waiting));
	}
	pid_t child = fork();
	must(child >= 0);
	if (child == 0)
		_exit(child_finds_all_whole());
	must(waitpid(child, &status, 0) == child);
	must(!pthread_join(thread, &result));
	if (waits)
		join_other(&waiting);
	if (status)
		print_error("%s at \"%s\": wait status of the child %#x\n", fork_case->op, fork_case->point,
					(unsigned)status);
	assert_int_equal(status, 0);
	assert_non_null(result);
	assert_code(waiting.codes[0], 0);
	look_everywhere(sizes);
	assert_memory_equal(sizes, wanted, sizeof sizes);
	check_all_is_usable();
	free_tree();
}

static void fork_waits_for_calls_on_trees(void **state)
{
	static const struct fork_case cases[] = {
		{"import text", "commit: half published", 1, ""},
		{"import text", "merge: a directory matched", 3, ""},
		{"rename /a /c", "region: directory claimed", 2, ""},
		{"rename /a /c", "commit: half published", 1, ""},
		{"rename /a/s /b/s", "commit: half published", 1, ""},
		{"replace /a/s /b/e", "commit: half published", 1, ""},
		{"exchange /a/s /b/e", "commit: half published", 1, ""},
		{"move /a/s /z/y/s", "commit: half published", 1, ""},
		{"rmtree /a", "region: directory claimed", 2, ""},
		{"rmtree /a", "rmtree: claimed", 1, ""},
		{"rmtree /a", "commit: published", 1, ""},
		{"rmtree /a", "unlink: marked for holders", 1, ""},
		{"rmtree /a/s", "unlink: marked for holders", 3, ""},
		{"copy_tree /a /b/t", "region: directory claimed", 2, ""},
		{"copy_tree /a /b/t", "copy_tree: cloned", 1, ""},
		{"copy /k /b/k", "copy: cloned", 1, ""},
		/* One waits inside the gate for the one that is held. */
		{"copy_tree /a /b/t", "copy_tree: cloned", 1, "mkdir /a/s/n"},
		{"rename /a/s /b/s", "region: directory claimed", 2, "rmtree /a"},
		{"rmtree /a/s", "rmtree: claimed", 1, "mkdir /a/s/n"},
		{"import text", "merge: a directory matched", 5, "mkdir /a/s/n"},
		{"rename /a/s /b/s", "commit: half published", 1, "rename /a /c"}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		check_fork(&cases[i]);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{

	const struct CMUnitTest tests[] = {
		TEST(path_that_never_was_is_not_found),
		TEST(call_that_is_overtaken_looks_again),
		TEST(change_goes_where_the_path_leads_when_it_is_made),
		TEST(open_that_loses_disturbs_nobody),
		TEST(open_that_has_waited_looks_again),
		TEST(open_that_wins_stops_the_others),
		TEST(changes_below_wait_for_the_claimer),
		TEST(opens_below_wait_for_the_claimer),
		TEST(changes_come_before_the_claim),
		TEST(claims_hold_up_nobody_else),
		TEST(half_a_change_is_never_seen),
		TEST(tree_comes_and_goes_at_once),
		TEST(import_looks_again_when_a_directory_goes),
		TEST(changes_wait_for_the_import),
		TEST(import_that_is_disturbed_again_and_again_claims_all),
		TEST(copy_takes_the_file_that_the_path_names),
		TEST(copy_of_a_tree_gives_all_back_when_it_cannot_be),
		TEST(copy_of_a_tree_holds_up_nobody_while_it_waits),
		TEST(walk_goes_on_between_changes),
		TEST(walk_reads_each_level_at_one_instant),
		TEST(walk_meets_whole_levels_or_none_of_a_tree_that_is_buried),
		TEST(dir_iterator_outlives_its_directory),
		TEST(glob_goes_on_while_directories_go),
		TEST(listing_is_of_the_directory_that_the_path_names),
		TEST(lookup_ends_however_often_directories_move),
		TEST(open_ends_however_often_directories_move),
		TEST(rename_outlives_the_directories_above_its_source),
		TEST(every_call_meets_every_other_everywhere),
		TEST(fork_waits_for_calls_on_trees)};

	/* pairs with mfs__yield */
	atomic_store_explicit(&mfs__yield_hook, hook, memory_order_release);
	if (mfs_new(NULL, &idle_fs))
		return 1;
	int failures = cmocka_run_group_tests(tests, NULL, NULL);
	return mfs_free(idle_fs) ? 1 : failures;
}
