#!/bin/sh
# SPDX-License-Identifier: MIT
# python_ctypes.sh LIBRARY: Python, which has no jemalloc, loads LIBRARY and writes a file with it.
set -eu

if ! command -v python3 >/dev/null; then
	echo "skipped: there is no python3"
	exit 77
fi
exec python3 - "$1" <<'PYTHON'
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
for name in ("mfs_write", "mfs_pread"):
    getattr(library, name).restype = ctypes.c_int64


def check(what, result, expected):
    if result != expected:
        library.mfs_last_error.restype = ctypes.c_char_p
        sys.exit(f"{what}: {result}, not {expected}; {library.mfs_last_error().decode()}")


fs = ctypes.c_void_p()
file = ctypes.c_void_p()
data = b"hello from Python"
buffer = ctypes.create_string_buffer(64)

check("mfs_new", library.mfs_new(None, ctypes.byref(fs)), 0)
check("mfs_mkdir", library.mfs_mkdir(fs, b"/dir", 0), 0)
check("mfs_open wb", library.mfs_open(fs, b"/dir/file", b"wb", ctypes.byref(file)), 0)
check("mfs_write", library.mfs_write(file, data, ctypes.c_size_t(len(data))), len(data))
check("mfs_close", library.mfs_close(file), 0)
check("mfs_open rb", library.mfs_open(fs, b"/dir/file", b"rb", ctypes.byref(file)), 0)
check("mfs_free with an open handle", library.mfs_free(fs), -16)
check("mfs_pread", library.mfs_pread(file, buffer, ctypes.c_size_t(64), ctypes.c_int64(0)),
      len(data))
check("the data", buffer.value, data)
check("mfs_close", library.mfs_close(file), 0)
check("mfs_free", library.mfs_free(fs), 0)
print("a workspace was made, used and freed")
PYTHON
