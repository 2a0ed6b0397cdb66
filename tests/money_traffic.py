"""Random traffic for the scenarios of money: who is served where and when, how the load moves, what spot loses."""

from __future__ import annotations

from random import Random
from typing import Any

Row = dict[str, Any]
OFFICE = "8-18"


def routing(random: Random, pool: str, provider: str) -> Row:
    """Between a pool and a token API: by weight, room, check or hour, and by room within hours."""
    window = {"days": "mon-fri", "hours": OFFICE}
    return random.choice(
        [
            {"kind": "weighted", "weights": {pool: 1, provider: 2}},
            {"kind": "overflow", "order": [pool, provider], "when": {"outstanding_per_replica": 1}},
            {"kind": "cascade", "first": provider, "second": pool, "escalate": {"share": 0.3}},
            {"kind": "cascade", "first": pool, "second": provider, "escalate": {"share": 0.3}, "check_s": 0.2},
            {"kind": "windows", "windows": [window | {"use": [pool]}], "otherwise": [provider]},
            {"kind": "windows", "windows": [window | {"use": [provider]}], "otherwise": [pool]},
            {
                "kind": "overflow",
                "order": [pool, provider],
                "when": {"waiting_per_replica": 0},
                "windows": [window | {"use": [pool, provider]}],
                "otherwise": [provider],
            },
        ]
    )


def reclaims(random: Random) -> Row:
    """A few within minutes; some take the whole zone."""
    return {
        "reclaims": True,
        "reliability": {
            "reclaim_mtbf_h": random.choice([0.02, 0.1]),
            "reclaim_notice_s": random.choice([0, 5]),
            "reclaim_correlation": random.choice([0, 0.5, 1]),
        },
    }


def months(random: Random, classes: list[str]) -> Row:
    """A length, growth of all or by class or a table of loads, and periods of a month."""
    study: Row = {"months": random.choice([1, 2.5, 7, 13, 14.25, 26])}
    load = random.random()
    if load < 0.2:
        study["growth_per_year"] = random.choice([-0.4, 0.5, 1.5])
    elif load < 0.3:
        study["growth_per_year_by_class"] = {classes[-1]: random.choice([-0.5, 2.0])}
    elif load < 0.5 and study["months"] > 1:
        step: Row = {"from_month": 2, "load": random.choice([0, 0.5, 2])}
        if random.random() < 0.5:
            step["load_by_class"] = {classes[0]: random.choice([0.3, 1.7])}
        study["load_steps"] = [step]
    share = random.random()
    if share < 0.2:
        study["periods"] = [{"name": "work", "days": "mon-fri", "hours": OFFICE}, {"name": "off", "load": 0.2}]
    elif share < 0.4:
        study["periods"] = [{"name": "peak", "hours_per_month": 100.5, "start_hour": 9}, {"name": "rest", "load": 0.3}]
    elif share < 0.5:
        study["first_month"] = "2027-03"
        study["periods"] = [
            {"name": "busy", "quarters": [4], "hours_per_month": 300, "load": 1.5},
            {"name": "rest", "load": 0.7},
        ]
    return study
