"""From the workload of a scenario to a source of requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from simulator.resolve.batches import priorities
from simulator.resolve.clock import Clock, clock_of
from simulator.rng import stream_seed
from simulator.scenario.load import LoadedScenario
from simulator.schema import workload as schema
from simulator.schema.scenario import Scenario
from simulator.workload import spec
from simulator.workload.jobs import NEVER, JobWorkload
from simulator.workload.reading import Reading
from simulator.workload.requests import RequestSource
from simulator.workload.source import build_source


def replication_seed(scenario: Scenario, number: int) -> int:
    """Seed of all that is random in replication `number`."""
    return stream_seed(scenario.run.seed, "replication", number)


def request_source(loaded: LoadedScenario, number: int = 0) -> RequestSource:
    """Requests of replication `number`; the same for every topology."""
    scenario = loaded.scenario
    return build_source(
        workload_spec(scenario, loaded.path.parent), scenario.run.horizon_s, replication_seed(scenario, number)
    )


def workload_spec(scenario: Scenario, folder: Path) -> spec.WorkloadSpec:
    """The scenario's classes as plain values, files resolved against the scenario's folder."""
    clock, classes, stored = clock_of(scenario), scenario.workload.classes, has_store(scenario)
    start_s = clock.at(scenario.run.start)
    return spec.WorkloadSpec(
        tuple(
            _class(cls, folder, clock, start_s, priority, stored)
            for cls, priority in zip(classes, priorities(classes), strict=True)
        )
    )


def jobs_per_month(scenario: Scenario) -> float:
    """How often a month the workload is done, where it is a finite job and nothing else; 0 where it goes on."""
    jobs = [cls.arrivals for cls in scenario.workload.classes if isinstance(cls.arrivals, schema.Job)]
    return jobs[0].per_month if len(jobs) == len(scenario.workload.classes) else 0.0


def has_store(scenario: Scenario) -> bool:
    """Whether replicas of any pool have a store of KV caches beside them."""
    pools = (pool for topology in scenario.topologies.values() for pool in topology.pools)
    engines = (scenario.engine, *(pool.engine for pool in pools if pool.engine is not None))
    return any(engine.kv_connector is not None for engine in engines)


def _class(
    cls: schema.RequestClass, folder: Path, clock: Clock, start_s: float, priority: int, stored: bool
) -> spec.ClassWorkload:
    lengths = cls.lengths
    prefixes = cls.prefixes
    job = cls.arrivals if isinstance(cls.arrivals, schema.Job) else None
    kind: Callable[..., spec.ClassWorkload] = spec.ClassWorkload
    if job is not None:
        kind = partial(JobWorkload, requests=job.requests or 0, tokens=job.tokens or 0, start_s=job.start_s)
    return kind(
        name=cls.name,
        arrivals=_arrivals(cls.arrivals, folder, clock, start_s),
        isl=length_of(lengths.isl, folder) if lengths else None,
        osl=length_of(lengths.osl, folder) if lengths else None,
        prefixes=spec.Prefixes(prefixes.groups, length_of(prefixes.tokens, folder), prefixes.share, prefixes.zipf)
        if prefixes
        else None,
        priority=priority,
        complexity=_complexity(cls.complexity),
        stop_token_share=cls.stop_token_share,
        n=cls.n,
        cache_salts=cls.cache_salts,
        brought=_brought(cls, folder, stored),
    )


def _brought(cls: schema.RequestClass, folder: Path, stored: bool) -> spec.Brought:
    leaves, adapters, grammar, images = cls.leaves, cls.adapters, cls.structured_outputs, cls.images
    return spec.Brought(
        spec.Leaves(leaves.share, leaves.after_s) if leaves else None,
        spec.Adapters(adapters.number, adapters.share, adapters.zipf) if adapters else None,
        spec.StructuredOutputs(grammar.share, grammar.compile_s) if grammar else None,
        spec.Images(images.number, length_of(images.tokens, folder), images.share, images.distinct) if images else None,
        stored,
    )


def length_of(dist: schema.Length, folder: Path) -> spec.Length:
    """A length of the scenario as plain values; files are in `folder`."""
    if isinstance(dist, int | float):
        return spec.Constant(int(dist))
    match dist:
        case schema.Constant():
            return spec.Constant(int(dist.value))
        case schema.Uniform():
            return spec.Uniform(dist.low, dist.high)
        case schema.Lognormal():
            return spec.Lognormal(dist.mean, dist.cv, dist.min, dist.max)
        case schema.Empirical():
            return spec.Empirical(folder / dist.file, dist.column)


def _complexity(value: float | schema.Uniform | schema.Constant) -> float | spec.Uniform:
    if isinstance(value, int | float):
        return float(value)
    return float(value.value) if isinstance(value, schema.Constant) else spec.Uniform(value.low, value.high)


def _reading(trace: schema.Trace) -> Reading:
    return Reading(
        trace.format,
        tuple(trace.columns.items()),
        trace.time_unit,
        trace.hash_block_tokens,
        trace.leave_out_failures,
        trace.leave_out_classes,
        trace.wait_for_answers,
        trace.think_s,
        trace.prompts_grow,
    )


def _arrivals(arrivals: schema.Arrivals, folder: Path, clock: Clock, start_s: float) -> spec.Arrivals:
    match arrivals:
        case schema.Poisson():
            return spec.Poisson(arrivals.rate_rps)
        case schema.Gamma():
            return spec.Gamma(arrivals.rate_rps, arrivals.cv)
        case schema.Profile():
            return spec.Profile(folder / arrivals.file, arrivals.rate_scale, arrivals.loop)
        case schema.Trace():
            reading, rate, rows = _reading(arrivals), arrivals.rate_scale, arrivals.row_factor
            return spec.Trace(folder / arrivals.file, reading, rate, arrivals.loop, rows)
        case schema.Schedule():
            spikes = tuple(spec.Spike(spike.start_s, spike.duration_s, spike.factor) for spike in arrivals.spikes)
            hourly, weekly = tuple(arrivals.hourly or ()), tuple(arrivals.weekly or ())
            return spec.Schedule(arrivals.rate_rps, hourly, weekly, spikes, arrivals.cv, start_s, clock.turns)
        case schema.Sessions():
            return spec.Sessions(
                arrivals.rate_rps,
                length_of(arrivals.turns, folder),
                arrivals.think_s,
                None if arrivals.user_tokens is None else length_of(arrivals.user_tokens, folder),
                arrivals.system_tokens,
            )
        case schema.Job():
            return NEVER
        case schema.ClosedLoop():
            return spec.ClosedLoopArrivals(arrivals.concurrency, arrivals.think_s)
