// SPDX-License-Identifier: GPL-2.0-or-later
// Which calls a handled signal ends with EINTR and which go on: signal(7). And waiting under another mask.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../check.h"

static volatile sig_atomic_t count, usr1s;
static int writer = -1;

static void note(int number) {
    usr1s += number == SIGUSR1;
    count++;
    if (writer >= 0 && count == 3) {
        if (write(writer, "x", 1) != 1) {
            _exit(9);
        }
    }
}

static void set(int number, int flags) {
    struct sigaction action = {.sa_handler = note, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
    count = 0;
}

/* SIGALRM every so many microseconds; 0 ends it. */
static void tick(int period) {
    struct itimerval value = {{0, period}, {0, period}};
    CHECK(setitimer(ITIMER_REAL, &value, NULL) == 0);
}

static void read_ends_with_eintr(void) {
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    set(SIGALRM, 0);
    tick(10000);
    FAILS(EINTR, read(ends[0], &byte, 1));
    CHECK(count >= 1);
    tick(0);
    close(ends[0]), close(ends[1]);
}

static void read_goes_on_with_sa_restart(void) {
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    set(SIGALRM, SA_RESTART);
    writer = ends[1];
    tick(10000);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
    CHECK(count >= 3);
    tick(0);
    writer = -1;
    close(ends[0]), close(ends[1]);
}

static void wait_goes_on_with_sa_restart(void) {
    set(SIGALRM, SA_RESTART);
    tick(10000);
    pid_t child = fork();
    if (!child) {
        usleep(60000);
        _exit(7);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
    CHECK(count >= 2);
    set(SIGALRM, 0);
    child = fork();
    if (!child) {
        pause();
        _exit(7);
    }
    FAILS(EINTR, waitpid(child, &status, 0));
    tick(0);
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL);
}

/* These never go on, whatever SA_RESTART says. */
static void sleeping_always_ends(void) {
    struct timespec hour = {3600, 0}, left = {0, 0};
    struct pollfd none = {.fd = -1};
    set(SIGALRM, SA_RESTART);
    tick(10000);
    FAILS(EINTR, nanosleep(&hour, &left));
    CHECK(left.tv_sec == 3599 && left.tv_nsec > 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, &left) == EINTR);
    FAILS(EINTR, poll(&none, 1, -1));
    FAILS(EINTR, pause());
    fd_set empty;
    FD_ZERO(&empty);
    FAILS(EINTR, select(0, &empty, NULL, NULL, NULL));
    int queue = epoll_create1(0);
    struct epoll_event event;
    FAILS(EINTR, epoll_wait(queue, &event, 1, -1));
    close(queue);
    tick(0);
}

static void futex_wait_ends_or_goes_on(void) {
    static int word;
    set(SIGALRM, 0);
    tick(10000);
    FAILS(EINTR, syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL));
    set(SIGALRM, SA_RESTART);
    FAILS(ETIMEDOUT, syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0,
                             &(struct timespec){time(NULL) - 1, 0}, NULL, ~0u));
    struct timespec second = {5, 0};
    FAILS(EINTR, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &second));
    tick(0);
}

static void accept_goes_on_with_sa_restart(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    unlink("socket");
    CHECK(bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 1) == 0);
    set(SIGALRM, SA_RESTART);
    tick(10000);
    pid_t child = fork();
    if (!child) {
        usleep(60000);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        _exit(connect(fd, (struct sockaddr *)&name, sizeof name));
    }
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    CHECK(count >= 2);
    tick(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(fd), close(listener);
}

static void send_later(pid_t parent, int number) {
    pid_t child = fork();
    if (!child) {
        usleep(20000);
        kill(parent, number);
        _exit(0);
    }
}

static void collect(void) {
    CHECK(wait(NULL) > 0);
}

/* The signal is blocked but for the wait, so it can only come in the wait. */
static void waiting_under_another_mask(void) {
    sigset_t usr1, none, now;
    struct pollfd nothing = {.fd = -1};
    struct epoll_event event;
    int queue = epoll_create1(0);
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    set(SIGUSR1, SA_RESTART);
    sigprocmask(SIG_SETMASK, &usr1, NULL);
    for (int i = 0; i < 8; i++) {
        bool before = i & 1; /* pending already, or sent while waiting */
        usr1s = 0;
        if (before) {
            raise(SIGUSR1);
        } else {
            send_later(getpid(), SIGUSR1);
        }
        CHECK(usr1s == 0);
        if (i < 2) {
            FAILS(EINTR, sigsuspend(&none));
        } else if (i < 4) {
            FAILS(EINTR, ppoll(&nothing, 1, NULL, &none));
        } else if (i < 6) {
            FAILS(EINTR, pselect(0, NULL, NULL, NULL, NULL, &none));
        } else {
            FAILS(EINTR, epoll_pwait(queue, &event, 1, -1, &none));
        }
        CHECK(usr1s == 1);
        sigprocmask(SIG_BLOCK, NULL, &now);
        CHECK(sigismember(&now, SIGUSR1));
        if (!before) {
            collect();
        }
    }
    FAILS(EFAULT, syscall(SYS_rt_sigsuspend, WILD, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigsuspend, &none, 4));
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(queue);
}

/* Both handlers run, for the first one runs under the mask of the wait: do_signal() of the kernel. */
static void suspending_lets_all_pending_signals_in(void) {
    sigset_t both, none;
    sigemptyset(&none);
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    sigprocmask(SIG_SETMASK, &both, NULL);
    set(SIGUSR1, 0);
    set(SIGUSR2, 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    FAILS(EINTR, sigsuspend(&none));
    CHECK(count == 2);
    sigset_t now;
    sigprocmask(SIG_SETMASK, &none, &now);
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
}

/* Two signals are let in by a wait's mask: both handlers run before the thread's own mask is back, which is what the frame
 * of the first one holds. */
static volatile uint64_t frame_masks[2];
static volatile sig_atomic_t frames;

static void keep_mask(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    memcpy((void *)&frame_masks[frames++], &((ucontext_t *)context)->uc_sigmask, 8);
}

static void waits_let_all_pending_signals_in(void) {
    uint64_t usr = 1ull << (SIGUSR1 - 1) | 1ull << (SIGUSR2 - 1), own = usr | 1ull << (SIGHUP - 1);
    uint64_t wait = 1ull << (SIGWINCH - 1), now;
    struct epoll_event event;
    int queue = epoll_create1(0);
    struct sigaction action = {.sa_sigaction = keep_mask, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    for (int way = 0; way < 5; way++) {
        CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &own, NULL, 8) == 0);
        raise(SIGUSR2);
        raise(SIGUSR1);
        frames = 0;
        if (way == 0) {
            FAILS(EINTR, syscall(SYS_rt_sigsuspend, &wait, 8));
        } else if (way == 1) {
            FAILS(EINTR, syscall(SYS_ppoll, NULL, 0, NULL, &wait, 8));
        } else if (way == 2) {
            uint64_t pair[2] = {(uint64_t)(uintptr_t)&wait, 8};
            FAILS(EINTR, syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, pair));
        } else if (way == 3) {
            FAILS(EINTR, syscall(SYS_epoll_pwait, queue, &event, 1, -1, &wait, 8));
        } else {
            FAILS(EINTR, syscall(SYS_epoll_pwait2, queue, &event, 1, NULL, &wait, 8));
        }
        CHECK(frames == 2);
        /* SIGUSR2's frame lies on top: its handler runs first, in the mask of SIGUSR1's. */
        CHECK(frame_masks[0] == (wait | 1ull << (SIGUSR1 - 1)));
        CHECK(frame_masks[1] == own);
        CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8) == 0 && now == own);
    }
    now = 0;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &now, NULL, 8) == 0);
    FAILS(EINVAL, syscall(SYS_ppoll, NULL, 0, NULL, &wait, 7));
    FAILS(EFAULT, syscall(SYS_ppoll, NULL, 0, NULL, WILD, 8));
    FAILS(EFAULT, syscall(SYS_ppoll, NULL, 0, NULL, 8, 8));
    FAILS(EFAULT, syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, WILD));
    FAILS(EFAULT, syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, (uint64_t[]){-1ul << 47, 8}));
    FAILS(EINVAL, syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, (uint64_t *[]){&wait, 0}));
    struct timespec none = {0, 0};
    CHECK(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &none, (uint64_t[]){0, 0}) == 0);
    close(queue);
}

static void ignored_and_blocked_signals_disturb_nothing(void) {
    sigset_t usr2;
    char byte = 0;
    int ends[2];
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr2, NULL);
    signal(SIGUSR1, SIG_IGN);
    CHECK(pipe(ends) == 0);
    pid_t parent = getpid(), child = fork();
    if (!child) {
        usleep(10000);
        kill(parent, SIGUSR1);
        kill(parent, SIGUSR2);
        kill(parent, SIGCHLD);
        kill(parent, SIGWINCH);
        usleep(10000);
        _exit(write(ends[1], "y", 1) != 1);
    }
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'y');
    collect();
    set(SIGUSR2, 0);
    sigprocmask(SIG_UNBLOCK, &usr2, NULL);
    CHECK(count == 1);
    signal(SIGUSR1, SIG_DFL);
}

static void alarms(void) {
    set(SIGALRM, 0);
    CHECK(alarm(100) == 0);
    CHECK(alarm(0) == 100);
    struct itimerval value = {{0, 0}, {0, 5000}};
    CHECK(setitimer(ITIMER_REAL, &value, NULL) == 0);
    while (!count) {
    }
    set(SIGVTALRM, 0);
    CHECK(setitimer(ITIMER_VIRTUAL, &value, NULL) == 0);
    while (!count) {
    }
    set(SIGPROF, 0);
    CHECK(setitimer(ITIMER_PROF, &value, NULL) == 0);
    while (!count) {
    }
}

/* Signals as fast as they come, with a check that no register and no instruction is lost. */
static void a_storm_changes_nothing(void) {
    volatile double product = 1;
    uint64_t sum = 0, state = 1;
    set(SIGALRM, SA_RESTART);
    tick(200);
    for (uint64_t i = 0; i < 3000000 || count < 20; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        sum += state >> 60;
        if (i < 1000) {
            product *= 1.001;
        }
        if (i == 2999999) {
            printf("sum %llu product %.17g\n", (unsigned long long)sum, product);
        }
    }
    tick(0);
}

int main(void) {
    RUN(read_ends_with_eintr);
    RUN(read_goes_on_with_sa_restart);
    RUN(wait_goes_on_with_sa_restart);
    RUN(sleeping_always_ends);
    RUN(futex_wait_ends_or_goes_on);
    RUN(accept_goes_on_with_sa_restart);
    RUN(waiting_under_another_mask);
    RUN(suspending_lets_all_pending_signals_in);
    RUN(waits_let_all_pending_signals_in);
    RUN(ignored_and_blocked_signals_disturb_nothing);
    RUN(alarms);
    RUN(a_storm_changes_nothing);
    return 0;
}
