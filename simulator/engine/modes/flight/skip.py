"""Plans in which every running request decodes and nothing else happens, taken in one go."""

from __future__ import annotations

from simulator.engine.modes.tables.answers import lane_needs
from simulator.engine.skip import skip_decode_steps, take_skipped
from simulator.engine.state import CALENDAR_STEPS, NONE, Engines
from simulator.engine.timing import least_s
from simulator.engine.tokens import itl_bin
from simulator.jit import kernel


@kernel
def skip_plans(engines: Engines, r: int, until_s: float) -> None:
    """As `skip_decode_steps`: an output is applied and a plan made at once, two plans stay in flight."""
    flight = engines.flight
    head = flight.replicas[r]
    if head.depth == 1:
        skip_decode_steps(engines, r, until_s)
        return
    rep = engines.replicas[r]
    if head.keeps_lanes == 0 or head.waits == 0 or rep.in_step != head.depth or rep.lanes == 0:
        return
    if head.plan_s > 0.0 or rep.n_prefill > 0 or len(engines.log) > 0:
        return
    pool = engines.pools[rep.pool]
    n = rep.n_decode
    if rep.n_waiting > 0 and rep.n_running < pool.max_num_seqs:
        return
    if n == 0 or n != rep.n_running or n > pool.max_num_batched_tokens:
        return
    older = flight.plans[r, head.first]
    newer = flight.plans[r, 1 - head.first]
    if older.n_entries + newer.n_entries > 0 or older.n_decode != n or newer.n_decode != n:
        return
    budget = pool.max_num_batched_tokens
    base_s = engines.token_time_s[pool.token_time_base + (min(n, pool.token_time_rows) - 1) * (budget + 1) + n]
    base_s = base_s + engines.seq_time_s[pool.seq_time_base + n] + pool.prefill_attn_s * 0.0
    launches_s = least_s(engines, pool, n, n, 0)
    watts = engines.power_w[pool.power_base + n]
    itl = engines.itl_counts
    n_classes = engines.class_decode.shape[1]
    step, context, free = rep.decode_step, rep.context_tokens, rep.free_blocks
    last_s, end_s, start_s, next_s = head.last_output_s, older.end_s, newer.start_s, newer.end_s
    busy_s, energy_j, kv_block_s = rep.busy_s, rep.energy_j, rep.kv_block_s
    used, older_used = newer.used_blocks, older.used_blocks
    taken = 0
    while end_s < until_s and engines.calendar[r, (step + 1) & (CALENDAR_STEPS - 1)] == NONE:
        need = lane_needs(engines, r, rep, pool, step)
        if need > free:
            break
        gap = itl_bin(end_s - last_s)
        for c in range(n_classes):
            itl[c, gap] += engines.class_decode[r, c]
        free = take_skipped(engines, r, rep, pool, step, free - need)
        duration = max(base_s + pool.decode_attn_s * (context + n), launches_s)
        older_used = used
        used = pool.num_blocks - 1 - free
        last_s = end_s
        end_s = next_s
        start_s = next_s
        next_s = start_s + duration
        busy_s += next_s - start_s
        energy_j += (next_s - start_s) * watts
        kv_block_s += (next_s - start_s) * used
        step += 1
        context += n
        taken += 1
    if taken == 0:
        return
    older.start_s = last_s
    older.end_s = end_s
    older.busy_s = end_s - last_s
    older.used_blocks = older_used
    older.number += taken
    older.decode_step = step - 2
    newer.start_s = start_s
    newer.end_s = next_s
    newer.busy_s = next_s - start_s
    newer.used_blocks = used
    newer.number += taken
    newer.decode_step = step - 1
    head.last_output_s = last_s
    head.last_end_s = next_s
    head.last_decode_step = step - 3
    head.plan_number += taken
    engines.flight.stage_free_s[r, 0] = next_s
    rep.decode_step = step
    rep.context_tokens = context
    rep.free_blocks = free
    rep.step_end_s = end_s
    rep.busy_s = busy_s
    rep.energy_j = energy_j
    rep.kv_block_s = kv_block_s
    rep.steps += taken
    rep.output_tokens += n * taken
