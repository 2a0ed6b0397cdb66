"""From the figures of a summary, or of a plan's row, to contenders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from simulator.metrics.slo import late_words
from simulator.study.decision import HOLDS_ON_FRESH, Chance, Contender, Unmeasured

CHANCE_COLUMNS = {f"chance_{part}": part for part in ("usd", "shared", "at_ends", "routed", "drawn_by", "by_draw")}
"""Columns of a sweep's table with the chance in the bill of a single replication, as `cost.chance` of a summary."""


BY_REPLICATION = "usd_by_replication"
"""Column of a sweep's table with the bill of each replication, where there are several."""


def met_throughout(summary: Mapping[str, Any]) -> bool | None:
    """Whether a topology of a summary meets the SLO in every month; None where it is not known."""
    met: bool | None = summary["metrics"]["slo_met"]
    if met is False or summary.get("lasts_until") is not None:
        return False
    return None if summary.get("unmeasured") else met


def over_hours(periods: Iterable[tuple[float, float]]) -> float:
    """Attainment of a month: the mean over the hours of its periods, which are given as (hours, attainment)."""
    kept = list(periods)
    return sum(hours * attainment for hours, attainment in kept) / sum(hours for hours, _ in kept)


def contenders(topologies: Mapping[str, Mapping[str, Any]]) -> list[Contender]:
    """Topologies of summaries, as `simulate` gives them or a bundle holds them."""
    return [_of_summary(name, summary) for name, summary in topologies.items()]


def _of_summary(name: str, summary: Mapping[str, Any]) -> Contender:
    search = summary.get("search") or {}
    return Contender(
        name,
        bool(met_throughout(summary)),
        _usd(summary["cost"]["usd_per_month"]),
        tuple(_usd(one["usd_per_month"]) for one in summary.get("replications", ())),
        _attainment(summary),
        summary.get("fleet", ""),
        summary.get("least_usd_per_month"),
        summary.get("lasts_until") or 0,
        edge_of(search.get("edge")) or edge_of(summary.get("edge")),
        _chance(summary["cost"].get("chance")),
        len(summary.get("periods", ())) > 1,
        int(summary["metrics"].get("arrived") or 0),
        _missed(summary),
        bool(summary.get("step_time")),
        _unmeasured(summary),
        summary.get("cause", ""),
    )


def _attainment(summary: Mapping[str, Any]) -> float:
    """Of the first month; its metrics are those of its busiest period alone."""
    periods = summary.get("periods", ())
    if len(periods) < 2:
        return float(summary["metrics"]["slo_attainment"] or 0.0)
    return over_hours((float(one["hours"]), float(one["attainment"] or 0.0)) for one in periods)


def _missed(summary: Mapping[str, Any]) -> str:
    """The SLO term of the shown period that fails by most; of other periods and months their own words."""
    row = summary["metrics"].get("binding_term")
    if row is not None and row["met"] is False:
        return f"{row['class']}: {late_words(row) or row['term']}"
    periods = [one for one in summary.get("periods", ()) if one["meets"] is False]
    return f"in {periods[0]['name']}, {periods[0]['binding']}" if periods else ""


def _unmeasured(said: Mapping[str, Any]) -> tuple[Unmeasured, ...]:
    return tuple((one["class"], one["period"]) for one in said.get("unmeasured", ()))


def _chance(said: Mapping[str, Any] | None) -> Chance | None:
    if said is None:
        return None
    drawn_by, by_draw = said.get("drawn_by", ""), said.get("by_draw", ())
    return Chance(said["usd"], said["shared"], said["at_ends"], drawn_by, tuple(map(float, by_draw)))


def edge_of(said: str | None) -> str:
    """What is said of a size that misses on fresh traffic; of one that holds there nothing is said beside others."""
    return "" if said is None or said == HOLDS_ON_FRESH else said


def of_row(name: str, row: Mapping[str, Any]) -> Contender:
    """A row of a plan, a sweep or a chart.

    It has `slo_met`, `usd_per_month` and, where known, `slo_attainment`, `usd_by_replication`, `chance`, `unmeasured`.
    """
    return Contender(
        name,
        bool(row["slo_met"]),
        _usd(row["usd_per_month"]),
        tuple(map(_usd, row.get("usd_by_replication", ()))),
        row.get("slo_attainment") or 0.0,
        chance=_chance(row.get("chance")),
        unmeasured=_unmeasured(row),
    )


def _usd(value: float | None) -> float:
    return math.nan if value is None else float(value)
