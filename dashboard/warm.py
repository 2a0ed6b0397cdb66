"""What later pages need is loaded while the first visitor reads the first one."""

from __future__ import annotations

import threading
from importlib import import_module

import streamlit as st

from dashboard import previews
from dashboard.pages import PAGES


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Start the processes for What-if, and import all views beside the running server; once a server."""
    previews.pool()
    threading.Thread(target=_import_views, daemon=True).start()


def _import_views() -> None:
    for entry in PAGES:
        import_module(f"dashboard.views.{entry.view}")
