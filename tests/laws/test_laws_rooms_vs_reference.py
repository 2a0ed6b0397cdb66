"""Where modes have a say, the compiled engine gives what the reference gives: every plan, in random combinations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.engine.config import EngineConfig, Policy
from simulator.engine.modes.spec import Drafts, Encoder, Flight, GroupKind, KvGroup, Modes, Waves
from simulator.engine.reference.replay import ReplayedEngine, replay_reference, run_engine
from simulator.engine.rules import V0_32, V0_33, RuleSet
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent, TraceRequest
from simulator.fleet.replay import replay_kernel

pytestmark = pytest.mark.rare_kernels

SIZE, BUDGET = 4, 24
GROUPS = {
    "one table": (),
    "windows": (KvGroup(GroupKind.WINDOW, SIZE, 9),),
    "both": (KvGroup(GroupKind.FULL, SIZE), KvGroup(GroupKind.WINDOW, SIZE, 6), KvGroup(GroupKind.WINDOW, SIZE, 6)),
}
FLIGHTS = {"sync": None, "async": Flight(2, True), "pipeline": Flight(3, True, eligible_after=2, stages=2)}
PICTURES = (("a", 5), ("b", 8), ("c", 3))


def with_drafts(kind: str, rules: RuleSet) -> dict[str, Any]:
    """Fields of the engine's configuration, and its drafts, by the drafter."""
    if kind == "none":
        return {"drafts": None}
    k = 2
    ahead = {"eagle": 1, "modules": k}.get(kind, 0)
    looks_ahead = ahead if rules is V0_33 else 0
    drafts = Drafts(
        k,
        0 if kind == "n-gram" else k,
        reads_hidden_states=ahead > 0,
        num_prefill_lookahead_tokens=ahead if kind == "modules" or rules is V0_33 else 0,
        num_hash_lookahead_tokens=looks_ahead,
        by_batch_size=((1, 2, 2), (3, 99, 1)) if kind == "by batch" else (),
        slots=int(kind == "draft model"),
    )
    return {
        "drafts": drafts,
        "num_speculative_tokens": k,
        "num_lookahead_tokens": drafts.num_lookahead_tokens,
        "draft_slots": drafts.slots,
        "drop_last_hit_block": ahead > 0 and rules is V0_32,
    }


@st.composite
def engines(draw: st.DrawFn) -> EngineConfig:
    rules = draw(st.sampled_from([V0_32, V0_33]))
    groups = GROUPS[draw(st.sampled_from(sorted(GROUPS)))]
    flight = FLIGHTS[draw(st.sampled_from(sorted(FLIGHTS)))]
    kinds = ["none", "eagle", "by batch", "draft model"]
    kinds += ["n-gram"] if flight is None else []
    kinds += [] if len(groups) > 1 else ["modules"]
    fields = with_drafts(draw(st.sampled_from(kinds)), rules)
    drafts = fields.pop("drafts")
    modes = Modes(
        groups=groups,
        flight=flight,
        drafts=drafts,
        max_num_scheduled_tokens=draw(st.sampled_from([0, BUDGET // 2, BUDGET - 1])) if drafts and drafts.slots else 0,
        connector=draw(st.booleans()),
        encoder=draw(st.sampled_from([None, Encoder(8, 13), Encoder(12, 16, whole_items=True)])),
        max_loras=draw(st.sampled_from([0, 1, 2])),
        waves=draw(st.sampled_from([None, None, Waves(1, 3)])),
    )
    return EngineConfig(
        num_blocks=draw(st.integers(40, 70)),
        block_size=SIZE,
        max_num_batched_tokens=BUDGET,
        max_num_seqs=draw(st.sampled_from([2, 4])),
        max_model_len=80,
        enable_prefix_caching=draw(st.booleans()),
        long_prefill_token_threshold=draw(st.sampled_from([0, 0, 9])),
        policy=draw(st.sampled_from(Policy)),
        reserve_full_isl=draw(st.booleans()),
        watermark=draw(st.sampled_from([0.0, 0.05])),
        rules=rules,
        modes=modes,
        **fields,
    )


@st.composite
def requests(draw: st.DrawFn, config: EngineConfig) -> tuple[TraceRequest, ...]:
    found = []
    step = 0
    orders = [-1.0]
    for number in range(draw(st.integers(2, 8))):
        gap = draw(st.sampled_from([0, 0, 1, 4]))
        step += gap
        again = number > 0 and gap == 0 and draw(st.booleans())
        orders.append(orders[-1] if again else float(number))
        shared = draw(st.sampled_from([0, 8, 16]))
        isl = shared + draw(st.integers(1, 24))
        osl = draw(st.integers(1, 8))
        pictures = [PICTURES[k] for k in draw(st.lists(st.integers(0, 2), max_size=2))] if config.modes.encoder else []
        images, offset = [], draw(st.integers(0, 6))
        for name, tokens in pictures:
            if offset + tokens < isl:
                images.append((offset, tokens, name))
                offset += tokens + draw(st.integers(0, 4))
        loads = draw(st.sampled_from(["no", "no", "remote", "stored", "apart"])) if config.modes.connector else "no"
        found.append(
            TraceRequest(
                number,
                step,
                ((0, shared), (100 + number, isl - shared)) if shared else ((100 + number, isl),),
                osl,
                draw(st.integers(0, 1)),
                accept=draw(st.text("01", min_size=osl, max_size=osl)),
                drafts=draw(st.sampled_from(["", "012", "2101"])) if config.modes.flight is None else "",
                stop_after=draw(st.sampled_from([0, 0, 2])),
                lora=draw(st.sampled_from([None, 1, 2, 3])),
                images=tuple(images),
                grammar_ready_step=step + draw(st.integers(0, 4)) if draw(st.booleans()) else None,
                remote_prefill=loads == "remote",
                remote_decode=config.modes.connector and draw(st.booleans()) and osl == 1,
                stored_tokens=draw(st.integers(4, 30)) if loads in ("stored", "apart") else 0,
                async_load=loads == "apart",
                load_steps=draw(st.integers(0, 3)),
                send_steps=draw(st.integers(0, 3)),
                arrival_order=orders[-1],
            )
        )
    return tuple(found)


class IterationsSeen(ReplayedEngine):
    """Iterations that it made: they jump while nothing is in it, so that a reset meanwhile never comes."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: set[int] = set()

    def before(self, iteration: int) -> None:
        self.seen.add(iteration)
        super().before(iteration)


@st.composite
def traces(draw: st.DrawFn) -> ScheduleTrace:
    config = draw(engines())
    asked = draw(requests(config))
    events = [
        TraceEvent(asked[number].arrival_step + draw(st.integers(0, 12)), (number,), draw(st.booleans()))
        for number in draw(st.lists(st.integers(0, len(asked) - 1), max_size=2, unique=True))
    ]
    events += [
        TraceEvent(draw(st.integers(1, 12)), reset=draw(st.sampled_from(["idle", "running"])))
        for _ in range(draw(st.sampled_from([0, 0, 1])))
    ]
    events.sort(key=lambda event: event.step)
    engine = IterationsSeen(config, asked, events)
    run_engine(engine)
    came = tuple(event for event in events if not event.reset or event.step in engine.seen)
    return ScheduleTrace("random", config.rules.version, config, asked, tuple(engine.entries()), events=came)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(traces())
def test_random_combinations(trace: ScheduleTrace) -> None:
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in trace.steps]


@st.composite
def fetched_with_adapters(draw: st.DrawFn) -> ScheduleTrace:
    """Mostly prompts of one token: once its KV has come nothing of it counts as computed, while it holds a block."""
    modes = Modes(drafts=Drafts(2, 2), connector=True, max_loras=1)
    config = EngineConfig(
        num_blocks=draw(st.integers(10, 14)),
        block_size=SIZE,
        max_num_batched_tokens=BUDGET,
        max_num_seqs=4,
        max_model_len=64,
        rules=V0_33,
        num_speculative_tokens=2,
        num_lookahead_tokens=2,
        modes=modes,
    )
    asked = []
    for number in range(8):
        isl = draw(st.sampled_from([1, 1, 1, draw(st.integers(3, 14))])) if number else 9
        osl = draw(st.integers(2, 12))
        asked.append(
            TraceRequest(
                number,
                number // 2,
                ((100 + number, isl),),
                osl,
                0,
                accept="1" * osl,
                lora=draw(st.sampled_from([1, 2, 2])) if number else 1,
                remote_prefill=number > 0 and (isl == 1 or draw(st.booleans())),
                load_steps=draw(st.integers(0, 2)),
            )
        )
    trace = ScheduleTrace("random", config.rules.version, config, tuple(asked), ())
    return replace(trace, steps=tuple(replay_reference(trace)))


@settings(max_examples=80, deadline=None)
@given(fetched_with_adapters())
def test_prompts_of_one_token_that_are_passed_over_once_their_kv_is_there(trace: ScheduleTrace) -> None:
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in trace.steps]


@pytest.mark.parametrize(("first", "computed"), [("leaves", 0), ("resets", 4)])
def test_who_leaves_before_a_reset_of_the_same_step_holds_no_block_then(first: str, computed: int) -> None:
    """A cache is forgotten where no block is held: that of a client who leaves goes back first, or is in the way."""
    modes = Modes(groups=GROUPS["both"], connector=True)
    config = EngineConfig(40, SIZE, BUDGET, 2, 80, enable_prefix_caching=True, rules=V0_32, modes=modes)
    loads = TraceRequest(0, 0, ((100, 5),), 2, 0, accept="00", remote_prefill=True, load_steps=2)
    leaves = TraceRequest(1, 0, ((101, 1),), 1, 0, accept="0", remote_prefill=True, load_steps=3)
    events = [TraceEvent(4, (1,)), TraceEvent(4, reset="running")]
    if first == "resets":
        events.reverse()
    trace = ScheduleTrace("order", V0_32.version, config, (loads, leaves), (), events=tuple(events))
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in replay_reference(trace)]
    assert steps[-1].scheduled == ((0, 6 - computed, computed),)


@pytest.mark.parametrize(
    ("resets", "computed"), [((0,), 4), ((1,), 4), ((2,), 0), ((0, 1), 4), ((1, 2), 0), ((1, 1), 4)]
)
def test_a_reset_between_two_who_leave_finds_the_blocks_of_the_second(resets: tuple[int, ...], computed: int) -> None:
    """Two clients leave in one step, with resets after so many of them: only one after both finds no block held."""
    modes = Modes(groups=GROUPS["both"], connector=True)
    config = EngineConfig(40, SIZE, BUDGET, 3, 80, enable_prefix_caching=True, rules=V0_32, modes=modes)
    loads = TraceRequest(0, 0, ((100, 5),), 2, 0, accept="00", remote_prefill=True, load_steps=2)
    others = [TraceRequest(k, 0, ((100 + k, 1),), 1, 0, accept="0", remote_prefill=True, load_steps=3) for k in (1, 2)]
    events = [TraceEvent(4, reset="running")] * resets.count(0)
    for left in (1, 2):
        events += [TraceEvent(4, (left,)), *[TraceEvent(4, reset="running")] * resets.count(left)]
    trace = ScheduleTrace("between", V0_32.version, config, (loads, *others), (), events=tuple(events))
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in replay_reference(trace)]
    assert steps[-1].scheduled == ((0, 6 - computed, computed),)


@pytest.mark.parametrize("groups", ["one table", "both"])
def test_output_that_a_reset_drops_comes_while_its_request_loads_again(groups: str) -> None:
    """It moves no counter later: two tokens are two plans, as if nothing had been on its way."""
    modes = Modes(groups=GROUPS[groups], flight=FLIGHTS["async"], connector=True)
    config = EngineConfig(40, SIZE, BUDGET, 2, 80, enable_prefix_caching=False, rules=V0_32, modes=modes)
    loads = TraceRequest(0, 0, ((0, 8), (100, 1)), 2, 0, accept="00", stored_tokens=4, async_load=True)
    others = [TraceRequest(number, 0, ((100 + number, 1),), 1, 0, accept="0") for number in (1, 2, 3)]
    reset = (TraceEvent(3, reset="running"),)
    trace = ScheduleTrace("dropped", V0_32.version, config, (loads, *others), (), events=reset)
    (steps,) = replay_kernel(trace)
    assert steps == [step.plain() for step in replay_reference(trace)]
    assert [step.scheduled for step in steps if step.step > 3] == [((0, 5, 4),), ((0, 1, 9),)]
