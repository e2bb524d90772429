# SPDX-License-Identifier: MIT
# dmemfs_jemalloc: gives a program jemalloc for all its memory; the library notices by itself.
#
# For this project's own programs. The library never needs it: Debian's libjemalloc uses static
# thread-local storage, and what needs it cannot be loaded by dlopen. Sanitizers bring a malloc of
# their own.

add_library(dmemfs_jemalloc INTERFACE)
if(NOT MFS_SANITIZE)
	pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
	# Some compilers drop libraries that nothing refers to by name, and weak references do not count.
	target_link_libraries(dmemfs_jemalloc INTERFACE
		-Wl,--push-state,--no-as-needed PkgConfig::JEMALLOC -Wl,--pop-state)
endif()
