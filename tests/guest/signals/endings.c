// SPDX-License-Identifier: GPL-2.0-or-later
// What each of the 64 signals does by default, as the parent sees it: signal(7). With and without core files; whether one
// was written is shown only where none may be, for the kernel cannot be told of one that the emulator wrote.
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

struct kernel_action {
    uint64_t handler;
    unsigned long flags;
    uint64_t restorer, mask;
};

/* How the child gets its signal. */
enum way { SENT, QUEUED, BLOCKED_BEFORE, HANDLED_BEFORE, BY_PARENT, WAYS };

static bool cores_shown = true;

static void nothing(int number) {
    (void)number;
}

static void set_mask(uint64_t mask) {
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8) == 0);
}

static void end_by(int number, enum way way) {
    struct kernel_action default_action = {0};
    siginfo_t info = {.si_signo = number, .si_code = SI_QUEUE};
    bool settable = number != SIGKILL && number != SIGSTOP;
    if (way == HANDLED_BEFORE && settable && number != 32 && number != 33) {
        signal(number, nothing);
        raise(number);
    }
    if (settable) {
        CHECK(syscall(SYS_rt_sigaction, number, &default_action, NULL, 8) == 0);
    }
    if (way == BLOCKED_BEFORE) {
        set_mask(~0ull);
    }
    if (way == QUEUED) {
        syscall(SYS_rt_sigqueueinfo, getpid(), number, &info);
    } else {
        kill(getpid(), way == BY_PARENT ? 0 : number);
    }
    set_mask(0);
    if (way == BY_PARENT) {
        for (volatile int i = 0; i >= 0;) {
        }
    }
    while (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
        pause(); /* until the parent has seen that it goes on */
    }
    _exit(5);
}

static const char *told(pid_t child, int status) {
    static char text[80];
    if (WIFSTOPPED(status)) {
        int stopped = WSTOPSIG(status), next;
        CHECK(kill(child, SIGCONT) == 0);
        CHECK(waitpid(child, &next, WUNTRACED | WCONTINUED) == child && WIFCONTINUED(next));
        kill(child, SIGKILL);
        CHECK(waitpid(child, &next, 0) == child);
        snprintf(text, sizeof text, "stopped by %d, continued", stopped);
    } else if (WIFSIGNALED(status)) {
        snprintf(text, sizeof text, "ended by %d%s", WTERMSIG(status),
                 cores_shown && WCOREDUMP(status) ? ", core" : "");
    } else {
        snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
    }
    return text;
}

static void all_signals(int ways) {
    for (int way = SENT; way < ways; way++) {
        for (int number = 1; number <= 64; number++) {
            int status;
            if (number > 34 && number < 64 && (way != SENT || !cores_shown)) {
                continue; /* all the same */
            }
            pid_t child = fork();
            setpgid(child, 0); /* in an orphaned group SIGTSTP and its like do not stop */
            if (!child) {
                end_by(number, (enum way)way);
            }
            if (way == BY_PARENT) {
                kill(child, number);
                if (number == SIGCHLD || number == SIGCONT || number == SIGURG ||
                    number == SIGWINCH) {
                    kill(child, SIGKILL);
                }
            }
            CHECK(waitpid(child, &status, WUNTRACED) == child);
            printf("%d way %d: %s\n", number, way, told(child, status));
        }
    }
}

static void without_core_files(void) {
    struct rlimit none = {0, RLIM_INFINITY};
    getrlimit(RLIMIT_CORE, &none);
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
    all_signals(WAYS);
}

static void with_core_files(void) {
    struct rlimit most;
    CHECK(getrlimit(RLIMIT_CORE, &most) == 0);
    most.rlim_cur = most.rlim_max;
    cores_shown = false;
    CHECK(setrlimit(RLIMIT_CORE, &most) == 0);
    all_signals(1);
}

static const char *fault_with(int number, uint64_t handler, uint64_t mask) {
    int status;
    pid_t child = fork();
    if (!child) {
        struct kernel_action action = {.handler = handler};
        CHECK(syscall(SYS_rt_sigaction, number, &action, NULL, 8) == 0);
        set_mask(mask);
        if (number == SIGSEGV) {
            *(volatile int *)16 = 1;
        } else if (number == SIGILL) {
#ifdef __aarch64__
            __asm__ volatile("udf #0");
#else
            __asm__ volatile("ud2");
#endif
        } else {
            *(volatile char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                                   memfd_create("empty", 0), 0) = 1;
        }
        _exit(5);
    }
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    return told(child, status);
}

/* A fault's signal that is blocked or ignored ends the process all the same: force_sig_info() of the kernel. */
static void faults_cannot_be_held_off(void) {
    static const int numbers[] = {SIGSEGV, SIGILL, SIGBUS};
    for (int i = 0; i < 3; i++) {
        int number = numbers[i];
        printf("%s\n", fault_with(number, 0, 0));
        printf("%s\n", fault_with(number, 1, 0));
        printf("%s\n", fault_with(number, (uint64_t)(uintptr_t)nothing, 1ull << (number - 1)));
    }
}

int main(void) {
    struct kernel_action default_action = {0};
    for (int number = 1; number <= 64; number++) { /* a parent may have left some ignored */
        syscall(SYS_rt_sigaction, number, &default_action, NULL, 8);
    }
    RUN(without_core_files);
    RUN(faults_cannot_be_held_off);
    RUN(with_core_files);
    RUN(faults_cannot_be_held_off);
    return 0;
}
