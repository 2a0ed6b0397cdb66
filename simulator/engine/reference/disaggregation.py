"""One prefill engine and one decode engine that hands out the answers: prefill/decode disaggregation, obvious not fast.

The rules of vLLM 0.32.0 with its NIXL connector and a proxy that sends each request first to the prefill engine, with
`max_tokens=1`, then to the decode engine, whose output it streams.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

from simulator.engine.config import EngineConfig
from simulator.engine.logged_step import LoggedStep
from simulator.engine.modes.connector.reference import ConnectorRoom
from simulator.engine.modes.tables.arrays import held_back_tokens
from simulator.engine.reference.engine import (
    RequestRecord,
    logged,
    make_request,
    pass_through,
    step_duration_s,
)
from simulator.engine.reference.limits import can_receive, can_serve
from simulator.engine.reference.plan import StepPlan
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.reference.worker import AcceptedDrafts
from simulator.perf.steptime import StepTime
from simulator.workload.requests import Requests


@dataclass(frozen=True, slots=True)
class KvLink:
    """Way of the KV cache between two replicas.

    A transfer of n blocks takes n · block_bytes / bandwidth of the link, once the transfers before it are through, and
    arrives `latency_s` later.
    """

    block_bytes: float
    bytes_per_s: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class DisaggregatedRun:
    """Ended requests in order of their end, and the steps of both engines in order of time."""

    records: list[RequestRecord]
    prefill_steps: list[LoggedStep]
    decode_steps: list[LoggedStep]


@dataclass(slots=True)
class _Made:
    """A plan on its way: what is written down of it once its output has come."""

    plan: StepPlan
    made_s: float
    start_s: float
    end_s: float

    @property
    def is_empty(self) -> bool:
        return not self.plan.scheduled and not self.plan.preempted


class _Engine:
    """One replica in time: its plans on their way, or none while it is idle until `next_s`."""

    def __init__(self, config: EngineConfig, step_time: StepTime, accepted: AcceptedDrafts | None) -> None:
        self.config, self.step_time = config, step_time
        self.scheduler = Scheduler(config, accepted)
        self.connector = self.scheduler.room(ConnectorRoom)
        flight = config.modes.flight
        self.depth, stages = (flight.depth, flight.stages) if flight else (1, 1)
        self.made: deque[_Made] = deque()
        self.waits = False
        self.has_finished = False
        self.next_s = math.inf
        self.sent: list[int] = []
        self.steps: list[LoggedStep] = []
        self._stage_free_s = [0.0] * stages
        self._last_ends = deque([0.0] * stages, maxlen=stages)

    def wake(self, now: float) -> None:
        """An idle engine looks at its queue at this very instant; one with plans on their way when an output comes."""
        if not self.made:
            self.next_s = min(self.next_s, now)

    def plan(self, now: float) -> list[StepPlan]:
        """Make plans until enough are on their way; without anything to compute idle until something happens."""
        made = []
        while self.scheduler.has_requests or self.has_finished:
            self.has_finished = False
            plan = self.scheduler.schedule()
            made.append(plan)
            empty = not plan.scheduled and not plan.preempted
            duration = 0.0 if empty else step_duration_s(self.step_time, plan)
            start, end = pass_through(self._stage_free_s, max(now, self._last_ends[0]), duration)
            self._last_ends.append(end)
            self.made.append(_Made(plan, now, start, end))
            if not empty:
                self.steps.append(logged(plan, start, end))
            if len(self.made) == self.depth or not self.scheduler.has_requests:
                break
        if self.scheduler.has_requests and all(one.is_empty for one in self.made):
            self.made.clear()
        self.waits = bool(self.made)
        self.next_s = max(now, self.made[0].end_s) if self.made else math.inf
        return made


def run_disaggregated(
    prefill: tuple[EngineConfig, StepTime],
    decode: tuple[EngineConfig, StepTime],
    link: KvLink,
    requests: Requests,
    accepted: AcceptedDrafts | None = None,
) -> DisaggregatedRun:
    """Serve open-loop `requests` until all have ended.

    1. A request is computed on the prefill engine up to its first token, beside layers with a state but for the
       prompt's last one, before which the other side needs it. Its blocks are kept there.
    2. At the end of that step it is queued at the decode engine. When the scheduler reaches it, blocks for the whole
       prompt are allocated and the transfer of those that the local prefix cache lacks begins with the step. Where it
       lacks none, the request runs at once.
    3. When the transfer has ended, the prefill engine frees its blocks (at the end of its step, if it is in one), and
       the decode engine's next plan lets the request run: it computes the last prompt token again and goes on.
    4. After a preemption the decode engine computes the whole request itself.

    The user sees the decode engine's tokens. At one instant arrivals come first, then ends of transfers in the order in
    which they began, then the prefill engine, then the decode engine.
    """
    run = _Run(_Engine(*prefill, accepted), _Engine(*decode, accepted), link, requests)
    run.advance()
    return DisaggregatedRun(run.records, run.prefill.steps, run.decode.steps)


@dataclass(slots=True)
class _Run:
    prefill: _Engine
    decode: _Engine
    link: KvLink
    requests: Requests
    records: list[RequestRecord] = field(default_factory=list)
    in_flight: dict[int, RequestRecord] = field(default_factory=dict)
    transfers: list[tuple[float, int, int]] = field(default_factory=list)  # heap of (end, number, row)
    n_transfers: int = 0
    link_free_s: float = 0.0

    def advance(self) -> None:
        arrivals = [(time, row) for row, time in enumerate(self.requests.arrival_s.tolist())]
        heapq.heapify(arrivals)
        while True:
            arrival_s = arrivals[0][0] if arrivals else math.inf
            transfer_s = self.transfers[0][0] if self.transfers else math.inf
            engine = self.prefill if self.prefill.next_s <= self.decode.next_s else self.decode
            if min(arrival_s, transfer_s, engine.next_s) == math.inf:
                return
            if arrival_s <= min(transfer_s, engine.next_s):
                self._arrive(*heapq.heappop(arrivals))
            elif transfer_s <= engine.next_s:
                self._end_transfer(*heapq.heappop(self.transfers))
            else:
                self._step(engine)

    def _arrive(self, now: float, row: int) -> None:
        isl, osl = int(self.requests.isl[row]), int(self.requests.osl[row])
        if not can_serve(self.prefill.config, isl, 1) or not can_receive(self.decode.config, isl, osl):
            self.records.append(RequestRecord(row, "rejected", now, now))
            return
        request = make_request(self.requests, row, now)
        request.osl = 1
        request.remote_decode = True
        held_back = held_back_tokens(self.prefill.config)
        if isl > held_back:
            request.isl, request.held_back = isl - held_back, held_back
        self.in_flight[row] = RequestRecord(row, "completed", now, math.nan)
        self.prefill.scheduler.add(request)
        self.prefill.wake(now)

    def _end_transfer(self, now: float, _: int, row: int) -> None:
        self.decode.connector.finish_load(row)
        self.decode.wake(now)
        self._needs_nothing_more(now, row)

    def _needs_nothing_more(self, now: float, row: int) -> None:
        """The decode side has all of a prompt's KV that it wants: the blocks that were kept for it go back."""
        self.in_flight[row].transferred_s = now
        if not self.prefill.made:
            self.prefill.connector.finish_sending(row)
        else:
            self.prefill.sent.append(row)
        self.prefill.wake(now)

    def _step(self, engine: _Engine) -> None:
        now = engine.next_s
        if engine.waits:
            engine.waits = False
            self._finish_step(engine, engine.made.popleft(), now)
        if self.transfers and self.transfers[0][0] <= now:
            return
        for plan in engine.plan(now):
            for row, blocks in plan.loads:
                if blocks == 0:
                    self._needs_nothing_more(now, row)
                    continue
                done_s = max(now, self.link_free_s) + blocks * self.link.block_bytes / self.link.bytes_per_s
                self.link_free_s = done_s
                heapq.heappush(self.transfers, (done_s + self.link.latency_s, self.n_transfers, row))
                self.n_transfers += 1

    def _finish_step(self, engine: _Engine, made: _Made, now: float) -> None:
        scheduler, plan = engine.scheduler, made.plan
        before = {row: scheduler.requests[row] for row, _, _ in plan.scheduled if row in scheduler.requests}
        result = scheduler.update(plan)
        engine.has_finished = bool(result.finished) and engine.depth > 1
        for row, _, _ in plan.scheduled:
            record = self.in_flight.get(row)
            if record is not None:
                record.scheduled_s = made.made_s if record.scheduled_s is None else record.scheduled_s
        for row, tokens in result.tokens:
            if engine is self.decode:
                record = self.in_flight[row]
                record.first_token_s = now if record.first_token_s is None else record.first_token_s
                record.generated += tokens
        for row in result.finished:
            record = self.in_flight[row]
            record.preemptions += before[row].num_preemptions
            if engine is self.decode:
                record.finish_s = now
                self.records.append(self.in_flight.pop(row))
            else:
                record.cached_tokens = before[row].num_cached_tokens or 0
                self._hand_over(row, now)
        for row in engine.sent:
            engine.connector.finish_sending(row)
        engine.sent.clear()

    def _hand_over(self, row: int, now: float) -> None:
        record = self.in_flight[row]
        record.prefilled_s = now
        request = make_request(self.requests, row, record.arrival_s)
        request.remote_prefill = True
        self.decode.scheduler.add(request)
        self.decode.wake(now)
