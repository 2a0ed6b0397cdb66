"""From what people know of their traffic to requests per second."""

from __future__ import annotations

from simulator.catalog.tokens import TokenOffer, token_offer
from simulator.errors import InputError
from simulator.questions.answers import AMOUNTS, Answers, Busy
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

TOKENS_PER_PRICE = 1e6
Quiet = tuple[str, str, float]
"""Days, hours, and load as a share of that of a busy hour."""
BUSY_HOURS: dict[Busy, tuple[Quiet, ...]] = {
    "always": (),
    "daytime": (("mon-sun", "8-22", 1.0), ("mon-sun", "22-8", 0.25)),
    "working_hours": (("mon-fri", "8-18", 1.0), ("mon-fri", "18-8", 0.1), ("sat-sun", "0-24", 0.1)),
}
"""Hours of the week that have a load of their own; the first are the busy ones."""
_HOURS_PER_WEEK = {"mon-sun": 7, "mon-fri": 5, "sat-sun": 2}


def mean_share(busy: Busy) -> float:
    r"""Mean load of a week as a share of that of a busy hour: $\sum_k h_k \ell_k / 168$ over the kinds of hours."""
    kinds = BUSY_HOURS[busy]
    return sum(_hours(days, hours) * load for days, hours, load in kinds) / (7 * 24) if kinds else 1.0


def _hours(days: str, hours: str) -> float:
    start, end = (float(part) for part in hours.split("-"))
    return _HOURS_PER_WEEK[days] * (end - start if end > start else end - start + 24)


def shared_tokens(answers: Answers) -> int:
    """Tokens that prompts have in common."""
    return int(answers.cached_share * answers.isl)


def cached_tokens(answers: Answers, offer: TokenOffer) -> int:
    """Of those, what the token API finds in its cache: whole steps, and none below the least length that it keeps."""
    if offer.cache is None:
        return 0
    shared = shared_tokens(answers)
    whole = shared - shared % int(offer.cache.step.value)
    return whole if whole >= offer.cache.least.value else 0


def usd_per_request(answers: Answers) -> float:
    r"""What a request costs at the token API: $((I - c) p_i + c p_c + O p_o) / 10^6$ with $c$ cached tokens."""
    if answers.offer is None:
        raise InputError("offer: what you pay a month says how much you ask only with the API that it is paid to")
    offer = token_offer(answers.offer)
    price, cached = offer.price(answers.isl), cached_tokens(answers, offer)
    usd_cached = price.input if price.cached_input is None else price.cached_input
    usd_input = (answers.isl - cached) * price.input + cached * usd_cached
    return (usd_input + answers.osl * price.output) / TOKENS_PER_PRICE


def busy_rate_rps(answers: Answers) -> float:
    """Requests per second in a busy hour.

    Raises
    ------
    InputError : not exactly one of users, rate_rps and spend_usd_per_month is given, or it is not above 0
    """
    given: dict[str, float] = {name: value for name in AMOUNTS if (value := getattr(answers, name)) is not None}
    if len(given) != 1:
        found = f"given are {' and '.join(given)}" if given else "none is given"
        raise InputError(f"say how much is asked by one of users, rate_rps and spend_usd_per_month: {found}")
    name, value = next(iter(given.items()))
    if not value > 0:
        raise InputError(f"{name}: must be above 0 (got {value:g})")
    if name == "users":
        return value * answers.requests_per_user_per_hour / SECONDS_PER_HOUR
    if name == "rate_rps":
        return value
    requests_per_month = value / usd_per_request(answers)
    return requests_per_month / (HOURS_PER_MONTH * SECONDS_PER_HOUR) / mean_share(answers.busy)
