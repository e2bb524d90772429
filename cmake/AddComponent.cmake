# SPDX-License-Identifier: MIT
# How a component is made: an optional library of its own on the public interface of libdmemfs.

# mfs_add_component(<name> DESCRIPTION <text> SOURCES <source>... [LIBS <library>...])
# Builds libdmemfs-<name>.so as dmemfs::<name>, for programs that find_package(dmemfs COMPONENTS
# <name>) or pkg-config dmemfs-<name>. Its header is include/dmemfs/<name>.h. LIBS are its own
# business: programs that use it need not know them.
function(mfs_add_component name)
	cmake_parse_arguments(PARSE_ARGV 1 component "" "DESCRIPTION" "SOURCES;LIBS")
	set(target dmemfs_${name})
	list(TRANSFORM component_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
	add_library(${target} SHARED ${component_SOURCES})
	add_library(dmemfs::${name} ALIAS ${target})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME dmemfs-${name} EXPORT_NAME ${name} INSTALL_RPATH "$ORIGIN"
		VERSION ${PROJECT_VERSION} SOVERSION 0)
	target_link_libraries(${target} PUBLIC dmemfs::dmemfs PRIVATE ${component_LIBS})
	target_link_options(${target} PRIVATE -Wl,--as-needed)
	if(NOT MFS_SANITIZE)
		target_link_options(${target} PRIVATE -Wl,--no-undefined)
	endif()

	# The same objects for tests that make allocations fail, see mfs_add_component_test().
	add_library(${target}_failing STATIC EXCLUDE_FROM_ALL ${component_SOURCES})
	target_link_libraries(${target}_failing PUBLIC dmemfs::dmemfs ${component_LIBS})

	install(FILES ${PROJECT_SOURCE_DIR}/include/dmemfs/${name}.h
		DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dmemfs)
	install(TARGETS ${target} EXPORT dmemfsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
	mfs_install_pkgconfig(dmemfs-${name} "${component_DESCRIPTION}" dmemfs)
endfunction()
