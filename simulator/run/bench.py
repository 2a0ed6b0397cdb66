"""How fast the data plane runs: an 8B model per A100-80, Poisson arrivals at 70 % of a saturated replica's rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind, KvGroup, Modes
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import Status
from simulator.resolve.cache_modes import store_link
from simulator.resolve.engines import plan_engine
from simulator.resolve.offloading import host_link
from simulator.schema.engine import EngineSettings, KvConnector
from simulator.simulate.capacity import replica_capacity_rps
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import ClosedLoop, Requests, RequestSource
from simulator.workload.source import build_source
from simulator.workload.spec import Brought, ClassWorkload, Constant, Length, Lognormal, Poisson, Prefixes, WorkloadSpec

MODEL, GPU = "llama-3.1-8b", "a100-80"
ISL_MEAN_TOKENS, OSL_MEAN_TOKENS, LENGTH_CV = 512, 256, 0.6
LOAD = 0.7
PREFIX_GROUPS, PREFIX_TOKENS, PREFIX_SHARE = 64, 256, 0.5
WINDOW_TOKENS = 128
STORE_GB_PER_S = 20.0
OFFLOAD_GIB = 64.0
SATURATED_REQUESTS = 20_000
WARM_UP_REQUESTS = 3_000
REPEATS = 3
SEED = 0

Progress = Callable[[str, float], None]
"""Called with the benchmark that runs and the share of the whole that is done."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What one benchmark simulates.

    Attributes
    ----------
    replicas : behind one gateway with least-outstanding routing, each offered the same load
    prefix_caching : caching on, and half of the prompts begin with one of 64 texts of 256 tokens
    asynchronous : plans in flight (asynchronous scheduling, vLLM's default); else one step at a time
    windows : every second layer sees 128 tokens, so that there are two KV cache groups
    store : of KV caches, loaded at 20 GB/s; with plans in flight and prefix caching
    offload : KV blocks in 64 GiB of the CPU's memory as well; with plans in flight and prefix caching
    adapters : as many LoRA adapters as fit, so that every request is looked at in every plan
    constant_lengths : every request 512/256 tokens, rather than lognormal lengths with these means and cv 0.6
    """

    replicas: int = 1
    prefix_caching: bool = False
    constant_lengths: bool = False
    asynchronous: bool = False
    windows: bool = False
    adapters: bool = False
    store: bool = False
    offload: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """One timed run; times are wall-clock seconds unless named otherwise.

    Attributes
    ----------
    simulation_s, simulation_cpu_s : within `DataPlane.advance`, chunk loading included, drawing of requests excluded
    generation_s : drawing of requests
    steps, preemptions : over all replicas
    batch_mean : output tokens per step, that is requests that yield a token in a step
    cached_share : of the prompt tokens of completed requests
    mean_ttft_s : of completed requests, in simulated time
    """

    requests: int
    simulation_s: float
    simulation_cpu_s: float
    generation_s: float
    steps: int
    preemptions: int
    batch_mean: float
    cached_share: float
    mean_ttft_s: float

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.simulation_s


class _TimedSource:
    """A source that adds up the time it takes to draw its requests."""

    def __init__(self, source: RequestSource) -> None:
        self._source = source
        self.wall_s = 0.0
        self.cpu_s = 0.0

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._source.class_names

    @property
    def closed_loops(self) -> tuple[ClosedLoop, ...]:
        return self._source.closed_loops

    def chunks(self) -> Iterator[Requests]:
        chunks = self._source.chunks()
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            chunk = next(chunks, None)
            self.wall_s += time.perf_counter() - wall
            self.cpu_s += time.process_time() - cpu
            if chunk is None:
                return
            yield chunk


class _Totals:
    """Sums over the records of ended requests: memory does not grow with their number."""

    def __init__(self) -> None:
        self.requests = 0
        self.completed = 0
        self.ttft_s = 0.0

    def __call__(self, records: NDArray[Any]) -> None:
        done = records[records["status"] == Status.COMPLETED]
        self.requests += len(records)
        self.completed += len(done)
        self.ttft_s += float((done["first_token_s"] - done["arrival_s"]).sum())


def fleet_spec(setting: Setting) -> FleetSpec:
    """Replicas of the model in bf16, with the GPU's memory plan and vLLM's default limits, at the same step times."""
    settings = EngineSettings(
        quantization="none",
        endpoint="completions",
        enable_prefix_caching=setting.prefix_caching,
        kv_connector=KvConnector(gb_per_s_per_gpu=STORE_GB_PER_S) if setting.store else None,
        kv_offloading_size=OFFLOAD_GIB if setting.offload else None,
    )
    planned = plan_engine(MODEL, GPU, 1, 1, settings, Path())
    engine = planned.config if setting.asynchronous else replace(planned.config, modes=Modes())
    if setting.adapters:
        engine = replace(engine, modes=replace(engine.modes, max_loras=engine.max_num_seqs))
    pool = PoolSpec(
        name="bench",
        site="bench",
        gpus_per_replica=1,
        replicas=setting.replicas,
        engine=half_windows(engine) if setting.windows else engine,
        step_time=planned.step_time,
        power_w_by_seqs=planned.power_w_by_seqs,
        kv_transfer=host_link(planned.machine, planned.memory.block_bytes, 1)
        if setting.offload
        else store_link(settings, planned.memory.block_bytes, 1),
    )
    routing = RoutingSpec(TargetRouting.WEIGHTED, (0,))
    return FleetSpec("bench", (pool,), (), routing, (ClassSpec("bench", (True,)),))


def half_windows(config: EngineConfig) -> EngineConfig:
    """The engine with two groups of half the layers each, so that a block is half as large and there are twice as many.

    The scheduler of gpt-oss: one group sees all tokens, the other the last 128.
    """
    size = config.block_size
    groups = (KvGroup(GroupKind.WINDOW, size, WINDOW_TOKENS), KvGroup(GroupKind.FULL, size))
    return replace(config, num_blocks=2 * config.num_blocks, modes=replace(config.modes, groups=groups))


def bench_source(setting: Setting, rate_rps: float, requests: int) -> RequestSource:
    """Poisson arrivals at `rate_rps` over the time in which `requests` are expected."""
    prefixes = Prefixes(PREFIX_GROUPS, Constant(PREFIX_TOKENS), PREFIX_SHARE) if setting.prefix_caching else None
    isl, osl = (_length(mean, setting.constant_lengths) for mean in (ISL_MEAN_TOKENS, OSL_MEAN_TOKENS))
    workload = ClassWorkload("bench", Poisson(rate_rps), isl, osl, prefixes, brought=Brought(stored=setting.store))
    return build_source(WorkloadSpec((workload,)), requests / rate_rps, SEED)


def _length(mean: int, constant: bool) -> Length:
    return Constant(mean) if constant else Lognormal(mean, LENGTH_CV, max=16 * mean)


def measure(spec: FleetSpec, source: RequestSource) -> Measurement:
    """Simulate `source` on `spec` until the last request has ended, and time it."""
    timed, totals = _TimedSource(source), _Totals()
    pool = spec.pools[0]
    plane = DataPlane(spec, timed, (pool.replicas,), SEED, totals)
    for replica in range(pool.replicas):
        plane.activate(replica, 0.0)
    wall, cpu = time.perf_counter(), time.process_time()
    plane.advance(np.inf)
    plane.drain_records()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    replicas = plane.engines.replicas
    steps, tokens = int(replicas["steps"].sum()), int(replicas["input_tokens"].sum())
    return Measurement(
        requests=totals.requests,
        simulation_s=wall - timed.wall_s,
        simulation_cpu_s=cpu - timed.cpu_s,
        generation_s=timed.wall_s,
        steps=steps,
        preemptions=int(replicas["preemptions"].sum()),
        batch_mean=float(replicas["output_tokens"].sum() / max(steps, 1)),
        cached_share=float(replicas["cached_tokens"].sum() / max(tokens, 1)),
        mean_ttft_s=totals.ttft_s / max(totals.completed, 1),
    )


def capacity_rps(setting: Setting) -> float:
    """Requests per second that one replica completes while its queue never empties.

    From a run at twice the estimate: completions between the first and the ninth tenth of them, over their time.
    """
    single = replace(setting, replicas=1)
    spec = fleet_spec(single)
    finish_s: list[NDArray[np.float64]] = []
    rate_rps = 2.0 * replica_capacity_rps(spec.pools[0], ISL_MEAN_TOKENS, OSL_MEAN_TOKENS)
    source = bench_source(single, rate_rps, SATURATED_REQUESTS)
    plane = DataPlane(spec, source, (1,), SEED, lambda records: finish_s.append(records["finish_s"]))
    plane.activate(0, 0.0)
    plane.advance(SATURATED_REQUESTS / rate_rps)
    plane.drain_records()
    finished = np.concatenate(finish_s)
    first, last = len(finished) // 10, 9 * len(finished) // 10
    return float((last - first) / (finished[last] - finished[first]))


def load_rps(setting: Setting) -> float:
    """Arrival rate of a benchmark: 70 % of the measured capacity of its replicas."""
    return LOAD * setting.replicas * capacity_rps(setting)


def warm_up(setting: Setting) -> None:
    """Compile the kernels, or load them from the cache, by a short run that no time counts, and that is cut off."""
    spec = fleet_spec(setting)
    rate_rps = LOAD * setting.replicas * replica_capacity_rps(spec.pools[0], ISL_MEAN_TOKENS, OSL_MEAN_TOKENS)
    measure(spec, bench_source(setting, rate_rps, WARM_UP_REQUESTS))
    end_s = WARM_UP_REQUESTS / rate_rps / 2.0
    plane = DataPlane(
        spec, bench_source(setting, rate_rps, WARM_UP_REQUESTS), (setting.replicas,), SEED, lambda _: None
    )
    for replica in range(setting.replicas):
        plane.activate(replica, 0.0)
    plane.advance(end_s)
    plane.close(end_s)


BENCHMARKS = {
    "single_replica": (Setting(), 500_000),
    "single_replica_prefix_caching": (Setting(prefix_caching=True), 300_000),
    "single_replica_async": (Setting(asynchronous=True), 500_000),
    "single_replica_prefix_caching_async": (Setting(prefix_caching=True, asynchronous=True), 300_000),
    "single_replica_windows": (Setting(windows=True), 300_000),
    "single_replica_prefix_caching_windows": (Setting(prefix_caching=True, windows=True), 200_000),
    "single_replica_adapters": (Setting(adapters=True), 20_000),
    "fleet_64": (Setting(replicas=64), 500_000),
}
"""Setting and expected number of requests of each."""


def run_benchmarks(progress: Progress | None = None) -> dict[str, Any]:
    """Simulated requests per second, single core, compile time excluded by a warm-up run.

    Each benchmark runs three times; the median is reported.

    Returns
    -------
    JSON-ready: per benchmark `requests_per_s` (time within `DataPlane.advance`, chunk loading included, drawing of
    the requests excluded), `requests_per_cpu_s` (the same per second of processor time, which other processes do not
    take away), `with_generation_requests_per_s` (drawing included), and what was simulated
    """
    results: dict[str, Any] = {}
    for k, (name, (setting, requests)) in enumerate(BENCHMARKS.items()):
        if progress:
            progress(name, k / len(BENCHMARKS))
        warm_up(setting)
        rate_rps = load_rps(setting)
        spec = fleet_spec(setting)
        runs = [measure(spec, bench_source(setting, rate_rps, requests)) for _ in range(REPEATS)]
        results[name] = _summary(runs, rate_rps)
    results["note"] = "median of 3 runs on one core; a warm-up run before them compiles the kernels and is not counted"
    return results


def _summary(runs: list[Measurement], rate_rps: float) -> dict[str, Any]:
    first = runs[0]
    return {
        "requests_per_s": median(run.requests_per_s for run in runs),
        "requests_per_cpu_s": median(run.requests / run.simulation_cpu_s for run in runs),
        "with_generation_requests_per_s": median(run.requests / (run.simulation_s + run.generation_s) for run in runs),
        "requests": first.requests,
        "arrivals_rps": rate_rps,
        "steps": first.steps,
        "preemptions": first.preemptions,
        "batch_mean": first.batch_mean,
        "cached_share": first.cached_share,
        "mean_ttft_s": first.mean_ttft_s,
    }
