/* SPDX-License-Identifier: MIT */
/* The passes of patterns.h over PCRE2, compiled to machine code where the system allows it. PCRE2's UTF mode wants
 * valid UTF-8, so the text is cut into valid stretches first; the bytes between them stand alone. PCRE2 10.42 knows
 * Unicode 14: letters assigned later count as neither letter nor digit, and U+180E counts as white space. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenize.h"
#include "base/mem.h"
#include "text/patterns.h"
#include "text/utf8.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define JIT_STACK_MIN ((size_t)32 << 10)
#define JIT_STACK_MAX ((size_t)1 << 20) /* bytes; the patterns repeat single characters, which takes no stack */

struct pith_pre {
    pcre2_code *passes[PITH_PRE_PASSES];
    int n;
    uint32_t options;
    pith_pre_flags flags;
};

static bool name_in(const char *names, pith_str name)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        if (n == name.n && !memcmp(names, name.data, n))
            return true;
        names += n + (names[n] == ' ');
    }
    return false;
}

static pith_status pass_compile(const char *pattern, pcre2_code **out)
{
    int error;
    size_t at;
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    if (!*out) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(error, message, sizeof message);
        return pith_fail(PITH_ERROR_UNSUPPORTED, "pre-tokenizer pattern, at %zu: %s", at, (const char *)message);
    }
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* where it fails, the interpreter runs */
    return PITH_OK;
}

pith_status pith_pre_create(pith_str name, pith_pre **out)
{
    pith_status status;
    const struct pre_entry *entry = NULL;
    *out = NULL;
    for (size_t i = 0; i < sizeof entries / sizeof *entries && !entry; i++)
        if (name_in(entries[i].names, name))
            entry = &entries[i];
    if (!entry) /* a wrong guess would damage every answer without a sign */
        return pith_fail(PITH_ERROR_UNSUPPORTED, "tokenizer.ggml.pre: unknown pre-tokenizer \"%.*s\"",
                         (int)pith_min_size(name.n, 64), name.data);
    pith_pre *pre = pith_calloc(1, sizeof *pre);
    if (!pre)
        return pith_fail(PITH_ERROR_NO_MEMORY, "pre-tokenizer");
    pre->options = PCRE2_NO_UTF_CHECK;
    pre->flags = (pith_pre_flags){.ignore_merges = entry->ignore_merges, .add_bos = entry->add_bos};
    for (; pre->n < PITH_PRE_PASSES && entry->passes[pre->n]; pre->n++)
        PITH_TRY_GOTO(pass_compile(entry->passes[pre->n], &pre->passes[pre->n]));
    *out = pre;
    return PITH_OK;
fail:
    pith_pre_destroy(&pre);
    return status;
}

void pith_pre_destroy(pith_pre **pre)
{
    if (!*pre)
        return;
    for (int i = 0; i < (*pre)->n; i++)
        pcre2_code_free((*pre)->passes[i]);
    free(*pre);
    *pre = NULL;
}

pith_pre_flags pith_pre_get_flags(const pith_pre *pre)
{
    return pre->flags;
}

void pith_pre_interpret(pith_pre *pre)
{
    pre->options |= PCRE2_NO_JIT;
}

const char *pith_pre_name_at(size_t i)
{
    return i < sizeof entries / sizeof *entries ? entries[i].names : NULL;
}

pith_status pith_pre_run_init(pith_pre_run *run)
{
    *run = (pith_pre_run){0};
    run->data = pcre2_match_data_create(1, NULL);
    run->context = pcre2_match_context_create(NULL);
    run->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL); /* NULL without JIT: not needed then */
    if (!run->data || !run->context) {
        pith_pre_run_fini(run);
        return pith_fail(PITH_ERROR_NO_MEMORY, "pre-tokenizer: match data");
    }
    if (run->stack)
        pcre2_jit_stack_assign(run->context, NULL, run->stack);
    return PITH_OK;
}

void pith_pre_run_fini(pith_pre_run *run)
{
    pcre2_match_data_free(run->data);
    pcre2_match_context_free(run->context);
    pcre2_jit_stack_free(run->stack);
    *run = (pith_pre_run){0};
}

/* A linear pattern backs up over each character a few times at most; the limit turns a mistake of ours, or of the
 * library, into an error message where it would be an endless run. */
static void limits_set(pcre2_match_context *context, size_t n)
{
    size_t limit = n < (UINT32_MAX - 1000000) / 64 ? n * 64 + 1000000 : UINT32_MAX;
    pcre2_set_match_limit(context, (uint32_t)limit);
    pcre2_set_depth_limit(context, (uint32_t)limit);
}

static int match(const pith_pre *pre, int pass, pith_pre_run *run, const char *text, size_t n, size_t from)
{
    run->pieces++;
    int rc = pcre2_match(pre->passes[pass], (PCRE2_SPTR)text, n, from, pre->options, run->data, run->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(pre->passes[pass], (PCRE2_SPTR)text, n, from, pre->options | PCRE2_NO_JIT, run->data, run->context);
    return rc;
}

static pith_status split(const pith_pre *pre, int pass, pith_pre_run *run, const char *text, size_t n, pith_pre_fn fn, void *user)
{
    size_t done = 0;
    if (pass == pre->n)
        return fn(user, text, n);
    while (done < n) {
        int rc = match(pre, pass, run, text, n, done);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0) {
            PCRE2_UCHAR message[128] = "";
            pcre2_get_error_message(rc, message, sizeof message);
            return pith_fail(rc == PCRE2_ERROR_NOMEMORY ? PITH_ERROR_NO_MEMORY : PITH_ERROR_UNSUPPORTED,
                             "pre-tokenizer, pass %d, %zu bytes: %s", pass, n - done, (const char *)message);
        }
        const size_t *ends = pcre2_get_ovector_pointer(run->data);
        size_t begin = ends[0], end = ends[1]; /* copied: the next pass uses the same match data */
        if (end <= begin) /* no pattern matches nothing */
            break;
        if (begin > done)
            PITH_TRY(split(pre, pass + 1, run, text + done, begin - done, fn, user));
        PITH_TRY(split(pre, pass + 1, run, text + begin, end - begin, fn, user));
        done = end;
    }
    return done < n ? split(pre, pass + 1, run, text + done, n - done, fn, user) : PITH_OK;
}

pith_status pith_pre_split(const pith_pre *pre, pith_pre_run *run, const char *text, size_t n, pith_pre_fn fn, void *user)
{
    size_t done = 0;
    limits_set(run->context, n);
    while (done < n) {
        size_t valid = pith_utf8_valid_prefix(text + done, n - done);
        if (valid)
            PITH_TRY(split(pre, 0, run, text + done, valid, fn, user));
        done += valid;
        if (done < n) {
            PITH_TRY(fn(user, text + done, 1));
            done++;
        }
    }
    return PITH_OK;
}
