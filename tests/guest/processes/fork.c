// SPDX-License-Identifier: GPL-2.0-or-later
// fork, vfork, clone and clone3: what the child gets, what stays the parent's, and what is refused. clone(2).
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "children.h"

extern char **environ;
static volatile sig_atomic_t count;

static void note(int number) {
    (void)number;
    count++;
}

static void memory_is_copied(void) {
    volatile int here = 1;
    pid_t parent = getpid(), child = fork();
    if (!child) {
        here = 2;
        _exit(getppid() == parent && getpid() != parent && getpid() == gettid() ? here : 9);
    }
    CHECK(child > 0 && ends_with(child) == 2 && here == 1);
}

static void shared_memory_is_shared(void) {
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (!child) {
        *shared = 77;
        _exit(0);
    }
    CHECK(ends_with(child) == 0 && *shared == 77);
}

static void pending_signals_stay_the_parents(void) {
    sigset_t usr1, none, pending;
    signal(SIGUSR1, note);
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigaddset(&usr1, SIGSEGV);
    signal(SIGSEGV, note);
    sigprocmask(SIG_SETMASK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGSEGV);
    pid_t child = fork();
    if (!child) {
        sigpending(&pending);
        _exit(sigismember(&pending, SIGUSR1) || sigismember(&pending, SIGSEGV));
    }
    CHECK(ends_with(child) == 0);
    count = 0;
    sigprocmask(SIG_SETMASK, &none, NULL);
    CHECK(count == 2);
    signal(SIGSEGV, SIG_DFL);
}

static void handlers_and_mask_are_kept(void) {
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_SETMASK, &usr2, NULL);
    signal(SIGUSR1, note);
    pid_t child = fork();
    if (!child) {
        sigset_t now;
        count = 0;
        raise(SIGUSR1);
        sigprocmask(SIG_BLOCK, NULL, &now);
        _exit(count == 1 && sigismember(&now, SIGUSR2) ? 0 : 1);
    }
    CHECK(ends_with(child) == 0);
    sigemptyset(&usr2);
    sigprocmask(SIG_SETMASK, &usr2, NULL);
}

static void generations(void) {
    pid_t child = fork();
    if (!child) {
        pid_t grandchild = fork();
        if (!grandchild) {
            _exit(fork() ? 5 : 0);
        }
        _exit(ends_with(grandchild) + 1);
    }
    CHECK(ends_with(child) == 6);
}

static void vfork_waits_for_the_child(void) {
    int ends[2];
    char byte;
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    pid_t child = vfork();
    if (!child) {
        usleep(20000);
        _exit(write(ends[1], "v", 1) == 1 ? 7 : 8);
    }
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'v'); /* no EAGAIN: it was written already */
    CHECK(ends_with(child) == 7);
    child = vfork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", "exit 3", NULL);
        _exit(9);
    }
    CHECK(ends_with(child) == 3);
    close(ends[0]), close(ends[1]);
}

static void spawning(void) {
    pid_t child;
    char *argv[] = {"sh", "-c", "exit 12", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "output", O_WRONLY | O_CREAT, 0600);
    CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ) == 0 && ends_with(child) == 12);
    char *echo[] = {"sh", "-c", "echo written", NULL};
    CHECK(posix_spawnp(&child, "sh", &actions, NULL, echo, environ) == 0 && ends_with(child) == 0);
    FILE *file = fopen("output", "r");
    char line[20];
    CHECK(fgets(line, sizeof line, file) && !strcmp(line, "written\n"));
    fclose(file);
    CHECK(WEXITSTATUS(system("exit 5")) == 5);
    file = popen("echo one; echo two", "r");
    CHECK(file && fgets(line, sizeof line, file) && !strcmp(line, "one\n"));
    CHECK(pclose(file) >= 0);
}

static int as_child(void *value) {
    return *(int *)value + (getpid() == gettid());
}

static void clone_with_a_stack(void) {
    static char stack[65536];
    int value = 20;
    pid_t parent_tid = 0;
    pid_t child =
        clone(as_child, stack + sizeof stack, CLONE_PARENT_SETTID | SIGCHLD, &value, &parent_tid);
    CHECK(child > 0 && ends_with(child) == 21 && parent_tid == child);
    child = clone(as_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
    CHECK(child > 0 && ends_with(child) == 21);
}

static void clone3_calls(void) {
    pid_t tid = 0;
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_PARENT_SETTID | CLONE_PIDFD | CLONE_CHILD_SETTID,
        .exit_signal = SIGCHLD,
        .parent_tid = (uintptr_t)&tid,
        .child_tid = (uintptr_t)&tid,
        .pidfd = (uintptr_t)&pidfd,
    };
    pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (!child) {
        _exit(tid == getpid() ? 4 : 5);
    }
    CHECK(child > 0 && tid == child && pidfd > 2 && fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    siginfo_t info;
    CHECK(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == 0 && info.si_pid == child &&
          info.si_status == 4);
    close(pidfd);
    FAILS(EINVAL, syscall(SYS_clone3, &args, 8));
    FAILS(E2BIG, syscall(SYS_clone3, &args, 8192));
    FAILS(EFAULT, syscall(SYS_clone3, WILD, sizeof args));
    args = (struct clone_args){.flags = CLONE_THREAD, .exit_signal = SIGCHLD};
    FAILS(EINVAL, syscall(SYS_clone3, &args, sizeof args));
    args = (struct clone_args){.flags = CLONE_SIGHAND, .exit_signal = SIGCHLD};
    FAILS(EINVAL, syscall(SYS_clone3, &args, sizeof args));
    args = (struct clone_args){.exit_signal = 65};
    FAILS(EINVAL, syscall(SYS_clone3, &args, sizeof args));
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack = 4096};
    FAILS(EINVAL, syscall(SYS_clone3, &args, sizeof args));
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#endif
    signal(SIGUSR1, note);
    signal(SIGUSR2, SIG_IGN);
    args = (struct clone_args){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (!child) {
        struct sigaction first, second;
        sigaction(SIGUSR1, NULL, &first);
        sigaction(SIGUSR2, NULL, &second);
        _exit(first.sa_handler == SIG_DFL && second.sa_handler == SIG_IGN ? 6 : 7);
    }
    CHECK(ends_with(child) == 6);
    signal(SIGUSR2, SIG_DFL);
}

static void a_storm_of_signals(void) {
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval fast = {{0, 500}, {0, 500}}, none = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &fast, NULL);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (!child) {
            _exit(i);
        }
        CHECK(child > 0 && ends_with(child) == i);
    }
    setitimer(ITIMER_REAL, &none, NULL);
}

static void attributes(void) {
    char name[16];
    CHECK(prctl(PR_SET_NAME, "a name") == 0 && prctl(PR_GET_NAME, name) == 0 &&
          !strcmp(name, "a name"));
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
    int number;
    CHECK(prctl(PR_GET_PDEATHSIG, &number) == 0 && number == SIGUSR1);
    CHECK(prctl(PR_SET_PDEATHSIG, 0) == 0);
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &number) == 0 && number == 1);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
          prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK(prctl(PR_SET_TIMERSLACK, 12345) == 0 && prctl(PR_GET_TIMERSLACK) == 12345);
    FAILS(EINVAL, prctl(12345));
    FAILS(EFAULT, prctl(PR_SET_NAME, WILD));
    FAILS(EFAULT, prctl(PR_GET_PDEATHSIG, WILD));
}

int main(void) {
    RUN(memory_is_copied);
    RUN(shared_memory_is_shared);
    RUN(pending_signals_stay_the_parents);
    RUN(handlers_and_mask_are_kept);
    RUN(generations);
    RUN(vfork_waits_for_the_child);
    RUN(spawning);
    RUN(clone_with_a_stack);
    RUN(clone3_calls);
    RUN(a_storm_of_signals);
    RUN(attributes);
    return 0;
}
