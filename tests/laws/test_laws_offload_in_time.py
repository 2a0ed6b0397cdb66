"""Copies to the memory of the CPU and back that take time: when they end, who waits, and that nothing is left over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_laws_offload_vs_reference import BUDGET, SIZE, engines, requests

from simulator.engine.config import EngineConfig
from simulator.engine.modes.offload.spec import NO_LIMIT, Offload, OffloadModes, offload_of, with_offload
from simulator.engine.modes.spec import Flight
from simulator.engine.reference.replay import replay_reference
from simulator.engine.rules import V0_33
from simulator.engine.schedule_trace import ScheduleTrace, TraceRequest
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD, Status
from simulator.fleet.single import RequestList, steps_of
from simulator.perf.steptime import constant_step_time
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, KvTransfer, PoolSpec, RoutingSpec
from simulator.workload.requests import Requests, make_extras, make_requests

pytestmark = pytest.mark.rare_kernels

Prompt = list[tuple[int, int]]


def workload(arrivals_s: list[float], prompts: list[Prompt], osl: list[int]) -> Requests:
    flat = [piece for prompt in prompts for piece in prompt]
    return make_requests(
        np.array(arrivals_s, float),
        np.array([sum(tokens for _, tokens in prompt) for prompt in prompts]),
        np.array(osl),
        segment_start=np.cumsum([0, *map(len, prompts)]),
        segment_id=np.array([name for name, _ in flat]),
        segment_tokens=np.array([tokens for _, tokens in flat]),
    )


def plane_of(config: EngineConfig, asked: Requests, block_s: float, replicas: int = 1) -> tuple[DataPlane, list, list]:
    """Replicas whose steps take a second, and whose link copies a block in `block_s`."""
    step_time = constant_step_time(1.0, config.max_num_batched_tokens, config.max_num_seqs)
    powers = np.zeros(config.max_num_seqs + 1)
    pool = PoolSpec("p", "", 1, replicas, config, step_time, powers, kv_transfer=KvTransfer(block_s, 1.0))
    classes = tuple(ClassSpec(f"{k}", (True,)) for k in range(int(asked.class_id.max()) + 1))
    spec = FleetSpec("p", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), classes)
    records: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    rows: list[NDArray[np.int64]] = [np.zeros((0, 4), np.int64)]
    plane = DataPlane(
        spec, RequestList(asked, tuple(cls.name for cls in classes)), (replicas,), 0, records.append, rows.append
    )
    for r in range(replicas):
        plane.activate(r, 0.0)
    return plane, records, rows


def serve(config: EngineConfig, asked: Requests, block_s: float) -> tuple[NDArray[Any], list[Any], DataPlane]:
    plane, records, rows = plane_of(config, asked, block_s)
    plane.advance(np.inf)
    plane.drain_records()
    plane._drain_log()
    ended = np.sort(np.concatenate(records), order="request")
    return ended, list(steps_of(np.concatenate(rows))), plane


def nothing_is_left(plane: DataPlane) -> None:
    """No copy is under way, no chunk is in use, no request is known, and all blocks are free."""
    offload, replicas = plane.engines.offload, plane.engines.replicas
    assert (offload.replicas["n_jobs"] == 0).all()
    assert (offload.replicas["known_head"] == -1).all()
    assert offload.scalars[0] == len(offload.rows)
    assert sorted(offload.free_rows.tolist()) == list(range(len(offload.rows)))
    assert (offload.row_of == -1).all()
    ready = np.flatnonzero(offload.replicas["is_ready"])
    assert (offload.chunks[ready]["users"][offload.chunks[ready]["list"] != 0] == 0).all()
    assert (replicas["free_blocks"] == plane.engines.pools["num_blocks"][replicas["pool"]] - 1).all()
    assert np.isinf(replicas["step_end_s"]).all()
    assert (replicas["n_kept"] == 0).all()


def small(blocks: int, flight: Flight | None = None, chunks: int = 40) -> EngineConfig:
    modes = OffloadModes(connector=True, flight=flight, offload=Offload(chunks))
    return EngineConfig(blocks, SIZE, 64, 2, 80, rules=V0_33, modes=modes)


TWICE: list[Prompt] = [[(0, 32), (100, 1)], [(1, 44), (101, 1)], [(0, 32), (102, 1)]]
"""A prompt of 8 blocks and a token, one that takes all blocks of a GPU that has 13, and the first one again."""


@pytest.mark.parametrize("block_s", [0.25, 1.5])
def test_an_idle_engine_is_woken_by_the_end_of_a_load(block_s: float) -> None:
    """One block of 8 is still on the GPU, 7 are loaded over the link, then one step computes the last token."""
    ended, steps, plane = serve(small(14), workload([0, 100, 200], TWICE, [2, 2, 2]), block_s)
    assert ended["cached_tokens"].tolist() == [0, 0, 32]
    assert ended["first_token_s"].tolist() == [1.0, 101.0, 200 + 7 * block_s + 1]
    assert [step.scheduled for step in steps][-2:] == [((2, 1, 32),), ((2, 1, 33),)]
    assert plane.engines.offload.replicas[0]["loaded_tokens"] == 28
    nothing_is_left(plane)


@pytest.mark.parametrize(("elsewhere", "cached"), [(False, 32), (True, 0)])
def test_a_reset_forgets_the_memory_of_the_cpu_where_it_is_told_to(elsewhere: bool, cached: int) -> None:
    """All of the first prompt was stored; the GPU has forgotten it, and loads it again unless that memory has, too."""
    plane, records, _ = plane_of(small(14), workload([0, 100, 200], TWICE, [2, 2, 2]), 0.25)
    plane.advance(150.0)
    plane.reset_cache(0, 150.0, False, elsewhere)
    plane.advance(np.inf)
    plane.drain_records()
    ended = np.sort(np.concatenate(records), order="request")
    assert ended["cached_tokens"].tolist() == [0, 0, cached]
    assert plane.engines.offload.replicas[0]["loaded_tokens"] == cached
    nothing_is_left(plane)


@pytest.mark.parametrize(("most", "cached"), [((NO_LIMIT, NO_LIMIT), 32), ((10, NO_LIMIT), 12), ((NO_LIMIT, 23), 20)])
def test_what_is_loaded_and_stored_is_limited_by_class(most: tuple[int, int], cached: int) -> None:
    """Of 32 tokens in blocks of 4 one block is still on the GPU; limits count whole blocks."""
    config = small(14)
    config = replace(config, modes=with_offload(config.modes, Offload(40, most_by_class=(most,))))
    ended, _, plane = serve(config, workload([0, 100, 200], TWICE, [2, 2, 2]), 0.25)
    assert ended["cached_tokens"].tolist() == [0, 0, cached]
    nothing_is_left(plane)


def test_loads_are_one_after_the_other() -> None:
    """Two prompts of 5 blocks that came at once: the second one's begins when the first one's ends."""
    prompts = [[(0, 20), (9, 1)], [(1, 20), (8, 1)], [(2, 44), (7, 1)], [(0, 20), (6, 1)], [(1, 20), (5, 1)]]
    ended, _, plane = serve(small(14), workload([0, 0, 100, 200, 200], prompts, [1] * 5), 0.5)
    assert ended["first_token_s"].tolist()[3:] == [200 + 2.5 + 1, 200 + 5 + 1]
    nothing_is_left(plane)


def test_a_step_waits_for_the_store_whose_blocks_it_writes() -> None:
    """The first prompt's 8 blocks are stored from second 1 on, 2 s each; its blocks go to the second one before."""
    ended, _, plane = serve(small(14), workload([0, 2.5], TWICE[:2], [2, 1]), 2.0)
    assert ended["first_token_s"].tolist() == [1.0, 1 + 16 + 1]
    nothing_is_left(plane)


def test_a_chunk_that_is_still_stored_is_not_loaded_yet() -> None:
    """Without the GPU's cache the second of two equal prompts waits for the first one's store, then for its load."""
    config = replace(small(40), enable_prefix_caching=False)
    ended, _, plane = serve(config, workload([0, 3.25], [TWICE[0], TWICE[0]], [1, 1]), 0.5)
    assert ended["first_token_s"].tolist() == [1.0, 1 + 4 + 4 + 1]
    nothing_is_left(plane)


@st.composite
def cases(draw: st.DrawFn) -> tuple[EngineConfig, tuple[TraceRequest, ...]]:
    config = draw(engines())
    drafts = replace(config.modes, drafts=None)
    config = replace(config, modes=drafts, num_speculative_tokens=0, num_lookahead_tokens=0, draft_slots=0)
    asked = draw(requests())
    free = tuple(replace(row, accept="", stop_after=0) for row in asked)
    return replace(config, drop_last_hit_block=False), free


def limits_of(row: TraceRequest) -> tuple[int, int]:
    load, store = (NO_LIMIT if most is None else most for most in (row.max_load_tokens, row.max_offload_tokens))
    return load, store


def by_class(config: EngineConfig, asked: tuple[TraceRequest, ...]) -> EngineConfig:
    """With a class of requests for each pair of limits."""
    memory = offload_of(config.modes)
    assert memory is not None
    limits = tuple(sorted({limits_of(row) for row in asked}))
    return replace(config, modes=with_offload(config.modes, replace(memory, most_by_class=limits)))


def as_workload(asked: tuple[TraceRequest, ...], gap_s: float, leaves_s: dict[int, float]) -> Requests:
    made = workload(
        [row.arrival_step * gap_s for row in asked],
        [[(int(name), tokens) for name, tokens in row.prompt] for row in asked],
        [row.osl for row in asked],
    )
    made = replace(made, priority=np.array([row.priority for row in asked], made.priority.dtype))
    kinds = sorted({limits_of(row) for row in asked})
    return replace(
        made,
        class_id=np.array([kinds.index(limits_of(row)) for row in asked], made.class_id.dtype),
        extras=make_extras(len(asked), leaves_s=np.array([leaves_s.get(row.id, 0.0) for row in asked])),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    cases(),
    st.sampled_from([0.0, 0.03, 0.4, 3.0]),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.dictionaries(st.integers(0, 13), st.sampled_from([0.5, 2.3, 7.0]), max_size=3),
)
def test_whatever_copies_take_everybody_is_served_and_nothing_is_left(
    case: tuple[EngineConfig, tuple[TraceRequest, ...]], block_s: float, gap_s: float, leaves_s: dict[int, float]
) -> None:
    """But for those who leave, waiting, while their blocks are loaded, or served."""
    config, asked = case
    ended, steps, plane = serve(by_class(config, asked), as_workload(asked, gap_s, leaves_s), block_s)
    assert len(ended) == len(asked)
    stayed = ended[~np.isin(ended["request"], list(leaves_s))]
    assert (stayed["status"] == Status.COMPLETED).all()
    assert (stayed["generated"] == stayed["osl"]).all()
    assert (ended["cached_tokens"] < ended["isl"]).all()
    assert all(sum(tokens for _, tokens, _ in step.scheduled) <= BUDGET for step in steps)
    nothing_is_left(plane)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases())
def test_with_copies_that_take_no_time_plans_are_those_of_the_reference(
    case: tuple[EngineConfig, tuple[TraceRequest, ...]],
) -> None:
    """Of requests that came at once, one plan at a time: each copy is reported with the call that begins it."""
    config, asked = case
    config = replace(config, modes=replace(config.modes, flight=None))
    now = tuple(replace(row, arrival_step=0, load_steps=0, store_steps=0) for row in asked)
    reference = replay_reference(ScheduleTrace("burst", config.rules.version, config, now, ()))
    _, steps, _ = serve(by_class(config, now), as_workload(now, 0.0, {}), 0.0)
    made = [(step.scheduled, step.preempted, step.free_blocks) for step in steps if step.scheduled or step.preempted]
    asked_for = [
        (step.scheduled, step.preempted, step.free_blocks)
        for step in (entry.plain() for entry in reference)
        if step.scheduled or step.preempted
    ]
    assert made == asked_for


def test_a_lost_replica_is_forgotten_with_its_memory_and_others_go_on() -> None:
    """Requests of a replica that is lost begin anew at the other one, whose memory is its own."""
    prompts: list[Prompt] = [[(k % 3, 24), (100 + k, 3)] for k in range(12)]
    plane, records, _ = plane_of(small(16), workload([0.4 * k for k in range(12)], prompts, [6] * 12), 0.3, 2)
    plane.advance(4.2)
    plane.lose(0, 4.2)
    assert plane.engines.offload.replicas[0]["known_head"] == -1
    plane.advance(np.inf)
    plane.drain_records()
    ended = np.concatenate(records)
    done = ended[ended["status"] == Status.COMPLETED]
    late = done["finish_s"] > 4.2
    assert (len(ended), late.sum() > 6) == (12, True)
    assert (done["replica"][late] == 1).all()
    plane.activate(0, 1e3)
    nothing_is_left(plane)
