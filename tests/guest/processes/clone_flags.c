// SPDX-License-Identifier: GPL-2.0-or-later
// clone(2), clone3(2): exit signals, pidfds, what parent and child share, and the ways to wait for such children.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "children.h"

#define PIDFD_SIGNAL(fd, number) syscall(SYS_pidfd_send_signal, fd, number, NULL, 0)

static volatile sig_atomic_t count, got;
static int *shared;

static void note(int number) {
    count++;
    got = number;
}

static long clone_as(unsigned long flags, void *parent_tid, void *child_tid) {
#ifdef __aarch64__
    return syscall(SYS_clone, flags, 0, parent_tid, 0, child_tid);
#else
    return syscall(SYS_clone, flags, 0, parent_tid, child_tid, 0);
#endif
}

static long clone3_as(struct clone_args args) {
    return syscall(SYS_clone3, &args, sizeof args);
}

static void any_exit_signal(void) {
    static const int numbers[] = {0, SIGUSR1, SIGCHLD, SIGTERM, 64};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (int extended = 0; extended < 2; extended++) {
            int number = numbers[i], status;
            if (number) {
                signal(number, note);
            }
            count = got = 0;
            pid_t child =
                (pid_t)(extended ? clone3_as((struct clone_args){.exit_signal = (unsigned)number})
                                 : clone_as((unsigned)number, NULL, NULL));
            if (!child) {
                _exit(4);
            }
            CHECK(child > 0);
            if (number == SIGCHLD) {
                FAILS(ECHILD, waitpid(child, &status, __WCLONE));
            } else {
                FAILS(ECHILD, waitpid(child, &status, 0));
                FAILS(ECHILD, waitpid(-1, &status, 0));
            }
            int kind = number == SIGCHLD ? 0 : __WCLONE;
            siginfo_t info;
            CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT | kind) == 0);
            CHECK(info.si_pid == child && info.si_code == CLD_EXITED && info.si_status == 4);
            CHECK(ends_with(child) == 4 && count == !!number && got == number);
            if (number) {
                signal(number, SIG_DFL);
            }
        }
    }
}

static void pidfds(void) {
    int fd = -1, tid = -1;
    pid_t child = (pid_t)clone3_as((struct clone_args){.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
                                                       .pidfd = (uintptr_t)&fd,
                                                       .parent_tid = (uintptr_t)&tid,
                                                       .exit_signal = SIGCHLD});
    if (!child) {
        for (;;) {
            pause();
        }
    }
    struct pollfd events = {.fd = fd, .events = POLLIN};
    siginfo_t info = {0};
    CHECK(child > 0 && tid == child && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(poll(&events, 1, 0) == 0 && PIDFD_SIGNAL(fd, 0) == 0 && PIDFD_SIGNAL(fd, SIGTERM) == 0);
    CHECK(poll(&events, 1, 5000) == 1 && waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0);
    CHECK(info.si_pid == child && info.si_status == SIGTERM && info.si_code == CLD_KILLED);
    FAILS(ESRCH, PIDFD_SIGNAL(fd, SIGTERM));
    close(fd);
    child = (pid_t)clone_as(CLONE_PIDFD | SIGCHLD, &fd, NULL);
    if (!child) {
        _exit(3);
    }
    CHECK(child > 0 && PIDFD_SIGNAL(fd, 0) == 0 && ends_with(child) == 3);
    close(fd);
}

static void descriptors_of_others(void) {
    int fd = -1, ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = (pid_t)clone_as(CLONE_PIDFD | SIGCHLD, &fd, NULL);
    if (!child) {
        dup2(1, 80);
        if (write(ends[1], "x", 1) == 1) {
            pause();
        }
        _exit(1);
    }
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    int got_fd = (int)syscall(SYS_pidfd_getfd, fd, 80, 0);
    CHECK(got_fd >= 0 && write(got_fd, "", 0) == 0);
    FAILS(EBADF, syscall(SYS_pidfd_getfd, fd, 81, 0));
    int second = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK(second >= 0 && PIDFD_SIGNAL(second, SIGKILL) == 0 && ends_with(child) == 1000 + SIGKILL);
    FAILS(ESRCH, syscall(SYS_pidfd_open, child, 0));
    close(fd), close(got_fd), close(second), close(ends[0]), close(ends[1]);
}

static void sharing_files_and_directory(void) {
    char where[4096], now[4096];
    mkdir("inner", 0700);
    CHECK(getcwd(where, sizeof where));
    pid_t child =
        (pid_t)clone_as(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_IO | SIGCHLD, NULL, NULL);
    if (!child) {
        umask(0707);
        _exit(dup2(1, 70) == 70 && chdir("inner") == 0 ? 0 : 1);
    }
    CHECK(ends_with(child) == 0 && fcntl(70, F_GETFD) == 0 && umask(022) == 0707);
    CHECK(getcwd(now, sizeof now) && strcmp(where, now) && chdir(where) == 0);
    close(70);
}

static void a_sister_instead_of_a_child(void) {
    pid_t top = getpid();
    pid_t child = (pid_t)clone_as(SIGCHLD, NULL, NULL);
    if (!child) {
        pid_t sister = (pid_t)clone_as(CLONE_PARENT | SIGCHLD, NULL, NULL);
        if (!sister) {
            _exit(getppid() == top ? 21 : 1);
        }
        *shared = sister;
        errno = 0;
        _exit(waitpid(sister, NULL, __WALL) == -1 && errno == ECHILD ? 20 : 2);
    }
    CHECK(ends_with(child) == 20 && ends_with(*shared) == 21);
}

static void ids_in_memory(void) {
    int at_parent = 0, at_child = 0;
    pid_t child =
        (pid_t)clone_as(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, &at_parent, &at_child);
    if (!child) {
        _exit(at_child == getpid() && at_child == gettid() ? 0 : 1);
    }
    CHECK(at_parent == child && at_child == 0 && ends_with(child) == 0);
    /* cleared only for those who still use the memory */
    *shared = 5;
    child = (pid_t)clone_as(CLONE_CHILD_CLEARTID | SIGCHLD, NULL, shared);
    if (!child) {
        _exit(0);
    }
    CHECK(ends_with(child) == 0 && *shared == 5);
}

static char stack[65536] __attribute__((aligned(16)));

static int set_words(void *word) {
    *(int *)word = gettid();
    return 9;
}

static void words_of_a_vfork(void) {
    int at_parent = 0, at_child = 1, seen = 0;
    int flags =
        CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    pid_t child =
        clone(set_words, stack + sizeof stack, flags | SIGCHLD, &seen, &at_parent, NULL, &at_child);
    CHECK(child > 0 && at_parent == child && at_child == 0 && seen == child &&
          ends_with(child) == 9);
    count = 0;
    signal(SIGUSR2, note);
    child = clone(set_words, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGUSR2, &seen);
    FAILS(ECHILD, waitpid(child, NULL, 0));
    CHECK(ends_with(child) == 9 && count == 1);
    signal(SIGUSR2, SIG_DFL);
}

static int set_actions(void *unused) {
    (void)unused;
    signal(SIGUSR1, SIG_IGN);
    return 0;
}

static void sharing_signal_actions(void) {
    struct sigaction action;
    signal(SIGUSR1, note);
    pid_t child = clone(set_actions, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    CHECK(ends_with(child) == 0 && sigaction(SIGUSR1, NULL, &action) == 0 &&
          action.sa_handler == note);
    child = clone(set_actions, stack + sizeof stack,
                  CLONE_VM | CLONE_VFORK | CLONE_SIGHAND | SIGCHLD, NULL);
    CHECK(ends_with(child) == 0 && sigaction(SIGUSR1, NULL, &action) == 0 &&
          action.sa_handler == SIG_IGN);
    CHECK(raise(SIGUSR1) == 0);
    signal(SIGUSR1, note);
    signal(SIGUSR2, SIG_IGN);
    child =
        (pid_t)clone3_as((struct clone_args){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD});
    if (!child) {
        sigaction(SIGUSR2, NULL, &action);
        if (action.sa_handler != SIG_IGN || sigaction(SIGUSR1, NULL, &action) ||
            action.sa_handler) {
            _exit(1);
        }
        _exit(signal(SIGSEGV, note) == SIG_DFL && raise(SIGSEGV) == 0 && got == SIGSEGV ? 0 : 2);
    }
    CHECK(ends_with(child) == 0);
}

static void chosen_ids(void) {
    int tid = 0;
    for (tid = 32000; tid > 20000 && (kill(tid, 0) == 0 || errno != ESRCH); tid--) {
    }
    struct clone_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&tid, .set_tid_size = 1};
    errno = 0;
    pid_t child = (pid_t)clone3_as(args);
    if (!child) {
        _exit(getpid() == tid && gettid() == tid ? 0 : 1);
    }
    if (child < 0 && errno == EPERM) {
        printf("no privilege to choose ids\n");
    } else {
        CHECK(child == tid && ends_with(child) == 0);
    }
    args.set_tid = 0;
    FAILS(EINVAL, clone3_as(args));
    args.set_tid = (uintptr_t)WILD;
    FAILS(EFAULT, clone3_as(args));
}

static void refusals(void) {
    int word = 0;
    FAILS(EINVAL, clone_as(CLONE_SIGHAND | SIGCHLD, NULL, NULL));
    FAILS(EINVAL, clone_as(CLONE_THREAD | SIGCHLD, NULL, NULL));
    FAILS(EINVAL, clone_as(CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL, NULL));
    FAILS(EINVAL, clone_as(CLONE_NEWUSER | CLONE_FS | SIGCHLD, NULL, NULL));
    FAILS(EINVAL, clone_as(CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, NULL, NULL));
    FAILS(EINVAL, clone_as(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, &word, NULL));
    FAILS(EINVAL, clone_as(CLONE_PIDFD | CLONE_DETACHED | SIGCHLD, &word, NULL));
    FAILS(EFAULT, clone_as(CLONE_PIDFD | SIGCHLD, WILD, NULL));
    FAILS(EINVAL, clone3_as((struct clone_args){.exit_signal = 65}));
    FAILS(EINVAL, clone3_as((struct clone_args){.exit_signal = SIGCHLD, .stack = 4096}));
    FAILS(EINVAL, clone3_as((struct clone_args){.exit_signal = SIGCHLD, .stack_size = 4096}));
    FAILS(EINVAL, clone3_as((struct clone_args){.flags = CLONE_DETACHED}));
    FAILS(EINVAL, clone3_as((struct clone_args){.flags = 1}));
    FAILS(EINVAL, clone3_as((struct clone_args){.flags = 1ull << 50}));
    FAILS(EBADF, clone3_as((struct clone_args){.flags = CLONE_INTO_CGROUP, .cgroup = 99}));
    FAILS(EFAULT, clone3_as((struct clone_args){.flags = CLONE_PIDFD, .pidfd = (uintptr_t)WILD}));
    FAILS(EINVAL, syscall(SYS_clone3, &word, 8));
    FAILS(EFAULT, syscall(SYS_clone3, WILD, sizeof(struct clone_args)));
    FAILS(ECHILD, waitpid(-1, NULL, __WALL));
}

static void bad_pointers_of_wait(void) {
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (!child) {
            _exit(0);
        }
        if (i == 0) {
            FAILS(EFAULT, syscall(SYS_wait4, child, WILD, 0, NULL));
        } else if (i == 1) {
            FAILS(EFAULT, syscall(SYS_wait4, child, NULL, 0, WILD));
        } else {
            FAILS(EFAULT, syscall(SYS_waitid, P_PID, child, WILD, WEXITED, NULL));
        }
        FAILS(ECHILD, waitpid(child, NULL, 0)); /* it was taken all the same */
    }
    FAILS(ECHILD, syscall(SYS_wait4, -1, WILD, 0, WILD));
}

static void orphans_and_their_reaper(void) {
    int now = 0;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && prctl(PR_GET_CHILD_SUBREAPER, &now) == 0);
    CHECK(now == 1);
    pid_t top = getpid(), child = fork();
    if (!child) {
        pid_t parent = getpid(), grandchild = fork();
        if (!grandchild) {
            while (getppid() == parent) {
                usleep(1000);
            }
            _exit(getppid() == top ? 30 : 1);
        }
        *shared = grandchild;
        _exit(29);
    }
    CHECK(ends_with(child) == 29 && ends_with(*shared) == 30);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

static void signal_at_the_parents_death(void) {
    int ready[2], ends[2];
    char byte;
    CHECK(pipe(ready) == 0 && pipe(ends) == 0);
    pid_t child = fork();
    if (!child) {
        if (!fork()) {
            signal(SIGUSR1, SIG_DFL);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            if (write(ready[1], "r", 1) == 1) {
                sleep(10);
            }
            _exit(write(ends[1], "b", 1) != 1);
        }
        _exit(read(ready[0], &byte, 1) != 1);
    }
    close(ends[1]);
    CHECK(ends_with(child) == 0 && read(ends[0], &byte, 1) == 0);
    close(ready[0]), close(ready[1]), close(ends[0]);
}

int main(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RUN(any_exit_signal);
    RUN(pidfds);
    RUN(descriptors_of_others);
    RUN(sharing_files_and_directory);
    RUN(a_sister_instead_of_a_child);
    RUN(ids_in_memory);
    RUN(words_of_a_vfork);
    RUN(sharing_signal_actions);
    RUN(chosen_ids);
    RUN(refusals);
    RUN(bad_pointers_of_wait);
    RUN(orphans_and_their_reaper);
    RUN(signal_at_the_parents_death);
    return 0;
}
