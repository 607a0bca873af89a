# SPDX-License-Identifier: GPL-2.0-or-later
"""The units as text; tests/system starts them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support import ROOT

UNITS = ROOT / "packaging/systemd"
THRESHOLD = 10
"""Exposure 1.0: systemd-analyze(1) counts tenths here."""


def test_service_is_confined() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={THRESHOLD}"]
    done = subprocess.run(
        [*command, UNITS / "usermode.service"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_restriction_that_the_service_cannot_bear() -> None:
    """Each of these hides binfmt_misc from it, or the users who ask."""
    lines = (UNITS / "usermode.service").read_text().splitlines()
    for setting in ("ProcSubset=pid", "PrivateUsers=yes", "DynamicUser=yes"):
        assert setting not in lines
    assert "BindPaths=-/proc/sys/fs/binfmt_misc" in lines
