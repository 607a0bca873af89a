// SPDX-License-Identifier: GPL-2.0-or-later
// How much a program can be given at its start: every string and all together. execve(2), "Limits".
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

#define LONGEST 131072 /* MAX_ARG_STRLEN, with the NUL */
#define MIB (1 << 20)

static char *program;

/* Ends with 0 when the program got strings that add up to `sum`, else with the errno of execve. */
static int start(char **arguments, char **environment, unsigned sum) {
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%u", sum);
    arguments[0] = program;
    arguments[1] = wanted;
    pid_t child = fork();
    if (!child) {
        execve(program, arguments, environment);
        _exit(errno);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static unsigned add(char **texts) {
    unsigned sum = 0;
    for (; *texts; texts++) {
        for (const char *byte = *texts; *byte; byte++) {
            sum = sum * 31 + (unsigned char)*byte;
        }
        sum = sum * 31 + 255;
    }
    return sum;
}

static char *text(size_t size, char first) {
    char *made = malloc(size + 1);
    CHECK(made);
    for (size_t i = 0; i < size; i++) {
        made[i] = first + i % 20;
    }
    made[size] = 0;
    return made;
}

static void longest_string(void) {
    char *nothing[] = {NULL}, *environment[] = {NULL, NULL};
    char *arguments[] = {NULL, NULL, text(LONGEST - 1, 'a'), NULL};
    CHECK(start(arguments, nothing, add(arguments + 2) + add(nothing)) == 0);
    arguments[2] = text(LONGEST, 'a');
    CHECK(start(arguments, nothing, 0) == E2BIG);
    environment[0] = arguments[2];
    arguments[2] = NULL;
    CHECK(start(arguments, environment, 0) == E2BIG);
    environment[0] = text(LONGEST - 1, 'a');
    CHECK(start(arguments, environment, add(arguments + 2) + add(environment)) == 0);
}

/* A quarter of the 8 MiB that RLIMIT_STACK is set to. */
static void most_strings(void) {
    static char *arguments[24], *environment[24];
    for (int i = 0; i < 7; i++) {
        arguments[2 + i] = text(LONGEST - 2 - i, 'A' + i);
        environment[i] = text(LONGEST - 2 - i, 'a' + i);
    }
    CHECK(start(arguments, environment, add(arguments + 2) + add(environment)) == 0);
    environment[7] = environment[8] = environment[6];
    CHECK(start(arguments, environment, 0) == E2BIG);
}

static void many_strings(void) {
    enum { COUNT = 60000 };
    char **arguments = calloc(COUNT + 3, sizeof *arguments), *nothing[] = {NULL};
    for (int i = 0; i < COUNT; i++) {
        arguments[2 + i] = i % 3 ? "ab" : "";
    }
    CHECK(start(arguments, nothing, add(arguments + 2) + add(nothing)) == 0);
}

int main(int argc, char **argv, char **envp) {
    program = argv[0];
    if (argc > 1) {
        return strtoul(argv[1], NULL, 10) == add(argv + 2) + add(envp) ? 0 : 99;
    }
    struct rlimit limit;
    CHECK(!getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = 8 * MIB;
    CHECK(!setrlimit(RLIMIT_STACK, &limit));
    RUN(longest_string);
    RUN(most_strings);
    RUN(many_strings);
}
