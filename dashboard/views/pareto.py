"""Pareto: what is the cheapest that meets the SLO?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.context import Context
from dashboard.loading import open_bundle
from simulator.errors import InputError
from simulator.report.pareto import MEASURES, frontier, pareto_chart, point
from simulator.report.table import comparison, ordered
from simulator.scenario.load import load_scenario


def show(context: Context) -> None:
    """Cost against a measure of service, over topologies and runs; a click shows a point's figures."""
    st.title("Pareto")
    st.caption("What is the cheapest that meets the SLO? The dashed line joins the points that no other beats.")
    measure = st.selectbox(
        "Cost against",
        list(MEASURES),
        format_func=lambda name: MEASURES[name][0],
        key="pareto.measure",
        bind="query-params",
    )
    summaries = _summaries(context)
    points = [point(run, name, found) for (run, name), found in summaries.items()]
    event = st.altair_chart(
        pareto_chart(points, measure or "ttft_p99_s", context.names, _limit(context, measure or "")),
        key="pareto.chart",
        on_select="rerun",
        selection_mode="chosen",
    )
    best = [found for found in frontier(points, measure or "ttft_p99_s") if found["slo_met"]]
    if best:
        st.success(
            f"Cheapest that meets the SLO: **{best[0]['point']}**, \\${best[0]['usd_per_month']:,.0f} per month."
        )
    else:
        st.warning("None of these meets the SLO. `servecast plan` searches the smallest fleet that does.")
    _details(event, points, summaries)


def _summaries(context: Context) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    found = {("", name): summary for name, summary in context.topologies.items()}
    others = {folder.name: folder for folder in context.others}
    chosen = st.multiselect("Add topologies of other runs", list(others), key="pareto.runs", bind="query-params")
    for run in chosen:
        try:
            bundle = open_bundle(others[run])
        except InputError as error:
            st.warning(str(error))
            continue
        found |= {(run, name): summary for name, summary in ordered(bundle.summary).items()}
    return found


def _limit(context: Context, measure: str) -> float | None:
    """The SLO's p99 limit, where there is one for all classes that have it."""
    if not measure.endswith("_p99_s"):
        return None
    loaded = load_scenario(context.bundle.path / "scenario.resolved.yaml")
    name = f"{measure.removesuffix('_p99_s')}_s"
    limits = [getattr(cls.slo, name).get("p99") for cls in loaded.scenario.workload.classes]
    known = [limit for limit in limits if limit is not None and math.isfinite(limit)]
    return min(known) if known else None


def _details(
    event: Any, points: Sequence[Mapping[str, Any]], summaries: Mapping[tuple[str, str], Mapping[str, Any]]
) -> None:
    picked = {entry["point"] for entry in event.selection.get("chosen", [])}
    rows = [found for found in points if found["point"] in picked]
    if not rows:
        st.caption("Click a point to see its figures.")
        return
    columns = {found["point"]: summaries[(found["run"], found["topology"])] for found in rows}
    cells, headers = comparison(columns)
    st.subheader(", ".join(columns))
    st.dataframe(pd.DataFrame(cells, columns=["figure", *headers[1:]]), hide_index=True, key="pareto.details")
