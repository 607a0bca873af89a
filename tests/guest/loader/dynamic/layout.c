// SPDX-License-Identifier: GPL-2.0-or-later
// Where a program and its libraries lie: segments at the alignment they ask for, everything reachable.
#define _GNU_SOURCE
#include <link.h>
#include <unistd.h>

#include "../../check.h"

int numbers[3000] = {1, 2, [2999] = 3}, zeros[70000];
const int constants[3000] = {4, 5, [2999] = 6};
static int objects;

static int visit(struct dl_phdr_info *info, size_t size, void *main_program) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && !objects) {
            uintptr_t address = info->dlpi_addr + segment->p_vaddr;
            CHECK((address - segment->p_offset) % segment->p_align == 0);
            volatile const char *bytes = (const char *)address;
            if (segment->p_flags & PF_R) {
                (void)bytes[0], (void)bytes[segment->p_memsz - 1];
            }
        }
    }
    objects++;
    return 0;
}

static void segments(void) {
    dl_iterate_phdr(visit, NULL);
    CHECK(objects >= 1);
}

static void contents(void) {
    CHECK(numbers[0] == 1 && numbers[2999] == 3 && numbers[1500] == 0);
    CHECK(constants[0] == 4 && constants[2999] == 6);
    for (int i = 0; i < 70000; i++) {
        CHECK(zeros[i] == 0);
    }
}

static void memory_and_output(void) {
    char *memory = malloc(1 << 22);
    CHECK(memory && sbrk(0) != (void *)-1);
    memset(memory, 1, 1 << 22);
    free(memory);
}

int main(void) {
    RUN(segments);
    RUN(contents);
    RUN(memory_and_output);
}
