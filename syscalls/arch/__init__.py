# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts about guest CPUs: data only."""
