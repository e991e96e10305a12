"""What readers find scenarios by, the picture of related topics, and the links to practise."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from catalog.expand import expand, read_context
from catalog.load import load
from catalog.markdown import read_document
from catalog.model import Catalog
from catalog.pages import generate
from catalog.pages.facets import facets, page_of, values_of
from catalog.pages.sheet import Sheet
from tests.catalog.repository import NAME, PAGE, QUESTION, ROOT, edit

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["this repository", "with a 22nd scenario"])
def catalog(request: pytest.FixtureRequest, filled: Path) -> Catalog:
    found, problems = load(ROOT if request.param == "this repository" else filled)
    assert problems == []
    return found


def test_every_value_has_a_page_that_lists_its_scenarios(catalog: Catalog) -> None:
    pages = generate(catalog)
    expected = {page_of(one.id, value.id) for one in facets(catalog) for value in one.values}
    assert {path for path in pages if path.startswith("finder/")} == expected
    assert len(expected) == 46 + (len(catalog.symptoms) - 23)
    for facet in facets(catalog):
        for value in facet.values:
            text = pages[page_of(facet.id, value.id)]
            own = text.partition("## Asked in interviews")[0]
            named = [one for one in catalog.scenarios if one.title.replace("&", "&amp;") in own]
            named += [one for one in catalog.scenarios if one.title in own]
            having = [one for one in catalog.scenarios if value.id in values_of(one)[facet.id]]
            assert having, value
            assert {one.id for one in named} >= {one.id for one in having}, value
            if facet.id not in {"topic", "symptom"}:
                assert {one.id for one in named} == {one.id for one in having}, value


def test_every_value_is_linked_from_the_finder_and_may_be_chosen_there(catalog: Catalog) -> None:
    text = generate(catalog)["finder.md"]
    for facet in facets(catalog):
        for value in facet.values:
            assert f"]({page_of(facet.id, value.id)})" in text
            assert f'name="{facet.id}" value="{value.id}"' in text
    items = re.findall(r'<li value="(\d+)" data-fd-item ([^>]*)>', text)
    assert [int(number) for number, _ in items] == [one.number for one in catalog.scenarios]
    for scenario, (_, said) in zip(catalog.scenarios, items, strict=True):
        for facet_id, some in values_of(scenario).items():
            assert f'data-{facet_id}="{" ".join(some)}"' in said


def test_facet_pages_tell_themselves_apart(catalog: Catalog) -> None:
    heads = [text.split("---\n")[1] for text in generate(catalog).values()]
    for key in ("title", "description"):
        said = re.findall(rf"^{key}: (.*)$", "\n".join(heads), re.MULTILINE)
        assert len(said) == len(set(said)) == len(heads)


def test_the_picture_has_the_edges_of_the_catalog_and_no_other(catalog: Catalog) -> None:
    """Computed here apart: from the rows as they are written."""
    expected = set()
    for row in catalog.related:
        for target in row.targets:
            label = re.sub(r"[^a-z0-9]+", "-", target.label.lower()).strip("-")
            subject = target.scenario or target.concept or label
            expected |= {(one, subject) for one in row.scenarios if one != target.scenario}
    text = generate(catalog)["related.md"]
    svg = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    lines = svg.findall(f"{SVG}path")
    drawn = [(one.attrib["data-from"], one.attrib["data-to"]) for one in lines]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == expected
    links = svg.findall(f"{SVG}a")
    assert len(links) == len(catalog.scenarios) + len({subject for _, subject in expected})
    for one in [*lines, *links]:
        title = one.find(f"{SVG}title")
        assert title is not None
        assert title.text
    assert not re.search(
        r"#[0-9a-f]{3,6}\b", re.sub(r'href="[^"]*"', "", text[: text.index("</svg>")])
    )


def test_prerequisites_have_an_order(catalog: Catalog) -> None:
    after = {one.id: set(one.prerequisites) for one in catalog.scenarios}
    while ready := {one for one, before in after.items() if not before}:
        after = {one: before - ready for one, before in after.items() if one not in ready}
    assert after == {}


def test_an_unknown_prerequisite_is_for_the_checker_to_name(filled: Path) -> None:
    edit(filled, PAGE, "prerequisites: []", "prerequisites: [caching, caching2]")
    edit(filled, PAGE, "confused_with: []", "confused_with: [{id: x-y, difference: d}]")
    catalog, _ = load(filled)
    assert "after 7 · Caching Strategies" in generate(catalog)["related.md"]


def test_every_scenario_is_asked_about(catalog: Catalog) -> None:
    assert [one.id for one in catalog.scenarios if not one.questions] == []


def test_an_answer_leads_to_practice(filled: Path) -> None:
    catalog, _ = load(filled)
    context = read_context(filled, catalog)
    document, _ = read_document(filled, QUESTION)
    assert document is not None
    text = expand(document, f"questions/q-{NAME}.md", context).text
    address = Sheet(catalog, f"questions/q-{NAME}.md").address("mock.md")
    assert f'href="{address}?ask=q-{NAME}"' in text


def test_a_rubric_names_its_steps_as_readers_know_them(filled: Path) -> None:
    catalog, _ = load(filled)
    document, _ = read_document(filled, QUESTION)
    assert document is not None
    text = expand(document, f"questions/q-{NAME}.md", read_context(filled, catalog)).text
    rubric = text.partition("## Rubric\n")[2]
    named = [row.split(" | ")[0] for row in rubric.strip().splitlines()[2:]]
    assert named == [f"| {one.number}. {one.name.capitalize()}" for one in catalog.template.steps]


def test_follow_ups_are_folded_and_linked_one_by_one(filled: Path) -> None:
    catalog, _ = load(filled)
    document, _ = read_document(filled, QUESTION)
    assert document is not None
    text = expand(document, f"questions/q-{NAME}.md", read_context(filled, catalog)).text
    index = generate(catalog)["questions/index.md"]
    question = catalog.question(f"q-{NAME}")
    assert len(question.follow_ups) == text.count("<summary>Answer<") == 5
    for one in question.follow_ups:
        assert f"### {one.q} {{ #{one.id} }}" in text
        assert f"(q-{NAME}.md#{one.id})" in index
