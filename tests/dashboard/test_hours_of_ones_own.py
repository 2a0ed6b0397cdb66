"""Hours of the week with a load of one's own: what the fields hold goes into the question's answer as it is meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.own_hours import _begun, _clock


@pytest.mark.parametrize(
    ("hour", "told"),
    [(0.0, "0"), (8.0, "8"), (8.5, "8:30"), (8.25, "8:15"), (8 + 1 / 30, "8:02"), (23.99, "23:59"), (24.0, "24")],
)
def test_hours_are_told_as_clocks_tell_them(hour: float, told: str) -> None:
    assert _clock(hour) == told


@pytest.mark.parametrize(
    ("text", "rows", "others"),
    [
        ("mon-fri 8-18 1; else 0.1", [("mon-fri", 8.0, 18.0, 100.0)], 10.0),
        ("sat 8:30-12 0.5", [("sat", 8.5, 12.0, 50.0)], 0.0),
        ("no hours", [("mon-fri", 8.0, 18.0, 100.0)], 10.0),
        ("mon 0-24 2; tue 1-2 0; else 1", [("mon", 0.0, 24.0, 200.0), ("tue", 1.0, 2.0, 0.0)], 100.0),
    ],
)
def test_fields_begin_with_the_hours_of_a_text_or_with_those_of_an_office(
    text: str, rows: list[Any], others: float
) -> None:
    found, rest = _begun(text)
    assert found == [pytest.approx(row) if isinstance(row, float) else row for row in rows]
    assert rest == pytest.approx(others)


def _page(begun: str) -> None:
    import json

    import streamlit as st

    from dashboard.components.own_hours import own_hours

    st.session_state["start.restored"] = {"hours": begun} if begun else {}
    given: dict = {}
    own_hours(given)
    st.code(json.dumps(given))


def hours(app: AppTest) -> str:
    assert not app.exception
    return str(json.loads(app.code[0].value)["hours"])


def test_rows_are_added_and_taken_away_and_the_rest_has_a_load_unless_there_is_none() -> None:
    app = AppTest.from_function(_page, args=("",)).run()
    assert hours(app) == "mon-fri 8-18 1; else 0.1"
    assert app.button(key="start.hours.fewer").disabled
    app.button(key="start.hours.more").click().run()
    assert hours(app) == "mon-fri 8-18 1; sat 8-18 0.5; else 0.1"
    app.number_input(key="start.hours.1.from").set_value(9.5).run()
    app.number_input(key="start.hours.1.load").set_value(25.0).run()
    app.number_input(key="start.hours.else").set_value(5.0).run()
    assert hours(app) == "mon-fri 8-18 1; sat 9:30-18 0.25; else 0.05"
    app.button(key="start.hours.fewer").click().run()
    assert hours(app) == "mon-fri 8-18 1; else 0.05"
    assert hours(AppTest.from_function(_page, args=("mon-sun 0-24 0.3",)).run()) == "mon-sun 0-24 0.3"
