"""GPU time that the same work would take in another way: shares that savings are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.bill.split import StepCost, work_seconds
from simulator.bill.use import PoolUse
from simulator.perf.steptime import StepTime


@dataclass(frozen=True, slots=True)
class Engine:
    """What a pool's engine takes for its work.

    Attributes
    ----------
    steps : step times as they are
    plain : with weights and KV cache in 16 bit; None where they are, or where no model tells
    cost : coefficients of all the work that the pool did
    drafts, tokens_per_step : drafted tokens of a request in a step, and tokens that it then gets
    batches : whether requests share steps
    """

    steps: StepTime
    cost: StepCost
    plain: StepTime | None = None
    drafts: int = 0
    tokens_per_step: float = 1.0
    batches: bool = True


def cached_share(use: PoolUse, engine: Engine) -> float:
    """GPU time that cached tokens would have taken / GPU time of the work that was done; 0 where nothing was.

    A request of n cached tokens would have computed them, in steps that prompts fill to the budget of B tokens, and
    their n (n + 1) / 2 pairs, first; requests of a class are taken to be alike.
    """
    requests, cached = use.work[:, 0], use.work[:, 2]
    pairs = cached * (cached / np.maximum(requests, 1.0) + 1.0) / 2.0
    budget = engine.steps.token_time_s.shape[1] - 1
    token_s = engine.steps.prompts_s(budget) / budget
    seconds = float((token_s * cached + engine.steps.prefill_attn_s * pairs).sum())
    return _over_done(seconds / engine.steps.stages, use, engine)


def alone_share(use: PoolUse, engine: Engine) -> float:
    """GPU time that the same work would have taken more, one request at a time / GPU time of the work that was done.

    A prompt fills steps of its own to their budget, each further token (or as many as drafts give) is a step of one
    request; what attention takes stays. Requests of a class are taken to be alike.
    """
    if not engine.batches:
        return 0.0
    steps = engine.steps
    budget = steps.token_time_s.shape[1] - 1
    seconds = 0.0
    for requests, fresh, _, output, context, pairs in use.work.tolist():
        if not requests:
            continue
        full, rest = divmod(fresh / requests, budget)
        prompts_s = full * steps.mean_step_s(1.0, budget, True)
        prompts_s += steps.mean_step_s(1.0, rest, True) if rest > 0 else 0.0
        answers = max(output - requests, 0.0) / engine.tokens_per_step
        seconds += requests * prompts_s + answers * steps.mean_step_s(1.0, 1.0 + engine.drafts)
        seconds += steps.prefill_attn_s * pairs + steps.decode_attn_s * context / engine.tokens_per_step
    done_s = float(work_seconds(use.work, engine.cost).sum())
    return max(_over_done(seconds - done_s, use, engine), 0.0)


def plain_share(use: PoolUse, engine: Engine) -> float:
    """GPU time that the same steps would take more with weights and KV cache in 16 bit / GPU time that they take.

    Both by the step-time equation at two kinds of steps, as many as there were: those that answer, with the mean
    number of requests, and those that compute a prompt beside (one prompt each, more where they are longer than the
    budget). What 16 bit take more of memory is not in it.
    """
    requests, fresh, _, output, context, pairs = (float(column) for column in use.work.sum(axis=0))
    if engine.plain is None or not use.steps > 0:
        return 0.0
    budget = engine.steps.token_time_s.shape[1] - 1
    with_prompt = min(max(requests, fresh / budget), use.steps) if fresh else 0.0
    decoding = max(output - requests * (fresh > 0), 0.0) / engine.tokens_per_step / use.steps
    tokens = decoding * (1.0 + engine.drafts)

    def seconds(steps: StepTime) -> float:
        found = (use.steps - with_prompt) * steps.mean_step_s(decoding, tokens)
        if with_prompt:
            sequences, computed = decoding + requests / with_prompt, tokens + fresh / with_prompt
            found += with_prompt * steps.mean_step_s(sequences, computed, True)
        return found + steps.prefill_attn_s * pairs + steps.decode_attn_s * context / engine.tokens_per_step

    return seconds(engine.plain) / seconds(engine.steps) - 1.0


def _over_done(seconds: float, use: PoolUse, engine: Engine) -> float:
    done_s = float(work_seconds(use.work, engine.cost).sum())
    return seconds / done_s if done_s > 0 else 0.0
