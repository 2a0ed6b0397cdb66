"""Months that are shown: a step of the load is a change, steady growth is none."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.report.month_table import changing


def _decision(loads: list[list[float]]) -> dict[str, Any]:
    months = [
        {
            "month": k + 1,
            "level": load,
            "usd": 100.0 * sum(load),
            "meets": True,
            "replicas": [1],
            "servers": 1,
            "ordered": 0,
            "event": "",
        }
        for k, load in enumerate(loads)
    ]
    return {"topologies": {"api": {"months": months}}}


@pytest.mark.parametrize(
    ("loads", "shown"),
    [
        ([[1.0]] * 6 + [[2.0]] * 6, [1, 7, 12]),
        ([[1.05**k] for k in range(12)], [1, 12]),
        ([[1.05**k * (3.0 if k >= 4 else 1.0)] for k in range(12)], [1, 5, 12]),
        ([[1.0, 1.02**k * (0.5 if k >= 8 else 1.0)] for k in range(12)], [1, 9, 12]),
        ([[1.0]], [1]),
    ],
)
def test_steps_of_the_load_are_shown_and_growth_is_not(loads: list[list[float]], shown: list[int]) -> None:
    assert changing(_decision(loads), ["api"]) == shown


def test_a_commitment_that_begins_while_the_load_grows_is_shown() -> None:
    """Two instances on demand at $1,460 and one under commitment at $876 are $2,336; with both committed, $1,752."""
    decision = _decision([[1.05**k] for k in range(24)])
    for month in decision["topologies"]["api"]["months"]:
        month["usd"] = 2_336.0 if month["month"] < 13 else 1_752.0
    assert changing(decision, ["api"]) == [1, 13, 24]
