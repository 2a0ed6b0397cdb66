"""Reads and checks recordings of a real scheduler; every problem with its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.engine.config import Policy
from simulator.engine.modes.tables.arrays import held_back_tokens
from simulator.engine.schedule_trace import (
    FORMAT,
    ScheduleTrace,
    TraceEvent,
    TraceRank,
    TraceRequest,
    TraceStep,
    config_from_limits,
)
from simulator.engine.trace_modes import (
    CONFIG,
    GROUP,
    OFFLOAD,
    PLAIN_CONFIG,
    RECORDING,
    REQUEST,
    SPECULATIVE,
    STEP,
    TRANSFER,
    Check,
)
from simulator.errors import InputError, Problem, unknown_name
from simulator.results.inputs import input_json

_MOST_PROBLEMS = 20
_PLAIN_REQUEST = frozenset({"id", "arrival_step", "prompt", "osl", "priority"})
_PLAIN_STEP = frozenset({"step", "scheduled", "preempted", "free_blocks"})
_TOP = frozenset({"format", "mode", "recorded_with", "spec", "config", "requests", "steps"}) | frozenset(
    {"events", "updates", "ranks", "waves", "facts"}
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

    def known(self, parent: Any, path: str, plain: frozenset[str], more: Mapping[str, tuple[str, Check]]) -> None:
        """Report keys that nobody here knows, since the recorded steps depend on them, and values of the wrong kind."""
        for key in sorted(parent.keys() - plain) if isinstance(parent, dict) else ():
            place = f"{path}.{key}" if path else key
            if key not in more:
                self.report(place, "this recording needs a mode that is not known here", parent[key])
            elif parent[key] is not None and not more[key][1](parent[key]):
                self.report(place, f"expected {more[key][0]}", parent[key])

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
    InputError : not JSON, another format, a value missing or of the wrong kind, a key of a mode that is not known, an
        unknown request, a request longer than the model's context; all problems at once, with their place
    """
    file = str(path)
    data = input_json(file)
    reader = _Reader(file)
    got = data.get("format") if isinstance(data, dict) else None
    if got != FORMAT:
        reader.report("format", f"not a schedule recording, expected {FORMAT!r}", got)
        reader.raise_if_any()
    reader.known(data, "", _TOP, RECORDING)
    version = reader.get(data.get("config"), "vllm_version", "config", "a version", lambda v: isinstance(v, str))
    config = _config(reader, data.get("config"))
    requests = [_request(reader, item, f"requests[{k}]") for k, item in enumerate(reader.items(data, "requests", ""))]
    if config is not None and not reader.problems:
        requests = [_as_sent(request, held_back_tokens(config)) for request in requests]
    ranks = _ranks(reader, data)
    steps = () if ranks else _steps(reader, data, "")
    happened = reader.items(data, "events", "") if data.get("events") is not None else []
    events = [_event(reader, item, f"events[{k}]") for k, item in enumerate(happened)]
    reader.raise_if_any()
    events = [event for event, item in zip(events, happened, strict=True) if _came(item)]
    loop = tuple((row[0], row[1]) for row in data.get("loop") or ())
    mode = str(data.get("mode", "plain"))
    trace = ScheduleTrace(
        file, version, config, tuple(requests), steps, mode, tuple(events), ranks, loop, has_details="mode" in data
    )
    _cross_check(reader, trace)
    reader.raise_if_any()
    return trace


def _steps(reader: _Reader, data: Any, path: str) -> tuple[TraceStep, ...]:
    place = f"{path}.steps" if path else "steps"
    return tuple(_step(reader, item, f"{place}[{k}]") for k, item in enumerate(reader.items(data, "steps", path)))


def _ranks(reader: _Reader, data: Any) -> tuple[TraceRank, ...]:
    if not isinstance(data, dict) or "ranks" not in data:
        return ()
    return tuple(
        TraceRank(_steps(reader, rank, f"ranks[{k}]")) for k, rank in enumerate(reader.items(data, "ranks", ""))
    )


def _event(reader: _Reader, raw: Any, path: str) -> Any:
    if not isinstance(raw, dict) or not ({"abort", "reset_prefix_cache"} & raw.keys()):
        reader.report(path, "expected abort or reset_prefix_cache", raw)
        return None
    abort, reset = raw.get("abort", []), raw.get("reset_prefix_cache", "")
    if not _is_counts(abort):
        reader.report(f"{path}.abort", "expected a list of request ids", abort)
        abort = []
    if reset not in ("", "idle", "running"):
        reader.report(f"{path}.reset_prefix_cache", "expected idle or running", reset)
    during, connector = raw.get("when") == "during", bool(raw.get("reset_connector"))
    return TraceEvent(reader.count(raw, "step", path, 0), tuple(abort), during, reset, connector)


def _came(raw: Mapping[str, Any]) -> bool:
    """A reset that did neither work nor fail never came: iterations jump while nothing is in the engine."""
    return "reset_prefix_cache" not in raw or "worked" in raw


def _config(reader: _Reader, raw: Any) -> Any:
    place = "config"

    def flag(key: str) -> Any:
        return reader.get(raw, key, place, "true or false", lambda v: isinstance(v, bool))

    policies = {policy.name.lower(): policy for policy in Policy}
    policy = reader.get(raw, "policy", place, "a name", lambda v: isinstance(v, str))
    if policy is not None and policy not in policies:
        reader.report("config.policy", unknown_name("policy", policy, policies))
    reader.known(raw, place, PLAIN_CONFIG, CONFIG)
    for k, group in enumerate(
        raw.get("kv_cache_groups") or () if isinstance(raw, dict) and not reader.problems else ()
    ):
        path = f"config.kv_cache_groups[{k}]"
        reader.known(group, path, frozenset(), GROUP)
        for key in ("kind", "block_size"):
            reader.get(group, key, path, *GROUP[key])
    if isinstance(raw, dict) and isinstance(raw.get("speculative"), dict):
        reader.known(raw["speculative"], "config.speculative", frozenset(), SPECULATIVE)
    if isinstance(raw, dict) and isinstance(raw.get("offload"), dict):
        reader.known(raw["offload"], "config.offload", frozenset(), OFFLOAD)
        for key, (kind, is_kind) in OFFLOAD.items():
            reader.get(raw["offload"], key, "config.offload", kind, is_kind)
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
    return None if reader.problems else config_from_limits({**raw, **values})


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _request(reader: _Reader, raw: Any, path: str) -> Any:
    prompt = reader.get(raw, "prompt", path, "a list of [segment id, tokens]", _is_prompt)
    reader.known(raw, path, _PLAIN_REQUEST, REQUEST)
    found = raw if isinstance(raw, dict) else {}
    transfer = found.get("transfer") or {}
    reader.known(transfer, f"{path}.transfer", frozenset(), TRANSFER)
    plain = {
        "id": reader.count(raw, "id", path, 0),
        "arrival_step": reader.count(raw, "arrival_step", path, 0),
        "osl": reader.count(raw, "osl", path, 1),
        "priority": reader.get(raw, "priority", path, "a whole number", lambda v: _is_count(v, -(2**31))),
    }
    same = {key: found[key] for key in REQUEST if key in found and key not in ("images", "transfer")}
    if reader.problems:
        return None
    return TraceRequest(
        **plain,
        **same,
        prompt=tuple((segment, tokens) for segment, tokens in prompt or ()),
        images=tuple((offset, tokens, name) for offset, tokens, name in found.get("images", ())),
        remote_prefill=bool(transfer.get("do_remote_prefill")),
        remote_decode=bool(transfer.get("do_remote_decode")),
        stored_tokens=transfer.get("stored_tokens", 0),
        async_load=bool(transfer.get("async_load")),
        max_load_tokens=transfer.get("max_load_tokens"),
        max_offload_tokens=transfer.get("max_offload_tokens"),
    )


def _as_sent(request: TraceRequest, ahead: int) -> TraceRequest:
    """What the prefill side computes of a prompt: all but the last tokens (vLLM `_truncate_request_for_prefill`)."""
    held_back = request.remote_decode and 0 < ahead < request.isl
    return replace(request, held_back=ahead, osl=1) if held_back else request


def _is_prompt(value: Any) -> bool:
    return bool(value) and _is_list_of_counts(value, 2) and all(tokens > 0 for _, tokens in value)


def _step(reader: _Reader, raw: Any, path: str) -> Any:
    entries = "a list of [request id, tokens scheduled, tokens computed before]"
    scheduled = reader.get(raw, "scheduled", path, entries, lambda v: _is_list_of_counts(v, 3))
    preempted = reader.get(raw, "preempted", path, "a list of request ids", _is_counts)
    number, free_blocks = (reader.count(raw, key, path, 0) for key in ("step", "free_blocks"))
    reader.known(raw, path, _PLAIN_STEP, STEP)
    if reader.problems:
        return None
    more = {key: raw[key] for key in STEP if raw.get(key) is not None}
    return TraceStep(
        step=number,
        scheduled=tuple((request, tokens, before) for request, tokens, before in scheduled),
        preempted=tuple(preempted),
        free_blocks=free_blocks,
        spec=tuple(tuple(row) for row in more.get("spec", ())),
        loads=tuple(tuple(row) for row in more.get("loads", ())),
        recv=tuple(more.get("recv", ())),
        sent=tuple(more.get("sent", ())),
        stores=tuple(tuple(row) for row in more.get("stores", ())),
        flushed=tuple(more.get("flushed", ())),
        stored=tuple(more.get("stored", ())),
        encoder=tuple((row[0], tuple(row[1])) for row in more.get("encoder", ())),
        finished=tuple(more.get("finished", ())),
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
        if any(number not in known for number, _, _ in step.spec):
            reader.report(f"steps[{k}].spec", "no request has this id")
        for number in sorted({*step.preempted, *(entry[0] for entry in step.scheduled)} - known):
            reader.report(f"steps[{k}]", "no request has this id", number)
        if k > 0 and step.step <= trace.steps[k - 1].step:
            reader.report(f"steps[{k}].step", "steps must be in order", step.step)
