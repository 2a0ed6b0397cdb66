"""Calls of token APIs: repeated within bounds, each attempt with luck of its own, counted once; the work of pools."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import ENGINE, Source, evenly, fleet, poisson, pool, provider, serve
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.records import Reason, Status
from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.state import CALLS, CALLS_FAILED, CALLS_RETRIED, WORK_THROWN_INPUT
from simulator.rng import stream
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, ClassSpec, Outages, PromptCache, RetryDelay, RoutingSpec, ServiceTier
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Constant, Sessions, Uniform, WorkloadSpec

CALM = {"ttft_median_s": 0.5, "ttft_sigma": 0.0, "tpot_median_s": 0.01, "tpot_sigma": 0.0}


def classes(**changes: float) -> tuple[ClassSpec, ...]:
    return tuple(ClassSpec(name, (True,), **changes) for name in ("a", "b"))


def test_errors_are_repeated_and_each_attempt_has_its_own_luck() -> None:
    n = 3000
    run = serve(
        fleet((), (provider(**CALM, error_probability=0.5),), classes=classes(max_retries=40)),
        poisson(stream(1, "calls"), n, 5.0),
    )
    records, counts = run.records, run.plane.calls()[0].sum(axis=(0, 1))
    assert (records["status"] == Status.COMPLETED).all()
    for k in range(3):
        again = (records["retries"] > k).sum() / (records["retries"] >= k).sum()
        assert abs(again - 0.5) < 0.08
    assert counts[CALLS] == n
    assert counts[CALLS_FAILED] == counts[CALLS_RETRIED] == records["retries"].sum()


def test_pauses_double_up_to_a_most() -> None:
    retry = RetryDelay(initial_s=1.0, max_s=3.0)
    run = serve(
        fleet((), (provider(**CALM, error_probability=0.6, retry=retry),), classes=classes(max_retries=40)),
        evenly(300, 100.0, 5, 2),
    )
    pauses = np.cumsum([0.0, *(0.5 + min(2.0**k, 3.0) for k in range(40))])
    waited = run.records["scheduled_s"] - run.records["arrival_s"]
    assert waited == pytest.approx(pauses[run.records["retries"]])
    assert run.records["retries"].max() > 3


def test_jitter_leaves_out_at_most_its_share() -> None:
    retry = RetryDelay(2.0, 2.0, 0.25)
    run = serve(
        fleet((), (provider(**CALM, error_probability=0.5, retry=retry),), classes=classes(max_retries=1)),
        evenly(2000, 100.0, 5, 2),
    )
    once = run.records[(run.records["retries"] == 1) & (run.records["status"] == Status.COMPLETED)]
    pause = once["scheduled_s"] - once["arrival_s"] - 0.5
    assert 1.5 <= pause.min() < 1.52
    assert 1.98 < pause.max() <= 2.0
    failed = run.records[run.records["status"] == Status.FAILED]
    assert (failed["reason"] == Reason.ERROR).all()
    assert abs(len(failed) / 2000 - 0.25) < 0.04


def test_no_call_is_repeated_beyond_the_timeout() -> None:
    retry = RetryDelay(1.0, 1.0)
    api = provider(**CALM, error_probability=0.9, retry=retry)
    records = serve(fleet((), (api,), classes=classes(timeout_s=4.0, max_retries=99)), evenly(400, 100.0, 5, 2)).records
    assert records["retries"].max() == 2
    assert (records["finish_s"] - records["arrival_s"] <= 4.0 + 0.01).all()
    assert set(records["status"]) == {Status.COMPLETED, Status.FAILED}


def test_what_a_rate_limit_refuses_comes_again() -> None:
    """10 requests a minute, 30 at once: the bucket's 10 at first, then one each 6 s as repetitions find it filled."""
    api = provider(**CALM, error_probability=0.0, requests_per_minute=10.0, max_wait_s=0.0, retry=RetryDelay(6.0, 6.0))
    for retries, served in ((0, 10), (5, 15), (20, 30)):
        run = serve(fleet((), (api,), classes=classes(max_retries=retries)), evenly(30, 0.0, 5, 2))
        done = run.records["status"] == Status.COMPLETED
        assert done.sum() == served
        assert (run.records["reason"][~done] == Reason.RATE_LIMIT).all()
        assert (run.records["status"][~done] == Status.REJECTED).all()
        counts = run.plane.calls()[0].sum(axis=(0, 1))
        assert counts[CALLS] == served
        assert counts[CALLS] + counts[CALLS_FAILED] == 30 + run.records["retries"].sum()


def test_an_outage_is_waited_out() -> None:
    api = provider(**CALM, error_probability=0.0, outages=Outages(windows=((10.0, 20.0),)), retry=RetryDelay(4.0, 4.0))
    for retries, status in ((1, Status.FAILED), (4, Status.COMPLETED)):
        batches: list[np.ndarray] = []
        run = simulate_fleet(
            fleet((), (api,), classes=classes(max_retries=retries)),
            Source((evenly(40, 0.5, 5, 2),)),
            horizon_s=100.0,
            drain_s=0.0,
            warmup_s=0.0,
            seed=1,
            sink=batches.append,
        )
        records = np.concatenate(batches)
        early = records[(records["arrival_s"] >= 10.0) & (records["arrival_s"] < 12.0)]
        assert (early["status"] == status).all()
        usage = run.usage.providers[0]
        assert usage.calls.sum() == (records["status"] == Status.COMPLETED).sum()
        assert usage.failed == (records["reason"] == Reason.OUTAGE).sum()


def latency_by_prompt(replicas: int, chunk: int) -> dict[int, tuple[int, float]]:
    """By prompt length, which no two requests share: whether it went on to the API, and how long that took."""
    sessions = Sessions(1.0, Constant(4), 2.0, Uniform(20, 90), 10)
    source = build_source(
        WorkloadSpec((ClassWorkload("a", sessions, None, Uniform(5, 40)),)), 400.0, 3, chunk_requests=chunk
    )
    routing = RoutingSpec(TargetRouting.CASCADE, (0, 1), cascade=CascadeSpec(share=0.5))
    spec = fleet(
        (pool(replicas=replicas),), (provider(error_probability=0.3),), routing, (ClassSpec("a", (True,) * 2),)
    )
    records = serve(spec, Source(tuple(source.chunks()))).records
    keys = records["isl"].astype(np.int64) * 1000 + records["osl"]
    once = np.unique(keys, return_counts=True)
    single = np.isin(keys, once[0][once[1] == 1])
    took = np.nan_to_num(records["first_token_s"] - records["scheduled_s"])
    return {
        int(key): (int(on), round(float(s), 6))
        for key, on, s in zip(
            keys[single],
            records["escalated"][single],
            np.where(records["escalated"] == 1, took, 0)[single],
            strict=True,
        )
    }


def test_a_bigger_fleet_meets_the_same_luck() -> None:
    """Turns arrive in another order there; which go on and what the API takes for them stays."""
    small, large = latency_by_prompt(1, 64), latency_by_prompt(4, 1000)
    common = small.keys() & large.keys()
    assert len(common) > 150
    assert all(small[key] == large[key] for key in common)
    assert {on for on, _ in small.values()} == {0, 1}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), st.booleans())
def test_work_is_that_of_the_answers_given(seed: int, caching: bool) -> None:
    rng = stream(seed, "work")
    n = 60
    segments = {
        "segment_start": np.arange(n + 1),
        "segment_id": rng.integers(0, 3, n),
        "segment_tokens": np.full(n, 33),
    }
    requests = poisson(rng, n, 3.0)
    requests = replace(requests, isl=requests.isl + np.int32(33), **segments) if caching else requests
    run = serve(fleet((pool(replicas=2, engine=replace(ENGINE, enable_prefix_caching=caching)),)), requests)
    records, work = run.records, run.plane.work()[0]
    for c in (0, 1):
        mine = records[(records["class_id"] == c) & (records["status"] == Status.COMPLETED)]
        isl, osl, cached = (mine[name].astype(np.int64) for name in ("isl", "osl", "cached_tokens"))
        read = sum(sum(i + j for j in range(1, o)) for i, o in zip(isl.tolist(), osl.tolist(), strict=True))
        pairs = sum(sum(range(h + 1, i + 1)) for i, h in zip(isl.tolist(), cached.tolist(), strict=True))
        assert work[c].tolist() == [len(mine), (isl - cached).sum(), cached.sum(), osl.sum(), read, pairs, 0, 0]
    assert work[:, :WORK_THROWN_INPUT][:, 3].sum() == run.plane.engines.replicas["output_tokens"].sum()


def test_a_prompt_computed_elsewhere_is_the_work_of_that_pool() -> None:
    spec = fleet((pool("prefill", hands_to=1), pool("decode")), routing=RoutingSpec(TargetRouting.WEIGHTED, (0,)))
    run = serve(spec, evenly(5, 10.0, 20, 4))
    assert run.plane.work()[0].sum(axis=0).tolist() == [0, 100, 0, 0, 0, 5 * 210, 0, 0]
    assert run.plane.work()[1].sum(axis=0).tolist() == [5, 0, 0, 20, 5 * (20 + 21 + 22 + 23), 0, 0, 0]


def test_calls_are_counted_by_class_and_price_band() -> None:
    api = provider(**CALM, error_probability=0.2, price_bands=(0, 20, 40))
    requests = poisson(stream(5, "calls"), 800, 5.0)
    run = serve(fleet((), (api,), classes=classes(max_retries=0)), requests)
    records = run.records
    for c in (0, 1):
        for band, (low, high) in enumerate(((0, 20), (20, 40), (40, 99))):
            mine = records[(records["class_id"] == c) & (records["isl"] > low) & (records["isl"] <= high)]
            done = mine[mine["status"] == Status.COMPLETED]
            counts = run.plane.calls()[0, c, band]
            assert counts[[0, 3]].tolist() == [done["isl"].sum(), done["osl"].sum()]
            assert counts[[CALLS, CALLS_FAILED]].tolist() == [len(done), len(mine) - len(done)]


def test_a_batch_is_answered_within_its_window_and_counted_at_once() -> None:
    tiers = (ServiceTier(batch_window_s=86_400.0), ServiceTier(latency_factor=2.0))
    run = serve(
        fleet((), (provider(**CALM, error_probability=0.0, tier_by_class=tiers),)),
        poisson(stream(6, "calls"), 2000, 5.0),
        until_s=1000.0,
    )
    records = run.records
    assert (records["status"] == Status.COMPLETED).all()
    batch = records["class_id"] == 0
    took = records["finish_s"] - records["arrival_s"]
    assert took[batch].max() <= 86_400.0
    assert abs(took[batch].mean() / 43_200.0 - 1.0) < 0.1
    assert records["first_token_s"][~batch] - records["arrival_s"][~batch] == pytest.approx(1.0)
    assert run.plane.calls()[0, 0, 0, CALLS] == batch.sum()


def test_batches_neither_wait_for_rate_limits_nor_take_from_them() -> None:
    """Of 2,000 calls in 200 s 63.7 and 63.7 a minute get through, as without as many batches beside."""
    tiers = (ServiceTier(batch_window_s=86_400.0), ServiceTier())
    limits = {"requests_per_minute": 63.7, "tokens_per_minute": 655.0, "max_wait_s": 0.0}
    api = provider(**CALM, error_probability=0.0, tier_by_class=tiers, **limits)
    spec = fleet((), (api,), classes=classes(max_retries=0))
    both = serve(spec, evenly(4000, 0.05, 7, 3, class_id=(np.arange(4000) % 2).astype(np.int32))).by_arrival
    alone = evenly(2000, 0.1, 7, 3, class_id=np.ones(2000, np.int32))
    only = serve(spec, replace(alone, arrival_s=0.05 * np.arange(1.0, 4000.0, 2.0))).by_arrival
    batch = both["class_id"] == 0
    assert (both["status"][batch] == Status.COMPLETED).all()
    assert (both["scheduled_s"] == both["arrival_s"])[batch].all()
    assert both["status"][~batch].tolist() == only["status"].tolist()
    assert (only["status"] == Status.COMPLETED).sum() == int(63.7 + 63.7 / 60 * 199.95)


def test_each_refusal_says_why() -> None:
    short = replace(ENGINE, max_model_len=50)
    narrow = pool(engine=replace(short, max_num_seqs=1), max_waiting_per_replica=1)
    kinds = (ClassSpec("a", (True,)), ClassSpec("b", (False,)))
    mixed = replace(evenly(40, 0.0, 5, 20), class_id=(np.arange(40) % 2).astype(np.int32))
    records = serve(fleet((narrow,), classes=kinds), mixed).by_arrival
    inside = records["class_id"] == 0
    assert set(records["reason"][inside]) == {Reason.NONE, Reason.QUEUE_FULL}
    assert set(records["reason"][~inside]) == {Reason.DATA_CLASS}
    long = serve(fleet((narrow,), classes=kinds), replace(evenly(4, 9.0, 60, 5))).records
    assert set(long["reason"]) == {Reason.TOO_LONG}
    lost = serve(fleet((pool(),), classes=classes(max_retries=0)), evenly(4, 0.0, 5, 90), lose=(0, 1.0)).records
    assert set(lost["reason"]) == {Reason.REPLICA_LOST}
    limits = RoutingSpec(TargetRouting.COMPLEXITY, (0,), max_complexity=(0.5,))
    complexity = np.full(3, 0.9, np.float32)
    hard = serve(fleet((pool(),), (), limits, classes()), evenly(3, 1.0, complexity=complexity)).records
    assert set(hard["reason"]) == {Reason.NO_TARGET}


def test_a_repeated_call_finds_the_cache_as_it_is_then() -> None:
    """The error leaves nothing in the cache; the answered call is the one that counts."""
    columns = {"segment_start": np.arange(201), "segment_id": np.zeros(200), "segment_tokens": np.full(200, 30)}
    api = provider(**CALM, error_probability=0.4, cache=PromptCache(1e6))
    run = serve(fleet((), (api,), classes=classes(max_retries=30)), evenly(200, 5.0, 40, 2, **columns))
    counts = run.plane.calls()[0].sum(axis=(0, 1))
    assert counts[:2].tolist() == [200 * 40 - 199 * 30, 199 * 30]
