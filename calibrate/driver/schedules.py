"""Records what the scheduler decides, step by step, with a model or without one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from calibrate.driver.internals import LoneScheduler, Step
from calibrate.driver.session import Session
from calibrate.driver.tokens import distinct_tokens

_FIRST_OUTPUT_TOKEN = 2**48


def record_alone(limits: dict[str, Any], requests: Sequence[dict[str, Any]], model: str) -> dict[str, Any]:
    """Drive the scheduler without a model; outputs are tokens that occur nowhere else."""
    lone = LoneScheduler(limits, model)
    outputs = itertools.count(_FIRST_OUTPUT_TOKEN)

    def add(request: dict[str, Any]) -> None:
        prompt = distinct_tokens(request["prompt"])
        lone.add(str(request["id"]), prompt, request["osl"], request["priority"], request["id"])

    steps = _replay(requests, add, lambda: lone.has_requests, lambda: lone.step(outputs))
    return {"config": lone.limits, "steps": steps, "recorded_with": "scheduler alone"}


def record_engine(session: Session, requests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Drive the whole engine, model included, from an empty prefix cache, as a replay begins.

    Outputs are sampled at random, so they repeat by chance only.
    """
    session.forget_prefixes()

    def add(request: dict[str, Any]) -> None:
        session.add(request["prompt"], request["osl"], request["priority"], name=str(request["id"]))

    steps = _replay(requests, add, lambda: session.is_busy, session.one_step)
    return {"config": session.limits, "steps": steps, "recorded_with": "engine"}


def _replay(
    requests: Sequence[dict[str, Any]],
    add: Callable[[dict[str, Any]], None],
    is_busy: Callable[[], bool],
    step: Callable[[], Step],
) -> list[dict[str, Any]]:
    """Before step k all requests that arrive by k are added in order of ids; while nothing is there, k jumps."""
    coming = sorted(requests, key=lambda request: (request["arrival_step"], request["id"]))
    steps: list[dict[str, Any]] = []
    k = position = 0
    while position < len(coming) or is_busy():
        if not is_busy():
            k = max(k, coming[position]["arrival_step"])
        due = [request for request in coming[position:] if request["arrival_step"] <= k]
        position += len(due)
        for request in sorted(due, key=lambda request: request["id"]):
            add(request)
        done = step()
        if done.batch or done.preempted:
            steps.append(
                {
                    "step": k,
                    "scheduled": [[_id(name), tokens, before] for name, tokens, before in done.batch],
                    "preempted": [_id(name) for name in done.preempted],
                    "free_blocks": done.free_blocks,
                }
            )
        k += 1
    return steps


def _id(name: str) -> int:
    return int(name.split("-")[0])
