"""With blocks kept in the memory of the CPU the compiled engine gives what the reference gives: every plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_laws_rooms_vs_reference import IterationsSeen, with_drafts

from simulator.engine.config import EngineConfig, Policy
from simulator.engine.modes.offload.spec import Offload, OffloadModes
from simulator.engine.modes.spec import Flight, GroupKind, KvGroup
from simulator.engine.reference.replay import replay_reference, run_engine
from simulator.engine.rules import V0_32, V0_33
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent, TraceRequest
from simulator.fleet.replay import replay_kernel

pytestmark = pytest.mark.rare_kernels

SIZE, BUDGET = 4, 40
ONE_TABLE: tuple[KvGroup, ...] = ()
GROUPS = {
    "one table": ONE_TABLE,
    "windows": (KvGroup(GroupKind.WINDOW, SIZE, 9),),
    "both": (KvGroup(GroupKind.FULL, SIZE), KvGroup(GroupKind.WINDOW, SIZE, 6), KvGroup(GroupKind.WINDOW, SIZE, 6)),
    "two windows": (
        KvGroup(GroupKind.FULL, SIZE),
        KvGroup(GroupKind.WINDOW, SIZE, 6),
        KvGroup(GroupKind.WINDOW, SIZE, 17),
    ),
    "two lengths": (KvGroup(GroupKind.WINDOW, SIZE, 9), KvGroup(GroupKind.FULL, 2 * SIZE)),
    "states": (KvGroup(GroupKind.LINEAR, SIZE, aligned=True), KvGroup(GroupKind.FULL, SIZE)),
    "saved states": (
        KvGroup(GroupKind.LINEAR, SIZE, aligned=True, saves_amid_chunk=True),
        KvGroup(GroupKind.FULL, SIZE),
    ),
    "chunks": (KvGroup(GroupKind.FULL, SIZE), KvGroup(GroupKind.CHUNK, SIZE, 12)),
}
FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}


@st.composite
def memories(draw: st.DrawFn) -> Offload:
    return Offload(
        chunks=draw(st.sampled_from([1, 3, 8, 20, 60])),
        blocks_per_chunk=draw(st.sampled_from([1, 1, 2, 3])),
        adaptive=draw(st.booleans()),
        store_threshold=draw(st.sampled_from([0, 0, 2])),
        tracked=draw(st.sampled_from([64_000, 4])),
        prompt_only=draw(st.booleans()),
    )


@st.composite
def engines(draw: st.DrawFn) -> EngineConfig:
    rules = draw(st.sampled_from([V0_32, V0_33]))
    kind = draw(st.sampled_from(sorted(GROUPS)))
    groups = GROUPS[kind]
    flight = FLIGHTS[draw(st.sampled_from(sorted(FLIGHTS)))]
    drafters = {"chunks": ["draft model"], "states": [], "saved states": []}.get(kind, ["draft model", "eagle"])
    fields = with_drafts(draw(st.sampled_from(["none", "none", *drafters])), rules)
    modes = OffloadModes(
        groups=groups,
        chunks_end_at_states="states" in kind,
        flight=flight,
        drafts=fields.pop("drafts"),
        connector=True,
        offload=draw(memories()),
    )
    return EngineConfig(
        num_blocks=max(1, len(groups)) * draw(st.integers(24, 36)),
        block_size=SIZE,
        max_num_batched_tokens=BUDGET,
        max_num_seqs=draw(st.sampled_from([2, 4])),
        max_model_len=80,
        enable_prefix_caching="states" in kind or draw(st.sampled_from([True, True, False])),
        policy=draw(st.sampled_from([Policy.FCFS, Policy.FCFS, Policy.PRIORITY])),
        reserve_full_isl=draw(st.booleans()),
        rules=rules,
        modes=modes,
        **fields,
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[TraceRequest, ...]:
    """Few beginnings, so that what was evicted from the GPU is asked for again."""
    found = []
    step = 0
    for number in range(draw(st.integers(3, 14))):
        step += draw(st.sampled_from([0, 0, 1, 5, 12]))
        shared = draw(st.sampled_from([0, 8, 20, 32, 40]))
        isl = shared + draw(st.integers(1, 20))
        osl = draw(st.integers(1, 12))
        beginning = draw(st.integers(0, 2))
        found.append(
            TraceRequest(
                number,
                step,
                ((beginning, shared), (100 + number, isl - shared)) if shared else ((100 + number, isl),),
                osl,
                draw(st.integers(0, 1)),
                accept=draw(st.text("01", min_size=osl, max_size=osl)),
                stop_after=draw(st.sampled_from([0, 0, 2])),
                load_steps=draw(st.integers(0, 4)),
                store_steps=draw(st.integers(0, 6)),
                max_load_tokens=draw(st.sampled_from([None, None, None, 9, 24])),
                max_offload_tokens=draw(st.sampled_from([None, None, None, 13])),
                arrival_order=float(number),
            )
        )
    return tuple(found)


@st.composite
def traces(draw: st.DrawFn) -> ScheduleTrace:
    config = draw(engines())
    asked = draw(requests())
    events = [
        TraceEvent(asked[number].arrival_step + draw(st.integers(0, 12)), (number,), draw(st.booleans()))
        for number in draw(st.lists(st.integers(0, len(asked) - 1), max_size=2, unique=True))
    ]
    events += [
        TraceEvent(
            draw(st.integers(1, 20)), reset=draw(st.sampled_from(["idle", "running"])), connector=draw(st.booleans())
        )
        for _ in range(draw(st.sampled_from([0, 0, 0, 1])))
    ]
    events.sort(key=lambda event: event.step)
    engine = IterationsSeen(config, asked, events)
    run_engine(engine)
    came = tuple(event for event in events if not event.reset or event.step in engine.seen)
    return ScheduleTrace("random", config.rules.version, config, asked, tuple(engine.entries()), events=came)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(traces())
def test_random_memories(trace: ScheduleTrace) -> None:
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in trace.steps]


def twice(memory: Offload, caching: bool = True) -> ScheduleTrace:
    """A prompt of 32 tokens, another one that takes all the blocks of the GPU, and the first one again."""
    modes = OffloadModes(connector=True, offload=memory)
    config = EngineConfig(14, SIZE, 64, 2, 80, enable_prefix_caching=caching, rules=V0_33, modes=modes)
    prompts = [((0, 32), (100, 1)), ((1, 44), (101, 1)), ((0, 32), (102, 1))]
    asked = tuple(
        TraceRequest(k, 10 * k, prompt, 2, 0, load_steps=2, store_steps=1) for k, prompt in enumerate(prompts)
    )
    trace = ScheduleTrace("twice", V0_33.version, config, asked, ())
    return replace(trace, steps=tuple(replay_reference(trace)))


@pytest.mark.parametrize("caching", [True, False])
def test_what_was_evicted_from_the_gpu_is_loaded_again(caching: bool) -> None:
    """It is asked for in step 20, reported with the output of step 22, and the rest of the prompt is computed in 23."""
    trace = twice(Offload(40), caching)
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in trace.steps]
    assert [step.scheduled for step in steps if step.step >= 20 and step.scheduled] == [((2, 1, 32),), ((2, 1, 33),)]
    assert [step.step for step in steps if step.scheduled][-2:] == [23, 24]


def test_a_memory_of_too_few_chunks_stores_nothing() -> None:
    (steps,) = replay_kernel(twice(Offload(3)))
    assert next(step.scheduled for step in steps if step.step >= 20) == ((2, 29, 4),)
