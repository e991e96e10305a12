"""Tell whether code has changed since it was measured: by what it does, not by how it is written.

Light on purpose (standard library only): the site's checker imports it.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HARNESS = ("evidence/harness.py", "lab/memory.py", "lab/ratio.py")
"""The files that decide how a number comes about, whatever is measured."""

_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def code_hash(source: str) -> str:
    """Hash Python source by its syntax tree: comments, layout and docstrings do not count.

    The same on every Python from 3.11 on, which `ast.dump` is not.

    Returns:
        SHA-256, 64 hexadecimal digits.

    Raises:
        SyntaxError: `source` is no Python.
    """
    tree = ast.parse(source)
    digest = hashlib.sha256()
    for part in _canonical(tree):
        digest.update(part.encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """Hash one file: a `.py` file by its syntax tree, any other by its bytes.

    Raises:
        OSError: the file cannot be read.
        SyntaxError: it is named `.py` and is no Python.
    """
    if path.suffix == ".py":
        return code_hash(path.read_text(encoding="utf-8"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def harness_hash(root: Path) -> str:
    """Hash the harness and its instruments together.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for name in HARNESS:
        digest.update(file_hash(root / name).encode())
    return digest.hexdigest()


def locked_versions(root: Path) -> dict[str, str]:
    """Give the versions that `requirements.lock` installs, by normalised package name.

    A package that is locked at two versions, by Python version or platform, has the last one.

    Raises:
        OSError: the lock cannot be read.
    """
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    return {normalised(name): version for name, version in _LOCKED.findall(text)}


def normalised(name: str) -> str:
    """Spell a package's name as registries compare it: `Foo.Bar_baz` is `foo-bar-baz`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_stale(result: Mapping[str, Any], root: Path) -> list[str]:
    """Say why a recorded result no longer describes the code under `root`.

    Args:
        result: one file of `evidence/results`, as `evidence.harness.read` gives it.
        root: the repository's root.

    Returns:
        One reason a line, sorted; empty when the result still holds. A changed or missing file
        is named by its path, relative to `root`.

    Raises:
        OSError: the lock or the harness cannot be read.
    """
    reasons: list[str] = []
    for name, recorded in result["uses"].items():
        path = root / name
        if not path.is_file():
            reasons.append(f"{name} is gone")
        elif _hash_or_none(path) != recorded:
            reasons.append(f"{name} has changed")
    if result["harness"] != harness_hash(root):
        reasons.append(f"the harness has changed ({', '.join(HARNESS)})")
    locked = locked_versions(root)
    for name, version in result["packages"].items():
        now = locked.get(name)
        if now != version:
            reasons.append(f"package {name} was {version} and is now {now or 'not installed'}")
    return sorted(reasons)


def imported_modules(source: str) -> set[str]:
    """Give every module that the source names in an import, late imports included.

    `from a.b import c` gives both `a.b` and `a.b.c`, as `c` may be a module. Relative imports are
    left out.

    Raises:
        SyntaxError: `source` is no Python.
    """
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules.add(node.module)
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    return modules


def _hash_or_none(path: Path) -> str | None:
    try:
        return file_hash(path)
    except SyntaxError:
        return None


@functools.singledispatch
def _canonical(value: object) -> Iterator[str]:
    """Spell a part of the tree out; what is absent is left out, so that new fields do not count."""
    yield ascii(value)


@_canonical.register
def _(value: list) -> Iterator[str]:  # type: ignore[type-arg]  # singledispatch needs the bare type
    yield "["
    for item in value:
        yield from _canonical(item)
        yield ","
    yield "]"


@_canonical.register
def _(node: ast.AST) -> Iterator[str]:
    yield f"{type(node).__name__}("
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and _has_docstring(node):
            value = value[1:] if isinstance(value, list) else value
        # `kind` is the u of u"...", which means nothing.
        if value is None or value == [] or name == "kind":
            continue
        yield f"{name}="
        yield from _canonical(value)
        yield ","
    yield ")"


def _has_docstring(node: ast.AST) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
