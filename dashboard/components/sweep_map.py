"""A sweep over one value or two as a map."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.components.wide_chart import show_wide
from dashboard.components.words import markdown, plain
from simulator.figures.table import figure
from simulator.report.heatmap import heatmap


def show_map(name: str, table: pd.DataFrame, paths: Sequence[str], key: str) -> None:
    """The map, and what its colours and words are; nothing for a sweep that has none.

    Parameters
    ----------
    table : `sweep.parquet` of the sweep's bundle
    paths : what it varies, the keys of `grid` in its manifest
    """
    chart = heatmap(table, paths)
    if chart is None:
        return
    bill = markdown(figure("usd_per_month").label)
    words = f"colour: SLO attainment; words: {bill}, in brackets where the SLO is missed or not known"
    st.markdown(f"**{plain(name)}**, {words}")
    show_wide(chart, key, f"SLO attainment and bill of {name}, by what is varied")
