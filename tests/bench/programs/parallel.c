/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parallel N: two threads, each N rounds of 64-bit arithmetic, with nothing shared. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
    long rounds;
    uint64_t state;
};

static void *work(void *argument) {
    struct part *part = argument;
    uint64_t x = part->state;
    for (long n = part->rounds; n > 0; n--)
        x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u + (uint64_t)n;
    part->state = x;
    return NULL;
}

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 1;
    struct part parts[2] = {{rounds, 1}, {rounds, 2}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, &parts[i]))
            return 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%016llx %016llx\n", (unsigned long long)parts[0].state,
           (unsigned long long)parts[1].state);
    return 0;
}
