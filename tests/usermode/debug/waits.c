/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Computes, or waits in a system call, until a debugger says otherwise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int stop;
static volatile unsigned long rounds;

__attribute__((noinline, used)) static int twice(int value) {
    return 2 * value;
}

__attribute__((noinline)) static void spin(void) {
    while (!stop) {
        rounds++;
    }
}

__attribute__((noinline)) static void wait_for_input(int fd) {
    char text[16] = "";
    ssize_t size = read(fd, text, sizeof text - 1);
    printf("read %zd: %s\n", size, text);
}

int main(int argc, char **argv) {
    int ends[2];
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("begun\n");
    if (argc > 1 && !strcmp(argv[1], "spin")) {
        spin();
    } else {
        if (pipe(ends)) {
            return 1;
        }
        wait_for_input(ends[0]);
    }
    printf("stop %d\n", stop);
    return 4;
}
