"""Ten runs that have little in common, for what has to hold of every run: small ones, by what is particular to each."""

from __future__ import annotations

from pathlib import Path

from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

DATA = Path(__file__).resolve().parents[1] / "data/scenarios"
_CHAT = "workload.classes[chat]"
_SHORT = ("run.horizon_s=40", "run.warmup_s=5", "run.replications=1")
_POOL = "site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned"
UNLIKE = {
    "hybrid under outages, spot with failures": ("troubled.yaml", ("run.horizon_s=200",)),
    "cascade": (
        "dashboard.yaml",
        (
            *_SHORT,
            f"{_CHAT}.complexity={{kind: uniform, low: 0, high: 1}}",
            f"topologies.cascade={{pools: [{{name: small, {_POOL}}}], "
            "providers: [{name: api, offer: openai/gpt-4o}], "
            "routing: {kind: cascade, first: small, second: api, escalate: {above_complexity: 0.7}}}",
            "cost.draws=0",
        ),
    ),
    "token APIs alone": (
        "dashboard.yaml",
        (
            *_SHORT,
            "topologies={mini: {providers: [{name: openai, offer: openai/gpt-4o-mini, requests_per_minute: 120}]}, "
            "large: {providers: [{name: openai, offer: openai/gpt-4o}]}}",
            "cost.draws=20",
        ),
    ),
    "months that grow, one topology that fails": (
        "dashboard.yaml",
        (*_SHORT, "study.months=6", "study.load_steps=[{from_month: 3, load: 40}]", "cost.draws=20"),
    ),
    "spot with failures, an API that errs and answers 429, in euros": (
        "troubled.yaml",
        (
            "run.horizon_s=300",
            "run.replications=2",
            "topologies.hybrid.providers[api].error_probability=0.2",
            "topologies.hybrid.providers[api].requests_per_minute=60",
            "currency={code: EUR, usd_per_unit: 1.25, date: 2026-11-26, source: a test}",
        ),
    ),
    "users that wait for their answers": (
        "dashboard.yaml",
        (*_SHORT, f"{_CHAT}.arrivals={{kind: closed_loop, concurrency: 6, think_s: 2}}", "cost.draws=0"),
    ),
    "a given throughput": (
        "dashboard.yaml",
        (*_SHORT, "engine.throughput={output_tokens_per_s: 150, input_tokens_per_s: 4000}", "cost.draws=0"),
    ),
    "prefill and decode apart": (
        "dashboard.yaml",
        (
            *_SHORT,
            f"topologies.apart={{pools: [{{name: prompts, {_POOL}, role: prefill, hands_to: answers}}, "
            f"{{name: answers, {_POOL}, role: decode}}]}}",
            "cost.draws=0",
        ),
    ),
    "one finite job": (
        "dashboard.yaml",
        (
            f"{_CHAT}.arrivals={{kind: job, requests: 200, deadline_s: 60}}",
            f"{_CHAT}.slo={{}}",
            "run.warmup_s=0",
            "run.replications=2",
            "cost.draws=0",
        ),
    ),
    "nobody comes": ("dashboard.yaml", (*_SHORT, f"{_CHAT}.arrivals.rate_rps=0.0001", "cost.draws=0")),
}
"""File below the tests' scenarios, and what is set in it."""


def run_unlike(kind: str, folder: Path) -> Bundle:
    """Simulate one of them into a folder of its own."""
    file, sets = UNLIKE[kind]
    return read_bundle(simulate(load_scenario(DATA / file, sets=sets), folder, advise=True).bundle)
