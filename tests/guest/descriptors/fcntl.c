/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors: dup, close_range, fcntl's commands, file locks. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static int file;

static void duplicates(void) {
    int fd = dup(file);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == 0);
    CHECK(dup2(file, 100) == 100 && dup2(100, 100) == 100);
    CHECK(dup3(file, 101, O_CLOEXEC) == 101 && fcntl(101, F_GETFD) == FD_CLOEXEC);
    FAILS(EINVAL, dup3(file, file, 0));
    FAILS(EINVAL, dup3(file, 102, O_APPEND));
    FAILS(EBADF, dup2(999, 102));
    FAILS(EBADF, dup2(file, -1));
    CHECK(fcntl(file, F_DUPFD, 150) == 150 && fcntl(150, F_GETFD) == 0);
    CHECK(fcntl(file, F_DUPFD_CLOEXEC, 150) == 151 && fcntl(151, F_GETFD) == FD_CLOEXEC);
    FAILS(EINVAL, fcntl(file, F_DUPFD, -1));
    CHECK(fcntl(150, F_SETFD, FD_CLOEXEC) == 0 && fcntl(150, F_GETFD) == FD_CLOEXEC);
    CHECK(lseek(100, 3, SEEK_SET) == 3 && lseek(file, 0, SEEK_CUR) == 3);
    CHECK(syscall(SYS_close_range, 100, 151, 0) == 0);
    FAILS(EBADF, fcntl(100, F_GETFD));
    FAILS(EBADF, fcntl(151, F_GETFD));
    FAILS(EINVAL, syscall(SYS_close_range, 10, 5, 0));
    CHECK(close(fd) == 0);
    FAILS(EBADF, close(fd));
    FAILS(EBADF, close(-1));
}

static void commands(void) {
    FAILS(EBADF, fcntl(999, F_GETFL));
    FAILS(EINVAL, fcntl(file, 9999, 0));
    FAILS(EBADF, fcntl(999, 9999, 0));
    CHECK((fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(fcntl(file, F_SETOWN, getpid()) == 0 && fcntl(file, F_GETOWN) == getpid());
    struct f_owner_ex owner = {F_OWNER_TID, getpid()}, back = {0};
    CHECK(fcntl(file, F_SETOWN_EX, &owner) == 0 && fcntl(file, F_GETOWN_EX, &back) == 0);
    CHECK(back.type == F_OWNER_TID && back.pid == getpid());
    CHECK(fcntl(file, F_SETSIG, SIGUSR1) == 0 && fcntl(file, F_GETSIG) == SIGUSR1);
    CHECK(fcntl(file, F_SETSIG, 0) == 0);
    FAILS(EFAULT, fcntl(file, F_GETOWN_EX, WILD));
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETPIPE_SZ, 8192) == 8192);
    CHECK(fcntl(ends[1], F_GETPIPE_SZ) == 8192 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static struct flock span(short type, off_t start, off_t length) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static void locks(void) {
    struct flock lock = span(F_WRLCK, 10, 5), query;
    int status;
    CHECK(fcntl(file, F_SETLK, &lock) == 0);
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    if (!child) {
        query = span(F_RDLCK, 0, 0);
        CHECK(fcntl(file, F_GETLK, &query) == 0 && query.l_type == F_WRLCK);
        CHECK(query.l_start == 10 && query.l_len == 5 && query.l_pid == parent);
        query = span(F_RDLCK, 12, 1);
        FAILS(EAGAIN, fcntl(file, F_SETLK, &query));
        query = span(F_RDLCK, 15, 1);
        CHECK(fcntl(file, F_SETLKW, &query) == 0);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    query = span(F_WRLCK, 0, 0);
    CHECK(fcntl(file, F_GETLK, &query) == 0 && query.l_type == F_UNLCK);
    lock.l_type = F_UNLCK;
    CHECK(fcntl(file, F_SETLK, &lock) == 0);
    lock = span(F_WRLCK, 0, 0);
    CHECK(fcntl(file, F_OFD_SETLK, &lock) == 0);
    int other = open("file", O_RDWR);
    FAILS(EAGAIN, fcntl(other, F_OFD_SETLK, &lock));
    query = span(F_WRLCK, 0, 0);
    CHECK(fcntl(other, F_OFD_GETLK, &query) == 0 && query.l_type == F_WRLCK && query.l_pid == -1);
    lock.l_type = F_UNLCK;
    CHECK(fcntl(file, F_OFD_SETLK, &lock) == 0);
    lock.l_type = 99;
    FAILS(EINVAL, fcntl(file, F_SETLK, &lock));
    FAILS(EFAULT, fcntl(file, F_SETLK, WILD));
    CHECK(flock(file, LOCK_EX) == 0);
    FAILS(EAGAIN, flock(other, LOCK_EX | LOCK_NB));
    CHECK(flock(file, LOCK_UN) == 0 && flock(other, LOCK_SH | LOCK_NB) == 0 && close(other) == 0);
    FAILS(EINVAL, flock(file, 77));
}

int main(void) {
    file = open("file", O_CREAT | O_RDWR, 0600);
    CHECK(file >= 0 && write(file, "0123456789", 10) == 10);
    RUN(duplicates);
    RUN(commands);
    RUN(locks);
    return 0;
}
