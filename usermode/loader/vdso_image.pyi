# SPDX-License-Identifier: GPL-2.0-or-later
# The build writes this module (packaging/static/freeze.py); a source tree has none.
IMAGE: bytes
