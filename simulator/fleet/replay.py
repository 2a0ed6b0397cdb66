"""Recordings of a real scheduler, replayed with the compiled one: iteration k of the engine is made in second k."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.logged_step import LoggedStep
from simulator.engine.modes.offload.arrays import with_copies
from simulator.engine.modes.offload.spec import offload_of
from simulator.engine.modes.spec import Flight
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent, TraceRequest, TraceStep
from simulator.engine.state import N_REQUESTS, NONE
from simulator.engine.verify import ModeMissing
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD, Status
from simulator.fleet.single import RequestList, run_single, steps_of
from simulator.fleet.state import RESET_ELSEWHERE, TIMER_NUMBER, TIMER_RESET, TIMER_RESET_RUNNING, Fleet
from simulator.fleet.timers import set_timer
from simulator.perf.steptime import constant_step_time
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import Requests, make_extras, make_requests

_MOST_IDLE_S = 1_000.0
_LAST = 2**30
"""Beyond the number of every timer of a replay."""
_INSTANT_S = 2.0**-20
"""Adds to times of a replay without rounding."""
_PLAN_S, _PAUSE_S, _DURING_S, _NOTICED_S = 0.5, 0.5, 0.75, 0.25
"""In each second of a replay outputs come first, then loads and sends that have ended are noticed in order of ids, then
events and arrivals come and a plan is made, then events that came while its output was awaited."""


def replay_kernel(trace: ScheduleTrace) -> list[list[TraceStep]]:
    """Replay a recording with the compiled scheduler, one list of entries for each data-parallel rank.

    Raises
    ------
    ModeMissing : the recording is in a mode that the compiled engine does not have
    """
    missing = trace.modes_in_use()
    if missing:
        raise ModeMissing(", ".join(missing))
    scheduled = trace.config.modes.max_num_scheduled_tokens
    config = trace.config
    if scheduled and config.draft_slots == 0:
        modes = replace(config.modes, adaptive_cap_tokens=config.max_num_batched_tokens)
        most = min(scheduled, config.max_num_batched_tokens)
        config = replace(config, max_num_batched_tokens=most, modes=modes)
    if not trace.asks():
        return [_replay_steps(config, trace.in_order(), trace.events)]
    return _replay_turns(config, trace.in_order(), trace.events, max(len(trace.ranks), 1))


def _replay_steps(
    config: EngineConfig, ordered: Sequence[TraceRequest], events: Sequence[TraceEvent]
) -> list[TraceStep]:
    """A step takes a second; with plans in flight it takes no time, but each plan comes a second after the one before.

    A client that leaves has a class of its own, whose timeout it is.
    """
    leave_s = {number: event.step + 0.5 * event.during for event in reversed(events) for number in event.abort}
    leaving = [request for request in ordered if leave_s.get(request.id, 0.0) > request.arrival_step]
    classes = {request.id: k for k, request in enumerate(leaving, 1)}
    timeouts_s = [0.0, *(leave_s[request.id] - request.arrival_step for request in leaving)]
    class_id = np.array([classes.get(request.id, 0) for request in ordered])
    workload = _workload(ordered, 0.0, class_id=class_id)
    in_flight = config.modes.flight is not None
    step_time = constant_step_time(0.0 if in_flight else 1.0, config.max_num_batched_tokens, config.max_num_seqs)
    run = run_single(
        config,
        replace(step_time, plan_s=1.0),
        workload,
        log=True,
        timeouts_s=timeouts_s,
        verdicts=_verdicts(ordered) if config.num_speculative_tokens else None,
        drafted=_drafted(ordered) if config.num_speculative_tokens else None,
    )
    return [_entry(step, ordered) for step in run.steps]


def _replay_turns(
    config: EngineConfig, ordered: Sequence[TraceRequest], events: Sequence[TraceEvent], n_ranks: int
) -> list[list[TraceStep]]:
    """The engines turn round with empty plans while something is on its way; between an output and a plan time passes.

    A rank is a pool of its own, to which a class of its own goes.
    """
    flight = config.modes.flight or Flight(depth=1, asynchronous=False)
    config = replace(config, modes=replace(config.modes, flight=flight, stores=config.modes.connector))
    step_time = constant_step_time(0.0, config.max_num_batched_tokens, config.max_num_seqs)
    powers, ranks = np.zeros(config.max_num_seqs + 1), range(n_ranks)
    pools = tuple(PoolSpec(str(k), "", 1, 1, config, replace(step_time, plan_s=1.0), powers) for k in ranks)
    classes = tuple(ClassSpec(str(k), tuple(k == other for other in ranks)) for k in ranks)
    spec = FleetSpec("replay", pools, (), RoutingSpec(TargetRouting.WEIGHTED, tuple(ranks)), classes)
    records: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    rows: list[NDArray[np.int64]] = [np.zeros((0, 4), np.int64)]
    extras = _extras(ordered, events, flight.depth)
    class_id = np.array([request.rank if n_ranks > 1 else 0 for request in ordered])
    workload = replace(_workload(ordered, _PLAN_S, class_id=class_id), extras=extras)
    source = RequestList(workload, tuple(str(k) for k in ranks))
    plane = DataPlane(spec, source, (1,) * n_ranks, 0, records.append, rows.append, asks=True)
    engines = plane.engines
    engines.rooms.replicas["pause_s"], engines.rooms.replicas["turns"] = _PAUSE_S, 1
    if config.num_speculative_tokens:
        engines = engines._replace(verdicts=_verdicts(ordered), drafted=_drafted(ordered))
    plane.engines = engines._replace(offload=with_copies(engines.offload, _copies(ordered)))
    for event, (time_s, follows) in zip(events, _times(events), strict=True):
        if event.reset:
            _set_reset(plane.fleet, event, time_s, _LAST if follows else 0)
    for k in ranks:
        plane.activate(k, 0.0)
    _advance_to_the_end(plane, ordered[-1].arrival_step)
    made = list(steps_of(np.concatenate(rows), empty=True))
    ended = np.concatenate(records)
    copied = offload_of(config.modes) is not None
    by_rank = [[step for step in made if step.replica == k] for k in ranks]
    return [_entries(by_rank[k], ordered, ended[ended["target"] == k], copied) for k in ranks]


def _times(events: Sequence[TraceEvent]) -> list[tuple[float, bool]]:
    """When each event is due, and whether it is a reset that follows a leave of that very time.

    At one time resets come, then leaves, then resets that follow them. A leave after these begins anew: all before it
    in its step is due an instant earlier.
    """
    rounds: list[int] = []
    reset_last: list[bool] = []
    of_step: dict[int, tuple[int, bool, bool]] = defaultdict(lambda: (0, False, False))
    for event in events:
        number, left, followed = of_step[event.step]
        if event.abort and not event.during:
            number, left, followed = number + followed, True, False
        elif event.reset:
            followed = left
        of_step[event.step] = number, left, followed
        rounds.append(number)
        reset_last.append(followed)
    found = []
    for event, number, followed in zip(events, rounds, reset_last, strict=True):
        earlier_s = _INSTANT_S * (of_step[event.step][0] - number)
        during = event.during and bool(event.abort)
        found.append((event.step + (_DURING_S if during else _PLAN_S - earlier_s), followed))
    return found


def _set_reset(fleet: Fleet, event: TraceEvent, time_s: float, number: int) -> None:
    """Timers of one time are due in order of their numbers: a reset's is `number` more than the next."""
    kind = TIMER_RESET_RUNNING if event.reset == "running" else TIMER_RESET
    fleet.scalars[TIMER_NUMBER] += number
    set_timer(fleet, time_s, kind, 0, RESET_ELSEWHERE if event.connector else -1)
    fleet.scalars[TIMER_NUMBER] -= number


def _entries(
    steps: Sequence[LoggedStep], ordered: Sequence[TraceRequest], records: NDArray[Any], copied: bool
) -> list[TraceStep]:
    noticed = set() if copied else _noticed(steps, ordered, records)
    return [
        _entry(step, ordered)
        for call, step in enumerate(steps)
        if step.scheduled or step.preempted or step.loads or step.copies or call in noticed
    ]


def _advance_to_the_end(plane: DataPlane, last_arrival_s: float) -> None:
    """Until every request has ended, or none has gone on for long."""
    until_s, served, before = last_arrival_s, 0, -1
    while served != before:
        until_s += _MOST_IDLE_S
        plane.advance(until_s)
        before, served = served, int(plane.engines.counters[N_REQUESTS] + plane.engines.replicas["output_tokens"].sum())
    plane.close(until_s)


def _noticed(steps: Sequence[LoggedStep], ordered: Sequence[TraceRequest], records: NDArray[Any]) -> set[int]:
    """Plans with whose output loads and sends are noticed."""
    found: set[int] = set()
    sent = records[records["status"] == Status.COMPLETED]
    call_at = {int(step.start_s): call for call, step in enumerate(steps)}
    for call, step in enumerate(steps):
        found |= {call + ordered[number].load_steps for number, blocks in step.loads if blocks >= 0}
    for number, finish_s in zip(sent["request"].tolist(), sent["finish_s"].tolist(), strict=True):
        row = ordered[number]
        if row.remote_decode and int(finish_s) in call_at:
            found.add(call_at[int(finish_s)] + row.send_steps)
    return found


def _entry(step: LoggedStep, ordered: Sequence[TraceRequest]) -> TraceStep:
    return TraceStep(
        int(step.start_s),
        tuple((ordered[number].id, tokens, before) for number, tokens, before in step.scheduled),
        tuple(ordered[number].id for number in step.preempted),
        step.free_blocks,
    )


def _workload(ordered: Sequence[TraceRequest], offset_s: float, **columns: Any) -> Requests:
    """Of those that came together and those that came late: a priority of its own for each priority and arrival."""
    served = sorted({(request.priority, request.order) for request in ordered})
    place = {key: k for k, key in enumerate(served)}
    contents: dict[tuple[object, ...], int] = {}
    segments = [_segments(request) for request in ordered]
    together = Counter(request.order for request in ordered)
    names = {order: k for k, order in enumerate(together)}
    return make_requests(
        np.array([request.arrival_step + offset_s for request in ordered]),
        np.array([request.isl for request in ordered]),
        np.array([min(request.osl, request.stop_after or request.osl) for request in ordered]),
        priority=np.array([place[request.priority, request.order] for request in ordered]),
        session_id=np.array([names[request.order] if together[request.order] > 1 else -1 for request in ordered]),
        stops=np.array([0 < request.stop_after < request.osl for request in ordered]),
        segment_start=np.cumsum([0, *map(len, segments)]),
        segment_id=np.array([contents.setdefault(name, len(contents)) for row in segments for name, _ in row]),
        segment_tokens=np.array([tokens for row in segments for _, tokens in row]),
        **columns,
    )


def _segments(request: TraceRequest) -> list[tuple[tuple[object, ...], int]]:
    """Content and tokens of a prompt's parts; salt, adapter and pictures belong to the content."""
    found: list[tuple[tuple[object, ...], int]] = []
    start = 0
    for segment, tokens in request.prompt:
        end = min(start + tokens, request.isl + request.held_back)
        if start >= end:
            break
        cuts = {start, end}
        for offset, many, _ in request.images:
            cuts |= {place for place in (offset, offset + many) if start < place < end}
        places = sorted(cuts)
        for first, last in pairwise(places):
            shown = tuple((name, first - at) for at, many, name in request.images if at <= first < at + many)
            found.append(((segment, first - start, shown, request.salt, request.lora), last - first))
        start = end
    return found


def _extras(ordered: Sequence[TraceRequest], events: Sequence[TraceEvent], depth: int) -> Any:
    left: dict[int, list[float]] = defaultdict(list)
    for event, (time_s, _) in zip(events, _times(events), strict=True):
        for number in event.abort:
            left[number].append(time_s)
    leaves_s = []
    for row in ordered:
        after = (time_s - row.arrival_step - _PLAN_S for time_s in left[row.id])
        leaves_s.append(min((time_s for time_s in after if time_s > 0), default=0.0))
    pictures: dict[str, int] = {}
    images = [image for row in ordered for image in row.images]
    noticed_s = _NOTICED_S * (1.0 + np.argsort(np.argsort([row.id for row in ordered])) / len(ordered))
    grammars = [-1.0 if row.grammar_ready_step is None else _after(row.grammar_ready_step, row) for row in ordered]
    return make_extras(
        len(ordered),
        leaves_s=np.array(leaves_s),
        adapter=np.array([row.lora or 0 for row in ordered]),
        grammar_s=np.array(grammars),
        stored_tokens=np.array([row.stored_tokens for row in ordered]),
        stored_apart=np.array([row.async_load for row in ordered]),
        load_s=np.array([row.load_steps + depth - _PLAN_S for row in ordered]) + noticed_s,
        remote=np.array([row.remote_prefill for row in ordered]),
        send_s=(np.array([row.send_steps + depth for row in ordered]) + noticed_s)
        * np.array([row.remote_decode for row in ordered]),
        picture_start=np.cumsum([0, *(len(row.images) for row in ordered)]),
        picture_offset=np.array([offset for offset, _, _ in images]),
        picture_tokens=np.array([tokens for _, tokens, _ in images]),
        picture_content=np.array([pictures.setdefault(name, len(pictures)) for _, _, name in images]),
    )


def _copies(ordered: Sequence[TraceRequest]) -> NDArray[np.int64]:
    """What is asked for copies of each request to and from the memory of the CPU."""
    limits = ((row.max_load_tokens, row.max_offload_tokens) for row in ordered)
    most = [[NONE if limit is None else limit for limit in pair] for pair in limits]
    calls = [[row.load_steps, row.store_steps] for row in ordered]
    return np.array([[*many, *pair] for many, pair in zip(calls, most, strict=True)], np.int64)


def _after(step: int, row: TraceRequest) -> float:
    return float(max(step - row.arrival_step, 0))


def _verdicts(ordered: Sequence[TraceRequest]) -> NDArray[np.int8]:
    """Recorded strings of 0 and 1, a row each; what none tells is wrong."""
    recorded = [request.accept for request in ordered]
    rows = np.zeros((len(recorded), max(map(len, recorded), default=0)), np.int8)
    for row, bits in zip(rows, recorded, strict=True):
        row[: len(bits)] = np.frombuffer(bits.encode(), np.int8) - ord("0")
    return rows


def _drafted(ordered: Sequence[TraceRequest]) -> NDArray[np.int8]:
    """Recorded strings of digits, a row each, the last of which holds on; -1 without one."""
    recorded = [request.drafts for request in ordered]
    rows = np.full((len(recorded), max(map(len, recorded), default=0)), -1, np.int8)
    for row, digits in zip(rows, recorded, strict=True):
        if digits:
            row[:] = int(digits[-1])
            row[: len(digits)] = np.frombuffer(digits.encode(), np.int8) - ord("0")
    return rows if rows.shape[1] else np.zeros((0, 0), np.int8)
