"""Steps of a replica in the Trace Event Format, which Perfetto (ui.perfetto.dev) and Chrome's about:tracing open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.run.steps import StepView

_US = 1e6
_STEPS, _REQUESTS, _ENGINE = 1, 2, 0


def perfetto_trace(view: StepView, name: str) -> dict[str, Any]:
    """Steps as slices with counters of the batch and the KV cache; below them a track for each request.

    Parameters
    ----------
    name : of the replica
    """
    return {
        "displayTimeUnit": "ms",
        "otherData": {"replica": name, "deviation_s": view.deviation_s},
        "traceEvents": [*_names(view, name), *_steps(view), *_requests(view)],
    }


def _names(view: StepView, name: str) -> Iterator[dict[str, Any]]:
    yield _named("process_name", _STEPS, _ENGINE, name)
    yield _named("thread_name", _STEPS, _ENGINE, "steps")
    yield _named("process_name", _REQUESTS, _ENGINE, "requests")
    for request in dict.fromkeys(view.requests["request"].tolist()):
        yield _named("thread_name", _REQUESTS, request, f"request {request}")


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def _steps(view: StepView) -> Iterator[dict[str, Any]]:
    for step in view.steps.to_dict("records"):
        prefill, decode = int(step["prefill_tokens"]), int(step["decode_tokens"])
        kind = "mixed" if prefill and decode else "prefill" if prefill else "decode"
        at = {"pid": _STEPS, "tid": _ENGINE, "ts": step["start_s"] * _US}
        args = {
            "sequences": int(step["sequences"]),
            "prefill_tokens": prefill,
            "decode_tokens": decode,
            "cached_tokens": int(step["cached_tokens"]),
            "preempted": int(step["preempted"]),
            "kv_usage": float(step["kv_usage"]),
        }
        yield {**at, "ph": "X", "name": kind, "cat": "step", "dur": step["duration_s"] * _US, "args": args}
        yield {**at, "ph": "C", "name": "KV blocks in use [%]", "args": {"share": 100 * args["kv_usage"]}}
        yield {**at, "ph": "C", "name": "sequences", "args": {"in the step": args["sequences"]}}


def _requests(view: StepView) -> Iterator[dict[str, Any]]:
    for part in view.requests.to_dict("records"):
        yield {
            "ph": "X",
            "name": str(part["kind"]),
            "cat": "request",
            "pid": _REQUESTS,
            "tid": int(part["request"]),
            "ts": part["start_s"] * _US,
            "dur": part["duration_s"] * _US,
            "args": {"tokens": int(part["tokens"]), "computed before": int(part["before"])},
        }
