"""The decision of a run as it stands in its bundle: the verdict, each topology at its size, its months, the trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.table import show_table
from dashboard.components.words import markdown, plain, sentence
from dashboard.loading import decision as decided
from dashboard.loading import pool_names
from simulator.decide.standing import met_throughout
from simulator.figures.table import NONE, figure, lasts_words, met_words
from simulator.money import column, money
from simulator.report.charts import Summaries
from simulator.report.cost_charts import in_currency
from simulator.report.decision import (
    MET_MONTHS,
    Decision,
    capacity_notes,
    grows,
    month_headers,
    month_rows,
    months_met_words,
    used_words,
)
from simulator.report.decision_charts import months_chart
from simulator.results.bundle import Bundle


def show_verdict(verdict: str) -> None:
    """A verdict's paragraph, its first sentence bold."""
    first, stop, rest = sentence(verdict).partition(". ")
    st.info(f"**{first}{stop.strip()}** {rest}".strip(), icon=":material/gavel:")


def show_winners(decision: Decision) -> None:
    """Who is cheapest of all topologies of the run, as it was decided."""
    names = decision["winners"]
    first, _, _ = sentence(decision["verdict"]).partition(". ")
    if not names or decision["withheld_by"]:
        st.warning(f"{first.rstrip('.')}. `servecast plan` searches the smallest fleet that meets the SLO.")
        return
    bills = [
        f"**{plain(name)}**, {markdown(money(decision['topologies'][name]['usd_per_month']))} per month"
        for name in names
    ]
    st.success(f"Cheapest that meets the SLO: {' and '.join(bills)}.")


def show_sizes(bundle: Bundle, topologies: Summaries, with_trail: bool = True) -> None:
    """Each topology at its size, how surely that is its best, and every size that was tried."""
    decision = decided(bundle)
    rows = [
        _row(name, decision["topologies"][name], summary, partial(pool_names, bundle, name))
        for name, summary in topologies.items()
    ]
    show_table(pd.DataFrame(rows), key="decision.sizes", height="content")
    for note in capacity_notes(decision, list(topologies)):
        st.markdown(f"- {sentence(note)}")
    trail = trail_rows(topologies)
    if trail and with_trail:
        with st.expander(f"How the sizes were found ({len(trail)} sizes)", icon=":material/route:"):
            frame, cost = in_currency(pd.DataFrame(trail), "usd_per_month"), figure("usd_per_month").label
            config = {cost: st.column_config.NumberColumn(format="localized")}
            frame = frame.rename(columns={column("usd_per_month"): cost})
            show_table(frame, key="decision.trail", column_config=config)


def show_months(decision: Decision, names: Sequence[str], shown: Sequence[str]) -> None:
    """Costs and service of each month, where months differ.

    Parameters
    ----------
    names : all topologies of the run: what colours go by
    """
    if not grows(decision):
        return
    st.header("Month by month")
    show_chart(months_chart(decision, names, shown), "decision.months_chart", "cost of each month, by topology")
    st.caption("Hollow marks: the SLO is missed in that month.")
    headers = ["topology", *month_headers()[1:]]
    frame = pd.DataFrame(month_rows(decision, shown), columns=headers)
    show_table(frame, key="decision.months", height="content")


def _row(
    name: str, found: Mapping[str, Any], summary: Mapping[str, Any], pools: Callable[[], Sequence[str]]
) -> dict[str, str]:
    months, unknown = found["months"], met_throughout(summary) is None
    capacity = found["capacity"]
    money = figure("usd_per_month")
    return {
        "topology": name,
        "size": size_words(found, summary, pools),
        "size is": found["trail"]["word"],
        MET_MONTHS: met_words(None) if unknown else months_met_words(months),
        "lasts until": met_words(None) if unknown else lasts_words(found["lasts_until"]),
        figure("capacity_used_share").label: NONE if capacity is None else used_words(capacity),
        money.label: money.text(found["usd_per_month"]),
    }


def size_words(found: Mapping[str, Any], summary: Mapping[str, Any], pools: Callable[[], Sequence[str]]) -> str:
    """Replicas of each pool: as the search found them, or as written; in the first and in the last month.

    Parameters
    ----------
    pools : gives the names of all pools of the scenario, those too of which the run's fleet needs no replica
    """
    search = summary.get("search")
    first, last = (found["months"][k]["replicas"] for k in (0, -1))
    units = [found["months"][k].get("units", {}) for k in (0, -1)]
    if search and search["sizes"] and first == last and units[0] == units[1]:
        return ", ".join(f"{pool} {size}" for pool, size in search["sizes"].items())
    named: Sequence[str] = [pool["name"] for pool in summary["pools"]]
    if len(named) != len(first):
        named = pools()
    if not len(named) == len(first) == len(last):  # an event adds pools or takes some away
        ends = dict.fromkeys(" + ".join(map(str, month)) or "0" for month in (first, last))
        return " to ".join(ends)
    both = {pool: (a, b) for pool, a, b in zip(named, first, last, strict=True)}
    both |= {api: (number, units[1].get(api, 0)) for api, number in units[0].items()}
    return ", ".join(f"{name} {a}" if a == b else f"{name} {a} to {b}" for name, (a, b) in both.items()) or NONE


def trail_rows(topologies: Summaries) -> list[dict[str, Any]]:
    """Every size that a search tried or ruled out, and why."""
    return [
        {
            "topology": name,
            "size": step["sizes"],
            "outcome": step["word"],
            "replications": step["replications"],
            "usd_per_month": step["usd_per_month"],
            "reason": step["reason"],
        }
        for name, summary in topologies.items()
        for step in (summary.get("search") or {}).get("trail", ())
    ]
