"""Read `snippets/`: the files that readers copy, with the contract written in their first lines."""

import ast
import hashlib
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.problem import Problem
from catalog.source import read_text

_MARKER = re.compile(
    r"^[ \t]*#[ \t]*-+8<-+[ \t]*"
    r"\[[ \t]*(?P<type>start|end)[ \t]*:[ \t]*(?P<name>[^\]\s]*)[ \t]*\][ \t]*$"
)
_BLOCK = re.compile(
    r"^# /// script[ \t]*\n(?P<body>(?:#(?: [^\n]*)?\n)+?)# ///[ \t]*$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Section:
    """A named part of a snippet.

    Attributes:
        name: as the markers and the pages write it.
        start: line of its opening marker, counted from 1.
        end: line of its closing marker.
        text: the lines between, dedented, without markers, ending in one newline.
    """

    name: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Snippet:
    """A file that readers copy.

    Attributes:
        path: relative to the root of the repository, `snippets/rate_limiting/gcra.py`.
        scenario: id of its scenario, with hyphens.
        name: file name without suffix, with underscores.
        requires_python: version specifier of its metadata.
        dependencies: requirement specifiers of its metadata.
        needs: servers its demo talks to: postgres, redis, nats, s3.
        browser: whether it runs in the reader's browser.
        title: first line of its docstring, without the full stop.
        docstring: the whole docstring, dedented.
        sections: its named parts, in order.
        text: the file as it is tested.
        stripped: the same without section markers: what readers copy.
        sha256: hash of the file's bytes.
    """

    path: str
    scenario: str
    name: str
    requires_python: str
    dependencies: tuple[str, ...]
    needs: tuple[str, ...]
    browser: bool
    title: str
    docstring: str
    sections: tuple[Section, ...]
    text: str
    stripped: str
    sha256: str

    @property
    def module(self) -> str:
        """Import name: `snippets.rate_limiting.gcra`."""
        return self.path.removesuffix(".py").replace("/", ".")

    @property
    def code_path(self) -> str:
        """Staged path of the download: `code/rate_limiting/gcra.py`."""
        return f"code/{self.path.removeprefix('snippets/')}"

    @property
    def tests_path(self) -> str:
        """Staged path of its tests for the page: `assets/run/tests/rate_limiting/gcra.json`."""
        return f"assets/run/tests/{self.code_path.removeprefix('code/').removesuffix('.py')}.json"

    @property
    def naive(self) -> bool:
        """Whether this is the version that fails on purpose."""
        return self.name.startswith("naive_")

    def section(self, name: str) -> Section | None:
        """Give the named part, or None."""
        return next((section for section in self.sections if section.name == name), None)


def strip(text: str) -> str:
    """Give a source text without its section markers."""
    return "".join(line for line in text.splitlines(keepends=True) if not is_marker(line))


def is_marker(line: str) -> bool:
    """Say whether a line is a section marker."""
    return _MARKER.match(line.rstrip("\n")) is not None


def read_snippets(root: Path) -> tuple[tuple[Snippet, ...], list[Problem]]:
    """Read every `snippets/<scenario>/<name>.py`; one that cannot be read becomes problems."""
    snippets: list[Snippet] = []
    problems: list[Problem] = []
    for file in sorted((root / "snippets").glob("*/*.py")):
        snippet, found = read_snippet(root, file.relative_to(root).as_posix())
        problems += found
        if snippet is not None:
            snippets.append(snippet)
    return tuple(snippets), problems


def read_snippet(root: Path, path: str) -> tuple[Snippet | None, list[Problem]]:
    """Read one snippet: its metadata, docstring and sections."""
    text, problems = read_text(root, path)
    if text is None:
        return None, problems
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        what = f"not Python: {error.msg}"
        return None, [Problem(path, error.lineno or 1, what, "mend the syntax")]
    metadata, found = _metadata(path, text)
    sections, marker_problems = read_sections(path, text)
    problems += found + marker_problems
    firedrill = _table(_table(metadata.get("tool")).get("firedrill"))
    docstring = ast.get_docstring(tree) or ""
    folder, _, name = path.removeprefix("snippets/").partition("/")
    snippet = Snippet(
        path=path,
        scenario=folder.replace("_", "-"),
        name=name.removesuffix(".py"),
        requires_python=str(metadata.get("requires-python", "")),
        dependencies=_strings(metadata.get("dependencies")),
        needs=_strings(firedrill.get("needs")),
        browser=firedrill.get("browser") is True,
        title=docstring.partition("\n")[0].strip().removesuffix("."),
        docstring=docstring,
        sections=sections,
        text=text,
        stripped=strip(text),
        sha256=hashlib.sha256((root / path).read_bytes()).hexdigest(),
    )
    return snippet, problems


def _table(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _metadata(path: str, text: str) -> tuple[dict[str, object], list[Problem]]:
    """Parse the inline script metadata (PEP 723)."""
    blocks = list(_BLOCK.finditer(text))
    if len(blocks) != 1:
        what = f"{len(blocks)} blocks of inline script metadata (PEP 723) instead of one"
        mend = "start the file with '# /// script' and close the block with '# ///'"
        return {}, [Problem(path, 1, what, mend)]
    block = blocks[0]
    line = text[: block.start()].count("\n") + 1
    if line != 1:
        what = "the inline script metadata does not start on the first line"
        return {}, [Problem(path, line, what, "move it to the top of the file")]
    body = "".join(
        f"{row.removeprefix('#').removeprefix(' ')}\n" for row in block["body"].splitlines()
    )
    try:
        return dict(tomllib.loads(body)), []
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        at = line + int(place[1]) if place else line
        what = f"the inline script metadata is not TOML: {error}"
        return {}, [Problem(path, at, what, "mend it, without the leading '# '")]


def read_sections(path: str, text: str) -> tuple[tuple[Section, ...], list[Problem]]:
    """Give the named parts of a text, and what is wrong with its markers."""
    lines = text.splitlines()
    opened: dict[str, int] = {}
    closed: dict[str, Section] = {}
    problems: list[Problem] = []
    for number, kind, name in _markers(lines):
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            what = f"section name {name!r} is not lower case letters, digits and hyphens"
            problems.append(Problem(path, number, what, "rename it here and on the pages"))
        elif kind == "start" and (name in opened or name in closed):
            first = opened.get(name) or closed[name].start
            what = f"section {name!r} is opened twice (first on line {first})"
            problems.append(Problem(path, number, what, "give each section a name of its own"))
        elif kind == "start":
            opened[name] = number
        elif name not in opened:
            what = f"section {name!r} is closed here but not open"
            mend = f"add '# --8<-- [start:{name}]' before its first line"
            problems.append(Problem(path, number, what, mend))
        else:
            start = opened.pop(name)
            body = strip("".join(f"{line}\n" for line in lines[start : number - 1]))
            if not body.strip():
                what = f"section {name!r} is empty"
                problems.append(Problem(path, start, what, "remove its markers"))
            closed[name] = Section(name, start, number, textwrap.dedent(body))
    for name, start in opened.items():
        mend = f"add '# --8<-- [end:{name}]' after its last line"
        problems.append(Problem(path, start, f"section {name!r} is never closed", mend))
    return tuple(sorted(closed.values(), key=lambda section: section.start)), problems


def _markers(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(lines, 1):
        if match := _MARKER.match(line):
            yield number, match["type"], match["name"]
