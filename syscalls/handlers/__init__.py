# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done for a system call that the host kernel cannot simply be handed: one function per call, of the call's name."""
