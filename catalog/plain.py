"""A Pygments filter: what is read in the ink of the text gets no element of its own.

More than half of the elements of a page of code would be names, brackets and dots; without
theirs a page with seventy listings is four tenths smaller, and has less to lay out.
"""

from collections.abc import Iterable, Iterator

from pygments.filter import Filter
from pygments.lexer import Lexer
from pygments.token import Name, Operator, Punctuation, Text, Whitespace, _TokenType

_INK = frozenset({Text, Whitespace, Name, Punctuation, Operator})


class Plain(Filter):  # type: ignore[misc] # Pygments carries no types
    """Gives names, operators, punctuation and space as one text where they meet."""

    def filter(
        self,
        lexer: Lexer | None,  # noqa: ARG002 - Pygments passes it
        stream: Iterable[tuple[_TokenType, str]],
    ) -> Iterator[tuple[_TokenType, str]]:
        """Join what has no colour of its own."""
        plain = ""
        for kind, value in stream:
            if kind in _INK:
                plain += value
                continue
            if plain:
                yield Text, plain
                plain = ""
            yield kind, value
        if plain:
            yield Text, plain
