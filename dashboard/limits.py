"""What a scenario may ask of a server that others share; the command line has no such limits."""

from __future__ import annotations

import math
import re
import resource
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from simulator.errors import InputError, Problem
from simulator.resolve.demand import request_source
from simulator.scenario.document import join
from simulator.scenario.load import LoadedScenario

MAX_TEXT = 100_000
"""Characters of a scenario."""
MAX_VALUES = 10_000
"""Lines, commas and brackets of a scenario: with `MAX_TEXT` one to two seconds of reading."""
MAX_UPLOADS = 20
MAX_UPLOADED_BYTES = 8 * 2**20
"""Of one visitor, in all."""
MAX_REQUESTS = 20_000_000
"""Simulated requests of one run, over all topologies and replications."""
MAX_POINTS = 100
"""Of a sweep, whose points together simulate no more than `MAX_REQUESTS`."""
MAX_KEPT_REQUESTS = 5_000_000
"""Of these, rows that a run may keep."""
MAX_SAMPLES = 20_000
"""Samples of the fleet over the horizon."""
MAX_MEMORY_BYTES = 8 * 2**30
"""Of one run's process."""
MAX_RUN_S = 7_200
"""Wall clock of one run."""
MAX_DECISIONS = 5_000_000
"""Of an autoscaler over the horizon."""
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
_LONGEST = {
    "topologies": 32,
    "classes": 64,
    "pools": 32,
    "providers": 32,
    "windows": 1_000,
    "server_failures": 1_000,
    "stock_outs": 1_000,
    "throttling": 1_000,
    "spikes": 1_000,
}
"""Most entries, by the name of the list."""


def check_size(loaded: LoadedScenario) -> float:
    """Number of requests that a run simulates; refuses one that is too large for a shared server.

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
    for name, topology in loaded.scenario.topologies.items():
        for k, pool in enumerate(topology.pools):
            scaler = pool.autoscaler
            if isinstance(scaler, BaseModel) and run.horizon_s > MAX_DECISIONS * getattr(scaler, "period_s", math.inf):
                path = f"topologies.{name}.pools[{k}].autoscaler.period_s"
                least_s = run.horizon_s / MAX_DECISIONS
                raise InputError(_problem(loaded, path, f"must be at least {least_s:g} here", scaler.period_s))
    requests = expected_requests(loaded)
    if requests > MAX_REQUESTS:
        words = f"more than the {MAX_REQUESTS:,} simulated requests allowed here come in it: lower it"
        raise InputError(_problem(loaded, "run.horizon_s", f"{words}, or run.replications", run.horizon_s))
    if run.keep_requests and requests > MAX_KEPT_REQUESTS:
        words = f"about {requests:,.0f} rows are more than the {MAX_KEPT_REQUESTS:,} allowed here: set it to false"
        raise InputError(_problem(loaded, "run.keep_requests", words, "true"))
    return requests


def expected_requests(loaded: LoadedScenario) -> float:
    """How many requests a run simulates, over topologies and replications; infinity beyond `MAX_REQUESTS`.

    Those that come are counted, over the whole course of the arrivals. Where users wait for their answers, each of them
    sends one a second at most, besides the time to think.
    """
    scenario = loaded.scenario
    runs = scenario.run.replications * len(scenario.topologies)
    waiting = [cls.arrivals for cls in scenario.workload.classes if cls.arrivals.kind == "closed_loop"]
    count = scenario.run.horizon_s * sum(users.concurrency / (1 + users.think_s) for users in waiting)
    for chunk in request_source(loaded).chunks():
        if count * runs > MAX_REQUESTS:
            return math.inf
        count += chunk.n_open if not waiting else len(chunk)
    return count * runs


def refuse_long_text(text: str, place: str) -> None:
    """Refuse a text that takes longer than some two seconds to read.

    Raises
    ------
    InputError : too many characters or values
    """
    if len(text) > MAX_TEXT:
        raise InputError(Problem(f"is longer than {MAX_TEXT:,} characters: run it with `servecast run`", place))
    if sum(map(text.count, "\n,[{?")) > MAX_VALUES:
        raise InputError(Problem(f"has more than {MAX_VALUES:,} values: run it with `servecast run`", place))


def refuse_many_uploads(uploads: Mapping[str, bytes]) -> None:
    """Refuse more files than a visitor may lay beside a scenario.

    Raises
    ------
    InputError : too many, or too large together
    """
    size = sum(map(len, uploads.values()))
    if len(uploads) > MAX_UPLOADS or size > MAX_UPLOADED_BYTES:
        most = f"{MAX_UPLOADS} files of {MAX_UPLOADED_BYTES / 2**20:g} MiB in all"
        raise InputError(f"the uploads are more than {most}: remove some, or run it with `servecast run`")


def limit_memory(most_bytes: int = MAX_MEMORY_BYTES) -> None:
    """Keep this process from taking more than its share of the machine's memory."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = most_bytes if hard == resource.RLIM_INFINITY else min(hard, most_bytes)
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
