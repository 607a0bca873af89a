# SPDX-License-Identifier: GPL-2.0-or-later
"""The service: keeps the registration true, and tells how that stands. Programs start without it too.

It imports the standard library and ours only, so that any Python from 3.11 on runs it.
"""

SOCKET = "/run/usermode/control.sock"
"""Where it answers; usermode.socket says the same."""
