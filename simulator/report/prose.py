"""Prose for a terminal: lines of one width."""

from __future__ import annotations

import textwrap

WIDTH = 100
"""Of text; a table in a file or a pipe is as wide as its topologies need."""


def wrapped(text: str, mark: str = "", width: int = WIDTH) -> str:
    """The text in lines of `WIDTH`, or of a terminal that has less, behind a mark that stands before the first."""
    return "\n".join(textwrap.wrap(text, min(width, WIDTH), initial_indent=mark, subsequent_indent=" " * len(mark)))
