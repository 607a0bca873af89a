/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chase N: follow N pointers through a random cycle over 2 MiB, one a cache line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = (2 << 20) / 64 };
static struct node {
    struct node *next;
    char rest[56];
} nodes[NODES];
static unsigned order[NODES];

int main(int argc, char **argv) {
    uint64_t state = 42;
    for (unsigned i = 0; i < NODES; i++)
        order[i] = i;
    for (unsigned i = NODES - 1; i > 0; i--) { /* Sattolo's shuffle: a single cycle */
        state = state * 6364136223846793005u + 1442695040888963407u;
        unsigned j = (unsigned)(state >> 33) % i;
        unsigned swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (unsigned i = 0; i < NODES; i++)
        nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
    struct node *node = nodes;
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
        node = node->next;
    printf("%ld\n", (long)(node - nodes));
    return 0;
}
