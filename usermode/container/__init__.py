# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest root trees: entering one in namespaces of its own, and making one from a distribution's packages."""
