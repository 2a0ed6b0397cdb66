"""Addresses of pages as a visitor left them: whoever opens one sees the same."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import streamlit as st

from dashboard.pages import PAGES

_LEFT = "links.left"
_NOT_SHOWN = ("job",)
"""What an address has beside what is shown."""


def leave(view: str) -> None:
    """Remember the address of the page that is shown now."""
    found = st.query_params
    chosen = [(name, value) for name in found if name not in _NOT_SHOWN for value in found.get_all(name)]
    st.session_state[_LEFT] = {**st.session_state.get(_LEFT, {}), view: chosen}


def links(run: str) -> Iterator[tuple[str, str]]:
    """Title and address of the first page and of each that was looked at with this run, as it was left."""
    left = st.session_state.get(_LEFT, {})
    for entry in PAGES:
        chosen = left.get(entry.view, [])
        is_of_run = ("run", run) in chosen
        if entry.view == "export" or not (is_of_run or entry is PAGES[0]):
            continue
        path = "" if entry is PAGES[0] else entry.view.replace("_", "-")
        yield entry.title, f"{_origin()}/{path}?{urlencode(chosen if is_of_run else [('run', run)])}"


def _origin() -> str:
    """Scheme, host and port that the reader's browser used."""
    found = urlsplit(st.context.url or "")
    return f"{found.scheme}://{found.netloc}" if found.netloc else ""
