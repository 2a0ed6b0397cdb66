"""A managed token API seen from outside: rate limits, its cache, a latency drawn for each call, errors and outages."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.content import mix
from simulator.engine.speculation import uniform
from simulator.engine.state import PROVIDER, Engines
from simulator.fleet.prompt_cache import remembered_tokens, written_tokens
from simulator.fleet.state import N_TIMERS, SEED, TIMER_PROVIDER, Fleet
from simulator.fleet.timers import set_timer
from simulator.jit import entry, kernel
from simulator.study.choices import LIMITS
from simulator.units import SECONDS_PER_HOUR

NO_REQUEST = -2
"""In a timer: whatever request it was set for has no use for it any more."""
_TTFT, _TPOT, _ERROR, _BATCH, _PAUSE, _THROTTLED = 101, 103, 107, 109, 113, 127
_MINUTE_S = 60.0
_N_LIMITS = len(LIMITS)
_PER_REQUEST, _, _OF_INPUT, _OF_OUTPUT = range(_N_LIMITS)


@kernel
def _refill(fleet: Fleet, k: int, now: float) -> None:
    provider = fleet.providers[k]
    elapsed = now - provider.level_s
    provider.level_s = now
    for row in range(k * _N_LIMITS, (k + 1) * _N_LIMITS):
        limit = fleet.limits[row]
        limit.level = min(limit.level + elapsed * limit.rate, limit.rate * _MINUTE_S)


@kernel
def _tier(fleet: Fleet, provider: Any, slot: Any) -> Any:
    """How the provider serves the request's class."""
    return fleet.calls[provider.first_call + slot.class_id * provider.n_bands]


@kernel
def _takes(provider: Any, slot: Any, limit: int, cached: int, output: int) -> float:
    """What a call takes out of the bucket of a limit."""
    if limit == _PER_REQUEST:
        return 1.0
    answer = max(float(output), provider.reserved_tokens)
    if limit == _OF_OUTPUT:
        return answer
    prompt = slot.isl - (1.0 - provider.cached_weight) * cached
    if limit == _OF_INPUT:
        return prompt
    return prompt + provider.output_weight * answer


@kernel
def provider_wait(fleet: Fleet, k: int, slot: Any, now: float) -> float:
    """Seconds until all rate limits let a request through (token buckets of one minute); none hold for batches.

    It waits for as much as it takes if nothing of its prompt is cached, which nobody knows before.
    """
    provider = fleet.providers[k]
    _refill(fleet, k, now)
    wait = 0.0
    if _tier(fleet, provider, slot).batch_window_s > 0.0:
        return wait
    for kind in range(_N_LIMITS):
        limit = fleet.limits[k * _N_LIMITS + kind]
        if limit.rate > 0.0:
            wait = max(wait, (_takes(provider, slot, kind, 0, slot.full_osl) - limit.level) / limit.rate)
    return wait


@kernel
def is_refused(fleet: Fleet, k: int, slot: Any, now: float) -> bool:
    """Whether a call is answered 429: rate limits would hold it back too long, or the vendor throttles it.

    Who asks twice about one call gets one answer; no batch is throttled.
    """
    provider = fleet.providers[k]
    if provider_wait(fleet, k, slot, now) > provider.max_wait_s:
        return True
    if provider.throttled_share == 0.0 or _tier(fleet, provider, slot).batch_window_s > 0.0:
        return False
    return draw(fleet, slot, provider.luck, _THROTTLED) < provider.throttled_share


@kernel
def count_asked(fleet: Fleet, slot: Any, k: int) -> None:
    """Count what a call asks of the limits, one that they let through or one that is given up for them."""
    for kind in range(_N_LIMITS):
        limit = fleet.limits[k * _N_LIMITS + kind]
        asked = _takes(fleet.providers[k], slot, kind, slot.cached_tokens, slot.osl)
        limit.asked += asked
        limit.asked_squares += asked * asked


@kernel
def draw(fleet: Fleet, slot: Any, luck: int, stream: int) -> float:
    """Number in [0, 1) that belongs to the request, this attempt, and what has `luck` to itself."""
    return uniform(mix(slot.luck ^ mix(luck + slot.retries)), fleet.scalars[SEED] + stream)


@kernel
def _lognormal(fleet: Fleet, slot: Any, luck: int, median: float, sigma: float, stream: int) -> float:
    if sigma == 0.0:
        return median
    radius = np.sqrt(-2.0 * np.log(1.0 - draw(fleet, slot, luck, stream)))
    return median * np.exp(sigma * radius * np.cos(2.0 * np.pi * draw(fleet, slot, luck, stream + 1)))


@kernel
def start_provider(fleet: Fleet, engines: Engines, index: int, k: int, now: float) -> bool:
    """Call a token API: the times are drawn now, a timer ends the call.

    True: it is a batch's, whose answer is certain and may come long after the run: no timer is set.
    """
    slot = engines.slots[index]
    provider = fleet.providers[k]
    wait = provider_wait(fleet, k, slot, now)
    tier = _tier(fleet, provider, slot)
    slot.state = PROVIDER
    slot.scheduled_s = now + wait
    batch = tier.batch_window_s > 0.0
    fails = not batch and draw(fleet, slot, provider.luck, _ERROR) < provider.error_probability
    slot.cached_tokens = 0 if fails else remembered_tokens(fleet, engines, index, k, slot.scheduled_s)
    if not batch:
        for kind in range(_N_LIMITS):
            limit = fleet.limits[k * _N_LIMITS + kind]
            limit.level -= _takes(provider, slot, kind, slot.cached_tokens, slot.osl)
        count_asked(fleet, slot, k)
    ttft = _lognormal(fleet, slot, provider.luck, provider.ttft_median_s, provider.ttft_sigma, _TTFT)
    ttft += (slot.isl - slot.cached_tokens) * provider.ttft_s_per_input_token
    tpot = _lognormal(fleet, slot, provider.luck, provider.tpot_median_s, provider.tpot_sigma, _TPOT)
    first = slot.scheduled_s + tier.latency_factor * ttft
    slot.first_token_s = first
    slot.last_token_s = first + tier.latency_factor * (slot.osl - 1) * tpot
    if batch:
        slot.last_token_s = slot.scheduled_s + tier.batch_window_s * draw(fleet, slot, provider.luck, _BATCH)
        slot.first_token_s = slot.last_token_s
    slot.generated = slot.osl
    if batch:
        return True
    ends = slot.last_token_s
    timeout = fleet.classes[slot.class_id].timeout_s
    if timeout > 0.0 and slot.first_token_s > slot.arrival_s + timeout:
        slot.generated = -1
        ends = slot.arrival_s + timeout
        slot.first_token_s = np.nan
    elif fails:
        slot.generated = 0
        ends = slot.first_token_s
        slot.first_token_s = np.nan
    set_timer(fleet, ends, TIMER_PROVIDER, index, slot.request)
    return False


@kernel
def count_call(fleet: Fleet, slot: Any, k: int, made_s: float, answered: bool) -> None:
    """Count a call: at the hour in which it was made, if the window had begun, at the price band of its prompt."""
    provider = fleet.providers[k]
    if made_s < provider.counts_from_s:
        return
    hour = int((provider.clock_s + made_s) // SECONDS_PER_HOUR) % provider.n_hours
    first = provider.first_call + (hour * len(fleet.classes) + slot.class_id) * provider.n_bands
    row = first
    for band in range(first + 1, first + provider.n_bands):
        if slot.isl > fleet.calls[band].above_tokens:
            row = band
    count = fleet.calls[row]
    written = written_tokens(fleet, slot, k) if answered else 0
    read = slot.isl - slot.cached_tokens - written
    if answered:
        count.answered += 1
        count.input += read
        count.cached += slot.cached_tokens
        count.written += written
        count.output += slot.generated
    else:
        count.failed += 1
        count.failed_input += read
        count.failed_cached += slot.cached_tokens
        count.failed_output += max(slot.generated, 0)
    if slot.retries > 0:
        count.repeated += 1


@entry
def count_under_way(fleet: Fleet, engines: Engines, until_s: float) -> None:
    """Count the calls that are under way and were made before `until_s`, as they will end unless an outage comes."""
    for index in range(len(engines.slots)):
        slot = engines.slots[index]
        if slot.state == PROVIDER and slot.scheduled_s < until_s:
            count_call(fleet, slot, slot.target - len(engines.pools), slot.scheduled_s, slot.generated > 0)


@kernel
def refuse_call(fleet: Fleet, slot: Any, k: int, now: float) -> None:
    """Count a call that was turned away before anything was read: a rate limit, an outage."""
    provider = fleet.providers[k]
    if now < provider.counts_from_s:
        return
    count = fleet.calls[provider.first_call + slot.class_id * provider.n_bands]
    count.failed += 1
    if slot.retries > 0:
        count.repeated += 1


@kernel
def retry_delay_s(fleet: Fleet, slot: Any, k: int) -> float:
    """Pause before the call is repeated, doubled with each repetition up to a most, less a random share."""
    provider = fleet.providers[k]
    pause = min(provider.retry_initial_s * 2.0 ** min(slot.retries, 60), provider.retry_max_s)
    return pause * (1.0 - provider.retry_jitter * draw(fleet, slot, provider.luck, _PAUSE))


@kernel
def broken_stream(slot: Any, now: float) -> bool:
    """A call ends before its answer does: tokens up to `now` have been streamed; True when none had."""
    first, last, osl = slot.first_token_s, slot.last_token_s, slot.osl
    slot.generated = 0
    if np.isnan(first) or first > now:
        slot.first_token_s = np.nan
        slot.scheduled_s = np.nan
        return True
    gap_s = (last - first) / max(osl - 1, 1)
    slot.generated = min(int((now - first) / gap_s) + 1, osl) if gap_s > 0.0 else osl
    return False


@kernel
def cut_provider(fleet: Fleet, engines: Engines, index: int, now: float) -> bool:
    """Take a request back from a token API that has gone down; True when it had not begun to stream.

    The request's timer at the provider is silenced.
    """
    for k in range(fleet.scalars[N_TIMERS]):
        timer = fleet.timers[k]
        if timer.kind == TIMER_PROVIDER and timer.slot == index:
            timer.request = NO_REQUEST
    return broken_stream(engines.slots[index], now)


@kernel
def end_call(fleet: Fleet, slot: Any, k: int, now: float) -> None:
    """The client of a call has left, which ends it: what was read and streamed is counted as of an answer.

    A call that the rate limits still hold back was not made; they keep what it took.
    """
    made_s = slot.scheduled_s
    broken_stream(slot, now)
    if made_s > now:
        slot.cached_tokens = 0
    else:
        count_call(fleet, slot, k, made_s, True)
