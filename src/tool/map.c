/* SPDX-License-Identifier: MIT */
/*
 * Stage 2: count the words of the files in /in. A worker removes a file as soon as its words are in
 * the worker's table, and writes the table as a piece when it has grown enough. So the room that a
 * piece needs was given back before: its words take hardly more bytes than in the files that they
 * came from.
 *
 * A piece is written in one call under another name and then renamed: whoever lists the directory
 * finds whole pieces only.
 */
#include "piece.h"
#include "stages.h"
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory for the tables of all workers, and of one, after which it is written. */
#define TABLES_ALL   ((size_t)128 << 20)
#define TABLES_LEAST ((size_t)128 << 10)
#define TABLES_MOST  ((size_t)8 << 20)

struct mapper {
	struct run *run;
	unsigned worker;
	uint64_t pieces; /* written so far */
	struct words words;
	struct bytes text;
	struct bytes piece;
};

void map_prepare(struct run *run, uint64_t *bytes)
{
	*bytes = run_get(&run->input_bytes);
	int64_t count = mfs_listdir(run->fs, "/in", &run->staged);
	if (count < 0) {
		(void)run_fail_workspace(run, count);
		return;
	}
	run->staged_count = (uint64_t)count;
	(void)run_mkdir(run, "/stage");
}

/* Write the table as a piece, and empty it. */
static bool write_piece(struct mapper *mapper)
{
	struct run *run = mapper->run;
	char part[WORKSPACE_PATH_SIZE];
	char whole[WORKSPACE_PATH_SIZE];

	if (!mapper->words.count)
		return true;
	mapper->piece.length = 0;
	/* Workers start with different partitions, and so append to different ones afterwards. */
	if (!piece_encode(&mapper->words, mapper->worker % PARTITION_COUNT, &mapper->piece))
		return run_fail_memory(run);
	(void)snprintf(part, sizeof part, "/stage/%u/part", mapper->worker);
	(void)snprintf(whole, sizeof whole, "/stage/%u/%06" PRIu64, mapper->worker, mapper->pieces++);
	if (!run_append(run, part, mapper->piece.data, mapper->piece.length))
		return false;
	int code = mfs_rename(run->fs, part, whole, 0);
	if (code)
		return run_fail_workspace(run, code);
	run_add(&run->piece_bytes, mapper->piece.length);
	words_clear(&mapper->words);
	return true;
}

/* Read a file of the workspace to `text`. */
static bool read_file(struct mapper *mapper, const char *path)
{
	struct run *run = mapper->run;
	mfs_file *file;
	int64_t size = mfs_get_size(run->fs, path);

	if (size < 0)
		return run_fail_workspace(run, size);
	mapper->text.length = 0;
	if (!bytes_reserve(&mapper->text, (size_t)size + WORDS_SLACK))
		return run_fail_memory(run);
	int code = mfs_open(run->fs, path, "rb", &file);
	if (code)
		return run_fail_workspace(run, code);
	bool done = run_read(run, file, mapper->text.data, (size_t)size, 0);
	(void)mfs_close(file);
	mapper->text.length = (size_t)size;
	return done;
}

static bool add_words(struct mapper *mapper, uint32_t number, bool is_part)
{
	uint64_t count = 0;
	enum words_result result =
		words_add(&mapper->words, mapper->text.data, mapper->text.length, number, is_part, &count);

	if (result == WORDS_NO_MEMORY)
		return run_fail_memory(mapper->run);
	if (result == WORDS_TOO_LONG)
		return run_fail(mapper->run, EXIT_FAILED, "a word of more than 4 GiB");
	run_add(&mapper->run->words, count);
	return true;
}

static bool map_file(struct mapper *mapper, const char *name)
{
	struct run *run = mapper->run;
	char path[WORKSPACE_PATH_SIZE];
	uint32_t number = (uint32_t)strtoul(name, NULL, 10);
	bool is_part = strchr(name, '.') != NULL;

	/* A table has parts of one file only. */
	if (is_part && mapper->words.cut_file != NO_FILE && mapper->words.cut_file != number &&
		!write_piece(mapper))
		return false;
	(void)snprintf(path, sizeof path, "/in/%s", name);
	if (!read_file(mapper, path) || !add_words(mapper, number, is_part) || !run_remove(run, path))
		return false;
	run_add(&run->done_bytes, mapper->text.length);
	if (words_memory(&mapper->words) < run_share(run, TABLES_ALL, TABLES_LEAST, TABLES_MOST))
		return true;
	return write_piece(mapper);
}

void map_work(struct run *run, unsigned worker)
{
	struct mapper mapper = {.run = run, .worker = worker};
	char directory[WORKSPACE_PATH_SIZE];
	uint64_t item;
	bool going;

	words_init(&mapper.words);
	(void)snprintf(directory, sizeof directory, "/stage/%u", worker);
	going = run_mkdir(run, directory);
	while (going && run_next_item(run, run->staged_count, &item))
		going = map_file(&mapper, run->staged[item]);
	if (going && !run_is_stopping(run))
		(void)write_piece(&mapper);
	bytes_free(&mapper.piece);
	bytes_free(&mapper.text);
	words_free(&mapper.words);
}
