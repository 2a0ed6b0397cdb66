"""What is said of loads, limits and queues, with the numbers of large fleets as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.metrics.queues import Hot
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.simulate import capacity as place
from simulator.simulate.capacity import Load, load_warnings

GPUS = "{name: p, site: lambda, gpu: h100-sxm, replicas: 2}"
API = "{name: api, offer: openai/gpt-4o-mini}"


def planned(folder: Path, topology: str) -> PlannedTopology:
    return plan_topology(written(folder, chat(f"t: {{{topology}}}", study="months: 1")), "t")


def load(rate_rps: float) -> Load:
    return Load(rate_rps, 300.0, 200.0)


@pytest.mark.parametrize(
    ("rate_rps", "capacity", "said"),
    [
        (1000.0, 1000.0, ""),
        (999.0, 1000.0, ""),
        (12.34, 11.2, "12.3 requests/s are offered, about 11.2 can be served"),
        (1234.5, 1000.0, "1,234 requests/s are offered, about 1,000 can be served"),
        (250_000.0, 99.96, "250,000 requests/s are offered, about 100 can be served"),
    ],
)
def test_more_than_can_be_served_is_said_and_just_as_much_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate_rps: float, capacity: float, said: str
) -> None:
    monkeypatch.setattr(place, "capacity_rps", lambda fleet, load: capacity)
    fleet = planned(tmp_path, f"pools: [{GPUS}]")
    assert load_warnings(load(rate_rps), fleet) == ([f"unstable: {said}; the queue will only grow"] if said else [])
    met = [f"{said} by step times alone, yet what was simulated meets the SLO: whether it lasts is not known"]
    assert load_warnings(load(rate_rps), fleet, met=True) == (met if said else [])


@pytest.mark.parametrize(
    "topology",
    [f"pools: [{GPUS}], providers: [{API}], routing: {{kind: overflow, order: [p, api]}}", f"providers: [{API}]"],
)
def test_what_token_apis_can_serve_is_not_guessed(tmp_path: Path, topology: str) -> None:
    assert load_warnings(load(1e6), planned(tmp_path, topology)) == []


def test_a_load_that_is_not_known_is_not_judged(tmp_path: Path) -> None:
    assert load_warnings(None, planned(tmp_path, f"pools: [{GPUS}]")) == []


@pytest.mark.parametrize(
    ("waiting", "elsewhere", "said"),
    [(1.0, 0.1, "1 wait for it, 0.1 for each other"), (2345.6, 120.4, "2,346 wait for it, 120 for each other")],
)
def test_how_many_wait_for_the_replica_that_is_at_its_limit(waiting: float, elsewhere: float, said: str) -> None:
    words = Hot(0, 12, 0.25, waiting, elsewhere).words
    assert words.startswith("one replica of 12 is at its limit while the others have room: 25% of the requests")
    assert f"on average {said}" in words
