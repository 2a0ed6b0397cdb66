"""Memory for the engines of a fleet, sized from their configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine import state
from simulator.engine.config import EngineConfig
from simulator.engine.content import ROOT
from simulator.engine.modes.drafts.acceptance import draft_chances, found_chances
from simulator.engine.modes.drafts.kernels import draft_counts
from simulator.engine.modes.flight.arrays import allocate_flight, grow_flight, reset_flight
from simulator.engine.modes.offload.arrays import allocate_offload, grow_known, reset_offload, widen_known
from simulator.engine.modes.rooms.arrays import NoRooms, allocate_rooms, grow_rooms, reset_rooms
from simulator.engine.modes.spec import Flight
from simulator.engine.modes.tables.arrays import (
    allocate_groups,
    block_tokens,
    grow_group_rows,
    held_back_tokens,
    reads_ahead_tokens,
    reset_groups,
    widen_groups,
)
from simulator.engine.pages import untouched
from simulator.engine.state import NONE, Engines
from simulator.perf.steptime import StepTime

_OUT_RECORDS = 16384
_LIST_ENDS = (
    *("run_head", "run_tail", "wait_head", "wait_tail", "prefill_head", "prefill_tail"),
    *("hold_head", "hold_tail", "load_head", "load_tail", "kept_head", "sent_head"),
)
_COUNTS = (
    *("n_running", "n_waiting", "n_decode", "n_prefill", "context_tokens", "decode_step", "in_step"),
    *("n_holding", "n_received", "n_kept", "link_free_s", "batch_room"),
)
_WITH_ROW = (
    *(state.PREFILL, state.DECODE, state.LANDING, state.RECEIVING, state.RECEIVED, state.REQUEUED),
    *(state.SENDING, state.SENT),
)
_CHAIN_SCRATCH = 64
_ALL_TOKENS = 1 << 40
"""Read ahead where blocks have names and are never found again, so that none is registered."""
_ONE_AT_A_TIME = Flight(depth=1, asynchronous=False)
"""Of plain replicas where the kernels of plans in flight run them too: beside several KV cache groups, so that these
are compiled once, and where there are no replicas, as for token APIs alone."""


@dataclass(frozen=True, slots=True)
class EnginePool:
    """Replicas of one configuration: what `allocate_engines` needs of a pool."""

    config: EngineConfig
    step_time: StepTime
    power_w_by_seqs: NDArray[np.float64]
    n_replicas: int


def allocate_engines(
    pools: Sequence[EnginePool],
    n_classes: int,
    record: np.dtype[np.void],
    *,
    n_slots: int = 1024,
    longest_tokens: int = 0,
    log_rows: int = 0,
    asks: bool = False,
) -> Engines:
    """Arrays for all replicas of `pools`, off until `reset_replica`; grow them with `grow_slots`, `grow_rows` and
    `widen_tables`.

    Parameters
    ----------
    record : dtype of the records of ended requests
    longest_tokens : prompt + output tokens of the longest request expected, for the block tables
    log_rows : rows of the step log; 0 switches it off
    asks : every request is looked at in every plan, whether or not a mode needs it
    """
    n_replicas = sum(pool.n_replicas for pool in pools)
    pool_table = np.zeros(len(pools), state.POOL)
    replicas = np.zeros(n_replicas, state.REPLICA)
    blocks = hashes = rows = 0
    token_times: list[NDArray[np.float64]] = []
    seq_times: list[NDArray[np.float64]] = []
    powers: list[NDArray[np.float64]] = []
    first = 0
    for k, pool in enumerate(pools):
        _fill_pool(pool_table[k], pool, first, token_times, seq_times, powers)
        config = pool.config
        span = replicas[first : first + pool.n_replicas]
        span["pool"] = k
        number = np.arange(pool.n_replicas)
        if config.tracks_blocks:
            span["row_base"] = rows + number * config.max_num_seqs
            span["row_capacity"] = config.max_num_seqs
            rows += pool.n_replicas * config.max_num_seqs
        if config.names_blocks:
            entries = 1 << int(2 * config.num_blocks - 1).bit_length()
            span["block_base"] = blocks + number * config.num_blocks
            span["hash_base"] = hashes + number * entries
            span["hash_mask"] = entries - 1
            blocks += pool.n_replicas * config.num_blocks
            hashes += pool.n_replicas * entries
        first += pool.n_replicas
    largest_block = max(block_tokens(pool.config) for pool in pools) if pools else 1
    most_seqs = max((pool.config.max_num_seqs for pool in pools), default=1)
    shared_s = [pool.step_time.shared_time_s for pool in pools]
    rooms = allocate_rooms([pool.config for pool in pools], shared_s, replicas["pool"].tolist(), n_slots, asks)
    asked = not isinstance(rooms, NoRooms)
    plain = _ONE_AT_A_TIME if asked or any(pool.config.modes.groups for pool in pools) else None
    flights = [pool.config.modes.flight or plain for pool in pools for _ in range(pool.n_replicas)]
    plan_s = [pool.step_time.plan_s for pool in pools for _ in range(pool.n_replicas)]
    drafts = [pool.config.num_speculative_tokens > 0 for pool in pools for _ in range(pool.n_replicas)]
    connectors = [pool.config.modes.connector for pool in pools for _ in range(pool.n_replicas)]
    engines = Engines(
        slots=np.zeros(n_slots, state.SLOT),
        free_slots=np.arange(n_slots - 1, -1, -1, dtype=np.int32),
        replicas=replicas,
        pools=pool_table,
        blocks=np.zeros(blocks, state.BLOCK),
        hashes=np.zeros(hashes, state.HASH_ENTRY),
        tables=np.empty((rows, 1), np.int32),
        free_rows=np.zeros(rows, np.int32),
        calendar=np.full((n_replicas, state.CALENDAR_STEPS), NONE, np.int32),
        phase_count=np.zeros((n_replicas, largest_block), np.int32),
        phase_head=np.full((n_replicas, largest_block), NONE, np.int32),
        class_decode=np.zeros((n_replicas, n_classes), np.int32),
        segment_id=np.zeros(1, np.int64),
        segment_tokens=np.zeros(1, np.int32),
        token_time_s=np.concatenate([*token_times, np.zeros(1)]),
        seq_time_s=np.concatenate([*seq_times, np.zeros(1)]),
        power_w=np.concatenate([*powers, np.zeros(1)]),
        itl_counts=np.zeros((n_classes, state.ITL_BINS), np.int64),
        out=np.zeros(_OUT_RECORDS + 2 * most_seqs, record),
        scratch=np.zeros(most_seqs, np.int32),
        hits=np.zeros(1, np.int32),
        chains=np.full(_CHAIN_SCRATCH, ROOT, np.int64),
        load=np.zeros(n_replicas, np.int32),
        counters=np.zeros(8, np.int64),
        log=np.zeros((log_rows, 4), np.int64),
        verdicts=np.zeros((0, 0), np.int8),
        drafted=np.zeros((0, 0), np.int8),
        draft_counts=draft_counts([pool.config for pool in pools], most_seqs),
        draft_chances=draft_chances([pool.config for pool in pools], n_classes),
        found_chances=found_chances([pool.config for pool in pools], n_classes),
        flight=allocate_flight(
            flights or [_ONE_AT_A_TIME],
            plan_s or [0.0],
            drafts or [False],
            connectors or [False],
            most_seqs,
            n_classes,
            n_slots,
        ),
        groups=allocate_groups([pool.config for pool in pools], n_replicas, rows, most_seqs, asked),
        rooms=rooms,
        offload=allocate_offload([pool.config for pool in pools], replicas["pool"].tolist(), n_slots, blocks),
    )
    engines.counters[state.N_FREE_SLOTS] = n_slots
    replicas["step_end_s"] = np.inf
    return widen_tables(engines, longest_tokens)


def _reach_tokens(config: EngineConfig) -> int:
    """Tokens beyond a request's own that its blocks may reach.

    Drafts of all plans in flight, lookahead slots, and states for drafts in places behind them.
    """
    if config.num_speculative_tokens == 0:
        return 0
    depth = config.modes.flight.depth if config.modes.flight else 1
    states = max((group.draft_states * group.block_size for group in config.modes.groups if group.aligned), default=0)
    return config.num_speculative_tokens * depth + depth + config.num_lookahead_tokens + states


def _adaptive_cap_tokens(config: EngineConfig) -> int:
    modes = config.modes
    return (modes.adaptive_cap_tokens or config.max_num_batched_tokens) if modes.adaptive_prefill_cap else 0


def _fill_pool(
    row: np.void,
    pool: EnginePool,
    first: int,
    token_times: list[NDArray[np.float64]],
    seq_times: list[NDArray[np.float64]],
    powers: list[NDArray[np.float64]],
) -> None:
    config, step = pool.config, pool.step_time
    speculative, drafts = config.num_speculative_tokens, config.modes.drafts
    reads_ahead = reads_ahead_tokens(config)
    values = {
        "num_blocks": config.num_blocks,
        "block_size": block_tokens(config),
        "max_num_batched_tokens": config.max_num_batched_tokens,
        "plan_tokens": config.modes.max_num_scheduled_tokens or config.max_num_batched_tokens,
        "max_num_seqs": config.max_num_seqs,
        "max_model_len": config.max_model_len,
        "prefix_caching": config.names_blocks,
        "finds_blocks": config.enable_prefix_caching,
        "tracks_blocks": config.tracks_blocks,
        "chunked_prefill": config.enable_chunked_prefill,
        "long_prefill_token_threshold": config.long_prefill_token_threshold,
        "adaptive_cap_tokens": _adaptive_cap_tokens(config),
        "policy": config.policy,
        "reserve_full_isl": config.reserve_full_isl,
        "watermark_blocks": int(config.watermark * config.num_blocks),
        "batching": config.batching,
        "num_speculative_tokens": speculative,
        "num_lookahead_tokens": config.num_lookahead_tokens if speculative else 0,
        "draft_slots": config.draft_slots if speculative else 0,
        "reach_tokens": _reach_tokens(config),
        "drop_last_hit_block": config.drop_last_hit_block,
        "hash_lookahead": config.hash_lookahead_tokens,
        "reads_ahead": reads_ahead if config.enable_prefix_caching else _ALL_TOKENS,
        "held_back": held_back_tokens(config),
        "unhashed": max(config.hash_lookahead_tokens - reads_ahead, 0),
        "drafts_by_seqs": drafts is not None and len(drafts.by_batch_size) > 0,
        "registers_with_output": speculative > 0 and not config.rules.registers_drafts_with_plan,
        "self_preemption_ends_loop": config.rules.self_preemption_ends_loop,
        "token_time_base": sum(times.size for times in token_times),
        "token_time_rows": step.token_time_s.shape[0],
        "seq_time_base": sum(times.size for times in seq_times),
        "power_base": sum(times.size for times in powers),
        "prefill_attn_s": step.prefill_attn_s,
        "decode_attn_s": step.decode_attn_s,
        "pieces_s": step.launches.pieces_s,
        "eager_s": step.launches.eager_s,
        "captured_tokens": step.launches.captured_tokens,
        "least_step_s": step.least_step_s,
        "replica_base": first,
        "hands_to": NONE,
        "queue_head": NONE,
        "queue_tail": NONE,
    }
    for name, value in values.items():
        row[name] = value
    if row["plan_tokens"] < row["max_num_batched_tokens"] and row["draft_slots"] == 0:
        raise ValueError("a plan has as many tokens as a step has inputs, unless drafting takes some of these")
    if step.token_time_s.shape[1] != config.max_num_batched_tokens + 1:
        raise ValueError("token_time_s needs one column for each number of tokens up to max_num_batched_tokens")
    if min(len(step.seq_time_s), len(pool.power_w_by_seqs)) != config.max_num_seqs + 1:
        raise ValueError("seq_time_s and power_w_by_seqs need one entry for each number of sequences, 0 included")
    token_times.append(np.ascontiguousarray(step.token_time_s).ravel())
    seq_times.append(step.seq_time_s)
    powers.append(pool.power_w_by_seqs)


def reset_replica(engines: Engines, r: int) -> None:
    """An empty engine with an empty cache, as after a start. Counters of work done stay."""
    rep = engines.replicas[r]
    pool = engines.pools[rep["pool"]]
    for name in _LIST_ENDS:
        rep[name] = NONE
    for name in _COUNTS:
        rep[name] = 0
    rep["lanes"] = isinstance(engines.rooms, NoRooms)
    reset_flight(engines.flight, r)
    reset_groups(engines.groups, r)
    reset_rooms(engines.rooms, r, int(rep["pool"]))
    reset_offload(engines.offload, r)
    rep["step_end_s"] = np.inf
    rep["free_blocks"] = pool["num_blocks"] - 1
    engines.calendar[r] = NONE
    engines.phase_count[r] = 0
    engines.phase_head[r] = NONE
    engines.class_decode[r] = 0
    engines.load[r] = 0
    if not pool["tracks_blocks"]:
        return
    most = int(rep["row_capacity"])
    rep["n_free_rows"] = most
    engines.free_rows[rep["row_base"] : rep["row_base"] + most] = rep["row_base"] + np.arange(most - 1, -1, -1)
    if not pool["prefix_caching"]:
        return
    n = int(pool["num_blocks"])
    span = engines.blocks[rep["block_base"] : rep["block_base"] + n]
    span.view(np.uint8).fill(0)
    number = np.arange(n)
    span["free_prev"] = number - 1
    span["free_next"] = number + 1
    span["free_prev"][:2] = NONE
    span["free_next"][n - 1] = NONE
    rep["free_head"], rep["free_tail"] = (1, n - 1) if n > 1 else (NONE, NONE)
    engines.hashes["first"][rep["hash_base"] : rep["hash_base"] + rep["hash_mask"] + 1] = NONE


def grow_slots(engines: Engines, minimum: int) -> Engines:
    """Room for at least `minimum` more requests in flight; twice as many as before, if that is more."""
    old = len(engines.slots)
    new = max(2 * old, old + minimum)
    slots = np.zeros(new, state.SLOT)
    slots[:old] = engines.slots
    free = np.zeros(new, np.int32)
    n_free = int(engines.counters[state.N_FREE_SLOTS])
    free[: new - old] = np.arange(new - 1, old - 1, -1)
    free[new - old : new - old + n_free] = engines.free_slots[:n_free]
    engines.counters[state.N_FREE_SLOTS] = n_free + new - old
    flight, rooms = grow_flight(engines.flight, new), grow_rooms(engines.rooms, new)
    offload = grow_known(engines.offload, new)
    return engines._replace(slots=slots, free_slots=free, flight=flight, rooms=rooms, offload=offload)


def widen_tables(engines: Engines, longest_tokens: int) -> Engines:
    """Block tables wide enough for requests of `longest_tokens` tokens (pages are touched only when used)."""
    sizes = engines.pools["block_size"][engines.pools["tracks_blocks"] != 0]
    if not engines.pools["prefix_caching"].any():
        return engines
    needed = (longest_tokens + int(engines.pools["reach_tokens"].max())) // int(sizes.min()) + 2
    width = 1 << (needed - 1).bit_length()
    if width <= engines.tables.shape[1]:
        return engines
    tables = untouched(engines.tables.shape[0], width)
    rows = engines.slots["row"][np.isin(engines.slots["state"], _WITH_ROW)]
    tables[rows, : engines.tables.shape[1]] = engines.tables[rows]
    groups = widen_groups(engines.groups, width, rows)
    offload = widen_known(engines.offload, width)
    return engines._replace(tables=tables, hits=np.zeros(width, np.int32), groups=groups, offload=offload)


def grow_rows(engines: Engines, r: int) -> Engines:
    """Twice as many rows of the block table for replica `r`: blocks are held by more than its running requests."""
    rep, slots = engines.replicas[r], engines.slots
    base, capacity, n_free = int(rep["row_base"]), int(rep["row_capacity"]), int(rep["n_free_rows"])
    new_base = len(engines.free_rows)
    shift = new_base - base
    tables = untouched(new_base + 2 * capacity, engines.tables.shape[1])
    holds = np.isin(slots["state"], _WITH_ROW)
    rows = slots["row"][holds]
    tables[rows] = engines.tables[rows]
    own = holds & (slots["replica"] == r)
    tables[slots["row"][own] + shift] = engines.tables[slots["row"][own]]
    slots["row"][own] += shift
    groups = grow_group_rows(engines.groups, len(tables), rows, slots["row"][own], shift)
    fresh = new_base + np.arange(2 * capacity - 1, capacity - 1, -1)
    free = engines.free_rows[base : base + n_free] + shift
    stack = np.zeros(2 * capacity, np.int32)
    stack[: capacity + n_free] = np.concatenate([fresh, free])
    rep["row_base"], rep["row_capacity"], rep["n_free_rows"] = new_base, 2 * capacity, capacity + n_free
    return engines._replace(tables=tables, free_rows=np.concatenate([engines.free_rows, stack]), groups=groups)
