/* SPDX-License-Identifier: MIT */
/* Sums the tensors' bytes by type. */
#include "quant_mix.h"

#include <stdio.h>
#include <string.h>

#define TYPES_MAX 32

void cli_quant_mix(const pith_model *model, char *out, size_t size)
{
    struct { const char *type; uint64_t bytes; size_t n; } types[TYPES_MAX];
    size_t n_types = 0, length = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < pith_model_tensor_count(model); i++) {
        pith_tensor_info t;
        pith_model_get_tensor(model, i, &t);
        size_t k = 0;
        while (k < n_types && strcmp(types[k].type, t.type) != 0)
            k++;
        if (k == TYPES_MAX)
            continue;
        if (k == n_types) {
            types[n_types].type = t.type;
            types[n_types].bytes = types[n_types].n = 0;
            n_types++;
        }
        types[k].bytes += t.bytes;
        types[k].n++;
        total += t.bytes;
    }
    out[0] = '\0';
    for (size_t shown = 0; shown < n_types; shown++) { /* largest of what is left */
        size_t best = 0;
        for (size_t k = 1; k < n_types; k++)
            if (types[k].bytes > types[best].bytes)
                best = k;
        if (types[best].n == 0 || length >= size)
            break;
        length += (size_t)snprintf(out + length, size - length, "%s%s %.3g %% (%zu)", shown ? ", " : "", types[best].type,
                                   total ? 100.0 * (double)types[best].bytes / (double)total : 0.0, types[best].n);
        types[best].bytes = types[best].n = 0;
    }
}
