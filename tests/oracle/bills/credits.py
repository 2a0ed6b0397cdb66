"""What is given back for outages: the credit of each replication's month, and the mean of these."""

from __future__ import annotations

import math

from bills.months import Months
from bills.rows import Row, row


def credit(months: Months, owner: str, agreed: Row, month: int, rows: list[Row]) -> Row:
    paid = math.fsum(
        line["usd"] * (1 - line.get("prepaid", 0.0))
        for line in rows
        if line["owner"] == owner and line["category"] != "minimum spend"
    )
    return row(owner, "service credit", "availability", -paid * credited(months, owner, agreed, month), "by_month")


def credited(months: Months, owner: str, agreed: Row, month: int) -> float:
    steps = agreed.get("credits") or []
    periods = months.periods(month)
    given = 0.0
    for replication in {period["replication"] for period, _ in periods}:
        mine = [(period["hours"], usage) for period, usage in periods if period["replication"] == replication]
        hours = sum(h for h, _ in mine)
        down = sum(h * down_s(usage, owner) / (usage["end_s"] - usage["start_s"]) for h, usage in mine)
        missed = [step["share_of_bill"] for step in steps if down / hours > 1 - step["below_availability"] + 1e-8]
        given += max(missed, default=0.0) * hours
    return given / sum(period["hours"] for period, _ in periods)


def down_s(usage: Row, owner: str) -> float:
    found = [pool["zone_down_s"] for pool in usage["pools"] if pool["name"] == owner]
    found += [provider["down_s"] for provider in usage["providers"] if provider["name"] == owner]
    return float(found[0]) if found else 0.0
