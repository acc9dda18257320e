/* SPDX-License-Identifier: MIT */
/* Reading and joining input. Memory doubles while it comes in; nothing is converted, CRLF stays CRLF. */
#include "input.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct buffer { char *data; size_t n, cap; } buffer;

static bool buffer_reserve(buffer *b, size_t more)
{
    if (b->cap - b->n > more)
        return true;
    size_t cap = b->cap ? b->cap : 65536;
    while (cap - b->n <= more) {
        if (cap > SIZE_MAX / 2)
            return false;
        cap *= 2;
    }
    char *data = realloc(b->data, cap);
    if (!data)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

static int no_memory(const char *name)
{
    return cli_error(CLI_MEMORY, "%s: no memory for its text", name);
}

/* Appends a file to b, a leading byte order mark dropped. */
static int file_append(const char *path, buffer *b)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "stdin" : path;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_error(CLI_FILE, "%s: %s", name, strerror(errno));
    size_t begin = b->n;
    int code = CLI_OK;
    for (;;) {
        if (!buffer_reserve(b, 65536)) {
            code = no_memory(name);
            break;
        }
        ssize_t got = read(fd, b->data + b->n, b->cap - b->n - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = cli_error(CLI_FILE, "%s: %s", name, strerror(errno));
        if (got <= 0)
            break;
        b->n += (size_t)got;
    }
    if (!is_stdin)
        close(fd);
    if (code == CLI_OK && b->n - begin >= 3 && memcmp(b->data + begin, "\xEF\xBB\xBF", 3) == 0) {
        b->n -= 3;
        memmove(b->data + begin, b->data + begin + 3, b->n - begin);
    }
    return code;
}

static int finish(buffer *b, int code, cli_input *out)
{
    if (code == CLI_OK && !buffer_reserve(b, 1))
        code = no_memory("input");
    if (code != CLI_OK) {
        free(b->data);
        *out = (cli_input){NULL, 0};
        return code;
    }
    b->data[b->n] = '\0';
    *out = (cli_input){b->data, b->n};
    return CLI_OK;
}

int cli_input_read(const char *path, cli_input *out)
{
    buffer b = {NULL, 0, 0};
    return finish(&b, file_append(path, &b), out);
}

/* Ends the last line if need be, and leaves one empty line. */
static bool separator_append(buffer *b)
{
    if (!buffer_reserve(b, 2))
        return false;
    if (b->n > 0 && b->data[b->n - 1] != '\n')
        b->data[b->n++] = '\n';
    b->data[b->n++] = '\n';
    return true;
}

int cli_input_join(const cli_args *args, cli_input *out, bool *found)
{
    buffer b = {NULL, 0, 0};
    int code = CLI_OK, stdins = 0;
    *found = args->n_parts > 0;
    for (size_t i = 0; i < args->n_parts && code == CLI_OK; i++) {
        const cli_part *part = &args->parts[i];
        size_t n = strlen(part->value);
        if (part->file && strcmp(part->value, "-") == 0 && ++stdins > 1)
            code = cli_error(CLI_USAGE, "-f -: stdin can be read only once");
        else if (i > 0 && !separator_append(&b))
            code = no_memory("input");
        else if (part->file)
            code = file_append(part->value, &b);
        else if (!buffer_reserve(&b, n))
            code = no_memory("-p");
        else {
            memcpy(b.data + b.n, part->value, n);
            b.n += n;
        }
    }
    if (args->n_parts == 0 && !isatty(STDIN_FILENO)) {
        *found = true;
        code = file_append("-", &b);
    }
    return finish(&b, code, out);
}

void cli_input_free(cli_input *input)
{
    free(input->text);
    *input = (cli_input){NULL, 0};
}
