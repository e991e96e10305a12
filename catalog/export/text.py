"""llms.txt and robots.txt."""

from catalog.model import Catalog


def llms(catalog: Catalog) -> str:
    """Give llms.txt: a title, what the site is, and its pages as lists of links."""
    base = catalog.site.url
    blocks = [
        "# Firedrill",
        (
            "> Production scenarios in Python, each proved: the popular code fails a test, the "
            "good code passes the same test under the same load, on real servers."
        ),
    ]
    scenarios = [one for one in catalog.scenarios if catalog.has_page(one)]
    if scenarios:
        blocks.append("## Scenarios")
        blocks.append(
            "\n".join(
                f"- [{one.number}. {one.title}]({base}{one.url.lstrip('/')}): {one.description}"
                for one in scenarios
            )
        )
    answered = [one for one in catalog.questions if catalog.has_page(one)]
    if answered:
        blocks.append("## Interview questions")
        blocks.append(
            "\n".join(
                f"- [{one.question}]({base}{one.url.lstrip('/')}): {one.description}"
                for one in answered
            )
        )
    blocks.append("## Indexes")
    blocks.append(
        "\n".join(
            [
                f"- [Finder]({base}finder/): by topic, symptom, technology, level, part",
                f"- [On call]({base}oncall/): triage, symptoms, error messages",
                f"- [Related topics]({base}related/): what to study beside each scenario",
                f"- [The catalog as JSON]({base}api/v1/catalog.json): everything above, typed",
                f"- [The cards as JSON]({base}api/v1/cards.json): questions with short answers",
            ]
        )
    )
    return "\n\n".join(blocks) + "\n"


def robots(catalog: Catalog) -> str:
    """Give robots.txt; it names the sitemap once the site has an address."""
    lines = ["User-agent: *", "Allow: /"]
    if catalog.site.url:
        lines.append(f"Sitemap: {catalog.site.url}sitemap.xml")
    return "\n".join(lines) + "\n"
