# SPDX-License-Identifier: MIT
# How everything below this directory is compiled: warnings, and the sanitizer of MFS_SANITIZE.

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wundef -Wstrict-prototypes
	-Wmissing-prototypes -Wpointer-arith -Wvla)
if(MFS_WERROR)
	add_compile_options(-Werror)
endif()

if(MFS_SANITIZE STREQUAL "thread")
	set(sanitizer_flags -fsanitize=thread)
elseif(MFS_SANITIZE STREQUAL "address")
	set(sanitizer_flags -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(MFS_SANITIZE)
	message(FATAL_ERROR "MFS_SANITIZE is '${MFS_SANITIZE}', not thread or address")
endif()
if(MFS_SANITIZE)
	add_compile_options(-O1 -g -fno-omit-frame-pointer ${sanitizer_flags})
	add_link_options(${sanitizer_flags})
endif()
