/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors that are no files: eventfd, timerfd, signalfd, memfd, pidfd. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static void event_counters(void) {
    uint64_t value = 5;
    int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, &value, 8) == 8 && read(fd, &value, 8) == 8 && value == 8);
    FAILS(EAGAIN, read(fd, &value, 8));
    FAILS(EINVAL, read(fd, &value, 4));
    value = UINT64_MAX;
    FAILS(EINVAL, write(fd, &value, 8));
    value = UINT64_MAX - 1;
    CHECK(write(fd, &value, 8) == 8);
    value = 1;
    FAILS(EAGAIN, write(fd, &value, 8));
    CHECK(close(fd) == 0);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    CHECK(read(fd, &value, 8) == 8 && value == 1 && read(fd, &value, 8) == 8 && value == 1);
    FAILS(EAGAIN, read(fd, &value, 8));
    CHECK(close(fd) == 0);
    FAILS(EINVAL, eventfd(0, 0x100));
}

static void timers(void) {
    uint64_t count = 0;
    struct itimerspec spec = {{0, 5000000}, {0, 5000000}}, now;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    CHECK(fd >= 0 && timerfd_settime(fd, 0, &spec, NULL) == 0);
    struct pollfd wait = {fd, POLLIN, 0};
    CHECK(poll(&wait, 1, 10000) == 1 && read(fd, &count, 8) == 8 && count >= 1);
    CHECK(read(fd, &count, 8) == 8 && count >= 1);
    CHECK(timerfd_gettime(fd, &now) == 0 && now.it_interval.tv_nsec == 5000000);
    CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec <= 5000000);
    memset(&spec, 0, sizeof spec);
    CHECK(timerfd_settime(fd, 0, &spec, &now) == 0 && now.it_interval.tv_nsec == 5000000);
    CHECK(timerfd_gettime(fd, &now) == 0 && now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
    FAILS(EFAULT, timerfd_settime(fd, 0, WILD, NULL));
    FAILS(EFAULT, timerfd_gettime(fd, WILD));
    spec.it_value.tv_nsec = -1;
    FAILS(EINVAL, timerfd_settime(fd, 0, &spec, NULL));
    CHECK(close(fd) == 0);
    FAILS(EINVAL, timerfd_create(99, 0));
}

static void signals(void) {
    sigset_t set;
    struct signalfd_siginfo info;
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    FAILS(EAGAIN, read(fd, &info, sizeof info));
    union sigval value = {.sival_ptr = (void *)0x1234567890};
    CHECK(sigqueue(getpid(), SIGUSR1, value) == 0);
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    CHECK(info.ssi_signo == SIGUSR1 && info.ssi_pid == (uint32_t)getpid());
    CHECK(info.ssi_code == SI_QUEUE && info.ssi_ptr == 0x1234567890 && info.ssi_uid == getuid());
    FAILS(EAGAIN, read(fd, &info, sizeof info));
    CHECK(close(fd) == 0);
}

static void memory_files(void) {
    struct stat st;
    char text[64] = {0}, path[64];
    int fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && write(fd, "content", 7) == 7 && fstat(fd, &st) == 0 && st.st_size == 7);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(readlink(path, text, sizeof text - 1) > 0 && !strcmp(text, "/memfd:a name (deleted)"));
    CHECK(fcntl(fd, F_GET_SEALS) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0);
    FAILS(EPERM, ftruncate(fd, 3));
    FAILS(EPERM, ftruncate(fd, 30));
    CHECK(pwrite(fd, "C", 1, 0) == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0);
    FAILS(EPERM, pwrite(fd, "D", 1, 0));
    FAILS(EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    CHECK(fcntl(fd, F_GET_SEALS) == (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL));
    FAILS(EPERM, (long)mmap(NULL, 7, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    char *seen = mmap(NULL, 7, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(seen != MAP_FAILED && !memcmp(seen, "Content", 7) && munmap(seen, 7) == 0);
    CHECK(close(fd) == 0);
    FAILS(EFAULT, memfd_create(WILD, 0));
    FAILS(EINVAL, memfd_create("x", 0x10000));
}

static void process_descriptors(void) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        pause();
        _exit(0);
    }
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    struct pollfd wait = {fd, POLLIN, 0};
    CHECK(poll(&wait, 1, 0) == 0);
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0);
    CHECK(poll(&wait, 1, 10000) == 1 && wait.revents == POLLIN);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGKILL);
    FAILS(ESRCH, syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    CHECK(close(fd) == 0);
    FAILS(EINVAL, syscall(SYS_pidfd_open, -1, 0));
}

int main(void) {
    RUN(event_counters);
    RUN(timers);
    RUN(signals);
    RUN(memory_files);
    RUN(process_descriptors);
    return 0;
}
