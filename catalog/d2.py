"""D2 text to inline SVG that follows the site's palette.

`stage` compiles every diagram into a cache; the renderer of the page only looks it up, so that
an error always names the page and the line.
D2's styles and fonts are dropped: `docs/assets/diagrams.css` colours its classes for all pages.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from pymdownx.superfences import (  # type: ignore[import-untyped] # it has no types
    SuperFencesException,
)

from catalog import figure

# Part of the cache key: raise it when the rendering below changes.
_RENDERING = "3"
_SECONDS = 60
MOST_BOXES = 9
# D2 measures labels in Source Sans, which is narrow. Readers see their system's font: DejaVu Sans,
# the widest in use, is 1.2 times as wide. Labels are drawn this much smaller than measured.
_SHRINK = 0.82

_CANVAS = re.compile(
    r'<svg class="d2-\d+ d2-svg" width="(?P<width>\d+)" height="(?P<height>\d+)" '
    r'viewBox="(?P<box>[^"]+)">(?P<body>.*)</svg>\s*</svg>\s*$',
    re.DOTALL,
)
_COLOURED = re.compile(r'<[^>]*class="[^"]*\b(?P<what>fill|stroke)-(?:N|B|AA|AB)\d[^>]*>')
_LITERAL = re.compile(r'\b(?:fill|stroke)="(?P<colour>[^"]+)"')
_ALLOWED = {"none", "transparent", "red", "green", "white", "black"}


class DiagramError(ValueError):
    """A diagram that D2 refuses.

    Attributes:
        findings: (line inside the diagram, counted from 1; what is wrong).
    """

    def __init__(self, findings: list[tuple[int, str]]) -> None:
        self.findings = findings
        super().__init__("; ".join(f"diagram line {line}: {what}" for line, what in findings))


def key(source: str) -> str:
    """Give the name under which a diagram is cached."""
    return hashlib.sha256(f"{_RENDERING}\n{source.strip()}".encode()).hexdigest()[:20]


def compile_diagram(root: Path, source: str) -> str:
    """Give the SVG of a diagram, from the cache or by running D2 (about 40 ms).

    Raises:
        DiagramError: D2 refuses it, or it uses what the palette cannot follow.
    """
    name = key(source)
    picture = figure.cached(root, "d2", name)
    if picture is None:
        picture = _slim(_run(source.strip(), name))
        figure.store(root, "d2", name, picture)
    return picture


def boxes(picture: str) -> int:
    """Count the shapes of a compiled diagram."""
    return picture.count('<g class="shape"')


def _run(source: str, salt: str) -> str:
    command = [str(Path(sys.executable).with_name("d2")), "--no-xml-tag", "--omit-version"]
    command += ["--pad=8", f"--salt={salt}", "--stdout-format=svg", "-", "-"]
    # A developer's D2_THEME or D2_LAYOUT must not change the site.
    environment = {name: value for name, value in os.environ.items() if name[:3] != "D2_"}
    try:
        done = subprocess.run(  # noqa: S603 - our own binary, the source goes in as text
            command,
            input=source,
            capture_output=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
            env=environment | {"NO_COLOR": "1"},
        )
    except FileNotFoundError as error:
        raise DiagramError([(1, "the program d2 is missing; run make")]) from error
    except subprocess.TimeoutExpired as error:
        raise DiagramError([(1, f"d2 was not done after {_SECONDS} s")]) from error
    if done.returncode:
        found = re.findall(r"-:(\d+):\d+: ([^\n]*)", done.stderr)
        raise DiagramError(
            [(int(line), what) for line, what in found] or [(1, done.stderr.strip())]
        )
    return done.stdout


def _slim(svg: str) -> str:
    """Drop styles, fonts, literal colours and the background; shrink the labels."""
    if re.search(r"<foreignObject|<image|class=\"md\b", svg):
        raise DiagramError([(1, "text blocks and icons are not supported: use plain labels")])
    canvas = _CANVAS.search(re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL))
    if canvas is None:
        raise DiagramError([(1, "d2 gave no picture (several boards?): draw one board")])
    body = re.sub(r"^<rect [^>]*/>", "", canvas["body"].lstrip())
    body = re.sub(r'<g class="[A-Za-z0-9+/]+=*">', "<g>", body)  # names of shapes, unused
    body = _COLOURED.sub(_without_literals, body)
    body = re.sub(r"font-size:(\d+)px", _smaller, body)
    body = re.sub(r"(\d+\.\d\d)\d+", r"\1", body)
    body = re.sub(r"\s*\n\s*", "", body)
    body = re.sub(r'class="\s*([^"]*?)\s*"', r'class="\1"', body)
    foreign = {found["colour"] for found in _LITERAL.finditer(body)} - _ALLOWED
    if foreign:
        what = f"colour {min(foreign)} does not follow the palette: use red, green or none"
        raise DiagramError([(1, what)])
    head = f'<svg class="fd-d2" width="{canvas["width"]}" height="{canvas["height"]}"'
    return f'{head} viewBox="{canvas["box"]}">{body}</svg>'


def _without_literals(tag: re.Match[str]) -> str:
    text = tag[0]
    for what in ("fill", "stroke"):
        if re.search(rf'class="[^"]*\b{what}-', text):
            text = re.sub(rf' {what}="[^"]*"', "", text)
    return text


def _smaller(size: re.Match[str]) -> str:
    return f"font-size:{float(size[1]) * _SHRINK:.1f}px"


def fence(
    source: str,
    language: str,  # noqa: ARG001 - the interface of superfences
    css_class: str,  # noqa: ARG001
    options: dict[str, str],
    md: object,
    **_: object,
) -> str:
    """Render a `d2` fence of a staged page: look its picture up, fail when it is not there."""
    picture = figure.cached(figure.ROOT, "d2", key(source))
    if picture is None or not {"title", "alt"} <= options.keys():
        raise SuperFencesException(
            f"this diagram was not staged; run python -m catalog stage\n{source}"
        )
    uid = figure.unit(md, "d2")
    return figure.figure(picture, "d2", uid, options["title"], options["alt"])


def validator(
    language: str,  # noqa: ARG001 - the interface of superfences
    inputs: dict[str, str],
    options: dict[str, str],
    attrs: dict[str, str],  # noqa: ARG001
    md: object,  # noqa: ARG001
) -> bool:
    """Take title and alt of a fence; stage has refused any other attribute."""
    options.update(inputs)
    return True
