"""Why a size is refused, in words, for requests that are made up; and how far a search is by then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.fleet.records import RECORD, Reason, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.size.expected import share_done
from simulator.size.reasons import shortfall, turned_away

CHAT, BATCH = ClassSlo("chat", (SloTerm("ttft_s", 0.9, 0.5),), 0.9), ClassSlo("batch", (), 0.5)


def ended(n: int, class_id: int = 0, ttft_s: float = 0.25, **columns: Any) -> NDArray[Any]:
    out = np.zeros(n, RECORD)
    base = {"isl": 10, "osl": 5, "generated": 5, "class_id": class_id, "first_token_s": ttft_s, "finish_s": 3.0}
    for name in ("transferred_s", "prefilled_s"):
        out[name] = np.nan
    for name, values in {**base, **columns}.items():
        out[name] = values
    return out


def rejected(n: int, reason: Reason, class_id: int = 0, status: Status = Status.REJECTED) -> NDArray[Any]:
    return ended(n, class_id, status=status, reason=reason)


def measured(*parts: NDArray[Any]) -> MetricAccumulator:
    found = MetricAccumulator((CHAT, BATCH), 0.0, 10.0, (), 0)
    records = np.concatenate(parts)
    records["request"] = np.arange(len(records))
    found.add(records)
    return found


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((ended(90), rejected(10, Reason.TOO_LONG), ended(2, 1)), []),
        (
            (ended(89), rejected(11, Reason.TOO_LONG), ended(2, 1)),
            ["chat: 11 of 100 requests rejected (11 too long)"],
        ),
        (
            (ended(85), rejected(9, Reason.TOO_LONG), rejected(6, Reason.DATA_CLASS), ended(2, 1)),
            ["chat: 15 of 100 requests rejected (9 too long, 6 data class)"],
        ),
        ((ended(50), rejected(50, Reason.QUEUE_FULL), ended(2, 1)), []),
        (
            (ended(10), rejected(6, Reason.TOO_LONG, 1), ended(5, 1)),
            ["batch: 6 of 11 requests rejected (6 too long)"],
        ),
    ],
)
def test_who_is_turned_away_whatever_the_size_is_told(parts: tuple[NDArray[Any], ...], said: list[str]) -> None:
    assert turned_away(measured(*parts)) == said


def test_what_a_fleet_misses_is_told_by_term_and_by_what_became_of_requests() -> None:
    late = ended(30, ttft_s=0.75)
    lost = rejected(4, Reason.QUEUE_FULL), rejected(3, Reason.NONE, status=Status.TIMED_OUT)
    assert shortfall(measured(ended(63), late, *lost, ended(2, 1))) == (
        "chat: ttft p90 ≤ 0.5 s holds for 63.0%; 4 of 102 requests rejected (4 queue full); 3 of 102 requests timed out"
    )
    assert shortfall(measured(ended(100), ended(2, 1))) == ""
    assert shortfall(measured(ended(100))) == "batch: no request to tell by"
    assert shortfall(measured(ended(100)), absent={1}) == ""


@pytest.mark.parametrize(
    ("trials", "expected", "share"),
    [(0, 4, 0.0), (1, 4, 0.25), (2, 4, 0.5), (3, 4, 3 / 4.75), (4, 4, 4 / 6), (16, 4, 16 / 21)],
)
def test_how_far_a_search_is(trials: float, expected: int, share: float) -> None:
    assert share_done(trials, expected) == pytest.approx(share)
