"""What a plan searches, and what of it a scenario does not have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulator.catalog.gpus import gpu
from simulator.errors import InputError, Problem, unknown_name
from simulator.scenario.load import LoadedScenario


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What to search.

    Attributes
    ----------
    topologies : names; all unless given (here and below lists will do)
    pools : names of the pools to size; all of a topology's unless given. An autoscaled pool is sized in its maximum
    gpus, tps : hardware of the sized pools, every combination is tried; as in the scenario unless given
    max_replicas : of each sized pool
    spare : replicas on top of those needed, in each sized pool that has any: the SLO holds while so many are lost
    error : relative error of step times, instead of the profiles' own
    month : of the study; the one that binds unless given
    """

    topologies: Sequence[str] = ()
    pools: Sequence[str] = ()
    gpus: Sequence[str] = ()
    tps: Sequence[int] = ()
    max_replicas: int = 64
    spare: int = 0
    error: float | None = None
    month: int | None = None

    def __post_init__(self) -> None:
        for name in ("topologies", "pools", "gpus", "tps"):
            given = getattr(self, name)
            if isinstance(given, str | int):
                raise TypeError(f"{name} is a list: put a single one in brackets, as {name}=[{given!r}]")
            object.__setattr__(self, name, tuple(given))


def check_month(loaded: LoadedScenario, options: PlanOptions) -> None:
    """Check the month against the study.

    Raises
    ------
    InputError : the study does not have it
    """
    last = math.ceil(loaded.scenario.study.months)
    if options.month is not None and not 1 <= options.month <= last:
        raise InputError(Problem(f"the study has months 1 to {last}", "--month", got=str(options.month)))


def check_options(loaded: LoadedScenario, options: PlanOptions) -> None:
    """Check options against the scenario.

    Raises
    ------
    InputError : every option that names something unknown or is out of range
    """
    problems = [*_unknown(loaded, options), *_out_of_range(options, loaded.scenario.run.max_replicas)]
    if problems:
        raise InputError(*problems)


def _unknown(loaded: LoadedScenario, options: PlanOptions) -> Iterator[Problem]:
    topologies = loaded.scenario.topologies
    for name in options.topologies:
        if name not in topologies:
            yield Problem(unknown_name("topology", name, topologies), "--topology")
    chosen = [topologies[name] for name in options.topologies or topologies if name in topologies]
    pools = {pool.name for topology in chosen for pool in topology.pools}
    for name in options.pools:
        if name not in pools:
            yield Problem(unknown_name("pool", name, pools), "--pool")
    for name in options.gpus:
        try:
            gpu(name)
        except InputError as error:
            yield from (Problem(problem.message, "--gpu") for problem in error.problems)


def _out_of_range(options: PlanOptions, most_replicas: int) -> Iterator[Problem]:
    least = [("--max-replicas", options.max_replicas, 1), ("--spare", options.spare, 0)]
    for option, value, low in [*least, *(("--tensor-parallel-size", tp, 1) for tp in options.tps)]:
        if value < low:
            yield Problem(f"must be at least {low}", option, got=str(value))
    if options.spare > most_replicas:
        yield Problem(f"must be at most run.max_replicas ({most_replicas})", "--spare", got=str(options.spare))
    if options.error is not None and not 0 <= options.error < 1:
        yield Problem("must be at least 0 and less than 1", "--error", got=str(options.error))
