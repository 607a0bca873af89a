// SPDX-License-Identifier: GPL-2.0-or-later
// Programs with damaged headers: what execve(2) answers as long as it can, that is before load_elf_binary() begins anew.
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static unsigned char *self, *copy;
static size_t size, copy_size;
static Elf64_Ehdr *header;
static Elf64_Phdr *headers;

static void read_self(void) {
    struct stat status;
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK(file >= 0 && !fstat(file, &status));
    size = status.st_size;
    self = malloc(size);
    copy = malloc(size + 8192);
    CHECK(read(file, self, size) == (ssize_t)size);
    close(file);
    header = (Elf64_Ehdr *)copy;
    headers = (Elf64_Phdr *)(copy + sizeof *header);
}

static void begin(void) {
    memcpy(copy, self, size);
    memset(copy + size, 0, 8192);
    copy_size = size;
    CHECK(header->e_phoff == sizeof *header);
}

static void put(const char *name, const void *data, size_t length, mode_t mode) {
    unlink(name);
    int file = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, mode);
    CHECK(file >= 0 && write(file, data, length) == (ssize_t)length);
    close(file);
}

/* The errno of execve(2), or 0 if the program has run. */
static int outcome(void) {
    put("program", copy, copy_size, 0755);
    pid_t child = fork();
    if (!child) {
        execl("./program", "program", "child", NULL);
        _exit(errno);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status) == 200 ? 0 : WEXITSTATUS(status);
}

#define GIVES(number, change)                                                                      \
    do {                                                                                           \
        begin();                                                                                   \
        (void)(change);                                                                            \
        CHECK(outcome() == (number));                                                              \
    } while (0)

static Elf64_Phdr *segment(unsigned type) {
    for (int i = 0; i < header->e_phnum; i++) {
        if (headers[i].p_type == type) {
            return &headers[i];
        }
    }
    abort();
}

static void the_header(void) {
    GIVES(0, 0);
    for (size_t cut = 0; cut < sizeof *header; cut += 8) {
        GIVES(ENOEXEC, copy_size = cut);
    }
    GIVES(ENOEXEC, copy_size = sizeof *header + sizeof *headers);
    GIVES(ENOEXEC, header->e_type = ET_REL);
    GIVES(ENOEXEC, header->e_type = ET_CORE);
    GIVES(ENOEXEC, header->e_machine = EM_386 + 77);
    GIVES(ENOEXEC, header->e_phentsize = 55);
    GIVES(ENOEXEC, header->e_phnum = 0);
    GIVES(ENOEXEC, header->e_phnum = 0xffff);
    GIVES(ENOEXEC, header->e_phoff = size);
    GIVES(ENOEXEC, header->e_phoff = -1);
    GIVES(0, header->e_version = 77);
    GIVES(0, header->e_ident[EI_VERSION] = 77);
}

static void segments(void) {
    GIVES(0, segment(PT_LOAD)->p_align = 3);
    GIVES(0, segment(PT_LOAD)->p_align = 0);
    GIVES(0, segment(PT_GNU_STACK)->p_flags = 7);
}

/* Makes PT_GNU_STACK a PT_INTERP of so many bytes. */
static Elf64_Phdr *interpreter(const char *name, size_t length) {
    Elf64_Phdr *changed = segment(PT_GNU_STACK);
    changed->p_type = PT_INTERP;
    changed->p_offset = size;
    changed->p_filesz = length;
    memcpy(copy + size, name, length);
    copy_size += length;
    return changed;
}

static void names_of_interpreters(void) {
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = longest[4095] = longest[4094] = longest[300] = 0;
    GIVES(ENOENT, interpreter("/nowhere/ld.so", 15));
    GIVES(EACCES, interpreter("/", 2));
    GIVES(EACCES, interpreter("\0", 2));
    GIVES(EACCES, interpreter("/dev/null", 10));
    GIVES(ENOTDIR, interpreter("/dev/null/x", 12));
    GIVES(ENAMETOOLONG, interpreter(longest, 301));
    GIVES(ENAMETOOLONG, interpreter(longest, 4096));
    GIVES(ENOEXEC, interpreter(longest, 4097));
    GIVES(ENOEXEC, interpreter("x", 1));
    GIVES(ENOEXEC, interpreter("xyz", 3));
    GIVES(EIO, interpreter("xyz", 4)->p_offset += 8192);
    GIVES(EINVAL, interpreter("xyz", 4)->p_offset = -1);
}

static void files_of_interpreters(void) {
    static const char script[100] = "#!/bin/sh\n";
    put("plain", self, size, 0644);
    put("empty", "", 0, 0755);
    put("short", self, 40, 0755);
    put("script", script, sizeof script, 0755);
    CHECK(!symlink("loop", "loop"));
    GIVES(EACCES, interpreter("./plain", 8));
    GIVES(EIO, interpreter("./empty", 8));
    GIVES(EIO, interpreter("./short", 8));
    GIVES(ELIBBAD, interpreter("./script", 9));
    GIVES(ELOOP, interpreter("./loop", 7));
}

int main(int argc, char **argv) {
    if (argc > 1) {
        return 200;
    }
    read_self();
    RUN(the_header);
    RUN(segments);
    RUN(names_of_interpreters);
    RUN(files_of_interpreters);
    return 0;
}
