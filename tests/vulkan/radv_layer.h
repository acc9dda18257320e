/* SPDX-License-Identifier: MIT */
/* Plans whose preparing makes every pipeline of the backend, at widths of real models. */
#ifndef PITH_TESTS_RADV_LAYER_H
#define PITH_TESTS_RADV_LAYER_H

#include "vk_test.h"

#define RADV_SHARED_BYTES 16384u

struct cell;

/* Prepares the plans on the device and gives each backend to `read` before it is destroyed. */
void radv_layers(const pith_vk_physical *physical, const char *family, struct cell *row,
                 void (*read)(pith_backend *b, const char *family, struct cell *row));

#endif
