"""Names and brackets stay in the text and get no element; what has a colour keeps its own."""

import re

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from catalog.zensical import read_config
from tests.catalog.repository import ROOT

CODE = {
    "python": 'def f(self, n):  # why\n    return [self.size + n, "a b", 1.5]\n',
    "sql": "SELECT count(*), o.id FROM orders AS o WHERE o.at > '2026-01-01' -- why\nLIMIT 10;\n",
}
PLAIN = {"n", "p", "o", "w"}


@pytest.mark.parametrize("language", CODE)
def test_only_what_has_a_colour_is_an_element(language: str) -> None:
    extensions = (one for one in read_config(ROOT)["markdown_extensions"] if isinstance(one, dict))
    (settings,) = (one["pymdownx.highlight"] for one in extensions if "pymdownx.highlight" in one)
    languages = {one["name"]: one["options"] for one in settings["extend_pygments_lang"]}
    source = CODE[language]
    bare, made = (
        highlight(source, get_lexer_by_name(language, **options), HtmlFormatter(nowrap=True))
        for options in (dict[str, list[str]](), languages[language])
    )
    before, after = (re.findall(r'<span class="(\w+)">', html) for html in (bare, made))
    assert PLAIN & set(before)
    assert after == [kind for kind in before if kind not in PLAIN]
    assert re.sub("<[^>]*>", "", made) == re.sub("<[^>]*>", "", bare)
