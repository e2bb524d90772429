/* SPDX-License-Identifier: MIT */
/*
 * Does the checker itself work? Histories whose verdict is known by thought, and random ones whose
 * verdict is known from going through all orders.
 */
#include "lincheck.h"

#define CALLS_MAX     12
#define RANDOM_CALLS  6
#define RANDOM_ROUNDS 2000
#define STATES_MAX    100000

/* A history being written down. */
struct history {
	struct lincheck_call calls[CALLS_MAX];
	unsigned count;
};

/* "/a/b" as a path. */
static struct lincheck_path path_of(const char *text)
{
	struct lincheck_path path = {0};

	for (; text[0] == '/' && text[1] != '\0'; text += 2) {
		if (path.depth == LINCHECK_DEPTH)
			stress_die("a path of the self-test is too deep");
		path.names[path.depth++] = (uint8_t)(text[1] - 'a');
	}
	return path;
}

/*
 * Write a call down. One line each says thread, moments, what is called and what it answers; the
 * rest of the fields is set on what this returns.
 */
static struct lincheck_call *call(struct history *h, unsigned thread, unsigned invoked,
								  unsigned returned, enum lincheck_kind kind, const char *path,
								  int code)
{
	if (h->count == CALLS_MAX)
		stress_die("a history of the self-test has too many calls");
	struct lincheck_call *c = &h->calls[h->count++];
	*c = (struct lincheck_call){
		.kind = kind,
		.thread = (uint8_t)thread,
		.invoked = invoked,
		.returned = returned,
		.path = path_of(path),
		.code = code,
	};
	return c;
}

static void create(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
				   const char *path, uint8_t file)
{
	call(h, thread, invoked, returned, LINCHECK_SHARED_XB, path, 0)->file = file;
}

static void open_file(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
					  enum lincheck_kind kind, const char *path, uint8_t file, int code)
{
	call(h, thread, invoked, returned, kind, path, code)->file = file;
	if (kind == LINCHECK_OPEN_WB && !code)
		call(h, thread, invoked, returned, LINCHECK_FILL, path, 0)->file = file;
}

static void close_file(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
					   enum lincheck_kind opened_by, const char *path)
{
	call(h, thread, invoked, returned, LINCHECK_CLOSE, path, 0)->opened_by = (uint8_t)opened_by;
}

static void look(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
				 const char *path, int code, lincheck_element seen)
{
	call(h, thread, invoked, returned, LINCHECK_STAT, path, code)->seen = seen;
}

static void list(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
				 const char *path, unsigned names)
{
	call(h, thread, invoked, returned, LINCHECK_LISTDIR, path, 0)->seen = (lincheck_element)names;
}

static void rename_to(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
					  enum lincheck_kind kind, const char *from, const char *to, int code)
{
	call(h, thread, invoked, returned, kind, from, code)->to = path_of(to);
}

static void import(struct history *h, unsigned thread, unsigned invoked, unsigned returned,
				   const char *path1, uint8_t file1, const char *path2, uint8_t file2, int code)
{
	struct lincheck_call *c = call(h, thread, invoked, returned, LINCHECK_IMPORT, "/", code);

	c->items[0] = (struct lincheck_item){path_of(path1), file1};
	c->items[1] = (struct lincheck_item){path_of(path2), file2};
	c->item_count = 2;
}

static const char *verdict_word(enum lincheck_verdict verdict)
{
	return verdict == LINCHECK_LINEARIZABLE ? "linearizable"
		   : verdict == LINCHECK_VIOLATION  ? "a violation"
											: "undecided";
}

static void expect(struct lincheck_search *search, struct history *h, bool linearizable,
				   const char *what)
{
	struct lincheck_state empty;
	struct lincheck_found found;
	enum lincheck_verdict right = linearizable ? LINCHECK_LINEARIZABLE : LINCHECK_VIOLATION;

	lincheck_state_init(&empty);
	enum lincheck_verdict verdict = lincheck_search(search, &empty, h->calls, h->count, &found);
	if (verdict != right)
		stress_fail("self-test: %s: %s, should be %s", what, verdict_word(verdict),
					verdict_word(right));
	h->count = 0;
}

/* One after the other: what the model itself says. */
static void test_model(struct lincheck_search *search)
{
	struct history h = {.count = 0};

	call(&h, 0, 0, 1, LINCHECK_MKDIR, "/a/b", 0);
	create(&h, 0, 2, 3, "/a/b/c", 7);
	look(&h, 0, 4, 5, "/a/b/c", 0, 7);
	look(&h, 0, 6, 7, "/b/c/a", MFS_ENOENT, 0);
	rename_to(&h, 0, 8, 9, LINCHECK_RENAME, "/a/b", "/c", 0);
	look(&h, 0, 10, 11, "/c/c/a", MFS_ENOTDIR, 0);
	look(&h, 0, 12, 13, "/c/c", 0, 7);
	look(&h, 0, 14, 15, "/a/b", MFS_ENOENT, 0);
	call(&h, 0, 16, 17, LINCHECK_REMOVE, "/c", MFS_ENOTEMPTY);
	call(&h, 0, 18, 19, LINCHECK_RMTREE, "/c", 0);
	list(&h, 0, 20, 21, "/", 1);
	expect(search, &h, true, "a move and a removal of a tree");

	create(&h, 0, 0, 1, "/a", 1);
	look(&h, 0, 2, 3, "/a/b", MFS_ENOENT, 0);
	expect(search, &h, false, "MFS_ENOENT below a file");

	call(&h, 0, 0, 1, LINCHECK_MKDIR, "/a/b", 0);
	rename_to(&h, 0, 2, 3, LINCHECK_RENAME, "/a", "/a/b/c", MFS_EINVAL);
	rename_to(&h, 0, 4, 5, LINCHECK_EXCHANGE, "/a/b", "/a", MFS_EINVAL);
	rename_to(&h, 0, 6, 7, LINCHECK_REPLACE, "/a/b", "/a", MFS_ENOTEMPTY);
	rename_to(&h, 0, 8, 9, LINCHECK_RENAME, "/a", "/a", MFS_EEXIST);
	rename_to(&h, 0, 10, 11, LINCHECK_EXCHANGE, "/a", "/a", 0);
	rename_to(&h, 0, 12, 13, LINCHECK_MOVE, "/a/b", "/b/c", 0);
	rename_to(&h, 0, 14, 15, LINCHECK_REPLACE, "/b/c", "/a", 0);
	list(&h, 0, 16, 17, "/", 3);
	list(&h, 0, 18, 19, "/a", 0);
	expect(search, &h, true, "renames into, onto and above themselves");

	create(&h, 0, 0, 1, "/a", 1);
	call(&h, 0, 2, 3, LINCHECK_MKDIR, "/b/a", 0);
	create(&h, 0, 4, 5, "/b/c", 2);
	rename_to(&h, 0, 6, 7, LINCHECK_EXCHANGE, "/a", "/b", 0);
	look(&h, 0, 8, 9, "/b", 0, 1);
	look(&h, 0, 10, 11, "/a/c", 0, 2);
	rename_to(&h, 0, 12, 13, LINCHECK_REPLACE, "/a", "/b", MFS_ENOTDIR);
	rename_to(&h, 0, 14, 15, LINCHECK_REPLACE, "/b", "/a", MFS_EISDIR);
	rename_to(&h, 0, 16, 17, LINCHECK_EXCHANGE, "/b", "/a/c", 0);
	look(&h, 0, 18, 19, "/a/c", 0, 1);
	look(&h, 0, 20, 21, "/b", 0, 2);
	expect(search, &h, true, "exchanges of a file and a tree");
}

static void test_handles(struct lincheck_search *search)
{
	struct history h = {.count = 0};

	open_file(&h, 0, 0, 1, LINCHECK_OPEN_XB, "/a", 1, 0);
	call(&h, 1, 2, 3, LINCHECK_REMOVE, "/a", MFS_EBUSY);
	close_file(&h, 0, 4, 7, LINCHECK_OPEN_XB, "/a");
	call(&h, 1, 5, 6, LINCHECK_REMOVE, "/a", 0);
	expect(search, &h, true, "a removal while the handle is being closed");

	open_file(&h, 0, 0, 1, LINCHECK_OPEN_XB, "/a", 1, 0);
	call(&h, 1, 2, 3, LINCHECK_REMOVE, "/a", 0);
	close_file(&h, 0, 4, 5, LINCHECK_OPEN_XB, "/a");
	expect(search, &h, false, "a removal of a held file");

	create(&h, 0, 0, 1, "/a", 1);
	call(&h, 1, 2, 3, LINCHECK_REMOVE, "/a", MFS_EBUSY);
	expect(search, &h, false, "MFS_EBUSY with no handle");

	call(&h, 0, 0, 1, LINCHECK_MKDIR, "/a", 0);
	open_file(&h, 0, 2, 3, LINCHECK_OPEN_XB, "/a/b", 1, 0);
	rename_to(&h, 1, 4, 5, LINCHECK_RENAME, "/a", "/b", 0);
	expect(search, &h, false, "a move of a directory above a held file");

	/* The lock comes before the new size, so that a removal fails while the old size is seen. */
	create(&h, 0, 0, 1, "/a", 1);
	open_file(&h, 0, 2, 9, LINCHECK_OPEN_WB, "/a", 2, 0);
	call(&h, 1, 3, 4, LINCHECK_REMOVE, "/a", MFS_EBUSY);
	look(&h, 1, 5, 6, "/a", 0, 1);
	look(&h, 1, 7, 8, "/a", 0, 2);
	expect(search, &h, true, "an open that has the lock and then empties the file");

	create(&h, 0, 0, 1, "/a", 1);
	open_file(&h, 0, 2, 9, LINCHECK_OPEN_WB, "/a", 2, 0);
	look(&h, 1, 5, 6, "/a", 0, 2);
	look(&h, 1, 7, 8, "/a", 0, 1);
	expect(search, &h, false, "a file that gets its old size back");

	create(&h, 0, 0, 1, "/a", 1);
	open_file(&h, 0, 2, 3, LINCHECK_OPEN_RB, "/a", 0, 0);
	open_file(&h, 1, 4, 9, LINCHECK_OPEN_WB, "/a", 2, 0);
	open_file(&h, 2, 5, 6, LINCHECK_OPEN_RB, "/a", 0, 0);
	close_file(&h, 0, 7, 8, LINCHECK_OPEN_RB, "/a");
	close_file(&h, 2, 10, 11, LINCHECK_OPEN_RB, "/a");
	expect(search, &h, false, "a writer beside a reader");

	create(&h, 0, 0, 1, "/a", 1);
	open_file(&h, 0, 2, 3, LINCHECK_OPEN_RB, "/a", 0, 0);
	open_file(&h, 1, 4, 9, LINCHECK_OPEN_WB, "/a", 2, 0);
	open_file(&h, 2, 5, 6, LINCHECK_OPEN_RB, "/a", 0, 0);
	close_file(&h, 0, 7, 8, LINCHECK_OPEN_RB, "/a");
	close_file(&h, 2, 7, 10, LINCHECK_OPEN_RB, "/a");
	look(&h, 0, 12, 13, "/a", 0, 2);
	expect(search, &h, true, "a writer that waits for two readers");
}

static void test_concurrency(struct lincheck_search *search)
{
	struct history h = {.count = 0};

	create(&h, 0, 0, 2, "/a", 1);
	create(&h, 1, 1, 3, "/a", 2);
	expect(search, &h, false, "two that make the same file");

	open_file(&h, 0, 0, 2, LINCHECK_OPEN_XB, "/a", 1, MFS_EEXIST);
	create(&h, 1, 1, 3, "/a", 2);
	expect(search, &h, true, "two that make the same file, one of them too late");

	open_file(&h, 0, 0, 1, LINCHECK_OPEN_XB, "/a", 1, MFS_EEXIST);
	create(&h, 1, 2, 3, "/a", 2);
	expect(search, &h, false, "MFS_EEXIST before the file is made");

	create(&h, 0, 0, 1, "/a", 1);
	call(&h, 1, 2, 3, LINCHECK_EXISTS, "/a", 0);
	expect(search, &h, false, "a look that is too old");

	for (unsigned round = 0; round < 4; round++) {
		create(&h, 0, 0, 1, "/a", 1);
		rename_to(&h, 0, 2, 7, LINCHECK_RENAME, "/a", "/b", 0);
		/* The order of the looks decides: first the new name, then the old one. */
		bool new_first = round & 1;
		bool there = round & 2;
		look(&h, 1, 3, 4, new_first ? "/b" : "/a", there ? 0 : MFS_ENOENT, there ? 1 : 0);
		look(&h, 1, 5, 6, new_first ? "/a" : "/b", there ? 0 : MFS_ENOENT, there ? 1 : 0);
		expect(search, &h, new_first != there, "looks at both names of a rename");
	}

	create(&h, 0, 0, 1, "/a", 1);
	rename_to(&h, 0, 2, 5, LINCHECK_RENAME, "/a", "/b", 0);
	list(&h, 1, 3, 4, "/", 3);
	expect(search, &h, false, "a listing of both names of a rename");

	import(&h, 0, 0, 1, "/a/a", 1, "/b/b", 2, 0);
	import(&h, 0, 2, 7, "/a/a", 3, "/b/b", 4, 0);
	look(&h, 1, 3, 4, "/b/b", 0, 4);
	look(&h, 1, 5, 6, "/a/a", 0, 3);
	expect(search, &h, true, "an import, seen whole");

	import(&h, 0, 0, 1, "/a/a", 1, "/b/b", 2, 0);
	import(&h, 0, 2, 7, "/a/a", 3, "/b/b", 4, 0);
	look(&h, 1, 3, 4, "/b/b", 0, 4);
	look(&h, 1, 5, 6, "/a/a", 0, 1);
	expect(search, &h, false, "an import, seen in part");

	import(&h, 0, 0, 1, "/a/a", 1, "/a/b", 2, 0);
	call(&h, 0, 2, 7, LINCHECK_RMTREE, "/a", 0);
	list(&h, 1, 3, 4, "/a", 2);
	expect(search, &h, false, "a removal of a tree, seen in part");

	call(&h, 0, 0, 1, LINCHECK_MKDIR, "/a", 0);
	call(&h, 0, 2, 3, LINCHECK_MKDIR, "/b", 0);
	rename_to(&h, 0, 4, 6, LINCHECK_RENAME, "/a", "/b/a", 0);
	rename_to(&h, 1, 5, 7, LINCHECK_RENAME, "/b", "/a/b", 0);
	expect(search, &h, false, "a cycle");

	call(&h, 0, 0, 1, LINCHECK_MKDIR, "/a", 0);
	call(&h, 0, 2, 3, LINCHECK_MKDIR, "/b", 0);
	rename_to(&h, 0, 4, 6, LINCHECK_RENAME, "/a", "/b/a", 0);
	rename_to(&h, 1, 5, 7, LINCHECK_RENAME, "/b", "/a/b", MFS_ENOENT);
	list(&h, 1, 8, 9, "/b", 1);
	expect(search, &h, true, "no cycle");
}

/*
 * Random histories
 */

/* Bring an order into the next one. Returns false after the last. */
static bool next_order(unsigned *order, unsigned count)
{
	unsigned i = count - 1;
	unsigned j = count - 1;

	while (i > 0 && order[i - 1] > order[i])
		i--;
	if (i == 0)
		return false;
	while (order[j] < order[i - 1])
		j--;
	unsigned swap = order[i - 1];
	order[i - 1] = order[j];
	order[j] = swap;
	for (j = count - 1; i < j; i++, j--) {
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	return true;
}

static bool order_fits(const struct lincheck_state *initial, const struct history *h,
					   const unsigned *order)
{
	struct lincheck_state states[2];

	memcpy(&states[0], initial, sizeof(states[0]));
	for (unsigned i = 0; i < h->count; i++) {
		const struct lincheck_call *c = &h->calls[order[i]];
		for (unsigned j = i + 1; j < h->count; j++) {
			if (h->calls[order[j]].returned < c->invoked)
				return false;
		}
		if (!lincheck_step(&states[i % 2], c, &states[1 - i % 2]))
			return false;
	}
	return true;
}

static bool some_order_fits(const struct lincheck_state *initial, const struct history *h)
{
	unsigned order[CALLS_MAX];

	for (unsigned i = 0; i < h->count; i++)
		order[i] = i;
	do {
		if (order_fits(initial, h, order))
			return true;
	} while (next_order(order, h->count));
	return false;
}

/* Give a call some answer. */
static void draw_answer(struct lincheck_call *c, uint64_t *random)
{
	static const int codes[] = {0, 0, 0, MFS_ENOENT, MFS_EEXIST, MFS_ENOTDIR, MFS_EINVAL};

	c->code = codes[stress_below(random, sizeof(codes) / sizeof(codes[0]))];
	if (c->kind == LINCHECK_STAT)
		c->seen = stress_below(random, 2)
					  ? LINCHECK_DIRECTORY
					  : (lincheck_element)(1 + stress_below(random, RANDOM_CALLS));
	if (c->kind == LINCHECK_LISTDIR)
		c->seen = (lincheck_element)stress_below(random, 4);
}

/* Give all calls answers that are right in the order of their invocations, or of their returns. */
static void answer_rightly(struct history *h, uint64_t *random)
{
	struct lincheck_state states[2];
	bool by_return = stress_below(random, 2);
	unsigned now = 0;

	lincheck_state_init(&states[now]);
	for (unsigned moment = 0; moment < 2 * h->count; moment++) {
		struct lincheck_call *c = h->calls;
		while (c < h->calls + h->count && (by_return ? c->returned : c->invoked) != moment)
			c++;
		if (c == h->calls + h->count)
			continue;
		do
			draw_answer(c, random);
		while (!lincheck_step(&states[now], c, &states[1 - now]));
		now = 1 - now;
	}
}

static void random_history(struct history *h, uint64_t *random)
{
	static const char *const paths[] = {"/a", "/b", "/a/b"};
	static const enum lincheck_kind kinds[] = {
		LINCHECK_SHARED_XB, LINCHECK_RENAME, LINCHECK_MKDIR,   LINCHECK_MOVE,
		LINCHECK_RMTREE,    LINCHECK_STAT,   LINCHECK_LISTDIR,
	};
	unsigned moments[2 * RANDOM_CALLS] = {0};

	for (unsigned i = 0; i < 2 * RANDOM_CALLS; i++) {
		unsigned j = stress_below(random, i + 1);
		moments[i] = moments[j];
		moments[j] = i;
	}
	h->count = 0;
	for (unsigned i = 0; i < RANDOM_CALLS; i++) {
		unsigned first = moments[2 * i];
		unsigned second = moments[2 * i + 1];
		struct lincheck_call *c =
			call(h, i + 1, first < second ? first : second, first < second ? second : first,
				 kinds[stress_below(random, 7)], paths[stress_below(random, 3)], 0);
		c->to = path_of(paths[stress_below(random, 3)]);
		c->file = (uint8_t)(i + 1);
	}
	answer_rightly(h, random);
	/* Half of them get another answer, right or wrong. */
	if (stress_below(random, 2))
		draw_answer(&h->calls[stress_below(random, h->count)], random);
}

static void test_search(struct lincheck_search *search)
{
	struct lincheck_state initial;
	struct lincheck_found found;
	struct history h;
	uint64_t random = 1;
	unsigned fitting = 0;

	for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
		lincheck_state_init(&initial);
		random_history(&h, &random);
		bool fits = some_order_fits(&initial, &h);
		enum lincheck_verdict verdict = lincheck_search(search, &initial, h.calls, h.count, &found);
		if (verdict != (fits ? LINCHECK_LINEARIZABLE : LINCHECK_VIOLATION))
			stress_fail("self-test: random history %u: %s, but %s order fits", round,
						verdict_word(verdict), fits ? "an" : "no");
		fitting += fits;
		if (!fits)
			h.count = lincheck_minimise(search, &initial, h.calls, h.count);
		if (!fits && some_order_fits(&initial, &h))
			stress_fail("self-test: random history %u is none when it is made small", round);
	}
	if (fitting < RANDOM_ROUNDS / 20 || fitting > RANDOM_ROUNDS - RANDOM_ROUNDS / 20)
		stress_fail("self-test: %u of %u random histories fit", fitting, RANDOM_ROUNDS);
}

void lincheck_self_test(void)
{
	struct lincheck_search *search = lincheck_search_new(STATES_MAX);

	test_model(search);
	test_handles(search);
	test_concurrency(search);
	test_search(search);
	lincheck_search_free(search);
}
