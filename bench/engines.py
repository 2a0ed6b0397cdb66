"""Kinds of engines at one load: `python bench/engines.py`, about a minute; the best of several runs in turn.

Other processes move what a run takes, so all kinds run in turn and the best of each is shown. With an older version of
the program, a checkout of it: `PYTHONPATH=../before python bench/engines.py plain "plans in flight"`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from simulator.resolve.engines import plan_engine
from simulator.run.bench import GPU, MODEL, Setting, bench_source, fleet_spec, measure
from simulator.schema.engine import EngineSettings, SpeculativeConfig
from simulator.study.fleet import FleetSpec

WARM_UP_REQUESTS = 3_000
STAGES = 4
PIPELINE_RPS = 30.0
SHARE = 0.1
"""Of the requests of the others, with stages and drafts: they are taken request by request, ten times as long."""
DRAFTING = {"drafts": False, "drafts, plans in flight": True}


def pipeline() -> FleetSpec:
    """The benchmark's replica as a pipeline of four stages on a GPU each."""
    planned = plan_engine(MODEL, GPU, 1, STAGES, EngineSettings(quantization="none", endpoint="completions"), Path())
    spec = fleet_spec(Setting(asynchronous=True))
    pool = replace(
        spec.pools[0],
        gpus_per_replica=STAGES,
        engine=planned.config,
        step_time=planned.step_time,
        power_w_by_seqs=planned.power_w_by_seqs,
    )
    return replace(spec, pools=(pool,))


def drafting(asynchronous: bool) -> FleetSpec:
    """The benchmark's replica with three drafts a step, of which seven in ten are right."""
    drafts = SpeculativeConfig(method="eagle", num_speculative_tokens=3, acceptance=0.7)
    settings = EngineSettings(
        quantization="none",
        endpoint="completions",
        enable_prefix_caching=False,
        async_scheduling=asynchronous,
        speculative_config=drafts,
    )
    planned = plan_engine(MODEL, GPU, 1, 1, settings, Path())
    spec = fleet_spec(Setting(asynchronous=True))
    pool = replace(
        spec.pools[0],
        engine=planned.config,
        step_time=planned.step_time,
        power_w_by_seqs=planned.power_w_by_seqs,
    )
    return replace(spec, pools=(pool,))


KINDS: dict[str, dict[str, bool]] = {
    f"{name}{cached}": {**flags, **({"prefix_caching": True} if cached else {})}
    for name, flags in {
        "plain": {},
        "plans in flight": {"asynchronous": True},
        "windows": {"windows": True},
        "windows, plans in flight": {"windows": True, "asynchronous": True},
    }.items()
    for cached in ("", ", prefix caching")
} | {"store": {"prefix_caching": True, "asynchronous": True, "store": True}}
RATES_RPS = {False: 8.0, True: 9.0}
"""Without and with prefix caching."""


def runs(kind: str, requests: int) -> Callable[[], float]:
    """Gives the requests per CPU second of one more run."""
    if kind == "pipeline":
        setting, spec, rate_rps, requests = Setting(), pipeline(), PIPELINE_RPS, int(SHARE * requests)
    elif kind in DRAFTING:
        setting, spec, rate_rps, requests = Setting(), drafting(DRAFTING[kind]), RATES_RPS[False], int(SHARE * requests)
    else:
        setting = Setting(**KINDS[kind])  # type: ignore[arg-type]
        spec, rate_rps = fleet_spec(setting), RATES_RPS[setting.prefix_caching]
    measure(spec, bench_source(setting, rate_rps, WARM_UP_REQUESTS))

    def once() -> float:
        run = measure(spec, bench_source(setting, rate_rps, requests))
        return run.requests / run.simulation_cpu_s

    return once


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=[*KINDS, "pipeline", *DRAFTING])
    parser.add_argument("--requests", type=int, default=60_000)
    parser.add_argument("--best-of", type=int, default=4)
    given = parser.parse_args()
    once = {kind: runs(kind, given.requests) for kind in given.kinds}
    best = dict.fromkeys(once, 0.0)
    for _ in range(given.best_of):
        for kind, run in once.items():
            best[kind] = max(best[kind], run())
    for kind, speed in best.items():
        print(f"| {kind} | {speed:,.0f} |")


if __name__ == "__main__":
    main()
