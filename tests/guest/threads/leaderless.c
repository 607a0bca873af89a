// SPDX-License-Identifier: GPL-2.0-or-later
// What /proc and other calls say after the first thread has ended: /proc/self has no memory and no files any more.
// flags: -pthread
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static char own_path[4096];

static int entries(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    if (!directory) {
        return -errno;
    }
    errno = 0;
    while (readdir(directory)) {
        count++;
    }
    if (errno) {
        count = -errno;
    }
    closedir(directory);
    return count;
}

static bool names_program(const char *path) {
    char name[4096] = {0};
    CHECK(readlink(path, name, sizeof name - 1) > 0);
    return !strcmp(name, own_path);
}

/* Whether the file says anything, and that with `text` in it. */
static bool says(const char *path, const char *text) {
    static char content[1 << 20];
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    long size = 0, got;
    while ((got = read(fd, content + size, sizeof content - 1 - (size_t)size)) > 0) {
        size += got;
    }
    close(fd);
    content[size] = 0;
    return strstr(content, text) != NULL;
}

static void the_thread_has_all(void) {
    char path[64];
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    CHECK(names_program("/proc/thread-self/exe"));
    snprintf(path, sizeof path, "/proc/self/task/%d/exe", gettid());
    CHECK(names_program(path));
    snprintf(path, sizeof path, "/proc/%d/exe", gettid());
    CHECK(names_program(path));
    snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    CHECK(open(path, O_RDWR) > fd);
    CHECK(entries("/proc/thread-self/fd") >= 6);
    CHECK(says("/proc/thread-self/maps", "leaderless"));
    CHECK(says("/proc/thread-self/maps", "[stack]"));
    CHECK(says("/proc/thread-self/smaps", "leaderless"));
    CHECK(says("/proc/thread-self/cmdline", "leaderless"));
    CHECK(says("/proc/thread-self/environ", "PATH="));
    CHECK(says("/proc/thread-self/status", "VmSize:"));
    CHECK(says("/proc/thread-self/limits", "Max address space"));
    CHECK(says("/proc/cpuinfo", "processor"));
    CHECK(entries("/proc/self/task") == 2 + 2); /* the first is still listed */
}

static void the_process_has_less(void) {
    char path[64], name[64];
    CHECK(readlink("/proc/self", name, sizeof name) > 0);
    printf("exe: %ld", (long)readlink("/proc/self/exe", name, sizeof name));
    printf(" errno %d\n", errno);
    printf("open of exe: %d", open("/proc/self/exe", O_RDONLY));
    printf(" errno %d\n", errno);
    printf("fd: %d\n", entries("/proc/self/fd"));
    snprintf(path, sizeof path, "/proc/self/fd/%d", STDOUT_FILENO);
    printf("fd 1: %d", access(path, F_OK));
    printf(" errno %d\n", errno);
    CHECK(says("/proc/self/status", "zombie"));
    printf("memory in status: %d\n", says("/proc/self/status", "VmSize:"));
}

static volatile sig_atomic_t handled;

static void note(int number) {
    (void)number;
    handled++;
}

static void calls_go_on(void) {
    struct rlimit limit;
    char where[4096];
    int status;
    CHECK(getcwd(where, sizeof where) && getpid() != gettid());
    CHECK(chdir("/proc/thread-self") == 0 && open("exe", O_RDONLY) >= 0 && chdir(where) == 0);
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && mprotect(page, 4096, PROT_NONE) == 0 && munmap(page, 8192) == 0);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && setrlimit(RLIMIT_AS, &limit) == 0);
    signal(SIGUSR1, note);
    kill(getpid(), SIGUSR1);
    CHECK(handled == 1);
    pid_t child = fork();
    if (!child) {
        _exit(names_program("/proc/self/exe") && getpid() == gettid() ? 3 : 4);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 3 << 8);
    child = vfork();
    if (!child) {
        execl("/proc/thread-self/exe", "leaderless", "again", NULL);
        _exit(5);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 7 << 8);
}

static void *after_the_first(void *first) {
    pthread_join(*(pthread_t *)first, NULL);
    while (!says("/proc/self/status", "zombie")) {
        usleep(1000);
    }
    RUN(the_thread_has_all);
    RUN(the_process_has_less);
    RUN(calls_go_on);
    fflush(stdout);
    execl("/proc/thread-self/exe", "leaderless", "last", NULL);
    printf("no execve: %d\n", errno);
    exit(1);
}

int main(int argc, char **argv) {
    static pthread_t first;
    pthread_t thread;
    if (argc > 1) {
        printf("%s: %d\n", argv[1], getpid() == gettid());
        return strcmp(argv[1], "last") ? 7 : 0;
    }
    first = pthread_self();
    CHECK(readlink("/proc/self/exe", own_path, sizeof own_path - 1) > 0);
    CHECK(pthread_create(&thread, NULL, after_the_first, &first) == 0);
    pthread_exit(NULL);
}
