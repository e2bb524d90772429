/* SPDX-License-Identifier: MIT */
/*
 * The search for an order: Wing and Gong's algorithm ("Testing and verifying concurrent objects"),
 * with Lowe's memory of what was tried already, in the form that the porcupine checker gave it.
 *
 * The invocations and returns of a history are a list in the order of time. The search takes an
 * invocation that stands before the first return, lets the model make the call, and if its answer
 * fits takes invocation and return out of the list. At a return nothing can be put off any longer:
 * it takes the last step back and tries the next invocation instead. When the list is empty, the
 * order is found. Two orders of the same calls that lead to the same state have the same future, so
 * each pair of the set of calls and the state is gone through once.
 */
#include "lincheck.h"

#define SET_WORDS (LINCHECK_CALLS_MAX / 64)

/* Calls that were taken. */
struct set {
	uint64_t words[SET_WORDS];
};

/* An invocation or a return. */
struct event {
	uint16_t next;
	uint16_t previous;
	uint16_t partner; /* an invocation's return; 0: this is a return */
	uint16_t call;
};

/* A pair of a set and a state. */
struct visited {
	uint32_t search; /* in which it was noted: the table need not be cleared between searches */
	uint32_t length;
	uint64_t hash;
	size_t elements; /* where the state is, in the store */
	struct set taken;
};

/* A step that may have to be taken back. */
struct step {
	uint16_t event;
	uint32_t length; /* the state before */
	size_t elements;
};

struct lincheck_search {
	uint32_t number;
	uint32_t states_max;
	uint32_t states;
	/* Hash table, a power of two. */
	struct visited *table;
	size_t mask;
	/* The states of all pairs, one after the other. */
	lincheck_element *store;
	size_t store_size;
	size_t store_used;
	/* The list begins at 0, which is no event. */
	struct event events[1 + 2 * LINCHECK_CALLS_MAX];
	struct step steps[LINCHECK_CALLS_MAX];
};

static void *reallocate(void *memory, size_t count, size_t size)
{
	memory = realloc(memory, count * size);
	if (!memory)
		stress_die("out of memory");
	return memory;
}

struct lincheck_search *lincheck_search_new(uint32_t states_max)
{
	struct lincheck_search *search = calloc(1, sizeof(*search));

	if (!search)
		stress_die("out of memory");
	search->states_max = states_max;
	search->mask = 4095;
	search->table = calloc(search->mask + 1, sizeof(*search->table));
	if (!search->table)
		stress_die("out of memory");
	search->store_size = 1u << 16;
	search->store = reallocate(NULL, search->store_size, sizeof(*search->store));
	return search;
}

void lincheck_search_free(struct lincheck_search *search)
{
	free(search->table);
	free(search->store);
	free(search);
}

/*
 * What was tried already
 */

static uint64_t hash_of(const struct set *taken, const struct lincheck_state *state)
{
	size_t bytes = state->length * sizeof(state->elements[0]);
	uint64_t hash = bytes;
	uint64_t word;

	for (unsigned i = 0; i < SET_WORDS; i++)
		hash = stress_mix(hash ^ taken->words[i]);
	for (size_t at = 0; at < bytes; at += sizeof(word)) {
		size_t part = bytes - at < sizeof(word) ? bytes - at : sizeof(word);
		word = 0;
		memcpy(&word, (const unsigned char *)state->elements + at, part);
		hash = stress_mix(hash ^ word);
	}
	return hash;
}

static size_t store_state(struct lincheck_search *search, const struct lincheck_state *state)
{
	size_t at = search->store_used;

	if (search->store_size - at < state->length) {
		search->store_size *= 2;
		search->store = reallocate(search->store, search->store_size, sizeof(*search->store));
	}
	memcpy(search->store + at, state->elements, state->length * sizeof(*search->store));
	search->store_used = at + state->length;
	return at;
}

static void load_state(const struct lincheck_search *search, size_t at, uint32_t length,
					   struct lincheck_state *state)
{
	state->length = length;
	memcpy(state->elements, search->store + at, length * sizeof(*search->store));
}

static void grow_table(struct lincheck_search *search)
{
	struct visited *old = search->table;
	size_t old_mask = search->mask;

	search->mask = 2 * old_mask + 1;
	search->table = calloc(search->mask + 1, sizeof(*search->table));
	if (!search->table)
		stress_die("out of memory");
	for (size_t i = 0; i <= old_mask; i++) {
		if (old[i].search != search->number)
			continue;
		size_t slot = old[i].hash & search->mask;
		while (search->table[slot].search == search->number)
			slot = (slot + 1) & search->mask;
		search->table[slot] = old[i];
	}
	free(old);
}

/* Note a pair. Returns false if it is there already. *elements tells where the state is kept. */
static bool note(struct lincheck_search *search, const struct set *taken,
				 const struct lincheck_state *state, size_t *elements)
{
	uint64_t hash = hash_of(taken, state);
	size_t slot = hash & search->mask;

	for (; search->table[slot].search == search->number; slot = (slot + 1) & search->mask) {
		const struct visited *other = &search->table[slot];
		if (other->hash == hash && other->length == state->length &&
			memcmp(&other->taken, taken, sizeof(*taken)) == 0 &&
			memcmp(search->store + other->elements, state->elements,
				   state->length * sizeof(state->elements[0])) == 0)
			return false;
	}
	*elements = store_state(search, state);
	search->table[slot] = (struct visited){search->number, state->length, hash, *elements, *taken};
	if (++search->states > search->mask / 2)
		grow_table(search);
	return true;
}

/*
 * The list
 */

struct moment {
	uint32_t time;
	uint16_t call;
	bool is_return;
};

static int compare_moments(const void *a, const void *b)
{
	uint32_t time_a = ((const struct moment *)a)->time;
	uint32_t time_b = ((const struct moment *)b)->time;

	return (time_a > time_b) - (time_a < time_b);
}

static void make_list(struct lincheck_search *search, const struct lincheck_call *calls,
					  unsigned count)
{
	struct moment moments[2 * LINCHECK_CALLS_MAX] = {{0}};
	uint16_t invocations[LINCHECK_CALLS_MAX];

	for (unsigned i = 0; i < count; i++) {
		moments[2 * i] = (struct moment){calls[i].invoked, (uint16_t)i, false};
		moments[2 * i + 1] = (struct moment){calls[i].returned, (uint16_t)i, true};
	}
	qsort(moments, 2 * (size_t)count, sizeof(moments[0]), compare_moments);
	for (unsigned i = 0; i <= 2 * count; i++) {
		struct event *event = &search->events[i];
		event->previous = (uint16_t)(i ? i - 1 : 2 * count);
		event->next = (uint16_t)(i < 2 * count ? i + 1 : 0);
		event->partner = 0;
		if (i == 0)
			continue;
		const struct moment *moment = &moments[i - 1];
		event->call = moment->call;
		if (moment->is_return)
			search->events[invocations[moment->call]].partner = (uint16_t)i;
		else
			invocations[moment->call] = (uint16_t)i;
	}
}

static void take_out(struct event *events, uint16_t index)
{
	events[events[index].previous].next = events[index].next;
	events[events[index].next].previous = events[index].previous;
}

static void put_back(struct event *events, uint16_t index)
{
	events[events[index].previous].next = index;
	events[events[index].next].previous = index;
}

/*
 * The search
 */

static void note_longest(const struct lincheck_search *search, unsigned depth,
						 struct lincheck_found *found)
{
	if (depth <= found->longest)
		return;
	found->longest = depth;
	for (unsigned i = 0; i < depth; i++)
		found->order[i] = (uint8_t)search->events[search->steps[i].event].call;
}

enum lincheck_verdict lincheck_search(struct lincheck_search *search,
									  const struct lincheck_state *initial,
									  const struct lincheck_call *calls, unsigned count,
									  struct lincheck_found *found)
{
	struct event *events = search->events;
	struct lincheck_state states[2]; /* the one now, and the next */
	unsigned now = 0;
	struct set taken = {{0}};
	unsigned depth = 0;
	enum lincheck_verdict verdict = LINCHECK_LINEARIZABLE;

	if (count > LINCHECK_CALLS_MAX)
		stress_die("a history has too many calls");
	search->number++;
	search->states = 0;
	search->store_used = 0;
	*found = (struct lincheck_found){0};
	make_list(search, calls, count);
	size_t elements = store_state(search, initial);
	states[1].length = 0;
	load_state(search, elements, initial->length, &states[now]);

	uint16_t at = events[0].next;
	while (events[0].next != 0) {
		if (events[at].partner != 0) {
			unsigned call = events[at].call;
			struct set with = taken;
			size_t next_elements;
			with.words[call / 64] |= UINT64_C(1) << (call % 64);
			if (lincheck_step(&states[now], &calls[call], &states[1 - now]) &&
				note(search, &with, &states[1 - now], &next_elements)) {
				search->steps[depth++] = (struct step){at, states[now].length, elements};
				note_longest(search, depth, found);
				taken = with;
				elements = next_elements;
				now = 1 - now;
				take_out(events, events[at].partner);
				take_out(events, at);
				at = events[0].next;
			} else {
				at = events[at].next;
			}
			if (search->states <= search->states_max)
				continue;
			verdict = LINCHECK_UNDECIDED;
			break;
		}
		if (depth == 0) {
			verdict = LINCHECK_VIOLATION;
			break;
		}
		const struct step *step = &search->steps[--depth];
		unsigned call = events[step->event].call;
		taken.words[call / 64] &= ~(UINT64_C(1) << (call % 64));
		elements = step->elements;
		load_state(search, elements, step->length, &states[now]);
		put_back(events, step->event);
		put_back(events, events[step->event].partner);
		at = events[step->event].next;
	}
	found->states = search->states;
	return verdict;
}
