/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbody N: N steps of five bodies under gravity (square roots, divisions, additions in double precision).
 * Compiled with -ffp-contract=off, so that every CPU rounds alike.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODIES = 5 };
static struct body {
    double x[3], v[3], mass;
} bodies[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, 39.5},
    {{4.84, -1.16, -0.1}, {0.606, 2.81, -0.02}, 0.0377},
    {{8.34, 4.12, -0.4}, {-1.01, 1.82, 0.008}, 0.0113},
    {{12.9, -15.1, -0.22}, {1.08, 0.868, -0.011}, 0.00172},
    {{15.4, -25.9, 0.18}, {0.979, 0.594, -0.035}, 0.00203},
};

static void step(double dt) {
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = bodies[i].x[k] - bodies[j].x[k];
                square += d[k] * d[k];
            }
            double magnitude = dt / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                bodies[i].v[k] -= d[k] * bodies[j].mass * magnitude;
                bodies[j].v[k] += d[k] * bodies[i].mass * magnitude;
            }
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].x[k] += dt * bodies[i].v[k];
}

int main(int argc, char **argv) {
    for (long n = argc > 1 ? atol(argv[1]) : 1; n > 0; n--)
        step(0.01);
    for (int i = 0; i < BODIES; i++)
        printf("%a %a %a\n", bodies[i].x[0], bodies[i].x[1], bodies[i].x[2]);
    return 0;
}
