"""Hooks of `mkdocs`: pages from outside docs/, notebooks that are executed, equations as MathML."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.site.notebooks import page_of  # noqa: E402
from bench.site.pages import OUTSIDE, between_pages, page, slug  # noqa: E402

API = """# Names of the Python API

What `from simulator import …` offers; [From Python](python.md) shows it at work.

"""
_EQUATION = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S)


def on_config(config: Any) -> Any:
    config["mdx_configs"].setdefault("toc", {})["slugify"] = slug
    config["nav"] = _pages(config["nav"])
    return config


def on_files(files: Files, config: Any) -> Files:
    for name, source in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "api.md", content=api_page()))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        files.append(File.generated(config, page(file.src_uri), content=page_of(ROOT / "docs" / file.src_uri)))
    return files


def on_page_markdown(text: str, page: Page, config: Any, files: Files) -> str:
    return between_pages(text, page.file.src_uri)


def on_page_content(text: str, page: Page, config: Any, files: Files) -> str:
    return _EQUATION.sub(mathml, text)


def mathml(found: re.Match[str]) -> str:
    """The equation as MathML, which browsers draw by themselves."""
    told = convert(html.unescape(found["tex"]).strip(), display="inline" if found["open"] == "(" else "block")
    unknown = re.search(r"\\[a-zA-Z]+", told)
    if unknown:
        raise ValueError(f"{unknown[0]} of {found['tex']} is nothing that latex2mathml knows")
    return told


def api_page() -> str:
    """An entry for each public name, functions first."""
    import simulator

    names = sorted(simulator.__all__, key=lambda name: (name[0].isupper(), name))
    return API + "\n\n".join(f"::: {simulator._EXPORTS[name]}.{name}" for name in names) + "\n"


def _pages(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_pages(each) for each in nav]
    return {title: _pages(each) for title, each in nav.items()} if isinstance(nav, dict) else page(nav)
