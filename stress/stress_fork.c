/* SPDX-License-Identifier: MIT */
/*
 * stress_fork [--threads N] [--seconds S] [--seed X]
 *
 * Threads work in a workspace while the main thread forks again and again. Each child has a copy
 * of the workspace as it was at that instant, and only the thread that forked.
 *
 * What a PASS says, for the instants that this run has met: in every child
 *   - the tree could be walked, and counts and charges agreed with what was found;
 *   - every file that no handle held had whole records only: no write was there in part;
 *   - renames had happened or not: of two names of one file exactly one was there;
 *   - the handles that the forking thread knew worked, kept their locks until they were closed, and
 *     gave them back then;
 *   - the inherited workspace could be changed by this and by new threads, and its memory was
 *     given back although the reclaimer's thread did not come along;
 *   - a workspace of the child's own could be made, used and freed;
 *   - some children forked again, with the same demands on the grandchild;
 * and every child ended within WATCHDOG_S seconds. The parent's threads worked on all the time
 * without an unexpected error, and the parent's workspace was empty in the end.
 *
 * What it does not say: anything about fork inside a signal handler, or about children that run for
 * long. Children end by _exit(), as children of threaded programs should.
 */
#include "common.h"

#include "dmemfs/dmemfs.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHDOG_S   60
#define MAX_THREADS  500
#define SHARED_FILES 24
#define OWN_FILES    8
#define BUFFER_SIZE  (96 * KIB)
#define PATH_SIZE    64
#define QUOTA        (64 * MIB)
#define KNOWN        4

/* What a child is at; the parent prints it when the child does not end. */
#define STAGES(X)                                                                                  \
	X(STARTED, "starting")                                                                         \
	X(WALK, "walking the inherited workspace")                                                     \
	X(HANDLES, "using inherited handles")                                                          \
	X(CHANGE, "changing the inherited workspace")                                                  \
	X(THREADS, "running threads")                                                                  \
	X(OWN, "using a workspace of its own")                                                         \
	X(AGAIN, "forking again")                                                                      \
	X(DONE, "ending")

enum stage {
#define STAGE_ID(name, text) STAGE_##name,
	STAGES(STAGE_ID)
#undef STAGE_ID
};

static const char *const stage_names[] = {
#define STAGE_TEXT(name, text) text,
	STAGES(STAGE_TEXT)
#undef STAGE_TEXT
};

/* Seen by parent and children alike: memory that fork does not copy. */
struct board {
	/* Atomic, written by the child. */
	_Atomic int stage;
	_Atomic uint64_t skipped; /* files that somebody's handle held at a fork */
	_Atomic uint64_t checked;
};

struct worker {
	mfs *fs;
	unsigned index;
	uint64_t random;
	uint64_t records;
	pthread_t thread;
	unsigned char *buffer; /* BUFFER_SIZE bytes */
	/* Atomic; written by the worker alone. */
	_Atomic uint64_t steps;
};

/* Handles that the forking thread has open. */
struct known {
	mfs_file *file;
	const char *path;
	const char *mode;
	unsigned flags;
};

struct stress {
	unsigned threads;
	uint64_t seconds;
	uint64_t seed;
	mfs *fs;
	struct worker *workers;
	struct known known[KNOWN];
	struct board *board;
	unsigned char *buffer; /* the forking thread's, BUFFER_SIZE bytes */
	uint64_t random;
};

/* Atomic: workers are to end. */
static _Atomic bool stop;

static void set_stage(struct stress *s, enum stage stage)
{
	atomic_store_explicit(&s->board->stage, (int)stage, memory_order_relaxed);
}

/* Fail unless the result is one of these. Returns whether it is. */
static bool expect(const char *what, const char *path, int64_t result, int64_t one, int64_t other)
{
	if (result == one || result == other)
		return true;
	stress_fail("process %ld: %s of %s: %lld (%s), %s", (long)getpid(), what, path,
				(long long)result, result < 0 ? mfs_error_name((int)result) : "a count",
				mfs_last_error());
	return false;
}

static int open_within(mfs *fs, const char *path, const char *mode, int64_t timeout, unsigned flags,
					   mfs_file **out)
{
	mfs_open_options options = {
		.struct_size = sizeof(options),
		.lock_timeout = timeout,
		.flags = flags,
	};

	return mfs_open_ex(fs, path, mode, &options, out);
}

/*
 * What the parent's threads do
 */

static uint64_t random_length(struct worker *w)
{
	return RECORD_MIN + (uint64_t)stress_below(&w->random, 400) * 8;
}

/* Write a file of some records in several calls, all under the file's lock. */
static void write_file(struct worker *w, const char *path)
{
	mfs_file *file;
	int rc = open_within(w->fs, path, "wb", 20, 0, &file);

	if (!expect("open", path, rc, 0, MFS_ETIMEDOUT) || rc < 0)
		return;
	for (unsigned i = stress_below(&w->random, 4); i > 0; i--) {
		uint64_t length = random_length(w);
		uint64_t half = length / 2;
		record_fill(w->buffer, record_stamp(w->index, ++w->records), length, 0);
		expect("write", path, mfs_write(file, w->buffer, half), (int64_t)half, 0);
		expect("write", path, mfs_write(file, w->buffer + half, length - half),
			   (int64_t)(length - half), 0);
	}
	expect("close", path, mfs_close(file), 0, 0);
}

static void read_file(struct worker *w, const char *path)
{
	mfs_file *file;
	int rc = open_within(w->fs, path, "rb", 20, 0, &file);

	if (rc == MFS_ENOENT || !expect("open", path, rc, 0, MFS_ETIMEDOUT) || rc < 0)
		return;
	int64_t size = mfs_read(file, w->buffer, BUFFER_SIZE);
	if (size < 0 || record_check_all(w->buffer, (uint64_t)size) < 0)
		stress_fail("%s: no whole records in %lld bytes", path, (long long)size);
	expect("close", path, mfs_close(file), 0, 0);
}

/* Append a record in one call to a file that others append to as well. */
static void append_to_log(struct worker *w)
{
	mfs_file *file;
	mfs_info info;
	uint64_t length = RECORD_MIN + (uint64_t)stress_below(&w->random, 20) * 8;

	if (mfs_stat(w->fs, "/shared/log", &info) == 0 && info.size > (int64_t)(32 * KIB)) {
		int rc = mfs_remove(w->fs, "/shared/log");
		if (rc != MFS_EBUSY)
			expect("remove", "/shared/log", rc, 0, MFS_ENOENT);
		return;
	}
	int rc = open_within(w->fs, "/shared/log", "ab", 20, MFS_O_SHARED, &file);
	if (!expect("open", "/shared/log", rc, 0, 0))
		return;
	record_fill(w->buffer, record_stamp(w->index, ++w->records), length, 0);
	int64_t done = mfs_write(file, w->buffer, length);
	expect("write", "/shared/log", done, (int64_t)length, MFS_ETIMEDOUT);
	expect("close", "/shared/log", mfs_close(file), 0, 0);
}

static void shared_path(uint64_t *random, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "/shared/f%u", stress_below(random, SHARED_FILES));
}

static void step(struct worker *w)
{
	char path[PATH_SIZE];
	char other[PATH_SIZE];
	char **names;
	uint32_t dice = stress_below(&w->random, 100);
	unsigned number = stress_below(&w->random, OWN_FILES);

	if (dice < 20) {
		snprintf(path, sizeof(path), "/w%u/f%u", w->index, number);
		write_file(w, path);
	} else if (dice < 35) {
		shared_path(&w->random, path);
		write_file(w, path);
	} else if (dice < 50) {
		shared_path(&w->random, path);
		read_file(w, path);
	} else if (dice < 58) {
		append_to_log(w);
	} else if (dice < 66) {
		shared_path(&w->random, path);
		shared_path(&w->random, other);
		int rc = mfs_rename(w->fs, path, other, MFS_RENAME_REPLACE);
		if (rc != 0)
			expect("rename", path, rc, MFS_ENOENT, MFS_EBUSY);
	} else if (dice < 72) {
		/* One file under two names in two directories: see check_token(). */
		bool back = stress_below(&w->random, 2) != 0;
		int rc = mfs_rename(w->fs, back ? "/token/b/t" : "/token/a/t",
							back ? "/token/a/t" : "/token/b/t", 0);
		if (rc != 0 && rc != MFS_EEXIST)
			expect("rename", "/token/?/t", rc, MFS_ENOENT, MFS_EBUSY);
	} else if (dice < 82) {
		shared_path(&w->random, path);
		int rc = mfs_remove(w->fs, path);
		if (rc != 0)
			expect("remove", path, rc, MFS_ENOENT, MFS_EBUSY);
	} else if (dice < 92) {
		snprintf(path, sizeof(path), "/w%u/d%u/e", w->index, number);
		int rc = mfs_mkdir(w->fs, path, 0);
		expect("mkdir", path, rc, 0, MFS_EEXIST);
		expect("remove", path, mfs_remove(w->fs, path), 0, 0);
		snprintf(path, sizeof(path), "/w%u/d%u", w->index, number);
		expect("remove", path, mfs_remove(w->fs, path), 0, 0);
	} else {
		int64_t count = mfs_listdir(w->fs, "/shared", &names);
		if (count < 0 || count > SHARED_FILES + 1)
			stress_fail("listing of /shared: %lld", (long long)count);
		else
			mfs_names_free(names);
	}
	atomic_fetch_add_explicit(&w->steps, 1, memory_order_relaxed);
}

static void *work(void *argument)
{
	struct worker *w = argument;

	while (!atomic_load_explicit(&stop, memory_order_relaxed) && !stress_failed())
		step(w);
	return NULL;
}

/*
 * What a child checks
 */

struct found {
	uint64_t files;
	uint64_t directories;
	uint64_t bytes;
	uint64_t held; /* files that some handle's lock keeps from being read */
};

static void check_file(struct stress *s, const char *path, struct found *found)
{
	mfs_file *file;
	mfs_info info;
	int rc = open_within(s->fs, path, "rb", MFS_NO_WAIT, 0, &file);

	found->files++;
	if (rc == MFS_EBUSY) {
		found->held++;
		return;
	}
	if (!expect("open", path, rc, 0, 0))
		return;
	int64_t size = mfs_read(file, s->buffer, BUFFER_SIZE);
	if (size < 0 || record_check_all(s->buffer, (uint64_t)size) < 0)
		stress_fail("child: %s: no whole records in %lld bytes", path, (long long)size);
	if (mfs_stat(s->fs, path, &info) != 0 || info.size != size)
		stress_fail("child: stat of %s: size %lld, %lld read", path, (long long)info.size,
					(long long)size);
	found->bytes += (uint64_t)size;
	expect("close", path, mfs_close(file), 0, 0);
}

static void walk(struct stress *s, const char *directory, struct found *found)
{
	char **names;
	char path[PATH_SIZE];
	int64_t count = mfs_listdir(s->fs, *directory ? directory : "/", &names);

	if (count < 0) {
		expect("listing", directory, count, 0, 0);
		return;
	}
	for (int64_t i = 0; i < count; i++) {
		if (i > 0 && strcmp(names[i - 1], names[i]) >= 0)
			stress_fail("child: listing of %s is not sorted", directory);
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		if (mfs_is_dir(s->fs, path)) {
			found->directories++;
			walk(s, path, found);
		} else {
			check_file(s, path, found);
		}
	}
	mfs_names_free(names);
}

static void check_token(struct stress *s)
{
	bool in_a = mfs_is_file(s->fs, "/token/a/t");
	bool in_b = mfs_is_file(s->fs, "/token/b/t");

	if (in_a == in_b)
		stress_fail("child: the token is in %s", in_a ? "both directories" : "no directory");
}

static void check_inherited(struct stress *s)
{
	struct found found = {0};
	mfs_usage usage;

	walk(s, "", &found);
	check_token(s);
	if (mfs_stats(s->fs, &usage) < 0 || usage.files != found.files ||
		usage.directories != found.directories || usage.used_bytes > usage.quota_bytes ||
		usage.used_bytes < found.bytes || usage.open_handles < KNOWN ||
		usage.open_handles > KNOWN + s->threads || found.held > usage.open_handles) {
		stress_fail(
			"child: %llu files (%llu found), %llu directories (%llu found), %llu used bytes "
			"for at least %llu, %llu handles, %llu files held",
			(unsigned long long)usage.files, (unsigned long long)found.files,
			(unsigned long long)usage.directories, (unsigned long long)found.directories,
			(unsigned long long)usage.used_bytes, (unsigned long long)found.bytes,
			(unsigned long long)usage.open_handles, (unsigned long long)found.held);
	}
	atomic_fetch_add_explicit(&s->board->skipped, found.held, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->board->checked, found.files - found.held, memory_order_relaxed);
}

/* Handles of the forking thread: they hold their locks until they are closed. */
static void use_known_handles(struct stress *s)
{
	for (unsigned i = 0; i < KNOWN; i++) {
		struct known *known = &s->known[i];
		bool shared = (known->flags & MFS_O_SHARED) != 0;
		mfs_file *file;

		if (!shared) {
			expect("remove", known->path, mfs_remove(s->fs, known->path), MFS_EBUSY, MFS_EBUSY);
			expect("open", known->path,
				   open_within(s->fs, known->path, "r+b", MFS_NO_WAIT, 0, &file), MFS_EBUSY,
				   MFS_EBUSY);
		}
		if (mfs_readable(known->file) == 1)
			expect("pread", known->path, mfs_pread(known->file, s->buffer, RECORD_MIN, 0),
				   RECORD_MIN, RECORD_MIN);
		if (mfs_writable(known->file) == 1) {
			record_fill(s->buffer, record_stamp(MAX_THREADS, 1 + i), 4096, 0);
			expect("write", known->path, mfs_write(known->file, s->buffer, 4096), 4096, 4096);
		}
		expect("close", known->path, mfs_close(known->file), 0, 0);
		expect("second close", known->path, mfs_close(known->file), MFS_EBADF, MFS_EBADF);
		expect("remove", known->path, mfs_remove(s->fs, known->path), 0, 0);
	}
}

/* Make and remove enough for the reclaimer to have work. */
static void change_tree(mfs *fs, const char *top, unsigned rounds)
{
	char path[PATH_SIZE];
	char other[PATH_SIZE];
	unsigned char data[512];
	mfs_file *file;

	expect("mkdir", top, mfs_mkdir(fs, top, 0), 0, 0);
	for (unsigned round = 0; round < rounds && !stress_failed(); round++) {
		for (unsigned i = 0; i < 20; i++) {
			snprintf(path, sizeof(path), "%s/f%u", top, i);
			if (!expect("open", path, mfs_open(fs, path, "xb", &file), 0, 0))
				return;
			record_fill(data, record_stamp(i, round + 1), sizeof(data), i);
			expect("write", path, mfs_write(file, data, sizeof(data)), sizeof(data), 0);
			expect("close", path, mfs_close(file), 0, 0);
		}
		for (unsigned i = 0; i < 20; i++) {
			snprintf(path, sizeof(path), "%s/f%u", top, i);
			snprintf(other, sizeof(other), "%s/g%u", top, i);
			expect("rename", path, mfs_rename(fs, path, other, 0), 0, 0);
			expect("remove", other, mfs_remove(fs, other), 0, 0);
		}
	}
	expect("remove", top, mfs_remove(fs, top), 0, 0);
}

struct helper {
	mfs *fs;
	unsigned index;
	pthread_t thread;
};

static void *help(void *argument)
{
	struct helper *helper = argument;
	char top[PATH_SIZE];

	snprintf(top, sizeof(top), "/child%u", helper->index);
	change_tree(helper->fs, top, 5);
	return NULL;
}

static void run_threads(mfs *fs)
{
	struct helper helpers[2];

	for (unsigned i = 0; i < 2; i++) {
		helpers[i] = (struct helper){.fs = fs, .index = i};
		if (pthread_create(&helpers[i].thread, NULL, help, &helpers[i]) != 0) {
			stress_fail("child: cannot start a thread");
			_exit(1);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(helpers[i].thread, NULL);
}

static void use_own_workspace(void)
{
	mfs_usage usage;
	mfs *own = NULL;

	if (!expect("mfs_new", "a workspace", mfs_new(NULL, &own), 0, 0))
		return;
	change_tree(own, "/top", 5);
	run_threads(own);
	if (mfs_stats(own, &usage) != 0 || usage.used_bytes != 0 || usage.files != 0)
		stress_fail("child: a new workspace is not empty after its use");
	expect("mfs_free", "a workspace", mfs_free(own), 0, 0);
}

static bool await_child(struct stress *s, pid_t child);

static void use_inherited_workspace(struct stress *s)
{
	set_stage(s, STAGE_WALK);
	check_inherited(s);
	set_stage(s, STAGE_CHANGE);
	change_tree(s->fs, "/child", 10);
	set_stage(s, STAGE_THREADS);
	run_threads(s->fs);
}

static _Noreturn void end_child(struct stress *s)
{
	mfs_usage usage;

	set_stage(s, STAGE_HANDLES);
	use_known_handles(s);
	set_stage(s, STAGE_OWN);
	use_own_workspace();
	/* Handles of threads that are not here stay open for ever, and with them the workspace. */
	if (mfs_stats(s->fs, &usage) != 0)
		stress_fail("child: mfs_stats: %s", mfs_last_error());
	int want = usage.open_handles > 0 ? MFS_EBUSY : 0;
	expect("mfs_free", "the inherited workspace", mfs_free(s->fs), want, want);
	set_stage(s, STAGE_DONE);
	fflush(stderr);
	_exit(stress_failed() ? 1 : 0);
}

static _Noreturn void be_child(struct stress *s, bool forks)
{
	use_inherited_workspace(s);
	if (forks) {
		set_stage(s, STAGE_AGAIN);
		fflush(stderr);
		pid_t child = fork();
		if (child < 0) {
			stress_fail("child: fork: %s", strerror(errno));
		} else if (child == 0) {
			use_inherited_workspace(s);
			end_child(s);
		} else {
			await_child(s, child);
		}
	}
	end_child(s);
}

/*
 * The forking thread
 */

/* Wait for a child's end. Returns whether it succeeded. */
static bool await_child(struct stress *s, pid_t child)
{
	sigset_t signals;
	struct timespec limit = {.tv_sec = WATCHDOG_S};
	int status = 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (;;) {
		pid_t rc = waitpid(child, &status, WNOHANG);
		if (rc == child)
			break;
		if (rc < 0) {
			stress_fail("waitpid: %s", strerror(errno));
			return false;
		}
		if (sigtimedwait(&signals, NULL, &limit) < 0 && errno == EAGAIN) {
			stress_fail("a child has not ended after %d s: it was %s", WATCHDOG_S,
						stage_names[atomic_load_explicit(&s->board->stage, memory_order_relaxed)]);
			kill(child, SIGABRT);
			waitpid(child, &status, 0);
			return false;
		}
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	stress_fail("a child ended with %s %d while %s", WIFSIGNALED(status) ? "signal" : "code",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
				stage_names[atomic_load_explicit(&s->board->stage, memory_order_relaxed)]);
	return false;
}

static void open_known(struct stress *s)
{
	static const struct known known[KNOWN] = {
		{NULL, "/known/read", "rb", 0},
		{NULL, "/known/update", "r+b", 0},
		{NULL, "/known/append", "ab", 0},
		{NULL, "/known/shared", "r+b", MFS_O_SHARED},
	};
	mfs_file *file;

	expect("mkdir", "/known", mfs_mkdir(s->fs, "/known", 0), 0, 0);
	for (unsigned i = 0; i < KNOWN; i++) {
		s->known[i] = known[i];
		if (!expect("open", known[i].path, mfs_open(s->fs, known[i].path, "xb", &file), 0, 0))
			exit(1);
		record_fill(s->buffer, record_stamp(MAX_THREADS, 100 + i), 4096, 0);
		expect("write", known[i].path, mfs_write(file, s->buffer, 4096), 4096, 4096);
		expect("close", known[i].path, mfs_close(file), 0, 0);
		expect(
			"open", known[i].path,
			open_within(s->fs, known[i].path, known[i].mode, 1, known[i].flags, &s->known[i].file),
			0, 0);
	}
}

static void close_known(struct stress *s)
{
	for (unsigned i = 0; i < KNOWN; i++)
		expect("close", s->known[i].path, mfs_close(s->known[i].file), 0, 0);
}

static void remove_below(mfs *fs, const char *directory)
{
	char **names;
	char path[PATH_SIZE];
	int64_t count = mfs_listdir(fs, *directory ? directory : "/", &names);

	for (int64_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		if (mfs_is_dir(fs, path))
			remove_below(fs, path);
		expect("remove", path, mfs_remove(fs, path), 0, 0);
	}
	if (count >= 0)
		mfs_names_free(names);
}

static void set_up(struct stress *s)
{
	mfs_options options = {.struct_size = sizeof(options), .max_quota = QUOTA};
	char path[PATH_SIZE];
	mfs_file *file;

	if (mfs_new(&options, &s->fs) != 0)
		stress_die("mfs_new: %s", mfs_last_error());
	expect("mkdir", "/shared", mfs_mkdir(s->fs, "/shared", 0), 0, 0);
	expect("mkdir", "/token/a", mfs_mkdir(s->fs, "/token/a", 0), 0, 0);
	expect("mkdir", "/token/b", mfs_mkdir(s->fs, "/token/b", 0), 0, 0);
	expect("open", "/token/a/t", mfs_open(s->fs, "/token/a/t", "xb", &file), 0, 0);
	expect("close", "/token/a/t", mfs_close(file), 0, 0);
	open_known(s);
	for (unsigned i = 0; i < s->threads; i++) {
		struct worker *w = &s->workers[i];
		w->fs = s->fs;
		w->index = i;
		w->random = stress_mix(s->seed + i);
		w->buffer = stress_map(BUFFER_SIZE);
		snprintf(path, sizeof(path), "/w%u", i);
		expect("mkdir", path, mfs_mkdir(s->fs, path, 0), 0, 0);
	}
}

static uint64_t total_steps(const struct stress *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->threads; i++)
		sum += atomic_load_explicit(&s->workers[i].steps, memory_order_relaxed);
	return sum;
}

/* Returns how many forks there were. */
static uint64_t fork_until(struct stress *s, uint64_t end)
{
	uint64_t forks = 0;
	uint64_t quiet_since = stress_now();
	uint64_t steps = 0;

	while (stress_now() < end && !stress_failed()) {
		bool forks_again = stress_below(&s->random, 8) == 0;
		set_stage(s, STAGE_STARTED);
		fflush(stdout);
		fflush(stderr);
		pid_t child = fork();
		if (child < 0) {
			stress_fail("fork: %s", strerror(errno));
			break;
		}
		if (child == 0)
			be_child(s, forks_again);
		await_child(s, child);
		forks++;
		if (total_steps(s) != steps) {
			steps = total_steps(s);
			quiet_since = stress_now();
		} else if (stress_now() - quiet_since > WATCHDOG_S * NS_PER_S) {
			stress_fail("no thread of the parent has got on for %d s", WATCHDOG_S);
		}
	}
	return forks;
}

static void parse_options(struct stress *s, int count, char **arguments)
{
	static const struct option known[] = {
		{"threads", required_argument, NULL, 't'},
		{"seconds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (letter) {
		case 't':
			s->threads = (unsigned)stress_number(optarg, 1, MAX_THREADS, false);
			break;
		case 's':
			s->seconds = stress_number(optarg, 1, 1000000, false);
			break;
		case 'x':
			s->seed = stress_number(optarg, 0, UINT64_MAX, false);
			break;
		default:
			stress_die("usage: stress_fork [--threads N] [--seconds S] [--seed X]");
		}
	}
	if (optind != count)
		stress_die("unexpected argument: %s", arguments[optind]);
}

int main(int count, char **arguments)
{
	struct stress s = {.threads = 8, .seconds = 20, .seed = (uint64_t)time(NULL)};
	sigset_t signals;
	mfs_usage usage;

	parse_options(&s, count, arguments);
	if (STRESS_TSAN) {
		puts("left out: the race detector's run-time does not support threads in a forked child");
		return 77;
	}
	printf("stress_fork: --threads %u --seconds %llu --seed %llu\n", s.threads,
		   (unsigned long long)s.seconds, (unsigned long long)s.seed);
	fflush(stdout);
	/* For sigtimedwait(). */
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
		stress_die("pthread_sigmask failed");
	s.random = stress_mix(s.seed - 1);
	s.workers = stress_map(s.threads * sizeof(*s.workers));
	s.buffer = stress_map(BUFFER_SIZE);
	s.board =
		mmap(NULL, sizeof(*s.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.board == MAP_FAILED)
		stress_die("out of memory");
	set_up(&s);
	for (unsigned i = 0; i < s.threads; i++) {
		if (pthread_create(&s.workers[i].thread, NULL, work, &s.workers[i]) != 0)
			stress_die("cannot start a thread");
	}

	uint64_t forks = fork_until(&s, stress_now() + s.seconds * NS_PER_S);

	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < s.threads; i++)
		pthread_join(s.workers[i].thread, NULL);
	close_known(&s);
	remove_below(s.fs, "");
	if (mfs_stats(s.fs, &usage) != 0 || usage.used_bytes != 0 || usage.files != 0 ||
		usage.directories != 0 || usage.chunks != 0 || usage.open_handles != 0)
		stress_fail("the parent's workspace is not empty in the end");
	expect("mfs_free", "the workspace", mfs_free(s.fs), 0, 0);
	printf("%llu forks, %llu steps of the parent's threads; in the children %llu files were read, "
		   "%llu held by a handle\n",
		   (unsigned long long)forks, (unsigned long long)total_steps(&s),
		   (unsigned long long)s.board->checked, (unsigned long long)s.board->skipped);
	if (forks == 0 || s.board->checked == 0)
		stress_fail("nothing was checked");
	for (unsigned i = 0; i < s.threads; i++)
		stress_unmap(s.workers[i].buffer, BUFFER_SIZE);
	stress_unmap(s.buffer, BUFFER_SIZE);
	stress_unmap(s.workers, s.threads * sizeof(*s.workers));
	return stress_verdict("stress_fork");
}
