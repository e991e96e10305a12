"""The contracts of code, embeds and evidence: what is copied, what is shown, what is proved."""

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from catalog.expand import Context, Expanded, expand, read_context, source_pages
from catalog.load import load
from catalog.markdown import read_document
from catalog.model import Catalog, Status
from catalog.problem import Problem
from catalog.results import read_verified
from catalog.run.bundle import LACKING, PACKAGES, wanted
from catalog.snippets import Snippet
from catalog.sql import SETUP
from evidence.hashing import is_stale

WIDTH = 80
SERVERS = {
    "DATABASE_URL": "postgres",
    "REDIS_URL": "redis",
    "NATS_URL": "nats",
    "S3_ENDPOINT_URL": "s3",
}
# Import names of distributions that are called otherwise.
_MODULES = {
    "beautifulsoup4": ("bs4",),
    "boto3": ("boto3", "botocore"),
    "grpcio": ("grpc",),
    "nats-py": ("nats",),
    "opentelemetry-sdk": ("opentelemetry",),
    "pillow": ("PIL",),
    "prometheus-client": ("prometheus_client",),
    "protobuf": ("google",),
    "pyjwt": ("jwt",),
    "python-dateutil": ("dateutil",),
    "python-multipart": ("python_multipart",),
    "pyyaml": ("yaml",),
    "scikit-learn": ("sklearn",),
}
_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?>=(?P<major>\d+)(?:\.\w+)*,<(?P<next>\d+)$"
)
_OURS = frozenset({"snippets", "lab", "catalog", "evidence", "tests"})
# Objects have other sizes in a browser, and its clock is too coarse to time a demo.
_NOT_PRINTED_IN_BROWSER = frozenset({"getsizeof", "perf_counter", "perf_counter_ns"})


def check(catalog: Catalog, root: Path) -> list[Problem]:
    """Check every snippet, every embed and every recorded result.

    What cannot be read at all, `catalog.load` reports.
    """
    context = read_context(root, catalog)
    expanded: dict[str, Expanded] = {}
    problems: list[Problem] = []
    for path in source_pages(root, catalog):
        document, _ = read_document(root, path)
        if document is not None:
            expanded[path] = expand(document, path.removeprefix("docs/"), context)
            problems += expanded[path].problems
    for snippet in context.snippets.values():
        same = (one for one in context.snippets.values() if one.scenario == snippet.scenario)
        problems += check_snippet(snippet, frozenset(one.name for one in same))
        problems += _shown(snippet, expanded, context)
    problems += _sqls(expanded, context)
    problems += _evidence(expanded.values(), context)
    _, found = read_verified(root)
    problems += found
    return sorted(set(problems))


# snippets ----------------------------------------------------------------------------------------


def check_snippet(snippet: Snippet, beside: frozenset[str] = frozenset()) -> Iterator[Problem]:
    """Check one file that readers copy.

    Args:
        snippet: the file.
        beside: the names of its scenario's files; a function may import them from the same folder
            to show how they work together, since the file then still runs alone.
    """
    tree = ast.parse(snippet.text)
    yield from _form(snippet)
    yield from _metadata(snippet, tree, beside)
    yield from _documented(snippet, tree)
    yield from _demo(snippet, tree)
    hindrances = list(_browser(snippet, tree))
    if snippet.browser:
        yield from hindrances
    elif not hindrances:
        what = "runs in a browser, and is marked browser = false"
        yield Problem(snippet.path, 1, what, "set browser = true: its page gets a Run button")


def _form(snippet: Snippet) -> Iterator[Problem]:
    path = snippet.path
    lines = snippet.text.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > WIDTH:
            what = f"line of {len(line)} characters (at most {WIDTH} fit a phone)"
            yield Problem(path, number, what, "break it, or run ruff format snippets")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", snippet.name):
        what = f"the name {snippet.name!r} is no module name"
        yield Problem(path, 1, what, "use lower case letters, digits and underscores")
    if "# SPDX-License-Identifier: MIT-0" not in lines:
        mend = "add '# SPDX-License-Identifier: MIT-0' under the metadata"
        yield Problem(path, 1, "has no licence line", mend)
    bugs = [n for n, line in enumerate(lines, 1) if re.search(r"#\s*BUG\b", line)]
    for number in bugs:
        if not re.search(r"# BUG: \S", lines[number - 1]):
            mend = "write '# BUG: why'"
            yield Problem(path, number, "a BUG mark without a reason", mend)
        if not snippet.naive:
            mend = "mend the code, or name the file naive_*.py"
            yield Problem(path, number, "a BUG mark in code that readers should copy", mend)
    if snippet.naive and not bugs:
        mend = "mark each bad line with '# BUG: why'"
        yield Problem(path, 1, "a naive_ file marks no bad line", mend)


def _metadata(snippet: Snippet, tree: ast.Module, beside: frozenset[str]) -> Iterator[Problem]:
    path = snippet.path
    lines = snippet.text.splitlines()

    def at(word: str) -> int:
        return next((n for n, line in enumerate(lines, 1) if line.startswith(f"# {word}")), 1)

    if snippet.requires_python != ">=3.11":
        what = f"requires-python is {snippet.requires_python!r}"
        yield Problem(path, at("requires-python"), what, "write requires-python = '>=3.11'")
    if list(snippet.dependencies) != sorted(snippet.dependencies, key=str.lower):
        yield Problem(path, at("dependencies"), "dependencies are not sorted", "sort them")
    yield from _dependencies(snippet, tree, at("dependencies"), beside)
    yield from _needs(snippet, tree, at("needs"))


def _dependencies(
    snippet: Snippet, tree: ast.Module, at: int, beside: frozenset[str]
) -> Iterator[Problem]:
    """Compare the dependencies with the imports."""
    path = snippet.path
    at_once: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    late = beside - _third_party(ast.Module(at_once, [])).keys()
    imported = _third_party(tree)
    declared: set[str] = set()
    for requirement in snippet.dependencies:
        match = _REQUIREMENT.match(requirement)
        if match is None or int(match["next"]) != int(match["major"]) + 1:
            what = f"dependency {requirement!r} is not '>=tested,<next major'"
            yield Problem(path, at, what, "write it like 'redis>=8.1,<9'")
            continue
        modules = set(_modules_of(match["name"]))
        declared |= modules
        if not modules & imported.keys():
            what = f"never imports its dependency {match['name']}"
            yield Problem(path, at, what, "remove it from dependencies")
    for module, line in sorted(imported.items()):
        if module in _OURS:
            mend = "copy what it needs into this file, or take it as a parameter"
            yield Problem(path, line, f"imports {module}, which a reader does not have", mend)
        elif module not in declared | late:
            what = f"imports {module}, which its dependencies do not name"
            yield Problem(path, line, what, "add it to dependencies in the first lines")


def _needs(snippet: Snippet, tree: ast.Module, line: int) -> Iterator[Problem]:
    read = {
        SERVERS[node.value]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in SERVERS
    }
    for need in snippet.needs:
        if need not in SERVERS.values():
            mend = f"use some of: {', '.join(sorted(SERVERS.values()))}"
            yield Problem(snippet.path, line, f"needs the unknown server {need!r}", mend)
    known = set(snippet.needs) & set(SERVERS.values())
    variables = {server: name for name, server in SERVERS.items()}
    for need in sorted(known - read):
        what = f"needs {need}, but never reads {variables[need]}"
        yield Problem(snippet.path, line, what, "read it in main(), or remove it from needs")
    for need in sorted(read - known):
        what = f"reads {variables[need]}, but does not say so"
        yield Problem(snippet.path, line, what, f"add {need!r} to needs in the first lines")


def _modules_of(distribution: str) -> tuple[str, ...]:
    name = distribution.lower()
    return _MODULES.get(name, (name.replace("-", "_").replace(".", "_"),))


def _third_party(tree: ast.Module) -> dict[str, int]:
    """Give the top-level modules that are imported and not of the standard library, with lines."""
    found: dict[str, int] = {}
    for name, line in _imported(tree):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names:
            found.setdefault(top, line)
    return found


def _imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Give every imported module with its line; a relative import counts as one of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield ("snippets" if node.level else node.module or ""), node.lineno


def _documented(snippet: Snippet, tree: ast.Module) -> Iterator[Problem]:
    path = snippet.path
    if not snippet.docstring:
        mend = "say what it does, when to use it, its limits, its source"
        yield Problem(path, 1, "has no docstring", mend)
    elif not snippet.naive and not re.search(r"^Source", snippet.docstring, re.MULTILINE):
        mend = "end it with 'Source: RFC 9999 section 4, https://...'"
        yield Problem(path, 1, "its docstring names no source", mend)
    for node in _public(tree):
        if not ast.get_docstring(node):
            mend = "say what it does, with units, bounds and errors"
            yield Problem(path, node.lineno, f"{node.name} has no docstring", mend)


_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[_Definition]:
    for node in tree.body:
        if isinstance(node, _Definition) and not node.name.startswith("_"):
            decorators = [ast.unparse(one) for one in node.decorator_list]
            if not any(name.endswith("overload") for name in decorators):
                yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _demo(snippet: Snippet, tree: ast.Module) -> Iterator[Problem]:
    main = next((n for n in tree.body if isinstance(n, _Function) and n.name == "main"), None)
    if (
        main is None
        or main.args.args
        or main.returns is None
        or ast.unparse(main.returns) != "None"
    ):
        line = main.lineno if main else 1
        mend = "add 'def main() -> None:', a demo that prints something worth reading"
        yield Problem(snippet.path, line, "has no main()", mend)
    if _guard(tree) is None:
        mend = "end the file with: if __name__ == '__main__': main()"
        yield Problem(snippet.path, 1, "running it does nothing", mend)


def _guard(tree: ast.Module) -> ast.If | None:
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            return node
    return None


def _browser(snippet: Snippet, tree: ast.Module) -> Iterator[Problem]:
    path = snippet.path
    mend = "set browser = false, or do without it"
    if lacks := [*snippet.needs, *sorted(wanted(snippet.text) - PACKAGES)]:
        what = f"is marked browser = true, but needs {', '.join(lacks)}"
        yield Problem(path, 1, what, "set browser = false, or split the file")
    for module, line in _imported(tree):
        if module.partition(".")[0] in LACKING or module.startswith("http."):
            yield Problem(path, line, f"imports {module}, which a browser lacks", mend)
    # `main` itself is called under the guard only, which the snippet contract checks.
    entries = [_guard(tree), *(node for node in tree.body if _is_main(node))]
    guarded = {node for entry in entries if entry for node in ast.walk(entry)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) == "asyncio.run" and node not in guarded:
            what = "calls asyncio.run outside main(), where a loop already runs"
            yield Problem(path, node.lineno, what, "move the call there, or set browser = false")
        elif ast.unparse(node.func).rpartition(".")[2] in _NOT_PRINTED_IN_BROWSER:
            what = f"{ast.unparse(node.func)} differs from machine to machine"
            yield Problem(path, node.lineno, what, mend)


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "main"


# pages -------------------------------------------------------------------------------------------


def _shown(snippet: Snippet, expanded: dict[str, Expanded], context: Context) -> Iterator[Problem]:
    """Check that a snippet of a finished scenario has its card, and each section is embedded."""
    page = f"docs/scenarios/{snippet.scenario}.md"
    scenario = next((s for s in context.catalog.scenarios if s.id == snippet.scenario), None)
    if scenario is None:
        mend = "name the folder after a scenario, with underscores"
        yield Problem(snippet.path, 1, f"there is no scenario {snippet.scenario!r}", mend)
        return
    if page not in expanded:
        return
    cards = expanded[page].cards.count(snippet.name)
    if cards != 1:
        what = f"{page} shows its card {cards} times"
        mend = f"write [[snippet:{snippet.name}]] once, after its last excerpt"
        yield Problem(snippet.path, 1, what, mend)
    embedded = {embed for one in expanded.values() for embed in one.embeds}
    for section in snippet.sections:
        if (snippet.path, section.name) not in embedded:
            mend = f"embed it on {page}, or remove its markers"
            yield Problem(
                snippet.path, section.start, f"section {section.name!r} is on no page", mend
            )


def _sqls(expanded: Mapping[str, Expanded], context: Context) -> Iterator[Problem]:
    """Check that the SQL of a scenario is on its page, once."""
    for scenario, found in context.sqls.items():
        yield from found.problems
        page = f"docs/scenarios/{scenario}.md"
        if page in expanded and expanded[page].sqls != 1:
            what = f"{page} shows it {expanded[page].sqls} times"
            yield Problem(f"{found.folder}/{SETUP}", 1, what, "write [[sql]] there once")


# evidence ----------------------------------------------------------------------------------------


def stale(name: str, context: Context) -> Iterator[Problem]:
    """Say why a scenario's recorded result is out of date; nothing when it is not."""
    result = context.results.by_scenario.get(name)
    for reason in is_stale(result.model_dump(), context.root) if result else ():
        mend = f"make evidence SCENARIO={name}"
        yield Problem(f"evidence/results/{name}.json", 1, f"is out of date: {reason}", mend)


def stale_elsewhere(root: Path) -> list[Problem]:
    """Say which results that no page shows are out of date: the site is built all the same."""
    catalog, _ = load(root)
    context = read_context(root, catalog)
    return [problem for name in _of_no_page(context) for problem in stale(name, context)]


def _of_no_page(context: Context) -> list[str]:
    """Give the results that are of no scenario: what maintainers measure for themselves."""
    scenarios = {one.id for one in context.catalog.scenarios}
    return sorted(context.results.by_scenario.keys() - scenarios)


def _evidence(pages: Iterable[Expanded], context: Context) -> Iterator[Problem]:
    """Check that every result is fresh, and that nothing was measured for nothing."""
    shown = list(pages)
    values = {key for page in shown for key in page.values}
    charts = {key for page in shown for key in page.charts}
    written = {
        scenario.id for scenario in context.catalog.scenarios if context.catalog.has_page(scenario)
    }
    drafts = {one.id for one in context.catalog.scenarios if one.status is Status.DRAFT}
    others = set(_of_no_page(context))
    for name, result in context.results.by_scenario.items():
        path = f"evidence/results/{name}.json"
        if name not in drafts | others:
            yield from stale(name, context)
        if name not in written:
            continue
        text = (context.root / path).read_text(encoding="utf-8").split("\n")
        drawn = json.dumps([chart.spec for chart in result.charts.values()])
        for kind, keys, used in (
            ("number", result.values, values),
            ("chart", result.charts, charts),
        ):
            for key in keys:
                if f"{name}/{key}" in used or (kind == "number" and f'"{key}"' in drawn):
                    continue
                line = next((n for n, row in enumerate(text, 1) if f'"{key}"' in row), 1)
                script = f"evidence/{name.replace('-', '_')}.py"
                mend = f"use it on docs/scenarios/{name}.md, or drop it from {script}"
                yield Problem(path, line, f"the {kind} {key!r} is on no page", mend)
