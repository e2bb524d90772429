# SPDX-License-Identifier: MIT
# Installation: header, shared library, CMake package and pkg-config file. The tool's own list file
# installs the tool, cmake/AddComponent.cmake the components.

include(CMakePackageConfigHelpers)

install(FILES include/dmemfs/dmemfs.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dmemfs)
install(TARGETS dmemfs EXPORT dmemfsTargets
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dmemfs)
install(EXPORT dmemfsTargets NAMESPACE dmemfs:: DESTINATION ${package_dir})
configure_package_config_file(cmake/dmemfsConfig.cmake.in dmemfsConfig.cmake
	INSTALL_DESTINATION ${package_dir})
# Before 1.0 each minor version may change the interface.
write_basic_package_version_file(dmemfsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
	${PROJECT_BINARY_DIR}/dmemfsConfig.cmake ${PROJECT_BINARY_DIR}/dmemfsConfigVersion.cmake
	DESTINATION ${package_dir})

mfs_install_pkgconfig(dmemfs "${PROJECT_DESCRIPTION}" "" PRIVATE liburcu-bp)
