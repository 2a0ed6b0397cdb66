"""Steps back: what a page's fields were before each change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

_MOST = 50
"""Steps that are kept."""


def steps_back(page: str, keys: Sequence[str], start: Mapping[str, Any], name: str, row: Any = None) -> None:
    """Buttons that take back the last change of a page's fields, and all of them.

    Parameters
    ----------
    keys : of the fields, all of which are on the page already
    start : what they are where nothing is changed, by key; the others are left
    name : of what is shown: steps of another one are forgotten
    row : where the buttons go; a row of their own without
    """
    place = f"{page}.steps"
    now = {key: st.session_state[key] for key in keys if key in st.session_state}
    shown, steps = st.session_state.get(place, (name, []))
    if shown != name:
        steps = []
    if not steps or steps[-1] != now:
        steps = [*steps, now][-_MOST:]
    st.session_state[place] = name, steps

    def back() -> None:
        _, taken = st.session_state[place]
        st.session_state[place] = name, taken[:-1]
        st.session_state.update(taken[-2])

    def forget() -> None:
        st.session_state.update(start)

    row = row or st.container(horizontal=True)
    row.button("Undo", key=f"{page}.undo", icon=":material/undo:", disabled=len(steps) < 2, on_click=back)
    is_plain = all(now.get(key) == value for key, value in start.items() if key in now)
    row.button("Reset", key=f"{page}.reset", icon=":material/restart_alt:", disabled=is_plain, on_click=forget)
