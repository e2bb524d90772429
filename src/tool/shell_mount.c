/* SPDX-License-Identifier: MIT */
#include "shell_mount.h"

#include "shell_commands.h"

#ifdef TOOL_HAS_FUSE
#include <dmemfs/fuse.h>
#endif

#include <stdlib.h>
#include <string.h>

#ifdef TOOL_HAS_FUSE

struct shell_mount {
	mfs_fuse *session;
	char *point; /* as the user named it */
};

/* End the mount. Returns 0; or a code, and then it goes on. */
static int end(struct shell *shell, unsigned flags)
{
	struct shell_mount *mount = shell->mount;

	int code = mfs_fuse_stop(mount->session, flags);
	if (code)
		return code;
	free(mount->point);
	free(mount);
	shell->mount = NULL;
	return 0;
}

bool shell_mount_command(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;
	const mfs_fuse_options options = {.struct_size = sizeof options};

	if (!shell_take_arguments(shell, argc, argv, "", 1, 1, &arguments))
		return false;
	/* Somebody may have unmounted it from outside. */
	if (shell->mount && mfs_fuse_wait(shell->mount->session, MFS_NO_WAIT) == 0)
		(void)end(shell, 0);
	if (shell->mount)
		return shell_complain(shell, "mount", "the workspace is mounted on %s already",
							  shell->mount->point);
	struct shell_mount *mount = calloc(1, sizeof *mount);
	char *point = strdup(arguments.operands[0]);
	if (!mount || !point) {
		free(mount);
		free(point);
		return shell_complain(shell, "mount", "out of memory");
	}
	if (mfs_fuse_start(shell->fs, point, &options, &mount->session) < 0) {
		free(mount);
		free(point);
		return shell_complain_last(shell, "mount");
	}
	mount->point = point;
	shell->mount = mount;
	return true;
}

bool shell_umount(struct shell *shell, int argc, char **argv)
{
	struct shell_arguments arguments;

	if (!shell_take_arguments(shell, argc, argv, "l", 0, 0, &arguments))
		return false;
	if (!shell->mount)
		return shell_complain(shell, "umount", "nothing is mounted");
	return end(shell, arguments.values['l'] ? MFS_FUSE_DETACH : 0) == 0 ||
		   shell_complain_last(shell, "umount");
}

void shell_mount_end(struct shell *shell)
{
	if (!shell->mount || end(shell, 0) == 0)
		return;
	(void)shell_complain_last(shell, "umount");
	if (end(shell, MFS_FUSE_DETACH) < 0)
		(void)shell_complain_last(shell, "umount");
}

#else

static bool is_absent(const struct shell *shell, const char *command)
{
	return shell_complain(shell, command, "this dmemfs was built without the component fuse");
}

bool shell_mount_command(struct shell *shell, int argc, char **argv)
{
	(void)argc;
	return is_absent(shell, argv[0]);
}

bool shell_umount(struct shell *shell, int argc, char **argv)
{
	(void)argc;
	return is_absent(shell, argv[0]);
}

void shell_mount_end(struct shell *shell)
{
	(void)shell;
}

#endif
