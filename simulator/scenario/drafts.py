"""Speculative decoding: what a class of requests has of its own, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

from simulator.engine.modes.drafts.acceptance import MOST_STD, std_of_chance
from simulator.errors import unknown_name
from simulator.schema.engine import DraftsOfClass, EngineSettings, SpeculativeConfig

Found = tuple[str, str, Any]
_ROUNDING = 1e-9


def of_class(spec: SpeculativeConfig, own: DraftsOfClass | None) -> SpeculativeConfig:
    """Drafts as a class has them: what it does not give is as for all.

    Its acceptance takes the place of that of all however that is given, shares by position have no deviation, and where
    every step has drafts no run of them ends.
    """
    if own is None:
        return spec
    given = {name: getattr(own, name) for name in own.model_fields_set if getattr(own, name) not in (None, ())}
    if "acceptance" in given:
        given = {"acceptance_by_position": (), **given}
    elif "acceptance_by_position" in given:
        given = {"acceptance": None, "acceptance_std": 0.0, **given}
    if given.get("drafted_share") == 1.0:
        given = {"drafted_run_steps": None, **given}
    return spec.model_copy(update=given)


def draft_problems(path: str, engine: EngineSettings | None, classes: Collection[str]) -> Iterator[Found]:
    """Problems of an engine's drafts, as path, message and value."""
    spec = engine.speculative_config if engine else None
    if spec is None:
        return
    path = f"{path}.speculative_config"
    if spec.method == "draft_model" and spec.model is None:
        yield path, "'model' is missing: say which model drafts", None
    if spec.method != "draft_model" and spec.model is not None:
        yield f"{path}.model", f"method {spec.method} has no draft model of its own", spec.model
    yield from _row_problems(f"{path}.num_speculative_tokens_per_batch_size", spec)
    yield from _odds_problems(path, spec)
    for name, own in spec.by_class.items():
        if name not in classes:
            yield f"{path}.by_class.{name}", unknown_name("class", name, classes), name
        else:
            yield from _odds_problems(f"{path}.by_class.{name}", of_class(spec, own))


def _row_problems(path: str, spec: SpeculativeConfig) -> Iterator[Found]:
    rows = spec.num_speculative_tokens_per_batch_size
    if rows and rows[0][0] != 1:
        yield f"{path}[0]", "the first row must begin with 1, so that every number of requests has drafts", rows[0][0]
    for k, (low, high, _) in enumerate(rows):
        if low > high or (k and low <= rows[k - 1][1]):
            yield f"{path}[{k}]", "rows must go up, each from a number to no smaller one, and not overlap", low


def _odds_problems(path: str, spec: SpeculativeConfig) -> Iterator[Found]:
    yield from _acceptance_problems(path, spec)
    share, run_steps = spec.drafted_share, spec.drafted_run_steps
    if spec.method != "ngram" and share < 1.0:
        problem = f"method {spec.method} drafts in every step: only what ngram looks up may not be found"
        yield f"{path}.drafted_share", problem, share
    if run_steps is None:
        return
    at = f"{path}.drafted_run_steps"
    if spec.method != "ngram":
        yield at, f"method {spec.method} drafts in every step: only what ngram looks up may not be found", run_steps
    elif share == 1.0:
        yield at, "every step has drafts, so that no run ends: give drafted_share too", run_steps
    elif run_steps < (1.0 - _ROUNDING) * (least := share / (1.0 - share)):
        problem = (
            f"is too short for {share:g} of the steps, with a step without drafts between runs: at least {least:.3g}"
        )
        yield at, problem, run_steps


def _acceptance_problems(path: str, spec: SpeculativeConfig) -> Iterator[Found]:
    """One acceptance, or the shares of all positions: a draft is only accepted where the one before it is."""
    shares, at = spec.acceptance_by_position, f"{path}.acceptance_by_position"
    if not shares:
        if spec.acceptance is None:
            yield path, "'acceptance' is missing: say how many drafts are accepted, or acceptance_by_position", None
        elif spec.acceptance_std and spec.acceptance_std > (most := MOST_STD * std_of_chance(spec.acceptance)):
            problem = f"is more than requests can differ whose mean is {spec.acceptance:g}: at most {most:.3g}"
            yield f"{path}.acceptance_std", problem, spec.acceptance_std
        return
    if spec.acceptance_std:
        yield f"{path}.acceptance_std", "goes with acceptance, not with acceptance_by_position", spec.acceptance_std
    if spec.acceptance is not None:
        yield at, "give this or acceptance, not both", None
    if len(shares) != spec.num_speculative_tokens:
        yield at, f"needs one share for each of the {spec.num_speculative_tokens} drafts of a step", len(shares)
    for k, (before, share) in enumerate(pairwise(shares), 1):
        if share > before:
            yield f"{at}[{k}]", f"is above the share before it ({before:g}), without which none is accepted", share
