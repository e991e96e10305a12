"""What readers practise stays in their browser: kept, exported, imported, deleted, never lost."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.driver import Chromium
from tests.browser.site import Site

EXPORTS = Path(__file__).parent / "exports"
V1 = EXPORTS / "v1.json"
GOOD = V1.read_text("utf-8")
PARTS = ("assessment", "plan", "mock", "reviews")
NO_STORAGE = (
    "Storage.prototype.setItem = () => { throw new DOMException('closed', 'SecurityError'); }"
)
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"


@pytest.fixture
def checklist(site: Site, page: Page) -> Page:
    """The checklist: a page with the controls for the data."""
    page.goto(f"{site.url}checklist/")
    return page


@pytest.fixture
def prepared(site: Site, browser: Chromium) -> Iterator[Any]:
    """Open the checklist where a script has run before those of the page."""

    with browser.context() as context:

        def prepare(script: str) -> Page:
            context.add_init_script(script)
            page = context.new_page()
            page.goto(f"{site.url}checklist/")
            return page

        yield prepare


def answer(page: Page, item: str, words: str) -> None:
    page.locator(f"#{item}").get_by_role("radio", name=words).check()


def kept(page: Page, part: str = "assessment") -> Any:  # noqa: ANN401 - whatever JSON holds
    return page.evaluate(f"JSON.parse(localStorage.getItem('firedrill:v1:{part}'))")


def give(page: Page, text: str) -> None:
    page.locator("[data-fd-practice-data] input[type=file]").set_input_files(
        FilePayload(name="own.json", mimeType="application/json", buffer=text.encode())
    )


def status(page: Page) -> Any:  # noqa: ANN401 - Playwright's own
    return expect(page.locator("[data-fd-status]"))


def test_an_export_brings_everything_back_after_a_deletion(checklist: Page) -> None:
    """Export, delete, import: all four parts are as before; a second import adds nothing."""
    give(checklist, GOOD)
    status(checklist).to_have_text("Imported: assessment, plan, mock, reviews.")
    with checklist.expect_download() as saved:
        checklist.get_by_role("button", name="Export").click()
    exported = saved.value.path().read_text("utf-8")
    before = json.loads(GOOD)
    assert {part: json.loads(exported)[part] for part in PARTS} == {p: before[p] for p in PARTS}
    checklist.get_by_role("button", name="Delete").click()
    checklist.locator("dialog").get_by_role("button", name="Delete").click()
    status(checklist).to_have_text("All practice data in this browser is deleted.")
    assert checklist.evaluate("Object.keys(localStorage).filter(k => k.startsWith('fire'))") == []
    expect(checklist.locator("#a-01 :checked")).to_have_count(0)
    give(checklist, exported)
    status(checklist).to_have_text("Imported: assessment, plan, mock, reviews.")
    assert {part: kept(checklist, part) for part in PARTS} == {p: before[p] for p in PARTS}
    expect(checklist.locator("#a-01 :checked")).to_have_value("3")
    give(checklist, exported)
    status(checklist).to_have_text("Imported: nothing in the file is newer than what is here.")


def test_nothing_is_deleted_before_the_reader_says_so(checklist: Page) -> None:
    answer(checklist, "a-01", "Shaky")
    checklist.get_by_role("button", name="Delete").click()
    checklist.keyboard.press("Enter")  # the focus is on "Keep"
    expect(checklist.locator("dialog")).to_be_hidden()
    assert kept(checklist)["a-01"]["level"] == 1


def test_the_newer_of_two_answers_wins(checklist: Page) -> None:
    """What is newer here stays; what is newer in the file comes in; nothing else is lost."""
    file = json.loads(GOOD)
    answer(checklist, "a-01", "Not yet")
    answer(checklist, "a-02", "Shaky")
    file["assessment"]["a-02"] = {"level": 3, "at": "2100-01-01T00:00:00.000Z"}
    give(checklist, json.dumps(file))
    status(checklist).to_contain_text("Imported: assessment")
    levels = {item: one["level"] for item, one in kept(checklist).items()}
    assert levels == {"a-01": 0, "a-02": 3, "a-05": 1}


def test_every_version_that_ever_was_can_be_imported(checklist: Page) -> None:
    """One export of each version is kept, and none of its entries is lost on the way here."""
    now = checklist.evaluate("firedrill.store.VERSION")
    assert sorted(path.name for path in EXPORTS.iterdir()) == [f"v{n + 1}.json" for n in range(now)]
    for path in sorted(EXPORTS.iterdir()):
        give(checklist, path.read_text("utf-8"))
        status(checklist).to_contain_text("Imported: ")
        assert set(kept(checklist)) >= {"a-01", "a-05"}
        assert "q-rate-limiting" in kept(checklist, "reviews")["cards"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "This is no practice file"),
        ('{"format": "anki"}', "This is no practice file"),
        (GOOD[:300], "may have been cut off"),
        ('{"format": "firedrill-practice", "v": 2}', "of version 2, and this page knows 1"),
        (GOOD.replace('"level": 1', '"level": 7'), "damaged: assessment: a-05"),
        (GOOD.replace('"days": 4', '"days": 0'), "damaged: plan: days"),
        (GOOD.replace('"due": 1764000000000', '"due": null'), "damaged: reviews: card"),
    ],
    ids=["a list", "another program's", "cut off", "newer", "bad answer", "bad plan", "bad card"],
)  # fmt: skip
def test_a_bad_file_is_refused_with_its_reason(checklist: Page, text: str, said: str) -> None:
    """All of a file comes in, or nothing of it."""
    answer(checklist, "a-01", "Shaky")
    before = kept(checklist)
    give(checklist, text)
    status(checklist).to_contain_text(said)
    assert kept(checklist) == before
    assert kept(checklist, "mock") is None


@pytest.mark.parametrize(
    ("script", "said"), [(NO_STORAGE, "keeps no data"), (FULL, "is full")], ids=["closed", "full"]
)
def test_where_nothing_can_be_kept_the_page_does_and_says_so(
    prepared: Any,  # noqa: ANN401 - the fixture above
    script: str,
    said: str,
) -> None:
    """The tool works until the page is left, and an export takes the answers along."""
    page = prepared(script)
    expect(page.locator("[data-fd-problem]")).to_contain_text(said)
    answer(page, "a-01", "Confident")
    expect(page.locator("[data-fd-summary]")).to_have_text("1 of 21 answered, 1 confident.")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export").click()
    assert json.loads(saved.value.path().read_text("utf-8"))["assessment"]["a-01"]["level"] == 3


def test_data_of_a_newer_version_is_left_alone(prepared: Any) -> None:  # noqa: ANN401 - as above
    page = prepared("localStorage.setItem('firedrill:v2:assessment', '{\"new\": 1}')")
    expect(page.locator("[data-fd-problem]")).to_contain_text("a newer version of this site")
    answer(page, "a-01", "Confident")
    stored = page.evaluate("({...localStorage})")
    ours = {key: value for key, value in stored.items() if key.startswith("firedrill:")}
    assert ours == {"firedrill:v2:assessment": '{"new": 1}'}


def test_what_cannot_be_read_is_put_aside_not_overwritten(prepared: Any) -> None:  # noqa: ANN401
    page = prepared(
        "const name = 'firedrill:v1:assessment';"
        "localStorage.getItem(name) ?? localStorage.setItem(name, '{\"a-01\": ')"
    )
    expect(page.locator("[data-fd-problem]")).to_contain_text("cannot be read")
    answer(page, "a-02", "Confident")
    assert set(kept(page)) == {"a-02"}
    aside = page.evaluate("localStorage.getItem('firedrill:v1:assessment-unreadable')")
    assert aside == '{"a-01": '


def test_another_tab_is_heard(site: Site, browser: Chromium) -> None:
    with browser.context() as context:
        here, there = context.new_page(), context.new_page()
        for page in (here, there):
            page.goto(f"{site.url}checklist/")
        answer(there, "a-03", "Can explain")
        expect(here.locator("#a-03 :checked")).to_have_value("2")


def test_it_works_from_a_folder_on_disk(site: Site, browser: Chromium) -> None:
    """Opened as a file, without a server."""
    with browser.context() as context:
        page = context.new_page()
        page.goto((site.folder / "checklist" / "index.html").as_uri())
        answer(page, "a-01", "Confident")
        page.reload()
        expect(page.locator("#a-01 :checked")).to_have_value("3")


def test_the_privacy_page_names_every_key(site: Site, checklist: Page) -> None:
    """Nothing is kept that /about/privacy/ does not tell of."""
    give(checklist, GOOD)
    status(checklist).to_contain_text("Imported")
    told = site.html("about/privacy/")
    keys = [key for key in checklist.evaluate("Object.keys(localStorage)") if "firedrill:v" in key]
    assert len(keys) == len(PARTS)
    for key in keys:
        assert re.search(rf"<code>{re.escape(key)}</code>", told), key
