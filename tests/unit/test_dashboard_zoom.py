"""The minutes that a page shows follow what its chart was scrolled or dragged to, within the span of the run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dashboard.views import load as place
from simulator.report.charts import ZOOM


@pytest.mark.parametrize(
    ("zoomed", "shown"),
    [
        ((2.004, 7.999), (2.0, 8.0)),
        ((-3.0, 4.0), (0.0, 4.0)),
        ((5.0, 99.0), (5.0, 10.0)),
        ((-5.0, 30.0), (0.0, 10.0)),
        ((9.999, 12.0), (9.99, 10.0)),
        ((4.0, 4.001), (4.0, 4.01)),
        ((20.0, 30.0), (9.99, 10.0)),
        (None, (1.5, 6.25)),
    ],
)
def test_the_slider_says_what_the_chart_shows(
    zoomed: tuple[float, float] | None, shown: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = {} if zoomed is None else {ZOOM: {"time_min": list(zoomed)}}
    state = {"chart": SimpleNamespace(selection=selection), place._DRAWN: ("chart", (1.5, 6.25))}
    monkeypatch.setattr(place, "st", SimpleNamespace(session_state=state))
    place._zoomed("chart", 10.0)
    assert state[place._WINDOW] == pytest.approx(shown)


def test_a_slider_that_was_moved_has_the_chart_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, int] = {}
    monkeypatch.setattr(place, "st", SimpleNamespace(session_state=state))
    place._moved()
    place._moved()
    assert state == {place._MOVES: 2}
