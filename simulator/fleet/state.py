"""Memory of the gateway: arriving rows, timers, routing tables and token APIs, beside the engines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.by_reference import by_reference

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
        ("stops", np.int32),
        ("complexity", np.float32),
        ("acceptance", np.float64),
        ("leaves_s", np.float64),
        ("grammar_s", np.float64),
        ("load_s", np.float64),
        ("send_s", np.float64),
        ("first_picture", np.int64),
        ("n_pictures", np.int32),
        ("adapter", np.int32),
        ("stored_tokens", np.int32),
        ("stored_apart", np.int32),
        ("remote", np.int32),
    ],
    align=True,
)
"""A request on its way in: one row of `Requests`, with its segments in the arena of the engines."""

CLOSED = np.dtype([("first_row", np.int64), ("n_rows", np.int64), ("sent", np.int64)], align=True)

(
    TIMER_ARRIVE,
    TIMER_CLOSED,
    TIMER_TIMEOUT,
    TIMER_PROVIDER,
    TIMER_TRANSFER,
    TIMER_LEASE,
    TIMER_ESCALATE,
    TIMER_RETRY,
    TIMER_LEAVE,
    TIMER_GRAMMAR,
    TIMER_LOADED,
    TIMER_SENT,
    TIMER_RESET,
    TIMER_RESET_RUNNING,
) = range(14)
RESET_ELSEWHERE = -2
"""In place of a request: a reset that also empties what is kept outside the GPU."""

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
        ("level_s", np.float64),  # time of the levels of its limits
        ("cached_weight", np.float64),  # of a token in the buckets of tokens
        ("output_weight", np.float64),
        ("reserved_tokens", np.float64),  # of an answer, taken at least
        ("max_wait_s", np.float64),
        ("max_context_tokens", np.int64),
        ("error_probability", np.float64),
        ("down", np.int64),  # 1 during an outage
        ("throttled_share", np.float64),  # of the calls, answered 429 whatever the limits
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
        ("n_hours", np.int64),  # 24 where calls are counted by the hour of day; else 1
        ("clock_s", np.float64),  # at simulated time 0
        ("first_call", np.int64),
        ("counts_from_s", np.float64),  # calls that were made before it are nobody's
    ],
    align=True,
)

LIMIT = np.dtype(
    [("rate", np.float64), ("level", np.float64), ("asked", np.float64), ("asked_squares", np.float64)], align=True
)
"""A bucket of one limit, at `provider * len(LIMITS) + limit`: what fills it per second, 0 without such a limit; what
it holds, negative while requests are held back; what was asked of it so far, and squares of what each call asked."""

CALL_COUNTS = (
    *("input", "cached", "written", "output"),
    *("answered", "failed", "repeated"),
    *("failed_input", "failed_cached", "failed_written", "failed_output"),
)
CALL_INPUT, CALL_CACHED, CALL_WRITE, CALL_OUTPUT, CALLS, CALLS_FAILED, CALLS_RETRIED, FAILED_INPUT = range(8)
CALL = np.dtype(
    [
        ("above_tokens", np.int64),  # prompt length above which the band holds
        ("latency_factor", np.float64),
        ("batch_window_s", np.float64),  # 0: answers come as they are written
        *((name, np.int64) for name in CALL_COUNTS),
    ],
    align=True,
)
"""Calls of one provider in one hour of day, by one class and within one price band, at
`first_call + (hour * classes + class) * n_bands + band`: tokens of answered calls by kind, answered and failed calls,
those among both that repeat one, tokens of failed calls by kind."""

WORK_COUNTS = (
    *("requests", "input", "cached", "output", "kv_read", "pairs"),
    *("thrown_input", "thrown_output"),
)
WORK_THROWN_INPUT = WORK_COUNTS.index("thrown_input")
TARGET = np.dtype([("allowed", np.int64), *((name, np.int64) for name in WORK_COUNTS)], align=True)
"""One class at one target, at `target * classes + class`: whether its data may go there; answers given; tokens
computed, found in the prefix cache and put out; KV tokens read in decoding; pairs of tokens in prompts' attention;
prompts and tokens put out of answers that nobody saw."""

OPENING = np.dtype([("start_s", np.float64), ("open", np.int64)], align=True)
"""Whether a target takes new requests, from some simulated time of each cycle on, at `row * targets + target`."""

MEMORY = np.dtype(
    [
        ("key", np.int64),
        ("tokens", np.int64),
        ("time_s", np.float64),
        ("used", np.int32),
        ("provider", np.int32),
        ("next", np.int32),
    ],
    align=True,
)
"""Prompt caches. The first two thirds are a hash table of nodes: a text that prompts go on with after equal beginnings,
with its marks from `next` on. The rest are marks: how far into a node's text a prompt went, and when last; a node's
marks grow in length and age."""

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
    OPENING_ROW,
    MARK_FREE,
    N_MARKS,
    CACHE_ROOM,
    CACHE_NEED,
    OPENING_CYCLE_S,
) = range(16)
"""Entries of `Fleet.scalars`: heap size, tie-breaker, next row and number of clock rows of the chunk, whether it is the
last, whether new arrivals are turned away, the replica an event is about, the seed of routing, the routing rule,
whether any pool hands over to another, the row of `openings` that holds; of the providers' caches the first mark that
is free again, the marks ever taken, room for nodes and marks, and how much of it one call may need; seconds after which
the openings come again."""

DONE, NEED_CHUNK, OUT_FULL, GROW_SLOTS, GROW_TIMERS, WIDEN_TABLES, LOG_FULL, REPLICA_EMPTY, GROW_ROWS, GROW_CACHE = (
    range(10)
)
"""Why `advance` returned."""


@by_reference
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
    targets: NDArray[np.void]  # (target x class)
    calls: NDArray[np.void]  # (provider x hour x class x band)
    limits: NDArray[np.void]  # (provider x limit)
    openings: NDArray[np.void]  # (row x target)
    memory: NDArray[np.void]  # prompt caches of the providers
    ready: NDArray[np.int32]  # replicas that take requests, from the pool's replica_base
    scalars: NDArray[np.int64]
