/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bytecode N: a switch interpreter runs a stack program that adds the lengths of the Collatz sequences up to N. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum operation { PUSH, LOAD, STORE, ADD, MULTIPLY, HALVE, ODD, EQUAL, LESS, JUMP, JUMP_IF, HALT };
enum { START, LENGTH, CURRENT, TOTAL, LIMIT, VARIABLES };

static const int program[] = {
    PUSH,    1,       STORE, START,                             /*  0: start = 1 */
    LOAD,    LIMIT,   LOAD,  START,   LESS,     JUMP_IF, 53,    /*  4: limit < start: to the end */
    LOAD,    START,   STORE, CURRENT,                           /* 11: current = start */
    LOAD,    CURRENT, PUSH,  1,       EQUAL,    JUMP_IF, 44,    /* 15: current == 1: next start */
    LOAD,    TOTAL,   PUSH,  1,       ADD,      STORE,   TOTAL, /* 22: total += 1 */
    LOAD,    CURRENT, ODD,   JUMP_IF, 54,                       /* 29: odd: to 54 */
    LOAD,    CURRENT, HALVE, STORE,   CURRENT,  JUMP,    15,    /* 34 */
    HALT,    HALT,    HALT,                                     /* 41 */
    LOAD,    START,   PUSH,  1,       ADD,      STORE,   START, JUMP, 4, /* 44: start += 1 */
    HALT,                                                                /* 53 */
    LOAD,    CURRENT, PUSH,  3,       MULTIPLY, PUSH,    1,     ADD,  STORE,
    CURRENT, /* 54: current = 3 * current + 1 */
    JUMP,    15,
};

static int64_t run(const int *code, int64_t *variables) {
    int64_t stack[8];
    int64_t *top = stack;
    for (const int *next = code;;) {
        switch ((enum operation) * next++) {
        case PUSH:
            *top++ = *next++;
            break;
        case LOAD:
            *top++ = variables[*next++];
            break;
        case STORE:
            variables[*next++] = *--top;
            break;
        case ADD:
            top--, top[-1] += top[0];
            break;
        case MULTIPLY:
            top--, top[-1] *= top[0];
            break;
        case HALVE:
            top[-1] >>= 1;
            break;
        case ODD:
            top[-1] &= 1;
            break;
        case EQUAL:
            top--, top[-1] = top[-1] == top[0];
            break;
        case LESS:
            top--, top[-1] = top[-1] < top[0];
            break;
        case JUMP:
            next = code + *next;
            break;
        case JUMP_IF:
            next = *--top ? code + *next : next + 1;
            break;
        case HALT:
            return variables[TOTAL];
        }
    }
}

int main(int argc, char **argv) {
    int64_t variables[VARIABLES] = {0};
    variables[LIMIT] = argc > 1 ? atol(argv[1]) : 1;
    printf("%lld\n", (long long)run(program, variables));
    return 0;
}
