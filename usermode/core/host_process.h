/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting processes, and raw system calls for code that may not touch libc's errno. */
#ifndef USERMODE_HOST_PROCESS_H
#define USERMODE_HOST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* struct clone_args of <linux/sched.h>, as clone3(2) of Linux 5.7 has it. */
struct clone_request {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size, cgroup;
};

static inline long raw_call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f) {
    long result;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline uint64_t word_of(const volatile void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

/* fork.c */
long raw_fork(const struct clone_request *request, bool extended);
pid_t *libc_tid(void);
bool libc_is_ours(void);

/* proxy.c */
long proxy_fork(struct engine *e, const struct clone_request *request, bool extended);

#endif
