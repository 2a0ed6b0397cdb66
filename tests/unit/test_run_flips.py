"""Flips by further trials of whole runs: of the month of a study that asks for the most."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.decide.flips import Winners
from simulator.run.simulate import simulate

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: 2}]}"
API = (
    "api: {providers: [{name: api, offer: together/llama-3.3-70b, price_scale: PRICE, ttft_s: {median: 0.2, sigma: 0}, "
    "tpot_s: {median: 0.01, sigma: 0}, requests_per_minute: 0, tokens_per_minute: 0}]}"
)


def flips(folder: Path, study: str, price: int) -> dict[str, dict[str, Any]]:
    text = chat(
        OWN, API.replace("PRICE", str(price)), study=f"months: 13, {study}", rate_rps=5, horizon_s=12, warmup_s=2
    )
    found = simulate(written(folder, text), folder / "out", explore_s=120).decision
    return {flip["assumption"]: flip for flip in found["flips"]}


def at_halves(winners: Callable[[float], Winners], today: Winners, most: float) -> float | None:
    return next((factor for factor in (0.5, 0.2, 0.1) if not winners(factor) & today), None)


def test_flips_of_a_study_that_grows_are_those_of_its_last_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a study that has this load, and what an event has changed by then, from its first month on."""
    monkeypatch.setattr("simulator.decide.explore.smallest_change", at_halves)
    monkeypatch.setattr("simulator.run.decision.with_volumes", lambda explorer, pairs: pairs)
    event = "{name: up, from_month: 5, topology: api, change: {providers: [{name: api, price_scale: 16}]}}"
    grows = flips(tmp_path, f"growth_per_year: 1.0, events: [{event}]", 8)
    alike = flips(tmp_path, "load_steps: [{from_month: 1, load: 2.0}]", 16)
    for name in ("volume", "latency limits of the SLO", "time of engine steps"):
        assert {**alike[name], "month": 13} == grows[name]
        assert alike[name]["month"] == 0
    assert (grows["volume"]["factor"], grows["volume"]["winner"]) == (0.1, "api")
    assert grows["growth per year"]["month"] == 0
