/* SPDX-License-Identifier: MIT */
/* The name index of keys and tensors: linear probing over SipHash-1-3 (Aumasson and Bernstein), keyed per file. */
#include "model/gguf_parts.h"
#include "base/mem.h"

#include <string.h>

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
    v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

static uint64_t hash_of(const uint64_t seed[2], pith_str s)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                     seed[1] ^ 0x7465646279746573u};
    const uint8_t *b = (const uint8_t *)s.data;
    for (size_t i = 0; i < s.n / 8; i++, b += 8) {
        uint64_t word = pith_le64(b);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t i = 0; i < s.n % 8; i++)
        last |= (uint64_t)b[i] << 8 * i;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot that holds the name, or the empty one where it would go. */
static size_t slot_of(const pith_name_index *index, pith_str wanted, const void *items, pith_name_fn name)
{
    size_t slot = (size_t)hash_of(index->seed, wanted) & (index->n_slots - 1);
    for (; index->slots[slot]; slot = (slot + 1) & (index->n_slots - 1)) {
        pith_str other = name(items, index->slots[slot] - 1);
        if (other.n == wanted.n && memcmp(other.data, wanted.data, wanted.n) == 0)
            break;
    }
    return slot;
}

pith_status pith_name_index_build(pith_name_index *index, const char *what, const void *items, size_t n, pith_name_fn name)
{
    size_t n_slots = 16;
    while (n_slots < 2 * n)
        n_slots *= 2;
    index->slots = pith_calloc(n_slots, sizeof *index->slots);
    if (!index->slots)
        return pith_fail(PITH_ERROR_NO_MEMORY, "index of %zu %ss: no memory", n, what);
    index->n_slots = n_slots;
    index->seed[0] = pith_os_now_ns() * 0x9e3779b97f4a7c15u; /* the time and, where the system */
    index->seed[1] = (uint64_t)(uintptr_t)index->slots;      /* shuffles them, an address      */
    for (size_t i = 0; i < n; i++) {
        size_t slot = slot_of(index, name(items, i), items, name);
        if (index->slots[slot]) {
            char text[80];
            return pith_fail(PITH_ERROR_FORMAT, "%s '%s' appears twice (number %u and number %zu)", what,
                             pith_str_print(name(items, i), text, sizeof text), index->slots[slot] - 1, i);
        }
        index->slots[slot] = (uint32_t)i + 1;
    }
    return PITH_OK;
}

size_t pith_name_index_find(const pith_name_index *index, pith_str wanted, const void *items, pith_name_fn name)
{
    if (!index->slots)
        return SIZE_MAX;
    uint32_t found = index->slots[slot_of(index, wanted, items, name)];
    return found ? found - 1 : SIZE_MAX;
}
