"""Things beside each other as far as there is room for each: three on a desk, two on a tablet, one on a phone."""

from __future__ import annotations

from typing import Any

import streamlit as st


def flow(key: str, least_px: int) -> Any:
    """A container whose elements are as wide as each other, and at least `least_px` or the whole page."""
    name = f"flow-{key.replace('.', '-')}"
    widths = f"repeat(auto-fit, minmax(min(100%, {least_px}px), 1fr))"
    st.html(f"<style>.st-key-{name} {{display: grid; grid-template-columns: {widths}; align-items: stretch}}</style>")
    return st.container(key=name)
