"""The texts that `make new` writes. `$name` is put in; `FILL:` marks what the author writes."""

ROW = """\
row:
  number: $number
  part: $part  # FILL: the part it belongs to
  title: $title  # FILL: the title readers see
  techniques:
    - label: $title technique  # FILL: a technique of the field, in its usual words
      python: what it is in Python  # FILL: what it is in Python
  level: $level  # FILL: must-know, should-know, good-to-know or senior-crisis
  technologies: [python-runtime]  # FILL: ids of catalog/data/technologies.yml
  topics:
    - {group: data-handling, label: $title}  # FILL: where the finder lists it
  symptoms:
    - {id: $id, label: $title}  # FILL: what somebody on call sees
  checklist: How to handle this?  # FILL: the line of the self-assessment
  related:
    - label: "Python: itertools"  # FILL: a subject to study beside it, and its primary source
      url: "https://docs.python.org/3/library/itertools.html"
  plan: {day: $day, slot: Morning}
"""

PAGE = """\
---
page-type: scenario
id: $id
status: draft
description: "FILL: 50 to 160 characters, for search engines and cards."
summary: >-
  FILL: 60 to 110 words, what you would say aloud.
error_messages:
  - "FILL: the first exact string a reader sees on screen"
  - "FILL: the second"
  - "FILL: the third"
aliases: []
prerequisites: []
confused_with: []
changes:
  - {date: $date, what: First version}
$row---

| you have | choose | because |
| --- | --- | --- |
| FILL: a situation | FILL: a choice | FILL: the reason |

## Problem

FILL: what breaks, for whom, and how it looks on the day it breaks.

## In one minute

[[summary]]

## Solution approach

$techniques

## Code

FILL: what the popular code does.

```python
--8<-- "snippets/$python/naive_batches.py:batches"
```

[[snippet:naive_batches]]

FILL: what the good code does, and which line makes the difference.

```python
--8<-- "snippets/$python/batches.py:batches"
```

[[snippet:batches]]

## When it fails

[[drills]]

## Measured

FILL: what was measured, by key; write the keys with make evidence SCENARIO=$id.
$runbook
## Trade-offs

FILL: what you gain, what you pay, when you would choose otherwise.

## Best practices

FILL: what to do, one line each.

## At scale

FILL: what breaks first at ten times and at a hundred times the load.

## In production

FILL: what to watch, what to limit, what to log.

## What the popular answer gets wrong

FILL: the claim, and the drill that disproves it.

## Check yourself

??? question "FILL: what a reader should be able to answer now"

    FILL: the answer, at most 60 words; it becomes a card.

## Interview questions

[[questions]]

## Related

[[related]]

## Sources

FILL: primary sources that you opened.
"""

RUNBOOK = """
## Runbook

### First 5 minutes

FILL: numbered, one action a line, reversible first, and when to stop.

### Diagnose

FILL: the command, what you see when it is this, what you see when it is not.

### Mitigate

FILL: what buys time.

### Fix

FILL: what removes the cause.

### Prevent

FILL: what would have kept it from happening.
"""

QUESTION_ROW = """\
row:
  question: How do you handle this?  # FILL: as an interviewer asks it
  scenarios: [$id]
  short_answer: In three words  # FILL: the short answer
"""

QUESTION = """\
---
page-type: question
id: $question
status: draft
description: "FILL: 50 to 160 characters, for search engines and cards."
spoken_answer: >-
  FILL: at most 220 words, a minute and a half aloud.
follow_ups:
  - id: f-$follow-1
    q: "FILL: what the interviewer asks next"
    a: "FILL: the answer, at most 320 characters"
    probes: scale
    see: "/scenarios/$id/#at-scale"
  - id: f-$follow-2
    q: "FILL: what the interviewer asks next"
    a: "FILL: the answer, at most 320 characters"
    probes: failure
    see: "/scenarios/$id/#when-it-fails"
  - id: f-$follow-3
    q: "FILL: what the interviewer asks next"
    a: "FILL: the answer, at most 320 characters"
    probes: trade-off
    see: "/scenarios/$id/#trade-offs"
  - id: f-$follow-4
    q: "FILL: what the interviewer asks next"
    a: "FILL: the answer, at most 320 characters"
    probes: operations
    see: "/scenarios/$id/#in-production"
  - id: f-$follow-5
    q: "FILL: what the interviewer asks next"
    a: "FILL: the answer, at most 320 characters"
    probes: correctness
    see: "/scenarios/$id/#code"
red_flags:
  - "FILL: an answer that loses the interview"
rubric:
  - {step: clarify, must_mention: "FILL: what to ask first"}
  - {step: identify-challenge, must_mention: "FILL: what breaks"}
  - {step: propose-solution, must_mention: "FILL: the choice and its reason"}
  - {step: code-example, must_mention: "FILL: the line that matters"}
  - {step: trade-offs, must_mention: "FILL: the price"}
  - {step: scale, must_mention: "FILL: what gives way first"}
  - {step: production, must_mention: "FILL: what to watch"}
changes:
  - {date: $date, what: First version}
$row---

## 1. Clarify

- FILL: the questions that change the answer.

FILL: the scale and constraints to assume for the rest; a mock interview tells them when asked.

## 2. Identify the challenge

FILL: the one thing that breaks first.

## 3. Propose a solution

FILL: the choice, and what decided it.

## 4. Code example

```python
--8<-- "snippets/$python/batches.py:batches"
```

## 5. Discuss trade-offs

FILL: the price, and the other choice.

## 6. Scale considerations

FILL: ten times, a hundred times.

## 7. Production concerns

FILL: what to watch, what to limit, what an attacker tries.
"""

_HEAD = """\
# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.firedrill]
# needs = []
# browser = true
# ///
# SPDX-License-Identifier: MIT-0
"""

NAIVE = (
    _HEAD
    + '''"""Rows in batches, as many people first write it.

FILL: what the popular code does, and what goes wrong.
"""

from collections.abc import Sequence


# --8<-- [start:batches]
def batches(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut rows into batches of `size` rows."""
    # BUG: a last, shorter batch is never reached, and its rows are lost.
    last = len(rows) - size + 1
    return [rows[start : start + size] for start in range(0, last, size)]
    # --8<-- [end:batches]


def main() -> None:
    """Cut ten rows into batches of four."""
    for batch in batches(range(10), 4):
        print(list(batch))


if __name__ == "__main__":
    main()
'''
)

GOOD = (
    _HEAD
    + '''"""Rows in batches, the last one included.

FILL: what it does, when to use it, its limits.

Source: FILL: the standard, paper or documentation, with its address
"""

from collections.abc import Sequence


# --8<-- [start:batches]
def batches(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut rows into batches of at most `size` rows; every row is in one.

    Raises:
        ValueError: size is not positive.
    """
    if size < 1:
        raise ValueError(f"size is {size}, not at least 1 row")
    return [rows[start : start + size] for start in range(0, len(rows), size)]
    # --8<-- [end:batches]


def main() -> None:
    """Cut ten rows into batches of four."""
    for batch in batches(range(10), 4):
        print(list(batch))


if __name__ == "__main__":
    main()
'''
)

NAIVE_BEHAVIOUR = '''\
"""What the popular code does get right, and how it fails."""

import runpy

import pytest

from snippets.$python.naive_batches import batches


def test_rows_that_fill_every_batch_are_kept() -> None:
    assert [list(one) for one in batches(range(4), 2)] == [[0, 1], [2, 3]]


def test_the_demo_shows_the_lost_rows(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path("snippets/$python/naive_batches.py", run_name="__main__")
    assert capsys.readouterr().out.splitlines() == ["[0, 1, 2, 3]", "[4, 5, 6, 7]"]
'''

BEHAVIOUR = '''\
"""Every row is in exactly one batch."""

import runpy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snippets.$python.batches import batches


@given(count=st.integers(0, 50), size=st.integers(1, 60))
def test_every_row_is_in_one_batch_in_order(count: int, size: int) -> None:
    found = batches(range(count), size)
    assert [row for batch in found for row in batch] == list(range(count))
    assert all(1 <= len(batch) <= size for batch in found)


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 0, not at least 1 row"):
        batches(range(4), 0)


def test_the_demo_shows_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path("snippets/$python/batches.py", run_name="__main__")
    assert capsys.readouterr().out.splitlines()[-1] == "[8, 9]"
'''

DRILL = '''\
"""FILL: what this drill proves."""

from lab.story import Story
from snippets.$python import batches, naive_batches


def test_no_row_is_lost(story: Story) -> None:
    """The last rows of an import never arrive, and nobody notices."""
    story.scene("ten rows, in batches of four")
    rows = range(10)

    arrived = sum(len(batch) for batch in naive_batches.batches(rows, 4))
    story.naive("the last batch is dropped", arrived=arrived)
    assert arrived == 8

    arrived = sum(len(batch) for batch in batches.batches(rows, 4))
    story.good("every row arrives", arrived=arrived)
    assert arrived == 10
'''

EVIDENCE = '''\
"""FILL: what is measured, and against what."""

from evidence.harness import Run
from snippets.$python import batches, naive_batches


def measure(run: Run) -> None:
    """Count the rows that arrive."""
    run.uses("snippets/$python/batches.py", "snippets/$python/naive_batches.py")
    rows = range(10)
    for name, cut in (("naive", naive_batches.batches), ("good", batches.batches)):
        arrived = sum(len(batch) for batch in cut(rows, 4))
        run.value(f"rows-{name}", arrived, unit="rows")
'''

TASK = """\
`batches` cuts the rows of an import into batches of 100, as it stands above.
Choose how many rows there are, so that 99 of them never arrive.
The check then cuts the same rows with the good code.
FILL: your own failure in place of this one, and what the reader chooses to bring it about.

1. Which batches does the naive code never reach?
2. How many rows can the last batch hold and still not be full?
3. FILL: the step that solves it, in words: 199 rows make one full batch, and 99 are left.
"""

START = '''\
"""FILL: the question in one line; what stands here does not answer it yet."""


def rows() -> int:
    """Give how many rows the import has."""
    return 200
'''

CHECK = '''\
"""FILL: what the naive code is given, and then the good code."""

from typing import Protocol

from snippets.$python import batches, naive_batches

SIZE = 100
LOST = 99
MOST = 100_000


class Reader(Protocol):
    """What the reader writes."""

    def rows(self) -> int:
        """Give how many rows the import has."""


def check(reader: Reader) -> str:
    """Judge the import; AssertionError says what is missing."""
    count: object = reader.rows()
    kind = type(count).__name__
    assert isinstance(count, int), f"rows() gives {kind} instead of a whole number."
    assert 0 <= count <= MOST, f"An import has 0 to {MOST:,} rows, not {count:,}."
    naive = sum(len(batch) for batch in naive_batches.batches(range(count), SIZE))
    assert count - naive == LOST, f"{count - naive} of {count:,} rows are lost instead of {LOST}."
    good = sum(len(batch) for batch in batches.batches(range(count), SIZE))
    return (
        f"{naive:,} of {count:,} rows arrived, and nothing was said.\\n"
        f"With the good code {good:,} arrive."
    )
'''

SOLUTION = '''\
"""FILL: why this answers the question."""


def rows() -> int:
    """Give how many rows the import has."""
    return 199
'''
