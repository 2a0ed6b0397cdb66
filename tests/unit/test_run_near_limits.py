"""A token API whose limit lies within chance of what is asked of it says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fleet_cases import fleet, provider
from numpy.typing import NDArray

from simulator.fleet.records import Reason, Status
from simulator.run.near_limits import near_limits
from simulator.study.choices import TargetRouting
from simulator.study.fleet import RoutingSpec, ServiceTier
from simulator.study.usage import Usage


def usage(calls: int, span_s: float = 600.0) -> Usage:
    """So many calls of one class, of 100 tokens each."""
    counts = np.array([[calls]])
    tokens = np.array([[[80, 0, 0, 20]]]) * calls
    used: Any = SimpleNamespace(calls=counts, failed_calls=0 * counts, tokens=tokens, failed_tokens=0 * tokens)
    return Usage(span_s, (), (used,), ())


def reasons(refused: int = 0) -> NDArray[np.int64]:
    """Why requests were not completed: so many of them for a rate limit."""
    found = np.zeros((len(Status), len(Reason)), np.int64)
    found[Status.REJECTED, Reason.RATE_LIMIT] = refused
    return found


def told(per_minute: float, calls: int, runs: int = 1, dispersion: float = 1.0, **limits: Any) -> list[str]:
    squares = 2 * 100**2 * calls if limits.pop("varied", False) else 100**2 * calls
    tally: Any = SimpleNamespace(
        input_tokens=80 * calls,
        output_tokens=20 * calls,
        completed=calls,
        squared_tokens=squares,
        reasons=reasons(limits.pop("refused", 0)),
    )
    one = fleet(providers=(provider(**({"requests_per_minute": per_minute} | limits)),))
    return near_limits(one, [usage(calls // runs)] * runs, tally, dispersion)


@pytest.mark.parametrize(
    ("limit", "is_told"),
    # 1,180 calls in ten minutes are 118 a minute, ± 1.96 √1180 / 10 = 6.7
    [(118.0, False), (118.1, True), (120.0, True), (124.7, True), (124.8, False), (0.0, False)],
)
def test_a_limit_above_the_mean_and_within_its_interval(limit: float, is_told: bool) -> None:
    found = told(limit, 1_180)
    assert bool(found) is is_told
    if limit == 120.0:
        assert found[0].startswith(
            "api: on average 118 of the 120 requests a minute that it lets through are used, and as many as 124.7 might"
        )


def test_a_longer_run_is_surer() -> None:
    """Four such runs: ± 3.4."""
    assert told(121.3, 4 * 1_180, runs=4)
    assert not told(121.5, 4 * 1_180, runs=4)


@pytest.mark.parametrize(
    ("limit", "dispersion", "is_told"),
    # 118 a minute, ± 1.96 √(4 · 1180) / 10 = 13.5 in bursts with four times the variance; none at even gaps
    [(131.4, 4.0, True), (131.5, 4.0, False), (118.1, 0.0, False)],
)
def test_what_comes_in_bursts_is_known_less_well(limit: float, dispersion: float, is_told: bool) -> None:
    assert bool(told(limit, 1_180, dispersion=dispersion)) is is_told
    tokens = {"requests_per_minute": 0.0, "tokens_per_minute": 100 * limit}
    assert bool(told(0.0, 1_180, dispersion=dispersion, **tokens)) is is_told


def test_tokens_vary_by_their_lengths_too() -> None:
    """11,800 tokens a minute ± 673; with a squared coefficient of variation of 1 ± 952."""
    tokens = {"requests_per_minute": 0.0, "tokens_per_minute": 12_600.0}
    assert not told(0.0, 1_180, **tokens)
    (found,) = told(0.0, 1_180, varied=True, **tokens)
    assert "12,600 tokens a minute" in found


def test_answers_and_cached_prompts_count_by_their_weights() -> None:
    """80 + 8 · 20 = 240 for each call: 28,320 a minute ± 1,616."""
    weighed = {"requests_per_minute": 0.0, "output_weight": 8.0, "cached_weight": 0.0}
    (found,) = told(0.0, 1_180, tokens_per_minute=28_500.0, **weighed)
    assert "on average 28,320 of the 28,500 tokens a minute" in found
    assert "as many as 29,936 might be" in found
    assert not told(0.0, 1_180, tokens_per_minute=28_300.0, **weighed)


def test_prompts_and_answers_have_limits_of_their_own() -> None:
    """9,440 and 2,360 tokens a minute, ± 539 and ± 135."""
    limits = {"input_tokens_per_minute": 9_900.0, "output_tokens_per_minute": 2_480.0}
    found = told(0.0, 1_180, **limits)
    assert [text.split(":")[1].split("that it lets")[0].strip() for text in found] == [
        "on average 9,440 of the 9,900 input tokens a minute",
        "on average 2,360 of the 2,480 output tokens a minute",
    ]
    assert not told(0.0, 1_180, input_tokens_per_minute=9_990.0, output_tokens_per_minute=2_500.0)


def test_nothing_is_told_of_a_target_that_another_takes_over_from() -> None:
    calls = 1_180
    tally: Any = SimpleNamespace(
        input_tokens=80 * calls,
        output_tokens=20 * calls,
        completed=calls,
        squared_tokens=100**2 * calls,
        reasons=reasons(),
    )
    (used,) = usage(calls).providers
    both = Usage(600.0, (), (used, used), ())
    limited = tuple(provider(name=name, requests_per_minute=120.0) for name in ("first", "second"))
    for kind, names in ((TargetRouting.OVERFLOW, ["second"]), (TargetRouting.WEIGHTED, ["first", "second"])):
        one = fleet(providers=limited, routing=RoutingSpec(kind, (0, 1)))
        assert [text.split(":")[0] for text in near_limits(one, [both], tally, 1.0)] == names


def test_a_limit_that_refused_calls_is_not_left_to_chance() -> None:
    """What is used is what it let through, so always below it."""
    assert told(120.0, 1_180)
    assert not told(120.0, 1_180, refused=1)


def test_no_limit_by_the_minute_holds_for_batches() -> None:
    assert not told(120.0, 1_180, tier_by_class=(ServiceTier(batch_window_s=3600.0),))
