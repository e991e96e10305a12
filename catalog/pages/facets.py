"""What scenarios and questions can be found by: facets, their values, and the form to choose them.

The form is the same on the finder and on the question index, and so is the script that serves it.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.model import Catalog, Scenario
from catalog.pages.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a facet: an id for the address, and what readers see."""

    id: str
    title: str
    about: str = ""
    fire: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """Something that scenarios are found by; its id is the name in the address."""

    id: str
    title: str
    values: tuple[Value, ...]


def facets(catalog: Catalog) -> tuple[Facet, ...]:
    """Give every facet with its values, in the order in which they are shown."""
    return (
        Facet("topic", "Topic", tuple(Value(g.id, g.title, fire=g.fire) for g in catalog.groups)),
        Facet(
            "level",
            "Level",
            tuple(Value(one.id, one.title, one.about, one.fire) for one in catalog.levels),
        ),
        Facet(
            "part",
            "Part",
            tuple(
                Value(one.id, f"Part {one.number}: {one.title}", one.about, one.fire)
                for one in catalog.parts
            ),
        ),
        Facet(
            "technology",
            "Technology",
            tuple(Value(one.id, one.title, one.about) for one in catalog.technologies),
        ),
        Facet("symptom", "Symptom", tuple(Value(one.id, one.label) for one in catalog.symptoms)),
    )


def values_of(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Give the values that a scenario has, by facet."""
    groups = dict.fromkeys(topic.partition("/")[0] for topic in scenario.topics)
    return {
        "topic": tuple(groups),
        "level": (scenario.level,),
        "part": (scenario.part,),
        "technology": scenario.technologies,
        "symptom": tuple(dict.fromkeys(scenario.symptoms)),
    }


def page_of(facet: str, value: str) -> str:
    """Give the staged path of a value's own page."""
    return f"finder/{facet}/{value}.md"


def found_by(scenarios: Iterable[Scenario], text: Iterable[str]) -> str:
    """Give the attributes by which the script finds an item: its values, and further words."""
    values: dict[str, dict[str, None]] = {}
    for scenario in scenarios:
        for facet, some in values_of(scenario).items():
            values.setdefault(facet, {}).update(dict.fromkeys(some))
    written = [f'data-{facet}="{" ".join(some)}"' for facet, some in values.items()]
    words = html.escape(" ".join(dict.fromkeys(text)))
    return " ".join(["data-fd-item", *written, f'data-text="{words}"'])


def form(some: Sequence[Facet], noun: str) -> str:
    """Write the controls; the script shows them, since without it they do nothing."""
    fields = "\n".join(_facet(one) for one in some)
    return f"""<form id="fd-finder" class="fd-tools" data-fd-noun="{noun}" \
autocomplete="off" hidden>
<p class="fd-fields"><label>Words to look for
<input type="search" name="text" maxlength="200" spellcheck="false"></label></p>
<div class="fd-facets">
{fields}
</div>
<p class="fd-problem" role="status" hidden></p>
<p class="fd-buttons">
<button type="button" class="md-button">Copy link</button>
<button type="reset" class="md-button">Clear filters</button>
</p>
<p role="status"></p>
</form>"""


def _facet(facet: Facet) -> str:
    boxes = "\n".join(
        f'<label class="fd-check"><input type="checkbox" name="{facet.id}" value="{one.id}"> '
        f'<span>{html.escape(one.title)} <span class="fd-quiet"></span></span></label>'
        for one in facet.values
    )
    return (
        f'<details id="fd-{facet.id}"><summary>{facet.title} <span class="fd-quiet"></span>'
        f'</summary>\n<fieldset aria-label="{facet.title}">\n{boxes}\n</fieldset></details>'
    )


def listed(sheet: Sheet, scenarios: Iterable[Scenario], *, to_filter: bool = False) -> str:
    """List scenarios by number in HTML, for the form with what each is found by."""
    levels = {one.id: one.title for one in sheet.catalog.levels}
    lines = ['<ol class="fd-found">']
    for one in scenarios:
        techniques = ", ".join(technique.label for technique in one.techniques)
        by = f" {found_by([one], _words(sheet.catalog, one))}" if to_filter else ""
        lines.append(
            f'<li value="{one.number}"{by}>{sheet.scenario_html(one, one.title)} '
            f'<span class="fd-quiet">{html.escape(techniques)} · '
            f"{html.escape(levels[one.level])}</span></li>"
        )
    return "\n".join([*lines, "</ol>"])


def _words(catalog: Catalog, scenario: Scenario) -> list[str]:
    """Give what readers may type for a scenario beside its title and its techniques."""
    symptoms = {one.id: one.label for one in catalog.symptoms}
    return [
        *(technique.python for technique in scenario.techniques),
        *scenario.aliases,
        *(symptoms[symptom] for symptom in scenario.symptoms),
        *(topic.partition("/")[2].replace("-", " ") for topic in scenario.topics),
    ]
