// SPDX-License-Identifier: GPL-2.0-or-later
// The queue of pending signals: order, values, its limit, and what each kind of sender puts into siginfo_t.
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#define MANY 100

static siginfo_t seen[3 * MANY];
static pid_t seen_by[3 * MANY];
static volatile sig_atomic_t count;

static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    seen[count] = *info;
    seen_by[count] = gettid();
    count++;
}

static void handle(int number) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
    count = 0;
}

static void mask(int how, int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    CHECK(sigprocmask(how, &set, NULL) == 0);
}

static void wait_for(int expected) {
    for (int i = 0; i < 5000 && count < expected; i++) {
        usleep(1000);
    }
    CHECK(count == expected);
}

static void values_come_in_order_and_low_numbers_first(void) {
    for (int k = 0; k < 3; k++) {
        handle(SIGRTMIN + k);
        mask(SIG_BLOCK, SIGRTMIN + k);
    }
    for (int i = 0; i < MANY; i++) {
        for (int k = 2; k >= 0; k--) {
            CHECK(sigqueue(getpid(), SIGRTMIN + k, (union sigval){.sival_int = i}) == 0);
        }
    }
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    for (int k = 0; k < 3; k++) {
        sigaddset(&set, SIGRTMIN + k);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == i);
    }
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    CHECK(count == 3 * MANY - 3);
    int next[3] = {3, 0, 0};
    for (int i = 0; i < count; i++) {
        int k = seen[i].si_signo - SIGRTMIN;
        CHECK(seen[i].si_code == SI_QUEUE && seen[i].si_value.sival_int == next[k]);
        CHECK(seen[i].si_pid == getpid() && seen[i].si_uid == getuid());
        next[k]++;
        CHECK(k == 0 || next[k - 1] == MANY); /* handlers that mask all run one after the other */
    }
}

static void the_queue_has_a_limit(void) {
    struct rlimit before, few;
    int status;
    CHECK(getrlimit(RLIMIT_SIGPENDING, &before) == 0);
    pid_t child = fork();
    if (!child) {
        mask(SIG_BLOCK, SIGRTMIN);
        few = before;
        few.rlim_cur = 0;
        CHECK(setrlimit(RLIMIT_SIGPENDING, &few) == 0);
        FAILS(EAGAIN, sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
        CHECK(kill(getpid(), SIGRTMIN) == 0); /* comes without its siginfo */
        siginfo_t info;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN);
        CHECK(info.si_code == SI_USER && info.si_pid == 0);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void senders_are_told_apart(void) {
    handle(SIGUSR1);
    kill(getpid(), SIGUSR1);
    CHECK(count == 1 && seen[0].si_code == SI_USER && seen[0].si_pid == getpid());
    raise(SIGUSR1);
    CHECK(count == 2 && seen[1].si_code == SI_TKILL && seen[1].si_pid == getpid());
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_ptr = (void *)0x123456789abcul});
    CHECK(count == 3 && seen[2].si_code == SI_QUEUE);
    CHECK(seen[2].si_value.sival_ptr == (void *)0x123456789abcul);
    siginfo_t info = {.si_code = SI_ASYNCIO, .si_errno = 77};
    info.si_value.sival_int = 5;
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info) == 0);
    CHECK(count == 4 && seen[3].si_code == SI_ASYNCIO && seen[3].si_errno == 77);
    CHECK(seen[3].si_signo == SIGUSR1 && seen[3].si_value.sival_int == 5);
}

static void message_queues_and_descriptors_tell(void) {
    char queue_name[40];
    snprintf(queue_name, sizeof queue_name, "/usermode-test-%d", getpid());
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};
    mqd_t queue = mq_open(queue_name, O_RDWR | O_CREAT, 0600, &attributes);
    if (queue == (mqd_t)-1) {
        printf("no message queues here\n");
    } else {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4};
        event.sigev_value.sival_int = 99;
        handle(SIGRTMIN + 4);
        CHECK(mq_notify(queue, &event) == 0 && mq_send(queue, "x", 1, 0) == 0);
        wait_for(1);
        CHECK(seen[0].si_code == SI_MESGQ && seen[0].si_value.sival_int == 99);
        CHECK(seen[0].si_pid == getpid());
        mq_close(queue), mq_unlink(queue_name);
    }
    int ends[2];
    handle(SIGRTMIN + 5);
    CHECK(pipe(ends) == 0 && fcntl(ends[0], F_SETOWN, getpid()) == 0);
    CHECK(fcntl(ends[0], F_SETSIG, SIGRTMIN + 5) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
    CHECK(write(ends[1], "x", 1) == 1);
    wait_for(1);
    CHECK(seen[0].si_code == POLL_IN && seen[0].si_fd == ends[0]);
    CHECK(seen[0].si_band == (POLLIN | POLLRDNORM));
    close(ends[0]), close(ends[1]);
}

static void children_tell_how_they_fare(void) {
    static const int codes[] = {CLD_STOPPED, CLD_CONTINUED, CLD_KILLED};
    handle(SIGCHLD);
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (!child) {
        while (clock() < CLOCKS_PER_SEC / 20) {
        }
        CHECK(write(ends[1], "x", 1) == 1);
        for (;;) {
            pause();
        }
    }
    CHECK(read(ends[0], &byte, 1) == 1); /* now it has used some time of the processor */
    kill(child, SIGSTOP);
    wait_for(1);
    kill(child, SIGCONT);
    wait_for(2);
    kill(child, SIGTERM);
    wait_for(3);
    for (int i = 0; i < 3; i++) {
        CHECK(seen[i].si_code == codes[i] && seen[i].si_pid == child);
        CHECK(seen[i].si_uid == getuid());
    }
    CHECK(seen[0].si_status == SIGSTOP && seen[1].si_status == SIGCONT);
    CHECK(seen[2].si_status == SIGTERM && seen[2].si_utime + seen[2].si_stime > 0);
    CHECK(waitpid(child, NULL, 0) == child);
    signal(SIGCHLD, SIG_DFL);
}

static volatile bool over;
static pid_t other;

static void *sleep_on(void *argument) {
    other = gettid();
    while (!over) {
        usleep(1000);
    }
    return argument;
}

static void timers_count_what_they_could_not_send(void) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 6};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}}, never = {0};
    handle(SIGRTMIN + 6);
    mask(SIG_BLOCK, SIGRTMIN + 6);
    event.sigev_value.sival_int = 7;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &often, NULL) == 0);
    usleep(30000);
    mask(SIG_UNBLOCK, SIGRTMIN + 6);
    CHECK(count >= 1);
    CHECK(seen[0].si_code == SI_TIMER && seen[0].si_value.sival_int == 7);
    CHECK(seen[0].si_overrun >= 10 && seen[0].si_overrun < 10000);
    CHECK(timer_settime(timer, 0, &never, NULL) == 0 && timer_delete(timer) == 0);

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sleep_on, NULL) == 0);
    while (!other) {
        usleep(1000);
    }
    handle(SIGRTMIN + 6);
    event.sigev_notify = SIGEV_THREAD_ID;
    event._sigev_un._tid = other;
    struct itimerspec once = {.it_value = {0, 1000000}};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &once, NULL) == 0);
    wait_for(1);
    CHECK(seen_by[0] == other && seen[0].si_code == SI_TIMER);
    CHECK(timer_delete(timer) == 0);
    over = true;
    pthread_join(thread, NULL);
}

static void interval_timers_of_each_kind(void) {
    static const struct {
        int which, number;
    } kinds[] = {{ITIMER_REAL, SIGALRM}, {ITIMER_VIRTUAL, SIGVTALRM}, {ITIMER_PROF, SIGPROF}};
    for (int i = 0; i < 3; i++) {
        struct itimerval often = {{0, 1000}, {0, 1000}}, none = {0}, old;
        handle(kinds[i].number);
        CHECK(setitimer(kinds[i].which, &often, NULL) == 0);
        volatile uint64_t sum = 0;
        uint64_t loops = 0;
        while (count < 5) {
            sum = sum + 3;
            loops++;
        }
        CHECK(setitimer(kinds[i].which, &none, &old) == 0);
        CHECK(old.it_interval.tv_usec >= 1000 && sum == 3 * loops);
        CHECK(seen[0].si_code == SI_KERNEL && seen[0].si_signo == kinds[i].number);
    }
}

static void descriptors_read_siginfo(void) {
    sigset_t set;
    struct signalfd_siginfo infos[3];
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    FAILS(EAGAIN, read(fd, infos, sizeof infos));
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_ptr = (void *)0x1234567890ul});
    raise(SIGUSR2);
    CHECK(poll(&readable, 1, 1000) == 1);
    CHECK(read(fd, infos, sizeof infos) == 2 * sizeof *infos);
    CHECK(infos[0].ssi_signo == SIGUSR2 && infos[0].ssi_code == SI_TKILL);
    CHECK((pid_t)infos[0].ssi_pid == getpid());
    CHECK((int)infos[1].ssi_signo == SIGRTMIN && infos[1].ssi_ptr == 0x1234567890ul);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    close(fd);
}

int main(void) {
    RUN(values_come_in_order_and_low_numbers_first);
    RUN(the_queue_has_a_limit);
    RUN(senders_are_told_apart);
    RUN(message_queues_and_descriptors_tell);
    RUN(children_tell_how_they_fare);
    RUN(timers_count_what_they_could_not_send);
    RUN(interval_timers_of_each_kind);
    RUN(descriptors_read_siginfo);
    return 0;
}
