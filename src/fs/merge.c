/* SPDX-License-Identifier: MIT */
/*
 * Merging a staged tree into the live one: for lookups and listings at one instant.
 *
 *   1  Match the staged directories with the live ones of the same path, from the top down. Claim
 *      the live directories in which names come or change, and those that the staged tree names for
 *      their own sake. One that is only passed through need not be claimed: what is claimed below
 *      keeps it where it is.
 *   2  For each claimed directory, list what comes and what it replaces, claim the files that are
 *      replaced, and prepare the change. Reserve nodes and metadata: the last that can fail.
 *   3  Commit all changes as one.
 *   4  End the claims, bury what was replaced, free the staged directories that were matched.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/test_hook.h"
#include "fs/growing.h"
#include "fs/namespace.h"
#include "fs/staging.h"

#include <string.h>

/* After so many tries, directories that are only passed through are claimed, too. */
#define TRIES_BEFORE_CLAIMING_ALL 4

/* A staged directory and the live one of the same path. */
struct pair {
	struct mfs__directory *staged;
	struct mfs__directory *live; /* pinned */
	bool is_claimed;
	bool is_kept;            /* names in it are dropped in favour of the live ones */
	struct mfs__edit *edits; /* what comes and what goes; NULL: nothing */
	size_t edit_count;
	size_t edit_room;
};

struct merge {
	mfs *fs;
	struct mfs__staging *staging;
	unsigned flags; /* MFS_IMPORT_... */
	struct mfs__tries tries;
	bool claims_all;
	struct pair *pairs;
	size_t count;
	size_t room;
	struct mfs__change *changes;  /* one for each pair */
	uint64_t replaced;            /* files */
	uint64_t replaced_bytes;      /* of metadata, for these */
	uint64_t freed;               /* bytes of it that are given back in the end */
	struct mfs__dentry **dropped; /* staged names that do not come in */
	size_t dropped_count;
	size_t dropped_room;
	uint64_t dropped_files; /* of these, and below them */
	uint64_t dropped_directories;
	uint64_t dropped_bytes;
	/* Where it failed: a name in a staged directory. */
	struct mfs__directory *culprit_parent;
	struct mfs__dentry *culprit;
};

static uint64_t load(_Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

static size_t names_in(struct mfs__directory *directory)
{
	return (size_t)load(&directory->count);
}

static struct mfs__name name_of(const struct mfs__dentry *dentry)
{
	return (struct mfs__name){dentry->name, dentry->length, dentry->hash};
}

static int fail_at(struct merge *m, struct mfs__directory *parent, struct mfs__dentry *dentry,
				   int code)
{
	m->culprit_parent = parent;
	m->culprit = dentry;
	return code;
}

/*
 * Matching
 */

static bool make_pair_room(struct merge *m, size_t more)
{
	struct pair *pairs = mfs__grow(m->pairs, &m->room, m->count + more, sizeof *pairs);

	if (!pairs)
		return false;
	m->pairs = pairs;
	return true;
}

/* A pair whose live directory is locked, and whose names are compared. */
struct matching {
	struct merge *merge;
	size_t index;
	size_t edits; /* names that come, and names that go for them */
	int code;
};

static bool match_name(void *user, struct mfs__dentry *staged)
{
	struct matching *matching = user;
	struct merge *m = matching->merge;
	struct pair *pair = &m->pairs[matching->index];
	struct mfs__name name = name_of(staged);

	struct mfs__dentry *live = mfs__directory_find_locked(pair->live, &name);
	if (!live) {
		matching->edits++;
	} else if ((m->flags & MFS_IMPORT_KEEP) && !(live->is_dir && staged->is_dir)) {
		pair->is_kept = true;
	} else if (live->node->is_dir != staged->node->is_dir) {
		matching->code =
			fail_at(m, pair->staged, staged, live->node->is_dir ? MFS_EISDIR : MFS_ENOTDIR);
		return false;
	} else if (!live->is_dir && (m->flags & MFS_IMPORT_NEW)) {
		matching->code = fail_at(m, pair->staged, staged, MFS_EEXIST);
		return false;
	} else if (live->node->is_dir) {
		mfs__node_pin(live->node);
		m->pairs[m->count++] = (struct pair){.staged = mfs__directory_of(staged->node),
											 .live = mfs__directory_of(live->node)};
	} else {
		matching->edits += 2;
	}
	return true;
}

/* Match what is in one pair; claim its live directory if it is concerned. */
static int match_pair(struct merge *m, size_t index)
{
	struct matching matching = {.merge = m, .index = index};

	if (!make_pair_room(m, names_in(m->pairs[index].staged)))
		return MFS_ENOMEM;
	struct pair *pair = &m->pairs[index];
	if (!mfs__directory_lock(pair->live))
		return MFS__AGAIN;
	mfs__directory_each(pair->staged, match_name, &matching);
	if (!matching.code &&
		(matching.edits || pair->is_kept || m->claims_all || names_in(pair->staged) == 0)) {
		mfs__directory_claim_locked(pair->live);
		pair->is_claimed = true;
		pair->edit_room = matching.edits;
	}
	mfs__directory_unlock(pair->live);
	return matching.code;
}

static int match(struct merge *m)
{
	if (!make_pair_room(m, 1))
		return MFS_ENOMEM;
	mfs__node_pin(&m->fs->tree.root->node);
	m->pairs[m->count++] = (struct pair){.staged = m->staging->top, .live = m->fs->tree.root};
	for (size_t i = 0; i < m->count; i++) {
		int code = match_pair(m, i);
		if (code)
			return code;
		mfs__yield("merge: a directory matched");
	}
	return 0;
}

/*
 * Preparing
 */

/* Directories whose nodes are counted, through the links that retiring would use. */
struct counting {
	struct merge *merge;
	struct mfs__retired *first;
};

static bool count_dropped(void *user, struct mfs__dentry *dentry)
{
	struct counting *counting = user;
	struct merge *m = counting->merge;

	m->dropped_bytes += mfs__node_charge(dentry);
	if (dentry->is_dir) {
		struct mfs__directory *directory = mfs__directory_of(dentry->node);
		directory->retired.next = counting->first;
		counting->first = &directory->retired;
		m->dropped_directories++;
	} else {
		m->dropped_files++;
	}
	return true;
}

/* A staged name, with all that is below it, is not to come in. */
static int drop(struct merge *m, struct mfs__dentry *dentry)
{
	struct counting counting = {.merge = m};
	struct mfs__dentry **dropped =
		mfs__grow(m->dropped, &m->dropped_room, m->dropped_count + 1, sizeof(struct mfs__dentry *));

	if (!dropped)
		return MFS_ENOMEM;
	m->dropped = dropped;
	m->dropped[m->dropped_count++] = dentry;
	(void)count_dropped(&counting, dentry);
	while (counting.first) {
		struct mfs__directory *directory =
			mfs__container_of(counting.first, struct mfs__directory, retired);
		counting.first = directory->retired.next;
		mfs__directory_each(directory, count_dropped, &counting);
	}
	return 0;
}

static bool list_edit(void *user, struct mfs__dentry *staged)
{
	struct matching *matching = user;
	struct merge *m = matching->merge;
	struct pair *pair = &m->pairs[matching->index];
	struct mfs__name name = name_of(staged);

	/* Claimed: it is as it was when it was matched. */
	struct mfs__dentry *live = mfs__directory_find_locked(pair->live, &name);
	if (live && live->is_dir && staged->is_dir)
		return true;
	if (live && (m->flags & MFS_IMPORT_KEEP)) {
		matching->code = drop(m, staged);
		return !matching->code;
	}
	if (live) {
		if (!mfs__node_claim(live->node)) {
			matching->code = fail_at(m, pair->staged, staged, MFS_EBUSY);
			return false;
		}
		pair->edits[pair->edit_count++] = (struct mfs__edit){.out = live};
		m->replaced++;
		m->replaced_bytes += mfs__node_charge(live);
	}
	pair->edits[pair->edit_count++] = (struct mfs__edit){.in = staged};
	return true;
}

static int prepare_pair(struct merge *m, size_t index)
{
	struct matching matching = {.merge = m, .index = index};
	struct pair *pair = &m->pairs[index];

	if (pair->edit_room) {
		pair->edits = mfs__alloc(pair->edit_room * sizeof *pair->edits);
		if (!pair->edits)
			return MFS_ENOMEM;
	}
	if (pair->edit_room || pair->is_kept)
		mfs__directory_each(pair->staged, list_edit, &matching);
	if (matching.code || !pair->edit_room)
		return matching.code;
	return mfs__directory_prepare(m->staging->fs->arena, pair->live, pair->edits, pair->edit_count,
								  &m->changes[index]);
}

/* Reserve what comes, less what it replaces. What is to be given back, if that is more, is noted.
 */
static int reserve(struct merge *m)
{
	/* The top and the other staged directories that were matched are no new nodes. */
	uint64_t nodes = load(&m->staging->files) - m->dropped_files + load(&m->staging->directories) -
					 m->dropped_directories - (m->count - 1) - m->replaced;
	uint64_t come = load(&m->staging->bytes) - m->dropped_bytes;

	for (size_t i = 1; i < m->count; i++)
		come -= mfs__node_charge(mfs__first_dentry(&m->pairs[i].staged->node));
	m->freed = m->replaced_bytes > come ? m->replaced_bytes - come : 0;
	return mfs__nodes_reserve(m->fs, nodes,
							  come > m->replaced_bytes ? come - m->replaced_bytes : 0);
}

static int prepare(struct merge *m)
{
	m->changes = mfs__alloc_zeroed(m->count * sizeof *m->changes);
	if (!m->changes)
		return MFS_ENOMEM;
	for (size_t i = 0; i < m->count; i++) {
		int code = prepare_pair(m, i);
		if (code)
			return code;
	}
	return reserve(m);
}

/*
 * Committing, or not
 */

static void commit(struct merge *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct pair *pair = &m->pairs[i];
		for (size_t e = 0; e < pair->edit_count; e++)
			if (pair->edits[e].in && pair->edits[e].in->node->is_dir)
				mfs__directory_of(pair->edits[e].in->node)->parent = pair->live;
	}
	mfs__directory_commit(m->changes, m->count);
}

/* End the claims; those of files only if they stay. */
static void release(struct merge *m, bool committed)
{
	for (size_t i = 0; i < m->count; i++) {
		struct pair *pair = &m->pairs[i];
		if (!committed) {
			for (size_t e = 0; e < pair->edit_count; e++)
				if (pair->edits[e].out)
					mfs__node_unclaim(pair->edits[e].out->node);
			if (m->changes)
				mfs__directory_abandon(&m->changes[i]);
		}
		if (pair->is_claimed)
			mfs__directory_unclaim(pair->live);
		mfs__unpin(&pair->live->node);
	}
}

static void free_dropped(struct merge *m, struct mfs__dentry *dentry)
{
	if (dentry->is_dir) {
		mfs__tree_free(m->fs, mfs__directory_of(dentry->node));
	} else {
		mfs__file_drop_data(m->fs, mfs__file_of(dentry->node));
		mfs__file_free(mfs__file_of(dentry->node));
	}
}

/* Files that were replaced, names that were dropped, and staged directories whose place is taken.
 */
static void bury(struct merge *m)
{
	bool data_stays;

	for (size_t i = 0; i < m->dropped_count; i++)
		free_dropped(m, m->dropped[i]);

	for (size_t i = 0; i < m->count; i++) {
		struct pair *pair = &m->pairs[i];
		for (size_t e = 0; e < pair->edit_count; e++) {
			struct mfs__dentry *out = pair->edits[e].out;
			if (!out)
				continue;
			(void)mfs__node_unlink(out->node, &data_stays); /* claimed: there is no holder */
			mfs__bury_node(m->fs, out, data_stays);
		}
		mfs__directory_free_table(pair->staged);
		mfs__directory_free(pair->staged);
	}
}

static void free_arrays(struct merge *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->pairs[i].edits)
			mfs__free(m->pairs[i].edits, m->pairs[i].edit_room * sizeof *m->pairs[i].edits);
	if (m->changes)
		mfs__free(m->changes, m->count * sizeof *m->changes);
	if (m->pairs)
		mfs__free(m->pairs, m->room * sizeof *m->pairs);
	if (m->dropped)
		mfs__free(m->dropped, m->dropped_room * sizeof(struct mfs__dentry *));
	m->pairs = NULL;
	m->dropped = NULL;
	m->dropped_count = m->dropped_room = 0;
	m->dropped_files = m->dropped_directories = m->dropped_bytes = 0;
	m->changes = NULL;
	m->count = m->room = 0;
	m->replaced = 0;
	m->replaced_bytes = 0;
}

static int try_merge(struct merge *m)
{
	int code = match(m);

	if (!code)
		code = prepare(m);
	if (!code)
		commit(m);
	release(m, code == 0);
	if (code)
		free_arrays(m);
	return code;
}

/* Note a failure with the path of the name at which it was. */
static void note_failure(struct merge *m, int code, const char *call)
{
	size_t length = m->culprit->length + (size_t)1;

	for (struct mfs__directory *d = m->culprit_parent; d->parent; d = d->parent)
		length += mfs__first_dentry(&d->node)->length + (size_t)1;
	char *path = mfs__alloc(length + 1);
	if (!path) {
		(void)mfs__fail(code, call);
		return;
	}
	char *next = path + length;
	*next = '\0';
	const struct mfs__dentry *dentry = m->culprit;
	for (struct mfs__directory *d = m->culprit_parent;; d = d->parent) {
		next -= dentry->length;
		memcpy(next, dentry->name, dentry->length);
		*--next = '/';
		if (!d->parent)
			break;
		dentry = mfs__first_dentry(&d->node);
	}
	(void)mfs__fail_path(code, call, path);
	mfs__free(path, length + 1);
}

int mfs__staging_commit(struct mfs__staging *staging, const char *call, unsigned flags,
						uint64_t *files)
{
	mfs *fs = staging->fs;
	struct merge m = {.fs = fs, .staging = staging, .flags = flags, .tries = {.tree = &fs->tree}};
	struct mfs__counters *counters = &fs->counters[mfs__stripe()];
	int code;

	mfs__tries_exclusive(&m.tries);
	while ((code = try_merge(&m)) == MFS__AGAIN) {
		mfs__tries_again(&m.tries);
		m.claims_all = m.tries.count >= TRIES_BEFORE_CLAIMING_ALL;
	}
	mfs__tries_end(&m.tries);
	if (code) {
		if (m.culprit)
			note_failure(&m, code, call);
		else if (!mfs__is_limit_error(code))
			(void)mfs__fail(code, call);
		return code;
	}
	uint64_t come = load(&staging->files) - m.dropped_files;
	if (files)
		*files = come;
	mfs__count(&counters->files, (int64_t)(come - m.replaced));
	mfs__count(&counters->directories,
			   (int64_t)(load(&staging->directories) - m.dropped_directories - (m.count - 1)));
	if (m.freed)
		mfs__nodes_release(fs, 0, m.freed);
	mfs__staging_end(staging);
	bury(&m);
	free_arrays(&m);
	return 0;
}
