/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls of libc by which Python's posix module reaches the kernel, replaced (`ld --wrap`): while the thread runs the code of
 * a vfork(2) child they must be the child's, for its descriptors, directories, credentials and process id are its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core.h"
#include "host_process.h"

static bool elsewhere(void) {
    return current_engine && current_engine->proxy;
}

static long call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    uint64_t arguments[CALL_ARGUMENTS] = {a, b, c, d};
    long result = proxy_call(current_engine->proxy, number, arguments, false);
    if (result == RESULT_GONE) {
        errno = ESRCH; /* the engine notices before the child's code goes on */
        return -1;
    }
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

#define WORD(value) ((uint64_t)(value))

/* Defines the replacement of `name`: `number` with these words instead of the original with those arguments. */
#define REPLACE(type, name, parameters, arguments, number, a, b, c, d)                             \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters {                                                                \
        return elsewhere() ? (type)call(number, a, b, c, d) : __real_##name arguments;             \
    }

#define REPLACE_PLAIN(type, name) REPLACE(type, name, (void), (), SYS_##name, 0, 0, 0, 0)

REPLACE_PLAIN(pid_t, getpid)
REPLACE_PLAIN(pid_t, getppid)
REPLACE_PLAIN(uid_t, getuid)
REPLACE_PLAIN(uid_t, geteuid)
REPLACE_PLAIN(gid_t, getgid)
REPLACE_PLAIN(gid_t, getegid)

REPLACE(int, dup, (int fd), (fd), SYS_dup, WORD(fd), 0, 0, 0)
REPLACE(int, dup2, (int fd, int to), (fd, to), SYS_dup2, WORD(fd), WORD(to), 0, 0)
REPLACE(int, pipe2, (int *fds, int flags), (fds, flags), SYS_pipe2, word_of(fds), WORD(flags), 0, 0)
REPLACE(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size), SYS_read, WORD(fd),
        word_of(to), size, 0)
REPLACE(ssize_t, pread64, (int fd, void *to, size_t size, off_t at), (fd, to, size, at),
        SYS_pread64, WORD(fd), word_of(to), size, WORD(at))
REPLACE(ssize_t, pwrite64, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at),
        SYS_pwrite64, WORD(fd), word_of(from), size, WORD(at))
REPLACE(int, ftruncate64, (int fd, off_t size), (fd, size), SYS_ftruncate, WORD(fd), WORD(size), 0,
        0)
REPLACE(int, prlimit64,
        (pid_t pid, int resource, const struct rlimit64 *to, struct rlimit64 *before),
        (pid, resource, to, before), SYS_prlimit64, WORD(pid), WORD(resource), word_of(to),
        word_of(before))
REPLACE(int, unlink, (const char *path), (path), SYS_unlink, word_of(path), 0, 0, 0)
REPLACE(int, uname, (struct utsname * to), (to), SYS_uname, word_of(to), 0, 0, 0)
REPLACE(off_t, lseek64, (int fd, off_t at, int whence), (fd, at, whence), SYS_lseek, WORD(fd),
        WORD(at), WORD(whence), 0)
REPLACE(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size),
        SYS_readlink, word_of(path), word_of(to), size, 0)
REPLACE(ssize_t, readlinkat, (int fd, const char *path, char *to, size_t size),
        (fd, path, to, size), SYS_readlinkat, WORD(fd), word_of(path), word_of(to), size)
REPLACE(int, stat64, (const char *path, struct stat64 *to), (path, to), SYS_stat, word_of(path),
        word_of(to), 0, 0)
REPLACE(int, lstat64, (const char *path, struct stat64 *to), (path, to), SYS_lstat, word_of(path),
        word_of(to), 0, 0)
REPLACE(int, fstat64, (int fd, struct stat64 *to), (fd, to), SYS_fstat, WORD(fd), word_of(to), 0, 0)
REPLACE(int, fstatat64, (int fd, const char *path, struct stat64 *to, int flags),
        (fd, path, to, flags), SYS_newfstatat, WORD(fd), word_of(path), word_of(to), WORD(flags))

int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_write(int fd, const void *from, size_t size);
ssize_t __wrap_write(int fd, const void *from, size_t size);
char *__real_getcwd(char *to, size_t size);
char *__wrap_getcwd(char *to, size_t size);

/* What a process had open is closed when it is gone. */
int __wrap_close(int fd) {
    if (!elsewhere()) {
        return __real_close(fd);
    }
    return proxy_gone(current_engine->proxy) ? 0 : (int)call(SYS_close, WORD(fd), 0, 0, 0);
}

/* A trace of the call that ended the process is still to be written, and the descriptor is inherited. */
ssize_t __wrap_write(int fd, const void *from, size_t size) {
    if (!elsewhere() || proxy_gone(current_engine->proxy)) {
        return __real_write(fd, from, size);
    }
    return call(SYS_write, WORD(fd), word_of(from), size, 0);
}

char *__wrap_getcwd(char *to, size_t size) {
    if (!elsewhere()) {
        return __real_getcwd(to, size);
    }
    return call(SYS_getcwd, word_of(to), size, 0, 0) < 0 ? NULL : to;
}

/* Those with an argument that is not always there; taking it anyway reads a register, as libc itself does. */
#define REPLACE_OPTIONAL(name, parameters, arguments, last, number, a, b, c, d)                    \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters {                                                                 \
        va_list rest;                                                                              \
        va_start(rest, last);                                                                      \
        uint64_t more = va_arg(rest, uint64_t);                                                    \
        va_end(rest);                                                                              \
        return elsewhere() ? (int)call(number, a, b, c, d) : __real_##name arguments;              \
    }

REPLACE_OPTIONAL(open64, (const char *path, int flags, ...), (path, flags, more), flags, SYS_open,
                 word_of(path), WORD(flags), more, 0)
REPLACE_OPTIONAL(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, more),
                 flags, SYS_openat, WORD(fd), word_of(path), WORD(flags), more)
REPLACE_OPTIONAL(fcntl64, (int fd, int command, ...), (fd, command, more), command, SYS_fcntl,
                 WORD(fd), WORD(command), more, 0)
REPLACE_OPTIONAL(ioctl, (int fd, unsigned long request, ...), (fd, request, more), request,
                 SYS_ioctl, WORD(fd), request, more, 0)
