# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's process as its system calls see it: threads, signals, paths, /proc."""
