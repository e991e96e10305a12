"""Read what a scenario's page asks and orders: "Check yourself", and a runbook's first action.

Both become plain words in which only `code` is marked, fit for a card.
"""

import re

from catalog.markdown import fences, prose
from catalog.model import SelfCheck

_ASKED = re.compile(r'^\?{3}\+?[ \t]+question[ \t]+"(?P<q>.+)"[ \t]*$')
_LITERAL = re.compile(r"\\(?P<escaped>[\\`*_{}\[\]<>()#+.!|-])|(`+)(?!`).+?(?<!`)\2(?!`)")
_LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\([^)\s]*(?:[ \t]+\"[^\"]*\")?\)(?:\{[^}]*\})?")
_FOOTNOTE = re.compile(r"\[\^[^\]]+\]")
_STRESS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3})(?=\S)(?P<text>.+?)(?<=\S)\1(?!\w)")
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+")


def self_checks(body: str) -> tuple[SelfCheck, ...]:
    """Give the fold-outs `??? question "..."` of "Check yourself" that have an answer, in order."""
    found = []
    asked = ""
    answer: list[str] = []
    for line in [*_section(body, "## Check yourself"), "end"]:
        if line.startswith(("    ", "\t")) or not line.strip():
            answer.append(line)
            continue
        said = plain("\n".join(one.removeprefix("    ").removeprefix("\t") for one in answer))
        if asked and said:
            found.append(SelfCheck(q=plain(asked), a=said))
        match = _ASKED.match(line)
        asked, answer = match["q"].replace('\\"', '"') if match else "", []
    return tuple(found)


def first_action(body: str) -> str:
    """Give the first item of a runbook's "First 5 minutes"; empty where there is none."""
    lines = _section(body, "### First 5 minutes")
    first = next((number for number, line in enumerate(lines) if _ITEM.match(line)), None)
    if first is None:
        return ""
    item = [_ITEM.sub("", lines[first])]
    for line in lines[first + 1 :]:
        if _ITEM.match(line) or not line.strip():
            break
        item.append(line)
    return plain("\n".join(item))


def plain(text: str) -> str:
    """Write Markdown as plain words: a line for each paragraph, list item and line of a fence.

    Links keep their words, stress is dropped, and code stays between backticks.
    """
    code = {number: fence for fence in fences(text) for number in range(fence.line, fence.end + 1)}
    lines: list[str] = []
    open_paragraph = False
    for number, line in enumerate(text.split("\n"), 1):
        fence = code.get(number)
        if fence is not None:
            if fence.line < number < fence.end and line.strip():
                lines.append(f"`{line.removeprefix(fence.indent).rstrip()}`")
            open_paragraph = False
        elif not line.strip():
            open_paragraph = False
        elif open_paragraph and not _ITEM.match(line):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(_ITEM.sub("- ", line).strip())
            open_paragraph = True
    return "\n".join(_inline(line) for line in lines)


def _inline(line: str) -> str:
    """Drop the marks of one line; code and escaped marks are put aside meanwhile."""
    kept: list[str] = []

    def aside(found: re.Match[str]) -> str:
        kept.append(found["escaped"] or found[0])
        return f"\ue000{len(kept) - 1}\ue001"

    text = _FOOTNOTE.sub("", _LITERAL.sub(aside, line))
    for marked in (_LINK, _STRESS):
        text = marked.sub(lambda match: match["text"], text)
    return re.sub(r"\ue000(\d+)\ue001", lambda match: kept[int(match[1])], text)


def _section(body: str, heading: str) -> list[str]:
    """Give the lines below a heading, up to the next of its level or above it."""
    level = heading.partition(" ")[0]
    end = re.compile(rf"^#{{1,{len(level)}}} ")
    lines = body.split("\n")
    visible = prose(body).split("\n")
    for start, line in enumerate(visible):
        if line.rstrip() == heading:
            below = range(start + 1, len(lines))
            stop = next((n for n in below if end.match(visible[n])), len(lines))
            return lines[start + 1 : stop]
    return []
