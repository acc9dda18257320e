/* SPDX-License-Identifier: MIT */
/* Structs shared by C and GLSL: only 4-byte scalars and arrays of them, so that both languages lay them out alike. */
#ifndef PITH_PUSH_BASE_H
#define PITH_PUSH_BASE_H

#ifdef PITH_GLSL
#define PITH_U32 uint
#define PITH_I32 int
#define PITH_F32 float
#define PITH_STRUCT(name) name
#else
#include <stdint.h>
#define PITH_U32 uint32_t
#define PITH_I32 int32_t
#define PITH_F32 float
#define PITH_STRUCT(name) struct name
#endif

#define PITH_PLANES 4 /* of a packed weight: shaders/lib/format.glsl */

#endif
