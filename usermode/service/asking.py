# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the service: one line of JSON to its socket, one back."""

from __future__ import annotations

import json
import socket
from typing import Any

from usermode.errors import UsermodeError
from usermode.service import SOCKET

SECONDS = 5.0
ANSWER_LIMIT = 1 << 16


def ask(request: dict[str, Any], path: str = SOCKET) -> dict[str, Any] | None:
    """Return the service's answer, None when there is no service. UsermodeError when it does not answer properly."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(SECONDS)
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as reader:
                answer = json.loads(reader.readline(ANSWER_LIMIT))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (OSError, ValueError) as error:
        raise UsermodeError(f"the service does not answer at {path}: {error}") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise UsermodeError(f"the service answers: {answer}")
    return answer
