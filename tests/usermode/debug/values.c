/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program to be looked at and changed by a debugger. */
#include <stdio.h>
#include <stdlib.h>

struct point {
    int x;
    double y;
};

static int counter;
static __thread int own = 5;

__attribute__((noinline)) static double half(double v) {
    return v / 2;
}

__attribute__((noinline)) static int sum(struct point *p, int n) {
    int total = 0;
    for (int i = 0; i < n; i++) {
        total += p[i].x;
        counter += i; /* in the loop */
    }
    return total;
}

int main(int argc, char **argv) {
    struct point points[3] = {{1, 1.5}, {2, 2.5}, {3, 3.5}};
    float quarter = 0.25f;
    int total = sum(points, 3);
    double h = half(points[2].y + quarter);
    printf("total %d half %g counter %d own %d %s\n", total, h, counter, own, argv[argc - 1]);
    return total;
}
