"""The month of a study that asks for the most."""

from __future__ import annotations

import math

from simulator.run.loads import Loads
from simulator.study.demand import MonthLoad


def binding_month(loads: Loads) -> int:
    """The month with the most tokens in a second of its busiest period, the first of equal ones.

    Tokens of a period are those of each class in the scenario's own load, as often as it comes there.
    """
    horizon = loads.horizon
    asked = {month: horizon.asked(month) for month in horizon.numbers}
    if len(set(asked.values())) == 1:
        return next(iter(asked))
    tokens = _tokens_by_class(loads)

    def most(month: MonthLoad) -> float:
        return max(
            math.fsum(n * factor for n, factor in zip(tokens, period.at(month.level).level, strict=True))
            for period in month.periods
        )

    return max(asked, key=lambda month: most(asked[month]))


def _tokens_by_class(loads: Loads) -> list[int]:
    """Prompt and output tokens of each class in the scenario's own load."""
    source = loads.demand.source(0)
    found = [0] * len(loads.demand.classes)
    for rows in (*source.chunks(), *(loop.rows for loop in source.closed_loops)):
        for k in range(len(found)):
            mine = rows.class_id == k
            found[k] += int(rows.isl[mine].sum()) + int(rows.osl[mine].sum())
    return found
