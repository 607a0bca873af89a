/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals that dump core by default: the process dies of them, and leaves a core file when RLIMIT_CORE permits. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static const int signals[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                              SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
#define SIGNALS (sizeof signals / sizeof *signals)

static void limit(rlim_t bytes) {
    struct rlimit limits;
    CHECK(!getrlimit(RLIMIT_CORE, &limits));
    limits.rlim_cur = bytes < limits.rlim_max ? bytes : limits.rlim_max;
    CHECK(!setrlimit(RLIMIT_CORE, &limits));
}

/* Only a plain name is a file of this folder. */
static int names_core(void) {
    char text[128] = "", uses_pid[8] = "";
    FILE *pattern = fopen("/proc/sys/kernel/core_pattern", "r");
    FILE *pid = fopen("/proc/sys/kernel/core_uses_pid", "r");
    CHECK(pattern && fgets(text, sizeof text, pattern) && pid && fgets(uses_pid, 8, pid));
    fclose(pattern);
    fclose(pid);
    return !strcmp(text, "core\n") && uses_pid[0] == '0';
}

/* Returns the signal that ended a child which ran `doom`, and whether there was a core file afterwards. */
static int end(void (*doom)(int), int argument, int *file) {
    int status;
    struct stat found;
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        doom(argument);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    *file = !stat("core", &found) && found.st_size > 4096;
    unlink("core");
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void with_limit(int number) {
    limit(RLIM_INFINITY);
    raise(number);
}

static void without_limit(int number) {
    limit(0);
    raise(number);
}

static void every_signal_ends_the_process(void) {
    int file;
    for (size_t i = 0; i < SIGNALS; i++) {
        CHECK(end(without_limit, signals[i], &file) == signals[i] && !file);
        CHECK(end(with_limit, signals[i], &file) == signals[i]);
        CHECK(file == names_core());
    }
    CHECK(end(with_limit, SIGTERM, &file) == SIGTERM && !file);
}

static void undumpable(int number) {
    limit(RLIM_INFINITY);
    CHECK(!prctl(PR_SET_DUMPABLE, 0));
    raise(number);
}

static void undumpable_processes_leave_none(void) {
    int file;
    CHECK(end(undumpable, SIGABRT, &file) == SIGABRT && !file);
}

static volatile sig_atomic_t handled;

static void handler(int number) {
    handled = number;
}

static void actions(int number) {
    struct sigaction action = {.sa_handler = SIG_IGN}, old;
    limit(RLIM_INFINITY);
    CHECK(!sigaction(number, NULL, &old) && old.sa_handler == SIG_DFL);
    CHECK(!sigaction(number, &action, &old) && old.sa_handler == SIG_DFL);
    raise(number);
    action.sa_handler = handler;
    CHECK(!sigaction(number, &action, &old) && old.sa_handler == SIG_IGN);
    raise(number);
    CHECK(handled == number);
    action.sa_handler = SIG_DFL;
    CHECK(!sigaction(number, &action, &old) && old.sa_handler == handler);
    CHECK(!sigaction(number, NULL, &old) && old.sa_handler == SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
    raise(number);
    int taken;
    CHECK(!sigwait(&set, &taken) && taken == number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void actions_are_as_ever(void) {
    int file;
    for (size_t i = 0; i < SIGNALS; i++) {
        CHECK(end(actions, signals[i], &file) == signals[i]);
    }
}

static void ignored_before(int number) {
    signal(number, SIG_IGN);
    limit(RLIM_INFINITY);
    raise(number);
}

static void ignored_signals_stay_ignored(void) {
    int file;
    CHECK(end(ignored_before, SIGQUIT, &file) == 0 && !file);
}

static void in_a_vfork_child(int number) {
    struct rlimit limits;
    int status, file;
    pid_t child = vfork();
    if (!child) {
        with_limit(number);
        _exit(1);
    }
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != number || getrlimit(RLIMIT_CORE, &limits) ||
        limits.rlim_cur) {
        _exit(2);
    }
    file = open("core", O_RDONLY);
    Elf64_Ehdr header = {0}, own;
    int self = open("/proc/self/exe", O_RDONLY);
    if (names_core() &&
        (read(file, &header, sizeof header) != sizeof header ||
         read(self, &own, sizeof own) != sizeof own || header.e_machine != own.e_machine)) {
        _exit(3);
    }
    unlink("core");
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
    with_limit(number);
}

/* The child dumps core, and its parent goes on until it does likewise. */
static void vfork_children_dump_alone(void) {
    int file;
    limit(0);
    for (size_t i = 0; i < SIGNALS; i++) {
        CHECK(end(in_a_vfork_child, signals[i], &file) == signals[i] && file == names_core());
    }
}

static void blocked_in_a_call(int number) {
    limit(RLIM_INFINITY);
    if (!fork()) {
        usleep(20000);
        kill(getppid(), number);
        _exit(0);
    }
    for (;;) {
        pause();
    }
}

static void a_waiting_process_dies(void) {
    int file;
    CHECK(end(blocked_in_a_call, SIGQUIT, &file) == SIGQUIT && file == names_core());
}

static void limits_are_set(void) {
    struct rlimit old, new = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    CHECK(!prlimit(0, RLIMIT_CORE, NULL, &old));
    new.rlim_max = old.rlim_max;
    CHECK(!prlimit(getpid(), RLIMIT_CORE, &new, &old));
    CHECK(!prlimit(0, RLIMIT_CORE, &old, &new) && new.rlim_cur == 4096);
    FAILS(EFAULT, prlimit(0, RLIMIT_CORE, WILD, NULL));
    FAILS(EFAULT, prlimit(0, RLIMIT_CORE, NULL, WILD));
    FAILS(EFAULT, prlimit(0, RLIMIT_CORE, &old, WILD));
    FAILS(EINVAL, prlimit(0, 99, &old, NULL));
    new.rlim_cur = new.rlim_max = 5;
    new.rlim_cur = 6;
    FAILS(EINVAL, setrlimit(RLIMIT_CORE, &new));
    FAILS(EFAULT, setrlimit(RLIMIT_CORE, WILD));
}

int main(void) {
    RUN(every_signal_ends_the_process);
    RUN(undumpable_processes_leave_none);
    RUN(actions_are_as_ever);
    RUN(ignored_signals_stay_ignored);
    RUN(a_waiting_process_dies);
    RUN(vfork_children_dump_alone);
    RUN(limits_are_set);
    return 0;
}
