"""Pareto: what is the cheapest that meets the SLO?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.decision import show_winners
from dashboard.components.other_runs import other_runs
from dashboard.components.rates import show_rate
from dashboard.components.sweep_map import show_map
from dashboard.components.table import show_table
from dashboard.components.words import markdown, plain
from dashboard.context import Context
from dashboard.loading import decision, open_bundle, open_sweep, resolved
from dashboard.settings import settings
from simulator.errors import InputError
from simulator.money import money
from simulator.report.cost_charts import in_currency
from simulator.report.pareto import (
    MEASURES,
    cheapest_points,
    first_limited,
    pareto_chart,
    point,
    points_table,
    slo_limit_s,
    sweep_points,
)
from simulator.report.table import comparison, ordered
from simulator.results.shelf import named_folders, sweep_folders

Summaries = Mapping[tuple[str, str], Mapping[str, Any]]


def show(context: Context) -> None:
    """Cost against a measure of service, over topologies, runs and sweeps; a click shows a point's figures."""
    st.title("Pareto")
    st.caption("What is the cheapest that meets the SLO? The dashed line joins the points that no other beats.")
    data = resolved(context.bundle).document.data
    limited = first_limited(data)
    chosen = st.selectbox(
        "Cost against",
        list(MEASURES),
        index=list(MEASURES).index(limited),
        format_func=lambda name: MEASURES[name][0],
        key="pareto.measure",
        bind="query-params",
    )
    measure = chosen or limited
    summaries = _summaries(context)
    points = [point(run, name, found) for (run, name), found in summaries.items()] + _swept()
    if all(found[measure] is None for found in points):
        st.info("No request was served, so there is nothing to set the cost against.", icon=":material/inbox:")
        return
    limit = slo_limit_s(data, measure)
    event = show_chart(
        pareto_chart(points, measure, context.names, limit and limit[0]),
        "pareto.chart",
        f"cost against {MEASURES[measure][0]}",
        on_select="rerun",
        selection_mode="chosen",
    )
    if limit:
        st.caption(f"Shaded: within the SLO of {', '.join(limit[1])}, at most {limit[0]:g} s.")
    elif measure != "missed_share":
        st.caption(f"The SLO sets no limit to the {MEASURES[measure][0]}; the marks say who meets it as a whole.")
    _cheapest(points, measure, context)
    _details(event, points, summaries, context)


def _summaries(context: Context) -> Summaries:
    found = {("", name): summary for name, summary in context.topologies.items()}
    if not context.others:
        return found
    for run in other_runs("Add topologies of other runs", context.others, "pareto.runs"):
        try:
            bundle = open_bundle(context.others[run])
        except InputError as error:
            st.warning(plain(str(error)))
            continue
        show_rate(context, bundle)
        found |= {(run, name): summary for name, summary in ordered(bundle.summary).items()}
    return found


def _swept() -> list[dict[str, Any]]:
    folders = named_folders(sweep_folders(settings().places))
    if not folders:
        return []
    found: list[dict[str, Any]] = []
    for name in st.multiselect("Add points of sweeps", list(folders), key="pareto.sweeps", bind="query-params"):
        try:
            table, paths = open_sweep(folders[name])
        except InputError as error:
            st.warning(plain(str(error)))
            continue
        found += sweep_points(name, table, paths)
        show_map(name, table, paths, f"pareto.map.{name}")
    return found


_TOLD = 3
"""Points of equal bills that are named."""


def _cheapest(points: Sequence[Mapping[str, Any]], measure: str, context: Context) -> None:
    """The run's own decision; among points of other runs and sweeps, the one that their figures rank first."""
    if {found["point"] for found in points} <= set(context.topologies):
        show_winners(decision(context.bundle))
        return
    winners = cheapest_points([point for point in points if point[measure] is not None])
    bills = [f"**{plain(one['point'])}**, {markdown(money(one['usd_per_month']))} per month" for one in winners[:_TOLD]]
    if winners:
        more = f" and {len(winners) - _TOLD} more" if len(winners) > _TOLD else ""
        alike = ", the same within what chance makes of them" if len(winners) > 1 else ""
        st.success(f"Cheapest that meets the SLO: {', '.join(bills)}{more}{alike}.")
    else:
        st.warning("None of these meets the SLO. `servecast plan` searches the smallest fleet that does.")


def _details(event: Any, points: Sequence[Mapping[str, Any]], summaries: Summaries, context: Context) -> None:
    picked = {entry["point"] for entry in event.selection.get("chosen", [])}
    rows = [found for found in points if found["point"] in picked]
    if not rows:
        st.caption("Click a point to see its figures; Shift adds more.")
        return
    known = {
        found["point"]: summaries[key] for found in rows if (key := (found["run"], found["topology"])) in summaries
    }
    st.header(plain(", ".join(found["point"] for found in rows)))
    if len(rows) == 1:
        _use(rows[0], context)
    if known:
        cells, headers = comparison(known)
        show_table(pd.DataFrame(cells, columns=["figure", *headers[1:]]), key="pareto.details")
    swept = [found for found in rows if found["point"] not in known]
    if swept:
        show_table(in_currency(points_table(swept), "usd_per_month"), key="pareto.swept")


def _use(found: Mapping[str, Any], context: Context) -> None:
    """What can be done with a point: its topology as the baseline of all views, or its run opened."""
    if found["run"] in context.others:
        st.button("Open its run", key="pareto.open", on_click=_set, args=("show", found["run"]))
    elif not found["run"]:
        is_baseline = found["topology"] == context.baseline
        st.button(
            "Is the baseline" if is_baseline else "Make it the baseline",
            key="pareto.baseline",
            disabled=is_baseline,
            on_click=_set,
            args=("baseline", found["topology"]),
            help="Differences in all views are taken against it.",
        )


def _set(key: str, value: str) -> None:
    st.session_state[key] = value
