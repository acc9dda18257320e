/* SPDX-License-Identifier: MIT */
/* The text module's algorithms against plain ones that cannot be wrong: special tokens, merges, tables, UTF-8. */
#include "base/rng.h"
#include "text/merge.h"
#include "text/special.h"
#include "text/utf8.h"
#include "text/vocab_impl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Random tokens over two letters: many are equal, prefixes or suffixes of each other. */
static void specials(void **state)
{
    pith_rng rng;
    (void)state;
    pith_rng_init(&rng, 21);
    for (int round = 0; round < 400; round++) {
        char text[512], subject[200];
        pith_token tokens[40] = {0};
        int32_t ids[40];
        size_t at = 0, n_token = (size_t)(pith_rng_u64(&rng) % 40), n = (size_t)(pith_rng_u64(&rng) % sizeof subject);
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = "ab"[pith_rng_u64(&rng) % 2];
        for (size_t i = 0; i < sizeof subject; i++)
            subject[i] = "ab\xFF"[pith_rng_u64(&rng) % 16 ? pith_rng_u64(&rng) % 2 : 2];
        for (size_t i = 0; i < n_token; i++) {
            tokens[i] = (pith_token){.at = (uint32_t)at, .n = (uint32_t)(1 + pith_rng_u64(&rng) % 10),
                                     .class = pith_rng_u64(&rng) % 2 ? PITH_TOKEN_CONTROL : PITH_TOKEN_USER_DEFINED};
            at += tokens[i].n;
            ids[i] = (int32_t)i;
        }
        pith_specials *s;
        assert_int_equal(pith_specials_create(text, tokens, ids, n_token, &s), PITH_OK);
        for (int control = 0; control < 2; control++) {
            pith_special_matches found = {0};
            size_t next = 0;
            assert_int_equal(pith_specials_scan(s, subject, n, 1000, control, &found), PITH_OK);
            for (size_t i = n; i-- > 0;) {
                int32_t best = -1;
                for (size_t k = 0; k < n_token; k++)
                    if ((control || tokens[k].class == PITH_TOKEN_USER_DEFINED) && tokens[k].n <= n - i &&
                        !memcmp(subject + i, text + tokens[k].at, tokens[k].n) && (best < 0 || tokens[k].n > tokens[best].n))
                        best = (int32_t)k;
                if (best < 0)
                    continue;
                assert_true(next < found.n);
                assert_int_equal(found.items[next].at, 1000 + i);
                assert_int_equal(found.items[next++].id, best);
            }
            assert_int_equal(next, found.n);
            free(found.items);
        }
        pith_specials_destroy(&s);
        pith_specials_destroy(&s);
    }
}

static void too_many_specials(void **state)
{
    size_t n = (size_t)5 << 20;
    char *text = malloc(n);
    pith_token token = {.n = (uint32_t)n, .class = PITH_TOKEN_CONTROL};
    int32_t id = 0;
    pith_specials *s;
    (void)state;
    memset(text, 'a', n);
    assert_int_equal(pith_specials_create(text, &token, &id, 1, &s), PITH_ERROR_UNSUPPORTED);
    assert_null(s);
    free(text);
}

/* A merge is allowed by a table over id pairs; ids are merged as left * 31 + right modulo a small number. */
struct rule { int32_t n_id; uint32_t orders; };

static int32_t rule_merge(const void *user, const pith_symbol *left, const pith_symbol *right, uint32_t *order)
{
    const struct rule *rule = user;
    uint64_t h = pith_mix((uint64_t)left->id << 32 | (uint32_t)right->id);
    if (h % 3 == 0 || left->n + right->n > 24)
        return -1;
    *order = (uint32_t)(h >> 8) % rule->orders;
    return (int32_t)(h >> 40) % rule->n_id;
}

static size_t merge_plainly(pith_symbol *s, size_t n, const struct rule *rule)
{
    for (;;) {
        size_t best = n;
        uint32_t best_order = 0, order = 0;
        int32_t best_id = -1;
        for (size_t i = 0; i + 1 < n; i++) {
            int32_t id = rule_merge(rule, &s[i], &s[i + 1], &order);
            if (id >= 0 && (best == n || order < best_order)) {
                best = i;
                best_order = order;
                best_id = id;
            }
        }
        if (best == n)
            return n;
        s[best].n += s[best + 1].n;
        s[best].id = best_id;
        memmove(&s[best + 1], &s[best + 2], (n - best - 2) * sizeof *s);
        n--;
    }
}

static void merges(void **state)
{
    pith_merge_space space = {0};
    pith_rng rng;
    (void)state;
    pith_rng_init(&rng, 22);
    for (int round = 0; round < 600; round++) {
        struct rule rule = {.n_id = (int32_t)(2 + pith_rng_u64(&rng) % 20), .orders = (uint32_t)(1 + pith_rng_u64(&rng) % 50)};
        size_t n = (size_t)(pith_rng_u64(&rng) % (round % 2 ? 45 : 300));
        pith_symbol plain[300];
        assert_int_equal(pith_merge_reserve(&space, n), PITH_OK);
        for (size_t i = 0; i < n; i++)
            plain[i] = space.symbols[i] =
                (pith_symbol){.at = (uint32_t)i, .n = 1, .id = (int32_t)(pith_rng_u64(&rng) % (uint64_t)rule.n_id)};
        size_t expected = n ? merge_plainly(plain, n, &rule) : 0;
        assert_int_equal(pith_merge_run(&space, rule_merge, &rule), PITH_OK);
        assert_int_equal(space.n, expected);
        for (size_t i = 0; i < expected; i++) {
            assert_int_equal(space.symbols[i].at, plain[i].at);
            assert_int_equal(space.symbols[i].n, plain[i].n);
            assert_int_equal(space.symbols[i].id, plain[i].id);
        }
    }
    assert_int_equal(pith_merge_reserve(&space, (size_t)INT32_MAX + 1), PITH_ERROR_INVALID_ARGUMENT);
    pith_merge_fini(&space);
}

static void tables(void **state)
{
    pith_merges merges_table;
    (void)state;
    assert_int_equal(pith_merges_init(&merges_table, 1000), PITH_OK);
    for (int32_t i = 0; i < 1000; i++)
        assert_true(pith_merges_add(&merges_table, i, i * 7 % 1000, (uint32_t)i, i + 1));
    assert_false(pith_merges_add(&merges_table, 5, 35, 99, 99));
    for (int32_t i = 0; i < 1000; i++) {
        const pith_merge_slot *slot = pith_merges_find(&merges_table, i, i * 7 % 1000);
        assert_true(slot && slot->rank == (uint32_t)i && slot->id == i + 1);
        assert_null(pith_merges_find(&merges_table, i, 1000 + i));
    }
    assert_null(pith_merges_find(&merges_table, -1, 3));
    assert_null(pith_merges_find(&merges_table, 3, -1));
    pith_merges_fini(&merges_table);
    assert_int_equal(pith_merges_init(&merges_table, SIZE_MAX), PITH_ERROR_NO_MEMORY);
}

/* Every code point, and every pair of bytes before a letter. */
static void utf8(void **state)
{
    size_t bytes;
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char s[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--)
            s[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3F));
        static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
        s[0] = (char)(n == 1 ? c : leads[n] | c >> 6 * (n - 1));
        bool surrogate = c >= 0xD800 && c < 0xE000;
        assert_int_equal(pith_utf8_step(s, n, &bytes), surrogate ? PITH_UTF8_INVALID : PITH_UTF8_CHAR);
        assert_int_equal(bytes, surrogate ? 1 : n);
        for (size_t k = 1; k < n && !surrogate; k++) {
            assert_int_equal(pith_utf8_step(s, k, &bytes), PITH_UTF8_INCOMPLETE);
            assert_int_equal(bytes, k);
        }
    }
    assert_int_equal(pith_utf8_valid_prefix("eight or more\xC3\xA9\xFF", 16), 15);
    assert_int_equal(pith_utf8_valid_prefix("", 0), 0);
}

static void byte_spelling(void **state)
{
    size_t bytes, n = 0;
    bool seen[256] = {false};
    (void)state;
    for (uint32_t c = 0; c < 0x800; c++) {
        char s[2] = {(char)(c < 0x80 ? c : 0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};
        int byte = pith_byte_level_decode(s, c < 0x80 ? 1 : 2, &bytes);
        if (byte < 0)
            continue;
        assert_false(seen[byte]);
        seen[byte] = true;
        n++;
    }
    assert_int_equal(n, 256);
    assert_int_equal(pith_byte_level_decode("\xC4\xA0", 2, &bytes), ' '); /* U+0120 */
    assert_int_equal(pith_byte_level_decode("\xC4\x8A", 2, &bytes), '\n'); /* U+010A */
    assert_int_equal(pith_byte_level_decode("\xC5\x83", 2, &bytes), 0xAD); /* U+0143 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specials), cmocka_unit_test(too_many_specials), cmocka_unit_test(merges), cmocka_unit_test(tables),
        cmocka_unit_test(utf8), cmocka_unit_test(byte_spelling),
    };
    return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}
