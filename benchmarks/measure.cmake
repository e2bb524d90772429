# SPDX-License-Identifier: MIT
# Programs that measure what a mean over many calls does not show: single calls, and memory.

add_executable(dmemfs_latency ${CMAKE_CURRENT_LIST_DIR}/latency_storm.c)
target_link_libraries(dmemfs_latency PRIVATE
	dmemfs::dmemfs Threads::Threads dmemfs_jemalloc m)

# The second one shows what the library makes of the C library's allocator.
add_executable(dmemfs_footprint ${CMAKE_CURRENT_LIST_DIR}/footprint.c)
target_link_libraries(dmemfs_footprint PRIVATE dmemfs::dmemfs Threads::Threads dmemfs_jemalloc)
add_executable(dmemfs_footprint_libc ${CMAKE_CURRENT_LIST_DIR}/footprint.c)
target_link_libraries(dmemfs_footprint_libc PRIVATE dmemfs::dmemfs Threads::Threads)
