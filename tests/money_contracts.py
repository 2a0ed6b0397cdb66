"""Random terms of contracts for the scenarios of money: volume prices, agreed spends, service credits, taxes."""

from __future__ import annotations

from random import Random
from typing import Any

Row = dict[str, Any]
OUTAGE = {"windows": [{"start_s": 40, "duration_s": 7}]}
CREDITS = [
    {"below_availability": 0.999, "share_of_bill": 0.1},
    {"below_availability": 0.95, "share_of_bill": 0.25},
    {"below_availability": 0.5, "share_of_bill": 1},
]


def taxes(random: Random) -> list[Row]:
    """VAT on machines or tokens, and a tax on all of it."""
    named = random.choice([["hardware", "electricity"], ["on demand", "committed", "spot"], ["tokens", "flat fee"]])
    rows = [{"name": "vat", "share": 0.19, "categories": named}, {"name": "levy", "share": 0.025}]
    return rows[: random.randint(0, 2)]


def agreed(random: Random, pool: Row) -> Row:
    """A spend, and prices by the GPU-hours of a month, of which there are 730 to a few thousand above commitments."""
    if pool.get("commitments") == "auto" or isinstance(pool.get("commitments"), list):
        return {}
    steps = [(700, 0.9), (3_000, 0.7), (9_000, 0.5)][random.randint(0, 2) :]
    prices = {
        "mode": random.choice(["graduated", "all_hours"]),
        "steps": [{"above_gpu_hours_per_month": hours, "price_factor": factor} for hours, factor in steps],
    }
    found = {
        "volume_prices": prices,
        "minimum_usd_per_month": random.choice([2_000, 30_000]),
        "outages": OUTAGE,
        "service_credits": CREDITS,
    }
    return {key: value for key, value in found.items() if random.random() < 0.6}


def volume(random: Random) -> Row:
    """Prices by the tokens of a month, of which these scenarios have some hundred million to a few billion."""
    steps = [(10**7, 0.9), (2 * 10**8, 0.7), (3 * 10**9, 0.5)][random.randint(0, 2) :]
    found: Row = {"free_tokens_per_month": random.choice([0, 10**6, 5 * 10**8])}
    if random.random() < 0.8:
        found["volume_prices"] = {
            "mode": random.choice(["graduated", "all_tokens"]),
            "steps": [{"above_tokens_per_month": tokens, "price_factor": factor} for tokens, factor in steps],
        }
    return found
