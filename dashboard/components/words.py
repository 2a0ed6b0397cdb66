"""Sentences of the simulator, and texts of whoever wrote a run, as Markdown."""

from __future__ import annotations

import re

from simulator.catalog.titles import in_titles

_MARKS = re.compile(r"([\\`*{}\[\]<>()#+!|~$:]|(?<!\w)_|_(?!\w)|^[-=])", re.MULTILINE)
"""An underscore within a word is no mark."""


def markdown(text: str) -> str:
    """The same text, with dollars that open no formula, pictures that are not fetched and links that show where to."""
    return text.replace("$", "\\$").replace("![", "!\\[").replace("](", "]\\(").replace("<", "\\<")


def sentence(text: str) -> str:
    """A sentence of the simulator as Markdown, with what the catalog has by its titles."""
    return markdown(in_titles(text))


def plain(text: str) -> str:
    """The same letters, whatever Markdown would make of them."""
    return _MARKS.sub(r"\\\1", text)
