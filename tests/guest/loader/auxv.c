// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel hands a program at its start: the auxiliary vector, arguments, environment. getauxval(3).
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static int argc;
static char **argv, **envp;
static ElfW(auxv_t) * vector;

static void numbers(void) {
    CHECK(getauxval(AT_PAGESZ) == 4096 && sysconf(_SC_PAGESIZE) == 4096);
    CHECK(getauxval(AT_CLKTCK) == 100 && sysconf(_SC_CLK_TCK) == 100);
    CHECK(getauxval(AT_FLAGS) == 0);
    CHECK(getauxval(AT_HWCAP) != 0);
    CHECK(getauxval(AT_MINSIGSTKSZ) > 1000 && getauxval(AT_MINSIGSTKSZ) < 20000);
}

static void credentials(void) {
    CHECK(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    CHECK(getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    CHECK(getauxval(AT_SECURE) == 0);
}

static void program_headers(void) {
    extern const char __executable_start;
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    CHECK(getauxval(AT_PHENT) == sizeof *headers);
    const ElfW(Ehdr) *header = (const void *)&__executable_start;
    CHECK(!memcmp(header->e_ident, ELFMAG, SELFMAG));
    CHECK((const char *)headers == (const char *)header + header->e_phoff);
    CHECK(getauxval(AT_PHNUM) == header->e_phnum);
    uintptr_t bias = header->e_type == ET_DYN ? (uintptr_t)header : 0;
    CHECK(getauxval(AT_ENTRY) == header->e_entry + bias);
    bool dynamic = false;
    for (int i = 0; i < header->e_phnum; i++) {
        dynamic |= headers[i].p_type == PT_INTERP;
    }
    CHECK(!getauxval(AT_BASE) == !dynamic);
    if (dynamic) {
        CHECK(!memcmp((const void *)getauxval(AT_BASE), ELFMAG, SELFMAG));
    }
}

static void strings(void) {
    struct utsname names;
    CHECK(!uname(&names) && !strcmp((const char *)getauxval(AT_PLATFORM), names.machine));
    CHECK(!strcmp((const char *)getauxval(AT_EXECFN), argv[0]));
}

static void stack_layout(void) {
    CHECK((uintptr_t)(argv - 1) % 16 == 0);
    CHECK(((long *)argv)[-1] == argc);
    CHECK(envp == argv + argc + 1);
    const char *next = argv[0];
    for (int i = 0; i < argc; i++) {
        CHECK(argv[i] == next);
        next += strlen(next) + 1;
    }
    for (char **variable = envp; *variable; variable++) {
        CHECK(*variable == next);
        next += strlen(next) + 1;
    }
    CHECK((const char *)getauxval(AT_EXECFN) == next);
    next += strlen(next) + 1;
    for (int i = 0; i < 8; i++) {
        CHECK(next[i] == 0);
    }
    CHECK((uintptr_t)(next + 8) % 4096 == 0);
}

static void shown_in_proc(void) {
    char content[4096];
    int file = open("/proc/self/auxv", O_RDONLY);
    ssize_t size = read(file, content, sizeof content);
    CHECK(size > 0 && size % sizeof *vector == 0);
    CHECK(!memcmp(content, vector, size));
    CHECK(vector[size / sizeof *vector - 1].a_type == AT_NULL);
    close(file);
    file = open("/proc/self/cmdline", O_RDONLY);
    size = read(file, content, sizeof content);
    CHECK(size == envp[0] - argv[0] && !memcmp(content, argv[0], size));
    close(file);
}

static void each_type_once(void) {
    unsigned long seen = 0;
    for (ElfW(auxv_t) *entry = vector; entry->a_type != AT_NULL; entry++) {
        CHECK(entry->a_type < 64 && !(seen >> entry->a_type & 1));
        seen |= 1UL << entry->a_type;
    }
}

/* Runs this program anew; returns what it writes. */
static void run_again(char *const *arguments, char *const *environment, char *answer, size_t size) {
    int ends[2];
    CHECK(!pipe(ends));
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        dup2(ends[1], 1);
        execve(argv[0], arguments, environment);
        _exit(9);
    }
    close(ends[1]);
    memset(answer, 0, size);
    size_t done = 0;
    for (ssize_t n; (n = read(ends[0], answer + done, size - done)) > 0; done += n) {
    }
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void random_bytes(void) {
    char first[64], second[64];
    char *arguments[] = {argv[0], "random", NULL}, *environment[] = {NULL};
    run_again(arguments, environment, first, sizeof first);
    run_again(arguments, environment, second, sizeof second);
    CHECK(strlen(first) == 32 && strlen(second) == 32 && strcmp(first, second));
}

static void no_arguments_at_all(void) {
    char answer[64];
    char *nothing[] = {NULL};
    run_again(nothing, nothing, answer, sizeof answer);
    CHECK(!strcmp(answer, "1 [] 0"));
}

int main(int count, char **arguments, char **environment) {
    argc = count, argv = arguments, envp = environment;
    char **last = envp;
    while (*last) {
        last++;
    }
    vector = (void *)(last + 1);
    if (!argv[0][0]) {
        printf("%d [%s] %ld", argc, argv[0], (long)(last - envp));
        return 0;
    }
    if (argc > 1) {
        const unsigned char *bytes = (const void *)getauxval(AT_RANDOM);
        for (int i = 0; i < 16; i++) {
            printf("%02x", bytes[i]);
        }
        return 0;
    }
    RUN(numbers);
    RUN(credentials);
    RUN(program_headers);
    RUN(strings);
    RUN(stack_layout);
    RUN(shown_in_proc);
    RUN(each_type_once);
    RUN(random_bytes);
    RUN(no_arguments_at_all);
}
