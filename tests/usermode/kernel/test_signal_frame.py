# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout of the signal frame, compared with the guest's own headers."""

from __future__ import annotations

from tests.syscalls.probe import evaluate

HEADERS = ("signal.h", "ucontext.h", "asm/sigcontext.h")


def test_layout(core: object) -> None:
    assert core
    from usermode.kernel import signal_frame as frame

    expressions = {
        "sizeof(siginfo_t)": frame.SIGINFO_SIZE,
        "sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext)": frame.SIGCONTEXT,
        "sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.__reserved)": frame.RESERVED,
        "sizeof(siginfo_t) + sizeof(ucontext_t)": frame.FRAME_SIZE,
        "offsetof(ucontext_t, uc_sigmask)": 40,
        "offsetof(ucontext_t, uc_stack)": 16,
        "offsetof(struct sigcontext, regs)": 8,
        "offsetof(struct sigcontext, pstate)": 8 + frame.WORDS_SIZE - 8,
        "FPSIMD_MAGIC": frame.FPSIMD_MAGIC,
        "sizeof(struct fpsimd_context)": frame.FPSIMD_SIZE,
        "sizeof(struct fpsimd_context) - sizeof(struct _aarch64_ctx)": frame.FP_SIZE,
        "ESR_MAGIC": frame.ESR_MAGIC,
        "sizeof(struct esr_context)": frame.ESR_SIZE,
    }
    assert evaluate("aarch64", HEADERS, list(expressions)) == list(expressions.values())
