"""The files for programs: catalog and cards as JSON with their schemas, llms.txt and the deck.

Pure: the same catalog gives the same bytes.
"""

import functools
import json

from catalog.cards import cards
from catalog.export import deck
from catalog.export.api import ApiCards, ApiCatalog, build, build_cards, schema
from catalog.export.text import llms, robots
from catalog.model import Catalog


def files(catalog: Catalog) -> dict[str, bytes]:
    """Give every file by its staged path; the same catalog gives the same bytes."""
    return dict(_files(catalog))


@functools.lru_cache(maxsize=1)
def _files(catalog: Catalog) -> tuple[tuple[str, bytes], ...]:
    """Write them once: a page tells their sizes before they are staged."""
    api = build(catalog)
    made = cards(catalog)
    written = {
        "api/v1/catalog.json": _json(api.model_dump(mode="json", by_alias=True)),
        "api/v1/catalog.schema.json": _json(schema(ApiCatalog)),
        "api/v1/cards.json": _json(build_cards(made).model_dump(mode="json")),
        "api/v1/cards.schema.json": _json(schema(ApiCards)),
        "downloads/firedrill.apkg": deck.anki(made, catalog.site.url),
        "downloads/firedrill-cards.csv": deck.table(made, catalog.site.url),
        "llms.txt": llms(catalog).encode(),
        "robots.txt": robots(catalog).encode(),
    }
    for scenario in api.scenarios:
        one = scenario.model_dump(mode="json", by_alias=True)
        written[f"api/v1/scenarios/{scenario.id}.json"] = _json(one)
    return tuple(written.items())


def _json(value: object) -> bytes:
    return f"{json.dumps(value, ensure_ascii=False, indent=2)}\n".encode()


__all__ = ["ApiCards", "ApiCatalog", "files"]
