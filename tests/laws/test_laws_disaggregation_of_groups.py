"""Several KV cache groups go from prefill to decode: the compiled fleet gives what the plain-Python reference gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, workloads
from fleet_cases import poisson, serve
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws_disaggregation import LINKS, assert_same, disaggregated, large_case
from test_laws_groups_vs_reference import with_groups
from test_laws_groups_with_drafts import with_both

from simulator.engine.config import Batching, EngineConfig
from simulator.engine.reference.disaggregation import KvLink
from simulator.engine.rules import RULE_SETS
from simulator.engine.state import FREE
from simulator.fleet.records import Status
from simulator.rng import stream
from simulator.study.fleet import FleetSpec
from simulator.workload.requests import Requests, make_requests

pytestmark = pytest.mark.rare_kernels

LAYOUTS = (
    "window",
    "windows and full",
    "two windows",
    "chunks",
    "states",
    "states alone",
    "states and windows",
    "two lengths",
)
DRAFTERS = ("none", "none", "eagle", "n-grams", "draft model")


def one_side(config: EngineConfig, layout: str, drafter: str, flight: str, version: str) -> EngineConfig:
    """An engine of either role; beside a connector a drafter that reads hidden states always gives up a block."""
    plain = replace(config, batching=Batching.CONTINUOUS)
    if drafter == "none" or (drafter == "eagle" and layout in ("chunks", "two lengths")):
        made = with_groups(plain, layout, flight, version)
        return replace(made, modes=replace(made.modes, connector=True))
    made = with_both(plain, layout, drafter, flight, version)
    drafts = made.modes.drafts
    assert drafts is not None
    modes = replace(made.modes, connector=True, drafts=replace(drafts, num_hash_lookahead_tokens=0))
    return replace(made, drop_last_hit_block=drafter == "eagle", modes=modes)


@settings(max_examples=150, deadline=None)
@given(
    configs(),
    configs(),
    LINKS,
    workloads(),
    st.sampled_from(LAYOUTS),
    st.sampled_from(DRAFTERS),
    st.sampled_from(["async, async", "sync, sync", "async, sync"]),
    st.sampled_from(sorted(RULE_SETS)),
)
def test_small_bursts(
    prefill: EngineConfig,
    decode: EngineConfig,
    link: KvLink,
    requests: Requests,
    layout: str,
    drafter: str,
    flights: str,
    version: str,
) -> None:
    first, second = flights.split(", ")
    decode = replace(decode, block_size=prefill.block_size)
    assert_same(
        one_side(prefill, layout, drafter, first, version),
        one_side(decode, layout, drafter, second, version),
        link,
        requests,
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("flights", ["async, async", "sync, sync"])
@pytest.mark.parametrize("seed", range(8))
def test_large_random_runs(seed: int, flights: str) -> None:
    prefill, decode, link, requests = large_case(seed)
    first, second = flights.split(", ")
    layout, drafter = LAYOUTS[seed % 8], DRAFTERS[seed // 2 + 1]
    version = sorted(RULE_SETS)[seed // 2 % 2]
    run = assert_same(
        one_side(prefill, layout, drafter, first, version),
        one_side(decode, layout, drafter, second, version),
        link,
        requests,
    )
    assert all(np.isfinite(record.finish_s) for record in run.records)


@pytest.mark.parametrize(("layout", "blocks"), [("windows and full", 10 + 3 + 3), ("two windows", 10 + 3 + 2)])
def test_a_window_sends_what_it_reads(layout: str, blocks: int) -> None:
    """A prompt of 150 tokens in blocks of 16: 10 of full attention, 3 of a window of 32, 2 of one of 21."""
    engine = EngineConfig(num_blocks=400, max_model_len=200, max_num_seqs=8, enable_prefix_caching=False)
    side = one_side(engine, layout, "none", "sync", "0.33.0")
    (record,) = assert_same(side, side, KvLink(1.0, 1.0, 0.0), make_requests(np.zeros(1), [150], [2])).records
    assert record.transferred_s is not None
    assert record.prefilled_s is not None
    assert record.transferred_s - record.prefilled_s == pytest.approx(blocks)


@pytest.mark.exhaustive
@settings(max_examples=40, deadline=None)
@given(disaggregated(), st.integers(0, 10), st.sampled_from([2.0, 1e5]), st.integers(-1, 4), st.floats(0.1, 8.0))
def test_nothing_is_lost_whatever_fails(spec: FleetSpec, seed: int, until_s: float, lost: int, lost_s: float) -> None:
    """One status for each request, whole answers, and all blocks and slots come back on both sides."""
    layout, version = LAYOUTS[seed % 8], sorted(RULE_SETS)[seed % 2]
    pools = tuple(
        replace(pool, engine=one_side(pool.engine, layout, DRAFTERS[seed % 5], ("sync", "async")[seed % 2], version))
        for pool in spec.pools
    )
    rng = stream(seed, "laws", "disaggregation of groups")
    requests = poisson(rng, 120, 25.0, priority=rng.integers(0, 3, 120))
    n_replicas = sum(pool.replicas for pool in pools)
    lose = (lost, min(lost_s, until_s)) if 0 <= lost < n_replicas else None
    run = serve(replace(spec, pools=pools), requests, until_s=until_s, lose=lose)
    records, engines = run.records, run.plane.engines
    assert sorted(records["request"]) == list(range(int((requests.arrival_s <= until_s).sum())))
    assert (engines.slots["state"] == FREE).all()
    done = records[records["status"] == Status.COMPLETED]
    assert (done["generated"] == requests.osl[done["request"]]).all()
    for r, replica in enumerate(engines.replicas):
        if until_s == 1e5 and (lose is None or lose[0] != r):
            assert replica["free_blocks"] == pools[replica["pool"]].engine.num_blocks - 1


def test_a_prompt_whose_state_is_cached_is_not_fetched_again() -> None:
    """Of 65 tokens in blocks of 16 four blocks and the state behind them were fetched; the last token is not sent."""
    engine = EngineConfig(num_blocks=400, max_model_len=200, max_num_seqs=8, enable_prefix_caching=True)
    side = one_side(engine, "states", "none", "sync", "0.33.0")
    shared = {"segment_start": np.arange(3), "segment_id": np.zeros(2, np.int64), "segment_tokens": np.full(2, 65)}
    requests = make_requests(np.array([0.0, 500.0]), [65, 65], [2, 2], **shared)
    first, second = assert_same(side, side, KvLink(1.0, 1.0, 30.0), requests).records
    assert first.transferred_s is not None
    assert first.prefilled_s is not None
    assert first.transferred_s - first.prefilled_s == pytest.approx(30.0 + 4 + 2)
    assert second.transferred_s == second.prefilled_s
