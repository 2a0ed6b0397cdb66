"""What every view looks at: the run and the topologies that the sidebar, and with it the URL, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.loading import open_bundle
from dashboard.settings import bundle_folders, settings
from simulator.report.table import ordered
from simulator.results.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Context:
    """The run that is shown.

    Attributes
    ----------
    bundle : the run
    topologies : summaries of the topologies to show, in the scenario's order
    names : all topologies of the run: what colours go by, so that hiding one does not change the others'
    baseline : the topology that differences are taken against
    others : bundles of the other runs at hand, for comparisons across runs
    """

    bundle: Bundle
    topologies: Mapping[str, Mapping[str, Any]]
    names: tuple[str, ...]
    baseline: str
    others: tuple[Path, ...]


def choose() -> Context | None:
    """Show the sidebar's pickers and return what they name; None without any run.

    Raises
    ------
    InputError : the chosen bundle cannot be read
    """
    folders = {folder.name: folder for folder in bundle_folders((*settings().runs, settings().out))}
    if not folders:
        with st.sidebar:
            # here already, since a picker that comes with its first value does not write it to the address
            st.selectbox("Run", [], key="run", index=None, bind="query-params", placeholder="none yet", disabled=True)
        return None
    if (wanted := st.session_state.pop("show", None)) in folders:
        st.session_state["run"] = wanted
    elif "run" not in st.query_params:
        # so that the address names the run, as newer ones will come
        known = st.session_state.get("run")
        st.session_state["run"] = known if known in folders else next(iter(folders))
    with st.sidebar:
        name = st.selectbox("Run", list(folders), key="run", index=None, bind="query-params", help="newest first")
        bundle = open_bundle(folders[name or next(iter(folders))])
        every = ordered(bundle.summary)
        if not set(st.session_state.get("topologies", every)) & set(every):
            del st.session_state["topologies"]
        shown = st.multiselect(
            "Topologies", list(every), default=list(every), key="topologies", bind="query-params", help="what to show"
        )
        topologies = {key: every[key] for key in every if key in (shown or every)}
        baseline = st.selectbox(
            "Baseline",
            list(topologies),
            key="baseline",
            bind="query-params",
            help="differences are against this one",
        )
    others = tuple(folder for folder in folders.values() if folder != bundle.path)
    return Context(bundle, topologies, tuple(every), baseline or next(iter(topologies)), others)
