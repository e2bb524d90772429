/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the benchmark share: the cases, a worker's state, and the steps that a backend
 * supplies for each case.
 *
 *   main.c            options, and the order of the runs
 *   cases.c           the table of cases; threads, rounds and the clock
 *   loops.h           set-up and measured loop of each case, written once over the op_ functions;
 *                     in parts: loops_base.h, loops_files.h, loops_names.h, loops_trees.h,
 *                     loops_fxmark.h, loops_mixed.h, loops_fresh.h
 *   backend_dmemfs.c  the op_ functions on a workspace, and loops.h made with them
 *   backend_glob.c    the cases of mfs_glob(), beside a plain walk of the same workspace
 *   backend_tmpfs.c   the op_ functions as plain system calls, and loops.h made with them
 *   host_tree.c       whole trees of the host by system calls: list, walk, remove, copy
 *   backend_memcpy.c  the same bytes moved from and to plain memory, for the cases that move bytes
 *   backend_view.c    a large file viewed run by run, beside reading it
 *   backend_guard.c   writes that allocate with a memory guard, beside the same without one
 *   backend_quota.c   a quota by itself (quota_pairs.h), beside one word that all threads add to
 *   backend_rocksdb.c the op_ functions on RocksDB's environment in memory, by rocksdb_env.cc
 *   report.h          the table (report.c), the JSON file (report_json.c), the page (report_html.c)
 *
 * loops.h is compiled into each backend, so that both sides run the same source text with no
 * indirect call inside the clock.
 */
#ifndef DMEMFS_BENCHMARKS_BENCH_H
#define DMEMFS_BENCHMARKS_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BENCH_PAGE         4096u
#define BENCH_PIECE        65536u
#define BENCH_STREAM_BYTES (UINT64_C(256) << 20)
#define BENCH_VIEW_BYTES   (UINT64_C(1) << 30)
#define BENCH_PREAD_BYTES  (UINT32_C(1) << 20)
#define BENCH_COLD_FILES   100000u
#define BENCH_MANY_FILES   20000u
#define BENCH_APPENDS      4096u
#define BENCH_LIST_NAMES   1000u
#define BENCH_LIST_MANY    10000u
#define BENCH_DEPTH        50u
#define BENCH_DEEP_DIRS    (100u * BENCH_DEPTH)
#define BENCH_RENAMES      1000u
#define BENCH_TREE_FILES   100000u
#define BENCH_TREE_COPIED  10000u
#define BENCH_COPY_BYTES   (UINT64_C(64) << 20)
#define BENCH_SHARED_BYTES (UINT64_C(8) << 20)
#define BENCH_FAN          8u
#define BENCH_FAN_FILES    (BENCH_FAN * BENCH_FAN * BENCH_FAN * BENCH_FAN * BENCH_FAN)
#define BENCH_SMALL_FILES  300u
#define BENCH_SMALL_SETS   20u
#define BENCH_MIXED_BYTES  (UINT64_C(16) << 20)
#define BENCH_LARGE_PIECE  (UINT32_C(1) << 20)
#define BENCH_LARGE_BYTES  (UINT64_C(512) << 20)
#define BENCH_MANY_READ    10000u
#define BENCH_GROWTH_PAGES 256u
#define BENCH_MAX_THREADS  256u
#define BENCH_MAX_REPEAT   99u
#define BENCH_PATH_SIZE    512u

/*
 * X(name, unit, ops, fixed, bytes, what)
 *
 * unit   operations come in multiples of this
 * ops    operations of one round and thread: all of them when `fixed`, else where calibration
 *        starts
 * fixed  what is set up decides how many operations a round has; the number of rounds is calibrated
 * bytes  of file data that one operation moves; 0 also where a backend moves none
 */
#define BENCH_CASES(X)                                                                             \
	X(stat_hot, 1, 50000, false, 0, "stat of one path again and again")                            \
	X(stat_cold_100k, 1, BENCH_COLD_FILES, true, 0,                                                \
	  "stat of 100,000 files of one directory in random order")                                    \
	X(open_read4k_close_cold_100k, 1, BENCH_COLD_FILES, true, BENCH_PAGE,                          \
	  "open, read 4 KiB, close: 100,000 files of one directory in random order")                   \
	X(create_write4k_close, 1, BENCH_MANY_FILES, true, BENCH_PAGE,                                 \
	  "create, write 4 KiB, close in a directory of the thread's own")                             \
	X(unlink, 1, BENCH_MANY_FILES, true, 0, "remove an empty file (FxMark MWUL)")                  \
	X(unlink_4k, 1, BENCH_MANY_FILES, true, 0, "remove a file of 4 KiB")                           \
	X(pread_64, 1, 100000, false, 64, "pread 64 bytes at a random place of an open 1 MiB file")    \
	X(pread_4k, 1, 100000, false, BENCH_PAGE, "pread the first page of an open file (DRBL)")       \
	X(pread_4k_random, 1, 100000, false, BENCH_PAGE, "pread a random page of an open 1 MiB file")  \
	X(pwrite_4k, 1, 100000, false, BENCH_PAGE, "pwrite the first page of an open file (DWOL)")     \
	X(append_4k, 1, BENCH_APPENDS, true, BENCH_PAGE, "append 4 KiB to an open file (DWAL)")        \
	X(stream_write, 1, BENCH_STREAM_BYTES / BENCH_PIECE, true, BENCH_PIECE,                        \
	  "write a new file of 256 MiB in pieces of 64 KiB; an operation is a piece")                  \
	X(stream_write_fresh, 1, BENCH_STREAM_BYTES / BENCH_PIECE, true, BENCH_PIECE,                  \
	  "stream_write into memory that the process has not touched yet")                             \
	X(stream_read, 1, BENCH_STREAM_BYTES / BENCH_PIECE, true, BENCH_PIECE,                         \
	  "read a file of 256 MiB in pieces of 64 KiB; an operation is a piece")                       \
	X(view_1g, 1, (BENCH_VIEW_BYTES / BENCH_PIECE), true, 0,                                       \
	  "look at a file of 1 GiB where it is, beside reading it; an operation is 64 KiB")            \
	X(listdir_1k, BENCH_LIST_NAMES, 20 * BENCH_LIST_NAMES, false, 0,                               \
	  "list a directory of 1,000 files; an operation is a name (MRDL)")                            \
	X(deep50_open_read1k_close, 1, 10000, false, 1024,                                             \
	  "open, read 1 KiB, close a file 50 directories deep")                                        \
	X(listdir_10k, BENCH_LIST_MANY, 2 * BENCH_LIST_MANY, false, 0,                                 \
	  "list a directory of 10,000 files, sorted; an operation is a name")                          \
	X(rename_file_same_dir, 2 * BENCH_RENAMES, 2 * BENCH_RENAMES, false, 0,                        \
	  "give a file of the thread's own directory another name in it")                              \
	X(rename_across_dirs, 2 * BENCH_RENAMES, 2 * BENCH_RENAMES, false, 0,                          \
	  "move a file from one directory of the thread's own to another")                             \
	X(rename_dir_1k, 2, 200, false, 0, "give a directory of 1,000 files another name")             \
	X(mkdir_deep50, 1, BENCH_DEEP_DIRS, true, 0,                                                   \
	  "make chains of 50 directories; an operation is a directory")                                \
	X(copy_64m, 1, 1, true, 0, "copy a file of 64 MiB")                                            \
	X(copy_tree_10k, 1, BENCH_TREE_COPIED, true, 0,                                                \
	  "copy a tree of 10,000 files of 4 KiB; an operation is a file")                              \
	X(walk_100k, 1, BENCH_TREE_FILES, true, 0,                                                     \
	  "walk through a tree of 100,000 files, names sorted; an operation is a file")                \
	X(rmtree_100k, 1, BENCH_TREE_FILES, true, 0,                                                   \
	  "remove a tree of 100,000 files of 4 KiB; an operation is a file")                           \
	X(rmtree_100k_freed, 1, BENCH_TREE_FILES, true, 0, "the same, until its memory is free again") \
	X(glob_stars_100k, 1, BENCH_TREE_FILES, true, 0,                                               \
	  "find /**/**/**/**/x among 100,000 files, beside a plain walk; an operation is a file")      \
	X(glob_backtrack_100k, 1, BENCH_TREE_FILES, true, 0,                                           \
	  "find /**/a*a*a*a*b among names like aaaaaaaa12, beside a plain walk")                       \
	X(import_dir, 1, 1, true, 0,                                                                   \
	  "copy a tree of the host in (--host-tree), one call of N threads")                           \
	X(export_dir, 1, 1, true, 0, "copy the same tree out to a directory of tmpfs, likewise")       \
	X(export_dir_whole, 1, 1, true, 0, "the same; both sides rename each file when it is whole")   \
	X(DRBL, 1, 100000, false, BENCH_PAGE, "pread a page of an own file")                           \
	X(DRBM, 1, 100000, false, BENCH_PAGE, "pread a page of an own region of a shared file")        \
	X(DRBH, 1, 100000, false, BENCH_PAGE, "pread the same page of a shared file")                  \
	X(DRBH_bg, 1, 50000, false, BENCH_PAGE, "pread that page while another thread writes it")      \
	X(DWAL, 1, BENCH_APPENDS, true, BENCH_PAGE, "append a page to an own file (append_4k)")        \
	X(DWOL, 1, 100000, false, BENCH_PAGE, "pwrite a page of an own file (pwrite_4k)")              \
	X(DWOM, 1, 100000, false, BENCH_PAGE, "pwrite a page of an own region of a shared file")       \
	X(DWSL, 1, 100000, false, BENCH_PAGE, "pwrite a page of an own file, then flush it")           \
	X(DWTL, 1, BENCH_APPENDS, true, 0, "make an own file a page shorter")                          \
	X(MRPL, 1, 50000, false, 0, "stat of an own path of five names")                               \
	X(MRPM, 1, 50000, false, 0, "stat of a random one of 32,768 paths of five names")              \
	X(MRPM_bg, 1, 50000, false, 0, "stat as in MRPM while another thread creates and removes")     \
	X(MRPH, 1, 50000, false, 0, "stat of the same path of five names")                             \
	X(MRDL, BENCH_LIST_NAMES, 20 * BENCH_LIST_NAMES, false, 0,                                     \
	  "list an own directory of 1,000 files; an operation is a name (listdir_1k)")                 \
	X(MRDM, BENCH_LIST_NAMES, 20 * BENCH_LIST_NAMES, false, 0,                                     \
	  "list a shared directory of 1,000 files; an operation is a name")                            \
	X(MRDM_bg, BENCH_LIST_NAMES, 20 * BENCH_LIST_NAMES, false, 0,                                  \
	  "list it while another thread creates and removes in it")                                    \
	X(MWCL, 1, BENCH_MANY_FILES, true, 0, "create and close a file of an own directory")           \
	X(MWCM, 1, BENCH_MANY_FILES, true, BENCH_PAGE,                                                 \
	  "create, write 4 KiB, close in a shared directory")                                          \
	X(MWUL, 1, BENCH_MANY_FILES, true, 0, "remove an empty file of an own directory (unlink)")     \
	X(MWUM, 1, BENCH_MANY_FILES, true, 0, "remove an empty file of a shared directory")            \
	X(MWUM_pair, 1, 100, false, 0,                                                                 \
	  "create, close and remove a file in a shared directory of 1,000 others")                     \
	X(MWUM_bg, 1, 100, false, 0, "make and remove while another thread lists the directory")       \
	X(MWRL, 1, 20000, false, 0, "rename the file of an own directory")                             \
	X(MWRM, 1, BENCH_MANY_FILES, true, 0, "move a file of an own directory into a shared one")     \
	X(small_files_rw, 1, (BENCH_SMALL_SETS * BENCH_SMALL_FILES), true, UINT64_C(2) * BENCH_PAGE,   \
	  "create and write 300 files of 4 KiB, open and read them; an operation is a file")           \
	X(stream_write_read, 1, BENCH_MIXED_BYTES / BENCH_PIECE, true, UINT64_C(2) * BENCH_PIECE,      \
	  "write a file of 16 MiB, then read it, by 64 KiB; an operation is a piece")                  \
	X(random_access_rw, 1, 20000, false, UINT64_C(2) * BENCH_PAGE,                                 \
	  "write a random page of an open file of 16 MiB, and read another one")                       \
	X(large_stream_write_read, 1, BENCH_LARGE_BYTES / BENCH_LARGE_PIECE, true,                     \
	  UINT64_C(2) * BENCH_LARGE_PIECE,                                                             \
	  "write a file of 512 MiB, then read it, by 1 MiB; an operation is a piece")                  \
	X(many_files_random_read, 1, BENCH_MANY_READ, true, BENCH_PAGE,                                \
	  "open, read 4 KiB, close: 10,000 files of one directory in random order")                    \
	X(deep_tree_read, 1000, 10000, false, 1024,                                                    \
	  "open, read 1 KiB, close a file 50 directories deep, 1,000 times (deep50_...)")              \
	X(quota_reserve_release, 1, 100000, false, 0,                                                  \
	  "reserve 4 KiB of a quota of 1 GiB and release them, beside one shared word")                \
	X(append_alloc, BENCH_GROWTH_PAGES, 20 * BENCH_GROWTH_PAGES, false, BENCH_PAGE,                \
	  "append 4 KiB to a file that is emptied at 1 MiB, with a memory guard and without")

enum bench_case_id {
#define BENCH_CASE_ID(name, ...) BENCH_##name,
	BENCH_CASES(BENCH_CASE_ID)
#undef BENCH_CASE_ID
		BENCH_CASE_COUNT
};

struct bench_case {
	const char *name;
	uint64_t unit;
	uint64_t ops;
	bool fixed;
	uint64_t bytes;
	const char *what;
};

extern const struct bench_case bench_cases[BENCH_CASE_COUNT];

/** What is in a tree; its top is not counted. */
struct bench_sum {
	uint64_t files;
	uint64_t directories;
	uint64_t bytes;
	/** Of all paths and data; the order in which they were found does not matter. */
	uint64_t hash;
};

/** The trees of the host outside of the backends' roots. */
struct bench_host {
	/** What import_dir and export_dir copy, and what is in it. */
	const char *tree;
	struct bench_sum sum;
	/** Where export_dir makes its directory, on tmpfs; made and removed by each run. */
	const char *out;
};

/** An open file of a backend. */
union bench_handle {
	void *file;
	int fd;
};

/** One thread of one run. */
struct bench_worker {
	/** What the backend's make() gave. */
	void *place;
	/** The directory, without a '/' at its end, in which the case builds. */
	const char *root;
	/** Numbers 0 to BENCH_COLD_FILES - 1 in random order. */
	const uint32_t *order;
	const struct bench_host *host;
	unsigned index;
	unsigned threads;
	/** Operations of this round; of the background thread, those that it has done in it. */
	uint64_t ops;
	/** For the background thread, atomic: how many measured threads are at work. */
	const _Atomic unsigned *working;
	/** The round is the warm-up: look at all data afterwards, not only at sizes. */
	bool thorough;
	/** State of the steps: two paths, where their last names start, an open file, a buffer. */
	char path[BENCH_PATH_SIZE];
	size_t name_at;
	char to[BENCH_PATH_SIZE];
	size_t to_at;
	union bench_handle handle;
	unsigned char *buffer;
	unsigned char *memory;
	uint64_t random;
	/** Where a case does not visit all of `order`: those that it does. */
	uint32_t *numbers;
	/** bench_page_faults() before the round. */
	uint64_t faults;
};

/** How a backend does a case. Only measure() is inside the clock. NULL: nothing to do. */
struct bench_steps {
	/** Once, from the main thread; sees the worker with index 0. */
	void (*set_up)(struct bench_worker *worker);
	/** By each thread, before its first round and after its last. */
	void (*begin)(struct bench_worker *worker);
	void (*end)(struct bench_worker *worker);
	/** By each thread, before and after each round. */
	void (*prepare)(struct bench_worker *worker);
	void (*finish)(struct bench_worker *worker);
	/** A round of worker->ops operations. */
	void (*measure)(struct bench_worker *worker);
	/**
	 * What one more thread does beside the measured ones: count its operations in worker->ops for
	 * as long as bench_goes_on(). Its index is the number of the measured threads.
	 */
	void (*background)(struct bench_worker *worker);
	/** By the background thread, before its first round and after its last. */
	void (*background_begin)(struct bench_worker *worker);
	void (*background_end)(struct bench_worker *worker);
	/** Before each round the backend's tree is made anew, in memory that nobody has touched. */
	bool fresh;
	/** There is one worker only; its calls start the other of worker->threads themselves. */
	bool alone;
};

struct bench_backend {
	const char *name;
	/** Make the empty tree `root`, and remove it with all that is in it. */
	void *(*make)(const char *root);
	void (*drop)(void *place, const char *root);
	/** Wait until what was removed is freed, so that it is not freed inside the next clock. */
	void (*settle)(void *place);
	/**
	 * Remove the tree, give its memory back to the system, and make it anew. NULL: what is removed
	 * leaves nothing behind that the next file could use.
	 */
	void *(*renew)(void *place, const char *root);
	/** By bench_case_id; measure is NULL where the backend does not do the case. */
	const struct bench_steps *steps;
};

extern const struct bench_backend bench_dmemfs;
extern const struct bench_backend bench_tmpfs;
extern const struct bench_backend bench_memcpy;
/** view_1g, and the same file read. */
extern const struct bench_backend bench_view;
extern const struct bench_backend bench_read;
/** append_alloc with a memory guard, and without one. */
extern const struct bench_backend bench_guarded;
extern const struct bench_backend bench_unguarded;
/** quota_reserve_release, and the least that one word for all threads would cost. */
extern const struct bench_backend bench_quota;
extern const struct bench_backend bench_word;
/** The cases of mfs_glob(), and the same steps with a plain walk in place of it. */
extern const struct bench_backend bench_glob;
extern const struct bench_backend bench_walk;

/** A backend made ready for a case, and how long its runs are. */
struct bench_instance {
	const struct bench_backend *backend;
	enum bench_case_id id;
	unsigned threads;
	const char *root;
	const uint32_t *order;
	const struct bench_host *host;
	void *place;
	uint64_t ops;
	unsigned rounds;
	/** Of the last run. 0 also if there is no background thread. */
	double background_ops_per_s;
};

/** Make the backend's tree, set the case up, and choose ops and rounds by a first run. */
void bench_instance_open(struct bench_instance *instance);
/** One run. Returns nanoseconds for each operation of a thread. */
double bench_instance_run(struct bench_instance *instance);
void bench_instance_close(struct bench_instance *instance);

/** The results of one case, number of threads and backend. */
struct bench_result {
	enum bench_case_id id;
	const struct bench_backend *backend;
	unsigned threads;
	unsigned count;
	double runs[BENCH_MAX_REPEAT];
	/** For each run, where the backend's steps for the case have a background thread. */
	double background_ops_per_s[BENCH_MAX_REPEAT];
};

/** The middle value; of an even count the mean of the two in the middle. */
double bench_median(const double *values, unsigned count);

/** Say what went wrong, remove the trees on tmpfs, exit with 1. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A backend's tree on tmpfs, and what export_dir makes. */
enum bench_leftover {
	BENCH_LEFTOVER_ROOT,
	BENCH_LEFTOVER_OUT,
	BENCH_LEFTOVERS,
};

/** A tree that bench_die() and a signal remove; NULL: none. `root` must stay valid. */
void bench_remove_on_exit(enum bench_leftover which, const char *root);
/** Remove a tree of the host with all that is in it. Returns 0, or -1 with errno set. */
int bench_remove_tree(const char *root);

/** Nanoseconds on the monotonic clock. */
uint64_t bench_now(void);

/** Page faults of the calling thread so far that brought memory in. */
uint64_t bench_page_faults(void);
/** Die unless the thread has touched so many bytes for the first time since it had `faults`. */
void bench_check_fresh(uint64_t faults, uint64_t bytes);

/** Those of 0 to count - 1, in the order in which `order` has them. To be freed. */
uint32_t *bench_order_below(const uint32_t *order, uint32_t count);

#define bench_unlikely(condition) __builtin_expect(!!(condition), 0)

/** For the background thread: measured threads are still at work. */
static inline bool bench_goes_on(const struct bench_worker *worker)
{
	/* pairs with the end of a measured region in run_thread() */
	return atomic_load_explicit(worker->working, memory_order_acquire) != 0;
}

/**
 * Write a number in decimal, with a NUL. Returns where the NUL is. The loops build their paths with
 * this instead of snprintf(), which would cost more than some of the operations.
 */
static inline char *bench_decimal(char *at, uint32_t number)
{
	char digits[10];
	unsigned count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	while (count > 0)
		*at++ = digits[--count];
	*at = '\0';
	return at;
}

/** A fast random number; the state is not 0. */
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

/** Hash the next bytes. Pieces must be the same each time, and all but the last of 8 * n bytes. */
static inline uint64_t bench_hash(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *at = data;

	while (size > 0) {
		uint64_t word = 0;
		size_t length = size < sizeof(word) ? size : sizeof(word);
		memcpy(&word, at, length);
		hash = (hash ^ word ^ length) * UINT64_C(0x9E3779B97F4A7C15);
		hash ^= hash >> 29;
		at += length;
		size -= length;
	}
	return hash;
}

/** The hash of the path of `name` in a directory whose path has the hash `parent`; the top's: 0. */
static inline uint64_t bench_hash_path(uint64_t parent, const char *name, size_t length)
{
	return bench_hash(parent + 1, name, length);
}

#endif
