"""Progress of a run that goes on in its own process, and how it ended."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import jobs
from dashboard.components.words import plain

_EVERY_S = 0.7


def show_job(out: Path, job: str) -> None:
    """Progress with time left and a way to cancel; then the result, or why there is none."""
    found = jobs.status(out, job)
    if found is None:
        st.info("This run is no longer known here. Start it again.", icon=":material/history:")
        return
    if found.state == "running":
        _running(out, job)
        return
    if found.state == "done" and st.session_state.get("job.shown") != job:
        st.session_state["job.shown"] = job
        st.session_state["show"] = found.bundle
        st.rerun()
    _ended(found)


@st.fragment(run_every=_EVERY_S)
def _running(out: Path, job: str) -> None:
    found = jobs.status(out, job)
    if found is None or found.state != "running":
        st.rerun()
    left = f", about {found.left_s:,.0f} s left" if found.left_s is not None else ""
    st.progress(min(found.share, 1.0), f"{plain(found.doing)}: {found.share:.0%}{left}")
    if st.button("Cancel", key="job.cancel", icon=":material/cancel:"):
        jobs.cancel(out, job)
    st.caption("The run goes on when you close or reload this page; its address brings you back.")


def _ended(found: jobs.Status) -> None:
    if found.state == "done":
        st.success("The run is done.", icon=":material/check_circle:")
        st.page_link(
            st.session_state["pages"]["overview"],
            label="Open the result",
            icon=":material/open_in_new:",
        )
    elif found.state == "cancelled":
        st.warning(
            f"Cancelled at {found.share:.0%}. What it had found stays in a folder that ends in `.partial`.",
            icon=":material/cancel:",
        )
    elif found.state == "refused":
        for problem in found.problems:
            st.error(plain(problem), icon=":material/error:")
    else:
        st.error(
            f"The run ended at {found.share:.0%} ({plain(found.doing)}): {plain('; '.join(found.problems))}. "
            "Your text is still there: run it again, with a shorter `run.horizon_s` if memory ran out.",
            icon=":material/error:",
        )
