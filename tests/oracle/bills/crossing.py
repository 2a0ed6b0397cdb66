"""What an autoscaler pays between periods of a month, laid out on four cycles of the clock: the third counts."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.between import Extra
from bills.months import HOURS
from bills.rows import Row

Stretch = dict[str, float]
"""from, until; sure (0 or 1) that it begins, that it ends, at a border."""


def crossed(offer: Row, periods: list[tuple[Row, Row]], is_job: bool) -> list[Extra]:
    """Hours of instances."""
    found: list[Extra] = []
    for times, level, stretches, cycle in _levels(offer, periods, is_job, "server"):
        for low, high in _paid(stretches, offer, cycle):
            cuts = {low, high} | {3600.0 * k for k in range(math.ceil(low / 3600.0), math.ceil(high / 3600.0))}
            for a, b in pairwise(sorted(cuts)):
                found.append((int(a // 3600.0) % 24, times * (b - a) / 3600.0, level - 1, level, 0, 0))
    return found


def waited(offer: Row, periods: list[tuple[Row, Row]], is_job: bool) -> dict[str, float]:
    """Hours of replicas that start, and that are kept."""
    hours = {"starting": 0.0, "idle": 0.0}
    for times, _, stretches, cycle in _levels(offer, periods, is_job, "replica"):
        for one, early, late in _edges(stretches, offer["following"]):
            if 2 * cycle <= one["until"] < 3 * cycle:
                hours["idle"] += times * late / 3600.0
            if 2 * cycle <= one["from"] < 3 * cycle:
                hours["starting"] += times * early / 3600.0
    return hours


def _levels(
    offer: Row, periods: list[tuple[Row, Row]], is_job: bool, what: str
) -> list[tuple[float, int, list[Stretch], float]]:
    """(times a month, level, when it is there in four cycles, length of one)."""
    kinds: dict[str, list[tuple[Row, Row]]] = {}
    for period, usage in periods:
        if period["hours"] > 0 and not is_job:
            kinds.setdefault(str(usage["when"].get("holds_s") or []), []).append((period, usage))
    cycle = max((usage["when"].get("cycle_s", 0.0) for mine in kinds.values() for _, usage in mine), default=0.0)
    order = _order(kinds, cycle) if cycle else []
    if len(order) < 2:
        return []
    tables = {
        name: (_table(mine, offer["pool"], what, 0), _table(mine, offer["pool"], what, 1))
        for name, mine in kinds.items()
    }
    marks = sorted(
        {0.0, 1.0} | {min(round(mark, 9), 1.0) for pair in tables.values() for table in pair for mark, _ in table}
    )
    found = []
    for low, high in pairwise(marks):
        numbers = {
            name: tuple(next(n for mark, n in table if mark > (low + high) / 2) for table in pair)
            for name, pair in tables.items()
        }
        most = max(max(pair) for pair in numbers.values())
        for level in range(1, most + 1):
            stretches: list[Stretch] = []
            for turn in range(4):
                for k, (begin, name) in enumerate(order):
                    end = order[k + 1][0] if k + 1 < len(order) else order[0][0] + cycle
                    low_, high_ = begin + turn * cycle, end + turn * cycle
                    first, last = (n >= level for n in numbers[name])
                    middle = (low_ + high_) / 2
                    if first and stretches and abs(stretches[-1]["until"] - low_) < 1e-6 and stretches[-1]["ends"]:
                        stretches[-1]["until"] = high_ if last else middle
                        stretches[-1]["ends"] = float(last)
                    elif first or last:
                        stretches.append(
                            {
                                "from": low_ if first else middle,
                                "until": high_ if last else middle,
                                "begins": float(first),
                                "ends": float(last),
                            }
                        )
            if len(stretches) > 1:
                found.append(((high - low) * HOURS * 3600.0 / cycle, level, stretches, cycle))
    return found


def _order(kinds: dict[str, list[tuple[Row, Row]]], cycle: float) -> list[tuple[float, str]]:
    """Which kind of hours begins when: of several the shortest, then those that say no time."""
    spans = {name: mine[0][1]["when"].get("holds_s") or [] for name, mine in kinds.items()}
    edges = sorted({0.0} | {edge % cycle for mine in spans.values() for span in mine for edge in span})
    order: list[tuple[float, str]] = []
    for k, edge in enumerate(edges):
        at = (edge + (edges[k + 1] if k + 1 < len(edges) else cycle)) / 2
        there = [
            (sum(b - a for a, b in mine), position, name)
            for position, (name, mine) in enumerate(spans.items())
            if any((at - a) % cycle < b - a for a, b in mine)
        ]
        name = min(there)[2] if there else next((name for name, mine in spans.items() if not mine), None)
        if name is not None and (not order or order[-1][1] != name):
            order.append((edge, name))
    while len(order) > 1 and order[0][1] == order[-1][1]:
        order.pop(0)
    return order


def _table(mine: list[tuple[Row, Row]], name: str, what: str, side: int) -> list[tuple[float, int]]:
    """(share of the hours reached, number), the smallest number first."""
    rows = []
    for period, usage in mine:
        edge = (usage["start_s"], usage["end_s"])[side]
        there = {
            stay[what]
            for pool in usage["pools"]
            if pool["name"] == name
            for stay in pool["stays"]
            if stay["start_s"] < stay["end_s"] and (stay["end_s"] >= edge if side else stay["start_s"] <= edge)
        }
        rows.append((len(there), period["hours"]))
    total, reached, table = sum(hours for _, hours in rows), 0.0, []
    for number, hours in sorted(rows):
        reached += hours / total
        table.append((reached, number))
    table[-1] = (1.1, table[-1][1])
    return table


def _edges(stretches: list[Stretch], following: Row) -> list[tuple[Stretch, float, float]]:
    """Seconds before and after each, but for the first and the last of all."""
    found = []
    for k in range(1, len(stretches) - 1):
        one, before, after = stretches[k], stretches[k - 1], stretches[k + 1]
        kept = min(following["late_s"] * before["ends"], one["from"] - before["until"])
        early = min(following["early_s"] * one["begins"], one["from"] - before["until"] - kept)
        late = min(following["late_s"] * one["ends"], after["from"] - one["until"])
        found.append((one, early, late))
    return found


def _paid(stretches: list[Stretch], offer: Row, cycle: float) -> list[tuple[float, float]]:
    """What is paid before and after those that end, or begin, in the third cycle."""
    paid, begin = [], None
    edges = _edges(stretches, offer["following"])
    for k, (one, early, late) in enumerate(edges):
        touches = k > 0 and edges[k - 1][0]["until"] + edges[k - 1][2] >= one["from"] - early
        if not touches:
            begin = one["from"] - early if one["begins"] else None
        if early and 2 * cycle <= one["from"] < 3 * cycle:
            paid.append((one["from"] - early, one["from"]))
        if not 2 * cycle <= one["until"] < 3 * cycle:
            continue
        end = one["until"] + late
        goes_on = k + 1 < len(edges) and end >= edges[k + 1][0]["from"] - edges[k + 1][1]
        if one["ends"] and begin is not None and not goes_on:
            seconds = max(end - begin, offer["minimum_s"])
            if offer["granularity_s"]:
                seconds = math.ceil((seconds - 1e-6) / offer["granularity_s"]) * offer["granularity_s"]
            end = begin + seconds
        if end > one["until"]:
            paid.append((one["until"], end))
    return paid
