#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# build_deb.sh FOLDER: build the Debian package from what `make` has built, in FOLDER; prints its name.
set -eu

tree=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
version=$(cd "$tree" && python3 -c 'from usermode.version import VERSION; print(VERSION)')
# The same sources give the same package: its times are those of the last commit, or of the sources' version file.
: "${SOURCE_DATE_EPOCH:=$(git -C "$tree" log -1 --format=%ct 2>/dev/null || stat -c %Y "$tree/usermode/version.py")}"
export SOURCE_DATE_EPOCH USERMODE_TREE="$tree"

rm -rf "$folder"
mkdir -p "$folder/usermode"
cp -R "$tree/packaging/debian" "$folder/usermode/debian"
maintainer=$(sed -n 's/^Maintainer: //p' "$tree/packaging/debian/control")
cat >"$folder/usermode/debian/changelog" <<END
usermode ($version) unstable; urgency=medium

  * Version $version; CHANGELOG.md in the source tells what is new.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
cd "$folder/usermode"
dpkg-buildpackage --build=binary --no-sign --no-check-builddeps >../log 2>&1 || {
    echo "make: dpkg-buildpackage failed: $(tail -n 1 ../log) (all of its words: $folder/log)" >&2
    exit 1
}
cd ..
ls "$PWD"/usermode_*.deb
