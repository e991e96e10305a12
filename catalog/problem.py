"""What is wrong with a file, where, and what mends it."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One finding about one place; a build with any problem fails.

    Attributes:
        path: file, relative to the root of the repository, with `/`.
        line: line in that file, counted from 1.
        what: what is wrong, with the offending value, without a full stop.
        mend: the edit or the command that mends it, without a full stop.
    """

    path: str
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        """Give `path:line: what. Mend: mend.`, the form that editors turn into a link."""
        return f"{self.path}:{self.line}: {self.what}. Mend: {self.mend}."


class SetUpError(Exception):
    """Something the build needs cannot be had; says why and what mends it."""
