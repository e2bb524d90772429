#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh CMAKE CC BUILD_DIR WORK_DIR LIBDIR [TOOL]
#
# Installs BUILD_DIR under WORK_DIR and builds programs against the installation, as its users do:
# with find_package, with pkg-config, and as C++ where there is a C++ compiler. Runs the installed
# TOOL, named from the prefix.
set -eu

cmake=$1
cc=$2
build=$3
work=$4
libdir=$5
here=$(dirname "$0")
prefix=$work/prefix

rm -rf "$work"
mkdir -p "$work"

"$cmake" --install "$build" --prefix "$prefix" >"$work/install.log"

echo "find_package:"
"$cmake" -S "$here" -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
	>"$work/configure.log"
"$cmake" --build "$work/build" >"$work/build.log"
"$work/build/consumer"

echo "pkg-config:"
export PKG_CONFIG_PATH="$prefix/$libdir/pkgconfig"
export LD_LIBRARY_PATH="$prefix/$libdir"
flags=$(pkg-config --cflags --libs dmemfs)
case $flags in
*jemalloc*)
	echo "pkg-config makes programs link jemalloc: $flags"
	exit 1
	;;
esac
# shellcheck disable=SC2086 # the flags are several words
"$cc" -std=c11 -Wall -Wextra -Werror -o "$work/with_pkg_config" "$here/consumer.c" $flags
"$work/with_pkg_config"

if command -v c++ >/dev/null; then
	echo "C++:"
	# shellcheck disable=SC2086
	c++ -x c++ -Wall -Wextra -Werror -o "$work/with_cxx" "$here/consumer.c" $flags
	"$work/with_cxx"
fi

if [ $# -ge 6 ]; then
	echo "installed tool:"
	unset LD_LIBRARY_PATH
	"$prefix/$6" --version
fi
