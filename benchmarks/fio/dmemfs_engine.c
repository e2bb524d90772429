/* SPDX-License-Identifier: MIT */
/*
 * An I/O engine for fio: fio's own jobs on a workspace, `ioengine=external:/path/dmemfs_fio.so`.
 *
 * All jobs of a fio process share one workspace, in memory of that process, so jobs have to be its
 * threads: thread=1. A file's name is its path in the workspace, and directories are made as they
 * are needed. Nothing is on the host. What one job has written, later ones find; the workspace goes
 * with the process.
 *
 * The engine's one option is `quota`, the limit of the workspace in bytes.
 *
 * It is compiled against the headers of a fio source tree, and only for fio of that version: the
 * structures that it is handed have other layouts in others. It must not need jemalloc, which
 * cannot be loaded into a program that runs.
 */
#include <fio.h>
#include <optgroup.h>

#include <dmemfs/dmemfs.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct options {
	void *job; /* the first word of an engine's options is fio's */
	unsigned long long quota;
};

static struct fio_option option_list[] = {
	{
		.name = "quota",
		.lname = "Quota of the workspace",
		.type = FIO_OPT_STR_VAL,
		.off1 = offsetof(struct options, quota),
		.minval = 1,
		.def = "4g",
		.help = "Bytes that the files of all jobs may hold; the same for all jobs",
		.category = FIO_OPT_C_ENGINE,
		.group = FIO_OPT_G_INVALID,
	},
	{.name = NULL},
};

/* Guards the making of the workspace and of files before the jobs run. */
static pthread_mutex_t set_up_lock = PTHREAD_MUTEX_INITIALIZER;
/* Made by the first job that is set up, under set_up_lock; all others come by there, too. */
static mfs *workspace;
static unsigned long long workspace_quota;

/* The errno for a code of the library, by which fio knows a full device, for example. */
static int error_of(int64_t code)
{
	switch (code) {
	case MFS_EMEMGUARD:
		return ENOMEM;
	case MFS_EHOST:
	case MFS_EFORMAT:
		return EIO;
	default:
		return (int)-code;
	}
}

/* Report what was refused. Returns its errno. */
static int refused(struct thread_data *td, int64_t code)
{
	int error = error_of(code);

	log_err("fio: dmemfs: %s%s\n", mfs_last_error(),
			mfs_is_quota_error((int)code) ? "; the engine's option quota is the limit" : "");
	td_verror(td, error, "dmemfs");
	return error;
}

/*
 * Set-up
 */

/* Returns 0 or an errno, reported. */
static int need_workspace(struct thread_data *td)
{
	const struct options *options = td->eo;
	mfs_options wanted = {.struct_size = sizeof(wanted)};

	if (!workspace) {
		wanted.max_quota = options->quota;
		wanted.default_storage = MFS_STORAGE_RANDOM_ACCESS;
		int code = mfs_new(&wanted, &workspace);
		if (code)
			return refused(td, code);
		workspace_quota = options->quota;
	}
	if (workspace_quota != options->quota) {
		log_err("fio: dmemfs: %s: quota=%llu, but jobs before it have quota=%llu\n", td->o.name,
				options->quota, workspace_quota);
		td_verror(td, EINVAL, "quota");
		return EINVAL;
	}
	return 0;
}

/* A file that is not there has size 0; it is made when fio has decided how large it has to be. */
static int get_file_size(struct thread_data *td, struct fio_file *f)
{
	int64_t size = mfs_get_size(workspace, f->file_name);

	if (size < 0 && size != MFS_ENOENT)
		return refused(td, size);
	f->filetype = FIO_TYPE_FILE;
	f->real_file_size = size < 0 ? 0 : (uint64_t)size;
	fio_file_set_size_known(f);
	return 0;
}

/* Runs in fio's main thread for each job, or with create_serialize=0 in the job's. */
static int set_up(struct thread_data *td)
{
	struct fio_file *f;
	unsigned int i;

	if (strcmp(fio_version_string, FIO_SOURCE_VERSION) != 0) {
		log_err("fio: dmemfs: this is %s, the engine is for " FIO_SOURCE_VERSION "\n",
				fio_version_string);
		return EINVAL;
	}
	if (!td->o.use_thread) {
		log_err("fio: dmemfs: %s: set thread=1: a workspace is in the memory of one process\n",
				td->o.name);
		td_verror(td, EINVAL, "thread=1");
		return EINVAL;
	}
	/* It would go past the engine, and all files are in memory anyway. */
	td->o.pre_read = 0;

	pthread_mutex_lock(&set_up_lock);
	int error = need_workspace(td);
	for_each_file(td, f, i)
	{
		if (!error)
			error = get_file_size(td, f);
	}
	pthread_mutex_unlock(&set_up_lock);
	return error;
}

/* Returns 0 or a code. */
static int make_parents(const char *path)
{
	size_t length = strlen(path);

	while (length > 0 && !strchr("/\\", path[length - 1]))
		length--;
	char *parent = strndup(path, length);
	if (!parent)
		return mfs_set_last_error(MFS_ENOMEM, "no memory for a path");
	int code = mfs_mkdir(workspace, parent, MFS_EXIST_OK);
	free(parent);
	return code;
}

/* Returns 0 and a handle that appends, or a code. */
static int open_new(struct thread_data *td, const char *path, mfs_file **file)
{
	int code = 0;

	if (td->o.allow_create)
		code = make_parents(path);
	else if (!mfs_exists(workspace, path))
		code = mfs_set_last_error(MFS_ENOENT, "%s is not there, and allow_file_create=0", path);
	return code ? code : mfs_open(workspace, path, "ab", file);
}

/* Append what fio's options say that buffers hold. Returns 0 or a code. */
static int64_t fill(struct thread_data *td, mfs_file *file, uint64_t size, uint64_t wanted)
{
	uint64_t block = td->o.max_bs[DDIR_WRITE];

	if (block > wanted - size)
		block = wanted - size;
	char *buffer = malloc(block);
	if (!buffer)
		return mfs_set_last_error(MFS_ENOMEM, "no memory for a block of %s", td->o.name);
	int64_t result = 0;
	while (result >= 0 && size < wanted && !td->terminate) {
		if (block > wanted - size)
			block = wanted - size;
		fill_io_buffer(td, buffer, block, block);
		result = mfs_write(file, buffer, block);
		size += block;
	}
	free(buffer);
	return result < 0 ? result : 0;
}

/* Make the file as long as the job needs it. Returns 0 or a code. */
static int64_t extend(struct thread_data *td, const char *path, uint64_t wanted)
{
	bool has_data = td_read(td) || td_trim(td) || (td->o.overwrite && !td->o.file_append);
	/* The other modes reserve space on disks, which for a workspace is the size. */
	bool has_size = td->o.fallocate_mode != FIO_FALLOCATE_NONE &&
					td->o.fallocate_mode != FIO_FALLOCATE_KEEP_SIZE;
	mfs_file *file = NULL;

	int code = open_new(td, path, &file);
	if (code)
		return code;
	int64_t result = mfs_get_size(workspace, path);
	if (result >= 0 && (uint64_t)result < wanted) {
		if (has_data)
			result = fill(td, file, (uint64_t)result, wanted);
		else if (has_size)
			result = mfs_truncate(file, (int64_t)wanted);
	}
	(void)mfs_close(file);
	return result < 0 ? result : 0;
}

/* Now fio has decided how large the file has to be. */
static int lay_out_file(struct thread_data *td, struct fio_file *f)
{
	uint64_t wanted = f->file_offset + f->io_size;
	int64_t code = 0;

	/* With fill_device nobody knows it yet. */
	if (f->io_size == UINT64_MAX) {
		f->real_file_size = UINT64_MAX;
		return 0;
	}
	pthread_mutex_lock(&set_up_lock);
	if (!td->o.create_on_open && f->real_file_size < wanted)
		code = extend(td, f->file_name, wanted);
	pthread_mutex_unlock(&set_up_lock);
	if (code < 0)
		return refused(td, code);
	if (f->real_file_size < wanted)
		f->real_file_size = wanted;
	return 0;
}

/* At exit no job is left. */
static void __attribute__((destructor)) free_workspace(void)
{
	(void)mfs_free(workspace);
}

/*
 * Files
 */

static int open_file(struct thread_data *td, struct fio_file *f)
{
	/* Jobs on one file work beside each other, as they would on descriptors. */
	mfs_open_options options = {.struct_size = sizeof(options), .flags = MFS_O_SHARED};
	bool writes = td_write(td) || td_trim(td);
	const char *mode = writes ? "r+b" : "rb";
	mfs_file *file = NULL;

	int code = mfs_open_ex(workspace, f->file_name, mode, &options, &file);
	if (code == MFS_ENOENT && writes) {
		code = open_new(td, f->file_name, &file);
		if (!code) {
			(void)mfs_close(file);
			code = mfs_open_ex(workspace, f->file_name, mode, &options, &file);
		}
	}
	if (code)
		return refused(td, code);
	FILE_SET_ENG_DATA(f, file);
	return 0;
}

static int close_file(struct thread_data *td, struct fio_file *f)
{
	int code = mfs_close(FILE_ENG_DATA(f));

	FILE_SET_ENG_DATA(f, NULL);
	return code ? refused(td, code) : 0;
}

/* Removes twice, if told to remove files after a job: no word about one that is not there. */
static int unlink_file(struct thread_data *td, struct fio_file *f)
{
	(void)td;
	return error_of(mfs_remove(workspace, f->file_name));
}

/* What is trimmed reads as zeros. Files have no holes, so nothing is given back. */
static int64_t trim(mfs_file *file, uint64_t size, int64_t offset)
{
	static const unsigned char zeros[64 * 1024];
	int64_t result = 0;

	for (uint64_t at = 0; result >= 0 && at < size; at += (uint64_t)result) {
		uint64_t part = size - at < sizeof(zeros) ? size - at : sizeof(zeros);

		result = mfs_pwrite(file, zeros, part, offset + (int64_t)at);
	}
	return result < 0 ? result : (int64_t)size;
}

static enum fio_q_status queue(struct thread_data *td, struct io_u *io_u)
{
	mfs_file *file = FILE_ENG_DATA(io_u->file);
	int64_t offset = (int64_t)io_u->offset;
	size_t size = io_u->xfer_buflen;
	int64_t result;

	fio_ro_check(td, io_u);
	switch (io_u->ddir) {
	case DDIR_READ:
		result = mfs_pread(file, io_u->xfer_buf, size, offset);
		break;
	case DDIR_WRITE:
		result = mfs_pwrite(file, io_u->xfer_buf, size, offset);
		break;
	case DDIR_TRIM:
		result = trim(file, size, offset);
		break;
	default:
		/* One of the kinds of sync, which move no bytes. */
		result = mfs_flush(file);
		size = 0;
		break;
	}
	if (result >= 0) {
		io_u->resid = size - (size_t)result;
	} else {
		io_u->error = (unsigned)error_of(result);
		io_u_log_error(td, io_u);
		td_verror(td, (int)io_u->error, mfs_last_error());
	}
	return FIO_Q_COMPLETED;
}

/* The name by which fio looks for it. */
extern struct ioengine_ops ioengine;

__attribute__((visibility("default"))) struct ioengine_ops ioengine = {
	.name = "dmemfs",
	.version = FIO_IOOPS_VERSION,
	.flags = FIO_SYNCIO | FIO_DISKLESSIO,
	.setup = set_up,
	.prepopulate_file = lay_out_file,
	.open_file = open_file,
	.close_file = close_file,
	.get_file_size = get_file_size,
	.unlink_file = unlink_file,
	.queue = queue,
	.options = option_list,
	.option_struct_size = sizeof(struct options),
};
