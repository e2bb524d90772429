/* SPDX-License-Identifier: MIT */
/*
 * An import on its way: the threads build one staged tree (fs/staging.h). Their work is a stack of
 * jobs: a directory to be read, or files of a directory that has many. The host is read outside the
 * gate, straight into the chunks of staged files; what changes the staged tree is done inside.
 *
 * A file is as long as the host says when it is opened. What is appended later is left out; if it
 * has become shorter, so does its copy.
 */
#ifndef MFS_HOST_IMPORTER_H
#define MFS_HOST_IMPORTER_H

#include "fs/staging.h"
#include "host/transfer.h"

/** For messages. */
#define MFS__IMPORT_CALL "import_from_dir"

/* Mutexes that directories share by their addresses. */
#define MFS__IMPORT_MUTEXES 16

struct mfs__importer {
	/* Constant while threads work. */
	mfs *fs;
	struct mfs__directory *base; /* staged, stands for the top; all below it is on the host */
	size_t base_length;          /* of its path in the workspace */
	size_t top_length;           /* of the top's path on the host, with the '/' behind it */
	struct mfs__import_worker *workers;
	/* Each with its own rules. */
	struct mfs__transfer transfer;
	struct mfs__staging staging;
	/* Each while a name is put into one of the staged directories that have it. Inside the gate. */
	pthread_mutex_t filling[MFS__IMPORT_MUTEXES];
	/* Under the transfer's mutex. */
	struct mfs__import_job *jobs; /* the last one first */
	unsigned busy;                /* threads that have a job */
	/* Atomic, changed under the transfer's mutex: jobs of files in the stack. */
	_Atomic unsigned file_jobs;
};

/**
 * Fill the staged tree below `base` with what there is below `top`, a directory of the host. When
 * it returns, all threads have ended, unless the transfer is an orphan.
 *
 * Returns 0 or a code, noted.
 */
int mfs__import_run(struct mfs__importer *importer, int top);

/** The name of a staged directory. */
static inline const struct mfs__dentry *mfs__staged_name(struct mfs__directory *directory)
{
	return mfs__first_dentry(&directory->node);
}

#endif
