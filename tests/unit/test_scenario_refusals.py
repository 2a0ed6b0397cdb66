"""What cannot be meant is refused where it stands, in words that say what can."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.topology import check_catalog_names, plan_topologies
from simulator.run.loads import loads_of
from simulator.scenario.explain import PATTERNS
from simulator.scenario.load import load_scenario

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "tests/data/scenarios/dashboard.yaml"
SMALL = ROOT / "tests/data/scenarios/small.yaml"
TRAFFIC = ROOT / "scenarios/traffic/azure-llm-2023-conv.json"
CHAT = "workload.classes[chat]"
BASE = "topologies.own.pools[base]"


def checked(*sets: str) -> None:
    """As `servecast validate` does it."""
    loaded = load_scenario(SCENARIO, sets=sets)
    check_catalog_names(loaded)
    plan_topologies(loaded)


def refused(*sets: str) -> InputError:
    with pytest.raises(InputError) as caught:
        checked(*sets)
    return caught.value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            "topologies.own.fees=[{name: power and cooling, usd_per_month: 3}]",
            "must be letters, digits, '_', '.' and '-'",
        ),
        (f'{BASE}.replicas="3"', "replicas: must be a number without quotes, or auto (got 3)"),
        (f'{BASE}.tensor_parallel_size="2"', "tensor_parallel_size: must be a number without quotes (got 2)"),
        ('run.horizon_s="60"', "run.horizon_s: must be a number without quotes, in s (got 60)"),
        ("run.horizon_s=long", "run.horizon_s: must be a number, in s (got long)"),
        (f"{BASE}.replicas=many", "replicas: unknown value 'many': known are auto"),
        (f"{CHAT}.tenant=a b", "must be letters, digits"),
        ("run.start=someday", "must be a day of the week and a time, as tue 8:00"),
        (f"{BASE}.schedule=[{{hours: 8-25, replicas: 2}}]", "must be hours of a day, from and to, as 8-20"),
        (f"{BASE}.schedule=[{{days: weekdays, replicas: 2}}]", "must be days of the week, as mon-fri"),
        ("study.first_month=January", "must be a month of the calendar, as 2027-01"),
        ("topologies.own.pools[0].price_date=yesterday", "must be a day, as 2026-11-26"),
        (f"{CHAT}.priority=2147483648", "priority: must be less than or equal to 2147483647"),
        (
            "study.events=[{name: new, from_month: 2, topology: own, change: {pools: [{name: {a: 1}}]}}]",
            "study.events[0].change.pools[0].name: must be a valid string",
        ),
        ("run.start=2027-02-30", "--set run.start=2027-02-30: run.start: is no timestamp (got 2027-02-30)"),
        ("run.seed=[1", "--set run.seed=[1: run.seed: not valid YAML"),
        ("run.horizon_s=1e12", "run.horizon_s: must be less than or equal to 315360000"),
        ("study.periods=[{name: never, load: 0}]", "nobody of class chat comes in any period"),
        ("servers=[{name: a, site: lambda, gpu: h100-sxm}]", "servers[0].site: no owned pool with h100-sxm of any"),
        ("servers=[{name: a, site: colo}]", "servers[0].site: no owned pool of any topology stands there"),
        (f"{BASE}.kv_transfer={{latency_s: 1}}", "kv_transfer: only pools with role prefill or decode"),
    ],
)
def test_what_cannot_be_meant_is_told_in_words(given: str, told: str) -> None:
    assert told in str(refused(given))


def test_every_pattern_of_the_format_has_words() -> None:
    text = (ROOT / "scenarios/schema/scenario.schema.json").read_text()
    patterns = set(re.findall(r'"pattern": ("[^"]*")', text))
    assert {json.loads(pattern) for pattern in patterns} == set(PATTERNS)


@pytest.mark.parametrize(
    "arrivals",
    [
        "{kind: poisson, rate_rps: 1e9}",
        "{kind: sessions, rate_rps: 1e9, turns: 3, think_s: 1}",
        "{kind: closed_loop, concurrency: 1000000000}",
        "{kind: job, requests: 1000000000, deadline_s: 60}",
        "{kind: job, tokens: 10000000000000, deadline_s: 60}",
        f"{{kind: profile, file: {TRAFFIC}, rate_scale: 1e9}}",
    ],
)
def test_more_requests_than_anybody_means_are_bounded_and_the_bound_can_be_raised(arrivals: str) -> None:
    sets = ["run.warmup_s=0", f"{CHAT}.slo={{}}", f"{CHAT}.arrivals={arrivals}"]
    problem = refused(*sets).problems[0]
    assert problem.path == "workload.classes[0].arrivals"
    assert "run.max_requests (100,000,000)" in problem.message
    with pytest.raises(InputError) as before:
        loads_of(load_scenario(SCENARIO, sets=sets))
    assert before.value.problems == (problem,), "told before anybody counts them, by run, plan and sweep alike"
    plan_topologies(load_scenario(SCENARIO, sets=[*sets, "run.max_requests=10000000000000"]))


def test_blocks_that_hold_no_request_are_refused() -> None:
    """One block is the null block, so two hold one of 16 tokens."""
    small = f"{CHAT}.lengths={{isl: 10, osl: 6}}"
    plan_topologies(load_scenario(SCENARIO, sets=["engine.num_gpu_blocks_override=2", small]))
    long = f"{CHAT}.lengths={{isl: 10, osl: 7}}"
    text = str(refused("engine.num_gpu_blocks_override=2", "topologies.api=null", long))
    assert "the shortest request has 17 tokens" in text
    assert "holds more than 16" in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("many", [("", "unknown value 'many': known are auto")]),
        ("[3]", [("[0]", "must be a mapping of keys to values")]),
        (
            "[{upfront_share: 2}]",
            [("[0]", "'term_months' is missing"), ("[0].upfront_share", "must be less than or equal to 1")],
        ),
    ],
)
def test_of_a_number_a_word_and_a_list_what_was_meant_is_told_alone(given: str, told: list[tuple[str, str]]) -> None:
    """A list as a list, text as the one word that may stand in its place."""
    with pytest.raises(InputError) as caught:
        load_scenario(SMALL, sets=[f"topologies.own.pools[base].commitments={given}"])
    place = "topologies.own.pools[0].commitments"
    assert sorted((str(one.path).removeprefix(place), one.message) for one in caught.value.problems) == told
