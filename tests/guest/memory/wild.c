/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pointers to nowhere, in all kinds of calls: the documented error, never more. Under the emulator also pointers to where
 * the emulator itself is. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#define PAGE 4096UL

static int file, zero, pair[2], pipes[2];

/* Calls that take `p` for a buffer, a structure or a string. */
static void buffers(void *p) {
    FAILS(EFAULT, syscall(SYS_read, zero, p, 10));
    FAILS(EFAULT, syscall(SYS_write, pipes[1], p, 10));
    FAILS(EFAULT, syscall(SYS_pread64, zero, p, 10, 0));
    FAILS(EFAULT, syscall(SYS_getcwd, p, 100));
    FAILS(EFAULT, syscall(SYS_getrandom, p, 10, 0));
    FAILS(EFAULT, syscall(SYS_uname, p));
    FAILS(EFAULT, syscall(SYS_sysinfo, p));
    FAILS(EFAULT, syscall(SYS_getrlimit, RLIMIT_NOFILE, p));
    FAILS(EFAULT, syscall(SYS_setrlimit, RLIMIT_NOFILE, p));
    FAILS(EFAULT, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, p));
    FAILS(EFAULT, syscall(SYS_getrusage, RUSAGE_SELF, p));
    FAILS(EFAULT, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p));
    FAILS(EFAULT, syscall(SYS_clock_getres, CLOCK_MONOTONIC, p));
    FAILS(EFAULT, syscall(SYS_nanosleep, p, NULL));
    FAILS(EFAULT, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL));
    FAILS(EFAULT, syscall(SYS_gettimeofday, p, NULL));
    FAILS(EFAULT, syscall(SYS_times, p));
    FAILS(EFAULT, syscall(SYS_pipe2, p, 0));
    FAILS(EFAULT, syscall(SYS_fstat, file, p));
    FAILS(EFAULT, syscall(SYS_newfstatat, AT_FDCWD, "file", p, 0));
    FAILS(EFAULT, syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_SIZE, p));
    FAILS(EFAULT, syscall(SYS_fstatfs, file, p));
    FAILS(EFAULT, syscall(SYS_getdents64, open(".", O_RDONLY), p, 4096));
    FAILS(EFAULT, syscall(SYS_readlinkat, AT_FDCWD, "link", p, 10));
    FAILS(EFAULT, syscall(SYS_getitimer, ITIMER_REAL, p));
    FAILS(EFAULT, syscall(SYS_sched_getaffinity, 0, 128, p));
    FAILS(EFAULT, syscall(SYS_sched_getparam, 0, p));
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, NULL, p, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, p, NULL, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, p, 8));
    FAILS(EFAULT, syscall(SYS_rt_sigpending, p, 8));
    FAILS(EFAULT, syscall(SYS_sigaltstack, p, NULL));
    FAILS(EFAULT, syscall(SYS_sigaltstack, NULL, p));
    FAILS(EFAULT, syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, p));
    FAILS(EFAULT, syscall(SYS_futex, (uintptr_t)p & -4L, FUTEX_WAIT, 0, NULL, NULL, 0));
    FAILS(EFAULT, syscall(SYS_get_robust_list, 0, p, p));
    FAILS(EFAULT, syscall(SYS_capget, p, NULL));
    FAILS(EFAULT, syscall(SYS_mincore, (uintptr_t)&file & -PAGE, PAGE, p));
    FAILS(EFAULT, syscall(SYS_prctl, 15, p, 0, 0, 0)); /* PR_SET_NAME */
    FAILS(EFAULT, syscall(SYS_prctl, 16, p, 0, 0, 0)); /* PR_GET_NAME */
    FAILS(EFAULT, syscall(SYS_memfd_create, p, 0));
}

static void names(void *p) {
    FAILS(EFAULT, syscall(SYS_openat, AT_FDCWD, p, O_RDONLY));
    FAILS(EFAULT, syscall(SYS_mkdirat, AT_FDCWD, p, 0700));
    FAILS(EFAULT, syscall(SYS_unlinkat, AT_FDCWD, p, 0));
    FAILS(EFAULT, syscall(SYS_symlinkat, p, AT_FDCWD, "new"));
    FAILS(EFAULT, syscall(SYS_symlinkat, "old", AT_FDCWD, p));
    FAILS(EFAULT, syscall(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, p, 0));
    FAILS(EFAULT, syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, "new", 0));
    FAILS(EFAULT, syscall(SYS_chdir, p));
    FAILS(EFAULT, syscall(SYS_faccessat, AT_FDCWD, p, R_OK));
    FAILS(EFAULT, syscall(SYS_fchmodat, AT_FDCWD, p, 0600));
    FAILS(EFAULT, syscall(SYS_fchownat, AT_FDCWD, p, -1, -1, 0));
    FAILS(EFAULT, syscall(SYS_newfstatat, AT_FDCWD, p, &(struct stat){0}, 0));
    FAILS(EFAULT, syscall(SYS_readlinkat, AT_FDCWD, p, &(char[10]){0}, 10));
    FAILS(EFAULT, syscall(SYS_truncate, p, 1));
    FAILS(EFAULT, syscall(SYS_statfs, p, &(struct statfs){0}));
    FAILS(EFAULT, syscall(SYS_execve, p, NULL, NULL));
    FAILS(EFAULT, syscall(SYS_execve, "program", p, NULL));
    FAILS(EFAULT, syscall(SYS_execve, "program", (char *[]){p, NULL}, NULL));
    FAILS(EFAULT, syscall(SYS_inotify_add_watch, syscall(SYS_inotify_init1, 0), p, 1));
}

static void vectors_and_messages(void *p) {
    char bytes[16] = "";
    struct iovec bad = {p, 8}, second[] = {{bytes, 8}, {p, 8}};
    struct msghdr message = {.msg_iov = &bad, .msg_iovlen = 1};
    FAILS(EFAULT, syscall(SYS_readv, zero, p, 1));
    FAILS(EFAULT, syscall(SYS_readv, zero, &bad, 1));
    FAILS(EFAULT, syscall(SYS_writev, pipes[1], &bad, 1));
    FAILS(EFAULT, syscall(SYS_preadv, file, &bad, 1, 0, 0));
    CHECK(syscall(SYS_readv, zero, second, 2) == 8 ||
          errno == EFAULT); /* what went before counts */
    FAILS(EFAULT, syscall(SYS_sendmsg, pair[0], p, 0));
    FAILS(EFAULT, syscall(SYS_sendmsg, pair[0], &message, 0));
    message = (struct msghdr){.msg_iov = p, .msg_iovlen = 1};
    FAILS(EFAULT, syscall(SYS_sendmsg, pair[0], &message, 0));
    message = (struct msghdr){.msg_control = p, .msg_controllen = 64};
    FAILS(EFAULT, syscall(SYS_sendmsg, pair[0], &message, 0));
    FAILS(EFAULT, syscall(SYS_recvmsg, pair[0], p, 0));
    FAILS(EFAULT, syscall(SYS_sendto, pair[0], p, 8, 0, NULL, 0));
    FAILS(EFAULT, syscall(SYS_bind, socket(AF_UNIX, SOCK_STREAM, 0), p, 10));
    FAILS(EFAULT, syscall(SYS_connect, socket(AF_UNIX, SOCK_STREAM, 0), p, 10));
    FAILS(EFAULT, syscall(SYS_getsockname, pair[0], p, p));
    FAILS(EFAULT, syscall(SYS_setsockopt, pair[0], SOL_SOCKET, SO_RCVBUF, p, 4));
    FAILS(EFAULT, syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_RCVBUF, p, p));
    FAILS(EFAULT, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p));
    FAILS(EFAULT, syscall(SYS_ppoll, p, 1, NULL, NULL, 0));
    FAILS(EFAULT, syscall(SYS_ppoll, NULL, 0, p, NULL, 0));
    FAILS(EFAULT, syscall(SYS_pselect6, 1, p, NULL, NULL, NULL, NULL));
    FAILS(EFAULT, syscall(SYS_epoll_ctl, epoll_create1(0), EPOLL_CTL_ADD, pipes[0], p));
    FAILS(EFAULT, syscall(SYS_process_vm_readv, getpid(), p, 1, p, 1, 0));
}

/* A buffer of which only the first part is there. */
static void half_a_buffer(void) {
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    CHECK(read(zero, p + PAGE - 10, 20) == 10 || errno == EFAULT);
    FAILS(EFAULT, syscall(SYS_uname, p + PAGE - 10));
    FAILS(EFAULT, syscall(SYS_fstat, file, p + PAGE - 10));
    memset(p, 'a', PAGE);
    FAILS(EFAULT,
          syscall(SYS_openat, AT_FDCWD, p + PAGE - 10, O_RDONLY)); /* no NUL before the end */
    CHECK(munmap(p, PAGE) == 0);
}

static void read_only_memory(void) {
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(EFAULT, syscall(SYS_read, zero, p, 10));
    FAILS(EFAULT, syscall(SYS_uname, p));
    FAILS(EFAULT, syscall(SYS_fstat, file, p));
    FAILS(EFAULT, syscall(SYS_pipe2, p, 0));
    FAILS(EFAULT, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p));
    CHECK(p[0] == 0);
    CHECK(mprotect(p, PAGE, PROT_NONE) == 0);
    FAILS(EFAULT, syscall(SYS_write, pipes[1], p, 10));
    FAILS(EFAULT, syscall(SYS_openat, AT_FDCWD, p, O_RDONLY));
    CHECK(munmap(p, PAGE) == 0);
}

static void try(void *p) {
    pid_t child = fork(); /* descriptors that a call makes go with the child */
    CHECK(child >= 0);
    if (!child) {
        buffers(p);
        names(p);
        vectors_and_messages(p);
        fflush(stdout);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

static void beyond_every_address(void) {
    try(WILD);
    try((void *)0xffff000000001000);
    try((void *)-PAGE);
    try((void *)-1L);
}

static void never_mapped(void) {
    try((void *)8);
    try((void *)(PAGE - 1));
}

static void where_the_emulator_is(void) {
#ifdef __aarch64__
    try((void *)(1UL << 46));
    try((void *)(1UL << 47));
    try((void *)((1UL << 47) - PAGE));
    /* Its mappings lie somewhere in the last part before 2^47. */
    for (unsigned long at = (1UL << 47) - (1UL << 32); at < 1UL << 47; at += 4 << 20) {
        FAILS(EFAULT, syscall(SYS_write, pipes[1], at, 1));
        FAILS(EFAULT, syscall(SYS_read, zero, at, 1));
    }
#endif
}

int main(void) {
    file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0700);
    zero = open("/dev/zero", O_RDONLY);
    CHECK(file >= 0 && zero >= 0 && write(file, "0123456789", 10) == 10);
    CHECK(close(open("program", O_WRONLY | O_CREAT | O_TRUNC, 0700)) == 0);
    CHECK(symlink("file", "link") == 0 && pipe(pipes) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    RUN(beyond_every_address);
    RUN(never_mapped);
    RUN(half_a_buffer);
    RUN(read_only_memory);
    RUN(where_the_emulator_is);
    return 0;
}
