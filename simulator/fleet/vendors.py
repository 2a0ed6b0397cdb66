"""A managed token API seen from outside: rate limits, then a latency drawn for each request; and its outages."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.speculation import uniform
from simulator.engine.state import VENDOR, Engines
from simulator.fleet.state import N_TIMERS, SEED, TIMER_VENDOR, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import kernel

NO_REQUEST = -2
"""In a timer: whatever request it was set for has no use for it any more."""
_TTFT, _TPOT, _ERROR = 101, 103, 107
_MINUTE_S = 60.0


@kernel
def _refill(vendor: Any, now: float) -> None:
    elapsed = now - vendor.level_s
    vendor.level_s = now
    vendor.request_level = min(vendor.request_level + elapsed * vendor.request_rate, vendor.request_rate * _MINUTE_S)
    vendor.token_level = min(vendor.token_level + elapsed * vendor.token_rate, vendor.token_rate * _MINUTE_S)


@kernel
def vendor_wait(vendor: Any, tokens: int, now: float) -> float:
    """Seconds until the rate limits let a request of `tokens` tokens through (two token buckets of one minute)."""
    _refill(vendor, now)
    wait = 0.0
    if vendor.request_rate > 0.0:
        wait = max(wait, (1.0 - vendor.request_level) / vendor.request_rate)
    if vendor.token_rate > 0.0:
        wait = max(wait, (tokens - vendor.token_level) / vendor.token_rate)
    return wait


@kernel
def _lognormal(median: float, sigma: float, request: int, stream: int) -> float:
    if sigma == 0.0:
        return median
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform(request, stream)))
    return median * np.exp(sigma * radius * np.cos(2.0 * np.pi * uniform(request, stream + 1)))


@kernel
def start_vendor(fleet: Fleet, engines: Engines, index: int, vendor: Any, now: float) -> None:
    """Send a request to a token API: its times are drawn now, a timer ends it."""
    slot = engines.slots[index]
    wait = vendor_wait(vendor, slot.isl + slot.osl, now)
    vendor.request_level -= 1.0
    vendor.token_level -= slot.isl + slot.osl
    seed = fleet.scalars[SEED]
    slot.state = VENDOR
    slot.scheduled_s = now + wait
    ttft = _lognormal(vendor.ttft_median_s, vendor.ttft_sigma, slot.request, seed + _TTFT)
    ttft += slot.isl * vendor.ttft_s_per_input_token
    tpot = _lognormal(vendor.tpot_median_s, vendor.tpot_sigma, slot.request, seed + _TPOT)
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
    elif uniform(slot.request, seed + _ERROR) < vendor.error_probability:
        slot.generated = 0
        slot.first_token_s = np.nan
        ends = first
    set_timer(fleet, ends, TIMER_VENDOR, index, slot.request)


@kernel
def cut_vendor(fleet: Fleet, engines: Engines, index: int, now: float) -> bool:
    """Take a request back from a token API that has gone down; True when it had not begun to stream.

    A stream that breaks has delivered the tokens up to `now`. The request's timer at the vendor is silenced.
    """
    slot = engines.slots[index]
    for k in range(fleet.scalars[N_TIMERS]):
        timer = fleet.timers[k]
        if timer.kind == TIMER_VENDOR and timer.slot == index:
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
