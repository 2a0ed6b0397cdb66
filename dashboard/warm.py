"""What later pages need is loaded while the first visitor reads the first one."""

from __future__ import annotations

import threading
from importlib import import_module

import streamlit as st

from dashboard import previews
from dashboard.pages import PAGES

_FIRST_PAGE_S = 3.0
"""Until a browser has drawn the first page of a new server, whose core it needs for that."""


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
