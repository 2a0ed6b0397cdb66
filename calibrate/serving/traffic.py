"""The requests of a published result, drawn again: arrivals, lengths and shared prompt content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from calibrate.serving.measured import Burst, ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.sources import Spread, length_spreads, source_of
from simulator.rng import stream
from simulator.workload.requests import Requests, make_requests

DEFAULT_REQUESTS = 1000
"""Requests of a burst, and most of an open loop, whose number is not stated."""
DEFAULT_SPAN_S = 300.0
"""Span of an open loop whose number of requests is not stated."""
REQUESTS_PER_USER = 10
"""Requests of each user of a closed loop whose number is not stated."""
CLIENT_PAUSE_S = 5.0e-3
"""Mean time that the client of a closed loop takes between the end of a request and the next one."""
PASS_GAP_S = 1.0e5
"""Pause after an earlier pass of the same prompts; idle time costs nothing in simulation."""
_SHARED = re.compile(r"sys (\d+).*?(\d+) system prompts(?: x (\d+) users)?")
"""System prompt tokens, their number, and prompts per system prompt, in the words of the data set."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests to simulate and those among them that count.

    Attributes
    ----------
    origin_s : time at which the counted requests begin to arrive
    shares_content : whether prompts have content in common, so that prefix caching matters
    """

    requests: Requests
    origin_s: float
    shares_content: bool


def make_traffic(row: MeasuredRow, max_model_len: int, *, seed: int = 0, cv_scale: float = 1.0) -> Traffic:
    """Draw the row's requests.

    Parameters
    ----------
    max_model_len : prompts and outputs are cut so that they fit
    seed : of arrivals and of the order of lengths
    cv_scale : factor on the spread of lengths
    """
    n = number_of_requests(row)
    spreads = length_spreads(row, cv_scale)
    osl = _lengths(row.generated_tokens, spreads[1], n, max_model_len - 1, stream(seed, row.row_id, "osl"))
    isl = _lengths(row.isl, spreads[0], n, max_model_len, stream(seed, row.row_id, "isl"))
    if spreads[1].rank_correlation:
        osl = _paired(isl, osl, spreads[1].rank_correlation, stream(seed, row.row_id, "pairs"))
    isl = np.minimum(isl, max_model_len - osl)
    if isinstance(row.load, ClosedLoop):
        pauses = stream(seed, row.row_id, "client")
        return Traffic(_closed(isl, osl, row.load.concurrency, pauses), 0.0, False)
    arrival_s = _arrivals(row, n, seed)
    before = _earlier_rate(row)
    if before is not None:
        return _repeated(arrival_s, isl, osl, arrival_s * _rate(row) / before)
    shared = _SHARED.search(row.workload)
    if shared:
        system_tokens, systems, users = (int(part or 0) for part in shared.groups())
        content = _repeated_prompts(isl, system_tokens, systems, users)
        return Traffic(make_requests(arrival_s, isl, osl, **content), 0.0, True)
    return Traffic(make_requests(arrival_s, isl, osl), 0.0, False)


def number_of_requests(row: MeasuredRow) -> int:
    """As stated, else enough of them."""
    if row.num_requests:
        return row.num_requests
    if isinstance(row.load, ClosedLoop):
        per_user = source_of(row).get("requests_per_user", REQUESTS_PER_USER)
        return int(row.load.concurrency * per_user)
    if isinstance(row.load, Burst):
        return DEFAULT_REQUESTS
    return int(np.clip(row.load.rate_rps * DEFAULT_SPAN_S, 100, 20 * DEFAULT_REQUESTS))


def _rate(row: MeasuredRow) -> float:
    assert isinstance(row.load, OpenLoop)
    return row.load.rate_rps


def _lengths(mean: float, spread: Spread, n: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """n lengths with the spread's quantiles and the mean given, in random order."""
    share = (np.arange(n) + 0.5) / n
    if spread.kind == "uniform":
        shape = spread.low + (spread.high - spread.low) * share
        tokens = mean * shape
    else:
        if spread.kind == "quantiles":
            shape = np.interp(share, spread.shares, spread.quantiles)
        else:
            shape = np.exp(np.sqrt(np.log1p(spread.cv**2)) * ndtri(share))
        tokens = _scaled(shape, mean, spread.min_tokens, min(spread.max_tokens, most))
    return rng.permutation(np.clip(np.rint(tokens), 1, most).astype(np.int64))


def _paired(
    isl: NDArray[np.int64], osl: NDArray[np.int64], rank_correlation: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The outputs in an order whose ranks go with those of the prompts, by a Gaussian copula."""
    n = len(isl)
    by_prompt = np.empty(n)
    by_prompt[np.argsort(isl, kind="stable")] = ndtri((np.arange(n) + 0.5) / n)
    weight = 2.0 * np.sin(np.pi / 6.0 * rank_correlation)
    score = weight * by_prompt + np.sqrt(1.0 - weight**2) * rng.standard_normal(n)
    paired = np.empty_like(osl)
    paired[np.argsort(score, kind="stable")] = np.sort(osl)
    return paired


def _scaled(shape: NDArray[np.float64], mean: float, low: float, high: float) -> NDArray[np.float64]:
    """`shape` times the factor that, clipped to the bounds, has the mean."""
    factor = mean / shape.mean()
    for _ in range(20):
        factor *= mean / np.clip(factor * shape, low, high).mean()
    return np.asarray(np.clip(factor * shape, low, max(high, mean)))


def _arrivals(row: MeasuredRow, n: int, seed: int) -> NDArray[np.float64]:
    """Arrival times from 0. Random gaps are scaled to the stated rate, unless the source's own draw is known."""
    if isinstance(row.load, Burst):
        return np.zeros(n)
    rate = _rate(row)
    drawn: Mapping[str, Any] = source_of(row).get("arrivals", {})
    if drawn.get("process") == "numpy_gamma":
        gaps = np.random.RandomState(drawn["seed"]).gamma(1.0, 1.0 / rate, n)
        return np.concatenate([[0.0], np.cumsum(gaps[: n - 1])])
    if isinstance(row.load, OpenLoop) and row.load.process == "constant":
        return np.arange(n) / rate
    gaps = stream(seed, row.row_id, "arrivals").standard_exponential(n)
    return np.asarray(np.concatenate([[0.0], np.cumsum(gaps[: n - 1])]) / gaps.sum() * n / rate)


def _closed(isl: NDArray[np.int64], osl: NDArray[np.int64], users: int, rng: np.random.Generator) -> Requests:
    """Whoever's request ends first sends the next one; all start together.

    Which user that is hangs on the outputs alone here, as if every user decoded at the same pace. The client takes a
    moment for each request; without it, users whose requests are equally long would stay in step for ever.
    """
    n = max(len(isl), users)
    isl, osl = np.resize(isl, n), np.resize(osl, n)
    pause_s = CLIENT_PAUSE_S * rng.standard_exponential(n)
    pause_s[:users] = np.sort(pause_s[:users])
    begins = np.arange(n) < users
    session_id, next_turn = _in_turn(osl, users)
    return make_requests(
        np.where(begins, pause_s, np.nan),
        isl,
        osl,
        next_turn=next_turn,
        session_id=session_id,
        think_s=np.where(begins, 0.0, pause_s),
    )


def _in_turn(osl: NDArray[np.int64], users: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User of each request, where the next one goes to whoever has decoded the fewest tokens, and what follows it."""
    user = np.arange(len(osl))
    following = np.full(len(osl), -1)
    waiting = [(int(tokens), row) for row, tokens in enumerate(osl[:users])]
    heapify(waiting)
    for row in range(users, len(osl)):
        tokens, last = waiting[0]
        user[row], following[last] = user[last], row
        heapreplace(waiting, (tokens + int(osl[row]), row))
    return user, following


def _earlier_rate(row: MeasuredRow) -> float | None:
    """Rate of the pass before this row's, where the source sent the same prompts at several rates."""
    passes = source_of(row).get("passes")
    if not passes or not isinstance(row.load, OpenLoop) or row.load.rate_rps not in passes:
        return None
    place = passes.index(row.load.rate_rps)
    return float(passes[place - 1]) if place else None


def _repeated(
    arrival_s: NDArray[np.float64], isl: NDArray[np.int64], osl: NDArray[np.int64], before_s: NDArray[np.float64]
) -> Traffic:
    """The same prompts twice: an earlier pass that fills the prefix cache, then the one that counts."""
    n = len(isl)
    times = np.concatenate([before_s, PASS_GAP_S + arrival_s])
    requests = make_requests(
        times,
        np.tile(isl, 2),
        np.tile(osl, 2),
        segment_start=np.arange(2 * n + 1),
        segment_id=np.tile(np.arange(n), 2),
        segment_tokens=np.tile(isl, 2),
    )
    return Traffic(requests, PASS_GAP_S, True)


def _repeated_prompts(isl: NDArray[np.int64], system_tokens: int, systems: int, users: int) -> dict[str, NDArray[Any]]:
    """Every prompt begins with one of `systems` system prompts; with `users`, each has that many questions that are
    asked over and over, in turn."""
    n = len(isl)
    number = np.arange(n)
    system = np.minimum(system_tokens, isl)
    if not users:
        return {"segment_start": np.arange(n + 1), "segment_id": number % systems, "segment_tokens": system}
    question = systems + number % (systems * users)
    return {
        "segment_start": 2 * np.arange(n + 1),
        "segment_id": np.stack([number % systems, question], axis=1).ravel(),
        "segment_tokens": np.stack([system, isl - system], axis=1).ravel(),
    }
