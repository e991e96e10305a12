"""Scripts and styles as they are served: without comments, indentation and empty lines.

Nothing is renamed or joined, so a line that a browser names is still a line of the source. The
lexer knows strings, patterns and nested templates; what looks like a comment in one of them stays.
"""

from pathlib import Path

from pygments.lexers.css import CssLexer
from pygments.lexers.javascript import JavascriptLexer
from pygments.token import Comment, Text

_LEXERS = {
    ".js": JavascriptLexer(stripnl=False, ensurenl=False),
    ".css": CssLexer(stripnl=False, ensurenl=False),
}


def slim(file: Path) -> bytes:
    """Give an asset as it is served."""
    lexer = _LEXERS.get(file.suffix)
    if lexer is None:
        return file.read_bytes()
    out: list[str] = []
    for kind, value in lexer.get_tokens(file.read_text(encoding="utf-8")):
        space = kind in Text and not value.strip()
        if kind in Comment and kind not in Comment.Preproc:  # that is CSS's `!important`
            space, value = True, "\n" if "\n" in value else " "  # noqa: PLW2901
        if not space:
            out.append(value)
        elif "\n" in value:
            while out and out[-1].isspace():
                out.pop()
            out.append("\n")
        elif out and not out[-1].isspace():
            out.append(" ")
    return f"{''.join(out).strip()}\n".encode()
