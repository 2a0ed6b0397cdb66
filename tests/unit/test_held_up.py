"""What a token API's rate limits hold up is told beside the term that is missed for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.fleet.records import RECORD, Reason, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo
from simulator.size.reasons import broken_off, held_up


def calls(waits_s: float, n_pools: int = 0) -> MetricAccumulator:
    """A hundred calls that are answered a second after they are made; they wait before that."""
    records = np.zeros(100, RECORD)
    records["status"] = Status.COMPLETED
    records["scheduled_s"] = waits_s
    records["first_token_s"] = records["finish_s"] = waits_s + 1.0
    records["checked_s"] = records["prefilled_s"] = records["transferred_s"] = np.nan
    metrics = MetricAccumulator((ClassSlo("a"),), 0.0, 100.0, ("api",), n_pools)
    metrics.add(records)
    return metrics


def missed(metric: str, limit: float, **changes: Any) -> dict[str, Any]:
    return {"metric": metric, "limit": limit, "required": 0.95, "met": False, **changes}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (missed("ttft_s", 2.0), True),
        (missed("e2e_s", 79.0), True),
        (missed("e2e_s", 81.0), False),
        (missed("served", 0.99), True),
        (missed("begun", 1.0), True),
        (missed("tpot_s", 0.05), False),
        (missed("ttft_s", 2.0, met=True), False),
    ],
)
def test_a_wait_of_8_s_is_told_where_it_is_a_tenth_of_the_limit_missed(row: dict[str, Any], told: bool) -> None:
    words = held_up(calls(8.0), 0, row)
    assert bool(words) is told
    if told:
        assert words.startswith("calls wait up to 8")
        assert words.endswith(" s for the rate limits of the token API")


def test_nothing_is_told_where_nobody_waits_or_pools_answer() -> None:
    assert held_up(calls(0.0), 0, missed("served", 0.99)) == ""
    assert held_up(calls(8.0, n_pools=1), 0, missed("ttft_s", 2.0)) == ""


def test_calls_that_are_made_again_after_errors_wait_for_no_rate_limit() -> None:
    """As one that fails in 3 of 10 calls does where it has no limit: it was said to wait up to 2.4 s for one."""
    words = held_up(calls(8.0), 0, missed("served", 0.99), again=True)
    assert words.startswith("calls wait up to 8")
    assert words.endswith(" s to be made again after errors and outages")


def test_where_too_few_are_served_it_is_told_how_many_failed_and_why() -> None:
    records = np.zeros(10, RECORD)
    records["status"] = Status.COMPLETED
    records["status"][:3] = Status.FAILED
    records["reason"][:2], records["reason"][2] = Reason.ERROR, Reason.OUTAGE
    records["checked_s"] = records["prefilled_s"] = records["transferred_s"] = np.nan
    metrics = MetricAccumulator((ClassSlo("a"),), 0.0, 100.0, ("api",), 0)
    metrics.add(records)
    assert broken_off(metrics, 0, missed("served", 0.99)) == "3 of 10 requests failed (1 outage, 2 error)"
    assert broken_off(metrics, 0, missed("ttft_s", 2.0)) == ""
    assert broken_off(metrics, 0, missed("served", 0.99, met=True)) == ""
