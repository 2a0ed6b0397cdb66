"""A recording that cannot be used says where and why."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.config import Policy
from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import verify_schedule
from simulator.errors import InputError

TRACE: dict[str, Any] = {
    "format": "vllm-schedule-trace/1",
    "config": {
        "vllm_version": "0.32.0",
        "num_gpu_blocks": 10,
        "block_size": 4,
        "enable_prefix_caching": False,
        "max_num_batched_tokens": 8,
        "max_num_seqs": 2,
        "max_model_len": 32,
        "enable_chunked_prefill": True,
        "long_prefill_token_threshold": 0,
        "policy": "priority",
        "scheduler_reserve_full_isl": True,
        "watermark": 0.25,
        "async_scheduling": False,
    },
    "requests": [{"id": 4, "arrival_step": 2, "prompt": [[1, 3], [9, 6]], "osl": 2, "priority": -1}],
    "steps": [
        {"step": 2, "scheduled": [[4, 8, 0]], "preempted": [], "free_blocks": 7},
        {"step": 3, "scheduled": [[4, 1, 8]], "preempted": [], "free_blocks": 6},
        {"step": 4, "scheduled": [[4, 1, 9]], "preempted": [], "free_blocks": 6},
    ],
}


def written(folder: Path, data: Any) -> Path:
    path = folder / "trace.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_a_recording_is_read_and_replayed(tmp_path: Path) -> None:
    path = written(tmp_path, TRACE)
    trace = load_schedule_trace(path)
    assert (trace.vllm_version, trace.file) == ("0.32.0", str(path))
    assert (trace.config.num_blocks, trace.config.policy, trace.config.watermark) == (10, Policy.PRIORITY, 0.25)
    (request,) = trace.requests
    assert (request.id, request.isl, request.prompt, request.priority) == (4, 9, ((1, 3), (9, 6)), -1)
    assert [step.scheduled for step in trace.steps] == [((4, 8, 0),), ((4, 1, 8),), ((4, 1, 9),)]
    assert verify_schedule(path).identical


def remove(section: str, key: str) -> Callable[[Any], None]:
    return lambda data: data[section].pop(key)


def put(value: Any, *place: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in place[:-1]:
            data = data[key]
        data[place[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put("vllm-run/1", "format"),
            r"trace\.json: format: .*expected 'vllm-schedule-trace/1' \(got \"vllm-run/1\"\)",
        ),
        (put(None, "config"), r"config: expected an object"),
        (remove("config", "block_size"), r"config\.block_size: missing, expected a whole number of at least 1"),
        (put(0, "config", "block_size"), r"config\.block_size: expected a whole number of at least 1 \(got 0\)"),
        (put(True, "config", "max_num_seqs"), r"config\.max_num_seqs: expected a whole number"),
        (put("yes", "config", "enable_chunked_prefill"), r"config\.enable_chunked_prefill: expected true or false"),
        (
            put("prioritty", "config", "policy"),
            r"config\.policy: unknown policy 'prioritty': did you mean 'priority'\?",
        ),
        (put(float("nan"), "config", "watermark"), r"config\.watermark: expected a share .* \(got NaN\)"),
        (put(3, "config", "async_scheduling"), r"config\.async_scheduling: expected true or false"),
        (put(1, "config", "moon_phase"), r"config\.moon_phase: this recording needs a mode that is not known"),
        (put({}, "requests"), r"requests: expected a list"),
        (put([], "requests", 0, "prompt"), r"requests\[0\]\.prompt: expected a list of \[segment id, tokens\]"),
        (put([[1, -3]], "requests", 0, "prompt"), r"requests\[0\]\.prompt: expected a list"),
        (put(0, "requests", 0, "osl"), r"requests\[0\]\.osl: expected a whole number of at least 1 \(got 0\)"),
        (put(30, "requests", 0, "osl"), r"requests\[0\]: prompt and output exceed max_model_len 32 \(got 39\)"),
        (put([TRACE["requests"][0]] * 2, "requests"), r"requests\[1\]\.id: a second request with this id \(got 4\)"),
        (put([[4, 8]], "steps", 0, "scheduled"), r"steps\[0\]\.scheduled: expected a list of \[request id, tokens"),
        (put([5], "steps", 1, "preempted"), r"steps\[1\]: no request has this id \(got 5\)"),
        (put(2, "steps", 1, "step"), r"steps\[1\]\.step: steps must be in order \(got 2\)"),
        (put(7, "steps", 1), r"steps\[1\]: expected an object \(got 7\)"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    data = copy.deepcopy(TRACE)
    change(data)
    with pytest.raises(InputError, match=message):
        load_schedule_trace(written(tmp_path, data))


def test_a_reset_that_neither_worked_nor_failed_never_came(tmp_path: Path) -> None:
    """The engine was empty then, and its iterations jump to the next arrival."""
    resets = [{"step": 1, "reset_prefix_cache": "idle"}, {"step": 2, "reset_prefix_cache": "running", "worked": False}]
    trace = load_schedule_trace(written(tmp_path, {**TRACE, "events": resets}))
    assert [(event.step, event.reset) for event in trace.events] == [(2, "running")]


@pytest.mark.parametrize(
    ("policy", "others", "missing"),
    [
        ("priority", [{"id": 5, "arrival_order": 4}], []),
        ("priority", [{"id": 5, "arrival_order": 4, "arrival_step": 3}], ["equal priorities and arrivals"]),
        ("priority", [{"id": 5, "arrival_order": 4, "name": "10"}], []),
        ("priority", [{"id": 5, "arrival_order": 3}], []),
        ("priority", [{"id": 3, "arrival_step": 4}], []),
        ("fcfs", [{"id": 5, "arrival_order": 3}], []),
    ],
)
def test_kernels_serve_equal_priorities_in_order_of_arrival(
    tmp_path: Path, policy: str, others: list[dict[str, Any]], missing: list[str]
) -> None:
    (first,) = TRACE["requests"]
    config = {**TRACE["config"], "policy": policy}
    data = {**TRACE, "config": config, "requests": [first, *({**first, **other} for other in others)]}
    found = load_schedule_trace(written(tmp_path, data)).modes_in_use()
    assert [words[: len(start)] for words, start in zip(found, missing, strict=True)] == missing


SAME = ["equal priorities and arrivals in another order than that of names"]


@pytest.mark.parametrize(("other", "missing"), [({"name": "10"}, SAME), ({"arrival_order": 3}, [])])
def test_answers_that_are_told_of_by_number_keep_their_numbers(
    tmp_path: Path, other: dict[str, Any], missing: list[str]
) -> None:
    """Where something comes from outside meanwhile, kernels take requests by their ids, not in the order of names."""
    (first,) = TRACE["requests"]
    data = {
        **TRACE,
        "config": {**TRACE["config"], "policy": "priority"},
        "requests": [first, {**first, "id": 5, "arrival_order": 4, **other}],
    }
    alone = load_schedule_trace(written(tmp_path, data))
    assert [request.id for request in alone.in_order()] == [5, first["id"]]
    told = load_schedule_trace(written(tmp_path, {**data, "events": [{"step": 1, "abort": [first["id"]]}]}))
    assert [request.id for request in told.in_order()] == [first["id"], 5]
    assert told.modes_in_use() == missing


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    data = copy.deepcopy(TRACE)
    del data["config"]["watermark"]
    data["requests"][0]["osl"] = -1
    with pytest.raises(InputError) as caught:
        load_schedule_trace(written(tmp_path, data))
    assert [problem.path for problem in caught.value.problems] == ["config.watermark", "requests[0].osl"]


def test_files_that_are_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trace\.json:2:1: is not JSON"):
        load_schedule_trace(written(tmp_path, '{"format":\n}'))
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        load_schedule_trace(tmp_path / "absent.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_schedule_trace(tmp_path / "binary.json")
    with pytest.raises(InputError, match="not a schedule recording"):
        load_schedule_trace(written(tmp_path, "[]"))
