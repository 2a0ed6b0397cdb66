"""What every view looks at: the run and the topologies that the sidebar, and with it the URL, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.components.keep import show_keeping
from dashboard.components.standing import stand
from dashboard.components.words import plain
from dashboard.loading import open_bundle
from dashboard.run_names import labels
from dashboard.settings import settings
from simulator.errors import InputError
from simulator.report.table import ordered
from simulator.results.bundle import Bundle
from simulator.results.shelf import bundle_folders, named_folders

_LONGEST_NAME = 100
"""Letters that are shown of a name that is none."""


@dataclass(frozen=True, slots=True)
class Context:
    """The run that is shown.

    Attributes
    ----------
    bundle : the run
    topologies : summaries of the topologies to show, in the scenario's order
    names : all topologies of the run: what colours go by, so that hiding one does not change the others'
    baseline : the topology that differences are taken against
    others : folders of the other runs at hand by name, for comparisons across runs
    """

    bundle: Bundle
    topologies: Mapping[str, Mapping[str, Any]]
    names: tuple[str, ...]
    baseline: str
    others: Mapping[str, Path]


def choose(view: str) -> Context | None:
    """Show the sidebar's pickers and return what they name; None without any run to show.

    Parameters
    ----------
    view : page that is shown

    Raises
    ------
    InputError : the address names a run that is not here, or one that cannot be read
    """
    folders = named_folders(bundle_folders(settings().places))
    if not folders:
        return None
    name = _run(folders, view)
    with st.sidebar:
        if name is None:
            wanted = st.query_params.get("run", "")[:_LONGEST_NAME]
            raise InputError(f"no run {wanted!r} here: it may have been deleted or renamed; choose one in the sidebar")
        st.caption(plain(labels(folders)[name]))
        show_keeping(folders[name], _follow, "run.keep")
        bundle = open_bundle(folders[name])
        every = ordered(bundle.summary)
        _show_new_ones(list(every))
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
    others = {other: folder for other, folder in folders.items() if other != name}
    return Context(bundle, topologies, tuple(every), baseline or next(iter(topologies)), others)


def _show_new_ones(every: list[str]) -> None:
    """Show all topologies of another run where none of those chosen is in it, or all of the run before were shown."""
    chosen = set(st.session_state.get("topologies", every))
    all_before = set(st.session_state.get("topologies.every", ()))
    if not chosen & set(every) or (all_before and all_before != set(every) and chosen >= all_before):
        st.session_state["topologies"] = every
    st.session_state["topologies.every"] = every


def _follow(name: str | None) -> None:
    """Show a run under its new name; where it was deleted, the newest of the others."""
    if name is None:
        st.query_params.pop("run", None)
        st.session_state.pop("run.shown", None)
    else:
        st.session_state["show"] = name


def _run(folders: Mapping[str, Path], view: str) -> str | None:
    """The run that the address names, which it does on every page; None if it names one that is not here.

    A page that is reached by its link has no run in its address until it is written there. Who comes back to that
    address by the browser's button wants to go on back: it is not written a second time.
    """
    named, shown = st.query_params.get("run"), st.session_state.get("run.shown")
    name = st.session_state.pop("show", None) or named or shown or next(iter(folders))
    is_back = named is None and (view, name) == (st.session_state.get("run.view"), shown)
    if not is_back:
        st.query_params["run"] = name
    field = name if name in folders else None
    if is_back or st.session_state.get("run.view") != view:
        st.session_state["run"] = field  # in the browser a page that is opened has a field of its own, still empty
    else:
        stand("run", field)
    st.session_state["run.view"] = view
    if name in folders:
        st.session_state["run.shown"] = name

    def follow() -> None:
        if chosen := st.session_state["run"]:
            st.query_params["run"] = chosen

    told = labels(folders)
    with st.sidebar:
        st.selectbox(
            "Run",
            list(folders),
            key="run",
            index=None,
            format_func=lambda each: told.get(each, each),
            on_change=follow,
            placeholder="choose one",
            help="newest first; by name, time, model, topologies and note",
        )
    return name if name in folders else None
