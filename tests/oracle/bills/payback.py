"""From when one topology has cost less than another, looked up on a fine grid of times."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.study import Study

CENT_USD = 0.005
STEP_MONTHS = 1 / 256


def spent(study: Study, rate_per_year: float, count: int) -> list[float]:
    """USD of month 0 that are spent up to each step, without what is sold at the end; `count` steps."""
    once, paid = study.flows(at_the_end=False)
    found, ends = [0.0] * count, [0.0, *sorted(paid)]
    for when, usd in once.items():
        worth = usd / (1 + rate_per_year) ** (when / 12)
        for k in range(math.ceil(when / STEP_MONTHS - 1e-9), count):
            found[k] += worth
    for begin, end in pairwise(ends):
        worth = paid[end] / (1 + rate_per_year) ** (end / 12)
        for k in range(math.floor(begin / STEP_MONTHS), count):
            found[k] += worth * min(max((k * STEP_MONTHS - begin) / (end - begin), 0.0), 1.0)
    return found


def payback_months(mine: Study, rival: Study, rate_per_year: float = 0.0) -> float | None:
    """The step from which `mine` has cost less, and never more after; None without one."""
    count = math.ceil(max(max(one.payments()) for one in (mine, rival)) / STEP_MONTHS) + 2
    both = zip(*(spent(one, rate_per_year, count) for one in (mine, rival)), strict=True)
    saved = [theirs - ours for ours, theirs in both]
    behind = [k for k, usd in enumerate(saved) if usd < -CENT_USD]
    ahead = [k for k, usd in enumerate(saved) if usd > CENT_USD and k > max(behind, default=-1)]
    return ahead[0] * STEP_MONTHS if ahead else None
