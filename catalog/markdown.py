"""Read a Markdown document: front matter with line numbers, headings, anchors, fences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import markdown

from catalog.problem import Problem
from catalog.source import Yaml, parse_yaml, read_text

_HEADING = re.compile(r"^(#{1,6})[ \t]+(?P<text>.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`]*?)[ \t]*$")
_ATTRIBUTE_ID = re.compile(r"\{:?[^{}\n]*?#(?P<id>[\w:.-]+)[^{}\n]*\}")
_HTML_ID = re.compile(r"<[a-z][^>]*?\s(?:id|name)=[\"'](?P<id>[^\"']+)[\"']")
_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


@dataclass(frozen=True, slots=True)
class Document:
    """One Markdown file.

    Attributes:
        path: relative to the root of the repository, with `/`.
        front: its front matter; empty when there is none.
        yaml: the same with the line of every key (`document.yaml.line(("changes", 0))`).
        body: the text after the front matter.
        body_line: line of the file on which the body starts, counted from 1.
    """

    path: str
    front: dict[str, object]
    yaml: Yaml
    body: str
    body_line: int

    @property
    def stem(self) -> str:
        """File name without folder and suffix."""
        return self.path.rpartition("/")[2].removesuffix(".md")

    def line(self, *place: str | int) -> int:
        """Give the line of a key of the front matter, or of the nearest key around it."""
        return self.yaml.line(place)

    def headings(self) -> "list[Heading]":
        """Give the headings outside fences, in order, with the ids MkDocs gives them."""
        return headings(self.body, self.body_line)

    def fences(self) -> "list[Fence]":
        """Give the fences, also those inside tabs and admonitions."""
        return fences(self.body, self.body_line)

    def anchors(self) -> set[str]:
        """Give every id a link can point to: headings, `{#id}` and `id=` in raw HTML."""
        return anchors(self.body)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its level (1 to 6), its text as written, its id on the page, its line."""

    level: int
    text: str
    id: str
    line: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block.

    Attributes:
        line: line of the opening fence, counted from 1.
        end: line of the closing fence; the last line of the text when it is not closed.
        indent: the white space before the opening fence, also taken off each line of the body.
        mark: the opening run of backticks or tildes.
        info: what follows the mark, such as `python` or `{.python notest}`.
        body: the lines between, each with its newline.
        closed: whether a closing fence was found.
    """

    line: int
    end: int
    indent: str
    mark: str
    info: str
    body: str
    closed: bool

    @property
    def language(self) -> str:
        """The first word of info: `python` for `python title="x"`, `d2` for `{.d2 alt="x"}`."""
        words = self.info.strip("{} \t").split()
        return words[0].removeprefix(".") if words else ""


class _Token(TypedDict):
    level: int
    id: str
    name: str
    children: "list[_Token]"


def read_document(root: Path, path: str) -> tuple[Document | None, list[Problem]]:
    """Read a Markdown file; bad input becomes problems, and then there may be no document."""
    text, problems = read_text(root, path)
    if text is None:
        return None, problems
    return parse_document(text, path)


def parse_document(text: str, path: str) -> tuple[Document | None, list[Problem]]:
    """Split front matter and body as MkDocs does: from `---` on line 1 to the next `---`."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return Document(path, {}, Yaml(None), text, 1), []
    close = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() in {"---", "..."}), 0)
    if not close:
        what = "the front matter is opened by '---' and never closed"
        return None, [Problem(path, 1, what, "add a line '---' after its last key")]
    yaml = parse_yaml("\n".join(lines[1:close]), path, first_line=2)
    if yaml.problems:
        return None, list(yaml.problems)
    front = {} if yaml.value is None else yaml.value
    if not isinstance(front, dict):
        what = f"the front matter is a {type(front).__name__}, not a table of keys"
        return None, [Problem(path, 2, what, "write it as 'key: value' lines")]
    named = {str(key): value for key, value in front.items()}
    return Document(path, named, yaml, "\n".join(lines[close + 1 :]), close + 2), []


def fences(text: str, first_line: int = 1) -> list[Fence]:
    """Give the fenced blocks of a text, also indented ones; a fence inside a fence is its text."""
    found = []
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        indent, mark = opening["indent"], opening["mark"]
        close = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
        end = next((n for n in range(number + 1, len(lines)) if close.match(lines[n])), None)
        last = len(lines) - 1 if end is None else end
        inside = lines[number + 1 : len(lines) if end is None else end]
        body = "".join(f"{line.removeprefix(indent)}\n" for line in inside)
        found.append(
            Fence(
                line=first_line + number,
                end=first_line + last,
                indent=indent,
                mark=mark,
                info=opening["info"],
                body=body,
                closed=end is not None,
            )
        )
        number = last + 1
    return found


def prose(text: str) -> str:
    """Give the text with every fenced line emptied, so that line numbers stay the same."""
    lines = text.split("\n")
    for fence in fences(text):
        for number in range(fence.line - 1, fence.end):
            lines[number] = ""
    return "\n".join(lines)


def without_code(text: str) -> str:
    """Give the prose with inline code spans blanked as well; columns and lines stay the same."""
    return _SPAN.sub(lambda span: " " * len(span[0]), prose(text))


def headings(text: str, first_line: int = 1) -> list[Heading]:
    """Give the headings outside fences with the ids that Python-Markdown's toc gives them.

    The heading lines alone are rendered by Python-Markdown, so that inline markup, `{#id}` and
    doubled titles come out exactly as on the page.
    """
    found = [
        (number, match)
        for number, line in enumerate(prose(text).split("\n"), first_line)
        if (match := _HEADING.match(line))
    ]
    renderer = markdown.Markdown(extensions=["attr_list", "toc"])
    renderer.convert("\n\n".join(match[0] for _, match in found))
    tokens: list[_Token] = renderer.toc_tokens  # type: ignore[attr-defined] # set by the extension
    return [
        Heading(len(match[1]), match["text"], token["id"], number)
        for (number, match), token in zip(found, _flat(tokens), strict=True)
    ]


def _flat(tokens: "list[_Token]") -> "Iterator[_Token]":
    for token in tokens:
        yield token
        yield from _flat(token["children"])


def anchors(text: str) -> set[str]:
    """Give every id in a text that a link can point to."""
    plain = without_code(text)
    found = {heading.id for heading in headings(text)}
    found.update(match["id"] for match in _ATTRIBUTE_ID.finditer(plain))
    found.update(match["id"] for match in _HTML_ID.finditer(plain))
    return found


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the lines up to the next heading of the same or a higher level."""

    heading: Heading
    body: str = field(repr=False)


def sections(text: str, first_line: int = 1, level: int = 2) -> list[Section]:
    """Give the sections of one level, in order."""
    lines = text.split("\n")
    all_headings = headings(text, first_line)
    found = []
    for heading in all_headings:
        if heading.level != level:
            continue
        end = next(
            (h.line for h in all_headings if h.line > heading.line and h.level <= level),
            first_line + len(lines),
        )
        found.append(
            Section(heading, "\n".join(lines[heading.line - first_line + 1 : end - first_line]))
        )
    return found
