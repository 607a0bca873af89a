/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's vDSO. Each function makes its system call: to read a clock without one takes the kernel's time page,
 * whose layout only the host's own vDSO knows, and anything computed from the cycle counter would drift from what
 * the system call says. __kernel_getrandom is left out, so that libraries call getrandom(2).
 */

#define NR_clock_gettime 113 /* <asm-generic/unistd.h> */
#define NR_clock_getres 114
#define NR_rt_sigreturn 139
#define NR_gettimeofday 169

    .text

.macro system_call name, number
    .globl \name
    .type \name, %function
    .balign 16
\name:
    mov x8, #\number
    svc #0
    ret
    .size \name, . - \name
.endm

/*
 * Where a signal handler returns to. libgcc, libunwind and gdb know a signal frame by exactly these two
 * instructions; some unwinders look up the address before, which the nop keeps inside this library's code
 * (arch/arm64/kernel/vdso/sigreturn.S).
 */
    .balign 16
    nop
    .globl __kernel_rt_sigreturn
    .type __kernel_rt_sigreturn, %function
__kernel_rt_sigreturn:
    mov x8, #NR_rt_sigreturn
    svc #0
    .size __kernel_rt_sigreturn, . - __kernel_rt_sigreturn

    system_call __kernel_gettimeofday, NR_gettimeofday
    system_call __kernel_clock_gettime, NR_clock_gettime
    system_call __kernel_clock_getres, NR_clock_getres

    .section .note.GNU-stack, "", %progbits
