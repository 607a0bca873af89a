# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting usermode into a system, and taking it out again."""
