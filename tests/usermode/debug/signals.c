/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals with and without a handler, and a fault. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void handler(int number) {
    got += number;
}

__attribute__((noinline)) static void crash(int *place) {
    *place = 7;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    printf("got %d\n", got);
    raise(SIGUSR1);
    printf("got %d\n", got);
    raise(SIGTERM);
    printf("after SIGTERM\n");
    if (argc > 1 && !strcmp(argv[1], "brk")) {
#ifdef __aarch64__
        __asm__ volatile("brk #1");
#endif
    }
    crash((int *)0x123450);
    return 0;
}
