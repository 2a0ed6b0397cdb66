"""What a trial felt over its time: percentiles, queues and losses by stretches, against a plain count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.resolve.topology import plan_topology
from simulator.run.over_time import OverTime, outcome_over_time, quantiles
from simulator.scenario.load import load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import Records, simulate_one, subject_of
from simulator.simulate.store import Store

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
FAILING = "topologies[cloud].pools[rented].server_failures=[{start_s: 40, duration_s: 20}]"


@given(st.lists(st.tuples(st.floats(0, 9.99), st.floats(0, 5)), max_size=40), st.sampled_from([0.5, 0.95, 1.0]))
def test_quantiles_are_those_of_each_stretch_alone(pairs: list[tuple[float, float]], share: float) -> None:
    edges = np.linspace(0.0, 10.0, 6)
    at_s, values = (np.array([pair[k] for pair in pairs], float) for k in (0, 1))
    found = quantiles(edges, at_s, values, share)
    for k, quantile in enumerate(found):
        mine = sorted(values[(at_s >= edges[k]) & (at_s < edges[k + 1])])
        if not mine:
            assert np.isnan(quantile)
        else:
            assert quantile == min(
                value for value in mine if sum(one <= value for one in mine) >= share * len(mine) - 1e-9
            )


def test_a_trial_over_time_is_what_its_requests_say() -> None:
    loaded = load_scenario(SCENARIO, sets=[FAILING])
    subject, demand = subject_of(plan_topology(loaded, "cloud")), demand_of(loaded)
    rows: list[Records] = []
    plain = simulate_one(subject, demand, 0, keep=rows.append)
    store = Store()
    outcome, felt = outcome_over_time(subject, demand, 0, store)
    records = np.concatenate(rows)
    assert outcome.metrics.summary() == plain.metrics.summary()
    assert len(felt.start_s) == 120
    for k in (10, 45, 50, 70):
        mine = records[(records["arrival_s"] >= k) & (records["arrival_s"] < k + 1)]
        answered = mine[mine["status"] == 0]
        ttft_s = np.sort(answered["first_token_s"] - answered["arrival_s"])
        assert felt.ttft_p95_s[k] == pytest.approx(ttft_s[int(np.ceil(0.95 * len(ttft_s))) - 1])
        assert felt.lost[k] == pytest.approx(1 - len(answered) / len(mine))
    assert np.nanmax(felt.ttft_p95_s[40:60]) > 15, "who came at the failure waits for the repair"
    assert felt.waiting[59] > 20 * felt.waiting[:40].max(initial=1)
    again, known = outcome_over_time(subject, demand, 0, store)
    assert again is outcome
    assert known is felt


def test_it_is_kept_in_a_folder(tmp_path: Path) -> None:
    loaded = load_scenario(SCENARIO)
    subject, demand = subject_of(plan_topology(loaded, "own")), demand_of(loaded)
    _, felt = outcome_over_time(subject, demand, 0, Store(tmp_path))
    store = Store(tmp_path)
    _, again = outcome_over_time(subject, demand, 0, store)
    assert (store.hits, store.misses) == (2, 0)
    for name in OverTime.__dataclass_fields__:
        assert getattr(felt, name).tobytes() == getattr(again, name).tobytes()
