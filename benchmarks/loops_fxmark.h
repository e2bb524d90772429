/* SPDX-License-Identifier: MIT */
/*
 * FxMark's micro cases, under its names: data or metadata, read or written, and how much of it the
 * threads share: low, medium or high. Part of loops.h.
 *
 * Some are cases of loops_files.h and loops_names.h under another name. The cases on _bg have a
 * background thread, which changes what the others read or reads what they change.
 */
#ifndef DMEMFS_BENCHMARKS_LOOPS_FXMARK_H
#define DMEMFS_BENCHMARKS_LOOPS_FXMARK_H

#include "loops_base.h"
#include "loops_files.h"
#include "loops_names.h"

enum {
	/* Names of a path in the tree of MRPM, and bytes of its text: a digit and a '/' each. */
	FAN_LEVELS = 5,
	FAN_LENGTH = 2 * FAN_LEVELS - 1,
};

/*
 * DRBL: the first page of root/index/file, open all along.
 */

/* The last page that was read. */
static void check_read_page(const struct bench_worker *w, uint64_t offset)
{
	if (w->thorough)
		check_page(w->buffer, BENCH_PAGE, file_word(offset), w->path);
}

static void finish_first_page(struct bench_worker *w)
{
	check_read_page(w, 0);
}

/*
 * DRBM, DWOM: root/file of 8 MiB for each thread; a thread has a handle of its own, and reads or
 * writes the first page of its 8 MiB.
 */

static uint64_t own_region(const struct bench_worker *w)
{
	return w->index * BENCH_SHARED_BYTES;
}

static void make_shared_file(struct bench_worker *w, uint64_t size)
{
	make_buffer(w);
	set_path(w, "file");
	make_file(w, size);
	free_buffer(w);
}

static void set_up_regions(struct bench_worker *w)
{
	make_shared_file(w, w->threads * BENCH_SHARED_BYTES);
}

static void begin_read_shared(struct bench_worker *w)
{
	begin_buffer(w);
	set_path(w, "file");
	w->handle = op_open_read(w, w->path);
}

/* The handle takes the file's lock for each call only, so that other threads can write, too. */
static void begin_write_shared(struct bench_worker *w)
{
	begin_buffer(w);
	set_path(w, "file");
	w->handle = op_open_update_shared(w, w->path);
}

/* Measured. */
static void measure_read_region(struct bench_worker *w)
{
	read_page(w, own_region(w));
}

static void finish_read_region(struct bench_worker *w)
{
	check_read_page(w, own_region(w));
}

/* Measured. */
static void measure_write_region(struct bench_worker *w)
{
	write_page(w, own_region(w));
}

static void finish_write_region(struct bench_worker *w)
{
	check_written_page(w, own_region(w));
}

/*
 * DRBH: the one page of root/file, open all along by a handle of each thread.
 * DRBH_bg: the same, while the background thread writes the page again and again. Only its second
 * word changes.
 */

static void set_up_shared_page(struct bench_worker *w)
{
	make_shared_file(w, BENCH_PAGE);
}

static void begin_read_beside_writer(struct bench_worker *w)
{
	begin_buffer(w);
	set_path(w, "file");
	w->handle = op_open_read_shared(w, w->path);
}

static void finish_read_beside_writer(struct bench_worker *w)
{
	uint64_t second = UINT64_C(8) << 40;

	memcpy(w->buffer + sizeof(second), &second, sizeof(second));
	check_read_page(w, 0);
}

/* Beside the measured threads. */
static void background_write_page(struct bench_worker *w)
{
	stamp_page(w->buffer, BENCH_PAGE, 0);
	for (; bench_goes_on(w); w->ops++) {
		memcpy(w->buffer + sizeof(w->ops), &w->ops, sizeof(w->ops));
		op_pwrite(w, w->handle, w->buffer, BENCH_PAGE, 0);
	}
}

/*
 * DWSL: pwrite_4k, and a flush after each write.
 */

/* Measured. */
static void measure_write_flush(struct bench_worker *w)
{
	for (uint64_t i = 1; i <= w->ops; i++) {
		memcpy(w->buffer, &i, sizeof(i));
		op_pwrite(w, w->handle, w->buffer, BENCH_PAGE, 0);
		op_flush(w, w->handle);
	}
}

/*
 * DWTL: root/index/file of 32 MiB, open all along, becomes 16 MiB long page by page. It is made
 * long again outside the clock.
 */

#define CUT_KEPT ((uint64_t)BENCH_APPENDS * BENCH_PAGE)

static void set_up_truncate(struct bench_worker *w)
{
	make_own_files(w, CUT_KEPT);
}

static void prepare_truncate(struct bench_worker *w)
{
	for (uint64_t offset = CUT_KEPT; offset < 2 * CUT_KEPT; offset += BENCH_PIECE) {
		stamp_page(w->buffer, BENCH_PIECE, offset);
		op_pwrite(w, w->handle, w->buffer, BENCH_PIECE, (int64_t)offset);
	}
}

/* Measured. */
static void measure_truncate(struct bench_worker *w)
{
	uint64_t size = 2 * CUT_KEPT;

	for (uint64_t i = 0; i < w->ops; i++) {
		size -= BENCH_PAGE;
		op_truncate(w, w->handle, (int64_t)size);
	}
}

static void finish_truncate(struct bench_worker *w)
{
	if (op_stat(w, w->path) != (int64_t)CUT_KEPT)
		bench_die("%s: wrong size", w->path);
	for (uint64_t offset = 0; w->thorough && offset < CUT_KEPT; offset += BENCH_PIECE) {
		op_pread(w, w->handle, w->buffer, BENCH_PIECE, (int64_t)offset);
		check_page(w->buffer, BENCH_PIECE, offset, w->path);
	}
}

/*
 * MRPL: root/index/0/0/0/0, whose names are five with the index.
 */

static void set_up_own_depth(struct bench_worker *w)
{
	static const char *const levels[] = {"", "/0", "/0/0", "/0/0/0"};

	for (unsigned i = 0; i < w->threads; i++) {
		for (unsigned level = 0; level < sizeof(levels) / sizeof(levels[0]); level++) {
			set_own_path(w, i, levels[level]);
			op_mkdir(w, w->path);
		}
		set_own_path(w, i, "/0/0/0/0");
		make_hot_file(w);
	}
}

static void begin_own_depth(struct bench_worker *w)
{
	set_own_path(w, w->index, "/0/0/0/0");
}

/*
 * MRPM: a random one of root/0/0/0/0/0 to root/7/7/7/7/7, whose sizes tell them apart.
 * MRPH: the first of them.
 * MRPM_bg: as MRPM, while the background thread creates and removes a file beside the first one.
 */

/* Write the digits of a number to base 8 at every other place. */
static inline void set_fan_path(char *name, uint32_t number)
{
	for (unsigned level = 0; level < FAN_LEVELS; level++) {
		name[(size_t)2 * level] = (char)('0' + number % BENCH_FAN);
		number /= BENCH_FAN;
	}
}

/* Set the worker's path to the first file's. */
static void begin_fan(struct bench_worker *w)
{
	set_path(w, "0/0/0/0/0");
	w->name_at -= FAN_LENGTH;
	w->random = UINT64_C(0x9E3779B97F4A7C15) * (w->index + 1);
}

/* Make the directories whose paths have so many names. */
static void make_fan_level(struct bench_worker *w, unsigned names)
{
	uint32_t count = 1;

	begin_fan(w);
	for (unsigned i = 0; i < names; i++)
		count *= BENCH_FAN;
	for (uint32_t number = 0; number < count; number++) {
		set_fan_path(w->path + w->name_at, number);
		w->path[w->name_at + (size_t)2 * names - 1] = '\0';
		op_mkdir(w, w->path);
	}
}

static void set_up_fan(struct bench_worker *w)
{
	for (unsigned names = 1; names < FAN_LEVELS; names++)
		make_fan_level(w, names);
	begin_fan(w);
	for (uint32_t number = 0; number < BENCH_FAN_FILES; number++) {
		set_fan_path(w->path + w->name_at, number);
		union bench_handle handle = op_open_write(w, w->path);
		op_truncate(w, handle, cold_stat_size(number));
		op_close(w, handle);
	}
}

/* Measured. */
static void measure_stat_fan(struct bench_worker *w)
{
	char *name = w->path + w->name_at;
	uint64_t random = w->random;

	for (uint64_t i = 0; i < w->ops; i++) {
		uint32_t number = (uint32_t)(bench_random(&random) % BENCH_FAN_FILES);
		set_fan_path(name, number);
		if (bench_unlikely(op_stat(w, w->path) != cold_stat_size(number)))
			bench_die("%s: wrong size", w->path);
	}
	w->random = random;
}

/* Measured. */
static void measure_stat_one_of_fan(struct bench_worker *w)
{
	stat_again(w, cold_stat_size(0));
}

static void begin_fan_background(struct bench_worker *w)
{
	set_path(w, "0/0/0/0/b");
}

/* Beside the measured threads. An operation is a file that comes and goes. */
static void background_create_remove(struct bench_worker *w)
{
	for (; bench_goes_on(w); w->ops++) {
		op_close(w, op_open_write(w, w->path));
		op_remove(w, w->path);
	}
}

/*
 * MRDM: root/dir with f0 to f999, listed by all threads.
 * MRDM_bg: the same, while the background thread creates and removes one more file.
 * MWUM_pair: the threads create and remove files there.
 * MWUM_bg: the same, while the background thread lists the directory.
 */

static void make_shared_directory(struct bench_worker *w)
{
	set_path(w, "dir");
	op_mkdir(w, w->path);
}

static void set_up_shared_names(struct bench_worker *w)
{
	make_shared_directory(w);
	set_path(w, "dir/f");
	make_empty_files(w, BENCH_LIST_NAMES);
}

static void begin_shared_directory(struct bench_worker *w)
{
	begin_buffer(w);
	set_path(w, "dir");
}

/* Set the worker's path to where names of the thread's own begin in the shared directory. */
static void set_shared_path(struct bench_worker *w)
{
	char name[64];

	snprintf(name, sizeof(name), "dir/%u-", w->index);
	set_path(w, name);
}

/* Names that stay are listed, whatever comes and goes meanwhile. */
static inline void list_beside_writer(struct bench_worker *w)
{
	if (bench_unlikely(op_list(w, w->path) < BENCH_LIST_NAMES))
		bench_die("%s: too few names", w->path);
}

/* Measured. */
static void measure_list_beside_writer(struct bench_worker *w)
{
	for (uint64_t done = 0; done < w->ops; done += BENCH_LIST_NAMES)
		list_beside_writer(w);
}

static void begin_name_background(struct bench_worker *w)
{
	set_path(w, "dir/b");
}

/* Beside the measured threads. An operation is a name, as for those that list. */
static void background_list(struct bench_worker *w)
{
	for (; bench_goes_on(w); w->ops += BENCH_LIST_NAMES)
		list_beside_writer(w);
}

static void begin_shared(struct bench_worker *w)
{
	begin_buffer(w);
	set_shared_path(w);
	stamp_page(w->buffer, BENCH_PAGE, 0);
}

/* Measured. */
static void measure_create_remove(struct bench_worker *w)
{
	char *name = w->path + w->name_at;

	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(name, (uint32_t)i);
		op_close(w, op_open_write(w, w->path));
		op_remove(w, w->path);
	}
}

/* Others may still be at work in the directory: only the thread's own names can be looked at. */
static void finish_own_names(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(w->path + w->name_at, (uint32_t)i);
		if (op_exists(w, w->path))
			bench_die("%s: has not been removed", w->path);
	}
}

/*
 * MWCL: root/index/f0 to f19999, empty. MWCM and MWUM: root/dir/index-0 to index-19999.
 */

static void finish_create_empty(struct bench_worker *w)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(w->path + w->name_at, (uint32_t)i);
		if (op_stat(w, w->path) != 0)
			bench_die("%s: wrong size", w->path);
	}
	remove_many(w);
	finish_remove(w);
}

/*
 * MWRL: root/index/f0 becomes f1, that becomes f2, and so on.
 */

static void set_up_rename_next(struct bench_worker *w)
{
	make_own_directories(w);
	for (unsigned i = 0; i < w->threads; i++) {
		set_own_path(w, i, "/f0");
		make_hot_file(w);
	}
}

static void begin_rename_next(struct bench_worker *w)
{
	begin_buffer(w);
	set_own_path(w, w->index, "/f");
	keep_as_to(w);
}

/* Measured. */
static void measure_rename_next(struct bench_worker *w)
{
	char *from = w->path;
	char *to = w->to;

	bench_decimal(from + w->name_at, 0);
	for (uint64_t i = 1; i <= w->ops; i++) {
		bench_decimal(to + w->name_at, (uint32_t)i);
		op_rename(w, from, to);
		char *swap = from;
		from = to;
		to = swap;
	}
}

static void finish_rename_next(struct bench_worker *w)
{
	bench_decimal(w->path + w->name_at, (uint32_t)w->ops);
	bench_decimal(w->to + w->name_at, 0);
	op_rename(w, w->path, w->to);
	if (op_stat(w, w->to) != HOT_SIZE)
		bench_die("%s: wrong size", w->to);
	set_own_path(w, w->index, "");
	if (op_list(w, w->path) != 1)
		bench_die("%s: wrong number of names", w->path);
	set_own_path(w, w->index, "/f");
}

/*
 * MWRM: root/index/f0 to f19999 go to root/dir/index-0 to index-19999, and back outside the clock.
 */

static void set_up_move(struct bench_worker *w)
{
	make_names(w, BENCH_MANY_FILES);
	make_shared_directory(w);
}

static void begin_move(struct bench_worker *w)
{
	begin_buffer(w);
	set_shared_path(w);
	keep_as_to(w);
	set_own_path(w, w->index, "/f");
}

static inline void move_files(struct bench_worker *w, char *from, size_t from_at, char *to,
							  size_t to_at)
{
	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(from + from_at, (uint32_t)i);
		bench_decimal(to + to_at, (uint32_t)i);
		op_rename(w, from, to);
	}
}

/* Measured. */
static void measure_move(struct bench_worker *w)
{
	move_files(w, w->path, w->name_at, w->to, w->to_at);
}

static void finish_move(struct bench_worker *w)
{
	finish_remove(w);
	for (uint64_t i = 0; i < w->ops; i++) {
		bench_decimal(w->to + w->to_at, (uint32_t)i);
		if (op_stat(w, w->to) != 0)
			bench_die("%s: wrong size", w->to);
	}
	move_files(w, w->to, w->to_at, w->path, w->name_at);
}

#endif
