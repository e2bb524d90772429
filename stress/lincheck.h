/* SPDX-License-Identifier: MIT */
/*
 * What the linearizability check is made of: calls as they were recorded, a sequential model of the
 * tree, and a search for an order of the calls that the model accepts.
 *
 *   stress_linearizability.c   options, what each burst is like, the whole tree, figures, verdict
 *   lincheck_burst.c           threads, and what holds them up inside the library
 *   lincheck_calls.c           calls at random, and their records
 *   lincheck_model.c           the tree as it should be: what a call may answer, and what it leaves
 *   lincheck_search.c          is there an order of the calls that explains all answers?
 *   lincheck_report.c          a violation, made as small as can be, in words
 *   lincheck_selftest.c        histories whose verdict is known
 */
#ifndef DMEMFS_STRESS_LINCHECK_H
#define DMEMFS_STRESS_LINCHECK_H

#include "common.h"

#include <dmemfs/dmemfs.h>

/*
 * The model's tree
 *
 * Directories have room for three names: a, b and c. A state is the tree in preorder, one element
 * for each place: nothing, a file, or a directory, which is followed by the elements of its three
 * names. So a state has one form only, equal states are equal bytes, and a tree is moved by copying
 * a run of elements. The first element is the root.
 */

#define LINCHECK_NAMES     3
#define LINCHECK_DEPTH     3    /* of the paths that calls use; trees may become deeper by moves */
#define LINCHECK_STATE_MAX 2048 /* elements */

/*
 * An element. A file has a number, its size, by which it is told from all others but its copies,
 * and the handles that hold it: the thread of the one that may write, the count of those that read.
 */
typedef uint16_t lincheck_element;

#define LINCHECK_ABSENT      ((lincheck_element)0)
#define LINCHECK_DIRECTORY   ((lincheck_element)0x0100)
#define LINCHECK_FILE_MAX    255 /* the largest number of a file; the smallest is 1 */
#define LINCHECK_WRITER_BITS 8   /* bits 8 to 11: 0, or thread + 1 */
#define LINCHECK_READER_BITS 12  /* bits 12 to 15: how many */
#define LINCHECK_THREADS_MAX 8

struct lincheck_state {
	uint32_t length;
	lincheck_element elements[LINCHECK_STATE_MAX]; /* only `length` of them mean anything */
};

/** A path: names are 0 for a, 1 for b, 2 for c. Depth 0 is the root. */
struct lincheck_path {
	uint8_t depth;
	uint8_t names[LINCHECK_DEPTH];
};

/*
 * Recorded calls
 */

/**
 * Every kind of call: name, and the words by which it is chosen and shown.
 *
 * An open for writing of a file that is there takes effect in two steps, as the interface says: it
 * gets the file's lock, and then empties the file. FILL is the second step, recorded as a call of
 * its own with the same interval. TREE is a look at the whole tree while nothing else happens.
 */
#define LINCHECK_KIND_MAP(X)                                                                       \
	X(OPEN_XB, "open_xb")                                                                          \
	X(OPEN_WB, "open_wb")                                                                          \
	X(OPEN_RB, "open_rb")                                                                          \
	X(SHARED_XB, "shared_xb")                                                                      \
	X(SHARED_RB, "shared_rb")                                                                      \
	X(REMOVE, "remove")                                                                            \
	X(RENAME, "rename")                                                                            \
	X(REPLACE, "replace")                                                                          \
	X(EXCHANGE, "exchange")                                                                        \
	X(MOVE, "move")                                                                                \
	X(MKDIR, "mkdir")                                                                              \
	X(RMTREE, "rmtree")                                                                            \
	X(IMPORT, "import")                                                                            \
	X(COPY, "copy")                                                                                \
	X(COPY_TREE, "copy_tree")                                                                      \
	X(EXISTS, "exists")                                                                            \
	X(STAT, "stat")                                                                                \
	X(LISTDIR, "listdir")                                                                          \
	/* From here on not chosen, but made by others. */                                             \
	X(CLOSE, "close")                                                                              \
	X(FILL, "fill")                                                                                \
	X(TREE, "tree")

enum lincheck_kind {
#define LINCHECK_KIND_ENUM(name, word) LINCHECK_##name,
	LINCHECK_KIND_MAP(LINCHECK_KIND_ENUM)
#undef LINCHECK_KIND_ENUM
		LINCHECK_KIND_COUNT,
	LINCHECK_CHOSEN_COUNT = LINCHECK_CLOSE,
};

/** What LINCHECK_EXISTS asks. */
enum lincheck_question { LINCHECK_ANYTHING, LINCHECK_A_DIRECTORY, LINCHECK_A_FILE };

#define LINCHECK_ITEMS_MAX 3

/** A file of an import, or with file 0 a directory. */
struct lincheck_item {
	struct lincheck_path path;
	uint8_t file;
};

/** Seen by a stat that met a size which no file has. */
#define LINCHECK_FOREIGN_FILE ((lincheck_element)0x0200)
/** Seen by a listing that met a name which no file has. */
#define LINCHECK_FOREIGN_NAME ((lincheck_element)0x0200)

struct lincheck_call {
	enum lincheck_kind kind;
	uint8_t thread;
	uint8_t item_count;
	uint8_t file;      /* opens: the number that the file gets */
	uint8_t opened_by; /* close: enum lincheck_kind of the open */
	/* MOVE: 0 or MFS_RENAME_REPLACE. MKDIR: 0 or MFS_EXIST_OK. EXISTS: enum lincheck_question. */
	unsigned flags;
	struct lincheck_path path;
	struct lincheck_path to;
	/* Of an import. No path is another one's beginning. */
	struct lincheck_item items[LINCHECK_ITEMS_MAX];
	/* The answer: 0, an error, or for EXISTS 0 or 1. */
	int code;
	/* STAT: LINCHECK_DIRECTORY or the file's number. LISTDIR: a bit for each name. */
	lincheck_element seen;
	/* TREE: what was seen. */
	const struct lincheck_state *tree;
	/* Moments, all different: a call that returned before another was invoked came first. */
	uint32_t invoked;
	uint32_t returned;
};

/*
 * The model
 */

/** The empty tree. */
void lincheck_state_init(struct lincheck_state *state);

bool lincheck_state_equal(const struct lincheck_state *a, const struct lincheck_state *b);

/** Does a call with this answer leave the tree as it is, whenever it happens? */
bool lincheck_call_is_harmless(const struct lincheck_call *call);

/** The word for a kind of call. */
const char *lincheck_kind_word(enum lincheck_kind kind);

/**
 * May the call give its answer in a state? If so, the state that it leaves is in *after.
 *
 * Where several errors apply at once, each is a right answer; success is one only where no error
 * applies. False is also the answer for a call that would have to wait in this state.
 */
bool lincheck_step(const struct lincheck_state *before, const struct lincheck_call *call,
				   struct lincheck_state *after);

/*
 * The search
 */

/** The most calls of a history. */
#define LINCHECK_CALLS_MAX 256

enum lincheck_verdict {
	LINCHECK_LINEARIZABLE,
	LINCHECK_VIOLATION,
	LINCHECK_UNDECIDED, /* more states than are welcome */
};

struct lincheck_search;

/** Room for searches, one after the other. `states_max`: how many to look at before giving up. */
struct lincheck_search *lincheck_search_new(uint32_t states_max);
void lincheck_search_free(struct lincheck_search *search);

/** What a search found. */
struct lincheck_found {
	uint64_t states; /* looked at */
	/* The longest order that explains the answers of a part of the calls. */
	unsigned longest;
	uint8_t order[LINCHECK_CALLS_MAX];
};

/** Is there an order of the calls, within their intervals, that the model accepts? */
enum lincheck_verdict lincheck_search(struct lincheck_search *search,
									  const struct lincheck_state *initial,
									  const struct lincheck_call *calls, unsigned count,
									  struct lincheck_found *found);

/*
 * Reports
 */

/** Write a path, a call with its answer, a tree. All return `text`. */
#define LINCHECK_PATH_SIZE 16
char *lincheck_path_text(const struct lincheck_path *path, char text[static LINCHECK_PATH_SIZE]);
#define LINCHECK_CALL_SIZE 512
char *lincheck_call_text(const struct lincheck_call *call, char text[static LINCHECK_CALL_SIZE]);
#define LINCHECK_TREE_SIZE 4096
char *lincheck_tree_text(const struct lincheck_state *state, char text[static LINCHECK_TREE_SIZE]);

/**
 * Leave out of a violation what it does not need; what comes first goes into the tree that it
 * begins with. Returns the new count.
 */
unsigned lincheck_minimise(struct lincheck_search *search, struct lincheck_state *initial,
						   struct lincheck_call *calls, unsigned count);

/** Print a violation to standard output. */
void lincheck_print(struct lincheck_search *search, const struct lincheck_state *initial,
					const struct lincheck_call *calls, unsigned count);

/** Give the search histories whose verdict is known. Failures are stress_fail()ed. */
void lincheck_self_test(void);

#endif
