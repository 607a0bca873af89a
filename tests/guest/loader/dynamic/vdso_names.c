// SPDX-License-Identifier: GPL-2.0-or-later
// The dynamic linker finds the vDSO, its name and its versioned symbols.
// flags: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <time.h>

#include "../../check.h"

#define LIBRARY "linux-vdso.so.1"
#ifdef __aarch64__
#define NAME "__kernel_clock_gettime"
#define VERSION "LINUX_2.6.39"
#else
#define NAME "__vdso_clock_gettime"
#define VERSION "LINUX_2.6"
#endif

static int visit(struct dl_phdr_info *info, size_t size, void *found) {
    if (!strcmp(info->dlpi_name, LIBRARY)) {
        CHECK(info->dlpi_addr == getauxval(AT_SYSINFO_EHDR));
        ++*(int *)found;
    }
    return 0;
}

static void listed_once(void) {
    int found = 0;
    dl_iterate_phdr(visit, &found);
    CHECK(found == 1);
}

static void symbol_by_version(void) {
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_NOLOAD);
    CHECK(library);
    int (*function)(clockid_t, struct timespec *) = dlvsym(library, NAME, VERSION);
    CHECK(function && !dlvsym(library, NAME, "LINUX_9"));
    struct timespec now;
    CHECK(function(CLOCK_MONOTONIC, &now) == 0 && now.tv_nsec < 1000000000);
    Dl_info info;
    CHECK(dladdr((void *)(uintptr_t)function, &info) &&
          info.dli_fbase == (void *)getauxval(AT_SYSINFO_EHDR));
}

int main(void) {
    RUN(listed_once);
    RUN(symbol_by_version);
}
