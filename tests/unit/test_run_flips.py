"""Flips by further trials of whole runs: at their best under other prices, and of the month that asks for the most."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.decide.flips import ASSUMPTIONS, Winners
from simulator.run.further import at_binding_month
from simulator.run.loads import loads_of
from simulator.run.simulate import Run, simulate
from simulator.run.sizer import Sizer
from simulator.simulate.store import Store

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: 2}]}"
API = (
    "api: {providers: [{name: api, offer: together/llama-3.3-70b, price_scale: PRICE, ttft_s: {median: 0.2, sigma: 0}, "
    "tpot_s: {median: 0.01, sigma: 0}, requests_per_minute: 0, tokens_per_minute: 0}]}"
)

MIX = (
    "mix: {staff: {base_fte: 0}, routing: {kind: overflow, order: [base, burst]}, servers: "
    "[{name: one, site: datacentre, gpu: h100-sxm, gpus_per_server: 1, capex_usd: CAPEX, spares: 0}], "
    "pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: auto}, "
    "{name: burst, site: aws-us-east, gpu: h100-sxm, billing: on_demand, gpus_per_instance: 1, "
    "price_usd_per_gpu_hour: 2.5, replicas: auto}]}"
)
CAPEX = 30_000.0
SKIPPED = {
    "with_volumes": lambda explorer, pairs: pairs,
    "trial_flips": lambda *asked, **more: [],
    "capacities": lambda *asked: {},
}


def flips(folder: Path, study: str, price: int) -> dict[str, dict[str, Any]]:
    text = chat(
        OWN, API.replace("PRICE", str(price)), study=f"months: 13, {study}", rate_rps=5, horizon_s=12, warmup_s=2
    )
    found = simulate(written(folder, text), folder / "out", explore_s=600).decision
    return {flip["assumption"]: flip for flip in found["flips"]}


def at_halves(winners: Callable[[float], Winners], today: Winners, most: float) -> tuple[float, float] | None:
    return next(((factor, factor) for factor in (0.5, 0.2, 0.1) if not winners(factor) & today), None)


@pytest.mark.exhaustive
def test_flips_of_a_study_that_grows_are_those_of_its_last_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a study that has this load, and what an event has changed by then, from its first month on."""
    monkeypatch.setattr("simulator.decide.explore.change_within", at_halves)
    monkeypatch.setattr("simulator.run.decision.with_volumes", lambda explorer, pairs: pairs)
    event = "{name: up, from_month: 5, topology: api, change: {providers: [{name: api, price_scale: 16}]}}"
    grows = flips(tmp_path, f"growth_per_year: 1.0, events: [{event}]", 8)
    alike = flips(tmp_path, "load_steps: [{from_month: 1, load: 2.0}]", 16)
    for name in ("volume", "latency limits of the SLO", "time of engine steps"):
        assert {**alike[name], "month": 13} == grows[name]
        assert alike[name]["month"] == 0
    assert (grows["volume"]["factor"], grows["volume"]["winner"]) == (0.1, "api")
    assert grows["growth per year"]["month"] == 0


@pytest.mark.exhaustive
def test_a_price_flips_where_a_run_at_that_price_has_another_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Load that grows, and dear servers at which fewer are owned and the rest is rented: both at their best then."""
    servers = "price of servers"
    monkeypatch.setattr("simulator.decide.flips.ASSUMPTIONS", {servers: ASSUMPTIONS[servers]})
    for name, nothing in SKIPPED.items():
        monkeypatch.setattr(f"simulator.run.decision.{name}", nothing)

    def run(capex_usd: float, explore_s: float = 0.0) -> Run:
        text = chat(
            MIX.replace("CAPEX", str(capex_usd)),
            API.replace("PRICE", "0.05"),
            study="months: 2, load_steps: [{from_month: 2, load: 1.5}]",
            rate_rps=80,
            horizon_s=8,
            warmup_s=2,
        )
        return simulate(written(tmp_path, text), tmp_path / "out", explore_s=explore_s)

    today = run(CAPEX, 600.0)
    flip = next(one for one in today.decision["flips"] if one["assumption"] == servers)
    assert flip["sure"]
    assert flip["winner"] == "api"
    just_before, just_after = run(CAPEX * flip["factor"] / 1.02), run(CAPEX * flip["factor"])
    assert just_before.summary["verdict"].startswith("mix: the cheapest")
    assert just_after.summary["verdict"].startswith("api: the cheapest")
    assert replicas(just_after) != replicas(today)


def replicas(found: Run) -> list[list[int]]:
    return [month["replicas"] for month in found.decision["topologies"]["mix"]["months"]]


def test_engines_and_drafts_are_those_of_the_month_that_is_asked(tmp_path: Path) -> None:
    """From month 2 on the topology drafts, and the token API has a pool beside it."""
    drafts = "engine: {speculative_config: {method: ngram, num_speculative_tokens: 3, acceptance: 0.6}}"
    pool = "pools: [{name: more, site: datacentre, gpu: h100-sxm, billing: owned, replicas: auto}]"
    routing = "routing: {kind: overflow, order: [more, api]}"
    events = (
        f"{{name: a, from_month: 2, topology: own, change: {{pools: [{{name: base, {drafts}}}]}}}}, "
        f"{{name: b, from_month: 2, topology: api, change: {{{pool}, {routing}}}}}"
    )
    text = chat(OWN, API.replace("PRICE", "8"), study=f"months: 2, events: [{events}]", horizon_s=12, warmup_s=2)
    loaded = written(tmp_path, text)
    loads, sizer = loads_of(loaded), Sizer(Store())
    first, then = (at_binding_month(loaded, loads, sizer, {}, month) for month in (None, 2))
    assert (list(first.engines), first.drafts) == (["own"], {})
    assert (list(then.engines), then.drafts) == (["own", "api"], {"own": 0.6})
