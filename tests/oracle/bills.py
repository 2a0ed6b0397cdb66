"""The bill again, by hand: plain Python that knows nothing of the product.

Reads what was used and what was agreed (`usage.json`, `terms.json` of a bundle) and prints the lines of the mean month
in whole cents, the payments and their present value:

    python tests/oracle/bills.py usage.json terms.json [TOPOLOGY]
"""

from __future__ import annotations

import json
import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

HOURS = 730.0
STATES = ("busy", "idle", "starting", "down")
KINDS = ("input", "cached input", "cache write", "output")
PRICE_OF = {"input": "input", "cached input": "cached_input", "cache write": "cache_write", "output": "output"}

Row = dict[str, Any]


def at(table: list[float], month: int) -> float:
    """Multiple of today's price in a month; a table of one month is for all."""
    return table[month] if month < len(table) else table[-1]


def hour_weights(when: Row, hour: int) -> list[tuple[int, float]]:
    """Hours of the local day that a simulated hour falls in, with its share in each."""
    spread = when["spread"]
    if spread:
        return [(h, spread[h] / sum(spread)) for h in range(24)]
    cuts = [hour * 3600.0, *(s for s, _ in when["changes"] if hour * 3600.0 < s < (hour + 1) * 3600.0)]
    found = []
    for begin, end in pairwise([*cuts, (hour + 1) * 3600.0]):
        local = when["start_hour"] + hour + sum(forward for s, forward in when["changes"] if s <= begin)
        low, part = math.floor(local), (end - begin) / 3600.0
        found += [(low % 24, part * (low + 1 - local)), ((low + 1) % 24, part * (local - low))]
    return found


def price_of_hour(prices: list[float], usage: Row, hour: int) -> float:
    """Price in a simulated hour."""
    if len(prices) == 1:
        return prices[0]
    return sum(prices[h] * share for h, share in hour_weights(usage["when"], hour))


def dearness(api: Row, when: Row, hour: int) -> float:
    """Factor on the price of a call made in an hour of the day, UTC."""
    factors = api["factor_by_hour"]
    if not when["spread"]:
        return factors[hour]
    whole = sum(when["spread"])
    mean = 0.0
    for local, hours in enumerate(when["spread"]):
        utc = local - when["ahead_h"]
        low = math.floor(utc)
        mean += hours / whole * (factors[low % 24] * (low + 1 - utc) + factors[(low + 1) % 24] * (utc - low))
    return mean


def holds(agreed: Row, month: int) -> bool:
    """Whether what is agreed holds in a month, counted from 0."""
    first, last = agreed["span"]["first"], agreed["span"]["last"]
    return first <= month + 1 and (last is None or month < last)


def scale(period: Row, usage: Row) -> float:
    """From simulated time to what it stands for."""
    return period["hours"] / ((usage["end_s"] - usage["start_s"]) / 3600.0)


def rentals(pool: Row, offer: Row, usage: Row, is_job: bool = False) -> list[tuple[float, float]]:
    """When each instance is paid for."""
    by_server: dict[int, list[list[float]]] = {}
    for stay in sorted(pool["stays"], key=lambda item: item["start_s"]):
        if stay["end_s"] <= stay["start_s"]:
            continue
        mine = by_server.setdefault(stay["server"], [])
        if mine and stay["start_s"] <= mine[-1][1]:
            mine[-1][1] = max(mine[-1][1], stay["end_s"])
        else:
            mine.append([stay["start_s"], stay["end_s"]])
    paid = []
    for begin, end in (span for spans in by_server.values() for span in spans):
        seconds = end - begin
        if is_job or (begin > usage["start_s"] and end < usage["end_s"]):
            seconds = max(seconds, offer["minimum_s"])
            if offer["granularity_s"]:
                seconds = math.ceil((seconds - 1e-6) / offer["granularity_s"]) * offer["granularity_s"]
        paid.append((begin, begin + seconds))
    return paid


def pieces(spans: list[tuple[float, float]]) -> list[tuple[int, float, int]]:
    """(simulated hour, hours, instances paid for at once) of each piece of time in which nothing changes."""
    if not spans:
        return []
    last = max(end for _, end in spans)
    cuts = {edge for span in spans for edge in span} | {3600.0 * k for k in range(math.ceil(last / 3600.0) + 1)}
    edges = sorted(edge for edge in cuts if edge <= last)
    starts, ends = sorted(begin for begin, _ in spans), sorted(end for _, end in spans)
    found, begun, over = [], 0, 0
    for begin, end in pairwise(edges):
        while begun < len(starts) and starts[begun] <= begin:
            begun += 1
        while over < len(ends) and ends[over] <= begin:
            over += 1
        if begun > over:
            found.append((int(begin // 3600.0), (end - begin) / 3600.0, begun - over))
    return found


class Study:
    """A topology's bill, worked out month by month."""

    def __init__(self, usage: Row, terms: Row) -> None:
        self.terms = terms
        self.usages = usage["usages"]
        self.jobs = terms["jobs_per_month"]
        self.months = usage["months"]
        count = math.ceil(terms["months"])
        assert len(self.months) == count
        self.lengths = [1.0] * (count - 1) + [terms["months"] - (count - 1)]
        self.bought, self.spare = self._servers()
        self.begun = [self._begun(offer) for offer in terms["rented"]]

    def periods(self, month: int) -> list[tuple[Row, Row]]:
        rows = [(period, self.usages[period["usage"]]) for period in self.months[month]]
        if not self.jobs:
            return rows
        return [
            (
                period | {"hours": period["hours"] / HOURS * self.jobs * (usage["end_s"] - usage["start_s"]) / 3600.0},
                usage,
            )
            for period, usage in rows
        ]

    def share(self, month: int) -> float:
        """Of a month that owned servers are paid for."""
        return math.fsum(period["hours"] for period, _ in self.periods(month)) / HOURS if self.jobs else 1.0

    def pool(self, usage: Row, name: str) -> Row:
        return next(pool for pool in usage["pools"] if pool["name"] == name)

    def _servers(self) -> tuple[list[list[int]], list[list[int]]]:
        bought, spare = [], []
        for site in self.terms["owned"]:
            rows, extra, most = [], [], 0
            for month in range(len(self.months)):
                if not holds(site, month):
                    rows.append(0)
                    extra.append(0)
                    continue
                used = 0
                for _, usage in self.periods(month):
                    for servers in usage["servers"]:
                        if servers["site"] == site["site"] and servers["gpu"] == site["server"]["gpu"]:
                            used = max(used, servers["used"])
                more = site["spares"]
                if more is None:
                    more = math.ceil(used * site["spare_share"] - 1e-9)
                most = max(most, used + more)
                rows.append(most)
                extra.append(more)
            bought.append(rows)
            spare.append(extra)
        return bought, spare

    def _on_demand_usd(self, offer: Row, month: int, first: int, last: int | None = None) -> float:
        """Instances number first + 1 and above (up to `last`) at the price of their hour, in today's prices."""
        usd = 0.0
        for period, usage in self.periods(month):
            spans = rentals(self.pool(usage, offer["pool"]), offer, usage, self.jobs > 0)
            for hour, hours, count in pieces(spans):
                above = max(0, min(count, last if last is not None else count) - first)
                price = price_of_hour(offer["usd_per_instance_hour"], usage, hour)
                usd += scale(period, usage) * hours * above * price
        return usd

    def _instance_hours(self, offer: Row, month: int, first: int) -> float:
        return math.fsum(
            scale(period, usage) * hours * max(0, count - first)
            for period, usage in self.periods(month)
            for _, hours, count in pieces(rentals(self.pool(usage, offer["pool"]), offer, usage, self.jobs > 0))
        )

    def _span(self, offer: Row) -> tuple[int, int]:
        return offer["span"]["first"] - 1, min(offer["span"]["last"] or len(self.months), len(self.months))

    def _begun(self, offer: Row) -> list[tuple[int, int, int]]:
        """(which commitment, month after which a term begins, instances)."""
        begin, end = self._span(offer)
        begun = []
        for number, agreed in enumerate(offer["commitments"]):
            if agreed["begins"] is not None:
                begun += [(number, start, count) for start, count in agreed["begins"] if count]
            elif agreed["instances"]:
                begun += [(number, start, agreed["instances"]) for start in range(begin, end, agreed["term_months"])]
        open_ = [
            number
            for number, agreed in enumerate(offer["commitments"])
            if agreed["begins"] is None and agreed["instances"] is None
        ]
        given, level = list(begun), 0
        while open_:
            chosen = self._worth_it(offer, open_, given, level)
            if not chosen:
                break
            begun += [(number, start, 1) for number, start in chosen]
            level += 1
        return begun

    def _held(self, offer: Row, begun: list[tuple[int, int, int]], month: int) -> int:
        """Instances under commitment in a month."""
        lengths = [agreed["term_months"] for agreed in offer["commitments"]]
        return sum(count for number, start, count in begun if start <= month < start + lengths[number])

    def _worth_it(
        self, offer: Row, open_: list[int], given: list[tuple[int, int, int]], level: int
    ) -> list[tuple[int, int]]:
        """Terms of one more instance, tried month by month from the first on."""
        begin, end = self._span(offer)
        if begin >= end:
            return []
        index = self.terms["rental_index"]
        known: dict[int, tuple[float, list[tuple[int, int]]]] = {end: (0.0, [])}

        def best(month: int) -> tuple[float, list[tuple[int, int]]]:
            if month not in known:
                nth = self._held(offer, given, month) + level
                rent = self._on_demand_usd(offer, month, nth, nth + 1) * at(index, month + 1) * self.lengths[month]
                usd, terms = best(month + 1)
                found = rent + usd, terms
                for number in open_:
                    agreed = offer["commitments"][number]
                    hours = HOURS * agreed["term_months"]
                    usd, terms = best(min(month + agreed["term_months"], end))
                    usd += hours * agreed["usd_per_instance_hour"] * at(index, month)
                    if usd < found[0] * (1 - 1e-9):
                        found = usd, [(number, month), *terms]
                known[month] = found
            return known[month]

        return best(begin)[1] if begin < end else []

    def terms_paid(self) -> list[tuple[Row, int, int, int, float]]:
        """(offer, which commitment, first month, months, USD) of each term of a commitment."""
        return [
            (
                offer,
                number,
                start,
                offer["commitments"][number]["term_months"],
                count
                * HOURS
                * offer["commitments"][number]["term_months"]
                * offer["commitments"][number]["usd_per_instance_hour"]
                * at(self.terms["rental_index"], start),
            )
            for offer, begun in zip(self.terms["rented"], self.begun, strict=True)
            for number, start, count in begun
        ]

    def _name(self, offer: Row, number: int) -> str:
        one = len(offer["commitments"]) == 1
        return "committed" if one else f"committed {offer['commitments'][number]['term_months']} months"

    def lines(self, month: int) -> list[Row]:
        rows: list[Row] = []
        for number, site in enumerate(self.terms["owned"]):
            if holds(site, month):
                rows += self._owned(number, month)
        for number, offer in enumerate(self.terms["rented"]):
            if holds(offer, month):
                rows += self._rented(number, month)
            else:
                rows += self._left_over(number, month)
        for api in self.terms["apis"]:
            if holds(api, month):
                rows += self._api(api, month)
        rows += self._people_and_fees(month)
        for offer in self.terms["rented"]:
            for number in range(len(offer["commitments"])):
                share = math.fsum(
                    usd * max(start + length - self.terms["months"], 0.0) / length / self.terms["months"]
                    for of, which, start, length, usd in self.terms_paid()
                    if of is offer and which == number
                )
                rows.append(row(offer["pool"], self._name(offer, number), "after the study", share, "committed"))
        for number, site in enumerate(self.terms["owned"]):
            if site["span"]["last"] == month:
                rows.append(self._sold_early(number))
        rows = [line for line in rows if line["usd"] != 0]
        whole = math.fsum(line["usd"] for line in rows)
        for fee in self.terms["fees"]:
            usd = whole * fee["share_of_bill"]
            if usd:
                rows.append(row(self.terms["topology"], fee["name"], "share of the bill", usd, "by_use"))
        return rows

    def _gpu_hours(self, month: int, names: list[str]) -> dict[str, float]:
        return {
            state: math.fsum(
                scale(period, usage) * pool[f"{state}_s"] * pool["gpus_per_replica"] / 3600.0
                for period, usage in self.periods(month)
                for pool in usage["pools"]
                if pool["name"] in names
            )
            for state in STATES
        }

    def _owned(self, number: int, month: int) -> list[Row]:
        site = self.terms["owned"][number]
        kind, place, rate = site["server"], site["facility"], self.terms["discount_rate_per_year"]
        bought, spare = self.bought[number][month], self.spare[number][month]
        owner = f"{site['site']}/{kind['gpu']}"
        hours = self._gpu_hours(month, site["pools"])
        used = math.fsum(hours.values())
        time = HOURS * self.share(month)
        hours["spare"] = spare * kind["gpus"] * time
        hours["unused"] = max(0.0, (bought - spare) * kind["gpus"] * time - used)
        life = kind["life_years"]
        factor = 1 / life if rate == 0 else rate * (1 + rate) ** life / ((1 + rate) ** life - 1)
        worth = 1 - kind["residual_share"] / (1 + rate) ** life
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
            kind_of = "by_use" if self.jobs and paid == "bought" else paid
            rows += shared(owner, category, usd * self.share(month), hours, kind_of)
        gpus = hosts = 0.0
        for period, usage in self.periods(month):
            w = scale(period, usage)
            for pool in usage["pools"]:
                if pool["name"] in site["pools"]:
                    for hour, joules in enumerate(pool["energy_by_hour_j"]):
                        price = price_of_hour(place["electricity_usd_per_kwh"], usage, hour)
                        gpus += w * joules / 3.6e6 * price
            for servers in usage["servers"]:
                if servers["site"] == site["site"] and servers["gpu"] == kind["gpu"]:
                    for hour, seconds in enumerate(servers["powered_s_by_hour"]):
                        price = price_of_hour(place["electricity_usd_per_kwh"], usage, hour)
                        hosts += w * seconds / 3600.0 * kind["host_kw"] * price
        rows.append(row(owner, "electricity", "gpus", gpus * place["pue"], "by_use"))
        rows.append(row(owner, "electricity", "hosts", hosts * place["pue"], "by_month"))
        return rows

    def _rented(self, number: int, month: int) -> list[Row]:
        offer = self.terms["rented"][number]
        committed = self._held(offer, self.begun[number], month)
        index, size, name = self.terms["rental_index"], offer["gpus_per_instance"], offer["pool"]
        states = self._gpu_hours(month, [name])
        billed, above = self._instance_hours(offer, month, 0), self._instance_hours(offer, month, committed)
        states["unused"] = max(0.0, billed * size - math.fsum(states.values()))
        share = above / billed if billed else 0.0
        usd = self._on_demand_usd(offer, month, committed) * at(index, month + 1)
        tier = "on demand" if offer["tier"].startswith("reserved") else offer["tier"].replace("_", " ")
        rows = shared(name, tier, usd, {part: h * share for part, h in states.items()}, "by_use")
        below = 0
        for which in range(len(offer["commitments"])):
            count, usd = self._running(number, which, month)
            inside_h = self._instance_hours(offer, month, below) - self._instance_hours(offer, month, below + count)
            inside = {part: h * inside_h / billed if billed else 0.0 for part, h in states.items()}
            inside["unused"] += max(0.0, count * HOURS * size - math.fsum(inside.values()))
            rows += shared(name, self._name(offer, which), usd, inside, "committed")
            below += count
        tokens = math.fsum(
            scale(period, usage) * (pool["output_tokens"] - sum(output for _, output in pool["thrown_tokens"]))
            for period, usage in self.periods(month)
            for pool in [self.pool(usage, name)]
        )
        egress = tokens * offer["egress_bytes_per_output_token"] / 1e9 * offer["egress_usd_per_gb"]
        rows.append(row(name, "egress", "output tokens", egress, "by_use"))
        storage = offer["storage_gb"] * offer["storage_usd_per_gb_month"]
        rows.append(row(name, "storage", "volumes", storage, "by_month"))
        return rows

    def _left_over(self, number: int, month: int) -> list[Row]:
        """A term that goes on where its offer is no longer used."""
        offer = self.terms["rented"][number]
        return [
            row(offer["pool"], self._name(offer, which), "unused", self._running(number, which, month)[1], "committed")
            for which in range(len(offer["commitments"]))
        ]

    def _running(self, number: int, which: int, month: int) -> tuple[int, float]:
        """Instances of one commitment, and what they cost in a month."""
        agreed = self.terms["rented"][number]["commitments"][which]
        running = [
            (start, count)
            for of, start, count in self.begun[number]
            if of == which and start <= month < start + agreed["term_months"]
        ]
        usd = math.fsum(
            count * HOURS * agreed["usd_per_instance_hour"] * at(self.terms["rental_index"], start)
            for start, count in running
        )
        return sum(count for _, count in running), usd

    def _sold_early(self, number: int) -> Row:
        """What servers lose beyond what was written off: a loan that is paid off at once, less what the sale brings."""
        site, rate = self.terms["owned"][number], self.terms["discount_rate_per_year"]
        kind, end = site["server"], site["span"]["last"]
        price = kind["capex_usd"] * (1 + kind["network_storage_share"])
        life = kind["life_years"]
        worth = 1 - kind["residual_share"] / (1 + rate) ** life
        factor = 1 / life if rate == 0 else rate * (1 + rate) ** life / ((1 + rate) ** life - 1)
        yearly = (price * worth + kind["install_usd"]) * factor
        lost, there = 0.0, 0
        for start, count in enumerate(self.bought[number]):
            if count > there:
                months = (end - start - 1) % round(12 * life) + 1
                years = months / 12
                interest = years if rate == 0 else ((1 + rate) ** years - 1) / rate
                book = (price + kind["install_usd"]) * (1 + rate) ** years - yearly * interest
                lost += (count - there) * (book - price * self._sold_share(site, months))
            there = count
        return row(f"{site['site']}/{kind['gpu']}", "hardware", "sold early", lost, "bought")

    def _sold_share(self, site: Row, months: float) -> float:
        """What a server of that age is sold for."""
        kind, last = site["server"], site["span"]["last"]
        if last is not None and last < self.terms["months"] and site["sold_share"] is not None:
            return float(site["sold_share"])
        points = [(0.0, 1.0)]
        points += [(age, share) for age, share in kind["resale_share_by_age"] if age < kind["life_years"]]
        points.append((kind["life_years"], kind["residual_share"]))
        age = kind["life_years"] * months / round(kind["life_years"] * 12)
        for (low, high_share), (high, low_share) in pairwise(points):
            if low <= age <= high:
                return float(high_share + (low_share - high_share) * (age - low) / (high - low))
        raise AssertionError(age)

    def _api(self, api: Row, month: int) -> list[Row]:
        index = at(self.terms["token_index"], month + 1)
        names = api["tier_by_class"]
        lists = {"": api["prices"]} | {tier["name"]: tier["prices"] for tier in api["tiers"]}
        sums: dict[tuple[str, str], float] = {}
        failed = 0.0
        for name in dict.fromkeys(names):
            for kind in KINDS:
                sums[name, kind] = 0.0
        for period, usage in self.periods(month):
            provider = next(item for item in usage["providers"] if item["name"] == api["provider"])
            rates = [1.0]
            answered, lost = [provider["tokens"]], [provider["failed_tokens"]]
            if api["factor_by_hour"]:
                rates = [dearness(api, usage["when"], hour) for hour in range(24)]
                answered, lost = provider["tokens_by_hour"], provider["failed_tokens_by_hour"]
            for hour, rate in enumerate(rates):
                for c, name in enumerate(names):
                    for band, prices in enumerate(lists[name]):
                        for k, kind in enumerate(KINDS):
                            usd = scale(period, usage) * prices[PRICE_OF[kind]] / 1e6 * rate * index
                            sums[name, kind] += answered[hour][c][band][k] * usd
                            if api["bills_failed"]:
                                failed += lost[hour][c][band][k] * usd
        owner = api["provider"]
        rows = [row(owner, f"{name} tokens".strip(), kind, usd, "by_use") for (name, kind), usd in sums.items()]
        rows.append(row(owner, "failed calls", "tokens", failed, "by_use"))
        premium = (math.fsum(sums.values()) + failed) * api["residency_premium"]
        units = api["provisioned_units"] * HOURS * api["usd_per_unit_hour"]
        return [
            *rows,
            row(owner, "residency", "premium", premium, "by_use"),
            row(owner, "provisioned throughput", "units", units, "by_month"),
            row(owner, "flat fee", "month", api["fixed_usd_per_month"], "by_month"),
        ]

    def _people_and_fees(self, month: int) -> list[Row]:
        owner, staff = self.terms["topology"], self.terms["staff"]
        first = self.periods(month)[0][1]
        replicas = sum(
            max(self.pool(usage, pool["name"])["peak_replicas"] for _, usage in self.periods(month))
            for pool in first["pools"]
        )
        servers = sum(rows[month] for rows in self.bought)
        rows = []
        if staff and holds(staff, month):
            monthly = staff["usd_per_fte_year"] / 12 * (self.share(month) if self.terms["owned"] else 1.0)
            rows.append(row(owner, "staff", "base", staff["base_fte"] * monthly, "by_month"))
            rows.append(row(owner, "staff", "servers", staff["fte_per_server"] * servers * monthly, "by_month"))
            rows.append(row(owner, "staff", "replicas", staff["fte_per_replica"] * replicas * monthly, "by_month"))
        for fee in self.terms["fees"]:
            rows.append(row(owner, fee["name"], "once", fee["usd_once"] / self.terms["months"], "bought"))
            rows.append(row(owner, fee["name"], "by month", fee["usd_per_month"], "by_month"))
            rows.append(row(owner, fee["name"], "by replica", fee["usd_per_replica_month"] * replicas, "by_month"))
        return rows

    def mean_lines(self) -> list[Row]:
        """Mean of the months, by their length."""
        found: dict[tuple[str, str, str], Row] = {}
        for month, length in enumerate(self.lengths):
            for line in self.lines(month):
                key = (line["owner"], line["category"], line["part"])
                mean = found.setdefault(key, line | {"usd": 0.0})
                mean["usd"] += line["usd"] * length / self.terms["months"]
        return list(found.values())

    def payments(self) -> dict[float, float]:
        """USD paid by time in months."""
        study = self.terms["months"]
        paid = {0.0: 0.0}
        for fee in self.terms["fees"]:
            when = float(fee["after_months"])
            paid[when] = paid.get(when, 0.0) + fee["usd_once"]
        clock = 0.0
        for month, length in enumerate(self.lengths):
            clock += length
            running = math.fsum(line["usd"] for line in self.lines(month) if line["kind"] in ("by_month", "by_use"))
            paid[clock] = paid.get(clock, 0.0) + running * length
        for offer, which, start, length, usd in self.terms_paid():
            upfront = offer["commitments"][which]["upfront_share"]
            paid[float(start)] = paid.get(float(start), 0.0) + usd * upfront
            for k in range(length):
                begin, end = float(start + k), float(start + k + 1)
                cuts = sorted({begin, end} | ({study} if begin < study < end else set()))
                for low, high in pairwise(cuts):
                    paid[high] = paid.get(high, 0.0) + usd * (1 - upfront) / length * (high - low)
        for number, site in enumerate([] if self.jobs else self.terms["owned"]):
            there = 0
            for month, count in enumerate(self.bought[number]):
                self._hardware(paid, site, month, count - there)
                there = count
        return dict(sorted(paid.items()))

    def _hardware(self, paid: dict[float, float], site: Row, start: int, count: int) -> None:
        if count <= 0:
            return
        kind, last = site["server"], site["span"]["last"]
        end = self.terms["months"] if last is None else min(float(last), self.terms["months"])
        price = count * kind["capex_usd"] * (1 + kind["network_storage_share"])
        install, life = count * kind["install_usd"], round(kind["life_years"] * 12)
        bought = start
        paid[float(start)] = paid.get(float(start), 0.0) + price + install
        while bought + life < end:
            bought += life
            swap = price * (1 - kind["residual_share"]) + install
            paid[float(bought)] = paid.get(float(bought), 0.0) + swap
        paid[end] = paid.get(end, 0.0) - price * self._sold_share(site, end - bought)

    def npv(self) -> float:
        rate = self.terms["discount_rate_per_year"]
        return math.fsum(usd / (1 + rate) ** (time / 12) for time, usd in self.payments().items())


def row(owner: str, category: str, part: str, usd: float, kind: str) -> Row:
    return {"owner": owner, "category": category, "part": part, "usd": usd, "kind": kind}


def shared(owner: str, category: str, usd: float, hours: dict[str, float], kind: str) -> list[Row]:
    whole = math.fsum(hours.values())
    if not whole:
        return []
    return [row(owner, category, part, usd * h / whole, kind) for part, h in hours.items() if h > 0]


def cents(rows: list[Row]) -> list[int]:
    """Largest remainder, the earlier line first."""
    exact = [line["usd"] * 100 for line in rows]
    found = [math.floor(value) for value in exact]
    missing = round(round(math.fsum(line["usd"] for line in rows) * 100, 6)) - sum(found)
    for number in sorted(range(len(rows)), key=lambda k: round(found[k] - exact[k], 6))[:missing]:
        found[number] += 1
    return found


def main() -> None:
    usage, terms = (json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:3])
    names = sys.argv[3:] or (list(terms) if "topology" not in terms else [])
    for name in names or [""]:
        study = Study(usage[name], terms[name]) if name else Study(usage, terms)
        rows = study.mean_lines()
        for line, amount in zip(rows, cents(rows), strict=True):
            print(f"{name}\t{line['owner']}\t{line['category']}\t{line['part']}\t{amount}")
        print(f"{name}\tpresent value\t{study.npv():.6f}")


if __name__ == "__main__":
    main()
