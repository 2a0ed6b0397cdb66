"""A figure that a result rests on: what it is, where it was read, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["sourced", "derived", "estimate", "given"]
"""Read in a source; computed from figures read; judgement; written in the scenario."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that was used.

    Attributes
    ----------
    id : of the catalog, as `onprem.economic_life`, or the path of what the scenario says
    source, date : as the source writes them; empty where the scenario says nothing of it
    place : file and line of the scenario, or the option, that gives it; empty for the catalog
    """

    id: str
    value: float
    unit: str
    kind: Kind
    source: str = ""
    date: str = ""
    place: str = ""
