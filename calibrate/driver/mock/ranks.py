"""Data-parallel ranks in lockstep: vLLM's own `DPEngineCoreProc.run_busy_loop`, one thread for each rank, one process.

Only sockets and the all-reduce are replaced: an iteration begins with a barrier, arrivals of iteration k are queued
then, and an arrival while all ranks are idle starts the wave on all of them, as the coordinator's START_DP_WAVE does.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from vllm.config import ParallelConfig
from vllm.v1.engine.core import DPEngineCoreProc, EngineCore

from calibrate.driver.mock.session import MOST_IDLE, MOST_ITERATIONS, MockSession

Votes = list[bool]


class Rank(DPEngineCoreProc):  # type: ignore[misc]
    """An engine core of a data-parallel deployment without its sockets."""

    def __init__(self, config: Any, executor: Any, log_stats: bool) -> None:
        self.prefill_schedule_interval = config.scheduler_config.prefill_schedule_interval
        self.dp_sync_interval = config.parallel_config.dp_sync_interval
        self.step_counter = self.current_wave = 0
        self.pending_pause = self.ignore_start_dp_wave = False
        self.eep_scaling_state = None
        self.publish_dp_lb_stats = self.enable_fault_tolerance = self.engines_running = False
        self.has_coordinator = True
        self.output_queue: queue.Queue[Any] = queue.Queue()
        self.dp_group = None
        self.dummies: list[int] = []
        EngineCore.__init__(self, config, executor, log_stats)

    def execute_dummy_batch(self) -> None:
        self.dummies.append(self.fleet.iteration)
        super().execute_dummy_batch()

    def _handle_shutdown(self) -> bool:
        return bool(self.fleet.begins())

    def _process_input_queue(self) -> None:
        self.session.iteration = self.fleet.iteration
        self.session.before()


class _Fleet:
    """The lockstep: one barrier an iteration, arrivals, and the vote that ends a wave."""

    def __init__(self, engine: dict[str, Any], requests: Sequence[dict[str, Any]], ranks: int, model: str) -> None:
        self.iteration = -1
        self.waves: list[int] = []
        self.sessions = []
        for rank in range(ranks):
            mine = [row for row in requests if row["rank"] == rank]
            session = MockSession(engine, mine, (), model, Rank)
            session.core.fleet, session.core.session, session.core.dp_rank = self, session, rank
            self.sessions.append(session)
        self._barrier = threading.Barrier(ranks, action=self._advance)
        self._votes: Votes = [False] * ranks
        self._vote_barrier = threading.Barrier(ranks)
        self._ended = False
        self._error: BaseException | None = None

    def _advance(self) -> None:
        """Between iterations, alone: jump while all are idle, end when nothing is left."""
        cores = [session.core for session in self.sessions]
        coming = [step for session in self.sessions if (step := session.next_arrival) is not None]
        running = any(core.engines_running or core.scheduler.has_unfinished_requests() for core in cores)
        if not running and not coming:
            self._ended = True
            return
        self.iteration = self.iteration + 1 if running else max(self.iteration + 1, min(coming))
        last = max((session.last_entry for session in self.sessions), default=0)
        waits = self.iteration - max(last, self.waves[-1] if self.waves else 0)
        if running and (waits > MOST_IDLE or self.iteration > MOST_ITERATIONS):
            left = "; ".join(session.left() for session in self.sessions)
            raise TimeoutError(f"the ranks stand still at iteration {self.iteration}: {left}")
        if not running:
            self.waves.append(self.iteration)
            for core in cores:
                core.engines_running = True

    def begins(self) -> bool:
        self._barrier.wait()
        return not self._ended

    def _vote(self, rank: int, unfinished: bool) -> bool:
        self._votes[rank] = unfinished
        self._vote_barrier.wait()
        found = any(self._votes)
        self._vote_barrier.wait()
        return found

    def _loop(self, session: MockSession) -> None:
        try:
            with contextlib.suppress(SystemExit, threading.BrokenBarrierError):
                session.core.run_busy_loop()
        except BaseException as error:
            self._error = error
            self._barrier.abort()
            self._vote_barrier.abort()

    def run(self) -> None:
        """Run all ranks until nothing is left; errors of a rank are raised here."""

        def sync(dp_group: Any, has_unfinished: bool, pending_pause: bool) -> tuple[bool, bool]:
            return self._vote(int(threading.current_thread().name), has_unfinished), False

        ParallelConfig.sync_dp_state = staticmethod(sync)
        threads = [
            threading.Thread(target=self._loop, args=(session,), name=str(rank))
            for rank, session in enumerate(self.sessions)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def loop(self) -> list[list[Any]]:
        """(iteration, a character by rank): `s` a step with tokens, `d` a dummy batch, `-` neither."""
        rows: dict[int, list[str]] = defaultdict(lambda: ["-"] * len(self.sessions))
        for rank, session in enumerate(self.sessions):
            for step in session.steps:
                if step["scheduled"]:
                    rows[step["step"]][rank] = "s"
            for iteration in session.core.dummies:
                rows[iteration][rank] = "d"
        return [[iteration, "".join(rows[iteration])] for iteration in sorted(rows)]


def record_ranks(engine: dict[str, Any], requests: Sequence[dict[str, Any]], ranks: int, model: str) -> dict[str, Any]:
    """Record data-parallel ranks; each has the requests that name it."""
    fleet = _Fleet(engine, requests, ranks, model)
    fleet.run()
    parts = [session.recording() for session in fleet.sessions]
    first = fleet.sessions[0].core
    sums = {name: sum(part["facts"]["counts"][name] for part in parts) for name in parts[0]["facts"]["counts"]}
    modes = list(dict.fromkeys(mode for part in parts for mode in part["facts"]["modes"]))
    facts = {**parts[0]["facts"], "modes": [f"{ranks} data-parallel ranks", *modes], "counts": sums}
    facts["set_by_recorder"] = {**facts["set_by_recorder"], "data_parallel_size": "ranks share one process"}
    return {
        "recorded_with": "DPEngineCoreProc.run_busy_loop, executor that computes nothing",
        "config": {
            **parts[0]["config"],
            "data_parallel_size": ranks,
            "prefill_schedule_interval": first.prefill_schedule_interval,
            "dp_sync_interval": first.dp_sync_interval,
        },
        "ranks": [{key: part[key] for key in ("steps", "updates") if key in part} for part in parts],
        "loop": fleet.loop(),
        "waves": fleet.waves,
        "facts": facts,
    }
