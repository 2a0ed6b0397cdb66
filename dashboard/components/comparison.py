"""Topologies side by side: badges of the SLO, and the table of all figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.table import show_table
from dashboard.components.words import markdown
from simulator.decide.standing import met_throughout
from simulator.report.charts import Summaries
from simulator.report.table import comparison, period_words

_MET = {
    True: ":green-badge[:material/check: SLO met]",
    False: ":red-badge[:material/close: SLO missed]",
    None: ":orange-badge[:material/question_mark: SLO not known]",
}
_LABEL_PX, _MOST_LABEL_PX, _LETTER_PX = 250, 300, 7
"""Width of the names of figures: of the longest that we give, and at most where classes of requests have long names."""


def slo_badge(summary: Mapping[str, Any]) -> str:
    """Whether a topology meets the SLO, and where that ends before the study does, until when."""
    if summary["metrics"]["slo_met"] and (lasts_until := summary.get("lasts_until")):
        return f":red-badge[:material/close: SLO met until month {lasts_until}]"
    return _MET[met_throughout(summary)]


def show_comparison(topologies: Summaries, key: str) -> None:
    """All figures, a column for each topology."""
    rows, headers = comparison(topologies)
    longest_px = _LETTER_PX * max(len(row[0]) for row in rows)
    show_table(
        pd.DataFrame(rows, columns=["figure", *headers[1:]]),
        key=key,
        height="content",
        column_config={"figure": st.column_config.TextColumn(width=min(max(_LABEL_PX, longest_px), _MOST_LABEL_PX))},
    )
    if words := period_words(topologies):
        st.caption(markdown(words))
