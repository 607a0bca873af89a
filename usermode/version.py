# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of usermode, and that of the Unicorn it is built with."""

VERSION = "0.1.0"
UNICORN = "2.1.4"
"""As pyproject.toml pins it, which a test compares."""
