"""Pages of the documentation: each is in the navigation, its links lead somewhere, its commands are commands."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from cyclopts.exceptions import CoercionError, MissingArgumentError
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from bench.site.pages import GENERATED, LINK, OUTSIDE, between_pages, navigation, page, slug, source
from simulator.cli.main import app
from simulator.scenario.keys import find_keys, scenario_keys

ROOT = Path(__file__).resolve().parents[2]
KEYS = scenario_keys()
NAVIGATION = list(navigation(YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"]))
PAGES = [name for name in NAVIGATION if name.endswith(".md") and name not in GENERATED]


def text_of(name: str) -> str:
    return (ROOT / source(name)).read_text("utf-8")


@cache
def anchors(file: Path) -> set[str]:
    """Of the headings of a page; those that are the same are numbered."""
    tokens = MarkdownIt().parse(file.read_text("utf-8"))
    counts: Counter[str] = Counter()
    found = set()
    for before, inside in pairwise(tokens):
        if before.type == "heading_open":
            words = "".join(child.content for child in inside.children or [] if child.type in {"text", "code_inline"})
            name = slug(words)
            found.add(f"{name}-{counts[name]}" if counts[name] else name)
            counts[name] += 1
    return found


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.M | re.S)


def test_the_navigation_has_every_page_once() -> None:
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*") if path.is_file()}
    pages = {name for name in there if name.endswith((".md", ".ipynb"))}
    assert Counter(NAVIGATION) == Counter([*pages, *OUTSIDE, *GENERATED])
    for name in OUTSIDE:
        assert (ROOT / source(name)).is_file()


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    file = ROOT / source(name)
    for path, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)", without_code(text_of(name))):
        target = (file.parent / path).resolve() if path else file
        assert target.is_file(), f"{name}: {path}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target), f"{name}: {path}#{anchor}"


@pytest.mark.parametrize("name", PAGES)
def test_links_of_the_site_lead_to_its_pages(name: str) -> None:
    pictures = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs/screenshots").iterdir()}
    known = {page(each) for each in NAVIGATION} | pictures
    for found in LINK.finditer(without_code(between_pages(text_of(name), name))):
        assert posixpath.normpath(posixpath.join(posixpath.dirname(name), found["path"])) in known


def test_links_follow_their_pages_into_the_site() -> None:
    text = "[a](docs/model/cost.md#x) ![b](docs/screenshots/a.png) [c](CONTRIBUTING.md) [d](https://x.y/z.md) [e](#f)"
    moved = "[a](model/cost.md#x) ![b](screenshots/a.png) [c](contributing.md) [d](https://x.y/z.md) [e](#f)"
    assert between_pages(text, "index.md") == moved
    assert (
        between_pages("[a](../../README.md) [b](../python.md)", "notebooks/n.md")
        == "[a](../index.md) [b](../python.md)"
    )
    assert between_pages("[n](notebooks/one.ipynb)", "python.md") == "[n](notebooks/one.md)"
    assert slug("What would flip it (`a/b.py`, c_d)?".replace("`", "")) == "what-would-flip-it-abpy-c_d"


def commands() -> list[tuple[str, str, bool]]:
    """Page, command, and whether it stands in a block of its own."""
    found = []
    for name in PAGES:
        text = text_of(name)
        blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
        lines = [line for block in blocks for line in block.split("\n")]
        found += [(name, line.partition("&&")[0], True) for line in lines if line.startswith("servecast ")]
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        found += [(name, " ".join(each.split()), False) for each in re.findall(r"`(servecast [^`]*)`", prose)]
    return found


def words_of(command: str) -> list[str]:
    return [word for word in shlex.split(command, comments=True)[1:] if not re.fullmatch(r"…|\[.*\]", word)]


def refused(words: list[str], whole: bool) -> str:
    """Why the command line does not take `words`; parts of commands may leave out what a command needs."""
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except (MissingArgumentError, CoercionError) as error:
        placeholders = {word for word in words if re.fullmatch(r"[A-Z]+", word)}
        if whole or (isinstance(error, CoercionError) and not placeholders):
            return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_commands_that_pages_show_are_commands_with_these_options() -> None:
    shown = commands()
    assert len(shown) > 90
    assert sum(whole for *_, whole in shown) > 15
    wrong = {command: refused(words_of(command), whole) for _, command, whole in shown}
    assert {command: why for command, why in wrong.items() if why} == {}


@pytest.mark.parametrize(
    "command",
    [
        "servecast memory gpt-oss-20b h100-sxm",
        "servecast run a.yaml --jbos 2",
        "servecast run a.yaml --jobs two",
        "servecast runn a.yaml",
        "servecast calibrate serve",
    ],
)
def test_a_command_that_is_none_is_noticed(command: str) -> None:
    assert refused(words_of(command), whole=False)


def test_assignments_that_pages_show_name_keys() -> None:
    given = [found for _, command, _ in commands() for found in assigned(words_of(command))]
    assert len(given) > 8
    for path in given:
        assert path.rpartition(".")[2] in {key.name for key in find_keys(path, KEYS)}


def assigned(words: list[str]) -> list[str]:
    return [
        word.partition("=")[0]
        for before, word in pairwise(words)
        if before in {"--set", "--grid"} and "=" in word and word[:5] != "path="
    ]


UNBROKEN = re.compile(r"`[^`]*`|!?\[[^\]]*\](?:\([^)\s]*\))?|\$[^$]+\$|https?://\S+")
"""What a line of prose is not wrapped within: code, links, formulas, addresses."""


@pytest.mark.parametrize("name", PAGES)
def test_prose_is_wrapped_at_100(name: str) -> None:
    blocks = r"^(```|~~~).*?^\s*\1\s*$|^\$\$.*?\$\$\s*$|<!--.*?-->"
    outside = re.sub(blocks, "", text_of(name), flags=re.DOTALL | re.MULTILINE)
    long = [
        line
        for line in outside.splitlines()
        if len(line) > 100 and not re.match(r" {4}|\s*(?:[|#<$>]|!\[)", line) and len(UNBROKEN.sub("_", line)) > 60
    ]
    assert long == []
