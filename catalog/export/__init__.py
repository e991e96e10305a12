"""The files for programs: the catalog as JSON with its schema, llms.txt, robots.txt. Pure."""

import json

from catalog.export.api import ApiCatalog, build, schema
from catalog.export.text import llms, robots
from catalog.model import Catalog


def files(catalog: Catalog) -> dict[str, bytes]:
    """Give every file by its staged path; the same catalog gives the same bytes."""
    api = build(catalog)
    written = {
        "api/v1/catalog.json": _json(api.model_dump(mode="json", by_alias=True)),
        "api/v1/catalog.schema.json": _json(schema()),
        "llms.txt": llms(catalog).encode(),
        "robots.txt": robots(catalog).encode(),
    }
    for scenario in api.scenarios:
        one = scenario.model_dump(mode="json", by_alias=True)
        written[f"api/v1/scenarios/{scenario.id}.json"] = _json(one)
    return written


def _json(value: object) -> bytes:
    return f"{json.dumps(value, ensure_ascii=False, indent=2)}\n".encode()


__all__ = ["ApiCatalog", "files"]
