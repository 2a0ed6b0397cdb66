"""Constants of the equations, each on the page of its equations, out of the catalog: `python -m bench.site.constants`.

The command writes them into the pages anew.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from simulator.results.files import write_text

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "simulator/catalog/data"
PAGES: Mapping[str, tuple[str, ...]] = {
    "docs/model/roofline.md": ("step_time.yaml",),
    "docs/model/overheads.md": ("engine_overheads.yaml",),
    "docs/model/memory.md": ("memory_overheads.yaml", "precisions.yaml", "gpu_engine.yaml"),
    "docs/model/step-time.md": ("routing.yaml:popularity_ratio",),
    "docs/model/scheduler.md": ("host_links.yaml",),
    "docs/model/fleet.md": (
        "kv_transfer.yaml",
        "routing.yaml:retry",
        "routing.yaml:prefix_weight",
        "routing.yaml:free_weight",
        "routing.yaml:queue_weight",
        "sites.yaml:kinds",
        "token_offers.yaml:defaults",
    ),
    "docs/model/cost.md": ("cost_defaults.yaml", "cost_more.yaml"),
}
"""Page, and the files of the catalog whose figures its equations use, or the parts whose names begin so."""
LISTED = ("gpus.yaml", "models.yaml", "servers.yaml", "sites.yaml", "grids.yaml", "token_offers.yaml")
"""Files whose figures `servecast catalog` lists: what a scenario names, and no constant."""
HEADING = "## Constants"
WIDTH = 100


@dataclass(frozen=True)
class Constant:
    """A figure as it stands on a page; `source` has its date."""

    name: str
    value: str
    unit: str
    kind: str
    source: str
    note: str


def constants(file: str) -> list[Constant]:
    """Figures of a file of the catalog, or of the part of it that stands behind a colon."""
    name, _, part = file.partition(":")
    data = YAML(typ="safe").load(DATA / name)
    return [each for each in _figures(data, data.get("sources", {}), ()) if each.name.startswith(part)]


def section(page: str) -> str:
    """The section of a page: its constants, and their sources with dates."""
    rows = [each for file in PAGES[page] for each in constants(file)]
    sources = list(dict.fromkeys(each.source for each in rows))
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(file.partition(":")[0] for file in PAGES[page]))
    told = (
        f"Out of {names} of `simulator/catalog/data`. *sourced* was read in the source, *derived* computed from "
        "figures that were read, an *estimate* is judgement; sources stand below by their numbers."
    )
    lines = [HEADING, "", *textwrap.wrap(told, WIDTH, break_on_hyphens=False), ""]
    lines += ["| constant | value | unit | kind | source | note |", "|---|---:|---|---|---:|---|"]
    for row in rows:
        number = sources.index(row.source) + 1
        lines.append(f"| `{row.name}` | {row.value} | {row.unit} | {row.kind} | {number} | {row.note} |")
    lines.append("")
    for number, source in enumerate(sources, start=1):
        lines += textwrap.wrap(
            f"{number}. {source}", WIDTH, subsequent_indent="   ", break_on_hyphens=False, break_long_words=False
        )
    return "\n".join(lines) + "\n"


def with_section(text: str, page: str) -> str:
    """The text of a page with its constants; behind all else where they are not on it yet."""
    found = re.search(rf"^{HEADING}\n.*?(?=^## |\Z)", text, re.M | re.S)
    if found is None:
        return f"{text.rstrip()}\n\n{section(page)}"
    behind = text[found.end() :]
    return text[: found.start()] + section(page) + (f"\n{behind}" if behind else "")


def _figures(node: Any, sources: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Constant]:
    if isinstance(node, Mapping):
        if "value" in node and "kind" in node:
            if isinstance(node["value"], int | float):
                yield _constant(node, sources, path)
            return
        for name, inside in node.items():
            if name != "sources":
                yield from _figures(inside, sources, (*path, str(name)))
    elif isinstance(node, list):
        for inside in node:
            since = f"since {inside['since']}" if isinstance(inside, Mapping) and "since" in inside else ""
            yield from _figures(inside, sources, (*path[:-1], f"{path[-1]} {since}".strip()))


def _constant(node: Mapping[str, Any], sources: Mapping[str, Any], path: tuple[str, ...]) -> Constant:
    source = sources[node["from"]] if "from" in node else node
    text = " ".join(str(source["source"]).split())
    url, day = str(source.get("url") or ""), str(source["date"])
    told = [text, *([f"<{url}>"] if url.startswith("http") else []), day if day[0].isdigit() else "undated"]
    low, high = (node.get(end) for end in ("low", "high"))
    ends = [f"{word} {end:.6g}" for word, end in (("from", low), ("to", high)) if end is not None]
    value = f"{node['value']:.6g}" + (f" ({' '.join(ends)})" if ends else "")
    unit = "" if node["unit"] == "-" else _cell(node["unit"])
    name = node.get("id") or ".".join(path)
    return Constant(name, value, unit, node["kind"], ", ".join(told), _cell(node.get("note", "")))


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("$", "USD ").replace("*", "\\*")


def main() -> None:
    for page in PAGES:
        file = ROOT / page
        write_text(file, with_section(file.read_text("utf-8"), page))


if __name__ == "__main__":
    main()
