"""A sweep file: a scenario and the values to vary in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.schema.base import Settings


class SweepFile(Settings):
    """A scenario simulated at every combination of values."""

    schema_version: Literal[1]
    """Version of this format."""
    scenario: str
    """Scenario file, from the sweep file's folder."""
    overlays: tuple[str, ...] = ()
    """Overlays on it, from the sweep file's folder."""
    set: dict[str, Any] = {}
    """Values that differ from the scenario at every point, by path."""
    grid: Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1)]
    """Values to combine, by path; the last path changes fastest."""
