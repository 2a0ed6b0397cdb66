"""A topology's bill, worked out month by month."""

from __future__ import annotations

import math

from bills.api import api_lines
from bills.credits import credit
from bills.months import Months, holds, pool_of, scale
from bills.owned import Owned
from bills.rented import Rented
from bills.rows import Row, at, row
from bills.units import Units

TAX_PARTS = {
    "bought": "on what is bought",
    "committed": "on commitments",
    "by_month": "by month",
    "by_use": "by use",
}


def is_taxed(tax: Row, category: str) -> bool:
    named = tax["categories"]
    if category in ("network and storage", "installation"):
        category = "hardware"
    if category.startswith("committed") and category.endswith(("month", "months")):
        category = "committed"
    return not named or category in named


class Study:
    """What a topology used in the months of a study, at what was agreed."""

    def __init__(self, usage: Row, terms: Row) -> None:
        self.terms = terms
        self.months = Months(usage, terms)
        self.owned = [Owned(self.months, site) for site in terms["owned"]]
        self.rented = [Rented(self.months, offer) for offer in terms["rented"]]
        self.units = [Units(self.months, name) for name in dict.fromkeys(api["provider"] for api in terms["apis"])]

    def lines(self, month: int) -> list[Row]:
        rows: list[Row] = []
        for owned in self.owned:
            if holds(owned.site, month):
                rows += at(owned.site, owned.lines(month))
        for rented in self.rented:
            found = rented.lines(month) if holds(rented.offer, month) else rented.left_over(month)
            rows += at(rented.offer, found)
        for api in self.terms["apis"]:
            if holds(api, month):
                rows += at(api, api_lines(self.months, api, month))
        for units in self.units:
            rows += [line | {"site": units.site} for line in units.lines(month)]
        agreed = [(one["pool"], rented.now(month)) for rented in self.rented if holds(one := rented.offer, month)]
        agreed += [(api["provider"], api) for api in self.terms["apis"] if holds(api, month)]
        for owner, one in agreed:
            spent = math.fsum(line["usd"] for line in rows if line["owner"] == owner)
            lacks = max(0.0, one.get("minimum_usd_per_month", 0.0) - spent)
            rows += at(one, [row(owner, "minimum spend", "unused", lacks, "by_month")])
        for owner, one in agreed:
            rows += at(one, [credit(self.months, owner, one, month, rows)])
        rows += self._people_and_fees(month)
        for rented in self.rented:
            rows += at(rented.offer, rented.after_the_study())
        for units in self.units:
            rows += [line | {"site": units.site} for line in units.after_the_study()]
        for owned in self.owned:
            if owned.site["span"]["last"] == month:
                rows += at(owned.site, [owned.sold_early()])
        rows = [line for line in rows if line["usd"] != 0]
        whole = math.fsum(line["usd"] for line in rows)
        for fee in (one for one in self.terms["fees"] if holds(one, month)):
            usd = whole * fee["share_of_bill"]
            if usd:
                rows.append(row(self.terms["topology"], fee["name"], "share of the bill", usd, "by_use"))
        return rows + self._taxes(month, rows)

    def _taxes(self, month: int, rows: list[Row]) -> list[Row]:
        owner, found = self.terms["topology"], []
        for tax in self.terms.get("taxes", []):
            for kind, part in TAX_PARTS.items():
                on = [line["usd"] for line in rows if line["kind"] == kind and is_taxed(tax, line["category"])]
                if holds(tax, month) and math.fsum(on):
                    found.append(row(owner, tax["name"], part, tax["share"] * math.fsum(on), kind))
        return found

    def _taxed(self, category: str, month: int) -> float:
        """What a payment of a category that is made in a month comes to."""
        last = min(month, self.months.count - 1)
        taxes = [tax for tax in self.terms.get("taxes", []) if holds(tax, last) and is_taxed(tax, category)]
        return 1 + sum(tax["share"] for tax in taxes)

    def _people_and_fees(self, month: int) -> list[Row]:
        owner = self.terms["topology"]
        periods = self.months.periods(month)
        replicas = sum(
            max(pool_of(usage, pool["name"])["peak_replicas"] for _, usage in periods)
            for pool in periods[0][1]["pools"]
        )
        gpus = sum(
            max(pool_of(usage, pool["name"])["peak_replicas"] for _, usage in periods) * pool["gpus_per_replica"]
            for pool in periods[0][1]["pools"]
        )
        servers = sum(owned.bought[month] for owned in self.owned)
        rows = []
        for staff in (one for one in self.terms["staff"] if holds(one, month)):
            monthly = staff["usd_per_fte_year"] / 12 * (self.months.share(month) if self.owned else 1.0)
            rows.append(row(owner, "staff", "base", staff["base_fte"] * monthly, "by_month"))
            rows.append(row(owner, "staff", "servers", staff["fte_per_server"] * servers * monthly, "by_month"))
            rows.append(row(owner, "staff", "replicas", staff["fte_per_replica"] * replicas * monthly, "by_month"))
        for fee in self.terms["fees"]:
            rows.append(row(owner, fee["name"], "once", fee["usd_once"] / self.terms["months"], "bought"))
            if holds(fee, month):
                rows.append(row(owner, fee["name"], "by month", fee["usd_per_month"], "by_month"))
                rows.append(row(owner, fee["name"], "by replica", fee["usd_per_replica_month"] * replicas, "by_month"))
                rows.append(row(owner, fee["name"], "by GPU", fee.get("usd_per_gpu_month", 0.0) * gpus, "by_month"))
                by_request = fee.get("usd_per_million_requests", 0.0) / 1e6 * self._requests(fee, month)
                rows.append(row(owner, fee["name"], "by request", by_request, "by_use"))
        return rows

    def _requests(self, fee: Row, month: int) -> float:
        return math.fsum(
            scale(period, usage) * count
            for period, usage in self.months.periods(month)
            for number, count in enumerate(usage["requests"])
            if not fee.get("classes") or number in fee["classes"]
        )

    def mean_lines(self) -> list[Row]:
        """Mean of the months, by their length."""
        found: dict[tuple[str, ...], Row] = {}
        for month, length in enumerate(self.months.lengths):
            for line in self.lines(month):
                key = (line["owner"], line["category"], line["part"], line["site"])
                mean = found.setdefault(key, line | {"usd": 0.0})
                mean["usd"] += line["usd"] * length / self.terms["months"]
        return list(found.values())

    def flows(self, at_the_end: bool = True) -> tuple[dict[float, float], dict[float, float]]:
        """USD that is paid at once, and that accrued over the time since the last such, by time in months.

        Parameters
        ----------
        at_the_end : with what hardware is sold for when the study ends
        """
        once: dict[float, float] = {0.0: 0.0}
        for fee in self.terms["fees"]:
            when = float(fee["span"]["first"] - 1)
            once[when] = once.get(when, 0.0) + fee["usd_once"] * self._taxed(fee["name"], fee["span"]["first"] - 1)
        clock, paid = 0.0, dict[float, float]()
        for month, length in enumerate(self.months.lengths):
            clock += length
            running = math.fsum(line["usd"] for line in self.lines(month) if line["kind"] in ("by_month", "by_use"))
            paid[clock] = paid.get(clock, 0.0) + running * length
        for rented in self.rented:
            rented.pay(once, paid, lambda month: self._taxed("committed", month))
        for units in self.units:
            units.pay(once, paid, lambda month: self._taxed("committed throughput", month))
        for owned in [] if self.months.jobs else self.owned:
            bare: dict[float, float] = {}
            owned.pay(bare, at_the_end)
            for when, usd in bare.items():
                once[when] = once.get(when, 0.0) + usd * self._taxed("hardware", int(when))
        return once, paid

    def payments(self) -> dict[float, float]:
        """USD paid by time in months."""
        paid: dict[float, float] = {}
        for flow in self.flows():
            for when, usd in flow.items():
                paid[when] = paid.get(when, 0.0) + usd
        return dict(sorted(paid.items()))

    def npv(self) -> float:
        rate = self.terms["discount_rate_per_year"]
        return math.fsum(usd / (1 + rate) ** (time / 12) for time, usd in self.payments().items())
