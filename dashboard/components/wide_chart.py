"""A chart of several rows, as wide as the page; a wider one is scrolled sideways."""

from __future__ import annotations

from typing import Any

import altair as alt
import streamlit as st

from dashboard.components.chart import show_values

_LEAST_PX, LABELS_PX = 240, 90
"""Least width of what is drawn, and the room beside it for the numbers of the axis."""


def show_wide(chart: Any, key: str, words: str, identity: str = "", **options: Any) -> None:
    """Show the chart, a `stacked` one as wide as the page; what is wider can be moved sideways.

    Parameters
    ----------
    words : as of `show_chart`
    identity : of what is chosen in the chart, which is lost where it changes; the key unless given
    options : of `st.altair_chart`
    """
    name = f"wide-{key.replace('.', '-')}"
    is_stacked = isinstance(chart, alt.VConcatChart)
    width = (
        f"min-width: {_LEAST_PX}px; max-width: calc(100% - {LABELS_PX}px)" if is_stacked else "min-width: max-content"
    )
    st.html(f"<style>.st-key-{name} {{overflow-x: auto}} .st-key-{name} > div {{{width}}}</style>")
    with st.container(key=name):
        told = f"{words}; its values follow as a table"
        st.altair_chart(chart, width="stretch" if is_stacked else "content", key=identity or key, alt=told, **options)
    show_values(chart, key, words)
