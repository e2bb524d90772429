/* SPDX-License-Identifier: MIT */
/*
 * The sequential model: what each call may answer in a tree, and the tree that it leaves. Written
 * from the public header alone.
 *
 * Handles. An open without MFS_O_SHARED makes its handle a holder of the file, and while a file has
 * a holder, whatever would remove, replace or move it, or a directory above it, answers MFS_EBUSY;
 * without one, nothing does. An open that meets a lock has to wait, so that in such a state it has
 * no answer at all: it must find its place in the order where the lock is free.
 */
#include "lincheck.h"

/* Errors as a set: those that apply in a state. */
enum {
	ENOENT_APPLIES = 1u << 0,
	EEXIST_APPLIES = 1u << 1,
	EISDIR_APPLIES = 1u << 2,
	ENOTDIR_APPLIES = 1u << 3,
	ENOTEMPTY_APPLIES = 1u << 4,
	EBUSY_APPLIES = 1u << 5,
	EINVAL_APPLIES = 1u << 6,
};

static unsigned error_set(int code)
{
	switch (code) {
	case MFS_ENOENT:
		return ENOENT_APPLIES;
	case MFS_EEXIST:
		return EEXIST_APPLIES;
	case MFS_EISDIR:
		return EISDIR_APPLIES;
	case MFS_ENOTDIR:
		return ENOTDIR_APPLIES;
	case MFS_ENOTEMPTY:
		return ENOTEMPTY_APPLIES;
	case MFS_EBUSY:
		return EBUSY_APPLIES;
	case MFS_EINVAL:
		return EINVAL_APPLIES;
	default:
		return 0; /* never right here */
	}
}

/*
 * Elements
 */

static bool is_file(lincheck_element element)
{
	return (element & LINCHECK_FILE_MAX) != 0;
}

static unsigned writer_of(lincheck_element file)
{
	return (file >> LINCHECK_WRITER_BITS) & 15;
}

static unsigned readers_of(lincheck_element file)
{
	return file >> LINCHECK_READER_BITS;
}

static lincheck_element make_file(unsigned number, unsigned writer, unsigned readers)
{
	return (lincheck_element)(number | writer << LINCHECK_WRITER_BITS |
							  readers << LINCHECK_READER_BITS);
}

static bool is_held(lincheck_element element)
{
	return is_file(element) && element > LINCHECK_FILE_MAX;
}

/*
 * States
 */

void lincheck_state_init(struct lincheck_state *state)
{
	state->length = 1 + LINCHECK_NAMES;
	state->elements[0] = LINCHECK_DIRECTORY;
	for (unsigned i = 1; i <= LINCHECK_NAMES; i++)
		state->elements[i] = LINCHECK_ABSENT;
}

bool lincheck_state_equal(const struct lincheck_state *a, const struct lincheck_state *b)
{
	return a->length == b->length &&
		   memcmp(a->elements, b->elements, a->length * sizeof(a->elements[0])) == 0;
}

static void copy_state(struct lincheck_state *to, const struct lincheck_state *from)
{
	to->length = from->length;
	memcpy(to->elements, from->elements, from->length * sizeof(from->elements[0]));
}

/* Where the tree that begins at `at` ends. */
static uint32_t tree_end(const struct lincheck_state *state, uint32_t at)
{
	for (uint32_t open = 1; open > 0; open--) {
		if (state->elements[at++] == LINCHECK_DIRECTORY)
			open += LINCHECK_NAMES;
	}
	return at;
}

/* Where the element of a name is, in the directory at `at`. */
static uint32_t child_of(const struct lincheck_state *state, uint32_t at, unsigned name)
{
	at++;
	for (unsigned i = 0; i < name; i++)
		at = tree_end(state, at);
	return at;
}

static bool tree_is_held(const struct lincheck_state *state, uint32_t at)
{
	uint32_t end = tree_end(state, at);

	for (; at < end; at++) {
		if (is_held(state->elements[at]))
			return true;
	}
	return false;
}

/* Put other elements in the place of the tree at `at`. */
static void replace_tree(struct lincheck_state *state, uint32_t at,
						 const lincheck_element *elements, uint32_t count)
{
	uint32_t end = tree_end(state, at);
	uint32_t length = state->length - (end - at) + count;

	if (length > LINCHECK_STATE_MAX)
		stress_die("the model's tree is too large");
	memmove(state->elements + at + count, state->elements + end,
			(state->length - end) * sizeof(state->elements[0]));
	memcpy(state->elements + at, elements, count * sizeof(state->elements[0]));
	state->length = length;
}

static void put_element(struct lincheck_state *state, uint32_t at, lincheck_element element)
{
	lincheck_element elements[1 + LINCHECK_NAMES] = {element};

	replace_tree(state, at, elements, element == LINCHECK_DIRECTORY ? 1 + LINCHECK_NAMES : 1);
}

/*
 * Paths
 */

/* Where a path leads. */
struct place {
	unsigned error; /* of the way to it: a set of one, or none */
	uint32_t at;    /* without an error: its element */
};

static struct place find(const struct lincheck_state *state, const struct lincheck_path *path)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < path->depth; i++) {
		lincheck_element element = state->elements[at];
		if (element != LINCHECK_DIRECTORY)
			return (struct place){element == LINCHECK_ABSENT ? ENOENT_APPLIES : ENOTDIR_APPLIES, 0};
		at = child_of(state, at, path->names[i]);
	}
	return (struct place){0, at};
}

static bool is_there(const struct lincheck_state *state, struct place place)
{
	return !place.error && state->elements[place.at] != LINCHECK_ABSENT;
}

/* What is wrong if something has to be there. */
static unsigned missing(const struct lincheck_state *state, struct place place)
{
	if (place.error)
		return place.error;
	return state->elements[place.at] == LINCHECK_ABSENT ? ENOENT_APPLIES : 0;
}

static bool same_path(const struct lincheck_path *a, const struct lincheck_path *b)
{
	return a->depth == b->depth && memcmp(a->names, b->names, a->depth) == 0;
}

/* Does a path lead to a place below another one's? */
static bool leads_below(const struct lincheck_path *path, const struct lincheck_path *top)
{
	return path->depth > top->depth && memcmp(path->names, top->names, top->depth) == 0;
}

/* Make the directories that are missing above a place. Returns where its element is. */
static uint32_t make_parents(struct lincheck_state *state, const struct lincheck_path *path)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < path->depth; i++) {
		if (state->elements[at] == LINCHECK_ABSENT)
			put_element(state, at, LINCHECK_DIRECTORY);
		at = child_of(state, at, path->names[i]);
	}
	return at;
}

/*
 * Calls. Each has a function that says which errors apply, and where none does, one that changes
 * the state. Those of single elements do it at once, in *state.
 */

/* The call's answer is right if it is one of these errors, or success where there are none. */
static bool answers(const struct lincheck_call *call, unsigned errors)
{
	if (call->code == 0)
		return errors == 0;
	return (error_set(call->code) & errors) != 0;
}

static bool step_create(struct lincheck_state *state, const struct lincheck_call *call,
						struct place place, bool exclusive, unsigned writer)
{
	lincheck_element element = place.error ? LINCHECK_ABSENT : state->elements[place.at];
	unsigned errors = place.error;

	if (exclusive && element != LINCHECK_ABSENT)
		errors |= EEXIST_APPLIES;
	if (element == LINCHECK_DIRECTORY)
		errors |= EISDIR_APPLIES;
	if (!answers(call, errors))
		return false;
	if (call->code)
		return true;
	if (element == LINCHECK_ABSENT) {
		put_element(state, place.at, make_file(call->file, writer, 0));
		return true;
	}
	if (is_held(element))
		return false; /* it waits */
	put_element(state, place.at, make_file(element & LINCHECK_FILE_MAX, writer, 0));
	return true;
}

static bool step_open_reading(struct lincheck_state *state, const struct lincheck_call *call,
							  struct place place, bool shared)
{
	unsigned errors = missing(state, place);

	if (!errors && state->elements[place.at] == LINCHECK_DIRECTORY)
		errors = EISDIR_APPLIES;
	if (!answers(call, errors))
		return false;
	if (call->code || shared)
		return true;
	lincheck_element file = state->elements[place.at];
	if (writer_of(file))
		return false; /* it waits */
	put_element(state, place.at, make_file(file & LINCHECK_FILE_MAX, 0, readers_of(file) + 1));
	return true;
}

/* The file is this thread's: its path leads to it for as long as it is held. */
static bool is_held_by(const struct lincheck_state *state, struct place place, unsigned thread)
{
	return is_there(state, place) && is_file(state->elements[place.at]) &&
		   writer_of(state->elements[place.at]) == thread + 1;
}

static bool step_fill(struct lincheck_state *state, const struct lincheck_call *call,
					  struct place place)
{
	if (!is_held_by(state, place, call->thread))
		return false;
	put_element(state, place.at, make_file(call->file, call->thread + 1u, 0));
	return true;
}

static bool step_close(struct lincheck_state *state, const struct lincheck_call *call,
					   struct place place)
{
	if (call->code)
		return false;
	if (call->opened_by == LINCHECK_SHARED_XB || call->opened_by == LINCHECK_SHARED_RB)
		return true; /* it was no holder */
	if (call->opened_by == LINCHECK_OPEN_RB) {
		if (!is_there(state, place) || !is_file(state->elements[place.at]) ||
			!readers_of(state->elements[place.at]))
			return false;
		lincheck_element file = state->elements[place.at];
		put_element(state, place.at, make_file(file & LINCHECK_FILE_MAX, 0, readers_of(file) - 1));
		return true;
	}
	if (!is_held_by(state, place, call->thread))
		return false;
	put_element(state, place.at, state->elements[place.at] & LINCHECK_FILE_MAX);
	return true;
}

static bool step_remove(struct lincheck_state *state, const struct lincheck_call *call,
						struct place place, bool whole_tree)
{
	unsigned errors = missing(state, place);

	if (!errors && whole_tree && tree_is_held(state, place.at))
		errors = EBUSY_APPLIES;
	if (!errors && !whole_tree) {
		if (is_held(state->elements[place.at]))
			errors = EBUSY_APPLIES;
		for (uint32_t at = place.at + 1; at < tree_end(state, place.at); at++) {
			if (state->elements[at] != LINCHECK_ABSENT)
				errors = ENOTEMPTY_APPLIES;
		}
	}
	if (!answers(call, errors))
		return false;
	if (!call->code)
		put_element(state, place.at, LINCHECK_ABSENT);
	return true;
}

static bool step_mkdir(struct lincheck_state *state, const struct lincheck_call *call,
					   struct place place)
{
	unsigned errors = place.error & ~(unsigned)ENOENT_APPLIES;
	bool there = is_there(state, place);

	if (there && (state->elements[place.at] != LINCHECK_DIRECTORY || !(call->flags & MFS_EXIST_OK)))
		errors |= EEXIST_APPLIES;
	if (!answers(call, errors))
		return false;
	if (!call->code && !there)
		put_element(state, make_parents(state, &call->path), LINCHECK_DIRECTORY);
	return true;
}

/* The errors of a file or a tree that takes the place of another. */
static unsigned replace_errors(const struct lincheck_state *state, uint32_t from, uint32_t to)
{
	bool onto_file = is_file(state->elements[to]);

	if (is_file(state->elements[from]))
		return onto_file ? 0 : EISDIR_APPLIES;
	if (onto_file)
		return ENOTDIR_APPLIES;
	for (uint32_t at = to + 1; at < tree_end(state, to); at++) {
		if (state->elements[at] != LINCHECK_ABSENT)
			return ENOTEMPTY_APPLIES;
	}
	return 0;
}

static unsigned rename_errors(const struct lincheck_state *state, const struct lincheck_call *call,
							  struct place from, struct place to)
{
	bool exchange = call->kind == LINCHECK_EXCHANGE;
	bool replace = call->kind == LINCHECK_REPLACE ||
				   (call->kind == LINCHECK_MOVE && (call->flags & MFS_RENAME_REPLACE));
	bool from_there = is_there(state, from);
	bool to_there = is_there(state, to);
	unsigned errors = missing(state, from);

	if (same_path(&call->path, &call->to)) {
		if (from_there && !replace && !exchange)
			errors |= EEXIST_APPLIES | (tree_is_held(state, from.at) ? EBUSY_APPLIES : 0);
		return errors;
	}
	if (exchange)
		errors |= missing(state, to);
	else
		errors |= call->kind == LINCHECK_MOVE ? to.error & ~(unsigned)ENOENT_APPLIES : to.error;
	if (to_there && !exchange && !replace)
		errors |= EEXIST_APPLIES;
	if (!from_there)
		return errors;
	/* Nothing is below a file: what leads there has failed before. */
	if (state->elements[from.at] == LINCHECK_DIRECTORY && leads_below(&call->to, &call->path))
		errors |= EINVAL_APPLIES;
	if (exchange && to_there && leads_below(&call->path, &call->to))
		errors |= EINVAL_APPLIES;
	if (tree_is_held(state, from.at) || (to_there && tree_is_held(state, to.at)))
		errors |= EBUSY_APPLIES;
	if (to_there && replace)
		errors |= replace_errors(state, from.at, to.at);
	return errors;
}

static bool step_rename(struct lincheck_state *state, const struct lincheck_call *call)
{
	lincheck_element moved[LINCHECK_STATE_MAX];
	lincheck_element back[LINCHECK_STATE_MAX];
	struct place from = find(state, &call->path);
	struct place to = find(state, &call->to);

	if (!answers(call, rename_errors(state, call, from, to)))
		return false;
	if (call->code || same_path(&call->path, &call->to))
		return true;
	uint32_t moved_count = tree_end(state, from.at) - from.at;
	memcpy(moved, state->elements + from.at, moved_count * sizeof(moved[0]));
	if (call->kind == LINCHECK_EXCHANGE) {
		uint32_t back_count = tree_end(state, to.at) - to.at;
		memcpy(back, state->elements + to.at, back_count * sizeof(back[0]));
		replace_tree(state, from.at, back, back_count);
	} else {
		put_element(state, from.at, LINCHECK_ABSENT);
	}
	/* Neither is below the other, so that the path still leads there, perhaps farther on. */
	replace_tree(state, make_parents(state, &call->to), moved, moved_count);
	return true;
}

static unsigned copy_errors(const struct lincheck_state *state, const struct lincheck_call *call,
							struct place from, struct place to)
{
	bool whole_tree = call->kind == LINCHECK_COPY_TREE;
	unsigned errors = missing(state, from) | to.error;

	if (is_there(state, to))
		errors |= EEXIST_APPLIES;
	if (!is_there(state, from))
		return errors;
	if (is_file(state->elements[from.at]) == whole_tree)
		errors |= whole_tree ? ENOTDIR_APPLIES : EISDIR_APPLIES;
	if (whole_tree && leads_below(&call->to, &call->path))
		errors |= EINVAL_APPLIES;
	return errors;
}

/* The copy is of one instant, and nobody holds it. */
static bool step_copy(struct lincheck_state *state, const struct lincheck_call *call)
{
	lincheck_element copied[LINCHECK_STATE_MAX];
	struct place from = find(state, &call->path);
	struct place to = find(state, &call->to);

	if (!answers(call, copy_errors(state, call, from, to)))
		return false;
	if (call->code)
		return true;
	uint32_t count = tree_end(state, from.at) - from.at;
	for (uint32_t i = 0; i < count; i++) {
		lincheck_element element = state->elements[from.at + i];
		if (is_file(element) && writer_of(element))
			return false; /* it waits */
		copied[i] = is_file(element) ? element & LINCHECK_FILE_MAX : element;
	}
	replace_tree(state, to.at, copied, count);
	return true;
}

static bool step_import(struct lincheck_state *state, const struct lincheck_call *call)
{
	unsigned errors = 0;

	for (unsigned i = 0; i < call->item_count; i++) {
		struct place place = find(state, &call->items[i].path);
		errors |= place.error & ~(unsigned)ENOENT_APPLIES;
		if (!is_there(state, place))
			continue;
		bool onto_file = is_file(state->elements[place.at]);
		if (call->items[i].file == 0)
			errors |= onto_file ? ENOTDIR_APPLIES : 0;
		else if (!onto_file)
			errors |= EISDIR_APPLIES;
		else if (is_held(state->elements[place.at]))
			errors |= EBUSY_APPLIES;
	}
	if (!answers(call, errors))
		return false;
	for (unsigned i = 0; i < call->item_count && !call->code; i++) {
		uint32_t at = make_parents(state, &call->items[i].path);
		if (call->items[i].file != 0)
			put_element(state, at, make_file(call->items[i].file, 0, 0));
		else if (state->elements[at] == LINCHECK_ABSENT)
			put_element(state, at, LINCHECK_DIRECTORY);
	}
	return true;
}

static bool answer_exists(const struct lincheck_state *state, const struct lincheck_call *call,
						  struct place place)
{
	bool right = is_there(state, place);

	if (right && call->flags != LINCHECK_ANYTHING)
		right = is_file(state->elements[place.at]) == (call->flags == LINCHECK_A_FILE);
	return call->code == (right ? 1 : 0);
}

static bool answer_stat(const struct lincheck_state *state, const struct lincheck_call *call,
						struct place place)
{
	if (!answers(call, missing(state, place)))
		return false;
	if (call->code)
		return true;
	lincheck_element element = state->elements[place.at];
	return call->seen == (is_file(element) ? element & LINCHECK_FILE_MAX : element);
}

static bool answer_listdir(const struct lincheck_state *state, const struct lincheck_call *call,
						   struct place place)
{
	unsigned errors = missing(state, place);
	unsigned names = 0;

	if (!errors && is_file(state->elements[place.at]))
		errors = ENOTDIR_APPLIES;
	if (!answers(call, errors))
		return false;
	if (call->code)
		return true;
	for (unsigned name = 0; name < LINCHECK_NAMES; name++) {
		if (state->elements[child_of(state, place.at, name)] != LINCHECK_ABSENT)
			names |= 1u << name;
	}
	return call->seen == names;
}

bool lincheck_call_is_harmless(const struct lincheck_call *call)
{
	switch (call->kind) {
	case LINCHECK_EXISTS:
	case LINCHECK_STAT:
	case LINCHECK_LISTDIR:
	case LINCHECK_TREE:
		return true;
	default:
		return call->code != 0;
	}
}

bool lincheck_step(const struct lincheck_state *before, const struct lincheck_call *call,
				   struct lincheck_state *after)
{
	struct place place = find(before, &call->path);

	copy_state(after, before);
	switch (call->kind) {
	case LINCHECK_OPEN_XB:
		return step_create(after, call, place, true, call->thread + 1u);
	case LINCHECK_OPEN_WB:
		return step_create(after, call, place, false, call->thread + 1u);
	case LINCHECK_SHARED_XB:
		return step_create(after, call, place, true, 0);
	case LINCHECK_OPEN_RB:
		return step_open_reading(after, call, place, false);
	case LINCHECK_SHARED_RB:
		return step_open_reading(after, call, place, true);
	case LINCHECK_FILL:
		return step_fill(after, call, place);
	case LINCHECK_CLOSE:
		return step_close(after, call, place);
	case LINCHECK_REMOVE:
		return step_remove(after, call, place, false);
	case LINCHECK_RMTREE:
		return step_remove(after, call, place, true);
	case LINCHECK_MKDIR:
		return step_mkdir(after, call, place);
	case LINCHECK_RENAME:
	case LINCHECK_REPLACE:
	case LINCHECK_EXCHANGE:
	case LINCHECK_MOVE:
		return step_rename(after, call);
	case LINCHECK_IMPORT:
		return step_import(after, call);
	case LINCHECK_COPY:
	case LINCHECK_COPY_TREE:
		return step_copy(after, call);
	case LINCHECK_EXISTS:
		return answer_exists(before, call, place);
	case LINCHECK_STAT:
		return answer_stat(before, call, place);
	case LINCHECK_LISTDIR:
		return answer_listdir(before, call, place);
	case LINCHECK_TREE:
		return lincheck_state_equal(before, call->tree);
	case LINCHECK_KIND_COUNT:
		break;
	}
	stress_die("no such kind of call");
}
