"""Flips where no topology meets the SLO: from which change on one does."""

from __future__ import annotations

from pathlib import Path

import pytest
from growing_cases import flips_of
from scenario_cases import chat, written

from simulator.decide.explore import Answered, Asked, Explorer
from simulator.decide.why import flip_words
from simulator.run.simulate import simulate
from simulator.study.decision import Flip


def _up_to(load: float) -> Explorer:
    """One fleet, which carries so much load, under twice the limits twice as much."""

    def serve(asked: Asked, left_s: float) -> Answered:
        return Answered(asked.load <= load * asked.limits, 100.0, usd_by_replication=(100.0,))

    return Explorer(serve, serve, 60.0)


def _flips(explorer: Explorer, *today: str, months: int = 1) -> list[Flip]:
    return flips_of(explorer, ["only"], today, months)


def test_where_nobody_meets_the_slo_a_flip_is_where_somebody_begins_to() -> None:
    """No growth is small enough, since the first month alone is too much."""
    flips = _flips(_up_to(0.5), months=37)
    assert {one.assumption: (one.factor, one.winner, one.untold) for one in flips} == {
        "volume": (pytest.approx(0.5, rel=0.011), "only", ""),
        "latency limits of the SLO": (pytest.approx(2.0, rel=0.011), "only", ""),
        "growth per year": (None, None, ""),
    }
    assert flip_words(flips[1]) == f"latency limits of the SLO at × {flips[1].factor:.2f}: only"


def test_where_nobody_meets_it_any_more_no_bills_are_told_from_chance() -> None:
    """The fleet carries its load up to twice that, in each of 37 months, or under half of the limits."""
    flips = _flips(_up_to(2.0), "only", months=37)
    assert [(one.factor, one.winner, one.untold) for one in flips] == [
        (pytest.approx(2.0, rel=0.011), "none of them", ""),
        (pytest.approx(0.5, rel=0.011), "none of them", ""),
        (pytest.approx(2.0 ** (12 / 36), rel=0.011), "none of them", ""),
    ]


@pytest.mark.parametrize(("carries", "today", "who"), [(0.5, ["only"], "none of them"), (2.0, [], "only")])
def test_a_search_anew_that_finds_no_winner_or_the_first_one_says_so(
    carries: float, today: list[str], who: str
) -> None:
    (volume, *_) = _flips(_up_to(carries), *today)
    assert volume.words == f"{who} meets the SLO at sizes that are searched anew"


@pytest.mark.parametrize(("rate_rps", "flips"), [(0.001, []), (4, ["volume", "latency limits of the SLO"])])
def test_where_no_request_says_whether_the_slo_is_met_nothing_is_searched(
    tmp_path: Path, rate_rps: float, flips: list[str]
) -> None:
    """More volume would bring one into the window, which is no reason for or against a topology."""
    api = (
        "t: {providers: [{name: p, prices: [{input: 1, output: 1}], ttft_s: {median: 0.3}, "
        "tpot_s: {median: 0.01}, data_classes: [internal], requests_per_minute: 60, max_wait_s: 1}]}"
    )
    text = chat(api, study="months: 1", rate_rps=rate_rps, horizon_s=60, warmup_s=5)
    run = simulate(written(tmp_path, text, "cost.draws=0"), None, explore_s=60)
    assert [flip["assumption"] for flip in run.decision["flips"]] == flips
    assert ("What would flip it: volume at × 0." in run.summary["verdict"]) == bool(flips)
