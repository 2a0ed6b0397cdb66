"""Whose cost it is: a bill by request class and token kind, shared out by the step-time equation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from simulator.bill.api import price_list
from simulator.bill.owned import site_owner
from simulator.bill.sums import mean, total_usd
from simulator.bill.use import Use, study_uses
from simulator.perf.steptime import StepTime
from simulator.study.bill import Bill, Line, MonthUse
from simulator.study.terms import ApiTerms, Terms
from simulator.study.usage import PoolUsage

_FARTHEST = 40.0
"""Of the logarithm of a rate from that of the most requests in a step, at which all steps have one, or the most."""
_HALVINGS = 60
"""Of the range of that logarithm: beyond the last digit of a double."""
KINDS = ("uncached input", "cached input", "output")


@dataclass(frozen=True, slots=True)
class StepCost:
    """What the work of a pool takes of its step time, in seconds.

    Attributes
    ----------
    prompt_token_s : of a prompt's token that is computed: what steps take longer than those that only answer
    answer_token_s : of a token of an answer behind the first one, which the last step of its prompt gives
    pair_s : of a pair of a prompt's token and one before it
    kv_token_s : of a token of context that stands before a token of an answer, and is read in its step
    """

    prompt_token_s: float
    answer_token_s: float
    pair_s: float
    kv_token_s: float


def step_cost(usages: Sequence[PoolUsage], steps: StepTime, drafts: int = 0, tokens_per_step: float = 1.0) -> StepCost:
    """Coefficients of a pool, so that the step time of its work is the time that it was busy.

    Answers take what its steps would have taken had they held nothing else, and attention; prompts take what the steps
    took longer. The answers in a step are taken to be Poisson around their mean (`answering_s`). Busy time is that of
    all tokens of the pool, work that of what was completed in the window, so the one is taken in proportion to the
    other.

    Parameters
    ----------
    usages : of its replications or periods
    steps : the step-time equation
    drafts, tokens_per_step : drafted tokens of a request in a step, and tokens that it then gets, for which its context
        is read once
    """
    pair_s, kv_token_s = steps.prefill_attn_s / steps.stages, steps.decode_attn_s / steps.stages / tokens_per_step
    shared_s = prompts = answers = alone_s = 0.0
    for usage in usages:
        work = usage.work.astype(float)
        attention_s = float(pair_s * work[:, 5].sum() + kv_token_s * work[:, 4].sum())
        shared_s += max(usage.busy_s * usage.work_share - attention_s, 0.0)
        prompts += float(work[:, 1].sum())
        decoded = float(answer_tokens(work).sum())
        answers += decoded
        requests_in_steps = decoded / tokens_per_step
        with_answers = min(usage.steps * usage.work_share, requests_in_steps) or requests_in_steps
        if with_answers:
            each = requests_in_steps / with_answers
            alone_s += with_answers * answering_s(steps, each, drafts) / steps.stages
    if not prompts:
        alone_s = shared_s
    answers_s = min(alone_s, shared_s) if answers else 0.0
    return StepCost(
        (shared_s - answers_s) / prompts if prompts else 0.0,
        answers_s / answers if answers else 0.0,
        pair_s,
        kv_token_s,
    )


def answering_s(steps: StepTime, mean: float, drafts: int = 0) -> float:
    """Mean time, without attention, of steps with answers alone, `mean` requests each.

    Requests in service at once are Poisson where they come by chance and do not wait for each other (M/G/∞), so a step
    that answers has n of them with P(n) ~ λⁿ/n! for 1 ≤ n ≤ `max_num_seqs`, λ such that their mean is `mean`: all have
    one where they are served one at a time, and all have the most where batches are full. A step time that bends, as
    that of a mixture of experts, is not that of the mean number.
    """
    most = steps.seq_time_s.size - 1
    if not 1.0 < mean < most:
        return steps.mean_step_s(mean, mean * (1.0 + drafts))
    n = np.arange(1, most + 1)
    of_n = gammaln(n + 1.0)

    def chances(log_rate: float) -> NDArray[np.float64]:
        found = np.exp(n * log_rate - of_n - np.max(n * log_rate - of_n))
        return np.asarray(found / found.sum())

    low, high = -_FARTHEST, math.log(most) + _FARTHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if float(chances(middle) @ n) < mean else (low, middle)
    tokens, nothing = np.minimum(n * (1 + drafts), steps.token_time_s.shape[1] - 1), np.zeros(most)
    return float(chances(low) @ steps.durations_s(n, tokens, nothing, nothing))


def answer_tokens(work: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tokens by class that take a step beside those of the prompts: the first one comes with its prompt, if any."""
    requests, fresh, output = work[:, 0], work[:, 1], work[:, 3]
    return np.asarray(np.maximum(output - np.where(fresh > 0, requests, 0.0), 0.0), dtype=np.float64)


def work_seconds(work: NDArray[np.float64], cost: StepCost) -> NDArray[np.float64]:
    """Step time of a pool's work by class and token kind, shape (classes, 3).

    A token of an answer also costs the context it reads. Cached tokens are not computed: their part is the pairs of the
    prompt's other tokens with them, requests of a class taken to be alike.

    Parameters
    ----------
    work : shape (classes, 6), as `PoolUsage.work`
    """
    requests, fresh, cached, _, kv_read, pairs = work.T
    with_cached = np.minimum(fresh * cached / np.maximum(requests, 1.0), pairs)
    return np.stack(
        [
            cost.prompt_token_s * fresh + cost.pair_s * (pairs - with_cached),
            cost.pair_s * with_cached,
            cost.answer_token_s * answer_tokens(work) + cost.kv_token_s * kv_read,
        ],
        axis=1,
    )


def split_usd(
    terms: Terms, use: Use, lines: Sequence[Line], costs: Mapping[str, StepCost], classes: int, month: int = 1
) -> NDArray[np.float64]:
    """USD per month by class and token kind, shape (classes, 3); they add up to the lines.

    A pool's lines are shared out by the step time of its work, those of a site first by the busy GPU-hours of its
    pools, those of a token API by what its tokens cost, or by their number where units or a fee pay for them. What is
    for the topology as a whole, and for pools without work, follows the rest; where nothing was served, it is spread
    evenly.

    Parameters
    ----------
    lines : of a bill without draws
    costs : by pool
    """
    found = np.zeros((classes, len(KINDS)))
    for owner, shares in _shares(terms, use, costs, classes, month).items():
        found += _of(lines, owner) * shares
    rest = float(total_usd(lines)) - float(found.sum())
    even = np.full(found.shape, 1.0 / found.size)
    return np.asarray(found + rest * (found / found.sum() if found.sum() > 0 else even))


def study_split_usd(
    terms: Terms, months: Sequence[MonthUse], bill: Bill, costs: Mapping[str, StepCost], classes: int
) -> NDArray[np.float64]:
    """Mean month of a study by class and token kind, as `split_usd` shares out each month."""
    known: dict[tuple[int, int], NDArray[np.float64]] = {}
    found = np.zeros((classes, len(KINDS)))
    for use, billed in zip(study_uses(terms, months), bill.months, strict=True):
        key = id(use), id(billed.lines)
        if key not in known:
            known[key] = split_usd(terms, use, billed.lines, costs, classes, billed.month)
        found = found + billed.length / terms.months * known[key]
    return found


def _shares(
    terms: Terms, use: Use, costs: Mapping[str, StepCost], classes: int, month: int
) -> dict[str, NDArray[np.float64]]:
    """Shares of each owner's lines by class and kind; owners without work are left out."""
    pools = {name: _normed(work_seconds(pool.work, costs[name])) for name, pool in use.pools.items() if name in costs}
    found = {offer.pool: pools.get(offer.pool) for offer in terms.rented}
    for site in (site for site in terms.owned if month in site.span):
        parts = [(use.pools[name].gpu_hours["busy"], pools.get(name)) for name in site.pools if name in use.pools]
        busy = np.zeros((classes, len(KINDS)))
        for hours, shares in parts:
            if shares is not None:
                busy = busy + hours * shares
        if (shares := _normed(busy)) is not None:
            found[site_owner(site)] = shares
    for api in terms.apis:
        if month in api.span and api.provider in use.providers:
            its = use.providers[api.provider]
            usd, taken = _token_usd(api, its.priced), its.tokens * np.array(api.unit_token_weights)
            found[api.provider] = _normed(usd if usd.sum() > 0 else _by_kind(taken.sum(axis=1)))
    return {owner: shares for owner, shares in found.items() if shares is not None}


def _token_usd(api: ApiTerms, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Price of the tokens by class and kind."""
    prices = np.array([[[mean(usd) for usd in p.by_kind] for p in price_list(api, tier)] for tier in api.tier_by_class])
    return _by_kind((tokens * prices).sum(axis=1))


def _by_kind(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of an API's four kinds, shape (classes, 3): a cache write is uncached input."""
    return np.stack([tokens[:, 0] + tokens[:, 2], tokens[:, 1], tokens[:, 3]], axis=1)


def _normed(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    whole = float(values.sum())
    return values / whole if whole > 0 else None


def _of(lines: Sequence[Line], owner: str) -> float:
    return float(total_usd(line for line in lines if line.owner == owner))
