# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done for a call that the host kernel cannot simply be handed: a function of its name."""
