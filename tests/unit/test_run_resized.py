"""What topologies with open sizes cost at another load: sized anew, where the others keep what they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.decide.explore import Answered, Asked
from simulator.run.loads import loads_of
from simulator.run.resized import at_best_size
from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store
from simulator.size.answer import answer
from simulator.size.found import Limits

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"


def test_open_sizes_are_searched_at_the_load_that_is_asked() -> None:
    sets = ["topologies.own.pools[base].replicas=auto", "run.horizon_s=20", "run.replications=1"]
    loaded = load_scenario(SIZED, sets=sets)
    loads, store = loads_of(loaded), Store()
    periods = loads.periods(loads.horizon.level(1))
    kept = Answered(True, 1.0, 2.0)
    serve = at_best_size(loaded, {"own"}, periods, store, Limits(), lambda asked: kept)
    today, much = serve(Asked("own")), serve(Asked("own", load=3.0))
    best = answer(loaded, "own", periods, store).search.best
    assert best is not None
    assert today.usd_per_month == best.usd_per_month
    assert much.usd_per_month is not None
    assert today.usd_per_month < much.usd_per_month
    assert today.tokens_per_month is not None
    assert much.tokens_per_month == pytest.approx(3 * today.tokens_per_month, rel=0.1)
    assert serve(Asked("elastic", load=3.0)) is kept
    slow = serve(Asked("own", steps=1.5, limits=2.0))
    assert slow.usd_per_month is not None
    assert slow.usd_per_month > today.usd_per_month, "steps that take longer need more replicas, at the same prices"
    assert not serve(Asked("own", limits=1e-4)).meets
