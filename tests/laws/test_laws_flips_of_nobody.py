"""Flips where no topology meets the SLO: from which change on one does."""

from __future__ import annotations

import pytest

from simulator.decide.assumptions import questions
from simulator.decide.explore import Answered, Asked, Explorer, Ladder, trial_flips
from simulator.decide.why import flip_words
from simulator.study.decision import Flip


def _up_to(load: float) -> Explorer:
    """One fleet, which carries so much load, under twice the limits twice as much."""

    def serve(asked: Asked, left_s: float) -> Answered:
        return Answered(asked.load <= load * asked.limits, 100.0, usd_by_replication=(100.0,))

    return Explorer(serve, serve, 60.0)


def _flips(explorer: Explorer, *today: str, months: float = 1) -> list[Flip]:
    return trial_flips(
        explorer, ["only"], frozenset(today), questions((), {}, {}), Ladder(explorer, months, growth=0.0)
    )


def test_where_nobody_meets_the_slo_a_flip_is_where_somebody_begins_to() -> None:
    """No growth is small enough, since the first month alone is too much."""
    flips = _flips(_up_to(0.5), months=37)
    assert {one.assumption: (one.factor, one.winner, one.untold) for one in flips} == {
        "volume": (pytest.approx(0.5, rel=0.011), "only", ""),
        "latency limits of the SLO": (pytest.approx(2.0, rel=0.011), "only", ""),
        "growth per year": (None, None, ""),
    }
    assert flip_words(flips[1]) == f"latency limits of the SLO at × {flips[1].factor:.2f}: only"


@pytest.mark.parametrize(("carries", "today", "who"), [(0.5, ["only"], "none of them"), (2.0, [], "only")])
def test_a_search_anew_that_finds_no_winner_or_the_first_one_says_so(
    carries: float, today: list[str], who: str
) -> None:
    (volume, *_) = _flips(_up_to(carries), *today)
    assert volume.words == f"{who} meets the SLO at sizes that are searched anew"
