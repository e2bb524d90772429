/* SPDX-License-Identifier: MIT */
/* The command `dmemfs mount`: its arguments, what is mounted, and how that ends. */
#include "mount.h"

#include "contents.h"
#include "interrupt.h"
#include "size.h"

#include <dmemfs/dmemfs.h>
#ifdef TOOL_HAS_FUSE
#include <dmemfs/fuse.h>
#endif

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"usage: dmemfs mount [option]... [ARCHIVE|DIR] MOUNTPOINT\n"
	"\n"
	"Mount a filesystem in memory on the directory MOUNTPOINT, with what is in ARCHIVE\n"
	"or DIR, or empty, until a signal or umount ends it. Says 'mounted on MOUNTPOINT'\n"
	"when programs can use it.\n"
	"\n"
	"  -q, --quota SIZE   bytes that it may hold; K, M or G behind a number multiply it\n"
	"                     by 1024, 1024^2 or 1024^3; default: half of the memory\n"
	"  -n, --max-nodes N  files and directories that it may hold; default: no limit\n"
	"  -r, --read-only    nothing can be changed\n"
	"  -a, --allow-other  other users may use it, too\n"
	"  -s, --save PATH    at the end, write what it holds to PATH: an archive if it ends\n"
	"                     in .tar, .tar.gz, .tgz, .tar.zst, .tzst or .zip, else a\n"
	"                     directory, which may be there with other files\n"
	"  -h, --help         this text\n"
	"\n"
	"What is written is refused with ENOSPC past the quota, or when the machine runs\n"
	"out of memory. Links and the like are left out of ARCHIVE or DIR; owners, modes\n"
	"and times are not kept.\n"
	"\n"
	"SIGINT ends it unless programs have files open there; then the next one does so\n"
	"all the same. SIGTERM and SIGHUP end it at once. When the process is killed in\n"
	"another way, what it held is lost, and 'umount MOUNTPOINT' has to clean up.\n"
	"\n"
	"Exit codes: 0 done, 1 failure, 2 wrong usage, 3 the quota is too small.\n";

/* What the arguments say. */
struct arguments {
	uint64_t quota;
	uint64_t max_nodes;
	bool read_only;
	bool allow_other;
	const char *save; /* or NULL */
	const char *from; /* or NULL */
	const char *mountpoint;
	bool help;
};

static enum exit_code fail(const char *path)
{
	(void)fprintf(stderr, "dmemfs: %s%s%s\n", path ? path : "", path ? ": " : "", mfs_last_error());
	return EXIT_FAILED;
}

/*
 * Mounting
 */

#ifdef TOOL_HAS_FUSE

static bool is_not_interrupted(void)
{
	return interrupt_signal() == 0;
}

static enum exit_code load(mfs *fs, const char *from)
{
	uint64_t left_out = 0;
	int code = contents_load(fs, "/", from, is_not_interrupted, &left_out);

	if (code == MFS_ECANCELED && interrupt_signal()) {
		(void)mfs_free(fs);
		interrupt_die();
	}
	if (code != 0) {
		(void)fail(NULL);
		return mfs_is_quota_error(code) ? EXIT_LIMIT : EXIT_FAILED;
	}
	if (left_out)
		(void)fprintf(stderr, "dmemfs: %s: %" PRIu64 " links and the like were left out\n", from,
					  left_out);
	return EXIT_OK;
}

/* Waits until the mount is to end, or has ended, and ends it. */
static void serve(mfs_fuse *mount, const char *mountpoint)
{
	bool insist = false;
	int code = MFS_EBUSY;

	while (code != 0) {
		interrupt_wait_for(mfs_fuse_fd(mount), -1);
		bool ended = mfs_fuse_wait(mount, MFS_NO_WAIT) == 0;
		int signal_number = interrupt_take();
		if (!ended && !signal_number)
			continue;
		/* Nobody is there who could send SIGHUP again, and after SIGTERM comes SIGKILL. */
		insist = insist || (signal_number && signal_number != SIGINT);
		code = mfs_fuse_stop(mount, insist ? MFS_FUSE_DETACH : 0);
		if (code == MFS_EBUSY)
			(void)fprintf(stderr, "dmemfs: %s is in use; the next SIGINT ends it all the same\n",
						  mountpoint);
		else if (code != 0)
			(void)fail(mountpoint);
		insist = true;
	}
}

static enum exit_code save(mfs *fs, const char *to)
{
	/* Signals that come now are caught and not heeded: all that there was would be lost. */
	return contents_save(fs, "/", to, NULL) == 0 ? EXIT_OK : fail(NULL);
}

static enum exit_code mount_on(mfs *fs, const struct arguments *arguments)
{
	mfs_fuse_options options = {
		.struct_size = sizeof options,
		.flags = (arguments->read_only ? (unsigned)MFS_FUSE_READ_ONLY : 0) |
				 (arguments->allow_other ? (unsigned)MFS_FUSE_ALLOW_OTHER : 0),
	};
	mfs_fuse *mount = NULL;

	if (mfs_fuse_start(fs, arguments->mountpoint, &options, &mount) != 0)
		return fail(arguments->mountpoint);
	/* Whoever has closed standard output does not want to know. */
	(void)printf("mounted on %s\n", arguments->mountpoint);
	(void)fflush(stdout);
	serve(mount, arguments->mountpoint);
	return arguments->save ? save(fs, arguments->save) : EXIT_OK;
}

static enum exit_code run(const struct arguments *arguments)
{
	mfs_options options = {
		.struct_size = sizeof options,
		.max_quota = arguments->quota ? arguments->quota : size_default_quota(),
		.max_nodes = arguments->max_nodes,
		.memory_guard = MFS_GUARD_PER_WRITE,
		.memory_guard_action = MFS_GUARD_FAIL,
	};
	mfs *fs = NULL;
	enum exit_code code = EXIT_OK;

	/* Before anything is read that may be large. */
	if (arguments->save && contents_can_save(arguments->save) != 0)
		return fail(NULL);
	if (access(arguments->mountpoint, F_OK) < 0 || !interrupt_catch()) {
		(void)fprintf(stderr, "dmemfs: %s: %s\n", arguments->mountpoint, strerror(errno));
		return EXIT_FAILED;
	}
	if (mfs_new(&options, &fs) != 0)
		return fail(NULL);
	if (arguments->from)
		code = load(fs, arguments->from);
	if (code == EXIT_OK)
		code = mount_on(fs, arguments);
	if (mfs_free(fs) != 0)
		code = fail(NULL);
	return code;
}

#else

static enum exit_code run(const struct arguments *arguments)
{
	(void)mfs_set_last_error(MFS_ENOTSUP, "this dmemfs was built without the component fuse");
	return fail(arguments->mountpoint);
}

#endif

/*
 * Arguments
 */

static enum exit_code usage_error(const char *message, const char *argument)
{
	(void)fprintf(stderr, "dmemfs: mount: %s%s\nTry 'dmemfs mount --help'.\n", message, argument);
	return EXIT_USAGE;
}

/* What is no option: [ARCHIVE|DIR] MOUNTPOINT. */
static enum exit_code take_paths(int count, char **paths, struct arguments *arguments)
{
	if (count == 0)
		return usage_error("MOUNTPOINT is missing", "");
	if (count > 2)
		return usage_error("more than a source and a MOUNTPOINT: ", paths[2]);
	arguments->from = count == 2 ? paths[0] : NULL;
	arguments->mountpoint = paths[count - 1];
	return EXIT_OK;
}

static enum exit_code parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"quota", required_argument, NULL, 'q'},
		{"max-nodes", required_argument, NULL, 'n'},
		{"read-only", no_argument, NULL, 'r'},
		{"allow-other", no_argument, NULL, 'a'},
		{"save", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};

	*arguments = (struct arguments){0};
	/* Start again: getopt has looked at the arguments before the command. */
	optind = 0;
	opterr = 0;
	for (;;) {
		int index = optind ? optind : 1;
		switch (getopt_long(argc, argv, ":q:n:ras:h", options, NULL)) {
		case -1:
			return take_paths(argc - optind, argv + optind, arguments);
		case 'q':
			if (!size_parse(optarg, &arguments->quota) || !arguments->quota)
				return usage_error("not a size such as 64M: ", optarg);
			break;
		case 'n':
			if (!size_parse_count(optarg, &arguments->max_nodes))
				return usage_error("not a number of files: ", optarg);
			break;
		case 'r':
			arguments->read_only = true;
			break;
		case 'a':
			arguments->allow_other = true;
			break;
		case 's':
			arguments->save = optarg;
			break;
		case 'h':
			arguments->help = true;
			return EXIT_OK;
		case ':':
			return usage_error("a value is missing after ", argv[optind - 1]);
		default:
			return usage_error("unknown option: ", argv[index]);
		}
	}
}

enum exit_code mount_main(int argc, char **argv)
{
	struct arguments arguments;
	enum exit_code code = parse_arguments(argc, argv, &arguments);

	if (code != EXIT_OK)
		return code;
	if (arguments.help) {
		(void)fputs(help, stdout);
		return fflush(stdout) == EOF ? EXIT_FAILED : EXIT_OK;
	}
	return run(&arguments);
}
