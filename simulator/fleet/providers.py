"""A managed token API seen from outside: rate limits, then a latency drawn for each request; and its outages."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.speculation import uniform
from simulator.engine.state import PROVIDER, Engines
from simulator.fleet.state import N_TIMERS, SEED, TIMER_PROVIDER, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel

NO_REQUEST = -2
"""In a timer: whatever request it was set for has no use for it any more."""
_TTFT, _TPOT, _ERROR = 101, 103, 107
_MINUTE_S = 60.0


@kernel
def _refill(provider: Any, now: float) -> None:
    elapsed = now - provider.level_s
    provider.level_s = now
    provider.request_level = min(
        provider.request_level + elapsed * provider.request_rate, provider.request_rate * _MINUTE_S
    )
    provider.token_level = min(provider.token_level + elapsed * provider.token_rate, provider.token_rate * _MINUTE_S)


@kernel
def provider_wait(provider: Any, tokens: int, now: float) -> float:
    """Seconds until the rate limits let a request of `tokens` tokens through (two token buckets of one minute)."""
    _refill(provider, now)
    wait = 0.0
    if provider.request_rate > 0.0:
        wait = max(wait, (1.0 - provider.request_level) / provider.request_rate)
    if provider.token_rate > 0.0:
        wait = max(wait, (tokens - provider.token_level) / provider.token_rate)
    return wait


@kernel
def _lognormal(median: float, sigma: float, request: int, stream: int) -> float:
    if sigma == 0.0:
        return median
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform(request, stream)))
    return median * np.exp(sigma * radius * np.cos(2.0 * np.pi * uniform(request, stream + 1)))


@kernel
def start_provider(fleet: Fleet, engines: Engines, index: int, provider: Any, now: float) -> None:
    """Send a request to a token API: its times are drawn now, a timer ends it."""
    slot = engines.slots[index]
    wait = provider_wait(provider, slot.isl + slot.osl, now)
    provider.request_level -= 1.0
    provider.token_level -= slot.isl + slot.osl
    seed = fleet.scalars[SEED]
    slot.state = PROVIDER
    slot.scheduled_s = now + wait
    ttft = _lognormal(provider.ttft_median_s, provider.ttft_sigma, slot.request, seed + _TTFT)
    ttft += slot.isl * provider.ttft_s_per_input_token
    tpot = _lognormal(provider.tpot_median_s, provider.tpot_sigma, slot.request, seed + _TPOT)
    first = slot.scheduled_s + ttft
    slot.first_token_s = first
    slot.last_token_s = first + (slot.osl - 1) * tpot
    slot.generated = slot.osl
    ends = slot.last_token_s
    timeout = fleet.classes[slot.class_id].timeout_s
    if timeout > 0.0 and first > slot.arrival_s + timeout:
        slot.generated = -1
        slot.first_token_s = np.nan
        ends = slot.arrival_s + timeout
    elif uniform(slot.request, seed + _ERROR) < provider.error_probability:
        slot.generated = 0
        slot.first_token_s = np.nan
        ends = first
    set_timer(fleet, ends, TIMER_PROVIDER, index, slot.request)


@kernel
def cut_provider(fleet: Fleet, engines: Engines, index: int, now: float) -> bool:
    """Take a request back from a token API that has gone down; True when it had not begun to stream.

    A stream that breaks has delivered the tokens up to `now`. The request's timer at the provider is silenced.
    """
    slot = engines.slots[index]
    for k in range(fleet.scalars[N_TIMERS]):
        timer = fleet.timers[k]
        if timer.kind == TIMER_PROVIDER and timer.slot == index:
            timer.request = NO_REQUEST
    first, last, osl = slot.first_token_s, slot.last_token_s, slot.osl
    slot.generated = 0
    if np.isnan(first) or first > now:
        slot.first_token_s = np.nan
        slot.scheduled_s = np.nan
        return True
    gap_s = (last - first) / max(osl - 1, 1)
    slot.generated = min(int((now - first) / gap_s) + 1, osl) if gap_s > 0.0 else osl
    return False
