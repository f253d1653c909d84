"""The built site leads nowhere that is not there, asks no other server, and no page of it complains."""

import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import archive
import pytest

SITE = archive.SITE
PAGES = sorted(SITE.rglob("*.html"))
NAMES = [str(page.relative_to(SITE)) for page in PAGES]
each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


class Reader(HTMLParser):
    """What a page asks for by itself, where its links lead, its anchors, and what a reader who cannot see is told."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.silent: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.ids += [about[name] for name in ("id", "name") if about.get(name) and (name == "id" or tag == "a")]
        if tag in ("script", "img", "iframe", "source", "video", "audio") and about.get("src"):
            self.loads.append(about["src"])
        if tag == "link" and about.get("href") and about.get("rel") not in ("index", "search", "next", "prev"):
            self.loads.append(about["href"])
        if tag == "a" and about.get("href"):
            self.links.append(about["href"])
        if tag == "img" and not (about.get("alt") or "").strip() and about.get("aria-hidden") != "true":
            self.silent.append(about.get("src", "img")[:80])
        if tag == "iframe" and not about.get("title"):
            self.silent.append("iframe")


# What a phone cuts off: elements that end outside the window, and do not lie in one that scrolls by itself.
TOO_WIDE = """[...document.querySelectorAll("article *")].filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1) return false
    for (let box = element; box.localName != "article"; box = box.parentElement)
        if (["auto", "scroll", "hidden"].includes(getComputedStyle(box).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 200))"""
READ: dict[Path, Reader] = {}


def read(page):
    if page not in READ:
        READ[page] = Reader(page.read_text(encoding="utf-8"))
    return READ[page]


def lost(page, link):
    """Why a link within the site leads nowhere; empty if it does lead somewhere."""
    parts = urlsplit(link)
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if not target.exists():
        return f"{link}: no such file"
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in read(target).ids:
        return f"{link}: no such anchor"
    return ""


@each_page
def test_links_and_anchors_lead_somewhere(site, page):
    inside = [link for link in read(page).links if not urlsplit(link).scheme]
    broken = [why for link in inside if (why := lost(page, link)) and not link.startswith("#/")]
    assert broken == []
    assert all(urlsplit(link).scheme in ("", "https", "http", "mailto") for link in read(page).links)


@each_page
def test_what_a_page_loads_lies_in_the_site(site, page):
    loads = [each for each in read(page).loads if not each.startswith("data:")]
    assert [each for each in loads if urlsplit(each).scheme or each.startswith("//")] == []
    assert [each for each in loads if not (page.parent / unquote(urlsplit(each).path)).resolve().exists()] == []


def test_no_style_asks_another_server(site):
    for style in site.rglob("*.css"):
        asked = re.findall(r"(?:url\(|@import)\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8"))
        assert asked == [], style


@each_page
def test_pictures_are_told_in_words(site, page):
    assert read(page).silent == []


def test_ids_of_a_lesson_are_unique(site):
    for page in (site / "lessons").glob("[0-9]*.html"):
        ids = [each for each in read(page).ids if each]
        assert {each for each in ids if ids.count(each) > 1} == set(), page.name


@each_page
def test_a_page_opens_without_a_complaint_or_a_request(site, page, browser):
    with browser.open(page, width=420) as tab:
        assert tab.troubles == []
        home = site.resolve().as_uri()
        assert [each for each in tab.requests if not each.startswith((home, "data:", "blob:", "about:"))] == []
        if tab.count("article"):
            assert tab.evaluate(TOO_WIDE) == []


# Results come one after the other.
FOUND = """new Promise(found => {
    const look = () => document.querySelectorAll("ul.search li a").length > 5 ? found(true) : setTimeout(look, 20)
    look()
})"""


def test_the_search_works_on_files(site, browser):
    """Where a page cannot fetch another one: so the archive is read."""
    with browser.open((site / "search.html").resolve().as_uri() + "?q=cotangent") as tab:
        assert tab.evaluate(FOUND) and tab.troubles == []


def test_the_archive_holds_the_site(site):
    with zipfile.ZipFile(site / archive.NAME) as packed:
        names = set(packed.namelist())
        assert packed.testzip() is None
    assert {f"tinygrad_edu/{name}" for name in NAMES} <= names
    assert not any(name.endswith(archive.NAME) for name in names)
