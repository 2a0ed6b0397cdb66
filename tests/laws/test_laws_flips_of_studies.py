"""Flips over all months of a study, on bills that are known."""

from __future__ import annotations

import math

import pytest
from growing_cases import flips_of

from simulator.decide.assumptions import growth_of, questions
from simulator.decide.explore import Answered, Asked, Explorer, Ladder, OutOfTime, trial_flips
from simulator.decide.why import flip_words


def test_flips_of_a_study_rest_on_all_of_its_months() -> None:
    """A price by use that is cheaper than a flat 140 in the first months of a year alone: 100 growing to 400."""
    rates = {"chat": 3.0}

    def mean_load(load: float, growth: float) -> float:
        return load * sum((4.0 * growth) ** (k / 12) for k in range(13)) / 13

    def study(asked: Asked, left_s: float) -> Answered:
        return Answered(True, 100.0 * mean_load(asked.load, asked.growth) if asked.topology == "by_use" else 140.0)

    asked = questions((), {}, {}, growth_of(rates, 13))
    found = trial_flips(Explorer(study, study, 60.0), ["by_use", "flat"], frozenset({"flat"}), asked)
    flips = {one.assumption: one for one in found}
    volume, growth = flips["volume"], flips["growth per year"]
    assert (volume.factor, volume.winner) == (pytest.approx(1.4 / mean_load(1.0, 1.0), rel=1e-9), "by_use")
    assert mean_load(1.0, growth.factor or 0.0) == pytest.approx(1.4, rel=1e-4)
    assert (growth.winner, growth.sure) == ("by_use", True)
    assert flip_words(growth) == "growth per year at 89% (now 300%): by_use"


def test_growth_by_class_is_told_by_class() -> None:
    one = growth_of({"chat": 0.5, "batch": 0.0}, 25)
    assert one is not None
    assert one.words(1.2) == "80% (now 50%) of chat, 20% (now 0%) of batch"
    assert one.ask(Asked("own"), 1.2) == Asked("own", growth=1.2)
    assert one.reach == pytest.approx(4.0), "sixteen times the load of the last month, two years on"
    assert growth_of({"chat": 0.5}, 1) is None


def test_where_the_guess_of_growth_is_off_the_flip_is_where_the_months_have_it() -> None:
    """Replicas at $100 carry 1.14 each; by use, $112 a unit of load: between them the guess draws lines over steps.

    Of 12 months at a growth of 15 % a year all are carried by one; the last is not from 1.14 ** (12 / 11) = 15.4 %.
    """

    def serve(asked: Asked, left_s: float) -> Answered:
        own = 100.0 * math.ceil(asked.load / 1.14 - 1e-9)
        return Answered(True, own if asked.topology == "own" else 112.0 * asked.load)

    def least(growth: float) -> str:
        loads = [(1 + growth) ** (month / 12) for month in range(12)]
        own = sum(100.0 * math.ceil(load / 1.14 - 1e-9) for load in loads)
        return "own" if own <= sum(112.0 * load for load in loads) else "by_use"

    rates = [k / 10_000 for k in range(5000)]
    first = next(rate for rate in rates if least(rate) == "by_use")
    explorer = Explorer(serve, serve, 60.0)
    for now in (0.0, 0.1):
        flip = flips_of(explorer, ["own", "by_use"], {"own"}, 12, now)[-1]
        assert flip.sure
        assert (1 + now) * (flip.factor or 0.0) == pytest.approx(1 + first, rel=0.011)
    guess = Ladder(explorer, 12, 0.0)
    assert guess.winners(["own", "by_use"], 0.97 * (1 + first)) == {"by_use"}, "a guess that is off"


def _by_use(asked: Asked, left_s: float) -> Answered:
    """A price by use beside a flat 140."""
    return Answered(True, 100.0 * asked.load if asked.topology == "by_use" else 140.0)


def test_a_guess_of_growth_that_no_time_is_left_to_confirm_is_about_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Months one by one take no time, and all of a study together 10 s."""
    clock = [0.0]
    monkeypatch.setattr("simulator.decide.explore.time.monotonic", lambda: clock[0])

    def study(asked: Asked, left_s: float) -> Answered:
        clock[0] += 10.0
        if left_s < 10.0:
            raise OutOfTime
        return Answered(True, 100.0)

    asked = [growth_of({"chat": 0.0}, 13)]
    ladder = Ladder(Explorer(_by_use, _by_use, 45.0, started_s=0.0), 13, 0.0)
    (flip,) = trial_flips(Explorer(study, study, 45.0, started_s=0.0), ["by_use", "flat"], {"by_use"}, asked, ladder)
    assert (flip.sure, flip.winner) == (False, "flat")
    assert flip.factor == pytest.approx(1.89, rel=0.011)
    assert flip_words(flip).startswith("growth per year at about ")
