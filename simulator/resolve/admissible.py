"""Every class needs a target that may and can take its requests, or nothing of the topology can be judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.errors import InputError, Problem
from simulator.resolve.demand import workload_spec
from simulator.scenario.load import LoadedScenario
from simulator.study.fleet import FleetSpec
from simulator.workload.lengths import length_least
from simulator.workload.spec import ClassWorkload, Profile, Sessions, Trace


def check_admissible(loaded: LoadedScenario, fleet: FleetSpec) -> None:
    """Refuse a class that no target of the topology may take, or whose shortest request none can hold.

    Raises
    ------
    InputError : at the class: its data class, or its lengths
    """
    problems = list(_problems(loaded, fleet))
    if problems:
        raise InputError(*problems)


def _problems(loaded: LoadedScenario, fleet: FleetSpec) -> Iterator[Problem]:
    classes = loaded.scenario.workload.classes
    specs = workload_spec(loaded.scenario, loaded.path.parent).classes
    names = [pool.name for pool in fleet.pools] + [provider.name for provider in fleet.providers]
    for k, (cls, spec, known) in enumerate(zip(classes, specs, fleet.classes, strict=True)):
        allowed = [target for target in _beginnings(fleet) if _may(fleet, known.allowed, target)]
        path = f"workload.classes[{k}]"
        if not allowed:
            told = f"no target of topology {fleet.name} ({', '.join(names)}) may take requests of this data class"
            yield _at(loaded, f"{path}.data_class", told, cls.data_class)
            continue
        least = _least_tokens(spec)
        most = max(_most_tokens(fleet, target) for target in allowed)
        if least > most:
            told = (
                f"the shortest request has {least:,} tokens, and no target of topology {fleet.name} that may take it "
                f"holds more than {most:,.0f}"
            )
            yield _at(loaded, f"{path}.lengths", told, None)


def _at(loaded: LoadedScenario, path: str, message: str, got: str | None) -> Problem:
    file, line, column = loaded.place(path)
    return Problem(message, path=path, file=file, line=line, column=column, got=got)


def _beginnings(fleet: FleetSpec) -> list[int]:
    """Targets at which a request can begin: all but pools that only take over."""
    later = {pool.hands_to for pool in fleet.pools}
    return [k for k in range(len(fleet.pools) + len(fleet.providers)) if k not in later]


def _may(fleet: FleetSpec, allowed: Sequence[bool], target: int) -> bool:
    then = fleet.pools[target].hands_to if target < len(fleet.pools) else None
    return allowed[target] and (then is None or allowed[then])


def _most_tokens(fleet: FleetSpec, target: int) -> float:
    """Prompt and answer that the target holds at most."""
    if target >= len(fleet.pools):
        return fleet.providers[target - len(fleet.pools)].max_context_tokens or float("inf")
    pool = fleet.pools[target]
    answering = pool if pool.hands_to is None else fleet.pools[pool.hands_to]
    return answering.engine.max_model_len


def _least_tokens(spec: ClassWorkload) -> int:
    """Prompt and answer of the shortest request that the class can draw; of recorded traffic nothing is known."""
    arrivals = spec.arrivals
    if isinstance(arrivals, Profile | Trace):
        return 2
    user = arrivals.user_tokens if isinstance(arrivals, Sessions) and arrivals.user_tokens is not None else spec.isl
    system = arrivals.system_tokens if isinstance(arrivals, Sessions) else 0
    return system + sum(length_least(length) for length in (user, spec.osl) if length is not None)
