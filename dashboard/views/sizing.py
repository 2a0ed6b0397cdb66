"""Sizing: how many GPUs, for how long, and what would change it?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import jobs
from dashboard.changes import changed_text, open_sizes
from dashboard.components.chart import show_chart
from dashboard.components.decision import show_months, show_sizes, size_words, trail_rows
from dashboard.components.job_panel import show_job, show_others
from dashboard.components.table import show_table
from dashboard.components.words import plain, sentence
from dashboard.context import Context
from dashboard.loading import decision, pool_names, resolved
from dashboard.settings import settings
from dashboard.visitor import visitor
from simulator.figures.table import NONE, figure, lasts_words
from simulator.report.decision import flip_notes, lasts_in_words
from simulator.report.decision_charts import flip_chart

_MOST_EXPLORE_MIN = 20
_SIZE_PX = 130
"""Of an autoscaler's settings."""


def show(context: Context) -> None:
    """Sizes, what binds them and what was tried; months; what flips the verdict; and a search anew."""
    st.title("Sizing")
    st.caption("How many GPUs, for how long, and what would change it? Each topology is compared at its own best size.")
    out = Path(settings().out)
    decided = decision(context.bundle)
    show_sizes(context.bundle, context.topologies, with_trail=False)
    st.header("What binds")
    for name, found in context.topologies.items():
        size = size_words(decided["topologies"][name], found, partial(pool_names, context.bundle, name))
        st.markdown(f"- **{plain(name)}** {sentence(_bound(decided['topologies'][name], found, size))}")
    _trail(context)
    show_months(decided, context.names, list(context.topologies))
    st.header("What flips the verdict")
    flips = decided["flips"]
    if any(flip["factor"] for flip in flips):
        show_chart(flip_chart(flips), "sizing.flips_chart", "how far each input moves until another topology wins")
    st.markdown("\n".join(f"- {sentence(note)}" for note in flip_notes(flips)) or "Nothing was looked at.")
    _search(context, out)


def _bound(decided: Mapping[str, Any], summary: Mapping[str, Any], size: str) -> str:
    """What a topology is nearest to missing, or misses, and what a smaller one of it missed."""
    months, until = decided["months"], decided["lasts_until"]
    failed = next((month for month in months if not month["meets"]), None)
    lasts = f"{lasts_words(until)}:" if until == 0 else f"lasts until {lasts_in_words(decided)};"
    said = f"nearest to failing: {months[-1]['binding']}"
    if failed:
        said = failed["binding"] if until == 0 else f"in month {failed['month']} {failed['binding']}"
    trail = (summary.get("search") or {}).get("trail", ())
    smaller = next((step for step in trail if step["word"] in ("refused", "missed")), None)
    why = f". Tried, and not enough: {smaller['sizes']}, as {smaller['reason']}" if smaller else ""
    return f"{f'({size}) ' if size != NONE else ''}{lasts} {said}{why}."


def _trail(context: Context) -> None:
    """Every size that was tried, for the topologies and outcomes that are chosen."""
    rows = pd.DataFrame(trail_rows(context.topologies))
    if rows.empty:
        return
    st.header(f"What was tried ({len(rows)} sizes)")
    words = list(dict.fromkeys(rows["outcome"]))
    chosen = st.pills(
        "Outcome", words, selection_mode="multi", key="sizing.outcome", default=words, bind="query-params"
    )
    kept = rows[rows["outcome"].isin(chosen or words)].copy()
    cost = figure("usd_per_month")
    kept[cost.id] = [cost.text(usd) for usd in kept[cost.id]]
    kept = kept.rename(columns={cost.id: cost.label})
    config = {"size": st.column_config.TextColumn(width=_SIZE_PX), "reason": st.column_config.TextColumn(width="large")}
    show_table(kept, key="sizing.trail", column_config=config)


def _search(context: Context, out: Path) -> None:
    st.header("Search again")
    loaded = resolved(context.bundle)
    sets = open_sizes(loaded)
    minutes = st.slider(
        "Minutes for further trials",
        0,
        _MOST_EXPLORE_MIN,
        1,
        key="sizing.minutes",
        help="capacity, break-even by volume, and which load, growth, limits or prices would flip the verdict",
    )
    if not sets:
        st.caption("No pool's size can be searched here: token APIs have none, schedules are written.")
    if st.button("Search the sizes", key="sizing.run", type="primary", icon=":material/search:"):
        text = changed_text(context.bundle.scenario_file, sets)
        job = jobs.start(
            out, "scenario.yaml", text, {}, context.bundle.path, explore_s=60.0 * minutes, visitor=visitor()
        )
        st.query_params["job"] = job
    if started := st.query_params.get("job"):
        show_job(out, started)
    show_others(out, started)
