"""The site that `mkdocs build` has made: every page, equations drawn, nothing from another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from ruamel.yaml import YAML

from bench.site.pages import navigation, page

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build/site"
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
    "use": "href",
    "image": "href",
}


class _Loads(HTMLParser):
    """What a browser asks for by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADED and given.get("rel") != "canonical":
            self.found.append(given.get(LOADED[tag]) or "")


def test_every_page_is_there_and_loads_nothing_from_elsewhere() -> None:
    names = [page(name) for name in navigation(YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"])]
    assert len(names) > 35
    for name in names:
        file = SITE / re.sub(r"(README|index)\.md$", "index.html", name).replace(".md", ".html")
        loads = _Loads()
        loads.feed(file.read_text("utf-8"))
        assert loads.found
        for url in loads.found:
            assert not re.match(r"(?:https?:)?//", url), f"{name}: {url}"
            if url and not url.startswith("data:"):
                assert (file.parent / url.partition("?")[0].partition("#")[0]).exists(), f"{name}: {url}"
    for sheet in SITE.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import", sheet.read_text("utf-8"))


def test_equations_are_drawn() -> None:
    pages = {path: path.read_text("utf-8") for path in SITE.rglob("*.html")}
    assert sum(text.count("<math ") for text in pages.values()) > 300
    for path, text in pages.items():
        assert "arithmatex" not in text, path
        assert "$$" not in re.sub(r"<(code|pre|math)\b.*?</\1>", "", text, flags=re.S), path


def test_notebooks_show_what_their_cells_gave() -> None:
    three = (SITE / "notebooks/three-gpus-for-your-log.html").read_text("utf-8")
    assert three.count("<svg") > 2
    assert three.count("<table") >= 3
    assert "cheapest:" in three


def test_public_names_have_their_page() -> None:
    text = (SITE / "api.html").read_text("utf-8")
    for name in ("simulate", "load_scenario", "plan_fleet", "Run", "LoadedScenario"):
        assert re.search(rf'id="simulator\.[\w.]+\.{name}"', text), name
    assert "Parameters" in text
