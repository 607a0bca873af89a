// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stands for a kernel with flag T of binfmt_misc (Linux 7.3): registered with flags POF in the interpreter's place, it loads
 * the interpreter as execve(2) would and starts it as that flag promises: argv is the program's own, the program comes in
 * AT_EXECFD, and AT_FLAGS has AT_FLAGS_TRANSPARENT_INTERP. Source: admin-guide/binfmt-misc.rst, "Transparent interpreters".
 * And /proc/self/exe is not the interpreter: it is this program, which cannot run without AT_EXECFD.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define TRANSPARENT_INTERP 2
#define MOST_SEGMENTS 32

static Elf64_Ehdr header;
static Elf64_Phdr segments[MOST_SEGMENTS];

static void need(int true, const char *what) {
    if (!true) {
        err(99, "%s", what);
    }
}

static uint64_t page(uint64_t address) {
    return address & -PAGE;
}

static int protection(uint32_t flags) {
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
           (flags & PF_X ? PROT_EXEC : 0);
}

/* Maps one segment of the file, and zeroed memory where it is longer than that. */
static void map_segment(int fd, const Elf64_Phdr *segment, uint64_t base) {
    uint64_t start = page(base + segment->p_vaddr),
             file_end = base + segment->p_vaddr + segment->p_filesz;
    uint64_t end = base + segment->p_vaddr + segment->p_memsz, mapped = page(file_end + PAGE - 1);
    int access = protection(segment->p_flags);
    need(mmap((void *)start, file_end - start, access, MAP_PRIVATE | MAP_FIXED, fd,
              (off_t)page(segment->p_offset)) != MAP_FAILED,
         "a segment");
    if (end > mapped) {
        need(mmap((void *)mapped, page(end + PAGE - 1) - mapped, access,
                  MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED,
             "zeroed memory");
    }
    if (end > file_end && access & PROT_WRITE) {
        memset((void *)file_end, 0, (end < mapped ? end : mapped) - file_end);
    }
}

/* Returns where the interpreter, a position-independent program, was put. */
static uint64_t load(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    need(fd >= 0 && read(fd, &header, sizeof header) == sizeof header, path);
    need(header.e_type == ET_DYN && header.e_phnum <= MOST_SEGMENTS, "its kind");
    ssize_t size = header.e_phnum * (ssize_t)sizeof *segments;
    need(pread(fd, segments, (size_t)size, (off_t)header.e_phoff) == size, "its segments");
    uint64_t span = 0;
    for (int i = 0; i < header.e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            span = segments[i].p_vaddr + segments[i].p_memsz;
        }
    }
    void *base = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(base != MAP_FAILED, "room");
    for (int i = 0; i < header.e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            map_segment(fd, &segments[i], (uint64_t)base);
        }
    }
    close(fd);
    return (uint64_t)base;
}

static uint64_t changed(uint64_t key, uint64_t value, uint64_t base) {
    switch (key) {
    case AT_PHDR:
        return base + header.e_phoff;
    case AT_PHNUM:
        return header.e_phnum;
    case AT_ENTRY:
        return base + header.e_entry;
    case AT_BASE:
        return 0;
    case AT_FLAGS:
        return TRANSPARENT_INTERP;
    default:
        return value;
    }
}

int main(int count, char **words, char **environment) {
    need(count > 2 && getauxval(AT_EXECFD) && getauxval(AT_FLAGS) == 1, "started without flags PO");
    uint64_t base = load(INTERPRETER);
    int variables = 0;
    while (environment[variables]) {
        variables++;
    }
    /* Not behind the environment: libc shifts that when it removes variables from a privileged program's. */
    Elf64_auxv_t vector[64];
    int fd = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
    long entries = fd < 0 ? 0 : read(fd, vector, sizeof vector) / (long)sizeof *vector;
    need(entries > 0, "the auxiliary vector");
    close(fd);
    /* argc, argv, NULL, envp, NULL, auxv: the strings stay where the kernel put them. */
    uint64_t size = 1 + (uint64_t)count - 2 + 1 + (uint64_t)variables + 1 + 2 * (uint64_t)entries;
    uint64_t stack[size + 1];
    uint64_t *top = (uint64_t *)(((uintptr_t)stack + 8) & -16ul), *to = top;
    *to++ = (uint64_t)count - 2; /* without the interpreter and the path */
    memcpy(to, words + 2, sizeof *words * (size_t)(count - 1));
    to += count - 1;
    memcpy(to, environment, sizeof *environment * (size_t)(variables + 1));
    to += variables + 1;
    for (long i = 0; i < entries; i++) {
        *to++ = vector[i].a_type;
        *to++ = changed(vector[i].a_type, vector[i].a_un.a_val, base);
    }
    __asm__ volatile("mov %0, %%rsp; xor %%edx, %%edx; jmp *%1"
                     :
                     : "r"(top), "r"(base + header.e_entry)
                     : "memory", "rdx");
    __builtin_unreachable();
}
