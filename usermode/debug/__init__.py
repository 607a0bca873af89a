# SPDX-License-Identifier: GPL-2.0-or-later
"""A debugger's end of the interpreter: gdb's remote protocol, and the stops that it wants."""
