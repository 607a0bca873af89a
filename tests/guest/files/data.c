/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file's content: every way to read, write, copy and size it, and wild pointers in each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../check.h"

static int fresh(const char *name) {
    int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0644);
    CHECK(fd >= 0);
    return fd;
}

static void positions(void) {
    char text[32] = {0};
    int fd = fresh("p");
    CHECK(write(fd, "0123456789", 10) == 10 && lseek(fd, 2, SEEK_SET) == 2);
    CHECK(read(fd, text, 3) == 3 && !memcmp(text, "234", 3));
    CHECK(lseek(fd, -1, SEEK_END) == 9 && lseek(fd, 0, SEEK_CUR) == 9);
    CHECK(pread(fd, text, 4, 6) == 4 && !memcmp(text, "6789", 4));
    CHECK(pwrite(fd, "XY", 2, 20) == 2 && lseek(fd, 0, SEEK_CUR) == 9);
    CHECK(pread(fd, text, sizeof text, 9) == 13 && text[0] == '9' && !text[5] && text[11] == 'X');
    CHECK(read(fd, text, 0) == 0 && pread(fd, text, 5, 100) == 0);
    FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
    FAILS(EINVAL, lseek(fd, 0, 99));
    FAILS(EINVAL, pread(fd, text, 1, -1));
    CHECK(pwrite(fd, "!", 1, 5000000000) == 1 && lseek(fd, 0, SEEK_END) == 5000000001);
    CHECK(lseek(fd, 100, SEEK_DATA) >= 100);
    FAILS(ENXIO, lseek(fd, 6000000000, SEEK_DATA));
    CHECK(close(fd) == 0);
    FAILS(EBADF, read(fd, text, 1));
    int ends[2];
    CHECK(pipe(ends) == 0);
    FAILS(ESPIPE, lseek(ends[0], 0, SEEK_CUR));
}

static void vectors(void) {
    char a[4], b[8] = {0}, c[4];
    int fd = fresh("v");
    struct iovec out[3] = {{"one ", 4}, {NULL, 0}, {"twothree", 8}};
    CHECK(writev(fd, out, 3) == 12 && lseek(fd, 0, SEEK_SET) == 0);
    struct iovec in[3] = {{a, 4}, {b, 3}, {c, 4}};
    CHECK(readv(fd, in, 3) == 11 && !memcmp(a, "one ", 4) && !memcmp(b, "two", 3));
    CHECK(!memcmp(c, "thre", 4));
    CHECK(pwritev(fd, out, 1, 100) == 4 && preadv(fd, in, 1, 100) == 4 && !memcmp(a, "one ", 4));
    CHECK(pwritev2(fd, out, 1, -1, RWF_APPEND) == 4 && lseek(fd, 0, SEEK_END) == 108);
    CHECK(preadv2(fd, in, 2, 0, 0) == 7 && preadv2(fd, in, 2, 1000, 0) == 0);
    FAILS(EOPNOTSUPP, preadv2(fd, in, 1, 0, 0x4000));
    CHECK(writev(fd, out, 0) == 0 && readv(fd, NULL, 0) == 0);
    FAILS(EINVAL, writev(fd, out, -1));
    FAILS(EINVAL, writev(fd, out, 1025));
    in[0].iov_len = (size_t)-1;
    FAILS(EINVAL, readv(fd, in, 2));
    CHECK(close(fd) == 0);
}

static void wild_pointers(void) {
    char good[4] = "good";
    int fd = fresh("w");
    CHECK(write(fd, "content", 7) == 7 && lseek(fd, 0, SEEK_SET) == 0);
    FAILS(EFAULT, read(fd, WILD, 4));
    FAILS(EFAULT, write(fd, WILD, 4));
    FAILS(EFAULT, write(fd, NULL, 4));
    FAILS(EFAULT, pread(fd, (char *)-1, 4, 0));
    FAILS(EFAULT, read(fd, (void *)0x1000, 4));
    FAILS(EFAULT, readv(fd, WILD, 1));
    struct iovec mixed[2] = {{good, 4}, {WILD, 4}};
    FAILS(EFAULT, writev(fd, mixed, 2));
    FAILS(EFAULT, pwritev(fd, mixed, 2, 0));
    FAILS(EFAULT, preadv2(fd, mixed, 2, 0, 0));
    mixed[1].iov_base = (void *)-16;
    FAILS(EFAULT, readv(fd, mixed, 2));
    mixed[0].iov_base = (void *)0x1000;
    FAILS(EFAULT, readv(fd, mixed, 1));
    /* A page without rights, and a buffer that runs into one. */
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    FAILS(EFAULT, read(fd, pages + 4096, 4));
    FAILS(EFAULT, write(fd, pages + 4096, 4));
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "abcdefgh", 8) == 8);
    FAILS(EFAULT, read(ends[0], pages + 4096, 8));
    FAILS(EFAULT, pipe(WILD));
    CHECK(mprotect(pages, 4096, PROT_READ) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    FAILS(EFAULT, read(fd, pages, 4));
    CHECK(munmap(pages, 8192) == 0 && close(fd) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void sizes(void) {
    struct stat st;
    int fd = fresh("s");
    CHECK(write(fd, "0123456789", 10) == 10 && ftruncate(fd, 5) == 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 5);
    CHECK(truncate("s", 100) == 0 && fstat(fd, &st) == 0 && st.st_size == 100);
    FAILS(EINVAL, ftruncate(fd, -1));
    FAILS(ENOENT, truncate("missing", 0));
    if (fallocate(fd, 0, 0, 8192) == 0) {
        CHECK(fstat(fd, &st) == 0 && st.st_size == 8192);
        CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 4096) == 0);
        CHECK(fstat(fd, &st) == 0 && st.st_size == 8192);
    }
    FAILS(EINVAL, fallocate(fd, 0, 0, 0));
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    CHECK(posix_fadvise(fd, 0, 0, 99) == EINVAL);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
    CHECK(close(fd) == 0);
    fd = open("s", O_RDONLY);
    FAILS(EINVAL, ftruncate(fd, 0));
    CHECK(close(fd) == 0);
}

static void copies(void) {
    char text[64] = {0};
    off_t from = 2, to = 0;
    int ends[2], in = fresh("from"), out = fresh("to");
    CHECK(write(in, "0123456789", 10) == 10);
    CHECK(sendfile(out, in, &from, 4) == 4 && from == 6);
    CHECK(pread(out, text, 10, 0) == 4 && !memcmp(text, "2345", 4));
    CHECK(lseek(in, 8, SEEK_SET) == 8 && sendfile(out, in, NULL, 10) == 2);
    FAILS(EFAULT, sendfile(out, in, WILD, 4));
    from = 0;
    if (copy_file_range(in, &from, out, &to, 3, 0) == 3) {
        CHECK(from == 3 && to == 3 && pread(out, text, 3, 0) == 3 && !memcmp(text, "012", 3));
    } else {
        FAILS(EXDEV, copy_file_range(in, &from, out, &to, 3, 0)); /* between old file systems */
    }
    CHECK(pipe(ends) == 0);
    from = 1;
    CHECK(splice(in, &from, ends[1], NULL, 5, 0) == 5 && from == 6);
    CHECK(read(ends[0], text, sizeof text) == 5 && !memcmp(text, "12345", 5));
    struct iovec vector[2] = {{"ab", 2}, {"cde", 3}};
    CHECK(vmsplice(ends[1], vector, 2, 0) == 5);
    int second[2];
    CHECK(pipe(second) == 0 && tee(ends[0], second[1], 100, 0) == 5);
    CHECK(read(ends[0], text, 64) == 5 && read(second[0], text + 10, 54) == 5);
    CHECK(!memcmp(text, "abcde", 5) && !memcmp(text + 10, "abcde", 5));
    vector[1].iov_base = WILD;
    FAILS(EFAULT, vmsplice(ends[1], vector + 1, 1, 0));
    FAILS(ESPIPE, splice(ends[0], &from, out, NULL, 1, 0));
    CHECK(close(in) == 0 && close(out) == 0);
}

int main(void) {
    RUN(positions);
    RUN(vectors);
    RUN(wild_pointers);
    RUN(sizes);
    RUN(copies);
    return 0;
}
