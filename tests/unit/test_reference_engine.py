"""The reference engine against timelines worked out by hand and against exact recursions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.reference.engine import RequestRecord, run_reference
from simulator.engine.reference.limits import can_serve
from simulator.engine.reference.plan import Plan
from simulator.engine.reference.request import ContentHasher, Request
from simulator.engine.reference.scheduler import Scheduler
from simulator.perf.steptime import Launches, StepTime, constant_step_time
from simulator.rng import stream
from simulator.workload.requests import make_requests

SMALL = EngineConfig(num_blocks=101, block_size=4, max_num_batched_tokens=16, max_num_seqs=8, max_model_len=100)
SECOND = constant_step_time(1.0, 16, 8)


def by_row(records: list[RequestRecord]) -> list[RequestRecord]:
    return sorted(records, key=lambda record: record.row)


def test_a_timeline_by_hand() -> None:
    """Prompts 20 and 3: 16 tokens, then 4 + 3, then one token each; the second arrives exactly as a step ends."""
    requests = make_requests(np.array([0.5, 1.5]), np.array([20, 3]), np.array([2, 1]))
    run = run_reference(SMALL, SECOND, requests)
    assert [(s.start_s, s.scheduled, s.free_blocks) for s in run.steps] == [
        (0.5, ((0, 16, 0),), 96),
        (1.5, ((0, 4, 16), (1, 3, 0)), 94),
        (2.5, ((0, 1, 20),), 94),
    ]
    first, second = by_row(run.records)
    assert (first.scheduled_s, first.first_token_s, first.finish_s) == (0.5, 2.5, 3.5)
    assert (second.scheduled_s, second.first_token_s, second.finish_s) == (1.5, 2.5, 2.5)
    assert run.end_s == 3.5


def test_a_step_lasts_what_the_equation_says() -> None:
    tokens = np.arange(17.0)
    time = StepTime(np.stack([1 + tokens, 10 + tokens]), np.linspace(0.0, 2.0, 9), 1e-3, 1e-2, False, "test")
    run = run_reference(SMALL, time, make_requests(np.array([0.0, 0.0]), np.array([6, 18]), np.array([2, 1])))
    prefill = (10 + 16) + 2 * 0.25 + 1e-3 * (6 * 3.5 + 10 * 5.5)
    mixed = (10 + 9) + 2 * 0.25 + 1e-3 * (8 * (10 + 4.5)) + 1e-2 * 7
    assert [s.end_s - s.start_s for s in run.steps] == pytest.approx([prefill, mixed], rel=1e-15)


@pytest.mark.parametrize(
    ("captured", "prefill_s", "mixed_s"), [(8, 40.0, 40.0), (12, 40.0, 30.0), (16, 30.0, 30.0), (0, 40.0, 40.0)]
)
def test_a_step_lasts_no_less_than_its_launches(captured: int, prefill_s: float, mixed_s: float) -> None:
    """Steps of 16 and 9 tokens with prompts: in pieces up to the largest captured batch, without a graph beyond."""
    time = replace(SECOND, seq_time_s=np.full(9, 0.5), launches=Launches(30.0, 40.0, captured))
    run = run_reference(SMALL, time, make_requests(np.array([0.0, 0.0]), np.array([6, 18]), np.array([2, 1])))
    assert [s.end_s - s.start_s for s in run.steps] == [prefill_s + 0.5, mixed_s + 0.5]


@pytest.mark.parametrize(("captured", "lasts_s"), [(1, 1.0), (0, 40.0)])
def test_a_whole_graph_is_launched_at_once(captured: int, lasts_s: float) -> None:
    time = replace(SECOND, launches=Launches(30.0, 40.0, captured))
    run = run_reference(SMALL, time, make_requests(np.array([0.0]), np.array([6]), np.array([4])))
    assert [s.end_s - s.start_s for s in run.steps][1:] == [lasts_s] * 3


def test_one_at_a_time_is_lindley_recursion() -> None:
    """A server that serves one at a time, osl steps each: finish = max(arrival, finish before) + service."""
    generator = stream(3, "lindley")
    arrival_s = np.cumsum(generator.integers(0, 12, 300)) / 4.0
    osl = generator.integers(1, 9, 300)
    config = replace(SMALL, batching=Batching.ONE_AT_A_TIME)
    records = by_row(run_reference(config, SECOND, make_requests(arrival_s, np.full(300, 5), osl)).records)
    finish = 0.0
    for record, arrival, steps in zip(records, arrival_s, osl, strict=True):
        finish = max(arrival, finish) + steps
        assert record.finish_s == finish


def test_static_batching_admits_only_into_an_empty_engine() -> None:
    requests = make_requests(np.array([0.0, 0.0, 0.5]), np.array([4, 4, 4]), np.array([1, 3, 1]))
    static = by_row(run_reference(replace(SMALL, batching=Batching.STATIC), SECOND, requests).records)
    continuous = by_row(run_reference(SMALL, SECOND, requests).records)
    assert [record.scheduled_s for record in static] == [0.0, 0.0, 3.0]
    assert [record.scheduled_s for record in continuous] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("budget", [128, 1_000, 10_000])
def test_a_static_batch_is_as_large_whatever_the_token_budget(budget: int) -> None:
    """64 prompts of 300 tokens: all are in the batch, the 65th waits for the last of them."""
    config = EngineConfig(
        num_blocks=9_000, max_num_batched_tokens=budget, max_num_seqs=64, max_model_len=1_000, batching=Batching.STATIC
    )
    requests = make_requests(np.zeros(65), np.full(65, 300), np.full(65, 330))
    step_time = constant_step_time(1.0, budget, 64)
    run = run_reference(config, step_time, requests)
    assert max(len(step.scheduled) for step in run.steps) == 64
    records = by_row(run.records)
    assert records[64].scheduled_s == max(record.finish_s for record in records[:64])


@pytest.mark.parametrize(("accepted", "decode_steps"), [(0, 9), (1, 5), (3, 3)])
def test_speculative_decoding_yields_one_token_and_the_accepted_drafts(accepted: int, decode_steps: int) -> None:
    config = replace(SMALL, num_speculative_tokens=3, num_lookahead_tokens=3)
    requests = make_requests(np.zeros(1), np.array([7]), np.array([10]))
    run = run_reference(config, SECOND, requests, lambda number, generated, drafted: min(drafted, accepted))
    assert run.steps[0].scheduled == ((0, 7, 0),)
    assert [step.scheduled for step in run.steps[1:]] == [
        ((0, 4, 7 + k * (accepted + 1)),) for k in range(decode_steps)
    ]
    assert run.records[0].generated == 10


def test_drafts_are_trimmed_to_the_budget_and_to_the_context() -> None:
    config = replace(SMALL, num_speculative_tokens=5, max_num_batched_tokens=8, max_model_len=24)
    two = make_requests(np.zeros(2), np.array([4, 4]), np.array([9, 9]))
    run = run_reference(config, constant_step_time(1.0, 8, 8), two, lambda *_: 0)
    assert run.steps[1].scheduled == ((0, 6, 4), (1, 2, 4))
    near_the_end = make_requests(np.zeros(1), np.array([20]), np.array([4]))
    run = run_reference(config, constant_step_time(1.0, 8, 8), near_the_end, lambda *_: 0)
    assert [step.scheduled[0] for step in run.steps[3:]] == [(0, 3, 20), (0, 2, 21), (0, 1, 22)]


def test_speculative_decoding_needs_to_know_what_is_accepted() -> None:
    with pytest.raises(ValueError, match="accepted"):
        Scheduler(replace(SMALL, num_speculative_tokens=2))


def test_acceptance_is_asked_for_the_request_with_what_it_has_generated() -> None:
    """Two requests of 6 tokens, 2 drafts: all accepted for the first, none for the second."""
    asked: list[tuple[int, int, int]] = []

    def accepted(number: int, generated: int, drafted: int) -> int:
        asked.append((number, generated, drafted))
        return drafted if number == 0 else 0

    config = replace(SMALL, num_speculative_tokens=2)
    requests = make_requests(np.zeros(2), np.array([3, 3]), np.array([6, 6]))
    run = run_reference(config, SECOND, requests, accepted)
    assert [entry for entry in asked if entry[0] == 0] == [(0, 1, 2), (0, 4, 2)]
    assert [entry for entry in asked if entry[0] == 1] == [(1, generated, 2) for generated in range(1, 6)]
    assert [(record.row, record.finish_s) for record in run.records] == [(0, 3.0), (1, 6.0)]


def test_lookahead_slots_take_blocks_ahead() -> None:
    """Four tokens fill a block of four; two slots ahead take a second one."""
    requests = make_requests(np.zeros(1), np.array([4]), np.array([1]))
    none = replace(SMALL, num_speculative_tokens=2)
    ahead = replace(none, num_lookahead_tokens=2)
    free = [run_reference(c, SECOND, requests, lambda *_: 0).steps[0].free_blocks for c in (none, ahead)]
    assert free == [99, 98]


def test_a_fully_cached_prompt_recomputes_its_last_block_and_eagle_one_more() -> None:
    shared = {
        "segment_start": np.array([0, 1, 2]),
        "segment_id": np.array([5, 5]),
        "segment_tokens": np.array([16, 16]),
    }
    requests = make_requests(np.array([0.0, 9.0]), np.array([16, 16]), np.array([1, 1]), **shared)
    for drop, hit in ((False, 12), (True, 8)):
        run = run_reference(replace(SMALL, drop_last_hit_block=drop), SECOND, requests)
        assert run.steps[1].scheduled == ((1, 16 - hit, hit),)
        assert by_row(run.records)[1].cached_tokens == hit


def test_the_next_turn_finds_prompt_and_output_of_the_one_before() -> None:
    """Turn 1: 6 + 5 tokens of conversation 7; turn 2 repeats the 11 and adds 4. Ten were computed: two full blocks."""
    turns = {
        "session_id": np.array([7, 7]),
        "next_turn": np.array([1, -1]),
        "think_s": np.array([0.0, 2.5]),
        "segment_start": np.array([0, 1, 2]),
        "segment_id": np.array([7, 7]),
        "segment_tokens": np.array([6, 15]),
    }
    for continues, hit in ((True, 8), (False, 4)):
        requests = make_requests(
            np.array([1.0, np.nan]),
            np.array([6, 15]),
            np.array([5, 1]),
            output_continues=np.full(2, continues),
            **turns,
        )
        second = by_row(run_reference(SMALL, SECOND, requests).records)[1]
        assert (second.arrival_s, second.cached_tokens) == (8.5, hit)


def test_a_turn_without_a_pause_is_seen_as_the_one_before_ends() -> None:
    turns = {"next_turn": np.array([1, -1]), "think_s": np.zeros(2)}
    run = run_reference(
        SMALL, SECOND, make_requests(np.array([0.0, np.nan]), np.array([3, 3]), np.array([1, 1]), **turns)
    )
    assert [step.start_s for step in run.steps] == [0.0, 1.0]


def test_requests_that_can_never_be_served_are_rejected_at_arrival() -> None:
    tight = replace(SMALL, num_blocks=6, max_model_len=24)
    requests = make_requests(np.array([0.0, 1.0, 2.0]), np.array([20, 20, 20]), np.array([5, 2, 1]))
    records = by_row(run_reference(tight, SECOND, requests).records)
    assert [record.status for record in records] == ["rejected", "rejected", "completed"]
    assert [record.finish_s for record in records] == [0.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("change", "isl", "osl", "served"),
    [
        ({}, 99, 1, True),
        ({}, 99, 2, False),
        ({"num_blocks": 6}, 20, 1, True),
        ({"num_blocks": 6}, 20, 2, False),
        ({"num_blocks": 6, "num_speculative_tokens": 2}, 18, 2, False),
        ({"num_blocks": 6, "num_speculative_tokens": 2, "max_model_len": 20}, 18, 2, True),
        ({"num_blocks": 6, "num_speculative_tokens": 2, "num_lookahead_tokens": 2}, 17, 1, True),
        ({"num_blocks": 6, "num_speculative_tokens": 2, "num_lookahead_tokens": 2}, 19, 1, False),
        ({"enable_chunked_prefill": False}, 16, 1, True),
        ({"enable_chunked_prefill": False}, 16, 2, False),
    ],
)
def test_what_an_empty_replica_can_serve(change: dict[str, Any], isl: int, osl: int, served: bool) -> None:
    assert can_serve(replace(SMALL, **change), isl, osl) is served


def test_a_waiting_request_can_be_aborted() -> None:
    scheduler = Scheduler(replace(SMALL, max_num_seqs=1))
    for number in range(3):
        scheduler.add(Request(number, 0.0, isl=4, osl=2))
    scheduler.update(scheduler.schedule())
    scheduler.abort(1)
    served = []
    while scheduler.has_requests:
        plan = scheduler.schedule()
        served += [number for number, _, _ in plan.scheduled]
        scheduler.update(plan)
    assert served == [0, 2, 2]


def test_priority_preempts_the_least_urgent() -> None:
    """Five blocks, both prompts fill two each; the urgent one needs the block that the other had just taken."""
    config = replace(SMALL, num_blocks=6, policy=Policy.PRIORITY, max_num_batched_tokens=20)
    scheduler = Scheduler(config)
    scheduler.add(Request(0, 0.0, isl=8, osl=5, priority=1))
    scheduler.update(scheduler.schedule())
    scheduler.add(Request(1, 1.0, isl=8, osl=5, priority=0))
    scheduler.update(scheduler.schedule())
    plan = scheduler.schedule()
    assert plan.preempted == [0]
    assert plan.scheduled == [(1, 1, 8)]
    assert plan.free_blocks == 2


def test_a_victim_returns_its_tokens_of_this_step_to_the_budget() -> None:
    """Budget 16, cap 10: the long prompt gets 10 tokens and the last free blocks, then loses both to the urgent two."""
    config = replace(SMALL, num_blocks=12, policy=Policy.PRIORITY, long_prefill_token_threshold=10)
    scheduler = Scheduler(config)
    scheduler.add(Request(0, 0.0, isl=40, osl=1, priority=1))
    scheduler.update(scheduler.schedule())
    scheduler.add(Request(1, 1.0, isl=4, osl=5))
    scheduler.add(Request(2, 2.0, isl=12, osl=5))
    plan = scheduler.schedule()
    assert plan.scheduled == [(0, 10, 16), (1, 4, 0), (2, 2, 0)]
    scheduler.update(plan)
    plan = scheduler.schedule()
    assert plan.preempted == [0]
    assert plan.scheduled == [(1, 1, 4), (2, 10, 2)]


def test_tokens_and_their_drafts_slots_are_taken_back_whole() -> None:
    """40 tokens of a plan and 44 inputs of a step, two of these kept for drafts beside each request: 44 - 2·2 = 40."""
    plan, first, second = Plan(40, 44, 2, 100), Request(0, 0.0, isl=40, osl=1), Request(1, 0.0, isl=40, osl=1)
    plan.give(first, 10)
    assert (plan.budget, plan.inputs, plan.room, plan.is_full) == (30, 32, 30, False)
    plan.give(second, 30)
    assert (plan.budget, plan.inputs, plan.room, plan.is_full) == (0, 0, -2, True)
    plan.drafts[second] = 3
    assert plan.take_back(second)
    assert (plan.budget, plan.inputs, plan.room, plan.drafts) == (30, 32, 30, {})
    assert not plan.take_back(second), "it has nothing any more"
    assert plan.take_back(first)
    assert (plan.budget, plan.inputs, plan.given) == (40, 44, {})


def test_hashes_tell_content_apart_and_nothing_else() -> None:
    hasher = ContentHasher(4)
    shared = ((1, 6),)
    same, other, longer = (Request(n, 0.0, isl=8, osl=4, segments=shared) for n in range(3))
    longer.isl, longer.segments = 12, ((1, 12),)
    for request in (same, other, longer):
        hasher.extend(request, 2)
    assert same.block_hashes[0] == other.block_hashes[0] == longer.block_hashes[0]
    assert len({request.block_hashes[1] for request in (same, other, longer)}) == 3
