/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directory entries: links, renames, directories, getdents64(2), extended attributes, the current directory. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../check.h"

static void put(const char *name, const char *text) {
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    ssize_t size = (ssize_t)strlen(text);
    CHECK(fd >= 0 && write(fd, text, (size_t)size) == size && close(fd) == 0);
}

static int has(const char *name, const char *text) {
    char buffer[64] = "";
    int fd = open(name, O_RDONLY);
    return fd >= 0 && read(fd, buffer, sizeof buffer - 1) >= 0 && close(fd) == 0 &&
           !strcmp(buffer, text);
}

static void links(void) {
    char text[PATH_MAX];
    struct stat st;
    put("a", "A");
    CHECK(link("a", "b") == 0 && stat("b", &st) == 0 && st.st_nlink == 2);
    CHECK(symlink("/no/such/target", "s") == 0);
    memset(text, '#', sizeof text);
    CHECK(readlink("s", text, sizeof text) == 15 && !memcmp(text, "/no/such/target#", 16));
    CHECK(readlink("s", text, 3) == 3);
    FAILS(EINVAL, readlink("a", text, sizeof text));
    FAILS(EINVAL, syscall(SYS_readlinkat, AT_FDCWD, "s", text, 0));
    FAILS(EINVAL, syscall(SYS_readlinkat, AT_FDCWD, "s", text, -1));
    FAILS(EFAULT, syscall(SYS_readlinkat, AT_FDCWD, "s", WILD, 10));
    CHECK(linkat(AT_FDCWD, "s", AT_FDCWD, "t", 0) == 0 && lstat("t", &st) == 0 &&
          S_ISLNK(st.st_mode));
    FAILS(ENOENT, linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
    FAILS(EEXIST, symlink("x", "s"));
    CHECK(unlink("b") == 0 && unlink("s") == 0 && unlink("t") == 0);
    FAILS(ENOENT, unlink("b"));
    CHECK(mknod("fifo", S_IFIFO | 0600, 0) == 0 && stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
    CHECK(unlink("fifo") == 0);
}

static void renames(void) {
    put("a", "A");
    put("b", "B");
    FAILS(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0 && has("a", "B") &&
          has("b", "A"));
    CHECK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) == 0 && has("c", "B"));
    CHECK(rename("b", "c") == 0 && has("c", "A"));
    FAILS(EINVAL, renameat2(AT_FDCWD, "c", AT_FDCWD, "d", RENAME_EXCHANGE | RENAME_NOREPLACE));
    FAILS(ENOENT, rename("missing", "d"));
    CHECK(mkdir("dir", 0700) == 0);
    FAILS(EISDIR, rename("c", "dir"));
    FAILS(ENOTDIR, rename("dir", "c"));
    FAILS(EINVAL, rename("dir", "dir/below"));
    int fd = open("dir", O_DIRECTORY | O_PATH);
    CHECK(renameat(AT_FDCWD, "c", fd, "c") == 0 && has("dir/c", "A"));
    FAILS(ENOTEMPTY, rmdir("dir"));
    FAILS(EISDIR, unlink("dir"));
    CHECK(unlinkat(fd, "c", 0) == 0 && close(fd) == 0);
    CHECK(unlinkat(AT_FDCWD, "dir", AT_REMOVEDIR) == 0);
}

static void directories(void) {
    enum { FILES = 300 };
    char seen[FILES] = {0}, name[32];
    CHECK(mkdir("many", 0755) == 0);
    FAILS(EEXIST, mkdir("many", 0755));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "many/%d", i);
        put(name, "");
    }
    int fd = open("many", O_RDONLY | O_DIRECTORY), dots = 0;
    static char buffer[1000];
    long size;
    while ((size = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < size;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            if (entry->d_name[0] == '.') {
                dots++;
            } else {
                int number = atoi(entry->d_name);
                CHECK(number >= 0 && number < FILES && !seen[number] && entry->d_ino);
                CHECK(entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
                seen[number] = 1;
            }
            at += entry->d_reclen;
        }
    }
    CHECK(size == 0 && dots == 2 && memchr(seen, 0, FILES) == NULL);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    FAILS(EINVAL, syscall(SYS_getdents64, fd, buffer, 1));
    FAILS(EFAULT, syscall(SYS_getdents64, fd, WILD, sizeof buffer));
    CHECK(close(fd) == 0);
    fd = open("many/1", O_RDONLY);
    FAILS(ENOTDIR, syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    CHECK(close(fd) == 0);
    DIR *dir = opendir("many");
    int count = 0;
    CHECK(dir != NULL);
    while (readdir(dir)) {
        count++;
    }
    CHECK(count == FILES + 2 && closedir(dir) == 0);
}

static void current_directory(void) {
    char before[PATH_MAX], inside[PATH_MAX], expected[PATH_MAX + 8];
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK(chdir("many") == 0 && getcwd(inside, sizeof inside) != NULL);
    snprintf(expected, sizeof expected, "%s/many", before);
    CHECK(!strcmp(inside, expected));
    FAILS(ERANGE, syscall(SYS_getcwd, inside, 2));
    FAILS(EFAULT, syscall(SYS_getcwd, WILD, PATH_MAX));
    int fd = open("..", O_PATH);
    CHECK(fchdir(fd) == 0 && close(fd) == 0);
    FAILS(ENOENT, chdir("missing"));
    put("plain", "");
    FAILS(ENOTDIR, chdir("plain"));
}

static void attributes(void) {
    char value[64], list[256];
    put("x", "");
    errno = 0;
    if (setxattr("x", "user.one", "1", 1, XATTR_CREATE)) {
        if (errno != EOPNOTSUPP) {
            perror("setxattr");
            exit(1);
        }
        puts("skipped: this file system has no user attributes");
        return;
    }
    FAILS(EEXIST, setxattr("x", "user.one", "1", 1, XATTR_CREATE));
    FAILS(ENODATA, setxattr("x", "user.two", "2", 1, XATTR_REPLACE));
    CHECK(setxattr("x", "user.two", "twotwo", 6, 0) == 0);
    CHECK(getxattr("x", "user.two", value, sizeof value) == 6 && !memcmp(value, "twotwo", 6));
    CHECK(getxattr("x", "user.two", NULL, 0) == 6);
    FAILS(ERANGE, getxattr("x", "user.two", value, 3));
    FAILS(ENODATA, getxattr("x", "user.none", value, sizeof value));
    CHECK(listxattr("x", list, sizeof list) >= 18);
    int fd = open("x", O_RDONLY);
    CHECK(fgetxattr(fd, "user.one", value, sizeof value) == 1 && *value == '1');
    CHECK(fremovexattr(fd, "user.one") == 0 && close(fd) == 0);
    FAILS(ENODATA, lgetxattr("x", "user.one", value, sizeof value));
    FAILS(EFAULT, setxattr("x", "user.three", WILD, 5, 0));
    FAILS(EFAULT, setxattr("x", WILD, "x", 1, 0));
}

static void notifications(void) {
    char buffer[512];
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(fd >= 0);
    int watch = inotify_add_watch(fd, "many", IN_CREATE | IN_DELETE);
    CHECK(watch >= 0);
    FAILS(EAGAIN, read(fd, buffer, sizeof buffer));
    put("many/new", "");
    ssize_t size = read(fd, buffer, sizeof buffer);
    struct inotify_event *event = (struct inotify_event *)buffer;
    CHECK(size >= (ssize_t)sizeof *event && event->wd == watch && event->mask == IN_CREATE);
    CHECK(!strcmp(event->name, "new"));
    CHECK(inotify_rm_watch(fd, watch) == 0 && close(fd) == 0);
}

int main(void) {
    RUN(links);
    RUN(renames);
    RUN(directories);
    RUN(current_directory);
    RUN(attributes);
    RUN(notifications);
    return 0;
}
