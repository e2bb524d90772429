# SPDX-License-Identifier: MIT
# The backend on RocksDB's in-memory environment, where RocksDB and a compiler for C++ are found.
# Not with sanitizers, which would have to know the library's insides.

if(NOT MFS_SANITIZE)
	include(CheckLanguage)
	check_language(CXX)
	pkg_check_modules(ROCKSDB QUIET IMPORTED_TARGET rocksdb)
endif()
if(NOT CMAKE_CXX_COMPILER OR NOT ROCKSDB_FOUND)
	message(STATUS "dmemfs_bench: without RocksDB")
	return()
endif()

enable_language(CXX)
add_library(bench_rocksdb_env STATIC rocksdb_env.cc)
set_target_properties(bench_rocksdb_env PROPERTIES
	CXX_STANDARD 17
	CXX_STANDARD_REQUIRED ON
	CXX_EXTENSIONS OFF
)
# C++ has no functions without prototypes, and compilers mind when they are told to look for them.
get_target_property(rocksdb_options bench_rocksdb_env COMPILE_OPTIONS)
list(REMOVE_ITEM rocksdb_options -Wstrict-prototypes -Wmissing-prototypes)
set_target_properties(bench_rocksdb_env PROPERTIES COMPILE_OPTIONS "${rocksdb_options}")
target_link_libraries(bench_rocksdb_env PRIVATE PkgConfig::ROCKSDB)

target_sources(dmemfs_bench PRIVATE backend_rocksdb.c)
target_compile_definitions(dmemfs_bench PRIVATE BENCH_ROCKSDB)
target_link_libraries(dmemfs_bench PRIVATE bench_rocksdb_env)
