"""What several groups change in the scheduler's loop: blocks of one table, or of all groups.

Pools with one table beside others have `n_groups` 0 and serve as ever.
"""

from __future__ import annotations

from typing import Any

from simulator.engine import blocks
from simulator.engine.blocks import take_row
from simulator.engine.doors import table_door
from simulator.engine.modes.flight.answers import known_tokens
from simulator.engine.modes.tables import holding, prefix, retention
from simulator.engine.modes.tables.arrays import JUNCTION, N_WRITTEN
from simulator.engine.modes.tables.lane import note_plan
from simulator.engine.modes.tables.saved import last_state_before, saved_place
from simulator.engine.state import Engines
from simulator.jit import kernel

_NO_ROOM = -1
_NEVER = 1 << 40


@kernel
def _nothing_written(engines: Engines, r: int) -> None:
    return


@kernel
def _forget_written(engines: Engines, r: int) -> None:
    engines.groups.scalars[N_WRITTEN] = 0
    engines.groups.irregular[r] = 0


begin_plan = table_door(_nothing_written, _forget_written)
"""States of linear attention that are written in a step can be hit from the next one on."""


@kernel
def _cached_by_groups(engines: Engines, rep: Any, pool: Any, slot: Any) -> int:
    if engines.groups.pools[rep.pool].n_groups == 0:
        return blocks.cached_prefix(engines, rep, pool, slot)
    return prefix.cached_prefix(engines, rep, pool, slot)


cached_prefix = table_door(blocks.cached_prefix, _cached_by_groups)
"""Leading blocks of a request that are cached."""


@kernel
def _as_planned(engines: Engines, rep: Any, pool: Any, slot: Any, known: int, start: int, n: int, fresh: bool) -> int:
    return n


@kernel
def _at_a_state(engines: Engines, rep: Any, pool: Any, slot: Any, known: int, start: int, n: int, fresh: bool) -> int:
    groups = engines.groups
    head = groups.pools[rep.pool]
    most = head.chunk_tokens
    end_of_prefill = max(slot.isl, known - 1)
    if most == 0 or start >= end_of_prefill:
        return n
    size = pool.block_size
    junction = groups.scalars[JUNCTION] if fresh else groups.rows[slot.row].junction
    end = start + n
    saves = head.saves_amid_chunk != 0 and end >= end_of_prefill and saved_place(head, pool, start, end_of_prefill) > 0
    if end < end_of_prefill:
        aligned = end // size * size
        if aligned > start or size <= most:
            end = aligned
    stop = end
    last = last_state_before(known, size, head.gives_up, pool.hash_lookahead)
    if start < last < end and not saves:
        stop = min(stop, last)
    if start % size != 0 and (start // size + 1) * size < end:
        stop = min(stop, (start // size + 1) * size)
    if start < junction < end and (junction - start) // size > 0:
        stop = min(stop, start + (junction - start) // size * size)
    return max(stop - start, 0)


chunk_tokens = table_door(_as_planned, _at_a_state)
"""Of `n` tokens from `start` on those that a chunk takes: with linear attention it ends where a state is kept.

`known` are the request's tokens; `fresh` tells a request that is about to be admitted.
"""


@kernel
def _room_in_table(
    engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int, tokens: int, reach: int, reserve: int
) -> int:
    size = pool.block_size
    evictable = blocks.in_free_list(engines, rep, n_hits)
    if pool.reserve_full_isl != 0:
        whole = (tokens + size - 1) // size - n_hits + evictable
        if whole + reserve > rep.free_blocks:
            return _NO_ROOM
    fresh = max((reach + size - 1) // size - n_hits, 0)
    return _NO_ROOM if fresh + evictable + reserve > rep.free_blocks else fresh


@kernel
def _room_in_groups(
    engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int, tokens: int, reach: int, reserve: int
) -> int:
    if engines.groups.pools[rep.pool].n_groups == 0:
        return _room_in_table(engines, rep, pool, slot, n_hits, tokens, reach, reserve)
    whole = min(tokens, pool.max_model_len)
    free = rep.free_blocks - reserve
    hit = n_hits * pool.block_size
    checks = pool.reserve_full_isl != 0
    if checks and holding.blocks_to_admit(engines, rep, slot, n_hits, hit, whole, whole, True) > free:
        return _NO_ROOM
    needed = holding.blocks_to_admit(engines, rep, slot, n_hits, hit, reach, reach, False)
    return _NO_ROOM if needed > free else needed


room_to_admit = table_door(_room_in_table, _room_in_groups)
"""New blocks for a request of `tokens` tokens that is admitted up to `reach`, -1 if there is no room."""


@kernel
def _admit_to_table(
    engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int, fresh: int, reach: int, known: int
) -> None:
    rep.free_blocks -= fresh
    if pool.prefix_caching == 0:
        slot.n_blocks = fresh
        return
    take_row(engines, rep, slot)
    blocks.touch(engines, rep, slot, n_hits)
    for _ in range(fresh):
        blocks.append_block(engines, rep, slot)
    blocks.register_full_blocks(engines, rep, pool, slot, known)


@kernel
def _admit_to_groups(
    engines: Engines, rep: Any, pool: Any, slot: Any, n_hits: int, fresh: int, reach: int, known: int
) -> None:
    if engines.groups.pools[rep.pool].n_groups == 0:
        _admit_to_table(engines, rep, pool, slot, n_hits, fresh, reach, known)
        return
    take_row(engines, rep, slot)
    prefix.adopt(engines, rep, pool, slot, n_hits, n_hits * pool.block_size)
    holding.extend(engines, rep, slot, n_hits * pool.block_size, reach, reach)
    if pool.prefix_caching != 0:
        retention.register(engines, rep, pool, slot, known, known)
    note_plan(engines, slot, reach - n_hits * pool.block_size)


admit_with_blocks = table_door(_admit_to_table, _admit_to_groups)
"""Give an admitted request the hit blocks and new ones up to `reach`; those that `known` tokens fill are findable."""


@kernel
def _table_needs(engines: Engines, rep: Any, pool: Any, slot: Any, reach: int) -> int:
    return max((reach + pool.block_size - 1) // pool.block_size - slot.n_blocks, 0)


@kernel
def _groups_need(engines: Engines, rep: Any, pool: Any, slot: Any, reach: int) -> int:
    if engines.groups.pools[rep.pool].n_groups == 0:
        return _table_needs(engines, rep, pool, slot, reach)
    return holding.blocks_to_extend(engines, rep, slot, reach, reach, False)


blocks_needed = table_door(_table_needs, _groups_need)
"""New blocks of a running request up to `reach` tokens, before those behind windows are given back."""


@kernel
def extend_groups(engines: Engines, rep: Any, pool: Any, slot: Any, index: int, scheduled: int) -> bool:
    """Blocks for `scheduled` more tokens of a running request; what is no longer read is given back in any case."""
    main = slot.computed + scheduled
    reach = min(main + pool.num_lookahead_tokens, pool.max_model_len)
    aloft = engines.flight.aloft[index]
    holding.remove_skipped(engines, rep, slot, max(slot.computed - aloft.in_flight - aloft.stale, 0))
    if holding.blocks_to_extend(engines, rep, slot, reach, main, False) > rep.free_blocks:
        return False
    holding.extend(engines, rep, slot, slot.computed, reach, main)
    if pool.prefix_caching != 0:
        known = known_tokens(engines, slot, index)
        retention.register(engines, rep, pool, slot, min(main, known), known)
    note_plan(engines, slot, scheduled)
    return True


@kernel
def _register_in_groups(engines: Engines, rep: Any, pool: Any, slot: Any, tokens: int) -> None:
    if engines.groups.pools[rep.pool].n_groups == 0:
        blocks.register_full_blocks(engines, rep, pool, slot, tokens)
    else:
        retention.register(engines, rep, pool, slot, tokens, tokens + 1)


register_full_blocks = table_door(blocks.register_full_blocks, _register_in_groups)
"""Make the blocks that `tokens` computed tokens fill findable, all that are known but the last."""


@kernel
def _list_private_of_groups(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    if engines.groups.pools[rep.pool].n_groups == 0:
        blocks.list_private_blocks(engines, rep, pool, slot)
    else:
        retention.list_private(engines, rep, pool, slot)


list_private_blocks = table_door(blocks.list_private_blocks, _list_private_of_groups)
"""Make the private blocks of a request that is about to be preempted findable."""


@kernel
def _free_groups(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    if engines.groups.pools[rep.pool].n_groups == 0:
        blocks.free_table(engines, rep, pool, slot)
    else:
        holding.free_groups(engines, rep, slot, False)


free_blocks = table_door(blocks.free_table, _free_groups)
"""Give back all blocks of a request."""


@kernel
def _free_groups_backwards(engines: Engines, rep: Any, pool: Any, slot: Any) -> None:
    if engines.groups.pools[rep.pool].n_groups == 0:
        blocks.free_table(engines, rep, pool, slot)
    else:
        holding.free_groups(engines, rep, slot, True)


free_blocks_backwards = table_door(blocks.free_table, _free_groups_backwards)
"""Give back all blocks of a request as one list, from its end."""


@kernel
def _in_step(engines: Engines, rep: Any, slot: Any) -> bool:
    return True


@kernel
def _in_step_by_groups(engines: Engines, rep: Any, slot: Any) -> bool:
    head = engines.groups.pools[rep.pool]
    if head.n_groups == 0:
        return True
    note = engines.groups.rows[slot.row]
    in_step = note.planned == 1 and note.processed == slot.computed - 1 - head.lag
    return in_step and (head.lag == 0 or note.plan == engines.flight.replicas[slot.replica].plan_number)


is_regular = table_door(_in_step, _in_step_by_groups, inline=True)
"""Whether blocks of a decoding request change as its tokens tell, so that it may join the decode lane."""


@kernel
def _always_in_step(engines: Engines, r: int) -> None:
    return


@kernel
def _look_at_all_next(engines: Engines, r: int) -> None:
    engines.groups.irregular[r] = 1


join_irregular = table_door(_always_in_step, _look_at_all_next)
"""A request joins the decode lane whose blocks change otherwise once more: the next step looks at every request."""


@kernel
def _lane_needs(engines: Engines, r: int, rep: Any, pool: Any, step: int) -> int:
    return engines.phase_count[r, (-step) % pool.block_size]


@kernel
def _lane_needs_in_groups(engines: Engines, r: int, rep: Any, pool: Any, step: int) -> int:
    head = engines.groups.pools[rep.pool]
    members = _lane_needs(engines, r, rep, pool, step)
    if head.n_groups == 0:
        return members
    return members * head.growing if head.keeps_lanes != 0 and engines.groups.irregular[r] == 0 else _NEVER


lane_needs = table_door(_lane_needs, _lane_needs_in_groups, inline=True)
"""Most new blocks that the decode lane takes in decode step `step`."""


@kernel
def _fits_table(engines: Engines, target: int, pool: Any, reach: int, beyond: int) -> bool:
    size = pool.block_size
    return (reach + size - 1) // size + (beyond + size - 1) // size <= pool.num_blocks - 1


@kernel
def _fits_groups(engines: Engines, target: int, pool: Any, reach: int, beyond: int) -> bool:
    head = engines.groups.pools[target]
    if head.n_groups == 0:
        return _fits_table(engines, target, pool, reach, beyond)
    total = 0
    for k in range(head.n_kinds):
        kind = engines.groups.kinds[target, k]
        blocks = min(holding.blocks_for(reach, kind) + kind.more, kind.cap)
        if kind.grows != 0:
            blocks += holding.blocks_for(beyond, kind)
        total += blocks * kind.n_groups
    return total <= pool.num_blocks - 1


fits_pool = table_door(_fits_table, _fits_groups)
"""Whether an otherwise empty replica of pool `target` has the blocks for a request of `reach` tokens.

And for a step of `beyond` more, as a decode engine must have for a prompt that it fetches.
"""
