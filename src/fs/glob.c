/* SPDX-License-Identifier: MIT */
/*
 * Glob: one walk, with all ways to match the pattern followed at once.
 *
 * A state is the index of a component: that which names in the directory are to match. A directory
 * is entered with the set of states that its path allows. Where "**" is one of them, the states
 * before it are dropped: "**" stands for whatever they could still match on their way to it. So the
 * set never has states of more than one stretch between two "**", however many there are. A
 * directory with a single state that stands for one name is not read: the name is looked up.
 *
 * What is to be done in a directory is a list of names, each either a result, or with a '/' at its
 * end a directory to go into. They are sorted with the '/', so results come in the order of paths:
 * "/a", "/a.b", "/a/x".
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/reclaim.h"
#include "fs/glob_pattern.h"
#include "fs/growing.h"
#include "fs/name_sort.h"
#include "fs/trail.h"

#include <string.h>

/* A state: a pattern has at most 32768 components. */
typedef uint16_t state;

/* States, ascending. */
struct states {
	state *list;
	size_t count;
};

struct glob {
	mfs *fs;
	struct mfs__glob_pattern pattern;
	struct mfs__trail trail;
	/* The results so far, each with a NUL. */
	char *text;
	size_t text_length;
	size_t text_room;
	size_t count;
};

/*
 * States
 */

static void add_one(struct states *states, size_t index)
{
	if (!states->count || states->list[states->count - 1] < index)
		states->list[states->count++] = (state)index;
}

/* Add the state of a component, and, as "**" may be nothing, of the one behind it. At most two. */
static void add_state(const struct mfs__glob_pattern *pattern, struct states *states, size_t index)
{
	if (pattern->components[index].kind == MFS__GLOB_DEEP) {
		states->count = 0;
		add_one(states, index);
		index++;
	}
	if (index < pattern->count)
		add_one(states, index);
}

/*
 * Match a name in a directory that has the states `from`. Returns whether the name is a result;
 * `to`, with room for twice as many, are the states that it has as a directory.
 */
static bool match_name(const struct mfs__glob_pattern *pattern, const struct states *from,
					   const char *name, size_t length, struct states *to)
{
	bool result = false;

	to->count = 0;
	for (size_t i = 0; i < from->count; i++) {
		size_t index = from->list[i];
		const struct mfs__glob_component *component = &pattern->components[index];
		bool is_last = index + 1 == pattern->count;
		if (component->kind == MFS__GLOB_DEEP) {
			result |= is_last;
			add_state(pattern, to, index);
		} else if (mfs__glob_matches(pattern, component, name, length)) {
			result |= is_last;
			if (!is_last)
				add_state(pattern, to, index + 1);
		}
	}
	return result;
}

/*
 * What is to be done in a directory. A name to go into has its states before it:
 *   [ states ][ number of states ] name / NUL
 */

/* The room in a step's extra block. */
struct todo {
	char **end; /* of the names so far */
	char *next; /* where the next name to go into begins */
};

static int begin_todo(struct mfs__trail_step *step, size_t names, size_t bytes, struct todo *todo)
{
	step->extra_size = names * sizeof(char *) + bytes + MFS__NAME_PAD;
	step->extra = mfs__alloc(step->extra_size);
	if (!step->extra)
		return MFS_ENOMEM;
	step->next = step->extra;
	*todo = (struct todo){step->next, (char *)(step->next + names)};
	return 0;
}

static int end_todo(struct mfs__trail_step *step, struct todo *todo)
{
	memset(todo->next, 0, MFS__NAME_PAD);
	step->end = todo->end;
	return mfs__names_sort(step->next, (size_t)(step->end - step->next));
}

/* Bytes that a name to go into takes at most, besides its own. */
static size_t entry_bytes(const struct states *states)
{
	return (2 * states->count + 1) * sizeof(state) + sizeof "/" + _Alignof(state) - 1;
}

/* Where the states of the next name to go into are put together. */
static struct states next_states(const struct todo *todo)
{
	return (struct states){.list = (state *)(void *)todo->next};
}

/* Add a name to go into; its states are in place. */
static void add_entry(struct todo *todo, const struct states *states, const char *name,
					  size_t length)
{
	states->list[states->count] = (state)states->count;
	char *text = (char *)(states->list + states->count + 1);
	memcpy(text, name, length);
	memcpy(text + length, "/", sizeof "/");
	*todo->end++ = text;
	todo->next = text + length + sizeof "/";
	todo->next += (uintptr_t)todo->next % _Alignof(state);
}

static struct states states_of(char *entry)
{
	state *end = (state *)(void *)entry - 1;

	return (struct states){end - *end, *end};
}

/* A directory in which only one name can match. */
static int plan_lookup(const struct mfs__glob_pattern *pattern, const struct states *states,
					   struct mfs__trail_step *step)
{
	size_t index = states->list[0];
	const struct mfs__name *name = &pattern->components[index].text;
	struct mfs__directory *child;
	struct todo todo;

	int code = begin_todo(step, 1, name->length + entry_bytes(states), &todo);
	if (code)
		return code;
	if (index + 1 < pattern->count) {
		struct states next = next_states(&todo);
		add_state(pattern, &next, index + 1);
		add_entry(&todo, &next, name->text, name->length);
		return end_todo(step, &todo);
	}
	code = mfs__directory_child(step->directory, name, &child);
	if (!code) {
		if (child)
			mfs__directory_unpin(child);
		*todo.end++ = todo.next;
		memcpy(todo.next, name->text, name->length);
		todo.next[name->length] = '\0';
		todo.next += name->length + 1;
	}
	return end_todo(step, &todo);
}

/* A directory whose names are matched. */
static int plan_reading(const struct mfs__glob_pattern *pattern, const struct states *states,
						struct mfs__trail_step *step)
{
	const struct mfs__listing *listing = &step->listing;
	struct todo todo;
	size_t bytes = 0;

	int code = mfs__listing_read(step->directory, MFS__LIST_SPLIT, &step->listing);
	if (code)
		return code;
	for (size_t i = 0; i < listing->count; i++)
		bytes += strlen(listing->names[i]) + entry_bytes(states);
	/* Each may be a result, a directory also be gone into. Files have states that nobody reads. */
	code = begin_todo(step, listing->file_count + 2 * listing->count, bytes + entry_bytes(states),
					  &todo);
	if (code)
		return code;
	for (size_t i = 0; i < listing->file_count; i++) {
		struct states next = next_states(&todo);
		char *name = listing->files[i];
		if (match_name(pattern, states, name, strlen(name), &next))
			*todo.end++ = name;
	}
	for (size_t i = 0; i < listing->count; i++) {
		struct states next = next_states(&todo);
		char *name = listing->names[i];
		size_t length = strlen(name);
		if (match_name(pattern, states, name, length, &next))
			*todo.end++ = name;
		if (next.count)
			add_entry(&todo, &next, name, length);
	}
	return end_todo(step, &todo);
}

/*
 * The walk
 */

/* Go into a pinned directory, unless there is nothing to do. The pin is taken over. */
static int enter(struct glob *glob, struct mfs__directory *directory, const struct states *states,
				 const char *name, size_t length)
{
	struct mfs__trail_step step = {.directory = directory};
	int code = MFS__AGAIN;

	if (!mfs__trail_has(&glob->trail, directory)) {
		size_t first = states->list[0];
		if (states->count == 1 && glob->pattern.components[first].kind == MFS__GLOB_LITERAL)
			code = plan_lookup(&glob->pattern, states, &step);
		else
			code = plan_reading(&glob->pattern, states, &step);
	}
	if (!code && step.next != step.end) {
		code = mfs__trail_push(&glob->trail, &step, name, length);
		if (!code)
			return 0;
	}
	mfs__trail_drop(&step);
	return code == MFS__AGAIN ? 0 : code;
}

static int descend(struct glob *glob, char *entry, size_t length)
{
	struct mfs__path_cursor cursor = {entry, entry + length};
	struct states states = states_of(entry);
	struct mfs__directory *directory;
	struct mfs__name name;

	(void)mfs__path_next(&cursor, &name);
	int code = mfs__directory_child(mfs__trail_last(&glob->trail)->directory, &name, &directory);
	if (code || !directory)
		return 0; /* removed, or a file's name */
	return enter(glob, directory, &states, name.text, name.length);
}

static int add_result(struct glob *glob, const char *name, size_t length)
{
	size_t above = glob->trail.path_length;
	char *text = mfs__grow(glob->text, &glob->text_room, glob->text_length + above + length + 2, 1);

	if (!text)
		return MFS_ENOMEM;
	glob->text = text;
	text += glob->text_length;
	memcpy(text, glob->trail.path, above);
	text[above] = '/';
	memcpy(text + above + 1, name, length);
	text[above + 1 + length] = '\0';
	glob->text_length += above + length + 2;
	glob->count++;
	return 0;
}

static int run(struct glob *glob)
{
	struct mfs__path root = {.text = ""};
	state list[2];
	struct states states = {.list = list};

	int code = mfs__trail_begin(&glob->trail, &root);
	if (code)
		return code;
	if (!glob->pattern.count)
		return add_result(glob, "", 0);
	add_state(&glob->pattern, &states, 0);
	mfs__node_pin(&glob->fs->tree.root->node);
	code = enter(glob, glob->fs->tree.root, &states, "", 0);
	while (!code && mfs__trail_last(&glob->trail)) {
		struct mfs__trail_step *last = mfs__trail_last(&glob->trail);
		if (last->next == last->end) {
			mfs__trail_pop(&glob->trail);
			continue;
		}
		char *entry = *last->next++;
		size_t length = strlen(entry);
		code = entry[length - 1] == '/' ? descend(glob, entry, length)
										: add_result(glob, entry, length);
	}
	return code;
}

/* The block that the caller gets. */
static int give(struct glob *glob, char ***paths)
{
	size_t pointers = (glob->count + 1) * sizeof(char *);
	size_t size = sizeof(struct mfs__names_block) + pointers + glob->text_length;
	struct mfs__names_block *block = mfs__alloc(size);

	if (!block)
		return MFS_ENOMEM;
	block->size = size;
	char *next = (char *)block->names + pointers;
	if (glob->text_length)
		memcpy(next, glob->text, glob->text_length);
	for (size_t i = 0; i < glob->count; i++) {
		block->names[i] = next;
		next += strlen(next) + 1;
	}
	block->names[glob->count] = NULL;
	*paths = block->names;
	return 0;
}

int64_t mfs_glob(mfs *fs, const char *pattern, char ***paths)
{
	struct glob glob = {.fs = fs};

	if (paths)
		*paths = NULL;
	if (!fs || !pattern || !paths)
		return mfs__fail_path(MFS_EINVAL, "glob", pattern);
	int code = mfs__glob_compile(pattern, &glob.pattern);
	if (code)
		return mfs__fail_path(code, "glob", pattern);
	code = run(&glob);
	if (!code)
		code = give(&glob, paths);
	mfs__trail_end(&glob.trail);
	mfs__free(glob.text, glob.text_room);
	mfs__glob_free(&glob.pattern);
	mfs__reclaim_throttle();
	return code ? mfs__fail_path(code, "glob", pattern) : (int64_t)glob.count;
}
