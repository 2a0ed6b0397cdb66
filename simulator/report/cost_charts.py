"""Charts of the money: line items on three bases, and spending over the months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import Summaries, topology_colour

BASES = {"month": "$ per month", "million": "$ per 1M tokens", "horizon": "$ over the horizon"}
"""What line items are counted by, with the axis' words."""
_UNUSED = ("idle", "spare", "unused")


def items(costs: pd.DataFrame, topologies: Summaries, basis: str) -> pd.DataFrame:
    """Line items of the topologies in USD on one basis, and whether each pays for what nobody used.

    Parameters
    ----------
    costs : `costs.parquet` of a run bundle
    basis : key of `BASES`; a month is repeated over the horizon as it is
    """
    data = costs[costs["topology"].isin(list(topologies))].copy()
    factor = {name: _factor(summary, basis) for name, summary in topologies.items()}
    data["usd"] = data["usd_per_month"] * data["topology"].map(factor)
    data["item"] = data["category"] + ": " + data["name"]
    data["is_unused"] = data["name"].str.contains("|".join(_UNUSED))
    return data.reset_index(drop=True)


def _factor(summary: Mapping[str, Any], basis: str) -> float:
    cost = summary["cost"]
    if basis == "million":
        return 1e6 / cost["tokens_per_month"] if cost["tokens_per_month"] else float("nan")
    return float(len(cost["cash_flow_usd"]) - 1) if basis == "horizon" else 1.0


def line_items(data: pd.DataFrame, names: Sequence[str], title: str) -> Any:
    """Stacked bars by topology; what nobody used is pale."""
    return (
        alt.Chart(data)
        .mark_bar(strokeWidth=1)
        .encode(
            x=alt.X("usd:Q", title=title),
            y=alt.Y("topology:N", sort=list(names), title=None),
            color=alt.Color("category:N", scale=alt.Scale(scheme="tableau10"), title="line item"),
            opacity=alt.Opacity(
                "is_unused:N",
                scale=alt.Scale(domain=[False, True], range=[1.0, 0.4]),
                title="idle or spare",
            ),
            order=alt.Order("is_unused:N"),
            detail="item:N",
            tooltip=["topology", "pool", "item", alt.Tooltip("usd", format=",.2f")],
        )
        .properties(height=alt.Step(48))
    )


def cumulative_spending(topologies: Summaries, names: Sequence[str]) -> Any:
    """Money spent up to each month; where lines cross, the lower one has paid back."""
    rows = []
    for name, summary in topologies.items():
        spent = 0.0
        for month, flow in enumerate(summary["cost"]["cash_flow_usd"]):
            spent -= flow
            rows.append({"topology": name, "month": month, "spent_usd": spent})
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_line()
        .encode(
            x=alt.X("month:Q", title="month"),
            y=alt.Y("spent_usd:Q", title="$ spent so far"),
            color=topology_colour(names),
            tooltip=["topology", "month", alt.Tooltip("spent_usd", format=",.0f")],
        )
        .properties(height=340)
    )
