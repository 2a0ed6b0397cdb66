"""A cell of a table, where answers that come as a whole have no time per output token."""

from __future__ import annotations

from simulator.figures.table import NONE, Figure

_WHOLE = "whole"
"""As answers of batches, and those that a cascade has checked."""


def cell_text(shown: Figure, value: float | None) -> str:
    """The value in digits; a word for a time per output token of nothing."""
    text = shown.text(value)
    return _WHOLE if shown.id.startswith("tpot_") and text == shown.text(0.0) else text


def interval_text(shown: Figure, low: float | None, high: float | None) -> str:
    """An interval in digits; no figure for a time per output token that is nothing at both ends."""
    ends = {cell_text(shown, low), cell_text(shown, high)}
    return NONE if ends == {_WHOLE} else shown.span(low, high)
