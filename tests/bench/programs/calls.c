/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calls NAME N: N times the system call (or the few that belong together) NAME. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int zero, null;

static long call_getppid(void) {
    return syscall(SYS_getppid) < 0;
}

static long call_read(void) {
    char byte;
    return read(zero, &byte, 1) != 1;
}

static long call_write(void) {
    return write(null, "x", 1) != 1;
}

static long call_open(void) {
    int fd = open("/etc/passwd", O_RDONLY);
    return fd < 0 || close(fd) < 0;
}

static long call_stat(void) {
    struct stat result;
    return stat("/etc/passwd", &result) < 0 || result.st_size == 0;
}

static long call_mmap(void) {
    char *area = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return 1;
    area[0] = 1;
    return munmap(area, 1 << 16) < 0;
}

static volatile sig_atomic_t signals;

static void handler(int number) {
    (void)number;
    signals = signals + 1;
}

static long call_signal(void) {
    int before = signals;
    return raise(SIGUSR1) != 0 || signals != before + 1;
}

static long call_fork(void) {
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

static void *nothing(void *argument) {
    return argument;
}

static long call_thread(void) {
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0;
}

static const struct {
    const char *name;
    long (*run)(void); /* returns 0 if the calls succeeded */
} table[] = {
    {"getppid", call_getppid}, {"read", call_read}, {"write", call_write},
    {"open", call_open},       {"stat", call_stat}, {"mmap", call_mmap},
    {"signal", call_signal},   {"fork", call_fork}, {"thread", call_thread},
};

int main(int argc, char **argv) {
    zero = open("/dev/zero", O_RDONLY);
    null = open("/dev/null", O_WRONLY);
    if (argc != 3 || zero < 0 || null < 0 || signal(SIGUSR1, handler) == SIG_ERR)
        return 2;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(argv[1], table[i].name) != 0)
            continue;
        long failures = 0;
        for (long n = atol(argv[2]); n > 0; n--)
            failures += table[i].run();
        printf("%s: %ld failures\n", argv[1], failures);
        return failures != 0;
    }
    return 2;
}
