// SPDX-License-Identifier: GPL-2.0-or-later
// The vDSO is an ELF image in memory, and its functions answer what the system calls answer. vdso(7).
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

#ifdef __aarch64__
#define NAME(call) "__kernel_" #call
#define VERSION "LINUX_2.6.39"
#else
#define NAME(call) "__vdso_" #call
#define VERSION "LINUX_2.6"
#endif

static uintptr_t base;
static const ElfW(Sym) * symbols;
static const char *names;
static const ElfW(Half) * versions;
static const ElfW(Verdef) * definitions;

static void image(void) {
    const ElfW(Ehdr) *header = (const void *)getauxval(AT_SYSINFO_EHDR);
    CHECK(header && (uintptr_t)header % 4096 == 0);
    CHECK(!memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_type == ET_DYN);
    const ElfW(Phdr) *segment = (const void *)((const char *)header + header->e_phoff);
    const ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD) {
            base = (uintptr_t)header - segment[i].p_vaddr + segment[i].p_offset;
            CHECK(segment[i].p_flags == (PF_R | PF_X));
        } else if (segment[i].p_type == PT_DYNAMIC) {
            dynamic = (const void *)((const char *)header + segment[i].p_offset);
        }
    }
    CHECK(dynamic);
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = (const void *)(base + dynamic->d_un.d_ptr);
        switch (dynamic->d_tag) {
        case DT_SYMTAB:
            symbols = at;
            break;
        case DT_STRTAB:
            names = at;
            break;
        case DT_VERSYM:
            versions = at;
            break;
        case DT_VERDEF:
            definitions = at;
            break;
        }
    }
    CHECK(symbols && names && versions && definitions);
}

static const char *version_name(unsigned index) {
    const ElfW(Verdef) *at = definitions;
    while (at->vd_ndx != index) {
        CHECK(at->vd_next);
        at = (const void *)((const char *)at + at->vd_next);
    }
    const ElfW(Verdaux) *name = (const void *)((const char *)at + at->vd_aux);
    return names + name->vda_name;
}

static void *find(const char *name) {
    /* Functions come from no further than the string table, which follows the symbols in every vDSO. */
    for (unsigned i = 1; (const char *)&symbols[i] < names; i++) {
        if (symbols[i].st_shndx != SHN_UNDEF && !strcmp(names + symbols[i].st_name, name)) {
            CHECK(ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC);
            CHECK(!strcmp(version_name(versions[i] & 0x7fff), VERSION));
            return (void *)(base + symbols[i].st_value);
        }
    }
    return NULL;
}

static int64_t nanoseconds(struct timespec t) {
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void clock_gettime_agrees(void) {
    int (*function)(clockid_t, struct timespec *) = find(NAME(clock_gettime));
    CHECK(function);
    static const clockid_t clocks[] = {
        CLOCK_REALTIME,         CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
        CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,  CLOCK_TAI,           CLOCK_PROCESS_CPUTIME_ID,
        CLOCK_THREAD_CPUTIME_ID};
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec before, between, after;
        CHECK(!syscall(SYS_clock_gettime, clocks[i], &before));
        CHECK(function(clocks[i], &between) == 0);
        CHECK(!syscall(SYS_clock_gettime, clocks[i], &after));
        CHECK(nanoseconds(before) <= nanoseconds(between));
        CHECK(nanoseconds(between) <= nanoseconds(after));
    }
    struct timespec unused;
    CHECK(function(9999, &unused) == -EINVAL);
}

static void clock_getres_agrees(void) {
    int (*function)(clockid_t, struct timespec *) = find(NAME(clock_getres));
    CHECK(function);
    struct timespec ours, theirs;
    for (clockid_t clock = CLOCK_REALTIME; clock <= CLOCK_MONOTONIC_COARSE; clock++) {
        CHECK(!syscall(SYS_clock_getres, clock, &theirs) && function(clock, &ours) == 0);
        CHECK(nanoseconds(ours) == nanoseconds(theirs));
    }
    CHECK(function(CLOCK_MONOTONIC, NULL) == 0 && function(9999, &ours) == -EINVAL);
}

static void gettimeofday_agrees(void) {
    int (*function)(struct timeval *, struct timezone *) = find(NAME(gettimeofday));
    CHECK(function);
    struct timeval before, between, after;
    struct timezone zone = {1, 1};
    CHECK(!syscall(SYS_gettimeofday, &before, NULL));
    CHECK(function(&between, &zone) == 0);
    CHECK(!syscall(SYS_gettimeofday, &after, NULL));
    CHECK(!timercmp(&before, &between, >) && !timercmp(&between, &after, >));
    CHECK(zone.tz_dsttime == 0);
    CHECK(function(NULL, NULL) == 0);
}

static void cannot_be_written(void) {
    int ends[2];
    CHECK(!pipe(ends) && write(ends[1], "x", 1) == 1);
    FAILS(EFAULT, read(ends[0], (void *)getauxval(AT_SYSINFO_EHDR), 1));
}

int main(void) {
    RUN(image);
    RUN(clock_gettime_agrees);
    RUN(clock_getres_agrees);
    RUN(gettimeofday_agrees);
    RUN(cannot_be_written);
}
