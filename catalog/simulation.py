"""The simulation of a page: drawn at build by the Python that a reader's browser runs again.

It lives with the tests of its scenario, in `tests/scenarios/<id>/simulation.py`; what it has to
say is told in catalog/run/sliders.py. It is run in a process of its own with the very files
that the page gets, and what it draws is cached by them: an unchanged one is not run again.
"""

import hashlib
import html
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog import figure
from catalog.run import kit
from catalog.run.bundle import Bundle, bundle

_SECONDS = 20
"""A page gives it ten; this machine may be busy."""
_CHILD = """
import json, pathlib, sys
glue_folder, folder = map(pathlib.Path, sys.argv[1:])
# A page has this repository's files in no other place than the reader's folder.
sys.path[:] = [one for one in sys.path if not pathlib.Path(one, "catalog").is_dir()]
sys.path.insert(0, str(glue_folder))
import glue
glue.ROOT = folder / "reader"
job = json.load(sys.stdin)
glue.place(job["files"])
told = glue.simulate(job["path"], job["values"], 0)
(folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
"""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulation.

    Attributes:
        path: its file, relative to the root of the repository.
        bundle: what the page needs to run it.
        shown: what it gives where its sliders start; empty when it has a fault.
        fault: why it cannot be shown; empty when it can.
        line: where in its file the fault is.
    """

    path: str
    bundle: Bundle
    shown: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    line: int = 1

    def json(self) -> bytes:
        """Write what the page loads on the reader's press."""
        return self.bundle.json(sliders=self.shown["sliders"])


def served(scenario: str) -> str:
    """Give the staged path of a simulation: `assets/run/simulations/rate-limiting.json`."""
    return f"assets/run/simulations/{scenario}.json"


def read_simulation(root: Path, scenario: str) -> Simulation | None:
    """Read and run the simulation of a scenario; None when it has none.

    Args:
        root: root of the repository.
        scenario: its id in Python, with underscores.
    """
    path = f"tests/scenarios/{scenario}/simulation.py"
    if not (root / path).is_file():
        return None
    try:
        found = bundle(root, [path])
    except SyntaxError as error:
        empty = Bundle(path, {}, frozenset(), frozenset(), blocks=False)
        return Simulation(path, empty, fault=f"is no Python: {error.msg}", line=error.lineno or 1)
    if found.missing:
        fault = f"imports {', '.join(sorted(found.missing))}, which a page lacks"
        return Simulation(path, found, fault=fault)
    told = draw(root, found)
    if "svg" in told:
        return Simulation(path, found, shown=told)
    return Simulation(path, found, **_fault(told))


def _fault(told: Mapping[str, Any]) -> dict[str, Any]:
    """Say what went wrong in one line, and on which line of the simulation."""
    lines = [line.strip() for line in str(told["text"]).strip().splitlines()]
    named = [line for line in lines if line.partition(":")[0].endswith(str(told["type"]))]
    frames = re.findall(r'File "simulation\.py", line (\d+)', str(told["text"]))
    return {"fault": f"fails: {(named or lines)[-1]}", "line": int(frames[-1]) if frames else 1}


def draw(root: Path, found: Bundle, values: Mapping[str, int] | None = None) -> Mapping[str, Any]:
    """Give what a simulation shows, from the cache or by running it (about 0.3 s once).

    Args:
        root: root of the repository, which holds the cache.
        found: the simulation, with what it imports.
        values: where its sliders stand; where they start when None.

    Returns:
        As `show` in catalog/run/sliders.py; or type, line and text of what went wrong.
    """
    job = found.json(values=json.dumps(values) if values else "")
    key = hashlib.sha256(job + (kit.HERE / "glue.py").read_bytes()).hexdigest()[:20]
    cached = figure.cached(root, "simulation", key, "json")
    if cached is None:
        cached = _run(job)
        told: Mapping[str, Any] = json.loads(cached)
        if "svg" not in told:  # it may have been the machine's fault
            return told
        figure.store(root, "simulation", key, cached, "json")
    shown: Mapping[str, Any] = json.loads(cached)
    return shown


def _run(job: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="firedrill-simulation-") as name:
        folder = Path(name).resolve()
        command = [sys.executable, "-I", "-c", _CHILD, str(kit.HERE), str(folder)]
        try:
            done = subprocess.run(  # noqa: S603 - this Python, and files of the repository
                command, input=job, capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            why = f"takes more than {_SECONDS} s: a page wants well under one"
            return json.dumps({"type": "TimeoutExpired", "line": 0, "text": why})
        told = folder / "told.json"
        if told.is_file():
            return told.read_text(encoding="utf-8")
        said = done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        return json.dumps({"type": "Error", "line": 0, "text": said})


def block(simulation: Simulation, address: str) -> Iterator[str]:
    """Give the simulation as lines of Markdown: complete without a script.

    Args:
        simulation: one without fault.
        address: of what the page loads on the reader's press, seen from the page.
    """
    shown = {name: str(simulation.shown[name]) for name in ("svg", "table")}
    words = {
        name: html.escape(str(simulation.shown[name]), quote=False)
        for name in ("caption", "model", "values")
    }
    title = html.escape(str(simulation.shown["title"]))
    yield from ("### Simulation", "", str(simulation.shown["question"]), "")
    # One block of HTML: what the page draws later replaces parts of it.
    yield (
        '<div class="fd-sim" data-search-exclude>'
        f'<div class="fd-sim__try" data-fd-sim="{html.escape(address)}"></div>'
        '<figure class="fd-figure fd-figure--chart">'
        f'<div class="fd-scroll" role="group" aria-label="{title}" tabindex="0">'
        f"{shown['svg']}</div>"
        f"<figcaption>{words['caption']}</figcaption></figure>"
        f'<p class="fd-quiet fd-sim__values">{words["values"]}.</p>'
        '<details class="note"><summary>The numbers as a table</summary>'
        f"<div>{shown['table']}</div></details></div>"
    )
    yield from (
        "",
        f"<small>{html.escape(str(simulation.shown['model']), quote=False)}</small>",
        "",
    )
