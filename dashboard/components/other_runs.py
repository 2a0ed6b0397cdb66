"""Other runs to choose from, by what they are; in the address by their folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import streamlit as st

from dashboard.run_names import labels


def other_run(text: str, folders: Mapping[str, Path], key: str) -> str | None:
    """One of them, or none."""
    told = labels(folders)
    _read(key, [name for name in st.query_params.get_all(key)[:1] if name in folders] or [None])
    return st.selectbox(
        text, list(folders), key=key, index=None, format_func=lambda name: told.get(name, name), on_change=_tell(key)
    )


def other_runs(text: str, folders: Mapping[str, Path], key: str) -> list[str]:
    """Several of them."""
    told = labels(folders)
    _read(key, [[name for name in st.query_params.get_all(key) if name in folders]])
    return st.multiselect(
        text, list(folders), key=key, format_func=lambda name: told.get(name, name), on_change=_tell(key)
    )


def _read(key: str, named: Sequence[object]) -> None:
    """Where the field is new, what the address names."""
    if key not in st.session_state:
        st.session_state[key] = named[0]


def _tell(key: str) -> Callable[[], None]:
    def follow() -> None:
        if chosen := st.session_state[key]:
            st.query_params[key] = chosen
        else:
            st.query_params.pop(key, None)

    return follow
