"""What the browser needs to run tests, an exercise or a simulation: the files, and the packages.

A test runs there when everything that it imports is there: Python's own modules less those that a
browser lacks, the packages that are shipped, and files of this repository for which the same holds.
"""

import ast
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

OURS = frozenset({"catalog", "lab", "snippets", "tests"})
PACKAGES = frozenset({"hypothesis", "pytest", "starlette"})
"""Imported by runnable snippets and by tests, and shipped (see `catalog.run.kit`)."""
LACKING = frozenset(
    {"concurrent", "ctypes", "mmap", "multiprocessing", "resource", "select", "selectors",
     "signal", "socket", "socketserver", "ssl", "subprocess", "threading"}
)  # fmt: skip
"""No sockets, threads or processes: a snippet that needs one of these does not run in a page."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files that run together in the browser.

    Attributes:
        target: the file to run.
        files: text by path relative to the root of the repository.
        packages: names of shipped packages that they import.
        missing: names of modules that they import and that are not there.
        blocks: whether one of them calls `asyncio.run`, for which a browser must be able to
            suspend Python in the middle of a call (WebAssembly stack switching).
    """

    target: str
    files: dict[str, str]
    packages: frozenset[str]
    missing: frozenset[str]
    blocks: bool

    def json(self, **more: object) -> bytes:
        """Write what the page loads."""
        value = {"path": self.target, "packages": sorted(self.packages), "files": self.files}
        return json.dumps(value | more, ensure_ascii=False, separators=(",", ":")).encode()


def wanted(text: str) -> frozenset[str]:
    """Give the packages that a snippet needs to run: imported by the file itself or its `main`."""
    tree = ast.parse(text)
    functions = (n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    mains = (function for function in functions if function.name == "main")
    bodies = [tree, *(ast.Module(body=main.body, type_ignores=[]) for main in mains)]
    modules = (module for body in bodies for module in _imports(body, (), deep=body is not tree))
    return frozenset(module.split(".")[0] for module in modules) - OURS - sys.stdlib_module_names


def own_tests(root: Path, scenario: str, name: str) -> Bundle | None:
    """Give the test file of a snippet with all that it imports; None when there is no such file.

    Args:
        root: root of the repository.
        scenario: folder of the scenario, with underscores.
        name: name of the snippet, without suffix.
    """
    folder = f"tests/scenarios/{scenario}"
    target = f"{folder}/test_{name}.py"
    if not (root / target).is_file():
        return None
    starts = [target, f"snippets/{scenario}/{name}.py"]
    shared = f"{folder}/conftest.py"
    if (root / shared).is_file() and _asks(
        *((root / path).read_text("utf-8") for path in (target, shared))
    ):
        starts.append(shared)
    return bundle(root, [path for path in starts if (root / path).is_file()])


def _asks(test: str, shared: str) -> bool:
    """Say whether a test file uses a fixture of the conftest beside it, or gets one unasked."""
    nodes = list(ast.walk(ast.parse(test)))
    names = {node.arg for node in nodes if isinstance(node, ast.arg)}
    told = {node.value for node in nodes if isinstance(node, ast.Constant)}  # `usefixtures`
    for node in ast.parse(shared).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = " ".join(map(ast.unparse, node.decorator_list))
            hook = node.name.startswith("pytest_")
            if hook or "autouse" in marks or ("fixture" in marks and node.name in names | told):
                return True
    return False


def bundle(root: Path, starts: Iterable[str]) -> Bundle:
    """Follow the imports of some files of the repository; the first is the one to run."""
    waiting = list(starts)
    target = waiting[0]
    files: dict[str, str] = {}
    others: set[str] = set()
    blocks = False
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        files[path] = (root / path).read_text(encoding="utf-8")
        found = _read(files[path], path)
        blocks = blocks or found.blocks
        for module in found.modules:
            if module.split(".")[0] not in OURS:
                others.add(module.split(".")[0])
            elif (file := _file_of(root, module)) is not None:
                waiting += [file, *_packages_above(root, file)]
    return Bundle(
        target=target,
        files=dict(sorted(files.items())),
        packages=frozenset(others & PACKAGES),
        missing=frozenset(others - PACKAGES - (sys.stdlib_module_names - LACKING)),
        blocks=blocks,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file imports, and whether it runs an event loop of its own."""

    modules: tuple[str, ...]
    blocks: bool


@lru_cache(maxsize=512)
def _read(text: str, path: str) -> _Found:
    tree = ast.parse(text)
    place = PurePosixPath(path).parent.parts
    if path.startswith("snippets/"):
        # What a function imports is for that function alone. Its demo runs in any browser: there
        # `asyncio.run` is rewritten (see glue.py).
        return _Found(tuple(_imports(tree, place, deep=False)), blocks=False)
    awaits = any(
        (isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run")
        or (isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"))
        for node in ast.walk(tree)
    )
    # A fixture's own imports are for the tests that ask for it.
    deep = not path.endswith("/conftest.py")
    return _Found(tuple(_imports(tree, place, deep=deep)), awaits)


def _imports(tree: ast.Module, place: tuple[str, ...], *, deep: bool) -> Iterator[str]:
    """Give the modules that are imported; also those inside functions when `deep`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = place[: len(place) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            if base.split(".")[0] in OURS:  # what is imported may be a module itself
                yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif deep or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def _file_of(root: Path, module: str) -> str | None:
    stem = module.replace(".", "/")
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        if (root / path).is_file():
            return path
    return None


def _packages_above(root: Path, path: str) -> Iterator[str]:
    for folder in Path(path).parents:
        if (root / folder / "__init__.py").is_file() and folder.parts:
            yield f"{folder.as_posix()}/__init__.py"
