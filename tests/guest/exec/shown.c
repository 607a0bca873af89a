// SPDX-License-Identifier: GPL-2.0-or-later
// What /proc shows of another process: its program, command line, environment, name and auxiliary vector.
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "roles.h"

static pid_t other;
static int to_other[2], from_other[2];

static const char *file_of_other(const char *name) {
    static char path[100];
    snprintf(path, sizeof path, "/proc/%d/%s", other, name);
    return path;
}

static void other_goes_on(void) {
    char byte;
    CHECK(write(to_other[1], "x", 1) == 1 && read(from_other[0], &byte, 1) == 1);
}

static void say_and_wait(void) {
    char byte;
    CHECK(write(4, "y", 1) == 1 && read(3, &byte, 1) == 1);
}

/* The new program: tells that it is there, and changes what is shown of it, step by step. */
static int shown(char **words) {
    say_and_wait();
    CHECK(prctl(PR_SET_NAME, "another name") == 0);
    say_and_wait();
    memset(words[0], 0, (size_t)(words[2] + strlen(words[2]) - words[0]));
    strcpy(words[0], "title");
    say_and_wait();
    return DONE;
}

static void start_other(void) {
    char byte;
    CHECK(pipe2(to_other, O_CLOEXEC) == 0 && pipe2(from_other, O_CLOEXEC) == 0);
    copy_file(OWN, "a program", 0700);
    other = fork();
    if (!other) {
        int in = fcntl(to_other[0], F_DUPFD, 10), out = fcntl(from_other[1], F_DUPFD, 10);
        dup2(in, 3), dup2(out, 4);
        execve("./a program", (char *[]){"argument zero", "shown", "two words", NULL},
               (char *[]){"A=1", "B=", NULL});
        _exit(NOT_REPLACED);
    }
    close(from_other[1]);
    CHECK(read(from_other[0], &byte, 1) == 1);
}

static void its_command_line(void) {
    static const char expected[] = "argument zero\0shown\0two words";
    char text[4096];
    CHECK(read_file(file_of_other("cmdline"), text, sizeof text) == sizeof expected);
    CHECK(!memcmp(text, expected, sizeof expected));
}

static void its_environment(void) {
    static const char expected[] = "A=1\0B=";
    char text[4096];
    CHECK(read_file(file_of_other("environ"), text, sizeof text) == sizeof expected);
    CHECK(!memcmp(text, expected, sizeof expected));
}

static void its_program(void) {
    struct stat there, here;
    CHECK(ends_with(link_text(file_of_other("exe")), "/a program"));
    CHECK(stat(file_of_other("exe"), &there) == 0 && stat("a program", &here) == 0);
    CHECK(there.st_ino == here.st_ino);
    int fd = open(file_of_other("exe"), O_RDONLY | O_CLOEXEC);
    CHECK(fstat(fd, &there) == 0 && there.st_ino == here.st_ino && close(fd) == 0);
    int folder = open(file_of_other(""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char target[4096];
    CHECK(readlinkat(folder, "exe", target, sizeof target) > 0 && close(folder) == 0);
}

static void its_vector(void) {
    uint64_t words[256] = {0};
    CHECK(read_file(file_of_other("auxv"), (char *)words, sizeof words) > 0);
    bool found = false;
    for (int i = 0; words[i] != AT_NULL; i += 2) {
        if (words[i] == AT_ENTRY) {
            CHECK(words[i + 1] == getauxval(AT_ENTRY));
            found = true;
        }
    }
    CHECK(found);
}

static void its_name(void) {
    char text[100];
    CHECK(read_file(file_of_other("comm"), text, sizeof text) > 0);
    CHECK(!strcmp(text, "a program\n"));
    other_goes_on();
    CHECK(read_file(file_of_other("comm"), text, sizeof text) > 0);
    CHECK(!strcmp(text, "another name\n"));
}

static void its_title(void) {
    char text[4096];
    other_goes_on();
    CHECK(read_file(file_of_other("cmdline"), text, sizeof text) >= 6 && !strcmp(text, "title"));
}

static void its_end(void) {
    int status;
    CHECK(write(to_other[1], "x", 1) == 1);
    CHECK(waitpid(other, &status, 0) == other && WEXITSTATUS(status) == DONE);
    FAILS(ENOENT, open(file_of_other("exe"), O_RDONLY));
}

static void *named_thread(void *unused) {
    char path[100], text[100];
    CHECK(prctl(PR_SET_NAME, "a thread") == 0);
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
    CHECK(read_file(path, text, sizeof text) > 0 && !strcmp(text, "a thread\n"));
    return unused;
}

static void names_of_threads(void) {
    pthread_t thread;
    char before[100], after[100];
    CHECK(read_file("/proc/self/comm", before, sizeof before) > 0);
    CHECK(!pthread_create(&thread, NULL, named_thread, NULL) && !pthread_join(thread, NULL));
    CHECK(read_file("/proc/self/comm", after, sizeof after) > 0 && !strcmp(before, after));
}

int main(int count, char **words) {
    if (count > 1) {
        return shown(words);
    }
    start_other();
    RUN(its_command_line);
    RUN(its_environment);
    RUN(its_program);
    RUN(its_vector);
    RUN(its_name);
    RUN(its_title);
    RUN(its_end);
    RUN(names_of_threads);
    return 0;
}
