// SPDX-License-Identifier: GPL-2.0-or-later
// More of the table of signal(7): calls that send, of message queues and locks, of events and several messages at once.
#include "restarts.h"

#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#define FULL_PIPE 65536

static const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
static const struct timespec quarter = {0, 250000000};
static int ends[2], full[2], sockets[2], datagrams[2], listener, busy, crowded, caller;
static int file, semaphores, queue, full_queue, counter, watch, timer, signals, epoll;
static mqd_t mqueue, full_mqueue;
static char block[1 << 20];

static void nothing(void) {
}

/* ---- sockets ---- */

static long do_connect(void) {
    return connect(caller, (const struct sockaddr *)&name, sizeof name);
}
static void accept_one(void) {
    CHECK(accept(crowded, NULL, NULL) >= 0);
}
static long do_accept4(void) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return fd < 0 ? fd : 0;
}
static void call_listener(void) {
    struct sockaddr_un other = {.sun_family = AF_UNIX, .sun_path = "other"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(fd, (const struct sockaddr *)&other, sizeof other) == 0);
}
static long do_send(void) {
    return send(sockets[0], block, 100, 0);
}
static long do_sendmsg(void) {
    struct iovec vector = {block, 100};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    return sendmsg(sockets[0], &message, 0);
}
static long do_sendmmsg(void) {
    struct iovec vector = {block, 100};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
    return sendmmsg(sockets[0], &message, 1, 0);
}
static void receive_all(void) {
    while (recv(sockets[1], block, sizeof block, MSG_DONTWAIT) > 0) {
    }
}
static long do_recvfrom(void) {
    char byte;
    return recvfrom(datagrams[0], &byte, 1, 0, NULL, NULL);
}
static long do_recvmmsg(void) {
    char bytes[2];
    struct iovec vectors[2] = {{bytes, 1}, {bytes + 1, 1}};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = vectors, .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = vectors + 1, .msg_iovlen = 1}}};
    return recvmmsg(datagrams[0], messages, 2, MSG_WAITFORONE, NULL);
}
static void send_datagram(void) {
    CHECK(send(datagrams[1], "x", 1, 0) == 1);
}

/* ---- pipes and other descriptors ---- */

static long do_readv(void) {
    struct iovec vector = {block, 10};
    return readv(ends[0], &vector, 1);
}
static void write_byte(void) {
    CHECK(write(ends[1], "x", 1) == 1);
}
static long do_write(void) {
    return write(full[1], block, 1);
}
static long do_writev(void) {
    struct iovec vector = {block, 1};
    return writev(full[1], &vector, 1);
}
static long do_splice(void) {
    return splice(ends[0], NULL, full[1], NULL, 100, 0);
}
static long do_vmsplice(void) {
    struct iovec vector = {block, 1};
    return vmsplice(full[1], &vector, 1, 0);
}
static void drain(void) {
    CHECK(read(full[0], block, FULL_PIPE) > 0);
}
static void write_and_drain(void) {
    drain();
    write_byte();
}
static long do_read_eventfd(void) {
    return read(counter, block, 8);
}
static void count(void) {
    CHECK(eventfd_write(counter, 1) == 0);
}
static long do_read_inotify(void) {
    return read(watch, block, 64) > 0 ? 1 : -1;
}
static void touch(void) {
    CHECK(close(open("touched", O_RDWR | O_CREAT, 0600)) == 0);
}
static long do_read_timerfd(void) {
    struct itimerspec once = {.it_value = quarter};
    timerfd_settime(timer, 0, &once, NULL);
    return read(timer, block, 8);
}
static long do_read_signalfd(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ualarm(250000, 0);
    return read(signals, block, sizeof(struct signalfd_siginfo));
}
static long do_open_to_write(void) {
    int fd = open("fifo", O_WRONLY);
    return fd < 0 ? fd : 0;
}
static void open_reader(void) {
    CHECK(open("fifo", O_RDONLY) >= 0);
}

/* ---- locks, message queues, semaphores ---- */

static long do_ofd_lock(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(open("lock", O_RDWR), F_OFD_SETLKW, &lock);
}
static void unlock(void) {
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    CHECK(fcntl(file, F_OFD_SETLK, &lock) == 0);
}
static long do_msgsnd(void) {
    long message[2] = {1, 2};
    return msgsnd(full_queue, message, 8, 0);
}
static void take_message(void) {
    CHECK(msgrcv(full_queue, block, 8000, 0, 0) > 0);
}
static long do_semtimedop(void) {
    struct sembuf down = {0, -1, 0};
    struct timespec minute = {60, 0};
    return semtimedop(semaphores, &down, 1, &minute);
}
static void up(void) {
    struct sembuf one = {0, 1, 0};
    CHECK(semop(semaphores, &one, 1) == 0);
}
static long do_mq_receive(void) {
    return mq_receive(mqueue, block, 8, NULL);
}
static void mq_send_one(void) {
    CHECK(mq_send(mqueue, "x", 1, 0) == 0);
}
static long do_mq_send(void) {
    return mq_send(full_mqueue, "x", 1, 0);
}
static void mq_take_one(void) {
    CHECK(mq_receive(full_mqueue, block, 8, NULL) == 1);
}

/* ---- events ---- */

static long do_ppoll(void) {
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    return ppoll(&one, 1, NULL, NULL);
}
static long do_pselect(void) {
    sigset_t none;
    fd_set set;
    sigemptyset(&none);
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    return pselect(ends[0] + 1, &set, NULL, NULL, &quarter, &none);
}
static long do_epoll_pwait2(void) {
    struct epoll_event event;
    return syscall(SYS_epoll_pwait2, epoll, &event, 1, &quarter, NULL, 0);
}
static long do_sigsuspend(void) {
    sigset_t none;
    sigemptyset(&none);
    alarm(1); /* its handler ends it for sure */
    return sigsuspend(&none);
}

static const struct row table[] = {
    {"connect", do_connect, accept_one, false},
    {"accept4", do_accept4, call_listener, false},
    {"send", do_send, receive_all, false},
    {"sendmsg", do_sendmsg, receive_all, false},
    {"sendmmsg", do_sendmmsg, receive_all, false},
    {"recvfrom", do_recvfrom, send_datagram, false},
    {"recvmmsg", do_recvmmsg, send_datagram, false},
    {"readv", do_readv, write_byte, false},
    {"write to a full pipe", do_write, drain, false},
    {"writev", do_writev, drain, false},
    {"splice", do_splice, write_and_drain, false},
    {"vmsplice", do_vmsplice, drain, false},
    {"read of an eventfd", do_read_eventfd, count, false},
    {"read of inotify", do_read_inotify, touch, false},
    {"read of a timerfd", do_read_timerfd, nothing, false},
    {"read of a signalfd", do_read_signalfd, nothing, false},
    {"open of a FIFO to write", do_open_to_write, open_reader, false},
    {"F_OFD_SETLKW", do_ofd_lock, unlock, false},
    {"msgsnd", do_msgsnd, take_message, false},
    {"semtimedop", do_semtimedop, up, false},
    {"mq_receive", do_mq_receive, mq_send_one, false},
    {"mq_send", do_mq_send, mq_take_one, false},
    {"ppoll", do_ppoll, write_byte, false},
    {"pselect", do_pselect, nothing, false},
    {"epoll_pwait2", do_epoll_pwait2, nothing, false},
    {"sigsuspend", do_sigsuspend, nothing, true},
};
static const size_t rows = sizeof table / sizeof *table;

static int listening(const char *path, int backlog) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    unlink(path);
    CHECK(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, backlog) == 0);
    return fd;
}

static void prepare_sockets(void) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0);
    while (send(sockets[0], block, sizeof block, MSG_DONTWAIT) > 0) {
    }
    listener = listening("other", 4);
    crowded = listening("socket", 0);
    busy = socket(AF_UNIX, SOCK_STREAM, 0);
    caller = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(busy, (const struct sockaddr *)&name, sizeof name) == 0);
}

static void prepare_queues(void) {
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
    char queue_name[2][32];
    long message[1000] = {1};
    queue = msgget(IPC_PRIVATE, 0600);
    full_queue = msgget(IPC_PRIVATE, 0600);
    while (msgsnd(full_queue, message, 4000, IPC_NOWAIT) == 0) {
    }
    while (msgsnd(full_queue, message, 8, IPC_NOWAIT) == 0) {
    }
    for (int i = 0; i < 2; i++) {
        snprintf(queue_name[i], sizeof *queue_name, "/restarts-%d-%d", getpid(), i);
    }
    mqueue = mq_open(queue_name[0], O_RDWR | O_CREAT, 0600, &attributes);
    full_mqueue = mq_open(queue_name[1], O_RDWR | O_CREAT, 0600, &attributes);
    CHECK(mqueue >= 0 && full_mqueue >= 0 && mq_send(full_mqueue, "x", 1, 0) == 0);
    mq_unlink(queue_name[0]);
    mq_unlink(queue_name[1]);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    CHECK(queue >= 0 && full_queue >= 0 && semaphores >= 0);
}

static void prepare(void) {
    sigset_t alarm_only;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(pipe(ends) == 0 && pipe(full) == 0);
    CHECK(fcntl(full[1], F_SETPIPE_SZ, 4096) == 4096 && write(full[1], block, 4096) == 4096);
    unlink("fifo"), unlink("touched");
    CHECK(mkfifo("fifo", 0600) == 0);
    prepare_sockets();
    prepare_queues();
    file = open("lock", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && fcntl(file, F_OFD_SETLK, &lock) == 0);
    counter = eventfd(0, 0);
    watch = inotify_init();
    CHECK(inotify_add_watch(watch, ".", IN_CREATE) >= 0);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    signals = signalfd(-1, &alarm_only, 0);
    epoll = epoll_create1(0);
}

static void clear(void) {
    int all[] = {ends[0],      ends[1],      full[0],  full[1], sockets[0], sockets[1],
                 datagrams[0], datagrams[1], listener, busy,    crowded,    caller,
                 file,         counter,      watch,    timer,   signals,    epoll};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        close(all[i]);
    }
    mq_close(mqueue);
    mq_close(full_mqueue);
    msgctl(queue, IPC_RMID, NULL);
    msgctl(full_queue, IPC_RMID, NULL);
    semctl(semaphores, 0, IPC_RMID);
}

int main(void) {
    return disturb_every_call();
}
