// SPDX-License-Identifier: GPL-2.0-or-later
// The table of signal(7): which calls go on after a handler with SA_RESTART, which after none, and what a stop does.
#include "restarts.h"

#include <linux/futex.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static int ends[2], sockets[2], listener, terminal, manager, file, semaphores, queue, epoll;
static char block[1 << 20];

static const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
static const struct timespec quarter = {0, 250000000};
static struct timespec left;

/* ---- the calls, and what lets each of them go on ---- */

static long do_read(void) {
    char byte;
    return read(ends[0], &byte, 1);
}
static void write_byte(void) {
    CHECK(write(ends[1], "x", 1) == 1);
}
static long do_read_terminal(void) {
    char line[8];
    return read(terminal, line, sizeof line);
}
static void type_line(void) {
    CHECK(write(manager, "ab\n", 3) == 3);
}
static long do_write(void) {
    return write(ends[1], block, sizeof block);
}
static void drain(void) {
    for (size_t done = 0; done < sizeof block;) {
        long got = read(ends[0], block, sizeof block);
        CHECK(got > 0);
        done += (size_t)got;
        if (got < 4096) {
            break;
        }
    }
}
static long do_accept(void) {
    int fd = accept(listener, NULL, NULL);
    return fd < 0 ? fd : 0;
}
static void connect_once(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(fd, (const struct sockaddr *)&name, sizeof name) == 0);
}
static long do_receive(void) {
    char byte;
    return recv(sockets[0], &byte, 1, 0);
}
static void send_byte(void) {
    CHECK(send(sockets[1], "x", 1, 0) == 1);
}
static long do_receive_limited(void) {
    struct timeval limit = {5, 0};
    setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return do_receive();
}
static long do_receive_message(void) {
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    return recvmsg(sockets[0], &message, 0);
}
static long do_wait(void) {
    pid_t child = fork();
    if (!child) {
        nanosleep(&quarter, NULL);
        _exit(0);
    }
    long result = wait4(child, NULL, 0, NULL);
    return result > 0 ? 0 : result;
}
static long do_waitid(void) {
    siginfo_t info;
    pid_t child = fork();
    if (!child) {
        nanosleep(&quarter, NULL);
        _exit(0);
    }
    return waitid(P_PID, (id_t)child, &info, WEXITED);
}
static long do_futex(void) {
    return syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL);
}
static void wake(void) {
    *word = 1;
    syscall(SYS_futex, word, FUTEX_WAKE, 1);
}
static long do_futex_limited(void) {
    return syscall(SYS_futex, word, FUTEX_WAIT, 0, &quarter);
}
static long do_flock(void) {
    int own = open("lock", O_RDWR);
    return flock(own, LOCK_EX);
}
static void unlock(void) {
    flock(file, LOCK_UN);
}
static long do_fcntl(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(file, F_SETLKW, &lock);
}
static void unlock_range(void) {
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(file, F_SETLK, &lock);
}
static long do_semop(void) {
    struct sembuf down = {0, -1, 0};
    return semop(semaphores, &down, 1);
}
static void up(void) {
    struct sembuf one = {0, 1, 0};
    CHECK(semop(semaphores, &one, 1) == 0);
}
static long do_msgrcv(void) {
    long message[2];
    return msgrcv(queue, message, 8, 0, 0);
}
static void msgsnd_one(void) {
    long message[2] = {1, 2};
    CHECK(msgsnd(queue, message, 8, 0) == 0);
}
static long do_poll(void) {
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    return poll(&one, 1, -1);
}
static long do_poll_limited(void) {
    return poll(NULL, 0, 250);
}
static long do_select(void) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    return select(ends[0] + 1, &set, NULL, NULL, NULL);
}
static long do_epoll(void) {
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, -1);
}
static long do_nanosleep(void) {
    long result = nanosleep(&quarter, &left);
    return result < 0 && left.tv_nsec > 0 && left.tv_nsec < quarter.tv_nsec ? -1 : result;
}
static long do_sleep_until(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += time.tv_nsec / 750000000;
    time.tv_nsec = (time.tv_nsec + 250000000) % 1000000000;
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    return errno ? -1 : 0;
}
static long do_open(void) {
    int fd = open("fifo", O_RDONLY);
    return fd < 0 ? fd : 0;
}
static void open_writer(void) {
    int fd = open("fifo", O_RDWR);
    CHECK(fd >= 0);
    usleep(50000);
}
static long do_sigtimedwait(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return sigtimedwait(&set, NULL, &quarter);
}
static long do_pause(void) {
    alarm(1); /* its handler ends it for sure */
    return pause();
}
static void nothing(void) {
}

static const struct row table[] = {
    {"read of a pipe", do_read, write_byte, false},
    {"read of a terminal", do_read_terminal, type_line, false},
    {"write to a pipe", do_write, drain, false},
    {"accept", do_accept, connect_once, false},
    {"recv", do_receive, send_byte, false},
    {"recv with a limit", do_receive_limited, send_byte, false},
    {"recvmsg", do_receive_message, send_byte, false},
    {"wait4", do_wait, nothing, false},
    {"waitid", do_waitid, nothing, false},
    {"futex", do_futex, wake, false},
    {"futex with a limit", do_futex_limited, nothing, false},
    {"flock", do_flock, unlock, false},
    {"F_SETLKW", do_fcntl, unlock_range, false},
    {"semop", do_semop, up, false},
    {"msgrcv", do_msgrcv, msgsnd_one, false},
    {"poll", do_poll, write_byte, false},
    {"poll with a limit", do_poll_limited, nothing, false},
    {"select", do_select, write_byte, false},
    {"epoll_wait", do_epoll, write_byte, false},
    {"nanosleep", do_nanosleep, nothing, false},
    {"clock_nanosleep until", do_sleep_until, nothing, false},
    {"open of a FIFO", do_open, open_writer, false},
    {"sigtimedwait", do_sigtimedwait, nothing, false},
    {"pause", do_pause, nothing, true},
};
static const size_t rows = sizeof table / sizeof *table;

static void prepare(void) {
    CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    unlink("socket"), unlink("fifo");
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (const struct sockaddr *)&name, sizeof name) == 0);
    CHECK(listen(listener, 4) == 0 && mkfifo("fifo", 0600) == 0);
    CHECK(openpty(&manager, &terminal, NULL, NULL, NULL) == 0);
    file = open("lock", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && flock(file, LOCK_EX) == 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(fcntl(file, F_SETLK, &lock) == 0);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    CHECK(semaphores >= 0 && queue >= 0);
    epoll = epoll_create1(0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &(struct epoll_event){.events = EPOLLIN}) == 0);
    *word = 0;
}

static void clear(void) {
    semctl(semaphores, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    int all[] = {ends[0],  ends[1], sockets[0], sockets[1], listener,
                 terminal, manager, file,       epoll};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        close(all[i]);
    }
}

int main(void) {
    return disturb_every_call();
}
