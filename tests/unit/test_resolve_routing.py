"""Routing of a scenario: targets that are open by the hour of the week."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.resolve.routing import routing_spec
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario
from simulator.schema.clock import RoutingWindow
from simulator.schema.routing import WeightedRouting, WindowsRouting
from simulator.study.choices import TargetRouting
from simulator.study.fleet import FleetSpec, RoutingSpec

HOUR_S = 3600.0
SCENARIO = """
schema_version: 1
name: hours
model: llama-3.1-8b
workload: {{classes: [{{name: chat, arrivals: {{kind: poisson, rate_rps: 1}}, lengths: {{isl: 100, osl: 10}}}}]}}
topologies:
  t:
    pools: [{{name: own, site: lambda, gpu: h100-sxm}}]
    providers: [{{name: api, offer: groq/llama-3.3-70b}}, {{name: other, offer: openai/gpt-4o-mini}}]
    routing: {routing}
run: {{horizon_s: 60}}
"""


def planned(tmp_path: Path, routing: str) -> FleetSpec:
    path = tmp_path / "hours.yaml"
    path.write_text(SCENARIO.format(routing=routing))
    return plan_topology(load_scenario(path), "t").fleet


def open_at(routing: RoutingSpec, hour: float) -> tuple[int, ...]:
    """Targets that are open so many hours after Monday 00:00."""
    row = [opening for opening in routing.openings if opening.start_s <= hour % 168 * HOUR_S][-1]
    return tuple(k for k, is_open in enumerate(row.targets) if is_open)


def test_own_in_the_busy_hours_and_an_api_outside(tmp_path: Path) -> None:
    text = "{kind: windows, windows: [{days: mon-fri, hours: 8-18, use: [own]}], otherwise: [api, other]}"
    routing = planned(tmp_path, text).routing
    assert (routing.kind, routing.order) == (TargetRouting.OVERFLOW, (0, 1, 2))
    assert [open_at(routing, hour) for hour in (0, 7.9, 8, 17.9, 18, 80, 97, 114, 128, 167.9)] == [
        *((1, 2), (1, 2), (0,), (0,), (1, 2)),
        *((0,), (1, 2), (1, 2), (1, 2), (1, 2)),
    ]


@pytest.mark.parametrize(
    ("weights", "shares"), [("{own: 1, api: 3}", (1, 3, 0)), ("{other: 2}", (0, 0, 2)), (None, (1, 1, 1))]
)
def test_who_has_no_weight_among_weights_is_sent_nothing(
    tmp_path: Path, weights: str | None, shares: tuple[float, ...]
) -> None:
    text = "{kind: weighted}" if weights is None else f"{{kind: weighted, weights: {weights}}}"
    routing = planned(tmp_path, text).routing
    assert (routing.kind, routing.order, routing.weights) == (TargetRouting.WEIGHTED, (0, 1, 2), shares)


def test_the_first_window_that_holds_counts_on_any_rule(tmp_path: Path) -> None:
    text = (
        "{kind: weighted, weights: {own: 1, api: 3}, windows: [{hours: 9-10, use: [api]}, {hours: 8-12, use: [own]}]}"
    )
    routing = planned(tmp_path, text).routing
    assert routing.kind == TargetRouting.WEIGHTED
    assert [open_at(routing, hour) for hour in (7, 8, 9, 10, 12)] == [(0, 1, 2), (0,), (1,), (0,), (0, 1, 2)]


@given(st.integers(0, 23), st.integers(1, 23), st.sampled_from(["mon", "wed-fri", "sat-mon", "mon-sun"]))
def test_hours_open_and_closed_make_a_week(first: int, hours: int, days: str) -> None:
    window = RoutingWindow(days=days, hours=f"{first}-{(first + hours - 1) % 24 + 1}", use=("a",))
    rule = WindowsRouting(kind="windows", windows=(window,), otherwise=("b",))
    routing = routing_spec(rule, ["a", "b"], [0, 1])
    n_days = {"mon": 1, "wed-fri": 3, "sat-mon": 3, "mon-sun": 7}[days]
    inside = [open_at(routing, hour) == (0,) for hour in range(168)]
    assert sum(inside) == n_days * hours
    assert all(open_at(routing, hour) in ((0,), (1,)) for hour in range(168))


def test_without_windows_every_target_is_open() -> None:
    assert routing_spec(WeightedRouting(), ["a", "b"], [0, 1]).openings == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{kind: windows}", "windows"),
        ("{kind: windows, windows: [{hours: 8-8, use: [own]}]}", "windows[0].hours"),
        ("{kind: windows, windows: [{hours: 8-9, use: [nobody]}]}", "windows[0].use[0]"),
        ("{kind: windows, windows: [{hours: 8-9, use: [own]}], otherwise: [nobody]}", "otherwise[0]"),
        ("{kind: windows, windows: [{hours: 8-9, use: []}]}", "windows[0].use"),
        ("{kind: weighted, otherwise: [own]}", "otherwise"),
    ],
)
def test_bad_hours_are_refused_at_their_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, text)
    assert f"topologies.t.routing.{place}" in [problem.path for problem in caught.value.problems]
    assert caught.value.problems[0].line == 10
