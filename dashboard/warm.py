"""The first page is loaded before a server answers, what later pages need while the first visitor reads it."""

from __future__ import annotations

import threading
from importlib import import_module

import altair as alt
import pandas as pd
import streamlit as st
from altair.utils.schemapi import disable_debug_mode

from dashboard import previews
from dashboard.pages import PAGES

_FIRST_PAGE_S = 3.0
"""Until a browser has drawn the first page of a new server, whose core it needs for that."""


def load_first_page() -> None:
    """Import the frame of all pages and the first one, and draw a chart: the first one reads the library's schema.

    Charts are checked against it as a whole, not each of their parts once more.
    """
    disable_debug_mode()
    for name in ("boundary", f"views.{PAGES[0].view}"):
        import_module(f"dashboard.{name}")
    alt.Chart(pd.DataFrame({"x": [0.0]})).mark_point().encode(x="x:Q").to_dict()


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Start the processes for What-if, and import all views beside the running server; soon, and once a server."""
    clock = threading.Timer(_FIRST_PAGE_S, _load)
    clock.daemon = True
    clock.start()


def _load() -> None:
    previews.pool()
    for entry in PAGES:
        import_module(f"dashboard.views.{entry.view}")
