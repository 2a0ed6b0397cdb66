"""Capacity, volume and flips by further trials, on fleets whose answers are known."""

from __future__ import annotations

import math
from functools import partial

import pytest
from growing_cases import flips_of

from simulator.decide.explore import (
    Answered,
    Asked,
    Explorer,
    OutOfTime,
    _beyond_chance,
    _contender,
    capacities,
    with_volumes,
)
from simulator.decide.why import flip_words
from simulator.study.decision import NOT_TOLD, ONE_REPLICATION, BreakEven

CARRIES = {"fixed": 2.0, "large": 8.0}
"""Multiple of the load that each fleet carries as it is."""
USD = {"fixed": 100.0, "large": 150.0}
FIXED_WINS = frozenset({"fixed"})


class Fleets:
    """Limits of twice the time carry twice the load; a fleet that is sized anew costs what it carries."""

    def __init__(self) -> None:
        self.asked = 0

    def stays(self, asked: Asked, left_s: float) -> Answered:
        self.asked += 1
        if asked.topology == "api":
            return Answered(True, 60.0 + 40.0 * asked.load + 5.0)
        return Answered(asked.load <= CARRIES[asked.topology] * asked.limits, USD[asked.topology])

    def serve(self, asked: Asked, left_s: float) -> Answered:
        if asked.topology == "api":
            return self.stays(asked, left_s)
        self.asked += 1
        servers = math.ceil(asked.load / (CARRIES[asked.topology] * asked.limits) - 1e-9)
        return Answered(True, USD[asked.topology] * servers)


def _explorer(limit_s: float = 60.0) -> tuple[Explorer, Fleets]:
    fleets = Fleets()
    return Explorer(fleets.serve, fleets.stays, limit_s), fleets


def test_capacities_are_those_of_the_fleets_as_they_are() -> None:
    found = capacities(_explorer()[0], dict.fromkeys(["fixed", "large", "api"], 2.0))
    assert found["fixed"].factor == pytest.approx(2.0, rel=0.02)
    assert found["large"].factor == pytest.approx(8.0, rel=0.02)
    assert found["api"].fails_at == math.inf
    assert found["fixed"].used_share_high == pytest.approx(0.5, rel=0.02)


def test_what_ends_a_capacity_is_what_is_missed_at_the_load_that_fails() -> None:
    def stays(asked: Asked, left_s: float) -> Answered:
        return Answered(asked.load < 3, 1.0, missed="" if asked.load < 3 else f"ttft at {asked.load:g}")

    found = capacities(Explorer(stays, stays, 60.0), {"a": 2.0, "b": 16.0}, trials=2)
    assert [(one.factor, one.fails_at, one.missed) for one in found.values()] == [
        (2.0, 4.0, "ttft at 4"),
        (1.0, 4.0, "ttft at 4"),
    ]
    assert capacities(Explorer(stays, stays, 60.0), {"a": 1.5}, trials=1)["a"].missed == "", "it met at all"


def test_volume_takes_each_side_at_its_best_size() -> None:
    pairs = [BreakEven("large", "fixed", None, None, None), BreakEven("api", "fixed", None, None, None)]
    large, api = with_volumes(_explorer()[0], pairs)
    assert large.volume is not None
    assert (large.volume.side, large.volume.factor) == ("above", pytest.approx(2.0, rel=0.02))
    assert api.volume is not None
    assert (api.volume.side, api.volume.factor) == ("below", pytest.approx(35 / 40, rel=0.02))


def test_both_sides_of_a_crossing_say_the_same_tokens() -> None:
    """What each delivers in its own simulation differs a little; one load has one number of tokens."""

    def serve(asked: Asked, left_s: float) -> Answered:
        fixed = asked.topology == "fixed"
        return Answered(True, 100.0 if fixed else 60.0 * asked.load, (1000.0 if fixed else 1010.0) * asked.load)

    pairs = [BreakEven("fixed", "api", None, None, None), BreakEven("api", "fixed", None, None, None)]
    one, other = (pair.volume for pair in with_volumes(Explorer(serve, serve, 60.0), pairs))
    assert one is not None
    assert other is not None
    assert (one.side, other.side) == ("above", "below")
    assert one.factor == other.factor
    assert one.tokens_per_month == other.tokens_per_month == pytest.approx(1005.0 * (one.factor or 0.0))


def test_flips_of_volume_limits_and_growth() -> None:
    explorer, _ = _explorer()
    names = ["fixed", "large"]
    flips = {one.assumption: one for one in flips_of(explorer, names, FIXED_WINS, 37, 0.0)}
    assert flips["volume"].factor == pytest.approx(2.0, rel=0.011)
    assert flips["volume"].winner == "large"
    assert flips["latency limits of the SLO"].factor == pytest.approx(0.5, rel=0.011)
    growth = flips["growth per year"]
    assert growth.winner == "large"
    usd = [sum(_at_growth(name, 1.01 * (growth.factor or 1.0))) for name in names]
    before = [sum(_at_growth(name, 0.98 * (growth.factor or 1.0))) for name in names]
    assert usd[0] > usd[1]
    assert before[0] < before[1]
    assert f"{(growth.factor or 1.0) - 1:.0%} (now 0%)" in flip_words(growth)


def _at_growth(name: str, per_year: float) -> list[float]:
    """USD of 37 months on fleets bought for each month's load."""
    return [USD[name] * math.ceil(per_year ** (month / 12) / CARRIES[name] - 1e-9) for month in range(37)]


def test_growth_flips_where_a_fleet_that_cannot_grow_has_no_room_left() -> None:
    """1.1 times the load is 3.2 % a year over 36 months, however coarse the guess of them."""

    def stays(asked: Asked, left_s: float) -> Answered:
        return Answered(asked.topology == "api" or asked.load <= 1.1, 100.0 if asked.topology == "fixed" else 200.0)

    flips = flips_of(Explorer(stays, stays, 60.0), ["fixed", "api"], FIXED_WINS, 37, 0.0)
    (growth,) = (one for one in flips if one.assumption == "growth per year")
    assert growth.factor == pytest.approx(1.1 ** (12 / 36), rel=0.011)
    assert growth.winner == "api"


def test_nothing_is_asked_twice_or_after_the_time() -> None:
    explorer, fleets = _explorer()
    names = ["fixed", "large"]
    capacities(explorer, dict.fromkeys(names, 2.0))
    flips_of(explorer, names, FIXED_WINS, 36, 0.0)
    asked = fleets.asked
    flips_of(explorer, names, FIXED_WINS, 36, 0.0)
    assert fleets.asked == asked == len(explorer.known)
    late, fleets = _explorer(-1.0)
    assert capacities(late, dict.fromkeys(names, 2.0)) == {}
    pairs = [BreakEven("large", "fixed", 1.0, 1.0, None)]
    assert with_volumes(late, pairs) == pairs
    assert fleets.asked == 0


def test_without_time_nothing_is_asked_and_nothing_fails() -> None:
    explorer, fleets = _explorer(limit_s=-1.0)
    names = ["fixed", "large", "api"]
    assert capacities(explorer, dict.fromkeys(names, 2.0)) == {}
    flips = flips_of(explorer, names, FIXED_WINS, 36, 0.0, names[:2], {"fixed": 0.7})
    assert [flip_words(one) for one in flips] == [
        f"{name}: not searched, as time ended"
        for name in (
            *("volume", "latency limits of the SLO", "time of engine steps", "acceptance of drafts"),
            "growth per year",
        )
    ]
    assert fleets.asked == 0


def test_one_question_leaves_time_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second each: of 60 the volume has 20, no more for all that it asks, and each question is begun."""
    clock = [0.0]
    monkeypatch.setattr("simulator.decide.explore.time.monotonic", lambda: clock[0])
    began: dict[str, float] = {}

    def serve(question: Asked, left_s: float) -> Answered:
        kind = "volume" if question.load != 1.0 else "limits" if question.limits != 1.0 else "now"
        began.setdefault(kind, clock[0])
        clock[0] += 1.0
        return Answered(True, 100.0 if question.topology == "own" else 200.0)

    explorer = Explorer(serve, serve, 60.0, started_s=0.0)
    flips = flips_of(explorer, ["own", "dear"], frozenset({"own"}), 13, 0.0)
    assert [one.words for one in flips] == ["time ended"] * 3
    assert began == {"now": 0.0, "volume": 2.0, "limits": pytest.approx(20.0, abs=1.0)}
    assert 60.0 <= clock[0] <= 61.0
    assert explorer.within(0.25).left_s == explorer.left_s < 0


def test_a_question_is_told_the_time_that_is_left_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uses up what it is told ends the search then: 60 s are 60 s, not what the last question began with."""
    clock = [0.0]
    monkeypatch.setattr("simulator.decide.explore.time.monotonic", lambda: clock[0])
    told: list[float] = []

    def serve(question: Asked, left_s: float) -> Answered:
        told.append(left_s)
        clock[0] += min(left_s, 25.0)
        if left_s <= 25.0:
            raise OutOfTime
        return Answered(True, 100.0)

    explorer = Explorer(serve, serve, 60.0, started_s=0.0)
    explorer.best(Asked("own"))
    explorer.within(0.8).best(Asked("own", load=2.0))
    with pytest.raises(OutOfTime):
        explorer.best(Asked("own", load=4.0))
    assert told == pytest.approx([60.0, 28.0, 10.0])
    assert clock[0] == 60.0


def test_flips_of_speed_and_acceptance_ask_only_those_whom_they_concern() -> None:
    """Drafts carry the cheaper fleet down to 0.8 of their acceptance, and steps up to 1.25 of their time."""
    asked: list[Asked] = []

    def serve(question: Asked, left_s: float) -> Answered:
        asked.append(question)
        if question.topology == "api":
            return Answered(True, 130.0)
        return Answered(question.acceptance >= 0.8 and question.steps <= 1.25, 100.0)

    explorer = Explorer(serve, serve, 60.0)
    flips = {
        one.assumption: one
        for one in flips_of(
            explorer, ["drafts", "api"], frozenset({"drafts"}), 1, 0.0, engines=["drafts"], drafts={"drafts": 0.7}
        )
    }
    steps, acceptance = flips["time of engine steps"], flips["acceptance of drafts"]
    assert (steps.factor, steps.winner) == (pytest.approx(1.25, rel=0.02), "api")
    assert (acceptance.factor, acceptance.winner) == (pytest.approx(0.8, rel=0.02), "api")
    assert acceptance.words.startswith("0.5")
    assert "now 0.70" in flip_words(acceptance)
    assert all((one.steps, one.acceptance) == (1.0, 1.0) for one in asked if one.topology == "api")
    without = {one.assumption for one in flips_of(Explorer(serve, serve, 60.0), ["api"], frozenset({"api"}), 1, 0.0)}
    assert without == {"volume", "latency limits of the SLO"}


def test_a_cascade_is_asked_how_many_answers_it_may_pass_on() -> None:
    """Each share of its answers that is passed on costs it $200: at 0.36 of them it costs what the large model does."""

    def serve(question: Asked, left_s: float) -> Answered:
        if question.topology == "large":
            assert question.passed_on == 1.0
            return Answered(True, 102.0)
        return Answered(True, 30.0 + 200.0 * min(0.3 * question.passed_on, 1.0))

    flips = flips_of(
        *(Explorer(serve, serve, 60.0), ["cascade", "large"], frozenset({"cascade"}), 1, 0.0),
        passed_on={"cascade": 0.3},
    )
    (flip,) = (one for one in flips if one.assumption == "answers that a cascade passes on")
    assert (flip.factor, flip.winner, flip.beyond) == (pytest.approx(1.2, rel=0.01), "large", (1 / 4, 4.0))
    assert "answers that a cascade passes on at 0.36 (now 0.30)" in flip_words(flip)


def test_where_a_search_anew_has_another_winner_nothing_is_searched() -> None:
    explorer, _ = _explorer()
    flips = flips_of(explorer, ["fixed", "large"], frozenset({"large"}), 1)
    assert {one.assumption for one in flips} == {"volume", "latency limits of the SLO"}
    for flip in flips:
        assert flip.factor is None
        assert flip_words(flip).endswith("not searched, as fixed costs less at sizes that are searched anew")


def test_how_far_each_assumption_is_looked_at() -> None:
    asked: list[Asked] = []

    def serve(question: Asked, left_s: float) -> Answered:
        asked.append(question)
        return Answered(True, 100.0 if question.topology == "own" else 1e9)

    names = ["own", "dear"]
    flips = flips_of(Explorer(serve, serve, 60.0), names, frozenset({"own"}), 13, 0.0, ["own"], {"own": 0.5})
    assert {one.assumption: one.beyond for one in flips} == {
        "volume": (1 / 16, 16.0),
        "latency limits of the SLO": (1 / 4, 4.0),
        "time of engine steps": (1 / 2, 2.0),
        "acceptance of drafts": (1 / 4, 4.0),
        "growth per year": (1 / 16, 16.0),
    }
    assert {one.factor for one in flips} == {None}
    for name, reach in (("load", 16.0), ("limits", 4.0), ("steps", 2.0), ("acceptance", 4.0)):
        found = [getattr(one, name) for one in asked]
        assert (min(found), max(found)) == (pytest.approx(1 / reach), pytest.approx(reach)), name


def _lines(asked: Asked, left_s: float) -> Answered:
    """A price by use beside one that stays."""
    return Answered(True, {"by_use": 100.0 * asked.load, "flat": 140.0}[asked.topology])


def test_the_flip_of_volume_is_break_even_by_volume() -> None:
    """100 by use cost as much as a flat 140 at 1.4 times the load, to the last digit where bills are straight lines."""
    names = ["by_use", "flat"]
    (volume, *_) = flips_of(Explorer(_lines, _lines, 60.0), names, frozenset({"by_use"}), 1, 0.0)
    assert (volume.factor, volume.winner) == (pytest.approx(1.4, rel=1e-12), "flat")
    (pair,) = with_volumes(Explorer(_lines, _lines, 60.0), [BreakEven("flat", "by_use", None, None, None)])
    assert pair.volume is not None
    assert pair.volume.factor == pytest.approx(volume.factor, rel=1e-12)


@pytest.mark.parametrize(("growth", "today", "then"), [(0.0, "by_use", "flat"), (3.0, "flat", "by_use")])
def test_growth_flips_where_the_mean_month_costs_the_same(growth: float, today: str, then: str) -> None:
    """The mean of 100 g^(k/12) over k = 0 to 12 is 140 at a growth of 89 %, from either side."""
    low, high = 1.0, 4.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if sum(100 * middle ** (k / 12) for k in range(13)) / 13 < 140 else (low, middle)
    flip = flips_of(Explorer(_lines, _lines, 60.0), ["by_use", "flat"], frozenset({today}), 13, growth)[-1]
    assert flip.assumption == "growth per year"
    assert ((1 + growth) * (flip.factor or 0.0), flip.winner) == (pytest.approx(low, rel=1e-4), then)
    assert flip.sure
    assert flip_words(flip).startswith(f"growth per year at 89% (now {growth:.0%})")
    assert flip_words(flip).endswith(f": {then}")


@pytest.mark.parametrize(("replications", "untold"), [(0, ""), (1, ONE_REPLICATION), (2, "")])
def test_what_one_replication_cannot_tell_from_chance_is_said_so(replications: int, untold: str) -> None:
    """By use, a unit of load, and a flat 140: the flips are where they are, however many runs tell them."""

    def serve(asked: Asked, left_s: float) -> Answered:
        usd = 140.0 if asked.topology == "flat" else 100.0 * asked.load
        return Answered(True, usd, usd_by_replication=(usd,) * replications)

    flips = flips_of(Explorer(serve, serve, 60.0), ["by_use", "flat"], frozenset({"by_use"}), 13, 0.0)
    assert flips[0].factor == pytest.approx(1.4, rel=1e-9)
    for flip in (flips[0], flips[-1]):
        assert flip.untold == untold
        assert (f"({untold})" in flip_words(flip)) is bool(untold)


def test_where_time_ends_on_the_way_to_that_it_is_not_told() -> None:
    """Bills that chance makes equal at the flip, and no time to look any further."""

    def serve(asked: Asked, left_s: float) -> Answered:
        if asked.load > 1.41:
            raise OutOfTime
        usd = 140.0 if asked.topology == "flat" else 100.0 * asked.load
        return Answered(
            True, usd, usd_by_replication=(usd, usd) if asked.topology == "flat" else (0.9 * usd, 1.1 * usd)
        )

    explorer = Explorer(serve, serve, 60.0)
    asks = [partial(_contender, explorer, lambda one, load: Asked(one, load), name) for name in ("by_use", "flat")]
    assert _beyond_chance(asks, frozenset({"by_use"}), 1.405, 16.0) == (None, NOT_TOLD)


def test_a_flip_of_volume_says_from_where_it_is_beyond_chance() -> None:
    """100 ± 12.706 by use, a unit of load, and a flat 140: beyond chance from 140 / (100 - 12.706) on, within 2 %."""

    def serve(asked: Asked, left_s: float) -> Answered:
        if asked.topology == "flat":
            return Answered(True, 140.0, usd_by_replication=(140.0, 140.0))
        return Answered(True, 100.0 * asked.load, usd_by_replication=(99.0 * asked.load, 101.0 * asked.load))

    flips = flips_of(Explorer(serve, serve, 60.0), ["by_use", "flat"], frozenset({"by_use"}), 1, 0.0)
    volume = flips[0]
    assert volume.factor == pytest.approx(1.4, rel=1e-9)
    assert volume.clear is not None
    sure = 140 / (100 - 12.7062)
    assert sure * (1 - 1e-9) <= volume.clear <= sure * 1.02
    assert "(beyond chance from × 1.6" in flip_words(volume)
