"""Cost: where does the money go?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.table import show_table
from dashboard.components.words import markdown, plain
from dashboard.context import Context
from dashboard.loading import table
from simulator.catalog.titles import owner_words
from simulator.figures.table import figure
from simulator.money import column, converted, in_sign, money, sign
from simulator.report.charts import Summaries
from simulator.report.cost_charts import (
    BASES,
    basis_words,
    cumulative_spending,
    horizon_months,
    in_currency,
    items,
    line_items,
    paid_usd,
)

_FLOWS = {"paid": "as it is paid", "present": "present value"}


def show(context: Context) -> None:
    """Line items by month, by million tokens or over the horizon; spending over the months; the table."""
    st.title("Cost")
    st.caption("Where does the money go? Idle, spare, unused, starting and failed capacity are items of their own.")
    chosen = st.segmented_control(
        "Per", list(BASES), default="month", key="cost.basis", bind="query-params", format_func=basis_words
    )
    basis = chosen or "month"
    data = items(table(context.bundle, "costs"), context.topologies, basis)
    chart = line_items(data, list(context.topologies), basis_words(basis))
    show_chart(chart, "cost.items", "line items of the bill, by topology")
    if basis == "horizon":
        st.caption("The mean month, repeated; purchases, replacements and resale are in the spending below.")
    _unused(data, context.topologies)
    _spending(context)
    _whose(context)
    st.header("Line items")
    columns = ["topology", "category", "part", "usd", "owner", "quantity", "unit", "kind"]
    show_table(
        in_currency(
            data[columns].assign(kind=data["kind"].str.replace("_", " "), owner=data["owner"].map(owner_words)), "usd"
        ),
        key="cost.table",
        column_config={
            "quantity": st.column_config.NumberColumn("per month", format="localized"),
            column("usd"): st.column_config.NumberColumn(
                basis_words(basis), format="%.5f" if basis == "million" else "accounting"
            ),
        },
    )


def _whose(context: Context) -> None:
    st.header("Whose cost")
    st.caption("Lines shared out by request class and token kind with the step-time equation; parts add up.")
    cost = figure("usd_per_month").label
    rows = [
        {
            "topology": name,
            "class": row["class"],
            "tenant": row["tenant"] or "-",
            "tokens": row["token_kind"],
            cost: converted(row["usd_per_month"]),
        }
        for name, found in context.topologies.items()
        for row in found["cost"]["split"]
    ]
    show_table(
        pd.DataFrame(rows),
        key="cost.split",
        column_config={cost: st.column_config.NumberColumn(format="accounting")},
    )


def _unused(data: pd.DataFrame, topologies: Summaries) -> None:
    share = figure("unused_share")
    wasted = data[data["is_unused"]].groupby("topology", sort=False)["usd"].sum()
    parts = []
    for name, usd in wasted.items():
        known = share.text(topologies[str(name)]["cost"]["unused_share"])
        parts.append(f"{plain(str(name))} {known} ({markdown(money(usd))})")
    st.caption(f"{share.words.capitalize()}: {', '.join(parts) or 'nothing'}.")


def _spending(context: Context) -> None:
    st.header("Spending over the months")
    rates = {found["cost"]["discount_rate"] for found in context.topologies.values()}
    flow = st.segmented_control(
        "Counted",
        list(_FLOWS),
        default="paid",
        key="cost.flow_basis",
        bind="query-params",
        format_func=lambda name: _FLOWS[name],
    )
    discounted = flow == "present"
    chart = cumulative_spending(context.topologies, context.names, discounted)
    show_chart(chart, "cost.flow", "spending up to each month, by topology")
    st.caption("A hardware purchase stands at month 0; its resale lowers the last month.")
    if discounted:
        st.caption(f"Discounted at {', '.join(f'{rate:.1%}' for rate in sorted(rates))} per year; it ends at the NPV.")
    rows = [
        {
            "topology": name,
            "months": horizon_months(found),
            in_sign("at the start [$]"): converted(found["cost"]["upfront_usd"]),
            in_sign("over the horizon [$]"): converted(paid_usd(found)),
            in_sign("present value [$]"): converted(-found["cost"]["npv_usd"]),
        }
        for name, found in context.topologies.items()
    ]
    rounded = st.column_config.NumberColumn(format="localized", step=1)
    show_table(
        pd.DataFrame(rows).round(0),
        key="cost.horizon",
        column_config={name: rounded for name in rows[0] if f"[{sign()}]" in name},
    )
