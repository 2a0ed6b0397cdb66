"""Percentile sketch, SLO accounting, intervals and the laws' ability to fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InvariantError
from simulator.fleet.records import RECORD, Status
from simulator.fleet.simulate import PoolBalance
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.intervals import paired_difference, t_interval
from simulator.metrics.laws import check_causality, check_gpu_seconds, check_little, check_roofline
from simulator.metrics.sketch import RELATIVE_ERROR, Sketch
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.study.usage import PoolUsage


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_keep_the_stated_error(values: list[float], q: float) -> None:
    sketch = Sketch()
    sketch.add(np.array(values))
    exact = np.quantile(values, q, method="inverted_cdf")
    assert sketch.quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001)
    assert sketch.mean == pytest.approx(np.mean(values))


@given(st.lists(st.floats(1e-5, 1e5), max_size=50), st.lists(st.floats(1e-5, 1e5), max_size=50))
def test_merging_equals_adding_everything(a: list[float], b: list[float]) -> None:
    left, right, whole = Sketch(), Sketch(), Sketch()
    left.add(np.array(a))
    right.add(np.array(b))
    whole.add(np.array(a + b))
    left.merge(right)
    assert (left.counts == whole.counts).all()


@given(st.lists(st.lists(st.floats(0.0, 1e7), max_size=5), max_size=5))
def test_a_sketch_holds_the_bins_from_its_least_to_its_most(batches: list[list[float]]) -> None:
    sketch, all_bins = Sketch(), np.zeros_like(Sketch().counts)
    for batch in batches:
        sketch.add(np.array(batch))
        for value in batch:
            one = Sketch()
            one.add(np.array([value]))
            assert len(one.held) == 1
            all_bins += one.counts
    used = np.flatnonzero(all_bins)
    assert (sketch.counts == all_bins).all()
    assert len(sketch.held) == (used[-1] - used[0] + 1 if len(used) else 0)


def records(*rows: dict[str, float]) -> np.ndarray:
    out = np.zeros(len(rows), RECORD)
    for record, row in zip(out, rows, strict=True):
        base = {"isl": 10, "osl": 5, "generated": 5, "scheduled_s": 0.0, "first_token_s": 1.0, "finish_s": 3.0}
        for name, value in {**base, **row}.items():
            record[name] = value
    return out


def test_slo_counts_everything_that_arrived() -> None:
    slo = ClassSlo("chat", (SloTerm("ttft_s", 0.5, 1.0), SloTerm("tpot_s", 0.9, 0.5)))
    metrics = MetricAccumulator([slo], warmup_s=0.0, end_s=10.0)
    metrics.add(
        records(
            {},
            {"first_token_s": 1.5},
            {"finish_s": 3.5},
            {"osl": 1, "generated": 1, "finish_s": 1.0},
            {"status": Status.REJECTED},
        )
    )
    summary = metrics.summary()
    assert summary["slo_attainment"] == pytest.approx(2 / 5)
    assert [row["share"] for row in summary["slo_terms"]] == pytest.approx([3 / 5, 3 / 5, 4 / 5])
    assert [row["met"] for row in summary["slo_terms"]] == [True, False, False]
    assert summary["binding_term"]["term"] == "served ≥ 99 %"
    assert summary["goodput_rps"] == pytest.approx(0.2)
    assert sum(summary["statuses"].values()) == summary["arrived"] == 5


def test_warm_up_is_cut_by_arrival() -> None:
    metrics = MetricAccumulator([ClassSlo("chat")], warmup_s=2.0, end_s=10.0)
    metrics.add(records({"arrival_s": 1.9}, {"arrival_s": 2.0}))
    assert metrics.summary()["arrived"] == 1
    assert metrics.seen == 2


def test_intervals() -> None:
    mean, half = t_interval([1.0, 2.0, 3.0])
    assert (mean, half) == pytest.approx((2.0, 4.302653 / 3**0.5), rel=1e-5)
    assert np.isnan(t_interval([1.0])[1])
    assert paired_difference([1.0, 5.0], [0.0, 4.0]) == pytest.approx((1.0, 0.0))


def test_laws_can_fail() -> None:
    check_little(PoolBalance("p", 10.0, 10.0, 3, 3))
    with pytest.raises(InvariantError, match="Little"):
        check_little(PoolBalance("p", 10.0, 10.1, 3, 3))
    with pytest.raises(InvariantError, match="came"):
        check_little(PoolBalance("p", 10.0, 10.0, 3, 2))
    check_causality(records({}))
    for broken in ({"first_token_s": 4.0}, {"generated": 4}, {"scheduled_s": -1.0}, {"arrival_s": 9.0}):
        with pytest.raises(InvariantError):
            check_causality(records(broken))
    hours = np.array([100.0])
    pool = PoolUsage("p", "s", 2, 100.0, 10.0, 60.0, 30.0, 0.0, hours, hours, 0, 0, 0, 0, 1, 5, 600, 100, 700)
    check_gpu_seconds(pool)
    with pytest.raises(InvariantError, match="billed"):
        check_gpu_seconds(replace(pool, idle_s=31.0))
    check_roofline(pool, 10.0, 6.0)
    with pytest.raises(InvariantError, match="roofline"):
        check_roofline(pool, 9.9, 6.0)
    with pytest.raises(InvariantError, match="output"):
        check_roofline(pool, 10.0, 5.7)


def test_many_quantiles_are_those_of_one_at_a_time() -> None:
    sketch = Sketch()
    sketch.add(np.array([0.001, 0.02, 0.02, 3.0, np.nan]))
    shares = [0.0, 0.25, 0.5, 0.999, 1.0]
    assert sketch.values_at(shares).tolist() == [sketch.quantile(share) for share in shares]


def test_durations_beyond_the_histogram_are_in_its_first_and_its_last_bin() -> None:
    for values, place in (([0.0, 1e-12, 1e-9], 0), ([1e9, 1e300], -1)):
        sketch = Sketch()
        sketch.add(np.array([*values, np.nan, np.inf]))
        assert sketch.counts[place] == sketch.n == len(values)
        assert sketch.total == sum(values)
    for value in (1.02e-6, 0.98e6):
        sketch = Sketch()
        sketch.add(np.array([value]))
        assert sketch.counts[0] == sketch.counts[-1] == 0
