# SPDX-License-Identifier: GPL-2.0-or-later
"""`python3 -m usermode.cli`: the `usermode` command where it is not installed."""

import sys

from usermode.cli import main

sys.exit(main())
