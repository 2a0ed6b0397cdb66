"""The minutes that a page shows follow what its chart was scrolled or dragged to, within the span of the run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dashboard.components import felt, seen_time
from dashboard.views import engine
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


@pytest.mark.parametrize(
    ("zoomed", "address", "seen"),
    [
        ((2.0, 7.999), "2.00-8.00", (120.0, 479.94)),
        ((-3.0, 4.0), "1.00-4.00", (60.0, 240.0)),
        ((0.0, 30.0), None, None),
        ((20.0, 30.0), None, None),
        (None, None, None),
    ],
)
def test_what_a_what_if_is_zoomed_into_is_in_the_address_and_is_seen_by_other_pages(
    zoomed: tuple[float, float] | None,
    address: str | None,
    seen: tuple[float, float] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selection = {} if zoomed is None else {ZOOM: {"minutes": list(zoomed)}}
    state = {"chart": SimpleNamespace(selection=selection), felt._DRAWN: ("chart", None, None)}
    page = SimpleNamespace(session_state=state, query_params={felt.TIME: "3.00-4.00"})
    monkeypatch.setattr(felt, "st", page)
    monkeypatch.setattr(seen_time, "st", page)
    felt._zoomed("chart", "mine", (1.0, 10.0))
    assert page.query_params.get(felt.TIME) == address
    assert state[felt._DRAWN] == ("chart", None, address), "it is not drawn anew"
    assert seen_time.seen_s("mine") == (None if seen is None else pytest.approx(seen))
    assert seen_time.seen_s("another") is None


@pytest.mark.parametrize(
    ("address", "drawn"),
    [("2.00-8.00", (2.0, 8.0)), ("0.00-4.00", (1.0, 4.0)), ("", (3.0, 5.0)), ("all", (3.0, 5.0)), ("20-30", None)],
)
def test_a_what_if_opens_at_its_address_else_at_what_another_page_showed(
    address: str, drawn: tuple[float, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = SimpleNamespace(session_state={}, query_params={felt.TIME: address} if address else {})
    monkeypatch.setattr(felt, "st", page)
    monkeypatch.setattr(seen_time, "st", page)
    seen_time.see("mine", (180.0, 300.0))
    windows: list[object] = []
    monkeypatch.setattr(felt, "show_wide", lambda *_, **options: None)
    for _ in range(2):
        felt.show_over_time(windows.append, "mine", (1.0, 10.0))
        seen_time.see("mine", (60.0, 120.0))
    assert windows == [drawn, drawn]


@pytest.mark.parametrize(
    ("zoomed", "start_s", "length_s", "is_served_anew"),
    [
        ((301.004, 302.999), 301.0, 2.0, False),
        ((300.5, 300.51), 300.5, 0.1, False),
        ((298.0, 301.0), 298.0, 3.0, True),
        ((300.0, 340.0), 300.0, 20.0, True),
        ((-5.0, 1.0), 0.0, 1.0, True),
        (None, 300.0, 3.0, False),
    ],
)
def test_fields_of_the_engine_say_what_its_chart_shows(
    zoomed: tuple[float, float] | None,
    start_s: float,
    length_s: float,
    is_served_anew: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selection = {} if zoomed is None else {ZOOM: {"start_s": list(zoomed)}}
    state = {"chart": SimpleNamespace(selection=selection), engine._DRAWN: ("chart", 300.0, 3.0)}
    monkeypatch.setattr(engine, "st", SimpleNamespace(session_state=state))
    engine._zoomed("chart")
    assert (state[engine._START], state[engine._LENGTH]) == pytest.approx((start_s, length_s))
    assert (engine._MOVES in state) == is_served_anew
