"""The generated pages, as Markdown. Pure: the same catalog gives the same bytes."""

from catalog.model import Catalog, Page
from catalog.pages.cheatsheet import cheatsheet
from catalog.pages.checklist import checklist
from catalog.pages.downloads import downloads
from catalog.pages.finder import finder
from catalog.pages.home import home
from catalog.pages.levels import levels
from catalog.pages.mock import mock
from catalog.pages.oncall import oncall
from catalog.pages.plan import plan
from catalog.pages.questions import questions
from catalog.pages.related import related
from catalog.pages.review import review
from catalog.pages.scenarios import scenarios
from catalog.pages.template import template
from catalog.pages.values import values


def generate(catalog: Catalog) -> dict[str, str]:
    """Give every generated page by its staged path."""
    return {
        "index.md": home(catalog),
        "scenarios/index.md": scenarios(catalog),
        "finder.md": finder(catalog),
        **values(catalog),
        "questions/index.md": questions(catalog),
        "levels.md": levels(catalog),
        "plan.md": plan(catalog),
        "checklist.md": checklist(catalog),
        "mock.md": mock(catalog),
        "template.md": template(catalog),
        "cheatsheet.md": cheatsheet(catalog),
        "related.md": related(catalog),
        "oncall/index.md": oncall(catalog),
        "review.md": review(catalog),
        "downloads.md": downloads(catalog),
    }


def nav(catalog: Catalog) -> list[object]:
    """Give the navigation, as mkdocs.yml writes it: each page once, but those below finder/."""
    scenarios: list[object] = ["scenarios/index.md"]
    for part in catalog.parts:
        pages = [
            {f"{one.number}. {one.title}": f"scenarios/{one.id}.md"}
            for one in catalog.of_part(part.id)
            if catalog.has_page(one)
        ]
        if pages:
            scenarios.append({f"Part {part.number}: {part.title}": pages})
    answered = [
        {one.question: f"questions/{one.id}.md"}
        for one in catalog.questions
        if catalog.has_page(one)
    ]
    practice_pages: list[object] = [
        {"Interview questions": ["questions/index.md", *answered]},
        {"Finder": "finder.md"},
        {"Complexity levels": "levels.md"},
        {"Study plan": "plan.md"},
        {"Checklist": "checklist.md"},
        {"Mock interview": "mock.md"},
        {"Review": "review.md"},
        {"Answer template": "template.md"},
        {"Cheat sheet": "cheatsheet.md"},
        {"Related topics": "related.md"},
        {"Downloads": "downloads.md"},
    ]
    entries: list[object] = [
        {"Home": "index.md"},
        {"Scenarios": scenarios},
        {"Practice": practice_pages},
        {"On call": "oncall/index.md"},
    ]
    if catalog.concepts:
        entries.append({"Concepts": _titled(catalog.concepts)})
    if catalog.about:
        entries.append({"About": _titled(catalog.about)})
    return entries


def _titled(pages: tuple[Page, ...]) -> list[dict[str, str]]:
    return [{page.title: page.path} for page in sorted(pages, key=lambda page: page.title)]
