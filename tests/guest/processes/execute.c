// SPDX-License-Identifier: GPL-2.0-or-later
// execve(2): what the new program inherits, how exec fails and leaves all as it was, and every way to name a program.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

extern char **environ;

static void write_file(const char *name, const char *text, mode_t mode) {
    unlink(name);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}

static int status_of(void (*child)(void)) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        child();
        _exit(99);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- the new program: each role checks what it was given and ends with 42 ---- */

static int expect_inheritance(void) {
    struct sigaction action;
    sigset_t now, pending;
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL &&
          action.sa_flags == 0);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    sigprocmask(SIG_BLOCK, NULL, &now);
    for (int i = 1; i <= 31; i++) {
        CHECK(sigismember(&now, i) == (i == SIGHUP || i == SIGSEGV || i == SIGTERM));
    }
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGTERM));
    stack_t stack;
    CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
    CHECK(fcntl(50, F_GETFD) == 0);
    FAILS(EBADF, fcntl(51, F_GETFD));
    char name[16];
    CHECK(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "a-name-that-is-"));
    return 42;
}

static int expect_environment(char **words) {
    static const char *const expected[] = {"A=1", "no-equals",  "A=2", "=odd",
                                           "",    "B=\xff\xfe", NULL};
    int i = 0;
    for (; expected[i]; i++) {
        CHECK(environ[i] && !strcmp(environ[i], expected[i]));
    }
    CHECK(!environ[i]);
    CHECK(!strcmp(words[0], "") && !strcmp(words[2], "") && !strcmp(words[3], "\x80 \n") &&
          !words[4]);
    return 42;
}

static int expect_descriptors(void) {
    for (int fd = 3; fd < 1024; fd++) {
        FAILS(EBADF, fcntl(fd, F_GETFD));
    }
    return 42;
}

/* ---- the callers ---- */

static const char own[] = "/proc/self/exe";

static void inherit(void) {
    sigset_t mask;
    static char area[65536];
    signal(SIGUSR1, _exit);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGSEGV, _exit);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGSEGV);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    raise(SIGTERM);
    sigaltstack(&(stack_t){.ss_sp = area, .ss_size = sizeof area}, NULL);
    CHECK(dup2(1, 50) == 50 && dup3(1, 51, O_CLOEXEC) == 51);
    char path[4096] = {0};
    CHECK(readlink(own, path, sizeof path - 1) > 0);
    CHECK(symlink(path, "a-name-that-is-cut-off") == 0);
    execl("a-name-that-is-cut-off", "x", "inheritance", NULL);
}

static void what_is_inherited(void) {
    CHECK(status_of(inherit) == 42);
}

static void exact_environment(void) {
    char *envp[] = {"A=1", "no-equals", "A=2", "=odd", "", "B=\xff\xfe", NULL};
    execve(own, (char *[]){"", "environment", "", "\x80 \n", NULL}, envp);
}

static void strings_are_exact(void) {
    CHECK(status_of(exact_environment) == 42);
}

static void close_and_exec(void) {
    syscall(SYS_close_range, 3, ~0u, 0);
    execl(own, "x", "descriptors", NULL);
}

static void only_the_guests_descriptors(void) {
    CHECK(status_of(close_and_exec) == 42);
}

static volatile sig_atomic_t handled;

static void note(int number) {
    (void)number;
    handled++;
}

static void make_files(void) {
    mkdir("folder", 0700);
    write_file("plain", "#!/bin/sh\n", 0600);
    write_file("text", "echo no magic\n", 0700);
    write_file("short",
               "\x7f"
               "ELF",
               0700);
    write_file("empty", "", 0700);
    write_file("lost", "#!/no/such/interpreter\n", 0700);
    write_file("loop", "#!loop\n", 0700);
    CHECK(symlink("round", "round") == 0);
    CHECK(mkfifo("pipe", 0700) == 0);
}

static void names_that_fail(char **argv) {
    FAILS(ENOENT, execve("nothing", argv, environ));
    FAILS(ENOENT, execve("", argv, environ));
    FAILS(ENOTDIR, execve("plain/x", argv, environ));
    FAILS(EACCES, execve("plain", argv, environ));
    FAILS(EACCES, execve("folder", argv, environ));
    FAILS(EACCES, execve("pipe", argv, environ));
    FAILS(EACCES, execve("/dev/null", argv, environ));
    FAILS(ELOOP, execve("round", argv, environ));
    FAILS(ENOEXEC, execve("text", argv, environ));
    FAILS(ENOEXEC, execve("short", argv, environ));
    FAILS(ENOEXEC, execve("empty", argv, environ));
    FAILS(ENOENT, execve("lost", argv, environ));
    FAILS(ELOOP, execve("loop", argv, environ));
    FAILS(EFAULT, execve(WILD, argv, environ));
    FAILS(EFAULT, execve(own, WILD, environ));
    FAILS(EFAULT, execve(own, argv, WILD));
    FAILS(EFAULT, execve(own, (char *[]){"x", WILD, NULL}, environ));
    FAILS(EINVAL, syscall(SYS_execveat, AT_FDCWD, "text", argv, environ, 0x8000));
    FAILS(EBADF, syscall(SYS_execveat, 77, "text", argv, environ, 0));
    FAILS(ENOTDIR, syscall(SYS_execveat, 0, "text", argv, environ, 0));
    FAILS(ELOOP, syscall(SYS_execveat, AT_FDCWD, "round", argv, environ, AT_SYMLINK_NOFOLLOW));
}

static void strings_that_are_too_long(char **argv) {
    char *long_name = malloc(5000);
    memset(long_name, 'n', 4999);
    long_name[4999] = 0;
    FAILS(ENAMETOOLONG, execve(long_name, argv, environ));
    char *huge = malloc(200000);
    memset(huge, 'h', 199999);
    huge[199999] = 0;
    FAILS(E2BIG, execve(own, (char *[]){"x", huge, NULL}, environ));
    huge[100000] = 0;
    static char *many[100];
    for (int i = 0; i < 99; i++) {
        many[i] = huge;
    }
    FAILS(E2BIG, execve(own, many, environ));
}

static void failures_change_nothing(void) {
    char *argv[] = {"x", NULL};
    sigset_t usr2, now;
    signal(SIGUSR1, note);
    signal(SIGSEGV, note);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_SETMASK, &usr2, NULL);
    make_files();
    names_that_fail(argv);
    strings_that_are_too_long(argv);
    handled = 0;
    raise(SIGUSR1);
    raise(SIGSEGV);
    CHECK(handled == 2);
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV));
    sigemptyset(&now);
    sigprocmask(SIG_SETMASK, &now, NULL);
    for (int fd = 3; fd < 100; fd++) {
        FAILS(EBADF, fcntl(fd, F_GETFD));
    }
    signal(SIGSEGV, SIG_DFL);
}

static void by_descriptor(void) {
    int fd = open(own, O_RDONLY | O_CLOEXEC);
    syscall(SYS_execveat, fd, "", (char *[]){"x", "descriptors", NULL}, environ, AT_EMPTY_PATH);
}

static void by_path_descriptor(void) {
    int fd = open(own, O_PATH | O_CLOEXEC);
    fexecve(fd, (char *[]){"x", "descriptors", NULL}, environ);
}

static void by_directory(void) {
    mkdir("inner", 0700);
    char path[4096] = {0};
    CHECK(readlink(own, path, sizeof path - 1) > 0);
    CHECK(symlink(path, "inner/program") == 0);
    int fd = open("inner", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    syscall(SYS_execveat, fd, "program", (char *[]){"x", "descriptors", NULL}, environ, 0);
}

static int copy_of_self(const char *name) {
    int from = open(own, O_RDONLY), to;
    struct stat status;
    CHECK(fstat(from, &status) == 0);
    to = name ? open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700)
              : memfd_create("program", MFD_CLOEXEC);
    char *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, from, 0);
    CHECK(write(to, data, (size_t)status.st_size) == status.st_size);
    close(from);
    return to;
}

static void deleted(void) {
    close(copy_of_self("copy"));
    int fd = open("copy", O_RDONLY | O_CLOEXEC);
    unlink("copy");
    fexecve(fd, (char *[]){"x", "descriptors", NULL}, environ);
}

static void in_memory(void) {
    int fd = copy_of_self(NULL);
    fexecve(fd, (char *[]){"x", "descriptors", NULL}, environ);
}

static void every_way_to_name_a_program(void) {
    CHECK(status_of(by_descriptor) == 42);
    CHECK(status_of(by_path_descriptor) == 42);
    CHECK(status_of(by_directory) == 42);
    CHECK(status_of(deleted) == 42);
    CHECK(status_of(in_memory) == 42);
}

static void through_script(void) {
    char path[4096] = {0}, text[5000];
    CHECK(readlink(own, path, sizeof path - 1) > 0);
    snprintf(text, sizeof text, "#!%s script argument\n", path);
    if (strlen(path) > 200) {
        symlink(path, "/tmp/usermode-script-test");
        snprintf(text, sizeof text, "#!/tmp/usermode-script-test script argument\n");
    }
    write_file("script", text, 0700);
    execl("./script", "ignored", "one", NULL);
}

static int expect_script(int count, char **words) {
    CHECK(count == 4 && !strcmp(words[1], "script argument") && !strcmp(words[2], "./script"));
    CHECK(!strcmp(words[3], "one"));
    char name[16];
    CHECK(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "script"));
    return 42;
}

static void scripts(void) {
    CHECK(status_of(through_script) == 42);
}

static void native_true(void) {
    execl("/bin/true", "true", NULL);
}

static void native_script(void) {
    write_file("native", "#!/bin/sh\nexit 17\n", 0700);
    execl("./native", "native", NULL);
}

static void native_with_signals(void) {
    signal(SIGSEGV, note);
    signal(SIGTERM, note);
    execl("/bin/sh", "sh", "-c", "kill -TERM $$; exit 3", NULL);
}

static void programs_of_the_host(void) {
    CHECK(status_of(native_true) == 0);
    CHECK(status_of(native_script) == 17);
    CHECK(status_of(native_with_signals) == 1000 + SIGTERM);
}

static void no_arguments(void) {
    execve(own, NULL, NULL);
}

int main(int count, char **words) {
    const char *role = count > 1 ? words[1] : "";
    if (count == 1 && !words[0][0]) {
        return environ[0] ? 41 : 42; /* an empty argv is given one empty string */
    }
    if (!strcmp(role, "inheritance")) {
        return expect_inheritance();
    }
    if (!strcmp(role, "environment")) {
        return expect_environment(words);
    }
    if (!strcmp(role, "descriptors")) {
        return expect_descriptors();
    }
    if (!strcmp(role, "script argument")) {
        return expect_script(count, words);
    }
    syscall(SYS_close_range, 3, ~0u, 0);
    RUN(what_is_inherited);
    RUN(strings_are_exact);
    RUN(only_the_guests_descriptors);
    RUN(failures_change_nothing);
    RUN(every_way_to_name_a_program);
    RUN(scripts);
    RUN(programs_of_the_host);
    CHECK(status_of(no_arguments) == 42);
    return 0;
}
