/* SPDX-License-Identifier: MIT */
/* An Aho-Corasick automaton over the reversed tokens, run over the text from its end to its beginning. Read in that
 * direction, "the longest token that ends here" is the longest token that starts here, which the automaton knows at
 * every position at once; run forwards, it would have to go back after every match, which a hostile vocabulary can
 * make quadratic. */
#include "text/special.h"
#include "base/mem.h"
#include "text/vocab_impl.h"

#include <stdlib.h>

#define NODES_MAX ((size_t)4 << 20) /* bytes of special text; gemma-3, with 6415 tokens, has about 80 thousand */

struct node {
    int32_t fail;           /* node of the longest proper suffix that is in the trie */
    int32_t longest[2];     /* token: the longest that is a suffix of this node's text; [0] user-defined, [1] all; -1 none */
    int32_t child, sibling; /* -1: none */
    uint8_t byte;
};

struct pith_specials {
    struct node *nodes; /* [0]: the root */
    int32_t n_node;
    int32_t root[256];  /* child of the root, 0: none */
    pith_merges edges;  /* (node, byte) -> child */
};

static int32_t child_find(const pith_specials *s, int32_t node, uint8_t byte)
{
    if (!node)
        return s->root[byte];
    const pith_merge_slot *edge = pith_merges_find(&s->edges, node, byte);
    return edge ? edge->id : 0;
}

static int32_t step(const pith_specials *s, int32_t node, uint8_t byte)
{
    for (;;) {
        int32_t child = child_find(s, node, byte);
        if (child || !node)
            return child;
        node = s->nodes[node].fail;
    }
}

static void trie_add(pith_specials *s, const char *text, size_t n, int32_t id, bool user)
{
    int32_t node = 0;
    for (size_t i = n; i-- > 0;) {
        uint8_t byte = (uint8_t)text[i];
        int32_t child = child_find(s, node, byte);
        if (!child) {
            child = s->n_node++;
            s->nodes[child] = (struct node){.longest = {-1, -1}, .child = -1, .sibling = s->nodes[node].child, .byte = byte};
            s->nodes[node].child = child;
            if (node)
                pith_merges_add(&s->edges, node, byte, 0, child);
            else
                s->root[byte] = child;
        }
        node = child;
    }
    int32_t *longest = s->nodes[node].longest;
    for (int k = user ? 0 : 1; k < 2; k++) /* equal texts: the lowest id */
        if (longest[k] < 0 || id < longest[k])
            longest[k] = id;
}

/* Breadth first, so that a node's suffixes are done before it. */
static pith_status link_up(pith_specials *s)
{
    int32_t *queue = pith_calloc((size_t)s->n_node, sizeof *queue), head = 0, tail = 1;
    if (!queue)
        return pith_fail(PITH_ERROR_NO_MEMORY, "special tokens: %d nodes", s->n_node);
    while (head < tail) {
        int32_t at = queue[head++];
        for (int32_t c = s->nodes[at].child; c >= 0; c = s->nodes[c].sibling) {
            struct node *node = &s->nodes[c];
            node->fail = at ? step(s, s->nodes[at].fail, node->byte) : 0;
            for (int k = 0; k < 2; k++)
                if (node->longest[k] < 0)
                    node->longest[k] = s->nodes[node->fail].longest[k];
            queue[tail++] = c;
        }
    }
    free(queue);
    return PITH_OK;
}

pith_status pith_specials_create(const char *text, const pith_token *tokens, const int32_t *ids, size_t n, pith_specials **out)
{
    pith_status status;
    size_t total = 1;
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        total += tokens[ids[i]].n;
        if (total > NODES_MAX)
            return pith_fail(PITH_ERROR_UNSUPPORTED, "tokenizer.ggml.token_type: special tokens of more than %zu bytes", NODES_MAX);
    }
    pith_specials *s = pith_calloc(1, sizeof *s);
    if (!s)
        return pith_fail(PITH_ERROR_NO_MEMORY, "special tokens");
    s->nodes = pith_calloc(total, sizeof *s->nodes);
    if (!s->nodes) {
        status = pith_fail(PITH_ERROR_NO_MEMORY, "special tokens: %zu nodes", total);
        goto fail;
    }
    PITH_TRY_GOTO(pith_merges_init(&s->edges, total));
    s->nodes[0] = (struct node){.longest = {-1, -1}, .child = -1, .sibling = -1};
    s->n_node = 1;
    for (size_t i = 0; i < n; i++) {
        const pith_token *token = &tokens[ids[i]];
        trie_add(s, text + token->at, token->n, ids[i], token->class == PITH_TOKEN_USER_DEFINED);
    }
    PITH_TRY_GOTO(link_up(s));
    *out = s;
    return PITH_OK;
fail:
    pith_specials_destroy(&s);
    return status;
}

void pith_specials_destroy(pith_specials **specials)
{
    if (!*specials)
        return;
    free((*specials)->nodes);
    pith_merges_fini(&(*specials)->edges);
    free(*specials);
    *specials = NULL;
}

static pith_status match_push(pith_special_matches *out, size_t at, int32_t id)
{
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64, bytes;
        pith_special_match *items = pith_size_mul(cap, sizeof *items, &bytes) ? realloc(out->items, bytes) : NULL;
        if (!items)
            return pith_fail(PITH_ERROR_NO_MEMORY, "%zu special tokens in the text", cap);
        out->items = items;
        out->cap = cap;
    }
    out->items[out->n++] = (pith_special_match){.at = at, .id = id};
    return PITH_OK;
}

pith_status pith_specials_scan(const pith_specials *s, const char *text, size_t n, size_t base, bool control,
                               pith_special_matches *out)
{
    int32_t node = 0;
    if (s->n_node == 1)
        return PITH_OK;
    for (size_t i = n; i-- > 0;) {
        node = step(s, node, (uint8_t)text[i]);
        int32_t id = s->nodes[node].longest[control];
        if (id >= 0)
            PITH_TRY(match_push(out, base + i, id));
    }
    return PITH_OK;
}
