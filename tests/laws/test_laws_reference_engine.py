"""Laws of the reference engine on random requests, with every feature switched on and off."""

from __future__ import annotations

from collections import Counter

from engine_cases import configs, step_time, workloads
from hypothesis import given, settings

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.reference.engine import ReferenceRun, make_request, run_reference
from simulator.engine.reference.limits import can_serve
from simulator.engine.reference.scheduler import Scheduler
from simulator.workload.requests import Requests


def accept_some(number: int, generated: int, drafted: int) -> int:
    return min(drafted, (number + generated) % 3)


def serve(config: EngineConfig, requests: Requests) -> ReferenceRun:
    return run_reference(config, step_time(config), requests, accept_some)


@settings(max_examples=150, deadline=None)
@given(configs(), workloads())
def test_every_request_ends_once_with_all_its_tokens(config: EngineConfig, requests: Requests) -> None:
    run = serve(config, requests)
    assert sorted(record.row for record in run.records) == list(range(len(requests)))
    for record in run.records:
        served = can_serve(config, int(requests.isl[record.row]), int(requests.osl[record.row]))
        assert record.status == ("completed" if served else "rejected")
        assert record.generated == (requests.osl[record.row] if served else 0)
        if served:
            assert record.scheduled_s is not None
            assert record.first_token_s is not None
            assert record.arrival_s <= record.scheduled_s < record.first_token_s <= record.finish_s


@settings(max_examples=150, deadline=None)
@given(configs(), workloads())
def test_steps_keep_to_the_limits(config: EngineConfig, requests: Requests) -> None:
    run = serve(config, requests)
    most = 1 if config.batching == Batching.ONE_AT_A_TIME else config.max_num_seqs
    end = 0.0
    for step in run.steps:
        assert step.scheduled or step.preempted
        assert sum(tokens for _, tokens, _ in step.scheduled) <= config.max_num_batched_tokens
        assert all(tokens > 0 for _, tokens, _ in step.scheduled)
        assert len(step.scheduled) <= most
        assert not {row for row, _, _ in step.scheduled} & set(step.preempted)
        assert 0 <= step.free_blocks < config.num_blocks
        assert end <= step.start_s < step.end_s
        end = step.end_s
    preemptions = Counter(row for step in run.steps for row in step.preempted)
    assert {r.row: r.preemptions for r in run.records if r.preemptions} == dict(preemptions)


@settings(max_examples=150, deadline=None)
@given(configs(), workloads())
def test_blocks_are_conserved_and_hold_what_is_computed_and_verified(config: EngineConfig, requests: Requests) -> None:
    scheduler = Scheduler(config, accept_some)
    for row in range(len(requests)):
        if can_serve(config, int(requests.isl[row]), int(requests.osl[row])):
            scheduler.add(make_request(requests, row, 0.0))
    pool = scheduler.kv_cache_manager.block_pool
    while scheduler.has_requests:
        plan = scheduler.schedule()
        tables = {request.number: blocks for request, blocks in scheduler.kv_cache_manager.groups[0].held.items()}
        held = {block.block_id for blocks in tables.values() for block in blocks}
        assert plan.free_blocks + len(held) == config.num_blocks - 1
        assert set(tables) == {request.number for request in scheduler.running}
        for request in scheduler.running:
            assert len(tables[request.number]) * config.block_size >= request.num_computed_tokens
            known = min(request.num_computed_tokens, request.num_tokens) if config.enable_prefix_caching else 0
            findable = [block.block_hash is not None for block in tables[request.number]]
            assert findable == [(k + 1) * config.block_size <= known for k in range(len(findable))]
        for block in pool.blocks:
            assert block.ref_cnt == sum(blocks.count(block) for blocks in tables.values())
        for number, tokens, before in plan.scheduled:
            drafted = before + tokens - scheduler.requests[number].num_tokens
            assert drafted <= (config.num_speculative_tokens if drafted == tokens - 1 else 0)
        scheduler.update(plan)
    assert pool.get_num_free_blocks() == config.num_blocks - 1


@settings(max_examples=150, deadline=None)
@given(configs(), workloads())
def test_computed_work_is_what_was_asked_less_what_was_cached(config: EngineConfig, requests: Requests) -> None:
    run = serve(config, requests)
    first: dict[int, int] = {}
    work: Counter[int] = Counter()
    for step in run.steps:
        for row, tokens, before in step.scheduled:
            first.setdefault(row, before)
            work[row] += tokens
    for record in run.records:
        if record.status == "completed" and record.preemptions == 0:
            assert record.cached_tokens == first[record.row]
            asked = int(requests.isl[record.row] + requests.osl[record.row]) - 1 - record.cached_tokens
            if config.num_speculative_tokens == 0:
                assert work[record.row] == asked
            else:
                assert work[record.row] >= asked
        if not config.enable_prefix_caching:
            assert record.cached_tokens == 0
        assert record.cached_tokens % config.block_size == 0


@settings(max_examples=100, deadline=None)
@given(configs(), workloads())
def test_static_batches_do_not_overlap(config: EngineConfig, requests: Requests) -> None:
    run = serve(config, requests)
    if config.batching == Batching.CONTINUOUS:
        return
    most = 1 if config.batching == Batching.ONE_AT_A_TIME else config.max_num_seqs
    ends = {record.row: record.finish_s for record in run.records}
    inside: set[int] = set()
    for step in run.steps:
        rows = {row for row, _, _ in step.scheduled}
        if not inside:
            began_s, closed = step.start_s, False
            batch: set[int] = set()
            waited = sum(requests.arrival_s[row] <= began_s < end_s for row, end_s in ends.items())
        assert not closed or rows <= inside
        batch |= rows
        assert len(batch) <= min(most, waited)
        if config.policy == Policy.FCFS:
            assert all(requests.arrival_s[row] <= began_s for row in rows)
        closed = closed or bool(step.preempted)
        inside = {row for row in inside | rows if ends[row] > step.end_s} - set(step.preempted)


@settings(max_examples=60, deadline=None)
@given(configs(), workloads())
def test_the_same_input_gives_the_same_run(config: EngineConfig, requests: Requests) -> None:
    assert serve(config, requests) == serve(config, requests)
