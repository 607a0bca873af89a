// SPDX-License-Identifier: GPL-2.0-or-later
// /proc/self/exe of a program that is renamed, replaced or deleted while it runs, and executing it again.
#define _GNU_SOURCE
#include "roles.h"

static ino_t number_of(const char *name) {
    struct stat status;
    CHECK(stat(name, &status) == 0);
    return status.st_ino;
}

static int renamed(void) {
    ino_t number = number_of("program");
    CHECK(ends_with(link_text(OWN), "/program"));
    CHECK(rename("program", "other name") == 0);
    CHECK(ends_with(link_text(OWN), "/other name"));
    CHECK(geteuid() || number_of(OWN) == number);
    execl(OWN, "x", "last", NULL);
    return 1;
}

static int replaced(void) {
    ino_t number = number_of("program");
    write_file("new", "#!/bin/false\n", 0700);
    CHECK(rename("new", "program") == 0);
    CHECK(ends_with(link_text(OWN), "/program (deleted)"));
    if (geteuid() == 0) {
        CHECK(number_of(OWN) == number);
        int fd = open(OWN, O_RDONLY);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    execl(OWN, "x", "last", NULL);
    return 1;
}

static int deleted(void) {
    CHECK(unlink("program") == 0);
    CHECK(ends_with(link_text(OWN), "/program (deleted)"));
    execl(OWN, "x", "deleted again", NULL);
    return 1;
}

static int deleted_again(void) {
    CHECK(ends_with(link_text(OWN), " (deleted)"));
    execl(OWN, "x", "last", NULL);
    return 1;
}

static const char *role;

static void start(void) {
    execl("./program", "x", role, NULL);
}

static void start_unprivileged(void) {
    if (geteuid() == 0) {
        CHECK(chmod(".", 0777) == 0);
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    }
    start();
}

static bool reachable;

static void look(void) {
    CHECK(geteuid() || (setgid(65534) == 0 && setuid(65534) == 0));
    _exit(access("program", X_OK) == 0 ? DONE : 1);
}

static void run_role(const char *name) {
    copy_file(OWN, "program", 0755);
    role = name;
    CHECK(status_of(start) == DONE);
    if (reachable) { /* the folders above are open to all */
        copy_file(OWN, "program", 0755);
        CHECK(chmod(".", 0777) == 0);
        CHECK(status_of(start_unprivileged) == DONE);
    }
}

static void a_renamed_program(void) {
    run_role("renamed");
}

static void a_replaced_program(void) {
    run_role("replaced");
}

static void a_deleted_program(void) {
    run_role("deleted");
}

int main(int count, char **words) {
    if (count > 1) {
        return !strcmp(words[1], "renamed")         ? renamed()
               : !strcmp(words[1], "replaced")      ? replaced()
               : !strcmp(words[1], "deleted")       ? deleted()
               : !strcmp(words[1], "deleted again") ? deleted_again()
                                                    : DONE;
    }
    copy_file(OWN, "program", 0755);
    CHECK(chmod(".", 0755) == 0);
    reachable = status_of(look) == DONE;
    RUN(a_renamed_program);
    RUN(a_replaced_program);
    RUN(a_deleted_program);
    return 0;
}
