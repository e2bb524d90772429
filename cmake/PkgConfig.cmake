# SPDX-License-Identifier: MIT
# pkg-config files, of the library and of its components.

set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
# The prefix as seen from there, so that an installation can be moved.
file(RELATIVE_PATH pkgconfig_to_prefix
	${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pkgconfig_to_prefix "${pkgconfig_to_prefix}")

# mfs_install_pkgconfig(<name> <description> <requires> [PRIVATE <package>...])
# <name>.pc, for lib<name>.
function(mfs_install_pkgconfig name description requires)
	cmake_parse_arguments(PARSE_ARGV 3 package "" "" "PRIVATE")
	list(JOIN package_PRIVATE " " requires_private)
	configure_file(${PROJECT_SOURCE_DIR}/cmake/pkgconfig.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${pkgconfig_dir})
endfunction()
