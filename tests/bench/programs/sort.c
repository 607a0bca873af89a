/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sort N: qsort(3) of N strings with strcmp(3), then of N numbers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next(void) {
    static uint64_t state = 7;
    return state = state * 6364136223846793005u + 1442695040888963407u;
}

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_numbers(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    char **strings = calloc(n, sizeof *strings);
    uint32_t *numbers = calloc(n, sizeof *numbers);
    if (!strings || !numbers)
        return 1;
    for (size_t i = 0; i < n; i++) {
        char text[40];
        snprintf(text, sizeof text, "/usr/share/doc/%08x", (unsigned)(next() >> 40));
        strings[i] = strdup(text);
        numbers[i] = (uint32_t)(next() >> 32);
    }
    qsort(strings, n, sizeof *strings, compare_strings);
    qsort(numbers, n, sizeof *numbers, compare_numbers);
    printf("%s %s %u %u\n", strings[0], strings[n / 2], numbers[0], numbers[n / 2]);
    return 0;
}
