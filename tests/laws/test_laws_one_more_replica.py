"""One more replica costs no less and answers no fewer in time, but by chance; where it does, the result says so."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from parts import few
from scenario_cases import chat, written

from simulator.metrics.intervals import paired_difference
from simulator.resolve.sizes import Fixed, alone, open_pools
from simulator.simulate.demand import demand_of, whole_month
from simulator.simulate.store import Store
from simulator.size.answer import answered
from simulator.size.found import Limits
from simulator.size.search import search
from simulator.size.trials import Trials, Tried
from simulator.size.words import size_warnings

MOST, REPLICATIONS = 5, 3


def trials_of(folder: Path, seed: int) -> Trials:
    """One to five replicas of a small engine, owned or rented, of which about two are enough."""
    random = Random(seed)
    places = random.choice(
        ["site: datacentre, gpu: h100-sxm, billing: owned", "site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 2.5"]
    )
    routing = random.choice(["round_robin", "random", "least_outstanding", "least_kv", "power_of_two"])
    pool = f"{{name: base, {places}, replicas: auto, routing: {routing}}}"
    slots, osl = random.choice([2, 4, 8]), random.choice([20, 60, 150])
    rate_rps = round(random.uniform(1.2, 3.2) * slots / (osl * 0.008 + 0.05), 2)
    text = chat(
        f"own: {{pools: [{pool}]}}",
        study="months: 1",
        rate_rps=rate_rps,
        osl=osl,
        tpot_s=random.choice([0.009, 0.03]),
        horizon_s=60,
        replications=REPLICATIONS,
    )
    text = text.replace("kind: poisson", f"kind: gamma, cv: {random.choice([0.5, 1.0, 3.0])}")
    loaded = written(folder, text, f"engine.max_num_seqs={slots}", f"run.seed={seed}")
    pools, periods = open_pools(loaded, "own"), whole_month(demand_of(loaded))
    return Trials(alone(loaded, "own"), "own", pools, periods, Store())


def attainments(trials: Trials, n: int) -> tuple[list[float], int]:
    """Share that is answered in time in each replication, and requests of all."""
    totals = [outcome.metrics.total for outcome in trials.whole((Fixed(n),))]
    return [total.good / total.arrived for total in totals], sum(total.arrived for total in totals)


def is_lower(one: list[float], than: list[float], requests: int) -> bool:
    """Whether it is so beyond what chance makes of so many requests, or of a replication."""
    mean, half_width = paired_difference(one, than)
    share = min(max(float(np.mean(than)), 1 / requests), 1 - 1 / requests)
    return mean < -max(half_width, 3 * (2 * share * (1 - share) / requests) ** 0.5)


@pytest.mark.parametrize("seed", few(range(700, 724), 701, 702, 710))
def test_one_more_costs_no_less_and_serves_no_worse_or_is_told(tmp_path: Path, seed: int) -> None:
    trials = trials_of(tmp_path, seed)
    found = search(trials, Limits(MOST, prune=False))
    tried: dict[int, Tried] = {n: trials((Fixed(n),)) for n in range(1, MOST + 1)}
    usd = {n: one.usd_per_month for n, one in tried.items() if one.word == "met"}
    assert [*usd.values()] == sorted(usd.values()), "one more is paid for, too"
    served = {n: attainments(trials, n) for n in tried}
    worse = [n for n in range(1, MOST) if is_lower(served[n + 1][0], *served[n])]
    falls = [n for n in range(1, MOST) if tried[n].word == "met" and tried[n + 1].word == "refused"]
    words = size_warnings(answered(trials.loaded, trials, found))
    assert set(worse) <= set(falls)
    if found.best is not None and any(n >= found.best.replicas for n in falls):
        assert found.falls is not None
        assert any(text.startswith("not monotone: ") for text in words)
    elif not falls:
        assert found.falls is None
        assert not any(text.startswith("not monotone") for text in words)
    if usd:
        assert found.best is not None
        assert found.best.usd_per_month == min(usd.values())
