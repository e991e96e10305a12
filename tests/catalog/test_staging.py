"""Staging: directives become plain Markdown, bad input names its place, nothing is half-written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import site as building
from catalog import stage as staging
from catalog.__main__ import INTERRUPTED, main
from catalog.check import open_in_drafts
from catalog.contracts import check, stale_elsewhere
from catalog.expand import Context, badge, expand, read_context
from catalog.load import load
from catalog.markdown import parse_document
from catalog.problem import Problem
from catalog.results import Verified, VerifiedFile
from catalog.site import recover, swap
from catalog.snippets import Snippet
from evidence.hashing import HARNESS
from tests.catalog.test_results import RESULT
from tests.catalog.test_snippets import GOOD

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/scenarios/rate-limiting.md"
FRONT = """---
page-type: scenario
id: rate-limiting
description: Limit each caller, with an answer that is right when two requests arrive at once.
summary: A limiter answers in [[m:rate-limiting/rtt]].
error_messages: ["429 Too Many Requests", "a `b`", "c"]
changes: [{date: 2026-11-22, what: First version}]
---
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with the real data, one snippet, one result, and no page."""
    root = tmp_path / "repo"
    (root / "docs/scenarios").mkdir(parents=True)
    for name in ("catalog/data", "overrides", "docs/assets"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("mkdocs.yml", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    for name in ("evidence/harness.py", "lab/memory.py", "lab/ratio.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "evidence/results").mkdir()
    (root / "evidence/results/rate-limiting.json").write_text(json.dumps(RESULT), encoding="utf-8")
    (root / "snippets/rate_limiting").mkdir(parents=True)
    (root / "snippets/rate_limiting/counter.py").write_text(GOOD, encoding="utf-8")
    return root


def expanded(repo: Path, body: str) -> tuple[str, list[Problem]]:
    """Expand a scenario's page with this body; give text and problems."""
    (repo / PAGE).write_text(FRONT + body, encoding="utf-8")
    context = context_of(repo)
    document, _ = parse_document(FRONT + body, PAGE)
    assert document is not None
    made = expand(document, "scenarios/rate-limiting.md", context)
    return made.text, made.problems


def context_of(repo: Path) -> Context:
    catalog, _ = load(repo, environ={})
    return read_context(repo, catalog)


def test_an_embed_becomes_the_tested_code_dedented(repo: Path) -> None:
    body = '```python\n--8<-- "snippets/rate_limiting/counter.py:inner"\n```\n'
    text, problems = expanded(repo, body)
    assert problems == []
    code = 'def hit(self) -> int:\n    """Count one."""\n    return 1\n'
    assert f'```{{.python title="counter.py"}}\n{code}```\n' in text


def test_an_embed_in_a_tab_keeps_its_indent(repo: Path) -> None:
    embed = '--8<-- "snippets/rate_limiting/counter.py:inner"'
    body = f'=== "One"\n\n    ```python\n    {embed}\n    ```\n'
    text, problems = expanded(repo, body)
    assert problems == []
    assert '    ```{.python title="counter.py"}\n    def hit(self) -> int:\n        ' in text


def test_recorded_numbers_replace_their_keys_but_not_in_code(repo: Path) -> None:
    text, problems = expanded(
        repo, "It takes [[m:rate-limiting/rtt]], [[m:rate-limiting/rtt|bare]]; `[[m:a/b]]`.\n"
    )
    assert problems == []
    assert "It takes 0.25\N{NO-BREAK SPACE}ms, 0.25; `[[m:a/b]]`." in text


def test_the_summary_and_the_messages_come_from_the_front_matter(repo: Path) -> None:
    text, problems = expanded(repo, "## Problem\n\nBad.\n\n## In one minute\n\n[[summary]]\n")
    assert problems == []
    assert "A limiter answers in 0.25\N{NO-BREAK SPACE}ms." in text
    assert text.index("`429 Too Many Requests`") < text.index("## In one minute")
    assert "`` a `b` ``" in text


def test_a_card_offers_the_file_three_ways(repo: Path) -> None:
    text, problems = expanded(repo, "[[snippet:counter]]\n")
    assert problems == []
    assert "Not verified in this build" in text
    assert "](../code/rate_limiting/counter.py){ download }" in text
    assert "](../reference/rate-limiting.md#snippets.rate_limiting.counter)" in text
    assert "`uv run counter.py`" in text
    assert "--8<--" not in text
    assert "Not in the page: it needs Redis." in text


@pytest.mark.parametrize(
    ("body", "line", "what", "mend"),
    [
        ("[[sumary]]", 1, "[[sumary]] is not a known directive", "did you mean 'summary'"),
        ("[[snippet:countr]]", 1, "there is no snippet", "did you mean 'counter'"),
        ("  [[summary]]", 1, "[[summary]] is indented", "first column"),
        ("x [[summary]]", 1, "is not a directive here", "alone on its line"),
        ("[[m:rate-limiting/rt]]", 1, "nothing was recorded as 'rate-limiting/rt'", "/rtt"),
        ("[[m:caching/x]]", 1, "nothing was recorded", "make evidence SCENARIO=caching"),
        ('--8<-- "snippets/a.py"', 1, "an embed stands outside a fence", "into a fence"),
        (
            '```python\n--8<-- "snippets/rate_limiting/counter.py:iner"\n```',
            2,
            "has no section 'iner'",
            "did you mean 'inner'",
        ),
        (
            '```python\n--8<-- "snippets/rate_limiting/countr.py"\n```',
            2,
            "there is no snippet",
            "did you mean",
        ),
        ('```python\nx = 1\n--8<-- "a.py"\n```', 2, "shares its fence", "of its own"),
        (
            '```text\n--8<-- "snippets/rate_limiting/counter.py"\n```',
            1,
            "an embed's fence is 'text'",
            "```python",
        ),
        ("```python notest\nx\n```", 1, "would be shown as text", "{.python notest}"),
        ("```{.python notest}\nx\n```", 1, "exempt without a reason", "data-reason"),
        ("```{.python retry:3}\nx\n```", 1, "unknown option 'retry:3'", "fixture:<name>"),
        ("```pycon\n>>> 1\n```", 1, "a pycon fence", "assert"),
        ("```python\nx = 1", 1, "never closed", "```"),
        ("```d2\na -> b\n```", 1, "has no title and no alt", "title="),
        (
            '```{.d2 title="t" alt="a"}\na -> b\nx: {shape: nope}\n```\n\n*So.*',
            3,
            "unknown shape",
            "d2lang",
        ),
        ('```{.d2 title="t" alt="a"}\na -> b\n```', 3, "has no caption", "*...*"),
        (
            '```{.d2 title="t" alt="a"}\na;b;c;d;e;f;g;h;i;j\n```\n\n*So.*',
            1,
            "has 10 boxes",
            "split it",
        ),
        (
            '```{.chart title="t" alt="a"}\nrate-limiting/latenc\n```',
            2,
            "no chart was recorded",
            "did you mean",
        ),
        ("[[drills]]", 1, "rate-limiting has no drill", "test_drill.py"),
    ],
)
def test_bad_input_names_its_line_and_its_mend(
    repo: Path, body: str, line: int, what: str, mend: str
) -> None:
    _, problems = expanded(repo, f"{body}\n")
    found = problems[0]
    assert (found.path, found.line) == (PAGE, FRONT.count("\n") + line)
    assert what in found.what
    assert mend in found.mend


def test_a_chart_says_on_what_it_was_measured_and_shows_its_numbers(repo: Path) -> None:
    environment = {"cpu": "A & B", "cores": 2, "system": "Linux", "python": "3.11.7"}
    environment |= {"servers": {"valkey": "9.1.2", "nginx": "1.31.3"}}
    spec = {
        "data": {"values": [{"n": 1, "ms": 0.5}]},
        "mark": "bar",
        "encoding": {"x": {"field": "n", "type": "ordinal"}},
    }
    result = RESULT | {
        "environment": environment,
        "packages": {"redis": "8.1.0"},
        "uses": {"snippets/rate_limiting/counter.py": "0"},
        "charts": {"latency": {"spec": spec}},
    }
    place = repo / "evidence/results/rate-limiting.json"
    place.write_text(json.dumps(result), encoding="utf-8")
    text, problems = expanded(repo, '```{.chart title="t" alt="a"}\nrate-limiting/latency\n```\n')
    assert problems == []
    assert (
        "<small>Measured 2026-11-22 on A &amp; B, Linux, 2 cores "
        "with Python 3.11.7, Valkey 9.1.2, redis 8.1.0.</small>"
    ) in text
    assert "    | n | ms |" in text


def test_charts_of_a_section_say_once_on_what_they_were_measured(repo: Path) -> None:
    spec = {
        "data": {"values": [{"n": 1, "ms": 0.5}]},
        "mark": "bar",
        "encoding": {"x": {"field": "n", "type": "ordinal"}},
    }
    place = repo / "evidence/results/rate-limiting.json"
    result = RESULT | {"charts": {"latency": {"spec": spec}}}
    place.write_text(json.dumps(result), encoding="utf-8")
    chart = '```{.chart title="t" alt="a"}\nrate-limiting/latency\n```\n\n'
    text, _ = expanded(repo, f"## Measured\n\n{chart}{chart}## At scale\n\n{chart}")
    measured, at_scale = text.split("## At scale")
    assert (measured.count("<small>Measured"), at_scale.count("<small>Measured")) == (1, 1)


@pytest.mark.parametrize(
    ("heading", "explained"),
    [("### What you see", " ([what each means, what to do](#what-you-see))"), ("### Else", "")],
)
def test_the_messages_lead_on_to_what_explains_them(
    repo: Path, heading: str, explained: str
) -> None:
    text, _ = expanded(repo, f"## Problem\n\nx\n\n## In production\n\n{heading}\n\ny\n")
    assert f"Messages that lead here{explained}:\n\n- `429 Too Many Requests`" in text


@pytest.fixture
def snippet(repo: Path) -> Snippet:
    return context_of(repo).snippets["snippets/rate_limiting/counter.py"]


def test_a_badge_is_true_for_these_bytes_only(snippet: Snippet) -> None:
    report = Verified(
        date="2026-11-22",
        python="3.11.7",
        servers={"valkey": "9.1.2"},
        packages={"redis": "8.1.0"},
        files={snippet.path: VerifiedFile(sha256=snippet.sha256, tests=4)},
    )
    text = badge(snippet, report)
    assert "Verified 2026-11-22: 4 tests on Python 3.11.7, Valkey 9.1.2, redis 8.1.0" in text
    changed = {snippet.path: VerifiedFile(sha256="0" * 64, tests=4)}
    assert "Not verified" in badge(snippet, report.model_copy(update={"files": changed}))
    assert "Not verified" in badge(snippet, Verified())


COUNTING = "---\ntitle: A\ndescription: What is counted\n---\n\n[[counts]]\n"


def counted(repo: Path, report: dict[str, object] | None) -> str:
    """Stage a page that counts, with this report of a test run; give the page."""
    (repo / "docs/about").mkdir()
    fence = '```{.python notest data-reason="shown, never run"}\nx\n```\n'
    (repo / "docs/about/counting.md").write_text(f"{COUNTING}\n{fence}", encoding="utf-8")
    if report is not None:
        (repo / "build").mkdir()
        (repo / "build/verified.json").write_text(json.dumps(report), encoding="utf-8")
    made = staging.plan(repo)
    return made.files["about/counting.md"].decode()


def test_counts_are_those_of_the_whole_build(repo: Path) -> None:
    text = counted(repo, None)
    pages = len([name for name in staging.plan(repo).files if name.endswith(".md")])
    for row in (
        "| Scenarios complete | 0 of 21 |",
        f"| Pages | {pages} |",
        "| Snippets | 1 |",
        "| Drills | 0 |",
        "| Python listings exempt, with a reason | 1 of 0 allowed |",
        "| Recorded measurements | 1 |",
        "| Recorded charts | 1 |",
        "No full test run is recorded in this build.",
    ):
        assert row in text


def test_counts_tell_what_the_last_full_run_proved_and_left_out(repo: Path) -> None:
    report: dict[str, object] = {
        "date": "2026-11-22",
        "python": "3.11.7",
        "platform": "Linux on x86_64, Python 3.11.7",
        "servers": {"valkey": "9.1.2"},
        "tests": {"parallel": {"passed": 1200, "failed": 0}, "serial": {"passed": 7, "failed": 1}},
        "left_out": {"etcd on PATH": 2},
        "counted": {"axe-pages": 21, "axe-runs": 84},
    }
    text = counted(repo, report)
    for row in (
        "| Date | 2026-11-22 |",
        "| Machine | Linux on x86_64, Python 3.11.7 |",
        "| Tests side by side | 1,200 passed |",
        "| Tests alone | 7 passed, 1 failed |",
        "| Left out on this machine: needs etcd on PATH | 2 |",
        "| Pages audited by axe-core | 21, in 84 audits |",
        "| Valkey | 9.1.2 |",
    ):
        assert row in text


def test_a_listing_below_the_counts_keeps_its_line(repo: Path) -> None:
    counted(repo, None)
    made = staging.plan(repo)
    (exempt,) = [one for one in made.listings if one.kind == "exempt"]
    lines = made.files[exempt.page].decode().split("\n")
    assert lines[exempt.line - 1].startswith("```{.python notest")


def test_the_servers_of_a_report_are_named_as_the_badge_reads_them() -> None:
    """Every need of a snippet finds its server in what `lab` reports."""
    from catalog.expand import server_version
    from lab.servers import versions

    reported = versions()
    for need in ("postgres", "redis", "nats", "s3"):
        assert server_version(need, reported) is not None, need


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        file.relative_to(folder).as_posix(): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def staged(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SITE_URL", "")
    monkeypatch.setenv("REPO_URL", "")
    (repo / "evidence/results/rate-limiting.json").unlink()
    shutil.rmtree(repo / "snippets/rate_limiting")
    said: list[str] = []
    assert staging.stage(repo, report=said.append) == 0, said
    yield repo
    assert list((repo / "build").glob(".stage-*")) == []


def test_a_second_stage_writes_nothing(staged: Path) -> None:
    before = tree(staged / "build")
    said: list[str] = []
    assert staging.stage(staged, report=said.append) == 0
    assert said[-1].endswith(", 0 changed")
    assert tree(staged / "build") == before


def test_a_removed_asset_leaves_the_stage_and_a_changed_one_is_replaced(staged: Path) -> None:
    (staged / "docs/assets/firedrill.css").unlink()
    (staged / "docs/assets/diagrams.css").write_text("a{}", encoding="utf-8")
    said: list[str] = []
    assert staging.stage(staged, report=said.append) == 0
    assert said[-1].endswith(", 2 changed")
    assert not (staged / "build/docs/assets/firedrill.css").exists()
    assert (staged / "build/docs/assets/diagrams.css").read_bytes() == b"a{}\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("---\ntitle: a: b\n---\n", "not valid YAML"),
        ("---\ntitle: a\n", "never closed"),
        ("---\ntitle: A\ndescription: About it\n---\n\n[[nonsense]]\n", "not a known directive"),
    ],
)
def test_a_failed_stage_leaves_everything_as_it_was(
    staged: Path, capsys: pytest.CaptureFixture[str], text: str, what: str
) -> None:
    before = tree(staged / "build")
    (staged / "docs/about").mkdir()
    (staged / "docs/about/x.md").write_text(text, encoding="utf-8")
    assert main(["--root", str(staged), "stage"]) == 1
    said = capsys.readouterr().err
    assert "docs/about/x.md:" in said
    assert what in said
    assert "Mend:" in said
    assert tree(staged / "build") == before


@pytest.mark.slow
def test_what_cannot_be_written_is_one_message(
    staged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(staged / "build")
    (staged / "docs/assets/new.css").write_text("a{}", encoding="utf-8")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "build/docs")

    monkeypatch.setattr(Path, "write_bytes", denied)
    assert main(["--root", str(staged), "stage"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot write build/docs: Permission denied" in said
    assert "Mend: make build/ writable" in said
    monkeypatch.undo()
    assert tree(staged / "build") == before


def test_a_file_in_the_place_of_build_is_one_message(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "evidence/results/rate-limiting.json").unlink()
    shutil.rmtree(repo / "snippets/rate_limiting")
    (repo / "build").write_text("", encoding="utf-8")
    assert main(["--root", str(repo), "stage"]) == 1
    assert "Mend:" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_killed_stage_left_is_cleaned_up_by_the_next(staged: Path) -> None:
    (staged / "build/.stage-dead/docs").mkdir(parents=True)
    (staged / "build/docs/index.md").unlink()
    said: list[str] = []
    assert staging.stage(staged, report=said.append) == 0
    assert said[-1].endswith(", 1 changed")
    assert not (staged / "build/.stage-dead").exists()


def test_a_site_whose_build_was_killed_between_two_renames_returns(tmp_path: Path) -> None:
    target, left = tmp_path / "site", tmp_path / ".site-dead"
    (left / "old").mkdir(parents=True)
    (left / "old/index.html").write_text("old", encoding="utf-8")
    recover(target)
    assert (target / "index.html").read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("before", [True, False])
def test_a_swap_that_fails_leaves_the_old_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    target = tmp_path / "site"
    if before:
        target.mkdir()
        (target / "index.html").write_text("old", encoding="utf-8")
    made = tmp_path / "made"
    made.mkdir()

    def vanish(path: Path, mode: int) -> None:  # as when a disk fills up or a folder is taken away
        assert mode == 0o755
        path.rmdir()

    monkeypatch.setattr(Path, "chmod", vanish)
    with pytest.raises(FileNotFoundError):
        swap(made, target, tmp_path / "old")
    assert target.exists() == before
    assert not (tmp_path / "old").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (PermissionError(13, "Denied", "/x/site"), (1, "site: cannot write /x/site: Denied. Mend")),
        (KeyboardInterrupt(), (INTERRUPTED, "site: interrupted; what was there before is ")),
    ],
)
def test_a_site_that_cannot_be_finished_is_one_message_and_changes_nothing(
    staged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: BaseException,
    expected: tuple[int, str],
) -> None:
    status, said = expected
    (staged / "site").mkdir()
    (staged / "site/index.html").write_text("old", encoding="utf-8")
    before = tree(staged / "site")

    def fails(*_: object, **__: object) -> int:
        raise fault

    monkeypatch.setattr(building, "render", fails)
    assert main(["--root", str(staged), "site"]) == status
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert tree(staged / "site") == before
    assert list(staged.glob(".site-*")) == []


@pytest.mark.slow
def test_an_interrupt_leaves_everything_as_it_was(
    staged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(staged / "build")
    (staged / "docs/assets/new.css").write_text("a{}", encoding="utf-8")

    def interrupted(*_: object, **__: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(staging, "_prepare", interrupted)
    assert main(["--root", str(staged), "stage"]) == INTERRUPTED
    assert "what was there before is unchanged" in capsys.readouterr().err
    assert tree(staged / "build") == before


@pytest.mark.slow
def test_ctrl_c_waits_until_all_files_are_in_place(
    staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (staged / f"docs/assets/{name}.css").write_text("a{}", encoding="utf-8")
    replace = os.replace

    def replace_and_interrupt(source: Path, target: Path) -> None:
        replace(source, target)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(os, "replace", replace_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        staging.stage(staged, report=lambda _: None)
    for name in ("a", "b", "c"):
        assert (staged / f"build/docs/assets/{name}.css").read_bytes() == b"a{}\n"


@pytest.mark.slow
def test_two_stages_at_once_agree(staged: Path) -> None:
    command = [sys.executable, "-m", "catalog", "--root", str(staged), "stage"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # with what is fetched
    (staged / "docs/assets/new.css").write_text("a{}", encoding="utf-8")
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    deadline = time.monotonic() + 60
    said = [one.communicate(timeout=deadline - time.monotonic())[1].decode() for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    changed = sorted(text.rsplit(", ", 1)[1].strip() for text in said)
    assert changed == ["0 changed", "1 changed"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("needs = ", "need = "), "reads REDIS_URL, but does not say so"),
        (('["redis"]\n', '["redys"]\n'), "needs the unknown server 'redys'"),
        (("redis>=8.1,<9", "redis>=8.1,<10"), "is not '>=tested,<next major'"),
        (("redis>=8.1,<9", "nats-py>=2.1,<3"), "imports redis, which its dependencies"),
        (("import redis", "import os"), "never imports its dependency redis"),
        (("import redis", "import redis\nimport lab"), "imports lab, which a reader does not"),
        (("import redis", "import redis\nfrom . import x"), "imports snippets"),
        (("# SPDX-License-Identifier: MIT-0\n", ""), "has no licence line"),
        (("Source: https://example.org", ""), "its docstring names no source"),
        (('    """Counts."""\n', ""), "Counter has no docstring"),
        (("return 1", "return 1  # BUG: no"), "a BUG mark in code that readers should copy"),
        (("return 1", "return 1  # " + "x" * 80), "characters (at most 80"),
        (("def main() -> None", "def start() -> None"), "has no main()"),
        (('if __name__ == "__main__":\n    main()\n', ""), "running it does nothing"),
        ((">=3.11", ">=3.12"), "requires-python is '>=3.12'"),
        (("browser = false", "browser = true"), "is marked browser = true, but needs"),
    ],
)
def test_each_rule_of_the_snippet_contract(repo: Path, change: tuple[str, str], what: str) -> None:
    good = GOOD.replace('\n"""\n\n\n#', '\n"""\n\nimport redis\n\n\n#', 1)
    good += (
        '\n\ndef main() -> None:\n    """Show it."""\n    print(redis, "REDIS_URL")\n'
        '\n\nif __name__ == "__main__":\n    main()\n'
    )
    file = repo / "snippets/rate_limiting/counter.py"
    file.write_text(good, encoding="utf-8")
    (repo / "evidence/results/rate-limiting.json").unlink()
    catalog, _ = load(repo, environ={})
    assert check(catalog, repo) == []
    assert change[0] in good
    file.write_text(good.replace(*change), encoding="utf-8")
    found = [str(problem) for problem in check(catalog, repo)]
    assert any(what in problem for problem in found), found


def test_a_function_may_import_the_file_beside_but_the_snippet_runs_alone(repo: Path) -> None:
    file = repo / "snippets/rate_limiting/counter.py"
    (file.parent / "other.py").write_text(GOOD, encoding="utf-8")
    what = "imports other, which its dependencies do not name"
    for code, wrong in (
        ("def both() -> None:\n    import other\n", False),
        ("import other\n\n\ndef both() -> None:\n    import other\n", True),
        ("def both() -> None:\n    import another\n", True),
    ):
        file.write_text(GOOD + code, encoding="utf-8")
        catalog, _ = load(repo, environ={})
        found = [str(problem).replace("another", "other") for problem in check(catalog, repo)]
        assert any(what in problem for problem in found) == wrong, found


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import socket\n", "imports socket, which a browser lacks"),
        ("import http.server\n", "imports http.server, which a browser lacks"),
        ("import asyncio\nasyncio.run(None)\n", "calls asyncio.run outside main()"),
        ("import sys\nsys.getsizeof(1)\n", "differs from machine to machine"),
    ],
)
def test_what_a_browser_lacks_is_found(repo: Path, code: str, what: str) -> None:
    text = GOOD.replace("browser = false", "browser = true") + code
    (repo / "snippets/rate_limiting/counter.py").write_text(text, encoding="utf-8")
    catalog, _ = load(repo, environ={})
    assert any(what in str(problem) for problem in check(catalog, repo))


def test_a_file_that_runs_in_a_browser_is_not_held_back(repo: Path) -> None:
    needless = GOOD.replace('needs = ["redis"]', "needs = []").replace('"redis>=8.1,<9"', "")
    (repo / "snippets/rate_limiting/counter.py").write_text(needless, encoding="utf-8")
    catalog, _ = load(repo, environ={})
    what = "runs in a browser, and is marked browser = false"
    assert any(what in str(problem) for problem in check(catalog, repo))


def test_stale_and_unused_results_and_unshown_snippets_are_found(repo: Path) -> None:
    (repo / PAGE).write_text(f"{FRONT}\n## Problem\n\nBad.\n", encoding="utf-8")
    catalog, _ = load(repo, environ={})
    found = [str(problem) for problem in check(catalog, repo)]
    for what in (
        "is out of date: the harness has changed",
        "the number 'rtt' is on no page",
        "the chart 'latency' is on no page",
        "shows its card 0 times",
        "section 'outer' is on no page",
        "section 'inner' is on no page",
    ):
        assert any(what in problem for problem in found), what


def test_an_old_result_of_a_draft_is_listed_and_fails_nothing(repo: Path) -> None:
    draft = FRONT.replace("page-type: scenario\n", "page-type: scenario\nstatus: draft\n")
    (repo / PAGE).write_text(f"{draft}\n## Problem\n\nBad.\n", encoding="utf-8")
    catalog, _ = load(repo, environ={})
    assert not any("is out of date" in str(problem) for problem in check(catalog, repo))
    assert any("is out of date" in str(problem) for problem in open_in_drafts(repo))


def test_an_old_result_that_no_page_shows_fails_the_check_and_not_the_build(repo: Path) -> None:
    """What maintainers measure for themselves: a site with it can be built, and measured again."""
    file = repo / "evidence/results/rate-limiting.json"
    text = file.read_text(encoding="utf-8").replace('"rate-limiting"', '"run-in-page"')
    file.with_name("run-in-page.json").write_text(text, encoding="utf-8")
    catalog, _ = load(repo, environ={})
    assert not any("run-in-page" in str(problem) for problem in check(catalog, repo))
    assert [str(problem) for problem in stale_elsewhere(repo)] == [
        (
            "evidence/results/run-in-page.json:1: is out of date: the harness has changed "
            f"({', '.join(HARNESS)}). Mend: make evidence SCENARIO=run-in-page."
        )
    ]
