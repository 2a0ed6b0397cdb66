"""Prose for a terminal: lines of one width."""

from __future__ import annotations

import textwrap

WIDTH = 100
"""Of text; a table is as wide as its topologies need."""


def wrapped(text: str, mark: str = "") -> str:
    """The text in lines, behind a mark that stands before the first."""
    return "\n".join(textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark)))
