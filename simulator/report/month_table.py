"""The months of a study as rows: those in which something changes, or all."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from statistics import median_low
from typing import Any

from simulator.money import amount

Decision = Mapping[str, Any]
Month = Mapping[str, Any]
_CENT_USD = 0.01
_SAME_GROWTH = 1e-6


def changing(decision: Decision, names: Collection[str]) -> list[int]:
    """Months in which something changes for any topology, and the first and the last one.

    A change: other sizes or servers, an order of servers, the SLO met or missed from now on, an event, another cost at
    the same load, a lower one at no lower load, as when a commitment begins, or a step of the load that is not its
    usual growth.
    """
    every = [decision["topologies"][name]["months"] for name in names]
    found: set[int] = set()
    for months in every:
        found |= {months[0]["month"], months[-1]["month"]}
        found |= {now["month"] for before, now in pairwise(months) if _differs(before, now)}
        found |= _load_steps(months)
    return sorted(found)


def _differs(before: Month, now: Month) -> bool:
    same_load = list(before["level"]) == list(now["level"])
    no_lower = all(new >= old for old, new in zip(before["level"], now["level"], strict=True))
    return (
        any(before[key] != now[key] for key in ("meets", "replicas", "servers"))
        or bool(now["event"])
        or bool(now["ordered"])
        or (same_load and abs(before["usd"] - now["usd"]) >= _CENT_USD)
        or (no_lower and before["usd"] - now["usd"] >= _CENT_USD)
    )


def _load_steps(months: Sequence[Month]) -> set[int]:
    grown = [[*map(_grown, before["level"], now["level"])] for before, now in pairwise(months)]
    usual = [median_low(factors) for factors in zip(*grown, strict=True)]
    return {
        now["month"]
        for now, factors in zip(months[1:], grown, strict=True)
        if not all(math.isclose(*pair, rel_tol=_SAME_GROWTH) for pair in zip(factors, usual, strict=True))
    }


def _grown(before: float, now: float) -> float:
    """Multiple of the load before; endless where a class begins to come."""
    if before:
        return now / before
    return math.inf if now else 1.0


def month_table(decision: Decision, names: Sequence[str], every: bool = False) -> tuple[list[list[str]], list[str]]:
    """A row for each of these months, a column for each topology: what it costs, at which size, and what is new.

    Parameters
    ----------
    every : all months, not only those in which something changes
    """
    months = {name: decision["topologies"][name]["months"] for name in names}
    shown = set(changing(decision, names))
    rows = []
    for at in zip(*months.values(), strict=True):
        number = at[0]["month"]
        if every or number in shown:
            rows.append([str(number), _load(at[0]), *(_cell(month, number) for month in at)])
    return rows, ["month", "load", *names]


def _load(month: Month) -> str:
    factors = list(dict.fromkeys(f"{factor:.2f}" for factor in month["level"]))
    return "× " + (factors[0] if len(factors) == 1 else " / ".join(f"{factor:.2f}" for factor in month["level"]))


def _cell(month: Month, number: int) -> str:
    units = (f"{n} units" for n in month.get("units", {}).values())
    size = " + ".join([*map(str, month["replicas"]), *units])
    new = [str(month["event"])] if month["event"] else []
    if month["arriving"] and number > 1:
        new.append(f"+{_servers(month['arriving'])}")
    # the first fleet stands when the study begins, and was ordered before it
    if to_order := month["ordered"] - (month["arriving"] if number == 1 else 0):
        new.append(f"order {_servers(to_order)}")
    if not month["meets"]:
        new.append("SLO not known" if month["meets"] is None else "SLO missed")
    return ", ".join([amount(month["usd"]) + (f" at {size}" if size else ""), *new])


def _servers(count: int) -> str:
    return f"{count} server{'s' * (count > 1)}"
