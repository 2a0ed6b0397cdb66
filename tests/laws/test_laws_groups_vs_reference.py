"""With several KV cache groups the compiled engine gives what the reference gives: every step, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import configs, random_config, random_requests, random_sessions, step_time, without_drafts, workloads
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws_kernel_vs_reference import assert_same

from simulator.engine.config import Batching, EngineConfig
from simulator.engine.modes.spec import Flight, GroupKind, KvGroup, Modes
from simulator.engine.rules import RULE_SETS
from simulator.fleet.single import run_single
from simulator.rng import stream
from simulator.workload.requests import Requests

pytestmark = pytest.mark.rare_kernels

FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}
LAYOUTS = {
    "window": ("w",),
    "windows and full": ("w", "w", "f"),
    "two windows": ("f", "w", "v"),
    "chunks": ("c", "f"),
    "chunks across blocks": ("f", "d"),
    "states": ("s", "s", "f"),
    "states alone": ("s",),
    "states and windows": ("s", "w", "f"),
    "saved states": ("z", "z", "f"),
    "saved states and windows": ("z", "w", "f"),
    "chunks, windows and full": ("c", "w", "f"),
    "two lengths": ("w", "w", "h"),
    "two lengths of windows": ("x", "v", "f"),
    "three lengths": ("h", "w", "u", "x"),
}


def with_groups(config: EngineConfig, layout: str, flight: str, version: str) -> EngineConfig:
    """The engine with groups; `w` and `v` are windows, `c` and `d` chunks, `s` states, `z` those that kernels save amid
    a chunk, `f` full attention.

    Blocks of `h` and `x`, full attention and a window, hold twice as many tokens (Gemma 4), those of `u` four times.
    """
    plain = replace(without_drafts(config), batching=Batching.CONTINUOUS, drop_last_hit_block=False)
    size, kinds = config.block_size, LAYOUTS[layout]
    caching = config.enable_prefix_caching
    made = {
        "f": KvGroup(GroupKind.FULL, size),
        "h": KvGroup(GroupKind.FULL, 2 * size),
        "u": KvGroup(GroupKind.WINDOW, 4 * size, 5 * size),
        "x": KvGroup(GroupKind.WINDOW, 2 * size, 3 * size),
        "w": KvGroup(GroupKind.WINDOW, size, 2 * size),
        "v": KvGroup(GroupKind.WINDOW, size, 21),
        "c": KvGroup(GroupKind.CHUNK, size, 3 * size),
        "d": KvGroup(GroupKind.CHUNK, size, 19),
        "s": KvGroup(GroupKind.LINEAR, size if caching else config.max_model_len, aligned=caching),
    }
    made["z"] = replace(made["s"], saves_amid_chunk=caching)
    chosen = FLIGHTS[flight]
    modes = Modes(
        groups=tuple(made[kind] for kind in kinds),
        chunks_end_at_states=caching and not {"s", "z"}.isdisjoint(kinds),
        max_in_flight_tokens=plain.max_num_batched_tokens * (chosen.depth if chosen else 1),
        flight=chosen,
    )
    blocks = plain.num_blocks * len(kinds)
    return replace(plain, num_blocks=blocks, modes=modes, rules=RULE_SETS[version], enable_chunked_prefill=True)


@settings(max_examples=250, deadline=None)
@given(
    configs(),
    workloads(),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(FLIGHTS)),
    st.sampled_from(sorted(RULE_SETS)),
    st.data(),
)
def test_small_bursts(
    config: EngineConfig, requests: Requests, layout: str, flight: str, version: str, data: st.DataObject
) -> None:
    stops = data.draw(st.lists(st.booleans(), min_size=len(requests), max_size=len(requests)))
    stopping = replace(requests, stops=np.array(stops) & (flight != "sync"))
    assert_same(with_groups(config, layout, flight, version), stopping)


def large_case(seed: int, n: int = 200) -> tuple[EngineConfig, Requests]:
    rng = stream(seed, "kernel", "groups")
    requests = random_requests(rng, n, float(rng.choice([2.0, 8.0, 40.0])))
    config = random_config(rng)
    config = replace(config, num_blocks=max(8, config.num_blocks // (1 + 2 * (seed % 2))))
    return config, replace(requests, stops=rng.random(n) < (0.0, 0.4)[seed % 2])


@pytest.mark.exhaustive
@pytest.mark.parametrize("flight", ["sync", "async"])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("seed", range(3))
def test_large_random_runs(seed: int, layout: str, flight: str) -> None:
    config, requests = large_case(seed)
    if flight == "sync":
        requests = replace(requests, stops=np.zeros(200, bool))
    assert_same(with_groups(config, layout, flight, sorted(RULE_SETS)[seed % 2]), requests)


@pytest.mark.exhaustive
@pytest.mark.parametrize("layout", ["windows and full", "chunks", "states"])
@pytest.mark.parametrize("flight", ["sync", "async"])
def test_sessions(layout: str, flight: str) -> None:
    rng = stream(1, "kernel", "group sessions")
    config = replace(with_groups(random_config(rng), layout, flight, "0.33.0"), enable_prefix_caching=True)
    if layout == "states":
        config = with_groups(replace(config, modes=Modes()), layout, flight, "0.33.0")
    assert_same(config, random_sessions(rng, 30, 4))


@pytest.mark.exhaustive
def test_the_large_runs_preempt_and_hit() -> None:
    for layout in LAYOUTS:
        runs = [
            run_single(engine, step_time(engine), requests).records
            for engine, requests in (
                (with_groups(config, layout, "sync", "0.32.0"), requests)
                for config, requests in map(large_case, range(6))
            )
        ]
        preempted = any(records["preemptions"].any() for records in runs)
        assert preempted == (layout != "states alone"), layout  # states take the same room whatever the length
        assert any(records["cached_tokens"].any() for records in runs), layout
