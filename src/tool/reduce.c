/* SPDX-License-Identifier: MIT */
/*
 * Stage 4: merge the sections of each partition into a part of the index. The sections are sorted,
 * so that a buffer for each of them is all the memory it takes.
 *
 * A partition is removed once it is merged; until then it is there twice. So a worker sets quota
 * aside for its part of the index before it starts, as much as it takes at most. If there is not as
 * much, it waits until others are done with theirs. If all wait, one of them goes on without.
 */
#include "piece.h"
#include "stages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory for the buffers of one partition's sections, and of one section. */
#define BUFFERS_ALL   ((size_t)4 << 20)
#define BUFFERS_LEAST ((size_t)1 << 10)
#define BUFFERS_MOST  ((size_t)64 << 10)

/* Lines are written when they come to so many bytes. */
#define WRITE_SIZE ((size_t)64 << 10)

struct merge {
	struct run *run;
	unsigned partition;
	/* The sections, and the numbers of those not at their end as a heap: the least word first. */
	struct section_reader *readers;
	size_t *heap;
	size_t opened;
	size_t heap_count;
	/* The present word. */
	struct bytes word;
	struct bytes cut_files; /* uint32_t each: cut files in which it occurs */
	uint64_t total;
	uint64_t files;
	/* The part of the index. */
	mfs_reservation *reservation; /* for it, or NULL */
	mfs_file *index;
	struct bytes lines; /* not written yet */
	uint64_t written;
	uint64_t words;
};

void reduce_prepare(struct run *run, uint64_t *bytes)
{
	*bytes = run_get(&run->piece_bytes);
	(void)run_mkdir(run, "/out");
	/* The pieces are gone; so is what they were in. */
	(void)run_remove(run, "/stage");
}

/*
 * The heap
 */

static int compare_words(const struct section_reader *a, const struct section_reader *b)
{
	size_t shorter = a->word.length < b->word.length ? a->word.length : b->word.length;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	int order = shorter > 8 ? memcmp(a->word.data + 8, b->word.data + 8, shorter - 8) : 0;
	if (order)
		return order;
	return (a->word.length > b->word.length) - (a->word.length < b->word.length);
}

/* The section at a place of the heap. */
static struct section_reader *reader_at(const struct merge *merge, size_t at)
{
	return &merge->readers[merge->heap[at]];
}

/* Move the section at `at` down to its place. */
static void sift_down(struct merge *merge, size_t at)
{
	size_t moved = merge->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= merge->heap_count)
			break;
		if (child + 1 < merge->heap_count &&
			compare_words(reader_at(merge, child + 1), reader_at(merge, child)) < 0)
			child++;
		if (compare_words(&merge->readers[moved], reader_at(merge, child)) <= 0)
			break;
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = moved;
}

/* Go on with the section of the least word. */
static bool advance(struct merge *merge)
{
	switch (section_reader_next(reader_at(merge, 0))) {
	case SECTION_FAILED:
		return false;
	case SECTION_END:
		section_reader_close(reader_at(merge, 0));
		merge->heap[0] = merge->heap[--merge->heap_count];
		break;
	case SECTION_ENTRY:
		break;
	}
	if (merge->heap_count)
		sift_down(merge, 0);
	return true;
}

/*
 * The index
 */

/* Write the lines. Waits for room where none was set aside. */
static bool write_lines(struct merge *merge)
{
	for (;;) {
		uint64_t seen = room_seen(&merge->run->room);
		int64_t result = mfs_write(merge->index, merge->lines.data, merge->lines.length);
		if (result >= 0)
			break;
		if (!run_wait_for_room(merge->run, result, run_charge(merge->run, merge->lines.length),
							   seen, NULL))
			return false;
	}
	merge->written += merge->lines.length;
	merge->lines.length = 0;
	return true;
}

static int compare_numbers(const void *left, const void *right)
{
	uint32_t a;
	uint32_t b;

	memcpy(&a, left, sizeof a);
	memcpy(&b, right, sizeof b);
	return (a > b) - (a < b);
}

/* How many different cut files the present word occurs in. */
static uint64_t count_cut_files(struct merge *merge)
{
	uint32_t *list = (uint32_t *)(void *)merge->cut_files.data;
	size_t length = merge->cut_files.length / sizeof *list;
	uint64_t count = length > 0;

	if (length > 1)
		qsort(list, length, sizeof *list, compare_numbers);
	for (size_t i = 1; i < length; i++)
		count += list[i] != list[i - 1];
	return count;
}

static bool put_line(struct merge *merge)
{
	/* Two numbers of 20 digits at most, two tabs, the end of the line and a NUL. */
	const size_t numbers_size = 44;
	struct bytes *lines = &merge->lines;

	if (!bytes_reserve(lines, merge->word.length + numbers_size))
		return run_fail_memory(merge->run);
	memcpy(lines->data + lines->length, merge->word.data, merge->word.length);
	lines->length += merge->word.length;
	int length =
		snprintf((char *)lines->data + lines->length, numbers_size, "\t%" PRIu64 "\t%" PRIu64 "\n",
				 merge->total, merge->files + count_cut_files(merge));
	lines->length += (size_t)length;
	merge->words++;
	return lines->length < WRITE_SIZE || write_lines(merge);
}

/* Add an entry to the present word. */
static bool absorb(struct merge *merge, const struct section_reader *reader)
{
	merge->total += reader->total;
	merge->files += reader->files;
	if (!reader->in_cut_file)
		return true;
	return bytes_append(&merge->cut_files, &reader->cut_file, sizeof reader->cut_file)
			   ? true
			   : run_fail_memory(merge->run);
}

static bool is_present_word(const struct merge *merge, const struct section_reader *reader)
{
	return reader->word.length == merge->word.length &&
		   memcmp(reader->word.data, merge->word.data, merge->word.length) == 0;
}

/* Put the line of the least word and go on to the next word. */
static bool merge_word(struct merge *merge)
{
	const struct section_reader *least = reader_at(merge, 0);

	merge->word.length = 0;
	if (!bytes_append(&merge->word, least->word.data, least->word.length))
		return run_fail_memory(merge->run);
	merge->cut_files.length = 0;
	merge->total = 0;
	merge->files = 0;
	do {
		if (!absorb(merge, reader_at(merge, 0)) || !advance(merge))
			return false;
	} while (merge->heap_count && is_present_word(merge, reader_at(merge, 0)));
	return put_line(merge);
}

/* What a file of `size` bytes is charged in the workspace. */
static uint64_t charge_for(const struct run *run, uint64_t size)
{
	const uint64_t first_chunk = UINT64_C(4) << 10;
	const uint64_t last_chunk = UINT64_C(2) << 20;
	uint64_t chunks = 1;

	/* They double what is there, and then have all the same length. */
	for (uint64_t end = first_chunk; end < size && end < last_chunk; end *= 2)
		chunks++;
	if (size > last_chunk)
		chunks += (size - 1) / last_chunk;
	return size + chunks * run->chunk_overhead;
}

/* Set quota aside for a part of the index of `size` bytes, if that is to be had. */
static bool set_aside(struct merge *merge, uint64_t size)
{
	struct run *run = merge->run;
	bool alone = false;

	while (size && !alone) {
		uint64_t seen = room_seen(&run->room);
		uint64_t charge = charge_for(run, size);
		int code = mfs_reservation_new(run->fs, charge, &merge->reservation);
		if (!code)
			break;
		if (!run_wait_for_room(run, code, charge, seen, &alone))
			return false;
	}
	return true;
}

/* Open the part of the index, which has `size` bytes at most. */
static bool open_index(struct merge *merge, uint64_t size)
{
	char path[WORKSPACE_PATH_SIZE];
	mfs_open_options options = {.struct_size = sizeof options};

	if (!set_aside(merge, size))
		return false;
	(void)snprintf(path, sizeof path, INDEX_PATH, merge->partition);
	options.reservation = merge->reservation;
	int code = mfs_open_ex(merge->run->fs, path, "xb", &options, &merge->index);
	return code ? run_fail_workspace(merge->run, code) : true;
}

/* Close the part of the index, and give back what was set aside and not written. */
static void close_index(struct merge *merge)
{
	(void)mfs_close(merge->index);
	(void)mfs_reservation_free(merge->reservation);
	merge->index = NULL;
	merge->reservation = NULL;
	room_gave_back(&merge->run->room);
}

/* The part of the index is whole. */
static void finish_index(struct merge *merge)
{
	close_index(merge);
	run_add(&merge->run->index_bytes, merge->written);
	run_add(&merge->run->distinct_words, merge->words);
}

/*
 * A partition
 */

/* Open a reader for each section and make them a heap. */
static bool open_sections(struct merge *merge, mfs_file *partition,
						  const struct section_place *places, size_t count)
{
	size_t buffer_size = BUFFERS_ALL / (count ? count : 1);

	if (buffer_size < BUFFERS_LEAST)
		buffer_size = BUFFERS_LEAST;
	if (buffer_size > BUFFERS_MOST)
		buffer_size = BUFFERS_MOST;
	merge->readers = calloc(count + 1, sizeof *merge->readers);
	merge->heap = calloc(count + 1, sizeof *merge->heap);
	if (!merge->readers || !merge->heap) {
		(void)run_fail_memory(merge->run);
		return false;
	}
	while (merge->opened < count) {
		size_t number = merge->opened++;
		struct section_reader *reader = &merge->readers[number];
		if (!section_reader_open(reader, merge->run, partition, &places[number], buffer_size))
			return false;
		switch (section_reader_next(reader)) {
		case SECTION_FAILED:
			return false;
		case SECTION_END:
			break;
		case SECTION_ENTRY:
			merge->heap[merge->heap_count++] = number;
			break;
		}
	}
	for (size_t at = merge->heap_count / 2; at > 0; at--)
		sift_down(merge, at - 1);
	return true;
}

static bool merge_sections(struct merge *merge, mfs_file *partition, uint64_t size)
{
	struct bytes places = {0};
	uint64_t text = 0;
	uint64_t reported = 0;
	bool going = piece_find_sections(merge->run, partition, size, &places);
	const struct section_place *list = (const struct section_place *)(const void *)places.data;
	size_t count = places.length / sizeof *list;

	for (size_t i = 0; i < count; i++)
		text += list[i].header.text;
	going = going && open_index(merge, text) && open_sections(merge, partition, list, count);
	while (going && merge->heap_count) {
		going = merge_word(merge);
		/* What has been written is as good a measure of progress as any. */
		if (merge->lines.length == 0) {
			uint64_t done = (uint64_t)((double)size * (double)merge->written / (double)text);
			run_add(&merge->run->done_bytes, done - reported);
			reported = done;
			going = going && !run_is_stopping(merge->run);
		}
	}
	going = going && write_lines(merge);
	if (going) {
		finish_index(merge);
		run_add(&merge->run->done_bytes, size - reported);
	}
	for (size_t i = 0; i < merge->opened; i++)
		section_reader_close(&merge->readers[i]);
	if (!going)
		close_index(merge);
	free(merge->readers);
	free(merge->heap);
	bytes_free(&places);
	return going;
}

static bool reduce_partition(struct run *run, unsigned partition)
{
	struct merge merge = {.run = run, .partition = partition};
	char path[WORKSPACE_PATH_SIZE];
	mfs_file *file;
	bool done;

	(void)snprintf(path, sizeof path, SHUFFLE_PATH, partition);
	int64_t size = mfs_get_size(run->fs, path);
	if (size == MFS_ENOENT) {
		/* No word belongs to it. */
		done = open_index(&merge, 0);
		if (done)
			finish_index(&merge);
	} else if (size < 0) {
		done = run_fail_workspace(run, size);
	} else {
		int code = mfs_open(run->fs, path, "rb", &file);
		if (code)
			return run_fail_workspace(run, code);
		done = merge_sections(&merge, file, (uint64_t)size);
		(void)mfs_close(file);
		done = done && run_remove(run, path);
	}
	bytes_free(&merge.word);
	bytes_free(&merge.cut_files);
	bytes_free(&merge.lines);
	return done;
}

void reduce_work(struct run *run, unsigned worker)
{
	uint64_t item;

	(void)worker;
	while (run_next_item(run, PARTITION_COUNT, &item))
		if (!reduce_partition(run, (unsigned)item))
			break;
}
