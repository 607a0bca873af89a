// SPDX-License-Identifier: GPL-2.0-or-later
// Which file execve(2) and execveat(2) run, what the new program is called, and which errors they give.
#define _GNU_SOURCE
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include "roles.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

static char *const plain[] = {"x", "last", NULL};

static bool kernel_since(int major, int minor) {
    struct utsname name;
    int a = 0, b = 0;
    CHECK(uname(&name) == 0 && sscanf(name.release, "%d.%d", &a, &b) == 2);
    return a > major || (a == major && b >= minor);
}

static int execat(int fd, const char *path, char *const argv[], int flags) {
    return (int)syscall(SYS_execveat, fd, path, argv, environ, flags);
}

/* ---- the new program ---- */

static int expect_name(const char *name, const char *file) {
    char own[17] = {0};
    CHECK(prctl(PR_GET_NAME, own) == 0);
    if (strcmp(own, name)) {
        printf("named %s instead of %s\n", own, name);
        return 1;
    }
    CHECK(!file || !strcmp((const char *)getauxval(AT_EXECFN), file));
    return DONE;
}

/* ---- scripts ---- */

/* script1 is run by the program, script2 by script1, and so on. */
static void make_scripts(int count) {
    char name[20], line[100];
    for (int i = 1; i <= count; i++) {
        snprintf(name, sizeof name, "script%d", i);
        if (i == 1) {
            snprintf(line, sizeof line, "#! ./program  last  \nnot read\n");
        } else {
            snprintf(line, sizeof line, "#!./script%d\n", i - 1);
        }
        write_file(name, line, 0700);
    }
}

static void five_scripts(void) {
    execve("script5", plain, environ);
}

static void six_scripts(void) {
    FAILS(ELOOP, execve("script6", plain, environ));
    _exit(DONE);
}

static void scripts_of_scripts(void) {
    copy_file(OWN, "program", 0700);
    make_scripts(6);
    CHECK(status_of(five_scripts) == DONE);
    CHECK(status_of(six_scripts) == DONE);
}

static void native_in_between(void) {
    write_file("inner", "#!/bin/sh\nexit 42\n", 0700);
    write_file("outer", "#!./inner\n", 0700);
    execve("outer", plain, environ);
}

static void scripts_of_both_kinds(void) {
    CHECK(status_of(native_in_between) == DONE);
}

static void script_by_open_descriptor(void) {
    int fd = open("script1", O_RDONLY);
    execat(fd, "", plain, AT_EMPTY_PATH);
}

static void script_by_closing_descriptor(void) {
    int fd = open("script1", O_RDONLY | O_CLOEXEC), folder = open(".", O_PATH | O_CLOEXEC);
    FAILS(ENOENT, execat(fd, "", plain, AT_EMPTY_PATH));
    FAILS(ENOENT, execat(folder, "script1", plain, 0));
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(folder, F_GETFD) == FD_CLOEXEC);
    execat(AT_FDCWD, "script1", plain, 0);
}

static void scripts_by_descriptor(void) {
    CHECK(status_of(script_by_open_descriptor) == DONE);
    CHECK(status_of(script_by_closing_descriptor) == DONE);
}

/* ---- names ---- */

static void by_descriptor(void) {
    int fd = dup2(open("program", O_PATH | O_CLOEXEC), 70);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    execat(fd, "", (char *[]){"x", "name", "program", "/dev/fd/70", NULL}, AT_EMPTY_PATH);
}

static void by_folder(void) {
    int fd = dup2(open(".", O_PATH | O_DIRECTORY), 70);
    execat(fd, "program", (char *[]){"x", "name", "program", "/dev/fd/70/program", NULL}, 0);
}

static void by_link(void) {
    execve("link to it", (char *[]){"x", "name", "link to it", "link to it", NULL}, environ);
}

static void by_absolute_name(void) {
    char path[4200];
    CHECK(getcwd(path, 4096));
    strcat(path, "//program");
    execat(77, path, (char *[]){"x", "name", "program", path, NULL}, 0);
}

static void names_of_programs(void) {
    unlink("link to it");
    CHECK(symlink("program", "link to it") == 0);
    if (kernel_since(6, 14)) { /* before, its number */
        CHECK(status_of(by_descriptor) == DONE);
    }
    CHECK(status_of(by_folder) == DONE);
    CHECK(status_of(by_link) == DONE);
    CHECK(status_of(by_absolute_name) == DONE);
}

/* ---- errors ---- */

static void errors_of_names(void) {
    FAILS(ENOTDIR, execve("program/", plain, environ));
    FAILS(EACCES, execve(".", plain, environ));
    FAILS(EACCES, execve("/", plain, environ));
    FAILS(EACCES, execat(AT_FDCWD, "", plain, AT_EMPTY_PATH));
    FAILS(EBADF, execat(77, "", plain, AT_EMPTY_PATH));
    FAILS(ENOENT, execat(AT_FDCWD, "", plain, 0));
    int fd = open("program", O_RDONLY | O_CLOEXEC);
    FAILS(ENOENT, execat(fd, "", plain, 0));
    FAILS(ENOTDIR, execat(fd, "x", plain, 0));
    close(fd);
    char name[300] = {0};
    memset(name, 'n', 256);
    FAILS(ENAMETOOLONG, execve(name, plain, environ));
    FAILS(ELOOP, execat(AT_FDCWD, "link to it", plain, AT_SYMLINK_NOFOLLOW));
    copy_file("program", "not executable", 0600);
    FAILS(EACCES, execve("not executable", plain, environ));
}

static void no_writer_is_woken(void) {
    CHECK(mkfifo("pipe", 0700) == 0);
    FAILS(EACCES, execve("pipe", plain, environ));
    FAILS(ENXIO, open("pipe", O_WRONLY | O_NONBLOCK));
    unlink("pipe");
}

static void damaged_programs(void) {
    char head[65536];
    int fd = open("program", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, head, sizeof head);
    close(fd);
    CHECK(size == sizeof head);
    head[16] = 4; /* ET_CORE */
    fd = open("core", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    CHECK(write(fd, head, (size_t)size) == size && close(fd) == 0);
    FAILS(ENOEXEC, execve("core", plain, environ));
}

static void a_file_open_for_writing(void) {
    int fd = open("program", O_RDWR | O_CLOEXEC);
    if (kernel_since(6, 14)) { /* what an emulator needs to know of it */
        FAILS(ETXTBSY, execve("program", plain, environ));
        FAILS(ETXTBSY, execve("script1", plain, environ));
    }
    close(fd);
}

static void on_noexec(void) {
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    mkdir("place", 0700);
    CHECK(mount("none", "place", "tmpfs", MS_NOEXEC, NULL) == 0);
    copy_file("program", "place/program", 0700);
    write_file("place/script", "#!./program\n", 0700);
    FAILS(EACCES, execve("place/program", plain, environ));
    FAILS(EACCES, execve("place/script", plain, environ));
    write_file("script", "#!place/program\n", 0700);
    FAILS(EACCES, execve("script", plain, environ));
    CHECK(umount("place") == 0);
    _exit(DONE);
}

static void can_mount(void) {
    _exit(unshare(CLONE_NEWNS) == 0 ? DONE : 1);
}

static void file_systems_without_programs(void) {
    if (status_of(can_mount) == DONE) {
        CHECK(status_of(on_noexec) == DONE);
    }
}

static void unreadable_native(void) {
    copy_file("/bin/true", "secret", 0111);
    if (geteuid() == 0) {
        CHECK(chmod(".", 0755) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    }
    CHECK(access("secret", R_OK) == -1);
    if (access("secret", X_OK) == -1) {
        _exit(0); /* a folder above is closed to this user */
    }
    execl("./secret", "true", NULL);
}

static void programs_that_cannot_be_read(void) {
    CHECK(status_of(unreadable_native) == 0);
}

static void only_checks(void) {
    if (!kernel_since(6, 14)) {
        return;
    }
    write_file("text", "no magic\n", 0700);
    CHECK(execat(AT_FDCWD, "program", plain, AT_EXECVE_CHECK) == 0);
    CHECK(execat(AT_FDCWD, "text", plain, AT_EXECVE_CHECK) == 0);
    FAILS(EACCES, execat(AT_FDCWD, "not executable", plain, AT_EXECVE_CHECK));
    FAILS(ENOENT, execat(AT_FDCWD, "nothing", plain, AT_EXECVE_CHECK));
    FAILS(ELOOP, execat(AT_FDCWD, "link to it", plain, AT_EXECVE_CHECK | AT_SYMLINK_NOFOLLOW));
    int fd = open("program", O_PATH | O_CLOEXEC);
    CHECK(execat(fd, "", plain, AT_EXECVE_CHECK | AT_EMPTY_PATH) == 0);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
    CHECK(execat(AT_FDCWD, OWN, plain, AT_EXECVE_CHECK) == 0);
}

int main(int count, char **words) {
    if (count > 3 && !strcmp(words[1], "name")) {
        return expect_name(words[2], words[3]);
    }
    if (count > 1) {
        return DONE;
    }
    RUN(scripts_of_scripts);
    RUN(scripts_of_both_kinds);
    RUN(scripts_by_descriptor);
    RUN(names_of_programs);
    RUN(errors_of_names);
    RUN(no_writer_is_woken);
    RUN(damaged_programs);
    RUN(a_file_open_for_writing);
    RUN(file_systems_without_programs);
    RUN(programs_that_cannot_be_read);
    RUN(only_checks);
    return 0;
}
