/* SPDX-License-Identifier: MIT */
/*
 * stress_mixed: what its parts share.
 *
 *   stress_mixed.c    what it proves; phases, checks at rest, watchdog, the table
 *   mixed_calls.c     the library's calls, each with its clock and its list of expected errors
 *   mixed_private.c   a directory of a thread's own, against an exact model
 *   mixed_shared.c    directories that all threads use, whose data tells on its own
 *   mixed_trees.c     calls on whole trees: trees of a thread's own, against an exact model
 *   mixed_forest.c    trees that all threads use, and what every look at them must find
 *   mixed_watched.c   changes that others watch while they happen
 *
 *   /p<thread>/       a thread's own: files f0 to f3; directories d0 to d2, each with files
 *                     f0 to f3 and a directory e
 *   /s<n>/            shared: files f<n>, logs l<n>, block files b<n>; directories d<n>, each with
 *                     files f<n> and a directory e
 *   /r/               renames: "t", which always exists; x<n> or y<n>, one of which always exists;
 *                     t<thread>, what a thread is about to put in the place of t; k<n>, which
 *                     always exist and make the directory large
 *   /trees/<0 or 1>/  t<thread>_<n>, a thread's own trees; m<thread>, where they rest on the way;
 *                     w, exchanged with the other one; q<n>, which is either here or there
 *   /trees/s/         shared trees i<n> and m<n>/i, imported, copied, moved and removed whole;
 *                     u and v, which are exchanged; x<n> or y<n>, one of which always exists; a
 *                     and b, which are moved into each other; z/k<n>, imported all at once
 *
 * A tree, a thread's own or a shared one, has files f0 and f1 and a directory d with f2 and f3.
 */
#ifndef DMEMFS_STRESS_MIXED_H
#define DMEMFS_STRESS_MIXED_H

#include "common.h"

#include "dmemfs/dmemfs.h"

#include <pthread.h>

#define MAX_THREADS    1000
#define SHARED_DIRS    4
#define SHARED_SUBS    4
#define SUB_FILES      6
#define LOGS           2
#define BLOCK_FILES    2
#define BLOCKS         24
#define BLOCK_SIZE     2048u
#define TOKENS         4
#define FILLERS        60
#define PATH_SIZE      64
#define FILE_MAX       (64 * KIB)
#define LOG_MAX        (32 * KIB)
#define LOG_APPENDS    6
#define LOG_RECORD_MAX 432u
#define MAILBOX_SIZE   4

#define PRIVATE_DIRS  3
#define PRIVATE_FILES 4
#define PRIVATE_SLOTS ((PRIVATE_DIRS + 1) * PRIVATE_FILES)
#define PRIVATE_MAX   (24 * KIB)

#define OWN_PARENTS  2
#define OWN_NAMES    2
#define OWN_TREES    (OWN_PARENTS * OWN_NAMES)
#define TREE_FILES   4
#define TREE_RECORDS 3
#define SHUTTLES     2
#define BUNDLE_FILES 40

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The kinds of calls, as the table names them. */
#define CALL_KINDS(X)                                                                              \
	X(open)                                                                                        \
	X(close)                                                                                       \
	X(read)                                                                                        \
	X(pread)                                                                                       \
	X(readv)                                                                                       \
	X(write)                                                                                       \
	X(pwrite)                                                                                      \
	X(writev)                                                                                      \
	X(seek)                                                                                        \
	X(truncate)                                                                                    \
	X(mkdir)                                                                                       \
	X(remove)                                                                                      \
	X(rename)                                                                                      \
	X(listdir)                                                                                     \
	X(stat)                                                                                        \
	X(exists)                                                                                      \
	X(stats)                                                                                       \
	X(exchange)                                                                                    \
	X(move)                                                                                        \
	X(rmtree)                                                                                      \
	X(copy)                                                                                        \
	X(copy_tree)                                                                                   \
	X(import)                                                                                      \
	X(buffer)                                                                                      \
	X(export)                                                                                      \
	X(walk)                                                                                        \
	X(glob)                                                                                        \
	X(opendir)

enum call_kind {
#define CALL_KIND_ID(name) CALL_##name,
	CALL_KINDS(CALL_KIND_ID)
#undef CALL_KIND_ID
		CALL_KIND_COUNT
};

/* Sets of errors: a bit for each of the library's. */
enum {
#define ERROR_BIT_ID(name, value, message) ERROR_BIT_##name,
	MFS_ERROR_MAP(ERROR_BIT_ID)
#undef ERROR_BIT_ID
		ERROR_COUNT
};

#define ALLOW(name) (1u << ERROR_BIT_##name)

struct tally {
	uint64_t calls;
	uint64_t max_ns;
	uint64_t errors[ERROR_COUNT];
};

/** What has become of a file's data since its generation was looked at. */
enum change {
	UNCHANGED,
	MAYBE_CHANGED, /* the interface does not say whether it counts as a change */
	CHANGED,
};

/** A file of a thread's own, as it must be. */
struct slot {
	/** Atomic: handles of it that other threads have, and count out when they have closed them. */
	_Atomic unsigned lent;
	bool exists;
	enum change change;
	int64_t size;
	uint64_t generation;
	unsigned char *data; /* PRIVATE_MAX bytes; zeros behind `size` */
};

/** A record in a file of a tree. */
struct piece {
	uint64_t stamp;
	uint64_t length;
	uint64_t place; /* the number of the file that an import wrote it to */
};

/** A file in a tree of a thread's own, as it must be. */
struct tree_file {
	bool exists;
	unsigned records;
	uint64_t generation;
	struct piece pieces[TREE_RECORDS];
};

/** A tree of a thread's own, as it must be. */
struct own_tree {
	bool exists;
	bool sub; /* the directory d, which has the upper half of the files */
	struct tree_file files[TREE_FILES];
};

/** A directory that goes to and fro between /trees/0 and /trees/1. */
struct shuttle {
	pthread_mutex_t lock;
	bool marked; /* under lock: it holds here0 in /trees/0, here1 in /trees/1 */
	/* Atomic; written under lock, before each move. Even: it is or goes to /trees/0. */
	_Atomic uint64_t moves;
};

/** Files in /trees/s/z that each import replaces all at once, by ones of another size. */
struct bundle {
	pthread_mutex_t lock;
	/* Atomic; written under lock, before each import. Says the size; see bundle_size(). */
	_Atomic uint64_t imports;
};

/** What a thread gives to another one to close. */
struct gift {
	mfs_file *file;
	_Atomic unsigned *lent; /* where to count it out; NULL: nowhere */
};

struct stress;

struct worker {
	struct stress *stress;
	mfs *fs;
	unsigned index;
	pthread_t thread;
	uint64_t random;
	uint64_t records;

	/* What the watchdog looks at. Atomic; written by the worker alone. */
	_Atomic uint64_t progress;
	_Atomic int doing; /* an enum call_kind, or -1 */
	/* Names what the call works on. The watchdog reads it only to print it before it aborts. */
	char where[PATH_SIZE];

	uint64_t started;
	struct tally tallies[CALL_KIND_COUNT];

	/* The model of the private directory. */
	struct slot slots[PRIVATE_SLOTS];
	bool dirs[PRIVATE_DIRS];
	bool subs[PRIVATE_DIRS];

	/* The model of the thread's own trees. */
	struct own_tree trees[OWN_TREES];

	mfs_file *stale;       /* a handle that was closed */
	unsigned char *buffer; /* stress->buffer_size bytes */
	unsigned char *other;  /* stress->buffer_size bytes */

	pthread_mutex_t mailbox_lock;
	/* Under mailbox_lock. */
	struct gift mailbox[MAILBOX_SIZE];
	unsigned gifts;
};

struct stress {
	unsigned threads;
	unsigned files; /* names in each shared directory */
	uint64_t seconds;
	uint64_t seed;
	uint64_t quota;
	uint64_t nodes;
	size_t buffer_size; /* more than any shared file has */
	struct worker *workers;
	struct shuttle shuttles[SHUTTLES];
	struct bundle bundle;
	/* Atomic, a hint: somebody is about to move a shuttle or to import the bundle many times. */
	_Atomic(void *) moving;
	/* Atomic: the round is over. */
	_Atomic bool stop;
};

/* Errors that a wait for a file's lock may end with. */
static inline unsigned lock_errors(int64_t timeout)
{
	return timeout == MFS_NO_WAIT ? ALLOW(MFS_EBUSY) : ALLOW(MFS_ETIMEDOUT);
}

static inline uint32_t below(struct worker *w, uint32_t limit)
{
	return stress_below(&w->random, limit);
}

static inline bool chance(struct worker *w, uint32_t percent)
{
	return below(w, 100) < percent;
}

static inline uint64_t next_stamp(struct worker *w)
{
	return record_stamp(w->index, ++w->records);
}

/*
 * mixed_calls.c: calls of the library. Each is timed and counted. An error that is not in `allowed`
 * is a failure. Results are the library's.
 */

const char *call_name(int kind);

int call_open(struct worker *w, const char *path, const char *mode, int64_t timeout, unsigned flags,
			  int64_t preallocate, unsigned allowed, mfs_file **out);
void call_close(struct worker *w, mfs_file *file);
int64_t call_read(struct worker *w, mfs_file *file, void *buffer, size_t size);
int64_t call_pread(struct worker *w, mfs_file *file, void *buffer, size_t size, int64_t offset,
				   unsigned allowed);
int64_t call_readv(struct worker *w, mfs_file *file, const struct iovec *vector, int count);
int64_t call_write(struct worker *w, mfs_file *file, const void *buffer, size_t size,
				   unsigned allowed);
int64_t call_pwrite(struct worker *w, mfs_file *file, const void *buffer, size_t size,
					int64_t offset, unsigned allowed);
int64_t call_writev(struct worker *w, mfs_file *file, const struct iovec *vector, int count,
					unsigned allowed);
int64_t call_seek(struct worker *w, mfs_file *file, int64_t offset, int whence);
int call_truncate(struct worker *w, mfs_file *file, int64_t size, unsigned allowed);
int call_mkdir(struct worker *w, const char *path, unsigned flags, unsigned allowed);
int call_remove(struct worker *w, const char *path, unsigned allowed);
int call_rename(struct worker *w, const char *from, const char *to, unsigned flags,
				unsigned allowed);
int64_t call_listdir(struct worker *w, const char *path, unsigned allowed, char ***names);
int call_stat(struct worker *w, const char *path, unsigned allowed, mfs_info *out);
bool call_exists(struct worker *w, const char *path);
bool call_is_dir(struct worker *w, const char *path);
bool call_is_file(struct worker *w, const char *path);
void call_stats(struct worker *w);
int call_move(struct worker *w, const char *from, const char *to, unsigned flags, unsigned allowed);
int call_rmtree(struct worker *w, const char *path, unsigned allowed);
int call_copy(struct worker *w, const char *from, const char *to, unsigned allowed);
int call_copy_tree(struct worker *w, const char *from, const char *to, unsigned allowed);
int call_import(struct worker *w, const mfs_import_item *items, size_t count, unsigned allowed);
/** To be freed with mfs_buffer_free(). */
int64_t call_buffer(struct worker *w, const char *path, uint64_t max_size, unsigned allowed,
					void **buffer);
int call_export_open(struct worker *w, const char *path, unsigned flags, unsigned allowed,
					 mfs_export **out);
int call_export_next(struct worker *w, mfs_export *iterator, unsigned allowed,
					 mfs_export_item *item);
int call_walk_open(struct worker *w, const char *path, unsigned allowed, mfs_walk **out);
int call_walk_next(struct worker *w, mfs_walk *walk, mfs_walk_level *level);
/** To be freed with mfs_names_free(). */
int64_t call_glob(struct worker *w, const char *pattern, char ***paths);
int call_opendir(struct worker *w, const char *path, unsigned allowed, mfs_dir **out);

/** An operation's result must be exactly this. */
void must_be(struct worker *w, const char *what, int64_t result, int64_t want);
/** A call for which there is a reason to fail has not succeeded. */
void must_fail(struct worker *w, const char *what, int64_t result);

/** Write all of it at the cursor, in pieces, by write and writev. Returns 0 or MFS_EQUOTA. */
int write_pieces(struct worker *w, mfs_file *file, const unsigned char *data, size_t size);
/** Read `size` bytes at the cursor, in pieces, by read and readv. */
void read_pieces(struct worker *w, mfs_file *file, unsigned char *data, size_t size);

/** Close a handle, or give it to another thread to close. `lent` may be NULL. */
void close_or_give(struct worker *w, mfs_file *file, _Atomic unsigned *lent);
/** Close what others gave to `owner`. */
void empty_mailbox(struct worker *w, struct worker *owner);
/** Calls on a handle that was closed before. */
void try_stale_handle(struct worker *w);

/*
 * mixed_private.c, mixed_shared.c, mixed_trees.c, mixed_forest.c and mixed_watched.c
 */

/** One random operation. */
void private_step(struct worker *w);
void shared_step(struct worker *w);
void trees_step(struct worker *w);
void forest_step(struct worker *w);

/** Compare all of a thread's own directory with its model. Returns the bytes of its files. */
uint64_t private_check(struct worker *w);
/** Forget the model: the directory has been removed. */
void private_reset(struct worker *w);

/** Make the directories and the files that always exist. */
void shared_set_up(struct worker *w);
/** Check what a path of the shared directories names. `name` is its last component. */
void shared_check_file(struct worker *w, const char *path, const char *name);
/** Is this a name that a directory of the shared part may hold? */
bool shared_name_is_known(const struct stress *stress, const char *directory, const char *name);
/** Is this a decimal number below a limit, and nothing else? */
bool is_number_below(const char *text, unsigned limit);

/** Compare all of a thread's own trees with their models. Returns the bytes of their files. */
uint64_t trees_check(struct worker *w);
/** Forget the models: the trees have been removed. */
void trees_reset(struct worker *w);
/** A file's path in the tree at `tree`. Files of the upper half are in the directory d. */
void tree_file_path(const char *tree, unsigned number, char path[PATH_SIZE]);
/** Check that a file of a tree that was imported at once is one record, made for its place. */
void tree_check_record(struct worker *w, const void *data, int64_t size, unsigned number,
					   struct record *head);

/** Make what always exists below /trees. */
void forest_set_up(struct worker *w);
/** Make a directory that has a file f0 in it. */
void forest_make_directory(struct worker *w, const char *path);
/** Check what lies below /trees/s while nobody works. */
void forest_check(struct worker *w);
/** One of the shared trees' places. Returns the errors that a missing parent adds. */
unsigned forest_place(struct worker *w, char path[PATH_SIZE]);
/** Is this a name that a directory of /trees may hold? */
bool forest_name_is_known(const struct stress *stress, const char *directory, const char *name);

/** Make changes that others watch. */
void watched_step(struct worker *w);
/** Watch the changes of somebody else, if there are any just now. Returns whether there were. */
bool watched_join(struct worker *w);
void watched_set_up(struct worker *w);
void watched_check(struct worker *w);

#endif
