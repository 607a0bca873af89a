# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ELF file asks for and what is offered here: the facts behind `usermode inspect`.

`report.inspect_file` is the entry; this module imports nothing, because `usermode run` shares
`sysroot.py`.
"""
