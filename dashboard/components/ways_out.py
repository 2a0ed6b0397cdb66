"""Where to go from a run that cannot be shown: its scenario, to be run again, or another run."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import streamlit as st

from dashboard.components.words import plain
from dashboard.run_names import labels
from dashboard.settings import settings
from dashboard.workspace import SCENARIO_FILE, text_of_run
from simulator.errors import InputError
from simulator.results.bundle import read_bundle
from simulator.results.shelf import bundle_folders, named_folders

_MOST = 3
"""Runs that are offered."""


def offer_ways_out() -> None:
    """Buttons, where the run of the address is gone or cannot be read; nothing where it can."""
    folders = named_folders(bundle_folders(settings().places))
    name = st.query_params.get("run")
    if name in folders:
        if _is_readable(folders[name]):
            return
        if (folders[name] / SCENARIO_FILE).is_file():
            st.caption("Its scenario is still there: open it in the editor, and run it again.")
            if st.button("Open its scenario", key="out.scenario", type="primary", icon=":material/edit_note:"):
                st.session_state["scenario.draft"] = text_of_run(folders[name])
                st.switch_page(st.session_state["pages"]["scenario"])
    others = ((other, folder) for other, folder in folders.items() if other != name and _is_readable(folder))
    newest = dict(islice(others, _MOST))
    if not newest:
        link_to_first_steps()
        return
    st.caption("Or show another run:" if name in folders else "The newest runs here:")
    for other, label in labels(newest).items():
        st.button(plain(label), key=f"out.{other}", on_click=_show, args=(other,), icon=":material/open_in_new:")


def link_to_first_steps() -> None:
    """To where a first run comes from."""
    st.page_link(st.session_state["pages"]["start"], label="Answer questions", icon=":material/contact_support:")
    st.page_link(st.session_state["pages"]["scenario"], label="Write a scenario", icon=":material/edit_note:")


def _is_readable(folder: Path) -> bool:
    try:
        read_bundle(folder)
    except InputError:
        return False
    return True


def _show(name: str) -> None:
    st.session_state["show"] = name
