/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stat(2), fstatat, statx(2), statfs(2), access(2), chmod(2), utimensat(2): one file seen from all sides. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../check.h"

static void make_files(void) {
    int fd = open("file", O_CREAT | O_RDWR, 0640);
    static char block[10000];
    CHECK(fd >= 0 && write(fd, block, sizeof block) == sizeof block && close(fd) == 0);
    CHECK(link("file", "second") == 0);
    CHECK(symlink("file", "link") == 0);
    CHECK(chmod("file", 04751) == 0);
}

static void same(const struct stat *a, const struct stat *b) {
    CHECK(a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode);
    CHECK(a->st_nlink == b->st_nlink && a->st_uid == b->st_uid && a->st_gid == b->st_gid);
    CHECK(a->st_rdev == b->st_rdev && a->st_size == b->st_size && a->st_blksize == b->st_blksize);
    CHECK(a->st_blocks == b->st_blocks && a->st_mtim.tv_sec == b->st_mtim.tv_sec);
    CHECK(a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec);
}

static void stat_family(void) {
    struct stat by_path, by_fd, by_at, by_link;
    int fd = open("file", O_RDONLY);
    CHECK(stat("file", &by_path) == 0 && fstat(fd, &by_fd) == 0);
    same(&by_path, &by_fd);
    CHECK(fstatat(fd, "", &by_at, AT_EMPTY_PATH) == 0);
    same(&by_path, &by_at);
    CHECK(stat("link", &by_link) == 0);
    same(&by_path, &by_link);
    CHECK(by_path.st_size == 10000 && by_path.st_nlink == 2);
    CHECK(by_path.st_mode == (S_IFREG | 04751));
    CHECK(by_path.st_uid == geteuid() && by_path.st_blksize > 0 && by_path.st_blocks > 0);
    CHECK(lstat("link", &by_link) == 0 && S_ISLNK(by_link.st_mode) && by_link.st_size == 4);
    CHECK(fstatat(AT_FDCWD, "link", &by_link, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISLNK(by_link.st_mode));
    CHECK(close(fd) == 0);
    CHECK(stat("/dev/null", &by_path) == 0 && S_ISCHR(by_path.st_mode));
    CHECK(major(by_path.st_rdev) == 1 && minor(by_path.st_rdev) == 3);
    FAILS(ENOENT, stat("missing", &by_path));
    FAILS(EBADF, fstat(fd, &by_path));
    FAILS(EFAULT, syscall(SYS_newfstatat, AT_FDCWD, "file", WILD, 0));
    FAILS(EFAULT, syscall(SYS_newfstatat, AT_FDCWD, WILD, &by_path, 0));
    FAILS(EINVAL, syscall(SYS_newfstatat, AT_FDCWD, "file", &by_path, 1));
}

static void statx_agrees(void) {
    struct stat st;
    struct statx sx;
    CHECK(stat("file", &st) == 0);
    CHECK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &sx) == 0);
    CHECK((sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    CHECK(sx.stx_mode == st.st_mode && sx.stx_nlink == st.st_nlink && sx.stx_uid == st.st_uid);
    CHECK(sx.stx_gid == st.st_gid && sx.stx_ino == st.st_ino &&
          sx.stx_size == (uint64_t)st.st_size);
    CHECK(sx.stx_blocks == (uint64_t)st.st_blocks && sx.stx_blksize == (uint32_t)st.st_blksize);
    CHECK(sx.stx_mtime.tv_sec == st.st_mtim.tv_sec && sx.stx_mtime.tv_nsec == st.st_mtim.tv_nsec);
    CHECK(sx.stx_dev_major == major(st.st_dev) && sx.stx_dev_minor == minor(st.st_dev));
    CHECK(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) == 0);
    CHECK(S_ISLNK(sx.stx_mode));
    FAILS(EINVAL, statx(AT_FDCWD, "file", 0, STATX__RESERVED, &sx));
    FAILS(EFAULT, syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_TYPE, WILD));
}

static void file_systems(void) {
    struct statfs a, b;
    int fd = open("file", O_RDONLY);
    CHECK(statfs("file", &a) == 0 && fstatfs(fd, &b) == 0);
    CHECK(a.f_type == b.f_type && a.f_bsize == b.f_bsize && a.f_blocks == b.f_blocks);
    CHECK(a.f_namelen == b.f_namelen && a.f_namelen >= 64 && a.f_frsize == b.f_frsize);
    CHECK(statfs("/proc/self", &a) == 0 && a.f_type == 0x9fa0);
    CHECK(close(fd) == 0);
    FAILS(ENOENT, statfs("missing", &a));
    FAILS(EFAULT, statfs("file", WILD));
}

static void modes(void) {
    struct stat st;
    int fd = open("file", O_RDONLY);
    CHECK(access("file", R_OK) == 0 && access("file", F_OK) == 0);
    FAILS(ENOENT, access("missing", F_OK));
    FAILS(EINVAL, access("file", 8));
    CHECK(faccessat(AT_FDCWD, "file", W_OK, AT_EACCESS) == 0);
    CHECK(fchmod(fd, 0444) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0444);
    CHECK(fchmodat(AT_FDCWD, "link", 0600, 0) == 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600);
    FAILS(ENOENT, chmod("missing", 0600));
    CHECK(chown("file", (uid_t)-1, (gid_t)-1) == 0);
    CHECK(fchown(fd, geteuid(), getegid()) == 0);
    CHECK(lchown("link", geteuid(), getegid()) == 0);
    CHECK(close(fd) == 0);
}

static void times(void) {
    struct stat st;
    struct timespec ts[2] = {{1000000000, 123456789}, {-1, 999999999}};
    CHECK(utimensat(AT_FDCWD, "file", ts, 0) == 0 && stat("file", &st) == 0);
    CHECK(st.st_atim.tv_sec == 1000000000 && st.st_atim.tv_nsec == 123456789);
    CHECK(st.st_mtim.tv_sec == -1 && st.st_mtim.tv_nsec == 999999999);
    ts[0].tv_nsec = UTIME_OMIT;
    ts[1].tv_nsec = UTIME_NOW;
    CHECK(utimensat(AT_FDCWD, "link", ts, 0) == 0 && stat("file", &st) == 0);
    CHECK(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec > 1000000000);
    ts[0] = (struct timespec){5, 6};
    ts[1] = (struct timespec){7, 8};
    CHECK(utimensat(AT_FDCWD, "link", ts, AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(lstat("link", &st) == 0 && st.st_atim.tv_sec == 5 && st.st_mtim.tv_nsec == 8);
    int fd = open("file", O_RDONLY);
    CHECK(futimens(fd, ts) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 7);
    CHECK(futimens(fd, NULL) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 7);
    CHECK(close(fd) == 0);
    ts[0].tv_nsec = 2000000000;
    FAILS(EINVAL, utimensat(AT_FDCWD, "file", ts, 0));
    FAILS(EFAULT, utimensat(AT_FDCWD, "file", WILD, 0));
}

int main(void) {
    make_files();
    RUN(stat_family);
    RUN(statx_agrees);
    RUN(file_systems);
    RUN(modes);
    RUN(times);
    return 0;
}
