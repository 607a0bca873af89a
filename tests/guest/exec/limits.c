// SPDX-License-Identifier: GPL-2.0-or-later
// How much room arguments and environment have: bprm_stack_limits() and MAX_ARG_STRLEN of fs/exec.c, to the byte.
#define _GNU_SOURCE
#include <sys/resource.h>

#include "roles.h"

#define STRING_LIMIT (32 * 4096)

static struct rlimit stack;

/* Bytes for strings with their NULs and pointers, the name of the program included. */
static size_t room(void) {
    size_t limit = 6 << 20;
    if (stack.rlim_cur / 4 < limit) {
        limit = stack.rlim_cur / 4;
    }
    return limit < 128 << 10 ? 128 << 10 : limit;
}

/* The new program: counts what it got. */
static int counted(char **words, char **variables) {
    size_t size = sizeof OWN, count = 0;
    for (char **word = words; *word; word++, count++) {
        size += strlen(*word) + 1;
    }
    for (char **word = variables; *word; word++, count++) {
        size += strlen(*word) + 1;
    }
    return size + 8 * count == (size_t)atol(words[2]) ? DONE : 1;
}

static size_t wanted;
static bool in_environment;

/* Executes this program with strings of exactly `wanted` bytes, in pieces of up to 100000. */
static void with_strings(void) {
    char number[20];
    char *words[200] = {"x", "counted", number}, *variables[200] = {NULL};
    char **list = in_environment ? variables : words + 3;
    snprintf(number, sizeof number, "%zu", wanted);
    size_t size = sizeof OWN + 2 + sizeof "counted" + strlen(number) + 1 + 3 * 8;
    while (size < wanted) {
        size_t piece = wanted - size < 100000 ? wanted - size : 50000;
        char *text = malloc(piece);
        memset(text, 'a', piece - 9);
        text[piece - 9] = 0;
        *list++ = text;
        size += piece;
    }
    execve(OWN, words, variables);
    _exit(errno == E2BIG ? 7 : 1);
}

static void at_the_limit(void) {
    for (int i = 0; i < 2; i++) {
        in_environment = i;
        wanted = room();
        CHECK(status_of(with_strings) == DONE);
        wanted = room() - 200;
        CHECK(status_of(with_strings) == DONE);
        wanted = room() + 1;
        CHECK(status_of(with_strings) == 7);
    }
}

static void with_stack(rlim_t size) {
    struct rlimit before = stack;
    stack.rlim_cur = size;
    CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
    at_the_limit();
    stack = before;
    CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
}

static void limits_follow_the_stack(void) {
    at_the_limit();
    with_stack(1 << 20);
    with_stack(256 << 10);
    if (stack.rlim_max >= 64 << 20) {
        with_stack(64 << 20);
    }
}

static size_t length;

static void with_one_string(void) {
    char *text = malloc(length + 1);
    memset(text, 'a', length);
    text[length] = 0;
    execve(OWN, (char *[]){"x", "last", text, NULL}, (char *[]){NULL});
    _exit(errno == E2BIG ? 7 : 1);
}

static void one_string(void) {
    length = STRING_LIMIT - 1;
    CHECK(status_of(with_one_string) == DONE);
    length = STRING_LIMIT;
    CHECK(status_of(with_one_string) == 7);
}

static void many_pointers(void) {
    size_t count = room() / 8;
    char **words = malloc((count + 1) * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        words[i] = "";
    }
    words[count] = NULL;
    FAILS(E2BIG, execve(OWN, words, environ));
}

int main(int count, char **words) {
    if (count > 2) {
        return !strcmp(words[1], "counted") ? counted(words, environ) : DONE;
    }
    CHECK(getrlimit(RLIMIT_STACK, &stack) == 0);
    if (stack.rlim_cur > 8 << 20) {
        stack.rlim_cur = 8 << 20;
        CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
    }
    RUN(limits_follow_the_stack);
    RUN(one_string);
    RUN(many_pointers);
    return 0;
}
