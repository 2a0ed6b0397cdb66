"""Token buckets of the dashboard, by a clock that the test turns: each answer is arithmetic."""

from __future__ import annotations

import pytest

from dashboard import allowance
from dashboard.allowance import Allowances, Asker, SharedAllowances


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_is_full_at_first_and_fills_again_up_to_its_brim() -> None:
    clock = Clock()
    found = Allowances(10.0, 0.5, clock)
    assert found.left("a") == 10.0
    found.take("a", 4.0)
    assert (found.left("a"), found.left("b"), found.share("a")) == (6.0, 10.0, 0.6)
    clock.now_s += 3.0
    assert found.left("a") == 7.5
    clock.now_s += 1000.0
    assert found.left("a") == 10.0


def test_what_is_taken_beyond_is_owed_up_to_as_much_as_a_bucket_holds() -> None:
    clock = Clock()
    found = Allowances(10.0, 0.5, clock)
    found.take("a", 12.0)
    assert found.left("a") == -2.0
    assert found.wait_s("a", 1.0) == 6.0
    assert found.wait_s("b", 10.0) == 0.0
    found.take("a", 1000.0)
    assert found.left("a") == -10.0
    clock.now_s += 20.0
    assert found.left("a") == 0.0


def test_full_buckets_are_forgotten_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "_MOST_KEPT", 100)
    clock = Clock()
    found = Allowances(10.0, 0.5, clock)
    found.take("kept", 10.0)
    for k in range(1000):
        found.take(f"passer-by {k}", 1.0)
        clock.now_s += 0.01
    assert len(found._left) > 100, "none of them is full again yet"
    clock.now_s += 5.0
    found.take("another", 1.0)
    assert {*found._left} == {"kept", "another"}
    assert found.left("kept") == pytest.approx(7.5)


def test_a_browser_is_bounded_by_its_address_too_which_several_share() -> None:
    clock = Clock()
    found = SharedAllowances(10.0, 1.0, 3.0, clock)
    office = [Asker("office", f"browser {k}") for k in range(4)]
    assert [found.take(one, 10.0) for one in office] == [0.0, 0.0, 0.0, 10.0 / 3.0]
    assert found.share(office[3]) == -10.0 / 30.0
    assert found.share(Asker("office", "a fifth")) == -10.0 / 30.0, "it has used nothing, its address all"
    assert found.share(Asker("home", "browser 9")) == 1.0
    clock.now_s += 10.0
    assert found.share(office[0]) == pytest.approx(20.0 / 30.0)


def test_more_than_a_bucket_holds_counts_as_all_of_it() -> None:
    found = SharedAllowances(10.0, 1.0, 3.0, Clock())
    one = Asker("home", "browser")
    assert found.take(one, 1e9) == 0.0
    assert found.take(one, 1.0) == 1.0
