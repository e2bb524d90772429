# SPDX-License-Identifier: MIT
# How tests are made and run.

pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

if(MFS_SANITIZE STREQUAL "thread")
	# The detector forgets: without the longest history it misses races that are a moment apart. The
	# child of a threaded process starts a thread: the library's reclaimer.
	set(test_environment
		"TSAN_OPTIONS=history_size=7:halt_on_error=1:exitcode=66:second_deadlock_stack=1:die_after_fork=0")
elseif(MFS_SANITIZE STREQUAL "address")
	set(test_environment
		"ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
		"UBSAN_OPTIONS=print_stacktrace=1")
else()
	set(test_environment "")
endif()
if(MFS_SANITIZE)
	set(test_timeout 300)
else()
	set(test_timeout 60)
endif()

# mfs_register_test(<name> <command> [argument]...)
# A test that is a command: exit code 0 is success, 77 means that something it needs is missing.
function(mfs_register_test name)
	add_test(NAME ${name} COMMAND ${ARGN})
	set_tests_properties(${name} PROPERTIES
		TIMEOUT ${test_timeout} SKIP_RETURN_CODE 77 ENVIRONMENT "${test_environment}")
endfunction()

# mfs_add_test(<name> [INTERNAL] [LIBS <library>...])
# A test that is a cmocka program: <name>.c, on the public interface, or INTERNAL: on the library
# with its internals and test hooks.
function(mfs_add_test name)
	cmake_parse_arguments(PARSE_ARGV 1 test "INTERNAL" "" "LIBS")
	add_executable(${name} ${name}.c)
	target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
	if(test_INTERNAL)
		target_link_libraries(${name} PRIVATE dmemfs_internal)
	else()
		target_link_libraries(${name} PRIVATE dmemfs::dmemfs)
	endif()
	target_link_libraries(${name} PRIVATE
		PkgConfig::CMOCKA Threads::Threads dmemfs_jemalloc ${test_LIBS})
	mfs_register_test(${name} ${name})
endfunction()

# mfs_add_component_test(<name> COMPONENT <component> [FAILING] [LIBS <library>...])
# The same for a component: on its public interface. FAILING: with the component's objects in the
# program, and its allocations failing as tests/failing_malloc.h says.
function(mfs_add_component_test name)
	cmake_parse_arguments(PARSE_ARGV 1 test "FAILING" "COMPONENT" "LIBS")
	set(libraries ${test_LIBS})
	if(test_FAILING)
		list(APPEND libraries dmemfs_${test_COMPONENT}_failing)
		foreach(function malloc calloc realloc reallocarray strdup strndup)
			list(APPEND libraries -Wl,--wrap=${function})
		endforeach()
	else()
		list(APPEND libraries dmemfs::${test_COMPONENT})
	endif()
	mfs_add_test(${name} LIBS ${libraries})
	if(test_FAILING)
		target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/failing_malloc.c)
	endif()
endfunction()
