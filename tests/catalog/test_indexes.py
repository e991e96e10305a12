"""Files, navigation, generated pages and the API name the same things."""

import html
import json
import re
from pathlib import Path

import jsonschema
import pytest

from catalog.export import files
from catalog.load import load
from catalog.model import Catalog
from catalog.pages import generate, nav
from tests.catalog.repository import NAME, ROOT

KEYS = {
    "scenarios", "topics", "questions", "levels", "plan", "template", "checklist", "related",
    "symptoms", "tips", "mistakes", "signals",
}  # fmt: skip
SCENARIO_KEYS = {
    "number", "id", "title", "url", "part", "level", "status", "techniques", "technologies",
    "topics", "symptoms", "error_messages", "snippets", "drills", "measurements",
}  # fmt: skip


def everything(root: Path) -> tuple[Catalog, dict[str, str]]:
    catalog, _ = load(root)
    return catalog, generate(catalog)


def staged_paths(entries: object) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    if isinstance(entries, dict):
        return [path for one in entries.values() for path in staged_paths(one)]
    assert isinstance(entries, list)
    return [path for one in entries for path in staged_paths(one)]


@pytest.mark.parametrize("place", ["this repository", "with a 22nd scenario"])
def test_navigation_holds_every_page_once(place: str, filled: Path) -> None:
    root = ROOT if place == "this repository" else filled
    catalog, pages = everything(root)
    hand_written = {
        path.relative_to(root / "docs").as_posix() for path in (root / "docs").rglob("*.md")
    }
    drafts = {
        f"{folder}/{one.id}.md"
        for folder, some in (("scenarios", catalog.scenarios), ("questions", catalog.questions))
        for one in some
        if one.page is not None and not catalog.has_page(one)
    }
    found = staged_paths(nav(catalog))
    values = {path for path in pages if path.startswith("finder/")}  # reached from the finder
    assert sorted(found) == sorted((hand_written - drafts) | (set(pages) - values))


def test_every_index_holds_every_scenario(filled: Path) -> None:
    catalog, pages = everything(filled)
    assert len(catalog.scenarios) == 22
    for page in (
        "index.md", "scenarios/index.md", "finder.md", "questions/index.md", "levels.md",
        "plan.md", "checklist.md", "cheatsheet.md", "oncall/index.md",
    ):  # fmt: skip
        text = html.unescape(pages[page])
        missing = [one.title for one in catalog.scenarios if one.title not in text]
        assert missing == [], page


def test_a_finished_scenario_is_linked_and_a_planned_one_is_not(filled: Path) -> None:
    _, pages = everything(filled)
    for page, text in pages.items():
        linked = set(re.findall(r"scenarios/([a-z0-9-]+)\.md|\((?:\.\./)*([a-z0-9-]+)\.md\)", text))
        names = {one or other for one, other in linked}
        assert "caching" not in names, page
        assert re.search(r"\[[^\]]*Caching Strategies[^\]]*\]\(", text) is None, page
    assert f"](scenarios/{NAME}.md)" in pages["index.md"]
    assert (
        'Caching Strategies <span class="fd-status fd-status--planned">planned</span>'
        in (pages["index.md"])
    )


def test_every_link_between_generated_pages_resolves(filled: Path) -> None:
    catalog, pages = everything(filled)
    known = {*pages, *staged_paths(nav(catalog))}
    for page, text in pages.items():
        for target in re.findall(r"\]\(([^)#]+\.md)", text):
            path = (Path("/") / page).parent / target
            resolved = Path(*[part for part in path.parts if part != "/"])
            parts: list[str] = []
            for part in resolved.parts:
                parts = parts[:-1] if part == ".." else [*parts, part]
            assert "/".join(parts) in known, f"{page} links {target}"


def test_generated_pages_have_title_and_description(filled: Path) -> None:
    _, pages = everything(filled)
    for page, text in pages.items():
        front = text.split("---\n")[1]
        description = re.search(r'^description: "(.*)"$', front, re.MULTILINE)
        assert description, page
        assert 50 <= len(description[1]) <= 160, page
        assert "generated: true" in front
        assert "title: " in front


def test_the_same_sources_give_the_same_bytes(filled: Path) -> None:
    first, pages = everything(filled)
    second, again = everything(filled)
    assert pages == again
    assert files(first) == files(second)


@pytest.mark.parametrize("place", ["this repository", "with a 22nd scenario"])
def test_the_api_follows_its_schema(place: str, filled: Path) -> None:
    catalog, _ = load(ROOT if place == "this repository" else filled)
    written = files(catalog)
    schema = json.loads(written["api/v1/catalog.schema.json"])
    api = json.loads(written["api/v1/catalog.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(api, schema)
    assert set(api) >= KEYS
    assert all(set(one) >= SCENARIO_KEYS for one in api["scenarios"])
    assert re.fullmatch(r"[0-9a-f]{12}", api["revision"])
    assert len(api["template"]) == 7
    for one in api["scenarios"]:
        assert (one["url"] is None) == (one["status"] == "planned")
        assert json.loads(written[f"api/v1/scenarios/{one['id']}.json"]) == one


def test_the_api_names_what_is_found(filled: Path) -> None:
    catalog, _ = load(filled)
    api = json.loads(files(catalog)["api/v1/catalog.json"])
    mine = next(one for one in api["scenarios"] if one["id"] == NAME)
    assert mine["url"] == f"scenarios/{NAME}/"
    assert [one["path"] for one in mine["snippets"]] == [
        "snippets/twenty_second/batches.py",
        "snippets/twenty_second/naive_batches.py",
    ]
    assert mine["drills"] == ["tests/scenarios/twenty_second/test_drill.py::test_no_row_is_lost"]
    assert next(one for one in api["questions"] if one["id"] == f"q-{NAME}")["follow_ups"] == 5


def test_the_revision_changes_with_the_content(bare: Path) -> None:
    before = json.loads(files(load(bare)[0])["api/v1/catalog.json"])["revision"]
    tips = bare / "catalog/data/tips.yml"
    tips.write_text(tips.read_text().replace("Think out loud", "Think aloud"))
    after = json.loads(files(load(bare)[0])["api/v1/catalog.json"])["revision"]
    assert before != after


def test_robots_names_the_sitemap_only_with_an_address(bare: Path) -> None:
    without = files(load(bare, environ={})[0])
    known = files(load(bare, environ={"SITE_URL": "https://example.org/firedrill"})[0])
    assert b"Sitemap" not in without["robots.txt"]
    assert b"Sitemap: https://example.org/firedrill/sitemap.xml" in known["robots.txt"]
    assert b"(https://example.org/firedrill/finder/)" in known["llms.txt"]
