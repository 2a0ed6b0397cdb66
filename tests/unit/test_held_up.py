"""What a token API's rate limits hold up is told beside the term that is missed for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.fleet.records import RECORD, Reason, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo
from simulator.size.reasons import held_up, lost


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
    assert words.endswith(" s to be made again after errors, outages and 429 answers")


def ended(counts: dict[tuple[Status, Reason], int]) -> MetricAccumulator:
    """Requests of one class by how and why they ended."""
    rows = []
    for (status, reason), n in counts.items():
        records = np.zeros(n, RECORD)
        records["status"], records["reason"] = status, reason
        records["checked_s"] = records["prefilled_s"] = records["transferred_s"] = np.nan
        rows.append(records)
    metrics = MetricAccumulator((ClassSlo("a"),), 0.0, 100.0, ("api",), 0)
    metrics.add(np.concatenate(rows))
    return metrics


def test_where_too_few_are_served_it_is_told_how_they_ended_and_why_the_most_first() -> None:
    """A fleet with a queue of 40,000 was said to miss its level for the 97 that failed."""
    few = ended(
        {(Status.COMPLETED, Reason.NONE): 7, (Status.FAILED, Reason.ERROR): 2, (Status.FAILED, Reason.OUTAGE): 1}
    )
    assert lost(few, 0, missed("served", 0.99)) == "3 of 10 requests failed (1 outage, 2 error)"
    assert lost(few, 0, missed("served", 0.99, met=True)) == ""
    many = ended(
        {
            (Status.COMPLETED, Reason.NONE): 100,
            (Status.FAILED, Reason.REPLICA_LOST): 97,
            (Status.REJECTED, Reason.TOO_LONG): 200,
            (Status.UNFINISHED, Reason.NONE): 4000,
        }
    )
    words = "4,000 of 4,397 requests unfinished, 200 rejected (too long), 97 failed (replica lost)"
    assert lost(many, 0, missed("served", 0.99)) == words


@pytest.mark.parametrize(
    ("metric", "required", "told"), [("ttft_s", 0.71, True), ("ttft_s", 0.7, False), ("begun", 1.0, False)]
)
def test_lost_requests_are_told_where_they_alone_break_the_term(metric: str, required: float, told: bool) -> None:
    metrics = ended({(Status.COMPLETED, Reason.NONE): 7, (Status.FAILED, Reason.ERROR): 3})
    assert bool(lost(metrics, 0, missed(metric, 2.0, required=required))) is told


def test_calls_that_a_limit_rejected_too_wait_for_limits_and_to_be_made_again() -> None:
    """Of three that were rejected for it; none timed out for it."""
    metrics = calls(8.0)
    metrics.by_class[0].reasons[Status.REJECTED, Reason.RATE_LIMIT] = 3
    words = held_up(metrics, 0, missed("served", 0.99), again=True)
    assert words.endswith(
        " s for the rate limits of the token API or to be made again after errors, outages and 429 answers"
    )
