"""Write `build/docs`: the plain Markdown and the files that any site generator renders.

Everything is computed first, then written to a temporary folder, then only the files that changed
are replaced, deletions last: a stage that fails leaves `build/docs` as it was, and a stage of
unchanged sources writes nothing.
"""

import fcntl
import json
import os
import shutil
import signal
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import yaml

from catalog import check, export, pages, sql
from catalog.counts import Counts, count_fences
from catalog.exercise import served
from catalog.expand import (
    Context,
    Expanded,
    Listing,
    expand,
    measured,
    read_context,
    source_pages,
)
from catalog.load import load
from catalog.markdown import Document, parse_document, read_document
from catalog.model import Catalog
from catalog.problem import Problem
from catalog.reference import reference_pages
from catalog.run import kit
from catalog.simulation import served as served_simulation
from catalog.slim import slim
from catalog.zensical import zensical_config

OUT = Path("build") / "docs"
Nav = list[object]


@dataclass(slots=True)
class Plan:
    """What a stage is going to write.

    Attributes:
        files: content by path below `build/docs`.
        sources: for each staged page, the file it was written in; None when it is generated.
        listings: every Python fence of the staged pages.
        nav: the sidebar, as MkDocs takes it.
        problems: what is wrong with the sources.
        catalog: what they say.
    """

    catalog: Catalog
    files: dict[str, bytes] = field(default_factory=dict)
    sources: dict[str, str | None] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    nav: Nav = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class StageError(Exception):
    """A stage that could not be written; says why and what mends it."""


def plan(root: Path, *, drafts: bool = False) -> Plan:
    """Compute everything that is staged; nothing is written but the cache of pictures."""
    catalog, problems = load(root, drafts=drafts)
    made = Plan(catalog, problems=list(problems))
    if not problems:
        made.problems += check.check(catalog, root)
    context = read_context(root, catalog)
    counting = _written_pages(made, context)
    _generated_pages(made, context)
    _counting_pages(made, context, counting)
    _other_files(made, context)
    made.nav = list(pages.nav(catalog))
    made.problems = sorted(set(made.problems))
    return made


def _written_pages(made: Plan, context: Context) -> list[Document]:
    """Add the pages of docs/; give those that show counts of the whole."""
    counting = []
    for path in source_pages(context.root, made.catalog):
        document, _ = read_document(context.root, path)
        if document is not None:
            expanded = _page(made, document, path.removeprefix("docs/"), path, context)
            _account(made, expanded)
            if expanded.counts:
                counting.append(document)
    return counting


def _counting_pages(made: Plan, context: Context, documents: Iterable[Document]) -> None:
    """Write the pages that show counts again, now that there is something to count."""
    counts = Counts(
        pages=sum(name.endswith(".md") for name in made.files),
        fences=count_fences(listing.kind for listing in made.listings),
        budget=_budget(context.root),
    )
    counted = replace(context, counts=counts)
    for document in documents:
        # The tables are as long as before: no listing has moved.
        _page(made, document, document.path.removeprefix("docs/"), document.path, counted)


def _budget(root: Path) -> int:
    """Read how many fences may be exempt."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return int(settings["tool"]["firedrill"]["fence-exemptions"])


def _generated_pages(made: Plan, context: Context) -> None:
    generated = pages.generate(made.catalog) | reference_pages(
        made.catalog, context.snippets.values()
    )
    for staged, text in sorted(generated.items()):
        if staged in made.files:
            mend = f"remove docs/{staged}, or give it another name"
            made.problems.append(Problem(f"docs/{staged}", 1, "this page is generated", mend))
            continue
        document, found = parse_document(text, f"build/docs/{staged}")
        made.problems += found
        if document is not None:
            _account(made, _page(made, document, staged, None, context))


def _other_files(made: Plan, context: Context) -> None:
    """Add assets, the code as readers download it, and the files for programs."""
    docs = context.root / "docs"
    for file in sorted(docs.rglob("*")):
        if file.is_file() and file.suffix != ".md" and not file.name.startswith("."):
            made.files[file.relative_to(docs).as_posix()] = slim(file)
    for snippet in context.snippets.values():
        made.files[snippet.code_path] = snippet.stripped.encode()
    _run_files(made, context)
    for name, data in export.files(made.catalog).items():
        text = name.endswith((".json", ".txt"))
        made.files[name] = _with_numbers(data, context) if text else data


def _run_files(made: Plan, context: Context) -> None:
    """Add what the page loads on a press."""
    made.files[f"{kit.SERVED}/glue.py"] = (kit.HERE / "glue.py").read_bytes()
    for scenario, exercise in context.exercises.items():
        if exercise.bundle is not None:
            data = exercise.bundle.json(checker=exercise.checker)
            made.files[served(scenario)] = data
    for scenario, found in context.sqls.items():
        made.files[sql.served(scenario)] = found.json()
    for scenario, simulation in context.simulations.items():
        if not simulation.fault:
            made.files[served_simulation(scenario)] = simulation.json()
    for path, tests in context.tests.items():
        made.files[context.snippets[path].tests_path] = tests.json()


def _with_numbers(data: bytes, context: Context) -> bytes:
    text, _, _ = measured(data.decode(), context.results)
    return text.encode()


def _page(
    made: Plan, document: Document, staged: str, source: str | None, context: Context
) -> Expanded:
    """Add one page; give it with its listings counted from the top of the staged file."""
    expanded = expand(document, staged, context)
    head = _front_matter(document, staged, context)
    above = head.count("\n")
    made.files[staged] = (head + expanded.text).encode()
    made.sources[staged] = source
    moved = [replace(listing, line=listing.line + above) for listing in expanded.listings]
    expanded.listings = moved
    return expanded


def _account(made: Plan, expanded: Expanded) -> None:
    made.problems += expanded.problems
    made.listings += expanded.listings


def _front_matter(document: Document, staged: str, context: Context) -> str:
    """Give the front matter that the renderer reads: title, description, search words."""
    front = dict(document.front)
    folder, _, name = staged.removesuffix(".md").partition("/")
    catalog = context.catalog
    if folder == "scenarios" and any(s.id == name for s in catalog.scenarios):
        scenario = catalog.scenario(name)
        words = [technique.label for technique in scenario.techniques]
        words += [*scenario.technologies, *scenario.aliases, *scenario.error_messages]
        front = {
            "title": scenario.title,
            "description": scenario.description,
            "page-type": "scenario",
            "id": scenario.id,
            "tags": list(dict.fromkeys(words)),
        }
    elif folder == "questions" and any(q.id == name for q in catalog.questions):
        question = catalog.question(name)
        front = {
            "title": question.question,
            "description": question.description,
            "page-type": "question",
            "id": question.id,
        }
    if not front:
        return ""
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    text, _, _ = measured(text, context.results)
    return f"---\n{text}---\n\n"


def stage(
    root: Path,
    *,
    drafts: bool = False,
    keep_going: bool = False,
    report: Callable[[str], None] = print,
    fetched: Mapping[str, bytes] | None = None,
) -> int:
    """Stage the site.

    Args:
        root: root of the repository.
        drafts: also stage pages that say `status: draft` (while serving).
        keep_going: write what can be written although there are problems.
        report: takes each line of what is said.
        fetched: files that come from elsewhere, by path below `build/docs`: `kit.assets()`.

    Returns:
        The exit status: 0, or 1 when there are problems.

    Raises:
        StageError: build/ cannot be written.
    """
    try:
        made = plan(root, drafts=drafts)
    except OSError as error:  # a picture could not be cached, or a source not be read
        raise _cannot(error, root) from error
    made.files |= fetched or {}
    for problem in made.problems:
        report(str(problem))
    if made.problems and not keep_going:
        report(f"stage: {_count(len(made.problems), 'problem')}; build/docs is left as it was")
        return 1
    changed = write(root, made)
    report(f"stage: {_count(len(made.files), 'file')}, {changed} changed")
    return 1 if made.problems else 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def write(root: Path, made: Plan) -> int:
    """Bring build/docs and the files beside it up to date; give how many files changed.

    Raises:
        StageError: it cannot be written; then nothing was replaced.
    """
    build = root / "build"
    beside = {
        "fences.json": _json([asdict(listing) for listing in made.listings]),
        "site.json": _json(
            {
                "site_url": made.catalog.site.url,
                "repo_url": made.catalog.site.repo,
                "nav": made.nav,
                "sources": made.sources,
            }
        ),
        "zensical.yml": zensical_config(root, made.catalog.site, made.nav),
    }
    wanted = {f"docs/{name}": data for name, data in made.files.items()} | beside
    try:
        build.mkdir(exist_ok=True)
        with alone(build / ".stage.lock"):
            for left in build.glob(".stage-*"):  # of a stage that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".stage-", dir=build) as folder:
                changed = _prepare(build, Path(folder), wanted)
                with undisturbed():
                    return _replace(build, Path(folder), wanted, changed)
    except OSError as error:
        raise _cannot(error, build) from error


def _cannot(error: OSError, place: Path) -> StageError:
    what = f"{error.filename or place}: {error.strerror or error}"
    mend = "make build/ writable for you, or remove it (everything in it can be made again)"
    return StageError(f"stage: cannot write {what}. Mend: {mend}.")


def _json(value: object) -> bytes:
    return f"{json.dumps(value, ensure_ascii=False, indent=1)}\n".encode()


def _prepare(build: Path, folder: Path, wanted: dict[str, bytes]) -> list[str]:
    """Write what differs from build/ into a temporary folder; give the paths."""
    changed = []
    for name, data in wanted.items():
        try:
            same = (build / name).read_bytes() == data
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            same = False
        if not same:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            changed.append(name)
    return changed


def _replace(build: Path, folder: Path, wanted: dict[str, bytes], changed: list[str]) -> int:
    """Move the prepared files into place, then delete what nothing wants any more."""
    for name in changed:
        target = build / name
        for parent in reversed(target.relative_to(build).parents):
            if (build / parent).is_file():  # a page became a folder
                (build / parent).unlink()
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / name, target)  # noqa: PTH105 - the name says that it overwrites
    deleted = 0
    for old in sorted((build / "docs").rglob("*"), reverse=True):
        if old.is_dir() and not old.is_symlink():
            if not any(old.iterdir()):
                old.rmdir()
        elif old.relative_to(build).as_posix() not in wanted:
            old.unlink()
            deleted += 1
    return len(changed) + deleted


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file: `make site` may run beside `make serve`, one of them writes at a time."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and termination back while files are moved into place (milliseconds).

    By handlers, not by a mask: a mask holds for one thread, and drawing a chart leaves others.
    """
    if threading.current_thread() is not threading.main_thread():  # signals do not come here
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)

    held = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in held}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in dict.fromkeys(came):
            signal.raise_signal(late)
