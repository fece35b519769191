# SPDX-License-Identifier: Apache-2.0
# Third-party libraries as deps::NAME targets. With SIFCONV_STATIC only lib*.a is looked for, so a missing static
# library is named at configure time and not as a wall of linker errors.
find_package(Threads REQUIRED)

if(SIFCONV_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()

function(add_dependency target)
  add_library(${target} INTERFACE)
  add_library(deps::${target} ALIAS ${target})
  foreach(lib ${ARGN})
    find_library(LIB_${lib} ${lib} REQUIRED)
    target_link_libraries(${target} INTERFACE ${LIB_${lib}})
  endforeach()
endfunction()

add_dependency(compression deflate zstd lz4 xxhash lzma lzo2 bz2 z)
add_dependency(squashfs squashfs)
target_link_libraries(squashfs INTERFACE compression)
add_dependency(crypto crypto zstd z)  # OpenSSL's own compression, which Debian's has from 13 on
target_link_libraries(crypto INTERFACE ${CMAKE_DL_LIBS})
add_dependency(tls ssl)
target_link_libraries(tls INTERFACE crypto)
add_dependency(ext2 ext2fs com_err)
add_dependency(seccomp seccomp)
add_dependency(uring uring)
add_library(json INTERFACE)
add_library(deps::json ALIAS json)
add_dependency(yaml yaml)
find_path(NLOHMANN_JSON_INCLUDE nlohmann/json.hpp REQUIRED)
