"""More that serves worse: reclaimed machines have their luck; it is told, and a best by luck is asked of fresh luck."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, trials_of, written

from simulator.metrics.slo import slo_met
from simulator.resolve.sizes import Fixed
from simulator.size.answer import answered
from simulator.size.found import Limits
from simulator.size.search import search
from simulator.size.trials import Trials
from simulator.size.words import size_warnings
from simulator.study.decision import HOLDS_ON_FRESH, MISSES_ON_FRESH

MOST, FRESH = 6, 4
SPOT = (
    "rent: {pools: [{name: base, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 2.5, billing: spot, "
    "replicas: auto, reliability: {reclaim_mtbf_h: 0.03, reclaim_notice_s: 0}, "
    "cold_start: {provision_s: 10, image_s: 0, weights_s: 0, engine_s: 0}}]}"
)


def reclaimed(folder: Path, seed: int, replications: int = 1) -> Trials:
    text = chat(SPOT, study="months: 1", rate_rps=6, osl=60, tpot_s=0.05, replications=replications)
    loaded = written(folder, text, f"run.seed={seed}", "engine.max_num_seqs=4")
    return trials_of(loaded, "rent")


@pytest.mark.parametrize("seed", [0, 1])
def test_a_best_that_more_would_not_have_been_is_told_and_asked_of_fresh_luck(tmp_path: Path, seed: int) -> None:
    """Three meet the SLO and four do not. Of four further replications that nobody saw, all must meet it, too."""
    trials = reclaimed(tmp_path, seed)
    met = [trials((Fixed(n),)).word == "met" for n in range(1, MOST + 1)]
    assert met[2:4] == [True, False]
    found = search(trials, Limits(MOST))
    assert found.best is not None
    assert found.best.replicas == 1 + met.index(True)
    assert tuple(map(str, found.falls or ())) == ("3", "4")
    every = reclaimed(tmp_path, seed, replications=1 + FRESH).whole(found.best.point)
    holds = [slo_met(one.metrics.terms()) for one in every]
    assert holds[0]
    told = answered(trials.loaded, trials, found)
    assert told.edge.startswith(HOLDS_ON_FRESH if all(holds) else MISSES_ON_FRESH)
    assert "not monotone: 3 met and 4, which is more, was refused, so none was skipped" in size_warnings(told)
    assert not told.row()["monotone"]


def test_where_all_that_is_more_meets_nothing_is_told(tmp_path: Path) -> None:
    trials = reclaimed(tmp_path, 4)
    assert all(trials((Fixed(n),)).word == "met" for n in range(1, MOST + 1))
    told = answered(trials.loaded, trials, search(trials, Limits(MOST)))
    assert told.row()["monotone"]
    assert not any("not monotone" in text for text in size_warnings(told))
