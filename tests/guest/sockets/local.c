/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix sockets: pairs, messages, descriptors in messages, many messages at once, names. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static int pair[2];

static void pairs(void) {
    char text[16];
    int p[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p) == 0);
    CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC && fcntl(p[1], F_GETFL) & O_NONBLOCK);
    FAILS(EAGAIN, recv(p[0], text, 1, 0));
    CHECK(send(p[1], "stream", 6, 0) == 6 && recv(p[0], text, 3, 0) == 3);
    CHECK(recv(p[0], text + 3, 13, MSG_PEEK) == 3 && read(p[0], text + 3, 13) == 3);
    CHECK(!memcmp(text, "stream", 6) && shutdown(p[1], SHUT_WR) == 0);
    CHECK(recv(p[0], text, 1, 0) == 0);
    FAILS(EPIPE, send(p[1], "x", 1, MSG_NOSIGNAL));
    CHECK(close(p[0]) == 0 && close(p[1]) == 0);
    FAILS(EOPNOTSUPP, socketpair(AF_INET, SOCK_STREAM, 0, p));
    FAILS(EAFNOSUPPORT, socket(99, SOCK_STREAM, 0));
    FAILS(EFAULT, socketpair(AF_UNIX, SOCK_STREAM, 0, WILD));
    FAILS(ENOTSOCK, recv(STDIN_FILENO, text, 1, 0));
}

static void messages(void) {
    char a[4] = {0}, b[8] = {0};
    struct iovec out[2] = {{"head", 4}, {"body!", 5}}, in[2] = {{a, 4}, {b, 8}};
    struct msghdr send = {.msg_iov = out, .msg_iovlen = 2}, got = {.msg_iov = in, .msg_iovlen = 2};
    CHECK(sendmsg(pair[0], &send, 0) == 9 && recvmsg(pair[1], &got, 0) == 9);
    CHECK(!memcmp(a, "head", 4) && !memcmp(b, "body!", 5) && got.msg_flags == 0);
    CHECK(sendmsg(pair[0], &send, 0) == 9);
    got.msg_iovlen = 1;
    CHECK(recvmsg(pair[1], &got, 0) == 4 && got.msg_flags & MSG_TRUNC);
    CHECK(sendmsg(pair[0], &send, 0) == 9 && recvmsg(pair[1], &got, MSG_TRUNC) == 9);
    out[1].iov_base = WILD;
    FAILS(EFAULT, sendmsg(pair[0], &send, 0));
    out[1].iov_base = (void *)-8;
    FAILS(EFAULT, sendmsg(pair[0], &send, 0));
    send.msg_iovlen = 2000;
    FAILS(EMSGSIZE, sendmsg(pair[0], &send, 0));
    send.msg_iovlen = 1;
    send.msg_iov = WILD;
    FAILS(EFAULT, sendmsg(pair[0], &send, 0));
    send.msg_iov = out;
    send.msg_control = WILD;
    send.msg_controllen = 64;
    FAILS(EFAULT, sendmsg(pair[0], &send, 0));
    send.msg_controllen = 0;
    CHECK(sendmsg(pair[0], &send, 0) == 4 && recv(pair[1], b, 8, 0) == 4);
    FAILS(EFAULT, sendmsg(pair[0], WILD, 0));
    FAILS(EFAULT, recvmsg(pair[1], WILD, 0));
}

static void descriptors(void) {
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {0};
    char c = 'c', text[8] = {0};
    int ends[2], got[2] = {-1, -1}, on = 1, seen = 0;
    struct iovec part = {&c, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof ends)};
    struct stat a, b;
    CHECK(pipe(ends) == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof ends);
    memcpy(CMSG_DATA(header), ends, sizeof ends);
    CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK(sendmsg(pair[0], &message, 0) == 1);
    memset(&control, 0, sizeof control);
    message.msg_controllen = sizeof control;
    CHECK(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == 1 && !(message.msg_flags & MSG_CTRUNC));
    for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_RIGHTS) {
            CHECK(header->cmsg_len == CMSG_LEN(sizeof got));
            memcpy(got, CMSG_DATA(header), sizeof got);
            seen |= 1;
        } else if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(header), sizeof who);
            CHECK(who.pid == getpid() && who.uid == geteuid() && who.gid == getegid());
            seen |= 2;
        }
    }
    CHECK(seen == 3 && fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    CHECK(fstat(ends[0], &a) == 0 && fstat(got[0], &b) == 0 && a.st_ino == b.st_ino);
    CHECK(write(got[1], "through", 7) == 7 && read(ends[0], text, 8) == 7 &&
          !strcmp(text, "through"));
    on = 0;
    CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    message.msg_controllen = 0;
    CHECK(sendmsg(pair[0], &message, 0) == 1 && recv(pair[1], text, 8, 0) == 1);
}

static void many_messages(void) {
    enum { COUNT = 5 };
    char out[COUNT][8], in[COUNT][8] = {{0}};
    struct iovec from[COUNT], to[COUNT];
    struct mmsghdr send[COUNT] = {0}, got[COUNT] = {0};
    struct timespec limit = {5, 0};
    for (int i = 0; i < COUNT; i++) {
        snprintf(out[i], sizeof out[i], "%.*s%d", i, "......", i);
        from[i] = (struct iovec){out[i], strlen(out[i])};
        to[i] = (struct iovec){in[i], sizeof in[i]};
        send[i].msg_hdr.msg_iov = &from[i];
        send[i].msg_hdr.msg_iovlen = 1;
        got[i].msg_hdr.msg_iov = &to[i];
        got[i].msg_hdr.msg_iovlen = 1;
    }
    CHECK(sendmmsg(pair[0], send, COUNT, 0) == COUNT && send[2].msg_len == 3);
    CHECK(recvmmsg(pair[1], got, COUNT, MSG_WAITFORONE, &limit) == COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK(got[i].msg_len == strlen(out[i]) && !strcmp(in[i], out[i]));
    }
    FAILS(EAGAIN, recvmmsg(pair[1], got, COUNT, MSG_DONTWAIT, NULL));
    from[2].iov_base = WILD;
    CHECK(sendmmsg(pair[0], send, COUNT, 0) == 2);
    CHECK(recv(pair[1], in[0], 8, 0) == 1 && recv(pair[1], in[0], 8, 0) == 2);
    from[0].iov_base = WILD;
    FAILS(EFAULT, sendmmsg(pair[0], send, COUNT, 0));
    FAILS(EFAULT, sendmmsg(pair[0], WILD, COUNT, 0));
    limit.tv_nsec = -1;
    FAILS(EINVAL, recvmmsg(pair[1], got, COUNT, 0, &limit));
    CHECK(sendmmsg(pair[0], send, 0, 0) == 0);
}

static void names(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"}, back;
    socklen_t size = sizeof back;
    struct ucred who;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(ENOENT, connect(client, (struct sockaddr *)&name, sizeof name));
    CHECK(bind(server, (struct sockaddr *)&name, sizeof name) == 0 && listen(server, 1) == 0);
    FAILS(EADDRINUSE, bind(client, (struct sockaddr *)&name, sizeof name));
    CHECK(connect(client, (struct sockaddr *)&name, sizeof name) == 0);
    int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    CHECK(peer >= 0 && fcntl(peer, F_GETFD) == FD_CLOEXEC);
    CHECK(getsockname(server, (struct sockaddr *)&back, &size) == 0 &&
          !strcmp(back.sun_path, "socket"));
    CHECK(size == offsetof(struct sockaddr_un, sun_path) + 7);
    size = sizeof who;
    CHECK(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == getpid());
    FAILS(EFAULT, getsockname(server, WILD, &size));
    FAILS(EFAULT, bind(socket(AF_UNIX, SOCK_STREAM, 0), WILD, sizeof name));
    CHECK(close(peer) == 0 && close(client) == 0 && close(server) == 0 && unlink("socket") == 0);
    int abstract = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK(bind(abstract, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0); /* autobind */
    size = sizeof back;
    CHECK(getsockname(abstract, (struct sockaddr *)&back, &size) == 0);
    CHECK(size == sizeof(sa_family_t) + 6 && back.sun_path[0] == 0 && close(abstract) == 0);
}

int main(void) {
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    RUN(pairs);
    RUN(messages);
    RUN(descriptors);
    RUN(many_messages);
    RUN(names);
    return 0;
}
