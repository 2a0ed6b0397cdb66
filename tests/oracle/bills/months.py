"""What was used in each month of a study, and for how much of it a figure stands."""

from __future__ import annotations

import math

from bills.rows import Row

HOURS = 730.0
STATES = ("busy", "idle", "starting", "down")


def at(table: list[float], month: int) -> float:
    """Multiple of today's price in a month; a table of one month is for all."""
    return table[month] if month < len(table) else table[-1]


def holds(agreed: Row, month: int) -> bool:
    """Whether what is agreed holds in a month, counted from 0."""
    first, last = agreed["span"]["first"], agreed["span"]["last"]
    return bool(first <= month + 1 and (last is None or month < last))


def scale(period: Row, usage: Row) -> float:
    """From simulated time to what it stands for."""
    return float(period["hours"] / ((usage["end_s"] - usage["start_s"]) / 3600.0))


def pool_of(usage: Row, name: str) -> Row:
    return next(pool for pool in usage["pools"] if pool["name"] == name)


class Months:
    """Use by month, beside the terms that all of a topology has."""

    def __init__(self, usage: Row, terms: Row) -> None:
        self.terms = terms
        self.jobs = terms["jobs_per_month"]
        self.use = [[(period, usage["usages"][period["usage"]]) for period in month] for month in usage["months"]]
        self.count = math.ceil(terms["months"])
        assert len(self.use) == self.count
        self.lengths = [1.0] * (self.count - 1) + [terms["months"] - (self.count - 1)]

    def periods(self, month: int) -> list[tuple[Row, Row]]:
        if not self.jobs:
            return self.use[month]
        return [
            (
                period | {"hours": period["hours"] / HOURS * self.jobs * (usage["end_s"] - usage["start_s"]) / 3600.0},
                usage,
            )
            for period, usage in self.use[month]
        ]

    def share(self, month: int) -> float:
        """Of a month that owned servers are paid for."""
        return math.fsum(period["hours"] for period, _ in self.periods(month)) / HOURS if self.jobs else 1.0

    def gpu_hours(self, month: int, names: list[str]) -> dict[str, float]:
        return {
            state: math.fsum(
                scale(period, usage) * pool[f"{state}_s"] * pool["gpus_per_replica"] / 3600.0
                for period, usage in self.periods(month)
                for pool in usage["pools"]
                if pool["name"] in names
            )
            for state in STATES
        }
