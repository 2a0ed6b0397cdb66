"""Runs a design on a real engine, in random order and repeatedly, and survives what goes wrong."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from calibrate.experiments.design import Limits, Phase, Point, design_within, limits_from, order
from calibrate.experiments.store import PointStore
from calibrate.vllm_process import EngineError, VllmProcess

DEFAULTS: Mapping[str, str | None] = {"load-format": "dummy", "skip-tokenizer-init": None, "no-async-scheduling": None}
"""Engine arguments of a profile unless the user says otherwise: timing needs no real weights and no pipelining."""
_BACK_OFF = ("0.85", "0.75", "0.6")
_MOST_RESTARTS = 5
_LEAST_CPU_SHARE = 0.9
_SELF_TEST = ((40, 6), (7, 3), (130, 2))


def check_counts(sides: dict[str, dict[str, int]], version: str) -> dict[str, dict[str, int]]:
    """Hold the recorded steps against the engine's own counters of prompt tokens, generated tokens and preemptions.

    Raises
    ------
    EngineError : they differ, so the recording cannot be trusted
    """
    if sides["recorded"] != sides["engine"]:
        message = f"recorded steps count {sides['recorded']}, the engine counts {sides['engine']}"
        raise EngineError("failed", f"{message}: steps of vLLM {version} cannot be trusted")
    return sides


def contention(cpu_share: float | None, device: Mapping[str, Any]) -> str | None:
    """A remark where the threads of a CPU engine did not have their processors for themselves."""
    if device["type"] != "cpu" or cpu_share is None or cpu_share >= _LEAST_CPU_SHARE:
        return None
    return (
        f"the engine's threads had a processor for {100 * cpu_share:.0f} % of the time that they wanted one: other "
        "work, or more threads than processors, slows what is measured"
    )


@dataclass(frozen=True, slots=True)
class Options:
    """How much to measure.

    Attributes
    ----------
    repeats : times that each point is measured
    time_budget_s : time from the design's first step after which no further point is begun
    seed : of the order
    """

    repeats: int
    time_budget_s: float
    seed: int


@dataclass(slots=True)
class Profiler:
    """One profile in the making.

    Attributes
    ----------
    start_process : starts vLLM's process
    arguments : vLLM's command line
    report : shown after each point: points done, points in all, seconds left
    """

    start_process: Callable[[], VllmProcess]
    arguments: list[str]
    store: PointStore
    options: Options
    report: Callable[[int, int, float], None]
    info: dict[str, Any] = field(default_factory=dict)
    backed_off: list[dict[str, str]] = field(default_factory=list)
    restarts: int = 0
    _process: VllmProcess | None = None
    _began_s: float = 0.0

    def run(self) -> bool:
        """Measure until everything or the time is used up; True when every repeat is there.

        The bundle is written in any case, also on Ctrl-C.

        Raises
        ------
        EngineError : vLLM does not start, or dies again and again
        """
        complete = False
        try:
            self._start()
            complete = self._measure(self._plan())
            self.info["self_test"] = self._checked_counts()
        finally:
            self._close()
            if self.store.measured and "design" in self.info:
                self.store.finish(self._meta(complete))
        return complete

    @property
    def cpu_share(self) -> float | None:
        """Median over the points of the share of time that the engine's threads got of what they wanted."""
        known = [point["cpu_share"] for point in self.store.measured if point["cpu_share"] is not None]
        return float(median(known)) if known else None

    def _close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _start(self) -> None:
        """Start the engine; when its memory runs out, with a smaller share of it."""
        choices = [None] if any("gpu-memory-utilization" in word for word in self.arguments) else [None, *_BACK_OFF]
        for share in choices:
            extra = [] if share is None else [f"--gpu-memory-utilization={share}"]
            self._process = self.start_process()
            try:
                started = self._process.call("start", arguments=[*self.arguments, *extra])
            except EngineError as error:
                self._close()
                if error.kind != "out_of_memory" or share == choices[-1]:
                    raise
                self.backed_off.append({"at": "start", "arguments": " ".join(extra), "message": str(error)})
                continue
            self.info = {**self.info, **started}
            return

    def _call(self, do: str, **arguments: Any) -> Any:
        assert self._process is not None
        return self._process.call(do, **arguments)

    def _plan(self) -> list[Point]:
        """Warm up, see how fast the engine is, and choose the design; a run that goes on keeps its own."""
        limits = limits_from(self.info["limits"], self.info["cudagraph_capture_sizes"])
        self._self_test(limits)
        kept = self.store.find("speed")
        if kept is None:
            kept = {"speed": self._speed(limits), "limits": asdict(limits), "time_s": self.options.time_budget_s}
            self.store.append(kept)
        limits = Limits(**{**kept["limits"], "capture_sizes": tuple(kept["limits"]["capture_sizes"])})
        points, most_tokens = design_within(limits, kept["time_s"] / 2, **kept["speed"])
        self.info["design"] = {"points": len(points), "most_tokens": most_tokens, **kept["speed"]}
        return points

    def _self_test(self, limits: Limits) -> None:
        """A few requests from start to end; the recorded steps must count what the engine counts."""
        fitting = [(isl, osl) for isl, osl in _SELF_TEST if isl + osl < limits.longest_tokens]
        self._call("point", phases=[asdict(Phase(add=tuple(fitting), steps=max(osl for _, osl in _SELF_TEST)))])
        self._checked_counts()

    def _checked_counts(self) -> dict[str, dict[str, int]]:
        return check_counts(self._call("self_test"), self.info["versions"]["vllm"])

    def _speed(self, limits: Limits) -> dict[str, float]:
        """Prefill rate in tokens/s and time of a small step, from a second look; the first one warms up."""
        isl = min(4 * limits.step_tokens, limits.longest_tokens - 8)
        steps = -(-isl // limits.step_tokens) + 4
        for _ in range(2):
            rows = self._call("point", phases=[asdict(Phase(add=((isl, 6),), steps=steps))])["rows"]
        prefill_s = sum(row["dur_s"] for row in rows if row["tag"] == "prefill")
        return {
            "tokens_per_s": isl / prefill_s,
            "step_s": median(row["dur_s"] for row in rows if row["tag"] == "decode"),
        }

    def _measure(self, points: Sequence[Point]) -> bool:
        wanted = [
            (repeat, point)
            for repeat in range(self.options.repeats)
            for point in order(points, repeat, self.options.seed)
        ]
        done = {(record["repeat"], record["point"]) for record in [*self.store.measured, *self.store.failed]}
        open_ = [(repeat, point) for repeat, point in wanted if (repeat, point.name) not in done]
        costs = [point.seconds(**self.store.find("speed")["speed"]) for _, point in open_]  # type: ignore[index]
        measured_s = expected_s = 0.0
        self._began_s = time.monotonic()
        for k, (repeat, point) in enumerate(open_):
            if time.monotonic() - self._began_s > self.options.time_budget_s:
                return False
            before_s = time.monotonic()
            self._measure_point(point, repeat)
            measured_s += time.monotonic() - before_s
            expected_s += costs[k]
            left_s = sum(costs[k + 1 :]) * measured_s / expected_s
            budget_left_s = self.options.time_budget_s - (time.monotonic() - self._began_s)
            self.report(len(done) + k + 1, len(wanted), min(left_s, max(budget_left_s, 0.0)))
        return True

    def _measure_point(self, point: Point, repeat: int) -> None:
        """One point; one that is too large for memory is noted, and those at least as large are left out."""
        label = {"point": point.name, "repeat": repeat}
        if self._is_too_large(point):
            self.store.append({**label, "failure": "out_of_memory", "message": "at least as large as one that failed"})
            return
        try:
            self.store.append({**label, **self._call("point", phases=point.command())})
        except EngineError as error:
            size = {"kv_tokens": point.kv_tokens, "step_tokens": point.step_tokens}
            self.store.append({**label, "failure": error.kind, "message": str(error)[:400], **size})
            self._close()
            self.restarts += 1
            if self.restarts > _MOST_RESTARTS:
                raise
            self._start()

    def _is_too_large(self, point: Point) -> bool:
        return any(
            record["failure"] == "out_of_memory"
            and point.kv_tokens >= record.get("kv_tokens", float("inf"))
            and point.step_tokens >= record["step_tokens"]
            for record in self.store.failed
            if "kv_tokens" in record
        )

    def _meta(self, complete: bool) -> dict[str, Any]:
        info = self.info
        device = info["device"]
        return {
            "status": "complete" if complete else "partial",
            "measured_on": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "model": info["model_config"],
            "vllm_version": info["versions"]["vllm"],
            "device": device["name"] if device["count"] == 1 else f"{device['count']} x {device['name']}",
            "config": {
                **info["limits"],
                "cudagraph_capture_sizes": info["cudagraph_capture_sizes"],
                "cudagraph_mode": info["cudagraph_mode"],
            },
            "engine_arguments": self.arguments,
            "hardware": device,
            "versions": info["versions"],
            "resolved": info["resolved"],
            "environment": info["environment"],
            "design": {**info["design"], "repeats": self.options.repeats, "seed": self.options.seed},
            "points": {"measured": len(self.store.measured), "failed": self.store.failed},
            "cpu_share": self.cpu_share,
            "backed_off": self.backed_off,
            "restarts": self.restarts,
            "self_test": info.get("self_test"),
        }
