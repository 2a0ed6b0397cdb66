"""A self-contained HTML page of tables and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, select_autoescape

from simulator.report.html import spec
from simulator.results.files import write_text


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heading and an optional note below it."""

    heading: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def write_page(title: str, tables: Sequence[Table], charts: Sequence[Any], path: str | Path) -> None:
    """Write a page; it needs no network.

    Raises
    ------
    InputError : the file cannot be written
    """
    environment = Environment(loader=PackageLoader("simulator.report"), autoescape=select_autoescape())
    text = environment.get_template("page.html").render(
        title=title,
        tables=tables,
        charts=[spec(chart) for chart in charts],
        vega=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
    )
    write_text(Path(path), text)
