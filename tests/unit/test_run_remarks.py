"""What a run says of itself: months that are scaled from a part of a cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fleet_cases import fleet, provider
from scenario_cases import chat, written

from simulator.resolve.demand import workload_spec
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.prompt_caches import cache_words
from simulator.run.remarks import beyond_the_clock, held_before_the_next, jobs_at_standard_prices, part_of_the_week
from simulator.schema.scenario import RunSettings
from simulator.schema.topology import Topology
from simulator.schema.workload import RequestClass
from simulator.study.choices import TargetRouting
from simulator.study.fleet import FleetSpec, RoutingSpec
from simulator.study.usage import ProviderUsage, Usage
from simulator.workload.spec import ClassWorkload, Constant, Poisson, Schedule, WorkloadSpec

DAY_S = 86_400.0
OVERFLOW = TargetRouting.OVERFLOW
CLASS = {"name": "chat", "arrivals": {"kind": "poisson", "rate_rps": 1}, "lengths": {"isl": 100, "osl": 10}}


@pytest.mark.parametrize(
    ("windows", "simulated_s", "cycle"),
    [
        ([], 200.0, None),
        ([{"hours": "9-17"}], 200.0, "days"),
        ([{"hours": "9-17"}], DAY_S, None),
        ([{"hours": "9-17"}, {"days": "sun", "hours": "0-24"}], DAY_S, "weeks"),
        ([{"days": "mon-fri", "hours": "9-17"}], 14 * DAY_S, None),
    ],
)
def test_windows_are_judged_by_whole_cycles(
    windows: list[dict[str, str]], simulated_s: float, cycle: str | None
) -> None:
    routing = {"kind": "windows", "windows": [{**one, "use": ["g"]} for one in windows], "otherwise": ["g"]}
    pool = {"name": "g", "site": "lambda", "gpu": "h100-sxm"}
    by_routing = Topology.model_validate({"pools": [pool], **({"routing": routing} if windows else {})})
    schedule = [{**one, "replicas": 1} for one in windows]
    by_schedule = Topology.model_validate({"pools": [{**pool, "replicas": 0, "schedule": schedule}]})
    for topology in (by_routing, by_schedule):
        found = beyond_the_clock(topology, simulated_s)
        assert len(found) == (cycle is not None)
        assert all(f"no whole number of {cycle}:" in text for text in found)


@pytest.mark.parametrize(
    ("start_h", "hours", "warmup_h", "rates"),
    [
        (0.0, 168.0, 0.0, None),
        (9.0, 2.0, 0.0, ("20", "7.86")),
        (8.0, 2.0, 1.0, ("20", "7.86")),
        (8.0, 2.0, 0.0, ("12", "7.86")),
        (120.0, 24.0, 0.0, ("4.58", "7.86")),
    ],
)
def test_load_by_the_hour_says_what_it_is_scaled_from(
    start_h: float, hours: float, warmup_h: float, rates: tuple[str, str] | None
) -> None:
    """10/s: 0.4 of it by night, twice from 9 to 17, and half on Saturday and Sunday: 11/12 x 6/7 of it in the mean."""
    hourly = tuple(2.0 if 9 <= hour < 17 else 0.4 if hour < 9 else 2.4 / 7 for hour in range(24))
    weekly = (1.0,) * 5 + (0.5,) * 2
    schedule = Schedule(10.0, hourly, weekly, clock_s=start_h * 3_600)
    assert sum(hourly) / 24 == pytest.approx(11 / 12)
    classes = (
        ClassWorkload("even", Poisson(3.0), Constant(9), Constant(9)),
        ClassWorkload("hourly", schedule, Constant(9), Constant(9)),
    )
    run = RunSettings(horizon_s=hours * 3_600, warmup_s=warmup_h * 3_600)
    found = part_of_the_week(WorkloadSpec(classes), run)
    if rates is None:
        assert found == []
    else:
        (text,) = found
        assert f"hourly is scaled from {rates[0]} requests/s" in text
        assert f"week is {rates[1]}: simulate whole days or weeks" in text


@pytest.mark.parametrize("weeks", [1, 2])
def test_a_week_with_a_holiday_is_not_told_to_be_a_whole_week(weeks: int) -> None:
    """Friday is as Sunday, without load: 4 days of 5 in the first week."""
    friday_s, day_s = 4 * 86_400.0, 86_400.0
    turns = ((0.0, 0.0), (friday_s, 6 * day_s), (friday_s + day_s, 5 * day_s))
    schedule = Schedule(7.0, weekly=(1.0,) * 5 + (0.0,) * 2, turns=turns)
    classes = (ClassWorkload("hourly", schedule, Constant(9), Constant(9)),)
    (text,) = part_of_the_week(WorkloadSpec(classes), RunSettings(horizon_s=weeks * 7 * day_s))
    assert f"scaled from {7 * (5 * weeks - 1) / (7 * weeks):.3g} requests/s" in text
    assert text.endswith(
        "week is 5: its holidays and spikes count as those of each week: give them hours of their own in study.periods"
    )


@pytest.mark.parametrize(
    ("tokens", "cached_input", "said"),
    [
        ("512", 0.1, ["have 512 tokens, and z caches those of 1,024 and more: they are paid as new input"]),
        ("1024", 0.1, []),
        (
            "{kind: uniform, low: 101, high: 1500}",
            0.1,
            ["have 800 tokens in the mean, and z caches those of 1,024 and more: shorter ones are paid as new input"],
        ),
        ("512", 1.0, []),
    ],
)
def test_beginnings_too_short_for_the_cache_of_a_token_api_are_said(
    tmp_path: Path, tokens: str, cached_input: float, said: list[str]
) -> None:
    api = (
        f"{{name: z, prices: [{{input: 1, cached_input: {cached_input}, output: 1}}], ttft_s: {{median: 0.1}}, "
        "tpot_s: {median: 0.001}, data_classes: [internal], cache: {life_s: 300, least_tokens: 1024, step_tokens: 128}}"
    )
    shared = f"workload.classes[chat].prefixes={{groups: 3, tokens: {tokens}}}"
    loaded = written(tmp_path, chat(f"t: {{providers: [{api}]}}", study=""), shared)
    planned = plan_topology(loaded, "t")
    workload = workload_spec(loaded.scenario, tmp_path)
    found = cache_words(planned, resolve_terms(planned), workload)
    assert found == [f"beginnings that prompts of chat share {words}" for words in said]


@pytest.mark.parametrize(
    ("kind", "tier", "tiers", "told"),
    [
        ("job", "standard", "{batch: {price_factor: 0.5}}", True),
        ("job", "batch", "{batch: {price_factor: 0.5}}", False),
        ("job", "standard", "{flex: {price_factor: 0.5}}", False),
        ("poisson", "standard", "{batch: {price_factor: 0.5}}", False),
    ],
)
def test_a_job_at_standard_prices_is_told_where_batches_are_sold(
    tmp_path: Path, kind: str, tier: str, tiers: str, told: bool
) -> None:
    own = f"{{name: a, prices: [{{input: 1, output: 4}}], ttft_s: {{median: 1}}, tpot_s: {{median: 0.01}}, \
data_classes: [internal], service_tiers: {tiers}}}"
    text = chat(f"calls: {{providers: [{own}]}}", study="months: 1", warmup_s=0).replace(
        "slo: {ttft_s: {p99: 1.0}, tpot_s: {p95: 0.03}}", f"service_tier: {tier}"
    )
    job = "{kind: job, requests: 10, deadline_s: 60}"
    sets = [f"workload.classes[chat].arrivals={job}"] if kind == "job" else []
    scenario = written(tmp_path, text, *sets).scenario
    found = jobs_at_standard_prices(scenario.topologies["calls"], scenario.workload.classes)
    words = (
        "chat pays standard prices where a sells batches at others: `service_tier: batch` of the class asks for these"
    )
    assert found == [words] * told


def overflow(max_wait_s: float, limited: bool, last: bool) -> FleetSpec:
    """Units of throughput and prices by the token, one behind the other."""
    units = provider(name="units", max_wait_s=max_wait_s, tokens_per_minute=1000.0 * limited)
    return fleet(providers=(units, provider(name="tokens")), routing=RoutingSpec(OVERFLOW, (1, 0) if last else (0, 1)))


def use(down_s: float = 0.0) -> Usage:
    units, tokens = (ProviderUsage(name, 9, 0, 0, 0) for name in ("units", "tokens"))
    return Usage(660.0, (), (replace(units, down_s=down_s), tokens), start_s=60.0)


@pytest.mark.parametrize(
    ("max_wait_s", "limited", "last", "gone_on", "sized", "told"),
    [
        (10.0, True, False, 5, (), True),
        (10.0, True, False, 0, (), False),
        (10.0, True, False, 0, ("units",), True),
        (3.1, True, False, 5, (), True),
        (3.0, True, False, 5, (), False),
        (10.0, False, False, 5, (), False),
        (10.0, True, True, 5, (), False),
        (10.0, True, True, 5, ("units",), False),
    ],
)
def test_a_wait_beyond_the_slo_before_an_overflow_goes_on_is_told(
    max_wait_s: float, limited: bool, last: bool, gone_on: int, sized: tuple[str, ...], told: bool
) -> None:
    """Of ten seconds behind limits of units, a first token within three is missed: they were called too few."""
    classes = [RequestClass.model_validate({**CLASS, "slo": {"ttft_s": {"p95": 3.0}, "e2e_s": {"p99": 8.0}}})]
    metrics = {"targets": {"units": {"requests": 9}, "tokens": {"requests": gone_on}}}
    found = held_before_the_next(overflow(max_wait_s, limited, last), classes, metrics, [use()], sized)
    assert found == [
        f"calls wait up to {max_wait_s:g} s for the rate limits of units before any goes on to tokens, and chat has "
        "3 s for its first token: a smaller max_wait_s sends them on sooner"
    ] * bool(told)
    without = [RequestClass.model_validate(CLASS)]
    assert not held_before_the_next(overflow(10.0, True, False), without, metrics, [use()], sized)


@pytest.mark.parametrize(
    ("storm", "down_s", "sized", "told"),
    [
        ((100.0, 200.0), 0.0, (), False),
        ((100.0, 200.0), 0.0, ("units",), True),
        ((700.0, 800.0), 0.0, (), True),
        ((0.0, 60.0), 0.0, (), True),
        ((), 30.0, (), False),
        ((), 0.0, (), True),
    ],
)
def test_calls_that_go_on_in_an_outage_or_a_storm_of_429_are_not_put_down_to_limits(
    storm: tuple[float, ...], down_s: float, sized: tuple[str, ...], told: bool
) -> None:
    """The window is from 60 s to 660 s: a storm that ended with the warm-up, or comes later, sent nobody on."""
    spec = overflow(10.0, True, False)
    units, tokens = spec.providers
    spec = replace(spec, providers=(replace(units, throttling=((*storm, 1.0),) if storm else ()), tokens))
    classes = [RequestClass.model_validate({**CLASS, "slo": {"ttft_s": {"p95": 3.0}}})]
    metrics = {"targets": {"units": {"requests": 9}, "tokens": {"requests": 5}}}
    assert bool(held_before_the_next(spec, classes, metrics, [use(), use(down_s)], sized)) is told
