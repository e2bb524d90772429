#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh CMAKE CC BUILD_DIR WORK_DIR LIBDIR [TOOL]
#
# Installs BUILD_DIR under WORK_DIR and builds programs against the installation, as its users do:
# with find_package, with pkg-config, and as C++ where there is a C++ compiler; on the library, and
# on a component if that was built. A component that is not there has to be missed. Every header
# that is installed has to compile by itself. Runs the installed TOOL, named from the prefix.
set -eu

cmake=$1
cc=$2
build=$3
work=$4
libdir=$5
tool=${6-}
here=$(dirname "$0")
prefix=$work/prefix

fail() {
	echo "$0: $*" >&2
	exit 1
}

rm -rf "$work"
mkdir -p "$work"

"$cmake" --install "$build" --prefix "$prefix" >"$work/install.log"
programs=consumer
components=
if [ -e "$prefix/include/dmemfs/text.h" ]; then
	programs='consumer consumer_text'
	components=text
else
	echo "the component text was not built: nothing is asked of components"
fi

# configure DIR COMPONENTS: the consumer's project.
configure() {
	"$cmake" -S "$here" -B "$work/$1" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
		-DCOMPONENTS="$2" >"$work/$1.log" 2>&1
}

echo "find_package:"
configure build "$components" || fail "$(cat "$work/build.log")"
"$cmake" --build "$work/build" >>"$work/build.log"
for program in $programs; do
	"$work/build/$program"
done
if configure missing no_such_component; then
	fail "find_package has found a component that does not exist"
fi
grep -q 'no_such_component' "$work/missing.log" ||
	fail "find_package does not say what is missing: $(cat "$work/missing.log")"

echo "pkg-config:"
export PKG_CONFIG_PATH="$prefix/$libdir/pkgconfig"
export LD_LIBRARY_PATH="$prefix/$libdir"
# package PROGRAM: what pkg-config knows its library as.
package() {
	case $1 in
	consumer_*) echo "dmemfs-${1#consumer_}" ;;
	*) echo dmemfs ;;
	esac
}
for program in $programs; do
	flags=$(pkg-config --cflags --libs "$(package "$program")")
	case $flags in
	*jemalloc*) fail "pkg-config makes programs link jemalloc: $flags" ;;
	esac
	# shellcheck disable=SC2086 # the flags are several words
	"$cc" -std=c11 -Wall -Wextra -Werror -o "$work/with_pkg_config" "$here/$program.c" $flags
	"$work/with_pkg_config"
	if command -v c++ >/dev/null; then
		echo "C++:"
		# shellcheck disable=SC2086
		c++ -x c++ -Wall -Wextra -Werror -o "$work/with_cxx" "$here/$program.c" $flags
		"$work/with_cxx"
	fi
done
if pkg-config --exists dmemfs-no_such_component; then
	fail "pkg-config has found a component that does not exist"
fi

echo "each header by itself:"
for header in "$prefix"/include/dmemfs/*.h; do
	name=$(basename "$header")
	echo "#include <dmemfs/$name>" >"$work/alone.c"
	set -- -Wall -Wextra -Wpedantic -Werror -fsyntax-only "-I$prefix/include" "$work/alone.c"
	"$cc" -std=c11 "$@" || fail "$name does not compile by itself"
	if command -v c++ >/dev/null; then
		c++ -x c++ "$@" || fail "$name does not compile by itself as C++"
	fi
	echo "$name"
done

if [ -n "$tool" ]; then
	echo "installed tool:"
	unset LD_LIBRARY_PATH
	"$prefix/$tool" --version
fi
