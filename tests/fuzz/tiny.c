// SPDX-License-Identifier: GPL-2.0-or-later
// A program of two segments without a library: writes its data, ends with what its zeros hold.
char data[5000] = "hello\n", zeros[9000];

void _start(void) {
    register long x8 __asm__("x8") = 64; // write
    register long x0 __asm__("x0") = 1;
    register char *x1 __asm__("x1") = data;
    register long x2 __asm__("x2") = 6;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    x8 = 94; // exit_group
    x0 = zeros[8999];
    __asm__ volatile("svc #0" : : "r"(x8), "r"(x0));
    __builtin_trap();
}
