// SPDX-License-Identifier: GPL-2.0-or-later
// Disturbs calls that wait, by a handler with and without SA_RESTART and by a stop. A program has a table of them, and
// prepare() and clear() for what they use.
#ifndef RESTARTS_H
#define RESTARTS_H

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

struct row {
    const char *name;
    long (*call)(void);
    void (*go_on)(void); /* lets an undisturbed one end */
    bool ended_by_handler;
};

static const struct row table[];
static const size_t rows;
static void prepare(void);
static void clear(void);

static int *word; /* shared */
static volatile sig_atomic_t handled;

static void note(int number) {
    (void)number;
    handled++;
}

enum disturbance { RESTARTING, ENDING, STOPPING };

static void child_calls(const struct row *row, int flags, int report) {
    struct sigaction action = {.sa_handler = note, .sa_flags = flags};
    struct result {
        long value, error, handled;
    } result;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    CHECK(write(report, "r", 1) == 1);
    errno = 0;
    result.value = row->call();
    result.error = result.value < 0 ? errno : 0;
    result.handled = row->ended_by_handler ? 1 : handled;
    _exit(write(report, &result, sizeof result) != sizeof result);
}

static void disturb(const struct row *row, enum disturbance how) {
    static const char *const names[] = {"SA_RESTART", "no SA_RESTART", "stop"};
    int report[2], status;
    long result[3];
    char ready;
    prepare();
    CHECK(pipe(report) == 0);
    pid_t child = fork();
    if (!child) {
        child_calls(row, how == RESTARTING ? SA_RESTART : 0, report[1]);
    }
    close(report[1]);
    CHECK(read(report[0], &ready, 1) == 1);
    usleep(40000);
    if (how == STOPPING) {
        kill(child, SIGSTOP);
        CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
        kill(child, SIGCONT);
    } else {
        kill(child, SIGUSR1);
    }
    usleep(30000);
    struct pollfd done = {.fd = report[0], .events = POLLIN};
    if (!poll(&done, 1, 0)) {
        row->go_on();
    }
    CHECK(read(report[0], result, sizeof result) == sizeof result);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("%s, %s: %ld, errno %ld, handled %ld\n", row->name, names[how], result[0], result[1],
           result[2]);
    close(report[0]);
    clear();
}

/* All calls with one kind of disturbance, in a folder of its own. */
static void disturb_all(enum disturbance how) {
    const char folder[2] = {(char)('0' + how)};
    CHECK(mkdir(folder, 0700) == 0 && chdir(folder) == 0);
    CHECK(freopen("output", "w", stdout) != NULL);
    word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < rows; i++) {
        disturb(&table[i], how);
        fflush(stdout);
    }
    exit(0);
}

static int disturb_every_call(void) {
    for (int how = RESTARTING; how <= STOPPING; how++) {
        if (!fork()) {
            disturb_all((enum disturbance)how);
        }
    }
    while (wait(NULL) > 0) {
    }
    for (int how = RESTARTING; how <= STOPPING; how++) {
        const char path[] = {(char)('0' + how), '/', 'o', 'u', 't', 'p', 'u', 't', 0};
        FILE *output = fopen(path, "r");
        CHECK(output != NULL);
        for (int c; (c = getc(output)) != EOF;) {
            putchar(c);
        }
        fclose(output);
    }
    return 0;
}

#endif
