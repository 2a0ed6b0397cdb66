"""What topologies with open sizes cost at another load: sized anew, where the others keep what they have."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simulator.decide.explore import Answered, Asked, Explorer, OutOfTime
from simulator.run.at_their_best import best_at_prices
from simulator.run.loads import loads_of
from simulator.run.resized import at_best_size
from simulator.run.simulate import simulate
from simulator.run.sizer import Sizer
from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store
from simulator.size.answer import answer

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"


def test_open_sizes_are_searched_at_the_load_that_is_asked() -> None:
    sets = ["topologies.own.pools[base].replicas=auto", "run.horizon_s=20", "run.replications=1"]
    loaded = load_scenario(SIZED, sets=sets)
    loads, store = loads_of(loaded), Store()
    periods = loads.first_month
    serve = at_best_size(loaded, periods, store)
    today, much = serve(Asked("own"), math.inf), serve(Asked("own", load=3.0), math.inf)
    best = answer(loaded, "own", periods, store).search.best
    assert best is not None
    assert today.usd_per_month == best.usd_per_month
    assert much.usd_per_month is not None
    assert today.usd_per_month < much.usd_per_month
    assert today.tokens_per_month is not None
    assert much.tokens_per_month == pytest.approx(3 * today.tokens_per_month, rel=0.1)
    assert not serve(Asked("elastic", load=3.0), math.inf).meets, "a size that is written stays"
    slow = serve(Asked("own", steps=1.5, limits=2.0), math.inf)
    assert slow.usd_per_month is not None
    assert slow.usd_per_month > today.usd_per_month, "steps that take longer need more replicas, at the same prices"
    assert not serve(Asked("own", limits=1e-4), math.inf).meets
    with pytest.raises(OutOfTime):
        serve(Asked("own", load=2.5), -1.0)


def test_every_side_is_billed_for_all_hours_of_a_month_as_a_run_is(tmp_path: Path) -> None:
    """Open sizes, written ones and token APIs alike: not as if every hour were the busiest."""
    api = (
        "providers: [{name: api, prices: [{above_tokens: 0, input: 1, output: 4}], ttft_s: {median: 0.2, sigma: 0}, "
        "tpot_s: {median: 0.01, sigma: 0}, data_classes: [internal]}]"
    )

    def pools(replicas: str) -> str:
        return f"{{pools: [{{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: {replicas}}}]}}"

    sets = [
        f"topologies={{open: {pools('auto')}, written: {pools('4')}, api: {{{api}}}}}",
        *("study.months=1", "run.horizon_s=20", "run.replications=1"),
        "study.periods=[{name: day, hours_per_month: 200}, {name: night, load: 0.1}]",
    ]
    loaded, store = load_scenario(SIZED, sets=sets), Store()
    run = simulate(loaded, tmp_path, store=store).decision["topologies"]
    serve = at_best_size(loaded, loads_of(loaded).first_month, store)
    for name, found in run.items():
        assert serve(Asked(name), math.inf).usd_per_month == pytest.approx(found["months"][0]["usd"], rel=1e-9)


@pytest.mark.parametrize("seconds", [-1.0, 1e-3])
def test_a_search_at_other_prices_that_time_ends_is_no_answer(seconds: float) -> None:
    sets = ["topologies.own.pools[base].replicas=auto", "run.horizon_s=20", "run.replications=1"]
    loaded = load_scenario(SIZED, sets=sets)
    loads = loads_of(loaded)
    explorer = Explorer(lambda *asked: Answered(True, None), lambda *asked: Answered(True, None), seconds)
    search = best_at_prices(loaded, loads, Sizer(Store()), explorer)
    with pytest.raises(OutOfTime):
        search("own", lambda terms: terms)
