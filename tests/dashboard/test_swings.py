"""What would move the costs, on the page of break-even: of which topologies it is known, and which one is shown."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest


def _page(topologies: dict) -> None:
    from types import SimpleNamespace

    from dashboard.views.break_even import _tornado

    _tornado(SimpleNamespace(topologies=topologies))


def swings(base: float) -> list[dict[str, Any]]:
    ends = {"usd_per_month_low": base - 10, "usd_per_month_base": base, "usd_per_month_high": base + 30}
    return [{"input": "price.gpu_hour", "low": 0.5, "base": 1.0, "high": 2.0, **ends}]


def test_topologies_whose_inputs_have_ranges_can_be_chosen_and_the_first_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, str, str, list[float]]] = []

    def show(chart: Any, key: str, words: str) -> None:
        costs = chart.data.drop(columns=["input", "end", "value", "base"]).iloc[:, 0].tolist()
        drawn.append((chart.to_dict()["title"]["subtitle"], key, words, costs))

    monkeypatch.setattr("dashboard.views.break_even.show_chart", show)
    known = {"a": {"tornado": []}, "b": {"tornado": swings(100)}, "c": {"tornado": swings(200)}}
    app = AppTest.from_function(_page, args=(known,)).run()
    assert not app.exception
    assert [header.value for header in app.header] == ["What would move it"]
    assert app.selectbox(key="break_even.topology").options == ["b", "c"]
    app.selectbox(key="break_even.topology").set_value("c").run()
    assert drawn == [
        ("b", "break_even.tornado", "what moves the monthly cost of b", [90.0, 130.0]),
        ("c", "break_even.tornado", "what moves the monthly cost of c", [190.0, 230.0]),
    ]
    assert not app.caption


def test_without_a_range_it_is_said() -> None:
    app = AppTest.from_function(_page, args=({"a": {"tornado": []}},)).run()
    said = "No input has a range, so nothing can be said of what would move the costs."
    assert [each.value for each in app.caption] == [said]
    assert not app.header
