"""Sentences of the simulator as Markdown."""

from __future__ import annotations


def markdown(text: str) -> str:
    """The same text, with dollars that open no formula."""
    return text.replace("$", "\\$")
