/* SPDX-License-Identifier: MIT */
/*
 * Does a directory's table find exactly the names that it should, while it grows, when hashes are
 * equal, in the middle of a change of two slots, and after an allocation has failed?
 */
#include "support.h"

#include "await.h"
#include "base/alloc.h"
#include "base/rcu.h"
#include "base/reclaim.h"
#include "base/test_hook.h"
#include "tree/directory.h"
#include "tree/path.h"

/* The table grows when it has this many names for each slot. */
#define NAMES_PER_SLOT 6

/* The fixture: blocks that were live before the test, so that nothing is left after it. */
static long live_before;

static int setup(void **state)
{
	(void)state;
	live_before = mfs__alloc_live();
	mfs__reclaim_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mfs__alloc_fail_after(0);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	mfs__reclaim_end();
	return mfs__alloc_live() == live_before ? 0 : -1;
}

/* A file of the test's own, whose first dentry goes into a directory. */
struct entry {
	char text[32];
	struct mfs__name name;
	struct mfs__file *file;
};

static struct mfs__name name_with_hash(const char *text, uint32_t hash)
{
	return (struct mfs__name){text, (uint32_t)strlen(text), hash};
}

/* The name and the hash that a path would give. */
static struct mfs__name name_of(const char *text)
{
	struct mfs__path path;
	struct mfs__name name;

	assert_code(mfs__path_begin(&path, text), 0);
	struct mfs__path_cursor cursor = mfs__path_start(&path);
	assert_int_equal(mfs__path_next(&cursor, &name), MFS__PATH_NAME);
	mfs__path_end(&path);
	return name;
}

static void entry_init(struct entry *entry, const char *text)
{
	assert_true(strlen(text) < sizeof(entry->text));
	strcpy(entry->text, text);
	entry->name = name_of(entry->text);
	entry->file = mfs__file_new(NULL, &entry->name, 0, 1);
	assert_non_null(entry->file);
}

static void entry_init_with_hash(struct entry *entry, const char *text, uint32_t hash)
{
	assert_true(strlen(text) < sizeof(entry->text));
	strcpy(entry->text, text);
	entry->name = name_with_hash(entry->text, hash);
	entry->file = mfs__file_new(NULL, &entry->name, 0, 1);
	assert_non_null(entry->file);
}

static struct entry *make_entries(size_t count)
{
	struct entry *entries = allocate(count * sizeof(*entries));

	for (size_t i = 0; i < count; i++) {
		char text[sizeof(entries->text)];
		(void)snprintf(text, sizeof(text), "name-%zu", i);
		entry_init(&entries[i], text);
	}
	return entries;
}

static void free_entries(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mfs__file_free(entries[i].file);
	free(entries);
}

static struct mfs__dentry *dentry_of(const struct entry *entry)
{
	return mfs__first_dentry(&entry->file->node);
}

static struct mfs__directory *make_directory(struct mfs__directory *parent)
{
	struct mfs__name name = name_with_hash("directory", 0);
	struct mfs__directory *directory = mfs__directory_new(NULL, &name, parent, 1);

	assert_non_null(directory);
	return directory;
}

static void free_directory(struct mfs__directory *directory)
{
	mfs__directory_free_table(directory);
	mfs__directory_free(directory);
}

/* What a lookup gives, which must be the same with and without the mutex. */
static struct mfs__dentry *find(struct mfs__directory *directory, const struct mfs__name *name)
{
	struct mfs__dentry *dentry = NULL;

	mfs__rcu_lock();
	enum mfs__find_result result = mfs__directory_find(directory, name, &dentry);
	mfs__rcu_unlock();
	assert_int_equal(result, dentry ? MFS__FIND_PRESENT : MFS__FIND_ABSENT);
	assert_ptr_equal(mfs__directory_find_locked(directory, name), dentry);
	return dentry;
}

static void assert_found(struct mfs__directory *directory, const struct entry *entry)
{
	assert_ptr_equal(find(directory, &entry->name), dentry_of(entry));
}

static void assert_absent(struct mfs__directory *directory, const struct entry *entry)
{
	assert_null(find(directory, &entry->name));
}

/* Prepare to take out up to two names and put one in; any of them may be NULL. */
static int prepare(struct mfs__directory *directory, struct mfs__dentry *out1,
				   struct mfs__dentry *out2, struct mfs__dentry *in, struct mfs__change *change)
{
	struct mfs__edit edits[3];
	size_t count = 0;

	if (in)
		edits[count++] = (struct mfs__edit){.in = in};
	if (out1)
		edits[count++] = (struct mfs__edit){.out = out1};
	if (out2)
		edits[count++] = (struct mfs__edit){.out = out2};
	return mfs__directory_prepare(NULL, directory, edits, count, change);
}

static int try_insert(struct mfs__directory *directory, const struct entry *entry)
{
	struct mfs__change change;

	assert_true(mfs__directory_lock(directory));
	int code = prepare(directory, NULL, NULL, dentry_of(entry), &change);
	if (!code)
		mfs__directory_commit(&change, 1);
	mfs__directory_unlock(directory);
	return code;
}

static void insert(struct mfs__directory *directory, const struct entry *entry)
{
	assert_code(try_insert(directory, entry), 0);
}

static void take_out(struct mfs__directory *directory, const struct entry *entry)
{
	struct mfs__change change;

	assert_true(mfs__directory_lock(directory));
	assert_code(prepare(directory, dentry_of(entry), NULL, NULL, &change), 0);
	mfs__directory_commit(&change, 1);
	mfs__directory_unlock(directory);
}

static void assert_counts(struct mfs__directory *directory, uint64_t count, uint64_t bytes)
{
	assert_int_equal(atomic_load(&directory->count), count);
	assert_int_equal(atomic_load(&directory->name_bytes), bytes);
}

static bool count_visit(void *user, struct mfs__dentry *dentry)
{
	uint64_t *count = user;

	(void)dentry;
	++*count;
	return true;
}

static uint64_t count_each(struct mfs__directory *directory)
{
	uint64_t count = 0;

	mfs__rcu_lock();
	mfs__directory_each(directory, count_visit, &count);
	mfs__rcu_unlock();
	return count;
}

static void empty_directory_has_no_table(void **state)
{
	struct mfs__directory *directory = make_directory(NULL);
	struct mfs__name name = name_of("nothing");

	(void)state;
	assert_null(atomic_load(&directory->table));
	assert_null(find(directory, &name));
	assert_true(mfs__directory_validate(directory));
	assert_int_equal(count_each(directory), 0);
	assert_counts(directory, 0, 0);
	mfs__directory_retire_table(directory);
	assert_null(atomic_load(&directory->table));
	free_directory(directory);
}

static void names_come_and_go(void **state)
{
	const size_t total = 20000;
	struct entry *entries = make_entries(total);
	struct mfs__directory *directory = make_directory(NULL);
	uint64_t bytes = 0;

	(void)state;
	for (size_t i = 0; i < total; i++) {
		assert_absent(directory, &entries[i]);
		insert(directory, &entries[i]);
		bytes += entries[i].name.length + 1;
		assert_found(directory, &entries[i]);
		assert_found(directory, &entries[i * 7919 % (i + 1)]);
		assert_counts(directory, i + 1, bytes);
		if (i < 1000 ? i % 100 == 0 : i == 3000)
			assert_true(mfs__directory_validate(directory));
	}
	for (size_t i = 0; i < total; i++)
		assert_found(directory, &entries[i]);
	assert_int_equal(count_each(directory), total);

	/* Out in another order: 7919 is prime to 20000. */
	for (size_t i = 0; i < total; i++) {
		struct entry *entry = &entries[i * 7919 % total];
		assert_found(directory, entry);
		take_out(directory, entry);
		bytes -= entry->name.length + 1;
		assert_absent(directory, entry);
		assert_counts(directory, total - i - 1, bytes);
		if (i == total / 2) {
			for (size_t j = 0; j < total; j++) {
				struct entry *other = &entries[j * 7919 % total];
				if (j <= i)
					assert_absent(directory, other);
				else
					assert_found(directory, other);
			}
		}
	}
	assert_int_equal(count_each(directory), 0);
	assert_true(mfs__directory_validate(directory));
	/* And once more into the emptied table. */
	insert(directory, &entries[0]);
	assert_found(directory, &entries[0]);
	free_directory(directory);
	free_entries(entries, total);
}

static void every_name_is_found_around_growth(void **state)
{
	const size_t total = NAMES_PER_SLOT * 256 + 10;
	struct entry *entries = make_entries(total);
	struct mfs__directory *directory = make_directory(NULL);
	unsigned grown = 0;

	(void)state;
	for (size_t i = 0; i < total; i++) {
		void *table = atomic_load(&directory->table);
		insert(directory, &entries[i]);
		grown += atomic_load(&directory->table) != table;
		size_t power = NAMES_PER_SLOT;
		while (2 * power <= i)
			power *= 2;
		/* Buckets are shared from the insertion that grows the table, and split by later ones. */
		if (i < 2 * NAMES_PER_SLOT || i - power < 12 || 2 * power - i < 4) {
			for (size_t j = 0; j <= i; j++)
				assert_found(directory, &entries[j]);
			assert_int_equal(count_each(directory), i + 1);
			assert_true(mfs__directory_validate(directory));
		}
	}
	/* The first table, and one for each doubling of six names, from 6 to 1536. */
	assert_int_equal(grown, 1 + 9);
	free_directory(directory);
	free_entries(entries, total);
}

static void shared_buckets_lose_only_the_name_that_goes(void **state)
{
	/* Seven in a slot: the seventh doubles the table, which shares what the others are in. */
	const size_t total = NAMES_PER_SLOT + 1;
	struct mfs__directory *directory = make_directory(NULL);
	struct entry entries[NAMES_PER_SLOT + 1];

	(void)state;
	for (size_t i = 0; i < total; i++) {
		char text[8];
		(void)snprintf(text, sizeof(text), "n%zu", i);
		/* The lowest bit parts them in a table of two slots. */
		entry_init_with_hash(&entries[i], text, (uint32_t)i);
		insert(directory, &entries[i]);
	}
	assert_true(mfs__directory_validate(directory));
	for (size_t gone = 0; gone < total; gone++) {
		take_out(directory, &entries[gone]);
		for (size_t i = 0; i < total; i++) {
			if (i <= gone)
				assert_absent(directory, &entries[i]);
			else
				assert_found(directory, &entries[i]);
		}
		assert_int_equal(count_each(directory), total - gone - 1);
		assert_true(mfs__directory_validate(directory));
	}
	free_directory(directory);
	for (size_t i = 0; i < total; i++)
		mfs__file_free(entries[i].file);
}

static void names_with_equal_hashes_are_told_apart(void **state)
{
	const size_t total = 60;
	struct entry *entries = allocate(total * sizeof(*entries));
	struct mfs__directory *directory = make_directory(NULL);
	struct mfs__name stranger = name_with_hash("stranger", 0xabcdef01);
	struct mfs__name wrong_hash = name_with_hash("n", 0xabcdef00);

	(void)state;
	for (size_t i = 0; i < total; i++) {
		/* "n", "nn", "nnn", ... and names of one length. */
		char text[sizeof(entries->text)] = {0};
		if (i < 20)
			memset(text, 'n', i + 1);
		else
			(void)snprintf(text, sizeof(text), "x%02zu", i);
		entry_init_with_hash(&entries[i], text, 0xabcdef01);
		assert_absent(directory, &entries[i]);
		insert(directory, &entries[i]);
		for (size_t j = 0; j <= i; j++)
			assert_found(directory, &entries[j]);
		assert_null(find(directory, &stranger));
		assert_null(find(directory, &wrong_hash));
		assert_true(mfs__directory_validate(directory));
	}
	for (size_t i = 0; i < total; i += 2)
		take_out(directory, &entries[i]);
	for (size_t i = 0; i < total; i++) {
		if (i % 2 == 0)
			assert_absent(directory, &entries[i]);
		else
			assert_found(directory, &entries[i]);
	}
	assert_true(mfs__directory_validate(directory));
	assert_int_equal(count_each(directory), total / 2);
	free_directory(directory);
	free_entries(entries, total);
}

static void one_change_replaces_two_names_by_one(void **state)
{
	struct mfs__directory *directory = make_directory(NULL);
	struct entry from;
	struct entry to;
	struct entry other;
	struct mfs__change change;

	(void)state;
	entry_init_with_hash(&from, "from", 5);
	entry_init_with_hash(&to, "to", 5);
	entry_init_with_hash(&other, "other", 5);
	insert(directory, &from);
	insert(directory, &other);
	insert(directory, &to);
	struct mfs__dentry *moved = mfs__dentry_new(NULL, &to.name, &from.file->node, 1);
	assert_non_null(moved);

	assert_true(mfs__directory_lock(directory));
	assert_code(prepare(directory, dentry_of(&from), dentry_of(&to), moved, &change), 0);
	assert_int_equal(change.slots, 1); /* all three names belong to it */
	/* Prepared is not done. */
	assert_found(directory, &from);
	assert_found(directory, &to);
	mfs__directory_commit(&change, 1);
	mfs__directory_unlock(directory);

	assert_absent(directory, &from);
	assert_ptr_equal(find(directory, &to.name), moved);
	assert_found(directory, &other);
	assert_counts(directory, 2, 3 + 6);
	assert_int_equal(count_each(directory), 2);
	assert_true(mfs__directory_validate(directory));
	free_directory(directory);
	mfs__dentry_retire(moved);
	mfs__file_free(from.file);
	mfs__file_free(to.file);
	mfs__file_free(other.file);
}

static void last_name_of_a_slot_leaves_it_empty(void **state)
{
	struct mfs__directory *directory = make_directory(NULL);
	struct entry entry;
	struct mfs__change change;

	(void)state;
	entry_init(&entry, "alone");
	insert(directory, &entry);
	assert_true(mfs__directory_lock(directory));
	assert_code(prepare(directory, NULL, dentry_of(&entry), NULL, &change), 0);
	assert_int_equal(change.slots, 1);
	assert_null(change.few[0].bucket);
	assert_int_equal(change.count, -1);
	assert_int_equal(change.name_bytes, -6);
	mfs__directory_commit(&change, 1);
	mfs__directory_unlock(directory);
	assert_absent(directory, &entry);
	assert_true(mfs__directory_validate(directory));
	assert_counts(directory, 0, 0);
	free_directory(directory);
	mfs__file_free(entry.file);
}

/* What a look from inside a change sees; the hook runs in the thread that changes. */
static struct {
	const char *point;
	struct mfs__directory *from;
	struct mfs__directory *to;
	const struct mfs__name *old_name;
	const struct mfs__name *new_name;
	unsigned looks;
	enum mfs__find_result old_result;
	enum mfs__find_result new_result;
	unsigned seqs_odd;
	unsigned versions_odd;
} peek;

static void peek_inside(const char *point)
{
	struct mfs__dentry *dentry;

	if (strcmp(point, peek.point) != 0)
		return;
	peek.looks++;
	mfs__rcu_lock();
	peek.old_result = mfs__directory_find(peek.from, peek.old_name, &dentry);
	peek.new_result = mfs__directory_find(peek.to, peek.new_name, &dentry);
	mfs__rcu_unlock();
	peek.seqs_odd = (atomic_load(&peek.from->seq) & 1) + (atomic_load(&peek.to->seq) & 1);
	peek.versions_odd =
		(unsigned)((atomic_load(&peek.from->version) & 1) + (atomic_load(&peek.to->version) & 1));
}

/* Move a name, between two directories or within one, and look in the middle of it. */
static void move_name(struct mfs__directory *from, struct mfs__directory *to)
{
	struct entry old;
	struct entry bystander;
	struct mfs__name name = name_with_hash("new-name", 3);
	struct mfs__change changes[2] = {0};
	uint64_t others = atomic_load(&to->count);

	entry_init_with_hash(&old, "old", 2);
	entry_init_with_hash(&bystander, "bystander", 2);
	insert(from, &old);
	insert(from, &bystander);
	struct mfs__dentry *moved = mfs__dentry_new(NULL, &name, &old.file->node, 1);
	assert_non_null(moved);
	uint32_t seq = atomic_load(&to->seq);
	uint64_t version = atomic_load(&to->version);
	uint64_t bytes =
		atomic_load(&from->name_bytes) + (from == to ? 0 : atomic_load(&to->name_bytes));

	assert_true(mfs__directory_lock_pair(from, to));
	/* As a rename does: it marks what is about to get another name. */
	assert_true(mfs__node_claim(&old.file->node));
	if (from == to) {
		assert_code(prepare(from, dentry_of(&old), NULL, moved, &changes[0]), 0);
		assert_int_equal(changes[0].slots, 2);
	} else {
		assert_code(prepare(to, NULL, NULL, moved, &changes[0]), 0);
		assert_code(prepare(from, dentry_of(&old), NULL, NULL, &changes[1]), 0);
	}
	memset(&peek, 0, sizeof(peek));
	peek.point = "commit: half published";
	peek.from = from;
	peek.to = to;
	peek.old_name = &old.name;
	peek.new_name = &name;
	atomic_store_explicit(&mfs__yield_hook, peek_inside, memory_order_release);
	mfs__directory_commit(changes, 2);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	mfs__directory_unlock_pair(from, to);
	mfs__node_renamed(&old.file->node);

	/* D2: nobody who looked in between was told that the name is there twice, or not at all. */
	assert_int_equal(peek.looks, 1);
	assert_int_equal(peek.old_result, MFS__FIND_CONTENDED);
	assert_int_equal(peek.new_result, MFS__FIND_CONTENDED);
	assert_int_equal(peek.seqs_odd, 2);
	assert_int_equal(peek.versions_odd, 2);

	assert_null(find(from, &old.name));
	assert_ptr_equal(find(to, &name), moved);
	assert_found(from, &bystander);
	assert_int_equal(atomic_load(&to->seq), seq + 2);
	assert_int_equal(atomic_load(&to->version), version + 2);
	assert_int_equal(atomic_load(&from->name_bytes) +
						 (from == to ? 0 : atomic_load(&to->name_bytes)),
					 bytes + strlen("new-name") - strlen("old"));
	assert_int_equal(atomic_load(&to->count), others + (from == to ? 2 : 1));
	assert_true(mfs__directory_validate(from));
	assert_true(mfs__directory_validate(to));

	/* Empty again, for the next one. */
	take_out(from, &bystander);
	assert_true(mfs__directory_lock(to));
	assert_code(prepare(to, moved, NULL, NULL, &changes[0]), 0);
	mfs__directory_commit(&changes[0], 1);
	mfs__directory_unlock(to);
	mfs__dentry_retire(moved);
	mfs__file_free(old.file);
	mfs__file_free(bystander.file);
}

static void pair_of_changes_is_one_for_lookups(void **state)
{
	struct mfs__directory *root = make_directory(NULL);
	struct mfs__directory *child = make_directory(root);
	struct entry fillers[NAMES_PER_SLOT + 1];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(fillers); i++) {
		char text[8];
		(void)snprintf(text, sizeof(text), "f%zu", i);
		entry_init_with_hash(&fillers[i], text, (uint32_t)i);
	}
	move_name(root, child);
	move_name(child, root);
	/* Within one directory, with a table of two slots, the names lie in one each. */
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		insert(root, &fillers[i]);
	move_name(root, root);
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		assert_found(root, &fillers[i]);
	free_directory(child);
	free_directory(root);
	for (size_t i = 0; i < COUNT_OF(fillers); i++)
		mfs__file_free(fillers[i].file);
}

static void single_change_is_seen_at_once(void **state)
{
	struct mfs__directory *directory = make_directory(NULL);
	struct entry entry;
	struct entry other;

	(void)state;
	entry_init(&entry, "entry");
	entry_init(&other, "other");
	insert(directory, &other);
	uint32_t seq = atomic_load(&directory->seq);
	memset(&peek, 0, sizeof(peek));
	peek.point = "commit: published";
	peek.from = directory;
	peek.to = directory;
	peek.old_name = &other.name;
	peek.new_name = &entry.name;
	atomic_store_explicit(&mfs__yield_hook, peek_inside, memory_order_release);
	insert(directory, &entry);
	atomic_store_explicit(&mfs__yield_hook, NULL, memory_order_release);
	assert_int_equal(peek.looks, 1);
	assert_int_equal(peek.old_result, MFS__FIND_PRESENT);
	assert_int_equal(peek.new_result, MFS__FIND_PRESENT);
	/* D2 and D3: lookups need not look again, listings must. */
	assert_int_equal(peek.seqs_odd, 0);
	assert_int_equal(peek.versions_odd, 2);
	assert_int_equal(atomic_load(&directory->seq), seq);
	free_directory(directory);
	mfs__file_free(entry.file);
	mfs__file_free(other.file);
}

static void change_that_is_abandoned_leaves_everything(void **state)
{
	const size_t total = 50;
	struct entry *entries = make_entries(total);
	struct mfs__directory *directory = make_directory(NULL);
	struct mfs__change change;

	(void)state;
	for (size_t i = 0; i + 1 < total; i++)
		insert(directory, &entries[i]);
	uint64_t bytes = atomic_load(&directory->name_bytes);
	uint64_t version = atomic_load(&directory->version);
	long live = mfs__alloc_live();
	void *table = atomic_load(&directory->table);

	assert_true(mfs__directory_lock(directory));
	assert_code(prepare(directory, NULL, NULL, dentry_of(&entries[total - 1]), &change), 0);
	assert_non_null(change.few[0].bucket);
	mfs__directory_abandon(&change);
	assert_int_equal(change.slots, 0);
	assert_code(prepare(directory, dentry_of(&entries[3]), NULL, NULL, &change), 0);
	mfs__directory_abandon(&change);
	mfs__directory_abandon(&change); /* there is nothing left to forget */
	mfs__directory_unlock(directory);

	assert_ptr_equal(atomic_load(&directory->table), table);
	/* Tables that growth has replaced may have been freed meanwhile, by the reclaimer. */
	assert_true(mfs__alloc_live() <= live);
	assert_counts(directory, total - 1, bytes);
	assert_int_equal(atomic_load(&directory->version), version);
	for (size_t i = 0; i + 1 < total; i++)
		assert_found(directory, &entries[i]);
	assert_absent(directory, &entries[total - 1]);
	assert_true(mfs__directory_validate(directory));
	free_directory(directory);
	free_entries(entries, total);
}

static void insertion_without_memory_changes_nothing(void **state)
{
	const size_t total = 8 * NAMES_PER_SLOT + 5;
	struct entry *entries = make_entries(total);
	struct mfs__directory *directory = make_directory(NULL);
	uint64_t bytes = 0;
	unsigned refused = 0;

	(void)state;
	for (size_t i = 0; i < total; i++) {
		for (long n = 1;; n++) {
			mfs__alloc_fail_after(n);
			int code = try_insert(directory, &entries[i]);
			bool failed = mfs__alloc_failed();
			mfs__alloc_fail_after(0);
			if (!code) {
				/* A table that could not grow still takes the name. */
				bytes += entries[i].name.length + 1;
				if (!failed)
					break;
				take_out(directory, &entries[i]);
				bytes -= entries[i].name.length + 1;
				continue;
			}
			assert_code(code, MFS_ENOMEM);
			assert_true(failed);
			refused++;
			assert_absent(directory, &entries[i]);
			for (size_t j = 0; j < i; j++)
				assert_found(directory, &entries[j]);
			assert_counts(directory, i, bytes);
			assert_true(mfs__directory_validate(directory));
		}
		assert_found(directory, &entries[i]);
		assert_counts(directory, i + 1, bytes);
		assert_true(mfs__directory_validate(directory));
	}
	/* Each needs a bucket at least. */
	assert_true(refused >= total);
	free_directory(directory);
	free_entries(entries, total);
}

static void full_table_without_memory_to_grow_still_works(void **state)
{
	const size_t total = 5 * NAMES_PER_SLOT;
	struct entry *entries = make_entries(total);
	struct mfs__directory *directory = make_directory(NULL);

	(void)state;
	insert(directory, &entries[0]);
	void *table = atomic_load(&directory->table);
	for (size_t i = 1; i < total; i++) {
		struct mfs__change change;
		assert_true(mfs__directory_lock(directory));
		mfs__alloc_fail_after(i < NAMES_PER_SLOT ? 0 : 1);
		assert_code(prepare(directory, NULL, NULL, dentry_of(&entries[i]), &change), 0);
		assert_int_equal(mfs__alloc_failed(), i >= NAMES_PER_SLOT);
		mfs__alloc_fail_after(0);
		mfs__directory_commit(&change, 1);
		mfs__directory_unlock(directory);
		assert_true(mfs__directory_validate(directory));
	}
	assert_ptr_equal(atomic_load(&directory->table), table);
	for (size_t i = 0; i < total; i++)
		assert_found(directory, &entries[i]);
	/* With memory it grows at the next occasion, and goes on growing. */
	for (size_t i = 0; i < 4; i++) {
		take_out(directory, &entries[i]);
		insert(directory, &entries[i]);
		assert_true(mfs__directory_validate(directory));
	}
	assert_ptr_not_equal(atomic_load(&directory->table), table);
	for (size_t i = 0; i < total; i++)
		assert_found(directory, &entries[i]);
	free_directory(directory);
	free_entries(entries, total);
}

static bool stop_at_third(void *user, struct mfs__dentry *dentry)
{
	uint64_t *count = user;

	(void)dentry;
	return ++*count < 3;
}

static bool mark(void *user, struct mfs__dentry *dentry)
{
	unsigned char *seen = user;

	seen[strtoul(dentry->name + strlen("name-"), NULL, 10)]++;
	return true;
}

static void visit_meets_every_name_once(void **state)
{
	const size_t total = 100; /* some in buckets that two slots share */
	struct entry *entries = make_entries(total);
	struct mfs__directory *directory = make_directory(NULL);
	unsigned char seen[100] = {0};
	uint64_t visits = 0;

	(void)state;
	for (size_t i = 0; i < total; i++)
		insert(directory, &entries[i]);
	mfs__rcu_lock();
	mfs__directory_each(directory, mark, seen);
	mfs__directory_each(directory, stop_at_third, &visits);
	mfs__rcu_unlock();
	for (size_t i = 0; i < total; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(visits, 3);
	free_directory(directory);
	free_entries(entries, total);
}

static void damage_is_noticed(void **state)
{
	struct entry *entries = make_entries(20);
	struct mfs__directory *directory = make_directory(NULL);

	(void)state;
	for (size_t i = 0; i < 20; i++)
		insert(directory, &entries[i]);
	assert_true(mfs__directory_validate(directory));
	atomic_fetch_add(&directory->count, 1);
	assert_false(mfs__directory_validate(directory));
	atomic_fetch_sub(&directory->count, 1);
	atomic_fetch_add(&directory->name_bytes, 1);
	assert_false(mfs__directory_validate(directory));
	atomic_fetch_sub(&directory->name_bytes, 1);
	atomic_fetch_add(&directory->seq, 1);
	assert_false(mfs__directory_validate(directory));
	atomic_fetch_add(&directory->seq, 1);
	atomic_fetch_add(&directory->version, 1);
	assert_false(mfs__directory_validate(directory));
	atomic_fetch_add(&directory->version, 1);
	dentry_of(&entries[7])->hash++;
	assert_false(mfs__directory_validate(directory));
	dentry_of(&entries[7])->hash--;
	assert_true(mfs__directory_validate(directory));
	free_directory(directory);
	free_entries(entries, 20);
}

static void retired_table_is_freed_whole(void **state)
{
	struct entry *entries = make_entries(100);
	struct mfs__directory *directory = make_directory(NULL);
	long live = mfs__alloc_live();

	(void)state;
	for (size_t i = 0; i < 100; i++)
		insert(directory, &entries[i]);
	AWAIT(mfs__reclaim_pending() == 0);
	assert_true(mfs__alloc_live() > live);
	mfs__directory_retire_table(directory);
	AWAIT(mfs__alloc_live() == live && mfs__reclaim_pending() == 0);
	mfs__directory_free(directory);
	free_entries(entries, 100);
}

/* A thread that locks two directories. */
struct locker {
	struct mfs__directory *a;
	struct mfs__directory *b;
	bool locked;
	pthread_t thread;
};

static void *lock_pair(void *argument)
{
	struct locker *locker = argument;

	locker->locked = mfs__directory_lock_pair(locker->a, locker->b);
	if (locker->locked)
		mfs__directory_unlock_pair(locker->a, locker->b);
	return NULL;
}

static bool is_locked(struct mfs__directory *directory)
{
	if (pthread_mutex_trylock(&directory->mutex))
		return true;
	(void)pthread_mutex_unlock(&directory->mutex);
	return false;
}

/* Whichever way round they are named, the one at the lower address is locked first: a thread has
 * it while it waits for the second. The other way round, it would wait without. */
static void assert_locked_in_order(struct mfs__directory *a, struct mfs__directory *b)
{
	struct mfs__directory *first = (uintptr_t)a < (uintptr_t)b ? a : b;
	struct mfs__directory *second = first == a ? b : a;

	for (int turn = 0; turn < 2; turn++) {
		struct locker locker = {.a = turn ? second : first, .b = turn ? first : second};

		assert_true(mfs__directory_lock(second));
		locker.thread = start_thread(lock_pair, &locker);
		AWAIT(is_locked(first));
		mfs__directory_unlock(second);
		join_thread(locker.thread);
		assert_true(locker.locked);
		assert_false(is_locked(first));
		assert_false(is_locked(second));
	}
}

static void two_directories_are_locked_in_one_order(void **state)
{
	struct mfs__directory *root = make_directory(NULL);
	struct mfs__directory *child = make_directory(root);
	struct mfs__directory *sibling = make_directory(root);
	struct mfs__directory *grandchild = make_directory(sibling);

	(void)state;
	/* Where they lie in the tree does not matter, as that may change. */
	assert_locked_in_order(root, child);
	assert_locked_in_order(root, grandchild);
	assert_locked_in_order(sibling, grandchild);
	assert_locked_in_order(child, grandchild);
	assert_locked_in_order(child, sibling);

	/* One directory twice is locked once. */
	assert_true(mfs__directory_lock_pair(child, child));
	assert_true(is_locked(child));
	mfs__directory_unlock_pair(child, child);
	assert_false(is_locked(child));
	free_directory(grandchild);
	free_directory(sibling);
	free_directory(child);
	free_directory(root);
}

static void claimed_directory_cannot_be_locked(void **state)
{
	struct mfs__directory *root = make_directory(NULL);
	struct mfs__directory *child = make_directory(root);

	(void)state;
	assert_true(mfs__directory_claim(child));
	assert_false(is_locked(child));
	assert_false(mfs__directory_lock(child));
	assert_false(mfs__directory_lock_pair(root, child));
	assert_false(mfs__directory_claim(child));
	assert_false(is_locked(root));
	mfs__directory_unclaim(child);
	assert_true(mfs__directory_lock(child));
	mfs__directory_unlock(child);
	free_directory(child);
	free_directory(root);
}

static void removed_directory_cannot_be_locked(void **state)
{
	struct mfs__directory *root = make_directory(NULL);
	struct mfs__directory *child = make_directory(root);
	bool shared = true;

	(void)state;
	assert_false(mfs__directory_is_dead(child));
	assert_true(mfs__node_unlink(&child->node, &shared));
	assert_false(shared);
	assert_true(mfs__directory_is_dead(child));
	assert_false(mfs__directory_lock(child));
	assert_false(is_locked(child));
	assert_false(mfs__directory_lock_pair(root, child));
	assert_false(mfs__directory_lock_pair(child, root));
	assert_false(mfs__directory_lock_pair(child, child));
	assert_false(is_locked(root));
	assert_false(is_locked(child));
	free_directory(child);
	free_directory(root);
}

#define TABLE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(empty_directory_has_no_table),
		TABLE_TEST(names_come_and_go),
		TABLE_TEST(every_name_is_found_around_growth),
		TABLE_TEST(shared_buckets_lose_only_the_name_that_goes),
		TABLE_TEST(names_with_equal_hashes_are_told_apart),
		TABLE_TEST(one_change_replaces_two_names_by_one),
		TABLE_TEST(last_name_of_a_slot_leaves_it_empty),
		TABLE_TEST(pair_of_changes_is_one_for_lookups),
		TABLE_TEST(single_change_is_seen_at_once),
		TABLE_TEST(change_that_is_abandoned_leaves_everything),
		TABLE_TEST(insertion_without_memory_changes_nothing),
		TABLE_TEST(full_table_without_memory_to_grow_still_works),
		TABLE_TEST(visit_meets_every_name_once),
		TABLE_TEST(damage_is_noticed),
		TABLE_TEST(retired_table_is_freed_whole),
		TABLE_TEST(two_directories_are_locked_in_one_order),
		TABLE_TEST(claimed_directory_cannot_be_locked),
		TABLE_TEST(removed_directory_cannot_be_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
