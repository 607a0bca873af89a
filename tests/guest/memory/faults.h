/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Catching SIGSEGV and SIGBUS: FAULTS(signal, code, address, expression) expects exactly that fault. */
#ifndef FAULTS_H
#define FAULTS_H

#include <setjmp.h>
#include <signal.h>

#include "../check.h"

static sigjmp_buf fault_way_back;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    fault_signal = number;
    fault_code = info->si_code;
    fault_address = info->si_addr;
    siglongjmp(fault_way_back, 1);
}

/* The handler runs on a stack of its own, so that it can be told of an overflow of the other. */
static inline void catch_faults(void) {
    static char stack[65536];
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK(sigaltstack(&own, NULL) == 0);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
}

#define FAULTS(number, code, address, expression)                                                  \
    do {                                                                                           \
        fault_signal = 0;                                                                          \
        if (!sigsetjmp(fault_way_back, 1)) {                                                       \
            expression;                                                                            \
        }                                                                                          \
        if (fault_signal != (number) || fault_code != (code) ||                                    \
            fault_address != (void *)(address)) {                                                  \
            printf("%s:%d: %s: signal %d, code %d, address off by %ld\n", __FILE_NAME__, __LINE__, \
                   #expression, fault_signal, fault_code,                                          \
                   (long)((char *)fault_address - (char *)(address)));                             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#endif
