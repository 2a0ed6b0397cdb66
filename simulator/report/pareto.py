"""Which points are worth a look: those that no other beats in both cost and service."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.decide.rivals import rank
from simulator.decide.standing import BY_REPLICATION, CHANCE_COLUMNS, met_throughout, of_row
from simulator.figures.table import figure
from simulator.money import column
from simulator.report.charts import AMOUNTS, plain_legend, seen_sizes, topology_colour
from simulator.report.cost_charts import in_currency
from simulator.scenario.short_names import short_names

MEASURES = {
    **{
        f"{metric}_{share}_s": (figure(f"{metric}_{share}_s").words, "s")
        for share in ("p99", "p95")
        for metric in ("ttft", "tpot", "e2e")
    },
    "missed_share": ("requests that miss the SLO", "%"),
}
"""What cost is set against, smaller is better: words and unit."""


_UNSHOWN = ("chance", "usd_by_replication")
_FAR_APART, _ROOM = 20.0, 1.5
"""Ratio of values from which their axis is logarithmic, and the room around them there."""


def point(run: str, name: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """One topology of one run as a point."""
    metrics = summary["metrics"]
    return {
        "point": f"{run}/{name}" if run else name,
        "run": run,
        "topology": name,
        "usd_per_month": summary["cost"]["usd_per_month"],
        "slo_met": bool(met_throughout(summary)),
        "missed_share": _missed(metrics["slo_attainment"]),
        "usd_by_replication": [one["usd_per_month"] for one in summary.get("replications", ())],
        "chance": summary["cost"].get("chance"),
        **{
            f"{metric}_{share}_s": metrics[f"{metric}_s"][share]
            for metric in ("ttft", "tpot", "e2e")
            for share in ("p95", "p99")
        },
    }


def sweep_points(run: str, table: pd.DataFrame, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Topologies at the points of a sweep, as points; what failed is left out.

    Parameters
    ----------
    table : `sweep.parquet` of the sweep's bundle
    paths : what it varies, the keys of `grid` in its manifest
    """
    found, names = [], short_names(paths)
    for row in table[table["status"] == "ok"].to_dict("records"):
        values = ", ".join(f"{names[path]}={_plain(row[path])}" for path in paths)
        found.append(
            {
                "point": f"{run}/{row['topology']}: {values}",
                "run": run,
                "topology": row["topology"],
                "values": values,
                "usd_per_month": row["usd_per_month"],
                "slo_met": not pd.isna(row["slo_met"]) and bool(row["slo_met"]),
                "missed_share": _missed(row["slo_attainment"]),
                "chance": _chance(row),
                "usd_by_replication": _listed(row.get(BY_REPLICATION)),
                **{name: _known(row[name]) for name in MEASURES if name.endswith("_s")},
            }
        )
    return found


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _missed(attainment: float | None) -> float | None:
    known = _known(attainment)
    return None if known is None else 1.0 - known


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _chance(row: Mapping[Any, Any]) -> dict[str, Any] | None:
    """Of a table that was written before these columns, and of several replications, none."""
    said = {part: row.get(name) for name, part in CHANCE_COLUMNS.items()}
    drawn_by, by_draw = said.pop("drawn_by"), said.pop("by_draw")
    known = {part: _known(value) for part, value in said.items()}
    if None in known.values():
        return None
    return known | {"drawn_by": drawn_by if isinstance(drawn_by, str) else "", "by_draw": _listed(by_draw)}


def _listed(values: Any) -> list[float]:
    """Numbers of a cell that has several; none of an empty one, and of a table that was written before its column."""
    return [float(one) for one in values] if isinstance(values, Iterable) else []


def points_table(points: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Points with what is shown of them: not what chance does to their bills."""
    return pd.DataFrame([{name: value for name, value in one.items() if name not in _UNSHOWN} for one in points])


def cheapest_points(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first of those that meet the SLO, as topologies are ranked, and all that cost the same; none if none does."""
    priced = [found for found in points if found["usd_per_month"] is not None]
    found = rank([of_row(str(k), one) for k, one in enumerate(priced)])
    return [priced[int(name)] for name in found.order if name in found.winners]


def frontier(points: Sequence[Mapping[str, Any]], measure: str) -> list[Mapping[str, Any]]:
    """Points that no other beats: none costs at most as much and is at most as slow, with one of both less.

    Returned by rising cost; of equal points the first alone. Points without the measure are left out.
    """
    known = [found for found in points if found[measure] is not None and found["usd_per_month"] is not None]
    kept: list[Mapping[str, Any]] = []
    best = float("inf")
    for found in sorted(known, key=lambda entry: (entry["usd_per_month"], entry[measure])):
        if found[measure] < best:
            best = found[measure]
            kept.append(found)
    return kept


def pareto_chart(
    points: Sequence[Mapping[str, Any]], measure: str, names: Sequence[str], limit: float | None = None
) -> Any:
    """Cost against a measure of service: all points, the frontier as steps, the SLO's limit as a line.

    A click on a point selects it (parameter `chosen`, field `point`).

    Parameters
    ----------
    names : topologies that have colours already; those of other runs get the next ones
    limit : largest value that the SLO allows; the region below is shaded
    """
    words, unit = MEASURES[measure]
    data = points_table([{**found, "SLO": "met" if found["slo_met"] else "missed"} for found in points])
    data, best = (in_currency(each, "usd_per_month") for each in (data[data[measure].notna()], _edge(points, measure)))
    cost, money = column("usd_per_month"), figure("usd_per_month").label
    every = list(dict.fromkeys([*names, *data["topology"]]))
    digits = ".2%" if unit == "%" else ".4g"
    x = alt.X(f"{cost}:Q", title=money, scale=_room(list(data[cost])), axis=AMOUNTS)
    axis = alt.Axis(format="%") if unit == "%" else alt.Axis()
    scale, floor = _scale([*data[measure], *([] if limit is None else [limit])])
    y = alt.Y(f"{measure}:Q", title=f"{words} [{unit}]", scale=scale, axis=axis)
    chosen = alt.selection_point(name="chosen", fields=["point"])
    data["size"] = seen_sizes(list(data[cost]), list(data[measure]), 180)
    marks = (
        alt.Chart(data)
        .mark_point(filled=True)
        .encode(
            size=alt.Size("size:Q", scale=None),
            x=x,
            y=y,
            color=topology_colour(every),
            shape=alt.Shape(
                "SLO:N",
                scale=alt.Scale(domain=["met", "missed"], range=["circle", "cross"]),
                legend=plain_legend(orient="top"),
            ),
            opacity=alt.condition(chosen, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                "point",
                alt.Tooltip(cost, format=",.0f", title=money),
                alt.Tooltip(measure, format=digits, title=f"{words} [{unit}]"),
                "SLO",
            ],
        )
        .add_params(chosen)
    )
    edge = (
        alt.Chart(best)
        .mark_line(interpolate="step-after", strokeDash=[5, 4], color="gray")
        .encode(x=f"{cost}:Q", y=f"{measure}:Q")
    )
    layers = [edge, marks]
    if limit is not None:
        rule = alt.Chart(pd.DataFrame([{"limit": limit, "floor": floor, "words": f"SLO: at most {limit:g} s"}]))
        region = rule.mark_rect(opacity=0.1, color="#009E73").encode(y="floor:Q", y2="limit:Q")
        line = rule.mark_rule(color="#D55E00", strokeWidth=2).encode(y="limit:Q", tooltip="words")
        layers = [region, line, *layers]
    return alt.layer(*layers).properties(height=480)


def _edge(points: Sequence[Mapping[str, Any]], measure: str) -> pd.DataFrame:
    return pd.DataFrame([dict(found) for found in frontier(points, measure)], columns=["usd_per_month", measure])


def _room(values: Sequence[float]) -> alt.Scale:
    """Scale with room on both sides, not below zero."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low or high or 1.0)
    return alt.Scale(domain=[max(low - room, 0.0), high + room], nice=False)


def _scale(values: Sequence[float]) -> tuple[alt.Scale, float]:
    """Scale of the measure and where it begins: logarithmic where values are far apart, as with overload they are."""
    low, high = min(values), max(values)
    if low > 0 and high / low > _FAR_APART:
        low, high = low / _ROOM, high * _ROOM
        return alt.Scale(type="log", domain=[low, high], nice=False), low
    return alt.Scale(zero=True), 0.0


def slo_limit_s(scenario: Mapping[str, Any], measure: str) -> tuple[float, tuple[str, ...]] | None:
    """The strictest limit that the SLO sets to a measure, and the classes it holds for; None where it sets none.

    Parameters
    ----------
    scenario : resolved
    measure : key of `MEASURES`; the SLO of a class limits its own requests, the measure is of all
    """
    metric, _, rest = measure.partition("_")
    share = rest.removesuffix("_s")
    limits = {
        cls["name"]: float(limit)
        for cls in scenario["workload"]["classes"]
        if (limit := cls["slo"].get(f"{metric}_s", {}).get(share)) is not None and math.isfinite(limit)
    }
    if not limits:
        return None
    strictest = min(limits.values())
    return strictest, tuple(name for name, limit in limits.items() if limit == strictest)


def first_limited(scenario: Mapping[str, Any]) -> str:
    """The first measure to which the SLO sets a limit; the first of all where it limits none of them."""
    return next((name for name in MEASURES if slo_limit_s(scenario, name)), next(iter(MEASURES)))
