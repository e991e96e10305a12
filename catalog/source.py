"""Read text and YAML so that every later complaint can name the line it is about."""

import difflib
import functools
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from catalog.problem import Problem

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Yaml:
    """A parsed YAML text.

    Attributes:
        value: what it says; None when it is empty or could not be read.
        lines: line of each key and list item, by its place, such as `("changes", 0, "date")`.
        problems: what kept it from being read, or keys written twice.
    """

    value: object
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, place: Sequence[str | int]) -> int:
        """Give the line of a place, or of the nearest place around it; at least 1."""
        here = tuple(place)
        while here and here not in self.lines:
            here = here[:-1]
        return self.lines.get(here, 1)


class _Loader(yaml.SafeLoader):
    """Plain values only: no aliases, and a value that cannot be built names its line."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call] # gap in types-PyYAML
            raise yaml.composer.ComposerError(
                None, None, "an alias (*name) is not used here", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"not a value: {error}", node.start_mark
            ) from error


def read_text(root: Path, path: str) -> tuple[str | None, list[Problem]]:
    """Read a UTF-8 file below root; line ends become newlines, a byte order mark is dropped."""
    try:
        data = (root / path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return None, [Problem(path, 1, f"cannot be read: {reason}", "restore the file")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        return None, [Problem(path, line, what, "save the file as UTF-8")]
    return text.replace("\r\n", "\n").replace("\r", "\n"), []


@functools.lru_cache(maxsize=256)
def parse_yaml(text: str, path: str, first_line: int = 1) -> Yaml:
    """Parse YAML that starts at a given line of a file; bad input becomes problems.

    The same text is parsed once (a rebuild reads unchanged files again), so change no result.
    """
    lines: dict[Place, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        problems = [] if node is None else list(_walk(node, (), path, first_line, lines))
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        what = f"not valid YAML: {error.problem or error.context}"
        mend = "quote values that hold ': ' or '#', and check the indentation"
        return Yaml(None, {}, [Problem(path, line, what, mend)])
    except yaml.reader.ReaderError as error:
        line = first_line + text[: error.position].count("\n")
        what = f"character U+{int(error.character):04X} is not allowed in YAML"
        return Yaml(None, {}, [Problem(path, line, what, "remove it")])
    except RecursionError:
        return Yaml(None, {}, [Problem(path, first_line, "nested too deeply", "flatten it")])
    return Yaml(value, lines, problems)


def _walk(
    node: yaml.Node,
    place: Place,
    path: str,
    first_line: int,
    lines: dict[Place, int],
) -> Iterator[Problem]:
    """Record the line of every place below a node; give a problem for each doubled key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = first_line + key.start_mark.line
            here = (*place, str(key.value))
            if here in lines:
                what = f"key {key.value!r} is written twice"
                yield Problem(path, line, what, f"keep one (the first is on line {lines[here]})")
                continue
            lines[here] = line
            yield from _walk(value, here, path, first_line, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*place, index)
            lines[here] = first_line + item.start_mark.line
            yield from _walk(item, here, path, first_line, lines)


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant: `did you mean 'x'`, or `one of: ...`, without a full stop."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}"
    return f"use one of: {', '.join(names)}" if names else "remove it"


def explain(
    error: ValidationError, model: type[BaseModel], path: str, source: Yaml, at: Place = ()
) -> list[Problem]:
    """Turn what pydantic found in the value at a place into problems at the lines of the keys."""
    return [_explain(one, model, path, source, at) for one in _distinct(error)]


def _distinct(error: ValidationError) -> Iterator[tuple[str, Place, str, object]]:
    """Give one finding per place: a union reports each of its members."""
    seen = set()
    for one in error.errors(include_url=False, include_context=False):
        place = one["loc"]
        if place not in seen:
            seen.add(place)
            yield one["type"], place, one["msg"], one["input"]


def _explain(
    one: tuple[str, Place, str, object],
    model: type[BaseModel],
    path: str,
    source: Yaml,
    at: Place,
) -> Problem:
    kind, place, message, value = one
    name = ".".join(str(part) for part in place) or "the whole"
    line = source.line((*at, *place))
    if kind == "missing":
        return Problem(path, line, f"{name} is missing", f"add {place[-1]!r}")
    if kind == "extra_forbidden":
        known = _keys_at(model, place[:-1])
        mend = nearest(str(place[-1]), known)
        return Problem(path, line, f"{name} is not a known key", mend)
    what = message.removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return Problem(path, line, f"{name} is {shown}", f"{what}")


def _keys_at(model: type[BaseModel], place: Place) -> set[str]:
    """Give the keys that are allowed at a place of a model."""
    here: object = model
    for part in place:
        if isinstance(part, int):
            here = next((a for a in typing.get_args(here) if a is not Ellipsis), here)
        elif isinstance(here, type) and issubclass(here, BaseModel):
            fields = here.model_fields
            found = fields.get(part) or next((f for f in fields.values() if f.alias == part), None)
            here = found.annotation if found else here
        here = _plain(here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return {f.alias or name for name, f in here.model_fields.items()}
    return set()


def _plain(annotation: object) -> object:
    """Take `X` out of `X | None`."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation
