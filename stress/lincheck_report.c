/* SPDX-License-Identifier: MIT */
/*
 * A violation in words, and made small first: what can be left out while the rest still has no
 * order.
 */
#include "lincheck.h"

#include <stdarg.h>

const char *lincheck_kind_word(enum lincheck_kind kind)
{
	static const char *const words[LINCHECK_KIND_COUNT] = {
#define LINCHECK_KIND_WORD(name, word) word,
		LINCHECK_KIND_MAP(LINCHECK_KIND_WORD)
#undef LINCHECK_KIND_WORD
	};

	return words[kind];
}

/*
 * Words
 */

/* Add to a text of a certain size, as far as it fits. */
static void add(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

char *lincheck_path_text(const struct lincheck_path *path, char text[static LINCHECK_PATH_SIZE])
{
	unsigned length = 0;

	if (path->depth == 0)
		text[length++] = '/';
	for (unsigned i = 0; i < path->depth; i++) {
		text[length++] = '/';
		text[length++] = (char)('a' + path->names[i]);
	}
	text[length] = '\0';
	return text;
}

static void add_arguments(const struct lincheck_call *call, char *text)
{
	char path[LINCHECK_PATH_SIZE];

	switch (call->kind) {
	case LINCHECK_RENAME:
	case LINCHECK_REPLACE:
	case LINCHECK_EXCHANGE:
	case LINCHECK_MOVE:
	case LINCHECK_COPY:
	case LINCHECK_COPY_TREE:
		add(text, LINCHECK_CALL_SIZE, "%s", lincheck_path_text(&call->path, path));
		add(text, LINCHECK_CALL_SIZE, ", %s", lincheck_path_text(&call->to, path));
		if (call->kind == LINCHECK_MOVE && call->flags)
			add(text, LINCHECK_CALL_SIZE, ", replacing");
		break;
	case LINCHECK_IMPORT:
		for (unsigned i = 0; i < call->item_count; i++) {
			const struct lincheck_item *item = &call->items[i];
			add(text, LINCHECK_CALL_SIZE, "%s%s", i ? ", " : "",
				lincheck_path_text(&item->path, path));
			if (item->file)
				add(text, LINCHECK_CALL_SIZE, " file %u", item->file);
			else
				add(text, LINCHECK_CALL_SIZE, " directory");
		}
		break;
	case LINCHECK_EXISTS:
		add(text, LINCHECK_CALL_SIZE, "%s%s", lincheck_path_text(&call->path, path),
			call->flags == LINCHECK_ANYTHING      ? ""
			: call->flags == LINCHECK_A_DIRECTORY ? ", a directory"
												  : ", a file");
		break;
	case LINCHECK_MKDIR:
		add(text, LINCHECK_CALL_SIZE, "%s%s", lincheck_path_text(&call->path, path),
			call->flags ? ", may exist" : "");
		break;
	case LINCHECK_TREE:
		break;
	default:
		add(text, LINCHECK_CALL_SIZE, "%s", lincheck_path_text(&call->path, path));
		if (call->file)
			add(text, LINCHECK_CALL_SIZE, ", file %u", call->file);
	}
}

static void add_answer(const struct lincheck_call *call, char *text)
{
	if (call->kind == LINCHECK_EXISTS) {
		add(text, LINCHECK_CALL_SIZE, "%s", call->code ? "true" : "false");
	} else if (call->code) {
		add(text, LINCHECK_CALL_SIZE, "%s", mfs_error_name(call->code));
	} else if (call->kind == LINCHECK_STAT) {
		if (call->seen == LINCHECK_DIRECTORY)
			add(text, LINCHECK_CALL_SIZE, "directory");
		else if (call->seen == LINCHECK_FOREIGN_FILE)
			add(text, LINCHECK_CALL_SIZE, "a file of a size that none has");
		else
			add(text, LINCHECK_CALL_SIZE, "file %u", call->seen);
	} else if (call->kind == LINCHECK_LISTDIR) {
		add(text, LINCHECK_CALL_SIZE, "{");
		for (unsigned name = 0; name < LINCHECK_NAMES; name++) {
			if (call->seen & (1u << name))
				add(text, LINCHECK_CALL_SIZE, " %c", (char)('a' + name));
		}
		add(text, LINCHECK_CALL_SIZE, "%s }",
			call->seen & LINCHECK_FOREIGN_NAME ? " and a foreign name" : "");
	} else if (call->kind == LINCHECK_TREE) {
		char tree[LINCHECK_TREE_SIZE];
		add(text, LINCHECK_CALL_SIZE, "%s", lincheck_tree_text(call->tree, tree));
	} else {
		add(text, LINCHECK_CALL_SIZE, "0");
	}
}

char *lincheck_call_text(const struct lincheck_call *call, char text[static LINCHECK_CALL_SIZE])
{
	text[0] = '\0';
	add(text, LINCHECK_CALL_SIZE, "%s(", lincheck_kind_word(call->kind));
	add_arguments(call, text);
	add(text, LINCHECK_CALL_SIZE, ") = ");
	add_answer(call, text);
	return text;
}

char *lincheck_tree_text(const struct lincheck_state *state, char text[static LINCHECK_TREE_SIZE])
{
	/* For each directory that is open, the next name. */
	static _Thread_local uint8_t next[LINCHECK_STATE_MAX];
	unsigned depth = 1;
	uint32_t at = 1;

	text[0] = '\0';
	add(text, LINCHECK_TREE_SIZE, "{");
	next[0] = 0;
	while (depth > 0) {
		unsigned name = next[depth - 1]++;
		if (name == LINCHECK_NAMES) {
			add(text, LINCHECK_TREE_SIZE, " }");
			depth--;
			continue;
		}
		lincheck_element element = state->elements[at++];
		if (element == LINCHECK_ABSENT)
			continue;
		add(text, LINCHECK_TREE_SIZE, " %c:", (char)('a' + name));
		if (element == LINCHECK_DIRECTORY) {
			add(text, LINCHECK_TREE_SIZE, "{");
			next[depth++] = 0;
			continue;
		}
		add(text, LINCHECK_TREE_SIZE, "%u%s", element & LINCHECK_FILE_MAX,
			element > LINCHECK_FILE_MAX ? " held" : "");
	}
	return text;
}

/*
 * Making it small
 */

static bool still_violates(struct lincheck_search *search, const struct lincheck_state *initial,
						   const struct lincheck_call *calls, unsigned count)
{
	struct lincheck_found found;

	return lincheck_search(search, initial, calls, count, &found) == LINCHECK_VIOLATION;
}

/* Is everything else over before this call begins? Then it explains nothing. */
static bool is_last(const struct lincheck_call *calls, unsigned count, unsigned which)
{
	for (unsigned i = 0; i < count; i++) {
		if (i != which && calls[i].returned > calls[which].invoked)
			return false;
	}
	return true;
}

static void leave_out(struct lincheck_call *calls, unsigned *count, unsigned which)
{
	(*count)--;
	memmove(calls + which, calls + which + 1, (*count - which) * sizeof(calls[0]));
}

/* Is the second call the second step of the first? */
static bool is_fill_of(const struct lincheck_call *fill, const struct lincheck_call *call)
{
	return fill->kind == LINCHECK_FILL && call->kind == LINCHECK_OPEN_WB &&
		   fill->thread == call->thread && fill->invoked - call->invoked < 2;
}

/*
 * If a call is over before all others begin, it comes first in every order: let the tree begin with
 * it. Returns false if there is no such call.
 */
static bool fold_first(struct lincheck_state *initial, struct lincheck_call *calls, unsigned *count)
{
	struct lincheck_state after;
	unsigned first = 0;

	for (unsigned i = 1; i < *count; i++) {
		if (calls[i].invoked < calls[first].invoked)
			first = i;
	}
	if (*count < 2)
		return false;
	for (unsigned i = 0; i < *count; i++) {
		if (i != first && calls[i].invoked < calls[first].returned &&
			!is_fill_of(&calls[i], &calls[first]))
			return false;
	}
	if (!lincheck_step(initial, &calls[first], &after))
		return false;
	memcpy(initial, &after, sizeof(after));
	leave_out(calls, count, first);
	return true;
}

/*
 * A call that leaves the tree as it is can be left out: an order of all calls is one of the others,
 * too, so that a violation without it is one with it. The same holds for a call after all others.
 */
unsigned lincheck_minimise(struct lincheck_search *search, struct lincheck_state *initial,
						   struct lincheck_call *calls, unsigned count)
{
	struct lincheck_call without[LINCHECK_CALLS_MAX];
	bool changed = true;

	while (changed) {
		changed = false;
		for (unsigned i = count; i-- > 0;) {
			unsigned left = count;
			if (!lincheck_call_is_harmless(&calls[i]) && !is_last(calls, count, i))
				continue;
			memcpy(without, calls, count * sizeof(calls[0]));
			leave_out(without, &left, i);
			if (!still_violates(search, initial, without, left))
				continue;
			leave_out(calls, &count, i);
			changed = true;
		}
		while (fold_first(initial, calls, &count))
			changed = true;
	}
	return count;
}

/*
 * Printing
 */

static int compare_invocations(const void *a, const void *b)
{
	uint32_t time_a = ((const struct lincheck_call *)a)->invoked;
	uint32_t time_b = ((const struct lincheck_call *)b)->invoked;

	return (time_a > time_b) - (time_a < time_b);
}

static void print_call(const struct lincheck_call *call)
{
	char text[LINCHECK_CALL_SIZE];

	if (call->kind == LINCHECK_TREE)
		printf("  at rest   [%4u,%4u] ", call->invoked, call->returned);
	else
		printf("  thread %u  [%4u,%4u] ", call->thread, call->invoked, call->returned);
	printf("%s\n", lincheck_call_text(call, text));
}

void lincheck_print(struct lincheck_search *search, const struct lincheck_state *initial,
					const struct lincheck_call *calls, unsigned count)
{
	struct lincheck_call sorted[LINCHECK_CALLS_MAX];
	struct lincheck_found found;
	struct lincheck_state states[2];
	char tree[LINCHECK_TREE_SIZE];
	bool placed[LINCHECK_CALLS_MAX] = {false};
	uint32_t first_return = UINT32_MAX;

	memcpy(sorted, calls, count * sizeof(calls[0]));
	qsort(sorted, count, sizeof(sorted[0]), compare_invocations);
	printf("the tree before: %s\n", lincheck_tree_text(initial, tree));
	printf("the calls, with the moments of invocation and return:\n");
	for (unsigned i = 0; i < count; i++)
		print_call(&sorted[i]);
	if (lincheck_search(search, initial, sorted, count, &found) != LINCHECK_VIOLATION)
		return;
	printf("the longest order that fits:\n");
	memcpy(&states[0], initial, sizeof(states[0]));
	for (unsigned i = 0; i < found.longest; i++) {
		const struct lincheck_call *call = &sorted[found.order[i]];
		placed[found.order[i]] = true;
		print_call(call);
		if (!lincheck_step(&states[i % 2], call, &states[1 - i % 2]))
			stress_die("the search and the model disagree");
	}
	printf("the tree then: %s\n", lincheck_tree_text(&states[found.longest % 2], tree));
	for (unsigned i = 0; i < count; i++) {
		if (!placed[i] && sorted[i].returned < first_return)
			first_return = sorted[i].returned;
	}
	printf("none of these fits as the next one:\n");
	for (unsigned i = 0; i < count; i++) {
		if (!placed[i] && sorted[i].invoked < first_return)
			print_call(&sorted[i]);
	}
}
