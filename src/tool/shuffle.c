/* SPDX-License-Identifier: MIT */
/*
 * Stage 3: move each section of a piece to its partition in /shuffle, to which all workers append:
 * whoever opens a partition for appending has its lock until it is closed. Sections are taken from
 * the end of a piece, which is then cut, so that no more than a section is there twice.
 */
#include "piece.h"
#include "stages.h"

#include <stdio.h>

void shuffle_prepare(struct run *run, uint64_t *bytes)
{
	*bytes = run_get(&run->piece_bytes);
	(void)run_mkdir(run, "/shuffle");
}

static bool move_section(struct run *run, mfs_file *piece, const struct section_place *place,
						 struct bytes *section)
{
	char path[WORKSPACE_PATH_SIZE];
	uint64_t size = section_size(&place->header);

	section->length = 0;
	if (!bytes_reserve(section, size))
		return run_fail_memory(run);
	if (!run_read(run, piece, section->data, size, place->offset))
		return false;
	(void)snprintf(path, sizeof path, SHUFFLE_PATH, (unsigned)place->header.partition);
	if (!run_append(run, path, section->data, size))
		return false;
	int code = mfs_truncate(piece, (int64_t)place->offset);
	if (code)
		return run_fail_workspace(run, code);
	room_gave_back(&run->room);
	run_add(&run->done_bytes, size);
	return true;
}

static bool move_piece(struct run *run, const char *path, struct bytes *places,
					   struct bytes *section)
{
	mfs_file *piece;
	int64_t size = mfs_get_size(run->fs, path);

	if (size < 0)
		return run_fail_workspace(run, size);
	int code = mfs_open(run->fs, path, "r+b", &piece);
	if (code)
		return run_fail_workspace(run, code);
	places->length = 0;
	bool going = piece_find_sections(run, piece, (uint64_t)size, places);
	const struct section_place *list = (const struct section_place *)(const void *)places->data;
	for (size_t left = places->length / sizeof *list; going && left; left--)
		going = !run_is_stopping(run) && move_section(run, piece, &list[left - 1], section);
	(void)mfs_close(piece);
	return going && run_remove(run, path);
}

/* Move all pieces of one worker of the stage before. */
static bool move_pieces(struct run *run, uint64_t worker, struct bytes *places,
						struct bytes *section)
{
	char directory[WORKSPACE_PATH_SIZE];
	char path[2 * WORKSPACE_PATH_SIZE];
	char **names;
	bool going = true;

	(void)snprintf(directory, sizeof directory, "/stage/%u", (unsigned)worker);
	int64_t count = mfs_listdir(run->fs, directory, &names);
	if (count < 0)
		return run_fail_workspace(run, count);
	for (int64_t i = 0; going && i < count; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		going = move_piece(run, path, places, section);
	}
	mfs_names_free(names);
	return going && run_remove(run, directory);
}

void shuffle_work(struct run *run, unsigned worker)
{
	struct bytes places = {0};
	struct bytes section = {0};
	uint64_t item;

	(void)worker;
	while (run_next_item(run, run->threads, &item))
		if (!move_pieces(run, item, &places, &section))
			break;
	bytes_free(&places);
	bytes_free(&section);
}
