"""Tables, as all pages show them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from simulator.figures.table import NONE


def show_table(frame: Any, key: str, **options: Any) -> None:
    """A frame without its index; what is not known or has no meaning is a dash, as on the command line.

    Parameters
    ----------
    options : of `st.dataframe`
    """
    st.dataframe(frame, hide_index=True, placeholder=NONE, key=key, **options)
