"""What every generated page needs: its front matter, links relative to it, and plain words."""

import html
import json
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.model import Catalog, Origin, Question, Scenario, Status

_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def escape(text: str) -> str:
    """Keep Markdown from reading marks into plain words."""
    return _SPECIAL.sub(r"\\\1", text)


def code(text: str) -> str:
    """Write text as an inline code span, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def count(number: int, noun: str) -> str:
    """Write `1 drill`, `2 drills`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def chip(status: Status) -> str:
    """Write a status as a word with the look of a chip; nothing when complete."""
    if status is Status.COMPLETE:
        return ""
    return f' <span class="fd-status fd-status--planned">{status}</span>'


def crisis(fire: bool) -> str:
    """Write the original's fire mark as a word."""
    return ' <span class="fd-status">crisis</span>' if fire else ""


def added(origin: Origin, why: str | None = None) -> str:
    """Say in words that a row is not the original's."""
    if origin == "original":
        return ""
    reason = f": {escape(why)}" if why else ""
    return f' <span class="fd-quiet">(added by Firedrill{reason})</span>'


def original(ref: str | None) -> str:
    """Show the original's own reference beside a row."""
    return f' <span class="fd-quiet">({escape(ref)} in the original)</span>' if ref else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page being written.

    Attributes:
        catalog: what the page is about.
        path: where it is staged, such as `questions/index.md`.
    """

    catalog: Catalog
    path: str

    def to(self, target: str) -> str:
        """Give the relative link to a staged file, with its `#anchor` if any."""
        path, mark, anchor = target.partition("#")
        if path == self.path and mark:
            return f"#{anchor}"
        return posixpath.relpath(path, posixpath.dirname(self.path) or ".") + mark + anchor

    def address(self, target: str) -> str:
        """Give the relative address of a staged file as raw HTML needs it, with its `#anchor`.

        Pages are served as folders: `finder.md` at `finder/`, `oncall/index.md` at `oncall/`.
        """
        path, mark, anchor = target.partition("#")
        here, there = _served(self.path), _served(path) if path.endswith(".md") else path
        found = posixpath.relpath(there, here)
        folder = "/" if path.endswith(".md") and not found.endswith("/") else ""
        return f"{found}{folder}{mark}{anchor}"

    def scenario_html(self, scenario: Scenario, text: str | None = None) -> str:
        """Link a scenario that has a page, in HTML; name one that has none, as planned."""
        words = html.escape(text or f"{scenario.number} · {scenario.title}")
        if self.catalog.has_page(scenario):
            return f'<a href="{self.address(f"scenarios/{scenario.id}.md")}">{words}</a>'
        return f"{words}{chip(Status.PLANNED)}"

    def scenario(self, scenario: Scenario, text: str | None = None) -> str:
        """Link a scenario that has a page; name one that has none, as planned."""
        words = escape(text or f"{scenario.number} · {scenario.title}")
        if self.catalog.has_page(scenario):
            marked = chip(scenario.status) if scenario.status is Status.DRAFT else ""
            return f"[{words}]({self.to(f'scenarios/{scenario.id}.md')}){marked}"
        return f"{words}{chip(Status.PLANNED)}"

    def scenarios(self, ids: Iterable[str]) -> str:
        """Link several scenarios, by number."""
        found = sorted((self.catalog.scenario(one) for one in ids), key=lambda one: one.number)
        return ", ".join(self.scenario(one) for one in found)

    def question(self, question: Question) -> str:
        """Link a question that is answered; name one that is not, as planned."""
        words = escape(question.question)
        if self.catalog.has_page(question):
            return f"[{words}]({self.to(f'questions/{question.id}.md')})"
        return f"{words}{chip(Status.PLANNED)}"

    def write(
        self,
        title: str,
        description: str,
        body: Sequence[str],
        *,
        hide: Sequence[str] = (),
        boost: float | None = None,
    ) -> str:
        """Give the whole page: front matter, H1, body; blocks are parted by an empty line."""
        front = [f"title: {json.dumps(title, ensure_ascii=False)}"]
        front.append(f"description: {json.dumps(description, ensure_ascii=False)}")
        front.append("generated: true")
        if hide:
            front.append(f"hide: [{', '.join(hide)}]")
        if boost == 0:
            front.append("search: {exclude: true}")
        elif boost is not None:
            front.append(f"search: {{boost: {boost}}}")
        head = "\n".join(["---", *front, "---", "", f"# {title}"])
        return "\n\n".join([head, *(block for block in body if block)]) + "\n"


def _served(path: str) -> str:
    """Give the folder that a staged page is served as."""
    return posixpath.normpath(path.removesuffix(".md").removesuffix("index") or ".")


def items(lines: Iterable[str]) -> str:
    """Write a list."""
    return "\n".join(f"- {line}" for line in lines)
