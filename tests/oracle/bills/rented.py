"""Rented instances: terms of commitments, and the rest on demand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from bills.api import volume_factor
from bills.between import Extra, between
from bills.clock import price_of_hour
from bills.crossing import crossed, waited
from bills.months import HOURS, Months, at, pool_of, scale
from bills.rentals import pieces, rentals
from bills.rows import Row, row, shared

Term = tuple[int, int, int]
"""(which commitment, month after which a term begins, instances)."""
LATER_IS_LESS = 0.001
"""A year, by which of equal sums that is taken which is paid later, where money costs nothing."""


class Rented:
    """One offer that a pool is rented by."""

    def __init__(self, months: Months, offer: Row) -> None:
        self.months, self.offer = months, offer
        self.index = months.terms["rental_index"]
        self.begun = self._begun()

    def now(self, month: int) -> Row:
        """The offer as events have left it by a month, counted from 0."""
        found = self.offer
        for one in self.offer.get("later", []):
            if one["span"]["first"] <= month + 1:
                found = one
        return found

    def _term_usd(self, number: int, start: int) -> float:
        """One instance for a whole term that begins after so many months."""
        agreed = self.now(start)["commitments"][number]
        usd = HOURS * agreed["term_months"] * agreed["usd_per_instance_hour"]
        return float(usd * at(self.index, start))

    def _on_demand_usd(self, month: int, first: int, last: int | None = None) -> float:
        """Instances number first + 1 and above (up to `last`) at the price of their hour, in today's prices."""
        usd, prices = 0.0, self.now(month)["usd_per_instance_hour"]
        for period, usage in self.months.periods(month):
            for hour, hours, count in self._pieces(usage, month):
                above = max(0, min(count, last if last is not None else count) - first)
                price = price_of_hour(prices, usage, hour)
                usd += scale(period, usage) * hours * above * price
        for hour, hours, below, upto, _, _ in self._between(month):
            above = max(0, min(upto, last if last is not None else upto) - max(first, below))
            usd += hours * above * (prices[hour] if len(prices) > 1 else prices[0])
        return usd

    def _between(self, month: int) -> list[Extra]:
        offer = self.now(month)
        if offer.get("following"):
            return crossed(offer, self.months.periods(month), self.months.jobs > 0)
        return between(offer, self.months.periods(month), self.months.jobs > 0)

    def _instance_hours(self, month: int, first: int) -> float:
        return math.fsum(
            scale(period, usage) * hours * max(0, count - first)
            for period, usage in self.months.periods(month)
            for _, hours, count in self._pieces(usage, month)
        ) + math.fsum(hours * max(0, upto - max(first, below)) for _, hours, below, upto, _, _ in self._between(month))

    def _pieces(self, usage: Row, month: int) -> list[tuple[int, float, int]]:
        offer = self.now(month)
        return pieces(rentals(pool_of(usage, offer["pool"]), offer, usage, self.months.jobs > 0))

    def _span(self) -> tuple[int, int]:
        return self.offer["span"]["first"] - 1, min(self.offer["span"]["last"] or self.months.count, self.months.count)

    def _begun(self) -> list[Term]:
        begin, end = self._span()
        begun: list[Term] = []
        open_ = []
        for number, agreed in enumerate(self.offer["commitments"]):
            if agreed["begins"] is not None:
                begun += [(number, start, count) for start, count in agreed["begins"] if count]
            elif agreed["instances"]:
                begun += [(number, start, agreed["instances"]) for start in range(begin, end, agreed["term_months"])]
            elif agreed["instances"] is None:
                open_.append(number)
        given, level = list(begun), 0
        while open_ and (chosen := self._worth_it(open_, given, level)):
            begun += [(number, start, 1) for number, start in chosen]
            level += 1
        return begun

    def _held(self, begun: list[Term], month: int) -> int:
        """Instances under commitment in a month."""
        lengths = [agreed["term_months"] for agreed in self.offer["commitments"]]
        return sum(count for number, start, count in begun if start <= month < start + lengths[number])

    def _worth_it(self, open_: list[int], given: list[Term], level: int) -> list[tuple[int, int]]:
        """Terms of one more instance, tried month by month from the first on."""
        begin, end = self._span()
        if begin >= end:
            return []
        known: dict[int, tuple[float, float, list[tuple[int, int]]]] = {end: (0.0, 0.0, [])}
        rate = float(self.months.terms["discount_rate_per_year"]) or LATER_IS_LESS

        def now(months: float) -> float:
            return float((1 + rate) ** (-months / 12))

        def best(month: int) -> tuple[float, float, list[tuple[int, int]]]:
            if month not in known:
                nth = self._held(given, month) + level
                length = self.months.lengths[month]
                rent = self._on_demand_usd(month, nth, nth + 1) * at(self.index, month + 1) * length
                usd, present, terms = best(month + 1)
                found = rent + usd, rent * now(month + 1) + present, terms
                for number in open_:
                    agreed = self.now(month)["commitments"][number]
                    if not agreed.get("sold", True):
                        continue
                    long, share = agreed["term_months"], agreed["upfront_share"]
                    usd, present, terms = best(min(month + long, end))
                    whole = self._term_usd(number, month)
                    present += share * whole * now(month)
                    present += math.fsum((1 - share) * whole / long * now(month + k) for k in range(1, long + 1))
                    usd += whole
                    equal = math.isclose(usd, found[0], rel_tol=1e-9)
                    if present < found[1] * (1 - 1e-9) if equal else usd < found[0]:
                        found = usd, present, [(number, month), *terms]
                known[month] = found
            return known[month]

        return best(begin)[2]

    def terms_paid(self) -> list[tuple[int, int, int, float]]:
        """(number of the commitment, first month, months, USD) of each of its terms."""
        return [
            (number, start, self.offer["commitments"][number]["term_months"], count * self._term_usd(number, start))
            for number, start, count in self.begun
        ]

    def _name(self, agreed: Row) -> str:
        one = len(self.offer["commitments"]) == 1
        return (
            "committed" if one else f"committed {agreed['term_months']} month{'s' if agreed['term_months'] > 1 else ''}"
        )

    def lines(self, month: int) -> list[Row]:
        offer, name = self.now(month), self.offer["pool"]
        committed = self._held(self.begun, month)
        states = self.months.gpu_hours(month, [name])
        gpus = [pool_of(usage, name)["gpus_per_replica"] for _, usage in self.months.periods(month)]
        for period, usage in self.months.periods(month):
            away = [stay["end_s"] - stay["start_s"] for stay in pool_of(usage, name)["stays"] if stay.get("lost")]
            on_each = min(gpus[0], offer["gpus_per_instance"])
            states["down"] -= scale(period, usage) * on_each * math.fsum(away) / 3600.0
        states["starting"] += gpus[0] * math.fsum(hours * n for _, hours, _, _, n, _ in self._between(month))
        states["idle"] += gpus[0] * math.fsum(hours * n for _, hours, _, _, _, n in self._between(month))
        if offer.get("following"):
            waits = waited(offer, self.months.periods(month), self.months.jobs > 0)
            states = {state: hours + gpus[0] * waits.get(state, 0.0) for state, hours in states.items()}
        billed, above = self._instance_hours(month, 0), self._instance_hours(month, committed)
        size = offer["gpus_per_instance"]
        usd = self._on_demand_usd(month, committed) * at(self.index, month + 1)
        if offer.get("free"):
            states = {state: 0.0 if state in offer["free"] else hours for state, hours in states.items()}
            billed = above = math.fsum(states.values()) / size
            usd = above * offer["usd_per_instance_hour"][0] * at(self.index, month + 1)
        unused = billed * size - math.fsum(states.values())
        states["unused"] = unused if unused > 1e-12 * billed * size else 0.0
        share = above / billed if billed else 0.0
        usd *= volume_factor(offer, above * size)
        tier = "on demand" if offer["tier"].startswith("reserved") else offer["tier"].replace("_", " ")
        rows = shared(name, tier, usd, {part: h * share for part, h in states.items()}, "by_use")
        below = 0
        for which, agreed in enumerate(offer["commitments"]):
            count, usd = self._running(which, month)
            inside_h = self._instance_hours(month, below) - self._instance_hours(month, below + count)
            inside = {part: h * inside_h / billed if billed else 0.0 for part, h in states.items()}
            inside["unused"] += max(0.0, count * HOURS * size - math.fsum(inside.values()))
            prepaid = self._prepaid(which, month)
            rows += [line | {"prepaid": prepaid} for line in shared(name, self._name(agreed), usd, inside, "committed")]
            below += count
        tokens = math.fsum(
            scale(period, usage) * (pool["output_tokens"] - sum(output for _, output in pool["thrown_tokens"]))
            for period, usage in self.months.periods(month)
            for pool in [pool_of(usage, name)]
        )
        egress = tokens * offer["egress_bytes_per_output_token"] / 1e9 * offer["egress_usd_per_gb"]
        rows.append(row(name, "egress", "output tokens", egress, "by_use"))
        storage = offer["storage_gb"] * offer["storage_usd_per_gb_month"]
        rows.append(row(name, "storage", "volumes", storage, "by_month"))
        return rows

    def left_over(self, month: int) -> list[Row]:
        """Terms that go on where their offer is no longer used."""
        return [
            row(self.offer["pool"], self._name(agreed), "unused", self._running(which, month)[1], "committed")
            for which, agreed in enumerate(self.offer["commitments"])
        ]

    def after_the_study(self) -> list[Row]:
        """A month's share of what terms cost beyond the study."""
        study = self.months.terms["months"]
        rows = []
        for which, agreed in enumerate(self.offer["commitments"]):
            share = math.fsum(
                usd * max(start + length - study, 0.0) / length / study
                for mine, start, length, usd in self.terms_paid()
                if mine == which
            )
            rows.append(row(self.offer["pool"], self._name(agreed), "after the study", share, "committed"))
        return rows

    def _running(self, which: int, month: int) -> tuple[int, float]:
        """Instances of one commitment, and what they cost in a month."""
        length = self.offer["commitments"][which]["term_months"]
        running = [
            (start, count) for number, start, count in self.begun if number == which and start <= month < start + length
        ]
        usd = math.fsum(count * self._term_usd(which, start) / length for start, count in running)
        return sum(count for _, count in running), usd

    def _prepaid(self, which: int, month: int) -> float:
        """Share of what a commitment costs in a month that was paid when its terms began."""
        length = self.offer["commitments"][which]["term_months"]
        parts = [
            (count * self._term_usd(which, start), self.now(start)["commitments"][which]["upfront_share"])
            for number, start, count in self.begun
            if number == which and start <= month < start + length
        ]
        whole = math.fsum(usd for usd, _ in parts)
        return math.fsum(usd * upfront for usd, upfront in parts) / whole if whole else 0.0

    def pay(self, once: dict[float, float], paid: dict[float, float], taxed: Callable[[int], float]) -> None:
        """Terms as they are paid: a part upfront, at once, the rest month by month."""
        study = self.months.terms["months"]
        for number, start, length, bare in self.terms_paid():
            usd = bare * taxed(start)
            upfront = self.now(start)["commitments"][number]["upfront_share"]
            once[float(start)] = once.get(float(start), 0.0) + usd * upfront
            for k in range(length):
                begin, end = float(start + k), float(start + k + 1)
                cuts = sorted({begin, end} | ({study} if begin < study < end else set()))
                for low, high in pairwise(cuts):
                    paid[high] = paid.get(high, 0.0) + usd * (1 - upfront) / length * (high - low)
