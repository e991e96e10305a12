"""Check the built HTML for what MkDocs' strict mode lets through."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from catalog.problem import Problem

_CODE = frozenset({"code", "pre", "script", "style", "svg", "textarea", "template"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_LEFTOVERS = (
    (re.compile(r"\[\^[^\]\s]*"), "an undefined footnote", "define it as [^name]: ..."),
    (re.compile(r"\[\[[^\]]*"), "an unknown directive", "mend its name, or remove it"),
    (re.compile(r":(?:material|fontawesome|octicons|simple)-[\w-]*:?"), "an unknown icon",
     "icons are not enabled: remove it"),
    (re.compile(r"--8<--"), "an embed that was not expanded", "put it alone into a fence"),
)  # fmt: skip
_LOADED_RELATIONS = frozenset(
    {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "manifest"}
)


@dataclass(slots=True)
class HtmlPage:
    """What the checks need to know of one page.

    Attributes:
        address: path below the site, such as `scenarios/rate-limiting/index.html`.
        ids: every id, with how often it occurs.
        links: addresses a reader can follow.
        loads: addresses the browser fetches by itself.
        text: what is said outside code.
        title: text of its title element.
        description: its description; empty when it has none.
        canonical: its canonical address; empty when it has none.
    """

    address: str
    ids: dict[str, int] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    title: str = ""
    description: str = ""
    canonical: str = ""


class _Reader(HTMLParser):
    def __init__(self, page: HtmlPage) -> None:
        super().__init__()
        self.page = page
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self.inside.append(tag)
        if found.get("id"):
            self.page.ids[found["id"]] = self.page.ids.get(found["id"], 0) + 1
        if tag == "meta" and found.get("name") == "description":
            self.page.description = found.get("content", "").strip()
        elif tag == "link":
            self._relation(found)
        elif "href" in found and tag not in {"base", "use"}:
            self.page.links.append(found["href"])
        self.page.loads += [found[name] for name in ("src", "poster") if name in found]
        for candidate in found.get("srcset", "").split(","):
            self.page.loads += candidate.split()[:1]

    def _relation(self, found: dict[str, str]) -> None:
        relations = set(found.get("rel", "").lower().split())
        if "canonical" in relations:
            self.page.canonical = found.get("href", "")
        elif relations & _LOADED_RELATIONS:
            self.page.loads.append(found.get("href", ""))
        else:
            self.page.links.append(found.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] == "title" and "svg" not in self.inside:
            self.page.title += data.strip()
        elif not _CODE & set(self.inside):
            self.page.text.append(data)


def read_html(file: Path, address: str) -> HtmlPage:
    """Read one built page."""
    page = HtmlPage(address)
    reader = _Reader(page)
    reader.feed(file.read_text(encoding="utf-8"))
    reader.close()
    return page


def check_site(
    folder: Path,
    sources: Mapping[str, str | None],
    *,
    site_url: str = "",
    site_description: str = "",
) -> list[Problem]:
    """Check every page of a built site.

    Args:
        folder: where it was built.
        sources: for each staged page, the file it was written in; None when it is generated.
        site_url: its public address, ending in `/`; empty when unknown.
        site_description: what pages without a description of their own get.
    """
    pages = {}
    for file in sorted(folder.rglob("*.html")):
        address = file.relative_to(folder).as_posix()
        pages[address] = read_html(file, address)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    problems = list(_doubled(sources))
    for page in pages.values():
        source = source_of(page.address, sources)
        for what, mend in _findings(page, pages, files, site_url, site_description):
            problems.append(Problem(source, 1, what, mend))
    return sorted(set(problems))


def source_of(address: str, sources: Mapping[str, str | None]) -> str:
    """Name the file that a built page was written in, or the staged one when it is generated."""
    stem = address.removesuffix("index.html").rstrip("/")
    for staged in (f"{stem}.md", f"{stem}/index.md".lstrip("/")):
        if staged in sources:
            return sources[staged] or f"build/docs/{staged}"
    return f"site/{address}"


def _doubled(sources: Mapping[str, str | None]) -> Iterator[Problem]:
    """Find pages that would be built to one address, also where case does not count."""
    seen: dict[str, str] = {}
    for staged in sorted(sources):
        address = re.sub(r"(^|/)(index|README)\.md$", r"\1", staged).removesuffix(".md")
        address = address.rstrip("/").lower()
        if address in seen:
            what = f"has the same address as {seen[address]}: /{address}/"
            yield Problem(sources[staged] or f"build/docs/{staged}", 1, what, "rename one of them")
        seen[address] = staged


def _findings(
    page: HtmlPage,
    pages: Mapping[str, HtmlPage],
    files: set[str],
    site_url: str,
    site_description: str,
) -> Iterator[tuple[str, str]]:
    if not page.title:
        yield "has no title", "add 'title' to its front matter"
    if page.address not in {"404.html", "index.html"} and page.description in {
        "",
        site_description,
    }:
        yield "has no description", "add 'description' to its front matter"
    for name, count in page.ids.items():
        if count > 1:
            yield f"id {name!r} occurs {count} times", "give each element an id of its own"
    yield from _leftovers("".join(page.text))
    for kind, addresses in (("loads", page.loads), ("links to", page.links)):
        for address in dict.fromkeys(addresses):
            if kind == "loads" and urlsplit(address).netloc and not _own(address, site_url):
                what = f"loads {address!r} from another host"
                yield what, "take the file from a package at build"
            elif wrong := _broken(address, page, pages, files, site_url):
                yield f"{kind} {address!r}, {wrong[0]}", wrong[1]


def _leftovers(said: str) -> Iterator[tuple[str, str]]:
    for pattern, what, mend in _LEFTOVERS:
        if found := pattern.search(said):
            yield f"shows {what}: {found[0]!r}", mend


def _own(address: str, site_url: str) -> bool:
    return bool(site_url) and address.startswith(site_url)


def _broken(
    address: str,
    page: HtmlPage,
    pages: Mapping[str, HtmlPage],
    files: set[str],
    site_url: str,
) -> tuple[str, str] | None:
    """Say why a local address leads nowhere, and what mends it."""
    base = urlsplit(site_url).path or "/"
    if _own(address, site_url):
        address = base + address.removeprefix(site_url)
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        # The theme's "copy link" of a search is a script.
        known = {"http", "https", "mailto", "data"}
        if parts.scheme in known or address == "javascript:void(0)":
            return None
        return "an address of an unknown kind", "use https"
    path = urljoin(f"{base}{page.address}", parts.path)
    if not path.startswith(base):
        return "which is outside the site", "make the link relative"
    target = unquote(path.removeprefix(base))
    if target == "" or target.endswith("/"):
        target += "index.html"
    if target not in files:
        return "which does not exist", "mend the address, or add the file"
    fragment = unquote(parts.fragment)
    if fragment and target in pages and fragment not in pages[target].ids:
        return "but there is no such place", "mend what follows the '#'"
    return None
