/* SPDX-License-Identifier: GPL-2.0-or-later */
/* strings N: N rounds of the C library's string functions on short and middling strings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    static char text[512], copy[512];
    unsigned long sum = 0;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--) {
        int length = snprintf(text, sizeof text, "%ld:%s:%lx", n,
                              "the quick brown fox jumps over the lazy dog", sum);
        memset(text + length, 'a' + (int)(n % 26), 200);
        text[length + 200] = 0;
        strcpy(copy, text);
        copy[length + 100]++;
        sum += strlen(text) + (size_t)(strchr(text, 'q') - text) +
               (size_t)(strstr(text, "lazy") - text);
        sum += (unsigned)(strcmp(text, copy) < 0) + (unsigned)(memcmp(text, copy, 64) == 0);
        memmove(copy + 3, copy, 300);
        sum += (unsigned long)strtol(copy + 3, NULL, 10) +
               (size_t)((char *)memchr(copy, 'z', 300) - copy);
    }
    printf("%lu\n", sum);
    return 0;
}
