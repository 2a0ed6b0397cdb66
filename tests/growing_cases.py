"""Studies of months that grow, of fleets whose answers to a load are known."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from simulator.decide.assumptions import growth_of, questions
from simulator.decide.explore import Answered, Asked, Explorer, Ladder, Serve, trial_flips
from simulator.study.decision import Flip


def through_months(explorer: Explorer, months: int, growth: float) -> Serve:
    """Each month by itself, at the load that it has by then: the mean bill, where every month meets the SLO."""

    def study(asked: Asked, left_s: float) -> Answered:
        per_year = (1 + growth) * asked.growth
        loads = [asked.load * per_year ** (month / 12) for month in range(months)]
        loads = loads if len(set(loads)) > 1 else loads[:1]
        found = [explorer.best(replace(asked, growth=1.0, load=load)) for load in loads]
        if not all(one.meets for one in found):
            return Answered(False, None)
        by_replication = zip(*(one.usd_by_replication for one in found), strict=True)
        usd = tuple(math.fsum(paid) / len(loads) for paid in by_replication)
        return Answered(True, math.fsum(one.usd_per_month or 0.0 for one in found) / len(loads), usd_by_replication=usd)

    return study


def flips_of(
    explorer: Explorer,
    names: Sequence[str],
    today: Collection[str],
    months: int = 1,
    growth: float = 0.0,
    engines: Sequence[str] = (),
    drafts: Mapping[str, float] | None = None,
    passed_on: Mapping[str, float] | None = None,
) -> list[Flip]:
    """Of months that differ by nothing but growth; `explorer` answers for one of them."""
    asked = questions(engines, drafts or {}, passed_on or {}, growth_of({"chat": growth}, months))
    study = replace(explorer, serve=through_months(explorer, months, growth), known={})
    return trial_flips(study, names, frozenset(today), asked, Ladder(explorer, months, growth))
