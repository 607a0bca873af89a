/* SPDX-License-Identifier: GPL-2.0-or-later */
/* open(2) and openat2(2): the flags whose bits differ between CPUs, and how errors are told. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../check.h"

static int openat2_(int dir, const char *path, struct open_how *how, size_t size) {
    return (int)syscall(SYS_openat2, dir, path, how, size);
}

static void make_files(void) {
    CHECK(mkdir("dir", 0755) == 0);
    int fd = open("file", O_CREAT | O_EXCL | O_RDWR, 0640);
    CHECK(fd >= 0);
    CHECK(write(fd, "content", 7) == 7);
    CHECK(close(fd) == 0);
    CHECK(symlink("file", "link") == 0);
    CHECK(symlink("dir", "dirlink") == 0);
    CHECK(symlink("nothing", "dangling") == 0);
    CHECK(symlink("loop", "loop") == 0);
}

static void create_flags(void) {
    struct stat st;
    FAILS(EEXIST, open("file", O_CREAT | O_EXCL | O_RDWR, 0640));
    FAILS(EEXIST, open("dangling", O_CREAT | O_EXCL | O_RDWR, 0640));
    FAILS(ENOENT, open("missing", O_RDONLY));
    FAILS(ENOENT, open("missing/file", O_CREAT | O_RDWR, 0600));
    FAILS(ENOTDIR, open("file/below", O_RDONLY));
    FAILS(EISDIR, open("dir", O_WRONLY));
    FAILS(ELOOP, open("loop", O_RDONLY));
    umask(027);
    int fd = open("masked", O_CREAT | O_WRONLY, 0777);
    CHECK(fd >= 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0750);
    CHECK(close(fd) == 0);
    fd = open("masked", O_WRONLY | O_APPEND);
    CHECK(write(fd, "ab", 2) == 2 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "cd", 2) == 2);
    CHECK(lseek(fd, 0, SEEK_CUR) == 4);
    CHECK(close(fd) == 0);
    fd = open("masked", O_WRONLY | O_TRUNC);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 0);
    CHECK(close(fd) == 0);
    fd = creat("masked", 0600);
    CHECK(fd >= 0 && close(fd) == 0 && unlink("masked") == 0);
    umask(022);
}

static void directory_flag(void) {
    FAILS(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
    FAILS(ENOTDIR, open("link", O_RDONLY | O_DIRECTORY));
    int fd = open("dirlink", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & O_DIRECTORY) == O_DIRECTORY);
    CHECK((fcntl(fd, F_GETFL) & (O_NOFOLLOW | O_DIRECT)) == 0);
    int below = openat(fd, "../file", O_RDONLY | O_NOFOLLOW);
    CHECK(below >= 0 && close(below) == 0);
    CHECK(close(fd) == 0);
}

static void nofollow_flag(void) {
    char text[16];
    FAILS(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
    FAILS(ENOTDIR, open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    int fd = open("file", O_RDONLY | O_NOFOLLOW);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & O_NOFOLLOW) == O_NOFOLLOW);
    CHECK((fcntl(fd, F_GETFL) & (O_DIRECTORY | O_DIRECT)) == 0);
    CHECK(close(fd) == 0);
    fd = open("link", O_PATH | O_NOFOLLOW);
    CHECK(fd >= 0);
    CHECK(readlinkat(fd, "", text, sizeof text) == 4 && !memcmp(text, "file", 4));
    FAILS(EBADF, read(fd, text, 1));
    CHECK(close(fd) == 0);
}

static void direct_flag(void) {
    int fd = open("file", O_RDWR);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & (O_DIRECT | O_ACCMODE)) == O_RDWR);
    if (fcntl(fd, F_SETFL, O_DIRECT) == 0) { /* not every file system has it */
        CHECK((fcntl(fd, F_GETFL) & O_DIRECT) == O_DIRECT);
        CHECK((fcntl(fd, F_GETFL) & (O_DIRECTORY | O_NOFOLLOW)) == 0);
        CHECK(fcntl(fd, F_SETFL, 0) == 0);
    }
    CHECK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK) == 0);
    CHECK((fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK | O_DIRECT)) == (O_APPEND | O_NONBLOCK));
    CHECK(close(fd) == 0);
    int ends[2];
    CHECK(pipe2(ends, O_DIRECT) == 0);
    CHECK((fcntl(ends[1], F_GETFL) & O_DIRECT) == O_DIRECT);
    CHECK(write(ends[1], "ab", 2) == 2 && write(ends[1], "cd", 2) == 2);
    char packet[8];
    CHECK(read(ends[0], packet, sizeof packet) == 2);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void other_flags(void) {
    int fd = open("file", O_RDONLY | O_CLOEXEC);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd >= 0) {
        struct stat st;
        CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && S_ISREG(st.st_mode));
        CHECK((fcntl(fd, F_GETFL) & O_TMPFILE) == O_TMPFILE);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
        CHECK(close(fd) == 0 && unlink("named") == 0);
    } else {
        FAILS(EOPNOTSUPP, open(".", O_TMPFILE | O_RDWR, 0600));
    }
    FAILS(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
    FAILS(EFAULT, open(WILD, O_RDONLY));
    FAILS(EFAULT, open(NULL, O_RDONLY));
    FAILS(EBADF, openat(999, "file", O_RDONLY));
    FAILS(ENOTDIR, openat(STDIN_FILENO, "file", O_RDONLY));
    static char name[8192];
    memset(name, 'x', sizeof name - 1);
    FAILS(ENAMETOOLONG, open(name, O_RDONLY));
    name[300] = 0;
    FAILS(ENAMETOOLONG, open(name, O_RDONLY));
    FAILS(ENOENT, open("", O_RDONLY));
}

static void open_how(void) {
    struct {
        struct open_how how;
        unsigned long more;
    } big = {.how = {.flags = O_RDONLY | O_NOFOLLOW}};
    struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW};
    FAILS(ELOOP, openat2_(AT_FDCWD, "link", &how, sizeof how));
    int fd = openat2_(AT_FDCWD, "file", &how, sizeof how);
    CHECK(fd >= 0 && close(fd) == 0);
    fd = openat2_(AT_FDCWD, "file", &big.how, sizeof big);
    CHECK(fd >= 0 && close(fd) == 0);
    big.more = 1;
    FAILS(E2BIG, openat2_(AT_FDCWD, "file", &big.how, sizeof big));
    FAILS(EINVAL, openat2_(AT_FDCWD, "file", &how, sizeof how - 1));
    FAILS(E2BIG, openat2_(AT_FDCWD, "file", &how, 1 << 20));
    FAILS(EFAULT, openat2_(AT_FDCWD, "file", WILD, sizeof how));
    how.flags = O_RDONLY | O_DIRECTORY;
    FAILS(ENOTDIR, openat2_(AT_FDCWD, "file", &how, sizeof how));
    how.flags = O_RDONLY | (1ull << 40);
    FAILS(EINVAL, openat2_(AT_FDCWD, "file", &how, sizeof how));
    how.flags = O_RDONLY;
    how.mode = 0600;
    FAILS(EINVAL, openat2_(AT_FDCWD, "file", &how, sizeof how));
    how.mode = 0;
    how.resolve = RESOLVE_NO_SYMLINKS;
    FAILS(ELOOP, openat2_(AT_FDCWD, "link", &how, sizeof how));
    how.resolve = RESOLVE_BENEATH;
    FAILS(EXDEV, openat2_(AT_FDCWD, "../x", &how, sizeof how));
    FAILS(EXDEV, openat2_(AT_FDCWD, "/etc/passwd", &how, sizeof how));
    how.resolve = RESOLVE_IN_ROOT;
    fd = openat2_(AT_FDCWD, "/file", &how, sizeof how);
    CHECK(fd >= 0 && close(fd) == 0);
    how.resolve = RESOLVE_NO_MAGICLINKS;
    FAILS(ELOOP, openat2_(AT_FDCWD, "/proc/self/exe", &how, sizeof how));
    how.resolve = 1 << 20;
    FAILS(EINVAL, openat2_(AT_FDCWD, "file", &how, sizeof how));
}

int main(void) {
    make_files();
    RUN(create_flags);
    RUN(directory_flag);
    RUN(nofollow_flag);
    RUN(direct_flag);
    RUN(other_flags);
    RUN(open_how);
    return 0;
}
