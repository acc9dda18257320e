# SPDX-License-Identifier: MIT
# Installs the build into a folder of the test's own, moves that folder, and builds tools/example.c against it the ways
# that a user would: CMake with the shared and the static library, pkg-config shared, pkg-config static. Runs each.
cmake_minimum_required(VERSION 3.22)

function(step what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what}: failed with ${result}\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
  message(STATUS "${what}: ok")
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
step("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/moved)
set(prefix ${WORK}/moved)
foreach(part bin/pith include/pith/pith.h ${LIBDIR}/libpith.so ${LIBDIR}/libpith.a ${LIBDIR}/pkgconfig/pith.pc
    ${LIBDIR}/cmake/pith/pithConfig.cmake)
  if(NOT EXISTS ${prefix}/${part})
    message(FATAL_ERROR "install: ${part} is missing")
  endif()
endforeach()

function(run what program)
  step("${what}: run" ${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${prefix}/${LIBDIR} ${program} ${MODEL} "The river rose")
endfunction()

step("installed program" ${prefix}/bin/pith --version)
if(NOT out MATCHES "${VERSION}")
  message(FATAL_ERROR "pith --version says ${out}, expected ${VERSION}")
endif()

step("cmake: configure" ${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE}/tests/tree/consumer -B ${WORK}/cmake
  -DCMAKE_C_COMPILER=${CC} -DCMAKE_PREFIX_PATH=${prefix} -DEXAMPLE=${SOURCE}/tools/example.c)
step("cmake: build" ${CMAKE_COMMAND} --build ${WORK}/cmake)
run("cmake, shared" ${WORK}/cmake/example_shared)
run("cmake, static" ${WORK}/cmake/example_static)

find_program(PKG_CONFIG pkg-config)
if(NOT PKG_CONFIG)
  message(STATUS "no pkg-config here: pith.pc was not tried")
  return()
endif()
set(ENV{PKG_CONFIG_PATH} ${prefix}/${LIBDIR}/pkgconfig)
function(pkg_config variable)
  step("pkg-config ${ARGN}" ${PKG_CONFIG} ${ARGN} pith)
  string(STRIP "${out}" out)
  separate_arguments(out UNIX_COMMAND "${out}")
  set(${variable} ${out} PARENT_SCOPE)
endfunction()
step("pkg-config: version" ${PKG_CONFIG} --exact-version=${VERSION} pith)
pkg_config(flags --cflags --libs)
step("pkg-config: build" ${CC} -std=c11 ${SOURCE}/tools/example.c -o ${WORK}/example_pc ${flags})
run("pkg-config, shared" ${WORK}/example_pc)
pkg_config(flags --static --cflags --libs)
file(MAKE_DIRECTORY ${WORK}/only_static)
file(COPY ${prefix}/${LIBDIR}/libpith.a DESTINATION ${WORK}/only_static)
step("pkg-config static: build" ${CC} -std=c11 ${SOURCE}/tools/example.c -o ${WORK}/example_pc_static -L${WORK}/only_static ${flags})
file(REMOVE ${prefix}/${LIBDIR}/libpith.so) # it must stand without
run("pkg-config, static" ${WORK}/example_pc_static)
