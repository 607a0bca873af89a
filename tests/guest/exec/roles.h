/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that execute themselves: helpers, and roles for the new program to play. */
#ifndef ROLES_H
#define ROLES_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

extern char **environ;

#define OWN "/proc/self/exe"
#define DONE 42 /* what a new program that found all in order ends with */
#define NOT_REPLACED 99

/* The exit status of a child that runs the function, 1000 + the signal that ended it. */
__attribute__((unused)) static int status_of(void (*child)(void)) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        child();
        _exit(NOT_REPLACED);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

__attribute__((unused)) static void write_file(const char *name, const char *text, mode_t mode) {
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}

__attribute__((unused)) static void copy_file(const char *from, const char *to, mode_t mode) {
    char block[65536];
    ssize_t size;
    unlink(to);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    CHECK(in >= 0 && out >= 0);
    while ((size = read(in, block, sizeof block)) > 0) {
        CHECK(write(out, block, (size_t)size) == size);
    }
    CHECK(fchmod(out, mode) == 0 && close(in) == 0 && close(out) == 0);
}

/* The content of a file with a NUL behind it. */
__attribute__((unused)) static ssize_t read_file(const char *name, char *text, size_t room) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, room - 1);
    text[size < 0 ? 0 : size] = 0;
    if (fd >= 0) {
        close(fd);
    }
    return size;
}

__attribute__((unused)) static const char *link_text(const char *name) {
    static char text[4096];
    ssize_t size = readlink(name, text, sizeof text - 1);
    CHECK(size > 0);
    text[size] = 0;
    return text;
}

__attribute__((unused)) static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), part = strlen(end);
    return length >= part && !strcmp(text + length - part, end);
}

#endif
