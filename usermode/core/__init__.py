# SPDX-License-Identifier: GPL-2.0-or-later
"""The C core, built into the interpreter as the module `_usermode_core`."""
