"""A value that is dragged or typed: a slider, and beside it a field for exact values and those beyond its ends."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.components.standing import stand


def typed_slider(
    label: str,
    key: str,
    ends: tuple[float, float],
    start: float,
    *,
    step: float,
    typed: tuple[float, float],
    help: str,
    disabled: bool = False,
) -> float:
    """The value, which the address keeps under `key`.

    Parameters
    ----------
    ends : of the slider, which stands at the nearer one where what is typed lies beyond
    start : where nobody has changed it
    typed : least and largest value that may be typed
    """
    dragged = f"{key}.drag"

    def take() -> None:
        st.session_state[key] = st.session_state[dragged]

    slider, field = st.columns([2, 1], vertical_alignment="bottom", gap="small")
    options: dict[str, Any] = {"step": step, "disabled": disabled}
    with field:
        found = st.number_input(
            f"{label}: typed", *typed, start, key=key, bind="query-params", label_visibility="collapsed", **options
        )
    value = start if found is None else found
    stand(dragged, min(max(value, ends[0]), ends[1]))
    slider.slider(label, *ends, key=dragged, help=help, on_change=take, **options)
    return value
