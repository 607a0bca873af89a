/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starts processes, and becomes another program. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

__attribute__((noinline)) static int child(void) {
    return 7;
}

__attribute__((noinline)) static int second(void) {
    puts("second");
    return 9;
}

int main(int argc, char **argv) {
    int status;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1) {
        closefrom(3);
        return second();
    }
    pid_t pid = fork();
    if (!pid) {
        _exit(child());
    }
    waitpid(pid, &status, 0);
    printf("fork %d\n", WEXITSTATUS(status));
    pid = vfork();
    if (!pid) {
        execl("/proc/self/exe", "second", "x", NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    printf("vfork %d\n", WEXITSTATUS(status));
    execl("/proc/self/exe", "second", "x", NULL);
    return 1;
}
