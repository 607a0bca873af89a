/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mseal(2): a sealed mapping stays as it is, and can be used after every refusal. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static unsigned char *pages;

static void usable(void) {
    for (int i = 0; i < 3; i++) {
        pages[(unsigned)i * PAGE]++;
    }
    CHECK(pages[0] == pages[PAGE] && pages[PAGE] == pages[2 * PAGE]);
}

static void stays(void) {
    unsigned char *sealed = pages + PAGE, *elsewhere = pages + 8 * PAGE;
    usable();
    FAILS(EPERM, munmap(sealed, PAGE));
    usable();
    FAILS(EPERM, mprotect(sealed, PAGE, PROT_READ));
    FAILS(EPERM, mprotect(sealed, PAGE, PROT_NONE));
    usable();
    FAILS(EPERM, mmap(sealed, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    usable();
    FAILS(EPERM, mremap(sealed, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
    FAILS(EPERM, mremap(pages, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, sealed));
    usable();
}

static void refusals(void) {
    FAILS(EINVAL, syscall(SYS_mseal, pages + 1, PAGE, 0));
    FAILS(EINVAL, syscall(SYS_mseal, pages, PAGE, 1));
    FAILS(ENOMEM, syscall(SYS_mseal, pages + 20 * PAGE, PAGE, 0));
    FAILS(EINVAL, syscall(SYS_mseal, pages, -PAGE, 0));
    CHECK(syscall(SYS_mseal, pages, 0, 0) == 0);
}

int main(void) {
    pages = mmap(NULL, 32 * PAGE, PROT_NONE, ANON, -1, 0);
    CHECK(pages != MAP_FAILED && munmap(pages, 32 * PAGE) == 0);
    CHECK(mmap(pages, 3 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == pages);
    if (syscall(SYS_mseal, pages + PAGE, PAGE, 0)) {
        printf("no mseal here\n");
        return 0;
    }
    RUN(stays);
    RUN(refusals);
    return 0;
}
