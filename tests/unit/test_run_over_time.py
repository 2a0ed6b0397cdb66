"""What a trial felt over its time: percentiles, queues and losses by stretches, against a plain count."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.metrics.demand import COUNTS, LOST
from simulator.resolve.topology import plan_topology
from simulator.run.over_time import OverTime, outcome_over_time, over_time, quantiles, row_over_time
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
    assert felt.edges_s == pytest.approx(np.arange(121.0))
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


def felt_as(ttft_p95_s: list[float], end_s: float) -> OverTime:
    edges_s = np.linspace(0.0, end_s, len(ttft_p95_s) + 1)
    values = np.array(ttft_p95_s)
    return OverTime(edges_s, values, values * 10, values / 100)


def test_replications_are_their_mean_and_range_of_those_that_have_a_value() -> None:
    nan = float("nan")
    row = row_over_time([felt_as([1, nan, 5, nan], 240), felt_as([3, 4, 1, nan], 240)], 120.0)
    assert row["minutes"] == [2, 3, 4, 5]
    assert row["ttft_p95_s"] == pytest.approx([2, 4, 3, nan], nan_ok=True)
    assert row["ttft_p95_s_low"] == pytest.approx([1, 4, 1, nan], nan_ok=True)
    assert row["ttft_p95_s_high"] == pytest.approx([3, 4, 5, nan], nan_ok=True)
    assert row["waiting_high"] == pytest.approx([30, 40, 50, nan], nan_ok=True)
    assert row["lost_percent"] == pytest.approx(row["ttft_p95_s"], nan_ok=True)


def test_replications_that_end_at_other_times_count_as_long_as_they_last() -> None:
    row = row_over_time([felt_as([1, 2], 120), felt_as([3, 4, 5, 6], 240)], 0.0)
    assert row["minutes"] == [0, 1, 2, 3]
    assert row["ttft_p95_s"] == [2, 3, 5, 6]
    assert (row["ttft_p95_s_low"], row["ttft_p95_s_high"]) == ([1, 2, 5, 6], [3, 4, 5, 6])


def test_one_replication_is_itself() -> None:
    row = row_over_time([felt_as([1, 2], 120)], 0.0)
    assert row == {"minutes": [0, 1], "ttft_p95_s": [1, 2], "waiting": [10, 20], "lost_percent": [1, 2]}


def test_whoever_is_lost_for_any_reason_counts_in_the_stretch_in_which_he_came() -> None:
    """Of 40 that come in the first second one is lost for each reason, of 10 in the third three for the first one."""
    counts = np.zeros((4, 2, len(COUNTS)), np.int64)
    counts[0, 0, 0], counts[0, 1, 2:] = 40, 1
    counts[2, 1, 0], counts[2, 1, 1], counts[2, 1, 2] = 10, 7, 3
    samples = {"time_s": np.array([0.5, 0.5, 2.5]), "waiting": np.array([2, 3, 4])}
    outcome: Any = SimpleNamespace(
        run=SimpleNamespace(samples=samples), demand=SimpleNamespace(counts=counts, period_s=1.0)
    )
    found = over_time(outcome, 4.0, np.array([0.2, 0.4]), np.array([1.0, 2.0]))
    assert found.edges_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.lost == pytest.approx([len(LOST) / 40, np.nan, 0.3, np.nan], nan_ok=True)
    assert found.waiting == pytest.approx([5.0, np.nan, 4.0, np.nan], nan_ok=True)
    assert found.ttft_p95_s == pytest.approx([2.0, np.nan, np.nan, np.nan], nan_ok=True)
