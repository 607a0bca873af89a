/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chacha N: N blocks of ChaCha20 (RFC 8439) with vectors of four words: addition, exclusive or, shifts, shuffles. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint32_t words __attribute__((vector_size(16)));

static words rotate(words x, int bits) {
    return x << bits | x >> (32 - bits);
}

static void quarter_rounds(words *row) {
    row[0] += row[1], row[3] = rotate(row[3] ^ row[0], 16);
    row[2] += row[3], row[1] = rotate(row[1] ^ row[2], 12);
    row[0] += row[1], row[3] = rotate(row[3] ^ row[0], 8);
    row[2] += row[3], row[1] = rotate(row[1] ^ row[2], 7);
}

static void turn(words *row, int by) {
    const words steps[4] = {{0, 1, 2, 3}, {1, 2, 3, 0}, {2, 3, 0, 1}, {3, 0, 1, 2}};
    for (int i = 1; i < 4; i++)
        row[i] = __builtin_shuffle(row[i], steps[i * by & 3]);
}

static words block(const words *input) {
    words row[4] = {input[0], input[1], input[2], input[3]};
    for (int i = 0; i < 10; i++) {
        quarter_rounds(row);
        turn(row, 1);
        quarter_rounds(row);
        turn(row, -1);
    }
    return (row[0] + input[0]) ^ (row[1] + input[1]) ^ (row[2] + input[2]) ^ (row[3] + input[3]);
}

int main(int argc, char **argv) {
    words input[4] = {{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574},
                      {1, 2, 3, 4},
                      {5, 6, 7, 8},
                      {0, 9, 10, 11}};
    words sum = {0};
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--) {
        sum ^= block(input);
        input[3][0]++;
    }
    printf("%08x %08x %08x %08x\n", sum[0], sum[1], sum[2], sum[3]);
    return 0;
}
