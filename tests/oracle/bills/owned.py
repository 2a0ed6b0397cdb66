"""Servers of one's own: bought as they are needed, written off, replaced and sold."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.clock import hour_weights
from bills.months import HOURS, Months, holds, scale
from bills.rows import Row, row, shared


def _worn(chain: list[tuple[int, Row]]) -> int:
    """Month, counted from 0, in which the last server of a place is no more."""
    bought, kind = chain[-1]
    return int(bought + round(12 * kind["life_years"]))


class Owned:
    """The servers with one kind of GPU at one site."""

    def __init__(self, months: Months, site: Row) -> None:
        self.months, self.site, self.kind = months, site, site["server"]
        self.owner = f"{site['site']}/{self.kind['gpu']}"
        self.rate = months.terms["discount_rate_per_year"]
        self.boxes: list[list[tuple[int, Row]]] = []
        self.bought, self.spare = self._servers()

    def _servers(self) -> tuple[list[int], list[int]]:
        site, needed, spare = self.site, [], []
        for month in range(self.months.count):
            if not holds(site, month):
                needed.append(0)
                spare.append(0)
                continue
            used = max(
                (here["used"] for _, usage in self.months.periods(month) for here in self._here(usage)), default=0
            )
            now = self._now(month)
            more = now["spares"]
            if more is None:
                more = math.ceil(used * now["spare_share"] - 1e-9)
            needed.append(used + more)
            spare.append(more)
        self.boxes = self._boxes(needed)
        return [len(self._standing(month)) if holds(site, month) else 0 for month in range(self.months.count)], spare

    def _here(self, usage: Row) -> list[Row]:
        return [
            servers
            for servers in usage["servers"]
            if servers["site"] == self.site["site"] and servers["gpu"] == self.kind["gpu"]
        ]

    def _boxes(self, needed: list[int]) -> list[list[tuple[int, Row]]]:
        """Each place for a server: (month, server) of the first one there and of all that replace it.

        One that is worn out is replaced where fewer than are needed would stand then, the oldest place first.
        """
        places: list[list[tuple[int, Row]]] = []
        for month, count in enumerate(needed):
            if not holds(self.site, month):
                continue
            kind = self._now(month)["server"]
            stand = [chain for chain in places if month < _worn(chain)]
            old = [chain for chain in places if month == _worn(chain)]
            for chain in old[: max(count - len(stand), 0)]:
                chain.append((month, kind))
                stand.append(chain)
            places += [[(month, kind)] for _ in range(count - len(stand))]
        return places

    def _standing(self, month: float) -> list[tuple[int, Row]]:
        """The servers that are there in a month, counted from 0, as they were bought."""
        found = ([one for one in chain if one[0] <= month] for chain in self.boxes)
        return [there[-1] for there in found if there and month < _worn(there)]

    def _yearly(self, kind: Row) -> tuple[float, float]:
        """Share of its price that hardware loses, in today's money, and what each USD of it costs a year."""
        life, rate = kind["life_years"], self.rate
        factor = 1 / life if rate == 0 else rate * (1 + rate) ** life / ((1 + rate) ** life - 1)
        return 1 - kind["residual_share"] / (1 + rate) ** life, factor

    def _now(self, month: int) -> Row:
        """What holds in a month, counted from 0."""
        return [self.site, *(one for one in self.site.get("later", []) if one["span"]["first"] <= month + 1)][-1]

    def lines(self, month: int) -> list[Row]:
        kind, now = self.kind, self._now(month)
        place = now["facility"]
        bought, spare = self.bought[month], self.spare[month]
        hours = self.months.gpu_hours(month, self.site["pools"])
        used = math.fsum(hours.values())
        time = HOURS * self.months.share(month)
        hours["spare"] = spare * kind["gpus"] * time
        hours["unused"] = max(0.0, (bought - spare) * kind["gpus"] * time - used)
        usd = dict.fromkeys(("hardware", "network and storage", "installation", "maintenance"), 0.0)
        for _, box in self._standing(month):
            worth, factor = self._yearly(box)
            network = box["capex_usd"] * box["network_storage_share"]
            usd["hardware"] += box["capex_usd"] * worth * factor / 12
            usd["network and storage"] += network * worth * factor / 12
            usd["installation"] += box["install_usd"] * factor / 12
            usd["maintenance"] += (box["capex_usd"] + network) * now["server"]["maintenance_share_per_year"] / 12
        usd["space"] = bought * kind["reserved_kw"] * place["usd_per_kw_month"]
        usd["facility network"] = place.get("network_usd_per_month", 0.0) if bought else 0.0
        sums = [
            (name, sum_usd, "by_month" if name in ("maintenance", "space", "facility network") else "bought")
            for name, sum_usd in usd.items()
        ]
        rows = []
        for category, usd, paid in sums:
            kind_of = "by_use" if self.months.jobs and paid == "bought" else paid
            rows += shared(self.owner, category, usd * self.months.share(month), hours, kind_of)
        for category, zone, usd_per_kwh in self._by_kwh(month):
            for part, kwh in self._drawn(month, place.get(zone, "")).items():
                usd = math.fsum(kwh[h] * usd_per_kwh[h % len(usd_per_kwh)] for h in range(24)) * place["pue"]
                rows.append(row(self.owner, category, part, usd, "by_use" if part == "gpus" else "by_month"))
        return rows

    def _by_kwh(self, month: int) -> list[tuple[str, str, list[float]]]:
        """What is paid by the kWh, by whose clocks its hours are, and USD by hour of day: electricity, and its CO2."""
        place = self._now(month)["facility"]
        found = [("electricity", "time_zone", place["electricity_usd_per_kwh"])]
        grid = place.get("co2_kg_per_kwh", [])
        if place.get("co2_usd_per_tonne") and grid:
            if len(grid) == 288:
                first = 24 * ((self.months.terms["first_month"] - 1 + month) % 12)
                grid = grid[first : first + 24]
            found.append(("carbon", "grid_zone", [kg / 1000 * place["co2_usd_per_tonne"] for kg in grid]))
        return found

    def _drawn(self, month: int, zone: str) -> dict[str, list[float]]:
        """kWh of GPUs of replicas, other GPUs and hosts by hour of day of a zone, without the building's share."""
        now = self._now(month)
        gpus = [0.0] * 24
        hours = {kind: [0.0] * 24 for kind in ("on", "down", "running", "held_gpu")}
        for period, usage in self.months.periods(month):
            w = scale(period, usage)
            for pool in usage["pools"]:
                if pool["name"] in self.site["pools"]:
                    for hour, joules in enumerate(pool["energy_by_hour_j"]):
                        for of_day, share in hour_weights(usage["when"], hour, zone):
                            gpus[of_day] += w * joules / 3.6e6 * share
            for servers in self._here(usage):
                for kind, by_day in hours.items():
                    for hour, seconds in enumerate(servers[f"{kind}_s_by_hour"]):
                        for of_day, share in hour_weights(usage["when"], hour, zone):
                            by_day[of_day] += w * seconds / 3600.0 * share
        unused, hosts = [], []
        for of_day in range(24):
            on = hours["running"][of_day]
            if not now["off_when_empty"]:
                on = max(on, self.bought[month] * hours["on"][of_day] - hours["down"][of_day])
            hosts.append(on * self.kind["host_kw"])
            free = max(0.0, self.kind["gpus"] * on - hours["held_gpu"][of_day])
            unused.append(free * now["server"]["gpu_idle_kw"])
        return {"gpus": gpus, "unused": unused, "hosts": hosts}

    def sold_early(self) -> Row:
        """What servers lose beyond what was written off: a loan that is paid off at once, less what the sale brings."""
        rate, end = self.rate, self.site["span"]["last"]
        lost = 0.0
        for bought, kind in self._standing(end - 1):
            price = kind["capex_usd"] * (1 + kind["network_storage_share"])
            worth, factor = self._yearly(kind)
            yearly = (price * worth + kind["install_usd"]) * factor
            years = (end - bought) / 12
            interest = years if rate == 0 else ((1 + rate) ** years - 1) / rate
            book = (price + kind["install_usd"]) * (1 + rate) ** years - yearly * interest
            lost += book - price * self._sold_share(kind, end - bought)
        return row(self.owner, "hardware", "sold early", lost, "bought")

    def _sold_share(self, kind: Row, months: float) -> float:
        """What a server of that age is sold for."""
        last = self.site["span"]["last"]
        if last is not None and last < self.months.terms["months"] and self.site["sold_share"] is not None:
            return float(self.site["sold_share"])
        points = [(age, share) for age, share in kind["resale_share_by_age"] if age < kind["life_years"]]
        if not points or points[0][0] > 0:
            points = [(0.0, 1.0), *points]
        points.append((kind["life_years"], kind["residual_share"]))
        age = kind["life_years"] * months / round(kind["life_years"] * 12)
        for (low, high_share), (high, low_share) in pairwise(points):
            if low <= age <= high:
                return float(high_share + (low_share - high_share) * (age - low) / (high - low))
        raise AssertionError(age)

    def pay(self, paid: dict[float, float], at_the_end: bool = True) -> None:
        """Servers as they are bought, replaced at the end of their life, and sold, at the study's end too or not."""
        last, study = self.site["span"]["last"], self.months.terms["months"]
        end = study if last is None else min(float(last), study)
        for chain in self.boxes:
            for k, (bought, kind) in enumerate(chain):
                price = kind["capex_usd"] * (1 + kind["network_storage_share"])
                paid[float(bought)] = paid.get(float(bought), 0.0) + price + kind["install_usd"]
                worn = float(_worn(chain[: k + 1]))
                gone, share = worn, kind["residual_share"]
                if worn >= end:
                    gone, share = end, self._sold_share(kind, end - bought)
                if gone < study or at_the_end:
                    paid[gone] = paid.get(gone, 0.0) - price * share
