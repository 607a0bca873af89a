# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from usermode.errors import LoadError, UsermodeError, printable


def test_fields() -> None:
    error = UsermodeError("a", status=3, hint="b")
    assert (str(error), error.message, error.status, error.hint) == ("a", "a", 3, "b")
    plain = LoadError("a", 8)
    assert (plain.errno, plain.status, plain.hint) == (8, 126, None)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/bin/a b", "/bin/a b"),
        ("/bin/grün".encode(), "/bin/grün"),
        (b"a\xffb", r"a\xffb"),
        (b"two\nlines", r"two\nlines"),
        (b"\x1b[31m", r"\x1b[31m"),
        (b'it\'s "so"\n', r"""it's "so"\n"""),
    ],
)
def test_printable(path: bytes, text: str) -> None:
    assert printable(path) == text
