"""Estimates and old figures that a run names, each with what moves with it: by lines of the bill and by its energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.catalog.grids import grid
from simulator.run.estimates import _apart, old_words
from simulator.run.simulate import simulate
from simulator.study.figure import Figure

OWN = (
    "own: {pools: [{name: base, site: datacentre, gpu: l40s, billing: owned, replicas: 1}], "
    "servers: [{name: mine, site: datacentre, server: 2xl40s}]}"
)
RENT = "rent: {pools: [{name: p, site: aws-us-east, gpu: h100-sxm, replicas: 1}]}"
ELSEWHERE = "far: {pools: [{name: p, gpu: h100-sxm, price_usd_per_gpu_hour: 2, billing: spot, replicas: 1}]}"
CALLS = (
    "api: {providers: [{name: a, offer: openai/gpt-4o-mini}, {name: b, offer: openai/gpt-4o}, {name: c, "
    "offer: openai/gpt-4o, ttft_s: {median: 0.5}, tpot_s: {median: 0.02}, requests_per_minute: 600, "
    "tokens_per_minute: 1e6, error_probability: 0}], routing: {kind: weighted, weights: {a: 1, b: 1, c: 1}}}"
)


def run(folder: Path, *topologies: str, sets: tuple[str, ...] = ()) -> Any:
    text = chat(*topologies, study="months: 12", rate_rps=1, horizon_s=60, warmup_s=5)
    return simulate(written(folder, text, "cost.draws=0", *sets), folder)


def told(found: dict[str, Any]) -> str:
    return " ".join(row["text"] for row in found["warnings"])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("estimates"), OWN, RENT, ELSEWHERE, CALLS)


def test_estimates_of_a_kind_of_server_have_the_share_of_their_lines(found: Any) -> None:
    """Its price is a factor of hardware, network and maintenance; the power beside its GPUs of that of the hosts, that
    of a GPU without a model of what is unused."""
    own, lines = found.summary["topologies"]["own"], found.table("costs")
    mine = lines[lines["topology"] == "own"]
    usd = mine["usd_per_month"].sum()
    bought = mine.loc[mine["category"].isin(["hardware", "network and storage", "maintenance"]), "usd_per_month"].sum()
    power = mine[mine["category"] == "electricity"].set_index("part")["usd_per_month"]
    space = mine.loc[mine["category"] == "space", "usd_per_month"].sum()
    shares = {row["figure"].rpartition(".")[2]: row["share"] for row in own["drivers"] if "l40s" in row["figure"]}
    assert shares == pytest.approx(
        {"capex": bought / usd, "host": power["hosts"] / usd, "bare": power["unused"] / usd, "nameplate": space / usd}
    )
    assert bought > 0.05 * usd
    words = told(own)
    assert f"{shares['capex']:.0%}" in words
    assert "prices that are estimates" not in words
    assert "power in serving of l40s is an estimate" in words


def test_the_course_of_a_grid_is_named_with_the_co2_that_moves_with_it(found: Any) -> None:
    rent = found.summary["topologies"]["rent"]
    (energy,) = rent["cost"]["energy"]
    assert grid("us-va").by_hour.kind == "estimate"
    level = energy["kwh_per_month"] * grid("us-va").annual.value
    moves = level / energy["co2_kg_per_month"] - 1
    assert abs(moves) > 0.001
    words = f"CO2 is {abs(moves):.1%} {'less' if moves < 0 else 'more'}"
    assert f"the course over days and months of the grid of us-va is an estimate: at the mean of the year {words}" in (
        told(rent)
    )
    assert "the bill" not in told(rent).partition("the course of the grid")[2].partition(words)[0]


def test_a_price_of_carbon_brings_the_course_into_the_bill(tmp_path: Path) -> None:
    sets = ("cost.co2_usd_per_tonne=200",)
    own = run(tmp_path, OWN, sets=sets).summary["topologies"]["own"]
    (energy,) = own["cost"]["energy"]
    carbon = 0.2 * energy["co2_kg_per_month"]
    level = 0.2 * energy["kwh_per_month"] * grid("us").annual.value
    moves = (level - carbon) / own["cost"]["usd_per_month"]
    assert f", the bill {abs(moves):.2%} {'less' if moves < 0 else 'more'}" in told(own)


def test_what_times_and_the_slo_rest_on_is_said_in_words(found: Any) -> None:
    far, api = (told(found.summary["topologies"][name]) for name in ("far", "api"))
    assert "estimates of places, on which times and the SLO rest: network one way at elsewhere" in far
    assert "PUE at elsewhere is an estimate: energy and CO2 there are in proportion to it, the bill is not" in far
    assert "latency, rate limits and errors of a and b are catalog estimates: TTFT, TPOT and the SLO rest on" in api
    assert " and c are" not in api


def test_old_figures_are_one_line_with_the_weightiest_first() -> None:
    old = [
        Figure("onprem.fte_cost", 1.0, "USD per FTE-year", "sourced", "s", "2025-05"),
        Figure("aws-us-east/h100-sxm/on_demand", 1.0, "USD per GPU-hour", "sourced", "s", "2026-07"),
        Figure("topologies.a.pools[0].price_usd_per_gpu_hour", 1.0, "USD per GPU-hour", "given", "s", "2024"),
        Figure("onprem.lead_time_weeks.colo", 1.0, "weeks", "sourced", "s", "2024"),
    ]
    shares = {"onprem.fte_cost": 0.1, "aws-us-east/h100-sxm/on_demand": 0.7, "onprem.lead_time_weeks.colo": 0.0}
    assert old_words(old, shares) == [
        "3 old figures are behind the bill, most of all price of h100-sxm at aws-us-east, on demand (2026-07) 70% of "
        "the bill; also salary with all that comes with it (2025-05) 10%, "
        "topologies.a.pools[0].price_usd_per_gpu_hour (2024)"
    ]
    assert old_words(old[:1], shares) == [
        "an old figure is behind the bill: salary with all that comes with it (2025-05) 10% of the bill"
    ]
    assert old_words(old[3:], shares) == []


@pytest.mark.parametrize(
    ("share", "digits", "words"),
    [(0.0004, 1, "the same"), (-0.0004, 1, "the same"), (0.0006, 1, "0.1% more"), (-0.02, 2, "2.00% less")],
)
def test_what_rounds_to_nothing_is_not_told_as_nothing_more(share: float, digits: int, words: str) -> None:
    assert _apart(share, digits) == words
