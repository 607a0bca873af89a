/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pipes, and waiting for descriptors with poll, select and epoll. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static int ends[2];

static void pipes(void) {
    static char block[65536 * 2];
    int p[2];
    CHECK(pipe2(p, O_NONBLOCK) == 0);
    FAILS(EAGAIN, read(p[0], block, 1));
    CHECK(write(p[1], block, sizeof block) == 65536);
    FAILS(EAGAIN, write(p[1], block, 1));
    CHECK(read(p[0], block, 1000) == 1000);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && close(p[0]) == 0);
    FAILS(EPIPE, write(p[1], block, 1));
    CHECK(close(p[1]) == 0 && pipe(p) == 0 && close(p[1]) == 0 && read(p[0], block, 1) == 0);
    CHECK(close(p[0]) == 0);
    FAILS(EINVAL, pipe2(p, O_TRUNC));
}

static void polling(void) {
    struct timespec zero = {0, 0}, short_time = {0, 20000000};
    struct pollfd fds[3] = {{ends[0], POLLIN, -1}, {ends[1], POLLOUT, -1}, {-1, POLLIN, -1}};
    CHECK(poll(fds, 3, 0) == 1);
    CHECK(fds[0].revents == 0 && fds[1].revents == POLLOUT && fds[2].revents == 0);
    CHECK(write(ends[1], "x", 1) == 1 && ppoll(fds, 2, NULL, NULL) == 2 &&
          fds[0].revents == POLLIN);
    char c;
    CHECK(read(ends[0], &c, 1) == 1 && ppoll(fds, 1, &zero, NULL) == 0);
    CHECK(ppoll(fds, 1, &short_time, NULL) == 0 && short_time.tv_nsec == 20000000);
    fds[0].fd = 999;
    CHECK(poll(fds, 1, 0) == 1 && fds[0].revents == POLLNVAL);
    FAILS(EFAULT, syscall(SYS_ppoll, WILD, 1, &zero, NULL, 8));
    FAILS(EFAULT, syscall(SYS_ppoll, fds, 1, WILD, NULL, 8));
    FAILS(EINVAL, syscall(SYS_ppoll, fds, -1, &zero, NULL, 8));
    zero.tv_nsec = -1;
    FAILS(EINVAL, ppoll(fds, 1, &zero, NULL));
}

static void selecting(void) {
    fd_set in, out;
    sigset_t none;
    struct timeval short_time = {0, 20000};
    struct timespec zero = {0, 0};
    char c;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    CHECK(select(ends[1] + 1, &in, &out, NULL, NULL) == 1);
    CHECK(!FD_ISSET(ends[0], &in) && FD_ISSET(ends[1], &out));
    FD_SET(ends[0], &in);
    CHECK(select(ends[1] + 1, &in, NULL, NULL, &short_time) == 0);
    CHECK(write(ends[1], "y", 1) == 1 && sigemptyset(&none) == 0);
    FD_SET(ends[0], &in);
    CHECK(pselect(ends[0] + 1, &in, NULL, NULL, &zero, &none) == 1 && FD_ISSET(ends[0], &in));
    CHECK(read(ends[0], &c, 1) == 1 && c == 'y');
    int closed = dup(ends[0]);
    CHECK(close(closed) == 0);
    FD_SET(closed, &in);
    FAILS(EBADF, select(closed + 1, &in, NULL, NULL, NULL));
    FAILS(EINVAL, select(-1, NULL, NULL, NULL, &short_time));
    FAILS(EFAULT, syscall(SYS_pselect6, 4, WILD, NULL, NULL, &zero, NULL));
    FAILS(EFAULT, syscall(SYS_pselect6, 4, NULL, NULL, NULL, &zero, WILD));
    void *wild_mask[2] = {WILD, (void *)8};
    FAILS(EFAULT, syscall(SYS_pselect6, 4, NULL, NULL, NULL, &zero, wild_mask));
    void *odd_mask[2] = {&none, (void *)5};
    FAILS(EINVAL, syscall(SYS_pselect6, 4, NULL, NULL, NULL, &zero, odd_mask));
}

static void epolling(void) {
    int ep = epoll_create1(EPOLL_CLOEXEC), second[2];
    struct epoll_event event = {EPOLLIN, {.u64 = 0x123456789abcdef0}}, got[4];
    CHECK(ep >= 0 && fcntl(ep, F_GETFD) == FD_CLOEXEC && pipe(second) == 0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) == 0);
    FAILS(EEXIST, epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    CHECK(epoll_wait(ep, got, 4, 0) == 0);
    event.data.u64 = 0xfedcba9876543210;
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, second[0], &event) == 0);
    memset(got, 0x5a, sizeof got);
    CHECK(write(ends[1], "a", 1) == 1 && epoll_wait(ep, got, 4, -1) == 1);
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 0x123456789abcdef0);
    CHECK(got[1].data.u64 == 0x5a5a5a5a5a5a5a5a);
    CHECK(write(second[1], "b", 1) == 1 && epoll_wait(ep, got, 1, 0) == 1);
    CHECK(epoll_pwait(ep, got, 4, 0, NULL) == 2);
    CHECK((got[0].data.u64 ^ got[1].data.u64) == (0x123456789abcdef0 ^ 0xfedcba9876543210));
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u64 = 7;
    CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, second[0], &event) == 0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, ends[0], NULL) == 0);
    CHECK(epoll_wait(ep, got, 4, 0) == 1 && got[0].data.u64 == 7 && epoll_wait(ep, got, 4, 0) == 0);
    FAILS(ENOENT, epoll_ctl(ep, EPOLL_CTL_DEL, ends[0], WILD)); /* not looked at */
    FAILS(EINVAL, epoll_wait(ep, got, 0, 0));
    FAILS(EINVAL, epoll_wait(ep, got, -5, 0));
    FAILS(EINVAL, epoll_wait(ends[0], got, 4, 0));
    FAILS(EBADF, epoll_wait(999, got, 4, 0));
    FAILS(EINVAL, epoll_ctl(ep, 99, ends[0], &event));
    FAILS(EFAULT, epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], WILD));
    FAILS(EFAULT, epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], NULL));
    CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, second[0], &event) == 0);
    FAILS(EFAULT, epoll_wait(ep, WILD, 4, 0));
    CHECK(close(second[0]) == 0 && close(second[1]) == 0 && close(ep) == 0);
}

#define MANY 1500

static void epolling_for_many(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_max < MANY + 100) {
        printf("skipped: only %d descriptors allowed\n", (int)limit.rlim_max);
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    static struct epoll_event got[2 * MANY];
    int ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < MANY; i++) {
        int fd = eventfd(1, EFD_CLOEXEC);
        CHECK(fd >= 0);
        CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.fd = fd}}) == 0);
    }
    CHECK(epoll_wait(ep, got, 2 * MANY, 0) == MANY);
    CHECK(epoll_wait(ep, got, MANY - 1, 0) == MANY - 1);
    for (int i = 0; i < MANY; i++) {
        CHECK(got[i].events == EPOLLIN);
        close(got[i].data.fd);
    }
    close(ep);
}

int main(void) {
    RUN(pipes);
    CHECK(pipe(ends) == 0);
    RUN(polling);
    RUN(selecting);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0 && pipe(ends) == 0);
    RUN(epolling);
    RUN(epolling_for_many);
    return 0;
}
