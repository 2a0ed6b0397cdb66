"""A chart of several rows, which has a width of its own: on a phone it is scrolled sideways."""

from __future__ import annotations

from typing import Any

import streamlit as st


def show_wide(chart: Any, key: str) -> None:
    """Show the chart; where the page is narrower, it can be moved sideways within its place."""
    name = f"wide-{key.replace('.', '-')}"
    st.html(f"<style>.st-key-{name} {{overflow-x: auto}} .st-key-{name} > div {{min-width: max-content}}</style>")
    with st.container(key=name):
        st.altair_chart(chart, key=key)
