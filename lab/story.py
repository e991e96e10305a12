"""The `story` fixture: a drill tells what fails and what holds, while it runs.

A drill calls `story.scene("...")`, `story.naive("...", admitted=200)` and
`story.good("...", admitted=100)`. Under `make drill` each call prints at once; in any other run
it only records, so a drill reads the same in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

Kind = Literal["scene", "naive", "good"]
Number = int | float | str


@dataclass(frozen=True, slots=True)
class Line:
    """One thing told: what kind of line, its words, and its numbers by name."""

    kind: Kind
    text: str
    numbers: Mapping[str, Number] = field(default_factory=dict)


class Teller:
    """Where the lines of a story go; this one keeps silent."""

    def line(self, line: Line) -> None:
        """Tell one line."""


class Story:
    """What one drill tells.

    Attributes:
        lines: everything told so far, in order.
    """

    def __init__(self, teller: Teller) -> None:
        self.lines: list[Line] = []
        self._teller = teller

    def scene(self, text: str, **numbers: Number) -> None:
        """Say what happens now: the load, the fault, the moment."""
        self._tell(Line("scene", text, numbers))

    def naive(self, text: str, **numbers: Number) -> None:
        """Say how the naive code failed, with the numbers that show it."""
        self._tell(Line("naive", text, numbers))

    def good(self, text: str, **numbers: Number) -> None:
        """Say how the good code held under the same load, with its numbers."""
        self._tell(Line("good", text, numbers))

    def _tell(self, line: Line) -> None:
        self.lines.append(line)
        self._teller.line(line)


TELLER = pytest.StashKey[Teller]()


@pytest.fixture
def story(request: pytest.FixtureRequest) -> Story:
    """Tell the drill: live under `make drill`, silent in any other run."""
    return Story(request.config.stash.get(TELLER, Teller()))
