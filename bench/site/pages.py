"""Which files are pages of the site, and where their links lead."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

OUTSIDE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "peers.md": "bench/peers/README.md",
    "traffic.md": "scenarios/traffic/README.md",
}
"""Pages that stand elsewhere than in docs/."""
GENERATED = ("api.md",)
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)(?P<path>[^)#\s]+)")
"""The path of a link to another file of the repository."""


def slug(heading: str, separator: str = "-") -> str:
    """Anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def page(name: str) -> str:
    """Notebooks are pages by the time that the navigation is built."""
    return re.sub(r"\.ipynb$", ".md", name)


def source(name: str) -> str:
    """File of the repository that a page is made of."""
    return OUTSIDE.get(name, f"docs/{name}")


def navigation(nav: Any) -> Iterator[str]:
    """Pages of `nav` in mkdocs.yml."""
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from navigation(each)


def between_pages(text: str, here: str) -> str:
    """`text` of the page `here`, whose links between files of the repository become links between pages."""
    pages = {file: name for name, file in OUTSIDE.items()}

    def moved(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source(here)), found["path"]))
        name = pages.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(page(name), posixpath.dirname(here) or ".")

    return LINK.sub(moved, text)
