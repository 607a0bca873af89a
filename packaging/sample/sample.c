/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usermode-sample: the guest program by which `usermode doctor` tries the interpreter and the kernel.
 *
 * It writes its arguments, one a line, and a last line of what the kernel says about its rights; then it waits for
 * the end of its standard input, so that whoever started it can look at the running process, and exits with status 23.
 * It needs no libc and no other file.
 */
#include <elf.h>
#include <stddef.h>
#include <sys/syscall.h>

enum { STATUS = 23, ROOM = 4000 };

static char text[ROOM]; /* fewer than PIPE_BUF, so that a pipe's reader gets all of it at once */
static size_t used;

static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

static void put(const char *word) {
    while (*word && used < ROOM)
        text[used++] = *word++;
}

static void put_number(unsigned long number) {
    char digits[24];
    char *first = digits + sizeof digits - 1;
    *first = 0;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    put(first);
}

static unsigned long auxiliary(const Elf64_auxv_t *vector, unsigned long type) {
    for (; vector->a_type != AT_NULL; vector++)
        if (vector->a_type == type)
            return vector->a_un.a_val;
    return 0;
}

/* The stack at the start: argc, argv, NULL, envp, NULL, auxv (the kernel's create_elf_tables()). */
__attribute__((used, noreturn)) void start(long *stack) {
    char **words = (char **)(stack + 1);
    for (long i = 0; i < *stack; i++) {
        put(words[i]);
        put("\n");
    }
    char **environment = words + *stack + 1;
    while (*environment)
        environment++;
    const Elf64_auxv_t *vector = (const Elf64_auxv_t *)(environment + 1);
    put("secure=");
    put_number(auxiliary(vector, AT_SECURE));
    put(" uid=");
    put_number(auxiliary(vector, AT_UID));
    put(" euid=");
    put_number(auxiliary(vector, AT_EUID));
    put("\n");
    call(SYS_write, 1, (long)text, (long)used);
    while (call(SYS_read, 0, (long)text, ROOM) > 0)
        ;
    for (;;)
        call(SYS_exit_group, STATUS, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tmov x29, xzr\n\tb start\n");
