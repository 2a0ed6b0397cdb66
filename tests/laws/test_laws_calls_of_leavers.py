"""Calls of token APIs whose client leaves end with it: what was read and streamed is paid, and nobody is served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import evenly, fleet, provider, serve

from simulator.fleet.records import Reason, Status
from simulator.fleet.state import CALL_INPUT, CALL_OUTPUT, CALLS, CALLS_FAILED
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, ClassSpec, RoutingSpec, ServiceTier
from simulator.workload.requests import Requests, make_extras

CALM = {"ttft_median_s": 0.5, "ttft_sigma": 0.0, "tpot_median_s": 0.1, "tpot_sigma": 0.0, "error_probability": 0.0}
LEAVES_S = (0.2, 0.55, 0.78, 1.38, 1.45, 0.0)
"""Of answers of ten tokens, the first of which comes after 0.5 s and the last after 1.4: 0 stays."""
STREAMED = [0, 1, 3, 9, 10, 10]


def classes(**changes: float) -> tuple[ClassSpec, ...]:
    return tuple(ClassSpec(name, (True,), **changes) for name in ("a", "b"))


def leavers(*leaves_s: float, gap_s: float = 10.0) -> Requests:
    n = len(leaves_s)
    return replace(evenly(n, gap_s, 7, 10), extras=make_extras(n, leaves_s=np.array(leaves_s)))


def test_a_call_ends_with_its_client_and_what_was_streamed_is_paid() -> None:
    run = serve(fleet((), (provider(**CALM),), classes=classes()), leavers(*LEAVES_S))
    records, counts = np.sort(run.records, order="request"), run.plane.calls()[0].sum(axis=(0, 1))
    assert records["generated"].tolist() == STREAMED
    served = np.array(STREAMED) == 10
    assert (records["status"] == np.where(served, Status.COMPLETED, Status.TIMED_OUT)).all()
    assert (records["reason"][~served] == Reason.LEFT).all()
    ends_s = np.where(served, 1.4, LEAVES_S)
    assert records["finish_s"] - records["arrival_s"] == pytest.approx(ends_s)
    assert (counts[CALLS], counts[CALLS_FAILED]) == (6, 0)
    assert (counts[CALL_INPUT], counts[CALL_OUTPUT]) == (6 * 7, sum(STREAMED))


def test_a_call_that_the_limits_hold_back_was_not_made() -> None:
    """A request a minute: the first takes the bucket, and the second leaves before it is filled again."""
    api = provider(**CALM, requests_per_minute=1.0, max_wait_s=99.0)
    run = serve(fleet((), (api,), classes=classes()), leavers(0.0, 20.0, gap_s=1.0))
    counts = run.plane.calls()[0].sum(axis=(0, 1))
    assert run.records["status"].tolist() == [Status.COMPLETED, Status.TIMED_OUT]
    assert (counts[CALLS], counts[CALL_INPUT], counts[CALL_OUTPUT]) == (1, 7, 10)


def test_who_leaves_during_a_check_is_asked_for_no_more() -> None:
    """The first answer is there after 1.4 s and its check after 6.4: who leaves at 3 s never gets to the second API."""
    order = RoutingSpec(TargetRouting.CASCADE, (0, 1), cascade=CascadeSpec(share=1.0, check_s=5.0))
    apis = tuple(provider(**CALM, name=name) for name in ("small", "large"))
    run = serve(
        fleet((), apis, order, tuple(replace(one, allowed=(True, True)) for one in classes())), leavers(3.0, 0.0)
    )
    records = np.sort(run.records, order="request")
    assert records["status"].tolist() == [Status.TIMED_OUT, Status.COMPLETED]
    assert records["finish_s"][0] - records["arrival_s"][0] == pytest.approx(3.0)
    assert [counts.sum(axis=(0, 1))[CALLS] for counts in run.plane.calls()] == [2, 1]


def test_a_batch_is_answered_though_its_client_has_left() -> None:
    api = provider(**CALM, tier_by_class=(ServiceTier(batch_window_s=100.0),) * 2)
    run = serve(fleet((), (api,), classes=classes()), leavers(*LEAVES_S))
    assert (run.records["status"] == Status.COMPLETED).all()
