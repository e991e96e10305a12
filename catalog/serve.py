"""Serve the site on loopback and build it again after each edit.

Knows no site generator: whatever `catalog.site.render` makes is served. The last good build stays
on show while the next is made, and beside the message when an edit is broken.
"""

import functools
import hashlib
import html
import http.server
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.site import recover, render, swap
from catalog.stage import StageError, alone

SITE = Path("build") / "serve"
_LOCK = Path("build") / ".serve.lock"
_STAMP = "stamp"
_WATCHED = (
    "build/verified.json",
    "catalog",
    "docs",
    "evidence",
    "lab/memory.py",
    "lab/ratio.py",
    "mkdocs.yml",
    "overrides",
    "pyproject.toml",
    "requirements.lock",
    "snippets",
    "tests/scenarios",
)
_RENDERED = (
    "build/docs",
    "build/site.json",
    "catalog",
    "mkdocs.yml",
    "overrides",
    "requirements.lock",
)
_POLL_SECONDS = 0.4
_HELD_SECONDS = 25.0
_RELOAD = "/.firedrill/reload.js"
_EPOCH = "/.firedrill/epoch"
# Asks which build is shown, is answered when that changes, and then loads the page again.
_SCRIPT = """(async function () {
  const epoch = document.currentScript.dataset.epoch;
  for (;;) {
    const now = await fetch("%s?" + epoch).then((r) => r.text()).catch(() => null);
    if (now === null) await new Promise((done) => setTimeout(done, 1000));
    else if (now !== epoch) return location.reload();
  }
})();
"""

Snapshot = dict[str, tuple[int, int]]
Say = Callable[[str], None]


class Shown:
    """What is being served: the number of the build, and what is wrong with the newest edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.message = ""
        self.epoch = int(folder.is_dir())
        self.first = time.time_ns()
        self.changed = threading.Condition()

    def show(self, message: str = "") -> None:
        """Show a new build, or the last one with a message."""
        with self.changed:
            self.message = message
            self.epoch += 1
            self.changed.notify_all()

    def wait(self, seen: str = "") -> str:
        """Wait until there is something to show, other than what was seen; give its number."""
        with self.changed:
            self.changed.wait_for(lambda: self.epoch and self.name() != seen, _HELD_SECONDS)
            return self.name()

    def name(self) -> str:
        """Give a number that no other build, of this or an earlier server, has."""
        return f"{self.first}-{self.epoch}"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the folder; adds the script that reloads, and the message when there is one."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, shown: Shown) -> None:
        self.shown = shown
        super().__init__(*arguments, directory=str(shown.folder))  # type: ignore[arg-type] # socketserver's own three

    def do_GET(self) -> None:
        """Answer one request."""
        address = urlsplit(self.path)
        if address.path == _RELOAD:
            self._send(HTTPStatus.OK, "text/javascript", (_SCRIPT % _EPOCH).encode())
            return
        if address.path == _EPOCH:
            self._send(HTTPStatus.OK, "text/plain", self.shown.wait(address.query).encode())
            return
        self.shown.wait()
        place = Path(self.translate_path(self.path))
        if place.is_dir() and unquote(address.path).endswith("/"):
            place /= "index.html"
        if place.suffix == ".html" and place.is_file():
            self._page(HTTPStatus.OK, place.read_bytes())
        elif place.exists():
            super().do_GET()
        else:
            missing = self.shown.folder / "404.html"
            status = HTTPStatus.NOT_FOUND if missing.is_file() else HTTPStatus.SERVICE_UNAVAILABLE
            nothing = b"<!doctype html><title>Firedrill</title><body>"
            self._page(status, missing.read_bytes() if missing.is_file() else nothing)

    def end_headers(self) -> None:
        """Let the browser ask again each time: an edit shows at once."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def _page(self, status: HTTPStatus, page: bytes) -> None:
        script = f'<script src="{_RELOAD}" data-epoch="{self.shown.name()}"></script>'
        added = ""
        if self.shown.message:
            style = "margin:0;padding:1em;white-space:pre-wrap;background:#7f1d1d;color:#fff"
            added = f'<pre role="alert" style="{style}">{html.escape(self.shown.message)}</pre>'
        head, body, rest = page.partition(b"<body")
        opening, closing, rest = rest.partition(b">")
        self._send(
            status,
            "text/html; charset=utf-8",
            b"".join([head, body, opening, closing, added.encode(), script.encode(), rest]),
        )

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing about single requests."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a browser goes away in the middle of an answer."""


def serve(root: Path, address: str, report: Say) -> int:
    """Serve until ctrl-C.

    Args:
        root: root of the repository.
        address: `host:port`.
        report: takes each line of what is said.

    Returns:
        The exit status: 0 after ctrl-C.

    Raises:
        StageError: the address cannot be listened on, or build/ not be written.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        what = f"serve: {address!r} is no address"
        raise StageError(f"{what}. Mend: make serve ADDRESS=127.0.0.1:8000")
    folder = root / SITE
    shown = Shown(folder)
    try:
        server = _Server((host.strip("[]"), int(port)), functools.partial(Handler, shown=shown))
    except OSError as error:
        what = f"serve: cannot listen on {address}: {error.strerror or error}"
        mend = f"stop what listens there, or take another: make serve ADDRESS={host}:{_next(port)}"
        raise StageError(f"{what}. Mend: {mend}") from error
    with server, _stopped_by_termination():
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        report(f"Firedrill: http://{host}:{server.server_port}/ (ctrl-C stops)")
        try:
            for _ in _edits(root):
                _build(root, shown, report)
        except KeyboardInterrupt:
            report("serve: stopped")
        finally:
            server.shutdown()
            thread.join()
    return 0


def _next(port: str) -> int:
    return int(port) % 65535 + 1


@contextmanager
def _stopped_by_termination() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _edits(root: Path) -> Iterator[None]:
    """Give one at once, then one each time the sources have changed and come to rest."""
    seen: Snapshot | None = None
    while True:
        now = snapshot(root)
        if now != seen:
            while (later := _after(0.15, root)) != now:
                now = later
            seen = now
            yield
        time.sleep(_POLL_SECONDS)


def _after(seconds: float, root: Path) -> Snapshot:
    time.sleep(seconds)
    return snapshot(root)


def snapshot(root: Path) -> Snapshot:
    """Give time and size of every file that the site is made from."""
    found: Snapshot = {}
    for name in _WATCHED:
        for folder, folders, files in os.walk(root / name):
            folders[:] = [one for one in folders if one != "__pycache__" and one[0] != "."]
            for file in files:
                if not file.startswith(".") and not file.endswith("~"):
                    _note(Path(folder) / file, found)
        if not (root / name).is_dir():
            _note(root / name, found)
    return found


def _note(file: Path, found: Snapshot) -> None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return
    found[str(file)] = (status.st_mtime_ns, status.st_size)


def _build(root: Path, shown: Shown, report: Say) -> None:
    """Stage and render in child processes, so that an edit of catalog/ counts at once."""
    began = time.monotonic()
    said: list[str] = []
    try:
        changed = _render(root, shown.folder, said.append)
    except OSError as error:
        said.append(f"serve: cannot write {error.filename}: {error.strerror}. Mend: make it yours")
        changed = None
    if changed is None:
        message = "\n".join(said)
        shown.show(message)
        report(message)
        report("serve: the last good build stays on show; save again when it is mended")
    elif changed or shown.message or not shown.epoch:
        shown.show()
        report(f"serve: built in {time.monotonic() - began:.1f} s")


def _render(root: Path, folder: Path, say: Say) -> bool | None:
    """Bring the served folder up to date; give whether it changed, None when it could not be."""
    if render(root, ["catalog", "--root", str(root), "stage", "--drafts", "--quiet"], say):
        return None
    stamp = _stamp(root)
    if (folder / _STAMP).is_file() and (folder / _STAMP).read_text(encoding="utf-8") == stamp:
        return False
    with alone(root / _LOCK):
        recover(folder)
        with tempfile.TemporaryDirectory(prefix=".serve-", dir=root / "build") as temporary:
            made = Path(temporary) / "new"
            command = ["mkdocs", "build", "--strict", "--site-dir", str(made)]
            if render(root, command, say, serving=True):
                return None
            (made / _STAMP).write_text(stamp, encoding="utf-8")
            swap(made, folder, Path(temporary) / "old")
    return True


def _stamp(root: Path) -> str:
    """Hash all that the generator reads."""
    digest = hashlib.sha256()
    for name in _RENDERED:
        files = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
