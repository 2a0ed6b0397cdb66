"""Why topologies differ, a sentence for each difference."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.components.words import sentence
from dashboard.context import Context
from dashboard.loading import stamp
from simulator.figures.differences import Side
from simulator.report.why import sides, why_notes
from simulator.results.bundle import Bundle


def show_why(context: Context) -> None:
    """Why each topology that is shown differs from the baseline."""
    known = _sides(context.bundle)
    _tell(why_notes({name: known[name] for name in context.topologies}, context.baseline))


def show_across(context: Context, other: Bundle) -> None:
    """Why topologies of another run differ from those of their name here."""
    here, there = _sides(context.bundle, " here"), _sides(other, " there")
    for name in context.topologies:
        if f"{name} there" in there:
            mine, theirs = here[f"{name} here"], there[f"{name} there"]
            _tell(why_notes({mine.name: mine, theirs.name: theirs}, theirs.name))


def _tell(notes: Sequence[str]) -> None:
    if notes:
        st.markdown("\n".join(f"- {sentence(note)}" for note in notes))


def _sides(bundle: Bundle, suffix: str = "") -> dict[str, Side]:
    return _cached(str(bundle.path), stamp(bundle.path), suffix, bundle)


@st.cache_data(max_entries=32, show_spinner=False)
def _cached(folder: str, written: str, suffix: str, _bundle: Bundle) -> dict[str, Side]:
    return sides(_bundle, lambda name: f"{name}{suffix}")
