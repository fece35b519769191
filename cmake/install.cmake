# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: the programs, and the manual pages and completions that are made of their own --help.
include(GNUInstallDirs)
option(SIFCONV_ALIASES "install sifrun under the names singularity and apptainer, too" OFF)

set(names sifrun)
install(TARGETS sifconv sifrun)
if(SIFCONV_ALIASES)
  list(APPEND names singularity apptainer)
  foreach(alias singularity apptainer)
    install(CODE "file(CREATE_LINK sifrun \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/${alias}\" SYMBOLIC)")
  endforeach()
endif()
install(CODE "execute_process(COMMAND \"${PROJECT_SOURCE_DIR}/scripts/write-manuals\" \"${CMAKE_RUNTIME_OUTPUT_DIRECTORY}\"
  \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}\" ${names} COMMAND_ERROR_IS_FATAL ANY)")
install(FILES README.md LICENSE docs/benchmarks.md docs/clusters.md docs/compatibility.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
