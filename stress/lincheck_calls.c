/* SPDX-License-Identifier: MIT */
/* The calls of the linearizability check: drawn at random, made through the public interface, and
 * recorded. */
#include "lincheck_burst.h"

#define OPEN_TIMEOUT_MS 30000

/*
 * Recording
 */

uint32_t lincheck_moment(struct lincheck_burst *burst)
{
	/* pairs with itself: what one thread did before its moment is done for who has a later one */
	return 2 * atomic_fetch_add_explicit(&burst->moment, 1, memory_order_acq_rel);
}

static struct lincheck_call *invoke(struct lincheck_worker *w, enum lincheck_kind kind)
{
	if (w->call_count == LINCHECK_CALLS_MAX)
		stress_die("a thread makes too many calls");
	struct lincheck_call *call = &w->calls[w->call_count++];
	*call = (struct lincheck_call){.kind = kind, .thread = (uint8_t)w->index};
	return call;
}

static void begin_call(struct lincheck_worker *w, struct lincheck_call *call)
{
	call->invoked = lincheck_moment(w->burst);
}

static void end_call(struct lincheck_worker *w, struct lincheck_call *call, int64_t code)
{
	call->returned = lincheck_moment(w->burst);
	call->code = (int)code;
}

/*
 * What is drawn
 */

static uint32_t draw(struct lincheck_worker *w, uint32_t limit)
{
	return stress_below(&w->random, limit);
}

struct lincheck_path lincheck_draw_path(const struct lincheck_plan *plan, uint64_t *random)
{
	struct lincheck_path path = {.depth = (uint8_t)(1 + stress_below(random, plan->depth))};

	for (unsigned i = 0; i < path.depth; i++)
		path.names[i] = (uint8_t)stress_below(random, plan->names);
	return path;
}

static struct lincheck_path draw_path(struct lincheck_worker *w)
{
	const struct lincheck_plan *plan = &w->burst->plan;

	if (draw(w, 8) == 0)
		return lincheck_draw_path(plan, &w->random);
	return plan->pool[draw(w, plan->pool_count)];
}

/* A path of a directory, perhaps, for who lists it. */
static struct lincheck_path draw_directory(struct lincheck_worker *w)
{
	struct lincheck_path path = draw_path(w);

	if (draw(w, 4) != 0)
		path.depth--;
	return path;
}

static enum lincheck_kind draw_kind(struct lincheck_worker *w)
{
	const struct lincheck_plan *plan = &w->burst->plan;
	uint32_t dice = draw(w, plan->weight_sum);
	unsigned kind = 0;

	while (dice >= plan->weights[kind])
		dice -= plan->weights[kind++];
	return (enum lincheck_kind)kind;
}

/* A number for a new file, 0 if there are no more. */
static uint8_t draw_file(struct lincheck_worker *w)
{
	return w->file_count ? w->files[--w->file_count] : 0;
}

/*
 * Calls
 */

void lincheck_close(struct lincheck_worker *w)
{
	if (!w->handle)
		return;
	struct lincheck_call *call = invoke(w, LINCHECK_CLOSE);

	call->path = w->opened_path;
	call->opened_by = (uint8_t)w->opened_by;
	begin_call(w, call);
	int code = mfs_close(w->handle);
	end_call(w, call, code);
	w->handle = NULL;
}

static void call_open(struct lincheck_worker *w, enum lincheck_kind kind)
{
	static const char *const modes[] = {
		[LINCHECK_OPEN_XB] = "xb",   [LINCHECK_OPEN_WB] = "wb",   [LINCHECK_OPEN_RB] = "rb",
		[LINCHECK_SHARED_XB] = "xb", [LINCHECK_SHARED_RB] = "rb",
	};
	bool reads = kind == LINCHECK_OPEN_RB || kind == LINCHECK_SHARED_RB;
	bool shared = kind == LINCHECK_SHARED_XB || kind == LINCHECK_SHARED_RB;

	lincheck_close(w);
	uint8_t file = reads ? 0 : draw_file(w);
	if (!reads && !file)
		return;
	char path[LINCHECK_PATH_SIZE];
	struct lincheck_call *call = invoke(w, kind);
	call->path = draw_path(w);
	call->file = file;
	lincheck_path_text(&call->path, path);
	mfs_open_options options = {
		.struct_size = sizeof(options),
		.preallocate = file,
		.lock_timeout = OPEN_TIMEOUT_MS,
		.flags = shared ? MFS_O_SHARED : 0,
	};
	begin_call(w, call);
	int code = mfs_open_ex(w->burst->fs, path, modes[kind], &options, &w->handle);
	end_call(w, call, code);
	if (code)
		return;
	w->opened_by = kind;
	w->opened_path = call->path;
	if (kind == LINCHECK_OPEN_WB) {
		struct lincheck_call *fill = invoke(w, LINCHECK_FILL);
		fill->path = call->path;
		fill->file = file;
		/* Moments are even, and so this is within the open. */
		fill->invoked = call->invoked + 1;
		fill->returned = call->returned + 1;
	}
	if (draw(w, 2) == 0)
		lincheck_close(w);
}

static void call_rename(struct lincheck_worker *w, enum lincheck_kind kind)
{
	char from[LINCHECK_PATH_SIZE];
	char to[LINCHECK_PATH_SIZE];
	struct lincheck_call *call = invoke(w, kind);
	unsigned flags = kind == LINCHECK_REPLACE    ? MFS_RENAME_REPLACE
					 : kind == LINCHECK_EXCHANGE ? MFS_RENAME_EXCHANGE
												 : 0;
	int code;

	call->path = draw_path(w);
	call->to = draw_path(w);
	if (kind == LINCHECK_MOVE)
		call->flags = draw(w, 2) ? MFS_RENAME_REPLACE : 0;
	lincheck_path_text(&call->path, from);
	lincheck_path_text(&call->to, to);
	begin_call(w, call);
	if (kind == LINCHECK_MOVE)
		code = mfs_move(w->burst->fs, from, to, call->flags);
	else
		code = mfs_rename(w->burst->fs, from, to, flags);
	end_call(w, call, code);
}

/* It may have to wait for who writes the file, who may not wait for this thread. */
static void call_copy(struct lincheck_worker *w, enum lincheck_kind kind)
{
	char from[LINCHECK_PATH_SIZE];
	char to[LINCHECK_PATH_SIZE];

	lincheck_close(w);
	struct lincheck_call *call = invoke(w, kind);
	call->path = draw_path(w);
	call->to = draw_path(w);
	lincheck_path_text(&call->path, from);
	lincheck_path_text(&call->to, to);
	begin_call(w, call);
	int code = kind == LINCHECK_COPY ? mfs_copy(w->burst->fs, from, to)
									 : mfs_copy_tree(w->burst->fs, from, to);
	end_call(w, call, code);
}

/* Is one of the two paths the other one's beginning, or the same? */
static bool paths_conflict(const struct lincheck_path *a, const struct lincheck_path *b)
{
	unsigned depth = a->depth < b->depth ? a->depth : b->depth;

	return memcmp(a->names, b->names, depth) == 0;
}

static void add_import_item(struct lincheck_worker *w, struct lincheck_call *call)
{
	struct lincheck_item item = {.path = draw_path(w)};

	for (unsigned i = 0; i < call->item_count; i++) {
		if (paths_conflict(&call->items[i].path, &item.path))
			return;
	}
	if (draw(w, 8) != 0) {
		item.file = draw_file(w);
		if (item.file == 0)
			return;
	}
	call->items[call->item_count++] = item;
}

static void call_import(struct lincheck_worker *w)
{
	static const char zeros[LINCHECK_FILE_MAX];
	char paths[LINCHECK_ITEMS_MAX][LINCHECK_PATH_SIZE];
	mfs_import_item items[LINCHECK_ITEMS_MAX];
	struct lincheck_call *call = invoke(w, LINCHECK_IMPORT);
	unsigned tries = 1 + draw(w, 2 * LINCHECK_ITEMS_MAX);

	for (unsigned i = 0; i < tries && call->item_count < LINCHECK_ITEMS_MAX; i++)
		add_import_item(w, call);
	for (unsigned i = 0; i < call->item_count; i++) {
		items[i] = (mfs_import_item){
			.path = lincheck_path_text(&call->items[i].path, paths[i]),
			.data = zeros,
			.size = call->items[i].file,
			.flags = call->items[i].file ? 0 : MFS_IMPORT_DIRECTORY,
		};
	}
	begin_call(w, call);
	int code = mfs_import_tree(w->burst->fs, items, call->item_count);
	end_call(w, call, code);
}

/* A call of one path and a code. */
static void call_simple(struct lincheck_worker *w, enum lincheck_kind kind)
{
	char path[LINCHECK_PATH_SIZE];
	mfs *fs = w->burst->fs;
	struct lincheck_call *call = invoke(w, kind);
	int code;

	call->path = draw_path(w);
	if (kind == LINCHECK_MKDIR)
		call->flags = draw(w, 2) ? MFS_EXIST_OK : 0;
	else if (kind == LINCHECK_EXISTS)
		call->flags = draw(w, 3);
	lincheck_path_text(&call->path, path);
	begin_call(w, call);
	if (kind == LINCHECK_MKDIR)
		code = mfs_mkdir(fs, path, call->flags);
	else if (kind == LINCHECK_REMOVE)
		code = mfs_remove(fs, path);
	else if (kind == LINCHECK_RMTREE)
		code = mfs_rmtree(fs, path);
	else if (call->flags == LINCHECK_ANYTHING)
		code = mfs_exists(fs, path);
	else if (call->flags == LINCHECK_A_DIRECTORY)
		code = mfs_is_dir(fs, path);
	else
		code = mfs_is_file(fs, path);
	end_call(w, call, code);
}

lincheck_element lincheck_element_of(const mfs_info *info)
{
	if (info->is_dir)
		return LINCHECK_DIRECTORY;
	if (info->size < 1 || info->size > LINCHECK_FILE_MAX)
		return LINCHECK_FOREIGN_FILE;
	return (lincheck_element)info->size;
}

static void call_stat(struct lincheck_worker *w)
{
	char path[LINCHECK_PATH_SIZE];
	mfs_info info = {0};
	struct lincheck_call *call = invoke(w, LINCHECK_STAT);

	call->path = draw_path(w);
	lincheck_path_text(&call->path, path);
	begin_call(w, call);
	int code = mfs_stat(w->burst->fs, path, &info);
	end_call(w, call, code);
	if (!code)
		call->seen = lincheck_element_of(&info);
}

lincheck_element lincheck_name_set(char *const *names, unsigned ballast)
{
	lincheck_element set = 0;

	for (; *names; names++) {
		unsigned name = (unsigned)((*names)[0] - 'a');
		bool known = name < LINCHECK_NAMES && (*names)[1] == '\0' && !(set & (1u << name));
		if ((*names)[0] == LINCHECK_BALLAST_LETTER && ballast > 0)
			ballast--;
		else
			set |= known ? (lincheck_element)(1u << name) : LINCHECK_FOREIGN_NAME;
	}
	return ballast ? set | LINCHECK_FOREIGN_NAME : set;
}

static void call_listdir(struct lincheck_worker *w)
{
	char path[LINCHECK_PATH_SIZE];
	char **names;
	struct lincheck_call *call = invoke(w, LINCHECK_LISTDIR);

	call->path = draw_directory(w);
	lincheck_path_text(&call->path, path);
	begin_call(w, call);
	int64_t count = mfs_listdir(w->burst->fs, path, &names);
	end_call(w, call, count < 0 ? count : 0);
	if (count < 0)
		return;
	call->seen = lincheck_name_set(names, call->path.depth ? 0 : w->burst->ballast);
	mfs_names_free(names);
}

void lincheck_make_call(struct lincheck_worker *w)
{
	enum lincheck_kind kind = draw_kind(w);

	switch (kind) {
	case LINCHECK_OPEN_XB:
	case LINCHECK_OPEN_WB:
	case LINCHECK_OPEN_RB:
	case LINCHECK_SHARED_XB:
	case LINCHECK_SHARED_RB:
		call_open(w, kind);
		break;
	case LINCHECK_RENAME:
	case LINCHECK_REPLACE:
	case LINCHECK_EXCHANGE:
	case LINCHECK_MOVE:
		call_rename(w, kind);
		break;
	case LINCHECK_IMPORT:
		call_import(w);
		break;
	case LINCHECK_COPY:
	case LINCHECK_COPY_TREE:
		call_copy(w, kind);
		break;
	case LINCHECK_STAT:
		call_stat(w);
		break;
	case LINCHECK_LISTDIR:
		call_listdir(w);
		break;
	default:
		call_simple(w, kind);
	}
}
