"""Flips by further trials of whole runs: at their best through all months of the study."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.decide.assumptions import questions
from simulator.decide.explore import Asked, OutOfTime
from simulator.decide.flips import ASSUMPTIONS
from simulator.run.at_their_best import best_in_study
from simulator.run.further import moved_in
from simulator.run.loads import loads_of
from simulator.run.simulate import Run, simulate
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
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


SEASONS = (
    "months: 12, first_month: 2027-01, growth_per_year: GROWTH, "
    "periods: [{name: ordinary}, {name: season, hours_per_month: 200, load: 2.0, quarters: [4]}]"
)
ONE_GPU = (
    "own: {staff: {base_fte: 0}, servers: [{name: one, site: datacentre, gpu: h100-sxm, gpus_per_server: 1, "
    "capex_usd: 30000, spares: 0}], pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, "
    "replicas: auto}]}"
)
BY_TOKEN = (
    "api: {staff: {base_fte: 0}, providers: [{name: api, prices: [{above_tokens: 0, input: 0.11, output: 0.11}], "
    "ttft_s: {median: 0.2, sigma: 0}, tpot_s: {median: 0.01, sigma: 0}, data_classes: [internal]}]}"
)


def study(folder: Path, load: float = 1.0, growth: float = 1.0, limits: float = 1.0) -> LoadedScenario:
    """A load that grows and has a season: tokens cost less than a GPU in the first months alone."""
    text = chat(
        *(ONE_GPU, BY_TOKEN),
        study=SEASONS.replace("GROWTH", str(2.0 * growth - 1.0)),
        rate_rps=5 * load,
        tpot_s=0.03 * limits,
        horizon_s=60,
        warmup_s=2,
    )
    return written(folder, text.replace("p99: 1.0", f"p99: {limits}"))


def test_a_topology_is_asked_through_all_months_of_its_study(tmp_path: Path) -> None:
    """What it costs at its best under other loads, growth and limits is what a study with these costs."""
    loaded = study(tmp_path)
    serve = best_in_study(loaded, loads_of(loaded), Sizer(Store()))
    changes: list[dict[str, float]] = [{}, {"load": 0.7}, {"growth": 1.5}, {"limits": 0.4}]
    for change in changes:
        found = simulate(study(tmp_path, **change), None).decision["topologies"]
        for name in ("own", "api"):
            answer = serve(Asked(name, **change), math.inf)
            assert answer.meets == found[name]["meets"]
            if answer.meets:
                assert answer.usd_per_month == pytest.approx(found[name]["usd_per_month"], rel=1e-9)
                assert list(answer.usd_by_replication) == pytest.approx(found[name]["usd_by_replication"], rel=1e-9)
    assert not serve(Asked("own", limits=0.05), math.inf).meets
    with pytest.raises(OutOfTime):
        serve(Asked("own", load=1.1), -1.0)


@pytest.mark.exhaustive
def test_flips_of_a_study_are_where_a_study_of_that_value_has_another_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first months have another winner, and in its last one tokens cost nearly twice what the GPU does."""
    for name, nothing in SKIPPED.items():
        if name != "trial_flips":
            monkeypatch.setattr(f"simulator.run.decision.{name}", nothing)
    monkeypatch.setattr("simulator.run.decision.price_flips", lambda *known: [])
    moves = ("volume", "growth per year")
    monkeypatch.setattr(
        "simulator.run.decision.questions", lambda *asked: [one for one in questions(*asked) if one.assumption in moves]
    )
    run = simulate(study(tmp_path), tmp_path / "out", explore_s=600)
    found = {flip["assumption"]: flip for flip in run.decision["flips"]}
    first, last = ([run.decision["topologies"][name]["months"][k]["usd"] for name in ("own", "api")] for k in (0, 11))
    assert first[1] < first[0]
    assert last[1] > 1.8 * last[0]
    for name, key in zip(moves, ("load", "growth"), strict=True):
        flip = found[name]
        assert (flip["winner"], flip["sure"]) == ("api", True)
        for factor, winner in ((0.98 * flip["factor"], "api"), (flip["factor"] / 0.98, "own")):
            usd = simulate(study(tmp_path, **{key: factor}), None).decision["topologies"]
            assert min(usd, key=lambda one: usd[one]["usd_per_month"]) == winner


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


def test_engines_and_drafts_are_those_of_any_month(tmp_path: Path) -> None:
    """From month 2 on the topology drafts, and the token API has a pool beside it."""
    drafts = "engine: {speculative_config: {method: ngram, num_speculative_tokens: 3, acceptance: 0.6}}"
    pool = "pools: [{name: more, site: datacentre, gpu: h100-sxm, billing: owned, replicas: auto}]"
    routing = "routing: {kind: overflow, order: [more, api]}"
    events = (
        f"{{name: a, from_month: 2, topology: own, change: {{pools: [{{name: base, {drafts}}}]}}}}, "
        f"{{name: b, from_month: 2, topology: api, change: {{{pool}, {routing}}}}}"
    )
    named = {"months: 2, growth_per_year_by_class: {chat: 0.5}": (["own"], {}), f"months: 2, events: [{events}]": None}
    for study_, right in named.items():
        text = chat(OWN, API.replace("PRICE", "8"), study=study_, horizon_s=12, warmup_s=2)
        loaded = written(tmp_path, text)
        found = moved_in(loaded, loads_of(loaded))
        assert (list(found.engines), found.drafts) == (right or (["own", "api"], {"own": 0.6}))
        assert found.growth == {"chat": 0.5 if right else 0.0}
