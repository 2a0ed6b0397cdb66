"""Runs the reference scheduler over a recording, iteration by iteration, without a clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from simulator.engine.config import EngineConfig
from simulator.engine.modes.connector.reference import ConnectorRoom
from simulator.engine.modes.flight.reference import PlanQueue
from simulator.engine.modes.grammar.reference import GrammarRoom
from simulator.engine.modes.offload.copies import CopyWorker, Job
from simulator.engine.modes.offload.reference import OffloadRoom
from simulator.engine.reference.plan import StepPlan
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.schedule_trace import ScheduleTrace, TraceEvent, TraceRank, TraceRequest, TraceStep

_MOST_IDLE = 10_000
"""Iterations without an entry after which a replay that cannot go on ends."""


class ReplayedEngine:
    """One engine of a recording: what arrives and happens from outside, and its plans in flight.

    vLLM `EngineCore.step` and `step_with_batch_queue`. Before iteration k: events, then arrivals in order of ids.
    """

    scheduler_class: ClassVar[type[Scheduler]] = Scheduler

    def __init__(
        self, config: EngineConfig, requests: Sequence[TraceRequest], events: Sequence[TraceEvent] = ()
    ) -> None:
        self._rows = {row.id: row for row in requests}
        self.scheduler = self.scheduler_class(config, self._accepted, self._drafted)
        self._connector = self.scheduler.room(ConnectorRoom)
        self._offload = self._connector if isinstance(self._connector, OffloadRoom) else None
        self._grammar = self.scheduler.room(GrammarRoom)
        self._coming = sorted(requests, key=lambda r: (r.arrival_step, r.id), reverse=True)
        self._compiling = sorted(
            (row.grammar_ready_step, row.id) for row in requests if row.grammar_ready_step is not None
        )[::-1]
        self._events: dict[int, list[TraceEvent]] = defaultdict(list)
        for event in events:
            self._events[event.step].append(event)
        flight = config.modes.flight
        self._queue = PlanQueue(self.scheduler, flight.depth if flight else 1)
        self._entries: dict[int, int] = {}
        self._aborts: list[TraceEvent] = []
        self._has_finished = False
        self._load_due: dict[int, list[int]] = defaultdict(list)
        self._send_due: dict[int, list[int]] = defaultdict(list)
        self._calls = 0
        self._copies = CopyWorker(self._takes)
        self._copied: dict[int, list[Job]] = {}
        self.steps: list[TraceStep] = []

    @property
    def next_arrival(self) -> int | None:
        """Iteration of the next arrival."""
        return self._coming[-1].arrival_step if self._coming else None

    @property
    def has_unfinished(self) -> bool:
        """Whether requests wait or run."""
        return self.scheduler.has_requests

    @property
    def is_busy(self) -> bool:
        """Whether anything is in the engine: requests, plans in flight, transfers."""
        tells = self._has_finished and self._offload is not None
        return self.scheduler.has_requests or len(self._queue) > 0 or self._connector.busy or tells

    def _takes(self, job: Job) -> int:
        row = self._rows[job.request.number]
        return row.store_steps if job.is_store else row.load_steps

    def _accepted(self, number: int, generated: int, drafts: int) -> int:
        ahead = self._rows[number].accept[generated : generated + drafts]
        return len(ahead) - len(ahead.lstrip("1"))

    def _drafted(self, number: int, generated: int, most: int) -> int:
        made = self._rows[number].drafts
        return int(made[min(generated, len(made) - 1)]) if made else most

    def before(self, iteration: int) -> None:
        """What happens from outside before an iteration."""
        for event in self._events.pop(iteration, ()):
            if event.abort and event.during:
                self._aborts.append(event)
            elif event.abort:
                self._abort(event)
            else:
                self._reset(event)
        due = []
        while self._coming and self._coming[-1].arrival_step <= iteration:
            due.append(self._coming.pop())
        for row in sorted(due, key=lambda r: r.id):
            self.scheduler.add(_as_request(row))
        while self._compiling and self._compiling[-1][0] <= iteration:
            self._grammar.compiled(self._compiling.pop()[1])

    def _reset(self, event: TraceEvent) -> None:
        """vLLM gives up if loads hold blocks although the running requests were preempted."""
        done = self.scheduler.reset_prefix_cache(preempt_running=event.reset == "running")
        if event.connector and self._offload and (done or event.reset != "running"):
            self._offload.reset_cache()

    def _abort(self, event: TraceEvent) -> None:
        for number in event.abort:
            if number in self.scheduler.requests:
                self._has_finished = True
                self.scheduler.abort(number)

    def iterate(self, iteration: int, throttled: bool = False) -> bool:
        """One iteration: a plan, and the oldest output once enough plans are in flight; whether the model ran."""
        executed = False
        active = self.scheduler.has_requests or self._has_finished or self._connector.busy
        if active:
            plan = self._plan(iteration, throttled)
            executed = bool(plan.scheduled)
            more = executed or self.scheduler.has_requests or self._connector.busy
            if self._queue.push(plan, more):
                return executed
        elif not len(self._queue):
            return False
        done = self._queue.pop()
        for event in self._aborts:
            self._abort(event)
        self._aborts = []
        self._apply(done)
        self._queue.settle()
        return executed

    def _plan(self, iteration: int, throttled: bool) -> StepPlan:
        plan = self.scheduler.schedule(throttled)
        self._has_finished = False
        step, self._calls = self._calls, self._calls + 1
        copies = self._copy(plan)
        for number, _ in () if copies else plan.loads:
            self._load_due[step + self._rows[number].load_steps].append(number)
        for number in self._connector.new_sends:
            self._send_due[step + self._rows[number].send_steps].append(number)
        self._connector.new_sends.clear()
        self._entries[id(plan)] = len(self.steps)
        known = self._connector.knows
        transfers = {
            "recv": tuple(sorted(number for number in self._load_due.pop(step, ()) if known(number))),
            "sent": tuple(sorted(self._send_due.pop(step, ()))),
        }
        self.steps.append(
            TraceStep(
                iteration,
                tuple(plan.scheduled),
                tuple(plan.preempted),
                plan.free_blocks,
                loads=tuple(plan.loads),
                encoder=tuple(plan.encoded),
                **(transfers | copies),
            )
        )
        return plan

    def _copy(self, plan: StepPlan) -> dict[str, Any]:
        """What a step says of copies to and from the memory of the CPU."""
        if self._offload is None:
            return {}
        orders = self._offload.take_orders()
        self._copied[id(plan)] = done = self._copies.compute(orders)
        return {
            "recv": _numbers(job for job in done if not job.is_store),
            "stores": tuple((job.request.number, len(job.keys)) for job in orders.stores),
            "flushed": _numbers(orders.flushed),
            "stored": _numbers(job for job in done if job.is_store),
        }

    def _apply(self, plan: StepPlan) -> None:
        result = self.scheduler.update(plan)
        self._has_finished |= bool(result.finished)
        k = self._entries.pop(id(plan))
        entry = self.steps[k]
        for job in self._copied.pop(id(plan), ()):
            assert self._offload is not None
            self._offload.finish_copy(job)
        for number in entry.recv:
            self._connector.finish_load(number)
        for number in entry.sent:
            self._connector.finish_sending(number)
        self.steps[k] = replace(entry, spec=tuple(result.verified), finished=tuple(result.finished))

    def entries(self) -> list[TraceStep]:
        """Steps that a recording has entries for."""
        return [step for step in self.steps if step.is_kept]


def replay_reference(trace: ScheduleTrace) -> list[TraceStep]:
    """Entries of a recording without data parallelism, until every request has finished or none can go on."""
    engine = ReplayedEngine(trace.config, trace.requests, trace.events)
    run_engine(engine)
    return engine.entries()


def run_engine(engine: ReplayedEngine) -> None:
    """One engine by itself, iteration by iteration, to the end."""
    iteration = idle = 0
    while (engine.next_arrival is not None or engine.is_busy) and idle < _MOST_IDLE:
        if not engine.is_busy:
            iteration = max(iteration, engine.next_arrival or 0)
        engine.before(iteration)
        engine.iterate(iteration)
        idle = 0 if engine.steps and engine.steps[-1].step == iteration and engine.steps[-1].is_kept else idle + 1
        iteration += 1


def replay_ranks(trace: ScheduleTrace) -> tuple[list[TraceRank], list[tuple[int, str]]]:
    """Data-parallel ranks in lockstep (vLLM `DPEngineCoreProc.run_busy_loop`), and what each did in each iteration.

    A rank without tokens runs a dummy batch while a wave runs. After the first iteration of a wave and then every
    `sync_interval` the ranks look together whether anyone has requests; if none has, the wave ends.
    """
    engines = ranks_of(trace, ReplayedEngine)
    loop = run_ranks(trace, engines)
    return [TraceRank(tuple(engine.entries())) for engine in engines], loop


EngineT = TypeVar("EngineT", bound=ReplayedEngine)


def ranks_of(trace: ScheduleTrace, make: type[EngineT]) -> list[EngineT]:
    """Engines of a recording, one for each rank."""
    return [make(trace.config, [row for row in trace.requests if row.rank == rank]) for rank in range(len(trace.ranks))]


def run_ranks(trace: ScheduleTrace, engines: Sequence[ReplayedEngine]) -> list[tuple[int, str]]:
    """All ranks to the end, and what each did in each iteration."""
    waves = trace.config.modes.waves
    assert waves is not None
    iteration, counter, running = -1, 0, False
    loop: list[tuple[int, str]] = []
    while True:
        coming = [engine.next_arrival for engine in engines if engine.next_arrival is not None]
        active = running or any(engine.has_unfinished for engine in engines)
        if not active and not coming:
            return loop
        iteration = iteration + 1 if active else max(iteration + 1, min(coming))
        throttled = waves.prefill_interval > 1 and counter % waves.prefill_interval != 0
        row = ""
        for engine in engines:
            engine.before(iteration)
            ran = engine.iterate(iteration, throttled)
            planned = engine.steps and engine.steps[-1].step == iteration and engine.steps[-1].scheduled
            row += "s" if planned else "-" if ran else "d"
        loop.append((iteration, row))
        counter += 1
        running = True
        if counter == 1 or counter % waves.sync_interval == 0:
            running = any(engine.has_unfinished for engine in engines)
        if not running:
            counter = 0


def _numbers(jobs: Iterable[Job]) -> tuple[int, ...]:
    return tuple(sorted(job.request.number for job in jobs))


def _as_request(row: TraceRequest) -> Request:
    return Request(
        number=row.id,
        arrival_s=row.order,
        isl=row.isl,
        osl=row.osl,
        priority=row.priority,
        segments=row.prompt,
        held_back=row.held_back,
        name=row.text,
        tie=0,
        images=row.images,
        lora=row.lora,
        salt=row.salt,
        stop_after=row.stop_after,
        has_grammar=row.grammar_ready_step is not None,
        remote_prefill=row.remote_prefill,
        remote_decode=row.remote_decode,
        external_tokens=row.stored_tokens,
        external_apart=row.async_load,
        most_loaded_tokens=row.max_load_tokens,
        most_stored_tokens=row.max_offload_tokens,
    )
