/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/self/maps shows the program its own mappings: permissions, names, files, and nothing else. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../check.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

struct line {
    unsigned long start, end, offset, inode;
    char rights[5], name[PATH_MAX];
};

/* Finds the mapping that holds an address. */
static bool find(const void *address, struct line *found) {
    FILE *file = fopen("/proc/self/maps", "r");
    static char text[PATH_MAX + 200];
    unsigned long last = 0;
    bool there = false;
    CHECK(file);
    while (fgets(text, sizeof text, file)) {
        struct line line = {0};
        unsigned major, minor;
        int fields = sscanf(text, "%lx-%lx %4s %lx %x:%x %lu %[^\n]", &line.start, &line.end,
                            line.rights, &line.offset, &major, &minor, &line.inode, line.name);
        CHECK(fields >= 7 && line.start < line.end && line.start >= last);
        last = line.end;
        if (line.start <= (uintptr_t)address && (uintptr_t)address < line.end) {
            *found = line;
            there = true;
        }
    }
    fclose(file);
    return there;
}

static bool shows(const void *address, const char *rights) {
    struct line line;
    return find(address, &line) && !strcmp(line.rights, rights);
}

static void rights(void) {
    static const struct {
        int prot;
        const char *shown;
    } cases[] = {{PROT_NONE, "---p"},     {PROT_READ, "r--p"},
                 {PROT_WRITE, "-w-p"},    {RW, "rw-p"},
                 {PROT_EXEC, "--xp"},     {PROT_READ | PROT_EXEC, "r-xp"},
                 {RW | PROT_EXEC, "rwxp"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *p = mmap(NULL, 3 * PAGE, cases[i].prot, ANON, -1, 0);
        CHECK(shows(p, cases[i].shown) && shows(p + 3 * PAGE - 1, cases[i].shown));
        CHECK(mprotect(p, 3 * PAGE, PROT_NONE) == 0 && shows(p, "---p"));
        CHECK(mprotect(p + PAGE, PAGE, cases[i].prot) == 0);
        CHECK(shows(p, "---p") && shows(p + PAGE, cases[i].shown) && shows(p + 2 * PAGE, "---p"));
        CHECK(munmap(p, 3 * PAGE) == 0);
    }
    void *p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shows(p, "rw-s"));
    CHECK(munmap(p, PAGE) == 0);
    struct line line;
    CHECK(!find(p, &line) && !find(NULL, &line) && !find((void *)-1L, &line));
}

static void neighbours_are_one(void) {
    char *p = mmap(NULL, 4 * PAGE, PROT_NONE, ANON, -1, 0);
    struct line line;
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0 && mprotect(p + 2 * PAGE, PAGE, PROT_READ) == 0);
    CHECK(find(p + PAGE, &line));
    CHECK(line.start == (uintptr_t)p + PAGE && line.end == (uintptr_t)p + 3 * PAGE);
    CHECK(munmap(p, 4 * PAGE) == 0);
}

static int some_data = 1;

static void program(void) {
    struct line line;
    char path[PATH_MAX] = "";
    CHECK(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    CHECK(find((void *)(uintptr_t)program, &line));
    CHECK(!strcmp(line.rights, "r-xp") && !strcmp(line.name, path) && line.inode);
    CHECK(find(&some_data, &line) && !strcmp(line.rights, "rw-p") && !strcmp(line.name, path));
}

static void labels(void) {
    struct line line;
    int local;
    CHECK(find(&local, &line) && !strcmp(line.name, "[stack]") && !strcmp(line.rights, "rw-p"));
    CHECK(getauxval(AT_SYSINFO_EHDR));
    CHECK(find((void *)getauxval(AT_SYSINFO_EHDR), &line));
    CHECK(!strcmp(line.name, "[vdso]") && !strcmp(line.rights, "r-xp"));
    char *heap = sbrk(8 * PAGE);
    CHECK(find(heap + 8 * PAGE - 1, &line));
    CHECK(!strcmp(line.name, "[heap]") && !strcmp(line.rights, "rw-p"));
    CHECK(line.end == (((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE));
    CHECK(sbrk(-8 * (long)PAGE) != (void *)-1L);
}

static void files(void) {
    struct line line;
    struct stat status;
    char here[PATH_MAX], path[PATH_MAX + 16];
    CHECK(getcwd(here, sizeof here));
    snprintf(path, sizeof path, "%s/a file", here);
    int fd = open("a file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(ftruncate(fd, 8 * PAGE) == 0 && fstat(fd, &status) == 0);
    char *p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);
    CHECK(find(p, &line) && !strcmp(line.rights, "r--s") && line.offset == 2 * PAGE);
    CHECK(!strcmp(line.name, path) && line.inode == status.st_ino);
    CHECK(line.start == (uintptr_t)p && line.end == (uintptr_t)p + 4 * PAGE);
    CHECK(mprotect(p + PAGE, PAGE, RW) == 0);
    CHECK(find(p + PAGE, &line) && line.offset == 3 * PAGE && !strcmp(line.rights, "rw-s"));
    CHECK(unlink("a file") == 0);
    strcat(path, " (deleted)");
    CHECK(find(p, &line) && !strcmp(line.name, path));
    CHECK(munmap(p, 4 * PAGE) == 0);
    close(fd);
    fd = memfd_create("shared memory", 0);
    CHECK(ftruncate(fd, PAGE) == 0);
    p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(find(p, &line) && !strcmp(line.name, "/memfd:shared memory (deleted)"));
    CHECK(munmap(p, PAGE) == 0);
    close(fd);
}

/* All that is listed can be used as it says: nothing of another owner is in the list. */
static void readable_lines_can_be_read(void) {
    FILE *file = fopen("/proc/self/maps", "r");
    char text[PATH_MAX + 200];
    int sink[2], lines = 0;
    CHECK(file && pipe(sink) == 0);
    while (fgets(text, sizeof text, file)) {
        unsigned long start, end;
        char how[5], byte;
        CHECK(sscanf(text, "%lx-%lx %4s", &start, &end, how) == 3);
        if (strstr(text, "[vsyscall]") || strstr(text, "[vvar")) {
            continue;
        }
        if (how[0] == 'r') {
            CHECK(write(sink[1], (void *)start, 1) == 1 && read(sink[0], &byte, 1) == 1);
        } else {
            FAILS(EFAULT, write(sink[1], (void *)start, 1));
        }
        lines++;
#ifdef __aarch64__
        CHECK(end <= 1UL << 46);
#endif
    }
    CHECK(lines >= 5);
    fclose(file);
    close(sink[0]), close(sink[1]);
}

int main(void) {
    RUN(rights);
    RUN(neighbours_are_one);
    RUN(program);
    RUN(labels);
    RUN(files);
    RUN(readable_lines_can_be_read);
    return 0;
}
