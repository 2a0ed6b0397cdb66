"""What would make a model fit: the smallest change of one option at a time, each tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from simulator.errors import InputError
from simulator.resolve.memory import Answer, answer, weights_of
from simulator.resolve.memory_question import Question
from simulator.resolve.refused_weights import refused_weights

DEGREES = (1, 2, 4, 8, 16)
FORMATS = ("fp8", "int8", "int4")


def ways_out(found: Answer) -> list[str]:
    """Options that make vLLM start, each alone: nothing where it starts."""
    if found.plan.fits:
        return []
    ways = [words for question, words in _tries(found) if _starts(question)]
    seen: set[str] = set()
    kept = []
    for words in ways:
        option = words.split("=")[0]
        if option not in seen:
            seen.add(option)
            kept.append(words)
    return kept


def _tries(found: Answer) -> Iterator[tuple[Question, str]]:
    question, plan = found.question, found.plan
    length = min(plan.longest_that_fits, found.shape.context)
    if 0 < length < plan.max_model_len:
        yield replace(question, max_model_len=length), f"max_model_len={length}"
    sequences = found.request.limits.max_num_seqs
    while sequences > 16:
        sequences //= 2
        yield replace(question, max_num_seqs=sequences), f"max_num_seqs={sequences}"
    for utilization in (0.9, 0.92, 0.94, 0.95, 0.96):
        if utilization > found.request.gpu_memory_utilization:
            yield replace(question, gpu_memory_utilization=utilization), f"gpu_memory_utilization={utilization}"
    adapters = question.max_loras if question.enable_lora else 1
    while adapters > 1:
        adapters //= 2
        yield replace(question, max_loras=adapters), f"max_loras={adapters}"
    for tp in DEGREES:
        if tp > question.tp:
            yield replace(question, tp=tp), f"tp={tp}"
    if question.kv_dtype == "auto":
        yield replace(question, kv_dtype="fp8"), "kv_dtype=fp8"
    if question.dtype == "auto" and found.shape.quantization is None and weights_of(question) == "bf16":
        for dtype in FORMATS:
            other = replace(question, dtype=dtype)
            if not refused_weights(other):
                yield other, f"dtype={dtype}"


def _starts(question: Question) -> bool:
    try:
        return answer(question).plan.fits
    except InputError:
        return False
