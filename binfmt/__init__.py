# SPDX-License-Identifier: GPL-2.0-or-later
"""Telling the kernel's binfmt_misc which programs the interpreter runs."""
