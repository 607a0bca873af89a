/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks, sleeping, and the time a process has used. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0 && now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void clocks(void) {
    struct timespec step;
    struct timeval now;
    static const clockid_t all[] = {CLOCK_REALTIME,           CLOCK_MONOTONIC,
                                    CLOCK_MONOTONIC_RAW,      CLOCK_BOOTTIME,
                                    CLOCK_REALTIME_COARSE,    CLOCK_MONOTONIC_COARSE,
                                    CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t before = nanoseconds(all[i]);
        CHECK(nanoseconds(all[i]) >= before);
        CHECK(clock_getres(all[i], &step) == 0 && step.tv_sec == 0 && step.tv_nsec > 0);
    }
    CHECK(gettimeofday(&now, NULL) == 0 && now.tv_usec < 1000000);
    int64_t apart = nanoseconds(CLOCK_REALTIME) / 1000 - (now.tv_sec * 1000000 + now.tv_usec);
    CHECK(apart >= 0 && apart < 10000000);
    struct timespec by_call;
    CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &by_call) == 0);
    int64_t later = nanoseconds(CLOCK_MONOTONIC) - (by_call.tv_sec * 1000000000 + by_call.tv_nsec);
    CHECK(later >= 0 && later < 10000000000);
    FAILS(EINVAL, clock_gettime(999, &step));
    FAILS(EFAULT, syscall(SYS_clock_gettime, CLOCK_REALTIME, WILD));
    FAILS(EFAULT, syscall(SYS_clock_getres, CLOCK_REALTIME, WILD));
    FAILS(EFAULT, syscall(SYS_gettimeofday, WILD, NULL));
}

static void sleeping(void) {
    struct timespec ms = {0, 10000000}, left = {7, 7}, until;
    int64_t before = nanoseconds(CLOCK_MONOTONIC);
    CHECK(nanosleep(&ms, &left) == 0 && left.tv_sec == 7 && left.tv_nsec == 7);
    CHECK(nanoseconds(CLOCK_MONOTONIC) - before >= 10000000);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, &left) == 0 && left.tv_sec == 7);
    CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
    CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL) == 0);
    CHECK(clock_nanosleep(999, 0, &ms, NULL) == EINVAL);
    ms.tv_nsec = 1000000000;
    FAILS(EINVAL, nanosleep(&ms, NULL));
    ms = (struct timespec){-1, 0};
    FAILS(EINVAL, nanosleep(&ms, NULL));
    FAILS(EFAULT, syscall(SYS_nanosleep, WILD, NULL));
}

static void used_time(void) {
    struct rusage self, thread, children;
    struct tms before, after;
    volatile unsigned spin = 0;
    CHECK(times(&before) != (clock_t)-1);
    int64_t start = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    while (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - start < 60000000) {
        spin++;
    }
    CHECK(times(&after) != (clock_t)-1 && sysconf(_SC_CLK_TCK) == 100);
    CHECK(after.tms_utime + after.tms_stime >= before.tms_utime + before.tms_stime + 4);
    CHECK(after.tms_cutime == 0 && after.tms_cstime == 0);
    CHECK(getrusage(RUSAGE_SELF, &self) == 0 && getrusage(RUSAGE_THREAD, &thread) == 0);
    CHECK(self.ru_utime.tv_sec * 1000000 + self.ru_utime.tv_usec + self.ru_stime.tv_usec >= 40000);
    CHECK(self.ru_maxrss > 0 && self.ru_minflt > 0 && thread.ru_utime.tv_usec < 1000000);
    CHECK(getrusage(RUSAGE_CHILDREN, &children) == 0 && children.ru_utime.tv_usec == 0);
    FAILS(EINVAL, getrusage(99, &self));
    FAILS(EFAULT, syscall(SYS_getrusage, RUSAGE_SELF, WILD));
    FAILS(EFAULT, syscall(SYS_times, WILD));
}

int main(void) {
    RUN(clocks);
    RUN(sleeping);
    RUN(used_time);
    return 0;
}
