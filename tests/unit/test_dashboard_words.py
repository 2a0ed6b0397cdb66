"""Parts of the dashboard's pages that are words alone, each at both sides of where it changes."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.components import seen_time
from dashboard.jobs import _why
from dashboard.views.latency import why_no_gaps
from dashboard.views.sizing import _bound
from dashboard.views.sweep import _default


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full"),
        (OSError(f"[Errno {errno.ENOSPC}] writing"), "the disk is full"),
        (OSError(f"cannot write: {os.strerror(errno.ENOSPC)}"), "the disk is full"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError("the link broke"), "the link broke"),
    ],
)
def test_a_full_disk_is_told_however_it_is_reported(error: OSError, said: str) -> None:
    assert _why(error) == said


@pytest.mark.parametrize(
    ("value", "kind", "listed"),
    [
        (1, "", "1, 2"),
        (2, "", "1, 2, 3"),
        (40, "", "39, 40, 41"),
        (0.5, "", "0.25, 0.5, 0.75, 1"),
        (12.0, "", "6, 12, 18, 24"),
        ("fp8", "", "fp8"),
        ("bf16", "choice", "bf16"),
    ],
)
def test_values_to_sweep_lie_around_the_one_that_holds(value: Any, kind: str, listed: str) -> None:
    known: Any = SimpleNamespace(value=value, kind=kind)
    assert _default(known) == listed


def test_why_no_times_between_tokens_are_shown() -> None:
    """Of one topology with a second token in its answers at least, a token API's mean gap; of none there is no gap."""

    def found(*p50: float | None) -> dict[str, Any]:
        return {f"t{k}": {"metrics": {"tpot_s": {"p50": value}}} for k, value in enumerate(p50)}

    assert why_no_gaps(found(0.02)) == why_no_gaps(found(None, 0.02)) == "Token APIs show only their mean gap."
    assert why_no_gaps(found(None)) == why_no_gaps(found(None, None)) == "No answer has a second token."


def test_a_value_that_is_not_known_has_none_beside_it() -> None:
    assert _default(None) == ""


def test_what_was_looked_at_of_a_run_is_remembered_for_that_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, Any] = {}
    monkeypatch.setattr(seen_time, "st", SimpleNamespace(session_state=state, query_params={"p": "1"}))
    assert seen_time.seen_s("a") is None
    seen_time.see("a", (60.0, 120.0))
    assert (seen_time.seen_s("a"), seen_time.seen_s("b")) == ((60.0, 120.0), None)
    seen_time.see("b", (5.0, 6.0))
    assert (seen_time.seen_s("a"), seen_time.seen_s("b")) == (None, (5.0, 6.0))
    seen_time.see("b", None)
    assert seen_time.seen_s("b") is None
    state["q"] = 1
    assert [seen_time.is_new(key) for key in ("p", "q", "r")] == [False, False, True]


def month(number: int, meets: bool, binding: str) -> dict[str, Any]:
    return {"month": number, "meets": meets, "binding": binding}


MET, LATER = month(1, True, "TTFT p95 0.9 s"), month(3, False, "TTFT p95 2 s")
REFUSED = {"word": "refused", "sizes": "2", "reason": "TTFT p95 3 s"}
TRIED = {"search": {"trail": [{"word": "met", "sizes": "4", "reason": ""}, REFUSED]}}


@pytest.mark.parametrize(
    ("until", "months", "summary", "size", "parts"),
    [
        (0, [month(1, False, "TTFT p95 9 s")], {}, "3", ("(3) ", "TTFT p95 9 s.")),
        (2, [MET, month(2, True, "TPOT"), LATER], {}, "3", ("lasts until", "; in month 3 TTFT p95 2 s.")),
        (3, [MET, month(3, True, "TPOT p95 20 ms")], {}, "3", ("lasts until", "; nearest to failing: TPOT p95 20 ms.")),
        (1, [MET], TRIED, "3", ("nearest to failing", ". Tried, and not enough: 2, as TTFT p95 3 s.")),
    ],
)
def test_what_binds_a_topology_is_the_first_miss_or_what_is_nearest_to_one(
    until: int, months: list[dict[str, Any]], summary: dict[str, Any], size: str, parts: tuple[str, ...]
) -> None:
    decided = {"months": months, "lasts_until": until, "lasts": until, "study_months": len(months)}
    said = _bound(decided, summary, size)
    assert all(part in said for part in parts)
    assert ("lasts until" in said) is (until > 0)
    assert said.endswith(parts[-1])
