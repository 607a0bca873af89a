# SPDX-License-Identifier: GPL-2.0-or-later
"""Acceptance: real Debian arm64 programs, compared with qemu-aarch64."""
