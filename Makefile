# SPDX-License-Identifier: GPL-2.0-or-later
# `make` prepares the machine, builds everything and runs a first program; `make help` lists the rest.

PYTHON ?= /usr/bin/python3.11
VENV := .venv
PYTEST := $(VENV)/bin/python -m pytest
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

PACKAGES := gcc libc6-dev make pkg-config python3.11 python3-venv python3-dev libpython3.11-dev libexpat1-dev \
    zlib1g-dev libsystemd-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross clang-format qemu-user debootstrap \
    gdb-multiarch

STAMP_APT := build/apt.ok
STAMP_VENV := $(VENV)/installed
say = @echo "  $(1)"

# For the packages alone: `make deb` installs these.
DEB_PACKAGES := build-essential debhelper dh-python lintian

.PHONY: all help venv deb wheel test test-long fuzz bench acceptance lint format clean distclean

## all: prepare, build, and run an AArch64 program (the default)
all: interpreter build/sample/bin/busybox
	@echo "  run build/usermode-aarch64 build/sample/bin/busybox uname -sm:"
	@build/usermode-aarch64 build/sample/bin/busybox uname -sm

## help: say what each target does
help:
	@sed -n 's/^## /  make /p' Makefile

$(STAMP_APT): Makefile
	@tools/install_packages.sh $(PACKAGES)
	@mkdir -p build && touch $@

## venv: the virtual environment .venv with the pinned Python packages
venv: $(STAMP_VENV)
# Without setuptools, whose .pth file costs every start of Python 4 ms.
$(STAMP_VENV): pyproject.toml | $(STAMP_APT)
	$(call say,install the Python packages into $(VENV))
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip uninstall -q -y setuptools 2>/dev/null
	@$(VENV)/bin/pip install -q --disable-pip-version-check -e '.[build,systemd,test]' 2>$(VENV)/pip.log || \
	    { grep ERROR $(VENV)/pip.log | tail -n 1; echo "make: pip could not install the Python packages; is there a network? (all of its words: $(VENV)/pip.log)" >&2; exit 1; }
	@touch $@

build/sample/bin/busybox: | $(STAMP_VENV)
	$(call say,fetch busybox for arm64 from Debian)
	@$(VENV)/bin/python tools/fetch_arm64.py --into build/sample busybox-static
	@touch $@

include packaging/static/build.mk

## test: the tests, without the long ones
test: interpreter build/sample/bin/busybox
	@$(PYTEST) -n 2 -m 'not long and not fuzz' tests

## test-long: every test but fuzzing and the long acceptance cases
test-long: interpreter build/sample/bin/busybox
	@$(PYTEST) -n 2 -m 'not fuzz' tests

## fuzz: random programs and inputs, compared with the host or with qemu-user
fuzz: interpreter
	@$(PYTEST) -n 2 -m fuzz tests

## acceptance: all cases of Debian's programs, compared with qemu-user
acceptance: interpreter build/sample/bin/busybox
	@USERMODE_ACCEPTANCE=all $(PYTEST) -n 2 tests/acceptance

## deb: the Debian package, in build/deb
deb: interpreter
	@tools/install_packages.sh $(DEB_PACKAGES)
	$(call say,build the Debian package)
	@tools/build_deb.sh build/deb
	@lintian --fail-on error,warning build/deb/usermode_*.deb

## wheel: a wheel with the programs, and the source distribution, in dist
wheel: interpreter
	$(call say,build the wheel and the source distribution)
	@tools/build_wheel.sh dist

## bench: measure speed against qemu-user; results in docs/benchmarks
bench: interpreter
	@$(VENV)/bin/python -m tests.bench

## lint: the style tests alone
lint: $(STAMP_VENV)
	@$(PYTEST) -q -n 2 tests/house

## format: put Python and C into the project's layout
format: $(STAMP_VENV)
	@$(VENV)/bin/ruff check -q --fix-only . && $(VENV)/bin/ruff format -q .
	@find usermode packaging tests tools -name '*.[ch]' -print0 | xargs -0 clang-format -i

## clean: remove what was built; downloads stay in .cache
clean:
	@rm -rf build dist

## distclean: remove downloads and the virtual environment too
distclean: clean
	@rm -rf .cache $(VENV)
