"""What-if: what if demand doubles, prices fall, a node dies?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import jobs
from dashboard.changes import Change, as_events_write, assignments, changed_text
from dashboard.components.job_panel import show_job
from dashboard.components.words import markdown, plain
from dashboard.context import Context
from dashboard.loading import resolved, stamp
from dashboard.previews import preview
from dashboard.settings import settings
from simulator.figures.table import figure
from simulator.report.table import comparison, ordered


def show(context: Context) -> None:
    """Sliders, the shortened run with and without them, and the full run on request."""
    st.title("What-if")
    st.caption(
        "The shown scenario with a few values changed. The table is a short run of one replication, with and without "
        "the change, so that only the change differs; run it in full before you decide."
    )
    out = Path(settings().out)
    if job := st.query_params.get("job"):
        show_job(out, job)
    file = context.bundle.path / "scenario.resolved.yaml"
    change = _sliders()
    sets = assignments(resolved(context.bundle), change)
    unchanged = _run(context, str(file), ())
    changed = _run(context, str(file), tuple(sets)) if sets else unchanged
    st.info(markdown(changed["summary"]["verdict"]), icon=":material/gavel:")
    _kpis(context, unchanged["summary"], changed["summary"])
    rows, headers = comparison({k: v for k, v in ordered(changed["summary"]).items() if k in context.topologies})
    st.dataframe(pd.DataFrame(rows, columns=["figure", *headers[1:]]), hide_index=True, key="what_if.table")
    st.caption(f"{changed['horizon_s'] / 60:.0f} simulated minutes, one replication. Changed: {_words(sets)}.")
    if words := as_events_write(resolved(context.bundle)):
        st.caption(markdown(words))
    if st.button("Run in full", key="what_if.run", type="primary", icon=":material/play_arrow:", disabled=not sets):
        text = changed_text(file, sets)
        st.query_params["job"] = jobs.start(out, "scenario.yaml", text, {}, context.bundle.path)
        st.rerun()


@st.cache_data(max_entries=512, show_spinner="Simulating")
def _cached(file: str, written: str, sets: tuple[str, ...]) -> dict[str, Any]:
    return preview(Path(file), sets)


def _run(context: Context, file: str, sets: tuple[str, ...]) -> dict[str, Any]:
    return _cached(file, stamp(context.bundle.path), sets)


def _sliders() -> Change:
    columns = st.columns(3)
    with columns[0]:
        demand = _factor("Demand", "demand", 0.25, 4.0, "requests arrive this many times as often")
        replicas = st.slider(
            "Replicas more or fewer",
            -4,
            8,
            0,
            key="what_if.replicas",
            bind="query-params",
            help="in every pool, at least one stays; -1: a node of each is lost",
        )
    with columns[1]:
        rent = _factor("Price of rented GPUs", "rent", 0.25, 3.0, "times the price of the scenario")
        tokens = _factor("Price of tokens", "tokens", 0.25, 3.0, "of token APIs, times the price of the scenario")
    with columns[2]:
        server = _factor("Price of servers", "server", 0.25, 3.0, "of owned pools, times the present one")
        electricity = st.slider(
            "Electricity [$/kWh]",
            0.0,
            0.6,
            0.0,
            0.01,
            key="what_if.electricity",
            bind="query-params",
            help="0 keeps the sites'",
        )
        outage = st.toggle(
            "Every pool's zone goes down",
            key="what_if.outage",
            bind="query-params",
            help="for a tenth of the time, in its middle",
        )
    return Change(demand, replicas, rent, server, tokens, electricity, outage)


def _factor(label: str, name: str, low: float, high: float, words: str) -> float:
    return float(st.slider(f"{label} ×", low, high, 1.0, 0.05, key=f"what_if.{name}", bind="query-params", help=words))


def _kpis(context: Context, unchanged: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    columns = st.columns(max(len(context.topologies), 1))
    for column, name in zip(columns, context.topologies, strict=True):
        before, after = unchanged["topologies"][name], changed["topologies"][name]
        cost, was = after["cost"]["usd_per_month"], before["cost"]["usd_per_month"]
        met, met_before = after["metrics"]["slo_attainment"], before["metrics"]["slo_attainment"]
        with column.container(border=True):
            st.metric(
                f"{plain(name)}: {figure('usd_per_month').label}",
                figure("usd_per_month").text(cost),
                f"{cost - was:+,.0f}" if cost != was else None,
                delta_color="inverse",
            )
            kept = figure("slo_attainment")
            known = met is not None and met_before is not None and met != met_before
            st.metric(kept.label, kept.text(met), f"{100 * (met - met_before):+.2f} points" if known else None)


def _words(sets: Sequence[str]) -> str:
    return ", ".join(f"`{assignment}`" for assignment in sets) or "nothing yet"
