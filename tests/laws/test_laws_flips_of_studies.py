"""Flips over all months of a study, on bills that are known."""

from __future__ import annotations

import pytest

from simulator.decide.assumptions import growth_of, questions
from simulator.decide.explore import Answered, Asked, Explorer, trial_flips
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
