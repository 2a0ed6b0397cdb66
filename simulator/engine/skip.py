"""Steps in which every running request decodes and nothing else happens, taken in one go.

The result is what step-by-step gives, to the last bit: times are added one step at a time and in the same order, only
the bookkeeping between steps is left out.
"""

from __future__ import annotations

from typing import Any

from simulator.engine.blocks import take_decode_blocks
from simulator.engine.doors import table_door
from simulator.engine.modes.tables.answers import lane_needs
from simulator.engine.modes.tables.lane import change_members
from simulator.engine.state import CALENDAR_STEPS, NONE, Engines
from simulator.engine.timing import least_s
from simulator.engine.tokens import itl_bin
from simulator.jit import kernel


@kernel
def _take_in_table(engines: Engines, r: int, rep: Any, pool: Any, step: int, free: int) -> int:
    if pool.prefix_caching != 0:
        take_decode_blocks(engines, r, rep, pool, step)
    return free


@kernel
def _take_in_groups(engines: Engines, r: int, rep: Any, pool: Any, step: int, free: int) -> int:
    if engines.groups.pools[rep.pool].n_groups == 0:
        return _take_in_table(engines, r, rep, pool, step, free)
    change_members(engines, r, rep, pool, step)
    return int(rep.free_blocks)


take_skipped = table_door(_take_in_table, _take_in_groups, inline=True)
"""Blocks of the decode lane in decode step `step`; free ones afterwards, `free` where only new ones are taken."""


@kernel
def skip_decode_steps(engines: Engines, r: int, until_s: float) -> None:
    """Complete decode steps of replica `r` that end before `until_s`, while the next step is certain to be one too.

    A step under way is left as soon as it completes a request, somebody can be admitted or catches up, or blocks run
    out. Nobody can be admitted to a full batch; those whose KV is on its way do not want to be.
    """
    rep = engines.replicas[r]
    if rep.lanes == 0 or rep.in_step == 0 or rep.n_prefill > 0 or len(engines.log) > 0:
        return
    pool = engines.pools[rep.pool]
    if rep.n_waiting - rep.n_holding + rep.n_received > 0 and rep.n_running < pool.max_num_seqs:
        return
    n = rep.n_decode
    budget = pool.max_num_batched_tokens
    if n == 0 or n > budget or rep.step_tokens != n:
        return
    base_s = engines.token_time_s[pool.token_time_base + (min(n, pool.token_time_rows) - 1) * (budget + 1) + n]
    base_s = base_s + engines.seq_time_s[pool.seq_time_base + n] + pool.prefill_attn_s * 0.0
    launches_s = least_s(engines, pool, n, n, 0)
    watts = engines.power_w[pool.power_base + n]
    decode_attn_s = pool.decode_attn_s
    blocks = pool.num_blocks - 1
    calendar = engines.calendar
    itl = engines.itl_counts
    by_class = engines.class_decode
    n_classes = by_class.shape[1]
    step = rep.decode_step
    start_s, end_s = rep.step_start_s, rep.step_end_s
    context, free = rep.context_tokens, rep.free_blocks
    busy_s, energy_j, kv_block_s = rep.busy_s, rep.energy_j, rep.kv_block_s
    taken = 0
    while end_s < until_s and calendar[r, (step + 1) & (CALENDAR_STEPS - 1)] == NONE:
        need = lane_needs(engines, r, rep, pool, step + 1)
        if need > free:
            break
        gap = itl_bin(end_s - start_s)
        for c in range(n_classes):
            itl[c, gap] += by_class[r, c]
        step += 1
        context += n
        free = take_skipped(engines, r, rep, pool, step, free - need)
        duration = max(base_s + decode_attn_s * (context + n), launches_s)
        start_s = end_s
        end_s = start_s + duration
        busy_s += duration
        energy_j += duration * watts
        kv_block_s += duration * (blocks - free)
        taken += 1
    if taken == 0:
        return
    rep.decode_step = step
    rep.context_tokens = context
    rep.free_blocks = free
    rep.step_start_s = start_s
    rep.step_end_s = end_s
    rep.step_context = context + n
    rep.busy_s = busy_s
    rep.energy_j = energy_j
    rep.kv_block_s = kv_block_s
    rep.steps += taken
    rep.output_tokens += n * taken
