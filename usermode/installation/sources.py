# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the files that an installation copies are: in a source tree, or in a wheel."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "shipped"
"""In a wheel: the built programs, units and manual pages."""

TREE = PACKAGE.parent


def find(name: str) -> Path:
    """Return the file of that name in `owned.SHIPPED`. UsermodeError when this copy of usermode has none."""
    places = (SHIPPED / name, TREE / "build" / name, TREE / "packaging" / name)
    for place in places:
        if place.is_file():
            return place
    hint = "in a source tree 'make' builds it; a wheel without programs has to be replaced by one that was built"
    raise UsermodeError(
        f"{name} is not part of this copy of usermode", hint=f"{hint}: 'make wheel'"
    )


def package(name: str) -> Path:
    """Return the folder of a Python package that can be imported. UsermodeError when it cannot."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UsermodeError(
            f"the Python package {name} is not installed", hint="pip install usermode"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def modules(folder: Path) -> Iterator[Path]:
    """Yield the files of a package, relative to its folder; not what only wheels and builds hold."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {"__pycache__", "shipped"})
        for name in sorted(names):
            if name.endswith((".py", ".pyi", "py.typed")):
                yield Path(place, name).relative_to(folder)
