# SPDX-License-Identifier: GPL-2.0-or-later
"""CPython's own tests about processes, threads and signals, run as guests."""
