/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP and UDP over the loopback interface, and socket options. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "../check.h"

static struct sockaddr_in loopback(int fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    CHECK(size == sizeof address && address.sin_port != 0);
    return address;
}

static void tcp(void) {
    static char block[1 << 20], back[1 << 20];
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    CHECK(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    struct sockaddr_in address = loopback(server), from;
    socklen_t size = sizeof from;
    CHECK(listen(server, 5) == 0 &&
          connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    int peer = accept(server, (struct sockaddr *)&from, &size);
    CHECK(peer >= 0 && size == sizeof from && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(fcntl(client, F_SETFL, O_NONBLOCK) == 0);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (char)(i * 31 >> 3);
    }
    size_t sent = 0, received = 0;
    while (received < sizeof back) {
        ssize_t n = send(client, block + sent, sizeof block - sent, 0);
        sent += n > 0 ? (size_t)n : 0;
        struct pollfd ready = {peer, POLLIN, 0};
        CHECK(poll(&ready, 1, 10000) == 1);
        n = recv(peer, back + received, sizeof back - received, MSG_DONTWAIT);
        CHECK(n > 0);
        received += (size_t)n;
    }
    CHECK(!memcmp(block, back, sizeof block));
    FAILS(EISCONN, connect(client, (struct sockaddr *)&address, sizeof address));
    struct tcp_info info;
    size = sizeof info;
    CHECK(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
          info.tcpi_state == TCP_ESTABLISHED);
    CHECK(shutdown(client, SHUT_RDWR) == 0 && recv(peer, back, 1, 0) == 0);
    CHECK(close(peer) == 0 && close(client) == 0 && close(server) == 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(ECONNREFUSED, connect(client, (struct sockaddr *)&address, sizeof address));
    FAILS(EINVAL, connect(client, (struct sockaddr *)&address, 3));
    FAILS(EFAULT, connect(client, WILD, sizeof address));
    FAILS(EINVAL, accept(client, NULL, NULL));
    CHECK(close(client) == 0);
}

static void udp(void) {
    char text[16] = {0};
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = loopback(a), mine = loopback(b), from;
    socklen_t size = sizeof from;
    CHECK(sendto(b, "datagram", 8, 0, (struct sockaddr *)&to, sizeof to) == 8);
    CHECK(recvfrom(a, text, sizeof text, 0, (struct sockaddr *)&from, &size) == 8);
    CHECK(!memcmp(text, "datagram", 8) && size == sizeof from && from.sin_port == mine.sin_port);
    CHECK(sendto(b, "", 0, 0, (struct sockaddr *)&to, sizeof to) == 0 && recv(a, text, 1, 0) == 0);
    FAILS(EAGAIN, recv(b, text, 1, 0));
    FAILS(EDESTADDRREQ, send(b, "x", 1, 0));
    CHECK(connect(b, (struct sockaddr *)&to, sizeof to) == 0 && send(b, "x", 1, 0) == 1);
    size = sizeof from;
    CHECK(getpeername(b, (struct sockaddr *)&from, &size) == 0 && from.sin_port == to.sin_port);
    FAILS(ENOTCONN, getpeername(a, (struct sockaddr *)&from, &size));
    FAILS(EFAULT, sendto(b, WILD, 4, 0, NULL, 0));
    FAILS(EFAULT, recvfrom(a, WILD, 4, 0, NULL, NULL));
    CHECK(close(a) == 0 && close(b) == 0);
}

static void options(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), value = 0;
    socklen_t size = sizeof value;
    struct timeval limit = {0, 20000}, limit_back = {0};
    struct linger linger = {1, 3}, linger_back = {0};
    CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0 && value == SOCK_STREAM &&
          size == 4);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0 && value == AF_INET);
    value = 1;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value) == 0);
    value = 0;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size) == 0 && value == 1);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    size = sizeof linger_back;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger_back, &size) == 0 &&
          linger_back.l_linger == 3);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) == 0);
    CHECK(close(fd) == 0);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    loopback(fd);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    size = sizeof limit_back;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit_back, &size) == 0 && size == sizeof limit);
    CHECK(limit_back.tv_sec == 0 && limit_back.tv_usec >= 20000);
    FAILS(EAGAIN, recv(fd, &value, 4, 0));
    FAILS(ENOPROTOOPT, getsockopt(fd, SOL_SOCKET, 9999, &value, &size));
    FAILS(EFAULT, getsockopt(fd, SOL_SOCKET, SO_TYPE, WILD, &size));
    FAILS(EFAULT, getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, WILD));
    FAILS(EFAULT, setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, WILD, 4));
    size = (socklen_t)-1;
    FAILS(EINVAL, getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
    FAILS(EBADF, setsockopt(999, SOL_SOCKET, SO_KEEPALIVE, &value, 4));
    CHECK(close(fd) == 0);
}

static void filters(void) {
    /* Keeps 4 bytes of any datagram: a filter sees the 8 bytes of the UDP header too. */
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 12)};
    struct sock_fprog program = {1, code};
    char text[16];
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), unused = 0;
    struct sockaddr_in to = loopback(a);
    CHECK(setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
    CHECK(sendto(b, "datagram", 8, 0, (struct sockaddr *)&to, sizeof to) == 8);
    CHECK(recv(a, text, sizeof text, 0) == 4);
    CHECK(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0);
    program.filter = WILD;
    FAILS(EFAULT, setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    FAILS(EFAULT, setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, WILD, sizeof program));
    FAILS(EINVAL, setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &program, 3));
    CHECK(close(a) == 0 && close(b) == 0);
}

int main(void) {
    RUN(tcp);
    RUN(udp);
    RUN(options);
    RUN(filters);
    return 0;
}
