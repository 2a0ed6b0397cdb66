"""The load that a server saw: as requests for the simulator, as a traffic description, and as a scenario's workload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from calibrate.live.scrape import HISTOGRAMS
from calibrate.live.window import Observation
from simulator.errors import InputError
from simulator.rng import stream
from simulator.workload.describe import describe_trace
from simulator.workload.requests import Requests, make_requests
from simulator.workload.traces import TraceSource

MIN_REQUESTS = 20
"""Finished requests below which lengths and latencies say nothing."""
MOST_REQUESTS = 5_000_000
_MIN_HIT_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Load:
    """What the metrics say of the requests.

    Attributes
    ----------
    rate_rps : arrivals per second over the windows
    isl_mean, osl_mean : exact means over finished requests, tokens
    hit_share : share of looked-up prompt tokens that the prefix cache had
    shared_tokens : beginning that all prompts of the twin share, so that the same share is found: hit share x mean ISL.
        Metrics do not tell which prompts share what, so this is the simplest sharing that costs as much prefill
    """

    rate_rps: float
    isl_mean: float
    osl_mean: float
    hit_share: float
    shared_tokens: int


def seen_load(observation: Observation) -> Load:
    """Rate, lengths and prefix hits of a watch.

    Raises
    ------
    InputError : fewer than `MIN_REQUESTS` requests finished, more came than can be simulated, or the server counts
        requests without lengths or tokens
    """
    finished = observation.counter("finished")
    if finished < MIN_REQUESTS:
        raise InputError(
            f"{finished:.0f} requests finished in {observation.duration_s:.0f} s: at least {MIN_REQUESTS} are needed; "
            "watch for longer, or while the server is in use"
        )
    if observation.arrivals > MOST_REQUESTS:
        raise InputError(
            f"{observation.arrivals:.3g} requests came: at most {MOST_REQUESTS:,} are simulated; watch less long"
        )
    for name in ("isl", "osl", "itl_s"):
        if not observation.histogram(name).count:
            raise InputError(f"the server counts {finished:.0f} finished requests, but nothing in {HISTOGRAMS[name]}")
    queries = observation.counter("prefix_queries")
    share = observation.counter("prefix_hits") / queries if queries else 0.0
    isl, osl = observation.histogram("isl"), observation.histogram("osl")
    shared = round(share * isl.mean) if share >= _MIN_HIT_SHARE else 0
    return Load(observation.arrivals / observation.duration_s, isl.mean, osl.mean, share, shared)


def twin_requests(observation: Observation, seed: int) -> Requests:
    """Requests like those seen: as many in each window, at uniform times in it, lengths drawn from the histograms.

    ISL and OSL are drawn independently (the metrics have no joint histogram); windows follow each other without gaps.
    """
    counts = np.rint([window.arrivals for window in observation.windows]).astype(np.int64)
    ends_s = np.cumsum([window.duration_s for window in observation.windows])
    starts_s = np.concatenate([[0.0], ends_s[:-1]])
    clock = stream(seed, "live", "arrivals")
    arrival_s = np.concatenate(
        [np.sort(clock.uniform(start_s, end_s, n)) for start_s, end_s, n in zip(starts_s, ends_s, counts, strict=True)]
    )
    n = len(arrival_s)
    isl = observation.histogram("isl").sample_whole(stream(seed, "live", "isl"), n)
    osl = observation.histogram("osl").sample_whole(stream(seed, "live", "osl"), n)
    shared = seen_load(observation).shared_tokens
    if not shared:
        return make_requests(arrival_s, isl, osl)
    return make_requests(
        arrival_s,
        isl,
        osl,
        segment_start=np.arange(n + 1),
        segment_id=np.zeros(n, np.int64),
        segment_tokens=np.minimum(isl, shared),
    )


def description(observation: Observation, seed: int) -> dict[str, Any]:
    """A traffic description (`servecast-traffic/1`) of the load, in bins as wide as the typical window.

    Burstiness within a window cannot be seen; it is Poisson there.
    """
    requests = twin_requests(observation, seed)
    bare = make_requests(requests.arrival_s, requests.isl, requests.osl)
    day = datetime.fromtimestamp(observation.windows[0].start_s, UTC).date().isoformat()
    source = TraceSource(
        name=f"live-{day}",
        title="Load of a running vLLM server, from its metrics",
        page="/metrics",
        file="",
        licence="own data",
        citation="",
        collected=day,
        format="table",
        described=False,
    )
    bin_s = float(np.median([window.duration_s for window in observation.windows]))
    return describe_trace(bare, source, day, bin_s)


def workload_section(observation: Observation, file: str) -> dict[str, Any]:
    """The scenario's `workload` section that replays what was seen, through the description in `file`."""
    load = seen_load(observation)
    chat: dict[str, Any] = {"name": "observed", "arrivals": {"kind": "profile", "file": file}}
    if load.shared_tokens:
        chat["prefixes"] = {"groups": 1, "tokens": load.shared_tokens}
    return {"classes": [chat]}
