"""The stretch of a run's time that was looked at last: charts over time on other pages open at it."""

from __future__ import annotations

import streamlit as st

_SEEN = "time.seen"


def see(run: str, window_s: tuple[float, float] | None) -> None:
    """Remember what of a run's time is shown; all of it unless given."""
    if window_s is None:
        st.session_state.pop(_SEEN, None)
    else:
        st.session_state[_SEEN] = run, window_s


def seen_s(run: str) -> tuple[float, float] | None:
    """What of the run's time was shown last; None for all of it."""
    found: tuple[str, tuple[float, float]] = st.session_state.get(_SEEN, ("", (0.0, 0.0)))
    return found[1] if found[0] == run else None


def is_new(key: str) -> bool:
    """Whether the field of `key` stands nowhere yet, neither on the page nor in its address."""
    return key not in st.session_state and key not in st.query_params
