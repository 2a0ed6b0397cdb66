"""From what people know of their traffic to requests per second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simulator.catalog.tokens import TokenOffer, token_offer
from simulator.errors import InputError, Problem
from simulator.questions.answers import AMOUNTS, Answers
from simulator.questions.hours import mean_share
from simulator.questions.log import Log
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_DAY, SECONDS_PER_HOUR

TOKENS_PER_PRICE = 1e6
NEW_TOKENS = 200
"""What a request of a session adds to what was said before, where nobody said how long prompts are: a paragraph."""
LENGTH_CV, ANSWER_CV = 0.8, 0.7
"""Coefficients of variation of the tokens that a request brings, and of those of its answer."""


def batch_rate_rps(answers: Answers) -> float:
    """Requests per second that may wait for hours: as many in each hour; 0 without any."""
    return (answers.batch_per_day or 0.0) / SECONDS_PER_DAY


def shared_tokens(answers: Answers) -> int:
    """Tokens that prompts have in common."""
    return int(answers.cached_share * answers.isl)


def session_prompt(given: Mapping[str, Any]) -> int | None:
    r"""Mean prompt of sessions whose requests bring `NEW_TOKENS`, where nobody said how long prompts are.

    With a share c of it the same for all, $I = ((T + 1) u + (T - 1) O) / (2 (1 - c))$ as in `user_tokens`. None where
    that is asked of a log, of requests that stand alone, and where the default is as long.
    """
    answers = Answers(**given)
    if "isl" in given or answers.trace is not None or answers.turns < 2 or not 0 <= answers.cached_share < 1:
        return None
    said = (answers.turns + 1) * NEW_TOKENS + (answers.turns - 1) * answers.osl
    mean = math.ceil(said / (2 * (1 - answers.cached_share)))
    return mean if mean > answers.isl else None


def user_tokens(answers: Answers) -> int:
    r"""New tokens of a request in a session: prompts of T turns have I tokens in the mean.

    The k-th has $s + k u + (k - 1) O$, so $u = (2 (I - s) - (T - 1) O) / (T + 1)$ with s shared by all.

    Raises
    ------
    InputError : answers alone make prompts longer than that
    """
    turns, shared = answers.turns, shared_tokens(answers)
    new = int((2 * (answers.isl - shared) - (turns - 1) * answers.osl) / (turns + 1))
    if new < 1:
        least = shared + (turns - 1) * answers.osl / 2 + (turns + 1) / 2
        told = f"in sessions of {turns} requests prompts have at least {math.ceil(least):,} tokens in the mean"
        raise InputError(Problem(f"{told}, as answers of {answers.osl} tokens are repeated", path="isl"))
    return new


def session_end_tokens(answers: Answers) -> float:
    """Prompt and answer of a session's last request, in the mean; of requests that stand alone those of each."""
    if answers.turns == 1:
        return answers.isl + answers.osl
    return shared_tokens(answers) + answers.turns * (user_tokens(answers) + answers.osl)


def longest_session_tokens(answers: Answers) -> int:
    r"""What hardly a session exceeds: $e (1 + 3 c / \sqrt{T})$ of the mean end $e$, as T turns vary by $c$ each."""
    spread = 3 * LENGTH_CV / math.sqrt(answers.turns)
    return math.ceil(session_end_tokens(answers) * (1 + spread))


def cached_tokens(answers: Answers, offer: TokenOffer) -> float:
    """Prompt tokens of a mean request that the token API finds in its cache: whole steps, none below its least length.

    That is what all prompts share, and of a session the prompt before, where it comes within the cache's life.
    """
    if offer.cache is None:
        return 0
    step, least, shared = int(offer.cache.step.value), offer.cache.least.value, shared_tokens(answers)
    known = [shared]
    if answers.turns > 1:
        each = user_tokens(answers) + answers.osl
        is_kept = answers.think_s <= offer.cache.life.value
        prompts = [shared + each * turn - answers.osl for turn in range(1, answers.turns)]
        known += prompts if is_kept else [shared] * len(prompts)
    whole = [tokens - tokens % step for tokens in known]
    return sum(tokens for tokens in whole if tokens >= least) / len(whole)


def usd_per_request(answers: Answers) -> float:
    r"""What a request costs at the token API: $((I - c) p_i + c p_c + O p_o) / 10^6$ with $c$ cached tokens."""
    offer = None if answers.offer is None else token_offer(answers.offer)
    if offer is None and answers.api_input_usd is None:
        told = "what you pay a month says how much you ask only with the API that it is paid to, or its prices"
        raise InputError(Problem(told, path="offer"))
    if answers.api_input_usd is None:
        assert offer is not None
        price = offer.price(answers.isl)
        usd_input, usd_output, usd_cached = price.input, price.output, price.cached_input
    else:
        assert answers.api_output_usd is not None
        usd_input, usd_output, usd_cached = answers.api_input_usd, answers.api_output_usd, answers.api_cached_usd
    cached = 0 if offer is None else cached_tokens(answers, offer)
    usd_prompt = (answers.isl - cached) * usd_input + cached * (usd_input if usd_cached is None else usd_cached)
    usd = (usd_prompt + answers.osl * usd_output) / TOKENS_PER_PRICE
    if not usd > 0:
        raise InputError(Problem("must be above 0, or spending says nothing of the traffic", path="api_input_usd"))
    return usd


def busy_rate_rps(answers: Answers, log: Log | None = None) -> float:
    """Requests per second in a busy hour; of a log in the mean.

    Raises
    ------
    InputError : not exactly one of `AMOUNTS` is given, or it is not above 0
    """
    given = {name: value for name in AMOUNTS if (value := getattr(answers, name)) is not None}
    if len(given) != 1:
        found = f"given are {' and '.join(given)}" if given else "none is given"
        told = f"say how much is asked by one of {', '.join(AMOUNTS[:-1])} and {AMOUNTS[-1]}: {found}"
        raise InputError(Problem(told, path=next(iter(given), None)))
    if log is not None:
        return log.rate_rps
    name, said = next(iter(given.items()))
    value = float(said)
    if not value > 0:
        raise InputError(Problem("must be above 0", path=name, got=f"{value:g}"))
    if name == "users":
        return value * answers.requests_per_user_per_hour / SECONDS_PER_HOUR
    if name == "rate_rps":
        return value
    requests_per_month = value / usd_per_request(answers)
    return requests_per_month / (HOURS_PER_MONTH * SECONDS_PER_HOUR) / mean_share(answers)
