"""Which target, and which of its replicas, a request goes to: decided with the state at its very moment."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.content import mix
from simulator.engine.modes.tables.answers import cached_prefix, fits_pool
from simulator.engine.speculation import spec_decode_tokens, uniform
from simulator.engine.state import NONE, Engines
from simulator.fleet.providers import draw, is_refused
from simulator.fleet.records import Reason
from simulator.fleet.state import OPENING_CYCLE_S, OPENING_ROW, ROUTING_KIND, SEED, Fleet
from simulator.jit import inline_kernel, kernel
from simulator.study.choices import ReplicaRouting, TargetRouting

_WEIGHTED, _OVERFLOW = int(TargetRouting.WEIGHTED), int(TargetRouting.OVERFLOW)
_CASCADE = int(TargetRouting.CASCADE)
_ROUND_ROBIN, _RANDOM = int(ReplicaRouting.ROUND_ROBIN), int(ReplicaRouting.RANDOM)
_LEAST_KV, _TWO = int(ReplicaRouting.LEAST_KV), int(ReplicaRouting.POWER_OF_TWO)
_PREFIX, _SESSION = int(ReplicaRouting.PREFIX_AFFINITY), int(ReplicaRouting.SESSION_STICKY)
_LONGEST = int(ReplicaRouting.LONGEST_PREFIX)
_WEIGHT_STREAM, _REPLICA_STREAM = 11, 13
_TOO_LONG, _DATA_CLASS, _NO_TARGET = int(Reason.TOO_LONG), int(Reason.DATA_CLASS), int(Reason.NO_TARGET)
_AFFINITY_SLACK = 4
"""Requests above 1.25 times the mean load at which affinity gives way to balance (bounded-load hashing)."""


@kernel
def serves(fleet: Fleet, engines: Engines, slot: Any, target: int) -> bool:
    """Whether the target may and can serve the request now: its data class, the hour, then its length."""
    row = fleet.scalars[OPENING_ROW] * (len(engines.pools) + len(fleet.providers))
    return fleet.openings[row + target].open != 0 and _could_serve(fleet, engines, slot, target)


@kernel
def _is_allowed(fleet: Fleet, slot: Any, target: int) -> bool:
    """Whether the data of the request's class may go to the target."""
    return fleet.targets[target * len(fleet.classes) + slot.class_id].allowed != 0


@kernel
def _could_serve(fleet: Fleet, engines: Engines, slot: Any, target: int) -> bool:
    """As `serves`, at some hour. With a pool that only computes prompts, so must the pool that takes over."""
    if not _is_allowed(fleet, slot, target):
        return False
    if target >= len(engines.pools):
        most = fleet.providers[target - len(engines.pools)].max_context_tokens
        return most == 0 or slot.isl + slot.full_osl <= most
    pool = engines.pools[target]
    if pool.hands_to == NONE:
        return _fits_pool(engines, target, slot.isl, slot.full_osl)
    if not _is_allowed(fleet, slot, pool.hands_to):
        return False
    other = engines.pools[pool.hands_to]
    if not fits_pool(engines, pool.hands_to, other, slot.isl, spec_decode_tokens(other)):
        return False
    other_fits = _fits_pool(engines, pool.hands_to, slot.isl, slot.full_osl)
    return other_fits and _fits_pool(engines, target, slot.isl, 1)


@kernel
def _fits_pool(engines: Engines, target: int, isl: int, osl: int) -> bool:
    """Whether an otherwise empty replica can bring such a request to its end (`can_serve` of the reference)."""
    pool = engines.pools[target]
    tokens = isl + osl
    most = min(pool.max_num_batched_tokens - pool.draft_slots, pool.plan_tokens)
    if tokens > pool.max_model_len or 1 + pool.num_speculative_tokens > most:
        return False
    if pool.chunked_prefill == 0 and tokens - 1 > most:
        return False
    reach = tokens - 1 + pool.num_lookahead_tokens
    if osl > 1:
        reach += pool.num_speculative_tokens
    reach = min(reach, pool.max_model_len)
    return fits_pool(engines, target, pool, reach, 0)


@kernel
def is_down(fleet: Fleet, engines: Engines, target: int) -> bool:
    """Whether the target is a token API in an outage."""
    return target >= len(engines.pools) and fleet.providers[target - len(engines.pools)].down > 0


@kernel
def provider_is_open(fleet: Fleet, engines: Engines, slot: Any, target: int, now: float) -> bool:
    """Whether a token API is up and does not refuse the request."""
    return not is_down(fleet, engines, target) and not is_refused(fleet, target - len(engines.pools), slot, now)


@kernel
def _is_open(fleet: Fleet, engines: Engines, slot: Any, rule: Any, now: float) -> bool:
    """Whether an overflow target still takes requests: below its thresholds, ready, within its rate limits."""
    target = rule.target
    if target >= len(engines.pools):
        return provider_is_open(fleet, engines, slot, target, now)
    pool = engines.pools[target]
    if pool.n_ready == 0:
        pool.missed += 1
        return False
    if pool.n_waiting > rule.overflow_waiting * pool.n_ready:
        return False
    if pool.n_in_system > rule.overflow_outstanding * pool.n_ready:
        return False
    if rule.overflow_kv < 1.0:
        used = 0
        for k in range(pool.n_ready):
            used += pool.num_blocks - 1 - engines.replicas[fleet.ready[pool.replica_base + k]].free_blocks
        if used > rule.overflow_kv * (pool.num_blocks - 1) * pool.n_ready:
            return False
    return True


@kernel
def is_first_answer(fleet: Fleet, slot: Any) -> bool:
    """Whether what the request is given, or was, is the first answer of a cascade, before its check."""
    first = fleet.cascade[0].first
    if first == NONE or slot.escalated != 0 or not np.isnan(slot.checked_s):
        return False
    return slot.target == first or slot.prefill_target == first


@kernel
def is_held_back(fleet: Fleet, slot: Any) -> bool:
    """Whether nobody sees the tokens of a request yet: a cascade has to check them first."""
    return fleet.cascade[0].streams == 0 and is_first_answer(fleet, slot)


@kernel
def _cascade_target(fleet: Fleet, engines: Engines, slot: Any) -> int:
    """The first target for a request that has not been sent on and fits it, the second for others and in an outage."""
    cascade = fleet.cascade[0]
    begins = slot.escalated == 0 and serves(fleet, engines, slot, cascade.first)
    if begins and not is_down(fleet, engines, cascade.first):
        return cascade.first
    if serves(fleet, engines, slot, cascade.second):
        return cascade.second
    return cascade.first if begins else NONE


@kernel
def why_no_target(fleet: Fleet, engines: Engines, slot: Any) -> int:
    """The `Reason` why no target serves a request."""
    reason = _DATA_CLASS
    for k in range(len(fleet.routing)):
        target = fleet.routing[k].target
        if _could_serve(fleet, engines, slot, target):
            return _NO_TARGET
        if _is_allowed(fleet, slot, target):
            reason = _TOO_LONG
    return reason


@kernel
def turn_to(fleet: Fleet, engines: Engines, now: float) -> None:
    """Let the row of `openings` hold that is in force at `now`: the last that has begun in its cycle, else the last."""
    targets = len(engines.pools) + len(fleet.providers)
    if len(fleet.openings) == targets:
        return
    n = len(fleet.openings) // targets
    cycle_s = now % fleet.scalars[OPENING_CYCLE_S]
    row = fleet.scalars[OPENING_ROW]
    if fleet.openings[row * targets].start_s > cycle_s:
        row = n - 1 if cycle_s < fleet.openings[0].start_s else 0
    while row + 1 < n and fleet.openings[(row + 1) * targets].start_s <= cycle_s:
        row += 1
    fleet.scalars[OPENING_ROW] = row


@kernel
def choose_target(fleet: Fleet, engines: Engines, index: int, now: float) -> int:
    """Target of a request, or NONE when no allowed one can serve it. Sets `overflowed`."""
    slot = engines.slots[index]
    slot.overflowed = 0
    turn_to(fleet, engines, now)
    kind = fleet.scalars[ROUTING_KIND]
    if kind == _CASCADE:
        return _cascade_target(fleet, engines, slot)
    first = NONE
    up = NONE
    fallback = NONE
    total = 0.0
    for k in range(len(fleet.routing)):
        rule = fleet.routing[k]
        if not serves(fleet, engines, slot, rule.target):
            continue
        if first == NONE:
            first = k
        if up == NONE and not is_down(fleet, engines, rule.target):
            up = k
        total += rule.cumulative_weight - (fleet.routing[k - 1].cumulative_weight if k > 0 else 0.0)
        if kind == _WEIGHTED:
            continue
        if kind == _OVERFLOW:
            if _is_open(fleet, engines, slot, rule, now):
                slot.overflowed = 1 if k != first else 0
                return rule.target
            if fallback == NONE and rule.target < len(engines.pools) and engines.pools[rule.target].n_ready > 0:
                fallback = k
        elif slot.complexity <= np.float32(rule.max_complexity):
            return rule.target
    if first == NONE:
        return NONE
    if kind == _WEIGHTED:
        return fleet.routing[0].target if len(fleet.routing) == 1 else _weighted(fleet, engines, slot, total)
    if kind == _OVERFLOW:
        chosen = fallback if fallback != NONE else up if up != NONE else first
        slot.overflowed = 1 if chosen != first else 0
        return fleet.routing[chosen].target
    return NONE


@kernel
def _weighted(fleet: Fleet, engines: Engines, slot: Any, total: float) -> int:
    point = draw(fleet, slot, 0, _WEIGHT_STREAM) * total
    chosen = NONE
    for k in range(len(fleet.routing)):
        rule = fleet.routing[k]
        if not serves(fleet, engines, slot, rule.target):
            continue
        weight = rule.cumulative_weight - (fleet.routing[k - 1].cumulative_weight if k > 0 else 0.0)
        if weight > 0.0 or chosen == NONE:
            chosen = rule.target
        point -= weight
        if point < 0.0:
            return chosen
    return chosen


@kernel
def _least_loaded(fleet: Fleet, engines: Engines, pool: Any) -> int:
    best = fleet.ready[pool.replica_base]
    for k in range(1, pool.n_ready):
        r = fleet.ready[pool.replica_base + k]
        if engines.load[r] < engines.load[best]:
            best = r
    return best


@kernel
def _least_kv(fleet: Fleet, engines: Engines, pool: Any) -> int:
    best = fleet.ready[pool.replica_base]
    for k in range(1, pool.n_ready):
        r = fleet.ready[pool.replica_base + k]
        if engines.replicas[r].free_blocks > engines.replicas[best].free_blocks:
            best = r
    return best


@kernel
def _affine(fleet: Fleet, engines: Engines, pool: Any, key: int, bounded: bool) -> int:
    """Rendezvous hashing by place in the pool: a replica that joins or leaves moves only its own share of the keys."""
    best = NONE
    highest = 0
    total = 0
    for k in range(pool.n_ready):
        r = fleet.ready[pool.replica_base + k]
        total += engines.load[r]
        score = mix(key ^ mix(r - pool.replica_base + 1))
        if best == NONE or score > highest:
            best = r
            highest = score
    if bounded and engines.load[best] > 1.25 * total / pool.n_ready + _AFFINITY_SLACK:
        return _least_loaded(fleet, engines, pool)
    return best


@kernel
def _longest_prefix(fleet: Fleet, engines: Engines, slot: Any, pool: Any, seed: int) -> int:
    """The replica with the highest score; among equals each is as likely.

    score = w_p · h / H + w_f · f / F + w_q · (q_max - q) / (q_max - q_min), the last w_q where all queues are equal:
    h of the prompt's H whole blocks are in its prefix cache, f of its F blocks are free, q requests wait at it.
    """
    shortest = longest = engines.replicas[fleet.ready[pool.replica_base]].n_waiting
    for k in range(1, pool.n_ready):
        waiting = engines.replicas[fleet.ready[pool.replica_base + k]].n_waiting
        shortest = min(shortest, waiting)
        longest = max(longest, waiting)
    whole = max(slot.isl // pool.block_size, 1)
    best = NONE
    highest = 0.0
    equals = 0
    for k in range(pool.n_ready):
        r = fleet.ready[pool.replica_base + k]
        rep = engines.replicas[r]
        hits = cached_prefix(engines, rep, pool, slot) if pool.prefix_caching != 0 else 0
        queue = (longest - rep.n_waiting) / (longest - shortest) if longest > shortest else 1.0
        free = rep.free_blocks / (pool.num_blocks - 1)
        score = pool.prefix_weight * (hits / whole) + pool.free_weight * free + pool.queue_weight * queue
        if best == NONE or score > highest:
            best = r
            highest = score
            equals = 1
        elif score == highest:
            equals += 1
            if uniform(slot.luck, seed + equals) * equals < 1.0:
                best = r
    return best


@inline_kernel
def choose_replica(fleet: Fleet, engines: Engines, index: int, pool: Any) -> int:
    """Replica of a pool with at least one ready replica."""
    slot = engines.slots[index]
    n = pool.n_ready
    if n == 1:
        return fleet.ready[pool.replica_base]
    kind = pool.routing
    seed = fleet.scalars[SEED] + _REPLICA_STREAM
    if kind == _ROUND_ROBIN:
        pool.round_robin += 1
        return fleet.ready[pool.replica_base + (pool.round_robin - 1) % n]
    if kind == _RANDOM:
        return fleet.ready[pool.replica_base + int(uniform(slot.luck, seed) * n)]
    if kind == _LEAST_KV:
        return _least_kv(fleet, engines, pool)
    if kind == _TWO:
        first = int(uniform(slot.luck, seed) * n)
        second = (first + 1 + int(uniform(slot.luck, seed + 1) * (n - 1))) % n
        a = fleet.ready[pool.replica_base + first]
        b = fleet.ready[pool.replica_base + second]
        return b if engines.load[b] < engines.load[a] else a
    if kind == _LONGEST:
        return _longest_prefix(fleet, engines, slot, pool, seed)
    if kind == _PREFIX and slot.n_segments > 0:
        return _affine(fleet, engines, pool, engines.segment_id[slot.segment_start], True)
    if kind == _SESSION and slot.session_id >= 0:
        return _affine(fleet, engines, pool, slot.session_id, False)
    return _least_loaded(fleet, engines, pool)
