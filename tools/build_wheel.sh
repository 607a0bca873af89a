#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# build_wheel.sh FOLDER: build the wheel and the source distribution in FOLDER. pip has no command for the latter.
set -eu

cd "$(dirname "$0")/.."
folder=$(realpath -m "$1")
backend=build/backend
wanted=$(sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml)
if [ ! -e "$backend/$wanted" ]; then
    rm -rf "$backend"
    .venv/bin/pip install -q --disable-pip-version-check --target "$backend" "$wanted"
    touch "$backend/$wanted"
fi
rm -f "$folder"/usermode-*
PYTHONPATH=$backend .venv/bin/python -m hatchling build -d "$folder" >/dev/null
ls "$folder"/usermode-*
