"""When token APIs answer 429 to a share of the calls, whatever their limits are."""

from __future__ import annotations

from collections.abc import Generator, Sequence
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
    for moment_s in sorted({moment_s for start_s, end_s, _ in spans for moment_s in (start_s, end_s)}):
        yield env.timeout(moment_s - env.now)
        plane.throttle(k, max((share for start_s, end_s, share in spans if start_s <= moment_s < end_s), default=0.0))
