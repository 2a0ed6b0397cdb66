"""Where a field stands, if it is the page that says so."""

from __future__ import annotations

from typing import Any

import streamlit as st


def stand(key: str, value: Any) -> None:
    """Put the field of `key` where it does not stand already.

    What a page sets is sent to the browser in place of what a person has done there meanwhile: of five quick strokes of
    a key one was lost.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
