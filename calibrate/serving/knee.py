"""The knee of a series of rates: where TTFT leaves its flat part, measured and simulated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from calibrate.serving.measured import OpenLoop
from calibrate.serving.score import Scored

LEAVES_FLAT = 2.0
"""TTFT p50 has left its flat part at the first rate where it is this many times that of the lowest rate."""
LEAST_RATES = 3
"""Rates that a series needs."""


@dataclass(frozen=True, slots=True)
class Knee:
    """One series: the place of the first rate beyond the knee, measured and simulated; `len(rates)` where none is."""

    series: str
    rates_rps: tuple[float, ...]
    measured: int
    simulated: int

    @property
    def steps_apart(self) -> int:
        return abs(self.measured - self.simulated)


def knees(scored: Iterable[Scored]) -> list[Knee]:
    """Knees of all series: rows that differ in nothing but the rate."""
    series: dict[str, dict[float, Scored]] = {}
    for one in scored:
        row = one.row
        if isinstance(row.load, OpenLoop) and ("ttft", "p50") in row.figures:
            parts = (row.dataset, row.model, row.gpu, f"tp{row.tp}", row.dtype, row.workload, row.engine_version)
            series.setdefault(" ".join(part for part in parts if part), {})[row.load.rate_rps] = one
    return [_knee(name, rates) for name, rates in series.items() if len(rates) >= LEAST_RATES]


def _knee(name: str, rates: Mapping[float, Scored]) -> Knee:
    ordered = sorted(rates)
    measured = [rates[rate].row.figures["ttft", "p50"] for rate in ordered]
    simulated = [rates[rate].forecast.figures["ttft", "p50"] for rate in ordered]
    return Knee(name, tuple(ordered), _leaves(measured), _leaves(simulated))


def _leaves(ttft_s: list[float]) -> int:
    return next((k for k, value in enumerate(ttft_s) if value > LEAVES_FLAT * ttft_s[0]), len(ttft_s))
