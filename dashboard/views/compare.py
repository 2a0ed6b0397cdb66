"""Compare: why do they differ?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.comparison import show_comparison
from dashboard.components.other_runs import other_run
from dashboard.components.rates import show_rate
from dashboard.components.table import show_table
from dashboard.components.why import show_across, show_why
from dashboard.components.words import plain
from dashboard.context import Context
from dashboard.loading import open_bundle, resolved
from simulator.figures.table import NONE
from simulator.report.asked import asked, found
from simulator.report.cells import as_cells
from simulator.report.charts import Summaries
from simulator.report.key_words import key_words, value_words
from simulator.report.paired import differences_chart, differences_to, paired, paired_words, same_requests
from simulator.report.table import ordered
from simulator.scenario.differences import Difference, differences, leaves

_LETTER_PX, _MOST_WHAT_PX = 7, 300
"""Of what is told: about a letter's width, and the most that it takes from the values beside it."""


def show(context: Context) -> None:
    """Figures against the baseline, replication by replication; and in what two runs' scenarios differ."""
    st.title("Compare")
    st.caption("Why do they differ? Against the baseline, replication by replication.")
    if len(context.topologies) < 2:
        st.caption("Show at least two topologies to compare them.")
    else:
        show_why(context)
        _figures(context.topologies, context.baseline, context.names, "compare.paired")
    st.header("In what the topologies differ")
    parts = resolved(context.bundle).document.data["topologies"]
    _differences({name: parts[name] for name in context.topologies}, "compare.topologies")
    st.header("Against another run")
    if not context.others:
        st.caption("There is no other run here yet.")
        return
    name = other_run("Other run", context.others, "compare.other")
    if name is None:
        st.caption("Choose one to see what was changed and what came of it.")
        return
    other = open_bundle(context.others[name])
    show_rate(context, other)
    st.markdown("In what the scenarios differ:")
    two = [context.bundle, other]
    _differences(dict(zip((bundle.path.name for bundle in two), asked(two), strict=True)), "compare.scenarios")
    if results := found(two):
        st.markdown("What their searches found:")
        _rows(results, [bundle.path.name for bundle in two], "compare.found")
    both = {f"{name} here": one for name, one in context.topologies.items()}
    both |= {f"{topology} there": one for topology, one in ordered(other.summary).items()}
    if same_requests([context.bundle, other]):
        st.markdown("Both runs served the same requests, so these differences are paired as well:")
        base = f"{context.baseline} here"
        show_across(context, other)
        here = [f"{one} here" for one in context.names]
        _figures(both, base, list(dict.fromkeys([*here, *both])), "compare.across")
    else:
        st.caption("The runs served other requests, so their figures stand side by side and are not paired.")
    show_comparison(both, "compare.table")


def _figures(topologies: Summaries, baseline: str, names: Sequence[str], key: str) -> None:
    pairs = paired(topologies, baseline)
    if not pairs:
        st.info("There is nothing to compare: no request was served.", icon=":material/inbox:")
        return
    show_chart(differences_chart(pairs, baseline, names), f"{key}_chart", f"differences to {baseline}, by figure")
    unsure = [entry for entry in pairs if not entry.is_sure and (entry.mean or entry.half_width)]
    if any(math.isfinite(entry.half_width) for entry in pairs):
        words = "all are sure" if not unsure else f"{len(unsure)} of {len(pairs)}, hollow, may be chance"
        st.caption(f"Bars: 95 % intervals; {words}.")
    else:
        st.caption("With `run.replications` above 1 there are intervals.")
    rows, headers = differences_to(topologies, baseline)
    dashes = " A dash: not known of every replication." if any(NONE in row for row in rows) else ""
    st.caption(f"Each figure less that of {plain(baseline)}{paired_words(topologies)}{dashes}")
    show_table(pd.DataFrame(rows, columns=["figure", *headers[1:]]), key=key)


def _differences(scenarios: dict[str, Any], key: str) -> None:
    differing = differences(list(scenarios.values()))
    if not differing:
        st.caption("They are the same.")
        return
    _rows(leaves(differing), list(scenarios), key)


def _rows(told: Sequence[Difference], names: Sequence[str], key: str) -> None:
    rows = [[key_words(entry.path), *(value_words(entry.path, value) for value in entry.values)] for entry in told]
    longest_px = _LETTER_PX * max((len(row[0]) for row in rows), default=0)
    widths = {"what": st.column_config.TextColumn(width=min(longest_px, _MOST_WHAT_PX))}
    show_table(as_cells(pd.DataFrame(rows, columns=["what", *names])), key=key, column_config=widths)
