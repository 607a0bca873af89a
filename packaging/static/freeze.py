# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile Python modules into a C file and a blob that the linker puts into the interpreter.

`freeze.py OUTPUT.c` writes OUTPUT.c and OUTPUT.bin: the table `usermode_frozen` of marshalled code (struct
_frozen of CPython's import.h), and tables of built-in and frozen modules that replace those in libpython. It must
run on the Python version that the code is frozen for. With --data-only there is one table, of the generated
modules that have no source in the tree: for the developer's build.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import marshal
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import contents

ROOT = Path(__file__).resolve().parents[2]


class Module(NamedTuple):
    """A module to freeze: its dotted name, its source, the name that tracebacks show, and whether it is a package.

    The shown name stands in angle brackets so that Python does not look for the source below the current directory.
    """

    name: str
    source: str
    shown_as: str
    is_package: bool

    def compile(self) -> CodeType:
        """Return the module's code; docstrings, assertions and annotations are left out."""
        tree = ast.fix_missing_locations(WithoutAnnotations().visit(ast.parse(self.source)))
        code = compile(tree, self.shown_as, "exec", dont_inherit=True, optimize=2)
        assert isinstance(code, CodeType)
        return code


class WithoutAnnotations(ast.NodeTransformer):
    """Removes what serves the type checker alone, so that a start does not spend time on it."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Leave out a parameter's type."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Leave out the type of what a function returns."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Turn an annotated assignment into a plain one, and a mere declaration into nothing."""
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Leave out `from __future__ import annotations`, which is an import at run time too."""
        return None if node.module == "__future__" else node


def left_out(name: str) -> bool:
    """Say whether `name` or a package above it is listed in LEFT_OUT."""
    return any(name == other or name.startswith(other + ".") for other in contents.LEFT_OUT)


def our_modules() -> Iterator[Module]:
    """Yield every module of ours that belongs into the interpreter."""
    for package in contents.PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT)
            is_package = path.name == "__init__.py"
            name = ".".join(relative.parent.parts if is_package else relative.with_suffix("").parts)
            if left_out(name):
                continue
            if not (path.parent / "__init__.py").exists():
                raise SystemExit(f"freeze: {relative.parent} has modules but no __init__.py")
            yield Module(name, path.read_text(), f"<{relative}>", is_package)


def library_modules(wanted: dict[str, str]) -> Iterator[Module]:
    """Yield modules of Python's standard library; `wanted` maps the name to import to the name of the source."""
    library = Path(sysconfig.get_path("stdlib"))
    for name, source in wanted.items():
        package = library.joinpath(*source.split("."), "__init__.py")
        path = package if package.exists() else package.parent.with_suffix(".py")
        yield Module(name, path.read_text(), f"<frozen {source}>", path == package)


def generated_modules(vdso: Path) -> Iterator[Module]:
    """Yield the modules that hold data instead of source: see the Makefile for `vdso`."""
    source = f"IMAGE = {vdso.read_bytes()!r}\n"
    yield Module("usermode.loader.vdso_image", source, "<vdso>", False)


def compiled_modules() -> Iterator[Module]:
    """Yield the compact forms of the table of system calls."""
    sys.path.insert(0, str(ROOT))
    compiler = importlib.import_module("syscalls.compile")
    for name, function in contents.COMPILED.items():
        yield Module(name, getattr(compiler, function)(), f"<{name}>", False)


def imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a source imports anywhere, except below `if TYPE_CHECKING`.

    What follows `from x import` may be a module or not: it comes as "x.y?".
    """
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, level=level, names=names):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield base
                yield from (f"{base}.{alias.name}?" for alias in names)
            case _:
                yield from imported_names(node, package)


def check_imports(modules: list[Module]) -> None:
    """Exit with a message if a module of ours imports something that the interpreter does not contain."""
    present = {module.name for module in modules} | contents.MAY_IMPORT
    complaints = []
    for module in modules:
        if module.name.split(".")[0] not in contents.PACKAGES:
            continue
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        fallbacks = {name for user, name in contents.FALLBACKS if user == module.name}
        for name in imported_names(ast.parse(module.source), package):
            maybe = name.endswith("?")
            missing = left_out(name[:-1]) if maybe else name not in present | {"__future__"}
            if missing and not any(name.startswith(fallback) for fallback in fallbacks):
                where = f"freeze: {module.shown_as} imports {name.rstrip('?')}"
                complaints.append(f"{where}, which the interpreter does not contain")
    if complaints:
        raise SystemExit("\n".join(complaints))


def start_order(modules: list[Module]) -> list[str]:
    """Return the modules of ours that every start imports, each behind those that it imports itself."""
    sources = {module.name: module for module in modules}
    order: dict[str, None] = {}
    begun = set()

    def visit(name: str) -> None:
        if name not in sources or name in begun:
            return
        begun.add(name)
        package = name if sources[name].is_package else name.rpartition(".")[0]
        visit(name.rpartition(".")[0])
        statements = ast.parse(sources[name].source).body
        imports: list[ast.stmt] = [
            node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        for wanted in imported_names(ast.Module(imports, []), package):
            visit(wanted.rstrip("?"))
        order[name] = None

    for name in contents.AT_START:
        visit(name)
    return list(order)


def names_table(name: str, values: list[str]) -> str:
    """Return C text of an array of strings that NULL ends."""
    return "\n".join(
        [f"const char *const {name}[] = {{", *(f'    "{value}",' for value in values), "    0};"]
    )


def builtin_table() -> str:
    """Return C text that defines CPython's table of built-in modules with our choice of them."""
    functions = sorted(f for f in contents.BUILTINS.values() if f != "NULL")
    rows = [
        f'    {{"{name}", {function}}},' for name, function in sorted(contents.BUILTINS.items())
    ]
    return "\n".join(
        [
            *(f"extern PyObject *{function}(void);" for function in functions),
            "struct _inittab _PyImport_Inittab[] = {",
            *rows,
            "    {0, 0},",
            "};",
        ]
    )


class Blob:
    """Marshalled modules, collected for one file that the linker takes in as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = bytearray()

    def table(self, name: str, modules: Iterable[Module]) -> str:
        """Append the modules and return C text of an array of struct _frozen that points at them."""
        rows = []
        for module in modules:
            code = marshal.dumps(module.compile())
            row = f'"{module.name}", frozen_code + {len(self.data)}, {len(code)}, {int(module.is_package)}, 0'
            rows.append(f"    {{{row}}},")
            self.data += code
        return "\n".join(
            [f"const struct _frozen {name}[] = {{", *rows, "    {0, 0, 0, 0, 0},", "};"]
        )

    def write(self) -> str:
        """Write the file and return C text that makes `frozen_code` its address."""
        self.path.write_bytes(self.data)
        lines = [".section .rodata", "frozen_code:", f'.incbin \\"{self.path}\\"', ".previous"]
        text = "".join(f"{line}\\n" for line in lines)
        return f'extern const unsigned char frozen_code[];\n__asm__("{text}");'


# Replaces frozen.o and deepfreeze.o of libpython: a megabyte of static objects that costs a millisecond of relocations.
BOOTSTRAP = """\
const struct _frozen *_PyImport_FrozenBootstrap = bootstrap;
const struct _frozen *_PyImport_FrozenStdlib = no_modules, *_PyImport_FrozenTest = no_modules;
const struct _frozen *PyImport_FrozenModules = usermode_frozen;
struct _module_alias { const char *name, *source; };
static const struct _module_alias aliases[] = {{0, 0}};
const struct _module_alias *_PyImport_FrozenAliases = aliases;
int _Py_Deepfreeze_Init(void) { return 0; }
void _Py_Deepfreeze_Fini(void) {}
"""


def main() -> None:
    """Write the two files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="the C file to write; the blob lies beside it")
    parser.add_argument("--vdso", type=Path, required=True, help="the guest's vDSO image")
    parser.add_argument("--data-only", action="store_true", help="only modules without a source")
    options = parser.parse_args()
    modules = list(generated_modules(options.vdso))
    blob = Blob(options.output.with_suffix(".bin"))
    text = []
    if options.data_only:
        text.append(blob.table("usermode_frozen", modules))
    else:
        modules += [*library_modules(contents.STANDARD_LIBRARY), *our_modules()]
        modules += compiled_modules()
        check_imports(modules)
        text += [
            blob.table("usermode_frozen", modules),
            "static " + blob.table("bootstrap", library_modules(contents.BOOTSTRAP)),
            "static " + blob.table("no_modules", ()),
            BOOTSTRAP,
            builtin_table(),
            names_table("modules_at_start", start_order(modules)),
        ]
    text = [
        "/* Written by packaging/static/freeze.py. */",
        "#include <Python.h>",
        blob.write(),
        *text,
    ]
    options.output.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
