"""Read the seven steps of a model answer, for tools that show one step at a time."""

import re

from catalog.markdown import Document, fences, sections
from catalog.model import AnswerStep
from catalog.vocabulary import STEPS

_NUMBER = re.compile(r"(?P<number>[1-7])\. ")
_LIST = re.compile(r"[-*+] |\d+\. ")


def read_answer(document: Document) -> tuple[AnswerStep, ...]:
    """Give the steps that a question's page has; the checker says which are missing."""
    found = []
    for section in sections(document.body, document.body_line):
        match = _NUMBER.match(section.heading.text)
        if match is None:
            continue
        step = STEPS[int(match["number"]) - 1]
        text, code = _without_fences(section.body)
        facts = ""
        if step == STEPS[0]:
            text, facts = _facts(text)
        found.append(
            AnswerStep(step=step, place=section.heading.id, text=text, facts=facts, code=code)
        )
    return tuple(found)


def _without_fences(text: str) -> tuple[str, bool]:
    """Take code and figures out; say whether there were any."""
    lines: list[str | None] = list(text.split("\n"))
    blocks = fences(text)
    for fence in blocks:
        lines[fence.line - 1 : fence.end] = [None] * (fence.end - fence.line + 1)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(x for x in lines if x is not None)).strip(), bool(
        blocks
    )


def _facts(text: str) -> tuple[str, str]:
    """Part what to ask, up to the last list, from the facts to assume after it.

    Where nothing follows a list, all of it is what an interviewer would say.
    """
    blocks = text.split("\n\n")
    last = max((at for at, block in enumerate(blocks) if _LIST.match(block)), default=-1)
    while last + 1 < len(blocks) and blocks[last + 1].startswith((" ", "\t")):
        last += 1  # a paragraph of the list's last item
    asked, facts = "\n\n".join(blocks[: last + 1]), "\n\n".join(blocks[last + 1 :])
    return (asked, facts) if asked and facts else ("", text)
