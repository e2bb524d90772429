# SPDX-License-Identifier: MIT
# Writes the file INPUT as the string bench_page into the C source OUTPUT.

file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REPEAT "." 95 line)
string(REGEX REPLACE "(${line})" "\\1\n\t" bytes "${bytes}")
file(WRITE ${OUTPUT} "const char bench_page[] = {\n\t${bytes}0};\n")
