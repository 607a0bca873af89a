# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of usermode: the one place where it is written."""

VERSION = "0.1.0"
