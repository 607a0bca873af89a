// SPDX-License-Identifier: GPL-2.0-or-later
// vfork(2) and posix_spawn(3): the child has the parent's memory and nothing else of it; the parent waits for exec or end.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "children.h"

extern char **environ;
static volatile int count, value;
static volatile pid_t seen;

static void note(int number) {
    (void)number;
    count++;
}

static void spawning_a_missing_file_fails(void) {
    pid_t child = 1;
    char *argv[] = {"x", NULL};
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn(&child, "/no/such/file", NULL, NULL, argv, environ) == ENOENT);
    CHECK(posix_spawn(&child, "/dev/null", NULL, NULL, argv, environ) == EACCES);
    CHECK(posix_spawnp(&child, "no-such-command", NULL, NULL, argv, environ) == ENOENT);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/no/input", O_RDONLY, 0);
    CHECK(posix_spawn(&child, "/bin/true", &actions, NULL, argv, environ) == ENOENT);
    posix_spawn_file_actions_destroy(&actions);
    FAILS(ECHILD, waitpid(-1, NULL, 0));
}

static void write_memory(void) {
    value = 42;
    seen = getpid();
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(page, "from the child");
    *(char *volatile *)&environ[0] = page;
}

static void memory_is_the_parents(void) {
    char *first = environ[0];
    pid_t child = vfork();
    if (!child) {
        write_memory();
        _exit(3);
    }
    CHECK(value == 42 && seen == child && !strcmp(environ[0], "from the child"));
    environ[0] = first;
    CHECK(ends_with(child) == 3);
}

static double halves(double x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x;
        x /= 2;
    }
    return sum;
}

static void spoil_registers(void) {
    value = (int)halves(3, 40);
}

static void registers_are_the_parents(void) {
    register double a = halves(1, 10), b = halves(5, 20), c = a * b;
    pid_t child = vfork();
    if (!child) {
        spoil_registers();
        _exit(0);
    }
    double again = halves(1, 10) * halves(5, 20);
    CHECK(a * b == c && c == again && ends_with(child) == 0);
}

static void parent_waits_for_exec(void) {
    int ends[2];
    char byte;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t child = vfork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", "sleep 0.3; exit 4", NULL);
        _exit(9);
    }
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 0); /* its exec closes the child's end */
    close(ends[0]);
    CHECK(waitpid(child, NULL, WNOHANG) == 0 && ends_with(child) == 4);
}

static void failing_exec(void) {
    if (execl("/no/such/file", "x", NULL) != -1 || errno != ENOENT) {
        _exit(1);
    }
    if (execl("/dev/null", "x", NULL) != -1 || errno != EACCES) {
        _exit(2);
    }
    execl("/bin/sh", "sh", "-c", "exit 6", NULL);
}

static void child_goes_on_after_a_failed_exec(void) {
    CHECK(child_of(failing_exec) == 6);
}

static void change_everything(void) {
    struct rlimit limit = {77, 77};
    close(0);
    dup2(1, 90);
    if (chdir("inner") || setrlimit(RLIMIT_NOFILE, &limit) || setpgid(0, 0)) {
        _exit(1);
    }
    umask(0123);
    prctl(PR_SET_NAME, "the child");
    _exit(open("/", O_RDONLY) == 0 && fcntl(90, F_GETFD) == 0 ? 5 : 2);
}

static void descriptors_and_directories_are_its_own(void) {
    struct rlimit before, after;
    char where[4096], now[4096], name[16];
    pid_t group = getpgrp();
    mkdir("inner", 0700);
    umask(022);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0 && getcwd(where, sizeof where));
    int input = fcntl(0, F_GETFD);
    CHECK(child_of(change_everything) == 5);
    CHECK(getrlimit(RLIMIT_NOFILE, &after) == 0 && after.rlim_cur == before.rlim_cur);
    CHECK(getcwd(now, sizeof now) && !strcmp(where, now) && fcntl(0, F_GETFD) == input);
    FAILS(EBADF, fcntl(90, F_GETFD));
    CHECK(umask(022) == 022 && getpgrp() == group);
    CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "the child"));
}

static void check_ids(void) {
    char link[32] = {0}, text[32];
    snprintf(text, sizeof text, "%d", getpid());
    if (readlink("/proc/self", link, sizeof link - 1) < 1 || strcmp(link, text)) {
        _exit(1);
    }
    snprintf(text, sizeof text, "/proc/%d/exe", getpid());
    _exit(getpid() == gettid() && getpid() != seen && getppid() == seen && !access(text, F_OK) ? 0
                                                                                               : 2);
}

static void ids_are_its_own(void) {
    seen = getpid();
    CHECK(child_of(check_ids) == 0 && getpid() == seen && gettid() == seen);
}

static void with_signals(void) {
    sigset_t usr1;
    stack_t stack;
    signal(SIGUSR1, note);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGHUP);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    sigpending(&usr1);
    if (sigismember(&usr1, SIGUSR1) || sigaltstack(NULL, &stack) || stack.ss_flags) {
        _exit(1);
    }
    count = 0;
    sigprocmask(SIG_BLOCK, NULL, &usr1);
    sigdelset(&usr1, SIGUSR1);
    sigprocmask(SIG_SETMASK, &usr1, NULL);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    raise(SIGUSR2);
    _exit(count == 2 ? 0 : 2);
}

static void signals_are_its_own(void) {
    static char area[65536];
    struct sigaction action;
    sigset_t usr1, now;
    sigaltstack(&(stack_t){.ss_sp = area, .ss_size = sizeof area}, NULL);
    signal(SIGTERM, note);
    signal(SIGUSR1, note);
    signal(SIGUSR2, SIG_DFL);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1); /* pending, and stays the parent's */
    CHECK(child_of(with_signals) == 0);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == note);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGHUP));
    count = 0;
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);
    CHECK(count == 1);
    raise(SIGTERM);
    CHECK(count == 2);
    signal(SIGTERM, SIG_DFL);
}

static void interrupted(void) {
    int ends[2];
    char byte;
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGALRM, &action, NULL);
    if (pipe(ends)) {
        _exit(1);
    }
    count = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
    if (read(ends[0], &byte, 1) != -1 || errno != EINTR || count != 1) {
        _exit(2);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
    while (count == 1) {
    }
    _exit(8);
}

static void handlers_interrupt_the_child(void) {
    CHECK(child_of(interrupted) == 8);
}

static void kill_self(void) {
    kill(getpid(), value);
    for (;;) {
        pause();
    }
}

static void fault(void) {
    *(volatile int *)8 = 1;
}

static void signals_end_the_child_alone(void) {
    static const int numbers[] = {SIGKILL, SIGTERM, SIGUSR2, SIGSEGV, SIGABRT, 40};
    prctl(PR_SET_DUMPABLE, 0);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        value = numbers[i];
        CHECK(child_of(kill_self) == 1000 + value);
    }
    CHECK(child_of(fault) == 1000 + SIGSEGV);
    CHECK(child_of(abort) == 1000 + SIGABRT);
}

static volatile pid_t *shared;

static void spin(void) {
    *shared = getpid();
    for (;;) {
        value++;
    }
}

static void a_spinning_child_can_be_killed(void) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t killer = fork();
    if (!killer) {
        while (!*shared) {
            usleep(1000);
        }
        usleep(20000);
        _exit(kill(*shared, SIGKILL));
    }
    CHECK(child_of(spin) == 1000 + SIGKILL);
    CHECK(ends_with(killer) == 0);
}

static void vfork_again(void) {
    pid_t child = vfork();
    if (!child) {
        value++;
        execl("/no/such/file", "x", NULL);
        _exit(value);
    }
    value += 10;
    if (ends_with(child) != 2 || value != 12) {
        _exit(1);
    }
    child = vfork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", "exit 7", NULL);
    }
    _exit(ends_with(child) == 7 ? 33 : 2);
}

static void children_of_the_child(void) {
    value = 1;
    CHECK(child_of(vfork_again) == 33 && value == 12);
}

static void fork_in_it(void) {
    pid_t parent = getpid(), child = fork();
    if (!child) {
        value = 99;
        pid_t grandchild = fork();
        if (!grandchild) {
            execl("/bin/sh", "sh", "-c", "exit 1", NULL);
        }
        _exit(getppid() == parent ? 20 + ends_with(grandchild) : 3);
    }
    _exit(ends_with(child) == 21 && value == 1 ? 34 : 2);
}

static void forks_of_the_child(void) {
    value = 1;
    CHECK(child_of(fork_in_it) == 34 && value == 1);
}

static void system_from_it(void) {
    FILE *file = popen("echo from below", "r");
    char line[20] = {0};
    if (!file || !fgets(line, sizeof line, file) || strcmp(line, "from below\n")) {
        _exit(1);
    }
    _exit(pclose(file) == 0 && WEXITSTATUS(system("exit 5")) == 5 ? 35 : 2);
}

static void spawning_from_the_child(void) {
    CHECK(child_of(system_from_it) == 35);
}

static void many(void) {
    for (int i = 0; i < 100; i++) {
        pid_t child = vfork();
        if (!child) {
            value = i;
            if (i % 3 == 1) {
                execl("/bin/true", "true", NULL);
            } else if (i % 3 == 2) {
                kill(getpid(), SIGKILL);
            }
            _exit(1);
        }
        CHECK(value == i && ends_with(child) == (i % 3 == 0 ? 1 : i % 3 == 1 ? 0 : 1000 + SIGKILL));
    }
}

int main(void) {
    RUN(spawning_a_missing_file_fails);
    RUN(memory_is_the_parents);
    RUN(registers_are_the_parents);
    RUN(parent_waits_for_exec);
    RUN(child_goes_on_after_a_failed_exec);
    RUN(descriptors_and_directories_are_its_own);
    RUN(ids_are_its_own);
    RUN(signals_are_its_own);
    RUN(handlers_interrupt_the_child);
    RUN(signals_end_the_child_alone);
    RUN(a_spinning_child_can_be_killed);
    RUN(children_of_the_child);
    RUN(forks_of_the_child);
    RUN(spawning_from_the_child);
    RUN(many);
    return 0;
}
