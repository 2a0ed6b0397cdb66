"""When a fault of a What-if is asked for, by the length of the run."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def page(run_min: float) -> None:
    import streamlit as st

    from dashboard.components.fault_time import ask_fault_time

    st.text(ask_fault_time(run_min, 0.5 * run_min, 0.1 * run_min, 86_400.0 + 6 * 3600))


@pytest.mark.parametrize(
    ("run_min", "labels", "first", "said", "then"),
    [
        (60.0, ["from minute", "for minutes"], "(1800.0, 360.0)", [], "(180.0, 360.0)"),
        (
            2400.0,
            ["from hour", "for hours"],
            "(72000.0, 14400.0)",
            ["From Wed 02:00 to Wed 06:00."],
            "(10800.0, 14400.0)",
        ),
    ],
)
def test_a_fault_is_asked_for_in_the_times_of_its_run(
    run_min: float, labels: list[str], first: str, said: list[str], then: str
) -> None:
    app = AppTest.from_function(page, args=(run_min,)).run(timeout=60)
    assert [field.label for field in app.number_input] == labels
    assert app.text[0].value == first
    assert [caption.value for caption in app.caption] == said
    app.number_input(key="what_if.from").set_value(3.0).run(timeout=60)
    assert app.text[0].value == then
