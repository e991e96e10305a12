"""What runs inside Pyodide: a file, its tests, an exercise or a simulation, and what went wrong.

The worker of a page and the tests in node load this very file. It imports nothing of `catalog`:
in the page there is only Python itself.
"""

import ast
import asyncio
import atexit
import builtins
import contextlib
import functools
import gc
import importlib
import inspect
import io
import json
import linecache
import logging
import os
import re
import shutil
import sys
import textwrap
import traceback
import warnings
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Self, TextIO, cast

ROOT = Path("/reader")
"""Where the files are put; cleared before each run."""
HINTS = {
    "MemoryError": "A page may use {memory} MiB. On your machine the file may use more.",
    "ModuleNotFoundError": (
        "In the page there is Python's own library only. "
        "On your machine, uv run brings the packages that a file names at its top."
    ),
    "I/O error": "A page has no input to read.",
    "No space left on device": "A page may keep 256 MiB in files. Your machine has more.",
    "can't start new thread": "A page has no threads. Run the file on your machine.",
    "emscripten does not support processes": "A page has no processes. Use your machine.",
}
_HIDDEN = ("/lib/python", "<frozen ", "<exec>", str(Path(__file__)))
# Fewer examples than on a commit: WebAssembly takes several times as long.
_EXAMPLES = 20
_LONGEST = 20_000
"""How many characters of an error are told."""
_TOLD_FAILURES = 5
"""How many tests that fail are told with their reason."""
_kept = set(sys.modules)
_asyncio_run = asyncio.run

Report = dict[str, object]


def place(files: Mapping[str, str]) -> None:
    """Put files below ROOT, and nothing else; forget what was imported from there before."""
    os.chdir("/")
    if _start is not None:
        _start.restore()
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


class _Start:
    """Python as it started: what a program changes of it does not reach the next one.

    Values of modules that were there at the start, streams, environment, logging and temporary
    files are restored; what a program changes inside an object is not.
    """

    def __init__(self) -> None:
        self.modules = dict(sys.modules)
        inner = ("pyodide", "_pyodide", "js", "sys", "__main__", __name__)
        self.values = {
            name: dict(vars(module))
            for name, module in sys.modules.items()
            if hasattr(module, "__dict__") and name.partition(".")[0] not in inner
        }
        self.environ = dict(os.environ)
        self.recursion = sys.getrecursionlimit()
        self.path, self.finders = sys.path[:], sys.meta_path[:]

    def restore(self) -> None:
        """Put back what a program changed."""
        sys.modules.update(self.modules)
        for name, values in self.values.items():
            now = vars(self.modules[name])
            for key, value in values.items():
                if now.get(key, self) is not value:
                    now[key] = value
        for key in vars(builtins).keys() - self.values["builtins"].keys():
            delattr(builtins, key)
        os.environ.clear()
        os.environ.update(self.environ)
        sys.setrecursionlimit(self.recursion)
        sys.path[:], sys.meta_path[:] = self.path, self.finders
        sys.settrace(None)
        sys.setprofile(None)
        sys.excepthook, sys.displayhook = sys.__excepthook__, sys.__displayhook__
        gc.enable()
        for number, name in ((1, "stdout"), (2, "stderr")):
            with contextlib.suppress(Exception):
                getattr(sys, name).flush()
            stream = open(  # noqa: SIM115 - it stays open
                number,
                "w",
                buffering=1,
                encoding="utf-8",
                errors="backslashreplace",
                newline="\n",
                closefd=False,
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        self._forget_logging()
        for left in Path("/tmp").glob("*"):  # noqa: S108 - the page's own, in its memory
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _forget_logging(self) -> None:
        logging.disable(logging.NOTSET)
        known = logging.root.manager.loggerDict.values()
        for logger in (logging.root, *known):
            if isinstance(logger, logging.Logger):
                logger.handlers.clear()
                logger.filters.clear()
                logger.setLevel(logging.NOTSET)
                logger.propagate, logger.disabled = True, False
        logging.root.setLevel(logging.WARNING)


_start = _Start() if sys.platform == "emscripten" else None


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
    code = compile(source, path, "exec", dont_inherit=True)
    if blocking:
        return code
    tree = ast.parse(source, path)
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
        memory: how many MiB the page gives to Python.

    Returns:
        What went wrong; None when nothing did.
    """
    with _AsMain(path, memory) as main:
        main.start(blocking=True)
        _asyncio_run(_settle())
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
        try:
            if isinstance(error, MemoryError):
                self.module.__dict__.clear()  # there is room again to tell of it
            if isinstance(error, SystemExit):
                failed = error.code not in (0, None)
                self.report = _said(f"{_told(error.code)}\n") if failed else None
            elif error is not None:
                self.report = describe(error, self.memory)
            if _start is not None:
                atexit._run_exitfuncs()  # noqa: SLF001 - as the end of a process does
        finally:
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
        with contextlib.suppress(Exception):  # a program may have closed it
            stream.flush()


# what went wrong ---------------------------------------------------------------------------------


def describe(error: BaseException, memory: int = 0, only: str = "") -> Report:
    """Describe an error by the reader's own lines.

    Args:
        error: what was raised.
        memory: how many MiB the page gives to Python.
        only: the one file that is the reader's; all below ROOT when empty.

    Returns:
        The name of its type; the line of the reader's file that raised it, 0 when there is none;
        its traceback without the frames of Python and of this file.
    """
    only = only or f"{ROOT}/"
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)
    name = type(error).__name__[:100]
    told = traceback.TracebackException.from_exception(error)
    _trim(told, only)
    places = [(frame.filename, frame.lineno or 0) for frame in told.stack]
    if isinstance(error, SyntaxError) and isinstance(error.filename, str):
        places.append((error.filename, error.lineno or 0))
    mine = [(file, line) for file, line in places if file.startswith(only)]
    # The reader has one file: it goes by its name alone.
    text = re.sub(rf'"{ROOT}/(?:[^"\n]*/)?([^"/\n]+)"', r'"\1"', _cut("".join(told.format())))
    last = _cut("".join(told.format_exception_only()))
    if not mine:
        text = last
    hint = next((say for sign, say in HINTS.items() if sign == name or sign in last), "")
    if hint:
        text += f"\n{hint.format(memory=memory)}\n"
    return {"type": name, "line": mine[-1][1] if mine else 0, "text": text}


def _trim(error: traceback.TracebackException, only: str) -> None:
    """Drop the frames that are not the reader's, in this error and in what led to it."""
    alone = not only.endswith("/")
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        told = waiting.pop()
        if id(told) in seen:
            continue
        seen.add(id(told))
        told.stack[:] = [
            frame
            for frame in told.stack
            if (frame.filename == only if alone else not _hidden(frame.filename))
        ]
        others = (told.__cause__, told.__context__, *(told.exceptions or ()))
        waiting += [other for other in others if other is not None]


def _hidden(file: str) -> bool:
    return any(part in file for part in _HIDDEN)


def _told(value: object) -> str:
    """Give the text of the reader's value, which may not want to give one."""
    try:
        return _cut(str(value))
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no text
        return f"<str() failed: {type(error).__name__}>"


def _cut(text: str, most: int = _LONGEST) -> str:
    """Leave out the middle of a text that is too long for a page."""
    more = len(text) - most
    if more <= 0:
        return text
    end = most // 4
    return f"{text[: most - end]}\n… {more:,} characters left out …\n{text[-end:]}"


# its tests ---------------------------------------------------------------------------------------


def test(path: str, memory: int) -> Report:
    """Run a test file that `place` has put there; tell each test in words.

    Returns:
        Under "failed" whether a test failed, under "passed" and "failures" how many did which;
        what went wrong when pytest itself could not end.
    """
    import pytest

    os.chdir(ROOT)
    (ROOT / "pytest.ini").write_text("[pytest]\nmarkers =\n  anyio\n  serial\n  slow\n")
    before = sys.path[:]
    sys.dont_write_bytecode = True
    options = ["-vv", "--no-header", "--tb=short", "--color=no", "-W", "error"]
    options += [f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-p", "no:anyio"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # packages are there before it
    page = _Page(sys.stdout, sys.stderr)
    try:
        # What pytest itself would print is for a terminal, and names times.
        with contextlib.redirect_stdout(io.StringIO()):
            failed = pytest.main([*options, path], [page]) != 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the reader is told
        return describe(error, memory)
    finally:
        page.tell()
        sys.path[:] = before
        os.chdir("/")
        flush()
    return {"failed": failed, "passed": page.passed, "failures": page.failures}


class _Page:
    """A plugin of pytest: how tests run in a page, and what is said of them."""

    def __init__(self, out: TextIO, wrong: TextIO) -> None:
        self.out, self.wrong = out, wrong
        self.passed = self.failures = 0
        self.name, self.times = "", 0

    def pytest_runtest_logreport(self, report: Any) -> None:  # noqa: ANN401 - pytest's own
        """Take down a test that passed, with its cases in one line; tell one that failed."""
        name, _, case = report.location[2].partition("[")
        words = name.rpartition(".")[2].removeprefix("test_").replace("_", " ")
        if report.failed:
            self.tell()
            self.failures += 1
            case = f" [{case}" if case else ""
            print(f"FAILED  {words}{_cut(case, 80)}", file=self.wrong)
            if self.failures <= _TOLD_FAILURES:
                self._why(report.longreprtext)
        elif report.when == "call" and report.passed:
            if words != self.name:
                self.tell()
            self.passed += 1
            self.name, self.times = words, self.times + 1

    def pytest_collectreport(self, report: Any) -> None:  # noqa: ANN401 - pytest's own
        """Tell why a file could not be read."""
        if report.failed:
            self._why(report.longreprtext)

    def _why(self, text: str) -> None:
        told = _cut(text.replace(f"{ROOT}/", ""), 4_000)
        print(textwrap.indent(told, "    "), file=self.wrong)

    def tell(self) -> None:
        """Print the line of the last test that passed, if it is not printed yet."""
        if self.times:
            cases = f" ({self.times} cases)" if self.times > 1 else ""
            print(f"passed  {self.name}{cases}", file=self.out)
        self.name, self.times = "", 0

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

    What the check imports from ROOT are copies of its own: whoever changes the class of a snippet
    instead of finding what breaks it changes another one. It guards against a shortcut, not against
    a program that looks for those copies.

    Args:
        path: the reader's file, relative to ROOT.
        checker: the file that judges: its `check` takes the reader's module, raises AssertionError
            with what is missing, and gives a sentence when nothing is.
        memory: how many MiB the page gives to Python.

    Returns:
        Under "solved" whether it is; what to tell under "text"; what went wrong otherwise.
    """
    before = sys.path[:]
    sys.path.insert(0, str(ROOT))
    try:
        answer = importlib.import_module(_module(path))
        told = _apart(checker).check(answer)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the reader is told
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        if isinstance(error, AssertionError) and where != str(ROOT / path):
            return {"solved": False, "text": f"{_told(error)}\n"}
        return {"solved": False, **describe(error, memory, only=str(ROOT / path))}
    finally:
        sys.path[:] = before
        flush()
    return {"solved": True, "text": f"{told}\n"}


def _apart(path: str) -> ModuleType:
    """Import a file, with all that it imports from ROOT anew and for itself alone."""
    others = _from_root()
    for name in others:
        del sys.modules[name]
    try:
        return importlib.import_module(_module(path))
    finally:
        for name in _from_root():
            del sys.modules[name]
        sys.modules.update(others)


def _from_root() -> dict[str, ModuleType]:
    """Give what was imported from ROOT, folders without an `__init__.py` included."""
    return {
        name: module
        for name, module in sys.modules.items()
        if any(
            str(place).startswith(f"{ROOT}/")
            for place in (getattr(module, "__file__", None), *getattr(module, "__path__", ()))
        )
    }


# a simulation ------------------------------------------------------------------------------------


def simulate(path: str, values: str, memory: int) -> Report:
    """Run a simulation that `place` has put there, with what it imports.

    Args:
        path: the file, relative to ROOT.
        values: where its sliders stand, as JSON; where they start when empty.
        memory: how many MiB the page gives to Python.

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
