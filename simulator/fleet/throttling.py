"""When token APIs answer 429 to a share of the calls, whatever their limits are."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from heapq import heappop, heappush
from itertools import groupby
from operator import itemgetter
from typing import Any

import simpy

from simulator.fleet.dataplane import DataPlane
from simulator.study.fleet import ProviderSpec


def begin_throttling(env: simpy.Environment, plane: DataPlane, providers: Sequence[ProviderSpec]) -> None:
    """Let each provider throttle at its times: of those that overlap the largest share holds."""
    for k, provider in enumerate(providers):
        if provider.throttling:
            env.process(_throttled(env, plane, k, provider.throttling))


def _throttled(
    env: simpy.Environment, plane: DataPlane, k: int, spans: Sequence[tuple[float, float, float]]
) -> Generator[Any, Any, None]:
    for moment_s, share in throttled_shares(spans):
        yield env.timeout(moment_s - env.now)
        plane.throttle(k, share)


def throttled_shares(spans: Sequence[tuple[float, float, float]]) -> Iterator[tuple[float, float]]:
    """Each moment at which a span begins or ends, in order, with the largest share of those that hold from it on."""
    moments = sorted({moment_s for start_s, end_s, _ in spans for moment_s in (start_s, end_s)})
    begun = {start_s: [*group] for start_s, group in groupby(sorted(spans), itemgetter(0))}
    holding: list[tuple[float, float]] = []  # the largest share first, by when it ends
    for moment_s in moments:
        for _, end_s, share in begun.get(moment_s, ()):
            heappush(holding, (-share, end_s))
        while holding and holding[0][1] <= moment_s:
            heappop(holding)
        yield moment_s, -holding[0][0] if holding else 0.0
