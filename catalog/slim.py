"""Scripts and styles as they are served: without comments and needless spaces.

Nothing is renamed, so what a browser names is what the source says. The lexer knows strings,
patterns and nested templates; what looks like a comment or a space in one of them stays.
"""

from pathlib import Path

from pygments.lexers.css import CssLexer
from pygments.lexers.javascript import JavascriptLexer
from pygments.token import Comment, Text

_LEXERS = {
    ".js": JavascriptLexer(stripnl=False, ensurenl=False),
    ".css": CssLexer(stripnl=False, ensurenl=False),
}
# A space means nothing after the first, nor before the second. A slash may begin a pattern, and
# `a :hover` is not `a:hover`: those keep theirs.
_OPEN = {".js": set("{;,([:?&|=!<>"), ".css": set("{};,:>~")}
_CLOSE = {".js": set("}]),.;:?&|=!<>("), ".css": set("{};,>~!")}
_SIGNS = set("+-*%")
"""Whose spaces are needless unless the neighbour is a sign too: `a - -b`."""
_BLOCKS = {")", ">"}
"""What a brace may follow on a new line; after `return` the line's end would end the statement."""


def slim(file: Path) -> bytes:
    """Give an asset as it is served."""
    lexer = _LEXERS.get(file.suffix)
    if lexer is None:
        return file.read_bytes()
    out: list[str] = []
    space = ""
    for kind, value in lexer.get_tokens(file.read_text(encoding="utf-8")):
        comment = kind in Comment and kind not in Comment.Preproc  # that is CSS's `!important`
        if comment or (kind in Text and not value.strip()):
            space = "\n" if "\n" in space + value else " "
            continue
        if out and space and not _needless(file.suffix, out[-1][-1], space, value[0]):
            out.append(space)
        if file.suffix == ".css" and value == "}" and out[-1] == ";":
            out.pop()
        out.append(value)
        space = ""
    return f"{''.join(out)}\n".encode()


def _needless(suffix: str, before: str, space: str, after: str) -> bool:
    """Say whether the space between two characters of code can go."""
    if before in _OPEN[suffix] or after in _CLOSE[suffix]:
        return True
    if suffix == ".css":
        return False
    if space == " " and (before in _SIGNS) != (after in _SIGNS) and "/" not in before + after:
        return True
    return (before == ")" and space == " ") or (
        after == "{" and (space == " " or before in _BLOCKS)
    )
