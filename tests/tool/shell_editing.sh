#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shell_editing.sh TOOL
#
# What does a person at a terminal see of `dmemfs shell`: prompts, completion, history, interrupts,
# and names that try to do something to the terminal?
set -euo pipefail

if ! command -v python3 >/dev/null; then
	echo 'skipped: there is no python3'
	exit 77
fi

# shellcheck source=/dev/null
. "$(dirname "$0")/support.sh"
: "${tool:?}"

mkdir host
echo content >host/file
owned=$'\033]0;owned\a'
echo harmless >"host/$owned"
mkfifo fifo

python3 - "$tool" <<'PYTHON'
import errno
import os
import pty
import re
import select
import signal
import sys
import termios
import time

OWNED = b"\x1b]0;owned\x07"
seen = b""


def fail(message):
    os.kill(child, signal.SIGKILL)
    sys.exit(f"FAIL: {message}; the last of the terminal: {seen[-500:]!r}")


def read_some(deadline):
    """Read on; b'' at the end."""
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return None
        try:
            return os.read(terminal, 4096)
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise


def wait_for_editor():
    """The prompt comes a moment before the terminal passes each key on."""
    deadline = time.monotonic() + 30
    while termios.tcgetattr(terminal)[3] & termios.ICANON:
        if time.monotonic() > deadline:
            fail("the editor did not take over")
        time.sleep(0.001)


def expect(text):
    """Wait until the terminal shows a text, and forget all up to its end. Returns that."""
    global seen
    deadline = time.monotonic() + 30
    while text not in seen:
        more = read_some(deadline)
        if not more:
            fail(f"{text!r} did not come")
        seen += more
        if OWNED in seen:
            fail("a name reached the terminal as it is")
    end = seen.index(text) + len(text)
    result, seen = seen[:end], seen[end:]
    if text.endswith(b"> "):
        wait_for_editor()
    return result


def type_in(text):
    os.write(terminal, text)


def run(line, prompt=b"dmemfs:/> "):
    """Type a line and Enter. Returns what is shown up to the next prompt."""
    type_in(line + b"\r")
    expect(b"\n")
    return expect(prompt)


def prints(line, text, prompt=b"dmemfs:/> "):
    """Type a line; a line of what it prints must be this."""
    shown = b"\n" + run(line, prompt)
    if b"\n" + text + b"\r\n" not in shown:
        fail(f"{line!r} does not print {text!r} but {shown!r}")


child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM="xterm", HOME=os.getcwd())
    os.execv(sys.argv[1], [sys.argv[1], "shell", "host"])
expect(b"dmemfs:/> ")

# Tab: a command, a path, a directory, a name that has to be quoted.
run(b"mkd\tsome-directory")
run(b"cd so\t", b"dmemfs:/some-directory> ")
run(b"write 'a b;c' found", b"dmemfs:/some-directory> ")
prints(b"cat a\t", b"found", b"dmemfs:/some-directory> ")
prints(b"cat ../some-directory/'a b\t", b"found", b"dmemfs:/some-directory> ")
prints(b"cat ../some\t\t", b"found", b"dmemfs:/some-directory> ")
run(b"cd")

# What several have in common, then a list of them.
run(b"write one-a 1; write one-b 2")
type_in(b"cat o\t\t")
expect(b"\none-a  one-b\r\n")
prints(b"b", b"2")
# Nothing fits: the line stays.
if b"no such file" not in run(b"cat nothing\t"):
    fail("a word without candidates")
# In the middle of a line.
prints(b"cat n; echo end" + b"\x1b[D" * 10 + b"\x7fone-b" + b"\t\x05", b"2")
# The host's names, where a command wants them.
run(b"put hos\tfi\tcopy")
prints(b"cat copy", b"content")

# A name that would do something is shown as what may be typed, by all that shows names.
for line in b"ls", b"ls -l", b"tree", b"find", b"glob *", b"du -a", b"stat *own*":
    if b"\\x1b]0;owned\\a'" not in run(line):
        fail(f"{line!r} does not show the name")
prints(b"cat $'\\x1b]0;owned\\a'", b"harmless")
if b"\\x1b]0;owned\\a" not in run(b"mkdir *own*"):
    fail("a message does not show the name")
prints(b"cat $'\\x1b\t", b"harmless")
run(b"mkdir $'\\x1b]0;owned\\a.d'")
run(b"cd *.d", b"dmemfs:$'/\\x1b]0;owned\\a.d'> ")
run(b"cd")

# The history: earlier lines, and a search.
run(b"echo first")
run(b"echo second")
prints(b"\x1b[A\x1b[A again", b"first again")
prints(b"\x12sec\x05 found", b"second found")

# Ctrl-C gives up the line, and a command that waits for the host.
type_in(b"echo this was given up")
expect(b"given up")
type_in(b"\x03")
expect(b"dmemfs:/> ")
if b"given up" in run(b"pwd"):
    fail("the line was not given up")
type_in(b"put fifo x; echo not reached\r")
expect(b"\n")
writer = os.open("fifo", os.O_WRONLY)
type_in(b"\x03")
shown = expect(b"dmemfs:/> ")
os.close(writer)
if b"put: canceled" not in shown or b"not reached" in shown:
    fail(f"the command was not given up: {shown!r}")
if b"no such file" not in run(b"cat x"):
    fail("a part of a file has come")
# Failures do not end it, and do not count.
run(b"missing")
run(b"echo 'open")

# Ctrl-D.
type_in(b"\x04")
while True:
    more = read_some(time.monotonic() + 30)
    if more is None:
        fail("Ctrl-D did not end the shell")
    if not more:
        break
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if status != 0:
    sys.exit(f"FAIL: exit code {status}")
print("PASS")
PYTHON
