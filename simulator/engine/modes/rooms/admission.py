"""Admission where modes have a say: who is passed over, what comes from elsewhere, how far a chunk goes.

The specification is `reference.Scheduler`: requests that wait and hold blocks come first; those that are passed over
keep their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.admission import batch_limit, prefill_cap
from simulator.engine.config import Batching
from simulator.engine.modes.connector.kernels import (
    blocks_on_the_way,
    hold_for_load,
    is_asked_for,
    requeue,
    take_in,
)
from simulator.engine.modes.encoder.kernels import cut_at_pictures, encode_wanted, release_pictures
from simulator.engine.modes.flight.answers import return_passed, set_aside
from simulator.engine.modes.lora.kernels import add_adapter, gather_adapters, lacks_adapter
from simulator.engine.modes.offload.answers import external_tokens, tell_load, tokens_found
from simulator.engine.modes.rooms import blocks
from simulator.engine.modes.tables.answers import cached_prefix, chunk_tokens
from simulator.engine.modes.tables.prefix import hit_for_transfer
from simulator.engine.modes.waves.kernels import defer
from simulator.engine.queues import append_running
from simulator.engine.remote import leave_queue
from simulator.engine.speculation import first_step_padding
from simulator.engine.state import NONE, PREFILL, RECEIVED, WAITING, Engines
from simulator.engine.timing import count_scheduled, tokens_left
from simulator.jit import kernel

_CONTINUOUS = int(Batching.CONTINUOUS)
_ALL_TOKENS = 1 << 60
_STOP, _NO_BLOCKS, _PASS = -1, -2, 0
"""Why a waiting request gets no tokens: it ends the loop (without blocks a static batch, too), or is passed over."""


@kernel
def cut_by_rooms(
    engines: Engines, r: int, rep: Any, pool: Any, index: int, known: int, start: int, n: int, fresh: bool
) -> int:
    """Of `n` tokens from `start` on those that a chunk takes: states, pictures, then what drafters read ahead."""
    n = chunk_tokens(engines, rep, pool, engines.slots[index], known, start, n, fresh)
    n = cut_at_pictures(engines, r, rep, index, start, n)
    left = known - start - n
    ahead = engines.rooms.pools[rep.pool].reads_ahead
    return max(n - (ahead - left), 0) if 0 < left < ahead else n


@kernel
def _is_passed(engines: Engines, r: int, rep: Any, index: int) -> bool:
    waits = engines.rooms.slots[index].grammar_ready_s > 0.0
    stale = engines.flight.aloft[index].stale > 0 and engines.rooms.slots[index].dropped == 0
    return waits or stale or lacks_adapter(engines, r, rep, index)


@kernel
def admit_asking(engines: Engines, r: int, rep: Any, pool: Any, budget: int, pads: int, now: float) -> None:
    """Admit from the head of the waiting queues until something has to wait (vLLM `schedule`).

    Parameters
    ----------
    budget : inputs of the step that are left
    pads : how first steps are padded with drafts, see `first_step_padding`
    """
    if rep.n_waiting == 0:
        rep.batch_room = 0
        return
    gather_adapters(engines, r, rep)
    running = rep.n_running
    most = pool.max_num_seqs if pool.batching == _CONTINUOUS else batch_limit(rep, pool)
    cap = prefill_cap(rep, pool)
    goes_on = True
    index = rep.hold_head
    while index != NONE and goes_on and tokens_left(rep, pool, budget) > 0 and rep.n_running < most:
        following = engines.slots[index].wait_next
        got = _PASS
        if engines.slots[index].state == RECEIVED:
            take_in(engines, rep, pool, index)
            if not _is_passed(engines, r, rep, index):
                got = _try_admit(engines, r, rep, pool, index, tokens_left(rep, pool, budget), cap, pads, now)
        goes_on = got >= 0
        if got > 0:
            budget -= got + pool.draft_slots
        elif got == _PASS:
            defer(engines, r, index)
            if engines.slots[index].state == RECEIVED and engines.slots[index].computed == 0:
                requeue(engines, r, rep, index)
        index = following
    while goes_on and rep.n_waiting > rep.n_holding and tokens_left(rep, pool, budget) > 0 and rep.n_running < most:
        index = rep.wait_head
        got = _PASS
        if not _is_passed(engines, r, rep, index):
            got = _try_admit(engines, r, rep, pool, index, tokens_left(rep, pool, budget), cap, pads, now)
        goes_on = got >= 0
        if got == _NO_BLOCKS:
            rep.batch_room = 0
        if got > 0:
            budget -= got + pool.draft_slots
        elif got == _PASS:
            defer(engines, r, index)
            if rep.wait_head == index:
                set_aside(engines, r, rep, pool)
    return_passed(engines, r, rep, pool)
    if pool.batching != _CONTINUOUS:
        rep.batch_room -= rep.n_running - running


@kernel
def _try_admit(
    engines: Engines, r: int, rep: Any, pool: Any, index: int, budget: int, cap: int, pads: int, now: float
) -> int:
    """Admit a waiting request; returns the tokens scheduled, or why it gets none.

    One whose KV comes apart from the step gets blocks for it, and is passed over until it is there.
    """
    slot = engines.slots[index]
    mine, rules = engines.rooms.slots[index], engines.rooms.pools[rep.pool]
    tokens = slot.isl + slot.generated
    fresh = slot.state == WAITING
    n_hits = 0
    external = 0
    apart = False
    computed = slot.computed
    if fresh:
        n_hits = cached_prefix(engines, rep, pool, slot) if pool.finds_blocks != 0 else 0
        agreed = n_hits
        if pool.finds_blocks != 0 and is_asked_for(engines, index):
            n_hits = hit_for_transfer(engines, rep, pool, slot, n_hits)
        external, apart = external_tokens(engines, pool, index, tokens, n_hits * pool.block_size)
        if external < 0:
            return _PASS
        if external == 0 and n_hits != agreed:
            n_hits = cached_prefix(engines, rep, pool, slot)
        computed = n_hits * pool.block_size + external
    scheduled = 0
    padding = 0
    if not apart:
        if engines.rooms.replicas[r].held != 0 and computed < tokens - 1:
            return _STOP
        padding = first_step_padding(pool, tokens, computed, pads)
        if padding > 0 and 1 + padding > budget:
            return _STOP
        wanted = min(tokens - computed + padding, cap)
        if pool.chunked_prefill == 0 and wanted > budget:
            return _STOP
        wanted = min(wanted, budget)
        scheduled, padding = _cut_with_padding(engines, r, rep, pool, index, tokens, computed, wanted, padding, fresh)
        if scheduled <= 0:
            if wanted <= 0 or rules.no_tokens_end != 0:
                return _STOP
            at_state = chunk_tokens(engines, rep, pool, slot, tokens, computed, wanted, fresh)
            return _STOP if rules.ends_at_states != 0 and at_state <= 0 else _PASS
    reserve = pool.watermark_blocks if rep.n_running > 0 else 0
    reserved = blocks_on_the_way(engines, r, rep, pool) if apart else 0
    main = min(computed, pool.max_model_len) + scheduled
    reach = min(main + (0 if apart else pool.num_lookahead_tokens), pool.max_model_len)
    needed = blocks.blocks_wanted(engines, rep, pool, index, fresh, n_hits, external, tokens, reach, main, reserve)
    if needed + reserved + reserve > rep.free_blocks:
        release_pictures(engines, r, index, _ALL_TOKENS)
        return _STOP if mine.loaded != 0 else _NO_BLOCKS
    if fresh:
        blocks.adopt_hits(engines, rep, pool, slot, n_hits, external)
    blocks.extend_table(engines, rep, pool, slot, computed, reach, main)
    if not apart and pool.prefix_caching != 0:
        blocks.register(engines, rep, pool, slot, main, tokens)
    tell_load(engines, rep, pool, index, external, apart)
    if np.isnan(slot.scheduled_s) and not apart:
        slot.scheduled_s = now
    if mine.seen == 0:
        mine.seen = 1
        slot.cached_tokens = tokens_found(engines, r, index, n_hits * pool.block_size, computed, apart)
    slot.computed = computed
    leave_queue(engines, rep, pool, index)
    if apart:
        hold_for_load(engines, rep, pool, index)
        return _PASS
    pool.n_waiting -= 1
    append_running(engines, rep, index)
    slot.state = PREFILL
    slot.scheduled = scheduled
    slot.drafts = -padding
    if fresh:
        slot.catching_up = 1 if computed + scheduled < tokens else 0
    decoding = tokens - computed == 1 and (computed >= slot.isl or mine.loaded != 0)
    count_scheduled(rep, computed, scheduled, decoding)
    add_adapter(engines, r, index)
    encode_wanted(engines, r, index)
    return scheduled


@kernel
def _cut_with_padding(
    engines: Engines,
    r: int,
    rep: Any,
    pool: Any,
    index: int,
    known: int,
    start: int,
    n: int,
    padding: int,
    fresh: bool,
) -> tuple[int, int]:
    """As `cut_by_rooms`; padding that does not fit before the end of a chunk is left out."""
    slot = engines.slots[index]
    n = chunk_tokens(engines, rep, pool, slot, known, start, n, fresh)
    n = cut_at_pictures(engines, r, rep, index, start, n)
    if padding > 0 and 0 < n < 1 + padding:
        padding = 0
        n = 1
    left = known - start - n
    ahead = engines.rooms.pools[rep.pool].reads_ahead
    return (max(n - (ahead - left), 0) if 0 < left < ahead else n), padding
