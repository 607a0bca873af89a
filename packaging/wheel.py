# SPDX-License-Identifier: GPL-2.0-or-later
"""Hatchling's hook for wheels: puts in what `usermode install` copies, and names the platform if that holds programs.

In a tree where `make` has run the wheel has the interpreter. Elsewhere, as when pip builds it from the source
distribution, it has the command alone, which says so when the interpreter is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = "usermode/shipped"
PROGRAMS = ("usermode-aarch64", "usermode-sample")
FOLDERS = ("systemd", "man")

# Static programs ask nothing of the system's libraries, so the oldest names that pip knows are true.
PLATFORM = "manylinux_2_17_x86_64.musllinux_1_1_x86_64"


class Programs(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Adds the files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        if version == "editable":
            return
        root = Path(self.root)
        files = build_data["force_include"]
        for folder in FOLDERS:
            for file in sorted((root / "packaging" / folder).iterdir()):
                files[str(file)] = f"{SHIPPED}/{folder}/{file.name}"
        programs = [root / "build" / name for name in PROGRAMS]
        if all(program.is_file() for program in programs):
            files.update({str(program): f"{SHIPPED}/{program.name}" for program in programs})
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{PLATFORM}"
