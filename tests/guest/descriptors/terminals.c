/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioctl(2): a terminal of our own, and requests that files, pipes and sockets answer. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <linux/fs.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "../check.h"

static void terminal(void) {
    int master, slave, number = -1, waiting = -1;
    struct winsize size = {24, 81, 3, 4}, back = {0};
    struct termios raw, now;
    char text[32] = {0}, name[64];
    CHECK(openpty(&master, &slave, NULL, NULL, &size) == 0);
    CHECK(isatty(slave) == 1 && ioctl(slave, TIOCGWINSZ, &back) == 0);
    CHECK(back.ws_row == 24 && back.ws_col == 81 && back.ws_xpixel == 3 && back.ws_ypixel == 4);
    size.ws_row = 50;
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0 && ioctl(slave, TIOCGWINSZ, &back) == 0);
    CHECK(back.ws_row == 50);
    CHECK(ioctl(master, TIOCGPTN, &number) == 0 && number >= 0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    CHECK(!strcmp(ptsname(master), name));
    CHECK(tcgetattr(slave, &raw) == 0 && raw.c_lflag & ICANON && raw.c_cc[VINTR] == 3);
    CHECK(cfgetospeed(&raw) == B38400);
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 2;
    CHECK(cfsetspeed(&raw, B9600) == 0 && tcsetattr(slave, TCSANOW, &raw) == 0);
    CHECK(tcgetattr(slave, &now) == 0 && !(now.c_lflag & (ICANON | ECHO)) && now.c_cc[VMIN] == 2);
    CHECK(cfgetispeed(&now) == B9600);
    CHECK(write(master, "hello", 5) == 5 && read(slave, text, sizeof text) == 5);
    CHECK(!strcmp(text, "hello") && write(slave, "x\n", 2) == 2);
    struct pollfd ready = {master, POLLIN, 0}; /* the kernel passes output on from a worker */
    CHECK(poll(&ready, 1, 10000) == 1);
    CHECK(ioctl(master, FIONREAD, &waiting) == 0 && waiting == 2);
    CHECK(tcflush(slave, TCIOFLUSH) == 0 && tcdrain(slave) == 0);
    FAILS(EFAULT, ioctl(slave, TIOCGWINSZ, WILD));
    FAILS(EFAULT, ioctl(slave, TCGETS, NULL));
    unsigned locked[9] = {
        [3] = ECHO}; /* the kernel's struct termios, of which c_lflag is the fourth */
    if (ioctl(slave, TIOCSLCKTRMIOS, locked) == 0) { /* needs CAP_SYS_ADMIN */
        CHECK(ioctl(slave, TIOCGLCKTRMIOS, locked) == 0 && locked[3] == ECHO);
        CHECK(tcgetattr(slave, &now) == 0);
        now.c_lflag ^= ECHO | ISIG;
        CHECK(tcsetattr(slave, TCSANOW, &now) == 0 && tcgetattr(slave, &raw) == 0);
        CHECK((now.c_lflag ^ raw.c_lflag) == ECHO);
    }
    CHECK(close(master) == 0);
    CHECK(read(slave, text, 1) == 0 && close(slave) == 0);
}

static void plain_files(void) {
    int value = -1, on = 1, fd = open("file", O_CREAT | O_RDWR, 0600), ends[2];
    struct termios termios;
    CHECK(fd >= 0 && write(fd, "12345", 5) == 5 && lseek(fd, 2, SEEK_SET) == 2);
    CHECK(ioctl(fd, FIONREAD, &value) == 0 && value == 3);
    FAILS(ENOTTY, tcgetattr(fd, &termios));
    FAILS(ENOTTY, ioctl(fd, TIOCGWINSZ, &termios));
    CHECK(isatty(fd) == 0);
    FAILS(ENOTTY, ioctl(fd, 0x7f7f7f7f, &value));
    FAILS(EBADF, ioctl(999, 0x7f7f7f7f, &value));
    FAILS(EBADF, ioctl(999, FIONREAD, &value));
    CHECK(ioctl(fd, FIOCLEX) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(ioctl(fd, FIONCLEX) == 0 && fcntl(fd, F_GETFD) == 0);
    CHECK(ioctl(fd, FIGETBSZ, &value) == 0 && value >= 512);
    FAILS(EFAULT, ioctl(fd, FIGETBSZ, WILD));
    CHECK(pipe(ends) == 0 && ioctl(ends[0], FIONBIO, &on) == 0);
    CHECK(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    CHECK(write(ends[1], "abc", 3) == 3 && ioctl(ends[0], FIONREAD, &value) == 0 && value == 3);
    FAILS(EFAULT, ioctl(ends[0], FIONREAD, WILD));
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0 && close(fd) == 0);
}

static void interfaces(void) {
    struct ifreq request = {0}, list[16];
    int found = 0, fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0);
    strcpy(request.ifr_name, "lo");
    CHECK(ioctl(fd, SIOCGIFINDEX, &request) == 0 && request.ifr_ifindex == 1);
    CHECK(ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_LOOPBACK);
    CHECK(ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0);
    strcpy(request.ifr_name, "no-such");
    FAILS(ENODEV, ioctl(fd, SIOCGIFINDEX, &request));
    struct ifconf conf = {.ifc_len = sizeof list, .ifc_req = list};
    CHECK(ioctl(fd, SIOCGIFCONF, &conf) == 0 && conf.ifc_len % (int)sizeof *list == 0);
    CHECK(conf.ifc_req == list);
    for (int i = 0; i < conf.ifc_len / (int)sizeof *list; i++) {
        found += !strcmp(list[i].ifr_name, "lo");
    }
    CHECK(found == (conf.ifc_len > 0));
    conf.ifc_len = sizeof list;
    if (found) {
        conf.ifc_buf = WILD;
        FAILS(EFAULT, ioctl(fd, SIOCGIFCONF, &conf));
    }
    FAILS(EFAULT, ioctl(fd, SIOCGIFCONF, WILD));
    CHECK(close(fd) == 0);
}

int main(void) {
    RUN(terminal);
    RUN(plain_files);
    RUN(interfaces);
    return 0;
}
