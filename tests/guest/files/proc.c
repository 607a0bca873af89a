/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process's own files under /proc: they tell of this program, whichever way they are reached. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../check.h"

static int argument_count;
static char **arguments;
static char program[PATH_MAX];

static char *slurp(const char *path, size_t *size) {
    static char text[1 << 18];
    int fd = open(path, O_RDONLY);
    ssize_t part;
    *size = 0;
    CHECK(fd >= 0);
    while ((part = read(fd, text + *size, sizeof text - 1 - *size)) > 0) {
        *size += (size_t)part;
    }
    CHECK(part == 0 && close(fd) == 0);
    text[*size] = 0;
    return text;
}

static void is_this_program(const char *link) {
    char target[PATH_MAX] = "";
    struct stat a, b, c;
    CHECK(readlink(link, target, sizeof target - 1) > 0 && !strcmp(target, program));
    CHECK(stat(link, &a) == 0 && stat(program, &b) == 0);
    CHECK(a.st_ino == b.st_ino && a.st_size == b.st_size && access(link, X_OK) == 0);
    CHECK(lstat(link, &a) == 0 && S_ISLNK(a.st_mode));
    int fd = open(link, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(fstat(fd, &c) == 0 && c.st_ino == b.st_ino && c.st_dev == b.st_dev && close(fd) == 0);
    fd = open(link, O_PATH | O_NOFOLLOW);
    CHECK(fd >= 0 && fstat(fd, &c) == 0 && S_ISLNK(c.st_mode) && close(fd) == 0);
}

static void *in_thread(void *unused) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/exe", gettid());
    is_this_program(path);
    snprintf(path, sizeof path, "/proc/%d/exe", gettid());
    is_this_program(path);
    is_this_program("/proc/thread-self/exe");
    return unused;
}

static void executable(void) {
    char path[64], target[8];
    pthread_t thread;
    is_this_program("/proc/self/exe");
    is_this_program("/proc/thread-self/exe");
    is_this_program("//proc/./self//exe");
    is_this_program("/proc/self/../self/exe");
    snprintf(path, sizeof path, "/proc/%d/exe", getpid());
    is_this_program(path);
    snprintf(path, sizeof path, "/proc/%d/task/%d/exe", getpid(), gettid());
    is_this_program(path);
    CHECK(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(readlink("/proc/self/exe", target, 5) == 5 && !memcmp(target, program, 5));
    FAILS(EFAULT, syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", WILD, 5));
    FAILS(EINVAL, syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", target, 0));
    FAILS(ENOTDIR, open("/proc/self/exe/", O_RDONLY));
    FAILS(ENOTDIR, open("/proc/self/exe", O_RDONLY | O_DIRECTORY));
    FAILS(ETXTBSY, open("/proc/self/exe", O_WRONLY));
    FAILS(EEXIST, open("/proc/self/exe", O_CREAT | O_EXCL | O_RDONLY, 0600));
    CHECK(chdir("/proc/self") == 0);
    is_this_program("exe");
    is_this_program("./exe");
    CHECK(chdir("/") == 0);
    int dir = open("/proc/self", O_PATH);
    CHECK(readlinkat(dir, "exe", path, sizeof path) > 0 && !memcmp(path, program, 5));
    CHECK(close(dir) == 0);
}

static void command_line(void) {
    size_t size, at = 0;
    char *text = slurp("/proc/self/cmdline", &size);
    for (int i = 0; i < argument_count; i++) {
        CHECK(!strcmp(text + at, arguments[i]));
        at += strlen(arguments[i]) + 1;
    }
    CHECK(at == size);
    arguments[0][0] = '#'; /* what a program writes there is seen */
    CHECK(slurp("/proc/self/cmdline", &size)[0] == '#');
    text = slurp("/proc/self/environ", &size);
    at = 0;
    for (char **variable = environ; *variable; variable++) {
        CHECK(!strcmp(text + at, *variable));
        at += strlen(*variable) + 1;
    }
    CHECK(at == size);
}

static void auxiliary_vector(void) {
    size_t size, count = 0;
    Elf64_auxv_t *entry = (Elf64_auxv_t *)slurp("/proc/self/auxv", &size);
    CHECK(size % sizeof *entry == 0);
    for (; entry->a_type != AT_NULL; entry++, count++) {
        if (entry->a_type != AT_HWCAP && entry->a_type != AT_HWCAP2) { /* glibc may edit them */
            CHECK(getauxval(entry->a_type) == entry->a_un.a_val);
        }
    }
    CHECK(count > 10 && getauxval(AT_PHDR) && getauxval(AT_ENTRY));
}

/* Finds the mapping of an address. */
static int find(const char *maps, const void *at, char *permissions, char *name) {
    unsigned long start, end, offset, inode, wanted = (unsigned long)at;
    for (const char *line = maps; line && *line; line = strchr(line, '\n') + 1) {
        char device[16];
        int used = 0;
        CHECK(sscanf(line, "%lx-%lx %4s %lx %15s %lu%n", &start, &end, permissions, &offset, device,
                     &inode, &used) == 6);
        CHECK(start < end && strlen(permissions) == 4 && used > 0);
        *name = 0;
        sscanf(line + used, "%*[ ]%4095[^\n]", name);
        if (start <= wanted && wanted < end) {
            return 1;
        }
    }
    return 0;
}

static void mappings(void) {
    size_t size;
    char permissions[8], name[PATH_MAX];
    int local;
    char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED && mprotect(two + 4096, 4096, PROT_READ | PROT_EXEC) == 0);
    char *maps = slurp("/proc/self/maps", &size);
    CHECK(find(maps, &local, permissions, name) && !strcmp(name, "[stack]"));
    CHECK(!strncmp(permissions, "rw", 2));
    CHECK(find(maps, (void *)mappings, permissions, name) && !strcmp(permissions, "r-xp"));
    CHECK(!strcmp(name, program));
    CHECK(find(maps, two, permissions, name) && !strcmp(permissions, "rw-p") && !*name);
    CHECK(find(maps, two + 4096, permissions, name) && !strcmp(permissions, "r-xp"));
    CHECK(find(maps, sbrk(0) - 1, permissions, name) && !strcmp(name, "[heap]"));
    void *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
    CHECK(!vdso || (find(maps, vdso, permissions, name) && !strcmp(name, "[vdso]")));
    CHECK(munmap(two, 8192) == 0);
    maps = slurp("/proc/thread-self/maps", &size);
    CHECK(!find(maps, two, permissions, name));
}

static void as_files(void) {
    char text[64];
    struct stat st;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC &&
          (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read(fd, text, 10) == 10);
    FAILS(EBADF, write(fd, text, 1));
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, text + 10, 10) == 10 &&
          !memcmp(text, text + 10, 10));
    CHECK(close(fd) == 0);
    fd = open("/proc/self/maps", O_RDONLY);
    CHECK(fcntl(fd, F_GETFD) == 0 && close(fd) == 0);
    CHECK(stat("/proc/self/maps", &st) == 0 && S_ISREG(st.st_mode));
    FAILS(ENOTDIR, open("/proc/self/maps", O_RDONLY | O_DIRECTORY));
    FAILS(ENOTDIR, open("/proc/self/maps/x", O_RDONLY));
    FAILS(ENOENT, open("/proc/self/no-such", O_RDONLY));
    FAILS(ENOENT, open("/proc/999999999/maps", O_RDONLY));
    FAILS(EFAULT, open("/proc/self/maps" + ((long)WILD - (long)"/proc/self/maps"), O_RDONLY));
}

static void thread_name(void) {
    size_t size;
    CHECK(prctl(PR_SET_NAME, "renamed") == 0);
    CHECK(!strcmp(slurp("/proc/self/comm", &size), "renamed\n"));
    CHECK(!strncmp(slurp("/proc/self/status", &size), "Name:\trenamed\n", 14));
    char *stat = slurp("/proc/self/stat", &size);
    CHECK(strtol(stat, &stat, 10) == getpid() && !strncmp(stat, " (renamed) ", 11));
    int fd = open("/proc/self/comm", O_WRONLY);
    CHECK(write(fd, "again", 5) == 5 && close(fd) == 0);
    CHECK(!strcmp(slurp("/proc/thread-self/comm", &size), "again\n"));
}

static void processors(void) {
    size_t size;
    int count = 0;
    char *text = slurp("/proc/cpuinfo", &size);
    for (char *at = text; (at = strstr(at, "processor\t: ")); at++) {
        count++;
    }
    CHECK(count == sysconf(_SC_NPROCESSORS_ONLN));
#ifdef __aarch64__
    CHECK(strstr(text, "CPU implementer\t: 0x") && strstr(text, "Features\t: fp asimd "));
    CHECK(!strstr(text, "flags") &&
          !!strstr(text, " atomics ") == !!(getauxval(AT_HWCAP) & 1 << 8));
#endif
}

int main(int argc, char **argv) {
    argument_count = argc;
    arguments = argv;
    CHECK(realpath((char *)getauxval(AT_EXECFN), program) != NULL);
    RUN(executable);
    RUN(command_line);
    RUN(auxiliary_vector);
    RUN(mappings);
    RUN(as_files);
    RUN(thread_name);
    RUN(processors);
    return 0;
}
