/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rt_sigaction(2) as the kernel has it on x86_64: arch/x86/include/uapi/asm/signal.h. */
#ifndef USERMODE_KERNEL_SIGNALS_H
#define USERMODE_KERNEL_SIGNALS_H

#include <stdint.h>

#define SA_RESTORER_FLAG UINT64_C(0x04000000)
#define KERNEL_SIGSET_SIZE 8

struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

void return_from_signal(void);
int kernel_action(int number, const struct kernel_sigaction *new, struct kernel_sigaction *old);

#endif
