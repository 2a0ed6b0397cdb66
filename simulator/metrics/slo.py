"""Service level objectives of a class, and which requests meet them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Status
from simulator.metrics.intervals import share_interval
from simulator.metrics.sketch import Sketch, rank
from simulator.units import SECONDS_PER_HOUR, rough

METRICS = ("ttft_s", "tpot_s", "e2e_s", "queue_s")
SHARES = ("served", "begun")
"""Metrics of a term's row that are shares of the requests, not seconds."""
LEAST_SERVED = 0.99
"""Share of a class's requests that must be answered, unless it says otherwise."""
_MOST_DIGITS = 9
GROWING = "begun as they come"
"""In words, what is asked of every fleet, and told where it does not hold."""
GROWING_LATER = "begun once batches are full"
"""The same of further windows, where one window does not fill the batches."""


@dataclass(frozen=True, slots=True)
class SloTerm:
    """At least the share `quantile` of the arrived requests has `metric` within `limit_s`."""

    metric: str
    quantile: float
    limit_s: float
    is_deadline: bool = False
    """Whether the limit is that of a job, all of whose requests come at once: E2E is then the time of the job."""
    until_s: float = math.inf
    """How long after it comes the simulated time ends, where that does not wait for its last answer."""

    def __str__(self) -> str:
        if self.is_deadline:
            part = "" if self.quantile == 1.0 else f"{self.quantile * 100:g} % of "
            return f"{part}job ≤ {self.limit_s:g} s"
        return f"{self.metric.removesuffix('_s')} p{self.quantile * 100:g} ≤ {self.limit_s:g} s"


@dataclass(frozen=True, slots=True)
class ClassSlo:
    """All terms of one class.

    Attributes
    ----------
    served_share : completed / (arrived + turns that a broken session no longer sent) must be at least this
    is_open : whether its requests come however long the answers take; users who wait for theirs cannot queue up
    is_batch : whether nobody waits for a token: answers come back together
    """

    name: str
    terms: tuple[SloTerm, ...] = ()
    served_share: float = LEAST_SERVED
    is_open: bool = True
    is_batch: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """All terms in words, the served share last."""
        return (*map(str, self.terms), f"served ≥ {self.served_share * 100:g} %")

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the requests, that must keep each term; in the order of `words`."""
        return (*(term.quantile for term in self.terms), self.served_share)


@dataclass(frozen=True, slots=True)
class TermCount:
    """Requests that keep one term, of how many, in one replication or in all together."""

    kept: int
    of: int

    def met(self, share: float) -> bool | None:
        """Whether at least `share` keep it; None where there is no request to tell by."""
        return self.kept >= rank(share, self.of) if self.of else None

    def allowance_used(self, share: float) -> float:
        """Misses / misses allowed, (of - kept) / (of·(1 - share)): above 1 the term fails. NaN without requests."""
        missed, allowed = self.of - self.kept, self.of * (1.0 - share)
        if not self.of or missed == 0:
            return 0.0 if self.of else math.nan
        return missed / allowed if allowed > 0 else math.inf


def slo_met(terms: Sequence[dict[str, Any]]) -> bool | None:
    """Whether every term is met; None where none is missed and some class has no request to tell by."""
    verdicts = [row["met"] for row in terms]
    if any(met is False for met in verdicts):
        return False
    return None if any(met is None for met in verdicts) else True


def term_rows(
    slo: ClassSlo, counts: Sequence[Sequence[TermCount]], sketches: dict[str, Sketch]
) -> list[dict[str, Any]]:
    """Every term of a class as a row, JSON-ready, NaN where nothing is known.

    Parameters
    ----------
    counts : by replication, in the order of `slo.words`
    sketches : of the completed requests of all replications, by metric

    Returns
    -------
    rows : `class`, `term`, `metric`, `share` that keeps it with its 95 % interval `low` to `high`, `required` share,
        `of` how many, `value` at the required share (in s; a request that was not completed is beyond any limit, so inf
        where too many are lost) and its `limit`, `allowance_used`, `met`,
        `deadline`: whether the limit is that of a job, `until`: how long it is simulated at most; null: to its end
    """
    rows = []
    for j, (words, required) in enumerate(zip(slo.words, slo.shares, strict=True)):
        mine = [found[j] for found in counts]
        term = slo.terms[j] if j < len(slo.terms) else None
        if term is None:
            rows.append(_row(slo, words, "served", required, mine))
            continue
        completed = sum(found[-1].kept for found in counts)
        row = _row(slo, words, term.metric, required, mine)
        until_s = term.until_s if math.isfinite(term.until_s) else None
        value = _value(term, row["of"], completed, sketches)
        rows.append(row | {"value": value, "limit": term.limit_s, "deadline": term.is_deadline, "until": until_s})
    return rows


def growing_row(slo: ClassSlo, counts: Sequence[TermCount], term: str = GROWING) -> dict[str, Any]:
    """A row as `term_rows` gives, for a class whose queue grows from window to window: no limit holds for long then.

    Its `allowance_used` is what came by what was begun, above 1: a limit that is missed by more binds.

    Parameters
    ----------
    counts : by replication, requests that were begun in the window, of those that came in it
    """
    row = _row(slo, term, "begun", 1.0, counts)
    return row | {"allowance_used": 1.0 / row["share"] if row["share"] else math.inf, "met": False}


def _row(slo: ClassSlo, words: str, metric: str, required: float, counts: Sequence[TermCount]) -> dict[str, Any]:
    """A row of a share, which is its own value."""
    whole = TermCount(sum(found.kept for found in counts), sum(found.of for found in counts))
    share = whole.kept / whole.of if whole.of else math.nan
    low, high = share_interval([min(found.kept, found.of) for found in counts], [found.of for found in counts])
    return {
        "class": slo.name,
        "term": words,
        "metric": metric,
        "share": share,
        "low": low,
        "high": high,
        "required": required,
        "of": whole.of,
        "value": share,
        "limit": required,
        "allowance_used": whole.allowance_used(required),
        "met": whole.met(required),
        "deadline": False,
        "until": None,
    }


def _value(term: SloTerm, arrived: int, completed: int, sketches: dict[str, Sketch]) -> float:
    """The term's own percentile over all arrived requests; an undefined TPOT is below any limit."""
    if not arrived:
        return math.nan
    sketch = sketches[term.metric]
    place = rank(term.quantile, arrived) - (completed - sketch.n if term.metric == "tpot_s" else 0)
    return sketch.at(place) if place > 0 else 0.0


def share_words(share: float, digits: int) -> str:
    """A share in percent with at least so many digits: with as many as it takes to be told from all."""
    if share < 1.0:
        digits = next((n for n in range(digits, _MOST_DIGITS) if round(share, n + 2) < 1.0), _MOST_DIGITS)
    return f"{share:.{digits}%}"


def late_words(row: Mapping[str, Any]) -> str:
    """When a job that misses its deadline is done, and how late that is, or how a queue grows; else empty."""
    if row.get("metric") == "begun":
        late = f"{1.0 - row['share']:.1%} of what comes"
        if row["term"] == GROWING_LATER:
            return f"the queue grows once the batches are full, in later windows: {late} is not begun then"
        return f"the queue grows: {late} in the window still waits when it ends"
    if not row.get("deadline") or row["met"] is not False:
        return ""
    value = row["value"]
    if value is None or not math.isfinite(value):
        until = row.get("until")
        if until is None:
            return "never done: too many of its requests have no answer"
        late = _span_words(until - row["limit"])
        return f"not done when the simulated time ends, {late} late: too many of its requests have no answer by then"
    return f"done after {_span_words(value)}, {_span_words(value - row['limit'])} late"


def _span_words(span_s: float) -> str:
    if span_s >= SECONDS_PER_HOUR:
        return f"{span_s / SECONDS_PER_HOUR:,.1f} h"
    return f"{rough(span_s)} s"


def binding_term(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The term that fails by most, or else is nearest to failing; None where nothing was measured.

    Nearest is where most of the misses that are allowed are used, then where the value is nearest to its limit.
    """
    known = [row for row in rows if row["met"] is not None]
    return max(known, key=_nearness) if known else None


def _nearness(row: dict[str, Any]) -> tuple[float, float]:
    is_share = row["metric"] in SHARES
    least, most = (row["limit"], row["value"]) if is_share else (row["value"], row["limit"])
    return row["allowance_used"], least / most if most else math.inf


def begin_s(records: NDArray[Any]) -> NDArray[np.float64]:
    """When a request came to the target that served it: on arrival, or after a cascade's check of the first answer."""
    return np.asarray(np.fmax(records["arrival_s"], records["checked_s"]))


def latencies(records: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """TTFT, TPOT, E2E and queueing time by record, in s; NaN where a request has none.

    TTFT = first token - arrival, E2E = end - arrival, TPOT = (E2E - TTFT) / (OSL - 1), undefined for one token.
    """
    completed = records["status"] == Status.COMPLETED
    ttft = np.where(completed, records["first_token_s"] - records["arrival_s"], np.nan)
    e2e = np.where(completed, records["finish_s"] - records["arrival_s"], np.nan)
    gaps = np.where(records["generated"] > 1, records["generated"] - 1.0, np.nan)
    queue = np.where(completed, np.fmax(records["scheduled_s"] - begin_s(records), 0.0), np.nan)
    return {"ttft_s": ttft, "tpot_s": (e2e - ttft) / gaps, "e2e_s": e2e, "queue_s": queue}


def within(records: NDArray[Any], values: dict[str, NDArray[np.float64]], term: SloTerm) -> NDArray[np.bool_]:
    """Which requests keep the term's limit. An undefined TPOT keeps it; a request that was not completed never does."""
    completed = records["status"] == Status.COMPLETED
    value = values[term.metric]
    undefined = np.isnan(value) & (term.metric == "tpot_s")
    return np.asarray(completed & (undefined | (value <= term.limit_s)))
