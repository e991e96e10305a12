"""What is served of scripts and styles: the same code, without what only people read."""

import gzip
from pathlib import Path

import pytest

from catalog.slim import slim
from tests.catalog.repository import ROOT

ASSETS = sorted([*(ROOT / "docs/assets").rglob("*.js"), *(ROOT / "docs/assets").rglob("*.css")])


def served(tmp_path: Path, name: str, text: str) -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return slim(tmp_path / name).decode()


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("// why\nlet a = 1; // ms\n", "let a=1;\n"),
        ("/** @type {x} */\n  const a =\n\n    2;", "const a=2;\n"),
        ("const a = /** @type {any} */ (b);", "const a=(b);\n"),
        ('const a = "// no  comment";', 'const a="// no  comment";\n'),
        ("const a = `x // ${`y  /* ${b} */`} z`;", "const a=`x // ${`y  /* ${b} */`} z`;\n"),
        ("const a = b.replace(/[/]\\/ {2}/g, c);", "const a=b.replace(/[/]\\/ {2}/g,c);\n"),
        ("if (a) {\n  b();\n}\nelse c();", "if(a){b();}\nelse c();\n"),
        ("const a = b - -c + ++d * 2;", "const a=b- -c+ ++d*2;\n"),
        ("const f = () => {\n  return\n  {\n  }\n}", "const f=()=>{return\n{}}\n"),
        ("const a = b\nconst c = d", "const a=b\nconst c=d\n"),
        ('for (const a of b) if (a in c) return "x";', 'for(const a of b)if(a in c)return "x";\n'),
    ],
)  # fmt: skip
def test_a_script_loses_its_comments_and_no_code(tmp_path: Path, source: str, kept: str) -> None:
    assert served(tmp_path, "a.js", source) == kept


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("a  { content: '/* x */'; }\n", "a{content:'/* x */'}\n"),
        ("/* Why */\na { display: none !important; }", "a{display:none!important}\n"),
        ("a :is(b, c) > d ~ e { top: calc(1px + 2px); }", "a :is(b,c)>d~e{top:calc(1px + 2px)}\n"),
        ("@media (hover) and (a: 6em) { a b {} }", "@media (hover) and (a:6em){a b{}}\n"),
    ],
)  # fmt: skip
def test_a_style_keeps_what_it_says(tmp_path: Path, source: str, kept: str) -> None:
    assert served(tmp_path, "a.css", source) == kept


def test_what_is_neither_is_served_as_it_is(tmp_path: Path) -> None:
    assert served(tmp_path, "a.svg", "<svg>\n\n</svg>") == "<svg>\n\n</svg>"


@pytest.mark.parametrize("asset", ASSETS, ids=lambda path: path.name)
def test_served_twice_is_served_the_same(tmp_path: Path, asset: Path) -> None:
    """Slimming what is slim changes nothing: no code was taken for space or comment."""
    once = slim(asset).decode()
    assert served(tmp_path, asset.name, once) == once
    assert len(once) < asset.stat().st_size


def compressed(*names: str) -> int:
    """Bytes of these scripts as a server sends them, each compressed by itself."""
    return sum(len(gzip.compress(slim(ROOT / "docs/assets" / name), 9)) for name in names)


@pytest.mark.parametrize(("folder", "most"), [("practice", 15_500), ("run", 15_000)])
def test_all_scripts_of_a_kind_stay_small(folder: str, most: int) -> None:
    """Those of all tools, and the most that a page loads to run its code, PostgreSQL included."""
    scripts = [f"{folder}/{one.name}" for one in ASSETS if one.match(f"{folder}/*.js")]
    if folder == "run":
        scripts.append("../offline.js")
        scripts.remove("run/forget.js")  # the privacy page's
    assert 1_000 < compressed(*scripts) <= most


def test_no_page_loads_much() -> None:
    """The heaviest: what every page has, what keeps the reader's data, and one tool."""
    tools = [path.name for path in (ROOT / "docs/assets/practice").glob("*.js")]
    always = compressed("firedrill.js", "practice/store.js")
    assert max(always + compressed(f"practice/{one}") for one in tools if one != "store.js") < 8_500


def test_all_styles_stay_small() -> None:
    """Those of the tools, and what a reader's browser loads of ours on every page together."""
    served = {asset.stem: slim(asset) for asset in ASSETS if asset.suffix == ".css"}
    assert len(gzip.compress(served["practice"], 9)) <= 1_700
    assert len(gzip.compress(b"".join(served.values()), 9)) <= 7_100
