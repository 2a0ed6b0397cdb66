"""Servers of one's own: bought as they are needed, written off, replaced and sold."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.clock import price_of_hour
from bills.months import HOURS, Months, holds, scale
from bills.rows import Row, row, shared


class Owned:
    """The servers with one kind of GPU at one site."""

    def __init__(self, months: Months, site: Row) -> None:
        self.months, self.site, self.kind = months, site, site["server"]
        self.owner = f"{site['site']}/{self.kind['gpu']}"
        self.rate = months.terms["discount_rate_per_year"]
        self.bought, self.spare = self._servers()

    def _servers(self) -> tuple[list[int], list[int]]:
        site, bought, spare, most = self.site, [], [], 0
        for month in range(self.months.count):
            if not holds(site, month):
                bought.append(0)
                spare.append(0)
                continue
            used = max(
                (here["used"] for _, usage in self.months.periods(month) for here in self._here(usage)), default=0
            )
            now = self._now(month)
            more = now["spares"]
            if more is None:
                more = math.ceil(used * now["spare_share"] - 1e-9)
            most = max(most, used + more)
            bought.append(most)
            spare.append(more)
        return bought, spare

    def _here(self, usage: Row) -> list[Row]:
        return [
            servers
            for servers in usage["servers"]
            if servers["site"] == self.site["site"] and servers["gpu"] == self.kind["gpu"]
        ]

    def _yearly(self) -> tuple[float, float]:
        """Share of its price that hardware loses, in today's money, and what each USD of it costs a year."""
        life, rate = self.kind["life_years"], self.rate
        factor = 1 / life if rate == 0 else rate * (1 + rate) ** life / ((1 + rate) ** life - 1)
        return 1 - self.kind["residual_share"] / (1 + rate) ** life, factor

    def _now(self, month: int) -> Row:
        """What holds in a month, counted from 0."""
        return [self.site, *(one for one in self.site.get("later", []) if one["span"]["first"] <= month + 1)][-1]

    def lines(self, month: int) -> list[Row]:
        kind, place = self.kind, self._now(month)["facility"]
        bought, spare = self.bought[month], self.spare[month]
        hours = self.months.gpu_hours(month, self.site["pools"])
        used = math.fsum(hours.values())
        time = HOURS * self.months.share(month)
        hours["spare"] = spare * kind["gpus"] * time
        hours["unused"] = max(0.0, (bought - spare) * kind["gpus"] * time - used)
        worth, factor = self._yearly()
        capex = bought * kind["capex_usd"]
        network = capex * kind["network_storage_share"]
        sums = [
            ("hardware", capex * worth * factor / 12, "bought"),
            ("network and storage", network * worth * factor / 12, "bought"),
            ("installation", bought * kind["install_usd"] * factor / 12, "bought"),
            ("maintenance", (capex + network) * kind["maintenance_share_per_year"] / 12, "by_month"),
            ("space", bought * kind["reserved_kw"] * place["usd_per_kw_month"], "by_month"),
        ]
        rows = []
        for category, usd, paid in sums:
            kind_of = "by_use" if self.months.jobs and paid == "bought" else paid
            rows += shared(self.owner, category, usd * self.months.share(month), hours, kind_of)
        gpus, hosts = self._electricity(month)
        rows.append(row(self.owner, "electricity", "gpus", gpus * place["pue"], "by_use"))
        rows.append(row(self.owner, "electricity", "hosts", hosts * place["pue"], "by_month"))
        return rows

    def _electricity(self, month: int) -> tuple[float, float]:
        """USD for what GPUs and hosts draw, without the building's share."""
        gpus = hosts = 0.0
        prices, zone = (self._now(month)["facility"][key] for key in ("electricity_usd_per_kwh", "time_zone"))
        for period, usage in self.months.periods(month):
            w = scale(period, usage)
            for pool in usage["pools"]:
                if pool["name"] in self.site["pools"]:
                    for hour, joules in enumerate(pool["energy_by_hour_j"]):
                        gpus += w * joules / 3.6e6 * price_of_hour(prices, usage, hour, zone)
            for servers in self._here(usage):
                for hour, seconds in enumerate(servers["powered_s_by_hour"]):
                    hosts += w * seconds / 3600.0 * self.kind["host_kw"] * price_of_hour(prices, usage, hour, zone)
        return gpus, hosts

    def sold_early(self) -> Row:
        """What servers lose beyond what was written off: a loan that is paid off at once, less what the sale brings."""
        kind, rate, end = self.kind, self.rate, self.site["span"]["last"]
        price = kind["capex_usd"] * (1 + kind["network_storage_share"])
        worth, factor = self._yearly()
        yearly = (price * worth + kind["install_usd"]) * factor
        lost, there = 0.0, 0
        for start, count in enumerate(self.bought):
            if count > there:
                months = (end - start - 1) % round(12 * kind["life_years"]) + 1
                years = months / 12
                interest = years if rate == 0 else ((1 + rate) ** years - 1) / rate
                book = (price + kind["install_usd"]) * (1 + rate) ** years - yearly * interest
                lost += (count - there) * (book - price * self._sold_share(months))
            there = count
        return row(self.owner, "hardware", "sold early", lost, "bought")

    def _sold_share(self, months: float) -> float:
        """What a server of that age is sold for."""
        kind, last = self.kind, self.site["span"]["last"]
        if last is not None and last < self.months.terms["months"] and self.site["sold_share"] is not None:
            return float(self.site["sold_share"])
        points = [(0.0, 1.0)]
        points += [(age, share) for age, share in kind["resale_share_by_age"] if age < kind["life_years"]]
        points.append((kind["life_years"], kind["residual_share"]))
        age = kind["life_years"] * months / round(kind["life_years"] * 12)
        for (low, high_share), (high, low_share) in pairwise(points):
            if low <= age <= high:
                return float(high_share + (low_share - high_share) * (age - low) / (high - low))
        raise AssertionError(age)

    def pay(self, paid: dict[float, float]) -> None:
        """Servers as they are bought, replaced at the end of their life, and sold."""
        there = 0
        for month, count in enumerate(self.bought):
            if count > there:
                self._pay_for(paid, month, count - there)
            there = count

    def _pay_for(self, paid: dict[float, float], start: int, count: int) -> None:
        kind, last, study = self.kind, self.site["span"]["last"], self.months.terms["months"]
        end = study if last is None else min(float(last), study)
        price = count * kind["capex_usd"] * (1 + kind["network_storage_share"])
        install, life = count * kind["install_usd"], round(kind["life_years"] * 12)
        bought = start
        paid[float(start)] = paid.get(float(start), 0.0) + price + install
        while bought + life < end:
            bought += life
            swap = price * (1 - kind["residual_share"]) + install
            paid[float(bought)] = paid.get(float(bought), 0.0) + swap
        paid[end] = paid.get(end, 0.0) - price * self._sold_share(end - bought)
