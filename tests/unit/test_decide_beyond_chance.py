"""From which multiple of a price another is the cheapest by more than chance, by hand; bills that are lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simulator.decide import beyond_chance as place
from simulator.decide.beyond_chance import AtPrice, Way, beyond_chance
from simulator.study.decision import Contender

TODAY = frozenset({"own"})


@pytest.mark.parametrize(
    ("at", "most", "low", "high", "expected"),
    [
        (2.0, 10.0, 0.0, 3.0, 3.0),
        (2.0, 10.0, 0.0, 1.5, 2.0),
        (2.0, 10.0, 0.0, 11.0, 0.0),
        (2.0, 10.0, 0.0, 9.99, 9.99),
        (0.5, 10.0, 0.2, 9.0, 0.2),
        (0.5, 10.0, 0.6, 9.0, 0.5),
        (0.5, 10.0, 0.09, 9.0, 0.0),
    ],
)
def test_the_nearest_multiple_without_any_of_todays_winners(
    at: float, most: float, low: float, high: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between `low` and `high` one of today's shares the place; beyond, another has it alone."""

    def rank(factors: list[float]) -> Any:
        assert len(set(factors)) == 1
        return SimpleNamespace(winners=("rent", "own") if low < factors[0] < high else ("rent",))

    monkeypatch.setattr(place, "rank", rank)
    contender: Any = lambda factor: factor  # noqa: E731
    found = beyond_chance([contender, contender], TODAY, at, most)
    assert found == pytest.approx(expected, rel=1e-3)
    assert not (low < found < high), "at the multiple that is told nobody shares it any more"
    if found not in (0.0, at):
        exact = beyond_chance([contender], TODAY, at, most, steps=3, precision=1e-9)
        assert exact == pytest.approx(expected, rel=1e-8)


def contender(**given: Any) -> Contender:
    known = {"name": "own", "meets": True, "usd_per_month": 0.0}
    return Contender(**{**known, **given})


def test_a_bill_is_a_line_in_a_price_and_the_cheapest_way_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ways one costs 100 + 10 x and the other 40 + 50 x, in each of two replications 1 more and 1 less."""
    billed: list[tuple[Any, float]] = []
    lines = {"few": (100.0, 10.0), "many": (40.0, 50.0)}

    def usd(terms: Any, uses: Any) -> list[float]:
        (name, factor), (shift,) = terms, uses
        billed.append((name, factor))
        return [lines[name][0] + lines[name][1] * factor + shift]

    monkeypatch.setattr(place, "study_usd_per_month", usd)
    monkeypatch.setattr(place, "recommitted", lambda terms, uses: terms)
    monkeypatch.setattr(place, "month_uses", lambda walked, each: ((1.0, -1.0)[each],))
    monkeypatch.setattr(place, "has_minimum", lambda terms: terms == "bent")
    monkeypatch.setattr(place, "has_open_commitments", lambda terms: terms == "open")
    served = SimpleNamespace(usages=("first", "second"))
    walked = (SimpleNamespace(shares=(SimpleNamespace(served=served),)),)
    ways: Any = [Way(name, (0.0,), walked) for name in ("few", "many")]  # type: ignore[arg-type]
    at = AtPrice(lambda terms, factor: (terms, factor), contender(usd_per_month=90.0), ways)  # type: ignore[arg-type]
    for factor, expected in ((0.0, 40.0), (1.0, 90.0), (1.5, 115.0), (3.0, 130.0)):
        found = at(factor)
        assert found.usd_per_month == pytest.approx(expected)
        assert found.usd_by_replication == pytest.approx((expected + 1, expected - 1))
    assert {factor for _, factor in billed} == {1.0, 2.0}, "a line has two points"
    lines["bent"] = (0.0, 1.0)
    bent: Any = Way("bent", (0.0,))  # type: ignore[arg-type]
    assert (bent.is_bent, Way("open", ()).is_bent, ways[0].is_bent) == (True, True, False)  # type: ignore[arg-type]
    billed.clear()
    found = AtPrice(at.change, at.today, [bent])(7.0)
    assert (found.usd_per_month, found.usd_by_replication) == (7.0, ())
    assert billed == [("bent", 7.0)]
