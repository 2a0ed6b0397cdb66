"""Counts by status and target, terms at their very limit, and the conservation of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, poisson, pool, provider, serve
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.fleet.records import RECORD, Status
from simulator.fleet.simulate import PoolBalance
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.laws import check_counts, check_gpu_seconds, check_little, check_roofline
from simulator.metrics.sketch import Sketch, rank
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.rng import stream
from simulator.study.usage import PoolUsage
from simulator.workload.requests import ClosedLoop, make_requests

CLASSES = (ClassSlo("a", (SloTerm("ttft_s", 0.9, 0.5), SloTerm("tpot_s", 0.5, 0.06))), ClassSlo("b"))
TARGETS = ("p", "api")


def ended(n: int, **columns: Any) -> NDArray[Any]:
    """Requests 0 … n-1 that arrive at time 0, start to answer after 1 s and have all 5 tokens after 3 s."""
    out = np.zeros(n, RECORD)
    base = {"isl": 10, "osl": 5, "generated": 5, "first_token_s": 1.0, "finish_s": 3.0, "request": np.arange(n)}
    for name, values in {**base, **columns}.items():
        out[name] = values
    return out


@pytest.fixture(scope="module")
def served() -> NDArray[Any]:
    """Records of every status but REJECTED: two targets, provider errors, timeouts, a cut at the end."""
    spec = fleet((pool("p"),), (provider(error_probability=0.2),))
    spec = replace(spec, classes=(replace(spec.classes[0], timeout_s=1.0), spec.classes[1]))
    return serve(spec, poisson(stream(3, "metrics"), 300, 20.0), until_s=14.0).records


@given(st.lists(st.integers(0, 300), max_size=6), st.floats(0.0, 10.0))
def test_batches_and_merging_do_not_change_the_summary(served: NDArray[Any], cuts: list[int], warmup_s: float) -> None:
    whole, merged = (MetricAccumulator(CLASSES, warmup_s, 14.0, TARGETS, 1) for _ in range(2))
    whole.add(served)
    for part in np.split(served, sorted(cuts)):
        piece = MetricAccumulator(CLASSES, warmup_s, 14.0, TARGETS, 1)
        piece.add(part)
        merged.merge(piece)
    check_counts(merged)
    expected, found = whole.summary(), merged.summary()
    for name in ("statuses", "slo_terms", "slo_attainment", "targets", "preemptions", "retries", "overflow_share"):
        assert found[name] == expected[name]
    assert found["ttft_s"] == pytest.approx(expected["ttft_s"])


def test_counts_are_those_of_the_records(served: NDArray[Any]) -> None:
    warmup_s = 2.0
    metrics = MetricAccumulator(CLASSES, warmup_s, 14.0, TARGETS, 1)
    metrics.add(served)
    summary = metrics.summary()
    counted = served[served["arrival_s"] >= warmup_s]
    assert len(np.unique(counted["status"])) == 4
    assert summary["arrived"] == len(counted) == sum(summary["statuses"].values())
    for k, name in enumerate(TARGETS):
        sent = counted[counted["target"] == k]
        done = sent[sent["status"] == Status.COMPLETED]
        assert summary["targets"][name] == {
            "requests": len(sent),
            "completed": len(done),
            "input_tokens": done["isl"].sum(),
            "cached_tokens": done["cached_tokens"].sum(),
            "output_tokens": done["generated"].sum(),
        }
    for part in ("requests", "completed"):
        by_class = [row["targets"][name][part] for row in summary["classes"].values() for name in TARGETS]
        assert sum(by_class) == sum(row[part] for row in summary["targets"].values())
    in_window = (served["finish_s"] >= warmup_s) & (served["finish_s"] <= 14.0)
    completed = served[(served["status"] == Status.COMPLETED) & in_window]
    assert summary["throughput_rps"] == pytest.approx(len(completed) / 12.0)
    assert 0 < summary["goodput_rps"] < summary["throughput_rps"]


def test_a_class_among_others_is_counted_as_alone(served: NDArray[Any]) -> None:
    """To the last bit: a class's records keep their order, and the others' are not looked at."""
    whole = MetricAccumulator(CLASSES, 2.0, 14.0, TARGETS, 1)
    for part in np.array_split(served, 7):
        whole.add(part)
    good = 0
    for k, slo in enumerate(CLASSES):
        alone = MetricAccumulator([slo], 2.0, 14.0, TARGETS, 1)
        for part in np.array_split(served, 7):
            alone.add(part[part["class_id"] == k])
        assert whole.term_counts_of(k) == alone.term_counts_of(0)
        mine, its = whole.by_class[k].summary(12.0, TARGETS), alone.by_class[0].summary(12.0, TARGETS)
        assert str(mine) == str(its)
        good += alone.total.good
    assert whole.total.good == good > 0


def test_a_request_without_a_target_belongs_to_none() -> None:
    metrics = MetricAccumulator([ClassSlo("a")], 0.0, 10.0, TARGETS)
    metrics.add(ended(3, status=Status.REJECTED, target=-1))
    assert {row["requests"] for row in metrics.summary()["targets"].values()} == {0}
    assert metrics.summary()["statuses"]["rejected"] == 3


def test_only_equal_classes_and_targets_merge() -> None:
    metrics = MetricAccumulator(CLASSES, 0.0, 1.0, TARGETS)
    for other in (MetricAccumulator(CLASSES, 0.0, 1.0), MetricAccumulator(CLASSES[:1], 0.0, 1.0, TARGETS)):
        with pytest.raises(ValueError, match="same classes and targets"):
            metrics.merge(other)


@pytest.mark.parametrize("percent", [50.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99])
@pytest.mark.parametrize("thousands", [10, 70, 1000])
def test_the_exact_share_is_enough_and_one_less_is_not(percent: float, thousands: int) -> None:
    n = 1000 * thousands
    needed = round(percent * n) // 100
    assert rank(percent / 100, n) == rank(round(percent / 100, 6), n) == needed
    metrics = MetricAccumulator([ClassSlo("a", (SloTerm("ttft_s", percent / 100, 1.0),))], 0.0, 1.0)
    metrics.by_class[0].statuses[Status.COMPLETED] = n
    for kept, met in ((needed, True), (needed - 1, False)):
        metrics.within[0][0] = kept
        assert metrics.terms()[0]["met"] is met


def test_a_class_of_which_nothing_arrived_leaves_the_verdict_open_unless_another_fails() -> None:
    rare = ClassSlo("rare", (SloTerm("ttft_s", 0.99, 1.0),))
    metrics = MetricAccumulator([ClassSlo("a"), rare], 0.0, 1.0)
    metrics.add(ended(2))
    summary = metrics.summary()
    assert summary["slo_met"] is None
    assert [row["met"] for row in summary["slo_terms"]] == [True, None, None]
    assert np.isnan(summary["slo_terms"][1]["share"])
    metrics.add(ended(1, status=Status.REJECTED))
    assert metrics.summary()["slo_met"] is False
    assert MetricAccumulator([rare], 0.0, 1.0).summary()["slo_met"] is None


def test_the_sketch_of_counted_bins_is_that_of_the_values() -> None:
    values = stream(1, "sketch").lognormal(-3.0, 1.0, 5000)
    direct = Sketch()
    direct.add(values)
    counted = Sketch.from_counts(direct.counts)
    assert counted.n == direct.n == 5000
    assert counted.mean == pytest.approx(values.mean(), rel=2.0**-8)
    edges, shares = counted.cdf()
    assert shares == pytest.approx([(values < edge).mean() for edge in edges])
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    "source",
    [
        Source((evenly(20, 0.1), evenly(0, 0.1))),
        Source((), (ClosedLoop(np.zeros(4), replace(evenly(30, 0.0, 5, 5), think_s=np.full(30, 0.1))),)),
    ],
)
def test_every_request_ends_once(source: Source) -> None:
    run = serve(fleet((pool(replicas=2),)), source, until_s=5.0, lose=(0, 0.3))
    metrics = MetricAccumulator(CLASSES, 0.0, 5.0)
    for batch in run.batches:
        metrics.add(batch)
    check_counts(metrics)
    assert metrics.seen > 0


@pytest.mark.parametrize("numbers", [[0, 1, 3], [0, 1, 1], [1, 2], [0, 1, 1, 3]])
def test_a_lost_or_doubled_request_is_found(numbers: list[int]) -> None:
    metrics = MetricAccumulator([ClassSlo("a")], 0.0, 1.0)
    metrics.add(ended(len(numbers), request=numbers))
    with pytest.raises(InvariantError, match="ended"):
        check_counts(metrics)


def test_laws_refuse_what_is_no_number() -> None:
    hours = np.array([100.0])
    pool_usage = PoolUsage("p", "s", 2, 100.0, 10.0, 60.0, 30.0, 0.0, hours, hours, 0, 0, 0, 0, 1, 5, 600, 100, 700)
    for broken in ({"busy_s": np.nan}, {"billed_s": np.nan}, {"billed_by_hour_s": np.array([np.nan])}):
        with pytest.raises(InvariantError):
            check_gpu_seconds(replace(pool_usage, **broken))
    with pytest.raises(InvariantError, match="idle"):
        check_gpu_seconds(replace(pool_usage, idle_s=-30.0, down_s=60.0))
    with pytest.raises(InvariantError, match="roofline"):
        check_roofline(pool_usage, np.nan, 100.0)
    with pytest.raises(InvariantError, match="Little"):
        check_little(PoolBalance("p", np.nan, np.nan, 3, 3))


@pytest.mark.parametrize(("broken", "unsent"), [(0, 4), (2, 2), (4, 0), (None, 0)])
def test_turns_that_a_broken_session_no_longer_sends_count_as_not_served(broken: int | None, unsent: int) -> None:
    turns = 5
    isl = np.full(turns, 10)
    if broken is not None:
        isl[broken] = 5_000  # longer than any replica takes
    requests = make_requests(
        np.array([0.5, *[np.nan] * (turns - 1)]),
        isl,
        np.full(turns, 3),
        next_turn=np.array([*range(1, turns), -1]),
        think_s=np.array([0.0] + [0.5] * (turns - 1)),
    )
    found = MetricAccumulator(CLASSES, 0.0, 50.0)
    found.add(serve(fleet((pool("p"),)), requests, until_s=50.0).records)
    summary = found.summary()
    served = turns if broken is None else broken
    assert (summary["turns_served"], summary["unsent_turns"]) == (served, unsent)
    assert summary["served_share"] == pytest.approx(served / turns)
    term = next(row for row in summary["slo_terms"] if row["class"] == "a" and row["metric"] == "served")
    assert term["of"] == turns
    assert term["met"] is (broken is None)


def test_a_run_that_ends_breaks_no_session() -> None:
    """Turns after the end of arrivals come for nobody, so nobody is held to them."""
    requests = make_requests(
        np.array([0.5, np.nan, np.nan]),
        np.full(3, 10),
        np.full(3, 100),
        next_turn=np.array([1, 2, -1]),
        think_s=np.array([0.0, 0.5, 0.5]),
    )
    found = MetricAccumulator(CLASSES, 0.0, 3.0)
    found.add(serve(fleet((pool("p"),)), requests, until_s=3.0).records)
    assert found.summary()["unsent_turns"] == 0
    assert found.summary()["statuses"]["unfinished"] == 1
