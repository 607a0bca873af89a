#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# install_packages.sh PACKAGE...: install the Debian packages that are missing, or explain in one line why that fails.
set -eu

fail() {
    echo "make: $1" >&2
    exit 1
}

missing=
for package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "missing packages:$missing; run as root once, or install them"
        sudo=sudo
    fi
    echo "  install$missing"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    $sudo apt-get update -qq >"$log" 2>&1 ||
        fail "apt-get update failed; is there a network? $(tail -n 1 "$log")"
    for package in $missing; do
        apt-cache show "$package" >/dev/null 2>&1 ||
            fail "this system has no package $package; the build needs Debian 12 (bookworm)"
    done
    # $missing is a list of words.
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1 ||
        fail "apt-get install failed: $(tail -n 1 "$log")"
fi
[ -x /usr/bin/python3.11 ] || fail "/usr/bin/python3.11 is missing; the build needs Debian 12 (bookworm)"
