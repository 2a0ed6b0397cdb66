"""Recordings of a real scheduler, step by step: the file format `vllm-schedule-trace/1`.

A recording holds the engine's resolved limits, the requests, and each step that scheduled or preempted something. Time
does not enter: before engine step k all requests with `arrival_step` <= k are added in order of their ids; while the
engine is empty, k jumps to the next arrival.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.engine.config import EngineConfig, Policy
from simulator.errors import InputError, Problem, unknown_name
from simulator.results.files import read_json

FORMAT = "vllm-schedule-trace/1"
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One request of a recording.

    Attributes
    ----------
    id : unique; requests of the same arrival step are added in order of their ids
    arrival_step : first engine step that may see it
    prompt : (segment id, tokens); prompt tokens are equal exactly when segment id and position in the segment are
    osl : exact number of tokens generated
    priority : lower is served first, with the priority policy
    """

    id: int
    arrival_step: int
    prompt: tuple[tuple[int, int], ...]
    osl: int
    priority: int

    @property
    def isl(self) -> int:
        return sum(tokens for _, tokens in self.prompt)


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One engine step.

    Attributes
    ----------
    step : engine step index
    scheduled : (request id, tokens scheduled, tokens computed before), in the scheduler's order
    preempted : request ids in order of preemption
    free_blocks : free KV blocks right after scheduling
    """

    step: int
    scheduled: tuple[tuple[int, int, int], ...]
    preempted: tuple[int, ...]
    free_blocks: int


@dataclass(frozen=True, slots=True)
class ScheduleTrace:
    """A recording; `vllm_version` names the scheduler that was recorded."""

    file: str
    vllm_version: str
    config: EngineConfig
    requests: tuple[TraceRequest, ...]
    steps: tuple[TraceStep, ...]


LIMITS = {
    "num_gpu_blocks": "num_blocks",
    "block_size": "block_size",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_num_seqs": "max_num_seqs",
    "max_model_len": "max_model_len",
    "enable_prefix_caching": "enable_prefix_caching",
    "enable_chunked_prefill": "enable_chunked_prefill",
    "long_prefill_token_threshold": "long_prefill_token_threshold",
    "policy": "policy",
    "scheduler_reserve_full_isl": "reserve_full_isl",
    "watermark": "watermark",
}
"""Limits of an engine as vLLM and recordings name them, and the fields of `EngineConfig`."""


def config_from_limits(limits: Mapping[str, Any]) -> EngineConfig:
    """Engine of a recording's limits, which must be sound; what they do not say is vLLM's default.

    Raises
    ------
    KeyError : no number of KV blocks, or an unknown policy
    """
    values = {field: limits[name] for name, field in LIMITS.items() if name in limits}
    if "policy" in values:
        values["policy"] = Policy[str(values["policy"]).upper()]
    return EngineConfig(
        num_blocks=int(limits["num_gpu_blocks"]), **{k: v for k, v in values.items() if k != "num_blocks"}
    )


class _Reader:
    """Takes values out of parsed JSON and notes everything that is wrong, with its place."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def report(self, path: str, message: str, got: Any = None) -> None:
        shown = None if got is None else json.dumps(got)[:60]
        self.problems.append(Problem(message, file=self.file, path=path, got=shown))

    def get(self, parent: Any, key: str, path: str, kind: str, is_kind: Callable[[Any], bool]) -> Any:
        """`parent[key]` if it is of the kind asked for, else None."""
        place = f"{path}.{key}" if path else key
        if not isinstance(parent, dict):
            self.report(path, "expected an object", parent)
        elif key not in parent:
            self.report(place, f"missing, expected {kind}")
        elif not is_kind(parent[key]):
            self.report(place, f"expected {kind}", parent[key])
        else:
            return parent[key]
        return None

    def count(self, parent: Any, key: str, path: str, minimum: int) -> Any:
        return self.get(parent, key, path, f"a whole number of at least {minimum}", lambda v: _is_count(v, minimum))

    def items(self, parent: Any, key: str, path: str) -> list[Any]:
        return self.get(parent, key, path, "a list", lambda v: isinstance(v, list)) or []

    def raise_if_any(self) -> None:
        if self.problems:
            raise InputError(*list(dict.fromkeys(self.problems))[:_MOST_PROBLEMS])


def _is_count(value: Any, minimum: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_counts(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list) and (length is None or len(value) == length) and all(map(_is_count, value))


def _is_list_of_counts(value: Any, length: int) -> bool:
    return isinstance(value, list) and all(_is_counts(item, length) for item in value)


def load_schedule_trace(path: str | Path) -> ScheduleTrace:
    """Read and check a recording.

    Raises
    ------
    InputError : not JSON, another format, a value missing or of the wrong kind, an unknown request, a request longer
        than the model's context, async scheduling; all problems at once, with their place
    """
    file = str(path)
    data = read_json(file)
    reader = _Reader(file)
    got = data.get("format") if isinstance(data, dict) else None
    if got != FORMAT:
        reader.report("format", f"not a schedule recording, expected {FORMAT!r}", got)
        reader.raise_if_any()
    version = reader.get(data.get("config"), "vllm_version", "config", "a version", lambda v: isinstance(v, str))
    config = _config(reader, data.get("config"))
    requests = [_request(reader, item, f"requests[{k}]") for k, item in enumerate(reader.items(data, "requests", ""))]
    steps = [_step(reader, item, f"steps[{k}]") for k, item in enumerate(reader.items(data, "steps", ""))]
    reader.raise_if_any()
    trace = ScheduleTrace(file, version, config, tuple(requests), tuple(steps))
    _cross_check(reader, trace)
    reader.raise_if_any()
    return trace


def _config(reader: _Reader, raw: Any) -> Any:
    place = "config"

    def flag(key: str) -> Any:
        return reader.get(raw, key, place, "true or false", lambda v: isinstance(v, bool))

    policies = {policy.name.lower(): policy for policy in Policy}
    policy = reader.get(raw, "policy", place, "a name", lambda v: isinstance(v, str))
    if policy is not None and policy not in policies:
        reader.report("config.policy", unknown_name("policy", policy, policies))
    if isinstance(raw, dict) and raw.get("async_scheduling"):
        reader.report(
            "config.async_scheduling", "recorded with async scheduling; record it with synchronous scheduling"
        )
    values = {
        "num_gpu_blocks": reader.count(raw, "num_gpu_blocks", place, 2),
        "block_size": reader.count(raw, "block_size", place, 1),
        "max_num_batched_tokens": reader.count(raw, "max_num_batched_tokens", place, 1),
        "max_num_seqs": reader.count(raw, "max_num_seqs", place, 1),
        "max_model_len": reader.count(raw, "max_model_len", place, 2),
        "enable_prefix_caching": flag("enable_prefix_caching"),
        "enable_chunked_prefill": flag("enable_chunked_prefill"),
        "long_prefill_token_threshold": reader.count(raw, "long_prefill_token_threshold", place, 0),
        "policy": policy,
        "scheduler_reserve_full_isl": flag("scheduler_reserve_full_isl"),
        "watermark": reader.get(raw, "watermark", place, "a share from 0 to less than 1", _is_share),
    }
    return None if reader.problems else config_from_limits(values)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _request(reader: _Reader, raw: Any, path: str) -> Any:
    prompt = reader.get(raw, "prompt", path, "a list of [segment id, tokens]", _is_prompt)
    return TraceRequest(
        id=reader.count(raw, "id", path, 0),
        arrival_step=reader.count(raw, "arrival_step", path, 0),
        prompt=tuple((segment, tokens) for segment, tokens in prompt or ()),
        osl=reader.count(raw, "osl", path, 1),
        priority=reader.get(raw, "priority", path, "a whole number", lambda v: _is_count(v, -(2**31))),
    )


def _is_prompt(value: Any) -> bool:
    return bool(value) and _is_list_of_counts(value, 2) and all(tokens > 0 for _, tokens in value)


def _step(reader: _Reader, raw: Any, path: str) -> Any:
    entries = "a list of [request id, tokens scheduled, tokens computed before]"
    scheduled = reader.get(raw, "scheduled", path, entries, lambda v: _is_list_of_counts(v, 3))
    preempted = reader.get(raw, "preempted", path, "a list of request ids", _is_counts)
    return TraceStep(
        step=reader.count(raw, "step", path, 0),
        scheduled=tuple((request, tokens, before) for request, tokens, before in scheduled or ()),
        preempted=tuple(preempted or ()),
        free_blocks=reader.count(raw, "free_blocks", path, 0),
    )


def _cross_check(reader: _Reader, trace: ScheduleTrace) -> None:
    known: set[int] = set()
    for k, request in enumerate(trace.requests):
        if request.id in known:
            reader.report(f"requests[{k}].id", "a second request with this id", request.id)
        known.add(request.id)
        if request.isl + request.osl > trace.config.max_model_len:
            total = request.isl + request.osl
            reader.report(
                f"requests[{k}]", f"prompt and output exceed max_model_len {trace.config.max_model_len}", total
            )
    for k, step in enumerate(trace.steps):
        for number in sorted({*step.preempted, *(entry[0] for entry in step.scheduled)} - known):
            reader.report(f"steps[{k}]", "no request has this id", number)
        if k > 0 and step.step <= trace.steps[k - 1].step:
            reader.report(f"steps[{k}].step", "steps must be in order", step.step)
