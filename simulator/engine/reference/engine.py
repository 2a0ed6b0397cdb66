"""One replica in time: arrivals, steps and completions, every one of them individually."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simulator.engine.config import EngineConfig
from simulator.engine.logged_step import LoggedStep
from simulator.engine.modes.flight.reference import PlanQueue
from simulator.engine.reference.limits import can_serve
from simulator.engine.reference.plan import StepPlan
from simulator.engine.reference.request import Request, RequestStatus
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.reference.worker import AcceptedDrafts, DraftsMade
from simulator.errors import InvariantError
from simulator.perf.steptime import StepTime
from simulator.workload.requests import Requests


@dataclass(slots=True)
class RequestRecord:
    """How one request fared; times in seconds since the start of the run, None for what never happened.

    Attributes
    ----------
    row : row of the request in `Requests`
    status : rejected requests never fit the replica (`can_serve`); of those that left the client was gone
    scheduled_s : start of the first step that took it up
    prefilled_s, transferred_s : end of the prefill on another engine, and when its KV had arrived
    first_token_s, finish_s : ends of the steps that brought its first and last token; a rejected one ends at arrival
    cached_tokens : tokens found in the prefix cache when it was first admitted
    """

    row: int
    status: Literal["completed", "rejected", "left"]
    arrival_s: float
    finish_s: float
    scheduled_s: float | None = None
    prefilled_s: float | None = None
    transferred_s: float | None = None
    first_token_s: float | None = None
    generated: int = 0
    cached_tokens: int = 0
    preemptions: int = 0


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """Result of `run_reference`: ended requests in order of their end, and all steps in order of time.

    A follow-up turn whose previous turn was rejected never arrives and has no record.
    """

    records: list[RequestRecord]
    steps: list[LoggedStep]
    end_s: float


def logged(plan: StepPlan, start_s: float, end_s: float) -> LoggedStep:
    """What the log tells of a plan."""
    return LoggedStep(start_s, tuple(plan.scheduled), tuple(plan.preempted), plan.free_blocks, end_s=end_s)


def decodes(request: Request, computed_before: int, drafts: int) -> bool:
    """Whether a scheduled request was caught up before the step: one token due, besides drafts, beyond its prompt.

    So is one whose prompt's KV was fetched and that computes the last prompt token again. Placeholders are tokens,
    but not that of the step itself.
    """
    in_step = 0 if request.is_prefill_chunk else 1 + drafts
    ahead = max(request.num_output_placeholders - in_step, 0)
    due = request.num_tokens + ahead - computed_before
    return due == 1 and (computed_before >= request.isl or request.kv_loaded)


def step_duration_s(step_time: StepTime, plan: StepPlan) -> float:
    """Duration of a planned step in seconds: the equation of `StepTime`, summed from left to right in float64.

    The attention sums are exact integers; prefill's is kept doubled, q(2c + q + 1), and halved once at the end. A step
    in which nothing was scheduled (all room went to preemption) takes F[0, 0] + S[0].
    """
    n_seqs = len(plan.scheduled)
    n_tokens = prefill_units = decode_context = 0
    for entry in plan.entries:
        tokens, before = entry.tokens, entry.computed_before
        n_tokens += tokens
        if decodes(entry.request, before, entry.drafts):
            decode_context += before + tokens
        else:
            prefill_units += tokens * (2 * before + tokens + 1)
    row = max(min(n_seqs, step_time.token_time_s.shape[0]) - 1, 0)
    sequences_s = float(step_time.seq_time_s[n_seqs])
    duration = float(step_time.token_time_s[row, n_tokens]) + sequences_s
    duration = duration + step_time.prefill_attn_s * (prefill_units * 0.5)
    duration = duration + step_time.decode_attn_s * decode_context
    launches = step_time.launches
    if n_tokens > launches.captured_tokens:
        duration = max(duration, sequences_s + launches.eager_s)
    elif prefill_units:
        duration = max(duration, sequences_s + launches.pieces_s)
    return max(duration, step_time.least_step_s) if n_seqs else duration


def run_reference(
    config: EngineConfig,
    step_time: StepTime,
    requests: Requests,
    accepted: AcceptedDrafts | None = None,
    drafted: DraftsMade | None = None,
) -> ReferenceRun:
    """Serve `requests` on one replica until all have ended.

    A step scheduled at t ends at t + T(step). Arrivals up to and including the end of a step are seen by the schedule
    at that instant, after the finished requests have left; equal arrivals are queued in order of their rows. An idle
    engine starts a step at the instant of an arrival, once all arrivals of that instant are queued. A follow-up turn
    arrives `think_s` after its previous turn has completed.

    Parameters
    ----------
    accepted : how many of a request's verified drafts are accepted; needed with speculative decoding
    drafted : how many drafts are made; all that are asked for unless given

    Raises
    ------
    ValueError : speculative decoding without `accepted`
    InvariantError : requests wait and nothing can be scheduled
    """
    run = _Run(config, requests, accepted, drafted)
    flight = config.modes.flight
    depth, stages = (flight.depth, flight.stages) if flight else (1, 1)
    queue, stage_free_s, ends = PlanQueue(run.scheduler, depth), [0.0] * stages, deque[float]()
    last_ends = deque([0.0] * stages, maxlen=stages)
    now, has_finished = 0.0, False
    while run.arrivals or run.scheduler.has_requests or len(queue) or has_finished:
        if not run.scheduler.has_requests and not len(queue) and not has_finished:
            now = run.arrivals[0][0]
            run.admit_arrivals(now)
        if run.scheduler.has_requests or has_finished:
            plan = run.scheduler.schedule()
            has_finished = False
            empty = not plan.scheduled and not plan.preempted
            if empty and depth == 1:
                raise InvariantError(f"nothing can be scheduled at {now} s although requests wait")
            duration = 0.0 if empty else step_duration_s(step_time, plan)
            start, end = pass_through(stage_free_s, max(now, last_ends[0]), duration)
            ends.append(end)
            last_ends.append(end)
            if not empty:
                run.log(now, logged(plan, start, end))
            if queue.push(plan, run.scheduler.has_requests):
                continue
        if len(queue):
            now = max(now, ends.popleft())
            left = run.let_leave(now)
            has_finished = (run.finish_step(now, queue.pop()) or left) and depth > 1
    return ReferenceRun(run.records, run.steps, now)


def pass_through(stage_free_s: list[float], now: float, duration_s: float) -> tuple[float, float]:
    """Start and end of a plan that takes an equal share of `duration_s` in each stage of a pipeline.

    A stage computes one plan after the other, in their order. A plan goes on with tokens that the one `stages` before
    it brings at the latest, so it begins after that.

    Parameters
    ----------
    now : when it was made, and the plan that many before it has passed all stages
    stage_free_s : when each stage has computed all plans before; moved on
    """
    start = end = max(now, stage_free_s[0])
    for stage, free in enumerate(stage_free_s):
        end = max(end, free) + duration_s / len(stage_free_s)
        stage_free_s[stage] = end
    return start, end


@dataclass(slots=True)
class _Run:
    config: EngineConfig
    requests: Requests
    accepted: AcceptedDrafts | None
    drafted: DraftsMade | None
    scheduler: Scheduler = field(init=False)
    arrivals: list[tuple[float, int]] = field(init=False)  # heap of (time, row)
    leaving: list[tuple[float, int]] = field(default_factory=list)  # heap of (time, row)
    in_flight: dict[int, tuple[Request, RequestRecord]] = field(default_factory=dict)
    records: list[RequestRecord] = field(default_factory=list)
    steps: list[LoggedStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.config, self.accepted, self.drafted)
        times = self.requests.arrival_s[: self.requests.n_open].tolist()
        self.arrivals = [(time, row) for row, time in enumerate(times)]
        heapq.heapify(self.arrivals)

    def admit_arrivals(self, now: float) -> None:
        """Queue all requests that have arrived by `now`; those that can never be served are rejected."""
        while self.arrivals and self.arrivals[0][0] <= now:
            arrival_s, row = heapq.heappop(self.arrivals)
            request = make_request(self.requests, row, arrival_s)
            if not can_serve(self.config, request.isl, int(self.requests.osl[row])):
                self.records.append(RequestRecord(row, "rejected", arrival_s, arrival_s))
                continue
            self.in_flight[row] = (request, RequestRecord(row, "completed", arrival_s, float("nan")))
            self.scheduler.add(request)
            extras = self.requests.extras
            if extras is not None and extras.leaves_s[row] > 0:
                heapq.heappush(self.leaving, (arrival_s + float(extras.leaves_s[row]), row))

    def let_leave(self, now: float) -> bool:
        """Take out the requests whose clients have left by `now`, before the output of that time; whether any ran."""
        ran = False
        while self.leaving and self.leaving[0][0] <= now:
            left_s, row = heapq.heappop(self.leaving)
            if row not in self.in_flight:
                continue
            request, record = self.in_flight.pop(row)
            ran |= request.status is RequestStatus.RUNNING
            self.scheduler.abort(row)
            record.status, record.finish_s = "left", left_s
            record.cached_tokens, record.preemptions = request.num_cached_tokens or 0, request.num_preemptions
            self.records.append(record)
        return ran

    def log(self, now: float, step: LoggedStep) -> None:
        """Write down a step that was planned at `now`."""
        self.steps.append(step)
        for row, _, _ in step.scheduled:
            record = self.in_flight[row][1]
            if record.scheduled_s is None:
                record.scheduled_s = now

    def finish_step(self, end: float, plan: StepPlan) -> bool:
        """Apply a step at its end, and queue what has arrived until then; whether requests have ended."""
        result = self.scheduler.update(plan)
        for row, tokens in result.tokens:
            record = self.in_flight[row][1]
            if record.first_token_s is None:
                record.first_token_s = end
            record.generated += tokens
        for row in result.finished:
            self._complete(row, end)
        self.admit_arrivals(end)
        return bool(result.finished)

    def _complete(self, row: int, now: float) -> None:
        request, record = self.in_flight.pop(row)
        record.finish_s = now
        record.cached_tokens = request.num_cached_tokens or 0
        record.preemptions = request.num_preemptions
        self.records.append(record)
        following = int(self.requests.next_turn[row])
        if following >= 0:
            heapq.heappush(self.arrivals, (now + float(self.requests.think_s[following]), following))


def make_request(requests: Requests, row: int, arrival_s: float) -> Request:
    """Row of `requests` as the scheduler sees it; its number is the row."""
    span = slice(int(requests.segment_start[row]), int(requests.segment_start[row + 1]))
    stop = int(requests.osl[row]) if requests.stops[row] else 0
    segments = zip(requests.segment_id[span].tolist(), requests.segment_tokens[span].tolist(), strict=True)
    return Request(
        number=row,
        arrival_s=arrival_s,
        isl=int(requests.isl[row]),
        osl=int(requests.osl[row]) + (stop > 0),
        priority=int(requests.priority[row]),
        segments=tuple(segments),
        output_continues=bool(requests.output_continues[row]),
        stop_after=stop,
        tie=_first_of_answers(requests, row),
    )


def _first_of_answers(requests: Requests, row: int) -> int:
    """First row of those that are answers to the same request; itself if it is the only one."""
    session = requests.session_id[row]
    if session < 0:
        return row
    together = (requests.session_id == session) & (requests.arrival_s == requests.arrival_s[row])
    return int(np.argmax(together)) if together[row] else row
