// SPDX-License-Identifier: GPL-2.0-or-later
// What a handler is told, and queued signals with values. sigaction(2), sigqueue(3).
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static siginfo_t seen[16];
static volatile sig_atomic_t count;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    seen[count++] = *info;
}

static void set(int number) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
    count = 0;
}

static uint64_t mask(uint64_t new) {
    uint64_t old;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &new, &old, 8) == 0);
    return old;
}

static uint64_t bit(int number) {
    return 1ull << (number - 1);
}

static void sender_is_told(void) {
    set(SIGUSR1);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(count == 1 && seen[0].si_signo == SIGUSR1 && seen[0].si_code == SI_USER);
    CHECK(seen[0].si_pid == getpid() && seen[0].si_uid == getuid());
    CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) == 0);
    CHECK(count == 2 && seen[1].si_code == SI_TKILL && seen[1].si_pid == getpid());
    CHECK(syscall(SYS_tkill, gettid(), SIGUSR1) == 0);
    CHECK(count == 3);
}

static void values_are_queued_in_order(void) {
    int low = SIGRTMIN + 1, high = SIGRTMIN + 2;
    set(low);
    set(high);
    mask(bit(low) | bit(high));
    for (int i = 0; i < 3; i++) {
        CHECK(sigqueue(getpid(), high,
                       (union sigval){.sival_ptr = (void *)(0x123456789abcull + i)}) == 0);
        CHECK(sigqueue(getpid(), low, (union sigval){.sival_int = i}) == 0);
    }
    mask(0);
    CHECK(count == 6);
    for (int i = 0; i < 3; i++) {
        CHECK(seen[i].si_signo == low && seen[i].si_code == SI_QUEUE && seen[i].si_int == i);
        CHECK(seen[i].si_pid == getpid());
        CHECK(seen[3 + i].si_signo == high &&
              seen[3 + i].si_ptr == (void *)(0x123456789abcull + i));
    }
}

static void a_standard_signal_is_kept_once(void) {
    set(SIGUSR1);
    mask(bit(SIGUSR1));
    for (int i = 0; i < 3; i++) {
        sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = i});
    }
    mask(0);
    CHECK(count == 1 && seen[0].si_int == 0);
}

static void own_siginfo_is_handed_on(void) {
    siginfo_t info = {.si_code = -77};
    set(SIGRTMIN);
    info.si_value.sival_ptr = (void *)0x1122334455667788;
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info) == 0);
    CHECK(count == 1 && seen[0].si_code == -77 && seen[0].si_ptr == (void *)0x1122334455667788);
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGRTMIN, &info) == 0);
    CHECK(count == 2 && seen[1].si_signo == SIGRTMIN && seen[1].si_code == -77);
    FAILS(EFAULT, syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, WILD));
}

static void child_is_told(void) {
    set(SIGCHLD);
    mask(bit(SIGCHLD));
    pid_t child = fork();
    if (!child) {
        _exit(5);
    }
    siginfo_t info;
    CHECK(waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(info.si_pid == child && info.si_code == CLD_EXITED && info.si_status == 5);
    mask(0);
    CHECK(count == 1 && seen[0].si_signo == SIGCHLD && seen[0].si_code == CLD_EXITED);
    CHECK(seen[0].si_pid == child && seen[0].si_status == 5);
    CHECK(waitpid(child, NULL, 0) == child);
    signal(SIGCHLD, SIG_DFL);
}

static void timers_tell_themselves(void) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    struct itimerspec soon = {.it_value = {.tv_nsec = 2000000}};
    set(SIGRTMIN + 3);
    event.sigev_value.sival_ptr = &timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
    while (!count) {
        pause();
    }
    CHECK(seen[0].si_code == SI_TIMER && seen[0].si_ptr == &timer && seen[0].si_overrun == 0);
    CHECK(timer_delete(timer) == 0);
    set(SIGRTMIN + 3);
    event.sigev_notify = SIGEV_THREAD_ID;
    event._sigev_un._tid = gettid();
    CHECK(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
    while (!count) {
        pause();
    }
    CHECK(timer_delete(timer) == 0);
}

static void waiting_takes_the_signal(void) {
    sigset_t set_of_one;
    siginfo_t info;
    struct timespec none = {0};
    int number = SIGRTMIN + 1;
    sigemptyset(&set_of_one);
    sigaddset(&set_of_one, number);
    mask(bit(number) | bit(SIGUSR1));
    set(number);
    FAILS(EAGAIN, sigtimedwait(&set_of_one, &info, &none));
    sigqueue(getpid(), number, (union sigval){.sival_int = 42});
    CHECK(sigtimedwait(&set_of_one, &info, &none) == number);
    CHECK(info.si_int == 42 && info.si_code == SI_QUEUE && count == 0);
    sigqueue(getpid(), number, (union sigval){.sival_int = 43});
    CHECK(sigwaitinfo(&set_of_one, &info) == number && info.si_int == 43);
    set(SIGUSR2);
    FAILS(EINVAL, sigtimedwait(&set_of_one, &info, &(struct timespec){.tv_nsec = -1}));
    FAILS(EFAULT, syscall(SYS_rt_sigtimedwait, WILD, NULL, NULL, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigtimedwait, &set_of_one, NULL, WILD, 8));
    pid_t parent = getpid(), child = fork();
    if (!child) {
        usleep(20000);
        kill(parent, SIGUSR2);
        _exit(0);
    }
    FAILS(EINTR, sigwaitinfo(&set_of_one, &info)); /* by a signal out of the set */
    CHECK(count == 1);
    CHECK(waitpid(child, NULL, 0) == child);
    mask(0);
}

static void fault_signals_can_be_waited_for(void) {
    sigset_t faults;
    siginfo_t info;
    struct timespec second = {.tv_sec = 1};
    int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    sigemptyset(&faults);
    for (int i = 0; i < 5; i++) {
        sigaddset(&faults, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &faults, NULL);
    pid_t parent = getpid();
    for (int i = 0; i < 5; i++) {
        kill(parent, numbers[i]);
        CHECK(sigtimedwait(&faults, &info, &second) == numbers[i] && info.si_pid == parent);
        pid_t child = fork();
        if (!child) {
            usleep(20000);
            kill(parent, numbers[i]);
            _exit(0);
        }
        CHECK(sigtimedwait(&faults, &info, &second) == numbers[i] && info.si_pid == child);
        CHECK(waitpid(child, NULL, 0) == child);
    }
    sigprocmask(SIG_UNBLOCK, &faults, NULL);
}

static void descriptor_reads_signals(void) {
    sigset_t one;
    struct signalfd_siginfo info;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &one, NULL);
    int fd = signalfd(-1, &one, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    FAILS(EAGAIN, read(fd, &info, sizeof info));
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9});
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK(poll(&ready, 1, 1000) == 1);
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    CHECK(info.ssi_signo == (uint32_t)SIGRTMIN && info.ssi_int == 9 && info.ssi_code == SI_QUEUE);
    close(fd);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
}

int main(void) {
    RUN(sender_is_told);
    RUN(values_are_queued_in_order);
    RUN(a_standard_signal_is_kept_once);
    RUN(own_siginfo_is_handed_on);
    RUN(child_is_told);
    RUN(timers_tell_themselves);
    RUN(waiting_takes_the_signal);
    RUN(fault_signals_can_be_waited_for);
    RUN(descriptor_reads_signals);
    return 0;
}
