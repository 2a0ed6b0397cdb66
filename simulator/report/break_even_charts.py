"""Charts of break-even: cost against volume and utilisation, intervals of the draws, one input at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import Summaries, topology_colour
from simulator.report.inputs import input_unit, input_value
from simulator.units import TOKENS_PER_MILLION

_SWINGS = 10
_WITHIN, _BEYOND = "within its GPUs", "beyond its GPUs"


def volume_lines(curves: pd.DataFrame, topologies: Summaries, names: Sequence[str]) -> Any:
    """Monthly cost against delivered tokens with the band of the draws; dots: the run; rules: where owning breaks even.

    Beyond the volume at which the bought GPUs would be busy all the time the line is dashed.

    Parameters
    ----------
    curves : `break_even.parquet` of a run bundle
    """
    data = _shown(curves, "", topologies)
    data["billions"] = data["tokens_per_month"] / 1e9
    data = _split_at_capacity(data)
    x = alt.X("billions:Q", title="delivered tokens per month [1e9]", scale=alt.Scale(nice=False))
    runs = [
        {"topology": name, "billions": found["cost"]["tokens_per_month"] / 1e9, "usd": found["cost"]["usd_per_month"]}
        for name, found in topologies.items()
    ]
    rules = _crossings(topologies, "tokens_per_month", 1e-9, data["billions"].max())
    return _chart(data.rename(columns={"usd_per_month": "usd"}), runs, rules, x, "billions", "$ per month", names)


def utilisation_lines(curves: pd.DataFrame, owner: str, topologies: Summaries, names: Sequence[str]) -> Any:
    """Cost per million tokens against the busy share of `owner`'s bought GPUs, each topology serving the same tokens.

    Parameters
    ----------
    curves : `break_even.parquet` of a run bundle
    """
    data = _shown(curves, owner, topologies)
    for end in ("", "_low", "_high"):
        data[f"usd{end}"] = data[f"usd_per_month{end}"] / data["tokens_per_month"] * TOKENS_PER_MILLION
    data["reach"] = _WITHIN
    data = data[data["usd"] > 0]
    cost = topologies[owner]["cost"]
    runs = []
    if found := topologies[owner]["break_even"]:
        runs = [{"topology": owner, "busy_share": found["busy_share_now"], "usd": cost["usd_per_million_tokens"]}]
    x = alt.X(
        "busy_share:Q", title=f"busy share of {owner}'s GPUs", axis=alt.Axis(format="%"), scale=alt.Scale(nice=False)
    )
    rules = _crossings({owner: topologies[owner]}, "busy_share", 1.0, 1.0)
    return _chart(data, runs, rules, x, "busy_share", "$ per 1M tokens", names, log=True)


def _split_at_capacity(data: pd.DataFrame) -> pd.DataFrame:
    """Rows within and beyond what the bought GPUs serve; the last within begins the part beyond, without a gap."""
    beyond = data["busy_share"] > 1.0
    data["reach"] = beyond.map({False: _WITHIN, True: _BEYOND})
    last = data[~beyond & data["topology"].isin(data.loc[beyond, "topology"])].groupby("topology").tail(1)
    return pd.concat([data, last.assign(reach=_BEYOND)]).sort_values("tokens_per_month", kind="stable")


def owners(curves: pd.DataFrame) -> list[str]:
    """Topologies that own all they serve with, in the order of the run."""
    return [str(name) for name in curves["owner"].unique() if name]


def _shown(curves: pd.DataFrame, owner: str, topologies: Summaries) -> pd.DataFrame:
    data = curves[(curves["owner"] == owner) & curves["topology"].isin(list(topologies))].copy()
    return data.rename(columns={"usd_per_month_low": "usd_low", "usd_per_month_high": "usd_high"} if not owner else {})


def _crossings(topologies: Summaries, key: str, factor: float, most: float) -> list[dict[str, Any]]:
    """Break-even of each topology in the units of the axis with the interval of the draws, as far as it is shown."""
    rows = []
    for name, summary in topologies.items():
        found = summary["break_even"]
        if not found or found[key] is None or found[key] * factor > most:
            continue
        drawn = (found["draws"] or {}).get(key) or {}
        low, high = (min(drawn.get(end, found[key]) * factor, most) for end in ("low", "high"))
        words = f"break-even with {found['against']}"
        rows.append({"topology": name, "at": found[key] * factor, "low": low, "high": high, "words": words})
    return rows


def _chart(
    data: pd.DataFrame,
    runs: Sequence[Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    x: alt.X,
    field: str,
    unit: str,
    names: Sequence[str],
    log: bool = False,
) -> Any:
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale()
    y = alt.Y("usd:Q", title=unit, scale=scale)
    colour = topology_colour(names)
    share = field == "busy_share"
    digits = ".0%" if share else ",.1f"
    place = alt.Tooltip(field, format=digits, title="busy share" if share else "tokens [1e9]")
    money = [
        alt.Tooltip(name, format=",.2f" if log else ",.0f", title=title)
        for name, title in (("usd", unit), ("usd_low", "low"), ("usd_high", "high"))
    ]
    base = alt.Chart(data).encode(x=x, color=colour)
    layers: list[Any] = []
    if data["usd_low"].notna().any():
        layers.append(base.mark_area(opacity=0.12).encode(y=alt.Y("usd_low:Q", scale=scale), y2="usd_high:Q"))
    if rules:
        marks = alt.Chart(pd.DataFrame(rules)).encode(color=colour)
        tooltip = ["topology", "words", *(alt.Tooltip(end, format=digits) for end in ("at", "low", "high"))]
        layers += [
            marks.mark_rect(opacity=0.1).encode(x="low:Q", x2="high:Q", tooltip=tooltip),
            marks.mark_rule(strokeDash=[2, 3], strokeWidth=2).encode(x="at:Q", tooltip=tooltip),
        ]
    dash = alt.StrokeDash("reach:N", scale=alt.Scale(domain=[_WITHIN, _BEYOND], range=[[1, 0], [5, 4]]), legend=None)
    layers.append(base.mark_line().encode(y=y, strokeDash=dash, tooltip=["topology", place, *money, "reach"]))
    if runs:
        dots = alt.Chart(pd.DataFrame(runs)).mark_point(filled=True, size=140, opacity=1)
        layers.append(dots.encode(x=x, y=y, color=colour, tooltip=["topology", place, money[0]]))
    return alt.layer(*layers).properties(height=360)


def intervals(topologies: Summaries, names: Sequence[str]) -> Any:
    """What the draws hold of the monthly cost: an interval and its median by topology; rows say which, no legend."""
    rows = [
        {"topology": name, **found["uncertainty"]["usd_per_month"]}
        for name, found in topologies.items()
        if found["uncertainty"]
    ]
    base = alt.Chart(pd.DataFrame(rows)).properties(height=alt.Step(35))
    colour = topology_colour(names).legend(None)
    row = alt.Y("topology:N", sort=list(topologies), title=None)
    tooltip = ["topology", *(alt.Tooltip(part, format=",.0f") for part in ("low", "median", "high"))]
    span = base.mark_rule(strokeWidth=4).encode(
        x=alt.X("low:Q", title="$ per month"), x2="high:Q", y=row, color=colour, tooltip=tooltip
    )
    middle = base.mark_point(filled=True, size=120).encode(x="median:Q", y=row, color=colour, tooltip=tooltip)
    return span + middle


def swings(name: str, found: Sequence[Mapping[str, Any]]) -> Any:
    """Tornado: the monthly cost with one input at a time at the ends of its range, widest swings first."""
    shown = found[:_SWINGS]
    rows = [
        {"input": swing["input"], "end": end, "value": _valued(swing, end), "usd": swing[f"usd_per_month_{end}"]}
        | {"base": swing["usd_per_month_base"]}
        for swing in shown
        for end in ("low", "high")
    ]
    return (
        alt.Chart(pd.DataFrame(rows), title=f"Cost per month with one input at a time: {name}")
        .mark_bar()
        .encode(
            x=alt.X("base:Q", title="$ per month", scale=alt.Scale(zero=False)),
            x2="usd:Q",
            y=alt.Y("input:N", sort=[swing["input"] for swing in shown], title=None, axis=alt.Axis(labelLimit=260)),
            color=alt.Color(
                "end:N",
                scale=alt.Scale(domain=["low", "high"], range=["#56B4E9", "#D55E00"]),
                legend=alt.Legend(title="input at its", orient="top"),
            ),
            tooltip=["input", "end", "value", alt.Tooltip("usd", format=",.0f", title="$ per month")],
        )
        .properties(height=alt.Step(28))
    )


def _valued(swing: Mapping[str, Any], end: str) -> str:
    return f"{input_value(swing[end])} {input_unit(swing['input'])}".strip()
