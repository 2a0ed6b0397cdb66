"""Calls of a token API belong to the window in which they are made: how long answers take changes no bill."""

from __future__ import annotations

import numpy as np
import pytest
from fleet_cases import Source, classes, evenly, fleet, poisson, provider
from numpy.typing import NDArray

from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.rng import stream
from simulator.study.fleet import Outages, ProviderSpec, ServiceTier
from simulator.workload.requests import Requests

STEADY = {"ttft_sigma": 0.0, "tpot_sigma": 0.0, "error_probability": 0.0}


def run(api: ProviderSpec, requests: Requests, warmup_s: float, horizon_s: float, n_classes: int = 1) -> FleetRun:
    spec = fleet((), (api,), classes=classes(1, max_retries=0) * n_classes)
    names = tuple("ab"[:n_classes])
    return simulate_fleet(
        spec,
        Source((requests,), class_names=names),
        horizon_s=horizon_s,
        drain_s=0.0,
        warmup_s=warmup_s,
        seed=1,
        sink=lambda records: None,
    )


def calls(found: FleetRun) -> NDArray[np.int64]:
    """Answered and failed ones, and tokens that are paid for."""
    (used,) = found.usage.providers
    return np.array([used.calls.sum(), used.failed_calls.sum(), used.tokens.sum()])


@pytest.mark.parametrize("takes_s", [0.5, 12.0, 500.0])
@pytest.mark.parametrize("warmup_s", [0.0, 10.0])
def test_answers_longer_than_the_warm_up_lack_nothing(takes_s: float, warmup_s: float) -> None:
    """One call a second of 7 + 3 tokens in 60 s: 60 calls, 600 tokens, whenever they end."""
    api = provider(**STEADY, ttft_median_s=takes_s, tpot_median_s=0.0)
    found = run(api, evenly(int(warmup_s) + 60, 1.0, 7, 3), warmup_s, warmup_s + 60.0)
    assert calls(found).tolist() == [60, 0, 600]


def test_poisson_calls_are_as_many_as_come_in_the_window() -> None:
    requests = poisson(stream(3, "calls"), 900, 10.0)
    inside = (requests.arrival_s >= 10.0) & (requests.arrival_s < 70.0)
    api = provider(error_probability=0.2, ttft_median_s=12.0, ttft_sigma=1.0)
    found = run(api, requests, 10.0, 70.0, n_classes=2)
    answered, failed, _ = calls(found)
    assert answered + failed == inside.sum()


def test_two_windows_have_what_both_together_have() -> None:
    requests = poisson(stream(5, "calls"), 900, 10.0)
    api = provider(error_probability=0.2, ttft_median_s=12.0, ttft_sigma=1.0)
    first, second, both = (calls(run(api, requests, *window, 2)) for window in ((0, 40), (40, 80), (0, 80)))
    assert (first + second).tolist() == both.tolist()


def test_a_stream_of_the_warm_up_that_an_outage_breaks_is_not_paid_in_the_window() -> None:
    """Calls at 0, 1, … 29 s take 8 s; the API goes down at 11.5 s, soon after the warm-up, for good.

    Of the window's, 10 s and 11 s were under way, and 12 s to 29 s find it down.
    """
    down = Outages(windows=((11.5, 1e6),))
    api = provider(**STEADY, ttft_median_s=8.0, tpot_median_s=0.0, outages=down)
    found = run(api, evenly(30, 1.0, 7, 3), 10.0, 30.0)
    assert calls(found).tolist() == [0, 20, 0]
    assert found.usage.providers[0].failed_tokens.sum() == 2 * 7


def test_a_batch_counts_when_it_is_sent_as_ever() -> None:
    api = provider(**STEADY, tier_by_class=(ServiceTier(batch_window_s=86_400.0),))
    assert calls(run(api, evenly(70, 1.0, 7, 3), 10.0, 70.0)).tolist() == [60, 0, 600]
