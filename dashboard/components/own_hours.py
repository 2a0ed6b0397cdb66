"""Hours of the week with a load of one's own, as a table of fields."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.components.answer_field import Given, restored
from simulator.errors import InputError
from simulator.questions.hours import MOST_KINDS, own_kinds
from simulator.scenario.week import hours_from_to

_DAYS = ("mon-fri", "mon-sun", "sat-sun", "sat", "sun", "mon", "tue", "wed", "thu", "fri")
_BEGUN = "mon-fri 8-18 1; else 0.1"
_ROWS = "start.hours.rows"
Row = tuple[str, float, float, float]
"""Days, from and to as hours of the day, load in percent."""


def own_hours(given: Given) -> None:
    """Rows of days, hours and load, and the load of all other hours; as a text they go into `given`."""
    rows, other = _begun(restored().get("hours", _BEGUN))
    st.caption("The load of 100 % is that of a busy hour, which is asked above. Each row is simulated by itself.")
    count = st.session_state.setdefault(_ROWS, max(len(rows), 1))
    parts = [_row(k, rows[k] if k < len(rows) else ("sat", 8.0, 18.0, 50.0)) for k in range(count)]
    rest, add, less = st.columns([2, 1, 1], vertical_alignment="bottom")
    others = _load(rest, "All other hours: load [%]", other, "start.hours.else")
    for column, words, name, change, is_end in (
        (add, "More hours", "more", 1, count >= MOST_KINDS - 1),
        (less, "Fewer hours", "fewer", -1, count <= 1),
    ):
        column.button(words, key=f"start.hours.{name}", on_click=_count, args=(change,), disabled=is_end)
    given["hours"] = "; ".join(parts)
    if not _is_whole(given["hours"]):
        given["hours"] += f"; else {others / 100:.6g}"


def _count(change: int) -> None:
    st.session_state[_ROWS] += change


def _row(k: int, begun: Row) -> str:
    days, first, last, load = begun
    name = f"Hours {k + 1}"
    fields = st.columns(4, vertical_alignment="bottom")
    choices = _DAYS if days in _DAYS else (days, *_DAYS)
    kept: dict[str, Any] = {"persist_state": "session"}
    chosen = fields[0].selectbox(
        f"{name}: days", choices, choices.index(days), accept_new_options=True, key=f"start.hours.{k}.days", **kept
    )
    begins, ends = (
        column.number_input(
            f"{name}: {word} [h]", 0.0, 24.0, hour, step=1.0, format="%g", key=f"start.hours.{k}.{word}", **kept
        )
        for column, word, hour in ((fields[1], "from", first), (fields[2], "to", last))
    )
    share = _load(fields[3], f"{name}: load [%]", load, f"start.hours.{k}.load") / 100
    return f"{chosen} {_clock(begins)}-{_clock(ends)} {share:.6g}"


def _load(place: st.delta_generator.DeltaGenerator, label: str, begun: float, key: str) -> float:
    return place.number_input(label, 0.0, 1000.0, begun, step=5.0, format="%g", key=key, persist_state="session")


def _clock(hour: float) -> str:
    minutes = round(60 * hour)
    return f"{minutes // 60}" if minutes % 60 == 0 else f"{minutes // 60}:{minutes % 60:02}"


def _begun(text: str) -> tuple[list[Row], float]:
    """Rows of a text, and the load of all other hours in percent."""
    try:
        kinds = own_kinds(text)
    except InputError:
        return _begun(_BEGUN)
    rows = [(e.window.days, *hours_from_to(e.window.hours), 100 * e.load) for e in kinds if e.window is not None]
    return rows, next((100 * each.load for each in kinds if each.window is None), 0.0)


def _is_whole(text: str) -> bool:
    """Whether no hour of the week is left for others."""
    try:
        return all(each.window is not None for each in own_kinds(text))
    except InputError:
        return False
