# SPDX-License-Identifier: MIT
# What libpith needs from outside; docs/DEPENDENCIES.md says what each is for. The command line finds its own
# (tools/CMakeLists.txt).
#   PkgConfig::PITH_PCRE2     required: pre-tokenizer patterns (pith_text)
#   PkgConfig::PITH_OPENBLAS  with PITH_BLAS: large float products (pith_cpu), which then has PITH_HAVE_BLAS defined
find_package(PkgConfig REQUIRED)

# pith_need(PREFIX modules hint): the first module that is there, or an error that says what to do.
function(pith_need prefix modules hint)
  pkg_search_module(${prefix} QUIET IMPORTED_TARGET GLOBAL ${modules})
  if(NOT ${prefix}_FOUND)
    message(FATAL_ERROR "${modules}: not found by pkg-config. ${hint}")
  endif()
  message(STATUS "pith: ${${prefix}_MODULE_NAME} ${${prefix}_VERSION}")
  foreach(variable MODULE_NAME LIBRARIES)
    set(${prefix}_${variable} ${${prefix}_${variable}} PARENT_SCOPE)
  endforeach()
endfunction()

pith_need(PITH_PCRE2 libpcre2-8 "On Debian and Ubuntu: apt-get install libpcre2-dev")
if(PITH_BLAS)
  pith_need(PITH_OPENBLAS "openblas;cblas"
    "On Debian and Ubuntu: apt-get install libopenblas-dev; or configure with -DPITH_BLAS=OFF")
endif()

# The Vulkan backend: volk (a header and a source file; the loader itself is found at run time) and a shader compiler.
if(PITH_VULKAN)
  find_path(PITH_VOLK_INCLUDE volk.h)
  find_program(PITH_GLSLC glslc)
  set(PITH_SPV_DIR "" CACHE PATH "Shaders compiled elsewhere: the spv folder of another build tree; no glslc is needed then")
  if(NOT PITH_VOLK_INCLUDE OR NOT (PITH_GLSLC OR PITH_SPV_DIR))
    message(STATUS "pith: no volk.h or no glslc: the Vulkan backend is left out. On Debian and Ubuntu: apt-get install libvulkan-volk-dev glslc")
    set(PITH_VULKAN OFF)
  endif()
endif()
