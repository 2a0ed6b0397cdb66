"""What a topology costs at least between prices at which its sizes were searched, by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.decide import price_flips as place
from simulator.decide.price_flips import _AtPrice


def way(base: float, slope: float, spend: float = 0.0) -> Any:
    """A bill that is a line in the price; of one with a spend that is agreed so much may come back."""
    return SimpleNamespace(usd=lambda factor: base + slope * factor, terms=spend)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_AtPrice, "_usd", lambda self, one, factor: one.usd(factor))
    monkeypatch.setattr(place, "has_minimum", bool)
    monkeypatch.setattr(place, "spend_and_credits_usd", lambda spend: spend)
    asked: list[tuple[str, Any]] = []

    def search(name: str, change: Any) -> Any:
        asked.append((name, change(1.0)))
        return {"a": way(60.0, 1.0), "b": way(500.0, 0.0), "none": None}[name]

    ways = {"a": [way(0.0, 100.0), way(80.0, 10.0)], "b": [way(0.0, 100.0, 40.0)], "none": [way(1.0, 0.0)]}
    searched = {name: {0.5, 2.0, 4.0} for name in ways}
    found = _AtPrice(lambda terms, factor: terms * factor, ways, {"written"}, search, searched=searched)  # type: ignore[arg-type, operator]
    return SimpleNamespace(at=found, asked=asked)


def test_between_two_searched_prices_no_way_costs_less_than_the_chord(known: Any) -> None:
    at = known.at
    assert [at.most_usd("a", factor) for factor in (0.5, 1.0, 2.0)] == [50.0, 90.0, 100.0]
    assert at.least_usd("a", 2.0) == 100.0, "searched there"
    assert at.least_usd("a", 1.0) == pytest.approx(50.0 + (100.0 - 50.0) / 3)
    assert at.least_usd("a", 3.0) == pytest.approx((100.0 + 120.0) / 2)
    assert at.least_usd("a", 0.25) == pytest.approx(25.0), "in proportion"
    assert at.least_usd("a", 8.0) == pytest.approx(120.0), "no less than at the highest"
    at.ways["written"] = [way(7.0, 0.0)]
    assert at.least_usd("written", 3.0) == 7.0


def test_a_bill_that_is_bent_falls_by_what_is_given_back_at_most(known: Any) -> None:
    """200 at twice the price and 400 at four times; of the spend up to 40 (1 - 2/2.5) is given back on the way."""
    assert known.at.least_usd("b", 2.5) == pytest.approx(max(200.0 - 40.0 * (1 - 2.0 / 2.5), 400.0 * 2.5 / 4.0))
    known.at.ways["b"] = [way(190.0, 5.0, 40.0)]
    assert known.at.least_usd("b", 2.5) == pytest.approx(200.0 - 40.0 * 0.2)
    assert known.at.least_usd("b", 8.0) == pytest.approx(210.0 - 40.0 * 0.5)
    assert known.at.least_usd("b", 0.25) == pytest.approx(192.5 * 0.25 / 0.5)


def test_sizes_are_searched_once_at_a_price_and_kept_where_they_cost_less(known: Any) -> None:
    at = known.at
    assert at.look(["a", "b", "written", "none"], 3.0)
    assert known.asked == [("a", 3.0), ("b", 3.0), ("none", 3.0)]
    assert (len(at.ways["a"]), len(at.ways["b"]), len(at.ways["none"])) == (3, 1, 1)
    assert at.most_usd("a", 3.0) == 63.0
    assert not at.look(["a", "b", "written"], 3.0)
    assert at.look(["a"], 1.5)


def test_the_middle_is_half_the_way_to_the_next_price_at_which_all_were_searched(known: Any) -> None:
    at = known.at
    assert at.middle(["a", "b"], 2.0) == pytest.approx(math.sqrt(2.0 * 4.0))
    at.searched["a"] = {0.125, 0.25, 0.5, 2.0, 8.0}
    at.searched["b"] = {0.125, 0.25, 0.5, 2.0, 4.0, 8.0}
    assert at.middle(["a", "b", "written"], 2.0) == pytest.approx(4.0), "4 is not known of both"
    assert at.middle(["a", "b"], 0.5) == pytest.approx(math.sqrt(0.5 * 0.25))
    assert at.middle(["a"], 8.0) == 8.0, "nothing lies beyond"
    assert at.middle(["written"], 3.0) == 3.0
