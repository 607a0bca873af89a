# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts of installed files that are made, not shipped."""

from __future__ import annotations

from binfmt.configuration import render as binfmt_d

__all__ = ["COMMAND", "SERVICE_COMMAND", "binfmt_d", "start_script"]

COMMAND = "/usr/bin/usermode"
SERVICE_COMMAND = "/usr/libexec/usermode/usermode-service"

PYTHON = "/usr/bin/python3"
OLDEST_PYTHON = (3, 11)


def start_script(module: str, modules: str) -> str:
    """Return the program that runs `main` of a module; -I: nothing of the caller's, as root starts it too."""
    return (
        f"#!{PYTHON} -I\n"
        "# SPDX-License-Identifier: GPL-2.0-or-later\n"
        "import sys\n"
        "\n"
        f'sys.path.insert(0, "{modules}")\n'
        f"from {module} import main\n"
        "\n"
        "sys.exit(main())\n"
    )
