"""What a scenario may ask of a server that others share; the command line has no such limits."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from typing import Any

from simulator.errors import InputError, Problem
from simulator.scenario.document import join
from simulator.scenario.load import LoadedScenario
from simulator.simulate.capacity import offered_load

MAX_TEXT = 100_000
"""Characters of a scenario: about a second of reading."""
MAX_REQUESTS = 20_000_000
"""Simulated requests of one run, over all topologies and replications."""
MAX_KEPT_REQUESTS = 5_000_000
"""Of these, rows that a run may keep."""
MAX_SAMPLES = 20_000
"""Samples of the fleet over the horizon."""
MAX_MEMORY_BYTES = 8 * 2**30
"""Of one run's process."""
_MOST = tuple(
    (re.compile(pattern), most)
    for pattern, most in (
        (r"run\.horizon_s", 366 * 86_400),
        (r"run\.drain_s", 366 * 86_400),
        (r"run\.replications", 200),
        (r"run\.max_replicas", 2_000),
        (r"study\.months", 360),
        (r"cost\.draws", 20_000),
        (r".*\.arrivals\.rate_rps", 100_000),
        (r".*\.arrivals\.concurrency", 100_000),
        (r".*\.arrivals\.turns(\.(value|high|mean))?", 1_000),
        (r".*\.prefixes\.groups", 1_000_000),
        (r".*\.pools\[\d+\]\.replicas", 2_000),
        (r".*\.autoscaler\.(min|max)", 2_000),
    )
)
"""Largest numbers, by the path of the value."""
_LONGEST = {"topologies": 32, "classes": 64, "pools": 32, "providers": 32, "windows": 1_000, "spikes": 1_000}
"""Most entries, by the name of the list."""


def check_size(loaded: LoadedScenario) -> None:
    """Refuse a run that is too large for a shared server.

    Raises
    ------
    InputError : names the values to lower, each at its line
    """
    problems = [_problem(loaded, *found) for found in _too_large(loaded.scenario.model_dump(mode="json"), "")]
    if problems:
        raise InputError(*problems)
    run = loaded.scenario.run
    if run.sample_s is not None and run.horizon_s > MAX_SAMPLES * run.sample_s:
        least_s = run.horizon_s / MAX_SAMPLES
        raise InputError(_problem(loaded, "run.sample_s", f"must be at least {least_s:g} here", run.sample_s))
    requests = expected_requests(loaded)
    if requests > MAX_REQUESTS:
        words = f"about {requests:,.0f} simulated requests are more than the {MAX_REQUESTS:,} allowed here: lower it"
        raise InputError(_problem(loaded, "run.horizon_s", f"{words}, or run.replications", run.horizon_s))
    if run.keep_requests and requests > MAX_KEPT_REQUESTS:
        words = f"about {requests:,.0f} rows are more than the {MAX_KEPT_REQUESTS:,} allowed here: set it to false"
        raise InputError(_problem(loaded, "run.keep_requests", words, "true"))


def expected_requests(loaded: LoadedScenario) -> float:
    """About how many requests a run simulates, over topologies and replications.

    Where users wait for their answers, each of them sends one a second at most, besides the time to think.
    """
    scenario = loaded.scenario
    load = offered_load(loaded)
    waiting = [cls.arrivals for cls in scenario.workload.classes if cls.arrivals.kind == "closed_loop"]
    rate_rps = (load.rate_rps if load else 0.0) + sum(users.concurrency / (1 + users.think_s) for users in waiting)
    return rate_rps * scenario.run.horizon_s * scenario.run.replications * len(scenario.topologies)


def limit_memory() -> None:
    """Keep this process from taking more than its share of the machine's memory."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, MAX_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _too_large(node: Any, path: str) -> Iterator[tuple[str, str, object]]:
    """Path, message and value of each number and list above its limit."""
    if isinstance(node, int | float) and not isinstance(node, bool):
        most = next((most for pattern, most in _MOST if pattern.fullmatch(path)), None)
        if most is not None and node > most:
            yield path, f"must be at most {most:,} here", node
    elif isinstance(node, dict | list):
        longest = _LONGEST.get(path.rpartition(".")[2])
        if longest is not None and len(node) > longest:
            yield path, f"must have at most {longest:,} entries here", len(node)
            return
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _too_large(value, join(path, key))


def _problem(loaded: LoadedScenario, path: str, words: str, got: object) -> Problem:
    return Problem(words, *loaded.place(path), path=path, got=str(got))
