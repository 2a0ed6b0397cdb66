"""Memory of the gateway: arriving rows, timers, routing tables and token APIs, beside the engines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROW = np.dtype(
    [
        ("arrival_s", np.float64),
        ("think_s", np.float64),
        ("session_id", np.int64),
        ("luck", np.int64),
        ("segment_start", np.int64),
        ("next_turn", np.int64),
        ("isl", np.int32),
        ("osl", np.int32),
        ("class_id", np.int32),
        ("priority", np.int32),
        ("n_segments", np.int32),
        ("listed_tokens", np.int32),
        ("output_continues", np.int32),
        ("complexity", np.float32),
    ],
    align=True,
)
"""A request on its way in: one row of `Requests`, with its segments in the arena of the engines."""

CLOSED = np.dtype(
    [("think_s", np.float64), ("first_row", np.int64), ("n_rows", np.int64), ("sent", np.int64)], align=True
)

(
    TIMER_ARRIVE,
    TIMER_CLOSED,
    TIMER_TIMEOUT,
    TIMER_PROVIDER,
    TIMER_TRANSFER,
    TIMER_LEASE,
    TIMER_ESCALATE,
    TIMER_RETRY,
) = range(8)

TIMER = np.dtype(
    [
        ("time_s", np.float64),
        ("number", np.int64),  # order of equal times
        ("request", np.int64),  # guards against a slot that was used again
        ("slot", np.int32),
        ("kind", np.int32),
    ],
    align=True,
)

PROVIDER = np.dtype(
    [
        ("ttft_median_s", np.float64),
        ("ttft_sigma", np.float64),
        ("tpot_median_s", np.float64),
        ("tpot_sigma", np.float64),
        ("ttft_s_per_input_token", np.float64),
        ("request_rate", np.float64),  # per second; 0: no limit
        ("token_rate", np.float64),
        ("request_level", np.float64),  # of the buckets; negative while requests are held back
        ("token_level", np.float64),
        ("level_s", np.float64),  # time of the levels
        ("max_wait_s", np.float64),
        ("max_context_tokens", np.int64),
        ("error_probability", np.float64),
        ("down", np.int64),  # 1 during an outage
        ("failed", np.int64),  # requests that an outage ended
        ("luck", np.int64),
        ("retry_initial_s", np.float64),
        ("retry_max_s", np.float64),
        ("retry_jitter", np.float64),
        ("cache_life_s", np.float64),  # 0: none
        ("cache_least_tokens", np.int64),
        ("cache_step_tokens", np.int64),
        ("cache_writes", np.int64),
        ("n_bands", np.int64),
    ],
    align=True,
)

TIER = np.dtype([("latency_factor", np.float64), ("batch_window_s", np.float64)], align=True)

CALL_INPUT, CALL_CACHED, CALL_WRITE, CALL_OUTPUT, CALLS, CALLS_FAILED, CALLS_RETRIED, FAILED_INPUT = range(8)
"""Columns of `Fleet.calls`: tokens of answered calls by kind, answered and failed calls, those among both that repeat
an earlier one; from the last on, tokens of failed calls by kind."""
CALL_COLUMNS = FAILED_INPUT + 4

(
    WORK_REQUESTS,
    WORK_INPUT,
    WORK_CACHED,
    WORK_OUTPUT,
    WORK_KV_READ,
    WORK_PAIRS,
    WORK_THROWN_INPUT,
    WORK_THROWN_OUTPUT,
) = range(8)
"""Columns of `Fleet.work`: answers given; tokens computed, found in the prefix cache and put out; KV tokens read in
decoding; pairs of tokens in prompts' attention; prompts and tokens put out of answers that nobody saw."""
WORK_COLUMNS = WORK_THROWN_OUTPUT + 1

NODE = np.dtype([("key", np.int64), ("used", np.int32), ("provider", np.int32), ("first", np.int32)], align=True)
"""A text that prompts go on with after equal beginnings, with its `MARK`s."""

MARK = np.dtype([("time_s", np.float64), ("tokens", np.int64), ("next", np.int32)], align=True)
"""How far into a node's text a prompt went, and when last; a node's marks grow in length and age."""

ROUTING = np.dtype(
    [
        ("target", np.int64),
        ("cumulative_weight", np.float64),
        ("overflow_waiting", np.float64),
        ("overflow_kv", np.float64),
        ("overflow_outstanding", np.float64),
        ("max_complexity", np.float64),
    ],
    align=True,
)
"""Targets in the order of the routing rule."""

CASCADE = np.dtype(
    [
        ("first", np.int64),  # target; -1: no cascade
        ("second", np.int64),
        ("share", np.float64),  # escalated at random
        ("max_complexity", np.float64),  # above it, escalated too
        ("check_s", np.float64),
        ("streams", np.int64),  # 1: the first model's tokens are shown as they come
    ],
    align=True,
)
"""One row: the cascade of the topology."""

CLASS = np.dtype([("timeout_s", np.float64), ("max_retries", np.int64)], align=True)

(
    N_TIMERS,
    TIMER_NUMBER,
    CHUNK_NEXT,
    CHUNK_OPEN,
    LAST_CHUNK,
    CLOSING,
    EVENT_REPLICA,
    SEED,
    ROUTING_KIND,
    REMOTE,
    OPENING,
    MARK_FREE,
    N_MARKS,
    CACHE_ROOM,
    CACHE_NEED,
) = range(15)
"""Entries of `Fleet.scalars`: heap size, tie-breaker, next row and number of clock rows of the chunk, whether it is the
last, whether new arrivals are turned away, the replica an event is about, the seed of routing, the routing rule,
whether any pool hands over to another, the row of `openings` that holds; of the providers' caches the first mark that
is free again, the marks ever taken, room for nodes and marks, and how much of it one call may need."""

DONE, NEED_CHUNK, OUT_FULL, GROW_SLOTS, GROW_TIMERS, WIDEN_TABLES, LOG_FULL, REPLICA_EMPTY, GROW_ROWS, GROW_CACHE = (
    range(10)
)
"""Why `advance` returned."""


class Fleet(NamedTuple):
    """Arrays of one topology in simulation."""

    chunk: NDArray[np.void]
    closed_rows: NDArray[np.void]
    closed: NDArray[np.void]
    timers: NDArray[np.void]
    winners: NDArray[np.int32]  # tournament tree over the replicas' next events
    providers: NDArray[np.void]
    routing: NDArray[np.void]
    cascade: NDArray[np.void]
    classes: NDArray[np.void]
    allowed: NDArray[np.bool_]  # (class, target)
    tiers: NDArray[np.void]  # (class, provider)
    bands: NDArray[np.int64]  # (provider, band): prompt length above which it holds
    openings_s: NDArray[np.float64]  # (row,)
    openings: NDArray[np.bool_]  # (row, target)
    calls: NDArray[np.int64]  # (provider, class, band, CALL_COLUMNS)
    work: NDArray[np.int64]  # (target, class, WORK_COLUMNS)
    nodes: NDArray[np.void]  # hash table of the providers' prompt caches
    marks: NDArray[np.void]
    ready: NDArray[np.int32]  # replicas that take requests, from the pool's replica_base
    scalars: NDArray[np.int64]
