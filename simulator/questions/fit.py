"""The fewest GPUs of which a replica holds the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import get_args

from simulator.catalog.gpus import gpu
from simulator.catalog.precisions import layout
from simulator.errors import InputError, Problem
from simulator.perf.device import not_computed
from simulator.questions.answers import Answers
from simulator.questions.log import LATE, read_log
from simulator.questions.traffic import (
    LENGTH_CV,
    longest_session_tokens,
    session_end_tokens,
    shared_tokens,
    user_tokens,
)
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.hardware import machine_of
from simulator.resolve.memory import Answer, answer, shape_of, weights_of
from simulator.resolve.memory_question import Question
from simulator.schema.engine import EngineSettings, Quantization
from simulator.schema.hardware import HardwareSettings
from simulator.size.guess import alone_s

DEGREES = (1, 2, 4, 8)
REQUESTS_AT_ONCE = 16
"""Requests of mean length that the KV cache of a replica is to hold."""
LONGEST = 4
"""Longest request, as a multiple of the mean one."""
LEAST_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Fit:
    """A replica.

    Attributes
    ----------
    gpu : of the catalog
    hardware : what differs from it
    tp : tensor-parallel GPUs
    max_model_len : longest request in tokens
    why : of more GPUs than the memory takes, or of limits that none keeps; empty else
    """

    gpu: str
    hardware: HardwareSettings | None
    tp: int
    max_model_len: int
    why: str = ""


def fit_of(
    answers: Answers, folder: Path, name: str, hardware: HardwareSettings | None = None, most: int = DEGREES[-1]
) -> Fit:
    """The fewest GPUs of a kind on which a replica holds the model and some requests, and is quick enough for one.

    Parameters
    ----------
    most : GPUs that there are, beyond which no more are taken for their speed

    Raises
    ------
    InputError : requests longer than the model takes, or a model that does not fit eight of them
    """
    batch = answers.batch_isl + answers.batch_osl if answers.batch_per_day else 0
    wanted, longest = LEAST_LENGTH, max(_longest_tokens(answers, folder), LONGEST * batch)
    while wanted < longest:
        wanted *= 2
    context = _answer(answers, folder, name, hardware, 1, None).shape.context
    for path, tokens in (("isl", answers.isl + answers.osl), ("batch_isl", batch)):
        if tokens > context:
            told = f"prompt and answer have {tokens} tokens, {answers.model} takes {context}"
            raise InputError(Problem(told, path=path))
    if (end := session_end_tokens(answers)) > context:
        told = f"the last request of a session has {end:,.0f} tokens in the mean, {answers.model} takes {context:,}"
        raise InputError(Problem(f"{told}: shorter sessions, or shorter prompts", path="turns"))
    _check_format(answers, name, hardware, folder)
    found = [_answer(answers, folder, name, hardware, tp, min(wanted, context)) for tp in DEGREES]
    fitting = [one for one in found if one.plan.fits]
    if not fitting:
        told = f"{answers.model} does not fit {DEGREES[-1]} {name}: {found[-1].plan.refusals[0]}"
        raise InputError(Problem(told, path="gpu"))
    roomy = [one for one in fitting if one.plan.kv_tokens >= REQUESTS_AT_ONCE * (answers.isl + answers.osl)]
    fits = [Fit(name, hardware, one.question.tp, one.plan.max_model_len) for one in roomy or fitting[-1:]]
    return _quick_enough(answers, folder, fits[0], [one for one in fits[1:] if one.tp <= most])


def _quick_enough(answers: Answers, folder: Path, least: Fit, more: Sequence[Fit]) -> Fit:
    """The fewest GPUs that answer a long prompt in time while nothing else runs; else those of the least memory."""
    late: list[str] = []
    for one in (least, *more):
        if not (told := _late(answers, one, folder)):
            return replace(one, why=f"{one.tp} GPUs a replica, as {'; '.join(late)}" if late else "")
        late.append(told)
    return replace(least, why=f"too slow by itself: {'; '.join(late)}")


def _late(answers: Answers, fit: Fit, folder: Path) -> str:
    """By how much the prompt that 19 of 20 are not longer than misses its limits while nothing else runs, in words."""
    engine = engine_of(answers, fit, folder)
    first_s, _ = alone_s(engine.config, engine.step_time, _new_tokens(answers, fit, folder), answers.osl)
    _, token_s = alone_s(engine.config, engine.step_time, answers.isl, answers.osl)
    if first_s > answers.ttft_s:
        return f"on {fit.tp} one prompt in 20 alone takes {first_s:.3g} s or more to the first token"
    if answers.osl > 1 and token_s > answers.tpot_s:
        return f"on {fit.tp} a token takes {token_s:.3g} s with nothing beside it"
    return ""


def _new_tokens(answers: Answers, fit: Fit, folder: Path) -> float:
    """Tokens to compute of the prompt that 19 of 20 do not exceed, as far as it is known what a cache has of it.

    In a session they are what a request brings; of a log that says what its prompts repeat, one is known to be new.
    """
    log = read_log(answers, folder)
    if log is not None:
        return 1.0 if log.talks or log.has_hashes else float(log.late_isl)
    sigma = math.sqrt(math.log1p(LENGTH_CV**2))
    longest = math.exp(NormalDist().inv_cdf(1 - LATE) * sigma - sigma**2 / 2)
    if answers.turns > 1:
        return user_tokens(answers) * longest
    return max(min(answers.isl * longest, fit.max_model_len - answers.osl) - shared_tokens(answers), 1.0)


def engine_of(answers: Answers, fit: Fit, folder: Path) -> PlannedEngine:
    """One replica, planned."""
    weights = format_of(answers, folder)
    settings = EngineSettings(quantization=None if weights == "none" else weights, max_model_len=fit.max_model_len)
    return plan_engine(answers.model, fit.gpu, fit.tp, 1, settings, folder, own=fit.hardware)


def format_of(answers: Answers, folder: Path) -> Quantization:
    """Format of the weights: what is asked for, else as published (`none`) where that is quantised, else fp8."""
    if answers.quantization != "auto":
        return answers.quantization
    published = weights_of(Question(answers.model, answers.gpu, dtype="auto", folder=folder))
    return "fp8" if published == layout().weights.name else "none"


def _check_format(answers: Answers, name: str, hardware: HardwareSettings | None, folder: Path) -> None:
    """Refuse a format of weights in which the GPU does not compute."""
    device = machine_of(gpu(name).name, hardware, folder).gpu.device

    def is_taken(quantization: str) -> bool:
        asked = Question(answers.model, name, dtype=_dtype(quantization), folder=folder)
        try:
            return not not_computed(device, layout(weights_of(asked)).weights)
        except InputError:
            return False

    if not is_taken(answers.quantization):
        taken = [one for one in get_args(Quantization) if is_taken(one)]
        told = f"{name} does not compute {answers.model} in {answers.quantization}: say one of {', '.join(taken)}"
        raise InputError(Problem(told, path="quantization"))


def _dtype(quantization: str) -> str:
    return "auto" if quantization == "none" else quantization


def _longest_tokens(answers: Answers, folder: Path) -> int:
    if (log := read_log(answers, folder)) is not None:
        return log.longest_tokens
    longest = LONGEST * (answers.isl + answers.osl)
    return max(longest, longest_session_tokens(answers)) if answers.turns > 1 else longest


def model_words(name: str, folder: Path) -> str:
    """What a model is, so that one's own can be told from its look: parameters and longest context."""
    shape = shape_of(name, folder)
    return (
        f"{shape.parameters / 1e9:.3g} billion parameters, {shape.layers} layers, context of {shape.context:,} tokens"
    )


def _answer(
    answers: Answers, folder: Path, name: str, hardware: HardwareSettings | None, tp: int, length: int | None
) -> Answer:
    dtype = _dtype(answers.quantization)
    card = None if hardware is None else machine_of(gpu(name).name, hardware, folder).card
    return answer(Question(answers.model, name, tp=tp, dtype=dtype, max_model_len=length, card=card, folder=folder))
