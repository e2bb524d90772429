/* SPDX-License-Identifier: MIT */
#include "shell_state.h"

#include "bytes.h"
#include "shell_escape.h"
#include "shell_interrupt.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool shell_complain(const struct shell *shell, const char *command, const char *format, ...)
{
	va_list arguments;
	char *message = NULL;
	struct bytes shown = {0};

	/* Whoever ends the shell knows. */
	if (shell_ending_signal())
		return false;
	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	/* Behind what the command has printed, where both go to one place. */
	(void)fflush(stdout);
	const char *text = message ? message : "out of memory";
	if (shell->err_is_terminal)
		text = shell_append_message(&shown, text) ? (const char *)shown.data : "out of memory";
	(void)fprintf(stderr, "%s: %s\n", command, text);
	bytes_free(&shown);
	free(message);
	return false;
}

bool shell_complain_last(const struct shell *shell, const char *command)
{
	return shell_complain(shell, command, "%s", mfs_last_error());
}

void shell_print_name(const struct shell *shell, const char *name)
{
	struct bytes shown = {0};

	if (!shell->out_is_terminal)
		(void)fputs(name, stdout);
	else if (shell_append_shown(&shown, name))
		(void)fputs((const char *)shown.data, stdout);
	bytes_free(&shown);
}

void shell_print_time(int64_t time, bool to_nanoseconds)
{
	int64_t nanoseconds = time % 1000000000;
	time_t seconds = (time_t)(time / 1000000000);
	struct tm local;
	char text[64];

	if (nanoseconds < 0) {
		nanoseconds += 1000000000;
		seconds--;
	}
	if (!localtime_r(&seconds, &local) ||
		!strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)) {
		(void)printf("%19s", "?");
		return;
	}
	(void)fputs(text, stdout);
	if (to_nanoseconds)
		(void)printf(".%09" PRId64, nanoseconds);
}
