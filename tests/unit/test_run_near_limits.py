"""A token API whose limit lies within chance of what is asked of it says so."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, classes, evenly, fleet, provider

from simulator.fleet.simulate import simulate_fleet
from simulator.run.near_limits import near_limits, other_units
from simulator.schema.provider import Provider
from simulator.study.choices import TargetRouting
from simulator.study.fleet import Outages, RetryDelay, RoutingSpec, ServiceTier
from simulator.study.usage import ProviderUsage, Usage


def used(calls: int, answered: int | None = None, varied: bool = False, tokens: int = 100) -> Any:
    """So many calls of one class, of 80 + 20 of each 100 tokens, that asked for it; of these were answered."""
    each = np.array([1.0, tokens, 0.8 * tokens, 0.2 * tokens])
    squares = each**2 * np.array([1.0, 2.0, 2.0, 2.0] if varied else 1.0)
    counts = np.array([[calls if answered is None else answered]])
    return SimpleNamespace(
        calls=counts, failed_calls=np.zeros_like(counts), asked=calls * np.stack([each, squares], axis=1)
    )


def told(
    per_minute: float, calls: int, runs: int = 1, dispersion: float = 1.0, by_chance: bool = True, **limits: Any
) -> list[str]:
    made = {key: limits.pop(key) for key in ("answered", "varied", "tokens") if key in limits}
    one = fleet(providers=(provider(**({"requests_per_minute": per_minute} | limits)),))
    usages = [Usage(600.0, (), (used(calls // runs, **made),), ())] * runs
    return near_limits(one, usages, dispersion, [by_chance])


@pytest.mark.parametrize(
    ("limit", "is_told"),
    # 1,180 calls in ten minutes are 118 a minute, ± 1.96 √1180 / 10 = 6.7
    [(111.2, False), (111.3, True), (118.0, True), (120.0, True), (124.7, True), (124.8, False), (0.0, False)],
)
def test_a_limit_within_the_interval_of_what_is_asked_of_it(limit: float, is_told: bool) -> None:
    found = told(limit, 1_180)
    assert bool(found) is is_told
    if limit == 120.0:
        assert found[0].startswith(
            "api: 118 requests a minute are asked for, of a limit of 120, and by chance 111.3 to 124.7 might be:"
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
    assert "11,800 tokens a minute are asked for, of a limit of 12,600" in found
    assert told(126.0, 1_180, varied=True, tokens_per_minute=12_600.0) == [found]


def test_prompts_and_answers_have_limits_of_their_own() -> None:
    """9,440 and 2,360 tokens a minute, ± 539 and ± 135."""
    found = told(0.0, 1_180, input_tokens_per_minute=9_900.0, output_tokens_per_minute=2_480.0)
    assert [text.split(":")[1].split(", and")[0].strip() for text in found] == [
        "9,440 input tokens a minute are asked for, of a limit of 9,900",
        "2,360 output tokens a minute are asked for, of a limit of 2,480",
    ]
    assert not told(0.0, 1_180, input_tokens_per_minute=9_990.0, output_tokens_per_minute=2_500.0)


def test_nothing_is_told_of_a_target_that_another_takes_over_from() -> None:
    both = Usage(600.0, (), (used(1_180), used(1_180)), ())
    limited = tuple(provider(name=name, requests_per_minute=120.0) for name in ("first", "second"))
    for kind, names in ((TargetRouting.OVERFLOW, ["second"]), (TargetRouting.WEIGHTED, ["first", "second"])):
        one = fleet(providers=limited, routing=RoutingSpec(kind, (0, 1)))
        assert [text.split(":")[0] for text in near_limits(one, [both], 1.0, [True])] == names


def test_what_one_api_refuses_is_nothing_to_the_others() -> None:
    """The first lets 100 of 1,180 calls through; the second is near its limit, whatever the first does."""
    both = Usage(600.0, (), (used(1_180, answered=100), used(1_180)), ())
    limited = (provider(name="shut", requests_per_minute=10.0), provider(name="near", requests_per_minute=120.0))
    (found,) = near_limits(fleet(providers=limited), [both], 1.0, [True])
    assert found.startswith("near: ")


def test_a_few_that_were_refused_are_asked_for_too() -> None:
    """A limit that refused some by chance may hold back all or none; one far below what is asked holds for certain."""
    assert told(120.0, 1_180, answered=1_170) == told(120.0, 1_180)
    assert not told(60.0, 1_180, answered=600)


def test_nothing_is_told_where_chance_has_no_part_in_how_many_come() -> None:
    assert told(120.0, 1_180)
    assert not told(120.0, 1_180, by_chance=False)


def asked(n: int, retries: int = 0, **limits: Any) -> ProviderUsage:
    """Of `n` calls of 7 + 3 tokens, one a second; the first ten are in the warm-up, whose last 5 s nobody calls in."""
    api = provider(ttft_sigma=0.0, tpot_sigma=0.0, max_wait_s=0.0, retry=RetryDelay(0.5, 0.5), **limits)
    calls = evenly(n, 1.0, 7, 3)
    run = simulate_fleet(
        fleet((), (api,), classes=classes(1, max_retries=retries)),
        Source((replace(calls, arrival_s=calls.arrival_s + 5.0 * (np.arange(n) >= 10)),)),
        horizon_s=n + 10.0,
        drain_s=100.0,
        warmup_s=14.0,
        seed=1,
        sink=lambda records: None,
    )
    return run.usage.providers[0]


@pytest.mark.parametrize(("limit", "retries"), [(0.0, 0), (6.0, 0), (6.0, 3)])
def test_each_request_of_the_window_asks_once_whatever_is_refused(limit: float, retries: int) -> None:
    """50 of 60: a call that is let through at last asks then, one that is given up asks, too."""
    found = asked(60, retries, requests_per_minute=limit)
    assert found.asked.tolist() == pytest.approx(np.array([[50, 50], [500, 5000], [350, 2450], [150, 450]]))
    assert bool(found.calls.sum() < 50) is bool(limit)


def test_batches_and_calls_in_outages_ask_for_nothing() -> None:
    batch = asked(60, requests_per_minute=30.0, tier_by_class=(ServiceTier(batch_window_s=3600.0),))
    assert not batch.asked.any()
    away = asked(60, requests_per_minute=30.0, outages=Outages(windows=((24.5, 34.5),)))
    assert away.asked[0, 0] == 40


def test_answers_and_cached_prompts_ask_by_their_weights() -> None:
    found = asked(60, output_weight=8.0, cached_weight=0.0)
    assert found.asked[:, 0].tolist() == pytest.approx([50, 50 * (7 + 8 * 3), 350, 150])
    found = asked(60, output_weight=8.0, reserved_tokens=5.0)
    assert found.asked[:, 0].tolist() == pytest.approx([50, 50 * (7 + 8 * 5), 350, 250])


@pytest.mark.parametrize(
    ("units", "least"),
    # 1,180 calls of 100 tokens in ten minutes are 11,800 a minute: 6 units of 2,000, of which 5.9 are taken
    [(6.0, None), (5.5, None), (5.0, 6), (15.0, 6), (7.0, 6)],
)
def test_units_that_would_do_are_told_where_others_are_bought(units: float, least: int | None) -> None:
    own = {"prices": [{"input": 0, "output": 0}], "ttft_s": {"median": 0.1}, "tpot_s": {"median": 0.01}}
    bought = Provider.model_validate(
        {"name": "api", "provisioned_units": units, "usd_per_unit_hour": 1, "tokens_per_minute_per_unit": 2_000} | own
    )
    usages = [Usage(600.0, (), (used(1_180),), ())] * 2
    fewer, more = other_units(fleet(providers=(provider(),)), [bought], usages)
    found = fewer + more
    assert bool(more) is (units > 6), "too many are a matter of the size: the load is kept up with"
    assert bool(found) is (least is not None)
    if least is not None:
        assert found[0].startswith("api: 11,800 tokens a minute are asked for on average, which 6 units let through,")
        assert f"provisioned_units={least} is the least to try" in found[0]


def test_units_that_others_take_over_from_are_not_told() -> None:
    routing = RoutingSpec(TargetRouting.OVERFLOW, (0, 1))
    one = fleet(providers=(provider(), provider(name="more")), routing=routing, classes=classes(2))
    bought = Provider.model_validate(
        {"name": "api", "provisioned_units": 1, "usd_per_unit_hour": 1, "tokens_per_minute_per_unit": 2_000}
    )
    usage = Usage(600.0, (), (used(1_180), used(10)), ())
    assert other_units(one, [bought, Provider(name="more")], [usage]) == ([], [])
