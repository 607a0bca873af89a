/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls that concern whoever debugs the program: it stops itself, sleeps, enters namespaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void handler(int number) {
    printf("signal %d\n", number);
}

static void stop(void) {
    raise(SIGSTOP);
    printf("after SIGSTOP\n");
    raise(SIGTSTP);
    printf("after SIGTSTP\n");
}

static void sleep_long(void) {
    struct timespec time = {300, 0};
    signal(SIGUSR1, handler);
    printf("begun\n");
    int result = nanosleep(&time, NULL);
    printf("%d %s\n", result, result ? strerror(errno) : "");
}

static void namespaces(void) {
    int result = unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID);
    printf("%d %s\n", result, result ? strerror(errno) : "");
    int status = -1;
    if (!fork()) {
        _exit(getpid());
    }
    wait(&status);
    printf("child %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc == 2 && !strcmp(argv[1], "stop")) {
        stop();
    } else if (argc == 2 && !strcmp(argv[1], "sleep")) {
        sleep_long();
    } else if (argc == 2 && !strcmp(argv[1], "namespaces")) {
        namespaces();
    } else if (argc == 2 && !strcmp(argv[1], "exec")) {
        printf("%d\n", unshare(CLONE_NEWUSER | CLONE_NEWPID));
        execl("/proc/self/exe", "calls", NULL);
    } else if (argc == 2) {
        raise(SIGABRT);
    } else {
        printf("last\n");
    }
    return 5;
}
