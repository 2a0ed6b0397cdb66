"""What block tables by group change against a reservation for windows: `python bench/windows.py`, about a minute.

The same requests on one replica with the same step times, so that only the blocks differ: each kind of layers with its
own table from one pool, room for windows of `max_num_seqs` sequences kept aside, and every layer keeping all tokens
(`disable_hybrid_kv_cache_manager`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind, KvGroup, Modes
from simulator.run.bench import Measurement, Setting, measure
from simulator.run.bench import fleet_spec as bench_spec
from simulator.study.fleet import FleetSpec
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Lognormal, Poisson, WorkloadSpec

POOL_TOKENS = 60_000
"""KV of so many tokens in all layers: little, so that it decides."""
REQUESTS = 12_000
SIZE = 16


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers with a window for each with full attention, and its tokens."""

    name: str
    windows: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Load:
    """Mean lengths, and a rate that is more than the replica serves or less."""

    isl: int
    osl: int
    rate_rps: float


MODELS = (Layers("gpt-oss, 1 : 1 of 128", 1, 128), Layers("Gemma 3, 5 : 1 of 1,024", 5, 1024))
LOADS = (Load(512, 256, 30.0), Load(4096, 256, 30.0))


def engines(config: EngineConfig, layers: Layers) -> dict[str, EngineConfig]:
    """The engine with groups, with the reservation, and with all tokens kept; all of the same memory."""
    kinds = layers.windows + 1
    blocks = POOL_TOKENS // SIZE
    groups = (KvGroup(GroupKind.WINDOW, SIZE, layers.tokens),) * layers.windows + (KvGroup(GroupKind.FULL, SIZE),)
    aside = min(config.max_num_seqs * layers.tokens * layers.windows, POOL_TOKENS * layers.windows)
    modes = Modes(groups=groups, max_in_flight_tokens=config.max_num_batched_tokens)
    return {
        "groups": replace(config, num_blocks=blocks * kinds, modes=modes),
        "reservation": replace(config, num_blocks=(POOL_TOKENS * kinds - aside) // SIZE),
        "all tokens kept": replace(config, num_blocks=blocks),
    }


def spec_of(engine: EngineConfig) -> FleetSpec:
    spec = bench_spec(Setting())
    return replace(spec, pools=(replace(spec.pools[0], engine=engine),))


def run(engine: EngineConfig, load: Load) -> Measurement:
    workload = ClassWorkload("bench", Poisson(load.rate_rps), Lognormal(load.isl, 0.6), Lognormal(load.osl, 0.6))
    return measure(spec_of(engine), build_source(WorkloadSpec((workload,)), REQUESTS / load.rate_rps, 0))


def main() -> None:
    print("| layers | prompt | | batch | steps | preemptions |")
    print("|---|---:|---|---:|---:|---:|")
    config = bench_spec(Setting()).pools[0].engine
    for layers in MODELS:
        for load in LOADS:
            for name, engine in engines(config, layers).items():
                found = run(engine, load)
                print(
                    f"| {layers.name} | {load.isl:,} | {name} | {found.batch_mean:.0f} | {found.steps:,} "
                    f"| {found.preemptions:,} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
