"""Charts, as all pages show them: with a description, and what they draw as a table."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.components.table import show_table
from dashboard.components.words import plain
from simulator.report.behind import tables_behind


def show_chart(chart: Any, key: str, words: str, **options: Any) -> Any:
    """Show the chart, and below it what it draws as tables, which are sent when they are opened.

    Parameters
    ----------
    words : what it shows, for who does not see it; the title of its tables
    options : of `st.altair_chart`

    Returns
    -------
    what `st.altair_chart` gives
    """
    event = st.altair_chart(chart, key=key, alt=f"{words}; its values follow as a table", **options)
    show_values(chart, key, words)
    return event


def show_values(chart: Any, key: str, words: str) -> None:
    """What a chart draws as tables, which are sent when they are opened."""
    box = st.expander(f"Values: {plain(words)}", type="compact", key=f"{key}.values", on_change="rerun")
    if not box.open:
        return
    with box:
        for k, (title, frame) in enumerate(tables_behind(chart)):
            if title:
                st.markdown(f"**{plain(title)}**")
            show_table(frame, key=f"{key}.values.{k}")
