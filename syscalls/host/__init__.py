# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts about the host CPU: data only."""
