"""What runs inside Pyodide: a file, its tests, an exercise or a simulation, and what went wrong.

The worker of a page and the tests in node load this very file. It imports nothing of `catalog`:
in the page there is only Python itself.
"""

import ast
import asyncio
import functools
import gc
import importlib
import inspect
import json
import linecache
import os
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Self, cast

ROOT = Path("/reader")
"""Where the files are put; cleared before each run."""
HINTS = {
    "MemoryError": "A page may use {memory} MB. On your machine the file may use more.",
    "ModuleNotFoundError": (
        "In the page there is Python's own library only. "
        "Download the file and run it with uv run: that brings its packages."
    ),
    "I/O error": "A page has no input to read.",
    "can't start new thread": "A page has no threads. Run the file on your machine.",
    "emscripten does not support processes": "A page has no processes. Use your machine.",
}
_HIDDEN = ("/lib/python", "<frozen ", "<exec>", str(Path(__file__)))
# Fewer examples than on a commit: WebAssembly takes several times as long.
_EXAMPLES = 20
_kept = set(sys.modules)

Report = dict[str, object]


def place(files: Mapping[str, str]) -> None:
    """Put files below ROOT, and nothing else; forget what was imported from there before."""
    os.chdir("/")
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # what an earlier run left complains now, not in the next one
    shutil.rmtree(ROOT, ignore_errors=True)
    for path, text in files.items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")
    for name, module in list(sys.modules.items()):
        if name not in _kept and (getattr(module, "__file__", None) or "").startswith(f"{ROOT}/"):
            del sys.modules[name]
    linecache.clearcache()
    importlib.invalidate_caches()


# a file ------------------------------------------------------------------------------------------


def compiled(source: str, path: str, *, blocking: bool) -> CodeType:
    """Compile a file so that it can be awaited.

    Args:
        source: its text.
        path: the name that tracebacks show.
        blocking: whether `asyncio.run` can wait here. Where it cannot, a function of the file that
            calls it becomes a coroutine, and the file awaits that function.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source, path)
    if not blocking:
        tree = ast.fix_missing_locations(_Awaiting(tree).visit(tree))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return cast("CodeType", compile(tree, path, "exec", flags, dont_inherit=True))


class _Awaiting(ast.NodeTransformer):
    """Turns `asyncio.run(x)` into `await x` where the call's way up leads to the file itself."""

    def __init__(self, tree: ast.Module) -> None:
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.running = {node.name for node in functions if any(map(_is_run, ast.walk(node)))}
        self.inside = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if self.inside or node.name not in self.running:
            return node
        self.inside = True
        self.generic_visit(node)
        self.inside = False
        parts = {name: getattr(node, name, None) for name in node._fields}
        return ast.copy_location(ast.AsyncFunctionDef(**cast("Any", parts)), node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _is_run(node):
            return ast.copy_location(ast.Await(value=node.args[0]), node)
        if not self.inside and isinstance(node.func, ast.Name) and node.func.id in self.running:
            return ast.copy_location(ast.Await(value=node), node)
        return node


def _is_run(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run"


def run(path: str, memory: int) -> Report | None:
    """Run a file that `place` has put there, as `python <path>` does in its folder.

    Args:
        path: relative to ROOT.
        memory: how many MB the page gives to Python.

    Returns:
        What went wrong; None when nothing did.
    """
    with _AsMain(path, memory) as main:
        main.start(blocking=True)
        asyncio.run(_settle())
    return main.report


async def run_awaiting(path: str, memory: int) -> Report | None:
    """Do the same where `asyncio.run` cannot wait: the file's calls of it are awaited here."""
    with _AsMain(path, memory) as main:
        waiting = main.start(blocking=False)
        if inspect.isawaitable(waiting):
            await waiting
    await _settle()
    return main.report


class _AsMain:
    """A file as the program: `__main__`, the path and the folder are its own while it runs."""

    def __init__(self, path: str, memory: int) -> None:
        self.file = ROOT / path
        self.memory = memory
        self.report: Report | None = None
        self.module = ModuleType("__main__")
        self.module.__file__ = str(self.file)
        self.before = sys.modules["__main__"], sys.path[:], sys.argv

    def start(self, *, blocking: bool) -> object:
        """Run the file; give what is left to await, if anything."""
        text = self.file.read_text(encoding="utf-8")
        code = compiled(text, str(self.file), blocking=blocking)
        return eval(code, self.module.__dict__)  # noqa: S307 - the reader's code is to be run

    def __enter__(self) -> Self:
        sys.modules["__main__"] = self.module
        sys.path.insert(0, str(self.file.parent))
        sys.argv = [self.file.name]
        os.chdir(self.file.parent)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _where: object
    ) -> bool:
        if isinstance(error, SystemExit):
            failed = error.code not in (0, None)
            self.report = _said(f"{error.code}\n") if failed else None
        elif error is not None:
            self.report = describe(error, self.memory)
        sys.modules["__main__"], sys.path[:], sys.argv = self.before
        os.chdir("/")
        flush()
        return True


def _said(text: str) -> Report:
    return {"type": "SystemExit", "line": 0, "text": text}


async def _settle() -> None:
    """End the tasks that the file left behind, as the end of a process would."""
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1)


def flush() -> None:
    """Send on what is printed and not yet shown."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


# what went wrong ---------------------------------------------------------------------------------


def describe(error: BaseException, memory: int = 0) -> Report:
    """Describe an error by the reader's own lines.

    Returns:
        The name of its type; the line of the reader's file that raised it, 0 when there is none;
        its traceback without the frames of Python and of this file.
    """
    told = traceback.TracebackException.from_exception(error)
    _trim(told, set())
    places = [(frame.filename, frame.lineno or 0) for frame in told.stack]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno or 0))
    mine = [(file, line) for file, line in places if file.startswith(f"{ROOT}/")]
    name = type(error).__name__
    # The reader has one file: it goes by its name alone.
    text = re.sub(rf'"{ROOT}/(?:[^"\n]*/)?([^"/\n]+)"', r'"\1"', "".join(told.format()))
    hint = next((say for sign, say in HINTS.items() if sign == name or sign in str(error)), "")
    if hint:
        text += f"\n{hint.format(memory=memory)}\n"
    return {"type": name, "line": mine[-1][1] if mine else 0, "text": text}


def _trim(told: traceback.TracebackException, seen: set[int]) -> None:
    """Drop the frames that are not the reader's, in this error and in what led to it."""
    if id(told) in seen:
        return
    seen.add(id(told))
    kept = [frame for frame in told.stack if not any(part in frame.filename for part in _HIDDEN)]
    told.stack[:] = kept
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _trim(other, seen)


# its tests ---------------------------------------------------------------------------------------


def test(path: str, memory: int) -> Report:
    """Run a test file that `place` has put there.

    Returns:
        Under "failed" whether a test failed; what went wrong when pytest itself could not end.
    """
    import pytest

    os.chdir(ROOT)
    (ROOT / "pytest.ini").write_text("[pytest]\nmarkers =\n  anyio\n  serial\n  slow\n")
    before = sys.path[:]
    sys.dont_write_bytecode = True
    options = ["-q", "--no-header", "--tb=short", "--color=no", "-p", "no:cacheprovider"]
    options += [f"--rootdir={ROOT}", "-W", "error"]
    try:
        return {"failed": pytest.main([*options, path], [_Page()]) != 0}
    except BaseException as error:  # noqa: BLE001 - whatever it is, the reader is told
        return describe(error, memory)
    finally:
        sys.path[:] = before
        os.chdir("/")
        flush()


class _Page:
    """A plugin of pytest: how tests run in a page."""

    def pytest_configure(self) -> None:
        """Draw fewer examples, and keep none."""
        hypothesis = sys.modules.get("hypothesis") or _maybe("hypothesis")
        if hypothesis is not None:
            options = {"database": None, "deadline": None, "max_examples": _EXAMPLES}
            checks = list(hypothesis.HealthCheck)
            hypothesis.settings.register_profile("page", suppress_health_check=checks, **options)
            hypothesis.settings.load_profile("page")

    def pytest_pyfunc_call(self, pyfuncitem: Any) -> bool | None:  # noqa: ANN401 - pytest's own
        """Run a coroutine function, which elsewhere a plugin does that is not here."""
        function: Callable[..., Awaitable[None]] = pyfuncitem.obj
        if not inspect.iscoroutinefunction(function):
            return None
        names = inspect.signature(function).parameters
        asyncio.run(function(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True


def _maybe(name: str) -> Any | None:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


# an exercise -------------------------------------------------------------------------------------


def check(path: str, checker: str, memory: int) -> Report:
    """Judge the reader's file by the `check` of another one.

    Args:
        path: the reader's file, relative to ROOT.
        checker: the file that judges: its `check` takes the reader's module, raises AssertionError
            with what is missing, and gives a sentence when nothing is.
        memory: how many MB the page gives to Python.

    Returns:
        Under "solved" whether it is; what to tell under "text"; what went wrong otherwise.
    """
    before = sys.path[:]
    sys.path.insert(0, str(ROOT))
    try:
        judge = importlib.import_module(_module(checker)).check
        told = judge(importlib.import_module(_module(path)))
    except AssertionError as error:
        return {"solved": False, "text": f"{error}\n"}
    except BaseException as error:  # noqa: BLE001 - whatever it is, the reader is told
        return {"solved": False, **describe(error, memory)}
    finally:
        sys.path[:] = before
        flush()
    return {"solved": True, "text": f"{told}\n"}


# a simulation ------------------------------------------------------------------------------------


def simulate(path: str, values: str, memory: int) -> Report:
    """Run a simulation that `place` has put there, with what it imports.

    Args:
        path: the file, relative to ROOT.
        values: where its sliders stand, as JSON; where they start when empty.
        memory: how many MB the page gives to Python.

    Returns:
        What `show` of catalog/run/sliders.py gives; what went wrong otherwise.
    """
    before = sys.path[:]
    sys.path.insert(0, str(ROOT))
    try:
        module = importlib.import_module(_module(path))
        show = importlib.import_module("catalog.run.sliders").show
        return dict(show(module, json.loads(values) if values else None))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the reader is told
        return describe(error, memory)
    finally:
        sys.path[:] = before
        flush()


@functools.cache
def _module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")
