/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks for self-checking guest programs: the first that fails is printed and ends the program with status 1. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* These programs hand over bad arguments on purpose. */
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"

/* An address that is no process's own, on x86_64 and AArch64: the kernel's half. */
#define WILD ((void *)0xffff800000000000)

/* Status for "this machine cannot show it": printed as skipped, natively too. */
#define SKIPPED 77

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if (!(condition)) {                                                                        \
            int error_ = errno;                                                                    \
            printf("%s:%d: not true: %s (errno %d, %s)\n", __FILE_NAME__, __LINE__, #condition,    \
                   error_, strerror(error_));                                                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* The call returns -1 and sets this errno. */
#define FAILS(expected, call)                                                                      \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long value_ = (long)(call);                                                                \
        int error_ = errno;                                                                        \
        if (value_ != -1 || error_ != (expected)) {                                                \
            printf("%s:%d: %s gave %ld, errno %d (%s), not %s\n", __FILE_NAME__, __LINE__, #call,  \
                   value_, error_, strerror(error_), #expected);                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* A test function, and the line that says it went well. */
#define RUN(test)                                                                                  \
    do {                                                                                           \
        test();                                                                                    \
        printf("ok %s\n", #test);                                                                  \
        fflush(stdout);                                                                            \
    } while (0)

#endif
