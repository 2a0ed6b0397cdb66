"""Charts of the money: line items on three bases, and spending over the months."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from simulator.bill.annuity import discount_factors
from simulator.bill.unit import usd_per_million
from simulator.bill.unused import UNUSED
from simulator.figures.table import figure
from simulator.money import column, converted, in_sign
from simulator.report.charts import BAR_PX, Summaries, legend_px, names_axis, plain_legend, topology_colour
from simulator.report.coinciding import WIDTH, with_widths

BASES = ("month", "million", "horizon")
"""What line items are counted by."""
_BELOW = alt.Legend(orient="bottom", columns=2)
_COLOURS = {
    "hardware": "#F58518",
    "network and storage": "#72B7B2",
    "maintenance": "#E45756",
    "space": "#EECA3B",
    "electricity": "#4C78A8",
    "staff": "#B279A2",
    "on demand": "#54A24B",
    "committed": "#2F6B3A",
    "spot": "#9D755D",
    "tokens": "#FF9DA6",
}
"""Of the lines that most bills have, the same in every run."""
_MORE = ("#17BECF", "#8C6D31", "#7B4173", "#9C9EDE", "#637939", "#D6616B", "#5254A3", "#BAB0AC", "#CE6DBD", "#B5CF6B")
"""Of the other lines of a run, in their order."""


def basis_words(basis: str) -> str:
    """What line items on one of `BASES` are counted in."""
    if basis == "horizon":
        return in_sign("$ over the horizon")
    return figure({"month": "usd_per_month", "million": "usd_per_million_tokens"}[basis]).label


def horizon_months(summary: Mapping[str, Any]) -> float:
    """Months of the study."""
    return float(summary["cost"]["months"])


def paid_usd(summary: Mapping[str, Any]) -> float:
    """What is paid from the start to the end of the study; what commitments still cost after it is not in it."""
    cost = summary["cost"]
    paid = zip(cost["at_months"], cost["cash_flow_usd"], strict=True)
    return 0.0 - math.fsum(usd for at, usd in paid if at <= cost["months"])


def items(costs: pd.DataFrame, topologies: Summaries, basis: str) -> pd.DataFrame:
    """Line items of the topologies in USD on one basis, and whether each pays for what nobody used.

    Parameters
    ----------
    costs : `costs.parquet` of a run bundle
    basis : of `BASES`; a month is repeated over the horizon as it is
    """
    data = costs[costs["topology"].isin(list(topologies))].copy()
    factor = {name: _factor(summary, basis) for name, summary in topologies.items()}
    data["usd"] = data["usd_per_month"].astype(float) * data["topology"].map(factor).astype(float)
    data["item"] = data["category"] + ": " + data["part"]
    data["is_unused"] = data["part"].isin(sorted(UNUSED))
    return data.reset_index(drop=True)


def _factor(summary: Mapping[str, Any], basis: str) -> float:
    cost = summary["cost"]
    if basis == "million":
        return float(usd_per_million(1.0, cost["tokens_per_month"]) or math.nan)
    return horizon_months(summary) if basis == "horizon" else 1.0


def in_currency(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame with amounts of these columns in the currency that is shown, which their names say."""
    return frame.assign(**{name: frame[name].map(converted) for name in columns}).rename(
        columns={name: column(name) for name in columns}
    )


def line_items(data: pd.DataFrame, names: Sequence[str], title: str) -> Any:
    """Stacked bars by topology; what nobody used comes last and is pale.

    Parameters
    ----------
    data : from `items`
    title : of the axis, with the unit
    """
    cost = column("usd")
    shown = data.assign(use=np.where(data["is_unused"], "not used", "used"), position=data["is_unused"] * 1)
    shown = in_currency(shown, "usd", "usd_per_month")
    return (
        alt.Chart(shown)
        .mark_bar()
        .encode(
            x=alt.X(f"{cost}:Q", title=title),
            y=alt.Y("topology:N", sort=list(names), title=None, axis=names_axis(names)),
            color=alt.Color("category:N", scale=_line_colours(data["category"]), title="line item", legend=_BELOW),
            opacity=alt.Opacity(
                "use:O",
                scale=alt.Scale(domain=["used", "not used"], range=[1.0, 0.35]),
                title="pays for what is",
                legend=plain_legend(orient="top"),
            ),
            order=alt.Order("position:Q"),
            detail="item:N",
            tooltip=["topology:N", "owner:N", "item:N", "use:N", alt.Tooltip(cost, format=",.2f", title=title)],
        )
        .properties(height=alt.Step(BAR_PX))
    )


def _line_colours(categories: pd.Series) -> alt.Scale:
    """A colour of its own for each kind of line item."""
    found = list(dict.fromkeys(categories))
    known, others = [name for name in _COLOURS if name in found], [name for name in found if name not in _COLOURS]
    more = [_MORE[k % len(_MORE)] for k in range(len(others))]
    return alt.Scale(domain=[*known, *others], range=[*(_COLOURS[name] for name in known), *more])


def spending(topologies: Summaries, discounted: bool) -> pd.DataFrame:
    """Money spent up to the end of each month: columns `topology`, `month`, `spent_usd`.

    Parameters
    ----------
    discounted : as its present value at the run's discount rate, which ends at minus the NPV; else as it is paid
    """
    frames = []
    for name, summary in topologies.items():
        flow = np.asarray(summary["cost"]["cash_flow_usd"], dtype=np.float64)
        at = np.asarray(summary["cost"]["at_months"], dtype=np.float64)
        if discounted:
            flow = flow * discount_factors(summary["cost"]["discount_rate"], at)
        frames.append(pd.DataFrame({"topology": name, "month": at, "spent_usd": 0.0 - np.cumsum(flow)}))
    return pd.concat(frames, ignore_index=True)


def cumulative_spending(topologies: Summaries, names: Sequence[str], discounted: bool = False) -> Any:
    """Money spent up to each month; where lines cross, the lower one has paid back."""
    words, spent = in_sign("$ spent so far, present value" if discounted else "$ spent so far"), column("spent_usd")
    shown = in_currency(spending(topologies, discounted), "spent_usd")
    return (
        alt.Chart(with_widths(shown, "month", spent))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("month:Q", title="month", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False)),
            y=alt.Y(f"{spent}:Q", title=words),
            color=topology_colour(names),
            strokeWidth=WIDTH,
            tooltip=["topology", "month", alt.Tooltip(spent, format=",.0f", title=words)],
        )
        .properties(height=340 + legend_px(names))
    )
