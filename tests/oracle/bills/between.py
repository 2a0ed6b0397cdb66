"""What a schedule keeps between the simulated times of a month: starts ahead of windows, and paid ends of rentals."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.months import HOURS, scale
from bills.rows import Row

Extra = tuple[int, float, int, int, float, float]
"""(hour of the day, hours of a month, instances below it, instances up to it, replicas that start, that are kept)."""
Piece = tuple[float, float, int, int, float, int, int]


def between(offer: Row, periods: list[tuple[Row, Row]], is_job: bool = False) -> list[Extra]:
    """Every time of the week that no period stands for."""
    plan = offer["launches"]
    clocks = {(usage["when"]["clock_s"], usage["start_s"], usage["end_s"]) for _, usage in periods}
    if plan is None or is_job or len(clocks) == 1:
        return []
    week = Week(plan, offer)
    return week.scaled(week.windows_of(periods)) + week.scaled(week.starts(periods)) + week.scaled(week.ends(periods))


class Week:
    """A cycle of the windows, cut wherever something changes."""

    def __init__(self, plan: Row, offer: Row) -> None:
        self.plan, self.offer, self.windows = plan, offer, plan["schedule"]["windows"]
        self.length = plan["schedule"]["cycle_s"]
        self.times = HOURS * 3600.0 / self.length
        edges = [edge for begin, end, _ in self.windows for edge in (begin, end)]
        self.cuts = sorted(
            {0.0, self.length}
            | {edge % self.length for edge in edges}
            | {(edge - plan["early_s"]) % self.length for edge in edges}
        )
        self.edges = edges

    def instances(self, replicas: int) -> int:
        gpus, size = self.plan["gpus_per_replica"], self.offer["gpus_per_instance"]
        return replicas * math.ceil(gpus / size) if gpus > size else math.ceil(replicas / (size // gpus))

    def ready(self, at: float) -> int:
        for begin, end, count in self.windows:
            if begin <= at % self.length < end:
                return int(count)
        return int(self.plan["schedule"]["outside"])

    def there(self, at: float) -> int:
        soon = [edge for edge in self.edges if (edge - at) % self.length <= self.plan["early_s"]]
        return max([self.ready(at)] + [self.ready(edge) for edge in soon])

    def missing(self, begin: float, end: float, periods: list[tuple[Row, Row]]) -> float:
        stood_for = 0.0
        for period, usage in periods:
            low = usage["when"]["clock_s"] + usage["start_s"]
            high = usage["when"]["clock_s"] + usage["end_s"]
            turn = int((low - end) // self.length)
            while begin + turn * self.length < high:
                held = min(high, end + turn * self.length) - max(low, begin + turn * self.length)
                stood_for += scale(period, usage) * max(held, 0.0)
                turn += 1
        return self.times * (end - begin) - stood_for

    def windows_of(self, periods: list[tuple[Row, Row]]) -> list[Piece]:
        found: list[Piece] = []
        for period, usage in periods:
            when = usage["when"]
            if period["hours"] and (not when.get("spread") or when["cycle_s"] not in (0, self.length)):
                return found
        for begin, end in pairwise(self.cuts):
            there = self.ready(0.5 * (begin + end))
            if there:
                found.append((begin, end, 0, self.instances(there), self.missing(begin, end, periods), 0, there))
        return found

    def starts(self, periods: list[tuple[Row, Row]]) -> list[Piece]:
        found = []
        for begin, end in pairwise(self.cuts):
            middle = 0.5 * (begin + end)
            few, many = self.ready(middle), self.there(middle)
            if many > few:
                lacking = self.missing(begin, end, periods)
                found.append((begin, end, self.instances(few), self.instances(many), lacking, many - few, 0))
        return found

    def ends(self, periods: list[tuple[Row, Row]]) -> list[Piece]:
        found = []
        steps = [(begin, end, self.instances(self.there(0.5 * (begin + end)))) for begin, end in pairwise(self.cuts)]
        for k in range(len(steps)):
            begin, _, now = steps[k]
            for level in range(steps[k - 1][2] + 1, now + 1):
                after = next(j for j in range(1, len(steps) + 1) if steps[(k + j) % len(steps)][2] < level)
                seconds = (steps[(k + after) % len(steps)][0] - begin) % self.length
                paid = max(seconds, self.offer["minimum_s"])
                step = self.offer["granularity_s"]
                paid = math.ceil((paid - 1e-6) / step) * step if step else paid
                if paid > seconds:
                    seen = sum(scale(*one) * self._within(begin, begin + seconds, one[1]) for one in periods)
                    beyond = paid - seconds
                    missing = (self.times - seen) * beyond
                    found.append((begin + seconds, begin + paid, level - 1, level, missing, 0, 0))
        return found

    def _within(self, begin: float, end: float, usage: Row) -> int:
        zero = usage["when"]["clock_s"]
        low, high = zero + usage["start_s"], zero + usage["end_s"]
        turns = range(int((low - end) // self.length), int((high - begin) // self.length) + 2)
        return sum(begin + n * self.length > zero and low < end + n * self.length < high for n in turns)

    def scaled(self, pieces: list[Piece]) -> list[Extra]:
        """What periods stand for too much of is taken from what they do not, at the same instance before others."""
        levels = range(max((upto for *_, upto, _, _, _ in pieces), default=0))
        lacking, net = {}, {}
        for k in levels:
            mine = [missing for _, _, below, upto, missing, _, _ in pieces if below <= k < upto]
            lacking[k], net[k] = math.fsum(one for one in mine if one > 0), math.fsum(mine)
        gained = math.fsum(one for one in net.values() if one > 0)
        whole = math.fsum(net.values())
        found: list[Extra] = []
        if whole <= 1e-9 * math.fsum(lacking.values()):
            return found
        part = {k: max(net[k], 0.0) / lacking[k] * whole / gained if lacking[k] else 0.0 for k in levels}
        for begin, end, below, upto, missing, starting, kept in pieces:
            hours = {begin, end} | {3600.0 * k for k in range(math.ceil(begin / 3600.0), math.ceil(end / 3600.0))}
            for low, high in pairwise(sorted(hours)):
                for k in range(below, upto):
                    share = max(missing, 0.0) * part[k] / 3600.0 * (high - low) / (end - begin)
                    found.append(
                        (int(low // 3600.0) % 24, share, k, k + 1, starting / (upto - below), kept / (upto - below))
                    )
        return found
