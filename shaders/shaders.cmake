# SPDX-License-Identifier: MIT
# variants.txt into pith_spv.h (an enum) and pith_spv.c (the modules as words), by glslc alone.
#   PITH_GLSLC    the compiler; a newer one than the system's: tools/newer_glslc.sh
#   PITH_SPV_DIR  modules compiled elsewhere (the *.inc files of a build tree's spv/ folder): no compiler is needed then
set(pith_spv_out ${CMAKE_BINARY_DIR}/spv)
file(MAKE_DIRECTORY ${pith_spv_out})

# Does the compiler know an extension?
function(pith_glsl_probe name result)
  if(PITH_SPV_DIR)
    set(${result} TRUE PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${PITH_GLSLC} -fshader-stage=compute --target-env=vulkan1.3 -o ${pith_spv_out}/probe.spv
    ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/probe/${name}.comp RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    message(STATUS "pith: vulkan: ${PITH_GLSLC} does not know ${name}: its shaders are left out (tools/newer_glslc.sh)")
    set(${result} FALSE PARENT_SCOPE)
  else()
    set(${result} TRUE PARENT_SCOPE)
  endif()
endfunction()

# Adds the generated sources to a target.
function(pith_spv target)
  set(dir ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${dir}/variants.txt)
  foreach(need coopmat coopmat2 intdot)
    pith_glsl_probe(${need} pith_has_${need})
    set_property(GLOBAL PROPERTY pith_has_${need} ${pith_has_${need}}) # for the tests
  endforeach()
  file(STRINGS ${dir}/variants.txt lines REGEX "^[^#]")
  set(enum "")
  set(table "")
  set(arrays "")
  set(incs "")
  foreach(line IN LISTS lines)
    separate_arguments(row UNIX_COMMAND "${line}")
    list(GET row 0 name)
    if(name STREQUAL "types")
      list(REMOVE_AT row 0)
      set(types ${row})
      list(FIND types q4_0 at)
      list(SUBLIST types ${at} -1 quants)
      continue()
    endif()
    list(GET row 1 source)
    list(GET row 2 defines)
    list(GET row 3 need)
    set(each -)
    if(name MATCHES "@")
      set(each ${types})
    elseif(name MATCHES "%")
      set(each ${quants})
    endif()
    foreach(type IN LISTS each)
      string(REGEX REPLACE "[@%]" "${type}" n "${name}")
      string(TOUPPER "${n}" upper)
      string(APPEND enum "    PITH_SPV_${upper},\n")
      set(inc ${pith_spv_out}/${n}.inc)
      if((NOT need STREQUAL "-" AND NOT pith_has_${need}) OR (PITH_SPV_DIR AND NOT EXISTS ${PITH_SPV_DIR}/${n}.inc))
        string(APPEND table "    {\"${n}\", 0, 0, \"${need}\"},\n")
        continue()
      endif()
      if(PITH_SPV_DIR)
        set(inc ${PITH_SPV_DIR}/${n}.inc)
      else()
        set(flags "")
        if(NOT defines STREQUAL "-")
          string(TOUPPER "${type}" upper_type)
          string(REGEX REPLACE "[@%]" "${upper_type}" d "${defines}")
          string(REPLACE "," ";" d "${d}")
          list(TRANSFORM d PREPEND -D OUTPUT_VARIABLE flags)
        endif()
        set(env vulkan1.2)
        set(optimise -O)
        if(need MATCHES "coopmat")
          set(env vulkan1.3)
          set(optimise "")
        endif()
        add_custom_command(OUTPUT ${inc}
          COMMAND ${PITH_GLSLC} -fshader-stage=compute --target-env=${env} ${optimise} -mfmt=c -I${dir} ${flags}
            -MD -MF ${inc}.d -MT ${inc} ${dir}/${source} -o ${inc}
          DEPENDS ${dir}/${source} DEPFILE ${inc}.d COMMENT "glslc ${n}" VERBATIM)
        list(APPEND incs ${inc})
      endif()
      string(APPEND arrays "static const uint32_t spv_${n}[] =\n#include \"${inc}\"\n    ;\n")
      string(APPEND table "    {\"${n}\", spv_${n}, sizeof spv_${n}, \"${need}\"},\n")
    endforeach()
  endforeach()
  file(CONFIGURE OUTPUT ${pith_spv_out}/pith_spv.h CONTENT
"/* Made from shaders/variants.txt. */
#ifndef PITH_SPV_H
#define PITH_SPV_H
#include <stddef.h>
#include <stdint.h>
typedef enum pith_spv {
${enum}    PITH_SPV_COUNT
} pith_spv;
typedef struct pith_vk_spv_module {
    const char *name;
    const uint32_t *code; /* NULL: left out of this build */
    size_t bytes;
    const char *need; /* \"-\", or what a device must have: variants.txt */
} pith_vk_spv_module;
extern const pith_vk_spv_module pith_vk_spv[PITH_SPV_COUNT];
#endif
" @ONLY)
  file(CONFIGURE OUTPUT ${pith_spv_out}/pith_spv.c CONTENT
"/* Made from shaders/variants.txt. */
#include \"pith_spv.h\"
${arrays}
const pith_vk_spv_module pith_vk_spv[PITH_SPV_COUNT] = {
${table}};
" @ONLY)
  add_custom_target(pith_shaders DEPENDS ${incs})
  add_dependencies(${target} pith_shaders)
  target_sources(${target} PRIVATE ${pith_spv_out}/pith_spv.c)
  target_include_directories(${target} PUBLIC ${pith_spv_out})
endfunction()
