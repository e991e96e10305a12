"""The built site below a sub-path and at the root, its links, and what happens on bad input."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.html import check_site, source_of
from tests.browser.site import REPO_URL
from tests.site.conftest import Built
from tests.site.small import small_repository


def pages(site: Path) -> dict[str, str]:
    return {
        file.relative_to(site).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(site.rglob("*.html"))
    }


def test_the_sitemap_lists_every_page_at_its_public_address(built: Built) -> None:
    sitemap = (built.site / "sitemap.xml").read_text(encoding="utf-8")
    listed = re.findall(r"<loc>([^<]+)</loc>", sitemap)
    expected = {
        f"{built.site_url}{address.removesuffix('index.html')}"
        for address in pages(built.site)
        if address != "404.html"
    }
    assert set(listed) == expected
    assert len(listed) == len(expected) > 0


def test_every_page_names_its_canonical_address(built: Built) -> None:
    for address, text in pages(built.site).items():
        if address == "404.html":
            continue
        canonical = f"{built.site_url}{address.removesuffix('index.html')}"
        assert f'<link rel="canonical" href="{canonical}">' in text, address


def test_edit_links_lead_to_the_file_a_page_was_written_in(built: Built) -> None:
    for address, text in pages(built.site).items():
        links = set(re.findall(rf'href="({re.escape(REPO_URL)}/edit/[^"]+)"', text))
        written = [link.removeprefix(f"{REPO_URL}/edit/main/") for link in links]
        assert all((built.root / path).is_file() for path in written), address
        if address.startswith(("reference/", "finder/", "404")) or address == "index.html":
            assert written == [], address
        elif address.startswith("scenarios/") and address != "scenarios/index.html":
            stem = address.removesuffix("/index.html")
            assert written == [f"docs/{stem}.md"], address


def test_pages_of_the_sidebar_lead_on(built: Built) -> None:
    found = pages(built.site)
    leading = [a for a, text in found.items() if 'rel="next"' in text or 'rel="prev"' in text]
    values = "finder/"  # each value of each facet, reached from the finder
    outside = {a for a in found if a.startswith(("reference/", values))} | {"404.html"}
    outside -= {"finder/index.html"}
    assert set(leading) == found.keys() - outside


def test_every_section_of_a_scenario_has_a_permalink_to_itself(built: Built) -> None:
    for address, text in pages(built.site).items():
        if not re.fullmatch(r"scenarios/[^/]+/index\.html", address):
            continue
        headings = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', text, re.DOTALL)
        assert headings, address
        for name, inner in headings:
            assert f'class="headerlink" href="#{name}"' in inner, (address, name)


def test_the_second_stage_writes_nothing(built: Built) -> None:
    before = {f: f.stat().st_mtime_ns for f in (built.root / "build/docs").rglob("*")}
    done = built.run("stage")
    assert done.returncode == 0, done.stderr
    assert ", 0 changed" in done.stderr
    assert {f: f.stat().st_mtime_ns for f in (built.root / "build/docs").rglob("*")} == before


@pytest.mark.slow
def test_a_site_without_address_claims_none(tmp_path: Path) -> None:
    copy = small_repository(tmp_path / "copy", "rate-limiting")
    done = subprocess.run(
        [sys.executable, "-m", "catalog", "site"],
        cwd=copy,
        env=os.environ | {"SITE_URL": "", "REPO_URL": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = pages(copy / "site")
    assert "uv run gcra.py" in found["scenarios/rate-limiting/index.html"]
    for address, text in found.items():
        assert 'rel="canonical"' not in text, address
        assert "/edit/" not in text, address
        assert "uv run http" not in text, address


@pytest.fixture
def small(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "a").mkdir(parents=True)
    head = "<title>A</title><meta name=description content='About a'>"
    (site / "a" / "index.html").write_text(f"<head>{head}</head><p id=x>hello", encoding="utf-8")
    return site


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ("<a href='../b/'>b</a>", "'../b/', which does not exist"),
        ("<a href='#nowhere'>b</a>", "'#nowhere', but there is no such place"),
        ("<a href='/../../etc'>b</a>", "which is outside the site"),
        ("<img src='x.png'>", "loads 'x.png', which does not exist"),
        ("<img srcset='x.png 2x'>", "loads 'x.png', which does not exist"),
        ("<script src='https://cdn.example/x.js'></script>", "from another host"),
        ("<i id=x></i>", "id 'x' occurs 2 times"),
        ("said [^1]", "an undefined footnote: '[^1'"),
        ("said [[m:a/b]]", "an unknown directive"),
        ("said :material-x:", "an unknown icon"),
        ("<a href='tel:1'>b</a>", "an address of an unknown kind"),
    ],
)
def test_what_strict_mode_misses_is_found_and_names_the_source(
    small: Path, html: str, what: str
) -> None:
    page = small / "a" / "index.html"
    page.write_text(f"{page.read_text(encoding='utf-8')}{html}", encoding="utf-8")
    (problem,) = check_site(small, {"a.md": "docs/a.md"})
    assert problem.path == "docs/a.md"
    assert what in problem.what


def test_a_page_needs_title_and_description_of_its_own(small: Path) -> None:
    (small / "a" / "index.html").write_text("<p>hello", encoding="utf-8")
    found = [problem.what for problem in check_site(small, {"a.md": None})]
    assert found == ["has no description", "has no title"]


def test_two_sources_for_one_address_are_found(small: Path) -> None:
    (problem,) = check_site(small, {"a.md": "docs/a.md", "a/index.md": "docs/a/index.md"})
    assert "has the same address as a.md" in problem.what


def test_code_may_show_what_prose_may_not(small: Path) -> None:
    page = small / "a" / "index.html"
    page.write_text(f"{page.read_text(encoding='utf-8')}<code>[^1] [[x]]</code>", encoding="utf-8")
    assert check_site(small, {"a.md": "docs/a.md"}) == []


def test_the_source_of_a_generated_page_is_the_staged_one() -> None:
    assert source_of("finder/index.html", {"finder.md": None}) == "build/docs/finder.md"
    assert source_of("index.html", {"index.md": "docs/index.md"}) == "docs/index.md"
