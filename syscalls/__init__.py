# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux as the guest sees it: call numbers, layouts, one table row per call, and their handlers."""
