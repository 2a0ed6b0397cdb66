"""Bounds of the decision, both sides of each: what is told of a bill, how far is looked, which months are simulated."""

from __future__ import annotations

import math

import pytest

from simulator.decide.assumptions import growth_of, questions
from simulator.decide.capacity import capacity
from simulator.decide.explore import Answered, Asked, Explorer, _between_loads
from simulator.decide.flips import change_within, crossing, smallest_change
from simulator.decide.levels import nodes, share_of_way
from simulator.decide.rivals import rank
from simulator.decide.why import more_words, sentence
from simulator.study.decision import Contender


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (1.0004, " (+0.04%)"),
        (1.004, " (+0.4%)"),
        (1.01, " (+1%)"),
        (1.5, " (+50%)"),
        (9.99, " (+899%)"),
        (10.0, " (10 times as much)"),
        (999.0, " (999 times as much)"),
        (1000.0, ""),
    ],
)
def test_how_much_more_is_told_in_percent_up_to_ten_times_and_as_a_multiple_up_to_a_thousand(
    times: float, words: str
) -> None:
    assert more_words(times) == words


def level(usd: float) -> Contender:
    """Two replications that differ by more than the bills do."""
    return Contender("b", True, usd, (usd - 900.0, usd + 900.0))


@pytest.mark.parametrize(("usd", "same"), [(1050.0, True), (1051.0, False)])
def test_bills_within_a_twentieth_cost_the_same_and_others_may_cost_as_little(usd: float, same: bool) -> None:
    first = Contender("a", True, 1000.0, (1000.0, 1000.0))
    assert rank([first, level(usd)]).winners == ("a", "b")
    said = sentence([first, level(usd)])
    assert (f"b (${usd:,.0f} per month) costs the same within the noise of the replications" in said) is same
    assert (f"b (${usd:,.0f} per month) may cost as little: 2 replications do not tell" in said) is not same


def test_a_topology_of_which_nothing_was_measured_is_told_beside_the_winner() -> None:
    unknown = Contender("u", False, 1.0, unmeasured=(("chat", ""), ("code", ""), ("chat", "night")))
    assert sentence([Contender("a", True, 1000.0), unknown]) == (
        "a: the cheapest topology that meets the SLO, $1,000 per month; whether u meets it is not known, as no request "
        "of chat, code came in the window, nor of chat was measured in night."
    )
    assert sentence([unknown]) == (
        "No verdict: no request of chat, code came in the window, nor of chat was measured in night; a longer "
        "run.horizon_s has some."
    )


def test_how_much_a_fleet_carries_is_looked_for_up_to_64_times() -> None:
    always = capacity(lambda factor: True, now=True)
    assert (always.factor, always.fails_at) == (64.0, math.inf)
    assert [at for at, _ in always.tried] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    never = capacity(lambda factor: False, now=False)
    assert (never.factor, never.fails_at) == (0.0, 1 / 64)
    assert [at for at, _ in never.tried] == [1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64]


def test_how_much_a_fleet_carries_is_narrowed_down_to_two_percent() -> None:
    """Between 2 and 4 the span is halved in ratios: 2^(1/32) is 1.0219, and 2^(1/64), 1.0109, the first within 2 %."""
    found = capacity(lambda factor: factor < 3.0, now=True)
    assert found.factor < 3.0 <= found.fails_at
    assert found.fails_at / found.factor == pytest.approx(2 ** (1 / 64))
    assert len(capacity(lambda factor: factor < 3.0, now=True, trials=3).tried) == 4, "beside the load as it is"
    first = capacity(lambda factor: factor < 3.0, now=True, first=1.25, trials=2)
    assert [at for at, _ in first.tried] == [1.0, 1.25, 2.5]
    assert [at for at, _ in capacity(lambda factor: factor < 0.3, False, 4.0, 2).tried] == [1.0, 0.25, 0.5]


@pytest.mark.parametrize(
    ("at", "found"), [(9.9, True), (10.0, True), (10.1, False), (1 / 9.9, True), (1 / 10.1, False)]
)
def test_prices_are_moved_up_to_ten_times_either_way(at: float, found: bool) -> None:
    def winners(factor: float) -> frozenset[str]:
        beyond = factor >= at if at > 1 else factor <= at
        return frozenset({"other" if beyond else "today"})

    near = smallest_change(winners, frozenset({"today"}))
    assert (near is not None) is found
    if near is not None:
        assert near == pytest.approx(at, rel=0.0101)
        low, high = change_within(winners, frozenset({"today"}), precision=0.001) or (0.0, 0.0)
        assert (winners(low), winners(high)) == (frozenset({"today"}), frozenset({"other"}))
        assert abs(high / low - 1) <= 0.001


def test_the_nearer_of_two_changes_is_told_by_its_ratio() -> None:
    """Half is as far as twice; 1.9 is nearer than a half."""

    def winners(factor: float) -> frozenset[str]:
        return frozenset({"up"} if factor >= 1.9 else {"down"} if factor <= 0.5 else {"today"})

    assert smallest_change(winners, frozenset({"today"})) == pytest.approx(1.9, rel=0.0101)


@pytest.mark.parametrize(
    ("left", "right", "at"),
    [
        ((1.0, 10.0, 20.0), (3.0, 30.0, 20.0), 2.0),
        ((1.0, 10.0, 12.0), (2.0, 16.0, 12.0), 1 + 2 / 6),
        ((1.0, 10.0, 20.0), (3.0, math.inf, 20.0), 3.0),
        ((1.0, 10.0, 20.0), (3.0, 20.0, 30.0), 3.0),
    ],
)
def test_bills_cross_where_two_straight_lines_do(
    left: tuple[float, float, float], right: tuple[float, float, float], at: float
) -> None:
    assert crossing(left, right) == pytest.approx(at)


@pytest.mark.parametrize(
    ("loads", "found"),
    [
        ([1.0, 1.0, 1.0], (0,)),
        ([1.0, 1.1, 1.19], (0, 2)),
        ([1.0, 1.1, 1.2], (0, 1, 2)),
        ([1.19, 1.1, 1.0], (0, 2)),
        ([1.0, 1.1, 1.05], (0, 1, 2)),
        ([1.0, 1.05, 1.1, 1.15, 1.2, 1.25], (0, 3, 5)),
        ([1.0], (0,)),
        ([], ()),
    ],
)
def test_months_are_simulated_from_a_fifth_more_load_on_and_where_it_turns(
    loads: list[float], found: tuple[int, ...]
) -> None:
    assert nodes([(load,) for load in loads]) == found


def test_months_of_other_periods_are_nodes_on_both_sides_and_classes_count_one_by_one() -> None:
    alike, other = ("a",), ("b",)
    assert nodes([(1.0,)] * 4, [alike, alike, other, other]) == (0, 1, 2, 3)  # type: ignore[arg-type]
    assert nodes([(1.0,)] * 3, [alike] * 3) == (0,)  # type: ignore[arg-type]
    assert nodes([(1.0, 1.0), (1.1, 1.0), (1.1, 1.3)]) == (0, 1, 2)


def test_a_month_between_two_nodes_lies_as_far_as_its_load() -> None:
    assert share_of_way((1.5, 3.0), (1.0, 2.0), (2.0, 5.0)) == pytest.approx((0.5 + 1.0) / (1.0 + 3.0))
    assert share_of_way((1.0,), (1.0,), (1.0,)) == 0.0


def test_how_far_each_assumption_is_moved() -> None:
    asked = {one.assumption: one for one in questions({"own"}, {"own": 0.6}, {"api": 0.4, "other": 0.125})}
    assert {name: one.reach for name, one in asked.items()} == {
        "volume": 16.0,
        "latency limits of the SLO": 4.0,
        "time of engine steps": 2.0,
        "acceptance of drafts": 4.0,
        "answers that a cascade passes on": 4.0,
    }
    assert asked["acceptance of drafts"].words(1.5) == "0.90 (now 0.60)"
    assert asked["acceptance of drafts"].words(2.0) == "1.00 (now 0.60)"
    assert asked["answers that a cascade passes on"].words(2.0) == "0.80 (now 0.40 in api), 0.25 (now 0.12 in other)"
    assert asked["volume"].words(2.0) == ""


def test_growth_is_moved_as_far_as_it_takes_for_sixteen_times_the_last_month() -> None:
    """(1 + g) ^ (11/12) is 16 in month 12, and (1 + g) ^ (1/12) in month 2 of one and a half."""
    assert growth_of({"chat": 0.5}, 1.0) is None
    short, long = growth_of({"chat": 0.5}, 1.5), growth_of({"chat": 0.5, "code": 0.2}, 12.0)
    assert short is not None
    assert long is not None
    assert short.reach == pytest.approx(16.0**12)
    assert long.reach == pytest.approx(16.0 ** (12 / 11))
    assert short.words(1.2) == "80% (now 50%)"
    assert long.words(1.5) == "125% (now 50%) of chat, 80% (now 20%) of code"


def square(most: float = math.inf) -> tuple[Explorer, list[float]]:
    """A topology that costs the square of its load, up to the most that it serves."""
    asked: list[float] = []

    def serve(one: Asked, left_s: float) -> Answered:
        asked.append(one.load)
        return Answered(one.load <= most, one.load**2 if one.load <= 2 * most else None)

    return Explorer(serve, serve, math.inf), asked


def test_between_two_loads_of_the_ladder_bills_lie_on_a_line() -> None:
    """Four loads a doubling: 1, 1.189, 1.414, 1.682, 2."""
    step = 2**0.25
    explorer, seen = square()
    slope = (step**2 - 1) / (step - 1)
    assert _between_loads(explorer, "a", 1.1, 64.0) == pytest.approx(1 + slope * 0.1)
    assert seen == pytest.approx([step, 1.0])
    assert _between_loads(explorer, "a", 1.0, 64.0) == 1.0
    assert len(seen) == 2, "a load of the ladder is asked itself"
    assert _between_loads(explorer, "a", 0.9, 64.0) == pytest.approx(1 - (1 - step**-2) / (1 - 1 / step) * 0.1)


def test_beyond_the_largest_load_nothing_is_asked() -> None:
    explorer, seen = square()
    assert _between_loads(explorer, "a", 1.1, 1.15) == pytest.approx(1 + (1.15**2 - 1) / 0.15 * 0.1)
    assert seen == pytest.approx([1.15, 1.0])
    assert _between_loads(square(1.05)[0], "a", 1.1, 64.0) is None, "the load above is too much"
    assert _between_loads(square(0.5)[0], "a", 1.1, 1.15) is None
