"""The memo as one HTML page without scripts, which a browser prints as it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, select_autoescape

from simulator.report.blocks import Block, Picture
from simulator.report.memo import memo_blocks
from simulator.results.bundle import Bundle


def memo_page(bundle: Bundle) -> str:
    """The page as text; it fetches nothing.

    Raises
    ------
    InputError : a broken bundle
    """
    environment = Environment(loader=PackageLoader("simulator.report"), autoescape=select_autoescape())
    blocks = [_block(block) for block in memo_blocks(bundle)]
    return environment.get_template("memo.html").render(title=bundle.summary["scenario"], blocks=blocks)


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Picture):
        return {"kind": "picture", "words": block.words, "svg": vl_convert.vegalite_to_svg(block.spec)}
    return {"kind": type(block).__name__.lower(), **asdict(block)}
