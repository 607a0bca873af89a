#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Write C stubs for the entry points of every CPU of libunicorn.a but AArch64.
# uc.c names them all; defined here, they keep the linker from pulling in the other CPUs: 16 MB less.
set -eu
nm --undefined-only "$1" 2>/dev/null |
    sed -nE 's/^ +U ((reg_read|reg_write|uc_init)_.*)$/\1/p' | grep -v '_aarch64$' | sort -u |
    sed -E '1i #include <stdlib.h>
s/.*/void &(void);\nvoid &(void) { abort(); }/'
