"""Memory of the compiled data plane: requests in flight, replicas, pools and their block pools, as flat arrays.

Kernels index these arrays; nothing here grows with the number of requests served, only with those in flight.
Times are seconds since the start of the run, indices are -1 where there is none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.by_reference import by_reference

NONE = -1

(
    FREE,
    FUTURE,
    GATEWAY,
    WAITING,
    PREFILL,
    DECODE,
    PROVIDER,
    RECEIVING,
    RECEIVED,
    SENDING,
    SENT,
    CHECKED,
    RETRYING,
    LANDING,
    REQUEUED,
) = range(15)
"""Where a slot is: unused, a turn still to come, queued before its pool, queued at a replica, running with tokens to
catch up, running with one new token a step (kept lazily, see `lanes`), at a token API; waiting with blocks whose
content is on its way, or has arrived. The next two are no requests but blocks of a finished prefill that are kept:
until they have been sent, or until the step ends in which they were. The last four: between the targets of a cascade,
before a call to a token API is repeated; running, with the last token on its way; and with blocks whose content has
arrived, but queued at its replica among those without."""

SLOT = np.dtype(
    [
        ("request", np.int64),  # number in order of arrival, unique in the run
        ("luck", np.int64),  # what its random draws go by: the same in every fleet
        ("arrival_s", np.float64),
        ("enqueued_s", np.float64),  # at its present target
        ("scheduled_s", np.float64),
        ("first_token_s", np.float64),
        ("last_token_s", np.float64),
        ("think_s", np.float64),  # pause before `next_turn` arrives is that slot's think_s
        ("acceptance", np.float64),  # of its drafts; negative: that of its class
        ("leaves_s", np.float64),  # after its arrival, when its client leaves whatever has come; 0: it stays
        ("session_id", np.int64),
        ("segment_start", np.int64),
        ("join_step", np.int64),  # decode step of the replica at which the slot joined the decode lane
        ("finish_step", np.int64),  # decode step at which it will have all its tokens
        ("chain", np.int64),  # chain hash of the last block registered in the prefix cache
        ("run_seq", np.int64),  # admission number on its replica: running order
        ("isl", np.int32),
        ("osl", np.int32),
        ("generated", np.int32),  # in the decode lane: at join_step
        ("computed", np.int32),  # in the decode lane: at join_step
        ("scheduled", np.int32),  # tokens of this step
        ("drafts", np.int32),  # draft tokens waiting to be verified; negative: placeholders that pad a first step
        ("found", np.int32),  # whether its step before had drafts, see `speculation`
        ("n_blocks", np.int32),
        ("n_registered", np.int32),  # leading blocks whose hash is registered
        ("row", np.int32),  # row of the block table
        ("cached_tokens", np.int32),
        ("preemptions", np.int32),
        ("retries", np.int32),
        ("overflowed", np.int32),
        ("class_id", np.int32),
        ("priority", np.int32),
        ("state", np.int32),
        ("target", np.int32),
        ("replica", np.int32),
        ("n_segments", np.int32),
        ("listed_tokens", np.int32),
        ("output_continues", np.int32),
        ("stops", np.int32),  # 1: a stop token ends it, which is not known in advance
        ("next_turn", np.int32),  # slot of the session's next turn
        ("closed_loop", np.int32),  # index of the closed loop it belongs to
        ("complexity", np.float32),
        ("run_prev", np.int32),
        ("run_next", np.int32),
        ("wait_prev", np.int32),
        ("wait_next", np.int32),
        ("wait_child", np.int32),
        ("lane_prev", np.int32),  # prefill lane, or members of the same block phase in the decode lane
        ("lane_next", np.int32),
        ("due_prev", np.int32),  # calendar of finish steps
        ("due_next", np.int32),
        # prefill and decode on different pools
        ("full_osl", np.int32),  # tokens asked for; `osl` is 1 where only the prefill is done
        ("full_isl", np.int32),  # of the prompt; `isl` lacks those that a prefill leaves to the other side
        ("keeps_blocks", np.int32),  # its blocks stay when it has finished
        (
            "peer",
            np.int32,
        ),  # of a request: the slot that keeps its blocks at the prefill side; of that one: it
        ("catching_up", np.int32),  # its admission did not cover all its tokens
        ("prefill_target", np.int32),  # pool and replica that computed the prompt, if another than the present one
        ("prefill_replica", np.int32),
        ("prefilled_s", np.float64),
        ("transferred_s", np.float64),
        ("no_replica_s", np.float64),  # waited before pools without a ready replica
        ("escalated", np.int32),  # see `simulator.fleet.records.Escalation`
        ("checked_s", np.float64),  # the answer of a cascade's first model had been checked
        ("thrown_tokens", np.int32),  # tokens of answers that nobody saw
        ("reason", np.int32),  # see `simulator.fleet.records.Reason`
    ],
    align=True,
)

OFF, READY, DRAINING = range(3)

REPLICA = np.dtype(
    [
        ("step_start_s", np.float64),
        ("step_end_s", np.float64),  # next event; inf when idle
        ("context_tokens", np.int64),  # sum of computed tokens over the decode lane
        ("decode_step", np.int64),
        ("run_seq", np.int64),
        ("free_blocks", np.int64),
        ("pool", np.int32),
        ("state", np.int32),
        ("in_step", np.int32),
        ("lanes", np.int32),  # 1: decode requests are kept lazily; 0: every request individually
        ("run_head", np.int32),
        ("run_tail", np.int32),
        ("wait_head", np.int32),
        ("wait_tail", np.int32),
        ("prefill_head", np.int32),
        ("prefill_tail", np.int32),
        ("n_running", np.int32),
        ("n_waiting", np.int32),
        ("batch_room", np.int32),  # static batching: requests that the present batch still takes in
        ("n_decode", np.int32),
        ("n_prefill", np.int32),
        ("free_head", np.int32),
        ("free_tail", np.int32),
        ("n_free_rows", np.int32),
        ("row_capacity", np.int32),
        ("hold_head", np.int32),  # waiting requests that hold blocks: their content is on its way, or has arrived
        ("hold_tail", np.int32),
        ("n_holding", np.int32),  # of them, counted in n_waiting too
        ("n_received", np.int32),  # of them, those whose content has arrived
        ("load_head", np.int32),  # of them, those whose transfer begins with the present step
        ("load_tail", np.int32),
        ("kept_head", np.int32),  # slots that keep blocks of finished prefills
        ("sent_head", np.int32),  # of them, those to be freed at the end of the step
        ("sent_tail", np.int32),
        ("n_kept", np.int32),
        ("link_free_s", np.float64),  # end of the last transfer over its link
        ("step_seqs", np.int32),
        ("step_tokens", np.int32),
        ("step_units", np.int64),  # sum of q(2c + q + 1) over prefill requests: twice the attention units
        ("step_context", np.int64),  # context that decoding requests read
        ("block_base", np.int64),
        ("hash_base", np.int64),
        ("hash_mask", np.int64),
        ("row_base", np.int64),
        ("busy_s", np.float64),
        ("energy_j", np.float64),  # while stepping
        ("kv_block_s", np.float64),  # integral of used blocks over busy time
        ("steps", np.int64),
        ("input_tokens", np.int64),  # of completed requests
        ("cached_tokens", np.int64),
        ("output_tokens", np.int64),
        ("preemptions", np.int64),
    ],
    align=True,
)

POOL = np.dtype(
    [
        ("num_blocks", np.int64),
        ("block_size", np.int64),
        ("max_num_batched_tokens", np.int64),
        ("plan_tokens", np.int64),  # most of a plan, beside the inputs that drafting takes
        ("max_num_seqs", np.int64),
        ("max_model_len", np.int64),
        ("prefix_caching", np.int64),  # which block a request holds matters: it is found again, or copied
        ("finds_blocks", np.int64),  # content of blocks is findable
        ("tracks_blocks", np.int64),  # which block a request holds matters, not only how many
        ("chunked_prefill", np.int64),
        ("long_prefill_token_threshold", np.int64),
        ("adaptive_cap_tokens", np.int64),  # an equal share of them is the least cap; 0: it is not adaptive
        ("policy", np.int64),
        ("reserve_full_isl", np.int64),
        ("watermark_blocks", np.int64),
        ("batching", np.int64),
        ("num_speculative_tokens", np.int64),
        ("num_lookahead_tokens", np.int64),
        ("draft_slots", np.int64),
        ("reach_tokens", np.int64),  # see `allocate`
        ("drop_last_hit_block", np.int64),
        ("hash_lookahead", np.int64),  # tokens after a block that its hash covers
        (
            "reads_ahead",
            np.int64,
        ),  # known tokens that several MTP modules may compute again
        ("held_back", np.int64),  # last tokens of a prompt that the engine which brings its KV leaves to this one
        ("unhashed", np.int64),  # known tokens beyond those that blocks have no hash of
        ("drafts_by_seqs", np.int64),  # drafts depend on the number of requests in the step
        (
            "registers_with_output",
            np.int64,
        ),  # blocks that drafts filled are findable with the output, not the next plan
        ("self_preemption_ends_loop", np.int64),
        ("token_time_base", np.int64),
        ("token_time_rows", np.int64),
        ("seq_time_base", np.int64),
        ("power_base", np.int64),
        ("prefill_attn_s", np.float64),
        ("decode_attn_s", np.float64),
        ("pieces_s", np.float64),
        ("eager_s", np.float64),
        ("captured_tokens", np.int64),
        ("least_step_s", np.float64),
        # gateway side
        ("replica_base", np.int64),
        ("n_ready", np.int64),
        ("routing", np.int64),
        ("prefix_weight", np.float64),  # of the score by which `longest_prefix` routes
        ("free_weight", np.float64),
        ("queue_weight", np.float64),
        ("round_robin", np.int64),
        ("max_waiting_per_replica", np.int64),
        ("latency_s", np.float64),
        ("hands_to", np.int64),  # pool that takes over after the prefill
        ("kv_block_bytes", np.float64),
        ("kv_link_bytes_per_s", np.float64),
        ("kv_latency_s", np.float64),
        ("kv_lease_s", np.float64),
        ("queue_head", np.int64),
        ("queue_tail", np.int64),
        ("n_queued", np.int64),
        ("missed", np.int64),
        # integrals and counters
        ("n_in_system", np.int64),
        ("n_waiting", np.int64),
        ("used_blocks", np.int64),
        ("last_change_s", np.float64),
        ("in_system_s", np.float64),
        ("sojourn_s", np.float64),
        ("arrivals", np.int64),
        ("departures", np.int64),
    ],
    align=True,
)

BLOCK = np.dtype(
    [
        ("hash", np.int64),  # 0: none
        ("free_prev", np.int32),
        ("free_next", np.int32),
        ("ref", np.int32),
        ("same_prev", np.int32),  # blocks of equal hash, oldest first
        ("same_next", np.int32),
    ],
    align=True,
)

HASH_ENTRY = np.dtype([("hash", np.int64), ("first", np.int32), ("last", np.int32)], align=True)

CALENDAR_STEPS = 4096
"""Buckets of the finish calendar; a power of two. Longer outputs go round it more than once."""


@by_reference
class Engines(NamedTuple):
    """Arrays of all replicas of a fleet, and of the requests in flight."""

    slots: NDArray[np.void]
    free_slots: NDArray[np.int32]  # stack
    replicas: NDArray[np.void]
    pools: NDArray[np.void]
    blocks: NDArray[np.void]
    hashes: NDArray[np.void]
    tables: NDArray[np.int32]  # (rows, blocks of the longest request)
    free_rows: NDArray[np.int32]  # stacks, one a replica, from row_base
    calendar: NDArray[np.int32]  # (replica, CALENDAR_STEPS)
    phase_count: NDArray[np.int32]  # (replica, block_size)
    phase_head: NDArray[np.int32]  # (replica, block_size)
    class_decode: NDArray[np.int32]  # (replica, class): decode lane by class
    segment_id: NDArray[np.int64]
    segment_tokens: NDArray[np.int32]
    token_time_s: NDArray[np.float64]
    seq_time_s: NDArray[np.float64]
    power_w: NDArray[np.float64]
    itl_counts: NDArray[np.int64]  # (class, bin)
    out: NDArray[np.void]  # records of ended requests
    scratch: NDArray[np.int32]  # slots that end in the step being completed
    hits: NDArray[np.int32]  # blocks found by a look-up in the prefix cache
    chains: NDArray[np.int64]  # chain hashes on their way into the prefix cache
    load: NDArray[np.int32]  # (replica,) running + waiting
    counters: NDArray[np.int64]  # see COUNTERS
    log: NDArray[np.int64]  # (rows, 4) step log, empty when off
    verdicts: NDArray[np.int8]  # (request, output token): whether a draft of it is right; empty: drawn
    drafted: NDArray[np.int8]  # (request, output tokens): drafts made after so many; empty, or -1: all asked for
    draft_counts: NDArray[np.int32]  # (pool, requests in the step): drafts asked for
    draft_chances: NDArray[np.float64]  # (pool, class, kind, position): that a draft is right, if all before it are
    found_chances: NDArray[np.float64]  # (pool, class, step before): that there are drafts
    flight: Any  # NoFlight or Flight
    groups: Any  # OneTable or Groups
    rooms: Any  # NoRooms or Rooms
    offload: Any  # NoOffload or OffloadArrays


N_FREE_SLOTS, N_OUT, N_LOG, N_REQUESTS, N_IN_FLIGHT, N_KEPT = range(6)
"""Entries of `Engines.counters`."""

LOG_STEP, LOG_SCHEDULED, LOG_PREEMPTED, LOG_LOAD, LOG_COPY = range(5)
"""Kinds of rows in `Engines.log`: first (kind, request, 0, 0) for each preempted one and (kind, request, blocks, 0) for
each whose KV is to be fetched (-1: it has left, the other side frees them) and (kind, request, chunks, 0) for each that
has chunks stored or (kind, -1, stores, loads) with which copies are done, then the step as (kind, replica, bits of
the start time, free blocks), then its requests as (kind, request, tokens scheduled, tokens computed before)."""

ITL_SHIFT = 45
"""Bits of a float64 dropped to bin it: 7 bits of mantissa stay, so a bin is at most 0.8 % wide."""
ITL_FIRST_BIN = int(np.float64(1e-6).view(np.int64) >> ITL_SHIFT)
ITL_BINS = int(np.float64(1e6).view(np.int64) >> ITL_SHIFT) - ITL_FIRST_BIN + 1
