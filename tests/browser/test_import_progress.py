"""The progress of an import, read by EventSource in a real page, over a network that breaks."""

from collections.abc import Iterator

import httpx2
import psycopg
import pytest
from playwright.sync_api import Page

from lab.proxy import FaultProxy
from snippets.bulk_upload import import_worker
from tests.scenarios.bulk_upload.imports import (
    HEADER,
    SNIPPETS,
    Db,
    good_rows,
    make_tables,
    serving,
)


class Nothing:
    """A lease that is never lost."""

    def beat(self, _conn: Db) -> None:
        """Say nothing."""

    def complete(self, _conn: Db) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The wired application behind a network that can be cut."""
    monkeypatch.syspath_prepend(str(SNIPPETS))
    make_tables(postgres_url)
    with serving(postgres_url) as port, FaultProxy(("127.0.0.1", port)) as proxy:
        yield proxy


def test_the_bar_moves_with_the_batches_and_never_back_also_over_a_cut_connection(
    page: Page, proxy: FaultProxy, postgres_url: str
) -> None:
    home = f"http://127.0.0.1:{proxy.port}"
    body = HEADER + b"".join(good_rows(400)) + b"bad row\n"
    headers = {"Idempotency-Key": "k", "Content-Type": "text/csv"}
    with httpx2.Client(base_url=home, cookies={"tenant": "acme"}, headers=headers) as client:
        import_id = client.post("/imports", content=body).json()["id"]

    page.context.add_cookies([{"name": "tenant", "value": "acme", "url": home}])
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.resource_type))
    page.goto(f"{home}/imports/{import_id}/page")
    page.evaluate(
        """() => {
          window.seen = [];
          const bar = document.getElementById("bar");
          new MutationObserver(() => window.seen.push(bar.value))
            .observe(bar, {attributes: true});
        }"""
    )
    text = page.locator("#text")
    text.filter(has_text="queued: 0 rows in").wait_for()

    with psycopg.connect(postgres_url, autocommit=True) as conn:
        for rows in (100, 200, 300, 400):
            if rows == 300:
                proxy.cut()  # the browser connects again by itself
            import_worker.run_slice(
                conn, import_id, Nothing(), **import_worker.tools(), batch=100, until=lambda: True
            )
            text.filter(has_text=f"running: {rows} rows in, 0 rejected").wait_for()
        assert import_worker.run_slice(conn, import_id, Nothing(), **import_worker.tools())
    text.filter(has_text="completed: 400 rows in, 1 rejected").wait_for()

    seen = page.evaluate("window.seen")
    assert seen == sorted(seen)
    assert len(seen) >= 5
    assert seen[-1] == 1
    assert 0.2 < next(value for value in seen if value) < 0.3
    assert streams.count("eventsource") == 2
    # Whoever does not close an EventSource at the end connects again every second, for ever.
    page.wait_for_timeout(1500)
    assert streams.count("eventsource") == 2
