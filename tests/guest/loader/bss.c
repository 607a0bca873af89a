// SPDX-License-Identifier: GPL-2.0-or-later
// Data has what the file says, the rest of the data segment is zero, and so is the heap.
#include <unistd.h>

#include "../check.h"

extern char end;
static char some[5001] = {1, [5000] = 2};
static char none[300001];
static const char fixed[9000] = {3, [8999] = 4};
static __thread int of_thread = 5;
static __thread char none_of_thread[5000];

static void data(void) {
    CHECK(some[0] == 1 && some[5000] == 2 && fixed[0] == 3 && fixed[8999] == 4);
    CHECK(of_thread == 5);
    for (int i = 1; i < 5000; i++) {
        CHECK(some[i] == 0 && none_of_thread[i] == 0);
    }
}

static void zeros(void) {
    for (size_t i = 0; i < sizeof none; i++) {
        CHECK(none[i] == 0);
    }
    memset(none, 7, sizeof none);
    CHECK(none[sizeof none - 1] == 7);
}

static void last_page_is_zero_to_its_end(void) {
    for (volatile char *byte = &end; (uintptr_t)byte % 4096; byte++) {
        CHECK(*byte == 0);
    }
}

static void heap_is_zero(void) {
    char *start = sbrk(0);
    CHECK(sbrk(100000) == start && sbrk(0) == start + 100000);
    for (int i = 0; i < 100000; i++) {
        CHECK(start[i] == 0);
    }
    memset(start, 9, 100000);
    CHECK(sbrk(-100000) == start + 100000 && sbrk(0) == start);
    CHECK(sbrk(100000) == start && start[8192] == 0);
}

static void text_cannot_be_written(void) {
    int ends[2];
    CHECK(!pipe(ends) && write(ends[1], "x", 1) == 1);
    FAILS(EFAULT, read(ends[0], (void *)(uintptr_t)heap_is_zero, 1));
    FAILS(EFAULT, read(ends[0], (void *)(uintptr_t)fixed, 1));
}

int main(void) {
    RUN(last_page_is_zero_to_its_end);
    RUN(heap_is_zero);
    RUN(data);
    RUN(zeros);
    RUN(text_cannot_be_written);
}
