"""What plans in flight change in the schedule: `python bench/flight.py`, about 20 s.

The same requests on one replica with and without asynchronous scheduling, at the same step times, so that only the
schedule differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.engine.modes.spec import Flight, Modes
from simulator.run.bench import (
    ISL_MEAN_TOKENS,
    LENGTH_CV,
    OSL_MEAN_TOKENS,
    SEED,
    Measurement,
    Setting,
    bench_source,
    fleet_spec,
    measure,
)
from simulator.study.fleet import FleetSpec
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Lognormal, Poisson, WorkloadSpec

ASYNCHRONOUS = Modes(flight=Flight(depth=2, asynchronous=True))


@dataclass(frozen=True, slots=True)
class Load:
    """Requests at a rate, and limits other than the replica's own; `waits` where more come than it serves.

    Attributes
    ----------
    output_tokens : mean of the answers
    """

    name: str
    rate_rps: float
    requests: int
    waits: bool = False
    max_num_seqs: int | None = None
    num_blocks: int | None = None
    output_tokens: int = OSL_MEAN_TOKENS


LOADS = (
    Load("7.5 requests/s", 7.5, 60_000),
    Load("10 requests/s", 10.0, 60_000),
    Load("more than it serves, 256 sequences", 15.0, 20_000, waits=True),
    Load("more than it serves, 64 sequences", 15.0, 20_000, waits=True, max_num_seqs=64),
    Load("more than it serves, 6,000 blocks", 15.0, 20_000, waits=True, num_blocks=6_000),
    Load("the same, 64 sequences, answers of 64 tokens", 60.0, 20_000, waits=True, max_num_seqs=64, output_tokens=64),
    Load("the same, 32 sequences, answers of 32 tokens", 60.0, 20_000, waits=True, max_num_seqs=32, output_tokens=32),
)


def spec_of(load: Load, modes: Modes) -> FleetSpec:
    """The benchmark's replica under this load's limits, with the step times of asynchronous scheduling."""
    spec = fleet_spec(Setting(asynchronous=True))
    (pool,) = spec.pools
    seqs = load.max_num_seqs or pool.engine.max_num_seqs
    engine = replace(pool.engine, modes=modes, max_num_seqs=seqs, num_blocks=load.num_blocks or pool.engine.num_blocks)
    step_time = replace(pool.step_time, seq_time_s=pool.step_time.seq_time_s[: seqs + 1])
    pool = replace(pool, engine=engine, step_time=step_time, power_w_by_seqs=pool.power_w_by_seqs[: seqs + 1])
    return replace(spec, pools=(pool,))


def run(load: Load, modes: Modes) -> Measurement:
    source = bench_source(Setting(), load.rate_rps, load.requests)
    if load.output_tokens != OSL_MEAN_TOKENS:
        isl, osl = (Lognormal(mean, LENGTH_CV, max=16 * mean) for mean in (ISL_MEAN_TOKENS, load.output_tokens))
        cls = ClassWorkload("short", Poisson(load.rate_rps), isl, osl)
        source = build_source(WorkloadSpec((cls,)), load.requests / load.rate_rps, SEED)
    return measure(spec_of(load, modes), source)


def main() -> None:
    print("| load | batch | steps, sync | steps, async | preemptions, sync | async | mean TTFT, sync | async | step |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for load in LOADS:
        plain, flying = run(load, Modes()), run(load, ASYNCHRONOUS)
        more = 100 * (flying.steps / plain.steps - 1)
        ttft = " | ".join("" if load.waits else f"{1e3 * each.mean_ttft_s:.0f} ms" for each in (plain, flying))
        step = "" if load.waits else f"{1e3 * load.requests / load.rate_rps / plain.steps:.0f} ms"
        print(
            f"| {load.name} | {plain.batch_mean:.0f} | {plain.steps:,} | {flying.steps:,} ({more:+.2f} %) "
            f"| {plain.preemptions:,} | {flying.preemptions:,} | {ttft} | {step} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
