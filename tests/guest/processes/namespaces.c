// SPDX-License-Identifier: GPL-2.0-or-later
// Namespaces: clone(2), clone3(2), vfork(2) and unshare(2) with CLONE_NEW*, setns(2), as an ordinary user.
// flags: -pthread
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "children.h"

static const struct {
    const char *name;
    unsigned long flag;
} kinds[] = {{"user", CLONE_NEWUSER},    {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS},
             {"net", CLONE_NEWNET},      {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC},
             {"cgroup", CLONE_NEWCGROUP}};

#define ALL                                                                                        \
    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |     \
     CLONE_NEWCGROUP)

static char stack[65536] __attribute__((aligned(16)));
static int ready[2], go[2];

static void namespace_of(char *link, pid_t pid, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
    memset(link, 0, 64);
    CHECK(readlink(path, link, 63) > 0);
}

/* Exactly the namespaces of `flags` are others than ours. */
static void has_its_own(pid_t child, unsigned long flags) {
    char ours[64], its[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        namespace_of(ours, getpid(), kinds[i].name);
        namespace_of(its, child, kinds[i].name);
        CHECK(!!(flags & kinds[i].flag) == !!strcmp(ours, its));
    }
}

static void map_users(pid_t child) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    int fd = open(path, O_WRONLY), size = snprintf(text, sizeof text, "0 %d 1", getuid());
    CHECK(fd >= 0 && write(fd, text, (size_t)size) == size && close(fd) == 0);
}

/* Inside: it waits until its user is mapped to root, and uses its new powers. */
static int inside(void *value) {
    unsigned long flags = *(unsigned long *)value;
    char byte = 'r', name[64];
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) {
        return 1;
    }
    if (getuid() != 0 || geteuid() != 0) {
        return 2;
    }
    if (flags & CLONE_NEWPID && (getpid() != 1 || getppid() != 0 || gettid() != 1)) {
        return 3;
    }
    if (flags & CLONE_NEWUTS &&
        (sethostname("inside", 6) || gethostname(name, sizeof name) || strcmp(name, "inside"))) {
        return 4;
    }
    if (flags & CLONE_NEWNS && (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
                                mount("tmpfs", "/tmp", "tmpfs", 0, NULL))) {
        return 5;
    }
    if (flags & CLONE_NEWPID) {
        pid_t child = fork();
        if (!child) {
            _exit(getpid() == 2 && getppid() == 1 ? 0 : 1);
        }
        if (child != 2 || ends_with(child)) {
            return 6;
        }
    }
    return 50;
}

static void check_child(pid_t child, unsigned long flags) {
    char byte;
    CHECK(child > 0 && read(ready[0], &byte, 1) == 1);
    has_its_own(child, flags);
    map_users(child);
    CHECK(write(go[1], "g", 1) == 1 && ends_with(child) == 50);
}

static void clone_makes_them(void) {
    static const unsigned long sets[] = {CLONE_NEWUSER, CLONE_NEWUSER | CLONE_NEWPID,
                                         CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET,
                                         CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWIPC, ALL};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        unsigned long flags = sets[i];
        check_child(clone(inside, stack + sizeof stack, (int)(flags | SIGCHLD), &flags), flags);
        struct clone_args args = {.flags = flags, .exit_signal = i % 2 ? SIGCHLD : 0};
        pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
        if (!child) {
            _exit(inside(&flags));
        }
        check_child(child, flags);
    }
}

/* The parent is suspended: a third process maps the users. */
static void vfork_makes_them(void) {
    static unsigned long flags = ALL;
    pid_t mapper = fork(), top = getpid();
    if (!mapper) {
        char byte, path[64];
        CHECK(read(ready[0], &byte, 1) == 1);
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", getppid(), getppid());
        int fd = open(path, O_RDONLY);
        char list[64] = {0}, *next = list;
        CHECK(fd >= 0 && read(fd, list, sizeof list - 1) > 0);
        for (long pid; (pid = strtol(next, &next, 10)) > 0;) {
            if (pid != getpid()) {
                map_users((pid_t)pid);
            }
        }
        _exit(write(go[1], "g", 1) != 1);
    }
    pid_t child = clone(inside, stack + sizeof stack,
                        (int)(CLONE_VM | CLONE_VFORK | flags | SIGCHLD), &flags);
    CHECK(child > 0 && getpid() == top && ends_with(child) == 50 && ends_with(mapper) == 0);
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void unshare_makes_them(void) {
    pid_t child = fork();
    if (!child) {
        char text[64], name[64];
        snprintf(text, sizeof text, "0 %d 1", getuid());
        CHECK(unshare(ALL) == 0);
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/uid_map", text);
        CHECK(getuid() == 0 && sethostname("unshared", 8) == 0 && gethostname(name, 64) == 0);
        CHECK(!strcmp(name, "unshared") && getpid() != 1);
        pid_t first = fork();
        if (!first) {
            CHECK(getpid() == 1 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
            CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
            CHECK(readlink("/proc/self", name, sizeof name) == 1 && name[0] == '1');
            CHECK(access("/proc/self/exe", F_OK) == 0 && access("/proc/1/maps", R_OK) == 0);
            execl("/bin/sh", "sh", "-c", "exit $$", NULL);
        }
        CHECK(ends_with(first) == 1);
        _exit(0);
    }
    CHECK(ends_with(child) == 0);
}

static void time_namespaces(void) {
    pid_t child = fork();
    if (!child) {
        char text[64], before[64], after[64];
        snprintf(text, sizeof text, "0 %d 1", getuid());
        CHECK(unshare(CLONE_NEWUSER | CLONE_NEWTIME) == 0);
        write_file("/proc/self/uid_map", text);
        write_file("/proc/self/timens_offsets", "monotonic 100000 0");
        namespace_of(before, getpid(), "time");
        struct timespec outside, now;
        clock_gettime(CLOCK_MONOTONIC, &outside);
        pid_t next = fork();
        if (!next) {
            namespace_of(after, getpid(), "time");
            syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
            _exit(strcmp(before, after) && now.tv_sec >= outside.tv_sec + 100000 ? 0 : 1);
        }
        _exit(ends_with(next));
    }
    CHECK(ends_with(child) == 0);
}

static void joining(void) {
    static unsigned long flags = CLONE_NEWUSER | CLONE_NEWUTS;
    char byte;
    pid_t child = clone(inside, stack + sizeof stack, (int)(flags | SIGCHLD), &flags);
    CHECK(read(ready[0], &byte, 1) == 1);
    map_users(child);
    pid_t guest = fork();
    if (!guest) {
        int fd = (int)syscall(SYS_pidfd_open, child, 0);
        CHECK(fd >= 0 && setns(fd, CLONE_NEWUSER | CLONE_NEWUTS) == 0 && getuid() == 0);
        _exit(sethostname("guest", 5));
    }
    CHECK(ends_with(guest) == 0 && write(go[1], "g", 1) == 1 && ends_with(child) == 50);
}

static _Atomic bool stop;

static void *allocate(void *unused) {
    struct sigaction action;
    while (!stop) {
        free(memset(malloc(30000), 1, 30000));
        sigaction(SIGUSR1, NULL, &action);
        close(open("/proc/self/maps", O_RDONLY));
    }
    return unused;
}

/* Nothing of libc's here that takes a lock: this is no fork(). */
static int inside_of_many(void *flags) {
    struct sigaction action = {.sa_handler = SIG_IGN};
    int status = inside(flags);
    for (int i = 0; i < 20; i++) {
        sigaction(SIGUSR2, &action, NULL);
        close(open("/proc/self/status", O_RDONLY));
    }
    return status;
}

static void threads_are_no_hindrance_to_clone(void) {
    pthread_t threads[2];
    unsigned long flags = CLONE_NEWUSER | CLONE_NEWUTS;
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
    }
    FAILS(EINVAL, unshare(CLONE_NEWUSER));
    for (int i = 0; i < 20; i++) {
        pid_t child = clone(inside_of_many, stack + sizeof stack, (int)(flags | SIGCHLD), &flags);
        check_child(child, flags);
    }
    stop = true;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void one_thread_is_one(void) {
    DIR *tasks = opendir("/proc/self/task");
    int found = 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        found += entry->d_name[0] != '.';
    }
    CHECK(found == 1 && closedir(tasks) == 0);
}

static bool permitted(void) {
    pid_t child = fork();
    if (!child) {
        char text[64];
        snprintf(text, sizeof text, "0 %d 1", getuid());
        int fd = unshare(ALL) ? -1 : open("/proc/self/uid_map", O_WRONLY);
        _exit(fd >= 0 && write(fd, text, strlen(text)) > 0 &&
                      !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)
                  ? 0
                  : 1);
    }
    return !ends_with(child);
}

int main(void) {
    if (!getuid()) {
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
    }
    CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
    RUN(one_thread_is_one);
    if (!permitted()) {
        printf("namespaces are not permitted to users here\n");
        return 0;
    }
    RUN(clone_makes_them);
    RUN(vfork_makes_them);
    RUN(unshare_makes_them);
    RUN(time_namespaces);
    RUN(joining);
    RUN(threads_are_no_hindrance_to_clone);
    return 0;
}
