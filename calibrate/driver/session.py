"""One engine in this process: requests in, steps out. Uses vLLM's public classes; `internals` gives it the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from vllm import SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.llm_engine import LLMEngine

from calibrate.driver.internals import (
    Step,
    duration,
    limits_of,
    missing_hooks,
    scheduler_of,
    set_step_budget,
    tracing_scheduler,
)
from calibrate.driver.processors import cpu_share, processor_time
from calibrate.driver.tokens import vocabulary_tokens

_PRIVATE_SEGMENTS = 2**32
_MOST_EMPTY_STEPS = 100
"""A phase ends when the scheduler gives nothing to anybody: a request that waits for more than there is."""


class Session:
    """vLLM's engine with the tracing scheduler.

    Parameters
    ----------
    arguments : engine arguments as on vLLM's command line
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        if missing := missing_hooks():
            raise RuntimeError(f"this vLLM lacks {', '.join(missing)}: its scheduler cannot be traced")
        parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
        config = EngineArgs.from_cli_args(parser.parse_args(list(arguments))).create_engine_config()
        config.scheduler_config.scheduler_cls = tracing_scheduler  # type: ignore[assignment]
        self.engine = LLMEngine.from_vllm_config(config)
        self.config = config
        self.scheduler = scheduler_of(self.engine)
        self.vocabulary: int = config.model_config.get_vocab_size()
        self.is_async = bool(config.scheduler_config.async_scheduling)
        self._isl: dict[str, int] = {}
        self._generated: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._previous_done_s = 0.0
        self._added = 0
        self.totals = {"prompt_tokens": 0, "generation_tokens": 0, "preemptions": 0}

    @property
    def limits(self) -> dict[str, Any]:
        return limits_of(self.config)

    @property
    def is_busy(self) -> bool:
        return bool(self.engine.has_unfinished_requests())

    def add(self, prompt: Sequence[Sequence[int]] | int, osl: int, priority: int = 0, name: str | None = None) -> str:
        """Queue a request; a number as prompt is that many tokens of its own. Returns its name."""
        self._added += 1
        name = name or str(self._added)
        if isinstance(prompt, int):
            prompt = [[_PRIVATE_SEGMENTS + self._added, prompt]]
        tokens = vocabulary_tokens(prompt, self.vocabulary)
        sampling = SamplingParams(max_tokens=osl, ignore_eos=True, detokenize=False)
        self.engine.add_request(name, {"prompt_token_ids": tokens}, sampling, priority=priority)
        self._isl[name], self._generated[name], self._asked[name] = len(tokens), 0, osl
        return name

    def drop(self, names: Sequence[str]) -> None:
        """Abort requests."""
        self.engine.abort_request(list(names))

    def forget_prefixes(self) -> None:
        """Empty the prefix cache; nothing may be running."""
        if not self.engine.reset_prefix_cache():
            raise RuntimeError("vLLM did not empty its prefix cache")

    def set_step_budget(self, tokens: int | None) -> None:
        set_step_budget(self.scheduler, tokens)

    def is_decoding(self, name: str) -> bool:
        """Whether a request has its first token."""
        return self._generated[name] > 0

    def one_step(self) -> Step:
        """Step the engine once, synchronous scheduling."""
        self.engine.step()
        step: Step = self.collect()[-1][0]
        return step

    def collect(self) -> list[tuple[Step, float, float | None, str]]:
        """Steps done since the last call, each with its duration, the gap before it (seconds) and its kind."""
        found = []
        for step in self.scheduler.step_log.drain():
            dur_s, gap_s = duration(step, self._previous_done_s, self.is_async)
            found.append((step, dur_s, gap_s if self._previous_done_s else None, self._account(step)))
            self._previous_done_s = step.done_s
        return found

    def _account(self, step: Step) -> str:
        """Count what a step brought; `prefill`, `decode` or `mixed`."""
        prefills = 0
        for internal, tokens, before in step.batch:
            name = internal.split("-")[0]
            prefills += self._generated[name] == 0
            caught_up = before + tokens >= self._isl[name] + self._generated[name]
            if not caught_up or self._generated[name] >= self._asked[name]:
                continue
            self.totals["prompt_tokens"] += self._isl[name] if self._generated[name] == 0 else 0
            self.totals["generation_tokens"] += 1
            self._generated[name] += 1
        self.totals["preemptions"] += len(step.preempted)
        return "decode" if prefills == 0 else "prefill" if prefills == len(step.batch) else "mixed"

    def counters(self) -> dict[str, int]:
        """The engine's own counters, as its `/metrics` would show them."""
        wanted = {
            "vllm:prompt_tokens": "prompt_tokens",
            "vllm:generation_tokens": "generation_tokens",
            "vllm:num_preemptions": "preemptions",
        }
        metrics = [metric for metric in self.engine.get_metrics() if metric.name in wanted]
        return {wanted[metric.name]: int(getattr(metric, "value", -1)) for metric in metrics}

    def self_test(self) -> dict[str, dict[str, int]]:
        """Both sides of what was counted so far: recorded steps, the engine's own counters."""
        return {"recorded": dict(self.totals), "engine": self.counters()}

    def point(self, phases: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Run one point of a design (phases as in `calibrate.experiments.design`); leaves the engine empty.

        Returns `rows`, one a step, and `cpu_share`.
        """
        rows: list[dict[str, Any]] = []
        alive: list[str] = []
        before = processor_time(["self"])
        try:
            for phase in phases:
                alive = self._change(phase, alive)
                self.set_step_budget(phase.get("budget"))
                rows += self._run_phase(phase, alive)
            share = cpu_share(before, processor_time(["self"]))
        finally:
            self.set_step_budget(None)
            self.drop([name for name in alive if self.is_busy])
            while self.is_busy:
                self.engine.step()
            self.collect()
        return {"rows": rows, "cpu_share": share}

    def _change(self, phase: dict[str, Any], alive: list[str]) -> list[str]:
        running = [name for name in alive if self._generated[name] < self._asked[name]]
        staying = len(running) - phase.get("drop", 0)
        self.drop(running[staying:])
        return running[:staying] + [self.add(isl, osl) for isl, osl in phase.get("add", ())]

    def _run_phase(self, phase: dict[str, Any], alive: Sequence[str]) -> list[dict[str, Any]]:
        wanted = phase.get("steps")
        rows: list[dict[str, Any]] = []
        is_first, idle = True, 0
        while self.is_busy and idle < _MOST_EMPTY_STEPS:
            if len(rows) >= wanted if wanted else all(map(self.is_decoding, alive)):
                break
            self.engine.step()
            for step, dur_s, gap_s, kind in self.collect():
                if not step.batch:
                    idle += 1
                    continue
                rows.append(
                    {
                        "tag": kind,
                        "dur_s": dur_s,
                        "gap_s": None if is_first else gap_s,
                        "free_blocks": step.free_blocks,
                        "preemptions": len(step.preempted),
                        "batch": [[tokens, before] for _, tokens, before in step.batch],
                    }
                )
                is_first = False
        return rows

    def serve(self, requests: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Serve requests in wall-clock time; each is handed to the engine between steps, once it has arrived.

        Returns `requests` (`arrival_s`, `isl`, `osl`, `first_token_s`, `finished_s`), `steps` (`start_s`, duration,
        sequences, tokens), in seconds since the first instant, and `cpu_share`.
        """
        coming = sorted(requests, key=lambda request: request["arrival_s"])
        served: dict[str, dict[str, Any]] = {}
        steps: list[list[float]] = []
        self.collect()
        start_s = perf_counter()
        before = processor_time(["self"])
        position = 0
        while position < len(coming) or self.is_busy:
            now_s = perf_counter() - start_s
            while position < len(coming) and coming[position]["arrival_s"] <= now_s:
                request = coming[position]
                name = self.add(request.get("prompt", request["isl"]), request["osl"])
                served[name] = {key: request[key] for key in ("arrival_s", "isl", "osl")}
                position += 1
            if not self.is_busy:
                time.sleep(max(coming[position]["arrival_s"] - (perf_counter() - start_s), 0.0))
                continue
            begin_s = perf_counter() - start_s
            outputs = self.engine.step()
            end_s = perf_counter() - start_s
            for output in outputs:
                row = served[output.request_id.split("-")[0]]
                row.setdefault("first_token_s", end_s)
                if output.finished:
                    row["finished_s"] = end_s
            for step, dur_s, _, _ in self.collect():
                if step.batch:
                    # synchronous: the wall time of one call, output handling included
                    span = (step.done_s - start_s - dur_s, dur_s) if self.is_async else (begin_s, end_s - begin_s)
                    steps.append([*span, len(step.batch), sum(tokens for _, tokens, _ in step.batch)])
        share = cpu_share(before, processor_time(["self"]))
        return {"requests": list(served.values()), "steps": steps, "cpu_share": share}
