"""Progress of a run that goes on in its own process, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from dashboard import jobs
from dashboard.components.words import plain
from dashboard.line import Status

_EVERY_S = 0.7
_OTHERS_EVERY_S = 3.0


def show_job(out: Path, job: str) -> None:
    """Progress with time left and a way to cancel; then the result, or why there is none."""
    found = jobs.status(out, job)
    if found is None:
        st.info("This run is no longer known here. Start it again.", icon=":material/history:")
        return
    if found.is_open:
        _open(out, job)
        return
    if found.state == "done" and st.session_state.get("job.shown") != job:
        st.session_state["job.shown"] = job
        st.session_state["sweep.show" if found.kind == "sweep" else "show"] = found.bundle
        st.rerun()
    _ended(found)


@st.fragment(run_every=_EVERY_S)
def _open(out: Path, job: str) -> None:
    found = jobs.status(out, job)
    if found is None or not found.is_open:
        st.rerun()
    st.progress(min(found.share, 1.0), progress_words(found, jobs.place(out, job), jobs.going(out)))
    if st.button("Cancel", key="job.cancel", icon=":material/cancel:"):
        jobs.cancel(out, job)
    st.caption("The run goes on when you close or reload this page; its address brings you back.")


def show_others(out: Path, job: str | None) -> None:
    """All runs that go on here or wait, but one; anybody may cancel any of them."""
    if any(other != job for other in jobs.going(out)):
        _others(out, job)


@st.fragment(run_every=_OTHERS_EVERY_S)
def _others(out: Path, job: str | None) -> None:
    going = jobs.going(out)
    others = [other for other in going if other != job]
    if not others:
        return
    with st.expander(f"{len(others)} other run{'s' if len(others) > 1 else ''} here", icon=":material/queue:"):
        for other in others:
            found = going[other]
            words, button = st.columns([5, 1], vertical_alignment="center")
            words.markdown(f"**{plain(found.name)}** {progress_words(found, jobs.place(out, other), going)}")
            button.button("Cancel", key=f"job.cancel.{other}", on_click=jobs.cancel, args=(out, other))


def progress_words(found: Status, place: int, going: Mapping[str, Status]) -> str:
    """How far a run is, or when its turn may come; as Markdown.

    Parameters
    ----------
    place : in line, where it waits
    going : all that go on or wait
    """
    if found.state == "running":
        left = f", about {found.left_s:,.0f} s left" if found.left_s is not None else ""
        return f"{plain(found.doing)}: {found.share:.0%}{left}"
    lefts = sorted(
        status.left_s for status in going.values() if status.state == "running" and status.left_s is not None
    )
    soon = f", not before about {lefts[min(place, len(lefts)) - 1]:,.0f} s from now" if lefts else ""
    ahead = "the next one" if place == 1 else f"number {place}"
    return f"waits in line, {ahead}{soon}"


def _ended(found: Status) -> None:
    if found.state == "done":
        st.success(f"The {found.kind} is done.", icon=":material/check_circle:")
        if found.kind == "sweep":
            return
        st.page_link(
            st.session_state["pages"]["overview"],
            label="Open the result",
            icon=":material/open_in_new:",
        )
    elif found.state == "cancelled":
        st.warning(_cancelled_words(found), icon=":material/cancel:")
    elif found.state == "refused":
        for problem in found.problems:
            st.error(plain(problem), icon=":material/error:")
    else:
        st.error(
            f"The run ended at {found.share:.0%} ({plain(found.doing)}): {plain('; '.join(found.problems))}. "
            "Your text is still there: run it again, with a shorter `run.horizon_s` if memory ran out.",
            icon=":material/error:",
        )


def _cancelled_words(found: Status) -> str:
    """What is left of a run or a sweep that somebody cancelled."""
    if found.doing == "waiting":
        return "Cancelled before its turn came, so nothing is left of it."
    if found.doing == "starting" and not found.share:
        return "Cancelled before it began, so nothing is left of it."
    kept = "What it had found stays in a folder that ends in `.partial`"
    return f"Cancelled at {found.share:.0%}. {'The same sweep goes on from there' if found.kind == 'sweep' else kept}."
